//! Backends in the harness: correct ones are measured exactly, faulty ones are refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cells;
#[path = "../faulty/checks_later.rs"]
mod checks_later;
mod delivery;
mod evasions;
mod exact_costs;
mod exposure;
#[path = "../faulty/mod.rs"]
mod faulty;
mod faulty_backends;
#[path = "../faulty/free_verification.rs"]
mod free_verification;
#[path = "../faulty/gives_up.rs"]
mod gives_up;
#[path = "../faulty/key_in_clear.rs"]
mod key_in_clear;
mod large_groups;
#[path = "../faulty/layer.rs"]
mod layer;
#[path = "../faulty/masked.rs"]
mod masked;
mod partition;
#[cfg(target_os = "linux")]
mod piped;
#[path = "../faulty/puts_off.rs"]
mod puts_off;
#[path = "../faulty/puts_off_uncounted.rs"]
mod puts_off_uncounted;
#[path = "../faulty/second_signature.rs"]
mod second_signature;
mod several;
#[path = "../faulty/small_groups_only.rs"]
mod small_groups_only;
#[path = "../faulty/table_of_plaintexts.rs"]
mod table_of_plaintexts;
mod thieves;
mod total_order;
#[path = "../toy/mod.rs"]
mod toy;
#[path = "../faulty/verifies_when_author_speaks.rs"]
mod verifies_when_author_speaks;
mod wire;
#[path = "../faulty/works_ahead.rs"]
mod works_ahead;
