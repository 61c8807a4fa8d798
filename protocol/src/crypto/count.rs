//! Primitive counts, per thread.
//!
//! A member runs on one thread, so the difference of two [`snapshot`]s around a call is the primitive counts of that
//! call. A [`Watch`] also sees what other threads have counted meanwhile: a backend that works there unseen would seem to
//! cost nothing. That a primitive was counted on another thread says something of the backend only in a process that
//! does nothing else ([`declare_alone`]).

use core::cell::Cell;
use core::ops::{Add, AddAssign, Mul, Sub};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// Ed25519 signatures checked one by one.
    pub verify: u64,
    /// Ed25519 signatures checked together with others.
    pub verify_batched: u64,
    /// How often Ed25519 signatures were checked together.
    pub verify_batches: u64,
    /// Bytes of plaintext encrypted or decrypted with AES-GCM, inside HPKE included.
    pub aead_bytes: u64,
    /// Compressions of SHA-256, except inside HKDF and HPKE.
    pub hash_blocks: u64,
    /// Calls of HMAC, HKDF-Extract or HKDF-Expand, inside HPKE included.
    pub kdf: u64,
    /// ristretto255: multiplications of another party's key.
    pub ristretto_mul: u64,
    /// ristretto255: multiplications of the base point.
    pub ristretto_base: u64,
    /// ristretto255: keys encoded or decoded. Those that are encoded together count once.
    pub ristretto_coding: u64,
    /// Ed25519 public keys decompressed, valid or not. Not named: no formula states it.
    pub points: u64,
    /// Envelopes decoded, valid or not. Not named: no formula states it.
    pub envelopes: u64,
}

impl Counts {
    /// No primitive. The same as the default, for constants.
    pub const NOTHING: Self = Self {
        dh: 0,
        keygen: 0,
        sign: 0,
        sign_keygen: 0,
        verify: 0,
        verify_batched: 0,
        verify_batches: 0,
        aead_bytes: 0,
        hash_blocks: 0,
        kdf: 0,
        ristretto_mul: 0,
        ristretto_base: 0,
        ristretto_coding: 0,
        points: 0,
        envelopes: 0,
    };

    /// Each primitive once.
    pub const EACH: Self = Self {
        dh: 1,
        keygen: 1,
        sign: 1,
        sign_keygen: 1,
        verify: 1,
        verify_batched: 1,
        verify_batches: 1,
        aead_bytes: 1,
        hash_blocks: 1,
        kdf: 1,
        ristretto_mul: 1,
        ristretto_base: 1,
        ristretto_coding: 1,
        points: 1,
        envelopes: 1,
    };

    /// The metrics' names and values, in a fixed order: what formulas state and recordings hold.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 13] {
        [
            ("op.dh", self.dh),
            ("op.keygen", self.keygen),
            ("op.sign", self.sign),
            ("op.sign_keygen", self.sign_keygen),
            ("op.verify", self.verify),
            ("op.verify_batched", self.verify_batched),
            ("op.verify_batches", self.verify_batches),
            ("op.aead_bytes", self.aead_bytes),
            ("op.hash_blocks", self.hash_blocks),
            ("op.kdf", self.kdf),
            ("op.ristretto_mul", self.ristretto_mul),
            ("op.ristretto_base", self.ristretto_base),
            ("op.ristretto_coding", self.ristretto_coding),
        ]
    }

    /// The counts of public-key operations alone: key agreements, keys, signatures and verifications.
    #[must_use]
    pub fn public_key(self) -> Self {
        let Self { dh, keygen, sign, sign_keygen, verify, verify_batched, .. } = self;
        let Self { ristretto_mul, ristretto_base, .. } = self;
        let mine = Self { dh, keygen, sign, sign_keygen, verify, verify_batched, ..Self::NOTHING };
        Self { ristretto_mul, ristretto_base, ..mine }
    }

    /// The number of signatures checked, one by one or together.
    #[must_use]
    pub fn verified(&self) -> u64 {
        self.verify + self.verify_batched
    }

    /// The same, with every signature that was checked together as one that was checked alone.
    #[must_use]
    pub fn one_by_one(self) -> Self {
        Self { verify: self.verified(), verify_batched: 0, verify_batches: 0, ..self }
    }

    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            dh: f(self.dh, other.dh),
            keygen: f(self.keygen, other.keygen),
            sign: f(self.sign, other.sign),
            sign_keygen: f(self.sign_keygen, other.sign_keygen),
            verify: f(self.verify, other.verify),
            verify_batched: f(self.verify_batched, other.verify_batched),
            verify_batches: f(self.verify_batches, other.verify_batches),
            aead_bytes: f(self.aead_bytes, other.aead_bytes),
            hash_blocks: f(self.hash_blocks, other.hash_blocks),
            kdf: f(self.kdf, other.kdf),
            ristretto_mul: f(self.ristretto_mul, other.ristretto_mul),
            ristretto_base: f(self.ristretto_base, other.ristretto_base),
            ristretto_coding: f(self.ristretto_coding, other.ristretto_coding),
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

