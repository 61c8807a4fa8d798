//! A thief that cannot follow the owner of a stolen state reads nothing, whatever the protocol. What needs such a thief is
//! then reported as not made, and is not counted as passed.

use dcgka::Dcgka;
use protocol::conformance::{self, Attack, Report};
use protocol::error::Error;
use protocol::member::{Backend, Description, Member, NewUser};
use protocol::operation::{Expected, Operation};
use rand_core::CryptoRng;

const BASE: Dcgka = Dcgka::CORRECTED;
const NEEDS_A_FOLLOWER: [&str; 4] = [
    "a state from before its owner's removal",
    "a state from before its owner's removal, if nobody has spoken since the last operation",
    "a state from before its owner's update",
    "the last state before its owner's removal",
];

/// What [`Backend::steal`] makes of a state.
type Steal = fn(&[u8]) -> Result<Box<dyn Member>, Error>;

/// DCGKA, with another thief.
struct Thief(Steal);

impl Backend for Thief {
    fn description(&self) -> Description {
        BASE.description()
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        BASE.new_user(one_time_prekeys, rng)
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        BASE.restore(state)
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        (self.0)(state)
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        BASE.expected(operation, group_size)
    }
}

fn report(thief: Steal) -> Report {
    conformance::check(&|| Box::new(Thief(thief))).unwrap_or_else(|violation| panic!("{violation}"))
}

fn passed(report: &Report, check: &str) -> u32 {
    report.passed.iter().find(|(name, _)| *name == check).unwrap().1
}

/// What the suite did not try because of this thief, which it must not count.
fn not_made(thief: Steal, reason: &str) {
    let report = report(thief);
    let mut not_made: Vec<&str> = Vec::new();
    for (what, why) in &report.not_made {
        assert!(why.starts_with(reason), "{what}: {why}");
        not_made.push(what);
    }
    not_made.sort_unstable();
    assert_eq!(not_made, NEEDS_A_FOLLOWER);
    // In a group of two, nobody speaks to anybody after a removal.
    let alone = |attack: &Attack| attack.group_size == 2 && attack.what.ends_with("removal");
    assert!(report.attacks.iter().all(|attack| !NEEDS_A_FOLLOWER.contains(&attack.what) || alone(attack)), "{report}");
    assert_eq!(passed(&report, "healing"), 0);
    let said = format!("; not made: a state from before its owner's update ({reason}");
    assert!(report.to_string().contains(&said), "{report}");
}

#[test]
fn with_a_thief_that_follows_everything_is_made() {
    let report = report(|state| BASE.steal(state));
    assert!(report.not_made.is_empty() && passed(&report, "healing") > 0, "{report}");
    for what in NEEDS_A_FOLLOWER {
        assert!(report.attacks.iter().any(|attack| attack.what == what), "{what}");
    }
}

#[test]
fn without_a_thief_that_follows_what_needs_one_is_not_made() {
    not_made(|_| Err(Error::Unsupported), "the backend does not let a thief follow");
}

#[test]
fn a_plain_copy_does_not_pass_for_a_thief_that_follows() {
    not_made(|state| BASE.restore(state), "a thief that follows the owner of a stolen state does not read");
}
