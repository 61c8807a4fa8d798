//! The users, what they do, and what must hold after each call.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::network::Network;
use super::schedule::{Fate, Schedule, Step, USERS, What};
use super::{Audit, Extent};
use crate::directory::InMemoryDirectory;
use crate::error::Error;
use crate::id::{GroupId, MemberId};
use crate::member::{Backend, Context, Event, Incoming, Member, Outgoing, Received};

/// One-time prekeys of each user. They may run out.
const PREKEYS: usize = 24;
/// What a member gets in one call at most.
const MAX_BATCH: usize = 8;

pub(super) struct World<'a> {
    backend: &'a dyn Backend,
    audit: Option<Box<dyn Audit + 'a>>,
    directory: InMemoryDirectory,
    pub(super) group: GroupId,
    pub(super) users: Vec<User>,
    pub(super) network: Network,
    pub(super) said: Vec<Said>,
    /// The key material of a sender after so many of its messages, as the first saw it who showed it.
    sequence: BTreeMap<(MemberId, u32), [u8; 32]>,
    /// What each step was, in words.
    pub(super) log: Vec<String>,
    /// What has happened so far; messages are counted where they are kept.
    pub(super) extent: Extent,
}

pub(super) struct User {
    pub(super) id: MemberId,
    pub(super) member: Box<dyn Member>,
    rng: ChaCha20Rng,
}

/// An application message.
pub(super) struct Said {
    pub(super) author: usize,
    text: Vec<u8>,
    /// Who was a member in its author's eyes.
    pub(super) view: Vec<MemberId>,
    /// How often each user has read it.
    pub(super) read: [u32; USERS],
}

/// A call of a member, for the auditor.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Who was called.
    pub by: MemberId,
    /// The members in its eyes before.
    pub before: &'a [MemberId],
    /// The members in its eyes after.
    pub after: &'a [MemberId],
    /// What it sent.
    pub outgoing: &'a [Outgoing],
    /// What it was told.
    pub events: &'a [Event],
    /// The authors of honest messages that it refused, and why: they were no members in its eyes.
    pub refused: &'a [(MemberId, Error)],
}

impl Call<'_> {
    /// Whether a user may have been a member in its eyes before, after, or for a while during the call.
    #[must_use]
    pub fn has_seen(&self, user: &MemberId) -> bool {
        let tells = |event: &Event| match event {
            Event::Added { user: other, .. } | Event::Removed { user: other, .. } => other == user,
            // Whom it joins is not told one by one.
            Event::Joined { .. } => true,
            _ => false,
        };
        self.before.contains(user) || self.after.contains(user) || self.events.iter().any(tells)
    }
}

/// The error says what is wrong.
pub(super) type Verdict<T = ()> = Result<T, String>;

impl<'a> World<'a> {
    /// The users, of whom the first has created a group of some.
    pub(super) fn new(
        backend: &'a dyn Backend,
        audit: Option<Box<dyn Audit + 'a>>,
        schedule: &Schedule,
    ) -> Verdict<Self> {
        let directory = InMemoryDirectory::default();
        let mut users = Vec::with_capacity(USERS);
        for stream in 0..USERS as u64 {
            let mut rng = ChaCha20Rng::seed_from_u64(schedule.seed);
            rng.set_stream(stream);
            let user = backend.new_user(PREKEYS, &mut rng);
            directory.publish(user.id, user.bundle, user.one_time);
            users.push(User { id: user.id, member: user.member, rng });
        }
        let network = Network::new(users.iter().map(|user| user.id).collect());
        let mut world = Self {
            backend,
            audit,
            directory,
            group: GroupId([0; 32]),
            users,
            network,
            said: Vec::new(),
            sequence: BTreeMap::new(),
            log: Vec::new(),
            extent: Extent::default(),
        };
        let others: Vec<MemberId> = world.users[1..schedule.founders].iter().map(|user| user.id).collect();
        (0..schedule.founders).for_each(|user| world.network.invite(user));
        let refused = world.call(0, Fate::Lives, |member, context| member.create(&others, context))?;
        if let Some(error) = refused {
            return Err(format!("the group cannot be created: {error}"));
        }
        world.group = world.users[0].member.group().ok_or("the creator is in no group")?;
        Ok(world)
    }

