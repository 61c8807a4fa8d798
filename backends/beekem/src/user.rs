//! A user as a member of a group.

use beekem::operation::{CgkaChange, CgkaOperation};
use keyhive_crypto::verified::Verified;
use protocol::crypto::count::{self, Counted};
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{
    Backend, Capabilities, Context, Description, Event, Fingerprints, Incoming, Member, NewUser, Ordering, Outgoing,
    Received, Recipients,
};
use protocol::operation::{Expected, Operation};
use protocol::wire::codec::{Reader, put_len, put_prefixed};
use rand_core::CryptoRng;

use crate::bundle::{Secrets, prekey_of};
use crate::codec::{self, Change, Message};
use crate::costs;
use crate::ed25519::Key;
use crate::group::{Entry, Group};

/// Operations that wait for the one that adds their receiver.
const MAX_EARLY: usize = 1 << 13;
const MAX_EARLY_BYTES: usize = 1 << 23;

/// BeeKEM, with a tree in one of two conditions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BeeKem {
    /// Only those that have had a reason to update have done so. The tree of a new group is blank but for its creator's path.
    Fresh,
    /// Everybody updates with each message until it has read one of everybody else. After a conversation, in which everybody
    /// speaks once, no node of the tree is blank.
    Full,
}

impl BeeKem {
    fn user(self, id: MemberId, stolen: bool, stage: Stage) -> User {
        User { id, full: self == Self::Full, stolen, stage }
    }

    /// Decodes an export. It repeats what has led to the state.
    fn revive(self, state: &[u8], stolen: bool) -> Result<Box<dyn Member>, Error> {
        let (id, stage) = count::uncounted(|| decode(state)).map_err(|_| Error::BadExport)?;
        Ok(Box::new(self.user(id, stolen, stage)))
    }
}

impl Backend for BeeKem {
    fn description(&self) -> Description {
        Description {
            name: "beekem",
            variant: match self {
                Self::Fresh => "fresh",
                Self::Full => "full",
            },
            summary: match self {
                Self::Fresh => "BeeKEM, a TreeKEM for causal order, on the tree of a new group",
                Self::Full => "BeeKEM, a TreeKEM for causal order, on a tree in which everybody has updated",
            },
            capabilities: Capabilities {
                concurrent_operations: true,
                pcs_update: true,
                forward_secrecy: false,
                signed: "every operation, and by this adapter prekeys and application messages",
                ordering: Ordering::Causal,
                deterministic: true,
                public_randomness: &[],
                threads: false,
                counted: Counted::PublicKey,
            },
            adapts: Some("beekem 0.7.0"),
            caveats: &[
                "it expects causal order, for which this adapter holds back what comes too early",
                "it has no application messages: they are this adapter's, as is the update after each add and removal, without \
                 which there is no common key",
                "a joiner gets all earlier operations, and can read what was sent before it joined",
                "X25519 comes from a crate of this project that stands in for x25519-dalek 2 and counts; the check of each key \
                 that is decoded counts as a key agreement",
                "it is built without its feature `std`, so that its maps have the same order in each process",
                "a state is restored by repeating what has led to it, which is not counted",
            ],
            growth: match self {
                Self::Fresh => &["update sender bytes linear", "update sender public-key linear"],
                Self::Full => &["update sender bytes logarithmic", "update sender public-key logarithmic"],
            },
        }
    }

