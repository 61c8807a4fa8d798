//! An author that sends a member another secret than the one that the others know. If it commits to what it sends, the
//! others notice; if it commits to what the others know, the recipient does. Nobody but the author is lost.

use std::collections::BTreeSet;

use protocol::crypto::hash::Digest;
use protocol::crypto::label::{self, Label};
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SigningKey, VerificationKey};
use protocol::id::{GroupId, MemberId, MessageId};
use protocol::member::{Context, Event, Member as _};
use protocol::membership::KnownUser;
use protocol::wire::envelope::{Draft, Envelope, Subject};

use super::Net;
use super::coalition::user_of;
use crate::agreement::commitment::commit;
use crate::agreement::seed::Seed;
use crate::agreement::state::{ControlId, Env, Group};
use crate::dsgm::Dsgm;
use crate::messages::{self, ACK, Seeded, UPDATE};
use crate::rules::Rules;

const ALL: [usize; 5] = [0, 1, 2, 3, 4];
const LIAR: usize = 0;

/// What the liar commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CommitsTo {
    /// What it sends to its victim.
    Lie,
    /// What the others know.
    Truth,
}

const BOTH: [CommitsTo; 2] = [CommitsTo::Lie, CommitsTo::Truth];

fn lie() -> Secret {
    Secret::new([0x1e; 32])
}

impl CommitsTo {
    /// The liar's commitment in its message with this number.
    fn commitment(self, what: Label, truth: &Secret, number: u32, group: &Group, env: &Env<'_, '_>) -> Option<Digest> {
        let committed = if self == Self::Lie { lie() } else { truth.clone() };
        commit(what, &group.id, &MessageId { author: env.user.id, number }, &committed, env.user.rules)
    }
}

impl Net {
    /// Gives a message of the liar another body, which it encrypts and signs as it was `before` the message.
    fn forge(&mut self, before: &Dsgm, place: usize, body: impl FnOnce(&mut Group, &mut Env<'_, '_>, u32) -> Vec<u8>) {
        let genuine = self.sent[place].2.clone();
        let Envelope { kind, number, subject, new_key, .. } = Envelope::decode(&genuine).unwrap();
        let ids: Vec<MemberId> = self.users.iter().map(|(member, ..)| member.id()).collect();
        let new_key = new_key.map(|key| VerificationKey::from_bytes(&key).unwrap());
        let named = subject.map(|handle| *ids.iter().find(|id| id.handle() == handle).unwrap());
        let mut liar = before.clone();
        let mut context = Context { rng: &mut self.rng, directory: &self.directory, confirm_inviter: &|_| true };
        let (user, group) = liar.inside().unwrap();
        let mut env = Env::new(user, &mut context);
        let body = body(group, &mut env, number);
        let draft = Draft { kind, sender: env.user.id, number, subject: named, new_key, body: &body };
        self.sent[place].2 = draft.sign(&group.id, env.user.id.handle(), subject.name(), &group.signing).0;
    }

    /// The liar adds a user and sends it another ratchet than its own.
    fn add_lying(&mut self, joiner: usize, commits_to: CommitsTo) -> Vec<usize> {
        let joiner = self.id(joiner);
        self.act(LIAR, |member, context| {
            let (user, group) = member.inside()?;
            let mut env = Env::new(user, context);
            let (truth, number) = (group.ratchet(group.me()).unwrap(), group.next_number()?);
            let commitment = commits_to.commitment(label::RATCHET_COMMITMENT, &truth, number, group, &env);
            let key = VerificationKey::from_bytes(&joiner.0).unwrap();
            group.send_add(joiner, key, &lie(), commitment, &mut env)?;
            Ok(env.outgoing)
        })
    }

