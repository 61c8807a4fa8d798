//! `harness gate`: whether this build costs more than the recorded baseline, or than another revision.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use harness::child::Launch;
use harness::gate::baseline::{Baseline, BaselineError, RecordedInstructions};
use harness::gate::comparison::{self, Cells, Verdict};
use harness::gate::config::{Config, ConfigError};
use harness::gate::instructions::{self, Conditions, Cpu};
use harness::gate::report::{Outcome, Report, SCHEMA};
use harness::gate::revision::{Revision, RevisionError};
use harness::gate::{exact, time};
use harness::manifest::{self, Build};
use harness::registry::Registry;
use harness::schedule::MeasureError;
use harness::{report, store};

use super::options::all_processors;
use super::{ERROR, Failure, INCOMPLETE, NOT_COMPARABLE, OK, REGRESSION, USAGE, complain, print, running};

/// The names of the files in --out.
const MARKDOWN: &str = "gate.md";
const JSON: &str = "gate.json";

#[derive(Args)]
pub(super) struct Options {
    /// The recorded costs
    #[arg(long, value_name = "FILE", default_value = "results/baseline.json")]
    baseline: PathBuf,
    /// What to measure, and which increase to tolerate
    #[arg(long, value_name = "FILE", default_value = "gate.toml")]
    config: PathBuf,
    /// Messages, bytes and operation counts only: no instructions
    #[arg(long)]
    exact: bool,
    /// Another revision of this repository, which is built and whose CPU time is compared too
    #[arg(long, value_name = "REVISION", conflicts_with = "update_baseline")]
    against: Option<String>,
    /// A slower build than --against fails; without it, it is only told
    #[arg(long, requires = "against")]
    time_gates: bool,
    /// Which relative increase of a metric is tolerated, in place of what --config says: instructions=0.02
    #[arg(long, value_name = "METRIC=FRACTION", value_parser = threshold)]
    threshold: Vec<(String, f64)>,
    /// Record this build's costs as the baseline
    #[arg(long, requires = "reason")]
    update_baseline: bool,
    /// Why: it stands in the baseline
    #[arg(long, requires = "update_baseline", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: Option<String>,
    /// Where gate.md, for a comment on a pull request, and gate.json go [default: no files]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// The form of the report on standard output
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Cells side by side; what is timed runs alone [default: as many as there are processors]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Seconds that one operation may take, its set-up included
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table to read
    Human,
    /// For a comment on a pull request
    Markdown,
    /// One object
    Json,
}

fn threshold(text: &str) -> Result<(String, f64), String> {
    let pair = text.split_once('=').and_then(|(metric, fraction)| Some((metric.to_owned(), fraction.parse().ok()?)));
    pair.ok_or_else(|| "right would be a metric and a fraction: --threshold instructions=0.02".to_owned())
}

pub(super) fn run(options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let mut config = Config::read(&options.config, registry)?;
    options.threshold.iter().try_for_each(|(metric, fraction)| config.tolerate(metric, *fraction))?;
    let other = options.against.as_ref().map(|name| Revision::find(name)).transpose()?;
    let before = match Baseline::read(&options.baseline) {
        Err(BaselineError::Missing(_)) if options.update_baseline => None,
        read => Some(read?),
    };
    if let Some(before) = before.as_ref().filter(|before| before.seed != config.seed) {
        let Options { baseline, config: file, .. } = options;
        let message = format!(
            "{} was recorded with seed {}, and {} asks for {}: right would be the same seed, or another baseline",
            baseline.display(),
            before.seed,
            file.display(),
            config.seed
        );
        return Err(Failure { code: NOT_COMPARABLE, message });
    }
    let build = Build::of_this_program()?;
    if other.is_some() && !build.profile.starts_with("release") {
        let message = "this program is no release build, and the other revision would be: right would be `cargo run \
                       --release -p harness -- gate`";
        return Err(Failure { code: NOT_COMPARABLE, message: message.to_owned() });
    }
    options.out.as_deref().map_or(Ok(()), store::make_writable)?;
    running::end_on_interrupt(None)?;
    let other = other.map(|revision| revision.build(&mut complain)).transpose()?;
    if let Some(other) = &other {
        time::check(&config, other).map_err(|error| Failure::new(NOT_COMPARABLE, &error))?;
    }

    let gate = Gate { options, config: &config, registry, build: &build };
    let (cells, trouble) = gate.exact()?;
    let mut report = Report {
        schema: SCHEMA,
        outcome: Outcome::Passed,
        baseline_commit: before.as_ref().map(|before| before.build.commit.clone()).unwrap_or_default(),
        baseline_reason: before.as_ref().map(|before| before.reason.clone()).unwrap_or_default(),
        cells: cells.len(),
        changes: before.as_ref().map(|before| comparison::exact(&config, &before.cells, &cells)).unwrap_or_default(),
        trouble,
        notes: Vec::new(),
    };
    let instructions = if options.exact { None } else { gate.instructions(before.as_ref(), &cells, &mut report)? };
    if let Some(other) = &other {
        gate.time(other, &mut report)?;
    }
    let report = report.conclude();
    write(options, &report)?;
    if options.update_baseline {
        return gate.update(&report, cells, instructions);
    }
    Ok(match report.outcome {
        Outcome::Passed => OK,
        Outcome::Regression => REGRESSION,
        Outcome::Incomplete => INCOMPLETE,
    })
}

struct Gate<'a> {
    options: &'a Options,
    config: &'a Config,
    registry: &'a Registry,
    build: &'a Build,
}

