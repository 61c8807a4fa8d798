//! The Olm sessions with one peer.
//!
//! If both initiate a session at once, both sessions receive. Both members send on the one whose id is lower, so that
//! they agree on it.
//!
//! vodozemac does not tell a repeated message from a forged one, nor whether a session makes a new ratchet key next.
//! Both follow from the ratchet keys that have been sent and received.

use protocol::directory::Directory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::wire::codec::{Reader, put_len};
use vodozemac::Curve25519PublicKey;
use vodozemac::olm::{self, DecryptionError, OlmMessage, PreKeyMessage};

use crate::account::{Bundle, Keys};
use crate::messages::{self, inner};
use crate::overhear::{MAX_RECEIVED, receive_own};
use crate::pickle;

/// One initiated by me and one initiated by the peer.
const MAX_SESSIONS: usize = 2;
/// Chains of a session that are remembered, in each direction.
const MAX_CHAINS: usize = 32;
const NAME_LEN: usize = 8;

/// The beginning of a ratchet key, which names a chain.
type Name = [u8; NAME_LEN];

/// All sessions with one peer.
#[derive(Clone)]
pub(crate) struct Channel {
    /// The peer's identity key.
    identity: Curve25519PublicKey,
    /// Sorted by id. The first session is for sending.
    sessions: Vec<Session>,
}

struct Session {
    olm: olm::Session,
    /// Whether the next message carries a new ratchet key.
    turns_next: bool,
    /// The chains in which I have received, the latest last.
    received: Vec<Name>,
    /// The chains in which I have sent, with the numbers of messages, the latest last.
    sent: Vec<(Name, u64)>,
}

/// What a message of the peer's turns out to be.
pub(crate) enum Opened {
    /// A new message with this content.
    New(Vec<u8>),
    /// A message that has been opened before, or whose key is gone.
    Repeated,
}

impl Channel {
    /// Initiates a session with the owner of a bundle.
    pub(crate) fn initiate(
        peer: &MemberId,
        bundle: &Bundle,
        own: &Keys,
        directory: &dyn Directory,
    ) -> Result<Self, Error> {
        let session = Session::new(own.initiate(peer, bundle, directory)?, false);
        Ok(Self { identity: bundle.identity, sessions: vec![session] })
    }

    /// Answers a peer's first message. `check` may refuse its content.
    ///
    /// [`Error::NotAuthentic`] if the message does not open. Nothing has changed after an error.
    pub(crate) fn respond(
        identity: Curve25519PublicKey,
        message: &PreKeyMessage,
        own: &mut Keys,
        check: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, Error>,
    ) -> Result<(Self, Vec<u8>), Error> {
        let (session, content) = own.respond(identity, message, check)?;
        let mut session = Session::new(session, true);
        session.received.push(name(&message.message().ratchet_key()));
        Ok((Self { identity, sessions: vec![session] }, content))
    }

    /// Whether my next message carries a new ratchet key of mine.
    pub(crate) fn turns_next(&self) -> bool {
        self.sessions.first().is_some_and(|session| session.turns_next)
    }

    /// Encrypts the content of my next message.
    ///
    /// [`Error::NoBundle`] if the peer has initiated the session with a ratchet key of small order. Nothing has changed
    /// then.
    pub(crate) fn encrypt(&mut self, group: &GroupId, content: &[u8]) -> Result<Vec<u8>, Error> {
        let session = self.sessions.first_mut().ok_or(Error::Internal)?;
        let encrypted = match session.olm.has_received_message() {
            true => session.olm.encrypt(content),
            false => session.olm.encrypt(messages::bind(group, content)),
        };
        let message = encrypted.map_err(|_| Error::NoBundle)?;
        session.turns_next = false;
        session.record_sent(inner(&message));
        Ok(message.to_parts().1)
    }

    /// Whether I have sent this message.
    pub(crate) fn has_sent(&self, message: &OlmMessage) -> bool {
        let message = inner(message);
        let chain = name(&message.ratchet_key());
        let mut sent = self.sessions.iter().flat_map(|session| &session.sent);
        sent.any(|(sent, count)| *sent == chain && message.chain_index() < *count)
    }

    /// Decrypts a message of the peer's.
    ///
    /// [`Error::NotAuthentic`] if the message does not open, or if it initiates another session although the peer has
    /// initiated one before. Nothing has changed then.
    pub(crate) fn decrypt(&mut self, message: &OlmMessage, group: &GroupId, own: &mut Keys) -> Result<Opened, Error> {
        let OlmMessage::PreKey(first) = message else {
            return self.decrypt_normal(message);
        };
        let keys = first.session_keys();
        if let Some(session) = self.sessions.iter_mut().find(|session| session.olm.session_keys() == keys) {
            return match session.decrypt(message)? {
                Opened::New(plaintext) => messages::unbind(group, plaintext).map(Opened::New),
                Opened::Repeated => Ok(Opened::Repeated),
            };
        }
        let theirs = |session: &Session| session.olm.session_keys().identity_key == self.identity;
        if self.sessions.iter().any(theirs) {
            return Err(Error::NotAuthentic);
        }
        let (Self { sessions, .. }, content) =
            Self::respond(self.identity, first, own, |it| messages::unbind(group, it))?;
        self.sessions.extend(sessions);
        self.sessions.sort_by_cached_key(|session| session.olm.session_id());
        Ok(Opened::New(content))
    }

