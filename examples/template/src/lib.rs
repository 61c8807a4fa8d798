//! A protocol in a crate of its own: a template to copy. The backend is `boxes`, small but complete. A message is a signed
//! envelope with one box for each other member. The box is sealed to the keys that the member has published (X3DH with
//! three key agreements). There is no state to update, so there is neither forward secrecy nor healing. Only one member may
//! change the group at a time.
//!
//! What to replace, in this order:
//!
//! 1. `Boxes`, and the name, summary and capabilities in its `description`: what your protocol is, and what it claims.
//! 2. `User`, `Stage` and `Group`: the state of a member. Begin with `new_user`, `export` and `restore`. `steal` can come
//!    last: without it, the suite cannot try everything.
//! 3. The calls of `Member`, in the order `create`, `receive_one`, `send`, `add`, `remove`, `update`. Return
//!    `Error::Unsupported` where your protocol has no such operation.
//! 4. The formulas in `expected`. The tests and the harness name each metric that differs, and the line of the formula.
//!
//! `src/main.rs` names the backend. `tests/template.rs` runs the conformance suite and checks the formulas.
//! `gate.toml` says which costs `gate` guards.

use std::collections::BTreeSet;

use protocol::causal_order::{CausalOrder, Receipt};
use protocol::crypto::count::Counted;
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
use protocol::wire::codec::{Reader, put_len, put_prefixed, put_varint};
use protocol::wire::envelope::{self, Draft, Envelope, Kind, Subject, digest_blocks};
use protocol::x3dh::{self, PrekeySecrets};
use rand_core::CryptoRng;

const CREATE: Kind = Kind(1);
const WELCOME: Kind = Kind(2);
const ADD: Kind = Kind(3);
const REMOVE: Kind = Kind(4);
const MESSAGE: Kind = Kind(5);

/// Messages that wait for an invitation, and the length of each.
const MAX_EARLY: usize = 256;
const MAX_EARLY_LEN: usize = 1 << 14;

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
                // The group's nonce.
                public_randomness: &["create"],
                threads: false,
                counted: Counted::All,
            },
            adapts: None,
            caveats: &[],
            growth: &["update sender bytes linear", "update recipient bytes constant"],
        }
    }

    /// One-time prekeys are not used, so none are published.
    fn new_user(&self, _one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let signing = SigningKey::random(rng);
        let (prekeys, publication) = PrekeySecrets::generate(&signing, 0, rng);
        let id = MemberId(*signing.verification_key().as_bytes());
        let member =
            Box::new(User { id, stolen: false, stage: Stage::Outside(Secrets { signing, prekeys }, Vec::new()) });
        NewUser { id, member, bundle: publication.bundle, one_time: Vec::new() }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Ok(Box::new(User::decode(state).map_err(|_| Error::BadExport)?))
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        let thief = User::decode(state).map_err(|_| Error::BadExport)?;
        Ok(Box::new(User { stolen: true, ..thief }))
    }

    /// The primitive counts and messages that the measured ones must equal.
    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        let n = group_size as u64;
        let blocks = |hash_blocks| Counts { hash_blocks, ..Counts::default() };
        let digest = |body| blocks(digest_blocks(false, false, body));
        let sign = |body| Counts { sign: 1, ..Counts::default() } + digest(body);
        let verify = |body| Counts { verify: 1, ..Counts::default() } + digest(body);
        let bundle = Counts { verify: 1, ..Counts::default() } + blocks(x3dh::bundle_blocks());
        let handles = |count| count * blocks(hash::blocks_of(label::HANDLE, &[MEMBER_ID_LEN]));
        let group_id = blocks(hash::blocks_of(label::GROUP_ID, &[MEMBER_ID_LEN, DIGEST_LEN]));
        Some(match operation {
            Operation::Create => {
                let body = DIGEST_LEN + (group_size - 1) * MEMBER_ID_LEN;
                let founded = group_id + handles(n);
                Expected::new(
                    vec![("create", 1)],
                    vec![
                        (Role::Sender, Phase::Generate, founded + (n - 1) * bundle + sign(body)),
                        (Role::Recipient, Phase::Process, (n - 1) * (founded + verify(body))),
                    ],
                )
            }
            Operation::Add => {
                let welcome = (group_size + 1) * (MEMBER_ID_LEN + 1);
                let added = bundle + sign(MEMBER_ID_LEN) + handles(1) + sign(welcome);
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
                let body = 4 + others * (HANDLE_LEN + x3dh::OVERHEAD + 32);
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
            Operation::PartitionRecovery { .. } | Operation::AddAfter(_) | Operation::UpdateAfter(_) => return None,
            Operation::RemoveTogether | Operation::UpdateTogether => return None,
        })
    }
}

