//! The two providers of cryptography, wrapped: public-key operations are counted, and all randomness is the harness's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mls_rs::error::IntoAnyError;
use mls_rs::{CipherSuite, CipherSuiteProvider, CryptoProvider};
use mls_rs_core::crypto::{
    HpkeCiphertext, HpkePsk, HpkePublicKey, HpkeSecretKey, SignaturePublicKey, SignatureSecretKey,
};
use mls_rs_crypto_hpke::context::{ContextR, ContextS};
use mls_rs_crypto_hpke::dhkem::DhKem;
use mls_rs_crypto_hpke::hpke::Hpke;
use mls_rs_crypto_traits::{AeadType, DhType, KdfType, KemId, SamplingMethod};
use protocol::crypto::count::{self, Counts};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng as _, SeedableRng as _};
use zeroize::Zeroizing;

/// X25519, AES-128-GCM, SHA-256 and Ed25519.
pub(crate) const SUITE: CipherSuite = CipherSuite::CURVE25519_AES128;

/// Bytes of a secret key, and of a seed.
const KEY_LEN: usize = 32;

/// A provider of mls-rs, and the parts that its HPKE consists of.
pub(crate) trait Provider: Clone + Send + Sync + 'static {
    /// Before the condition of the tree in the names of variants.
    const FRESH: &'static str;
    const FULL: &'static str;
    const FRESH_SUMMARY: &'static str;
    const FULL_SUMMARY: &'static str;
    const ADAPTS: &'static str;
    type Suite: CipherSuiteProvider + Clone + 'static;
    type Dh: DhType + Clone + 'static;
    type Kdf: KdfType + Clone + 'static;
    type Aead: AeadType + Clone + Send + Sync + 'static;

    /// `None` if it does not have the cipher suite.
    fn parts() -> Option<Parts<Self>>;
}

/// A provider's cipher suite, and the parts of its HPKE.
pub(crate) struct Parts<P: Provider> {
    suite: P::Suite,
    dh: P::Dh,
    kdf: P::Kdf,
    aead: P::Aead,
}

type HpkeOf<P> =
    Hpke<DhKem<Dh<<P as Provider>::Dh>, <P as Provider>::Kdf>, <P as Provider>::Kdf, <P as Provider>::Aead>;

/// Curves, hashes and ciphers in Rust: the crates that this project uses itself.
#[derive(Clone)]
pub(crate) struct RustCrypto;

impl Provider for RustCrypto {
    const FRESH: &'static str = "rustcrypto-fresh";
    const FULL: &'static str = "rustcrypto-full";
    const FRESH_SUMMARY: &'static str = "MLS with RustCrypto, on the tree of a new group";
    const FULL_SUMMARY: &'static str = "MLS with RustCrypto, on a tree in which everybody has updated";
    const ADAPTS: &'static str = "mls-rs 0.57.0, mls-rs-crypto-rustcrypto 0.23.0";
    type Suite = <mls_rs_crypto_rustcrypto::RustCryptoProvider as CryptoProvider>::CipherSuiteProvider;
    type Dh = mls_rs_crypto_rustcrypto::ecdh::Ecdh;
    type Kdf = mls_rs_crypto_rustcrypto::kdf::Kdf;
    type Aead = mls_rs_crypto_rustcrypto::aead::Aead;

    fn parts() -> Option<Parts<Self>> {
        let suite = mls_rs_crypto_rustcrypto::RustCryptoProvider::new().cipher_suite_provider(SUITE)?;
        let (dh, kdf, aead) = (Self::Dh::new(SUITE)?, Self::Kdf::new(SUITE)?, Self::Aead::new(SUITE)?);
        Some(Parts { suite, dh, kdf, aead })
    }
}

/// AWS-LC, a library in C and assembler.
#[derive(Clone)]
pub(crate) struct AwsLc;

