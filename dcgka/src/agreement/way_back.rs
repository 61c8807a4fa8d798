//! The way back for a member that has lost ratchets, because a ciphertext was missing, did not open or did not
//! fit its commitment.
//!
//! Nothing in the published algorithm heals that: each later step needs the ratchet before it. So the member *asks*, in
//! a message that it signs, and names a fresh key of its own in it, to which the author of the useless ciphertext
//! encrypts next:
//!
//! - An acknowledgement with `none` of a seed asks everybody: the ratchets of the author and of all members that
//!   acknowledge the seed are lost. With `none` a joiner asks its adder.
//! - ASK asks one member, whose ratchet alone is lost.
//!
//! A member that is asked returns its ratchet, as it is before the step, with its next update or removal: two
//! ciphertexts for the member that asked instead of one. Nobody sends anything merely because it was asked, so asking
//! cannot go round in circles, and a member that asks without need wastes one ciphertext each time. Only the member
//! itself can sign that it asks, and only the member that is asked can answer: with its identity key, since a joiner
//! knows signature keys from its inviter alone. The fresh key replaces a key of the same member, so no prekeys are
//! needed again: neither the directory nor a thief of old prekeys gains anything.

use protocol::causal_order::Verified;
use protocol::crypto::label::{self, Label};
use protocol::crypto::secret::Secret;
use protocol::error::Error;
use protocol::id::MessageId;
use protocol::member::Rule;
use protocol::membership::{KnownUser, MemberIndex};
use protocol::wire::envelope::Subject;

use super::commitment::commit;
use super::state::{Carrier, Env, Group, Stop};
use crate::messages::{ASK, Copies};
use crate::rules::Rules;
use crate::two_party::FreshKey;

impl Group {
    /// The body of a message by which I ask a member for its ratchet: a fresh key for our channel. Empty if the rules
    /// know no asking.
    pub(super) fn fresh_key(&mut self, peer: MemberIndex, env: &mut Env<'_, '_>) -> Vec<u8> {
        if !env.user.rules.asks() {
            return Vec::new();
        }
        // It goes into my next message.
        let Ok(number) = self.next_number() else { return Vec::new() };
        let channel = self.two_party.entry(peer).or_default();
        channel.renew(number, env.user.rules, &mut *env.context.rng).map(|fresh| fresh.encode()).unwrap_or_default()
    }

    /// Asks one member for its ratchet.
    pub(super) fn ask(&mut self, peer: KnownUser, env: &mut Env<'_, '_>) -> Result<(), Error> {
        if self.stolen || !self.view().contains(peer.index) {
            return Ok(());
        }
        let fresh = self.fresh_key(peer.index, env);
        if fresh.is_empty() {
            return Ok(());
        }
        self.broadcast(ASK, Subject::Member(peer.id), &fresh, None, env).map(drop)
    }

    /// ASK at a member.
    pub(super) fn process_ask(&mut self, from: KnownUser, message: &Verified, env: &Env<'_, '_>) -> Result<(), Stop> {
        if !self.membership.view(from.index).contains(from.index) {
            return Err(Rule::AuthorNotAMember.into());
        }
        let fresh = FreshKey::decode(&message.body).ok().filter(|_| env.user.rules.asks()).ok_or(Rule::Form)?;
        if message.subject.name() == Some(env.user.id) {
            self.asked_by(from.index);
            self.renew_channel(from.index, &fresh, env.user.rules);
        }
        Ok(())
    }

    /// A member asks for my ratchet. Nothing is encrypted to members outside my view.
    pub(super) fn asked_by(&mut self, member: MemberIndex) {
        if self.view().contains(member) {
            self.lacking.insert(member);
        }
    }

    /// A member has named a fresh key, to which I encrypt next.
    pub(super) fn renew_channel(&mut self, member: MemberIndex, fresh: &FreshKey, rules: Rules) {
        if self.view().contains(member) {
            self.two_party.entry(member).or_default().renewed(fresh, rules);
        }
    }

    /// Appends my ratchet, as it is before the step, for those recipients that have asked for it.
    pub(super) fn return_my_ratchet(
        &mut self,
        recipients: &[KnownUser],
        carrier: &mut Carrier,
        env: &mut Env<'_, '_>,
        body: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let lacking: Vec<_> = recipients.iter().filter(|user| self.lacking.remove(user.index)).copied().collect();
        let Some(ratchet) = self.ratchet(self.me()) else { return Ok(()) };
        self.put_copies(label::RATCHET_COMMITMENT, &ratchet, &lacking, carrier, env, body)
    }

    /// Takes the author's ratchet from its update or removal if I have lost it. Returns whether it is there and I still
    /// lack it.
    pub(super) fn take_returned_ratchet(
        &mut self,
        author: KnownUser,
        message: &Verified,
        ratchets: &Copies<'_>,
        env: &mut Env<'_, '_>,
    ) -> bool {
        let what = label::RATCHET_COMMITMENT;
        let copy = self.take_copy(what, author, message, ratchets, env);
        match self.ratchet(author.index) {
            Some(known) => {
                let id = MessageId { author: author.id, number: message.number };
                self.compare(what, &id, &known, ratchets.commitment.as_ref(), env);
                false
            }
            None => {
                let mine = self.handle(&env.user.id).ok();
                let lost = copy.is_none() && mine.is_some_and(|mine| ratchets.of(mine).next().is_some());
                if let Some(sender) = self.sender(author.index) {
                    sender.ratchet = copy;
                }
                lost
            }
        }
    }

    /// Appends copies of a secret for these members, and the commitment to it.
    pub(super) fn put_copies(
        &mut self,
        what: Label,
        secret: &Secret,
        peers: &[KnownUser],
        carrier: &mut Carrier,
        env: &mut Env<'_, '_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if peers.is_empty() {
            return Ok(());
        }
        let message = MessageId { author: env.user.id, number: carrier.number() };
        if let Some(commitment) = commit(what, &self.id, &message, secret, env.user.rules) {
            out.extend_from_slice(commitment.as_bytes());
        }
        carrier.put_header(env, out);
        for peer in peers {
            out.extend_from_slice(&self.handle(&peer.id)?.0);
            self.encrypt_to(*peer, secret, carrier, env, out);
        }
        Ok(())
    }

    /// The copy that is for me, if it fits the commitment. It is opened even if I do not need the secret, because the
    /// channel has advanced.
    pub(super) fn take_copy(
        &mut self,
        what: Label,
        from: KnownUser,
        message: &Verified,
        copies: &Copies<'_>,
        env: &mut Env<'_, '_>,
    ) -> Option<Secret> {
        let id = MessageId { author: from.id, number: message.number };
        copies.of(self.handle(&env.user.id).ok()?).find_map(|slot| {
            let secret = self.decrypt_from(from, (message.number, &message.key), slot, env)?;
            self.compare(what, &id, &secret, copies.commitment.as_ref(), env).then_some(secret)
        })
    }
}
