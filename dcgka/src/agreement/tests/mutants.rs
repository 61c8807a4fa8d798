//! What holds only because of one rule, seen from inside: each test kills the mutant without that rule
//! (`scripts/mutants.sh`).

use protocol::crypto::hash::DIGEST_LEN;
use protocol::crypto::kdf;
use protocol::crypto::label;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::member::{Event, Rule};
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};

use super::Net;
use crate::agreement::state::ControlId;
use crate::messages::{MESSAGE, UPDATE};

fn number(net: &Net, place: usize) -> u32 {
    Envelope::decode(&net.sent[place].2).unwrap().number
}

#[test]
fn a_member_secret_goes_with_the_ack_that_uses_it() {
    let mut net = Net::new(4, 4, 20);
    let update = net.update(0);
    let answer = net.carry(&update, 1);
    net.carry(&update, 2);
    let control = ControlId { author: net.index(2, 0), number: number(&net, update[0]) };
    let (one, three) = (net.index(2, 1), net.index(2, 3));
    let kept = |net: &mut Net| net.group(2).pending[&control].secrets.keys().copied().collect::<Vec<_>>();
    let mut others = vec![one, three];
    others.sort_unstable();
    assert_eq!(kept(&mut net), others, "its own is used immediately");
    net.carry(&answer, 2);
    assert_eq!(kept(&mut net), [three]);
}

#[test]
fn the_first_secret_of_a_joiner_does_not_follow_from_the_secrets_after_its_add() {
    let mut net = Net::new(3, 4, 21);
    let add = net.add(0, 3);
    net.carry(&add, 1);
    let (adder, joiner) = (net.index(1, 0), net.index(1, 3));
    let control = ControlId { author: adder, number: number(&net, add[0]) };
    let secret = net.group(1).pending[&control].secrets[&joiner].clone();
    let sender = net.group(1).senders[adder.to_usize()].clone();
    for kept in [sender.ratchet.as_ref(), sender.chain.as_ref().map(|chain| chain.as_secret())] {
        let derived: Secret = kdf::derive(label::WELCOME_SECRET, &[0; DIGEST_LEN], kept.unwrap().expose(), &[]);
        assert!(derived != secret);
    }
}

#[test]
fn the_new_key_of_a_refused_message_takes_effect() {
    let mut net = Net::new(3, 3, 22);
    let (author, new_key) = (net.id(1), SigningKey::random(&mut net.rng));
    let (old_key, last) = (net.group(1).signing.clone(), net.group(1).number);
    let mut sign = |kind: Kind, after: u32, key: &SigningKey, announced: Option<&SigningKey>| {
        let (number, new_key) = (last + after, announced.map(SigningKey::verification_key));
        let draft = Draft { kind, sender: author, number, subject: Subject::None, new_key, body: &[] };
        net.sent.push((1, None, draft.sign(&net.group, author.handle(), None, key).0));
        net.sent.len() - 1
    };
    // An update without a seed; then anything that only the new key could have signed.
    let places = [sign(UPDATE, 1, &old_key, Some(&new_key)), sign(MESSAGE, 2, &new_key, None)];
    net.carry(&places, 2);
    let events = &net.users[2].2;
    let expected = [Event::Rejected { from: author, rule: Rule::Form }, Event::Undecryptable { from: author }];
    assert!(events.ends_with(&expected), "{events:?}");
}

/// No honest run leads here: a user outside a member's view does not know its ratchet. The rule holds nevertheless.
#[test]
fn an_add_steps_no_ratchet_of_a_member_whose_view_lacks_me() {
    let mut net = Net::new(3, 5, 23);
    let first = net.add(0, 3);
    net.carry(&first, 3);
    // Neither of these two knows of user 3.
    let second = net.add(1, 4);
    let answer = net.carry(&second, 2);
    let (adder, other) = (net.index(3, 1), net.index(3, 2));
    for (member, message) in [(adder, &second), (other, &answer)] {
        let known = Secret::random(&mut net.rng);
        net.group(3).senders[member.to_usize()].ratchet = Some(known.clone());
        net.carry(message, 3);
        assert!(net.group(3).senders[member.to_usize()].ratchet == Some(known));
    }
    let control = ControlId { author: adder, number: number(&net, second[0]) };
    assert!(net.group(3).pending[&control].secrets.is_empty());
}
