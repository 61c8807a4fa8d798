//! Acknowledgements with tags: an acknowledgement that carries nothing, of a control message whose seed its author took, is
//! authenticated by the member secret that it is about to use. Everybody who has the seed can check the tag, and could
//! have made it. So the next signed message of its author says what it has acknowledged in this way
//! ([`History`](protocol::wire::envelope::History)): a member that does not know the secret takes it from there, and any
//! member notices if it is not what was taken by tag.

use protocol::causal_order::Tagged;
use protocol::crypto::secret::Secret;
use protocol::error::Error;
use protocol::id::{MemberId, MessageId};
use protocol::member::{Event, Outgoing, Recipients};
use protocol::membership::KnownUser;
use protocol::wire::envelope::{Draft, Envelope, Subject};

use super::sender::Sender;
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
        let (key, acknowledged) = (self.signing.verification_key(), MessageId { author, number: acknowledged });
        self.order.sent_tagged(&sender, number, digest, &key, acknowledged);
        self.number = number;
        env.outgoing.push(Outgoing { to: Recipients::Everyone, kind: messages::name(TAGGED_ACK), bytes });
        Ok(())
    }

    /// Receives an acknowledgement with a tag that can be checked as it arrives. Returns whether it is one. If I do not have the
    /// secret, it is dropped: it is in its author's next signed message.
    ///
    /// [`Error::NotAuthentic`] if the tag is wrong.
    pub(crate) fn receive_tagged(&mut self, author: &MemberId, envelope: &Envelope<'_>) -> Result<bool, Error> {
        let Some(tagged) = self.order.arrives(author, &self.id, envelope) else { return Ok(false) };
        match self.secret_of_tag(author, &tagged.acknowledged).map(|secret| tagged.is_authentic(secret)) {
            Some(false) => return Err(Error::NotAuthentic),
            Some(true) => self.order.accept(author, &tagged),
            None => {}
        }
        Ok(true)
    }

    /// Takes acknowledgements with tags that have waited, and can be checked now. Returns whether there was one.
    pub(super) fn settle_tagged(&mut self) -> bool {
        while let Some((author, candidates)) = self.order.due(&self.id) {
            let is_authentic = |tagged: &&Tagged| {
                let secret = self.secret_of_tag(&author, &tagged.acknowledged);
                secret.is_some_and(|secret| tagged.is_authentic(secret))
            };
            if let Some(tagged) = candidates.iter().find(is_authentic) {
                self.order.accept(&author, tagged);
                return true;
            }
        }
        false
    }

    /// Reports members whose signed messages contradict what I took by tag. My copy of such a member's ratchet may have made
    /// other steps, or in another order, so I give it up and ask for it.
    pub(super) fn lose_unequal(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        for by in self.order.take_unequal() {
            env.events.push(Event::Equivocation { by });
            let index = self.membership.index(&by).ok_or(Error::Internal)?;
            let given_up = self.sender(index).map(core::mem::take).and_then(|sender: Sender| sender.ratchet);
            // Once, whatever the member says next.
            if given_up.is_some() {
                self.ask(KnownUser { id: by, index }, env)?;
            }
        }
        Ok(())
    }

    /// The member secret of this member for a control message, under which its tag must be; `None` if I do not have it.
    fn secret_of_tag(&self, from: &MemberId, acknowledged: &MessageId) -> Option<&Secret> {
        let from = self.membership.index(from)?;
        let author = self.membership.index(&acknowledged.author)?;
        self.pending.get(&ControlId { author, number: acknowledged.number })?.secrets.get(&from)
    }
}
