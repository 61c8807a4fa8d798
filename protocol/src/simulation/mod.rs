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
mod subject;
mod world;

pub use campaign::{Counterexample, attempt, check, random, run};
pub use schedule::{MAX_STEPS, NotASchedule, Schedule, USERS};
pub use subject::{Audit, Call, Extent, Failure, NewAudit, Subject};
