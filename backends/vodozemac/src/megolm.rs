//! Megolm sessions: each member sends in one of its own, and receives in those of the others. An author numbers its
//! sessions.
//!
//! A session that receives keeps the key of the first message that is missing, from which those of all later ones
//! follow.
//!
//! An update gives up the sender's earlier sessions, because somebody else may have them. Messages in them may still be
//! under way, so the update says how many there are: later ones are not accepted.

use std::collections::{BTreeMap, BTreeSet};

use protocol::error::Error;
use protocol::membership::{MemberIndex, MemberSet};
use protocol::wire::codec::{Reader, put_len, put_prefixed, put_varint};
use vodozemac::megolm::{DecryptionError, GroupSession, InboundGroupSession, MegolmMessage, SessionConfig, SessionKey};

use crate::messages::{self, Distribution};
use crate::pickle;

/// Sessions of one sender that are kept, because messages in the latest ones may be under way.
const MAX_SESSIONS: usize = 5;
/// Sessions that are given up and of which messages are accepted.
const MAX_ENDS: usize = MAX_SESSIONS - 1;
/// Messages of a session that may have been read before an earlier one.
const MAX_AHEAD: usize = 2000;

/// My own session.
struct Own {
    number: u32,
    session: GroupSession,
    /// The members to whom it has been sent.
    holders: MemberSet,
    /// A distribution from before the first message that was sent while the session was withheld from a member.
    withheld: Option<Vec<u8>>,
}

/// Another member's session.
struct Received {
    number: u32,
    session: InboundGroupSession,
    /// Messages that have been read, after the first one that is missing.
    ahead: BTreeSet<u32>,
}

/// The sessions of another member.
#[derive(Clone, Default)]
struct Peer {
    /// Sessions with smaller numbers are given up: only the messages that were sent in them are accepted.
    first: u32,
    /// Numbers of sessions that are given up, and of the messages in each. Sorted.
    ends: Vec<(u32, u32)>,
    /// Sorted by number.
    sessions: Vec<Received>,
}

/// All Megolm sessions of a member.
#[derive(Clone, Default)]
pub(crate) struct Sessions {
    own: Option<Own>,
    last_number: u32,
    /// The numbers of messages in my last sessions before the present one, the latest first.
    ends: Vec<u32>,
    /// Distributions of earlier sessions in which I sent while they were withheld from a member.
    withheld: Vec<Vec<u8>>,
    peers: BTreeMap<MemberIndex, Peer>,
    /// How many sessions of others were kept since this value was made or restored.
    taken: u64,
}

/// What a Megolm message turns out to be.
pub(crate) enum Opened {
    New(Vec<u8>),
    /// A message that has been opened before, or whose session is gone.
    Repeated,
    /// Its session has not arrived.
    NoSession,
}

impl Own {
    fn distribution(&self) -> Vec<u8> {
        Distribution::encode(self.number, &self.session.session_key().to_bytes())
    }
}

impl Sessions {
    /// Begins a new session. No other member has it yet.
    pub(crate) fn rotate(&mut self) -> Result<(), Error> {
        let number = self.last_number.checked_add(1).ok_or(Error::Internal)?;
        self.retire();
        self.last_number = number;
        let session = GroupSession::new(SessionConfig::version_1());
        self.own = Some(Own { number, session, holders: MemberSet::new(), withheld: None });
        Ok(())
    }

    /// Stops to send in my session.
    pub(crate) fn retire(&mut self) {
        if let Some(own) = self.own.take() {
            self.ends.insert(0, own.session.message_index());
            self.ends.truncate(MAX_ENDS);
            self.withheld.extend(own.withheld);
            let excess = self.withheld.len().saturating_sub(MAX_ENDS);
            self.withheld.drain(..excess);
        }
    }

    pub(crate) fn has_own(&self) -> bool {
        self.own.is_some()
    }

    /// Whether a member has my session. It does if I have none.
    pub(crate) fn is_held_by(&self, member: MemberIndex) -> bool {
        self.own.as_ref().is_none_or(|own| own.holders.contains(member))
    }

    /// What a member needs to read my messages from now on or, if my session was `withheld` from it, from the first one
    /// that I sent meanwhile.
    pub(crate) fn distribution(&self, withheld: bool) -> Option<Vec<u8>> {
        let own = self.own.as_ref()?;
        own.withheld.clone().filter(|_| withheld).or_else(|| Some(own.distribution()))
    }

    /// Records that my session has been sent to a member.
    pub(crate) fn handed_to(&mut self, member: MemberIndex) {
        if let Some(own) = &mut self.own {
            own.holders.insert(member);
        }
    }

    /// Drops what was kept for members from whom my sessions were withheld: there are none any more.
    pub(crate) fn release(&mut self) {
        self.withheld.clear();
        if let Some(own) = &mut self.own {
            own.withheld = None;
        }
    }

    /// My earlier sessions in which I sent while they were withheld from a member.
    pub(crate) fn withheld(&self) -> Vec<u8> {
        self.withheld.concat()
    }

