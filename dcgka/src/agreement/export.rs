//! The state of a group as bytes, secrets included, and back.

use std::collections::{BTreeMap, VecDeque};

use protocol::crypto::secret::{SECRET_LEN, Secret};
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::GroupId;
use protocol::membership::{MemberIndex, MemberSet, Membership};
use protocol::wire::codec::{Reader, put_len, put_prefixed, put_varint};

use super::sender::Sender;
use super::state::{ControlId, Group, Pending, Taken, User};
use crate::message_ratchet::Chain;
use crate::rules::Rules;
use crate::two_party::TwoParty;

impl Group {
    pub(crate) fn encode(&self, rules: Rules, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        let mut membership = Vec::new();
        self.membership.encode(&mut membership);
        put_prefixed(out, &membership);
        self.order.encode(out);
        put_secret(out, &self.signing.to_secret());
        put_varint(out, self.number);
        put_len(out, self.two_party.len());
        for (member, channel) in &self.two_party {
            put_varint(out, member.0);
            channel.encode(rules, out);
        }
        put_len(out, self.senders.len());
        self.senders.iter().for_each(|sender| put_sender(out, sender));
        if rules.tags_acks() {
            put_len(out, self.taken.len());
            for (member, taken) in &self.taken {
                put_varint(out, member.0);
                put_len(out, taken.len());
                for Taken { control, before } in taken {
                    put_control(out, control);
                    put_sender(out, before);
                }
            }
        }
        put_len(out, self.pending.len());
        for (control, Pending { recipients, secrets, waiting, covered }) in &self.pending {
            put_control(out, control);
            put_set(out, recipients);
            put_set(out, waiting);
            put_len(out, secrets.len());
            for (member, secret) in secrets {
                put_varint(out, member.0);
                put_secret(out, secret);
            }
            put_len(out, covered.len());
            covered.iter().for_each(|earlier| put_control(out, earlier));
        }
        out.push(self.dirty.into());
        out.push(self.unconfirmed.into());
        put_set(out, &self.lacking);
        put_set(out, &self.leaving);
        put_set(out, &self.retired);
        put_len(out, self.joined_at.len());
        self.joined_at.iter().for_each(|number| put_varint(out, *number));
    }

    pub(crate) fn decode(user: &User, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let id = GroupId(reader.array()?);
        let mut membership = reader.prefixed()?;
        let mut group = Self::empty(id, Membership::decode(user.id, &mut membership)?, user);
        Reader::new(membership).finish()?;
        let known = group.membership.everybody().len();
        group.order = user.rules.order().read(reader)?;
        group.signing = SigningKey::from_secret(&take_secret(reader)?);
        group.number = reader.varint()?;
        for _ in 0..reader.count(1)? {
            let member = MemberIndex(reader.varint()?);
            group.two_party.insert(member, TwoParty::decode(reader, user.rules)?);
        }
        for _ in 0..reader.count(1)? {
            group.senders.push(take_sender(reader)?);
        }
        for _ in 0..if user.rules.tags_acks() { reader.count(1)? } else { 0 } {
            let member = MemberIndex(reader.varint()?);
            let mut taken = VecDeque::new();
            for _ in 0..reader.count(1)? {
                taken.push_back(Taken { control: take_control(reader)?, before: take_sender(reader)? });
            }
            group.taken.insert(member, taken);
        }
        for _ in 0..reader.count(1)? {
            let control = take_control(reader)?;
            let (recipients, waiting) = (take_set(reader, known)?, take_set(reader, known)?);
            let mut secrets = BTreeMap::new();
            for _ in 0..reader.count(1 + SECRET_LEN)? {
                let member = MemberIndex(reader.varint()?);
                secrets.insert(member, take_secret(reader)?);
            }
            let covered = (0..reader.count(2)?).map(|_| take_control(reader)).collect::<Result<_, _>>()?;
            group.pending.insert(control, Pending { recipients, secrets, waiting, covered });
        }
        group.dirty = reader.flag()?;
        group.unconfirmed = reader.flag()?;
        group.lacking = take_set(reader, known)?;
        group.leaving = take_set(reader, known)?;
        group.retired = take_set(reader, known)?;
        for _ in 0..reader.count(1)? {
            group.joined_at.push(reader.varint()?);
        }
        // Everybody is known to each of the layers.
        if group.senders.len() != known || group.joined_at.len() != known || group.order.known() != known {
            return Err(Error::Malformed);
        }
        Ok(group)
    }
}

fn put_control(out: &mut Vec<u8>, control: &ControlId) {
    put_varint(out, control.author.0);
    put_varint(out, control.number);
}

fn take_control(reader: &mut Reader<'_>) -> Result<ControlId, Error> {
    Ok(ControlId { author: MemberIndex(reader.varint()?), number: reader.varint()? })
}

fn put_secret(out: &mut Vec<u8>, secret: &Secret) {
    out.extend_from_slice(secret.expose());
}

fn take_secret(reader: &mut Reader<'_>) -> Result<Secret, Error> {
    reader.array().map(Secret::new)
}

fn put_sender(out: &mut Vec<u8>, Sender { ratchet, chain }: &Sender) {
    put_optional(out, ratchet.as_ref());
    put_optional(out, chain.as_ref().map(Chain::as_secret));
}

fn take_sender(reader: &mut Reader<'_>) -> Result<Sender, Error> {
    Ok(Sender { ratchet: take_optional(reader)?, chain: take_optional(reader)?.map(Chain::new) })
}

fn put_optional(out: &mut Vec<u8>, secret: Option<&Secret>) {
    out.push(secret.is_some().into());
    secret.into_iter().for_each(|secret| put_secret(out, secret));
}

fn take_optional(reader: &mut Reader<'_>) -> Result<Option<Secret>, Error> {
    reader.flag()?.then(|| take_secret(reader)).transpose()
}

fn put_set(out: &mut Vec<u8>, set: &MemberSet) {
    put_len(out, set.len());
    set.iter().for_each(|member| put_varint(out, member.0));
}

/// A set takes memory by its largest index, so that must be somebody known.
fn take_set(reader: &mut Reader<'_>, known: usize) -> Result<MemberSet, Error> {
    let take = |reader: &mut Reader<'_>| {
        reader.varint().map(MemberIndex).ok().filter(|member| member.to_usize() < known).ok_or(Error::Malformed)
    };
    (0..reader.count(1)?).map(|_| take(reader)).collect()
}
