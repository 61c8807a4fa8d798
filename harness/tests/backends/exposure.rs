//! What attackers read with stolen states: of the backends of this workspace, what is known; of faulty ones, what the fault exposes.

use std::collections::BTreeMap;

use baselines::{Pairwise, SenderKeys};
use dcgka::Dcgka;
use harness::record::exposure::{Ended, Order, Played};
use harness::run::attacks;
use protocol::error::Error;
use protocol::member::{Backend, Context, Incoming, Member, Received};
use protocol::security::{SITUATIONS, Workload, expose};

use crate::faulty::{FakesUpdates, Fault, Faulty, Hoards, KeepsPrekeys};
use crate::masked::Masked;

const ORDER: Order = Order { seed: 1, quick: true };

type Make = fn() -> Box<dyn Backend>;

/// The backends of the columns below. The other variants of DCGKA expose what `dcgka` does.
const COLUMNS: [Make; 6] = [
    || Box::new(Dcgka::CORRECTED),
    || Box::new(Dcgka::PUBLISHED),
    || Box::new(Pairwise),
    || Box::new(SenderKeys::EAGER),
    || Box::new(SenderKeys::LAZY),
    || Box::new(SenderKeys::PCS),
];
const LIKE_DCGKA: [Make; 3] =
    [|| Box::new(Dcgka::LEAN_CHANNELS), || Box::new(Dcgka::TAGGED_ACKS), || Box::new(Dcgka::LEAN)];

/// Exposed messages in each situation.
const EXPOSED: &[(&str, &str)] = &[
    ("after-delivery", "0/6 0/6 0/6 0/6 0/6 0/6"),
    ("acks-outstanding", "0/6 0/6 0/6 - - 0/6"),
    ("offline-member", "15/15 15/15 15/15 18/18 18/18 12/15"),
    ("beside-offline-member", "0/15 0/15 0/15 0/18 0/18 2/15"),
    ("own-update", "0/6 0/6 0/6 6/6 6/6 0/6"),
    ("others-update", "5/5 5/5 4/5 5/5 5/5 4/5"),
    ("two-updates", "0/6 0/6 0/6 6/6 6/6 0/6"),
    ("two-updates-at-once", "6/6 6/6 0/6 - - 0/6"),
    ("own-message", "5/5 5/5 0/5 5/5 5/5 5/5"),
    ("round-trip", "6/6 6/6 0/6 6/6 6/6 6/6"),
    ("own-add", "7/7 7/7 0/7 6/7 6/7 6/7"),
    ("own-removal", "0/5 0/5 0/5 2/5 1/5 2/5"),
    ("update-beside-add", "1/7 1/7 0/7 - - 0/7"),
    ("update-beside-update", "0/6 0/6 0/6 - - 0/6"),
    ("update-beside-removal", "0/5 0/5 0/5 - - 0/5"),
    ("taken-twice", "0/6 0/6 5/6 6/6 6/6 6/6"),
    ("later-another", "0/6 0/6 0/6 6/6 6/6 0/6"),
    ("removed", "0/5 0/5 0/5 0/5 0/5 0/5"),
    ("two-removed", "0/4 0/4 0/4 0/4 0/4 0/4"),
    ("two-removed-at-once", "0/4 4/4 0/4 0/4 0/4 0/4"),
    ("removed-beside-add", "0/6 1/6 0/6 0/6 0/6 0/6"),
    ("removed-adds", "0/5 5/5 0/5 0/5 0/5 0/5"),
    ("joiner", "0/6 0/6 0/6 0/6 0/6 0/6"),
    ("speaks-after-update", "0/5 0/5 0/5 5/5 5/5 0/5"),
    ("forged-acknowledgement", "0/5 0/5 - - - -"),
    ("before-joining", "0/7 0/7 0/7 6/7 6/7 0/7"),
    ("used-prekeys", "0/7 0/7 0/7 0/7 0/7 0/7"),
    ("no-prekeys-left", "7/7 7/7 6/7 7/7 7/7 6/7"),
    ("replayed", "0/25 0/25 0/13 0/19 0/19 0/19"),
];

fn played(make: &dyn Fn() -> Box<dyn Backend>, name: &str) -> Played {
    let situation = SITUATIONS.iter().find(|situation| situation.name == name).unwrap();
    attacks::play(make, situation, ORDER)
}

fn cell(make: &dyn Fn() -> Box<dyn Backend>, name: &str) -> String {
    let Played { status, reason, tried, exposed, twin_read, .. } = played(make, name);
    match status {
        Ended::Measured => {
            assert!(twin_read > 0, "{name}: the same attacker reads nothing where it should");
            format!("{exposed}/{tried}")
        }
        Ended::NotPossible => "-".to_owned(),
        Ended::Failed => panic!("{name}: {reason}"),
    }
}