/// Which primitives of a backend are counted, by the wrappers in [`crate::crypto`] or with [`add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// All of them. What is used elsewhere than where it is timed is refused.
    All,
    /// Key agreements, keys, signatures and verifications. Other counts are left out.
    PublicKey,
    /// None. Its counts are unknown, which is not the same as zero.
    Nothing,
}

impl Counted {
    /// These counts, as far as they are known.
    #[must_use]
    pub fn known(self, counts: Counts) -> Counts {
        match self {
            Self::All => counts,
            Self::PublicKey => counts.public_key(),
            Self::Nothing => Counts::NOTHING,
        }
    }
}

/// The counts of one thread. Only that thread writes, so adding needs no atomic operation but a load and a store.
#[derive(Default)]
pub(crate) struct Tally {
    pub(super) dh: Counter,
    pub(super) keygen: Counter,
    pub(super) sign: Counter,
    pub(super) sign_keygen: Counter,
    pub(super) verify: Counter,
    pub(super) verify_batched: Counter,
    pub(super) verify_batches: Counter,
    pub(super) aead_bytes: Counter,
    pub(super) hash_blocks: Counter,
    pub(super) kdf: Counter,
    pub(super) ristretto_mul: Counter,
    pub(super) ristretto_base: Counter,
    pub(super) ristretto_coding: Counter,
    pub(super) points: Counter,
    pub(crate) envelopes: Counter,
    /// How often something was repeated uncounted.
    repeated: Counter,
}

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        self.set(self.get().wrapping_add(amount));
    }

    #[inline]
    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tally {
    fn add(&self, counts: Counts) {
        self.set(self.counts() + counts);
    }

    fn set(&self, counts: Counts) {
        let Counts { dh, keygen, sign, sign_keygen, verify, aead_bytes, hash_blocks, kdf, points, envelopes, .. } =
            counts;
        let Counts { ristretto_mul, ristretto_base, ristretto_coding, verify_batched, verify_batches, .. } = counts;
        self.dh.set(dh);
        self.keygen.set(keygen);
        self.sign.set(sign);
        self.sign_keygen.set(sign_keygen);
        self.verify.set(verify);
        self.verify_batched.set(verify_batched);
        self.verify_batches.set(verify_batches);
        self.aead_bytes.set(aead_bytes);
        self.hash_blocks.set(hash_blocks);
        self.kdf.set(kdf);
        self.ristretto_mul.set(ristretto_mul);
        self.ristretto_base.set(ristretto_base);
        self.ristretto_coding.set(ristretto_coding);
        self.points.set(points);
        self.envelopes.set(envelopes);
    }

    fn counts(&self) -> Counts {
        Counts {
            dh: self.dh.get(),
            keygen: self.keygen.get(),
            sign: self.sign.get(),
            sign_keygen: self.sign_keygen.get(),
            verify: self.verify.get(),
            verify_batched: self.verify_batched.get(),
            verify_batches: self.verify_batches.get(),
            aead_bytes: self.aead_bytes.get(),
            hash_blocks: self.hash_blocks.get(),
            kdf: self.kdf.get(),
            ristretto_mul: self.ristretto_mul.get(),
            ristretto_base: self.ristretto_base.get(),
            ristretto_coding: self.ristretto_coding.get(),
            points: self.points.get(),
            envelopes: self.envelopes.get(),
        }
    }
}

/// All tallies of the process. They are never freed: the tally of a thread that has ended goes on with the next thread.
struct Tallies {
    all: Vec<&'static Tally>,
    /// Those of threads that have ended.
    idle: Vec<&'static Tally>,
}

static TALLIES: Mutex<Tallies> = Mutex::new(Tallies { all: Vec::new(), idle: Vec::new() });

fn tallies() -> MutexGuard<'static, Tallies> {
    // No code below panics while it holds the lock.
    TALLIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the thread's tally back when the thread ends.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        tallies().idle.extend(MINE.take());
    }
}

thread_local! {
    static MINE: Cell<Option<&'static Tally>> = const { Cell::new(None) };
    /// What the tally had before it was this thread's.
    static BEFORE: Cell<Counts> = const { Cell::new(Counts::NOTHING) };
    static END: End = const { End };
}

