//! What the two figures show.
//!
//! With one backend a colour is a role and the published curves stand beside ours; with several a colour is a backend,
//! and the published curves are the first backend's.

use plotters::style::RGBColor;
use protocol::operation::Operation;

use super::figure::{Curve, Entry, Figure, Marker, Panel, Point, Section, Stroke, Style};
use crate::cell_costs::{Cells, Cost};
use crate::paper::Paper;
use crate::statistics::Summary;

// The palette of Okabe and Ito, which colour-blind readers can tell apart.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const VERMILLION: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const PURPLE: RGBColor = RGBColor(204, 121, 167);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const SKY: RGBColor = RGBColor(86, 180, 233);
const BLACK: RGBColor = RGBColor(0, 0, 0);

const BACKENDS: [(RGBColor, Marker); 7] = [
    (BLUE, Marker::Disc),
    (VERMILLION, Marker::Square),
    (GREEN, Marker::Triangle),
    (PURPLE, Marker::Diamond),
    (ORANGE, Marker::Disc),
    (SKY, Marker::Square),
    (BLACK, Marker::Triangle),
];

/// The backend that the published figures belong to.
const PUBLISHED: &str = "dcgka";

/// Bytes sent for each operation.
#[must_use]
pub fn traffic(cells: &Cells<'_>, paper: &Paper) -> Figure {
    let backends = cells.backends();
    let panels = operations(cells).map(|operation| {
        let mut curves = Vec::new();
        if let Some(index) = published_index(&backends) {
            let points = paper.traffic.iter().filter(|row| row.operation == operation.name()).map(|row| Point {
                size: f64::from(row.group_size),
                value: row.sent_bytes as f64,
                deviation: None,
            });
            curves.push(Curve { style: dashed(backend_style(index)), points: points.collect() });
        }
        for (index, backend) in backends.iter().enumerate() {
            let points = measured(cells, backend, operation, |size| cells.bytes(backend, operation.name(), size));
            curves.push(Curve { style: backend_style(index), points });
        }
        Panel { title: heading(operation).to_owned(), curves: drawn(curves) }
    });
    let sections = vec![Section { title: String::new(), panels: panels.collect() }];
    let mut legend: Vec<Entry> = backends
        .iter()
        .enumerate()
        .map(|(index, backend)| Entry { style: backend_style(index), text: format!("{backend}, measured here") })
        .collect();
    if let Some(index) = published_index(&backends) {
        legend.push(Entry { style: dashed(backend_style(index)), text: "published (Java prototype)".to_owned() });
    }
    let legend = explained(legend, &sections);
    Figure {
        title: "Network traffic of one operation".to_owned(),
        caption: "All messages of the operation, acknowledgements and welcome included; a broadcast counts once."
            .to_owned(),
        y_title: "Data sent (bytes)".to_owned(),
        sections,
        legend,
    }
}

/// CPU time of one member for each operation.
#[must_use]
pub fn cpu(cells: &Cells<'_>, paper: &Paper) -> Figure {
    let backends = cells.backends();
    let (sections, legend) = match backends.as_slice() {
        [backend] => cpu_of_one(cells, backend, paper),
        _ => cpu_of_several(cells, &backends, paper),
    };
    let legend = explained(legend, &sections);
    Figure {
        title: "CPU time of one member for one operation".to_owned(),
        caption: "Means of all members and runs; bars: one standard deviation, cut off at the foot of the axis."
            .to_owned(),
        y_title: "CPU time per member (ms)".to_owned(),
        sections,
        legend,
    }
}

const SENDER_AS_IN_PAPER: Style = Style { colour: BLUE, stroke: Stroke::Solid, marker: Marker::Disc };
const SENDER_FULL: Style = Style { colour: VERMILLION, stroke: Stroke::Solid, marker: Marker::Square };
const RECIPIENT: Style = Style { colour: GREEN, stroke: Stroke::Solid, marker: Marker::Disc };
const JOINER: Style = Style { colour: PURPLE, stroke: Stroke::Solid, marker: Marker::Diamond };

