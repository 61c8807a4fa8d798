//! What must hold after an iteration before its sample counts. It is checked after the timers have stopped, on members
//! that are not needed again.
//!
//! 1. The numbers of messages and the primitive counts equal the backend's formulas, if it has any.
//! 2. All members know the same members, and the right ones. A removed member knows none.
//! 3. If the backend shows fingerprints of the senders' key material, all members show the same ones: one for each
//!    member, no two alike. After a removal or an update, none is as before.
//! 4. Everybody else has read the application messages of the operation. The operator and one other member (after an
//!    add, the joiner) then send a probe each, and everybody else reads it. After an operation of several members,
//!    every member sends a probe; likewise in the first iteration, if the backend shows no fingerprints.
//! 5. Nobody who receives a probe verifies more than the messages that it receives then. The first two members that send
//!    one send another one, which costs nobody less than the first.
//! 6. A removed member does not read the probes, and neither does a copy of it from before its removal. The copy gets
//!    every message, even those that are for one other member.
//!
//! Much does not depend on the group: that keys come from the randomness, that altered messages have no effect, and
//! more. [`protocol::conformance`] checks that once, before anything is measured.
//!
//! [`super::outside`] looks for work that is done outside the timers, and [`super::inspection`] looks at two samples of
//! each cell. All of this guards against mistakes, not against a backend that finds out who asks.

use protocol::agreement::{self, Disagreement};
use protocol::crypto::count::{Counted, Counts};
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{ACK, COMMIT, Fingerprints, Member, UPDATE};
use protocol::operation::{CostMismatch, Delivery, Expected, Measured, Operation, PLAINTEXT_LEN, Phase, Role, Start};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;

use super::meter::beyond;
use super::network::{Fault, Network, Participant, Reading, Record, Trouble};
use super::randomness::Origin;
use super::script::{Action, Stage};

/// What primitive counts are called in [`Validated::words`], which are data.
const PRIMITIVE_COUNTS: &str = "operation counts";

/// How many signatures a member may verify for each message that it receives: of the message, and of keys that come with it or
/// are fetched for it.
const VERIFIED_PER_MESSAGE: u64 = 4;

/// How many members send two probes.
const TWICE: usize = 2;
/// What it may take to open a channel with a member, and to give it a sender key. With X3DH it takes two key generations,
/// five key agreements and a bundle, which is fetched and verified.
const OPENING: Counts = Counts {
    dh: 5,
    keygen: 2,
    sign: 1,
    sign_keygen: 1,
    verify: 1,
    aead_bytes: 128,
    hash_blocks: 8,
    kdf: 12,
    ..Counts::NOTHING
};

/// How many bytes of a message may bring one more block of hashing: a handle of 8 bytes and a number stand for 36.
const BYTES_PER_BLOCK: u64 = 16;

/// An operation that has ended, and what is known of it.
pub struct Finished<'a> {
    /// The operation that was carried out.
    pub operation: Operation,
    /// What determines the randomness.
    pub origin: Origin,
    /// The backend's formulas for this operation, and which primitives are counted; `None` if it has none.
    pub expected: Option<(&'a Expected, Counted)>,
    /// The messages, efforts, readings and faults of the operation.
    pub record: &'a Record,
    /// The members after the operation. The probes change them.
    pub network: Network,
    /// The fingerprints on which all members agreed before the operation; `None` if there were none.
    pub fingerprints_before: Option<&'a Fingerprints>,
    /// Copies of the removed members from before their removal.
    pub removed_before: Vec<Box<dyn Member>>,
    /// Whether all members may have to send a probe; if not, two do.
    pub thorough: bool,
}

/// The result of a validation that found nothing wrong.
pub struct Validated {
    /// What the validation has shown, in words: `proof` in data.
    pub words: String,
    /// The fingerprints on which all members agree now; `None` if the backend shows none.
    pub fingerprints: Option<Fingerprints>,
    /// The members after the probes.
    pub network: Network,
}

