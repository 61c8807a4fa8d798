//! What became of each cell: of those that the baseline has, of those that the configuration names, and of those that were
//! measured. A cell that is not compared must not look like one that has passed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// What is known of cells, by name: whether they have figures. A cell has none if the backend does not have the operation.
pub type Known = BTreeMap<String, bool>;

/// The cells of one kind of metric, each in exactly one of the lists, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Recorded with figures, and measured.
    pub compared: Vec<String>,
    /// Measured, but there are no recorded figures to compare with.
    pub new: Vec<String>,
    /// Recorded and measured as operations that the backend does not have.
    pub unsupported: Vec<String>,
    /// Recorded, but the configuration does not name it.
    pub missing: Vec<String>,
    /// Named by the configuration, but the measurement failed.
    pub failed: Vec<String>,
    /// Named by the configuration, but not measured for a reason that a note gives.
    pub skipped: Vec<String>,
}

impl Coverage {
    /// Of cells that were to be measured.
    #[must_use]
    pub fn new(recorded: &Known, named: &BTreeSet<String>, measured: &Known) -> Self {
        let mut coverage = Self::default();
        for (cell, has_figures) in measured {
            let list = match (recorded.get(cell), has_figures) {
                (Some(true), _) => &mut coverage.compared,
                (Some(false), false) => &mut coverage.unsupported,
                (Some(false), true) | (None, _) => &mut coverage.new,
            };
            list.push(cell.clone());
        }
        let unmeasured = |cell: &&String| !measured.contains_key(*cell);
        coverage.missing = recorded.keys().filter(|cell| !named.contains(*cell)).filter(unmeasured).cloned().collect();
        coverage.failed = named.iter().filter(unmeasured).cloned().collect();
        coverage
    }

    /// Of cells none of which is measured.
    #[must_use]
    pub fn skipped(recorded: &Known, named: &BTreeSet<String>) -> Self {
        let Self { missing, failed, .. } = Self::new(recorded, named, &Known::new());
        Self { missing, skipped: failed, ..Self::default() }
    }

    /// The numbers of cells, in words.
    #[must_use]
    pub fn counts(&self) -> String {
        let Self { compared, new, unsupported, missing, failed, skipped } = self;
        let always = [(compared, "compared"), (new, "new"), (missing, "missing")];
        let sometimes = [(unsupported, "unsupported"), (failed, "failed"), (skipped, "skipped")];
        let sometimes = sometimes.into_iter().filter(|(cells, _)| !cells.is_empty());
        let parts = always.into_iter().chain(sometimes).map(|(cells, what)| format!("{} {what}", cells.len()));
        parts.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn known(cells: &[(&str, bool)]) -> Known {
        cells.iter().map(|(name, has_figures)| ((*name).to_owned(), *has_figures)).collect()
    }

    #[test]
    fn every_cell_is_in_exactly_one_list() {
        let recorded = known(&[("same", true), ("dropped", true), ("fails", true), ("none", false), ("gained", false)]);
        let named = set(&["same", "fails", "added", "none", "gained"]);
        let measured = known(&[("same", true), ("added", true), ("none", false), ("gained", true)]);
        let coverage = Coverage::new(&recorded, &named, &measured);
        assert_eq!(coverage.compared, ["same"]);
        assert_eq!(coverage.new, ["added", "gained"]);
        assert_eq!(coverage.unsupported, ["none"]);
        assert_eq!(coverage.missing, ["dropped"]);
        assert_eq!(coverage.failed, ["fails"]);
        assert_eq!(coverage.counts(), "1 compared, 2 new, 1 missing, 1 unsupported, 1 failed");
        let skipped = Coverage::skipped(&recorded, &named);
        assert_eq!((skipped.missing.as_slice(), skipped.skipped.len()), (&["dropped".to_owned()][..], 5));
        assert_eq!(skipped.counts(), "0 compared, 0 new, 1 missing, 5 skipped");
        let nothing = Coverage::new(&known(&[("a/8", true)]), &set(&["a/9"]), &known(&[("a/9", true)]));
        assert_eq!(nothing.counts(), "0 compared, 1 new, 1 missing");
    }

    #[test]
    fn a_recorded_cell_without_figures_is_not_compared_and_an_operation_that_is_lost_is() {
        let (recorded, named) = (known(&[("a", false), ("b", true)]), set(&["a", "b"]));
        let coverage = Coverage::new(&recorded, &named, &known(&[("a", true), ("b", false)]));
        assert_eq!(
            (coverage.new.as_slice(), coverage.compared.as_slice()),
            (&["a".to_owned()][..], &["b".to_owned()][..])
        );
    }
}
