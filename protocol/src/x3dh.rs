//! Prekey bundles and first contact with somebody who is offline (the X3DH specification, sections 2 and 3).
//!
//! If the one-time prekeys have run out, three DHs must do: such a message has no forward secrecy until the signed
//! prekey is replaced.

use std::collections::BTreeMap;

use rand_core::CryptoRng;

use crate::crypto::aead::{self, OneTimeKey};
use crate::crypto::dh::{PRIVATE_KEY_LEN, PUBLIC_KEY_LEN, PrivateKey, PublicKey};
use crate::crypto::hash;
use crate::crypto::kdf;
use crate::crypto::label::{self, Label};
use crate::crypto::secret::{Secret, SecretBytes};
use crate::crypto::signature::{SIGNATURE_LEN, Signature, SigningKey, VerificationKey};
use crate::directory::Directory;
use crate::error::Error;
use crate::id::MemberId;
use crate::wire::codec::{Reader, put_len, put_varint};

/// Bytes of a bundle: identity key, signed prekey, signature.
pub const BUNDLE_LEN: usize = 2 * PUBLIC_KEY_LEN + SIGNATURE_LEN;
/// Bytes of a one-time bundle: id and prekey.
pub const ONE_TIME_LEN: usize = ONE_TIME_ID_LEN + PUBLIC_KEY_LEN;
/// Bytes of a [`FirstContact`]: ephemeral key, id of the one-time prekey.
pub const FIRST_CONTACT_LEN: usize = PUBLIC_KEY_LEN + ONE_TIME_ID_LEN;
/// Bytes by which the output of [`seal`] is longer than its plaintext.
pub const OVERHEAD: usize = FIRST_CONTACT_LEN + aead::OVERHEAD;
/// Bytes by which the output of [`seal_to_fresh`] is longer than its plaintext.
pub const FRESH_OVERHEAD: usize = PUBLIC_KEY_LEN + aead::OVERHEAD;
/// Calls of HKDF in [`initiate`], [`respond`], [`seal`] or [`open`].
pub const KDF_CALLS: u64 = 2;

const ONE_TIME_ID_LEN: usize = 4;
/// Instead of the id of a one-time prekey, if none was left.
const NO_ONE_TIME: u32 = 0;

/// A user's private keys for first contact.
#[derive(Clone)]
pub struct PrekeySecrets {
    identity: PrivateKey,
    identity_key: PublicKey,
    signed: PrivateKey,
    signed_key: PublicKey,
    one_time: BTreeMap<u32, PrivateKey>,
    /// Whether one-time prekeys are kept when they are used.
    stolen: bool,
}

/// A user's bundle whose signature has been checked.
#[derive(Clone, Copy, Debug)]
pub struct PeerBundle {
    /// The identity key for key agreement.
    pub identity: PublicKey,
    /// The signed prekey.
    pub signed: PublicKey,
}

/// What a user publishes.
pub struct Publication {
    /// What everybody may fetch: [`BUNDLE_LEN`] bytes.
    pub bundle: Vec<u8>,
    /// What the directory may hand out once each: [`ONE_TIME_LEN`] bytes.
    pub one_time: Vec<Vec<u8>>,
}

impl PrekeySecrets {
    /// Fresh keys with `one_time` one-time prekeys, and their publication. `signing` is the user's identity: its public
    /// key is the user's id.
    pub fn generate(signing: &SigningKey, one_time: usize, rng: &mut dyn CryptoRng) -> (Self, Publication) {
        let (identity_secret, signed_secret) = (PrivateKey::random(rng), PrivateKey::random(rng));
        let (identity, signed) = (identity_secret.public_key(), signed_secret.public_key());
        let id = MemberId(*signing.verification_key().as_bytes());
        let signature = signing.sign(&bundle_text(&id, &identity, &signed));
        let bundle = [&identity.0[..], &signed.0, &signature.0].concat();
        let mut secrets = Self {
            identity: identity_secret,
            identity_key: identity,
            signed: signed_secret,
            signed_key: signed,
            one_time: BTreeMap::new(),
            stolen: false,
        };
        let mut published = Vec::with_capacity(one_time);
        for one_time_id in (NO_ONE_TIME + 1..).take(one_time) {
            let key = PrivateKey::random(rng);
            published.push([&one_time_id.to_be_bytes()[..], &key.public_key().0].concat());
            secrets.one_time.insert(one_time_id, key);
        }
        (secrets, Publication { bundle, one_time: published })
    }

