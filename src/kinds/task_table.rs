//! The table of a task: an entry of `[tasks]`, or a task that the program has, by its name. docs/task-tables.md describes the fields.
//!
//! A table has two halves. The *question* is in the key of what generates answers, the *scoring* in that of what judges them.

use std::fmt;

use lab::config::ParamError;
use lab::stage::CarriedFrom;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::question::template::TemplateLanguage;
use crate::scoring::{MetricName, MetricSpec, NamedFilterSpec};
use crate::task::{self, Task};

/// A task. Fields at their defaults are not written, so that a field that is added later changes no key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskTable {
    /// A task that the program has: `gsm8k`.
    #[serde(skip_serializing_if = "is_default")]
    pub name: Option<String>,
    /// What it is called in `[tasks]`, for messages; in no key.
    #[serde(skip_serializing)]
    #[schemars(skip)]
    label: Option<String>,
    /// What a model is asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub output_type: OutputType,
    /// A text before everything else.
    #[serde(skip_serializing_if = "is_default")]
    pub description: Option<String>,
    /// The question: `What is the capital of {{country}}?`
    #[serde(skip_serializing_if = "is_default")]
    pub doc_to_text: Option<String>,
    /// The choices: a list of texts, or a field that is a list: `{{choices}}`.
    #[serde(skip_serializing_if = "is_default")]
    pub doc_to_choice: Option<TextOrList>,
    /// The right answer: `{{capital}}`; with choices, its number from 0 or its text.
    #[serde(skip_serializing_if = "is_default")]
    pub doc_to_target: Option<String>,
    /// A full solution, on which a model is trained; left out, the right answer.
    #[serde(skip_serializing_if = "is_default")]
    pub doc_to_solution: Option<String>,
    /// What stands between a question and its target or a choice; a blank if left out.
    #[serde(skip_serializing_if = "is_default")]
    pub target_delimiter: Option<String>,
    /// The beginning of the answer, which the model is given.
    #[serde(skip_serializing_if = "is_default")]
    pub gen_prefix: Option<String>,
    /// Solved examples before the question.
    #[serde(skip_serializing_if = "is_default")]
    pub num_fewshot: usize,
    /// The data set that they come from: `cases.train`. In no key: its content is.
    #[serde(skip_serializing_if = "is_default")]
    pub fewshot_split: Option<String>,
    /// Which examples are taken.
    #[serde(skip_serializing_if = "is_default")]
    pub fewshot_config: FewshotConfig,
    /// What stands after each example; an empty line if left out.
    #[serde(skip_serializing_if = "is_default")]
    pub fewshot_delimiter: Option<String>,
    /// How answers are generated, where the stage does not say.
    #[serde(skip_serializing_if = "is_default")]
    pub generation_kwargs: GenerationParams,
    /// Answers to each question, where the stage does not say.
    #[serde(skip_serializing_if = "is_default")]
    pub repeats: Option<u32>,
    /// The language of the templates.
    #[serde(skip_serializing_if = "is_default")]
    pub template: TemplateLanguage,
    /// An answer begins after the last of this text: `</think>`.
    #[serde(skip_serializing_if = "is_default")]
    pub think_end: Option<String>,
    /// How answers are read out of responses.
    #[serde(skip_serializing_if = "is_default")]
    pub filter_list: Vec<NamedFilterSpec>,
    /// How answers are judged.
    #[serde(skip_serializing_if = "is_default")]
    pub metric_list: Vec<MetricSpec>,
    /// Which filter and which metric decide whether an answer is right; left out, the first of both.
    #[serde(skip_serializing_if = "is_default")]
    pub verdict: VerdictChoice,
    /// What a step of a solution is.
    #[serde(skip_serializing_if = "is_default")]
    pub steps: StepRule,
    /// A text that ends the steps: `####`. Left out, `Thus, the`.
    #[serde(skip_serializing_if = "is_default")]
    pub steps_end: Option<String>,
    /// Fields of the records by which scores are grouped.
    #[serde(skip_serializing_if = "is_default")]
    pub groups: Vec<String>,
    /// Responses with what is to come of them. In no key.
    #[serde(skip_serializing)]
    pub examples: Vec<TaskExample>,
}

/// What a step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepRule {
    /// A line.
    #[default]
    Lines,
    /// An item of a list: `1. …`, `- …`, `Step 2: …`.
    Numbered,
    /// There are none: the number of words stands for theirs.
    None,
}

