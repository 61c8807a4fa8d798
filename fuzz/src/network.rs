//! Honest users, and a network that brings everything to each of them in the order of sending, late or immediately.

use dcgka::Dcgka;
use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend as _, Context, Event, Incoming, Member, Outgoing, Received, Recipients};
use protocol::wire::envelope::{Kind, kind};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// The number of bytes by which a state may grow for each received message, in addition to twice the message's length.
const GROWTH: usize = 1024;
/// The kind of an acknowledgement that says `none`.
const ACK_NONE: Kind = Kind(6 | Kind::ACKNOWLEDGES);

/// A message on the network.
#[derive(Clone)]
pub struct Sent {
    pub author: MemberId,
    pub to: Option<MemberId>,
    pub bytes: Vec<u8>,
}

/// An honest user.
pub struct User {
    pub id: MemberId,
    pub member: Box<dyn Member>,
    pub events: Vec<Event>,
    /// It lacks a secret that others have, and may therefore not read everything.
    pub said_none: bool,
    /// It has its view of the group from a malicious user, or waits for a welcome that does not come.
    pub misled: bool,
    /// The number of sent messages that it has received.
    received: usize,
    /// The greatest length that its state may have, in bytes.
    bound: usize,
}

pub struct Network {
    pub backend: Dcgka,
    pub users: Vec<User>,
    pub directory: InMemoryDirectory,
    pub rng: ChaCha20Rng,
    pub sent: Vec<Sent>,
    pub group: GroupId,
}

impl Clone for User {
    fn clone(&self) -> Self {
        let (member, events) = (self.member.duplicate(), self.events.clone());
        Self { member, events, ..*self }
    }
}

impl Clone for Network {
    fn clone(&self) -> Self {
        let Self { backend, users, directory, rng, sent, group } = self;
        let (users, directory, rng) = (users.clone(), directory.clone(), rng.clone());
        Self { backend: *backend, users, directory, rng, sent: sent.clone(), group: *group }
    }
}

