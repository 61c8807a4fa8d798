//! The contract between a protocol and whoever drives it.
//!
//! A [`Backend`] makes [`Member`]s; a member is one user in one group. Members have no clock, no network and no
//! randomness of their own: the caller passes a [`Context`] and carries the [`Outgoing`] messages.

use rand_core::CryptoRng;

use crate::directory::Directory;
use crate::error::Error;
use crate::id::{GroupId, MemberId};
use crate::operation::{Expected, Operation};

/// In which order a protocol needs its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Any order: the protocol itself waits for what a message depends on.
    Causal,
    /// All members see all messages in one order, their own included.
    Total,
}

/// What a protocol can do. What it does not declare it refuses as [`Error::Unsupported`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Operations of several members at once all take effect.
    pub concurrent_operations: bool,
    /// A member can heal its own compromise.
    pub pcs_update: bool,
    /// Keys of messages that were read cannot be recovered from a member's state.
    pub forward_secrecy: bool,
    /// What carries a signature, in words.
    pub signed: &'static str,
    /// The order that the protocol needs.
    pub ordering: Ordering,
    /// The same randomness gives the same bytes.
    pub deterministic: bool,
}

/// A backend in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name on the command line and in data.
    pub name: &'static str,
    /// The variant, empty where there is one only.
    pub variant: &'static str,
    /// One line on what it is.
    pub summary: &'static str,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// A protocol in one variant.
pub trait Backend: Send + Sync {
    /// Name, variant and capabilities.
    fn description(&self) -> Description;

    /// A new user who is in no group yet, with so many one-time prekeys.
    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser;

    /// The member that [`Member::export`] wrote. It gets no randomness, so that nothing can be computed ahead, and
    /// rebuilds its caches at once.
    ///
    /// # Errors
    /// [`Error::BadExport`] where the bytes do not decode.
    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error>;

    /// The exact cost of `operation` in a group of `group_size` members, as created, in which has happened what
    /// [`Operation::start`] says, and whose users have published enough one-time prekeys for all who ask.
    ///
    /// None of an operation of one member means that the protocol does not have it: a call of it is refused as
    /// [`Error::Unsupported`]. None of one of several members means no formula: its bytes are measured, and its counts
    /// compared with nothing. Whether the protocol has it follows from its parts ([`Backend::supports`]).
    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected>;

    /// Whether the protocol has `operation` in a group of `group_size` members. One of several members it has if it has
    /// all of its parts and declares [`Capabilities::concurrent_operations`].
    fn supports(&self, operation: Operation, group_size: usize) -> bool {
        match operation.parts() {
            [] => self.expected(operation, group_size).is_some(),
            parts => {
                let concurrent = self.description().capabilities.concurrent_operations;
                concurrent && parts.iter().all(|part| self.expected(*part, group_size).is_some())
            }
        }
    }
}

/// What [`Backend::new_user`] makes.
pub struct NewUser {
    /// The user's id, of the backend's choice.
    pub id: MemberId,
    /// The user's state.
    pub member: Box<dyn Member>,
    /// The bundle that the directory hands to everybody who asks.
    pub bundle: Vec<u8>,
    /// What the directory hands out once each, in this order.
    pub one_time: Vec<Vec<u8>>,
}

/// A hash of each sender's key material, sorted by sender.
pub type Fingerprints = Vec<(MemberId, [u8; 32])>;

/// One user in one group.
///
/// Every call that fails leaves the state as it was ([`Member::export`] gives the same bytes, the queue of parked
/// messages aside). What an operation returns must be sent; whoever loses it has lost the group.
pub trait Member: Send {
    /// The user's id.
    fn id(&self) -> MemberId;

    /// The group, once the member has created or joined one.
    fn group(&self) -> Option<GroupId>;

    /// The members of the group as this member knows it, sorted; itself included. Empty before it joined and after it
    /// was removed.
    fn members(&self) -> Vec<MemberId>;

    /// Creates a group of this user and `others`.
    ///
    /// # Errors
    /// As [`Error`] says; the state is unchanged.
    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error>;

    /// Creates a group of this user and `others` in which every two members open the channel between them at once.
    /// Protocols whose members need no channels, or whose creation opens all of them, do not have it.
    ///
    /// # Errors
    /// As [`Error`] says; the state is unchanged.
    fn create_mesh(&mut self, _others: &[MemberId], _context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        Err(Error::Unsupported)
    }

    /// Adds `user` to the group.
    ///
    /// # Errors
    /// As [`Error`] says; the state is unchanged.
    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error>;

    /// Removes `user` from the group.
    ///
    /// # Errors
    /// As [`Error`] says; the state is unchanged.
    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error>;

