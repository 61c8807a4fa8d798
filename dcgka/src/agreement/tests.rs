//! What members keep and delete, and what a member must tolerate from another, seen from inside.

mod coalition;
mod commitments;
mod limits;
mod mutants;
mod scenarios;
mod variants;
mod way_back;

use std::collections::BTreeSet;

use protocol::crypto::signature::SigningKey;
use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Context, Event, Incoming, Member as _, Outgoing, Recipients};
use protocol::membership::MemberIndex;
use protocol::wire::envelope::Envelope;
use protocol::x3dh::PrekeySecrets;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::state::{ControlId, Group, User};
use crate::dsgm::{Dsgm, Stage};
use crate::messages::ACK_NONE;
use crate::rules::Rules;

struct Net {
    users: Vec<(Dsgm, BTreeSet<usize>, Vec<Event>)>,
    directory: InMemoryDirectory,
    rng: ChaCha20Rng,
    sent: Vec<(usize, Option<MemberId>, Vec<u8>)>,
    group: GroupId,
    /// The last state of each removed member.
    last_states: Vec<Dsgm>,
}

impl Net {
    /// A settled group of the first `founders` of `users`.
    fn new(founders: usize, users: usize, seed: u64) -> Self {
        Self::following(Rules::Corrected, founders, users, seed)
    }

    fn following(rules: Rules, founders: usize, users: usize, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let directory = InMemoryDirectory::default();
        let new_user = |_| {
            let identity = SigningKey::random(&mut rng);
            let id = MemberId(*identity.verification_key().as_bytes());
            let (prekeys, publication) = PrekeySecrets::generate(&identity, 16, &mut rng);
            directory.publish(id, publication.bundle, publication.one_time);
            let user = User { id, identity, prekeys, rules, stolen: false };
            (
                Dsgm::Active { user: Box::new(user), stage: Stage::Outside(Default::default()) },
                BTreeSet::new(),
                Vec::new(),
            )
        };
        let users = (0..users).map(new_user).collect();
        let mut net =
            Self { users, directory, rng, sent: Vec::new(), group: GroupId([0; 32]), last_states: Vec::new() };
        let others: Vec<_> = (1..founders).map(|user| net.id(user)).collect();
        net.act(0, |member, context| member.create(&others, context));
        net.group = net.users[0].0.group().unwrap();
        net.settle();
        net
    }

    fn id(&self, user: usize) -> MemberId {
        self.users[user].0.id()
    }

    fn post(&mut self, author: usize, outgoing: Vec<Outgoing>) -> Vec<usize> {
        let first = self.sent.len();
        self.sent.extend(outgoing.into_iter().map(|message| match message.to {
            Recipients::Everyone => (author, None, message.bytes),
            Recipients::One(id) => (author, Some(id), message.bytes),
        }));
        (first..self.sent.len()).collect()
    }

