//! WELCOME: what a newcomer learns of the group from the member that added it.
//!
//! The welcome is signed with the adder's identity key and names the hash of its ADD; the newcomer needs both. So the ADD
//! is authentic without a check of its own signature, whose key the newcomer could not know.

use protocol::causal_order::Verified;
use protocol::crypto::signature::VerificationKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::Event;
use protocol::membership::{MemberIndex, MemberSet, Membership};
use protocol::wire::codec::{Reader, put_varint};
use protocol::wire::envelope::{Envelope, Subject};

use super::add::add_steps;
use super::state::{Env, Group, Pending, Sender};
use crate::messages::{self, ACK, ACK_NONE, ADD, WELCOME, Welcome};

/// Invitations to one group that may wait for their adds.
pub(crate) const MAX_INVITATIONS: usize = 64;

/// A checked welcome that waits for its add.
#[derive(Clone)]
pub(crate) struct Invitation {
    pub(crate) inviter: MemberId,
    /// The number of the add.
    pub(crate) number: u32,
    pub(crate) body: Vec<u8>,
}

impl Invitation {
    /// Checks signature and form.
    pub(crate) fn decode(group: &GroupId, inviter: MemberId, envelope: &Envelope<'_>) -> Result<Self, Error> {
        if envelope.kind != WELCOME || envelope.sender != inviter.handle() {
            return Err(Error::WrongAuthor);
        }
        let key = VerificationKey::from_bytes(&inviter.0).map_err(|_| Error::WrongAuthor)?;
        let digest = envelope.digest(group, &inviter, &Subject::None);
        envelope.verify(&digest, &key)?;
        Welcome::decode(envelope.body)?;
        Ok(Self { inviter, number: envelope.number, body: envelope.body.to_vec() })
    }

    /// Whether this message of the inviter is the add that the welcome belongs to.
    pub(crate) fn is_for(&self, group: &GroupId, me: &MemberId, bytes: &[u8]) -> Option<VerificationKey> {
        let welcome = Welcome::decode(&self.body).ok()?;
        let add = Envelope::decode(bytes).ok()?;
        let fits = add.kind == ADD
            && add.number == self.number
            && messages::decode_add(add.body) == Ok(*me)
            && add.digest(group, &self.inviter, &Subject::None) == welcome.add;
        add.new_key.filter(|_| fits)
    }
}

/// What a welcome says of each member besides its membership: the last message that the adder had handled, and the key of
/// the next one, where it is not the id.
struct Known {
    handled: u32,
    key: Option<VerificationKey>,
}

