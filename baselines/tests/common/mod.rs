//! Several users on a network. The test decides in which order messages reach them.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers for tests, each of which uses some of them"
)]

use std::collections::BTreeSet;

use baselines::{Pairwise, SenderKeys};
use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Event, Incoming, Member, Outgoing, Received, Recipients, Rule};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub type Variant = &'static dyn Backend;

pub const PAIRWISE: Variant = &Pairwise;
pub const EAGER: Variant = &SenderKeys::EAGER;
pub const LAZY: Variant = &SenderKeys::LAZY;
pub const PCS: Variant = &SenderKeys::PCS;
pub const ALL: [Variant; 4] = [PAIRWISE, EAGER, LAZY, PCS];

/// What a message begins with when its number has one byte: version, kind, sender, number.
pub const HEADER: usize = 11;

/// A message on the network.
#[derive(Clone, Debug)]
pub struct Sent {
    pub author: usize,
    pub to: BTreeSet<usize>,
    pub kind: &'static str,
    pub bytes: Vec<u8>,
}

/// An application message.
#[derive(Clone, Debug)]
pub struct Said {
    pub author: usize,
    pub text: String,
    /// The other members, as the author knew them.
    pub to: BTreeSet<usize>,
}

pub struct World {
    pub variant: Variant,
    pub users: Vec<User>,
    pub directory: InMemoryDirectory,
    pub sent: Vec<Sent>,
    pub said: Vec<Said>,
    pub group: GroupId,
}

pub struct User {
    pub id: MemberId,
    pub member: Box<dyn Member>,
    pub rng: ChaCha20Rng,
    /// The messages that it has received, by their place in `sent`.
    pub received: BTreeSet<usize>,
    /// Those of them that it has not refused.
    pub accepted: BTreeSet<usize>,
    pub events: Vec<Event>,
}

impl World {
    /// This many users, with prekeys but in no group.
    pub fn new(variant: Variant, users: usize, seed: u64) -> Self {
        Self::with_prekeys(variant, users, 16, seed)
    }

    pub fn with_prekeys(variant: Variant, users: usize, one_time: usize, seed: u64) -> Self {
        let directory = InMemoryDirectory::default();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let users = (0..users)
            .map(|index| {
                let user = variant.new_user(one_time, &mut rng);
                directory.publish(user.id, user.bundle, user.one_time);
                User {
                    id: user.id,
                    member: user.member,
                    rng: ChaCha20Rng::seed_from_u64(seed ^ (index as u64 + 1) << 32),
                    received: BTreeSet::new(),
                    accepted: BTreeSet::new(),
                    events: Vec::new(),
                }
            })
            .collect();
        Self { variant, users, directory, sent: Vec::new(), said: Vec::new(), group: GroupId([0; 32]) }
    }

    /// The first `members` of `users` are in a group that user 0 has created. All messages have arrived.
    pub fn with_group(variant: Variant, members: usize, users: usize, seed: u64) -> Self {
        let mut world = Self::new(variant, users, seed);
        world.create(&(1..members).collect::<Vec<_>>());
        world.settle();
        world
    }

    /// An independent copy of everything.
    pub fn fork(&self) -> Self {
        let users = self.users.iter().map(|user| User {
            id: user.id,
            member: user.member.duplicate(),
            rng: user.rng.clone(),
            received: user.received.clone(),
            accepted: user.accepted.clone(),
            events: user.events.clone(),
        });
        let (directory, sent, said) = (self.directory.clone(), self.sent.clone(), self.said.clone());
        Self { variant: self.variant, users: users.collect(), directory, sent, said, group: self.group }
    }

    pub fn id(&self, user: usize) -> MemberId {
        self.users[user].id
    }

    pub fn index(&self, id: &MemberId) -> usize {
        self.users.iter().position(|user| user.id == *id).unwrap()
    }

