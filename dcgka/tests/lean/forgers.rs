//! What members that forge acknowledgements of others cannot do, whatever else is on its way: in the end, everybody follows
//! everybody, and nobody but the victims has noticed anything.

use protocol::crypto::secret::Secret;
use protocol::directory::Directory as _;
use protocol::id::MessageId;
use protocol::member::{Backend as _, Context, Event, Incoming, Rule};
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::concurrency::common::{Sent, World, carry, says_none};
use super::concurrency::identity_key;
use super::tagged_acks::{forge, group, is_tagged, number, secret_of};

/// Sends something. Returns its places.
type Sends = fn(&mut World) -> Vec<usize>;

/// The members that are left read each other, before and after an update of each.
fn follow_each_other(world: &mut World, members: &[usize]) {
    world.settle();
    for round in 0..2 {
        for user in members {
            let text = format!("{round} of {user}");
            world.say(*user, &text);
            world.settle();
            for reader in members.iter().filter(|reader| *reader != user) {
                assert!(world.has_read(*reader, *user, &text), "{reader} does not read {user}");
            }
            world.update(*user);
            world.settle();
        }
    }
    world.check(members);
    // Of a member that is gone, the last acknowledgements are never signed.
    let delivered = |user: &usize| {
        let all = world.users[*user].member.delivered().unwrap().into_iter();
        all.filter(|(id, _)| members.contains(&world.index(id))).collect::<Vec<_>>()
    };
    assert!(members.iter().all(|user| delivered(user) == delivered(&members[0])));
    let is_false = |event: &Event| matches!(event, Event::Rejected { .. } | Event::Inconsistent { .. });
    assert!(members.iter().all(|user| !world.users[*user].events.iter().any(is_false)));
}

/// What user 1 would answer to this message under a tag, if it got it now, and the secret, which another user knows.
fn next_answer(world: &World, place: usize, knows: usize) -> Option<(Vec<u8>, Secret)> {
    let (mut copy, mut rng) = (world.users[1].member.duplicate(), world.users[1].rng.clone());
    let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    let Sent { author, bytes, .. } = &world.sent[place];
    let incoming = Incoming { group: world.group, author: world.id(*author), bytes };
    let answer = copy.receive_one(&incoming, &mut context).ok()?.outgoing.into_iter().next()?.bytes;
    let secret =
        Envelope::decode(&answer).is_ok_and(|it| it.is_tagged()).then(|| secret_of(world, knows, &answer))??;
    Some((answer, secret))
}

/// User 1 sends something before it has a control message, and user 3, who has it, says at user 2 that user 1 has acknowledged
/// it instead. Returns what user 1 has sent.
fn forged(
    world: &mut World,
    control: impl FnOnce(&mut World) -> Vec<usize>,
    send: impl FnOnce(&mut World) -> Vec<usize>,
) -> Vec<usize> {
    let control = control(world);
    carry(world, &[&control], &[2, 3]);
    let author = world.sent[control[0]].author;
    let knows = if author == 3 { 2 } else { 3 };
    let (_, secret) = next_answer(world, control[0], knows).unwrap();
    let sent = send(world);
    let name = (author, number(world, control[0]));
    let bytes = forge(world, world.id(1), number(world, sent[0]), name, &secret);
    assert_eq!(world.receive(1, &bytes, 2).unwrap().events, [Event::Acked { by: world.id(1) }]);
    sent
}

/// A forgery stands under the number of a control message when another member's acknowledgement of that arrives.
#[test]
fn an_acknowledgement_does_not_overtake_what_a_forgery_stands_for() {
    let cases: [(Sends, &[usize]); 3] = [
        (|world| world.update(1), &[0, 1, 2, 3, 4, 5]),
        (|world| world.remove(1, 5), &[0, 1, 2, 3, 4]),
        (|world| world.add(1, 6), &[0, 1, 2, 3, 4, 5, 6]),
    ];
    for (send, members) in cases {
        let mut world = group(6, 7, 930);
        let sent = forged(&mut world, |world| world.update(0), send);
        let answer = carry(&mut world, &[&sent], &[4]);
        let said = world.say(4, "signed");
        carry(&mut world, &[&answer, &said], &[2]);
        follow_each_other(&mut world, members);
    }
}

/// User 1 has sent an update that knows nothing of the removal.
#[test]
fn a_forged_acknowledgement_of_a_removal_changes_no_view() {
    let mut world = group(6, 6, 931);
    forged(&mut world, |world| world.remove(3, 5), |world| world.update(1));
    follow_each_other(&mut world, &[0, 1, 2, 3, 4]);
}

