//! What must hold of a run before it counts. Made after the timers, of members that nobody needs any more.
//!
//! 1. Messages and operation counts equal the backend's formulas, where it has them.
//! 2. All members know the same members, and the right ones; a removed one knows none.
//! 3. Where the backend shows fingerprints of the senders' key material: all members have the same, one for each member, no
//!    two alike, and after a removal and an update none as before.
//! 4. What was sent was read by everybody; and so are probes by the operator and one other member (the joiner after an
//!    add), while neither a removed member reads one, nor a copy of it from before its removal, which gets every
//!    message, those to one other member included. After an operation of several members, and in the first iteration of a
//!    backend that shows no fingerprints, every member sends a probe.
//!
//! That keys come from the randomness, that altered messages have no effect and much more does not depend on the group
//! and is shown once, by [`protocol::conformance`], before anything is measured.
//!
//! This guards against mistakes, not against a backend that lies.

use std::collections::BTreeMap;

use protocol::crypto::count::Counts;
use protocol::id::MemberId;
use protocol::member::Member;
use protocol::operation::{Expected, Operation, Phase, Role};
use rand_core::Rng as _;

use crate::cell::PLAINTEXT_LEN;
use crate::network::{Fault, Network, Reading, Record, Seat};
use crate::randomness::Origin;
use crate::script::{Action, Stage};

/// A hash of each sender's key material, sorted by sender.
pub type Fingerprints = Vec<(MemberId, [u8; 32])>;

/// A run and what is known of it.
pub struct Evidence<'a> {
    /// The operation.
    pub operation: Operation,
    /// What fixes the randomness.
    pub origin: Origin,
    /// The backend's formulas, where it has them for this operation.
    pub expected: Option<&'a Expected>,
    /// What happened.
    pub record: &'a Record,
    /// Who acted, and how.
    pub stages: &'a [Stage],
    /// The members after the run. The probes change them.
    pub network: Network,
    /// The fingerprints that all members had before the operation.
    pub fingerprints_before: Option<&'a Fingerprints>,
    /// Copies of the removed members from before their removal.
    pub removed_before: Vec<Box<dyn Member>>,
}

/// A run that counts.
pub struct Proved {
    /// What was proved, in words.
    pub words: String,
    /// The fingerprints that all members have now.
    pub fingerprints: Option<Fingerprints>,
}

/// Why a run does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The backend has no such operation.
    #[error("the backend has no such operation, or not in a group of this size")]
    Unsupported,
    /// The backend needs a sequencer.
    #[error("the backend needs all messages in one order, which this network does not provide")]
    NeedsTotalOrder,
    /// The group is too small.
    #[error("{operation} needs a group of at least {least} members")]
    GroupTooSmall {
        /// For what.
        operation: Operation,
        /// How many members would do.
        least: usize,
    },
    /// The group could not be created.
    #[error("while the group was set up: {0}")]
    SetUp(Box<Self>),
    /// Something went wrong in the run.
    #[error("{0}")]
    Fault(Fault),
    /// Something went wrong with a probe.
    #[error("with a probe message: {0}")]
    ProbeFault(Fault),
    /// Messages of a kind.
    #[error("{kind} messages: expected {expected}, measured {measured}")]
    Messages {
        /// The kind.
        kind: String,
        /// By formula.
        expected: u64,
        /// In the run.
        measured: u64,
    },
    /// Operation counts.
    #[error("{metric} of role {} in phase {}: expected {expected}, measured {measured}", role.name(), phase.name())]
    Count {
        /// Whose.
        role: Role,
        /// When.
        phase: Phase,
        /// Of what.
        metric: &'static str,
        /// By formula.
        expected: u64,
        /// In the run.
        measured: u64,
    },
    /// A list of members is wrong.
    #[error("{} does not know the right members", role.name())]
    Members {
        /// Whose list.
        role: Role,
    },
    /// Fingerprints are not of exactly the members, or some members show none.
    #[error("{} does not show one fingerprint for each member", role.name())]
    FingerprintsIncomplete {
        /// Whose.
        role: Role,
    },
    /// Members have different key material of a sender.
    #[error("members have different key material of one sender")]
    FingerprintsDiffer,
    /// Two senders have the same key material.
    #[error("two senders have the same key material")]
    FingerprintsAlike,
    /// An operation has left a sender's key material as it was.
    #[error("the operation has not changed a sender's key material")]
    FingerprintsUnchanged,
    /// A message was not read.
    #[error("{} did not read the {what}", role.name())]
    NotRead {
        /// Who did not.
        role: Role,
        /// What.
        what: &'static str,
    },
    /// A message was read by somebody who may not.
    #[error("the removed member read a probe message")]
    ReadByRemoved,
}

