//! The parent: requests cells from the runners, of which never two time at the same time, and keeps their samples.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::cell_protocol::Request;
use super::child::Runner;
pub use super::error::MeasureError;
use super::lanes::{CellKey, Finishes, Lanes, Step, cell_of};
use super::plan::{Choice, Earlier, Plan, Task};
use super::runners::{Runners, key_of};
use crate::analysis::noise;
use crate::record::manifest::Manifest;
use crate::record::name::cell_id;
use crate::record::sample::Sample;
use crate::record::store::{self, Store, StoreError};
use crate::system::directory::{Directory, DirectoryError};
use crate::system::load::Ticks;
use crate::system::process;

/// The manifest is written again after this time, so that an interrupted run keeps what disturbed it.
const MANIFEST_EVERY: Duration = Duration::from_secs(2);

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
    use protocol::operation::Operation;

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
