//! What the variants differ in. Wherever it matters, the code asks one of the predicates here, and nothing else.
//!
//! Each is a rule that `DEVIATIONS.md` beside this crate lists and marks. What they cost is then the difference between
//! two rows of results.

use protocol::causal_order::CausalOrder;

/// The rules that a member follows. All members of a group follow the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// All of `DEVIATIONS.md`.
    Corrected,
    /// Without the rules below that say so. Insecure: only for measurement.
    Published,
    /// As corrected, over lean channels instead of 2SM.
    LeanChannels,
    /// As corrected, with tags instead of signatures of plain acknowledgements.
    TaggedAcks,
    /// Both.
    Lean,
}

impl Rules {
    /// "Every secret that is sent is committed to in the message that carries it." Otherwise bodies have no commitment,
    /// and recipients take any secret that decrypts.
    pub(crate) fn commits(self) -> bool {
        self != Self::Published
    }

    /// "A member that has lost ratchets asks for them." Otherwise it says `none`, and comes back only under a new id.
    pub(crate) fn asks(self) -> bool {
        self != Self::Published
    }

    /// "2SM ciphertexts are bound to [...] the sender's current verification key [...]." Otherwise they are bound only
    /// to the rest of that list.
    pub(crate) fn binds_senders_key(self) -> bool {
        self != Self::Published
    }

    /// "Nothing is ever encrypted to a user outside the member's own view." Otherwise every ADD is answered with an
    /// ADD-ACK that gives the ratchet to the user it names, even if the adder is outside; only seeds from outside are
    /// then answered with `none`.
    pub(crate) fn guards_add_acks(self) -> bool {
        self != Self::Published
    }

    /// "Lazy repair." Otherwise a member does not update when its view loses somebody.
    pub(crate) fn repairs(self) -> bool {
        self != Self::Published
    }

    /// What orders the messages of a group.
    pub(crate) fn order(self) -> CausalOrder {
        if self.tags_acks() { CausalOrder::with_tags() } else { CausalOrder::default() }
    }

    /// "Lean channels." Otherwise secrets travel by 2SM.
    pub(crate) fn lean_channels(self) -> bool {
        matches!(self, Self::LeanChannels | Self::Lean)
    }

    /// "Tagged acknowledgements." Otherwise every message is signed.
    pub(crate) fn tags_acks(self) -> bool {
        matches!(self, Self::TaggedAcks | Self::Lean)
    }
}
