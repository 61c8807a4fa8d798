//! Lean channels: a ciphertext carries the secret and nothing else. What 2SM sends along, both sides derive.
//!
//! The keys are ristretto255's, which can be added. A message of X with ciphertexts has, once, a header of two public keys,
//! E = e·G and A = x·G with fresh e and x. For each recipient Y, of whose key for the channel X holds the public half P:
//!
//! ```text
//! ss = 2·e·P
//! key ‖ nonce ‖ d ‖ t = HKDF(ss; group, X, Y, E, A, origin, number of the message, X's verification key)
//! slot = origin ‖ AES-128-GCM(key, nonce, secret)
//! X encrypts to Y next under P + d·G, and can be reached by Y under A + t·G, whose private half is x + t.
//! ```
//!
//! X forgets e, x, ss, d and t. Y, which holds the private half p, derives the same from 2·p·E, and replaces p with p + d.
//! So d plays the fresh key that 2SM makes for the recipient, and t that of the sender: both directions move on with each
//! ciphertext. At first contact and with a fresh key there is no P yet: X3DH gives ss, and p is zero.
//!
//! ```text
//! origin 1..5 | prekeys: ephemeral key 32, one-time prekey 4 | AEAD( secret 32 ) | tag 16
//!             | fresh: index 1..5, ephemeral key 32          |
//!             | else: nothing                                |
//! ```

use protocol::crypto::aead::{KEY_128_LEN, OneTimeKey128};
use protocol::crypto::dh::{PUBLIC_KEY_LEN, PublicKey};
use protocol::crypto::kdf;
use protocol::crypto::label;
use protocol::crypto::ristretto::{self, WIDE_LEN};
use protocol::crypto::secret::Secret;
use protocol::error::Error;
use protocol::wire::codec::Reader;
use protocol::x3dh::{self, FIRST_CONTACT_LEN, FirstContact, PrekeySecrets};
use rand_core::CryptoRng;

use super::keys::{Announced, Binding, Made, Means, Opened, Private, Public, To};
use super::slot::{Header, LEAN_HEADER_LEN, Origin};

/// Calls of HKDF for one ciphertext, besides those of X3DH.
pub(crate) const KDF_CALLS: u64 = 2;

const DERIVED_LEN: usize = KEY_128_LEN + 2 * WIDE_LEN;

/// The private halves of a header, while its message is being made.
pub(crate) struct Ephemeral {
    e: ristretto::PrivateKey,
    x: ristretto::PrivateKey,
    header: [u8; LEAN_HEADER_LEN],
}

impl Ephemeral {
    /// Fresh keys. Counts two multiplications of the base point and two codings.
    pub(crate) fn random(rng: &mut dyn CryptoRng) -> Self {
        let (e, x) = (ristretto::PrivateKey::random(rng), ristretto::PrivateKey::random(rng));
        let mut header = [0; LEAN_HEADER_LEN];
        let (first, second) = header.split_at_mut(ristretto::PUBLIC_KEY_LEN);
        first.copy_from_slice(&e.public_key().to_bytes());
        second.copy_from_slice(&x.public_key().to_bytes());
        Self { e, x, header }
    }

    pub(crate) fn header(&self) -> Header<'_> {
        &self.header
    }

    /// The secrets shared with the owners of these keys, made together.
    pub(crate) fn agree_with_all(&self, keys: &[ristretto::PublicKey]) -> Vec<Secret> {
        self.e.agree_with_all(keys)
    }
}

