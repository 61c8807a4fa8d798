//! The figures: traffic and CPU time by group size, of one backend beside the published curves, or of several backends; and what
//! thefts expose, by cost.
//!
//! A [`Figure`] says what is shown; [`Figure::svg`] and [`Figure::write_png`] draw it.

mod canvas;
mod comparison;
mod content;
mod draw;
mod error;
mod exposure;
mod figure;
mod layout;
mod panel;
mod scale;

pub use comparison::{compared_cpu, compared_overview, compared_traffic};
pub use content::{cpu, traffic};
pub use error::Error;
pub use exposure::{exposed_by_bytes, exposed_by_cpu};
pub use figure::{Curve, Entry, Figure, Marker, Panel, Point, Section, Stroke, Style, XAxis};
pub(crate) use scale::thousands;
