//! Where each part of a figure is.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{Canvas, Type};
use super::error::Error;
use super::figure::{Entry, Figure, Section, Style, XAxis};
use super::panel::{self, Frame};
use super::scale::LogScale;

const WIDTH: f64 = 960.0;
const COLUMNS: usize = 3;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 16.0;
/// The space between two panels.
const GAP: f64 = 22.0;
const PANEL_HEIGHT: f64 = 180.0;
/// The height of panels that are wide, because there are few.
const WIDE_PANEL_HEIGHT: f64 = 280.0;
/// The space above each row of panels, for their headings.
const ROW_HEAD: f64 = 36.0;
/// The space of the title and of a caption of one line.
const HEAD: f64 = 56.0;
const CAPTION_LINE: f64 = 17.0;
const SECTION_HEAD: f64 = 28.0;
/// The space below a section, for the numbers and the title of the axis.
const SECTION_FOOT: f64 = 50.0;
const LEGEND_LINE: f64 = 22.0;
const LEGEND_COLUMNS: usize = 3;
const FOOT: f64 = 12.0;

const FIGURE_TITLE: Type = Type { size: 18.0, bold: true };
const SECTION_TITLE: Type = Type { size: 16.0, bold: true };
const AXIS_TITLE: Type = Type { size: 13.0, bold: false };
const LEGEND: Type = Type { size: 13.0, bold: false };
const CAPTION: Type = Type { size: 12.0, bold: false };

/// Width and height of a figure, in units of the layout.
pub(super) fn size(figure: &Figure) -> (u32, u32) {
    let sections: f64 = figure.sections.iter().map(section_height).sum();
    let legend = figure.legend.len().div_ceil(LEGEND_COLUMNS) as f64 * LEGEND_LINE;
    (WIDTH as u32, (head(figure) + sections + legend + FOOT).ceil() as u32)
}

/// Draws a figure.
pub(super) fn draw<B: DrawingBackend>(figure: &Figure, canvas: &Canvas<'_, B>) -> Result<(), Error>
where
    B::ErrorType: 'static,
{
    let places = figure.points().map(|point| point.size);
    let (sizes, x_title) = match &figure.x_axis {
        XAxis::Sizes => (LogScale::sizes(places), "Group size (members)"),
        XAxis::Values(title) => (LogScale::values(places).map(LogScale::horizontal), title.as_str()),
    };
    let sizes = sizes.ok_or(Error::Empty)?;
    let tops = figure.points().map(|point| point.value + point.deviation.unwrap_or(0.0));
    let values = LogScale::values(figure.points().map(|point| point.value).chain(tops)).ok_or(Error::Empty)?;
    canvas.clear()?;
    canvas.text(&figure.title, (LEFT, 20.0), HPos::Left, FIGURE_TITLE)?;
    for (index, line) in figure.caption.iter().enumerate() {
        debug_assert!(canvas.text_width(line, CAPTION)? <= WIDTH - LEFT, "a line leaves the figure: {line}");
        canvas.text(line, (LEFT, 42.0 + index as f64 * CAPTION_LINE), HPos::Left, CAPTION)?;
    }
    let mut top = head(figure);
    for section in &figure.sections {
        draw_section(section, (x_title, &figure.y_title), top, (&sizes, &values), canvas)?;
        top += section_height(section);
    }
    draw_legend(&figure.legend, top, canvas)
}

fn head(figure: &Figure) -> f64 {
    HEAD + figure.caption.len().saturating_sub(1) as f64 * CAPTION_LINE
}

fn section_height(section: &Section) -> f64 {
    let head = if section.title.is_empty() { 0.0 } else { SECTION_HEAD };
    head + rows(section) as f64 * (ROW_HEAD + panel_height(section)) + SECTION_FOOT
}

fn columns(section: &Section) -> usize {
    section.panels.len().clamp(1, COLUMNS)
}

fn rows(section: &Section) -> usize {
    section.panels.len().div_ceil(COLUMNS)
}

fn panel_height(section: &Section) -> f64 {
    if columns(section) < COLUMNS { WIDE_PANEL_HEIGHT } else { PANEL_HEIGHT }
}

fn draw_section<B: DrawingBackend>(
    section: &Section,
    (x_title, y_title): (&str, &str),
    mut top: f64,
    scales: (&LogScale, &LogScale),
    canvas: &Canvas<'_, B>,
) -> Result<(), Error>
where
    B::ErrorType: 'static,
{
    if !section.title.is_empty() {
        canvas.text(&section.title, (LEFT, top + SECTION_HEAD / 2.0), HPos::Left, SECTION_TITLE)?;
        top += SECTION_HEAD;
    }
    let (columns, panel_height) = (columns(section), panel_height(section));
    let width = (WIDTH - LEFT - RIGHT - GAP * (columns - 1) as f64) / columns as f64;
    let last = section.panels.len();
    for (index, panel) in section.panels.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let frame = Frame {
            left: LEFT + column as f64 * (width + GAP),
            top: top + row as f64 * (ROW_HEAD + panel_height) + ROW_HEAD,
            width,
            height: panel_height,
            values: column == 0,
            // The lowest panel of each column has the numbers.
            sizes: index + columns >= last,
        };
        panel::draw(panel, frame, scales, canvas)?;
    }
    let height = rows(section) as f64 * (ROW_HEAD + panel_height);
    canvas.text_upwards(y_title, (18.0, top + (height + ROW_HEAD) / 2.0), AXIS_TITLE)?;
    let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
    canvas.text(x_title, (middle, top + height + 33.0), HPos::Center, AXIS_TITLE)
}

fn draw_legend<B: DrawingBackend>(legend: &[Entry], top: f64, canvas: &Canvas<'_, B>) -> Result<(), Error>
where
    B::ErrorType: 'static,
{
    let mut widest = 0.0_f64;
    for entry in legend {
        widest = widest.max(canvas.text_width(&entry.text, LEGEND)?);
    }
    let (sample, between) = (34.0, 24.0);
    let column_width = sample + 8.0 + widest + between;
    let columns = legend.len().clamp(1, LEGEND_COLUMNS);
    let left = LEFT + (WIDTH - LEFT - RIGHT - column_width * columns as f64 + between) / 2.0;
    for (index, entry) in legend.iter().enumerate() {
        let x = left + (index % columns) as f64 * column_width;
        let y = top + (index / columns) as f64 * LEGEND_LINE + LEGEND_LINE / 2.0;
        let Style { colour, stroke, .. } = entry.style;
        canvas.line(&[(x, y), (x + sample, y)], colour, stroke.width(), stroke)?;
        canvas.mark((x + sample / 2.0, y), entry.style)?;
        canvas.text(&entry.text, (x + sample + 8.0, y), HPos::Left, LEGEND)?;
    }
    Ok(())
}
