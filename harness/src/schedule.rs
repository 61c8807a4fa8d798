//! The parent: asks runners for one cell after the other, each alone, and keeps what they answer.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::cell_protocol::{self, Request, Verdict};
use crate::child::{Answer, Checked, Runner, StartError};
use crate::manifest::{Conformance, Manifest, RunnerConditions};
use crate::plan::{Choice, Plan, PlanError, Task};
use crate::runner::empty_sample;
use crate::sample::{Sample, Status};
use crate::store::{self, Store, StoreError};

/// So many time-outs of a cell, and its further iterations are skipped.
const MAX_TIMEOUTS: u32 = 2;

/// A finished run.
#[derive(Debug)]
pub struct Run {
    /// A sample for each task, in the order in which they ran.
    pub samples: Vec<Sample>,
    /// The conditions.
    pub manifest: Manifest,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// It starts.
    Start {
        /// How many tasks there are.
        total: usize,
        /// How many of them an earlier part of the run has done.
        done: usize,
    },
    /// A task starts.
    Task(&'a Task),
    /// A task has its sample.
    Sample(&'a Sample),
}

/// Why a run ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The plan makes no sense.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run to go on with is another one.
    #[error("the run cannot be resumed: its {0} differ from what is asked for now")]
    OtherRun(&'static str),
    /// A runner does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The program's own file.
    #[error("cannot read this program: {0}")]
    Program(#[from] io::Error),
}

impl MeasureError {
    /// The exit code of a program that ends for this reason: 1 for an error, 2 for wrong usage, 5 for versions that
    /// cannot be compared.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Plan(_) | Self::OtherRun(_) | Self::Store(StoreError::Occupied(_)) => 2,
            Self::Start(StartError::NotComparable(_)) | Self::Store(StoreError::NotComparable { .. }) => 5,
            _ => 1,
        }
    }
}

/// Whether a run could start: the plan makes sense, its directory can be written, and each backend has a runner. For a
/// caller who is about to replace an earlier run.
///
/// # Errors
/// It could not.
pub fn check(plan: &Plan) -> Result<(), MeasureError> {
    plan.tasks()?;
    for Choice { backend, variant } in &plan.backends {
        Runner::start(&plan.launch, backend, variant, plan.jobs, false)?;
    }
    plan.out.as_deref().map_or(Ok(()), store::make_writable)?;
    Ok(())
}

/// Measures all that the plan asks for. Failures of cells are samples; the caller looks at their status.
///
/// # Errors
/// The run could not go on. What has been measured is in its files, whose manifest says that it is not complete.
pub fn measure(plan: &Plan, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Run, MeasureError> {
    let tasks = plan.tasks()?;
    let Opened { mut store, mut manifest, mut samples } = open(plan)?;
    let done: BTreeSet<String> = samples.iter().map(|sample| sample.cell_id.clone()).collect();
    progress(Progress::Start { total: tasks.len(), done: done.len() });
    let mut runners = Runners {
        plan,
        running: BTreeMap::new(),
        conditions: manifest.runners.clone(),
        fit: BTreeMap::new(),
        conformance: manifest.conformance.clone(),
    };
    let mut timeouts = BTreeMap::<CellKey, u32>::new();
    for task in tasks {
        let request = request(plan, &manifest.run_id, &task);
        if done.contains(&cell_id(&task.choice, &request)) {
            continue;
        }
        progress(Progress::Task(&task));
        let timed_out = timeouts.entry(cell_of(&task)).or_default();
        let sample = if *timed_out >= MAX_TIMEOUTS {
            let reason = format!("skipped: the cell has timed out {MAX_TIMEOUTS} times");
            failed(&task.choice, &request, Status::Timeout, reason)
        } else {
            runners.measure(&task, &request)?
        };
        *timed_out += u32::from(sample.status == Status::Timeout);
        if let Some(store) = &mut store {
            if manifest.runners.len() != runners.conditions.len() {
                manifest.runners.clone_from(&runners.conditions);
                manifest.conformance.clone_from(&runners.conformance);
                store.write_manifest(&manifest)?;
            }
            store.append(&sample)?;
        }
        progress(Progress::Sample(&sample));
        samples.push(sample);
    }
    manifest.runners = runners.conditions;
    manifest.conformance = runners.conformance;
    manifest.complete();
    if let Some(store) = &store {
        store.write_manifest(&manifest)?;
    }
    Ok(Run { samples, manifest })
}

struct Opened {
    store: Option<Store>,
    manifest: Manifest,
    samples: Vec<Sample>,
}

fn open(plan: &Plan) -> Result<Opened, MeasureError> {
    let manifest = Manifest::start(plan.options(), plan.jobs, plan.argv.clone())?;
    match &plan.out {
        None => Ok(Opened { store: None, manifest, samples: Vec::new() }),
        Some(out) if plan.resume && store::holds_run(out) => resume(out, &manifest),
        Some(out) => {
            let store = Store::create(out, &manifest)?;
            Ok(Opened { store: Some(store), manifest, samples: Vec::new() })
        }
    }
}

/// Opens an earlier run, if it is the one that would start now.
fn resume(out: &Path, now: &Manifest) -> Result<Opened, MeasureError> {
    let earlier = store::read_manifest(&out.join(store::MANIFEST))?;
    if earlier.build.binary_hash != now.build.binary_hash {
        return Err(MeasureError::OtherRun("program and this one"));
    }
    if earlier.options.seed != now.options.seed {
        return Err(MeasureError::OtherRun("seed and the one given"));
    }
    if earlier.options != now.options {
        return Err(MeasureError::OtherRun("options"));
    }
    let (store, samples) = Store::resume(out)?;
    // Until it has come to its end again, the run is as incomplete as if it had never ended.
    let mut manifest = earlier;
    manifest.status = now.status;
    manifest.ended_unix = None;
    store.write_manifest(&manifest)?;
    Ok(Opened { store: Some(store), manifest, samples })
}

/// A runner for each backend and group size, started when it is first needed.
struct Runners<'a> {
    plan: &'a Plan,
    running: BTreeMap<(Choice, u32), Runner>,
    conditions: Vec<RunnerConditions>,
    /// Whether a backend may be measured, once that is known.
    fit: BTreeMap<Choice, Result<(), Unfit>>,
    conformance: BTreeMap<String, Conformance>,
}

/// What the samples of a backend say that has not passed the conformance suite.
#[derive(Clone, Debug)]
struct Unfit {
    status: Status,
    reason: String,
}

impl Runners<'_> {
    fn measure(&mut self, task: &Task, request: &Request) -> Result<Sample, MeasureError> {
        let key = (task.choice.clone(), task.group_size);
        let mut runner = match self.running.remove(&key) {
            Some(runner) => runner,
            None => match self.start(task)? {
                Ok(runner) => runner,
                Err(Unfit { status, reason }) => return Ok(failed(&task.choice, request, status, reason)),
            },
        };
        Ok(match runner.ask(request, self.plan.timeout) {
            Answer::Sample(mut sample) => {
                self.running.insert(key, runner);
                if self.plan.peak && task.iteration == 0 && sample.status == Status::Ok {
                    self.measure_peak(task, request, &mut sample);
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

    /// The first runner of a backend checks it.
    fn start(&mut self, task: &Task) -> Result<Result<Runner, Unfit>, MeasureError> {
        let known = self.fit.get(&task.choice);
        if let Some(Err(unfit)) = known {
            return Ok(Err(unfit.clone()));
        }
        let check = self.plan.conformance && known.is_none();
        let Choice { backend, variant } = &task.choice;
        let mut runner = Runner::start(&self.plan.launch, backend, variant, self.plan.jobs, check)?;
        if check {
            let fit = self.check(&task.choice, &mut runner);
            self.fit.insert(task.choice.clone(), fit.clone());
            if let Err(unfit) = fit {
                return Ok(Err(unfit));
            }
        }
        let welcome = runner.welcome();
        self.conditions.push(RunnerConditions {
            backend: task.choice.full_name(),
            group_size: task.group_size,
            clock_read_ns: welcome.clock_read_ns,
            primitive_ns: welcome.primitive_ns.clone(),
        });
        Ok(Ok(runner))
    }

    fn check(&mut self, choice: &Choice, runner: &mut Runner) -> Result<(), Unfit> {
        let (status, reason) = match runner.conformance(self.plan.timeout) {
            Checked::Verdict(Verdict::Passed(conformance)) => {
                self.conformance.insert(choice.full_name(), conformance);
                return Ok(());
            }
            Checked::Verdict(Verdict::Violated(reason)) => (Status::Refused, reason),
            Checked::Timeout => (Status::Timeout, format!("no answer within {:?}", self.plan.timeout)),
            Checked::Crash(reason) => (Status::Crash, reason),
        };
        Err(Unfit { status, reason: format!("conformance: {reason}") })
    }

    /// Runs the cell once more, in a process that does nothing else, for the memory that it takes. Its bytes and counts
    /// must be the same; its times are not used. Where that process fails, the memory stays unknown: the cell has been
    /// measured all the same.
    fn measure_peak(&self, task: &Task, request: &Request, sample: &mut Sample) {
        let Choice { backend, variant } = &task.choice;
        let started = Runner::start(&self.plan.launch, backend, variant, self.plan.jobs, false);
        let Ok(mut runner) = started else { return };
        let request = Request { peak: true, ..request.clone() };
        if let Answer::Sample(again) = runner.ask(&request, self.plan.timeout) {
            if !same_exactly(sample, &again) {
                let reason = "another process had other bytes or operation counts from the same seed".to_owned();
                *sample = failed(&task.choice, &request, Status::Refused, reason);
            } else {
                sample.peak_bytes = again.peak_bytes;
            }
        }
    }
}

/// Whether all that a seed fixes is the same.
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
        operation: task.operation.to_string(),
        group_size: task.group_size,
        iteration: task.iteration,
        seed: plan.seed,
        peak: false,
    }
}

fn failed(choice: &Choice, request: &Request, status: Status, reason: String) -> Sample {
    Sample { status, reason, ..empty_sample(&choice.backend, &choice.variant, request) }
}

fn cell_id(choice: &Choice, request: &Request) -> String {
    let Request { operation, group_size, iteration, .. } = request;
    cell_protocol::cell_id(&choice.backend, &choice.variant, operation, *group_size, *iteration)
}

/// A cell, whatever the iteration.
type CellKey = (Choice, u32, String);

fn cell_of(task: &Task) -> CellKey {
    (task.choice.clone(), task.group_size, task.operation.to_string())
}
