//! A member of a group: what it keeps, and what it does with each message (paper, section 6.2 and figure 7; DEVIATIONS.md).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::channel::{Channel, Slot};
use crate::naive::{Kind as Change, Naive, User};
use crate::terms::{ADD_STEP, Atom, FIRST, For, WELCOME_STEP};
use crate::world::{Env, Rules};

/// A control message: its author and number.
pub(crate) type Control = (User, u32);
pub(crate) type Users = BTreeSet<User>;

/// A message.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) author: User,
    pub(crate) number: u32,
    pub(crate) acknowledges: Option<Control>,
    pub(crate) content: Content,
    /// Whether it has a tag in the place of a signature.
    pub(crate) tagged: bool,
}

#[derive(Clone)]
pub(crate) enum Content {
    /// A create, an update, or the removal of a member.
    Seed {
        kind: Seeded,
        seed: Atom,
        recipients: Users,
        slots: BTreeMap<User, Slot>,
    },
    Add {
        user: User,
        slot: Slot,
    },
    Welcome {
        to: User,
        membership: Box<Naive>,
        delivered: BTreeMap<User, u32>,
    },
    Ack {
        forwards: BTreeMap<User, Slot>,
    },
    None,
    AddAck {
        slot: Option<Slot>,
    },
    Text,
}

#[derive(Clone)]
pub(crate) enum Seeded {
    Create(Users),
    Update,
    Remove(User),
}

impl Content {
    /// What the harness calls it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Seed { kind: Seeded::Create(_), .. } => "create",
            Self::Seed { kind: Seeded::Update, .. } => "update",
            Self::Seed { kind: Seeded::Remove(_), .. } => "remove",
            Self::Add { .. } => "add",
            Self::Welcome { .. } => "welcome",
            Self::Ack { .. } | Self::None => "ack",
            Self::AddAck { .. } => "add-ack",
            Self::Text => "message",
        }
    }
}

/// What is known of a member as a sender.
#[derive(Clone, Copy, Default)]
struct Sender {
    ratchet: Option<Atom>,
    chain: Option<Atom>,
}

struct Pending {
    recipients: Users,
    secrets: BTreeMap<User, Atom>,
    waiting: Users,
    covered: Vec<Control>,
}

pub(crate) struct Group {
    me: User,
    rules: Rules,
    membership: Naive,
    pub(crate) delivered: BTreeMap<User, u32>,
    joined_at: BTreeMap<User, u32>,
    channels: BTreeMap<User, Channel>,
    senders: BTreeMap<User, Sender>,
    pending: BTreeMap<Control, Pending>,
    /// Acknowledgements that were taken by their tags, each with what was known of its author before.
    taken: BTreeMap<User, VecDeque<(Control, Sender)>>,
    dirty: bool,
    leaving: Users,
    retired: Users,
}

impl Group {
    fn empty(me: User, membership: Naive, rules: Rules) -> Self {
        Self {
            me,
            rules,
            membership,
            delivered: BTreeMap::new(),
            joined_at: BTreeMap::new(),
            channels: BTreeMap::new(),
            senders: BTreeMap::new(),
            pending: BTreeMap::new(),
            taken: BTreeMap::new(),
            dirty: false,
            leaving: Users::new(),
            retired: Users::new(),
        }
    }

    /// The state of a founder before CREATE.
    pub(crate) fn founded(me: User, creator: User, founders: &Users, rules: Rules) -> Self {
        let mut group = Self::empty(me, Naive::found(me, creator, founders.iter().copied()), rules);
        for user in founders {
            group.introduce(*user, 0, Sender { ratchet: Some(FIRST), chain: None });
        }
        group
    }

    fn introduce(&mut self, user: User, delivered: u32, sender: Sender) {
        self.senders.insert(user, sender);
        self.joined_at.insert(user, delivered);
        self.delivered.insert(user, delivered);
    }

    fn view(&self) -> Users {
        self.membership.view(self.me)
    }

    pub(crate) fn continues(&self) -> bool {
        self.view().contains(&self.me)
    }

    fn number(&self) -> u32 {
        self.delivered[&self.me] + 1
    }

    fn sender(&mut self, user: User) -> &mut Sender {
        self.senders.entry(user).or_default()
    }

    fn advance(&mut self, user: User, input: Atom, env: &mut Env<'_>) {
        let sender = self.sender(user);
        sender.chain = sender.ratchet.map(|ratchet| {
            let (update_secret, next) = env.terms.step(ratchet, input);
            sender.ratchet = Some(next);
            update_secret
        });
    }

