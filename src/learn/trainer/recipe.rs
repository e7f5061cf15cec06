//! The params of training.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::order;
use crate::dataset::Prompt;
use crate::engine::{Dtype, Engine, Frozen, Optimizer};
use crate::model::{Architecture, Lora, PRESETS};
use crate::tokenizer::TokenizerStyle;

/// The params of `train`, with defaults filled in.
// All of them enter the key of the stage: a new field needs a line in the kind's table of implied values, or every training runs again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// The decoder: a preset's name (`tiny`, `small`, `medium`), the name of a table under `[models]`, or such a table. Left out, it
    /// is the base's, or `tiny` without one.
    #[serde(deserialize_with = "architecture")]
    #[schemars(schema_with = "architecture_schema")]
    pub model: Option<Architecture>,
    /// How texts are split into tokens. With a base, the base's tokenizer is used.
    pub tokenizer: TokenizerStyle,
    /// The prompt: `plain`, `numbered`, `chat` (the base's chat template), the name of an entry of `[prompts]`, or a text with `{question}`
    /// and, to name the number of steps, `{n}`. A table for a chat of one's own: `{ template = "{question}", chat = { system = "…" } }`.
    pub prompt: Prompt,
    /// Optimizer steps.
    pub steps: u64,
    /// Passes over the data, whatever `batch` and `accumulate` are; if not 0, used instead of `steps`.
    pub epochs: u64,
    /// Sequences in a batch.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 65536))]
    pub batch: usize,
    /// Batches whose gradients are summed for one optimizer step. With `epochs`, the last step takes the batches that are left.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 65536))]
    pub accumulate: usize,
    /// Share of the steps before the first pass over the data, in which batches start with the shortest rows and admit longer ones step by
    /// step.
    #[serde(deserialize_with = "share")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub curriculum: f64,
    /// The maximum learning rate.
    #[serde(deserialize_with = "not_negative")]
    #[schemars(range(min = 0.0))]
    pub learning_rate: f64,
    /// Share of the steps over which the learning rate rises from 0.
    #[serde(deserialize_with = "share")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub warmup: f64,
    /// How the learning rate falls after the warm-up.
    pub schedule: Schedule,
    /// AdamW's decay of the mean gradient.
    #[serde(deserialize_with = "below_one")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub beta1: f64,
    /// AdamW's decay of the mean squared gradient.
    #[serde(deserialize_with = "below_one")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub beta2: f64,
    /// AdamW's epsilon, which avoids division by zero.
    #[serde(deserialize_with = "not_negative")]
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
    /// Weights of matrices and embeddings shrink by this times the learning rate at each step.
    #[serde(deserialize_with = "not_negative")]
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Gradients with a larger norm are clipped to this norm (0: no clipping).
    #[serde(deserialize_with = "not_negative")]
    #[schemars(range(min = 0.0))]
    pub clip: f64,
    /// Weights that are not trained, by name; `*` matches any text. Only for the engine `cpu`.
    pub frozen: Frozen,
    /// Trains adapters of a base (LoRA) instead of its weights. The model is the base with the adapters merged. The adapters are also stored in
    /// `adapter/`, in PEFT's format.
    pub lora: Option<Lora>,
    /// The engine that computes.
    pub engine: Engine,
    /// The number format.
    pub dtype: Dtype,
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine down to 0.
    #[default]
    Cosine,
    /// A straight line down to 0.
    Linear,
    /// It does not fall.
    Constant,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            model: None,
            tokenizer: TokenizerStyle::default(),
            prompt: Prompt::text(Prompt::PLAIN),
            steps: 2000,
            epochs: 0,
            batch: 32,
            accumulate: 1,
            curriculum: 0.0,
            learning_rate: 3e-3,
            warmup: 0.05,
            schedule: Schedule::default(),
            beta1: 0.9,
            beta2: 0.98,
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip: 1.0,
            frozen: Frozen::default(),
            lora: None,
            engine: Engine::default(),
            dtype: Dtype::default(),
        }
    }
}

/// How long a training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrainingLength {
    /// Optimizer steps.
    pub(super) steps: u64,
    /// Batches in all of them.
    pub(super) batches: u64,
    /// How many of the batches come before the first pass over the data.
    pub(super) curriculum: u64,
}

impl Recipe {
    /// The lengths of a training on n rows, in optimizer steps and in batches. With `epochs` there are as many batches as the passes have,
    /// and the last step takes those that are left.
    pub(super) fn length(&self, rows: usize) -> TrainingLength {
        let accumulate = self.accumulate as u64;
        let (steps, batches) = match self.epochs {
            0 => (self.steps, self.steps.saturating_mul(accumulate)),
            epochs => {
                let batches = epochs.saturating_mul(order::per_epoch(rows, self.batch));
                (batches.div_ceil(accumulate), batches)
            }
        };
        let curriculum = (self.curriculum * steps as f64).round() as u64;
        TrainingLength {
            steps,
            batches,
            curriculum: curriculum.saturating_mul(accumulate).min(batches),
        }
    }

