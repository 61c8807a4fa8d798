//! The exact cost of each operation, to be compared with what is measured. A difference is a bug in one of the two.
//!
//! In the group of `n` members the creator's channels are warm, those between the others cold.
//! The leading terms, with V for verification, KG for key generation, S for signature, K for a new signature key:
//!
//! | operation | sender | each recipient |
//! |---|---|---|
//! | create | (n-1)(2V + 3KG + 4DH) + S | 4DH + S + nV |
//! | update | (n-1)(V + 3KG + DH) + S + K | DH + KG + S + (n-1)V |
//! | remove | (n-2)(V + 3KG + DH) + S + K | DH + KG + S + (n-2)V; the removed: V |
//! | add | V + 3KG + 4DH + 2S + K + nV | V + 3KG + 4DH + S + nV; the joiner: 4n DH + S + (2n+1)V |
//! | message | S | V |
//!
//! Over lean channels, with M for a multiplication of a ristretto255 key and B for one of the base point, such a
//! ciphertext costs its sender M + B instead of 3KG + DH, and its recipient M instead of DH + KG; at first contact it
//! costs its sender KG + B + 4DH.

use protocol::crypto::count::Counts;
use protocol::crypto::hash::{self, DIGEST_LEN};
use protocol::crypto::label::{self, Label};
use protocol::crypto::{aead, hpke};
use protocol::id::MEMBER_ID_LEN;
use protocol::operation::{Expected, Operation, PLAINTEXT_LEN, Phase, Role};
use protocol::wire::codec::varint_len;
use protocol::wire::envelope;
use protocol::x3dh;

use crate::agreement::commitment;
use crate::agreement::sender::{ADD_KDF_CALLS, RATCHET_KDF_CALLS};
use crate::message_ratchet;
use crate::rules::Rules;
use crate::two_party::{cold_len, header_len, lean, payload_len, warm_len};

/// What `operation` costs in a group of `n` members, at least 2. `None` if there is no such operation, or no formula
/// for it.
pub(crate) fn expected(rules: Rules, operation: Operation, n: usize) -> Option<Expected> {
    Some(match operation {
        Operation::Create => create(rules, n),
        // The channels between founders open with the first update of each.
        Operation::CreateMesh => return None,
        Operation::Add => add(rules, n),
        Operation::Remove => one("remove", &Seeded { removes: true, recipients: n - 2, ..creators_update(rules, n) }),
        Operation::Update => one("update", &creators_update(rules, n)),
        Operation::UpdateCold => one("update", &others_update(rules, n, true)),
        Operation::Message => message(n),
        Operation::MessageAfterRemove => message(n - 1),
        Operation::ConcurrentUpdates(k) if k.get() <= n => concurrent_updates(rules, n, k.get()),
        // What the halves forward to each other's joiners, and which repairs follow, has no short formula.
        Operation::ConcurrentUpdates(_) | Operation::PartitionHeal => return None,
        // A part that is behind needs other messages than one that is not.
        Operation::PartitionRecovery { .. } => return None,
        // How far each channel has come depends on who has updated.
        Operation::AddAfter(_) | Operation::UpdateAfter(_) => return None,
        // Their formulas are those of delivery one by one.
        Operation::RemoveTogether | Operation::UpdateTogether => return None,
    })
}

fn create(rules: Rules, n: usize) -> Expected {
    let others = n - 1;
    let (commitment_len, commitment) = seed_commitment(rules);
    let body =
        DIGEST_LEN + commitment_len + varint_len(others as u32) + others * MEMBER_ID_LEN + slots_len(rules, 0, others);
    let founded = blocks(hash::blocks_of(label::GROUP_ID, &[MEMBER_ID_LEN, DIGEST_LEN])) + n as u64 * handle();
    let sealed = header(rules) + others as u64 * cold_seal(rules);
    let generate = founded + commitment + sealed + apply_seed(others) + sign(false, false, body);
    let process =
        founded + verify(false, false, body) + cold_open(rules) + commitment + apply_seed(others) + ack(rules);
    Expected::new(
        vec![("create", 1), ("ack", others as u64)],
        vec![
            (Role::Sender, Phase::Generate, generate),
            (Role::Sender, Phase::Responses, others as u64 * process_ack(rules)),
            (Role::Recipient, Phase::Process, others as u64 * process),
            (Role::Recipient, Phase::Responses, (others * (others - 1)) as u64 * process_ack(rules)),
        ],
    )
}

