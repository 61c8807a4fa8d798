//! A group as one member knows it: the crate's state, and the order of messages, which the crate leaves to others.
//!
//! Each author numbers its control messages. A control message is processed after the one before it, after the messages that
//! its author sent between the two have been read, and after the message that it acknowledges. So it comes after every
//! operation that its author knew, because the author had acknowledged each of them.

use std::collections::{BTreeMap, BTreeSet};

use p2panda_encryption::key_manager::KeyManagerState;
use p2panda_encryption::message_scheme::{ControlMessage, DirectMessageContent};
use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Outgoing, Received, Recipients, Rule};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::ids::{Id, Op};
use crate::keys::{self, Bundles, fetch, offering};
use crate::layer::{Failure, Kind, Layer, Sent};
use crate::roster::CREATE;
use crate::wire::{Change, Control, Direct, Message, Text, pack, shorten};

/// Messages that wait for what they depend on.
const MAX_WAITING: usize = 4096;
/// The same in bytes.
const MAX_WAITING_BYTES: usize = 1 << 24;
/// Bytes of the tag at the end of a ciphertext.
const TAG_LEN: usize = 16;
/// How far ahead a thief looks for a message of the state's owner.
const MAX_AHEAD: usize = 1000;

/// A group, as one of its members knows it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) id: Id,
    me: Id,
    layer: Layer,
    members: BTreeSet<Id>,
    /// The add that I have joined by.
    joined_by: Option<Op>,
    /// Everybody else who is or was a member.
    peers: BTreeMap<Id, Peer>,
    /// Those to whom I have a channel.
    met: BTreeSet<Id>,
    /// The number of my control messages.
    sent: u32,
    /// The number of my application messages since the last of these.
    texts: u32,
    /// The number after that of the last of them in my ratchet.
    generation: u32,
    /// What has arrived before what it depends on.
    waiting: Vec<Waiting>,
    /// In the hands of a thief.
    #[serde(skip)]
    pub(crate) stolen: bool,
}

/// What I have processed of a user.
#[derive(Clone, Serialize, Deserialize)]
struct Peer {
    /// The number of its last control message.
    last: u32,
    /// The number of its application messages since then.
    read: u32,
    /// Whether its application messages are for me. What a member sends before it knows of a joiner is not.
    open: bool,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Waiting {
    author: Id,
    message: Message,
    /// Bytes in its encoded form.
    len: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has been processed, or is not for me.
    Past,
    Ready,
    Waits,
}

impl Group {
    /// A group in which nothing has happened yet.
    fn new(id: Id, me: Id, layer: Layer) -> Self {
        Self {
            id,
            me,
            layer,
            members: BTreeSet::new(),
            joined_by: None,
            peers: BTreeMap::new(),
            met: BTreeSet::new(),
            sent: 0,
            texts: 0,
            generation: 0,
            waiting: Vec::new(),
            stolen: false,
        }
    }

    /// Creates a group of this user and others.
    pub(crate) fn create(
        (id, me): (Id, Id),
        (kind, keys): (Kind, KeyManagerState),
        others: Vec<Id>,
        context: &mut Context<'_>,
    ) -> Result<(Self, Outgoing), Error> {
        let mut group = Self::new(id, me, Layer::new(kind, me, keys));
        group.introduce(others.iter().copied());
        let initial_members = [vec![me], others].concat();
        let created = group.operate(&Change::Create { initial_members }, context)?;
        Ok((group, created))
    }

    /// The group that a message invites this user to, if it does.
    pub(crate) fn invited(
        (id, me): (Id, Id),
        (kind, keys): (Kind, &KeyManagerState),
        author: Id,
        message: &Message,
    ) -> Result<Option<Self>, Error> {
        let Message::Control(control) = message else { return Ok(None) };
        let begin = || Self::new(id, me, Layer::new(kind, me, keys.clone()));
        match &control.change {
            ControlMessage::Create { initial_members } if initial_members.contains(&me) => {
                let named: BTreeSet<Id> = initial_members.iter().copied().collect();
                if initial_members.first() != Some(&author) || named.len() < initial_members.len() {
                    return Err(Error::Malformed);
                }
                let mut group = begin();
                group.introduce(named.into_iter().filter(|user| *user != me));
                Ok(Some(group))
            }
            ControlMessage::Add { added } if *added == me => {
                let Some(Direct { content: DirectMessageContent::Welcome { history, .. }, .. }) = control.direct(me)?
                else {
                    return Err(Error::Malformed);
                };
                let everybody = history.everybody();
                if everybody.len() != control.last.len() || everybody.contains(&me) || !everybody.contains(&author) {
                    return Err(Error::Malformed);
                }
                let mut group = begin();
                let number = control.number;
                let before = number.checked_sub(1).ok_or(Error::Malformed)?;
                let peer = |(user, last): (Id, &u32)| {
                    let is_author = user == author;
                    (user, Peer { last: if is_author { before } else { *last }, read: 0, open: false })
                };
                group.peers = everybody.into_iter().zip(&control.last).map(peer).collect();
                group.joined_by = Some(Op(author, number));
                Ok(Some(group))
            }
            _ => Ok(None),
        }
    }