    fn broadcast(&mut self, acknowledges: Option<Control>, content: Content, env: &mut Env<'_>) {
        self.send(acknowledges, content, false, env);
    }

    fn send(&mut self, acknowledges: Option<Control>, content: Content, tagged: bool, env: &mut Env<'_>) {
        let number = self.number();
        self.delivered.insert(self.me, number);
        env.sent.push(Message { author: self.me, number, acknowledges, content, tagged });
    }

    /// Encrypts a secret to these users, in the order of their ids.
    fn encrypt(&mut self, secret: Atom, to: &Users, env: &mut Env<'_>) -> BTreeMap<User, Slot> {
        // A lean message announces one key for all.
        let x = self.rules.lean.then(|| env.terms.fresh());
        let number = self.number();
        let mut in_order: Vec<User> = to.iter().copied().collect();
        in_order.sort_by_key(|user| env.ids[usize::from(*user)]);
        let mut slots = BTreeMap::new();
        for user in in_order {
            let channel = self.channels.entry(user).or_default();
            let (terms, directory) = (&mut *env.terms, &mut *env.directory);
            slots.insert(user, channel.send(secret, number, || directory.bundle(user), x, terms));
        }
        slots
    }

    fn decrypt(&mut self, from: User, slot: Option<&Slot>, env: &mut Env<'_>) -> Option<Atom> {
        let slot = slot.filter(|_| !self.retired.contains(&from))?;
        Some(self.channels.entry(from).or_default().receive(slot, env.one_time))
    }

    // What a member does.

    pub(crate) fn create(&mut self, others: Users, env: &mut Env<'_>) {
        self.send_seed(Seeded::Create(others.clone()), others, env);
    }

    pub(crate) fn update(&mut self, env: &mut Env<'_>) {
        let recipients = self.others();
        self.send_seed(Seeded::Update, recipients, env);
    }

    pub(crate) fn remove(&mut self, target: User, env: &mut Env<'_>) {
        let before = self.view();
        self.membership.record((self.me, self.number()), Change::Removes(target));
        self.view_changed(&before);
        let recipients = self.others();
        self.send_seed(Seeded::Remove(target), recipients, env);
        self.tidy();
    }

    fn others(&self) -> Users {
        let mut others = self.view();
        others.remove(&self.me);
        others
    }

    fn send_seed(&mut self, kind: Seeded, recipients: Users, env: &mut Env<'_>) {
        let (seed, control) = (env.terms.fresh(), (self.me, self.number()));
        let slots = self.encrypt(seed, &recipients, env);
        self.apply_seed(Some(seed), control, &recipients, env);
        self.dirty = false;
        self.broadcast(None, Content::Seed { kind, seed, recipients, slots }, env);
    }

    /// Before a message or an add: an update, if users outside the view may know the last seed, or if there is none.
    fn repair(&mut self, env: &mut Env<'_>) {
        let silent = self.senders[&self.me].chain.is_none();
        if silent || self.dirty && !self.rules.published {
            self.update(env);
        }
    }

    /// Returns the text's name.
    pub(crate) fn say(&mut self, env: &mut Env<'_>) -> Atom {
        self.repair(env);
        let chain = self.senders[&self.me].chain.unwrap();
        let (key, text) = (env.terms.derive(chain, For::Key), env.terms.fresh());
        env.terms.rule(&[key], &[text]);
        self.next_in_chain(self.me, env);
        self.broadcast(None, Content::Text, env);
        text
    }

    fn next_in_chain(&mut self, user: User, env: &mut Env<'_>) {
        let sender = self.sender(user);
        sender.chain = sender.chain.map(|chain| env.terms.derive(chain, For::Next));
    }

    pub(crate) fn add(&mut self, user: User, env: &mut Env<'_>) {
        self.repair(env);
        let ratchet = self.senders[&self.me].ratchet.unwrap();
        let (membership, delivered) = (Box::new(self.membership.clone()), self.delivered.clone());
        let control = (self.me, self.number());
        let slot = self.encrypt(ratchet, &Users::from([user]), env).remove(&user).unwrap();
        self.broadcast(None, Content::Add { user, slot }, env);
        let welcome = Content::Welcome { to: user, membership, delivered };
        let number = control.1;
        env.sent.push(Message { author: self.me, number, acknowledges: None, content: welcome, tagged: false });
        self.record_add(control, user, env);
        self.tidy();
    }

    // What it does with messages.

