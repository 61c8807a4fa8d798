//! Lines, marks and text on a drawing area, in units of the layout.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::error::{Error, draw_error};
use super::figure::{Marker, Stroke, Style};

/// The font family, and the fonts that a viewer of an SVG uses if it does not have this one.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// Lengths of a dash and of the gap after it.
const DASH: (f64, f64) = (5.0, 3.0);

/// How text is drawn. The two are placed differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// As an element that the viewer typesets.
    Svg,
    /// As pixels.
    Bitmap,
}

/// Size and weight of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    pub(super) size: f64,
    pub(super) bold: bool,
}

/// Registers the font with the drawing library. Registering it again does no harm.
pub(super) fn register_fonts() -> Result<(), Error> {
    register_font(FAMILY, FontStyle::Normal, dejavu::sans::regular()).map_err(|_| Error::Font)?;
    register_font(FAMILY, FontStyle::Bold, dejavu::sans::bold()).map_err(|_| Error::Font)
}

/// A drawing area in units of the layout.
pub(super) struct Canvas<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    scale: f64,
    text: Text,
}

impl<'a, B: DrawingBackend> Canvas<'a, B>
where
    B::ErrorType: 'static,
{
    pub(super) fn new(area: &'a DrawingArea<B, Shift>, scale: f64, text: Text) -> Self {
        Self { area, scale, text }
    }

    /// Paints everything white.
    pub(super) fn clear(&self) -> Result<(), Error> {
        self.area.fill(&WHITE).map_err(draw_error)
    }

    /// Draws a line through `points`.
    pub(super) fn line(
        &self,
        points: &[(f64, f64)],
        colour: RGBColor,
        width: f64,
        stroke: Stroke,
    ) -> Result<(), Error> {
        let style = ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: self.width(width) };
        match stroke {
            Stroke::Solid => self.path(points, style),
            Stroke::Dashed => dashes(points).iter().try_for_each(|dash| self.path(dash, style)),
        }
    }

    /// Draws a mark at a point of a curve.
    pub(super) fn mark(&self, (x, y): (f64, f64), style: Style) -> Result<(), Error> {
        let fill = ShapeStyle { color: style.colour.to_rgba(), filled: true, stroke_width: 0 };
        let corners = |corners: &[(f64, f64)]| -> Vec<(i32, i32)> {
            corners.iter().map(|(dx, dy)| self.pixel((x + dx, y + dy))).collect()
        };
        let polygon = |points: Vec<(i32, i32)>| self.area.draw(&Polygon::new(points, fill)).map_err(draw_error);
        match style.marker {
            Marker::Disc => self.disc((x, y), 2.75, fill),
            Marker::Square => polygon(corners(&[(-2.5, -2.5), (2.5, -2.5), (2.5, 2.5), (-2.5, 2.5)])),
            Marker::Triangle => polygon(corners(&[(0.0, -3.5), (3.5, 2.75), (-3.5, 2.75)])),
            Marker::Diamond => polygon(corners(&[(0.0, -3.75), (3.75, 0.0), (0.0, 3.75), (-3.75, 0.0)])),
            Marker::Down => polygon(corners(&[(0.0, 3.5), (3.5, -2.75), (-3.5, -2.75)])),
            Marker::Plus => {
                self.strokes((x, y), style.colour, &[[(-3.75, 0.0), (3.75, 0.0)], [(0.0, -3.75), (0.0, 3.75)]])
            }
            Marker::Cross => {
                self.strokes((x, y), style.colour, &[[(-3.0, -3.0), (3.0, 3.0)], [(-3.0, 3.0), (3.0, -3.0)]])
            }
            Marker::Ring => {
                self.disc((x, y), 4.0, fill)?;
                self.disc((x, y), 3.0, ShapeStyle { color: WHITE.to_rgba(), ..fill })
            }
        }
    }

    /// Draws text. The middle of its capitals is at `y`; its left end, middle or right end is at `x`, as `anchor` says.
    pub(super) fn text(&self, text: &str, (x, y): (f64, f64), anchor: HPos, face: Type) -> Result<(), Error> {
        let drop = match self.text {
            Text::Svg => 0.0,
            Text::Bitmap => face.size * 0.2,
        };
        let style = self.style(face).pos(Pos::new(anchor, VPos::Center));
        self.area.draw_text(text, &style, self.pixel((x, y + drop))).map_err(draw_error)
    }

    /// Draws text that runs upwards, with its middle at the point.
    pub(super) fn text_upwards(&self, text: &str, (x, y): (f64, f64), face: Type) -> Result<(), Error> {
        let drop = match self.text {
            Text::Svg => 0.0,
            Text::Bitmap => face.size * 0.2,
        };
        let style = self.style(face).pos(Pos::new(HPos::Center, VPos::Center)).transform(FontTransform::Rotate270);
        self.area.draw_text(text, &style, self.pixel((x + drop, y))).map_err(draw_error)
    }

    /// The width of a text.
    pub(super) fn text_width(&self, text: &str, face: Type) -> Result<f64, Error> {
        let (width, _) = self.area.estimate_text_size(text, &self.style(face)).map_err(draw_error)?;
        Ok(f64::from(width) / self.scale)
    }

    fn style(&self, face: Type) -> TextStyle<'static> {
        let weight = if face.bold { FontStyle::Bold } else { FontStyle::Normal };
        FontDesc::new(FontFamily::Name(FAMILY), face.size * self.scale, weight).color(&INK)
    }

    /// Draws a mark that consists of lines.
    fn strokes(&self, (x, y): (f64, f64), colour: RGBColor, lines: &[[(f64, f64); 2]]) -> Result<(), Error> {
        let place = |(dx, dy): (f64, f64)| (x + dx, y + dy);
        lines.iter().try_for_each(|line| self.line(&line.map(place), colour, 1.75, Stroke::Solid))
    }

    fn disc(&self, center: (f64, f64), radius: f64, style: ShapeStyle) -> Result<(), Error> {
        let radius = (radius * self.scale).round() as i32;
        self.area.draw(&Circle::new(self.pixel(center), radius, style)).map_err(draw_error)
    }

    fn path(&self, points: &[(f64, f64)], style: ShapeStyle) -> Result<(), Error> {
        let pixels: Vec<(i32, i32)> = points.iter().map(|point| self.pixel(*point)).collect();
        self.area.draw(&PathElement::new(pixels, style)).map_err(draw_error)
    }

    fn pixel(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn width(&self, width: f64) -> u32 {
        ((width * self.scale).round() as u32).max(1)
    }
}

/// The colour of text and axes.
pub(super) const INK: RGBColor = RGBColor(34, 34, 34);

/// Cuts a line into dashes of equal length.
fn dashes(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let mut dashes = Vec::new();
    let mut dash: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
    let (mut drawing, mut left) = (true, DASH.0);
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let point = (from.0 + (to.0 - from.0) * done / length, from.1 + (to.1 - from.1) * done / length);
            dash.push(point);
            if drawing {
                dashes.push(dash);
            }
            drawing = !drawing;
            dash = vec![point];
            left = if drawing { DASH.0 } else { DASH.1 };
        }
        left -= length - done;
        dash.push(to);
    }
    if drawing && dash.len() > 1 {
        dashes.push(dash);
    }
    dashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_go_round_corners() {
        let cut = dashes(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)]);
        assert_eq!(
            cut,
            [vec![(0.0, 0.0), (5.0, 0.0)], vec![(8.0, 0.0), (10.0, 0.0), (10.0, 3.0)], vec![(10.0, 6.0), (10.0, 10.0)],]
        );
        assert!(dashes(&[]).is_empty());
    }
}
