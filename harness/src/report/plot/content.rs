//! What the two figures of one backend show. A colour is a role; the published curves are beside those measured here.

use plotters::style::RGBColor;
use protocol::operation::{Operation, Role};

use super::figure::{Curve, Entry, Figure, Marker, Panel, Point, Section, Stroke, Style, XAxis};
use crate::analysis::cell_costs::{Cells, Cost};
use crate::analysis::paper::Paper;
use crate::analysis::statistics::Summary;

// The palette of Okabe and Ito, which colour-blind readers can distinguish.
pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(super) const VERMILLION: RGBColor = RGBColor(213, 94, 0);
pub(super) const GREEN: RGBColor = RGBColor(0, 158, 115);
pub(super) const PURPLE: RGBColor = RGBColor(204, 121, 167);
pub(super) const ORANGE: RGBColor = RGBColor(230, 159, 0);
pub(super) const SKY: RGBColor = RGBColor(86, 180, 233);
pub(super) const BLACK: RGBColor = RGBColor(0, 0, 0);

/// The backend of the published figures.
const PUBLISHED: &str = "dcgka";

/// Bytes sent, one panel for each operation.
#[must_use]
pub fn traffic(cells: &Cells<'_>, backend: &str, paper: &Paper) -> Figure {
    let panels = operations(cells).map(|operation| {
        let published = paper.traffic.iter().filter(|row| row.operation == operation).map(|row| Point {
            size: f64::from(row.group_size),
            value: row.sent_bytes as f64,
            deviation: None,
        });
        let published = if is_published(backend) { published.collect() } else { Vec::new() };
        let ours = measured(cells, backend, operation, |size| cells.bytes(backend, operation, size));
        let curves = vec![
            Curve { style: dashed(TRAFFIC), points: published, shift: 0.0 },
            Curve { style: TRAFFIC, points: ours, shift: 0.0 },
        ];
        Panel { title: heading(operation).to_owned(), curves: drawn(curves) }
    });
    let sections = vec![Section { title: String::new(), panels: panels.collect() }];
    let legend = vec![
        Entry { style: TRAFFIC, text: format!("{backend}, measured here") },
        Entry { style: dashed(TRAFFIC), text: "published (Java prototype)".to_owned() },
    ];
    Figure {
        title: "Network traffic of one operation".to_owned(),
        caption: vec![TRAFFIC_CAPTION.to_owned()],
        x_axis: XAxis::Sizes,
        y_title: TRAFFIC_AXIS.to_owned(),
        legend: explained(legend, &sections),
        sections,
    }
}

pub(super) const TRAFFIC_CAPTION: &str =
    "All messages of the operation, acknowledgements and welcome included; a broadcast counts once.";
pub(super) const TRAFFIC_AXIS: &str = "Data sent (bytes)";
pub(super) const CPU_AXIS: &str = "CPU time per member (ms)";

/// CPU time of one member, one panel for each operation.
#[must_use]
pub fn cpu(cells: &Cells<'_>, backend: &str, paper: &Paper) -> Figure {
    let (sections, legend) = cpu_by_role(cells, backend, paper);
    Figure {
        title: "CPU time of one member for one operation".to_owned(),
        caption: vec![
            "Means over all members and samples at the machine's faster speed. Bars: one standard deviation, cut off at the bottom of the axis."
                .to_owned(),
        ],
        x_axis: XAxis::Sizes,
        y_title: CPU_AXIS.to_owned(),
        legend: explained(legend, &sections),
        sections,
    }
}

const TRAFFIC: Style = Style { colour: BLUE, stroke: Stroke::Solid, marker: Marker::Disc };
const SENDER_AS_IN_PAPER: Style = Style { colour: BLUE, stroke: Stroke::Solid, marker: Marker::Disc };
const SENDER_FULL: Style = Style { colour: VERMILLION, stroke: Stroke::Solid, marker: Marker::Square };
const RECIPIENT: Style = Style { colour: GREEN, stroke: Stroke::Solid, marker: Marker::Disc };
const JOINER: Style = Style { colour: PURPLE, stroke: Stroke::Solid, marker: Marker::Diamond };

