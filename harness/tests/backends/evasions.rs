//! Work that is put off, done ahead or left out where the suite does not look. Each passes the suite, and each is refused
//! where it is measured. What needs a process of its own is in `harness/tests/apart`.

use crate::checks_later::{ChecksLater, IN_CALL, IN_EXPECTED, IN_GROUP};
use crate::faulty::{Faulty, SumsInLargeGroups};
use crate::free_verification::FreeVerification;
use crate::gives_up::GivesUp;
use crate::layer::Layered;
use crate::puts_off::PutsOff;
use crate::puts_off_uncounted::{PutsOffUncounted, UNTIL};
use crate::second_signature::SecondSignature;
use crate::small_groups_only::SmallGroupsOnly;
use crate::table_of_plaintexts::TableOfPlaintexts;
use crate::verifies_when_author_speaks::VerifiesWhenAuthorSpeaks;
use crate::works_ahead::WorksAhead;
use baselines::Pairwise;
use harness::measure::cell::{Bench, Cell, Outcome};
use harness::measure::randomness::Origin;
use harness::measure::validation::Refusal;
use protocol::conformance;
use protocol::member::Backend;
use protocol::operation::Operation;

/// More members than in any group of the suite.
const SIZE: usize = 24;
const SET_UP: &str = "while the group was set up: ";
const DOES_WORK: &str = "does work outside the timers, ahead of an operation or after it";
const METHODS: [&str; 8] = ["id", "group", "members", "delivered", "fingerprints", "export", "duplicate", "drop"];

fn run(backend: &dyn Backend, operation: Operation, group_size: usize) -> Result<Outcome, Refusal> {
    let origin = Origin { seed: 1, group_size, iteration: 1 };
    Bench::new(backend, 1).unwrap().run(&Cell { operation, origin })
}

fn refusal(backend: &dyn Backend) -> String {
    run(backend, Operation::Update, SIZE).unwrap_err().to_string()
}

fn passes_the_suite<B: Backend + 'static>(make: impl Fn() -> B) {
    conformance::check(&|| Box::new(make())).unwrap_or_else(|violation| panic!("{violation}"));
}

fn is_measured(backend: &dyn Backend) {
    for operation in Operation::ALL {
        if !backend.supports(operation, SIZE) {
            continue;
        }
        let outcome = run(backend, operation, SIZE).unwrap_or_else(|refusal| panic!("{operation}: {refusal}"));
        assert!(outcome.validation.contains("altered and late messages to "), "{}", outcome.validation);
        assert!(outcome.validation.contains("processes of their own not made: this program starts no processes"));
        assert!(outcome.validation.ends_with("a look at other threads not made"), "{}", outcome.validation);
    }
}

#[test]
fn layers_without_a_fault_are_measured() {
    // That they pass the suite is tested where they run in processes of their own.
    is_measured(&Layered::<SecondSignature>::default());
    is_measured(&Layered::<TableOfPlaintexts<false>>::default());
    is_measured(&Layered::<PutsOffUncounted>::default());
}

#[test]
fn acknowledgements_that_are_verified_when_a_member_is_shown_are_refused() {
    for method in METHODS {
        let found = refusal(&PutsOff(method));
        // The group is copied before the operation.
        let set_up = if method == "duplicate" { SET_UP } else { "" };
        let reason = format!("{set_up}`{method}` {DOES_WORK}: op.verify ");
        assert!(found.starts_with(&reason), "{method}: {found}");
    }
}

#[test]
fn acknowledgements_that_are_verified_in_the_next_call_are_refused() {
    let found = refusal(&PutsOff("next call"));
    assert!(found.starts_with("a member that receives a probe message verifies "), "{found}");
}

#[test]
fn an_acknowledgement_that_is_verified_when_its_author_speaks_is_refused() {
    let backend = Layered::<VerifiesWhenAuthorSpeaks>::default();
    // The layer's key is made with the first formula.
    let _ = backend.expected(Operation::Update, SIZE);
    let found = refusal(&backend);
    let reason = "the first message of a member after the operation costs the sender more than the next one, as if work was \
                  put off: op.verify 1";
    assert_eq!(found, reason);
}

#[test]
fn work_that_nothing_counts_is_refused_in_small_groups_too() {
    UNTIL.set("export");
    let found = run(&Layered::<PutsOffUncounted>::default(), Operation::Update, 3).unwrap_err().to_string();
    assert!(found.starts_with("after the operation, `export` and the like take "), "{found}");
    UNTIL.set("");
}

