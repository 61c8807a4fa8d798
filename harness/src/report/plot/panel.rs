//! One pair of axes and its curves.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{Canvas, INK, Type};
use super::error::Error;
use super::figure::{Curve, Panel, Point, Stroke};
use super::scale::{LogScale, label};

const TITLE: Type = Type { size: 14.0, bold: true };
const NUMBER: Type = Type { size: 12.0, bold: false };
const GRID: RGBColor = RGBColor(226, 226, 226);
const CAP: f64 = 2.5;

/// Where a panel's axes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    /// Whether the numbers of the vertical axis are written here.
    pub(super) values: bool,
    /// Whether the group sizes are written here.
    pub(super) sizes: bool,
}

/// Draws a panel.
pub(super) fn draw<B: DrawingBackend>(
    panel: &Panel,
    frame: Frame,
    scales: (&LogScale, &LogScale),
    canvas: &Canvas<'_, B>,
) -> Result<(), Error>
where
    B::ErrorType: 'static,
{
    axes(panel, frame, scales, canvas)?;
    // Curve by curve, so that the line of a later curve, too, covers an earlier curve.
    for curve in &panel.curves {
        let place = |size: f64, value: f64| {
            let x = frame.left + frame.width * scales.0.place(size) + curve.shift;
            let y = frame.top + frame.height * (1.0 - scales.1.place(value));
            (x, y)
        };
        for point in &curve.points {
            error_bar(curve, point, scales.1.low(), place, canvas)?;
        }
        let line: Vec<(f64, f64)> = curve.points.iter().map(|point| place(point.size, point.value)).collect();
        canvas.line(&line, curve.style.colour, curve.style.stroke.width(), curve.style.stroke)?;
        for point in &curve.points {
            canvas.mark(place(point.size, point.value), curve.style)?;
        }
    }
    Ok(())
}

fn axes<B: DrawingBackend>(
    panel: &Panel,
    frame: Frame,
    (sizes, values): (&LogScale, &LogScale),
    canvas: &Canvas<'_, B>,
) -> Result<(), Error>
where
    B::ErrorType: 'static,
{
    let (right, bottom) = (frame.left + frame.width, frame.top + frame.height);
    for value in &values.lines {
        let y = bottom - frame.height * values.place(*value);
        canvas.line(&[(frame.left, y), (right, y)], GRID, 1.0, Stroke::Solid)?;
    }
    for size in &sizes.labels {
        let x = frame.left + frame.width * sizes.place(*size);
        canvas.line(&[(x, bottom), (x, bottom + 4.0)], INK, 1.0, Stroke::Solid)?;
        if frame.sizes {
            canvas.text(&label(*size), (x, bottom + 13.0), HPos::Center, NUMBER)?;
        }
    }
    for value in &values.labels {
        let y = bottom - frame.height * values.place(*value);
        canvas.line(&[(frame.left - 4.0, y), (frame.left, y)], INK, 1.0, Stroke::Solid)?;
        if frame.values {
            canvas.text(&label(*value), (frame.left - 7.0, y), HPos::Right, NUMBER)?;
        }
    }
    canvas.line(&[(frame.left, frame.top), (frame.left, bottom), (right, bottom)], INK, 1.0, Stroke::Solid)?;
    canvas.text(&panel.title, (frame.left + frame.width / 2.0, frame.top - 11.0), HPos::Center, TITLE)
}

/// Draws a bar from one deviation below a point to one above it, cut off at the bottom of the axis.
fn error_bar<B: DrawingBackend>(
    curve: &Curve,
    point: &Point,
    floor: f64,
    place: impl Fn(f64, f64) -> (f64, f64),
    canvas: &Canvas<'_, B>,
) -> Result<(), Error>
where
    B::ErrorType: 'static,
{
    let Some(deviation) = point.deviation.filter(|deviation| *deviation > 0.0) else { return Ok(()) };
    let (low, high) = ((point.value - deviation).max(floor), point.value + deviation);
    let ((x, bottom), (_, top)) = (place(point.size, low), place(point.size, high));
    let bar = |points: &[(f64, f64)]| canvas.line(points, curve.style.colour, 1.0, Stroke::Solid);
    bar(&[(x, bottom), (x, top)])?;
    bar(&[(x - CAP, top), (x + CAP, top)])?;
    if low > floor { bar(&[(x - CAP, bottom), (x + CAP, bottom)]) } else { Ok(()) }
}
