//! What an operation is on the network: who acts in which stage, and what everybody is in it.

use std::collections::BTreeSet;

use protocol::id::MemberId;
use protocol::operation::{Operation, Phase, Role};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;

use crate::cell::PLAINTEXT_LEN;
use crate::randomness::Origin;

/// What an operator does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Creates a group of itself and these.
    Create(Vec<MemberId>),
    /// The same, with all channels opened.
    CreateMesh(Vec<MemberId>),
    /// Adds a user.
    Add(MemberId),
    /// Removes a member.
    Remove(MemberId),
    /// Replaces its key material.
    Update,
    /// Sends application data.
    Send(Vec<u8>),
}

/// A part of an operation: some members act, and messages are carried until there are none.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// Who acts, by seat, and what they do. All have acted before anything is carried.
    pub acts: Vec<(usize, Action)>,
    /// The seats on one side of a partition; without any there is none.
    pub cut_off: BTreeSet<usize>,
    /// Who is no member, as those on its own side of the partition know: their broadcasts are not for it.
    pub outside: BTreeSet<usize>,
    /// The phase as which all of it counts. None: the calls, the first round and the later ones each count as their own.
    pub phase: Option<Phase>,
}

impl Stage {
    /// A member does something, and nothing is in the way.
    #[must_use]
    pub fn of(operator: usize, action: Action) -> Self {
        Self { acts: vec![(operator, action)], ..Self::default() }
    }

    /// The application data that is sent, and from which seats.
    pub fn sends(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.acts.iter().filter_map(|(operator, action)| match action {
            Action::Send(plaintext) => Some((*operator, plaintext.as_slice())),
            _ => None,
        })
    }

    /// Whether messages get from one seat to the other.
    #[must_use]
    pub fn connects(&self, one: usize, other: usize) -> bool {
        self.cut_off.contains(&one) == self.cut_off.contains(&other)
    }

    /// Whether a broadcast of the author is for this seat.
    #[must_use]
    pub fn addresses(&self, author: usize, seat: usize) -> bool {
        author != seat && !(self.outside.contains(&seat) && self.connects(author, seat))
    }
}

/// An operation among users in their seats.
#[derive(Clone, Debug)]
pub struct Script {
    /// What everybody is in it, by seat.
    pub roles: Vec<Role>,
    /// Its stages, in order.
    pub stages: Vec<Stage>,
}

impl Script {
    /// An operation among these users: the members in the order of the group, and after them the users that are added.
    #[must_use]
    pub fn new(operation: Operation, origin: &Origin, ids: &[MemberId]) -> Self {
        let (others, last) = (|| ids[1..].to_vec(), ids[ids.len() - 1]);
        let stages = match operation {
            Operation::Create => vec![Stage::of(0, Action::Create(others()))],
            Operation::CreateMesh => vec![Stage::of(0, Action::CreateMesh(others()))],
            Operation::Add => vec![Stage::of(0, Action::Add(last))],
            Operation::Remove => vec![Stage::of(0, Action::Remove(last))],
            Operation::Update => vec![Stage::of(0, Action::Update)],
            Operation::UpdateCold => vec![Stage::of(1, Action::Update)],
            Operation::Message | Operation::MessageAfterRemove => vec![Stage::of(0, send(&mut origin.plaintext()))],
            Operation::ConcurrentUpdates(members) => {
                let acts = (0..members.get()).map(|member| (member, Action::Update)).collect();
                vec![Stage { acts, ..Stage::default() }]
            }
            Operation::PartitionHeal => partition_heal(origin, ids),
        };
        let acts = || stages.iter().flat_map(|stage| &stage.acts);
        let role = |(seat, id): (usize, &MemberId)| {
            if acts().any(|(operator, _)| *operator == seat) {
                return Role::Sender;
            }
            let named = acts().find_map(|(_, action)| match action {
                Action::Add(user) if user == id => Some(Role::Joiner),
                Action::Remove(user) if user == id => Some(Role::Removed),
                _ => None,
            });
            named.unwrap_or(Role::Recipient)
        };
        Self { roles: ids.iter().enumerate().map(role).collect(), stages }
    }

    /// The seats of all who have this role.
    pub fn seats(&self, role: Role) -> impl Iterator<Item = usize> {
        self.roles.iter().enumerate().filter(move |(_, other)| **other == role).map(|(seat, _)| seat)
    }
}

/// How many users an operation adds.
#[must_use]
pub fn joiners(operation: Operation) -> usize {
    match operation {
        Operation::Add => 1,
        Operation::PartitionHeal => 2,
        _ => 0,
    }
}

/// [`Operation::PartitionHeal`]: the members, and after them a user that the first half adds and one that the second adds.
fn partition_heal(origin: &Origin, ids: &[MemberId]) -> Vec<Stage> {
    let members = ids.len() - 2;
    let (operators, removed, added) = ([0, members / 2], [members / 2 - 1, members - 1], [members, members + 1]);
    let cut_off: BTreeSet<usize> = (operators[1]..members).chain([added[1]]).collect();
    let apart = |actions: [Action; 2], outside: [usize; 2]| Stage {
        acts: operators.into_iter().zip(actions).collect(),
        cut_off: cut_off.clone(),
        outside: outside.into(),
        phase: None,
    };
    let mut plaintext = origin.plaintext();
    let speaks = operators.map(|operator| Stage {
        outside: removed.into(),
        phase: Some(Phase::Speak),
        ..Stage::of(operator, send(&mut plaintext))
    });
    let before = [
        apart(removed.map(|seat| Action::Remove(ids[seat])), added),
        apart(added.map(|seat| Action::Add(ids[seat])), removed),
        apart([Action::Update, Action::Update], removed),
        Stage { phase: Some(Phase::Heal), ..Stage::default() },
    ];
    before.into_iter().chain(speaks).collect()
}

/// Sends application data.
pub(crate) fn send(plaintext: &mut ChaCha20Rng) -> Action {
    let mut data = vec![0; PLAINTEXT_LEN];
    plaintext.fill_bytes(&mut data);
    Action::Send(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_with_an_odd_number_of_members_have_each_an_operator_somebody_removed_and_a_joiner() {
        let ids: Vec<MemberId> = (0..7 + 2).map(|byte| MemberId([byte; 32])).collect();
        let origin = Origin { seed: 1, group_size: 7, iteration: 0 };
        let script = Script::new(Operation::PartitionHeal, &origin, &ids);
        let seats = |role| script.seats(role).collect::<Vec<_>>();
        assert_eq!(
            (seats(Role::Sender), seats(Role::Removed), seats(Role::Joiner)),
            (vec![0, 3], vec![2, 6], vec![7, 8])
        );
        let stage = &script.stages[0];
        assert_eq!(stage.cut_off, [3, 4, 5, 6, 8].into());
        // Who is not there yet misses what its own half says, and nothing of what the other half says.
        assert!(!stage.addresses(0, 7) && stage.addresses(0, 8) && stage.addresses(0, 2) && !stage.addresses(0, 0));
    }
}
