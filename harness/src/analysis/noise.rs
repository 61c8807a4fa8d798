//! What may have disturbed the times of a run. Bytes and primitive counts are exact on any machine.

use std::collections::BTreeSet;

use protocol::operation::Role;

use super::cell_costs::{Cells, over_floor};
use super::speed::Speed;
use super::statistics::median;
use crate::record::manifest::Machine;
use crate::record::sample::Sample;

/// From this part of a processor on, what other processes take is reported.
const OTHERS_BUSY: f64 = 0.2;
/// From this relative change on, a change of the clock frequency is reported.
const FREQUENCY_CHANGE: f64 = 0.1;
/// How many cells are named.
const NAMED: usize = 3;

/// What may have disturbed the times, in words. Empty if nothing is known to have.
#[must_use]
pub fn of(samples: &[Sample], machine: &Machine) -> Vec<String> {
    let cells = Cells::new(samples);
    [load(machine), frequency(machine), slow(&cells), below_floor(&cells)].into_iter().flatten().collect()
}

/// What other processes took.
fn load(machine: &Machine) -> Option<String> {
    let processors = machine.logical_cpus;
    if let Some(others) = machine.others_busy {
        return Some(format!("{} of {processors}", busy(others)?));
    }
    let before: f64 = machine.load_start.split(' ').next()?.parse().ok()?;
    let busy = processors > 0 && before >= processors as f64;
    busy.then(|| format!("the load average was {before:.2} before the run, on {processors} processors"))
}

/// What other processes took, if it matters: how many processors they kept busy on average.
#[must_use]
pub fn busy(others: f64) -> Option<String> {
    (others >= OTHERS_BUSY).then(|| format!("other processes kept {others:.2} processors busy"))
}

fn frequency(machine: &Machine) -> Option<String> {
    let (before, after) = machine.mhz_start.zip(machine.mhz_end)?;
    let changed = (after / before - 1.0).abs() > FREQUENCY_CHANGE;
    changed.then(|| format!("the clock frequency was {before:.0} MHz before the run and {after:.0} MHz after it"))
}

/// Cells whose times are those of the slower speed, because no sample ran at the faster one.
fn slow(cells: &Cells<'_>) -> Option<String> {
    let without = cells.iter().filter(|(_, runs)| runs.at(Speed::Fast).is_empty());
    let names: Vec<String> = without.map(|(key, _)| key.to_string()).collect();
    (!names.is_empty()).then(|| format!("only at the machine's slower speed: {}", some_of(&names)))
}

/// Medians of overhead ratios that are below 1. An operation cannot take less than its primitives: beside it, they took
/// longer than in it.
fn below_floor(cells: &Cells<'_>) -> Option<String> {
    let mut low = Vec::new();
    for (key, runs) in cells.iter() {
        let samples = runs.timed();
        let roles: BTreeSet<Role> = samples.iter().flat_map(|sample| &sample.work).map(|work| work.role).collect();
        for role in roles {
            let ratios: Vec<f64> = samples.iter().filter_map(|sample| over_floor(sample, Some(role))).collect();
            if let Some(ratio) = median(&ratios).filter(|ratio| *ratio < 1.0) {
                low.push((ratio, format!("{key} {role} {ratio:.2}")));
            }
        }
    }
    low.sort_by(|one, other| one.0.total_cmp(&other.0));
    let low: Vec<String> = low.into_iter().map(|(_, text)| text).collect();
    (!low.is_empty()).then(|| format!("overhead ratios below 1: {}", some_of(&low)))
}

/// The first names of a list, and how many more there are.
fn some_of(names: &[String]) -> String {
    let (named, more) = names.split_at(names.len().min(NAMED));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    named.join(", ") + &more
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use super::*;
    use crate::record::metric::Metric;
    use crate::synthetic;

    fn machine() -> Machine {
        Machine {
            cpu: "a processor".to_owned(),
            logical_cpus: 2,
            curve_backend: "serial".to_owned(),
            kernel: String::new(),
            load_start: "0.10 0.10 0.10".to_owned(),
            load_end: Some("1.20 0.40 0.20".to_owned()),
            mhz_start: Some(2800.0),
            mhz_end: Some(2790.0),
            others_busy: Some(0.03),
        }
    }

    #[test]
    fn a_quiet_run_has_no_noise() {
        assert_eq!(of(&[synthetic::remove()], &machine()), [""; 0]);
        assert_eq!(of(&[], &Machine { mhz_end: None, others_busy: None, ..machine() }), [""; 0]);
    }

    #[test]
    fn load_is_what_others_take_or_else_the_average_before() {
        let loaded = Machine { others_busy: Some(0.83), ..machine() };
        assert_eq!(of(&[], &loaded), ["other processes kept 0.83 processors busy of 2"]);
        let before = Machine { load_start: "3.14 1.00 1.00".to_owned(), ..machine() };
        assert_eq!(of(&[], &before), [""; 0], "what others took meanwhile is known");
        let before = Machine { others_busy: None, ..before };
        assert_eq!(of(&[], &before), ["the load average was 3.14 before the run, on 2 processors"]);
    }

    #[test]
    fn a_change_of_the_frequency_is_named() {
        let slowed = Machine { mhz_end: Some(1400.0), ..machine() };
        assert_eq!(of(&[], &slowed), ["the clock frequency was 2800 MHz before the run and 1400 MHz after it"]);
    }

    #[test]
    fn a_ratio_below_one_is_named_and_the_lowest_first() {
        let mut samples = vec![synthetic::remove()];
        // Ten key agreements and four signatures of the sender take 1320 ns, the one of the removed member 90 ns.
        samples[0].primitive_ns.insert(Metric::Primitive("op.dh"), 160.0);
        let said = of(&samples, &machine());
        assert_eq!(said, ["overhead ratios below 1: toy/remove/4 removed 0.56, toy/remove/4 sender 0.78"]);
        let others = ["b", "c"].map(|backend| Sample { backend: backend.to_owned(), ..samples[0].clone() });
        samples.extend(others);
        assert!(of(&samples, &machine())[0].ends_with("toy/remove/4 removed 0.56 and 3 more"));
    }

    #[test]
    fn a_cell_that_was_measured_at_the_slower_speed_alone_is_named() {
        let slow = |backend: &str| {
            let mut sample = Sample { backend: backend.to_owned(), ..synthetic::remove() };
            sample.primitive_ns.values_mut().for_each(|cost| *cost *= 1.5);
            sample
        };
        let mut samples = vec![synthetic::remove(), slow("toy")];
        assert_eq!(of(&samples, &machine()), [""; 0], "the cell has a sample at the faster speed");
        samples.extend(["b", "c", "d", "e"].map(slow));
        let named = "only at the machine's slower speed: b/remove/4, c/remove/4, d/remove/4 and 1 more";
        assert_eq!(of(&samples, &machine())[0], named);
    }
}
