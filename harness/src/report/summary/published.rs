//! Counts of a comparison beside those that others have published of the same implementations.

use super::table::Table;
use crate::analysis::comparison::Comparison;
use crate::analysis::published::{COUNTS, Counts, Published};

/// What the columns are.
const READING: &str = "\
Of the whole role, `here / published`, and the difference. The published counts are those of `LiangrunDa/keyhive-eval`, commit
`5af19da`, June 2026, as in `results/published`. An empty field means that a count was not made or not published.
";

/// The section about backends of which there are published counts at a measured size; empty if there are none.
pub(super) fn published(compared: &Comparison<'_>, published: &Published) -> String {
    let mut table = Table::new(&[
        "backend",
        "operation",
        "members",
        "role",
        "key agreements",
        "key generations",
        "signatures",
        "verifications",
    ]);
    let mut differing = [const { Vec::new() }; COUNTS.len()];
    for row in compared.backends() {
        for of in published.counts.iter().filter(|of| is_of(row, &of.implementation)) {
            let found = counts(compared, row, of);
            if found.iter().all(Option::is_none) {
                continue;
            }
            for ((here, published), differing) in found.iter().zip(of.counts).zip(&mut differing) {
                let is_new = here.zip(published).is_some_and(|(here, published)| here != published)
                    && !differing.contains(&of.implementation);
                differing.extend(is_new.then(|| of.implementation.clone()));
            }
            let cells = found.into_iter().zip(of.counts).map(|(here, published)| cell(here, published));
            let names = [row.clone(), of.operation.to_string(), of.group_size.to_string(), of.role.name().to_owned()];
            table.row(names.into_iter().chain(cells));
        }
    }
    if table.is_empty() {
        return String::new();
    }
    let whys = COUNTS.iter().zip(differing).flat_map(|((count, _), implementations)| {
        implementations.into_iter().filter_map(|implementation| {
            let why = published.reason(&implementation, count)?;
            Some(format!("- **{implementation}, {}**: {why}.\n", count.replace('_', " ")))
        })
    });
    let whys: String = whys.collect();
    format!("## Public-key operations beside published counts\n\n{READING}\n{table}\n{whys}")
}

/// Whether a row is the backend of this name, in any variant.
fn is_of(row: &str, implementation: &str) -> bool {
    row.split(':').next() == Some(implementation)
}

fn counts(compared: &Comparison<'_>, row: &str, of: &Counts) -> [Option<u64>; COUNTS.len()] {
    COUNTS.map(|(_, metric)| compared.of_role(row, of.operation, of.group_size, of.role, metric))
}

/// A count here and the published one. Equal ones have no difference.
fn cell(here: Option<u64>, published: Option<u64>) -> String {
    let (Some(here), Some(published)) = (here, published) else { return String::new() };
    let difference = i128::from(here) - i128::from(published);
    if difference == 0 { format!("{here} / {published}") } else { format!("{here} / {published}: {difference:+}") }
}

#[cfg(test)]
mod tests {
    use protocol::operation::{Operation, Phase, Role};

    use super::*;
    use crate::synthetic;

    /// The section of one sample, with single spaces.
    fn text(backend: &str, verifications: u64) -> String {
        let mut sample = synthetic::remove();
        (sample.backend, sample.operation, sample.group_size) = (backend.to_owned(), Operation::Update, 8);
        let counts = [("op.verify", verifications)];
        sample.work = vec![synthetic::work(Role::Recipient, Phase::Process, &counts, &[1])];
        let backends = [backend.to_owned()];
        let text = published(&Comparison::new(&[sample], &backends), &Published::load().unwrap());
        text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn counts_are_beside_the_published_ones_with_difference_and_reason() {
        let equal = text("beekem:full", 7);
        assert!(equal.contains("| beekem:full | update | 8 | recipient | 0 / 0 | 0 / 0 | 0 / 0 | 7 / 7 |"), "{equal}");
        assert!(!equal.contains("- **"), "{equal}");
        let more = text("beekem", 9);
        assert!(more.contains("| 9 / 7: +2 |") && more.contains("\n- **beekem, verifications**: an author"), "{more}");
        // Of the signatures, nothing was published.
        assert!(text("openmls:full", 9).contains("| | 9 / 14: -5 |"));
    }

    #[test]
    fn there_is_no_section_without_published_counts() {
        assert_eq!(text("beekems", 7), "");
        assert_eq!(text("dcgka", 7), "");
    }
}