/// Which filter and which metric decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerdictChoice {
    #[serde(skip_serializing_if = "is_default")]
    pub filter: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub metric: Option<String>,
}

/// A response, and what is to come of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskExample {
    /// What a model wrote.
    pub response: String,
    /// The right answer.
    pub target: String,
    /// What is read out of the response; left out, whatever it is. An empty text: nothing.
    #[serde(default)]
    pub answer: Option<String>,
    /// Whether it is right.
    pub correct: bool,
    /// The filter that reads it; left out, that of the verdict.
    #[serde(default)]
    pub filter: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a model is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputType {
    /// A text.
    #[default]
    GenerateUntil,
    /// The log-likelihood of each choice.
    MultipleChoice,
    /// The log-likelihood of the target.
    Loglikelihood,
    /// The log-likelihood of the whole target, without a question.
    LoglikelihoodRolling,
}

/// One text, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub enum TextOrList {
    Text(String),
    List(Vec<String>),
}

/// Which examples stand before a question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FewshotConfig {
    /// How they are chosen.
    #[serde(skip_serializing_if = "is_default")]
    pub sampler: FewshotSampler,
    /// The examples themselves, as records, in place of a data set.
    #[serde(skip_serializing_if = "is_default")]
    pub samples: Vec<serde_json::Map<String, Value>>,
    /// The rows of the data set that may be taken, from 0; all if there are none.
    #[serde(skip_serializing_if = "is_default")]
    pub fewshot_indices: Vec<usize>,
}

/// How examples are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FewshotSampler {
    /// At random, for each question anew.
    #[default]
    Default,
    /// The first, for all questions.
    FirstN,
}

/// How answers are generated, in the harness's words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GenerationParams {
    /// Texts that end a response.
    #[serde(skip_serializing_if = "is_default")]
    pub until: Option<TextOrList>,
    /// Whether answers are drawn; otherwise, and if left out with no temperature, the likeliest token is taken.
    #[serde(skip_serializing_if = "is_default")]
    pub do_sample: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "is_default")]
    pub top_k: Option<usize>,
    #[serde(skip_serializing_if = "is_default")]
    pub top_p: Option<f64>,
    /// The longest response, in tokens.
    #[serde(skip_serializing_if = "is_default")]
    pub max_gen_toks: Option<usize>,
}

impl TextOrList {
    /// The texts.
    pub fn into_list(self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text],
            Self::List(texts) => texts,
        }
    }
}

impl Serialize for TextOrList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(texts) => texts.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TextOrList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = TextOrList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TextOrList, E> {
                Ok(TextOrList::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<TextOrList, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(TextOrList::List(texts))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for TextOrList {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TextOrList".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
    }
}

impl TaskTable {
    /// A task that the program has.
    pub fn known(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// What it is called, for messages.
    pub fn called(&self) -> &str {
        self.label.as_deref().or(self.name.as_deref()).unwrap_or("without a name")
    }

    /// Whether solved examples come before the question, and the task does not have them itself.
    pub fn needs_examples(&self) -> bool {
        self.num_fewshot > 0 && self.fewshot_config.samples.is_empty()
    }

    /// The task that the program has, where the table names one.
    pub fn as_known(&self) -> Option<&'static dyn Task> {
        let name = self.name.as_deref()?;
        task::tasks().iter().copied().find(|task| task.name() == name)
    }

    /// Checks what reading the fields cannot.
    ///
    /// # Errors
    /// When a name is unknown, a template is wrong, or fields do not fit one another.
    pub fn check(&self) -> Result<(), ParamError> {
        if let Some(name) = &self.name
            && self.as_known().is_none()
        {
            return Err(ParamError::unknown_name("name", name, task::names()));
        }
        self.check_choices()
    }

    fn check_choices(&self) -> Result<(), ParamError> {
        let wrong = |field: &str, message: &str| Err(ParamError::new(field, message));
        match self.output_type {
            OutputType::MultipleChoice if self.doc_to_choice.is_none() => wrong(
                "output_type",
                "`multiple_choice` needs the choices: `doc_to_choice = \"{{choices}}\"` or a list of texts",
            ),
            OutputType::Loglikelihood | OutputType::LoglikelihoodRolling if self.doc_to_target.is_none() => wrong(
                "output_type",
                "the text whose log-likelihood is wanted is missing: `doc_to_target = \"{{text}}\"`",
            ),
            OutputType::LoglikelihoodRolling if self.num_fewshot > 0 => wrong(
                "num_fewshot",
                "`loglikelihood_rolling` reads texts without a question, and so without examples",
            ),
            _ => Ok(()),
        }
    }

