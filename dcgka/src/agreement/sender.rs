//! What is known of a member as a sender of messages: its ratchet, and the chain of its latest update secret.

use protocol::crypto::hash::DIGEST_LEN;
use protocol::crypto::kdf;
use protocol::crypto::label;
use protocol::crypto::secret::Secret;

use crate::message_ratchet::Chain;

/// Calls of HKDF in one step of a ratchet.
pub(crate) const RATCHET_KDF_CALLS: u64 = 2;

/// Calls of HKDF in [`Sender::add_steps`]: two steps and a derivation.
pub(crate) const ADD_KDF_CALLS: u64 = 2 * RATCHET_KDF_CALLS + 2;

/// What is known of one member.
#[derive(Clone, Default)]
pub(crate) struct Sender {
    /// The member's ratchet. `None` if it is unknown; then no step is made from it.
    pub(crate) ratchet: Option<Secret>,
    /// The chain of its latest update secret.
    pub(crate) chain: Option<Chain>,
}

impl Sender {
    /// The first state, which the paper calls the empty string: HMAC pads it to these zeros.
    pub(crate) fn initial() -> Self {
        Self { ratchet: Some(Secret::new([0; DIGEST_LEN])), chain: None }
    }

    /// update-ratchet: (I, ratchet) = KDF(ratchet, input). `None` if the ratchet is unknown.
    fn step(&mut self, input: &[u8]) -> Option<Secret> {
        let ratchet = self.ratchet.as_mut()?;
        let (update_secret, next) = kdf::split(&kdf::derive::<64>(label::RATCHET, ratchet.expose(), input, &[]));
        *ratchet = next;
        Some(update_secret)
    }

    /// A step whose update secret starts a new chain.
    pub(crate) fn advance(&mut self, input: &[u8]) {
        self.chain = self.step(input).map(Chain::new);
    }

    /// The two steps of an adder. Returns the joiner's first secret, or `None` if the adder's ratchet is unknown.
    pub(crate) fn add_steps(&mut self) -> Option<Secret> {
        let welcome = self.step(label::WELCOME_STEP)?;
        self.advance(label::ADD_STEP);
        Some(kdf::derive(label::WELCOME_SECRET, &[0; DIGEST_LEN], welcome.expose(), &[]))
    }
}