    /// New members from whom everything is for me.
    fn introduce(&mut self, users: impl Iterator<Item = Id>) {
        self.peers.extend(users.map(|user| (user, Peer { last: 0, read: 0, open: true })));
    }

    pub(crate) fn members(&self) -> &BTreeSet<Id> {
        &self.members
    }

    /// Whether I am a member.
    pub(crate) fn is_mine(&self) -> bool {
        self.members.contains(&self.me)
    }

    /// Whether a user is a member or was one.
    pub(crate) fn knows(&self, user: Id) -> bool {
        user == self.me || self.peers.contains_key(&user)
    }

    /// Creates the group, or changes it.
    pub(crate) fn operate(&mut self, operation: &Change, context: &mut Context<'_>) -> Result<Outgoing, Error> {
        let recipients: Vec<Id> = match operation {
            Change::Create { initial_members } => initial_members.clone(),
            Change::Add { added } => vec![*added],
            _ => self.members.iter().copied().collect(),
        };
        let removed = if let Change::Remove { removed } = operation { Some(*removed) } else { None };
        let cold = |user: &Id| *user != self.me && Some(*user) != removed && !self.met.contains(user);
        let mut bundles = Bundles::new();
        for user in recipients.into_iter().filter(cold) {
            bundles.insert(user, fetch(user, !self.stolen, context.directory)?);
        }
        let op = Op(self.me, self.sent.checked_add(1).ok_or(Error::NumbersExhausted)?);
        let rng = keys::rng(context.rng);
        let sent = offering(bundles, || self.layer.operate(op, operation, &rng)).map_err(|failure| match failure {
            Failure::NeedsBundle(_) | Failure::BadBundle => Error::NoBundle,
            Failure::KeyUsed | Failure::Other => Error::Internal,
        })?;
        let kind = match operation {
            Change::Create { .. } => "create",
            Change::Add { .. } => "add",
            Change::Remove { .. } => "remove",
            _ => "update",
        };
        let outgoing = self.broadcast(kind, sent)?;
        self.members = self.layer.members();
        if let Change::Add { added } = operation {
            self.introduce([*added].into_iter());
        }
        Ok(outgoing)
    }

    /// My next control message.
    fn broadcast(&mut self, kind: &'static str, (change, direct): Sent) -> Result<Outgoing, Error> {
        let number = self.sent.checked_add(1).ok_or(Error::NumbersExhausted)?;
        let welcome = direct.iter().find_map(|direct| match &direct.content {
            DirectMessageContent::Welcome { history, .. } => Some(history.everybody()),
            _ => None,
        });
        let last = |user: Id| self.peers.get(&user).map_or(self.sent, |peer| peer.last);
        let last = welcome.into_iter().flatten().map(last).collect();
        let control = Control { number, texts: self.texts, change: shorten(change), direct: pack(&direct)?, last };
        let bytes = Message::Control(control).encode()?;
        (self.sent, self.texts, self.generation) = (number, 0, 0);
        self.met.extend(direct.iter().map(|direct| direct.recipient));
        Ok(Outgoing { to: Recipients::Everyone, kind, bytes })
    }

    /// Encrypts an application message.
    pub(crate) fn write(&mut self, plaintext: &[u8]) -> Result<Outgoing, Error> {
        let texts = self.texts.checked_add(1).ok_or(Error::NumbersExhausted)?;
        let (generation, ciphertext) = self.layer.send(plaintext).map_err(|_| Error::Internal)?;
        let text = Text { epoch: self.sent, generation, ciphertext: ByteBuf::from(ciphertext) };
        (self.texts, self.generation) = (texts, generation.saturating_add(1));
        Ok(Outgoing { to: Recipients::Everyone, kind: "message", bytes: Message::Text(text).encode()? })
    }

    /// Receives a message of somebody else, and processes what it releases.
    pub(crate) fn receive(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let len = u32::try_from(message.bytes.len()).map_err(|_| Error::Malformed)?;
        let it = Waiting { author: message.author.into(), message: Message::decode(message.bytes)?, len };
        match self.standing(&it) {
            Standing::Past => return Ok(Received::default()),
            Standing::Waits => return self.wait(it).map(|()| Received::default()),
            Standing::Ready => {}
        }
        let mut received = self.process(&it, context)?;
        while let Some(at) = self.waiting.iter().position(|it| self.standing(it) != Standing::Waits) {
            let it = self.waiting.swap_remove(at);
            if self.standing(&it) == Standing::Past {
                continue;
            }
            let more = self.process(&it, context).unwrap_or_else(|_| {
                let rejected = Event::Rejected { from: it.author.member(), rule: Rule::Form };
                Received { outgoing: Vec::new(), events: vec![rejected] }
            });
            received.events.extend(more.events);
            received.outgoing.extend(more.outgoing);
        }
        Ok(received)
    }

