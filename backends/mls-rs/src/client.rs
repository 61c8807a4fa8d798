//! How mls-rs is set up: its options, who is who, and where it stores what it keeps.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ed25519_dalek::SigningKey;
use mls_rs::client_builder::{
    BaseConfig, WithCryptoProvider, WithGroupStateStorage, WithIdentityProvider, WithKeyPackageRepo,
};
use mls_rs::error::IntoAnyError;
use mls_rs::identity::basic::BasicCredential;
use mls_rs::identity::{Credential, CredentialType, SigningIdentity};
use mls_rs::mls_rules::{CommitOptions, DefaultMlsRules};
use mls_rs::time::MlsTime;
use mls_rs::{Client, ExtensionList, Group, GroupStateStorage, IdentityProvider, KeyPackageStorage};
use mls_rs_core::group::{EpochRecord, GroupState};
use mls_rs_core::identity::MemberValidationContext;
use mls_rs_core::key_package::KeyPackageData;
use protocol::id::MemberId;
use zeroize::Zeroizing;

use crate::provider::{Crypto, Provider, Randomness, SUITE};

/// Past epochs whose messages can be read: as many as the implementation's own storage keeps by default.
pub(crate) const PAST_EPOCHS: u64 = 3;

pub(crate) type Config<P> = WithCryptoProvider<
    Crypto<P>,
    WithIdentityProvider<Identities, WithGroupStateStorage<Store, WithKeyPackageRepo<Store, BaseConfig>>>,
>;

/// There is no clock. All key packages are made now, and all commits too.
pub(crate) fn now() -> MlsTime {
    MlsTime::from(0)
}

/// A user's client. Everything that it keeps is in `store`.
pub(crate) fn client<P: Provider>(signing: &SigningKey, store: Store, randomness: Randomness) -> Client<Config<P>> {
    // A commit that only adds may go without a new path. With one, every commit gives the group secrets that are new
    // also to who has stolen its author's state.
    let rules = DefaultMlsRules::new().with_commit_options(CommitOptions::new().with_path_required(true));
    let name = signing.verifying_key().to_bytes().to_vec();
    let identity = SigningIdentity::new(BasicCredential::new(name.clone()).into_credential(), name.into());
    Client::builder()
        .key_package_repo(store.clone())
        .group_state_storage(store)
        .identity_provider(Identities)
        .crypto_provider(Crypto::new(randomness))
        .mls_rules(rules)
        .signing_identity(identity, signing.to_keypair_bytes().to_vec().into(), SUITE)
        .build()
}

/// Whose identity it is, if it is valid: a user's name is its signature key.
pub(crate) fn id_of(identity: &SigningIdentity) -> Option<MemberId> {
    let Credential::Basic(credential) = &identity.credential else { return None };
    let id = <[u8; 32]>::try_from(credential.identifier.as_slice()).ok()?;
    (identity.signature_key.as_bytes() == id).then_some(MemberId(id))
}

/// The members of a group by the numbers of their leaves.
pub(crate) fn member_at<P: Provider>(group: &Group<Config<P>>, leaf: u32) -> Option<MemberId> {
    id_of(&group.member_at_index(leaf)?.signing_identity)
}

/// Knows whose key is whose: users are named after their keys.
#[derive(Clone)]
pub(crate) struct Identities;

/// A name that is not that of its key.
#[derive(Debug)]
pub(crate) struct Misnamed;

impl IntoAnyError for Misnamed {}

impl IdentityProvider for Identities {
    type Error = Misnamed;

    fn validate_member(
        &self,
        identity: &SigningIdentity,
        _: Option<MlsTime>,
        _: MemberValidationContext<'_>,
    ) -> Result<(), Misnamed> {
        id_of(identity).map(drop).ok_or(Misnamed)
    }

    fn validate_external_sender(
        &self,
        _: &SigningIdentity,
        _: Option<MlsTime>,
        _: Option<&ExtensionList>,
    ) -> Result<(), Misnamed> {
        Err(Misnamed)
    }

    fn identity(&self, identity: &SigningIdentity, _: &ExtensionList) -> Result<Vec<u8>, Misnamed> {
        id_of(identity).map(|id| id.0.to_vec()).ok_or(Misnamed)
    }

    fn valid_successor(
        &self,
        predecessor: &SigningIdentity,
        successor: &SigningIdentity,
        _: &ExtensionList,
    ) -> Result<bool, Misnamed> {
        Ok(predecessor == successor)
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::BASIC]
    }
}

/// What mls-rs stores for one user: in memory, and the same for all handles.
#[derive(Clone, Default)]
pub(crate) struct Store(Arc<Mutex<Stored>>);

#[derive(Clone, Default)]
pub(crate) struct Stored {
    /// The group, as it was last written.
    pub(crate) state: Zeroizing<Vec<u8>>,
    /// What reads the messages of past epochs.
    pub(crate) epochs: BTreeMap<u64, Zeroizing<Vec<u8>>>,
    /// The secrets of the user's key packages.
    pub(crate) packages: BTreeMap<Vec<u8>, KeyPackageData>,
}

impl Store {
    pub(crate) fn new(stored: Stored) -> Self {
        Self(Arc::new(Mutex::new(stored)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Stored> {
        // No code here panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GroupStateStorage for Store {
    type Error = Infallible;

    fn state(&self, _: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Infallible> {
        Ok(Some(self.lock().state.clone()))
    }

    fn epoch(&self, _: &[u8], epoch: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Infallible> {
        Ok(self.lock().epochs.get(&epoch).cloned())
    }

    fn write(
        &mut self,
        state: GroupState,
        inserts: Vec<EpochRecord>,
        updates: Vec<EpochRecord>,
    ) -> Result<(), Infallible> {
        let mut stored = self.lock();
        stored.state = state.data;
        stored.epochs.extend(inserts.into_iter().chain(updates).map(|epoch| (epoch.id, epoch.data)));
        let last = stored.epochs.keys().next_back().copied().unwrap_or_default();
        stored.epochs.retain(|epoch, _| epoch + PAST_EPOCHS > last);
        Ok(())
    }

    fn max_epoch_id(&self, _: &[u8]) -> Result<Option<u64>, Infallible> {
        Ok(self.lock().epochs.keys().next_back().copied())
    }
}

impl KeyPackageStorage for Store {
    type Error = Infallible;

    fn delete(&mut self, id: &[u8]) -> Result<(), Infallible> {
        self.lock().packages.remove(id);
        Ok(())
    }

    fn insert(&mut self, id: Vec<u8>, package: KeyPackageData) -> Result<(), Infallible> {
        self.lock().packages.insert(id, package);
        Ok(())
    }

    fn get(&self, id: &[u8]) -> Result<Option<KeyPackageData>, Infallible> {
        Ok(self.lock().packages.get(id).cloned())
    }
}
