//! `harness soak`: runs random schedules on a network without order, for a given time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use protocol::simulation::{self, Counterexample, Extent, MAX_STEPS, NotASchedule, Schedule, Subject};

use super::failure::{ERROR, Failure, INCOMPLETE, OK, USAGE};
use super::options::{self, JOBS, SECONDS, SEED, whole};
use super::output::{complain, print};
use super::running;
use crate::registry::{Registry, full_name};

/// The time between two progress lines on standard error.
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// The most schedules that can be asked for: more than a year's.
const SCHEDULES: u64 = 10_000_000_000;

#[derive(Args)]
pub(super) struct Options {
    /// Backend to check; see `list`
    #[arg(long, value_name = "NAME[:VARIANT]", default_value = "dcgka")]
    backend: String,
    /// Time limit
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = whole::<u64>(SECONDS))]
    seconds: u64,
    /// Stop after this number of schedules, if that comes first [default: no limit]
    #[arg(long, value_name = "COUNT", value_parser = whole::<u64>(1..=SCHEDULES))]
    schedules: Option<u64>,
    /// Seed of the first schedule; each schedule after it has the next seed
    #[arg(long, default_value_t = 1, value_parser = whole::<u64>(SEED))]
    seed: u64,
    /// Steps in each schedule
    #[arg(long, default_value_t = 30, value_parser = whole::<u16>(1..=MAX_STEPS as u64))]
    steps: u16,
    /// Schedules to run in parallel [default: the number of processors; at most four times as many]
    #[arg(long, value_parser = whole::<u16>(JOBS))]
    jobs: Option<u16>,
    /// Repeat one schedule, given in the form that an earlier run printed
    #[arg(long, value_name = "SCHEDULE", value_parser = schedule, conflicts_with_all = ["seed", "seconds", "schedules", "steps"])]
    repeat: Option<Schedule>,
}

fn schedule(text: &str) -> Result<Schedule, NotASchedule> {
    text.parse()
}

pub(super) fn run(options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let backend = registry.find(&options.backend)?;
    let name = full_name(&*backend);
    if !backend.description().capabilities.concurrent_operations {
        let message = format!(
            "{name} does not declare the capability concurrent_operations, so there is nothing to check; try --backend dcgka"
        );
        return Err(Failure { code: USAGE, message });
    }
    let subject = Subject { backend: &*backend, audit: registry.audit(&name) };
    running::end_on_interrupt(None)?;
    // A panic is a finding like any other, and is reported as one.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(schedule) = &options.repeat {
        return report(simulation::attempt(subject, schedule.clone()).map(drop));
    }
    let start = Instant::now();
    let soaked = soak(subject, options, start);
    let speed = soaked.done as f64 / start.elapsed().as_secs_f64();
    let head = format!(
        "{name}, seeds {} to {}: {} schedules of {} steps, {speed:.1} schedules/s\n",
        options.seed,
        options.seed.saturating_add(soaked.done.saturating_sub(1)),
        soaked.done,
        options.steps,
    );
    print((head + &in_words(&soaked.extent)).as_bytes())?;
    if soaked.done == 0 {
        return Err(Failure { code: INCOMPLETE, message: "no schedule was run; try more --seconds".to_owned() });
    }
    report(soaked.failed.map_or(Ok(()), Err))
}

fn report(result: Result<(), Box<Counterexample>>) -> Result<u8, Failure> {
    match result {
        Ok(()) => {
            print(b"All invariants held.\n")?;
            Ok(OK)
        }
        Err(counterexample) => {
            print(format!("{counterexample}\n").as_bytes())?;
            Err(Failure { code: ERROR, message: format!("an invariant does not hold: {}", counterexample.failure) })
        }
    }
}

struct Soaked {
    done: u64,
    extent: Extent,
    failed: Option<Box<Counterexample>>,
}

/// Runs schedules in several threads until the time or the number of schedules is reached, or one fails.
fn soak(subject: Subject<'_>, options: &Options, start: Instant) -> Soaked {
    let (limit, length) = (options.schedules.unwrap_or(u64::MAX), Duration::from_secs(options.seconds));
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let soaked = Mutex::new(Soaked { done: 0, extent: Extent::default(), failed: None });
    let work = || {
        while !stop.load(Ordering::Relaxed) && start.elapsed() < length {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(seed) = options.seed.checked_add(number).filter(|_| number < limit) else { break };
            let result = simulation::check(subject, seed, usize::from(options.steps));
            let Ok(mut soaked) = soaked.lock() else { break };
            soaked.done += 1;
            match result {
                Ok(extent) => soaked.extent += extent,
                Err(counterexample) => {
                    stop.store(true, Ordering::Relaxed);
                    let first = soaked.failed.as_ref().is_none_or(|other| seed < other.schedule.seed);
                    soaked.failed = if first { Some(counterexample) } else { soaked.failed.take() };
                }
            }
        }
    };
    let jobs = options::jobs(options.jobs);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let mut reported = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(Duration::from_millis(20));
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                let done = soaked.lock().map_or(0, |soaked| soaked.done);
                complain(&format!("{done} schedules, {:.1}/s", done as f64 / start.elapsed().as_secs_f64()));
            }
        }
    });
    soaked.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn in_words(extent: &Extent) -> String {
    let Extent { calls, messages, adds, removes, updates, said, restarts, repeated, damaged } = extent;
    format!(
        "{calls} calls, {messages} messages: {adds} adds, {removes} removes, {updates} updates, {said} application messages; \
         {restarts} restarts, {repeated} repeated and {damaged} damaged messages\n"
    )
}
