//! A backend on trial, and how it gets to the state in which an operation starts.

use std::borrow::Cow;

use super::report::{Attack, Violation};
use crate::member::{Backend, Capabilities, Ordering};
use crate::operation::{CostMismatch, Operation, Start};
use crate::stage::verdict::Verdict;
use crate::stage::world::{Action, World};

/// The sizes of the groups in which each operation is tried.
pub(super) const SIZES: [usize; 4] = [2, 3, 5, 8];

/// A backend on trial, and how far it has come.
pub(super) struct Trial<'a> {
    pub(super) make: &'a dyn Fn() -> Box<dyn Backend>,
    pub(super) situation: Cow<'static, str>,
    pub(super) group_size: usize,
    pub(super) seed: u64,
    /// The number of situations that the present check has entered, without those in which something could not be tried.
    pub(super) tried: u32,
    /// Whether everything could be tried in the present situation.
    complete: bool,
    /// The most members that speak in a conversation.
    pub(super) most_speakers: usize,
    pub(super) notes: Vec<&'static str>,
    /// What could not be tried, and why.
    pub(super) not_made: Vec<(&'static str, &'static str)>,
    pub(super) attacks: Vec<Attack>,
    /// Operations that do not cost what their formulas say, as one violation.
    costs: Option<Violation>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(make: &'a dyn Fn() -> Box<dyn Backend>) -> Self {
        Self {
            make,
            situation: "description".into(),
            group_size: 0,
            seed: 0,
            tried: 0,
            complete: true,
            most_speakers: usize::MAX,
            notes: Vec::new(),
            not_made: Vec::new(),
            attacks: Vec::new(),
            costs: None,
        }
    }

    /// Another situation, with a seed of its own.
    pub(super) fn enter(&mut self, situation: impl Into<Cow<'static, str>>, group_size: usize) {
        (self.situation, self.group_size) = (situation.into(), group_size);
        self.seed += 1;
        self.tried += 1;
        self.complete = true;
    }

    /// Records that something could not be tried in the present situation.
    pub(super) fn not_made(&mut self, what: &'static str, why: &'static str) {
        if core::mem::take(&mut self.complete) {
            self.tried -= 1;
        }
        self.leave_out(what, why);
    }

    /// Records that something is tried nowhere, which does not keep a situation from counting.
    pub(super) fn leave_out(&mut self, what: &'static str, why: &'static str) {
        if !self.not_made.contains(&(what, why)) {
            self.not_made.push((what, why));
        }
    }

    pub(super) fn backend(&self) -> Box<dyn Backend> {
        (self.make)()
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.backend().description().capabilities
    }

    /// Whether a message can cross an operation: neither author knows of the other, and others may get either first.
    pub(super) fn may_cross(&self) -> bool {
        let Capabilities { concurrent_operations, ordering, .. } = self.capabilities();
        concurrent_operations && ordering == Ordering::Causal
    }

    pub(super) fn supports(&self, operation: Operation, group_size: usize) -> bool {
        self.backend().supports(operation, group_size)
    }

    /// A group in the state in which an operation starts, and `outsiders` more users outside it.
    pub(super) fn world(&self, start: Start, outsiders: usize) -> Verdict<World<'a>> {
        let mut world = World::new(self.make, self.group_size + outsiders, self.seed)?;
        world.most_speakers = self.most_speakers;
        self.advance(&mut world, start)?;
        world.fork()
    }

    /// Brings users who have done nothing to the state in which an operation starts.
    fn advance(&self, world: &mut World<'a>, start: Start) -> Verdict {
        let group_size = self.group_size;
        if start >= Start::Created {
            let cost = world.run(0, &Action::Create((1..group_size).collect()))?;
            let expected = self.backend().expected(Operation::Create, group_size);
            // A wrong formula of the create must not hide those of other operations.
            if let Some(expected) = expected.filter(|_| self.costs.is_none()) {
                expected.compare(&cost, self.capabilities().counted).map_err(|mismatch| mismatch.to_string())?;
            }
        }
        if start >= Start::Conversed {
            world.converse()?;
        }
        if start >= Start::Removed {
            world.run(0, &Action::Remove(group_size - 1))?;
        }
        Ok(())
    }

    /// Records that the present operation does not cost what its formula says. The check goes on after that.
    pub(super) fn wrong_formula(&mut self, mismatch: &CostMismatch) {
        let what = format!("{}: {mismatch}", self.situation);
        match &mut self.costs {
            Some(others) => others.what += &format!("; {what}"),
            None => {
                let situation = "all operations".into();
                self.costs = Some(Violation { situation, ..self.violation("", what) });
            }
        }
    }

    /// Whether the backend adapts an implementation of others. Then what is wrong does not end the suite.
    pub(super) fn adapts(&self) -> bool {
        self.backend().description().adapts.is_some()
    }

    /// Goes on after a violation, which the next ones are not to repeat.
    pub(super) fn forget(&mut self, violation: Violation) -> Violation {
        self.costs = None;
        violation
    }

    /// Whether all formulas have been right so far.
    pub(super) fn formulas_are_right(&self) -> bool {
        self.costs.is_none()
    }

    /// What is wrong. Formulas that were wrong before come first: the rest may follow from that.
    pub(super) fn violation(&self, check: &'static str, what: String) -> Violation {
        if let Some(costs) = &self.costs {
            return Violation { check, ..costs.clone() };
        }
        let (situation, group_size, seed) = (self.situation.clone(), self.group_size, self.seed);
        Violation { check, situation, group_size, seed, what }
    }
}
