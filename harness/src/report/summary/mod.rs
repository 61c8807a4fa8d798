//! A run in words and tables: Markdown that also reads well as plain text.

mod comparison;
mod exposure;
mod highlights;
mod overview;
mod published;
mod reproduction;
mod several;
pub(crate) mod table;
mod text;

pub use comparison::comparison;
pub use exposure::exposure;
pub use highlights::{comparison_table, findings, implementations_table, reproduction_table, shown};
pub use overview::overview;
pub use reproduction::{Reproduction, reproduction};
