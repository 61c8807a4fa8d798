//! The published vectors of the primitives' specifications against the wrappers.

#![allow(clippy::expect_used, reason = "a helper of tests may panic as a test may")]

use core::convert::Infallible;

use protocol::crypto::dh::{PrivateKey, PublicKey};
use protocol::crypto::hash::{DIGEST_LEN, blocks_of, hash};
use protocol::crypto::label::{CHAIN, Label, MESSAGE, RATCHET};
use protocol::crypto::ristretto;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{Signature, SigningKey, VerificationKey};
use protocol::crypto::{count, kdf};
use protocol::error::Error;
use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};

use crate::common::{array, bytes};

mod common;

fn private_key(text: &str) -> PrivateKey {
    PrivateKey::from_secret(Secret::new(array(text)))
}

/// X25519 as in RFC 7748; neither side is a base point.
fn x25519(scalar: [u8; 32], u: [u8; 32]) -> [u8; 32] {
    let agreed = PrivateKey::from_secret(Secret::new(scalar)).agree(&PublicKey(u));
    *agreed.expect("no small order").expose()
}

/// RFC 7748, section 5.2: scalar, u-coordinate, result. The second u-coordinate has the unused bit set.
const LADDER: [(&str, &str, &str); 2] = [
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
];

#[test]
fn rfc_7748_section_5_2() {
    for (scalar, u, result) in LADDER {
        assert_eq!(x25519(array(scalar), array(u)), array(result));
    }
}