    /// The half that is in the key of what generates answers; empty where the questions of the rows are asked as they are.
    #[must_use]
    pub fn question(&self) -> Self {
        let with_target = self.num_fewshot > 0 || !matches!(self.output_type, OutputType::GenerateUntil);
        Self {
            output_type: self.output_type,
            description: self.description.clone(),
            doc_to_text: self.doc_to_text.clone(),
            doc_to_choice: self.doc_to_choice.clone().filter(|_| with_target),
            doc_to_target: self.doc_to_target.clone().filter(|_| with_target),
            target_delimiter: self.target_delimiter.clone().filter(|_| with_target),
            gen_prefix: self.gen_prefix.clone(),
            num_fewshot: self.num_fewshot,
            fewshot_config: if self.num_fewshot > 0 {
                self.fewshot_config.clone()
            } else {
                FewshotConfig::default()
            },
            fewshot_delimiter: self.fewshot_delimiter.clone().filter(|_| self.num_fewshot > 0),
            template: self.language(),
            metric_list: if self.wants_unconditional() {
                self.unconditional_metrics()
            } else {
                Vec::new()
            },
            ..Self::default()
        }
        .or_nothing()
    }

    /// Whether the log-likelihoods of choices without their question are needed: a metric compares with them.
    pub fn wants_unconditional(&self) -> bool {
        !self.unconditional_metrics().is_empty()
    }

    fn unconditional_metrics(&self) -> Vec<MetricSpec> {
        let of_choices = self.metric_list.iter().filter(|_| self.output_type == OutputType::MultipleChoice);
        of_choices
            .filter(|metric| metric.metric == MetricName::AccMutualInfo)
            .cloned()
            .collect()
    }

    /// The half that is in the key of what judges answers.
    #[must_use]
    pub fn scoring(&self) -> Self {
        Self {
            name: self.name.clone(),
            output_type: self.output_type,
            // A question may be the number of a choice, which then is the right one.
            doc_to_text: self.doc_to_text.clone().filter(|_| self.doc_to_choice.is_some()),
            doc_to_choice: self.doc_to_choice.clone(),
            doc_to_target: self.doc_to_target.clone(),
            template: self.language(),
            think_end: self.think_end.clone(),
            filter_list: self.filter_list.clone(),
            metric_list: self.metric_list.clone(),
            verdict: self.verdict.clone(),
            steps: self.steps,
            steps_end: self.steps_end.clone(),
            groups: self.groups.clone(),
            ..Self::default()
        }
        .or_nothing()
    }

    /// Whether the table says itself how answers are judged.
    pub fn says_how_to_judge(&self) -> bool {
        let own = self.scoring();
        own != Self {
            name: own.name.clone(),
            groups: own.groups.clone(),
            ..Self::default()
        }
    }

    /// What `import` makes rows with.
    #[must_use]
    pub fn rows(&self) -> Self {
        Self {
            doc_to_text: self.doc_to_text.clone(),
            doc_to_choice: self.doc_to_choice.clone(),
            doc_to_target: self.doc_to_target.clone(),
            doc_to_solution: self.doc_to_solution.clone(),
            template: self.language(),
            steps: self.steps,
            steps_end: self.steps_end.clone(),
            ..Self::default()
        }
        .or_nothing()
    }

    /// The templates that make rows, with the names of their fields.
    pub fn row_templates(&self) -> Vec<(&'static str, &str)> {
        let choices = match &self.doc_to_choice {
            None => Vec::new(),
            Some(TextOrList::Text(text)) => vec![text.as_str()],
            Some(TextOrList::List(texts)) => texts.iter().map(String::as_str).collect(),
        };
        let one = [
            ("doc_to_text", &self.doc_to_text),
            ("doc_to_target", &self.doc_to_target),
            ("doc_to_solution", &self.doc_to_solution),
        ];
        let one = one.into_iter().filter_map(|(field, text)| Some((field, text.as_deref()?)));
        one.chain(choices.into_iter().map(|text| ("doc_to_choice", text))).collect()
    }

    fn language(&self) -> TemplateLanguage {
        self.template
    }

