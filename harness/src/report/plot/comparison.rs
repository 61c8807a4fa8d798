//! What the figures of several backends show. A backend has a colour and a mark; the row derived from it is dashed.

use plotters::style::RGBColor;
use protocol::operation::Operation;

use super::content::{
    BLACK, BLUE, CPU_AXIS, GREEN, ORANGE, PURPLE, SKY, TRAFFIC_AXIS, TRAFFIC_CAPTION, VERMILLION, dashed, drawn,
    explained, heading,
};
use super::figure::{Curve, Entry, Figure, Marker, Panel, Point, Section, Stroke, Style, XAxis};
use crate::analysis::cell_costs::Cost;
use crate::analysis::comparison::{Comparison, Quantity, derived_from};
use crate::record::metric::Metric;

/// The distance from the marks of a backend to those of the next. In some operations many protocols send the same number of
/// bytes.
const SHIFT: f64 = 3.5;

const COLOURS: [RGBColor; 7] = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK];
const MARKERS: [Marker; 7] =
    [Marker::Disc, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::Down, Marker::Plus, Marker::Cross];

/// Bytes sent, one panel for each operation.
#[must_use]
pub fn compared_traffic(compared: &Comparison<'_>) -> Figure {
    traffic(&Shown { compared, rows: compared.rows(), operations: compared.operations() }, None)
}

/// Bytes sent in the operations that recur in the life of a group, by the backends `rows`: a figure for a README.
#[must_use]
pub fn compared_overview(compared: &Comparison<'_>, rows: &[String]) -> Figure {
    let mut operations = compared.operations();
    operations.retain(|operation| [Operation::Remove, Operation::Update, Operation::Message].contains(operation));
    let (some, all) = (rows.len(), compared.backends().count());
    let left_out = (some < all).then(|| format!("{some} of {all} backends: compare-traffic shows the others."));
    traffic(&Shown { compared, rows, operations }, left_out)
}

fn traffic(shown: &Shown<'_>, left_out: Option<String>) -> Figure {
    let sections = [("", Quantity::Total(Metric::BytesSent))];
    shown.figure("Network traffic of one operation", (TRAFFIC_CAPTION, left_out), TRAFFIC_AXIS, &sections)
}

/// CPU time of the sender and of one recipient, one panel for each operation.
#[must_use]
pub fn compared_cpu(compared: &Comparison<'_>) -> Figure {
    let sections = [("Sender", Quantity::Cpu(Cost::SenderFull)), ("One recipient", Quantity::Cpu(Cost::Recipient))];
    let caption = "Medians over members and samples at the machine's faster speed, all phases together. The removed member is a recipient.";
    let shown = Shown { compared, rows: compared.rows(), operations: compared.operations() };
    shown.figure("CPU time of one member for one operation", (caption, None), CPU_AXIS, &sections)
}

/// The part of a comparison that a figure shows.
struct Shown<'a> {
    compared: &'a Comparison<'a>,
    rows: &'a [String],
    operations: Vec<Operation>,
}

impl Shown<'_> {
    fn figure(
        &self,
        title: &str,
        (caption, left_out): (&str, Option<String>),
        y_title: &str,
        sections: &[(&str, Quantity)],
    ) -> Figure {
        let section = |(title, quantity): &(&str, Quantity)| {
            let panels = self.operations.iter().map(|operation| self.panel(*operation, *quantity));
            Section { title: (*title).to_owned(), panels: panels.filter(|panel| !panel.curves.is_empty()).collect() }
        };
        let sections: Vec<Section> = sections.iter().map(section).collect();
        let entry = |row: &String| Entry { style: self.style(row), text: row.clone() };
        Figure {
            title: title.to_owned(),
            caption: [Some(format!("{caption} Marks of one size are shifted apart.")), left_out]
                .into_iter()
                .flatten()
                .collect(),
            x_axis: XAxis::Sizes,
            y_title: y_title.to_owned(),
            legend: explained(self.rows.iter().map(entry).collect(), &sections),
            sections,
        }
    }

    fn panel(&self, operation: Operation, quantity: Quantity) -> Panel {
        let middle = (self.backends().count() as f64 - 1.0) / 2.0;
        let curve = |row: &String| {
            let point = |size: u32| {
                let value = self.compared.median(row, operation, size, quantity).filter(|value| *value > 0.0)?;
                Some(Point { size: f64::from(size), value, deviation: None })
            };
            Curve {
                style: self.style(row),
                points: self.compared.sizes().into_iter().filter_map(point).collect(),
                shift: (self.place(row) as f64 - middle) * SHIFT,
            }
        };
        Panel { title: heading(operation).to_owned(), curves: drawn(self.rows.iter().map(curve).collect()) }
    }

    fn backends(&self) -> impl Iterator<Item = &String> {
        self.rows.iter().filter(|row| derived_from(row).is_none())
    }

    /// The position of a row's backend among those of the figure.
    fn place(&self, row: &str) -> usize {
        let backend = derived_from(row).unwrap_or(row);
        self.backends().position(|other| other == backend).unwrap_or(0)
    }

    /// The look of a row: that of its backend, dashed if the row is derived. A figure of few backends has a colour for each.
    fn style(&self, row: &str) -> Style {
        let solid = style_of(self.place(row));
        if derived_from(row).is_none() { solid } else { dashed(solid) }
    }
}

