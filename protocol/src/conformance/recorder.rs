//! A generator that records what is drawn.

use core::convert::Infallible;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, TryCryptoRng, TryRng};

/// A generator that records what is drawn, and can alter it.
#[derive(Clone)]
pub(super) struct Recorder {
    rng: ChaCha20Rng,
    alters: Alters,
    pub(super) draws: Vec<Vec<u8>>,
}

/// The draws that a recorder alters, by their positions.
#[derive(Clone)]
pub(super) enum Alters {
    None,
    One(usize),
    AllBut(Vec<usize>),
}

impl Recorder {
    pub(super) fn new(rng: ChaCha20Rng) -> Self {
        Self { rng, alters: Alters::None, draws: Vec::new() }
    }

    /// The same generator, which alters some of its draws from now on. Those that it has recorded count.
    pub(super) fn altering(self, alters: Alters) -> Self {
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
        let at = self.draws.len();
        let altered = match &self.alters {
            Alters::None => false,
            Alters::One(which) => *which == at,
            Alters::AllBut(kept) => !kept.contains(&at),
        };
        if altered {
            // These are not bits that a curve's clamping discards.
            bytes.iter_mut().for_each(|byte| *byte ^= 0x18);
        }
        self.draws.push(bytes.to_vec());
        Ok(())
    }
}

impl TryCryptoRng for Recorder {}
