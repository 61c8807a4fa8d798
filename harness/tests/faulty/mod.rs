//! A wrapper around any backend, with one fault. In everything else it is correct: its exports are complete, its
//! formulas say what it does, and its members agree.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex};

use protocol::crypto::count::Counts;
use protocol::crypto::signature::SIGNATURE_LEN;
use protocol::error::Error;
use protocol::id::{GroupId, MEMBER_ID_LEN, MemberId};
use protocol::member::{
    Backend, Context, Description, Event, Incoming, Member, NewUser, Outgoing, Received, Recipients,
};
use protocol::operation::{Expected, Operation, Phase, Role};
use protocol::wire::codec::{Reader, put_prefixed};
use rand_core::{CryptoRng, TryCryptoRng, TryRng};

/// What is wrong with the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The member with the smallest id acknowledges nothing.
    SkipsAck,
    /// Every message carries its signature, but nobody checks it: what is checked is a second copy that is sent along.
    SkipsSignature,
    /// All random bytes are the same byte.
    ConstantSecret,
    /// A removal only hides the removed member, and tells the others to hide it. The keys stay the same.
    KeepsKey,
    /// As `KeepsKey`, but there are no fingerprints that show it.
    KeepsKeyUnseen,
    /// An update only claims to be one, and there are no fingerprints that show it.
    FakesUpdates,
    /// The plaintext is sent along in the clear, and removed members read it.
    Leaks,
    /// Sends four bytes instead of a message, and hands over the message in the backend's memory.
    LiesAboutBytes,
    /// As `LiesAboutBytes`, but in memory that all instances share.
    LiesInSharedMemory,
    /// The first export, with all one-time prekeys, is part of every later one.
    KeepsPrekeys,
    /// Every refused message adds a byte to the export.
    KeepsTraces,
    /// An empty message causes a panic.
    Panics,
    /// A member that has updated loses the updates of others until its next action.
    LosesCrossingUpdates,
    /// The formulas of create and remove ask for more than is done.
    WrongFormulas,
}

/// Messages that are handed over in memory.
type Memory = Arc<Mutex<Vec<Vec<u8>>>>;

static SHARED: LazyLock<Memory> = LazyLock::new(Memory::default);

pub(crate) struct Faulty {
    base: Box<dyn Backend>,
    fault: Fault,
    memory: Memory,
}

impl Faulty {
    pub(crate) fn new(base: Box<dyn Backend>, fault: Fault) -> Self {
        let memory = if fault == Fault::LiesInSharedMemory { SHARED.clone() } else { Memory::default() };
        Self { base, fault, memory }
    }

    fn wrap(&self, inner: Box<dyn Member>, kept: Vec<u8>, hidden: BTreeSet<MemberId>) -> Box<dyn Member> {
        Box::new(FaultyMember { inner, fault: self.fault, memory: self.memory.clone(), kept, hidden })
    }
}

impl Backend for Faulty {
    fn description(&self) -> Description {
        self.base.description()
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let user = self.base.new_user(one_time_prekeys, rng);
        let first = if self.fault == Fault::KeepsPrekeys { user.member.export() } else { Vec::new() };
        NewUser { member: self.wrap(user.member, first, BTreeSet::new()), ..user }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        let parse = || {
            let mut reader = Reader::new(state);
            let inner = reader.prefixed()?.to_vec();
            let first = reader.prefixed()?.to_vec();
            let mut hidden = BTreeSet::new();
            let mut ids = reader.prefixed()?;
            while !ids.is_empty() {
                let (id, rest) = ids.split_at_checked(MEMBER_ID_LEN).ok_or(Error::Malformed)?;
                hidden.insert(MemberId(id.try_into().map_err(|_| Error::Malformed)?));
                ids = rest;
            }
            reader.finish()?;
            Ok((inner, first, hidden))
        };
        let (inner, first, hidden) = parse().map_err(|_: Error| Error::BadExport)?;
        Ok(self.wrap(self.base.restore(&inner)?, first, hidden))
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        let right = || self.base.expected(operation, group_size);
        match operation {
            Operation::Create if self.fault == Fault::WrongFormulas => Some(asking_too_much(right()?)),
            Operation::Remove if self.fault == Fault::WrongFormulas => Some(asking_too_much(right()?)),
            Operation::Remove if self.fault.keeps_key() => Some(Expected::new(vec![("remove", 1)], Vec::new())),
            Operation::Update | Operation::UpdateCold if self.fault == Fault::FakesUpdates => {
                Some(Expected::new(vec![("update", 1)], Vec::new()))
            }
            _ => right(),
        }
    }
}

/// The costs, and one message and two primitives more.
#[track_caller]
fn asking_too_much(right: Expected) -> Expected {
    let Expected { mut messages, mut counts, .. } = right;
    messages.push(("note", 1));
    counts.push((Role::Sender, Phase::Generate, Counts { sign: 1, kdf: 2, ..Counts::default() }));
    Expected::new(messages, counts)
}

