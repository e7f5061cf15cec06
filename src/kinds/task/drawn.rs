//! The params and the splits that all tasks with drawn problems share.

use lab::config::{ConfigTable, ConfigValue, ParamError, ParamProblem};
use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::pool::{Demand, NamedProblem, Pool, ProblemGroup, SplitSizes};
use super::{Problems, Splits, Start};
use learn::dataset::Row;
use learn::seed::Stream;

/// The params of all tasks with hand-made skips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct SplitParams {
    /// Whether there are hand-made skips (the port `skipped`) to begin with.
    pub start: Start,
    /// Number of training problems.
    pub train: u64,
    /// Number of problems for choosing settings, drawn as the training problems are.
    pub development: u64,
    /// Number of test problems, drawn as the training problems are.
    pub in_domain: u64,
    /// Number of somewhat harder test problems.
    pub ood_easy: u64,
    /// Number of much harder test problems.
    pub ood_hard: u64,
    /// Share of the training problems that a warm start has a hand-made skip of.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub skip_share: f64,
}

impl SplitParams {
    /// The names of these params.
    const NAMES: [&'static str; 7] = ["start", "train", "development", "in_domain", "ood_easy", "ood_hard", "skip_share"];

    /// The defaults of a task: these sizes, a cold start, and a skip of every problem for a warm one.
    pub fn cold(sizes: SplitSizes) -> Self {
        let SplitSizes {
            train,
            development,
            in_domain,
            ood_easy,
            ood_hard,
        } = sizes;
        Self {
            start: Start::Cold,
            train,
            development,
            in_domain,
            ood_easy,
            ood_hard,
            skip_share: 1.0,
        }
    }

    fn sizes(&self) -> SplitSizes {
        SplitSizes {
            train: self.train,
            development: self.development,
            in_domain: self.in_domain,
            ood_easy: self.ood_easy,
            ood_hard: self.ood_hard,
        }
    }

    fn check(&self) -> Result<(), ParamError> {
        share("skip_share", self.skip_share)
    }
}

/// Checks that a param is a share.
pub(super) fn share(name: &str, number: f64) -> Result<(), ParamError> {
    if (0.0..=1.0).contains(&number) {
        return Ok(());
    }
    let message = format!("{number} is out of range, it must be a share, from 0 to 1");
    Err(ParamError::new(name, message))
}

/// A problem of the task that has the params `P`.
pub(super) type ProblemOf<P> = NamedProblem<<<<P as TaskParams>::Pool as Pool>::Group as ProblemGroup>::Problem>;

/// The params of one task beside [`SplitParams`], and how its problems become rows. Fields that are left out have the values of `default`;
/// unknown ones are refused (`#[serde(deny_unknown_fields, default)]`).
pub(super) trait TaskParams: Default + Serialize + DeserializeOwned + JsonSchema {
    /// The name of the task.
    const TASK: &'static str;
    /// The description of `skip_share`.
    const SKIP_SHARE: &'static str = "Share of the training problems that a warm start has a hand-made skip of.";
    type Pool: Pool;

    /// The defaults of the shared params.
    fn splits() -> SplitParams;

    /// The problems of `train`, `development` and `in_domain`, those of `ood_easy`, and those of `ood_hard`, each with the param that
    /// chooses them.
    fn pools(&self) -> [(&'static str, Self::Pool); 3];

    /// Checks the values of the params that choose no problems.
    fn check(&self) -> Result<(), ParamError> {
        Ok(())
    }

    /// The training problems, made from those that were drawn.
    fn training(&self, drawn: Vec<ProblemOf<Self>>, seed: u64) -> Vec<ProblemOf<Self>> {
        let _ = seed;
        drawn
    }

    /// The row with the full solution.
    fn full(&self, problem: &ProblemOf<Self>) -> Row;

    /// The row with a hand-made skip; `None` for a problem that has none.
    fn skipped(&self, problem: &ProblemOf<Self>, stream: &mut Stream) -> Option<Row>;
}

/// All params of a task with drawn problems.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct DrawnParams<P> {
    #[serde(flatten)]
    splits: SplitParams,
    #[serde(flatten)]
    own: P,
}

impl<P: TaskParams> DrawnParams<P> {
    /// Reads and checks the params.
    ///
    /// # Errors
    /// As [`super::Task::read`].
    pub fn read(params: &ConfigValue) -> Result<Self, ParamError> {
        // serde's `flatten` would lose the places of errors; so the table is split before it is read.
        let (shared, own) = split(params, &P::splits());
        let read = Self {
            splits: shared.read()?,
            own: own.read().map_err(with_shared_names)?,
        };
        read.splits.check()?;
        read.own.check()?;
        read.demand().check()?;
        Ok(read)
    }

