//! What can go wrong at a member's calls.

/// Why a call was refused. **After an error the member's state is what it was before the call**, the queue of parked
/// messages aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Misuse by the caller.
    /// The protocol does not have this operation.
    #[error("this protocol does not support the operation")]
    Unsupported,
    /// The member is not in a group yet, or not any more.
    #[error("the member is not in a group")]
    NotInGroup,
    /// The member is in a group already.
    #[error("the member is in a group already")]
    AlreadyInGroup,
    /// The operation names somebody who is not a member.
    #[error("the operation names somebody who is not a member of the group")]
    NotAMember,
    /// The operation adds somebody who is a member, or names somebody twice.
    #[error("the operation adds somebody who is a member already, was one, or is named twice")]
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
    /// Somebody has left so many of this member's operations unacknowledged that another is not possible. Whoever is silent
    /// can be removed.
    #[error("too many operations of this member are not acknowledged by somebody")]
    TooManyUnacknowledged,
    /// The directory has no valid bundle of that user.
    #[error("the directory has no valid bundle of the user")]
    NoBundle,
    /// This member has used up its message numbers, and can go on under a new id only.
    #[error("the member has used up its message numbers")]
    NumbersExhausted,

    // Bad input from a peer.
    /// The bytes are no message of this protocol and version.
    #[error("the message is malformed")]
    Malformed,
    /// The message belongs to another group.
    #[error("the message is for another group")]
    WrongGroup,
    /// The message does not come from whom the transport names as its author.
    #[error("the message does not come from its claimed author")]
    WrongAuthor,
    /// Signature, tag or key agreement do not fit: forged, damaged, or for somebody else.
    #[error("the message is not authentic")]
    NotAuthentic,
    /// The caller did not confirm the author of an invitation.
    #[error("the inviter was not confirmed")]
    InviterNotConfirmed,
    /// Too many messages wait for earlier ones; the message may be delivered again later.
    #[error("too many messages wait for earlier ones; deliver this one again later")]
    QueueFull,
    /// Exported state that does not decode.
    #[error("the exported state is malformed")]
    BadExport,

    // A bug of ours.
    /// A broken invariant of this library.
    #[error("a broken invariant of the implementation: a bug")]
    Internal,
}
