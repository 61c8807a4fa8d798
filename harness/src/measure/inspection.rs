//! What is looked at beside two samples of each cell, the first and a later one, at the size and in the state that is
//! measured.
//!
//! The conformance suite runs in small groups, in one process. So the operation is run once more with altered and late
//! messages; and some of the participants do their part again, each alone in another process, with nothing but bytes.

use protocol::id::GroupId;
use protocol::member::{Fingerprints, Member};
use protocol::operation::{Operation, Role};

use super::meter::Scope;
use super::network::{Network, Record};
use super::randomness::Origin;
use super::replay::{Known, Part, Recording};
use super::script::Script;
use super::tampering::Tampering;
use super::validation::{self, Finished, Refusal};

/// Starts another process that repeats a part.
pub type Apart<'a> = dyn Fn(&Recording) -> Repetition + 'a;

/// What has become of a part in another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repetition {
    /// It was repeated.
    Done(Part),
    /// The member failed, or its process ended, for this reason.
    Failed(String),
    /// There is no such process, for this reason.
    NotMade(String),
}

/// How long a part may take in another process: a multiple of what it took, and a fixed time. A process that has just
/// started is slower.
const SLOWER: u64 = 4;
const START_NS: u64 = 2_000_000;
/// A time counts only if this number of processes needs it.
const PROCESSES: usize = 5;

/// An operation that is about to be run with altered and late messages.
pub struct Tampered<'a> {
    /// The operation.
    pub operation: Operation,
    /// What determines the randomness.
    pub origin: Origin,
    /// Whether messages are altered too. Without this, they are only late.
    pub alters: bool,
    /// The members before it.
    pub network: Network,
    /// What it is on the network.
    pub script: &'a Script,
    /// The fingerprints on which all members agreed before it.
    pub fingerprints_before: Option<&'a Fingerprints>,
    /// Copies of the removed members from before their removal.
    pub removed_before: Vec<Box<dyn Member>>,
}

/// Runs an operation with altered and late messages. Altered ones must have no effect, all others theirs. Returns what it
/// has shown, in words.
///
/// # Errors
/// Something is not as without them.
pub fn tampered(run: Tampered<'_>) -> Result<String, Refusal> {
    let Tampered { operation, origin, alters, mut network, script, fingerprints_before, removed_before } = run;
    let tampering = Tampering::new(&script.roles, alters, origin.tampering());
    let victims = tampering.victims();
    network.tamper(Some(tampering));
    let record = network.perform(script);
    network.tamper(None);
    let validated = validation::refuse_faults(&record).and_then(|()| {
        validation::validate(Finished {
            operation,
            origin,
            expected: None,
            record: &record,
            network,
            fingerprints_before,
            removed_before,
            thorough: false,
        })
    });
    match validated {
        Ok(_) if alters => Ok(format!("altered and late messages to {victims} without harm")),
        Ok(_) => Ok(format!("late messages to {victims} without harm, and none altered, as none is authenticated")),
        Err(refusal) => Err(Refusal::Tampered(Box::new(refusal))),
    }
}

/// The participants whose parts are repeated in other processes: one of each role.
#[must_use]
pub fn repeated(script: &Script) -> Vec<usize> {
    let one = |role| {
        let all: Vec<usize> = script.participants(role).collect();
        all.get(all.len() / 2).copied()
    };
    Role::ALL.into_iter().filter_map(one).collect()
}

/// The parts of the participants of which there are transcripts. `before` gives their exported states before the operation.
#[must_use]
pub fn recordings(
    backend: &str,
    (operation, origin): (Operation, Origin),
    network: &Network,
    record: &Record,
    before: &[(usize, Vec<u8>)],
) -> Vec<Recording> {
    let group = network.participants().iter().find_map(|participant| participant.member.group());
    let recording = |(participant, state): &(usize, Vec<u8>)| {
        let transcript = network.transcript(*participant)?;
        let group: GroupId = group?;
        let known =
            Known { backend, operation, origin, ids: network.ids(), participant: *participant, before: state, group };
        let member = &*network.participants().get(*participant)?.member;
        Some(Recording::new(known, transcript, member, record.effort(*participant)))
    };
    before.iter().filter_map(recording).collect()
}

