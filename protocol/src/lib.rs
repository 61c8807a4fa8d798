//! The contract between group key agreement protocols and the harness that measures them, and the parts of which the
//! protocols consist.
//!
//! | module | what it holds |
//! |---|---|
//! | [`member`] | the traits [`Backend`](member::Backend) and [`Member`](member::Member), messages and events |
//! | [`operation`] | the operations, roles and phases that are measured, and the comparison of costs with formulas |
//! | [`id`], [`error`] | names of users, groups and messages; one error type |
//! | [`crypto`] | thin typed wrappers of the primitives, which count their use |
//! | [`wire`] | the canonical codec and the signed envelope |
//! | [`directory`], [`x3dh`] | the public-key infrastructure with prekeys, and first contact |
//! | [`causal_order`] | when a received message is verified, and when it is delivered |
//! | [`membership`] | decentralised group membership with strong remove |
//! | [`agreement`] | whether members agree on who is a member and on each member's key material |
//! | [`attack`] | an attacker that has stolen states of members |
//! | `conformance` | the suite that every backend must pass before it is measured (feature `conformance`) |
//! | `security` | what an attacker reads in named situations (feature `conformance`) |
//! | `simulation` | random schedules of members on a network without order, and what must hold in them (feature `simulation`) |

pub mod agreement;
pub mod attack;
pub mod causal_order;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod crypto;
pub mod directory;
pub mod error;
pub mod id;
pub mod member;
pub mod membership;
pub mod operation;
#[cfg(feature = "conformance")]
pub mod security;
#[cfg(feature = "simulation")]
pub mod simulation;
#[cfg(feature = "conformance")]
mod stage;
pub mod wire;
pub mod x3dh;