    /// An acknowledgement whose turn it is, and whose author has signed nothing after it yet. If the secret is here, the author's
    /// ratchet steps, and nothing else changes.
    pub(crate) fn take(&mut self, author: User, acknowledged: Control, env: &mut Env<'_>) {
        let taken = self.taken.get(&author).is_some_and(|taken| taken.iter().any(|(other, _)| *other == acknowledged));
        let secret = self.pending.get(&acknowledged).and_then(|pending| pending.secrets.get(&author)).copied();
        if let Some(secret) = secret.filter(|_| !taken) {
            let before = *self.sender(author);
            self.advance(author, secret, env);
            self.taken.entry(author).or_default().push_back((acknowledged, before));
        }
    }

    /// How many of an author's next messages have been taken.
    pub(crate) fn taken_of(&self, author: User) -> u32 {
        self.taken.get(&author).map_or(0, VecDeque::len) as u32
    }

    pub(crate) fn process(&mut self, message: &Message, env: &mut Env<'_>) {
        let Message { author, number, acknowledges, content, tagged } = message;
        let (author, control) = (*author, (*author, *number));
        let taken = self.taken.get_mut(&author).and_then(VecDeque::pop_front);
        self.taken.retain(|_, taken| !taken.is_empty());
        assert!(taken.is_none_or(|(taken, _)| *tagged && Some(taken) == *acknowledges), "nobody forges");
        match content {
            Content::Seed { kind, seed, recipients, slots } => {
                let before = self.view();
                match kind {
                    Seeded::Create(_) => {}
                    Seeded::Update if !self.membership.view(author).contains(&author) => return,
                    Seeded::Update => {}
                    Seeded::Remove(target) => {
                        if self.membership.check_remove(author, *target).is_err() {
                            return;
                        }
                        self.membership.record(control, Change::Removes(*target));
                        self.view_changed(&before);
                        if !self.continues() {
                            return;
                        }
                    }
                }
                let mut expected = self.membership.view(author);
                expected.remove(&author);
                assert_eq!(*recipients, expected, "a receiver knows to whom a seed goes");
                self.process_seed(control, *seed, recipients, slots, env);
            }
            Content::Add { user, slot } => self.process_add(control, *user, slot, env),
            Content::Ack { .. } | Content::None | Content::AddAck { .. } => {
                let processed = self.process_ack(author, acknowledges.unwrap(), content, taken.is_some(), env);
                if let Some((_, before)) = taken.filter(|_| !processed) {
                    self.taken.remove(&author);
                    *self.sender(author) = before;
                }
            }
            Content::Text if self.membership.view(author).contains(&author) => self.next_in_chain(author, env),
            Content::Text | Content::Welcome { .. } => {}
        }
    }

    fn view_changed(&mut self, before: &Users) {
        let lost: Vec<User> = before.difference(&self.view()).copied().collect();
        self.dirty |= !lost.is_empty();
        self.leaving.extend(lost);
    }

    /// Whose acknowledgement is awaited.
    fn waiting_for(&self, recipients: &Users, author: User) -> Users {
        let mut waiting = self.view();
        waiting.extend(recipients.difference(&self.retired));
        waiting.remove(&author);
        waiting.remove(&self.me);
        waiting
    }

    fn await_all(&mut self, control: Control, recipients: Users, secrets: BTreeMap<User, Atom>, covered: Vec<Control>) {
        let waiting = self.waiting_for(&recipients, control.0);
        if !waiting.is_empty() || !secrets.is_empty() {
            self.pending.insert(control, Pending { recipients, secrets, waiting, covered });
        }
    }

    fn apply_seed(&mut self, seed: Option<Atom>, control: Control, recipients: &Users, env: &mut Env<'_>) {
        let mut secrets = BTreeMap::new();
        match seed {
            Some(seed) => {
                let input = env.terms.derive(seed, For::Member(control.0));
                self.advance(control.0, input, env);
                for user in recipients {
                    secrets.insert(*user, env.terms.derive(seed, For::Member(*user)));
                }
            }
            None => *self.sender(control.0) = Sender::default(),
        }
        self.await_all(control, recipients.clone(), secrets, Vec::new());
    }