fn cpu_of_one(cells: &Cells<'_>, backend: &str, paper: &Paper) -> (Vec<Section>, Vec<Entry>) {
    let published = is_published(backend);
    let ours = |operation: Operation, cost: Cost, style: Style| Curve {
        style,
        points: measured(cells, backend, operation, |size| cells.cpu_ms(backend, operation.name(), size, cost)),
    };
    let theirs = |operation: Operation, role: &str, style: Style| Curve {
        style: dashed(style),
        points: if published { published_cpu(paper, operation, role) } else { Vec::new() },
    };
    let section = |title: &str, curves: &dyn Fn(Operation) -> Vec<Curve>| Section {
        title: title.to_owned(),
        panels: operations(cells)
            .map(|operation| Panel { title: heading(operation).to_owned(), curves: drawn(curves(operation)) })
            .collect(),
    };
    let sender = section("Sender", &|operation| {
        vec![
            theirs(operation, "sender", SENDER_AS_IN_PAPER),
            ours(operation, Cost::SenderAsInPaper, SENDER_AS_IN_PAPER),
            ours(operation, Cost::SenderFull, SENDER_FULL),
        ]
    });
    let recipient = section("Recipient and joiner", &|operation| {
        vec![
            theirs(operation, "recipient", RECIPIENT),
            ours(operation, Cost::Recipient, RECIPIENT),
            ours(operation, Cost::Joiner, JOINER),
        ]
    });
    let entry = |style: Style, text: &str| Entry { style, text: text.to_owned() };
    let mut legend = vec![
        entry(SENDER_AS_IN_PAPER, "sender as in the paper, here"),
        entry(RECIPIENT, "recipient, here"),
        entry(SENDER_FULL, "sender in full, here"),
    ];
    if published {
        legend.push(entry(dashed(SENDER_AS_IN_PAPER), "sender as in the paper, published"));
        legend.push(entry(dashed(RECIPIENT), "recipient, published"));
    }
    legend.push(entry(JOINER, "added member, here"));
    (vec![sender, recipient], legend)
}

fn cpu_of_several(cells: &Cells<'_>, backends: &[String], paper: &Paper) -> (Vec<Section>, Vec<Entry>) {
    // What was published as the sender is not the sender's whole cost, so it has no place beside whole costs.
    let section = |title: &str, cost: Cost, role: Option<&str>| Section {
        title: title.to_owned(),
        panels: operations(cells)
            .map(|operation| {
                let theirs = published_index(backends).zip(role).map(|(index, role)| Curve {
                    style: dashed(backend_style(index)),
                    points: published_cpu(paper, operation, role),
                });
                let ours = backends.iter().enumerate().map(|(index, backend)| Curve {
                    style: backend_style(index),
                    points: measured(cells, backend, operation, |size| {
                        cells.cpu_ms(backend, operation.name(), size, cost)
                    }),
                });
                let curves = theirs.into_iter().chain(ours).collect();
                Panel { title: heading(operation).to_owned(), curves: drawn(curves) }
            })
            .collect(),
    };
    let sections = vec![
        section("Sender, in full", Cost::SenderFull, None),
        section("Recipient", Cost::Recipient, Some("recipient")),
    ];
    let mut legend: Vec<Entry> = backends
        .iter()
        .enumerate()
        .map(|(index, backend)| Entry { style: backend_style(index), text: format!("{backend}, here") })
        .collect();
    if let Some(index) = published_index(backends) {
        legend.push(Entry { style: dashed(backend_style(index)), text: "published (Java prototype)".to_owned() });
    }
    (sections, legend)
}

/// The operations that were measured, in the order of reports.
fn operations(cells: &Cells<'_>) -> impl Iterator<Item = Operation> {
    Operation::ALL.into_iter().filter(|operation| cells.iter().any(|(key, _)| key.operation == operation.name()))
}

fn heading(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "Create",
        Operation::CreateMesh => "Create with all channels",
        Operation::Add => "Add",
        Operation::Remove => "Remove",
        Operation::Update => "Update",
        Operation::UpdateCold => "Update (first use of channels)",
        Operation::Message => "Message",
        Operation::MessageAfterRemove => "Message after a removal",
    }
}

