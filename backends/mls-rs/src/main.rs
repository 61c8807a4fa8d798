//! MLS as the crate `mls-rs` implements it, with two providers of cryptography.

mod client;
mod costs;
mod group;
mod provider;
mod snapshot;
#[cfg(test)]
mod tests;
mod user;

use provider::{AwsLc, RustCrypto};
use user::Mls;

harness::main! {
    Mls::<RustCrypto>::FRESH, Mls::<RustCrypto>::FULL, Mls::<AwsLc>::FRESH, Mls::<AwsLc>::FULL
}