impl Network {
    /// This number of users with prekeys, in no group.
    pub fn new(backend: Dcgka, users: usize) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let directory = InMemoryDirectory::default();
        let new_user = |_| {
            let user = backend.new_user(4, &mut rng);
            directory.publish(user.id, user.bundle, user.one_time);
            let bound = user.member.export().len();
            let (events, said_none, misled, received) = (Vec::new(), false, false, 0);
            User { id: user.id, member: user.member, events, said_none, misled, received, bound }
        };
        let users = (0..users).map(new_user).collect();
        Self { backend, users, directory, rng, sent: Vec::new(), group: GroupId([0; protocol::id::GROUP_ID_LEN]) }
    }

    pub fn id(&self, user: usize) -> MemberId {
        self.users[user].id
    }

    /// Lets a user act, and sends the resulting messages.
    pub fn act(
        &mut self,
        user: usize,
        action: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) -> Result<(), Error> {
        let User { id, member, bound, .. } = &mut self.users[user];
        let mut context = Context { rng: &mut self.rng, directory: &self.directory, confirm_inviter: &|_| true };
        let before = member.export();
        match action(member.as_mut(), &mut context) {
            Ok(outgoing) => {
                // The state keeps keys for each recipient, and malicious members may have made the group larger.
                let sent: usize = outgoing.iter().map(|message| message.bytes.len()).sum();
                *bound += 2 * sent + GROWTH * outgoing.len();
                let id = *id;
                self.post(id, outgoing);
                Ok(())
            }
            Err(error) => {
                assert_ne!(error, Error::Internal, "a bug");
                assert!(member.export() == before, "a call that failed has changed the state");
                Err(error)
            }
        }
    }

    pub fn post(&mut self, author: MemberId, outgoing: Vec<Outgoing>) {
        self.sent.extend(outgoing.into_iter().map(|Outgoing { to, bytes, .. }| {
            let to = match to {
                Recipients::Everyone => None,
                Recipients::One(id) => Some(id),
            };
            Sent { author, to, bytes }
        }));
    }

    /// A user receives any bytes from a claimed author. An error must leave no trace, and the state must not grow
    /// faster than its input.
    pub fn receive(&mut self, user: usize, author: MemberId, bytes: &[u8]) -> Result<Received, Error> {
        let User { id, member, events, said_none, bound, .. } = &mut self.users[user];
        let mut context = Context { rng: &mut self.rng, directory: &self.directory, confirm_inviter: &|_| true };
        let before = member.export();
        let result = member.receive_one(&Incoming { group: self.group, author, bytes }, &mut context);
        let after = member.export();
        match &result {
            Ok(received) => {
                let sent: usize = received.outgoing.iter().map(|message| message.bytes.len()).sum();
                *bound += 2 * (bytes.len() + sent) + GROWTH * (1 + received.outgoing.len());
                *said_none |= received.outgoing.iter().any(|message| kind(&message.bytes) == Some(ACK_NONE));
                events.extend(received.events.iter().cloned());
                assert!(after.len() <= *bound, "the state has grown to {} bytes", after.len());
                let id = *id;
                self.post(id, received.outgoing.clone());
            }
            Err(error) => {
                assert_ne!(*error, Error::Internal, "a bug");
                assert!(after == before, "a message that was refused has changed the state");
            }
        }
        result
    }

    /// Brings everything that has been sent so far to a user. What honest users have sent is never refused, unless
    /// `split`.
    pub fn catch_up(&mut self, user: usize, split: bool) {
        while let Some(Sent { author, to, bytes }) = self.sent.get(self.users[user].received).cloned() {
            self.users[user].received += 1;
            let id = self.id(user);
            if author == id || to.is_some_and(|to| to != id) {
                continue;
            }
            let result = self.receive(user, author, &bytes);
            let honest = self.users.iter().any(|user| user.id == author && !user.misled);
            let excused = split || !honest || self.users[user].misled;
            assert!(result.is_ok() || excused, "an honest message is refused: {result:?}");
        }
    }

    pub fn settle(&mut self, split: bool) {
        while self.users.iter().any(|user| user.received < self.sent.len()) {
            for user in 0..self.users.len() {
                self.catch_up(user, split);
            }
        }
    }

    /// The honest users that are in the group.
    pub fn inside(&self) -> Vec<usize> {
        let inside = |user: &usize| !self.users[*user].misled && !self.users[*user].member.members().is_empty();
        (0..self.users.len()).filter(inside).collect()
    }

    fn agree(&self) {
        let members = |user: &usize| self.users[*user].member.members();
        let inside = self.inside();
        let agree = inside.windows(2).all(|pair| members(&pair[0]) == members(&pair[1]));
        assert!(agree, "honest members disagree on who is a member");
    }

    /// Checks that the honest members agree on who is a member and read each other, whatever the others have sent.
    pub fn check(&mut self) {
        self.settle(false);
        self.agree();
        // A message that has waited for one of these messages can still remove somebody.
        if let Some(user) = self.inside().last() {
            self.act(*user, |member, context| member.update(context)).expect("an update");
            self.settle(false);
        }
        for sender in self.inside() {
            if !self.inside().contains(&sender) {
                continue;
            }
            self.act(sender, |member, context| member.send(b"on and on", context)).expect("a message");
            self.settle(false);
            let (inside, from, plaintext) = (self.inside(), self.id(sender), b"on and on".to_vec());
            let message = Event::Message { from, plaintext };
            for reader in inside.iter().filter(|reader| **reader != sender && inside.contains(&sender)) {
                let User { events, said_none, .. } = &self.users[*reader];
                assert!(events.contains(&message) || *said_none, "user {reader} does not read user {sender}");
                let refused = |event: &Event| match event {
                    Event::Rejected { from: by, .. } | Event::Equivocation { by } => *by == from,
                    _ => false,
                };
                assert!(!events.iter().any(refused), "user {reader} refuses what user {sender} does");
            }
        }
        self.agree();
        for User { member, .. } in &self.users {
            let state = member.export();
            let restored = self.backend.restore(&state).expect("an export is restored");
            assert!(restored.export() == state, "a state changes when it is written and read");
        }
    }
}
