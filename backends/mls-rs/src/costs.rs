//! The exact numbers of messages and public-key operations. How many they are follows from the tree: each operation is
//! counted on a tree of which only the shape is known. V is a verification, KG a key generation, DH a key agreement, S a
//! signature; p is the number of nodes in the path of a commit's author, and c that of the ciphertexts in it:
//!
//! | | sender | each recipient |
//! |---|---|---|
//! | commit | (c+p+1)KG + c DH + 3S | DH + 2V, and KG for each node of the path above it; the removed: 2V |
//! | the same with an add | 2V + KG + DH more | 2V more; the joiner: DH + (n+2)V, and KG as above |
//! | message | S | V |
//!
//! In a full tree, p and c are the logarithm of n. The third signature is that of a group info, which mls-rs makes with
//! each commit, also if nobody joins.

use std::collections::BTreeMap;

use protocol::crypto::count::Counts;
use protocol::member::COMMIT;
use protocol::operation::{Expected, Operation, Phase, Role};

const DH: Counts = Counts { dh: 1, ..Counts::NOTHING };
const KG: Counts = Counts { keygen: 1, ..Counts::NOTHING };
const S: Counts = Counts { sign: 1, ..Counts::NOTHING };
const V: Counts = Counts { verify: 1, ..Counts::NOTHING };

/// What `operation` costs in a group of `n` members, at least 2, if all of them update with their first messages (`full`)
/// or not. `None` if there is no formula for it.
pub(crate) fn expected(full: bool, operation: Operation, n: usize) -> Option<Expected> {
    let conversed = || {
        let mut tree = Tree::conversed(n, full);
        (0..operation.earlier_updates()).for_each(|number| drop(tree.commit(number % n, None)));
        tree
    };
    Some(match operation.itself() {
        Operation::Create => create(n),
        Operation::Add => commit(conversed(), 0, Change::Add(n)),
        Operation::Remove => commit(conversed(), 0, Change::Remove(n - 1)),
        Operation::Update => commit(conversed(), 0, Change::Nothing),
        Operation::UpdateCold => commit(Tree::created(n).0, 1, Change::Nothing),
        Operation::Message => message(n),
        Operation::MessageAfterRemove => message(n - 1),
        // How often calls are made again has no short formula.
        _ => return None,
    })
}

fn create(n: usize) -> Expected {
    let (path, joiners) = (Tree::created(n).1, n as u64 - 1);
    // Its leaf is made and signed twice: for a group of one, and for the commit that adds all others.
    let own = 2 * KG + 4 * S + V;
    let joined: Counts = sum((1..n).map(|leaf| joins(&path, leaf, n)));
    Expected::new(
        vec![("welcome", 1)],
        vec![
            (Role::Sender, Phase::Generate, own + path.len() * KG + joiners * (KG + DH + 2 * V)),
            (Role::Recipient, Phase::Process, joined),
        ],
    )
}

enum Change {
    Nothing,
    Add(usize),
    Remove(usize),
}

#[track_caller]
fn commit(mut tree: Tree, by: usize, change: Change) -> Expected {
    let (mut joiner, mut removed) = (None, None);
    match change {
        Change::Nothing => {}
        Change::Add(leaf) => {
            tree.add(leaf);
            joiner = Some(leaf);
        }
        Change::Remove(leaf) => {
            tree.remove(leaf);
            removed = Some(leaf);
        }
    }
    let (members, added) = (tree.members(), u64::from(joiner.is_some()));
    let path = tree.commit(by, joiner);
    let generate = (path.ciphertexts + path.len() + 1) * KG + path.ciphertexts * DH + 3 * S;
    let others = members.iter().filter(|leaf| **leaf != by && Some(**leaf) != joiner);
    let process: Counts = sum(others.map(|leaf| DH + (2 + 2 * added) * V + path.above(*leaf) * KG));
    let mut counts = vec![
        (Role::Sender, Phase::Generate, generate + added * (KG + DH + 2 * V)),
        (Role::Recipient, Phase::Process, process),
    ];
    counts.extend(joiner.map(|leaf| (Role::Joiner, Phase::Process, joins(&path, leaf, members.len()))));
    counts.extend(removed.map(|_| (Role::Removed, Phase::Process, 2 * V)));
    Expected::new(vec![(COMMIT, 1), ("welcome", added)], counts)
}

