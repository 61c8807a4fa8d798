//! Membership with strong remove: random concurrent histories against the definition, named cases, and the encoding.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod naive;
mod world;

use std::collections::BTreeSet;

use proptest::prelude::*;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::Rule;
use protocol::membership::{Change, Limits, MemberIndex, MemberSet, Membership};
use protocol::wire::codec::put_varint;
use world::{World, id};

fn steps() -> impl Strategy<Value = Vec<[u8; 4]>> {
    prop::collection::vec(any::<[u8; 4]>(), 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// At every step, every member's view of every other is what the definition says, and so are checks and refusals.
    /// In the end all remaining members agree.
    #[test]
    fn equals_the_definition_on_random_histories(founders in 1_u8..6, steps in steps()) {
        let mut world = World::found(founders);
        for step in steps {
            world.step(step);
        }
        world.compare_checks_and_encodings();
        world.deliver_everything();
        world.compare_checks_and_encodings();
        world.assert_agreement();
    }

    /// Whatever decodes is the only form of its state.
    #[test]
    fn decoding_mutated_states_never_panics(
        founders in 1_u8..6,
        steps in steps(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let mut world = World::found(founders);
        steps.into_iter().for_each(|step| world.step(step));
        for (user, mut bytes) in world.encodings() {
            for (index, value, edit) in &edits {
                // After the ids, where the structure is.
                let skip = (1 + 32 * usize::from(bytes[0])).min(bytes.len() - 1);
                let position = skip + index.index(bytes.len() - skip);
                match edit {
                    0 => bytes[position] = *value,
                    1 => bytes[position] ^= 1 << (value % 8),
                    2 => bytes.insert(position, *value),
                    _ => { bytes.remove(position); }
                }
            }
            exercise(user, &bytes);
        }
    }

    #[test]
    fn decoding_arbitrary_bytes_never_panics(
        ids in 0_u8..4,
        tail in prop::collection::vec(prop_oneof![0_u8..8, any::<u8>()], 0..60),
    ) {
        let mut bytes = vec![ids];
        (0..ids).for_each(|user| bytes.extend_from_slice(&id(user).0));
        bytes.extend_from_slice(&tail);
        exercise(id(0), &bytes);
        exercise(id(9), &bytes);
        exercise(id(0), &tail);
    }
}

/// Decodes, and does everything that can be done with the result.
fn exercise(me: MemberId, bytes: &[u8]) {
    let mut rest = bytes;
    let Ok(mut membership) = Membership::decode(me, &mut rest) else {
        assert_eq!(rest, bytes);
        return;
    };
    let everybody: Vec<_> = membership.everybody().collect();
    if membership.view(membership.me()).contains(membership.me()) {
        let mut again = Vec::new();
        membership.encode(&mut again);
        assert_eq!(again, bytes[..bytes.len() - rest.len()]);
    }
    for &one in &everybody {
        for &other in &everybody {
            let _ = membership.check_add(one, &membership.id(other));
            let _ = membership.check_remove(one, other);
            for number in 0..4 {
                let _ = membership.acknowledge(one, other, number);
            }
        }
        let _ = membership.removal_is_acknowledged_by_all(one);
    }
    if let (Some(&first), Some(&last)) = (everybody.first(), everybody.last()) {
        membership.add(first, 1000, me);
        membership.remove(first, 1001, last);
        membership.remove(last, 1000, first);
    }
}

/// A settled group of the first `size` users, as user 0 knows it.
fn group(size: u8) -> Membership {
    let mut group = Membership::found(id(0), id(0), (0..size).map(id)).unwrap();
    for member in group.everybody().skip(1) {
        group.acknowledge(member, MemberIndex(0), 1).unwrap();
    }
    group
}

fn member(index: u32) -> MemberIndex {
    MemberIndex(index)
}

fn set(members: impl IntoIterator<Item = u32>) -> MemberSet {
    members.into_iter().map(MemberIndex).collect()
}

fn mine(group: &Membership) -> &MemberSet {
    group.view(group.me())
}

#[test]
fn a_creation_includes_me_and_nobody_twice() {
    assert_eq!(Membership::found(id(7), id(0), [id(1)]), Err(Error::NotAMember));
    assert_eq!(Membership::found(id(0), id(0), [id(1), id(1)]), Err(Error::AlreadyAMember));
    assert_eq!(Membership::found(id(0), id(0), [id(0), id(0)]), Err(Error::AlreadyAMember));
    let named = Membership::found(id(1), id(0), [id(1), id(0), id(2)]).unwrap();
    assert_eq!(named, Membership::found(id(1), id(0), [id(1), id(2)]).unwrap());
    assert_eq!((named.me(), named.id(member(0))), (member(1), id(0)));
    let create = named.recorded(member(0), 1).unwrap();
    assert_eq!(named.change(create), Change::Create);
    assert_eq!(named.acknowledged_by(create), &set([0, 1]));
}

#[test]
fn founders_have_an_empty_view_before_they_acknowledge_the_creation() {
    let mut group = Membership::found(id(0), id(0), (1..3).map(id)).unwrap();
    assert_eq!(mine(&group), &set(0..3));
    assert!(group.view(member(1)).is_empty());
    assert_eq!(group.check_remove(member(1), member(2)), Err(Rule::AuthorNotAMember));
    group.acknowledge(member(1), member(0), 1).unwrap();
    assert_eq!(group.view(member(1)), &set(0..3));
    assert_eq!(group.acknowledge(member(1), member(0), 1), Err(Rule::NothingToAcknowledge));
    assert_eq!(group.acknowledge(member(0), member(0), 1), Err(Rule::NothingToAcknowledge));
}

#[test]
fn acknowledging_what_is_no_membership_change_does_nothing() {
    let mut group = group(3);
    let before = group.clone();
    assert_eq!(group.acknowledge(member(1), member(2), 17), Ok(()));
    assert_eq!(group.acknowledge(member(99), member(98), 1), Ok(()));
    assert_eq!(group, before);
}

#[test]
fn mutual_removes_remove_both() {
    let mut group = group(4);
    group.remove(member(1), 2, member(2));
    group.remove(member(2), 2, member(1));
    assert_eq!(mine(&group), &set([0, 3]));
    // Neither has acknowledged its own removal.
    assert_eq!(group.view(member(1)), &set([0, 1, 3]));
    assert_eq!(group.view(member(2)), &set([0, 2, 3]));
}

#[test]
fn three_that_remove_each_other_in_a_circle_are_all_out() {
    let mut group = group(4);
    group.remove(member(1), 2, member(2));
    group.remove(member(2), 2, member(3));
    group.remove(member(3), 2, member(1));
    assert_eq!(mine(&group), &set([0]));
}

#[test]
fn an_add_by_a_removed_member_is_void_unless_the_remover_had_acknowledged_it() {
    let mut group = group(4);
    group.add(member(1), 2, id(10));
    group.acknowledge(member(2), member(1), 2).unwrap();
    let mut known = group.clone();
    known.remove(member(2), 3, member(1));
    assert_eq!(mine(&known), &set([0, 2, 3, 4]));

    let mut unknown = group.clone();
    unknown.remove(member(3), 2, member(1));
    assert_eq!(mine(&unknown), &set([0, 2, 3]));
    assert_eq!(unknown.view(member(3)), &set([0, 2, 3]));
    assert_eq!(unknown.view(member(2)), &set(0..5));

    // The same if the add comes after the remove, and for a member that acknowledges it.
    let mut late = self::group(4);
    late.remove(member(3), 2, member(1));
    late.add(member(1), 2, id(10));
    assert_eq!(mine(&late), &set([0, 2, 3]));
    late.acknowledge(member(2), member(1), 2).unwrap();
    assert_eq!(late.view(member(2)), &set(0..5));
    late.acknowledge(member(2), member(3), 2).unwrap();
    assert_eq!(late.view(member(2)), &set([0, 2, 3]));
    // Another add by the removed member does not help.
    late.add(member(1), 3, id(11));
    assert_eq!(mine(&late), &set([0, 2, 3]));
}

#[test]
fn removals_reach_transitively() {
    let mut group = group(3);
    // 1 adds 10, who adds 11, who adds 12. 2 knows nothing of it.
    let (_, ten) = group.add(member(1), 2, id(10));
    group.acknowledge(ten, member(1), 2).unwrap();
    let (_, eleven) = group.add(ten, 2, id(11));
    group.acknowledge(eleven, ten, 2).unwrap();
    group.remove(member(2), 2, member(1));
    assert_eq!(mine(&group), &set([0, 2]));
    group.add(eleven, 2, id(12));
    assert_eq!(mine(&group), &set([0, 2]));
    // Had 2 known of the first add, the others would stay: the remove does not remove 10.
    let mut group = self::group(3);
    let (_, ten) = group.add(member(1), 2, id(10));
    group.acknowledge(ten, member(1), 2).unwrap();
    group.acknowledge(member(2), member(1), 2).unwrap();
    group.remove(member(2), 3, member(1));
    let (_, eleven) = group.add(ten, 2, id(11));
    assert_eq!(mine(&group), &[member(0), member(2), ten, eleven].into_iter().collect());
}

#[test]
fn a_member_can_be_removed_by_an_add() {
    let mut group = group(4);
    // 2 adds 10, and 3 removes 1. Then it turns out that 1 had added 10 too.
    let (_, ten) = group.add(member(2), 2, id(10));
    assert!(group.is_member(ten));
    group.remove(member(3), 2, member(1));
    assert!(group.is_member(ten));
    group.add(member(1), 2, id(10));
    assert!(!group.is_member(ten));
}

#[test]
fn nobody_is_added_again() {
    let mut group = group(3);
    assert_eq!(group.check_add(member(0), &id(2)), Err(Rule::AlreadyAMember));
    assert_eq!(group.check_add(member(0), &id(10)), Ok(()));
    group.add(member(1), 2, id(10));
    assert_eq!(group.check_add(member(0), &id(10)), Err(Rule::AlreadyAMember));
    // A concurrent add is allowed: 2 has not acknowledged that add.
    assert_eq!(group.check_add(member(2), &id(10)), Ok(()));
    group.remove(member(0), 2, member(2));
    assert_eq!(group.check_add(member(0), &id(2)), Err(Rule::AlreadyAMember));
    assert_eq!(group.check_add(member(2), &id(11)), Ok(()), "2 does not know yet");
    assert_eq!(group.check_remove(member(0), member(2)), Err(Rule::TargetNotAMember));
    assert_eq!(group.check_remove(member(0), member(0)), Err(Rule::RemovesItself));
}

#[test]
fn an_own_removal_is_refused_only_if_it_follows_from_own_acknowledgements() {
    let mut group = group(4);
    group.remove(member(1), 2, member(2));
    let before = group.clone();
    assert_eq!(group.acknowledge(member(2), member(1), 2), Err(Rule::AcknowledgesOwnRemoval));
    assert_eq!(group, before);

    // 3 removes 1 without knowing that 1 had added 10. I know that 10 is out. 10 does not know of the remove.
    let mut group = self::group(4);
    group.remove(member(3), 2, member(1));
    let (_, ten) = group.add(member(1), 2, id(10));
    assert!(!group.is_member(ten));
    group.acknowledge(ten, member(1), 2).unwrap();
    assert_eq!(group.acknowledge(ten, member(3), 2), Err(Rule::AcknowledgesOwnRemoval));
    assert_eq!(group.view(ten), &set(0..5));
}

#[test]
fn a_joiner_inherits_what_the_adder_had_acknowledged() {
    let mut group = group(3);
    let remove = group.remove(member(1), 2, member(2));
    let (_, ten) = group.add(member(0), 2, id(10));
    let (add, eleven) = group.add(member(1), 3, id(11));
    assert!(group.view(ten).is_empty());
    assert_eq!(group.check_add(ten, &id(12)), Err(Rule::AuthorNotAMember));
    group.acknowledge(ten, member(0), 2).unwrap();
    assert!(group.acknowledged_by(remove).contains(ten));
    assert!(!group.acknowledged_by(add).contains(ten));
    assert_eq!(group.view(ten), &[member(0), member(1), ten].into_iter().collect());
    // The adder of 11 had not acknowledged the add of 10. So 10 is not in 11's view.
    group.acknowledge(eleven, member(1), 3).unwrap();
    assert_eq!(group.view(eleven), &[member(0), member(1), eleven].into_iter().collect());
}

#[test]
fn a_user_that_was_not_added_cannot_acknowledge() {
    let mut group = group(3);
    let (_, ten) = group.add(member(0), 2, id(10));
    let before = group.clone();
    assert_eq!(group.acknowledge(ten, member(0), 1), Err(Rule::AuthorNotAMember));
    assert_eq!(group.acknowledge(member(99), member(0), 1), Err(Rule::AuthorNotAMember));
    assert_eq!(group, before);
}

#[test]
fn a_removal_is_settled_when_all_have_acknowledged_it() {
    let mut group = group(4);
    assert!(!group.removal_is_acknowledged_by_all(member(3)));
    group.remove(member(0), 2, member(3));
    group.acknowledge(member(1), member(0), 2).unwrap();
    assert!(!group.removal_is_acknowledged_by_all(member(3)));
    group.acknowledge(member(2), member(0), 2).unwrap();
    assert!(group.removal_is_acknowledged_by_all(member(3)));
    // A second remove of the same member was on its way.
    group.remove(member(2), 2, member(3));
    assert!(!group.removal_is_acknowledged_by_all(member(3)));
    group.acknowledge(member(1), member(2), 2).unwrap();
    assert!(group.removal_is_acknowledged_by_all(member(3)));
}

#[test]
fn a_transitive_removal_is_settled_when_all_know_what_it_follows_from() {
    let mut group = group(4);
    group.remove(member(0), 2, member(3));
    let (_, ten) = group.add(member(2), 2, id(10));
    group.add(member(3), 2, id(10));
    assert!(!group.is_member(ten));
    group.acknowledge(member(1), member(0), 2).unwrap();
    group.acknowledge(member(2), member(0), 2).unwrap();
    group.acknowledge(member(1), member(2), 2).unwrap();
    // All have acknowledged the remove, but 10 is still a member to them.
    assert!(group.view(member(1)).contains(ten));
    assert!(!group.removal_is_acknowledged_by_all(ten));
    group.acknowledge(member(1), member(3), 2).unwrap();
    assert!(!group.removal_is_acknowledged_by_all(ten));
    group.acknowledge(member(2), member(3), 2).unwrap();
    assert!(group.removal_is_acknowledged_by_all(ten));
}

#[test]
fn recording_a_message_twice_changes_nothing() {
    let mut group = group(3);
    let (add, ten) = group.add(member(1), 2, id(10));
    let before = group.clone();
    assert_eq!(group.add(member(1), 2, id(10)), (add, ten));
    assert_eq!(group.add(member(1), 2, id(11)), (add, ten));
    assert_eq!(group.remove(member(1), 2, member(2)), add);
    assert_eq!(group, before);
}

#[test]
fn names_lead_to_indices() {
    let group = group(5);
    for user in 0..5 {
        let index = group.index(&id(user)).unwrap();
        assert_eq!(group.id(index), id(user));
    }
    assert_eq!(group.index(&id(9)), None);
    let mixed = Membership::found(id(2), id(2), [id(5), id(1)]).unwrap();
    let ordered: Vec<_> = mixed.in_order_of_ids(mine(&mixed)).map(|user| (user.id, user.index)).collect();
    assert_eq!(ordered, [(id(1), member(2)), (id(2), member(0)), (id(5), member(1))]);
}

#[test]
fn sets_are_equal_whatever_room_they_take() {
    let mut grown = set([1, 2]);
    assert!(grown.insert(member(1000)));
    assert!(!grown.insert(member(1000)));
    assert!(grown.remove(member(1000)));
    assert!(!grown.remove(member(5000)));
    assert_eq!(grown, set([2, 1]));
    assert_ne!(grown, set([1]));
    assert_ne!(set([1]), grown);
    assert_eq!(grown.len(), 2);
    assert!(set([1]).is_subset(&grown) && !grown.is_subset(&set([1])));
    assert_eq!(grown.difference(&set([2, 700])), set([1]));
    assert_eq!(grown.iter().map(|member| member.0).collect::<BTreeSet<_>>(), BTreeSet::from([1, 2]));
    assert!(MemberSet::first(0).is_empty() && MemberSet::first(65) == set(0..65));
}

fn encoded(membership: &Membership) -> Vec<u8> {
    let mut bytes = Vec::new();
    membership.encode(&mut bytes);
    bytes
}

#[test]
fn the_encoding_of_a_settled_group_is_small() {
    let mut group = group(128);
    let fresh = encoded(&group).len();
    assert!(fresh <= 128 * 32 + 8, "{fresh}");
    // Nearly as small when only half of them have acknowledged.
    let mut half = Membership::found(id(0), id(0), (0..128).map(id)).unwrap();
    (1..64).for_each(|index| half.acknowledge(member(index), member(0), 1).unwrap());
    assert!(encoded(&half).len() <= 128 * 32 + 8 + 64);

    // A hundred times, a member is removed and another added, and all acknowledge.
    for round in 0..100_u8 {
        let before = encoded(&group).len();
        let author = member(127);
        group.remove(author, 2 + 2 * u32::from(round), member(round.into()));
        let (_, new) = group.add(author, 3 + 2 * u32::from(round), id(128 + round));
        if round == 0 {
            // I am 0, and must stay.
            group = self::group(128);
            continue;
        }
        group.acknowledge(new, author, 3 + 2 * u32::from(round)).unwrap();
        for acker in mine(&group).iter().collect::<Vec<_>>() {
            let _ = group.acknowledge(acker, author, 2 + 2 * u32::from(round));
            let _ = group.acknowledge(acker, author, 3 + 2 * u32::from(round));
        }
        let grown = encoded(&group).len() - before;
        assert!(grown <= 32 + 2 * 8 + 2, "{grown} in round {round}");
    }
}

#[test]
fn an_encoding_that_is_not_canonical_is_refused() {
    let group = group(3);
    let good = encoded(&group);
    // After the ids: three founders, one record, acknowledged by everybody.
    assert_eq!(good[97..], [3, 1, 1]);
    let decode = |me: u8, tail: &[u8]| Membership::decode(id(me), &mut &[&good[..97], tail].concat()[..]);
    assert_eq!(decode(0, &[3, 1, 1]).unwrap(), group);
    // I am not in it yet: I get the next index.
    let invited = decode(7, &[3, 1, 1]).unwrap();
    assert_eq!((invited.me(), invited.is_member(member(3))), (member(3), false));
    assert_eq!(mine(&invited), &set(0..3));
    for tail in [
        &[][..],
        &[0, 1, 1],                            // no founder
        &[4, 1, 1],                            // a founder too many
        &[2, 1, 1],                            // an id that no change adds
        &[0x83, 0, 1, 1],                      // a long varint
        &[3, 0, 1],                            // no record
        &[3, 2, 1],                            // a record missing
        &[3, 1, 3, 3],                         // acknowledged by somebody unknown
        &[3, 1, 3, 0],                         // not acknowledged by its author
        &[3, 1, 6, 0, 0, 0],                   // a list longer than the difference
        &[3, 0xff, 0xff, 0xff, 0xff, 0x7f, 1], // too many records
    ] {
        assert_eq!(decode(0, tail), Err(Error::Malformed), "{tail:?}");
    }
    assert_eq!(decode(2, &[3, 1, 3, 2]), Err(Error::Malformed), "I have acknowledged all that I know");
    let twice = [&[2][..], &id(0).0, &id(0).0, &[2, 1, 1]].concat();
    assert_eq!(Membership::decode(id(0), &mut &twice[..]), Err(Error::Malformed));

    // One more record: 1 removes 2 with its message 2. Acknowledged by 0 and 1: the set of the record before without 2.
    // The author had acknowledged everything.
    let one = |record: &[u8]| decode(0, &[&[3, 2, 1][..], record].concat());
    let mut removed = group.clone();
    removed.remove(member(1), 2, member(2));
    assert_eq!(one(&[1, 2, 5, 3, 2, 0, 0]).unwrap(), removed);
    for record in [
        &[1, 2, 3, 3, 2, 0, 0][..], // removes itself
        &[1, 2, 4, 3, 2, 0, 0],     // adds a user that it knows
        &[1, 2, 7, 3, 2, 0, 0],     // removes somebody unknown
        &[1, 0, 5, 3, 2, 0, 0],     // number 0
        &[0, 1, 5, 3, 2, 0, 0],     // the number of CREATE
        &[1, 2, 5, 4, 0, 0, 0, 0],  // a longer list
        &[1, 2, 5, 3, 2, 1, 0],     // does not know the creation
        &[1, 2, 5, 3, 2, 2, 0],     // knows a negative number
        &[1, 2, 5, 3, 2, 0, 1, 0],  // the last record that it knows is missing
    ] {
        assert_eq!(one(record), Err(Error::Malformed), "{record:?}");
    }

    // What follows is left.
    let longer = [&good[..], &[42]].concat();
    let mut rest = &longer[..];
    assert!(Membership::decode(id(0), &mut rest).is_ok());
    assert_eq!(rest, [42]);
}

/// The most hostile state with this number of changes: each of `removes` removes is by a member that is said not to
/// have acknowledged the creation. It therefore reaches all founders, and each does so on its own path.
fn claim(founders: u32, removes: u32) -> Vec<u8> {
    let (inviter, mut out) = (founders, Vec::new());
    let users = founders + 1 + removes;
    put_varint(&mut out, users);
    for user in 0..users {
        out.extend_from_slice(&[7; 28]);
        out.extend_from_slice(&user.to_be_bytes());
    }
    // The creation, which all have acknowledged. Each later record says what its author had not.
    [founders, 2 + 3 * removes, 1].into_iter().for_each(|number| put_varint(&mut out, number));
    let mut record = |start: [u32; 3], acknowledged: &[u32], unknown: &[u32]| {
        let numbers = start.iter().chain(acknowledged).chain(unknown);
        numbers.for_each(|number| put_varint(&mut out, *number));
    };
    record([1, 2, inviter << 1], &[1], &[0, 0]);
    (1..=removes).for_each(|it| record([inviter, 1 + it, (inviter + it) << 1], &[1], &[0, 0]));
    (1..=removes).for_each(|it| record([inviter + it, 2, 0], &[1], &[it - 1, 1, 0]));
    for it in 1..=removes {
        let acknowledged: &[u32] = if it == removes { &[4, 0, inviter - 1] } else { &[1] };
        record([inviter, 1 + removes + it, (inviter + it) << 1 | 1], acknowledged, &[0, 2, 0, removes + it]);
    }
    out
}

#[test]
fn a_state_that_would_take_long_to_evaluate_is_refused_within_limits() {
    let decode = |founders, removes, steps| {
        let limits = Limits { known: 4096, records: 1 << 14, steps };
        let state = claim(founders, removes);
        Membership::decode_within(MemberId([9; 32]), &mut &state[..], &limits)
    };
    assert!(decode(100, 10, u64::MAX).is_ok(), "the form is right");
    assert!(decode(100, 10, 1 << 25).is_ok());
    assert_eq!(decode(1500, 1400, 1 << 25), Err(Error::Malformed));
}

#[test]
fn an_adder_and_a_joiner_agree_on_what_is_within_the_limits() {
    let mut group = Membership::found(id(0), id(0), [id(1), id(2)]).unwrap();
    group.remove(member(0), 2, member(2));
    let state = encoded(&group);
    let takes = |steps| {
        let limits = Limits { known: 4, records: 2, steps };
        let joiner = Membership::decode_within(id(9), &mut &state[..], &limits).is_ok();
        assert_eq!(group.is_within(&limits), joiner, "{steps} steps");
        joiner
    };
    assert_eq!((0..12).filter(|steps| takes(*steps)).count(), 4);
}
