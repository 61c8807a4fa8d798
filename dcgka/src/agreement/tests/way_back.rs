//! How a member gets back the ratchets that it has lost, and what nobody can do with that.

use protocol::crypto::hash::DIGEST_LEN;
use protocol::id::HANDLE_LEN;
use protocol::member::{Context, Event, Incoming, Member as _};
use protocol::membership::KnownUser;
use protocol::wire::envelope::Envelope;

use super::Net;
use super::commitments::{all_but, readings};
use crate::agreement::state::Env;
use crate::dsgm::Dsgm;
use crate::messages::{ACK_NONE, ASK, Seeded};
use crate::rules::Rules;
use crate::two_party::warm_len;

const ALL: [usize; 4] = [0, 1, 2, 3];

impl Net {
    /// A member updates, and another one has lost all keys of its channel with it.
    pub(super) fn lose_seed(&mut self, author: usize, victim: usize) {
        // So that no prekeys are needed again.
        self.update(author);
        self.settle();
        self.lose_keys(victim, author);
        self.update(author);
        self.settle();
    }

    /// The copies of the ratchet in an update to all other members.
    fn copies(&self, update: usize, members: usize) -> usize {
        let envelope = Envelope::decode(&self.sent[update].2).unwrap();
        Seeded::decode(envelope.body, members - 1, Rules::Corrected).unwrap().ratchets.slots.len()
    }

    fn lose_keys(&mut self, victim: usize, author: usize) {
        let index = self.index(victim, author);
        self.group(victim).two_party.entry(index).or_default().lose_all();
    }

    /// Lets a user ask another one, whatever it has lost.
    pub(super) fn ask(&mut self, user: usize, other: usize) {
        let peer = KnownUser { id: self.id(other), index: self.index(user, other) };
        self.act(user, |member, context| {
            let (user, group) = member.inside()?;
            let mut env = Env::new(user, context);
            group.ask(peer, &mut env)?;
            Ok(env.outgoing)
        });
    }
}

#[test]
fn updates_by_all_bring_back_a_member_that_has_lost_a_seed_unless_as_published() {
    for (rules, back) in [(Rules::Corrected, true), (Rules::Published, false)] {
        let mut net = Net::following(rules, 4, 4, 50);
        net.lose_seed(1, 3);
        let mut lost = vec![(3, 0), (3, 1), (3, 2)];
        assert_eq!(readings(&mut net, &ALL), all_but(&ALL, &lost), "{rules:?}");
        for updater in [0, 1, 2] {
            net.update(updater);
            net.settle();
            lost.retain(|(_, sender)| !back || *sender != updater);
            assert_eq!(readings(&mut net, &ALL), all_but(&ALL, &lost), "{rules:?}");
        }
        if back {
            net.check_nothing_is_left(&ALL);
        }
    }
}

#[test]
fn a_ratchet_is_returned_once_and_a_seed_lost_again_asks_again() {
    let mut net = Net::new(4, 4, 51);
    net.lose_seed(1, 3);
    let first = net.update(0)[0];
    net.settle();
    let second = net.update(0)[0];
    net.settle();
    assert_eq!((net.copies(first, 4), net.copies(second, 4)), (1, 0));
    net.lose_seed(1, 3);
    let third = net.update(0)[0];
    net.settle();
    assert_eq!(net.copies(third, 4), 1);
    // Asking has made nobody send anything.
    let answers = net.sent.iter().filter(|(_, _, bytes)| bytes[1] == ACK_NONE.0).count();
    assert_eq!((answers, net.asks()), (2, 0));
    // A ratchet that is lost with the seed beside it needs no question of its own.
    net.lose_seed(1, 3);
    net.lose_keys(3, 0);
    let fourth = net.update(0);
    assert_eq!(net.copies(fourth[0], 4), 1);
    let answers = net.carry(&fourth, 3);
    assert_eq!((answers.len(), net.says_none(answers[0])), (1, true));
    net.settle();
    for user in [0, 1, 2] {
        net.update(user);
        net.settle();
    }
    assert_eq!(readings(&mut net, &ALL), all_but(&ALL, &[]));
}

#[test]
fn a_member_that_asks_without_need_gets_one_ciphertext_more_for_each_time() {
    let mut net = Net::new(4, 4, 52);
    for _ in 0..3 {
        net.ask(3, 0);
        net.ask(3, 0);
        let before = net.sent.len();
        net.settle();
        assert_eq!(net.sent.len(), before, "nobody answers");
        // The member that is asked speaks without updating first.
        let said = net.act(0, |member, context| member.send(b"hello", context));
        assert_eq!(said.len(), 1);
        let (asked, other) = (net.update(0)[0], net.update(1)[0]);
        net.settle();
        assert_eq!((net.copies(asked, 4), net.copies(other, 4)), (1, 0));
    }
    assert_eq!(readings(&mut net, &ALL), all_but(&ALL, &[]));
    net.check_nothing_is_left(&ALL);
}

