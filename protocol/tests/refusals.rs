//! What the wrappers must refuse, and what they must not print.

use core::fmt::{Debug, Display};
use core::hash::Hash;

use protocol::crypto::aead::{self, OneTimeKey};
use protocol::crypto::dh::{PrivateKey, PublicKey};
use protocol::crypto::hpke;
use protocol::crypto::kdf::Extracted;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{Signature, SigningKey, VerificationKey};
use protocol::error::Error;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::common::array;

mod common;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([1; 32])
}

/// The u-coordinates of small order and their encodings that are not canonical, from the list at
/// <https://cr.yp.to/ecdh.html>. RFC 7748, section 5, ignores the topmost bit of each.
const SMALL_ORDER_U: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    // 325606250916557431795983626356110631294008115727848805560023387167927233504
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    // 39382357235489614581723060781553021112529911719440698176882885853963445705823
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    // p - 1, p, p + 1
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// The rest of that list, above 2^255: p plus the third and the fourth of those above, 2p - 1, 2p, 2p + 1. Without the
/// topmost bit they are ordinary u-coordinates.
const ORDINARY_WITHOUT_THE_TOP_BIT: [&str; 5] = [
    "cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
    "4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
    "d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn small_order_public_keys() -> impl Iterator<Item = PublicKey> {
    SMALL_ORDER_U.into_iter().flat_map(|text| {
        let clear: [u8; 32] = array(text);
        let mut set = clear;
        set[31] |= 0x80;
        [PublicKey(clear), PublicKey(set)]
    })
}

#[test]
fn agreement_with_a_public_key_of_small_order() {
    let mut rng = rng();
    let mut refused = 0;
    for _ in 0..4 {
        let private = PrivateKey::random(&mut rng);
        for public in small_order_public_keys() {
            assert_eq!(private.agree(&public), Err(Error::NotAuthentic), "{public:?}");
            refused += 1;
        }
    }
    assert_eq!(refused, 4 * 14);
}

#[test]
fn agreement_ignores_the_top_bit() {
    let private = PrivateKey::random(&mut rng());
    for text in ORDINARY_WITHOUT_THE_TOP_BIT {
        let set: [u8; 32] = array(text);
        let mut clear = set;
        clear[31] &= 0x7f;
        assert_ne!(set, clear);
        let agreed = private.agree(&PublicKey(set)).unwrap();
        assert_eq!(agreed, private.agree(&PublicKey(clear)).unwrap());
        assert_ne!(*agreed.expose(), [0; 32]);
    }
}

#[test]
fn hpke_with_a_public_key_of_small_order() {
    let mut rng = rng();
    let recipient = PrivateKey::random(&mut rng);
    for public in small_order_public_keys() {
        let sealed = hpke::seal(&public, b"info", b"associated", b"plaintext", &mut rng);
        assert_eq!(sealed, Err(Error::NotAuthentic), "{public:?}");
        let forged = [&public.0[..], &[0; 16 + 9]].concat();
        assert_eq!(hpke::open(&recipient, b"info", b"associated", &forged).err(), Some(Error::NotAuthentic));
    }
}

#[test]
fn hpke_of_every_shorter_length() {
    let mut rng = rng();
    let recipient = PrivateKey::random(&mut rng);
    let sealed = hpke::seal(&recipient.public_key(), b"info", b"associated", b"plaintext", &mut rng).unwrap();
    for length in 0..sealed.len() {
        let opened = hpke::open(&recipient, b"info", b"associated", &sealed[..length]);
        assert_eq!(opened.err(), Some(Error::NotAuthentic), "{length} bytes");
    }
    assert_eq!(hpke::open(&recipient, b"info", b"associated", &sealed).unwrap().expose(), b"plaintext");
}

/// RFC 9180 has length limits that no caller comes near. Inputs longer than 2^16 bytes are no special case.
#[test]
fn hpke_of_long_and_empty_inputs() {
    let mut rng = rng();
    let recipient = PrivateKey::random(&mut rng);
    let long = vec![7; 70_000];
    for (info, associated, plaintext) in [(&long[..], &long[..], &long[..]), (&[], &[], &[])] {
        let sealed = hpke::seal(&recipient.public_key(), info, associated, plaintext, &mut rng).unwrap();
        assert_eq!(hpke::open(&recipient, info, associated, &sealed).unwrap().expose(), plaintext);
    }
}

#[test]
fn hpke_for_somebody_else() {
    let mut rng = rng();
    let (recipient, other) = (PrivateKey::random(&mut rng), PrivateKey::random(&mut rng));
    let sealed = hpke::seal(&recipient.public_key(), b"", b"", b"plaintext", &mut rng).unwrap();
    assert_eq!(hpke::open(&other, b"", b"", &sealed).err(), Some(Error::NotAuthentic));
}