/// An update or remove. The channels with `cold` of the recipients have not been used; to `announced` of the others, the
/// author has sent nothing since their last ciphertext.
struct Seeded {
    rules: Rules,
    removes: bool,
    recipients: usize,
    cold: usize,
    announced: u64,
    /// Whether the author has sent an acknowledgement since its last signed message.
    acked: bool,
}

impl Seeded {
    fn body(&self) -> usize {
        seed_commitment(self.rules).0 + slots_len(self.rules, self.recipients - self.cold, self.cold)
    }

    fn generate(&self) -> Counts {
        let header = if self.recipients > 0 { header(self.rules) } else { Counts::NOTHING };
        let keys = self.announced * announced_key(self.rules);
        let warm = keys + warm_seals(self.rules, self.recipients - self.cold);
        let sealed = header + warm + self.cold as u64 * cold_seal(self.rules);
        let applied = seed_commitment(self.rules).1 + apply_seed(self.recipients);
        sealed + applied + new_key() + Counts { sign: 1, ..self.digest() }
    }

    /// At a recipient, the acknowledgement included. `opened` is the cost of opening its ciphertext.
    fn process(&self, opened: Counts) -> Counts {
        opened + self.verify() + seed_commitment(self.rules).1 + apply_seed(self.recipients) + ack(self.rules)
    }

    fn verify(&self) -> Counts {
        Counts { verify: 1, ..self.digest() }
    }

    fn digest(&self) -> Counts {
        let history = usize::from(self.acked && self.rules.tags_acks());
        blocks(envelope::digest_blocks_after(self.removes, true, history, self.body()))
    }
}

/// An update of the creator in a group of `n` members.
fn creators_update(rules: Rules, n: usize) -> Seeded {
    Seeded { rules, removes: false, recipients: n - 1, cold: 0, announced: 0, acked: false }
}

/// An update of another member: only the channel with the creator has been used, by the creator.
fn others_update(rules: Rules, n: usize, acked: bool) -> Seeded {
    Seeded { cold: n.saturating_sub(2), announced: 1, acked, ..creators_update(rules, n) }
}

/// One update or remove, and nothing else. The place of the formula is that of the call, which names the operation.
#[track_caller]
fn one(kind: &'static str, operation: &Seeded) -> Expected {
    let (recipients, cold) = (operation.recipients as u64, operation.cold as u64);
    let (warm_open, cold_open) = (warm_open(operation.rules), cold_open(operation.rules));
    let process = (recipients - cold) * operation.process(warm_open) + cold * operation.process(cold_open);
    let mut counts = vec![
        (Role::Sender, Phase::Generate, operation.generate()),
        (Role::Sender, Phase::Responses, recipients * process_ack(operation.rules)),
        (Role::Recipient, Phase::Process, process),
        (Role::Recipient, Phase::Responses, recipients * recipients.saturating_sub(1) * process_ack(operation.rules)),
    ];
    if operation.removes {
        counts.push((Role::Removed, Phase::Process, operation.verify()));
    }
    Expected::new(vec![(kind, 1), ("ack", recipients)], counts)
}

