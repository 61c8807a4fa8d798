//! The parent: requests cells from the runners, of which never two time at the same time, and keeps their samples.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use protocol::operation::Operation;
use rayon::prelude::*;

use super::cell_protocol::{Request, Verdict, unmeasured};
use super::child::{Answer, Checked, Runner, StartError};
use super::plan::{Choice, Earlier, Plan, PlanError, Task};
use super::turns::Turns;
use crate::analysis::noise;
use crate::record::about::About;
use crate::record::manifest::{Conformance, Manifest, RunnerConditions};
use crate::record::name::cell_id;
use crate::record::sample::{Sample, Status};
use crate::record::store::{self, Store, StoreError};
use crate::system::directory::{Directory, DirectoryError};
use crate::system::load::Ticks;
use crate::system::process;

/// The manifest is written again after this time, so that an interrupted run keeps what disturbed it.
const MANIFEST_EVERY: Duration = Duration::from_secs(2);

/// After this many time-outs of a cell, its further iterations are skipped.
const MAX_TIMEOUTS: u32 = 2;

/// A finished run.
#[derive(Debug)]
pub struct Run {
    /// A sample for each task, in the order in which they ran.
    pub samples: Vec<Sample>,
    /// The conditions of the run.
    pub manifest: Manifest,
    /// The directory of the run's files, still locked; `None` if it has no files.
    pub directory: Option<Directory>,
}

/// What happens next in a run, or has just happened.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// The run starts.
    Start {
        /// The number of tasks of the whole run.
        total: usize,
        /// Those that have no sample yet: all, unless the run is resumed.
        left: &'a [Task],
    },
    /// The backends that will be measured go through the conformance suite, if the plan says so.
    Conformance,
    /// A task starts.
    Task(&'a Task),
    /// A task has its sample.
    Sample(&'a Sample),
}

/// Why a run ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The plan cannot be carried out.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A file of the run cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The earlier run was started by another program, or with other options.
    #[error(
        "the run cannot be resumed, because it has {differences}; try what it was started with, `{argv}`, or another directory"
    )]
    OtherRun {
        /// What differs, in words.
        differences: String,
        /// The command with which it was started.
        argv: String,
    },
    /// A runner process does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Threads could not be started.
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The program's own file cannot be read, or its path is unknown.
    #[error("cannot read the file of this program: {0}")]
    Program(#[from] io::Error),
}

/// Checks that a run could start: the plan can be carried out, and a runner of each backend starts.
///
/// # Errors
/// The run could not start.
pub fn check(plan: &Plan) -> Result<(), MeasureError> {
    plan.tasks()?;
    for choice @ Choice { backend, variant } in &plan.backends {
        match Runner::start(plan.launch_of(choice), backend, variant, plan.jobs, None) {
            // It gets rows that say so.
            Err(_) if plan.is_external(choice) => (),
            result => drop(result?),
        }
    }
    Ok(())
}

