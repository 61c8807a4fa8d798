//! Access to 2SM for its fuzz target and its bench: it is private to the crate. Not part of the crate's interface.

use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SigningKey, VERIFICATION_KEY_LEN};
use protocol::directory::Directory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::wire::codec::Reader;
use protocol::x3dh::{PrekeySecrets, Publication};
use rand_core::CryptoRng;

use crate::rules::Rules;
use crate::two_party::{Binding, Slot, TwoParty};

const GROUP: GroupId = GroupId([0; protocol::id::GROUP_ID_LEN]);

/// One side of a two-party channel, with the keys of the user who has it.
#[derive(Clone)]
pub struct Side {
    id: MemberId,
    key: [u8; VERIFICATION_KEY_LEN],
    prekeys: PrekeySecrets,
    channel: TwoParty,
}

impl Side {
    /// A user with `one_time` one-time prekeys, and what it publishes.
    pub fn new(one_time: usize, rng: &mut dyn CryptoRng) -> (Self, Publication) {
        let identity = SigningKey::random(rng);
        let (prekeys, publication) = PrekeySecrets::generate(&identity, one_time, rng);
        let key = *identity.verification_key().as_bytes();
        (Self { id: MemberId(key), key, prekeys, channel: TwoParty::default() }, publication)
    }

    /// The user's id.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// A slot with `secret` in the user's message `number`.
    pub fn send(
        &mut self,
        to: &MemberId,
        number: u32,
        secret: &Secret,
        directory: &dyn Directory,
        rng: &mut dyn CryptoRng,
    ) -> Vec<u8> {
        let Self { id: sender, key: sender_key, prekeys, channel } = self;
        let rules = Rules::Corrected;
        let binding = Binding { group: &GROUP, sender, sender_key, recipient: to, number, rules };
        let mut slot = Vec::new();
        channel.send(secret, &binding, prekeys, directory, rng, &mut slot);
        slot
    }

    /// The secret in a slot of the peer's message `number`. `None` if it does not open.
    pub fn receive(&mut self, from: &Self, number: u32, slot: &[u8], directory: &dyn Directory) -> Option<Secret> {
        let mut reader = Reader::new(slot);
        let slot = Slot::decode(&mut reader).ok()?;
        reader.finish().ok()?;
        let (sender, sender_key, rules) = (&from.id, &from.key, Rules::Corrected);
        let binding = Binding { group: &GROUP, sender, sender_key, recipient: &self.id, number, rules };
        self.channel.receive(&slot, &binding, &mut self.prekeys, directory)
    }

    /// Records that the peer has delivered the user's message `number`.
    pub fn acknowledged(&mut self, number: u32) {
        self.channel.acknowledged(number);
    }

    /// How many private keys are kept for the peer to encrypt to.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.channel.kept()
    }

    /// The state of channel and prekeys as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.prekeys.encode(&mut out);
        self.channel.encode(&mut out);
        out
    }

    /// The same user with the state that [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`] if `state` is no such encoding.
    pub fn decode(&self, state: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(state);
        let (prekeys, channel) = (PrekeySecrets::decode(&mut reader)?, TwoParty::decode(&mut reader)?);
        reader.finish().map(|()| Self { id: self.id, key: self.key, prekeys, channel })
    }
}