impl Gate<'_> {
    fn jobs(&self) -> usize {
        self.options.jobs.map_or_else(all_processors, usize::from)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.options.timeout)
    }

    fn exact(&self) -> Result<(Cells, Vec<String>), Failure> {
        let bar = running::bar((self.config.backends.len() * self.config.operations.len()) as u64);
        bar.set_message("messages, bytes and operation counts");
        let launch = Launch::this_program()?;
        let pool = rayon_pool(self.jobs())?;
        let measured = pool.install(|| exact::measure(self.config, &launch, self.timeout(), &|| bar.inc(1)));
        bar.finish_and_clear();
        Ok(comparison::cells(measured.map_err(MeasureError::from)?))
    }

    /// Counts instructions where that is possible, and compares them where that makes sense; else a note says why not.
    fn instructions(
        &self,
        before: Option<&Baseline>,
        cells: &Cells,
        report: &mut Report,
    ) -> Result<Option<RecordedInstructions>, Failure> {
        let mut skip = |why: String| {
            report.notes.push(format!("instructions are not compared: {why}"));
            Ok(None)
        };
        let recorded = before.and_then(|before| before.instructions.as_ref());
        if recorded.is_none() && !self.options.update_baseline {
            return skip("the baseline has none".to_owned());
        }
        let cpu = recorded.map_or_else(Cpu::seen, |recorded| recorded.conditions.cpu.clone());
        let conditions = match Conditions::here(self.build, cpu) {
            Ok(conditions) => conditions,
            Err(error) => return skip(error.to_string()),
        };
        let differs = |conditions: &Conditions| conditions.difference(&recorded?.conditions);
        // What is known before anything is counted.
        if let Some(difference) = differs(&conditions).filter(|_| !self.options.update_baseline) {
            return skip(difference);
        }
        let bar = running::bar(0);
        bar.set_message("instructions");
        let pool = rayon_pool(self.jobs())?;
        let program = std::env::current_exe()?;
        let counted = pool.install(|| instructions::count(self.config, self.registry, &program));
        bar.finish_and_clear();
        let (counts, cpu) = match counted {
            Ok(counted) => counted,
            Err(error) => {
                report.trouble.push(format!("instructions: {error}"));
                return Ok(None);
            }
        };
        let now = RecordedInstructions { conditions: Conditions { cpu, ..conditions }, cells: counts };
        match (before, recorded, differs(&now.conditions)) {
            (Some(before), Some(recorded), None) => {
                let changes = comparison::instructions(self.config, (recorded, &before.cells), (&now, cells));
                report.changes.extend(changes);
                report.notes.push(format!("instructions of {} updates were compared", now.cells.len()));
            }
            (_, Some(_), Some(difference)) => drop(skip(difference)?),
            _ => (),
        }
        Ok(Some(now))
    }

    fn time(&self, other: &Launch, report: &mut Report) -> Result<(), Failure> {
        let bar = running::bar(time::pairs(self.config));
        bar.set_message("CPU time in pairs");
        let worse = if self.options.time_gates { Verdict::Regression } else { Verdict::Advisory };
        let ours = Launch::this_program()?;
        let timed = time::measure(self.config, (other, &ours), self.timeout(), worse, &mut || bar.inc(1));
        bar.finish_and_clear();
        report.changes.extend(timed.changes);
        report.notes.extend(timed.notes);
        report.trouble.extend(timed.trouble);
        Ok(())
    }

    /// Records what has been measured, if all of it has.
    fn update(&self, report: &Report, cells: Cells, instructions: Option<RecordedInstructions>) -> Result<u8, Failure> {
        let path = &self.options.baseline;
        if !report.trouble.is_empty() {
            complain(&format!("{} is left as it was: not everything could be measured", path.display()));
            return Ok(INCOMPLETE);
        }
        if instructions.is_none() {
            complain("the new baseline has no instructions, so none will be compared");
        }
        let baseline = Baseline {
            reason: self.options.reason.clone().unwrap_or_default(),
            recorded_unix: manifest::unix_seconds(),
            build: self.build.clone(),
            seed: self.config.seed,
            cells,
            instructions,
        };
        baseline.write(path)?;
        complain(&format!("{} has the costs of this build now", path.display()));
        Ok(OK)
    }
}

fn rayon_pool(jobs: usize) -> Result<rayon::ThreadPool, Failure> {
    rayon::ThreadPoolBuilder::new().num_threads(jobs).build().map_err(|error| Failure::new(ERROR, &error))
}

fn write(options: &Options, report: &Report) -> Result<(), Failure> {
    let json = || serde_json::to_string_pretty(report).map(|text| text + "\n");
    if let Some(out) = &options.out {
        report::write(&out.join(MARKDOWN), report.markdown().as_bytes())?;
        report::write(&out.join(JSON), json()?.as_bytes())?;
    }
    let text = match options.format {
        Format::Human => report.human(),
        Format::Markdown => report.markdown(),
        Format::Json => json()?,
    };
    print(text.as_bytes())?;
    Ok(())
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(USAGE, &error)
    }
}

impl From<BaselineError> for Failure {
    fn from(error: BaselineError) -> Self {
        Self::new(ERROR, &error)
    }
}

impl From<RevisionError> for Failure {
    fn from(error: RevisionError) -> Self {
        let code = match error {
            RevisionError::NoRepository(_) | RevisionError::Unknown(_) => USAGE,
            _ => ERROR,
        };
        Self::new(code, &error)
    }
}
