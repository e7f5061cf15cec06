//! `sample`: asks a numbered model for solutions with fewer steps.

use figment::value::Value;
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answering::{Asker, load, task_of};
use super::job::failed;
use super::{Input, Job, Kind, Output, PortType, Stage, StageError, check_numbers};
use crate::engine::{self, Dtype, Engine};
use crate::sampler::Sampling;

pub(super) static KIND: Kind = Kind {
    name: "sample",
    version: 3,
    inputs: &[Input::one("model", PortType::Model), Input::one("data", PortType::Dataset)],
    outputs: &[Output::of("answers", PortType::Answers)],
    named: &[],
    parse,
    schema: || schema_for!(Sample),
    follows_seed: true,
};

/// What a model is asked, and how its answers are drawn.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Sample {
    /// What is added to each row's full number of steps to get the number asked for; where that is below 1, the full number is
    /// asked for. Empty for models whose prompt names no number of steps.
    ask: Vec<i32>,
    /// Answers to each request.
    #[schemars(range(min = 1))]
    samples: u32,
    /// 0: always the likeliest token; above, drawn from the softmax of the logits divided by it.
    #[schemars(range(min = 0.0))]
    temperature: f64,
    /// Draw from this many likeliest tokens only.
    #[schemars(range(min = 1))]
    top_k: Option<usize>,
    /// Draw from the smallest set of likeliest tokens whose probabilities reach this sum; with `top_k`, of the tokens it leaves.
    #[schemars(range(min = 0.0, max = 1.0))]
    top_p: Option<f64>,
    /// A response ends before the first of these texts.
    #[schemars(inner(length(min = 1)))]
    stop: Vec<String>,
    /// The longest response, in tokens (0: half as long again as the longest full solution, and 16 more).
    max_tokens: usize,
    /// What computes.
    engine: Engine,
    /// In which numbers.
    dtype: Dtype,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            ask: vec![-1, -2],
            samples: 1,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            stop: Vec::new(),
            max_tokens: 0,
            engine: Engine::default(),
            dtype: Dtype::default(),
        }
    }
}

fn parse(params: &Value, _given: &[&str]) -> Result<Box<dyn Stage>, figment::Error> {
    let sample: Sample = params.deserialize()?;
    sample.check()?;
    Ok(Box::new(sample))
}

impl Sample {
    fn check(&self) -> Result<(), figment::Error> {
        let wrong = |path: &str, message: String| Err(figment::Error::from(message).with_path(path));
        check_ask(&self.ask)?;
        check_numbers(self.engine, self.dtype)?;
        check_stop(&self.stop)?;
        let is_greedy = self.temperature == 0.0;
        match self {
            Self { samples: 0, .. } => wrong("samples", "0 is too small, it must be at least 1".to_owned()),
            Self { samples, .. } if *samples > 1 && is_greedy => {
                let message = format!("{samples} samples of a request are all equal at temperature 0; set `temperature`");
                wrong("samples", message)
            }
            Self { temperature, .. } if !(*temperature >= 0.0 && temperature.is_finite()) => wrong(
                "temperature",
                format!("{temperature} is out of range, it must be a number from 0 on"),
            ),
            Self { top_k: Some(0), .. } => wrong("top_k", "0 is too small, it must be at least 1".to_owned()),
            Self { top_p: Some(sum), .. } if !(*sum > 0.0 && *sum <= 1.0) => {
                wrong("top_p", format!("{sum} is out of range, it must be above 0 and at most 1"))
            }
            _ => Ok(()),
        }
    }

    fn sampling(&self, seed: u64) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            stop: self.stop.clone(),
            max_tokens: self.max_tokens,
            seed,
            engine: self.engine,
            dtype: self.dtype,
        }
    }
}

/// Refuses to ask the same twice.
pub(super) fn check_ask(ask: &[i32]) -> Result<(), figment::Error> {
    let again = ask
        .iter()
        .enumerate()
        .find(|(place, shift)| ask.iter().take(*place).any(|earlier| earlier == *shift));
    match again {
        Some((_, shift)) => Err(figment::Error::from(format!("{shift} stands twice")).with_path("ask")),
        None => Ok(()),
    }
}

/// Refuses a text that ends every response before it starts.
pub(super) fn check_stop(stop: &[String]) -> Result<(), figment::Error> {
    if stop.iter().any(String::is_empty) {
        return Err(figment::Error::from("an empty text would end every response before it starts".to_owned()).with_path("stop"));
    }
    Ok(())
}

impl Stage for Sample {
    fn params(&self) -> serde_json::Value {
        json!(self)
    }

    fn draws(&self) -> bool {
        self.temperature > 0.0
    }

    fn numerics(&self) -> Option<String> {
        Some(engine::numerics(self.engine, self.dtype))
    }

    fn run(&self, job: &Job<'_>) -> Result<(), StageError> {
        let model = load(job.input("model")?)?;
        match (model.prompt.is_numbered(), self.ask.is_empty()) {
            (false, false) => {
                return Err(failed(
                    "the model's prompt names no number of steps; train it with `prompt = \"numbered\"`, or set `ask = []`",
                ));
            }
            (true, true) => {
                return Err(failed(
                    "the model's prompt names the number of steps, and `ask = []` gives none; `ask = [0]` is the full number",
                ));
            }
            _ => {}
        }
        let rows = job.rows("data")?;
        // Rows of no task are found now rather than when their answers are judged.
        rows.iter().try_for_each(|row| task_of(row).map(drop))?;
        let mut asker = Asker {
            job,
            model,
            ask: &self.ask,
            samples: self.samples,
            sampling: self.sampling(job.seed),
            done: 0,
            total: 0,
        };
        asker.total = asker.requests(&rows);
        let answers = asker.answers(&rows)?;
        job.write("answers", &answers)
    }
}
