//! `import`: brings in a data set or a model from outside.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wildmatch::WildMatchPattern;

use crate::foreign::{self, Field, FieldTypeError, FileFormat, ForeignRecord};
use crate::metrics;
use crate::task::{self, PublishedRowError, PublishedTask};
use lab::config::{ConfigValue, ParamError};
use lab::source::{SOURCE, Source};
use lab::stage::failed;
use lab::stage::{Kind, Output, PortType, Stage, StageContext, StageError};
use learn::dataset::{DatasetError, JsonLinesWriter, Row};
use learn::model::{self, ModelError};

pub(super) static KIND: Kind = Kind {
    name: "import",
    version: 2,
    inputs: &[],
    free: false,
    outputs: &[],
    named: &[(SOURCE, "sources")],
    command_line: None,
    implied: &[],
    parse,
    schema: || schema_for!(Import),
    follows_seed: true,
};

/// The data or model to import, and how to read it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Import {
    /// Its source: an entry of `[sources]`.
    #[serde(skip_serializing)]
    source: Source,
    /// Whether it is a data set or a model.
    #[serde(default, rename = "type")]
    what: What,
    /// Which of the source's files: a name in which `*` stands for any text; left out, all of them, one after the other.
    #[serde(default)]
    file: Option<String>,
    /// How a file is laid out.
    #[serde(default)]
    format: FileFormat,
    /// The task whose published form the records have.
    #[serde(default)]
    task: Option<String>,
    /// The names of the fields in the records.
    #[serde(default)]
    fields: Fields,
}

/// The type of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum What {
    /// A data set, at the port `data`.
    #[default]
    Dataset,
    /// A model, at the port `model`: a folder as Hugging Face's programs write it, or a GGUF file.
    Model,
}

/// The names of the fields of a row in the records. Default: as in a row, or as in the published form of the task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Fields {
    /// Where there is none, records are numbered.
    id: Option<String>,
    prompt: Option<String>,
    completion: Option<String>,
    /// Where there is none, the steps of the solution are counted.
    step_num: Option<String>,
    /// Where there is none, it is read from the solution.
    answer: Option<String>,
}

fn parse(params: &ConfigValue, _given: &[&str]) -> Result<Box<dyn Stage>, ParamError> {
    if let Some(name) = params.get(SOURCE).and_then(ConfigValue::as_str) {
        return Err(ParamError::new(SOURCE, format!("no source `{name}`")));
    }
    let mut import: Import = params.read()?;
    import.source.check_at(SOURCE)?;
    import.published()?;
    import.source.is_model = import.what == What::Model;
    if import.what == What::Model {
        let differs = [
            ("file", import.file.is_some()),
            ("format", import.format != FileFormat::default()),
            ("task", import.task.is_some()),
            ("fields", import.fields != Fields::default()),
        ];
        if let Some((field, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            return Err(ParamError::new(
                field,
                format!("`{field}` is for data sets only, and `type` is `model`"),
            ));
        }
    }
    Ok(Box::new(import))
}

impl Import {
    /// The published format of the task; `None` if no task is given.
    fn published(&self) -> Result<Option<&'static dyn PublishedTask>, ParamError> {
        let Some(name) = &self.task else { return Ok(None) };
        let wrong = || ParamError::unknown_name("task", name, task::published_names());
        let task = task::tasks().iter().find(|task| task.name() == name);
        task.and_then(|task| task.published()).map(Some).ok_or_else(wrong)
    }
}

impl Stage for Import {
    fn params(&self) -> serde_json::Value {
        json!(self)
    }

    fn unkeyed_params(&self) -> serde_json::Map<String, serde_json::Value> {
        serde_json::Map::from_iter([(SOURCE.to_owned(), json!(self.source))])
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.source)
    }

    fn outputs(&self) -> Option<Vec<Output>> {
        Some(vec![match self.what {
            What::Dataset => Output::of("data", PortType::Dataset),
            What::Model => Output::of("model", PortType::Model),
        }])
    }

    fn draws(&self) -> bool {
        false
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let place = context.input(SOURCE)?;
        match self.what {
            What::Model => self.model(place, context)?,
            What::Dataset => self.rows(place, context)?,
        }
        context.check_source(&self.source)
    }
}

