//! Searches in what goes over the network: for bytes that are known, for keystreams that occur twice, and for bytes
//! that repeat.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Bytes that are compared at once where chance must not count: a block of AES.
pub(super) const BLOCK: usize = 16;

/// Texts that can be found in other bytes: a part of one of them, as it is or reversed, and also if all bytes of it are
/// combined with one other byte by XOR.
pub(super) struct Known {
    len: usize,
    /// The texts by their parts, of at most as many bytes as a number has.
    parts: HashMap<u128, usize>,
}

impl Known {
    /// A text counts as found if `len` consecutive bytes of it are. Parts with few different bytes are left out: they
    /// occur in padding too.
    pub(super) fn new<'a>(len: usize, texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut parts = HashMap::new();
        for (which, text) in texts.into_iter().enumerate() {
            let mut forward = differences(text);
            for _ in 0..2 {
                let telling = forward.windows(len - 1).filter(|part| part.iter().collect::<BTreeSet<_>>().len() > 3);
                parts.extend(telling.map(|part| (number(part), which)));
                forward.reverse();
            }
        }
        Self { len, parts }
    }

    /// The texts of which a part is in these bytes, by their positions, and how many bytes of each.
    pub(super) fn found_in(&self, bytes: &[u8]) -> BTreeMap<usize, usize> {
        let differences = differences(bytes);
        let parts = differences.windows(self.len - 1).map(number);
        let known: BTreeMap<u128, usize> =
            parts.filter_map(|part| self.parts.get(&part).map(|which| (part, *which))).collect();
        let mut found = BTreeMap::new();
        for which in known.into_values() {
            *found.entry(which).or_insert(self.len - 1) += 1;
        }
        found
    }
}

/// A part as a number.
fn number(part: &[u8]) -> u128 {
    part.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// Each byte combined with the next one by XOR: the same for bytes that are all combined with one other byte.
fn differences(bytes: &[u8]) -> Vec<u8> {
    bytes.windows(2).map(|pair| pair[0] ^ pair[1]).collect()
}

/// All blocks in these bytes, at any position.
pub(super) fn blocks(bytes: &[u8]) -> impl Iterator<Item = u128> {
    bytes.windows(BLOCK).filter_map(|window| window.try_into().map(u128::from_be_bytes).ok())
}

/// The number of blocks that have occurred before in the same bytes.
pub(super) fn repeats(bytes: &[u8]) -> usize {
    let all = bytes.len().saturating_sub(BLOCK - 1);
    all - blocks(bytes).collect::<BTreeSet<_>>().len()
}

/// Keystreams of stream ciphers, as far as plaintexts are known.
#[derive(Default)]
pub(super) struct Keystreams(Vec<(u128, usize)>);

impl Keystreams {
    /// Adds a message of a call. It may contain `plaintext` at any position, encrypted.
    pub(super) fn add(&mut self, call: usize, message: &[u8], plaintext: [u8; BLOCK]) {
        let plaintext = u128::from_be_bytes(plaintext);
        // What is there in clear is found in another way.
        let encrypted = blocks(message).filter(|block| *block != plaintext);
        self.0.extend(encrypted.map(|block| (block ^ plaintext, call)));
    }

    /// Whether messages of two calls share a keystream, at any positions in them.
    pub(super) fn two_calls_share_one(mut self) -> bool {
        self.0.sort_unstable();
        self.0.windows(2).any(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without structure.
    fn noise(len: usize, seed: u64) -> Vec<u8> {
        use rand_core::{Rng as _, SeedableRng as _};
        let mut bytes = vec![0; len];
        rand_chacha::ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
        bytes
    }

    fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
        one.iter().zip(other).map(|(one, other)| one ^ other).collect()
    }

    #[test]
    fn a_secret_is_found_as_it_is_clamped_halved_reversed_and_under_one_byte() {
        let mut secret = noise(32, 1);
        (secret[0], secret[31]) = (0xff, 0xff);
        let known = Known::new(BLOCK, [&noise(32, 2)[..], &secret]);
        let mut clamped = secret.clone();
        clamped[0] &= 248;
        clamped[31] = clamped[31] & 127 | 64;
        let reversed: Vec<u8> = secret.iter().rev().copied().collect();
        let masked: Vec<u8> = secret.iter().map(|byte| byte ^ 0x5c).collect();
        let parts = [&secret[..], &secret[..16], &secret[16..], &clamped, &reversed, &masked];
        for (part, shown) in parts.into_iter().zip([32, 16, 16, 30, 32, 32]) {
            let message = [&noise(50, 3), part, &noise(7, 4), part].concat();
            assert_eq!(known.found_in(&message), BTreeMap::from([(1, shown)]), "{part:?}");
        }
        for other in [&noise(300, 5)[..], &secret[..15], &[0; 100], &[7; 100], &[]] {
            assert!(known.found_in(other).is_empty());
        }
    }

    #[test]
    fn a_text_of_one_byte_is_not_found_in_padding() {
        let known = Known::new(9, [&[0xa5; 96][..]]);
        assert!(known.found_in(&[0; 40]).is_empty());
    }

    #[test]
    fn a_shared_keystream_is_found_at_any_positions_and_another_one_is_not() {
        let stream = noise(96, 1);
        let message = |head: usize, plaintext: &[u8], skip: usize, seed: u64| {
            [noise(head, seed), xor(plaintext, &stream[skip..]), noise(16, seed + 1)].concat()
        };
        let shares = |one: &[u8], other: &[u8]| {
            let mut streams = Keystreams::default();
            streams.add(0, one, [1; BLOCK]);
            streams.add(1, other, [2; BLOCK]);
            streams.two_calls_share_one()
        };
        for (head, skip) in [(20, 0), (35, 0), (35, 16), (21, 79)] {
            assert!(shares(&message(20, &[1; 96], 0, 10), &message(head, &[2; 96], skip, 20)), "{head} {skip}");
        }
        assert!(!shares(&message(20, &[1; 96], 0, 10), &message(20, &[2; 96], 81, 20)), "15 bytes are too few");
        let other = [noise(20, 30), xor(&[2; 96], &noise(96, 2))].concat();
        assert!(!shares(&message(20, &[1; 96], 0, 10), &other));
        // Equal headers are no keystream.
        assert!(!shares(&noise(64, 40), &noise(64, 40)));
    }

    #[test]
    fn repeated_blocks_are_counted_at_any_positions() {
        let block = noise(BLOCK, 1);
        assert_eq!(repeats(&[&block[..], &noise(5, 2), &block].concat()), 1);
        assert_eq!(repeats(&noise(200, 3)), 0);
        assert_eq!(repeats(&[0; 8]), 0);
        assert_eq!(repeats(&[0; BLOCK + 2]), 2);
    }
}
