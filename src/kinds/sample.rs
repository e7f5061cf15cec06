//! `sample`: asks a numbered model for solutions with fewer steps.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answering::{Asker, open, questions, task_of};
use super::check_numbers;
use super::endpoint::{ApiKey, Completion, CompletionRequest, Endpoint, Refusal, check_address};
use super::failed_rows::FailedRows;
use crate::data_sets::DataSets;
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{ImpliedParam, Input, Kind, Output, PortType, Secret, Stage, StageContext, StageError};
use learn::dataset::{Answer, Prompt, Row};
use learn::engine::{self, Dtype, Engine};
use learn::sampler::Sampling;
use learn::seed::Stream;

pub(super) static KIND: Kind = Kind {
    name: "sample",
    version: 4,
    inputs: &[Input::maybe("model", PortType::Model), Input::one("data", PortType::Dataset)],
    free: false,
    outputs: &[Output::of("answers", PortType::Answers)],
    named: &[("prompt", "prompts")],
    command_line: None,
    implied: &[
        ImpliedParam {
            path: &["served"],
            value: || Value::Null,
        },
        ImpliedParam {
            path: &["prompt"],
            value: || Value::Null,
        },
        ImpliedParam {
            path: &["max_failed"],
            value: || json!(0),
        },
    ],
    parse,
    schema: || schema_for!(Sample),
    follows_seed: true,
};

/// The requests to a model, and how its answers are drawn.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Sample {
    /// Added to each row's full number of steps to get the requested number; if that is below 1, the full number is requested. Empty
    /// for models whose prompt names no number of steps.
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
    /// The most rows that may have no answer, because their prompt is too long or the server refuses them. They count as wrong.
    max_failed: u64,
    /// The engine that computes.
    engine: Engine,
    /// The number format.
    dtype: Dtype,
    /// The address of an OpenAI-compatible server that computes in place of an engine: `http://localhost:8080/v1`.
    #[serde(skip_serializing)]
    endpoint: Option<String>,
    /// The environment variable that holds the server's key, for servers that want one: `OPENAI_API_KEY`.
    #[serde(skip_serializing)]
    api_key_env: Option<String>,
    /// The name under which the server serves the model.
    served: Option<String>,
    /// The prompt of a served model, as in `train`.
    prompt: Option<String>,
    /// Requests to the server at once.
    #[serde(skip_serializing)]
    #[schemars(range(min = 1))]
    concurrency: usize,
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
            max_failed: 0,
            engine: Engine::default(),
            dtype: Dtype::default(),
            endpoint: None,
            api_key_env: None,
            served: None,
            prompt: None,
            concurrency: 4,
        }
    }
}

fn parse(params: &ConfigValue, given: &[&str]) -> Result<Box<dyn Stage>, ParamError> {
    let mut sample: Sample = params.read()?;
    sample.check()?;
    sample.check_endpoint(given.contains(&"model"))?;
    Ok(Box::new(sample))
}

