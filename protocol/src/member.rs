//! The contract between a protocol and the program that drives it.
//!
//! A [`Backend`] makes [`Member`]s; a member is one user in one group. Members have no clock, no network and no
//! randomness of their own: the caller passes a [`Context`] and sends the [`Outgoing`] messages.

use rand_core::CryptoRng;

use crate::crypto::count::Counted;
use crate::directory::Directory;
use crate::error::Error;
use crate::id::{GroupId, MemberId};
use crate::operation::{Expected, Operation};

/// The order in which a protocol needs its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Any order: the protocol itself waits for what a message depends on.
    Causal,
    /// All members see all messages in one order, their own included. What changes the group is a [commit](COMMIT), and
    /// takes effect at its author too only when its author receives it.
    Total,
}

/// The kind of the messages of which a sequencer accepts one at a time, if the order is [`Ordering::Total`]. It takes a
/// commit only if its author has received all commits that it has taken before, and else drops everything that the call
/// has returned. The author learns that from the commit that it receives instead, and forgets its own. Then the harness
/// makes the call again.
pub const COMMIT: &str = "commit";

/// The kind of the messages of an update, where no total order makes it a [commit](COMMIT). A member that has never spoken, or
/// whose group has a conflict, may send one of either kind with its next message: everybody sees that.
pub const UPDATE: &str = "update";

/// The kind of the messages that acknowledge others. A comparison can leave them out, so a call sends none.
pub const ACK: &str = "ack";

/// What a protocol can do. It refuses what it does not declare as [`Error::Unsupported`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Concurrent operations of several members all take effect.
    pub concurrent_operations: bool,
    /// A member can heal its own compromise.
    pub pcs_update: bool,
    /// The keys of messages that a member has read cannot be recovered from its state.
    pub forward_secrecy: bool,
    /// What carries a signature, in words. Empty if no message is authenticated: nothing tells an altered message from a
    /// genuine one then, so a measurement alters none. The suite still reports what altered ones do.
    pub signed: &'static str,
    /// The order that the protocol needs.
    pub ordering: Ordering,
    /// The same randomness gives the same bytes.
    pub deterministic: bool,
    /// The kinds of messages, and `bundle` for bundles, that carry a random value in clear by design, such as a nonce in
    /// the id of a group. One value of at most 32 bytes in each; ids need no declaration. Everything else that members
    /// draw must not appear in what they send.
    pub public_randomness: &'static [&'static str],
    /// Calls need other threads than the one that they are made on. Without this, a primitive on another thread is
    /// refused. With it, a call is timed with the CPU time of the whole process, and counted on all of its threads: the
    /// suite and the measurement then need a process in which nothing else runs.
    pub threads: bool,
    /// Which of its primitives are counted. If not all are, what the suite would learn from the others is reported as not
    /// checked.
    pub counted: Counted,
}

/// A backend in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name on the command line and in data.
    pub name: &'static str,
    /// The variant; empty if there is only one.
    pub variant: &'static str,
    /// One line on what it is.
    pub summary: &'static str,
    /// What it can do.
    pub capabilities: Capabilities,
    /// If the backend adapts an implementation that others have published: its name and version. What it fails in the
    /// conformance suite is then shown beside its figures, and does not refuse them.
    pub adapts: Option<&'static str>,
    /// What a reader of its figures must know besides: what it leaves out, and what is not its own. Each in words, without a
    /// full stop.
    pub caveats: &'static [&'static str],
    /// How its costs grow with the group, as claims that a comparison of enough sizes checks: each an operation, a role or
    /// `group`, a cost (`bytes`, `public-key`, `primitives` or `cpu`) and a class (`constant`, `logarithmic`, `linear` or
    /// `quadratic`), as in `update sender bytes linear`.
    pub growth: &'static [&'static str],
}

/// A protocol in one variant.
pub trait Backend: Send + Sync {
    /// Name, variant and capabilities.
    fn description(&self) -> Description;

    /// A new user who is in no group yet, with this number of one-time prekeys. It makes the keys that it publishes, and
    /// does no work ahead: at most one key agreement key, one signature key and one signature for each bundle (two, if it
    /// adapts an implementation of others), eight more of each, and no key agreement, verification or encryption.
    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser;

    /// The member whose state [`Member::export`] wrote. It gets no randomness, so that it can compute nothing ahead,
    /// and rebuilds its caches immediately. It agrees on no key, signs, verifies and encrypts nothing, and what it does
    /// later costs what it would cost the member that was exported.
    ///
    /// # Errors
    /// [`Error::BadExport`] if the bytes do not decode.
    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error>;

