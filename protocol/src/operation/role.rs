//! What a member is in an operation, and the parts into which an operation is divided.

/// What a member is in an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A member that calls the operation, or a part of it.
    Sender,
    /// Every other member that is neither added nor removed.
    Recipient,
    /// A user that is added.
    Joiner,
    /// A member that is removed.
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

/// A part of an operation that is timed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The call itself.
    Generate,
    /// Processing what the call sent, and generating the answers to it.
    Process,
    /// All later rounds: processing the others' answers.
    Responses,
    /// After a partition: everything that follows from delivering what it had withheld.
    Heal,
    /// The first messages after that: the calls, whatever a protocol sends before it lets a member speak, and all rounds.
    Speak,
}

impl Phase {
    /// All phases, in the order in which they follow each other.
    pub const ALL: [Self; 5] = [Self::Generate, Self::Process, Self::Responses, Self::Heal, Self::Speak];

    /// The name in data.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Process => "process",
            Self::Responses => "responses",
            Self::Heal => "heal",
            Self::Speak => "speak",
        }
    }
}
