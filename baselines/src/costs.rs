//! The exact primitive counts of each operation, for comparison with the measured ones. A difference is a bug in one of
//! the two. V is a verification, KG a key generation, DH a key agreement:
//!
//! | | initiator or sender | responder or receiver |
//! |---|---|---|
//! | first contact, Xi and Xr | V + 2KG + 5DH | V + 5DH |
//! | turn of a ratchet | KG + DH | DH |
//!
//! A message turns the ratchet if and only if the peer has sent a message since the sender's last turn. If both members
//! of a pair hand out new keys concurrently, only one of them turns: the one that was the last to receive. So with
//! sender keys, a removal or an update costs less than one turn in each direction for each pair without the operation's
//! sender. No security is lost: the other member's channel was not compromised, or has turned with its answer to that
//! sender.

use protocol::crypto::count::Counts;
use protocol::crypto::hash;
use protocol::crypto::{aead, label};
use protocol::id::{HANDLE_LEN, MEMBER_ID_LEN};
use protocol::operation::{Expected, Operation, PLAINTEXT_LEN, Phase, Role};
use protocol::wire::codec::varint_len;
use protocol::wire::envelope;
use protocol::x3dh;

use crate::chain;
use crate::double_ratchet::ROOT_KDF_CALLS;
use crate::group::MAX_MEMBERS;
use crate::messages::group_id_blocks;
use crate::sender_key::{DISTRIBUTION_LEN, PREFIX_LEN};
use crate::user::Protocol;

/// Bytes of the plaintext of an update with a sender key: the key, and how often its sender has used the one before it.
const UPDATE_LEN: usize = DISTRIBUTION_LEN + 1;
/// Bytes of a notice in front of the added or removed member: a sequence number, and a count of 0 dependencies.
const NOTICE_LEN: usize = 2;

/// The cost of `operation` in a group of `n` members, at least 2. `None` if the protocol does not have the operation,
/// if there is no formula for it, or if the group would be larger than [`MAX_MEMBERS`].
pub(crate) fn expected(protocol: Protocol, operation: Operation, n: usize) -> Option<Expected> {
    let members = n + usize::from(operation == Operation::Add);
    if members > MAX_MEMBERS {
        return None;
    }
    Some(match operation {
        Operation::Create => sum(protocol, |costs| costs.create(n, false)),
        Operation::CreateMesh if protocol.defers_channels() => sum(protocol, |costs| costs.create(n, true)),
        Operation::Add => sum(protocol, |costs| costs.add(n)),
        Operation::Remove => sum(protocol, |costs| costs.remove(n)),
        Operation::Update if protocol == Protocol::Pairwise => sum(protocol, |costs| costs.update_pairwise(n)),
        Operation::Update if protocol.updates() => sum(protocol, |costs| costs.update(n)),
        Operation::UpdateCold if protocol == Protocol::Pairwise => sum(protocol, |costs| costs.update_cold_pairwise(n)),
        Operation::UpdateCold if protocol.updates() => sum(protocol, |costs| costs.update_cold(n)),
        Operation::Message => sum(protocol, |costs| costs.message(n - 1)),
        Operation::MessageAfterRemove => sum(protocol, |costs| costs.message_after_remove(n - 2)),
        _ => return None,
    })
}

/// The sum of what `formula` adds up. The place of the formula is that of the call, which names the operation.
#[track_caller]
fn sum(protocol: Protocol, formula: impl FnOnce(&mut Costs)) -> Expected {
    let mut costs = Costs { protocol, messages: Vec::new(), counts: Vec::new() };
    formula(&mut costs);
    Expected::new(costs.messages, costs.counts)
}

struct Costs {
    protocol: Protocol,
    messages: Vec<(&'static str, u64)>,
    counts: Vec<(Role, Phase, Counts)>,
}

impl Costs {
    /// The channels of the creator. Channels between the others are opened too, with `mesh` or if members hand out keys
    /// immediately.
    fn create(&mut self, n: usize, mesh: bool) {
        let (others, pairs) = others_and_pairs(n - 1);
        let founded = n as u64 * handle() + blocks(group_id_blocks(n - 1));
        let mut generate = founded + others * (initiate() + sealed(self.key_len()));
        let mut process = others * (founded + handle() + respond() + sealed(self.key_len()));
        self.send("founders", 1);
        self.send("create", others);
        if mesh {
            process += pairs * (initiate() + sealed(0));
            self.add_up(Role::Recipient, Phase::Responses, pairs * (respond() + sealed(0)));
            self.send("hello", pairs);
        }
        if self.protocol.is_eager() {
            let key = sealed(DISTRIBUTION_LEN);
            generate += new_key();
            process += others * (new_key() + turn() + key) + pairs * (initiate() + key);
            self.add_up(Role::Sender, Phase::Responses, others * (turn_back() + key));
            let answered = respond() + key + turn() + key + turn_back() + key;
            self.add_up(Role::Recipient, Phase::Responses, pairs * answered);
            self.send("key", others + 2 * pairs);
        }
        self.add_up(Role::Sender, Phase::Generate, generate);
        self.add_up(Role::Recipient, Phase::Process, process);
    }

