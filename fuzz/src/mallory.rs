//! A member whose keys the fuzzer owns. It runs the protocol, so that it can send ciphertexts that open. But the input
//! alters its messages before they are properly signed.

use core::convert::Infallible;
use std::collections::VecDeque;

use dcgka::Dcgka;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SIGNING_KEY_LEN, SigningKey};
use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend as _, Context, Incoming, Member, Outgoing};
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng, TryCryptoRng, TryRng};

/// An acknowledgement, without the part that names what it acknowledges.
const ACK: Kind = Kind(5);

/// A message before it is signed.
#[derive(Clone)]
pub struct Unsigned {
    pub kind: Kind,
    pub subject: Subject<MemberId>,
    pub new_key: Option<SigningKey>,
    pub body: Vec<u8>,
    /// The only recipient; `None` if it is for everybody.
    pub to: Option<MemberId>,
}

pub struct Mallory {
    pub id: MemberId,
    pub member: Box<dyn Member>,
    pub identity: SigningKey,
    /// The key that signs the next message.
    pub key: SigningKey,
    /// The number of the last message.
    pub number: u32,
    /// The answers that the protocol would send to received messages.
    pub answers: VecDeque<Unsigned>,
    rng: Recorder,
}

impl Clone for Mallory {
    fn clone(&self) -> Self {
        let Self { id, member, identity, key, number, answers, rng } = self;
        let (identity, key, answers, rng) = (identity.clone(), key.clone(), answers.clone(), rng.clone());
        Self { id: *id, member: member.duplicate(), identity, key, number: *number, answers, rng }
    }
}

impl Mallory {
    pub fn new(backend: Dcgka, directory: &InMemoryDirectory) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        // A new user draws its identity first.
        let identity = SigningKey::random(&mut rng.clone());
        let user = backend.new_user(4, &mut rng);
        assert_eq!(user.id.0, *identity.verification_key().as_bytes());
        directory.publish(user.id, user.bundle, user.one_time);
        let (key, rng) = (identity.clone(), Recorder { rng, last: [0; SIGNING_KEY_LEN] });
        Self { id: user.id, member: user.member, identity, key, number: 0, answers: VecDeque::new(), rng }
    }

    /// The messages that the protocol would send. `users` are those that they can name.
    pub fn act(
        &mut self,
        directory: &InMemoryDirectory,
        users: &[MemberId],
        action: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) -> Vec<Unsigned> {
        let mut context = Context { rng: &mut self.rng, directory, confirm_inviter: &|_| true };
        let outgoing = action(self.member.as_mut(), &mut context).unwrap_or_default();
        // A repair comes before the requested message. The key that the repair draws is not the last that is drawn, so
        // here it announces that last one.
        let key = SigningKey::from_secret(&Secret::new(self.rng.last));
        outgoing.iter().map(|message| self.unsign(message, users, &key)).collect()
    }

    fn unsign(&self, message: &Outgoing, users: &[MemberId], drawn: &SigningKey) -> Unsigned {
        let envelope = Envelope::decode(&message.bytes).expect("what the protocol sends decodes");
        let named = |handle| users.iter().copied().find(|id| id.handle() == handle).unwrap_or(self.id);
        let to = match message.to {
            protocol::member::Recipients::Everyone => None,
            protocol::member::Recipients::One(id) => Some(id),
        };
        let (subject, new_key) = (envelope.subject.map(named), envelope.new_key.map(|_| drawn.clone()));
        // She signs what others would send under a tag.
        let kind = if envelope.is_tagged() { ACK } else { Kind(envelope.kind.0 & 0x1f) };
        Unsigned { kind, subject, new_key, body: envelope.body.to_vec(), to }
    }

    /// Receives a message of another user, and holds back the answers.
    pub fn receive(
        &mut self,
        group: GroupId,
        author: MemberId,
        bytes: &[u8],
        directory: &InMemoryDirectory,
        users: &[MemberId],
    ) {
        let incoming = Incoming { group, author, bytes };
        let answers = self.act(directory, users, |member, context| {
            member.receive_one(&incoming, context).map(|received| received.outgoing)
        });
        self.answers.extend(answers);
    }

    /// The signed form of a message.
    pub fn sign(&self, group: &GroupId, number: u32, key: &SigningKey, message: &Unsigned) -> Vec<u8> {
        let Unsigned { kind, subject, new_key, body, .. } = message;
        let new_key = new_key.as_ref().map(SigningKey::verification_key);
        let draft = Draft { kind: *kind, sender: self.id, number, subject: *subject, new_key, body };
        let named = subject.name().map(|id| id.handle());
        draft.sign(group, self.id.handle(), named, key).0
    }
}

/// A generator that records the last key that was drawn: the one that a message announces.
#[derive(Clone)]
struct Recorder {
    rng: ChaCha20Rng,
    last: [u8; SIGNING_KEY_LEN],
}

impl TryRng for Recorder {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.rng.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.rng.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.rng.fill_bytes(bytes);
        if let Ok(key) = (&*bytes).try_into() {
            self.last = key;
        }
        Ok(())
    }
}

impl TryCryptoRng for Recorder {}
