//! Decentralised group membership (the paper's DGM) with strong remove: who is a member, in whose view.
//!
//! Every member records each membership change (CREATE, ADD or REMOVE) and who has acknowledged it. Everything is
//! computed from the records alone:
//!
//! ```text
//! members(Changes) = founders and added users, less the removed
//! a remove r removes its target and, transitively, the user of every add in Changes
//!     whose adder r removes and which r's author had not acknowledged when it sent r
//! view(me)         = members(all changes that I know)
//! view(v)          = members(changes that v has acknowledged or authored)
//! ```
//!
//! CREATE is an add of all founders by the creator. A remove always takes effect, even if its author is removed
//! concurrently; two members that remove each other are both out. If a user is added twice and a remove voids one of
//! the adds, the user is removed for good: somebody who comes back needs a new id.
//!
//! The caller supplies causal order: a change is recorded after everything that its author had acknowledged. What the
//! author had acknowledged is therefore known when the change is recorded, and is kept with it.
//!
//! Nothing here is cryptography, and nothing is counted.
//!
//! # Cost
//!
//! An acknowledgement costs a look-up and one bit, as long as its author has then acknowledged everything: its view is
//! mine, and both share one set. Otherwise its view is computed by the definition, in time linear in the records.
//!
//! # Limits
//!
//! Nothing is ever forgotten. Every user ever known stays, and so does every change: an id for a user and about eight
//! bytes in the encoded form for a change that all have acknowledged. The reason is that a change that is concurrent to
//! an old one may still be delivered. The changes of a removed member count as concurrent for ever: its adds bring in
//! nobody, but its removes remove.

mod evaluate;
mod limits;
mod set;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

pub use limits::Limits;
pub use set::{ChangeIndex, MemberIndex, MemberSet};

use crate::error::Error;
use crate::id::MemberId;
use crate::member::Rule;
use set::ChangeSet;

/// The number of the CREATE message among its author's messages.
const CREATE_NUMBER: u32 = 1;
/// The creator becomes known first.
const CREATOR: MemberIndex = MemberIndex(0);

/// What a membership change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The first change of every group: its author adds the founders, itself included.
    Create,
    /// The author adds this user.
    Add(MemberIndex),
    /// The author removes this member.
    Remove(MemberIndex),
}

/// A user that is a member or has been one: its id, and its index in one [`Membership`]. Ordered by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownUser {
    /// The same in every membership.
    pub id: MemberId,
    /// Differs between memberships.
    pub index: MemberIndex,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    author: MemberIndex,
    number: u32,
    change: Change,
    acknowledged_by: MemberSet,
    /// What the author had acknowledged when it sent the change; the change itself is not included.
    author_had_acknowledged: ChangeSet,
    /// Whom the change removes, given all that I know; empty unless it is a remove.
    removes: MemberSet,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    id: MemberId,
    /// The changes that add it.
    adds: Vec<ChangeIndex>,
    /// The changes by which it adds others.
    authored_adds: Vec<ChangeIndex>,
    /// The number of records that it has acknowledged.
    acknowledged: usize,
    /// Its view. It is shared with mine as long as the user has acknowledged all that I know.
    view: Arc<MemberSet>,
}

/// Who is a member of a group in the view of each member, as one of them (*me*) knows it.
///
/// Recording a change acknowledges it: from the start, its author and `me` are among those who have acknowledged it,
/// and `me` has acknowledged every record. A removed member must stop: it records and acknowledges nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    me: MemberIndex,
    known: Vec<Known>,
    by_id: BTreeMap<MemberId, MemberIndex>,
    /// The members that the creation adds. They become known before anybody else, the creator first.
    founders: MemberSet,
    records: Vec<Record>,
    by_message: BTreeMap<(MemberIndex, u32), ChangeIndex>,
    /// The records that remove somebody.
    removes: Vec<ChangeIndex>,
    /// All users that a remove removes, given all that I know.
    removed: MemberSet,
}

