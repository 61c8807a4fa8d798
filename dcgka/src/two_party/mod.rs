//! 2SM: secrets from one member to another, with forward secrecy and post-compromise security for each message (paper,
//! section 6.1).
//!
//! With each message the sender makes a new key pair for itself and one for the recipient, whose private key it sends
//! along. So every message replaces the keys of both directions, whichever side sends it.
//!
//! ```text
//! origin 1..5 | 1 (prekeys): ephemeral key 32, one-time prekey 4   | AEAD( secret 32, b 32, A 32, index 4 ) | tag 16
//!             | else (HPKE): encapsulated key 32                   |
//! ```
//!
//! Origin 0 is an empty slot: the recipient could not be encrypted to. 1: the recipient's prekeys. 2: the key that the
//! sender made in its last message. 2 + i: the recipient's own key number i. If that is a fresh key, which the recipient
//! has named in a message of its own and not in a ciphertext, the slot has the same form, but is X3DH with that key in
//! the place of the signed prekey: such a message alone says nothing reliable of who the two are.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::crypto::dh::{PRIVATE_KEY_LEN, PUBLIC_KEY_LEN, PrivateKey, PublicKey};
use protocol::crypto::hpke;
use protocol::crypto::label;
use protocol::crypto::secret::{SECRET_LEN, Secret, SecretBytes};
use protocol::crypto::signature::VERIFICATION_KEY_LEN;
use protocol::directory::Directory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::wire::codec::{Reader, put_len, put_varint};
use protocol::x3dh::{self, PeerBundle, PrekeySecrets};
use rand_core::CryptoRng;

use crate::limits::MAX_KEPT_KEYS;
use crate::rules::Rules;

/// Bytes of the plaintext: the secret, the peer's next private key, my next public key and its index.
pub(crate) const PAYLOAD_LEN: usize = SECRET_LEN + PRIVATE_KEY_LEN + PUBLIC_KEY_LEN + INDEX_LEN;
/// Bytes of a slot encrypted to prekeys.
pub(crate) const COLD_LEN: usize = 1 + x3dh::OVERHEAD + PAYLOAD_LEN;
/// Bytes of a slot encrypted with HPKE, for an origin of one byte.
pub(crate) const WARM_LEN: usize = 1 + hpke::OVERHEAD + PAYLOAD_LEN;

const INDEX_LEN: usize = 4;
const EMPTY: u32 = 0;
const PREKEYS: u32 = 1;
const MADE_BY_SENDER: u32 = 2;

/// In an export: fresh keys of mine exist; and which kind of key the peer's is.
const HAS_FRESH: u8 = 2;
const ORDINARY_KEY: u8 = 1;
const FRESH_KEY: u8 = 2;

/// A two-party ciphertext in a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot<'a> {
    Empty,
    Full { origin: u32, sealed: &'a [u8] },
}

impl<'a> Slot<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let origin = reader.varint()?;
        let overhead = match origin {
            EMPTY => return Ok(Self::Empty),
            PREKEYS => x3dh::OVERHEAD,
            _ => hpke::OVERHEAD,
        };
        Ok(Self::Full { origin, sealed: reader.bytes(overhead + PAYLOAD_LEN)? })
    }

    pub(crate) fn put_empty(out: &mut Vec<u8>) {
        put_varint(out, EMPTY);
    }
}

/// What a ciphertext is bound to: one message of one sender to one recipient.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) sender: &'a MemberId,
    /// The key that verifies the message which carries the ciphertext.
    pub(crate) sender_key: &'a [u8; VERIFICATION_KEY_LEN],
    pub(crate) recipient: &'a MemberId,
    pub(crate) number: u32,
    pub(crate) rules: Rules,
}

impl Binding<'_> {
    /// The parts have fixed lengths, so they need no prefixes.
    fn info(&self) -> Vec<u8> {
        [label::TWO_PARTY, &self.group.0, &self.sender.0, &self.recipient.0].concat()
    }

    fn associated(&self) -> Vec<u8> {
        let key: &[u8] = if self.rules.binds_senders_key() { self.sender_key } else { &[] };
        [key, &self.number.to_be_bytes()].concat()
    }

    fn both(&self) -> Vec<u8> {
        [self.info(), self.associated()].concat()
    }
}

