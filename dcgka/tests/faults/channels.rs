//! Two-party ciphertexts that are lost, and recipients that cannot be encrypted to.

use dcgka::MAX_UNACKNOWLEDGED;
use protocol::directory::Directory as _;
use protocol::error::Error;

use super::common::{COLD, COMMITMENT, WARM, World, carry, rejections, says_none};
use super::malicious::{Invitation, Malicious, slots};
use super::{all_but, readings};

/// Damages the ciphertext in this slot of a message. The author signs the message again.
fn damage_slot(world: &mut World, author: &Malicious, place: usize, slot: usize) {
    let end = slots(&world.sent[place].bytes)[slot].end;
    author.alter(world, place, |body| body[end - 1] ^= 1);
}

/// The place of a user among these in the order of ids, which is the order of slots.
fn rank(world: &World, among: &[usize], user: usize) -> usize {
    among.iter().filter(|other| world.id(**other) < world.id(user)).count()
}

/// How many messages ask for a ratchet.
fn asks(world: &World) -> usize {
    world.sent.iter().filter(|sent| sent.kind == "ask").count()
}

/// Everybody reads everybody, except that `blind` reads nobody. Its ciphertext of a seed was lost, so it has lost the
/// author and all members that acknowledged the seed.
fn reads_nobody(users: &[usize], blind: usize) -> std::collections::BTreeSet<(usize, usize)> {
    all_but(users, &users.iter().map(|user| (*user, blind)).collect::<Vec<_>>())
}

#[test]
fn one_lost_2sm_message() {
    for warm in [false, true] {
        let mut world = World::with_group(4, 6, 420);
        if warm {
            world.update(1);
            world.settle();
        }
        let author = Malicious::rob(&world, 1);
        let update = world.update(1);
        let len = if warm { WARM } else { COLD };
        let slot = rank(&world, &[0, 2, 3], 3);
        assert_eq!(slots(&world.sent[update[0]].bytes)[slot].len(), len);
        damage_slot(&mut world, &author, update[0], slot);
        // Everybody acknowledges, one member with `none`.
        let answers = carry(&mut world, &[&update], &[0, 2, 3]);
        let nones: Vec<_> = answers.iter().map(|place| says_none(&world, *place)).collect();
        assert_eq!(nones, [false, false, true]);
        world.settle();
        let users = [0, 1, 2, 3];
        assert_eq!(readings(&mut world, &users), reads_nobody(&users, 3));

        // A joiner reads everybody, even if the blind member has added it.
        let mut added = super::fork(&world);
        added.add(3, 4);
        added.settle();
        let five = [0, 1, 2, 3, 4];
        assert_eq!(readings(&mut added, &five), all_but(&five, &[(0, 3), (1, 3), (2, 3)]));

        // Each member returns its ratchet with its next update, once.
        let before = world.sent.len();
        let mut blind: Vec<_> = [0, 1, 2].map(|member| (member, 3)).into();
        for updater in [3, 1, 0, 2] {
            let update = world.update(updater)[0];
            let returned = if blind.contains(&(updater, 3)) { COMMITMENT + 8 + WARM } else { 0 };
            let len = |place: usize| world.body(place).len() - COMMITMENT;
            assert!(len(update) >= 3 * WARM + returned, "{updater}");
            world.settle();
            blind.retain(|(member, _)| *member != updater);
            assert_eq!(readings(&mut world, &users), all_but(&users, &blind));
            let again = world.update(updater)[0];
            assert!(world.body(again).len() <= COMMITMENT + 3 * COLD);
            world.settle();
        }
        assert!((before..world.sent.len()).all(|place| !says_none(&world, place)));
        world.add(3, 4);
        world.settle();
        world.remove(0, 2);
        world.settle();
        assert_eq!(rejections(&world), 0);
        world.check(&[0, 1, 3, 4]);
    }
}

