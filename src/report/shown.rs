//! What a report shows: tables, and figures, whose numbers are tables too.

use std::borrow::Cow;

use super::figure::Figure;
use super::sheet::Sheet;

/// A table or a figure.
#[derive(Clone, Debug)]
pub enum Shown {
    Table(Sheet),
    Figure(Figure),
}

impl Shown {
    /// The table; of a figure, its numbers.
    pub fn sheet(&self) -> Cow<'_, Sheet> {
        match self {
            Self::Table(sheet) => Cow::Borrowed(sheet),
            Self::Figure(figure) => Cow::Owned(figure.numbers()),
        }
    }

    pub(super) fn html(&self) -> String {
        match self {
            Self::Table(sheet) => sheet.html(),
            Self::Figure(figure) => figure.html(),
        }
    }
}
