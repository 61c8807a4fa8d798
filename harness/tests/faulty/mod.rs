//! A wrapper around any backend, with one fault. In everything else it is correct: its exports are complete, its
//! formulas say what it does, and its members agree. Each fault is a file that says what it breaks.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod all_are_acks;
mod block_by_block;
mod chain_never_steps;
mod chain_restarts;
mod cipher;
mod constant_key;
mod constant_randomness;
mod counter_restarts;
mod counter_wraps;
mod declares_less;
mod deterministic_encryption;
mod fakes_updates;
mod fresh_keys;
mod hoards;
mod in_turns;
mod joins_unconfirmed;
mod keeps_key;
mod keeps_prekeys;
mod keeps_traces;
mod key_again_in_flight;
mod leaks;
mod lies;
mod loses_acks;
mod loses_crossing_updates;
mod loses_early_messages;
mod loses_messages_of_old_epochs;
mod loses_overtaken_messages;
mod loses_what_updates_release;
mod note;
mod one_chain_for_all;
mod only_in_large_groups;
mod overlapping_keystreams;
mod panics;
mod plaintext_in_clear;
mod reads_again;
mod same_in_all_groups;
mod secret_in_clear;
mod skips_ack;
mod skips_signature;
mod stale_randomness;
mod sums_in_large_groups;
mod trusts_rounds;
mod unmended;
mod unsigned_group;
mod unsigned_number;
mod wrong_formulas;

pub(crate) use all_are_acks::AllAreAcks;
pub(crate) use block_by_block::BlockByBlock;
pub(crate) use chain_never_steps::ChainNeverSteps;
pub(crate) use chain_restarts::ChainRestarts;
pub(crate) use cipher::Recrypted;
pub(crate) use constant_key::ConstantKey;
pub(crate) use constant_randomness::ConstantRandomness;
pub(crate) use counter_restarts::CounterRestarts;
pub(crate) use counter_wraps::CounterWraps;
pub(crate) use declares_less::DeclaresLess;
pub(crate) use deterministic_encryption::DeterministicEncryption;
pub(crate) use fakes_updates::FakesUpdates;
pub(crate) use fresh_keys::FreshKeys;
pub(crate) use hoards::Hoards;
pub(crate) use in_turns::{Impatience, InTurns};
pub(crate) use joins_unconfirmed::JoinsUnconfirmed;
pub(crate) use keeps_key::KeepsKey;
pub(crate) use keeps_prekeys::KeepsPrekeys;
pub(crate) use keeps_traces::KeepsTraces;
pub(crate) use key_again_in_flight::KeyAgainInFlight;
pub(crate) use leaks::Leaks;
pub(crate) use lies::Lies;
pub(crate) use loses_acks::LosesAcks;
pub(crate) use loses_crossing_updates::LosesCrossingUpdates;
pub(crate) use loses_early_messages::LosesEarlyMessages;
pub(crate) use loses_messages_of_old_epochs::LosesMessagesOfOldEpochs;
pub(crate) use loses_overtaken_messages::LosesOvertakenMessages;
pub(crate) use loses_what_updates_release::LosesWhatUpdatesRelease;
pub(crate) use one_chain_for_all::OneChainForAll;
pub(crate) use only_in_large_groups::OnlyInLargeGroups;
pub(crate) use overlapping_keystreams::OverlappingKeystreams;
pub(crate) use panics::Panics;
pub(crate) use plaintext_in_clear::PlaintextInClear;
pub(crate) use reads_again::ReadsAgain;
pub(crate) use same_in_all_groups::SameInAllGroups;
pub(crate) use secret_in_clear::SecretInClear;
pub(crate) use skips_ack::SkipsAck;
pub(crate) use skips_signature::SkipsSignature;
pub(crate) use stale_randomness::StaleRandomness;
pub(crate) use sums_in_large_groups::SumsInLargeGroups;
pub(crate) use trusts_rounds::TrustsRounds;
pub(crate) use unmended::Unmended;
pub(crate) use unsigned_group::UnsignedGroup;
pub(crate) use unsigned_number::UnsignedNumber;
pub(crate) use wrong_formulas::{WrongFormulas, said_of};

use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Description, Fingerprints, Incoming, Member, NewUser, Outgoing, Received};
use protocol::operation::{Expected, Operation};
use protocol::wire::codec::{Reader, put_prefixed};
use rand_core::CryptoRng;