/// A key of the peer.
#[derive(Clone, Copy)]
struct PeerKey {
    key: PublicKey,
    /// What my next message says of it.
    origin: u32,
    /// Whether it is a fresh key.
    fresh: bool,
}

/// One member's side of the channel to another.
#[derive(Clone, Default)]
pub(crate) struct TwoParty {
    /// My private keys that the peer may still encrypt to, by index.
    mine: BTreeMap<u32, PrivateKey>,
    /// Which of them are fresh keys.
    fresh: BTreeSet<u32>,
    last_index: u32,
    /// The private key that the peer made for me in its last message.
    received: Option<PrivateKey>,
    /// The peer's key that I encrypt to next. `None`: the peer's prekeys.
    peer: Option<PeerKey>,
    /// Message number and index of each ciphertext that the peer has not acknowledged.
    sent: VecDeque<(u32, u32)>,
    /// The peer's identity key, once its bundle has been checked.
    peer_identity: Option<PublicKey>,
    /// The peer's bundle, if it was fetched ahead of the first ciphertext. It is used in the same call, so it is not
    /// exported.
    bundle: Option<PeerBundle>,
}

impl TwoParty {
    /// How many private keys are kept for the peer to encrypt to.
    pub(crate) fn kept(&self) -> usize {
        self.mine.len()
    }

    /// Forgets the key that the peer's last message brought.
    #[cfg(test)]
    pub(crate) fn lose_received(&mut self) {
        self.received = None;
    }

    /// Forgets all keys to which the peer may encrypt.
    #[cfg(test)]
    pub(crate) fn lose_all(&mut self) {
        self.received = None;
        self.mine.clear();
    }

    /// Fetches and checks the peer's bundle for the first ciphertext, which then takes it from here.
    ///
    /// [`Error::NoBundle`] if the directory has no valid one.
    pub(crate) fn fetch_bundle(&mut self, peer: &MemberId, directory: &dyn Directory) -> Result<(), Error> {
        self.bundle = Some(x3dh::peer_bundle(peer, directory)?);
        Ok(())
    }

    /// Appends a slot with `secret`; an empty one if the peer has no valid bundle or the channel is full. Returns whether
    /// it is full.
    pub(crate) fn send(
        &mut self,
        secret: &Secret,
        binding: &Binding<'_>,
        own: &PrekeySecrets,
        directory: &dyn Directory,
        rng: &mut dyn CryptoRng,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(index) = self.next_index() else {
            Slot::put_empty(out);
            return false;
        };
        let (mine, theirs) = (PrivateKey::random(rng), PrivateKey::random(rng));
        let mut payload = SecretBytes::with_capacity(PAYLOAD_LEN);
        payload.put(secret.expose());
        payload.put(theirs.as_secret().expose());
        payload.put(&mine.public_key().0);
        payload.put(&index.to_be_bytes());
        let (origin, sealed) = match self.peer {
            Some(PeerKey { key, origin, fresh: false }) => {
                (origin, hpke::seal(&key, &binding.info(), &binding.associated(), payload.expose(), rng))
            }
            Some(PeerKey { key, origin, fresh: true }) => {
                (origin, self.send_to_fresh(key, binding, own, directory, payload.expose(), rng))
            }
            None => (PREKEYS, self.send_first_contact(binding, own, directory, payload.expose(), rng)),
        };
        let Ok(sealed) = sealed else {
            Slot::put_empty(out);
            return false;
        };
        put_varint(out, origin);
        out.extend_from_slice(&sealed);
        self.mine.insert(index, mine);
        self.last_index = index;
        self.peer = Some(PeerKey { key: theirs.public_key(), origin: MADE_BY_SENDER, fresh: false });
        self.sent.push_back((binding.number, index));
        true
    }

    /// A fresh key of mine, to be sent to the peer in a message that I sign. `None` if there is no index for it.
    pub(crate) fn renew(&mut self, rng: &mut dyn CryptoRng) -> Option<FreshKey> {
        // Otherwise a peer that uses none of the keys could keep me from asking.
        if self.kept() >= MAX_KEPT_KEYS {
            self.forget_through(self.last_index);
        }
        let index = self.next_index()?;
        let mine = PrivateKey::random(rng);
        let key = mine.public_key();
        self.mine.insert(index, mine);
        self.fresh.insert(index);
        self.last_index = index;
        Some(FreshKey { index, key })
    }

