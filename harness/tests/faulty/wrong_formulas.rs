//! The formulas of create and remove ask for more than is done.

use protocol::crypto::count::Counts;
use protocol::operation::{Expected, Operation, Phase, Role};

use super::Fault;

#[derive(Clone)]
pub(crate) struct WrongFormulas;

impl Fault for WrongFormulas {
    fn expected(
        &self,
        operation: Operation,
        _group_size: usize,
        right: &dyn Fn() -> Option<Expected>,
    ) -> Option<Expected> {
        match operation {
            Operation::Create => Some(asking_too_much(right()?)),
            Operation::Remove => Some(asking_too_much(right()?)),
            _ => right(),
        }
    }
}

/// The costs, and one message and two primitives more.
#[track_caller]
fn asking_too_much(right: Expected) -> Expected {
    let Expected { mut messages, mut counts, .. } = right;
    messages.push(("note", 1));
    counts.push((Role::Sender, Phase::Generate, Counts { sign: 1, kdf: 2, ..Counts::default() }));
    Expected::new(messages, counts)
}

/// What is said of the formula of one operation, if its member signs once and derives no keys.
pub(crate) fn said_of(operation: Operation) -> String {
    let arm = format!("Operation::{operation:?} => Some(asking_too_much");
    let line = 1 + include_str!("wrong_formulas.rs").lines().position(|line| line.contains(&arm)).unwrap();
    format!(
        "{operation}: note messages: expected 1, measured 0; op.sign of role sender in phase generate: expected 2, \
         measured 1; op.kdf of role sender in phase generate: expected 2, measured 0; the formula is at {}:{line}",
        file!()
    )
}
