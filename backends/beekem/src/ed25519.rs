//! Ed25519, counted. X25519 is counted where it is computed, in `backends/counting`.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use future_form::{FutureForm, Local};
use keyhive_crypto::signable::Signable;
use keyhive_crypto::signer::SigningError;
use keyhive_crypto::signer::async_signer::AsyncSigner;
use keyhive_crypto::verifiable::Verifiable;
use keyhive_crypto::verified::{Signed, Verified, VerifyError};
use protocol::crypto::count::{self, Counts};
use protocol::error::Error;
use protocol::id::MemberId;

const VERIFY: Counts = Counts { verify: 1, ..Counts::NOTHING };

/// A key pair.
#[derive(Clone)]
pub(crate) struct Key(SigningKey);

impl Key {
    pub(crate) fn from_bytes(secret: &[u8; 32]) -> Self {
        count::add(Counts { sign_keygen: 1, ..Counts::NOTHING });
        Self(SigningKey::from_bytes(secret))
    }

    pub(crate) fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public key's bytes.
    pub(crate) fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        count::add(Counts { sign: 1, ..Counts::NOTHING });
        self.0.sign(message)
    }
}

impl Verifiable for Key {
    fn verifying_key(&self) -> VerifyingKey {
        self.0.verifying_key()
    }
}

/// Signs BeeKEM's operations. `keyhive_crypto` checks each signature immediately after it is made, which nobody else could
/// count.
impl AsyncSigner<Local> for Key {
    fn try_sign_bytes_async<'a>(
        &'a self,
        payload_bytes: &'a [u8],
    ) -> <Local as FutureForm>::Future<'a, Result<Signature, SigningError>> {
        count::add(VERIFY);
        Local::ready(Ok(self.sign(payload_bytes)))
    }
}

/// Checks a signature of one of BeeKEM's operations.
pub(crate) fn verify_operation<T: Signable>(signed: Signed<T>) -> Result<Verified<T>, Error> {
    let verified = signed.verify();
    // What does not decode is not checked.
    if !matches!(verified, Err(VerifyError::Decode(_))) {
        count::add(VERIFY);
    }
    verified.map_err(|_| Error::NotAuthentic)
}

/// Whether a signature is one of a member.
pub(crate) fn verify(member: &MemberId, message: &[u8], signature: &Signature) -> bool {
    VerifyingKey::from_bytes(&member.0).is_ok_and(|key| {
        count::add(VERIFY);
        key.verify_strict(message, signature).is_ok()
    })
}
