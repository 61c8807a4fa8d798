//! The same randomness gives the same bytes, and the backend declares otherwise: so nobody compares them.

use protocol::member::{Capabilities, Description};

use super::Fault;

#[derive(Clone)]
pub(crate) struct DeclaresLess;

impl Fault for DeclaresLess {
    fn description(&self, right: Description) -> Description {
        Description { capabilities: Capabilities { deterministic: false, ..right.capabilities }, ..right }
    }
}
