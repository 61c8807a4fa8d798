//! Groups of members, made from a seed. Each measurement runs in a copy, so one group serves several of them.

use protocol::directory::InMemoryDirectory;
use protocol::id::MemberId;
use protocol::member::{Backend, Member, NewUser};
use rayon::ThreadPool;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::randomness::Origin;

/// How many one-time prekeys a user has beyond one for each member of the group. With these, nobody's prekeys run out,
/// whichever members open channels with each other.
const SPARE_PREKEYS: usize = 4;

/// Users who are members of one group, or are about to be, and the directory that holds their bundles.
pub struct Group {
    /// The users in the order in which they were made. The first is the group's creator.
    pub members: Vec<Box<dyn Member>>,
    /// The users' bundles and one-time prekeys.
    pub directory: InMemoryDirectory,
}

impl Group {
    /// One new user for each member of the group. They are in no group yet. They are made in parallel; the number of
    /// threads makes no difference to them.
    #[must_use]
    pub fn of_users(backend: &dyn Backend, origin: &Origin, threads: &ThreadPool) -> Self {
        let users: Vec<NewUser> = threads.install(|| {
            let indices = (0..origin.group_size).into_par_iter();
            indices.map(|index| backend.new_user(prekeys(origin), &mut origin.user(index))).collect()
        });
        let mut group = Self { members: Vec::with_capacity(users.len()), directory: InMemoryDirectory::default() };
        users.into_iter().for_each(|user| group.admit(user));
        group
    }

    /// Makes one more user and appends it. It is in no group yet.
    pub fn make_joiner(&mut self, backend: &dyn Backend, origin: &Origin) {
        let index = self.members.len();
        self.admit(backend.new_user(prekeys(origin), &mut origin.user(index)));
    }

    /// A copy for a measurement to change.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let members = self.members.iter().map(|member| member.duplicate()).collect();
        Self { members, directory: self.directory.clone() }
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