fn measured(cells: &Cells<'_>, backend: &str, operation: Operation, of: impl Fn(u32) -> Option<Summary>) -> Vec<Point> {
    let sizes = cells.sizes(backend, operation.name());
    let points = sizes.into_iter().filter_map(|size| {
        let summary = of(size)?;
        Some(Point { size: f64::from(size), value: summary.mean, deviation: summary.stddev })
    });
    points.filter(|point| point.value > 0.0).collect()
}

fn published_cpu(paper: &Paper, operation: Operation, role: &str) -> Vec<Point> {
    let rows = paper.cpu.iter().filter(|row| row.operation == operation.name() && row.role == role);
    rows.map(|row| Point { size: f64::from(row.group_size), value: row.mean_ms, deviation: Some(row.stddev_ms) })
        .collect()
}

fn drawn(curves: Vec<Curve>) -> Vec<Curve> {
    curves.into_iter().filter(|curve| !curve.points.is_empty()).collect()
}

/// The lines of a legend whose look occurs.
fn explained(legend: Vec<Entry>, sections: &[Section]) -> Vec<Entry> {
    let curves = || sections.iter().flat_map(|section| &section.panels).flat_map(|panel| &panel.curves);
    legend.into_iter().filter(|entry| curves().any(|curve| curve.style == entry.style)).collect()
}

fn published_index(backends: &[String]) -> Option<usize> {
    backends.iter().position(|backend| is_published(backend))
}

/// Whether the published figures are of this backend, in whatever variant.
fn is_published(backend: &str) -> bool {
    backend.split(':').next() == Some(PUBLISHED)
}

fn backend_style(index: usize) -> Style {
    let (colour, marker) = BACKENDS[index % BACKENDS.len()];
    Style { colour, stroke: Stroke::Solid, marker }
}

fn dashed(style: Style) -> Style {
    Style { stroke: Stroke::Dashed, marker: Marker::Ring, ..style }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn published_curves_stand_beside_ours_alone() {
        let samples = synthetic::grid("dcgka", 1.0, 2);
        let (cells, paper) = (Cells::new(&samples), Paper::load().unwrap());
        let figure = traffic(&cells, &paper);
        let strokes = |title: &str| -> Vec<Stroke> {
            let panel = figure.panels().find(|panel| panel.title == title).unwrap();
            panel.curves.iter().map(|curve| curve.style.stroke).collect()
        };
        assert_eq!(strokes("Update"), [Stroke::Dashed, Stroke::Solid]);
        assert_eq!(strokes("Update (first use of channels)"), [Stroke::Solid]);
        let other = synthetic::grid("other", 1.0, 2);
        assert!(traffic(&Cells::new(&other), &paper).panels().all(|panel| panel.curves.len() == 1));
    }

    #[test]
    fn figures_are_drawn() {
        let directory = std::env::var_os("HARNESS_FIGURES").map(std::path::PathBuf::from);
        let paper = Paper::load().unwrap();
        let mut samples = synthetic::grid("dcgka", 1.0, 3);
        for several in [false, true] {
            let cells = Cells::new(&samples);
            for (name, figure) in [("traffic", traffic(&cells, &paper)), ("cpu", cpu(&cells, &paper))] {
                let svg = figure.svg().unwrap();
                assert!(svg.starts_with("<svg width=\"960\"") && svg.contains("viewBox=\"0 0 1920 "));
                assert!(!svg.contains("NaN"));
                // To look at the pictures: set the variable to a directory.
                if let Some(directory) = &directory {
                    let name = if several { format!("{name}-several") } else { name.to_owned() };
                    std::fs::write(directory.join(format!("{name}.svg")), svg).unwrap();
                    figure.write_png(&directory.join(format!("{name}.png"))).unwrap();
                }
            }
            samples.extend(synthetic::grid("pairwise", 2.5, 3));
            samples.extend(synthetic::grid("senderkeys", 0.4, 3));
        }
    }
}
