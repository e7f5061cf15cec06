//! `train`: trains a model on a data set, from random weights or from another model.

use schemars::schema_for;
use serde::Deserialize;
use serde_json::{Value, json};

use super::check_numbers;
use crate::data_sets::{DataSets, first_row};
use crate::model_cost::{cost, weights, weights_of_artifact};
use crate::model_prompt::ModelPrompt;
use crate::shown_answers;
use lab::config::{ConfigValue, ParamError};
use lab::stage::{
    Effort, FirstPrompt, ImpliedParam, Input, InputSizes, Kind, Output, PortType, PromptInputs, Stage, StageContext, StageError,
};
use lab::stage::{failed, lacks_memory};
use learn::dataset::Row;
use learn::engine;
use learn::model::{self, Architecture, Model, Prompter};
use learn::sampler::Sampling;
use learn::tokenizer::TokenizerStyle;
use learn::trainer::{self, Keep, ReadModel, Recipe, TrainError, TrainingData, TrainingProgress, TrainingRun};

pub(super) static KIND: Kind = Kind {
    name: "train",
    version: 3,
    inputs: &[
        Input::one("data", PortType::Dataset),
        Input::maybe("base", PortType::Model),
        Input::list("vocabulary", PortType::Dataset, true),
        Input::maybe(VALIDATION, PortType::Dataset),
    ],
    free: false,
    outputs: &[Output::of("model", PortType::Model)],
    named: &[("model", "models"), ("prompt", "prompts")],
    command_line: None,
    gpus: None,
    implied: &[
        // A training with a base takes the base's.
        ImpliedParam {
            path: &["model"],
            value: || Value::Null,
        },
        ImpliedParam {
            path: &["model", "head_dim"],
            value: || json!(0),
        },
        ImpliedParam {
            path: &["model", "qkv_bias"],
            value: || json!(false),
        },
        ImpliedParam {
            path: &["model", "rope_scaling"],
            value: || Value::Null,
        },
        // Before there were others.
        ImpliedParam {
            path: &["model", "positions"],
            value: || json!("lines"),
        },
        ImpliedParam {
            path: &["frozen"],
            value: || json!([]),
        },
        ImpliedParam {
            path: &["lora"],
            value: || Value::Null,
        },
        // Before there was a validation set, no training had one.
        ImpliedParam {
            path: &["validate_every"],
            value: || Value::Null,
        },
        ImpliedParam {
            path: &["patience"],
            value: || Value::Null,
        },
        ImpliedParam {
            path: &["keep"],
            value: || json!("last"),
        },
    ],
    parse,
    schema: || schema_for!(Recipe),
    follows_seed: true,
    effort,
    shares_worker: false,
};

/// The `model` of a stage that has the shape of its base.
const BASE: &str = "base";

/// The input with the rows of the held-out loss.
const VALIDATION: &str = "validation";

/// Each row that is drawn, or each pass over the data, takes the time of its tokens.
fn effort(params: &Value, inputs: &InputSizes) -> Option<Effort> {
    let recipe = Recipe::deserialize(params).ok()?;
    let base = || inputs.at("base").map(weights_of_artifact);
    let weights = recipe.model.as_ref().map_or_else(base, weights)?;
    let (unit, tokens) = match recipe.epochs {
        0 => ("rows", recipe.steps as f64 * (recipe.accumulate * recipe.batch) as f64),
        epochs => ("bytes", epochs as f64 * inputs.at("data")?),
    };
    Some(Effort {
        unit,
        work: tokens * cost(weights),
        size: weights,
    })
}

/// A training.
struct TrainStage(Recipe);

fn parse(params: &ConfigValue, given: &[&str]) -> Result<Box<dyn Stage>, ParamError> {
    let mut params = params.clone();
    if let (true, Some(fields)) = (given.contains(&"base"), params.as_table_mut()) {
        // As if it were left out, for files that give it to stages with and without a base.
        fields.retain(|field, value| field != "model" || value.as_str() != Some(BASE));
    }
    let mut recipe: Recipe = params.read()?;
    check_numbers(recipe.engine, recipe.dtype)?;
    let wrong = |field: &str, message: &str| Err(ParamError::new(field, message));
    if !given.contains(&"base") {
        recipe.model.get_or_insert_default();
    } else if recipe.tokenizer != TokenizerStyle::Auto {
        return wrong(
            "tokenizer",
            "with a `base` the tokenizer is the base's; leave it out, or write \"auto\"",
        );
    } else if given.contains(&"vocabulary") {
        return wrong(
            "vocabulary",
            "with a `base` the tokenizer is the base's; give `vocabulary` to the base's training",
        );
    }
    if recipe.prompt.chat.is_some() && !given.contains(&"base") {
        return wrong(
            "prompt",
            "a chat is written with the chat template of a model, and a training from random weights has none; name a model that has one as `base`, or write the prompt as a text with `{question}`",
        );
    }
    check_frozen(&recipe)?;
    check_validation(&recipe, given)?;
    check_lora(&recipe, given)?;
    Ok(Box::new(TrainStage(recipe)))
}

/// Refuses to freeze weights that the model does not have, before anything runs. Their names do not depend on the vocabulary; those of a
/// base are checked when it is there.
fn check_frozen(recipe: &Recipe) -> Result<(), ParamError> {
    // An invalid model is reported elsewhere.
    let shape = recipe.model.as_ref().and_then(|model| model.shape(1).ok());
    let named = engine::check_frozen(recipe.engine, &recipe.frozen);
    let checked = named.and_then(|()| shape.map_or(Ok(()), |shape| recipe.frozen.check(&shape)));
    checked.map_err(|error| ParamError::new("frozen", error.to_string()))
}

