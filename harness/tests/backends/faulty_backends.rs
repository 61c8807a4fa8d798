//! Each faulty backend is found, by the guard that the test's name says: the conformance suite before anything is
//! measured, the validation of an iteration, or the simulation.

use crate::faulty::{
    AllAreAcks, ConstantRandomness, Correct, DeclaresLess, FakesUpdates, Fault, Faulty, Hoards, JoinsUnconfirmed,
    KeepsKey, KeepsPrekeys, KeepsTraces, Leaks, Lies, LosesCrossingUpdates, Panics, SkipsAck, SkipsSignature,
    StaleRandomness, TrustsRounds, UnsignedGroup, UnsignedNumber,
};
use baselines::{Pairwise, SenderKeys};
use dcgka::Dcgka;
use harness::measure::cell::{Bench, Cell, Outcome};
use harness::measure::randomness::Origin;
use harness::measure::validation::Refusal;
use protocol::conformance::{self, Report, Violation};
use protocol::member::Backend;
use protocol::operation::Operation;
use protocol::simulation::{self, Counterexample, Subject};

pub(crate) type Base = fn() -> Box<dyn Backend>;

pub(crate) const DCGKA: Base = || Box::new(Dcgka::CORRECTED);
const BASES: [Base; 3] = [DCGKA, || Box::new(Pairwise), || Box::new(SenderKeys::EAGER)];

pub(crate) fn check(base: Base, fault: impl Fault + Clone + 'static) -> Result<Report, Violation> {
    conformance::check(&|| Box::new(Faulty::new(base(), fault.clone())))
}

pub(crate) fn violation(base: Base, fault: impl Fault + Clone + 'static) -> String {
    check(base, fault).unwrap_err().to_string()
}

fn run(fault: impl Fault + 'static, operation: Operation) -> Result<Outcome, Refusal> {
    let backend = Faulty::new(DCGKA(), fault);
    let origin = Origin { seed: 1, group_size: 4, iteration: 0 };
    Bench::new(&backend, 1).unwrap().run(&Cell { operation, origin })
}

/// Checks that the suite refuses the fault in DCGKA and in both baseline protocols.
fn refused_by_the_suite(fault: impl Fault + Clone + 'static, reasons: [&str; 3]) {
    for (base, reason) in BASES.into_iter().zip(reasons) {
        let found = violation(base, fault.clone());
        assert!(found.starts_with(reason), "{found}");
    }
}

#[test]
fn without_a_fault_the_wrapper_passes_both_guards() {
    for base in BASES {
        check(base, Correct).unwrap_or_else(|violation| panic!("{violation}"));
    }
    for operation in Operation::REPRODUCED {
        run(Correct, operation).unwrap();
    }
}

#[test]
fn a_skipped_acknowledgement_is_found_by_suite_and_validation() {
    let found = violation(DCGKA, SkipsAck);
    assert!(found.starts_with("operations: ack messages: expected 1, measured 0; op."), "{found}");
    assert!(found.contains(" (create, 2 members, seed "), "{found}");
    let refusal = run(SkipsAck, Operation::Create).unwrap_err();
    let found = refusal.to_string();
    assert!(found.starts_with("ack messages: expected 3, measured 2; op.verify of role sender"), "{found}");
}

#[test]
fn a_signature_that_nobody_checks_is_found_by_the_suite() {
    let found = violation(DCGKA, SkipsSignature);
    assert!(found.starts_with("hostile network: a message of kind `create` with an altered byte "), "{found}");
    assert!(found.contains(" was taken for a genuine one (create, 3 members, seed "), "{found}");
}

#[test]
fn a_message_that_is_not_verified_if_it_comes_in_a_full_round_is_found_by_the_suite() {
    let found = violation(DCGKA, TrustsRounds::default());
    let reason = "hostile network: among genuine messages in one batch, one of kind `ack` with an altered byte ";
    assert!(found.starts_with(reason) && found.contains(" (create, 6 members, "), "{found}");
}

#[test]
fn a_number_that_is_not_signed_is_found_by_the_suite() {
    let found = violation(DCGKA, UnsignedNumber::default());
    let reason =
        "hostile network: a copy of an earlier message of kind `create` with the byte 0 raised by one was taken";
    assert!(found.starts_with(reason), "{found}");
}

#[test]
fn a_group_that_is_not_signed_is_found_by_the_suite() {
    let found = violation(DCGKA, UnsignedGroup);
    let reason = "hostile network: a message of kind `ack` of another group was taken for a genuine one (two groups, ";
    assert!(found.starts_with(reason), "{found}");
}

