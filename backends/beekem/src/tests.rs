//! What waits, and how much of it.

use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend as _, Context, Event, Incoming, Member, NewUser, Outgoing, Received, Rule};
use rand_core::{Rng as _, SeedableRng as _};
use seeded::ChaCha20Rng;

use crate::bundle::Secrets;
use crate::codec::Text;
use crate::user::BeeKem;

struct World {
    rng: ChaCha20Rng,
    directory: InMemoryDirectory,
}

type Parcel = (MemberId, Vec<u8>);

impl World {
    fn new() -> Self {
        Self { rng: ChaCha20Rng::seed_from_u64(7), directory: InMemoryDirectory::default() }
    }

    fn user(&mut self) -> Box<dyn Member> {
        let NewUser { id, member, bundle, .. } = BeeKem::Fresh.new_user(0, &mut self.rng);
        self.directory.publish(id, bundle, Vec::new());
        member
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Context<'_>) -> T) -> T {
        call(&mut Context { rng: &mut self.rng, directory: &self.directory, confirm_inviter: &|_| true })
    }

    fn receive(&mut self, member: &mut dyn Member, group: GroupId, parcel: &Parcel) -> Result<Received, Error> {
        let message = Incoming { group, author: parcel.0, bytes: &parcel.1 };
        self.call(|context| member.receive_one(&message, context))
    }

    fn receive_all(&mut self, member: &mut dyn Member, group: GroupId, parcels: &[Parcel]) {
        for parcel in parcels {
            self.receive(member, group, parcel).unwrap();
        }
    }

    /// A group of these users, of whom the first creates it and all know of it.
    fn group(&mut self, number: usize) -> (GroupId, Vec<Box<dyn Member>>) {
        let mut users: Vec<_> = (0..number).map(|_| self.user()).collect();
        let (group, created) = self.create(&mut users);
        for user in &mut users[1..] {
            self.receive_all(user.as_mut(), group, &created);
        }
        (group, users)
    }

    fn create(&mut self, users: &mut [Box<dyn Member>]) -> (GroupId, Vec<Parcel>) {
        let others: Vec<_> = users[1..].iter().map(|user| user.id()).collect();
        let created = self.call(|context| users[0].create(&others, context)).unwrap();
        (users[0].group().unwrap(), parcels(users[0].id(), created))
    }
}

fn parcels(author: MemberId, sent: Vec<Outgoing>) -> Vec<Parcel> {
    sent.into_iter().map(|message| (author, message.bytes)).collect()
}

/// A text of a user, which names this update.
fn text(secrets: &Secrets, group: GroupId, update: [u8; 32], counter: u64) -> Parcel {
    let header = Text::header(&update.into(), &[0; 32].into(), counter);
    (secrets.id(), Text::encode(&group, &header, b"sealed", &secrets.signing))
}

#[test]
fn a_group_of_many_founders_arises_in_any_order() {
    let mut world = World::new();
    let mut users: Vec<_> = (0..1100).map(|_| world.user()).collect();
    let (group, created) = world.create(&mut users);
    let all = users[0].members();
    // The last one can join only by all messages together, the other one by its own, which leaves the rest to wait.
    let (head, tail) = created.split_at(2);
    let backwards = |parcels: &[Parcel]| parcels.iter().rev().cloned().collect::<Vec<_>>();
    for (user, order) in [(1099, backwards(&created)), (1, [head.to_vec(), backwards(tail)].concat())] {
        world.receive_all(users[user].as_mut(), group, &order);
        assert!(users[user].members() == all, "user {user}");
    }
}

#[test]
fn a_text_of_a_stranger_is_rejected_and_leaves_no_trace() {
    let mut world = World::new();
    let (group, mut users) = world.group(2);
    let sent = world.call(|context| users[0].send(b"text", context)).unwrap();
    let (_, genuine) = &parcels(users[0].id(), sent)[0];
    let stranger = Secrets::generate(&mut world.rng);
    let update = *genuine[1..].first_chunk().unwrap();
    let before = users[1].export();
    let received = world.receive(users[1].as_mut(), group, &text(&stranger, group, update, 0)).unwrap();
    assert_eq!(received.events, [Event::Rejected { from: stranger.id(), rule: Rule::AuthorNotAMember }]);
    assert!(users[1].export() == before);
}

