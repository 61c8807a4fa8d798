//! A protocol in a crate of its own: a template to copy. The backend is `boxes`, small but complete. A message is a signed
//! envelope with one box for each other member. The box is sealed to the keys that the member has published (X3DH with
//! three key agreements). There is no state to update, so there is neither forward secrecy nor healing. Only one member may
//! change the group at a time.
//!
//! What to replace, in this order:
//!
//! 1. `Boxes`, and the name, summary and capabilities in its `description`: what your protocol is, and what it claims.
//! 2. `User`, `Stage` and `Group`: the state of a member. Begin with `new_user`, `export` and `restore`.
//! 3. The calls of `Member`, in the order `create`, `receive_one`, `send`, `add`, `remove`, `update`. Return
//!    `Error::Unsupported` where your protocol has no such operation.
//! 4. The formulas in `expected`. The tests and the harness name each metric that differs, and the line of the formula.
//!
//! `src/main.rs` names the backend. `tests/template.rs` runs the conformance suite and checks the formulas.
//! `gate.toml` says which costs `gate` guards.

use std::collections::BTreeSet;

use protocol::causal_order::{CausalOrder, Receipt};
use protocol::crypto::count::Counts;
use protocol::crypto::hash::{self, DIGEST_LEN, Digest};
use protocol::crypto::label;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SigningKey, VerificationKey};
use protocol::error::Error;
use protocol::id::{GroupId, HANDLE_LEN, Handle, MEMBER_ID_LEN, MemberId};
use protocol::member::{
    Backend, Capabilities, Context, Description, Event, Incoming, Member, NewUser, Ordering, Outgoing, Received,
    Recipients, Rule,
};
use protocol::operation::{Expected, Operation, Phase, Role};
use protocol::wire::codec::{Reader, put_varint};
use protocol::wire::envelope::{self, Draft, Envelope, Kind, Subject, digest_blocks};
use protocol::x3dh::{self, PrekeySecrets};
use rand_core::CryptoRng;

const CREATE: Kind = Kind(1);
const WELCOME: Kind = Kind(2);
const ADD: Kind = Kind(3);
const REMOVE: Kind = Kind(4);
const MESSAGE: Kind = Kind(5);

/// The backend `boxes`, which has no variants.
pub struct Boxes;

impl Backend for Boxes {
    fn description(&self) -> Description {
        Description {
            name: "boxes",
            variant: "",
            summary: "a box for each member in each message: the template of a backend",
            capabilities: Capabilities {
                concurrent_operations: false,
                pcs_update: false,
                forward_secrecy: false,
                signed: "every message",
                ordering: Ordering::Causal,
                deterministic: true,
                threads: false,
            },
        }
    }

    /// One-time prekeys are not used, so none are published.
    fn new_user(&self, _one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let signing = SigningKey::random(rng);
        let (prekeys, publication) = PrekeySecrets::generate(&signing, 0, rng);
        let id = MemberId(*signing.verification_key().as_bytes());
        let member = Box::new(User { id, signing, prekeys, stage: Stage::Outside });
        NewUser { id, member, bundle: publication.bundle, one_time: Vec::new() }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Ok(Box::new(User::decode(state).map_err(|_| Error::BadExport)?))
    }

