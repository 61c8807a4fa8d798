//! A generator that records what is drawn.

use core::convert::Infallible;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, TryCryptoRng, TryRng};

/// A generator that records what is drawn, and can alter it.
#[derive(Clone)]
pub(crate) struct Recorder {
    rng: ChaCha20Rng,
    alters: Alters,
    /// What was drawn. Small draws in a row count as one: they can be the parts of a secret.
    pub(crate) draws: Vec<Vec<u8>>,
    in_parts: bool,
}

/// Shorter draws are small.
const SMALL: usize = 16;

/// The draws that a recorder alters, by their positions.
#[derive(Clone)]
pub(crate) enum Alters {
    None,
    One(usize),
    AllBut(Vec<usize>),
}

impl Recorder {
    pub(crate) fn new(rng: ChaCha20Rng) -> Self {
        Self { rng, alters: Alters::None, draws: Vec::new(), in_parts: false }
    }

    /// The same generator, which alters some of its draws from now on. Those that it has recorded count.
    pub(crate) fn altering(self, alters: Alters) -> Self {
        Self { alters, ..self }
    }
}

impl TryRng for Recorder {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.rng.fill_bytes(bytes);
        let continues = self.in_parts && bytes.len() < SMALL;
        let at = self.draws.len() - usize::from(continues);
        let altered = match &self.alters {
            Alters::None => false,
            Alters::One(which) => *which == at,
            Alters::AllBut(kept) => !kept.contains(&at),
        };
        if altered {
            // These are not bits that a curve's clamping discards.
            bytes.iter_mut().for_each(|byte| *byte ^= 0x18);
        }
        match self.draws.last_mut().filter(|_| continues) {
            Some(parts) => parts.extend_from_slice(bytes),
            None => self.draws.push(bytes.to_vec()),
        }
        self.in_parts = bytes.len() < SMALL;
        Ok(())
    }
}

impl TryCryptoRng for Recorder {}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng as _;

    #[test]
    fn a_secret_that_is_drawn_in_parts_is_one_draw_and_is_altered_as_a_whole() {
        let draws = |alters| {
            let mut rng = Recorder::new(ChaCha20Rng::seed_from_u64(1)).altering(alters);
            let mut long = [0; 32];
            rng.fill_bytes(&mut long);
            let parts: Vec<u8> = (0..4).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
            rng.fill_bytes(&mut long);
            assert_eq!(rng.draws.iter().map(Vec::len).collect::<Vec<_>>(), [32, 32, 32]);
            assert_eq!(rng.draws[1], parts);
            rng.draws
        };
        let (same, one) = (draws(Alters::None), draws(Alters::One(1)));
        let rest = draws(Alters::AllBut(vec![1]));
        for at in 0..3 {
            assert_eq!(same[at] == one[at], at != 1);
            assert_eq!(same[at] == rest[at], at == 1);
        }
        assert!(same[1].iter().zip(&one[1]).all(|(byte, other)| byte != other));
    }
}
