//! Groups of members, made from a seed. Each measurement runs in a copy, so one group serves several of them.
//!
//! A group of 1,024 members takes gigabytes. So large groups are kept as exports, which take a quarter of that.

use protocol::crypto::count::{self, Counts, Watch};
use protocol::directory::InMemoryDirectory;
use protocol::id::MemberId;
use protocol::member::{Backend, Member, NewUser};
use rand_chacha::ChaCha20Rng;
use rayon::ThreadPool;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::meter::Scope;
use super::network::{Needs, Network};
use super::outside;
use super::randomness::Origin;
use super::validation::Refusal;

/// How many one-time prekeys a user has beyond one for each member of the group. With these, nobody's prekeys run out,
/// whichever members open channels with each other.
const SPARE_PREKEYS: usize = 4;
/// From this size on, groups are kept as exports.
pub const LARGE: usize = 512;

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

/// A group that is kept, for several measurements to begin with.
pub struct Kept {
    members: Members,
    directory: InMemoryDirectory,
    needs: Needs,
}

/// Members that are not used themselves.
enum Members {
    Copies(Vec<Box<dyn Member>>),
    Exports(Vec<Vec<u8>>),
}

impl Kept {
    /// Keeps the participants of a network that is no longer needed, as they are.
    pub fn of(network: Network) -> Self {
        let needs = network.needs();
        let (members, directory) = network.into_members();
        let members = match members.len() {
            // Each is dropped as soon as it is exported.
            LARGE.. => Members::Exports(members.into_iter().map(|member| member.export()).collect()),
            _ => Members::Copies(members),
        };
        Self { members, directory, needs }
    }

    /// Keeps the participants of a network that goes on.
    ///
    /// # Errors
    /// Copying the members does work ahead.
    pub fn copy_of(network: &Network) -> Result<Self, Refusal> {
        let members = network.participants().iter().map(|participant| &*participant.member);
        let members = match members.len() {
            LARGE.. => Members::Exports(members.map(|member| member.export()).collect()),
            _ => Members::Copies(outside::copies(members)?),
        };
        Ok(Self { members, directory: network.directory().clone(), needs: network.needs() })
    }

    /// The group, for a measurement to change.
    ///
    /// # Errors
    /// Copying or restoring the members does work ahead, or one is not restored.
    pub fn group(&self, backend: &dyn Backend) -> Result<Group, Refusal> {
        let members = match &self.members {
            Members::Copies(members) => outside::copies(members.iter().map(|member| &**member))?,
            Members::Exports(states) => outside::restored(backend, states.iter().map(Vec::as_slice))?,
        };
        Ok(Group { members, directory: self.directory.clone(), needs: self.needs })
    }

    /// Some of the members.
    ///
    /// # Errors
    /// Those of [`group`](Self::group).
    pub fn members(&self, backend: &dyn Backend, which: &[usize]) -> Result<Vec<Box<dyn Member>>, Refusal> {
        match &self.members {
            Members::Copies(members) => {
                outside::copies(which.iter().filter_map(|index| members.get(*index)).map(|member| &**member))
            }
            Members::Exports(states) => {
                let states = which.iter().filter_map(|index| states.get(*index));
                outside::restored(backend, states.map(Vec::as_slice))
            }
        }
    }

    /// Leaves out the last one.
    pub fn forget_last(&mut self) {
        match &mut self.members {
            Members::Copies(members) => drop(members.pop()),
            Members::Exports(states) => drop(states.pop()),
        }
    }
}