/// Why a sample does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The backend does not support the operation, or not in a group of this size.
    #[error("the backend has no such operation, or not in a group of this size")]
    Unsupported,
    /// The group has too few members for the operation.
    #[error("{operation} needs a group of at least {least} members")]
    GroupTooSmall {
        /// The operation that needs more members.
        operation: Operation,
        /// The size of the smallest group that has enough.
        least: usize,
    },
    /// The group could not be brought into the state in which the operation starts.
    #[error("while the group was set up: {0}")]
    SetUp(Box<Self>),
    /// Something went wrong in the operation.
    #[error("{0}")]
    Fault(Fault),
    /// Something went wrong with a probe.
    #[error("while a probe message was sent: {0}")]
    ProbeFault(Fault),
    /// Numbers of messages or primitive counts differ from the backend's formulas.
    #[error("{0}")]
    Costs(CostMismatch),
    /// The users disagree on who is a member, or on key material.
    #[error("{}{disagreement}", role.map(|role| format!("{role}: ")).unwrap_or_default())]
    Disagreement {
        /// The role of the first user that does not agree with those before it; None if two users have the same keys.
        role: Option<Role>,
        /// How they disagree.
        disagreement: Disagreement,
    },
    /// The operation must replace every sender's key material, but has left some as it was.
    #[error("the operation has not changed a sender's key material")]
    FingerprintsUnchanged,
    /// A member did not read exactly the messages that the others sent.
    #[error("{} did not read the {what}", role.name())]
    NotRead {
        /// The role of that member.
        role: Role,
        /// What the others sent: `message`, or `probe message` in the validation.
        what: &'static str,
    },
    /// A removed member, or a copy of it from before its removal, read a probe.
    #[error("the removed member read a probe message")]
    ReadByRemoved,
    /// A method that makes, copies or shows a member does work that belongs to an operation.
    #[error("`{call}` does work outside the timers, ahead of an operation or after it: {what}")]
    WorkOutside {
        /// The method.
        call: &'static str,
        /// The primitive counts that are too many.
        what: String,
    },
    /// A member of a large group, which is kept as its export, is not restored from it.
    #[error("a member is not restored from its export: {0}")]
    NotRestored(Error),
    /// Methods that only show the members take too long after an operation, although they use no primitive.
    #[error(
        "after the operation, `{call}` and the like take {us} microseconds outside the timers, as if work was put off"
    )]
    LateWork {
        /// The method that takes longest.
        call: &'static str,
        /// What it takes beyond what it may, over all members.
        us: u64,
    },
    /// A member verifies the messages of the operation only when it receives later ones.
    #[error(
        "a member that receives a probe message verifies {verified} signatures for {received} messages, as if verification was put off"
    )]
    VerifiedLate {
        /// The number of verifications.
        verified: u64,
        /// The number of messages.
        received: u64,
    },
    /// Somebody verifies fewer signatures than it receives messages, and in a small group nobody does.
    #[error(
        "a member verifies {verified} signatures for {received} messages of this operation, and in a group of {small} members at \
         least one for each"
    )]
    VerifiesLess {
        /// The number of verifications.
        verified: u64,
        /// The number of messages.
        received: u64,
        /// The size of the small group.
        small: usize,
    },
    /// The first message of a member costs more than its next one.
    #[error(
        "the first message of a member after the operation costs the {} more than the next one, as if work was put off: {what}",
        role.name()
    )]
    LeftForMessage {
        /// The role of a member that has something left to do.
        role: Role,
        /// The primitive counts that are too many.
        what: String,
    },
    /// Another thread has used primitives.
    #[error(
        "primitives are used on another thread, where no timer runs, and the backend does not declare that it needs threads"
    )]
    OtherThreads,
    /// The process has used more CPU time than the thread that runs the members.
    #[error(
        "the process has worked {us} microseconds on other threads, where no timer runs, and the backend does not declare \
         that it needs threads"
    )]
    OtherTime {
        /// The difference.
        us: u64,
    },
    /// The process of the members has used CPU time between the calls.
    #[error("the program has worked {us} microseconds between the calls of the operation, where no timer runs")]
    BetweenCalls {
        /// That time.
        us: u64,
    },
    /// Somebody has worked right before or after the operation, when nothing was asked.
    #[error("the backend has worked {us} microseconds right before or after the operation, when it was asked nothing")]
    AtRest {
        /// That time.
        us: u64,
    },
    /// An operation is sent as acknowledgements.
    #[error("a call sends messages of kind `{ACK}`, which are only for answers")]
    Acknowledges,
    /// The process of the members has started another one.
    #[error(
        "the backend has started another process, which no timer sees; try `exec` in a script that starts a program"
    )]
    OtherProcesses,
    /// The operation goes wrong if some messages are altered or late.
    #[error("at this size, with altered and late messages: {0}")]
    Tampered(Box<Self>),
    /// A member in a process of its own does not do what it does among the others.
    #[error("{}, alone in another process with the same messages: {what}", role.name())]
    Apart {
        /// The role of the member.
        role: Role,
        /// What is different, in words.
        what: String,
    },
}

