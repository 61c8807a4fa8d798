//! One operation in one group, measured and validated.
//!
//! A [`Bench`] holds at most one prepared group, in the states from which operations start. Its creation is a cell by
//! itself and also the set-up of all other cells, which run in copies of the group. Only the operation itself is inside
//! the timers.

use std::collections::BTreeMap;

use protocol::crypto::count::Counted;
use protocol::crypto::signature::remembering;
use protocol::member::{Backend, Fingerprints, Member};
use protocol::operation::{Operation, Phase, Role, Start};
use rand_chacha::ChaCha20Rng;
use rayon::ThreadPool;

use super::calibrate::{self, Wanted};
use super::group::{Group, Kept, LARGE};
use super::inspection::{self, Apart, Repetition, Tampered};
use super::meter::{Effort, Scope};
use super::network::{Network, Participant, Record, Volume};
use super::outside;
use super::randomness::Origin;
use super::replay::Recording;
use super::script::{self, Script, Stage, joiners};
use super::validation::{self, Finished, Refusal, refuse_faults};
use crate::record::metric::Metric;
use crate::record::sample::{PrimitiveCosts, Traffic, Work};
use crate::registry::full_name;
use crate::system::process;

/// One iteration of a cell, to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The operation to measure.
    pub operation: Operation,
    /// Seed, iteration and group size. The size is that before the operation; for create, the size created.
    pub origin: Origin,
}

/// The figures of a sample that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What the validation has shown, in words.
    pub validation: String,
    /// The messages, by sender's role, phase and kind.
    pub traffic: Vec<Traffic>,
    /// The members' work, by role and phase.
    pub work: Vec<Work>,
    /// Bytes of exported state after the operation, by role.
    pub state_bytes: BTreeMap<Role, Vec<u64>>,
    /// The rounds of messages that it took.
    pub rounds: u32,
    /// Cost of each primitive: the mean of measurements right before and right after the operation.
    pub primitive_ns: PrimitiveCosts,
    /// Peak memory of the process of the members during the operation, in bytes. `None` if the cell was not run for that, or the
    /// system does not report it.
    pub peak_bytes: Option<u64>,
}

/// Measures cells of one backend.
pub struct Bench<'a> {
    backend: &'a dyn Backend,
    threads: ThreadPool,
    prepared: Option<Prepared>,
    /// Repeats parts in other processes.
    apart: &'a Apart<'a>,
    /// Who must not work while this process times.
    turns: &'a dyn Turns,
    /// The cells that have been inspected, without their iterations, and what that has shown.
    inspected: BTreeMap<(Operation, usize), String>,
}

/// Processes that take turns at timing.
pub trait Turns {
    /// Waits until no other one works.
    fn begin(&self);

    /// Lets the others work again.
    fn end(&self);
}

/// There is no other one.
struct Alone;

impl Turns for Alone {
    fn begin(&self) {}

    fn end(&self) {}
}

/// Ends when it is dropped.
struct Turn<'a>(&'a dyn Turns);

impl<'a> Turn<'a> {
    fn begin(turns: &'a dyn Turns) -> Self {
        turns.begin();
        Self(turns)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Whether a sample is inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inspection {
    /// It is.
    Made,
    /// It is not, but until the end of the operation the members see no difference.
    Left,
    /// It is not, and nothing is copied for it: the process measures memory.
    Impossible,
}

/// Exported states, by participant.
type States = Vec<(usize, Vec<u8>)>;

/// The size of the group in which an operation shows what a member verifies.
const SMALL: usize = 8;
/// A time that looks wrong counts only if it does so in each of this number of attempts.
const ATTEMPTS: u32 = 3;
/// A group in the states that have been needed so far.
struct Prepared {
    origin: Origin,
    /// Not kept for large groups, once there is a later state: each takes half a gigabyte or more.
    created: Option<State>,
    conversed: Option<State>,
    removed: Option<State>,
    /// After this number of updates.
    later: Option<(usize, State)>,
}

/// A group, and the fingerprints on which its members agree.
struct State {
    group: Kept,
    fingerprints: Option<Fingerprints>,
}

impl<'a> Bench<'a> {
    /// A bench for this backend. It makes users on `jobs` threads, but at least one.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn new(backend: &'a dyn Backend, jobs: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(jobs.max(1)).build()?;
        let apart = &|_: &Recording| Repetition::NotMade("this program starts no processes".to_owned());
        Ok(Self { backend, threads, prepared: None, apart, turns: &Alone, inspected: BTreeMap::new() })
    }

    /// Lets other processes repeat the parts of some members.
    #[must_use]
    pub fn with_processes(self, apart: &'a Apart<'a>) -> Self {
        Self { apart, ..self }
    }

    /// Takes turns at timing with other processes.
    #[must_use]
    pub fn with_turns(self, turns: &'a dyn Turns) -> Self {
        Self { turns, ..self }
    }

    /// Measures a cell on this thread, and validates the result. The first iteration of a cell is also inspected.
    ///
    /// # Errors
    /// Why the sample does not count.
    pub fn run(&mut self, cell: &Cell) -> Result<Outcome, Refusal> {
        let known = self.inspected.contains_key(&(cell.operation, cell.origin.group_size));
        self.run_and(cell, if known { Inspection::Left } else { Inspection::Made })
    }

    /// As [`run`](Self::run), but the cell is inspected even if it has been before. The outcome says the same.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_inspected(&mut self, cell: &Cell) -> Result<Outcome, Refusal> {
        self.run_and(cell, Inspection::Made)
    }

