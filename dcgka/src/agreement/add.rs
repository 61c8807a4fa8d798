//! ADD: a member adds a user. Everybody who knows the adder's ratchet derives the joiner's first secret from it, and
//! sends its own ratchet to the joiner.
//!
//! The ADD carries the adder's ratchet, encrypted to the joiner; the welcome does not. A user that another member has
//! added meanwhile needs no welcome, and must be able to process the ADD without waiting for one.

use std::collections::BTreeMap;

use protocol::causal_order::Verified;
use protocol::crypto::label;
use protocol::crypto::signature::{SigningKey, VerificationKey};
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{Event, Outgoing, Recipients, Rule};
use protocol::membership::{KnownUser, MemberIndex, MemberSet};
use protocol::wire::envelope::{Draft, Subject};

use super::sender::Sender;
use super::state::{ControlId, Env, Group, Pending, Stop};
use crate::limits::{MAX_KNOWN, MAX_MEMBERS, MAX_WELCOME_STATE_LEN, WELCOME_LIMITS};
use crate::messages::{self, ACK_NONE, ADD, ADD_ACK, Add, WELCOME, Welcome};
use crate::two_party::Slot;

impl Group {
    /// The adder's side: ADD to all, with the ratchet before the add's steps encrypted to the joiner, and a welcome to
    /// the joiner.
    pub(crate) fn add(&mut self, user: &MemberId, env: &mut Env<'_, '_>) -> Result<(), Error> {
        let me = self.me();
        self.check_add(me, user).map_err(|rule| match rule {
            Rule::GroupSize => Error::GroupSize,
            _ => Error::AlreadyAMember,
        })?;
        let user_key = VerificationKey::from_bytes(&user.0).map_err(|_| Error::NoBundle)?;
        self.after_repair(env, |group, env| group.add_clean(*user, user_key, env))
    }

    /// Whether a member may add a user. Only the author's view counts, so that all receivers decide alike.
    pub(super) fn check_add(&self, adder: MemberIndex, user: &MemberId) -> Result<(), Rule> {
        self.membership.check_add(adder, user)?;
        let full = self.membership.view(adder).len() >= MAX_MEMBERS || self.membership.known_by(adder) >= MAX_KNOWN;
        if full { Err(Rule::GroupSize) } else { Ok(()) }
    }

    fn add_clean(&mut self, user: MemberId, user_key: VerificationKey, env: &mut Env<'_, '_>) -> Result<(), Error> {
        self.check_unacknowledged()?;
        let me = self.me();
        let number = self.next_number()?;
        let ratchet =
            self.senders.get(me.to_usize()).and_then(|sender| sender.ratchet.clone()).ok_or(Error::Internal)?;
        let state = self.encode_welcome_state();
        if state.len() > MAX_WELCOME_STATE_LEN || !self.membership.is_within(&WELCOME_LIMITS) {
            return Err(Error::GroupSize);
        }
        let mut body = Add::encode_head(&user);
        // A known user cannot be added: I have acknowledged its add. So this user gets the next index.
        let joiner = MemberIndex::from_usize(self.senders.len());
        self.encrypt_to(KnownUser { id: user, index: joiner }, &ratchet, self.signed_as(number), env, &mut body);
        if Add::decode(&body).is_err() {
            self.two_party.remove(&joiner);
            return Err(Error::NoBundle);
        }

        let new_key = SigningKey::random(&mut *env.context.rng);
        let add = self.broadcast(ADD, Subject::None, &body, Some(new_key), env)?;
        let body = Welcome::encode(&add, &state);
        let draft =
            Draft { kind: WELCOME, sender: env.user.id, number, subject: Subject::None, new_key: None, body: &body };
        let (bytes, _) = draft.sign(&self.id, self.handle(&env.user.id)?, None, &env.user.identity);
        env.outgoing.push(Outgoing { to: Recipients::One(user), kind: messages::name(WELCOME), bytes });

        self.record_add(ControlId { author: me, number }, user, user_key);
        self.tidy();
        Ok(())
    }

