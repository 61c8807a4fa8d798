//! What a member's work costs: thread CPU time, primitive counts and bytes from the directory.

use std::ops::AddAssign;

use protocol::crypto::count::{Counts, Watch};
use protocol::directory::InMemoryDirectory;
use protocol::member::Backend;
use rustix::time::{ClockId, clock_gettime};

use crate::analysis::statistics::median;
use crate::system::process;

/// Whose work is metered: this is how far the meter sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The thread that makes the call.
    #[default]
    Thread,
    /// All threads of the process, for a backend that declares that it needs them.
    Process,
    /// All threads of another process, in which the members work, and nothing here.
    Child(u32),
}

impl Scope {
    /// How far the meter must see for this backend.
    #[must_use]
    pub fn of(backend: &dyn Backend) -> Self {
        match backend.process() {
            Some(id) => Self::Child(id),
            None if backend.description().capabilities.threads => Self::Process,
            None => Self::Thread,
        }
    }

    /// CPU time that has been used so far, in nanoseconds.
    #[must_use]
    pub fn cpu_ns(self) -> u64 {
        let now = clock_gettime(match self {
            Self::Thread => ClockId::ThreadCPUTime,
            Self::Process => ClockId::ProcessCPUTime,
            Self::Child(id) => return process::cpu_ns(id),
        });
        let [seconds, nanoseconds] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
        seconds * 1_000_000_000 + nanoseconds
    }

    /// Does `work` on this thread and returns its result, its CPU time and its primitive counts. Nothing but the work lies
    /// between the two clock reads.
    pub fn measure<T>(self, work: impl FnOnce() -> T) -> (T, Effort) {
        let watch = Watch::start();
        let start = self.cpu_ns();
        let result = work();
        let end = self.cpu_ns();
        let counts = match self {
            Self::Thread | Self::Child(_) => watch.here(),
            Self::Process => watch.everywhere(),
        };
        let repeated = watch.repeated();
        (result, Effort { cpu_ns: end.saturating_sub(start), counts, repeated, bytes_fetched: 0 })
    }
}

/// What a piece of work cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// CPU time in nanoseconds, including about one clock read.
    pub cpu_ns: u64,
    /// How often each primitive was used.
    pub counts: Counts,
    /// Whether primitives were used that are not counted ([`count::uncounted`](protocol::crypto::count::uncounted)).
    pub repeated: bool,
    /// Bytes that the directory handed out.
    pub bytes_fetched: u64,
}

impl AddAssign for Effort {
    fn add_assign(&mut self, other: Self) {
        self.cpu_ns += other.cpu_ns;
        self.counts += other.counts;
        self.repeated |= other.repeated;
        self.bytes_fetched += other.bytes_fetched;
    }
}

/// Does `work` on this thread and returns its result and its cost.
pub fn measure<T>(scope: Scope, directory: &InMemoryDirectory, work: impl FnOnce() -> T) -> (T, Effort) {
    let fetched = directory.fetched_bytes();
    let (result, effort) = scope.measure(work);
    (result, Effort { bytes_fetched: directory.fetched_bytes() - fetched, ..effort })
}

/// CPU time that this thread has used so far, in nanoseconds.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    Scope::Thread.cpu_ns()
}

/// Cost of one clock read in nanoseconds: the median of several batches. Each measured time contains about one.
#[must_use]
pub fn clock_read_ns() -> f64 {
    const BATCHES: usize = 9;
    const READS: u32 = 200;
    let mut batches = [0.0; BATCHES];
    for batch in &mut batches {
        let start = thread_cpu_ns();
        let mut end = start;
        for _ in 0..READS {
            end = thread_cpu_ns();
        }
        *batch = end.saturating_sub(start) as f64 / f64::from(READS);
    }
    rounded(median(&batches).unwrap_or(0.0))
}

/// What work uses that it may not: primitives that are not counted, or more than these. In words.
pub(super) fn beyond_in(effort: Effort, most: Counts) -> Option<String> {
    if effort.repeated { Some("primitives that are not counted".to_owned()) } else { beyond(effort.counts, most) }
}

/// The primitives of which there are more than there may be, and how many more, in words.
pub(super) fn beyond(counts: Counts, most: Counts) -> Option<String> {
    let more: Vec<String> = (counts.named().into_iter().zip(most.named()))
        .filter(|((_, count), (_, most))| count > most)
        .map(|((name, count), (_, most))| format!("{name} {}", count - most))
        .collect();
    (!more.is_empty()).then(|| more.join(", "))
}

/// Rounds to a picosecond. Anything smaller is noise, and a short number passes through JSON unchanged.
pub(crate) fn rounded(nanoseconds: f64) -> f64 {
    (nanoseconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use protocol::crypto::{hash, label};

    use super::*;

    #[test]
    fn work_on_this_thread_alone_is_counted_and_timed() {
        let directory = InMemoryDirectory::default();
        let before = hash::hash(label::MESSAGE, &[b"outside"]);
        let (_, effort) = measure(Scope::Thread, &directory, || {
            (0..1000).for_each(|_| {
                std::hint::black_box(hash::hash(label::MESSAGE, &[before.as_bytes()]));
            });
        });
        assert_eq!(effort.counts.hash_blocks, 1000 * hash::blocks_of(label::MESSAGE, &[32]));
        assert!(effort.cpu_ns > 0);
    }

    #[test]
    fn a_clock_read_costs_something_and_less_than_a_millisecond() {
        let cost = clock_read_ns();
        assert!(cost > 0.0 && cost < 1e6, "{cost}");
    }
}