#[test]
fn a_forgery_is_not_passed_on_to_a_joiner() {
    let mut world = group(4, 5, 932);
    forged(&mut world, |world| world.update(0), |world| world.update(1));
    world.add(2, 4);
    follow_each_other(&mut world, &[0, 1, 2, 3, 4]);
}

/// The victim would forget keys that user 1 still uses.
#[test]
fn a_forged_acknowledgement_of_the_victims_own_update_costs_it_no_key() {
    let mut world = group(4, 4, 933);
    forged(&mut world, |world| world.update(2), |world| world.update(1));
    follow_each_other(&mut world, &[0, 1, 2, 3]);
}

/// User 1 cannot open the ciphertext, and says so in its genuine answer.
#[test]
fn a_forged_acknowledgement_does_not_hide_that_its_author_asks() {
    let mut world = group(4, 4, 934);
    let mut update = Vec::new();
    forged(
        &mut world,
        |world| {
            update = world.update(2);
            update.clone()
        },
        |world| world.say(1, "not knowing"),
    );
    let (id, bundle) = (world.id(2), world.directory.bundle(&world.id(2)).unwrap());
    world.directory.publish(id, Vec::new(), Vec::new());
    let answers = carry(&mut world, &[&update], &[1]);
    assert!(says_none(&world, answers[0]));
    world.directory.publish(id, bundle, Vec::new());
    world.settle();
    // With these it returns what user 1 has lost.
    (0..4).for_each(|user| drop(world.update(user)));
    follow_each_other(&mut world, &[0, 1, 2, 3]);
}

/// User 3 forges acknowledgements of updates and removals by user 1 whenever it can, at users 0 and 2.
#[test]
fn forgeries_at_random_lose_nobody() {
    let mut forgeries = 0;
    for seed in 0..40 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut draw = |below: usize| rng.next_u32() as usize % below;
        let mut world = group(6, 6, 3000 + seed);
        let mut removes = 1;
        for _ in 0..150 {
            let user = draw(6);
            match draw(9) {
                6 => {
                    let state = world.users[user].member.export();
                    world.users[user].member = crate::VARIANT.restore(&state).unwrap();
                    assert!(world.users[user].member.export() == state);
                }
                0 if world.is_inside(user) => drop(world.update(user)),
                1 if world.is_inside(user) => drop(world.say(user, "x")),
                2 if removes > 0 && user < 5 => {
                    removes -= 1;
                    world.remove(user, 5);
                }
                3..=5 => {
                    let victim = [0, 2][draw(2)];
                    let is_control = |place: &usize| ["update", "remove"].contains(&world.sent[*place].kind);
                    let Some(place) = world.in_transit(1).into_iter().find(is_control) else { continue };
                    for (user, end) in [(1, place), (3, usize::MAX), (victim, usize::MAX)] {
                        while let Some(earlier) = world.in_transit(user).into_iter().find(|earlier| *earlier < end) {
                            world.carry(earlier, user);
                        }
                    }
                    if let Some((bytes, _)) = next_answer(&world, place, 3) {
                        let taken = world.receive(1, &bytes, victim).map(|received| received.events);
                        forgeries += usize::from(taken == Ok(vec![Event::Acked { by: world.id(1) }]));
                    }
                }
                _ => {
                    if let Some(place) = world.in_transit(user).first() {
                        world.carry(*place, user);
                    }
                }
            }
            // Now and then user 1 says something else under that number.
            if draw(4) == 0 {
                world.say(1, "something else");
            }
        }
        let members = if removes > 0 { &[0, 1, 2, 3, 4, 5][..] } else { &[0, 1, 2, 3, 4] };
        follow_each_other(&mut world, members);
    }
    assert!(forgeries > 100, "{forgeries}");
}