    fn act(
        &mut self,
        user: usize,
        action: impl FnOnce(&mut Dsgm, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) -> Vec<usize> {
        let mut context = Context { rng: &mut self.rng, directory: &self.directory, confirm_inviter: &|_| true };
        let outgoing = action(&mut self.users[user].0, &mut context).unwrap();
        self.post(user, outgoing)
    }

    fn update(&mut self, user: usize) -> Vec<usize> {
        self.act(user, |member, context| member.update(context))
    }

    fn add(&mut self, user: usize, other: usize) -> Vec<usize> {
        let id = self.id(other);
        self.act(user, |member, context| member.add(&id, context))
    }

    fn remove(&mut self, user: usize, other: usize) -> Vec<usize> {
        let id = self.id(other);
        self.act(user, |member, context| member.remove(&id, context))
    }

    fn carry(&mut self, places: &[usize], to: usize) -> Vec<usize> {
        let mut answers = Vec::new();
        for place in places {
            let (author, recipient, _) = self.sent[*place];
            if author == to || recipient.is_some_and(|id| id != self.id(to)) || !self.users[to].1.insert(*place) {
                continue;
            }
            let bytes = self.sent[*place].2.clone();
            let (group, author) = (self.group, self.id(author));
            let before = self.users[to].0.clone();
            let mut context = Context { rng: &mut self.rng, directory: &self.directory, confirm_inviter: &|_| true };
            let received =
                self.users[to].0.receive_one(&Incoming { group, author, bytes: &bytes }, &mut context).unwrap();
            self.users[to].2.extend(received.events);
            if before.present().is_some() && self.users[to].0.present().is_none() {
                self.last_states.push(before);
            }
            answers.extend(self.post(to, received.outgoing));
        }
        answers
    }

    fn settle(&mut self) {
        let everybody: Vec<_> = (0..self.users.len()).collect();
        self.settle_among(&everybody);
    }

    fn settle_among(&mut self, side: &[usize]) {
        loop {
            let before = self.sent.len();
            for user in side {
                let places: Vec<_> = (0..before).filter(|place| side.contains(&self.sent[*place].0)).collect();
                self.carry(&places, *user);
            }
            if self.sent.len() == before {
                break;
            }
        }
    }

    fn says_none(&self, place: usize) -> bool {
        Envelope::decode(&self.sent[place].2).unwrap().kind == ACK_NONE
    }

    fn group(&mut self, user: usize) -> &mut Group {
        match &mut self.users[user].0 {
            Dsgm::Active { stage: Stage::Inside(group), .. } => group,
            _ => panic!("user {user} is in no group"),
        }
    }

    fn index(&mut self, user: usize, other: usize) -> MemberIndex {
        let id = self.id(other);
        self.group(user).membership.index(&id).unwrap()
    }

    /// Lets all members say something, so that everybody knows from signed messages what they have acknowledged.
    fn sign_everything(&mut self, members: &[usize]) {
        self.settle();
        // Some may repair before they speak, and the others acknowledge that.
        for user in [members, members].concat() {
            if self.users[user].0.rules().tags_acks() {
                self.act(user, |member, context| member.send(b"signed", context));
                self.settle();
            }
        }
    }

    /// Checks that a settled group keeps only what its members need.
    #[track_caller]
    fn check_nothing_is_left(&mut self, members: &[usize]) {
        self.sign_everything(members);
        for user in members {
            let group = self.group(*user);
            assert!(group.pending.is_empty(), "user {user} waits for {:?}", group.pending.keys());
            assert!(group.taken.is_empty());
            let gone = |id: &MemberId| !group.membership.index(id).is_some_and(|member| group.view().contains(member));
            assert!(group.leaving.is_empty() && group.order.is_idle_but_for(gone));
            let me = group.me();
            for member in group.membership.everybody().filter(|member| *member != me) {
                let stays = group.view().contains(member);
                assert!(stays || group.retired.contains(member));
                assert!(stays || !group.two_party.contains_key(&member), "user {user} keeps a channel of {member:?}");
                assert_eq!(group.senders[member.to_usize()].ratchet.is_some(), stays);
            }
            assert!(group.two_party.values().all(|channel| channel.kept() <= 4), "user {user} keeps old keys");
        }
    }
}

#[test]
fn the_secret_of_a_member_that_says_none_is_deleted_immediately() {
    let mut net = Net::new(5, 5, 1);
    let (update, remove) = (net.update(3), net.remove(0, 3));
    net.carry(&update, 2);
    let control = ControlId { author: net.index(2, 3), number: 2 };
    let one = net.index(2, 1);
    net.carry(&remove, 2);
    assert!(net.group(2).pending[&control].secrets.contains_key(&one));
    let answers = net.carry(&[&remove[..], &update].concat(), 1);
    assert!(net.says_none(answers[1]));
    net.carry(&answers, 2);
    let pending = &net.group(2).pending[&control];
    assert!(!pending.waiting.is_empty() && !pending.secrets.contains_key(&one));
    net.check_nothing_is_left(&[0, 1, 2, 4]);
}

#[test]
fn a_settled_group_keeps_nothing_of_control_messages_and_of_removed_members() {
    for seed in 0..4 {
        let mut net = Net::new(6, 9, 10 + seed);
        for _ in 0..8 {
            net.update(0);
            net.update(5);
            net.settle();
        }
        net.check_nothing_is_left(&[0, 1, 2, 3, 4, 5]);
        // An accomplice, a user with one void add of two, mutual removes, and a joiner concurrent with all of it.
        net.remove(0, 3);
        if seed % 2 == 0 {
            net.settle_among(&[0, 1, 2, 4, 5]);
        }
        net.add(3, 6);
        net.add(3, 7);
        net.settle_among(&[3, 6, 7]);
        net.update(3);
        net.update(6);
        if seed / 2 == 0 {
            net.add(1, 7);
        }
        net.add(2, 8);
        net.remove(4, 5);
        net.remove(5, 4);
        net.update(1);
        net.check_nothing_is_left(&[0, 1, 2, 8]);
    }
}

#[test]
fn no_seed_is_taken_from_a_member_whose_removal_all_have_acknowledged() {
    let mut net = Net::new(4, 4, 2);
    net.remove(0, 3);
    net.settle_among(&[0, 1, 2]);
    let update = net.update(3);
    let three = net.index(1, 3);
    let answer = net.carry(&update, 1);
    assert!(net.says_none(answer[0]));
    assert!(!net.group(1).two_party.contains_key(&three));
    assert!(net.group(1).pending.values().all(|pending| pending.secrets.is_empty()));
}

#[test]
fn a_channel_heals_after_a_lost_key() {
    // The answer to a message without a ciphertext for the peer, such as an add, frees no key.
    for adds in [false, true] {
        let mut net = Net::new(3, 4, 4);
        for _ in 0..3 {
            net.update(0);
            net.settle();
        }
        // User 2 loses the key that the last message of user 0 brought.
        let zero = net.index(2, 0);
        net.group(2).two_party.get_mut(&zero).unwrap().lose_received();
        let update = net.update(0);
        let answer = net.carry(&update, 2);
        assert!(net.says_none(answer[0]));
        net.settle();
        if adds {
            net.add(0, 3);
            net.settle();
        }
        // Its own next message is encrypted to an earlier key, which user 0 must have kept.
        let update = net.update(2);
        let answer = net.carry(&update, 0);
        assert!(!net.says_none(answer[0]));
        net.settle();
        let update = net.update(0);
        let answer = net.carry(&update, 2);
        assert!(!net.says_none(answer[0]));
    }
}

#[test]
fn a_ciphertext_that_does_not_open_leaves_no_channel_behind() {
    for opens in [false, true] {
        // Otherwise its recipient asks with a fresh key for the channel.
        let mut net = Net::following(Rules::Published, 3, 3, 5);
        let (author, one) = (net.id(1), net.index(2, 1));
        let update = net.update(1);
        if !opens {
            // Without the author's bundle its first ciphertext cannot be opened.
            net.directory.publish(author, Vec::new(), Vec::new());
        }
        let answer = net.carry(&update, 2);
        assert_eq!(net.says_none(answer[0]), !opens);
        assert_eq!(net.group(2).two_party.contains_key(&one), opens);
    }
}

/// A member is removed here before another's add of it arrives, which it will never acknowledge.
#[test]
fn nothing_waits_for_a_removed_member_that_another_member_adds() {
    for order in 0..32 {
        let taken = |bit: u32| order & 1 << bit != 0;
        let mut net = Net::new(2, 4, 77);
        let first = net.add(0, 2);
        if taken(4) {
            net.settle();
        }
        let (second, removed) = (net.add(0, 3), net.remove(0, 3));
        let mut places = first.clone();
        places.extend(taken(0).then_some(&second).into_iter().flatten());
        places.extend(taken(1).then_some(&removed).into_iter().flatten());
        let answers = net.carry(&places, 2);
        if taken(2) {
            net.carry(&answers, 0);
        }
        if taken(3) {
            net.carry(&first, 1);
        }
        net.add(1, 3);
        net.remove(2, 1);
        net.settle();
        assert!([0, 2].into_iter().all(|user| net.group(user).pending.is_empty()), "order {order:b}");
    }
}