    /// Replaces the member's key material, so that whoever has stolen it reads no more.
    ///
    /// # Errors
    /// As [`Error`] says; the state is unchanged.
    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error>;

    /// Encrypts `plaintext` to the group.
    ///
    /// # Errors
    /// As [`Error`] says; the state is unchanged.
    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error>;

    /// Handles one message.
    ///
    /// # Errors
    /// Not authentic, not for this group, malformed: nothing has changed, and the genuine message can still come. An
    /// authentic message that cannot be used is no error but an [`Event`].
    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error>;

    /// Handles a batch, as a device does that comes online; one result for each message. A protocol that can verify
    /// several messages together overrides this.
    fn receive(&mut self, batch: &[Incoming<'_>], context: &mut Context<'_>) -> Vec<Result<Received, Error>> {
        batch.iter().map(|message| self.receive_one(message, context)).collect()
    }

    /// For each sender whose key material this member knows, a hash of it; sorted by id. None where the protocol cannot
    /// show it.
    fn fingerprints(&self) -> Option<Fingerprints>;

    /// For each author known, the number of its last message that this member has delivered, its own included; sorted by id.
    /// None where the protocol does not number messages. After the same message of a sender, all members who know any key
    /// material of it must know the same.
    fn delivered(&self) -> Option<Vec<(MemberId, u32)>> {
        None
    }

    /// The whole state, secrets included.
    fn export(&self) -> Vec<u8>;

    /// A copy, so that one prepared group serves several measurements. A deployment must never run two copies.
    fn duplicate(&self) -> Box<dyn Member>;
}

/// What the caller brings to each call.
pub struct Context<'a> {
    /// This member's own stream of randomness.
    pub rng: &'a mut dyn CryptoRng,
    /// Where users' bundles are found.
    pub directory: &'a dyn Directory,
    /// Whether the user accepts an invitation from this inviter.
    pub confirm_inviter: &'a dyn Fn(&MemberId) -> bool,
}

/// A message as the transport delivers it. Group and author are the transport's word: protocols check them, and need not
/// send them.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The group that it belongs to.
    pub group: GroupId,
    /// Who sent it.
    pub author: MemberId,
    /// The message.
    pub bytes: &'a [u8],
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// The members before the operation and the joiner, without the author; a removed member included. Where operations
    /// cross, also those who join by the others.
    Everyone,
    /// One user.
    One(MemberId),
}

/// A message to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Whom it is for.
    pub to: Recipients,
    /// What it is, for reports: `update`, `ack` and so on.
    pub kind: &'static str,
    /// The message.
    pub bytes: Vec<u8>,
}

/// What came of a message. One message can release several that waited for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Answers to carry.
    pub outgoing: Vec<Outgoing>,
    /// What happened, in order. Empty for a duplicate and for a message that waits.
    pub events: Vec<Event>,
}

/// Something that happened in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// This member joined the group.
    Joined {
        /// Who invited it.
        inviter: MemberId,
    },
    /// A user was added.
    Added {
        /// By whom.
        by: MemberId,
        /// Who.
        user: MemberId,
    },
    /// A member was removed, perhaps this one.
    Removed {
        /// By whose message.
        by: MemberId,
        /// Who.
        user: MemberId,
    },
    /// A member replaced its key material.
    Updated {
        /// Who.
        by: MemberId,
    },
    /// A member acknowledged an operation.
    Acked {
        /// Who.
        by: MemberId,
    },
    /// An application message.
    Message {
        /// From whom.
        from: MemberId,
        /// Its content.
        plaintext: Vec<u8>,
    },
    /// An authentic application message whose key this member does not have.
    Undecryptable {
        /// From whom.
        from: MemberId,
    },
    /// An authentic message that breaks a rule and has no effect.
    Rejected {
        /// From whom.
        from: MemberId,
        /// The rule.
        rule: Rule,
    },
    /// An author signed two different messages under one number.
    Equivocation {
        /// Who.
        by: MemberId,
    },
}

/// A rule that an authentic message can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// The body does not decode, or has the wrong number of ciphertexts.
    Form,
    /// The author is not a member in its own view.
    AuthorNotAMember,
    /// A removal of oneself.
    RemovesItself,
    /// A removal of somebody who is not in the author's view.
    TargetNotAMember,
    /// An add of somebody whose add the author has acknowledged.
    AlreadyAMember,
    /// An add to a group that has as many members as it may have, in the author's view.
    GroupSize,
    /// The group exists already.
    GroupExists,
    /// An acknowledgement of something that is no operation, or of one acknowledged before.
    NothingToAcknowledge,
    /// An acknowledgement of one's own removal.
    AcknowledgesOwnRemoval,
}