    fn decrypt_normal(&mut self, message: &OlmMessage) -> Result<Opened, Error> {
        let chain = name(&inner(message).ratchet_key());
        if let Some(session) = self.sessions.iter_mut().find(|session| session.received.contains(&chain)) {
            return session.decrypt(message);
        }
        let opened = self.sessions.iter_mut().find_map(|session| session.decrypt(message).ok());
        opened.ok_or(Error::NotAuthentic)
    }

    /// Decrypts a message of my own, as a thief of my state does that has called [`overhear`](Self::overhear).
    pub(crate) fn decrypt_own(&mut self, message: &OlmMessage, group: &GroupId) -> Option<Opened> {
        let chain = name(&inner(message).ratchet_key());
        let session = self.sessions.iter_mut().find(|session| session.received.contains(&chain))?;
        match (session.decrypt(message).ok()?, message) {
            (Opened::New(plaintext), OlmMessage::PreKey(_)) => messages::unbind(group, plaintext).map(Opened::New).ok(),
            (opened, _) => Some(opened),
        }
    }

    /// Lets a thief of my state read what I send until I make a new ratchet key.
    pub(crate) fn overhear(&mut self) -> Result<(), Error> {
        self.sessions.iter_mut().try_for_each(|session| {
            let chain = receive_own(&mut session.olm)?;
            session.received.extend(chain.as_ref().map(name));
            Ok(())
        })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.identity.as_bytes());
        put_len(out, self.sessions.len());
        for session in &self.sessions {
            pickle::put(out, &session.olm.pickle());
            out.push(session.turns_next.into());
            put_len(out, session.received.len());
            session.received.iter().for_each(|name| out.extend_from_slice(name));
            put_len(out, session.sent.len());
            for (name, count) in &session.sent {
                out.extend_from_slice(name);
                out.extend_from_slice(&count.to_be_bytes());
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let session = |reader: &mut Reader<'_>| {
            Ok::<_, Error>(Session {
                olm: olm::Session::from_pickle(pickle::take(reader)?),
                turns_next: reader.flag()?,
                received: (0..reader.count(NAME_LEN)?).map(|_| reader.array()).collect::<Result<_, _>>()?,
                sent: (0..reader.count(NAME_LEN)?)
                    .map(|_| Ok((reader.array()?, u64::from_be_bytes(reader.array()?))))
                    .collect::<Result<_, Error>>()?,
            })
        };
        let identity = Curve25519PublicKey::from_bytes(reader.array()?);
        let count = reader.count(1)?;
        let sessions: Vec<_> = (0..count).map(|_| session(reader)).collect::<Result<_, _>>()?;
        if sessions.is_empty() || sessions.len() > MAX_SESSIONS {
            return Err(Error::Malformed);
        }
        Ok(Self { identity, sessions })
    }
}

impl Session {
    fn new(olm: olm::Session, turns_next: bool) -> Self {
        Self { olm, turns_next, received: Vec::new(), sent: Vec::new() }
    }

    fn record_sent(&mut self, message: &olm::Message) {
        let (chain, count) = (name(&message.ratchet_key()), message.chain_index() + 1);
        match self.sent.last_mut() {
            Some((last, sent)) if *last == chain => *sent = count,
            _ => self.sent.push((chain, count)),
        }
        let excess = self.sent.len().saturating_sub(MAX_CHAINS);
        self.sent.drain(..excess);
    }

    /// [`Error::NotAuthentic`] if the message does not open. Nothing has changed then.
    fn decrypt(&mut self, message: &OlmMessage) -> Result<Opened, Error> {
        let chain = name(&inner(message).ratchet_key());
        let age = self.received.iter().rev().position(|known| *known == chain);
        if age.is_some_and(|age| age >= MAX_RECEIVED) {
            return Ok(Opened::Repeated);
        }
        // A session that does not open a message may have made a new ratchet key.
        let mut olm = duplicate(&self.olm);
        let plaintext = match olm.decrypt(message) {
            Ok(plaintext) => plaintext,
            Err(DecryptionError::MissingMessageKey(_)) if age.is_some() => return Ok(Opened::Repeated),
            Err(_) => return Err(Error::NotAuthentic),
        };
        self.olm = olm;
        if age.is_none() {
            self.turns_next = true;
            self.received.push(chain);
            let excess = self.received.len().saturating_sub(MAX_CHAINS);
            self.received.drain(..excess);
        }
        Ok(Opened::New(plaintext))
    }
}

impl Clone for Session {
    fn clone(&self) -> Self {
        Self {
            olm: duplicate(&self.olm),
            turns_next: self.turns_next,
            received: self.received.clone(),
            sent: self.sent.clone(),
        }
    }
}

