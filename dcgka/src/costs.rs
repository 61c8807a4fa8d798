//! Costs.
use protocol::operation::{Expected, Operation};
pub(crate) fn expected(_operation: Operation, _n: usize) -> Expected {
    Expected::default()
}
