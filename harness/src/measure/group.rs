//! Groups of members, made from a seed. Each measurement runs in a copy, so one group serves several of them.

use protocol::crypto::count::{self, Counts, Watch};
use protocol::directory::InMemoryDirectory;
use protocol::id::MemberId;
use protocol::member::{Backend, Member, NewUser};
use rand_chacha::ChaCha20Rng;
use rayon::ThreadPool;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::meter::Scope;
use super::network::Needs;
use super::outside;
use super::randomness::Origin;
use super::validation::Refusal;

/// How many one-time prekeys a user has beyond one for each member of the group. With these, nobody's prekeys run out,
/// whichever members open channels with each other.
const SPARE_PREKEYS: usize = 4;

/// Users who are members of one group, or are about to be, and the directory that holds their bundles.
pub struct Group {
    /// The users in the order in which they were made. The first is the group's creator.
    pub members: Vec<Box<dyn Member>>,
    /// The users' bundles and one-time prekeys.
    pub directory: InMemoryDirectory,
    /// What the backend needs of the network.
    pub needs: Needs,
}

impl Group {
    /// One new user for each member of the group. They are in no group yet. They are made in parallel; the number of
    /// threads makes no difference to them.
    ///
    /// # Errors
    /// A user does more than to make its keys.
    pub fn of_users(backend: &dyn Backend, origin: &Origin, threads: &ThreadPool) -> Result<Self, Refusal> {
        let needs = Needs::of(backend);
        // Streams are made with hashes, which would be counted.
        let streams: Vec<ChaCha20Rng> = (0..origin.group_size).map(|index| origin.user(index)).collect();
        let watch = Watch::start();
        let users: Result<Vec<(NewUser, Counts)>, Refusal> = threads.install(|| {
            let made = streams.into_par_iter().map(|mut rng| outside::new_user(backend, prekeys(origin), &mut rng));
            made.collect()
        });
        let (everywhere, mut seen) = (watch.everywhere(), Counts::default());
        let (members, directory) = (Vec::with_capacity(origin.group_size), InMemoryDirectory::default());
        let mut group = Self { members, directory, needs };
        for (user, counts) in users? {
            seen += counts;
            group.admit(user);
        }
        if count::is_alone() && needs.scope == Scope::Thread && everywhere != seen {
            return Err(Refusal::OtherThreads);
        }
        Ok(group)
    }

    /// Makes one more user and appends it. It is in no group yet.
    ///
    /// # Errors
    /// The user does more than to make its keys.
    pub fn make_joiner(&mut self, backend: &dyn Backend, origin: &Origin) -> Result<(), Refusal> {
        let index = self.members.len();
        self.admit(outside::new_user(backend, prekeys(origin), &mut origin.user(index))?.0);
        Ok(())
    }

    /// A copy for a measurement to change.
    ///
    /// # Errors
    /// Copying the members does work ahead.
    pub fn duplicate(&self) -> Result<Self, Refusal> {
        let members = outside::copies(self.members.iter().map(|member| &**member))?;
        Ok(Self { members, directory: self.directory.clone(), needs: self.needs })
    }

    /// The users' ids, in the order of `members`.
    #[must_use]
    pub fn ids(&self) -> Vec<MemberId> {
        self.members.iter().map(|member| member.id()).collect()
    }

    fn admit(&mut self, user: NewUser) {
        self.directory.publish(user.id, user.bundle, user.one_time);
        self.members.push(user.member);
    }
}

fn prekeys(origin: &Origin) -> usize {
    origin.group_size + SPARE_PREKEYS
}