    /// The number of one-time prekeys that have not been used.
    #[must_use]
    pub fn one_time_left(&self) -> usize {
        self.one_time.len()
    }

    /// The identity key for key agreement.
    #[must_use]
    pub fn identity(&self) -> &PublicKey {
        &self.identity_key
    }

    /// The signed prekey's private key, with which a responder's Double Ratchet starts.
    #[must_use]
    pub fn signed(&self) -> &PrivateKey {
        &self.signed
    }

    /// The signed prekey.
    #[must_use]
    pub fn signed_key(&self) -> &PublicKey {
        &self.signed_key
    }

    /// Deletes the one-time prekey of a first contact that has been authenticated.
    pub fn used(&mut self, contact: &FirstContact) {
        if !self.stolen {
            self.one_time.remove(&contact.one_time);
        }
    }

    /// Makes these the copy of a thief, which keeps what the owner deletes: a directory may hand out a prekey twice.
    pub fn steal(&mut self) {
        self.stolen = true;
    }

    /// Appends the secrets, for an export.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.identity.as_secret().expose());
        out.extend_from_slice(self.signed.as_secret().expose());
        put_len(out, self.one_time.len());
        for (id, key) in &self.one_time {
            put_varint(out, *id);
            out.extend_from_slice(key.as_secret().expose());
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let key = |reader: &mut Reader<'_>| Ok(PrivateKey::from_secret(Secret::new(reader.array()?)));
        let (identity, signed) = (key(reader)?, key(reader)?);
        let mut one_time = BTreeMap::new();
        for _ in 0..reader.count(1 + PRIVATE_KEY_LEN)? {
            let id = reader.varint()?;
            if one_time.last_key_value().is_some_and(|(last, _)| *last >= id) {
                return Err(Error::Malformed);
            }
            one_time.insert(id, key(reader)?);
        }
        let (identity_key, signed_key) = (identity.public_key(), signed.public_key());
        Ok(Self { identity, identity_key, signed, signed_key, one_time, stolen: false })
    }
}

/// Fetches and checks a user's bundle. Counts one verification.
///
/// # Errors
/// [`Error::NoBundle`] if the directory has none, or none that the user has signed.
pub fn peer_bundle(user: &MemberId, directory: &dyn Directory) -> Result<PeerBundle, Error> {
    let bytes = directory.bundle(user).ok_or(Error::NoBundle)?;
    let key = VerificationKey::from_bytes(&user.0).map_err(|_| Error::NoBundle)?;
    let mut reader = Reader::new(&bytes);
    let mut parse = || -> Result<(PublicKey, PublicKey, Signature), Error> {
        let parts = (PublicKey(reader.array()?), PublicKey(reader.array()?), Signature(reader.array()?));
        reader.finish().map(|()| parts)
    };
    let (identity, signed, signature) = parse().map_err(|_| Error::NoBundle)?;
    key.verify(&bundle_text(user, &identity, &signed), &signature).map_err(|_| Error::NoBundle)?;
    Ok(PeerBundle { identity, signed })
}

fn bundle_text(user: &MemberId, identity: &PublicKey, signed: &PublicKey) -> [u8; hash::DIGEST_LEN] {
    hash::hash(label::BUNDLE, &[&user.0, &identity.0, &signed.0]).0
}

/// The number of blocks that are hashed for a bundle's signature.
#[must_use]
pub fn bundle_blocks() -> u64 {
    hash::blocks_of(label::BUNDLE, &[crate::id::MEMBER_ID_LEN, PUBLIC_KEY_LEN, PUBLIC_KEY_LEN])
}

/// What the initiator sends to the responder: with which keys to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstContact {
    /// The initiator's ephemeral key.
    pub ephemeral: PublicKey,
    /// The id of the responder's one-time prekey; 0 if none was left.
    one_time: u32,
}

