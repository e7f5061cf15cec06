//! Tables of any metrics: means over the runs of each variant, and their differences to a baseline.
//!
//! | file | purpose |
//! |---|---|
//! | `columns` | which metrics are shown, and their headings |
//! | `grid` | which rows and columns there are, and the scores of each |
//! | `cell` | the numbers of the scores of one cell |
//! | `digits` | how many digits of them are shown |
//! | `student` | 95 % intervals of means over runs |
//! | `examples` | the numbers of single examples |
//! | `differences` | what is paired with the baseline |
//! | `table`, `differences_table`, `json` | the forms of all this |

mod cell;
mod columns;
mod differences;
mod differences_table;
mod digits;
mod examples;
mod grid;
mod json;
mod student;
mod table;
#[cfg(test)]
mod tests;

/// How far equal numbers may lie apart, as a share of them: programs add in different orders, and sums are rounded.
const ROUNDING: f64 = 1e-12;

pub(crate) use columns::MetricColumn;
pub use grid::MetricGrid;
