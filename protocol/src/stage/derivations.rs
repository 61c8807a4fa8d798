//! What follows from what. All members have recorded how they have derived their secrets, and with which keys they have
//! encrypted. So what follows from a stolen state can be derived without the code of any thief: what that code would not use
//! counts too, and several states count together.
//!
//! It needs primitives that record ([`crate::crypto`]). A value counts as the one before if it begins with the same 16
//! bytes.

use std::collections::HashMap;

use super::world::World;
use crate::crypto::tap::{Derived, Tap};

/// Bytes by which values are told apart: a block of AES.
const BLOCK: usize = 16;
/// Bits of a block that say quickly that it is no value.
const FILTER_BITS: u32 = 24;

/// A record of what the members of a world derive, while they do it.
pub(crate) struct Recording {
    tap: Tap,
    /// What they held when it began: nothing in the record gives it.
    before: Vec<Vec<u8>>,
}

impl Recording {
    /// Records what happens in a world that will be made.
    pub(crate) fn start() -> Self {
        Self { tap: Tap::start(), before: Vec::new() }
    }

    /// Records what happens in a world from now on. Nothing may happen in a fork of it meanwhile: its users draw the same values
    /// for other purposes.
    pub(crate) fn of(world: &World<'_>) -> Self {
        Self { before: world.users.iter().map(|user| user.member.export()).collect(), ..Self::start() }
    }

    /// The number of keys that have been used so far.
    pub(crate) fn keys(&self) -> usize {
        self.tap.keys()
    }

    /// Ends the record. Returns what follows from what, and the keys that were used.
    pub(crate) fn end(self, world: &World<'_>) -> (Derivations, Vec<Vec<u8>>) {
        let record = self.tap.end();
        let drawn = world.users.iter().flat_map(|user| &user.rng.draws).map(Vec::as_slice);
        let all = Derivations::new(&record, drawn, self.before.iter().map(Vec::as_slice));
        (all, record.keys)
    }
}

/// All derivations.
pub(crate) struct Derivations {
    values: Values,
    /// Which values members have derived or drawn.
    made: Vec<bool>,
    steps: Vec<Step>,
    /// The steps that need each value.
    needing: Vec<Vec<usize>>,
}

/// One derivation: who knows all the values that it needs knows those that it gives.
struct Step {
    needs: Vec<usize>,
    gives: Vec<usize>,
}

/// What somebody knows.
#[derive(Clone)]
pub(crate) struct Known(Vec<bool>);

impl Derivations {
    /// The derivations in a record, by members who have `drawn` and before `held` this: nothing in the record gives it.
    pub(crate) fn new<'a>(
        record: &'a Derived,
        drawn: impl Iterator<Item = &'a [u8]>,
        held: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let mut values = Values::default();
        let inputs = || record.inputs.iter().flatten().chain(record.plaintexts.iter().map(|(key, _)| key));
        let outputs = || {
            let outputs = record.outputs.iter().map(|(_, output)| output);
            outputs.chain(record.plaintexts.iter().map(|(_, plaintext)| plaintext))
        };
        let drawn: Vec<&[u8]> = drawn.collect();
        inputs().chain(outputs()).chain(&record.keys).for_each(|value| values.insert(value));
        drawn.iter().for_each(|value| values.insert(value));
        let mut made = vec![false; values.len()];
        for value in outputs().map(Vec::as_slice).chain(drawn) {
            values.of(value).for_each(|which| made[which] = true);
        }
        // What nobody has derived, drawn or held is public: constants, and what others have sent.
        let mut secret = made.clone();
        for value in held {
            values.of(value).for_each(|which| secret[which] = true);
        }
        let needs: Vec<Vec<usize>> = record
            .inputs
            .iter()
            .map(|inputs| inputs.iter().flat_map(|input| values.of(input)).filter(|which| secret[*which]).collect())
            .collect();
        let of_outputs = record.outputs.iter().map(|(inputs, output)| Step {
            needs: needs.get(*inputs).cloned().unwrap_or_default(),
            gives: values.of(output).collect(),
        });
        let of_plaintexts = record.plaintexts.iter().map(|(key, plaintext)| Step {
            needs: values.of(key).filter(|which| secret[*which]).collect(),
            gives: values.of(plaintext).collect(),
        });
        let steps: Vec<Step> = of_outputs.chain(of_plaintexts).collect();
        let mut needing = vec![Vec::new(); values.len()];
        for (at, step) in steps.iter().enumerate() {
            step.needs.iter().for_each(|which| needing[*which].push(at));
        }
        Self { values, made, steps, needing }
    }

    /// What everybody knows: what follows from these bytes, and from nothing.
    pub(crate) fn public<'a>(&self, sent: impl IntoIterator<Item = &'a [u8]>) -> Known {
        self.known_of(sent, |_| true)
    }

    /// The same if no secret is sent in clear, even if one is.
    pub(crate) fn public_but_secrets<'a>(&self, sent: impl IntoIterator<Item = &'a [u8]>) -> Known {
        self.known_of(sent, |which| !self.made[which])
    }

    fn known_of<'a>(&self, sent: impl IntoIterator<Item = &'a [u8]>, counts: impl Fn(usize) -> bool) -> Known {
        let mut known = Known(vec![false; self.values.len()]);
        let from_nothing = self.steps.iter().filter(|step| step.needs.is_empty()).flat_map(|step| &step.gives);
        let in_clear = sent.into_iter().flat_map(|bytes| self.values.of(bytes)).filter(|which| counts(*which));
        self.learn(&mut known, from_nothing.copied().chain(in_clear).collect());
        known
    }

    /// What somebody knows who knew this and has these bytes too.
    pub(crate) fn with<'a>(&self, known: &Known, held: impl IntoIterator<Item = &'a [u8]>) -> Known {
        let mut known = known.clone();
        self.learn(&mut known, held.into_iter().flat_map(|bytes| self.values.of(bytes)).collect());
        known
    }

    /// Whether a value is known.
    pub(crate) fn knows(&self, known: &Known, value: &[u8]) -> bool {
        self.values.find(value).is_some_and(|which| known.0[which])
    }

    fn learn(&self, known: &mut Known, mut news: Vec<usize>) {
        while let Some(which) = news.pop() {
            if core::mem::replace(&mut known.0[which], true) {
                continue;
            }
            let steps = self.needing[which].iter().map(|at| &self.steps[*at]);
            for step in steps.filter(|step| step.needs.iter().all(|which| known.0[*which])) {
                news.extend(step.gives.iter().filter(|which| !known.0[**which]));
            }
        }
    }
}