fn joins(path: &Path, leaf: usize, members: usize) -> Counts {
    DH + (members as u64 + 1) * V + path.above(leaf) * KG
}

#[track_caller]
fn message(n: usize) -> Expected {
    let others = n as u64 - 1;
    let counts = vec![(Role::Sender, Phase::Generate, S), (Role::Recipient, Phase::Process, others * V)];
    Expected::new(vec![("message", 1)], counts)
}

fn sum(counts: impl Iterator<Item = Counts>) -> Counts {
    counts.fold(Counts::NOTHING, |sum, counts| sum + counts)
}

/// A node: its height above the leaves, and its place among those of this height.
type Node = (usize, usize);

/// The shape of a ratchet tree.
struct Tree {
    /// Whether the leaves are occupied: as many as a perfect tree has.
    leaves: Vec<bool>,
    /// The nodes that are not blank, with the leaves that do not know their secrets.
    parents: BTreeMap<Node, Vec<usize>>,
}

/// The path of a commit.
struct Path {
    by: usize,
    /// The heights of its nodes. Those above nobody else are left out.
    heights: Vec<usize>,
    ciphertexts: u64,
}

impl Path {
    fn len(&self) -> u64 {
        self.heights.len() as u64
    }

    /// The number of its nodes above this leaf.
    fn above(&self, leaf: usize) -> u64 {
        self.heights.iter().filter(|height| leaf >> **height == self.by >> **height).count() as u64
    }
}

impl Tree {
    /// The tree of a new group, and the path of the commit that added all but its creator.
    fn created(n: usize) -> (Self, Path) {
        let mut tree = Self { leaves: vec![true], parents: BTreeMap::new() };
        (1..n).for_each(|leaf| tree.add(leaf));
        // New members get the secrets of the path with the welcome.
        let path = Path { ciphertexts: 0, ..tree.commit(0, None) };
        (tree, path)
    }

    /// The same after everybody has sent a message.
    fn conversed(n: usize, full: bool) -> Self {
        let mut tree = Self::created(n).0;
        (1..n).filter(|_| full).for_each(|leaf| drop(tree.commit(leaf, None)));
        tree
    }

    fn members(&self) -> Vec<usize> {
        (0..self.leaves.len()).filter(|leaf| self.leaves[*leaf]).collect()
    }

    fn height(&self) -> usize {
        self.leaves.len().trailing_zeros() as usize
    }

    /// Occupies the first free leaf, which this is.
    fn add(&mut self, leaf: usize) {
        if leaf == self.leaves.len() {
            self.leaves.resize(2 * leaf, false);
        }
        self.leaves[leaf] = true;
        for height in 1..=self.height() {
            self.parents.entry((height, leaf >> height)).and_modify(|unmerged| unmerged.push(leaf));
        }
    }

    fn remove(&mut self, leaf: usize) {
        self.leaves[leaf] = false;
        self.parents.retain(|(height, place), _| leaf >> height != *place);
        while self.leaves.len() > 1 && !self.leaves[self.leaves.len() / 2..].contains(&true) {
            self.leaves.truncate(self.leaves.len() / 2);
        }
    }

    /// Renews the path above a leaf. For a joiner no secret of the path is encrypted: it gets a welcome.
    fn commit(&mut self, by: usize, joiner: Option<usize>) -> Path {
        let mut path = Path { by, heights: Vec::new(), ciphertexts: 0 };
        for height in 1..=self.height() {
            let beside = (height - 1, by >> (height - 1) ^ 1);
            if !self.resolution(beside).is_empty() {
                let readers = self.resolution(beside);
                path.ciphertexts +=
                    readers.iter().filter(|node| joiner.map(|leaf| (0, leaf)) != Some(**node)).count() as u64;
                path.heights.push(height);
            }
        }
        for height in &path.heights {
            self.parents.insert((*height, by >> height), Vec::new());
        }
        path
    }

    /// The nodes whose secrets together all members below a node know.
    fn resolution(&self, (height, place): Node) -> Vec<Node> {
        match self.parents.get(&(height, place)) {
            Some(unmerged) => [(height, place)].into_iter().chain(unmerged.iter().map(|leaf| (0, *leaf))).collect(),
            None if height == 0 => self.leaves[place].then_some((0, place)).into_iter().collect(),
            None => {
                [2 * place, 2 * place + 1].into_iter().flat_map(|child| self.resolution((height - 1, child))).collect()
            }
        }
    }
}
