//! What a run measures, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use protocol::operation::Operation;

use super::child::Launch;
use crate::measure::randomness;
use crate::record::manifest::{LargeGroups, MAX_SAMPLES, Options};
use crate::record::name::join;
use crate::record::program::Program;
use crate::registry::{Registry, UnknownBackend};

/// What a run measures, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The backends, each in one variant.
    pub backends: Vec<Choice>,
    /// The operations, and the number of iterations of each.
    pub iterations: BTreeMap<Operation, u32>,
    /// A limit on the iterations of large groups; `None` if all groups get the same.
    pub large_groups: Option<LargeGroups>,
    /// Group sizes, in members before the operation; for create, members created.
    pub sizes: Vec<u32>,
    /// The seed of all randomness, including the order of the cells.
    pub seed: u64,
    /// The number of threads that make users, outside the timers.
    pub jobs: usize,
    /// Whether each backend must pass the conformance suite before it is measured. Only tests turn this off.
    pub conformance: bool,
    /// How long a cell of a group of at most 128 members may take, including its set-up, and how long the conformance suite of
    /// a backend may take.
    pub timeout: Duration,
    /// Whether the first iteration of each cell also gives its peak memory, measured in a separate process.
    pub peak: bool,
    /// The directory for the run's files; `None` for no files.
    pub out: Option<PathBuf>,
    /// What happens to a run that is already in `out`.
    pub earlier: Earlier,
    /// How to start a runner of a backend in this program.
    pub launch: Launch,
    /// How to start a runner of another backend, by the backend's name.
    pub external: BTreeMap<String, Launch>,
    /// What the files of external backends claim of their growth, by backend.
    pub growth: BTreeMap<String, Vec<String>>,
    /// The backends that were to be measured and cannot be, with the reasons.
    pub left_out: BTreeMap<String, String>,
    /// The program that runs, for the manifest.
    pub program: Program,
    /// The command line, for the manifest.
    pub argv: Vec<String>,
}

/// What happens to a run that is already in the directory of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// It is an error.
    Refuse,
    /// It is continued.
    Resume,
    /// It is removed as soon as nothing prevents the new one, and with it the files of these names.
    Replace(Vec<String>),
}

/// A backend in one variant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// The backend's name, without the variant.
    pub backend: String,
    /// The variant; empty if the backend has only one form.
    pub variant: String,
}

/// One iteration of a cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    /// The backend of the cell.
    pub choice: Choice,
    /// The operation of the cell.
    pub operation: Operation,
    /// Members before the operation; for create, members created.
    pub group_size: u32,
    /// The number of the iteration, from 0.
    pub iteration: u32,
}

/// Why a plan cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The plan has no tasks.
    #[error("nothing to measure; try at least one backend, one operation, one group size and one iteration")]
    Nothing,
    /// A group has too few members for an operation.
    #[error(
        "{operation} needs a group of at least {least} members, but one of {size} was requested; try --sizes {least}"
    )]
    GroupTooSmall {
        /// The operation that needs more members.
        operation: Operation,
        /// The group size in the plan.
        size: u32,
        /// The size of the smallest group that has enough.
        least: usize,
    },
    /// Only adds and updates are measured after others.
    #[error("{0} has no history; try --history with --operation add,update")]
    NoHistory(Operation),
    /// A backend, operation or group size is in the plan twice.
    #[error("{0} is named twice; try naming it only once")]
    Twice(String),
    /// The plan has too many tasks.
    #[error(
        "{0} samples would be measured, but a run can have at most {MAX_SAMPLES}; try fewer --iterations, --sizes, \
         --operation or --backend"
    )]
    TooMany(u64),
    /// A group has more members than the set-up of any group is made for.
    #[error("a group of {0} members is needed, but a group can have at most {MAX_GROUP_SIZE}; try --sizes 128")]
    GroupTooLarge(usize),
}

/// The most runners that work at the same time.
const MAX_LANES: usize = 2;

/// The most members of a group. Each publishes a one-time prekey for each other one, so the memory that the set-up takes
/// grows with the square of the group.
pub const MAX_GROUP_SIZE: u32 = 2048;

impl Choice {
    /// The backend with this name: `name` or `name:variant`. A name alone means the first variant.
    ///
    /// # Errors
    /// No backend has the name.
    pub fn find(registry: &Registry, name: &str) -> Result<Self, UnknownBackend> {
        let description = registry.find(name)?.description();
        Ok(Self { backend: description.name.to_owned(), variant: description.variant.to_owned() })
    }

    /// The backends with these names.
    ///
    /// # Errors
    /// One of them does not exist.
    pub fn find_all(registry: &Registry, names: &[String]) -> Result<Vec<Self>, UnknownBackend> {
        names.iter().map(|name| Self::find(registry, name)).collect()
    }