/// Values by their first blocks.
struct Values {
    by_block: HashMap<u128, usize>,
    /// A bit for each beginning of a value.
    filter: Vec<u64>,
}

impl Default for Values {
    fn default() -> Self {
        Self { by_block: HashMap::new(), filter: vec![0; 1 << FILTER_BITS >> 6] }
    }
}

impl Values {
    fn len(&self) -> usize {
        self.by_block.len()
    }

    /// Adds a value. One that is short or repeats one byte is a constant, and none.
    fn insert(&mut self, value: &[u8]) {
        let Some(block) = value.first_chunk::<BLOCK>() else { return };
        if block.iter().all(|byte| *byte == block[0]) {
            return;
        }
        let (block, which) = (u128::from_be_bytes(*block), self.by_block.len());
        let (word, bit) = place(block);
        self.filter[word] |= bit;
        self.by_block.entry(block).or_insert(which);
    }

    fn find(&self, value: &[u8]) -> Option<usize> {
        value.first_chunk().and_then(|block| self.by_block.get(&u128::from_be_bytes(*block))).copied()
    }

    /// The values that these bytes contain, at any position.
    fn of(&self, bytes: &[u8]) -> impl Iterator<Item = usize> {
        let blocks = bytes.windows(BLOCK).filter_map(|window| window.try_into().map(u128::from_be_bytes).ok());
        blocks.filter_map(|block| {
            let (word, bit) = place(block);
            if self.filter[word] & bit == 0 { None } else { self.by_block.get(&block).copied() }
        })
    }
}

/// The place in the filter of what begins like this block.
fn place(block: u128) -> (usize, u64) {
    let begins = (block >> (u128::BITS - FILTER_BITS)) as usize;
    (begins >> 6, 1 << (begins & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(seed: u8) -> Vec<u8> {
        (0..32).map(|at: u8| at.wrapping_mul(7).wrapping_add(seed.wrapping_mul(31)) ^ seed).collect()
    }

    #[test]
    fn what_follows_is_known_in_any_order_and_nothing_else_is() {
        let [a, b, both, key, text, drawn, end] = core::array::from_fn(|at| value(at as u8 + 1));
        let record = Derived {
            inputs: vec![vec![[&a[..], &b].concat()], vec![drawn.clone()], vec![b"label".to_vec(), vec![0; 32]]],
            // The end follows from what is drawn, which is in the text.
            outputs: vec![(1, end.clone()), (0, [&both[..], &key].concat()), (2, b.clone()), (1, a.clone())],
            keys: vec![key.clone()],
            plaintexts: vec![(key.clone(), [&text[..7], &drawn].concat())],
        };
        let all = Derivations::new(&record, [&drawn[..]].into_iter(), core::iter::empty());
        let public = all.public([&text[..]]);
        assert!(all.knows(&public, &b), "it follows from constants");
        for secret in [&a, &both, &key, &drawn, &end] {
            assert!(!all.knows(&public, secret));
        }
        let with_a = all.with(&public, [&[&[9][..], &a].concat()[..]]);
        for secret in [&a, &b, &both, &key, &drawn, &end] {
            assert!(all.knows(&with_a, secret));
        }
        let with_end = all.with(&public, [&end[..], &both]);
        assert!(all.knows(&with_end, &end) && !all.knows(&with_end, &a) && !all.knows(&with_end, &key));
    }
}
