//! Faults that show in large groups only: the suite refuses each in a group of the size that is measured.

use crate::faulty::{
    ConstantKey, Correct, FakesUpdates, Fault, Faulty, LosesEarlyMessages, LosesMessagesOfOldEpochs,
    LosesWhatUpdatesRelease, OnlyInLargeGroups, Recrypted, SecretInClear,
};
use crate::faulty_backends::DCGKA;
use protocol::conformance;

/// More members than in any group of [`conformance::check`].
const LARGE: usize = 10;
const SIZE: usize = 12;

/// Passes the suite in small groups, and returns what it says of a large one.
fn only_large(fault: impl Fault + Clone + 'static) -> Result<conformance::Report, conformance::Violation> {
    let fault = OnlyInLargeGroups::of(LARGE, fault);
    let make = || -> Box<dyn protocol::member::Backend> { Box::new(Faulty::new(DCGKA(), fault.clone())) };
    conformance::check(&make).unwrap_or_else(|violation| panic!("{violation}"));
    conformance::check_at(&make, SIZE)
}

fn refused(fault: impl Fault + Clone + 'static, reason: &str) {
    let found = only_large(fault).unwrap_err().to_string();
    assert!(found.starts_with(reason), "{found}");
}

#[test]
fn without_a_fault_a_large_group_passes_and_an_attacker_reads_where_it_should() {
    let report = only_large(Correct).unwrap_or_else(|violation| panic!("{violation}"));
    let situations = [("operations", 1), ("healing", 1), ("secrecy", 3), ("crossing messages", 1), ("what is sent", 1)];
    assert_eq!(report.passed, situations);
    assert!(report.not_made.is_empty() && report.attacks.len() == 8, "{report}");
    assert!(report.attacks.iter().all(|attack| attack.group_size >= SIZE && attack.twin_read > 0));
}

#[test]
fn a_constant_key_and_nonce_in_large_groups_are_found() {
    let reason = "what is sent: two messages are encrypted with the same keystream: a key and nonce were used twice (";
    refused(Recrypted::with(ConstantKey), reason);
}

#[test]
fn a_secret_in_clear_in_large_groups_is_found_in_each_kind_of_message() {
    for kind in ["update", "remove", "add"] {
        let reason = format!("what is sent: a message of kind `{kind}` shows in clear what a member drew: a secret, ");
        refused(SecretInClear::of(kind), &reason);
    }
}

#[test]
fn an_update_that_changes_nothing_in_large_groups_is_found() {
    refused(FakesUpdates::ALL, "healing: a state from before its owner's update, given everything, reads ");
}

#[test]
fn messages_that_cross_or_overtake_an_update_and_are_lost_in_large_groups_are_found() {
    let reason = "crossing messages: a message is lost, although the declared ordering allows the order in which all";
    refused(LosesMessagesOfOldEpochs::default(), reason);
    refused(LosesEarlyMessages::of_applications(), reason);
    refused(LosesWhatUpdatesRelease, reason);
}

#[test]
fn a_large_group_has_the_largest_size_that_is_measured_up_to_128() {
    assert_eq!(
        [2, 8, 9, 24, 128, 2048].map(|largest| conformance::large(&*DCGKA(), largest)),
        [None, None, Some(9), Some(24), Some(128), Some(128)]
    );
}
