//! Messages that are too long, or that announce more than they have.

use dcgka::{MAX_MEMBERS, MAX_PLAINTEXT_LEN};
use protocol::crypto::hash::Digest;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend as _, Event, Rule};
use protocol::membership::Membership;
use protocol::wire::codec::MAX_MESSAGE_LEN;
use protocol::wire::envelope::Subject;

use super::common::{World, carry};
use super::malicious::{ACK, ADD, ADD_ACK, CREATE, Invitation, MESSAGE, Malicious, UPDATE};
use super::{all_but, fork, readings, refused, rejected};

/// The largest number that a varint can express.
const HUGE: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];

#[test]
fn counts_and_sizes_over_the_limits() {
    let mut world = World::with_group(4, 6, 450);

    // A plaintext at the limit and above it; a group above its limit.
    let before = world.users[0].member.export();
    let long = vec![7; MAX_PLAINTEXT_LEN + 1];
    assert_eq!(world.act(0, |member, context| member.send(&long, context)), Err(Error::PlaintextTooLong));
    assert!(world.users[0].member.export() == before);
    let said = world.act(0, |member, context| member.send(&long[1..], context)).unwrap();
    carry(&mut world, &[&said], &[1, 2, 3]);
    let message = Event::Message { from: world.id(0), plaintext: long[1..].to_vec() };
    assert!([1, 2, 3].into_iter().all(|user| world.users[user].events.contains(&message)));
    let crowd: Vec<_> = (0..=u8::MAX)
        .flat_map(|one| {
            (0..4).map(move |other| MemberId([[one; 31].as_slice(), &[other]].concat().try_into().unwrap()))
        })
        .collect();
    assert_eq!(crowd.len(), MAX_MEMBERS);
    let before = world.users[5].member.export();
    assert_eq!(world.act(5, |member, context| member.create(&crowd, context)), Err(Error::GroupSize));
    assert!(world.users[5].member.export() == before);

    // A message at the limit and above it, both signed.
    let mut mallory = Malicious::turn(&mut world, 1);
    let overhead = mallory.sign(&world, &mallory.draft(MESSAGE, &[])).len();
    let body = vec![0; MAX_MESSAGE_LEN - overhead + 1];
    let too_long = mallory.sign(&world, &mallory.draft(MESSAGE, &body));
    assert_eq!(too_long.len(), MAX_MESSAGE_LEN + 1);
    for user in [0, 5] {
        assert_eq!(refused(&mut world, 1, &too_long, user), Error::Malformed);
    }
    let place = mallory.post(&mut world, MESSAGE, Subject::None, &body[1..]);
    assert_eq!(world.sent[place].bytes.len(), MAX_MESSAGE_LEN);
    let (received, _) = world.try_carry(place, 0);
    assert_eq!(received.unwrap().events, [Event::Undecryptable { from: mallory.id }]);
    world.settle();

    // Too few and too many ciphertexts, half a slot, and bytes after the last one: everybody refuses them.
    let acknowledged = Subject::Acknowledged(world.id(0), 1);
    let fair = mallory.update_body(&world, &[0, 2, 3]);
    let slot = mallory.honest_slot(&world, 0, &protocol::crypto::secret::Secret::new([1; 32]));
    let bodies = [
        (UPDATE, Subject::None, Vec::new()),
        (UPDATE, Subject::None, fair[..31].to_vec()),
        (UPDATE, Subject::None, fair[..32].to_vec()),
        (UPDATE, Subject::None, fair[..fair.len() - 1].to_vec()),
        (UPDATE, Subject::None, [&fair[..], &[0]].concat()),
        (UPDATE, Subject::None, [&fair[..], &slot].concat()),
        (UPDATE, Subject::None, [&fair[..32], &HUGE, &fair[33..]].concat()),
        (ADD, Subject::None, world.id(4).0[..31].to_vec()),
        (ACK, acknowledged, [&world.id(0).handle().0[..], &slot[..slot.len() - 1]].concat()),
        (ACK, acknowledged, vec![0; 8]),
        (ADD_ACK, acknowledged, [&slot[..], &[0]].concat()),
    ];
    for (kind, subject, body) in bodies {
        let place = mallory.post(&mut world, kind, subject, &body);
        for user in [0, 2, 3] {
            rejected(&mut world, place, user, Rule::Form);
        }
    }
    assert_eq!(readings(&mut world, &[0, 2, 3]), all_but(&[0, 2, 3], &[]));

    // Counts larger than the rest of the message. Code that allocated for them before checking would not return.
    let mut elsewhere = World::new(3, 451);
    let creator = Malicious::rob(&elsewhere, 0);
    elsewhere.group = GroupId::new(&creator.id, &Digest([7; 32]));
    let user = elsewhere.id(1);
    for count in [&[2][..], &[0xff, 0x7f], &HUGE, &[0xff, 0xff, 0xff, 0xff, 0x7f], &[0x81, 0]] {
        let body = [&[7; 32][..], &[8; 32], count, &user.0, &[0]].concat();
        let bytes = creator.sign(&elsewhere, &creator.draft(CREATE, &body));
        assert_eq!(refused(&mut elsewhere, 0, &bytes, 1), Error::Malformed);
    }
    let inviter = Malicious::rob(&world, 2);
    let invited = world.add(2, 4);
    let genuine = Invitation::of(&world, invited[0], invited[1]);
    world.carry(invited[0], 4);
    let mut clocks = &genuine.state[..];
    Membership::decode(world.id(4), &mut clocks).unwrap();
    for at in 0..genuine.state.len() {
        let state = [&genuine.state[..at], &HUGE, &genuine.state[at + 1..]].concat();
        let (_, welcome) = Invitation { state, ..genuine.clone() }.sign(&world, &inviter);
        if at < genuine.state.len() - clocks.len() {
            assert_eq!(refused(&mut world, 2, &welcome, 4), Error::Malformed, "a huge number at {at}");
        } else {
            // A well-formed clock can say anything. The joiner has only the inviter's word for it.
            let result = fork(&world).receive(2, &welcome, 4);
            assert!(matches!(result, Ok(_) | Err(Error::Malformed)), "{result:?}");
        }
    }
    world.settle();
    assert_eq!(readings(&mut world, &[0, 2, 3, 4]), all_but(&[0, 2, 3, 4], &[]));

    // Exports of a member with many kinds of state, and of a user with waiting messages.
    let mut world = fork(&world);
    world.update(0);
    world.carry(world.sent.len() - 1, 2);
    let outside = &world.sent[invited[0]].bytes.clone();
    world.receive(2, outside, 5).unwrap();
    for user in [2, 5] {
        let state = world.users[user].member.export();
        for at in 0..state.len() {
            let damaged = [&state[..at], &HUGE, &state[at + 1..]].concat();
            // If it is not a count, it may be valid state.
            let _ = crate::VARIANT.restore(&damaged);
            assert!(crate::VARIANT.restore(&state[..at]).is_err(), "{at} bytes");
        }
    }
}