    /// The primitive counts and messages that the measured ones must equal.
    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        let n = group_size as u64;
        let blocks = |hash_blocks| Counts { hash_blocks, ..Counts::default() };
        let digest = |body| blocks(digest_blocks(false, false, body));
        let sign = |body| Counts { sign: 1, ..Counts::default() } + digest(body);
        let verify = |body| Counts { verify: 1, ..Counts::default() } + digest(body);
        let handles = |count| count * blocks(hash::blocks_of(label::HANDLE, &[MEMBER_ID_LEN]));
        let group_id = blocks(hash::blocks_of(label::GROUP_ID, &[MEMBER_ID_LEN, DIGEST_LEN]));
        Some(match operation {
            Operation::Create => {
                let body = DIGEST_LEN + (group_size - 1) * MEMBER_ID_LEN;
                let founded = group_id + handles(n);
                Expected::new(
                    vec![("create", 1)],
                    vec![
                        (Role::Sender, Phase::Generate, founded + sign(body)),
                        (Role::Recipient, Phase::Process, (n - 1) * (founded + verify(body))),
                    ],
                )
            }
            Operation::Add => {
                let welcome = (group_size + 1) * (MEMBER_ID_LEN + 1);
                let added = sign(MEMBER_ID_LEN) + handles(1) + sign(welcome);
                let notified = verify(MEMBER_ID_LEN) + handles(1);
                Expected::new(
                    vec![("add", 1), ("welcome", 1)],
                    vec![
                        (Role::Sender, Phase::Generate, added),
                        (Role::Recipient, Phase::Process, (n - 1) * notified),
                        (Role::Joiner, Phase::Process, handles(1) + verify(welcome) + handles(n + 1)),
                    ],
                )
            }
            Operation::Remove => Expected::new(
                vec![("remove", 1)],
                vec![
                    (Role::Sender, Phase::Generate, sign(MEMBER_ID_LEN)),
                    (Role::Recipient, Phase::Process, (n - 2) * verify(MEMBER_ID_LEN)),
                    (Role::Removed, Phase::Process, verify(MEMBER_ID_LEN)),
                ],
            ),
            Operation::Message | Operation::MessageAfterRemove => {
                let others = group_size - 1 - usize::from(operation == Operation::MessageAfterRemove);
                let body = others * (HANDLE_LEN + x3dh::OVERHEAD + 32);
                let bundle = Counts { verify: 1, ..Counts::default() } + blocks(x3dh::bundle_blocks());
                let open = Counts { dh: 3, kdf: x3dh::KDF_CALLS, aead_bytes: 32, ..bundle };
                let seal = Counts { keygen: 1, ..open };
                let others = others as u64;
                Expected::new(
                    vec![("message", 1)],
                    vec![
                        (Role::Sender, Phase::Generate, others * seal + sign(body)),
                        (Role::Recipient, Phase::Process, others * (open + verify(body))),
                    ],
                )
            }
            Operation::CreateMesh | Operation::Update | Operation::UpdateCold => return None,
            Operation::ConcurrentUpdates(_) | Operation::PartitionHeal => return None,
        })
    }
}

#[derive(Clone)]
struct User {
    id: MemberId,
    signing: SigningKey,
    prekeys: PrekeySecrets,
    stage: Stage,
}

#[derive(Clone)]
enum Stage {
    Outside,
    Inside(Group),
    Removed(GroupId),
}

#[derive(Clone)]
struct Group {
    id: GroupId,
    members: BTreeSet<MemberId>,
    /// Checks signatures, drops duplicates, and keeps messages that arrive too early.
    order: CausalOrder,
    number: u32,
}

impl Group {
    /// A group of these members. The number with each is how many of its messages have been delivered.
    fn new(id: GroupId, members: impl IntoIterator<Item = (MemberId, u32)>) -> Result<Self, Error> {
        let mut group = Self { id, members: BTreeSet::new(), order: CausalOrder::default(), number: 0 };
        for (member, delivered) in members {
            group.introduce(member, delivered)?;
        }
        Ok(group)
    }

    fn introduce(&mut self, member: MemberId, delivered: u32) -> Result<(), Error> {
        let key = VerificationKey::from_bytes(&member.0).map_err(|_| Error::NoBundle)?;
        self.order.introduce(member, key, delivered, &self.id);
        self.members.insert(member);
        Ok(())
    }
}

impl User {
    fn inside(&mut self) -> Result<&mut Group, Error> {
        match &mut self.stage {
            Stage::Inside(group) => Ok(group),
            _ => Err(Error::NotInGroup),
        }
    }

