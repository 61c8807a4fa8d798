//! The tables of a reproduction of the paper's evaluation.

use protocol::operation::{Operation, Phase, Role};

use super::table::Table;
use super::text::{NONE, bytes, conditions, failures, interval, ms, ratio};
use crate::analysis::cell_costs::{Cells, Cost, summary};
use crate::analysis::claims::{CLAIMED_SIZE, Claim};
use crate::analysis::paper::Paper;
use crate::record::manifest::Manifest;
use crate::record::sample::Sample;

/// A run and what it is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Reproduction<'a> {
    /// All samples of the run.
    pub samples: &'a [Sample],
    /// The conditions of the run.
    pub manifest: &'a Manifest,
    /// The published figures.
    pub paper: &'a Paper,
    /// `name` or `name:variant`, as on the command line.
    pub backend: &'a str,
    /// The paper's claims, checked on these samples.
    pub claims: &'a [Claim],
}

/// The tables of a reproduction.
#[must_use]
pub fn reproduction(run: &Reproduction<'_>) -> String {
    let cells = Cells::new(run.samples);
    let at = Group { cells: &cells, backend: run.backend, paper: run.paper };
    [
        format!("# {} at {CLAIMED_SIZE} members, beside the published figures\n", run.backend),
        conditions(run.manifest, run.samples),
        format!("## Traffic: bytes of all messages, a broadcast counted once\n\n{}", at.traffic()),
        format!("## CPU time in the paper's sense: medians in ms of one member\n\n{}\n{SENSE}", at.as_in_paper()),
        format!("## CPU time that the paper does not report: medians in ms of one member\n\n{}\n{FULL}", at.beyond()),
        format!("## Overhead ratio of an update: medians\n\n{}\n{FLOOR}", at.over_floor()),
        format!("## The paper's claims\n\n{}", claims(run.claims)),
        failures(run.samples),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect::<Vec<_>>()
    .join("\n")
}

const SENSE: &str = "\
A ratio is the figure here over that of the paper. The paper's sender is what its prototype metered: handling the others'
answers, without making the operation. Here that is phase `responses`; for a message it has no counterpart. The removed
member counts as a recipient, the joiner does not. The published times were measured on another machine. The 95 % interval
is that of the median here, from a bootstrap over samples.
";

const FULL: &str = "\
`generate` is the call, `process` the handling of what it sent, `responses` all later rounds, and `all` their sum in each
sample; so its median need not be the sum of the other medians. `update-cold` is the first update by a member that did not
create the group: its channels to the others are used for the first time.
";

const FLOOR: &str = "\
The overhead ratio (`over_floor`) is CPU time over its floor: the sum of the primitive counts, each times the cost of that
primitive, measured beside each sample. A ratio of 1 would be nothing but cryptography.
";

/// One backend in a group of [`CLAIMED_SIZE`], which the tables are about.
struct Group<'a> {
    cells: &'a Cells<'a>,
    backend: &'a str,
    paper: &'a Paper,
}

