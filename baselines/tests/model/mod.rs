//! A second implementation of X3DH and the Double Ratchet: the pseudocode of the specifications, line by line, directly
//! on the libraries. It is slow, and takes nothing from this project but the labels, spelt out.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "helpers for tests, each of which uses some of them; they may panic as tests may"
)]

use std::collections::HashMap;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};

pub type Bytes32 = [u8; 32];

/// MAX_SKIP (Double Ratchet, section 3.1): how many messages may be skipped in one chain.
pub const MAX_SKIP: u32 = 2000;

/// GENERATE_DH (section 3.1), the private key.
pub fn generate(rng: &mut ChaCha20Rng) -> Bytes32 {
    let mut private = [0; 32];
    rng.fill_bytes(&mut private);
    private
}

/// GENERATE_DH (section 3.1), the public key of a private one.
pub fn public(private: &Bytes32) -> Bytes32 {
    PublicKey::from(&StaticSecret::from(*private)).to_bytes()
}

/// DH (section 3.1).
pub fn dh(private: &Bytes32, public: &Bytes32) -> Bytes32 {
    StaticSecret::from(*private).diffie_hellman(&PublicKey::from(*public)).to_bytes()
}

fn hkdf<const N: usize>(salt: &Bytes32, key_material: &[u8], label: &str) -> [u8; N] {
    let info = [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat();
    let mut out = [0; N];
    Hkdf::<Sha256>::new(Some(salt), key_material).expand(&info, &mut out).unwrap();
    out
}

/// KDF_RK: the next root key and a chain key (section 5.2).
pub fn kdf_rk(rk: &Bytes32, dh_out: &Bytes32) -> (Bytes32, Bytes32) {
    let out: [u8; 64] = hkdf(rk, dh_out, "pairwise-v1 root");
    (out[..32].try_into().unwrap(), out[32..].try_into().unwrap())
}

/// KDF_CK: the next chain key and a message key (section 5.2, with its constants).
pub fn kdf_ck(ck: &Bytes32) -> (Bytes32, Bytes32) {
    let hmac = |constant| {
        let mut mac = Hmac::<Sha256>::new_from_slice(ck).unwrap();
        mac.update(&[constant]);
        mac.finalize().into_bytes().into()
    };
    (hmac(2), hmac(1))
}

fn cipher(mk: &Bytes32) -> (Aes256Gcm, [u8; 12]) {
    let out: [u8; 44] = hkdf(&[0; 32], mk, "pairwise-v1 message key");
    (Aes256Gcm::new(<&Key<Aes256Gcm>>::try_from(&out[..32]).unwrap()), out[32..].try_into().unwrap())
}

/// ENCRYPT (section 3.1), with AES-256-GCM.
pub fn encrypt(mk: &Bytes32, plaintext: &[u8], associated: &[u8]) -> Vec<u8> {
    let (cipher, nonce) = cipher(mk);
    cipher.encrypt(&nonce.into(), Payload { msg: plaintext, aad: associated }).unwrap()
}

/// DECRYPT (section 3.1). `None` if authentication fails.
pub fn decrypt(mk: &Bytes32, ciphertext: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
    let (cipher, nonce) = cipher(mk);
    cipher.decrypt(&nonce.into(), Payload { msg: ciphertext, aad: associated }).ok()
}

/// HEADER (section 3.1): ratchet key, length of the previous chain, number in the chain.
#[derive(Clone, Copy)]
pub struct Header {
    pub dh: Bytes32,
    pub pn: u32,
    pub n: u32,
}

impl Header {
    pub fn encode(&self) -> Vec<u8> {
        [&self.dh[..], &self.pn.to_be_bytes(), &self.n.to_be_bytes()].concat()
    }

    /// The header, and what follows it.
    pub fn decode(message: &[u8]) -> Option<(Self, &[u8])> {
        let (dh, rest) = message.split_first_chunk()?;
        let (pn, rest) = rest.split_first_chunk()?;
        let (n, rest) = rest.split_first_chunk()?;
        Some((Self { dh: *dh, pn: u32::from_be_bytes(*pn), n: u32::from_be_bytes(*n) }, rest))
    }
}

/// The state variables of section 3.2, and the source of the keys of GENERATE_DH.
#[derive(Clone)]
pub struct State {
    dhs: Bytes32,
    dhr: Option<Bytes32>,
    rk: Bytes32,
    cks: Option<Bytes32>,
    ckr: Option<Bytes32>,
    ns: u32,
    nr: u32,
    pn: u32,
    mkskipped: HashMap<(Bytes32, u32), Bytes32>,
    keys: ChaCha20Rng,
}

impl State {
    /// RatchetInitAlice (section 3.3).
    pub fn alice(sk: Bytes32, bob: Bytes32, mut keys: ChaCha20Rng) -> Self {
        let dhs = generate(&mut keys);
        let (rk, cks) = kdf_rk(&sk, &dh(&dhs, &bob));
        Self { dhr: Some(bob), cks: Some(cks), ..Self::bob(rk, dhs, keys) }
    }

    /// RatchetInitBob (section 3.3).
    pub fn bob(sk: Bytes32, dhs: Bytes32, keys: ChaCha20Rng) -> Self {
        let mkskipped = HashMap::new();
        Self { dhs, dhr: None, rk: sk, cks: None, ckr: None, ns: 0, nr: 0, pn: 0, mkskipped, keys }
    }

    /// RatchetEncrypt (section 3.4). `None` if there is no sending chain yet.
    pub fn encrypt(&mut self, plaintext: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        let (cks, mk) = kdf_ck(&self.cks?);
        self.cks = Some(cks);
        let header = Header { dh: public(&self.dhs), pn: self.pn, n: self.ns }.encode();
        self.ns += 1;
        let ciphertext = encrypt(&mk, plaintext, &[&header, associated].concat());
        Some([header, ciphertext].concat())
    }

    /// RatchetDecrypt (section 3.5). `None` is an exception, which discards all changes.
    pub fn decrypt(&mut self, message: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        let mut state = self.clone();
        let plaintext = state.try_decrypt(message, associated)?;
        *self = state;
        Some(plaintext)
    }

    fn try_decrypt(&mut self, message: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        let (header, ciphertext) = Header::decode(message)?;
        let associated = [&header.encode(), associated].concat();
        if let Some(mk) = self.mkskipped.remove(&(header.dh, header.n)) {
            return decrypt(&mk, ciphertext, &associated);
        }
        if self.dhr != Some(header.dh) {
            self.skip_message_keys(header.pn)?;
            self.dh_ratchet(&header);
        }
        self.skip_message_keys(header.n)?;
        let (ckr, mk) = kdf_ck(&self.ckr?);
        self.ckr = Some(ckr);
        self.nr += 1;
        decrypt(&mk, ciphertext, &associated)
    }

    fn skip_message_keys(&mut self, until: u32) -> Option<()> {
        if self.nr + MAX_SKIP < until {
            return None;
        }
        if let Some(mut ckr) = self.ckr {
            while self.nr < until {
                let mk;
                (ckr, mk) = kdf_ck(&ckr);
                self.mkskipped.insert((self.dhr?, self.nr), mk);
                self.nr += 1;
            }
            self.ckr = Some(ckr);
        }
        Some(())
    }

    fn dh_ratchet(&mut self, header: &Header) {
        self.pn = self.ns;
        self.ns = 0;
        self.nr = 0;
        self.dhr = Some(header.dh);
        let (rk, ckr) = kdf_rk(&self.rk, &dh(&self.dhs, &header.dh));
        self.ckr = Some(ckr);
        self.dhs = generate(&mut self.keys);
        let (rk, cks) = kdf_rk(&rk, &dh(&self.dhs, &header.dh));
        self.cks = Some(cks);
        self.rk = rk;
    }
}

/// The initiator's SK (X3DH, section 3.3): its private identity and ephemeral keys, and the responder's identity key,
/// signed prekey and one-time prekey.
pub fn x3dh_initiator(ik: &Bytes32, ek: &Bytes32, peer: (&Bytes32, &Bytes32, Option<&Bytes32>), info: &str) -> Bytes32 {
    let (peer_ik, spk, opk) = peer;
    let dh4 = opk.map(|opk| dh(ek, opk));
    x3dh_kdf([dh(ik, spk), dh(ek, peer_ik), dh(ek, spk)], dh4, info)
}

/// The responder's SK (section 3.4): the initiator's identity and ephemeral keys, and the responder's private keys.
pub fn x3dh_responder(peer: (&Bytes32, &Bytes32), own: (&Bytes32, &Bytes32, Option<&Bytes32>), info: &str) -> Bytes32 {
    let ((peer_ik, peer_ek), (ik, spk, opk)) = (peer, own);
    let dh4 = opk.map(|opk| dh(opk, peer_ek));
    x3dh_kdf([dh(spk, peer_ik), dh(ik, peer_ek), dh(spk, peer_ek)], dh4, info)
}

/// KDF (section 2.2): HKDF of F ‖ KM, with a salt of zeros.
fn x3dh_kdf([dh1, dh2, dh3]: [Bytes32; 3], dh4: Option<Bytes32>, info: &str) -> Bytes32 {
    let key_material = [&[0xff; 32], &dh1, &dh2, &dh3, &dh4.map_or(Vec::new(), Vec::from)[..]].concat();
    hkdf(&[0; 32], &key_material, info)
}