    fn run_and(&mut self, cell: &Cell, inspection: Inspection) -> Result<Outcome, Refusal> {
        let mut outcome = self.confirmed(cell, inspection)?;
        if let Some(words) = self.inspected.get(&(cell.operation, cell.origin.group_size)) {
            outcome.validation = format!("{}, {words}", outcome.validation);
        }
        Ok(outcome)
    }

    /// Runs a cell that another process has measured and inspected, for its memory. A signature that several members verify is
    /// computed once, since times are not used.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_again(&mut self, cell: &Cell) -> Result<Outcome, Refusal> {
        self.confirmed(cell, Inspection::Impossible)
    }

    fn confirmed(&mut self, cell: &Cell, inspection: Inspection) -> Result<Outcome, Refusal> {
        let mut result = self.attempt(cell, inspection);
        for _ in 1..ATTEMPTS {
            if !result.as_ref().is_err_and(Refusal::may_be_noise) {
                break;
            }
            result = self.attempt(cell, inspection);
        }
        result
    }

    fn attempt(&mut self, cell: &Cell, inspection: Inspection) -> Result<Outcome, Refusal> {
        let Cell { operation, origin } = *cell;
        let least = operation.min_group_size();
        if origin.group_size < least {
            return Err(Refusal::GroupTooSmall { operation, least });
        }
        let expected = outside::formula(self.backend, operation, origin.group_size)?;
        let (group, fingerprints_before) = self.group_and_joiners(cell)?;
        // Until the end of the operation, the members see no difference between a cell that is inspected and one that is not.
        let before = match inspection {
            Inspection::Made | Inspection::Left => {
                let script = Script::new(operation, &origin, &group.ids());
                states(&group, &inspection::repeated(&script))
            }
            Inspection::Impossible => States::new(),
        };
        let (mut network, script) = placed(group, cell, Origin::member);
        before.iter().for_each(|(participant, _)| network.transcribe(*participant));
        let removed = match operation {
            Operation::MessageAfterRemove => vec![origin.group_size - 1],
            _ => script.participants(Role::Removed).collect(),
        };
        let removed_before = self.before_removal(&removed)?;

        let scope = network.needs().scope;
        // Where memory is measured, times are not used.
        let for_memory = inspection == Inspection::Impossible;
        let turn = (!for_memory).then(|| Turn::begin(self.turns));
        let rest = outside::Rest::begin(scope);
        let wanted = Wanted::of(operation, origin.group_size, expected.as_ref());
        let costs = || if for_memory { PrimitiveCosts::new() } else { calibrate::primitives(wanted) };
        let costs_before = costs();
        let ahead = rest.end();
        let process = if let Scope::Child(id) = scope { id } else { std::process::id() };
        let is_watched = for_memory && process::reset_peak(process);
        let clocks = outside::Clocks::start(scope);
        let record = if for_memory { remembering(|| network.perform(&script)) } else { network.perform(&script) };
        let operation_ns = clocks.stop(&record)?;
        let peak_bytes = if is_watched { process::peak_bytes(process) } else { None };
        let rest = outside::Rest::begin(scope);
        let costs_after = costs();
        let put_off = rest.end();
        drop(turn);

        refuse_faults(&record)?;
        ahead.and(put_off)?;
        outside::after(self.backend, &network, operation_ns)?;
        let inspects = inspection == Inspection::Made;
        if inspects {
            self.verifies_as_in_a_small_group(cell, &network, &record)?;
        }
        // A created group is kept for the other cells. The validation changes its members, so they are copied first.
        let kept = if operation == Operation::Create { Some(Kept::copy_of(&network)?) } else { None };
        let recordings = if inspects {
            inspection::recordings(&full_name(self.backend), (operation, origin), &network, &record, &before)
        } else {
            Vec::new()
        };
        let counted = self.backend.description().capabilities.counted;
        let (work, state_bytes) = (work(&record, &network, counted), state_bytes(&network));
        let validated = validation::validate(Finished {
            operation,
            origin,
            expected: expected.as_ref().map(|expected| (expected, counted)),
            record: &record,
            network,
            fingerprints_before: fingerprints_before.as_ref(),
            removed_before,
            thorough: true,
        })?;
        outside::end(validated.network)?;
        if inspects {
            let words = self.inspect(cell, &script, &recordings, fingerprints_before.as_ref(), &removed)?;
            self.inspected.entry((operation, origin.group_size)).or_insert(words);
        }
        if let Some(group) = kept {
            let created = Some(State { group, fingerprints: validated.fingerprints });
            self.prepared = Some(Prepared { origin, created, conversed: None, removed: None, later: None });
        }
        let primitive_ns = calibrate::mean(&costs_before, &costs_after);
        let validation = validated.words;
        Ok(Outcome {
            validation,
            traffic: traffic(&record),
            work,
            state_bytes,
            rounds: record.rounds,
            primitive_ns,
            peak_bytes,
        })
    }

    /// Repeats the operation in copies of the members, and parts of it in other processes. Returns what that has shown, in
    /// words.
    fn inspect(
        &mut self,
        cell: &Cell,
        script: &Script,
        recordings: &[Recording],
        fingerprints_before: Option<&Fingerprints>,
        removed: &[usize],
    ) -> Result<String, Refusal> {
        let Cell { operation, origin } = *cell;
        let apart = match self.backend.description().capabilities.deterministic {
            true => inspection::alone(recordings, &script.roles, self.apart, Scope::of(self.backend))?,
            false => inspection::not_made("the backend is not deterministic"),
        };
        let removed_before = self.before_removal(removed)?;
        let (group, _) = self.group_and_joiners(cell)?;
        // As before what is measured.
        let _ = states(&group, &[]);
        let (network, script) = placed(group, cell, Origin::member);
        let alters = !self.backend.description().capabilities.signed.is_empty();
        let run = Tampered { operation, origin, alters, network, script: &script, fingerprints_before, removed_before };
        Ok(format!("{}, {apart}, {}", inspection::tampered(run)?, outside::Clocks::seen(self.backend)))
    }

    /// A member that receives a message here verifies a signature for it, if all do in a small group. Altered messages do
    /// not show that: to refuse them, a checksum is enough.
    fn verifies_as_in_a_small_group(&mut self, cell: &Cell, network: &Network, record: &Record) -> Result<(), Refusal> {
        let too_few = |(verified, received): &(u64, u64)| verified < received;
        let Some((verified, received)) = validation::verified(network, record).find(too_few) else { return Ok(()) };
        if cell.origin.group_size <= SMALL || cell.operation.min_group_size() > SMALL {
            return Ok(());
        }
        let prepared = self.prepared.take();
        let origin = Origin { group_size: SMALL, ..cell.origin };
        let small = self.play(&Cell { origin, ..*cell }, &[]);
        self.prepared = prepared;
        let (network, record, _) = small?;
        let mut others = validation::verified(&network, &record).peekable();
        if others.peek().is_some() && !others.any(|other| too_few(&other)) {
            return Err(Refusal::VerifiesLess { verified, received, small: SMALL });
        }
        Ok(())
    }

    /// Runs a cell and records the parts of these participants. Nothing is validated.
    ///
    /// # Errors
    /// The backend does not support the operation, or something went wrong in it.
    pub fn transcribe(&mut self, cell: &Cell, participants: &[usize]) -> Result<Vec<Recording>, Refusal> {
        let (network, record, states) = self.play(cell, participants)?;
        let name = full_name(self.backend);
        Ok(inspection::recordings(&name, (cell.operation, cell.origin), &network, &record, &states))
    }

    /// Runs a cell, with transcripts of these participants, whose states from before it come last.
    fn play(&mut self, cell: &Cell, participants: &[usize]) -> Result<(Network, Record, States), Refusal> {
        if !self.backend.supports(cell.operation, cell.origin.group_size) {
            return Err(Refusal::Unsupported);
        }
        let (group, _) = self.group_and_joiners(cell)?;
        let states = states(&group, participants);
        let (mut network, script) = placed(group, cell, Origin::member);
        participants.iter().for_each(|participant| network.transcribe(*participant));
        let record = network.perform(&script);
        refuse_faults(&record)?;
        Ok((network, record, states))
    }

    /// The same with the users that the operation adds.
    fn group_and_joiners(&mut self, cell: &Cell) -> Result<(Group, Option<Fingerprints>), Refusal> {
        let (mut group, fingerprints) = self.group_before(cell)?;
        for _ in 0..joiners(cell.operation) {
            group.make_joiner(self.backend, &cell.origin)?;
        }
        Ok((group, fingerprints))
    }

    /// A copy of the group in the state in which the operation starts, and its fingerprints in that state.
    fn group_before(&mut self, cell: &Cell) -> Result<(Group, Option<Fingerprints>), Refusal> {
        let (start, earlier, origin) = (cell.operation.start(), cell.operation.earlier_updates(), cell.origin);
        if start == Start::Users {
            // A group that is about to be created again is no longer needed.
            self.prepared = self
                .prepared
                .take()
                .filter(|prepared| cell.operation != Operation::Create && prepared.origin == origin);
            return Ok((Group::of_users(self.backend, &origin, &self.threads)?, None));
        }
        let mut prepared = match self.prepared.take().filter(|prepared| prepared.origin == origin) {
            Some(prepared) => prepared,
            None => Prepared { origin, created: None, conversed: None, removed: None, later: None },
        };
        if prepared.created.is_none() && (start < Start::Conversed || prepared.conversed.is_none()) {
            prepared.created = Some(remembering(|| self.create(origin))?);
        }
        let copy = |state: &State| state.group.group(self.backend);
        let prepare = |prepared: &mut Prepared| -> Result<(), Refusal> {
            if start >= Start::Conversed && prepared.conversed.is_none() {
                let created = prepared.created.as_ref().map(copy).transpose()?;
                if origin.group_size >= LARGE {
                    prepared.created = None;
                }
                prepared.conversed = created.map(|created| converse(created, origin)).transpose()?;
            }
            if let (Start::Removed, None, Some(conversed)) = (start, &prepared.removed, &prepared.conversed) {
                prepared.removed = Some(remove_last(copy(conversed)?, origin)?);
            }
            let known = prepared.later.as_ref().map_or(0, |(updates, _)| *updates);
            if let (true, Some(conversed)) = (earlier > 0 && earlier != known, &prepared.conversed) {
                prepared.later = Some((earlier, update_in_turn(copy(conversed)?, cell)?));
            }
            Ok(())
        };
        // Nothing of this is measured, and each message is verified by all members.
        let done = remembering(|| prepare(&mut prepared)).map_err(|refusal| Refusal::SetUp(Box::new(refusal)));
        let prepared = self.prepared.insert(prepared);
        done?;
        let later = prepared.later.as_ref().filter(|_| earlier > 0).map(|(_, state)| state);
        let state = later.or_else(|| prepared.state(start)).ok_or(Refusal::Unsupported)?;
        Ok((copy(state)?, state.fingerprints.clone()))
    }

    /// Copies of the members that are removed, from before their removal.
    fn before_removal(&self, removed: &[usize]) -> Result<Vec<Box<dyn Member>>, Refusal> {
        let before = self.prepared.as_ref().and_then(|prepared| prepared.conversed.as_ref());
        before.map_or(Ok(Vec::new()), |before| before.group.members(self.backend, removed))
    }

    /// Creates the group as the cell of create does, but without its meters and probes.
    fn create(&self, origin: Origin) -> Result<State, Refusal> {
        let users = Group::of_users(self.backend, &origin, &self.threads);
        let users = users.map_err(|refusal| Refusal::SetUp(Box::new(refusal)))?;
        let (mut network, script) = placed(users, &Cell { operation: Operation::Create, origin }, Origin::member);
        refuse_faults(&network.run(&script.stages))
            .and_then(|()| State::of(network))
            .map_err(|refusal| Refusal::SetUp(Box::new(refusal)))
    }
}

