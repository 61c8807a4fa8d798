//! Several users on a network. The test decides in which order messages arrive.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, each of which uses a part"
)]

pub mod counted;

use std::collections::BTreeSet;

use dcgka::Dcgka;
use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Event, Incoming, Member, Outgoing, Received, Recipients};
use protocol::wire::envelope::{self, Envelope, Kind};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// A message on the network.
#[derive(Clone)]
pub struct Sent {
    pub author: usize,
    pub to: Option<MemberId>,
    pub kind: &'static str,
    pub bytes: Vec<u8>,
}

pub struct World {
    pub users: Vec<User>,
    pub directory: InMemoryDirectory,
    pub sent: Vec<Sent>,
    pub group: GroupId,
}

pub struct User {
    pub id: MemberId,
    pub member: Box<dyn Member>,
    pub rng: ChaCha20Rng,
    /// Whether broadcasts reach it.
    pub online: bool,
    /// What it has received, by place in `sent`.
    pub received: BTreeSet<usize>,
    pub events: Vec<Event>,
}

impl World {
    /// Users with prekeys, in no group.
    pub fn new(users: usize, seed: u64) -> Self {
        Self::of(crate::VARIANT, users, seed)
    }

    /// The same with either variant.
    pub fn of(variant: Dcgka, users: usize, seed: u64) -> Self {
        let directory = InMemoryDirectory::default();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let users = (0..users)
            .map(|index| {
                let user = variant.new_user(64, &mut rng);
                directory.publish(user.id, user.bundle, user.one_time);
                User {
                    id: user.id,
                    member: user.member,
                    rng: ChaCha20Rng::seed_from_u64(seed ^ (index as u64 + 1) << 32),
                    online: false,
                    received: BTreeSet::new(),
                    events: Vec::new(),
                }
            })
            .collect();
        Self { users, directory, sent: Vec::new(), group: GroupId([0; 32]) }
    }

    /// A settled group of the first `members` of `users`, which user 0 has created.
    pub fn with_group(members: usize, users: usize, seed: u64) -> Self {
        Self::with_group_of(crate::VARIANT, members, users, seed)
    }

    /// The same with either variant.
    pub fn with_group_of(variant: Dcgka, members: usize, users: usize, seed: u64) -> Self {
        let mut world = Self::of(variant, users, seed);
        world.create(0, &(1..members).collect::<Vec<_>>());
        world.settle();
        world
    }

    pub fn id(&self, user: usize) -> MemberId {
        self.users[user].id
    }

    pub fn index(&self, id: &MemberId) -> usize {
        self.users.iter().position(|user| user.id == *id).unwrap()
    }

    /// Lets a user act; returns the places of what it sent.
    pub fn act(
        &mut self,
        user: usize,
        action: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) -> Result<Vec<usize>, Error> {
        let User { member, rng, .. } = &mut self.users[user];
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        let outgoing = action(member.as_mut(), &mut context)?;
        Ok(self.post(user, outgoing))
    }

    fn post(&mut self, author: usize, outgoing: Vec<Outgoing>) -> Vec<usize> {
        let first = self.sent.len();
        for Outgoing { to, kind, bytes } in outgoing {
            let to = match to {
                Recipients::Everyone => None,
                Recipients::One(id) => Some(id),
            };
            self.sent.push(Sent { author, to, kind, bytes });
        }
        (first..self.sent.len()).collect()
    }

    pub fn create(&mut self, user: usize, others: &[usize]) -> Vec<usize> {
        let ids: Vec<_> = others.iter().map(|other| self.id(*other)).collect();
        let sent = self.act(user, |member, context| member.create(&ids, context)).unwrap();
        self.group = self.users[user].member.group().unwrap();
        for user in others.iter().chain([&user]) {
            self.users[*user].online = true;
        }
        sent
    }

    pub fn add(&mut self, user: usize, other: usize) -> Vec<usize> {
        let id = self.id(other);
        self.users[other].online = true;
        self.act(user, |member, context| member.add(&id, context)).unwrap()
    }

    pub fn remove(&mut self, user: usize, other: usize) -> Vec<usize> {
        let id = self.id(other);
        self.act(user, |member, context| member.remove(&id, context)).unwrap()
    }

    pub fn update(&mut self, user: usize) -> Vec<usize> {
        self.act(user, |member, context| member.update(context)).unwrap()
    }

    pub fn say(&mut self, user: usize, text: &str) -> Vec<usize> {
        self.act(user, |member, context| member.send(text.as_bytes(), context)).unwrap()
    }

    /// Carries a message to a user, even if it has received it before. Returns what the user sends.
    pub fn carry(&mut self, place: usize, to: usize) -> Vec<usize> {
        let (received, sent) = self.try_carry(place, to);
        let received = received.unwrap_or_else(|error| panic!("message {place} at user {to}: {error}"));
        self.users[to].events.extend(received.events);
        sent
    }

    /// The same if the user may refuse it.
    pub fn try_carry(&mut self, place: usize, to: usize) -> (Result<Received, Error>, Vec<usize>) {
        let Sent { author, bytes, .. } = self.sent[place].clone();
        let result = self.receive(author, &bytes, to);
        self.users[to].received.insert(place);
        let outgoing = result.as_ref().map(|received| received.outgoing.clone()).unwrap_or_default();
        (result, self.post(to, outgoing))
    }

