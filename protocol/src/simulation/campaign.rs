//! Running schedules: a given one, a random one, and the smallest one that fails.

use core::any::Any;
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::schedule::Schedule;
use super::subject::{Extent, Failure, Subject};
use super::world::World;

/// The number of schedules that are tried while a failure shrinks.
const MAX_TRIALS: usize = 1000;

/// A schedule that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The schedule that fails.
    pub schedule: Schedule,
    /// What does not hold in the schedule.
    pub failure: Failure,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schedule, failure } = self;
        writeln!(f, "{failure}")?;
        writeln!(f, "with seed {} and {} founders, after", schedule.seed, schedule.founders)?;
        for (number, step) in schedule.steps.iter().enumerate() {
            match failure.log.get(number).filter(|line| !line.is_empty()) {
                Some(line) => writeln!(f, "  {number}: {line}")?,
                None => writeln!(f, "  {number}: ({step:?}, without effect)")?,
            }
        }
        write!(f, "to repeat it: {schedule}")
    }
}

/// The random schedule of a seed, with this number of steps.
#[must_use]
pub fn random(seed: u64, steps: usize) -> Schedule {
    tree(seed, steps).map_or_else(|| Schedule::from_bytes(&seed.to_be_bytes()), |tree| tree.current())
}

/// Runs the random schedule of a seed, with this number of steps. A panic is a failure too.
///
/// # Errors
/// If it fails, the smallest schedule found that still fails.
pub fn check(subject: Subject<'_>, seed: u64, steps: usize) -> Result<Extent, Box<Counterexample>> {
    let schedule = random(seed, steps);
    let failed = match attempt(subject, schedule) {
        Ok(extent) => return Ok(extent),
        Err(failed) => failed,
    };
    Err(tree(seed, steps).map_or(failed.clone(), |tree| shrink(subject, tree, failed)))
}

fn shrink(
    subject: Subject<'_>,
    mut tree: impl ValueTree<Value = Schedule>,
    mut smallest: Box<Counterexample>,
) -> Box<Counterexample> {
    let mut going = tree.simplify();
    for _ in 0..MAX_TRIALS {
        if !going {
            break;
        }
        going = match attempt(subject, tree.current()) {
            Err(failed) => {
                smallest = failed;
                tree.simplify()
            }
            Ok(_) => tree.complicate(),
        };
    }
    smallest
}

/// Runs a schedule. A panic is a failure too.
///
/// # Errors
/// The schedule and what does not hold in it.
pub fn attempt(subject: Subject<'_>, schedule: Schedule) -> Result<Extent, Box<Counterexample>> {
    let failure = match catch_unwind(AssertUnwindSafe(|| run(subject, &schedule))) {
        Ok(Ok(extent)) => return Ok(extent),
        Ok(Err(failure)) => failure,
        Err(panic) => Failure { step: None, what: format!("a panic: {}", message_of(&*panic)), log: Vec::new() },
    };
    Err(Box::new(Counterexample { schedule, failure }))
}

/// Runs a schedule.
///
/// # Errors
/// The first thing that does not hold.
pub fn run(subject: Subject<'_>, schedule: &Schedule) -> Result<Extent, Failure> {
    let audit = subject.audit.map(|make| make());
    let mut world =
        World::new(subject.backend, audit, schedule).map_err(|what| Failure { step: None, what, log: Vec::new() })?;
    for (number, step) in schedule.steps.iter().enumerate() {
        world.step(*step).map_err(|what| Failure { step: Some(number), what, log: world.log.clone() })?;
    }
    world.come_to_rest().map_err(|what| Failure { step: None, what, log: world.log.clone() })?;
    Ok(Extent { messages: world.network.sent.len() as u64, said: world.said.len() as u64, ..world.extent })
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

fn tree(seed: u64, steps: usize) -> Option<impl ValueTree<Value = Schedule>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
    Schedule::strategy(seed, steps).new_tree(&mut runner).ok()
}
