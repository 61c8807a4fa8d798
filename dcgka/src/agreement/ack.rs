//! Acknowledgements: each steps its author's ratchet with the secret that the acknowledged control message gave it.

use protocol::causal_order::Verified;
use protocol::crypto::label;
use protocol::error::Error;
use protocol::id::MessageId;
use protocol::member::{Event, Rule};
use protocol::membership::{Change, KnownUser, MemberIndex};

use super::sender::Sender;
use super::state::{ControlId, Env, Group, Pending, Stop};
use crate::messages::{ACK, ACK_NONE, ADD_ACK, AddAck, Copies, TAGGED_ACK};
use crate::rules::Rules;
use crate::two_party::FreshKey;

/// What an acknowledgement contains.
enum Content<'a> {
    /// Nothing, or copies of the member secret.
    Ack(Copies<'a>),
    AddAck(AddAck<'a>),
    /// Nothing, or a fresh key with which the author asks for what it has lost.
    None(Option<FreshKey>),
}

impl<'a> Content<'a> {
    /// The content of this acknowledgement by `from` of an add of this user, or of another control message.
    fn decode(
        message: &'a Verified,
        from: MemberIndex,
        added: Option<MemberIndex>,
        rules: Rules,
    ) -> Result<Self, Error> {
        let body = message.body.as_slice();
        match message.kind {
            TAGGED_ACK if added.is_none() => Ok(Self::Ack(Copies::default())),
            ACK if added.is_none_or(|user| user == from) => Copies::decode(body, None, rules).map(Self::Ack),
            ADD_ACK if added.is_some_and(|user| user != from) => AddAck::decode(body, rules).map(Self::AddAck),
            ACK_NONE if body.is_empty() => Ok(Self::None(None)),
            ACK_NONE if rules.asks() => FreshKey::decode(body).map(|fresh| Self::None(Some(fresh))),
            _ => Err(Error::Malformed),
        }
    }
}

impl Group {
    pub(super) fn process_ack(
        &mut self,
        from: KnownUser,
        message: &Verified,
        is_taken: bool,
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
        let content = Content::decode(message, from.index, added, env.user.rules).map_err(|_| Rule::Form)?;
        // It is not in its own view until it has acknowledged an add of it, or the create that names it.
        let joins = !self.membership.view(from.index).contains(from.index);
        // I acknowledge a membership change as soon as I record it. A thief receives its owner's acknowledgement afterwards.
        if from.index != self.me() {
            self.membership.acknowledge(from.index, author, acknowledged.number)?;
        }
        if joins {
            self.joined_by(control, from.index);
            self.meet(from.index);
        }
        // A member that says `none` may not have opened my ciphertext, and may still use the key before it.
        if author == self.me()
            && message.kind != ACK_NONE
            && let Some(channel) = self.two_party.get_mut(&from.index)
        {
            channel.acknowledged(acknowledged.number);
        }
        if !is_taken {
            env.events.push(Event::Acked { by: from.id });
        }
        let lost = match content {
            // The ratchet has stepped already.
            _ if is_taken => {
                if let Some(pending) = self.pending.get_mut(&control) {
                    pending.secrets.remove(&from.index);
                }
                false
            }
            Content::Ack(forwards) => self.take_secret(from, (control, joins), message, &forwards, env),
            Content::AddAck(answer) => self.take_ratchet(from, added, message, &answer, env),
            Content::None(fresh) => {
                if let Some(pending) = self.pending.get_mut(&control) {
                    pending.secrets.remove(&from.index);
                }
                if let Some(fresh) = fresh {
                    self.lost_by(from.index, (control, added.is_some()), &fresh, env.user.rules);
                }
                false
            }
        };
        if let Some(pending) = self.pending.get_mut(&control) {
            pending.waiting.remove(from.index);
        }
        if lost { Ok(self.ask(from, env)?) } else { Ok(()) }
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

    /// A member joins. If it does not know me, it takes steps that I do not see, from its first state on. It will send me
    /// its ratchet when it learns of me.
    fn meet(&mut self, joiner: MemberIndex) {
        let knows_me = self.membership.view(joiner).contains(self.me());
        if let Some(sender) = self.sender(joiner).filter(|_| !knows_me) {
            *sender = Sender::default();
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

    /// ACK: the member secret comes from the seed or, if the author of the seed did not know me, from the forward; a
    /// joiner's first secret comes from its add. Returns whether I have lost the member by it and have not asked: if I lack
    /// the seed, my own answer has asked, and whether I can follow a joiner, I have known since the add.
    fn take_secret(
        &mut self,
        from: KnownUser,
        (control, joins): (ControlId, bool),
        message: &Verified,
        forwards: &Copies<'_>,
        env: &mut Env<'_, '_>,
    ) -> bool {
        let me = self.me();
        // My answer to an author outside my view has asked nobody.
        let inside = self.view().contains(control.author);
        let pending = self.pending.get_mut(&control);
        let (known, expected, answered) = match pending {
            Some(Pending { secrets, recipients, .. }) => {
                (secrets.remove(&from.index), recipients.contains(from.index), recipients.contains(me) && inside)
            }
            None => (None, false, false),
        };
        let what = label::MEMBER_SECRET_COMMITMENT;
        let forwarded = self.take_copy(what, from, message, forwards, env);
        if let Some(known) = &known {
            let id = MessageId { author: from.id, number: message.number };
            self.compare(what, &id, known, forwards.commitment.as_ref(), env);
        }
        let Some(sender) = self.sender(from.index) else { return false };
        match known.or(forwarded) {
            Some(secret) => {
                sender.advance(secret.expose());
                false
            }
            // The member's ratchet has stepped with a secret that I do not have.
            None if expected => core::mem::take(sender).ratchet.is_some() && !answered && !joins,
            None => false,
        }
    }

    /// ADD-ACK: the joiner gets the ratchet, and everybody steps it. Returns whether I am the joiner, and lack it.
    fn take_ratchet(
        &mut self,
        from: KnownUser,
        added: Option<MemberIndex>,
        message: &Verified,
        answer: &AddAck<'_>,
        env: &mut Env<'_, '_>,
    ) -> bool {
        let (me, what) = (self.me(), label::RATCHET_COMMITMENT);
        let id = MessageId { author: from.id, number: message.number };
        let commitment = answer.commitment.as_ref();
        let joins = added == Some(me);
        if joins {
            let opened = self.decrypt_from(from, (message.number, &message.key), &answer.slot, env);
            let ratchet = opened.filter(|it| self.compare(what, &id, it, commitment, env));
            if let (Some(ratchet), Some(sender)) = (ratchet, self.sender(from.index)) {
                sender.ratchet = Some(ratchet);
            }
        }
        if !self.membership.view(from.index).contains(me) {
            return false;
        }
        let known = self.ratchet(from.index);
        if let Some(known) = known.as_ref().filter(|_| !joins) {
            self.compare(what, &id, known, commitment, env);
        }
        if let Some(sender) = self.sender(from.index) {
            sender.advance(label::ADD_STEP);
        }
        joins && known.is_none()
    }

    /// A member has lost what this control message gave it, and asks with its answer: for the adder's ratchet alone, or
    /// for the ratchets of all members that a seed steps.
    fn lost_by(&mut self, member: MemberIndex, (control, adds): (ControlId, bool), fresh: &FreshKey, rules: Rules) {
        let mine = control.author == self.me();
        if mine {
            self.renew_channel(member, fresh, rules);
        }
        if mine || !adds {
            self.asked_by(member);
        }
    }
}
