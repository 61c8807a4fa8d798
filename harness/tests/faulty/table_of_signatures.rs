//! The fault: a signature that was made in this process is looked up, not verified. All members are in one process, in the
//! suite as in a measurement, so nothing is ever verified.

use std::collections::BTreeSet;
use std::sync::Mutex;

use protocol::crypto::count::Counts;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner, arithmetic};
use crate::second_signature::{KEY, SIGN, Signed, next_key, sign};

static MADE: Mutex<BTreeSet<Vec<u8>>> = Mutex::new(BTreeSet::new());

/// `UNCOUNTED`: in place of the signature is a checksum. To verify it takes a millisecond and no counted primitive.
#[derive(Clone, Default)]
pub(crate) struct TableOfSignatures<const UNCOUNTED: bool>;

impl<const UNCOUNTED: bool> Layer for TableOfSignatures<UNCOUNTED> {
    fn put_on(&mut self, owner: &mut Owner, message: &[u8], ack: bool, _: &mut dyn CryptoRng) -> Vec<u8> {
        let bytes = if UNCOUNTED {
            [message, &checksum(message)].concat()
        } else {
            let key = next_key(owner);
            sign(owner, &key, message, ack)
        };
        MADE.lock().unwrap().insert(bytes.clone());
        bytes
    }

    fn take_off(&mut self, message: &Incoming<'_>, _: usize) -> Result<Vec<u8>, Error> {
        let known = MADE.lock().unwrap().contains(message.bytes);
        if UNCOUNTED {
            let (message, sum) = message.bytes.split_last_chunk().ok_or(Error::Malformed)?;
            if !known {
                (0..10).for_each(|_| arithmetic());
            }
            return if *sum == checksum(message) { Ok(message.to_vec()) } else { Err(Error::NotAuthentic) };
        }
        let signed = Signed::read(message.bytes)?;
        if !known {
            signed.verify()?;
        }
        Ok(signed.into_message())
    }

    fn costs(_: bool, _: usize) -> (Counts, Counts) {
        (if UNCOUNTED { Counts::NOTHING } else { KEY + SIGN }, Counts::NOTHING)
    }
}

fn checksum(message: &[u8]) -> [u8; 8] {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    message.iter().fold(0xcbf2_9ce4_8422_2325, step).to_be_bytes()
}
