//! The crate's state, through one of its two layers.

use std::collections::{BTreeSet, HashMap};

use p2panda_encryption::Rng;
use p2panda_encryption::key_manager::KeyManagerState;
use p2panda_encryption::message_scheme::dcgka::{Dcgka, DcgkaError, DcgkaState, ProcessInput, UpdateSecret};
use p2panda_encryption::message_scheme::group::GroupConfig;
use p2panda_encryption::message_scheme::{
    DecryptionRatchet, DecryptionRatchetState, GroupError, GroupEvent, GroupState, MessageGroup, RatchetError,
    RatchetSecret, RatchetSecretState, decrypt_message, encrypt_message,
};
use p2panda_encryption::two_party::{TwoPartyError, X3dhError};
use serde::{Deserialize, Serialize};

use crate::ids::{Id, Op};
use crate::keys::{Keys, Registry};
use crate::ordering::{Body, Passage, Passing, Post};
use crate::roster::{Dgm, Roster};
use crate::wire::{Change, Direct};

type Agreement = Dcgka<Id, Op, Registry, Dgm, Keys>;
type AgreementState = DcgkaState<Id, Op, Registry, Dgm, Keys>;
type Messaging = MessageGroup<Id, Op, Registry, Dgm, Keys, Passing>;
type MessagingState = GroupState<Id, Op, Registry, Dgm, Keys, Passing>;

/// Which layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Group,
    Dcgka,
}

/// The state of a layer. A state that is not there was lost in a call that cannot fail.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Layer {
    /// The crate's groups.
    Group(Option<Box<MessagingState>>),
    /// The key agreement alone, with the crate's ratchets put beside it.
    Dcgka(Box<Bare>),
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Bare {
    me: Id,
    agreement: Option<AgreementState>,
    /// For my messages.
    ratchet: Option<RatchetSecretState>,
    /// For those of others.
    readers: HashMap<Id, DecryptionRatchetState>,
}

/// Why a call has failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It needs a bundle of this user.
    NeedsBundle(Id),
    /// A bundle that it was given is not valid.
    BadBundle,
    /// This key has been used before.
    KeyUsed,
    /// Anything else: what it was given does not fit.
    Other,
}

/// A control message of mine, with its direct messages.
pub(crate) type Sent = (Change, Vec<Direct>);

/// Replaces a state by what a call makes of it. The crate consumes a state even if the call fails: a call that can fail gets
/// a copy.
fn advance<S: Clone, T, E>(
    slot: &mut Option<S>,
    can_fail: bool,
    call: impl FnOnce(S) -> Result<(S, T), E>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    let state = if can_fail { slot.clone() } else { slot.take() };
    let (state, result) = call(state.ok_or(Failure::Other)?)?;
    *slot = Some(state);
    Ok(result)
}

/// The same for a state in a box.
fn advance_boxed<S: Clone, T, E>(
    slot: &mut Option<Box<S>>,
    can_fail: bool,
    call: impl FnOnce(S) -> Result<(S, T), E>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    advance(slot, can_fail, |state| call(*state).map(|(state, result)| (Box::new(state), result)))
}

impl Layer {
    /// The state of a user in no group.
    pub(crate) fn new(kind: Kind, me: Id, keys: KeyManagerState) -> Self {
        let roster = Roster::new(me);
        match kind {
            Kind::Group => {
                let (order, config) = (Passage::new(me), GroupConfig::default());
                Self::Group(Some(Box::new(Messaging::init(me, keys, (), roster, order, config))))
            }
            Kind::Dcgka => {
                let agreement = Some(Agreement::init(me, keys, (), roster));
                Self::Dcgka(Box::new(Bare { me, agreement, ratchet: None, readers: HashMap::new() }))
            }
        }
    }

    pub(crate) fn members(&self) -> BTreeSet<Id> {
        let members = match self {
            Self::Group(state) => state.as_ref().and_then(|state| Messaging::members(state).ok()),
            Self::Dcgka(bare) => {
                bare.agreement.as_ref().and_then(|agreement| Agreement::member_view(agreement, &bare.me).ok())
            }
        };
        members.into_iter().flatten().collect()
    }

    /// Makes an operation of mine, which is the control message `op`.
    pub(crate) fn operate(&mut self, op: Op, operation: &Change, rng: &Rng) -> Result<Sent, Failure> {
        match self {
            Self::Group(state) => {
                let post = advance_boxed(state, true, |state| match operation {
                    Change::Create { initial_members } => Messaging::create(state, initial_members.clone(), rng),
                    Change::Add { added } => Messaging::add(state, *added, rng),
                    Change::Remove { removed } => Messaging::remove(state, *removed, rng),
                    _ => Messaging::update(state, rng),
                })?;
                post.control().ok_or(Failure::Other)
            }
            Self::Dcgka(bare) => bare.operate(op, operation, rng),
        }
    }

    /// Processes the control message `op` of somebody else. Returns my answer to it.
    pub(crate) fn process(
        &mut self,
        op: Op,
        change: Change,
        direct: Option<Direct>,
        rng: &Rng,
    ) -> Result<Option<Sent>, Failure> {
        // Without anything to decrypt, an acknowledgement only steps ratchets.
        let can_fail = direct.is_some() || !matches!(change, Change::Ack { .. } | Change::AddAck { .. });
        match self {
            Self::Group(state) => {
                let post = Post { op, body: Body::Control(change, direct.into_iter().collect()) };
                let output = advance_boxed(state, can_fail, |state| Messaging::receive(state, &post, rng))?;
                let mut events = output.into_iter().flat_map(|output| output.events);
                Ok(events.find_map(|event| match event {
                    GroupEvent::Control(post) => post.control(),
                    _ => None,
                }))
            }
            Self::Dcgka(bare) => {
                let input = ProcessInput { seq: op, sender: op.0, direct_message: direct, control_message: change };
                bare.process(input, can_fail, rng)
            }
        }
    }