/// What is said of the formula of one operation in `Fault::WrongFormulas`, if its member signs once and derives no keys.
pub(crate) fn said_of(operation: Operation) -> String {
    let arm = format!("Operation::{operation:?} if self.fault == Fault::WrongFormulas");
    let line = 1 + include_str!("mod.rs").lines().position(|line| line.contains(&arm)).unwrap();
    format!(
        "{operation}: note messages: expected 1, measured 0; op.sign of role sender in phase generate: expected 2, \
         measured 1; op.kdf of role sender in phase generate: expected 2, measured 0; the formula is at {}:{line}",
        file!()
    )
}

impl Fault {
    fn keeps_key(self) -> bool {
        matches!(self, Self::KeepsKey | Self::KeepsKeyUnseen)
    }

    /// Whether messages end in a byte that marks them as genuine or faked.
    fn marks(self) -> bool {
        self.keeps_key() || self == Self::FakesUpdates
    }

    fn lies(self) -> bool {
        matches!(self, Self::LiesAboutBytes | Self::LiesInSharedMemory)
    }
}

struct FaultyMember {
    inner: Box<dyn Member>,
    fault: Fault,
    memory: Memory,
    /// Extra bytes of the export: the first export, traces of refused messages, or a mark that the last action was an
    /// update.
    kept: Vec<u8>,
    hidden: BTreeSet<MemberId>,
}

/// Last byte of a marked message of the inner member.
const GENUINE: u8 = 0;
/// Last byte of a message that only hides a removed member.
const HIDES: u8 = 1;
/// Last byte of an update that changes nothing.
const SAYS_UPDATED: u8 = 2;

impl FaultyMember {
    fn is_removed(&self) -> bool {
        self.inner.group().is_some() && self.members().is_empty()
    }

    /// Lets the inner member act, with the fault.
    fn act(
        &mut self,
        plaintext: &[u8],
        context: &mut Context<'_>,
        action: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) -> Result<Vec<Outgoing>, Error> {
        if self.hidden.contains(&self.inner.id()) {
            return Err(Error::NotInGroup);
        }
        let sent = self.with_randomness(context, action)?;
        if self.fault == Fault::LosesCrossingUpdates {
            self.kept.clear();
        }
        Ok(self.disguise(sent, plaintext))
    }

    fn with_randomness<T>(
        &mut self,
        context: &mut Context<'_>,
        action: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> T,
    ) -> T {
        let Context { rng, directory, confirm_inviter } = context;
        let mut constant = Constant;
        let rng: &mut dyn CryptoRng = if self.fault == Fault::ConstantSecret { &mut constant } else { *rng };
        action(&mut *self.inner, &mut Context { rng, directory: *directory, confirm_inviter: *confirm_inviter })
    }

    /// Turns messages of the inner member into those that go over the network.
    fn disguise(&self, sent: Vec<Outgoing>, plaintext: &[u8]) -> Vec<Outgoing> {
        let skips = self.fault == Fault::SkipsAck && self.members().first() == Some(&self.inner.id());
        let sent = sent.into_iter().filter(|message| !(skips && message.kind == "ack"));
        let disguised = sent.map(|mut message| {
            let bytes = &mut message.bytes;
            match self.fault {
                Fault::SkipsSignature => bytes.extend_from_within(bytes.len() - SIGNATURE_LEN..),
                fault if fault.marks() => bytes.push(GENUINE),
                Fault::Leaks => {
                    bytes.extend_from_slice(plaintext);
                    bytes.extend(u32::try_from(plaintext.len()).unwrap().to_be_bytes());
                }
                fault if fault.lies() => {
                    let mut memory = self.memory.lock().unwrap();
                    let token = u32::try_from(memory.len()).unwrap().to_be_bytes();
                    memory.push(std::mem::replace(bytes, token.to_vec()));
                }
                _ => {}
            }
            message
        });
        disguised.collect()
    }

    /// Reverses `disguise`: returns the inner member's message, and the plaintext that leaks with it.
    fn uncover(&self, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let split = |from_end: usize| {
            let at = bytes.len().checked_sub(from_end).ok_or(Error::Malformed)?;
            Ok(bytes.split_at(at))
        };
        let number = |bytes: &[u8]| bytes.try_into().map(u32::from_be_bytes).map_err(|_| Error::Malformed);
        Ok(match self.fault {
            Fault::SkipsSignature => {
                let (message, signature) = split(SIGNATURE_LEN)?;
                let body = message.len().checked_sub(SIGNATURE_LEN).ok_or(Error::Malformed)?;
                ([&message[..body], signature].concat(), Vec::new())
            }
            fault if fault.marks() => (split(1)?.0.to_vec(), Vec::new()),
            Fault::Leaks => {
                let leak = number(split(4)?.1)? as usize;
                let (message, leaked) = split(leak.saturating_add(4))?;
                (message.to_vec(), leaked[..leak].to_vec())
            }
            fault if fault.lies() => {
                let place = number(bytes)? as usize;
                (self.memory.lock().unwrap().get(place).cloned().ok_or(Error::Malformed)?, Vec::new())
            }
            _ => (bytes.to_vec(), Vec::new()),
        })
    }

