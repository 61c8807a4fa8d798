//! The cost of an operation: what the formula says, what was measured, and whether the two are equal.

use core::fmt;
use core::panic::Location;
use std::collections::BTreeMap;

use super::role::{Phase, Role};
use crate::crypto::count::{Counted, Counts};

/// The exact cost of one operation, by formula. A run whose costs differ is refused.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The number of messages of each kind. A kind can be listed several times; what is not listed is zero.
    pub messages: Vec<(&'static str, u64)>,
    /// Primitive counts, summed over the members of a role. A role and phase can be listed several times; what is not
    /// listed is zero.
    pub counts: Vec<(Role, Phase, Counts)>,
    /// Where the formula stands.
    formula: &'static Location<'static>,
}

/// The cost of one operation as it was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// The number of messages of each kind, over all roles and phases. What is not listed is zero.
    pub messages: BTreeMap<&'static str, u64>,
    /// Primitive counts, summed over the members of a role. What is not listed is zero.
    pub counts: BTreeMap<(Role, Phase), Counts>,
}

/// One number that is not what the formula says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostDifference {
    /// A number of messages.
    #[error("{kind} messages: expected {expected}, measured {measured}")]
    Messages {
        /// The messages' kind.
        kind: &'static str,
        /// By formula.
        expected: u64,
        /// In the run.
        measured: u64,
    },
    /// A primitive count.
    #[error("{metric} of role {} in phase {}: expected {expected}, measured {measured}", role.name(), phase.name())]
    Count {
        /// The role over whose members it is summed.
        role: Role,
        /// The phase in which the primitive was used.
        phase: Phase,
        /// The name of the count, as in [`Counts::named`].
        metric: &'static str,
        /// By formula.
        expected: u64,
        /// In the run.
        measured: u64,
    },
}

/// Everything in which a measured cost is not what the formula says: first messages in the order of their kinds, then
/// primitive counts in the order of [`Role::ALL`], [`Phase::ALL`] and [`Counts::named`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostMismatch {
    /// The first difference: there is at least one.
    pub first: CostDifference,
    /// All others.
    pub others: Vec<CostDifference>,
    /// Where the formula stands.
    pub formula: &'static Location<'static>,
}

impl fmt::Display for CostMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.others.iter().try_for_each(|difference| write!(f, "; {difference}"))?;
        write!(f, "; the formula is at {}:{}", self.formula.file(), self.formula.line())
    }
}

impl core::error::Error for CostMismatch {}

impl Expected {
    /// These messages and primitive counts. A refusal names the line of this call as the place of the formula. A helper
    /// with `#[track_caller]` passes on the line of its own call.
    #[must_use]
    #[track_caller]
    pub fn new(messages: Vec<(&'static str, u64)>, counts: Vec<(Role, Phase, Counts)>) -> Self {
        Self { messages, counts, formula: Location::caller() }
    }

    /// Compares the numbers of messages of all kinds, and the primitive counts that are known, of all roles in all phases.
    ///
    /// # Errors
    /// All differences, if there are any.
    pub fn compare(&self, measured: &Measured, known: Counted) -> Result<(), CostMismatch> {
        let mut differences = self.message_differences(measured).chain(self.count_differences(measured, known));
        match differences.next() {
            None => Ok(()),
            Some(first) => Err(CostMismatch { first, others: differences.collect(), formula: self.formula }),
        }
    }

    fn message_differences(&self, measured: &Measured) -> impl Iterator<Item = CostDifference> {
        let mut kinds = BTreeMap::<&'static str, (u64, u64)>::new();
        for (kind, number) in &self.messages {
            kinds.entry(*kind).or_default().0 += number;
        }
        for (kind, number) in &measured.messages {
            kinds.entry(*kind).or_default().1 += number;
        }
        let different = kinds.into_iter().filter(|(_, (expected, measured))| expected != measured);
        different.map(|(kind, (expected, measured))| CostDifference::Messages { kind, expected, measured })
    }

    fn count_differences(&self, measured: &Measured, known: Counted) -> impl Iterator<Item = CostDifference> {
        let places = Role::ALL.into_iter().flat_map(|role| Phase::ALL.map(|phase| (role, phase)));
        places.flat_map(move |(role, phase)| {
            let mut formula = Counts::default();
            let rows = self.counts.iter().filter(|row| (row.0, row.1) == (role, phase));
            rows.for_each(|row| formula += row.2);
            let counted = measured.counts.get(&(role, phase)).copied().unwrap_or_default();
            let pairs = known.known(formula).named().into_iter().zip(known.known(counted).named());
            pairs.filter(|((_, expected), (_, measured))| expected != measured).map(
                move |((metric, expected), (_, measured))| CostDifference::Count {
                    role,
                    phase,
                    metric,
                    expected,
                    measured,
                },
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expected() -> Expected {
        let (sign, verify) = (Counts { sign: 1, ..Counts::default() }, Counts { verify: 3, ..Counts::default() });
        Expected::new(
            vec![("update", 1), ("ack", 2), ("ack", 1), ("welcome", 0)],
            vec![
                (Role::Recipient, Phase::Process, verify),
                (Role::Sender, Phase::Generate, sign),
                (Role::Sender, Phase::Generate, sign),
            ],
        )
    }

    fn measured() -> Measured {
        let (sign, verify) = (Counts { sign: 2, ..Counts::default() }, Counts { verify: 3, ..Counts::default() });
        Measured {
            messages: BTreeMap::from([("ack", 3), ("update", 1)]),
            counts: BTreeMap::from([
                ((Role::Recipient, Phase::Process), verify),
                ((Role::Removed, Phase::Process), Counts::default()),
                ((Role::Sender, Phase::Generate), sign),
            ]),
        }
    }

    #[test]
    fn rows_are_summed_and_what_is_not_listed_is_zero() {
        assert_eq!(expected().compare(&measured(), Counted::All), Ok(()));
    }

    #[test]
    fn every_difference_is_named_in_a_fixed_order_and_then_the_place_of_the_formula() {
        let mut measured = measured();
        measured.messages.remove("update");
        measured.messages.insert("create", 1);
        measured.counts.remove(&(Role::Recipient, Phase::Process));
        measured.counts.insert((Role::Removed, Phase::Heal), Counts { kdf: 7, dh: 1, ..Counts::default() });
        let (expected, line) = (expected(), line!());
        let mismatch = expected.compare(&measured, Counted::All).unwrap_err();
        assert_eq!(mismatch.first, CostDifference::Messages { kind: "create", expected: 0, measured: 1 });
        let all = [
            "create messages: expected 0, measured 1",
            "update messages: expected 1, measured 0",
            "op.verify of role recipient in phase process: expected 3, measured 0",
            "op.dh of role removed in phase heal: expected 0, measured 1",
            "op.kdf of role removed in phase heal: expected 0, measured 7",
        ];
        assert_eq!(mismatch.to_string(), format!("{}; the formula is at {}:{line}", all.join("; "), file!()));
    }
}
