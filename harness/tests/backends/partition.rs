//! The network is partitioned and heals: what is withheld, whom a broadcast reaches, and how it is counted.

use crate::toy::{Flaw, Toy};
use harness::measure::network::{Needs, Network, Participant, Record};
use harness::measure::randomness::Origin;
use harness::measure::script::{Action, Stage};
use protocol::directory::InMemoryDirectory;
use protocol::member::Backend as _;
use protocol::operation::{Operation, Phase, Role};

const ORIGIN: Origin = Origin { seed: 1, group_size: 4, iteration: 0 };

/// A group of four.
fn group() -> Network {
    let directory = InMemoryDirectory::default();
    let participant = |index: usize| {
        let user = Toy(Flaw::None).new_user(8, &mut ORIGIN.user(index));
        directory.publish(user.id, user.bundle, user.one_time);
        let role = if index == 0 { Role::Sender } else { Role::Recipient };
        Participant { member: user.member, role, rng: ORIGIN.member(Operation::Create, index) }
    };
    let participants = (0..ORIGIN.group_size).map(participant).collect();
    let mut network = Network::new(participants, directory, Needs::of(&Toy(Flaw::None)));
    let others = network.ids()[1..].to_vec();
    assert_eq!(network.run(&[Stage::of(0, Action::Create(others))]).faults, []);
    network
}

fn says(operator: usize) -> Stage {
    Stage { parts: vec![0, 0, 1, 1], ..Stage::of(operator, Action::Send(vec![7; 32])) }
}

fn readers(record: &Record) -> Vec<usize> {
    record.readings.iter().map(|reading| reading.participant).collect()
}

#[test]
fn what_crosses_a_partition_is_withheld_until_it_ends_and_then_arrives_once() {
    let mut network = group();
    assert_eq!(readers(&network.run(&[says(0)])), [1]);
    assert_eq!(readers(&network.run(&[says(3)])), [2]);
    let heals = [Stage { phase: Some(Phase::Heal), ..Stage::default() }];
    let healed = network.run(&heals);
    assert_eq!(readers(&healed), [0, 1, 2, 3]);
    assert!(healed.traffic.is_empty(), "it was counted when it was sent");
    assert_eq!(healed.faults, []);
    assert!(readers(&network.run(&heals)).is_empty());
}

#[test]
fn members_on_both_sides_continue_without_each_other() {
    let mut network = group();
    let update = |operator| (operator, Action::Update);
    let apart = Stage { acts: vec![update(0), update(3)], parts: vec![0, 0, 1, 1], ..Stage::default() };
    assert_eq!(network.run(&[apart]).faults, []);
    let keys: Vec<_> =
        network.participants().iter().map(|participant| participant.member.fingerprints().unwrap()).collect();
    assert!(keys[0] == keys[1] && keys[2] == keys[3] && keys[0] != keys[2]);
}

#[test]
fn a_user_that_is_no_member_is_left_out_by_its_own_side_alone() {
    let mut network = group();
    let without_1 = |operator| Stage { outside: [1].into(), ..says(operator) };
    let record = network.run(&[without_1(0), without_1(2), Stage { phase: Some(Phase::Heal), ..Stage::default() }]);
    // During the partition, only the other member of the second half reads. After it, each half reads the message of the
    // other half: so participant 1, who is no member, gets a message from the other half alone.
    assert_eq!(readers(&record), [3, 0, 1, 2, 3]);
    let volume = record.traffic[&(Role::Sender, Phase::Generate, "message")];
    assert_eq!(volume.bytes_delivered, 2 * volume.bytes_sent);
    let volume = record.traffic[&(Role::Recipient, Phase::Generate, "message")];
    assert_eq!(volume.bytes_delivered, 3 * volume.bytes_sent);
}

#[test]
fn a_stage_counts_as_its_phase() {
    let mut network = group();
    let record = network.run(&[Stage { phase: Some(Phase::Speak), ..Stage::of(1, Action::Update) }]);
    assert_eq!(record.traffic.len(), 3, "the update, the others' acknowledgements and the creator's");
    assert!(record.traffic.keys().all(|(_, phase, _)| *phase == Phase::Speak));
    for efforts in &record.efforts {
        let worked: Vec<bool> = efforts.iter().map(Option::is_some).collect();
        assert_eq!(worked, Phase::ALL.map(|phase| phase == Phase::Speak));
    }
}
