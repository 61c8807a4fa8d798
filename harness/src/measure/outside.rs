//! Outside the timers there is no work, and no other thread works inside them.
//!
//! A member that puts off its work to a call that is not timed, or does it ahead, would seem to cost little. So users are
//! made, members are copied and shown, and copies are dropped under watch. Fingerprints are hashes, and an export encodes the
//! keys that a member holds decoded; nothing else there may use a primitive. What a backend does without the counted primitives shows in the time: work that was put off is done in
//! the first call and not in the second one.

use std::hint::black_box;

use protocol::crypto::count::{self, Counted, Counts, Watch};
use protocol::crypto::ristretto;
use protocol::member::{Backend, Member, NewUser};
use protocol::operation::{Expected, Operation};
use rand_core::CryptoRng;

use super::meter::{Effort, Scope, beyond, beyond_in};
use super::network::{Network, Participant, Record};
use super::validation::Refusal;
use crate::system::process;

/// Hashes, or calls of HKDF, that a fingerprint may take.
const PER_FINGERPRINT: u64 = 16;
/// Keys and signatures of each kind that a new user may make beyond those of the bundles that it publishes: one for each, or
/// two if it adapts an implementation of others, as a key package of MLS has.
const SPARE_KEYS: u64 = 8;
/// Hashes, or calls of HKDF, that a new user may make for each of its keys.
const PER_KEY: u64 = 16;
/// What may be put off until the first calls after an operation is the larger of these times, of which one is for each
/// member, and this part of the operation's time, over all members. On a busy machine, first calls took up to 154
/// microseconds beyond the second ones with 8 members, 422 with 24 and 2305 with 127.
const PUT_OFF_NS: u64 = 100_000;
const PUT_OFF_NS_PER_MEMBER: u64 = 30_000;
const PUT_OFF_PART: u64 = 20;
/// How long it may take to show, copy and drop a member: a fixed time, and a time for each byte of its export. This is
/// several times what it takes.
const SHOWN_NS: u64 = 100_000 * SLOWER;
const SHOWN_NS_PER_BYTE: u64 = 20 * SLOWER;
/// How long it may take to encode a key for an export. This is several times what it takes.
const CODING_NS: u64 = 20_000 * SLOWER;
/// All are longer by this factor where members work in another process: each call is a request there, which an interpreter
/// may have to read. On a busy machine, 8 first calls of each of 4 members took up to 796 microseconds beyond the second ones.
const FOREIGN: u64 = 10;
/// A build for tests is slower.
const SLOWER: u64 = if cfg!(debug_assertions) { 4 } else { 1 };

/// What other threads of the process may take during an operation: the larger of this time and this part of its time. On a
/// busy machine, they seemed to take up to 433 microseconds.
const OTHERS_NS: u64 = 750_000;
const OTHERS_PART: u64 = 20;

/// Everything that shows or copies a member without changing it.
const METHODS: [&str; 8] = ["id", "group", "members", "delivered", "fingerprints", "export", "duplicate", "drop"];

/// CPU time and primitives while an operation runs: of the thread that runs the members, of all others, and of the process in
/// which the members work, if that is another one.
pub struct Clocks {
    scope: Scope,
    watch: Watch,
    child_ns: u64,
    grandchildren_ticks: u64,
    process_ns: u64,
    thread_ns: u64,
}

impl Clocks {
    /// Starts them, right before the operation.
    #[must_use]
    pub fn start(scope: Scope) -> Self {
        let (child_ns, grandchildren_ticks) = match scope {
            Scope::Child(id) => (scope.cpu_ns(), process::ended_children_ticks(id)),
            _ => (0, 0),
        };
        let (process_ns, thread_ns) = (Scope::Process.cpu_ns(), Scope::Thread.cpu_ns());
        Self { scope, watch: Watch::start(), child_ns, grandchildren_ticks, process_ns, thread_ns }
    }

