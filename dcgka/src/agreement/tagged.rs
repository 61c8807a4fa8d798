//! Acknowledgements with tags: an acknowledgement that carries nothing, of a control message whose seed its author took, is
//! authenticated by the member secret that it is about to use. Everybody who has the seed can check the tag, and could
//! have made it. So the next signed message of its author says what it has acknowledged in this way
//! ([`History`](protocol::wire::envelope::History)): a member that does not know the secret takes it from there.
//!
//! What a tag alone vouches for is provisional. The author's ratchet steps, and nothing else changes: the secret, who is awaited,
//! what the author knows of the membership and which of my keys it uses stay as they were until the author's signed message is
//! there. If that says something else, the ratchet goes back to where it was.

use protocol::causal_order::{Tagged, Verified};
use protocol::crypto::secret::Secret;
use protocol::error::Error;
use protocol::id::{MemberId, MessageId};
use protocol::member::{Event, Outgoing, Recipients};
use protocol::membership::{KnownUser, MemberIndex};
use protocol::wire::envelope::{Draft, Envelope, Subject};

use super::sender::Sender;
use super::state::{ControlId, Env, Group, Pending, Taken};
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
    pub(crate) fn receive_tagged(
        &mut self,
        author: &MemberId,
        envelope: &Envelope<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<bool, Error> {
        let Some(tagged) = self.order.arrives(author, &self.id, envelope) else { return Ok(false) };
        match self.is_authentic(author, &tagged) {
            Some(true) => self.take(author, &tagged, env).map(|()| true),
            Some(false) => Err(Error::NotAuthentic),
            None => Ok(true),
        }
    }

    /// Takes acknowledgements with tags that have waited, and can be checked now.
    pub(super) fn settle_tagged(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        while let Some((author, candidates)) = self.order.due(&self.id) {
            if let Some(tagged) = candidates.iter().find(|it| self.is_authentic(&author, it) == Some(true)) {
                self.take(&author, tagged, env)?;
            }
        }
        Ok(())
    }

    /// Takes an acknowledgement by its tag.
    fn take(&mut self, author: &MemberId, tagged: &Tagged, env: &mut Env<'_, '_>) -> Result<(), Error> {
        let by = self.membership.index(author).ok_or(Error::Internal)?;
        let control = self.control(&tagged.acknowledged).ok_or(Error::Internal)?;
        let secret = self.pending.get(&control).and_then(|pending| pending.secrets.get(&by)).cloned();
        let (Some(secret), Some(sender)) = (secret, self.sender(by)) else { return Err(Error::Internal) };
        let before = sender.clone();
        sender.advance(secret.expose());
        self.taken.entry(by).or_default().push_back(Taken { control, before });
        self.order.taken(author);
        env.events.push(Event::Acked { by: *author });
        Ok(())
    }

    /// Compares the next signed message of a member, or the next acknowledgement that it names, with what I have taken by tag.
    /// Returns what I knew of the member before, if this is the acknowledgement that I have taken. If it is not, I go back to
    /// there, and report it, unless somebody outside may have forged the tag.
    pub(super) fn confirm(&mut self, author: KnownUser, message: &Verified, env: &mut Env<'_, '_>) -> Option<Sender> {
        if self.taken.is_empty() {
            return None;
        }
        let acknowledged = message.subject.acknowledged().filter(|_| message.kind == TAGGED_ACK);
        let said = acknowledged.and_then(|acknowledged| self.control(&acknowledged));
        let taken = self.taken.get_mut(&author.index)?;
        let Taken { control, before } = taken.pop_front()?;
        if said == Some(control) {
            if taken.is_empty() {
                self.taken.remove(&author.index);
            }
            return Some(before);
        }
        self.go_back(author.index, before);
        if !self.is_known_outside(&control) {
            env.events.push(Event::Equivocation { by: author.id });
        }
        None
    }

    /// Whether a user outside my view has the seed of a control message. It could have made a tag in any member's name.
    fn is_known_outside(&self, control: &ControlId) -> bool {
        let inside = |pending: &Pending| pending.recipients.is_subset(self.view());
        !self.view().contains(control.author) || !self.pending.get(control).is_some_and(inside)
    }

    /// Forgets everything that I have taken from a member by tag, from where I knew this of it.
    pub(super) fn go_back(&mut self, member: MemberIndex, before: Sender) {
        self.taken.remove(&member);
        if let Some(sender) = self.sender(member) {
            *sender = before;
        }
    }

    /// Whether an acknowledgement has its author's tag; `None` if I cannot tell, or have taken it already.
    fn is_authentic(&self, author: &MemberId, tagged: &Tagged) -> Option<bool> {
        let by = self.membership.index(author)?;
        let control = self.control(&tagged.acknowledged)?;
        let is_taken = self.taken.get(&by).is_some_and(|taken| taken.iter().any(|other| other.control == control));
        let secret = self.pending.get(&control)?.secrets.get(&by).filter(|_| !is_taken)?;
        Some(tagged.is_authentic(secret))
    }

    fn control(&self, message: &MessageId) -> Option<ControlId> {
        Some(ControlId { author: self.membership.index(&message.author)?, number: message.number })
    }
}
