//! The fault: each call of DCGKA runs on a thread of its own, or on one that has been started earlier. The thread that makes
//! the call counts nothing and does nothing.

use std::sync::LazyLock;

use dcgka::Dcgka;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{
    Backend, Capabilities, Context, Description, Fingerprints, Incoming, Member, NewUser, Outgoing, Received,
};
use protocol::operation::{Expected, Operation};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng as _};
use rayon::ThreadPool;

const BASE: Dcgka = Dcgka::CORRECTED;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// A new thread for each call.
    New,
    /// A thread that has been started earlier.
    Pool,
    /// No fault: a new thread for each call, as the backend declares, and the formulas count all threads.
    Declared,
}

static POOL: LazyLock<ThreadPool> = LazyLock::new(|| rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());

impl Threads {
    fn call<T: Send>(self, call: impl FnOnce() -> T + Send) -> T {
        match self {
            Self::Pool => POOL.install(call),
            _ => std::thread::scope(|scope| scope.spawn(call).join().unwrap()),
        }
    }
}

pub(crate) struct OtherThreads(pub(crate) Threads);

struct Elsewhere {
    inner: Box<dyn Member>,
    threads: Threads,
}

impl Backend for OtherThreads {
    fn description(&self) -> Description {
        let description = BASE.description();
        let threads = self.0 == Threads::Declared;
        Description {
            name: "threads",
            capabilities: Capabilities { threads, public_randomness: &[], ..description.capabilities },
            ..description
        }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let user = BASE.new_user(one_time_prekeys, rng);
        NewUser { member: Box::new(Elsewhere { inner: user.member, threads: self.0 }), ..user }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Ok(Box::new(Elsewhere { inner: BASE.restore(state)?, threads: self.0 }))
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        let expected = BASE.expected(operation, group_size)?;
        let counts = if self.0 == Threads::Declared { expected.counts } else { Vec::new() };
        Some(Expected::new(expected.messages, counts))
    }
}

impl Elsewhere {
    /// Makes a call elsewhere, with randomness that is drawn here. Here it is also asked whether the author of a message is
    /// confirmed as an inviter.
    fn call<T: Send>(
        &mut self,
        context: &mut Context<'_>,
        author: Option<&MemberId>,
        call: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> T + Send,
    ) -> T {
        let mut seed = [0; 32];
        context.rng.fill_bytes(&mut seed);
        let (directory, inner) = (context.directory, &mut *self.inner);
        let confirmed = author.is_some_and(context.confirm_inviter);
        self.threads.call(move || {
            let mut rng = ChaCha20Rng::from_seed(seed);
            call(inner, &mut Context { rng: &mut rng, directory, confirm_inviter: &|_| confirmed })
        })
    }
}

impl Member for Elsewhere {
    fn id(&self) -> MemberId {
        self.inner.id()
    }

    fn group(&self) -> Option<GroupId> {
        self.inner.group()
    }

    fn members(&self) -> Vec<MemberId> {
        self.inner.members()
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.call(context, None, |member, context| member.create(others, context))
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.call(context, None, |member, context| member.add(user, context))
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.call(context, None, |member, context| member.remove(user, context))
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.call(context, None, |member, context| member.update(context))
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.call(context, None, |member, context| member.send(plaintext, context))
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        self.call(context, Some(&message.author), |member, context| member.receive_one(message, context))
    }

    fn fingerprints(&self) -> Option<Fingerprints> {
        self.inner.fingerprints()
    }

    fn delivered(&self) -> Option<Vec<(MemberId, u32)>> {
        self.inner.delivered()
    }

    fn export(&self) -> Vec<u8> {
        self.inner.export()
    }

    fn duplicate(&self) -> Box<dyn Member> {
        Box::new(Self { inner: self.inner.duplicate(), threads: self.threads })
    }
}