impl Sample {
    fn check(&self) -> Result<(), ParamError> {
        let wrong = |path: &str, message: String| Err(ParamError::new(path, message));
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

    /// Checks the params for servers; a prompt's name is replaced by its text.
    fn check_endpoint(&mut self, has_model: bool) -> Result<(), ParamError> {
        let wrong = |path: &str, message: &str| Err(ParamError::new(path, message));
        let Some(endpoint) = &self.endpoint else {
            return match self {
                Self { served: Some(_), .. } => wrong("served", "`served` needs an `endpoint`"),
                Self { api_key_env: Some(_), .. } => wrong("api_key_env", "`api_key_env` needs an `endpoint`"),
                Self { prompt: Some(_), .. } => wrong("prompt", "`prompt` needs an `endpoint`; without one, the model has its own prompt"),
                _ if !has_model => Err(ParamError::whole("a model is needed: give the input `model`, or an `endpoint`")),
                _ => Ok(()),
            };
        };
        check_address(endpoint)?;
        if self.api_key_env.as_deref().is_some_and(|name| !is_variable(name)) {
            // The message does not print it: it may be the key itself.
            return wrong(
                "api_key_env",
                "this is the name of an environment variable (letters, digits and `_`), not the key itself",
            );
        }
        match self {
            _ if has_model => return wrong("endpoint", "give a `model` or an `endpoint`, not both"),
            Self { served: None, .. } => return wrong("endpoint", "the name of the model on the server is missing: `served = \"…\"`"),
            Self { max_tokens: 0, .. } => {
                return wrong(
                    "endpoint",
                    "the longest response of a served model must be given: `max_tokens = 400`",
                );
            }
            Self { top_k: Some(_), .. } => return wrong("top_k", "a served model draws with `temperature` and `top_p` alone"),
            Self { concurrency: 0, .. } => return wrong("concurrency", "0 is too small, it must be at least 1"),
            _ => {}
        }
        let template = match self.prompt.as_deref() {
            Some("numbered") => Prompt::NUMBERED,
            None | Some("plain") => Prompt::PLAIN,
            Some(template) if template.contains("{question}") => template,
            Some(_) => {
                return wrong(
                    "prompt",
                    "a prompt is `plain`, `numbered`, an entry of `[prompts]`, or a text with `{question}`",
                );
            }
        };
        self.prompt = Some(template.to_owned());
        Ok(())
    }

    /// Asks the server.
    fn ask_server(&self, endpoint: &str, context: &StageContext<'_>) -> Result<(), StageError> {
        let prompt = Prompt::text(self.prompt.clone().unwrap_or_default());
        self.check_prompt(&prompt)?;
        let rows = context.rows("data")?;
        rows.iter().try_for_each(|row| task_of(row).map(drop))?;
        let asked: Vec<_> = rows.iter().flat_map(|row| questions(row, &self.ask, self.samples)).collect();
        let question = |(row, requested, sample): &(&Row, Option<u32>, u32)| {
            let steps = requested.unwrap_or(row.step_num);
            let label = format!("{} {steps} {sample}", row.id);
            CompletionRequest {
                prompt: prompt.render(&row.prompt, steps).into(),
                // Servers take 32 bits.
                seed: Stream::new(context.seed, &label).below(1 << 31),
            }
        };
        let common = json!({
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p.unwrap_or(1.0),
        });
        let mut common = common.as_object().cloned().unwrap_or_default();
        if !self.stop.is_empty() {
            common.insert("stop".to_owned(), json!(self.stop));
        }
        let secret = self.api_key_env.as_deref().and_then(|variable| context.caller.given(variable));
        let key = match (&self.api_key_env, secret.as_deref().map(str::trim)) {
            (Some(variable), Some(key)) if !key.is_empty() => Some(ApiKey {
                variable: variable.clone(),
                key: key.to_owned(),
            }),
            (Some(variable), _) => return Err(failed(format!("the environment variable `{variable}` (`api_key_env`) is not set"))),
            (None, _) => None,
        };
        let server = Endpoint {
            address: endpoint.to_owned(),
            served: self.served.clone().unwrap_or_default(),
            concurrency: self.concurrency,
            key,
            common,
            patience: context.patience,
        };
        let written = server.complete(asked.iter().map(question).collect(), context)?;
        let mut failed_rows = FailedRows::default();
        for ((row, ..), written) in asked.iter().zip(&written) {
            if let Err(Refusal(why)) = written {
                failed_rows.add(0, row, why);
            }
        }
        let hint = "the answers to the others are kept: the next run asks for these alone";
        failed_rows.check(self.max_failed, rows.len(), hint, context)?;
        let answers = asked.into_iter().zip(written).map(|((row, requested, sample), written)| {
            let (response, tokens, failed) = match written {
                Ok(Completion { text, tokens, .. }) => (text, tokens, None),
                Err(Refusal(why)) => (String::new(), 0, Some(why)),
            };
            Answer {
                problem: row.clone(),
                requested,
                sample,
                response,
                tokens,
                failed,
            }
        });
        context.write_answers("answers", &answers.collect::<Vec<_>>())
    }

    /// Refuses a prompt that does not fit `ask`.
    fn check_prompt(&self, prompt: &Prompt) -> Result<(), StageError> {
        match (prompt.is_numbered(), self.ask.is_empty()) {
            (false, false) => Err(failed(
                "the model's prompt names no number of steps; train it with `prompt = \"numbered\"`, or set `ask = []`",
            )),
            (true, true) => Err(failed(
                "the model's prompt names the number of steps, and `ask = []` gives none; `ask = [0]` is the full number",
            )),
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

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Refuses repeated numbers.
pub(super) fn check_ask(ask: &[i32]) -> Result<(), ParamError> {
    let again = ask
        .iter()
        .enumerate()
        .find(|(place, shift)| ask.iter().take(*place).any(|earlier| earlier == *shift));
    match again {
        Some((_, shift)) => Err(ParamError::new("ask", format!("{shift} appears twice"))),
        None => Ok(()),
    }
}

/// Refuses an empty stop text, which would end every response before it starts.
pub(super) fn check_stop(stop: &[String]) -> Result<(), ParamError> {
    if stop.iter().any(String::is_empty) {
        return Err(ParamError::new("stop", "an empty text would end every response before it starts"));
    }
    Ok(())
}

impl Stage for Sample {
    fn params(&self) -> Value {
        json!(self)
    }

    fn unkeyed_params(&self) -> serde_json::Map<String, Value> {
        let Some(endpoint) = &self.endpoint else {
            return serde_json::Map::new();
        };
        serde_json::Map::from_iter([
            ("endpoint".to_owned(), json!(endpoint)),
            ("api_key_env".to_owned(), json!(self.api_key_env)),
            ("concurrency".to_owned(), json!(self.concurrency)),
        ])
    }

    fn secrets(&self) -> Vec<Secret<'_>> {
        let secret = |variable| Secret {
            variable,
            param: "api_key_env",
        };
        self.api_key_env.as_deref().map(secret).into_iter().collect()
    }

    fn draws(&self) -> bool {
        self.temperature > 0.0
    }

    fn numerics(&self) -> Option<String> {
        self.endpoint.is_none().then(|| engine::numeric_class(self.engine, self.dtype))
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        if let Some(endpoint) = &self.endpoint {
            return self.ask_server(endpoint, context);
        }
        let model = context.list("model").first();
        let model = open(model.ok_or_else(|| failed("the input `model` is missing; give it, or an `endpoint`"))?)?;
        self.check_prompt(&model.prompt)?;
        let rows = context.rows("data")?;
        // Fails now, before anything is computed, rather than when the answers are judged.
        rows.iter().try_for_each(|row| task_of(row).map(drop))?;
        let mut asker = Asker {
            context,
            model,
            ask: &self.ask,
            samples: self.samples,
            sampling: self.sampling(context.seed),
            done: 0,
            total: 0,
        };
        let sets = [rows];
        asker.total = asker.requests(&sets);
        let long = asker.too_long(&sets, self.max_failed)?;
        let mut answers = Vec::new();
        for (rows, long) in sets.iter().zip(&long) {
            answers.extend(asker.answers(rows, long)?);
        }
        context.write_answers("answers", &answers)
    }
}