#[test]
fn a_user_that_joins_by_an_unconfirmed_inviter_is_found_by_the_suite() {
    let joins = "inviters: a user has joined a group whose inviter it has not confirmed (create, 3 members, ";
    refused_by_the_suite(JoinsUnconfirmed::Always, [joins; 3]);
    let never = "inviters: a user does not join a group whose inviter it confirms when the same messages arrive again";
    let found = violation(DCGKA, JoinsUnconfirmed::NEVER_AGAIN);
    assert!(found.starts_with(never), "{found}");
}

#[test]
fn constant_randomness_is_found_by_the_suite() {
    let same = "randomness: other randomness of the member that acts gives the same bytes (create, 4 members";
    // Backends in which other members draw randomness too fail before that check.
    let refused = "operations: a genuine message of kind `message` was refused";
    refused_by_the_suite(ConstantRandomness, [same, refused, "operations: two senders have the same key material"]);
}

#[test]
fn randomness_of_an_earlier_call_is_found_by_the_suite_in_acts_of_any_member() {
    let same = "randomness: a sender's key material is the same whatever the randomness";
    for (fault, situation) in [
        (StaleRandomness::IN_REMOVALS_BY_OTHERS, "removal of the creator"),
        (StaleRandomness::IN_LATER_UPDATES, "second update of a member"),
    ] {
        let found = violation(DCGKA, fault);
        assert!(found.starts_with(&format!("{same} ({situation}, 4 members, ")), "{found}");
    }
}

#[test]
fn a_declaration_that_the_same_randomness_gives_other_bytes_is_found_by_the_suite_if_it_is_false() {
    let same = "randomness: the same randomness gives the same bytes, which is declared otherwise";
    refused_by_the_suite(DeclaresLess, [same; 3]);
}

#[test]
fn a_key_that_survives_a_removal_is_found_by_suite_and_validation() {
    let found = violation(DCGKA, KeepsKey::seen());
    let reason = "operations: the operation has left a sender's key material as it was (remove, 2 members, ";
    assert!(found.starts_with(reason), "{found}");
    assert_eq!(run(KeepsKey::seen(), Operation::Remove), Err(Refusal::FingerprintsUnchanged));
}

#[test]
fn a_key_that_survives_a_removal_without_fingerprints_is_found_by_suite_and_validation() {
    let found = violation(DCGKA, KeepsKey::unseen());
    let reason = "secrecy: a state from before its owner's removal, given everything, reads ";
    assert!(found.starts_with(reason), "{found}");
    assert_eq!(run(KeepsKey::unseen(), Operation::Remove), Err(Refusal::ReadByRemoved));
    assert_eq!(run(KeepsKey::unseen(), Operation::MessageAfterRemove), Err(Refusal::ReadByRemoved));
}

#[test]
fn a_message_that_the_removed_creator_reads_is_found_by_the_suite() {
    let found = violation(DCGKA, Leaks::AFTER_REMOVALS_BY_OTHERS);
    let reason = "secrecy: a state from before its owner's removal, given everything, reads ";
    assert!(found.starts_with(reason) && found.contains(" (removal of the creator, 2 members, "), "{found}");
}

#[test]
fn a_message_that_the_removed_member_reads_is_found_by_suite_and_validation() {
    let reason = "secrecy: a state from before its owner's removal, given everything, reads ";
    refused_by_the_suite(Leaks::ALWAYS, [reason; 3]);
    assert_eq!(run(Leaks::ALWAYS, Operation::Remove), Err(Refusal::ReadByRemoved));
}

#[test]
fn a_lie_about_bytes_is_found_by_the_suite_alone() {
    let refused = |kind: &str| {
        format!("operations: a genuine message of kind `{kind}` was refused by a member in another instance: ")
    };
    for (base, kind) in BASES.into_iter().zip(["create", "founders", "founders"]) {
        let check = conformance::check(&|| Box::new(Faulty::new(base(), Lies::of_one_backend())));
        let found = check.unwrap_err().to_string();
        assert!(found.starts_with(&refused(kind)), "{found}");
    }
    assert!(run(Lies::of_one_backend(), Operation::Message).is_ok());
}

#[test]
fn a_lie_about_bytes_in_memory_that_all_instances_share_is_found_by_the_suite() {
    let reason = "operations: 1000 random bytes were read from messages of 4 bytes (message, ";
    refused_by_the_suite(Lies::of_all_instances(), [reason; 3]);
}

#[test]
fn a_key_of_a_message_that_was_read_is_found_by_the_suite_in_the_state() {
    let kept =
        "secrecy: the key of a message that was read can be derived from the state of a member, which is declared";
    refused_by_the_suite(Hoards::LAST, [kept; 3]);
    let grows = "secrecy: after 128 messages, the state of a member still grows with each: it may keep their keys (";
    refused_by_the_suite(Hoards::EACH, [grows; 3]);
}

