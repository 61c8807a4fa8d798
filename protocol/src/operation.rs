//! What is measured: operations, the members' roles in them, and their phases.

use crate::crypto::count::Counts;

/// An operation of the evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// One user creates the group of all.
    Create,
    /// The creator adds one user.
    Add,
    /// The creator removes one member.
    Remove,
    /// The creator updates its key material; its channels to the others were used in the creation.
    Update,
    /// Another member updates: the first use of its channels.
    UpdateCold,
    /// The creator sends 32 bytes of application data.
    Message,
}

impl Operation {
    /// All operations, in the order in which reports list them.
    pub const ALL: [Self; 6] = [Self::Create, Self::Add, Self::Remove, Self::Update, Self::UpdateCold, Self::Message];

    /// The name on the command line and in data.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Update => "update",
            Self::UpdateCold => "update-cold",
            Self::Message => "message",
        }
    }
}

/// What a member is in an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Who calls the operation.
    Sender,
    /// Every other member that is neither added nor removed.
    Recipient,
    /// The user that is added.
    Joiner,
    /// The member that is removed.
    Removed,
}

impl Role {
    /// All roles, in the order in which reports list them.
    pub const ALL: [Self; 4] = [Self::Sender, Self::Recipient, Self::Joiner, Self::Removed];

    /// The name in data.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Recipient => "recipient",
            Self::Joiner => "joiner",
            Self::Removed => "removed",
        }
    }
}

/// A part of an operation, timed on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The call itself.
    Generate,
    /// Handling what the call sent, the answer to it included.
    Process,
    /// All later rounds: the others' answers.
    Responses,
}

impl Phase {
    /// All phases in their order.
    pub const ALL: [Self; 3] = [Self::Generate, Self::Process, Self::Responses];

    /// The name in data.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Process => "process",
            Self::Responses => "responses",
        }
    }
}

/// The exact cost of one operation, by formula. A run whose counts differ is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// How many messages of each kind are sent.
    pub messages: Vec<(&'static str, u64)>,
    /// Operation counts, summed over the members of a role. What is not listed is zero.
    pub counts: Vec<(Role, Phase, Counts)>,
}
