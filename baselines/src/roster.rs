//! The members of the group: delivers notices in causal order to [`protocol::membership`].
//!
//! An author numbers its notices. Each notice names the notices of others that its author has delivered since its
//! previous one. So everybody knows what an author had acknowledged when it sent a notice. Membership needs nothing
//! more, so there are no separate acknowledgements. A received notice waits until all that it names has been
//! delivered. It names each notice once, so the work to check it is bounded by what has been delivered.

use std::collections::BTreeSet;

use protocol::error::Error;
use protocol::id::{Handle, MemberId};
use protocol::member::Rule;
use protocol::membership::{MemberIndex, MemberSet, Membership};
use protocol::wire::codec::{Reader, put_len, put_prefixed, put_varint};

use crate::notice::{Announced, Notice};
use crate::sender_key::take_member;

/// Received notices of one author that may wait for others.
pub(crate) const MAX_WAITING_PER_AUTHOR: usize = 64;

/// Everybody that I have ever known, and their notices.
#[derive(Clone)]
pub struct Roster {
    /// Who is a member, given the delivered notices.
    pub membership: Membership,
    /// Handles of everybody known, by index.
    handles: Vec<Handle>,
    /// Sequence of the last notice of each author that I have delivered, by index.
    delivered: Vec<u32>,
    /// Notices of others that I have delivered since my last notice.
    unreported: Vec<(MemberIndex, u32)>,
    /// My notices, for joiners whose adder had not delivered them.
    own: Vec<Notice>,
    /// Received notices that cannot be delivered yet, with their authors.
    waiting: Vec<(MemberIndex, Notice)>,
}

/// The effect of a delivered notice.
pub struct Applied {
    /// Its author.
    pub author: MemberIndex,
    /// The user that it adds, even one that was a member before, or that is not a member afterwards.
    pub adds: Option<MemberIndex>,
    /// Whether that user is a member now and was not before.
    pub joins: bool,
    /// Those who were members before and are not now.
    pub lost: MemberSet,
}

impl Roster {
    /// The roster of a new group. The creator gets index 0.
    pub fn found(me: MemberId, creator: MemberId, others: &[MemberId]) -> Result<Self, Error> {
        let founders = core::iter::once(creator).chain(others.iter().copied());
        let membership = Membership::found(me, creator, founders)?;
        let mut roster = Self::of(membership);
        let creator = MemberIndex(0);
        roster.delivered[creator.to_usize()] = 1;
        if roster.me() != creator {
            roster.unreported.push((creator, 1));
        }
        Ok(roster)
    }

    fn of(membership: Membership) -> Self {
        let handles: Vec<Handle> = membership.everybody().map(|member| membership.id(member).handle()).collect();
        let delivered = vec![0; handles.len()];
        Self { membership, handles, delivered, unreported: Vec::new(), own: Vec::new(), waiting: Vec::new() }
    }

    /// My own index.
    pub fn me(&self) -> MemberIndex {
        self.membership.me()
    }

    /// The members, in my view.
    pub fn view(&self) -> &MemberSet {
        self.membership.view(self.me())
    }

    /// Whether I am one of them.
    pub fn is_inside(&self) -> bool {
        self.view().contains(self.me())
    }

    /// The members besides me, in order of index.
    pub fn others(&self) -> Vec<MemberIndex> {
        self.view().iter().filter(|member| *member != self.me()).collect()
    }

    /// The number of members that have an index, removed ones included.
    pub fn known(&self) -> usize {
        self.handles.len()
    }

    /// The sequence of my last notice.
    pub(crate) fn sequence(&self) -> u32 {
        self.delivered[self.me().to_usize()]
    }

    #[cfg(test)]
    pub(crate) fn set_sequence(&mut self, sequence: u32) {
        let me = self.me().to_usize();
        self.delivered[me] = sequence;
    }

    /// The number of my notices that a joiner may need.
    pub(crate) fn announced(&self) -> usize {
        self.own.len()
    }

    /// The number of received notices that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The id of a member.
    pub fn id(&self, member: MemberIndex) -> MemberId {
        self.membership.id(member)
    }

    /// The short name of a member on the wire.
    ///
    /// # Errors
    /// [`Error::Internal`] if nobody has this index.
    pub fn handle(&self, member: MemberIndex) -> Result<Handle, Error> {
        self.handles.get(member.to_usize()).copied().ok_or(Error::Internal)
    }

    /// Adds a user, and returns my notice of it.
    pub fn add(&mut self, user: &MemberId) -> Result<Notice, Error> {
        self.membership.check_add(self.me(), user).map_err(|_| Error::AlreadyAMember)?;
        let notice = self.announce(Announced::Add(*user))?;
        self.membership.add(self.me(), notice.sequence, *user);
        self.introduce(*user);
        Ok(notice)
    }