    /// Signs my next message, and records it as sent.
    fn broadcast(&mut self, kind: Kind, name: &'static str, body: &[u8]) -> Result<Outgoing, Error> {
        let (id, signing) = (self.id, self.signing.clone());
        let group = self.inside()?;
        let number = group.number.checked_add(1).ok_or(Error::NumbersExhausted)?;
        let draft = Draft { kind, sender: id, number, subject: Subject::None, new_key: None, body };
        let handle = group.order.handle(&id).ok_or(Error::Internal)?;
        let (bytes, digest) = draft.sign(&group.id, handle, None, &signing);
        group.order.sent(&id, number, digest, &signing.verification_key(), None);
        group.number = number;
        Ok(Outgoing { to: Recipients::Everyone, kind: name, bytes })
    }

    /// Processes a message that this user receives before it is in a group. Joins if the message invites the user.
    fn join(&mut self, message: &Incoming<'_>, context: &Context<'_>) -> Result<Received, Error> {
        let envelope = Envelope::decode(message.bytes)?;
        let group = match envelope.kind {
            CREATE => {
                let (nonce, ids) = envelope.body.split_first_chunk::<DIGEST_LEN>().ok_or(Error::Malformed)?;
                let (ids, []) = ids.as_chunks::<MEMBER_ID_LEN>() else { return Err(Error::Malformed) };
                if GroupId::new(&message.author, &Digest(*nonce)) != message.group {
                    return Err(Error::WrongGroup);
                }
                let others = ids.iter().map(|id| (MemberId(*id), 0));
                let mut group = Group::new(message.group, others.chain([(message.author, 0)]))?;
                if group.order.receive(&message.author, &message.group, message.bytes)? != Receipt::Verified {
                    return Err(Error::Malformed);
                }
                // The create counts as delivered.
                group.order.deliver(|_, _| true).ok_or(Error::Malformed)?;
                group
            }
            WELCOME if envelope.sender == message.author.handle() => {
                let key = VerificationKey::from_bytes(&message.author.0).map_err(|_| Error::WrongAuthor)?;
                let digest = envelope.digest(&message.group, &message.author, &Subject::None);
                envelope.verify(&digest, &key)?;
                let mut reader = Reader::new(envelope.body);
                let mut members = Vec::new();
                while !reader.remaining().is_empty() {
                    members.push((MemberId(reader.array()?), reader.varint()?));
                }
                Group::new(message.group, members)?
            }
            // The user is not in the group yet, and ignores its other messages.
            _ => return Ok(Received::default()),
        };
        if !group.members.contains(&self.id) {
            return Ok(Received::default());
        }
        if !(context.confirm_inviter)(&message.author) {
            return Err(Error::InviterNotConfirmed);
        }
        self.stage = Stage::Inside(group);
        Ok(Received { outgoing: Vec::new(), events: vec![Event::Joined { inviter: message.author }] })
    }

    /// Processes a delivered message, whose signature has been checked. A message that breaks a rule has no effect.
    fn process(&mut self, by: MemberId, kind: Kind, body: &[u8], header: &[u8], context: &Context<'_>) -> Event {
        let me = self.id;
        let rejected = |rule| Event::Rejected { from: by, rule };
        let Stage::Inside(group) = &mut self.stage else { return rejected(Rule::AuthorNotAMember) };
        if !group.members.contains(&by) {
            return rejected(Rule::AuthorNotAMember);
        }
        match (kind, body.try_into().map(MemberId)) {
            (ADD, Ok(user)) if group.members.contains(&user) => rejected(Rule::AlreadyAMember),
            (ADD, Ok(user)) => match group.introduce(user, 0) {
                Ok(()) => Event::Added { by, user },
                Err(_) => rejected(Rule::Form),
            },
            (REMOVE, Ok(user)) if user == by => rejected(Rule::RemovesItself),
            (REMOVE, Ok(user)) if !group.members.remove(&user) => rejected(Rule::TargetNotAMember),
            (REMOVE, Ok(user)) => {
                if user == me {
                    self.stage = Stage::Removed(group.id);
                }
                Event::Removed { by, user }
            }
            (MESSAGE, _) => match self.open(&by, body, header, context) {
                Some(plaintext) => Event::Message { from: by, plaintext },
                None => Event::Undecryptable { from: by },
            },
            _ => rejected(Rule::Form),
        }
    }