/// Concurrent updates by the creator, whose channels are all warm, and by `k - 1` others, whose channels are cold
/// except for that with the creator. All updates arrive in the first round, and all acknowledgements in the second.
fn concurrent_updates(rules: Rules, n: usize, k: usize) -> Expected {
    let (creators, others) = (creators_update(rules, n), others_update(rules, n, false));
    let (rest, n, k) = ((n - k) as u64, n as u64, k as u64);
    // Two members whose first ciphertexts cross have checked each other's bundles already, to encrypt.
    let (warm_open, cold_open) = (warm_open(rules), cold_open(rules));
    let crossed = Counts { verify: 0, hash_blocks: 0, ..cold_open };
    // Between each of the others and the creator, and between every two of the others.
    let among_updating = (k - 1) * (creators.process(warm_open) + others.process(warm_open))
        + (k - 1) * k.saturating_sub(2) * others.process(crossed);
    let at_rest = creators.process(warm_open) + (k - 1) * others.process(cold_open);
    // Everybody processes the acknowledgements of each update except its own; the author of the update sends none.
    Expected::new(
        vec![("update", k), ("ack", k * (n - 1))],
        vec![
            (Role::Sender, Phase::Generate, creators.generate() + (k - 1) * others.generate()),
            (Role::Sender, Phase::Process, among_updating),
            (Role::Sender, Phase::Responses, k * (k * (n - 1) - (k - 1)) * process_ack(rules)),
            (Role::Recipient, Phase::Process, rest * at_rest),
            (Role::Recipient, Phase::Responses, rest * k * (n - 2) * process_ack(rules)),
        ],
    )
}

fn add(rules: Rules, n: usize) -> Expected {
    let others = n as u64 - 1;
    // Of the adder's ratchet, and of that in each answer. All old members know all ratchets, and compare.
    let (commitment_len, commitment) = commitment(rules, label::RATCHET_COMMITMENT);
    let slot_len = slots_len(rules, 0, 1);
    let (body, answer) = (MEMBER_ID_LEN + commitment_len + slot_len, slot_len + commitment_len);
    let sealed = header(rules) + cold_seal(rules);
    // The ids with their count; the number of founders; one record that all have acknowledged; and for each member a
    // number and a flag that its key is its id.
    let state = varint_len(n as u32) + n * MEMBER_ID_LEN + varint_len(n as u32) + 2 + 2 * n;
    let welcome = DIGEST_LEN + state;
    let signed = sign(false, true, body) + sign(false, false, welcome);
    let generate = sealed + commitment + new_key() + signed + handle() + kdf(ADD_KDF_CALLS);
    let process =
        verify(false, true, body) + handle() + kdf(ADD_KDF_CALLS) + sealed + 2 * commitment + signed_ack(answer);
    // The add waits for the welcome, which carries the key that verifies it.
    let add_waits = 2 * handle() + verify(false, true, body);
    let joins = handle()
        + verify(false, false, welcome)
        + (n as u64 + 1) * handle()
        + cold_open(rules)
        + commitment
        + kdf(ADD_KDF_CALLS)
        + signed_ack(0);
    let add_ack = process_signed_ack(answer) + commitment;
    Expected::new(
        vec![("add", 1), ("welcome", 1), ("add-ack", others), ("ack", 1)],
        vec![
            (Role::Sender, Phase::Generate, generate),
            (Role::Sender, Phase::Responses, others * add_ack + process_signed_ack(0)),
            (Role::Recipient, Phase::Process, others * process),
            (Role::Recipient, Phase::Responses, others * ((others - 1) * add_ack + process_signed_ack(0))),
            (Role::Joiner, Phase::Process, add_waits + joins),
            (Role::Joiner, Phase::Responses, others * (add_ack + cold_open(rules))),
        ],
    )
}

fn message(n: usize) -> Expected {
    let body = PLAINTEXT_LEN + aead::OVERHEAD;
    let key = kdf(message_ratchet::KDF_CALLS) + Counts { aead_bytes: PLAINTEXT_LEN as u64, ..Counts::default() };
    Expected::new(
        vec![("message", 1)],
        vec![
            (Role::Sender, Phase::Generate, key + sign(false, false, body)),
            (Role::Recipient, Phase::Process, (n as u64 - 1) * (key + verify(false, false, body))),
        ],
    )
}

/// Deriving the member secrets of all recipients and of the author, and the step of the author's ratchet.
fn apply_seed(recipients: usize) -> Counts {
    kdf(1 + recipients as u64 + 1 + RATCHET_KDF_CALLS)
}