    /// Without the language of templates where there is none.
    fn or_nothing(self) -> Self {
        let bare = Self {
            template: TemplateLanguage::default(),
            ..self.clone()
        };
        let has_template = [
            &bare.description,
            &bare.doc_to_text,
            &bare.doc_to_target,
            &bare.doc_to_solution,
            &bare.gen_prefix,
        ]
        .into_iter()
        .any(Option::is_some);
        if has_template || bare.doc_to_choice.is_some() { self } else { bare }
    }
}

/// A task as a stage names it: `"gsm8k"`, `"mine"`, `{ name = "mine", num_fewshot = 5 }`. What is in `[tasks]` is there already.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskParam(pub TaskTable);

impl Serialize for TaskParam {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TaskParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = TaskParam;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a task or a table")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<TaskParam, E> {
                Ok(TaskParam(TaskTable::known(name)))
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<TaskParam, A::Error> {
                TaskTable::deserialize(MapAccessDeserializer::new(fields)).map(TaskParam)
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for TaskParam {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Task".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<TaskTable>();
        json_schema!({"anyOf": [{"type": "string"}, table]})
    }
}

/// The tasks of a stage that judges: one, or one for each of its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskParams(pub Vec<TaskTable>);

impl TaskParams {
    /// The tasks, of which one alone is that of all inputs.
    pub fn for_inputs(&self, count: usize) -> Vec<TaskTable> {
        match self.0.as_slice() {
            [one] => vec![one.clone(); count],
            all => all.to_vec(),
        }
    }
}

impl Serialize for TaskParams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [first, rest @ ..] if rest.iter().all(|task| task == first) => first.serialize(serializer),
            all => all.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TaskParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = TaskParams;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a task, a table, or a list of them")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<TaskParams, E> {
                Ok(TaskParams(vec![TaskTable::known(name)]))
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<TaskParams, A::Error> {
                let task = TaskTable::deserialize(MapAccessDeserializer::new(fields))?;
                Ok(TaskParams(vec![task]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<TaskParams, A::Error> {
                let mut tasks = Vec::new();
                while let Some(TaskParam(task)) = items.next_element()? {
                    tasks.push(task);
                }
                Ok(TaskParams(tasks))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for TaskParams {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Tasks".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<TaskParam>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one}]})
    }
}

/// The tasks that data are of, as they go along the edges of the graph: each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct CarriedTasks(Vec<TaskTable>);

impl CarriedTasks {
    pub(crate) fn of(task: TaskTable) -> Self {
        Self(vec![task])
    }

    /// Those of data of several stages.
    pub(crate) fn from<'a>(inputs: impl IntoIterator<Item = &'a CarriedFrom<'a>>) -> Self {
        let mut all = Self::default();
        for tasks in inputs.into_iter().filter_map(|input| input.value?.as_array()) {
            for value in tasks {
                let Ok(task) = TaskTable::deserialize(value) else { continue };
                if !all.0.iter().any(|other| other.is_same(&task)) {
                    all.0.push(task);
                }
            }
        }
        all
    }

    /// As a value that goes along.
    pub(crate) fn into_value(self) -> Option<Value> {
        let labelled = |task: &TaskTable| {
            let mut value = json!(task);
            if let (Some(label), Some(fields)) = (&task.label, value.as_object_mut()) {
                fields.insert("label".to_owned(), json!(label));
            }
            value
        };
        let all: Vec<Value> = self.0.iter().map(labelled).collect();
        (!all.is_empty()).then(|| all.into())
    }

    /// The one task that there is.
    pub(crate) fn one(&self) -> Option<&TaskTable> {
        match self.0.as_slice() {
            [task] => Some(task),
            _ => None,
        }
    }

    /// The task of data that are judged; `of` names these in messages.
    ///
    /// # Errors
    /// When they have none, or several.
    pub(crate) fn judged(&self, of: &str) -> Result<&TaskTable, ParamError> {
        let names = || self.0.iter().map(TaskTable::called).collect::<Vec<_>>().join("`, `");
        self.one().ok_or_else(|| {
            ParamError::whole(match self.0.len() {
                0 => format!(
                    "nothing says how answers to `{of}` are judged: name its task here (`task = \"…\"`) or where it is imported (known: `{}`, and the entries of `[tasks]`)",
                    task::names().join("`, `")
                ),
                _ => format!("`{of}` has rows of several tasks (`{}`): judge those of each in a stage of its own", names()),
            })
        })
    }
}

impl TaskTable {
    /// Whether it is the same task, whatever it is called.
    fn is_same(&self, other: &Self) -> bool {
        json!(self) == json!(other)
    }
}
