//! The Double Ratchet (Perrin and Marlinspike, "The Double Ratchet Algorithm", revision 1, sections 2 and 3), without
//! header encryption.
//!
//! ```text
//! ratchet key 32 | length of the previous chain 4 | number in the chain 4 | ciphertext | tag 16
//! ```
//!
//! The second half of a Diffie-Hellman ratchet step makes a new key pair and the sending chain from it. It waits until
//! there is something to send. The messages stay the same, and the private key is as fresh as possible.

use protocol::crypto::aead;
use protocol::crypto::dh::{PUBLIC_KEY_LEN, PrivateKey, PublicKey};
use protocol::crypto::kdf;
use protocol::crypto::label;
use protocol::crypto::secret::{Secret, SecretBytes};
use protocol::error::Error;
use protocol::wire::codec::{Reader, put_varint};
use rand_core::CryptoRng;

use crate::chain::{Chain, MAX_SKIPPED, MessageKey, Skipped};

/// How many bytes longer a message is than its plaintext.
pub const OVERHEAD: usize = HEADER_LEN + aead::OVERHEAD;
/// Calls of HKDF when a chain starts.
pub(crate) const ROOT_KDF_CALLS: u64 = 2;

const HEADER_LEN: usize = PUBLIC_KEY_LEN + 2 * NUMBER_LEN;
const NUMBER_LEN: usize = size_of::<u32>();

/// One party's state in a session.
#[derive(Clone)]
pub struct DoubleRatchet {
    root: Secret,
    /// The private key of my current sending chain.
    own: PrivateKey,
    own_key: PublicKey,
    /// The peer's key in the current receiving chain. For an initiator it begins as the peer's signed prekey.
    peer: Option<PublicKey>,
    sending: Option<Chain>,
    receiving: Option<Chain>,
    /// Messages in the current sending chain.
    sent: u32,
    /// Messages in the sending chain before it.
    sent_before: u32,
    /// Messages decrypted or skipped in the current receiving chain.
    received: u32,
    skipped: Skipped<(PublicKey, u32)>,
    /// Whether I have received a new key of the peer's since I last made one. My next message then starts a chain.
    turn: bool,
}

/// A chain that its sender has left, and the number of messages in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChainEnd {
    key: PublicKey,
    end: u32,
}

impl ChainEnd {
    /// Bytes of the encoded form: ratchet key, number of messages.
    pub(crate) const LEN: usize = PUBLIC_KEY_LEN + NUMBER_LEN;

    /// Whether the chain is the present receiving chain of a session.
    pub(crate) fn is_received_in(&self, ratchet: &DoubleRatchet) -> bool {
        ratchet.peer == Some(self.key)
    }

    /// Whether a message claims to be one of the chain.
    pub(crate) fn covers(&self, message: &[u8]) -> bool {
        let header = Header::decode(&mut Reader::new(message));
        header.is_ok_and(|header| header.key == self.key && header.number < self.end)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.key.0[..], &self.end.to_be_bytes()].concat()
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { key: PublicKey(reader.array()?), end: u32::from_be_bytes(reader.array()?) })
    }
}

struct Header {
    key: PublicKey,
    previous: u32,
    number: u32,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let (key, numbers) = out.split_at_mut(PUBLIC_KEY_LEN);
        let (previous, number) = numbers.split_at_mut(NUMBER_LEN);
        key.copy_from_slice(&self.key.0);
        previous.copy_from_slice(&self.previous.to_be_bytes());
        number.copy_from_slice(&self.number.to_be_bytes());
        out
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            key: PublicKey(reader.array()?),
            previous: u32::from_be_bytes(reader.array()?),
            number: u32::from_be_bytes(reader.array()?),
        })
    }
}

impl DoubleRatchet {
    /// RatchetInitAlice. `secret` is the output of X3DH, and `peer` is the responder's signed prekey. Counts one key
    /// generation, one DH and two calls of HKDF.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`] if the peer's key has small order.
    pub fn initiator(secret: Secret, peer: &PublicKey, rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        let own = PrivateKey::random(rng);
        let (root, chain) = root_step(&secret, &own, peer)?;
        let own_key = own.public_key();
        Ok(Self { peer: Some(*peer), sending: Some(chain), ..Self::start(root, own, own_key) })
    }

    /// RatchetInitBob. `own` is the private key of the signed prekey, and `own_key` its public key.
    #[must_use]
    pub fn responder(secret: Secret, own: PrivateKey, own_key: PublicKey) -> Self {
        Self::start(secret, own, own_key)
    }