/// Each result is the next scalar, and each scalar the next u-coordinate. The million iterations are left out.
#[test]
fn rfc_7748_section_5_2_iterated() {
    let mut k = [0; 32];
    k[0] = 9;
    let mut u = k;
    for iteration in 1..=1000 {
        (k, u) = (x25519(k, u), k);
        if iteration == 1 {
            assert_eq!(k, array("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
        }
    }
    assert_eq!(k, array("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

#[test]
fn rfc_7748_section_6_1() {
    let alice = private_key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let bob = private_key("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let alice_public = array("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    let bob_public = array("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    let shared = array("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(alice.public_key(), PublicKey(alice_public));
    assert_eq!(bob.public_key(), PublicKey(bob_public));
    assert_eq!(*alice.agree(&PublicKey(bob_public)).unwrap().expose(), shared);
    assert_eq!(*bob.agree(&PublicKey(alice_public)).unwrap().expose(), shared);
}

/// RFC 8032, section 7.1: secret key, public key, message, signature.
const SIGNATURES: [(&str, &str, &str, &str); 5] = [
    // TEST 1
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
         d25bf5f0595bbe24655141438e7a100b",
    ),
    // TEST 2
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
         387b2eaeb4302aeeb00d291612bb0c00",
    ),
    // TEST 3
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659\
         4a7c15e9716ed28dc027beceea1ec40a",
    ),
    // TEST 1024
    (
        "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f54e9f77b1\
         e355f6c50544e23fb1433ddf73be84d879de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d\
         658675fc6ea534e0810a4432826bf58c941efb65d57a338bbd2e26640f89ffbc1a858efcb8550ee3a5e1998bd177e93a\
         7363c344fe6b199ee5d02e82d522c4feba15452f80288a821a579116ec6dad2b3b310da903401aa62100ab5d1a36553e\
         06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573cb116dbefefd75499da96bd68a8a97b928a8bbc10\
         3b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53f1d8ac70bdcb7ed1\
         85ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2d17ba70eb6248e594e1a2297acbbb39d\
         502f1a8c6eb6f1ce22b3de1a1f40cc24554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f270\
         88d78b7e883c8759d2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089b\
         eccf80cfe2df16a2cf65bd92dd597b0707e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128ba\
         b27af87a71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51addd3b75a2b1ae0784504df543af8969b\
         e3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9b47acdb7\
         51fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c42f58c30c04aafdb038dda0847dd988d\
         cda6f3bfd15c4b4c4525004aa06eeff8ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34df\
         f7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08d78ff4ef5d63653a65040cf9bfd4aca7\
         984a74d37145986780fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e4\
         88acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2dcc5600a32ef5b52a1ecc820e308aa342721aac09\
         43bf6686b64b2579376504ccc493d97e6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5f\
         b93246f6b1116398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b50d334ba77c225bc307ba537152f3f161\
         0e4eafe595f6d9d90d11faa933a15ef1369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380d\
         b2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c0618983f8741c5ef68d3a101e8a3b8ca\
         c60c905c15fc910840b94c00a0b9d0",
        "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b\
         5e8fcd4f681e30a6ac00a9704a188a03",
    ),
    // TEST SHA(abc)
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd\
         454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030\
         3dca179c138ac17ad9bef1177331a704",
    ),
];

#[test]
fn rfc_8032_section_7_1() {
    for (secret, public, message, signature) in SIGNATURES {
        let key = SigningKey::from_secret(&Secret::new(array(secret)));
        let message = bytes(message);
        let signature = Signature(array(signature));
        assert_eq!(key.verification_key().as_bytes(), &array(public));
        assert_eq!(key.sign(&message), signature);
        assert_eq!(key.to_secret().expose(), &array(secret));

        let public = VerificationKey::from_bytes(&array(public)).unwrap();
        assert_eq!(public, key.verification_key());
        assert_eq!(public.verify(&message, &signature), Ok(()));
        assert_eq!(public.verify(&[&message[..], &[0]].concat(), &signature), Err(Error::NotAuthentic));
        for bit in 0..512 {
            let mut other = signature;
            other.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(public.verify(&message, &other), Err(Error::NotAuthentic));
        }
    }
}

/// RFC 5869, appendices A.1 to A.3: input key material, salt, info, output.
const HKDF: [(&str, &str, &str, &str); 3] = [
    // A.1
    (
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    // A.2
    (
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f\
         303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
        "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f\
         909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
        "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf\
         e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
         da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    // A.3
    (
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "",
        "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
];

#[test]
fn rfc_5869_appendix_a() {
    for (key_material, salt, info, output) in HKDF {
        let mut out = vec![0; output.len() / 2];
        assert!(kdf::hkdf_sha256(&bytes(salt), &bytes(key_material), &bytes(info), &mut out));
        assert_eq!(out, bytes(output));
    }
}

/// The labelled derivation is HKDF with the info string that its documentation states.
#[test]
fn labelled_derivation_is_hkdf() {
    fn check<const N: usize>(label: Label, context: &[u8]) {
        let info = [&[u8::try_from(label.len()).unwrap()], label, context].concat();
        let mut out = [0; N];
        assert!(kdf::hkdf_sha256(b"salt", b"key material", &info, &mut out));
        assert_eq!(*kdf::derive::<N>(label, b"salt", b"key material", context).expose(), out);
        assert_eq!(*kdf::Extracted::new(b"salt", b"key material").expand::<N>(label, context).expose(), out);
    }
    check::<32>(RATCHET, b"");
    check::<44>(CHAIN, b"context");
    check::<64>(RATCHET, &[7; 100]);
    check::<{ 255 * 32 }>(RATCHET, b"the longest");
}

#[test]
fn a_split_keeps_the_order_of_the_halves() {
    let both: [u8; 64] = core::array::from_fn(|index| index as u8);
    let (left, right) = kdf::split::<32, 32, 64>(&Secret::new(both));
    assert_eq!([*left.expose(), *right.expose()].concat(), both);
}

/// RFC 9180, appendix A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM in base mode, sequence number 0. From
/// the appendix's machine-readable form, `test-vectors-5f503c5.json` in the package hpke 0.13.
mod rfc_9180 {
    use protocol::crypto::hpke::{ENCAPSULATED_LEN, OVERHEAD, open, seal};

    use super::*;

    const SK_E: &str = "52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736";
    const SK_R: &str = "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8";
    const PK_R: &str = "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d";
    const ENC: &str = "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431";
    const INFO: &str = "4f6465206f6e2061204772656369616e2055726e";
    const AAD: &str = "436f756e742d30";
    const PT: &str = "4265617574792069732074727574682c20747275746820626561757479";
    const CT: &str = "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a";

    /// Yields the given bytes and no more.
    struct Scripted(Vec<u8>);

    impl TryRng for Scripted {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            rand_core::utils::next_word_via_fill(self)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            rand_core::utils::next_word_via_fill(self)
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            assert!(out.len() <= self.0.len(), "more randomness than the specification needs");
            let rest = self.0.split_off(out.len());
            out.copy_from_slice(&core::mem::replace(&mut self.0, rest));
            Ok(())
        }
    }

    impl TryCryptoRng for Scripted {}

    fn sealed() -> Vec<u8> {
        [bytes(ENC), bytes(CT)].concat()
    }

    #[test]
    fn keys() {
        assert_eq!(private_key(SK_R).public_key(), PublicKey(array(PK_R)));
        assert_eq!(private_key(SK_E).public_key(), PublicKey(array(ENC)));
    }

    #[test]
    fn opening() {
        let plaintext = open(&private_key(SK_R), &bytes(INFO), &bytes(AAD), &sealed()).unwrap();
        assert_eq!(plaintext.expose(), bytes(PT));
    }

    /// The ephemeral private key is all the randomness that is drawn.
    #[test]
    fn sealing() {
        let mut rng = Scripted(bytes(SK_E));
        let out = seal(&PublicKey(array(PK_R)), &bytes(INFO), &bytes(AAD), &bytes(PT), &mut rng).unwrap();
        assert_eq!(out, sealed());
        assert_eq!(out.len(), PT.len() / 2 + OVERHEAD);
        assert_eq!(ENC.len() / 2, ENCAPSULATED_LEN);
        assert!(rng.0.is_empty());
    }

    #[test]
    fn any_change_is_refused() {
        let key = private_key(SK_R);
        let (info, aad, sealed) = (bytes(INFO), bytes(AAD), sealed());
        let refused = |info: &[u8], aad: &[u8], sealed: &[u8]| {
            assert_eq!(open(&key, info, aad, sealed).map(|_| ()), Err(Error::NotAuthentic));
        };
        let changed = |bytes: &[u8], at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 0x80;
            bytes
        };
        (0..info.len()).for_each(|at| refused(&changed(&info, at), &aad, &sealed));
        (0..aad.len()).for_each(|at| refused(&info, &changed(&aad, at), &sealed));
        // This includes the unused bit of the encapsulated key: it is hashed.
        (0..sealed.len()).for_each(|at| refused(&info, &aad, &changed(&sealed, at)));
        refused(&aad, &info, &sealed);
        refused(&[], &aad, &sealed);
        refused(&info, &[], &sealed);
        refused(&info, &aad, &[&sealed[..], &[0]].concat());
    }
}

/// Label and parts, each preceded by its length, as the documentation of `hash` says.
fn framed(label: Label, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in core::iter::once(&label).chain(parts) {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// SHA-256 by the steps of FIPS 180-4, sections 5.1.1 and 6.2.2, and the number of compressions.
fn sha256(message: &[u8]) -> ([u8; DIGEST_LEN], u64) {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    let mut state =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19u32];
    let mut compressions = 0;
    for block in padded.chunks_exact(64) {
        sha2::block_api::compress256(&mut state, &[block.try_into().expect("64 bytes")]);
        compressions += 1;
    }
    let mut digest = [0; DIGEST_LEN];
    for (out, word) in digest.chunks_exact_mut(4).zip(state) {
        out.copy_from_slice(&word.to_be_bytes());
    }
    (digest, compressions)
}

/// FIPS 180-4's one-block example, for the function above and for the library below the wrapper.
#[test]
fn sha_256_of_abc() {
    let expected: [u8; DIGEST_LEN] = array("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(sha256(b"abc"), (expected, 1));
    assert_eq!(<[u8; DIGEST_LEN]>::from(Sha256::digest(b"abc")), expected);
}

#[test]
fn hashes_are_sha_256_of_the_framing_and_blocks_are_its_compressions() {
    let filler = [0xa5; 400];
    let mut checked = 0;
    for label in [MESSAGE, RATCHET, b""] {
        for length in 0..200 {
            let lists: [&[&[u8]]; 3] = [&[], &[&filler[..length]], &[&filler[..length / 2], b"", &filler[..length]]];
            for parts in lists {
                let message = framed(label, parts);
                let before = count::snapshot();
                let digest = hash(label, parts);
                let counted = (count::snapshot() - before).hash_blocks;
                assert_eq!(digest.0, <[u8; DIGEST_LEN]>::from(Sha256::digest(&message)));
                assert_eq!((digest.0, counted), sha256(&message));
                let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
                assert_eq!(blocks_of(label, &lengths), counted);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 3 * 200 * 3);
}

/// Padding needs nine bytes: 55 bytes fit into one block and 56 do not.
#[test]
fn blocks_at_the_boundaries() {
    for (framed, blocks) in [(16, 1), (55, 1), (56, 2), (119, 2), (120, 3), (183, 3), (184, 4)] {
        assert_eq!(blocks_of(b"", &[framed - 16]), blocks, "{framed} bytes");
    }
    assert_eq!(blocks_of(b"", &[]), 1);
}

#[test]
fn different_lists_of_parts_are_different_hashes() {
    let lists: [&[&[u8]]; 7] = [&[], &[b""], &[b"", b""], &[b"ab"], &[b"a", b"b"], &[b"", b"ab"], &[b"ab", b""]];
    for (index, list) in lists.iter().enumerate() {
        for other in &lists[index + 1..] {
            assert_ne!(hash(MESSAGE, list), hash(MESSAGE, other));
        }
        assert_ne!(hash(MESSAGE, list), hash(RATCHET, list));
        assert!(hash(MESSAGE, list).matches(&hash(MESSAGE, list)));
        assert!(!hash(MESSAGE, list).matches(&hash(RATCHET, list)));
    }
}

/// RFC 9496, appendix A.1: multiples of the generator, from the first on.
const MULTIPLES: [&str; 15] = [
    "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76",
    "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
    "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259",
    "da80862773358b466ffadfe0b3293ab3d9fd53c5ea6c955358f568322daf6a57",
    "e882b131016b52c1d3337080187cf768423efccbb517bb495ab812c4160ff44e",
    "f64746d3c92b13050ed8d80236a7f0007c3b3f962f5ba793d19a601ebb1df403",
    "44f53520926ec81fbd5a387845beb7df85a96a24ece18738bdcfa6a7822a176d",
    "903293d8f2287ebe10e2374dc1a53e0bc887e592699f02d077d5263cdd55601c",
    "02622ace8f7303a31cafc63f8fc48fdc16e1c8c8d234b2f0d6685282a9076031",
    "20706fd788b2720a1ed2a5dad4952b01f413bcf0e7564de8cdc816689e2db95f",
    "bce83f8ba5dd2fa572864c24ba1810f9522bc6004afe95877ac73241cafdab42",
    "e4549ee16b9aa03099ca208c67adafcafa4c3f3e4e5303de6026e3ca8ff84460",
    "aa52e000df2e16f55fb1032fc33bc42742dad6bd5a8fc0be0167436c5948501f",
    "46376b80f409b29dc2b5f6f0c52591990896e5716f41477cd30085ab7f10301e",
    "e0c418f7c8d9c4cdd7395b93ea124f3ad99021bb681dfc3302a9d99a2e53e64e",
];

fn ristretto_key(scalar: usize) -> ristretto::PrivateKey {
    let mut bytes = [0; ristretto::PRIVATE_KEY_LEN];
    bytes[0] = u8::try_from(scalar).expect("a small scalar");
    ristretto::PrivateKey::from_secret(&Secret::new(bytes)).expect("a canonical scalar")
}

#[test]
fn rfc_9496_appendix_a_1() {
    for (index, multiple) in MULTIPLES.iter().enumerate() {
        let point = ristretto_key(index + 1).public_key();
        assert_eq!(point.to_bytes(), array::<32>(multiple), "multiple {}", index + 1);
        assert_eq!(ristretto::PublicKey::from_bytes(&array(multiple)), Ok(point));
        // Twice the product of private and public key.
        if let Some(double) = MULTIPLES.get(2 * (index + 1) - 1) {
            assert_eq!(*ristretto_key(1).agree(&point).expose(), array::<32>(double));
            assert_eq!(*ristretto_key(index + 1).agree(&ristretto_key(1).public_key()).expose(), array::<32>(double));
        }
    }
}

/// RFC 9496, appendix A.3: encodings that are not canonical, negative, of no square, of a negative product, or of y = 0.
/// The neutral element is an element of the group, but no key.
#[test]
fn rfc_9496_appendix_a_3() {
    for bad in [
        "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
        "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
        "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ] {
        assert_eq!(ristretto::PublicKey::from_bytes(&array(bad)), Err(Error::Malformed), "{bad}");
    }
}
