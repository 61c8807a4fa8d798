//! BeeKEM as the crate `beekem` implements it.

mod bundle;
mod codec;
mod group;
mod user;

harness::main! { user::BeeKem::Fresh, user::BeeKem::Full }
