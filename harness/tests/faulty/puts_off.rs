//! The fault: acknowledgements are put in a queue, and DCGKA gets them only when a method shows the member, or with the next
//! call. Nothing of what they cost is in the operation.

use std::cell::RefCell;

use dcgka::Dcgka;
use protocol::crypto::count::Counts;
use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Description, Fingerprints, Incoming, Member, NewUser, Outgoing, Received};
use protocol::operation::{Expected, Operation, Phase, Role};
use protocol::wire::codec::{Reader, put_prefixed};
use protocol::wire::envelope::{self, Kind};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng as _};

const BASE: Dcgka = Dcgka::CORRECTED;
/// DCGKA's acknowledgements, except those of an add, which hand keys to the joiner.
const ACKS: [Kind; 2] = [Kind(5 | Kind::ACKNOWLEDGES), Kind(6 | Kind::ACKNOWLEDGES)];

/// The method that empties the queue, by its name; `next call` if none does, so that the next call does.
pub(crate) struct PutsOff(pub(crate) &'static str);

/// Group, author and bytes.
type Message = (GroupId, MemberId, Vec<u8>);

struct Lazy {
    inner: RefCell<Box<dyn Member>>,
    queue: RefCell<Vec<Message>>,
    until: &'static str,
}

impl Backend for PutsOff {
    fn description(&self) -> Description {
        BASE.description()
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let user = BASE.new_user(one_time_prekeys, rng);
        NewUser { member: Lazy::boxed(user.member, Vec::new(), self.0), ..user }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        let parse = || {
            let mut reader = Reader::new(state);
            let inner = reader.prefixed()?.to_vec();
            let mut queue = Vec::new();
            while !reader.remaining().is_empty() {
                let (group, author) = (GroupId(reader.array()?), MemberId(reader.array()?));
                queue.push((group, author, reader.prefixed()?.to_vec()));
            }
            Ok((inner, queue))
        };
        let (inner, queue) = parse().map_err(|_: Error| Error::BadExport)?;
        Ok(Lazy::boxed(BASE.restore(&inner)?, queue, self.0))
    }

    /// Without the phase in which acknowledgements are handled, except those of an add.
    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        let Expected { messages, counts, .. } = BASE.expected(operation, group_size)?;
        // Of the acknowledgements of an add, that of the joiner hands over no keys.
        let ack = Counts { verify: 1, hash_blocks: 3, kdf: 2, ..Counts::default() };
        let kept = counts.into_iter().filter_map(|(role, phase, counts)| match (operation, phase, role) {
            (Operation::Add, Phase::Responses, Role::Sender) => Some((role, phase, counts - ack)),
            (Operation::Add, Phase::Responses, Role::Recipient) => {
                Some((role, phase, counts - (group_size as u64 - 1) * ack))
            }
            (Operation::Add, ..) => Some((role, phase, counts)),
            _ => (phase != Phase::Responses).then_some((role, phase, counts)),
        });
        Some(Expected::new(messages, kept.collect()))
    }
}

impl Lazy {
    fn boxed(inner: Box<dyn Member>, queue: Vec<Message>, until: &'static str) -> Box<dyn Member> {
        Box::new(Self { inner: RefCell::new(inner), queue: RefCell::new(queue), until })
    }

    fn empty_queue(&self) {
        let (mut rng, directory) = (ChaCha20Rng::from_seed([0; 32]), InMemoryDirectory::default());
        let mut context = Context { rng: &mut rng, directory: &directory, confirm_inviter: &|_| true };
        for (group, author, bytes) in self.queue.take() {
            let message = Incoming { group, author, bytes: &bytes };
            let _ = self.inner.borrow_mut().receive_one(&message, &mut context);
        }
    }

    fn shown(&self, by: &str) {
        if by == self.until {
            self.empty_queue();
        }
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut dyn Member) -> T) -> T {
        self.empty_queue();
        call(&mut **self.inner.get_mut())
    }
}

impl Drop for Lazy {
    fn drop(&mut self) {
        self.shown("drop");
    }
}

impl Member for Lazy {
    fn id(&self) -> MemberId {
        self.shown("id");
        self.inner.borrow().id()
    }

    fn group(&self) -> Option<GroupId> {
        self.shown("group");
        self.inner.borrow().group()
    }

    fn members(&self) -> Vec<MemberId> {
        self.shown("members");
        self.inner.borrow().members()
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.call(|member| member.create(others, context))
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.call(|member| member.add(user, context))
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.call(|member| member.remove(user, context))
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.call(|member| member.update(context))
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.call(|member| member.send(plaintext, context))
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let acknowledges = envelope::kind(message.bytes).is_some_and(|kind| ACKS.contains(&kind));
        let group = self.inner.get_mut().group();
        if acknowledges && group == Some(message.group) && !self.inner.get_mut().members().is_empty() {
            self.queue.get_mut().push((message.group, message.author, message.bytes.to_vec()));
            return Ok(Received::default());
        }
        let before = (self.inner.get_mut().duplicate(), self.queue.get_mut().clone());
        let result = self.call(|member| member.receive_one(message, context));
        if result.is_err() {
            (*self.inner.get_mut(), *self.queue.get_mut()) = before;
        }
        result
    }

    /// Only a member that empties its queue here can show them.
    fn fingerprints(&self) -> Option<Fingerprints> {
        self.shown("fingerprints");
        if self.until == "fingerprints" { self.inner.borrow().fingerprints() } else { None }
    }

    fn delivered(&self) -> Option<Vec<(MemberId, u32)>> {
        self.shown("delivered");
        None
    }

    fn export(&self) -> Vec<u8> {
        self.shown("export");
        let mut state = Vec::new();
        put_prefixed(&mut state, &self.inner.borrow().export());
        for (group, author, bytes) in &*self.queue.borrow() {
            state.extend([group.0, author.0].concat());
            put_prefixed(&mut state, bytes);
        }
        state
    }

    fn duplicate(&self) -> Box<dyn Member> {
        self.shown("duplicate");
        Self::boxed(self.inner.borrow().duplicate(), self.queue.borrow().clone(), self.until)
    }
}
