//! WELCOME: what a joiner learns of the group from the member that added it.
//!
//! The welcome is signed with the adder's identity key, names the hash of its ADD, and carries the key that verifies
//! the ADD. The joiner needs both messages.

use std::cell::OnceCell;

use protocol::causal_order::Names;
use protocol::crypto::hash::Digest;
use protocol::crypto::label;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use protocol::error::Error;
use protocol::id::{GroupId, MemberId, MessageId};
use protocol::member::Event;
use protocol::membership::{KnownUser, MemberIndex, MemberSet, Membership};
use protocol::wire::codec::{Reader, put_varint};
use protocol::wire::envelope::{Envelope, Subject};

use super::sender::Sender;
use super::state::{ControlId, Env, Group, Pending};
use crate::limits::WELCOME_LIMITS;
use crate::messages::{ACK, ACK_NONE, ADD, Add, WELCOME, Welcome};
use crate::rules::Rules;
use crate::two_party::Slot;

/// A checked welcome that waits for its add.
#[derive(Clone)]
pub(crate) struct Invitation {
    pub(crate) inviter: MemberId,
    /// The number of the add.
    pub(crate) number: u32,
    pub(crate) body: Vec<u8>,
    /// What came of trying it with an add, so that the state is not decoded again for each forged copy of that add. Not
    /// exported.
    pub(crate) tried: Option<NotJoined>,
    /// The users that the welcome names. They are looked for if the add names some. Not exported.
    names: OnceCell<Names>,
}

/// Why a user does not join by a welcome and the adds that are here.
#[derive(Clone)]
pub(crate) enum NotJoined {
    /// The welcome is invalid.
    Invalid(Error),
    /// No add is authentic: they are damaged, and the genuine one may still arrive. This key verifies it.
    Forged(Box<VerificationKey>),
}

impl From<Error> for NotJoined {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

impl Invitation {
    pub(crate) fn new(inviter: MemberId, number: u32, body: Vec<u8>) -> Self {
        Self { inviter, number, body, tried: None, names: OnceCell::new() }
    }

    /// Takes a welcome whose signature and form are valid.
    pub(crate) fn decode(group: &GroupId, inviter: MemberId, envelope: &Envelope<'_>) -> Result<Self, Error> {
        if envelope.kind != WELCOME || envelope.sender != inviter.handle() {
            return Err(Error::WrongAuthor);
        }
        let key = VerificationKey::from_bytes(&inviter.0).map_err(|_| Error::WrongAuthor)?;
        let digest = envelope.digest(group, &inviter, &Subject::None);
        envelope.verify(&digest, &key)?;
        Welcome::decode(envelope.body)?;
        Ok(Self::new(inviter, envelope.number, envelope.body.to_vec()))
    }

    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        (self.inviter, self.number, &self.body) == (other.inviter, other.number, &other.body)
    }

    /// Takes this message of the inviter, if it is the add that the welcome belongs to.
    pub(crate) fn is_for<'a>(
        &self,
        group: &GroupId,
        me: &MemberId,
        rules: Rules,
        envelope: &Envelope<'a>,
    ) -> Option<AddOfMe<'a>> {
        let welcome = Welcome::decode(&self.body).ok()?;
        let is_it = envelope.kind == ADD && envelope.number == self.number && envelope.sender == self.inviter.handle();
        if !is_it {
            return None;
        }
        let add = Add::decode(envelope.body, rules).ok().filter(|add| add.user == *me)?;
        // The inviter has acknowledged messages of users that it knew.
        let names = match envelope.history.is_empty() {
            true => &Names::default(),
            false => self.names.get_or_init(|| names_in(welcome.state)),
        };
        let digests = names.readings(envelope).ok()?;
        let digest = digests
            .map(|it| envelope.digest_after(group, &self.inviter, &it.subject, &it.history))
            .find(|digest| *digest == welcome.add)?;
        let may_be_genuine = || match &self.tried {
            None => true,
            Some(NotJoined::Forged(key)) => envelope.verify(&digest, key).is_ok(),
            Some(NotJoined::Invalid(_)) => false,
        };
        let Add { commitment, slot, .. } = add;
        may_be_genuine().then_some(AddOfMe { envelope: *envelope, digest, commitment, slot })
    }
}

fn names_in(state: &[u8]) -> Names {
    let mut names = Names::default();
    for id in Membership::users_in(state, &WELCOME_LIMITS).unwrap_or_default() {
        names.insert(id.handle(), id);
    }
    names
}

/// What a joiner takes from its add. The signature has not been checked yet.
pub(crate) struct AddOfMe<'a> {
    envelope: Envelope<'a>,
    digest: Digest,
    commitment: Option<Digest>,
    slot: Slot<'a>,
}

/// What a welcome says of each user besides the membership: the number of its last message that the adder had delivered
/// before the add, and the key of the next one, unless that is the id. The adder is included, because the slot is bound
/// to its key at that time.
struct Known {
    delivered: u32,
    key: VerificationKey,
}

impl Known {
    fn decode(id: &MemberId, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let delivered = reader.varint()?;
        let key = if reader.flag()? { reader.array()? } else { id.0 };
        Ok(Self { delivered, key: VerificationKey::from_bytes(&key)? })
    }
}

