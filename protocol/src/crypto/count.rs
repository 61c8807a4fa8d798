//! Primitive counts, per thread.
//!
//! A member runs on one thread, so the difference of two [`snapshot`]s around a call is the primitive counts of that
//! call.

use core::cell::Cell;
use core::ops::{Add, AddAssign, Mul, Sub};

/// How often each primitive was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// X25519 with another party's key, inside HPKE included.
    pub dh: u64,
    /// X25519 with the base point, inside HPKE included.
    pub keygen: u64,
    /// Ed25519 signatures made.
    pub sign: u64,
    /// Ed25519 key pairs made.
    pub sign_keygen: u64,
    /// Ed25519 signatures checked.
    pub verify: u64,
    /// Bytes of plaintext encrypted or decrypted with AES-GCM, inside HPKE included.
    pub aead_bytes: u64,
    /// Compressions of SHA-256, except inside HKDF and HPKE.
    pub hash_blocks: u64,
    /// Calls of HMAC, HKDF-Extract or HKDF-Expand, inside HPKE included.
    pub kdf: u64,
    /// Ed25519 public keys decompressed, valid or not. Not named: no formula states it.
    pub points: u64,
    /// Envelopes decoded, valid or not. Not named: no formula states it.
    pub envelopes: u64,
}

impl Counts {
    /// The metrics' names and values, in a fixed order: what formulas state and recordings hold.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("op.dh", self.dh),
            ("op.keygen", self.keygen),
            ("op.sign", self.sign),
            ("op.sign_keygen", self.sign_keygen),
            ("op.verify", self.verify),
            ("op.aead_bytes", self.aead_bytes),
            ("op.hash_blocks", self.hash_blocks),
            ("op.kdf", self.kdf),
        ]
    }

    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            dh: f(self.dh, other.dh),
            keygen: f(self.keygen, other.keygen),
            sign: f(self.sign, other.sign),
            sign_keygen: f(self.sign_keygen, other.sign_keygen),
            verify: f(self.verify, other.verify),
            aead_bytes: f(self.aead_bytes, other.aead_bytes),
            hash_blocks: f(self.hash_blocks, other.hash_blocks),
            kdf: f(self.kdf, other.kdf),
            points: f(self.points, other.points),
            envelopes: f(self.envelopes, other.envelopes),
        }
    }
}

impl Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Counts {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
}

impl Mul<Counts> for u64 {
    type Output = Counts;
    fn mul(self, counts: Counts) -> Counts {
        counts.zip(counts, |a, _| self * a)
    }
}

thread_local! {
    static COUNTS: Cell<Counts> = const {
        Cell::new(Counts {
            dh: 0, keygen: 0, sign: 0, sign_keygen: 0, verify: 0, aead_bytes: 0, hash_blocks: 0, kdf: 0, points: 0, envelopes: 0,
        })
    };
}

/// This thread's counts since it started.
#[must_use]
pub fn snapshot() -> Counts {
    COUNTS.get()
}

pub(crate) fn record(change: impl FnOnce(&mut Counts)) {
    let mut counts = COUNTS.get();
    change(&mut counts);
    COUNTS.set(counts);
}
