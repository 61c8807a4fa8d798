//! The fault: a message is useless without a mask that its author leaves in memory that all instances share. It has the
//! length of the genuine message, so that the suite sees nothing wrong with its bytes.

use std::collections::BTreeMap;
use std::sync::Mutex;

use protocol::crypto::count::Counts;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};

/// By message.
static MASKS: Mutex<BTreeMap<Vec<u8>, u8>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Default)]
pub(crate) struct SharedMemory;

impl Layer for SharedMemory {
    fn put_on(&mut self, _: &mut Owner, message: &[u8], _: bool, rng: &mut dyn CryptoRng) -> Vec<u8> {
        let mut mask = [0];
        rng.fill_bytes(&mut mask);
        let masked: Vec<u8> = message.iter().map(|byte| byte ^ mask[0]).collect();
        MASKS.lock().unwrap().insert(masked.clone(), mask[0]);
        masked
    }

    fn take_off(&mut self, message: &Incoming<'_>, _: usize) -> Result<Vec<u8>, Error> {
        let mask = MASKS.lock().unwrap().get(message.bytes).copied().ok_or(Error::NotAuthentic)?;
        Ok(message.bytes.iter().map(|byte| byte ^ mask).collect())
    }

    fn costs(_: bool, _: usize) -> (Counts, Counts) {
        (Counts::NOTHING, Counts::NOTHING)
    }
}