/// The exported states of these members. All are exported: none of them knows which ones are kept.
fn states(group: &Group, participants: &[usize]) -> States {
    let exported = group.members.iter().map(|member| member.export()).enumerate();
    exported.filter(|(participant, _)| participants.contains(participant)).collect()
}

impl Prepared {
    /// The group in the state in which an operation with this start begins, if that is prepared.
    fn state(&self, start: Start) -> Option<&State> {
        match start {
            Start::Users | Start::Created => self.created.as_ref(),
            Start::Conversed => self.conversed.as_ref(),
            Start::Removed => self.removed.as_ref(),
        }
    }
}

impl State {
    fn of(network: Network) -> Result<Self, Refusal> {
        let fingerprints = validation::agreement(&network)?;
        Ok(Self { group: Kept::of(network), fingerprints })
    }
}

/// Brings a created group to [`Start::Conversed`].
fn converse(created: Group, origin: Origin) -> Result<State, Refusal> {
    let cell = Cell { operation: Operation::Message, origin };
    let (mut network, _) = placed(created, &cell, |origin, _, index| origin.conversation(index));
    for speaker in (1..origin.group_size).chain([0]) {
        refuse_faults(&network.run(&[Stage::of(speaker, script::send(&mut origin.plaintext()))]))?;
    }
    State::of(network)
}