/// Carries out the plan. A cell that fails has a sample too; the caller must look at its status.
///
/// # Errors
/// The run could not continue. Its files hold what has been measured, and its manifest says that it is not complete.
pub fn measure(plan: &Plan, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Run, MeasureError> {
    let tasks = plan.tasks()?;
    let Opened { mut store, mut manifest, mut samples } = open(plan)?;
    let mut busy = Busy { start: Ticks::now([]), before: manifest.machine.others_busy, written: Instant::now() };
    let done: BTreeSet<String> = samples.iter().map(|sample| sample.cell_id.clone()).collect();
    let mut runners = Runners {
        plan,
        running: BTreeMap::new(),
        for_memory: BTreeMap::new(),
        started: BTreeSet::new(),
        conditions: manifest.runners.clone(),
        about: manifest.backends.clone(),
        said: BTreeMap::new(),
        unfit: BTreeMap::new(),
        conformance: manifest.conformance.clone(),
    };
    let total = tasks.len();
    let tasks: Vec<Task> = tasks.into_iter().filter(|task| !done.contains(&id_of(task))).collect();
    progress(Progress::Start { total, left: &tasks });
    for task in tasks.iter().filter(|task| task.iteration == 0) {
        runners.for_memory.entry(key_of(task)).or_default().1 += 1;
    }
    if plan.conformance {
        progress(Progress::Conformance);
        runners.check(tasks.iter().map(|task| task.choice.clone()).collect())?;
    }
    let inspected = inspected_again(tasks.iter());
    let requested = tasks.into_iter().map(|task| {
        let inspect = inspected.get(&cell_of(&task)) == Some(&task.iteration);
        let request = Request { inspect, ..request(plan, &manifest.run_id, &task) };
        (task, request)
    });
    let lanes = Lanes::new(requested.collect(), runners);
    let measured: Result<(), MeasureError> = thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for lane in 0..plan.lanes() {
            let (lanes, sender) = (&lanes, sender.clone());
            scope.spawn(move || lanes.drive(lane, &sender));
        }
        drop(sender);
        // Also if a caller's `progress` panics.
        let _end = Finishes(&lanes);
        let mut keep = |sample: Sample| -> Result<(), MeasureError> {
            if let Some(store) = &mut store {
                let runners = lanes.runners();
                let is_new = manifest.runners.len() != runners.conditions.len();
                if is_new || busy.written.elapsed() >= MANIFEST_EVERY {
                    busy.note(&mut manifest, &runners);
                    runners.note(&mut manifest);
                    store.write_manifest(&manifest)?;
                }
                store.append(&sample)?;
            }
            samples.push(sample);
            if samples.len() == total {
                // While the runners still live.
                busy.note(&mut manifest, &lanes.runners());
            }
            Ok(())
        };
        // Samples are kept in the order of the plan.
        let (mut early, mut next, mut failure) = (BTreeMap::new(), 0, None);
        if done.len() == total {
            lanes.finish();
        }
        for step in receiver {
            match step {
                Step::Begins(task) => progress(Progress::Task(&task)),
                Step::Ends(place, Ok(sample)) => drop(early.insert(place, sample)),
                Step::Ends(_, Err(error)) => {
                    failure = Some(error);
                    lanes.finish();
                }
            }
            while let Some(sample) = early.remove(&next) {
                progress(Progress::Sample(&sample));
                keep(*sample)?;
                next += 1;
            }
            if done.len() + next == total {
                lanes.finish();
            }
        }
        // After a failure, there are samples of later cells too.
        early.into_values().try_for_each(|sample| keep(*sample))?;
        failure.map_or(Ok(()), Err)
    });
    measured?;
    let runners = lanes.into_runners();
    runners.note(&mut manifest);
    drop(runners);
    manifest.complete();
    manifest.noise = noise::of(&samples, &manifest.machine);
    if let Some(store) = &store {
        store.write_manifest(&manifest)?;
    }
    Ok(Run { samples, manifest, directory: store.map(Store::into_directory) })
}

/// What a lane says.
enum Step {
    /// A task begins.
    Begins(Task),
    /// The task in this place of the plan has its sample.
    Ends(usize, Result<Box<Sample>, MeasureError>),
}

