//! Errors of drawing.

/// Why a figure cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The drawing library does not accept the font that this program contains.
    #[error("the font cannot be used")]
    Font,
    /// There is nothing to draw.
    #[error("there is nothing to draw: no sample of an operation of one member counts; try another run")]
    Empty,
    /// Drawing or writing failed.
    #[error("the drawing library fails: {0}")]
    Draw(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Wraps an error of the drawing library.
pub(super) fn draw_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Draw(Box::new(error))
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        draw_error(error)
    }
}
