//! Copies of members: those with which the world continues, and those in the wrong hands.

use super::verdict::{Verdict, ensure};
use super::world::{Sent, User, World, stream};
use crate::member::{Context, Event, Incoming, Member};

impl<'a> World<'a> {
    /// A copy that lives in other instances of the backend. What waits for a user also waits for its copy.
    pub(super) fn fork(&self) -> Verdict<Self> {
        let copy = |user: &User| {
            let User { id, inside, hears, .. } = *user;
            let (member, rng) = (self.revive(&*user.member)?, user.rng.clone());
            Ok(User { id, member, rng, inside, hears, inbox: user.inbox.clone(), read: user.read.clone() })
        };
        Ok(Self {
            make: self.make,
            threads: self.threads,
            users: self.users.iter().map(copy).collect::<Verdict<_>>()?,
            directory: self.directory.clone(),
            group: self.group,
            log: self.log.clone(),
            roles: self.roles.clone(),
            cost: self.cost.clone(),
            plaintexts: self.plaintexts.clone(),
        })
    }

    /// A copy of a member that another instance of the backend has restored.
    pub(super) fn revive(&self, member: &dyn Member) -> Verdict<Box<dyn Member>> {
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

    /// A copy of a user's state for an attacker.
    pub(super) fn capture(&self, user: usize) -> Verdict<Box<dyn Member>> {
        self.revive(&*self.users[user].member)
    }

    /// What a copy reads of these messages, including those for others.
    pub(super) fn overhear(&self, copy: &mut dyn Member, messages: &[Sent]) -> Vec<Vec<u8>> {
        let mut rng = stream(0, u64::from(u32::MAX));
        let mut context = Context { rng: &mut rng, directory: &self.directory, confirm_inviter: &|_| true };
        let mut read = Vec::new();
        for Sent { author, bytes, .. } in messages {
            let incoming = Incoming { group: self.group, author: self.users[*author].id, bytes };
            let received = copy.receive_one(&incoming, &mut context).unwrap_or_default();
            read.extend(received.events.into_iter().filter_map(|event| match event {
                Event::Message { plaintext, .. } => Some(plaintext),
                _ => None,
            }));
        }
        read
    }
}
