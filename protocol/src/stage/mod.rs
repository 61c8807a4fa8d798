//! Users on a network in memory, what they say, and what somebody can read who has stolen their states.

mod copies;
pub(crate) mod derivations;
pub(crate) mod recorder;
pub(crate) mod talk;
pub(crate) mod theft;
pub(crate) mod verdict;
pub(crate) mod world;
