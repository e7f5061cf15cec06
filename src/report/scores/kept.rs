//! The rows that filters kept.

use serde_json::{Value, json};

use super::StagePlace;
use kinds::metrics::{MetricMap, names};

/// The number of rows that a filter kept in one variant, and metrics of the answers that it read.
#[derive(Clone, Debug)]
pub struct KeptSkips {
    pub place: StagePlace,
    /// Rows of its output.
    pub rows: u64,
    /// Mean number of steps of the full solutions.
    pub full_steps: Option<f64>,
    /// How the answers follow the requested numbers of steps.
    pub following: Option<MetricMap>,
}

impl KeptSkips {
    /// `{"stage", "variant", "iteration", "rows", "following"}`.
    pub fn json(&self) -> Value {
        let Self {
            place, rows, following, ..
        } = self;
        json!({"stage": place.stage, "variant": place.variant, "iteration": place.iteration, "rows": rows, "following": following})
    }

    /// The requests for fewer steps than the full solution has, grouped by the number of steps left out.
    pub fn skips(&self) -> impl Iterator<Item = &MetricMap> {
        let skips = self.following.iter().flat_map(|following| following.list(names::BY_SKIP));
        skips.filter(|skip| skip.integer(names::SKIP).is_some_and(|fewer| fewer > 0))
    }
}
