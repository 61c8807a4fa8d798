//! Names of users, groups and messages.

use core::fmt;

use crate::crypto::hash::{self, Digest};
use crate::crypto::label;

/// Bytes of a [`MemberId`].
pub const MEMBER_ID_LEN: usize = 32;
/// Bytes of a [`GroupId`].
pub const GROUP_ID_LEN: usize = 32;
/// Bytes of a [`Handle`].
pub const HANDLE_LEN: usize = 8;

/// A user in a group: 32 opaque bytes of the backend's choice, usually the user's verification key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub [u8; MEMBER_ID_LEN]);

impl MemberId {
    /// The short name that stands for this id on the wire once the id has been introduced.
    #[must_use]
    pub fn handle(&self) -> Handle {
        let digest = hash::hash(label::HANDLE, &[&self.0]);
        let mut handle = [0; HANDLE_LEN];
        handle.copy_from_slice(&digest.as_bytes()[..HANDLE_LEN]);
        Handle(handle)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberId({self})")
    }
}

impl fmt::Display for MemberId {
    /// The first four bytes in hexadecimal: enough to distinguish members in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first 8 bytes of a hash of a [`MemberId`]. Two ids may share a handle: each must be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub [u8; HANDLE_LEN]);

/// A group. The transport supplies it with each message; it is signed and never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub [u8; GROUP_ID_LEN]);

impl GroupId {
    /// The id of the group that `creator` creates with the random bytes `nonce`, which its first message carries.
    #[must_use]
    pub fn new(creator: &MemberId, nonce: &Digest) -> Self {
        Self(*hash::hash(label::GROUP_ID, &[&creator.0, nonce.as_bytes()]).as_bytes())
    }
}

/// A message. Each author numbers its messages 1, 2, 3 and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// Who sent it.
    pub author: MemberId,
    /// Its place among the author's broadcasts, from 1.
    pub number: u32,
}
