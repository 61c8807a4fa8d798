//! What the variants differ in: wherever it matters, one of the predicates here is asked, and nothing else.
//!
//! Each is a rule that `DEVIATIONS.md` beside this crate lists and marks: what they cost is then a difference of two rows.

/// The rules that a member follows. All members of a group follow the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// All of `DEVIATIONS.md`.
    Corrected,
    /// Without those below. Insecure: it is there to be measured.
    Published,
}

impl Rules {
    /// "A seed is committed to in the control message." Otherwise bodies have no commitment, and recipients take any seed
    /// that decrypts.
    pub(crate) fn commits_to_seeds(self) -> bool {
        self == Self::Corrected
    }

    /// "2SM ciphertexts are bound to [...] the sender's current verification key [...]." Otherwise to all else in that list
    /// alone.
    pub(crate) fn binds_senders_key(self) -> bool {
        self == Self::Corrected
    }

    /// "Nothing is ever encrypted to somebody outside the own view." Otherwise every ADD is answered with an ADD-ACK that
    /// tells the ratchet to whomever it names, also where the adder is outside: seeds alone are then answered with `none`.
    pub(crate) fn guards_add_acks(self) -> bool {
        self == Self::Corrected
    }

    /// "Lazy repair." Otherwise the loss of somebody from the view leads to no update.
    pub(crate) fn repairs(self) -> bool {
        self == Self::Corrected
    }
}
