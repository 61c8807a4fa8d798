//! Sender keys: a chain and a signature key for each sender. Every other member holds them.
//!
//! ```text
//! distribution   key id 4 | iteration 4 | chain key 32 | verification key 32
//! ends           number of messages under the previous key 1..5 | under the key before it | ...
//! body           key id 4 | iteration 4 | ciphertext | tag 16          in a signed envelope
//! ```
//!
//! An update gives up the sender's earlier keys, because somebody else may have them. Messages under them may still be
//! under way, so the update says how many there are: messages with higher numbers are not accepted. What a thief of the
//! earlier keys can still forge is a message in the place of one that was sent before the update and has not arrived.
//!
//! The signature of the envelope is made with the sender key's own signature key and covers the whole body. It is
//! checked before the chain advances.

use std::collections::BTreeMap;

use protocol::crypto::hash::DIGEST_LEN;
use protocol::crypto::kdf::Extracted;
use protocol::crypto::label;
use protocol::crypto::secret::{SECRET_LEN, Secret, SecretBytes};
use protocol::crypto::signature::{SigningKey, VERIFICATION_KEY_LEN, VerificationKey};
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::membership::{MemberIndex, MemberSet};
use protocol::wire::codec::{Reader, put_len, put_prefixed, put_varint};
use protocol::wire::envelope::{Envelope, Subject};
use rand_core::CryptoRng;

use crate::chain::{Chain, MAX_SKIPPED, Skipped};

/// Bytes of a distribution, which hands out one sender key.
pub const DISTRIBUTION_LEN: usize = 2 * NUMBER_LEN + SECRET_LEN + VERIFICATION_KEY_LEN;
/// Bytes of a body in front of the ciphertext.
pub(crate) const PREFIX_LEN: usize = 2 * NUMBER_LEN;
/// Maximum number of keys of one sender that are kept, because messages under the latest ones may be under way.
pub const MAX_KEYS_PER_SENDER: usize = 5;
/// Maximum number of keys that are given up and of which messages are accepted.
const MAX_ENDS: usize = MAX_KEYS_PER_SENDER - 1;

const NUMBER_LEN: usize = size_of::<u32>();

/// What a member needs to read a sender's messages from one on.
#[derive(Clone)]
pub(crate) struct Distribution {
    id: u32,
    iteration: u32,
    chain: Chain,
    verification: VerificationKey,
}

impl Distribution {
    /// `out` has room for [`DISTRIBUTION_LEN`] bytes.
    pub(crate) fn encode(&self, out: &mut SecretBytes) {
        out.put(&self.id.to_be_bytes());
        out.put(&self.iteration.to_be_bytes());
        out.put(self.chain.as_secret().expose());
        out.put(self.verification.as_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            id: number(reader)?,
            iteration: number(reader)?,
            chain: Chain::new(Secret::new(reader.array()?)),
            verification: VerificationKey::from_bytes(&reader.array()?)?,
        })
    }
}

/// My own sender key.
#[derive(Clone)]
pub(crate) struct OwnKey {
    id: u32,
    iteration: u32,
    chain: Chain,
    signing: SigningKey,
    verification: VerificationKey,
    /// The members to whom the key has been sent.
    pub(crate) holders: MemberSet,
    /// Iteration and chain at the first message that was sent while the key was withheld from a member.
    withheld: Option<(u32, Chain)>,
}

/// Another member's sender key.
#[derive(Clone)]
struct PeerKey {
    id: u32,
    iteration: u32,
    chain: Chain,
    verification: VerificationKey,
    skipped: Skipped<u32>,
}

/// The keys of another member.
#[derive(Clone, Default)]
struct PeerKeys {
    /// Keys with smaller ids are given up: only the messages that were sent under them are accepted.
    first: u32,
    /// Ids of keys that are given up, and the number of messages under each. Sorted.
    ends: Vec<(u32, u32)>,
    /// Sorted by id.
    keys: Vec<PeerKey>,
}