    /// Carries any bytes to a user, from a claimed author.
    pub fn receive(&mut self, author: usize, bytes: &[u8], to: usize) -> Result<Received, Error> {
        let author = self.id(author);
        let User { member, rng, .. } = &mut self.users[to];
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        member.receive_one(&Incoming { group: self.group, author, bytes }, &mut context)
    }

    pub fn is_for(&self, place: usize, user: usize) -> bool {
        let sent = &self.sent[place];
        sent.author != user && sent.to.map_or(self.users[user].online, |id| id == self.id(user))
    }

    /// Carries everything sent so far to one user.
    pub fn catch_up(&mut self, user: usize) {
        for place in 0..self.sent.len() {
            if self.is_for(place, user) && !self.users[user].received.contains(&place) {
                self.carry(place, user);
            }
        }
    }

    /// What has been sent to a user and has not reached it, in the order of sending.
    pub fn in_transit(&self, user: usize) -> Vec<usize> {
        let arrives = |place: &usize| self.is_for(*place, user) && !self.users[user].received.contains(place);
        (0..self.sent.len()).filter(arrives).collect()
    }

    /// Carries everything to everybody until nothing is in transit.
    pub fn settle(&mut self) {
        self.settle_among(&(0..self.users.len()).collect::<Vec<_>>());
    }

    /// The same on one side of a partition.
    pub fn settle_among(&mut self, side: &[usize]) {
        loop {
            let before = self.sent.len();
            for user in side {
                for place in self.in_transit(*user) {
                    if side.contains(&self.sent[place].author) {
                        self.carry(place, *user);
                    }
                }
            }
            if self.sent.len() == before {
                break;
            }
        }
    }

    /// The kinds of messages, in order.
    pub fn kinds(&self, places: &[usize]) -> Vec<&'static str> {
        places.iter().map(|place| self.sent[*place].kind).collect()
    }

    /// The body of a message.
    pub fn body(&self, place: usize) -> &[u8] {
        Envelope::decode(&self.sent[place].bytes).unwrap().body
    }

    /// Whether a user is in the group in its own view.
    pub fn is_inside(&self, user: usize) -> bool {
        !self.users[user].member.members().is_empty()
    }

    /// The members in a user's view.
    pub fn members(&self, user: usize) -> Vec<usize> {
        let mut members: Vec<_> = self.users[user].member.members().iter().map(|id| self.index(id)).collect();
        members.sort_unstable();
        members
    }

    /// Checks that exactly these are members in the view of each of them, that each reads what each sends, and that
    /// nobody else does.
    #[track_caller]
    pub fn check(&mut self, members: &[usize]) {
        for user in members {
            assert_eq!(self.members(*user), members, "as user {user} sees it");
        }
        for round in 0..2 {
            for sender in members {
                let text = format!("round {round} from {sender} after {}", self.sent.len());
                self.say(*sender, &text);
                self.settle();
                for reader in 0..self.users.len() {
                    let entitled = members.contains(&reader) && reader != *sender;
                    assert_eq!(self.has_read(reader, *sender, &text), entitled, "user {reader} reads `{text}`");
                }
            }
        }
        let prints: Vec<_> = members.iter().map(|user| self.users[*user].member.fingerprints().unwrap()).collect();
        assert!(prints.windows(2).all(|pair| pair[0] == pair[1]), "fingerprints differ");
        assert_eq!(prints[0].len(), members.len());
    }

    pub fn has_read(&self, reader: usize, sender: usize, text: &str) -> bool {
        let from = self.id(sender);
        let message = Event::Message { from, plaintext: text.as_bytes().to_vec() };
        self.users[reader].events.contains(&message)
    }
}

/// Bytes of a commitment.
pub const COMMITMENT: usize = 32;
/// Bytes of a slot encrypted to prekeys.
pub const COLD: usize = 153;
/// Bytes of a slot encrypted to a key of the channel.
pub const WARM: usize = 149;

/// Bytes of a body with a commitment, this many slots encrypted to prekeys, and this many encrypted to keys of channels.
pub fn slots(cold: usize, warm: usize) -> usize {
    match is_lean() {
        true => COMMITMENT + 64 + cold * 85 + warm * 49,
        false => COMMITMENT + cold * COLD + warm * WARM,
    }
}

/// Whether the users of the test follow the leanest form unless it says otherwise.
pub fn is_lean() -> bool {
    crate::VARIANT.description().variant == "lean"
}

const ACK_NONE: Kind = Kind(0x86);

pub fn says_none(world: &World, place: usize) -> bool {
    envelope::kind(&world.sent[place].bytes) == Some(ACK_NONE)
}

/// Carries messages to several users in this order. Returns everything that they send.
pub fn carry(world: &mut World, places: &[&[usize]], to: &[usize]) -> Vec<usize> {
    let mut sent = Vec::new();
    for user in to {
        for place in places.iter().copied().flatten() {
            if world.is_for(*place, *user) {
                sent.extend(world.carry(*place, *user));
            }
        }
    }
    sent
}

pub fn removed_by(world: &World, user: usize, by: usize, whom: usize) -> bool {
    world.users[user].events.contains(&Event::Removed { by: world.id(by), user: world.id(whom) })
}

/// How many events report to a user that another was added.
pub fn times_added(world: &World, user: usize, whom: usize) -> usize {
    let whom = world.id(whom);
    let events = world.users[user].events.iter();
    events.filter(|event| matches!(event, Event::Added { user, .. } if *user == whom)).count()
}

pub fn rejections(world: &World) -> usize {
    let events = world.users.iter().flat_map(|user| &user.events);
    events.filter(|event| matches!(event, Event::Rejected { .. })).count()
}
