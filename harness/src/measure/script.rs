//! What an operation is on the network: its stages, the members that act in each of them, and everybody's role.

use std::collections::BTreeSet;

use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{Context, Incoming, Member, Outgoing, Received};
use protocol::operation::{Delivery, Operation, PLAINTEXT_LEN, Phase, Role};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;

use super::randomness::{Origin, shuffle};

/// What an operator does: one call of a member.
#[derive(Clone, Debug)]
pub enum Action {
    /// Creates a group of the operator and these users.
    Create(Vec<MemberId>),
    /// The same, with the channels between all members open.
    CreateMesh(Vec<MemberId>),
    /// Adds a user.
    Add(MemberId),
    /// Removes a member.
    Remove(MemberId),
    /// Replaces the operator's key material.
    Update,
    /// Sends application data.
    Send(Vec<u8>),
}

impl Action {
    /// Makes the call.
    ///
    /// # Errors
    /// The member refuses it.
    pub fn perform(&self, member: &mut dyn Member, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        match self {
            Self::Create(others) => member.create(others, context),
            Self::CreateMesh(others) => member.create_mesh(others, context),
            Self::Add(user) => member.add(user, context),
            Self::Remove(user) => member.remove(user, context),
            Self::Update => member.update(context),
            Self::Send(plaintext) => member.send(plaintext, context),
        }
    }
}

/// A part of an operation: some members act, and then messages are carried until there are no more.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// The participants that act, and what each does. All of them act before any message is carried.
    pub acts: Vec<(usize, Action)>,
    /// The part of a partition in which each participant is, by position; empty if there is no partition.
    pub parts: Vec<usize>,
    /// The participants that everybody in their own part of the partition knows not to be members. Broadcasts from that
    /// part are not for them.
    pub outside: BTreeSet<usize>,
    /// The phase as which the whole stage counts. With `None`, the calls count as generate, the first round as process,
    /// and later rounds as responses.
    pub phase: Option<Phase>,
    /// How the messages of a round reach a participant.
    pub delivery: Delivery,
}

