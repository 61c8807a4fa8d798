//! Users on a network in memory, each in a backend instance of its own.

use std::collections::BTreeSet;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::recorder::Recorder;
use super::verdict::{Verdict, ensure};
use crate::crypto::count::Watch;
use crate::directory::InMemoryDirectory;
use crate::error::Error;
use crate::id::{GroupId, MemberId};
use crate::member::{
    Backend, COMMIT, Capabilities, Context, Event, Incoming, Member, NewUser, Ordering, Outgoing, Received, Recipients,
};
use crate::operation::{Measured, Operation, PLAINTEXT_LEN, Phase, Role};

/// The greatest number of rounds: a protocol that still sends after them sends for ever.
const MAX_ROUNDS: usize = 64;
/// The number of one-time prekeys of each user in addition to one for each other user.
const SPARE_PREKEYS: usize = 4;
/// The number of the first user's stream of randomness.
const OPERATIONS: u64 = 1 << 16;

/// What a user does. Users are named by their numbers.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Create(Vec<usize>),
    CreateMesh(Vec<usize>),
    Add(usize),
    Remove(usize),
    Update,
    Send(Vec<u8>),
}

impl Action {
    /// An operation in a group of the first `group_size` users: who acts, and what it does. The joiner is the next
    /// user. An operation of several members, which the suite does not run, begins like this.
    pub(crate) fn of(operation: Operation, group_size: usize) -> (usize, Self) {
        let others = || (1..group_size).collect();
        match operation {
            Operation::Create => (0, Self::Create(others())),
            Operation::CreateMesh => (0, Self::CreateMesh(others())),
            Operation::Add | Operation::AddAfter(_) => (0, Self::Add(group_size)),
            Operation::Remove | Operation::RemoveTogether | Operation::PartitionHeal => {
                (0, Self::Remove(group_size - 1))
            }
            Operation::Update | Operation::UpdateTogether | Operation::UpdateAfter(_) => (0, Self::Update),
            Operation::ConcurrentUpdates(_) | Operation::PartitionRecovery { .. } => (0, Self::Update),
            Operation::UpdateCold => (1, Self::Update),
            Operation::Message | Operation::MessageAfterRemove => (0, Self::Send(vec![0xa5; PLAINTEXT_LEN])),
        }
    }
}

pub(crate) struct User {
    pub(crate) id: MemberId,
    pub(crate) member: Box<dyn Member>,
    pub(crate) rng: Recorder,
    /// Whether the user should be a member.
    pub(crate) inside: bool,
    /// Whether broadcasts reach the user: they reach a removed member until the operation that removes it ends.
    pub(crate) hears: bool,
    /// The positions in the log of the messages that are on their way to the user.
    pub(crate) inbox: Vec<usize>,
    /// The positions in the log of the messages that the user has received.
    pub(crate) received: BTreeSet<usize>,
    /// What the user has read since the last operation began.
    pub(crate) read: Vec<(MemberId, Vec<u8>)>,
}

/// A message that a user has sent.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) author: usize,
    /// The user that it is for; `None` if it is for everybody.
    pub(crate) to: Option<usize>,
    pub(crate) kind: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// What has happened in a world.
#[derive(Clone)]
pub(crate) enum Happened {
    /// A user has made a call that was not refused.
    Called(usize, Action),
    /// The message at this position in the log has reached a user.
    Received(usize, usize),
    /// A user's state was taken.
    Stolen(usize),
}

/// A call that a user has made.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) author: usize,
    pub(crate) action: Action,
    /// The number of messages that had been sent before.
    pub(crate) sent: usize,
    /// How often each user had drawn before.
    pub(crate) drawn: Vec<usize>,
}

pub(crate) struct World<'a> {
    pub(crate) make: &'a dyn Fn() -> Box<dyn Backend>,
    /// Whether the backend declares that it needs threads.
    pub(crate) threads: bool,
    /// Whether the backend needs a total order. Then the log is that order, and messages reach their authors too.
    pub(crate) total: bool,
    pub(crate) users: Vec<User>,
    pub(crate) directory: InMemoryDirectory,
    pub(crate) group: GroupId,
    /// All messages that were ever sent.
    pub(crate) log: Vec<Sent>,
    /// All calls that were not refused.
    pub(crate) calls: Vec<Call>,
    /// Calls, and messages that have arrived, in order.
    pub(crate) happened: Vec<Happened>,
    /// Everything that members have said, with its author.
    pub(crate) said: Vec<(usize, Vec<u8>)>,
    pub(crate) roles: Vec<Role>,
    /// What the last operation has cost so far.
    pub(crate) cost: Measured,
    pub(crate) plaintexts: Recorder,
    /// The most members that speak in a conversation.
    pub(crate) most_speakers: usize,
    /// Reads the clock by which calls are timed.
    pub(crate) clock: &'a dyn Fn() -> u64,
    /// The time that all calls have taken so far, by this clock.
    pub(crate) busy: u64,
}

