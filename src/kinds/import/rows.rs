//! The rows that an import makes of records.

use std::collections::HashSet;
use std::path::Path;

use learn::dataset::{DatasetError, Doc, ExactValue, JsonLinesWriter, Row};

use super::Import;
use super::error::ImportRecordError;
use super::mapping::{self, FieldSource, Mapping};
use super::shapes::{AnswerFrom, RecordShape, TakenFields};
use super::task_rows::TaskRows;
use crate::foreign::{self, FieldError, ForeignRecord};
use crate::metrics;
use crate::task::PublishedTask;
use lab::stage::{StageContext, StageError, failed};

/// The ids of the rows that have been read, and the writer for the next ones.
pub(super) struct ImportedRows<'a> {
    import: &'a Import,
    mapping: Mapping,
    taken: TakenFields,
    published: Option<&'static dyn PublishedTask>,
    /// Of a task of `[tasks]`.
    task: Option<TaskRows>,
    ids: HashSet<String>,
    writer: JsonLinesWriter,
    stopped: bool,
}

impl<'a> ImportedRows<'a> {
    pub(super) fn create(import: &'a Import, path: &Path) -> Result<Self, StageError> {
        Ok(Self {
            import,
            mapping: Mapping::read(&import.fields).map_err(failed)?,
            taken: TakenFields::default(),
            published: import.published(),
            task: TaskRows::new(import).map_err(failed)?,
            ids: HashSet::new(),
            writer: JsonLinesWriter::create(path).map_err(failed)?,
            stopped: false,
        })
    }

    /// Whether the stage was stopped.
    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn count(&self) -> u64 {
        self.ids.len() as u64
    }

    pub(super) fn finish(self) -> Result<(), DatasetError> {
        self.writer.finish()
    }

    pub(super) fn take(&mut self, record: &ForeignRecord, context: &StageContext<'_>) -> Result<(), ImportRecordError> {
        if context.pause(self.ids.len()).is_err() {
            self.stopped = true;
            return Err(ImportRecordError::Stopped);
        }
        let values = if self.mapping.has_templates() { Some(doc(record)?) } else { None };
        let record = SourceRecord {
            record,
            values: values.unwrap_or_default(),
        };
        let given = self.optional(&record, self.mapping.id.as_ref(), "id")?;
        let is_number = given.is_none();
        let id = given.map_or_else(|| (self.ids.len() + 1).to_string(), |id| id.plain_text());
        let (row, shape, answer) = self.row(&record, id)?;
        if !self.ids.insert(row.id.clone()) {
            return Err(ImportRecordError::RepeatedId(row.id, is_number));
        }
        self.taken.add(shape, answer, is_number);
        Ok(self.writer.write(&row)?)
    }

    /// The columns that were used, in lines for people.
    pub(super) fn taken(&self) -> Vec<String> {
        self.taken.lines(self.import, &self.mapping)
    }

    fn row(&self, source: &SourceRecord<'_>, id: String) -> Result<(Row, RecordShape, AnswerFrom), ImportRecordError> {
        let (record, names) = (source.record, &self.mapping);
        if let Some(task) = &self.task {
            let step_num = self.optional(source, names.step_num.as_ref(), "step_num")?;
            let row = task.row(id, doc(record)?, step_num.map(step_number).transpose()?)?;
            let row = if self.import.doc { row } else { without_doc(row) };
            return Ok((row, RecordShape::Task, AnswerFrom::Task));
        }
        let (shape, prompt, completion) = self.texts(source)?;
        if let (Some(published), Some(task)) = (self.published, self.import.table()) {
            let row = published.row(format!("{}/{id}", task.called()), prompt, &completion)?;
            return Ok((row, shape, AnswerFrom::Task));
        }
        let step_num = match self.optional(source, names.step_num.as_ref(), "step_num")? {
            Some(value) => step_number(value)?,
            None => metrics::read_solution(&completion).steps,
        };
        let (answer, from) = self.answer(source, shape, &completion)?;
        let row = Row {
            id,
            prompt,
            completion,
            step_num,
            answer,
            doc: Doc::default(),
        };
        let row = if self.import.doc { row.with_doc(doc(record)?) } else { row };
        Ok((row, shape, from))
    }

