//! What a thief of a member's state does: it follows the group, and sends nothing.

use protocol::error::Error;
use protocol::id::MemberId;
use protocol::membership::KnownUser;

use super::Group;
use crate::channel::{Channel, Opened};
use crate::messages::Message;
use crate::user::Env;

impl Group {
    /// Lets a thief read what the owner sends: in the present chains, and in the present Megolm session.
    pub(crate) fn steal(&mut self) -> Result<(), Error> {
        let me = self.me();
        self.channels.values_mut().try_for_each(Channel::overhear)?;
        self.keys.read_own(me)
    }

    /// A message that the state's owner has sent.
    pub(crate) fn overhear_owner(
        &mut self,
        owner: &MemberId,
        bytes: &[u8],
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        let me = KnownUser { id: *owner, index: self.me() };
        let message = match Message::decode(bytes)? {
            Message::Founders(_) => return Ok(()),
            Message::Megolm(number, message) => return self.take_group_message(me, (number, &message), bytes, env),
            Message::Olm(message) => message,
        };
        let group = self.id;
        let opened = self.channels.values_mut().find_map(|channel| channel.decrypt_own(&message, &group));
        match opened.ok_or(Error::NotAuthentic)? {
            Opened::New(content) => self.process(me, &content, env),
            Opened::Repeated => Ok(()),
        }
    }
}
