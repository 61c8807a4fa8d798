//! Copies of members that attackers hold, which take every message in the order that serves them best.

use super::common::World;
use super::group;
use protocol::member::{Context, Event, Incoming, Member};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// A member's state, from before it learned of its removal.
pub(crate) struct Attacker {
    user: usize,
    state: Box<dyn Member>,
}

impl Attacker {
    pub(crate) fn copy(world: &World, user: usize) -> Self {
        assert!(world.is_inside(user));
        Self { user, state: world.users[user].member.duplicate() }
    }

    /// What it reads when everything that was ever sent arrives in this order, twice, messages for others included.
    fn read(&self, world: &World, order: &[usize]) -> Vec<Vec<u8>> {
        let mut copy = self.state.duplicate();
        let mut rng = ChaCha20Rng::seed_from_u64(self.user as u64);
        let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
        let mut read = Vec::new();
        for place in [order, order].concat() {
            let sent = &world.sent[place];
            let incoming = Incoming { group: world.group, author: world.id(sent.author), bytes: &sent.bytes };
            // It refuses some, such as its own messages.
            let events = copy.receive_one(&incoming, &mut context).map_or_else(|_| Vec::new(), |it| it.events);
            read.extend(events.into_iter().filter_map(|event| match event {
                Event::Message { plaintext, .. } => Some(plaintext),
                _ => None,
            }));
        }
        read
    }

    /// How much it reads of what [`World::check`] lets the members say, in the order that serves it best.
    fn reads_of_check(&self, world: &World) -> usize {
        let orders = orders(world);
        let probes = |order: &Vec<usize>| {
            let read = self.read(world, order);
            read.iter().filter(|text| text.starts_with(b"round ")).count()
        };
        orders.iter().map(probes).max().unwrap()
    }
}

/// As sent, backwards, without the removals, and with the removals last; with adds and updates first, and with
/// acknowledgements first.
fn orders(world: &World) -> Vec<Vec<usize>> {
    let all: Vec<_> = (0..world.sent.len()).collect();
    let kind = |place: &usize| world.sent[*place].kind;
    let first = |wanted: &dyn Fn(&str) -> bool| {
        let (mut first, rest): (Vec<_>, Vec<_>) = all.iter().partition(|place| wanted(kind(place)));
        first.extend(rest);
        first
    };
    vec![
        all.clone(),
        all.iter().rev().copied().collect(),
        all.iter().copied().filter(|place| kind(place) != "remove").collect(),
        first(&|kind| kind != "remove"),
        first(&|kind| ["add", "welcome", "update"].contains(&kind)),
        first(&|kind| ["ack", "add-ack"].contains(&kind)),
    ]
}

/// Checks, after [`World::check`], that no attacker has read any of it.
#[track_caller]
pub(crate) fn are_shut_out(attackers: &[Attacker], world: &World) {
    for attacker in attackers {
        assert_eq!(attacker.reads_of_check(world), 0, "the copy of user {} reads on", attacker.user);
    }
}

#[test]
fn a_copy_of_somebody_who_stays_reads_everything() {
    let mut world = group(4, 5, 90);
    let copy = Attacker::copy(&world, 2);
    world.update(1);
    world.remove(0, 3);
    world.settle();
    world.check(&[0, 1, 2]);
    // Two from each of the two others.
    assert_eq!(copy.reads_of_check(&world), 4);
}