    /// The right answer: that of its column, or what the solution says.
    fn answer(
        &self,
        source: &SourceRecord<'_>,
        shape: RecordShape,
        completion: &str,
    ) -> Result<(ExactValue, AnswerFrom), ImportRecordError> {
        // The solution of a record with a question and an answer.
        let is_solution = shape == RecordShape::Question && self.mapping.answer.is_none();
        let answer = if is_solution {
            None
        } else {
            self.optional(source, self.mapping.answer.as_ref(), "answer")?
        };
        if let Some(answer) = answer {
            return Ok((answer, AnswerFrom::Column));
        }
        match metrics::read_solution(completion).answer {
            Some(answer) => Ok((answer.into(), AnswerFrom::Solution)),
            None if completion.trim().is_empty() => {
                let name = match &self.mapping.completion {
                    Some(FieldSource::Name(name)) => name.as_str(),
                    _ => shape.completion(),
                };
                Err(ImportRecordError::Empty {
                    name: name.to_owned(),
                    what: "empty",
                })
            }
            None if shape.is_answer() => Ok((completion.trim().into(), AnswerFrom::Whole)),
            None => Err(ImportRecordError::NoAnswer),
        }
    }

    /// The question and the solution. Where neither is given, and the record has no column of its own for either, they are those of a chat,
    /// of a question with its answer, or of an instruction.
    fn texts(&self, source: &SourceRecord<'_>) -> Result<(RecordShape, String, String), ImportRecordError> {
        let (record, names) = (source.record, &self.mapping);
        let by_task = self.published.map(PublishedTask::fields).unwrap_or_default();
        let usual = (by_task.prompt.unwrap_or("prompt"), by_task.completion.unwrap_or("completion"));
        let own = record.names();
        let is_own = |name: &str| own.iter().any(|other| other == name);
        let is_named = names.prompt.is_some() || names.completion.is_some() || is_own(usual.0) || is_own(usual.1);
        if !is_named {
            let chat = foreign::chat(record).map_err(|(name, problem)| ImportRecordError::Field {
                name: name.to_owned(),
                problem,
            });
            if let Some(chat) = chat? {
                return Ok((RecordShape::Chat(chat.field), chat.prompt, chat.completion));
            }
            let column = |name: &str| required(source, name);
            match RecordShape::of(&own) {
                Some(shape @ RecordShape::Question) => return Ok((shape, column("question")?, column(shape.completion())?)),
                Some(shape @ RecordShape::Instruction { .. }) => {
                    let mut prompt = column("instruction")?;
                    let input = optional(source, None, "input")?.map(|input| input.plain_text()).unwrap_or_default();
                    if !input.is_empty() {
                        prompt += &format!("\n\n{input}");
                    }
                    return Ok((shape, prompt, column(shape.completion())?));
                }
                _ => {}
            }
        }
        let prompt = self.required(source, names.prompt.as_ref(), "prompt", usual.0)?;
        let completion = self.required(source, names.completion.as_ref(), "completion", usual.1)?;
        Ok((RecordShape::Columns, prompt, completion))
    }

    /// The value of a field that a record may lack: `None` if no column is given for it, and none of the usual name is left and not empty.
    fn optional(
        &self,
        source: &SourceRecord<'_>,
        given: Option<&FieldSource>,
        usual: &'static str,
    ) -> Result<Option<ExactValue>, ImportRecordError> {
        match given {
            Some(FieldSource::Template(template)) => Ok(Some(mapping::fill(usual, template, &source.values)?.into())),
            Some(FieldSource::Name(name)) => optional(source, Some(name), usual),
            None if self.mapping.names(usual) => Ok(None),
            None => optional(source, None, usual),
        }
    }