#[test]
fn nothing_is_returned_to_a_user_outside_the_view() {
    let mut net = Net::new(5, 5, 53);
    net.remove(0, 4);
    // It has not received its removal, and asks everybody that has.
    for other in 0..4 {
        net.ask(4, other);
    }
    net.settle_among(&ALL);
    let asks: Vec<_> = (0..net.sent.len()).filter(|place| net.sent[*place].2[1] == ASK.0).collect();
    assert_eq!(asks.len(), 4);
    for user in ALL {
        net.carry(&asks, user);
        let four = net.index(user, 4);
        let group = net.group(user);
        assert!(!group.lacking.contains(four) && !group.two_party.contains_key(&four));
        let update = net.update(user)[0];
        assert_eq!(net.copies(update, 4), 0);
    }
}

#[test]
fn a_member_that_is_removed_after_it_has_asked_gets_nothing() {
    let mut net = Net::new(4, 4, 56);
    net.ask(3, 0);
    net.settle();
    assert!(net.lacking(0, 3));
    let removal = net.remove(1, 3);
    net.carry(&removal, 0);
    let update = net.update(0)[0];
    assert_eq!(net.copies(update, 3), 0);
    // Nor is it remembered.
    net.settle_among(&[0, 1, 2]);
    assert!(!net.lacking(0, 3));
}

#[test]
fn a_joiner_that_is_asked_updates_before_it_speaks_once_even_after_a_restart() {
    let mut net = Net::new(3, 4, 57);
    net.add(0, 3);
    net.settle();
    let say = |net: &mut Net| net.act(3, |member, context| member.send(b"hello", context)).len();
    assert_eq!(say(&mut net), 1, "nobody has asked");
    for sent in [2, 1] {
        net.ask(1, 3);
        net.settle();
        let member = &mut net.users[3].0;
        *member = Dsgm::decode(&member.export(), Rules::Corrected, false).unwrap();
        assert_eq!(say(&mut net), sent);
        net.settle();
    }
}

#[test]
fn nobody_else_can_ask_in_a_members_name() {
    let mut net = Net::new(4, 4, 54);
    // The key that has signed before the member's update no longer asks.
    let stolen = net.users[3].0.clone();
    net.update(3);
    net.settle();
    let (author, zero) = (net.id(3), net.id(0));
    let mut thief = stolen;
    let (user, group) = thief.inside().unwrap();
    let peer = KnownUser { id: zero, index: group.membership.index(&zero).unwrap() };
    let mut context = Context { rng: &mut net.rng, directory: &net.directory, confirm_inviter: &|_| true };
    let mut env = Env::new(user, &mut context);
    for number in [group.number, group.number + 1, group.number + 2] {
        group.number = number;
        group.ask(peer, &mut env).unwrap();
    }
    let forged = core::mem::take(&mut env.outgoing);
    assert_eq!(forged.len(), 3);
    let group = net.group;
    for message in forged {
        let incoming = Incoming { group, author, bytes: &message.bytes };
        let mut context = Context { rng: &mut net.rng, directory: &net.directory, confirm_inviter: &|_| true };
        // It was valid for the number of the update, and so shows that somebody has the key.
        let received = net.users[0].0.receive_one(&incoming, &mut context).unwrap_or_default();
        assert!(received.events.iter().all(|event| *event == Event::Equivocation { by: author }));
        let three = net.index(0, 3);
        assert!(!net.group(0).lacking.contains(three));
    }
    // The member itself can.
    net.ask(3, 0);
    net.settle();
    let three = net.index(0, 3);
    assert!(net.group(0).lacking.contains(three));
}

#[test]
fn the_seed_after_a_lost_one_is_encrypted_to_the_key_that_asked() {
    let mut net = Net::new(4, 4, 55);
    net.lose_seed(1, 3);
    let update = net.update(1)[0];
    let answer = net.carry(&[update], 3);
    assert!(!net.says_none(answer[0]));
    // It opens a channel, with no prekey: all ciphertexts are as long as warm ones.
    let body = Envelope::decode(&net.sent[update].2).unwrap().body;
    let warm = warm_len(Rules::Corrected);
    let expected = DIGEST_LEN + 3 * warm + DIGEST_LEN + HANDLE_LEN + warm;
    assert_eq!(body.len(), expected);
}
