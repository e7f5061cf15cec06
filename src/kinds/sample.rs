//! `sample`: asks a model.

mod served;

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::answering::{Asker, open};
use super::asked::{FEWSHOT, QuestionText, asked_of_rows, questions};
use super::check_numbers;
use super::kept_answers::KeptAnswers;
use super::likelihoods::{EngineModel, Weigher};
use crate::artifact;
use crate::data_sets::{DataSets, first_row};
use crate::endpoint;
use crate::judging::{check_task, question_about};
use crate::model_cost::{cost, weights_of_artifact};
use crate::model_prompt::ModelPrompt;
use crate::questioner::Asked;
use crate::task_table::{CarriedTasks, OutputType, TaskParam, TaskTable};
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{
    AddsTo, Carried, Effort, FirstPrompt, ImpliedInput, ImpliedParam, Input, InputSizes, Kind, Output, PortType, PromptInputs, Secret,
    Stage, StageContext, StageError,
};
use learn::dataset::{Prompt, Row};
use learn::engine::{self, Dtype, Engine};
use learn::model::Prompter;
use learn::sampler::Sampling;
use learn::scorer::Scoring;

/// The input with answers that a model is asked about.
const ABOUT: &str = "about";

pub(super) static KIND: Kind = Kind {
    name: "sample",
    version: 5,
    inputs: &[
        Input::maybe("model", PortType::Model),
        Input::maybe("data", PortType::Dataset),
        Input::maybe(ABOUT, PortType::Answers),
        Input::maybe(FEWSHOT, PortType::Dataset),
    ],
    free: false,
    outputs: &[Output::of("answers", PortType::Answers)],
    named: &[("prompt", "prompts"), ("task", "tasks")],
    command_line: None,
    gpus: None,
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
        ImpliedParam {
            path: &["task"],
            value: || Value::Null,
        },
        ImpliedParam {
            path: &["unnumbered"],
            value: || json!(Unnumbered::Refuse),
        },
    ],
    parse,
    schema: || schema_for!(Sample),
    follows_seed: true,
    effort,
    shares_worker: false,
};

/// Each answer takes a pass of the model for each of its tokens, whose number is thought to go with the size of the rows. A served model
/// counts as one of no weights.
fn effort(params: &Value, inputs: &InputSizes) -> Option<Effort> {
    let asks = params.get("ask").and_then(Value::as_array).map_or(1, |asks| asks.len().max(1));
    let samples = params.get("samples").and_then(Value::as_f64).unwrap_or(1.0);
    let answers = (inputs.at("data")? + inputs.at(ABOUT)?) * asks as f64 * samples;
    Some(Effort {
        unit: "bytes",
        work: answers * cost(weights_of_artifact(inputs.at("model")?)),
        size: answers,
    })
}

/// The requests to a model, and how its answers are drawn.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sample {
    /// The task, whose question is asked.
    pub task: Option<TaskParam>,
    /// Added to each row's full number of steps to get the requested number; if that is below 1, the full number is requested. Empty
    /// for models whose prompt names no number of steps.
    pub ask: Vec<i32>,
    /// What happens where the model's prompt names no number of steps, and `ask` gives one.
    pub unnumbered: Unnumbered,
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
    /// The prompt, as in `train`; left out, that of the model, and for a served one `plain`.
    #[serde(serialize_with = "write_prompt")]
    prompt: Option<Prompt>,
    /// Requests to the server at once.
    #[serde(skip_serializing)]
    #[schemars(range(min = 1))]
    concurrency: usize,
    /// The params that the stage gives itself; the task decides about the others.
    #[serde(skip)]
    given: Vec<String>,
}

/// What happens where a prompt names no number of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unnumbered {
    /// It is an error.
    #[default]
    Refuse,
    /// Each row is asked once, without a number.
    Ignore,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            task: None,
            ask: vec![-1, -2],
            unnumbered: Unnumbered::default(),
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
            given: Vec::new(),
        }
    }
}

