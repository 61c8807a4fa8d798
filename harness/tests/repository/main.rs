//! The repository itself: its words, its files, and what it says of its data.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod build_script;
mod data;
mod layout;
mod system;
mod template;
mod texts;
mod words;
