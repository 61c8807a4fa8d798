//! The limits of an encoded state that comes from somebody else.

/// What an encoded state that comes from somebody else may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The greatest number of users ever known.
    pub known: usize,
    /// The greatest number of membership changes.
    pub records: usize,
    /// How often changes may be looked at to compute the views of all members: the number of users times that of
    /// changes. Each remove that removes more than its target counts once more for every add that it follows.
    pub steps: u64,
}

impl Limits {
    /// No limits, for a member's own state.
    pub(super) const OWN: Self = Self { known: usize::MAX, records: usize::MAX, steps: u64::MAX };
}