/// The stream of randomness with this number.
pub(crate) fn stream(seed: u64, number: u64) -> Recorder {
    Recorder::new(ChaCha20Rng::seed_from_u64(seed | number << 32))
}

impl<'a> World<'a> {
    /// This number of users with enough prekeys, in no group.
    pub(crate) fn new(make: &'a dyn Fn() -> Box<dyn Backend>, users: usize, seed: u64) -> Verdict<Self> {
        Self::with_prekeys(make, users, users + SPARE_PREKEYS, seed)
    }

    /// This number of users with this number of one-time prekeys each, in no group.
    pub(crate) fn with_prekeys(
        make: &'a dyn Fn() -> Box<dyn Backend>,
        users: usize,
        one_time: usize,
        seed: u64,
    ) -> Verdict<Self> {
        let (mut made, mut draws) = (Vec::new(), Vec::new());
        for number in 0..users {
            let mut rng = stream(seed, 1 + number as u64);
            made.push(make().new_user(one_time, &mut rng));
            draws.push(rng.draws);
        }
        let mut world = Self::of(make, made, seed)?;
        world.users.iter_mut().zip(draws).for_each(|(user, draws)| user.rng.draws = draws);
        Ok(world)
    }

    /// These users, in no group.
    pub(crate) fn of(make: &'a dyn Fn() -> Box<dyn Backend>, made: Vec<NewUser>, seed: u64) -> Verdict<Self> {
        let directory = InMemoryDirectory::default();
        let mut users = Vec::<User>::new();
        for NewUser { id, member, bundle, one_time } in made {
            ensure(id == member.id(), || "a new user has another id than its member says".to_owned())?;
            ensure(users.iter().all(|user| user.id != id), || "two users have one id".to_owned())?;
            directory.publish(id, bundle, one_time);
            let rng = stream(seed, OPERATIONS + users.len() as u64);
            let (inbox, received, read) = (Vec::new(), BTreeSet::new(), Vec::new());
            users.push(User { id, member, rng, inside: false, hears: false, inbox, received, read });
        }
        let (log, calls, happened, said) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let cost = Measured::default();
        let roles = vec![Role::Recipient; users.len()];
        let Capabilities { threads, ordering, .. } = make().description().capabilities;
        let (total, group, plaintexts) = (ordering == Ordering::Total, GroupId([0; 32]), stream(seed, 0));
        let (most_speakers, clock, busy): (_, &'a dyn Fn() -> u64, _) = (usize::MAX, &|| 0, 0);
        Ok(Self {
            make,
            threads,
            total,
            users,
            directory,
            group,
            log,
            calls,
            happened,
            said,
            roles,
            cost,
            plaintexts,
            most_speakers,
            clock,
            busy,
        })
    }

    /// From now on, all users draw from the streams with the numbers from `first` on.
    pub(crate) fn redraw(&mut self, seed: u64, first: u64) {
        for (number, user) in self.users.iter_mut().enumerate() {
            user.rng = stream(seed, first + number as u64);
        }
    }

    /// Runs an operation until the network is quiet, and checks who has read what.
    pub(crate) fn run(&mut self, operator: usize, action: &Action) -> Verdict<Measured> {
        self.begin(operator, action)?;
        self.settle(None)?;
        self.end(operator, action)?;
        Ok(self.cost.clone())
    }

    /// Makes the call, and puts the messages that it returns on their way.
    pub(crate) fn begin(&mut self, operator: usize, action: &Action) -> Verdict {
        let before = self.awaited(operator);
        if !before.is_empty() {
            let answers = self.receive(operator, &before, Phase::Process)?;
            self.post(operator, answers)?;
        }
        self.cost = Measured::default();
        self.roles.fill(Role::Recipient);
        self.roles[operator] = Role::Sender;
        self.users.iter_mut().for_each(|user| user.read.clear());
        let watch = Watch::start();
        let sent = self.call(operator, action);
        self.count(operator, Phase::Generate, watch)?;
        let sent = sent.map_err(|error| format!("the call failed: {error}"))?;
        match action {
            Action::Create(others) | Action::CreateMesh(others) => {
                let group = self.users[operator].member.group();
                self.group = group.ok_or("a member that has created a group is in none")?;
                for user in others.iter().chain([&operator]) {
                    self.admit(*user);
                }
            }
            Action::Add(user) => {
                self.admit(*user);
                self.roles[*user] = Role::Joiner;
            }
            Action::Remove(user) => {
                self.users[*user].inside = false;
                self.roles[*user] = Role::Removed;
            }
            Action::Update | Action::Send(_) => {}
        }
        self.post(operator, sent)
    }

    /// From now on broadcasts reach the user.
    pub(crate) fn admit(&mut self, user: usize) {
        self.users[user].inside = true;
        self.users[user].hears = true;
    }

    /// From now on broadcasts no longer reach a removed member. Checks who has read what.
    pub(crate) fn end(&mut self, operator: usize, action: &Action) -> Verdict {
        let sender = self.users[operator].id;
        for (number, user) in self.users.iter_mut().enumerate() {
            user.hears = user.inside;
            let right = match action {
                Action::Send(plaintext) if number != operator && user.inside => vec![(sender, plaintext.clone())],
                _ => Vec::new(),
            };
            ensure(user.read == right, || match right.is_empty() {
                true => "somebody read a message that was not for it, or read one again".to_owned(),
                false => "a member did not read exactly what another one sent, once and from its sender".to_owned(),
            })?;
        }
        Ok(())
    }

    /// Makes the call and nothing else.
    pub(crate) fn call(&mut self, user: usize, action: &Action) -> Result<Vec<Outgoing>, Error> {
        let ids: Vec<MemberId> = self.users.iter().map(|user| user.id).collect();
        let (sent, drawn) = (self.log.len(), self.drawn());
        let of = |users: &[usize]| users.iter().map(|user| ids[*user]).collect::<Vec<_>>();
        let User { member, rng, .. } = &mut self.users[user];
        let context = &mut Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        let before = (self.clock)();
        let result = match action {
            Action::Create(others) => member.create(&of(others), context),
            Action::CreateMesh(others) => member.create_mesh(&of(others), context),
            Action::Add(user) => member.add(&ids[*user], context),
            Action::Remove(user) => member.remove(&ids[*user], context),
            Action::Update => member.update(context),
            Action::Send(plaintext) => member.send(plaintext, context),
        };
        self.busy += (self.clock)().saturating_sub(before);
        if result.is_ok() {
            self.happened.push(Happened::Called(user, action.clone()));
            self.calls.push(Call { author: user, action: action.clone(), sent, drawn });
        }
        result
    }

    /// How often each user has drawn.
    pub(crate) fn drawn(&self) -> Vec<usize> {
        self.users.iter().map(|user| user.rng.draws.len()).collect()
    }

    /// Lets messages arrive in rounds until none is on its way, except to a user whose messages are `held` back.
    pub(crate) fn settle(&mut self, held: Option<usize>) -> Verdict {
        let mut phase = Phase::Process;
        for _ in 0..MAX_ROUNDS {
            let mut answers = Vec::new();
            for user in (0..self.users.len()).filter(|user| Some(*user) != held) {
                let places = core::mem::take(&mut self.users[user].inbox);
                if !places.is_empty() {
                    answers.push((user, self.receive(user, &places, phase)?));
                }
            }
            if answers.is_empty() {
                return Ok(());
            }
            for (author, sent) in answers {
                self.post(author, sent)?;
            }
            phase = Phase::Responses;
        }
        Err(format!("the network is not quiet after {MAX_ROUNDS} rounds"))
    }

    /// Lets messages arrive at a user, in one batch. Returns its answers.
    pub(crate) fn receive(&mut self, user: usize, places: &[usize], phase: Phase) -> Verdict<Vec<Outgoing>> {
        let incoming = |place: &usize| {
            let Sent { author, bytes, .. } = &self.log[*place];
            Incoming { group: self.group, author: self.users[*author].id, bytes }
        };
        let batch: Vec<Incoming<'_>> = places.iter().map(incoming).collect();
        self.happened.extend(places.iter().map(|place| Happened::Received(user, *place)));
        let User { member, rng, .. } = &mut self.users[user];
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        let (watch, before) = (Watch::start(), (self.clock)());
        let results = member.receive(&batch, &mut context);
        self.busy += (self.clock)().saturating_sub(before);
        ensure(results.len() == batch.len(), || "a batch did not yield one result for each message".to_owned())?;
        self.count(user, phase, watch)?;
        let mut answers = Vec::new();
        for (place, result) in places.iter().zip(results) {
            match result {
                Ok(received) => answers.extend(self.accept(user, *place, received)?),
                // A removed member may listen or not.
                Err(Error::NotInGroup) if !self.users[user].inside => {}
                Err(error) => {
                    let kind = self.log[*place].kind;
                    return Err(format!(
                        "a genuine message of kind `{kind}` was refused by a member in another instance: {error}"
                    ));
                }
            }
        }
        Ok(answers)
    }

    /// Lets a message arrive at a user, and judges nothing. Returns its answers.
    pub(crate) fn hand(&mut self, user: usize, place: usize) -> Vec<Outgoing> {
        self.happened.push(Happened::Received(user, place));
        let Sent { author, bytes, .. } = &self.log[place];
        let incoming = Incoming { group: self.group, author: self.users[*author].id, bytes };
        let User { member, rng, .. } = &mut self.users[user];
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        member.receive_one(&incoming, &mut context).unwrap_or_default().outgoing
    }

    /// Records what a user has read, and refuses what should not happen among honest members. Returns the user's
    /// answers.
    pub(crate) fn accept(&mut self, user: usize, place: usize, received: Received) -> Verdict<Vec<Outgoing>> {
        let (kind, reader) = (self.log[place].kind, &mut self.users[user]);
        reader.received.insert(place);
        for event in received.events {
            let trouble = match event {
                Event::Message { from, plaintext } => {
                    reader.read.push((from, plaintext));
                    continue;
                }
                Event::Undecryptable { .. } => "could not be decrypted".to_owned(),
                Event::Rejected { rule, .. } => format!("was rejected by the rule {rule:?}"),
                Event::Equivocation { .. } => "was reported as a second one under its number".to_owned(),
                Event::Inconsistent { .. } => "was reported to carry another secret".to_owned(),
                _ => continue,
            };
            ensure(!reader.inside, || {
                format!("a genuine message {trouble}: one of kind `{kind}`, or one that waited for it")
            })?;
        }
        Ok(received.outgoing)
    }

    /// Takes what a user must receive before it acts out of its inbox: all up to its own commit, if that is under way.
    pub(crate) fn awaited(&mut self, user: usize) -> Vec<usize> {
        let log = &self.log;
        let own = |place: &usize| log[*place].author == user && log[*place].kind == COMMIT;
        let inbox = &mut self.users[user].inbox;
        let until = inbox.iter().rposition(own).map_or(0, |at| at + 1);
        if self.total { inbox.drain(..until).collect() } else { Vec::new() }
    }

    /// Whether a sequencer drops these messages: they have a commit, and their author has not received the last one.
    pub(crate) fn drops(&self, author: usize, sent: &[Outgoing]) -> bool {
        let is_new = |place: &usize| self.log[*place].kind == COMMIT;
        self.total && sent.iter().any(|message| message.kind == COMMIT) && self.users[author].inbox.iter().any(is_new)
    }

    /// Whether messages for this user, or for everybody, are for a user.
    pub(crate) fn addresses(&self, author: usize, to: Option<usize>, user: usize) -> bool {
        to.map_or(self.users[user].hears && (self.total || user != author), |to| to == user)
    }

    /// Puts messages on their way.
    pub(crate) fn post(&mut self, author: usize, sent: Vec<Outgoing>) -> Verdict {
        if self.drops(author, &sent) {
            return Ok(());
        }
        for Outgoing { to, kind, bytes } in sent {
            ensure(!kind.is_empty(), || "a message has no kind".to_owned())?;
            let to = match to {
                Recipients::Everyone => None,
                Recipients::One(id) => {
                    let user = self.users.iter().position(|user| user.id == id);
                    Some(user.ok_or_else(|| format!("a message of kind `{kind}` is for a user that does not exist"))?)
                }
            };
            let place = self.log.len();
            for user in 0..self.users.len() {
                if self.addresses(author, to, user) {
                    self.users[user].inbox.push(place);
                }
            }
            *self.cost.messages.entry(kind).or_default() += 1;
            self.log.push(Sent { author, to, kind, bytes });
        }
        Ok(())
    }

    /// Adds what was counted since the start of the watch to the cost of the operation.
    fn count(&mut self, user: usize, phase: Phase, watch: Watch) -> Verdict {
        let counts = if self.threads { watch.everywhere() } else { watch.here() };
        // A signature that is checked together with others counts as checked alone.
        *self.cost.counts.entry((self.roles[user], phase)).or_default() += counts.one_by_one();
        ensure(!watch.repeated(), || "a call uses primitives that it does not count".to_owned())?;
        ensure(self.threads || watch.elsewhere() != Some(true), || {
            "a call uses primitives on another thread, and the backend does not declare that it needs threads"
                .to_owned()
        })
    }
}