fn parse(params: &ConfigValue, given: &[&str]) -> Result<Box<dyn Stage>, ParamError> {
    Ok(Box::new(Sample::read(params, given)?))
}

impl Sample {
    pub(super) fn read(params: &ConfigValue, given: &[&str]) -> Result<Self, ParamError> {
        let mut sample: Self = params.read()?;
        sample.given = params.as_table().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        if let Some(TaskParam(task)) = sample.task.clone() {
            sample.generate_as(&task);
            check_task(&task).map_err(|error| error.within("task"))?;
        }
        sample.check()?;
        sample.check_endpoint(given.contains(&"model"))?;
        Ok(sample)
    }

    /// The same requests, about problems of a task.
    ///
    /// # Errors
    /// When what the task says of generation does not fit them.
    pub(super) fn of_task(&self, task: &TaskTable) -> Result<Self, ParamError> {
        let mut own = self.clone();
        own.generate_as(task);
        own.check()?;
        Ok(own)
    }

    /// Takes over a task, and how it generates where the stage does not say.
    fn generate_as(&mut self, task: &TaskTable) {
        let is_open = |name: &str| !self.given.iter().any(|given| given == name);
        let generation = &task.generation_kwargs;
        if let Some(until) = generation.until.clone().filter(|_| is_open("stop")) {
            self.stop = until.into_list();
        }
        if is_open("temperature") {
            let drawn = generation.do_sample.unwrap_or(generation.temperature.is_some());
            self.temperature = if drawn { generation.temperature.unwrap_or(1.0) } else { 0.0 };
        }
        if generation.top_k.is_some() && is_open("top_k") {
            self.top_k = generation.top_k;
        }
        if generation.top_p.is_some() && is_open("top_p") {
            self.top_p = generation.top_p;
        }
        if let Some(tokens) = generation.max_gen_toks.filter(|_| is_open("max_tokens")) {
            self.max_tokens = tokens;
        }
        if let Some(repeats) = task.repeats.filter(|_| is_open("samples")) {
            self.samples = repeats;
        }
        self.task = Some(TaskParam(task.clone()));
    }

    /// The examples that the task needs come from here, where the stage does not say.
    fn fewshot_split(&self) -> Option<ImpliedInput> {
        let TaskParam(task) = self.task.as_ref()?;
        let split = task.fewshot_split.as_ref().filter(|_| task.needs_examples())?;
        Some(ImpliedInput {
            port: FEWSHOT,
            reference: split.clone(),
            given_by: format!("`fewshot_split = {split:?}` of the task `{}`", task.called()),
        })
    }

    /// The rows that are asked about: those of the data, or those that answers become for a model that grades them.
    fn rows(context: &StageContext<'_>) -> Result<Vec<Row>, StageError> {
        match context.list(ABOUT).first() {
            None => context.rows("data"),
            Some(path) => {
                let answers = artifact::answers::read(path).map_err(failed)?;
                Ok(answers.iter().map(question_about).collect())
            }
        }
    }

    /// What is asked about each row: the question of the task, or that of the row.
    fn texts(
        &self,
        rows: &[Row],
        in_chat: bool,
        examples: &[Row],
        pause: impl Fn(usize) -> Result<(), StageError>,
    ) -> Result<Vec<QuestionText>, StageError> {
        let Some(TaskParam(task)) = &self.task else {
            let text = |row: &Row| QuestionText {
                text: row.prompt.clone(),
                prefix: String::new(),
            };
            return Ok(rows.iter().map(text).collect());
        };
        let asked = asked_of_rows(task, in_chat, rows, examples, pause)?.into_iter();
        let text = |Asked { contexts, prefix, .. }| QuestionText {
            text: contexts.into_iter().next().unwrap_or_default(),
            prefix,
        };
        Ok(asked.map(text).collect())
    }

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

    /// The task, if its texts are scored, and nothing is generated.
    fn scored_task(&self) -> Option<&TaskTable> {
        let TaskParam(task) = self.task.as_ref()?;
        (task.output_type != OutputType::GenerateUntil).then_some(task)
    }

