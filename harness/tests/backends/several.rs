//! Operations of several members: exact where there is a formula, and validated in any case.

use std::collections::BTreeMap;

use crate::faulty::{Faulty, Unmended};
use dcgka::Dcgka;
use harness::measure::cell::{Bench, Cell, Outcome};
use harness::measure::randomness::Origin;
use harness::measure::validation::Refusal;
use harness::registry::{Registry, full_name};
use protocol::member::Backend;
use protocol::operation::{Operation, Phase, Role};

/// What primitive counts are called in the words of the validation, which are data.
const PRIMITIVE_COUNTS: &str = "operation counts";

fn bench(backend: &dyn Backend) -> Bench<'_> {
    Bench::new(backend, 2).unwrap()
}

fn run(bench: &mut Bench<'_>, operation: &str, group_size: usize) -> Result<Outcome, Refusal> {
    let origin = Origin { seed: 1, group_size, iteration: 1 };
    bench.run(&Cell { operation: operation.parse().unwrap(), origin })
}

/// Checks that a sample of concurrent updates counts and was compared with a formula.
fn is_exact(bench: &mut Bench<'_>, updates: usize, group_size: usize) {
    let operation = format!("concurrent-updates:{updates}");
    let outcome = run(bench, &operation, group_size);
    let outcome = outcome.unwrap_or_else(|refusal| panic!("{operation} at {group_size}: {refusal}"));
    let words = format!("messages and {PRIMITIVE_COUNTS} as expected, members agreed on by ");
    assert!(outcome.validation.starts_with(&words), "{operation} at {group_size}: {}", outcome.validation);
    assert!(
        outcome.validation.contains(&format!(" all changed, {group_size} probes read by all")),
        "{}",
        outcome.validation
    );
}

#[test]
fn the_formula_of_concurrent_updates_is_exact() {
    for backend in [Dcgka::CORRECTED, Dcgka::PUBLISHED] {
        let mut bench = bench(&backend);
        for group_size in [8, 24] {
            for updates in [1, 2, 5, 8] {
                is_exact(&mut bench, updates, group_size);
            }
        }
        for (updates, group_size) in [(1, 2), (2, 2), (3, 3)] {
            is_exact(&mut bench, updates, group_size);
        }
    }
    is_exact(&mut bench(&Dcgka::CORRECTED), 16, 64);
}

#[test]
fn one_concurrent_update_is_an_update() {
    for backend in [Dcgka::CORRECTED, Dcgka::PUBLISHED] {
        let mut bench = bench(&backend);
        for group_size in [2, 3, 8, 32] {
            let mut exact = |operation| {
                let outcome = run(&mut bench, operation, group_size).unwrap();
                let work: Vec<_> = outcome.work.into_iter().map(|row| (row.role, row.phase, row.counts)).collect();
                (outcome.traffic, work, outcome.state_bytes)
            };
            assert_eq!(exact("concurrent-updates:1"), exact("update"));
        }
    }
}

#[test]
fn every_backend_has_them_or_says_that_it_does_not() {
    for backend in Registry::built_in().all() {
        let (name, mut bench) = (full_name(&*backend), bench(&*backend));
        for group_size in [8, 24] {
            for operation in ["concurrent-updates:2", "concurrent-updates:8", "partition-heal"] {
                let result = run(&mut bench, operation, group_size);
                if backend.supports(operation.parse().unwrap(), group_size) {
                    let outcome = result.unwrap_or_else(|refusal| panic!("{name} {operation}: {refusal}"));
                    let formula = backend.expected(operation.parse().unwrap(), group_size).is_some();
                    assert_eq!(
                        outcome.validation.contains("as expected"),
                        formula,
                        "{name} {operation}: {}",
                        outcome.validation
                    );
                } else {
                    assert_eq!(result, Err(Refusal::Unsupported), "{name} {operation}");
                }
            }
        }
    }
}

#[test]
fn a_partition_is_repaired_by_the_first_speaker_but_not_as_published() {
    for (backend, repairs) in [(Dcgka::CORRECTED, 1), (Dcgka::PUBLISHED, 0)] {
        for group_size in [6, 7, 16] {
            let outcome = run(&mut bench(&backend), "partition-heal", group_size).unwrap();
            let mut speaks = BTreeMap::new();
            for row in outcome.traffic.iter().filter(|row| row.phase == Phase::Speak) {
                *speaks.entry(row.kind.as_str()).or_insert(0) += row.messages;
            }
            let acks = repairs * (group_size as u64 - 1);
            let expected = [("ack", acks), ("message", 2), ("update", repairs)];
            assert_eq!(speaks, expected.into_iter().filter(|(_, count)| *count > 0).collect());
            let roles: Vec<_> = outcome.state_bytes.iter().map(|(role, sizes)| (*role, sizes.len())).collect();
            assert_eq!(
                roles,
                [(Role::Sender, 2), (Role::Recipient, group_size - 4), (Role::Joiner, 2), (Role::Removed, 2)]
            );
            let read = format!("message read by {0}, message read by {0}", group_size - 1);
            let probes = format!("{group_size} probes read by all, the removed reads none of them");
            assert!(
                outcome.validation.contains(&read) && outcome.validation.contains(&probes),
                "{}",
                outcome.validation
            );
        }
    }
}