/// All sender keys that a member holds.
#[derive(Clone, Default)]
pub(crate) struct SenderKeys {
    pub(crate) own: Option<OwnKey>,
    last_id: u32,
    /// The numbers of messages under my last keys before the present one, the latest first.
    ends: Vec<u32>,
    /// Distributions of earlier keys of mine under which I sent while they were withheld from a member.
    withheld: Vec<Distribution>,
    peers: BTreeMap<MemberIndex, PeerKeys>,
    /// How many keys of others were kept since this value was made or restored.
    taken: u64,
}

/// The plaintext of a message that has been checked.
pub(crate) struct Opened(pub(crate) SecretBytes);

/// Why a message is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// Its key has not arrived.
    NoKey,
    /// It has been opened before.
    Duplicate,
    Error(Error),
}

impl OwnKey {
    /// What a member needs to read my messages from now on or, if the key was `withheld` from it, from the first one
    /// that I sent meanwhile.
    pub(crate) fn distribution(&self, withheld: bool) -> Distribution {
        let since = self.withheld.as_ref().filter(|_| withheld);
        let (iteration, chain) = since.map_or((self.iteration, &self.chain), |(iteration, chain)| (*iteration, chain));
        Distribution { id: self.id, iteration, chain: chain.clone(), verification: self.verification }
    }

    /// Keeps the chain as it is now for the members from whom the key is withheld. A thief of that chain could read
    /// what is sent until those members have the key.
    pub(crate) fn withhold(&mut self) {
        self.withheld.get_or_insert_with(|| (self.iteration, self.chain.clone()));
    }

    pub(crate) fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// Seals the body of my next message and advances the chain.
    pub(crate) fn seal(&mut self, plaintext: &[u8], associated: &[u8]) -> Result<Vec<u8>, Error> {
        // Every call begins with a check of all counters.
        let next = self.iteration.checked_add(1).ok_or(Error::Internal)?;
        let prefix = [self.id.to_be_bytes(), self.iteration.to_be_bytes()].concat();
        let key = self.chain.step().into_aead(label::SENDER_KEY_MESSAGE);
        self.iteration = next;
        let ciphertext = key.seal(plaintext, &[&prefix, associated].concat())?;
        Ok([prefix, ciphertext].concat())
    }
}

impl SenderKeys {
    /// Makes a new sender key. No other member holds it yet. Counts one signature key generation.
    pub(crate) fn rotate(&mut self, rng: &mut dyn CryptoRng) -> Result<(), Error> {
        let id = self.last_id.checked_add(1).ok_or(Error::Internal)?;
        self.retire();
        let (chain, signing) = (Chain::new(Secret::random(rng)), SigningKey::random(rng));
        let verification = signing.verification_key();
        self.last_id = id;
        let holders = MemberSet::new();
        self.own = Some(OwnKey { id, iteration: 0, chain, signing, verification, holders, withheld: None });
        Ok(())
    }

    /// Stops to send under my key.
    pub(crate) fn retire(&mut self) {
        if let Some(key) = self.own.take() {
            self.ends.insert(0, key.iteration);
            self.ends.truncate(MAX_ENDS);
            self.withheld.extend(key.withheld.is_some().then(|| key.distribution(true)));
            let excess = self.withheld.len().saturating_sub(MAX_ENDS);
            self.withheld.drain(..excess);
        }
    }

    /// Drops what was kept for members from whom my keys were withheld: there are none any more.
    pub(crate) fn release(&mut self) {
        self.withheld.clear();
        if let Some(key) = &mut self.own {
            key.withheld = None;
        }
    }

    /// My earlier keys under which I sent while they were withheld from a member.
    pub(crate) fn withheld(&self) -> SecretBytes {
        let mut out = SecretBytes::with_capacity(self.withheld.len() * DISTRIBUTION_LEN);
        self.withheld.iter().for_each(|key| key.encode(&mut out));
        out
    }

