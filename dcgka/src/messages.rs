//! The kinds of messages, and the layout of their bodies. Envelopes are [`protocol::wire::envelope`]'s.
//!
//! | kind | envelope names | new key | body | bytes of body |
//! |---|---|---|---|---|
//! | create | | | group nonce 32, commitment 32, count, ids of the others 32 each, slot for each of them | 64 + 1..5 + 32 m + slots |
//! | add | | yes | id of the user 32, slot for it, never empty | 32 + slot |
//! | remove | target | yes | commitment 32, slot for each recipient | 32 + slots |
//! | update | | yes | commitment 32, slot for each recipient | 32 + slots |
//! | ack | acknowledged message | | forwards: handle 8, slot | 0 and more |
//! | ack-none | acknowledged message | | | 0 |
//! | add-ack | acknowledged message | | slot for the joiner | slot |
//! | welcome | | | hash of the add 32, membership, clock and keys | 32 + state |
//! | message | | | ciphertext | plaintext + 16 |
//!
//! Recipients are in the order of their ids; the receiver knows them from the author's view. A slot is a two-party
//! ciphertext ([`crate::two_party`]), or says that there is none. There is a commitment if the rules require one.

use protocol::crypto::hash::{DIGEST_LEN, Digest};
use protocol::error::Error;
use protocol::id::{HANDLE_LEN, Handle, MEMBER_ID_LEN, MemberId};
use protocol::wire::codec::{Reader, put_len};
use protocol::wire::envelope::Kind;

use crate::limits::MAX_MEMBERS;
use crate::rules::Rules;
use crate::two_party::Slot;

pub(crate) const CREATE: Kind = Kind(1);
pub(crate) const ADD: Kind = Kind(2 | Kind::NEW_KEY);
pub(crate) const REMOVE: Kind = Kind(3 | Kind::NEW_KEY | Kind::NAMES);
pub(crate) const UPDATE: Kind = Kind(4 | Kind::NEW_KEY);
pub(crate) const ACK: Kind = Kind(5 | Kind::ACKNOWLEDGES);
pub(crate) const ACK_NONE: Kind = Kind(6 | Kind::ACKNOWLEDGES);
pub(crate) const ADD_ACK: Kind = Kind(7 | Kind::ACKNOWLEDGES);
pub(crate) const WELCOME: Kind = Kind(8);
pub(crate) const MESSAGE: Kind = Kind(9);

/// The name of a kind in reports.
pub(crate) fn name(kind: Kind) -> &'static str {
    match kind {
        CREATE => "create",
        ADD => "add",
        REMOVE => "remove",
        UPDATE => "update",
        ACK | ACK_NONE => "ack",
        ADD_ACK => "add-ack",
        WELCOME => "welcome",
        MESSAGE => "message",
        _ => "unknown",
    }
}

/// The body of CREATE.
pub(crate) struct Create<'a> {
    pub(crate) commitment: Option<Digest>,
    /// Sorted, without the creator.
    pub(crate) others: Vec<MemberId>,
    pub(crate) slots: Vec<Slot<'a>>,
}

impl<'a> Create<'a> {
    pub(crate) fn decode(body: &'a [u8], rules: Rules) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        // Only the group's id depends on the nonce.
        reader.bytes(DIGEST_LEN)?;
        let commitment = decode_commitment(&mut reader, rules)?;
        let count = Some(reader.count(MEMBER_ID_LEN)?).filter(|count| *count < MAX_MEMBERS).ok_or(Error::Malformed)?;
        let others = (0..count).map(|_| reader.array().map(MemberId)).collect::<Result<Vec<_>, _>>()?;
        if !others.is_sorted_by(|a, b| a < b) {
            return Err(Error::Malformed);
        }
        let slots = decode_slots(&mut reader, others.len())?;
        Ok(Self { commitment, others, slots })
    }