/// Lets the members of a group update in turn, as often as the operation says.
fn update_in_turn(conversed: Group, cell: &Cell) -> Result<State, Refusal> {
    let (mut network, _) = placed(conversed, cell, |origin, _, index| origin.history(index));
    for stage in script::earlier_updates(cell.operation, cell.origin.group_size) {
        refuse_faults(&network.run(&[stage]))?;
    }
    State::of(network)
}

/// Brings a group to [`Start::Removed`]. The removed member is not in the result.
fn remove_last(conversed: Group, origin: Origin) -> Result<State, Refusal> {
    let cell = Cell { operation: Operation::Remove, origin };
    let (mut network, script) = placed(conversed, &cell, Origin::member);
    refuse_faults(&network.run(&script.stages))?;
    let mut state = State::of(network)?;
    state.group.forget_last();
    Ok(state)
}

/// Gives the stream of randomness of the member with this index in an operation.
type Stream = fn(&Origin, Operation, usize) -> ChaCha20Rng;

/// Places all users of a group on a network, each with a role and randomness. The script says what they do.
fn placed(group: Group, cell: &Cell, stream: Stream) -> (Network, Script) {
    let Cell { operation, origin } = *cell;
    let script = Script::new(operation, &origin, &group.ids());
    let participant = |((index, member), role): ((usize, Box<dyn Member>), &Role)| Participant {
        member,
        role: *role,
        rng: stream(&origin, operation, index),
    };
    let participants = group.members.into_iter().enumerate().zip(&script.roles).map(participant).collect();
    (Network::new(participants, group.directory, group.needs), script)
}