    /// The CPU time of the operation, as far as the meter sees.
    ///
    /// # Errors
    /// Work was done where the meter does not see it.
    pub fn stop(self, record: &Record) -> Result<u64, Refusal> {
        let scope = self.scope;
        let thread = Scope::Thread.cpu_ns().saturating_sub(self.thread_ns);
        let process = Scope::Process.cpu_ns().saturating_sub(self.process_ns);
        let metered = record.efforts.iter().flatten().flatten();
        let metered = metered.fold(Counts::default(), |sum, effort| sum + effort.counts);
        let all = if scope == Scope::Process { self.watch.everywhere() } else { self.watch.here() };
        // Between the calls that are timed, the network asks for the group, and drops what it was given.
        if let Some(what) = beyond(all, metered) {
            return Err(Refusal::WorkOutside { call: "group", what });
        }
        if self.watch.repeated() {
            return Err(Refusal::WorkOutside { call: "uncounted", what: "in a call that is measured".to_owned() });
        }
        if count::is_alone() {
            // All that was started here, and all whose parents have ended.
            let known = if let Scope::Child(id) = scope { Some(id) } else { None };
            if process::children(std::process::id()).into_iter().any(|id| Some(id) != known) {
                return Err(Refusal::OtherProcesses);
            }
        }
        match scope {
            Scope::Process => return Ok(process),
            Scope::Child(id) => return self.stop_child(id, record),
            Scope::Thread => {}
        }
        if self.watch.elsewhere() == Some(true) {
            return Err(Refusal::OtherThreads);
        }
        let others = process.saturating_sub(thread);
        if count::is_alone() && others > OTHERS_NS.max(thread / OTHERS_PART) {
            return Err(Refusal::OtherTime { us: others / 1000 });
        }
        Ok(thread)
    }

    /// The CPU time of the other process, in the calls and between them.
    fn stop_child(&self, id: u32, record: &Record) -> Result<u64, Refusal> {
        let all = self.scope.cpu_ns().saturating_sub(self.child_ns);
        if !process::children(id).is_empty() || process::ended_children_ticks(id) > self.grandchildren_ticks {
            return Err(Refusal::OtherProcesses);
        }
        let timed: u64 = record.efforts.iter().flatten().flatten().map(|effort| effort.cpu_ns).sum();
        let between = all.saturating_sub(timed);
        if between > OTHERS_NS.max(all / OTHERS_PART) {
            return Err(Refusal::BetweenCalls { us: between / 1000 });
        }
        Ok(all)
    }

    /// What these clocks see, in words.
    #[must_use]
    pub fn seen(backend: &dyn Backend) -> &'static str {
        match Scope::of(backend) {
            Scope::Child(_) => "no work outside the timers or in a third process, by time alone",
            _ if backend.description().capabilities.counted == Counted::Nothing => {
                "no work outside the timers, by time alone"
            }
            Scope::Process => "timed and counted on all threads",
            Scope::Thread if count::is_alone() => "no work outside the timers or on other threads",
            Scope::Thread => "no work outside the timers, a look at other threads not made",
        }
    }
}

/// A time in which nobody asks a backend anything, so that it has nothing to do.
pub struct Rest {
    scope: Scope,
    start_ns: u64,
}

impl Rest {
    /// Begins it.
    #[must_use]
    pub fn begin(scope: Scope) -> Self {
        Self { scope, start_ns: Self::others_ns(scope) }
    }

    /// Ends it.
    ///
    /// # Errors
    /// There was work all the same: put off, or done ahead.
    pub fn end(self) -> Result<(), Refusal> {
        let us = Self::others_ns(self.scope).saturating_sub(self.start_ns) / 1000;
        if us * 1000 > OTHERS_NS { Err(Refusal::AtRest { us }) } else { Ok(()) }
    }

    /// The CPU time of the backend while this thread does something else.
    fn others_ns(scope: Scope) -> u64 {
        match scope {
            Scope::Child(_) => scope.cpu_ns(),
            _ if count::is_alone() => Scope::Process.cpu_ns().saturating_sub(Scope::Thread.cpu_ns()),
            _ => 0,
        }
    }
}

/// What the backend says of an operation: its formula.
///
/// # Errors
/// The backend does not have the operation, or saying so does work.
pub fn formula(backend: &dyn Backend, operation: Operation, group_size: usize) -> Result<Option<Expected>, Refusal> {
    let ask = || {
        if !backend.supports(operation, group_size) {
            return Err(Refusal::Unsupported);
        }
        Ok(backend.expected(operation.one_by_one(), group_size))
    };
    let (said, effort) = Scope::Thread.measure(ask);
    match beyond_in(effort, Counts::default()) {
        None => said,
        Some(what) => Err(Refusal::WorkOutside { call: "expected", what }),
    }
}

