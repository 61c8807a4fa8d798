//! Names of users and of control messages, in the form that the crate takes.

use p2panda_encryption::crypto::x25519::PublicKey;
use p2panda_encryption::traits::{IdentityHandle, OperationId};
use protocol::id::{GroupId, MemberId};
use serde::{Deserialize, Serialize};

/// 32 bytes: a user's identity key, or the id of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Id(#[serde(with = "serde_bytes")] pub(crate) [u8; 32]);

/// A control message: its author, and its number among the author's control messages, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Op(pub(crate) Id, pub(crate) u32);

impl IdentityHandle for Id {}
impl OperationId for Op {}

impl Id {
    pub(crate) fn member(self) -> MemberId {
        MemberId(self.0)
    }

    pub(crate) fn group(self) -> GroupId {
        GroupId(self.0)
    }

    pub(crate) fn key(self) -> PublicKey {
        PublicKey::from_bytes(self.0)
    }
}

impl From<MemberId> for Id {
    fn from(id: MemberId) -> Self {
        Self(id.0)
    }
}

impl From<GroupId> for Id {
    fn from(id: GroupId) -> Self {
        Self(id.0)
    }
}
