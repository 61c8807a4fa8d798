//! What the implementation calculates with, counted, and where it keeps its state.

use std::collections::HashMap;
use std::sync::PoisonError;

use openmls::prelude::{
    AeadType, Ciphersuite, CryptoError, HashType, HpkeCiphertext, HpkeConfig, HpkeKeyPair, OpenMlsCrypto,
    OpenMlsProvider, SignatureScheme,
};
use openmls_memory_storage::MemoryStorage;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::types::{ExporterSecret, KemOutput};
use protocol::crypto::count::{self, Counts};
use protocol::error::Error;
use protocol::wire::codec::{Reader, put_len, put_prefixed};

use openmls::prelude::tls_codec::SecretVLBytes;

/// A member's primitives and state.
#[derive(Default)]
pub(crate) struct Provider {
    crypto: Counting,
    storage: MemoryStorage,
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Counting;
    type RandProvider = RustCrypto;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.storage
    }

    fn crypto(&self) -> &Counting {
        &self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        &self.crypto.0
    }
}

/// Entries of the storage.
pub(crate) type Entries = HashMap<Vec<u8>, Vec<u8>>;

impl Provider {
    /// A provider with these entries.
    pub(crate) fn of(entries: Entries) -> Self {
        Self { crypto: Counting::default(), storage: MemoryStorage { values: entries.into() } }
    }

    /// All entries.
    pub(crate) fn entries(&self) -> Entries {
        self.storage.values.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those entries whose key begins so.
    pub(crate) fn entries_of(&self, kind: &[u8]) -> Entries {
        let values = self.storage.values.read().unwrap_or_else(PoisonError::into_inner);
        values
            .iter()
            .filter(|(key, _)| key.starts_with(kind))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Replaces entries.
    pub(crate) fn put(&self, entries: Entries) {
        self.storage.values.write().unwrap_or_else(PoisonError::into_inner).extend(entries);
    }

    /// Forgets the entries whose key begins so.
    pub(crate) fn forget(&self, kind: &[u8]) {
        let mut values = self.storage.values.write().unwrap_or_else(PoisonError::into_inner);
        values.retain(|key, _| !key.starts_with(kind));
    }

    /// All entries, in the order of their keys.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let values = self.storage.values.read().unwrap_or_else(PoisonError::into_inner);
        let mut entries: Vec<_> = values.iter().collect();
        entries.sort_unstable();
        put_len(out, entries.len());
        for (key, value) in entries {
            put_prefixed(out, key);
            put_prefixed(out, value);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut entries = Entries::new();
        for _ in 0..reader.count(2)? {
            entries.insert(reader.prefixed()?.to_vec(), reader.prefixed()?.to_vec());
        }
        Ok(Self::of(entries))
    }
}

/// The implementation's own primitives, with their public-key operations counted. Signatures are made elsewhere
/// ([`crate::signer`]).
#[derive(Default)]
pub(crate) struct Counting(RustCrypto);

/// HPKE makes a key pair and agrees on a key with it.
const SEAL: Counts = Counts { keygen: 1, dh: 1, ..Counts::NOTHING };
/// It agrees on a key, and this implementation derives its own public key again for that.
const OPEN: Counts = Counts { keygen: 1, dh: 1, ..Counts::NOTHING };
const KEYGEN: Counts = Counts { keygen: 1, ..Counts::NOTHING };
const SIGN_KEYGEN: Counts = Counts { sign_keygen: 1, ..Counts::NOTHING };
const SIGN: Counts = Counts { sign: 1, ..Counts::NOTHING };
const VERIFY: Counts = Counts { verify: 1, ..Counts::NOTHING };

impl OpenMlsCrypto for Counting {
    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        self.0.supports(ciphersuite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        self.0.supported_ciphersuites()
    }

    fn hkdf_extract(&self, hash: HashType, salt: &[u8], ikm: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.0.hkdf_extract(hash, salt, ikm)
    }

    fn hmac(&self, hash: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.0.hmac(hash, key, message)
    }

    fn hkdf_expand(&self, hash: HashType, prk: &[u8], info: &[u8], len: usize) -> Result<SecretVLBytes, CryptoError> {
        self.0.hkdf_expand(hash, prk, info, len)
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.0.hash(hash, data)
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.0.aead_encrypt(alg, key, data, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        sealed: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.0.aead_decrypt(alg, key, sealed, nonce, aad)
    }

    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        count::add(SIGN_KEYGEN);
        self.0.signature_key_gen(alg)
    }

    fn verify_signature(
        &self,
        alg: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        count::add(VERIFY);
        self.0.verify_signature(alg, data, pk, signature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        count::add(SIGN);
        self.0.sign(alg, data, key)
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        count::add(SEAL);
        self.0.hpke_seal(config, pk_r, info, aad, ptxt)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        count::add(OPEN);
        self.0.hpke_open(config, input, sk_r, info, aad)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        context: &[u8],
        len: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        count::add(SEAL);
        self.0.hpke_setup_sender_and_export(config, pk_r, info, context, len)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        context: &[u8],
        len: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        count::add(OPEN);
        self.0.hpke_setup_receiver_and_export(config, enc, sk_r, info, context, len)
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        count::add(KEYGEN);
        self.0.derive_hpke_keypair(config, ikm)
    }
}
