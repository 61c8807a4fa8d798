//! What a member does with the messages that it receives, from the one by which it joins.

use std::collections::BTreeSet;

use baselines::MAX_MEMBERS;
use baselines::notice::Notice;
use baselines::roster::{Applied, Roster};
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Rule};
use protocol::membership::{KnownUser, MemberIndex};
use protocol::wire::codec::Reader;
use vodozemac::megolm::MegolmMessage;
use vodozemac::olm::OlmMessage;

use super::Group;
use crate::account::Bundle;
use crate::channel::{Channel, Opened};
use crate::megolm;
use crate::messages::{self, Content, Distribution, Founders, Kind, Message};
use crate::user::{Env, Vodozemac};

impl Group {
    /// Joins as a founder, with the content of the creator's message to this user. The channel comes afterwards.
    pub(crate) fn join_founded(
        (me, variant): (MemberId, Vodozemac),
        (id, creator): (GroupId, MemberId),
        founders: &Founders,
        content: &Content<'_>,
    ) -> Result<Self, Error> {
        let unsupported = founders.mesh && variant.has_megolm();
        if unsupported || founders.others.len() >= MAX_MEMBERS || !content.body.is_empty() {
            return Err(Error::Malformed);
        }
        let roster = Roster::found(me, creator, &founders.others).map_err(|_| Error::Malformed)?;
        let mut group = Self::new(id, roster);
        group.take_session(MemberIndex(0), content.distribution, None, variant)?;
        Ok(group)
    }

    /// Opens the channels with the founders after me.
    pub(crate) fn greet_founders(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        let me = self.me();
        let later: Vec<_> = self.roster.others().into_iter().filter(|other| me < *other).collect();
        self.post(&later, Kind::Hello, &[], env)
    }

