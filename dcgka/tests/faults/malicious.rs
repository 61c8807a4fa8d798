//! A member that does what no honest one does: with a user's secrets it can sign any body, as any kind, under any
//! number.
//!
//! The layout of bodies that such tests need is here and nowhere else: [`Payload`], [`Invitation`] and [`slots`].

use std::collections::BTreeMap;
use std::ops::Range;

use protocol::crypto::dh::{PrivateKey, PublicKey};
use protocol::crypto::hash::{self, Digest};
use protocol::crypto::hpke;
use protocol::crypto::label::{self, Label};
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SigningKey, VerificationKey};
use protocol::id::MemberId;
use protocol::wire::codec::Reader;
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};
use protocol::x3dh::{self, PeerBundle, PrekeySecrets};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::common::{COLD, COMMITMENT, Sent, WARM, World};

pub const CREATE: Kind = Kind(1);
pub const ADD: Kind = Kind(2);
pub const REMOVE: Kind = Kind(3);
pub const UPDATE: Kind = Kind(4);
pub const ACK: Kind = Kind(5);
pub const ACK_NONE: Kind = Kind(6);
pub const ADD_ACK: Kind = Kind(7);
pub const WELCOME: Kind = Kind(8);
pub const MESSAGE: Kind = Kind(9);

/// The number of a kind, without the bits for the parts of its envelope.
pub fn kind_of(bytes: &[u8]) -> Kind {
    Kind(bytes[1] & 0x1f)
}

/// The secrets of a user, held by somebody that follows no rules.
pub struct Malicious {
    pub user: usize,
    pub id: MemberId,
    pub identity: SigningKey,
    pub prekeys: PrekeySecrets,
    /// The key that signs its next message.
    pub key: SigningKey,
    /// The number of its last message.
    pub number: u32,
    /// Keys that it has made for its peers, and will encrypt to next.
    made: BTreeMap<usize, PublicKey>,
    pub rng: ChaCha20Rng,
}

impl Malicious {
    /// A thief's copy of a user's keys. The user continues.
    pub fn rob(world: &World, user: usize) -> Self {
        let id = world.id(user);
        let state = world.users[user].member.export();
        // Their places in the export are not known.
        let key_at = |at: usize| SigningKey::from_secret(&Secret::new(state[at..at + 32].try_into().unwrap()));
        let find = |wanted: &[u8; 32]| {
            let mut places = 0..state.len() - 31;
            places.find(|at| key_at(*at).verification_key().as_bytes() == wanted).unwrap()
        };
        let at = find(&id.0);
        let prekeys = PrekeySecrets::decode(&mut Reader::new(&state[at + 32..])).unwrap();
        let broadcasts = world.sent.iter().filter(|sent| sent.author == user && sent.to.is_none());
        let envelopes = broadcasts.map(|sent| Envelope::decode(&sent.bytes).unwrap());
        let (number, key) =
            envelopes.fold((0, id.0), |(_, key), envelope| (envelope.number, envelope.new_key.unwrap_or(key)));
        let key = key_at(find(&key));
        let rng = ChaCha20Rng::seed_from_u64(user as u64);
        Self { user, id, identity: key_at(at), prekeys, key, number, made: BTreeMap::new(), rng }
    }

    /// The user itself turns malicious. It receives nothing, so that it sends nothing honest any more.
    pub fn turn(world: &mut World, user: usize) -> Self {
        world.users[user].online = false;
        Self::rob(world, user)
    }

