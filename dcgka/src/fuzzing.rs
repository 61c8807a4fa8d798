//! Access to two-party channels for its fuzz target and its bench: it is private to the crate. Not part of the crate's interface.

use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SigningKey, VERIFICATION_KEY_LEN};
use protocol::directory::Directory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::wire::codec::Reader;
use protocol::x3dh::{PrekeySecrets, Publication};
use rand_core::CryptoRng;

use crate::rules::Rules;
use crate::two_party::lean::Ephemeral;
use crate::two_party::{Binding, Sealing, Slot, TwoParty, decode_header};

const GROUP: GroupId = GroupId([0; protocol::id::GROUP_ID_LEN]);

/// One side of a two-party channel, with the keys of the user who has it.
#[derive(Clone)]
pub struct Side {
    id: MemberId,
    key: [u8; VERIFICATION_KEY_LEN],
    prekeys: PrekeySecrets,
    channel: TwoParty,
    rules: Rules,
}

impl Side {
    /// A user with `one_time` one-time prekeys, and what it publishes. Its channel is lean, or 2SM.
    pub fn new(lean: bool, one_time: usize, rng: &mut dyn CryptoRng) -> (Self, Publication) {
        let rules = if lean { Rules::LeanChannels } else { Rules::Corrected };
        let identity = SigningKey::random(rng);
        let (prekeys, publication) = PrekeySecrets::generate(&identity, one_time, rng);
        let key = *identity.verification_key().as_bytes();
        (Self { id: MemberId(key), key, prekeys, channel: TwoParty::default(), rules }, publication)
    }

    /// The user's id.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// The ciphertexts of the user's message `number`: the header, and a slot with `secret`.
    pub fn send(
        &mut self,
        to: &MemberId,
        number: u32,
        secret: &Secret,
        directory: &dyn Directory,
        rng: &mut dyn CryptoRng,
    ) -> Vec<u8> {
        let Self { id: sender, key: sender_key, prekeys: own, channel, rules } = self;
        let ephemeral = rules.lean_channels().then(|| Ephemeral::random(rng));
        let header = ephemeral.as_ref().map_or(&[][..], Ephemeral::header);
        let binding = Binding { group: &GROUP, sender, sender_key, recipient: to, number, header, rules: *rules };
        let mut out = header.to_vec();
        let sealing = Sealing { own, directory, rng, ephemeral: ephemeral.as_ref(), shared: None };
        channel.send(secret, &binding, sealing, &mut out);
        out
    }

    /// The secret in the ciphertexts of the peer's message `number`. `None` if they do not open.
    pub fn receive(&mut self, from: &Self, number: u32, slot: &[u8], directory: &dyn Directory) -> Option<Secret> {
        let mut reader = Reader::new(slot);
        let (sender, sender_key, recipient, rules) = (&from.id, &from.key, &self.id, self.rules);
        let header = decode_header(&mut reader, rules).ok()?;
        let slot = Slot::decode(&mut reader, header, rules).ok()?;
        reader.finish().ok()?;
        let binding = Binding { group: &GROUP, sender, sender_key, recipient, number, header, rules };
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
        self.channel.encode(self.rules, &mut out);
        out
    }

    /// The same user with the state that [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`] if `state` is no such encoding.
    pub fn decode(&self, state: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(state);
        let (prekeys, channel) = (PrekeySecrets::decode(&mut reader)?, TwoParty::decode(&mut reader, self.rules)?);
        reader.finish().map(|()| Self { id: self.id, key: self.key, prekeys, channel, rules: self.rules })
    }
}
