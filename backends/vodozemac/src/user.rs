//! A user, the protocol that it follows, and the environment of a call.

use protocol::id::MemberId;
use protocol::member::{Context, Event, Outgoing};

use crate::account::Keys;

/// vodozemac, with one of its two protocols for the messages of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vodozemac {
    /// Every message goes to every member over the Olm session with it.
    Olm,
    /// A message is sent once, in the sender's Megolm session, which all members have got over Olm.
    Megolm,
}

impl Vodozemac {
    pub(crate) fn has_megolm(self) -> bool {
        self == Self::Megolm
    }
}

/// A user's identity and secrets.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) id: MemberId,
    pub(crate) variant: Vodozemac,
    pub(crate) keys: Keys,
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
