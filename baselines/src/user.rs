//! A user, which protocol it follows, and the surroundings of a call.

use protocol::crypto::signature::SigningKey;
use protocol::id::MemberId;
use protocol::member::{Context, Event, Outgoing};
use protocol::x3dh::PrekeySecrets;

/// Which protocol: the one place where their differences are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Every message goes to every member over the channel with it.
    Pairwise = 1,
    /// Sender keys, handed out with the sender's next message.
    Lazy = 2,
    /// Sender keys, handed out at once.
    Eager = 3,
    /// The same; in an update all members hand out new ones.
    Pcs = 4,
}

impl Protocol {
    pub(crate) fn has_sender_keys(self) -> bool {
        self != Self::Pairwise
    }

    /// Members hand their keys out as soon as they can.
    pub(crate) fn is_eager(self) -> bool {
        matches!(self, Self::Eager | Self::Pcs)
    }

    /// A member can heal its own compromise.
    pub(crate) fn updates(self) -> bool {
        matches!(self, Self::Pairwise | Self::Pcs)
    }

    /// The creation leaves channels between the founders to their first messages.
    pub(crate) fn defers_channels(self) -> bool {
        matches!(self, Self::Pairwise | Self::Lazy)
    }
}

/// The user's own long-term secrets.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) id: MemberId,
    pub(crate) protocol: Protocol,
    pub(crate) identity: SigningKey,
    pub(crate) prekeys: PrekeySecrets,
}

/// Surroundings of a call: the user's secrets, what the caller brought, and what comes of it.
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