impl Import {
    fn model(&self, place: &Path, context: &StageContext<'_>) -> Result<(), StageError> {
        let out = context.outputs.join("model");
        if !place.is_dir() {
            return model::import(place, &out).map_err(failed);
        }
        // The folder may hold files that the source does not list. They are not part of the key, so the import must not see them.
        let shown = context.scratch.join("source");
        let imported = self.show(place, &shown).map(|()| model::import(&shown, &out));
        // A leftover would only be links, and is removed with the stage's folder.
        let _ = std::fs::remove_dir_all(&shown);
        let imported = imported.map_err(|error| failed(format!("{}: {error}", place.display())))?;
        imported.map_err(|error| {
            let is_unlisted = matches!(&error, ModelError::Read { error, .. } if error.kind() == ErrorKind::NotFound);
            let more = if is_unlisted && !self.source.files.is_empty() {
                " (among the `files` of the source)"
            } else {
                ""
            };
            failed(error.to_string().replace(&*shown.to_string_lossy(), &place.to_string_lossy()) + more)
        })
    }

    /// Creates the folder `shown`, which holds only links to the files of the source.
    fn show(&self, place: &Path, shown: &Path) -> std::io::Result<()> {
        if shown.exists() {
            std::fs::remove_dir_all(shown)?;
        }
        std::fs::create_dir_all(shown)?;
        for (name, path) in self.source.list(place)? {
            let link = shown.join(name);
            std::fs::create_dir_all(link.parent().unwrap_or(shown))?;
            std::os::unix::fs::symlink(std::path::absolute(path)?, link)?;
        }
        Ok(())
    }

    fn rows(&self, place: &Path, context: &StageContext<'_>) -> Result<(), StageError> {
        let files = self
            .source
            .list(place)
            .map_err(|error| failed(format!("{}: {error}", place.display())))?;
        let wanted = |name: &str| {
            let last = name.rsplit('/').next().unwrap_or(name);
            let pattern = self.file.as_deref().unwrap_or("*");
            // `wildmatch` has a second wildcard, for one character: NUL, which no name has.
            let pattern = WildMatchPattern::<'*', '\0'>::new(pattern);
            pattern.matches(name) || pattern.matches(last)
        };
        let chosen: Vec<&Path> = files
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(_, path)| path.as_path())
            .collect();
        if chosen.is_empty() {
            let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
            let pattern = self.file.as_deref().unwrap_or("*");
            return Err(failed(format!(
                "source `{}` has no file `{pattern}` (known: {})",
                self.source.name,
                names.join(", ")
            )));
        }
        let mut rows = ImportedRows {
            import: self,
            published: self.published().map_err(failed)?,
            ids: HashSet::new(),
            writer: JsonLinesWriter::create(&context.outputs.join("data")).map_err(failed)?,
            stopped: false,
        };
        for path in chosen {
            let read = foreign::records(path, self.format, &mut |record, _| Ok(rows.take(&record, context)?));
            if rows.stopped {
                return Err(StageError::Stopped);
            }
            read.map_err(failed)?;
        }
        if rows.ids.is_empty() {
            return Err(failed(format!("source `{}` has no records", self.source.name)));
        }
        context.tell(rows.ids.len() as u64, rows.ids.len() as u64, "rows", []);
        rows.writer.finish().map_err(failed)
    }
}

/// The ids of the rows that have been read, and the writer for the next ones.
struct ImportedRows<'a> {
    import: &'a Import,
    published: Option<&'static dyn PublishedTask>,
    ids: HashSet<String>,
    writer: JsonLinesWriter,
    stopped: bool,
}