#[cold]
fn claim() -> &'static Tally {
    let mut tallies = tallies();
    let idle = tallies.idle.pop();
    let mine = idle.unwrap_or_else(|| {
        let new: &'static Tally = Box::leak(Box::default());
        tallies.all.push(new);
        new
    });
    drop(tallies);
    MINE.set(Some(mine));
    BEFORE.set(mine.counts());
    // Where the thread is ending already, the tally stays with it.
    let _ = END.try_with(|End| ());
    mine
}

#[inline]
fn mine() -> &'static Tally {
    MINE.get().unwrap_or_else(claim)
}

/// This thread's counts since it started.
#[must_use]
pub fn snapshot() -> Counts {
    mine().counts() - BEFORE.get()
}

/// Counts primitives on this thread that an implementation of others has used.
pub fn add(counts: Counts) {
    record(|tally| tally.add(counts));
}

/// Repeats primitives that have been counted before, on this thread, and counts none of them again. For a backend that adapts
/// an implementation of others, and can restore a state only by repeating what has led to it. Nothing is repeated in a call
/// that is measured: a [`Watch`] sees it, and the call is refused.
pub fn uncounted<T>(repeat: impl FnOnce() -> T) -> T {
    let tally = mine();
    let before = tally.counts();
    let value = repeat();
    tally.set(before);
    tally.repeated.add(1);
    value
}

#[inline]
pub(crate) fn record(change: impl FnOnce(&Tally)) {
    change(mine());
}

/// Whether [`declare_alone`] was called.
static ALONE: AtomicBool = AtomicBool::new(false);

/// Declares that from now on this process does nothing but to drive a backend, on one thread at a time. So what other
/// threads count while a [`Watch`] runs is the backend's.
pub fn declare_alone() {
    ALONE.store(true, Ordering::Relaxed);
}

/// Whether this process does nothing but to drive a backend.
#[must_use]
pub fn is_alone() -> bool {
    ALONE.load(Ordering::Relaxed)
}

/// Sees what is counted from its start on, on this thread and on all others.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    here: Counts,
    everywhere: Counts,
    repeated: u64,
}

impl Watch {
    /// Starts on the calling thread, which must also ask.
    #[must_use]
    pub fn start() -> Self {
        Self { everywhere: everywhere(), here: snapshot(), repeated: repeated() }
    }

    /// What this thread has counted.
    #[must_use]
    pub fn here(&self) -> Counts {
        snapshot() - self.here
    }

    /// What all threads have counted, those included that have ended.
    #[must_use]
    pub fn everywhere(&self) -> Counts {
        everywhere() - self.everywhere
    }

    /// Whether this thread has repeated something [uncounted]; or any thread, if this process does nothing else.
    #[must_use]
    pub fn repeated(&self) -> bool {
        repeated() != self.repeated
    }

    /// Whether another thread has counted anything. `None` if this process also does other things, so that nobody knows
    /// whose work it is.
    #[must_use]
    pub fn elsewhere(&self) -> Option<bool> {
        is_alone().then(|| self.everywhere() != self.here())
    }
}

fn repeated() -> u64 {
    match is_alone() {
        true => tallies().all.iter().map(|tally| tally.repeated.get()).sum(),
        false => mine().repeated.get(),
    }
}

fn everywhere() -> Counts {
    tallies().all.iter().fold(Counts::default(), |sum, tally| sum + tally.counts())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests of this module alone: other tests count on other threads meanwhile.
    #[test]
    fn what_another_thread_counts_is_seen_also_after_it_has_ended() {
        let verify = |times| record(|tally| tally.verify.add(times));
        let watch = Watch::start();
        verify(2);
        std::thread::spawn(move || verify(1 << 40)).join().unwrap();
        assert_eq!(watch.here(), Counts { verify: 2, ..Counts::default() });
        assert_eq!(watch.everywhere().verify >> 40, 1);
        // The next thread goes on with a tally, and starts at zero all the same.
        let later = std::thread::spawn(move || {
            let watch = Watch::start();
            verify(3);
            watch.here().verify
        });
        assert_eq!(later.join().unwrap(), 3);
        assert_eq!(watch.everywhere().verify >> 40, 1);
    }

    #[test]
    fn what_is_repeated_uncounted_leaves_the_counts_as_they_were() {
        let one = Counts { dh: 1, ..Counts::NOTHING };
        add(one);
        let before = snapshot();
        let watch = Watch::start();
        assert_eq!(uncounted(|| (add(one), snapshot() - before).1), one);
        assert!(watch.repeated() && !Watch::start().repeated());
        assert_eq!(snapshot(), before);
        add(one);
        assert_eq!(snapshot() - before, one);
    }

    #[test]
    fn a_process_that_does_other_things_does_not_know_whose_work_it_is() {
        assert_eq!(Watch::start().elsewhere(), None);
    }
}