#[test]
fn aead_of_every_shorter_length() {
    let key = || OneTimeKey::new(Secret::new([3; aead::KEY_LEN]));
    let sealed = key().seal(b"plaintext", b"associated").unwrap();
    for length in 0..sealed.len() {
        let opened = key().open(&sealed[..length], b"associated");
        assert_eq!(opened.err(), Some(Error::NotAuthentic), "{length} bytes");
    }
    assert_eq!(key().open(&sealed, b"associated").unwrap().expose(), b"plaintext");
}

/// The eight points of small order on edwards25519: orders 1, 2, 4, 4 and four times 8.
const SMALL_ORDER_POINTS: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

#[test]
fn verification_keys_of_small_order() {
    for text in SMALL_ORDER_POINTS {
        let bytes = array(text);
        // The library itself accepts them: the wrapper refuses them.
        assert!(ed25519_dalek::VerifyingKey::from_bytes(&bytes).unwrap().is_weak(), "{text}");
        assert_eq!(VerificationKey::from_bytes(&bytes), Err(Error::Malformed), "{text}");
    }
}

/// RFC 8032, section 5.1.3, refuses a y-coordinate of p or more, and x = 0 with the sign bit.
#[test]
fn verification_keys_that_are_not_canonical() {
    let mut encodings = Vec::new();
    // p + 0 to p + 18 are all that fit into 255 bits.
    for over in 0..19 {
        for top in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            bytes[0] = 0xed + over;
            bytes[31] = top;
            encodings.push(bytes);
        }
    }
    // y = 1 and y = -1 have x = 0 alone.
    encodings.push(array("0100000000000000000000000000000000000000000000000000000000000080"));
    encodings.push(array("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"));

    let mut refused_for_the_encoding_alone = 0;
    for bytes in &encodings {
        assert_eq!(VerificationKey::from_bytes(bytes), Err(Error::Malformed), "{bytes:02x?}");
        let decoded = ed25519_dalek::VerifyingKey::from_bytes(bytes);
        refused_for_the_encoding_alone += usize::from(decoded.is_ok_and(|key| !key.is_weak()));
    }
    assert_eq!(encodings.len(), 40);
    // Ten of the nineteen y-coordinates (3, 4, 5, 6, 9, 10, 14, 15, 16, 18) are on the curve and not of small order.
    assert_eq!(refused_for_the_encoding_alone, 20);
}

#[test]
fn verification_keys_off_the_curve() {
    for y in [2, 7, 8, 11, 12, 13, 17] {
        let mut bytes = [0; 32];
        bytes[0] = y;
        assert_eq!(VerificationKey::from_bytes(&bytes), Err(Error::Malformed), "y = {y}");
    }
}

/// S and S + L verify alike without the check of RFC 8032, section 5.1.7.
#[test]
fn a_signature_with_the_group_order_added() {
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let key = SigningKey::random(&mut rng());
    let signature = key.sign(b"message");
    assert_eq!(key.verification_key().verify(b"message", &signature), Ok(()));
    let mut other = signature;
    let mut carry = 0;
    for (byte, order) in other.0[32..].iter_mut().zip(array::<32>(ORDER)) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(key.verification_key().verify(b"message", &other), Err(Error::NotAuthentic));
    assert_eq!(key.verification_key().verify(b"message", &Signature([0; 64])), Err(Error::NotAuthentic));
}

/// Compiles only if the type does not have the trait: otherwise the inferred parameter would be ambiguous.
macro_rules! lacks {
    ($type:ty: $($lacked:path),+) => {$({
        trait Lacks<Marker> {
            fn lacks() {}
        }
        struct Has;
        impl<T: ?Sized> Lacks<()> for T {}
        impl<T: ?Sized + $lacked> Lacks<Has> for T {}
        <$type as Lacks<_>>::lacks();
    })+};
}

#[test]
fn secrets_do_not_print_copy_hash_or_order_themselves() {
    lacks!(PrivateKey: Debug, Display, Copy, Hash, PartialOrd, PartialEq);
    lacks!(SigningKey: Debug, Display, Copy, Hash, PartialOrd, PartialEq);
    lacks!(OneTimeKey: Debug, Display, Copy, Clone, Hash, PartialOrd, PartialEq);
    lacks!(Extracted: Debug, Display, Copy, Hash, PartialOrd, PartialEq);
    // Its Debug shows only the length, and its PartialEq takes constant time.
    lacks!(Secret: Display, Copy, Hash, PartialOrd);
    assert_eq!(format!("{:?}", Secret::new([0xab; 44])), "Secret<44>(..)");
}

#[test]
fn keys_and_secrets_print_what_they_should() {
    let key = SigningKey::random(&mut rng()).verification_key();
    let bytes = key.as_bytes();
    let expected = format!("VerificationKey([{:02x}, {:02x}, {:02x}, {:02x}])", bytes[0], bytes[1], bytes[2], bytes[3]);
    assert_eq!(format!("{key:?}"), expected);
}
