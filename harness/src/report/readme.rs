//! The parts of a Markdown file that are made from recorded runs. Each part is between two markers. The first marker names
//! the command that makes the part.

use std::path::{Path, PathBuf};

use super::summary;
use crate::analysis::cell_costs::Cells;
use crate::analysis::comparison::{Comparison, with_derived};
use crate::analysis::noise;
use crate::analysis::paper::{Malformed, Paper};
use crate::record::recorded::Recorded;

const REPORT: &str = "harness report --readme ";

/// A part of a Markdown file that is made from a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Three findings on an update, from a run of several backends.
    Findings,
    /// A table of four backends, from a run of several backends.
    Compare,
    /// An update with each backend, from a run with published implementations.
    Implementations,
    /// The published figures beside those measured here, from a run of one backend.
    Reproduction,
}

impl Part {
    const ALL: [Self; 4] = [Self::Findings, Self::Compare, Self::Implementations, Self::Reproduction];

    /// The parts that are made from this run. The last is the one that such a run is for.
    fn of(recorded: &Recorded) -> &'static [Self] {
        let manifest = &recorded.manifest;
        let published = manifest.backends.values().any(|about| about.adapts.is_some());
        match manifest.options.backends.as_slice() {
            [_] => &[Self::Reproduction],
            _ if published => &[Self::Implementations],
            _ => &[Self::Findings, Self::Compare],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Findings => "findings",
            Self::Compare => "compare",
            Self::Implementations => "implementations",
            Self::Reproduction => "reproduction",
        }
    }

    fn begin(self) -> String {
        format!("<!-- BEGIN {}", self.name())
    }

    fn end(self) -> String {
        format!("<!-- END {} -->", self.name())
    }
}

/// Why a file was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadmeError {
    /// The file has no markers of a part that is made from this run.
    #[error("the file has no markers for this run; try to add a line `{0} -->` and a line `{1}` below it")]
    NoMarkers(String, String),
    /// The markers of a part are not exactly one pair.
    #[error("the markers are not one pair; try exactly one line `{0} -->` and exactly one line `{1}` below it")]
    Unpaired(String, String),
    /// The backends that the findings are about were not all measured.
    #[error(
        "the findings need updates of dcgka, pairwise and sender-keys:pcs, with samples at one speed of the machine; try a run of `compare` with all backends"
    )]
    NoFindings,
    /// The published figures cannot be read.
    #[error(transparent)]
    Paper(#[from] Malformed),
}

/// Returns the text with its parts made from this run. `readme` and `directory` are the paths as on the command line.
///
/// # Errors
/// The text has no markers or unpaired ones, or the run lacks what the parts show.
pub fn splice(text: &str, recorded: &Recorded, readme: &Path, directory: &Path) -> Result<String, ReadmeError> {
    let fitting = Part::of(recorded);
    let (mut spliced, mut found) = (text.to_owned(), false);
    for &part in fitting {
        let (begin, end) = (part.begin(), part.end());
        if !text.lines().any(|line| line.starts_with(&begin) || line.trim_end() == end) {
            continue;
        }
        found = true;
        let made = content(part, recorded, directory)?;
        let section = format!("{begin}: {REPORT}{} {} -->\n{made}{end}\n", readme.display(), directory.display());
        let (before, after) = around(&spliced, part).ok_or(ReadmeError::Unpaired(begin, end))?;
        spliced = format!("{before}{section}{after}");
    }
    match fitting.last() {
        Some(wanted) if !found => Err(ReadmeError::NoMarkers(wanted.begin(), wanted.end())),
        _ => Ok(spliced),
    }
}

/// The directories of the runs from which parts of the text were made, in the order of the text.
#[must_use]
pub fn sources(text: &str) -> Vec<PathBuf> {
    let made = |line: &str| Part::ALL.iter().any(|part| line.starts_with(&part.begin()));
    let source = |line: &str| line.strip_suffix(" -->")?.split_once(REPORT)?.1.split(' ').nth(1).map(PathBuf::from);
    let mut sources: Vec<PathBuf> = text.lines().filter(|line| made(line)).filter_map(source).collect();
    sources.dedup();
    sources
}

