//! What can go wrong at a member's calls.

/// Why a call was refused. **After an error the member's state is what it was before the call**, messages that wait
/// included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Misuse by the caller.
    /// The protocol does not have this operation.
    #[error("this protocol does not support the operation")]
    Unsupported,
    /// The member is not in a group yet, or no longer.
    #[error("the member is not in a group")]
    NotInGroup,
    /// The member is in a group already.
    #[error("the member is in a group already")]
    AlreadyInGroup,
    /// The call names somebody who is not a member.
    #[error("the call names somebody who is not a member of the group")]
    NotAMember,
    /// The call adds somebody who is or was a member, or names somebody twice.
    #[error("the call adds somebody who is a member already, was one, or is named twice")]
    AlreadyAMember,
    /// A member cannot remove itself: it would hand out a seed that it knows.
    #[error("a member cannot remove itself")]
    RemovesItself,
    /// More members than the protocol's limit, or none.
    #[error("the group would have more members than the limit, or none")]
    GroupSize,
    /// The plaintext is longer than the protocol's limit.
    #[error("the plaintext is longer than the limit")]
    PlaintextTooLong,
    /// Another member has left too many control messages of this member unacknowledged.
    #[error("another member has left too many control messages of this member unacknowledged; try to remove it")]
    TooManyUnacknowledged,
    /// The directory has no valid bundle of a user that the call names.
    #[error("the directory has no valid bundle of a user that the call names")]
    NoBundle,
    /// The member has fewer message numbers left than one call may use. Its user can come back only under a new id.
    #[error("the member has used up its message numbers; try to add its user under a new id")]
    NumbersExhausted,

    // Bad input from a peer.
    /// The bytes are no message of this protocol and version.
    #[error("the message is malformed")]
    Malformed,
    /// The message belongs to another group.
    #[error("the message is for another group")]
    WrongGroup,
    /// The message does not come from the author that the transport claims. If that is this member, it has not sent the
    /// message: the number is beyond its own, or it has sent nothing in the group yet.
    #[error("the message does not come from its claimed author")]
    WrongAuthor,
    /// The signature, the tag or a key is wrong: the message is forged, damaged, or for somebody else.
    #[error("the message is not authentic")]
    NotAuthentic,
    /// The caller did not confirm the author of an invitation.
    #[error("the inviter was not confirmed")]
    InviterNotConfirmed,
    /// Too many messages wait for earlier ones. The message can be received again later.
    #[error("too many messages wait for earlier ones; try to receive this one again later")]
    QueueFull,
    /// The exported state does not decode.
    #[error("the exported state is malformed")]
    BadExport,

    // A bug of ours.
    /// An invariant of this library is broken.
    #[error("a broken invariant of the implementation: a bug")]
    Internal,
}