    /// Removes a member, and returns my notice of it.
    pub fn remove(&mut self, user: &MemberId) -> Result<Notice, Error> {
        let target = self.membership.index(user).ok_or(Error::NotAMember)?;
        self.membership.check_remove(self.me(), target).map_err(|rule| match rule {
            Rule::RemovesItself => Error::RemovesItself,
            _ => Error::NotAMember,
        })?;
        let handle = self.handle(target)?;
        let shared = self.handles.iter().filter(|other| **other == handle).count() > 1;
        let name = if shared { user.0.to_vec() } else { handle.0.to_vec() };
        let notice = self.announce(Announced::Remove(name))?;
        self.membership.remove(self.me(), notice.sequence, target);
        Ok(notice)
    }

    fn announce(&mut self, change: Announced) -> Result<Notice, Error> {
        let me = self.me().to_usize();
        let sequence = self.sequence().checked_add(1).ok_or(Error::Internal)?;
        let name = |(author, sequence): (MemberIndex, u32)| (self.handles[author.to_usize()], sequence);
        // In the order of delivery. Authors that share a handle share an entry.
        let mut named = BTreeSet::new();
        let dependencies = self.unreported.iter().copied().map(name).filter(|it| named.insert(*it)).collect();
        self.unreported.clear();
        self.delivered[me] = sequence;
        let notice = Notice { sequence, dependencies, change };
        self.own.push(notice.clone());
        Ok(notice)
    }

    /// Receives a notice. One that was delivered before, or waits already, has no effect.
    pub fn receive(&mut self, author: MemberIndex, notice: Notice) -> Result<(), Rule> {
        if notice.sequence <= self.delivered[author.to_usize()] {
            return Ok(());
        }
        let of_author = || self.waiting.iter().filter(|(other, _)| *other == author);
        if of_author().any(|(_, other)| other.sequence == notice.sequence) {
            return Ok(());
        }
        if of_author().count() >= MAX_WAITING_PER_AUTHOR {
            return Err(Rule::Form);
        }
        self.waiting.push((author, notice));
        Ok(())
    }

    /// Delivers the next notice that is ready. Returns its effect, or its author and the rule that it breaks.
    pub fn deliver(&mut self) -> Option<Result<Applied, (MemberIndex, Rule)>> {
        let at = self.waiting.iter().position(|(author, notice)| self.is_ready(*author, notice))?;
        let (author, notice) = self.waiting.remove(at);
        self.delivered[author.to_usize()] = notice.sequence;
        let before = self.view().clone();
        Some(self.apply(author, &notice).map_err(|rule| (author, rule)).map(|adds| Applied {
            author,
            adds,
            joins: adds.is_some_and(|user| self.view().contains(user) && !before.contains(user)),
            lost: before.difference(self.view()),
        }))
    }

    fn is_ready(&self, author: MemberIndex, notice: &Notice) -> bool {
        let delivered = |(name, sequence): &(Handle, u32)| {
            self.named(name).any(|member| self.delivered[member.to_usize()] >= *sequence)
        };
        self.delivered[author.to_usize()].checked_add(1) == Some(notice.sequence)
            && notice.dependencies.iter().all(delivered)
    }

    fn apply(&mut self, author: MemberIndex, notice: &Notice) -> Result<Option<MemberIndex>, Rule> {
        for (name, sequence) in &notice.dependencies {
            // Several authors, if they share a handle.
            let authors: Vec<_> =
                self.named(name).filter(|member| self.membership.recorded(*member, *sequence).is_some()).collect();
            for acknowledged in authors {
                match self.membership.acknowledge(author, acknowledged, *sequence) {
                    Ok(()) | Err(Rule::NothingToAcknowledge) => {}
                    Err(rule) => return Err(rule),
                }
            }
        }
        let added = match &notice.change {
            Announced::Add(user) => {
                self.membership.check_add(author, user)?;
                let (_, joiner) = self.membership.add(author, notice.sequence, *user);
                self.introduce(*user);
                Some(joiner)
            }
            Announced::Remove(name) => {
                let target = self.target(author, name)?;
                self.membership.check_remove(author, target)?;
                self.membership.remove(author, notice.sequence, target);
                None
            }
        };
        self.unreported.push((author, notice.sequence));
        Ok(added)
    }

    fn target(&self, author: MemberIndex, name: &[u8]) -> Result<MemberIndex, Rule> {
        let fits = |member: &MemberIndex| {
            let (id, handle) = (self.id(*member), self.handles[member.to_usize()]);
            name == id.0 || name == handle.0
        };
        self.membership.view(author).iter().find(fits).ok_or(Rule::TargetNotAMember)
    }

    fn named(&self, handle: &Handle) -> impl Iterator<Item = MemberIndex> {
        let named = self.handles.iter().enumerate().filter(move |(_, other)| *other == handle);
        named.map(|(position, _)| MemberIndex::from_usize(position)).collect::<Vec<_>>().into_iter()
    }

    fn introduce(&mut self, user: MemberId) {
        if self.membership.everybody().len() > self.handles.len() {
            self.handles.push(user.handle());
            self.delivered.push(0);
        }
    }

