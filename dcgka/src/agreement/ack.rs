//! Acknowledgements: each moves its author's ratchet on with the secret that the acknowledged operation gave it.

use protocol::causal_order::Verified;
use protocol::crypto::label;
use protocol::id::{Handle, MemberId};
use protocol::member::{Event, Rule};
use protocol::membership::{Change, MemberIndex};

use super::state::{Env, Group, Operation, Stop};
use crate::messages::{self, ACK, ACK_NONE, ADD_ACK};
use crate::two_party::Slot;

impl Group {
    pub(super) fn process_ack(
        &mut self,
        from: (MemberId, MemberIndex),
        message: &Verified,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Stop> {
        let acknowledged = message.subject.acknowledged().ok_or(Rule::Form)?;
        let author = self.membership.index(&acknowledged.author).ok_or(Rule::NothingToAcknowledge)?;
        let operation = (author, acknowledged.number);
        let recorded = self.membership.recorded(author, acknowledged.number);
        if recorded.is_none() && !self.is_awaited(operation, from.1) {
            return Err(Rule::NothingToAcknowledge.into());
        }
        let added = match recorded.map(|it| self.membership.change(it)) {
            Some(Change::Add(user)) => Some(user),
            _ => None,
        };
        let (forwards, slot) = match message.kind {
            ACK if added.is_none_or(|user| user == from.1) => {
                (messages::decode_forwards(&message.body).map_err(|_| Rule::Form)?, None)
            }
            ADD_ACK if added.is_some_and(|user| user != from.1) => {
                (Vec::new(), Some(messages::decode_add_ack(&message.body).map_err(|_| Rule::Form)?))
            }
            ACK_NONE if message.body.is_empty() => (Vec::new(), None),
            _ => return Err(Rule::Form.into()),
        };
        let joins = added == Some(from.1) && !self.membership.view(from.1).contains(from.1);
        self.membership.acknowledge(from.1, author, acknowledged.number)?;
        if joins {
            self.joined_by(operation, from.1);
        }
        // Whoever says `none` may not have opened my ciphertext, and still use the key before it.
        if author == self.me()
            && message.kind != ACK_NONE
            && let Some(channel) = self.two_party.get_mut(&from.1)
        {
            channel.acknowledged(acknowledged.number);
        }
        match message.kind {
            ACK => self.take_secret(from, operation, message, &forwards, env),
            ADD_ACK => self.take_ratchet(from, added, message, slot, env),
            _ => {
                if let Some(pending) = self.pending.get_mut(&operation) {
                    pending.secrets.remove(&from.1);
                }
            }
        }
        if let Some(pending) = self.pending.get_mut(&operation) {
            pending.waiting.remove(from.1);
        }
        env.events.push(Event::Acked { by: from.0 });
        Ok(())
    }

    /// A joiner's first acknowledgement: what its welcome covers it does not acknowledge, even if another add awaited that.
    fn joined_by(&mut self, add: Operation, joiner: MemberIndex) {
        let covered = self.pending.get_mut(&add).map(|pending| core::mem::take(&mut pending.covered));
        for earlier in covered.into_iter().flatten() {
            if let Some(pending) = self.pending.get_mut(&earlier) {
                pending.waiting.remove(joiner);
            }
        }
    }

    /// Whether an acknowledgement of something that changes no membership can still come from a member. Others are
    /// membership's to judge: everybody must record the same ones, whatever else it keeps of the member.
    fn is_awaited(&self, operation: Operation, from: MemberIndex) -> bool {
        match self.pending.get(&operation) {
            // Not everybody who has been removed is waited for, nor everybody whom such a member has added.
            _ if !self.view().contains(from) => true,
            Some(pending) => pending.waiting.contains(from),
            // Handled by my inviter before I joined: there is nothing of it that I could take.
            None => self.joined_at.get(operation.0.to_usize()).is_some_and(|clock| operation.1 <= *clock),
        }
    }

    /// ACK: the member secret comes from the operation's seed or, where its author did not know me, from the forward.
    fn take_secret(
        &mut self,
        from: (MemberId, MemberIndex),
        operation: Operation,
        message: &Verified,
        forwards: &[(Handle, Slot<'_>)],
        env: &mut Env<'_, '_>,
    ) {
        let pending = self.pending.get_mut(&operation);
        let (known, expected) = match pending {
            Some(pending) => (pending.secrets.remove(&from.1), pending.recipients.contains(from.1)),
            None => (None, false),
        };
        let mine = self.handle(&env.user.id).ok();
        // A ciphertext that is addressed to me is consumed also when it is not needed: the channel has moved on. Two members
        // can share a handle. More are not tried, or one message could keep me busy with hundreds.
        let mine = forwards.iter().filter(|(handle, _)| Some(*handle) == mine).take(2);
        let forwarded =
            mine.into_iter().find_map(|(_, slot)| self.decrypt_from(from, (message.number, &message.key), slot, env));
        let Some(sender) = self.senders.get_mut(from.1.to_usize()) else { return };
        match known.or(forwarded) {
            Some(secret) => sender.advance(secret.expose()),
            // The member has moved on to secrets that I do not have.
            None if expected => *sender = Default::default(),
            None => {}
        }
    }

    /// ADD-ACK: the joiner gets the ratchet, everybody steps it.
    fn take_ratchet(
        &mut self,
        from: (MemberId, MemberIndex),
        added: Option<MemberIndex>,
        message: &Verified,
        slot: Option<Slot<'_>>,
        env: &mut Env<'_, '_>,
    ) {
        let me = self.me();
        if added == Some(me)
            && let Some(ratchet) =
                slot.and_then(|slot| self.decrypt_from(from, (message.number, &message.key), &slot, env))
            && let Some(sender) = self.sender(from.1)
        {
            sender.ratchet = Some(ratchet);
        }
        if self.membership.view(from.1).contains(me)
            && let Some(sender) = self.sender(from.1)
        {
            sender.advance(label::ADD_STEP);
        }
    }
}
