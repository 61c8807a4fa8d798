//! The encoded form of a [`Membership`]: a welcome carries it, and a member's exported state contains it.
//!
//! | field | form |
//! |---|---|
//! | ids | count, then 32 bytes each, in order of index |
//! | founders | count; they come first among the ids, the creator before the others |
//! | records | count; CREATE first |
//! | CREATE | who has acknowledged it: a set, relative to all users |
//! | each other | author, number, subject × 2 (+ 1 for a remove); |
//! | | who has acknowledged it: a set, relative to that of the record before; |
//! | | what the author had not acknowledged: the number of the last records, and a list of others |
//!
//! Numbers are LEB128 varints in their shortest form. A list is a count and ascending numbers; from each but the first,
//! its predecessor and one are subtracted. A set is a list with its count doubled: the list of its members, or (doubled
//! count + 1) of those in which it differs from its reference set, if that list is no longer. A settled record has been
//! acknowledged by all except those who were removed before, like the record before it: so a set usually takes one
//! byte. Views are not encoded but computed.

use super::limits::Limits;
use super::set::{ChangeIndex, ChangeSet, MemberIndex, MemberSet};
use super::{CREATE_NUMBER, CREATOR, Change, Membership, Record};
use crate::error::Error;
use crate::id::{MEMBER_ID_LEN, MemberId};
use crate::wire::codec::{Reader, put_varint};

/// The greatest number of users ever known times records. More would take over 128 MiB to store who has acknowledged
/// what, for an input that may be small.
const MAX_ACKNOWLEDGEMENTS: u64 = 1 << 30;
/// The length of the shortest record other than CREATE, in bytes.
const MIN_RECORD_LEN: usize = 6;

impl Membership {
    /// Appends the state: about 32 bytes for each user ever known, and about eight for each settled change. Equal
    /// states have equal forms, and [`decode`](Self::decode) gives an equal state to the same member.
    ///
    /// It does not say who *me* is: a welcome is the inviter's state before the add.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.known.len() as u64);
        self.known.iter().for_each(|known| out.extend_from_slice(&known.id.0));
        let everybody = MemberSet::first(self.known.len());
        let mut reference = &everybody;
        put(out, self.founders.len() as u64);
        put(out, self.records.len() as u64);
        for (position, record) in self.records.iter().enumerate() {
            let subject = match record.change {
                Change::Create => None,
                Change::Add(user) => Some(u64::from(user.0) << 1),
                Change::Remove(target) => Some(u64::from(target.0) << 1 | 1),
            };
            if let Some(subject) = subject {
                put(out, record.author.0.into());
                put(out, record.number.into());
                put(out, subject);
            }
            put_set(out, &record.acknowledged_by, reference);
            reference = &record.acknowledged_by;
            if subject.is_some() {
                put(out, (position - record.author_had_acknowledged.below()) as u64);
                let missing = record.author_had_acknowledged.missing();
                put(out, missing.len() as u64);
                put_ascending(out, missing.iter().copied());
            }
        }
    }

    /// Reads the state from the front of `input`, for `me`. A user that was just invited is not in it: it gets the next
    /// index, and becomes a member by [`add`](Self::add).
    ///
    /// The writer of the state decides what is in it. Decoding checks that each change keeps the rules, as far as that
    /// takes no views: indices exist, authors and targets had been added as far as the author knew, and numbers ascend.
    /// Use this only for a member's own state: time and memory can be far beyond what the length of the input suggests.
    ///
    /// # Errors
    /// [`Error::Malformed`] if that is no such state in its only form, or if the number of users ever known times that
    /// of changes is over 2^30. `input` is then unchanged.
    pub fn decode(me: MemberId, input: &mut &[u8]) -> Result<Self, Error> {
        Self::decode_within(me, input, &Limits::OWN)
    }

    /// Like [`decode`](Self::decode), for a state that comes from somebody else.
    ///
    /// # Errors
    /// [`Error::Malformed`], also if the state exceeds the limits. `input` is then unchanged.
    pub fn decode_within(me: MemberId, input: &mut &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut rest = *input;
        let membership = read(me, &mut rest, limits).ok_or(Error::Malformed)?;
        *input = rest;
        Ok(membership)
    }

    /// The users in a state, without the rest of it.
    ///
    /// # Errors
    /// [`Error::Malformed`], if that can be seen without the rest.
    pub fn users_in(mut state: &[u8], limits: &Limits) -> Result<Vec<MemberId>, Error> {
        take_users(&mut state, limits).ok_or(Error::Malformed)
    }

    /// Whether [`decode_within`](Self::decode_within) would accept this state for a user that is not in it.
    #[must_use]
    pub fn is_within(&self, limits: &Limits) -> bool {
        let reach = self.removes.iter().map(|remove| self.reach(*remove)).sum();
        self.known.len() <= limits.known
            && self.records.len() <= limits.records
            && self.steps(self.known.len() + 1, reach) <= limits.steps
    }

    /// How often changes are looked at, at most, to compute all views: for each user every record, and the adds that
    /// removes follow.
    fn steps(&self, users: usize, reach: u64) -> u64 {
        (users as u64).saturating_mul(reach.saturating_add(self.records.len() as u64))
    }

    /// The number of adds that a remove follows to find whom it removes; 0 if it removes only its target.
    fn reach(&self, remove: ChangeIndex) -> u64 {
        let Some(record) = self.records.get(remove.to_usize()).filter(|record| record.removes.len() > 1) else {
            return 0;
        };
        let adds = |member: MemberIndex| {
            let founders = if member == CREATOR { self.founders.len() } else { 0 };
            founders + self.known.get(member.to_usize()).map_or(0, |known| known.authored_adds.len())
        };
        record.removes.iter().map(|member| adds(member) as u64).sum()
    }
}

