//! What the paper claims of its protocol, checked one by one.

use crate::cell::PLAINTEXT_LEN;
use crate::cell_costs::{Cells, Cost};
use crate::statistics::log_log_slope;

/// Group size of the paper's statements in numbers.
pub const CLAIMED_SIZE: u32 = 128;
/// Growth is judged from this size on: below it fixed costs weigh too much.
const GROWTH_FROM: u32 = 32;
/// A log-log slope in this range is linear growth.
const LINEAR: (f64, f64) = (0.9, 1.15);
/// "transmits 40 kB of network traffic", read as 40,000 bytes; the published measurement is 40,553.
const UPDATE_BYTES: f64 = 40_000.0;
/// "takes 70 ms of CPU time per client".
const UPDATE_MS: f64 = 70.0;
/// How much the length of a message may depend on the group size: room for numbers that take a byte more.
const MESSAGE_SPREAD: f64 = 8.0;

/// A claim and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// What is claimed.
    pub text: String,
    /// What was found.
    pub found: String,
    /// Whether it holds.
    pub verdict: Verdict,
}

/// Whether a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Pass,
    /// It does not.
    Fail,
    /// What it is about was not measured.
    NotMeasured,
}

impl Verdict {
    /// In capitals.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::NotMeasured => "not measured",
        }
    }
}

/// All claims, checked of one backend.
#[must_use]
pub fn check(cells: &Cells<'_>, backend: &str) -> Vec<Claim> {
    let mut claims: Vec<Claim> =
        ["create", "remove", "update"].into_iter().map(|operation| growth(cells, backend, operation)).collect();
    claims.push(message_overhead(cells, backend));
    let bytes = cells.bytes(backend, "update", CLAIMED_SIZE).map(|summary| summary.max);
    claims.push(claim(
        format!("an update of {CLAIMED_SIZE} members sends at most 40 kB"),
        bytes.map(|bytes| (format!("{bytes:.0} bytes"), bytes <= UPDATE_BYTES)),
    ));
    for (who, cost) in [
        ("the sender, as in the paper,", Cost::SenderAsInPaper),
        ("the sender, in full (stricter than the paper),", Cost::SenderFull),
        ("a recipient", Cost::Recipient),
    ] {
        let median = cells.cpu_ms(backend, "update", CLAIMED_SIZE, cost).map(|summary| summary.median);
        claims.push(claim(
            format!("an update of {CLAIMED_SIZE} members costs {who} at most {UPDATE_MS} ms of CPU"),
            median.map(|ms| (format!("{ms:.1} ms (median)"), ms <= UPDATE_MS)),
        ));
    }
    claims
}

fn growth(cells: &Cells<'_>, backend: &str, operation: &str) -> Claim {
    let sizes = cells.sizes(backend, operation).into_iter().filter(|size| *size >= GROWTH_FROM);
    let points: Vec<(f64, f64)> = sizes
        .filter_map(|size| cells.bytes(backend, operation, size).map(|bytes| (f64::from(size), bytes.median)))
        .collect();
    let (low, high) = LINEAR;
    claim(
        format!("{operation} grows linearly: slope of bytes from {GROWTH_FROM} members on in {low} .. {high}"),
        log_log_slope(&points).map(|slope| (format!("{slope:.3}"), (low..=high).contains(&slope))),
    )
}

fn message_overhead(cells: &Cells<'_>, backend: &str) -> Claim {
    let sizes = cells.sizes(backend, "message");
    let found: Vec<(f64, f64)> = sizes
        .iter()
        .filter_map(|size| cells.bytes(backend, "message", *size).map(|bytes| (bytes.min, bytes.max)))
        .collect();
    let plaintext = PLAINTEXT_LEN as f64;
    let (min, max) =
        found.iter().fold((f64::INFINITY, 0.0_f64), |(min, max), bytes| (bytes.0.min(min), bytes.1.max(max)));
    let text = format!("a message's overhead is constant: over all sizes within {MESSAGE_SPREAD:.0} bytes");
    let overhead = if min == max {
        format!("{:.0} bytes at all sizes", max - plaintext)
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

    fn verdicts(scale: f64, change: impl Fn(&mut crate::sample::Sample)) -> Vec<Verdict> {
        let mut samples = synthetic::grid("dcgka", scale, 2);
        samples.iter_mut().for_each(change);
        check(&Cells::new(&samples), "dcgka").iter().map(|claim| claim.verdict).collect()
    }

    #[test]
    fn a_good_run_passes_them_all() {
        assert_eq!(verdicts(1.0, |_| ()), [Verdict::Pass; 8]);
    }

    #[test]
    fn slow_and_large_runs_fail() {
        use Verdict::{Fail, Pass};
        assert_eq!(verdicts(10.0, |_| ()), [Pass, Pass, Pass, Pass, Pass, Fail, Fail, Fail]);
        let quadratic = |sample: &mut crate::sample::Sample| {
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
