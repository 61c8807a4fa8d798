//! The part of a Markdown file that is made from a recorded comparison: what stands between two markers, the first of which
//! names the command that made it.

use std::path::Path;

use crate::comparison::{Comparison, with_derived};
use crate::recorded::Recorded;
use crate::summary;

const BEGIN: &str = "<!-- BEGIN compare";
const END: &str = "<!-- END compare -->";
const REPORT: &str = "harness report --readme ";

/// A file without a place for the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there must be one line `{BEGIN} -->` and below it one line `{END}`, between which the tables go")]
pub struct NoMarkers;

/// The markers and what stands between them: the comparison at the largest size of a run with its conditions. `readme` and
/// `directory` are named as on the command line.
#[must_use]
pub fn section(recorded: &Recorded, readme: &Path, directory: &Path) -> String {
    let Recorded { manifest, samples } = recorded;
    let samples = with_derived(samples);
    let compared = Comparison::new(&samples, &manifest.options.backends);
    let tables = compared.sizes().last().map_or_else(String::new, |size| summary::readme_tables(&compared, *size));
    let (readme, directory) = (readme.display(), directory.display());
    let (command, cpu) = (manifest.argv.join(" "), &manifest.machine.cpu);
    format!(
        "{BEGIN}: {REPORT}{readme} {directory} -->\n\
         From the run in [{directory}]({directory}/summary.md), made by `{command}` on {cpu}.\n\n\
         {tables}{END}\n"
    )
}

/// The text with `section` in the place of what is between its markers.
///
/// # Errors
/// It has no markers, more than one pair, or they stand in the wrong order.
pub fn splice(text: &str, section: &str) -> Result<String, NoMarkers> {
    let (before, after) = around(text).ok_or(NoMarkers)?;
    Ok(format!("{before}{section}{after}"))
}

/// The directory of the run that the text between the markers was made from.
#[must_use]
pub fn source(text: &str) -> Option<&Path> {
    let marker = text.lines().find(|line| line.starts_with(BEGIN))?;
    marker.strip_suffix(" -->")?.split_once(REPORT)?.1.split(' ').nth(1).map(Path::new)
}

/// What stands before the first marker's line and after the last one's.
fn around(text: &str) -> Option<(&str, &str)> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let only = |is: &dyn Fn(&str) -> bool| -> Option<usize> {
        let mut found = lines.iter().enumerate().filter(|(_, line)| is(line.trim_end())).map(|(index, _)| index);
        found.next().filter(|_| found.next().is_none())
    };
    let (begin, end) = (only(&|line| line.starts_with(BEGIN))?, only(&|line| line == END)?);
    let length = |lines: &[&str]| lines.iter().map(|line| line.len()).sum::<usize>();
    (begin < end).then_some(())?;
    Some((text.get(..length(&lines[..begin]))?, text.get(length(&lines[..=end])..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Title\n\n<!-- BEGIN compare -->\nold\n<!-- END compare -->\n\nThe end.\n";

    #[test]
    fn only_what_is_between_the_markers_changes_and_no_more_than_once() {
        let section =
            "<!-- BEGIN compare: harness report --readme README.md results/run -->\nnew\n<!-- END compare -->\n";
        let spliced = splice(TEXT, section).unwrap();
        assert_eq!(spliced, format!("# Title\n\n{section}\nThe end.\n"));
        assert_eq!(splice(&spliced, section).unwrap(), spliced);
        assert_eq!(source(&spliced), Some(Path::new("results/run")));
        assert_eq!(source(TEXT), None);
    }

    #[test]
    fn without_one_pair_of_markers_nothing_is_changed() {
        for text in [
            "# Title\n".to_owned(),
            TEXT.replace("END", "end"),
            TEXT.replace("BEGIN", "begin"),
            format!("{TEXT}{TEXT}"),
            "<!-- END compare -->\n<!-- BEGIN compare -->\n".to_owned(),
        ] {
            assert_eq!(splice(&text, "new\n"), Err(NoMarkers), "{text}");
        }
    }
}
