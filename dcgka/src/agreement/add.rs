//! ADD: a member adds a user. Everybody who knows the adder's ratchet derives the joiner's first secret from it, and
//! sends its own ratchet to the joiner.
//!
//! The ADD carries the adder's ratchet, encrypted to the joiner; the welcome does not. A user that another member has
//! added meanwhile needs no welcome, and must be able to process the ADD without waiting for one.

use std::collections::BTreeMap;

use protocol::causal_order::Verified;
use protocol::crypto::hash::Digest;
use protocol::crypto::label;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SigningKey, VerificationKey};
use protocol::error::Error;
use protocol::id::{MemberId, MessageId};
use protocol::member::{Event, Outgoing, Recipients, Rule};
use protocol::membership::{KnownUser, MemberIndex, MemberSet};
use protocol::wire::envelope::{Draft, Subject};

use super::commitment::commit;
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
        let ratchet = self.ratchet(self.me()).ok_or(Error::Internal)?;
        let message = MessageId { author: env.user.id, number: self.next_number()? };
        let commitment = commit(label::RATCHET_COMMITMENT, &self.id, &message, &ratchet, env.user.rules);
        self.send_add(user, user_key, &ratchet, commitment, env)
    }

    /// ADD and welcome, with this ratchet and this commitment.
    pub(super) fn send_add(
        &mut self,
        user: MemberId,
        user_key: VerificationKey,
        ratchet: &Secret,
        commitment: Option<Digest>,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        let (me, number) = (self.me(), self.next_number()?);
        let state = self.encode_welcome_state();
        if state.len() > MAX_WELCOME_STATE_LEN || !self.membership.is_within(&WELCOME_LIMITS) {
            return Err(Error::GroupSize);
        }
        let mut body = Add::encode_head(&user, commitment.as_ref());
        // A known user cannot be added: I have acknowledged its add. So this user gets the next index.
        let joiner = MemberIndex::from_usize(self.senders.len());
        let mut carrier = self.carrier(number);
        carrier.put_header(env, &mut body);
        self.encrypt_to(KnownUser { id: user, index: joiner }, ratchet, &mut carrier, env, &mut body);
        if Add::decode(&body, env.user.rules).is_err() {
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

        self.record_add(ControlId { author: me, number }, user, user_key, true);
        self.tidy();
        Ok(())
    }

    /// What everybody does with an add, the adder included: records the membership change, derives the joiner's secret
    /// and makes the adder's steps. Returns the joiner, and whether I should know its first secret and do not: because I
    /// have lost the adder's ratchet, or because the adder is not `honest` about it.
    fn record_add(
        &mut self,
        control: ControlId,
        user: MemberId,
        key: VerificationKey,
        honest: bool,
    ) -> (MemberIndex, bool) {
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
                    if !self.retired.contains(joiner) {
                        pending.waiting.insert(joiner);
                    }
                } else {
                    covered.push(*earlier);
                }
            }
        }
        // If the adder has lied about its ratchet, it has given the joiner another one.
        let concerns_me = self.membership.view(adder).contains(self.me());
        let steps = concerns_me.then(|| self.sender(adder).and_then(Sender::add_steps)).flatten();
        let secrets: BTreeMap<_, _> = steps.filter(|_| honest).map(|secret| (joiner, secret)).into_iter().collect();
        let lost = concerns_me && secrets.is_empty();
        let recipients = MemberSet::from_iter([joiner]);
        let waiting = self.waiting_for(&recipients, adder);
        self.insert_pending(control, Pending { recipients, secrets, waiting, covered });
        (joiner, lost)
    }

    /// ADD at a member.
    pub(super) fn process_add(
        &mut self,
        adder: KnownUser,
        message: &Verified,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Stop> {
        let Add { user, commitment, slot } = Add::decode(&message.body, env.user.rules).map_err(|_| Rule::Form)?;
        let key = VerificationKey::from_bytes(&user.0).map_err(|_| Rule::Form)?;
        self.check_add(adder.index, &user)?;
        let before = self.view().clone();
        let (what, commitment) = (label::RATCHET_COMMITMENT, commitment.as_ref());
        let id = MessageId { author: adder.id, number: message.number };
        if user == env.user.id {
            // The adder did not know that I am a member, and has sent me its ratchet.
            let opened = self.decrypt_from(adder, (message.number, &message.key), &slot, env);
            let ratchet = opened.filter(|it| self.compare(what, &id, it, commitment, env));
            if let Some(sender) = self.sender(adder.index) {
                *sender = Sender { ratchet, chain: None };
            }
        }
        let known = self.ratchet(adder.index);
        let honest = known.is_none_or(|known| self.compare(what, &id, &known, commitment, env));
        let add = ControlId { author: adder.index, number: message.number };
        let (joiner, lost) = self.record_add(add, user, key, honest);
        // A void add adds nobody, and neither does the second add of a member.
        if self.view().contains(joiner) && !before.contains(joiner) {
            env.events.push(Event::Added { by: adder.id, user });
        }
        self.view_changed(&before, adder.index, env);
        if !self.continues() {
            return Ok(());
        }
        let joiner = KnownUser { id: user, index: joiner };
        self.acknowledge_add(adder, message.number, joiner, env)?;
        // If I am the joiner, my own secrets do not depend on this add, but I have lost the adder.
        let owner = if joiner.index == self.me() { adder } else { joiner };
        if lost { Ok(self.ask(owner, env)?) } else { Ok(()) }
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
        if self.stolen {
            return Ok(());
        }
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
        match self.ratchet(me).filter(|_| !guarded || self.view().contains(joiner.index)) {
            Some(ratchet) => {
                let mut carrier = self.carrier(mine);
                carrier.put_header(env, &mut body);
                let full = self.encrypt_to(joiner, &ratchet, &mut carrier, env, &mut body);
                let message = MessageId { author: env.user.id, number: mine };
                let commitment = commit(label::RATCHET_COMMITMENT, &self.id, &message, &ratchet, env.user.rules);
                body.extend(commitment.iter().flat_map(Digest::as_bytes));
                if !full {
                    body = Slot::EMPTY_BODY.to_vec();
                }
            }
            None => body.extend_from_slice(Slot::EMPTY_BODY),
        }
        if let Some(sender) = self.sender(me) {
            let silent = sender.chain.is_none();
            sender.advance(label::ADD_STEP);
            // Without a secret of mine, this step starts from what everybody knows.
            if silent {
                sender.chain = None;
            }
        }
        self.broadcast(ADD_ACK, subject, &body, None, env).map(drop)
    }
}
