//! What is measured: operations, the members' roles in them, and their phases.

use crate::crypto::count::Counts;

/// An operation of the evaluation. Where it starts from is said by [`Operation::start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// One user creates the group of all.
    Create,
    /// The same, and every two members open the channel between them at once instead of with their first message.
    CreateMesh,
    /// The creator adds one user.
    Add,
    /// The creator removes the member that comes last.
    Remove,
    /// The creator updates its key material.
    Update,
    /// Another member, the first after the creator, updates: the first use of its channels.
    UpdateCold,
    /// The creator sends 32 bytes of application data.
    Message,
    /// The same after it has removed the member that comes last. The group size is that before the removal.
    MessageAfterRemove,
}

/// What has happened in a group before an operation is measured. None of it is timed or counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Start {
    /// Nothing: there are users with published bundles, and no group.
    Users,
    /// The group has been created, and nothing else has happened.
    Created,
    /// After the creation every member has sent an application message, one after the other in the order of members, the
    /// creator last. A conversation is the state in which most operations find a group, and the one in which protocols that
    /// put off work until the first message have done it.
    Conversed,
    /// The same, and then the creator has removed the member that comes last.
    Removed,
}

impl Operation {
    /// All operations, in the order in which reports list them.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::CreateMesh,
        Self::Add,
        Self::Remove,
        Self::Update,
        Self::UpdateCold,
        Self::Message,
        Self::MessageAfterRemove,
    ];

    /// The operations of the paper, and the update over fresh channels beside its update.
    pub const REPRODUCED: [Self; 6] =
        [Self::Create, Self::Add, Self::Remove, Self::Update, Self::UpdateCold, Self::Message];

    /// What has happened before.
    #[must_use]
    pub fn start(self) -> Start {
        match self {
            Self::Create | Self::CreateMesh => Start::Users,
            Self::UpdateCold => Start::Created,
            Self::Add | Self::Remove | Self::Update | Self::Message => Start::Conversed,
            Self::MessageAfterRemove => Start::Removed,
        }
    }

    /// The name on the command line and in data.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::CreateMesh => "create-mesh",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Update => "update",
            Self::UpdateCold => "update-cold",
            Self::Message => "message",
            Self::MessageAfterRemove => "message-after-remove",
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
