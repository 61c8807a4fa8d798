//! A deterministic simulation of members on a network without order, and what must hold of any protocol there.
//!
//! One thread and one seed. A [`Schedule`] says what happens: members update, add, remove and speak, whoever still takes
//! itself for a member; messages come late, in any order, several at once, again, or damaged; users are apart or asleep for
//! long; each call can be cut short by a crash, before or after its outcome is stored, after which the member goes on from
//! its export. At the end everybody is reached by everything. Checked of every backend:
//!
//! - a refused call has changed nothing, and there was a reason for it; nobody refuses an honest message;
//! - a repeated message has no effect, a damaged one none but that it may wait;
//! - exports round-trip;
//! - for each sender there is one sequence of key material: after the same message of it all who know any know the same
//!   ([`Member::delivered`](crate::member::Member::delivered));
//! - each application message is read once by everybody who was a member for its author, if both are members in the end,
//!   at most once by the others of that view, and by nobody else;
//! - in the end all have the same members, and the latest key material of each of them.
//!
//! A protocol can bring an [`Audit`] of its own, which sees every call and what is left at the end.

mod campaign;
mod network;
mod rest;
mod schedule;
mod steps;
mod world;

use core::fmt;

pub use campaign::{Counterexample, attempt, check, random};
pub use schedule::{MAX_STEPS, NotASchedule, Schedule, USERS};
pub use world::Call;

use crate::id::MemberId;
use crate::member::Backend;
use world::World;

/// What a protocol checks besides. One for each simulation.
pub trait Audit {
    /// After a call that was not refused and whose outcome is stored.
    ///
    /// # Errors
    /// What is wrong.
    fn call(&mut self, call: &Call<'_>) -> Result<(), String>;

    /// When nothing is on its way: each user's export. Where messages were `damaged`, some may wait for ever.
    ///
    /// # Errors
    /// What is wrong.
    fn at_rest(&mut self, exports: &[(MemberId, Vec<u8>)], damaged: bool) -> Result<(), String>;
}

/// Makes an auditor.
pub type NewAudit = fn() -> Box<dyn Audit>;

/// What is simulated.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The protocol.
    pub backend: &'a (dyn Backend + 'a),
    /// Makes the protocol's own auditor.
    pub audit: Option<NewAudit>,
}

/// What does not hold in a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step after which it does not; None: at the end.
    pub step: Option<usize>,
    /// What.
    pub what: String,
    /// What the steps until then were; empty where a step was not possible.
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

/// How much happened in a simulation, the final conversation included.
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
    /// Updates asked for.
    pub updates: u64,
    /// Application messages.
    pub said: u64,
    /// Crashes, and restarts without a crash.
    pub restarts: u64,
    /// Messages that came again.
    pub repeated: u64,
    /// Damaged messages.
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

/// Runs a schedule.
///
/// # Errors
/// The first thing that does not hold.
pub fn run(subject: Subject<'_>, schedule: &Schedule) -> Result<Extent, Failure> {
    let audit = subject.audit.map(|make| make());
    let mut world =
        World::new(subject.backend, audit, schedule).map_err(|what| Failure { step: None, what, log: Vec::new() })?;
    for (number, step) in schedule.steps.iter().enumerate() {
        world.step(*step).map_err(|what| Failure { step: Some(number), what, log: world.log.clone() })?;
    }
    world.come_to_rest().map_err(|what| Failure { step: None, what, log: world.log.clone() })?;
    Ok(Extent { messages: world.network.sent.len() as u64, said: world.said.len() as u64, ..world.extent })
}
