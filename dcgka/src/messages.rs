//! The kinds of messages, and the layout of their bodies. Envelopes are [`protocol::wire::envelope`]'s.
//!
//! | kind | envelope names | new key | body | bytes of body |
//! |---|---|---|---|---|
//! | create | | | group nonce 32, commitment 32, count, ids of the others 32 each, slot for each of them | 64 + 1..5 + 32 m + slots |
//! | add | | yes | id of the user 32, commitment 32, slot for it, never empty | 64 + slot |
//! | remove | target | yes | commitment 32, slot for each recipient, copies of the ratchet | 32 + slots + copies |
//! | update | | yes | commitment 32, slot for each recipient, copies of the ratchet | 32 + slots + copies |
//! | ack | acknowledged message | | copies of the member secret | 0, or copies |
//! | ack-none | acknowledged message | | nothing, or a fresh key | 0, or 33..37 |
//! | add-ack | acknowledged message | | slot for the joiner; if it is not empty, commitment 32 | 1, or 32 + slot |
//! | welcome | | | hash of the add 32, membership, clock and keys | 32 + state |
//! | message | | | ciphertext | plaintext + 16 |
//! | ask | the member that is asked | | a fresh key | 33..37 |
//! | tagged ack | acknowledged message | | nothing | 0 |
//!
//! Recipients are in the order of their ids; the receiver knows them from the author's view. A slot is a two-party
//! ciphertext ([`crate::two_party`]), or says that there is none. Copies of a secret go to members that need one:
//! nothing, or commitment 32, and handle 8 and slot for each of them. A fresh key is one of the author's keys for the
//! channel: index 1..5, public key 32. There is a commitment if the rules require one. Over lean channels a header of 64
//! bytes precedes the first slot of a message, unless the body is one empty slot.

use protocol::crypto::hash::{DIGEST_LEN, Digest};
use protocol::error::Error;
use protocol::id::{HANDLE_LEN, Handle, MEMBER_ID_LEN, MemberId};
use protocol::wire::codec::{Reader, put_len};
use protocol::wire::envelope::Kind;

use crate::limits::{MAX_KNOWN, MAX_MEMBERS};
use crate::rules::Rules;
use crate::two_party::{Header, Slot, cold_len, decode_header, header_len};

pub(crate) const CREATE: Kind = Kind(1);
pub(crate) const ADD: Kind = Kind(2 | Kind::NEW_KEY);
pub(crate) const REMOVE: Kind = Kind(3 | Kind::NEW_KEY | Kind::NAMES);
pub(crate) const UPDATE: Kind = Kind(4 | Kind::NEW_KEY);
pub(crate) const ACK: Kind = Kind(5 | Kind::ACKNOWLEDGES);
pub(crate) const ACK_NONE: Kind = Kind(6 | Kind::ACKNOWLEDGES);
pub(crate) const ADD_ACK: Kind = Kind(7 | Kind::ACKNOWLEDGES);
pub(crate) const WELCOME: Kind = Kind(8);
pub(crate) const MESSAGE: Kind = Kind(9);
pub(crate) const ASK: Kind = Kind(10 | Kind::NAMES);
pub(crate) const TAGGED_ACK: Kind = Kind::TAGGED;

/// The name of a kind in reports.
pub(crate) fn name(kind: Kind) -> &'static str {
    match kind {
        CREATE => "create",
        ADD => "add",
        REMOVE => "remove",
        UPDATE => "update",
        ACK | ACK_NONE | TAGGED_ACK => "ack",
        ADD_ACK => "add-ack",
        WELCOME => "welcome",
        MESSAGE => "message",
        ASK => "ask",
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
        let (_, slots) = decode_slots(&mut reader, others.len(), rules)?;
        reader.finish()?;
        Ok(Self { commitment, others, slots })
    }

    pub(crate) fn encode_head(
        nonce: &Digest,
        commitment: Option<&Digest>,
        others: &[MemberId],
        rules: Rules,
    ) -> Vec<u8> {
        let slots = others.len() * (MEMBER_ID_LEN + cold_len(rules));
        let mut out = Vec::with_capacity(2 * DIGEST_LEN + 8 + header_len(rules) + slots);
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
    /// The author's ratchet as it is before its step, for members that have lost it.
    pub(crate) ratchets: Copies<'a>,
}

impl<'a> Seeded<'a> {
    pub(crate) fn decode(body: &'a [u8], recipients: usize, rules: Rules) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let commitment = decode_commitment(&mut reader, rules)?;
        let (header, slots) = decode_slots(&mut reader, recipients, rules)?;
        Ok(Self { commitment, slots, ratchets: Copies::decode(reader.rest(), Some(header), rules)? })
    }

    pub(crate) fn encode_head(commitment: Option<&Digest>, recipients: usize, rules: Rules) -> Vec<u8> {
        let mut out = Vec::with_capacity(DIGEST_LEN + header_len(rules) + recipients * cold_len(rules));
        out.extend(commitment.into_iter().flat_map(Digest::as_bytes));
        out
    }
}

