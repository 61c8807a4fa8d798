//! Sessions between two members: started by X3DH, continued by the Double Ratchet.
//!
//! The initiator's messages carry a *prekey header* until it receives the first answer, because any of them may be the
//! first to arrive:
//!
//! ```text
//! identity key 32 | ephemeral key 32 | id of the one-time prekey 4 | id of the signed prekey 4
//! ```
//!
//! If both members initiate concurrently, both sessions receive. Both members send on the session initiated by the
//! member with the smaller id. The other session has messages of its initiator only, in one chain. On the session that
//! is used, the initiator says in each message which chain that is and how many messages it has. An update closes the
//! other session, because no update heals it: only these messages are accepted on it from then on. What counts is the
//! latest statement, so that one that a thief has made before the update does not outlive it.

use protocol::crypto::dh::{PUBLIC_KEY_LEN, PublicKey};
use protocol::crypto::label;
use protocol::crypto::secret::SecretBytes;
use protocol::directory::Directory;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::wire::codec::{Reader, put_len};
use protocol::x3dh::{self, FIRST_CONTACT_LEN, FirstContact, PeerBundle, PrekeySecrets};
use rand_core::CryptoRng;

use crate::double_ratchet::{ChainEnd, DoubleRatchet};

/// Bytes of a prekey header.
pub const PREKEY_HEADER_LEN: usize = PUBLIC_KEY_LEN + FIRST_CONTACT_LEN + size_of::<u32>();

/// Each bundle has one signed prekey.
const SIGNED_PREKEY_ID: u32 = 1;

/// One initiated by me and one initiated by the peer.
const MAX_SESSIONS: usize = 2;

/// What a session's first messages carry in front of the Double Ratchet message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrekeyHeader {
    identity: PublicKey,
    contact: FirstContact,
}

impl PrekeyHeader {
    fn encode(&self) -> Vec<u8> {
        [&self.identity.0[..], &self.contact.encode(), &SIGNED_PREKEY_ID.to_be_bytes()].concat()
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let header = Self { identity: PublicKey(reader.array()?), contact: FirstContact::decode(reader)? };
        if u32::from_be_bytes(reader.array()?) == SIGNED_PREKEY_ID { Ok(header) } else { Err(Error::Malformed) }
    }
}

/// What a message of a session is bound to, besides the session itself.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub(crate) sender: &'a MemberId,
    pub(crate) recipient: &'a MemberId,
    /// The group, and the header of the message.
    pub(crate) context: &'a [u8],
}

/// A sealed message: the prekey header, if it has one, and the Double Ratchet message.
pub(crate) struct Sealed {
    pub(crate) prekey_header: Option<Vec<u8>>,
    pub(crate) message: Vec<u8>,
}

/// All sessions with one peer.
#[derive(Clone)]
pub(crate) struct Channel {
    /// The first session is for sending. There is a second one if both members initiated concurrently.
    sessions: Vec<Session>,
    /// Whether no other session is accepted any more, but for what is under way.
    closed: bool,
    /// My chain in the session that I have left.
    left: Option<ChainEnd>,
    /// The peer's chain in the session that it has left, as it says in the present receiving chain.
    ended: Option<ChainEnd>,
}

#[derive(Clone)]
struct Session {
    ratchet: DoubleRatchet,
    /// How the session began. It identifies the session.
    header: PrekeyHeader,
    /// The responder's identity key.
    responder: PublicKey,
    /// Whether I initiated the session.
    by_me: bool,
    /// Whether I initiated the session and have received no answer.
    unanswered: bool,
}

