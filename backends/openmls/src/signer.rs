//! A user's signature key.

use openmls::prelude::{BasicCredential, CredentialWithKey, SignatureScheme, tls_codec};
use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::signatures::{Signer as Signs, SignerError};
use protocol::crypto::count::{self, Counts};
use protocol::error::Error;
use protocol::id::MemberId;
use tls_codec::{DeserializeBytes as _, Serialize as _};

/// A signature key pair that counts.
#[derive(Clone)]
pub(crate) struct Signer {
    pair: SignatureKeyPair,
    /// The public key, which is its user's id.
    pub(crate) id: MemberId,
    /// The pair in bytes.
    encoded: Vec<u8>,
}

impl Signs for Signer {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        count::add(Counts { sign: 1, ..Counts::NOTHING });
        self.pair.sign(payload)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.pair.signature_scheme()
    }
}

impl Signer {
    pub(crate) fn generate() -> Result<Self, Error> {
        count::add(Counts { sign_keygen: 1, ..Counts::NOTHING });
        let pair = SignatureKeyPair::new(SignatureScheme::ED25519).map_err(|_| Error::Internal)?;
        Self::of(pair)
    }

    fn of(pair: SignatureKeyPair) -> Result<Self, Error> {
        let id = MemberId(pair.public().try_into().map_err(|_| Error::Malformed)?);
        let encoded = pair.tls_serialize_detached().map_err(|_| Error::Internal)?;
        Ok(Self { pair, id, encoded })
    }

    /// The id as a credential.
    pub(crate) fn credential(&self) -> CredentialWithKey {
        let credential = BasicCredential::new(self.pair.to_public_vec()).into();
        CredentialWithKey { credential, signature_key: self.pair.to_public_vec().into() }
    }

    /// The pair in bytes.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Self::of(SignatureKeyPair::tls_deserialize_exact_bytes(bytes).map_err(|_| Error::Malformed)?)
    }
}
