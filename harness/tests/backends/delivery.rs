//! Messages that are lost or read twice because of the order in which they arrive: the suite refuses each such fault.

use crate::faulty::{
    Fault, LosesAcks, LosesEarlyMessages, LosesMessagesOfOldEpochs, LosesOvertakenMessages, ReadsAgain,
};
use crate::faulty_backends::{DCGKA, violation};

fn refused(fault: impl Fault + Clone + 'static, reason: &str) {
    let found = violation(DCGKA, fault);
    assert!(found.starts_with(reason), "{found}");
}

const LOST: &str = "crossing messages: a message is lost, although the declared ordering allows the order in which all";

#[test]
fn a_message_that_overtakes_the_update_of_another_author_and_is_lost_is_found() {
    refused(LosesEarlyMessages::of_applications(), LOST);
}

#[test]
fn a_message_of_any_kind_that_arrives_too_early_and_is_lost_is_found() {
    let found = "secrecy: a member did not read exactly what another one sent, once and from its sender (remove, ";
    refused(LosesEarlyMessages::of_all_kinds(), found);
}

#[test]
fn a_message_that_crosses_an_update_and_is_lost_is_found() {
    refused(LosesMessagesOfOldEpochs::default(), LOST);
}

#[test]
fn a_message_that_a_later_one_of_its_author_overtakes_and_that_is_lost_is_found() {
    refused(LosesOvertakenMessages, LOST);
}

#[test]
fn a_lost_acknowledgement_of_a_withheld_operation_is_found() {
    refused(LosesAcks, "crossing messages: ");
}

#[test]
fn a_message_that_is_read_again_after_a_restart_is_found() {
    refused(
        ReadsAgain::default(),
        "crossing messages: a message of kind `message` that has arrived before has an effect",
    );
}