#[test]
fn a_ciphertext_that_does_not_open_at_one_member_only() {
    let users = [0, 1, 2, 3];
    // In CREATE, UPDATE and REMOVE: as when any seed is lost. The blind member updates first if it has no secret of its
    // own, or has taken no seed since a member was removed.
    for (kind, repairs) in [("create", true), ("update", false), ("remove", true)] {
        let mut world = World::new(5, 421);
        let mut author = Malicious::rob(&world, 0);
        let mut place = world.create(0, &[1, 2, 3, 4])[0];
        if kind != "create" {
            world.settle();
            author = Malicious::rob(&world, 0);
            place = if kind == "update" { world.update(0)[0] } else { world.remove(0, 4)[0] };
        }
        let recipients = if kind == "remove" { &[1, 2, 3][..] } else { &[1, 2, 3, 4] };
        let slot = rank(&world, recipients, 3);
        damage_slot(&mut world, &author, place, slot);
        world.settle();
        let nones: Vec<_> = (0..world.sent.len()).filter(|place| says_none(&world, *place)).collect();
        assert!(nones.len() == 1 && world.sent[nones[0]].author == 3, "{kind}");
        let mut apart = super::fork(&world);
        let said = apart.say(3, "first");
        assert_eq!(apart.kinds(&said), if repairs { &["update", "message"][..] } else { &["message"] }, "{kind}");
        assert_eq!(readings(&mut world, &users), reads_nobody(&users, 3), "{kind}");
        assert_eq!(rejections(&world), 0);
        world.remove(1, 3);
        world.settle();
        world.check(if kind == "remove" { &[0, 1, 2] } else { &[0, 1, 2, 4] });
    }
    // What a joiner gets from each member: it loses that member alone, whatever else it processes.
    let all = [0, 1, 2, 3, 4];
    for lost in ["add-ack", "forward", "welcome"] {
        let mut world = World::with_group(4, 6, 422);
        let authors: Vec<_> = users.iter().map(|user| Malicious::rob(&world, *user)).collect();
        let mut add = world.add(0, 4);
        if lost == "welcome" {
            let mut invitation = Invitation::of(&world, add[0], add[1]);
            *invitation.ratchet.last_mut().unwrap() ^= 1;
            let (announced, welcome) = invitation.sign(&world, &authors[0]);
            world.sent[add[0]].bytes = announced;
            world.sent[add[1]].bytes = welcome;
        }
        let mut loses = 0;
        if lost == "forward" {
            add.extend(world.update(1));
        }
        if lost != "welcome" {
            let answers = carry(&mut world, &[&add], &[2]);
            damage_slot(&mut world, &authors[2], *answers.last().unwrap(), 0);
            loses = 2;
        }
        world.settle();
        let nones: Vec<_> = (0..world.sent.len()).filter(|place| says_none(&world, *place)).collect();
        assert_eq!(nones.len(), usize::from(lost == "welcome"), "{lost}");
        assert_eq!(asks(&world), usize::from(lost != "welcome"), "{lost}");
        assert_eq!(readings(&mut world, &all), all_but(&all, &[(loses, 4)]), "{lost}");
        // The joiner has asked, by a message of its own or with `none`, and gets what it has lost.
        let before = world.sent.len();
        world.update(loses);
        world.settle();
        assert!((before..world.sent.len()).all(|place| !says_none(&world, place)), "{lost}");
        assert_eq!(rejections(&world), 0);
        world.check(&all);
    }
}

#[test]
fn a_recipient_with_a_bad_bundle() {
    let users = [0, 1, 2, 3];
    // At CREATE, by a creator that leaves the slot empty: an honest one refuses to create the group.
    let mut world = World::new(5, 423);
    let (id, bundle) = (world.id(3), world.directory.bundle(&world.id(3)).unwrap());
    let create = world.create(0, &[1, 2, 3]);
    let slot = slots(&world.sent[create[0]].bytes).remove(rank(&world, &[1, 2, 3], 3));
    Malicious::rob(&world, 0).alter(&mut world, create[0], |body| drop(body.splice(slot, [0])));
    assert_eq!(world.body(create[0]).len(), 32 + COMMITMENT + 1 + 3 * 32 + 2 * COLD + 1);
    let answers = carry(&mut world, &[&create], &[1, 2, 3]);
    assert_eq!(answers.iter().map(|place| says_none(&world, *place)).collect::<Vec<_>>(), [false, false, true]);
    world.settle();
    // Its own secrets begin with its first update. It never learns those of others.
    let said = world.say(3, "hello");
    assert_eq!(world.kinds(&said), ["update", "message"]);
    world.settle();
    assert!([0, 1, 2].into_iter().all(|user| world.has_read(user, 3, "hello")));
    assert_eq!(readings(&mut world, &users), reads_nobody(&users, 3));
    for updater in [0, 1, 2] {
        world.update(updater);
        world.settle();
    }
    assert_eq!(rejections(&world), 0);
    world.check(&users);

    // At an update through unused channels. Once the bundle is back, the next update opens.
    let mut world = World::with_group(4, 5, 423);
    world.directory.publish(id, Vec::new(), Vec::new());
    let update = world.update(1);
    assert_eq!(world.body(update[0]).len(), COMMITMENT + WARM + COLD + 1);
    let answers = carry(&mut world, &[&update], &[0, 2, 3]);
    assert_eq!(answers.iter().map(|place| says_none(&world, *place)).collect::<Vec<_>>(), [false, false, true]);
    world.settle();
    assert_eq!(readings(&mut world, &users), reads_nobody(&users, 3));
    world.directory.publish(id, bundle, Vec::new());
    let update = world.update(1);
    // It is encrypted to the key that the member has asked with, and returns the ratchet.
    assert_eq!(world.body(update[0]).len(), COMMITMENT + 3 * WARM + COMMITMENT + 8 + WARM);
    let answer = carry(&mut world, &[&update], &[3]);
    assert!(!says_none(&world, answer[0]));
    world.settle();
    world.remove(0, 3);
    world.settle();
    world.check(&[0, 1, 2]);

    // In the answer to an add. The joiner loses its author, and asks.
    let mut world = World::with_group(4, 5, 423);
    let (joiner, add) = (world.id(4), world.add(0, 4));
    let bundle = world.directory.bundle(&joiner).unwrap();
    world.directory.publish(joiner, Vec::new(), Vec::new());
    let answer = carry(&mut world, &[&add], &[2]);
    assert_eq!(world.body(answer[0]).len(), 1);
    world.directory.publish(joiner, bundle, Vec::new());
    world.settle();
    let all = [0, 1, 2, 3, 4];
    assert_eq!(asks(&world), 1);
    assert_eq!(readings(&mut world, &all), all_but(&all, &[(2, 4)]));
    world.update(2);
    world.settle();
    world.check(&all);

    // The same, if the author joined after the joiner's welcome was written, by an add before it: the first state by which
    // the welcome introduces the author is not the author's any more.
    let mut world = World::with_group(2, 4, 426);
    let adds = [world.add(0, 2), world.add(0, 3)].concat();
    carry(&mut world, &[&adds[..2]], &[2]);
    let joiner = world.id(3);
    let bundle = world.directory.bundle(&joiner).unwrap();
    world.directory.publish(joiner, Vec::new(), Vec::new());
    let answer = carry(&mut world, &[&adds[2..]], &[2]);
    assert_eq!(world.body(answer[0]).len(), 1);
    world.directory.publish(joiner, bundle, Vec::new());
    world.settle();
    // The author has a first secret only, and repairs before it speaks.
    assert_eq!(asks(&world), 1);
    world.check(&[0, 1, 2, 3]);

    // An add of such a user is refused, and changes nothing.
    let mut world = World::with_group(4, 5, 423);
    let (user, before) = (world.id(4), world.users[2].member.export());
    for bad in [Vec::new(), vec![0; 128]] {
        world.directory.publish(user, bad, Vec::new());
        assert_eq!(world.act(2, |member, context| member.add(&user, context)), Err(Error::NoBundle));
        assert!(world.users[2].member.export() == before);
    }
    world.check(&[0, 1, 2, 3]);
}

