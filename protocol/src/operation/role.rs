//! What a member is in an operation, and the parts into which an operation is divided.

use std::fmt;
use std::str::FromStr;

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

    /// The name in data, from which the role can be parsed.
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

/// The name of no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no role `{0}`; try {all}", all = Role::ALL.map(Role::name).join(", "))]
pub struct UnknownRole(pub String);

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == name).ok_or_else(|| UnknownRole(name.to_owned()))
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
    /// The first messages after that: the calls, whatever a protocol sends before it lets a member speak, and all
    /// rounds.
    Speak,
    /// After a partition with updates on all sides: the first update of somebody who knows all of them.
    Mend,
    /// The updates after that, until no conflict is left.
    Recover,
}

impl Phase {
    /// All phases, in the order in which they follow each other.
    pub const ALL: [Self; 7] =
        [Self::Generate, Self::Process, Self::Responses, Self::Heal, Self::Speak, Self::Mend, Self::Recover];

    /// The name in data, from which the phase can be parsed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Process => "process",
            Self::Responses => "responses",
            Self::Heal => "heal",
            Self::Speak => "speak",
            Self::Mend => "mend",
            Self::Recover => "recover",
        }
    }
}

/// The name of no phase.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no phase `{0}`; try {all}", all = Phase::ALL.map(Phase::name).join(", "))]
pub struct UnknownPhase(pub String);

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(name: &str) -> Result<Self, UnknownPhase> {
        Self::ALL.into_iter().find(|phase| phase.name() == name).ok_or_else(|| UnknownPhase(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_phases_parse_from_their_names_and_from_nothing_else() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        for phase in Phase::ALL {
            assert_eq!(phase.name().parse(), Ok(phase));
        }
        for wrong in ["", "Sender", "sender ", "all"] {
            let (role, phase) = (wrong.parse::<Role>().unwrap_err(), wrong.parse::<Phase>().unwrap_err());
            let try_role = "try sender, recipient, joiner, removed";
            let try_phase = "try generate, process, responses, heal, speak, mend, recover";
            assert_eq!(role.to_string(), format!("there is no role `{wrong}`; {try_role}"));
            assert_eq!(phase.to_string(), format!("there is no phase `{wrong}`; {try_phase}"));
        }
    }
}