fn duplicate(session: &olm::Session) -> olm::Session {
    olm::Session::from_pickle(session.pickle())
}

fn name(ratchet_key: &Curve25519PublicKey) -> Name {
    let mut name = Name::default();
    name.copy_from_slice(&ratchet_key.as_bytes()[..NAME_LEN]);
    name
}

#[cfg(test)]
mod tests {
    use protocol::directory::InMemoryDirectory;

    use super::*;

    const GROUP: GroupId = GroupId([7; 32]);

    struct Party {
        id: MemberId,
        keys: Keys,
        channel: Option<Channel>,
    }

    fn party(directory: &InMemoryDirectory) -> Party {
        let (keys, bundle, one_time) = Keys::generate(1);
        let id = keys.id();
        directory.publish(id, bundle, one_time);
        Party { id, keys, channel: None }
    }

    fn send(sender: &mut Party) -> Vec<u8> {
        sender.channel.as_mut().unwrap().encrypt(&GROUP, b"content").unwrap()
    }

    fn receive(
        recipient: &mut Party,
        sender: &MemberId,
        bytes: &[u8],
        directory: &InMemoryDirectory,
    ) -> Result<bool, Error> {
        let Ok(messages::Message::Olm(message)) = messages::Message::decode(bytes) else {
            return Err(Error::Malformed);
        };
        if let Some(channel) = &mut recipient.channel {
            return Ok(matches!(channel.decrypt(&message, &GROUP, &mut recipient.keys)?, Opened::New(_)));
        }
        let OlmMessage::PreKey(first) = &message else { return Err(Error::NotAuthentic) };
        let identity = Bundle::of(sender, directory)?.identity;
        let check = |plaintext| messages::unbind(&GROUP, plaintext);
        recipient.channel = Some(Channel::respond(identity, first, &mut recipient.keys, check)?.0);
        Ok(true)
    }

    /// Two parties, each of which has sent a message. The first one has sent the last.
    fn conversation(directory: &InMemoryDirectory) -> (Party, Party) {
        let (mut one, mut other) = (party(directory), party(directory));
        let bundle = Bundle::of(&other.id, directory).unwrap();
        one.channel = Some(Channel::initiate(&other.id, &bundle, &one.keys, directory).unwrap());
        for from_one in [true, false, true] {
            let (sender, recipient) = if from_one { (&mut one, &mut other) } else { (&mut other, &mut one) };
            let bytes = send(sender);
            assert_eq!(receive(recipient, &sender.id, &bytes, directory), Ok(true));
            assert_eq!(receive(recipient, &sender.id, &bytes, directory), Ok(false));
        }
        (one, other)
    }

    #[test]
    fn a_party_makes_a_new_ratchet_key_only_after_the_peer_has() {
        let directory = InMemoryDirectory::default();
        let (mut one, mut other) = conversation(&directory);
        assert!(!one.channel.as_ref().unwrap().turns_next() && other.channel.as_ref().unwrap().turns_next());
        let turn = send(&mut other);
        assert_eq!(receive(&mut one, &other.id, &turn, &directory), Ok(true));
        assert!(one.channel.as_ref().unwrap().turns_next() && !other.channel.as_ref().unwrap().turns_next());
    }

    /// What the caveats say of Olm.
    #[test]
    fn an_update_does_not_end_a_chain_that_a_thief_goes_on_with() {
        let directory = InMemoryDirectory::default();
        let (mut one, mut other) = conversation(&directory);
        let mut thief = Party { id: one.id, keys: one.keys.clone(), channel: one.channel.clone() };
        let request = send(&mut one);
        assert_eq!(receive(&mut other, &one.id, &request, &directory), Ok(true));
        let turn = send(&mut other);
        assert_eq!(receive(&mut one, &other.id, &turn, &directory), Ok(true));
        let update = send(&mut one);
        assert_eq!(receive(&mut other, &one.id, &update, &directory), Ok(true));
        // The first message of the thief is in the place of the request.
        for expected in [false, true] {
            let forged = send(&mut thief);
            assert_eq!(receive(&mut other, &one.id, &forged, &directory), Ok(expected));
        }
    }

    #[test]
    fn of_two_sessions_both_members_choose_the_same() {
        let directory = InMemoryDirectory::default();
        let mut parties = [party(&directory), party(&directory)];
        for at in [0, 1] {
            let peer = parties[1 - at].id;
            let bundle = Bundle::of(&peer, &directory).unwrap();
            parties[at].channel = Some(Channel::initiate(&peer, &bundle, &parties[at].keys, &directory).unwrap());
        }
        let sent = [0, 1].map(|at| send(&mut parties[at]));
        for at in [0, 1] {
            let author = parties[1 - at].id;
            assert_eq!(receive(&mut parties[at], &author, &sent[1 - at], &directory), Ok(true));
        }
        let chosen = |party: &Party| party.channel.as_ref().unwrap().sessions[0].olm.session_id();
        assert_eq!(chosen(&parties[0]), chosen(&parties[1]));
    }
}
