//! What a member knows of its group, and what it does in it: the protocol proper, for pairwise Signal and Sender Keys alike.
//! The latter is the former with keys on top.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use protocol::crypto::hash::Digest;
use protocol::crypto::secret::{Secret, SecretBytes};
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Outgoing, Recipients, Rule};
use protocol::membership::{MemberIndex, MemberSet};
use protocol::wire::codec::{Reader, put_prefixed, put_varint};
use protocol::wire::envelope::{self, Draft, Envelope, Subject};

use crate::messages::{self, ChannelMessage, Founders, Kind};
use crate::parked::Parked;
use crate::roster::{Applied, Notice, Roster};
use crate::sender_key::{DISTRIBUTION_LEN, NotOpened, SenderKeys, put_set, take_member, take_set};
use crate::session::{Binding, Channel};
use crate::user::Env;

/// Members of a group at most. The author of an operation minds it, and a founder minds that of the creation.
pub const MAX_MEMBERS: usize = 1024;
/// Longest plaintext of an application message, in bytes.
pub const MAX_PLAINTEXT_LEN: usize = 1 << 16;

#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) roster: Roster,
    channels: BTreeMap<MemberIndex, Channel>,
    /// My last message.
    number: u32,
    /// Whom I have asked for a turn: my update goes to them once it has come.
    awaited: MemberSet,
    keys: SenderKeys,
    pub(crate) parked: Parked,
}

impl Group {
    fn new(id: GroupId, roster: Roster) -> Self {
        Self {
            id,
            roster,
            channels: BTreeMap::new(),
            number: 0,
            awaited: MemberSet::new(),
            keys: SenderKeys::default(),
            parked: Parked::default(),
        }
    }