fn content(part: Part, recorded: &Recorded, directory: &Path) -> Result<String, ReadmeError> {
    let Recorded { manifest, samples } = recorded;
    if part == Part::Reproduction {
        let backend = manifest.options.backends.first().map_or("", String::as_str);
        let table = summary::reproduction_table(&Cells::new(samples), backend, &Paper::load()?);
        return Ok(table + "\n" + &origin(recorded, directory));
    }
    let samples = with_derived(samples);
    let compared = Comparison::new(&samples, &manifest.options.backends);
    let size = compared.sizes().last().copied().unwrap_or_default();
    match part {
        Part::Findings => summary::findings(&compared, size).ok_or(ReadmeError::NoFindings),
        Part::Implementations => {
            let table = summary::implementations_table(&compared, manifest, size);
            Ok(table + "\n" + &origin(recorded, directory))
        }
        _ => Ok(summary::comparison_table(&compared, size) + "\n" + &origin(recorded, directory)),
    }
}

fn origin(recorded: &Recorded, directory: &Path) -> String {
    let (command, cpu) = (recorded.manifest.argv.join(" "), &recorded.manifest.machine.cpu);
    let directory = directory.display();
    let disturbed = match noise::of(&recorded.samples, &recorded.manifest.machine).as_slice() {
        [] => "",
        _ => " Its summary says which times were disturbed.",
    };
    format!("From [{directory}]({directory}/summary.md), made by `{command}` on {cpu}.{disturbed}\n")
}