    fn open(&mut self, from: &MemberId, body: &[u8], header: &[u8], context: &Context<'_>) -> Option<Vec<u8>> {
        let me = self.id;
        let Self { stage: Stage::Inside(group), prekeys, .. } = self else { return None };
        let mine = group.order.handle(&me)?;
        let count = group.members.len() - 1;
        let boxes = body.chunks_exact(body.len().checked_div(count)?.max(HANDLE_LEN));
        let sealed = boxes.map(|one| one.split_at(HANDLE_LEN)).find(|(handle, _)| *handle == mine.0)?.1;
        let associated = [&group.id.0[..], &from.0, &me.0, header].concat();
        let bundle = x3dh::peer_bundle(from, context.directory).ok()?;
        let plaintext = x3dh::open(prekeys, &bundle.identity, &associated, sealed).ok()?;
        Some(plaintext.expose().to_vec())
    }

    fn decode(state: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(state);
        let signing = SigningKey::from_secret(&Secret::new(reader.array()?));
        let id = MemberId(*signing.verification_key().as_bytes());
        let prekeys = PrekeySecrets::decode(&mut reader)?;
        let stage = match reader.byte()? {
            0 => Stage::Outside,
            1 => {
                let (id, number) = (GroupId(reader.array()?), reader.varint()?);
                let count = reader.count(MEMBER_ID_LEN)?;
                let members = (0..count).map(|_| reader.array().map(MemberId)).collect::<Result<_, _>>()?;
                Stage::Inside(Group { id, members, order: CausalOrder::decode(&mut reader)?, number })
            }
            2 => Stage::Removed(GroupId(reader.array()?)),
            _ => return Err(Error::Malformed),
        };
        reader.finish()?;
        Ok(Self { id, signing, prekeys, stage })
    }
}

impl Member for User {
    fn id(&self) -> MemberId {
        self.id
    }

    fn group(&self) -> Option<GroupId> {
        match &self.stage {
            Stage::Outside => None,
            Stage::Inside(group) => Some(group.id),
            Stage::Removed(id) => Some(*id),
        }
    }

    fn members(&self) -> Vec<MemberId> {
        let Stage::Inside(group) = &self.stage else { return Vec::new() };
        group.members.iter().copied().collect()
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        if !matches!(self.stage, Stage::Outside) {
            return Err(Error::AlreadyInGroup);
        }
        let nonce = Digest(*Secret::random(&mut *context.rng).expose());
        let everybody: BTreeSet<_> = others.iter().copied().chain([self.id]).collect();
        if everybody.len() != others.len() + 1 {
            return Err(Error::AlreadyAMember);
        }
        let id = GroupId::new(&self.id, &nonce);
        let group = Group::new(id, everybody.into_iter().map(|member| (member, 0)))?;
        self.stage = Stage::Inside(group);
        let ids = others.iter().flat_map(|other| other.0);
        let body: Vec<u8> = nonce.as_bytes().iter().copied().chain(ids).collect();
        Ok(vec![self.broadcast(CREATE, "create", &body)?])
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let (id, signing) = (self.id, self.signing.clone());
        if self.inside()?.order.handle(user).is_some() {
            return Err(Error::AlreadyAMember);
        }
        context.directory.bundle(user).ok_or(Error::NoBundle)?;
        VerificationKey::from_bytes(&user.0).map_err(|_| Error::NoBundle)?;
        let add = self.broadcast(ADD, "add", &user.0)?;
        let group = self.inside()?;
        group.introduce(*user, 0)?;
        let mut body = Vec::new();
        for member in &group.members {
            body.extend_from_slice(&member.0);
            put_varint(&mut body, group.order.frontier(member).map_or(0, |(delivered, _)| delivered));
        }
        let number = group.number;
        let draft = Draft { kind: WELCOME, sender: id, number, subject: Subject::None, new_key: None, body: &body };
        let handle = group.order.handle(&id).ok_or(Error::Internal)?;
        let (bytes, _) = draft.sign(&group.id, handle, None, &signing);
        Ok(vec![Outgoing { to: Recipients::One(*user), kind: "welcome", bytes }, add])
    }

