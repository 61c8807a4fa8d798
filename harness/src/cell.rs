//! One operation in one group, measured and proved.
//!
//! A [`Bench`] holds at most one prepared group, in the states from which operations start. The creation is both a cell of
//! its own and the set-up of all others, which run on copies of the group. Everything but the run itself is outside the
//! timers.

use std::collections::BTreeMap;

use protocol::crypto::count::Counts;
use protocol::error::Error;
use protocol::id::GroupId;
use protocol::member::{Backend, Member, Ordering};
use protocol::operation::{Operation, Phase, Role, Start};
use rand_chacha::ChaCha20Rng;
use rayon::ThreadPool;

use crate::calibrate::{self, PrimitiveCosts};
use crate::group::Group;
use crate::meter::Effort;
use crate::network::{Network, Record, Seat, Transcript, Trouble};
use crate::proof::{self, Evidence, Fingerprints, Refusal};
use crate::randomness::Origin;
use crate::sample::{Traffic, Work};
use crate::script::{self, Script, Stage, joiners};

/// Bytes of application data in a message, as in the paper.
pub const PLAINTEXT_LEN: usize = 32;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The operation.
    pub operation: Operation,
    /// Seed, iteration, and the group's size: before the operation; for create, the size created.
    pub origin: Origin,
}

/// Figures of a run that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What was proved, in words.
    pub proof: String,
    /// The messages.
    pub traffic: Vec<Traffic>,
    /// What the members did.
    pub work: Vec<Work>,
    /// Bytes of exported state after the operation, by role.
    pub state_bytes: BTreeMap<String, Vec<u64>>,
    /// Cost of the primitives around the run.
    pub primitive_ns: PrimitiveCosts,
    /// Peak memory of this process up to the end of the run; None where the system does not tell.
    pub peak_bytes: Option<u64>,
}

/// Where cells of one backend are measured.
pub struct Bench<'a> {
    backend: &'a dyn Backend,
    threads: ThreadPool,
    prepared: Option<Prepared>,
}

/// A group in the states that have been needed so far.
struct Prepared {
    origin: Origin,
    created: State,
    conversed: Option<State>,
    removed: Option<State>,
}

/// A group, and the fingerprints on which its members agree.
struct State {
    group: Group,
    fingerprints: Option<Fingerprints>,
}