impl FirstContact {
    /// The encoded form, which is sent.
    #[must_use]
    pub fn encode(&self) -> [u8; FIRST_CONTACT_LEN] {
        let mut out = [0; FIRST_CONTACT_LEN];
        let (key, id) = out.split_at_mut(PUBLIC_KEY_LEN);
        key.copy_from_slice(&self.ephemeral.0);
        id.copy_from_slice(&self.one_time.to_be_bytes());
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { ephemeral: PublicKey(reader.array()?), one_time: u32::from_be_bytes(reader.array()?) })
    }
}

/// The initiator's side: a secret shared with the user that holds the private keys of the bundle.
///
/// ```text
/// dh1 = DH(ik_me, spk), dh2 = DH(e, ik_peer), dh3 = DH(e, spk), dh4 = DH(e, otk)      (section 3.3)
/// ```
///
/// Counts one key generation, four DHs (three without a one-time prekey) and [`KDF_CALLS`].
///
/// # Errors
/// [`Error::NoBundle`] if a key of the bundle has small order.
pub fn initiate<const N: usize>(
    own: &PrekeySecrets,
    peer: &PeerBundle,
    one_time: Option<&[u8]>,
    label: Label,
    rng: &mut dyn CryptoRng,
) -> Result<(Secret<N>, FirstContact), Error> {
    let ephemeral = PrivateKey::random(rng);
    let one_time = one_time.and_then(decode_one_time);
    let agreed = SharedSecrets::of_initiator(own, &ephemeral, peer).and_then(|shared| match one_time {
        Some((_, key)) => shared.with(ephemeral.agree(&key)),
        None => Ok(shared),
    });
    let secret = agreed.map_err(|_| Error::NoBundle)?.derive(label);
    let one_time = one_time.map_or(NO_ONE_TIME, |(id, _)| id);
    Ok((secret, FirstContact { ephemeral: ephemeral.public_key(), one_time }))
}

/// The responder's side. `peer` is the initiator's identity key. Once something has been decrypted with a key derived
/// from the secret, the one-time prekey must be deleted: [`PrekeySecrets::used`].
///
/// Counts four DHs (three without a one-time prekey) and [`KDF_CALLS`].
///
/// # Errors
/// [`Error::NotAuthentic`] if the one-time prekey is no longer there, or a key has small order.
pub fn respond<const N: usize>(
    own: &PrekeySecrets,
    peer: &PublicKey,
    contact: &FirstContact,
    label: Label,
) -> Result<Secret<N>, Error> {
    let ephemeral = &contact.ephemeral;
    let one_time = match contact.one_time {
        NO_ONE_TIME => None,
        id => Some(own.one_time.get(&id).ok_or(Error::NotAuthentic)?),
    };
    let mut shared = SharedSecrets::of_responder(own, &own.signed, peer, ephemeral)?;
    if let Some(key) = one_time {
        shared = shared.with(key.agree(ephemeral))?;
    }
    Ok(shared.derive(label))
}

/// The initiator's side with a key that the peer has made for me, in the place of the signed prekey, and no one-time
/// prekey. `peer` has the peer's identity key, and that key as `signed`. Returns the shared secret, and the ephemeral
/// key, which is sent.
///
/// Counts one key generation, three DHs and [`KDF_CALLS`].
///
/// # Errors
/// [`Error::NoBundle`] if a key has small order.
pub fn initiate_fresh<const N: usize>(
    own: &PrekeySecrets,
    peer: &PeerBundle,
    label: Label,
    rng: &mut dyn CryptoRng,
) -> Result<(Secret<N>, PublicKey), Error> {
    initiate(own, peer, None, label, rng).map(|(secret, contact)| (secret, contact.ephemeral))
}

/// The responder's side of [`initiate_fresh`]. `fresh` is my key, and `peer` the initiator's identity key.
///
/// Counts three DHs and [`KDF_CALLS`].
///
/// # Errors
/// [`Error::NotAuthentic`] if a key has small order.
pub fn respond_fresh<const N: usize>(
    own: &PrekeySecrets,
    fresh: &PrivateKey,
    peer: &PublicKey,
    ephemeral: &PublicKey,
    label: Label,
) -> Result<Secret<N>, Error> {
    SharedSecrets::of_responder(own, fresh, peer, ephemeral).map(|shared| shared.derive(label))
}

