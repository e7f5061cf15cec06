//! The params of `generate` for walks, and drawing them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::walk::{Action, Facing, Walk};
use crate::task::drawn::{SplitParams, TaskParams};
use crate::task::pool::{NamedProblem, Pool, PoolError, ProblemGroup, SplitSizes, check_range};
use learn::dataset::Row;
use learn::seed::Stream;

/// The limit for actions of a walk: solutions grow with its square, and longer ones fit into no model.
const MOST_ACTIONS: u32 = 60;

/// Which walks to draw; the defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DirectionParams {
    /// Least and most actions of `train`, `development` and `in_domain`.
    pub actions: Lengths,
    /// Least and most actions of `ood_easy`.
    pub actions_easy: Lengths,
    /// Least and most actions of `ood_hard`.
    pub actions_hard: Lengths,
}

/// Least and most actions; every number in between gets equally many problems while they last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Lengths(u32, u32);

impl Default for DirectionParams {
    fn default() -> Self {
        Self {
            actions: Lengths(1, 10),
            actions_easy: Lengths(11, 20),
            actions_hard: Lengths(21, 30),
        }
    }
}

impl TaskParams for DirectionParams {
    const TASK: &'static str = "direction";
    const SKIP_SHARE: &'static str =
        "Share of the training problems that a warm start has a hand-made skip of, where two neighbouring actions cancel.";
    type Pool = Lengths;

    fn splits() -> SplitParams {
        SplitParams::cold(SplitSizes {
            train: 2_080,
            development: 1_000,
            in_domain: 1_000,
            ood_easy: 500,
            ood_hard: 500,
        })
    }

    fn pools(&self) -> [(&'static str, Lengths); 3] {
        [
            ("actions", self.actions),
            ("actions_easy", self.actions_easy),
            ("actions_hard", self.actions_hard),
        ]
    }

    fn full(&self, NamedProblem { id, problem }: &NamedProblem<Walk>) -> Row {
        problem.row(id.clone(), None)
    }

    fn skipped(&self, NamedProblem { id, problem }: &NamedProblem<Walk>, _: &mut Stream) -> Option<Row> {
        problem.skipped(id)
    }
}

impl Pool for Lengths {
    type Group = Length;

    const MORE: &'static str = "actions";

    fn check(&self) -> Result<(), PoolError> {
        check_range(None, [self.0, self.1], "actions", [1, MOST_ACTIONS])
    }

    fn groups(&self) -> Vec<Length> {
        (self.0..=self.1).map(Length).collect()
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.0 <= other.1 && other.0 <= self.1
    }
}

/// All walks of this many actions.
pub(super) struct Length(u32);

impl ProblemGroup for Length {
    type Problem = Walk;
    type Identity = Walk;

    fn prefix(&self) -> String {
        format!("seq{}_", self.0)
    }

    fn capacity(&self) -> u128 {
        u128::from(Facing::COUNT) * 3u128.pow(self.0)
    }

    fn draw(&self, stream: &mut Stream) -> Walk {
        let facing = Facing::from_index(stream.below(Facing::COUNT));
        // There are three actions, so one is always found.
        let action = |_| Action::ALL.get(stream.below(3) as usize).copied();
        Walk {
            facing,
            actions: (0..self.0).filter_map(action).collect(),
        }
    }

    fn identity(problem: &Walk) -> Walk {
        problem.clone()
    }
}
