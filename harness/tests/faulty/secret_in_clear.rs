//! The first secret that a call draws is in clear in the messages of one kind.

use std::convert::Infallible;

use protocol::error::Error;
use protocol::member::{Capabilities, Context, Description, Member, Outgoing};
use rand_core::{CryptoRng, TryCryptoRng, TryRng};

use super::{Action, Fault, note};

#[derive(Clone)]
pub(crate) struct SecretInClear {
    kind: &'static str,
    /// What the backend declares as public.
    declares: Option<&'static [&'static str]>,
    /// The number of draws that are shown.
    shown: usize,
    secret: Vec<u8>,
}

impl SecretInClear {
    /// In messages of this kind.
    pub(crate) fn of(kind: &'static str) -> Self {
        Self { kind, declares: None, shown: 1, secret: Vec::new() }
    }

    /// The first two secrets.
    pub(crate) fn of_two(kind: &'static str) -> Self {
        Self { shown: 2, ..Self::of(kind) }
    }

    /// The same, and the backend declares that messages of these kinds carry public randomness.
    pub(crate) fn declared(kind: &'static str, declares: &'static [&'static str]) -> Self {
        Self { declares: Some(declares), ..Self::of(kind) }
    }
}

impl Fault for SecretInClear {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        let mut tap = Tap { rng: &mut *context.rng, shown: self.shown, seen: Vec::new() };
        let context = &mut Context { rng: &mut tap, directory: context.directory, ..*context };
        let sent = action.of(&mut **inner, context);
        self.secret = tap.seen;
        sent
    }

    fn sends(&self, message: &mut Outgoing) {
        note::attach(&mut message.bytes, if message.kind == self.kind { &self.secret } else { &[] });
    }

    fn arrives(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(note::detach(bytes)?.0.to_vec())
    }

    fn description(&self, right: Description) -> Description {
        let Some(public_randomness) = self.declares else { return right };
        Description { capabilities: Capabilities { public_randomness, ..right.capabilities }, ..right }
    }
}

/// A generator whose first draws are seen.
struct Tap<'a> {
    rng: &'a mut dyn CryptoRng,
    shown: usize,
    seen: Vec<u8>,
}

impl TryRng for Tap<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.rng.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.rng.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.rng.fill_bytes(bytes);
        if self.shown > 0 {
            self.shown -= 1;
            self.seen.extend_from_slice(bytes);
        }
        Ok(())
    }
}

impl TryCryptoRng for Tap<'_> {}