#[derive(Clone)]
struct User {
    id: MemberId,
    /// In the hands of a thief: sends nothing, receives its owner's messages too, and ignores its owner's removal.
    stolen: bool,
    stage: Stage,
}

#[derive(Clone)]
enum Stage {
    /// In no group yet. Messages that arrive before the invitation wait for it.
    Outside(Secrets, Vec<Early>),
    Inside(Secrets, Group),
    /// A removed member has no secrets: what it has not received yet would still open with them.
    Removed(GroupId),
}

#[derive(Clone)]
struct Secrets {
    signing: SigningKey,
    prekeys: PrekeySecrets,
}

#[derive(Clone)]
struct Early {
    group: GroupId,
    author: MemberId,
    bytes: Vec<u8>,
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
    /// The member's secrets and its group, if it has a number left for one more message.
    fn inside(&mut self) -> Result<(&mut Secrets, &mut Group), Error> {
        match &mut self.stage {
            Stage::Inside(..) if self.stolen => Err(Error::Unsupported),
            Stage::Inside(_, group) if group.number == u32::MAX => Err(Error::NumbersExhausted),
            Stage::Inside(secrets, group) => Ok((secrets, group)),
            _ => Err(Error::NotInGroup),
        }
    }

    /// Signs my next message, and records it as sent.
    fn broadcast(&mut self, kind: Kind, name: &'static str, body: &[u8]) -> Result<Outgoing, Error> {
        let id = self.id;
        let (Secrets { signing, .. }, group) = self.inside()?;
        let number = group.number + 1;
        let draft = Draft { kind, sender: id, number, subject: Subject::None, new_key: None, body };
        let handle = group.order.handle(&id).ok_or(Error::Internal)?;
        let (bytes, digest) = draft.sign(&group.id, handle, None, signing);
        group.order.sent(&id, number, digest, &signing.verification_key(), None);
        group.number = number;
        Ok(Outgoing { to: Recipients::Everyone, kind: name, bytes })
    }

