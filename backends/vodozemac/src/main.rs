//! Olm and Megolm as the crate `vodozemac` implements them.

mod account;
mod act;
mod channel;
mod group;
mod megolm;
mod messages;
mod pickle;
mod receive;
mod stolen;
mod user;

harness::main! { user::Vodozemac::Olm, user::Vodozemac::Megolm }
