//! What is measured: operations, the members' roles in them, and their phases.

mod cost;
mod role;

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

pub use cost::{CostDifference, CostMismatch, Expected, Measured};
pub use role::{Phase, Role, UnknownPhase, UnknownRole};

/// The size of the smallest group in which operations mean something.
pub const MIN_GROUP_SIZE: usize = 2;

/// Bytes of application data in the message of [`Operation::Message`], as in the paper.
pub const PLAINTEXT_LEN: usize = 32;

/// The name of [`Operation::ConcurrentUpdates`] without its number.
const CONCURRENT_UPDATES: &str = "concurrent-updates:";

/// An operation that is measured. [`Operation::start`] says in which state it finds the group.
///
/// Most operations are one call of one member. The last two are operations of several members and consist of others
/// ([`Operation::parts`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// One user creates a group of all users.
    Create,
    /// The same, and every two members open the channel between them immediately instead of with their first message.
    CreateMesh,
    /// The creator adds one user.
    Add,
    /// The creator removes the last member.
    Remove,
    /// The creator updates its key material.
    Update,
    /// The first member after the creator updates, over cold channels.
    UpdateCold,
    /// The creator sends 32 bytes of application data.
    Message,
    /// The same, after the creator has removed the last member. The group size is the size before the removal.
    MessageAfterRemove,
    /// The creator and the members after it, this number in all, update concurrently: none of them knows of the other
    /// updates.
    ConcurrentUpdates(NonZeroUsize),
    /// The group is partitioned into its first and its second half. In each half the first member removes the last one,
    /// adds a user and updates. Then everything that was withheld arrives, and these two first members send a message
    /// each.
    PartitionHeal,
}

/// The state of a group in which an operation starts. Nothing that leads to it is timed or counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Start {
    /// There are users with published bundles, and no group.
    Users,
    /// The group has been created, and nothing else has happened.
    Created,
    /// After the creation every member has sent an application message: one after the other in the order of members,
    /// the creator last. Most operations find a group in this state. Protocols that put off work until the first
    /// message have done it then.
    Conversed,
    /// The same, and then the creator has removed the last member.
    Removed,
}

impl Operation {
    /// The operations that are measured if none is named, in the order in which reports list them. Operations of
    /// several members are not among them.
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

    /// The operations of the paper, and the update over cold channels next to the paper's update.
    pub const REPRODUCED: [Self; 6] =
        [Self::Create, Self::Add, Self::Remove, Self::Update, Self::UpdateCold, Self::Message];

    /// The state in which the operation finds the group.
    #[must_use]
    pub fn start(self) -> Start {
        match self {
            Self::Create | Self::CreateMesh => Start::Users,
            Self::UpdateCold => Start::Created,
            Self::Add | Self::Remove | Self::Update | Self::Message => Start::Conversed,
            Self::ConcurrentUpdates(_) | Self::PartitionHeal => Start::Conversed,
            Self::MessageAfterRemove => Start::Removed,
        }
    }

    /// The operations of which an operation of several members consists; empty for an operation of one member. A
    /// backend that has all parts, and whose concurrent operations take effect, has the whole too.
    #[must_use]
    pub fn parts(self) -> &'static [Self] {
        match self {
            Self::ConcurrentUpdates(_) => &[Self::Update],
            Self::PartitionHeal => &[Self::Remove, Self::Add, Self::Update, Self::Message],
            _ => &[],
        }
    }

    /// The size of the smallest group that has enough members for it.
    #[must_use]
    pub fn min_group_size(self) -> usize {
        match self {
            Self::ConcurrentUpdates(members) => members.get().max(MIN_GROUP_SIZE),
            // Of the three in each half, one acts, one is removed, and one does neither.
            Self::PartitionHeal => 6,
            _ => MIN_GROUP_SIZE,
        }
    }

    /// The name on the command line and in data, from which it can be parsed.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Create => "create",
            Self::CreateMesh => "create-mesh",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Update => "update",
            Self::UpdateCold => "update-cold",
            Self::Message => "message",
            Self::MessageAfterRemove => "message-after-remove",
            Self::ConcurrentUpdates(members) => return Cow::Owned(format!("{CONCURRENT_UPDATES}{members}")),
            Self::PartitionHeal => "partition-heal",
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// A text is not the name of an operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownOperation {
    /// There is no operation of this name.
    #[error("there is no operation `{0}`; try {all} or, by name only, {CONCURRENT_UPDATES}8 (8 members update \
             concurrently) or {heal}", all = Operation::ALL.map(Operation::name).join(", "),
             heal = Operation::PartitionHeal)]
    Name(String),
    /// The name does not say how many members act.
    #[error("`{0}` does not say how many members update concurrently; try {CONCURRENT_UPDATES}8")]
    Number(String),
}

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(name: &str) -> Result<Self, UnknownOperation> {
        if let Some(number) = name.strip_prefix(CONCURRENT_UPDATES) {
            let operation = number.parse().ok().map(Self::ConcurrentUpdates);
            // One operation has one name: `concurrent-updates:+8` and `concurrent-updates:08` are not names.
            return operation
                .filter(|operation| operation.name() == name)
                .ok_or_else(|| UnknownOperation::Number(name.to_owned()));
        }
        let mut operations = Self::ALL.into_iter().chain([Self::PartitionHeal]);
        operations.find(|operation| operation.name() == name).ok_or_else(|| {
            let stem = CONCURRENT_UPDATES.trim_end_matches(':');
            if name == stem {
                UnknownOperation::Number(name.to_owned())
            } else {
                UnknownOperation::Name(name.to_owned())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_what_its_name_says() {
        let several = [1, 8, 1024].map(|members| Operation::ConcurrentUpdates(NonZeroUsize::new(members).unwrap()));
        for operation in Operation::ALL.into_iter().chain(several).chain([Operation::PartitionHeal]) {
            assert_eq!(operation.name().parse(), Ok(operation));
            assert_eq!(operation.to_string(), operation.name());
        }
        assert_eq!(several[1].name(), "concurrent-updates:8");
    }

    #[test]
    fn an_error_says_which_names_to_try() {
        let wrong = |name: &str| name.parse::<Operation>().unwrap_err().to_string();
        for number in ["", ":", ":0", ":-1", ":+8", ":08", ":8 ", ":many", ":99999999999999999999"] {
            let text = wrong(&format!("concurrent-updates{number}"));
            assert!(text.ends_with("; try concurrent-updates:8"), "{text}");
        }
        let text = wrong("updat");
        assert!(text.contains("`updat`") && text.contains("update-cold, message,"), "{text}");
        assert!(text.contains("concurrent-updates:8 (") && text.ends_with(" or partition-heal"), "{text}");
    }
}