impl Provider for AwsLc {
    const FRESH: &'static str = "awslc-fresh";
    const FULL: &'static str = "awslc-full";
    const FRESH_SUMMARY: &'static str = "MLS with AWS-LC, on the tree of a new group";
    const FULL_SUMMARY: &'static str = "MLS with AWS-LC, on a tree in which everybody has updated";
    const ADAPTS: &'static str = "mls-rs 0.57.0, mls-rs-crypto-awslc 0.27.0";
    type Suite = mls_rs_crypto_awslc::AwsLcCipherSuite;
    type Dh = mls_rs_crypto_awslc::Ecdh;
    type Kdf = mls_rs_crypto_awslc::AwsLcHkdf;
    type Aead = mls_rs_crypto_awslc::AwsLcAead;

    fn parts() -> Option<Parts<Self>> {
        let suite = mls_rs_crypto_awslc::AwsLcCryptoProvider::new().cipher_suite_provider(SUITE)?;
        let (dh, kdf, aead) = (Self::Dh::new(SUITE)?, Self::Kdf::new(SUITE)?, Self::Aead::new(SUITE)?);
        Some(Parts { suite, dh, kdf, aead })
    }
}

/// A primitive has failed.
#[derive(Debug)]
pub(crate) struct Failed;

impl IntoAnyError for Failed {}

/// What a member draws during a call. Outside calls there is no randomness, and drawing fails.
#[derive(Clone, Default)]
pub(crate) struct Randomness(Arc<Mutex<Source>>);

#[derive(Default)]
pub(crate) enum Source {
    #[default]
    Nothing,
    /// These keys, the last first.
    Keys(Zeroizing<Vec<[u8; KEY_LEN]>>),
    Stream(Box<ChaCha20Rng>),
}

impl Source {
    /// As many keys as are needed.
    pub(crate) fn keys(rng: &mut dyn CryptoRng, number: usize) -> Self {
        let mut keys = Zeroizing::new(vec![[0; KEY_LEN]; number]);
        keys.iter_mut().for_each(|key| rng.fill_bytes(key));
        Self::Keys(keys)
    }

    /// A stream that one draw of `rng` starts.
    pub(crate) fn stream(rng: &mut dyn CryptoRng) -> Self {
        let mut seed = [0; KEY_LEN];
        rng.fill_bytes(&mut seed);
        Self::Stream(Box::new(ChaCha20Rng::from_seed(seed)))
    }
}

impl Randomness {
    /// Makes a call that draws from `source`.
    pub(crate) fn during<T>(&self, source: Source, call: impl FnOnce() -> T) -> T {
        *self.lock() = source;
        let result = call();
        *self.lock() = Source::Nothing;
        result
    }

