//! Two-party channels: secrets from one member to another, with forward secrecy and post-compromise security for each
//! message.
//!
//! With each ciphertext the sender gets a new key pair of its own, and the recipient one too. So every ciphertext replaces
//! the keys of both directions, whichever side sends it. How that is done is a rule: [`two_sm`] sends the keys along (paper,
//! section 6.1), [`lean`] derives them. Which keys are kept, used and forgotten is the same for both, and stands here.
//!
//! A ciphertext names its *origin*, the key that it is encrypted to ([`slot::Origin`]): none, in an empty slot; the
//! recipient's prekeys; the key that the sender made for it in its last ciphertext; or a key of the recipient's own. If
//! that is a fresh key, which the recipient has named in a message of its own and not in a ciphertext, it is X3DH with that
//! key in the place of the signed prekey: such a message alone says nothing reliable of who the two are.

mod keys;
pub(crate) mod lean;
mod slot;
#[cfg(test)]
mod tests;
mod two_sm;

use std::collections::{BTreeMap, VecDeque};

use protocol::crypto::dh::{PRIVATE_KEY_LEN, PrivateKey, PublicKey};
use protocol::crypto::ristretto;
use protocol::crypto::secret::Secret;
use protocol::directory::Directory;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::wire::codec::{Reader, put_len, put_varint};
use protocol::x3dh::{self, PeerBundle, PrekeySecrets};
use rand_core::CryptoRng;

use crate::limits::MAX_KEPT_KEYS;
use crate::rules::Rules;
pub(crate) use keys::Binding;
use keys::{Announced, Made, Means, Private, Public, To};
use lean::Ephemeral;
pub(crate) use slot::{Header, Slot, cold_len, decode_header, header_len, payload_len, warm_len};
use slot::{Origin, last_named};

/// In an export: a received key is there, and fresh keys of mine are.
const HAS_RECEIVED: u8 = 1;
const HAS_FRESH: u8 = 2;
/// In an export: which kind of key the peer's is.
const ORDINARY_KEY: u8 = 1;
const FRESH_KEY: u8 = 2;
const ANNOUNCED_KEY: u8 = 3;

/// A private key of mine.
#[derive(Clone)]
enum Mine {
    /// Of a ciphertext of mine.
    Ordinary(Private),
    /// A fresh key.
    Fresh(PrivateKey),
}

/// What I encrypt to next.
#[derive(Clone)]
enum Theirs {
    /// A key of the channel, and what my next ciphertext says of it.
    Key(Public, Origin),
    /// The peer's fresh key.
    Fresh(FreshKey),
}

/// One side's means of making a message: what its ciphertexts need besides the channel.
pub(crate) struct Sealing<'a> {
    pub(crate) own: &'a PrekeySecrets,
    pub(crate) directory: &'a dyn Directory,
    pub(crate) rng: &'a mut dyn CryptoRng,
    /// The keys of the message's header, over lean channels.
    pub(crate) ephemeral: Option<&'a Ephemeral>,
    /// The secret shared with the recipient's key, if it has been computed together with others.
    pub(crate) shared: Option<Secret>,
}

/// One member's side of the channel to another.
#[derive(Clone, Default)]
pub(crate) struct TwoParty {
    /// My private keys that the peer may still encrypt to, by index: in 2SM a count, over lean channels the number of my
    /// message that announced the key.
    mine: BTreeMap<u32, Mine>,
    last_index: u32,
    /// The private key that the peer's last ciphertext made for me.
    received: Option<Private>,
    /// `None`: the peer's prekeys.
    peer: Option<Theirs>,
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

    /// The key of a lean channel that I encrypt to next. `None` if there is none, or none that one can encrypt to.
    pub(crate) fn peer_key(&mut self) -> Option<ristretto::PublicKey> {
        let Some(Theirs::Key(public, _)) = &mut self.peer else { return None };
        if let Public::Announced(announced) = public {
            *public = Public::Ristretto(announced.key()?);
        }
        match public {
            Public::Ristretto(key) => Some(*key),
            _ => None,
        }
    }

    /// Appends a slot with `secret`; an empty one if the peer has no valid bundle or the channel is full. Returns whether
    /// it is full.
    pub(crate) fn send(
        &mut self,
        secret: &Secret,
        binding: &Binding<'_>,
        sealing: Sealing<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let index = self.next_index(binding.number, binding.rules);
        let made = index.and_then(|index| Some((index, self.seal(secret, index, binding, sealing).ok()?)));
        let Some((index, (origin, Made { sealed, mine, theirs }))) = made else {
            Slot::put_empty(out);
            return false;
        };
        origin.put(binding.rules, out);
        out.extend_from_slice(&sealed);
        self.mine.insert(index, Mine::Ordinary(mine));
        self.last_index = index;
        self.peer = Some(Theirs::Key(theirs, Origin::Sender));
        self.sent.push_back((binding.number, index));
        true
    }