    pub(super) fn step(&mut self, step: Step) -> Verdict {
        self.log.push(String::new());
        let [first, second, third] = step.arguments.map(usize::from);
        let fate = step.fate();
        match step.what() {
            What::Settle => {
                self.note(|| "everything arrives that can".to_owned());
                self.settle()
            }
            What::Say => self.say(self.actor(first), fate),
            What::Update => self.update(self.actor(first), fate),
            What::Add => self.add(self.actor(first), second, fate),
            What::Remove => self.remove(self.actor(first), second, fate),
            What::CreateAgain => self.create_again(first % USERS),
            What::Deliver => {
                let to = self.one_of(first, |user| !self.network.deliverable(user).is_empty());
                let mut places = self.network.deliverable(to);
                let first = second % places.len().max(1);
                places.rotate_left(first);
                places.truncate(1 + third / 8 % MAX_BATCH);
                self.note(|| format!("messages {places:?} reach user {to}, who {fate}"));
                self.deliver(to, &places, fate)
            }
            What::CatchUp => {
                let to = self.one_of(first, |user| !self.network.deliverable(user).is_empty());
                let places = self.network.deliverable(to);
                self.note(|| format!("messages {places:?} reach user {to}, who {fate}"));
                self.deliver(to, &places, fate)
            }
            What::Repeat => {
                let to = self.one_of(first, |user| !self.network.come(user).is_empty());
                let come = self.network.come(to);
                let place = come.get(second % come.len().max(1)).copied();
                place.map_or(Ok(()), |place| self.repeat(to, place))
            }
            What::Damage => {
                let to = self.one_of(first, |user| !self.network.deliverable(user).is_empty());
                self.damage(to, second, third)
            }
            What::Part => {
                let sides = u16::from_be_bytes([step.arguments[0], step.arguments[1]]);
                self.note(|| format!("the users part by the bits {sides:010b}"));
                self.network.part(sides);
                Ok(())
            }
            What::Heal => {
                self.note(|| "the users meet again".to_owned());
                self.network.part(0);
                Ok(())
            }
            What::Sleep => {
                self.note(|| format!("user {} falls asleep", first % USERS));
                self.network.asleep[first % USERS] = true;
                Ok(())
            }
            What::Wake => {
                self.note(|| format!("user {} wakes up", first % USERS));
                self.network.asleep[first % USERS] = false;
                Ok(())
            }
            What::Restart => {
                self.note(|| format!("user {} restarts", first % USERS));
                self.restore(first % USERS, None)
            }
        }
    }

