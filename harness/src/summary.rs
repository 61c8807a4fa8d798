//! A run in words and tables, in Markdown that also reads well as it is.

mod comparison;
mod several;
pub(crate) mod table;

use protocol::operation::{Operation, Phase, Role};

use crate::cell_costs::{Cells, Cost};
use crate::claims::{CLAIMED_SIZE, Claim};
use crate::manifest::Manifest;
use crate::measurement::status_name;
use crate::paper::Paper;
use crate::registry::join;
use crate::sample::{Sample, Status};
use crate::statistics::Summary;
pub use comparison::{comparison, readme_tables};
use table::Table;

/// What stands where there is no figure.
const NONE: &str = "-";

/// A run and what it is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Reproduction<'a> {
    /// The run's samples.
    pub samples: &'a [Sample],
    /// Its conditions.
    pub manifest: &'a Manifest,
    /// The published figures.
    pub paper: &'a Paper,
    /// The backend, as on the command line.
    pub backend: &'a str,
    /// The claims, checked.
    pub claims: &'a [Claim],
}

/// The tables of a reproduction.
#[must_use]
pub fn reproduction(run: &Reproduction<'_>) -> String {
    let cells = Cells::new(run.samples);
    let at = Group { cells: &cells, backend: run.backend, paper: run.paper };
    [
        format!("# {} at {CLAIMED_SIZE} members, beside the published figures\n", run.backend),
        conditions(run.manifest),
        format!("## Traffic: bytes of all messages, a broadcast counted once\n\n{}", at.traffic()),
        format!("## CPU time in the paper's sense: ms of one member, medians\n\n{}\n{SENSE}", at.as_in_paper()),
        format!("## CPU time that the paper does not have: ms of one member, medians\n\n{}\n{FULL}", at.beyond()),
        format!("## CPU time of an update over the floor of its primitives\n\n{}\n{FLOOR}", at.over_floor()),
        format!("## The paper's claims\n\n{}", claims(run.claims)),
        failures(run.samples),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect::<Vec<_>>()
    .join("\n")
}

const SENSE: &str = "\
Ratios are here / paper. The paper's sender is what the prototype metered: the handling of the others' answers, without
making the operation (phase `responses`); for a message it has no counterpart here. The removed member counts as a
recipient, the added one does not. The published times were taken on another machine.
";

const FULL: &str = "\
`generate` is the call, `process` the handling of what it sent, `responses` all later rounds. `update-cold` is the first
update by a member that did not create the group: its channels to the others are used for the first time.
";

const FLOOR: &str = "\
The floor is the sum of all counted primitives times their cost, measured beside each run; 1 would be nothing but
cryptography.
";

fn conditions(manifest: &Manifest) -> String {
    let Manifest { build, machine, options, .. } = manifest;
    let commit = match (build.commit.get(..12), build.dirty) {
        (None, _) => "unknown".to_owned(),
        (Some(commit), Some(true)) => format!("{commit} with changes"),
        (Some(commit), _) => commit.to_owned(),
    };
    let iterations = options.iterations.iter().map(|(operation, count)| format!("{operation} {count}"));
    let fewer = options
        .large_groups
        .map_or_else(String::new, |large| format!("; of {} members and more at most {}", large.from, large.iterations));
    let lines = [
        format!("- Iterations: {}{fewer}; seed {}.", iterations.collect::<Vec<_>>().join(", "), options.seed),
        format!("- Machine: {}, curve code {}, kernel {}.", machine.cpu, machine.curve_backend, machine.kernel),
        format!("- Program: commit {commit}, {}, {}.", build.profile, build.rustc),
        format!("- Run: {}. Load at its start: {}.", manifest.run_id, machine.load_start),
    ];
    lines.join("\n") + "\n"
}

/// One backend at the group size that the tables are about.
struct Group<'a> {
    cells: &'a Cells<'a>,
    backend: &'a str,
    paper: &'a Paper,
}

