//! X3DH compared with a naive model of its specification, alone and followed by the Double Ratchet.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod model;

use baselines::double_ratchet::DoubleRatchet;
use model::Bytes32;
use protocol::crypto::label;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::wire::codec::Reader;
use protocol::x3dh::{FirstContact, PeerBundle, PrekeySecrets, initiate, respond};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// The label of a session's first root key.
const INFO: &str = "pairwise-v1 session";

/// A user in both implementations.
struct User {
    secrets: PrekeySecrets,
    bundle: PeerBundle,
    one_time: Vec<Vec<u8>>,
    identity: Bytes32,
    signed: Bytes32,
    one_time_private: Vec<Bytes32>,
}

fn user(one_time: usize, rng: &mut ChaCha20Rng) -> User {
    let (secrets, publication) = PrekeySecrets::generate(&SigningKey::random(rng), one_time, rng);
    let mut encoded = Vec::new();
    secrets.encode(&mut encoded);
    let mut reader = Reader::new(&encoded);
    let (identity, signed) = (reader.array().unwrap(), reader.array().unwrap());
    let count = reader.varint().unwrap();
    let one_time_private = (0..count).map(|_| {
        reader.varint().unwrap();
        reader.array().unwrap()
    });
    let one_time_private = one_time_private.collect();
    let bundle = PeerBundle { identity: *secrets.identity(), signed: *secrets.signed_key() };
    User { secrets, bundle, one_time: publication.one_time, identity, signed, one_time_private }
}

/// Returns the first contact, and the secret, which is the same in all four computations.
fn agree(alice: &User, bob: &User, one_time: Option<usize>, seed: u64) -> (FirstContact, Bytes32) {
    let stream = || ChaCha20Rng::seed_from_u64(seed);
    let prekey = one_time.map(|index| &bob.one_time[index][..]);
    let (secret, contact): (Secret, _) =
        initiate(&alice.secrets, &bob.bundle, prekey, label::SESSION, &mut stream()).unwrap();

    let ephemeral = model::generate(&mut stream());
    let private = one_time.map(|index| &bob.one_time_private[index]);
    let public = private.map(model::public);
    let (peer_identity, peer_signed) = (model::public(&bob.identity), model::public(&bob.signed));
    let modelled =
        model::x3dh_initiator(&alice.identity, &ephemeral, (&peer_identity, &peer_signed, public.as_ref()), INFO);
    assert_eq!(*secret.expose(), modelled);

    // The wire form: the ephemeral key, the id of the one-time prekey.
    let id = one_time.map_or(0, |index| u32::try_from(index).unwrap() + 1);
    assert_eq!(contact.encode()[..], [&model::public(&ephemeral)[..], &id.to_be_bytes()].concat());

    let responded: Secret = respond(&bob.secrets, &alice.bundle.identity, &contact, label::SESSION).unwrap();
    assert_eq!(*responded.expose(), modelled);
    let peer = (&model::public(&alice.identity), &contact.ephemeral.0);
    assert_eq!(model::x3dh_responder(peer, (&bob.identity, &bob.signed, private), INFO), modelled);
    (contact, modelled)
}

#[test]
fn both_sides_agree_with_the_model_with_and_without_a_one_time_prekey() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for seed in 0..20 {
        let (alice, bob) = (user(0, &mut rng), user(3, &mut rng));
        let secrets = [None, Some(0), Some(1), Some(2)].map(|one_time| agree(&alice, &bob, one_time, seed).1);
        let others = [None, Some(0)].map(|one_time| agree(&alice, &bob, one_time, seed + 100).1);
        let mut all = [&secrets[..], &others].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6, "each key must change the secret: seed {seed}");
    }
}

#[test]
fn a_session_equals_that_of_the_model_from_first_contact_on() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let (alice, bob) = (user(0, &mut rng), user(1, &mut rng));
    let (_, secret) = agree(&alice, &bob, Some(0), 7);
    let keys = |party| ChaCha20Rng::seed_from_u64(party);

    // First our implementation initiates and the model responds, then the other way round.
    let mut rng = keys(1);
    let mut ours = DoubleRatchet::initiator(Secret::new(secret), &bob.bundle.signed, &mut rng).unwrap();
    let mut theirs = model::State::bob(secret, bob.signed, keys(2));
    for round in 0..5 {
        let message = ours.encrypt(&[round; 9], b"to the model", &mut rng).unwrap();
        assert_eq!(theirs.decrypt(&message, b"to the model").unwrap(), [round; 9]);
        let message = theirs.encrypt(&[round; 7], b"from the model").unwrap();
        assert_eq!(ours.decrypt(&message, b"from the model").unwrap().expose(), [round; 7]);
    }

    let mut theirs = model::State::alice(secret, bob.bundle.signed.0, keys(3));
    let mut ours =
        DoubleRatchet::responder(Secret::new(secret), bob.secrets.signed().clone(), *bob.secrets.signed_key());
    for round in 0..5 {
        let message = theirs.encrypt(&[round; 7], b"from the model").unwrap();
        assert_eq!(ours.decrypt(&message, b"from the model").unwrap().expose(), [round; 7]);
        let message = ours.encrypt(&[round; 9], b"to the model", &mut rng).unwrap();
        assert_eq!(theirs.decrypt(&message, b"to the model").unwrap(), [round; 9]);
    }
}
