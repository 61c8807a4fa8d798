//! The Double Ratchet compared with two other implementations, message by message: a naive model of the specification,
//! and the crate `double-ratchet` 0.1 by S. R. Verschoor, to which its user supplies the primitives. Signal publishes
//! no test vectors.
//!
//! All three draw the same private keys in the same order, although at different times.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod model;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use baselines::MAX_SKIPPED;
use baselines::double_ratchet::DoubleRatchet;
use double_ratchet as other;
use model::Bytes32;
use protocol::crypto::dh::{PrivateKey, PublicKey};
use protocol::crypto::secret::Secret;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// One party in one of the implementations.
trait Party {
    /// `None` if the party cannot send yet.
    fn encrypt(&mut self, plaintext: &[u8], associated: &[u8]) -> Option<Vec<u8>>;
    /// `None` if the message does not open.
    fn decrypt(&mut self, message: &[u8], associated: &[u8]) -> Option<Vec<u8>>;
}

struct Ours(DoubleRatchet, ChaCha20Rng);

impl Party for Ours {
    fn encrypt(&mut self, plaintext: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plaintext, associated, &mut self.1).ok()
    }

    fn decrypt(&mut self, message: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(message, associated).ok().map(|plaintext| plaintext.expose().to_vec())
    }
}

impl Party for model::State {
    fn encrypt(&mut self, plaintext: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        self.encrypt(plaintext, associated)
    }

    fn decrypt(&mut self, message: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        self.decrypt(message, associated)
    }
}

/// The primitives of the model, for the other implementation.
struct Primitives;

struct Pair {
    private: Bytes32,
    public: Bytes32,
}

impl Pair {
    fn of(private: Bytes32) -> Self {
        Self { private, public: model::public(&private) }
    }
}

impl other::KeyPair for Pair {
    type PublicKey = Bytes32;

    fn new<R: old_rand_core::CryptoRng + old_rand_core::RngCore>(rng: &mut R) -> Self {
        let mut private = [0; 32];
        rng.fill_bytes(&mut private);
        Self::of(private)
    }

    fn public(&self) -> &Bytes32 {
        &self.public
    }
}

impl Primitives {
    /// The other implementation binds the caller's data ‖ key ‖ number ‖ length of the previous chain. Ours binds the
    /// message's header ‖ the caller's data.
    fn rearranged(associated: &[u8]) -> Vec<u8> {
        let (callers, header) = associated.split_at(associated.len() - 40);
        let (key, numbers) = header.split_at(32);
        let (number, previous) = numbers.split_at(4);
        [key, previous, number, callers].concat()
    }
}

impl other::CryptoProvider for Primitives {
    type PublicKey = Bytes32;
    type KeyPair = Pair;
    type SharedSecret = Bytes32;
    type RootKey = Bytes32;
    type ChainKey = Bytes32;
    type MessageKey = Bytes32;

    fn diffie_hellman(us: &Pair, them: &Bytes32) -> Bytes32 {
        model::dh(&us.private, them)
    }

    fn kdf_rk(root_key: &Bytes32, shared_secret: &Bytes32) -> (Bytes32, Bytes32) {
        model::kdf_rk(root_key, shared_secret)
    }

    fn kdf_ck(chain_key: &Bytes32) -> (Bytes32, Bytes32) {
        model::kdf_ck(chain_key)
    }

    fn encrypt(key: &Bytes32, plaintext: &[u8], associated: &[u8]) -> Vec<u8> {
        model::encrypt(key, plaintext, &Self::rearranged(associated))
    }

    fn decrypt(key: &Bytes32, ciphertext: &[u8], associated: &[u8]) -> Result<Vec<u8>, other::DecryptError> {
        model::decrypt(key, ciphertext, &Self::rearranged(associated)).ok_or(other::DecryptError::DecryptFailure)
    }
}

/// The same stream of keys, in the form that the other implementation expects.
struct Keys(ChaCha20Rng);

impl old_rand_core::RngCore for Keys {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), old_rand_core::Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

impl old_rand_core::CryptoRng for Keys {}

struct Other(other::DoubleRatchet<Primitives>, Keys);

impl Party for Other {
    fn encrypt(&mut self, plaintext: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        let (header, ciphertext) = self.0.try_ratchet_encrypt(plaintext, associated, &mut self.1).ok()?;
        let header = model::Header { dh: header.dh, pn: header.pn, n: header.n }.encode();
        Some([header, ciphertext].concat())
    }

    fn decrypt(&mut self, message: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        let (model::Header { dh, pn, n }, ciphertext) = model::Header::decode(message)?;
        self.0.ratchet_decrypt(&other::Header { dh, n, pn }, ciphertext, associated).ok()
    }
}

/// Two parties, each in all implementations.
struct Conversation([Vec<Box<dyn Party>>; 2]);

impl Conversation {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (secret, prekey) = (model::generate(&mut rng), model::generate(&mut rng));
        let prekey_public = model::public(&prekey);
        let keys = |party: u64| ChaCha20Rng::seed_from_u64(seed << 2 | party);