impl Group<'_> {
    fn traffic(&self) -> Table {
        let mut table = Table::new(&["operation", "paper", "here", "ratio"]);
        for operation in Operation::REPRODUCED {
            let paper = self.paper.sent_bytes(operation, CLAIMED_SIZE).map(|bytes| bytes as f64);
            let here = self.cells.bytes(self.backend, operation, CLAIMED_SIZE).map(|bytes| bytes.median);
            table.row([operation.to_string(), bytes(paper), bytes(here), ratio(here, paper)]);
        }
        table
    }

    fn as_in_paper(&self) -> Table {
        let mut table = Table::new(&["operation", "role", "paper", "here", "ratio", "95 % interval here"]);
        let published = Operation::REPRODUCED.into_iter().filter(|operation| *operation != Operation::UpdateCold);
        for operation in published {
            for (role, cost) in [(Role::Sender, Cost::SenderAsInPaper), (Role::Recipient, Cost::Recipient)] {
                let paper = self.paper.cpu(operation, role, CLAIMED_SIZE).map(|cpu| cpu.median_ms);
                let here = self.cells.cpu_ms(self.backend, operation, CLAIMED_SIZE, cost);
                let median = here.map(|here| here.median);
                let role = if role == Role::Sender { "sender, as in the paper" } else { role.name() };
                let cells = [ms(paper), ms(median), ratio(median, paper), interval(here)];
                table.row([vec![operation.to_string(), role.to_owned()], cells.to_vec()].concat());
            }
        }
        table
    }

    /// The full costs of senders and of the joiner, and those of the update over cold channels.
    fn beyond(&self) -> Table {
        let mut table = Table::new(&["operation", "role", "all", "generate", "process", "responses"]);
        for operation in Operation::REPRODUCED {
            let mut roles = vec![(Role::Sender, Cost::SenderFull, "sender, in full")];
            if operation == Operation::UpdateCold {
                roles.push((Role::Recipient, Cost::Recipient, "recipient"));
            }
            if operation == Operation::Add {
                roles.push((Role::Joiner, Cost::Joiner, Role::Joiner.name()));
            }
            for (role, cost, text) in roles {
                let all = self.cells.cpu_ms(self.backend, operation, CLAIMED_SIZE, cost);
                let phases = [Phase::Generate, Phase::Process, Phase::Responses];
                let [generate, process, responses] = phases.map(|phase| ms(self.phase(operation, role, phase)));
                let all = ms(all.map(|all| all.median));
                table.row([operation.to_string(), text.to_owned(), all, generate, process, responses]);
            }
        }
        table
    }

    /// The median CPU time of a member of a role in one phase, in milliseconds. `None` if it did nothing in the phase.
    fn phase(&self, operation: Operation, role: Role, phase: Phase) -> Option<f64> {
        let times = |sample: &Sample| {
            let work = sample.work.iter().filter(|work| work.role == role && work.phase == phase);
            work.flat_map(|work| &work.cpu_ns).map(|ns| *ns as f64 / 1e6).collect()
        };
        let samples = self.cells.runs(self.backend, operation, CLAIMED_SIZE)?.timed();
        summary(samples, times).map(|summary| summary.median)
    }

    fn over_floor(&self) -> Table {
        let mut table = Table::new(&["role", "over_floor", "95 % interval"]);
        for role in [Role::Sender, Role::Recipient] {
            let found = self.cells.over_floor(self.backend, Operation::Update, CLAIMED_SIZE, role);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::overview::overview;
    use super::*;
    use crate::analysis::claims;
    use crate::record::manifest::Options;
    use crate::record::program::Program;
    use crate::record::sample::Status;
    use crate::synthetic;

    fn options() -> Options {
        Options {
            seed: 7,
            backends: vec!["dcgka".to_owned()],
            iterations: BTreeMap::from([("update".to_owned(), 2)]),
            large_groups: None,
            sizes: synthetic::SIZES.to_vec(),
            timeout_ms: 1000,
            peak: false,
        }
    }

    fn text(samples: &[Sample]) -> String {
        let manifest = Manifest::start(Program::HARNESS, options(), 1, Vec::new()).unwrap();
        let claims = claims::check(&Cells::new(samples), "dcgka");
        let paper = Paper::load().unwrap();
        reproduction(&Reproduction { samples, manifest: &manifest, paper: &paper, backend: "dcgka", claims: &claims })
    }

    #[test]
    fn tables_compare_like_with_like() {
        let text = text(&synthetic::grid("dcgka", 1.0, 2));
        assert!(text.contains("| update      | 40,553 | 32,020 |  0.79 |"), "{text}");
        assert!(text.contains("| update-cold |      - | 32,020 |     - |"), "{text}");
        let message = text.lines().find(|line| line.starts_with("| message   | sender, as in the paper"));
        assert!(message.is_some_and(|line| line.contains("0.071 |     - |     - |")), "{text}");
        assert!(text.contains("PASS") && !text.contains("FAIL") && !text.contains("Samples that do not count"));
    }

    #[test]
    fn failures_are_reported() {
        let machine = Manifest::start(Program::HARNESS, options(), 1, Vec::new()).unwrap().machine;
        let mut samples = synthetic::grid("dcgka", 1.0, 1);
        samples[0].status = Status::Timeout;
        samples[0].reason = "no answer within 1s".to_owned();
        assert!(text(&samples).contains("| dcgka   | create    |       8 |       1 | timeout | no answer within 1s |"));
        assert!(overview(&samples, &machine).contains("no answer within 1s"));
    }
}
