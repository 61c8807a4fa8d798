//! BeeKEM as the crate `beekem` implements it.

mod bundle;
mod codec;
mod conflicts;
mod costs;
mod ed25519;
mod group;
#[cfg(test)]
mod tests;
mod user;

harness::main! { user::BeeKem::Fresh, user::BeeKem::Full }