    /// My notices that `adder` had not delivered when it sent its add. Its joiner does not know them.
    pub fn unknown_to(&self, adder: MemberIndex) -> Vec<Notice> {
        let unknown = |notice: &&Notice| {
            let change = self.membership.recorded(self.me(), notice.sequence);
            change.is_some_and(|change| !self.membership.acknowledged_by(change).contains(adder))
        };
        self.own.iter().filter(unknown).cloned().collect()
    }

    /// Encodes what a joiner needs: the state before my notice that adds it. Call this before [`add`](Self::add).
    pub fn encode_for_joiner(&self, out: &mut Vec<u8>) {
        self.membership.encode(out);
        self.delivered.iter().for_each(|sequence| put_varint(out, *sequence));
    }

    /// The joiner's roster after the notice that adds it, from what [`encode_for_joiner`](Self::encode_for_joiner)
    /// wrote.
    pub fn join(me: MemberId, adder: &MemberId, notice: &Notice, mut state: &[u8]) -> Result<Self, Error> {
        let listed = Reader::new(state).varint()?;
        let membership = Membership::decode(me, &mut state)?;
        let adder = membership.index(adder).ok_or(Error::Malformed)?;
        let i_am_new = MemberIndex(listed) == membership.me();
        if !i_am_new || notice.change != Announced::Add(me) || membership.check_add(adder, &me).is_err() {
            return Err(Error::Malformed);
        }
        let mut roster = Self::of(membership);
        let mut reader = Reader::new(state);
        let (mine, others) = roster.delivered.split_last_mut().ok_or(Error::Malformed)?;
        *mine = 0;
        others.iter_mut().try_for_each(|sequence| reader.varint().map(|delivered| *sequence = delivered))?;
        reader.finish()?;
        if roster.delivered[adder.to_usize()].checked_add(1) != Some(notice.sequence) {
            return Err(Error::Malformed);
        }
        roster.delivered[adder.to_usize()] = notice.sequence;
        roster.membership.add(adder, notice.sequence, me);
        roster.unreported.push((adder, notice.sequence));
        if roster.is_inside() { Ok(roster) } else { Err(Error::Malformed) }
    }

    /// Appends everything, for an export.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut membership = Vec::new();
        self.membership.encode(&mut membership);
        put_prefixed(out, &membership);
        out.extend_from_slice(&self.id(self.me()).0);
        self.delivered.iter().for_each(|sequence| put_varint(out, *sequence));
        put_len(out, self.unreported.len());
        for (author, sequence) in &self.unreported {
            put_varint(out, author.0);
            put_varint(out, *sequence);
        }
        let me = self.me();
        for notices in [self.own.iter().map(|notice| (me, notice)).collect(), self.waiting_by_author()] {
            put_len(out, notices.len());
            for (author, notice) in notices {
                put_varint(out, author.0);
                out.push(notice.adds().into());
                put_prefixed(out, &notice.encode());
            }
        }
    }

    fn waiting_by_author(&self) -> Vec<(MemberIndex, &Notice)> {
        self.waiting.iter().map(|(author, notice)| (*author, notice)).collect()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut state = reader.prefixed()?;
        let me = MemberId(reader.array()?);
        let membership = Membership::decode(me, &mut state)?;
        if !state.is_empty() {
            return Err(Error::Malformed);
        }
        let mut roster = Self::of(membership);
        for delivered in &mut roster.delivered {
            *delivered = reader.varint()?;
        }
        if !roster.is_inside() {
            return Err(Error::Malformed);
        }
        let known = roster.known();
        for _ in 0..reader.count(2)? {
            roster.unreported.push((take_member(reader, known)?, reader.varint()?));
        }
        let mut notices = [Vec::new(), Vec::new()];
        for list in &mut notices {
            for _ in 0..reader.count(3)? {
                let (author, adds) = (take_member(reader, known)?, reader.flag()?);
                list.push((author, Notice::decode(reader.prefixed()?, adds)?));
            }
        }
        let [own, waiting] = notices;
        roster.own = own.into_iter().map(|(_, notice)| notice).collect();
        roster.waiting = waiting;
        Ok(roster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MemberId = MemberId([1; 32]);
    const B: MemberId = MemberId([2; 32]);
    const C: MemberId = MemberId([3; 32]);

    #[test]
    fn a_welcome_in_which_the_joiner_is_known_already_is_refused() {
        let mut adder = Roster::found(B, A, &[B]).unwrap();
        let mut state = Vec::new();
        adder.encode_for_joiner(&mut state);
        let notice = adder.add(&C).unwrap();
        let joiner = Roster::join(C, &B, &notice, &state).unwrap();

        let mut state = Vec::new();
        joiner.encode_for_joiner(&mut state);
        let another = Notice { sequence: 2, dependencies: Vec::new(), change: Announced::Add(C) };
        assert!(Roster::join(C, &A, &another, &state).is_err());
    }
}
