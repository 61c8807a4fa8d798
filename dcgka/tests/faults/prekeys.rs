//! What the directory returns: prekeys that nobody has signed, that are somebody else's, or that are used up.

use protocol::crypto::hash;
use protocol::crypto::label;
use protocol::crypto::signature::SigningKey;
use protocol::directory::Directory as _;
use protocol::error::Error;
use protocol::wire::envelope::Envelope;
use protocol::x3dh::PrekeySecrets;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::common::{COLD, World, carry, rejections, says_none};
use super::malicious::{Malicious, slots};
use super::{all_but, fork, readings};

#[test]
fn unsigned_expired_or_foreign_prekeys() {
    let world = World::with_group(4, 6, 430);
    let three = Malicious::rob(&world, 3);
    let bundle = |user| world.directory.bundle(&world.id(user)).unwrap();
    let one_time = |user| world.directory.clone().one_time(&world.id(user)).unwrap();
    let genuine = bundle(3);
    let unsigned = [&genuine[..64], &[0; 64]].concat();
    let signed_by_another = [&genuine[..64], &bundle(2)[64..]].concat();
    let swapped = [&genuine[32..64], &genuine[..32], &genuine[64..]].concat();
    let used = {
        // One that the creator has used.
        let fresh = World::new(6, 430);
        fresh.directory.one_time(&fresh.id(3)).unwrap()
    };
    let wrong_id = [&77_u32.to_be_bytes()[..], &one_time(3)[4..]].concat();
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let (_, foreign) = PrekeySecrets::generate(&SigningKey::random(&mut rng), 1, &mut rng);
    let replaced = {
        let (_, other) = PrekeySecrets::generate(&three.identity, 0, &mut ChaCha20Rng::seed_from_u64(3));
        let (identity, signed) = (&genuine[..32], &other.bundle[32..64]);
        let signature = three.identity.sign(&hash::hash(label::BUNDLE, &[&three.id.0, identity, signed]).0);
        [identity, signed, &signature.0].concat()
    };

    // What user 3 publishes, and whether anybody can encrypt to it. The ciphertext never opens.
    let cases = [
        ("no signature", unsigned, Vec::new(), false),
        ("the signature of another", signed_by_another, Vec::new(), false),
        ("keys that were not signed in this order", swapped, Vec::new(), false),
        ("another's bundle", bundle(2), Vec::new(), false),
        ("a stranger's bundle", foreign.bundle, Vec::new(), false),
        ("a one-time prekey that was used up", genuine.clone(), vec![used], true),
        ("another's one-time prekey", genuine.clone(), foreign.one_time, true),
        ("a one-time prekey under another number", genuine.clone(), vec![wrong_id], true),
        ("a one-time prekey of small order", genuine.clone(), vec![[&one_time(3)[..4], &[0; 32]].concat()], false),
        ("a signed prekey that its owner does not hold", replaced, Vec::new(), true),
    ];
    for (what, bundle, one_time, sealed) in cases {
        let mut world = fork(&world);
        world.directory.publish(world.id(3), bundle, one_time);
        let update = world.update(1);
        let empty = slots(&world.sent[update[0]].bytes).iter().filter(|slot| slot.len() == 1).count();
        assert_eq!(empty, usize::from(!sealed), "{what}");
        let answers = carry(&mut world, &[&update], &[0, 2, 3]);
        let nones: Vec<_> = answers.iter().map(|place| says_none(&world, *place)).collect();
        assert_eq!(nones, [false, false, true], "{what}");
        world.directory.publish(world.id(3), genuine.clone(), Vec::new());
        world.settle();
        let users = [0, 1, 2, 3];
        assert_eq!(readings(&mut world, &users), all_but(&users, &[(0, 3), (1, 3), (2, 3)]), "{what}");
        // The blind member is read, and answers: the two-party channel works again.
        world.update(3);
        world.settle();
        let update = world.update(1);
        let answer = carry(&mut world, &[&update], &[3]);
        assert!(!says_none(&world, answer[0]), "{what}");
        world.remove(0, 3);
        world.settle();
        world.add(0, 4);
        world.settle();
        world.check(&[0, 1, 2, 4]);
    }

    // An add of a user with such a bundle is refused.
    let joiner = world.id(5);
    let (genuine, signature) = (bundle(5), bundle(4)[64..].to_vec());
    for bad in [bundle(4), [&genuine[..64], &signature[..]].concat(), [&genuine[..64], &[0; 64]].concat()] {
        let mut world = fork(&world);
        world.directory.publish(joiner, bad, Vec::new());
        assert_eq!(world.act(2, |member, context| member.add(&joiner, context)), Err(Error::NoBundle));
        world.directory.publish(joiner, genuine.clone(), Vec::new());
        world.add(2, 5);
        world.settle();
        world.check(&[0, 1, 2, 3, 5]);
    }
}

