//! What became of each cell: of those that the baseline has, of those that the configuration names, and of those that were
//! measured. A cell that is not compared must not look like one that has passed.

use std::collections::BTreeSet;

use serde::Serialize;

/// The cells of one kind of metric, each in exactly one of the lists, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Recorded and measured.
    pub compared: Vec<String>,
    /// Measured, but not recorded.
    pub new: Vec<String>,
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
    pub fn new(recorded: &BTreeSet<String>, named: &BTreeSet<String>, measured: &BTreeSet<String>) -> Self {
        let list = |cells: &mut dyn Iterator<Item = &String>| cells.cloned().collect();
        let unnamed: BTreeSet<String> = recorded.difference(named).cloned().collect();
        Self {
            compared: list(&mut recorded.intersection(measured)),
            new: list(&mut measured.difference(recorded)),
            missing: list(&mut unnamed.difference(measured)),
            failed: list(&mut named.difference(measured)),
            skipped: Vec::new(),
        }
    }

    /// Of cells none of which is measured.
    #[must_use]
    pub fn skipped(recorded: &BTreeSet<String>, named: &BTreeSet<String>) -> Self {
        let Self { missing, failed, .. } = Self::new(recorded, named, &BTreeSet::new());
        Self { missing, skipped: failed, ..Self::default() }
    }

    /// The numbers of cells, in words.
    #[must_use]
    pub fn counts(&self) -> String {
        let Self { compared, new, missing, failed, skipped } = self;
        let always = [(compared, "compared"), (new, "new"), (missing, "missing")];
        let sometimes = [(failed, "failed"), (skipped, "skipped")].into_iter().filter(|(cells, _)| !cells.is_empty());
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

    #[test]
    fn every_cell_is_in_exactly_one_list() {
        let (recorded, named, measured) =
            (set(&["same", "dropped", "fails"]), set(&["same", "fails", "added"]), set(&["same", "added"]));
        let coverage = Coverage::new(&recorded, &named, &measured);
        assert_eq!(coverage.compared, ["same"]);
        assert_eq!(coverage.new, ["added"]);
        assert_eq!(coverage.missing, ["dropped"]);
        assert_eq!(coverage.failed, ["fails"]);
        assert_eq!(coverage.counts(), "1 compared, 1 new, 1 missing, 1 failed");
        let skipped = Coverage::skipped(&recorded, &named);
        assert_eq!((skipped.missing.as_slice(), skipped.skipped.len()), (&["dropped".to_owned()][..], 3));
        assert_eq!(skipped.counts(), "0 compared, 0 new, 1 missing, 3 skipped");
        let nothing = Coverage::new(&set(&["a/8"]), &set(&["a/9"]), &set(&["a/9"]));
        assert_eq!(nothing.counts(), "0 compared, 1 new, 1 missing");
    }
}
