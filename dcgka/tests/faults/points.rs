//! Keys of small order and non-canonical keys: in ids, messages, bundles and ciphertexts.

use protocol::crypto::aead::OneTimeKey;
use protocol::crypto::dh::{PrivateKey, PublicKey};
use protocol::crypto::hash::{self, Digest};
use protocol::crypto::kdf;
use protocol::crypto::label;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::Rule;
use protocol::wire::envelope::{Envelope, Subject};
use protocol::x3dh;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::common::World;
use super::malicious::{ADD, CREATE, Malicious, Payload, UPDATE, slots};
use super::{BAD_VERIFICATION_KEYS, SMALL_ORDER_KEYS, all_but, fork, nones, readings, refused, rejected};

/// A ciphertext to prekeys with an ephemeral key of small order, whose secrets are all known to the sender: it opens
/// unless such keys are refused.
fn slot_with_small_order(
    mallory: &mut Malicious,
    world: &World,
    to: usize,
    point: [u8; 32],
    secret: &Secret,
) -> Vec<u8> {
    let mut own = Vec::new();
    mallory.prekeys.encode(&mut own);
    let own = PrivateKey::from_secret(Secret::new(own[..32].try_into().unwrap()));
    let bundle = x3dh::peer_bundle(&world.id(to), &world.directory).unwrap();
    let agreed = [&[0xff; 32][..], own.agree(&bundle.signed).unwrap().expose(), &[0; 64]].concat();
    let header = [&point[..], &[0; 4]].concat();
    let (info, associated) = mallory.binding(world, to);
    let key = OneTimeKey::new(kdf::derive(label::X3DH, &[0; 32], &agreed, &[]));
    let sealed = key.seal(&mallory.payload(secret).encode(), &[&header[..], &info, &associated].concat()).unwrap();
    [&[1][..], &header, &sealed].concat()
}

