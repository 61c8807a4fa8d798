//! The concurrent scenarios in the leanest form of the protocol, and what its acknowledgements withstand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../concurrency/main.rs"]
mod concurrency;
mod forgers;
mod hostile;
mod lists;
mod tagged_acks;
mod worst_cases;

/// What the users of a test follow unless it says otherwise.
const VARIANT: dcgka::Dcgka = dcgka::Dcgka::LEAN;
