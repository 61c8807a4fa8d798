//! How much the encoded state of somebody else may ask for.

/// What the state of somebody else may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Users ever known.
    pub known: usize,
    /// Operations.
    pub records: usize,
    /// Looks at an operation for the views of all members: users times operations, each remove that removes more than its
    /// target counted once more for every add that it follows.
    pub steps: u64,
}

impl Limits {
    /// No limits, for a state of one's own.
    pub(super) const OWN: Self = Self { known: usize::MAX, records: usize::MAX, steps: u64::MAX };
}