/// Hands a member messages. One result for each, if the member gives as many.
pub fn deliver(
    member: &mut dyn Member,
    messages: &[Incoming<'_>],
    delivery: Delivery,
    context: &mut Context<'_>,
) -> Vec<Result<Received, Error>> {
    match delivery {
        Delivery::Each => messages.chunks(1).flat_map(|message| member.receive(message, context)).collect(),
        Delivery::Together => member.receive(messages, context),
    }
}

impl Stage {
    /// One participant acts, and there is no partition.
    #[must_use]
    pub fn of(operator: usize, action: Action) -> Self {
        Self { acts: vec![(operator, action)], ..Self::default() }
    }

    /// The participants that send application data, and the data of each.
    pub fn sends(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.acts.iter().filter_map(|(operator, action)| match action {
            Action::Send(plaintext) => Some((*operator, plaintext.as_slice())),
            _ => None,
        })
    }

    /// Whether messages between these two participants are carried: both are in the same part of the partition.
    #[must_use]
    pub fn connects(&self, one: usize, other: usize) -> bool {
        self.parts.get(one) == self.parts.get(other)
    }

    /// Whether a sequencer is where this participant is: in the part of the creator.
    #[must_use]
    pub fn has_sequencer(&self, participant: usize) -> bool {
        self.connects(0, participant)
    }

    /// Whether a broadcast of the author is for this participant.
    #[must_use]
    pub fn addresses(&self, author: usize, participant: usize) -> bool {
        author != participant && !(self.outside.contains(&participant) && self.connects(author, participant))
    }
}

/// An operation among participants.
#[derive(Clone, Debug)]
pub struct Script {
    /// The role of each participant, by position.
    pub roles: Vec<Role>,
    /// The stages of the operation, in order.
    pub stages: Vec<Stage>,
    /// The stages after them, until no conflict is left.
    pub recovery: Vec<Stage>,
}

impl Script {
    /// An operation among these users: first the members in the order of the group, then the joiners.
    #[must_use]
    pub fn new(operation: Operation, origin: &Origin, ids: &[MemberId]) -> Self {
        let (others, last) = (|| ids[1..].to_vec(), ids[ids.len() - 1]);
        let mut recovery = Vec::new();
        let mut stages = match operation.itself() {
            Operation::Create => vec![Stage::of(0, Action::Create(others()))],
            Operation::CreateMesh => vec![Stage::of(0, Action::CreateMesh(others()))],
            Operation::Add => vec![Stage::of(0, Action::Add(last))],
            Operation::Remove => vec![Stage::of(0, Action::Remove(last))],
            Operation::Update => vec![Stage::of(0, Action::Update)],
            Operation::UpdateCold => vec![Stage::of(1, Action::Update)],
            Operation::Message | Operation::MessageAfterRemove => vec![Stage::of(0, send(&mut origin.plaintext()))],
            Operation::ConcurrentUpdates(members) => {
                let acts = (0..members.get()).map(|member| (member, Action::Update)).collect();
                let speaks = Stage::of(0, send(&mut origin.plaintext()));
                recovery.push(Stage { phase: Some(Phase::Speak), ..speaks });
                vec![Stage { acts, ..Stage::default() }]
            }
            Operation::PartitionHeal => partition_heal(origin, ids),
            Operation::PartitionRecovery { parts, updates } => {
                let (stages, updaters) = partition_recovery(origin, ids.len(), (parts.get(), updates.get()));
                recovery = updaters;
                stages
            }
            Operation::AddAfter(_) | Operation::UpdateAfter(_) => Vec::new(),
            Operation::RemoveTogether | Operation::UpdateTogether => Vec::new(),
        };
        stages.iter_mut().for_each(|stage| stage.delivery = operation.delivery());
        let acts = || stages.iter().flat_map(|stage| &stage.acts);
        let role = |(participant, id): (usize, &MemberId)| {
            if acts().any(|(operator, _)| *operator == participant) {
                return Role::Sender;
            }
            let named = acts().find_map(|(_, action)| match action {
                Action::Add(user) if user == id => Some(Role::Joiner),
                Action::Remove(user) if user == id => Some(Role::Removed),
                _ => None,
            });
            named.unwrap_or(Role::Recipient)
        };
        Self { roles: ids.iter().enumerate().map(role).collect(), stages, recovery }
    }

    /// The positions of the participants that have this role.
    pub fn participants(&self, role: Role) -> impl Iterator<Item = usize> {
        self.roles.iter().enumerate().filter(move |(_, other)| **other == role).map(|(participant, _)| participant)
    }
}

/// The number of users that an operation adds.
#[must_use]
pub fn joiners(operation: Operation) -> usize {
    match operation.itself() {
        Operation::Add => 1,
        Operation::PartitionHeal => 2,
        _ => 0,
    }
}

/// [`Operation::PartitionHeal`]. After the members come two joiners: the first half adds the first of them, the second
/// half the other one.
fn partition_heal(origin: &Origin, ids: &[MemberId]) -> Vec<Stage> {
    let members = ids.len() - 2;
    let (operators, removed, added) = ([0, members / 2], [members / 2 - 1, members - 1], [members, members + 1]);
    let half = |at: usize| usize::from((operators[1]..members).contains(&at) || at == added[1]);
    let parts: Vec<usize> = (0..ids.len()).map(half).collect();
    let apart = |actions: [Action; 2], outside: [usize; 2]| Stage {
        acts: operators.into_iter().zip(actions).collect(),
        parts: parts.clone(),
        outside: outside.into(),
        ..Stage::default()
    };
    let mut plaintext = origin.plaintext();
    let speaks = operators.map(|operator| Stage {
        outside: removed.into(),
        phase: Some(Phase::Speak),
        ..Stage::of(operator, send(&mut plaintext))
    });
    let before = [
        apart(removed.map(|participant| Action::Remove(ids[participant])), added),
        apart(added.map(|participant| Action::Add(ids[participant])), removed),
        apart([Action::Update, Action::Update], removed),
        Stage { phase: Some(Phase::Heal), ..Stage::default() },
    ];
    before.into_iter().chain(speaks).collect()
}

/// [`Operation::PartitionRecovery`]: the stages up to the first update after the merge, and one for each update after that.
fn partition_recovery(origin: &Origin, members: usize, (parts, updates): (usize, usize)) -> (Vec<Stage>, Vec<Stage>) {
    let mut rng = origin.layout();
    let mut shuffled = |mut members: Vec<usize>| {
        shuffle(&mut members, &mut rng);
        members
    };
    let mut updaters: Vec<usize> = Vec::new();
    while updaters.len() < updates {
        updaters.extend(shuffled((0..members).collect()));
    }
    updaters.truncate(updates);
    let apart: Vec<usize> = (0..members).map(|member| member % parts).collect();
    let update = |phase, member: &usize| Stage { phase, ..Stage::of(*member, Action::Update) };
    let mut stages: Vec<Stage> =
        updaters.iter().map(|member| Stage { parts: apart.clone(), ..update(None, member) }).collect();
    stages.push(Stage { phase: Some(Phase::Heal), ..Stage::default() });
    let again = shuffled(updaters.into_iter().collect::<BTreeSet<_>>().into_iter().collect());
    stages.extend(again.first().map(|member| update(Some(Phase::Mend), member)));
    (stages, again.iter().skip(1).map(|member| update(Some(Phase::Recover), member)).collect())
}

/// Updates by the members in turn, as they precede [`Operation::AddAfter`] and [`Operation::UpdateAfter`].
pub fn earlier_updates(operation: Operation, group_size: usize) -> impl Iterator<Item = Stage> {
    (0..operation.earlier_updates()).map(move |number| Stage::of(number % group_size, Action::Update))
}

/// Sends [`PLAINTEXT_LEN`] bytes of application data from this stream.
pub(crate) fn send(plaintext: &mut ChaCha20Rng) -> Action {
    let mut data = vec![0; PLAINTEXT_LEN];
    plaintext.fill_bytes(&mut data);
    Action::Send(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_half_of_an_odd_number_of_members_has_an_operator_a_removed_member_and_a_joiner() {
        let ids: Vec<MemberId> = (0..7 + 2).map(|byte| MemberId([byte; 32])).collect();
        let origin = Origin { seed: 1, group_size: 7, iteration: 0 };
        let script = Script::new(Operation::PartitionHeal, &origin, &ids);
        let participants = |role| script.participants(role).collect::<Vec<_>>();
        assert_eq!(
            (participants(Role::Sender), participants(Role::Removed), participants(Role::Joiner)),
            (vec![0, 3], vec![2, 6], vec![7, 8])
        );
        let stage = &script.stages[0];
        assert_eq!(stage.parts, [0, 0, 0, 1, 1, 1, 1, 0, 1]);
        // Before its add, a joiner gets no broadcast from its own half, but every broadcast from the other half.
        assert!(!stage.addresses(0, 7) && stage.addresses(0, 8) && stage.addresses(0, 2) && !stage.addresses(0, 0));
    }

    #[test]
    fn a_partition_has_all_its_updates_and_then_each_of_their_authors_again() {
        let ids: Vec<MemberId> = (0..8).map(|byte| MemberId([byte; 32])).collect();
        let origin = Origin { seed: 1, group_size: 8, iteration: 0 };
        for (updates, distinct) in [(5, 5), (8, 8), (12, 8)] {
            let script = Script::new(format!("partition-recovery:4:{updates}").parse().unwrap(), &origin, &ids);
            let (partition, after) = script.stages.split_at(updates);
            let authors = |stages: &[Stage]| stages.iter().map(|stage| stage.acts[0].0).collect::<BTreeSet<_>>();
            assert!(partition.iter().all(|stage| stage.parts == [0, 1, 2, 3, 0, 1, 2, 3]));
            assert_eq!((authors(partition).len(), after.len()), (distinct, 2));
            let again = [&after[1..], &script.recovery].concat();
            assert_eq!((again.len(), authors(&again)), (distinct, authors(partition)));
            let other = Script::new(
                format!("partition-recovery:4:{updates}").parse().unwrap(),
                &Origin { iteration: 1, ..origin },
                &ids,
            );
            assert_ne!(authors(&other.stages[..3]), authors(&partition[..3]), "another iteration has another layout");
        }
    }
}