    /// What an update says of my earlier sessions.
    pub(crate) fn ends(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.ends.iter().for_each(|end| put_varint(&mut out, *end));
        out
    }

    /// Encrypts my next message. If the session is `withheld` from a member, it is kept as it is now.
    pub(crate) fn encrypt(&mut self, plaintext: &[u8], withheld: bool) -> Result<Vec<u8>, Error> {
        let own = self.own.as_mut().ok_or(Error::Internal)?;
        if withheld && own.withheld.is_none() {
            own.withheld = Some(own.distribution());
        }
        Ok(messages::megolm(own.number, &own.session.encrypt(plaintext)))
    }

    /// Whether my session has a number left for another message.
    pub(crate) fn can_send(&self) -> bool {
        self.last_number < u32::MAX && self.own.as_ref().is_none_or(|own| own.session.message_index() < u32::MAX)
    }

    /// Whether I can have sent this message.
    pub(crate) fn has_sent(&self, number: u32, message: &MegolmMessage) -> bool {
        match &self.own {
            Some(own) if own.number == number => message.message_index() < own.session.message_index(),
            _ => (1..=self.last_number).contains(&number),
        }
    }

    /// Takes a session that arrived over the sender's channel. With `ends`, the sender gives up its earlier ones.
    pub(crate) fn take(
        &mut self,
        sender: MemberIndex,
        Distribution { number, key }: Distribution<'_>,
        ends: Option<&[u8]>,
    ) -> Result<(), Error> {
        let key = SessionKey::from_bytes(key).map_err(|_| Error::Malformed)?;
        let ends = ends.map(read_ends).transpose()?;
        let peer = self.peers.entry(sender).or_default();
        if let Some(ends) = ends {
            peer.give_up_before(number, &ends);
        }
        // A later session may have overtaken this one. A session is never set back.
        let place = peer.sessions.partition_point(|known| known.number < number);
        let is_known = peer.sessions.get(place).is_some_and(|known| known.number == number);
        if is_known || number < peer.first && peer.end(number).is_none() {
            return Ok(());
        }
        let session = InboundGroupSession::new(&key, SessionConfig::version_1());
        peer.sessions.insert(place, Received { number, session, ahead: BTreeSet::new() });
        self.taken += 1;
        let excess = peer.sessions.len().saturating_sub(MAX_SESSIONS);
        peer.sessions.drain(..excess);
        Ok(())
    }

    /// Lets a thief read what is sent in my session as in that of any other member.
    pub(crate) fn read_own(&mut self, me: MemberIndex) -> Result<(), Error> {
        let Some(own) = &self.own else { return Ok(()) };
        let (number, key) = (own.number, own.session.session_key().to_bytes());
        self.take(me, Distribution { number, key: &key }, None)
    }

    /// A number that grows with each session that [`take`](Self::take) keeps.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Opens a message of `sender`.
    ///
    /// [`Error::NotAuthentic`]; nothing has changed then.
    pub(crate) fn open(
        &mut self,
        sender: MemberIndex,
        (number, message): (u32, &MegolmMessage),
    ) -> Result<Opened, Error> {
        let Some(peer) = self.peers.get_mut(&sender) else { return Ok(Opened::NoSession) };
        let end = peer.end(number);
        if end.is_some_and(|end| message.message_index() >= end) {
            return Err(Error::NotAuthentic);
        }
        let full = peer.sessions.len() >= MAX_SESSIONS;
        let too_old = full && peer.sessions.first().is_some_and(|oldest| number < oldest.number);
        if too_old || end.is_none() && number < peer.first {
            return Ok(Opened::Repeated);
        }
        match peer.sessions.iter_mut().find(|known| known.number == number) {
            Some(session) => session.open(message),
            None => Ok(Opened::NoSession),
        }
    }