    fn new_user(&self, _one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let secrets = Secrets::generate(rng);
        let (id, bundle) = (secrets.id(), secrets.bundle());
        let member = self.user(id, false, Stage::Outside(Box::new(secrets), Vec::new()));
        NewUser { id, member: Box::new(member), bundle, one_time: Vec::new() }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        self.revive(state, false)
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        self.revive(state, true)
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        costs::expected(*self, operation, group_size)
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
    id: MemberId,
    /// Whether it updates with its messages until it has read one of everybody else.
    full: bool,
    /// In the hands of a thief.
    stolen: bool,
    stage: Stage,
}

#[derive(Clone)]
enum Stage {
    Outside(Box<Secrets>, Vec<Early>),
    Inside(Box<(Secrets, Group)>),
    /// A removed member has no secrets.
    Removed(GroupId),
}

/// What has arrived before its receiver can join by it.
#[derive(Clone)]
struct Early {
    group: GroupId,
    author: MemberId,
    /// Operations whose signatures are valid, or none for an application message.
    changes: Vec<Change>,
    bytes: Vec<u8>,
}

fn to_all(kind: &'static str, change: &Verified<CgkaOperation>) -> Outgoing {
    Outgoing { to: Recipients::Everyone, kind, bytes: codec::encode(change) }
}

fn draw(context: &mut Context<'_>) -> [u8; 32] {
    let mut seed = [0; 32];
    context.rng.fill_bytes(&mut seed);
    seed
}

impl User {
    fn inside(&mut self) -> Result<(&Secrets, &mut Group), Error> {
        match &mut self.stage {
            Stage::Inside(_) if self.stolen => Err(Error::Unsupported),
            Stage::Inside(inside) if inside.1.is_mine() => Ok((&inside.0, &mut inside.1)),
            _ => Err(Error::NotInGroup),
        }
    }

    /// Receives a message before there is a group. Joins as soon as there is everything that leads to the operation that adds
    /// this user.
    fn receive_outside(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let id = self.id;
        let Stage::Outside(secrets, early) = &mut self.stage else { return Err(Error::Internal) };
        if message.author == id && !self.stolen {
            return Err(Error::WrongAuthor);
        }
        let Incoming { group, author, bytes } = *message;
        let is_same = |it: &Early| it.group == group && it.author == author && it.bytes == bytes;
        if early.iter().any(is_same) {
            return Ok(Received::default());
        }
        let changes = match codec::decode(&group, &author, bytes)? {
            Message::Change(change) => vec![change],
            Message::Welcome(changes) => changes,
            Message::Text(_) => Vec::new(),
        };
        let adds_me = |change: &&Change| matches!(&change.payload().change, CgkaChange::Add { added_id, .. } if added_id.to_bytes() == id.0);
        let of_group = || early.iter().filter(|it| it.group == group).flat_map(|it| &it.changes).chain(&changes);
        let mut joined = None;
        if let Some(add) = of_group().find(adds_me) {
            let mut new = Group::new(group, secrets)?;
            for change in of_group() {
                new.take(change.clone())?;
            }
            if new.is_mine() {
                let inviter = MemberId(add.issuer().to_bytes());
                if !(context.confirm_inviter)(&inviter) {
                    return Err(Error::InviterNotConfirmed);
                }
                joined = Some((inviter, new));
            }
        }
        let Some((inviter, new)) = joined else {
            let size: usize = early.iter().map(|it| it.bytes.len()).sum();
            if early.len() >= MAX_EARLY || size + bytes.len() > MAX_EARLY_BYTES {
                return Err(Error::QueueFull);
            }
            early.push(Early { group, author, changes, bytes: bytes.to_vec() });
            return Ok(Received::default());
        };
        let early = core::mem::take(early);
        self.stage = Stage::Inside(Box::new((Secrets::clone(secrets), new)));
        let mut events = vec![Event::Joined { inviter }];
        for Early { author, bytes, .. } in early.iter().filter(|it| it.group == group && it.changes.is_empty()) {
            let early = Incoming { group, author: *author, bytes };
            events.extend(self.receive_inside(&early).unwrap_or_default().events);
        }
        Ok(Received { outgoing: Vec::new(), events })
    }

