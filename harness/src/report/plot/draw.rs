//! Draws a figure as SVG and as PNG, with the same calls, so that the two look alike.

use std::path::Path;

use plotters::backend::{BitMapBackend, SVGBackend};
use plotters::prelude::*;

use super::canvas::{self, Canvas, Text};
use super::error::{Error, draw_error};
use super::figure::Figure;
use super::layout;

/// Pixels of the drawing for each unit of the layout. A PNG has as many; an SVG is scaled back in its header.
const SCALE: u32 = 2;

impl Figure {
    /// The figure as SVG text.
    ///
    /// # Errors
    /// There is nothing to draw, or the drawing library fails.
    pub fn svg(&self) -> Result<String, Error> {
        canvas::register_fonts()?;
        let (width, height) = layout::size(self);
        let mut text = String::new();
        {
            let area = SVGBackend::with_string(&mut text, (width * SCALE, height * SCALE)).into_drawing_area();
            layout::draw(self, &Canvas::new(&area, f64::from(SCALE), Text::Svg))?;
            area.present().map_err(draw_error)?;
        }
        // The units of the drawing are finer than pixels. The view box keeps them, and the figure keeps its size.
        let fine = format!("width=\"{}\" height=\"{}\" viewBox", width * SCALE, height * SCALE);
        Ok(text.replacen(&fine, &format!("width=\"{width}\" height=\"{height}\" viewBox"), 1))
    }

    /// Writes the figure as PNG, at twice the size of the SVG.
    ///
    /// # Errors
    /// There is nothing to draw, the drawing library fails, or the file cannot be written.
    pub fn write_png(&self, path: &Path) -> Result<(), Error> {
        canvas::register_fonts()?;
        let (width, height) = layout::size(self);
        let area = BitMapBackend::new(path, (width * SCALE, height * SCALE)).into_drawing_area();
        layout::draw(self, &Canvas::new(&area, f64::from(SCALE), Text::Bitmap))?;
        area.present().map_err(draw_error)
    }
}