    /// The liar updates and returns another ratchet than its own.
    fn return_lying(&mut self, victim: usize, commits_to: CommitsTo) {
        let victim = self.peer(LIAR, victim);
        self.act(LIAR, |member, context| {
            let (user, group) = member.inside()?;
            let env = &mut Env::new(user, context);
            let (truth, number) = (group.ratchet(group.me()).unwrap(), group.next_number()?);
            let recipients = group.recipients(group.view(), group.me());
            let seed = Seed::generate(env);
            let (commitment, rules) = (seed.commitment(&group.id, number, env), env.user.rules);
            let mut body = Seeded::encode_head(commitment.as_ref(), recipients.len(), rules);
            let mut carrier = group.carrier(number);
            group.send_seed(&seed, &recipients, &mut carrier, env, &mut body);
            let (what, at) = (label::RATCHET_COMMITMENT, body.len());
            group.put_copies(what, &lie(), &[victim], &mut carrier, env, &mut body)?;
            let commitment = commits_to.commitment(what, &truth, number, group, env).unwrap();
            body[at..at + 32].copy_from_slice(commitment.as_bytes());
            group.lacking.remove(victim.index);
            group.apply_seed(Some(seed), ControlId { author: group.me(), number }, &recipients);
            let new_key = SigningKey::random(&mut *env.context.rng);
            group.broadcast(UPDATE, Subject::None, &body, Some(new_key), env)?;
            Ok(core::mem::take(&mut env.outgoing))
        });
    }

    fn peer(&mut self, user: usize, other: usize) -> KnownUser {
        KnownUser { id: self.id(other), index: self.index(user, other) }
    }

    fn kinds(&self, from: usize) -> Vec<&'static str> {
        let kind = |bytes: &[u8]| messages::name(Envelope::decode(bytes).unwrap().kind);
        self.sent[from..].iter().map(|(_, _, bytes)| kind(bytes)).collect()
    }

    /// Whether a member will return its ratchet to another one.
    pub(super) fn lacking(&mut self, user: usize, other: usize) -> bool {
        let other = self.index(user, other);
        self.group(user).lacking.contains(other)
    }

    /// How many messages ask for a ratchet.
    pub(super) fn asks(&self) -> usize {
        self.kinds(0).into_iter().filter(|kind| *kind == "ask").count()
    }
}

/// Who reads whom, as pairs of reader and sender.
pub(super) fn readings(net: &mut Net, members: &[usize]) -> BTreeSet<(usize, usize)> {
    let mut read = BTreeSet::new();
    for sender in members {
        let text = format!("from {sender} after {}", net.sent.len());
        net.act(*sender, |member, context| member.send(text.as_bytes(), context));
        net.settle();
        let message = Event::Message { from: net.id(*sender), plaintext: text.into_bytes() };
        let readers = members.iter().filter(|reader| net.users[**reader].2.contains(&message));
        read.extend(readers.map(|reader| (*reader, *sender)));
    }
    read
}

pub(super) fn all_but(members: &[usize], lost: &[(usize, usize)]) -> BTreeSet<(usize, usize)> {
    let pairs = members.iter().flat_map(|reader| members.iter().map(move |sender| (*reader, *sender)));
    pairs.filter(|pair| pair.0 != pair.1 && !lost.contains(pair)).collect()
}

/// The users that have noticed that the liar sent somebody another secret than they know.
fn noticed(net: &Net) -> Vec<usize> {
    let inconsistent = |event: &Event| matches!(event, Event::Inconsistent { by } if user_of(net, by) == LIAR);
    (0..net.users.len()).filter(|user| net.users[*user].2.iter().any(inconsistent)).collect()
}

#[test]
fn a_joiner_with_another_ratchet_than_the_adders_is_lost_to_the_adder_alone() {
    for commits_to in BOTH {
        let mut net = Net::new(4, 5, 40);
        net.add_lying(4, commits_to);
        net.settle();
        let (sees, asks) = match commits_to {
            CommitsTo::Lie => (vec![1, 2, 3], 3),
            CommitsTo::Truth => (vec![4], 0),
        };
        assert_eq!((noticed(&net), net.asks()), (sees, asks), "{commits_to:?}");
        let asked: Vec<_> = (0..4).filter(|user| net.lacking(*user, 4)).collect();
        assert_eq!(asked, if commits_to == CommitsTo::Truth { &[LIAR][..] } else { &[] });
        // In either case the joiner knows that some members do not know its secret, and updates before it speaks.
        let before = net.sent.len();
        net.act(4, |member, context| member.send(b"hello", context));
        assert_eq!(net.kinds(before), ["update", "message"], "{commits_to:?}");
        net.settle();
        let heard = readings(&mut net, &ALL);
        match commits_to {
            // The liar itself has not told the joiner that it follows another ratchet.
            CommitsTo::Lie => assert_eq!(heard, all_but(&ALL, &[(4, LIAR), (LIAR, 4)])),
            CommitsTo::Truth => {
                assert_eq!(heard, all_but(&ALL, &[(4, LIAR)]));
                net.update(LIAR);
                net.settle();
                assert_eq!(readings(&mut net, &ALL), all_but(&ALL, &[]));
            }
        }
        net.remove(1, LIAR);
        net.settle();
        assert_eq!(readings(&mut net, &ALL[1..]), all_but(&ALL[1..], &[]), "{commits_to:?}");
    }
}

