//! Whether the users of a group agree: on who is a member, and on each member's key material.
//!
//! The conformance suite, the simulation and the harness ask this of every backend.

use crate::id::MemberId;
use crate::member::{Fingerprints, Member};

/// A user to be compared with the others.
#[derive(Clone, Copy)]
pub struct User<'a> {
    /// The user's id.
    pub id: MemberId,
    /// The user's state.
    pub member: &'a dyn Member,
    /// Whether the user should be a member of the group.
    pub is_member: bool,
}

/// How users disagree. `at` is the position of the first of them that does not agree with those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// A member's list of members is not the list of all who should be.
    #[error("a member's list of members is wrong")]
    WrongMembers {
        /// The member's position.
        at: usize,
    },
    /// The list of a user who should not be a member is not empty.
    #[error("a user outside the group still lists members")]
    OutsiderKnowsMembers {
        /// The user's position.
        at: usize,
    },
    /// A member's fingerprints are not those of exactly all members, or it shows none where others do, or the reverse.
    #[error("a member does not show one fingerprint for each member")]
    FingerprintsIncomplete {
        /// The member's position.
        at: usize,
    },
    /// A member's fingerprint of some member is not that of the others.
    #[error("members have different key material of one sender")]
    FingerprintsDiffer {
        /// The member's position.
        at: usize,
    },
    /// Two members have the same fingerprint.
    #[error("two senders have the same key material")]
    FingerprintsAlike,
}

impl Disagreement {
    /// The position of the first user that does not agree with those before it; None where two fingerprints are alike.
    #[must_use]
    pub fn at(self) -> Option<usize> {
        match self {
            Self::WrongMembers { at }
            | Self::OutsiderKnowsMembers { at }
            | Self::FingerprintsIncomplete { at }
            | Self::FingerprintsDiffer { at } => Some(at),
            Self::FingerprintsAlike => None,
        }
    }
}

