//! Who is a member in whose view: this project's [`Membership`], behind the trait that the crate wants.

use std::collections::HashSet;

use p2panda_encryption::traits::AckedGroupMembership;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::membership::{Change, Limits, MemberIndex, Membership};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::{Id, Op};

/// The number of the message that creates a group.
pub(crate) const CREATE: u32 = 1;
/// What is accepted in a welcome.
const LIMITS: Limits = Limits { known: 1 << 12, records: 1 << 14, steps: 1 << 25 };

/// The crate's name for the implementation of the trait.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Dgm;

/// Who is a member; nobody before the user has joined.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    me: Id,
    membership: Option<Membership>,
}

impl Roster {
    pub(crate) fn new(me: Id) -> Self {
        Self { me, membership: None }
    }

    fn decode(me: Id, mut bytes: &[u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Ok(Self::new(me));
        }
        let membership = Membership::decode_within(me.member(), &mut bytes, &LIMITS)?;
        if bytes.is_empty() { Ok(Self { me, membership: Some(membership) }) } else { Err(Error::Malformed) }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.membership.iter().for_each(|membership| membership.encode(&mut bytes));
        bytes
    }

    /// Everybody who is or was a member, in the same order for all who have this state.
    pub(crate) fn everybody(&self) -> Vec<Id> {
        let of = |membership: &Membership| membership.everybody().map(|user| membership.id(user).into()).collect();
        self.membership.as_ref().map(of).unwrap_or_default()
    }

    fn inside(&mut self) -> Result<&mut Membership, Error> {
        self.membership.as_mut().ok_or(Error::NotInGroup)
    }
}

impl Serialize for Roster {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.me, serde_bytes::Bytes::new(&self.encode())).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Roster {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (me, bytes) = <(Id, serde_bytes::ByteBuf)>::deserialize(deserializer)?;
        Self::decode(me, &bytes).map_err(de::Error::custom)
    }
}

fn index(membership: &Membership, id: Id) -> Result<MemberIndex, Error> {
    membership.index(&id.member()).ok_or(Error::NotAMember)
}

/// Records an acknowledgement. One that breaks a rule, or tells nothing new, has no effect: the crate also acknowledges what
/// it has recorded itself.
fn acknowledge(membership: &mut Membership, member: Id, Op(author, number): Op) {
    if let (Ok(member), Ok(author)) = (index(membership, member), index(membership, author)) {
        membership.acknowledge(member, author, number).unwrap_or_default();
    }
}

impl AckedGroupMembership<Id, Op> for Dgm {
    type State = Roster;
    type Error = Error;

    /// The creator comes first.
    fn create(me: Id, members: &[Id]) -> Result<Roster, Error> {
        let creator = *members.first().ok_or(Error::Malformed)?;
        let ids = members.iter().map(|id| MemberId(id.0));
        let mut membership = Membership::found(me.member(), creator.member(), ids)?;
        // The crate tells of no acknowledgement of a creation.
        for member in members {
            acknowledge(&mut membership, *member, Op(creator, CREATE));
        }
        Ok(Roster { me, membership: Some(membership) })
    }

    fn from_welcome(roster: Roster, welcome: Roster) -> Result<Roster, Error> {
        // Two members have added me at once, and I have joined by the other add.
        if roster.membership.is_some() {
            return Ok(roster);
        }
        Roster::decode(roster.me, &welcome.encode())
    }

    fn add(mut roster: Roster, adder: Id, added: Id, op: Op) -> Result<Roster, Error> {
        let membership = roster.inside()?;
        let author = index(membership, adder)?;
        membership.check_add(author, &added.member()).map_err(|_| Error::AlreadyAMember)?;
        membership.add(author, op.1, added.member());
        // The crate tells of no acknowledgement by the joiner.
        acknowledge(membership, added, op);
        Ok(roster)
    }

    fn remove(mut roster: Roster, remover: Id, removed: &Id, op: Op) -> Result<Roster, Error> {
        let membership = roster.inside()?;
        let (author, target) = (index(membership, remover)?, index(membership, *removed)?);
        membership.check_remove(author, target).map_err(|_| Error::NotAMember)?;
        membership.remove(author, op.1, target);
        Ok(roster)
    }

    fn ack(mut roster: Roster, acker: Id, op: Op) -> Result<Roster, Error> {
        roster.membership.iter_mut().for_each(|membership| acknowledge(membership, acker, op));
        Ok(roster)
    }

    fn members_view(roster: &Roster, viewer: &Id) -> Result<HashSet<Id>, Error> {
        let Some(membership) = &roster.membership else { return Ok(HashSet::new()) };
        let Some(viewer) = membership.index(&viewer.member()) else { return Ok(HashSet::new()) };
        Ok(membership.view(viewer).iter().map(|member| membership.id(member).into()).collect())
    }

    fn is_add(roster: &Roster, op: Op) -> bool {
        matches!(change(roster, op), Some(Change::Add(_)))
    }

    fn is_remove(roster: &Roster, op: Op) -> bool {
        matches!(change(roster, op), Some(Change::Remove(_)))
    }
}

fn change(roster: &Roster, Op(author, number): Op) -> Option<Change> {
    let membership = roster.membership.as_ref()?;
    let recorded = membership.recorded(membership.index(&author.member())?, number)?;
    Some(membership.change(recorded))
}
