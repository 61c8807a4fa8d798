//! The exact cost of each operation, to be compared with what is measured. A difference is a bug in one of the two.
//!
//! In the group of `n` members the creator's channels are warm, those between the others cold.
//! The leading terms, with V for verification, KG for key generation, S for signature, K for a new signature key:
//!
//! | operation | sender | each recipient |
//! |---|---|---|
//! | create | (n-1)(2V + 3KG + 4DH) + S | 4DH + S + nV |
//! | update | (n-1)(V + 4KG + DH) + S + K | DH + KG + S + (n-1)V |
//! | remove | (n-2)(V + 4KG + DH) + S + K | DH + KG + S + (n-2)V; the removed: V |
//! | add | V + 3KG + 4DH + 2S + K + nV | V + 3KG + 4DH + S + nV; the joiner: 4n DH + S + 2nV |
//! | message | S | V |
//!
//! A warm ciphertext costs one key generation more than its design asks for: the HPKE library computes the ephemeral
//! public key twice.

use protocol::crypto::count::Counts;
use protocol::crypto::hash::{self, DIGEST_LEN};
use protocol::crypto::{aead, hpke, label};
use protocol::id::MEMBER_ID_LEN;
use protocol::operation::{Expected, Operation, Phase, Role};
use protocol::wire::codec::varint_len;
use protocol::wire::envelope;
use protocol::x3dh;

use crate::agreement::add::ADD_KDF_CALLS;
use crate::agreement::seed::commitment_blocks;
use crate::agreement::state::RATCHET_KDF_CALLS;
use crate::message_ratchet;
use crate::rules::Rules;
use crate::two_party::{COLD_LEN, PAYLOAD_LEN, WARM_LEN};

/// Bytes of the message that is measured.
const PLAINTEXT_LEN: usize = 32;

/// What `operation` costs in a group of `n` members, at least 2. None: there is no such operation.
pub(crate) fn expected(rules: Rules, operation: Operation, n: usize) -> Option<Expected> {
    Some(match operation {
        Operation::Create => create(rules, n),
        // Channels between founders open with each one's first update.
        Operation::CreateMesh => return None,
        Operation::Add => add(n),
        Operation::Remove => seeded(rules, "remove", n - 2, 0),
        Operation::Update => seeded(rules, "update", n - 1, 0),
        // Only the channel with the creator has been used.
        Operation::UpdateCold => seeded(rules, "update", n - 1, n - 2),
        Operation::Message => message(n),
        Operation::MessageAfterRemove => message(n - 1),
    })
}

fn create(rules: Rules, n: usize) -> Expected {
    let others = n - 1;
    let (commitment_len, commitment) = commitment(rules);
    let body = DIGEST_LEN + commitment_len + varint_len(others as u32) + others * (MEMBER_ID_LEN + COLD_LEN);
    let founded = blocks(hash::blocks_of(label::GROUP_ID, &[MEMBER_ID_LEN, DIGEST_LEN])) + n as u64 * handle();
    let generate = founded + commitment + others as u64 * cold_seal() + apply_seed(others) + sign(false, false, body);
    let process = founded + verify(false, false, body) + cold_open() + commitment + apply_seed(others) + ack(0);
    Expected {
        messages: vec![("create", 1), ("ack", others as u64)],
        counts: vec![
            (Role::Sender, Phase::Generate, generate),
            (Role::Sender, Phase::Responses, others as u64 * process_ack(0)),
            (Role::Recipient, Phase::Process, others as u64 * process),
            (Role::Recipient, Phase::Responses, (others * (others - 1)) as u64 * process_ack(0)),
        ],
    }
}

/// Update and remove, for so many recipients; the channels with `cold` of them have not been used.
fn seeded(rules: Rules, kind: &'static str, recipients: usize, cold: usize) -> Expected {
    let removes = kind == "remove";
    let (all, warm, cold_count) = (recipients as u64, (recipients - cold) as u64, cold as u64);
    let (commitment_len, commitment) = commitment(rules);
    let body = commitment_len + (recipients - cold) * WARM_LEN + cold * COLD_LEN;
    let sealed = warm * warm_seal() + cold_count * cold_seal();
    let opened = warm * warm_open() + cold_count * cold_open();
    let generate = commitment + sealed + apply_seed(recipients) + new_key() + sign(removes, true, body);
    let process = opened + all * (verify(removes, true, body) + commitment + apply_seed(recipients) + ack(0));
    let mut counts = vec![
        (Role::Sender, Phase::Generate, generate),
        (Role::Sender, Phase::Responses, all * process_ack(0)),
        (Role::Recipient, Phase::Process, process),
        (Role::Recipient, Phase::Responses, all * all.saturating_sub(1) * process_ack(0)),
    ];
    if removes {
        counts.push((Role::Removed, Phase::Process, verify(removes, true, body)));
    }
    Expected { messages: vec![(kind, 1), ("ack", all)], counts }
}