#[test]
fn a_member_that_is_added_again_with_another_ratchet_asks_the_second_adder() {
    for commits_to in BOTH {
        let mut net = Net::new(4, 5, 44);
        net.add(1, 4);
        net.settle_among(&[1, 2, 3, 4]);
        // The liar does not know that it is a member.
        let add = net.add_lying(4, commits_to);
        net.carry(&add, 4);
        let liar = net.index(4, LIAR);
        let taken = net.group(4).ratchet(liar);
        assert_eq!(taken.is_some(), commits_to == CommitsTo::Lie, "{commits_to:?}");
        net.settle();
        let (sees, asks) = match commits_to {
            CommitsTo::Lie => (vec![1, 2, 3], 3),
            CommitsTo::Truth => (vec![4], 1),
        };
        assert_eq!((noticed(&net), net.asks()), (sees, asks), "{commits_to:?}");
        // It does not have to wait for that: the liar answers the first add too.
        assert_eq!(readings(&mut net, &ALL), all_but(&ALL, &[]), "{commits_to:?}");
        let asked = net.lacking(LIAR, 4);
        assert_eq!(asked, commits_to == CommitsTo::Truth);
        net.remove(1, LIAR);
        net.settle();
        net.check_nothing_is_left(&ALL[1..]);
        assert_eq!(readings(&mut net, &ALL[1..]), all_but(&ALL[1..], &[]), "{commits_to:?}");
    }
}

#[test]
fn a_joiner_with_another_ratchet_of_an_old_member_loses_that_member_alone() {
    for commits_to in BOTH {
        let mut net = Net::new(4, 5, 41);
        let add = net.add(1, 4);
        let before = net.users[LIAR].0.clone();
        let answer = net.carry(&add, LIAR)[0];
        let joiner = net.peer(LIAR, 4);
        net.forge(&before, answer, |group, env, number| {
            let truth = group.ratchet(group.me()).unwrap();
            let mut body = Vec::new();
            let mut carrier = group.carrier(number);
            carrier.put_header(env, &mut body);
            group.encrypt_to(joiner, &lie(), &mut carrier, env, &mut body);
            let commitment = commits_to.commitment(label::RATCHET_COMMITMENT, &truth, number, group, env);
            body.extend(commitment.iter().flat_map(Digest::as_bytes));
            body
        });
        net.settle();
        loses_the_liar(&mut net, commits_to, &[1, 2, 3]);
    }
}

#[test]
fn a_joiner_with_another_forward_than_the_others_know_loses_its_author_alone() {
    for commits_to in BOTH {
        let mut net = Net::new(4, 5, 42);
        // User 1 does not know user 4.
        net.add(2, 4);
        net.settle_among(&[LIAR, 2, 3, 4]);
        let update = net.update(1);
        let (before, joiner) = (net.users[LIAR].0.clone(), net.peer(LIAR, 4));
        let answer = net.carry(&update, LIAR)[0];
        net.carry(&update, 2);
        let number = Envelope::decode(&net.sent[update[0]].2).unwrap().number;
        let (control, liar) = (ControlId { author: net.index(2, 1), number }, net.index(2, LIAR));
        let truth = net.group(2).pending[&control].secrets[&liar].clone();
        net.forge(&before, answer, |group, env, number| {
            let (what, mut body) = (label::MEMBER_SECRET_COMMITMENT, Vec::new());
            let mut carrier = group.carrier(number);
            group.put_copies(what, &lie(), &[joiner], &mut carrier, env, &mut body).unwrap();
            let commitment = commits_to.commitment(what, &truth, number, group, env).unwrap();
            body[..32].copy_from_slice(commitment.as_bytes());
            body
        });
        assert_eq!(Envelope::decode(&net.sent[answer].2).unwrap().kind, ACK);
        net.settle();
        loses_the_liar(&mut net, commits_to, &[1, 2, 3]);
    }
}