    /// Joins with the content of a welcome. The channel comes afterwards.
    pub(crate) fn join_invited(
        (me, variant): (MemberId, Vodozemac),
        (id, inviter): (GroupId, MemberId),
        content: &Content<'_>,
    ) -> Result<Self, Error> {
        let mut reader = Reader::new(content.body);
        let notice = Notice::decode(reader.prefixed()?, true)?;
        let roster = Roster::join(me, &inviter, &notice, reader.rest())?;
        let adder = roster.membership.index(&inviter).ok_or(Error::Malformed)?;
        let mut group = Self::new(id, roster);
        group.take_session(adder, content.distribution, None, variant)?;
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

    /// What parked messages wait for: users, and sessions of senders.
    fn known(&self) -> (usize, u64) {
        (self.roster.membership.everybody().len(), self.keys.taken())
    }

    /// The authors whose parked messages may be checked now, after a message of this author. Only its author's session
    /// can be in it.
    fn revealed(&self, author: &MemberId, (users, sessions): (usize, u64)) -> BTreeSet<MemberId> {
        let membership = &self.roster.membership;
        let new = membership.everybody().skip(users).map(|user| membership.id(user));
        new.chain((self.keys.taken() != sessions).then_some(*author)).collect()
    }

    /// Processes the parked messages of these authors, and those that they reveal. Forged ones are dropped.
    fn unpark(&mut self, mut due: BTreeSet<MemberId>, env: &mut Env<'_, '_>) -> Result<(), Error> {
        while let Some(author) = due.pop_first() {
            for bytes in self.parked.take(&author) {
                if !self.continues(env.user) {
                    return Ok(());
                }
                let before = self.known();
                match self.take(&author, &bytes, env) {
                    Err(error @ Error::Internal) => return Err(error),
                    Ok(()) | Err(_) => due.extend(self.revealed(&author, before)),
                }
            }
        }
        Ok(())
    }

    /// A message that I am said to have sent. The network may echo what I send. That has no effect, and so I need not
    /// check more than whether I can have sent it.
    pub(crate) fn receive_own(&self, me: &MemberId, bytes: &[u8]) -> Result<(), Error> {
        let sent = match Message::decode(bytes)? {
            // The group's id is a hash of it.
            Message::Founders(founders) => founders.group_id(me) == self.id,
            Message::Olm(message) => self.channels.values().any(|channel| channel.has_sent(&message)),
            Message::Megolm(number, message) => self.keys.has_sent(number, &message),
        };
        if sent { Ok(()) } else { Err(Error::WrongAuthor) }
    }

    /// Processes one message, or parks it. After an error nothing has changed.
    fn take(&mut self, author: &MemberId, bytes: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        let message = Message::decode(bytes)?;
        if let Message::Founders(founders) = &message {
            // I have received it before, or it belongs to another group.
            return if founders.group_id(author) == self.id { Ok(()) } else { Err(Error::WrongGroup) };
        }
        let Some(index) = self.roster.membership.index(author) else {
            return self.parked.park(author, bytes);
        };
        let from = KnownUser { id: *author, index };
        match message {
            Message::Megolm(number, message) => self.take_group_message(from, (number, &message), bytes, env),
            Message::Olm(message) => match self.open(from, &message, env)? {
                Opened::New(content) => self.process(from, &content, env),
                Opened::Repeated => Ok(()),
            },
            Message::Founders(_) => Err(Error::Internal),
        }
    }

    /// Decrypts an Olm message of a known sender. After an error nothing has changed.
    fn open(&mut self, from: KnownUser, message: &OlmMessage, env: &mut Env<'_, '_>) -> Result<Opened, Error> {
        let (group, own) = (self.id, &mut env.user.keys);
        if let Some(channel) = self.channels.get_mut(&from.index) {
            return channel.decrypt(message, &group, own);
        }
        let OlmMessage::PreKey(message) = message else { return Err(Error::NotAuthentic) };
        let identity = Bundle::of(&from.id, env.context.directory).map_err(|_| Error::NotAuthentic)?.identity;
        let (channel, content) = Channel::respond(identity, message, own, |it| messages::unbind(&group, it))?;
        self.channels.insert(from.index, channel);
        Ok(Opened::New(content))
    }

    /// Takes the sender's Megolm session. One of a removed member would never be used.
    fn take_session(
        &mut self,
        from: MemberIndex,
        distribution: Option<Distribution<'_>>,
        ends: Option<&[u8]>,
        variant: Vodozemac,
    ) -> Result<(), Error> {
        match distribution {
            Some(_) if !variant.has_megolm() => Err(Error::Malformed),
            Some(distribution) if self.roster.membership.is_member(from) => self.keys.take(from, distribution, ends),
            _ => Ok(()),
        }
    }

    /// Decodes a content, takes the sessions in it, and returns the rest.
    fn take_sessions<'a>(
        &mut self,
        from: MemberIndex,
        content: &'a [u8],
        variant: Vodozemac,
    ) -> Result<(Kind, &'a [u8]), Error> {
        let Content { kind, distribution, body } = Content::decode(content)?;
        match kind {
            Kind::Update if distribution.is_some() => {
                self.take_session(from, distribution, Some(body), variant)?;
                Ok((kind, &[]))
            }
            Kind::Key => {
                self.take_session(from, distribution, None, variant)?;
                let mut earlier = Reader::new(body);
                while !earlier.remaining().is_empty() {
                    self.take_session(from, Some(Distribution::decode(&mut earlier)?), None, variant)?;
                }
                Ok((kind, &[]))
            }
            _ => self.take_session(from, distribution, None, variant).map(|()| (kind, body)),
        }
    }

    /// Processes the content of an authentic Olm message. One that breaks a rule has no effect.
    pub(crate) fn process(&mut self, from: KnownUser, content: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        let Ok((kind, body)) = self.take_sessions(from.index, content, env.user.variant) else {
            env.events.push(Event::Rejected { from: from.id, rule: Rule::Form });
            return Ok(());
        };
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
                // A thief of that member's state has my session too.
                self.keys.retire();
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn take_group_message(
        &mut self,
        from: KnownUser,
        message: (u32, &MegolmMessage),
        bytes: &[u8],
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        if !env.user.variant.has_megolm() {
            return Err(Error::Malformed);
        }
        match self.keys.open(from.index, message)? {
            megolm::Opened::New(plaintext) => env.events.push(Event::Message { from: from.id, plaintext }),
            megolm::Opened::Repeated => {}
            megolm::Opened::NoSession if self.roster.membership.is_member(from.index) => {
                self.parked.park(&from.id, bytes)?;
            }
            // The sessions of removed members are gone. The message may have been read before.
            megolm::Opened::NoSession => {}
        }
        Ok(())
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
    /// know.
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
}