        let mut own = keys(1);
        let alice = DoubleRatchet::initiator(Secret::new(secret), &PublicKey(prekey_public), &mut own).unwrap();
        let mut others = Keys(keys(1));
        let alices: Vec<Box<dyn Party>> = vec![
            Box::new(Ours(alice, own)),
            Box::new(model::State::alice(secret, prekey_public, keys(1))),
            Box::new(Other(other::DoubleRatchet::new_alice(&secret, prekey_public, None, &mut others), others)),
        ];
        let private = PrivateKey::from_secret(Secret::new(prekey));
        let bob = DoubleRatchet::responder(Secret::new(secret), private, PublicKey(prekey_public));
        let bobs: Vec<Box<dyn Party>> = vec![
            Box::new(Ours(bob, keys(2))),
            Box::new(model::State::bob(secret, prekey, keys(2))),
            Box::new(Other(other::DoubleRatchet::new_bob(secret, Pair::of(prekey), None), Keys(keys(2)))),
        ];
        Self([alices, bobs])
    }

    /// Lets a party send. All implementations must produce the same message, or none.
    #[track_caller]
    fn send(&mut self, from: usize, plaintext: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        let all: Vec<_> = self.0[from].iter_mut().map(|party| party.encrypt(plaintext, associated)).collect();
        assert!(all.iter().all(|message| *message == all[0]), "the implementations send different messages");
        all[0].clone()
    }

    /// Hands a message to a party. All implementations must read the same plaintext, or none.
    #[track_caller]
    fn deliver(&mut self, to: usize, message: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        let all: Vec<_> = self.0[to].iter_mut().map(|party| party.decrypt(message, associated)).collect();
        assert!(all.iter().all(|plaintext| *plaintext == all[0]), "the implementations read different plaintexts");
        all[0].clone()
    }
}

fn below(rng: &mut ChaCha20Rng, bound: usize) -> usize {
    usize::try_from(rng.next_u64() % bound as u64).unwrap()
}

struct Sent {
    to: usize,
    message: Vec<u8>,
    associated: Vec<u8>,
    plaintext: Vec<u8>,
}

/// Messages overtake each other, get lost, arrive twice or damaged, and the parties take turns. Returns how often a
/// party answered.
fn run(seed: u64) -> usize {
    let mut conversation = Conversation::new(seed);
    let mut rng = ChaCha20Rng::seed_from_u64(!seed);
    let (mut waiting, mut read): (Vec<Sent>, Vec<Sent>) = Default::default();
    let (mut last_read, mut answers) = (None, 0);
    for step in 0_u32..80 {
        match below(&mut rng, 10) {
            0..4 => {
                let from = below(&mut rng, 2);
                let plaintext = vec![b'a' + from as u8; below(&mut rng, 40)];
                let associated = step.to_be_bytes().to_vec();
                if let Some(message) = conversation.send(from, &plaintext, &associated) {
                    answers += usize::from(last_read.take_if(|reader| *reader == from).is_some());
                    waiting.push(Sent { to: 1 - from, message, associated, plaintext });
                }
            }
            4..8 if !waiting.is_empty() => {
                let place = below(&mut rng, waiting.len());
                let sent = waiting.swap_remove(place);
                let mut damaged = sent.message.clone();
                let byte = below(&mut rng, damaged.len());
                damaged[byte] ^= 1 << below(&mut rng, 8);
                assert_eq!(conversation.deliver(sent.to, &damaged, &sent.associated), None);
                assert_eq!(conversation.deliver(sent.to, &sent.message, b"other"), None);
                let plaintext = conversation.deliver(sent.to, &sent.message, &sent.associated);
                assert_eq!(plaintext.as_ref(), Some(&sent.plaintext));
                last_read = Some(sent.to);
                read.push(sent);
            }
            8 if !waiting.is_empty() => {
                let lost = below(&mut rng, waiting.len());
                waiting.swap_remove(lost);
            }
            9 if !read.is_empty() => {
                let again = &read[below(&mut rng, read.len())];
                assert_eq!(conversation.deliver(again.to, &again.message, &again.associated), None, "a replay");
            }
            _ => {}
        }
    }
    answers
}

#[test]
fn three_implementations_send_and_read_the_same_bytes_in_any_order_and_with_losses() {
    let mut answers = 0;
    for seed in 0..150 {
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(count) => answers += count,
            Err(failure) => {
                eprintln!("schedule {seed}");
                resume_unwind(failure);
            }
        }
    }
    assert!(answers > 1000, "the schedules hardly take turns: {answers}");
}

#[test]
fn a_responder_cannot_send_before_it_has_received() {
    let mut conversation = Conversation::new(1000);
    assert_eq!(conversation.send(1, b"too early", b""), None);
    let message = conversation.send(0, b"hello", b"").unwrap();
    assert_eq!(conversation.deliver(1, &message, b"").unwrap(), b"hello");
    let answer = conversation.send(1, b"now", b"").unwrap();
    assert_eq!(conversation.deliver(0, &answer, b"").unwrap(), b"now");
}

#[test]
fn exactly_as_many_messages_as_the_limit_may_be_skipped_as_in_the_model() {
    let limit = u32::try_from(MAX_SKIPPED).unwrap();
    assert_eq!(limit, model::MAX_SKIP);
    let mut conversation = Conversation::new(1001);
    // The other implementation has another limit.
    conversation.0.iter_mut().for_each(|side| side.truncate(2));
    let messages: Vec<_> = (0..=limit + 1).map(|_| conversation.send(0, b"", b"").unwrap()).collect();
    assert_eq!(conversation.deliver(1, &messages[MAX_SKIPPED + 1], b""), None);
    assert!(conversation.deliver(1, &messages[MAX_SKIPPED], b"").is_some());
    assert!(conversation.deliver(1, &messages[0], b"").is_some(), "the oldest of the skipped keys is kept");
    assert!(
        conversation.deliver(1, &messages[MAX_SKIPPED - 1], b"").is_some(),
        "the newest of the skipped keys is kept"
    );
    assert!(conversation.deliver(1, &messages[MAX_SKIPPED + 1], b"").is_some());
}