    fn start(root: Secret, own: PrivateKey, own_key: PublicKey) -> Self {
        Self {
            root,
            own,
            own_key,
            peer: None,
            sending: None,
            receiving: None,
            sent: 0,
            sent_before: 0,
            received: 0,
            skipped: Skipped::default(),
            turn: false,
        }
    }

    /// My ratchet key in my first sending chain, and the number of messages in it, if I have no other chain.
    pub(crate) fn first_chain(&self) -> Option<ChainEnd> {
        let is_first = self.receiving.is_none() && self.sending.is_some();
        is_first.then_some(ChainEnd { key: self.own_key, end: self.sent })
    }

    /// Whether a message that I have decrypted is in the present receiving chain.
    pub(crate) fn is_latest(&self, message: &[u8]) -> bool {
        Header::decode(&mut Reader::new(message)).is_ok_and(|header| self.peer == Some(header.key))
    }

    /// Whether my next message carries a new key of mine, because I have received a new one of the peer's.
    #[must_use]
    pub fn turns_next(&self) -> bool {
        self.turn
    }

    /// The number of messages in the current sending chain.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.sent
    }

    #[cfg(test)]
    pub(crate) fn set_sent(&mut self, sent: u32) {
        self.sent = sent;
    }

    /// RatchetEncrypt. Counts four calls of HMAC and HKDF and the bytes. A new chain costs one key generation, one DH
    /// and two more calls.
    ///
    /// # Errors
    /// [`Error::NotInGroup`] if this is a responder that has received nothing. [`Error::NumbersExhausted`] after 2^32
    /// messages in one chain. After an error nothing has changed.
    pub fn encrypt(&mut self, plaintext: &[u8], associated: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, Error> {
        if self.turn {
            self.start_sending(rng)?;
        }
        let chain = self.sending.as_mut().ok_or(Error::NotInGroup)?;
        let next = self.sent.checked_add(1).ok_or(Error::NumbersExhausted)?;
        let header = Header { key: self.own_key, previous: self.sent_before, number: self.sent }.encode();
        let key = chain.step().into_aead(label::PAIRWISE_MESSAGE);
        self.sent = next;
        let ciphertext = key.seal(plaintext, &[&header, associated].concat())?;
        Ok([&header[..], &ciphertext].concat())
    }

    /// RatchetDecrypt. Counts four calls of HMAC and HKDF and the bytes, and two more calls for each message that was
    /// skipped. A new key of the peer's costs one DH and two more calls.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the message is shorter than [`OVERHEAD`]. [`Error::NotAuthentic`] if it is forged,
    /// damaged or a replay, or skips more than [`MAX_SKIPPED`] messages. After an error nothing has changed.
    pub fn decrypt(&mut self, message: &[u8], associated: &[u8]) -> Result<SecretBytes, Error> {
        if message.len() < OVERHEAD {
            return Err(Error::Malformed);
        }
        let mut reader = Reader::new(message);
        let header = Header::decode(&mut reader)?;
        let associated = [&header.encode(), associated].concat();
        let open = |key: MessageKey| key.into_aead(label::PAIRWISE_MESSAGE).open(reader.remaining(), &associated);

        let name = (header.key, header.number);
        if let Some(key) = self.skipped.get(&name) {
            let plaintext = open(key)?;
            self.skipped.remove(&name);
            return Ok(plaintext);
        }
        let known = self.receiving.is_some() && self.peer == Some(header.key);
        let mut skipped = Vec::new();
        let (mut chain, mut received, root) = if known {
            let chain = self.receiving.clone().ok_or(Error::Internal)?;
            (chain, self.received, None)
        } else {
            if let (Some(chain), Some(peer)) = (&self.receiving, self.peer) {
                skip(&mut chain.clone(), peer, self.received, header.previous, &mut skipped)?;
            }
            let (root, chain) = root_step(&self.root, &self.own, &header.key)?;
            (chain, 0, Some(root))
        };
        if header.number < received {
            return Err(Error::NotAuthentic);
        }
        skip(&mut chain, header.key, received, header.number, &mut skipped)?;
        received = header.number.checked_add(1).ok_or(Error::NotAuthentic)?;
        let plaintext = open(chain.step())?;

        if let Some(root) = root {
            self.root = root;
            self.peer = Some(header.key);
            self.turn = true;
        }
        self.receiving = Some(chain);
        self.received = received;
        self.skipped.extend(skipped);
        Ok(plaintext)
    }

    /// Decrypts a message of my own, as a thief of my state does: it follows my sending chain until I make a new key.
    ///
    /// [`Error::NotAuthentic`] if the message is of another chain, or from before the state was stolen. Nothing has changed
    /// then.
    pub(crate) fn decrypt_own(&mut self, message: &[u8], associated: &[u8]) -> Result<SecretBytes, Error> {
        let mut reader = Reader::new(message);
        let header = Header::decode(&mut reader)?;
        let mut chain = self.sending.clone().filter(|_| header.key == self.own_key).ok_or(Error::NotAuthentic)?;
        if header.number < self.sent {
            return Err(Error::NotAuthentic);
        }
        skip(&mut chain, header.key, self.sent, header.number, &mut Vec::new())?;
        let next = header.number.checked_add(1).ok_or(Error::NotAuthentic)?;
        let key = chain.step().into_aead(label::PAIRWISE_MESSAGE);
        let plaintext = key.open(reader.remaining(), &[&header.encode(), associated].concat())?;
        (self.sending, self.sent) = (Some(chain), next);
        Ok(plaintext)
    }

    /// The second half of DHRatchet: my new key pair and its sending chain.
    fn start_sending(&mut self, rng: &mut dyn CryptoRng) -> Result<(), Error> {
        let peer = self.peer.ok_or(Error::Internal)?;
        let own = PrivateKey::random(rng);
        let (root, chain) = root_step(&self.root, &own, &peer)?;
        self.own_key = own.public_key();
        self.own = own;
        self.root = root;
        self.sending = Some(chain);
        self.sent_before = self.sent;
        self.sent = 0;
        self.turn = false;
        Ok(())
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.root.expose());
        out.extend_from_slice(self.own.as_secret().expose());
        put_optional(out, self.peer.as_ref().map(|key| &key.0));
        for chain in [&self.sending, &self.receiving] {
            put_optional(out, chain.as_ref().map(|chain| chain.as_secret().expose()));
        }
        [self.sent, self.sent_before, self.received].into_iter().for_each(|number| put_varint(out, number));
        self.skipped.encode(out, |(key, number), out| {
            out.extend_from_slice(&key.0);
            put_varint(out, *number);
        });
        out.push(self.turn.into());
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let root = Secret::new(reader.array()?);
        let own = PrivateKey::from_secret(Secret::new(reader.array()?));
        let own_key = own.public_key();
        let mut state = Self::start(root, own, own_key);
        state.peer = reader.flag()?.then(|| reader.array().map(PublicKey)).transpose()?;
        for chain in [&mut state.sending, &mut state.receiving] {
            *chain = reader.flag()?.then(|| reader.array().map(|key| Chain::new(Secret::new(key)))).transpose()?;
        }
        for number in [&mut state.sent, &mut state.sent_before, &mut state.received] {
            *number = reader.varint()?;
        }
        state.skipped = Skipped::decode(reader, |reader| Ok((PublicKey(reader.array()?), reader.varint()?)))?;
        state.turn = reader.flag()?;
        Ok(state)
    }
}

