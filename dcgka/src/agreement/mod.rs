//! DCGKA proper (paper, section 6.2 and figure 7): update secrets for every member of a group.
//!
//! [`state`] holds what a member knows of its group, [`sender`] the ratchets, [`unacknowledged`] what waits for
//! acknowledgements, [`seed`] what create, remove and update share, [`commitment`] what an author commits to,
//! [`tagged`] the acknowledgements that are not signed, and [`way_back`] how a member gets what it has lost. Each control
//! message has a file: the author's side first, then the receiver's.

mod ack;
mod add;
pub(crate) mod commitment;
mod create;
mod export;
mod message;
mod remove;
pub(crate) mod seed;
pub(crate) mod sender;
pub(crate) mod state;
mod tagged;
#[cfg(test)]
mod tests;
mod unacknowledged;
mod update;
mod way_back;
pub(crate) mod welcome;

use protocol::causal_order::Verified;
use protocol::error::Error;
use protocol::member::{Event, Rule};
use protocol::membership::KnownUser;

use crate::messages::{ACK, ACK_NONE, ADD, ADD_ACK, ASK, CREATE, MESSAGE, REMOVE, TAGGED_ACK, UPDATE};
use state::{Continue, Env, Group, Stop};

impl Group {
    /// Processes all messages that are ready.
    pub(crate) fn process_ready(&mut self, env: &mut Env<'_, '_>) -> Result<Continue, Error> {
        loop {
            self.settle_tagged(env)?;
            let contradicting = self.order.take_contradicting();
            env.events.extend(contradicting.into_iter().map(|by| Event::Equivocation { by }));
            let Some((id, message)) = self.next_message() else { return Ok(Continue::Member) };
            let author = KnownUser { id, index: self.membership.index(&id).ok_or(Error::Internal)? };
            let before = self.confirm(author, &message, env);
            let is_taken = before.is_some();
            match self.process(author, &message, is_taken, env) {
                Ok(()) => {}
                Err(Stop::Rule(rule)) => {
                    env.events.push(Event::Rejected { from: id, rule });
                    if let Some(before) = before {
                        self.go_back(author.index, before);
                    }
                }
                Err(Stop::Bug(error)) => return Err(error),
            }
            if !self.continues() {
                return Ok(Continue::Removed);
            }
            self.tidy();
        }
    }

    /// A message that breaks a rule is refused before it has changed anything.
    /// `is_taken`: whether it is an acknowledgement that I have taken by its tag.
    fn process(
        &mut self,
        author: KnownUser,
        message: &Verified,
        is_taken: bool,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Stop> {
        match message.kind {
            CREATE => self.process_create(author, message, env),
            ADD => self.process_add(author, message, env),
            REMOVE => self.process_remove(author, message, env),
            UPDATE => self.process_update(author, message, env),
            ACK | ACK_NONE | ADD_ACK | TAGGED_ACK => self.process_ack(author, message, is_taken, env),
            MESSAGE => self.process_message(author, message, env),
            ASK => self.process_ask(author, message, env),
            _ => Err(Rule::Form.into()),
        }
    }
}
