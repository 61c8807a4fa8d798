//! A user's Olm account, and what it publishes of it.
//!
//! ```text
//! bundle            identity key 32 | fallback key 32 | signature 64
//! one-time bundle   one-time key 32 | signature 64
//! ```
//!
//! A user's id is the account's Ed25519 key, which signs both. The other keys are Curve25519 keys.

use protocol::directory::Directory;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::wire::codec::Reader;
use vodozemac::olm::{Account, PreKeyMessage, Session, SessionConfig};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey, Ed25519Signature};

use crate::pickle;

/// What is signed begins with one of these.
const BUNDLE: &[u8] = b"vodozemac-backend-v1 bundle";
const ONE_TIME: &[u8] = b"vodozemac-backend-v1 one-time key";

/// A user's secrets.
pub(crate) struct Keys {
    account: Account,
    /// A thief keeps the one-time keys that it uses: a directory may hand out a key twice.
    pub(crate) stolen: bool,
}

impl Clone for Keys {
    fn clone(&self) -> Self {
        Self { account: Account::from_pickle(self.account.pickle()), stolen: self.stolen }
    }
}

/// The keys of a peer, which it has signed.
#[derive(Clone, Copy)]
pub(crate) struct Bundle {
    pub(crate) identity: Curve25519PublicKey,
    fallback: Curve25519PublicKey,
}

impl Keys {
    /// New keys, with what their owner publishes: its bundle and this number of one-time bundles.
    pub(crate) fn generate(one_time_keys: usize) -> (Self, Vec<u8>, Vec<Vec<u8>>) {
        let mut account = Account::new();
        account.generate_fallback_key();
        let fallback = account.fallback_key().into_values().map(|key| key.to_bytes());
        let keys: Vec<u8> = account.curve25519_key().to_bytes().into_iter().chain(fallback.flatten()).collect();
        let bundle = sign(&account, BUNDLE, &keys);
        let one_time = account.generate_one_time_keys(one_time_keys).created;
        let one_time = one_time.iter().map(|key| sign(&account, ONE_TIME, key.as_bytes())).collect();
        account.mark_keys_as_published();
        (Self { account, stolen: false }, bundle, one_time)
    }

    pub(crate) fn id(&self) -> MemberId {
        MemberId(*self.account.ed25519_key().as_bytes())
    }

    /// A session with the owner of a bundle.
    ///
    /// [`Error::NoBundle`] if a key in it has small order.
    pub(crate) fn initiate(
        &self,
        peer: &MemberId,
        bundle: &Bundle,
        directory: &dyn Directory,
    ) -> Result<Session, Error> {
        let key = one_time_key(peer, directory).unwrap_or(bundle.fallback);
        let session = self.account.create_outbound_session(SessionConfig::version_1(), bundle.identity, key);
        session.map_err(|_| Error::NoBundle)
    }

    /// The session that a peer's message initiates, and the plaintext of that message if `check` accepts it. The
    /// one-time key is deleted.
    ///
    /// [`Error::NotAuthentic`] if the message does not open or is not accepted. Nothing has changed then.
    pub(crate) fn respond(
        &mut self,
        identity: Curve25519PublicKey,
        message: &PreKeyMessage,
        check: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, Error>,
    ) -> Result<(Session, Vec<u8>), Error> {
        let before = self.account.pickle();
        let created = self.account.create_inbound_session(SessionConfig::version_1(), identity, message);
        let created = created.map_err(|_| Error::NotAuthentic)?;
        let plaintext = check(created.plaintext);
        if plaintext.is_err() || self.stolen {
            self.account = Account::from_pickle(before);
        }
        plaintext.map(|plaintext| (created.session, plaintext))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        pickle::put(out, &self.account.pickle());
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { account: Account::from_pickle(pickle::take(reader)?), stolen: false })
    }
}

impl Bundle {
    /// Fetches and checks a user's bundle.
    ///
    /// [`Error::NoBundle`] if the directory has none, or none that the user has signed.
    pub(crate) fn of(user: &MemberId, directory: &dyn Directory) -> Result<Self, Error> {
        let published = directory.bundle(user).ok_or(Error::NoBundle)?;
        let [identity, fallback] = verify(user, BUNDLE, &published).ok_or(Error::NoBundle)?;
        Ok(Self { identity, fallback })
    }
}

fn one_time_key(user: &MemberId, directory: &dyn Directory) -> Option<Curve25519PublicKey> {
    let [key] = verify(user, ONE_TIME, &directory.one_time(user)?)?;
    Some(key)
}

fn sign(account: &Account, domain: &[u8], keys: &[u8]) -> Vec<u8> {
    let signature = account.sign([domain, keys].concat());
    [keys, &signature.to_bytes()].concat()
}

/// The keys in a publication of a user, if it has signed them.
fn verify<const N: usize>(user: &MemberId, domain: &[u8], published: &[u8]) -> Option<[Curve25519PublicKey; N]> {
    let (keys, signature) = published.split_last_chunk::<{ Ed25519Signature::LENGTH }>()?;
    let signature = Ed25519Signature::from_slice(signature).ok()?;
    let id = Ed25519PublicKey::from_slice(&user.0).ok()?;
    id.verify(&[domain, keys].concat(), &signature).ok()?;
    let (keys, []) = keys.as_chunks() else { return None };
    let keys: Vec<_> = keys.iter().map(|key| Curve25519PublicKey::from_bytes(*key)).collect();
    keys.try_into().ok()
}