    fn add(&mut self, n: usize) {
        let others = n as u64 - 1;
        let notice = NOTICE_LEN + MEMBER_ID_LEN;
        // In front of the notice, its length. In the state: the ids with their count; the number of founders; one
        // record, the creation, which its author alone has acknowledged; and for each member, how many of its notices
        // were delivered.
        let state = varint_len(n as u32) + n * MEMBER_ID_LEN + varint_len(n as u32) + 1 + 2 + n;
        let welcome = sealed(1 + notice + state + self.held_key_len());
        let hello = sealed(self.held_key_len());
        let mut generate = handle() + initiate() + others * sealed(notice) + welcome;
        let mut process = others * (sealed(notice) + handle() + initiate() + hello);
        let mut joins = handle() + respond() + welcome + (n as u64 + 1) * handle();
        let mut greeted = others * (respond() + hello);
        self.send("add", others);
        self.send("welcome", 1);
        self.send("hello", others);
        if self.protocol.is_eager() {
            let key = sealed(DISTRIBUTION_LEN);
            generate += others * turn();
            process += others * turn_back();
            joins += new_key() + turn() + key;
            greeted += others * (turn() + key);
            self.add_up(Role::Sender, Phase::Responses, turn_back() + key);
            self.add_up(Role::Recipient, Phase::Responses, others * (turn_back() + key));
            self.send("key", 1 + others);
        }
        self.add_up(Role::Sender, Phase::Generate, generate);
        self.add_up(Role::Recipient, Phase::Process, process);
        self.add_up(Role::Joiner, Phase::Process, joins);
        self.add_up(Role::Joiner, Phase::Responses, greeted);
    }

    fn remove(&mut self, n: usize) {
        let notice = NOTICE_LEN + HANDLE_LEN;
        let remaining = n as u64 - 2;
        self.send("remove", remaining + 1);
        if !self.protocol.is_eager() {
            self.add_up(Role::Sender, Phase::Generate, (remaining + 1) * sealed(notice));
            self.add_up(Role::Recipient, Phase::Process, remaining * sealed(notice));
            self.add_up(Role::Removed, Phase::Process, sealed(notice));
            return;
        }
        let notified = sealed(notice + DISTRIBUTION_LEN);
        let generate = new_key() + remaining * (turn() + notified) + turn() + sealed(notice);
        self.add_up(Role::Sender, Phase::Generate, generate);
        self.add_up(Role::Recipient, Phase::Process, remaining * (turn_back() + notified));
        self.add_up(Role::Removed, Phase::Process, turn_back() + sealed(notice));
        self.all_others_rotate(n - 2);
    }

    /// The creator was the last to send on all its channels, so it asks for turns.
    fn update_pairwise(&mut self, n: usize) {
        let others = n as u64 - 1;
        let empty = sealed(0);
        self.add_up(Role::Sender, Phase::Generate, others * empty);
        self.add_up(Role::Recipient, Phase::Process, others * (empty + turn() + empty));
        self.add_up(Role::Sender, Phase::Responses, others * (turn_back() + empty + turn() + empty));
        self.add_up(Role::Recipient, Phase::Responses, others * (turn_back() + empty));
        ["update-request", "turn", "update"].into_iter().for_each(|kind| self.send(kind, others));
    }

    /// The others were the last to send on the creator's channels, when they handed out their keys.
    fn update(&mut self, n: usize) {
        let others = n as u64 - 1;
        let key = sealed(UPDATE_LEN);
        self.send("update", others);
        self.add_up(Role::Sender, Phase::Generate, new_key() + others * (turn() + key));
        self.add_up(Role::Recipient, Phase::Process, others * (turn_back() + key));
        self.all_others_rotate(n - 1);
    }

    /// Each of these members hands out a new key: to the operation's sender over a channel that has just turned, and to
    /// the others.
    fn all_others_rotate(&mut self, members: usize) {
        let (members, pairs) = others_and_pairs(members);
        let key = sealed(DISTRIBUTION_LEN);
        self.add_up(Role::Recipient, Phase::Process, members * (new_key() + turn() + key) + pairs * (turn() + 2 * key));
        self.add_up(Role::Sender, Phase::Responses, members * (turn_back() + key));
        self.add_up(Role::Recipient, Phase::Responses, pairs * (turn_back() + 2 * key));
        self.send("key", members + 2 * pairs);
    }

    /// The updating member has received messages from the creator and from nobody else.
    fn update_cold_pairwise(&mut self, n: usize) {
        let strangers = n as u64 - 2;
        self.send("update", strangers + 1);
        let generate = turn() + sealed(0) + strangers * (initiate() + sealed(0));
        self.add_up(Role::Sender, Phase::Generate, generate);
        let process = turn_back() + sealed(0) + strangers * (respond() + sealed(0));
        self.add_up(Role::Recipient, Phase::Process, process);
    }