    /// The text of the field `name`, which every record has.
    fn required(
        &self,
        source: &SourceRecord<'_>,
        given: Option<&FieldSource>,
        name: &'static str,
        usual: &str,
    ) -> Result<String, ImportRecordError> {
        match given {
            Some(FieldSource::Template(template)) => return mapping::fill(name, template, &source.values),
            Some(FieldSource::Name(given)) => return required(source, given),
            None => {}
        }
        // An id or an answer may be the question or the solution as well.
        let others = [&self.mapping.prompt, &self.mapping.completion];
        let is_usual = |other: &FieldSource| matches!(other, FieldSource::Name(other) if other == usual);
        if others.into_iter().flatten().any(is_usual) {
            let column = usual.to_owned();
            return Err(ImportRecordError::Taken { name, column });
        }
        required(source, usual)
    }
}

/// A record, and its fields as values where templates need them.
struct SourceRecord<'r> {
    record: &'r ForeignRecord,
    values: Vec<(String, ExactValue)>,
}

fn without_doc(row: Row) -> Row {
    Row {
        doc: Doc::default(),
        ..row
    }
}

/// All fields of a record that have a value in JSON.
fn doc(record: &ForeignRecord) -> Result<Vec<(String, ExactValue)>, ImportRecordError> {
    let mut fields: Vec<(String, ExactValue)> = Vec::with_capacity(record.0.len());
    for (name, field) in &record.0 {
        if fields.iter().any(|(other, _)| other == name) {
            return Err(ImportRecordError::Repeated(name.clone()));
        }
        let value = field.clone().exact().map_err(|problem| ImportRecordError::Field {
            name: name.clone(),
            problem,
        })?;
        fields.extend(value.map(|value| (name.clone(), value)));
    }
    Ok(fields)
}

/// The value of the field with this name or path; `None` within `Some` if it is null.
fn field(record: &ForeignRecord, name: &str) -> Result<Option<Option<ExactValue>>, ImportRecordError> {
    let found = record.get(name).map_err(|problem| match problem {
        FieldError::Repeated(repeated) => ImportRecordError::Repeated(repeated),
        problem => ImportRecordError::Path {
            name: name.to_owned(),
            problem,
        },
    })?;
    let value = found.map(|field| field.into_owned().value()).transpose();
    value.map_err(|problem| ImportRecordError::Field {
        name: name.to_owned(),
        problem,
    })
}

/// The value of a field that a record may lack: `None` if no name is given for it and there is no field of the usual name, or an empty one.
fn optional(source: &SourceRecord<'_>, given: Option<&str>, usual: &str) -> Result<Option<ExactValue>, ImportRecordError> {
    let (record, name) = (source.record, given.unwrap_or(usual));
    let value = field(record, name)?;
    let what = match value {
        Some(Some(value)) if value.as_str() != Some("") => return Ok(Some(value)),
        Some(Some(_)) => "empty",
        Some(None) => "null",
        None if given.is_some() => return Err(no_field(record, name)),
        None => return Ok(None),
    };
    match given {
        Some(name) => Err(ImportRecordError::Empty {
            name: name.to_owned(),
            what,
        }),
        None => Ok(None),
    }
}

/// The text of a field that every record has.
fn required(source: &SourceRecord<'_>, name: &str) -> Result<String, ImportRecordError> {
    match field(source.record, name)? {
        Some(Some(value)) => Ok(value.plain_text()),
        Some(None) => Err(ImportRecordError::Empty {
            name: name.to_owned(),
            what: "null",
        }),
        None => Err(no_field(source.record, name)),
    }
}

fn no_field(record: &ForeignRecord, name: &str) -> ImportRecordError {
    let (name, known) = (name.to_owned(), record.names());
    if known.is_empty() {
        return ImportRecordError::NoFields { name };
    }
    ImportRecordError::NoField { name, known }
}

fn step_number(value: ExactValue) -> Result<u32, ImportRecordError> {
    // Where a column has gaps, some programs write its whole numbers as 3.0.
    let whole = match &value {
        ExactValue::Number(number) => number.whole(),
        _ => None,
    };
    let number = whole.or(value.text_or_number()).and_then(|text| text.trim().parse().ok());
    number.ok_or(ImportRecordError::StepNumber(value))
}
