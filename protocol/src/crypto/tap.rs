//! What the primitives derive and encrypt with, recorded on a thread while the conformance suite asks for it. Otherwise this
//! costs the test of a flag, and without the feature `conformance` nothing.

#[cfg(feature = "conformance")]
pub(crate) use recording::{Derived, Tap};

/// The inputs of a derivation, by their number in the record.
pub(super) type Inputs = usize;

#[cfg(not(feature = "conformance"))]
mod recording {
    pub(in super::super) fn takes(_inputs: &[&[u8]]) -> super::Inputs {
        0
    }

    pub(in super::super) fn gives(_inputs: super::Inputs, _output: &[u8]) {}

    pub(in super::super) fn encrypts(_key: &[u8]) {}

    pub(in super::super) fn carries(_key: &[u8], _plaintext: &[u8]) {}
}

pub(super) use recording::{carries, encrypts, gives, takes};

#[cfg(feature = "conformance")]
mod recording {
    use core::cell::{Cell, RefCell};

    use super::Inputs;

    /// What was derived from what, and with which keys messages were encrypted and decrypted, in this order.
    #[derive(Clone, Default)]
    pub(crate) struct Derived {
        pub(crate) inputs: Vec<Vec<Vec<u8>>>,
        pub(crate) outputs: Vec<(Inputs, Vec<u8>)>,
        pub(crate) keys: Vec<Vec<u8>>,
        /// The plaintext of each ciphertext, with its key.
        pub(crate) plaintexts: Vec<(Vec<u8>, Vec<u8>)>,
    }

    thread_local! {
        static IS_ON: Cell<bool> = const { Cell::new(false) };
        static DERIVED: RefCell<Derived> = RefCell::default();
    }

    /// Records until it is dropped.
    pub(crate) struct Tap(());

    impl Tap {
        pub(crate) fn start() -> Self {
            DERIVED.take();
            IS_ON.set(true);
            Self(())
        }

        /// The number of keys that have been used so far.
        #[expect(clippy::unused_self, reason = "only while it records")]
        pub(crate) fn keys(&self) -> usize {
            DERIVED.with_borrow(|derived| derived.keys.len())
        }

        /// What was recorded.
        pub(crate) fn end(self) -> Derived {
            DERIVED.take()
        }
    }

    impl Drop for Tap {
        fn drop(&mut self) {
            IS_ON.set(false);
            DERIVED.take();
        }
    }

    /// Secrets from which something will be derived.
    #[inline]
    pub(in super::super) fn takes(inputs: &[&[u8]]) -> Inputs {
        if !IS_ON.get() {
            return 0;
        }
        DERIVED.with_borrow_mut(|derived| {
            derived.inputs.push(inputs.iter().map(|input| input.to_vec()).collect());
            derived.inputs.len() - 1
        })
    }

    /// What was derived from them.
    #[inline]
    pub(in super::super) fn gives(inputs: Inputs, output: &[u8]) {
        if IS_ON.get() {
            DERIVED.with_borrow_mut(|derived| derived.outputs.push((inputs, output.to_vec())));
        }
    }

    /// A key with which something is encrypted or decrypted.
    #[inline]
    pub(in super::super) fn encrypts(key: &[u8]) {
        if IS_ON.get() {
            DERIVED.with_borrow_mut(|derived| derived.keys.push(key.to_vec()));
        }
    }

    /// What a ciphertext that was made or opened with a key gives to everybody who has the key.
    #[inline]
    pub(in super::super) fn carries(key: &[u8], plaintext: &[u8]) {
        if IS_ON.get() {
            DERIVED.with_borrow_mut(|derived| derived.plaintexts.push((key.to_vec(), plaintext.to_vec())));
        }
    }
}
