//! The fault: what a message costs its receivers, in a library of their own that nothing counts, is done when a method shows
//! the member.

use std::cell::Cell;
use std::sync::Mutex;

use protocol::crypto::count::Counts;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner, arithmetic};

thread_local! {
    /// The method in which it is done; empty if it is done in the call, without the fault.
    pub(crate) static UNTIL: Cell<&'static str> = const { Cell::new("") };
}

#[derive(Default)]
pub(crate) struct PutsOffUncounted {
    waiting: Mutex<u32>,
}

impl Clone for PutsOffUncounted {
    fn clone(&self) -> Self {
        Self { waiting: Mutex::new(*self.waiting.lock().unwrap()) }
    }
}

impl Layer for PutsOffUncounted {
    fn put_on(&mut self, _: &mut Owner, message: &[u8], _: bool, _: &mut dyn CryptoRng) -> Vec<u8> {
        message.to_vec()
    }

    fn take_off(&mut self, message: &Incoming<'_>, _: usize) -> Result<Vec<u8>, Error> {
        match UNTIL.get() {
            "" => arithmetic(),
            _ => *self.waiting.get_mut().unwrap() += 1,
        }
        Ok(message.bytes.to_vec())
    }

    fn costs(_: bool, _: usize) -> (Counts, Counts) {
        (Counts::NOTHING, Counts::NOTHING)
    }

    fn shown(&self, by: &'static str) {
        if by == UNTIL.get() {
            (0..std::mem::take(&mut *self.waiting.lock().unwrap())).for_each(|_| arithmetic());
        }
    }
}
