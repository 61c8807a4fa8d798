//! A user's published prekey. BeeKEM leaves its authenticity to others; here its owner signs it.

use ed25519_dalek::Signature;
use keyhive_codec::traits::Decode as _;
use keyhive_crypto::share_key::{ShareKey, ShareSecretKey};
use protocol::directory::Directory;
use protocol::id::MemberId;
use rand_core::CryptoRng;

use crate::ed25519::{self, Key};

/// What is signed begins with this.
const DOMAIN: &[u8] = b"beekem-backend-v1 prekey";
const KEY_LEN: usize = 32;

/// A user's long-term secrets.
#[derive(Clone)]
pub(crate) struct Secrets {
    pub(crate) signing: Key,
    pub(crate) prekey: ShareSecretKey,
}

impl Secrets {
    pub(crate) fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut draw = || {
            let mut bytes = [0; KEY_LEN];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        Self::of(draw(), draw())
    }

    pub(crate) fn of(signing: [u8; KEY_LEN], prekey: [u8; KEY_LEN]) -> Self {
        Self { signing: Key::from_bytes(&signing), prekey: ShareSecretKey::force_from_bytes(prekey) }
    }

    pub(crate) fn id(&self) -> MemberId {
        MemberId(self.signing.public())
    }

    /// The public prekey and the signature.
    pub(crate) fn bundle(&self) -> Vec<u8> {
        let key = self.prekey.share_key().to_bytes();
        let signature = self.signing.sign(&[DOMAIN, &key].concat());
        [&key[..], &signature.to_bytes()].concat()
    }
}

/// A user's prekey, if the directory has a valid bundle.
pub(crate) fn prekey_of(user: &MemberId, directory: &dyn Directory) -> Option<ShareKey> {
    let bundle = directory.bundle(user)?;
    let (key, signature) = bundle.split_first_chunk::<KEY_LEN>()?;
    let signature = Signature::from_slice(signature).ok()?;
    if !ed25519::verify(user, &[DOMAIN, key].concat(), &signature) {
        return None;
    }
    ShareKey::decode(key).ok()
}
