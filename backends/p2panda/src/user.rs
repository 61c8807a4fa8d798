//! Backend and member.

use std::collections::BTreeSet;

use p2panda_core::cbor::encode_cbor;
use p2panda_encryption::key_manager::KeyManagerState;
use protocol::crypto::count::Counted;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{
    Backend, Capabilities, Context, Description, Fingerprints, Incoming, Member, NewUser, Ordering, Outgoing, Received,
};
use protocol::operation::{Expected, Operation};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::group::Group;
use crate::ids::Id;
use crate::keys::{self, NewKeys};
use crate::layer::Kind;
use crate::wire::{self, Change, Message};

/// Messages that wait for an invitation, and their bytes.
const MAX_EARLY: usize = 4096;
const MAX_EARLY_BYTES: usize = 1 << 24;

const UNSIGNED: &str = "the layer above, which signs operations and names them by hashes, is left out";
const ENCODING: &str = "one broadcast holds a control message and all its direct messages, in p2panda's CBOR: names of fields \
                        take nearly half of a warm ciphertext, and a cold one is an array of numbers, 1.9 bytes for each byte";
const ORDER: &str = "numbers and order of messages are this adapter's: the crate has an orderer for its tests alone, in which \
                     each message names all earlier ones";
const MEMBERSHIP: &str = "who is a member is computed by this project's own code: the crate has that for its tests alone, where \
                          a welcome to a group of n names n times n ids";
const REMOVALS: &str = "the crate records no acknowledgement of a removal, as it asks for one that adds and removes, and keeps \
                        the channels to removed members";
const PREKEYS: &str = "the signature of a prekey covers neither its lifetime nor one-time prekeys, and verifies with its top bit \
                       flipped; this adapter fixes the lifetime";
const COPIES: &str = "the crate consumes a state even if a call fails, so a call that can fail works on a copy: tens of \
                      microseconds in a group of 128";
const TEST_FEATURE: &str = "built with the crate's feature for tests, without which it takes no seed and its states cannot be \
                            copied; its HPKE takes no seed at all";
const RATCHETS: &str =
    "application messages use the crate's ratchets, which this adapter puts beside the key agreement";

const GROUP_CAVEATS: [&str; 8] = [UNSIGNED, ENCODING, ORDER, MEMBERSHIP, REMOVALS, PREKEYS, COPIES, TEST_FEATURE];
const DCGKA_CAVEATS: [&str; 9] =
    [UNSIGNED, RATCHETS, ENCODING, ORDER, MEMBERSHIP, REMOVALS, PREKEYS, COPIES, TEST_FEATURE];

/// p2panda's encryption of messages, through one of two layers of the crate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum P2panda {
    /// The crate's groups.
    Group,
    /// Its key agreement alone.
    Dcgka,
}

impl P2panda {
    fn kind(self) -> Kind {
        match self {
            Self::Group => Kind::Group,
            Self::Dcgka => Kind::Dcgka,
        }
    }

    fn member(self, state: State, stolen: bool) -> Box<dyn Member> {
        let State { id, mut stage } = state;
        if let Stage::Inside(group) = &mut stage {
            group.stolen = stolen;
        }
        Box::new(User { kind: self.kind(), stolen, state: State { id, stage } })
    }
}

impl Backend for P2panda {
    fn description(&self) -> Description {
        let (variant, summary, caveats) = match self {
            Self::Group => ("group", "DCGKA of p2panda, with its groups and message ratchets", &GROUP_CAVEATS[..]),
            Self::Dcgka => ("dcgka", "DCGKA of p2panda, its key agreement alone", &DCGKA_CAVEATS[..]),
        };
        Description {
            name: "p2panda",
            variant,
            summary,
            capabilities: Capabilities {
                concurrent_operations: true,
                pcs_update: true,
                forward_secrecy: true,
                signed: "",
                ordering: Ordering::Causal,
                deterministic: false,
                public_randomness: &[],
                threads: false,
                counted: Counted::Nothing,
            },
            adapts: Some("p2panda-encryption 0.7.1"),
            caveats,
            growth: &["update sender bytes linear", "update recipient bytes constant"],
        }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let rng = keys::rng(rng);
        match NewKeys::generate(one_time_prekeys, &rng) {
            Some(NewKeys { id, keys, bundle, one_time }) => {
                let state = State { id, stage: Stage::Outside(Box::new(keys), Vec::new()) };
                NewUser { id: id.member(), member: self.member(state, false), bundle, one_time }
            }
            // The clock is wrong by decades, so that no prekey is valid: a user whom nobody can invite.
            None => {
                let id = Id([0; 32]);
                let member = self.member(State { id, stage: Stage::Removed(id) }, false);
                NewUser { id: id.member(), member, bundle: Vec::new(), one_time: Vec::new() }
            }
        }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        wire::decode_all(state).map(|state| self.member(state, false)).map_err(|_| Error::BadExport)
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        wire::decode_all(state).map(|state| self.member(state, true)).map_err(|_| Error::BadExport)
    }

    fn expected(&self, _operation: Operation, _group_size: usize) -> Option<Expected> {
        None
    }

    fn has(&self, operation: Operation, group_size: usize) -> bool {
        match operation {
            Operation::CreateMesh => false,
            Operation::MessageAfterRemove => group_size > 1,
            _ => true,
        }
    }
}

#[derive(Clone)]
struct User {
    kind: Kind,
    /// In the hands of a thief.
    stolen: bool,
    state: State,
}

/// What is exported.
#[derive(Clone, Serialize, Deserialize)]
struct State {
    id: Id,
    stage: Stage,
}

