//! Cells and their validation, with a toy protocol that is correct or has a fault.

use crate::toy::{Flaw, Toy};
use harness::measure::cell::{Bench, Cell, Outcome};
use harness::measure::randomness::Origin;
use harness::measure::validation::Refusal;
use harness::record::metric::Metric;
use protocol::agreement::Disagreement;
use protocol::operation::{Operation, Phase, Role};

const SIZE: usize = 5;

fn cell(operation: Operation, seed: u64, iteration: u32) -> Cell {
    Cell { operation, origin: Origin { seed, group_size: SIZE, iteration } }
}

fn run(flaw: Flaw, operation: Operation) -> Result<Outcome, Refusal> {
    Bench::new(&Toy(flaw), 1).unwrap().run(&cell(operation, 1, 0))
}

/// What the seed alone must fix.
fn exact(outcome: &Outcome) -> String {
    let work: Vec<_> = outcome.work.iter().map(|row| (&row.role, &row.phase, &row.counts, row.bytes_fetched)).collect();
    format!("{:?} {work:?} {:?} {}", outcome.traffic, outcome.state_bytes, outcome.validation)
}

#[test]
fn every_operation_of_a_correct_backend_counts() {
    for flaw in [Flaw::None, Flaw::Hidden] {
        let backend = Toy(flaw);
        let mut bench = Bench::new(&backend, 2).unwrap();
        for operation in Operation::ALL {
            let result = bench.run(&cell(operation, 1, 0));
            if matches!(operation, Operation::CreateMesh | Operation::UpdateCold) {
                assert_eq!(result, Err(Refusal::Unsupported));
            } else {
                let outcome = result.unwrap_or_else(|refusal| panic!("{operation:?} of {flaw:?}: {refusal}"));
                assert!(outcome.primitive_ns[&Metric::Primitive("op.dh")] > 0.0);
                assert!(outcome.peak_bytes.is_none_or(|bytes| bytes > 100_000));
            }
        }
    }
}

#[test]
fn operations_that_cross_are_unsupported_unless_the_backend_declares_them() {
    for name in ["concurrent-updates:1", "concurrent-updates:5", "partition-heal"] {
        let origin = Origin { seed: 1, group_size: 6, iteration: 0 };
        let cell = Cell { operation: name.parse().unwrap(), origin };
        assert_eq!(Bench::new(&Toy(Flaw::None), 1).unwrap().run(&cell), Err(Refusal::Unsupported), "{name}");
    }
}

#[test]
fn bytes_are_counted_once_as_sent_and_once_for_each_link_as_delivered() {
    let outcome = run(Flaw::None, Operation::Add).unwrap();
    let row = |role: Role, kind: &str| {
        let row = outcome.traffic.iter().find(|row| row.role == role && row.kind == kind).unwrap();
        (row.phase, row.messages, row.bytes_sent, row.bytes_delivered)
    };
    // Five receivers: the members before the operation and the joiner, without the author.
    assert_eq!(row(Role::Sender, "add"), (Phase::Generate, 1, 66, 5 * 66));
    assert_eq!(row(Role::Sender, "welcome"), (Phase::Generate, 1, 34 + 6 * 32, 34 + 6 * 32));
    assert_eq!(row(Role::Recipient, "ack"), (Phase::Process, 4, 8, 40));
    assert_eq!(row(Role::Joiner, "ack"), (Phase::Process, 1, 2, 10));
    assert_eq!(outcome.traffic.len(), 4);
}

