//! ristretto255 (RFC 9496): a group of prime order in which every element has one encoding. Unlike keys of X25519, its
//! keys can be added: the sum of two private keys belongs to the sum of their public keys.

use core::fmt;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity as _;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::secret::Secret;
use super::{count, tap};
use crate::error::Error;

/// Bytes of an encoded public key.
pub const PUBLIC_KEY_LEN: usize = 32;
/// Bytes of an encoded private key.
pub const PRIVATE_KEY_LEN: usize = 32;
/// Bytes from which a private key is made, so that none is more likely than another.
pub const WIDE_LEN: usize = 64;

/// A private key: a scalar.
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<Scalar>);

/// A public key: an element of the group, decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(RistrettoPoint);

impl PrivateKey {
    /// A fresh private key. Counts nothing: only computing its public key costs something.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self::from_wide(&Secret::random(rng))
    }

    /// The key of these pseudorandom bytes, taken modulo the order of the group.
    #[must_use]
    pub fn from_wide(bytes: &Secret<WIDE_LEN>) -> Self {
        let inputs = tap::takes(&[bytes.expose()]);
        Self(Zeroizing::new(Scalar::from_bytes_mod_order_wide(bytes.expose()))).tapped(inputs)
    }

    /// The key of these bytes, which [`to_secret`](Self::to_secret) wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`] if they are not below the order of the group.
    pub fn from_secret(bytes: &Secret<PRIVATE_KEY_LEN>) -> Result<Self, Error> {
        let scalar: Option<Scalar> = Scalar::from_canonical_bytes(*bytes.expose()).into();
        scalar.map(|scalar| Self(Zeroizing::new(scalar))).ok_or(Error::Malformed)
    }

    /// The bytes, for an export.
    #[must_use]
    pub fn to_secret(&self) -> Secret<PRIVATE_KEY_LEN> {
        Secret::new(self.0.to_bytes())
    }

    /// The sum of two keys.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let inputs = tap::takes(&[self.0.as_bytes(), other.0.as_bytes()]);
        let sum = Self(Zeroizing::new(*self.0 + *other.0)).tapped(inputs);
        // Who knows the sum and one of the keys knows the other.
        for (one, rest) in [(self, other), (other, self)] {
            tap::gives(tap::takes(&[sum.0.as_bytes(), one.0.as_bytes()]), rest.0.as_bytes());
        }
        sum
    }

    fn tapped(self, inputs: tap::Inputs) -> Self {
        tap::gives(inputs, self.0.as_bytes());
        self
    }

    /// The public key. Counts one multiplication of the base point.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        count::record(|tally| tally.ristretto_base.add(1));
        PublicKey(RistrettoPoint::mul_base(&self.0))
    }

    /// The secret shared with `peer`: the encoding of 2 · private key · `peer`. Counts one multiplication and one coding.
    #[must_use]
    pub fn agree(&self, peer: &PublicKey) -> Secret {
        self.agree_with_all(core::slice::from_ref(peer)).pop().unwrap_or_else(|| Secret::new([0; PUBLIC_KEY_LEN]))
    }

    /// The secret shared with each of these, as [`agree`](Self::agree) gives it. Counts a multiplication for each, and
    /// one coding for all: they are encoded together, which is why they are doubled (RFC 9496 encodes one by one).
    #[must_use]
    pub fn agree_with_all(&self, peers: &[PublicKey]) -> Vec<Secret> {
        if peers.is_empty() {
            return Vec::new();
        }
        count::record(|tally| {
            tally.ristretto_mul.add(peers.len() as u64);
            tally.ristretto_coding.add(1);
        });
        let products: Zeroizing<Vec<_>> = Zeroizing::new(peers.iter().map(|peer| *self.0 * peer.0).collect());
        let shared = Zeroizing::new(RistrettoPoint::double_and_compress_batch(products.iter()));
        let inputs = tap::takes(&[self.0.as_bytes()]);
        let secret = |shared: &CompressedRistretto| {
            tap::gives(inputs, shared.as_bytes());
            Secret::new(shared.to_bytes())
        };
        shared.iter().map(secret).collect()
    }
}

impl PublicKey {
    /// Decodes a key. Counts one coding.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the bytes are no element's encoding, or the neutral element's: with that key, the shared
    /// secret would be the same for everybody.
    pub fn from_bytes(bytes: &[u8; PUBLIC_KEY_LEN]) -> Result<Self, Error> {
        count::record(|tally| tally.ristretto_coding.add(1));
        let point = CompressedRistretto(*bytes).decompress();
        point.filter(|point| !point.is_identity()).map(Self).ok_or(Error::Malformed)
    }

    /// The encoded key. Counts one coding.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PUBLIC_KEY_LEN] {
        count::record(|tally| tally.ristretto_coding.add(1));
        self.0.compress().to_bytes()
    }

    /// The sum of two keys.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is the neutral element.
    pub fn plus(&self, other: &Self) -> Result<Self, Error> {
        let sum = self.0 + other.0;
        if sum.is_identity() { Err(Error::Malformed) } else { Ok(Self(sum)) }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ristretto::PublicKey({:02x?})", &self.0.compress().to_bytes()[..4])
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn keys(seed: u64) -> [PrivateKey; 3] {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        core::array::from_fn(|_| PrivateKey::random(&mut rng))
    }

    #[test]
    fn both_sides_agree_alone_and_together() {
        let [a, b, c] = keys(1);
        let [pa, pb, pc] = [&a, &b, &c].map(PrivateKey::public_key);
        let all = a.agree_with_all(&[pb, pc]);
        assert!(all == [b.agree(&pa), c.agree(&pa)]);
        assert!(all == [a.agree(&pb), a.agree(&pc)]);
        assert!(all[0] != all[1] && a.agree_with_all(&[]).is_empty());
    }

    #[test]
    fn the_sum_of_private_keys_belongs_to_the_sum_of_public_keys() {
        let [a, b, c] = keys(2);
        let sum = a.public_key().plus(&b.public_key()).unwrap();
        assert_eq!(a.plus(&b).public_key(), sum);
        assert!(a.plus(&b).agree(&c.public_key()) == c.agree(&sum));
        let minus = PrivateKey(Zeroizing::new(-*a.0));
        assert_eq!(a.public_key().plus(&minus.public_key()).unwrap_err(), Error::Malformed);
    }

    #[test]
    fn keys_are_encoded_and_decoded() {
        let [a, ..] = keys(3);
        assert!(PrivateKey::from_secret(&a.to_secret()).unwrap().to_secret() == a.to_secret());
        assert!(PrivateKey::from_secret(&Secret::new([0xff; 32])).is_err());
        assert_eq!(PublicKey::from_bytes(&a.public_key().to_bytes()).unwrap(), a.public_key());
    }

    #[test]
    fn each_call_counts_what_it_says() {
        let [a, b, c] = keys(4);
        let count = |call: &dyn Fn()| {
            let before = count::snapshot();
            call();
            let counts = count::snapshot() - before;
            (counts.ristretto_mul, counts.ristretto_base, counts.ristretto_coding)
        };
        let [pb, pc] = [&b, &c].map(PrivateKey::public_key);
        assert_eq!(count(&|| assert!(a.public_key() != pb)), (0, 1, 0));
        assert_eq!(count(&|| drop(a.agree(&pb))), (1, 0, 1));
        assert_eq!(count(&|| drop(a.agree_with_all(&[pb, pc]))), (2, 0, 1));
        assert_eq!(count(&|| assert!(PublicKey::from_bytes(&pb.to_bytes()).is_ok())), (0, 0, 2));
    }
}
