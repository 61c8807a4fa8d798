//! Acknowledgements: each moves its author's ratchet on with the secret that the acknowledged operation gave it.

use protocol::causal_order::Verified;
use protocol::crypto::label;
use protocol::id::Handle;
use protocol::member::{Event, Rule};
use protocol::membership::{Change, KnownUser, MemberIndex};

use super::state::{ControlId, Env, Group, Stop};
use crate::messages::{self, ACK, ACK_NONE, ADD_ACK};
use crate::two_party::Slot;

impl Group {
    pub(super) fn process_ack(
        &mut self,
        from: KnownUser,
        message: &Verified,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Stop> {
        let acknowledged = message.subject.acknowledged().ok_or(Rule::Form)?;
        let author = self.membership.index(&acknowledged.author).ok_or(Rule::NothingToAcknowledge)?;
        let control = ControlId { author, number: acknowledged.number };
        let recorded = self.membership.operation(author, acknowledged.number);
        if recorded.is_none() && !self.is_awaited(control, from.index) {
            return Err(Rule::NothingToAcknowledge.into());
        }
        let added = match recorded.map(|it| self.membership.change(it)) {
            Some(Change::Add(user)) => Some(user),
            _ => None,
        };
        let (forwards, slot) = match message.kind {
            ACK if added.is_none_or(|user| user == from.index) => {
                (messages::decode_forwards(&message.body).map_err(|_| Rule::Form)?, None)
            }
            ADD_ACK if added.is_some_and(|user| user != from.index) => {
                (Vec::new(), Some(messages::decode_add_ack(&message.body).map_err(|_| Rule::Form)?))
            }
            ACK_NONE if message.body.is_empty() => (Vec::new(), None),
            _ => return Err(Rule::Form.into()),
        };
        let joins = added == Some(from.index) && !self.membership.view(from.index).contains(from.index);
        self.membership.acknowledge(from.index, author, acknowledged.number)?;
        if joins {
            self.joined_by(control, from.index);
        }
        // Whoever says `none` may not have opened my ciphertext, and still use the key before it.
        if author == self.me()
            && message.kind != ACK_NONE
            && let Some(channel) = self.two_party.get_mut(&from.index)
        {
            channel.acknowledged(acknowledged.number);
        }
        match message.kind {
            ACK => self.take_secret(from, control, message, &forwards, env),
            ADD_ACK => self.take_ratchet(from, added, message, slot, env),
            _ => {
                if let Some(pending) = self.pending.get_mut(&control) {
                    pending.secrets.remove(&from.index);
                }
            }
        }
        if let Some(pending) = self.pending.get_mut(&control) {
            pending.waiting.remove(from.index);
        }
        env.events.push(Event::Acked { by: from.id });
        Ok(())
    }

    /// A joiner's first acknowledgement: what its welcome covers it does not acknowledge, even if another add awaited that.
    fn joined_by(&mut self, add: ControlId, joiner: MemberIndex) {
        let covered = self.pending.get_mut(&add).map(|pending| core::mem::take(&mut pending.covered));
        for earlier in covered.into_iter().flatten() {
            if let Some(pending) = self.pending.get_mut(&earlier) {
                pending.waiting.remove(joiner);
            }
        }
    }

    /// Whether an acknowledgement of something that changes no membership can still come from a member. Others are
    /// membership's to judge: everybody must record the same ones, whatever else it keeps of the member.
    fn is_awaited(&self, control: ControlId, from: MemberIndex) -> bool {
        match self.pending.get(&control) {
            // Not everybody who has been removed is waited for, nor everybody whom such a member has added.
            _ if !self.view().contains(from) => true,
            Some(pending) => pending.waiting.contains(from),
            // Handled by my inviter before I joined: there is nothing of it that I could take.
            None => self.joined_at.get(control.author.to_usize()).is_some_and(|clock| control.number <= *clock),
        }
    }

    /// ACK: the member secret comes from the operation's seed or, where its author did not know me, from the forward.
    fn take_secret(
        &mut self,
        from: KnownUser,
        control: ControlId,
        message: &Verified,
        forwards: &[(Handle, Slot<'_>)],
        env: &mut Env<'_, '_>,
    ) {
        let pending = self.pending.get_mut(&control);
        let (known, expected) = match pending {
            Some(pending) => (pending.secrets.remove(&from.index), pending.recipients.contains(from.index)),
            None => (None, false),
        };
        let mine = self.handle(&env.user.id).ok();
        // A ciphertext that is addressed to me is consumed also when it is not needed: the channel has moved on. Two members
        // can share a handle. More are not tried, or one message could keep me busy with hundreds.
        let mine = forwards.iter().filter(|(handle, _)| Some(*handle) == mine).take(2);
        let forwarded =
            mine.into_iter().find_map(|(_, slot)| self.decrypt_from(from, (message.number, &message.key), slot, env));
        let Some(sender) = self.senders.get_mut(from.index.to_usize()) else { return };
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
        from: KnownUser,
        added: Option<MemberIndex>,
        message: &Verified,
        slot: Option<Slot<'_>>,
        env: &mut Env<'_, '_>,
    ) {
        let me = self.me();
        if added == Some(me)
            && let Some(ratchet) =
                slot.and_then(|slot| self.decrypt_from(from, (message.number, &message.key), &slot, env))
            && let Some(sender) = self.sender(from.index)
        {
            sender.ratchet = Some(ratchet);
        }
        if self.membership.view(from.index).contains(me)
            && let Some(sender) = self.sender(from.index)
        {
            sender.advance(label::ADD_STEP);
        }
    }
}