    /// Checks what depends on the task, once it is known: that its examples are there, and that the server can be asked.
    pub(super) fn check_task(&self, inputs: &Carried<'_>) -> Result<(), ParamError> {
        let in_records = self.prompt.as_ref().and_then(|prompt| prompt.chat.as_ref()?.messages.as_ref());
        let asks = |TaskParam(task): &TaskParam| task.doc_to_text.is_some() || task.num_fewshot > 0;
        if in_records.is_some() && self.task.as_ref().is_some_and(asks) {
            return Err(ParamError::new(
                "prompt",
                "with `chat.messages` a model is asked what the record has, and the task asks a question of its own: leave one of them out",
            ));
        }
        self.check_served_task()?;
        let Some(TaskParam(task)) = &self.task else { return Ok(()) };
        if !task.needs_examples() || !inputs.at(FEWSHOT).is_empty() {
            return Ok(());
        }
        let (name, number) = (task.called(), task.num_fewshot);
        Err(ParamError::whole(match &task.fewshot_split {
            // Inputs are found before tasks go along with data, so that a split counts where the stage names the task.
            Some(split) => format!(
                "the task `{name}`, which comes with the data, takes {number} examples for each question from `{split}` (its `fewshot_split`), \
                 but this stage does not name them: write `fewshot = {split:?}` here, or another data set with solved examples"
            ),
            None => format!(
                "`num_fewshot = {number}` of the task `{name}` needs examples: give the input `fewshot = \"STAGE.PORT\"`, or `fewshot_split` or `fewshot_config.samples` of the task"
            ),
        }))
    }

    /// What to ask of a model with this prompt.
    fn asked_of(&self, prompt: &Prompt) -> Result<&[i32], StageError> {
        match (prompt.is_numbered(), self.ask.is_empty()) {
            (false, false) if self.unnumbered == Unnumbered::Ignore => Ok(&[]),
            (false, false) => Err(failed(
                "the model's prompt names no number of steps; train it with `prompt = \"numbered\"`, or set `ask = []`",
            )),
            (true, true) => Err(failed(
                "the model's prompt names the number of steps, and `ask = []` gives none; `ask = [0]` is the full number",
            )),
            _ => Ok(&self.ask),
        }
    }

    fn sampling(&self, seed: u64) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            stop: self.stop.clone(),
            seed,
            engine: self.engine,
            dtype: self.dtype,
        }
    }
}

/// A prompt without a chat is its text, as it was in keys before there were chats.
fn write_prompt<S: Serializer>(prompt: &Option<Prompt>, serializer: S) -> Result<S::Ok, S::Error> {
    match prompt {
        Some(Prompt { template, chat: None }) => template.serialize(serializer),
        other => other.serialize(serializer),
    }
}

