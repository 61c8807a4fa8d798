//! The public-key operations of each operation, from the tree that it finds.
//!
//! What they consist of is BeeKEM's way of working:
//!
//! - A member that decodes a key checks the key's order, with one key agreement. The author of an operation decodes it
//!   again after signing, and checks the signature.
//! - To encrypt a secret of a node to another key takes one key agreement. The author computes its own public key twice.
//! - A member that receives an update decrypts each secret from the node on, at which its path meets the author's. It
//!   computes the public key of each, to compare it. It computes its own public key once for the first secret, and twice
//!   for each of the others, which it opens with the key of the author's node.
//! - An update contains the secret of the update before it. A member that learns both secrets computes the public key of
//!   each once more.

use std::collections::BTreeSet;

use protocol::crypto::count::Counts;
use protocol::operation::{Expected, Operation, Phase, Role};

use crate::user::BeeKem;

/// Keys in an add: that of the joiner, and in the invitation that of the inviter and the joiner's again.
const ADD_KEYS: u64 = 3;
/// The same without an invitation, as there is none before the first update.
const FOUNDING_ADD_KEYS: u64 = 1;

const SIGN: Counts = Counts { sign: 1, ..Counts::NOTHING };
const VERIFY: Counts = Counts { verify: 1, ..Counts::NOTHING };
/// The key agreement of an invitation, made even if there is nothing to invite to.
const INVITE: Counts = Counts { dh: 1, keygen: 2, ..Counts::NOTHING };

/// What `operation` costs in a group of `n` members. `None` if there is no formula: operations of several members meet trees
/// with conflicts.
pub(crate) fn expected(variant: BeeKem, operation: Operation, n: usize) -> Option<Expected> {
    Some(match operation {
        Operation::Create => create(n),
        Operation::Add => add(variant, n),
        Operation::Remove => remove(Tree::conversed(variant, n).0),
        Operation::Update => update(Tree::conversed(variant, n).0, 0),
        Operation::UpdateCold => update(Tree::created(n).0, 1),
        Operation::Message => message(n),
        Operation::MessageAfterRemove if n > 1 => message(n - 1),
        _ => return None,
    })
}

fn create(n: usize) -> Expected {
    let others = n as u64 - 1;
    let (tree, path) = Tree::created(n);
    // The creator's prekey is computed for its add and for its keys. The group has a signature key of its own.
    let keys = Counts { keygen: 2, sign_keygen: 1, ..Counts::NOTHING };
    let adds = n as u64 * signed(FOUNDING_ADD_KEYS) + others * (fetch() + INVITE);
    let founded = Counts { keygen: 1, ..Counts::NOTHING } + n as u64 * received(FOUNDING_ADD_KEYS);
    let joined = (1..n).map(|leaf| founded + tree.receive(&path, 0, leaf, 0));
    Expected::new(
        vec![("create", n as u64 + 1)],
        vec![
            (Role::Sender, Phase::Generate, keys + adds + path.generate(0)),
            (Role::Recipient, Phase::Process, sum(joined)),
        ],
    )
}

fn add(variant: BeeKem, n: usize) -> Expected {
    let (mut tree, history) = Tree::conversed(variant, n);
    tree.push();
    let path = tree.update(0);
    // The welcome has another signature.
    let generate = fetch() + INVITE + signed(ADD_KEYS) + path.generate(1) + SIGN;
    let recipients = (1..n).map(|leaf| received(ADD_KEYS) + tree.receive(&path, 0, leaf, 1));
    let past = VERIFY + n as u64 * received(FOUNDING_ADD_KEYS) + sum(history.iter().map(|path| received(path.keys)));
    // It computes its prekey with each of three messages. By the invitation it learns the secret of the update before.
    let before = if history.len() > 1 { 1 } else { 0 };
    let invited = Counts { dh: 1, keygen: 3 + 2 + before, ..Counts::NOTHING };
    let joined = past + received(ADD_KEYS) + invited + tree.receive(&path, 0, n, 1);
    Expected::new(
        vec![("add", 1), ("update", 1), ("welcome", 1)],
        vec![
            (Role::Sender, Phase::Generate, generate),
            (Role::Recipient, Phase::Process, sum(recipients)),
            (Role::Joiner, Phase::Process, joined),
        ],
    )
}

fn remove(mut tree: Tree) -> Expected {
    tree.pop();
    let path = tree.update(0);
    let recipients = (1..tree.members).map(|leaf| received(0) + tree.receive(&path, 0, leaf, 1));
    Expected::new(
        vec![("remove", 1), ("update", 1)],
        vec![
            (Role::Sender, Phase::Generate, signed(0) + path.generate(1)),
            (Role::Recipient, Phase::Process, sum(recipients)),
            // Then it is no member any more.
            (Role::Removed, Phase::Process, received(0)),
        ],
    )
}

fn update(mut tree: Tree, author: usize) -> Expected {
    let path = tree.update(author);
    let recipients = (0..tree.members).filter(|leaf| *leaf != author).map(|leaf| tree.receive(&path, author, leaf, 1));
    Expected::new(
        vec![("update", 1)],
        vec![(Role::Sender, Phase::Generate, path.generate(1)), (Role::Recipient, Phase::Process, sum(recipients))],
    )
}