/// Makes a user on this thread.
///
/// # Errors
/// It does more than to make the keys that it publishes.
pub fn new_user(
    backend: &dyn Backend,
    one_time_prekeys: usize,
    rng: &mut dyn CryptoRng,
) -> Result<(NewUser, Counts), Refusal> {
    let (user, effort) = Scope::Thread.measure(|| backend.new_user(one_time_prekeys, rng));
    let of_bundle = if backend.description().adapts.is_some() { 2 } else { 1 };
    let keys = of_bundle * (1 + user.one_time.len() as u64) + SPARE_KEYS;
    let most = Counts {
        keygen: keys,
        sign: keys,
        sign_keygen: keys,
        hash_blocks: keys * PER_KEY,
        kdf: keys * PER_KEY,
        ..Counts::default()
    };
    match beyond_in(effort, most) {
        None => Ok((user, effort.counts)),
        Some(what) => Err(Refusal::WorkOutside { call: "new_user", what }),
    }
}

/// Copies of members, for an operation to change.
///
/// # Errors
/// Copying does work ahead.
pub fn copies<'a>(members: impl Iterator<Item = &'a dyn Member>) -> Result<Vec<Box<dyn Member>>, Refusal> {
    members
        .map(|member| {
            let (copy, effort) = Scope::Thread.measure(|| member.duplicate());
            match beyond_in(effort, Counts::default()) {
                None => Ok(copy),
                Some(what) => Err(Refusal::WorkOutside { call: "duplicate", what }),
            }
        })
        .collect()
}

/// Members, restored from their exports.
///
/// # Errors
/// One is not restored, or restoring it does work ahead.
pub fn restored<'a>(
    backend: &dyn Backend,
    states: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Box<dyn Member>>, Refusal> {
    let adapts = backend.description().adapts.is_some();
    let scope = match Scope::of(backend) {
        Scope::Thread if count::is_alone() => Scope::Process,
        other => other,
    };
    let slower = if matches!(scope, Scope::Child(_)) { FOREIGN } else { 1 };
    let (mut members, mut late_ns) = (Vec::new(), 0);
    for state in states {
        let (member, effort) = scope.measure(|| backend.restore(state));
        let (bytes, parts) = (state.len() as u64, (state.len() / ristretto::PUBLIC_KEY_LEN) as u64);
        // The public key of each private one, and each public key decoded.
        let most = Counts {
            sign_keygen: SPARE_KEYS,
            keygen: parts,
            ristretto_coding: parts,
            hash_blocks: parts,
            ..Counts::default()
        };
        let Counts { points, ristretto_coding, keygen, .. } = effort.counts;
        let keys = points + ristretto_coding + keygen;
        let most_ns = slower * (SHOWN_NS + bytes * SHOWN_NS_PER_BYTE + keys.min(parts) * 3 * CODING_NS);
        if let Some(what) = beyond_in(effort, most).filter(|_| !adapts) {
            return Err(Refusal::WorkOutside { call: "restore", what });
        }
        late_ns += effort.cpu_ns.saturating_sub(most_ns);
        members.push(member.map_err(Refusal::NotRestored)?);
    }
    // A single call can take much longer on a busy machine.
    let noise = slower * (PUT_OFF_NS + PUT_OFF_NS_PER_MEMBER * members.len() as u64);
    if !adapts && late_ns > noise {
        return Err(Refusal::LateWork { call: "restore", us: late_ns / 1000 });
    }
    Ok(members)
}