#[derive(Clone, Serialize, Deserialize)]
enum Stage {
    Outside(Box<KeyManagerState>, Vec<Early>),
    Inside(Box<Group>),
    /// A removed member has no secrets.
    Removed(Id),
}

/// What has arrived before its receiver was invited.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Early {
    group: Id,
    author: Id,
    bytes: ByteBuf,
}

impl User {
    fn inside(&mut self) -> Result<&mut Group, Error> {
        match &mut self.state.stage {
            Stage::Inside(_) if self.stolen => Err(Error::Unsupported),
            Stage::Inside(group) if group.is_mine() => Ok(group),
            _ => Err(Error::NotInGroup),
        }
    }

    fn receive_outside(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let State { id, stage } = &mut self.state;
        let Stage::Outside(keys, early) = stage else { return Err(Error::Internal) };
        let (group, author) = (Id::from(message.group), Id::from(message.author));
        if author == *id {
            return Err(Error::WrongAuthor);
        }
        let decoded = Message::decode(message.bytes)?;
        let Some(mut joined) = Group::invited((group, *id), (self.kind, keys), author, &decoded)? else {
            return keep(early, Early { group, author, bytes: ByteBuf::from(message.bytes) });
        };
        if !(context.confirm_inviter)(&message.author) {
            return Err(Error::InviterNotConfirmed);
        }
        joined.stolen = self.stolen;
        let mut received = joined.receive(message, context)?;
        if !joined.is_mine() {
            return Err(Error::Malformed);
        }
        for Early { author, bytes, .. } in early.iter().filter(|it| it.group == group) {
            let early = Incoming { group: message.group, author: author.member(), bytes };
            let more = joined.receive(&early, context).unwrap_or_default();
            received.events.extend(more.events);
            received.outgoing.extend(more.outgoing);
        }
        *stage = if joined.is_mine() || self.stolen { Stage::Inside(Box::new(joined)) } else { Stage::Removed(group) };
        Ok(received)
    }

    fn receive_inside(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let State { id, stage } = &mut self.state;
        let Stage::Inside(group) = stage else { return Err(Error::Internal) };
        if message.group != group.id.group() {
            return Err(Error::WrongGroup);
        }
        let received = match Id::from(message.author) == *id {
            true => group.echo(message.bytes, context)?,
            false => group.receive(message, context)?,
        };
        if !group.is_mine() && !self.stolen {
            *stage = Stage::Removed(group.id);
        }
        Ok(received)
    }
}

fn keep(early: &mut Vec<Early>, it: Early) -> Result<Received, Error> {
    if early.contains(&it) {
        return Ok(Received::default());
    }
    let size: usize = early.iter().map(|it| it.bytes.len()).sum();
    if early.len() >= MAX_EARLY || size + it.bytes.len() > MAX_EARLY_BYTES {
        return Err(Error::QueueFull);
    }
    early.push(it);
    Ok(Received::default())
}

impl Member for User {
    fn id(&self) -> MemberId {
        self.state.id.member()
    }

    fn group(&self) -> Option<GroupId> {
        match &self.state.stage {
            Stage::Outside(..) => None,
            Stage::Inside(group) => Some(group.id.group()),
            Stage::Removed(group) => Some(group.group()),
        }
    }

    fn members(&self) -> Vec<MemberId> {
        match &self.state.stage {
            Stage::Inside(group) => group.members().iter().map(|id| id.member()).collect(),
            _ => Vec::new(),
        }
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let State { id, stage } = &mut self.state;
        let Stage::Outside(keys, _) = stage else { return Err(Error::AlreadyInGroup) };
        let others: Vec<Id> = others.iter().map(|user| Id::from(*user)).collect();
        let mut named = BTreeSet::from([*id]);
        if !others.iter().all(|user| named.insert(*user)) {
            return Err(Error::AlreadyAMember);
        }
        let mut group = [0; 32];
        context.rng.fill_bytes(&mut group);
        let keys = KeyManagerState::clone(keys);
        let (group, created) = Group::create((Id(group), *id), (self.kind, keys), others, context)?;
        *stage = Stage::Inside(Box::new(group));
        Ok(vec![created])
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let (group, added) = (self.inside()?, Id::from(*user));
        if group.knows(added) {
            return Err(Error::AlreadyAMember);
        }
        Ok(vec![group.operate(&Change::Add { added }, context)?])
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let (me, removed) = (self.state.id, Id::from(*user));
        let group = self.inside()?;
        if removed == me {
            return Err(Error::RemovesItself);
        }
        if !group.members().contains(&removed) {
            return Err(Error::NotAMember);
        }
        Ok(vec![group.operate(&Change::Remove { removed }, context)?])
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        Ok(vec![self.inside()?.operate(&Change::Update, context)?])
    }

    fn send(&mut self, plaintext: &[u8], _context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        Ok(vec![self.inside()?.write(plaintext)?])
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let received = match &self.state.stage {
            Stage::Outside(..) => self.receive_outside(message, context),
            Stage::Inside(_) => self.receive_inside(message, context),
            Stage::Removed(group) if group.group() != message.group => Err(Error::WrongGroup),
            Stage::Removed(_) => Ok(Received::default()),
        }?;
        let Received { outgoing, events } = received;
        Ok(Received { outgoing: if self.stolen { Vec::new() } else { outgoing }, events })
    }

    fn fingerprints(&self) -> Option<Fingerprints> {
        None
    }

    fn export(&self) -> Vec<u8> {
        encode_cbor(&self.state).unwrap_or_default()
    }

    fn duplicate(&self) -> Box<dyn Member> {
        Box::new(self.clone())
    }
}