/// Checks that each member knows exactly all members and everybody else none; and that all members show the same
/// fingerprints, one for each member and no two alike, or all of them show none. Returns these fingerprints.
///
/// # Errors
/// The first disagreement, in the order of the users.
pub fn check(users: &[User<'_>]) -> Result<Option<Fingerprints>, Disagreement> {
    let mut members: Vec<MemberId> = users.iter().filter(|user| user.is_member).map(|user| user.id).collect();
    members.sort_unstable();
    let mut agreed: Option<Option<Fingerprints>> = None;
    for (at, user) in users.iter().enumerate() {
        let known = user.member.members();
        if !user.is_member {
            if !known.is_empty() {
                return Err(Disagreement::OutsiderKnowsMembers { at });
            }
            continue;
        }
        if known != members {
            return Err(Disagreement::WrongMembers { at });
        }
        let shown = user.member.fingerprints();
        let complete = shown.as_ref().is_none_or(|shown| shown.iter().map(|(sender, _)| sender).eq(&members));
        let others = agreed.get_or_insert_with(|| shown.clone());
        if !complete || others.is_some() != shown.is_some() {
            return Err(Disagreement::FingerprintsIncomplete { at });
        }
        if *others != shown {
            return Err(Disagreement::FingerprintsDiffer { at });
        }
    }
    let agreed = agreed.flatten();
    let mut hashes: Vec<&[u8; 32]> = agreed.iter().flatten().map(|(_, hash)| hash).collect();
    hashes.sort_unstable();
    if hashes.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Disagreement::FingerprintsAlike);
    }
    Ok(agreed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::id::GroupId;
    use crate::member::{Context, Incoming, Outgoing, Received};

    /// A member that knows what it was given, and does nothing.
    #[derive(Clone)]
    struct Stub {
        members: Vec<u8>,
        fingerprints: Option<Vec<(u8, u8)>>,
    }

    fn id(user: u8) -> MemberId {
        MemberId([user; 32])
    }

    impl Member for Stub {
        fn id(&self) -> MemberId {
            id(0)
        }

        fn group(&self) -> Option<GroupId> {
            None
        }

        fn members(&self) -> Vec<MemberId> {
            self.members.iter().copied().map(id).collect()
        }

        fn create(&mut self, _: &[MemberId], _: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
            Err(Error::Unsupported)
        }

        fn add(&mut self, _: &MemberId, _: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
            Err(Error::Unsupported)
        }

        fn remove(&mut self, _: &MemberId, _: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
            Err(Error::Unsupported)
        }

        fn update(&mut self, _: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
            Err(Error::Unsupported)
        }

        fn send(&mut self, _: &[u8], _: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
            Err(Error::Unsupported)
        }

        fn receive_one(&mut self, _: &Incoming<'_>, _: &mut Context<'_>) -> Result<Received, Error> {
            Err(Error::Unsupported)
        }

        fn fingerprints(&self) -> Option<Fingerprints> {
            let shown = self.fingerprints.as_ref()?;
            Some(shown.iter().map(|(sender, hash)| (id(*sender), [*hash; 32])).collect())
        }

        fn export(&self) -> Vec<u8> {
            Vec::new()
        }

        fn duplicate(&self) -> Box<dyn Member> {
            Box::new(self.clone())
        }
    }

    /// Checks users 1 to 3, of whom the first two should be members, after `change`.
    fn checked(change: impl FnOnce(&mut [Stub; 3])) -> Result<Option<Fingerprints>, Disagreement> {
        let inside = Stub { members: vec![1, 2], fingerprints: Some(vec![(1, 11), (2, 12)]) };
        let mut stubs = [inside.clone(), inside, Stub { members: Vec::new(), fingerprints: None }];
        change(&mut stubs);
        let user = |(number, stub)| User { id: id(number), member: stub, is_member: number < 3 };
        let users: Vec<User<'_>> = (1..).zip(stubs.iter().map(|stub| stub as &dyn Member)).map(user).collect();
        check(&users)
    }

    #[test]
    fn members_that_agree_pass_with_and_without_fingerprints() {
        assert_eq!(checked(|_| {}), Ok(Some(vec![(id(1), [11; 32]), (id(2), [12; 32])])));
        assert_eq!(checked(|users| users.iter_mut().for_each(|user| user.fingerprints = None)), Ok(None));
        assert_eq!(check(&[]), Ok(None));
    }

    #[test]
    fn each_disagreement_is_found_where_it_is() {
        assert_eq!(checked(|users| users[0].members = vec![1]), Err(Disagreement::WrongMembers { at: 0 }));
        assert_eq!(checked(|users| users[1].members = vec![1, 2, 3]), Err(Disagreement::WrongMembers { at: 1 }));
        assert_eq!(checked(|users| users[2].members = vec![1, 2]), Err(Disagreement::OutsiderKnowsMembers { at: 2 }));
        let shows = |at: usize, fingerprints: Option<Vec<(u8, u8)>>| {
            checked(|users: &mut [Stub; 3]| users[at].fingerprints = fingerprints)
        };
        for incomplete in [Some(vec![(1, 11)]), Some(vec![(1, 11), (2, 12), (3, 13)]), Some(vec![(1, 11), (3, 12)])] {
            assert_eq!(shows(0, incomplete), Err(Disagreement::FingerprintsIncomplete { at: 0 }));
        }
        assert_eq!(shows(0, None), Err(Disagreement::FingerprintsIncomplete { at: 1 }));
        assert_eq!(shows(1, None), Err(Disagreement::FingerprintsIncomplete { at: 1 }));
        assert_eq!(shows(1, Some(vec![(1, 11), (2, 13)])), Err(Disagreement::FingerprintsDiffer { at: 1 }));
        let alike =
            checked(|users| users[..2].iter_mut().for_each(|user| user.fingerprints = Some(vec![(1, 1), (2, 1)])));
        assert_eq!(alike, Err(Disagreement::FingerprintsAlike));
    }
}