fn prekeys(origin: &Origin) -> usize {
    origin.group_size + SPARE_PREKEYS
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use dcgka::Dcgka;
    use protocol::crypto::dh::PrivateKey;
    use protocol::crypto::kdf;
    use protocol::crypto::secret::Secret;
    use protocol::crypto::signature::SigningKey;
    use protocol::error::Error;
    use protocol::member::Description;
    use protocol::operation::{Expected, Operation};
    use rand_core::{CryptoRng, SeedableRng as _};

    use super::*;

    /// DCGKA, but restoring a member does something ahead.
    struct WorksAhead(fn(&[u8]));

    impl Backend for WorksAhead {
        fn description(&self) -> Description {
            Dcgka::LEAN.description()
        }

        fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
            Dcgka::LEAN.new_user(one_time_prekeys, rng)
        }

        fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
            self.0(state);
            Dcgka::LEAN.restore(state)
        }

        fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
            Dcgka::LEAN.expected(operation, group_size)
        }
    }

    fn exports(members: &[Box<dyn Member>]) -> Vec<Vec<u8>> {
        members.iter().map(|member| member.export()).collect()
    }

    fn users(size: usize) -> Group {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        Group::of_users(&Dcgka::LEAN, &Origin { seed: 1, group_size: size, iteration: 0 }, &threads).unwrap()
    }

    fn kept_as_exports(group: &Group) -> Kept {
        let members = Members::Exports(exports(&group.members));
        Kept { members, directory: group.directory.clone(), needs: group.needs }
    }

    #[test]
    fn members_that_are_kept_as_exports_come_back_as_they_were() {
        let group = users(3);
        let mut kept = kept_as_exports(&group);
        assert_eq!(exports(&kept.group(&Dcgka::LEAN).unwrap().members), exports(&group.members));
        assert_eq!(exports(&kept.members(&Dcgka::LEAN, &[2, 0]).unwrap())[1], group.members[0].export());
        kept.forget_last();
        assert_eq!(kept.group(&Dcgka::LEAN).unwrap().ids(), group.ids()[..2]);
    }

    #[test]
    fn only_large_groups_are_kept_as_exports() {
        for (size, exported) in [(LARGE - 1, false), (LARGE, true)] {
            // The users need not be different ones.
            let Group { members, directory, needs } = users(2);
            let member = |index: usize| members[index % 2].duplicate();
            let participant = |index| super::super::network::Participant {
                member: member(index),
                role: protocol::operation::Role::Recipient,
                rng: ChaCha20Rng::from_seed([0; 32]),
            };
            let network = Network::new((0..size).map(participant).collect(), directory, needs);
            let is_exported = |kept: &Kept| matches!(kept.members, Members::Exports(_));
            assert_eq!(is_exported(&Kept::copy_of(&network).unwrap()), exported);
            assert_eq!(is_exported(&Kept::of(network)), exported);
        }
    }

    #[test]
    fn a_member_that_does_work_when_it_is_restored_is_refused() {
        let kept = kept_as_exports(&users(2));
        let signs: fn(&[u8]) = |state| {
            std::hint::black_box(SigningKey::from_secret(&Secret::new([1; 32])).sign(state));
        };
        let makes_keys: fn(&[u8]) = |_| {
            for _ in 0..100 {
                std::hint::black_box(PrivateKey::from_secret(Secret::new([1; 32])).public_key());
            }
        };
        let derives: fn(&[u8]) = |state| drop(kdf::derive::<32>(b"ahead", state, state, &[]));
        for ahead in [signs, makes_keys, derives] {
            let refused = |refusal: Refusal| refusal.to_string().contains("`restore` does work outside the timers");
            assert!(kept.group(&WorksAhead(ahead)).is_err_and(refused));
            assert!(kept.members(&WorksAhead(ahead), &[0]).is_err_and(refused));
        }
        let takes_long: fn(&[u8]) = |state| {
            let mut sum = 0_u64;
            (0..100_000_000).for_each(|index| sum = std::hint::black_box(sum.wrapping_mul(31) + index));
            std::hint::black_box((sum, state));
        };
        assert!(kept.group(&WorksAhead(takes_long)).is_err_and(|refusal| matches!(refusal, Refusal::LateWork { .. })));
        assert!(kept.group(&WorksAhead(|_| {})).is_ok());
    }

    #[test]
    fn a_member_that_is_not_restored_is_refused() {
        let mut kept = kept_as_exports(&users(2));
        if let Members::Exports(states) = &mut kept.members {
            states[1].pop();
        }
        assert!(kept.group(&Dcgka::LEAN).is_err_and(|refusal| matches!(refusal, Refusal::NotRestored(_))));
    }
}