impl<'a> Bench<'a> {
    /// A bench for this backend, which makes users on so many threads.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn new(backend: &'a dyn Backend, jobs: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(jobs.max(1)).build()?;
        Ok(Self { backend, threads, prepared: None })
    }

    /// Measures a cell on this thread, and proves it.
    ///
    /// # Errors
    /// Why the run does not count.
    pub fn run(&mut self, cell: &Cell) -> Result<Outcome, Refusal> {
        let Cell { operation, origin } = *cell;
        let least = operation.min_group_size();
        if origin.group_size < least {
            return Err(Refusal::GroupTooSmall { operation, least });
        }
        if self.backend.description().capabilities.ordering == Ordering::Total {
            return Err(Refusal::NeedsTotalOrder);
        }
        if !self.backend.supports(operation, origin.group_size) {
            return Err(Refusal::Unsupported);
        }
        let expected = self.backend.expected(operation, origin.group_size);
        let (mut group, fingerprints_before) = self.group_before(cell)?;
        for _ in 0..joiners(operation) {
            group.make_joiner(self.backend, &origin);
        }
        let (mut network, script) = seated(group, cell, Origin::member);
        let removed = match operation {
            Operation::MessageAfterRemove => vec![origin.group_size - 1],
            _ => script.seats(Role::Removed).collect(),
        };
        let removed_before = self.before_removal(&removed);

        let before = calibrate::primitives();
        let record = network.run(&script.stages);
        let after = calibrate::primitives();

        let peak_bytes = peak_bytes();
        refuse_faults(&record)?;
        // The end state of a creation is kept for the other cells, so the proof must leave it alone.
        let kept = (operation == Operation::Create).then(|| group_of(&network));
        let (work, state_bytes) = (work(&record, &network), state_bytes(&network));
        let proved = proof::prove(Evidence {
            operation,
            origin,
            expected: expected.as_ref(),
            record: &record,
            stages: &script.stages,
            network,
            fingerprints_before: fingerprints_before.as_ref(),
            removed_before,
        })?;
        if let Some(group) = kept {
            let created = State { group, fingerprints: proved.fingerprints };
            self.prepared = Some(Prepared { origin, created, conversed: None, removed: None });
        }
        let primitive_ns = calibrate::mean(&before, &after);
        Ok(Outcome { proof: proved.words, traffic: traffic(&record), work, state_bytes, primitive_ns, peak_bytes })
    }

    /// Runs a cell for what passes at these seats: of each the group, the member's exported state before, and the messages.
    /// Nothing is measured or proved.
    ///
    /// # Errors
    /// Why the run does not count.
    pub fn transcribe(&mut self, cell: &Cell, seats: &[usize]) -> Result<Vec<(GroupId, Vec<u8>, Transcript)>, Refusal> {
        if !self.backend.supports(cell.operation, cell.origin.group_size) {
            return Err(Refusal::Unsupported);
        }
        let (group, _) = self.group_before(cell)?;
        let states: Vec<Vec<u8>> = seats.iter().filter_map(|seat| Some(group.members.get(*seat)?.export())).collect();
        let (mut network, script) = seated(group, cell, Origin::member);
        seats.iter().for_each(|seat| network.transcribe(*seat));
        refuse_faults(&network.run(&script.stages))?;
        let passed = |(seat, state): (&usize, Vec<u8>)| {
            let group = network.seats().get(*seat)?.member.group()?;
            Some((group, state, network.transcript(*seat)?.clone()))
        };
        Ok(seats.iter().zip(states).filter_map(passed).collect())
    }

    /// A copy of the group in the state in which the operation starts, and the fingerprints there.
    fn group_before(&mut self, cell: &Cell) -> Result<(Group, Option<Fingerprints>), Refusal> {
        let (start, origin) = (cell.operation.start(), cell.origin);
        if start == Start::Users {
            // A group that is about to be created again is needed no more.
            self.prepared = self
                .prepared
                .take()
                .filter(|prepared| cell.operation != Operation::Create && prepared.origin == origin);
            return Ok((Group::of_users(self.backend, &origin, &self.threads), None));
        }
        let mut prepared = match self.prepared.take().filter(|prepared| prepared.origin == origin) {
            Some(prepared) => prepared,
            None => Prepared { origin, created: self.create(origin)?, conversed: None, removed: None },
        };
        let prepare = |prepared: &mut Prepared| -> Result<(), Refusal> {
            if start >= Start::Conversed && prepared.conversed.is_none() {
                prepared.conversed = Some(converse(&prepared.created.group, origin)?);
            }
            if let (Start::Removed, None, Some(conversed)) = (start, &prepared.removed, &prepared.conversed) {
                prepared.removed = Some(remove_last(&conversed.group, origin)?);
            }
            Ok(())
        };
        let done = prepare(&mut prepared).map_err(|refusal| Refusal::SetUp(Box::new(refusal)));
        let prepared = self.prepared.insert(prepared);
        done?;
        let state = prepared.state(start);
        Ok((state.group.duplicate(), state.fingerprints.clone()))
    }

    /// Copies of members that are removed, in the state before.
    fn before_removal(&self, removed: &[usize]) -> Vec<Box<dyn Member>> {
        let before = self.prepared.as_ref().and_then(|prepared| prepared.conversed.as_ref());
        let member = |seat: &usize| Some(before?.group.members.get(*seat)?.duplicate());
        removed.iter().filter_map(member).collect()
    }

    /// Creates the group as the create cell does, without its meters and probes.
    fn create(&self, origin: Origin) -> Result<State, Refusal> {
        let users = Group::of_users(self.backend, &origin, &self.threads);
        let (mut network, script) = seated(users, &Cell { operation: Operation::Create, origin }, Origin::member);
        refuse_faults(&network.run(&script.stages))
            .and_then(|()| State::of(&network))
            .map_err(|refusal| Refusal::SetUp(Box::new(refusal)))
    }
}

impl Prepared {
    /// The group as it was when an operation with this start begins; where it has not been prepared, as it was before.
    fn state(&self, start: Start) -> &State {
        let conversed = || self.conversed.as_ref().unwrap_or(&self.created);
        match start {
            Start::Users | Start::Created => &self.created,
            Start::Conversed => conversed(),
            Start::Removed => self.removed.as_ref().unwrap_or_else(conversed),
        }
    }
}

impl State {
    fn of(network: &Network) -> Result<Self, Refusal> {
        Ok(Self { group: group_of(network), fingerprints: proof::agreement(network)? })
    }
}

/// [`Start::Conversed`].
fn converse(created: &Group, origin: Origin) -> Result<State, Refusal> {
    let cell = Cell { operation: Operation::Message, origin };
    let (mut network, _) = seated(created.duplicate(), &cell, |origin, _, index| origin.conversation(index));
    for speaker in (1..origin.group_size).chain([0]) {
        refuse_faults(&network.run(&[Stage::of(speaker, script::send(&mut origin.plaintext()))]))?;
    }
    State::of(&network)
}

