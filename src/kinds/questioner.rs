//! The question half of a task, ready to be asked: the text before a model's answer, put together as lm-evaluation-harness does
//! (`fewshot_context` and `build_qa_turn` in `lm_eval/api/task.py`, version 0.4.13).

use std::borrow::Cow;

use lab::config::ParamError;
use learn::dataset::{Doc, ExactValue, Row};
use learn::seed::Stream;

use crate::question::template::{ChoiceTemplates, Gold, Rendered, TaskTemplate, TemplateError, TemplateFields};
use crate::task_table::{FewshotSampler, OutputType, TaskTable, TextOrList};

/// The seed of the choice of examples, so that all stages of a task have the same.
const FEWSHOT_SEED: u64 = 1234;

/// Asks the questions of a task.
#[derive(Debug)]
pub struct Questioner {
    output: OutputType,
    description: Option<TaskTemplate>,
    /// `None` where the questions of the rows are asked as they are.
    text: Option<TaskTemplate>,
    choices: Option<ChoiceTemplates>,
    target: Option<TaskTemplate>,
    gen_prefix: Option<TaskTemplate>,
    target_delimiter: String,
    /// Whether the model answers in a chat.
    in_chat: bool,
    fewshot: Fewshot,
}

/// The examples before a question.
#[derive(Debug)]
struct Fewshot {
    count: usize,
    sampler: FewshotSampler,
    indices: Vec<usize>,
    /// Those that stand in the task.
    samples: Vec<Row>,
    delimiter: String,
}

/// What a model is asked about one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The text before the answer: for questions that are the choices themselves, one for each choice.
    pub contexts: Vec<String>,
    /// What the answer begins with, after the model's prompt.
    pub prefix: String,
    /// What may follow, with the delimiter before it; for `generate_until` nothing.
    pub continuations: Vec<String>,
}

/// A row with the fields that a template may name.
struct Named<'r> {
    row: &'r Row,
    fields: TemplateFields<'r>,
}

/// Why a row cannot be asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QuestionError {
    #[error("row `{row}`: `{field}`: {problem}")]
    Template {
        row: String,
        field: &'static str,
        problem: TemplateError,
    },
    #[error("row `{row}`: the question is number {number} of {count} choices, which do not have it")]
    NoChoice { row: String, number: i64, count: usize },
    #[error("`num_fewshot` is {wanted}, and there are {there} examples to take (the question itself is none)")]
    FewExamples { wanted: usize, there: usize },
    #[error("`fewshot_indices` has {0}, and there are {1} rows")]
    NoIndex(usize, usize),
    #[error(
        "`num_fewshot` is {0}, and nothing says where the examples come from: give the input `fewshot`, or `fewshot_split` or `fewshot_config.samples` of the task"
    )]
    NoExamples(usize),
}

impl Questioner {
    /// Reads the templates of a task.
    ///
    /// # Errors
    /// When one is wrong, with the field.
    pub fn new(task: &TaskTable) -> Result<Self, ParamError> {
        let template = |field: &str, text: &Option<String>| {
            let parse = |text: &String| TaskTemplate::parse(text, task.template).map_err(|error| ParamError::new(field, error.to_string()));
            text.as_ref().map(parse).transpose()
        };
        let choices = match &task.doc_to_choice {
            None => Ok(None),
            Some(TextOrList::Text(text)) => TaskTemplate::parse(text, task.template).map(|one| Some(ChoiceTemplates::One(Box::new(one)))),
            Some(TextOrList::List(texts)) => ChoiceTemplates::list(texts, task.template).map(Some),
        };
        let samples = task.fewshot_config.samples.iter().enumerate();
        Ok(Self {
            output: task.output_type,
            description: template("description", &task.description)?,
            text: template("doc_to_text", &task.doc_to_text)?,
            choices: choices.map_err(|error| ParamError::new("doc_to_choice", error.to_string()))?,
            target: template("doc_to_target", &task.doc_to_target)?,
            gen_prefix: template("gen_prefix", &task.gen_prefix)?,
            target_delimiter: task.target_delimiter.clone().unwrap_or_else(|| " ".to_owned()),
            in_chat: false,
            fewshot: Fewshot {
                count: task.num_fewshot,
                sampler: task.fewshot_config.sampler,
                indices: task.fewshot_config.fewshot_indices.clone(),
                samples: samples.map(|(place, record)| sample(place, record)).collect(),
                delimiter: task.fewshot_delimiter.clone().unwrap_or_else(|| "\n\n".to_owned()),
            },
        })
    }

    /// The same for a model that answers `in_chat`: between what the user says and the answer there is no delimiter.
    #[must_use]
    pub fn answered_in_chat(self, in_chat: bool) -> Self {
        Self { in_chat, ..self }
    }

