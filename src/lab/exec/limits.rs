//! What a stage may take, as its worker holds it to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Resources;

/// How long a program has to end when it is asked to, where its resources do not say.
const GRACE: Duration = Duration::from_secs(20);

/// The limits of one attempt at a stage; what is `None` is not limited. Times are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageLimits {
    /// How long it may take.
    pub time: Option<f64>,
    /// How long it may write nothing to its log and make no progress.
    pub silent: Option<f64>,
    /// The bytes of memory that it and the programs that it starts may use.
    pub memory: Option<u64>,
    /// How long it has to stop when it is asked to.
    pub grace: Option<f64>,
}

impl StageLimits {
    /// The limits of a first attempt.
    pub fn of(resources: &Resources) -> Self {
        Self {
            time: resources.time.map(|time| time.0.as_secs_f64()),
            silent: resources.silent.map(|silent| silent.0.as_secs_f64()),
            memory: resources.memory.map(|memory| memory.0),
            grace: resources.grace.map(|grace| grace.0.as_secs_f64()),
        }
    }

    /// How long a program has to end when it is asked to.
    pub fn grace(&self) -> Duration {
        self.grace.map_or(GRACE, Duration::from_secs_f64)
    }

    /// Whether there is anything to watch.
    pub fn are_any(&self) -> bool {
        self.time.is_some() || self.silent.is_some() || self.memory.is_some()
    }
}
