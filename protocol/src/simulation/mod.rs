//! A deterministic simulation of members on a network without order, and what must hold there for any protocol.
//!
//! It has one thread and one seed. A [`Schedule`] says what happens. Members update, add, remove and speak, as long as
//! they are members in their own view. Messages arrive late, in any order, several together, repeatedly, or damaged.
//! Users are separated or asleep for long. A crash can cut short each call, before or after its outcome is stored; the
//! member then resumes from its export. At the end everything reaches everybody. For every backend, these must hold:
//!
//! - a refused call changes nothing, and there is a reason for the refusal; nobody refuses an honest message;
//! - a repeated message has no effect; a damaged one has none except that it may wait;
//! - exports round-trip;
//! - for each sender there is one sequence of key material: after the same message of the sender, all who know any of
//!   it know the same ([`Member::delivered`](crate::member::Member::delivered));
//! - each application message is read by members in its author's view alone: once, if author and reader are members in
//!   the end, and otherwise at most once;
//! - in the end all members agree on who is a member and on each member's latest key material
//!   ([`agreement`](crate::agreement)).
//!
//! A protocol can supply an [`Audit`] of its own, which sees every call and what is left at the end.

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