/// Sending an acknowledgement that carries nothing: the step of the own ratchet, and the signature or tag.
fn ack(rules: Rules) -> Counts {
    if rules.tags_acks() { kdf(RATCHET_KDF_CALLS) + tag() } else { signed_ack(0) }
}

fn process_ack(rules: Rules) -> Counts {
    if rules.tags_acks() { kdf(RATCHET_KDF_CALLS) + tag() } else { process_signed_ack(0) }
}

fn signed_ack(body: usize) -> Counts {
    kdf(RATCHET_KDF_CALLS) + sign(true, false, body)
}

fn process_signed_ack(body: usize) -> Counts {
    kdf(RATCHET_KDF_CALLS) + verify(true, false, body)
}

/// The tag of an acknowledgement.
fn tag() -> Counts {
    kdf(1) + digest(true, false, 0)
}

/// Bytes of slots, and of the header before them.
fn slots_len(rules: Rules, warm: usize, cold: usize) -> usize {
    let header = if warm + cold > 0 { header_len(rules) } else { 0 };
    header + warm * warm_len(rules) + cold * cold_len(rules)
}

/// The header of a message with slots.
fn header(rules: Rules) -> Counts {
    match rules.lean_channels() {
        true => Counts { ristretto_base: 2, ristretto_coding: 2, ..Counts::NOTHING },
        false => Counts::NOTHING,
    }
}

fn cold_seal(rules: Rules) -> Counts {
    match rules.lean_channels() {
        true => Counts { keygen: 1, ristretto_base: 1, ..cold_open(rules) },
        false => Counts { keygen: 3, ..cold_open(rules) },
    }
}

fn cold_open(rules: Rules) -> Counts {
    let derived = if rules.lean_channels() { lean::KDF_CALLS } else { 0 };
    Counts { dh: 4, kdf: x3dh::KDF_CALLS + derived, ..bundle() + payload(rules) }
}

/// Slots of one message. Over lean channels the shared secrets are encoded together.
fn warm_seals(rules: Rules, slots: usize) -> Counts {
    let each = match rules.lean_channels() {
        true => Counts { ristretto_mul: 1, ristretto_base: 1, kdf: lean::KDF_CALLS, ..payload(rules) },
        false => Counts { dh: 1, keygen: 3, kdf: hpke::KDF_CALLS, ..payload(rules) },
    };
    let together = Counts { ristretto_coding: (rules.lean_channels() && slots > 0).into(), ..Counts::NOTHING };
    slots as u64 * each + together
}

fn warm_open(rules: Rules) -> Counts {
    match rules.lean_channels() {
        true => Counts { ristretto_mul: 1, ristretto_coding: 2, kdf: lean::KDF_CALLS, ..payload(rules) },
        false => Counts { dh: 1, keygen: 1, kdf: hpke::KDF_CALLS, ..payload(rules) },
    }
}

/// Computing the key that a peer has announced.
fn announced_key(rules: Rules) -> Counts {
    match rules.lean_channels() {
        true => Counts { ristretto_base: 1, ristretto_coding: 1, ..Counts::NOTHING },
        false => Counts::NOTHING,
    }
}

fn payload(rules: Rules) -> Counts {
    Counts { aead_bytes: payload_len(rules) as u64, ..Counts::NOTHING }
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

fn seed_commitment(rules: Rules) -> (usize, Counts) {
    commitment(rules, label::SEED_COMMITMENT)
}

/// Bytes of a commitment in a body, and what it costs to compute one.
fn commitment(rules: Rules, what: Label) -> (usize, Counts) {
    if rules.commits() { (DIGEST_LEN, blocks(commitment::blocks(what))) } else { (0, Counts::default()) }
}

fn blocks(hash_blocks: u64) -> Counts {
    Counts { hash_blocks, ..Counts::default() }
}

fn kdf(calls: u64) -> Counts {
    Counts { kdf: calls, ..Counts::default() }
}
