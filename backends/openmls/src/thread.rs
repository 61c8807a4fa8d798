//! The implementation spreads the encryption of a path over the threads of rayon. Here the pool is the calling thread alone, so
//! that its CPU time is all of the work.

use rayon::{ThreadPool, ThreadPoolBuilder};

thread_local! {
    /// A pool whose only member is this thread. `None` if the thread belongs to another pool, and then so does the work.
    static ALONE: Option<ThreadPool> = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().ok();
}

/// From now on, what this thread does in parallel it does alone.
pub(crate) fn keep_work_here() {
    ALONE.with(|_| ());
}