    /// Its next message, which a test can change.
    pub fn draft<'a>(&self, kind: Kind, body: &'a [u8]) -> Draft<'a> {
        Draft { kind, sender: self.id, number: self.number + 1, subject: Subject::None, new_key: None, body }
    }

    /// Signs with its current key.
    pub fn sign(&self, world: &World, draft: &Draft<'_>) -> Vec<u8> {
        let subject = draft.subject.name().map(|id| id.handle());
        draft.sign(&world.group, draft.sender.handle(), subject, &self.key).0
    }

    /// Broadcasts its next message, with a new key if the kind has one. Returns the place.
    pub fn post(&mut self, world: &mut World, kind: Kind, subject: Subject<MemberId>, body: &[u8]) -> usize {
        let new_key = [ADD, REMOVE, UPDATE].contains(&kind).then(|| SigningKey::random(&mut self.rng));
        let draft =
            Draft { subject, new_key: new_key.as_ref().map(SigningKey::verification_key), ..self.draft(kind, body) };
        let bytes = self.sign(world, &draft);
        self.number += 1;
        self.key = new_key.unwrap_or_else(|| self.key.clone());
        world.sent.push(Sent { author: self.user, to: None, kind: "malicious", bytes });
        world.sent.len() - 1
    }

    /// Changes the body of a message that the robbed user has sent under the stolen key.
    pub fn alter(&self, world: &mut World, place: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let genuine = world.sent[place].bytes.clone();
        let envelope = Envelope::decode(&genuine).unwrap();
        let id_of = |handle| world.users.iter().map(|user| user.id).find(|id| id.handle() == handle).unwrap();
        let mut body = envelope.body.to_vec();
        change(&mut body);
        let draft = Draft {
            kind: kind_of(&genuine),
            sender: self.id,
            number: envelope.number,
            subject: envelope.subject.map(id_of),
            new_key: envelope.new_key.map(|key| VerificationKey::from_bytes(&key).unwrap()),
            body: &body,
        };
        world.sent[place].bytes = self.sign(world, &draft);
    }

    pub fn secret(&mut self) -> Secret {
        Secret::random(&mut self.rng)
    }

    /// What is encrypted to a peer, as an honest member would make it.
    pub fn payload(&mut self, secret: &Secret) -> Payload {
        let (theirs, mine) = (PrivateKey::random(&mut self.rng), PrivateKey::random(&mut self.rng));
        Payload { secret: secret.clone(), theirs, mine: mine.public_key(), index: 1 }
    }

    /// A two-party ciphertext for its next message: to the peer's prekeys first, then to the key it made for the peer.
    pub fn slot(&mut self, world: &World, to: usize, payload: &Payload) -> Vec<u8> {
        let (info, associated) = self.binding(world, to);
        let plaintext = payload.encode();
        let (origin, sealed) = match self.made.get(&to) {
            Some(key) => (2, hpke::seal(key, &info, &associated, &plaintext, &mut self.rng).unwrap()),
            None => {
                let bundle = x3dh::peer_bundle(&world.id(to), &world.directory).unwrap();
                let bound = [info, associated].concat();
                (1, x3dh::seal(&self.prekeys, &bundle, None, &bound, &plaintext, &mut self.rng).unwrap())
            }
        };
        self.made.insert(to, payload.theirs.public_key());
        [&[origin], &sealed[..]].concat()
    }

    /// A ciphertext for its next message to a fresh key of the peer, given with its index.
    pub fn fresh_slot(&mut self, world: &World, to: usize, fresh: (u32, PublicKey), payload: &Payload) -> Vec<u8> {
        let (info, associated) = self.binding(world, to);
        let identity = x3dh::peer_bundle(&world.id(to), &world.directory).unwrap().identity;
        let (peer, bound) = (PeerBundle { identity, signed: fresh.1 }, [info, associated].concat());
        let sealed = x3dh::seal_to_fresh(&self.prekeys, &peer, &bound, &payload.encode(), &mut self.rng).unwrap();
        self.made.insert(to, payload.theirs.public_key());
        [&[fresh.0 as u8 + 2], &sealed[..]].concat()
    }

    /// The same with HPKE, which shows nothing of who has made it.
    pub fn hpke_slot(&mut self, world: &World, to: usize, fresh: (u32, PublicKey), payload: &Payload) -> Vec<u8> {
        let (info, associated) = self.binding(world, to);
        let sealed = hpke::seal(&fresh.1, &info, &associated, &payload.encode(), &mut self.rng).unwrap();
        self.made.insert(to, payload.theirs.public_key());
        [&[fresh.0 as u8 + 2], &sealed[..]].concat()
    }

    /// Info and associated data of a ciphertext in its next message.
    pub fn binding(&self, world: &World, to: usize) -> (Vec<u8>, Vec<u8>) {
        let info = [label::TWO_PARTY, &world.group.0, &self.id.0, &world.id(to).0].concat();
        (info, [&self.key.verification_key().as_bytes()[..], &(self.number + 1).to_be_bytes()].concat())
    }

    /// What its next message commits to.
    pub fn commitment(&self, world: &World, what: Label, secret: &Secret) -> Vec<u8> {
        let number = self.number + 1;
        let parts: [&[u8]; 4] = [&world.group.0, &self.id.0, &number.to_be_bytes(), secret.expose()];
        hash::hash(what, &parts).0.to_vec()
    }

    /// The body of an UPDATE or REMOVE: a commitment to one seed, and a given slot for each recipient.
    pub fn seeded(&mut self, world: &World, committed: &Secret, slots: &[(usize, Vec<u8>)]) -> Vec<u8> {
        let mut body = self.commitment(world, label::SEED_COMMITMENT, committed);
        let mut slots: Vec<_> = slots.iter().map(|(user, slot)| (world.id(*user), slot)).collect();
        slots.sort_unstable();
        slots.iter().for_each(|(_, slot)| body.extend_from_slice(slot));
        body
    }

    /// The same with the committed seed for all.
    pub fn update_body(&mut self, world: &World, recipients: &[usize]) -> Vec<u8> {
        let seed = self.secret();
        let slots: Vec<_> = recipients.iter().map(|user| (*user, self.honest_slot(world, *user, &seed))).collect();
        self.seeded(world, &seed, &slots)
    }

    /// The body of an ADD, with a ciphertext that is only well formed.
    pub fn add_body(&mut self, user: &MemberId) -> Vec<u8> {
        [&user.0[..], &[0; COMMITMENT], &[1], &[0; COLD - 1]].concat()
    }

    pub fn honest_slot(&mut self, world: &World, to: usize, secret: &Secret) -> Vec<u8> {
        let payload = self.payload(secret);
        self.slot(world, to, &payload)
    }
}