    /// A stolen state in the hands of a thief, who follows the group and takes no part in it: the result calls and answers
    /// nothing, and receives every message, those included that the state's owner has sent since. It reads what the
    /// stolen secrets open, and still listens after the owner's removal. With it, [`crate::attack`] tries whether an
    /// update heals and what a removed member can read; without it, that is reported as not checked.
    ///
    /// # Errors
    /// [`Error::BadExport`] if the bytes do not decode, [`Error::Unsupported`] if the backend does not offer it.
    fn steal(&self, _state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Err(Error::Unsupported)
    }

    /// The number of the process in which its members work, if that is not the one that makes the calls. Then a call is timed
    /// with the CPU time of that process, all of its threads.
    fn process(&self) -> Option<u32> {
        None
    }

    /// The exact cost of `operation` in a group that was created with `group_size` members and is in the state that
    /// [`Operation::start`] says. Its users have published enough one-time prekeys for everybody who needs one.
    ///
    /// `None` if there is no formula: its bytes are measured, and its counts are compared with nothing. Whether the protocol
    /// has the operation is for [`has`](Self::has) to say.
    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected>;

    /// Whether the protocol has `operation`, which is one of one member. A call of an operation that it does not have is
    /// refused as [`Error::Unsupported`]. Only a backend without formulas must say so itself.
    fn has(&self, operation: Operation, group_size: usize) -> bool {
        self.expected(operation, group_size).is_some()
    }

    /// Whether the protocol has `operation` in a group of `group_size` members. It has one that consists of others if it has
    /// all of them and, where members act concurrently, declares [`Capabilities::concurrent_operations`].
    fn supports(&self, operation: Operation, group_size: usize) -> bool {
        match operation.parts() {
            [] => self.has(operation, group_size),
            parts => {
                let concurrent = self.description().capabilities.concurrent_operations;
                (concurrent || !operation.is_concurrent()) && parts.iter().all(|part| self.has(*part, group_size))
            }
        }
    }
}

/// What [`Backend::new_user`] makes.
pub struct NewUser {
    /// The user's id, which the backend chooses.
    pub id: MemberId,
    /// The user's state.
    pub member: Box<dyn Member>,
    /// The bundle that the directory hands to everybody.
    pub bundle: Vec<u8>,
    /// One-time bundles: the directory hands out each of them once, in this order.
    pub one_time: Vec<Vec<u8>>,
}

/// A hash of each sender's key material, sorted by sender.
pub type Fingerprints = Vec<(MemberId, [u8; 32])>;

/// One user in one group.
///
/// A call that fails leaves the state as it was: [`Member::export`] gives the same bytes. What a call returns must be
/// sent: a member that loses it has lost the group.
///
/// A removed member keeps nothing that opens a message, not even one from before its removal that reaches it only now.
/// From then on, no message has an effect.
///
/// A call has done its work when it returns. The methods that only show the state, and dropping a copy, do none: no
/// primitive is used there, except that fingerprints are hashes.
pub trait Member: Send {
    /// The user's id.
    fn id(&self) -> MemberId;

    /// The group, once the member has created or joined one.
    fn group(&self) -> Option<GroupId>;

    /// The members of the group in this member's view, sorted, itself included. Empty before it joins and after it is
    /// removed.
    fn members(&self) -> Vec<MemberId>;

    /// Creates a group of this user and `others`.
    ///
    /// # Errors
    /// As [`Error`] says; the state is unchanged. [`Error::NoBundle`] if the directory lacks a valid bundle of one of
    /// them, as in [`add`](Self::add).
    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error>;

    /// Creates a group of this user and `others` in which every two members immediately open the channel between them.
    /// A protocol whose members need no channels, or whose creation opens all of them, does not have it.
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

    /// Replaces the member's key material, so that somebody who has stolen it reads no later message.
    ///
    /// # Errors
    /// As [`Error`] says; the state is unchanged.
    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error>;

    /// Encrypts `plaintext` to the group.
    ///
    /// # Errors
    /// As [`Error`] says; the state is unchanged.
    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error>;

    /// Receives one message.
    ///
    /// A message that this member has received before is no error: networks repeat messages. Neither is one that it has
    /// sent itself: some networks echo. Both result in [`Received::default`] and have no effect, except the first echo of
    /// a [commit](COMMIT) in a total order, which makes it take effect. A message of its own
    /// that it has not sent shows that somebody else speaks in its name. It is an error, or
    /// [`Event::Equivocation`] if it is signed with a key that was this member's, and it has no effect either. A protocol
    /// that cannot tell it from the member's own, because the number is one of its own, may take it in silence.
    ///
    /// # Errors
    /// The message is malformed, not authentic or not for this group: nothing has changed, and the genuine message can
    /// still be received. An authentic message that cannot be used is not an error but an [`Event`].
    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error>;

