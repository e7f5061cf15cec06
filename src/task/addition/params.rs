//! The params of `generate` for sums.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draw::capacities;

/// Operands have at most this many digits, so that sums are 64-bit numbers.
const MOST_DIGITS: u32 = 18;

/// Which sums to draw; the defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
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
    /// The digits of `train`, `development` and `in_domain`.
    pub digits: Digits,
    /// The digits of `ood_easy`.
    pub digits_easy: Digits,
    /// The digits of `ood_hard`.
    pub digits_hard: Digits,
    /// Whether `train` has, on top of its number, `b + a` beside each `a + b` of equally many digits.
    pub swapped: bool,
    /// Share of the training problems that a warm start has a hand-made skip of.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub skip_share: f64,
    /// Which two neighbouring digit positions a hand-made skip does in one step.
    pub merge: Merge,
}

/// What the first model is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Start {
    /// Full-step solutions only.
    Cold,
    /// Those and hand-made skips.
    Warm,
}

/// Which two neighbouring digit positions are done in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Merge {
    /// Any, all equally likely.
    Any,
    /// Units and tens.
    Lowest,
    /// The two highest.
    Highest,
}

/// How many digits the operands have; every combination is equally likely while it lasts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Digits {
    /// Least and most digits of the first operand.
    pub a: [u32; 2],
    /// Least and most digits of the second operand.
    pub b: [u32; 2],
    /// Whether combinations with a longer second operand are left out.
    #[serde(default = "yes")]
    pub longer_first: bool,
}

fn yes() -> bool {
    true
}

impl Digits {
    fn new(a: [u32; 2], b: [u32; 2], longer_first: bool) -> Self {
        Self { a, b, longer_first }
    }

    /// All pairs of numbers of digits, in ascending order.
    pub(super) fn combinations(&self) -> Vec<(u32, u32)> {
        let all = (self.a[0]..=self.a[1]).flat_map(|a| (self.b[0]..=self.b[1]).map(move |b| (a, b)));
        all.filter(|(a, b)| !self.longer_first || a >= b).collect()
    }

    /// Whether some sum is drawn from both.
    fn overlaps(&self, other: &Self) -> bool {
        let others = other.combinations();
        self.combinations()
            .iter()
            .any(|&(a, b)| others.contains(&(a, b)) || others.contains(&(b, a)))
    }

    fn check(&self) -> Result<(), String> {
        for (name, [least, most]) in [("a", self.a), ("b", self.b)] {
            if least < 1 || most > MOST_DIGITS || least > most {
                return Err(format!(
                    "`{name} = [{least}, {most}]` must be the least and the most digits, from 1 to {MOST_DIGITS}"
                ));
            }
        }
        if self.combinations().is_empty() {
            return Err("the first operand is always the shorter one, and `longer_first` leaves such sums out".to_owned());
        }
        Ok(())
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            start: Start::Cold,
            train: 2_855,
            development: 1_000,
            in_domain: 1_000,
            ood_easy: 1_200,
            ood_hard: 1_600,
            digits: Digits::new([1, 3], [1, 3], true),
            digits_easy: Digits::new([4, 7], [1, 3], true),
            digits_hard: Digits::new([4, 7], [4, 7], false),
            swapped: false,
            skip_share: 1.0,
            merge: Merge::Any,
        }
    }
}

impl Params {
    /// How many problems are drawn with `digits`.
    pub(super) fn in_distribution(&self) -> u64 {
        self.train.saturating_add(self.development).saturating_add(self.in_domain)
    }

    /// Whether all that is asked for exists, and no problem could be in two splits.
    pub(super) fn check(&self) -> Result<(), figment::Error> {
        let wrong = |path: &str, message: String| Err(figment::Error::from(message).with_path(path));
        if !(0.0..=1.0).contains(&self.skip_share) {
            return wrong(
                "skip_share",
                format!("{} is out of range, it must be a share, from 0 to 1", self.skip_share),
            );
        }
        let groups = [
            ("train", "digits", &self.digits, self.in_distribution()),
            ("ood_easy", "digits_easy", &self.digits_easy, self.ood_easy),
            ("ood_hard", "digits_hard", &self.digits_hard, self.ood_hard),
        ];
        for (place, (split, name, digits, count)) in groups.iter().enumerate() {
            digits.check().or_else(|message| wrong(name, message))?;
            let exist: u128 = capacities(digits).iter().sum();
            if u128::from(*count) > exist {
                let what = if *split == "train" {
                    "`train`, `development` and `in_domain` ask together"
                } else {
                    "the split asks"
                };
                return wrong(
                    split,
                    format!(
                        "{what} for {count} problems, and `{name}` allows {exist} different ones (a + b and b + a are one); ask for fewer, or allow more digits"
                    ),
                );
            }
            let before = groups.iter().take(place).filter(|(_, _, _, earlier)| *count > 0 && *earlier > 0);
            if let Some((_, other, ..)) = before.into_iter().find(|(_, _, earlier, _)| digits.overlaps(earlier)) {
                return wrong(name, format!("some sums belong to `{other}` as well, and splits may not overlap"));
            }
        }
        Ok(())
    }
}
