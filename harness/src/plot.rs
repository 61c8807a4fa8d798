//! The figures: traffic and CPU time against the group size, of one backend beside the published curves or of several.
//!
//! A [`Figure`] says what is shown; [`Figure::svg`] and [`Figure::write_png`] draw it. Both draw the same primitives, so
//! that the two files look alike.

mod canvas;
mod comparison;
mod content;
mod figure;
mod layout;
mod panel;
mod scale;

pub use comparison::{compared_cpu, compared_traffic};
pub use content::{cpu, traffic};
pub use figure::{Curve, Entry, Figure, Marker, Panel, Point, Section, Stroke, Style};

use std::path::Path;

use plotters::backend::{BitMapBackend, SVGBackend};
use plotters::prelude::*;

use canvas::{Canvas, Text};
pub(crate) use scale::thousands;

/// Pixels of the drawing for each unit of the layout. A PNG has as many; an SVG is scaled back in its header.
const SCALE: u32 = 2;

/// Why a figure was not drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The font that this program carries was not accepted.
    #[error("the font cannot be used")]
    Font,
    /// There is nothing to show.
    #[error("no measurement that counts of an operation that is drawn, so nothing to plot")]
    Empty,
    /// Drawing or writing failed.
    #[error("cannot draw the figure")]
    Draw(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Figure {
    /// The figure as SVG text.
    ///
    /// # Errors
    /// [`Error`].
    pub fn svg(&self) -> Result<String, Error> {
        canvas::register_fonts()?;
        let (width, height) = layout::size(self);
        let mut text = String::new();
        {
            let area = SVGBackend::with_string(&mut text, (width * SCALE, height * SCALE)).into_drawing_area();
            layout::draw(self, &Canvas::new(&area, f64::from(SCALE), Text::Svg))?;
            area.present().map_err(draw_error)?;
        }
        // The drawing's units are finer than pixels; the view box keeps them and the picture keeps its size.
        let fine = format!("width=\"{}\" height=\"{}\" viewBox", width * SCALE, height * SCALE);
        Ok(text.replacen(&fine, &format!("width=\"{width}\" height=\"{height}\" viewBox"), 1))
    }

    /// Writes the figure as PNG, at twice the size of the SVG.
    ///
    /// # Errors
    /// [`Error`].
    pub fn write_png(&self, path: &Path) -> Result<(), Error> {
        canvas::register_fonts()?;
        let (width, height) = layout::size(self);
        let area = BitMapBackend::new(path, (width * SCALE, height * SCALE)).into_drawing_area();
        layout::draw(self, &Canvas::new(&area, f64::from(SCALE), Text::Bitmap))?;
        area.present().map_err(draw_error)
    }
}

fn draw_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Draw(Box::new(error))
}