/// The plaintext of a two-party ciphertext.
pub struct Payload {
    pub secret: Secret,
    /// The peer's next private key.
    pub theirs: PrivateKey,
    /// The sender's next public key, and its index.
    pub mine: PublicKey,
    pub index: u32,
}

impl Payload {
    pub fn encode(&self) -> Vec<u8> {
        let parts: [&[u8]; 4] =
            [self.secret.expose(), self.theirs.as_secret().expose(), &self.mine.0, &self.index.to_be_bytes()];
        parts.concat()
    }
}

/// Where the two-party ciphertexts are in the body of a message.
pub fn slots(bytes: &[u8]) -> Vec<Range<usize>> {
    let body = Envelope::decode(bytes).unwrap().body;
    let kind = kind_of(bytes);
    let (mut at, gap) = match kind {
        CREATE => (32 + COMMITMENT + 1 + 32 * usize::from(body[32 + COMMITMENT]), 0),
        REMOVE | UPDATE => (COMMITMENT, 0),
        ADD => (32 + COMMITMENT, 0),
        ACK if !body.is_empty() => (COMMITMENT + 8, 8),
        ADD_ACK => (0, COMMITMENT),
        _ => (body.len(), 0),
    };
    let mut slots = Vec::new();
    while at < body.len() {
        let len = match body[at] {
            0 => 1,
            1 => COLD,
            _ => WARM,
        };
        slots.push(at..at + len);
        at += len + gap;
    }
    slots
}

/// An ADD and its WELCOME in parts.
#[derive(Clone)]
pub struct Invitation {
    pub user: MemberId,
    pub number: u32,
    pub new_key: VerificationKey,
    /// The commitment to the adder's ratchet, and the ratchet, encrypted to the joiner.
    pub ratchet: Vec<u8>,
    /// What the joiner learns of the group.
    pub state: Vec<u8>,
}

impl Invitation {
    /// Takes a genuine ADD and WELCOME apart.
    pub fn of(world: &World, add: usize, welcome: usize) -> Self {
        let (add, welcome) = (&world.sent[add].bytes, &world.sent[welcome].bytes);
        let (add, body) = (Envelope::decode(add).unwrap(), Envelope::decode(welcome).unwrap().body);
        Self {
            user: MemberId(add.body[..32].try_into().unwrap()),
            number: add.number,
            new_key: VerificationKey::from_bytes(&add.new_key.unwrap()).unwrap(),
            ratchet: add.body[32..].to_vec(),
            state: body[32..].to_vec(),
        }
    }

    /// ADD and WELCOME, signed as the inviter signs them.
    pub fn sign(&self, world: &World, by: &Malicious) -> (Vec<u8>, Vec<u8>) {
        let body = [&self.user.0[..], &self.ratchet].concat();
        let add = Draft { number: self.number, new_key: Some(self.new_key), ..by.draft(ADD, &body) };
        let (add, digest) = add.sign(&world.group, by.id.handle(), None, &by.key);
        (add, self.sign_welcome(world, by, &digest, &by.identity))
    }

    /// A WELCOME that names this hash, under this key.
    pub fn sign_welcome(&self, world: &World, by: &Malicious, add: &Digest, key: &SigningKey) -> Vec<u8> {
        let body = [&add.0[..], &self.state].concat();
        let draft = Draft { number: self.number, ..by.draft(WELCOME, &body) };
        draft.sign(&world.group, by.id.handle(), None, key).0
    }
}