fn cpu_by_role(cells: &Cells<'_>, backend: &str, paper: &Paper) -> (Vec<Section>, Vec<Entry>) {
    let published = is_published(backend);
    let ours = |operation: Operation, cost: Cost, style: Style| Curve {
        style,
        points: measured(cells, backend, operation, |size| cells.cpu_ms(backend, operation, size, cost)),
        shift: 0.0,
    };
    let theirs = |operation: Operation, role: Role, style: Style| Curve {
        style: dashed(style),
        points: if published { published_cpu(paper, operation, role) } else { Vec::new() },
        shift: 0.0,
    };
    let section = |title: &str, curves: &dyn Fn(Operation) -> Vec<Curve>| Section {
        title: title.to_owned(),
        panels: operations(cells)
            .map(|operation| Panel { title: heading(operation).to_owned(), curves: drawn(curves(operation)) })
            .collect(),
    };
    let sender = section("Sender", &|operation| {
        vec![
            theirs(operation, Role::Sender, SENDER_AS_IN_PAPER),
            ours(operation, Cost::SenderAsInPaper, SENDER_AS_IN_PAPER),
            ours(operation, Cost::SenderFull, SENDER_FULL),
        ]
    });
    let recipient = section("Recipient and joiner", &|operation| {
        vec![
            theirs(operation, Role::Recipient, RECIPIENT),
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
    legend.push(entry(JOINER, "joiner, here"));
    (vec![sender, recipient], legend)
}

/// The operations that were measured, in the order of reports.
fn operations(cells: &Cells<'_>) -> impl Iterator<Item = Operation> {
    Operation::ALL.into_iter().filter(|operation| cells.iter().any(|(key, _)| key.operation == *operation))
}

pub(super) fn heading(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "Create",
        Operation::CreateMesh => "Create with all channels",
        Operation::Add => "Add",
        Operation::Remove => "Remove",
        Operation::Update => "Update",
        Operation::UpdateCold => "Update (first use of channels)",
        Operation::Message => "Message",
        Operation::MessageAfterRemove => "Message after a removal",
        Operation::ConcurrentUpdates(_) => "Concurrent updates",
        Operation::PartitionHeal => "Partition and healing",
        Operation::PartitionRecovery { .. } => "Recovery after a partition",
        Operation::RemoveTogether => "Remove (acks arrive together)",
        Operation::UpdateTogether => "Update (acks arrive together)",
        Operation::AddAfter(_) => "Add after updates",
        Operation::UpdateAfter(_) => "Update after updates",
    }
}

fn measured(cells: &Cells<'_>, backend: &str, operation: Operation, of: impl Fn(u32) -> Option<Summary>) -> Vec<Point> {
    let sizes = cells.sizes(backend, operation);
    let points = sizes.into_iter().filter_map(|size| {
        let summary = of(size)?;
        Some(Point { size: f64::from(size), value: summary.mean, deviation: summary.stddev })
    });
    points.filter(|point| point.value > 0.0).collect()
}

fn published_cpu(paper: &Paper, operation: Operation, role: Role) -> Vec<Point> {
    let rows = paper.cpu.iter().filter(|row| row.operation == operation && row.role == role);
    rows.map(|row| Point { size: f64::from(row.group_size), value: row.mean_ms, deviation: Some(row.stddev_ms) })
        .collect()
}

pub(super) fn drawn(curves: Vec<Curve>) -> Vec<Curve> {
    curves.into_iter().filter(|curve| !curve.points.is_empty()).collect()
}

/// The entries of a legend whose look occurs.
pub(super) fn explained(legend: Vec<Entry>, sections: &[Section]) -> Vec<Entry> {
    let curves = || sections.iter().flat_map(|section| &section.panels).flat_map(|panel| &panel.curves);
    legend.into_iter().filter(|entry| curves().any(|curve| curve.style == entry.style)).collect()
}

/// Whether the published figures are of this backend, in any variant.
fn is_published(backend: &str) -> bool {
    backend.split(':').next() == Some(PUBLISHED)
}

pub(super) fn dashed(style: Style) -> Style {
    Style { stroke: Stroke::Dashed, marker: Marker::Ring, ..style }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn published_curves_are_beside_those_of_dcgka_alone() {
        let samples = synthetic::grid("dcgka", 1.0, 2);
        let (cells, paper) = (Cells::new(&samples), Paper::load().unwrap());
        let figure = traffic(&cells, "dcgka", &paper);
        let strokes = |title: &str| -> Vec<Stroke> {
            let panel = figure.panels().find(|panel| panel.title == title).unwrap();
            panel.curves.iter().map(|curve| curve.style.stroke).collect()
        };
        assert_eq!(strokes("Update"), [Stroke::Dashed, Stroke::Solid]);
        assert_eq!(strokes("Update (first use of channels)"), [Stroke::Solid]);
        let other = synthetic::grid("other", 1.0, 2);
        assert!(traffic(&Cells::new(&other), "other", &paper).panels().all(|panel| panel.curves.len() == 1));
    }

    #[test]
    fn figures_are_drawn() {
        let directory = std::env::var_os("HARNESS_FIGURES").map(std::path::PathBuf::from);
        let paper = Paper::load().unwrap();
        let samples = synthetic::grid("dcgka", 1.0, 3);
        let cells = Cells::new(&samples);
        for (name, figure) in [("traffic", traffic(&cells, "dcgka", &paper)), ("cpu", cpu(&cells, "dcgka", &paper))] {
            let svg = figure.svg().unwrap();
            assert!(svg.starts_with("<svg width=\"960\"") && svg.contains("viewBox=\"0 0 1920 "));
            assert!(!svg.contains("NaN"));
            // To look at the figures, set the variable to a directory.
            if let Some(directory) = &directory {
                std::fs::write(directory.join(format!("{name}.svg")), svg).unwrap();
                figure.write_png(&directory.join(format!("{name}.png"))).unwrap();
            }
        }
    }
}