/// A joiner acknowledges its add under a tag, which nobody does: the secret is that of its first step.
#[test]
fn a_step_by_a_tag_that_breaks_a_rule_is_undone() {
    let mut world = group(4, 5, 935);
    let (id, key) = (world.id(4), identity_key(&world, 4, 935));
    let add = world.add(0, 4);
    carry(&mut world, &[&add], &[1, 2]);
    let name = (0, number(&world, add[0]));
    // User 1 alone gets the tag, under the secret in its state that fits.
    let state = world.users[1].member.export();
    let tags = state.windows(32).map(|secret| forge(&world, id, 1, name, &Secret::new(secret.try_into().unwrap())));
    let tags: Vec<_> = tags.collect();
    let taken = tags.iter().find_map(|bytes| world.receive(4, bytes, 1).ok()).unwrap();
    assert_eq!(taken.events, [Event::Acked { by: id }]);
    let history = [(world.id(0).handle(), MessageId { author: world.id(0), number: name.1 })];
    let draft = Draft { kind: Kind(9), sender: id, number: 2, subject: Subject::None, new_key: None, body: &[] };
    let (bytes, _) = draft.sign_after(&world.group, (id.handle(), None), &history, &key);
    for user in [1, 2] {
        let rejected = Event::Rejected { from: id, rule: Rule::Form };
        assert!(world.receive(4, &bytes, user).unwrap().events.contains(&rejected));
    }
    let shown = |user: usize| world.users[user].member.fingerprints().unwrap().into_iter().find(|(of, _)| *of == id);
    assert_eq!(shown(1), shown(2));
}

#[test]
fn a_removed_member_that_is_honest_is_not_reported() {
    let mut world = group(4, 4, 7001);
    let equivocation = Event::Equivocation { by: world.id(3) };
    // User 3 acknowledges an update of user 1 under a tag, which user 0 takes.
    let first = world.update(1);
    carry(&mut world, &[&first], &[0]);
    let one = carry(&mut world, &[&first], &[3]);
    assert!(is_tagged(&world, one[0]));
    carry(&mut world, &[&one], &[0]);
    // User 0 removes user 3 and user 2. User 1 has acknowledged the first removal alone: user 0 keeps nothing of user 3.
    let removes3 = world.remove(0, 3);
    let removes2 = world.remove(0, 2);
    let acks = carry(&mut world, &[&removes3], &[1]);
    let said = world.say(1, "signed");
    carry(&mut world, &[&acks, &said], &[0]);
    // User 2 knows nothing of it and updates. User 3 knows nothing either, and acknowledges that.
    let second = world.update(2);
    carry(&mut world, &[&second], &[0]);
    let two = carry(&mut world, &[&second], &[3]);
    assert!(is_tagged(&world, two[0]));
    carry(&mut world, &[&two], &[0]);
    let said = world.say(3, "what I have acknowledged");
    carry(&mut world, &[&said], &[0]);
    let _ = removes2;
    assert!(!world.users[0].events.contains(&equivocation), "user 3 has not equivocated: {:?}", world.users[0].events);
}

/// User 3 has been removed, and every member has acknowledged that under its signature. But user 2 still waits for an
/// acknowledgement of the update, whose seed user 3 got.
#[test]
fn a_removed_member_cannot_have_a_member_reported() {
    let mut world = group(4, 4, 7101);
    // User 1 gets the update last.
    let update = world.update(0);
    let mut all = carry(&mut world, &[&update], &[2, 3]);
    let removes = world.remove(2, 3);
    all.extend(carry(&mut world, &[&removes], &[1]));
    all.extend(world.say(1, "I know that user 3 is gone"));
    all.extend(carry(&mut world, &[&removes], &[0]));
    all.extend(world.say(0, "I too"));
    all.extend(world.say(2, "I too"));
    carry(&mut world, &[&all], &[2]);
    carry(&mut world, &[&all, &removes], &[0]);
    assert_eq!(world.members(2), [0, 1, 2]);
    // What user 1 would answer to the update: user 3 has its secret.
    let (mut copy, mut rng) = (world.users[1].member.duplicate(), world.users[1].rng.clone());
    let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    let incoming = Incoming { group: world.group, author: world.id(0), bytes: &world.sent[update[0]].bytes };
    let genuine = copy.receive_one(&incoming, &mut context).unwrap().outgoing[0].bytes.clone();
    // User 3 did not know of its removal then: its state is what it was.
    let secret = secret_of(&world, 3, &genuine).unwrap();
    let said = world.say(1, "without the update");
    let forged = forge(&world, world.id(1), number(&world, said[0]), (0, number(&world, update[0])), &secret);
    let received = world.receive(1, &forged, 2).map(|received| received.events);
    carry(&mut world, &[&said], &[2]);
    let reported = world.users[2].events.contains(&Event::Equivocation { by: world.id(1) });
    assert!(!reported, "the forgery of an outsider: {received:?}");
}