#[test]
fn backends_expose_what_is_known_and_nothing_else() {
    let names: Vec<&str> = SITUATIONS.iter().map(|situation| situation.name).collect();
    assert_eq!(names, EXPOSED.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, cells) in EXPOSED {
        let found: Vec<String> = COLUMNS.iter().map(|make| cell(make, name)).collect();
        assert_eq!(found.join(" "), *cells, "{name}");
        for make in LIKE_DCGKA {
            let variant = make().description().variant;
            // A tag can be made by everybody who has the seed.
            let has_tags = *name == "forged-acknowledgement" && variant != "lean-channels";
            assert_eq!(cell(&make, name), if has_tags { "5/5" } else { &found[0] }, "{name}: {variant}");
        }
    }
}

fn exposed(fault: impl Fault + Clone + 'static, name: &str) -> (usize, usize, Option<usize>) {
    let make = || -> Box<dyn Backend> { Box::new(Faulty::new(Box::new(Dcgka::CORRECTED), fault.clone())) };
    let Played { tried, exposed, by_derivation, .. } = played(&make, name);
    (exposed, tried, by_derivation)
}

/// What a thief's code would not use is read all the same.
#[test]
fn what_a_state_keeps_is_exposed() {
    let (read, tried, derived) = exposed(Hoards::LAST, "after-delivery");
    assert!(read > 0 && derived == Some(read), "{read} of {tried}");
    let (read, tried, derived) = exposed(KeepsPrekeys::default(), "used-prekeys");
    assert!(read == tried && derived == Some(read), "{read} of {tried}");
    let (read, tried, _) = exposed(FakesUpdates::ALL, "own-update");
    assert!(read == tried, "{read} of {tried}");
}

#[test]
fn one_seed_exposes_the_same_messages_again() {
    let workload =
        |seed| Workload { members: 5, messages: 60, update_every: Some(10), change_every: 30, thefts: 9, seed };
    for make in COLUMNS {
        let updates = make().description().capabilities.pcs_update;
        let run = |seed| {
            let workload = Workload { update_every: updates.then_some(10), ..workload(seed) };
            expose(&make, &workload, &|| 0).unwrap()
        };
        let (first, other) = (run(7), run(8));
        // The conversation does not depend on how many states are taken.
        let fewer = Workload { update_every: updates.then_some(10), thefts: 2, ..workload(7) };
        let fewer = expose(&make, &fewer, &|| 0).unwrap();
        assert_eq!((fewer.bytes, fewer.counts), (first.bytes, first.counts));
        assert_eq!(first, run(7));
        assert_ne!(first.thefts, other.thefts);
        assert!(first.derived && first.thefts.len() == 9 && first.busy == 0);
        let name = make().description().variant;
        assert!(first.thefts.iter().all(|theft| theft.before == 0), "{name}: {first:?}");
        assert!(first.thefts.iter().any(|theft| theft.after > 0), "{name}: {first:?}");
        let by_user: BTreeMap<usize, usize> = first.thefts.iter().map(|theft| (theft.user, theft.after)).collect();
        assert!(by_user.len() > 1);
    }
}

const SHORT: Workload = Workload { members: 4, messages: 40, update_every: None, change_every: 40, thefts: 4, seed: 3 };

/// Otherwise it would expose nothing, since derivations begin with what a state shows.
#[test]
fn a_state_that_hides_what_it_holds_is_refused() {
    for inner in COLUMNS {
        let make = || -> Box<dyn Backend> { Box::new(Masked(inner())) };
        let hides = "a thief reads what does not follow from the states";
        let Played { status, reason, .. } = played(&make, "others-update");
        assert!(status == Ended::Failed && reason.starts_with(hides), "{reason}");
        let refused = expose(&make, &SHORT, &|| 0).unwrap_err();
        assert!(refused.starts_with(hides), "{refused}");
        assert!(expose(&inner, &SHORT, &|| 0).is_ok());
    }
}

/// It panics at the 20th message that it receives.
#[derive(Clone)]
struct PanicsLate(u32);

impl Fault for PanicsLate {
    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        self.0 += 1;
        assert!(self.0 < 20, "a late panic");
        inner.receive_one(message, context)
    }
}

#[test]
fn a_panic_is_a_finding_like_any_other() {
    let make = || -> Box<dyn Backend> { Box::new(Faulty::new(Box::new(Dcgka::CORRECTED), PanicsLate(0))) };
    assert_eq!(expose(&make, &SHORT, &|| 0).unwrap_err(), "the backend panicked: a late panic");
    let (found, reason) = attacks::absence(&make, ORDER);
    assert!(found.is_empty() && reason == "the backend panicked: a late panic", "{reason}");
}
