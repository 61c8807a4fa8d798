//! The files made from a run. Each is written beside its place and then moved there, so that a name stands for a whole
//! file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cell_costs::Cells;
use crate::comparison::Comparison;
use crate::export;
use crate::measurement;
use crate::paper::Paper;
use crate::plot::{self, Figure};
use crate::sample::Sample;

/// Rows for every combination.
pub const MEASUREMENTS: &str = "measurements.csv";
/// The paper's file of times.
pub const TIME: &str = "time.csv";
/// The paper's file of traffic.
pub const TRAFFIC: &str = "traffic.csv";
/// What github-action-benchmark keeps track of.
pub const TRACKED: &str = "gha.json";
/// The tables.
pub const SUMMARY: &str = "summary.md";
/// Backends side by side.
pub const COMPARISON: &str = "compare.csv";
/// The pictures of one backend, each as svg and png.
const FIGURES: [&str; 2] = ["traffic", "cpu"];
/// The pictures of several backends, likewise.
const COMPARISON_FIGURES: [&str; 2] = ["compare-traffic", "compare-cpu"];

/// Why a file was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// It cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A row of data cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Csv {
        /// Which.
        path: PathBuf,
        /// Why.
        source: csv::Error,
    },
    /// A picture cannot be drawn.
    #[error("cannot draw {}: {source}", path.display())]
    Plot {
        /// Which.
        path: PathBuf,
        /// Why.
        source: plot::Error,
    },
}

/// The names of all files that can be made from a run.
#[must_use]
pub fn names() -> Vec<String> {
    let figures = FIGURES.into_iter().chain(COMPARISON_FIGURES);
    let pictures = figures.flat_map(|name| [format!("{name}.svg"), format!("{name}.png")]);
    [MEASUREMENTS, TIME, TRAFFIC, TRACKED, COMPARISON, SUMMARY].map(str::to_owned).into_iter().chain(pictures).collect()
}

/// Writes measurements.csv.
///
/// # Errors
/// [`ReportError`].
pub fn write_measurements(directory: &Path, samples: &[Sample]) -> Result<PathBuf, ReportError> {
    write_csv(directory, MEASUREMENTS, |out| measurement::write_csv(&measurement::rows(samples), out))
}

/// Writes the paper's two files.
///
/// # Errors
/// [`ReportError`].
pub fn write_export(directory: &Path, samples: &[Sample]) -> Result<[PathBuf; 2], ReportError> {
    Ok([
        write_csv(directory, TIME, |out| export::write_time(samples, out))?,
        write_csv(directory, TRAFFIC, |out| export::write_traffic(samples, out))?,
    ])
}

/// Writes gha.json.
///
/// # Errors
/// [`ReportError`].
pub fn write_tracked(directory: &Path, samples: &[Sample]) -> Result<PathBuf, ReportError> {
    let path = directory.join(TRACKED);
    let text = serde_json::to_string_pretty(&export::tracked(samples)).map_err(io::Error::from).map_err(at(&path))?;
    write(&path, (text + "\n").as_bytes())?;
    Ok(path)
}

/// Writes compare.csv.
///
/// # Errors
/// [`ReportError`].
pub fn write_comparison(directory: &Path, compared: &Comparison<'_>, reference: &str) -> Result<PathBuf, ReportError> {
    write_csv(directory, COMPARISON, |out| compared.write_csv(reference, out))
}

/// Draws both pictures of one backend, each as svg and png.
///
/// # Errors
/// [`ReportError`].
pub fn write_figures(
    directory: &Path,
    samples: &[Sample],
    backend: &str,
    paper: &Paper,
) -> Result<Vec<PathBuf>, ReportError> {
    let cells = Cells::new(samples);
    draw(directory, FIGURES, [plot::traffic(&cells, backend, paper), plot::cpu(&cells, backend, paper)])
}

/// Draws both pictures of several backends, each as svg and png.
///
/// # Errors
/// [`ReportError`].
pub fn write_comparison_figures(directory: &Path, compared: &Comparison<'_>) -> Result<Vec<PathBuf>, ReportError> {
    draw(directory, COMPARISON_FIGURES, [plot::compared_traffic(compared), plot::compared_cpu(compared)])
}

fn draw(directory: &Path, names: [&str; 2], figures: [Figure; 2]) -> Result<Vec<PathBuf>, ReportError> {
    let mut written = Vec::new();
    for (name, figure) in names.into_iter().zip(figures) {
        let path = directory.join(format!("{name}.svg"));
        let text = figure.svg().map_err(|source| ReportError::Plot { path: path.clone(), source })?;
        write(&path, text.as_bytes())?;
        written.push(path);
        let path = directory.join(format!("{name}.png"));
        // The library tells the format by the ending.
        let fresh = directory.join(format!(".{name}.new.png"));
        figure.write_png(&fresh).map_err(|source| ReportError::Plot { path: path.clone(), source })?;
        fs::rename(&fresh, &path).map_err(at(&path))?;
        written.push(path);
    }
    Ok(written)
}

/// Writes summary.md.
///
/// # Errors
/// [`ReportError`].
pub fn write_summary(directory: &Path, text: &str) -> Result<PathBuf, ReportError> {
    let path = directory.join(SUMMARY);
    write(&path, text.as_bytes())?;
    Ok(path)
}

fn write_csv(
    directory: &Path,
    name: &str,
    rows: impl FnOnce(&mut Vec<u8>) -> csv::Result<()>,
) -> Result<PathBuf, ReportError> {
    let path = directory.join(name);
    let mut text = Vec::new();
    rows(&mut text).map_err(|source| ReportError::Csv { path: path.clone(), source })?;
    write(&path, &text)?;
    Ok(path)
}

/// Puts a whole file in its place in one step.
///
/// # Errors
/// [`ReportError`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    fs::write(&fresh, bytes).and_then(|()| fs::rename(&fresh, path)).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ReportError {
    let path = path.to_owned();
    |source| ReportError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{comparison, synthetic};

    #[test]
    fn all_files_are_made_and_none_is_left_over() {
        let directory = std::env::temp_dir().join(format!("harness-report-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
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
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let mut expected = names();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert!(fs::read(directory.join("cpu.png")).unwrap().starts_with(b"\x89PNG"));
        fs::remove_dir_all(&directory).unwrap();
        assert!(write_summary(&directory, "text\n").is_err());
    }
}
