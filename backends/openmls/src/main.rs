//! MLS (RFC 9420) as the crate `openmls` implements it.

mod costs;
mod group;
mod provider;
mod signer;
#[cfg(test)]
mod tests;
mod thread;
mod user;

harness::main! { user::OpenMls::Fresh, user::OpenMls::Full }