impl Refusal {
    /// Whether it rests on a time, so that only a repetition shows that it is not noise.
    #[must_use]
    pub fn may_be_noise(&self) -> bool {
        matches!(self, Self::LateWork { .. } | Self::OtherTime { .. } | Self::BetweenCalls { .. } | Self::AtRest { .. })
    }
}

/// Checks everything that the documentation of this module lists.
///
/// # Errors
/// The first thing that does not hold.
pub fn validate(finished: Finished<'_>) -> Result<Validated, Refusal> {
    let Finished { operation, origin, expected, record, mut network, .. } = finished;
    let mut words = Vec::new();
    if let Some((expected, counted)) = expected {
        expected.compare(&measured(operation, record, &network), counted).map_err(Refusal::Costs)?;
        words.push(format!("messages and {PRIMITIVE_COUNTS} as expected"));
    }
    let fingerprints = agreement(&network)?;
    let entitled = entitled(&network).count();
    words.push(format!("members agreed on by {entitled}"));
    if let Some(after) = &fingerprints {
        words.push(format!("fingerprints equal at {entitled} members and distinct"));
        if let Some(before) = finished.fingerprints_before.filter(|_| renews(operation)) {
            changed(before, after)?;
            words.push("all changed".to_owned());
        }
    }
    let sent: Vec<(usize, &[u8])> = record.sent.iter().map(|(sender, plaintext)| (*sender, &**plaintext)).collect();
    read_by_all(&network, &record.readings, &sent, "message")?;
    words.extend(sent.iter().map(|_| format!("message read by {}", entitled - 1)));
    // Concurrent operations can leave each member in a different state.
    let everybody_probes =
        finished.thorough && (operation.is_concurrent() || (fingerprints.is_none() && origin.iteration == 0));
    // The copy may fail to read a probe for a weak reason: the probe may wait for messages that the copy never got. If
    // the backend shows fingerprints, they show that the copy's old keys are useless: all sending keys have changed.
    // The copy matters if there are no fingerprints.
    for (index, member) in finished.removed_before.into_iter().enumerate() {
        network.admit_eavesdropper(member, origin.probe(network.participants().len() + index));
    }
    let probers = probers(&network, everybody_probes);
    let acknowledged = record.traffic.keys().any(|(_, _, kind)| *kind == ACK);
    let new = operation.start() < Start::Conversed;
    probe(&mut network, &probers, &origin, (acknowledged, new))?;
    words.push(format!("{} probes read by all", probers.len()));
    if network.has_eavesdroppers() || network.with_role(Role::Removed).next().is_some() {
        words.push("the removed reads none of them".to_owned());
    }
    Ok(Validated { words: words.join(", "), fingerprints, network })
}

/// Refuses an operation in which something went wrong. [`Error::NotInGroup`] is excused where messages reach a member
/// after its removal: whether it still processes them is up to the backend.
///
/// # Errors
/// The first thing that went wrong.
pub fn refuse_faults(record: &Record) -> Result<(), Refusal> {
    let excused = |role, phase, trouble| {
        let afterwards = matches!(phase, Phase::Responses | Phase::Heal);
        afterwards && (role, trouble) == (Role::Removed, Trouble::Error(Error::NotInGroup))
    };
    let fault = record.faults.iter().find(|fault| !excused(fault.role, fault.phase, fault.trouble));
    let is_ack = |(_, phase, kind): &(Role, Phase, &str)| *phase == Phase::Generate && *kind == ACK;
    match fault {
        None if record.traffic.keys().any(is_ack) => Err(Refusal::Acknowledges),
        None => Ok(()),
        Some(fault) if fault.phase == Phase::Generate && fault.trouble == Trouble::Error(Error::Unsupported) => {
            Err(Refusal::Unsupported)
        }
        Some(fault) => Err(Refusal::Fault(*fault)),
    }
}