    /// Whether examples from a data set are needed.
    pub fn needs_examples(&self) -> bool {
        self.fewshot.count > 0 && self.fewshot.samples.is_empty()
    }

    /// What is asked about a row; `examples` are those of the input `fewshot`.
    ///
    /// # Errors
    /// When a template cannot be filled in, or there are not enough examples.
    pub fn ask(&self, row: &Row, examples: &[Row]) -> Result<Asked, QuestionError> {
        let asked = &Named::of(row);
        if self.output == OutputType::LoglikelihoodRolling {
            return Ok(Asked {
                contexts: vec![String::new()],
                prefix: String::new(),
                continuations: vec![self.target(asked, None)?],
            });
        }
        let choices = self.choices_of(asked)?;
        let mut before = Self::text("description", self.description.as_ref(), asked)?.unwrap_or_default();
        for example in self.fewshot.choose(row, examples)? {
            let example = if self.fewshot.samples.is_empty() {
                Named::of(&example)
            } else {
                Named::sample(&example)
            };
            before.push_str(&self.example(&example)?);
        }
        let gen_prefix = Self::text("gen_prefix", self.gen_prefix.as_ref(), asked)?.unwrap_or_default();
        let context = |question: &str| format!("{before}{question}");
        let prefix = |question: &str, delimiter: &str| {
            let is_cut = !self.in_chat && !gen_prefix.is_empty() && needs_delimiter(question, &gen_prefix);
            format!("{}{gen_prefix}", if is_cut { delimiter } else { "" })
        };
        let is_cut = !self.in_chat || !(gen_prefix.is_empty() || gen_prefix.ends_with(char::is_whitespace));
        let follow = |text: &str| format!("{}{text}", if is_cut { self.target_delimiter.as_str() } else { "" });
        match self.question(asked, choices.as_deref())? {
            Rendered::Number(_) => {
                let target = self.target(asked, None)?;
                let contexts = choices.unwrap_or_default();
                Ok(Asked {
                    continuations: vec![follow(&target); contexts.len()],
                    prefix: prefix("", ""),
                    contexts: contexts.iter().map(|choice| context(choice)).collect(),
                })
            }
            question => {
                let question = text_of(question);
                let continuations: Vec<String> = match self.output {
                    OutputType::MultipleChoice => choices.unwrap_or_default().iter().map(|choice| follow(choice)).collect(),
                    // The harness gives the target as it is.
                    OutputType::Loglikelihood => vec![self.target(asked, choices.as_deref())?],
                    OutputType::GenerateUntil | OutputType::LoglikelihoodRolling => Vec::new(),
                };
                Ok(Asked {
                    contexts: vec![context(&question); continuations.len().max(1)],
                    prefix: prefix(&question, &self.target_delimiter),
                    continuations,
                })
            }
        }
    }

    /// The question of a row alone, without examples.
    ///
    /// # Errors
    /// When its template cannot be filled in.
    pub fn question_text(&self, row: &Row) -> Result<String, QuestionError> {
        let asked = &Named::of(row);
        let choices = self.choices_of(asked)?;
        self.question(asked, choices.as_deref()).map(|question| match (question, choices) {
            (Rendered::Number(_), Some(choices)) => choices.join("\n"),
            (question, _) => text_of(question),
        })
    }

    /// The choices of a row; `None` for a task without any.
    ///
    /// # Errors
    /// When a template cannot be filled in.
    pub fn choices(&self, row: &Row) -> Result<Option<Vec<String>>, QuestionError> {
        self.choices_of(&Named::of(row))
    }

    fn choices_of(&self, row: &Named<'_>) -> Result<Option<Vec<String>>, QuestionError> {
        let Some(choices) = &self.choices else { return Ok(None) };
        choices
            .render(&row.fields)
            .map(Some)
            .map_err(|problem| row.wrong("doc_to_choice", problem))
    }

    /// Which choices of a row are right.
    ///
    /// # Errors
    /// When a template cannot be filled in.
    pub fn gold(&self, row: &Row, choices: &[String]) -> Result<Gold, QuestionError> {
        let asked = &Named::of(row);
        let (template, field) = match self.question(asked, Some(choices))? {
            // The question is a choice: that one is right.
            Rendered::Number(_) => (&self.text, "doc_to_text"),
            _ => (&self.target, "doc_to_target"),
        };
        match template {
            Some(template) => template.gold(&asked.fields, choices).map_err(|problem| asked.wrong(field, problem)),
            None => {
                let answer = row.answer.text_or_number().unwrap_or_default();
                Ok(choices.iter().position(|choice| choice == answer).map_or(Gold::Nothing, Gold::One))
            }
        }
    }

