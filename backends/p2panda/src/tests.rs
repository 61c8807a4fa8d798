//! What a peer's bytes can do: nothing if they are refused, and no panic in any case.

use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{Backend, Context, Incoming, Member, Outgoing, Received};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::user::P2panda;

const USERS: usize = 4;

struct World {
    members: Vec<Box<dyn Member>>,
    directory: InMemoryDirectory,
    rng: ChaCha20Rng,
    /// Everything that was sent, with its author.
    log: Vec<(usize, Vec<u8>)>,
}

fn alterations(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let step = (bytes.len() / 400).max(1);
    (0..bytes.len()).step_by(step).flat_map(move |at| {
        [1, 0x80].map(|mask| {
            let mut altered = bytes.to_vec();
            altered[at] ^= mask;
            altered
        })
    })
}

impl World {
    fn new(backend: P2panda) -> Self {
        let (directory, mut rng) = (InMemoryDirectory::default(), ChaCha20Rng::seed_from_u64(1));
        let users = (0..USERS).map(|_| backend.new_user(USERS, &mut rng));
        let members = users.map(|user| {
            directory.publish(user.id, user.bundle, user.one_time);
            user.member
        });
        Self { members: members.collect(), directory, rng, log: Vec::new() }
    }

    fn call<T>(&mut self, user: usize, call: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> T) -> T {
        let mut context = Context { rng: &mut self.rng, directory: &self.directory, confirm_inviter: &|_| true };
        call(&mut *self.members[user], &mut context)
    }

    fn receive(&mut self, user: usize, author: MemberId, bytes: &[u8]) -> Result<Received, Error> {
        let group = self.members[0].group().unwrap();
        self.call(user, |member, context| member.receive_one(&Incoming { group, author, bytes }, context))
    }

    /// Everybody gets altered copies of each message first.
    fn run(
        &mut self,
        user: usize,
        call: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) {
        let sent = self.call(user, call).unwrap();
        let mut under_way: Vec<_> = sent.into_iter().map(|sent| (user, sent.bytes)).collect();
        while !under_way.is_empty() {
            let (author, bytes) = under_way.remove(0);
            let id = self.members[author].id();
            for reader in (0..USERS).filter(|reader| *reader != author) {
                self.alter(reader, id, &bytes);
                let received = self.receive(reader, id, &bytes).unwrap();
                under_way.extend(received.outgoing.into_iter().map(|sent| (reader, sent.bytes)));
            }
            self.log.push((author, bytes));
        }
    }

    fn alter(&mut self, reader: usize, author: MemberId, bytes: &[u8]) {
        let genuine = self.members[reader].duplicate();
        let before = genuine.export();
        for altered in alterations(bytes) {
            if self.receive(reader, author, &altered).is_err() {
                assert_eq!(self.members[reader].export(), before, "a refused message has changed the state");
            }
            self.members[reader] = genuine.duplicate();
        }
    }
}

#[test]
fn altered_messages_cause_no_panic_and_leave_no_trace_if_they_are_refused() {
    for backend in [P2panda::Group, P2panda::Dcgka] {
        let mut world = World::new(backend);
        let ids: Vec<MemberId> = world.members.iter().map(|member| member.id()).collect();
        world.run(0, |member, context| member.create(&ids[1..3], context));
        world.run(1, |member, context| member.update(context));
        world.run(2, |member, context| member.send(b"text", context));
        world.run(1, |member, context| member.add(&ids[3], context));
        world.run(3, |member, context| member.send(b"text", context));
        world.run(0, |member, context| member.remove(&ids[2], context));
        assert_eq!(world.members[3].members().len(), 3);
        // Each message in the name of everybody else.
        for (_, bytes) in world.log.clone() {
            for (reader, author) in [(0, 1), (1, 3), (3, 0)] {
                world.receive(reader, ids[author], &bytes).map(drop).unwrap_or_default();
            }
        }
    }
}