#[test]
fn work_that_nothing_counts_is_refused_where_it_is_put_off() {
    for method in ["members", "fingerprints", "export", "drop"] {
        UNTIL.set(method);
        let found = refusal(&Layered::<PutsOffUncounted>::default());
        let reason = format!("after the operation, `{method}` and the like take ");
        assert!(found.starts_with(&reason), "{method}: {found}");
    }
    UNTIL.set("");
}

#[test]
fn work_between_the_calls_of_an_operation_and_in_formulas_is_refused() {
    run(&Layered::<ChecksLater<IN_CALL>>::default(), Operation::Update, SIZE).unwrap();
    passes_the_suite(Layered::<ChecksLater<IN_GROUP>>::default);
    let found = refusal(&Layered::<ChecksLater<IN_GROUP>>::default());
    assert_eq!(found, format!("`group` {DOES_WORK}: op.verify 1"));

    passes_the_suite(Layered::<ChecksLater<IN_EXPECTED>>::default);
    let backend = Layered::<ChecksLater<IN_EXPECTED>>::default();
    // Nothing has been put off until the first sample.
    let _ = backend.expected(Operation::Update, SIZE);
    run(&backend, Operation::Update, SIZE).unwrap();
    let found = refusal(&backend);
    assert!(found.starts_with(&format!("`expected` {DOES_WORK}: op.verify ")), "{found}");
}

#[test]
fn keys_that_are_made_ahead_are_refused() {
    passes_the_suite(Layered::<WorksAhead<true>>::default);
    let found = refusal(&Layered::<WorksAhead<true>>::default());
    assert_eq!(found, format!("{SET_UP}`duplicate` {DOES_WORK}: op.sign_keygen 2, op.kdf 4"));
    let found = refusal(&Layered::<WorksAhead<false>>::default());
    assert!(found.starts_with(&format!("{SET_UP}`new_user` {DOES_WORK}: op.sign_keygen 4")), "{found}");
}

#[test]
fn a_signature_that_is_not_verified_in_large_groups_is_refused_there() {
    let forged = |backend: &dyn Backend, kind: &str| {
        run(backend, Operation::Update, SIZE / 2).unwrap();
        let found = refusal(backend);
        assert!(found.starts_with("at this size, with altered and late messages: "), "{found}");
        let reason = format!("an altered message of kind `{kind}` was taken for a genuine one");
        assert!(found.ends_with(&reason), "{found}");
    };
    passes_the_suite(Layered::<SmallGroupsOnly<false>>::default);
    forged(&Layered::<SmallGroupsOnly<false>>::default(), "update");
    passes_the_suite(Layered::<SmallGroupsOnly<true>>::default);
    forged(&Layered::<SmallGroupsOnly<true>>::default(), "ack");
}

/// A checksum refuses the altered messages of an inspection, and needs no key.
#[test]
fn a_checksum_in_the_place_of_a_signature_in_large_groups_is_refused_there() {
    let fault = SumsInLargeGroups { from: SIZE, now: false };
    let backend = Faulty::new(Box::new(Pairwise), fault);
    // The key is made with the first formula.
    let _ = backend.expected(Operation::Message, SIZE);
    run(&backend, Operation::Message, SIZE / 2).unwrap();
    let found = run(&backend, Operation::Message, SIZE).unwrap_err().to_string();
    let reason = "a member verifies 0 signatures for 1 messages of this operation, and in a group of 8 members at least one for \
                  each";
    assert_eq!(found, reason);
    // Where no message is signed, nothing is missing.
    run(&Pairwise, Operation::Message, SIZE).unwrap();
}

#[test]
fn a_verification_that_costs_nothing_does_not_count() {
    let backend = Layered::<FreeVerification>::default();
    // The layer's key is made with the first formula.
    let _ = backend.expected(Operation::Update, SIZE);
    let found = refusal(&backend);
    assert!(found.contains("op.verify"), "{found}");
}

#[test]
fn a_member_of_a_large_group_that_gives_up_after_a_late_message_is_refused() {
    passes_the_suite(Layered::<GivesUp>::default);
    run(&Layered::<GivesUp>::default(), Operation::Update, SIZE / 2).unwrap();
    let found = refusal(&Layered::<GivesUp>::default());
    assert!(found.starts_with("at this size, with altered and late messages: recipient in phase "), "{found}");
}
