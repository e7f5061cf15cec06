//! Reading and judging answers: the filters and metrics of `[tasks.NAME]` (docs/task-tables.md).
//!
//! Text in, verdict out: nothing here knows a stage or a row. A [`NamedFilterSpec`] reads answers out of responses, a [`MetricSpec`]
//! compares an answer with a [`Gold`]; both are params, and are compiled before use, which finds everything that is wrong in them.
//! [`likelihood`] judges choices and texts by their log-likelihoods.

mod answer;
mod filter;
mod gold;
pub mod likelihood;
mod math;
mod metric;
mod number;
mod pattern;
mod python;
mod ratio;
mod score;
#[cfg(test)]
mod tests;

pub use self::filter::{FilterFunction, FilterSpec, NamedFilter, NamedFilterSpec};
pub use self::gold::{Gold, Target, TargetError};
pub use self::metric::{AnswerMetric, Metric, MetricName, MetricSpec};
pub use self::score::{Outcome, Score};
