//! What somebody can read who has stolen states of members: measured by attacks, in named situations.
//!
//! The attacker hears every message, and knows how members derive their secrets. It has two ways to read, and has read what it
//! reads in either:
//!
//! - *Thieves* ([`crate::attack`]) run the protocol's own code with each stolen state.
//! - *Derivation*: members record what they derive and encrypt with. From all stolen states together, and from what was sent,
//!   everything is derived that follows. It needs no code of a thief, so what a state holds and nobody would use counts too. It
//!   is left out if the backend does not use the counted primitives of [`crate::crypto`] alone.
//!
//! An attack shows that something can be read. That something cannot be read shows only if the same attacker reads elsewhere:
//! each situation has such a twin, and one whose twin reads nothing shows nothing.

mod absence;
mod scene;
pub mod schedules;
mod situations;
mod thefts;
mod workload;

pub use absence::{Absence, Away, absent};
pub use scene::{Reads, Tried};
pub use situations::{Answer, SITUATIONS, Situation, Topic, examine};
pub use thefts::Theft;
pub use workload::{Exposed, Workload, expose};
