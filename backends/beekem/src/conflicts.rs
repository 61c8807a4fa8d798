//! Nodes of the tree in which concurrent updates have left several keys, until an update below them replaces these. BeeKEM
//! does not show its tree, so this follows the operations.

use std::collections::{BTreeMap, BTreeSet};

use beekem::operation::CgkaChange;
use keyhive_crypto::share_key::ShareKey;

use crate::codec::Change;

/// The number of nodes with several keys after these operations, which are in an order in which they can be applied.
pub(crate) fn count(history: &[Change]) -> usize {
    let mut nodes = BTreeMap::<u32, BTreeSet<ShareKey>>::new();
    for change in history {
        match &change.payload().change {
            CgkaChange::Update { new_path, .. } => {
                for (index, node) in &new_path.path {
                    let keys = nodes.entry(*index).or_default();
                    keys.retain(|key| !new_path.removed_keys.contains(key));
                    keys.extend(node.node_key().keys());
                }
            }
            // A change of the members blanks the nodes above a leaf.
            CgkaChange::Add { leaf_index, .. } => nodes.retain(|node, _| !is_above(*node, *leaf_index)),
            CgkaChange::Remove { removed, .. } => {
                nodes.retain(|node, _| !removed.iter().any(|member| is_above(*node, member.leaf_idx)));
            }
        }
    }
    nodes.values().filter(|keys| keys.len() > 1).count()
}

/// Whether an inner node is above a leaf. Leaves and inner nodes alternate; a node is in the middle of what is below it.
fn is_above(inner: u32, leaf: u32) -> bool {
    let (node, leaf) = (2 * u64::from(inner) + 1, 2 * u64::from(leaf));
    node.abs_diff(leaf) < 1 << node.trailing_ones()
}