/// Threads that measure one cell after another, each with one runner at a time. Only one of them [times](Turns) at a time.
struct Lanes<'a> {
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
    fn new(tasks: Vec<(Task, Request)>, runners: Runners<'a>) -> Self {
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
    fn drive(&self, lane: usize, steps: &Sender<Step>) {
        while let Some((place, task, request, timed_out)) = self.take() {
            let _panic = FinishesInPanic(self);
            let _ = steps.send(Step::Begins(task.clone()));
            let sample = if timed_out {
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
            match &sample {
                Ok(sample) if sample.status == Status::Timeout => {
                    *queue.timeouts.entry(cell_of(&task)).or_default() += 1
                }
                Ok(_) => {}
                Err(_) => {}
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
    fn finish(&self) {
        locked(&self.queue).finished = true;
        self.changed.notify_all();
    }

    fn runners(&self) -> MutexGuard<'_, Runners<'a>> {
        locked(&self.runners)
    }

    fn into_runners(self) -> Runners<'a> {
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
                let is_needed = locked(&self.queue).waiting.iter().any(|(_, task, _)| key_of(task) == key);
                match is_needed {
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
                let reason = format!("no answer within {:?}", self.plan.timeout);
                failed(&task.choice, request, Status::Timeout, reason)
            }
            Answer::Crash(reason) => failed(&task.choice, request, Status::Crash, reason),
        })
    }

    fn ask(&self, lane: usize, runner: &mut Runner, request: &Request) -> Answer {
        match self.plan.lanes() {
            1 => runner.ask(request, self.plan.timeout),
            _ => runner.ask_among_others(request, self.plan.timeout, (&self.turns, lane)),
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
            let reason = "with the same seed, another process had other bytes or primitive counts".to_owned();
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
struct Finishes<'a, 'p>(&'a Lanes<'p>);

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

/// What other processes take while a run measures.
struct Busy {
    start: Option<Ticks>,
    /// What they took in earlier parts of the run.
    before: Option<f64>,
    /// When the manifest was last written.
    written: Instant,
}

impl Busy {
    /// Writes what they took until now into the manifest.
    fn note(&mut self, manifest: &mut Manifest, runners: &Runners<'_>) {
        // A backend behind a pipe works in a child of its runner.
        let of_runner = |runner: &u32| process::children(*runner).into_iter().chain([*runner]);
        let now = Ticks::now(runners.started.iter().flat_map(of_runner))
            .zip(self.start)
            .and_then(|(now, start)| now.others_busy_since(start));
        manifest.machine.others_busy = self.before.into_iter().chain(now).reduce(f64::max);
        self.written = Instant::now();
    }
}

struct Opened {
    store: Option<Store>,
    manifest: Manifest,
    samples: Vec<Sample>,
}

fn open(plan: &Plan) -> Result<Opened, MeasureError> {
    let mut manifest = Manifest::start(plan.program, plan.options(), plan.jobs, plan.argv.clone())?;
    plan.external.iter().for_each(|(backend, launch)| manifest.add_program(backend, launch.holder()));
    manifest.left_out.clone_from(&plan.left_out);
    let Some(out) = &plan.out else { return Ok(Opened { store: None, manifest, samples: Vec::new() }) };
    if let Earlier::Replace(_) = plan.earlier {
        // The earlier run is removed only if nothing prevents the new one.
        check(plan)?;
    }
    let directory = Directory::lock(out).map_err(StoreError::from)?;
    match &plan.earlier {
        Earlier::Resume if store::holds_run(out) => return resume(directory, &manifest),
        Earlier::Replace(files) if store::holds_run(out) => clear(&directory, files)?,
        Earlier::Resume | Earlier::Refuse | Earlier::Replace(_) => (),
    }
    let store = Store::create(directory, &manifest)?;
    Ok(Opened { store: Some(store), manifest, samples: Vec::new() })
}

/// Removes the files of an earlier run and those made from it, and nothing else.
fn clear(directory: &Directory, files: &[String]) -> Result<(), StoreError> {
    // The manifest is the last, because without it the others would not be removed.
    for name in files.iter().map(String::as_str).chain([store::SAMPLES, store::MANIFEST]) {
        let path = directory.path().join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                let directory = directory.path().to_owned();
                let source = io::Error::new(source.kind(), format!("{} cannot be removed: {source}", path.display()));
                return Err(DirectoryError::Unwritable { directory, source }.into());
            }
            _ => (),
        }
    }
    Ok(())
}

/// Opens an earlier run, if it has the same program and options as the one that would start now.
fn resume(directory: Directory, now: &Manifest) -> Result<Opened, MeasureError> {
    let earlier = store::read_manifest(&directory.path().join(store::MANIFEST))?;
    let mut differences = earlier.options.differences(&now.options);
    if earlier.build.binary_hash != now.build.binary_hash {
        let (theirs, ours) = (earlier.build.described(), now.build.described());
        differences.insert(0, format!("another program ({theirs}), not this one ({ours})"));
    }
    for (backend, hash) in now.programs.iter().filter(|(backend, hash)| earlier.programs.get(*backend) != Some(hash)) {
        differences.push(format!("another program for `{backend}` (now {hash})"));
    }
    if !differences.is_empty() {
        return Err(MeasureError::OtherRun { differences: differences.join("; "), argv: earlier.argv.join(" ") });
    }
    let (store, samples) = Store::resume(directory, &earlier)?;
    // Until the run has ended again, it is incomplete, even if it was complete before.
    let mut manifest = earlier;
    // What is not an option, such as a reference, is that of the last command.
    manifest.argv.clone_from(&now.argv);
    manifest.status = now.status;
    manifest.ended_unix = None;
    store.write_manifest(&manifest)?;
    Ok(Opened { store: Some(store), manifest, samples })
}

/// One runner for each backend and group size, started when it is first needed.
struct Runners<'a> {
    plan: &'a Plan,
    running: BTreeMap<RunnerKey, Runner>,
    /// Those that measure memory, and how many cells are left for each.
    for_memory: BTreeMap<RunnerKey, (Option<Runner>, usize)>,
    /// The processes of all of them.
    started: BTreeSet<u32>,
    conditions: Vec<RunnerConditions>,
    about: BTreeMap<String, About>,
    /// What the first process of each backend has said of it: another one must say the same.
    said: BTreeMap<Choice, Option<About>>,
    /// The backends that have not passed the conformance suite.
    unfit: BTreeMap<Choice, Unfit>,
    conformance: BTreeMap<String, Conformance>,
}

/// The status and reason of all samples of a backend that has not passed the conformance suite, or does not start.
#[derive(Clone, Debug)]
struct Unfit {
    status: Status,
    reason: String,
}

impl Unfit {
    fn of(error: &StartError) -> Self {
        Self { status: Status::Crash, reason: error.to_string() }
    }
}

impl Runners<'_> {
    /// Writes what they have said into the manifest.
    fn note(&self, manifest: &mut Manifest) {
        manifest.runners.clone_from(&self.conditions);
        manifest.backends.clone_from(&self.about);
        manifest.conformance.clone_from(&self.conformance);
    }

    /// Lets backends go through the conformance suite, each in a process of its own, as many at the same time as the plan
    /// has threads. Nothing is measured meanwhile.
    fn check(&mut self, choices: BTreeSet<Choice>) -> Result<(), MeasureError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.plan.jobs).build()?;
        let choices = Vec::from_iter(choices);
        let checked: Result<Vec<_>, StartError> =
            pool.install(|| choices.par_iter().map(|choice| conforms(self.plan, choice)).collect());
        for (choice, checked) in choices.into_iter().zip(checked?) {
            match checked {
                Ok((conformance, about)) => {
                    self.conformance.insert(choice.full_name(), conformance);
                    self.said.insert(choice, about);
                }
                Err(unfit) => drop(self.unfit.insert(choice, unfit)),
            }
        }
        Ok(())
    }

    /// Starts a runner for a task.
    fn start(&mut self, task: &Task) -> Result<Result<Runner, Unfit>, MeasureError> {
        if let Some(unfit) = self.unfit.get(&task.choice) {
            return Ok(Err(unfit.clone()));
        }
        let runner = match self.start_another(&task.choice) {
            Err(error) if self.plan.is_external(&task.choice) => return Ok(Err(Unfit::of(&error))),
            result => result?,
        };
        let welcome = runner.welcome();
        let said = self.said.entry(task.choice.clone()).or_insert_with(|| welcome.about.clone());
        if *said != welcome.about {
            let reason = "its program has said something else of the backend before".to_owned();
            return Ok(Err(Unfit { status: Status::Refused, reason }));
        }
        if let Some(mut about) = welcome.about.clone().map(About::plain) {
            let claimed = self.plan.growth.get(&task.choice.backend).into_iter().flatten();
            let new: Vec<String> = claimed.filter(|claim| !about.growth.contains(claim)).cloned().collect();
            about.growth.extend(new);
            self.about.insert(task.choice.full_name(), about);
        }
        self.conditions.push(RunnerConditions {
            backend: task.choice.full_name(),
            group_size: task.group_size,
            clock_read_ns: welcome.clock_read_ns,
            primitive_ns: welcome.primitive_ns.clone(),
        });
        Ok(Ok(runner))
    }

    fn start_another(&mut self, choice: &Choice) -> Result<Runner, StartError> {
        let launch = self.plan.launch_of(choice);
        let runner = Runner::start(launch, &choice.backend, &choice.variant, self.plan.jobs, None)?;
        self.started.insert(runner.id());
        Ok(runner)
    }
}

