//! Application messages under a cipher of the fault's own. The backend carries the key of each message, as a plaintext:
//! so exactly those whom the message is for can read it, whatever is wrong with the key.

use std::marker::PhantomData;

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Outgoing, Received};
use protocol::operation::PLAINTEXT_LEN;
use protocol::wire::codec::{Reader, put_prefixed};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng as _, SeedableRng as _};

use super::{Action, Fault, note};

const SEED: usize = 20;

/// The key of a message: a seed of a keystream, and how much of that is skipped.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) seed: [u8; SEED],
    pub(super) skipped: u32,
}

impl Key {
    /// The key with this number under a root key.
    pub(super) fn numbered(root: [u8; SEED], number: u32) -> Self {
        let mut seed = root;
        seed[..4].iter_mut().zip(number.to_be_bytes()).for_each(|(byte, other)| *byte ^= other);
        Self { seed, skipped: 0 }
    }

    /// So much of the keystream.
    pub(super) fn stream(self, len: usize) -> Vec<u8> {
        let mut seed = [0; 32];
        seed[..SEED].copy_from_slice(&self.seed);
        let mut stream = vec![0; self.skipped as usize + len];
        ChaCha20Rng::from_seed(seed).fill_bytes(&mut stream);
        stream.split_off(self.skipped as usize)
    }
}

/// What a member keeps between its messages: a root key, if it has drawn one, and a number.
#[derive(Clone, Default)]
pub(super) struct Chain {
    root: Option<[u8; SEED]>,
    pub(super) number: u32,
}

impl Chain {
    /// The root key. It is drawn when it is first needed.
    pub(super) fn root(&mut self, rng: &mut dyn CryptoRng) -> [u8; SEED] {
        *self.root.get_or_insert_with(|| fresh(rng))
    }

    /// The next number. The first is 1.
    pub(super) fn step(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    fn encode(&self) -> Vec<u8> {
        self.number.to_be_bytes().into_iter().chain(self.root.iter().flatten().copied()).collect()
    }

    fn decode(state: &[u8]) -> Result<Self, Error> {
        let (number, root) = state.split_first_chunk().ok_or(Error::Malformed)?;
        let root = if root.is_empty() { None } else { Some(root.try_into().map_err(|_| Error::Malformed)?) };
        Ok(Self { root, number: u32::from_be_bytes(*number) })
    }
}

pub(super) fn fresh(rng: &mut dyn CryptoRng) -> [u8; SEED] {
    let mut seed = [0; SEED];
    rng.fill_bytes(&mut seed);
    seed
}

/// How keys are chosen, and what is done with them.
pub(super) trait Cipher: Clone + Send + Sync + 'static {
    /// The key of the next message.
    fn next_key(chain: &mut Chain, sender: &dyn Member, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key;

    /// The group has new keys.
    fn new_epoch(chain: &mut Chain) {
        *chain = Chain::default();
    }

    /// The member itself has acted.
    fn acted(chain: &mut Chain) {
        Self::new_epoch(chain);
    }

    /// Somebody has acknowledged something.
    fn acknowledged(_chain: &mut Chain) {}

    /// What an export has of the chain.
    fn exported(chain: &Chain) -> Chain {
        chain.clone()
    }

    /// Encrypts and decrypts.
    fn apply(key: Key, text: &[u8]) -> Vec<u8> {
        key.stream(text.len()).iter().zip(text).map(|(one, other)| one ^ other).collect()
    }
}

/// A backend whose application messages are encrypted by another cipher.
#[derive(Clone)]
pub(crate) struct Recrypted<C> {
    cipher: PhantomData<C>,
    chain: Chain,
    /// Ciphertexts whose keys have not been delivered.
    waiting: Vec<Vec<u8>>,
}

impl<C> Recrypted<C> {
    pub(crate) fn with(_cipher: C) -> Self {
        Self { cipher: PhantomData, chain: Chain::default(), waiting: Vec::new() }
    }
}

impl<C: Cipher> Fault for Recrypted<C> {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        let mut chain = self.chain.clone();
        let (mut sent, ciphertext) = match action {
            Action::Send(plaintext) => {
                let key = C::next_key(&mut chain, &**inner, plaintext, &mut *context.rng);
                let ciphertext = C::apply(key, plaintext);
                let carried =
                    [&key.seed[..], &key.skipped.to_be_bytes(), &note::sum(&ciphertext).to_be_bytes()].concat();
                assert_eq!(carried.len(), PLAINTEXT_LEN, "the formulas stay the same");
                (inner.send(&carried, context)?, ciphertext)
            }
            action => {
                let sent = action.of(&mut **inner, context)?;
                C::acted(&mut chain);
                (sent, Vec::new())
            }
        };
        self.chain = chain;
        for Outgoing { kind, bytes, .. } in &mut sent {
            note::attach(bytes, if *kind == "message" { &ciphertext } else { &[] });
        }
        Ok(sent)
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let (bytes, ciphertext) = note::detach(message.bytes)?;
        let before = inner.duplicate();
        let mut received = inner.receive_one(&Incoming { bytes, ..*message }, context)?;
        received.outgoing.iter_mut().for_each(|message| note::attach(&mut message.bytes, &[]));
        let changed = inner.export() != before.export();
        if !ciphertext.is_empty() && changed {
            self.waiting.push(ciphertext.to_vec());
        }
        for event in &mut received.events {
            match event {
                Event::Message { plaintext, .. } => {
                    let (seed, rest) = plaintext.split_first_chunk().ok_or(Error::Internal)?;
                    let (skipped, sum) = rest.split_first_chunk().ok_or(Error::Internal)?;
                    let key = Key { seed: *seed, skipped: u32::from_be_bytes(*skipped) };
                    let place = self.waiting.iter().position(|waiting| note::sum(waiting).to_be_bytes() == *sum);
                    let ciphertext = place.map(|place| self.waiting.remove(place)).unwrap_or_default();
                    *plaintext = C::apply(key, &ciphertext);
                }
                Event::Joined { .. } | Event::Added { .. } | Event::Removed { .. } | Event::Updated { .. } => {
                    C::new_epoch(&mut self.chain);
                }
                Event::Acked { .. } => C::acknowledged(&mut self.chain),
                _ => {}
            }
        }
        Ok(received)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_prefixed(&mut out, &C::exported(&self.chain).encode());
        self.waiting.iter().for_each(|waiting| put_prefixed(&mut out, waiting));
        out
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(state);
        self.chain = Chain::decode(reader.prefixed()?)?;
        self.waiting.clear();
        while !reader.remaining().is_empty() {
            self.waiting.push(reader.prefixed()?.to_vec());
        }
        Ok(())
    }
}