/// Why a record cannot become a row.
#[derive(Debug, thiserror::Error)]
enum ImportRecordError {
    #[error("stopped")]
    Stopped,
    #[error("the id `{0}` appears twice")]
    RepeatedId(String),
    #[error("no field `{name}` (known: {}); set its name in `fields`", known.join(", "))]
    NoField { name: String, known: Vec<String> },
    #[error("field `{name}` {problem}")]
    FieldType { name: String, problem: FieldTypeError },
    #[error("the number of steps is {0}, and must be a whole number from 0")]
    StepNumber(serde_json::Value),
    #[error("the solution has no `the answer is …`, and there is no field for the answer: set `fields.answer`")]
    NoAnswer,
    #[error(transparent)]
    Published(#[from] PublishedRowError),
    #[error(transparent)]
    Write(#[from] DatasetError),
}

impl ImportedRows<'_> {
    fn take(&mut self, record: &ForeignRecord, context: &StageContext<'_>) -> Result<(), ImportRecordError> {
        if context.pause(self.ids.len()).is_err() {
            self.stopped = true;
            return Err(ImportRecordError::Stopped);
        }
        let row = self.row(record)?;
        if !self.ids.insert(row.id.clone()) {
            return Err(ImportRecordError::RepeatedId(row.id));
        }
        Ok(self.writer.write(&row)?)
    }

    fn row(&self, record: &ForeignRecord) -> Result<Row, ImportRecordError> {
        let names = &self.import.fields;
        let by_task = self.published.map(PublishedTask::fields).unwrap_or_default();
        let number = self.ids.len() + 1;
        let id = field(record, names.id.as_deref(), "id")?;
        let id = id.map_or_else(
            || number.to_string(),
            |id| id.as_str().map_or_else(|| id.to_string(), str::to_owned),
        );
        let prompt = text_field(record, names.prompt.as_deref(), by_task.prompt.unwrap_or("prompt"))?;
        let completion = text_field(record, names.completion.as_deref(), by_task.completion.unwrap_or("completion"))?;
        if let (Some(published), Some(task)) = (self.published, &self.import.task) {
            return Ok(published.row(format!("{task}/{id}"), prompt, &completion)?);
        }
        let step_num = match field(record, names.step_num.as_deref(), "step_num")? {
            Some(value) => step_number(value)?,
            None => metrics::read_solution(&completion).steps,
        };
        let answer = field(record, names.answer.as_deref(), "answer")?;
        let answer = answer.or_else(|| metrics::read_solution(&completion).answer.map(Into::into));
        let answer = answer.ok_or(ImportRecordError::NoAnswer)?;
        Ok(Row {
            id,
            prompt,
            completion,
            step_num,
            answer,
        })
    }
}

/// The value of a field. `None` if no name is given for it and the record has no field of the usual name.
fn field(record: &ForeignRecord, given: Option<&str>, usual: &str) -> Result<Option<serde_json::Value>, ImportRecordError> {
    let name = given.unwrap_or(usual);
    let value = record.get(name).cloned().unwrap_or(Field::Nothing).value();
    let value = value.map_err(|problem| ImportRecordError::FieldType {
        name: name.to_owned(),
        problem,
    })?;
    match (value, given) {
        (None, Some(name)) => Err(no_field(record, name)),
        (value, _) => Ok(value),
    }
}

/// The text of a field that every record has.
fn text_field(record: &ForeignRecord, given: Option<&str>, usual: &str) -> Result<String, ImportRecordError> {
    match field(record, given, usual)? {
        Some(serde_json::Value::String(text)) => Ok(text),
        Some(other) => Ok(other.to_string()),
        None => Err(no_field(record, given.unwrap_or(usual))),
    }
}

fn no_field(record: &ForeignRecord, name: &str) -> ImportRecordError {
    ImportRecordError::NoField {
        name: name.to_owned(),
        known: record.keys().cloned().collect(),
    }
}

fn step_number(value: serde_json::Value) -> Result<u32, ImportRecordError> {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.ok_or(ImportRecordError::StepNumber(value))
}
