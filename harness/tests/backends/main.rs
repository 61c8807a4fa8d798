//! Backends in the harness: correct ones are measured exactly, faulty ones are refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cells;
mod delivery;
mod exact_costs;
#[path = "../faulty/mod.rs"]
mod faulty;
mod faulty_backends;
mod partition;
mod several;
#[path = "../toy/mod.rs"]
mod toy;
mod wire;