    fn process_seed(
        &mut self,
        control: Control,
        seed: Atom,
        recipients: &Users,
        slots: &BTreeMap<User, Slot>,
        env: &mut Env<'_>,
    ) {
        let (author, mine) = (control.0, slots.get(&self.me));
        let opened = self.decrypt(author, mine, env);
        assert!(opened.is_none_or(|opened| opened == seed));
        self.apply_seed(opened, control, recipients, env);
        let view = self.view();
        if opened.is_some() && view.contains(&author) && recipients.is_subset(&view) {
            self.dirty = false;
        }
        // The acknowledgement.
        let own = self.pending.get_mut(&control).and_then(|pending| pending.secrets.remove(&self.me));
        if mine.is_some() && opened.is_none() || !view.contains(&author) {
            return self.broadcast(Some(control), Content::None, env);
        }
        let mut forwards = BTreeMap::new();
        if let Some(own) = own {
            let unknown = |user: &User| *user != author && !recipients.contains(user);
            let unknown: Users = self.others().into_iter().filter(unknown).collect();
            if !unknown.is_empty() {
                forwards = self.encrypt(own, &unknown, env);
            }
            self.advance(self.me, own, env);
        }
        let tagged = self.rules.tagged && own.is_some() && forwards.is_empty();
        self.send(Some(control), Content::Ack { forwards }, tagged, env);
    }

    /// What everybody does with an add, the adder included.
    fn record_add(&mut self, control: Control, user: User, env: &mut Env<'_>) {
        let adder = control.0;
        self.membership.record(control, Change::Adds(Users::from([user])));
        if !self.senders.contains_key(&user) {
            self.introduce(user, 0, Sender { ratchet: Some(FIRST), chain: None });
        }
        if !self.view().contains(&user) && !self.retired.contains(&user) {
            self.leaving.insert(user);
        }
        let mut covered = Vec::new();
        if !self.membership.view(user).contains(&user) {
            for (earlier, pending) in &mut self.pending {
                if !pending.waiting.contains(&adder) {
                    covered.push(*earlier);
                } else if !self.retired.contains(&user) {
                    pending.waiting.insert(user);
                }
            }
        }
        let mut secrets = BTreeMap::new();
        if self.membership.view(adder).contains(&self.me) {
            secrets.extend(self.add_steps(adder, env).map(|secret| (user, secret)));
        }
        self.await_all(control, Users::from([user]), secrets, covered);
    }

    /// The two steps of an adder, and the joiner's first secret.
    fn add_steps(&mut self, adder: User, env: &mut Env<'_>) -> Option<Atom> {
        let ratchet = self.sender(adder).ratchet?;
        let (welcome, next) = env.terms.step(ratchet, WELCOME_STEP);
        self.sender(adder).ratchet = Some(next);
        self.advance(adder, ADD_STEP, env);
        Some(env.terms.derive(welcome, For::Joiner))
    }

    fn process_add(&mut self, control: Control, user: User, slot: &Slot, env: &mut Env<'_>) {
        let adder = control.0;
        if self.membership.check_add(adder, user).is_err() {
            return;
        }
        let before = self.view();
        if user == self.me {
            let ratchet = self.decrypt(adder, Some(slot), env);
            *self.sender(adder) = Sender { ratchet, chain: None };
        }
        self.record_add(control, user, env);
        self.view_changed(&before);
        if !self.continues() {
            return;
        }
        let view = self.view();
        if user == self.me || !self.rules.published && !view.contains(&adder) {
            if let Some(pending) = self.pending.get_mut(&control).filter(|_| user == self.me) {
                pending.secrets.remove(&self.me);
            }
            return self.broadcast(Some(control), Content::None, env);
        }
        let mine = self.senders[&self.me];
        let ratchet = mine.ratchet.filter(|_| self.rules.published || view.contains(&user));
        let slot = ratchet.and_then(|ratchet| self.encrypt(ratchet, &Users::from([user]), env).remove(&user));
        self.advance(self.me, ADD_STEP, env);
        if mine.chain.is_none() {
            self.sender(self.me).chain = None;
        }
        self.broadcast(Some(control), Content::AddAck { slot }, env);
    }

