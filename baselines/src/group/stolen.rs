//! What a thief of a member's state does: it follows the group, and sends nothing. What the state's owner sends reaches it
//! like any other message.

use protocol::error::Error;
use protocol::id::MemberId;
use protocol::membership::KnownUser;

use super::{Group, context};
use crate::messages::{ChannelMessage, Kind};
use crate::session::Binding;
use crate::user::Env;

impl Group {
    /// The owner's sender key is one that the thief can read with.
    pub(crate) fn steal(&mut self) -> Result<(), Error> {
        let me = self.me();
        self.keys.read_own(me)
    }

    /// A message that the state's owner has sent. On a channel it opens as long as the owner has made no new ratchet key.
    pub(crate) fn overhear_owner(
        &mut self,
        owner: &MemberId,
        bytes: &[u8],
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        match Kind::of(bytes)? {
            Kind::Founders => return Ok(()),
            Kind::GroupMessage => return self.take_group_message(owner, bytes, env),
            _ => {}
        }
        let message = ChannelMessage::decode(bytes)?;
        let (me, context) = (self.me(), context(&self.id, message.header));
        let roster = &self.roster;
        let opened = self.channels.iter_mut().find_map(|(peer, channel)| {
            let recipient = roster.id(*peer);
            let binding = Binding { sender: owner, recipient: &recipient, context: &context };
            channel.decrypt_own(message.ratchet_message, &binding).ok()
        });
        let plaintext = opened.ok_or(Error::NotAuthentic)?;
        let body = self.split_distribution(me, &message, plaintext.expose())?;
        self.process(KnownUser { id: *owner, index: me }, message.kind, body, env)
    }
}
