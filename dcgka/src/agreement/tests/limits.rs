//! What a member whose implementation ignores all limits can do to others.

use protocol::causal_order::MAX_WAITING_BYTES;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{Context, Event, Incoming, Member as _, Received, Rule};
use protocol::wire::envelope::{Draft, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::Net;
use crate::agreement::seed::Seed;
use crate::agreement::state::{ControlId, Env};
use crate::limits::{MAX_KEPT_KEYS, MAX_KNOWN, MAX_PENDING, MAX_UNACKNOWLEDGED};
use crate::messages::{MESSAGE, Seeded, UPDATE};
use crate::rules::Rules;

/// Sends an update, whatever is unacknowledged.
fn update_beyond_limits(net: &mut Net, user: usize) -> usize {
    net.act(user, |member, context| {
        let (user, group) = member.inside()?;
        let env = &mut Env::new(user, context);
        let number = group.next_number()?;
        let recipients = group.recipients(group.view(), group.me());
        let seed = Seed::generate(env);
        let commitment = seed.commitment(&group.id, number, env);
        let mut body = Seeded::encode_head(commitment.as_ref(), recipients.len(), env.user.rules);
        let mut carrier = group.carrier(number);
        group.send_seed(&seed, &recipients, &mut carrier, env, &mut body);
        group.apply_seed(Some(seed), ControlId { author: group.me(), number }, &recipients);
        let new_key = SigningKey::random(&mut *env.context.rng);
        group.broadcast(UPDATE, Subject::None, &body, Some(new_key), env)?;
        Ok(core::mem::take(&mut env.outgoing))
    })[0]
}

fn pending(net: &mut Net, user: usize, author: usize) -> usize {
    let author = net.index(user, author);
    net.group(user).pending.keys().filter(|control| control.author == author).count()
}

fn has_read(net: &Net, user: usize, text: &[u8]) -> bool {
    net.users[user].2.iter().any(|event| matches!(event, Event::Message { plaintext, .. } if plaintext == text))
}

#[test]
fn an_author_with_too_much_pending_waits_and_nobody_else_does() {
    let mut net = Net::new(4, 4, 20);
    // User 3 is silent.
    let updates: Vec<_> = (0..MAX_PENDING + 3).map(|_| update_beyond_limits(&mut net, 1)).collect();
    let active = [0, 1, 2];
    net.settle_among(&active);
    for user in [0, 2] {
        assert_eq!(pending(&mut net, user, 1), MAX_PENDING);
        assert!(!net.group(user).order.is_idle());
    }
    for user in [0, 2] {
        net.update(user);
        net.act(user, |member, context| member.send(b"still speaking", context));
    }
    net.settle_among(&active);
    assert!(active.iter().all(|user| has_read(&net, *user, b"still speaking")));
    // Each answer makes room for one update.
    net.carry(&updates[..2], 3);
    let answers = (0..net.sent.len()).filter(|place| net.sent[*place].0 == 3).collect::<Vec<_>>();
    net.carry(&answers, 0);
    let author = net.index(0, 1);
    assert_eq!(pending(&mut net, 0, 1), MAX_PENDING);
    let last = net.group(0).pending.keys().rfind(|control| control.author == author).map(|control| control.number);
    assert_eq!(last, Some(u32::try_from(1 + MAX_PENDING + 2).unwrap()));
    net.check_nothing_is_left(&[0, 1, 2, 3]);
}

#[test]
fn a_repeated_message_needs_no_room() {
    let mut net = Net::new(3, 3, 27);
    // User 2 is silent, so that the last updates of user 1 are held back at user 0.
    let updates: Vec<_> = (0..MAX_PENDING + 2).map(|_| update_beyond_limits(&mut net, 1)).collect();
    net.carry(&updates[..MAX_PENDING + 1], 0);
    let (one, group) = (net.id(1), net.group);
    let mut receive = |author: MemberId, bytes: &[u8]| {
        let rng = &mut net.rng;
        let mut context = Context { rng, directory: &net.directory, confirm_inviter: &|_| true };
        net.users[0].0.receive_one(&Incoming { group, author, bytes }, &mut context)
    };
    // Messages of strangers fill the room.
    let mut rng = ChaCha20Rng::seed_from_u64(28);
    for body in [vec![0; 1 << 19], vec![0; 1 << 12], Vec::new()] {
        loop {
            let key = SigningKey::random(&mut rng);
            let sender = MemberId(*key.verification_key().as_bytes());
            let draft = Draft { kind: MESSAGE, sender, number: 1, subject: Subject::None, new_key: None, body: &body };
            match receive(sender, &draft.sign(&group, sender.handle(), None, &key).0) {
                Ok(received) => assert_eq!(received, Received::default()),
                Err(error) => break assert_eq!(error, Error::QueueFull),
            }
        }
    }
    for (place, expected) in [
        (updates[0], Ok(Received::default())),
        (updates[MAX_PENDING], Ok(Received::default())),
        (updates[MAX_PENDING + 1], Err(Error::QueueFull)),
    ] {
        assert_eq!(receive(one, &net.sent[place].2), expected);
    }
}

#[test]
fn an_author_with_too_much_pending_can_be_removed_and_can_remove_silent_members() {
    for author_is_removed in [true, false] {
        let mut net = Net::new(5, 5, 21);
        for _ in 0..MAX_PENDING {
            update_beyond_limits(&mut net, 1);
        }
        if author_is_removed {
            net.settle_among(&[0, 1, 2]);
            net.remove(0, 1);
            net.check_nothing_is_left(&[0, 2, 3, 4]);
        } else {
            // Two are silent, so that each removal leaves a control message unacknowledged.
            net.remove(1, 3);
            net.remove(1, 4);
            net.settle_among(&[0, 1, 2]);
            net.update(1);
            net.check_nothing_is_left(&[0, 1, 2]);
        }
    }
}

#[test]
fn a_member_that_opens_nothing_blocks_nobody() {
    let mut net = Net::new(3, 3, 22);
    let zero = net.index(2, 0);
    let mut most = 0;
    for _ in 0..MAX_KEPT_KEYS + 2 {
        let update = net.update(0);
        net.group(2).two_party.entry(zero).or_default().lose_all();
        let answers = [net.carry(&update, 1), net.carry(&update, 2)].concat();
        (0..3).for_each(|user| drop(net.carry(&answers, user)));
        let two = net.index(0, 2);
        most = most.max(net.group(0).two_party[&two].kept());
    }
    net.settle();
    // A question empties a full channel.
    let two = net.index(0, 2);
    assert!(most >= MAX_KEPT_KEYS - 2 && net.group(0).two_party[&two].kept() < 10);
    assert!(!net.group(0).pending.keys().any(|control| control.author == zero));
    net.act(0, |member, context| member.send(b"still speaking", context));
    net.settle();
    assert!(has_read(&net, 1, b"still speaking"));
    net.remove(0, 2);
    net.check_nothing_is_left(&[0, 1]);
}

#[test]
fn what_is_kept_of_sent_ciphertexts_is_deleted_with_the_keys() {
    let mut net = Net::new(2, 2, 23);
    let (zero, one) = (net.index(1, 0), net.index(0, 1));
    for _ in 0..40 {
        let update = net.update(0);
        // It acknowledges with `none` and answers by two-party messages of its own.
        net.group(1).two_party.entry(zero).or_default().lose_received();
        net.carry(&update, 1);
        net.update(1);
        net.settle();
    }
    let mut channel = Vec::new();
    net.group(0).two_party[&one].encode(Rules::Corrected, &mut channel);
    assert!(channel.len() < 400, "{} bytes", channel.len());
}

#[test]
fn an_author_that_ignores_a_member_cannot_exhaust_the_channels_to_it() {
    let mut net = Net::new(3, 4, 24);
    net.add(0, 3);
    net.settle_among(&[0, 2, 3]);
    // User 1 does not know user 3, so the others forward to it.
    let updates: Vec<_> = (0..3 * MAX_UNACKNOWLEDGED).map(|_| update_beyond_limits(&mut net, 1)).collect();
    for user in [0, 2, 3] {
        net.carry(&updates, user);
    }
    net.settle_among(&[0, 2, 3]);
    let three = net.index(2, 3);
    assert!(net.group(2).two_party[&three].kept() < MAX_KEPT_KEYS / 2, "an update of its own has freed them");
    assert!(net.users[3].2.contains(&Event::Updated { by: net.id(2) }));
    net.act(2, |member, context| member.send(b"still readable", context));
    net.settle();
    assert!(has_read(&net, 3, b"still readable"));
    assert_eq!(net.group(0).view().len(), 4);
}

#[test]
fn nobody_is_added_by_an_author_that_has_known_too_many_users() {
    let mut net = Net::new(2, 2, 25);
    let (me, one) = (net.index(0, 0), net.index(0, 1));
    let group = net.group(0);
    let fresh = |number: u32| MemberId(*protocol::crypto::hash::hash(b"user", &[&number.to_be_bytes()]).as_bytes());
    for number in 2..=u32::try_from(MAX_KNOWN).unwrap() - 1 {
        assert_eq!(group.check_add(me, &fresh(0)), Ok(()), "with {number} known");
        let (_, user) = group.membership.add(me, 2 * number, fresh(number));
        group.membership.remove(me, 2 * number + 1, user);
    }
    assert_eq!(group.view().len(), 2);
    assert_eq!(group.check_add(me, &fresh(0)), Err(Rule::GroupSize));
    assert_eq!(group.check_add(one, &fresh(0)), Ok(()), "who has heard of none of them");
}

#[test]
fn a_member_without_numbers_left_does_nothing_at_all() {
    let mut net = Net::new(3, 4, 26);
    let last = u32::MAX - (MAX_WAITING_BYTES / 16) as u32;
    net.group(1).number = last;
    let (update, said) = (net.update(0), net.act(0, |member, context| member.send(b"hello", context)));
    // One call may send several messages, and succeeds.
    assert_eq!(net.carry(&update, 1).len(), 1);
    assert_eq!(net.group(1).number, last + 1);
    let before = net.users[1].0.export();
    let (group, author, user) = (net.group, net.id(0), net.id(3));
    let bytes = net.sent[said[0]].2.clone();
    let mut context = Context { rng: &mut net.rng, directory: &net.directory, confirm_inviter: &|_| true };
    let member = &mut net.users[1].0;
    let received = member.receive_one(&Incoming { group, author, bytes: &bytes }, &mut context);
    assert_eq!(received, Err(Error::NumbersExhausted));
    for result in [
        member.update(&mut context),
        member.add(&user, &mut context),
        member.remove(&author, &mut context),
        member.send(b"hello", &mut context),
    ] {
        assert_eq!(result, Err(Error::NumbersExhausted));
    }
    assert!(member.export() == before);
}

#[test]
fn a_joiner_with_less_pending_is_not_cut_off() {
    let mut net = Net::new(4, 5, 30);
    // User 3 is silent, user 1 ignores limits, and user 4 is a joiner, whose welcome says nothing of what is pending.
    for _ in 0..MAX_PENDING {
        update_beyond_limits(&mut net, 1);
    }
    net.settle_among(&[0, 1, 2]);
    assert_eq!(pending(&mut net, 0, 1), MAX_PENDING);
    net.add(0, 4);
    let active = [0, 1, 2, 4];
    net.settle_among(&active);
    assert_eq!(pending(&mut net, 4, 1), 0);
    update_beyond_limits(&mut net, 1);
    net.settle_among(&active);
    net.act(4, |member, context| member.send(b"after", context));
    net.settle_among(&active);
    assert!(has_read(&net, 0, b"after") && has_read(&net, 2, b"after"));
}

#[test]
fn members_that_retire_a_member_at_different_times_do_not_wait_for_each_other() {
    let mut net = Net::new(6, 7, 31);
    // User 4 is silent, user 5 is removed, and user 6 is added and never comes online.
    for _ in 0..MAX_UNACKNOWLEDGED {
        net.update(0);
        net.settle_among(&[0, 1, 2, 3, 5]);
    }
    net.remove(0, 5);
    let active = [0, 1, 2, 3];
    net.settle_among(&active);
    // Users 0 and 3 have all acknowledgements of a removal before they receive an add, user 2 after it.
    let removal = net.remove(0, 4);
    let first = net.carry(&removal, 1);
    let add = net.add(1, 6);
    let second = net.carry(&removal, 2);
    net.carry(&first, 2);
    net.carry(&add, 2);
    let third = net.carry(&removal, 3);
    for answer in [&first, &second, &third] {
        net.carry(answer, 0);
        net.carry(answer, 3);
    }
    net.settle_among(&active);
    while net.group(0).check_unacknowledged().is_ok() {
        net.update(0);
        net.settle_among(&active);
    }
    net.remove(0, 6);
    net.settle_among(&active);
    net.act(0, |member, context| member.send(b"from 0", context));
    net.act(3, |member, context| member.send(b"from 3", context));
    net.settle_among(&active);
    assert!(has_read(&net, 2, b"from 0") && has_read(&net, 2, b"from 3"));
}

#[test]
fn a_channel_beyond_half_of_its_keys_gets_one_update_at_a_time() {
    let mut net = Net::new(3, 4, 25);
    net.add(0, 3);
    net.settle_among(&[0, 2, 3]);
    let three = net.index(2, 3);
    // Asking makes keys too, and no forward sees the half itself.
    let rng = &mut ChaCha20Rng::seed_from_u64(25);
    for number in 0..=MAX_KEPT_KEYS as u32 / 2 {
        net.group(2).two_party.entry(three).or_default().renew(number, Rules::Corrected, rng).unwrap();
    }
    // User 1 does not know user 3, so user 2 forwards to it.
    for _ in 0..3 {
        let update = update_beyond_limits(&mut net, 1);
        for user in [2, 0, 3] {
            net.carry(&[update], user);
        }
        assert_eq!(pending(&mut net, 2, 2), 1, "an update of its own");
    }
    net.settle_among(&[0, 2, 3]);
    assert!(net.group(2).two_party[&three].kept() < 10, "the update has freed them");
    net.settle();
    net.check_nothing_is_left(&[0, 1, 2, 3]);
}