impl Group<'_> {
    fn traffic(&self) -> Table {
        let mut table = Table::new(&["operation", "paper", "here", "ratio"]);
        for operation in Operation::REPRODUCED.map(Operation::name) {
            let paper = self.paper.sent_bytes(&operation, CLAIMED_SIZE).map(|bytes| bytes as f64);
            let here = self.cells.bytes(self.backend, &operation, CLAIMED_SIZE).map(|bytes| bytes.median);
            table.row([operation.into_owned(), bytes(paper), bytes(here), ratio(here, paper)]);
        }
        table
    }

    fn as_in_paper(&self) -> Table {
        let mut table = Table::new(&["operation", "role", "paper", "here", "ratio", "95 % interval here"]);
        let published = Operation::REPRODUCED.into_iter().filter(|operation| *operation != Operation::UpdateCold);
        for operation in published.map(Operation::name) {
            for (role, cost) in [("sender", Cost::SenderAsInPaper), ("recipient", Cost::Recipient)] {
                let paper = self.paper.cpu(&operation, role, CLAIMED_SIZE).map(|cpu| cpu.median_ms);
                let here = self.cells.cpu_ms(self.backend, &operation, CLAIMED_SIZE, cost);
                let median = here.map(|here| here.median);
                let role = if role == "sender" { "sender, as in the paper" } else { role };
                let cells = [ms(paper), ms(median), ratio(median, paper), interval(here)];
                table.row([vec![operation.to_string(), role.to_owned()], cells.to_vec()].concat());
            }
        }
        table
    }

    /// Full costs of senders, joiners, and of the cold update.
    fn beyond(&self) -> Table {
        let mut table = Table::new(&["operation", "role", "all", "generate", "process", "responses"]);
        for operation in Operation::REPRODUCED {
            let mut roles = vec![(Role::Sender, Cost::SenderFull, "sender, in full")];
            if operation == Operation::UpdateCold {
                roles.push((Role::Recipient, Cost::Recipient, "recipient"));
            }
            if operation == Operation::Add {
                roles.push((Role::Joiner, Cost::Joiner, "added member"));
            }
            for (role, cost, text) in roles {
                let all = self.cells.cpu_ms(self.backend, &operation.name(), CLAIMED_SIZE, cost);
                let phases = [Phase::Generate, Phase::Process, Phase::Responses];
                let [generate, process, responses] = phases.map(|phase| ms(self.phase(operation, role, phase)));
                let all = ms(all.map(|all| all.median));
                table.row([operation.to_string(), text.to_owned(), all, generate, process, responses]);
            }
        }
        table
    }

    /// The median CPU time of a role in one phase, in milliseconds.
    fn phase(&self, operation: Operation, role: Role, phase: Phase) -> Option<f64> {
        let runs = self.cells.runs(self.backend, &operation.name(), CLAIMED_SIZE);
        let times = runs.iter().map(|sample| {
            let work = sample.work.iter().filter(|work| work.role == role.name() && work.phase == phase.name());
            work.flat_map(|work| &work.cpu_ns).map(|ns| *ns as f64 / 1e6).collect()
        });
        Summary::of(&times.collect::<Vec<_>>()).map(|summary| summary.median)
    }

    fn over_floor(&self) -> Table {
        let mut table = Table::new(&["role", "over_floor", "95 % interval"]);
        for role in [Role::Sender, Role::Recipient] {
            let found = self.cells.over_floor(self.backend, &Operation::Update.name(), CLAIMED_SIZE, role);
            let median = found.map_or_else(|| NONE.to_owned(), |found| format!("{:.2}", found.median));
            let text = if role == Role::Sender { "sender, in full" } else { role.name() };
            table.row([text.to_owned(), median, interval(found)]);
        }
        table
    }
}

fn claims(claims: &[Claim]) -> Table {
    let mut table = Table::new(&["claim", "found", "verdict"]);
    for Claim { text, found, verdict } in claims {
        table.row([
            text.clone(),
            if found.is_empty() { NONE.to_owned() } else { found.clone() },
            verdict.name().into(),
        ]);
    }
    table
}

