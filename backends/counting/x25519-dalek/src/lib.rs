//! X25519 with the interface of x25519-dalek 2. Each scalar multiplication is counted: with the base point as `keygen`, with
//! another point as `dh`. The arithmetic is that of curve25519-dalek, as in the crate for which this one stands.
//!
//! What is left out: serde, and the constructors that x25519-dalek 2 has deprecated.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::traits::IsIdentity as _;
use protocol::crypto::count::{self, Counts};
use rand_core::{CryptoRng, RngCore};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The coordinate of the base point.
pub const X25519_BASEPOINT_BYTES: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 9;
    bytes
};

/// X25519 on bytes, as RFC 7748 defines it.
#[must_use]
pub fn x25519(k: [u8; 32], u: [u8; 32]) -> [u8; 32] {
    count::add(Counts { dh: 1, ..Counts::NOTHING });
    MontgomeryPoint(u).mul_clamped(k).to_bytes()
}

fn public_key(secret: [u8; 32]) -> PublicKey {
    count::add(Counts { keygen: 1, ..Counts::NOTHING });
    PublicKey(EdwardsPoint::mul_base_clamped(secret).to_montgomery())
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Zeroize)]
pub struct PublicKey(MontgomeryPoint);

impl PublicKey {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl From<[u8; 32]> for PublicKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(MontgomeryPoint(bytes))
    }
}

impl AsRef<[u8]> for PublicKey {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// What two parties have agreed on.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret(MontgomeryPoint);

impl SharedSecret {
    fn new(secret: [u8; 32], public: &PublicKey) -> Self {
        Self(MontgomeryPoint(x25519(secret, public.to_bytes())))
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether it depends on the secret key: it does not if the public key has a small order.
    #[must_use]
    pub fn was_contributory(&self) -> bool {
        !self.0.is_identity()
    }
}

impl AsRef<[u8]> for SharedSecret {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// What all secret keys have.
macro_rules! secret {
    ($name:ident) => {
        impl $name {
            /// Draws a key.
            pub fn random_from_rng<T: RngCore + CryptoRng>(mut csprng: T) -> Self {
                let mut bytes = [0; 32];
                csprng.fill_bytes(&mut bytes);
                Self(bytes)
            }

            /// Draws a key from the system.
            #[cfg(feature = "getrandom")]
            #[must_use]
            pub fn random() -> Self {
                Self::random_from_rng(rand_core::OsRng)
            }
        }

        impl From<&$name> for PublicKey {
            fn from(secret: &$name) -> Self {
                public_key(secret.0)
            }
        }
    };
}

/// A secret key for one agreement.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct EphemeralSecret([u8; 32]);
secret!(EphemeralSecret);

impl EphemeralSecret {
    /// Agrees with the holder of a public key.
    #[must_use]
    pub fn diffie_hellman(self, their_public: &PublicKey) -> SharedSecret {
        SharedSecret::new(self.0, their_public)
    }
}

/// A secret key for several agreements, which has no form in bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ReusableSecret([u8; 32]);
secret!(ReusableSecret);

impl ReusableSecret {
    /// Agrees with the holder of a public key.
    #[must_use]
    pub fn diffie_hellman(&self, their_public: &PublicKey) -> SharedSecret {
        SharedSecret::new(self.0, their_public)
    }
}

/// A secret key that can be stored.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StaticSecret([u8; 32]);
secret!(StaticSecret);

impl StaticSecret {
    /// Agrees with the holder of a public key.
    #[must_use]
    pub fn diffie_hellman(&self, their_public: &PublicKey) -> SharedSecret {
        SharedSecret::new(self.0, their_public)
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for StaticSecret {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for StaticSecret {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hex: &str) -> [u8; 32] {
        core::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    /// The example of RFC 7748, section 6.1.
    #[test]
    fn keys_and_secrets_are_those_of_the_standard_and_each_is_counted_once() {
        let alice = StaticSecret::from(key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
        let bob = StaticSecret::from(key("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
        let shared = key("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        let before = count::snapshot();
        let (alices, bobs) = (PublicKey::from(&alice), PublicKey::from(&bob));
        assert_eq!(count::snapshot() - before, Counts { keygen: 2, ..Counts::NOTHING });
        assert_eq!(alices.to_bytes(), key("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
        assert_eq!(bobs.to_bytes(), key("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));

        let before = count::snapshot();
        assert_eq!(alice.diffie_hellman(&bobs).to_bytes(), shared);
        assert_eq!(x25519(bob.to_bytes(), alices.to_bytes()), shared);
        assert_eq!(x25519(alice.to_bytes(), X25519_BASEPOINT_BYTES), alices.to_bytes());
        assert_eq!(count::snapshot() - before, Counts { dh: 3, ..Counts::NOTHING });
    }

    #[test]
    fn a_key_of_small_order_contributes_nothing() {
        let secret = StaticSecret::from([7; 32]);
        assert!(!secret.diffie_hellman(&PublicKey::from([0; 32])).was_contributory());
        assert!(secret.diffie_hellman(&PublicKey::from(X25519_BASEPOINT_BYTES)).was_contributory());
    }
}