    /// Lets a user act. Returns the places of the messages that it sent.
    pub fn act(
        &mut self,
        user: usize,
        action: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) -> Result<Vec<usize>, Error> {
        let User { member, rng, .. } = &mut self.users[user];
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        let before = member.export();
        let result = action(member.as_mut(), &mut context);
        if result.is_err() {
            assert!(member.export() == before, "a refused call has changed the state");
        }
        Ok(self.post(user, result?))
    }

    fn post(&mut self, author: usize, outgoing: Vec<Outgoing>) -> Vec<usize> {
        let first = self.sent.len();
        for Outgoing { to, kind, bytes } in outgoing {
            let to = match to {
                Recipients::Everyone => self.others(author),
                Recipients::One(id) => [self.index(&id)].into(),
            };
            self.sent.push(Sent { author, to, kind, bytes });
        }
        (first..self.sent.len()).collect()
    }

    pub fn create(&mut self, others: &[usize]) -> Vec<usize> {
        let ids: Vec<_> = others.iter().map(|other| self.id(*other)).collect();
        let sent = self.act(0, |member, context| member.create(&ids, context)).unwrap();
        self.group = self.users[0].member.group().unwrap();
        sent
    }

    pub fn try_add(&mut self, user: usize, other: usize) -> Result<Vec<usize>, Error> {
        let id = self.id(other);
        self.act(user, |member, context| member.add(&id, context))
    }

    pub fn add(&mut self, user: usize, other: usize) -> Vec<usize> {
        self.try_add(user, other).unwrap()
    }

    pub fn try_remove(&mut self, user: usize, other: usize) -> Result<Vec<usize>, Error> {
        let id = self.id(other);
        self.act(user, |member, context| member.remove(&id, context))
    }

    pub fn remove(&mut self, user: usize, other: usize) -> Vec<usize> {
        self.try_remove(user, other).unwrap()
    }

    pub fn update(&mut self, user: usize) -> Vec<usize> {
        self.act(user, |member, context| member.update(context)).unwrap()
    }

    pub fn say(&mut self, author: usize, text: &str) -> Vec<usize> {
        let sent = self.act(author, |member, context| member.send(text.as_bytes(), context)).unwrap();
        let to = self.others(author);
        self.said.push(Said { author, text: text.to_owned(), to });
        sent
    }

    /// Hands a message to a user, which may have received it before. Returns the places of the messages that it sent.
    #[track_caller]
    pub fn deliver(&mut self, place: usize, to: usize) -> Vec<usize> {
        match self.try_deliver(place, to) {
            Ok(sent) => sent,
            Err(error) => panic!("message {place} ({}) at user {to}: {error}", self.sent[place].kind),
        }
    }

    /// As `deliver`, but the message may be refused.
    pub fn try_deliver(&mut self, place: usize, to: usize) -> Result<Vec<usize>, Error> {
        let Sent { author, bytes, .. } = self.sent[place].clone();
        self.users[to].received.insert(place);
        let received = self.receive(author, &bytes, to)?;
        self.users[to].accepted.insert(place);
        self.users[to].events.extend(received.events);
        Ok(self.post(to, received.outgoing))
    }

    /// Hands any bytes to a user, with a claimed author.
    pub fn receive(&mut self, author: usize, bytes: &[u8], to: usize) -> Result<Received, Error> {
        let author = self.id(author);
        let User { member, rng, .. } = &mut self.users[to];
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        member.receive_one(&Incoming { group: self.group, author, bytes }, &mut context)
    }

    /// Tries bytes out on a copy of a member. Returns the result, and whether the copy has changed.
    pub fn try_out(&self, author: usize, bytes: &[u8], to: usize) -> (Result<Received, Error>, bool) {
        let mut copy = self.users[to].member.duplicate();
        let mut rng = self.users[to].rng.clone();
        let mut context = Context { rng: &mut rng, directory: &self.directory, confirm_inviter: &|_| true };
        let message = Incoming { group: self.group, author: self.id(author), bytes };
        let result = copy.receive_one(&message, &mut context);
        (result, copy.export() != self.users[to].member.export())
    }