fn take_users(input: &mut &[u8], limits: &Limits) -> Option<Vec<MemberId>> {
    let count = take_count(input, MEMBER_ID_LEN)?;
    (count <= limits.known).then_some(())?;
    (0..count).map(|_| Some(MemberId(input.split_off(..MEMBER_ID_LEN)?.try_into().ok()?))).collect()
}

fn read(me: MemberId, input: &mut &[u8], limits: &Limits) -> Option<Membership> {
    let mut membership = Membership::empty();
    let users = take_users(input, limits)?;
    let count = users.len();
    for (position, id) in users.into_iter().enumerate() {
        (membership.introduce(id).to_usize() == position).then_some(())?;
    }
    membership.me = membership.introduce(me);

    let everybody = MemberSet::first(count);
    let founders = usize::try_from(take(input)?).ok()?;
    (1..=count).contains(&founders).then_some(())?;
    membership.founders = MemberSet::first(founders);
    let others = usize::try_from(take(input)?).ok()?.checked_sub(1)?;
    let acknowledgements = (others as u64 + 1) * count as u64;
    let allowed = others <= input.len() / MIN_RECORD_LEN
        && others < limits.records
        && acknowledgements <= MAX_ACKNOWLEDGEMENTS.min(limits.steps);
    allowed.then_some(())?;

    let acknowledged_by = take_set(input, &everybody, count)?;
    let create = Record {
        author: CREATOR,
        number: CREATE_NUMBER,
        change: Change::Create,
        acknowledged_by,
        author_had_acknowledged: ChangeSet::default(),
        removes: MemberSet::new(),
    };
    read_on(&mut membership, create, others)?;
    for later in (0..others).rev() {
        let record = take_record(&membership, input, count)?;
        read_on(&mut membership, record, later)?;
    }

    // Every user is known by an add, and I have acknowledged all that I know.
    for member in everybody.iter() {
        let added = !membership.known.get(member.to_usize())?.adds.is_empty();
        let allowed = if member == membership.me { !added || membership.has_acknowledged_all(member) } else { added };
        allowed.then_some(())?;
    }

    let mut reach = 0_u64;
    for remove in membership.removes.clone() {
        membership.update_removal(remove);
        reach += membership.reach(remove);
        (membership.steps(membership.known.len(), reach) <= limits.steps).then_some(())?;
    }
    let view = membership.members(|_| true);
    membership.set_view(membership.me, view.into());
    for member in everybody.iter().filter(|&member| member != membership.me).collect::<Vec<_>>() {
        let view = membership.view_by_definition(member);
        membership.set_view(member, view);
    }
    Some(membership)
}

/// Inserts a record that `later` others follow; `None` if its author has not acknowledged it. Acknowledgements are
/// counted by the differences between one record and the next, so that this takes no longer than reading them.
fn read_on(membership: &mut Membership, record: Record, later: usize) -> Option<()> {
    record.acknowledged_by.contains(record.author).then_some(())?;
    let nobody = MemberSet::new();
    let before = membership.records.last().map_or(&nobody, |before| &before.acknowledged_by);
    for member in record.acknowledged_by.symmetric_difference(before).iter() {
        let known = membership.known.get_mut(member.to_usize())?;
        // Having acknowledged this record, it counts as having acknowledged all later ones, until one says otherwise.
        if record.acknowledged_by.contains(member) {
            known.acknowledged += later + 1;
        } else {
            known.acknowledged -= later + 1;
        }
    }
    membership.insert(record);
    Some(())
}

