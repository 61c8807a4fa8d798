//! Members that restart from an export: in time, too late, and from one that is too old.

use std::collections::BTreeSet;

use protocol::error::Error;
use protocol::member::{Event, Received};

use super::common::{World, carry, rejections, says_none};
use super::{all_but, fork, live, readings, restart, restore};

/// How many events report to a user that another signs twice.
fn reports(world: &World, user: usize, by: usize) -> usize {
    let by = world.id(by);
    world.users[user].events.iter().filter(|event| **event == Event::Equivocation { by }).count()
}

#[test]
fn rollback_to_an_old_export() {
    let others = [0, 2, 3];
    // Back before messages alone: the one under a used number is reported and lost, the next is read.
    let mut world = World::with_group(4, 6, 460);
    let old = world.users[1].member.export();
    world.say(1, "before");
    world.settle();
    restore(&mut world, 1, &old);
    world.say(1, "again");
    world.say(1, "after");
    world.settle();
    for user in others {
        assert_eq!(reports(&world, user, 1), 1);
        assert!(world.has_read(user, 1, "before") && !world.has_read(user, 1, "again"));
        assert!(world.has_read(user, 1, "after"));
    }
    world.check(&[0, 1, 2, 3]);

    // Back before an update: its key is lost, so nothing that follows is authentic.
    let old = world.users[1].member.export();
    let had = world.users[1].received.clone();
    world.update(1);
    world.settle();
    world.say(1, "under the new key");
    world.settle();
    restore(&mut world, 1, &old);
    let again = world.update(1)[0];
    let said = world.say(1, "of nobody")[0];
    let later = world.say(1, "of nobody either")[0];
    for user in others {
        let (received, _) = world.try_carry(again, user);
        assert_eq!(
            received,
            Ok(Received { outgoing: Vec::new(), events: vec![Event::Equivocation { by: world.id(1) }] })
        );
        for place in [said, later] {
            assert_eq!(world.try_carry(place, user).0, Err(Error::NotAuthentic));
        }
    }
    // The others are not split.
    world.users[1].online = false;
    assert_eq!(readings(&mut world, &others), all_but(&others, &[]));
    world.update(2);
    world.settle();
    assert_eq!(readings(&mut world, &others), all_but(&others, &[]));
    // When it is online again it waits for messages that do not arrive again. If they do, the others have stepped with
    // an update that is not the one it knows.
    world.users[1].online = true;
    world.say(0, "to all");
    let before = world.users[1].events.len();
    let mut forgetful = fork(&world);
    forgetful.settle();
    assert_eq!(forgetful.users[1].events.len(), before);
    world.users[1].received = had;
    world.settle();
    assert!(others.iter().all(|user| *user == 0 || world.has_read(*user, 0, "to all")));
    assert!(!world.has_read(1, 0, "to all"));
    assert!(world.users[1].events[before..].contains(&Event::Undecryptable { from: world.id(0) }));
    // It comes back under another id.
    world.remove(0, 1);
    world.settle();
    assert!(!world.is_inside(1));
    world.add(0, 4);
    world.settle();
    world.check(&[0, 2, 3, 4]);

    // Back before messages of others, which the network has kept: all are received again.
    let old = world.users[2].member.export();
    let had = world.users[2].received.clone();
    let number = world.sent.iter().filter(|sent| sent.author == 2).count();
    world.say(0, "once");
    world.say(3, "more");
    world.settle();
    assert_eq!(world.sent.iter().filter(|sent| sent.author == 2).count(), number);
    restore(&mut world, 2, &old);
    world.users[2].received = had;
    world.settle();
    world.check(&[0, 2, 3, 4]);
}