impl Membership {
    /// The state after CREATE, which is message 1 of `creator`: the members are the creator and the `founders`, who may
    /// include the creator. Indices follow that order, the creator first.
    ///
    /// # Errors
    /// [`Error::AlreadyAMember`] if somebody is named twice, [`Error::NotAMember`] if `me` is not among the members.
    pub fn found(me: MemberId, creator: MemberId, founders: impl IntoIterator<Item = MemberId>) -> Result<Self, Error> {
        let mut membership = Self::empty();
        membership.introduce(creator);
        membership.founders.insert(CREATOR);
        let mut creator_named = false;
        for founder in founders {
            let again = if founder == creator {
                core::mem::replace(&mut creator_named, true)
            } else {
                let index = membership.introduce(founder);
                !membership.founders.insert(index)
            };
            if again {
                return Err(Error::AlreadyAMember);
            }
        }
        membership.me = membership.index(&me).ok_or(Error::NotAMember)?;
        membership.record(CREATOR, CREATE_NUMBER, Change::Create);
        Ok(membership)
    }

    /// My own index.
    #[must_use]
    pub fn me(&self) -> MemberIndex {
        self.me
    }

    /// The index of `id`; `None` if it was never known.
    #[must_use]
    pub fn index(&self, id: &MemberId) -> Option<MemberIndex> {
        self.by_id.get(id).copied()
    }

    /// The id of `member`.
    ///
    /// # Panics
    /// If the index is not below the number of [`everybody`](Self::everybody). No method of this type returns such an
    /// index.
    #[must_use]
    pub fn id(&self, member: MemberIndex) -> MemberId {
        self.known[member.to_usize()].id
    }

    /// Every user ever known, in order of index: members, and those who were members.
    pub fn everybody(&self) -> impl ExactSizeIterator<Item = MemberIndex> + use<> {
        (0..self.known.len()).map(MemberIndex::from_usize)
    }

    /// The members of `set` with their ids, in order of the ids: the same order for everybody.
    pub fn in_order_of_ids<'a>(&'a self, set: &'a MemberSet) -> impl Iterator<Item = KnownUser> + 'a {
        self.by_id
            .iter()
            .filter(|(_, index)| set.contains(**index))
            .map(|(id, index)| KnownUser { id: *id, index: *index })
    }

    /// Who is a member in the view of `member`: for me, by all that I know; for anybody else, by the changes that it
    /// has acknowledged or authored. Empty for an unknown user.
    #[must_use]
    pub fn view(&self, member: MemberIndex) -> &MemberSet {
        static NOBODY: LazyLock<MemberSet> = LazyLock::new(MemberSet::new);
        self.known.get(member.to_usize()).map_or(&*NOBODY, |known| &known.view)
    }

    /// Whether `member` is a member in my view.
    #[must_use]
    pub fn is_member(&self, member: MemberIndex) -> bool {
        self.view(self.me).contains(member)
    }

    /// The change that message `number` of `author` is; `None` if no such change is recorded.
    #[must_use]
    pub fn recorded(&self, author: MemberIndex, number: u32) -> Option<ChangeIndex> {
        self.by_message.get(&(author, number)).copied()
    }

    /// What a recorded change does.
    ///
    /// # Panics
    /// If the index is not one that this membership returned.
    #[must_use]
    pub fn change(&self, index: ChangeIndex) -> Change {
        self.records[index.to_usize()].change
    }

    /// Who has acknowledged a change, its author and I included.
    ///
    /// # Panics
    /// If the index is not one that this membership returned.
    #[must_use]
    pub fn acknowledged_by(&self, change: ChangeIndex) -> &MemberSet {
        &self.records[change.to_usize()].acknowledged_by
    }

    /// The number of users that `member` has ever known, as far as I know: those whose add it has acknowledged, even if
    /// they were removed.
    #[must_use]
    pub fn known_by(&self, member: MemberIndex) -> usize {
        if self.has_acknowledged_all(member) {
            return self.known.len();
        }
        self.everybody().filter(|user| self.has_acknowledged_an_add(member, *user)).count()
    }

