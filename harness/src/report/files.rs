//! The files that are made from a run.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::export;
use super::plot::{self, Figure};
use super::summary;
use crate::analysis::cell_costs::Cells;
use crate::analysis::comparison::Comparison;
use crate::analysis::measurement;
use crate::analysis::paper::Paper;
use crate::record::exposure::Findings;
use crate::record::sample::Sample;
use crate::system::directory::Directory;

/// Statistics of every metric.
pub const MEASUREMENTS: &str = "measurements.csv";
/// CPU times, as the paper's notebook reads them.
pub const TIME: &str = "time.csv";
/// Bytes, as the paper's notebook reads them.
pub const TRAFFIC: &str = "traffic.csv";
/// The figures that github-action-benchmark tracks.
pub const TRACKED: &str = "gha.json";
/// The tables, in Markdown.
pub const SUMMARY: &str = "summary.md";
/// Backends side by side.
pub const COMPARISON: &str = "compare.csv";
/// The figures of one backend, each as SVG and PNG.
const FIGURES: [&str; 2] = ["traffic", "cpu"];
/// The figures of several backends, each as SVG and PNG.
const COMPARISON_FIGURES: [&str; 3] = ["compare-traffic", "compare-cpu", "compare-overview"];

/// What attackers have read in each situation.
pub const SITUATIONS: &str = "situations.csv";
/// What thefts expose of a conversation, and what it costs.
pub const EXPOSURE: &str = "exposure.csv";
/// What states expose while a member is away.
pub const ABSENCE: &str = "absence.csv";
/// Everything that attacks have found.
pub const FINDINGS: &str = "findings.json";
/// The figures of what thefts expose, each as SVG and PNG.
const EXPOSURE_FIGURES: [&str; 2] = ["exposure-bytes", "exposure-cpu"];

/// Why a file was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// Where the file would be.
        path: PathBuf,
        /// The error from the system.
        source: io::Error,
    },
    /// A row of a CSV file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Csv {
        /// Where the file would be.
        path: PathBuf,
        /// The error from the CSV writer.
        source: csv::Error,
    },
    /// A figure cannot be drawn.
    #[error("cannot draw {}: {source}", path.display())]
    Plot {
        /// Where the file would be.
        path: PathBuf,
        /// Why the figure cannot be drawn.
        source: plot::Error,
    },
}

/// The names of all files that can be made from a run.
#[must_use]
pub fn names() -> Vec<String> {
    let figures = FIGURES.into_iter().chain(COMPARISON_FIGURES);
    let figures = figures.flat_map(|name| [format!("{name}.svg"), format!("{name}.png")]);
    [MEASUREMENTS, TIME, TRAFFIC, TRACKED, COMPARISON, SUMMARY].map(str::to_owned).into_iter().chain(figures).collect()
}

/// Whether a run is one of backends side by side. A comparison may have one backend only.
#[must_use]
pub fn is_comparison(directory: &Path, backends: &[String]) -> bool {
    backends.len() != 1 || directory.join(COMPARISON).exists()
}

/// Writes measurements.csv.
///
/// # Errors
/// The file cannot be written.
pub fn write_measurements(directory: &Directory, samples: &[Sample]) -> Result<PathBuf, ReportError> {
    write_csv(directory, MEASUREMENTS, |out| measurement::write_csv(&measurement::rows(samples), out))
}

/// Writes time.csv and traffic.csv.
///
/// # Errors
/// A file cannot be written.
pub fn write_export(directory: &Directory, samples: &[Sample]) -> Result<[PathBuf; 2], ReportError> {
    Ok([
        write_csv(directory, TIME, |out| export::write_time(samples, out))?,
        write_csv(directory, TRAFFIC, |out| export::write_traffic(samples, out))?,
    ])
}

/// Writes gha.json.
///
/// # Errors
/// The file cannot be written.
pub fn write_tracked(directory: &Directory, samples: &[Sample]) -> Result<PathBuf, ReportError> {
    let text = serde_json::to_string_pretty(&export::tracked(samples)).map_err(io::Error::from);
    let text = text.map_err(at(&directory.path().join(TRACKED)))?;
    write(directory, TRACKED, (text + "\n").as_bytes())
}

/// Writes compare.csv.
///
/// # Errors
/// The file cannot be written.
pub fn write_comparison(
    directory: &Directory,
    compared: &Comparison<'_>,
    reference: &str,
) -> Result<PathBuf, ReportError> {
    write_csv(directory, COMPARISON, |out| compared.write_csv(reference, out))
}

/// Draws the figures of one backend, each as SVG and PNG.
///
/// # Errors
/// A figure cannot be drawn or written.
pub fn write_figures(
    directory: &Directory,
    samples: &[Sample],
    backend: &str,
    paper: &Paper,
) -> Result<Vec<PathBuf>, ReportError> {
    let cells = Cells::new(samples);
    let figures = [plot::traffic(&cells, backend, paper), plot::cpu(&cells, backend, paper)];
    draw(directory, FIGURES.into_iter().zip(figures))
}