    /// Forgets the sessions of a removed member.
    pub(crate) fn forget(&mut self, sender: MemberIndex) {
        self.peers.remove(&sender);
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.last_number);
        put_prefixed(out, &self.ends());
        put_prefixed(out, &self.withheld());
        out.push(self.own.is_some().into());
        if let Some(own) = &self.own {
            put_varint(out, own.number);
            pickle::put(out, &own.session.pickle());
            put_len(out, own.holders.len());
            own.holders.iter().for_each(|member| put_varint(out, member.0));
            put_prefixed(out, own.withheld.as_deref().unwrap_or_default());
        }
        put_len(out, self.peers.len());
        for (sender, Peer { first, ends, sessions }) in &self.peers {
            put_varint(out, sender.0);
            put_varint(out, *first);
            put_len(out, ends.len());
            ends.iter().flat_map(|(number, end)| [number, end]).for_each(|number| put_varint(out, *number));
            put_len(out, sessions.len());
            for Received { number, session, ahead } in sessions {
                put_varint(out, *number);
                pickle::put(out, &session.pickle());
                put_len(out, ahead.len());
                ahead.iter().for_each(|index| put_varint(out, *index));
            }
        }
    }

    /// `known` is the number of members that have an index.
    pub(crate) fn decode(reader: &mut Reader<'_>, known: usize) -> Result<Self, Error> {
        let mut keys = Self { last_number: reader.varint()?, ends: read_ends(reader.prefixed()?)?, ..Self::default() };
        let mut withheld = Reader::new(reader.prefixed()?);
        while !withheld.remaining().is_empty() {
            let Distribution { number, key } = Distribution::decode(&mut withheld)?;
            keys.withheld.push(Distribution::encode(number, key));
        }
        if reader.flag()? {
            let (number, session) = (reader.varint()?, GroupSession::from_pickle(pickle::take(reader)?));
            let holders = take_set(reader, known)?;
            let withheld = Some(reader.prefixed()?.to_vec()).filter(|withheld| !withheld.is_empty());
            keys.own = Some(Own { number, session, holders, withheld });
        }
        for _ in 0..reader.count(3)? {
            let (sender, first) = (take_member(reader, known)?, reader.varint()?);
            let ends = 0..reader.count(2)?;
            let ends = ends.map(|_| Ok((reader.varint()?, reader.varint()?))).collect::<Result<_, Error>>()?;
            let sessions = 0..reader.count(1)?;
            let sessions = sessions.map(|_| Received::decode(reader)).collect::<Result<_, _>>()?;
            keys.peers.insert(sender, Peer { first, ends, sessions });
        }
        Ok(keys)
    }
}

impl Received {
    fn open(&mut self, message: &MegolmMessage) -> Result<Opened, Error> {
        let plaintext = match self.session.decrypt(message) {
            Ok(decrypted) => decrypted.plaintext,
            // The signature is checked first, so the message is authentic and has been read.
            Err(DecryptionError::UnknownMessageIndex(..)) => return Ok(Opened::Repeated),
            Err(_) => return Err(Error::NotAuthentic),
        };
        if !self.ahead.insert(message.message_index()) {
            return Ok(Opened::Repeated);
        }
        let mut missing = self.session.first_known_index();
        while self.ahead.len() > MAX_AHEAD || self.ahead.contains(&missing) {
            // Of too many, the oldest gap is given up.
            let Some(next) = self.ahead.pop_first().and_then(|read| read.checked_add(1)) else { break };
            missing = next;
        }
        self.session.advance_to(missing);
        Ok(Opened::New(plaintext))
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            number: reader.varint()?,
            session: InboundGroupSession::from_pickle(pickle::take(reader)?),
            ahead: (0..reader.count(1)?).map(|_| reader.varint()).collect::<Result<_, _>>()?,
        })
    }
}

impl Peer {
    /// The number of messages in a session that is given up.
    fn end(&self, number: u32) -> Option<u32> {
        self.ends.iter().find(|(ended, _)| *ended == number).map(|(_, end)| *end)
    }

    /// Gives up the sessions before this one. `ends` has the numbers of messages in the latest of them.
    fn give_up_before(&mut self, number: u32, ends: &[u32]) {
        for (ended, end) in (0..number).rev().zip(ends) {
            // An update that a later one has overtaken says nothing new.
            let is_known = || self.sessions.iter().any(|session| session.number == ended);
            if self.end(ended).is_none() && (self.first <= ended || is_known()) {
                self.ends.push((ended, *end));
            }
        }
        self.ends.sort_unstable();
        let excess = self.ends.len().saturating_sub(MAX_ENDS);
        self.ends.drain(..excess);
        self.first = self.first.max(number);
        let Self { first, ends, sessions } = self;
        sessions.retain(|known| known.number >= *first || ends.iter().any(|(ended, _)| *ended == known.number));
    }
}

impl Clone for Own {
    fn clone(&self) -> Self {
        Self {
            number: self.number,
            session: GroupSession::from_pickle(self.session.pickle()),
            holders: self.holders.clone(),
            withheld: self.withheld.clone(),
        }
    }
}

impl Clone for Received {
    fn clone(&self) -> Self {
        let session = InboundGroupSession::from_pickle(self.session.pickle());
        Self { number: self.number, session, ahead: self.ahead.clone() }
    }
}

/// What an update says of its sender's earlier sessions: of at most [`MAX_ENDS`].
fn read_ends(bytes: &[u8]) -> Result<Vec<u32>, Error> {
    let mut reader = Reader::new(bytes);
    let mut ends = Vec::new();
    while !reader.remaining().is_empty() && ends.len() < MAX_ENDS {
        ends.push(reader.varint()?);
    }
    reader.finish()?;
    Ok(ends)
}

pub(crate) fn take_set(reader: &mut Reader<'_>, known: usize) -> Result<MemberSet, Error> {
    (0..reader.count(1)?).map(|_| take_member(reader, known)).collect()
}

/// Reads an index below `known`. The check bounds memory: a set takes room for the highest index in it.
pub(crate) fn take_member(reader: &mut Reader<'_>, known: usize) -> Result<MemberIndex, Error> {
    let member = MemberIndex(reader.varint()?);
    if member.to_usize() < known { Ok(member) } else { Err(Error::Malformed) }
}