    /// Creates a group, and its creator's channels. With `mesh` the founders open the others at once.
    pub(crate) fn create(others: &[MemberId], mesh: bool, env: &mut Env<'_, '_>) -> Result<Self, Error> {
        let mut sorted = others.to_vec();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) || sorted.contains(&env.user.id) {
            return Err(Error::AlreadyAMember);
        }
        if others.len() >= MAX_MEMBERS {
            return Err(Error::GroupSize);
        }
        let nonce = Digest(*Secret::random(&mut *env.context.rng).expose());
        let founders = Founders { nonce, mesh, others: others.to_vec() };
        let roster = Roster::found(env.user.id, env.user.id, others)?;
        let mut group = Self::new(founders.group_id(&env.user.id), roster);
        let number = group.next_number()?;
        let bytes = founders.encode(group.roster.handle(group.me())?, number);
        env.outgoing.push(Outgoing { to: Recipients::Everyone, kind: Kind::Founders.name(), bytes });
        group.renew_key_if_eager(env)?;
        group.post(&group.roster.others(), Kind::Create, &[], env)?;
        Ok(group)
    }

    /// A founder's side, with the creator's message to it.
    pub(crate) fn join_founded(
        id: GroupId,
        creator: MemberId,
        founders: &Founders,
        message: &ChannelMessage<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<Self, Error> {
        let senseless = founders.mesh && !env.user.protocol.defers_channels();
        if senseless || founders.others.len() >= MAX_MEMBERS {
            return Err(Error::Malformed);
        }
        let roster = Roster::found(env.user.id, creator, &founders.others).map_err(|_| Error::Malformed)?;
        let mut group = Self::new(id, roster);
        let creator_index = MemberIndex(0);
        let plaintext = group.open(creator_index, message, env)?;
        let body = group.split_distribution(creator_index, message, plaintext.expose())?;
        if !body.is_empty() {
            return Err(Error::Malformed);
        }
        env.events.push(Event::Joined { inviter: creator });
        if founders.mesh {
            let me = group.me();
            let later: Vec<_> = group.roster.others().into_iter().filter(|other| me < *other).collect();
            group.post(&later, Kind::Hello, &[], env)?;
        }
        Ok(group)
    }

    /// A joiner's side, with its welcome.
    pub(crate) fn join_invited(
        id: GroupId,
        inviter: MemberId,
        message: &ChannelMessage<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<Self, Error> {
        // The channel comes before the group here: whom the message is from is known, who is in the group it says itself.
        let header = message.prekeys.as_ref().ok_or(Error::NotAuthentic)?;
        let me = env.user.id;
        let context = context(&id, message.header);
        let binding = Binding { sender: &inviter, recipient: &me, context: &context };
        let (own, directory) = (&mut env.user.prekeys, env.context.directory);
        let (channel, plaintext) = Channel::respond(header, message.ratchet_message, &binding, own, directory)?;
        let (body, distribution) = split(message, plaintext.expose())?;
        let mut reader = Reader::new(body);
        let notice = Notice::decode(reader.prefixed()?, true)?;
        let roster = Roster::join(me, &inviter, &notice, reader.rest())?;
        let adder = roster.membership.index(&inviter).ok_or(Error::Malformed)?;
        let mut group = Self::new(id, roster);
        if let Some(distribution) = distribution {
            group.keys.take(adder, distribution, false)?;
        }
        group.channels.insert(adder, channel);
        env.events.push(Event::Joined { inviter });
        Ok(group)
    }

    /// Adds a user.
    pub(crate) fn add(&mut self, user: &MemberId, env: &mut Env<'_, '_>) -> Result<(), Error> {
        self.roster.membership.check_add(self.me(), user).map_err(|_| Error::AlreadyAMember)?;
        if self.roster.view().len() >= MAX_MEMBERS {
            return Err(Error::GroupSize);
        }
        self.next_number()?;
        // Somebody who cannot be reached is not added.
        let channel = Channel::open(user, &env.user.prekeys, env.context.directory, &mut *env.context.rng)?;
        let mut state = Vec::new();
        self.roster.encode_for_joiner(&mut state);
        let others = self.roster.others();
        let notice = self.roster.add(user)?.encode();
        let joiner = self.roster.membership.index(user).ok_or(Error::Internal)?;
        self.channels.insert(joiner, channel);
        self.post(&others, Kind::Add, &notice, env)?;
        let mut welcome = Vec::with_capacity(notice.len() + state.len() + 8);
        put_prefixed(&mut welcome, &notice);
        welcome.extend_from_slice(&state);
        self.post(&[joiner], Kind::Welcome, &welcome, env)
    }

    /// Removes a member, and tells it too.
    pub(crate) fn remove(&mut self, user: &MemberId, env: &mut Env<'_, '_>) -> Result<(), Error> {
        self.next_number()?;
        let told = self.roster.others();
        let before = self.roster.view().clone();
        let notice = self.roster.remove(user)?.encode();
        let lost = before.difference(self.roster.view());
        self.lose(self.me(), &lost, env)?;
        self.post(&told, Kind::Remove, &notice, env)
    }

    /// Replaces what a thief of my state would need: the ratchet keys of all channels and, where there are sender keys, my
    /// own; the others replace theirs when they see it.
    pub(crate) fn update(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        self.next_number()?;
        self.renew_key_if_eager(env)?;
        // A channel on which I was the last to turn waits for the peer's turn: over it, a new key would heal nothing.
        let waits = |peer: &MemberIndex| self.channels.get(peer).is_some_and(|channel| !channel.turns_next());
        let (asked, ready): (Vec<_>, Vec<_>) = self.roster.others().into_iter().partition(waits);
        self.awaited = asked.iter().copied().collect();
        self.post(&asked, Kind::UpdateRequest, &[], env)?;
        self.post(&ready, Kind::Update, &[], env)
    }

    /// Encrypts to the group.
    pub(crate) fn send(&mut self, plaintext: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        if plaintext.len() > MAX_PLAINTEXT_LEN {
            return Err(Error::PlaintextTooLong);
        }
        if !env.user.protocol.has_sender_keys() {
            return self.post(&self.roster.others(), Kind::Message, plaintext, env);
        }
        if self.keys.own.is_none() {
            self.keys.rotate(&mut *env.context.rng)?;
        }
        let without = self.without_my_key(|_| true);
        self.post(&without, Kind::Key, &[], env)?;
        let number = self.next_number()?;
        let sender = self.roster.handle(self.me())?;
        let key = self.keys.own.as_mut().ok_or(Error::Internal)?;
        if !self.awaited.is_empty() {
            key.withhold();
        }
        let kind = envelope::Kind(Kind::GroupMessage as u8);
        let draft = Draft { kind, sender: env.user.id, number, subject: Subject::None, new_key: None, body: &[] };
        let body = key.seal(plaintext, &draft.header(sender))?;
        let (bytes, _) = Draft { body: &body, ..draft }.sign(&self.id, sender, None, key.signing());
        self.number = number;
        env.outgoing.push(Outgoing { to: Recipients::Everyone, kind: Kind::GroupMessage.name(), bytes });
        Ok(())
    }

    /// Handles a message, and what follows.
    pub(crate) fn receive(&mut self, author: &MemberId, bytes: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        let known = |group: &Self| (group.roster.membership.everybody().len(), group.keys.taken());
        let before = known(self);
        self.take(author, bytes, env)?;
        // What waits does so for an author or a key.
        if known(self) == before { self.settle(env) } else { self.follow_up(env) }
    }

    /// What follows when a message has been delivered or the group joined.
    pub(crate) fn follow_up(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        self.unpark(env)?;
        self.settle(env)
    }

    /// Handles what has waited and can be delivered now. What turns out to be forged is dropped.
    fn unpark(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        // Each round may make authors or keys known for which others wait.
        loop {
            let (before, known) = (self.parked.len(), &self.roster.membership);
            let waiting = self.parked.take(|author| known.index(author).is_some());
            for (author, bytes) in waiting {
                if !self.roster.is_inside() {
                    return Ok(());
                }
                if let Err(error @ (Error::Internal | Error::NumbersExhausted)) = self.take(&author, &bytes, env) {
                    return Err(error);
                }
            }
            if self.parked.len() == before {
                return Ok(());
            }
        }
    }

    /// An `Err` leaves everything as it was.
    fn take(&mut self, author: &MemberId, bytes: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        match Kind::of(bytes)? {
            // It has been here before, or else has another id.
            Kind::Founders if Founders::decode(bytes)?.group_id(author) == self.id => return Ok(()),
            Kind::Founders => return Err(Error::WrongGroup),
            Kind::GroupMessage => return self.take_group_message(author, bytes, env),
            _ => {}
        }
        let message = ChannelMessage::decode(bytes)?;
        let Some(from) = self.roster.membership.index(author) else {
            return self.parked.park(author, bytes);
        };
        if message.sender != self.roster.handle(from)? {
            return Err(Error::WrongAuthor);
        }
        let plaintext = self.open(from, &message, env)?;
        let Ok(body) = self.split_distribution(from, &message, plaintext.expose()) else {
            env.events.push(Event::Rejected { from: *author, rule: Rule::Form });
            return Ok(());
        };
        self.process((*author, from), message.kind, body, env)
    }

    /// An authentic channel message. What breaks a rule has no effect.
    fn process(
        &mut self,
        from: (MemberId, MemberIndex),
        kind: Kind,
        body: &[u8],
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        let notice = match kind {
            Kind::Add | Kind::Remove => Some(Notice::decode(body, kind == Kind::Add)),
            // I am a member already, and somebody who does not know that has added me: the add is news.
            Kind::Welcome => Some(Reader::new(body).prefixed().and_then(|notice| Notice::decode(notice, true))),
            _ => None,
        };
        let result = match notice {
            Some(notice) => match notice.map_err(|_| Rule::Form).and_then(|it| self.roster.arrive(from.1, it)) {
                Ok(()) => return self.apply_notices(env),
                Err(rule) => Err(rule),
            },
            None if !self.roster.membership.is_member(from.1) => match kind {
                Kind::Message => Err(Rule::AuthorNotAMember),
                // It was sent before its author knew, and only served what follows.
                _ => return Ok(()),
            },
            None if kind == Kind::Update && !env.user.protocol.updates() => Err(Rule::Form),
            None if kind == Kind::Create => Err(Rule::GroupExists),
            None if kind != Kind::Message && !body.is_empty() => Err(Rule::Form),
            None => Ok(()),
        };
        if let Err(rule) = result {
            env.events.push(Event::Rejected { from: from.0, rule });
            return Ok(());
        }
        match kind {
            Kind::Message => env.events.push(Event::Message { from: from.0, plaintext: body.to_vec() }),
            Kind::UpdateRequest => self.post(&[from.1], Kind::Turn, &[], env)?,
            Kind::Turn if self.awaited.remove(from.1) => {
                self.post(&[from.1], Kind::Update, &[], env)?;
                if let Some(key) = self.keys.own.as_mut().filter(|_| self.awaited.is_empty()) {
                    key.release();
                }
            }
            Kind::Update => {
                env.events.push(Event::Updated { by: from.0 });
                // Whoever stole that member's state has my key too.
                self.keys.own = None;
            }
            _ => {}
        }
        Ok(())
    }

    fn take_group_message(&mut self, author: &MemberId, bytes: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        let envelope = Envelope::decode(bytes)?;
        if envelope.kind != envelope::Kind(Kind::GroupMessage as u8) || !env.user.protocol.has_sender_keys() {
            return Err(Error::Malformed);
        }
        let Some(from) = self.roster.membership.index(author) else {
            return self.parked.park(author, bytes);
        };
        if envelope.sender != self.roster.handle(from)? {
            return Err(Error::WrongAuthor);
        }
        match self.keys.open((from, author), &envelope, &self.id) {
            Ok(plaintext) => {
                env.events.push(Event::Message { from: *author, plaintext: plaintext.0.expose().to_vec() });
                Ok(())
            }
            Err(NotOpened::Duplicate) => Ok(()),
            Err(NotOpened::NoKey) if self.roster.membership.is_member(from) => self.parked.park(author, bytes),
            // The keys of whoever is removed are gone.
            Err(NotOpened::NoKey) => Err(Error::NotAuthentic),
            Err(NotOpened::Error(error)) => Err(error),
        }
    }

    /// Applies all notices that are ready.
    fn apply_notices(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        while let Some(result) = self.roster.next() {
            let Applied { author, adds, joins, lost } = match result {
                Ok(applied) => applied,
                Err((author, rule)) => {
                    env.events.push(Event::Rejected { from: self.roster.id(author), rule });
                    continue;
                }
            };
            self.lose(author, &lost, env)?;
            if !self.roster.is_inside() {
                return Ok(());
            }
            if let Some(joiner) = adds {
                if joins {
                    env.events.push(Event::Added { by: self.roster.id(author), user: self.roster.id(joiner) });
                }
                self.greet(joiner, author, joins, env)?;
            }
        }
        Ok(())
    }

    /// Opens the channel with somebody whom another member has added, and tells it what that member did not know. That is due
    /// to whoever is a member by another add too, and to whoever is none, which it has to learn.
    fn greet(
        &mut self,
        joiner: MemberIndex,
        adder: MemberIndex,
        joins: bool,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        if joiner == self.me() {
            return Ok(());
        }
        if joins && !self.channels.contains_key(&joiner) {
            self.post(&[joiner], Kind::Hello, &[], env)?;
        }
        for notice in self.roster.unknown_to(adder) {
            let kind = if notice.adds() { Kind::Add } else { Kind::Remove };
            self.post(&[joiner], kind, &notice.encode(), env)?;
        }
        Ok(())
    }

    /// What follows when members are removed: nobody sends under a key that they hold.
    fn lose(&mut self, author: MemberIndex, lost: &MemberSet, env: &mut Env<'_, '_>) -> Result<(), Error> {
        for member in lost.iter() {
            env.events.push(Event::Removed { by: self.roster.id(author), user: self.roster.id(member) });
            self.keys.forget(member);
            self.awaited.remove(member);
        }
        if !lost.is_empty() {
            self.keys.own = None;
            self.renew_key_if_eager(env)?;
        }
        Ok(())
    }

    fn renew_key_if_eager(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        if env.user.protocol.is_eager() && self.roster.is_inside() {
            self.keys.rotate(&mut *env.context.rng)?;
        }
        Ok(())
    }

    /// Hands my key to whom it is due. Of two members without a channel the later one waits for the earlier one's message.
    fn settle(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        if !env.user.protocol.is_eager() || !self.roster.is_inside() {
            return Ok(());
        }
        if self.keys.own.is_none() {
            self.keys.rotate(&mut *env.context.rng)?;
        }
        let me = self.me();
        let due = self.without_my_key(|peer| me < peer || self.channels.contains_key(&peer));
        self.post(&due, Kind::Key, &[], env)
    }

    /// The members to whom my key can go and has not gone.
    fn without_my_key(&self, may: impl Fn(MemberIndex) -> bool) -> Vec<MemberIndex> {
        self.roster.others().into_iter().filter(|peer| self.lacks_my_key(*peer) && may(*peer)).collect()
    }

    /// Over a channel that awaits a turn, a key would be for a thief of my state too.
    fn lacks_my_key(&self, peer: MemberIndex) -> bool {
        let holds = self.keys.own.as_ref().is_none_or(|key| key.holders.contains(peer));
        !holds && !self.awaited.contains(peer) && self.roster.membership.is_member(peer)
    }

    pub(crate) fn me(&self) -> MemberIndex {
        self.roster.me()
    }

    /// For each member whose key I hold, a hash of it.
    pub(crate) fn fingerprints(&self) -> Vec<(MemberId, [u8; protocol::crypto::hash::DIGEST_LEN])> {
        let members = self.roster.membership.in_order_of_ids(self.roster.view());
        members.filter_map(|(id, member)| Some((id, self.keys.fingerprint(member, self.me())?))).collect()
    }

    fn next_number(&self) -> Result<u32, Error> {
        self.number.checked_add(1).ok_or(Error::NumbersExhausted)
    }

    /// Sends each of these members the same content as my next message, and my key where it is due. Whoever has no valid bundle
    /// is left out.
    fn post(&mut self, peers: &[MemberIndex], kind: Kind, body: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        if peers.is_empty() {
            return Ok(());
        }
        let number = self.next_number()?;
        self.number = number;
        for peer in peers {
            match self.seal(*peer, kind, number, body, env) {
                Ok(bytes) => {
                    let to = Recipients::One(self.roster.id(*peer));
                    env.outgoing.push(Outgoing { to, kind: kind.name(), bytes });
                }
                Err(Error::NoBundle) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn seal(
        &mut self,
        peer: MemberIndex,
        kind: Kind,
        number: u32,
        body: &[u8],
        env: &mut Env<'_, '_>,
    ) -> Result<Vec<u8>, Error> {
        let recipient = self.roster.id(peer);
        let carries_no_key = matches!(kind, Kind::UpdateRequest | Kind::Turn);
        let distributes = !carries_no_key && self.lacks_my_key(peer);
        let sender = self.roster.handle(self.me())?;
        let channel = match self.channels.entry(peer) {
            Entry::Occupied(channel) => channel.into_mut(),
            Entry::Vacant(place) => {
                let own = &env.user.prekeys;
                place.insert(Channel::open(&recipient, own, env.context.directory, &mut *env.context.rng)?)
            }
        };
        if kind == Kind::Update {
            channel.close();
        }
        let mut plaintext = SecretBytes::with_capacity(body.len() + DISTRIBUTION_LEN);
        plaintext.put(body);
        if let Some(key) = self.keys.own.as_mut().filter(|_| distributes) {
            // An update brings the key to whoever had to take a turn first.
            plaintext.put(key.distribution(kind == Kind::Update).expose());
            key.holders.insert(peer);
        }
        let header = messages::header(kind, channel.is_unanswered(), distributes, sender, number);
        let context = context(&self.id, &header);
        let binding = Binding { sender: &env.user.id, recipient: &recipient, context: &context };
        let sealed = channel.encrypt(plaintext.expose(), &binding, &mut *env.context.rng)?;
        Ok([header, sealed.prekey_header.unwrap_or_default(), sealed.message].concat())
    }

    /// Decrypts a channel message of somebody known. Nothing has changed where that fails.
    fn open(
        &mut self,
        from: MemberIndex,
        message: &ChannelMessage<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<SecretBytes, Error> {
        let (sender, recipient) = (self.roster.id(from), env.user.id);
        let context = context(&self.id, message.header);
        let binding = Binding { sender: &sender, recipient: &recipient, context: &context };
        let (own, directory) = (&mut env.user.prekeys, env.context.directory);
        if let Some(channel) = self.channels.get_mut(&from) {
            let closes = message.kind == Kind::Update;
            let received = (message.prekeys.as_ref(), message.ratchet_message);
            return channel.decrypt(received, closes, &binding, own, directory);
        }
        let header = message.prekeys.as_ref().ok_or(Error::NotAuthentic)?;
        let (channel, plaintext) = Channel::respond(header, message.ratchet_message, &binding, own, directory)?;
        self.channels.insert(from, channel);
        Ok(plaintext)
    }

    /// Takes the sender's key off the end of a plaintext, if there is one.
    fn split_distribution<'a>(
        &mut self,
        from: MemberIndex,
        message: &ChannelMessage<'_>,
        plaintext: &'a [u8],
    ) -> Result<&'a [u8], Error> {
        let (body, distribution) = split(message, plaintext)?;
        // A key of somebody who is removed would never be used.
        if let Some(distribution) = distribution.filter(|_| self.roster.membership.is_member(from)) {
            self.keys.take(from, distribution, message.kind == Kind::Update)?;
        }
        Ok(body)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        self.roster.encode(out);
        put_varint(out, u32::try_from(self.channels.len()).unwrap_or(u32::MAX));
        for (peer, channel) in &self.channels {
            put_varint(out, peer.0);
            channel.encode(out);
        }
        put_varint(out, self.number);
        put_set(out, &self.awaited);
        self.keys.encode(out);
        self.parked.encode(out);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let id = GroupId(reader.array()?);
        let mut group = Self::new(id, Roster::decode(reader)?);
        let known = group.roster.known();
        for _ in 0..reader.count(1)? {
            let peer = take_member(reader, known)?;
            group.channels.insert(peer, Channel::decode(reader)?);
        }
        group.number = reader.varint()?;
        group.awaited = take_set(reader, known)?;
        group.keys = SenderKeys::decode(reader, known)?;
        group.parked = Parked::decode(reader)?;
        Ok(group)
    }
}

/// What every channel message is bound to: the group and the message's own header.
fn context(group: &GroupId, header: &[u8]) -> Vec<u8> {
    [&group.0[..], header].concat()
}

/// Body and distribution.
fn split<'a>(message: &ChannelMessage<'_>, plaintext: &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), Error> {
    if !message.distributes {
        return Ok((plaintext, None));
    }
    let at = plaintext.len().checked_sub(DISTRIBUTION_LEN).ok_or(Error::Malformed)?;
    let (body, distribution) = plaintext.split_at(at);
    Ok((body, Some(distribution)))
}