#[test]
fn a_group_that_is_too_small_is_refused() {
    let mut bench = bench(&Dcgka::CORRECTED);
    for (name, least) in [("concurrent-updates:9", 9), ("partition-heal", 6)] {
        let operation: Operation = name.parse().unwrap();
        let refusal = run(&mut bench, name, least - 1).unwrap_err();
        assert_eq!(refusal, Refusal::GroupTooSmall { operation, least });
        assert_eq!(refusal.to_string(), format!("{name} needs a group of at least {least} members"));
        assert!(run(&mut bench, name, least).is_ok());
    }
}

/// Messages of kind `update` in a phase, and all messages in it.
fn updates(outcome: &Outcome, phase: Phase) -> (u64, u64) {
    let of = |kind: &str| -> u64 {
        let rows = outcome.traffic.iter().filter(|row| row.phase == phase && row.kind.contains(kind));
        rows.map(|row| row.messages).sum()
    };
    (of("update"), of(""))
}

#[test]
fn after_a_partition_one_update_of_dcgka_is_all_that_it_takes() {
    for (operation, size) in
        [("partition-recovery:2:3", 4), ("partition-recovery:4:12", 8), ("partition-recovery:3:1", 3)]
    {
        let outcome = run(&mut bench(&Dcgka::CORRECTED), operation, size);
        let outcome = outcome.unwrap_or_else(|refusal| panic!("{operation}: {refusal}"));
        let n = size as u64;
        assert_eq!(
            updates(&outcome, Phase::Mend),
            (1, n),
            "{operation}: one update, and an acknowledgement of all others"
        );
        assert_eq!(updates(&outcome, Phase::Recover), (0, 0), "{operation}");
        assert!(outcome.validation.contains(&format!("{size} probes read by all")), "{}", outcome.validation);
    }
}

#[test]
fn updates_follow_until_no_conflict_is_left_and_no_longer() {
    let mut founded = Vec::new();
    for (mended_after, more) in [(0, 0), (9, 0), (10, 1), (12, 3), (100, 5)] {
        let unmended = Unmended { mended_after, updates: 0 };
        let backend = Faulty::new(Box::new(Dcgka::CORRECTED), unmended);
        let outcome = run(&mut bench(&backend), "partition-recovery:2:8", 6).unwrap();
        assert_eq!(updates(&outcome, Phase::Mend).0, 1);
        assert_eq!(updates(&outcome, Phase::Recover).0, more, "conflicts until {mended_after} updates are known");
        founded.push(outcome.rounds);
    }
    assert!(founded.is_sorted(), "{founded:?}");
}

#[test]
fn where_concurrent_updates_leave_a_conflict_a_member_speaks() {
    // All of them know six updates in the end.
    for (mended_after, speaks) in [(6, false), (7, true)] {
        let backend = Faulty::new(Box::new(baselines::Pairwise), Unmended { mended_after, updates: 0 });
        let outcome = run(&mut bench(&backend), "concurrent-updates:6", 6).unwrap();
        assert_eq!(outcome.traffic.iter().any(|row| row.phase == Phase::Speak), speaks);
        assert_eq!(outcome.validation.contains("message read by 5"), speaks, "{}", outcome.validation);
    }
}

#[test]
fn an_operation_after_others_begins_where_they_end() {
    for backend in [Box::new(Dcgka::CORRECTED) as Box<dyn Backend>, Box::new(baselines::Pairwise)] {
        let mut bench = bench(&*backend);
        let bytes = |outcome: &Outcome| outcome.traffic.iter().map(|row| row.bytes_sent).sum::<u64>();
        let mut measured = |operation| run(&mut bench, operation, 4).unwrap_or_else(|refusal| panic!("{refusal}"));
        let plain = measured("add");
        // All have updated, so the cold channels have been used.
        let after = [measured("add-after:4"), measured("add-after:8"), measured("add-after:4")];
        assert!(after.iter().all(|it| bytes(it) >= bytes(&plain)));
        assert_eq!(after[0].traffic, after[2].traffic, "the same history gives the same bytes");
        assert!(measured("update-after:4").validation.contains("members agreed on by 4"));
    }
}
