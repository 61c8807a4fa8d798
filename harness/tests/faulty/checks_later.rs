//! An author verifies its own second signature. The fault: not in the call that sends the message, but when it is asked for
//! its group, or when the backend is asked for its formulas.

use std::cell::RefCell;
use std::sync::Mutex;

use protocol::crypto::count::Counts;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};
use crate::second_signature::{KEY, SIGN, SecondSignature, Signed, VERIFY};

/// In the call: no fault.
pub(crate) const IN_CALL: u8 = 0;
pub(crate) const IN_GROUP: u8 = 1;
pub(crate) const IN_EXPECTED: u8 = 2;

thread_local! {
    /// What formulas wait for.
    static LATER: RefCell<Vec<Signed>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
pub(crate) struct ChecksLater<const WHEN: u8> {
    /// What the group waits for.
    sent: Mutex<Vec<Signed>>,
}

impl<const WHEN: u8> Clone for ChecksLater<WHEN> {
    fn clone(&self) -> Self {
        Self { sent: Mutex::new(self.sent.lock().unwrap().clone()) }
    }
}

fn verify(signed: Vec<Signed>) {
    signed.iter().for_each(|signed| signed.verify().unwrap());
}

impl<const WHEN: u8> Layer for ChecksLater<WHEN> {
    fn put_on(&mut self, owner: &mut Owner, message: &[u8], ack: bool, rng: &mut dyn CryptoRng) -> Vec<u8> {
        let bytes = SecondSignature.put_on(owner, message, ack, rng);
        let signed = Signed::read(&bytes).unwrap();
        match WHEN {
            IN_CALL => signed.verify().unwrap(),
            IN_GROUP => self.sent.get_mut().unwrap().push(signed),
            _ => LATER.with_borrow_mut(|later| later.push(signed)),
        }
        bytes
    }

    fn take_off(&mut self, message: &Incoming<'_>, members: usize) -> Result<Vec<u8>, Error> {
        SecondSignature.take_off(message, members)
    }

    fn costs(_: bool, _: usize) -> (Counts, Counts) {
        verify(LATER.take());
        (KEY + SIGN + if WHEN == IN_CALL { VERIFY } else { Counts::NOTHING }, VERIFY)
    }

    fn shown(&self, by: &'static str) {
        if by == "group" {
            verify(std::mem::take(&mut *self.sent.lock().unwrap()));
        }
    }
}