/// The fingerprints on which all members agree; `None` if the backend shows none.
///
/// # Errors
/// Users know different members or keys, or the wrong ones.
pub fn agreement(network: &Network) -> Result<Option<Fingerprints>, Refusal> {
    let participants = network.participants();
    let users: Vec<agreement::User<'_>> = participants.iter().zip(network.ids()).map(user).collect();
    agreement::check(&users).map_err(|disagreement| {
        let role = disagreement.at().and_then(|at| participants.get(at)).map(|found| found.role);
        Refusal::Disagreement { role, disagreement }
    })
}

fn user<'a>((participant, id): (&'a Participant, &MemberId)) -> agreement::User<'a> {
    let Participant { member, role, .. } = participant;
    agreement::User { id: *id, member: &**member, is_member: *role != Role::Removed }
}

/// The number of messages of each kind, and the primitive counts of each role and phase. Where messages arrive together, a
/// signature that is checked with others counts as checked alone, as in the formula.
fn measured(operation: Operation, record: &Record, network: &Network) -> Measured {
    let mut measured = Measured::default();
    for ((_, _, kind), volume) in &record.traffic {
        *measured.messages.entry(*kind).or_default() += volume.messages;
    }
    for role in Role::ALL {
        for phase in Phase::ALL {
            let effort = record.effort_of(network.with_role(role), phase);
            let counts = match operation.delivery() {
                Delivery::Each => effort.counts,
                Delivery::Together => effort.counts.one_by_one(),
            };
            measured.counts.insert((role, phase), counts);
        }
    }
    measured
}

/// Whether the operation must replace the key material of every sender, because somebody outside the group may have it.
fn renews(operation: Operation) -> bool {
    let renewing = [Operation::Remove, Operation::Update, Operation::UpdateCold];
    renewing.contains(&operation.itself())
        || (operation.is_concurrent() && operation.parts().iter().any(|part| renewing.contains(part)))
}

fn changed(before: &Fingerprints, after: &Fingerprints) -> Result<(), Refusal> {
    if after.iter().any(|entry| before.binary_search(entry).is_ok()) {
        return Err(Refusal::FingerprintsUnchanged);
    }
    Ok(())
}

/// The positions of all who are members after the operation.
fn entitled(network: &Network) -> impl Iterator<Item = usize> {
    let members = network.participants().iter().enumerate().filter(|(_, found)| found.role != Role::Removed);
    members.map(|(index, _)| index)
}

/// The positions of the members that send a probe: the operator and one other member, or all.
fn probers(network: &Network, everybody: bool) -> Vec<usize> {
    if everybody {
        return entitled(network).collect();
    }
    let first = |role| network.with_role(role).next();
    let operator = first(Role::Sender);
    let other = first(Role::Joiner).or_else(|| entitled(network).find(|participant| Some(*participant) != operator));
    operator.into_iter().chain(other).collect()
}

/// Lets these members send a probe each, and checks who reads it. The first ones send a second probe at once, which must not
/// cost less than the first. Of members that have never spoken, the first message may bring a commit or an update, as everybody sees.
fn probe(
    network: &mut Network,
    probers: &[usize],
    origin: &Origin,
    (acknowledged, new): (bool, bool),
) -> Result<(), Refusal> {
    for (place, prober) in probers.iter().enumerate() {
        let mut stream = origin.probe(*prober);
        let first = probe_once(network, *prober, &mut stream)?;
        if place < TWICE {
            let second = probe_once(network, *prober, &mut stream)?;
            let new = new || network.participants()[*prober].role == Role::Joiner;
            if !(new && first.traffic.keys().any(|(_, _, kind)| [COMMIT, UPDATE].contains(kind))) {
                nothing_put_off(network, *prober, [&first, &second], acknowledged)?;
            }
        }
    }
    Ok(())
}

