//! The exact numbers of messages and public-key operations.

use protocol::operation::{Expected, Operation};

/// The cost of `operation`.
pub(crate) fn expected(_full: bool, _operation: Operation, _group_size: usize) -> Option<Expected> {
    None
}
