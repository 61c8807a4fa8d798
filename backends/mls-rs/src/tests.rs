//! A few members whose messages are put in order by hand.

use protocol::crypto::count::{self, Counted};
use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Event, Incoming, Member, NewUser, Outgoing, Received, Recipients};
use protocol::operation::{Measured, Operation, Phase, Role, Start};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::provider::{AwsLc, Provider, RustCrypto};
use crate::user::Mls;

/// Users, the first `inside` of whom are members, on a network with one order.
struct World {
    users: Vec<(MemberId, Box<dyn Member>, ChaCha20Rng)>,
    directory: InMemoryDirectory,
    group: GroupId,
}

impl World {
    fn new(backend: &dyn Backend, users: usize) -> Self {
        let directory = InMemoryDirectory::default();
        let made = (0..users).map(|number| {
            let mut rng = ChaCha20Rng::seed_from_u64(number as u64);
            let NewUser { id, member, bundle, one_time } = backend.new_user(2, &mut rng);
            directory.publish(id, bundle, one_time);
            (id, member, rng)
        });
        let users = made.collect();
        Self { users, directory, group: GroupId([0; 32]) }
    }

    fn id(&self, user: usize) -> MemberId {
        self.users[user].0
    }

    fn call<T>(&mut self, user: usize, call: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> T) -> T {
        let (_, member, rng) = &mut self.users[user];
        call(&mut **member, &mut Context { rng, directory: &self.directory, confirm_inviter: &|_| true })
    }

    fn receive(&mut self, user: usize, author: usize, bytes: &[u8]) -> Result<Received, Error> {
        let (group, author) = (self.group, self.id(author));
        self.call(user, |member, context| member.receive_one(&Incoming { group, author, bytes }, context))
    }

    /// Delivers to all of these users, the author included. Returns what happened at each.
    fn deliver(&mut self, to: &[usize], author: usize, sent: &[Outgoing]) -> Vec<Vec<Event>> {
        let mut happened = Vec::new();
        for user in to {
            let mut events = Vec::new();
            for message in sent {
                if message.to == Recipients::Everyone || message.to == Recipients::One(self.id(*user)) {
                    events.extend(self.receive(*user, author, &message.bytes).unwrap().events);
                    // Again, and to a member that has been exported and restored.
                    self.users[*user].1 = self.users[*user].1.duplicate();
                    let again = self.receive(*user, author, &message.bytes);
                    assert_eq!(again, Ok(Received::default()));
                }
            }
            happened.push(events);
        }
        happened
    }

    fn create(&mut self, size: usize) -> Vec<Outgoing> {
        let others: Vec<_> = (1..size).map(|user| self.id(user)).collect();
        let sent = self.call(0, |member, context| member.create(&others, context)).unwrap();
        self.group = self.users[0].1.group().unwrap();
        let all: Vec<_> = (0..size).collect();
        self.deliver(&all, 0, &sent);
        self.agree(&all);
        sent
    }

    fn agree(&self, members: &[usize]) {
        let mut ids: Vec<_> = members.iter().map(|user| self.id(*user)).collect();
        ids.sort_unstable();
        let fingerprints = self.users[members[0]].1.fingerprints();
        for user in members {
            assert_eq!(self.users[*user].1.members(), ids);
            assert_eq!(self.users[*user].1.fingerprints(), fingerprints);
        }
    }

    fn say(&mut self, author: usize, members: &[usize]) -> Vec<Outgoing> {
        let sent = self.call(author, |member, context| member.send(b"text", context)).unwrap();
        let from = self.id(author);
        let read = Event::Message { from, plaintext: b"text".to_vec() };
        for (user, events) in members.iter().zip(self.deliver(members, author, &sent)) {
            assert_eq!(events.contains(&read), *user != author);
        }
        sent
    }
}