    /// What an update says of my earlier keys.
    pub(crate) fn ends(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.ends.iter().for_each(|end| put_varint(&mut out, *end));
        out
    }

    /// Takes a distribution that arrived over the sender's channel. With `ends`, the sender gives up its earlier keys,
    /// because somebody else may have them.
    pub(crate) fn take(&mut self, sender: MemberIndex, distribution: &[u8], ends: Option<&[u8]>) -> Result<(), Error> {
        let mut reader = Reader::new(distribution);
        let Distribution { id, iteration, chain, verification } = Distribution::decode(&mut reader)?;
        let key = PeerKey { id, iteration, chain, verification, skipped: Skipped::default() };
        reader.finish()?;
        let ends = ends.map(read_ends).transpose()?;
        let peer = self.peers.entry(sender).or_default();
        if let Some(ends) = ends {
            peer.give_up_before(key.id, &ends);
        }
        // A later key may have overtaken this one. A chain is never set back.
        let place = peer.keys.partition_point(|known| known.id < key.id);
        let is_known = peer.keys.get(place).is_some_and(|known| known.id == key.id);
        if is_known || key.id < peer.first && peer.end(key.id).is_none() {
            return Ok(());
        }
        let keys = &mut peer.keys;
        keys.insert(place, key);
        self.taken += 1;
        let excess = keys.len().saturating_sub(MAX_KEYS_PER_SENDER);
        keys.drain(..excess);
        Ok(())
    }

    /// Lets a thief read messages under my key as those of any other member.
    pub(crate) fn read_own(&mut self, me: MemberIndex) -> Result<(), Error> {
        let Some(key) = &self.own else { return Ok(()) };
        let mut distribution = SecretBytes::with_capacity(DISTRIBUTION_LEN);
        key.distribution(false).encode(&mut distribution);
        self.take(me, distribution.expose(), None)
    }

    /// The counters of my keys and of the messages under the present one.
    pub(crate) fn counters(&self) -> impl Iterator<Item = u32> {
        let iteration = self.own.as_ref().map(|key| key.iteration);
        iteration.into_iter().chain([self.last_id])
    }

    #[cfg(test)]
    pub(crate) fn set_last_id(&mut self, id: u32) {
        self.last_id = id;
    }

    #[cfg(test)]
    pub(crate) fn set_iteration(&mut self, iteration: u32) {
        self.own.iter_mut().for_each(|key| key.iteration = iteration);
    }

    /// A number that grows with each key that [`take`](Self::take) keeps.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Checks and opens a message of `sender`. After an error nothing has changed.
    pub(crate) fn open(
        &mut self,
        (sender, id): (MemberIndex, &MemberId),
        envelope: &Envelope<'_>,
        group: &GroupId,
    ) -> Result<Opened, NotOpened> {
        let mut reader = Reader::new(envelope.body);
        let (key_id, iteration) = (number(&mut reader)?, number(&mut reader)?);
        let peer = self.peers.get_mut(&sender).ok_or(NotOpened::NoKey)?;
        let full = peer.keys.len() >= MAX_KEYS_PER_SENDER;
        let too_old = full && peer.keys.first().is_some_and(|oldest| key_id < oldest.id);
        let was_sent = key_id >= peer.first || peer.end(key_id).is_some_and(|end| iteration < end);
        if too_old || !was_sent {
            return Err(NotOpened::Error(Error::NotAuthentic));
        }
        let key = peer.keys.iter_mut().find(|key| key.id == key_id).ok_or(NotOpened::NoKey)?;
        let digest = envelope.digest(group, id, &Subject::None);
        envelope.verify(&digest, &key.verification)?;

        let associated = [&envelope.body[..PREFIX_LEN], envelope.header].concat();
        let ciphertext = reader.rest();
        if iteration < key.iteration {
            let message_key = key.skipped.get(&iteration).ok_or(NotOpened::Duplicate)?;
            let plaintext = message_key.into_aead(label::SENDER_KEY_MESSAGE).open(ciphertext, &associated)?;
            key.skipped.remove(&iteration);
            return Ok(Opened(plaintext));
        }
        if (iteration - key.iteration) as usize > MAX_SKIPPED {
            return Err(NotOpened::Error(Error::NotAuthentic));
        }
        let next = iteration.checked_add(1).ok_or(Error::NotAuthentic)?;
        let mut chain = key.chain.clone();
        let skipped = (key.iteration..iteration).map(|iteration| (iteration, chain.step())).collect();
        let plaintext = chain.step().into_aead(label::SENDER_KEY_MESSAGE).open(ciphertext, &associated)?;
        key.chain = chain;
        key.iteration = next;
        key.skipped.extend(skipped);
        Ok(Opened(plaintext))
    }

