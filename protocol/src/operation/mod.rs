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
/// The names of [`Operation::PartitionRecovery`], [`Operation::AddAfter`] and [`Operation::UpdateAfter`] without numbers.
const PARTITION_RECOVERY: &str = "partition-recovery:";
const ADD_AFTER: &str = "add-after:";
const UPDATE_AFTER: &str = "update-after:";

/// An operation that is measured. [`Operation::start`] says in which state it finds the group.
///
/// Most operations are one call of one member. Others are operations of several members and consist of others
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
    /// updates. If that leaves a conflict ([`Member::conflicts`](crate::member::Member::conflicts)), the creator then sends a
    /// message.
    ConcurrentUpdates(NonZeroUsize),
    /// The group is partitioned into its first and its second half. In each half the first member removes the last one,
    /// adds a user and updates. Then everything that was withheld arrives, and these two first members send a message
    /// each.
    PartitionHeal,
    /// The group is partitioned, member `m` into part `m` modulo `parts`. Members update, this number of times in all, one
    /// after the other in a random order in which nobody comes twice before everybody has come; each update reaches its own
    /// part. Then everything that was withheld arrives. Those that have updated update again, in a random order, until no
    /// conflict is left ([`Member::conflicts`](crate::member::Member::conflicts)), but at least one does.
    PartitionRecovery {
        /// The number of parts.
        parts: NonZeroUsize,
        /// The number of updates while there is a partition.
        updates: NonZeroUsize,
    },
    /// The creator adds one user after this number of updates, by the members in turn.
    AddAfter(NonZeroUsize),
    /// The creator updates after this number of updates, by the members in turn.
    UpdateAfter(NonZeroUsize),
    /// As [`Operation::Remove`], and each member gets what reaches it in a round [together](Delivery::Together).
    RemoveTogether,
    /// As [`Operation::Update`], and each member gets what reaches it in a round [together](Delivery::Together).
    UpdateTogether,
}

/// How the messages of a round reach a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delivery {
    /// One by one, each in a call of its own, as in the paper.
    #[default]
    Each,
    /// In one call, as to a device that comes online.
    Together,
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

    /// [`ALL`](Self::ALL), and those operations whose messages are also measured as they arrive together: what backends are
    /// compared in if no operation is named.
    pub const COMPARED: [Self; 10] = [
        Self::Create,
        Self::CreateMesh,
        Self::Add,
        Self::Remove,
        Self::RemoveTogether,
        Self::Update,
        Self::UpdateTogether,
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
            Self::ConcurrentUpdates(_) | Self::PartitionHeal | Self::PartitionRecovery { .. } => Start::Conversed,
            Self::AddAfter(_) | Self::UpdateAfter(_) => Start::Conversed,
            Self::RemoveTogether | Self::UpdateTogether => Start::Conversed,
            Self::MessageAfterRemove => Start::Removed,
        }
    }

    /// How many updates come between the state in which the operation finds the group and the operation. They are neither
    /// timed nor counted.
    #[must_use]
    pub fn earlier_updates(self) -> usize {
        match self {
            Self::AddAfter(updates) | Self::UpdateAfter(updates) => updates.get(),
            _ => 0,
        }
    }

    /// The operation, whatever came before it and however its messages are delivered.
    #[must_use]
    pub fn itself(self) -> Self {
        match self {
            Self::AddAfter(_) => Self::Add,
            Self::UpdateAfter(_) => Self::Update,
            _ => self.one_by_one(),
        }
    }

    /// The operation with its messages delivered one by one. Its formula is that of this one too, if each signature that is
    /// checked together with others counts as checked alone.
    #[must_use]
    pub fn one_by_one(self) -> Self {
        match self {
            Self::RemoveTogether => Self::Remove,
            Self::UpdateTogether => Self::Update,
            _ => self,
        }
    }

    /// How the messages of a round reach a member.
    #[must_use]
    pub fn delivery(self) -> Delivery {
        if self.one_by_one() == self { Delivery::Each } else { Delivery::Together }
    }

    /// This operation after a number of updates. `None` if it is not measured so.
    #[must_use]
    pub fn after(self, updates: NonZeroUsize) -> Option<Self> {
        match self {
            Self::Add => Some(Self::AddAfter(updates)),
            Self::Update => Some(Self::UpdateAfter(updates)),
            _ => None,
        }
    }

    /// Whether several members act, and none of them knows what the others do.
    #[must_use]
    pub fn is_concurrent(self) -> bool {
        matches!(self, Self::ConcurrentUpdates(_) | Self::PartitionHeal | Self::PartitionRecovery { .. })
    }

    /// The operations of which this one consists; empty if it is one call. A backend that has all parts has the whole too,
    /// if its concurrent operations take effect where members act [concurrently](Self::is_concurrent).
    #[must_use]
    pub fn parts(self) -> &'static [Self] {
        match self {
            Self::ConcurrentUpdates(_) | Self::PartitionRecovery { .. } | Self::UpdateAfter(_) => &[Self::Update],
            Self::AddAfter(_) => &[Self::Update, Self::Add],
            Self::PartitionHeal => &[Self::Remove, Self::Add, Self::Update, Self::Message],
            Self::RemoveTogether => &[Self::Remove],
            Self::UpdateTogether => &[Self::Update],
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
            // In each part one member at least.
            Self::PartitionRecovery { parts, .. } => parts.get().max(MIN_GROUP_SIZE),
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
            Self::RemoveTogether => "remove-together",
            Self::UpdateTogether => "update-together",
            Self::Message => "message",
            Self::MessageAfterRemove => "message-after-remove",
            Self::ConcurrentUpdates(members) => return Cow::Owned(format!("{CONCURRENT_UPDATES}{members}")),
            Self::PartitionHeal => "partition-heal",
            Self::PartitionRecovery { parts, updates } => {
                return Cow::Owned(format!("{PARTITION_RECOVERY}{parts}:{updates}"));
            }
            Self::AddAfter(updates) => return Cow::Owned(format!("{ADD_AFTER}{updates}")),
            Self::UpdateAfter(updates) => return Cow::Owned(format!("{UPDATE_AFTER}{updates}")),
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
             concurrently), {heal}, {PARTITION_RECOVERY}4:64 (4 parts, 64 updates), {remove} or {update} (all messages of a round in one call), {ADD_AFTER}32 or {UPDATE_AFTER}32 (after 32 \
             updates)", all = Operation::ALL.map(Operation::name).join(", "), heal = Operation::PartitionHeal, remove = Operation::RemoveTogether,
             update = Operation::UpdateTogether)]
    Name(String),
    /// The name lacks its numbers, or has others than it can have.
    #[error("`{0}` does not have the numbers that it needs, from 1 to {MOST}, and at least 2 parts; try {1}")]
    Number(String, &'static str),
}

