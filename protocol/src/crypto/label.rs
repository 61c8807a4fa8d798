//! Every label of a hash or key derivation, in one list. No two are equal, and each starts with protocol and version.
//! The labels of DCGKA and of what all protocols share start with `dcgka-v1`.

/// A domain separation label.
pub type Label = &'static [u8];

/// Short names of members.
pub const HANDLE: Label = b"dcgka-v1 handle";
/// Group ids.
pub const GROUP_ID: Label = b"dcgka-v1 group id";
/// What a message's signature covers.
pub const MESSAGE: Label = b"dcgka-v1 message";
/// What a tag covers, before the hash of the message.
pub const TAG: Label = b"dcgka-v1 tag";
/// What a bundle's signature covers.
pub const BUNDLE: Label = b"dcgka-v1 bundle";
/// The shared secret of first contact.
pub const X3DH: Label = b"dcgka-v1 x3dh";
/// The shared secret of a message to a fresh key.
pub const X3DH_FRESH: Label = b"dcgka-v1 x3dh fresh";
/// Two-party messages encrypted with HPKE.
pub const TWO_PARTY: Label = b"dcgka-v1 two-party";
/// The shared secret of first contact over a lean channel.
pub const LEAN_X3DH: Label = b"dcgka-v1 lean x3dh";
/// The shared secret of a message to a fresh key over a lean channel.
pub const LEAN_X3DH_FRESH: Label = b"dcgka-v1 lean fresh x3dh";
/// What both sides of a lean channel derive from the shared secret of one ciphertext.
pub const LEAN_SLOT: Label = b"dcgka-v1 lean slot";
/// The commitment to a seed.
pub const SEED_COMMITMENT: Label = b"dcgka-v1 seed commitment";
/// The commitment to a ratchet.
pub const RATCHET_COMMITMENT: Label = b"dcgka-v1 ratchet commitment";
/// The commitment to a member secret.
pub const MEMBER_SECRET_COMMITMENT: Label = b"dcgka-v1 member secret commitment";
/// From a seed to the key from which the members' secrets are derived.
pub const SEED: Label = b"dcgka-v1 seed";
/// One member's secret, derived from a seed.
pub const MEMBER_SECRET: Label = b"dcgka-v1 member secret";
/// One step of a member's ratchet.
pub const RATCHET: Label = b"dcgka-v1 ratchet";
/// Input of the step that makes the joiner's secret.
pub const WELCOME_STEP: Label = b"dcgka-v1 welcome step";
/// Input of the step that every member's ratchet makes after an add.
pub const ADD_STEP: Label = b"dcgka-v1 add step";
/// The joiner's secret.
pub const WELCOME_SECRET: Label = b"dcgka-v1 welcome secret";
/// Message key and next chain key.
pub const CHAIN: Label = b"dcgka-v1 chain";
/// Key and nonce of one application message.
pub const MESSAGE_KEY: Label = b"dcgka-v1 message key";
/// A fingerprint: the hash of a sender's key material.
pub const FINGERPRINT: Label = b"dcgka-v1 fingerprint";

/// The founders of a group of the baseline protocols, to which the group's id commits.
pub const FOUNDERS: Label = b"baselines-v1 founders";
/// First root key of a Double Ratchet, from X3DH.
pub const SESSION: Label = b"pairwise-v1 session";
/// Next root key and chain key of a Double Ratchet.
pub const ROOT: Label = b"pairwise-v1 root";
/// Key and nonce of one message of a Double Ratchet.
pub const PAIRWISE_MESSAGE: Label = b"pairwise-v1 message key";
/// Key and nonce of one message under a sender key.
pub const SENDER_KEY_MESSAGE: Label = b"sender-keys-v1 message key";
/// A fingerprint: the hash of a sender key.
pub const SENDER_KEY_FINGERPRINT: Label = b"sender-keys-v1 fingerprint";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_distinct_and_none_is_a_prefix_of_another_with_the_same_use() {
        let all = [
            HANDLE,
            GROUP_ID,
            MESSAGE,
            TAG,
            BUNDLE,
            X3DH,
            X3DH_FRESH,
            TWO_PARTY,
            LEAN_X3DH,
            LEAN_X3DH_FRESH,
            LEAN_SLOT,
            SEED_COMMITMENT,
            RATCHET_COMMITMENT,
            MEMBER_SECRET_COMMITMENT,
            SEED,
            MEMBER_SECRET,
            RATCHET,
            WELCOME_STEP,
            ADD_STEP,
            WELCOME_SECRET,
            CHAIN,
            MESSAGE_KEY,
            FINGERPRINT,
            FOUNDERS,
            SESSION,
            ROOT,
            PAIRWISE_MESSAGE,
            SENDER_KEY_MESSAGE,
            SENDER_KEY_FINGERPRINT,
        ];
        for (index, label) in all.iter().enumerate() {
            assert!(label.windows(4).any(|window| window == b"-v1 "));
            assert!(all.iter().skip(index + 1).all(|other| other != label));
        }
    }
}