    fn receive_inside(&mut self, message: &Incoming<'_>) -> Result<Received, Error> {
        let (me, stolen) = (self.id, self.stolen);
        let Stage::Inside(inside) = &mut self.stage else { return Ok(Received::default()) };
        let group = &mut inside.1;
        if message.group != group.id {
            return Err(Error::WrongGroup);
        }
        let own = message.author == me && !stolen;
        let was_mine = group.is_mine();
        let events = match codec::decode(&message.group, &message.author, message.bytes)? {
            Message::Text(text) if own && text.counter < group.sent => Vec::new(),
            Message::Text(text) if !own => group.read(message.author, text)?,
            Message::Change(change) if own && group.has(&change) => Vec::new(),
            Message::Change(change) if !own => group.take(change)?,
            // What a welcome holds arrives in other ways too.
            Message::Welcome(_) => Vec::new(),
            Message::Text(_) | Message::Change(_) => return Err(Error::WrongAuthor),
        };
        if was_mine && !group.is_mine() && !stolen {
            self.stage = Stage::Removed(message.group);
        }
        Ok(Received { outgoing: Vec::new(), events })
    }
}

fn decode(state: &[u8]) -> Result<(MemberId, Stage), Error> {
    let mut reader = Reader::new(state);
    let id = MemberId(reader.array()?);
    let stage = match reader.byte()? {
        0 => {
            let secrets = take_secrets(&mut reader)?;
            let mut early = Vec::new();
            for _ in 0..reader.count(1)? {
                let (group, author) = (GroupId(reader.array()?), MemberId(reader.array()?));
                let bytes = reader.prefixed()?;
                let changes = match codec::decode(&group, &author, bytes)? {
                    Message::Change(change) => vec![change],
                    Message::Welcome(changes) => changes,
                    Message::Text(_) => Vec::new(),
                };
                early.push(Early { group, author, changes, bytes: bytes.to_vec() });
            }
            Stage::Outside(Box::new(secrets), early)
        }
        1 => {
            let secrets = take_secrets(&mut reader)?;
            let group = take_group(&mut reader, &secrets)?;
            Stage::Inside(Box::new((secrets, group)))
        }
        2 => Stage::Removed(GroupId(reader.array()?)),
        _ => return Err(Error::Malformed),
    };
    reader.finish()?;
    Ok((id, stage))
}

fn put_secrets(out: &mut Vec<u8>, secrets: &Secrets) {
    out.extend_from_slice(&secrets.signing.to_bytes());
    out.extend_from_slice(&secrets.prekey.to_bytes());
}

fn take_secrets(reader: &mut Reader<'_>) -> Result<Secrets, Error> {
    Ok(Secrets::of(reader.array()?, reader.array()?))
}

fn put_group(out: &mut Vec<u8>, group: &Group) {
    out.extend_from_slice(&group.id.0);
    put_len(out, group.log.len());
    for entry in &group.log {
        match entry {
            Entry::Add(user, key) => out.extend([&[0][..], &user.0, key].concat()),
            Entry::Remove(user) => out.extend([&[1][..], &user.0].concat()),
            Entry::Rotate(seed) => out.extend([&[2][..], seed].concat()),
            Entry::Received(change) => {
                out.push(3);
                put_prefixed(out, &codec::encode(change));
            }
        }
    }
    group.encode_messages(out);
}

fn take_group(reader: &mut Reader<'_>, secrets: &Secrets) -> Result<Group, Error> {
    let mut group = Group::new(GroupId(reader.array()?), secrets)?;
    for _ in 0..reader.count(1)? {
        let entry = match reader.byte()? {
            0 => Entry::Add(MemberId(reader.array()?), reader.array()?),
            1 => Entry::Remove(MemberId(reader.array()?)),
            2 => Entry::Rotate(reader.array()?),
            3 => Entry::Received(codec::change(&group.id, reader.prefixed()?)?.0),
            _ => return Err(Error::Malformed),
        };
        group.repeat(&entry, &secrets.signing)?;
    }
    group.decode_messages(reader)?;
    Ok(group)
}

impl Member for User {
    fn id(&self) -> MemberId {
        self.id
    }

    fn group(&self) -> Option<GroupId> {
        match &self.stage {
            Stage::Outside(..) => None,
            Stage::Inside(inside) => inside.1.is_mine().then_some(inside.1.id),
            Stage::Removed(group) => Some(*group),
        }
    }

