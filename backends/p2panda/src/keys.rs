//! A user's own keys, and those that others publish.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;

use p2panda_core::cbor::encode_cbor;
use p2panda_encryption::Rng;
use p2panda_encryption::crypto::x25519::{PublicKey, SecretKey};
use p2panda_encryption::crypto::xeddsa::XSignature;
use p2panda_encryption::key_bundle::{
    Lifetime, LongTermKeyBundle, OneTimeKeyBundle, OneTimePreKey, OneTimePreKeyId, PreKey, PreKeyId,
};
use p2panda_encryption::key_manager::{KeyManager, KeyManagerError, KeyManagerState};
use p2panda_encryption::traits::{IdentityManager, IdentityRegistry, KeyBundle as _, PreKeyManager, PreKeyRegistry};
use protocol::directory::Directory;
use protocol::error::Error;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::ids::Id;
use crate::wire;

/// The crate's randomness, seeded from the caller's.
pub(crate) fn rng(rng: &mut dyn CryptoRng) -> Rng {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    Rng::from_seed(seed)
}

/// The same for all prekeys, so that none expires during a measurement, and nobody can alter it: the crate does not sign it.
fn lifetime() -> Lifetime {
    Lifetime::from_range(0, u32::MAX.into())
}

/// A new user's keys, with its bundle and its one-time prekeys in their published form.
pub(crate) struct NewKeys {
    pub(crate) id: Id,
    pub(crate) keys: KeyManagerState,
    pub(crate) bundle: Vec<u8>,
    pub(crate) one_time: Vec<Vec<u8>>,
}

impl NewKeys {
    pub(crate) fn generate(one_time_prekeys: usize, rng: &Rng) -> Option<Self> {
        let identity = SecretKey::from_rng(rng).ok()?;
        let mut keys = KeyManager::rotate_prekey(KeyManager::init(&identity).ok()?, lifetime(), rng).ok()?;
        let bundle = encode_cbor(&KeyManager::prekey_bundle(&keys).ok()?).ok()?;
        let mut one_time = Vec::new();
        for _ in 0..one_time_prekeys {
            let made;
            (keys, made) = KeyManager::generate_onetime_bundle(keys, rng).ok()?;
            one_time.push(encode_cbor(&OneTimePreKey::new(*made.onetime_prekey()?, made.onetime_prekey_id()?)).ok()?);
        }
        Some(Self { id: Id(identity.verifying_key().ok()?.to_bytes()), keys, bundle, one_time })
    }
}

/// The crate's key manager, which can be stored only under a name of its own: a stored state names the types in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Keys;

impl IdentityManager<KeyManagerState> for Keys {
    fn identity_secret(keys: &KeyManagerState) -> &SecretKey {
        KeyManager::identity_secret(keys)
    }
}

impl PreKeyManager for Keys {
    type State = KeyManagerState;
    type Error = KeyManagerError;

    fn prekey_secret<'a>(keys: &'a KeyManagerState, id: &'a PreKeyId) -> Result<&'a SecretKey, KeyManagerError> {
        KeyManager::prekey_secret(keys, id)
    }

    fn rotate_prekey(keys: KeyManagerState, life: Lifetime, rng: &Rng) -> Result<KeyManagerState, KeyManagerError> {
        KeyManager::rotate_prekey(keys, life, rng)
    }

    fn prekey_bundle(keys: &KeyManagerState) -> Result<LongTermKeyBundle, KeyManagerError> {
        KeyManager::prekey_bundle(keys)
    }

    fn generate_onetime_bundle(
        keys: KeyManagerState,
        rng: &Rng,
    ) -> Result<(KeyManagerState, OneTimeKeyBundle), KeyManagerError> {
        KeyManager::generate_onetime_bundle(keys, rng)
    }

    fn use_onetime_secret(
        keys: KeyManagerState,
        id: OneTimePreKeyId,
    ) -> Result<(KeyManagerState, Option<SecretKey>), KeyManagerError> {
        KeyManager::use_onetime_secret(keys, id)
    }
}

/// Bundles of other users, for one call.
pub(crate) type Bundles = BTreeMap<Id, OneTimeKeyBundle>;

thread_local! {
    /// The crate owns the state of its registry, and nothing from outside gets there later. So what a call may need lies
    /// here while it runs.
    static OFFERED: RefCell<Bundles> = const { RefCell::new(Bundles::new()) };
}

/// Makes a call that finds these bundles in the registry.
pub(crate) fn offering<T>(bundles: Bundles, call: impl FnOnce() -> T) -> T {
    OFFERED.set(bundles);
    let result = call();
    OFFERED.take();
    result
}

/// The registry of users' public keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Registry;

impl PreKeyRegistry<Id, OneTimeKeyBundle> for Registry {
    type State = ();
    type Error = Infallible;

    fn key_bundle((): (), user: &Id) -> Result<((), Option<OneTimeKeyBundle>), Infallible> {
        Ok(((), OFFERED.with_borrow_mut(|offered| offered.remove(user))))
    }
}

impl IdentityRegistry<Id, ()> for Registry {
    type Error = Infallible;

    fn identity_key((): &(), user: &Id) -> Result<Option<PublicKey>, Infallible> {
        Ok(Some(user.key()))
    }
}

/// A long-term bundle as the crate encodes it; its own type keeps the signature to itself.
#[derive(Deserialize)]
struct Published {
    identity_key: PublicKey,
    signed_prekey: PreKey,
    prekey_signature: XSignature,
}

/// A user's bundle, with a one-time prekey if `once` and one is left. The crate checks the signature when it uses it.
pub(crate) fn fetch(user: Id, once: bool, directory: &dyn Directory) -> Result<OneTimeKeyBundle, Error> {
    let bundle = directory.bundle(&user.member()).ok_or(Error::NoBundle)?;
    let Published { identity_key, signed_prekey, prekey_signature } =
        wire::decode_all(&bundle).map_err(|_| Error::NoBundle)?;
    if identity_key != user.key() || *signed_prekey.lifetime() != lifetime() {
        return Err(Error::NoBundle);
    }
    let one_time = once.then(|| directory.one_time(&user.member())).flatten();
    let one_time = one_time.map(|key| wire::decode_all(&key)).transpose().map_err(|_| Error::NoBundle)?;
    Ok(OneTimeKeyBundle::new(identity_key, signed_prekey, prekey_signature, one_time))
}
