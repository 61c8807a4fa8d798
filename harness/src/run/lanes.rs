//! Lanes: threads that ask runners for cells. Two cells are prepared and validated at a time, and one is timed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use protocol::operation::Operation;

use super::cell_protocol::{Request, unmeasured};
use super::child::{Answer, Runner};
use super::error::MeasureError;
use super::plan::{Choice, Plan, Task};
use super::runners::{RunnerKey, Runners, Unfit, key_of};
use super::turns::Turns;
use crate::record::sample::{Sample, Status};
use crate::system::process;

/// After this many time-outs of a cell, its further iterations are skipped.
const MAX_TIMEOUTS: u32 = 2;

/// What a lane says.
pub(super) enum Step {
    /// A task begins.
    Begins(Task),
    /// The task in this place of the plan has its sample.
    Ends(usize, Result<Box<Sample>, MeasureError>),
}

/// Threads that measure one cell after another, each with one runner at a time. Only one of them [times](Turns) at a time.
pub(super) struct Lanes<'a> {
    queue: Mutex<Queue>,
    changed: Condvar,
    runners: Mutex<Runners<'a>>,
    turns: Turns,
    plan: &'a Plan,
}

struct Queue {
    /// With their places in the plan.
    waiting: VecDeque<(usize, Task, Request)>,
    /// The runners at work, and the places of their tasks.
    busy: BTreeMap<RunnerKey, usize>,
    timeouts: BTreeMap<CellKey, u32>,
    /// Whether the lanes may end.
    finished: bool,
}

/// A lane is ahead of another by fewer tasks than this: backends that take turns are measured within moments, and samples need
/// not wait long for those before them.
const AHEAD: usize = 12;

impl<'a> Lanes<'a> {
    pub(super) fn new(tasks: Vec<(Task, Request)>, runners: Runners<'a>) -> Self {
        let waiting = tasks.into_iter().enumerate().map(|(place, (task, request))| (place, task, request)).collect();
        let queue = Queue { waiting, busy: BTreeMap::new(), timeouts: BTreeMap::new(), finished: false };
        let plan = runners.plan;
        Self {
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            runners: Mutex::new(runners),
            turns: Turns::default(),
            plan,
        }
    }

    /// Measures cells until the run is [finished](Self::finish).
    pub(super) fn drive(&self, lane: usize, steps: &Sender<Step>) {
        while let Some((place, task, request, timed_out)) = self.take() {
            let _panic = FinishesInPanic(self);
            let _ = steps.send(Step::Begins(task.clone()));
            let sample = if timed_out {
                let key = key_of(&task);
                if !self.is_needed(&key) {
                    let left = self.runners().running.remove(&key);
                    self.turns.alone(lane, || drop(left));
                }
                let reason = format!("skipped: the cell has timed out {MAX_TIMEOUTS} times");
                Ok(failed(&task.choice, &request, Status::Timeout, reason))
            } else {
                self.measure(lane, &task, &request)
            };
            if task.iteration == 0 {
                self.end_memory(lane, &task);
            }
            let mut queue = locked(&self.queue);
            queue.busy.remove(&key_of(&task));
            if sample.as_ref().is_ok_and(|sample| sample.status == Status::Timeout) {
                *queue.timeouts.entry(cell_of(&task)).or_default() += 1;
            }
            drop(queue);
            self.changed.notify_all();
            let _ = steps.send(Step::Ends(place, sample.map(Box::new)));
        }
    }

