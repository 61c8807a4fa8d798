//! What the paper claims about its protocol, checked one by one.

use protocol::operation::{Operation, PLAINTEXT_LEN};

use super::cell_costs::{Cells, Cost};
use super::statistics::log_log_slope;

/// The group size for which the paper claims figures.
pub const CLAIMED_SIZE: u32 = 128;
/// Growth is judged from this group size up. In smaller groups fixed costs weigh too much.
const GROWTH_FROM: u32 = 32;
/// The log-log slopes that count as linear growth.
const LINEAR: (f64, f64) = (0.9, 1.15);
/// The paper: "transmits 40 kB of network traffic", read as 40,000 bytes; the published measurement is 40,553.
const UPDATE_BYTES: f64 = 40_000.0;
/// The paper: "takes 70 ms of CPU time per client".
const UPDATE_MS: f64 = 70.0;
/// How many bytes the length of a message may differ between group sizes: room for numbers that take a byte more.
const MESSAGE_SPREAD: f64 = 8.0;

/// A claim, and whether it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The claim in words, with its limits.
    pub text: String,
    /// The measured figure with its unit; empty if it was not measured.
    pub found: String,
    /// Whether the figure is within the limits.
    pub verdict: Verdict,
}

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The claim holds.
    Pass,
    /// The claim does not hold.
    Fail,
    /// The run does not have the cells that the claim is about.
    NotMeasured,
}

impl Verdict {
    /// The verdict as tables show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::NotMeasured => "not measured",
        }
    }
}

/// Checks all claims on the samples of one backend.
#[must_use]
pub fn check(cells: &Cells<'_>, backend: &str) -> Vec<Claim> {
    let growing = [Operation::Create, Operation::Remove, Operation::Update];
    let mut claims: Vec<Claim> = growing.into_iter().map(|operation| growth(cells, backend, operation)).collect();
    claims.push(message_overhead(cells, backend));
    let bytes = cells.bytes(backend, Operation::Update, CLAIMED_SIZE).map(|summary| summary.max);
    claims.push(claim(
        format!("an update in a group of {CLAIMED_SIZE} sends at most 40 kB"),
        bytes.map(|bytes| (format!("{bytes:.0} bytes"), bytes <= UPDATE_BYTES)),
    ));
    for (who, cost) in [
        ("its sender (as in the paper)", Cost::SenderAsInPaper),
        ("its sender (in full, stricter than the paper)", Cost::SenderFull),
        ("a recipient", Cost::Recipient),
    ] {
        let median = cells.cpu_ms(backend, Operation::Update, CLAIMED_SIZE, cost).map(|summary| summary.median);
        claims.push(claim(
            format!("an update in a group of {CLAIMED_SIZE} takes {who} at most {UPDATE_MS} ms of CPU time"),
            median.map(|ms| (format!("{ms:.1} ms (median)"), ms <= UPDATE_MS)),
        ));
    }
    claims
}

fn growth(cells: &Cells<'_>, backend: &str, operation: Operation) -> Claim {
    let sizes = cells.sizes(backend, operation).into_iter().filter(|size| *size >= GROWTH_FROM);
    let points: Vec<(f64, f64)> = sizes
        .filter_map(|size| cells.bytes(backend, operation, size).map(|bytes| (f64::from(size), bytes.median)))
        .collect();
    let (low, high) = LINEAR;
    claim(
        format!("the bytes of {operation} grow linearly: log-log slope {low} to {high} from {GROWTH_FROM} members up"),
        log_log_slope(&points).map(|slope| (format!("{slope:.3}"), (low..=high).contains(&slope))),
    )
}

fn message_overhead(cells: &Cells<'_>, backend: &str) -> Claim {
    let sizes = cells.sizes(backend, Operation::Message);
    let found: Vec<(f64, f64)> = sizes
        .iter()
        .filter_map(|size| cells.bytes(backend, Operation::Message, *size).map(|bytes| (bytes.min, bytes.max)))
        .collect();
    let plaintext = PLAINTEXT_LEN as f64;
    let (min, max) =
        found.iter().fold((f64::INFINITY, 0.0_f64), |(min, max), bytes| (bytes.0.min(min), bytes.1.max(max)));
    let text =
        format!("the overhead of a message is constant: at most {MESSAGE_SPREAD:.0} bytes of difference between sizes");
    let overhead = if min == max {
        format!("{:.0} bytes at every size", max - plaintext)
    } else {
        format!("{:.0} to {:.0} bytes", min - plaintext, max - plaintext)
    };
    claim(text, (found.len() > 1).then_some((overhead, max - min <= MESSAGE_SPREAD)))
}

fn claim(text: String, found: Option<(String, bool)>) -> Claim {
    match found {
        Some((found, true)) => Claim { text, found, verdict: Verdict::Pass },
        Some((found, false)) => Claim { text, found, verdict: Verdict::Fail },
        None => Claim { text, found: String::new(), verdict: Verdict::NotMeasured },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    fn verdicts(scale: f64, change: impl Fn(&mut crate::record::sample::Sample)) -> Vec<Verdict> {
        let mut samples = synthetic::grid("dcgka", scale, 2);
        samples.iter_mut().for_each(change);
        check(&Cells::new(&samples), "dcgka").iter().map(|claim| claim.verdict).collect()
    }

    #[test]
    fn a_good_run_passes_all_claims() {
        assert_eq!(verdicts(1.0, |_| ()), [Verdict::Pass; 8]);
    }

    #[test]
    fn slow_and_large_runs_fail() {
        use Verdict::{Fail, Pass};
        assert_eq!(verdicts(10.0, |_| ()), [Pass, Pass, Pass, Pass, Pass, Fail, Fail, Fail]);
        let quadratic = |sample: &mut crate::record::sample::Sample| {
            let factor = u64::from(sample.group_size);
            sample.traffic.iter_mut().for_each(|traffic| traffic.bytes_sent *= factor);
        };
        assert_eq!(verdicts(1.0, quadratic), [Fail, Fail, Fail, Fail, Fail, Pass, Pass, Pass]);
    }

    #[test]
    fn what_was_not_measured_has_no_verdict() {
        assert!(check(&Cells::default(), "dcgka").iter().all(|claim| claim.verdict == Verdict::NotMeasured));
    }
}