#[test]
fn low_order_and_non_canonical_points() {
    let users = [0, 2, 3];
    let mut world = World::with_group(4, 6, 443);

    // In ids: nobody creates a group with them or adds them, and nobody accepts them from others.
    for bad in BAD_VERIFICATION_KEYS {
        let (id, one) = (MemberId(bad), world.id(1));
        let before = world.users[5].member.export();
        assert_eq!(world.act(5, |member, context| member.create(&[id, one], context)), Err(Error::NoBundle));
        assert!(world.users[5].member.export() == before);
        let before = world.users[0].member.export();
        assert_eq!(world.act(0, |member, context| member.add(&id, context)), Err(Error::NoBundle));
        assert!(world.users[0].member.export() == before);

        let mut elsewhere = World::new(6, 443);
        let creator = Malicious::rob(&elsewhere, 5);
        elsewhere.group = GroupId::new(&creator.id, &Digest([7; 32]));
        for (other, result) in [(id, Some(Error::Malformed)), (elsewhere.id(4), None)] {
            let mut others = [other, one];
            others.sort_unstable();
            let body = [&[7; 32][..], &[8; 32], &[2], &others[0].0, &others[1].0, &[0, 0]].concat();
            let bytes = creator.sign(&elsewhere, &creator.draft(CREATE, &body));
            assert_eq!(elsewhere.receive(5, &bytes, 1).err(), result);
        }
        assert!(elsewhere.is_inside(1));

        let mut world = fork(&world);
        let mut mallory = Malicious::turn(&mut world, 1);
        let body = mallory.add_body(&id);
        let place = mallory.post(&mut world, ADD, Subject::None, &body);
        for user in users {
            rejected(&mut world, place, user, Rule::Form);
        }
        assert_eq!(readings(&mut world, &users), all_but(&users, &[]));
    }

    // In new verification keys: the message is invalid, and its number is free for the genuine one.
    let update = world.update(1)[0];
    let genuine = world.sent[update].bytes.clone();
    let at = Envelope::decode(&genuine).unwrap().header.len();
    for bad in BAD_VERIFICATION_KEYS {
        let mut damaged = genuine.clone();
        damaged[at..at + 32].copy_from_slice(&bad);
        assert_eq!(refused(&mut world, 1, &damaged, 2), Error::Malformed);
    }
    world.settle();
    world.check(&[0, 1, 2, 3]);

    // In bundles that their users have signed themselves.
    let clean = fork(&world);
    for (identity, signed) in [(true, false), (false, true), (true, true)] {
        for weak in SMALL_ORDER_KEYS {
            let mut world = fork(&clean);
            let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(6));
            let id = MemberId(*key.verification_key().as_bytes());
            let fair = PrivateKey::random(&mut ChaCha20Rng::seed_from_u64(7)).public_key().0;
            let (identity, signed) = (if identity { weak } else { fair }, if signed { weak } else { fair });
            let signature = key.sign(&hash::hash(label::BUNDLE, &[&id.0, &identity, &signed]).0);
            world.directory.publish(id, [&identity[..], &signed, &signature.0].concat(), Vec::new());
            assert_eq!(world.act(2, |member, context| member.add(&id, context)), Err(Error::NoBundle));
        }
    }

    // In ciphertexts: the ephemeral key of first contact, whether or not the author knows the result, and the
    // encapsulated key afterwards.
    for weak in SMALL_ORDER_KEYS {
        let mut world = fork(&clean);
        let mut mallory = Malicious::turn(&mut world, 1);
        for round in 0..2 {
            let seed = mallory.secret();
            let mut slots = users.map(|user| (user, mallory.honest_slot(&world, user, &seed)));
            if round == 0 {
                slots[2].1 = slot_with_small_order(&mut mallory, &world, 3, weak, &seed);
            } else {
                slots[0].1[1..33].copy_from_slice(&weak);
            }
            slots[1].1[1..33].copy_from_slice(&weak);
            let body = mallory.seeded(&world, &seed, &slots);
            let place = mallory.post(&mut world, UPDATE, Subject::None, &body);
            // The ciphertext after a refused one is for a key in the refused one.
            let expected: &[usize] = if round == 0 { &[2, 3] } else { &users };
            assert_eq!(nones(&mut world, place, &users), expected);
            world.settle();
        }
        assert_eq!(readings(&mut world, &users), all_but(&users, &[(0, 2), (0, 3)]));
    }

    // In what is encrypted: a key for the answer, and its index. The answer is empty, or the payload is invalid.
    let altered = |world: &World, mallory: &mut Malicious, change: &dyn Fn(&mut Payload)| {
        let seed = mallory.secret();
        let slots = users.map(|user| {
            let mut payload = mallory.payload(&seed);
            if user == 2 {
                change(&mut payload);
            }
            (user, mallory.slot(world, user, &payload))
        });
        mallory.seeded(world, &seed, &slots)
    };
    for weak in SMALL_ORDER_KEYS {
        let mut world = fork(&clean);
        let mut mallory = Malicious::turn(&mut world, 1);
        let body = altered(&world, &mut mallory, &|payload| payload.mine = PublicKey(weak));
        let place = mallory.post(&mut world, UPDATE, Subject::None, &body);
        assert!(nones(&mut world, place, &users).is_empty());
        world.settle();
        let update = world.update(2)[0];
        let lens: Vec<_> = slots(&world.sent[update].bytes).into_iter().map(|slot| slot.len()).collect();
        assert_eq!(lens.iter().filter(|len| **len == 1).count(), 1, "the author's alone is empty");
        world.settle();
        assert_eq!(readings(&mut world, &users), all_but(&users, &[]));
        world.remove(2, 1);
        world.settle();
        world.check(&users);
    }
    for (index, opens) in [(0, false), (u32::MAX, false), (u32::MAX - 1, false), (u32::MAX - 2, true)] {
        let mut world = fork(&clean);
        let mut mallory = Malicious::turn(&mut world, 1);
        let body = altered(&world, &mut mallory, &|payload| payload.index = index);
        let place = mallory.post(&mut world, UPDATE, Subject::None, &body);
        let expected: &[usize] = if opens { &[] } else { &[2] };
        assert_eq!(nones(&mut world, place, &users), expected, "index {index}");
        world.settle();
        world.update(2);
        world.settle();
        let lost: &[_] = if opens { &[] } else { &[(0, 2), (3, 2)] };
        assert_eq!(readings(&mut world, &users), all_but(&users, lost), "index {index}");
    }
}
