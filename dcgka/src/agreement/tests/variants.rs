//! What the rules keep out that the variant `published` leaves out: each hole is open in it, and closed otherwise.

use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::wire::envelope::{Draft, Envelope, Subject};

use super::Net;
use crate::agreement::seed::Seed;
use crate::agreement::state::Env;
use crate::dsgm::Stage;
use crate::messages::{Seeded, UPDATE};
use crate::rules::Rules;

#[test]
fn different_seeds_for_different_members_are_noticed_unless_as_published() {
    for (rules, nones) in [(Rules::Corrected, 2), (Rules::Published, 0)] {
        let mut net = Net::following(rules, 4, 4, 3);
        let places = net.act(1, |member, context| {
            let Stage::Inside(group) = &mut member.stage else { return Err(Error::Internal) };
            let env = &mut Env::new(&mut member.user, context);
            let number = group.next_number()?;
            let recipients = group.recipients(group.view(), group.me());
            let (one, other) = (Seed::generate(&group.id, number, env), Seed::generate(&group.id, number, env));
            let mut body = Seeded::encode_head(one.commitment(), recipients.len());
            group.send_seed(&one, &recipients[..1], number, env, &mut body);
            group.send_seed(&other, &recipients[1..], number, env, &mut body);
            let new_key = SigningKey::random(&mut *env.context.rng);
            group.broadcast(UPDATE, Subject::None, &body, Some(new_key), env)?;
            Ok(core::mem::take(&mut env.outgoing))
        });
        let answers: Vec<_> = [0, 2, 3].into_iter().flat_map(|user| net.deliver(&places, user)).collect();
        assert_eq!(answers.iter().filter(|place| net.says_none(**place)).count(), nones, "{rules:?}");
    }
}

#[test]
fn ciphertexts_under_the_key_of_a_thief_do_not_open_unless_as_published() {
    for (rules, opens) in [(Rules::Corrected, false), (Rules::Published, true)] {
        let mut net = Net::following(rules, 3, 3, 5);
        let author = net.id(1);
        // The thief has one signing key, and none of the author's other secrets. It puts a key of its own in the author's
        // place, and passes on what the author encrypts.
        let (stolen, thief) = (net.group(1).signing.clone(), SigningKey::random(&mut net.rng));
        let mut answers = Vec::new();
        for key in [&stolen, &thief] {
            let place = net.update(1)[0];
            let genuine = net.sent[place].2.clone();
            let Envelope { kind, number, body, .. } = Envelope::decode(&genuine).unwrap();
            let new_key = Some(thief.verification_key());
            let draft = Draft { kind, sender: author, number, subject: Subject::None, new_key, body };
            net.sent[place].2 = draft.sign(&net.group, author.handle(), None, key).0;
            answers.extend(net.deliver(&[place], 2));
        }
        assert!(!net.says_none(answers[0]), "what the stolen key has signed is authentic");
        assert_eq!(!net.says_none(answers[1]), opens, "{rules:?}");
    }
}