fn lives<P: Provider>(backend: &Mls<P>) {
    let mut world = World::new(backend, 5);
    world.create(4);
    let all = [0, 1, 2, 3];
    for user in all {
        world.say(user, &all);
    }
    world.agree(&all);
    let by = world.id(1);
    let sent = world.call(1, |member, context| member.update(context)).unwrap();
    let before = world.users[1].1.fingerprints();
    assert!(world.deliver(&all, 1, &sent).iter().all(|events| *events == [Event::Updated { by }]));
    assert_ne!(world.users[1].1.fingerprints(), before);
    world.agree(&all);
    let (user, all) = (world.id(4), [0, 1, 2, 3, 4]);
    let sent = world.call(2, |member, context| member.add(&user, context)).unwrap();
    world.deliver(&all, 2, &sent);
    world.agree(&all);
    world.say(4, &all);
    let user = world.id(1);
    let sent = world.call(4, |member, context| member.remove(&user, context)).unwrap();
    world.deliver(&all, 4, &sent);
    assert_eq!(world.users[1].1.members(), []);
    world.agree(&[0, 2, 3, 4]);
    world.say(2, &[0, 2, 3, 4]);
    assert_eq!(world.call(1, |member, context| member.update(context)), Err(Error::NotInGroup));
}

#[test]
fn groups_live_with_all_variants() {
    lives(&Mls::<RustCrypto>::FRESH);
    lives(&Mls::<RustCrypto>::FULL);
    lives(&Mls::<AwsLc>::FRESH);
    lives(&Mls::<AwsLc>::FULL);
}

#[test]
fn of_two_commits_the_first_takes_effect_and_the_other_is_made_again() {
    let (mut world, all) = (World::new(&Mls::<RustCrypto>::FRESH, 3), [0, 1, 2]);
    world.create(3);
    let lost = world.call(0, |member, context| member.update(context)).unwrap();
    let first = world.call(1, |member, context| member.update(context)).unwrap();
    world.deliver(&all, 1, &first);
    world.agree(&all);
    assert_eq!(world.receive(2, 0, &lost[0].bytes), Ok(Received::default()));
    assert_eq!(world.receive(0, 0, &lost[0].bytes), Ok(Received::default()));
    let again = world.call(0, |member, context| member.update(context)).unwrap();
    world.deliver(&all, 0, &again);
    world.agree(&all);
}

#[test]
fn a_message_that_a_few_commits_have_overtaken_is_read() {
    for (commits, is_read) in [(3, true), (4, false)] {
        let (mut world, all) = (World::new(&Mls::<RustCrypto>::FRESH, 3), [0, 1, 2]);
        world.create(3);
        let text = world.call(0, |member, context| member.send(b"text", context)).unwrap();
        for _ in 0..commits {
            let sent = world.call(1, |member, context| member.update(context)).unwrap();
            world.deliver(&all, 1, &sent);
        }
        assert_eq!(world.receive(2, 0, &text[0].bytes).unwrap().events.len(), usize::from(is_read));
        world.deliver(&all, 0, &text);
    }
}

#[test]
fn a_forgery_leaves_no_trace() {
    let mut world = World::new(&Mls::<RustCrypto>::FRESH, 3);
    world.create(3);
    let text = world.call(0, |member, context| member.send(b"text", context)).unwrap();
    let update = world.call(0, |member, context| member.update(context)).unwrap();
    for sent in [&text[0].bytes, &update[0].bytes] {
        for at in (0..sent.len()).step_by(7) {
            let before = world.users[1].1.export();
            let mut altered = sent.clone();
            altered[at] ^= 1;
            let _ = world.receive(1, 0, &altered);
            assert_eq!(world.users[1].1.export(), before);
        }
        assert_eq!(world.receive(1, 0, sent).unwrap().events.len(), 1);
    }
    let mut copy = World::new(&Mls::<RustCrypto>::FRESH, 0);
    copy.directory = world.directory.clone();
    copy.users.push((world.id(1), world.users[1].1.duplicate(), ChaCha20Rng::seed_from_u64(9)));
    let unsent = copy.call(0, |member, context| member.send(b"text", context)).unwrap();
    assert_eq!(world.receive(1, 1, &unsent[0].bytes), Err(Error::WrongAuthor));
}