    /// `name`, or `name:variant` if there is a variant.
    #[must_use]
    pub fn full_name(&self) -> String {
        join(&self.backend, &self.variant)
    }
}

/// The largest group for which the time limit holds as it is.
const WITHIN_TIMEOUT: u32 = 128;

impl Plan {
    /// All tasks in the order in which they run.
    ///
    /// One iteration of all cells is a block, shuffled with the seed. For each group size, create comes first, because
    /// it sets up the group for the other operations. The backends take turns at each operation and size, so that costs
    /// that are compared are measured within moments.
    ///
    /// # Errors
    /// The plan cannot be carried out.
    pub fn tasks(&self) -> Result<Vec<Task>, PlanError> {
        self.check()?;
        let last = self.iterations.values().copied().max().unwrap_or(0);
        Ok((0..last).flat_map(|iteration| self.block(iteration)).collect())
    }

    /// How long a cell of this group size may take. The set-up takes longer in larger groups, so they have more time.
    #[must_use]
    pub fn time_for(&self, group_size: u32) -> Duration {
        self.timeout * group_size.div_ceil(WITHIN_TIMEOUT).max(1)
    }

    /// The options that must be the same when the run is resumed.
    #[must_use]
    pub fn options(&self) -> Options {
        let named = |(operation, count): (&Operation, &u32)| (operation.to_string(), *count);
        Options {
            seed: self.seed,
            backends: self.backends.iter().map(Choice::full_name).collect(),
            iterations: self.iterations.iter().map(named).collect(),
            large_groups: self.large_groups,
            sizes: self.sizes.clone(),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            peak: self.peak,
        }
    }

    /// Whether this backend is in a program of its own.
    #[must_use]
    pub fn is_external(&self, choice: &Choice) -> bool {
        self.external.contains_key(&choice.backend)
    }

    /// How to start a runner of this backend.
    #[must_use]
    pub fn launch_of(&self, choice: &Choice) -> &Launch {
        self.external.get(&choice.backend).unwrap_or(&self.launch)
    }

    /// How many runners work at the same time. One times at a time; with a second one, what is not timed takes the other
    /// processor. On other systems than Linux, nothing can make a process stand still.
    #[must_use]
    pub fn lanes(&self) -> usize {
        if cfg!(target_os = "linux") { self.jobs.clamp(1, MAX_LANES) } else { 1 }
    }

    fn check(&self) -> Result<(), PlanError> {
        if self.backends.is_empty() || self.sizes.is_empty() || self.iterations.values().all(|count| *count == 0) {
            return Err(PlanError::Nothing);
        }
        for (size, operation) in self.sizes.iter().flat_map(|size| self.iterations.keys().map(move |it| (*size, *it))) {
            let least = operation.min_group_size();
            if least > MAX_GROUP_SIZE as usize {
                return Err(PlanError::GroupTooLarge(least));
            }
            if (size as usize) < least {
                return Err(PlanError::GroupTooSmall { operation, size, least });
            }
        }
        if let Some(size) = self.sizes.iter().find(|size| **size > MAX_GROUP_SIZE) {
            return Err(PlanError::GroupTooLarge(*size as usize));
        }
        let backends: Vec<String> =
            self.backends.iter().map(|choice| format!("backend {}", choice.full_name())).collect();
        let sizes: Vec<String> = self.sizes.iter().map(|size| format!("group size {size}")).collect();
        no_twice(&backends)?;
        no_twice(&sizes)?;
        match self.options().samples() {
            samples if samples > MAX_SAMPLES => Err(PlanError::TooMany(samples)),
            _ => Ok(()),
        }
    }

    fn block(&self, iteration: u32) -> Vec<Task> {
        let mut rng = randomness::order(self.seed, iteration);
        let slots = self.sizes.iter().flat_map(|size| {
            self.iterations
                .iter()
                .map(|(operation, count)| ((*size, *operation), LargeGroups::limit(self.large_groups, *size, *count)))
        });
        let mut slots: Vec<(u32, Operation)> =
            slots.filter(|(_, count)| *count > iteration).map(|(slot, _)| slot).collect();
        randomness::shuffle(&mut slots, &mut rng);
        for size in &self.sizes {
            let first = slots.iter().position(|slot| slot.0 == *size);
            let create = slots.iter().position(|slot| *slot == (*size, Operation::Create));
            if let (Some(first), Some(create)) = (first, create) {
                slots.swap(first, create);
            }
        }
        let mut tasks = Vec::with_capacity(slots.len() * self.backends.len());
        for (group_size, operation) in slots {
            let mut turns = self.backends.clone();
            randomness::shuffle(&mut turns, &mut rng);
            tasks.extend(turns.into_iter().map(|choice| Task { choice, operation, group_size, iteration }));
        }
        tasks
    }
}

