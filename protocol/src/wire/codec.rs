//! Reading and writing the few forms of which messages consist. Every value has one encoding; a reader refuses others.

use crate::error::Error;

/// The longest message that is decoded, in bytes.
pub const MAX_MESSAGE_LEN: usize = 1 << 20;

/// The longest encoding of a number, in bytes.
const MAX_VARINT_LEN: usize = 5;

/// Appends a number in LEB128: seven bits a byte, least significant first, 1 to 5 bytes.
pub fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// The number of bytes that [`put_varint`] writes.
#[must_use]
pub fn varint_len(value: u32) -> usize {
    (32 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a length or a count. All that occur are far below 2^32: messages and groups have limits.
pub fn put_len(out: &mut Vec<u8>, len: usize) {
    debug_assert!(u32::try_from(len).is_ok());
    put_varint(out, u32::try_from(len).unwrap_or(u32::MAX));
}

/// Appends the length of `bytes`, then the bytes.
pub fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Reads from the front of a slice. After an error nothing more should be read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of `bytes` from their front.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What has not been read.
    #[must_use]
    pub fn remaining(&self) -> &'a [u8] {
        self.0
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there are fewer.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Error::Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Error::Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`Error::Malformed`] at the end.
    pub fn byte(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A flag: 0 or 1.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything else.
    pub fn flag(&mut self) -> Result<bool, Error> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::Malformed),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is cut off, longer than necessary, or over 32 bits.
    pub fn varint(&mut self) -> Result<u32, Error> {
        let mut value = 0_u64;
        for position in 0..MAX_VARINT_LEN {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                let minimal = byte != 0 || position == 0;
                return u32::try_from(value).ok().filter(|_| minimal).ok_or(Error::Malformed);
            }
        }
        Err(Error::Malformed)
    }

    /// The number of items of a list, each of which takes at least `item_len` bytes: a number that cannot be right is
    /// refused before anything is allocated.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the items do not fit into what is left.
    pub fn count(&mut self, item_len: usize) -> Result<usize, Error> {
        let count = usize::try_from(self.varint()?).map_err(|_| Error::Malformed)?;
        if count.saturating_mul(item_len) > self.0.len() { Err(Error::Malformed) } else { Ok(count) }
    }

    /// Bytes that are preceded by their length.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there are fewer.
    pub fn prefixed(&mut self) -> Result<&'a [u8], Error> {
        let len = self.count(1)?;
        self.bytes(len)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`Error::Malformed`] if something is left.
    pub fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_one_encoding_of_the_stated_length() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX - 1, u32::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value));
            let mut reader = Reader::new(&out);
            assert_eq!(reader.varint(), Ok(value));
            assert_eq!(reader.finish(), Ok(()));
            for len in 0..out.len() {
                assert_eq!(Reader::new(&out[..len]).varint(), Err(Error::Malformed));
            }
        }
        for bad in [&[0x80, 0][..], &[0xff, 0], &[0xff, 0xff, 0xff, 0xff, 0x10], &[0x80, 0x80, 0x80, 0x80, 0x80, 0]] {
            assert_eq!(Reader::new(bad).varint(), Err(Error::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_count_beyond_the_input_is_refused_before_allocation() {
        let mut out = Vec::new();
        put_varint(&mut out, u32::MAX);
        out.extend_from_slice(&[0; 64]);
        assert_eq!(Reader::new(&out).count(1), Err(Error::Malformed));
        assert_eq!(Reader::new(&out).prefixed(), Err(Error::Malformed));
        assert_eq!(Reader::new(&[2, 9, 9]).count(1), Ok(2));
    }
}
