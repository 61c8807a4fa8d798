//! Secrets as names, and what follows from what. No secret has a value: two are equal if they are made in the same way.

use std::collections::{BTreeMap, BTreeSet};

/// A secret.
pub(crate) type Atom = usize;

/// What everybody knows: the first state of each ratchet, and the two constants of an add.
pub(crate) const FIRST: Atom = 0;
pub(crate) const WELCOME_STEP: Atom = 1;
pub(crate) const ADD_STEP: Atom = 2;
const PUBLIC: [Atom; 3] = [FIRST, WELCOME_STEP, ADD_STEP];

/// What a secret is derived for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum For {
    /// The member secret of this user.
    Member(u8),
    /// The first secret of a joiner.
    Joiner,
    /// The key of a message.
    Key,
    /// The next state of a chain.
    Next,
}

#[derive(Default)]
pub(crate) struct Terms {
    count: usize,
    /// Who knows all of the first knows all of the second.
    rules: Vec<(Vec<Atom>, Vec<Atom>)>,
    derived: BTreeMap<(Atom, For), Atom>,
    steps: BTreeMap<(Atom, Atom), (Atom, Atom)>,
}

impl Terms {
    pub(crate) fn new() -> Self {
        Self { count: PUBLIC.len(), ..Self::default() }
    }

    /// A secret that somebody draws.
    pub(crate) fn fresh(&mut self) -> Atom {
        self.count += 1;
        self.count - 1
    }

    pub(crate) fn rule(&mut self, needs: &[Atom], gives: &[Atom]) {
        self.rules.push((needs.to_vec(), gives.to_vec()));
    }

    /// KDF(secret, purpose).
    pub(crate) fn derive(&mut self, from: Atom, purpose: For) -> Atom {
        if let Some(known) = self.derived.get(&(from, purpose)) {
            return *known;
        }
        let made = self.fresh();
        self.derived.insert((from, purpose), made);
        self.rule(&[from], &[made]);
        made
    }

    /// update-ratchet: the update secret, and the ratchet after it.
    pub(crate) fn step(&mut self, ratchet: Atom, input: Atom) -> (Atom, Atom) {
        if let Some(known) = self.steps.get(&(ratchet, input)) {
            return *known;
        }
        let made = (self.fresh(), self.fresh());
        self.steps.insert((ratchet, input), made);
        self.rule(&[ratchet, input], &[made.0, made.1]);
        made
    }

    /// Everything that follows from these.
    pub(crate) fn closure(&self, held: &BTreeSet<Atom>) -> BTreeSet<Atom> {
        let mut known: BTreeSet<Atom> = held.iter().chain(&PUBLIC).copied().collect();
        loop {
            let before = known.len();
            for (needs, gives) in &self.rules {
                if needs.iter().all(|atom| known.contains(atom)) {
                    known.extend(gives);
                }
            }
            if known.len() == before {
                return known;
            }
        }
    }
}