impl Channel {
    /// Initiates a session with the owner of a bundle. Counts two key generations, five DHs (four without a one-time
    /// prekey).
    ///
    /// [`Error::NoBundle`] if a key of the bundle has small order.
    pub(crate) fn open(
        peer: &MemberId,
        bundle: &PeerBundle,
        own: &PrekeySecrets,
        directory: &dyn Directory,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, Error> {
        let one_time = directory.one_time(peer);
        let (secret, contact) = x3dh::initiate(own, bundle, one_time.as_deref(), label::SESSION, rng)?;
        let ratchet = DoubleRatchet::initiator(secret, &bundle.signed, rng).map_err(|_| Error::NoBundle)?;
        let header = PrekeyHeader { identity: *own.identity(), contact };
        let session = Session { ratchet, header, responder: bundle.identity, by_me: true, unanswered: true };
        Ok(Self::new(session))
    }

    fn new(session: Session) -> Self {
        Self { sessions: vec![session], closed: false, left: None, ended: None }
    }

    /// Answers a peer's first message: returns the session and the plaintext. Counts one verification and five DHs
    /// (four without a one-time prekey). The one-time prekey is deleted.
    ///
    /// [`Error::NotAuthentic`] if the message does not open or the identity key is not the sender's. Nothing has
    /// changed then.
    pub(crate) fn respond(
        header: &PrekeyHeader,
        message: &[u8],
        binding: &Binding<'_>,
        own: &mut PrekeySecrets,
        directory: &dyn Directory,
    ) -> Result<(Self, SecretBytes), Error> {
        // Nothing else in the message is signed, so the sender's bundle must bind the key to the id.
        let bundle = x3dh::peer_bundle(binding.sender, directory)?;
        if bundle.identity != header.identity {
            return Err(Error::NotAuthentic);
        }
        let secret = x3dh::respond(own, &header.identity, &header.contact, label::SESSION)?;
        let ratchet = DoubleRatchet::responder(secret, own.signed().clone(), *own.signed_key());
        let (header, responder) = (*header, *own.identity());
        let mut session = Session { ratchet, header, responder, by_me: false, unanswered: false };
        let plaintext = session.decrypt(message, binding)?;
        own.used(&header.contact);
        Ok((Self::new(session), plaintext))
    }

    /// Whether my next message carries a new key of mine.
    pub(crate) fn turns_next(&self) -> bool {
        self.sessions.first().is_some_and(|session| session.ratchet.turns_next())
    }

    /// The counters of my messages in all sessions.
    pub(crate) fn counters(&self) -> impl Iterator<Item = u32> {
        self.sessions.iter().map(|session| session.ratchet.sent())
    }

    #[cfg(test)]
    pub(crate) fn set_sent(&mut self, sent: u32) {
        self.sessions.iter_mut().for_each(|session| session.ratchet.set_sent(sent));
    }

    /// Whether my next message carries a prekey header.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.sessions.first().is_some_and(|session| session.unanswered)
    }

    /// What my next message must say of the session that I have left.
    pub(crate) fn left(&self) -> Option<ChainEnd> {
        self.left
    }

    /// A message that has been decrypted says which of the peer's messages are in a session that it has left.
    pub(crate) fn learn(&mut self, ended: Option<ChainEnd>, message: &[u8]) {
        if self.sessions.first().is_some_and(|session| session.ratchet.is_latest(message)) {
            self.ended = ended;
            self.prune();
        }
    }

    /// If the channel is closed, only the session for sending is kept, and one with a chain that has ended.
    fn prune(&mut self) {
        if self.closed {
            let ended = self.ended;
            let mut place = 0;
            self.sessions.retain(|session| {
                place += 1;
                place == 1 || ended.is_some_and(|ended| ended.is_received_in(&session.ratchet))
            });
        }
    }

    pub(crate) fn encrypt(
        &mut self,
        plaintext: &[u8],
        binding: &Binding<'_>,
        rng: &mut dyn CryptoRng,
    ) -> Result<Sealed, Error> {
        let session = self.sessions.first_mut().ok_or(Error::Internal)?;
        let associated = session.associated(binding);
        let message = session.ratchet.encrypt(plaintext, &associated, rng)?;
        Ok(Sealed { prekey_header: session.unanswered.then(|| session.header.encode()), message })
    }

    /// Decrypts a message of my own, as a thief of my state does.
    ///
    /// [`Error::NotAuthentic`] if its key does not follow from the state. Nothing has changed then.
    pub(crate) fn decrypt_own(&mut self, message: &[u8], binding: &Binding<'_>) -> Result<SecretBytes, Error> {
        let opened = |session: &mut Session| {
            let associated = session.associated(binding);
            session.ratchet.decrypt_own(message, &associated).ok()
        };
        self.sessions.iter_mut().find_map(opened).ok_or(Error::NotAuthentic)
    }