/// Looks at all participants for work that an operation of this CPU time has put off. Must be called right after it.
///
/// An implementation of others may have no quick copy of its states. Its copies may take long, if they do so each time.
///
/// # Errors
/// There is such work.
pub fn after(backend: &dyn Backend, network: &Network, operation_ns: u64) -> Result<(), Refusal> {
    let participants = network.participants();
    let look = || {
        let mut times = [0; METHODS.len()];
        let (mut bytes, mut codings) = (0, 0);
        for Participant { member, .. } in participants {
            let looked = look_at(&**member, network.needs().scope)?;
            bytes += looked.bytes;
            codings += looked.codings;
            times.iter_mut().zip(looked.times).for_each(|(sum, time)| *sum += time);
        }
        Ok((times, bytes, codings))
    };
    let (first, bytes, codings) = look()?;
    let slower = if matches!(network.needs().scope, Scope::Child(_)) { FOREIGN } else { 1 };
    let noise = slower * (PUT_OFF_NS + PUT_OFF_NS_PER_MEMBER * participants.len() as u64);
    let may_be_put_off = noise.max(operation_ns / PUT_OFF_PART);
    if first.iter().sum::<u64>() <= may_be_put_off {
        return Ok(());
    }
    let (second, ..) = look()?;
    // The first calls find less in the processor's caches.
    let put_off = |at: usize| first[at].saturating_sub(second[at] + second[at] / 4);
    let all: u64 = (0..METHODS.len()).map(put_off).sum();
    if all > may_be_put_off {
        return Err(late((0..METHODS.len()).max_by_key(|at| put_off(*at)), all));
    }
    let each: u64 = second.iter().sum();
    let most = slower * (participants.len() as u64 * SHOWN_NS + bytes * SHOWN_NS_PER_BYTE + codings * CODING_NS);
    if backend.description().adapts.is_none() && each > most {
        return Err(late((0..METHODS.len()).max_by_key(|at| second[*at]), each));
    }
    Ok(())
}

fn late(method: Option<usize>, ns: u64) -> Refusal {
    let call = method.and_then(|at| METHODS.get(at)).copied().unwrap_or_default();
    Refusal::LateWork { call, us: ns / 1000 }
}

/// What it took to look at a member.
struct Looked {
    /// CPU time of each of the [`METHODS`].
    times: [u64; METHODS.len()],
    /// The length of its export.
    bytes: u64,
    /// The keys that it encodes in its export.
    codings: u64,
}

fn look_at(member: &dyn Member, scope: Scope) -> Result<Looked, Refusal> {
    // What is left to other threads is seen only where all of them are the backend's.
    let scope = match scope {
        Scope::Thread if count::is_alone() => Scope::Process,
        other => other,
    };
    let mut times = [0; METHODS.len()];
    let mut done = |method: usize, effort: Effort, most: Counts| {
        times[method] = effort.cpu_ns;
        match beyond_in(effort, most) {
            None => Ok(()),
            Some(what) => Err(Refusal::WorkOutside { call: METHODS[method], what }),
        }
    };
    let none = Counts::default();
    done(0, scope.measure(|| black_box(member.id())).1, none)?;
    done(1, scope.measure(|| black_box(member.group())).1, none)?;
    done(2, scope.measure(|| black_box(member.members())).1, none)?;
    done(3, scope.measure(|| black_box(member.delivered())).1, none)?;
    let (fingerprints, effort) = scope.measure(|| black_box(member.fingerprints()));
    let hashes = fingerprints.map_or(0, |shown| shown.len() as u64) * PER_FINGERPRINT;
    done(4, effort, Counts { hash_blocks: hashes, kdf: hashes, ..none })?;
    let (state, effort) = scope.measure(|| black_box(member.export()));
    let (bytes, codings) = (state.len() as u64, effort.counts.ristretto_coding);
    done(5, effort, Counts { ristretto_coding: bytes / ristretto::PUBLIC_KEY_LEN as u64, ..none })?;
    let (copy, effort) = scope.measure(|| black_box(member.duplicate()));
    done(6, effort, none)?;
    done(7, scope.measure(|| drop(copy)).1, none)?;
    Ok(Looked { times, bytes, codings })
}

/// Drops members that are not needed again.
///
/// # Errors
/// They do work that was put off until then.
pub fn end(network: Network) -> Result<(), Refusal> {
    let scope = if count::is_alone() { Scope::Process } else { Scope::Thread };
    let ((), effort) = scope.measure(|| drop(network));
    match beyond_in(effort, Counts::default()) {
        None => Ok(()),
        Some(what) => Err(Refusal::WorkOutside { call: "drop", what }),
    }
}