    /// Whether `author` may add `user`. Only what the author has acknowledged counts, so that all members decide alike.
    ///
    /// # Errors
    /// [`Rule::AuthorNotAMember`] if the author is not in its own view; [`Rule::AlreadyAMember`] if the author has
    /// acknowledged or authored an add of the user, who may have been removed since.
    pub fn check_add(&self, author: MemberIndex, user: &MemberId) -> Result<(), Rule> {
        if !self.view(author).contains(author) {
            return Err(Rule::AuthorNotAMember);
        }
        match self.index(user) {
            Some(user) if self.has_acknowledged_an_add(author, user) => Err(Rule::AlreadyAMember),
            _ => Ok(()),
        }
    }

    /// Whether `author` may remove `target`. Only what the author has acknowledged counts, so that all members decide
    /// alike.
    ///
    /// # Errors
    /// [`Rule::AuthorNotAMember`] if the author is not in its own view, [`Rule::RemovesItself`],
    /// [`Rule::TargetNotAMember`] if the target is not in the author's view.
    pub fn check_remove(&self, author: MemberIndex, target: MemberIndex) -> Result<(), Rule> {
        let view = self.view(author);
        if !view.contains(author) {
            Err(Rule::AuthorNotAMember)
        } else if author == target {
            Err(Rule::RemovesItself)
        } else if !view.contains(target) {
            Err(Rule::TargetNotAMember)
        } else {
            Ok(())
        }
    }

    /// Records that message `number` of `author` adds `user`, who gets an index if it is new. The author and I have
    /// acknowledged the add. Call [`check_add`](Self::check_add) first. If the message is recorded already, nothing
    /// changes; returned is then what was recorded.
    pub fn add(&mut self, author: MemberIndex, number: u32, user: MemberId) -> (ChangeIndex, MemberIndex) {
        if let Some(recorded) = self.recorded(author, number) {
            let subject = match self.change(recorded) {
                Change::Create => author,
                Change::Add(subject) | Change::Remove(subject) => subject,
            };
            return (recorded, subject);
        }
        let user = self.introduce(user);
        (self.record(author, number, Change::Add(user)), user)
    }

    /// Records that message `number` of `author` removes `target`. The author and I have acknowledged the remove. Call
    /// [`check_remove`](Self::check_remove) first. If the message is recorded already, nothing changes.
    pub fn remove(&mut self, author: MemberIndex, number: u32, target: MemberIndex) -> ChangeIndex {
        self.record(author, number, Change::Remove(target))
    }

    /// Records that `member` has acknowledged message `number` of `author`. If the message is not a recorded change,
    /// but an update for example, nothing happens.
    ///
    /// With its first acknowledgement of an add of itself, a joiner also acknowledges everything that the adder had
    /// acknowledged when it sent that add: the joiner has learned it from the welcome.
    ///
    /// # Errors
    /// Nothing has changed after an error.
    /// - [`Rule::NothingToAcknowledge`] if the member has acknowledged the change before, is its author, or is me.
    /// - [`Rule::AcknowledgesOwnRemoval`] if the member would no longer be in its own view: its removal would follow
    ///   from what it has acknowledged itself. A removed member stops instead.
    /// - [`Rule::AuthorNotAMember`] if the member was not in its own view before, and would not be now.
    pub fn acknowledge(&mut self, member: MemberIndex, author: MemberIndex, number: u32) -> Result<(), Rule> {
        let Some(change) = self.recorded(author, number).map(ChangeIndex::to_usize) else { return Ok(()) };
        let (Some(record), Some(acker)) = (self.records.get(change), self.known.get(member.to_usize())) else {
            return Err(Rule::AuthorNotAMember);
        };
        if record.acknowledged_by.contains(member) {
            return Err(Rule::NothingToAcknowledge);
        }
        let adds_it = match record.change {
            Change::Create => self.founders.contains(member),
            Change::Add(user) => user == member,
            Change::Remove(_) => false,
        };
        let inherited: Vec<usize> = if adds_it && !self.has_acknowledged_an_add(member, member) {
            let new = |change: &usize| !self.has_acknowledged(member, *change);
            record.author_had_acknowledged.iter().filter(new).collect()
        } else {
            Vec::new()
        };

        let acknowledged = acker.acknowledged + 1 + inherited.len();
        let view = if acknowledged == self.records.len() {
            Arc::clone(&self.known[self.me.to_usize()].view)
        } else {
            Arc::new(self.members(|other| {
                other == change || self.has_acknowledged(member, other) || inherited.binary_search(&other).is_ok()
            }))
        };
        if !view.contains(member) {
            let was_in = acker.view.contains(member);
            return Err(if was_in { Rule::AcknowledgesOwnRemoval } else { Rule::AuthorNotAMember });
        }

        for change in inherited.into_iter().chain([change]) {
            self.records[change].acknowledged_by.insert(member);
        }
        let acker = &mut self.known[member.to_usize()];
        acker.acknowledged = acknowledged;
        acker.view = view;
        Ok(())
    }

