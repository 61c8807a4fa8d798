//! Turns at timing. Several runners may work at the same time, but only one of them times anything, and meanwhile the
//! processes of all others stand still: they take turns at what is measured, and share the processors for the rest.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::system::process;

/// Whose turn it is. A lane is a thread that drives one runner at a time.
#[derive(Debug, Default)]
pub struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    timing: Option<usize>,
    working: BTreeMap<usize, Work>,
}

/// The work of one lane.
#[derive(Debug)]
struct Work {
    process: u32,
    /// Since when it has stood still.
    stopped: Option<Instant>,
    /// How long it has stood still before.
    paused: Duration,
}

impl Work {
    fn stop(&mut self) {
        if self.stopped.is_none() {
            process::stop(self.process);
            self.stopped = Some(Instant::now());
        }
    }

    fn go_on(&mut self) {
        if let Some(since) = self.stopped.take() {
            process::go_on(self.process);
            self.paused += since.elapsed();
        }
    }
}

impl Turns {
    /// The runner in this process group works for a lane from now on, and stands still while another lane times. Afterwards it
    /// stands still until it works again.
    pub fn work(&self, lane: usize, process: u32) -> Working<'_> {
        let mut state = self.state();
        let mut work = Work { process, stopped: Some(Instant::now()), paused: Duration::ZERO };
        if state.timing.is_none_or(|timing| timing == lane) {
            work.go_on();
        }
        state.working.insert(lane, work);
        Working { turns: self, lane }
    }

    /// Does what must not be disturbed, and starts no process that others could disturb.
    pub fn alone<T>(&self, lane: usize, work: impl FnOnce() -> T) -> T {
        struct End<'a>(&'a Turns, usize);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.end(self.1);
            }
        }
        self.begin(lane);
        let _end = End(self, lane);
        work()
    }

    fn begin(&self, lane: usize) {
        let mut state = self.state();
        while state.timing.is_some_and(|timing| timing != lane) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.timing = Some(lane);
        // While this lane has waited, its own process has stood still.
        state.working.iter_mut().filter(|(other, _)| **other != lane).for_each(|(_, work)| work.stop());
    }

    fn end(&self, lane: usize) {
        let mut state = self.state();
        if state.timing == Some(lane) {
            state.timing = None;
            state.working.values_mut().for_each(Work::go_on);
            self.changed.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code below panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runner of a lane works until this is dropped.
#[derive(Debug)]
pub struct Working<'a> {
    turns: &'a Turns,
    lane: usize,
}

impl Working<'_> {
    /// Waits for the turn, and lets the others stand still.
    pub fn begin(&self) {
        self.turns.begin(self.lane);
    }

    /// Lets the others go on.
    pub fn end(&self) {
        self.turns.end(self.lane);
    }

    /// How long the runner has stood still, which it also does while it waits for its turn.
    #[must_use]
    pub fn paused(&self) -> Duration {
        let state = self.turns.state();
        let work = state.working.get(&self.lane);
        work.map_or(Duration::ZERO, |work| work.paused + work.stopped.map_or(Duration::ZERO, |since| since.elapsed()))
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        if let Some(mut work) = state.working.remove(&self.lane) {
            work.stop();
        }
        drop(state);
        self.turns.end(self.lane);
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::Child;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A process in a group of its own, with a child that is in it too. It ends with the test, also if that fails.
    struct Busy(Child);

    fn busy() -> Busy {
        let mut command = crate::system::command::command("sh");
        command.args(["-c", "sh -c 'while true; do :; done' & while true; do :; done"]);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Busy(command.spawn().unwrap())
    }

    impl Busy {
        fn id(&self) -> u32 {
            self.0.id()
        }
    }

    impl Drop for Busy {
        fn drop(&mut self) {
            let started = process::descendants(self.id());
            let _ = self.0.kill();
            process::kill(&started);
            let _ = self.0.wait();
        }
    }

    /// The CPU time that a process and its child take in this time.
    fn takes(child: &Busy, time: Duration) -> u64 {
        let ticks = |id: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
            let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        };
        let all = || process::descendants(child.id()).into_iter().chain([child.id()]).map(ticks).sum::<u64>();
        let before = all();
        std::thread::sleep(time);
        all() - before
    }

    /// Whether a process or its child takes CPU time. On a busy machine, that takes a while to show.
    fn goes_on(child: &Busy) -> bool {
        (0..600).any(|_| takes(child, Duration::from_millis(100)) > 0)
    }

    #[test]
    fn while_one_times_the_other_stands_still_with_all_that_it_has_started() {
        let (one, other) = (busy(), busy());
        std::thread::sleep(Duration::from_millis(50));
        let turns = Turns::default();
        let (timing, working) = (turns.work(0, one.id()), turns.work(1, other.id()));
        timing.begin();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(takes(&other, Duration::from_millis(100)), 0);
        assert!(goes_on(&one));
        assert!(working.paused() > Duration::from_millis(100) && timing.paused() < Duration::from_millis(20));
        // Who begins to work now stands still from the beginning.
        drop(working);
        assert_eq!(takes(&other, Duration::from_millis(50)), 0);
        let working = turns.work(1, other.id());
        assert_eq!(takes(&other, Duration::from_millis(100)), 0);
        timing.end();
        assert!(goes_on(&other));
        drop((timing, working));
        assert_eq!(takes(&one, Duration::from_millis(50)) + takes(&other, Duration::from_millis(50)), 0);
    }

    #[test]
    fn a_second_one_waits_for_its_turn_also_if_the_first_one_dies() {
        let (one, other) = (busy(), busy());
        let (turns, begun) = (Turns::default(), AtomicBool::new(false));
        let timing = turns.work(0, one.id());
        timing.begin();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let working = turns.work(1, other.id());
                working.begin();
                begun.store(true, Ordering::SeqCst);
                let paused = working.paused();
                working.end();
                paused
            });
            std::thread::sleep(Duration::from_millis(60));
            assert!(!begun.load(Ordering::SeqCst));
            // As after a crash: nobody has ended the turn.
            drop(timing);
            assert!(second.join().unwrap() > Duration::from_millis(50));
        });
    }

    #[test]
    fn what_is_done_alone_stops_those_who_work() {
        let other = busy();
        let turns = Turns::default();
        let _working = turns.work(1, other.id());
        assert_eq!(turns.alone(0, || takes(&other, Duration::from_millis(100))), 0);
        assert!(goes_on(&other));
    }
}