#[test]
fn a_create_without_a_valid_bundle_changes_nothing_and_takes_no_prekeys() {
    let mut world = World::new(4, 432);
    let (creator, others) = (world.users[0].member.export(), [1, 2, 3].map(|user| world.id(user)));
    let untouched = world.directory.clone();
    let next = |world: &World| others.map(|id| world.directory.clone().one_time(&id));
    for user in others {
        let (bundle, signed) = (untouched.bundle(&user).unwrap(), untouched.clone().one_time(&user).unwrap());
        let unsigned = [&bundle[..64], &[0; 64]].concat();
        let small_order = [&signed[..4], &[0; 32]].concat();
        // What the user publishes, and whether the bundle alone shows that nobody can encrypt to it.
        let cases = [(None, true), (Some((unsigned, vec![signed])), true), (Some((bundle, vec![small_order])), false)];
        for (published, shows) in cases {
            world.directory = untouched.clone();
            match published {
                Some((bundle, one_time)) => world.directory.publish(user, bundle, one_time),
                None => world.directory.withdraw(&user),
            }
            let before = next(&world);
            assert_eq!(world.act(0, |member, context| member.create(&others, context)), Err(Error::NoBundle));
            assert!(world.users[0].member.export() == creator);
            assert!(!shows || next(&world) == before, "prekeys of the others were taken");
        }
    }
    world.directory = untouched;
    world.create(0, &[1, 2, 3]);
    world.settle();
    world.check(&[0, 1, 2, 3]);
}

#[test]
fn one_time_prekeys_exhausted() {
    let mut world = World::new(5, 431);
    for user in 0..5 {
        let (id, bundle) = (world.id(user), world.directory.bundle(&world.id(user)).unwrap());
        // One is left, for the first member that requests it.
        let last = world.directory.one_time(&id).unwrap();
        world.directory.publish(id, bundle, vec![last]);
    }
    world.create(0, &[1, 2, 3]);
    world.settle();
    for user in [1, 2, 3] {
        world.update(user);
    }
    world.settle();
    world.add(1, 4);
    world.settle();
    world.check(&[0, 1, 2, 3, 4]);
    // The ids of the one-time prekeys in use: each user's only one once, and no prekey for the rest.
    let mut with = 0;
    let mut without = 0;
    for sent in &world.sent {
        let body = Envelope::decode(&sent.bytes).unwrap().body;
        for slot in slots(&sent.bytes).into_iter().filter(|slot| slot.len() == COLD && body[slot.start] == 1) {
            match body[slot.start + 33..slot.start + 37] {
                [0, 0, 0, 0] => without += 1,
                _ => with += 1,
            }
        }
    }
    assert_eq!(with, 5 - 1, "all but the creator's, to whom nobody wrote first");
    assert!(without > 4, "{without}");
}

/// The directory hands out the same one-time prekey to everybody. Its owner deletes it when it first opens something.
#[test]
fn a_one_time_prekey_that_is_handed_out_twice() {
    let users = [0, 1, 2, 3];
    let repeat = |world: &World, user: usize| {
        let (id, bundle) = (world.id(user), world.directory.bundle(&world.id(user)).unwrap());
        let prekey = world.directory.one_time(&id).unwrap();
        world.directory.publish(id, bundle, vec![prekey; 8]);
    };
    // At a founder: the first that writes to it is read, and each later one is lost with all that acknowledge it.
    let mut world = World::new(5, 432);
    repeat(&world, 3);
    world.create(0, &[1, 2, 3]);
    world.settle();
    for updater in [1, 2] {
        world.update(updater);
        world.settle();
    }
    assert_eq!(readings(&mut world, &users), all_but(&users, &[(0, 3), (1, 3), (2, 3)]));
    for updater in users {
        world.update(updater);
        world.settle();
    }
    assert_eq!(rejections(&world), 0);
    world.check(&users);
    // At a joiner: the adder is read, and each later answer to the add is lost.
    repeat(&world, 4);
    world.add(0, 4);
    world.settle();
    let all = [0, 1, 2, 3, 4];
    assert_eq!(readings(&mut world, &all), all_but(&all, &[(1, 4), (2, 4), (3, 4)]));
    for updater in [1, 2, 3] {
        world.update(updater);
        world.settle();
    }
    assert_eq!(rejections(&world), 0);
    world.check(&all);
}
