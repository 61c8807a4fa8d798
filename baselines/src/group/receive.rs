//! What a member does with the messages that it receives, from the one by which it joins.

use std::collections::BTreeSet;

use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Rule};
use protocol::membership::{KnownUser, MemberIndex};
use protocol::wire::codec::Reader;
use protocol::wire::envelope::{self, Envelope};

use super::{Group, MAX_MEMBERS, context, split};
use crate::messages::{self, ChannelMessage, Founders, Kind};
use crate::notice::Notice;
use crate::roster::{Applied, Roster};
use crate::sender_key::NotOpened;
use crate::session::{Binding, Channel};
use crate::user::Env;

impl Group {
    /// Joins as a founder, with the creator's message to this user.
    pub(crate) fn join_founded(
        id: GroupId,
        creator: MemberId,
        founders: &Founders,
        message: &ChannelMessage<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<Self, Error> {
        let unsupported = founders.mesh && !env.user.protocol.defers_channels();
        if unsupported || founders.others.len() >= MAX_MEMBERS {
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

    /// Joins with a welcome.
    pub(crate) fn join_invited(
        id: GroupId,
        inviter: MemberId,
        message: &ChannelMessage<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<Self, Error> {
        // The channel comes before the group: the sender is known, but the members are listed in the welcome.
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
            group.keys.take(adder, distribution, None)?;
        }
        group.channels.insert(adder, channel);
        group.received.entry(adder).or_default().insert(message.number);
        env.events.push(Event::Joined { inviter });
        Ok(group)
    }

    /// Processes a message, and everything that can be processed after it.
    pub(crate) fn receive(&mut self, author: &MemberId, bytes: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        let before = self.known();
        self.take(author, bytes, env)?;
        self.unpark(self.revealed(author, before), env)?;
        self.settle(env)
    }

    /// Processes what joining the group has made possible.
    pub(crate) fn follow_up(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        let known = self.parked.authors().filter(|author| self.roster.membership.index(author).is_some());
        self.unpark(known.copied().collect(), env)?;
        self.settle(env)
    }

    /// What parked messages wait for: users, and keys of senders.
    fn known(&self) -> (usize, u64) {
        (self.roster.membership.everybody().len(), self.keys.taken())
    }

    /// The authors whose parked messages may be checked now, after a message of this author. Only its author's key can
    /// be in it.
    fn revealed(&self, author: &MemberId, (users, keys): (usize, u64)) -> BTreeSet<MemberId> {
        let membership = &self.roster.membership;
        let new = membership.everybody().skip(users).map(|user| membership.id(user));
        new.chain((self.keys.taken() != keys).then_some(*author)).collect()
    }

    /// Processes the parked messages of these authors, and those that they reveal. Forged ones are dropped. Messages of
    /// others are left alone, however many wait.
    fn unpark(&mut self, mut due: BTreeSet<MemberId>, env: &mut Env<'_, '_>) -> Result<(), Error> {
        while let Some(author) = due.pop_first() {
            for bytes in self.parked.take(&author) {
                if !self.continues(env.user) {
                    return Ok(());
                }
                let before = self.known();
                match self.take(&author, &bytes, env) {
                    Ok(()) => {}
                    Err(error @ Error::Internal) => return Err(error),
                    // It was accepted when it was parked, so it must not be refused when it is repeated.
                    Err(_) => self.record(&author, &bytes),
                }
                due.extend(self.revealed(&author, before));
            }
        }
        Ok(())
    }

    pub(super) fn record(&mut self, author: &MemberId, bytes: &[u8]) {
        if let (Some(author), Ok((_, number))) = (self.roster.membership.index(author), messages::claimed(bytes)) {
            self.received.entry(author).or_default().insert(number);
        }
    }

    /// A message that I am said to have sent. The network may echo what I send. That has no effect, and so I need not
    /// check more than whether I can have sent it.
    pub(crate) fn receive_own(&self, me: &MemberId, bytes: &[u8]) -> Result<(), Error> {
        if Kind::of(bytes)? == Kind::Founders {
            // The group's id is a hash of it.
            let ours = Founders::decode(bytes)?.group_id(me) == self.id;
            return if ours { Ok(()) } else { Err(Error::WrongGroup) };
        }
        let (sender, number) = messages::claimed(bytes)?;
        let sent = sender == self.roster.handle(self.me())? && number <= self.number;
        if sent { Ok(()) } else { Err(Error::WrongAuthor) }
    }

    /// Processes one message, or parks it. After an error nothing has changed.
    fn take(&mut self, author: &MemberId, bytes: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        match Kind::of(bytes)? {
            // I have received it before, or it belongs to another group.
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
        let plaintext = match self.open(from, &message, env) {
            Err(Error::NotAuthentic) if self.has_received(from, message.number) => return Ok(()),
            opened => opened?,
        };
        let Ok(body) = self.split_distribution(from, &message, plaintext.expose()) else {
            env.events.push(Event::Rejected { from: *author, rule: Rule::Form });
            return Ok(());
        };
        self.process(KnownUser { id: *author, index: from }, message.kind, body, env)
    }

    /// Processes an authentic channel message. One that breaks a rule has no effect.
    pub(super) fn process(
        &mut self,
        from: KnownUser,
        kind: Kind,
        body: &[u8],
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        let notice = match kind {
            Kind::Add | Kind::Remove => Some(Notice::decode(body, kind == Kind::Add)),
            // I am a member already. The author did not know that and has added me, so its notice is new.
            Kind::Welcome => Some(Reader::new(body).prefixed().and_then(|notice| Notice::decode(notice, true))),
            _ => None,
        };
        let result = match notice {
            Some(notice) => match notice.map_err(|_| Rule::Form).and_then(|it| self.roster.receive(from.index, it)) {
                Ok(()) => return self.deliver_notices(env),
                Err(rule) => Err(rule),
            },
            None if !self.roster.membership.is_member(from.index) => match kind {
                Kind::Message => Err(Rule::AuthorNotAMember),
                // The author did not know of its removal. The message only prepares later ones.
                _ => return Ok(()),
            },
            None if kind == Kind::Update && !env.user.protocol.updates() => Err(Rule::Form),
            None if kind == Kind::Create => Err(Rule::GroupExists),
            None if kind != Kind::Message && !body.is_empty() => Err(Rule::Form),
            None => Ok(()),
        };
        if let Err(rule) = result {
            env.events.push(Event::Rejected { from: from.id, rule });
            return Ok(());
        }
        match kind {
            Kind::Message => env.events.push(Event::Message { from: from.id, plaintext: body.to_vec() }),
            Kind::UpdateRequest => self.post(&[from.index], Kind::Turn, &[], env)?,
            Kind::Turn if self.awaited.remove(from.index) => {
                self.post_update(&[from.index], env)?;
                if self.awaited.is_empty() {
                    self.keys.release();
                }
            }
            Kind::Update => {
                env.events.push(Event::Updated { by: from.id });
                // A thief of that member's state has my key too.
                self.keys.retire();
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn take_group_message(
        &mut self,
        author: &MemberId,
        bytes: &[u8],
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
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
                self.received.entry(from).or_default().insert(envelope.number);
                env.events.push(Event::Message { from: *author, plaintext: plaintext.0.expose().to_vec() });
                Ok(())
            }
            Err(NotOpened::Duplicate) => Ok(()),
            // Its key may be gone.
            Err(NotOpened::NoKey | NotOpened::Error(Error::NotAuthentic))
                if self.has_received(from, envelope.number) =>
            {
                Ok(())
            }
            Err(NotOpened::NoKey) if self.roster.membership.is_member(from) => self.parked.park(author, bytes),
            // The keys of removed members are gone.
            Err(NotOpened::NoKey) => Err(Error::NotAuthentic),
            Err(NotOpened::Error(error)) => Err(error),
        }
    }

    /// Delivers all notices that are ready.
    fn deliver_notices(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        while let Some(result) = self.roster.deliver() {
            let Applied { author, adds, joins, lost } = match result {
                Ok(applied) => applied,
                Err((author, rule)) => {
                    env.events.push(Event::Rejected { from: self.roster.id(author), rule });
                    continue;
                }
            };
            self.lose(author, &lost, env)?;
            if !self.continues(env.user) {
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

    /// Opens the channel with a joiner that another member has added, and sends it my notices that the adder did not
    /// know. They are due also to a joiner that another add has made a member, and to one that is not a member after
    /// all, which it learns from them.
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

    /// Hands out my key where it is due. Of two members without a channel, the one with the higher index waits for the
    /// other's message.
    fn settle(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        if !env.user.protocol.is_eager() || !self.roster.is_inside() || env.user.stolen {
            return Ok(());
        }
        if self.keys.own.is_none() {
            self.keys.rotate(&mut *env.context.rng)?;
        }
        let me = self.me();
        let due = self.without_my_key(|peer| me < peer || self.channels.contains_key(&peer));
        self.post(&due, Kind::Key, &[], env)
    }
}