    /// The peer's fresh key: my next ciphertext is encrypted to it.
    pub(crate) fn renewed(&mut self, fresh: &FreshKey) {
        let Some(origin) = origin_of(fresh.index) else { return };
        self.peer = Some(PeerKey { key: fresh.key, origin, fresh: true });
        // Of a full channel, the peer has lost what I have sent: it uses none of these keys.
        if self.kept() >= MAX_KEPT_KEYS {
            self.forget_through(self.last_index);
        }
    }

    /// The index of my next key; `None` if the channel is full.
    fn next_index(&self) -> Option<u32> {
        self.last_index.checked_add(1).filter(|_| self.kept() < MAX_KEPT_KEYS)
    }

    /// The secret in a slot. `None` if it does not open; then nothing has changed. (If it opens and its content is no
    /// payload, a one-time prekey is used up, as it must be.)
    pub(crate) fn receive(
        &mut self,
        slot: &Slot<'_>,
        binding: &Binding<'_>,
        own: &mut PrekeySecrets,
        directory: &dyn Directory,
    ) -> Option<Secret> {
        let Slot::Full { origin, sealed } = *slot else { return None };
        let open = |key: &PrivateKey| hpke::open(key, &binding.info(), &binding.associated(), sealed).ok();
        let payload = match origin {
            PREKEYS => self.receive_first_contact(binding, own, directory, sealed)?,
            MADE_BY_SENDER => open(self.received.as_ref()?)?,
            origin => {
                let index = origin - MADE_BY_SENDER;
                let key = self.mine.get(&index)?;
                if self.fresh.contains(&index) {
                    let identity = self.identity_of(binding.sender, directory)?;
                    let payload = x3dh::open_with_fresh(own, key, &identity, &binding.both(), sealed).ok()?;
                    self.peer_identity = Some(identity);
                    payload
                } else {
                    open(key)?
                }
            }
        };
        let payload = Payload::decode(payload.expose()).ok()?;
        let next_origin = origin_of(payload.index)?;
        if let Some(used) = origin.checked_sub(MADE_BY_SENDER) {
            self.forget_through(used);
        }
        self.received = Some(payload.private);
        self.peer = Some(PeerKey { key: payload.public, origin: next_origin, fresh: false });
        Some(payload.secret)
    }

    /// The peer has delivered my message with this number: it will no longer use keys older than the one in the last
    /// ciphertext up to that message.
    pub(crate) fn acknowledged(&mut self, number: u32) {
        // Only a message with a ciphertext for the peer shows that the peer opened one.
        if self.sent.binary_search_by_key(&number, |(sent, _)| *sent).is_err() {
            return;
        }
        let acknowledged = self.sent.partition_point(|(sent, _)| *sent <= number);
        let newest = self.sent.drain(..acknowledged).next_back();
        if let Some((_, newest)) = newest {
            self.forget_through(newest.saturating_sub(1));
        }
    }

    fn forget_through(&mut self, index: u32) {
        self.sent.drain(..self.sent.partition_point(|(_, sent)| *sent <= index));
        match index.checked_add(1) {
            Some(next) => {
                self.mine = self.mine.split_off(&next);
                self.fresh = self.fresh.split_off(&next);
            }
            None => {
                self.mine.clear();
                self.fresh.clear();
            }
        }
    }

    fn send_first_contact(
        &mut self,
        binding: &Binding<'_>,
        own: &PrekeySecrets,
        directory: &dyn Directory,
        payload: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        let bundle = match self.bundle.take() {
            Some(bundle) => bundle,
            None => x3dh::peer_bundle(binding.recipient, directory)?,
        };
        self.peer_identity = Some(bundle.identity);
        let one_time = directory.one_time(binding.recipient);
        x3dh::seal(own, &bundle, one_time.as_deref(), &binding.both(), payload, rng)
    }

    fn send_to_fresh(
        &mut self,
        key: PublicKey,
        binding: &Binding<'_>,
        own: &PrekeySecrets,
        directory: &dyn Directory,
        payload: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        let identity = self.identity_of(binding.recipient, directory).ok_or(Error::NoBundle)?;
        self.peer_identity = Some(identity);
        x3dh::seal_to_fresh(own, &PeerBundle { identity, signed: key }, &binding.both(), payload, rng)
    }