#[test]
fn strangers_take_only_a_part_of_the_room() {
    let mut world = World::new();
    let (group, mut users) = world.group(3);
    let stranger = Secrets::generate(&mut world.rng);
    let mut waiting = 0;
    let full = loop {
        let mut update = [0; 32];
        world.rng.fill_bytes(&mut update);
        let before = users[1].export();
        match world.receive(users[1].as_mut(), group, &text(&stranger, group, update, waiting)) {
            Ok(received) => assert_eq!(received, Received::default()),
            Err(error) => {
                assert!(users[1].export() == before);
                break error;
            }
        }
        waiting += 1;
    };
    assert_eq!((full, waiting), (Error::QueueFull, 1024));
    // A member's message still waits for its update.
    let updated = world.call(|context| users[0].update(context)).unwrap();
    let said = world.call(|context| users[0].send(b"text", context)).unwrap();
    let author = users[0].id();
    assert_eq!(world.receive(users[1].as_mut(), group, &parcels(author, said)[0]), Ok(Received::default()));
    let received = world.receive(users[1].as_mut(), group, &parcels(author, updated)[0]).unwrap();
    assert!(matches!(&received.events[..], [Event::Updated { .. }, Event::Message { .. }]), "{received:?}");
}

#[test]
fn a_text_waits_for_the_add_of_its_author() {
    let mut world = World::new();
    let (group, mut users) = world.group(2);
    let mut joiner = world.user();
    let added = world.call(|context| users[0].add(&joiner.id(), context)).unwrap();
    let added = parcels(users[0].id(), added);
    world.receive_all(joiner.as_mut(), group, &[added[2].clone(), added[0].clone(), added[1].clone()]);
    let said = world.call(|context| joiner.send(b"text", context)).unwrap();
    for parcel in parcels(joiner.id(), said) {
        assert_eq!(world.receive(users[1].as_mut(), group, &parcel), Ok(Received::default()));
    }
    world.receive(users[1].as_mut(), group, &added[0]).unwrap();
    let received = world.receive(users[1].as_mut(), group, &added[1]).unwrap();
    let plaintext = b"text".to_vec();
    assert_eq!(received.events.last(), Some(&Event::Message { from: joiner.id(), plaintext }));
}

/// As in the evaluation of BeeKEM in LiangrunDa/keyhive-eval: 8 members in 4 parts, all of whom update, leave 7 conflicts.
#[test]
fn updates_in_all_parts_of_a_partition_leave_conflicts_until_members_update_again() {
    let mut world = World::new();
    let (group, mut users) = world.group(8);
    let update = |world: &mut World, users: &mut [Box<dyn Member>], author: usize, reaches: &dyn Fn(usize) -> bool| {
        let id = users[author].id();
        let sent = world.call(|context| users[author].update(context)).unwrap();
        let sent = parcels(id, sent);
        let readers = users.iter_mut().enumerate().filter(|(reader, _)| *reader != author && reaches(*reader));
        for (_, user) in readers {
            world.receive_all(user.as_mut(), group, &sent);
        }
        sent
    };
    for author in 0..8 {
        update(&mut world, &mut users, author, &|_| true);
    }
    assert!(users.iter().all(|user| user.conflicts() == Some(0)));
    let mut withheld = Vec::new();
    for author in 0..8 {
        withheld.extend(update(&mut world, &mut users, author, &|reader| reader % 4 == author % 4));
    }
    assert!(users.iter().all(|user| user.conflicts() == Some(0)), "no part knows of the others");
    for user in &mut users {
        world.receive_all(user.as_mut(), group, &withheld);
    }
    assert!(users.iter().all(|user| user.conflicts() == Some(7)));
    let mut left = Vec::new();
    for author in 0..8 {
        update(&mut world, &mut users, author, &|_| true);
        assert!(users.iter().all(|user| user.conflicts() == users[0].conflicts()));
        left.push(users[0].conflicts().unwrap());
    }
    // Each update mends the nodes above its author's leaf.
    assert_eq!(left, [4, 4, 3, 3, 1, 1, 0, 0]);
}
