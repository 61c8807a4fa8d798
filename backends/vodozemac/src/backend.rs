//! The backend, in two variants.

use protocol::crypto::count::Counted;
use protocol::error::Error;
use protocol::member::{Backend, Capabilities, Description, Member, NewUser, Ordering};
use protocol::operation::{Expected, Operation};
use rand_core::CryptoRng;

use crate::party;
use crate::user::Vodozemac;

const RANDOMNESS: &str = "Olm and Megolm draw from the operating system, so no run can be repeated byte for byte";
const MEMBERSHIP: &str = "membership is this adapter's, and the same as in the baseline protocols: notices over Olm, \
                          which are not signed";
const FRAMING: &str = "an Olm message is sent as vodozemac encodes it, and its type is told from its first bytes; this \
                       adapter's framing is in the plaintext, 1 byte and in pre-key messages 8 for the group, where \
                       padding to 16 bytes mostly hides it";
const TWO_SESSIONS: &str = "if two members open Olm sessions at once, both sessions receive, and both members send in \
                            the one with the lower id; an update heals that one only";
const CHAINS: &str = "an Olm session opens messages in the last five chains of the peer, so an update does not end the \
                      chains that a thief of an earlier state can go on with; of each chain it keeps the keys of 40 \
                      messages that have not arrived";

impl Backend for Vodozemac {
    fn description(&self) -> Description {
        let (variant, summary, signed, caveats): (_, _, _, &[&str]) = match self {
            Self::Olm => (
                "olm",
                "Olm with every member",
                "prekey bundles only",
                &[
                    RANDOMNESS,
                    MEMBERSHIP,
                    FRAMING,
                    TWO_SESSIONS,
                    CHAINS,
                    "an update is this adapter's and that of the baseline `pairwise`: it asks each peer for a new \
                     ratchet key, if the updating member made the last one",
                ],
            ),
            Self::Megolm => (
                "megolm",
                "Megolm sessions over Olm, renewed by all members after a removal and in an update",
                "prekey bundles and application messages",
                &[
                    RANDOMNESS,
                    MEMBERSHIP,
                    FRAMING,
                    "a Megolm message has the number of its session in front, 1 byte, instead of the session's id",
                    "that all members begin new sessions after a removal and in an update, and that an update ends the \
                     earlier ones, is this adapter's, as in the baseline `sender-keys:pcs`",
                    "a Megolm session that receives keeps the key of the first message that has not arrived, from \
                     which the keys of all later ones follow",
                    TWO_SESSIONS,
                    CHAINS,
                ],
            ),
        };
        let capabilities = Capabilities {
            concurrent_operations: true,
            pcs_update: true,
            forward_secrecy: true,
            signed,
            ordering: Ordering::Causal,
            deterministic: false,
            // The group's nonce.
            public_randomness: &["founders"],
            threads: false,
            counted: Counted::Nothing,
        };
        Description {
            name: "vodozemac",
            variant,
            summary,
            capabilities,
            adapts: Some("vodozemac 0.11.1"),
            caveats,
            growth: &["update sender bytes linear"],
        }
    }

    fn new_user(&self, one_time_prekeys: usize, _rng: &mut dyn CryptoRng) -> NewUser {
        party::new_user(*self, one_time_prekeys)
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        party::restore(*self, state)
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        party::steal(*self, state)
    }

    fn expected(&self, _operation: Operation, _group_size: usize) -> Option<Expected> {
        None
    }

    fn has(&self, operation: Operation, _group_size: usize) -> bool {
        operation != Operation::CreateMesh || !self.has_megolm()
    }
}