    /// The right answers of a row, where they are texts: those of a list count each.
    ///
    /// # Errors
    /// When a template cannot be filled in.
    pub fn targets(&self, row: &Row) -> Result<Vec<String>, QuestionError> {
        let asked = &Named::of(row);
        let choices = self.choices_of(asked)?;
        let Some(template) = &self.target else {
            return Ok(vec![row.answer.plain_text()]);
        };
        let target = template
            .target(&asked.fields, choices.is_some())
            .map_err(|problem| asked.wrong("doc_to_target", problem))?;
        let text = |target: Rendered| Self::choice_or_text(row, target, choices.as_deref());
        match target {
            Rendered::Many(all) => all.into_iter().map(text).collect(),
            one => Ok(vec![text(one)?]),
        }
    }

    /// The right answer of a row as a text: the first where there are several, the choice where there are choices.
    ///
    /// # Errors
    /// When a template cannot be filled in.
    pub fn right_answer(&self, row: &Row) -> Result<String, QuestionError> {
        let choices = self.choices(row)?;
        if let Some(choices) = &choices
            && self.target.is_some()
        {
            let first = match self.gold(row, choices)? {
                Gold::One(place) => Some(place),
                Gold::Any(places) => places.first().copied(),
                Gold::Nothing => None,
            };
            if let Some(choice) = first.and_then(|place| choices.get(place)) {
                return Ok(choice.clone());
            }
        }
        self.target(&Named::of(row), choices.as_deref())
    }

    /// The first right answer of a row.
    fn target(&self, row: &Named<'_>, choices: Option<&[String]>) -> Result<String, QuestionError> {
        let Some(template) = &self.target else {
            return Ok(row.row.answer.plain_text());
        };
        let target = template
            .target(&row.fields, choices.is_some())
            .map_err(|problem| row.wrong("doc_to_target", problem))?;
        let first = match target {
            Rendered::Many(all) => all.into_iter().next().unwrap_or(Rendered::Text(String::new())),
            one => one,
        };
        Self::choice_or_text(row.row, first, choices)
    }

    fn choice_or_text(row: &Row, target: Rendered, choices: Option<&[String]>) -> Result<String, QuestionError> {
        match (target, choices) {
            (Rendered::Number(number), Some(choices)) => choice(row, number, choices),
            (other, _) => Ok(text_of(other)),
        }
    }

    fn question(&self, row: &Named<'_>, choices: Option<&[String]>) -> Result<Rendered, QuestionError> {
        let Some(template) = &self.text else {
            return Ok(Rendered::Text(row.row.prompt.clone()));
        };
        template
            .question(&row.fields, choices.is_some())
            .map_err(|problem| row.wrong("doc_to_text", problem))
    }

    /// An example with its answer and what stands after it.
    fn example(&self, row: &Named<'_>) -> Result<String, QuestionError> {
        let choices = self.choices_of(row)?;
        let (question, answer) = match self.question(row, choices.as_deref())? {
            Rendered::Number(number) => (
                choice(row.row, number, choices.as_deref().unwrap_or_default())?,
                self.target(row, None)?,
            ),
            question => (text_of(question), self.target(row, choices.as_deref())?),
        };
        let gen_prefix = Self::text("gen_prefix", self.gen_prefix.as_ref(), row)?.unwrap_or_default();
        let has_prefix = !gen_prefix.is_empty();
        let delimiter = match (answer.is_empty(), has_prefix) {
            (false, false) => self.target_delimiter.as_str(),
            (_, true) if needs_delimiter(&question, &gen_prefix) => self.target_delimiter.as_str(),
            _ => "",
        };
        let answer = joined(&gen_prefix, &answer);
        let end = if answer.is_empty() { "" } else { &self.fewshot.delimiter };
        Ok(format!("{question}{delimiter}{answer}{end}"))
    }

    fn text(field: &'static str, template: Option<&TaskTemplate>, row: &Named<'_>) -> Result<Option<String>, QuestionError> {
        let Some(template) = template else { return Ok(None) };
        template.render(&row.fields).map(Some).map_err(|problem| row.wrong(field, problem))
    }
}

/// A template of the task, filled in for a row; `field` is its name.
///
/// # Errors
/// When it cannot be filled in.
pub fn render(template: &TaskTemplate, row: &Row, field: &'static str) -> Result<String, QuestionError> {
    let row = Named::of(row);
    template.render(&row.fields).map_err(|problem| row.wrong(field, problem))
}

