//! What the figures of several backends show: a colour with its mark is a backend, and what is derived from it is dashed.

use plotters::style::RGBColor;
use protocol::operation::Operation;

use super::content::{
    BLACK, BLUE, CPU_AXIS, GREEN, ORANGE, PURPLE, SKY, TRAFFIC_AXIS, TRAFFIC_CAPTION, VERMILLION, dashed, drawn,
    explained, heading,
};
use super::figure::{Curve, Entry, Figure, Marker, Panel, Point, Section, Stroke, Style};
use crate::cell_costs::Cost;
use crate::comparison::{Comparison, Metric, derived_from};

/// From the marks of a backend to those of the next. Many protocols send the same in some operations.
const SHIFT: f64 = 3.5;

const COLOURS: [RGBColor; 7] = [BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK];
const MARKERS: [Marker; 7] =
    [Marker::Disc, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::Down, Marker::Plus, Marker::Cross];

/// Bytes sent for each operation.
#[must_use]
pub fn compared_traffic(compared: &Comparison<'_>) -> Figure {
    figure(compared, "Network traffic of one operation", TRAFFIC_CAPTION, TRAFFIC_AXIS, &[("", Metric::BytesSent)])
}

/// CPU time of sender and recipient for each operation.
#[must_use]
pub fn compared_cpu(compared: &Comparison<'_>) -> Figure {
    let sections = [("Sender", Metric::Cpu(Cost::SenderFull)), ("One recipient", Metric::Cpu(Cost::Recipient))];
    let caption = "Medians of all members and runs, all phases together; the removed member is a recipient.";
    figure(compared, "CPU time of one member for one operation", caption, CPU_AXIS, &sections)
}

fn figure(compared: &Comparison<'_>, title: &str, caption: &str, y_title: &str, sections: &[(&str, Metric)]) -> Figure {
    let sections: Vec<Section> = sections
        .iter()
        .map(|(title, metric)| {
            let panels = compared.operations().into_iter().map(|operation| panel(compared, operation, *metric));
            Section { title: (*title).to_owned(), panels: panels.filter(|panel| !panel.curves.is_empty()).collect() }
        })
        .collect();
    let caption = format!("{caption} The marks of one size stand side by side.");
    let entry = |row: &String| Entry { style: style(compared, row), text: row.clone() };
    Figure {
        title: title.to_owned(),
        caption,
        y_title: y_title.to_owned(),
        legend: explained(compared.rows().iter().map(entry).collect(), &sections),
        sections,
    }
}

fn panel(compared: &Comparison<'_>, operation: Operation, metric: Metric) -> Panel {
    let middle = (backends(compared).count() as f64 - 1.0) / 2.0;
    let curve = |row: &String| {
        let point = |size: u32| {
            let value = compared.median(row, operation, size, metric).filter(|value| *value > 0.0)?;
            Some(Point { size: f64::from(size), value, deviation: None })
        };
        Curve {
            style: style(compared, row),
            points: compared.sizes().into_iter().filter_map(point).collect(),
            shift: (place(compared, row) as f64 - middle) * SHIFT,
        }
    };
    Panel { title: heading(operation).to_owned(), curves: drawn(compared.rows().iter().map(curve).collect()) }
}

fn backends<'a>(compared: &'a Comparison<'_>) -> impl Iterator<Item = &'a String> {
    compared.rows().iter().filter(|row| derived_from(row).is_none())
}

/// Where a row's backend stands among the backends.
fn place(compared: &Comparison<'_>, row: &str) -> usize {
    let backend = derived_from(row).unwrap_or(row);
    backends(compared).position(|other| other == backend).unwrap_or(0)
}

/// The look of a row: that of its backend, dashed where the row is derived.
fn style(compared: &Comparison<'_>, row: &str) -> Style {
    let solid = style_of(place(compared, row));
    if derived_from(row).is_none() { solid } else { dashed(solid) }
}

/// The look of the backend at this place. When the colours have been used up they get other marks.
fn style_of(index: usize) -> Style {
    let marker = MARKERS[(index + index / COLOURS.len()) % MARKERS.len()];
    Style { colour: COLOURS[index % COLOURS.len()], stroke: Stroke::Solid, marker }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::with_derived;
    use crate::{comparison, synthetic};

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
    fn each_row_is_a_curve_and_what_nobody_has_is_no_panel() {
        let mut samples = synthetic::grid("dcgka", 1.0, 2);
        samples.extend(synthetic::without_acks(synthetic::grid("pairwise", 2.0, 2)));
        samples.retain(|sample| sample.operation != "add");
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
        let samples = comparison::with_derived(&samples);
        let compared = Comparison::new(&samples, &BACKENDS.map(|(backend, _)| backend.to_owned()));
        for (name, figure) in
            [("compare-traffic", compared_traffic(&compared)), ("compare-cpu", compared_cpu(&compared))]
        {
            let svg = figure.svg().unwrap();
            assert!(svg.starts_with("<svg width=\"960\"") && !svg.contains("NaN"));
            // To look at the pictures: set the variable to a directory.
            if let Some(directory) = std::env::var_os("HARNESS_FIGURES").map(std::path::PathBuf::from) {
                std::fs::write(directory.join(format!("{name}.svg")), svg).unwrap();
                figure.write_png(&directory.join(format!("{name}.png"))).unwrap();
            }
        }
    }
}