    /// Receives several messages, as a device does that comes online; one result for each message. A protocol that can
    /// verify several messages together overrides this.
    fn receive(&mut self, batch: &[Incoming<'_>], context: &mut Context<'_>) -> Vec<Result<Received, Error>> {
        batch.iter().map(|message| self.receive_one(message, context)).collect()
    }

    /// The fingerprint of each sender whose key material this member knows. `None` if the protocol cannot show them.
    fn fingerprints(&self) -> Option<Fingerprints>;

    /// For each known author, the number of its last message that this member has delivered; sorted by id, this member
    /// included. `None` if the protocol does not number messages. Members that have delivered the same last message of
    /// a sender, and know key material of it, must know the same.
    fn delivered(&self) -> Option<Vec<(MemberId, u32)>> {
        None
    }

    /// How many keys in this member's view of the group are in conflict: concurrent operations have left several in one
    /// place, and a later update must mend that. `None` if the protocol has no such places.
    fn conflicts(&self) -> Option<usize> {
        None
    }

    /// The whole state, secrets included.
    fn export(&self) -> Vec<u8>;

    /// A copy, so that one prepared group can be measured several times. A deployment must never run two copies.
    fn duplicate(&self) -> Box<dyn Member>;
}

/// What the caller supplies with each call.
pub struct Context<'a> {
    /// This member's own stream of randomness.
    pub rng: &'a mut dyn CryptoRng,
    /// Where users' bundles are found.
    pub directory: &'a dyn Directory,
    /// Whether the user accepts an invitation from this inviter.
    pub confirm_inviter: &'a dyn Fn(&MemberId) -> bool,
}

/// A message as it comes from the transport. The transport claims its group and author: protocols check them, and need
/// not send them. It may repeat messages, and hand a member what the member has sent itself.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The group that the message belongs to, as the transport claims.
    pub group: GroupId,
    /// Who sent the message, as the transport claims.
    pub author: MemberId,
    /// The message in its encoded form.
    pub bytes: &'a [u8],
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// The members before the operation, a removed member included, and the joiner, but not the author. If operations
    /// are concurrent, the joiners of all of them.
    Everyone,
    /// One user.
    One(MemberId),
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Whom it is for.
    pub to: Recipients,
    /// The name of its kind, for reports: `update`, `ack` and so on.
    pub kind: &'static str,
    /// The message in its encoded form.
    pub bytes: Vec<u8>,
}

/// What follows from receiving a message. One message can release several that waited for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Answers to send.
    pub outgoing: Vec<Outgoing>,
    /// What happened, in order. Empty for a duplicate, for a message of this member's own and for one that waits.
    pub events: Vec<Event>,
}

/// Something that happened in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// This member joined the group.
    Joined {
        /// The member that has added it.
        inviter: MemberId,
    },
    /// A user was added.
    Added {
        /// The author of the add.
        by: MemberId,
        /// The joiner.
        user: MemberId,
    },
    /// A member was removed, perhaps this one.
    Removed {
        /// The author of the remove.
        by: MemberId,
        /// The removed member.
        user: MemberId,
    },
    /// A member replaced its key material.
    Updated {
        /// The author of the update.
        by: MemberId,
    },
    /// A member acknowledged a control message.
    Acked {
        /// The author of the acknowledgement.
        by: MemberId,
    },
    /// An application message.
    Message {
        /// Its author.
        from: MemberId,
        /// The application's data.
        plaintext: Vec<u8>,
    },
    /// An authentic application message whose key this member does not have.
    Undecryptable {
        /// Its author.
        from: MemberId,
    },
    /// An authentic message that breaks a rule and has no effect.
    Rejected {
        /// Its author.
        from: MemberId,
        /// The rule that it breaks.
        rule: Rule,
    },
    /// An author signed two different messages under one number. If the author is this member, somebody else has its
    /// keys, or it has continued from an old export.
    Equivocation {
        /// The author of both messages.
        by: MemberId,
    },
    /// The secret in a message is not the one that the message commits to, or not the one that this member knows. Its
    /// recipient may not read the author, or those that rely on the secret. Usually the author has lied. But after an
    /// equivocation by somebody else, members that hold different secrets of that one may report each other.
    Inconsistent {
        /// The author of the message with the secret.
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
    /// The author removes itself.
    RemovesItself,
    /// The author removes somebody who is not in its view.
    TargetNotAMember,
    /// The author adds somebody whose add it has acknowledged.
    AlreadyAMember,
    /// The author adds somebody to a group that has reached the greatest size, in the author's view.
    GroupSize,
    /// The author creates a group that exists already.
    GroupExists,
    /// The author acknowledges a message that is no control message, or one that it has acknowledged before.
    NothingToAcknowledge,
    /// The author acknowledges its own removal.
    AcknowledgesOwnRemoval,
}
