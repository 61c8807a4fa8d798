//! Members in a room whose messages all arrive in one order.

use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Event, Incoming, Member, NewUser, Outgoing, Received, Recipients};
use rand_core::{TryCryptoRng, TryRng};

use crate::user::OpenMls;

/// The implementation draws its own randomness.
struct Unused;

impl TryRng for Unused {
    type Error = core::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        panic!("the harness's randomness is used")
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        panic!("the harness's randomness is used")
    }
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
        panic!("the harness's randomness is used")
    }
}

impl TryCryptoRng for Unused {}

struct Room {
    backend: OpenMls,
    directory: InMemoryDirectory,
    users: Vec<Box<dyn Member>>,
    group: Option<GroupId>,
}

impl Room {
    fn of(backend: OpenMls, users: usize) -> Self {
        let directory = InMemoryDirectory::default();
        let mut members = Vec::new();
        for _ in 0..users {
            let NewUser { id, member, bundle, one_time } = backend.new_user(1, &mut Unused);
            directory.publish(id, bundle, one_time);
            members.push(member);
        }
        Self { backend, directory, users: members, group: None }
    }

    /// A group of the first `size` users.
    fn created(backend: OpenMls, size: usize, users: usize) -> Self {
        let mut room = Self::of(backend, users);
        let others: Vec<_> = room.users[1..size].iter().map(|user| user.id()).collect();
        let sent = room.call(0, |user, context| user.create(&others, context)).unwrap();
        room.deliver(0, &sent);
        room
    }

    fn id(&self, user: usize) -> MemberId {
        self.users[user].id()
    }

    fn call<T>(&mut self, user: usize, call: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> T) -> T {
        let mut context =
            Context { rng: &mut Unused, directory: &self.directory, confirm_inviter: &|_: &MemberId| true };
        let result = call(&mut *self.users[user], &mut context);
        self.group = self.group.or(self.users[user].group());
        result
    }

    fn receive(&mut self, user: usize, author: MemberId, bytes: &[u8]) -> Result<Received, Error> {
        let group = self.group.unwrap();
        self.call(user, |member, context| member.receive_one(&Incoming { group, author, bytes }, context))
    }

    /// Hands messages to all that they are for, the author included, and then a second time, which has no effect. Returns the
    /// events of each user.
    fn deliver(&mut self, author: usize, sent: &[Outgoing]) -> Vec<Vec<Event>> {
        let from = self.id(author);
        let mut events = vec![Vec::new(); self.users.len()];
        for Outgoing { to, bytes, .. } in sent {
            for (user, events) in events.iter_mut().enumerate() {
                if *to == Recipients::Everyone || *to == Recipients::One(self.id(user)) {
                    let received = self.receive(user, from, bytes);
                    if self.users[user].group().is_none() {
                        // Nothing for somebody who is not invited.
                        assert_eq!(received.unwrap_or_default(), Received::default());
                        continue;
                    }
                    events.extend(received.unwrap().events);
                    let state = self.users[user].export();
                    assert_eq!(self.receive(user, from, bytes), Ok(Received::default()));
                    assert!(self.users[user].export() == state);
                }
            }
        }
        events
    }

    fn run(
        &mut self,
        user: usize,
        call: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) -> Vec<Vec<Event>> {
        let sent = self.call(user, call).unwrap();
        self.deliver(user, &sent)
    }

    /// Each of them says something, and all others read it.
    fn converse(&mut self, members: &[usize]) {
        for &speaker in members {
            let from = self.id(speaker);
            let events = self.run(speaker, |user, context| user.send(b"hello", context));
            let message = Event::Message { from, plaintext: b"hello".to_vec() };
            for &reader in members {
                assert_eq!(events[reader].contains(&message), reader != speaker, "{speaker} {reader}");
            }
        }
        let shown = self.users[members[0]].fingerprints();
        let mut ids: Vec<_> = members.iter().map(|user| self.id(*user)).collect();
        ids.sort_unstable();
        for &user in members {
            assert_eq!(self.users[user].members(), ids);
            assert_eq!(self.users[user].fingerprints(), shown);
            let state = self.users[user].export();
            assert!(self.backend.restore(&state).unwrap().export() == state);
            self.users[user] = self.users[user].duplicate();
            assert!(self.users[user].export() == state);
        }
    }
}