    /// Decrypts a message of the peer's.
    ///
    /// [`Error::NotAuthentic`] if the message does not open, or if it initiates another session although the peer has
    /// initiated one before. Nothing has changed then.
    pub(crate) fn decrypt(
        &mut self,
        (header, message): (Option<&PrekeyHeader>, &[u8]),
        binding: &Binding<'_>,
        own: &mut PrekeySecrets,
        directory: &dyn Directory,
    ) -> Result<SecretBytes, Error> {
        // On a session that is closed, only what was sent before.
        let open = !self.closed || self.ended.is_some_and(|ended| ended.covers(message));
        let accepts = |place: usize| place == 0 || open;
        let Some(header) = header else {
            let mut sessions = self.sessions.iter_mut().enumerate().filter(|(place, _)| accepts(*place));
            return sessions.find_map(|(_, session)| session.decrypt(message, binding).ok()).ok_or(Error::NotAuthentic);
        };
        let theirs = self.sessions.iter_mut().enumerate().find(|(_, session)| !session.by_me);
        if let Some((_, session)) = theirs.filter(|(place, session)| session.header == *header && accepts(*place)) {
            return session.decrypt(message, binding);
        }
        if !open || self.sessions.iter().any(|session| !session.by_me) {
            return Err(Error::NotAuthentic);
        }
        let (Self { sessions: theirs, .. }, plaintext) = Self::respond(header, message, binding, own, directory)?;
        let place = if binding.sender < binding.recipient { 0 } else { self.sessions.len() };
        if place == 0 {
            self.left = self.sessions.first().and_then(|session| session.ratchet.first_chain());
        }
        self.sessions.splice(place..place, theirs);
        Ok(plaintext)
    }

    /// From now on only the session for sending is accepted, if it has been answered: the peer sends on it too. Of the
    /// other one, what is under way remains.
    pub(crate) fn close(&mut self) {
        if !self.is_unanswered() {
            self.closed = true;
            self.prune();
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.closed.into());
        for end in [&self.left, &self.ended] {
            out.push(end.is_some().into());
            out.extend(end.iter().flat_map(ChainEnd::encode));
        }
        put_len(out, self.sessions.len());
        for session in &self.sessions {
            session.ratchet.encode(out);
            out.extend_from_slice(&session.header.encode());
            out.extend_from_slice(&session.responder.0);
            out.push(session.by_me.into());
            out.push(session.unanswered.into());
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let session = |reader: &mut Reader<'_>| {
            Ok(Session {
                ratchet: DoubleRatchet::decode(reader)?,
                header: PrekeyHeader::decode(reader)?,
                responder: PublicKey(reader.array()?),
                by_me: reader.flag()?,
                unanswered: reader.flag()?,
            })
        };
        let closed = reader.flag()?;
        let [mut left, mut ended] = [None; 2];
        for end in [&mut left, &mut ended] {
            *end = reader.flag()?.then(|| ChainEnd::decode(reader)).transpose()?;
        }
        let count = reader.count(PREKEY_HEADER_LEN)?;
        let sessions: Vec<_> = (0..count).map(|_| session(reader)).collect::<Result<_, _>>()?;
        if sessions.is_empty() || sessions.len() > MAX_SESSIONS {
            return Err(Error::Malformed);
        }
        Ok(Self { sessions, closed, left, ended })
    }
}

impl Session {
    fn decrypt(&mut self, message: &[u8], binding: &Binding<'_>) -> Result<SecretBytes, Error> {
        let plaintext = self.ratchet.decrypt(message, &self.associated(binding))?;
        self.unanswered = false;
        Ok(plaintext)
    }

    /// The responder's identity key, the prekey header with the initiator's identity key (X3DH specification, section
    /// 3.3), both ids, and the context of the binding. All but the last have fixed lengths.
    fn associated(&self, binding: &Binding<'_>) -> Vec<u8> {
        let header = self.header.encode();
        [&self.responder.0[..], &header, &binding.sender.0, &binding.recipient.0, binding.context].concat()
    }
}