/// The look of the backend at this position. When the colours have been used up, they are used again with other marks.
pub(super) fn style_of(index: usize) -> Style {
    let marker = MARKERS[(index + index / COLOURS.len()) % MARKERS.len()];
    Style { colour: COLOURS[index % COLOURS.len()], stroke: Stroke::Solid, marker }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::comparison::with_derived;
    use crate::synthetic;

    const BACKENDS: [(&str, f64); 6] = [
        ("dcgka", 1.0),
        ("published", 1.3),
        ("pairwise", 0.05),
        ("sender-keys:eager", 4.0),
        ("sender-keys:lazy", 0.4),
        ("sender-keys:pcs", 6.0),
    ];

    #[test]
    fn looks_are_distinct() {
        for index in 0..COLOURS.len() * MARKERS.len() {
            assert!((0..index).all(|other| style_of(other) != style_of(index)));
        }
        for index in 0..COLOURS.len() {
            assert!((0..index).all(|other| style_of(other).marker != style_of(index).marker));
        }
    }

    #[test]
    fn each_row_is_a_curve_and_an_operation_without_samples_has_no_panel() {
        let mut samples = synthetic::grid("dcgka", 1.0, 2);
        samples.extend(synthetic::without_acks(synthetic::grid("pairwise", 2.0, 2)));
        samples.retain(|sample| sample.operation != Operation::Add);
        let samples = with_derived(&samples);
        let figure = compared_traffic(&Comparison::new(&samples, &["dcgka".to_owned(), "pairwise".to_owned()]));
        let legend: Vec<&str> = figure.legend.iter().map(|entry| entry.text.as_str()).collect();
        assert_eq!(legend, ["dcgka", "dcgka without acks", "pairwise"]);
        assert_eq!(figure.legend[1].style.colour, figure.legend[0].style.colour);
        assert_eq!(figure.legend[1].style.stroke, Stroke::Dashed);
        assert!(figure.panels().all(|panel| panel.curves.len() == 3 && panel.title != "Add"));
    }

    #[test]
    fn figures_are_drawn() {
        let mut samples = Vec::new();
        for (backend, scale) in BACKENDS {
            let grid = synthetic::grid(backend, scale, 2).into_iter().filter(|s| [8, 32, 128].contains(&s.group_size));
            let grid: Vec<_> = grid.collect();
            samples.extend(if backend.starts_with('d') { grid } else { synthetic::without_acks(grid) });
        }
        let samples = with_derived(&samples);
        let compared = Comparison::new(&samples, &BACKENDS.map(|(backend, _)| backend.to_owned()));
        let few = [BACKENDS[0].0.to_owned(), BACKENDS[2].0.to_owned()];
        for (name, figure) in [
            ("compare-traffic", compared_traffic(&compared)),
            ("compare-overview", compared_overview(&compared, &few)),
            ("compare-cpu", compared_cpu(&compared)),
        ] {
            let svg = figure.svg().unwrap();
            assert!(svg.starts_with("<svg width=\"960\"") && !svg.contains("NaN"));
            // To look at the figures, set the variable to a directory.
            if let Some(directory) = std::env::var_os("HARNESS_FIGURES").map(std::path::PathBuf::from) {
                std::fs::write(directory.join(format!("{name}.svg")), svg).unwrap();
                figure.write_png(&directory.join(format!("{name}.png"))).unwrap();
            }
        }
    }
}