    /// The schema of the params, with their defaults.
    pub fn schema() -> Schema {
        let mut schema = schema_for!(Self);
        let defaults = json!(Self {
            splits: P::splits(),
            own: P::default(),
        });
        let properties = schema.get_mut("properties").and_then(|properties| properties.as_object_mut());
        for (name, property) in properties.into_iter().flatten() {
            // One that is not written at its default says so itself.
            if let Some(default) = defaults.get(name) {
                property["default"] = default.clone();
            }
            if name == "skip_share" {
                property["description"] = P::SKIP_SHARE.into();
            }
        }
        schema
    }

    fn demand(&self) -> Demand<P::Pool> {
        let [pool, easy, hard] = self.own.pools();
        Demand {
            sizes: self.splits.sizes(),
            pool,
            easy,
            hard,
        }
    }
}

/// The shared params in `params`, with `defaults` for those left out, and all others.
fn split(params: &ConfigValue, defaults: &SplitParams) -> (ConfigValue, ConfigValue) {
    let fields = params.as_table().cloned().unwrap_or_default();
    let is_shared = |(name, _): &(String, ConfigValue)| SplitParams::NAMES.contains(&name.as_str());
    let (given, own): (ConfigTable, ConfigTable) = fields.into_iter().partition(is_shared);
    let mut shared = ConfigValue::from(json!(defaults));
    shared.as_table_mut().into_iter().for_each(|shared| shared.extend(given.clone()));
    (shared, ConfigValue::table(own, params.origin.clone()))
}

/// The error of a task's own params, which knows the names of the shared ones too.
fn with_shared_names(mut error: ParamError) -> ParamError {
    if let (ParamProblem::UnknownField { fields, .. }, [_]) = (&mut error.problem, error.path.as_slice()) {
        fields.splice(0..0, SplitParams::NAMES);
    }
    error
}

impl<P: TaskParams> Problems for DrawnParams<P> {
    fn params(&self) -> serde_json::Value {
        json!(self)
    }

    fn generate(&self, seed: u64) -> Splits {
        let mut drawn = self.demand().draw(P::TASK, seed);
        drawn.train = self.own.training(drawn.train, seed);
        let mut stream = Stream::new(seed, &format!("{} skips", P::TASK));
        let skip = |problem: &ProblemOf<P>, stream: &mut Stream| self.own.skipped(problem, stream);
        let rows = |problems: &[ProblemOf<P>]| problems.iter().map(|problem| self.own.full(problem)).collect();
        Splits {
            skipped: self.splits.start.skips(self.splits.skip_share, &drawn.train, &mut stream, skip),
            train: rows(&drawn.train),
            development: rows(&drawn.development),
            in_domain: rows(&drawn.in_domain),
            ood_easy: rows(&drawn.ood_easy),
            ood_hard: rows(&drawn.ood_hard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_struct() {
        let sizes = SplitSizes {
            train: 1,
            development: 1,
            in_domain: 1,
            ood_easy: 1,
            ood_hard: 1,
        };
        let fields = json!(SplitParams::cold(sizes));
        let mut names = SplitParams::NAMES;
        names.sort_unstable();
        assert_eq!(fields.as_object().unwrap().keys().collect::<Vec<_>>(), names);
    }
}