    /// All channels are open. The updating member sent last on its channel with the creator, and received last on the
    /// others.
    fn update_cold(&mut self, n: usize) {
        let (later, pairs) = others_and_pairs(n - 2);
        let (empty, key, update) = (sealed(0), sealed(DISTRIBUTION_LEN), sealed(UPDATE_LEN));
        self.send("update-request", 1);
        self.send("turn", 1);
        self.send("update", later + 1);
        self.send("key", later * (later + 1) + later + 1);
        self.add_up(Role::Sender, Phase::Generate, new_key() + empty + later * (turn() + update));
        let creator_turns = empty + turn() + empty;
        // Their keys go to the updating member over a channel that has just turned, to the creator over one that has
        // not, and to each other.
        let rotate = new_key() + turn_back() + update + turn() + 2 * key;
        let process = creator_turns + later * rotate + pairs * (turn() + 2 * key);
        self.add_up(Role::Recipient, Phase::Process, process);
        // The creator's turn and the update for it, then the later members' keys, then the creator's key.
        let sender = turn_back() + empty + turn() + update + later * (turn_back() + key) + turn_back() + key;
        self.add_up(Role::Sender, Phase::Responses, sender);
        let creator_rotates = turn_back() + update + new_key() + (later + 1) * (turn() + key);
        let creator = later * key + creator_rotates;
        let others = pairs * (turn_back() + 2 * key) + later * (turn_back() + key);
        self.add_up(Role::Recipient, Phase::Responses, creator + others);
    }

    /// A message to this many others.
    fn message(&mut self, others: usize) {
        let others = others as u64;
        let pairwise = !self.protocol.has_sender_keys();
        let one = |signature: Counts| if pairwise { sealed(PLAINTEXT_LEN) } else { group_message() + signature };
        let (signs, verifies) = (Counts { sign: 1, ..Counts::default() }, Counts { verify: 1, ..Counts::default() });
        let copies = if pairwise { others } else { 1 };
        self.send("message", copies);
        self.add_up(Role::Sender, Phase::Generate, copies * one(signs));
        self.add_up(Role::Recipient, Phase::Process, others * one(verifies));
    }

    /// Lazy members hand out new keys with their first message after a removal.
    fn message_after_remove(&mut self, others: usize) {
        self.message(others);
        if self.protocol == Protocol::Lazy {
            let others = others as u64;
            self.send("key", others);
            self.add_up(Role::Sender, Phase::Generate, new_key() + others * sealed(DISTRIBUTION_LEN));
            self.add_up(Role::Recipient, Phase::Process, others * sealed(DISTRIBUTION_LEN));
        }
    }

    /// Bytes of the sender key in a message of the creation.
    fn key_len(&self) -> usize {
        if self.protocol.is_eager() { DISTRIBUTION_LEN } else { 0 }
    }

    /// Bytes of the sender key of a member that has sent an application message.
    fn held_key_len(&self) -> usize {
        if self.protocol.has_sender_keys() { DISTRIBUTION_LEN } else { 0 }
    }

    fn send(&mut self, kind: &'static str, count: u64) {
        self.messages.push((kind, count));
    }

    fn add_up(&mut self, role: Role, phase: Phase, counts: Counts) {
        self.counts.push((role, phase, counts));
    }
}

/// The number of members, and the number of pairs among them.
fn others_and_pairs(members: usize) -> (u64, u64) {
    let members = members as u64;
    (members, members * members.saturating_sub(1) / 2)
}

/// Xi, without the message that carries it.
fn initiate() -> Counts {
    Counts { dh: 5, keygen: 2, kdf: x3dh::KDF_CALLS + ROOT_KDF_CALLS, ..bundle() }
}

/// Xr, without the message that carries it.
fn respond() -> Counts {
    Counts { dh: 5, kdf: x3dh::KDF_CALLS + ROOT_KDF_CALLS, ..bundle() }
}

/// Verification of a bundle.
fn bundle() -> Counts {
    Counts { verify: 1, hash_blocks: x3dh::bundle_blocks(), ..Counts::default() }
}

/// A new ratchet key, at the member that makes it.
fn turn() -> Counts {
    Counts { dh: 1, keygen: 1, kdf: ROOT_KDF_CALLS, ..Counts::default() }
}

/// A new ratchet key, at the member that receives it.
fn turn_back() -> Counts {
    Counts { dh: 1, kdf: ROOT_KDF_CALLS, ..Counts::default() }
}

/// A channel message with a plaintext of this length, at either end.
fn sealed(plaintext: usize) -> Counts {
    Counts { kdf: chain::KDF_CALLS, aead_bytes: plaintext as u64, ..Counts::default() }
}

/// A message under a sender key, at either end, without its signature.
fn group_message() -> Counts {
    let body = PREFIX_LEN + PLAINTEXT_LEN + aead::OVERHEAD;
    sealed(PLAINTEXT_LEN) + blocks(envelope::digest_blocks(false, false, body))
}

fn new_key() -> Counts {
    Counts { sign_keygen: 1, ..Counts::default() }
}

fn handle() -> Counts {
    blocks(hash::blocks_of(label::HANDLE, &[MEMBER_ID_LEN]))
}

fn blocks(hash_blocks: u64) -> Counts {
    Counts { hash_blocks, ..Counts::default() }
}
