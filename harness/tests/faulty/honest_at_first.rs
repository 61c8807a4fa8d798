//! The fault: nobody verifies the second signature of acknowledgements in large groups, but only from the second time on that
//! such a group is measured.

use std::sync::atomic::{AtomicBool, Ordering};

use protocol::crypto::count::Counts;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};
use crate::second_signature::{KEY, SIGN, SecondSignature, Signed, VERIFY};

const LARGE: usize = 20;

/// Whether a member of a large group has received a message.
static MEASURED: AtomicBool = AtomicBool::new(false);
/// Whether it had when the formulas were last asked for: right before each sample.
static AGAIN: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Default)]
pub(crate) struct HonestAtFirst;

impl Layer for HonestAtFirst {
    fn put_on(&mut self, owner: &mut Owner, message: &[u8], ack: bool, rng: &mut dyn CryptoRng) -> Vec<u8> {
        SecondSignature.put_on(owner, message, ack, rng)
    }

    fn take_off(&mut self, message: &Incoming<'_>, members: usize) -> Result<Vec<u8>, Error> {
        let large = members >= LARGE;
        MEASURED.fetch_or(large, Ordering::Relaxed);
        let signed = Signed::read(message.bytes)?;
        if !(large && signed.is_ack() && AGAIN.load(Ordering::Relaxed)) {
            signed.verify()?;
        }
        Ok(signed.into_message())
    }

    fn costs(ack: bool, group_size: usize) -> (Counts, Counts) {
        let again = group_size >= LARGE && MEASURED.load(Ordering::Relaxed);
        AGAIN.store(again, Ordering::Relaxed);
        (KEY + SIGN, if ack && again { Counts::NOTHING } else { VERIFY })
    }
}