/// KDF_RK: the next root key and a new chain, from the shared secret of two ratchet keys.
fn root_step(root: &Secret, own: &PrivateKey, peer: &PublicKey) -> Result<(Secret, Chain), Error> {
    let shared = own.agree(peer)?;
    let (root, chain) = kdf::split(&kdf::derive::<64>(label::ROOT, root.expose(), shared.expose(), &[]));
    Ok((root, Chain::new(chain)))
}

/// SkipMessageKeys: advances a chain from message `from` to `until`, and keeps the message keys between.
fn skip(
    chain: &mut Chain,
    peer: PublicKey,
    from: u32,
    until: u32,
    skipped: &mut Vec<((PublicKey, u32), MessageKey)>,
) -> Result<(), Error> {
    let count = until.saturating_sub(from) as usize;
    if skipped.len() + count > MAX_SKIPPED {
        return Err(Error::NotAuthentic);
    }
    skipped.extend((from..until).map(|number| ((peer, number), chain.step())));
    Ok(())
}

fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8; 32]>) {
    out.push(bytes.is_some().into());
    out.extend(bytes.into_iter().flatten());
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn a_chain_at_its_end_encrypts_nothing_and_one_step_before_it_encrypts() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let peer = PrivateKey::random(&mut rng).public_key();
        let mut state = DoubleRatchet::initiator(Secret::new([7; 32]), &peer, &mut rng).unwrap();
        let mut encrypt = |state: &mut DoubleRatchet, sent: u32| {
            state.set_sent(sent);
            let exported = |state: &DoubleRatchet| {
                let mut out = Vec::new();
                state.encode(&mut out);
                out
            };
            let before = exported(state);
            (state.encrypt(b"", b"", &mut rng).map(drop), exported(state) == before)
        };
        assert_eq!(encrypt(&mut state, u32::MAX), (Err(Error::NumbersExhausted), true));
        assert_eq!(encrypt(&mut state, u32::MAX - 1), (Ok(()), false));
    }
}