/// Reads any record but CREATE.
fn take_record(membership: &Membership, input: &mut &[u8], members: usize) -> Option<Record> {
    let position = membership.records.len();
    let author = take_member(input, members)?;
    let number = u32::try_from(take(input)?).ok()?;
    let subject = take(input)?;
    let (is_remove, subject) = (subject & 1 == 1, subject >> 1);
    let subject = MemberIndex(u32::try_from(subject).ok()?);
    (subject.to_usize() < members && subject != author).then_some(())?;
    let change = if is_remove { Change::Remove(subject) } else { Change::Add(subject) };
    let acknowledged_by = take_set(input, &membership.records.last()?.acknowledged_by, members)?;

    let below = position.checked_sub(usize::try_from(take(input)?).ok()?)?;
    let missing = take_count(input, 1)?;
    let missing = take_ascending(input, missing, below)?;
    let author_had_acknowledged = ChangeSet::from_parts(ChangeIndex::from_usize(below).0, missing)?;

    // What every member checks of a change, as far as it does not take the author's view.
    let knows_add_of = |user: MemberIndex| {
        let adds = membership.known.get(user.to_usize()).map_or(&[][..], |known| &known.adds);
        let mut known = adds.iter().take_while(|add| add.to_usize() < author_had_acknowledged.below());
        known.any(|add| author_had_acknowledged.contains(add.to_usize()))
    };
    (knows_add_of(author) && knows_add_of(subject) == is_remove).then_some(())?;
    // The author's messages are in order, and it had acknowledged its own earlier changes.
    let earlier = membership.by_message.range((author, 0)..=(author, u32::MAX)).next_back();
    let in_order = earlier.map_or(number > 0, |((_, last), record)| {
        *last < number && author_had_acknowledged.contains(record.to_usize())
    });
    in_order.then_some(())?;
    Some(Record { author, number, change, acknowledged_by, author_had_acknowledged, removes: MemberSet::new() })
}

/// Every number fits: what a message can carry bounds the number of users ever known.
fn put(out: &mut Vec<u8>, number: u64) {
    put_varint(out, u32::try_from(number).unwrap_or(u32::MAX));
}

fn take(input: &mut &[u8]) -> Option<u64> {
    let mut reader = Reader::new(input);
    let number = reader.varint().ok()?;
    *input = reader.remaining();
    Some(number.into())
}

/// A count of items that take at least `len` bytes each; `None` if they do not fit into what is left.
fn take_count(input: &mut &[u8], len: usize) -> Option<usize> {
    let count = usize::try_from(take(input)?).ok()?;
    (count <= input.len() / len).then_some(count)
}

fn take_member(input: &mut &[u8], members: usize) -> Option<MemberIndex> {
    let member = MemberIndex(u32::try_from(take(input)?).ok()?);
    (member.to_usize() < members).then_some(member)
}

fn put_ascending(out: &mut Vec<u8>, numbers: impl Iterator<Item = u32>) {
    let mut least = 0;
    for number in numbers {
        put(out, u64::from(number) - least);
        least = u64::from(number) + 1;
    }
}

/// Reads `count` ascending numbers below `end`. The caller has checked that `count` does not exceed the bytes left.
fn take_ascending(input: &mut &[u8], count: usize, end: usize) -> Option<Vec<u32>> {
    let mut numbers = Vec::with_capacity(count);
    let mut least = 0_u64;
    for _ in 0..count {
        let number = least + take(input)?;
        (number < end as u64).then_some(())?;
        numbers.push(u32::try_from(number).ok()?);
        least = number + 1;
    }
    Some(numbers)
}

fn put_set(out: &mut Vec<u8>, set: &MemberSet, reference: &MemberSet) {
    let difference = set.symmetric_difference(reference);
    let differs = difference.len() <= set.len();
    let listed = if differs { &difference } else { set };
    put(out, (listed.len() as u64) << 1 | u64::from(differs));
    put_ascending(out, listed.iter().map(|member| member.0));
}

fn take_set(input: &mut &[u8], reference: &MemberSet, members: usize) -> Option<MemberSet> {
    let header = take(input)?;
    let (differs, count) = (header & 1 == 1, usize::try_from(header >> 1).ok()?);
    (count <= input.len()).then_some(())?;
    let listed: MemberSet = take_ascending(input, count, members)?.into_iter().map(MemberIndex).collect();
    let other = listed.symmetric_difference(reference);
    let canonical = if differs { count <= other.len() } else { count < other.len() };
    canonical.then_some(if differs { other } else { listed })
}