    fn members(&self) -> Vec<MemberId> {
        match &self.stage {
            Stage::Inside(inside) if inside.1.is_mine() || self.stolen => inside.1.members().iter().copied().collect(),
            _ => Vec::new(),
        }
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let Stage::Outside(secrets, _) = &self.stage else { return Err(Error::AlreadyInGroup) };
        let mut named = std::collections::BTreeSet::from([self.id]);
        if !others.iter().all(|user| named.insert(*user)) {
            return Err(Error::AlreadyAMember);
        }
        let prekeys: Option<Vec<_>> =
            others.iter().map(|user| Some((*user, prekey_of(user, context.directory)?))).collect();
        let prekeys = prekeys.ok_or(Error::NoBundle)?;
        let tree = Key::from_bytes(&draw(context));
        let mut group = Group::new(GroupId(tree.public()), secrets)?;
        let mut changes = vec![group.add(self.id, secrets.prekey.share_key(), &secrets.signing)?];
        for (user, key) in prekeys {
            changes.push(group.add(user, key, &secrets.signing)?);
        }
        changes.push(group.rotate(draw(context), &secrets.signing)?);
        self.stage = Stage::Inside(Box::new((Secrets::clone(secrets), group)));
        Ok(changes.iter().map(|change| to_all("create", change)).collect())
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let (secrets, group) = self.inside()?;
        if group.knows(user) {
            return Err(Error::AlreadyAMember);
        }
        let key = prekey_of(user, context.directory).ok_or(Error::NoBundle)?;
        let history = group.history()?;
        let added = group.add(*user, key, &secrets.signing)?;
        let rotated = group.rotate(draw(context), &secrets.signing)?;
        let bytes = codec::welcome(&group.id, &history, &secrets.signing);
        let welcome = Outgoing { to: Recipients::One(*user), kind: "welcome", bytes };
        Ok(vec![to_all("add", &added), to_all("update", &rotated), welcome])
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let me = self.id;
        let (secrets, group) = self.inside()?;
        if *user == me {
            return Err(Error::RemovesItself);
        }
        if !group.members().contains(user) {
            return Err(Error::NotAMember);
        }
        let removed = group.remove(user, &secrets.signing)?;
        let rotated = group.rotate(draw(context), &secrets.signing)?;
        Ok(vec![to_all("remove", &removed), to_all("update", &rotated)])
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let (secrets, group) = self.inside()?;
        let rotated = group.rotate(draw(context), &secrets.signing)?;
        Ok(vec![to_all("update", &rotated)])
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let full = self.full;
        let (secrets, group) = self.inside()?;
        let mut outgoing = Vec::new();
        if full && !group.has_read_all() {
            let rotated = group.rotate(draw(context), &secrets.signing)?;
            outgoing.push(to_all("update", &rotated));
        }
        let (rotated, bytes) = group.write(plaintext, draw(context), &secrets.signing)?;
        outgoing.extend(rotated.map(|change| to_all("update", &change)));
        outgoing.push(Outgoing { to: Recipients::Everyone, kind: "message", bytes });
        Ok(outgoing)
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        match &self.stage {
            Stage::Outside(..) => self.receive_outside(message, context),
            Stage::Inside(_) => self.receive_inside(message),
            Stage::Removed(group) if *group != message.group => Err(Error::WrongGroup),
            Stage::Removed(_) => Ok(Received::default()),
        }
    }

    fn fingerprints(&self) -> Option<Fingerprints> {
        None
    }

    fn conflicts(&self) -> Option<usize> {
        match &self.stage {
            Stage::Inside(inside) => inside.1.conflicts(),
            _ => None,
        }
    }

    fn export(&self) -> Vec<u8> {
        let mut out = self.id.0.to_vec();
        match &self.stage {
            Stage::Outside(secrets, early) => {
                out.push(0);
                put_secrets(&mut out, secrets);
                put_len(&mut out, early.len());
                for Early { group, author, bytes, .. } in early {
                    out.extend([group.0, author.0].concat());
                    put_prefixed(&mut out, bytes);
                }
            }
            Stage::Inside(inside) => {
                out.push(1);
                put_secrets(&mut out, &inside.0);
                put_group(&mut out, &inside.1);
            }
            Stage::Removed(group) => out.extend([&[2][..], &group.0].concat()),
        }
        out
    }

    fn duplicate(&self) -> Box<dyn Member> {
        Box::new(self.clone())
    }
}