    /// Whether no member in my view can ever count `target` as a member again, or send to it: `target` is removed, each
    /// member in my view has acknowledged every remove that removes it, and the removal follows from what that member
    /// has acknowledged. Keys that serve only to communicate with `target` can then be deleted.
    #[must_use]
    pub fn removal_is_acknowledged_by_all(&self, target: MemberIndex) -> bool {
        self.removals_acknowledged_by_all(&MemberSet::from_iter([target])).contains(target)
    }

    /// Those of `targets` for whom [`removal_is_acknowledged_by_all`](Self::removal_is_acknowledged_by_all) holds.
    /// Asking for all of them takes hardly longer than asking for one.
    #[must_use]
    pub fn removals_acknowledged_by_all(&self, targets: &MemberSet) -> MemberSet {
        let view = self.view(self.me);
        let mut acknowledged = targets.difference(&targets.difference(&self.removed));
        let mut directly = MemberSet::new();
        for record in self.removes.iter().filter_map(|remove| self.records.get(remove.to_usize())) {
            if !view.is_subset(&record.acknowledged_by) {
                acknowledged.subtract(&record.removes);
            } else if let Change::Remove(target) = record.change {
                directly.insert(target);
            }
        }
        // A member that has acknowledged a remove with this target needs to know nothing else.
        let mut by_others = acknowledged.difference(&directly);
        acknowledged.subtract(&by_others);
        for member in view.iter().filter(|member| !self.has_acknowledged_all(*member)) {
            if by_others.is_empty() {
                break;
            }
            let removed = self.removed_by(|change| self.has_acknowledged(member, change));
            by_others = by_others.difference(&by_others.difference(&removed));
        }
        acknowledged.unite(&by_others);
        acknowledged
    }

    /// Whether `member` has acknowledged all that I know.
    #[must_use]
    pub fn has_acknowledged_everything(&self, member: MemberIndex) -> bool {
        self.has_acknowledged_all(member)
    }

    fn empty() -> Self {
        Self {
            me: MemberIndex(0),
            known: Vec::new(),
            by_id: BTreeMap::new(),
            founders: MemberSet::new(),
            records: Vec::new(),
            by_message: BTreeMap::new(),
            removes: Vec::new(),
            removed: MemberSet::new(),
        }
    }

    /// The index of `id`, which gets the next one if it is new.
    fn introduce(&mut self, id: MemberId) -> MemberIndex {
        if let Some(index) = self.index(&id) {
            return index;
        }
        let index = MemberIndex::from_usize(self.known.len());
        self.by_id.insert(id, index);
        self.known.push(Known {
            id,
            adds: Vec::new(),
            authored_adds: Vec::new(),
            acknowledged: 0,
            view: Arc::default(),
        });
        index
    }

    fn has_acknowledged(&self, member: MemberIndex, change: usize) -> bool {
        self.records.get(change).is_some_and(|record| record.acknowledged_by.contains(member))
    }

    fn has_acknowledged_all(&self, member: MemberIndex) -> bool {
        self.known.get(member.to_usize()).is_some_and(|known| known.acknowledged == self.records.len())
    }

    fn has_acknowledged_an_add(&self, member: MemberIndex, user: MemberIndex) -> bool {
        let adds = self.known.get(user.to_usize()).map_or(&[][..], |known| &known.adds);
        adds.iter().any(|add| self.has_acknowledged(member, add.to_usize()))
    }
}
