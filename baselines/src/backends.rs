//! The backends `pairwise` and `sender-keys`.

use protocol::crypto::count::Counted;
use protocol::error::Error;
use protocol::member::{Backend, Capabilities, Description, Member, NewUser, Ordering};
use protocol::operation::{Expected, Operation};
use rand_core::CryptoRng;

use crate::user::Protocol;
use crate::{costs, party};

/// The backend `pairwise`: X3DH and Double Ratchet between every two members, as in Signal before its post-quantum
/// versions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pairwise;

/// The backend `sender-keys`, in one of three variants.
#[derive(Clone, Copy, Debug)]
pub struct SenderKeys {
    protocol: Protocol,
}

impl SenderKeys {
    /// `sender-keys:eager`: after a removal all members hand out new keys immediately.
    pub const EAGER: Self = Self { protocol: Protocol::Eager };
    /// `sender-keys:lazy`: after a removal each member hands out a new key with its next message, as WhatsApp does.
    pub const LAZY: Self = Self { protocol: Protocol::Lazy };
    /// `sender-keys:pcs`: as `eager`, and a member can heal by an update, in which all members hand out new keys.
    pub const PCS: Self = Self { protocol: Protocol::Pcs };
}

impl Backend for Pairwise {
    fn description(&self) -> Description {
        Description {
            name: "pairwise",
            variant: "",
            summary: "pairwise Signal: X3DH and Double Ratchet with every member (without post-quantum parts)",
            capabilities: capabilities(Protocol::Pairwise, "prekey bundles only"),
            adapts: None,
            caveats: &[],
            growth: &[
                "update group bytes linear",
                "update recipient bytes constant",
                "update group public-key linear",
                "message sender bytes linear",
            ],
        }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        party::new_user(Protocol::Pairwise, one_time_prekeys, rng)
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        party::restore(Protocol::Pairwise, state)
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        party::steal(Protocol::Pairwise, state)
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        costs::expected(Protocol::Pairwise, operation, group_size)
    }
}

impl Backend for SenderKeys {
    fn description(&self) -> Description {
        let (variant, summary) = match self.protocol {
            Protocol::Lazy => ("lazy", "Sender Keys, renewed after a removal with each member's next message"),
            Protocol::Pcs => ("pcs", "Sender Keys, renewed by all members after a removal and in an update"),
            _ => ("eager", "Sender Keys, renewed by all members immediately after a removal"),
        };
        let growth: &[&str] = match self.protocol {
            Protocol::Pcs => &[
                "update group bytes quadratic",
                "update recipient bytes linear",
                "update group public-key quadratic",
                "message sender bytes constant",
            ],
            _ => &["message sender bytes constant"],
        };
        let capabilities = capabilities(self.protocol, "prekey bundles and application messages");
        Description { name: "sender-keys", variant, summary, capabilities, adapts: None, caveats: &[], growth }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        party::new_user(self.protocol, one_time_prekeys, rng)
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        party::restore(self.protocol, state)
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        party::steal(self.protocol, state)
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        costs::expected(self.protocol, operation, group_size)
    }
}

fn capabilities(protocol: Protocol, signed: &'static str) -> Capabilities {
    Capabilities {
        concurrent_operations: true,
        pcs_update: protocol.updates(),
        forward_secrecy: true,
        signed,
        ordering: Ordering::Causal,
        deterministic: true,
        // The group's nonce.
        public_randomness: &["founders"],
        threads: false,
        counted: Counted::All,
    }
}