    /// The peer's identity key, from the directory if it is not known yet.
    fn identity_of(&self, peer: &MemberId, directory: &dyn Directory) -> Option<PublicKey> {
        self.peer_identity.or_else(|| x3dh::peer_bundle(peer, directory).ok().map(|bundle| bundle.identity))
    }

    fn receive_first_contact(
        &mut self,
        binding: &Binding<'_>,
        own: &mut PrekeySecrets,
        directory: &dyn Directory,
        sealed: &[u8],
    ) -> Option<SecretBytes> {
        let identity = self.identity_of(binding.sender, directory)?;
        let payload = x3dh::open(own, &identity, &binding.both(), sealed).ok()?;
        self.peer_identity = Some(identity);
        Some(payload)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.last_index);
        put_len(out, self.mine.len());
        for (index, key) in &self.mine {
            put_varint(out, *index);
            out.extend_from_slice(key.as_secret().expose());
        }
        out.push(u8::from(self.received.is_some()) + if self.fresh.is_empty() { 0 } else { HAS_FRESH });
        if !self.fresh.is_empty() {
            put_len(out, self.fresh.len());
            self.fresh.iter().for_each(|index| put_varint(out, *index));
        }
        out.extend(self.received.iter().flat_map(|key| key.as_secret().expose()));
        out.push(self.peer.map_or(0, |peer| if peer.fresh { FRESH_KEY } else { ORDINARY_KEY }));
        if let Some(PeerKey { key, origin, .. }) = &self.peer {
            out.extend_from_slice(&key.0);
            put_varint(out, *origin);
        }
        put_len(out, self.sent.len());
        for (number, index) in &self.sent {
            put_varint(out, *number);
            put_varint(out, *index);
        }
        out.push(self.peer_identity.is_some().into());
        out.extend(self.peer_identity.iter().flat_map(|key| key.0));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let private = |reader: &mut Reader<'_>| Ok::<_, Error>(PrivateKey::from_secret(Secret::new(reader.array()?)));
        let mut state = Self { last_index: reader.varint()?, ..Self::default() };
        for _ in 0..reader.count(1 + PRIVATE_KEY_LEN)? {
            let index = reader.varint()?;
            state.mine.insert(index, private(reader)?);
        }
        let flags = Some(reader.byte()?).filter(|flags| *flags <= 1 + HAS_FRESH).ok_or(Error::Malformed)?;
        if flags >= HAS_FRESH {
            for _ in 0..reader.count(1)? {
                state.fresh.insert(reader.varint()?);
            }
        }
        state.received = (flags % HAS_FRESH == 1).then(|| private(reader)).transpose()?;
        let fresh = match reader.byte()? {
            0 => None,
            ORDINARY_KEY => Some(false),
            FRESH_KEY => Some(true),
            _ => return Err(Error::Malformed),
        };
        if let Some(fresh) = fresh {
            state.peer = Some(PeerKey { key: PublicKey(reader.array()?), origin: reader.varint()?, fresh });
        }
        for _ in 0..reader.count(2)? {
            state.sent.push_back((reader.varint()?, reader.varint()?));
        }
        state.peer_identity = reader.flag()?.then(|| reader.array().map(PublicKey)).transpose()?;
        Ok(state)
    }
}

/// The origin of a ciphertext to the recipient's own key with this index. Indices start at 1.
fn origin_of(index: u32) -> Option<u32> {
    MADE_BY_SENDER.checked_add(index).filter(|origin| *origin > MADE_BY_SENDER)
}

/// A key to which the peer is to encrypt next, outside any ciphertext.
#[derive(Clone, Copy)]
pub(crate) struct FreshKey {
    pub(crate) index: u32,
    pub(crate) key: PublicKey,
}

impl FreshKey {
    pub(crate) fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let fresh = Self { index: reader.varint()?, key: PublicKey(reader.array()?) };
        reader.finish().map(|()| fresh)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.index);
        out.extend_from_slice(&self.key.0);
        out
    }
}

struct Payload {
    secret: Secret,
    private: PrivateKey,
    public: PublicKey,
    index: u32,
}

impl Payload {
    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let payload = Self {
            secret: Secret::new(reader.array()?),
            private: PrivateKey::from_secret(Secret::new(reader.array()?)),
            public: PublicKey(reader.array()?),
            index: u32::from_be_bytes(reader.array()?),
        };
        reader.finish().map(|()| payload)
    }
}