/// Refuses repeated numbers.
fn check_ask(ask: &[i32]) -> Result<(), ParamError> {
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
fn check_stop(stop: &[String]) -> Result<(), ParamError> {
    if stop.iter().any(String::is_empty) {
        return Err(ParamError::new("stop", "an empty text would end every response before it starts"));
    }
    Ok(())
}

impl Stage for Sample {
    /// Of the task, the question alone: how answers are judged is no matter of this stage.
    fn params(&self) -> Value {
        let question = self.task.as_ref().map(|TaskParam(task)| task.question());
        let question = question.filter(|question| *question != TaskTable::default());
        json!(Self {
            task: question.map(TaskParam),
            ..self.clone()
        })
    }

    fn carry(&mut self, inputs: &Carried<'_>) -> Result<Option<Value>, ParamError> {
        let tasks = match &self.task {
            Some(TaskParam(task)) => CarriedTasks::of(task.clone()),
            None => CarriedTasks::from(inputs.at("data")),
        };
        if let Some(task) = tasks.one() {
            *self = self.of_task(task)?;
        }
        self.check_task(inputs)?;
        Ok(tasks.into_value())
    }

    fn check_inputs(&self, inputs: &BTreeMap<String, usize>) -> Result<(), ParamError> {
        let has = |port: &str| inputs.get(port).is_some_and(|count| *count > 0);
        match (has("data"), has(ABOUT)) {
            (true, true) => Err(ParamError::whole("give `data` or `about`, not both")),
            (false, false) => Err(ParamError::whole(
                "the questions are missing: give the input `data`, or `about` with answers to be graded",
            )),
            _ => Ok(()),
        }
    }

    fn implied_inputs(&self) -> Vec<ImpliedInput> {
        self.fewshot_split().into_iter().collect()
    }

    /// Each answer depends on its row and on what is here alone.
    fn adds_to(&self) -> Option<AddsTo> {
        Some(AddsTo {
            params: &["samples", "max_failed"],
            inputs: &["data", ABOUT],
        })
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

    fn first_prompt(&self, inputs: &PromptInputs) -> Result<Option<FirstPrompt>, StageError> {
        let row = match inputs.list(ABOUT).first() {
            None => first_row(inputs, "data")?,
            Some(path) => {
                let mut answers = artifact::answers::lines(path).map_err(failed)?;
                let first = answers.next().ok_or_else(|| failed("there are no answers"))?;
                question_about(&first.map_err(failed)?)
            }
        };
        let mut examples = Vec::new();
        for path in inputs.list(FEWSHOT) {
            examples.extend(artifact::data_set::read(path).map_err(failed)?);
        }
        let known = inputs.model.as_ref().map(ModelPrompt::read).transpose()?;
        let prompt = self.prompt.as_ref().or(known.as_ref().map(|known| &known.prompt));
        let prompt = prompt.ok_or_else(|| failed("the model's own prompt is not known before the model is there"))?;
        let rows = std::slice::from_ref(&row);
        let texts = self.texts(rows, prompt.chat.is_some(), &examples, |_| Ok(()))?;
        let ask = match self.scored_task() {
            Some(_) => &[],
            None => self.asked_of(prompt)?,
        };
        let asked = questions(rows, &texts, ask, 1);
        let Some(first) = asked.first() else { return Ok(None) };
        let text = match &self.endpoint {
            Some(_) => endpoint::Asked::of(prompt, first).map_err(failed)?.to_string(),
            None => {
                let prompter = Prompter::new(prompt, known.as_ref().and_then(|known| known.chat.as_ref())).map_err(failed)?;
                let prompt = prompter.ask(&row, &first.asked.text, first.steps()).map_err(failed)?;
                prompt.answered_from(&first.asked.prefix).text
            }
        };
        Ok(Some(FirstPrompt { row: row.id.clone(), text }))
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        if let Some(endpoint) = &self.endpoint {
            return self.ask_server(endpoint, context);
        }
        let model = context.list("model").first();
        let model = open(model.ok_or_else(|| failed("the input `model` is missing; give it, or an `endpoint`"))?)?;
        let prompt = self.prompt.as_ref().unwrap_or(&model.prompt);
        let prompter = Prompter::new(prompt, model.chat.as_ref()).map_err(failed)?;
        let rows = Self::rows(context)?;
        if let Some(task) = self.scored_task() {
            let weigher = Weigher {
                context,
                prompter: &prompter,
                task,
                max_failed: self.max_failed,
            };
            let scoring = Scoring {
                engine: self.engine,
                dtype: self.dtype,
                prefix: None,
            };
            let model = &model;
            return context.write_answers("answers", &weigher.ask_engine(&rows, EngineModel { model, scoring })?);
        }
        let ask = self.asked_of(prompt)?;
        let texts = self.texts(&rows, prompter.is_chat(), &context.rows(FEWSHOT)?, |done| context.pause(done))?;
        let questions = questions(&rows, &texts, ask, self.samples);
        let kept = KeptAnswers::open(context)?;
        let asker = Asker {
            context,
            sampling: self.sampling(context.seed),
            max_tokens: self.max_tokens,
            max_failed: self.max_failed,
            prompter,
            model,
        };
        let answers = asker.answers(&questions, rows.len(), kept)?;
        context.write_answers("answers", &answers)
    }
}