/// Encrypts one message to the owner of a bundle: first contact ‖ ciphertext, [`OVERHEAD`] bytes longer than the
/// plaintext. `associated` must name both parties.
///
/// Counts what [`initiate`] counts, and the bytes.
///
/// # Errors
/// [`Error::NoBundle`] if a key of the bundle has small order.
pub fn seal(
    own: &PrekeySecrets,
    peer: &PeerBundle,
    one_time: Option<&[u8]>,
    associated: &[u8],
    plaintext: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, Error> {
    let (key, contact) = initiate(own, peer, one_time, label::X3DH, rng)?;
    let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
    out.extend_from_slice(&contact.encode());
    out.extend_from_slice(&OneTimeKey::new(key).seal(plaintext, &bind(associated, &out))?);
    Ok(out)
}

/// Decrypts what [`seal`] made, and deletes the one-time prekey that it used. `peer` is the sender's identity key.
///
/// Counts what [`respond`] counts, and the bytes.
///
/// # Errors
/// [`Error::NotAuthentic`], whatever is wrong. Nothing is deleted then.
pub fn open(own: &mut PrekeySecrets, peer: &PublicKey, associated: &[u8], sealed: &[u8]) -> Result<SecretBytes, Error> {
    let mut reader = Reader::new(sealed);
    let contact = FirstContact::decode(&mut reader).map_err(|_| Error::NotAuthentic)?;
    let key = OneTimeKey::new(respond(own, peer, &contact, label::X3DH)?);
    let plaintext = key.open(reader.rest(), &bind(associated, &contact.encode()))?;
    own.used(&contact);
    Ok(plaintext)
}

/// Encrypts one message to a key that the peer has made for me: ephemeral key ‖ ciphertext, [`FRESH_OVERHEAD`] bytes longer
/// than the plaintext. X3DH, with that key in the place of the signed prekey and no one-time prekey: so it is me that
/// the message comes from, however the key has reached me. `peer` has the peer's identity key, and that key as
/// `signed`. `associated` must name both parties.
///
/// Counts one key generation, three DHs, [`KDF_CALLS`] and the bytes.
///
/// # Errors
/// [`Error::NoBundle`] if a key has small order.
pub fn seal_to_fresh(
    own: &PrekeySecrets,
    peer: &PeerBundle,
    associated: &[u8],
    plaintext: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, Error> {
    let (key, ephemeral) = initiate_fresh(own, peer, label::X3DH_FRESH, rng)?;
    let ciphertext = OneTimeKey::new(key).seal(plaintext, &bind(associated, &ephemeral.0))?;
    Ok([&ephemeral.0[..], &ciphertext].concat())
}

/// Decrypts what [`seal_to_fresh`] made. `fresh` is my key, and `peer` the sender's identity key.
///
/// Counts three DHs, [`KDF_CALLS`] and the bytes.
///
/// # Errors
/// [`Error::NotAuthentic`], whatever is wrong.
pub fn open_with_fresh(
    own: &PrekeySecrets,
    fresh: &PrivateKey,
    peer: &PublicKey,
    associated: &[u8],
    sealed: &[u8],
) -> Result<SecretBytes, Error> {
    let mut reader = Reader::new(sealed);
    let ephemeral = PublicKey(reader.array().map_err(|_| Error::NotAuthentic)?);
    let key = respond_fresh(own, fresh, peer, &ephemeral, label::X3DH_FRESH)?;
    OneTimeKey::new(key).open(reader.rest(), &bind(associated, &ephemeral.0))
}

/// The input of the key derivation: bytes with which no encoded point begins (section 2.2, F), then the shared secrets.
struct SharedSecrets(SecretBytes);

impl SharedSecrets {
    fn new() -> Self {
        // Room for all secrets: a buffer that had to grow would leave copies behind.
        let mut bytes = SecretBytes::with_capacity(5 * PUBLIC_KEY_LEN);
        bytes.put(&[0xff; PUBLIC_KEY_LEN]);
        Self(bytes)
    }

    fn of_initiator(own: &PrekeySecrets, ephemeral: &PrivateKey, peer: &PeerBundle) -> Result<Self, Error> {
        Self::new()
            .with(own.identity.agree(&peer.signed))?
            .with(ephemeral.agree(&peer.identity))?
            .with(ephemeral.agree(&peer.signed))
    }

    fn of_responder(
        own: &PrekeySecrets,
        signed: &PrivateKey,
        peer: &PublicKey,
        ephemeral: &PublicKey,
    ) -> Result<Self, Error> {
        Self::new().with(signed.agree(peer))?.with(own.identity.agree(ephemeral))?.with(signed.agree(ephemeral))
    }

    fn with(mut self, secret: Result<Secret, Error>) -> Result<Self, Error> {
        self.0.put(secret?.expose());
        Ok(self)
    }

    fn derive<const N: usize>(self, label: Label) -> Secret<N> {
        kdf::derive(label, &[0; hash::DIGEST_LEN], self.0.expose(), &[])
    }
}

/// The ephemeral key and the choice of prekey are bound in addition to what the caller binds.
fn bind(associated: &[u8], header: &[u8]) -> Vec<u8> {
    [header, associated].concat()
}

fn decode_one_time(bytes: &[u8]) -> Option<(u32, PublicKey)> {
    let mut reader = Reader::new(bytes);
    let id = u32::from_be_bytes(reader.array().ok()?);
    let key = PublicKey(reader.array().ok()?);
    reader.finish().ok()?;
    (id != NO_ONE_TIME).then_some((id, key))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::directory::InMemoryDirectory;

    struct User {
        id: MemberId,
        secrets: PrekeySecrets,
    }

    fn user(directory: &InMemoryDirectory, one_time: usize, rng: &mut ChaCha20Rng) -> User {
        let signing = SigningKey::random(rng);
        let (secrets, publication) = PrekeySecrets::generate(&signing, one_time, rng);
        let id = MemberId(*signing.verification_key().as_bytes());
        directory.publish(id, publication.bundle, publication.one_time);
        User { id, secrets }
    }

    #[test]
    fn first_contact_works_with_and_without_a_one_time_prekey_which_serves_once() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let directory = InMemoryDirectory::default();
        let (alice, mut bob) = (user(&directory, 0, &mut rng), user(&directory, 1, &mut rng));
        let alice_bundle = peer_bundle(&alice.id, &directory).unwrap();
        for left in [0, 0] {
            let bundle = peer_bundle(&bob.id, &directory).unwrap();
            let one_time = directory.one_time(&bob.id);
            let sealed = seal(&alice.secrets, &bundle, one_time.as_deref(), b"ad", b"hello", &mut rng).unwrap();
            assert_eq!(sealed.len(), 5 + OVERHEAD);
            assert!(open(&mut bob.secrets, &alice_bundle.identity, b"other", &sealed).is_err());
            for position in 0..sealed.len() {
                let mut damaged = sealed.clone();
                damaged[position] ^= 1;
                assert!(open(&mut bob.secrets, &alice_bundle.identity, b"ad", &damaged).is_err(), "byte {position}");
                assert!(open(&mut bob.secrets, &alice_bundle.identity, b"ad", &sealed[..position]).is_err());
            }
            let opened = open(&mut bob.secrets, &alice_bundle.identity, b"ad", &sealed).unwrap();
            assert_eq!(opened.expose(), b"hello");
            assert_eq!(bob.secrets.one_time_left(), left);
            if one_time.is_some() {
                assert!(open(&mut bob.secrets, &alice_bundle.identity, b"ad", &sealed).is_err(), "replay");
            }
        }
    }

    #[test]
    fn a_bundle_that_its_user_did_not_sign_is_refused() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let directory = InMemoryDirectory::default();
        let (alice, bob) = (user(&directory, 0, &mut rng), user(&directory, 0, &mut rng));
        let genuine = directory.bundle(&alice.id).unwrap();
        for position in 0..genuine.len() {
            let mut damaged = genuine.clone();
            damaged[position] ^= 1;
            directory.publish(alice.id, damaged, Vec::new());
            assert_eq!(peer_bundle(&alice.id, &directory).unwrap_err(), Error::NoBundle);
        }
        directory.publish(alice.id, directory.bundle(&bob.id).unwrap(), Vec::new());
        assert_eq!(peer_bundle(&alice.id, &directory).unwrap_err(), Error::NoBundle);
    }
}
