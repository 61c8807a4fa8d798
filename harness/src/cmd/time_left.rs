//! How long a run will still take, from what each of its cells has taken.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::operation::Operation;

use crate::run::plan::{Choice, Task};

/// Estimates the rest of a run. Nothing is estimated before the first sample.
#[derive(Debug, Default)]
pub(super) struct TimeLeft {
    /// The tasks that have no sample yet.
    left: Vec<Task>,
    /// When those that run have begun.
    begun: Vec<(Task, Instant)>,
    /// What samples have taken: their sum and number.
    taken: BTreeMap<Cell, (Duration, u32)>,
    /// The time since the first task began, and what all samples have taken together. It is more if two run at a time.
    start: Option<Instant>,
    all: Duration,
    /// The estimate, and when it was made.
    estimate: Option<(Duration, Instant)>,
}

/// The first iteration of a cell takes longer, because it is inspected.
type Cell = (Choice, Operation, u32, bool);

fn cell_of(task: &Task) -> Cell {
    (task.choice.clone(), task.operation, task.group_size, task.iteration == 0)
}

impl TimeLeft {
    pub(super) fn of(left: Vec<Task>) -> Self {
        Self { left, ..Self::default() }
    }

    pub(super) fn begins(&mut self, task: &Task, now: Instant) {
        self.start.get_or_insert(now);
        self.begun.push((task.clone(), now));
    }

    /// A task has its sample.
    pub(super) fn ends(
        &mut self,
        choice: &Choice,
        operation: Operation,
        group_size: u32,
        iteration: u32,
        now: Instant,
    ) {
        let is_it = |task: &Task| {
            (&task.choice, task.operation, task.group_size, task.iteration)
                == (choice, operation, group_size, iteration)
        };
        self.left.retain(|task| !is_it(task));
        if let Some(at) = self.begun.iter().position(|(task, _)| is_it(task)) {
            let (task, since) = self.begun.swap_remove(at);
            let taken = now.saturating_duration_since(since);
            self.all += taken;
            let (sum, number) = self.taken.entry(cell_of(&task)).or_default();
            (*sum, *number) = (*sum + taken, *number + 1);
        }
        let wall = self.start.map_or(Duration::ZERO, |start| now.saturating_duration_since(start));
        let at_a_time = wall.as_secs_f64() / self.all.as_secs_f64().max(1e-9);
        let left: f64 = self.left.iter().map(|task| self.expected(task)).sum();
        let estimate = Duration::try_from_secs_f64(left * at_a_time.min(1.0)).unwrap_or_default();
        self.estimate = Some((estimate, now));
    }

    /// What a task will take in seconds: as its cell has taken; else as the same operation in another group; else as anything.
    /// Work grows with the square of the group, in all protocols about as much.
    fn expected(&self, task: &Task) -> f64 {
        let (choice, operation, size, first) = cell_of(task);
        let rate = |fits: &dyn Fn(&Cell) -> bool| {
            let fitting = self.taken.iter().filter(|(cell, _)| fits(cell));
            let weight = |cell: &Cell| f64::from(cell.2).powi(2) + FIXED;
            let sums = fitting.fold((0.0, 0.0), |(time, work), (cell, (sum, number))| {
                (time + sum.as_secs_f64(), work + weight(cell) * f64::from(*number))
            });
            (sums.1 > 0.0).then(|| sums.0 / sums.1 * (f64::from(size).powi(2) + FIXED))
        };
        rate(&|cell| *cell == (choice.clone(), operation, size, first))
            .or_else(|| rate(&|cell| (&cell.0, cell.1, cell.2) == (&choice, operation, size)))
            .or_else(|| rate(&|cell| (&cell.0, cell.1) == (&choice, operation)))
            .or_else(|| rate(&|cell| cell.1 == operation))
            .or_else(|| rate(&|_| true))
            .unwrap_or(0.0)
    }

    /// The time left now; `None` if nothing is known yet.
    pub(super) fn now(&self, now: Instant) -> Option<Duration> {
        self.estimate.map(|(estimate, made)| estimate.saturating_sub(now.saturating_duration_since(made)))
    }
}

/// What a cell takes besides, as the square of a group size.
const FIXED: f64 = 200.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn task(operation: Operation, group_size: u32, iteration: u32) -> Task {
        let choice = Choice { backend: "b".to_owned(), variant: String::new() };
        Task { choice, operation, group_size, iteration }
    }

    fn run(left: &mut TimeLeft, task: &Task, begin: Instant, millis: u64) -> Instant {
        let end = begin + Duration::from_millis(millis);
        left.begins(task, begin);
        left.ends(&task.choice, task.operation, task.group_size, task.iteration, end);
        end
    }

    #[test]
    fn what_is_left_is_estimated_from_what_the_same_cell_has_taken() {
        let tasks: Vec<Task> =
            (0..4).flat_map(|it| [task(Operation::Create, 8, it), task(Operation::Update, 128, it)]).collect();
        let mut left = TimeLeft::of(tasks.clone());
        let mut now = Instant::now();
        assert_eq!(left.now(now), None);
        for (index, task) in tasks.iter().enumerate() {
            now = run(&mut left, task, now, if index % 2 == 0 { 10 } else { 1000 });
        }
        assert_eq!(left.now(now), Some(Duration::ZERO));
        let mut left = TimeLeft::of(tasks.clone());
        let mut now = Instant::now();
        for task in &tasks[..2] {
            now = run(&mut left, task, now, if task.group_size == 8 { 10 } else { 1000 });
        }
        let estimate = left.now(now).unwrap();
        assert!((2900..3200).contains(&estimate.as_millis()), "{estimate:?}");
        // It becomes less while nothing happens.
        assert_eq!(left.now(now + Duration::from_secs(1)), Some(estimate - Duration::from_secs(1)));
        assert_eq!(left.now(now + Duration::from_secs(60)), Some(Duration::ZERO));
    }

    #[test]
    fn a_small_group_does_not_stand_for_a_large_one() {
        let tasks = [task(Operation::Update, 8, 0), task(Operation::Update, 128, 0)];
        let mut left = TimeLeft::of(tasks.to_vec());
        let now = run(&mut left, &tasks[0], Instant::now(), 10);
        assert!(left.now(now).unwrap() > Duration::from_millis(400));
    }

    #[test]
    fn two_at_a_time_take_half_the_time() {
        let tasks: Vec<Task> = (0..4).map(|it| task(Operation::Update, 8, it)).collect();
        let mut left = TimeLeft::of(tasks.clone());
        let begin = Instant::now();
        tasks[..2].iter().for_each(|task| left.begins(task, begin));
        let now = begin + Duration::from_secs(1);
        tasks[..2].iter().for_each(|task| left.ends(&task.choice, task.operation, 8, task.iteration, now));
        let estimate = left.now(now).unwrap();
        assert!((900..1100).contains(&estimate.as_millis()), "{estimate:?}");
    }
}