#[test]
fn a_member_that_is_returned_another_ratchet_does_not_get_its_author_back() {
    for commits_to in BOTH {
        let mut net = Net::new(5, 5, 43);
        net.lose_seed(3, 4);
        net.return_lying(4, commits_to);
        net.settle();
        let sees = if commits_to == CommitsTo::Lie { &[1, 2, 3][..] } else { &[4] };
        assert_eq!(noticed(&net), sees, "{commits_to:?}");
        for user in 1..4 {
            net.update(user);
            net.settle();
        }
        assert_eq!(readings(&mut net, &ALL), all_but(&ALL, &[(4, LIAR)]), "{commits_to:?}");
        // If the member has noticed, it has asked again.
        assert_eq!(net.asks(), usize::from(commits_to == CommitsTo::Truth));
        net.update(LIAR);
        net.settle();
        let lost = if commits_to == CommitsTo::Truth { &[][..] } else { &[(4, LIAR)] };
        assert_eq!(readings(&mut net, &ALL), all_but(&ALL, lost), "{commits_to:?}");
    }
}

#[test]
fn a_member_that_asks_without_need_takes_no_other_ratchet() {
    for commits_to in BOTH {
        let mut net = Net::new(5, 5, 45);
        net.ask(4, LIAR);
        net.settle();
        net.return_lying(4, commits_to);
        net.settle();
        let sees = if commits_to == CommitsTo::Lie { &[1, 2, 3, 4][..] } else { &[4] };
        assert_eq!(noticed(&net), sees, "{commits_to:?}");
        assert_eq!(readings(&mut net, &ALL), all_but(&ALL, &[]), "{commits_to:?}");
    }
}

#[test]
fn a_commitment_is_bound_to_the_message_and_to_what_it_carries() {
    let (group, author) = (GroupId([1; 32]), MemberId([2; 32]));
    let of = |what, group: GroupId, author, number, secret: [u8; 32]| {
        commit(what, &group, &MessageId { author, number }, &Secret::new(secret), Rules::Corrected).unwrap()
    };
    let what = label::RATCHET_COMMITMENT;
    let commitments = BTreeSet::from([
        of(what, group, author, 3, [4; 32]),
        of(label::SEED_COMMITMENT, group, author, 3, [4; 32]),
        of(label::MEMBER_SECRET_COMMITMENT, group, author, 3, [4; 32]),
        of(what, GroupId([5; 32]), author, 3, [4; 32]),
        of(what, group, MemberId([5; 32]), 3, [4; 32]),
        of(what, group, author, 5, [4; 32]),
        of(what, group, author, 3, [5; 32]),
    ]);
    assert_eq!(commitments.len(), 7);
}

/// A joiner holds a lie of the liar. The others notice what it commits to; otherwise the joiner does, and asks.
fn loses_the_liar(net: &mut Net, commits_to: CommitsTo, others: &[usize]) {
    let (sees, asks) = match commits_to {
        CommitsTo::Lie => (others, 0),
        CommitsTo::Truth => (&[4][..], 1),
    };
    assert_eq!((noticed(net), net.asks()), (sees.to_vec(), asks), "{commits_to:?}");
    assert_eq!(readings(net, &ALL), all_but(&ALL, &[(4, LIAR)]), "{commits_to:?}");
    net.update(LIAR);
    net.settle();
    if commits_to == CommitsTo::Lie {
        // The joiner does not know the key that the liar encrypts to now. So it asks everybody, the liar included.
        for user in [1, 2, 3, LIAR] {
            net.update(user);
            net.settle();
        }
    }
    assert_eq!(readings(net, &ALL), all_but(&ALL, &[]), "{commits_to:?}");
}
