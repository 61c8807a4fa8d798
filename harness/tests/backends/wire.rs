//! Faults that an eavesdropper sees: the suite refuses each.

use crate::faulty::{
    BlockByBlock, ChainNeverSteps, ChainRestarts, ConstantKey, CounterRestarts, CounterWraps, DeterministicEncryption,
    Fault, FreshKeys, KeyAgainInFlight, OneChainForAll, OverlappingKeystreams, PlaintextInClear, Recrypted,
    SameInAllGroups, SecretInClear,
};
use crate::faulty_backends::{DCGKA, check, violation};
use crate::key_in_clear::KeyInClear;
use crate::layer::Layered;
use protocol::conformance;

fn refused(fault: impl Fault + Clone + 'static, reason: &str) {
    let found = violation(DCGKA, fault);
    assert!(found.starts_with(&format!("what is sent: {reason}")), "{found}");
}

#[test]
fn with_fresh_keys_and_without_a_secret_in_clear_the_wrapper_passes() {
    check(DCGKA, Recrypted::with(FreshKeys)).unwrap_or_else(|violation| panic!("{violation}"));
    check(DCGKA, SecretInClear::of("no kind")).unwrap_or_else(|violation| panic!("{violation}"));
}

const KEYSTREAM: &str = "two messages are encrypted with the same keystream: a key and nonce were used twice";

#[test]
fn a_constant_key_and_nonce_are_found() {
    refused(Recrypted::with(ConstantKey), &format!("{KEYSTREAM} (create, 3 members, "));
}

#[test]
fn a_chain_that_never_steps_is_found() {
    refused(Recrypted::with(ChainNeverSteps), &format!("{KEYSTREAM} (create, 3 members, "));
}

#[test]
fn a_chain_that_starts_from_the_same_secret_in_each_epoch_is_found() {
    refused(Recrypted::with(ChainRestarts), &format!("{KEYSTREAM} (add, 3 members, "));
}

#[test]
fn a_counter_that_begins_again_is_found() {
    refused(Recrypted::with(CounterWraps), &format!("{KEYSTREAM} (a long chain, 2 members, "));
    refused(Recrypted::with(CounterRestarts), &format!("{KEYSTREAM} (create, 3 members, "));
}

#[test]
fn a_chain_that_several_senders_use_is_found() {
    refused(Recrypted::with(OneChainForAll), &format!("{KEYSTREAM} (create, 3 members, "));
}

#[test]
fn keys_that_are_the_same_in_two_groups_are_found() {
    refused(Recrypted::with(SameInAllGroups), &format!("{KEYSTREAM} (two groups, 3 members, "));
}

#[test]
fn a_key_that_is_used_again_while_an_operation_is_in_flight_is_found() {
    refused(Recrypted::with(KeyAgainInFlight), &format!("{KEYSTREAM} (messages and an update in flight, 3 members, "));
}

#[test]
fn keystreams_that_overlap_at_other_positions_are_found() {
    refused(Recrypted::with(OverlappingKeystreams), &format!("{KEYSTREAM} (create, 3 members, "));
}

#[test]
fn equal_plaintexts_that_look_alike_are_found() {
    let again = "a plaintext that is sent again looks the same: it is encrypted without a fresh key or nonce (";
    refused(Recrypted::with(DeterministicEncryption), again);
    refused(Recrypted::with(BlockByBlock), "equal blocks of a plaintext are equal blocks of the message (");
}

#[test]
fn a_plaintext_in_clear_is_found() {
    refused(PlaintextInClear::default(), "a message of kind `message` shows a plaintext in clear (");
}

#[test]
fn a_secret_in_clear_is_found_in_each_kind_of_message() {
    for kind in ["update", "remove", "add"] {
        let reason = format!("a message of kind `{kind}` shows in clear what a member drew: a secret, unless it is");
        refused(SecretInClear::of(kind), &reason);
    }
}

#[test]
fn a_declaration_of_public_randomness_does_not_hide_a_secret() {
    let decides = "a value that is declared as public decides key material (update, 3 members, ";
    refused(SecretInClear::declared("update", &["create", "update"]), decides);
    let void = "public randomness is declared for messages of kind `remove`, and none carries any (";
    refused(SecretInClear::declared("none", &["create", "remove"]), void);
    let more = "a message of kind `create` shows more in clear than the one value of 32 bytes that may be public (";
    refused(SecretInClear::of_two("create"), more);
    let undeclared = "a message of kind `create` shows in clear what a member drew: a secret, unless it is declared as";
    refused(SecretInClear::declared("none", &[]), undeclared);
}

#[test]
fn a_derived_secret_in_clear_is_found() {
    let found = conformance::check(&|| Box::new(Layered::<KeyInClear>::default())).unwrap_err().to_string();
    let reason =
        "what is sent: a message of kind `create` shows in clear a secret from which others are derived (create, ";
    assert!(found.starts_with(reason), "{found}");
}
