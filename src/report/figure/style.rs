//! The colours and marks of series.

use super::SeriesStyle;

/// The number of colours. They repeat after that.
const COLOURS: usize = 8;

impl SeriesStyle {
    /// The CSS class of the colour.
    pub(super) fn class(self) -> String {
        match self {
            Self::Colour(i) => format!("s{}", i % COLOURS),
            Self::Reference => "ref".to_owned(),
            Self::Full => "ref full".to_owned(),
        }
    }
}

/// The outline of a mark: circle, square, diamond or triangle, so that series differ in more than colour.
pub(super) fn shape(i: usize) -> &'static str {
    match i % 5 {
        0 => "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0Z",
        1 => "M-3.2 -3.2H3.2V3.2H-3.2Z",
        2 => "M0 -4.6L4.6 0L0 4.6L-4.6 0Z",
        3 => "M0 -4.2L4.2 3.2H-4.2Z",
        _ => "M0 4.2L4.2 -3.2H-4.2Z",
    }
}