    pub(crate) fn encode_head(nonce: &Digest, commitment: Option<&Digest>, others: &[MemberId]) -> Vec<u8> {
        let mut out =
            Vec::with_capacity(2 * DIGEST_LEN + others.len() * (MEMBER_ID_LEN + crate::two_party::COLD_LEN) + 8);
        out.extend_from_slice(nonce.as_bytes());
        out.extend(commitment.into_iter().flat_map(Digest::as_bytes));
        put_len(&mut out, others.len());
        others.iter().for_each(|id| out.extend_from_slice(&id.0));
        out
    }
}

/// The body of UPDATE and REMOVE.
pub(crate) struct Seeded<'a> {
    pub(crate) commitment: Option<Digest>,
    pub(crate) slots: Vec<Slot<'a>>,
}

impl<'a> Seeded<'a> {
    pub(crate) fn decode(body: &'a [u8], recipients: usize, rules: Rules) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let commitment = decode_commitment(&mut reader, rules)?;
        Ok(Self { commitment, slots: decode_slots(&mut reader, recipients)? })
    }

    pub(crate) fn encode_head(commitment: Option<&Digest>, recipients: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(DIGEST_LEN + recipients * crate::two_party::COLD_LEN);
        out.extend(commitment.into_iter().flat_map(Digest::as_bytes));
        out
    }
}

/// The body of ADD. Everybody refuses one without a ciphertext for the user.
pub(crate) struct Add<'a> {
    pub(crate) user: MemberId,
    pub(crate) slot: Slot<'a>,
}

impl<'a> Add<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let (user, slot) = (MemberId(reader.array()?), Slot::decode(&mut reader)?);
        reader.finish()?;
        if matches!(slot, Slot::Empty) { Err(Error::Malformed) } else { Ok(Self { user, slot }) }
    }

    /// The body up to the user's slot.
    pub(crate) fn encode_head(user: &MemberId) -> Vec<u8> {
        user.0.to_vec()
    }
}

/// The body of ACK: secrets forwarded to members that the author of the acknowledged message did not know to be
/// members.
pub(crate) fn decode_forwards(body: &[u8]) -> Result<Vec<(Handle, Slot<'_>)>, Error> {
    let mut reader = Reader::new(body);
    let mut forwards = Vec::new();
    while !reader.remaining().is_empty() {
        if forwards.len() == MAX_MEMBERS {
            return Err(Error::Malformed);
        }
        forwards.push((Handle(reader.array::<HANDLE_LEN>()?), Slot::decode(&mut reader)?));
    }
    Ok(forwards)
}

/// The body of ADD-ACK.
pub(crate) fn decode_add_ack(body: &[u8]) -> Result<Slot<'_>, Error> {
    let mut reader = Reader::new(body);
    let slot = Slot::decode(&mut reader)?;
    reader.finish().map(|()| slot)
}

/// The body of WELCOME.
pub(crate) struct Welcome<'a> {
    pub(crate) add: Digest,
    pub(crate) state: &'a [u8],
}

impl<'a> Welcome<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let add = Digest(reader.array()?);
        Ok(Self { add, state: reader.rest() })
    }

    pub(crate) fn encode(add: &Digest, state: &[u8]) -> Vec<u8> {
        [add.as_bytes(), state].concat()
    }
}

fn decode_commitment(reader: &mut Reader<'_>, rules: Rules) -> Result<Option<Digest>, Error> {
    rules.commits_to_seeds().then(|| reader.array().map(Digest)).transpose()
}

fn decode_slots<'a>(reader: &mut Reader<'a>, count: usize) -> Result<Vec<Slot<'a>>, Error> {
    // A slot takes at least one byte, so there are no more slots than bytes.
    if count > reader.remaining().len() {
        return Err(Error::Malformed);
    }
    let slots = (0..count).map(|_| Slot::decode(reader)).collect::<Result<Vec<_>, _>>()?;
    reader.finish().map(|()| slots)
}