    /// Processes a message that this user receives before it is in a group. Joins if the message invites the user.
    fn join(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let envelope = Envelope::decode(message.bytes)?;
        // I have sent nothing yet.
        if message.author == self.id && !self.stolen {
            return Err(Error::WrongAuthor);
        }
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
                group.order.deliver(|_, _, _| true).ok_or(Error::Malformed)?;
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
            _ => return self.keep(message).map(|()| Received::default()),
        };
        if !group.members.contains(&self.id) {
            return Ok(Received::default());
        }
        if !(context.confirm_inviter)(&message.author) {
            return Err(Error::InviterNotConfirmed);
        }
        let Stage::Outside(secrets, early) = &mut self.stage else { return Err(Error::Internal) };
        let (secrets, early) = (secrets.clone(), core::mem::take(early));
        self.stage = Stage::Inside(secrets, group);
        let mut events = vec![Event::Joined { inviter: message.author }];
        for Early { group, author, bytes } in &early {
            // Nobody has checked them before, and they may be of another group.
            let early = Incoming { group: *group, author: *author, bytes };
            events.extend(self.receive_one(&early, context).unwrap_or_default().events);
        }
        Ok(Received { outgoing: Vec::new(), events })
    }

    /// Keeps a message until the user joins. Somebody who sends many keeps others out, but does not exhaust memory.
    fn keep(&mut self, message: &Incoming<'_>) -> Result<(), Error> {
        let Stage::Outside(_, early) = &mut self.stage else { return Ok(()) };
        let Incoming { group, author, bytes } = *message;
        if early.iter().any(|kept| kept.group == group && kept.author == author && kept.bytes == bytes) {
            return Ok(());
        }
        if early.len() >= MAX_EARLY || bytes.len() > MAX_EARLY_LEN {
            return Err(Error::QueueFull);
        }
        early.push(Early { group, author, bytes: bytes.to_vec() });
        Ok(())
    }

    /// Processes a delivered message, whose signature has been checked. A message that breaks a rule has no effect.
    fn process(&mut self, by: MemberId, kind: Kind, body: &[u8], header: &[u8], context: &Context<'_>) -> Event {
        let me = self.id;
        let rejected = |rule| Event::Rejected { from: by, rule };
        let Stage::Inside(_, group) = &mut self.stage else { return rejected(Rule::AuthorNotAMember) };
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
                if user == me && !self.stolen {
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
        let Stage::Inside(Secrets { prekeys, .. }, group) = &mut self.stage else { return None };
        let mine = group.order.handle(&me)?;
        // Their number is the author's: it may not know of a member that I know, or know one that I have removed.
        let (count, boxes) = body.split_first_chunk()?;
        let count = u32::from_be_bytes(*count) as usize;
        let boxes = boxes.chunks_exact(boxes.len().checked_div(count)?.max(HANDLE_LEN));
        let sealed = boxes.map(|one| one.split_at(HANDLE_LEN)).find(|(handle, _)| *handle == mine.0)?.1;
        let associated = [&group.id.0[..], &from.0, &me.0, header].concat();
        let bundle = x3dh::peer_bundle(from, context.directory).ok()?;
        let plaintext = x3dh::open(prekeys, &bundle.identity, &associated, sealed).ok()?;
        Some(plaintext.expose().to_vec())
    }

    fn decode(state: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(state);
        let id = MemberId(reader.array()?);
        let secrets = |reader: &mut Reader<'_>| {
            let signing = SigningKey::from_secret(&Secret::new(reader.array()?));
            let prekeys = PrekeySecrets::decode(reader)?;
            let mine = *signing.verification_key().as_bytes() == id.0;
            if mine { Ok(Secrets { signing, prekeys }) } else { Err(Error::Malformed) }
        };
        let stage = match reader.byte()? {
            0 => {
                let (secrets, mut early) = (secrets(&mut reader)?, Vec::new());
                for _ in 0..reader.count(MEMBER_ID_LEN)? {
                    let (group, author) = (GroupId(reader.array()?), MemberId(reader.array()?));
                    early.push(Early { group, author, bytes: reader.prefixed()?.to_vec() });
                }
                Stage::Outside(secrets, early)
            }
            1 => {
                let secrets = secrets(&mut reader)?;
                let (id, number) = (GroupId(reader.array()?), reader.varint()?);
                let count = reader.count(MEMBER_ID_LEN)?;
                let members = (0..count).map(|_| reader.array().map(MemberId)).collect::<Result<_, _>>()?;
                Stage::Inside(secrets, Group { id, members, order: CausalOrder::decode(&mut reader)?, number })
            }
            2 => Stage::Removed(GroupId(reader.array()?)),
            _ => return Err(Error::Malformed),
        };
        reader.finish()?;
        Ok(Self { id, stolen: false, stage })
    }
}

impl Member for User {
    fn id(&self) -> MemberId {
        self.id
    }

    fn group(&self) -> Option<GroupId> {
        match &self.stage {
            Stage::Outside(..) => None,
            Stage::Inside(_, group) => Some(group.id),
            Stage::Removed(id) => Some(*id),
        }
    }

    fn members(&self) -> Vec<MemberId> {
        let Stage::Inside(_, group) = &self.stage else { return Vec::new() };
        group.members.iter().copied().collect()
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let Stage::Outside(secrets, _) = &self.stage else { return Err(Error::AlreadyInGroup) };
        if self.stolen {
            return Err(Error::Unsupported);
        }
        let nonce = Digest(*Secret::random(&mut *context.rng).expose());
        let everybody: BTreeSet<_> = others.iter().copied().chain([self.id]).collect();
        if everybody.len() != others.len() + 1 {
            return Err(Error::AlreadyAMember);
        }
        let id = GroupId::new(&self.id, &nonce);
        let group = Group::new(id, everybody.into_iter().map(|member| (member, 0)))?;
        others.iter().try_for_each(|other| x3dh::peer_bundle(other, context.directory).map(drop))?;
        self.stage = Stage::Inside(secrets.clone(), group);
        let ids = others.iter().flat_map(|other| other.0);
        let body: Vec<u8> = nonce.as_bytes().iter().copied().chain(ids).collect();
        Ok(vec![self.broadcast(CREATE, "create", &body)?])
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let id = self.id;
        if self.inside()?.1.order.handle(user).is_some() {
            return Err(Error::AlreadyAMember);
        }
        x3dh::peer_bundle(user, context.directory)?;
        let add = self.broadcast(ADD, "add", &user.0)?;
        let Stage::Inside(Secrets { signing, .. }, group) = &mut self.stage else { return Err(Error::Internal) };
        group.introduce(*user, 0)?;
        let mut body = Vec::new();
        for member in &group.members {
            body.extend_from_slice(&member.0);
            put_varint(&mut body, group.order.frontier(member).map_or(0, |(delivered, _)| delivered));
        }
        let number = group.number;
        let draft = Draft { kind: WELCOME, sender: id, number, subject: Subject::None, new_key: None, body: &body };
        let handle = group.order.handle(&id).ok_or(Error::Internal)?;
        let (bytes, _) = draft.sign(&group.id, handle, None, signing);
        Ok(vec![Outgoing { to: Recipients::One(*user), kind: "welcome", bytes }, add])
    }

