//! Acknowledgements with tags: an acknowledgement that carries nothing, of a control message whose seed its author took, is
//! authenticated by the member secret that it is about to use. Everybody who has the seed can check the tag, and could
//! have made it. So the next signed message of its author says which ones it has sent
//! ([`History`](protocol::wire::envelope::History)): a member that does not know the secret takes them by that, and any
//! member notices if they are others than those that it took.

use protocol::crypto::secret::Secret;
use protocol::error::Error;
use protocol::id::{MemberId, MessageId};
use protocol::member::{Outgoing, Recipients};
use protocol::membership::{KnownUser, MemberIndex};
use protocol::wire::envelope::{Draft, Envelope, Subject};

use super::state::{ControlId, Env, Group};
use crate::messages::{self, TAGGED_ACK};

impl Group {
    /// Sends my acknowledgement of this message with a tag under my member secret.
    pub(super) fn broadcast_tagged(
        &mut self,
        (author, acknowledged): (MemberId, u32),
        secret: &Secret,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        debug_assert!(!self.stolen, "a thief sends nothing");
        let (sender, number) = (env.user.id, self.next_number()?);
        let subject = Subject::Acknowledged(author, acknowledged);
        let draft = Draft { kind: TAGGED_ACK, sender, number, subject, new_key: None, body: &[] };
        let handles = (self.handle(&sender)?, Some(self.handle(&author)?));
        let (bytes, digest) = draft.tag(&self.id, handles, secret);
        self.order.sent_tagged(&sender, number, digest, &self.signing.verification_key());
        self.number = number;
        env.outgoing.push(Outgoing { to: Recipients::Everyone, kind: messages::name(TAGGED_ACK), bytes });
        Ok(())
    }

    /// Processes an acknowledgement with a tag that I can check as it arrives. Returns whether I could.
    ///
    /// [`Error::NotAuthentic`] if the tag is wrong.
    pub(crate) fn receive_tagged(
        &mut self,
        author: &MemberId,
        envelope: &Envelope<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<bool, Error> {
        let Some(arrival) = self.order.arrives(author, &self.id, envelope) else { return Ok(false) };
        let Some(from) = self.membership.index(author) else { return Ok(false) };
        let Some(secret) = self.secret_of_tag(from, &arrival.acknowledged) else { return Ok(false) };
        if !envelope.has_tag_of(&arrival.digest, secret) {
            return Err(Error::NotAuthentic);
        }
        let message = self.order.deliver_arrival(author, envelope, &arrival, &self.id).ok_or(Error::Internal)?;
        self.process_message_of(KnownUser { id: *author, index: from }, &message, env).map(|()| true)
    }

    /// Settles acknowledgements with tags that have waited. Returns whether one was taken.
    pub(super) fn settle_tagged(&mut self) -> Result<bool, Error> {
        let id = self.id;
        while let Some((author, candidates)) = self.order.due(&id) {
            let from = self.membership.index(&author).ok_or(Error::Internal)?;
            for tagged in candidates {
                let secret = self.secret_of_tag(from, &tagged.acknowledged);
                match secret.map(|secret| tagged.is_authentic(secret)) {
                    Some(true) => return self.order.accept(&author, &tagged, &id).map(|()| true),
                    Some(false) => self.order.refuse(&author, &tagged),
                    None => {}
                }
            }
            if self.order.reach(&author, &id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The member secret of this member for a control message, under which its tag must be; `None` if I do not have it.
    fn secret_of_tag(&self, from: MemberIndex, acknowledged: &MessageId) -> Option<&Secret> {
        let author = self.membership.index(&acknowledged.author)?;
        self.pending.get(&ControlId { author, number: acknowledged.number })?.secrets.get(&from)
    }
}