fn probe_once(network: &mut Network, prober: usize, stream: &mut ChaCha20Rng) -> Result<Record, Refusal> {
    let mut plaintext = vec![0; PLAINTEXT_LEN];
    stream.fill_bytes(&mut plaintext);
    let record = network.run(&[Stage::of(prober, Action::Send(plaintext.clone()))]);
    if let Some(fault) = record.faults.iter().find(|fault| fault.role != Role::Removed) {
        return Err(Refusal::ProbeFault(*fault));
    }
    let removed = |participant: usize| network.participants()[participant].role == Role::Removed;
    let by_removed =
        record.readings.iter().any(|reading| removed(reading.participant) && reading.plaintext == plaintext);
    if by_removed || record.overheard.contains(&plaintext) {
        return Err(Refusal::ReadByRemoved);
    }
    read_by_all(network, &record.readings, &[(prober, &plaintext)], "probe message")?;
    nothing_left_to_verify(&record)?;
    Ok(record)
}

/// Checks that no member has left work of the operation for the first message of an author. Members that have acknowledged
/// the operation have nothing left. Others may open the channels that a message needs, or renew their keys: the author with
/// each other member, and each of those with the author.
///
/// The first message may also say something of the operation: then it is longer, and everybody hashes more.
fn nothing_put_off(network: &Network, prober: usize, probes: [&Record; 2], acknowledged: bool) -> Result<(), Refusal> {
    let [first, second] = probes.map(|record| record.traffic.values().map(|volume| volume.bytes_sent).sum::<u64>());
    let longer = first.saturating_sub(second);
    let hashed = if longer > 0 { 1 + longer.div_ceil(BYTES_PER_BLOCK) } else { 0 };
    for (index, participant) in network.participants().iter().enumerate() {
        let [first, second] = probes.map(|record| record.effort(index));
        let peers = if index == prober { network.participants().len() as u64 - 1 } else { 1 };
        let opened = match (acknowledged, first.bytes_fetched > second.bytes_fetched) {
            (true, _) => Counts::NOTHING,
            (false, true) => peers * OPENING,
            // Only what has been fetched is verified.
            (false, false) => peers * Counts { verify: 0, ..OPENING },
        };
        let hashed = Counts { hash_blocks: hashed, ..Counts::NOTHING };
        if let Some(what) = beyond(first.counts, second.counts + opened + hashed) {
            return Err(Refusal::LeftForMessage { role: participant.role, what });
        }
    }
    Ok(())
}

/// Checks that nobody verifies more at a probe than the messages that it receives then: what an operation has sent is verified
/// in the operation.
fn nothing_left_to_verify(record: &Record) -> Result<(), Refusal> {
    for (efforts, received) in record.efforts.iter().zip(&record.received).filter(|(_, received)| **received > 0) {
        // A member that also sends opens channels, for which it verifies bundles.
        let sends = efforts[Phase::Generate as usize].is_some();
        let verified: u64 = efforts.iter().flatten().map(|effort| effort.counts.verified()).sum();
        let may = *received * VERIFIED_PER_MESSAGE;
        if !sends && verified > may {
            return Err(Refusal::VerifiedLate { verified, received: *received });
        }
    }
    Ok(())
}

/// How many signatures each participant verifies, and how many messages it receives. Those that act or receive nothing are
/// left out: a member that acts verifies other things too.
pub fn verified(network: &Network, record: &Record) -> impl Iterator<Item = (u64, u64)> {
    let verified = |at: usize| record.efforts[at].iter().flatten().map(|effort| effort.counts.verified()).sum::<u64>();
    let others = (0..record.received.len()).filter(|at| network.participants()[*at].role != Role::Sender);
    others.map(move |at| (verified(at), record.received[at])).filter(|(_, received)| *received > 0)
}

/// Checks that every member has read exactly what the others sent: each message once, and in this order.
fn read_by_all(
    network: &Network,
    readings: &[Reading],
    sent: &[(usize, &[u8])],
    what: &'static str,
) -> Result<(), Refusal> {
    for participant in entitled(network) {
        let read = readings.iter().filter(|reading| reading.participant == participant);
        let read = read.map(|reading| (reading.from, reading.plaintext.as_slice()));
        let others = sent.iter().filter(|(sender, _)| *sender != participant);
        if !read.eq(others.map(|(sender, plaintext)| (network.ids()[*sender], *plaintext))) {
            return Err(Refusal::NotRead { role: network.participants()[participant].role, what });
        }
    }
    Ok(())
}