/// [`Start::Removed`], and the removed member gone.
fn remove_last(conversed: &Group, origin: Origin) -> Result<State, Refusal> {
    let cell = Cell { operation: Operation::Remove, origin };
    let (mut network, script) = seated(conversed.duplicate(), &cell, Origin::member);
    refuse_faults(&network.run(&script.stages))?;
    let fingerprints = proof::agreement(&network)?;
    let mut group = group_of(&network);
    group.members.pop();
    Ok(State { group, fingerprints })
}

/// A member's stream of randomness in an operation.
type Stream = fn(&Origin, Operation, usize) -> ChaCha20Rng;

/// Gives everybody a seat with its role and randomness, and says what they do.
fn seated(group: Group, cell: &Cell, stream: Stream) -> (Network, Script) {
    let Cell { operation, origin } = *cell;
    let script = Script::new(operation, &origin, &group.ids());
    let seat = |((index, member), role): ((usize, Box<dyn Member>), &Role)| Seat {
        member,
        role: *role,
        rng: stream(&origin, operation, index),
    };
    let seats = group.members.into_iter().enumerate().zip(&script.roles).map(seat).collect();
    (Network::new(seats, group.directory), script)
}

/// Refuses a run in which something went wrong. A removed member may say so of what reaches it afterwards: whether it
/// still listens is its own affair.
fn refuse_faults(record: &Record) -> Result<(), Refusal> {
    let left = |role, phase, trouble| {
        let afterwards = matches!(phase, Phase::Responses | Phase::Heal);
        afterwards && (role, trouble) == (Role::Removed, Trouble::Error(Error::NotInGroup))
    };
    let fault = record.faults.iter().find(|fault| !left(fault.role, fault.phase, fault.trouble));
    match fault {
        None => Ok(()),
        Some(fault) if fault.phase == Phase::Generate && fault.trouble == Trouble::Error(Error::Unsupported) => {
            Err(Refusal::Unsupported)
        }
        Some(fault) => Err(Refusal::Fault(*fault)),
    }
}

/// A copy of all members, as a group.
fn group_of(network: &Network) -> Group {
    let members = network.seats().iter().map(|seat| seat.member.duplicate()).collect();
    Group { members, directory: network.directory().clone() }
}

fn traffic(record: &Record) -> Vec<Traffic> {
    let row = |(&(role, phase, kind), volume): (&(Role, Phase, &str), &crate::network::Volume)| Traffic {
        role: role.name().to_owned(),
        phase: phase.name().to_owned(),
        kind: kind.to_owned(),
        messages: volume.messages,
        bytes_sent: volume.bytes_sent,
        bytes_delivered: volume.bytes_delivered,
    };
    record.traffic.iter().map(row).collect()
}

/// One row for each role and phase in which anybody of the role was called. All members of the role are in it, in the same
/// order in each phase, so that a member's phases can be added up.
fn work(record: &Record, network: &Network) -> Vec<Work> {
    let mut rows = Vec::new();
    for role in Role::ALL {
        let seats = || network.seats().iter().enumerate().filter(move |(_, seat)| seat.role == role).map(|(at, _)| at);
        for phase in Phase::ALL {
            let efforts: Vec<Option<Effort>> = seats().map(|seat| record.efforts[seat][phase as usize]).collect();
            if efforts.iter().all(Option::is_none) {
                continue;
            }
            let sum = record.effort_of(seats(), phase);
            rows.push(Work {
                role: role.name().to_owned(),
                phase: phase.name().to_owned(),
                members: u32::try_from(efforts.len()).unwrap_or(u32::MAX),
                counts: named(sum.counts),
                bytes_fetched: sum.bytes_fetched,
                cpu_ns: efforts.iter().map(|effort| effort.unwrap_or_default().cpu_ns).collect(),
            });
        }
    }
    rows
}

fn named(counts: Counts) -> BTreeMap<String, u64> {
    counts.named().into_iter().map(|(metric, count)| (metric.to_owned(), count)).collect()
}

fn state_bytes(network: &Network) -> BTreeMap<String, Vec<u64>> {
    let mut sizes = BTreeMap::<String, Vec<u64>>::new();
    for seat in network.seats() {
        sizes.entry(seat.role.name().to_owned()).or_default().push(seat.member.export().len() as u64);
    }
    sizes
}

/// The most memory that this process has had resident, as Linux counts it.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
