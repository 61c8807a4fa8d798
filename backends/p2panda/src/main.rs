//! DCGKA as the crate `p2panda-encryption` implements it.

mod group;
mod ids;
mod keys;
mod layer;
mod ordering;
mod roster;
#[cfg(test)]
mod tests;
mod user;
mod wire;

harness::main! { user::P2panda::Group, user::P2panda::Dcgka }