/// What was counted, by role and phase.
fn costs_are_exact<P: Provider>(backend: &Mls<P>, n: usize) {
    let mut world = World::new(backend, n + 1);
    let all: Vec<_> = (0..n).collect();
    let start = |world: &mut World, operation: Operation| {
        if operation.start() >= Start::Created {
            world.create(n);
        }
        if operation.start() >= Start::Conversed {
            (1..n).chain([0]).for_each(|user| drop(world.say(user, &all)));
        }
        if operation.start() == Start::Removed {
            let user = world.id(n - 1);
            let sent = world.call(0, |member, context| member.remove(&user, context)).unwrap();
            world.deliver(&all, 0, &sent);
        }
    };
    for operation in Operation::ALL.into_iter().filter(|operation| backend.has(*operation, n)) {
        start(&mut world, operation);
        let author = usize::from(operation == Operation::UpdateCold);
        let (joiner, last) = (world.id(n), world.id(n - 1));
        let others: Vec<_> = (1..n).map(|user| world.id(user)).collect();
        let before = count::snapshot();
        let sent = world.call(author, |member, context| match operation {
            Operation::Create => member.create(&others, context),
            Operation::Add => member.add(&joiner, context),
            Operation::Remove => member.remove(&last, context),
            Operation::Update | Operation::UpdateCold => member.update(context),
            _ => member.send(b"text", context),
        });
        let (sent, mut measured) = (sent.unwrap(), Measured::default());
        measured.counts.insert((Role::Sender, Phase::Generate), count::snapshot() - before);
        sent.iter().for_each(|message| *measured.messages.entry(message.kind).or_default() += 1);
        if operation == Operation::Create {
            world.group = world.users[0].1.group().unwrap();
        }
        for user in 0..=n {
            let role = match operation {
                _ if user == author => Role::Sender,
                Operation::Add if user == n => Role::Joiner,
                Operation::Remove if user == n - 1 => Role::Removed,
                _ => Role::Recipient,
            };
            if user == n && role != Role::Joiner {
                continue;
            }
            let before = count::snapshot();
            for message in &sent {
                if message.to == Recipients::Everyone || message.to == Recipients::One(world.id(user)) {
                    world.receive(user, author, &message.bytes).unwrap();
                }
            }
            *measured.counts.entry((role, Phase::Process)).or_default() += count::snapshot() - before;
        }
        let expected = backend.expected(operation, n).unwrap();
        if let Err(error) = expected.compare(&measured, Counted::PublicKey) {
            panic!("{operation} in a group of {n}: {error}");
        }
        world = World::new(backend, n + 1);
    }
}

#[test]
fn the_costs_of_all_operations_are_exact() {
    for n in [2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17] {
        costs_are_exact(&Mls::<RustCrypto>::FRESH, n);
        costs_are_exact(&Mls::<RustCrypto>::FULL, n);
    }
    costs_are_exact(&Mls::<AwsLc>::FRESH, 6);
    costs_are_exact(&Mls::<AwsLc>::FULL, 6);
}

#[test]
fn a_thief_reads_its_victim_until_that_updates() {
    let (backend, all) = (Mls::<RustCrypto>::FRESH, [0, 1, 2]);
    let mut world = World::new(&backend, 3);
    world.create(3);
    world.say(1, &all);
    let mut thief = World::new(&backend, 0);
    (thief.directory, thief.group) = (world.directory.clone(), world.group);
    let state = world.users[1].1.export();
    thief.users.push((world.id(1), backend.steal(&state).unwrap(), ChaCha20Rng::seed_from_u64(9)));
    thief.users.push((world.id(0), backend.restore(&state).unwrap(), ChaCha20Rng::seed_from_u64(9)));
    let mut reads = |sent: &[Outgoing], author| thief.receive(0, author, &sent[0].bytes).map(|read| read.events.len());
    assert_eq!(reads(&world.say(1, &all), 0), Ok(1));
    assert_eq!(reads(&world.say(0, &all), 1), Ok(1));
    let update = world.call(0, |member, context| member.update(context)).unwrap();
    world.deliver(&all, 0, &update);
    assert_eq!(reads(&update, 1), Ok(1));
    // This one is from a past epoch then.
    let late = world.call(1, |member, context| member.send(b"text", context)).unwrap();
    world.deliver(&all, 1, &late);
    let update = world.call(0, |member, context| member.update(context)).unwrap();
    world.deliver(&all, 0, &update);
    assert_eq!(reads(&update, 1), Ok(1));
    assert_eq!(reads(&late, 0), Ok(1));
    let update = world.call(1, |member, context| member.update(context)).unwrap();
    world.deliver(&all, 1, &update);
    assert!(reads(&update, 0).is_err());
    assert!(reads(&world.say(1, &all), 0).is_err());
    assert!(reads(&world.say(0, &all), 1).is_err());
}