impl Group {
    /// The part of a welcome that is not bound to a newcomer: membership before the add, then [`Known`] for each but me.
    pub(super) fn encode_welcome_state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.membership.encode(&mut out);
        for member in self.membership.everybody().filter(|member| *member != self.me()) {
            let id = self.membership.id(member);
            let (handled, key) = self.order.frontier(&id).unwrap_or((0, id.0));
            put_varint(&mut out, handled);
            out.push(u8::from(key != id.0));
            if key != id.0 {
                out.extend_from_slice(&key);
            }
        }
        out
    }

    /// process-welcome: the newcomer's state after the add, and its acknowledgement.
    pub(crate) fn join(
        id: GroupId,
        invitation: &Invitation,
        adders_next_key: VerificationKey,
        env: &mut Env<'_, '_>,
    ) -> Result<Self, Error> {
        let welcome = Welcome::decode(&invitation.body)?;
        let mut state = welcome.state;
        let membership = Membership::decode(env.user.id, &mut state)?;
        let adder = membership.index(&invitation.inviter).ok_or(Error::Malformed)?;
        membership.check_add(adder, &env.user.id).map_err(|_| Error::Malformed)?;
        // The adder did not know me, and this add is news.
        let i_come_last = membership.me().to_usize() + 1 == membership.everybody().len();
        if !i_come_last || membership.operation(adder, invitation.number).is_some() {
            return Err(Error::Malformed);
        }
        let mut known = Vec::new();
        let mut reader = Reader::new(state);
        for member in membership.everybody().filter(|member| ![adder, membership.me()].contains(member)) {
            let handled = reader.varint()?;
            let key = reader.flag()?.then(|| VerificationKey::from_bytes(&reader.array()?)).transpose()?;
            known.push((member, Known { handled, key }));
        }
        reader.finish()?;
        known.push((adder, Known { handled: invitation.number, key: Some(adders_next_key) }));
        known.sort_unstable_by_key(|(member, _)| *member);

        let mut group = Self::empty(id, membership, env.user);
        for (member, Known { handled, key }) in known {
            let member = group.membership.id(member);
            let key = key.map_or_else(|| VerificationKey::from_bytes(&member.0), Ok)?;
            group.introduce(member, key, handled, Sender::default());
        }
        let (_, me) = group.membership.add(adder, invitation.number, env.user.id);
        if !group.view().contains(me) {
            return Err(Error::Malformed);
        }
        group.introduce(env.user.id, env.user.identity.verification_key(), 0, Sender::initial());
        for member in group.membership.everybody() {
            if !group.view().contains(member) {
                group.leaving.insert(member);
            }
        }
        group.take_first_secret(adder, invitation, &welcome, env)?;
        Ok(group)
    }

    /// The adder's ratchet, its two steps, and my acknowledgement, which starts my own ratchet.
    fn take_first_secret(
        &mut self,
        adder: MemberIndex,
        invitation: &Invitation,
        welcome: &Welcome<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        let me = self.me();
        env.events.push(Event::Joined { inviter: invitation.inviter });
        let recipients = MemberSet::from_iter([me]);
        let waiting = self.waiting_for(&recipients, adder);
        let pending = Pending { recipients, secrets: Default::default(), waiting, covered: Vec::new() };
        self.insert_pending((adder, invitation.number), pending);
        let subject = Subject::Acknowledged(invitation.inviter, invitation.number);
        let peer = (invitation.inviter, adder);
        let ratchet = self.decrypt_from(peer, (invitation.number, &invitation.inviter.0), &welcome.slot, env);
        let secret = ratchet.and_then(|ratchet| {
            let sender = self.sender(adder)?;
            sender.ratchet = Some(ratchet);
            add_steps(sender)
        });
        let kind = if secret.is_some() { ACK } else { ACK_NONE };
        if let (Some(secret), Some(sender)) = (secret, self.sender(me)) {
            sender.advance(secret.expose());
        }
        self.broadcast(kind, subject, &[], None, env)?;
        self.tidy();
        Ok(())
    }

    /// A welcome to a group that I am in already, from a member that did not know it.
    pub(crate) fn keep_second_welcome(&mut self, invitation: Invitation) -> Result<(), Error> {
        if self.second_welcomes.len() >= MAX_INVITATIONS {
            return Err(Error::QueueFull);
        }
        self.second_welcomes.insert((invitation.inviter, invitation.number), invitation);
        Ok(())
    }

    /// The next message to process. An add of me, who am a member, waits for its welcome: the ciphertext in it precedes all
    /// later ones of the adder.
    pub(super) fn next_message(&mut self, me: &MemberId) -> Option<(MemberId, Verified)> {
        let Self { order, membership, second_welcomes, .. } = self;
        order.next(|author, message| {
            if message.kind != ADD || messages::decode_add(&message.body) != Ok(*me) {
                return true;
            }
            let accepted = membership.index(author).is_some_and(|adder| membership.check_add(adder, me).is_ok());
            !accepted || second_welcomes.contains_key(&(*author, message.number))
        })
    }

    /// The adder's ratchet from its welcome, before the steps of its add.
    pub(super) fn take_second_welcome(
        &mut self,
        adder: (MemberId, MemberIndex),
        message: &Verified,
        env: &mut Env<'_, '_>,
    ) {
        let Some(invitation) = self.second_welcomes.remove(&(adder.0, message.number)) else { return };
        let Ok(welcome) = Welcome::decode(&invitation.body) else { return };
        if welcome.add != message.digest {
            return;
        }
        let ratchet = self.decrypt_from(adder, (message.number, &adder.0.0), &welcome.slot, env);
        if let (Some(ratchet), Some(sender)) = (ratchet, self.sender(adder.1)) {
            sender.ratchet = Some(ratchet);
        }
    }
}