    fn fill(&self, out: &mut [u8]) -> Result<(), Failed> {
        match &mut *self.lock() {
            Source::Nothing => Err(Failed),
            Source::Keys(keys) if out.len() == KEY_LEN => {
                out.copy_from_slice(&keys.pop().ok_or(Failed)?);
                Ok(())
            }
            Source::Keys(_) => Err(Failed),
            Source::Stream(stream) => {
                stream.fill_bytes(out);
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Source> {
        // No code above panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key agreement of a provider. It counts, and draws its keys from the harness's randomness.
#[derive(Clone)]
pub(crate) struct Dh<D> {
    inner: D,
    randomness: Randomness,
}

impl<D: DhType> DhType for Dh<D> {
    type Error = Failed;

    fn dh(&self, secret_key: &HpkeSecretKey, public_key: &HpkePublicKey) -> Result<Vec<u8>, Failed> {
        count::add(Counts { dh: 1, ..Counts::NOTHING });
        self.inner.dh(secret_key, public_key).map_err(|_| Failed)
    }

    fn generate(&self) -> Result<(HpkeSecretKey, HpkePublicKey), Failed> {
        let mut secret = vec![0; self.inner.secret_key_size()];
        self.randomness.fill(&mut secret)?;
        let secret = HpkeSecretKey::from(secret);
        let public = self.to_public(&secret)?;
        Ok((secret, public))
    }

    fn to_public(&self, secret_key: &HpkeSecretKey) -> Result<HpkePublicKey, Failed> {
        count::add(Counts { keygen: 1, ..Counts::NOTHING });
        self.inner.to_public(secret_key).map_err(|_| Failed)
    }

    fn bitmask_for_rejection_sampling(&self) -> SamplingMethod {
        self.inner.bitmask_for_rejection_sampling()
    }

    fn secret_key_size(&self) -> usize {
        self.inner.secret_key_size()
    }

    fn public_key_size(&self) -> usize {
        self.inner.public_key_size()
    }

    fn public_key_validate(&self, key: &HpkePublicKey) -> Result<(), Failed> {
        self.inner.public_key_validate(key).map_err(|_| Failed)
    }
}

/// A provider for one member.
#[derive(Clone)]
pub(crate) struct Crypto<P> {
    randomness: Randomness,
    provider: core::marker::PhantomData<P>,
}

impl<P: Provider> Crypto<P> {
    pub(crate) fn new(randomness: Randomness) -> Self {
        Self { randomness, provider: core::marker::PhantomData }
    }
}

impl<P: Provider> CryptoProvider for Crypto<P> {
    type CipherSuiteProvider = Suite<P>;

    fn supported_cipher_suites(&self) -> Vec<CipherSuite> {
        vec![SUITE]
    }

    fn cipher_suite_provider(&self, cipher_suite: CipherSuite) -> Option<Suite<P>> {
        let kem_id = KemId::new(SUITE)?;
        let Parts { suite, dh, kdf, aead } = P::parts().filter(|_| cipher_suite == SUITE)?;
        let randomness = self.randomness.clone();
        let kem = DhKem::new(Dh { inner: dh, randomness }, kdf.clone(), kem_id as u16, kem_id.n_secret());
        Some(Suite { inner: suite, hpke: Hpke::new(kem, kdf, Some(aead)), randomness: self.randomness.clone() })
    }
}

/// The cipher suite of a provider. HPKE is composed again as both providers compose it, to count within.
#[derive(Clone)]
pub(crate) struct Suite<P: Provider> {
    inner: P::Suite,
    hpke: HpkeOf<P>,
    randomness: Randomness,
}

impl<P: Provider> CipherSuiteProvider for Suite<P> {
    type Error = Failed;
    type HpkeContextS = ContextS<P::Kdf, P::Aead>;
    type HpkeContextR = ContextR<P::Kdf, P::Aead>;

    fn cipher_suite(&self) -> CipherSuite {
        SUITE
    }

    fn hash(&self, data: &[u8]) -> Result<Vec<u8>, Failed> {
        self.inner.hash(data).map_err(|_| Failed)
    }

    fn mac(&self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, Failed> {
        self.inner.mac(key, data).map_err(|_| Failed)
    }

    fn aead_seal(&self, key: &[u8], data: &[u8], aad: Option<&[u8]>, nonce: &[u8]) -> Result<Vec<u8>, Failed> {
        self.inner.aead_seal(key, data, aad, nonce).map_err(|_| Failed)
    }

    fn aead_open(
        &self,
        key: &[u8],
        ciphertext: &[u8],
        aad: Option<&[u8]>,
        nonce: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Failed> {
        self.inner.aead_open(key, ciphertext, aad, nonce).map_err(|_| Failed)
    }

    fn aead_key_size(&self) -> usize {
        self.inner.aead_key_size()
    }

    fn aead_nonce_size(&self) -> usize {
        self.inner.aead_nonce_size()
    }

    fn kdf_extract(&self, salt: &[u8], ikm: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failed> {
        self.inner.kdf_extract(salt, ikm).map_err(|_| Failed)
    }

    fn kdf_expand(&self, prk: &[u8], info: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>, Failed> {
        self.inner.kdf_expand(prk, info, len).map_err(|_| Failed)
    }

    fn kdf_extract_size(&self) -> usize {
        self.inner.kdf_extract_size()
    }

    fn hpke_seal(
        &self,
        remote_key: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
        pt: &[u8],
    ) -> Result<HpkeCiphertext, Failed> {
        self.hpke.seal(remote_key, info, None, aad, pt).map_err(|_| Failed)
    }

    fn hpke_seal_psk(
        &self,
        remote_key: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
        pt: &[u8],
        psk: HpkePsk<'_>,
    ) -> Result<HpkeCiphertext, Failed> {
        self.hpke.seal(remote_key, info, Some(psk), aad, pt).map_err(|_| Failed)
    }

    fn hpke_open(
        &self,
        ciphertext: &HpkeCiphertext,
        local_secret: &HpkeSecretKey,
        local_public: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
    ) -> Result<Zeroizing<Vec<u8>>, Failed> {
        self.hpke.open(ciphertext, local_secret, local_public, info, None, aad).map_err(|_| Failed)
    }

    fn hpke_open_psk(
        &self,
        ciphertext: &HpkeCiphertext,
        local_secret: &HpkeSecretKey,
        local_public: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
        psk: HpkePsk<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, Failed> {
        self.hpke.open(ciphertext, local_secret, local_public, info, Some(psk), aad).map_err(|_| Failed)
    }

    fn hpke_setup_s(&self, remote_key: &HpkePublicKey, info: &[u8]) -> Result<(Vec<u8>, Self::HpkeContextS), Failed> {
        self.hpke.setup_sender(remote_key, info, None).map_err(|_| Failed)
    }

    fn hpke_setup_r(
        &self,
        kem_output: &[u8],
        local_secret: &HpkeSecretKey,
        local_public: &HpkePublicKey,
        info: &[u8],
    ) -> Result<Self::HpkeContextR, Failed> {
        self.hpke.setup_receiver(kem_output, local_secret, local_public, info, None).map_err(|_| Failed)
    }

    fn kem_derive(&self, ikm: &[u8]) -> Result<(HpkeSecretKey, HpkePublicKey), Failed> {
        self.hpke.derive(ikm).map_err(|_| Failed)
    }

    fn kem_generate(&self) -> Result<(HpkeSecretKey, HpkePublicKey), Failed> {
        self.hpke.generate().map_err(|_| Failed)
    }

    fn kem_public_key_validate(&self, key: &HpkePublicKey) -> Result<(), Failed> {
        self.hpke.public_key_validate(key).map_err(|_| Failed)
    }

    fn random_bytes(&self, out: &mut [u8]) -> Result<(), Failed> {
        self.randomness.fill(out)
    }

    fn signature_key_generate(&self) -> Result<(SignatureSecretKey, SignaturePublicKey), Failed> {
        // It would draw from the operating system. Users make their keys themselves.
        Err(Failed)
    }

    fn signature_key_derive_public(&self, secret_key: &SignatureSecretKey) -> Result<SignaturePublicKey, Failed> {
        count::add(Counts { sign_keygen: 1, ..Counts::NOTHING });
        self.inner.signature_key_derive_public(secret_key).map_err(|_| Failed)
    }

    fn sign(&self, secret_key: &SignatureSecretKey, data: &[u8]) -> Result<Vec<u8>, Failed> {
        count::add(Counts { sign: 1, ..Counts::NOTHING });
        self.inner.sign(secret_key, data).map_err(|_| Failed)
    }

    fn verify(&self, public_key: &SignaturePublicKey, signature: &[u8], data: &[u8]) -> Result<(), Failed> {
        count::add(Counts { verify: 1, ..Counts::NOTHING });
        self.inner.verify(public_key, signature, data).map_err(|_| Failed)
    }
}