impl Fewshot {
    /// The examples for a row, which is none of them.
    fn choose(&self, row: &Row, examples: &[Row]) -> Result<Vec<Row>, QuestionError> {
        if self.count == 0 {
            return Ok(Vec::new());
        }
        let is_other = |example: &&Row| !(example.prompt == row.prompt && example.doc == row.doc);
        let mut pool: Vec<&Row> = if self.samples.is_empty() {
            let taken: Vec<&Row> = if self.indices.is_empty() {
                examples.iter().collect()
            } else {
                let at = |index: &usize| examples.get(*index).ok_or(QuestionError::NoIndex(*index, examples.len()));
                self.indices.iter().map(at).collect::<Result<_, _>>()?
            };
            taken.into_iter().filter(is_other).collect()
        } else {
            self.samples.iter().filter(is_other).collect()
        };
        if pool.is_empty() && examples.is_empty() && self.samples.is_empty() {
            return Err(QuestionError::NoExamples(self.count));
        }
        if pool.len() < self.count {
            return Err(QuestionError::FewExamples {
                wanted: self.count,
                there: pool.len(),
            });
        }
        if self.sampler == FewshotSampler::Default {
            Stream::new(FEWSHOT_SEED, &format!("fewshot {}", row.id)).shuffle(&mut pool);
        }
        Ok(pool.into_iter().take(self.count).cloned().collect())
    }
}

/// An example that stands in the task.
fn sample(place: usize, record: &serde_json::Map<String, serde_json::Value>) -> Row {
    let exact = |value: &serde_json::Value| serde_json::from_value(value.clone()).unwrap_or(ExactValue::Null);
    Row {
        id: format!("fewshot_config.samples[{place}]"),
        prompt: String::new(),
        completion: String::new(),
        step_num: 0,
        answer: ExactValue::Null,
        doc: record.iter().map(|(name, value)| (name.clone(), exact(value))).collect::<Doc>(),
    }
}

impl<'r> Named<'r> {
    /// The fields of the record, then those of the row.
    fn of(row: &'r Row) -> Self {
        let mut named = Self::sample(row);
        for name in Row::FIELDS {
            if let Some(value) = row.own(name) {
                named.fields.add(name, Cow::Owned(value));
            }
        }
        named
    }

    /// Those of the record alone: an example that stands in the task has no others.
    fn sample(row: &'r Row) -> Self {
        let fields = row.doc.fields().collect();
        Self { row, fields }
    }

    fn wrong(&self, field: &'static str, problem: TemplateError) -> QuestionError {
        let row = self.row.id.clone();
        QuestionError::Template { row, field, problem }
    }
}

fn choice(row: &Row, number: i64, choices: &[String]) -> Result<String, QuestionError> {
    let found = usize::try_from(number).ok().and_then(|place| choices.get(place));
    found.cloned().ok_or_else(|| QuestionError::NoChoice {
        row: row.id.clone(),
        number,
        count: choices.len(),
    })
}

fn text_of(rendered: Rendered) -> String {
    match rendered {
        Rendered::Text(text) => text,
        Rendered::Number(number) => number.to_string(),
        Rendered::Many(all) => all.into_iter().next().map(text_of).unwrap_or_default(),
    }
}

/// Whether neither text has a blank where they meet (`requires_delimiter` of the harness).
fn needs_delimiter(before: &str, after: &str) -> bool {
    !(before.is_empty() || before.ends_with(char::is_whitespace) || after.starts_with(char::is_whitespace))
}

/// Both texts, with a blank between them where neither has one (`maybe_delimit`).
fn joined(before: &str, after: &str) -> String {
    let blank = if !after.is_empty() && needs_delimiter(before, after) {
        " "
    } else {
        ""
    };
    format!("{before}{blank}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn examples_of_the_task_have_their_own_fields_alone() {
        let task: TaskTable = serde_json::from_value(json!({
            "doc_to_text": "Q: {{question}}{{prompt if prompt is defined else ''}}",
            "doc_to_target": "{{answer.split('#')[1] if answer is defined else target}}",
            "template": "jinja",
            "num_fewshot": 1,
            "fewshot_config": { "sampler": "first_n", "samples": [{ "question": "1 + 1", "target": "2" }] },
        }))
        .unwrap();
        let record = [("question", "2 + 2"), ("answer", "4#four"), ("prompt", "?")];
        let row = Row {
            doc: record.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect(),
            ..sample(0, &serde_json::Map::new())
        };
        let questioner = Questioner::new(&task).unwrap();
        assert_eq!(questioner.ask(&row, &[]).unwrap().contexts, ["Q: 1 + 1 2\n\nQ: 2 + 2?"]);
        assert_eq!(questioner.targets(&row).unwrap(), ["four"]);
    }
}