/// The largest number in a name.
const MOST: usize = 100_000;

/// The stems of names with numbers, with an example of each.
const WITH_NUMBERS: [(&str, &str); 4] = [
    (CONCURRENT_UPDATES, "concurrent-updates:8"),
    (PARTITION_RECOVERY, "partition-recovery:4:64"),
    (ADD_AFTER, "add-after:32"),
    (UPDATE_AFTER, "update-after:32"),
];

/// The operation with this stem and these numbers.
fn with_numbers(stem: &str, numbers: &str) -> Option<Operation> {
    let number = |text: &str| text.parse::<NonZeroUsize>().ok().filter(|number| number.get() <= MOST);
    match stem {
        CONCURRENT_UPDATES => number(numbers).map(Operation::ConcurrentUpdates),
        ADD_AFTER => number(numbers).map(Operation::AddAfter),
        UPDATE_AFTER => number(numbers).map(Operation::UpdateAfter),
        _ => {
            let (parts, updates) = numbers.split_once(':')?;
            let parts = number(parts).filter(|parts| parts.get() > 1)?;
            Some(Operation::PartitionRecovery { parts, updates: number(updates)? })
        }
    }
}

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(name: &str) -> Result<Self, UnknownOperation> {
        for (stem, example) in WITH_NUMBERS {
            let lacks = || UnknownOperation::Number(name.to_owned(), example);
            if let Some(numbers) = name.strip_prefix(stem) {
                // One operation has one name: `concurrent-updates:+8` and `concurrent-updates:08` are not names.
                return with_numbers(stem, numbers).filter(|operation| operation.name() == name).ok_or_else(lacks);
            }
            if name == stem.trim_end_matches(':') {
                return Err(lacks());
            }
        }
        let mut operations = Self::COMPARED.into_iter().chain([Self::PartitionHeal]);
        operations.find(|operation| operation.name() == name).ok_or_else(|| UnknownOperation::Name(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_what_its_name_says() {
        let several = [1, 8, 1024].map(|members| Operation::ConcurrentUpdates(NonZeroUsize::new(members).unwrap()));
        for operation in Operation::COMPARED.into_iter().chain(several).chain([Operation::PartitionHeal]) {
            assert_eq!(operation.name().parse(), Ok(operation));
            assert_eq!(operation.to_string(), operation.name());
        }
        assert_eq!(several[1].name(), "concurrent-updates:8");
        for name in ["partition-recovery:4:64", "add-after:32", "update-after:1"] {
            assert_eq!(name.parse::<Operation>().unwrap().name(), name);
        }
    }

    #[test]
    fn what_is_compared_is_everything_and_what_arrives_together() {
        let (each, together): (Vec<_>, Vec<_>) =
            Operation::COMPARED.into_iter().partition(|it| it.delivery() == Delivery::Each);
        assert_eq!(each, Operation::ALL);
        assert_eq!(
            together.iter().map(|it| it.one_by_one()).collect::<Vec<_>>(),
            [Operation::Remove, Operation::Update]
        );
        assert!(together.iter().all(|it| it.start() == it.one_by_one().start() && it.parts() == [it.one_by_one()]));
    }

    #[test]
    fn an_error_says_which_names_to_try() {
        let wrong = |name: &str| name.parse::<Operation>().unwrap_err().to_string();
        for number in ["", ":", ":0", ":-1", ":+8", ":08", ":8 ", ":many", ":99999999999999999999"] {
            let text = wrong(&format!("concurrent-updates{number}"));
            assert!(text.ends_with("; try concurrent-updates:8"), "{text}");
        }
        for (name, example) in [
            ("partition-recovery:4", "partition-recovery:4:64"),
            ("partition-recovery:0:1", "partition-recovery:4:64"),
            ("partition-recovery:1:1", "partition-recovery:4:64"),
            ("partition-recovery:4:100001", "partition-recovery:4:64"),
            ("add-after", "add-after:32"),
            ("update-after:x", "update-after:32"),
        ] {
            let text = wrong(name);
            assert!(text.starts_with(&format!("`{name}` does not have the numbers")), "{text}");
            assert!(text.ends_with(&format!("; try {example}")), "{text}");
        }
        let text = wrong("updat");
        assert!(text.contains("`updat`") && text.contains("update-cold, message,"), "{text}");
        assert!(text.contains("concurrent-updates:8 (") && text.contains(", partition-heal, "), "{text}");
    }
}