/// Draws the figures of several backends, each as SVG and PNG.
///
/// # Errors
/// A figure cannot be drawn or written.
pub fn write_comparison_figures(directory: &Directory, compared: &Comparison<'_>) -> Result<Vec<PathBuf>, ReportError> {
    let overview = plot::compared_overview(compared, &summary::shown(compared));
    let figures = [plot::compared_traffic(compared), plot::compared_cpu(compared), overview];
    // A run need not have the operations and backends that a README shows.
    let drawn = COMPARISON_FIGURES.into_iter().zip(figures).filter(|(_, figure)| figure.points().next().is_some());
    draw(directory, drawn)
}

fn draw<'a>(
    directory: &Directory,
    figures: impl IntoIterator<Item = (&'a str, Figure)>,
) -> Result<Vec<PathBuf>, ReportError> {
    let mut written = Vec::new();
    for (name, figure) in figures {
        let name_of = |ending: &str| format!("{name}.{ending}");
        let failed = |ending: &str| {
            let path = directory.path().join(name_of(ending));
            move |source| ReportError::Plot { path, source }
        };
        let text = figure.svg().map_err(failed("svg"))?;
        written.push(write(directory, name_of("svg"), text.as_bytes())?);
        // The library chooses the format by the ending, which the other name has, too.
        let name = name_of("png");
        written.push(directory.place(&name, |fresh| figure.write_png(fresh)).map_err(failed("png"))?);
    }
    Ok(written)
}

/// Writes findings.json, the CSV files and the figures of what attacks have found.
///
/// # Errors
/// A file cannot be made.
pub fn write_exposure(directory: &Directory, findings: &Findings) -> Result<Vec<PathBuf>, ReportError> {
    let text = serde_json::to_string(findings).map_err(io::Error::from);
    let text = text.map_err(at(&directory.path().join(FINDINGS)))?;
    let mut written = vec![
        write(directory, FINDINGS, (text + "\n").as_bytes())?,
        write_csv(directory, SITUATIONS, |out| export::write_situations(findings, out))?,
        write_csv(directory, EXPOSURE, |out| export::write_exposure(findings, out))?,
        write_csv(directory, ABSENCE, |out| export::write_absence(findings, out))?,
    ];
    written.extend(write_exposure_figures(directory, findings)?);
    Ok(written)
}

/// Draws the figures of what attacks have found, each as SVG and PNG.
///
/// # Errors
/// A figure cannot be drawn or written.
pub fn write_exposure_figures(directory: &Directory, findings: &Findings) -> Result<Vec<PathBuf>, ReportError> {
    let figures = [plot::exposed_by_bytes(findings), plot::exposed_by_cpu(findings)];
    let drawn = EXPOSURE_FIGURES.into_iter().zip(figures).filter(|(_, figure)| figure.points().next().is_some());
    draw(directory, drawn)
}

/// Writes summary.md.
///
/// # Errors
/// The file cannot be written.
pub fn write_summary(directory: &Directory, text: &str) -> Result<PathBuf, ReportError> {
    write(directory, SUMMARY, text.as_bytes())
}

fn write_csv(
    directory: &Directory,
    name: &str,
    rows: impl FnOnce(&mut Vec<u8>) -> csv::Result<()>,
) -> Result<PathBuf, ReportError> {
    let mut text = Vec::new();
    rows(&mut text).map_err(|source| ReportError::Csv { path: directory.path().join(name), source })?;
    write(directory, name, &text)
}

/// Writes a whole file in one step. Returns its path.
///
/// # Errors
/// The file cannot be written.
pub fn write(directory: &Directory, name: impl AsRef<OsStr>, bytes: &[u8]) -> Result<PathBuf, ReportError> {
    let path = directory.path().join(name.as_ref());
    directory.write(name, bytes).map_err(at(&path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ReportError {
    let path = path.to_owned();
    |source| ReportError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::analysis::comparison;
    use crate::synthetic;
    use crate::system::directory::LOCK;

    #[test]
    fn all_files_are_made_and_none_is_left_over() {
        let path = std::env::temp_dir().join(format!("harness-report-{}", std::process::id()));
        let directory = Directory::lock(&path).unwrap();
        let samples = synthetic::grid("dcgka", 1.0, 2);
        write_measurements(&directory, &samples).unwrap();
        write_export(&directory, &samples).unwrap();
        write_tracked(&directory, &samples).unwrap();
        write_figures(&directory, &samples, "dcgka", &Paper::load().unwrap()).unwrap();
        let samples = comparison::with_derived(&samples);
        let compared = Comparison::new(&samples, &["dcgka".to_owned()]);
        write_comparison(&directory, &compared, "dcgka").unwrap();
        write_comparison_figures(&directory, &compared).unwrap();
        write_summary(&directory, "text\n").unwrap();
        let mut found: Vec<String> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let mut expected = names();
        expected.push(LOCK.to_owned());
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert!(fs::read(path.join("cpu.png")).unwrap().starts_with(b"\x89PNG"));
        fs::remove_dir_all(&path).unwrap();
        assert!(write_summary(&directory, "text\n").is_err());
    }
}