    /// Says what the step is.
    fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(line) = self.log.last_mut() {
            *line = what();
        }
    }

    /// Everything reaches everybody whom it can reach, and so do the answers.
    pub(super) fn settle(&mut self) -> Verdict {
        loop {
            let before = self.network.sent.len();
            for to in 0..USERS {
                let places = self.network.deliverable(to);
                self.deliver(to, &places, Fate::Lives)?;
            }
            if self.network.sent.len() == before {
                return Ok(());
            }
        }
    }

    /// Whoever is in the group as it sees it; None in its eyes means that it is not.
    pub(super) fn is_inside(&self, user: usize) -> bool {
        !self.users[user].member.members().is_empty()
    }

    /// Mostly somebody inside, sometimes anybody.
    fn actor(&self, argument: usize) -> usize {
        if argument < 240 { self.one_of(argument, |user| self.is_inside(user)) } else { argument % USERS }
    }

    /// One of those of whom this is true; of all, if it is of none.
    fn one_of(&self, argument: usize, is: impl Fn(usize) -> bool) -> usize {
        let those: Vec<usize> = (0..USERS).filter(|user| is(*user)).collect();
        those.get(argument % those.len().max(1)).copied().unwrap_or(argument % USERS)
    }

    pub(super) fn say(&mut self, by: usize, fate: Fate) -> Verdict {
        self.note(|| format!("user {by} speaks and {fate}"));
        let text = format!("message {}", self.said.len()).into_bytes();
        let view = self.users[by].member.members();
        let inside = self.is_inside(by);
        let refused = self.call(by, fate, |member, context| member.send(&text, context))?;
        expect(by, "send", refused, if inside { None } else { Some(Error::NotInGroup) })?;
        if inside && fate != Fate::DiesBefore {
            self.said.push(Said { author: by, text, view, read: [0; USERS] });
        }
        Ok(())
    }

    pub(super) fn update(&mut self, by: usize, fate: Fate) -> Verdict {
        self.note(|| format!("user {by} updates and {fate}"));
        if !self.backend.description().capabilities.pcs_update {
            return self.say(by, fate);
        }
        let inside = self.is_inside(by);
        let refused = self.call(by, fate, |member, context| member.update(context))?;
        self.extent.updates += u64::from(refused.is_none() && fate != Fate::DiesBefore);
        expect(by, "update", refused, if inside { None } else { Some(Error::NotInGroup) })
    }

    /// Mostly somebody who is no member yet.
    fn add(&mut self, by: usize, argument: usize, fate: Fate) -> Verdict {
        let members = self.users[by].member.members();
        let strangers: Vec<usize> = (0..USERS).filter(|user| !members.contains(&self.users[*user].id)).collect();
        let stranger = strangers.get(argument % strangers.len().max(1)).copied();
        let whom = stranger.filter(|_| argument < 230).unwrap_or(argument % USERS);
        let id = self.users[whom].id;
        self.note(|| format!("user {by} adds user {whom} and {fate}"));
        let refused = self.call(by, fate, |member, context| member.add(&id, context))?;
        if refused.is_none() && fate != Fate::DiesBefore {
            self.extent.adds += 1;
            self.network.invite(whom);
        }
        // Somebody who was a member once comes back under another id only.
        let expected = match refused {
            _ if members.is_empty() => Some(Error::NotInGroup),
            _ if members.contains(&id) => Some(Error::AlreadyAMember),
            Some(Error::AlreadyAMember) if self.network.invited[whom] => refused,
            _ => None,
        };
        expect(by, "add", refused, expected)
    }

    fn remove(&mut self, by: usize, argument: usize, fate: Fate) -> Verdict {
        let members = self.users[by].member.members();
        let member = members.get(argument % members.len().max(1)).filter(|_| argument < 230);
        let id = member.copied().unwrap_or(self.users[argument % USERS].id);
        let whom = self.users.iter().position(|user| user.id == id).unwrap_or(USERS);
        self.note(|| format!("user {by} removes user {whom} and {fate}"));
        let refused = self.call(by, fate, |member, context| member.remove(&id, context))?;
        self.extent.removes += u64::from(refused.is_none() && fate != Fate::DiesBefore);
        let expected = match () {
            () if members.is_empty() => Some(Error::NotInGroup),
            () if id == self.users[by].id => Some(Error::RemovesItself),
            () if members.contains(&id) => None,
            () => Some(Error::NotAMember),
        };
        expect(by, "remove", refused, expected)
    }

    /// Whoever has a group, or had one, does not create another.
    fn create_again(&mut self, by: usize) -> Verdict {
        if self.users[by].member.group().is_none() {
            return Ok(());
        }
        self.note(|| format!("user {by} creates a group again"));
        let refused = self.call(by, Fate::Lives, |member, context| member.create(&[], context))?;
        expect(by, "create", refused, Some(Error::AlreadyInGroup))
    }

    /// A call that is not a delivery. Returns why it was refused, if it was.
    fn call(
        &mut self,
        by: usize,
        fate: Fate,
        action: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) -> Verdict<Option<Error>> {
        let User { member, rng, .. } = &mut self.users[by];
        let (state, members) = (member.export(), member.members());
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        let result = action(member.as_mut(), &mut context);
        self.extent.calls += 1;
        match result {
            Ok(outgoing) => {
                self.finish(by, fate, state, &members, Received { outgoing, events: Vec::new() }, &[])?;
                Ok(None)
            }
            Err(error) if member.export() == state => Ok(Some(error)),
            Err(error) => Err(format!("user {by} refuses a call (`{error}`), and its state has changed")),
        }
    }

    /// Hands messages to a user in one call.
    fn deliver(&mut self, to: usize, places: &[usize], fate: Fate) -> Verdict {
        if places.is_empty() {
            return Ok(());
        }
        let User { member, rng, .. } = &mut self.users[to];
        let (state, members) = (if fate == Fate::DiesBefore { member.export() } else { Vec::new() }, member.members());
        let (ids, sent) = (self.network.ids(), &self.network.sent);
        let incoming = |place: &usize| Incoming {
            group: self.group,
            author: ids[sent[*place].author],
            bytes: &sent[*place].bytes,
        };
        let batch: Vec<Incoming<'_>> = places.iter().map(incoming).collect();
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        let results = member.receive(&batch, &mut context);
        self.extent.calls += 1;
        if results.len() != batch.len() {
            return Err(format!("user {to} answers {} messages of {}", results.len(), batch.len()));
        }
        let (mut all, mut refused) = (Received::default(), Vec::new());
        let after = self.users[to].member.members();
        for (place, result) in places.iter().zip(results) {
            let author = self.users[self.network.sent[*place].author].id;
            match result {
                Ok(received) => {
                    all.outgoing.extend(received.outgoing);
                    all.events.extend(received.events);
                }
                // Whoever is out is not followed any more, where the protocol says so.
                Err(error) if !after.contains(&author) => refused.push((author, error)),
                Err(error) => {
                    let kind = self.network.sent[*place].kind;
                    return Err(format!("user {to} refuses message {place} (`{kind}`): {error}"));
                }
            }
        }
        if fate != Fate::DiesBefore {
            self.network.arrived(to, places);
        }
        self.finish(to, fate, state, &members, all, &refused)
    }

    /// A message that a user has had comes again: nothing happens, whether that is called an error or not.
    fn repeat(&mut self, to: usize, place: usize) -> Verdict {
        self.note(|| format!("message {place} reaches user {to} again"));
        self.extent.repeated += 1;
        let sent = &self.network.sent[place];
        let (author, bytes) = (self.users[sent.author].id, sent.bytes.clone());
        let state = self.users[to].member.export();
        match self.receive_alone(to, author, &bytes) {
            Ok(received) if received != Received::default() => {
                Err(format!("message {place} again at user {to} has effects: {:?}", received.events))
            }
            _ if self.users[to].member.export() != state => {
                Err(format!("message {place} again at user {to} has effects"))
            }
            _ => Ok(()),
        }
    }

    /// A message comes with a flipped bit, or shorter. It does nothing; at most it waits.
    fn damage(&mut self, to: usize, which: usize, how: usize) -> Verdict {
        let deliverable = self.network.deliverable(to);
        let Some(place) = deliverable.get(which % deliverable.len().max(1)) else { return Ok(()) };
        let sent = &self.network.sent[*place];
        let (author, mut bytes) = (self.users[sent.author].id, sent.bytes.clone());
        let at = how * 97 % bytes.len();
        let place = *place;
        self.note(|| format!("message {place} reaches user {to} damaged at byte {at}"));
        if how.is_multiple_of(5) {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << (how % 8);
        }
        let state = self.users[to].member.export();
        self.extent.damaged += 1;
        match self.receive_alone(to, author, &bytes) {
            Ok(received) if received == Received::default() => Ok(()),
            Ok(received) => Err(format!("message {place}, damaged at byte {at}, has effects: {:?}", received.events)),
            Err(_) if self.users[to].member.export() == state => Ok(()),
            Err(error) => Err(format!("message {place}, damaged at byte {at}, is refused (`{error}`) and has effects")),
        }
    }

    fn receive_alone(&mut self, to: usize, author: MemberId, bytes: &[u8]) -> Result<Received, Error> {
        let User { member, rng, .. } = &mut self.users[to];
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        self.extent.calls += 1;
        member.receive_one(&Incoming { group: self.group, author, bytes }, &mut context)
    }

    /// What comes of a call that was not refused.
    fn finish(
        &mut self,
        by: usize,
        fate: Fate,
        state: Vec<u8>,
        members: &[MemberId],
        received: Received,
        refused: &[(MemberId, Error)],
    ) -> Verdict {
        match fate {
            Fate::DiesBefore => return self.restore(by, Some(&state)),
            Fate::DiesAfter => self.restore(by, None)?,
            Fate::Lives => {}
        }
        let after = self.users[by].member.members();
        if let Some(audit) = &mut self.audit {
            let Received { outgoing, events } = &received;
            let id = self.users[by].id;
            audit.call(&Call { by: id, before: members, after: &after, outgoing, events, refused })?;
        }
        self.network.post(by, received.outgoing)?;
        received.events.into_iter().try_for_each(|event| self.take(by, event))?;
        self.compare_key_material(by)
    }

    /// A user dies, and goes on from this state or its latest.
    fn restore(&mut self, user: usize, state: Option<&[u8]>) -> Verdict {
        self.extent.restarts += 1;
        let latest = self.users[user].member.export();
        let state = state.unwrap_or(&latest);
        let member = self.backend.restore(state).map_err(|error| format!("the export of user {user}: {error}"))?;
        if member.export() != state {
            return Err(format!("user {user}, restored, has another export"));
        }
        self.users[user].member = member;
        Ok(())
    }

    fn take(&mut self, by: usize, event: Event) -> Verdict {
        match event {
            Event::Message { from, plaintext } => {
                let said = self.said.iter_mut().find(|said| said.text == plaintext);
                let Some(said) = said.filter(|said| self.users[said.author].id == from) else {
                    return Err(format!("user {by} reads what nobody has said, or not the user whom it names"));
                };
                said.read[by] += 1;
            }
            Event::Rejected { from, rule } if self.users[by].member.members().contains(&from) => {
                return Err(format!("user {by} rejects a message of {from}, by the rule {rule:?}"));
            }
            Event::Equivocation { by: author } => {
                return Err(format!("user {by} says that {author} signed two messages under one number"));
            }
            _ => {}
        }
        Ok(())
    }

    /// For each sender there is one sequence of key material: whoever knows any after a message of the sender's knows the
    /// same as all others after it.
    fn compare_key_material(&mut self, user: usize) -> Verdict {
        let member = &self.users[user].member;
        let (Some(known), Some(handled)) = (member.fingerprints(), member.handled()) else { return Ok(()) };
        for (sender, fingerprint) in known {
            let Ok(at) = handled.binary_search_by_key(&sender, |(author, _)| *author) else { continue };
            let number = handled[at].1;
            if *self.sequence.entry((sender, number)).or_insert(fingerprint) != fingerprint {
                return Err(format!("after message {number} of {sender}, user {user} has other key material of it"));
            }
        }
        Ok(())
    }

    /// What the auditor says when nothing is on its way.
    pub(super) fn audit_at_rest(&mut self) -> Verdict {
        let Some(audit) = &mut self.audit else { return Ok(()) };
        let exports: Vec<(MemberId, Vec<u8>)> = self.users.iter().map(|user| (user.id, user.member.export())).collect();
        audit.at_rest(&exports, self.extent.damaged > 0)
    }
}

fn expect(by: usize, what: &str, refused: Option<Error>, expected: Option<Error>) -> Verdict {
    match (refused, expected) {
        (one, other) if one == other => Ok(()),
        (Some(error), _) => Err(format!("user {by} cannot {what}: {error}")),
        (None, _) => Err(format!("user {by} can {what}, and must not")),
    }
}