    /// The next task whose runner has nothing to do, and whether its cell has timed out too often. Waits for it. `None` at the end
    /// of the run, and not before: a runner ends with the thread that has started it.
    fn take(&self) -> Option<(usize, Task, Request, bool)> {
        let mut queue = locked(&self.queue);
        loop {
            if queue.finished {
                return None;
            }
            let oldest = queue.busy.values().copied().chain(queue.waiting.front().map(|(place, ..)| *place)).min();
            let most = oldest.unwrap_or(0) + AHEAD;
            let is_free =
                |(place, task, _): &(usize, Task, Request)| *place < most && !queue.busy.contains_key(&key_of(task));
            if let Some(at) = queue.waiting.iter().position(is_free) {
                let (place, task, request) = queue.waiting.remove(at)?;
                queue.busy.insert(key_of(&task), place);
                let timed_out = queue.timeouts.get(&cell_of(&task)).is_some_and(|count| *count >= MAX_TIMEOUTS);
                return Some((place, task, request, timed_out));
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets the lanes end after their tasks.
    pub(super) fn finish(&self) {
        locked(&self.queue).finished = true;
        self.changed.notify_all();
    }

    pub(super) fn runners(&self) -> MutexGuard<'_, Runners<'a>> {
        locked(&self.runners)
    }

    pub(super) fn into_runners(self) -> Runners<'a> {
        self.runners.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self, lane: usize, task: &Task, request: &Request) -> Result<Sample, MeasureError> {
        let taken = self.runners().running.remove(&key_of(task));
        let mut runner = match taken {
            Some(runner) => runner,
            // What it measures when it starts is not disturbed either.
            None => match self.turns.alone(lane, || self.runners().start(task))? {
                Ok(runner) => runner,
                Err(Unfit { status, reason }) => return Ok(failed(&task.choice, request, status, reason)),
            },
        };
        Ok(match self.ask(lane, &mut runner, request) {
            Answer::Sample(mut sample) => {
                let key = key_of(task);
                // What a program behind a pipe takes is read from the process of its runner.
                match self.is_needed(&key) || !process::children(runner.id()).is_empty() {
                    true => drop(self.runners().running.insert(key, runner)),
                    // To free gigabytes is work, and needed before as many are taken again.
                    false => self.turns.alone(lane, || drop(runner)),
                }
                if self.plan.peak && task.iteration == 0 {
                    self.measure_peak(lane, task, request, &mut sample);
                }
                *sample
            }
            Answer::Timeout => {
                let reason = format!("no answer within {:?}", self.plan.time_for(request.group_size));
                failed(&task.choice, request, Status::Timeout, reason)
            }
            Answer::Crash(reason) => failed(&task.choice, request, Status::Crash, reason),
        })
    }

    /// Whether a task is left for a runner.
    fn is_needed(&self, key: &RunnerKey) -> bool {
        locked(&self.queue).waiting.iter().any(|(_, task, _)| key_of(task) == *key)
    }

    fn ask(&self, lane: usize, runner: &mut Runner, request: &Request) -> Answer {
        let within = self.plan.time_for(request.group_size);
        match self.plan.lanes() {
            1 => runner.ask(request, within),
            _ => runner.ask_among_others(request, within, (&self.turns, lane)),
        }
    }

    /// Runs the cell again, in a process that measures nothing but the memory of the cells of this backend and group size. Bytes
    /// and primitive counts must be the same as before, if the backend is deterministic; times are not used. If that process
    /// fails, the memory stays unknown, but the sample still counts.
    fn measure_peak(&self, lane: usize, task: &Task, request: &Request, sample: &mut Sample) {
        let key = key_of(task);
        if sample.status != Status::Ok {
            return;
        }
        let taken = self.runners().for_memory.get_mut(&key).and_then(|(runner, _)| runner.take());
        let start = || self.turns.alone(lane, || self.runners().start_another(&task.choice).ok());
        let Some(mut runner) = taken.or_else(start) else { return };
        let request = Request { peak: true, inspect: false, ..request.clone() };
        let Answer::Sample(again) = self.ask(lane, &mut runner, &request) else { return };
        let mut runners = self.runners();
        let deterministic = runners.about.get(&task.choice.full_name()).is_none_or(|about| about.deterministic);
        if deterministic && !same_exactly(sample, &again) {
            let reason = match again.status {
                Status::Ok => "with the same seed, another process had other bytes or primitive counts".to_owned(),
                _ => format!("in another process: {}", again.reason),
            };
            *sample = failed(&task.choice, &request, Status::Refused, reason);
        } else {
            sample.peak_bytes = again.peak_bytes;
        }
        if let Some((kept, _)) = runners.for_memory.get_mut(&key) {
            *kept = Some(runner);
        }
    }

    /// Ends the process that measures memory if no cell is left for it.
    fn end_memory(&self, lane: usize, task: &Task) {
        let mut runners = self.runners();
        let Some((runner, left)) = runners.for_memory.get_mut(&key_of(task)) else { return };
        *left = left.saturating_sub(1);
        let ended = if *left == 0 { runner.take() } else { None };
        drop(runners);
        if ended.is_some() {
            self.turns.alone(lane, || drop(ended));
        }
    }
}

/// Lets the lanes end when it is dropped.
pub(super) struct Finishes<'a, 'p>(pub(super) &'a Lanes<'p>);

impl Drop for Finishes<'_, '_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// The same, but only if this thread panics: then the others must not wait for it.
struct FinishesInPanic<'a, 'p>(&'a Lanes<'p>);

impl Drop for FinishesInPanic<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.finish();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of a lane ends the run.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether everything that the seed determines is the same.
fn same_exactly(one: &Sample, other: &Sample) -> bool {
    let exact = |sample: &Sample| {
        let work = sample.work.iter().cloned().map(|mut row| {
            row.cpu_ns.clear();
            row
        });
        (sample.status, sample.traffic.clone(), sample.state_bytes.clone(), work.collect::<Vec<_>>())
    };
    exact(one) == exact(other)
}

fn failed(choice: &Choice, request: &Request, status: Status, reason: String) -> Sample {
    Sample { status, reason, ..unmeasured(&choice.backend, &choice.variant, request) }
}

/// A cell. Time-outs are counted for each.
pub(super) type CellKey = (Choice, u32, Operation);

pub(super) fn cell_of(task: &Task) -> CellKey {
    (task.choice.clone(), task.group_size, task.operation)
}
