//! The runners of a run, and what they have said of their backends.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::cell_protocol::Verdict;
use super::child::{Checked, Runner, StartError};
use super::error::MeasureError;
use super::plan::{Choice, Plan, Task};
use crate::record::about::About;
use crate::record::manifest::{Conformance, Manifest, RunnerConditions};
use crate::record::sample::Status;

/// A backend and a group size: each has a runner.
pub(super) type RunnerKey = (Choice, u32);

pub(super) fn key_of(task: &Task) -> RunnerKey {
    (task.choice.clone(), task.group_size)
}

/// One runner for each backend and group size, started when it is first needed.
pub(super) struct Runners<'a> {
    pub(super) plan: &'a Plan,
    pub(super) running: BTreeMap<RunnerKey, Runner>,
    /// Those that measure memory, and how many cells are left for each.
    pub(super) for_memory: BTreeMap<RunnerKey, (Option<Runner>, usize)>,
    /// The processes of all of them.
    pub(super) started: BTreeSet<u32>,
    pub(super) conditions: Vec<RunnerConditions>,
    pub(super) about: BTreeMap<String, About>,
    /// What the first process of each backend has said of it: another one must say the same.
    pub(super) said: BTreeMap<Choice, Option<About>>,
    /// The backends that have not passed the conformance suite.
    pub(super) unfit: BTreeMap<Choice, Unfit>,
    pub(super) conformance: BTreeMap<String, Conformance>,
}

/// The status and reason of all samples of a backend that has not passed the conformance suite, or does not start.
#[derive(Clone, Debug)]
pub(super) struct Unfit {
    pub(super) status: Status,
    pub(super) reason: String,
}

impl Unfit {
    pub(super) fn of(error: &StartError) -> Self {
        Self { status: Status::Crash, reason: error.to_string() }
    }
}

impl Runners<'_> {
    /// Writes what they have said into the manifest.
    pub(super) fn note(&self, manifest: &mut Manifest) {
        manifest.runners.clone_from(&self.conditions);
        manifest.backends.clone_from(&self.about);
        manifest.conformance.clone_from(&self.conformance);
    }

    /// Lets backends go through the conformance suite, each in a process of its own, as many at the same time as the plan
    /// has threads. Nothing is measured meanwhile.
    pub(super) fn check(&mut self, choices: BTreeSet<Choice>) -> Result<(), MeasureError> {
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
    pub(super) fn start(&mut self, task: &Task) -> Result<Result<Runner, Unfit>, MeasureError> {
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

    pub(super) fn start_another(&mut self, choice: &Choice) -> Result<Runner, StartError> {
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
