//! The params of `generate` for basics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lab::config::ParamError;

/// The limit for items of a list or an equation: the number of letters.
pub(super) const MOST_ITEMS: u32 = 14;
/// The limit for numbers that are added.
pub(super) const LARGEST_NUMBER: u64 = 999;
/// The facts are sums of two numbers up to this.
pub(super) const DIGIT: u64 = 9;

/// Which questions to draw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BasicsParams {
    /// Subjects of the questions; `train` has the facts of each beyond its number of problems.
    pub skills: Vec<Skill>,
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
    /// The largest number that is added. Up to 9 all sums are in `train`, and none are drawn.
    #[schemars(range(max = 999))]
    pub largest: u64,
    /// Least and most items of a list, letters of an equation, in `train`, `development` and `in_domain`.
    pub items: ItemRange,
    /// Least and most items and letters of `ood_easy`.
    pub items_easy: ItemRange,
    /// Least and most items and letters of `ood_hard`.
    pub items_hard: ItemRange,
}

/// A subject of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Skill {
    /// Sums of small numbers.
    Sums,
    /// Single turns, and lists of turns without the first.
    Turns,
    /// Equations over the symbols of `algebra`: copied, or with a letter moved to the other side.
    Symbols,
}

/// Least and most; every number in between gets equally many problems while they last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Span")]
pub(super) struct ItemRange(pub u32, pub u32);

impl Default for BasicsParams {
    fn default() -> Self {
        Self {
            skills: vec![Skill::Sums, Skill::Turns, Skill::Symbols],
            train: 4_000,
            development: 500,
            in_domain: 500,
            ood_easy: 200,
            ood_hard: 200,
            largest: DIGIT,
            items: ItemRange(2, 8),
            items_easy: ItemRange(9, 11),
            items_hard: ItemRange(12, 14),
        }
    }
}

impl BasicsParams {
    /// Whether there can be such problems.
    pub(super) fn check(&self) -> Result<(), ParamError> {
        let wrong = |field: &str, message: String| Err(ParamError::new(field, message));
        if self.skills.is_empty() {
            return wrong(
                "skills",
                "the list is empty; name some of \"sums\", \"turns\", \"symbols\"".to_owned(),
            );
        }
        let again = self
            .skills
            .iter()
            .enumerate()
            .find(|(place, skill)| self.skills[..*place].contains(skill));
        if let Some((_, skill)) = again {
            return wrong("skills", format!("{} appears twice", serde_json::json!(skill)));
        }
        if self.largest > LARGEST_NUMBER {
            let message = format!("{} is too large, it must be at most {LARGEST_NUMBER}", self.largest);
            return wrong("largest", message);
        }
        self.demand().check()
    }
}
