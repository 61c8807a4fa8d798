//! The attacks that the variant `published` permits: each succeeds there, and fails under all rules.

use protocol::crypto::label;
use protocol::crypto::signature::SigningKey;
use protocol::member::{Context, Member as _};
use protocol::membership::KnownUser;
use protocol::wire::envelope::{Draft, Envelope, Subject};

use super::Net;
use crate::agreement::seed::Seed;
use crate::agreement::sender::Sender;
use crate::agreement::state::{ControlId, Env};
use crate::messages::{ADD_ACK, AddAck, Seeded, UPDATE};
use crate::rules::Rules;

#[test]
fn different_seeds_for_different_members_are_noticed_unless_as_published() {
    for (rules, nones) in [(Rules::Corrected, 2), (Rules::Published, 0), (Rules::LeanChannels, 2)] {
        let mut net = Net::following(rules, 4, 4, 3);
        let places = net.act(1, |member, context| {
            let (user, group) = member.inside()?;
            let env = &mut Env::new(user, context);
            let number = group.next_number()?;
            let recipients = group.recipients(group.view(), group.me());
            let (one, other) = (Seed::generate(env), Seed::generate(env));
            let commitment = one.commitment(&group.id, number, env);
            let mut body = Seeded::encode_head(commitment.as_ref(), recipients.len(), rules);
            let mut carrier = group.carrier(number);
            group.send_seed(&one, &recipients[..1], &mut carrier, env, &mut body);
            group.send_seed(&other, &recipients[1..], &mut carrier, env, &mut body);
            let new_key = SigningKey::random(&mut *env.context.rng);
            group.broadcast(UPDATE, Subject::None, &body, Some(new_key), env)?;
            Ok(core::mem::take(&mut env.outgoing))
        });
        let answers: Vec<_> = [0, 2, 3].into_iter().flat_map(|user| net.carry(&places, user)).collect();
        assert_eq!(answers.iter().filter(|place| net.says_none(**place)).count(), nones, "{rules:?}");
    }
}

#[test]
fn ciphertexts_under_the_key_of_a_thief_do_not_open_unless_as_published() {
    for (rules, opens) in [(Rules::Corrected, false), (Rules::Published, true), (Rules::LeanChannels, false)] {
        let mut net = Net::following(rules, 3, 3, 5);
        let author = net.id(1);
        // The thief has one signing key of the author, and no other secret. It replaces the author's next key by one of
        // its own, and passes on what the author encrypts.
        let (stolen, thief) = (net.group(1).signing.clone(), SigningKey::random(&mut net.rng));
        let mut answers = Vec::new();
        for key in [&stolen, &thief] {
            let place = net.update(1)[0];
            let genuine = net.sent[place].2.clone();
            let Envelope { kind, number, body, .. } = Envelope::decode(&genuine).unwrap();
            let new_key = Some(thief.verification_key());
            let draft = Draft { kind, sender: author, number, subject: Subject::None, new_key, body };
            net.sent[place].2 = draft.sign(&net.group, author.handle(), None, key).0;
            answers.extend(net.carry(&[place], 2));
        }
        assert!(!net.says_none(answers[0]), "what the stolen key has signed is authentic");
        assert_eq!(!net.says_none(answers[1]), opens, "{rules:?}");
    }
}

#[test]
fn an_accomplice_of_a_removed_member_learns_no_secret_unless_as_published() {
    for (rules, learns) in [(Rules::Corrected, false), (Rules::Published, true), (Rules::LeanChannels, false)] {
        let mut net = Net::following(rules, 4, 5, 6);
        net.remove(0, 3);
        net.settle_among(&[0, 1, 2]);
        let add = net.add(3, 4);
        net.carry(&add, 4);
        let answer = net.carry(&add, 1)[0];
        assert_eq!(learned_from(&mut net, answer, 1, 4), learns, "{rules:?}");
    }
}

/// Whether the answer to its add gives a user the secret of the member's next messages.
fn learned_from(net: &mut Net, answer: usize, member: usize, user: usize) -> bool {
    let bytes = net.sent[answer].2.clone();
    let Envelope { kind, number, body, .. } = Envelope::decode(&bytes).unwrap();
    if kind != ADD_ACK {
        return false;
    }
    let slot = AddAck::decode(body, net.users[0].0.rules()).unwrap().slot;
    let peer = KnownUser { id: net.id(member), index: net.index(user, member) };
    let mut context = Context { rng: &mut net.rng, directory: &net.directory, confirm_inviter: &|_| true };
    let (user, group) = net.users[user].0.inside().unwrap();
    let ratchet = group.decrypt_from(peer, (number, &peer.id.0), &slot, &mut Env::new(user, &mut context));
    let mut stolen = Sender { ratchet, chain: None };
    stolen.advance(label::ADD_STEP);
    reads(net, &mut stolen, member)
}

/// Whether the keys of this copy of a member open the member's next message.
fn reads(net: &mut Net, stolen: &mut Sender, member: usize) -> bool {
    let said = net.act(member, |member, context| member.send(b"secret", context));
    let bytes = net.sent[*said.last().unwrap()].2.clone();
    let Envelope { header, body, .. } = Envelope::decode(&bytes).unwrap();
    let key = stolen.chain.as_mut().map(|chain| chain.next_key());
    key.is_some_and(|key| key.open(body, header).is_ok())
}

#[test]
fn two_colluders_removed_by_different_members_read_nobody_unless_as_published() {
    for (rules, reads_on) in [(Rules::Corrected, false), (Rules::Published, true), (Rules::LeanChannels, false)] {
        let mut net = Net::following(rules, 5, 5, 7);
        let (one, other) = (net.remove(0, 3), net.remove(1, 4));
        let (one_ack, _) = (net.carry(&one, 2), net.carry(&other, 2));
        // Each colluder has the seed of the other's removal, and its own last state.
        net.carry(&[&one[..], &one_ack].concat(), 4);
        net.carry(&other, 3);
        let two = net.index(4, 2);
        let mut stolen = net.group(4).senders[two.to_usize()].clone();
        let (two, author) = (net.index(3, 2), net.index(3, 1));
        let number = Envelope::decode(&net.sent[other[0]].2).unwrap().number;
        let secret = net.group(3).pending[&ControlId { author, number }].secrets[&two].clone();
        stolen.advance(secret.expose());
        assert_eq!(reads(&mut net, &mut stolen, 2), reads_on, "{rules:?}");
    }
}
