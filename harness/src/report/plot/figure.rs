//! What a figure shows, independently of how it is drawn.

use plotters::style::RGBColor;

/// A figure: sections of panels that share both axes, and one legend below them.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The line above everything.
    pub title: String,
    /// Lines in smaller type below it: what the marks and bars are.
    pub caption: Vec<String>,
    /// What the horizontal axes show.
    pub x_axis: XAxis,
    /// What the vertical axes show, with the unit.
    pub y_title: String,
    /// Groups of panels, from top to bottom.
    pub sections: Vec<Section>,
    /// The entries of the legend, row by row.
    pub legend: Vec<Entry>,
}

/// What a horizontal axis shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XAxis {
    /// Group sizes.
    Sizes,
    /// Something else, with its unit.
    Values(String),
}

/// Panels under one heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// The heading; empty for none.
    pub title: String,
    /// The panels, row by row.
    pub panels: Vec<Panel>,
}

/// One pair of axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// The heading: an operation.
    pub title: String,
    /// The curves. Each is drawn over those before it.
    pub curves: Vec<Curve>,
}

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The look of its line and its marks.
    pub style: Style,
    /// Its points, in the order in which a line connects them.
    pub points: Vec<Point>,
    /// How far to the right of its place it is drawn, in units of the layout, so that equal curves can be distinguished.
    pub shift: f64,
}

/// One point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The group size in members, or another value above 0.
    pub size: f64,
    /// The measured value, above 0.
    pub value: f64,
    /// Half the length of the error bar. `None` if there is no bar.
    pub deviation: Option<f64>,
}

/// A line of the legend.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The look that it explains.
    pub style: Style,
    /// What has this look.
    pub text: String,
}

/// The look of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// Colour of the line and the marks.
    pub colour: RGBColor,
    /// How the line is drawn.
    pub stroke: Stroke,
    /// How the points are marked.
    pub marker: Marker,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// For what was measured here.
    Solid,
    /// For what was published, or is derived from what was measured.
    Dashed,
}

impl Stroke {
    /// The width of the line, in units of the layout.
    pub(super) fn width(self) -> f64 {
        match self {
            Self::Solid => 1.75,
            Self::Dashed => 1.25,
        }
    }
}

/// How a point is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// A filled disc.
    Disc,
    /// A filled square.
    Square,
    /// A filled triangle.
    Triangle,
    /// A filled diamond.
    Diamond,
    /// A filled triangle that points down.
    Down,
    /// An upright cross.
    Plus,
    /// A diagonal cross.
    Cross,
    /// A white disc with a rim. It is larger than the filled marks, so that it shows around one in the same place.
    Ring,
}

impl Figure {
    /// The panels of all sections.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.sections.iter().flat_map(|section| &section.panels)
    }

    /// The points of all curves.
    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.panels().flat_map(|panel| &panel.curves).flat_map(|curve| &curve.points)
    }
}
