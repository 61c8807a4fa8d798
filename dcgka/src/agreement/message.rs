//! Application messages.

use protocol::causal_order::Verified;
use protocol::error::Error;
use protocol::member::{Event, Rule};
use protocol::membership::KnownUser;
use protocol::wire::envelope::{Draft, Subject};

use super::state::{Env, Group, Stop};
use crate::limits::MAX_PLAINTEXT_LEN;
use crate::messages::MESSAGE;

impl Group {
    /// Encrypts to everybody who knows my latest update secret. Repairs first if users outside my view may know it.
    pub(crate) fn send(&mut self, plaintext: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        if plaintext.len() > MAX_PLAINTEXT_LEN {
            return Err(Error::PlaintextTooLong);
        }
        self.after_repair(env, |group, env| group.send_clean(plaintext, env))
    }

    fn send_clean(&mut self, plaintext: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        let (sender, number) = (env.user.id, self.next_number()?);
        let draft = Draft { kind: MESSAGE, sender, number, subject: Subject::None, new_key: None, body: &[] };
        let header = draft.header_after(self.handle(&sender)?, self.order.has_history());
        let me = self.me();
        let chain = self.sender(me).and_then(|sender| sender.chain.as_mut()).ok_or(Error::Internal)?;
        let body = chain.next_key().seal(plaintext, &header)?;
        self.broadcast(MESSAGE, Subject::None, &body, None, env).map(drop)
    }

    pub(super) fn process_message(
        &mut self,
        from: KnownUser,
        message: &Verified,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Stop> {
        if !self.membership.view(from.index).contains(from.index) {
            return Err(Rule::AuthorNotAMember.into());
        }
        // The sender's chain has advanced, so my copy advances whether the message decrypts or not.
        let key = self.sender(from.index).and_then(|sender| sender.chain.as_mut()).map(|chain| chain.next_key());
        let plaintext = key.and_then(|key| key.open(&message.body, &message.header).ok());
        env.events.push(match plaintext {
            Some(plaintext) => Event::Message { from: from.id, plaintext: plaintext.expose().to_vec() },
            None => Event::Undecryptable { from: from.id },
        });
        Ok(())
    }
}