    /// Returns whether the acknowledgement breaks no rule.
    fn process_ack(
        &mut self,
        from: User,
        control: Control,
        content: &Content,
        is_taken: bool,
        env: &mut Env<'_>,
    ) -> bool {
        let is_change = self.membership.all().contains(&control);
        let is_awaited = !self.view().contains(&from)
            || match self.pending.get(&control) {
                Some(pending) => pending.waiting.contains(&from),
                None => self.joined_at.get(&control.0).is_some_and(|clock| control.1 <= *clock),
            };
        if !is_change && !is_awaited {
            return false;
        }
        let joins = !self.membership.view(from).contains(&from);
        if self.membership.acknowledge(from, control).is_err() {
            return false;
        }
        if joins {
            let covered = self.pending.get_mut(&control).map(|pending| core::mem::take(&mut pending.covered));
            for earlier in covered.into_iter().flatten() {
                if let Some(pending) = self.pending.get_mut(&earlier) {
                    pending.waiting.remove(&from);
                }
            }
            if !self.membership.view(from).contains(&self.me) {
                *self.sender(from) = Sender::default();
            }
        }
        if control.0 == self.me
            && !matches!(content, Content::None)
            && let Some(channel) = self.channels.get_mut(&from)
        {
            channel.acknowledged(control.1);
        }
        let pending = self.pending.get_mut(&control);
        let (known, expected) = match pending {
            Some(pending) if !matches!(content, Content::AddAck { .. }) => {
                (pending.secrets.remove(&from), pending.recipients.contains(&from))
            }
            _ => (None, false),
        };
        match content {
            // The ratchet has stepped already.
            Content::Ack { .. } if is_taken => {}
            Content::Ack { forwards } => {
                let forwarded = self.decrypt(from, forwards.get(&self.me), env);
                match known.or(forwarded) {
                    Some(secret) => self.advance(from, secret, env),
                    None if expected => *self.sender(from) = Sender::default(),
                    None => {}
                }
            }
            Content::AddAck { slot } => {
                if self.membership.added_by(control) == Some(self.me)
                    && let Some(ratchet) = self.decrypt(from, slot.as_ref(), env)
                {
                    self.sender(from).ratchet = Some(ratchet);
                }
                if self.membership.view(from).contains(&self.me) {
                    self.advance(from, ADD_STEP, env);
                }
            }
            _ => {}
        }
        if let Some(pending) = self.pending.get_mut(&control) {
            pending.waiting.remove(&from);
        }
        true
    }

    /// Forgets what nobody needs any more.
    pub(crate) fn tidy(&mut self) {
        let known_to_all = |user: &&User| self.membership.removal_is_acknowledged_by_all(**user);
        let all: Users = self.leaving.iter().filter(known_to_all).copied().collect();
        for user in all {
            self.leaving.remove(&user);
            self.retired.insert(user);
            self.channels.remove(&user);
            self.taken.remove(&user);
            *self.sender(user) = Sender::default();
            for pending in self.pending.values_mut() {
                pending.secrets.remove(&user);
                pending.waiting.remove(&user);
            }
        }
        self.pending.retain(|_, pending| !pending.waiting.is_empty());
    }

    /// A joiner's state after its welcome and its ADD. `None` if it has been removed already.
    pub(crate) fn join(me: User, rules: Rules, welcome: &Message, add: &Message, env: &mut Env<'_>) -> Option<Self> {
        let Content::Welcome { membership, delivered, .. } = &welcome.content else { return None };
        let Content::Add { slot, .. } = &add.content else { return None };
        let (adder, control) = (add.author, (add.author, add.number));
        let mut group = Self::empty(me, membership.invite(me), rules);
        for (user, number) in delivered.iter().filter(|(user, _)| **user != me) {
            let joined = group.membership.view(*user).contains(user);
            let first = !joined && *number == 0;
            let sender = Sender { ratchet: first.then_some(FIRST), chain: None };
            group.introduce(*user, if *user == adder { add.number } else { *number }, sender);
        }
        group.membership.record(control, Change::Adds(Users::from([me])));
        if !group.view().contains(&me) {
            return None;
        }
        group.introduce(me, 0, Sender { ratchet: Some(FIRST), chain: None });
        group.leaving = group.senders.keys().filter(|user| !group.view().contains(user)).copied().collect();
        let ratchet = group.decrypt(adder, Some(slot), env);
        group.sender(adder).ratchet = ratchet;
        let secret = group.add_steps(adder, env).unwrap();
        group.await_all(control, Users::from([me]), BTreeMap::new(), Vec::new());
        group.advance(me, secret, env);
        group.broadcast(Some(control), Content::Ack { forwards: BTreeMap::new() }, env);
        group.tidy();
        Some(group)
    }

    /// What a thief of the state finds.
    pub(crate) fn held(&self, held: &mut BTreeSet<Atom>) {
        let before = self.taken.values().flatten().map(|(_, before)| before);
        let senders = self.senders.values().chain(before);
        held.extend(senders.flat_map(|sender| sender.ratchet.iter().chain(&sender.chain)));
        held.extend(self.pending.values().flat_map(|pending| pending.secrets.values()));
        self.channels.values().for_each(|channel| channel.held(held));
    }
}
