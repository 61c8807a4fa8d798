//! HPKE beside an implementation of others: what one seals, the other one opens.

use hpke::aead::AesGcm128;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal_with_rng};
use protocol::crypto::dh::PrivateKey;
use protocol::crypto::hpke as ours;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

type Theirs = X25519HkdfSha256;

fn random_bytes(longest: u32, rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut bytes = vec![0; (rng.next_u32() % (longest + 1)) as usize];
    rng.fill_bytes(&mut bytes);
    bytes
}

#[test]
fn what_one_seals_the_other_opens() {
    for seed in 0..200 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let private = PrivateKey::random(&mut rng);
        let public = private.public_key();
        let their_private = <Theirs as Kem>::PrivateKey::from_bytes(private.as_secret().expose()).unwrap();
        let their_public = <Theirs as Kem>::PublicKey::from_bytes(&public.0).unwrap();
        let [info, associated, plaintext] = [130, 90, 300].map(|longest| random_bytes(longest, &mut rng));

        let sealed = ours::seal(&public, &info, &associated, &plaintext, &mut rng).unwrap();
        let (encapsulated, ciphertext) = sealed.split_at(ours::ENCAPSULATED_LEN);
        let encapsulated = <Theirs as Kem>::EncappedKey::from_bytes(encapsulated).unwrap();
        let opened = single_shot_open::<AesGcm128, HkdfSha256, Theirs>(
            &OpModeR::Base,
            &their_private,
            &encapsulated,
            &info,
            ciphertext,
            &associated,
        );
        assert_eq!(opened.unwrap(), plaintext, "seed {seed}");

        let (encapsulated, ciphertext) = single_shot_seal_with_rng::<AesGcm128, HkdfSha256, Theirs>(
            &OpModeS::Base,
            &their_public,
            &info,
            &plaintext,
            &associated,
            &mut rng,
        )
        .unwrap();
        let sealed = [&encapsulated.to_bytes()[..], &ciphertext].concat();
        assert_eq!(ours::open(&private, &info, &associated, &sealed).unwrap().expose(), plaintext, "seed {seed}");
    }
}