#[test]
fn nobody_asks_a_member_outside_its_view() {
    // The member that did not give the joiner its ratchet is removed, or stays.
    for removed in [true, false] {
        let mut world = World::with_group(4, 5, 425);
        let author = Malicious::rob(&world, 2);
        let add = world.add(0, 4);
        let mut first = carry(&mut world, &[&add], &[1]);
        let answer = carry(&mut world, &[&add], &[2]);
        damage_slot(&mut world, &author, answer[0], 0);
        if removed {
            first.extend(world.remove(1, 2));
        }
        carry(&mut world, &[&add, &first, &answer], &[4]);
        assert_eq!(asks(&world), usize::from(!removed));
        world.settle();
        if !removed {
            world.update(2);
            world.settle();
        }
        world.check(if removed { &[0, 1, 3, 4] } else { &[0, 1, 2, 3, 4] });
    }
}

/// A member that has acknowledged the removal before it gets the seed asks nobody with its answer.
#[test]
fn a_bad_seed_by_a_removed_member_costs_nobody_another_member_for_good() {
    let mut world = World::with_group(5, 5, 424);
    let author = Malicious::rob(&world, 1);
    let (update, remove) = (world.update(1), world.remove(0, 1));
    let slot = rank(&world, &[0, 2, 3, 4], 3);
    damage_slot(&mut world, &author, update[0], slot);
    carry(&mut world, &[&update], &[2]);
    let answers = carry(&mut world, &[&remove, &update], &[3]);
    assert!(says_none(&world, answers[1]) && world.body(answers[1]).is_empty());
    carry(&mut world, &[&remove, &update], &[4]);
    world.settle();
    let users = [0, 2, 3, 4];
    assert_eq!(asks(&world), 1);
    assert_eq!(readings(&mut world, &users), all_but(&users, &[(2, 3)]));
    world.update(2);
    world.settle();
    world.check(&users);
}

#[test]
fn keys_for_a_silent_member_are_bounded_and_its_answers_free_them() {
    let mut world = World::with_group(2, 2, 446);
    let mut updates = 0;
    while world.act(0, |member, context| member.update(context)).is_ok() {
        updates += 1;
    }
    assert!(updates <= MAX_UNACKNOWLEDGED && updates + 2 > MAX_UNACKNOWLEDGED);
    world.say(0, "still speaking");
    world.settle();
    assert!(world.has_read(1, 0, "still speaking"));
    world.update(0);
    world.settle();
    world.check(&[0, 1]);
}