/// The runs that do not count; empty where all do.
#[must_use]
pub fn failures<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> String {
    let mut table = Table::new(&["backend", "operation", "members", "iteration", "status", "reason"]);
    for sample in samples.into_iter().filter(|sample| sample.status != Status::Ok) {
        table.row([
            join(&sample.backend, &sample.variant),
            sample.operation.clone(),
            sample.group_size.to_string(),
            sample.iteration.to_string(),
            status_name(sample.status).to_owned(),
            sample.reason.lines().next().unwrap_or_default().to_owned(),
        ]);
    }
    if table.is_empty() { String::new() } else { format!("## Runs that do not count\n\n{table}") }
}

/// The cells of a measurement, one line each: what is of interest at a glance.
#[must_use]
pub fn overview(samples: &[Sample]) -> String {
    let cells = Cells::new(samples);
    let mut table = Table::new(&[
        "backend",
        "operation",
        "members",
        "runs",
        "bytes",
        "sender ms",
        "of these responses",
        "recipient ms",
        "added ms",
    ]);
    for (key, runs) in cells.in_order_of_reports() {
        let cpu =
            |cost| ms(cells.cpu_ms(&key.backend, &key.operation, key.group_size, cost).map(|summary| summary.median));
        let sent = cells.bytes(&key.backend, &key.operation, key.group_size).map(|summary| summary.median);
        table.row([
            key.backend.clone(),
            key.operation.clone(),
            key.group_size.to_string(),
            runs.len().to_string(),
            bytes(sent),
            cpu(Cost::SenderFull),
            cpu(Cost::SenderAsInPaper),
            cpu(Cost::Recipient),
            cpu(Cost::Joiner),
        ]);
    }
    let measured = if table.is_empty() { String::new() } else { table.to_string() };
    let parts = [measured, several::several(&cells), failures(samples)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn bytes(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.0}"))
}

fn ms(value: Option<f64>) -> String {
    match value {
        None => NONE.to_owned(),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

fn ratio(here: Option<f64>, paper: Option<f64>) -> String {
    match (here, paper) {
        (Some(here), Some(paper)) if paper > 0.0 => format!("{:.2}", here / paper),
        _ => NONE.to_owned(),
    }
}

fn interval(summary: Option<Summary>) -> String {
    match summary.and_then(|summary| summary.interval) {
        Some((low, high)) => format!("{} .. {}", ms(Some(low)), ms(Some(high))),
        None => NONE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::claims;
    use crate::manifest::Options;
    use crate::synthetic;

    fn text(samples: &[Sample]) -> String {
        let options = Options {
            seed: 7,
            backends: vec!["dcgka".to_owned()],
            iterations: BTreeMap::from([("update".to_owned(), 2)]),
            large_groups: None,
            sizes: synthetic::SIZES.to_vec(),
            timeout_ms: 1000,
            peak: false,
        };
        let manifest = Manifest::start(options, 1, Vec::new()).unwrap();
        let claims = claims::check(&Cells::new(samples), "dcgka");
        let paper = Paper::load().unwrap();
        reproduction(&Reproduction { samples, manifest: &manifest, paper: &paper, backend: "dcgka", claims: &claims })
    }

    #[test]
    fn tables_compare_like_with_like() {
        let text = text(&synthetic::grid("dcgka", 1.0, 2));
        assert!(text.contains("| update      | 40553 | 32020 |  0.79 |"), "{text}");
        assert!(text.contains("| update-cold |     - | 32020 |     - |"), "{text}");
        let message = text.lines().find(|line| line.starts_with("| message   | sender, as in the paper"));
        assert!(message.is_some_and(|line| line.contains("0.071 |     - |     - |")), "{text}");
        assert!(text.contains("PASS") && !text.contains("FAIL") && !text.contains("Runs that do not count"));
    }

    #[test]
    fn failures_are_told() {
        let mut samples = synthetic::grid("dcgka", 1.0, 1);
        samples[0].status = Status::Timeout;
        samples[0].reason = "no answer within 1s".to_owned();
        assert!(
            text(&samples).contains("| dcgka   | create    |       8 |         0 | timeout | no answer within 1s |")
        );
        assert!(overview(&samples).contains("no answer within 1s"));
    }
}