    fn hide(&mut self, message: &Incoming<'_>) -> Result<Received, Error> {
        let id = message.bytes.get(..message.bytes.len() - 1).and_then(|id| id.try_into().ok());
        let user = MemberId(id.ok_or(Error::Malformed)?);
        if !self.members().contains(&user) {
            return Ok(Received::default());
        }
        self.hidden.insert(user);
        Ok(Received { events: vec![Event::Removed { by: message.author, user }], ..Received::default() })
    }
}

impl Member for FaultyMember {
    fn id(&self) -> MemberId {
        self.inner.id()
    }

    fn group(&self) -> Option<GroupId> {
        self.inner.group()
    }

    fn members(&self) -> Vec<MemberId> {
        let mut members = self.inner.members();
        members.retain(|member| !self.hidden.contains(member) && !self.hidden.contains(&self.inner.id()));
        members
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(&[], context, |inner, context| inner.create(others, context))
    }

    fn create_mesh(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(&[], context, |inner, context| inner.create_mesh(others, context))
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(&[], context, |inner, context| inner.add(user, context))
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        if !self.fault.keeps_key() {
            return self.act(&[], context, |inner, context| inner.remove(user, context));
        }
        if !self.members().contains(&self.inner.id()) {
            return Err(Error::NotInGroup);
        }
        self.hidden.insert(*user);
        let bytes = [&user.0[..], &[HIDES]].concat();
        Ok(vec![Outgoing { to: Recipients::Everyone, kind: "remove", bytes }])
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        if self.fault != Fault::FakesUpdates {
            let sent = self.act(&[], context, |inner, context| inner.update(context))?;
            if self.fault == Fault::LosesCrossingUpdates {
                self.kept.push(1);
            }
            return Ok(sent);
        }
        if self.members().is_empty() {
            return Err(Error::NotInGroup);
        }
        let mut bytes = vec![SAYS_UPDATED; 33];
        context.rng.fill_bytes(&mut bytes[..32]);
        Ok(vec![Outgoing { to: Recipients::Everyone, kind: "update", bytes }])
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(plaintext, context, |inner, context| inner.send(plaintext, context))
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        if self.fault.keeps_key() {
            if self.hidden.contains(&self.inner.id()) {
                return Err(Error::NotInGroup);
            }
            if message.bytes.last() == Some(&HIDES) {
                return self.hide(message);
            }
        }
        if self.fault == Fault::FakesUpdates && message.bytes.last() == Some(&SAYS_UPDATED) {
            let events = vec![Event::Updated { by: message.author }];
            return Ok(Received { events, ..Received::default() });
        }
        assert!(self.fault != Fault::Panics || !message.bytes.is_empty(), "the intended panic");
        let (bytes, leaked) = self.uncover(message.bytes)?;
        if self.is_removed() && !leaked.is_empty() {
            let events = vec![Event::Message { from: message.author, plaintext: leaked }];
            return Ok(Received { events, ..Received::default() });
        }
        let genuine = Incoming { bytes: &bytes, ..*message };
        let before = self.inner.duplicate();
        let result = self.with_randomness(context, |inner, context| inner.receive_one(&genuine, context));
        let is_update =
            |received: &Received| received.events.iter().any(|event| matches!(event, Event::Updated { .. }));
        if self.fault == Fault::LosesCrossingUpdates && !self.kept.is_empty() && result.as_ref().is_ok_and(is_update) {
            self.inner = before;
            return Ok(Received::default());
        }
        if self.fault == Fault::KeepsTraces && result.is_err() {
            self.kept.push(0);
        }
        let mut received = result?;
        received.outgoing = self.disguise(received.outgoing, &[]);
        Ok(received)
    }

    fn fingerprints(&self) -> Option<Vec<(MemberId, [u8; 32])>> {
        if matches!(self.fault, Fault::KeepsKeyUnseen | Fault::FakesUpdates) {
            return None;
        }
        let mut shown = self.inner.fingerprints()?;
        shown.retain(|(member, _)| !self.hidden.contains(member));
        Some(shown)
    }

    fn export(&self) -> Vec<u8> {
        let mut state = Vec::new();
        put_prefixed(&mut state, &self.inner.export());
        put_prefixed(&mut state, &self.kept);
        let hidden: Vec<u8> = self.hidden.iter().flat_map(|member| member.0).collect();
        put_prefixed(&mut state, &hidden);
        state
    }

    fn duplicate(&self) -> Box<dyn Member> {
        let (inner, memory) = (self.inner.duplicate(), self.memory.clone());
        let (kept, hidden) = (self.kept.clone(), self.hidden.clone());
        Box::new(Self { inner, fault: self.fault, memory, kept, hidden })
    }
}

/// A generator that returns the same byte forever.
struct Constant;

impl TryRng for Constant {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0x2a2a_2a2a)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0x2a2a_2a2a_2a2a_2a2a)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0x2a);
        Ok(())
    }
}

impl TryCryptoRng for Constant {}
