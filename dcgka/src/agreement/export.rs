//! The whole state of a member as bytes, secrets included, and back.

use std::collections::BTreeMap;

use protocol::causal_order::CausalOrder;
use protocol::crypto::secret::{SECRET_LEN, Secret};
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GROUP_ID_LEN, GroupId, MemberId};
use protocol::membership::{MemberIndex, MemberSet, Membership};
use protocol::wire::codec::{Reader, put_len, put_prefixed, put_varint};
use protocol::x3dh::PrekeySecrets;

use super::state::{Group, Pending, Sender, User};
use super::welcome::Invitation;
use crate::dsgm::{Dsgm, Lobby, Stage};
use crate::message_ratchet::Chain;
use crate::rules::Rules;
use crate::two_party::TwoParty;

/// Version of the form below. In the same byte stands the variant, so that no member goes on under other rules.
const VERSION: u8 = 1;
const PUBLISHED: u8 = 0x80;
const OUTSIDE: u8 = 0;
const INSIDE: u8 = 1;
const REMOVED: u8 = 2;

impl Dsgm {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![form(self.user.rules)];
        put_secret(&mut out, &self.user.identity.to_secret());
        self.user.prekeys.encode(&mut out);
        match &self.stage {
            Stage::Outside(lobbies) => {
                out.push(OUTSIDE);
                put_len(&mut out, lobbies.len());
                for (id, lobby) in lobbies {
                    out.extend_from_slice(&id.0);
                    lobby.waiting.encode(&mut out);
                    put_invitations(&mut out, &lobby.invitations);
                }
            }
            Stage::Inside(group) => {
                out.push(INSIDE);
                group.encode(&mut out);
            }
            Stage::Removed(id) => {
                out.push(REMOVED);
                out.extend_from_slice(&id.0);
            }
        }
        out
    }

    pub(crate) fn decode(state: &[u8], rules: Rules) -> Result<Self, Error> {
        let mut reader = Reader::new(state);
        if reader.byte()? != form(rules) {
            return Err(Error::Malformed);
        }
        let identity = SigningKey::from_secret(&take_secret(&mut reader)?);
        let id = MemberId(*identity.verification_key().as_bytes());
        let user = User { id, identity, prekeys: PrekeySecrets::decode(&mut reader)?, rules };
        let stage = match reader.byte()? {
            OUTSIDE => {
                let mut lobbies = BTreeMap::new();
                for _ in 0..reader.count(GROUP_ID_LEN)? {
                    let id = GroupId(reader.array()?);
                    let waiting = CausalOrder::decode(&mut reader)?;
                    lobbies.insert(id, Lobby { waiting, invitations: take_invitations(&mut reader)? });
                }
                Stage::Outside(lobbies)
            }
            INSIDE => Stage::Inside(Box::new(Group::decode(&user, &mut reader)?)),
            REMOVED => Stage::Removed(GroupId(reader.array()?)),
            _ => return Err(Error::Malformed),
        };
        reader.finish()?;
        Ok(Self { user, stage })
    }
}

impl Group {
    fn encode(&self, out: &mut Vec<u8>) {
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
            channel.encode(out);
        }
        put_len(out, self.senders.len());
        for Sender { ratchet, chain } in &self.senders {
            put_optional(out, ratchet.as_ref());
            put_optional(out, chain.as_ref().map(Chain::as_secret));
        }
        put_len(out, self.pending.len());
        for ((author, number), Pending { recipients, secrets, waiting, covered }) in &self.pending {
            put_varint(out, author.0);
            put_varint(out, *number);
            put_set(out, recipients);
            put_set(out, waiting);
            put_len(out, secrets.len());
            for (member, secret) in secrets {
                put_varint(out, member.0);
                put_secret(out, secret);
            }
            put_len(out, covered.len());
            for (author, number) in covered {
                put_varint(out, author.0);
                put_varint(out, *number);
            }
        }
        out.push(self.dirty.into());
        put_set(out, &self.leaving);
        put_set(out, &self.retired);
        put_len(out, self.joined_at.len());
        self.joined_at.iter().for_each(|number| put_varint(out, *number));
    }

    fn decode(user: &User, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let id = GroupId(reader.array()?);
        let mut membership = reader.prefixed()?;
        let mut group = Self::empty(id, Membership::decode(user.id, &mut membership)?, user);
        Reader::new(membership).finish()?;
        let known = group.membership.everybody().len();
        group.order = CausalOrder::decode(reader)?;
        group.signing = SigningKey::from_secret(&take_secret(reader)?);
        group.number = reader.varint()?;
        for _ in 0..reader.count(1)? {
            let member = MemberIndex(reader.varint()?);
            group.two_party.insert(member, TwoParty::decode(reader)?);
        }
        for _ in 0..reader.count(1)? {
            let (ratchet, chain) = (take_optional(reader)?, take_optional(reader)?.map(Chain::new));
            group.senders.push(Sender { ratchet, chain });
        }
        for _ in 0..reader.count(1)? {
            let operation = (MemberIndex(reader.varint()?), reader.varint()?);
            let (recipients, waiting) = (take_set(reader, known)?, take_set(reader, known)?);
            let mut secrets = BTreeMap::new();
            for _ in 0..reader.count(1 + SECRET_LEN)? {
                let member = MemberIndex(reader.varint()?);
                secrets.insert(member, take_secret(reader)?);
            }
            let covered = (0..reader.count(2)?).map(|_| Ok((MemberIndex(reader.varint()?), reader.varint()?)));
            let covered = covered.collect::<Result<_, Error>>()?;
            group.pending.insert(operation, Pending { recipients, secrets, waiting, covered });
        }
        group.dirty = reader.flag()?;
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

fn form(rules: Rules) -> u8 {
    match rules {
        Rules::Corrected => VERSION,
        Rules::Published => VERSION | PUBLISHED,
    }
}

fn put_secret(out: &mut Vec<u8>, secret: &Secret) {
    out.extend_from_slice(secret.expose());
}

fn take_secret(reader: &mut Reader<'_>) -> Result<Secret, Error> {
    reader.array().map(Secret::new)
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

fn put_invitations(out: &mut Vec<u8>, invitations: &[Invitation]) {
    put_len(out, invitations.len());
    for Invitation { inviter, number, body } in invitations {
        out.extend_from_slice(&inviter.0);
        put_varint(out, *number);
        put_prefixed(out, body);
    }
}

fn take_invitations(reader: &mut Reader<'_>) -> Result<Vec<Invitation>, Error> {
    let take = |reader: &mut Reader<'_>| {
        let (inviter, number) = (MemberId(reader.array()?), reader.varint()?);
        Ok(Invitation { inviter, number, body: reader.prefixed()?.to_vec() })
    };
    (0..reader.count(1)?).map(|_| take(reader)).collect()
}
