//! How a check says what it has found.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The error says what is wrong.
pub(crate) type Verdict<T = ()> = Result<T, String>;

pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

/// What was found, or what a panic says. The panic drops the members, so nothing sees a state that it has left behind.
pub(crate) fn caught<T, E: From<String>>(check: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| Err(said_in(&*panic).into()))
}

/// A panic in words. Of a backend behind a pipe, they say what its program did.
fn said_in(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    words.map_or_else(|| "the backend panicked".to_owned(), |words| format!("the backend panicked: {words}"))
}