    fn seal(
        &mut self,
        secret: &Secret,
        index: u32,
        binding: &Binding<'_>,
        sealing: Sealing<'_>,
    ) -> Result<(Origin, Made), Error> {
        let Sealing { own, directory, rng, ephemeral, shared } = sealing;
        let lean = binding.rules.lean_channels();
        if lean && matches!(self.peer, Some(Theirs::Key(..))) {
            self.peer_key().ok_or(Error::NoBundle)?;
        }
        let (origin, to) = match &self.peer {
            Some(Theirs::Key(key, origin)) => (*origin, To::Key(key)),
            Some(Theirs::Fresh(FreshKey { index, key })) => {
                let identity = self.identity_of(binding.recipient, directory).ok_or(Error::NoBundle)?;
                let origin = if lean { Origin::Fresh(*index) } else { Origin::Own(*index) };
                let to = To::Fresh(PeerBundle { identity, signed: *key });
                self.peer_identity = Some(identity);
                (origin, to)
            }
            None => {
                let bundle = match self.bundle.take() {
                    Some(bundle) => bundle,
                    None => x3dh::peer_bundle(binding.recipient, directory)?,
                };
                self.peer_identity = Some(bundle.identity);
                (Origin::Prekeys, To::Prekeys(bundle, directory.one_time(binding.recipient)))
            }
        };
        let made = match ephemeral {
            Some(ephemeral) => lean::seal(&to, secret, (ephemeral, shared), (binding, origin), own, rng),
            None => two_sm::seal(&to, secret, index, binding, own, rng),
        };
        made.map(|made| (origin, made))
    }

    /// A fresh key of mine, to be sent to the peer in my message `number`, which I sign. `None` if there is no index for
    /// it.
    pub(crate) fn renew(&mut self, number: u32, rules: Rules, rng: &mut dyn CryptoRng) -> Option<FreshKey> {
        // Otherwise a peer that uses none of the keys could keep me from asking.
        if self.kept() >= MAX_KEPT_KEYS {
            self.forget_through(self.last_index);
        }
        let index = self.next_index(number, rules)?;
        let mine = PrivateKey::random(rng);
        let key = mine.public_key();
        self.mine.insert(index, Mine::Fresh(mine));
        self.last_index = index;
        Some(FreshKey { index, key })
    }

    /// The peer's fresh key: my next ciphertext is encrypted to it.
    pub(crate) fn renewed(&mut self, fresh: &FreshKey, rules: Rules) {
        if !is_index(fresh.index, rules) {
            return;
        }
        self.peer = Some(Theirs::Fresh(*fresh));
        // Of a full channel, the peer has lost what I have sent: it uses none of these keys.
        if self.kept() >= MAX_KEPT_KEYS {
            self.forget_through(self.last_index);
        }
    }