fn traffic(record: &Record) -> Vec<Traffic> {
    let row = |(&(role, phase, kind), volume): (&(Role, Phase, &str), &Volume)| Traffic {
        role,
        phase,
        kind: kind.to_owned(),
        messages: volume.messages,
        bytes_sent: volume.bytes_sent,
        bytes_delivered: volume.bytes_delivered,
    };
    record.traffic.iter().map(row).collect()
}

/// One row for each role and phase in which a member of the role was called, with the primitive counts that are known. Each
/// row has all members of the role, in the same order in each phase, so that a member's phases can be added up.
fn work(record: &Record, network: &Network, counted: Counted) -> Vec<Work> {
    let mut rows = Vec::new();
    for role in Role::ALL {
        for phase in Phase::ALL {
            let efforts: Vec<Option<Effort>> =
                network.with_role(role).map(|at| record.efforts[at][phase as usize]).collect();
            if efforts.iter().all(Option::is_none) {
                continue;
            }
            let sum = record.effort_of(network.with_role(role), phase);
            let counts = Metric::counted(&sum.counts, counted).collect();
            rows.push(Work {
                role,
                phase,
                members: u32::try_from(efforts.len()).unwrap_or(u32::MAX),
                counts,
                bytes_fetched: sum.bytes_fetched,
                cpu_ns: efforts.iter().map(|effort| effort.unwrap_or_default().cpu_ns).collect(),
            });
        }
    }
    rows
}

fn state_bytes(network: &Network) -> BTreeMap<Role, Vec<u64>> {
    let mut sizes = BTreeMap::<Role, Vec<u64>>::new();
    for participant in network.participants() {
        sizes.entry(participant.role).or_default().push(participant.member.export().len() as u64);
    }
    sizes
}
