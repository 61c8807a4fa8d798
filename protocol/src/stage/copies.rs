//! Copies of members that live in other instances of the backend.

use super::verdict::{Verdict, ensure};
use super::world::{User, World};
use crate::member::Member;

impl<'a> World<'a> {
    /// A copy that lives in other instances of the backend. What waits for a user also waits for its copy.
    pub(crate) fn fork(&self) -> Verdict<Self> {
        let copy = |user: &User| {
            let User { id, inside, hears, .. } = *user;
            let (member, rng) = (self.revive(&*user.member)?, user.rng.clone());
            let (inbox, received, read) = (user.inbox.clone(), user.received.clone(), user.read.clone());
            Ok(User { id, member, rng, inside, hears, inbox, received, read })
        };
        Ok(Self {
            make: self.make,
            threads: self.threads,
            total: self.total,
            users: self.users.iter().map(copy).collect::<Verdict<_>>()?,
            directory: self.directory.clone(),
            group: self.group,
            log: self.log.clone(),
            calls: self.calls.clone(),
            happened: self.happened.clone(),
            said: self.said.clone(),
            roles: self.roles.clone(),
            cost: self.cost.clone(),
            plaintexts: self.plaintexts.clone(),
            most_speakers: self.most_speakers,
            clock: self.clock,
            busy: self.busy,
        })
    }

    /// A copy of a member that another instance of the backend has restored.
    pub(crate) fn revive(&self, member: &dyn Member) -> Verdict<Box<dyn Member>> {
        let state = member.export();
        ensure(member.duplicate().export() == state, || "a duplicate exports another state".to_owned())?;
        let revived = (self.make)().restore(&state);
        let revived = revived.map_err(|error| format!("an export cannot be restored by another instance: {error}"))?;
        ensure(revived.export() == state, || "a restored member exports another state".to_owned())?;
        let shown = |member: &dyn Member| (member.id(), member.group(), member.members(), member.fingerprints());
        ensure(shown(&*revived) == shown(member), || {
            "a restored member shows another id, group, members or fingerprints".to_owned()
        })?;
        Ok(revived)
    }
}