/// Encrypts a secret. `shared` is the secret shared with the recipient's key, if it has been computed already.
pub(super) fn seal(
    to: &To<'_>,
    secret: &Secret,
    (ephemeral, shared): (&Ephemeral, Option<Secret>),
    (binding, origin): (&Binding<'_>, Origin),
    own: &PrekeySecrets,
    rng: &mut dyn CryptoRng,
) -> Result<Made, Error> {
    let (shared, contact, held) = match to {
        To::Prekeys(bundle, one_time) => {
            let (shared, contact) = x3dh::initiate(own, bundle, one_time.as_deref(), label::LEAN_X3DH, rng)?;
            (shared, contact.encode().to_vec(), None)
        }
        To::Fresh(bundle) => {
            let (shared, key) = x3dh::initiate_fresh(own, bundle, label::LEAN_X3DH_FRESH, rng)?;
            (shared, key.0.to_vec(), None)
        }
        To::Key(Public::Ristretto(key)) => (shared.unwrap_or_else(|| ephemeral.e.agree(key)), Vec::new(), Some(key)),
        To::Key(_) => return Err(Error::Internal),
    };
    let Derived { key, d, t } = Derived::new(&shared, binding, origin);
    let step = d.public_key();
    let theirs = held.map_or(Ok(step), |held| held.plus(&step))?;
    let sealed = [contact.clone(), key.seal(secret.expose(), &contact)?].concat();
    let mine = Private::Ristretto(ephemeral.x.plus(&t));
    Ok(Made { sealed, mine, theirs: Public::Ristretto(theirs) })
}

/// Decrypts. `None` if it does not open.
pub(super) fn open(
    means: &Means<'_>,
    sealed: &[u8],
    (binding, origin): (&Binding<'_>, Origin),
    own: &mut PrekeySecrets,
) -> Option<Opened> {
    let (e, a) = binding.header.split_first_chunk().and_then(|(e, a)| Some((e, a.first_chunk()?)))?;
    let contact_len = match means {
        Means::Prekeys(_) => FIRST_CONTACT_LEN,
        Means::Fresh(..) => PUBLIC_KEY_LEN,
        Means::Key(_) => 0,
    };
    let (contact, ciphertext) = sealed.split_at_checked(contact_len)?;
    let mut reader = Reader::new(contact);
    let mut first_contact = None;
    let (shared, held) = match means {
        Means::Prekeys(identity) => {
            let contact = first_contact.insert(FirstContact::decode(&mut reader).ok()?);
            (x3dh::respond(own, identity, contact, label::LEAN_X3DH).ok()?, None)
        }
        Means::Fresh(key, identity) => {
            let ephemeral = PublicKey(reader.array().ok()?);
            (x3dh::respond_fresh(own, key, identity, &ephemeral, label::LEAN_X3DH_FRESH).ok()?, None)
        }
        Means::Key(Private::Ristretto(key)) => (key.agree(&ristretto::PublicKey::from_bytes(e).ok()?), Some(key)),
        Means::Key(_) => return None,
    };
    let Derived { key, d, t } = Derived::new(&shared, binding, origin);
    let opened = key.open(ciphertext, contact).ok()?;
    if let Some(contact) = &first_contact {
        own.used(contact);
    }
    Some(Opened {
        secret: Secret::new(*opened.expose().first_chunk()?),
        received: Private::Ristretto(held.map_or_else(|| d.clone(), |held| held.plus(&d))),
        peer: Public::Announced(Announced { a: *a, t }),
        index: binding.number,
    })
}

/// What both sides derive.
struct Derived {
    key: OneTimeKey128,
    d: ristretto::PrivateKey,
    t: ristretto::PrivateKey,
}

impl Derived {
    fn new(shared: &Secret, binding: &Binding<'_>, origin: Origin) -> Self {
        // The parts have fixed lengths.
        let index = match origin {
            Origin::Fresh(index) => index,
            Origin::Prekeys | Origin::Sender | Origin::Own(_) => 0,
        };
        let origin = [origin.number(binding.rules).to_be_bytes(), index.to_be_bytes()].concat();
        let context = [&binding.both()[..], &origin].concat();
        let derived: Secret<DERIVED_LEN> = kdf::derive(label::LEAN_SLOT, &[], shared.expose(), &context);
        let (key, rest) = kdf::split::<KEY_128_LEN, { 2 * WIDE_LEN }, DERIVED_LEN>(&derived);
        let (d, t) = kdf::split::<WIDE_LEN, WIDE_LEN, { 2 * WIDE_LEN }>(&rest);
        let scalar = ristretto::PrivateKey::from_wide;
        Self { key: OneTimeKey128::new(key), d: scalar(&d), t: scalar(&t) }
    }
}