    fn remove(&mut self, user: &MemberId, _context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        if *user == self.id {
            return Err(Error::RemovesItself);
        }
        if !self.inside()?.1.members.remove(user) {
            return Err(Error::NotAMember);
        }
        Ok(vec![self.broadcast(REMOVE, "remove", &user.0)?])
    }

    fn update(&mut self, _context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        Err(Error::Unsupported)
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let me = self.id;
        let (Secrets { prekeys, .. }, group) = self.inside()?;
        let (id, number) = (group.id, group.number + 1);
        let draft = Draft { kind: MESSAGE, sender: me, number, subject: Subject::None, new_key: None, body: &[] };
        let header = draft.header(group.order.handle(&me).ok_or(Error::Internal)?);
        let others: Vec<(MemberId, Handle)> =
            group.members.iter().filter_map(|other| Some((*other, group.order.handle(other)?))).collect();
        let mut body = (others.len() as u32 - 1).to_be_bytes().to_vec();
        for (other, handle) in others.into_iter().filter(|(other, _)| *other != me) {
            let associated = [&id.0[..], &me.0, &other.0, &header].concat();
            let bundle = x3dh::peer_bundle(&other, context.directory)?;
            body.extend_from_slice(&handle.0);
            body.extend(x3dh::seal(prekeys, &bundle, None, &associated, plaintext, &mut *context.rng)?);
        }
        Ok(vec![self.broadcast(MESSAGE, "message", &body)?])
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let group = match &mut self.stage {
            Stage::Outside(..) => return self.join(message, context),
            Stage::Removed(_) => return Ok(Received::default()),
            Stage::Inside(_, group) => group,
        };
        if message.group != group.id {
            return Err(Error::WrongGroup);
        }
        // The network may echo what I have sent. A later number would be taken for my next message.
        if message.author == self.id && !self.stolen && Envelope::decode(message.bytes)?.number > group.number {
            return Err(Error::WrongAuthor);
        }
        // A welcome has the number of its add, and is for another user.
        if envelope::kind(message.bytes) == Some(WELCOME) {
            return Ok(Received::default());
        }
        let mut events = Vec::new();
        if group.order.receive(&message.author, &message.group, message.bytes)? == Receipt::Equivocation {
            events.push(Event::Equivocation { by: message.author });
        }
        while let Stage::Inside(_, group) = &mut self.stage
            && let Some((by, ready)) = group.order.deliver(|_, _, _| true)
        {
            events.push(self.process(by, ready.kind, &ready.body, &ready.header, context));
        }
        Ok(Received { outgoing: Vec::new(), events })
    }

    fn fingerprints(&self) -> Option<Vec<(MemberId, [u8; DIGEST_LEN])>> {
        None
    }

    fn export(&self) -> Vec<u8> {
        let mut out = self.id.0.to_vec();
        let put_secrets = |Secrets { signing, prekeys }: &Secrets, out: &mut Vec<u8>| {
            out.extend_from_slice(signing.to_secret().expose());
            prekeys.encode(out);
        };
        match &self.stage {
            Stage::Outside(secrets, early) => {
                out.push(0);
                put_secrets(secrets, &mut out);
                put_len(&mut out, early.len());
                for Early { group, author, bytes } in early {
                    out.extend_from_slice(&group.0);
                    out.extend_from_slice(&author.0);
                    put_prefixed(&mut out, bytes);
                }
            }
            Stage::Inside(secrets, group) => {
                out.push(1);
                put_secrets(secrets, &mut out);
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