/// The text before the line of a part's first marker, and the text after the line of its last marker. `None` if the markers
/// are not exactly one pair.
fn around(text: &str, part: Part) -> Option<(&str, &str)> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let only = |is: &dyn Fn(&str) -> bool| -> Option<usize> {
        let mut found = lines.iter().enumerate().filter(|(_, line)| is(line.trim_end())).map(|(index, _)| index);
        found.next().filter(|_| found.next().is_none())
    };
    let (begin, end) = (only(&|line| line.starts_with(&part.begin()))?, only(&|line| line == part.end())?);
    let length = |lines: &[&str]| lines.iter().map(|line| line.len()).sum::<usize>();
    (begin < end).then_some(())?;
    Some((text.get(..length(&lines[..begin]))?, text.get(length(&lines[..=end])..)?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::operation::Operation;

    use super::*;
    use crate::record::about::About;
    use crate::record::manifest::{Manifest, Options};
    use crate::record::program::Program;
    use crate::record::sample::Sample;
    use crate::synthetic;

    const TEXT: &str = "# Title\n\n<!-- BEGIN compare -->\nold\n<!-- END compare -->\n\nThe end.\n";

    fn recorded(backends: &[&str]) -> Recorded {
        let options = Options {
            seed: 7,
            backends: backends.iter().map(|name| (*name).to_owned()).collect(),
            iterations: BTreeMap::from([("update".to_owned(), 2)]),
            large_groups: None,
            sizes: synthetic::SIZES.to_vec(),
            timeout_ms: 1000,
            peak: false,
        };
        let manifest =
            Manifest::start(Program::HARNESS, options, 1, vec!["harness".to_owned(), "compare".to_owned()]).unwrap();
        let samples = backends.iter().flat_map(|name| synthetic::grid(name, 1.0, 2)).collect();
        Recorded { manifest, samples }
    }

    fn spliced(text: &str, recorded: &Recorded) -> Result<String, ReadmeError> {
        splice(text, recorded, Path::new("README.md"), Path::new("results/run"))
    }

    #[test]
    fn only_what_is_between_the_markers_changes_and_no_more_than_once() {
        let recorded = recorded(&["dcgka", "pairwise"]);
        let once = spliced(TEXT, &recorded).unwrap();
        let begin = "# Title\n\n<!-- BEGIN compare: harness report --readme README.md results/run -->\n| operation";
        assert!(once.starts_with(begin), "{once}");
        assert!(once.ends_with("\n<!-- END compare -->\n\nThe end.\n") && !once.contains("\nold\n"), "{once}");
        assert!(once.contains("| update      |       32,020 |          32,020 |"), "{once}");
        assert_eq!(spliced(&once, &recorded).unwrap(), once);
        assert_eq!(sources(&once), [Path::new("results/run")]);
        assert!(sources(TEXT).is_empty());
    }

    #[test]
    fn a_run_of_one_backend_is_shown_beside_the_paper() {
        let text = TEXT.replace("compare", "reproduction");
        let once = spliced(&text, &recorded(&["dcgka"])).unwrap();
        assert!(once.contains("| update    |       40,553 | 32,020 |  0.79 |"), "{once}");
        assert!(matches!(spliced(&text, &recorded(&["dcgka", "pairwise"])), Err(ReadmeError::NoMarkers(..))));
    }

    #[test]
    fn findings_are_about_an_update() {
        let text = TEXT.replace("compare", "findings");
        let mut recorded = recorded(&["dcgka", "pairwise", "sender-keys"]);
        assert_eq!(spliced(&text, &recorded), Err(ReadmeError::NoFindings));
        recorded.manifest.options.backends[2] = "sender-keys:pcs".to_owned();
        for sample in recorded.samples.iter_mut().filter(|sample| sample.backend == "sender-keys") {
            sample.variant = "pcs".to_owned();
            sample.traffic.iter_mut().for_each(|traffic| traffic.bytes_sent *= 50);
        }
        let once = spliced(&text, &recorded).unwrap();
        let bytes = "DCGKA sends 32,020 bytes: 1.0 times as many as pairwise Signal. Sender Keys that heal (`sender-keys:pcs`) send 50 times as";
        assert!(once.contains("an update in a group of 128") && once.contains(bytes), "{once}");
        assert!(once.contains("are 52 % of these bytes") && once.contains("an update sends 15,510 bytes"), "{once}");
        assert!(!once.contains("**Lean.**"));
        recorded.samples.extend(
            synthetic::grid("dcgka", 0.5, 2).into_iter().map(|sample| Sample { variant: "lean".to_owned(), ..sample }),
        );
        recorded.manifest.options.backends.push("dcgka:lean".to_owned());
        let once = spliced(&text, &recorded).unwrap();
        assert!(once.contains("- **Lean.** `dcgka:lean`") && once.contains("sends 32,020 bytes: 1.00 times"), "{once}");
        // A finding that was measured is not left out in silence.
        recorded.samples.retain(|sample| sample.variant != "lean" || sample.operation == Operation::Create);
        assert_eq!(spliced(&text, &recorded), Err(ReadmeError::NoFindings));
    }

    #[test]
    fn published_implementations_are_shown_as_multiples_of_dcgka_with_what_differs() {
        let mut recorded = recorded(&["dcgka", "other"]);
        recorded.samples = synthetic::grid("dcgka", 1.0, 2);
        recorded.samples.extend(synthetic::without_acks(synthetic::grid("other", 1.0, 2)));
        let ours = About::of(&dcgka::Dcgka::CORRECTED);
        let theirs = About {
            adapts: Some("other 1".to_owned()),
            signed: "nothing".to_owned(),
            forward_secrecy: false,
            ordering: "total".to_owned(),
            ..ours.clone()
        };
        recorded.manifest.backends = BTreeMap::from([("dcgka".to_owned(), ours), ("other".to_owned(), theirs)]);
        // What is from another kind of run stays.
        let text = TEXT.to_owned() + "<!-- BEGIN implementations -->\n<!-- END implementations -->\n";
        let once = spliced(&text, &recorded).unwrap();
        assert!(once.contains("\nold\n") && once.contains("| dcgka              | 32,020 |  1.00 |"), "{once}");
        assert!(once.contains("| unsigned, no acks, no forward secrecy, total order |"), "{once}");
        let line = once.lines().find(|line| line.starts_with("| other ")).unwrap();
        assert!(line.contains("| 15,510 | 0.484 |"), "{line}");
    }

    #[test]
    fn without_one_pair_of_markers_nothing_changes() {
        let recorded = recorded(&["dcgka", "pairwise"]);
        assert!(matches!(spliced("# Title\n", &recorded), Err(ReadmeError::NoMarkers(..))));
        for text in [
            TEXT.replace("END", "end"),
            TEXT.replace("BEGIN", "begin"),
            format!("{TEXT}{TEXT}"),
            "<!-- END compare -->\n<!-- BEGIN compare -->\n".to_owned(),
        ] {
            assert!(matches!(spliced(&text, &recorded), Err(ReadmeError::Unpaired(..))), "{text}");
        }
    }
}