/// The body of ADD. Everybody refuses one without a ciphertext for the user.
pub(crate) struct Add<'a> {
    pub(crate) user: MemberId,
    pub(crate) commitment: Option<Digest>,
    pub(crate) slot: Slot<'a>,
}

impl<'a> Add<'a> {
    pub(crate) fn decode(body: &'a [u8], rules: Rules) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let user = MemberId(reader.array()?);
        let (commitment, header) = (decode_commitment(&mut reader, rules)?, decode_header(&mut reader, rules)?);
        let slot = Slot::decode(&mut reader, header, rules)?;
        reader.finish()?;
        if matches!(slot, Slot::Empty) { Err(Error::Malformed) } else { Ok(Self { user, commitment, slot }) }
    }

    /// The body up to the user's slot.
    pub(crate) fn encode_head(user: &MemberId, commitment: Option<&Digest>) -> Vec<u8> {
        let mut out = user.0.to_vec();
        out.extend(commitment.into_iter().flat_map(Digest::as_bytes));
        out
    }
}

/// The body of ADD-ACK.
pub(crate) struct AddAck<'a> {
    pub(crate) slot: Slot<'a>,
    pub(crate) commitment: Option<Digest>,
}

impl<'a> AddAck<'a> {
    pub(crate) fn decode(body: &'a [u8], rules: Rules) -> Result<Self, Error> {
        if body == Slot::EMPTY_BODY {
            return Ok(Self { slot: Slot::Empty, commitment: None });
        }
        let mut reader = Reader::new(body);
        let header = decode_header(&mut reader, rules)?;
        let slot = Slot::decode(&mut reader, header, rules)?;
        let commitment = decode_commitment(&mut reader, rules)?;
        reader.finish()?;
        if matches!(slot, Slot::Empty) { Err(Error::Malformed) } else { Ok(Self { slot, commitment }) }
    }
}

/// Copies in a message: more than any group can need, and enough for one that exceeds [`MAX_MEMBERS`].
const MAX_COPIES: usize = MAX_KNOWN;

/// Copies of one secret for members that need it, and the commitment to the secret.
#[derive(Default)]
pub(crate) struct Copies<'a> {
    pub(crate) commitment: Option<Digest>,
    pub(crate) slots: Vec<(Handle, Slot<'a>)>,
}

impl<'a> Copies<'a> {
    /// The ciphertexts for a member. Two members can share a handle, so there may be two. If there are more, the rest is
    /// ignored: otherwise one message could keep its recipient busy with hundreds.
    pub(crate) fn of(&self, member: Handle) -> impl Iterator<Item = &Slot<'a>> {
        self.slots.iter().filter(move |(handle, _)| *handle == member).map(|(_, slot)| slot).take(2)
    }

    /// Reads copies, with the header of the ciphertexts before them if there are any.
    pub(crate) fn decode(bytes: &'a [u8], header: Option<Header<'a>>, rules: Rules) -> Result<Self, Error> {
        let mut copies = Self::default();
        if bytes.is_empty() {
            return Ok(copies);
        }
        let mut reader = Reader::new(bytes);
        copies.commitment = decode_commitment(&mut reader, rules)?;
        let header = match header {
            Some(header) => header,
            None => decode_header(&mut reader, rules)?,
        };
        loop {
            let handle = Handle(reader.array::<HANDLE_LEN>()?);
            copies.slots.push((handle, Slot::decode(&mut reader, header, rules)?));
            if reader.remaining().is_empty() {
                return Ok(copies);
            }
            if copies.slots.len() == MAX_COPIES {
                return Err(Error::Malformed);
            }
        }
    }
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
    rules.commits().then(|| reader.array().map(Digest)).transpose()
}

/// The header of a message, if it has slots, and the slots.
fn decode_slots<'a>(reader: &mut Reader<'a>, count: usize, rules: Rules) -> Result<(Header<'a>, Vec<Slot<'a>>), Error> {
    // A slot takes at least one byte, so there are no more slots than bytes.
    if count > reader.remaining().len() {
        return Err(Error::Malformed);
    }
    let header = if count == 0 { &[] } else { decode_header(reader, rules)? };
    let slots = (0..count).map(|_| Slot::decode(reader, header, rules)).collect::<Result<_, _>>()?;
    Ok((header, slots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_for_all_members_of_a_group_beyond_the_limit_are_read() {
        let copies = |count: usize| [vec![0; DIGEST_LEN], [0; HANDLE_LEN + 1].repeat(count)].concat();
        for count in [1, MAX_MEMBERS + 1, MAX_COPIES] {
            let bytes = copies(count);
            let copies = Copies::decode(&bytes, None, Rules::Corrected).unwrap();
            assert_eq!(copies.slots.len(), count);
        }
        assert!(Copies::decode(&copies(MAX_COPIES + 1), None, Rules::Corrected).is_err());
    }
}