#[test]
fn members_agree_after_every_operation() {
    for backend in [OpenMls::Fresh, OpenMls::Full] {
        let mut room = Room::created(backend, 4, 5);
        let ids: Vec<_> = (0..5).map(|user| room.id(user)).collect();
        room.converse(&[0, 1, 2, 3]);
        let events = room.run(1, |user, context| user.update(context));
        assert_eq!(events[..4], vec![vec![Event::Updated { by: ids[1] }]; 4]);
        room.converse(&[0, 1, 2, 3]);
        let events = room.run(2, |user, context| user.add(&ids[4], context));
        assert_eq!(events[..4], vec![vec![Event::Added { by: ids[2], user: ids[4] }]; 4]);
        assert_eq!(events[4], [Event::Joined { inviter: ids[2] }]);
        room.converse(&[4, 0, 1, 2, 3]);
        let events = room.run(4, |user, context| user.remove(&ids[0], context));
        assert_eq!(events, vec![vec![Event::Removed { by: ids[4], user: ids[0] }]; 5]);
        assert_eq!(room.users[0].members(), []);
        room.converse(&[1, 2, 3, 4]);
    }
}

#[test]
fn a_commit_takes_effect_when_it_is_received_and_is_forgotten_when_another_one_is() {
    let mut room = Room::created(OpenMls::Fresh, 3, 3);
    let ids: Vec<_> = (0..3).map(|user| room.id(user)).collect();
    let shown = room.users[0].fingerprints();
    let lost = room.call(0, |user, context| user.remove(&ids[2], context)).unwrap();
    assert_eq!((room.users[0].members().len(), room.users[0].fingerprints()), (3, shown));
    let events = room.run(1, |user, context| user.update(context));
    assert_eq!(events[0], [Event::Updated { by: ids[1] }]);
    room.converse(&[0, 1, 2]);
    assert_eq!(room.receive(0, ids[0], &lost[0].bytes), Ok(Received::default()));
    // The others are in a later epoch.
    assert_eq!(room.receive(1, ids[0], &lost[0].bytes), Ok(Received::default()));
    // A second call takes the place of the first.
    let first = room.call(0, |user, context| user.update(context)).unwrap();
    let events = room.run(0, |user, context| user.remove(&ids[2], context));
    assert_eq!(events[1], [Event::Removed { by: ids[0], user: ids[2] }]);
    assert_eq!(room.receive(0, ids[0], &first[0].bytes), Ok(Received::default()));
    room.converse(&[0, 1]);
}

#[test]
fn what_is_refused_leaves_no_trace_and_the_genuine_message_still_counts() {
    let mut room = Room::created(OpenMls::Full, 3, 3);
    let ids: Vec<_> = (0..3).map(|user| room.id(user)).collect();
    room.converse(&[0, 1, 2]);
    for sent in [
        room.call(1, |user, context| user.send(b"hello", context)).unwrap(),
        room.call(1, |user, context| user.update(context)).unwrap(),
    ] {
        let bytes = &sent[0].bytes;
        let state = room.users[0].export();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(room.receive(0, ids[1], &altered).unwrap_or_default().events.is_empty());
        }
        assert_eq!(room.receive(0, ids[2], bytes), Err(Error::WrongAuthor));
        assert!(room.users[0].export() == state);
        assert_eq!(room.deliver(1, &sent)[0].len(), 1);
    }
}

#[test]
fn in_a_full_tree_everybody_updates_once() {
    let mut room = Room::created(OpenMls::Full, 3, 3);
    let kinds = |sent: &[Outgoing]| sent.iter().map(|it| it.kind).collect::<Vec<_>>();
    for (user, expected) in [(1, &["message", "commit"][..]), (1, &["message"]), (0, &["message"])] {
        let sent = room.call(user, |user, context| user.send(b"hello", context)).unwrap();
        assert_eq!(kinds(&sent), expected);
        room.deliver(user, &sent);
    }
}
