//! What a theft exposes, by what the conversation costs. A curve is a backend; each of its points is a frequency of updates.

use super::comparison::style_of;
use super::content::BLACK;
use super::figure::{Curve, Entry, Figure, Marker, Panel, Point, Section, Stroke, Style, XAxis};
use crate::record::exposure::{Attacked, Ended, Findings, Ran};

/// Panels, each with the backends whose names begin so. The last has all others.
const PANELS: [(&str, &[&str]); 3] =
    [("DCGKA", &["dcgka"]), ("Signal", &["pairwise", "sender-keys", "vodozemac"]), ("Others", &[""])];

/// The look of the Pareto front.
const FRONT: Style = Style { colour: BLACK, stroke: Stroke::Dashed, marker: Marker::Ring };

/// By bytes sent.
#[must_use]
pub fn exposed_by_bytes(findings: &Findings) -> Figure {
    figure(findings, "Bytes sent for each message, key updates included", Ran::bytes_per_message)
}

/// By CPU time.
#[must_use]
pub fn exposed_by_cpu(findings: &Findings) -> Figure {
    let title = "CPU time of all members for each message, key updates included (ms)";
    figure(findings, title, Ran::cpu_ms_per_message)
}

fn figure(findings: &Findings, x_title: &str, cost: fn(&Ran) -> f64) -> Figure {
    let point = |ran: &Ran| Point { size: cost(ran), value: ran.mean_exposed(), deviation: None };
    let points = |attacked: &Attacked| -> Vec<Point> {
        let measured = attacked.workloads.iter().filter(|ran| ran.status == Ended::Measured);
        measured.map(point).filter(|point| point.size > 0.0 && point.value > 0.0).collect()
    };
    // What thieves have not read may be read all the same.
    let certain = findings.backends.iter().filter(|attacked| attacked.derived);
    let front = front(certain.flat_map(points).collect());
    let panel_of = |attacked: &Attacked| {
        let begins = |names: &[&str]| names.iter().any(|name| attacked.backend.starts_with(name));
        PANELS.iter().position(|(_, names)| begins(names))
    };
    let panels = PANELS.iter().enumerate().map(|(panel, (title, _))| {
        let of_panel = findings.backends.iter().enumerate().filter(|(_, attacked)| panel_of(attacked) == Some(panel));
        let curves = of_panel.map(|(at, attacked)| Curve { style: style_of(at), points: points(attacked), shift: 0.0 });
        let curves: Vec<Curve> = curves.filter(|curve| !curve.points.is_empty()).collect();
        Panel { title: (*title).to_owned(), curves }
    });
    let mut panels: Vec<Panel> = panels.filter(|panel| !panel.curves.is_empty()).collect();
    for panel in &mut panels {
        panel.curves.insert(0, Curve { style: FRONT, points: front.clone(), shift: 0.0 });
    }
    let shown = |style: Style| panels.iter().flat_map(|panel| &panel.curves).any(|curve| curve.style == style);
    let entries = findings.backends.iter().enumerate();
    let entries = entries.map(|(at, attacked)| Entry {
        style: style_of(at),
        text: format!("{}{}", attacked.backend, if attacked.derived { "" } else { " (at least)" }),
    });
    let mut legend: Vec<Entry> = entries.filter(|entry| shown(entry.style)).collect();
    legend.push(Entry { style: FRONT, text: "no other is better in both".to_owned() });
    let (members, messages) = findings
        .backends
        .iter()
        .find_map(|attacked| attacked.workloads.first())
        .map_or((0, 0), |ran| (ran.members, ran.messages));
    Figure {
        title: "What a key update buys".to_owned(),
        caption: vec![
            format!(
                "Somebody takes the state of one of {members} members at a random moment of a conversation of {messages} messages, and hears everything. Lower is better."
            ),
            "Along a curve, members update more often from left to right: never, then after every 200th, 50th, 20th, 10th message (as far as measured)."
                .to_owned(),
        ],
        x_axis: XAxis::Values(x_title.to_owned()),
        y_title: "Messages that one theft exposes (mean)".to_owned(),
        sections: vec![Section { title: String::new(), panels }],
        legend,
    }
}

/// The points to which no other is at least as good in both and better in one, ascending by cost.
fn front(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|one, other| one.size.total_cmp(&other.size).then(one.value.total_cmp(&other.value)));
    let mut front: Vec<Point> = Vec::new();
    for point in points {
        if front.last().is_none_or(|last| point.value < last.value) {
            front.push(point);
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_has_what_nothing_else_beats_in_both() {
        let point = |&(size, value): &(f64, f64)| Point { size, value, deviation: None };
        let all: Vec<Point> =
            [(3.0, 2.0), (1.0, 9.0), (2.0, 9.0), (1.0, 10.0), (4.0, 2.0), (5.0, 1.0)].iter().map(point).collect();
        let expected: Vec<Point> = [(1.0, 9.0), (3.0, 2.0), (5.0, 1.0)].iter().map(point).collect();
        assert_eq!(front(all), expected);
    }
}