    fn wait(&mut self, it: Waiting) -> Result<(), Error> {
        if self.waiting.contains(&it) {
            return Ok(());
        }
        let size: usize = self.waiting.iter().map(|it| it.len as usize).sum();
        if self.waiting.len() >= MAX_WAITING || size + it.len as usize > MAX_WAITING_BYTES {
            return Err(Error::QueueFull);
        }
        self.waiting.push(it);
        Ok(())
    }

    fn standing(&self, Waiting { author, message, .. }: &Waiting) -> Standing {
        // Its add may be under way.
        let Some(peer) = self.peers.get(author) else { return Standing::Waits };
        match message {
            Message::Control(control) if control.number <= peer.last => Standing::Past,
            Message::Control(control) => {
                let in_turn = control.number - peer.last == 1 && (!peer.open || peer.read >= control.texts);
                let acknowledges = match control.change {
                    ControlMessage::Ack { ack_sender, ack_seq } | ControlMessage::AddAck { ack_sender, ack_seq } => {
                        self.has(Op(ack_sender, ack_seq))
                    }
                    _ => true,
                };
                if in_turn && acknowledges { Standing::Ready } else { Standing::Waits }
            }
            Message::Text(text) if text.epoch > peer.last => Standing::Waits,
            Message::Text(text) if text.epoch == peer.last && peer.open => Standing::Ready,
            Message::Text(_) => Standing::Past,
        }
    }

    /// Whether a control message has been processed.
    fn has(&self, Op(author, number): Op) -> bool {
        let last = if author == self.me { Some(self.sent) } else { self.peers.get(&author).map(|peer| peer.last) };
        last.is_some_and(|last| number <= last)
    }

    /// Processes a message whose turn it is. After an error nothing has changed.
    fn process(&mut self, it: &Waiting, context: &mut Context<'_>) -> Result<Received, Error> {
        match &it.message {
            Message::Control(control) => self.follow(it.author, control, context),
            Message::Text(text) => {
                let events = self.read(it.author, text, context)?.into_iter().collect();
                Ok(Received { outgoing: Vec::new(), events })
            }
        }
    }

    /// Decrypts an application message; there is none if its key has been used.
    fn read(&mut self, author: Id, text: &Text, context: &mut Context<'_>) -> Result<Option<Event>, Error> {
        if !self.members.contains(&author) {
            return Ok(Some(Event::Rejected { from: author.member(), rule: Rule::AuthorNotAMember }));
        }
        let rng = keys::rng(context.rng);
        let plaintext = match self.layer.open(author, text.generation, &text.ciphertext, &rng) {
            Ok(plaintext) => plaintext,
            Err(Failure::KeyUsed) => return Ok(None),
            Err(_) => return Err(Error::NotAuthentic),
        };
        if let Some(peer) = self.peers.get_mut(&author) {
            peer.read = peer.read.saturating_add(1);
        }
        Ok(Some(Event::Message { from: author.member(), plaintext }))
    }

    /// Processes a control message.
    fn follow(&mut self, author: Id, control: &Control, context: &mut Context<'_>) -> Result<Received, Error> {
        let founds = matches!(control.change, ControlMessage::Create { .. });
        let joins = self.sent == 0 && self.joined_by.is_none();
        if founds != (joins && control.number == CREATE) {
            return Err(Error::Malformed);
        }
        let op = Op(author, control.number);
        self.sent.checked_add(1).ok_or(Error::NumbersExhausted)?;
        let answer = self.advance(op, control, context)?;
        let before = match control.change {
            ControlMessage::Ack { .. } | ControlMessage::AddAck { .. } => None,
            _ => Some(core::mem::replace(&mut self.members, self.layer.members())),
        };
        // Somebody who is no member any more answers nothing.
        let answer = answer.filter(|_| self.is_mine()).map(|answer| self.broadcast("ack", answer)).transpose()?;
        if let Some(peer) = self.peers.get_mut(&author) {
            (peer.last, peer.read) = (control.number, 0);
        }
        if control.direct.contains_key(&self.me) {
            self.met.insert(author);
        }
        self.listen(op, &control.change);
        Ok(Received {
            outgoing: answer.into_iter().collect(),
            events: self.happened(author, &control.change, before.as_ref()),
        })
    }

