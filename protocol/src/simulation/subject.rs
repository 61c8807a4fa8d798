//! What is simulated, what a protocol checks in addition, and what the outcome is.

use core::fmt;

use crate::error::Error;
use crate::id::MemberId;
use crate::member::{Backend, Event, Outgoing};

/// What a protocol checks in addition. Each simulation has its own.
pub trait Audit {
    /// Checks a call that was not refused and whose outcome is stored.
    ///
    /// # Errors
    /// What is wrong.
    fn call(&mut self, call: &Call<'_>) -> Result<(), String>;

    /// Checks each user's export when no message is on its way. If messages were `damaged`, some may wait for ever.
    ///
    /// # Errors
    /// What is wrong.
    fn at_rest(&mut self, exports: &[(MemberId, Vec<u8>)], damaged: bool) -> Result<(), String>;
}

/// Makes the auditor of one simulation.
pub type NewAudit = fn() -> Box<dyn Audit>;

/// What is simulated.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The protocol that is simulated.
    pub backend: &'a (dyn Backend + 'a),
    /// Makes the protocol's own auditor, if it has one.
    pub audit: Option<NewAudit>,
}

/// What does not hold in a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step after which it does not hold; `None` if that is the end.
    pub step: Option<usize>,
    /// What does not hold, in words.
    pub what: String,
    /// What each step until then was, in words; empty if the step was not possible.
    pub log: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "at step {step}: {}", self.what),
            None => write!(f, "at the end: {}", self.what),
        }
    }
}

/// How much has happened in a simulation, the final conversation included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Calls of members.
    pub calls: u64,
    /// Messages sent.
    pub messages: u64,
    /// Members added.
    pub adds: u64,
    /// Members removed.
    pub removes: u64,
    /// Updates requested.
    pub updates: u64,
    /// Application messages sent.
    pub said: u64,
    /// Crashes, and restarts without a crash.
    pub restarts: u64,
    /// Messages that arrived again.
    pub repeated: u64,
    /// Messages that arrived damaged.
    pub damaged: u64,
}

impl core::ops::AddAssign for Extent {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.messages += other.messages;
        self.adds += other.adds;
        self.removes += other.removes;
        self.updates += other.updates;
        self.said += other.said;
        self.restarts += other.restarts;
        self.repeated += other.repeated;
        self.damaged += other.damaged;
    }
}

/// A call of a member, for the auditor.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The member that was called.
    pub by: MemberId,
    /// The members in its view before.
    pub before: &'a [MemberId],
    /// The members in its view after.
    pub after: &'a [MemberId],
    /// The messages that it returned.
    pub outgoing: &'a [Outgoing],
    /// The events that it reported.
    pub events: &'a [Event],
    /// The authors of honest messages that it refused, and the errors: the authors were not members in its view.
    pub refused: &'a [(MemberId, Error)],
}

impl Call<'_> {
    /// Whether a user may have been a member in its view before, after, or for a while during the call.
    #[must_use]
    pub fn has_seen(&self, user: &MemberId) -> bool {
        let reports = |event: &Event| match event {
            Event::Added { user: other, .. } | Event::Removed { user: other, .. } => other == user,
            // The members that it joins are not reported one by one.
            Event::Joined { .. } => true,
            _ => false,
        };
        self.before.contains(user) || self.after.contains(user) || self.events.iter().any(reports)
    }
}