impl Group {
    /// The state in a welcome: the membership before the add, then a [`Known`] for each user.
    pub(super) fn encode_welcome_state(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.membership.encode(&mut out);
        for member in self.membership.everybody() {
            let id = self.membership.id(member);
            let (delivered, key) = self.order.frontier(&id).unwrap_or((0, id.0));
            put_varint(&mut out, delivered);
            out.push((key != id.0).into());
            if key != id.0 {
                out.extend_from_slice(&key);
            }
        }
        out
    }

    /// process-welcome: the joiner's state after the first of these adds that is authentic, and its acknowledgement.
    pub(crate) fn join<'a>(
        id: GroupId,
        invitation: &Invitation,
        mut adds: impl Iterator<Item = AddOfMe<'a>>,
        env: &mut Env<'_, '_>,
    ) -> Result<Self, NotJoined> {
        let welcome = Welcome::decode(&invitation.body)?;
        let mut state = welcome.state;
        let membership = Membership::decode_within(env.user.id, &mut state, &WELCOME_LIMITS)?;
        let adder = membership.index(&invitation.inviter).ok_or(Error::Malformed)?;
        membership.check_add(adder, &env.user.id).map_err(|_| Error::Malformed)?;
        // The state is all that the adder knew, and it knew neither me nor this add.
        let i_come_last = membership.me().to_usize() + 1 == membership.everybody().len();
        let complete = i_come_last && membership.has_acknowledged_everything(adder);
        if !complete || membership.recorded(adder, invitation.number).is_some() {
            return Err(Error::Malformed.into());
        }
        let mut group = Self::empty(id, membership, env.user);
        let mut reader = Reader::new(state);
        let mut taken = None;
        let me = group.me();
        for member in group.membership.everybody().filter(|member| *member != me) {
            let id = group.membership.id(member);
            let mut known = Known::decode(&id, &mut reader)?;
            if member == adder {
                let verified = |add: AddOfMe<'a>| Some((add.envelope.verify(&add.digest, &known.key).ok()??, add));
                let Some((next_key, add)) = adds.find_map(verified) else {
                    return Err(NotJoined::Forged(Box::new(known.key)));
                };
                taken = Some((*known.key.as_bytes(), add));
                known = Known { delivered: invitation.number, key: next_key };
            }
            // A user that has been added and has not joined has the first state, which is public. By another add than the
            // one that the adder knew, it may join a group in which I am a member already, and I must follow it then. But
            // everybody can use the first state, and the adder could name a key of its own. Until it joins, a user has sent
            // nothing, and its key is its id.
            let joined = group.membership.view(member).contains(member);
            let unused = known.delivered == 0 && *known.key.as_bytes() == id.0;
            let sender = if !joined && unused { Sender::initial() } else { Sender::default() };
            group.introduce(id, known.key, known.delivered, sender);
        }
        reader.finish()?;
        let (adders_key, add) = taken.ok_or(Error::Malformed)?;
        let (_, me) = group.membership.add(adder, invitation.number, env.user.id);
        if !group.view().contains(me) {
            return Err(Error::Malformed.into());
        }
        group.introduce(env.user.id, env.user.identity.verification_key(), 0, Sender::initial());
        for member in group.membership.everybody() {
            if !group.view().contains(member) {
                group.leaving.insert(member);
            }
        }
        group.take_first_secret(adder, invitation, (&adders_key, &add), env)?;
        Ok(group)
    }

    /// Takes the adder's ratchet, makes its two steps, and sends my acknowledgement, which starts my own ratchet.
    fn take_first_secret(
        &mut self,
        adder: MemberIndex,
        invitation: &Invitation,
        (key, add): (&[u8; VERIFICATION_KEY_LEN], &AddOfMe<'_>),
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        let me = self.me();
        env.events.push(Event::Joined { inviter: invitation.inviter });
        let recipients = MemberSet::from_iter([me]);
        let waiting = self.waiting_for(&recipients, adder);
        let mut pending = Pending { recipients, secrets: Default::default(), waiting, covered: Vec::new() };
        let control = ControlId { author: adder, number: invitation.number };
        let subject = Subject::Acknowledged(invitation.inviter, invitation.number);
        let peer = KnownUser { id: invitation.inviter, index: adder };
        let ratchet = self.decrypt_from(peer, (invitation.number, key), &add.slot, env);
        let id = MessageId { author: peer.id, number: invitation.number };
        let fits = |it: &Secret| self.compare(label::RATCHET_COMMITMENT, &id, it, add.commitment.as_ref(), env);
        let secret = ratchet.filter(fits).and_then(|ratchet| {
            let sender = self.sender(adder)?;
            sender.ratchet = Some(ratchet);
            sender.add_steps()
        });
        if self.stolen {
            pending.secrets.extend(secret.map(|secret| (me, secret)));
            self.insert_pending(control, pending);
            return Ok(());
        }
        self.insert_pending(control, pending);
        self.unconfirmed = true;
        match secret {
            Some(secret) => {
                if let Some(sender) = self.sender(me) {
                    sender.advance(secret.expose());
                }
                self.broadcast(ACK, subject, &[], None, env)?;
            }
            None => {
                let fresh = self.fresh_key(adder, env);
                self.broadcast(ACK_NONE, subject, &fresh, None, env)?;
            }
        }
        self.tidy();
        Ok(())
    }
}