/// Lets a backend go through the conformance suite. Returns the result, and what its process has said of the backend.
fn conforms(plan: &Plan, choice: &Choice) -> Result<Result<(Conformance, Option<About>), Unfit>, StartError> {
    let largest = plan.sizes.iter().copied().max();
    let launch = plan.launch_of(choice);
    let mut runner = match Runner::start(launch, &choice.backend, &choice.variant, plan.jobs, largest) {
        // The others are still measured.
        Err(error) if plan.is_external(choice) => return Ok(Err(Unfit::of(&error))),
        result => result?,
    };
    let (status, reason) = match runner.conformance(plan.timeout) {
        Checked::Verdict(Verdict::Passed(conformance)) => {
            return Ok(Ok((conformance, runner.welcome().about.clone())));
        }
        Checked::Verdict(Verdict::Violated(reason)) => (Status::Refused, reason),
        Checked::Timeout => (Status::Timeout, format!("no answer within {:?}", plan.timeout)),
        Checked::Crash(reason) => (Status::Crash, reason),
    };
    Ok(Err(Unfit { status, reason: format!("conformance: {reason}") }))
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

fn request(plan: &Plan, run_id: &str, task: &Task) -> Request {
    Request {
        run_id: run_id.to_owned(),
        operation: task.operation,
        group_size: task.group_size,
        iteration: task.iteration,
        seed: plan.seed,
        peak: false,
        inspect: false,
        asks: false,
    }
}

fn failed(choice: &Choice, request: &Request, status: Status, reason: String) -> Sample {
    Sample { status, reason, ..unmeasured(&choice.backend, &choice.variant, request) }
}

/// A backend and a group size: each has a runner.
type RunnerKey = (Choice, u32);

fn key_of(task: &Task) -> RunnerKey {
    (task.choice.clone(), task.group_size)
}

/// A cell. Time-outs are counted for each.
type CellKey = (Choice, u32, Operation);

fn cell_of(task: &Task) -> CellKey {
    (task.choice.clone(), task.group_size, task.operation)
}

fn id_of(Task { choice: Choice { backend, variant }, operation, group_size, iteration }: &Task) -> String {
    cell_id(backend, variant, *operation, *group_size, *iteration)
}

/// The iteration in which each cell is inspected once more, besides its first one. Not the seed chooses it, but chance, so
/// that no backend can know it. It makes no difference to the sample.
fn inspected_again<'a>(tasks: impl Iterator<Item = &'a Task>) -> BTreeMap<CellKey, u32> {
    let chance = RandomState::new();
    let lot = |task: &Task| chance.hash_one(id_of(task));
    let mut chosen = BTreeMap::<CellKey, &Task>::new();
    for task in tasks.filter(|task| task.iteration > 0) {
        let best = chosen.entry(cell_of(task)).or_insert(task);
        if lot(task) < lot(best) {
            *best = task;
        }
    }
    chosen.into_iter().map(|(cell, task)| (cell, task.iteration)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_is_inspected_in_one_later_iteration_and_not_always_in_the_same() {
        let choice = Choice { backend: "b".to_owned(), variant: String::new() };
        let cells = [(3, 1), (4, 2), (5, 25)];
        let tasks: Vec<Task> = cells
            .into_iter()
            .flat_map(|(group_size, iterations)| {
                let choice = choice.clone();
                (0..iterations).map(move |iteration| Task {
                    choice: choice.clone(),
                    operation: Operation::Update,
                    group_size,
                    iteration,
                })
            })
            .collect();
        let key = |group_size| (choice.clone(), group_size, Operation::Update);
        let mut seen = BTreeSet::new();
        for _ in 0..1000 {
            let chosen = inspected_again(tasks.iter());
            assert_eq!(chosen.get(&key(3)), None);
            assert_eq!(chosen.get(&key(4)), Some(&1));
            seen.insert(chosen[&key(5)]);
        }
        assert_eq!(seen, (1..25).collect());
    }
}
