//! REMOVE: a member removes another, and replaces its own key material so that the removed member can read nothing
//! more.

use protocol::causal_order::Verified;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::Rule;
use protocol::membership::KnownUser;
use protocol::wire::envelope::Subject;

use super::state::{Env, Group, Stop};
use crate::messages::{REMOVE, Seeded};

impl Group {
    /// The author's side. The author too records the removal first, so that the seed goes only to the members that
    /// remain. A removal is possible whatever is unacknowledged: this is how a silent member is removed.
    pub(crate) fn remove(&mut self, user: &MemberId, env: &mut Env<'_, '_>) -> Result<(), Error> {
        let number = self.next_number()?;
        let me = self.me();
        let target = self.membership.index(user).ok_or(Error::NotAMember)?;
        self.membership.check_remove(me, target).map_err(|rule| match rule {
            Rule::RemovesItself => Error::RemovesItself,
            _ => Error::NotAMember,
        })?;
        let mut after = self.membership.clone();
        after.remove(me, number, target);
        if !after.view(me).contains(me) {
            // A remove also removes the users that its target added, unless I have acknowledged the add. I have
            // acknowledged my own.
            return Err(Error::Internal);
        }
        let recipients = self.recipients(after.view(me), me);
        let before = self.view().clone();
        self.membership = after;
        self.view_changed(&before, me, env);
        self.send_seeded(REMOVE, Subject::Member(*user), &recipients, env)?;
        self.tidy();
        Ok(())
    }

    pub(super) fn process_remove(
        &mut self,
        author: KnownUser,
        message: &Verified,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Stop> {
        let target = message.subject.name().and_then(|id| self.membership.index(&id)).ok_or(Rule::TargetNotAMember)?;
        self.membership.check_remove(author.index, target)?;
        // The body's form depends on the recipients, which follow from the author's view after the removal.
        let mut after = self.membership.clone();
        after.remove(author.index, message.number, target);
        let recipients = self.recipients(after.view(author.index), author.index);
        let seeded = Seeded::decode(&message.body, recipients.len(), env.user.rules).map_err(|_| Rule::Form)?;
        let before = self.view().clone();
        self.membership = after;
        self.view_changed(&before, author.index, env);
        if !self.continues() {
            return Ok(());
        }
        Ok(self.process_seed(author, message, &recipients, &seeded, env)?)
    }
}