    /// Forgets the keys of a removed member.
    pub(crate) fn forget(&mut self, sender: MemberIndex) {
        self.peers.remove(&sender);
    }

    /// A hash of a sender's latest key, or `None` if there is none. `me` is my index.
    pub(crate) fn fingerprint(&self, sender: MemberIndex, me: MemberIndex) -> Option<[u8; DIGEST_LEN]> {
        let (chain, verification) = if sender == me {
            self.own.as_ref().map(|key| (&key.chain, &key.verification))?
        } else {
            self.peers.get(&sender)?.keys.last().map(|key| (&key.chain, &key.verification))?
        };
        let hash = Extracted::new(verification.as_bytes(), chain.as_secret().expose());
        Some(*hash.expand(label::SENDER_KEY_FINGERPRINT, &[]).expose())
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.last_id);
        put_prefixed(out, &self.ends());
        put_prefixed(out, self.withheld().expose());
        out.push(self.own.is_some().into());
        if let Some(key) = &self.own {
            put_varint(out, key.id);
            put_varint(out, key.iteration);
            out.extend_from_slice(key.chain.as_secret().expose());
            out.extend_from_slice(key.signing.to_secret().expose());
            put_set(out, &key.holders);
            out.push(key.withheld.is_some().into());
            if let Some((iteration, chain)) = &key.withheld {
                put_varint(out, *iteration);
                out.extend_from_slice(chain.as_secret().expose());
            }
        }
        put_len(out, self.peers.len());
        for (sender, PeerKeys { first, ends, keys }) in &self.peers {
            put_varint(out, sender.0);
            put_varint(out, *first);
            put_len(out, ends.len());
            ends.iter().for_each(|(id, end)| {
                put_varint(out, *id);
                put_varint(out, *end);
            });
            put_len(out, keys.len());
            for key in keys {
                put_varint(out, key.id);
                put_varint(out, key.iteration);
                out.extend_from_slice(key.chain.as_secret().expose());
                out.extend_from_slice(key.verification.as_bytes());
                key.skipped.encode(out, |iteration, out| put_varint(out, *iteration));
            }
        }
    }

    /// `known` is the number of members that have an index.
    pub(crate) fn decode(reader: &mut Reader<'_>, known: usize) -> Result<Self, Error> {
        let mut keys = Self { last_id: reader.varint()?, ends: read_ends(reader.prefixed()?)?, ..Self::default() };
        let mut withheld = Reader::new(reader.prefixed()?);
        while !withheld.remaining().is_empty() && keys.withheld.len() < MAX_ENDS {
            keys.withheld.push(Distribution::decode(&mut withheld)?);
        }
        withheld.finish()?;
        if reader.flag()? {
            let (id, iteration) = (reader.varint()?, reader.varint()?);
            let chain = Chain::new(Secret::new(reader.array()?));
            let signing = SigningKey::from_secret(&Secret::new(reader.array()?));
            let verification = signing.verification_key();
            let holders = take_set(reader, known)?;
            let withheld = |reader: &mut Reader<'_>| Ok((reader.varint()?, Chain::new(Secret::new(reader.array()?))));
            let withheld = reader.flag()?.then(|| withheld(reader)).transpose()?;
            keys.own = Some(OwnKey { id, iteration, chain, signing, verification, holders, withheld });
        }
        for _ in 0..reader.count(3)? {
            let (sender, first) = (take_member(reader, known)?, reader.varint()?);
            let ends = 0..reader.count(2)?;
            let ends: Vec<_> = ends.map(|_| Ok((reader.varint()?, reader.varint()?))).collect::<Result<_, Error>>()?;
            if ends.len() > MAX_ENDS || !ends.is_sorted_by(|one, next| one.0 < next.0) {
                return Err(Error::Malformed);
            }
            let count = reader.count(SECRET_LEN + VERIFICATION_KEY_LEN)?;
            let key = |reader: &mut Reader<'_>| {
                Ok::<_, Error>(PeerKey {
                    id: reader.varint()?,
                    iteration: reader.varint()?,
                    chain: Chain::new(Secret::new(reader.array()?)),
                    verification: VerificationKey::from_bytes(&reader.array()?)?,
                    skipped: Skipped::decode(reader, |reader| reader.varint())?,
                })
            };
            let of_sender: Vec<_> = (0..count).map(|_| key(reader)).collect::<Result<_, _>>()?;
            if of_sender.len() > MAX_KEYS_PER_SENDER || !of_sender.is_sorted_by(|one, next| one.id < next.id) {
                return Err(Error::Malformed);
            }
            keys.peers.insert(sender, PeerKeys { first, ends, keys: of_sender });
        }
        Ok(keys)
    }
}

