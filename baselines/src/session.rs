//! Sessions between two members: X3DH starts them, the Double Ratchet carries them.
//!
//! The initiator's messages carry a *prekey header* until its first answer comes, since any of them may be the first to
//! arrive:
//!
//! ```text
//! identity key 32 | ephemeral key 32 | id of the one-time prekey 4 | id of the signed prekey 4
//! ```
//!
//! Where both initiate at once, both sessions are there to receive with, and the one that the member with the smaller id
//! initiated is sent on.

use protocol::crypto::dh::{PUBLIC_KEY_LEN, PublicKey};
use protocol::crypto::label;
use protocol::crypto::secret::SecretBytes;
use protocol::directory::Directory;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::wire::codec::{Reader, put_len};
use protocol::x3dh::{self, FIRST_CONTACT_LEN, FirstContact, PrekeySecrets};
use rand_core::CryptoRng;

use crate::double_ratchet::DoubleRatchet;

/// Bytes of a prekey header.
pub const PREKEY_HEADER_LEN: usize = PUBLIC_KEY_LEN + FIRST_CONTACT_LEN + size_of::<u32>();

/// There is one signed prekey for each bundle.
const SIGNED_PREKEY_ID: u32 = 1;

/// What a session's first messages carry besides the ratchet's.
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

/// Whom a message of a session is between, and what the sender binds to it besides.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub(crate) sender: &'a MemberId,
    pub(crate) recipient: &'a MemberId,
    /// The group, and the message's header.
    pub(crate) context: &'a [u8],
}

/// A sealed message: the prekey header, if it has one, and the ratchet's message.
pub(crate) struct Sealed {
    pub(crate) prekey_header: Option<Vec<u8>>,
    pub(crate) message: Vec<u8>,
}

/// All sessions with one peer: the first one is sent on. There is a second one after both have initiated at once.
#[derive(Clone)]
pub(crate) struct Channel(Vec<Session>);

#[derive(Clone)]
struct Session {
    ratchet: DoubleRatchet,
    /// How it began; it is known by that.
    header: PrekeyHeader,
    responder: PublicKey,
    by_me: bool,
    /// I initiated it, and no answer has come.
    unanswered: bool,
}

impl Channel {
    /// Initiates a session. Counts one verification, two key generations, five DHs (four without a one-time prekey).
    ///
    /// [`Error::NoBundle`] where the directory has no valid bundle of the peer.
    pub(crate) fn open(
        peer: &MemberId,
        own: &PrekeySecrets,
        directory: &dyn Directory,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, Error> {
        let bundle = x3dh::peer_bundle(peer, directory)?;
        let one_time = directory.one_time(peer);
        let (secret, contact) = x3dh::initiate(own, &bundle, one_time.as_deref(), label::SESSION, rng)?;
        let ratchet = DoubleRatchet::initiator(secret, &bundle.signed, rng).map_err(|_| Error::NoBundle)?;
        let header = PrekeyHeader { identity: *own.identity(), contact };
        Ok(Self(vec![Session { ratchet, header, responder: bundle.identity, by_me: true, unanswered: true }]))
    }

    /// Answers a peer's first message: the session, and the plaintext. Counts one verification and five DHs (four without a
    /// one-time prekey), which is deleted.
    ///
    /// [`Error::NotAuthentic`] where it does not open, or the identity key is not the sender's: nothing has changed then.
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
        Ok((Self(vec![session]), plaintext))
    }

    /// Whether my next message carries a new key of mine.
    pub(crate) fn turns_next(&self) -> bool {
        self.0.first().is_some_and(|session| session.ratchet.turns_next())
    }

    /// Whether my next message carries a prekey header.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.0.first().is_some_and(|session| session.unanswered)
    }

    pub(crate) fn encrypt(
        &mut self,
        plaintext: &[u8],
        binding: &Binding<'_>,
        rng: &mut dyn CryptoRng,
    ) -> Result<Sealed, Error> {
        let session = self.0.first_mut().ok_or(Error::Internal)?;
        let associated = session.associated(binding);
        let message = session.ratchet.encrypt(plaintext, &associated, rng)?;
        Ok(Sealed { prekey_header: session.unanswered.then(|| session.header.encode()), message })
    }

    /// Decrypts a message of the peer's.
    ///
    /// [`Error::NotAuthentic`] where it does not open, or initiates another session although the peer has done so before:
    /// nothing has changed then.
    pub(crate) fn decrypt(
        &mut self,
        header: Option<&PrekeyHeader>,
        message: &[u8],
        binding: &Binding<'_>,
        own: &mut PrekeySecrets,
        directory: &dyn Directory,
    ) -> Result<SecretBytes, Error> {
        let Some(header) = header else {
            return self
                .0
                .iter_mut()
                .find_map(|session| session.decrypt(message, binding).ok())
                .ok_or(Error::NotAuthentic);
        };
        if let Some(session) = self.0.iter_mut().find(|session| !session.by_me) {
            if session.header != *header {
                return Err(Error::NotAuthentic);
            }
            return session.decrypt(message, binding);
        }
        let (Self(theirs), plaintext) = Self::respond(header, message, binding, own, directory)?;
        let place = if binding.sender < binding.recipient { 0 } else { self.0.len() };
        self.0.splice(place..place, theirs);
        Ok(plaintext)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.0.len());
        for session in &self.0 {
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
        (0..reader.count(PREKEY_HEADER_LEN)?).map(|_| session(reader)).collect::<Result<_, _>>().map(Self)
    }
}

impl Session {
    fn decrypt(&mut self, message: &[u8], binding: &Binding<'_>) -> Result<SecretBytes, Error> {
        let plaintext = self.ratchet.decrypt(message, &self.associated(binding))?;
        self.unanswered = false;
        Ok(plaintext)
    }

    /// Both identity keys, the initiator's first (X3DH specification, section 3.3), the prekey header that is sent or was
    /// answered, both ids, and what the sender binds. All but the last have fixed lengths.
    fn associated(&self, binding: &Binding<'_>) -> Vec<u8> {
        let header = self.header.encode();
        [&self.responder.0[..], &header, &binding.sender.0, &binding.recipient.0, binding.context].concat()
    }
}
