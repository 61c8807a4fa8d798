//! Olm and Megolm as the crate `vodozemac` implements them.

mod account;
mod backend;
mod channel;
mod group;
mod megolm;
mod messages;
mod overhear;
mod party;
mod pickle;
mod user;

harness::main! { user::Vodozemac::Olm, user::Vodozemac::Megolm }