/// Checks all that the module's description lists.
///
/// # Errors
/// The first thing that does not hold.
pub fn prove(evidence: Evidence<'_>) -> Result<Proved, Refusal> {
    let Evidence { operation, origin, expected, record, stages, mut network, .. } = evidence;
    let mut words = Vec::new();
    if let Some(expected) = expected {
        messages(expected, record)?;
        counts(expected, record, &network)?;
        words.push("messages and operation counts as expected".to_owned());
    }
    let fingerprints = agreement(&network)?;
    let entitled = entitled(&network).count();
    words.push(format!("members agreed on by {entitled}"));
    if let Some(after) = &fingerprints {
        words.push(format!("fingerprints equal at {entitled} members and distinct"));
        if let Some(before) = evidence.fingerprints_before.filter(|_| renews(operation)) {
            changed(before, after)?;
            words.push("all changed".to_owned());
        }
    }
    let sent: Vec<(usize, &[u8])> = stages.iter().flat_map(Stage::sends).collect();
    read_by_all(&network, &record.readings, &sent, "message")?;
    words.extend(sent.iter().map(|_| format!("message read by {}", entitled - 1)));
    // What concurrent operations leave behind can differ from member to member.
    let everybody_probes = !operation.parts().is_empty() || (fingerprints.is_none() && origin.iteration == 0);
    // The copy may fail to read for a weak reason: a probe that depends on messages which it never got only waits. That
    // its old keys are of no use is shown by the fingerprints of the sending keys, all of which have changed. The copy
    // counts where there are no fingerprints.
    for (index, member) in evidence.removed_before.into_iter().enumerate() {
        network.admit_onlooker(member, origin.probe(network.seats().len() + index));
    }
    let probers = probers(&network, everybody_probes);
    probe(&mut network, &probers, &origin)?;
    words.push(format!("{} probes read by all", probers.len()));
    if network.has_onlookers() || network.seats().iter().any(|seat| seat.role == Role::Removed) {
        words.push("the removed reads none of them".to_owned());
    }
    Ok(Proved { words: words.join(", "), fingerprints })
}

/// The fingerprints on which all members agree; None where the backend shows none.
///
/// # Errors
/// Members know different members or keys, or the wrong ones.
pub fn agreement(network: &Network) -> Result<Option<Fingerprints>, Refusal> {
    let mut right: Vec<MemberId> = entitled(network).map(|seat| network.ids()[seat]).collect();
    right.sort_unstable();
    let mut agreed: Option<Option<Fingerprints>> = None;
    for Seat { member, role, .. } in network.seats() {
        let role = *role;
        let knows: &[MemberId] = if role == Role::Removed { &[] } else { &right };
        if member.members() != knows {
            return Err(Refusal::Members { role });
        }
        if role == Role::Removed {
            continue;
        }
        let shown = member.fingerprints();
        match &agreed {
            Some(others) if others.is_some() != shown.is_some() => {
                return Err(Refusal::FingerprintsIncomplete { role });
            }
            Some(others) if *others == shown => continue,
            _ => {}
        }
        if let Some(shown) = &shown
            && !shown.iter().map(|(sender, _)| sender).eq(&right)
        {
            return Err(Refusal::FingerprintsIncomplete { role });
        }
        if agreed.is_some() {
            return Err(Refusal::FingerprintsDiffer);
        }
        agreed = Some(shown);
    }
    let agreed = agreed.flatten();
    if let Some(fingerprints) = &agreed {
        let mut hashes: Vec<&[u8; 32]> = fingerprints.iter().map(|(_, hash)| hash).collect();
        hashes.sort_unstable();
        if hashes.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::FingerprintsAlike);
        }
    }
    Ok(agreed)
}

