//! How a check says what it has found.

/// The error says what is wrong.
pub(crate) type Verdict<T = ()> = Result<T, String>;

pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}