impl PeerKeys {
    /// The number of messages under a key that is given up.
    fn end(&self, id: u32) -> Option<u32> {
        self.ends.iter().find(|(ended, _)| *ended == id).map(|(_, end)| *end)
    }

    /// Gives up the keys before this one. `ends` has the numbers of messages under the latest of them.
    fn give_up_before(&mut self, id: u32, ends: &[u32]) {
        for (ended, end) in (0..id).rev().zip(ends) {
            // An update that a later one has overtaken says nothing new.
            if self.end(ended).is_none() && (self.first <= ended || self.keys.iter().any(|key| key.id == ended)) {
                self.ends.push((ended, *end));
            }
        }
        self.ends.sort_unstable();
        let excess = self.ends.len().saturating_sub(MAX_ENDS);
        self.ends.drain(..excess);
        self.first = self.first.max(id);
        let Self { first, ends, keys } = self;
        keys.retain(|key| key.id >= *first || ends.iter().any(|(ended, _)| *ended == key.id));
    }
}

impl From<Error> for NotOpened {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// What an update says of its sender's earlier keys: of at most [`MAX_ENDS`].
fn read_ends(bytes: &[u8]) -> Result<Vec<u32>, Error> {
    let mut reader = Reader::new(bytes);
    let mut ends = Vec::new();
    while !reader.remaining().is_empty() && ends.len() < MAX_ENDS {
        ends.push(reader.varint()?);
    }
    reader.finish()?;
    Ok(ends)
}

fn number(reader: &mut Reader<'_>) -> Result<u32, Error> {
    reader.array().map(u32::from_be_bytes)
}

pub(crate) fn put_set(out: &mut Vec<u8>, set: &MemberSet) {
    put_len(out, set.len());
    set.iter().for_each(|member| put_varint(out, member.0));
}

pub(crate) fn take_set(reader: &mut Reader<'_>, known: usize) -> Result<MemberSet, Error> {
    (0..reader.count(1)?).map(|_| take_member(reader, known)).collect()
}

/// Reads an index below `known`. The check bounds memory: a set takes room for the highest index in it.
pub(crate) fn take_member(reader: &mut Reader<'_>, known: usize) -> Result<MemberIndex, Error> {
    let member = MemberIndex(reader.varint()?);
    if member.to_usize() < known { Ok(member) } else { Err(Error::Malformed) }
}