    fn remove(&mut self, user: &MemberId, _context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        if *user == self.id {
            return Err(Error::RemovesItself);
        }
        if !self.inside()?.members.remove(user) {
            return Err(Error::NotAMember);
        }
        Ok(vec![self.broadcast(REMOVE, "remove", &user.0)?])
    }

    fn update(&mut self, _context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        Err(Error::Unsupported)
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let me = self.id;
        let group = self.inside()?;
        let (id, number) = (group.id, group.number.checked_add(1).ok_or(Error::NumbersExhausted)?);
        let draft = Draft { kind: MESSAGE, sender: me, number, subject: Subject::None, new_key: None, body: &[] };
        let header = draft.header(group.order.handle(&me).ok_or(Error::Internal)?);
        let others: Vec<(MemberId, Handle)> =
            group.members.iter().filter_map(|other| Some((*other, group.order.handle(other)?))).collect();
        let mut body = Vec::new();
        for (other, handle) in others.into_iter().filter(|(other, _)| *other != me) {
            let associated = [&id.0[..], &me.0, &other.0, &header].concat();
            let bundle = x3dh::peer_bundle(&other, context.directory)?;
            body.extend_from_slice(&handle.0);
            body.extend(x3dh::seal(&self.prekeys, &bundle, None, &associated, plaintext, &mut *context.rng)?);
        }
        Ok(vec![self.broadcast(MESSAGE, "message", &body)?])
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let group = match &mut self.stage {
            Stage::Outside => return self.join(message, context),
            Stage::Removed(_) => return Ok(Received::default()),
            Stage::Inside(group) => group,
        };
        if message.group != group.id {
            return Err(Error::WrongGroup);
        }
        // A welcome has the number of its add, and is for another user.
        if envelope::kind(message.bytes) == Some(WELCOME) {
            return Ok(Received::default());
        }
        let mut events = Vec::new();
        if group.order.receive(&message.author, &message.group, message.bytes)? == Receipt::Equivocation {
            events.push(Event::Equivocation { by: message.author });
        }
        while let Stage::Inside(group) = &mut self.stage
            && let Some((by, ready)) = group.order.deliver(|_, _| true)
        {
            events.push(self.process(by, ready.kind, &ready.body, &ready.header, context));
        }
        Ok(Received { outgoing: Vec::new(), events })
    }

    fn fingerprints(&self) -> Option<Vec<(MemberId, [u8; DIGEST_LEN])>> {
        None
    }

    fn export(&self) -> Vec<u8> {
        let mut out = self.signing.to_secret().expose().to_vec();
        self.prekeys.encode(&mut out);
        match &self.stage {
            Stage::Outside => out.push(0),
            Stage::Inside(group) => {
                out.push(1);
                out.extend_from_slice(&group.id.0);
                put_varint(&mut out, group.number);
                put_varint(&mut out, group.members.len() as u32);
                group.members.iter().for_each(|member| out.extend_from_slice(&member.0));
                group.order.encode(&mut out);
            }
            Stage::Removed(id) => {
                out.push(2);
                out.extend_from_slice(&id.0);
            }
        }
        out
    }

    fn duplicate(&self) -> Box<dyn Member> {
        Box::new(self.clone())
    }
}