/// Checks that no name is there twice.
///
/// # Errors
/// The first name that is.
pub fn no_twice(names: &[String]) -> Result<(), PlanError> {
    let mut seen = BTreeSet::new();
    let twice = names.iter().find(|name| !seen.insert(*name));
    twice.map_or(Ok(()), |name| Err(PlanError::Twice(name.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let choice = |backend: &str| Choice { backend: backend.to_owned(), variant: String::new() };
        Plan {
            backends: vec![choice("a"), choice("b"), choice("c")],
            iterations: Operation::ALL.into_iter().map(|op| (op, 2 + u32::from(op == Operation::Create))).collect(),
            large_groups: None,
            sizes: vec![8, 16, 32],
            seed: 1,
            jobs: 1,
            conformance: true,
            timeout: Duration::from_secs(1),
            peak: false,
            out: None,
            earlier: Earlier::Refuse,
            launch: Launch { program: PathBuf::new(), args: Vec::new(), directory: None, piped: None },
            external: BTreeMap::new(),
            growth: BTreeMap::new(),
            left_out: BTreeMap::new(),
            program: Program::HARNESS,
            argv: Vec::new(),
        }
    }

    #[test]
    fn every_cell_runs_once_and_iterations_are_blocks() {
        let tasks = plan().tasks().unwrap();
        assert_eq!(tasks.len(), 3 * 3 * (2 * Operation::ALL.len() + 1));
        let mut distinct = tasks.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), tasks.len());
        assert!(tasks.is_sorted_by_key(|task| task.iteration));
        assert_eq!(tasks, plan().tasks().unwrap());
        assert_ne!(tasks, Plan { seed: 2, ..plan() }.tasks().unwrap());
    }

    #[test]
    fn large_groups_get_fewer_iterations_and_the_others_the_same() {
        let large_groups = Some(LargeGroups { from: 16, iterations: 1 });
        let tasks = Plan { large_groups, ..plan() }.tasks().unwrap();
        let count = |size| tasks.iter().filter(|task| task.group_size == size).count();
        assert_eq!((count(16), count(32)), (3 * Operation::ALL.len(), 3 * Operation::ALL.len()));
        assert_eq!(count(8), 3 * (2 * Operation::ALL.len() + 1));
    }

    #[test]
    fn creation_comes_first_in_each_group_and_backends_take_turns() {
        let tasks = plan().tasks().unwrap();
        for (at, task) in tasks.iter().enumerate().filter(|(_, task)| task.operation == Operation::Create) {
            let same = |other: &&Task| {
                (&other.choice, other.group_size, other.iteration) == (&task.choice, task.group_size, task.iteration)
            };
            assert!(tasks[..at].iter().find(same).is_none());
        }
        for turn in tasks.chunks(3) {
            assert!(
                turn.iter().all(|task| (task.operation, task.group_size) == (turn[0].operation, turn[0].group_size))
            );
        }
        assert!(tasks.chunks(3).any(|turn| turn[0].choice != tasks[0].choice), "the order of the turns changes");
    }

    #[test]
    fn plans_that_cannot_be_carried_out_are_refused() {
        assert_eq!(Plan { sizes: vec![], ..plan() }.tasks(), Err(PlanError::Nothing));
        let too_small = |operation, size, least| Err(PlanError::GroupTooSmall { operation, size, least });
        assert_eq!(Plan { sizes: vec![1], ..plan() }.tasks(), too_small(Operation::Create, 1, 2));
        for (name, least) in [("concurrent-updates:9", 9), ("partition-heal", 6)] {
            let operation: Operation = name.parse().unwrap();
            let sizes = |size| Plan { sizes: vec![size], iterations: [(operation, 1)].into(), ..plan() };
            assert_eq!(sizes(least - 1).tasks(), too_small(operation, least - 1, least as usize));
            assert_eq!(sizes(least).tasks().unwrap().len(), 3);
        }
        let twice = |name: &str| Err(PlanError::Twice(name.to_owned()));
        assert_eq!(Plan { sizes: vec![8, 16, 8], ..plan() }.tasks(), twice("group size 8"));
        let backends = plan().backends.into_iter().chain(plan().backends.into_iter().skip(1)).collect();
        assert_eq!(Plan { backends, ..plan() }.tasks(), twice("backend b"));
        assert_eq!(Plan { sizes: vec![8, 2049], ..plan() }.tasks(), Err(PlanError::GroupTooLarge(2049)));
        let iterations = [(Operation::Create, u32::MAX), (Operation::Add, u32::MAX)].into();
        let samples = 3 * 3 * 2 * u64::from(u32::MAX);
        assert_eq!(Plan { iterations, ..plan() }.tasks(), Err(PlanError::TooMany(samples)));
    }
}
