//! A user, the protocol that it follows, and the environment of a call.

use protocol::crypto::signature::SigningKey;
use protocol::id::MemberId;
use protocol::member::{Context, Event, Outgoing};
use protocol::x3dh::PrekeySecrets;

/// The protocols. Their differences are defined here and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Every message goes to every member over the channel with it.
    Pairwise = 1,
    /// Sender keys, handed out with the sender's next message.
    Lazy = 2,
    /// Sender keys, handed out immediately.
    Eager = 3,
    /// As `Eager`, and in an update all members hand out new sender keys.
    Pcs = 4,
}

impl Protocol {
    pub(crate) fn has_sender_keys(self) -> bool {
        self != Self::Pairwise
    }

    /// Whether members hand out their keys as soon as they can.
    pub(crate) fn is_eager(self) -> bool {
        matches!(self, Self::Eager | Self::Pcs)
    }

    /// Whether a member can heal its own compromise.
    pub(crate) fn updates(self) -> bool {
        matches!(self, Self::Pairwise | Self::Pcs)
    }

    /// Whether a creation leaves it to the founders' first messages to open the channels between them.
    pub(crate) fn defers_channels(self) -> bool {
        matches!(self, Self::Pairwise | Self::Lazy)
    }
}

/// A user's identity and long-term secrets.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) id: MemberId,
    pub(crate) protocol: Protocol,
    pub(crate) identity: SigningKey,
    pub(crate) prekeys: PrekeySecrets,
    /// Whether this is a stolen state ([`crate::group`]). Only an attack has one, so no export says this.
    pub(crate) stolen: bool,
}

/// Environment of a call: the user's secrets, the caller's context, and the results so far.
pub(crate) struct Env<'a, 'c> {
    pub(crate) user: &'a mut User,
    pub(crate) context: &'a mut Context<'c>,
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) events: Vec<Event>,
}

impl<'a, 'c> Env<'a, 'c> {
    pub(crate) fn new(user: &'a mut User, context: &'a mut Context<'c>) -> Self {
        Self { user, context, outgoing: Vec::new(), events: Vec::new() }
    }
}
