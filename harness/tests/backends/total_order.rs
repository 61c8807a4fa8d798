//! Protocols that need a total order: the suite finds what breaks it, and the network measures what a collision costs.

use crate::faulty::{Faulty, Impatience, InTurns};
use crate::faulty_backends::{Base, DCGKA};
use harness::measure::cell::{Bench, Cell, Outcome};
use harness::measure::network::REJECTED;
use harness::measure::randomness::Origin;
use harness::measure::validation::Refusal;
use protocol::conformance;
use protocol::member::COMMIT;
use protocol::operation::{Operation, Phase};

fn suite(base: Base, flaw: Impatience) -> Result<conformance::Report, conformance::Violation> {
    conformance::check(&|| Box::new(Faulty::new(base(), InTurns::new(base, flaw))))
}

fn run(operation: &str, group_size: usize, flaw: Impatience) -> Result<Outcome, Refusal> {
    let backend = Faulty::new(DCGKA(), InTurns::new(DCGKA, flaw));
    let origin = Origin { seed: 1, group_size, iteration: 0 };
    Bench::new(&backend, 1).unwrap().run(&Cell { operation: operation.parse().unwrap(), origin })
}

/// Messages of a kind in an operation, their bytes as sent and as delivered, and the phases in which they were sent.
fn sent(outcome: &Outcome, kind: &str) -> (u64, u64, u64, Vec<Phase>) {
    let of_kind = || outcome.traffic.iter().filter(|row| row.kind == kind);
    (
        of_kind().map(|row| row.messages).sum(),
        of_kind().map(|row| row.bytes_sent).sum(),
        of_kind().map(|row| row.bytes_delivered).sum(),
        of_kind().map(|row| row.phase).collect(),
    )
}

#[test]
fn a_protocol_in_turns_passes_the_suite() {
    let report = suite(DCGKA, Impatience::None).unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(report.not_made, [("what operations cost, by formula", "the backend has no formulas")]);
    let tried = |check| report.passed.iter().find(|(name, _)| *name == check).unwrap().1;
    assert!(tried("concurrency") >= 14 && tried("crossing messages") >= 8, "{:?}", report.passed);
}

#[test]
fn a_protocol_that_breaks_the_order_is_found_by_the_suite() {
    for (flaw, what) in [
        (Impatience::AtOnce, "two updates at once"),
        (Impatience::SendsOldCommit, "two updates at once"),
        (Impatience::Deaf, "update"),
    ] {
        let found = suite(DCGKA, flaw).unwrap_err().to_string();
        assert!(found.contains(what), "{found}");
    }
}

#[test]
fn every_operation_is_measured_in_turns() {
    for operation in Operation::REPRODUCED {
        let outcome = run(&operation.name(), 4, Impatience::None).unwrap();
        assert_eq!(sent(&outcome, REJECTED).0, 0);
        let commits = [Operation::Add, Operation::Remove, Operation::Update, Operation::UpdateCold];
        assert_eq!(sent(&outcome, COMMIT).0, u64::from(commits.contains(&operation)), "{operation}");
    }
}

#[test]
fn of_colliding_commits_one_is_taken_at_a_time_and_all_others_are_sent_again() {
    let one = run("update", 8, Impatience::None).unwrap();
    let (_, bytes, ..) = sent(&one, COMMIT);
    for members in [1, 2, 5] {
        let outcome = run(&format!("concurrent-updates:{members}"), 8, Impatience::None).unwrap();
        let (taken, taken_bytes, _, phases) = sent(&outcome, COMMIT);
        // Later ones say on what they depend.
        assert!(taken == members && taken_bytes >= members * bytes, "{taken}, {taken_bytes}");
        assert_eq!(phases.contains(&Phase::Responses), members > 1, "those that follow are sent in later rounds");
        let (rejected, rejected_bytes, delivered, _) = sent(&outcome, REJECTED);
        let collisions = members * (members - 1) / 2;
        assert_eq!((rejected, delivered), (collisions, 0));
        assert!(rejected_bytes >= collisions * bytes, "{rejected_bytes}");
    }
}

#[test]
fn the_side_of_a_partition_without_the_sequencer_makes_its_calls_again_when_it_heals() {
    let outcome = run("partition-heal", 6, Impatience::None).unwrap();
    // A removal, an add and an update on either side. Of the cut off operator's, the first one is sent in vain.
    assert_eq!(sent(&outcome, COMMIT).0, 6);
    assert_eq!(sent(&outcome, REJECTED).0, 1);
}

#[test]
fn a_member_that_does_not_wait_for_its_commit_is_refused() {
    for flaw in [Impatience::AtOnce, Impatience::SendsOldCommit] {
        assert!(run("concurrent-updates:3", 4, flaw).is_err());
    }
    let refusal = run("concurrent-updates:3", 4, Impatience::GivesUp).unwrap_err().to_string();
    assert!(refusal.ends_with("a call that changes the group has returned no commit"), "{refusal}");
}
