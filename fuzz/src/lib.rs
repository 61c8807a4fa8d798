//! What the fuzz targets share: an input that is read as decisions ([`Input`]), honest users on a network
//! ([`network`]), and a member whose keys the fuzzer owns ([`mallory`]).

pub mod mallory;
pub mod network;

/// Reads an input from its front. After its end every value is zero, so that every input means something.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// Up to `len` bytes: fewer at the end of the input.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        head
    }

    /// Changes `bytes` as the input says: alters single bytes, cuts, inserts.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(8) {
            let at = usize::from(self.word()) % (bytes.len() + 1);
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => {
                    let inserted = usize::from(self.byte());
                    bytes.splice(at..at, self.bytes(inserted).iter().copied());
                }
                2 => {
                    let end = at.saturating_add(usize::from(self.byte())).min(bytes.len());
                    bytes.drain(at..end);
                }
                change => {
                    let value = self.byte();
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = if change == 3 { *byte ^ value } else { value };
                    }
                }
            }
        }
    }
}
