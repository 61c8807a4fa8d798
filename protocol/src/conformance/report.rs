//! What the suite reports: what has passed, and what is wrong.

use core::fmt;
use std::borrow::Cow;

/// What was checked of a backend that passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each check, and the number of situations in which all of it passed: 0 if the backend does not claim what it checks.
    pub passed: Vec<(&'static str, u32)>,
    /// What is remarkable about the backend.
    pub notes: Vec<&'static str>,
    /// What could not be tried in some situation, and why. The situation counts neither as passed nor as failed.
    pub not_made: Vec<(&'static str, &'static str)>,
    /// The attacks that were made, all in vain.
    pub attacks: Vec<Attack>,
    /// What is wrong with a backend that adapts an implementation of others: the first thing in each check. Empty for all
    /// other backends: of them, the first thing that is wrong ends the suite.
    pub failed: Vec<Violation>,
}

impl Report {
    /// The number of situations that were passed, over all checks.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.passed.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed: Vec<String> = self.passed.iter().map(|(name, count)| format!("{name} {count}")).collect();
        write!(f, "{} checks passed: {}", self.total(), passed.join(", "))?;
        self.failed.iter().try_for_each(|violation| write!(f, "; FAILED: {violation}"))?;
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))?;
        self.not_made.iter().try_for_each(|(what, why)| write!(f, "; not made: {what} ({why})"))
    }
}

/// An attack that was made in vain, and its twin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attack {
    /// What was stolen.
    pub what: &'static str,
    /// The number of members.
    pub group_size: usize,
    /// The number of messages that the attacker tried to read. It read none of them.
    pub tried: usize,
    /// Where the same attacker should read.
    pub twin: &'static str,
    /// The number of messages that it read there: all.
    pub twin_read: usize,
}

/// What is wrong with a backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{check}: {what} ({situation}, {group_size} members, seed {seed})")]
pub struct Violation {
    /// The name of the check that failed.
    pub check: &'static str,
    /// The situation in which it failed: an operation, mostly.
    pub situation: Cow<'static, str>,
    /// The number of members before it.
    pub group_size: usize,
    /// The seed of the group's randomness.
    pub seed: u64,
    /// What is wrong, in words. If formulas are wrong: all operations whose costs differ at this group size.
    pub what: String,
}