#[test]
fn work_is_listed_by_role_and_phase_and_only_where_there_was_any() {
    let outcome = run(Flaw::None, Operation::Remove).unwrap();
    let rows: Vec<_> = outcome.work.iter().map(|row| (row.role, row.phase, row.cpu_ns.len())).collect();
    let expected = [
        (Role::Sender, Phase::Generate, 1),
        (Role::Sender, Phase::Responses, 1),
        (Role::Recipient, Phase::Process, 3),
        (Role::Recipient, Phase::Responses, 3),
        (Role::Removed, Phase::Process, 1),
        (Role::Removed, Phase::Responses, 1),
    ];
    assert_eq!(rows, expected);
    assert!(outcome.work.iter().all(|row| row.members as usize == row.cpu_ns.len()));
    assert_eq!(outcome.state_bytes[&Role::Recipient], vec![32 + 4 * 32 + 8; 3]);
    let fetched = run(Flaw::None, Operation::Create).unwrap().work[0].bytes_fetched;
    assert_eq!(fetched, 4 * 8);
}

#[test]
fn one_seed_gives_the_same_outcome_on_any_number_of_threads_and_in_any_order() {
    let backend = Toy(Flaw::None);
    let mut one = Bench::new(&backend, 1).unwrap();
    let mut many = Bench::new(&backend, 4).unwrap();
    let operations = [Operation::Create, Operation::Add, Operation::Message, Operation::Update, Operation::Remove];
    let forth: Vec<String> = operations.iter().map(|op| exact(&one.run(&cell(*op, 3, 0)).unwrap())).collect();
    let mut back: Vec<String> = operations.iter().rev().map(|op| exact(&many.run(&cell(*op, 3, 0)).unwrap())).collect();
    back.reverse();
    assert_eq!(forth, back);
}

#[test]
fn a_skipped_acknowledgement_is_refused() {
    let refusal = run(Flaw::SkipsAck, Operation::Create).unwrap_err();
    assert!(refusal.to_string().starts_with("ack messages: expected 4, measured 3"), "{refusal}");
}

#[test]
fn a_wrong_count_is_refused_and_named() {
    let refusal = run(Flaw::Wasteful, Operation::Create).unwrap_err();
    let text = refusal.to_string();
    assert!(text.starts_with("op.hash_blocks of role sender in phase generate: expected "), "{text}");
}

#[test]
fn a_secret_that_stays_the_same_is_refused() {
    for operation in [Operation::Remove, Operation::Update] {
        assert_eq!(run(Flaw::ConstantSecret, operation), Err(Refusal::FingerprintsUnchanged));
    }
}

#[test]
fn a_key_that_survives_a_removal_is_refused() {
    assert_eq!(run(Flaw::KeepsKey, Operation::Remove), Err(Refusal::FingerprintsUnchanged));
    // Without fingerprints, the probe shows it: the state from before the removal reads it, although it is for one other
    // member.
    assert_eq!(run(Flaw::HiddenKeepsKey, Operation::Remove), Err(Refusal::ReadByRemoved));
}

#[test]
fn a_message_that_the_removed_member_reads_is_refused() {
    assert_eq!(run(Flaw::Leaks, Operation::Remove), Err(Refusal::ReadByRemoved));
}

/// The refusal if the first member after the creator has other keys.
fn different_keys() -> Refusal {
    Refusal::Disagreement { role: Some(Role::Recipient), disagreement: Disagreement::FingerprintsDiffer { at: 1 } }
}

#[test]
fn members_with_different_keys_are_refused() {
    assert_eq!(run(Flaw::Splits, Operation::Create), Err(different_keys()));
    let refusal = run(Flaw::Splits, Operation::Message).unwrap_err();
    assert_eq!(refusal, Refusal::SetUp(Box::new(different_keys())));
}

#[test]
fn a_rejected_message_is_refused() {
    let refusal = run(Flaw::Rejects, Operation::Add).unwrap_err();
    assert_eq!(refusal.to_string(), "joiner in phase process: a message was rejected by the rule Form");
}

#[test]
fn a_group_of_one_is_refused() {
    let backend = Toy(Flaw::None);
    let origin = Origin { seed: 1, group_size: 1, iteration: 0 };
    let result = Bench::new(&backend, 1).unwrap().run(&Cell { operation: Operation::Create, origin });
    assert_eq!(result, Err(Refusal::GroupTooSmall { operation: Operation::Create, least: 2 }));
}