fn message(n: usize) -> Expected {
    let others = n as u64 - 1;
    let counts = vec![(Role::Sender, Phase::Generate, SIGN), (Role::Recipient, Phase::Process, others * VERIFY)];
    Expected::new(vec![("message", 1)], counts)
}

/// Signing an operation that has this number of keys.
fn signed(keys: u64) -> Counts {
    SIGN + received(keys)
}

/// Decoding an operation that has this number of keys, and checking its signature.
fn received(keys: u64) -> Counts {
    VERIFY + Counts { dh: keys, ..Counts::NOTHING }
}

/// Taking a prekey from the directory.
fn fetch() -> Counts {
    received(1)
}

fn sum(counts: impl Iterator<Item = Counts>) -> Counts {
    counts.fold(Counts::NOTHING, |sum, counts| sum + counts)
}

/// Which nodes of a tree are blank. Of height 0 are the leaves; all before the number of members are taken.
struct Tree {
    members: usize,
    /// The height of the root. It never becomes smaller.
    height: u32,
    /// The inner nodes that are not blank: height, and number from the left.
    filled: BTreeSet<(u32, usize)>,
}

/// The path of an update.
struct Path {
    /// The number of nodes.
    nodes: u64,
    /// Encrypted secrets.
    sealed: u64,
    /// Those encrypted to a key that nobody else has, because there is nobody else below the node.
    to_nobody: u64,
    /// Keys in the message.
    keys: u64,
}

impl Path {
    /// Making it, and signing it. It contains the secrets of this number of updates before it.
    fn generate(&self, before: u64) -> Counts {
        let Self { nodes, sealed, to_nobody, keys } = *self;
        let keygen = 1 + nodes + 2 * sealed + to_nobody + 1 + before;
        Counts { dh: sealed, keygen, ..Counts::NOTHING } + signed(keys)
    }
}

impl Tree {
    /// A new group, and the update that its creation ends with.
    fn created(n: usize) -> (Self, Path) {
        let mut tree = Self { members: 0, height: 1, filled: BTreeSet::new() };
        (0..n).for_each(|_| tree.push());
        let path = tree.update(0);
        (tree, path)
    }

    /// A group after a conversation, and all updates so far.
    fn conversed(variant: BeeKem, n: usize) -> (Self, Vec<Path>) {
        let (mut tree, created) = Self::created(n);
        let mut history = vec![created];
        if variant == BeeKem::Full {
            // The creator speaks last, and has then read a message of everybody else.
            history.extend((1..n).map(|leaf| tree.update(leaf)));
        }
        (tree, history)
    }

    fn push(&mut self) {
        self.members += 1;
        if self.members > 1 << self.height {
            self.height += 1;
        }
        self.blank(self.members - 1);
    }

    /// Removes the last member.
    fn pop(&mut self) {
        self.members -= 1;
        self.blank(self.members);
    }

    fn blank(&mut self, leaf: usize) {
        self.filled.retain(|(height, number)| leaf >> height != *number);
    }

    /// The number of keys to which a secret for everybody below a node must be encrypted.
    fn resolution(&self, height: u32, number: usize) -> u64 {
        match height {
            0 => u64::from(number < self.members),
            _ if self.filled.contains(&(height, number)) => 1,
            _ => self.resolution(height - 1, 2 * number) + self.resolution(height - 1, 2 * number + 1),
        }
    }

    fn update(&mut self, author: usize) -> Path {
        // The leaf's old and new key.
        let mut path = Path { nodes: self.height.into(), sealed: 0, to_nobody: 0, keys: 2 };
        for height in 0..self.height {
            let others = self.resolution(height, (author >> height) ^ 1);
            path.sealed += others.max(1);
            path.to_nobody += u64::from(others == 0);
            // The node's new key, the author's below it, and one with each secret. The first of these is there twice, also
            // under the author's name.
            path.keys += 2 + 1 + others;
            // The node's old key.
            path.keys += u64::from(!self.filled.insert((height + 1, author >> (height + 1))));
        }
        path
    }

    /// Receiving an update, which contains the secrets of this number of updates before it.
    fn receive(&self, path: &Path, author: usize, leaf: usize, before: u64) -> Counts {
        let meet = usize::BITS - (author ^ leaf).leading_zeros();
        let opened = u64::from(self.height - meet) + 1;
        let keygen = 2 + 3 * (opened - 1) + 1 + before;
        Counts { dh: opened, keygen, ..Counts::NOTHING } + received(path.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key agreements that others have published (`results/published`) are the encrypted secrets of the full tree.
    #[test]
    fn secrets_in_a_full_tree_are_as_many_as_published() {
        for (n, updated, added, removed) in [(8, 3, 4, 4), (32, 5, 6, 8), (128, 7, 8, 12)] {
            let full = || Tree::conversed(BeeKem::Full, n).0;
            let (mut grown, mut shrunk) = (full(), full());
            grown.push();
            shrunk.pop();
            assert_eq!([full(), grown, shrunk].map(|mut tree| tree.update(0).sealed), [updated, added, removed]);
        }
    }
}
