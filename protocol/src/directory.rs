//! The public-key infrastructure that the paper assumes: it hands out bundles, which are opaque here,
//! and each one-time prekey at most once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::MemberId;

/// Where members find other users' bundles.
pub trait Directory: Sync {
    /// The bundle that everybody gets; `None` if the user has published none.
    fn bundle(&self, user: &MemberId) -> Option<Vec<u8>>;

    /// A one-time bundle, which is handed out once; `None` if none is left.
    fn one_time(&self, user: &MemberId) -> Option<Vec<u8>>;
}

/// A directory in memory, which counts the bytes it hands out.
#[derive(Default)]
pub struct InMemoryDirectory {
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    users: BTreeMap<MemberId, Published>,
    fetched_bytes: u64,
}

#[derive(Clone)]
struct Published {
    bundle: Vec<u8>,
    one_time: VecDeque<Vec<u8>>,
}

impl InMemoryDirectory {
    /// Publishes a user's bundles, which replace earlier ones.
    pub fn publish(&self, user: MemberId, bundle: Vec<u8>, one_time: Vec<Vec<u8>>) {
        self.lock().users.insert(user, Published { bundle, one_time: one_time.into() });
    }

    /// Withdraws a user's bundles: from now on there are none.
    pub fn withdraw(&self, user: &MemberId) {
        self.lock().users.remove(user);
    }

    /// Bytes handed out so far.
    #[must_use]
    pub fn fetched_bytes(&self) -> u64 {
        self.lock().fetched_bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code below panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_out(&self, take: impl FnOnce(&mut State) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut state = self.lock();
        let bytes = take(&mut state)?;
        state.fetched_bytes += bytes.len() as u64;
        Some(bytes)
    }
}

impl Clone for InMemoryDirectory {
    fn clone(&self) -> Self {
        Self { state: Mutex::new(self.lock().clone()) }
    }
}

impl Directory for InMemoryDirectory {
    fn bundle(&self, user: &MemberId) -> Option<Vec<u8>> {
        self.hand_out(|state| Some(state.users.get(user)?.bundle.clone()))
    }

    fn one_time(&self, user: &MemberId) -> Option<Vec<u8>> {
        self.hand_out(|state| state.users.get_mut(user)?.one_time.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_time_bundle_is_handed_out_once_and_every_byte_is_counted() {
        let directory = InMemoryDirectory::default();
        let user = MemberId([7; 32]);
        directory.publish(user, vec![1, 2, 3], vec![vec![4], vec![5]]);
        assert_eq!(directory.one_time(&user), Some(vec![4]));
        let copy = directory.clone();
        assert_eq!(directory.one_time(&user), Some(vec![5]));
        assert_eq!(directory.one_time(&user), None);
        assert_eq!(copy.one_time(&user), Some(vec![5]));
        assert_eq!(directory.bundle(&user), Some(vec![1, 2, 3]));
        assert_eq!(directory.fetched_bytes(), 5);
        directory.withdraw(&user);
        assert_eq!((directory.bundle(&user), copy.bundle(&user)), (None, Some(vec![1, 2, 3])));
        assert_eq!(directory.bundle(&MemberId([8; 32])), None);
    }
}