    /// The settings of the optimizer.
    pub(super) fn optimizer(&self) -> Optimizer {
        Optimizer {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            clip: if self.clip > 0.0 { self.clip } else { f64::INFINITY },
        }
    }
}

/// Deserializes a preset's name or a table.
fn architecture<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Architecture>, D::Error> {
    struct ArchitectureVisitor;

    impl<'de> Visitor<'de> for ArchitectureVisitor {
        type Value = Option<Architecture>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(
                f,
                "a preset ({}), the name of a table under `[models]`, or a table",
                PRESETS.join(", ")
            )
        }

        fn visit_none<E>(self) -> Result<Option<Architecture>, E> {
            Ok(None)
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<Option<Architecture>, E> {
            Architecture::preset(name)
                .map(Some)
                .ok_or_else(|| E::unknown_variant(name, PRESETS))
        }

        fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Option<Architecture>, A::Error> {
            let architecture = Architecture::deserialize(MapAccessDeserializer::new(table))?;
            architecture.check().map_err(A::Error::custom)?;
            Ok(Some(architecture))
        }
    }

    deserializer.deserialize_any(ArchitectureVisitor)
}

fn architecture_schema(generator: &mut SchemaGenerator) -> Schema {
    let table = generator.subschema_for::<Architecture>();
    json_schema!({
        "description": "The decoder: a preset's name, the name of a table under `[models]`, or such a table. Left out, it is the base's, or `tiny` without one.",
        "anyOf": [{ "enum": PRESETS }, { "type": "string" }, table],
    })
}

/// The largest number of rows or batches at once.
const MAX_COUNT: usize = 1 << 16;

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(D::Error::custom("0 is too small, it must be at least 1")),
        number if number > MAX_COUNT => Err(D::Error::custom(format!("{number} is too large, it must be at most {MAX_COUNT}"))),
        number => Ok(number),
    }
}

fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, |number| number >= 0.0 && number.is_finite(), "a number of at least 0")
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, |number| (0.0..=1.0).contains(&number), "a share, from 0 to 1")
}

fn below_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(
        deserializer,
        |number| (0.0..1.0).contains(&number),
        "a number of at least 0 and less than 1",
    )
}

fn within<'de, D: Deserializer<'de>>(deserializer: D, holds: fn(f64) -> bool, what: &str) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    if !holds(number) {
        return Err(D::Error::custom(format!("{number} is out of range, it must be {what}")));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(recipe: &Recipe, rows: usize) -> (u64, u64, u64) {
        let TrainingLength {
            steps,
            batches,
            curriculum,
        } = recipe.length(rows);
        (steps, batches, curriculum)
    }

    #[test]
    fn epochs_are_passes_over_the_data_whatever_the_accumulation() {
        for (epochs, batch, accumulate, expected) in [
            (1, 1, 1, (10, 10, 0)),
            (1, 2, 4, (2, 5, 0)),
            (1, 4, 8, (1, 3, 0)),
            (1, 1, 32, (1, 10, 0)),
            (3, 2, 2, (8, 15, 0)),
            (2, 3, 4, (2, 8, 0)),
        ] {
            let recipe = Recipe {
                epochs,
                batch,
                accumulate,
                ..Recipe::default()
            };
            assert_eq!(length(&recipe, 10), expected, "{epochs} {batch} {accumulate}");
        }
    }

    #[test]
    fn steps_take_full_accumulations() {
        let recipe = Recipe {
            steps: 7,
            accumulate: 4,
            ..Recipe::default()
        };
        assert_eq!(length(&recipe, 10), (7, 28, 0));
        let endless = Recipe { steps: u64::MAX, ..recipe };
        assert_eq!(length(&endless, 10).1, u64::MAX);
    }

    #[test]
    fn a_curriculum_is_a_share_of_the_steps_and_never_longer_than_the_training() {
        let recipe = |curriculum, epochs| Recipe {
            steps: 8,
            epochs,
            batch: 2,
            accumulate: 2,
            curriculum,
            ..Recipe::default()
        };
        assert_eq!(length(&recipe(0.25, 0), 10), (8, 16, 4));
        assert_eq!(length(&recipe(0.25, 3), 10), (8, 15, 4));
        assert_eq!(length(&recipe(1.0, 3), 10), (8, 15, 15));
    }
}