/// Lets other processes repeat the parts. Returns what that has shown, in words. Times are compared only if the members work
/// in the process that makes the calls: another one may compile what it runs, and be much slower at first.
///
/// # Errors
/// A member does something else there, or needs much longer.
pub fn alone(recordings: &[Recording], roles: &[Role], apart: &Apart<'_>, scope: Scope) -> Result<String, Refusal> {
    let is_foreign = matches!(scope, Scope::Child(_));
    for recording in recordings {
        let role = roles.get(recording.participant).copied().unwrap_or(Role::Recipient);
        let limit = if is_foreign { u64::MAX } else { SLOWER * recording.outcome.cpu_ns + START_NS };
        let mut quickest = u64::MAX;
        for _ in 0..PROCESSES {
            let again = match apart(recording) {
                Repetition::Done(again) => again,
                Repetition::Failed(what) => return Err(Refusal::Apart { role, what }),
                Repetition::NotMade(why) => return Ok(not_made(&why)),
            };
            if let Some(what) = recording.outcome.contradicted_by(&again) {
                return Err(Refusal::Apart { role, what });
            }
            quickest = quickest.min(again.cpu_ns);
            if quickest <= limit {
                break;
            }
        }
        if quickest > limit {
            let us = |ns: u64| ns / 1000;
            let what = format!("it takes {} microseconds, not {}", us(quickest), us(recording.outcome.cpu_ns));
            return Err(Refusal::Apart { role, what });
        }
    }
    let but = if is_foreign { ", times aside" } else { "" };
    Ok(format!("{} parts the same in processes of their own{but}", recordings.len()))
}

/// Says that no parts were repeated.
#[must_use]
pub fn not_made(why: &str) -> String {
    format!("parts in processes of their own not made: {why}")
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::measure::cell::{self, Bench};
    use crate::measure::replay::replay;
    use crate::registry::Registry;

    /// What is said of an update of three members by processes of which each does `apart` with the right part.
    fn said(apart: &dyn Fn(Part) -> Repetition) -> Result<String, Refusal> {
        let backend = Registry::built_in().find("dcgka").unwrap();
        let cell = cell::Cell { operation: Operation::Update, origin: Origin { seed: 1, group_size: 3, iteration: 0 } };
        let recordings = Bench::new(&*backend, 1).unwrap().transcribe(&cell, &[0, 1]).unwrap();
        let right = |recording: &Recording| apart(replay(recording, &*backend).unwrap());
        alone(&recordings, &[Role::Sender, Role::Recipient, Role::Recipient], &right, Scope::Thread)
    }

    fn taking(cpu_ns: u64, mut part: Part) -> Repetition {
        part.cpu_ns = cpu_ns;
        Repetition::Done(part)
    }

    fn slow(part: Part) -> Repetition {
        taking(u64::MAX / 2, part)
    }

    #[test]
    fn a_time_counts_only_if_every_process_needs_it() {
        let processes = Cell::new(0);
        let one_is_quick = |part| {
            processes.set(processes.get() + 1);
            if usize::is_multiple_of(processes.get(), PROCESSES) { taking(0, part) } else { slow(part) }
        };
        assert_eq!(said(&one_is_quick).unwrap(), "2 parts the same in processes of their own");
        assert_eq!(processes.get(), 2 * PROCESSES);
        let refusal = said(&slow).unwrap_err().to_string();
        assert!(refusal.starts_with("sender, alone in another process with the same messages: it takes "), "{refusal}");
    }

    #[test]
    fn what_fails_is_refused_and_what_is_not_made_is_said() {
        let failed = said(&|_| Repetition::Failed("it panicked".to_owned()));
        assert_eq!(failed, Err(Refusal::Apart { role: Role::Sender, what: "it panicked".to_owned() }));
        let not_made = said(&|_| Repetition::NotMade("there is no memory".to_owned())).unwrap();
        assert_eq!(not_made, "parts in processes of their own not made: there is no memory");
    }
}
