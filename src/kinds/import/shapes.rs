//! The shapes of records that are known without `fields`, and the columns that were used.

use std::collections::BTreeMap;

use super::Import;
use super::mapping::{FieldSource, Mapping, shown};

/// How the question and the solution of a record were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RecordShape {
    /// The task makes them.
    Task,
    /// Columns of their own names, of those of the published form, or of those in `fields`.
    Columns,
    /// A chat in this column.
    Chat(&'static str),
    /// `question` and `answer`.
    Question,
    /// `instruction` and `output`, and perhaps `input`.
    Instruction { with_input: bool },
}

impl RecordShape {
    /// The shape of a record with these columns, which are neither a row's own nor a chat.
    pub(super) fn of(columns: &[String]) -> Option<Self> {
        let has = |name: &str| columns.iter().any(|column| column == name);
        if has("question") && has("answer") {
            return Some(Self::Question);
        }
        (has("instruction") && has("output")).then_some(Self::Instruction { with_input: has("input") })
    }

    /// The column with the solution.
    pub(super) fn completion(self) -> &'static str {
        match self {
            Self::Chat(name) => name,
            Self::Question => "answer",
            Self::Instruction { .. } => "output",
            Self::Task | Self::Columns => "completion",
        }
    }

    /// Whether a solution without `the answer is …` is the answer as a whole: nothing says that it has steps.
    pub(super) fn is_answer(self) -> bool {
        matches!(self, Self::Chat(_) | Self::Question | Self::Instruction { .. })
    }
}

/// Where the answer of a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AnswerFrom {
    Column,
    /// What the solution says last.
    Solution,
    /// All of the solution.
    Whole,
    /// The task.
    Task,
}

/// The columns that were used, with the number of rows.
#[derive(Debug, Default)]
pub(super) struct TakenFields(BTreeMap<(RecordShape, AnswerFrom, bool), u64>);

impl TakenFields {
    /// Counts a row; `numbered`: its id is the number of the record.
    pub(super) fn add(&mut self, shape: RecordShape, answer: AnswerFrom, numbered: bool) {
        *self.0.entry((shape, answer, numbered)).or_default() += 1;
    }

    /// A line for each way in which rows were made of records.
    pub(super) fn lines(&self, import: &Import, mapping: &Mapping) -> Vec<String> {
        let line = |((shape, answer, numbered), count): (&(RecordShape, AnswerFrom, bool), &u64)| {
            let rows = if *count == 1 { "row" } else { "rows" };
            let mut parts = texts(*shape, import, mapping);
            parts.extend(match answer {
                AnswerFrom::Column => Some(format!("answer = {}", given(mapping.answer.as_ref(), "answer"))),
                AnswerFrom::Solution => Some("answer = what the completion says last".to_owned()),
                AnswerFrom::Whole => Some("answer = the whole completion".to_owned()),
                AnswerFrom::Task => None,
            });
            parts.push(if *numbered {
                "id = the number of the record".to_owned()
            } else {
                format!("id = {}", given(mapping.id.as_ref(), "id"))
            });
            format!("{count} {rows}: {}", parts.join(", "))
        };
        self.0.iter().map(line).collect()
    }
}

/// What the question and the solution were taken from.
fn texts(shape: RecordShape, import: &Import, mapping: &Mapping) -> Vec<String> {
    let task = import.table().map_or("", |table| table.called());
    let pair = |prompt: String, completion: String| vec![format!("prompt = {prompt}"), format!("completion = {completion}")];
    match shape {
        // Its name is no part of the key, and so none of the record.
        RecordShape::Task => vec!["prompt, completion and answer as the task makes them".to_owned()],
        RecordShape::Columns => {
            let published = import.published().map(crate::task::PublishedTask::fields);
            let usual = published.unwrap_or_default();
            let mut parts = pair(
                given(mapping.prompt.as_ref(), usual.prompt.unwrap_or("prompt")),
                given(mapping.completion.as_ref(), usual.completion.unwrap_or("completion")),
            );
            if let (Some(_), Some(completion)) = (published, parts.last_mut()) {
                *completion += &format!(", in the form of `{task}`");
            }
            parts
        }
        RecordShape::Chat(column) => pair(format!("the user in `{column}`"), format!("the assistant in `{column}`")),
        RecordShape::Question => pair(shown("question"), shown("answer")),
        RecordShape::Instruction { with_input: false } => pair(shown("instruction"), shown("output")),
        RecordShape::Instruction { with_input: true } => pair(format!("{:?}", "{{instruction}}\n\n{{input}}"), shown("output")),
    }
}

fn given(source: Option<&FieldSource>, usual: &str) -> String {
    source.map_or_else(|| shown(usual), FieldSource::shown)
}
