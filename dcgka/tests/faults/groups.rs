//! What makes a group, and who is in it: messages of other groups, and invalid invitations.

use protocol::crypto::hash::Digest;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Received, Rule};
use protocol::membership::Membership;
use protocol::wire::envelope::{Draft, Envelope, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::common::{Sent, World, says_none};
use super::malicious::{CREATE, Invitation, Malicious, UPDATE};
use super::{BAD_VERIFICATION_KEYS, all_but, fork, live, readings, refused, rejected, reseed};

#[test]
fn cross_group_replay() {
    // Two groups of the same users, with the same life message by message.
    let [mut one, mut other] = [1, 2].map(|seed| {
        let mut world = World::new(5, 410);
        reseed(&mut world, seed);
        world
    });
    live(&mut other, &mut |_, _, _| {});
    let mut refusals = 0;
    live(&mut one, &mut |world, place, user| {
        let replayed = other.sent[place].clone();
        assert_eq!((replayed.author, replayed.kind), (world.sent[place].author, world.sent[place].kind));
        assert_ne!(world.group, other.group);
        match world.users[user].member.group() {
            // A user without a group keeps what may become verifiable, and refuses invitations.
            None if replayed.kind != "welcome" => {
                assert_eq!(world.receive(replayed.author, &replayed.bytes, user), Ok(Received::default()));
            }
            Some(_) if !world.is_inside(user) => {}
            _ => {
                let before = world.users[user].member.export();
                match world.receive(replayed.author, &replayed.bytes, user) {
                    // A joiner drops what its inviter has delivered, without checking it.
                    Ok(received) => assert!(received == Received::default() && user == 4),
                    Err(error) => assert!([Error::NotAuthentic, Error::WrongGroup].contains(&error), "{error}"),
                }
                assert!(world.users[user].member.export() == before, "{} {place}", replayed.kind);
                refusals += 1;
            }
        }
        // Under its own group id it is for another group.
        if world.is_inside(user) {
            let here = world.group;
            world.group = other.group;
            assert_eq!(refused(world, replayed.author, &replayed.bytes, user), Error::WrongGroup);
            world.group = here;
        }
    });
    assert!(refusals > 50);
    one.check(&[0, 1, 2, 4]);
    other.check(&[0, 1, 2, 4]);
    // An author that signs the body again for the other group: its ciphertexts open only in their own group.
    let mut mallory = Malicious::turn(&mut one, 2);
    let genuine = other.update(2)[0];
    let body = other.body(genuine).to_vec();
    let place = mallory.post(&mut one, UPDATE, Subject::None, &body);
    let answer = one.carry(place, 0);
    assert!(says_none(&one, answer[0]));
}

#[test]
fn a_foreign_create_under_a_known_group_id() {
    // Forged, or genuine and of another creator, before the group is known.
    for number in [1, 2, u32::MAX] {
        let mut world = World::new(4, 411);
        let stranger = Malicious::rob(&world, 3);
        let create = world.create(0, &[1, 2])[0];
        let (creator, user, group) = (world.id(0), world.id(1), world.group);
        let nonce: [u8; 32] = world.body(create)[..32].try_into().unwrap();
        assert_eq!(GroupId::new(&creator, &Digest(nonce)), group);
        let body = [&nonce[..], &[8; 32], &[1], &user.0, &[0]].concat();
        let draft = Draft { sender: creator, number, ..stranger.draft(CREATE, &body) };
        let forged = stranger.sign(&world, &draft);
        if number == 1 {
            assert_eq!(refused(&mut world, 0, &forged, 1), Error::NotAuthentic);
        } else {
            assert_eq!(world.receive(0, &forged, 1), Ok(Received::default()), "it waits like any message");
        }
        let own = stranger.sign(&world, &Draft { number, ..stranger.draft(CREATE, &body) });
        assert_eq!(
            world.receive(3, &own, 1),
            Ok(Received::default()),
            "so does a CREATE that did not create this group"
        );
        assert_eq!(world.users[1].member.group(), None);
        world.settle();
        world.check(&[0, 1, 2]);
    }
    // In the group: by an unknown author it waits forever, in the creator's name it is a forgery.
    let mut world = World::with_group(4, 5, 412);
    let stranger = Malicious::rob(&world, 4);
    let mut body = world.body(0).to_vec();
    body[32] ^= 1;
    let foreign = stranger.sign(&world, &stranger.draft(CREATE, &body));
    assert_eq!(world.receive(4, &foreign, 1), Ok(Received::default()));
    let draft = Draft { sender: world.id(0), ..stranger.draft(CREATE, &body) };
    let foreign = stranger.sign(&world, &draft);
    assert_eq!(refused(&mut world, 0, &foreign, 1), Error::NotAuthentic);
    world.check(&[0, 1, 2, 3]);
    // One by a member is authentic, and has no effect.
    let mut mallory = Malicious::turn(&mut world, 3);
    let place = mallory.post(&mut world, CREATE, Subject::None, &body);
    for user in [0, 1, 2] {
        rejected(&mut world, place, user, Rule::GroupExists);
        assert_eq!(world.members(user), [0, 1, 2, 3]);
    }
    let everybody = all_but(&[0, 1, 2], &[]);
    assert_eq!(readings(&mut world, &[0, 1, 2]), everybody);
}

/// What a welcome says of a group: this membership, and that each member except the joiner has sent one message.
fn state(membership: &Membership, joiner: &MemberId) -> Vec<u8> {
    let mut state = Vec::new();
    membership.encode(&mut state);
    let known = membership.everybody().filter(|member| membership.id(*member) != *joiner);
    known.for_each(|_| state.extend([1, 0]));
    state
}

#[test]
fn forged_welcome_state() {
    let mut world = World::with_group(3, 5, 413);
    world.update(1);
    world.settle();
    let mallory = Malicious::rob(&world, 2);
    let clean = fork(&world);
    let invited = world.add(2, 3);
    let genuine = Invitation::of(&world, invited[0], invited[1]);
    let [zero, one, two, three, four] = [0, 1, 2, 3, 4].map(|user| world.id(user));
    let found = |creator, others: &[MemberId]| {
        let mut membership = Membership::found(creator, creator, others.iter().copied()).unwrap();
        let index = |id| membership.index(id).unwrap();
        let (creator, others): (_, Vec<_>) = (index(&creator), others.iter().map(index).collect());
        others.into_iter().for_each(|other| membership.acknowledge(other, creator, 1).unwrap());
        membership
    };
    // A valid state, made by hand like those below.
    let fair = state(&found(zero, &[one, two]), &three);
    let (add, welcome) = Invitation { state: fair, ..genuine.clone() }.sign(&world, &mallory);
    let mut joins = fork(&world);
    assert_eq!(joins.receive(2, &add, 3), Ok(Received::default()));
    assert!(joins.receive(2, &welcome, 3).unwrap().events.contains(&Event::Joined { inviter: two }));

    let mut states: Vec<(&str, Vec<u8>)> = Vec::new();
    states.push(("the adder is unknown", state(&found(zero, &[one]), &three)));
    states.push(("the joiner is a founder", state(&found(zero, &[one, two, three]), &three)));
    let mut membership = found(zero, &[one, two]);
    let adder = membership.index(&two).unwrap();
    membership.add(adder, genuine.number - 1, three);
    states.push(("the joiner has been added by the adder", state(&membership, &three)));
    let mut membership = found(zero, &[one, two]);
    membership.add(membership.index(&zero).unwrap(), 9, three);
    states.push(("the joiner has been added by another", state(&membership, &three)));
    let mut membership = found(zero, &[one, two]);
    membership.remove(membership.index(&zero).unwrap(), 9, adder);
    states.push(("the adder has been removed and does not know", state(&membership, &three)));
    let mut membership = found(two, &[zero, one]);
    membership.remove(membership.index(&zero).unwrap(), 9, membership.index(&two).unwrap());
    states.push(("the adder has been removed and knows", state(&membership, &three)));
    let mut membership = found(zero, &[one, two]);
    membership.add(adder, genuine.number, four);
    states.push(("the add is another's", state(&membership, &three)));

    // Three users are known, the joiner as the second. The creator has added the third, the inviter.
    let records = [&[3][..], &zero.0, &three.0, &two.0, &[1, 2, 3, 1, 0, 2, 4, 1, 0, 0]].concat();
    Membership::decode(three, &mut &records[..]).unwrap();
    states.push(("the joiner is known and nobody has added it", [&records[..], &[2, 0, 1, 0]].concat()));

    let mut clock = |what, change: &dyn Fn(&mut Vec<u8>)| {
        let mut state = genuine.state.clone();
        change(&mut state);
        states.push((what, state));
    };
    clock("nothing is known", &|state| state.clear());
    clock("a clock is missing", &|state| state.truncate(state.len() - 1));
    clock("there is one clock too many", &|state| state.extend([1, 0]));
    let key = *Malicious::rob(&world, 1).key.verification_key().as_bytes();
    let at = genuine.state.windows(32).position(|window| *window == key).unwrap();
    clock("a flag is invalid", &|state| state[at - 1] = 2);
    clock("a number has two bytes where one would do", &|state| {
        state[at - 2] |= 0x80;
        state.insert(at - 1, 0);
    });
    for bad in BAD_VERIFICATION_KEYS {
        clock("a key is invalid", &|state| state[at..at + 32].copy_from_slice(&bad));
    }

    let (add, welcome) = genuine.sign(&world, &mallory);
    assert!(add == world.sent[invited[0]].bytes && welcome == world.sent[invited[1]].bytes, "the layout is understood");
    let digest = Envelope::decode(&add).unwrap().digest(&world.group, &two, &Subject::None);
    let another = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(4));
    let signed = genuine.sign_welcome(&world, &mallory, &digest, &another);
    let mut forged = vec![("another has signed it", signed, Some(Error::NotAuthentic))];
    // These wait: the add to which they belong may still arrive.
    let other_hash = genuine.sign_welcome(&world, &mallory, &Digest([7; 32]), &mallory.identity);
    forged.push(("it names another add", other_hash, None));
    let other_number = Invitation { number: genuine.number + 1, ..genuine.clone() };
    let other_number = other_number.sign_welcome(&world, &mallory, &digest, &mallory.identity);
    forged.push(("its number is not the add's", other_number, None));
    for (what, state) in states {
        let welcome = Invitation { state, ..genuine.clone() }.sign(&world, &mallory).1;
        forged.push((what, welcome, Some(Error::Malformed)));
    }

    for (what, welcome, error) in &forged {
        // The add first: the welcome is checked when it arrives. It is refused, and the genuine one is accepted.
        let mut first = fork(&world);
        assert_eq!(first.receive(2, &add, 3), Ok(Received::default()), "{what}");
        match error {
            Some(error) => assert_eq!(refused(&mut first, 2, welcome, 3), *error, "{what}"),
            None => assert_eq!(first.receive(2, welcome, 3), Ok(Received::default()), "{what}"),
        }
        assert_eq!(first.users[3].member.group(), None, "{what}");
        first.settle();
        first.check(&[0, 1, 2, 3]);

        // The welcome first: it waits if its signature is valid, and the add shows that it is invalid.
        let mut second = fork(&clean);
        second.users[2].online = false;
        let waits = second.receive(2, welcome, 3);
        assert_eq!(waits.clone().err(), error.filter(|error| *error == Error::NotAuthentic), "{what}");
        assert_eq!(second.receive(2, &add, 3), Ok(Received::default()), "{what}");
        assert_eq!(second.users[3].member.group(), None, "{what}");
        // Another member, which that add has not reached yet, invites the user.
        second.add(1, 3);
        second.sent.push(Sent { author: 2, to: None, kind: "add", bytes: add.clone() });
        second.settle();
        // The add of a member needs no welcome. The genuine one arrives late and does nothing.
        assert_eq!(readings(&mut second, &[0, 1, 3]), all_but(&[0, 1, 3], &[]), "{what}");
        second.sent.push(world.sent[invited[1]].clone());
        second.settle();
        assert_eq!(readings(&mut second, &[0, 1, 3]), all_but(&[0, 1, 3], &[]), "{what}");
    }
    // The genuine state, from an inviter that is not in the group.
    let stranger = Malicious::rob(&world, 4);
    let (add, welcome) = genuine.sign(&world, &stranger);
    assert_eq!(world.receive(4, &add, 3), Ok(Received::default()));
    assert_eq!(refused(&mut world, 4, &welcome, 3), Error::Malformed);
    world.settle();
    world.check(&[0, 1, 2, 3]);
}
