//! Acknowledgements: each steps its author's ratchet with the secret that the acknowledged control message gave it.

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
        let recorded = self.membership.recorded(author, acknowledged.number);
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
        // A member that says `none` may not have opened my ciphertext, and may still use the key before it.
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

    /// A joiner's first acknowledgement says by which add it joined. The joiner does not acknowledge what that add's
    /// welcome covers, even if its acknowledgement was awaited because of another add.
    fn joined_by(&mut self, add: ControlId, joiner: MemberIndex) {
        let covered = self.pending.get_mut(&add).map(|pending| core::mem::take(&mut pending.covered));
        for earlier in covered.into_iter().flatten() {
            if let Some(pending) = self.pending.get_mut(&earlier) {
                pending.waiting.remove(joiner);
            }
        }
    }

    /// Whether a member may still acknowledge a control message that is no membership change. The acknowledgements of
    /// membership changes are judged by [`Membership`](protocol::membership::Membership) alone: everybody must record
    /// the same ones, whatever else it keeps of the member.
    fn is_awaited(&self, control: ControlId, from: MemberIndex) -> bool {
        match self.pending.get(&control) {
            // Not every removed member is awaited, nor everybody that a removed member has added.
            _ if !self.view().contains(from) => true,
            Some(pending) => pending.waiting.contains(from),
            // My inviter delivered it before I joined: there is nothing in it that I could take.
            None => self.joined_at.get(control.author.to_usize()).is_some_and(|clock| control.number <= *clock),
        }
    }

    /// ACK: the member secret comes from the seed or, if the author of the seed did not know me, from the forward.
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
        // A ciphertext that is addressed to me is consumed even if it is not needed, because the channel has advanced.
        // Two members can share a handle, so two are tried. With more, one message could keep me busy with hundreds.
        let mine = forwards.iter().filter(|(handle, _)| Some(*handle) == mine).take(2);
        let forwarded =
            mine.into_iter().find_map(|(_, slot)| self.decrypt_from(from, (message.number, &message.key), slot, env));
        let Some(sender) = self.senders.get_mut(from.index.to_usize()) else { return };
        match known.or(forwarded) {
            Some(secret) => sender.advance(secret.expose()),
            // The member's ratchet has stepped with a secret that I do not have.
            None if expected => *sender = Default::default(),
            None => {}
        }
    }

    /// ADD-ACK: the joiner gets the ratchet, and everybody steps it.
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
