//! UPDATE: a member replaces its key material.

use protocol::causal_order::Verified;
use protocol::error::Error;
use protocol::member::{Event, Rule};
use protocol::membership::KnownUser;
use protocol::wire::envelope::Subject;

use super::state::{Env, Group, Stop};
use crate::messages::{Seeded, UPDATE};

impl Group {
    /// The author's side.
    pub(crate) fn update(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        self.check_unacknowledged()?;
        let recipients = self.recipients(self.view(), self.me());
        self.send_seeded(UPDATE, Subject::None, &recipients, env)
    }

    /// Sends a message or an add, after an update if one is needed: if the last seed may be known outside my view and
    /// the rules require a repair, or if I have no update secret yet, or only one from my add that some member lacks.
    /// Both run on a copy, so that a failure leaves nothing behind.
    pub(super) fn after_repair(
        &mut self,
        env: &mut Env<'_, '_>,
        action: impl FnOnce(&mut Self, &mut Env<'_, '_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let silent = self.senders.get(self.me().to_usize()).is_none_or(|sender| sender.chain.is_none());
        let dirty = self.dirty && env.user.rules.repairs();
        let unheard = self.unconfirmed && !self.lacking.is_empty();
        if !dirty && !silent && !unheard {
            return action(self, env);
        }
        let mut repaired = self.clone();
        repaired.update(env)?;
        action(&mut repaired, env)?;
        *self = repaired;
        Ok(())
    }

    pub(super) fn process_update(
        &mut self,
        author: KnownUser,
        message: &Verified,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Stop> {
        let view = self.membership.view(author.index);
        if !view.contains(author.index) {
            return Err(Rule::AuthorNotAMember.into());
        }
        let recipients = self.recipients(view, author.index);
        let seeded = Seeded::decode(&message.body, recipients.len(), env.user.rules).map_err(|_| Rule::Form)?;
        env.events.push(Event::Updated { by: author.id });
        Ok(self.process_seed(author, message, &recipients, &seeded, env)?)
    }
}
