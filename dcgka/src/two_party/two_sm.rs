//! 2SM (paper, section 6.1): with each message the sender makes a new key pair for itself and one for the recipient, whose
//! private key it sends along.
//!
//! ```text
//! origin 1..5 | prekeys: ephemeral key 32, one-time prekey 4    | AEAD( secret 32, b 32, A 32, index 4 ) | tag 16
//!             | else (HPKE): encapsulated key 32                |
//! ```

use protocol::crypto::dh::{PrivateKey, PublicKey};
use protocol::crypto::hpke;
use protocol::crypto::secret::{Secret, SecretBytes};
use protocol::error::Error;
use protocol::wire::codec::Reader;
use protocol::x3dh::{self, PrekeySecrets};
use rand_core::CryptoRng;

use super::keys::{Binding, Made, Means, Opened, Private, Public, To};
use super::slot::payload_len;

/// Encrypts a secret. My next key has this index.
pub(super) fn seal(
    to: &To<'_>,
    secret: &Secret,
    index: u32,
    binding: &Binding<'_>,
    own: &PrekeySecrets,
    rng: &mut dyn CryptoRng,
) -> Result<Made, Error> {
    let (mine, theirs) = (PrivateKey::random(rng), PrivateKey::random(rng));
    let mut payload = SecretBytes::with_capacity(payload_len(binding.rules));
    payload.put(secret.expose());
    payload.put(theirs.as_secret().expose());
    payload.put(&mine.public_key().0);
    payload.put(&index.to_be_bytes());
    let sealed = match to {
        To::Prekeys(bundle, one_time) => {
            x3dh::seal(own, bundle, one_time.as_deref(), &binding.both(), payload.expose(), rng)?
        }
        To::Fresh(bundle) => x3dh::seal_to_fresh(own, bundle, &binding.both(), payload.expose(), rng)?,
        To::Key(Public::X25519(key)) => hpke::seal(key, &binding.info(), &binding.associated(), payload.expose(), rng)?,
        To::Key(_) => return Err(Error::Internal),
    };
    Ok(Made { sealed, mine: Private::X25519(mine), theirs: Public::X25519(theirs.public_key()) })
}

/// Decrypts. `None` if it does not open.
pub(super) fn open(means: &Means<'_>, sealed: &[u8], binding: &Binding<'_>, own: &mut PrekeySecrets) -> Option<Opened> {
    let payload = match means {
        Means::Prekeys(identity) => x3dh::open(own, identity, &binding.both(), sealed),
        Means::Fresh(key, identity) => x3dh::open_with_fresh(own, key, identity, &binding.both(), sealed),
        Means::Key(Private::X25519(key)) => hpke::open(key, &binding.info(), &binding.associated(), sealed),
        Means::Key(_) => return None,
    };
    decode(payload.ok()?.expose()).ok()
}

fn decode(payload: &[u8]) -> Result<Opened, Error> {
    let mut reader = Reader::new(payload);
    let opened = Opened {
        secret: Secret::new(reader.array()?),
        received: Private::X25519(PrivateKey::from_secret(Secret::new(reader.array()?))),
        peer: Public::X25519(PublicKey(reader.array()?)),
        index: u32::from_be_bytes(reader.array()?),
    };
    reader.finish().map(|()| opened)
}