    /// Lets the crate process a control message. Returns my answer. After an error nothing has changed.
    fn advance(&mut self, op: Op, control: &Control, context: &mut Context<'_>) -> Result<Option<Sent>, Error> {
        let direct = control.direct(self.me)?;
        let mut bundles = Bundles::new();
        // The crate wants a bundle of its peer to begin a channel, even to receive.
        if direct.is_some() && !self.met.contains(&op.0) {
            bundles.insert(op.0, fetch(op.0, false, context.directory)?);
        }
        if let ControlMessage::Add { added } = control.change
            && added != self.me
            && !self.met.contains(&added)
        {
            bundles.insert(added, fetch(added, !self.stolen, context.directory)?);
        }
        let rng = keys::rng(context.rng);
        loop {
            match offering(bundles.clone(), || self.layer.process(op, control.change(), direct.clone(), &rng)) {
                Ok(answer) => return Ok(answer),
                // Somebody else was added at the same time, and needs to know my secret.
                Err(Failure::NeedsBundle(user)) if !bundles.contains_key(&user) => {
                    bundles.insert(user, fetch(user, !self.stolen, context.directory)?);
                }
                Err(Failure::NeedsBundle(_) | Failure::BadBundle) => return Err(Error::NoBundle),
                Err(Failure::KeyUsed | Failure::Other) => return Err(Error::NotAuthentic),
            }
        }
    }

    /// From whom application messages are for me, after a control message.
    fn listen(&mut self, op: Op, change: &ControlMessage<Id, u32>) {
        let opens = match change {
            ControlMessage::Add { added } => *added == self.me,
            ControlMessage::AddAck { ack_sender, ack_seq } => self.joined_by == Some(Op(*ack_sender, *ack_seq)),
            _ => false,
        };
        let Some(author) = self.peers.get_mut(&op.0) else { return };
        author.open |= opens;
        let open = author.open;
        if let ControlMessage::Add { added } = change
            && *added != self.me
        {
            self.peers.entry(*added).or_insert(Peer { last: 0, read: 0, open });
        }
    }

    /// What a control message has changed, given the members before it if they may be others now.
    fn happened(&self, author: Id, change: &ControlMessage<Id, u32>, before: Option<&BTreeSet<Id>>) -> Vec<Event> {
        let by = author.member();
        let Some(before) = before else { return vec![Event::Acked { by }] };
        if before.is_empty() {
            return vec![Event::Joined { inviter: by }];
        }
        let added = self.members.difference(before).map(|user| Event::Added { by, user: user.member() });
        let removed = before.difference(&self.members).map(|user| Event::Removed { by, user: user.member() });
        let updated = matches!(change, ControlMessage::Update).then_some(Event::Updated { by });
        added.chain(removed).chain(updated).collect()
    }

    /// Receives a message of my own.
    pub(crate) fn echo(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Result<Received, Error> {
        let message = Message::decode(bytes)?;
        if self.stolen {
            return Ok(self.overhear(&message, context));
        }
        let sent = match message {
            Message::Control(control) => control.number <= self.sent,
            Message::Text(text) if text.epoch == self.sent => text.generation < self.generation,
            Message::Text(text) => text.epoch < self.sent,
        };
        if sent { Ok(Received::default()) } else { Err(Error::WrongAuthor) }
    }

    /// A thief hears what the owner of the state has sent since. It follows an add, in which nothing is drawn that it would
    /// need, but not the seed of a removal or an update.
    fn overhear(&mut self, message: &Message, context: &mut Context<'_>) -> Received {
        match message {
            Message::Control(control) if self.is_mine() && control.number > self.sent => {
                if let change @ Change::Add { .. } = control.change() {
                    self.operate(&change, context).map(drop).unwrap_or_default();
                }
                Received::default()
            }
            Message::Text(text) if text.epoch == self.sent => {
                let plaintext = self.reopen(text);
                let event = |plaintext| Event::Message { from: self.me.member(), plaintext };
                Received { outgoing: Vec::new(), events: plaintext.map(event).into_iter().collect() }
            }
            _ => Received::default(),
        }
    }

    /// Decrypts a message that the owner of a stolen state has sent. The cipher is a stream cipher: encrypting the ciphertext
    /// decrypts it, and encrypting the result gives the same tag.
    fn reopen(&mut self, Text { generation, ciphertext, .. }: &Text) -> Option<Vec<u8>> {
        let body = ciphertext.get(..ciphertext.len().checked_sub(TAG_LEN)?)?;
        let mut ahead = self.layer.clone();
        for _ in 0..MAX_AHEAD {
            let mut again = ahead.clone();
            let (at, decrypted) = ahead.send(body).ok()?;
            if at >= *generation {
                let plaintext = decrypted.get(..body.len())?.to_vec();
                if again.send(&plaintext).ok()? != (*generation, ciphertext.to_vec()) {
                    return None;
                }
                self.layer = ahead;
                return Some(plaintext);
            }
        }
        None
    }
}