/// Refuses params of the held-out loss where there is none, before anything runs.
fn check_validation(recipe: &Recipe, given: &[&str]) -> Result<(), ParamError> {
    if given.contains(&VALIDATION) {
        return Ok(());
    }
    let Recipe {
        validate_every,
        patience,
        keep,
        ..
    } = recipe;
    let asked = [
        ("validate_every", validate_every.is_some()),
        ("patience", patience.is_some()),
        ("keep", *keep != Keep::Last),
    ];
    asked.iter().find(|(_, is_asked)| *is_asked).map_or(Ok(()), |(field, _)| {
        let message =
            format!("`{field}` is about the held-out loss; name the data set that it is computed on as `validation`, or leave it out");
        Err(ParamError::new(field, message))
    })
}

/// Refuses adapters that cannot be trained, before anything runs.
fn check_lora(recipe: &Recipe, given: &[&str]) -> Result<(), ParamError> {
    let Some(lora) = &recipe.lora else { return Ok(()) };
    let wrong = |message: String| Err(ParamError::new("lora", message));
    if !given.contains(&"base") {
        return wrong("adapters need a model to adapt; name it as `base`".to_owned());
    }
    if !recipe.frozen.is_empty() {
        return wrong("with `lora` all weights of the base are frozen; leave `frozen` out".to_owned());
    }
    let checked = lora.check().map_err(|error| error.to_string());
    let checked = checked.and_then(|()| engine::check_lora(recipe.engine, lora).map_err(|error| error.to_string()));
    checked.or_else(wrong)
}

impl Stage for TrainStage {
    fn params(&self) -> Value {
        json!(self.0)
    }

    fn draws(&self) -> bool {
        true
    }

    fn numerics(&self) -> Option<String> {
        Some(engine::numeric_class(self.0.engine, self.0.dtype))
    }

    fn accepts(&self, port: &str, from: &dyn Stage) -> Result<(), ParamError> {
        let base = from.params().get("model").map(Architecture::deserialize);
        // A base may take its shape from a base of its own; that is checked when the stage runs.
        if let ("base", Some(written), Some(Ok(base))) = (port, &self.0.model, base) {
            let wrong = |error: TrainError| ParamError::new("model", error.to_string());
            return trainer::check_base(written, &base).map_err(wrong);
        }
        Ok(())
    }

    fn asks_with(&self, base: Option<&Value>) -> Result<Option<Value>, StageError> {
        let base = base.map(ModelPrompt::read).transpose()?;
        Ok(Some(json!(ModelPrompt {
            prompt: self.0.prompt.clone(),
            chat: base.and_then(|base| base.chat),
        })))
    }

    fn first_prompt(&self, inputs: &PromptInputs) -> Result<Option<FirstPrompt>, StageError> {
        let row = first_row(inputs, "data")?;
        let base = inputs.model.as_ref().map(ModelPrompt::read).transpose()?;
        let prompter = Prompter::new(&self.0.prompt, base.as_ref().and_then(|base| base.chat.as_ref())).map_err(failed)?;
        let prompt = prompter.ask(&row, &row.prompt, row.step_num).map_err(failed)?;
        Ok(Some(FirstPrompt {
            row: row.id,
            text: prompt.text,
        }))
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let (rows, validation) = (context.rows("data")?, context.rows(VALIDATION)?);
        let has_validation = !context.list(VALIDATION).is_empty();
        let base = context.list("base").first().map(|folder| || model::load(folder));
        let run = TrainingRun {
            scratch: context.scratch,
            threads: context.threads,
            device: context.device,
            memory: context.memory,
            progress: &|reading| tell(context, &reading),
            stop: context.stop,
        };
        let data = TrainingData {
            rows: &rows,
            vocabulary: &context.rows("vocabulary")?,
            validation: has_validation.then_some(&validation),
            base: base.as_ref().map(|read| read as &ReadModel<'_>),
        };
        let trained = trainer::train(&self.0, &data, context.seed, &run).map_err(train_failed)?;
        trained.save(&context.outputs.join("model")).map_err(train_failed)?;
        self.show_answers(&trained.model, if has_validation { &validation } else { &rows }, context);
        Ok(())
    }
}

impl TrainStage {
    /// Writes a few answers of the trained model into the log.
    fn show_answers(&self, model: &Model, rows: &[Row], context: &StageContext<'_>) {
        let Self(recipe) = self;
        let sampling = Sampling {
            engine: recipe.engine,
            dtype: recipe.dtype,
            ..Sampling::default()
        };
        if let Ok(prompter) = Prompter::new(&recipe.prompt, model.chat.as_ref()) {
            shown_answers::show(model, &prompter, rows, &sampling, context);
        }
    }
}

fn tell(context: &StageContext<'_>, reading: &TrainingProgress) {
    let readings = [
        ("loss", reading.loss),
        ("learning_rate", reading.learning_rate),
        ("tokens_per_second", reading.tokens_per_second),
    ];
    let readings = readings
        .into_iter()
        .chain(reading.validation_loss.map(|loss| ("validation_loss", loss)));
    context.tell(reading.step, reading.steps, "steps", readings);
}

/// The stage's error for a failure to train.
fn train_failed(error: TrainError) -> StageError {
    match error {
        TrainError::Stopped => StageError::Stopped,
        TrainError::Memory { .. } => lacks_memory(error),
        other => failed(other),
    }
}