#[test]
fn replay_after_restart_at_every_step() {
    let mut world = World::new(5, 461);
    let mut replayed = 0;
    live(&mut world, &mut |world, _, user| {
        restart(world, user);
        let before = world.users[user].member.export();
        // Its own messages come back too.
        for place in world.users[user].received.clone() {
            let (author, bytes) = (world.sent[place].author, world.sent[place].bytes.clone());
            assert_eq!(world.receive(author, &bytes, user), Ok(Received::default()), "message {place} again");
            replayed += 1;
        }
        for place in (0..world.sent.len()).filter(|place| world.sent[*place].author == user).collect::<Vec<_>>() {
            let bytes = world.sent[place].bytes.clone();
            assert_eq!(world.receive(user, &bytes, user), Ok(Received::default()), "its own message {place}");
        }
        assert!(world.users[user].member.export() == before);
    });
    assert!(replayed > 500, "{replayed}");
    assert_eq!(rejections(&world), 0);
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn a_thousand_updates_by_one_member_while_the_others_only_acknowledge() {
    let mut world = World::with_group(3, 3, 462);
    let sizes = |world: &World| world.users.iter().map(|user| user.member.export().len()).collect::<Vec<_>>();
    let mut seen = Vec::new();
    for _ in 0..1000 {
        world.update(0);
        world.settle();
        // The network forgets what everybody has received.
        world.sent.clear();
        world.users.iter_mut().for_each(|user| user.received.clear());
        seen.push(sizes(&world));
    }
    // Numbers take another byte at 128.
    for (at, now) in seen.iter().enumerate().skip(10) {
        assert!(now.iter().zip(&seen[10]).all(|(now, then)| now.abs_diff(*then) < 64), "after {at}: {now:?}");
    }
    assert_eq!(seen[200], seen[999]);
    assert_eq!(seen.iter().skip(200).collect::<BTreeSet<_>>().len(), 1);
    world.users.iter_mut().for_each(|user| user.events.clear());
    world.update(1);
    world.settle();
    world.check(&[0, 1, 2]);
}

type Act = fn(&mut World, usize) -> Vec<usize>;

/// What user 1 does, and the members after it.
const ACTS: [(Act, &[usize]); 4] = [
    (|world, user| world.update(user), &[0, 1, 2, 3]),
    (|world, user| world.say(user, "crash"), &[0, 1, 2, 3]),
    (|world, user| world.add(user, 4), &[0, 1, 2, 3, 4]),
    (|world, user| world.remove(user, 3), &[0, 1, 2]),
];

#[test]
fn crash_before_and_after_sending() {
    let start = World::with_group(4, 5, 463);
    for (act, members) in ACTS {
        // What was not sent has not happened.
        let mut world = fork(&start);
        let saved = world.users[1].member.export();
        let place = act(&mut world, 1)[0];
        let lost = world.sent[place].bytes.clone();
        world.sent.truncate(place);
        restore(&mut world, 1, &saved);
        world.say(1, "not that");
        world.settle();
        assert!(world.has_read(0, 1, "not that"));
        act(&mut world, 1);
        assert!(world.sent.iter().all(|sent| sent.bytes != lost));
        world.settle();
        world.check(members);

        // What was sent late, and twice, has happened once. Meanwhile the others continue.
        let mut world = fork(&start);
        world.users[4].online = false;
        let sent = act(&mut world, 1);
        restart(&mut world, 1);
        let late: Vec<_> = sent.iter().map(|place| world.sent[*place].clone()).collect();
        world.users.iter_mut().for_each(|user| user.received.extend(&sent));
        world.update(2);
        world.settle();
        world.say(0, "meanwhile");
        world.settle();
        assert!(world.has_read(1, 0, "meanwhile"));
        restart(&mut world, 1);
        world.users[4].online = members.contains(&4);
        for _ in 0..2 {
            world.sent.extend(late.clone());
            world.settle();
        }
        assert_eq!(rejections(&world), 0);
        world.check(members);
    }
    // An acknowledgement that was not sent: the update arrives again, and is acknowledged again.
    let mut world = start;
    let saved = world.users[1].member.export();
    let update = world.update(0);
    let answer = world.carry(update[0], 1)[0];
    world.sent.truncate(answer);
    restore(&mut world, 1, &saved);
    let answer = carry(&mut world, &[&update], &[1]);
    assert!(!says_none(&world, answer[0]));
    world.settle();
    // An acknowledgement that was sent late, and twice.
    let update = world.update(0);
    let answer = world.carry(update[0], 1)[0];
    restart(&mut world, 1);
    let late = world.sent[answer].clone();
    world.users.iter_mut().for_each(|user| {
        user.received.insert(answer);
    });
    world.settle();
    world.sent.extend([late.clone(), late]);
    world.settle();
    world.check(&[0, 1, 2, 3]);
}
