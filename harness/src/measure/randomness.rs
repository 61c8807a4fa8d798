//! Randomness that a seed determines.
//!
//! Each user, and each member in each operation, has its own stream. So no draw depends on how often others draw, or on
//! the thread.

use protocol::crypto::hash;
use protocol::crypto::label::Label;
use protocol::operation::Operation;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const LABEL: Label = b"harness-v1 randomness";

/// What determines all randomness in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The run's seed.
    pub seed: u64,
    /// The number of members that the group is created with.
    pub group_size: usize,
    /// The number of the iteration, from 0.
    pub iteration: u32,
}

impl Origin {
    /// The stream from which the keys of the user with this index are made.
    #[must_use]
    pub fn user(&self, index: usize) -> ChaCha20Rng {
        self.stream("user", index)
    }

    /// The stream of the member with this index in an operation.
    #[must_use]
    pub fn member(&self, operation: Operation, index: usize) -> ChaCha20Rng {
        self.stream(&operation.name(), index)
    }

    /// The stream of the member with this index in the conversation that precedes most operations.
    #[must_use]
    pub fn conversation(&self, index: usize) -> ChaCha20Rng {
        self.stream("conversation", index)
    }

    /// The stream of the member with this index in the probe messages of the validation.
    #[must_use]
    pub fn probe(&self, index: usize) -> ChaCha20Rng {
        self.stream("probe", index)
    }

    /// The stream that says which messages are altered or late.
    #[must_use]
    pub fn tampering(&self) -> ChaCha20Rng {
        self.stream("tampering", 0)
    }

    /// The stream of the application data that operations send.
    #[must_use]
    pub fn plaintext(&self) -> ChaCha20Rng {
        self.stream("plaintext", 0)
    }

    /// The stream of the member with this index in the updates that precede an operation.
    #[must_use]
    pub fn history(&self, index: usize) -> ChaCha20Rng {
        self.stream("history", index)
    }

    /// The stream that says who acts, and in what order, where an operation leaves that to chance.
    #[must_use]
    pub fn layout(&self) -> ChaCha20Rng {
        self.stream("layout", 0)
    }

    fn stream(&self, purpose: &str, index: usize) -> ChaCha20Rng {
        let numbers =
            [self.seed, self.group_size as u64, u64::from(self.iteration), index as u64].map(u64::to_be_bytes);
        let [seed, group_size, iteration, index] = &numbers;
        ChaCha20Rng::from_seed(hash::hash(LABEL, &[purpose.as_bytes(), seed, group_size, iteration, index]).0)
    }
}

/// The stream that orders the cells of an iteration.
#[must_use]
pub fn order(seed: u64, iteration: u32) -> ChaCha20Rng {
    let (seed, iteration) = (seed.to_be_bytes(), iteration.to_be_bytes());
    ChaCha20Rng::from_seed(hash::hash(LABEL, &[b"order", &seed, &iteration]).0)
}

/// Shuffles by the method of Fisher and Yates. The modulus favours no place by more than 2^-40 for the lists used here.
pub fn shuffle<T>(items: &mut [T], rng: &mut ChaCha20Rng) {
    use rand_core::Rng as _;
    for last in (1..items.len()).rev() {
        let other = rng.next_u64() % (last as u64 + 1);
        items.swap(last, usize::try_from(other).unwrap_or(last));
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng as _;

    use super::*;

    #[test]
    fn every_part_of_the_origin_changes_the_stream() {
        let origin = Origin { seed: 1, group_size: 8, iteration: 0 };
        let mut firsts = vec![
            origin.user(0).next_u64(),
            origin.user(1).next_u64(),
            origin.probe(0).next_u64(),
            origin.member(Operation::Add, 0).next_u64(),
            origin.member(Operation::Update, 0).next_u64(),
            origin.conversation(0).next_u64(),
            Origin { seed: 2, ..origin }.user(0).next_u64(),
            Origin { group_size: 9, ..origin }.user(0).next_u64(),
            Origin { iteration: 1, ..origin }.user(0).next_u64(),
        ];
        assert_eq!(firsts[0], origin.user(0).next_u64());
        let all = firsts.len();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), all);
    }

    #[test]
    fn a_shuffle_keeps_all_items_and_depends_on_the_iteration() {
        let shuffled = |iteration| {
            let mut items: Vec<u32> = (0..50).collect();
            shuffle(&mut items, &mut order(7, iteration));
            items
        };
        assert_eq!(shuffled(0), shuffled(0));
        assert_ne!(shuffled(0), shuffled(1));
        let mut sorted = shuffled(0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}
