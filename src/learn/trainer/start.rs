//! The start of a training: random weights, or another model.

use super::{Recipe, TrainError, TrainingData, examples, memory};
use crate::model::{self, Architecture, Model, ModelChat, ModelShape, Prompter, TokenPositions, Weights};
use crate::tokenizer::Tokenizer;

/// Tokenizer, shape and weights before the first step.
pub(super) struct TrainingStart {
    pub(super) tokenizer: Tokenizer,
    pub(super) shape: ModelShape,
    pub(super) weights: Weights,
    /// The base's chat template, if it has one.
    pub(super) chat: Option<ModelChat>,
    pub(super) prompter: Prompter,
}

impl TrainingStart {
    /// The base, or without one a new tokenizer for the texts and random weights for `seed`. `memory` is the available memory in bytes, if
    /// known.
    pub(super) fn new(recipe: &Recipe, data: &TrainingData<'_>, seed: u64, memory: Option<u64>) -> Result<Self, TrainError> {
        if let Some(base) = data.base {
            let Model {
                tokenizer,
                shape,
                mut weights,
                chat,
                ..
            } = base()?;
            let prompter = Prompter::new(&recipe.prompt, chat.as_ref())?;
            if let Some(written) = &recipe.model {
                check(written, &shape)?;
            }
            if let Some(lora) = &recipe.lora {
                weights.extend(lora.initialise(&shape, seed));
            }
            return Ok(Self {
                tokenizer,
                shape,
                weights,
                chat,
                prompter,
            });
        }
        let prompter = Prompter::new(&recipe.prompt, None)?;
        let tokenizer = examples::tokenizer(recipe.tokenizer, data, &recipe.prompt)?;
        let architecture = recipe.model.clone().unwrap_or_default();
        let shape = architecture.shape(tokenizer.vocabulary())?;
        memory::check_weights_fit(&shape, memory)?;
        let weights = model::initialise(&shape, seed);
        Ok(Self {
            tokenizer,
            shape,
            weights,
            chat: None,
            prompter,
        })
    }
}

/// Checks that a model of the architecture `written` has the shape `found`, apart from the vocabulary.
pub(super) fn check(written: &Architecture, found: &ModelShape) -> Result<(), TrainError> {
    let written = written.shape(found.vocabulary)?;
    let (written, found) = (sizes(&written), sizes(found));
    let other = written.into_iter().zip(found).find(|((_, written), (_, found))| written != found);
    other.map_or(Ok(()), |((field, written), (_, found))| {
        Err(TrainError::OtherShape { field, written, found })
    })
}

/// All fields of a shape except the vocabulary, by their names in an experiment.
fn sizes(shape: &ModelShape) -> [(&'static str, String); 16] {
    [
        ("width", shape.width.to_string()),
        ("layers", shape.layers.to_string()),
        ("heads", shape.heads.to_string()),
        ("kv_heads", shape.kv_heads.to_string()),
        ("feed_forward", shape.feed_forward.to_string()),
        ("head_dim", shape.head_dim.to_string()),
        ("qkv_bias", shape.qkv_bias.to_string()),
        ("qk_norm", shape.qk_norm.to_string()),
        (
            "rope_scaling",
            shape.rope_scaling.as_ref().map_or("none".to_owned(), ToString::to_string),
        ),
        ("rope_theta", shape.rope_theta.to_string()),
        ("norm_epsilon", shape.norm_epsilon.to_string()),
        ("tied", shape.tied.to_string()),
        (
            "positions",
            shape.places.map_or(TokenPositions::Lines, TokenPositions::Places).to_string(),
        ),
        ("lines", shape.lines.to_string()),
        ("columns", shape.columns.to_string()),
        ("context", shape.context.to_string()),
    ]
}