#[test]
fn a_kept_one_time_prekey_is_found_by_the_suite() {
    let prekeys = "prekeys: a one-time prekey that has been used is still in the export of its owner (first contact, ";
    // Where messages alone renew no key, the prekeys open what was sent.
    let secrecy =
        "secrecy: the key of a message that was read can be derived from the state of a member, which is declared ";
    refused_by_the_suite(KeepsPrekeys::default(), [secrecy, prekeys, secrecy]);
}

#[test]
fn an_update_that_changes_nothing_is_found_by_the_suite() {
    let found = violation(DCGKA, FakesUpdates::ALL);
    let reason = "healing: a state from before its owner's update, given everything, reads ";
    assert!(found.starts_with(reason), "{found}");
}

#[test]
fn a_later_update_that_changes_nothing_is_found_by_the_suite() {
    let found = violation(DCGKA, FakesUpdates::LATER);
    let reason = "healing: a state from before its owner's update, given everything, reads ";
    assert!(found.starts_with(reason) && found.contains(" (second update of a member, 3 members, "), "{found}");
}

#[test]
fn a_refused_message_that_changes_the_state_is_found_by_the_suite() {
    let found = violation(DCGKA, KeepsTraces::default());
    assert!(found.starts_with("hostile network: a message of kind `create` "), "{found}");
    assert!(found.contains(" was refused, and has changed the state (create, 3 members, "), "{found}");
}

#[test]
fn crossing_updates_that_are_lost_are_found_by_suite_and_validation() {
    let lost = |base: Base| {
        let found = violation(base, LosesCrossingUpdates::default());
        assert!(found.starts_with("concurrency: ") && found.contains("(two updates at once, 5 members"), "{found}");
        let backend = Faulty::new(base(), LosesCrossingUpdates::default());
        let run = |operation: &str| {
            let origin = Origin { seed: 1, group_size: 6, iteration: 1 };
            Bench::new(&backend, 1).unwrap().run(&Cell { operation: operation.parse().unwrap(), origin })
        };
        run("concurrent-updates:1").unwrap();
        run("concurrent-updates:2").unwrap_err()
    };
    let found = lost(DCGKA).to_string();
    assert!(found.starts_with("ack messages: expected 10, measured 8"), "{found}");
    // There is no formula, so another part of the validation shows the fault.
    let found = lost(|| Box::new(SenderKeys::PCS)).to_string();
    assert!(found.ends_with("members have different key material of one sender"), "{found}");
}

#[test]
fn a_panic_is_found_by_the_suite() {
    let found = violation(DCGKA, Panics);
    let words = "hostile network: the backend panicked: the intended panic (create, 3 members, ";
    assert!(found.starts_with(words), "{found}");
}

#[test]
fn an_operation_that_is_sent_as_acks_is_refused() {
    assert_eq!(run(AllAreAcks, Operation::Create), Err(Refusal::Acknowledges));
    assert_eq!(run(AllAreAcks, Operation::Update), Err(Refusal::SetUp(Box::new(Refusal::Acknowledges))));
}

/// The first counterexample that the simulation finds for a fault, in the first 20 random schedules.
fn simulated(fault: impl Fault + 'static) -> Option<Box<Counterexample>> {
    let backend = Faulty::new(DCGKA(), fault);
    let subject = Subject { backend: &backend, audit: None };
    (0..20).find_map(|seed| simulation::check(subject, seed, 10).err())
}

#[test]
fn without_a_fault_the_wrapper_passes_the_simulation() {
    assert_eq!(simulated(Correct), None);
}

#[test]
fn a_skipped_acknowledgement_is_found_by_the_simulation_within_one_step() {
    let found = simulated(SkipsAck).unwrap();
    assert!(found.failure.what.contains("has other key material"), "{found}");
    assert!(found.schedule.steps.len() <= 1, "any step suffices: {found}");
}

#[test]
fn a_message_that_the_removed_member_reads_is_found_by_the_simulation() {
    let found = simulated(Leaks::ALWAYS).unwrap();
    assert!(found.failure.what.contains("not entitled, has read message"), "{found}");
    assert_eq!(found.schedule.steps.len(), 1, "a removal suffices: {found}");
}

#[test]
fn a_refused_message_that_changes_the_state_is_found_by_the_simulation() {
    let found = simulated(KeepsTraces::default()).unwrap();
    assert!(found.failure.what.contains("has effects"), "{found}");
}

#[test]
fn a_repeated_schedule_ends_in_the_same_way() {
    let backend = Faulty::new(DCGKA(), Leaks::ALWAYS);
    let subject = Subject { backend: &backend, audit: None };
    let found = simulated(Leaks::ALWAYS).unwrap();
    let again = simulation::attempt(subject, found.schedule.to_string().parse().unwrap());
    assert_eq!(again, Err(found));
}
