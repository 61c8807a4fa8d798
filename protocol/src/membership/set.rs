//! Indices of members and membership changes, and sets of them.

use core::fmt;

use fixedbitset::FixedBitSet;

/// The local index of a user, in the order of becoming known. It differs between members: it never goes on the wire
/// outside a [`Membership`](super::Membership)'s own encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MemberIndex(pub u32);

impl MemberIndex {
    /// The index as a position in a table.
    #[must_use]
    pub fn to_usize(self) -> usize {
        self.0 as usize
    }

    /// The index of a position in a table. Positions above `u32::MAX` do not occur; they become `u32::MAX`.
    #[must_use]
    pub fn from_usize(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }
}

/// The local index of a recorded membership change, in the order of becoming known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChangeIndex(pub(super) u32);

impl ChangeIndex {
    /// The index as a position in a table.
    #[must_use]
    pub fn to_usize(self) -> usize {
        self.0 as usize
    }

    pub(super) fn from_usize(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }
}

/// A set of members. Two sets are equal if they have the same members, whatever memory they take.
#[derive(Clone, Default)]
pub struct MemberSet(FixedBitSet);

impl MemberSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first `count` of everybody ever known.
    #[must_use]
    pub fn first(count: usize) -> Self {
        let mut bits = FixedBitSet::with_capacity(count);
        bits.insert_range(..);
        Self(bits)
    }

    /// Whether `member` is in it.
    #[must_use]
    pub fn contains(&self, member: MemberIndex) -> bool {
        self.0.contains(member.to_usize())
    }

    /// Inserts `member`. Returns whether it was new.
    pub fn insert(&mut self, member: MemberIndex) -> bool {
        let position = member.to_usize();
        let new = !self.0.contains(position);
        self.0.grow_and_insert(position);
        new
    }

    /// Removes `member`. Returns whether it was in the set.
    pub fn remove(&mut self, member: MemberIndex) -> bool {
        let was_in = self.contains(member);
        if was_in {
            self.0.remove(member.to_usize());
        }
        was_in
    }

    /// The members in ascending order of index.
    pub fn iter(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        self.0.ones().map(MemberIndex::from_usize)
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.count_ones(..)
    }

    /// Whether the set has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_clear()
    }

    /// Whether all members are in `other` too.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The members that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.subtract(other);
        rest
    }

    pub(super) fn symmetric_difference(&self, other: &Self) -> Self {
        let mut either = self.0.clone();
        either.symmetric_difference_with(&other.0);
        Self(either)
    }

    pub(super) fn unite(&mut self, other: &Self) {
        self.0.union_with(&other.0);
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        self.0.difference_with(&other.0);
    }
}

impl PartialEq for MemberSet {
    fn eq(&self, other: &Self) -> bool {
        self.is_subset(other) && other.is_subset(self)
    }
}

impl Eq for MemberSet {}

impl fmt::Debug for MemberSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|member| member.0)).finish()
    }
}

impl FromIterator<MemberIndex> for MemberSet {
    fn from_iter<I: IntoIterator<Item = MemberIndex>>(members: I) -> Self {
        let mut set = Self::new();
        set.extend(members);
        set
    }
}

impl Extend<MemberIndex> for MemberSet {
    fn extend<I: IntoIterator<Item = MemberIndex>>(&mut self, members: I) {
        members.into_iter().for_each(|member| {
            self.insert(member);
        });
    }
}

/// An immutable set of membership changes: all below a bound, except for some. An author has acknowledged nearly all
/// changes when it sends one, so this takes a few bytes, while a bit set would grow with the history.
///
/// The highest change below the bound is always in the set, so that equal sets have equal forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChangeSet {
    below: u32,
    missing: Vec<u32>,
}

impl ChangeSet {
    /// The set of the first `below` changes.
    pub(super) fn first(below: usize) -> Self {
        Self { below: ChangeIndex::from_usize(below).0, missing: Vec::new() }
    }

    /// The set of those of the first `below` changes that `contains` accepts.
    pub(super) fn of(below: usize, contains: impl Fn(usize) -> bool) -> Self {
        let Some(last) = (0..below).rev().find(|&change| contains(change)) else { return Self::default() };
        let missing = (0..last).filter(|&change| !contains(change)).map(|change| ChangeIndex::from_usize(change).0);
        Self { below: ChangeIndex::from_usize(last + 1).0, missing: missing.collect() }
    }

    /// The set in this form; `None` unless `missing` ascends and stays below the last change.
    pub(super) fn from_parts(below: u32, missing: Vec<u32>) -> Option<Self> {
        let ascending = missing.is_sorted_by(|one, next| one < next);
        let canonical = missing.last().is_none_or(|&last| last.saturating_add(1) < below);
        (ascending && canonical).then_some(Self { below, missing })
    }

    pub(super) fn below(&self) -> usize {
        self.below as usize
    }

    pub(super) fn missing(&self) -> &[u32] {
        &self.missing
    }

    pub(super) fn contains(&self, change: usize) -> bool {
        change < self.below() && u32::try_from(change).is_ok_and(|change| self.missing.binary_search(&change).is_err())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.below()).filter(|&change| self.contains(change))
    }
}