/// A call of a member.
#[derive(Clone, Copy)]
pub(crate) enum Action<'a> {
    Create(&'a [MemberId]),
    CreateMesh(&'a [MemberId]),
    Add(&'a MemberId),
    Remove(&'a MemberId),
    Update,
    Send(&'a [u8]),
}

impl Action<'_> {
    /// Makes the call.
    fn of(self, member: &mut dyn Member, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        match self {
            Action::Create(others) => member.create(others, context),
            Action::CreateMesh(others) => member.create_mesh(others, context),
            Action::Add(user) => member.add(user, context),
            Action::Remove(user) => member.remove(user, context),
            Action::Update => member.update(context),
            Action::Send(plaintext) => member.send(plaintext, context),
        }
    }
}

/// What is wrong with a member. Each method does what is right, unless a fault says otherwise. A fault can have a state.
pub(crate) trait Fault: Copied + Send + Sync {
    /// Lets the inner member act.
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        action.of(&mut **inner, context)
    }

    /// Lets the inner member receive a message.
    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        inner.receive_one(message, context)
    }

    /// This number of messages arrives in one batch.
    fn batch(&mut self, _len: usize) {}

    /// What becomes of the bytes of a message that the inner member sends.
    fn sends(&self, _message: &mut Outgoing) {}

    /// Reverses [`Fault::sends`].
    fn arrives(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(bytes.to_vec())
    }

    fn members(&self, inner: &dyn Member) -> Vec<MemberId> {
        inner.members()
    }

    fn fingerprints(&self, inner: &dyn Member) -> Option<Fingerprints> {
        inner.fingerprints()
    }

    fn made(&mut self, _user: &NewUser) {}

    fn description(&self, right: Description) -> Description {
        right
    }

    fn expected(
        &self,
        _operation: Operation,
        _group_size: usize,
        right: &dyn Fn() -> Option<Expected>,
    ) -> Option<Expected> {
        right()
    }

    fn conflicts(&self) -> Option<usize> {
        None
    }

    /// The fault's state in an export.
    fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over the state from an export.
    fn decode(&mut self, _state: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

/// What is copied with its member.
pub(crate) trait Copied {
    fn copied(&self) -> Box<dyn Fault>;
}

impl<F: Fault + Clone + 'static> Copied for F {
    fn copied(&self) -> Box<dyn Fault> {
        Box::new(self.clone())
    }
}

/// No fault.
#[derive(Clone)]
pub(crate) struct Correct;

impl Fault for Correct {}

/// A backend with a fault.
pub(crate) struct Faulty {
    base: Box<dyn Backend>,
    fault: Box<dyn Fault>,
}

impl Faulty {
    pub(crate) fn new(base: Box<dyn Backend>, fault: impl Fault + 'static) -> Self {
        Self { base, fault: Box::new(fault) }
    }

    /// The inner member's export, and the fault with its state.
    fn parse<'a>(&self, state: &'a [u8]) -> Result<(&'a [u8], Box<dyn Fault>), Error> {
        let (mut reader, mut fault) = (Reader::new(state), self.fault.copied());
        let inner = reader.prefixed()?;
        fault.decode(reader.prefixed()?)?;
        reader.finish().map(|()| (inner, fault))
    }
}

impl Backend for Faulty {
    fn description(&self) -> Description {
        self.fault.description(self.base.description())
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let user = self.base.new_user(one_time_prekeys, rng);
        let mut fault = self.fault.copied();
        fault.made(&user);
        NewUser { member: Box::new(FaultyMember { inner: user.member, fault }), ..user }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        let (inner, fault) = self.parse(state).map_err(|_| Error::BadExport)?;
        Ok(Box::new(FaultyMember { inner: self.base.restore(inner)?, fault }))
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        let (inner, fault) = self.parse(state).map_err(|_| Error::BadExport)?;
        Ok(Box::new(FaultyMember { inner: self.base.steal(inner)?, fault }))
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        self.fault.expected(operation, group_size, &|| self.base.expected(operation, group_size))
    }

    fn has(&self, operation: Operation, group_size: usize) -> bool {
        self.base.has(operation, group_size)
    }
}

struct FaultyMember {
    inner: Box<dyn Member>,
    fault: Box<dyn Fault>,
}

impl FaultyMember {
    fn act(&mut self, action: Action<'_>, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let mut sent = self.fault.act(&mut self.inner, action, context)?;
        sent.iter_mut().for_each(|message| self.fault.sends(message));
        Ok(sent)
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
        self.fault.members(&*self.inner)
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(Action::Create(others), context)
    }

    fn create_mesh(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(Action::CreateMesh(others), context)
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(Action::Add(user), context)
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(Action::Remove(user), context)
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(Action::Update, context)
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(Action::Send(plaintext), context)
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let bytes = self.fault.arrives(message.bytes)?;
        let message = Incoming { bytes: &bytes, ..*message };
        let mut received = self.fault.receive(&mut self.inner, &message, context)?;
        received.outgoing.iter_mut().for_each(|message| self.fault.sends(message));
        Ok(received)
    }

    fn receive(&mut self, batch: &[Incoming<'_>], context: &mut Context<'_>) -> Vec<Result<Received, Error>> {
        self.fault.batch(batch.len());
        let results = batch.iter().map(|message| self.receive_one(message, context)).collect();
        self.fault.batch(1);
        results
    }

    fn fingerprints(&self) -> Option<Fingerprints> {
        self.fault.fingerprints(&*self.inner)
    }

    fn conflicts(&self) -> Option<usize> {
        self.fault.conflicts()
    }

    fn export(&self) -> Vec<u8> {
        let mut state = Vec::new();
        put_prefixed(&mut state, &self.inner.export());
        put_prefixed(&mut state, &self.fault.encode());
        state
    }

    fn duplicate(&self) -> Box<dyn Member> {
        Box::new(Self { inner: self.inner.duplicate(), fault: self.fault.copied() })
    }
}