    /// Encrypts. Returns the number in my ratchet, and the ciphertext.
    pub(crate) fn send(&mut self, plaintext: &[u8]) -> Result<(u32, Vec<u8>), Failure> {
        match self {
            Self::Group(state) => match advance_boxed(state, false, |state| Messaging::send(state, plaintext))?.body {
                Body::Text { generation, ciphertext } => Ok((generation, ciphertext)),
                Body::Control(..) => Err(Failure::Other),
            },
            Self::Dcgka(bare) => {
                let ratchet = bare.ratchet.take().ok_or(Failure::Other)?;
                let (ratchet, generation, key) = RatchetSecret::ratchet_forward(ratchet)?;
                bare.ratchet = Some(ratchet);
                Ok((generation, encrypt_message(plaintext, key).map_err(|_| Failure::Other)?))
            }
        }
    }

    /// Decrypts what somebody else has sent.
    pub(crate) fn open(
        &mut self,
        author: Id,
        generation: u32,
        ciphertext: &[u8],
        rng: &Rng,
    ) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Group(state) => {
                let body = Body::Text { generation, ciphertext: ciphertext.to_vec() };
                let post = Post { op: Op(author, 0), body };
                let output = advance_boxed(state, true, |state| Messaging::receive(state, &post, rng))?;
                let mut events = output.into_iter().flat_map(|output| output.events);
                let plaintext = events.find_map(|event| match event {
                    GroupEvent::Application { plaintext, .. } => Some(plaintext),
                    _ => None,
                });
                plaintext.ok_or(Failure::Other)
            }
            Self::Dcgka(bare) => bare.open(author, generation, ciphertext),
        }
    }
}

impl Bare {
    fn operate(&mut self, op: Op, operation: &Change, rng: &Rng) -> Result<Sent, Failure> {
        let output = advance(&mut self.agreement, true, |agreement| {
            let (agreement, output) = match operation {
                Change::Create { initial_members } => Agreement::create(agreement, initial_members.clone(), rng),
                Change::Add { added } => Agreement::add(agreement, *added, rng),
                Change::Remove { removed } => Agreement::remove(agreement, *removed, rng),
                _ => Agreement::update(agreement, rng),
            }?;
            Agreement::process_local(agreement, op, output, rng)
        })?;
        self.renew(output.me_update_secret);
        Ok((output.control_message, output.direct_messages))
    }

    fn process(
        &mut self,
        input: ProcessInput<Id, Op, Dgm>,
        can_fail: bool,
        rng: &Rng,
    ) -> Result<Option<Sent>, Failure> {
        let sender = input.sender;
        let output =
            advance(&mut self.agreement, can_fail, |agreement| Agreement::process_remote(agreement, input, rng))?;
        self.renew(output.me_update_secret);
        if let Some(secret) = output.sender_update_secret {
            self.readers.insert(sender, DecryptionRatchet::init(secret.into()));
        }
        Ok(output.control_message.map(|change| (change, output.direct_messages)))
    }

    fn renew(&mut self, secret: Option<UpdateSecret>) {
        if let Some(secret) = secret {
            self.ratchet = Some(RatchetSecret::init(secret.into()));
        }
    }

    fn open(&mut self, author: Id, generation: u32, ciphertext: &[u8]) -> Result<Vec<u8>, Failure> {
        let GroupConfig { maximum_forward_distance, out_of_order_tolerance } = GroupConfig::default();
        let reader = self.readers.get(&author).cloned().ok_or(Failure::Other)?;
        let (reader, key) = DecryptionRatchet::secret_for_decryption(
            reader,
            generation,
            maximum_forward_distance,
            out_of_order_tolerance,
        )?;
        let plaintext = decrypt_message(ciphertext, key).map_err(|_| Failure::Other)?;
        self.readers.insert(author, reader);
        Ok(plaintext)
    }
}

impl Post {
    fn control(self) -> Option<Sent> {
        match self.body {
            Body::Control(change, direct) => Some((change, direct)),
            Body::Text { .. } => None,
        }
    }
}

impl From<DcgkaError<Id, Op, Registry, Dgm, Keys>> for Failure {
    fn from(error: DcgkaError<Id, Op, Registry, Dgm, Keys>) -> Self {
        match error {
            DcgkaError::MissingPreKeys(user) => Self::NeedsBundle(user),
            DcgkaError::TwoParty(TwoPartyError::X3dh(X3dhError::KeyBundle(_))) => Self::BadBundle,
            _ => Self::Other,
        }
    }
}

impl From<GroupError<Id, Op, Registry, Dgm, Keys, Passing>> for Failure {
    fn from(error: GroupError<Id, Op, Registry, Dgm, Keys, Passing>) -> Self {
        match error {
            GroupError::Dcgka(error) => error.into(),
            GroupError::DecryptionRatchet(error) => error.into(),
            _ => Self::Other,
        }
    }
}

impl From<RatchetError> for Failure {
    fn from(error: RatchetError) -> Self {
        match error {
            RatchetError::SecretReuse => Self::KeyUsed,
            _ => Self::Other,
        }
    }
}