    /// The index of my next key, in my message `number`; `None` if the channel is full.
    fn next_index(&self, number: u32, rules: Rules) -> Option<u32> {
        let next = if rules.lean_channels() { Some(number) } else { self.last_index.checked_add(1) };
        next.filter(|_| self.kept() < MAX_KEPT_KEYS)
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
        let Slot::Full { origin, sealed, .. } = *slot else { return None };
        let lean = binding.rules.lean_channels();
        let means = match origin {
            Origin::Prekeys => Means::Prekeys(self.identity_of(binding.sender, directory)?),
            Origin::Sender => Means::Key(self.received.as_ref()?),
            Origin::Own(index) | Origin::Fresh(index) => match self.mine.get(&index)? {
                // Over lean channels the two have different forms.
                Mine::Ordinary(key) if matches!(origin, Origin::Own(_)) => Means::Key(key),
                Mine::Fresh(key) if !lean || matches!(origin, Origin::Fresh(_)) => {
                    Means::Fresh(key, self.identity_of(binding.sender, directory)?)
                }
                _ => return None,
            },
        };
        let opened = match lean {
            true => lean::open(&means, sealed, (binding, origin), own)?,
            false => two_sm::open(&means, sealed, binding, own)?,
        };
        if !is_index(opened.index, binding.rules) {
            return None;
        }
        if let Means::Prekeys(identity) | Means::Fresh(_, identity) = means {
            self.peer_identity = Some(identity);
        }
        match origin {
            Origin::Own(index) | Origin::Fresh(index) => self.forget_through(index),
            Origin::Prekeys | Origin::Sender => {}
        }
        self.received = Some(opened.received);
        self.peer = Some(Theirs::Key(opened.peer, Origin::Own(opened.index)));
        Some(opened.secret)
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
            Some(next) => self.mine = self.mine.split_off(&next),
            None => self.mine.clear(),
        }
    }

    /// The peer's identity key, from the directory if it is not known yet.
    fn identity_of(&self, peer: &MemberId, directory: &dyn Directory) -> Option<PublicKey> {
        self.peer_identity.or_else(|| x3dh::peer_bundle(peer, directory).ok().map(|bundle| bundle.identity))
    }

    pub(crate) fn encode(&self, rules: Rules, out: &mut Vec<u8>) {
        put_varint(out, self.last_index);
        put_len(out, self.mine.len());
        let mut fresh = Vec::new();
        for (index, key) in &self.mine {
            put_varint(out, *index);
            match key {
                Mine::Ordinary(key) => key.put(out),
                Mine::Fresh(key) => {
                    out.extend_from_slice(key.as_secret().expose());
                    fresh.push(*index);
                }
            }
        }
        let received = if self.received.is_some() { HAS_RECEIVED } else { 0 };
        out.push(received + if fresh.is_empty() { 0 } else { HAS_FRESH });
        if !fresh.is_empty() {
            put_len(out, fresh.len());
            fresh.iter().for_each(|index| put_varint(out, *index));
        }
        if let Some(key) = &self.received {
            key.put(out);
        }
        match &self.peer {
            None => out.push(0),
            Some(Theirs::Fresh(FreshKey { index, key })) => {
                out.push(FRESH_KEY);
                out.extend_from_slice(&key.0);
                put_varint(out, Origin::Own(*index).number(rules));
            }
            Some(Theirs::Key(key, origin)) => {
                out.push(if matches!(key, Public::Announced(_)) { ANNOUNCED_KEY } else { ORDINARY_KEY });
                match key {
                    Public::X25519(key) => out.extend_from_slice(&key.0),
                    Public::Ristretto(key) => out.extend_from_slice(&key.to_bytes()),
                    Public::Announced(Announced { a, t }) => {
                        out.extend_from_slice(a);
                        out.extend_from_slice(t.to_secret().expose());
                    }
                }
                put_varint(out, origin.number(rules));
            }
        }
        put_len(out, self.sent.len());
        for (number, index) in &self.sent {
            put_varint(out, *number);
            put_varint(out, *index);
        }
        out.push(self.peer_identity.is_some().into());
        out.extend(self.peer_identity.iter().flat_map(|key| key.0));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>, rules: Rules) -> Result<Self, Error> {
        let secret = |reader: &mut Reader<'_>| Ok::<Secret, Error>(Secret::new(reader.array()?));
        let mut state = Self { last_index: reader.varint()?, ..Self::default() };
        let mut mine = BTreeMap::new();
        for _ in 0..reader.count(1 + PRIVATE_KEY_LEN)? {
            let index = reader.varint()?;
            mine.insert(index, secret(reader)?);
        }
        let flags = Some(reader.byte()?).filter(|flags| *flags <= HAS_RECEIVED + HAS_FRESH).ok_or(Error::Malformed)?;
        if flags & HAS_FRESH != 0 {
            for _ in 0..reader.count(1)? {
                let index = reader.varint()?;
                let key = mine.remove(&index).ok_or(Error::Malformed)?;
                state.mine.insert(index, Mine::Fresh(PrivateKey::from_secret(key)));
            }
        }
        for (index, key) in mine {
            state.mine.insert(index, Mine::Ordinary(Private::of(key, rules)?));
        }
        if flags & HAS_RECEIVED != 0 {
            state.received = Some(Private::of(secret(reader)?, rules)?);
        }
        state.peer = match reader.byte()? {
            0 => None,
            FRESH_KEY => {
                let key = PublicKey(reader.array()?);
                match Origin::of(reader.varint()?, rules) {
                    Some(Origin::Own(index)) => Some(Theirs::Fresh(FreshKey { index, key })),
                    _ => return Err(Error::Malformed),
                }
            }
            kind => {
                let key = match (kind, rules.lean_channels()) {
                    (ORDINARY_KEY, false) => Public::X25519(PublicKey(reader.array()?)),
                    (ORDINARY_KEY, true) => Public::Ristretto(ristretto::PublicKey::from_bytes(&reader.array()?)?),
                    (ANNOUNCED_KEY, true) => {
                        let a = reader.array()?;
                        Public::Announced(Announced { a, t: ristretto::PrivateKey::from_secret(&secret(reader)?)? })
                    }
                    _ => return Err(Error::Malformed),
                };
                match Origin::of(reader.varint()?, rules) {
                    Some(origin @ (Origin::Sender | Origin::Own(_))) => Some(Theirs::Key(key, origin)),
                    _ => return Err(Error::Malformed),
                }
            }
        };
        for _ in 0..reader.count(2)? {
            state.sent.push_back((reader.varint()?, reader.varint()?));
        }
        state.peer_identity = reader.flag()?.then(|| reader.array().map(PublicKey)).transpose()?;
        Ok(state)
    }
}

/// Whether a key can have this index: indices start at 1, and an origin says them.
fn is_index(index: u32, rules: Rules) -> bool {
    index > 0 && last_named(rules.lean_channels()).checked_add(index).is_some()
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