fn messages(expected: &Expected, record: &Record) -> Result<(), Refusal> {
    let mut kinds = BTreeMap::<&str, (u64, u64)>::new();
    for (kind, count) in &expected.messages {
        kinds.entry(kind).or_default().0 += count;
    }
    for ((_, _, kind), volume) in &record.traffic {
        kinds.entry(kind).or_default().1 += volume.messages;
    }
    match kinds.into_iter().find(|(_, (expected, measured))| expected != measured) {
        None => Ok(()),
        Some((kind, (expected, measured))) => Err(Refusal::Messages { kind: kind.to_owned(), expected, measured }),
    }
}

fn counts(expected: &Expected, record: &Record, network: &Network) -> Result<(), Refusal> {
    for role in Role::ALL {
        for phase in Phase::ALL {
            let mut formula = Counts::default();
            let rows = expected.counts.iter().filter(|row| (row.0, row.1) == (role, phase));
            rows.for_each(|(_, _, counts)| formula += *counts);
            let seats = network.seats().iter().enumerate().filter(|(_, seat)| seat.role == role).map(|(at, _)| at);
            let measured = record.effort_of(seats, phase).counts;
            for ((metric, expected), (_, measured)) in formula.named().into_iter().zip(measured.named()) {
                if expected != measured {
                    return Err(Refusal::Count { role, phase, metric, expected, measured });
                }
            }
        }
    }
    Ok(())
}

/// Whether the operation must replace the key material of every sender: somebody outside may have it.
fn renews(operation: Operation) -> bool {
    let renewing = [Operation::Remove, Operation::Update, Operation::UpdateCold];
    renewing.contains(&operation) || operation.parts().iter().any(|part| renewing.contains(part))
}

fn changed(before: &Fingerprints, after: &Fingerprints) -> Result<(), Refusal> {
    if after.iter().any(|entry| before.binary_search(entry).is_ok()) {
        return Err(Refusal::FingerprintsUnchanged);
    }
    Ok(())
}

/// The seats of all who are members after the operation.
fn entitled(network: &Network) -> impl Iterator<Item = usize> {
    network.seats().iter().enumerate().filter(|(_, seat)| seat.role != Role::Removed).map(|(index, _)| index)
}

/// The operator and one more, or all.
fn probers(network: &Network, everybody: bool) -> Vec<usize> {
    if everybody {
        return entitled(network).collect();
    }
    let first = |role| network.seats().iter().position(|seat| seat.role == role);
    let operator = first(Role::Sender);
    let other = first(Role::Joiner).or_else(|| entitled(network).find(|seat| Some(*seat) != operator));
    operator.into_iter().chain(other).collect()
}

/// Has probes sent and read.
fn probe(network: &mut Network, probers: &[usize], origin: &Origin) -> Result<(), Refusal> {
    for prober in probers {
        let mut plaintext = vec![0; PLAINTEXT_LEN];
        origin.probe(*prober).fill_bytes(&mut plaintext);
        let record = network.run(&[Stage::of(*prober, Action::Send(plaintext.clone()))]);
        if let Some(fault) = record.faults.iter().find(|fault| fault.role != Role::Removed) {
            return Err(Refusal::ProbeFault(*fault));
        }
        let removed = |seat: usize| network.seats()[seat].role == Role::Removed;
        let by_removed = record.readings.iter().any(|reading| removed(reading.seat) && reading.plaintext == plaintext);
        if by_removed || record.overheard.contains(&plaintext) {
            return Err(Refusal::ReadByRemoved);
        }
        read_by_all(network, &record.readings, &[(*prober, &plaintext)], "probe message")?;
    }
    Ok(())
}

/// Every member has read exactly what the others sent, each message once and in this order.
fn read_by_all(
    network: &Network,
    readings: &[Reading],
    sent: &[(usize, &[u8])],
    what: &'static str,
) -> Result<(), Refusal> {
    for seat in entitled(network) {
        let read = readings.iter().filter(|reading| reading.seat == seat);
        let read = read.map(|reading| (reading.from, reading.plaintext.as_slice()));
        let others = sent.iter().filter(|(sender, _)| *sender != seat);
        if !read.eq(others.map(|(sender, plaintext)| (network.ids()[*sender], *plaintext))) {
            return Err(Refusal::NotRead { role: network.seats()[seat].role, what });
        }
    }
    Ok(())
}