    /// What everybody does with an add, the adder included: records the membership change, derives the joiner's secret
    /// and makes the adder's steps. Returns the joiner.
    fn record_add(&mut self, control: ControlId, user: MemberId, key: VerificationKey) -> MemberIndex {
        let adder = control.author;
        let known = self.membership.index(&user).is_some();
        let (_, joiner) = self.membership.add(adder, control.number, user);
        if !known {
            self.introduce(user, key, 0, Sender::initial());
        }
        // The adder or the user has been removed already, and some members may not know.
        if !self.view().contains(joiner) && !self.retired.contains(joiner) {
            self.leaving.insert(joiner);
        }
        // The welcome does not cover control messages that the adder had not acknowledged: the joiner will deliver them
        // too. The joiner's first acknowledgement says by which of several concurrent adds it joined.
        let mut covered = Vec::new();
        if !self.membership.view(joiner).contains(joiner) {
            for (earlier, pending) in &mut self.pending {
                if pending.waiting.contains(adder) {
                    pending.waiting.insert(joiner);
                } else {
                    covered.push(*earlier);
                }
            }
        }
        let mut secrets = BTreeMap::new();
        if self.membership.view(adder).contains(self.me())
            && let Some(secret) = self.sender(adder).and_then(Sender::add_steps)
        {
            secrets.insert(joiner, secret);
        }
        let recipients = MemberSet::from_iter([joiner]);
        let waiting = self.waiting_for(&recipients, adder);
        self.insert_pending(control, Pending { recipients, secrets, waiting, covered });
        joiner
    }

    /// ADD at a member.
    pub(super) fn process_add(
        &mut self,
        adder: KnownUser,
        message: &Verified,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Stop> {
        let Add { user, slot } = Add::decode(&message.body).map_err(|_| Rule::Form)?;
        let key = VerificationKey::from_bytes(&user.0).map_err(|_| Rule::Form)?;
        self.check_add(adder.index, &user)?;
        let before = self.view().clone();
        if user == env.user.id {
            // The adder did not know that I am a member, and has sent me its ratchet.
            let ratchet = self.decrypt_from(adder, (message.number, &message.key), &slot, env);
            if let Some(sender) = self.sender(adder.index) {
                *sender = Sender { ratchet, chain: None };
            }
        }
        let add = ControlId { author: adder.index, number: message.number };
        let joiner = self.record_add(add, user, key);
        // A void add adds nobody, and neither does the second add of a member.
        if self.view().contains(joiner) && !before.contains(joiner) {
            env.events.push(Event::Added { by: adder.id, user });
        }
        self.view_changed(&before, adder.index, env);
        if !self.is_inside() {
            return Ok(());
        }
        Ok(self.acknowledge_add(adder, message.number, KnownUser { id: user, index: joiner }, env)?)
    }

    /// My acknowledgement. The joiner gets my ratchet as it is before my own step. If the rules guard ADD-ACKs, only a
    /// joiner in my view does: otherwise a removed member could add an accomplice, which would get everybody's ratchet.
    fn acknowledge_add(
        &mut self,
        adder: KnownUser,
        number: u32,
        joiner: KnownUser,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        let me = self.me();
        let subject = Subject::Acknowledged(adder.id, number);
        let guarded = env.user.rules.guards_add_acks();
        if joiner.index == me || (guarded && !self.view().contains(adder.index)) {
            let add = ControlId { author: adder.index, number };
            if let Some(pending) = self.pending.get_mut(&add).filter(|_| joiner.index == me) {
                pending.secrets.remove(&me);
            }
            return self.broadcast(ACK_NONE, subject, &[], None, env).map(drop);
        }
        let mine = self.next_number()?;
        let mut body = Vec::new();
        let ratchet = self.senders.get(me.to_usize()).and_then(|sender| sender.ratchet.clone());
        match ratchet.filter(|_| !guarded || self.view().contains(joiner.index)) {
            Some(ratchet) => self.encrypt_to(joiner, &ratchet, self.signed_as(mine), env, &mut body),
            None => Slot::put_empty(&mut body),
        }
        if let Some(sender) = self.sender(me) {
            sender.advance(label::ADD_STEP);
        }
        self.broadcast(ADD_ACK, subject, &body, None, env).map(drop)
    }
}