fn add(n: usize) -> Expected {
    let others = n as u64 - 1;
    let body = MEMBER_ID_LEN + COLD_LEN;
    // Ids with their count; how many are founders; one record that all have acknowledged; and of each a clock and a flag
    // that its key is its id.
    let state = varint_len(n as u32) + n * MEMBER_ID_LEN + varint_len(n as u32) + 2 + 2 * n;
    let welcome = DIGEST_LEN + state;
    let generate =
        cold_seal() + new_key() + sign(false, true, body) + sign(false, false, welcome) + handle() + kdf(ADD_KDF_CALLS);
    let process = verify(false, true, body) + handle() + kdf(ADD_KDF_CALLS) + cold_seal() + ack(COLD_LEN);
    // The add waits for the welcome, and is known by its hash then: its signature need not be checked.
    let add_waits = handle() + digest(false, true, body);
    let joins = handle()
        + verify(false, false, welcome)
        + (n as u64 + 1) * handle()
        + cold_open()
        + kdf(ADD_KDF_CALLS)
        + ack(0);
    let add_ack = process_ack(COLD_LEN);
    Expected {
        messages: vec![("add", 1), ("welcome", 1), ("add-ack", others), ("ack", 1)],
        counts: vec![
            (Role::Sender, Phase::Generate, generate),
            (Role::Sender, Phase::Responses, others * add_ack + process_ack(0)),
            (Role::Recipient, Phase::Process, others * process),
            (Role::Recipient, Phase::Responses, others * ((others - 1) * add_ack + process_ack(0))),
            (Role::Joiner, Phase::Process, add_waits + joins),
            (Role::Joiner, Phase::Responses, others * (add_ack + cold_open())),
        ],
    }
}

fn message(n: usize) -> Expected {
    let body = PLAINTEXT_LEN + aead::OVERHEAD;
    let key = kdf(message_ratchet::KDF_CALLS) + Counts { aead_bytes: PLAINTEXT_LEN as u64, ..Counts::default() };
    Expected {
        messages: vec![("message", 1)],
        counts: vec![
            (Role::Sender, Phase::Generate, key + sign(false, false, body)),
            (Role::Recipient, Phase::Process, (n as u64 - 1) * (key + verify(false, false, body))),
        ],
    }
}

/// The member secrets of all recipients and the author's, and the step of the author's ratchet.
fn apply_seed(recipients: usize) -> Counts {
    kdf(1 + recipients as u64 + 1 + RATCHET_KDF_CALLS)
}

/// The own step and the signature of an acknowledgement.
fn ack(body: usize) -> Counts {
    kdf(RATCHET_KDF_CALLS) + sign(true, false, body)
}

fn process_ack(body: usize) -> Counts {
    kdf(RATCHET_KDF_CALLS) + verify(true, false, body)
}

fn cold_seal() -> Counts {
    Counts { dh: 4, keygen: 3, kdf: x3dh::KDF_CALLS, aead_bytes: PAYLOAD_LEN as u64, ..bundle() }
}

fn cold_open() -> Counts {
    Counts { dh: 4, kdf: x3dh::KDF_CALLS, aead_bytes: PAYLOAD_LEN as u64, ..bundle() }
}

fn warm_seal() -> Counts {
    let keygen = 2 + hpke::SEAL_KEYGENS;
    Counts { dh: 1, keygen, kdf: hpke::SEAL_KDF_CALLS, aead_bytes: PAYLOAD_LEN as u64, ..Counts::default() }
}

fn warm_open() -> Counts {
    Counts { dh: 1, keygen: 1, kdf: hpke::OPEN_KDF_CALLS, aead_bytes: PAYLOAD_LEN as u64, ..Counts::default() }
}

fn bundle() -> Counts {
    Counts { verify: 1, hash_blocks: x3dh::bundle_blocks(), ..Counts::default() }
}

fn sign(names: bool, new_key: bool, body: usize) -> Counts {
    Counts { sign: 1, ..digest(names, new_key, body) }
}

fn verify(names: bool, new_key: bool, body: usize) -> Counts {
    Counts { verify: 1, ..digest(names, new_key, body) }
}

fn digest(names: bool, new_key: bool, body: usize) -> Counts {
    blocks(envelope::digest_blocks(names, new_key, body))
}

fn new_key() -> Counts {
    Counts { sign_keygen: 1, ..Counts::default() }
}

fn handle() -> Counts {
    blocks(hash::blocks_of(label::HANDLE, &[MEMBER_ID_LEN]))
}

/// Bytes of a commitment in a body, and what it costs to compute one.
fn commitment(rules: Rules) -> (usize, Counts) {
    if rules.commits_to_seeds() { (DIGEST_LEN, blocks(commitment_blocks())) } else { (0, Counts::default()) }
}

fn blocks(hash_blocks: u64) -> Counts {
    Counts { hash_blocks, ..Counts::default() }
}

fn kdf(calls: u64) -> Counts {
    Counts { kdf: calls, ..Counts::default() }
}
