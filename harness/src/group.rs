//! Groups of members, made from a seed, that serve several measurements.

use protocol::directory::InMemoryDirectory;
use protocol::id::MemberId;
use protocol::member::{Backend, Member, NewUser};
use rayon::ThreadPool;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::randomness::Origin;

/// One-time prekeys of a user beyond one for each member of the group: with so many none runs out, whoever opens channels
/// with whom.
const SPARE_PREKEYS: usize = 4;

/// Users who are members of one group, or are about to be, and the directory where their bundles are.
pub struct Group {
    /// The members in the order of their creation; the creator is the first.
    pub members: Vec<Box<dyn Member>>,
    /// Where their bundles are.
    pub directory: InMemoryDirectory,
}

impl Group {
    /// As many new users as the group has members, in no group yet. They are made in parallel; how many threads there are
    /// changes nothing in them.
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

    /// Makes one more user and puts it at the end. It is in no group yet.
    pub fn make_joiner(&mut self, backend: &dyn Backend, origin: &Origin) {
        let index = self.members.len();
        self.admit(backend.new_user(prekeys(origin), &mut origin.user(index)));
    }

    /// A copy in which a measurement may run.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let members = self.members.iter().map(|member| member.duplicate()).collect();
        Self { members, directory: self.directory.clone() }
    }

    /// The members' ids, in the order of the members.
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