    /// Replaces a member by one that is restored from its export.
    pub fn restore(&mut self, user: usize) {
        let export = self.users[user].member.export();
        self.users[user].member = self.variant.restore(&export).unwrap();
        assert!(self.users[user].member.export() == export, "the restored member has another export");
    }

    /// Messages that have been sent to a user and have not reached it, in the order of sending.
    pub fn undelivered(&self, user: usize) -> Vec<usize> {
        let received = &self.users[user].received;
        (0..self.sent.len()).filter(|place| self.sent[*place].to.contains(&user) && !received.contains(place)).collect()
    }

    /// Loses messages on the way to a user.
    pub fn lose(&mut self, places: &[usize], user: usize) {
        self.users[user].received.extend(places);
    }

    /// Delivers all messages, until none are left.
    #[track_caller]
    pub fn settle(&mut self) {
        self.settle_among(&(0..self.users.len()).collect::<Vec<_>>());
    }

    /// As `settle`, but on one side of a partition.
    #[track_caller]
    pub fn settle_among(&mut self, side: &[usize]) {
        loop {
            let mut quiet = true;
            for user in side {
                for place in self.undelivered(*user) {
                    if side.contains(&self.sent[place].author) {
                        self.deliver(place, *user);
                        quiet = false;
                    }
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// The kinds of these messages, in the same order.
    pub fn kinds(&self, places: &[usize]) -> Vec<&'static str> {
        places.iter().map(|place| self.sent[*place].kind).collect()
    }

    /// The members in the view of a user. Empty if it is in no group.
    pub fn members(&self, user: usize) -> BTreeSet<usize> {
        self.users[user].member.members().iter().map(|id| self.index(id)).collect()
    }

    fn others(&self, user: usize) -> BTreeSet<usize> {
        let mut others = self.members(user);
        others.remove(&user);
        others
    }

    pub fn inside(&self) -> BTreeSet<usize> {
        (0..self.users.len()).filter(|user| !self.members(*user).is_empty()).collect()
    }

    pub fn has_read(&self, reader: usize, author: usize, text: &str) -> bool {
        let from = self.id(author);
        let message = Event::Message { from, plaintext: text.as_bytes().to_vec() };
        self.users[reader].events.contains(&message)
    }

    /// Checks that exactly these are the members in the view of each of them, and that what each sends is read by the
    /// others and by nobody else.
    #[track_caller]
    pub fn check(&mut self, members: &[usize]) {
        let expected: BTreeSet<usize> = members.iter().copied().collect();
        assert_eq!(self.inside(), expected, "the members");
        for user in members {
            assert_eq!(self.members(*user), expected, "the view of user {user}");
        }
        for sender in members {
            let text = format!("from {sender} after {}", self.sent.len());
            self.say(*sender, &text);
            self.settle();
            for reader in 0..self.users.len() {
                let entitled = expected.contains(&reader) && reader != *sender;
                assert_eq!(self.has_read(reader, *sender, &text), entitled, "user {reader} reads `{text}`");
            }
        }
        let prints: Vec<_> = members.iter().map(|user| self.users[*user].member.fingerprints()).collect();
        assert!(prints.windows(2).all(|pair| pair[0] == pair[1]), "fingerprints differ");
    }

    /// Checks that no message was rejected for breaking a rule, except messages of members that did not know of their
    /// removal.
    #[track_caller]
    pub fn check_no_rejections(&self) {
        for (user, state) in self.users.iter().enumerate() {
            for event in &state.events {
                let rejected = matches!(event, Event::Rejected { rule, .. } if *rule != Rule::AuthorNotAMember);
                assert!(!rejected, "{event:?} at user {user}");
            }
        }
    }
}
