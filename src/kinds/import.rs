//! `import`: brings in a data set, a model or files from outside.

mod check;
mod error;
mod files;
mod mapping;
mod rows;
mod shapes;
mod task_rows;

use std::io::ErrorKind;
use std::path::Path;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wildmatch::WildMatchPattern;

use self::mapping::Mapping;
use self::rows::ImportedRows;
use crate::foreign::{self, FileFormat, FileLayout};
use crate::judging::check_task;
use crate::model_prompt::ModelPrompt;
use crate::task::{PublishedTask, Task};
use crate::task_table::{CarriedTasks, TaskParam, TaskTable};
use lab::config::{ConfigValue, ParamError};
use lab::source::{SOURCE, Source, SourceFiles};
use lab::stage::failed;
use lab::stage::{Carried, ImpliedParam, Input, Kind, Output, PortType, Stage, StageContext, StageError};
use learn::dataset::Prompt;
use learn::model::{self, ModelError};

/// The input with the model that imported adapters adapt.
const BASE: &str = "base";

pub(super) static KIND: Kind = Kind {
    name: "import",
    version: 3,
    inputs: &[Input::maybe(BASE, PortType::Model)],
    free: false,
    outputs: &[],
    named: &[(SOURCE, "sources"), ("task", "tasks")],
    command_line: None,
    gpus: None,
    implied: &[
        ImpliedParam {
            path: &["separator"],
            value: || Value::Null,
        },
        ImpliedParam {
            path: &["doc"],
            value: || json!(false),
        },
        ImpliedParam {
            path: &["chat"],
            value: || json!(false),
        },
    ],
    parse,
    schema: || schema_for!(Import),
    follows_seed: true,
    effort: |_, _| None,
    shares_worker: false,
};

/// The data or model to import, and how to read it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Import {
    /// Its source: an entry of `[sources]`.
    #[serde(skip_serializing)]
    source: Source,
    /// Whether it is a data set, a model, or a file or folder of any kind.
    #[serde(default, rename = "type")]
    what: What,
    /// Which of the source's files: a name in which `*` stands for any text; left out, all of them, one after the other.
    #[serde(default)]
    file: Option<String>,
    /// How a file is laid out.
    #[serde(default)]
    format: FileFormat,
    /// What separates the fields of CSV, one character; left out, it is told from the first line.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1))]
    separator: Option<String>,
    /// The task of the data. A published one says what form the records have, one of `[tasks]` makes the questions and right answers.
    #[serde(default)]
    task: Option<TaskParam>,
    /// Whether rows keep the fields of the records, as `doc`.
    #[serde(default = "yes")]
    doc: bool,
    /// Whether a model keeps its chat template.
    #[serde(default = "yes")]
    chat: bool,
    /// The names of the fields in the records, their paths within columns (`messages[0].content`), or templates of several
    /// (`{{instruction}}\n{{input}}`).
    #[serde(default)]
    fields: Fields,
}

fn yes() -> bool {
    true
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
    /// A file or folder as it is, at the port `file`.
    File,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Model => "model",
            Self::File => "file",
        }
    }
}

/// The names, paths or templates of the fields of a row in the records. Default: as in a row, or as in the published form of the task.
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

fn parse(params: &ConfigValue, given: &[&str]) -> Result<Box<dyn Stage>, ParamError> {
    if let Some(name) = params.get(SOURCE).and_then(ConfigValue::as_str) {
        return Err(ParamError::new(SOURCE, format!("no source `{name}`")));
    }
    let mut import: Import = params.read()?;
    import.source.check_at(SOURCE)?;
    import.check_separator()?;
    import.check_task()?;
    Mapping::read(&import.fields).map_err(|error| error.within("fields"))?;
    // What is not kept is in no key.
    import.doc &= import.what == What::Dataset && import.published().is_none();
    // Adapters have none: the model that they adapt has.
    import.chat &= import.what == What::Model && !given.contains(&BASE);
    import.source.is_model = import.what == What::Model;
    if given.contains(&BASE) && import.what != What::Model {
        let message = format!("`base` is for models only, and `type` is `{}`", import.what.name());
        return Err(ParamError::new(BASE, message));
    }
    if import.what != What::Dataset {
        let differs = [
            ("file", import.file.is_some()),
            ("format", import.format != FileFormat::default()),
            ("separator", import.separator.is_some()),
            ("task", import.task.is_some()),
            ("fields", import.fields != Fields::default()),
        ];
        if let Some((field, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            return Err(ParamError::new(
                field,
                format!("`{field}` is for data sets only, and `type` is `{}`", import.what.name()),
            ));
        }
    }
    Ok(Box::new(import))
}

impl Import {
    /// The published format of the task; `None` if it has none.
    fn published(&self) -> Option<&'static dyn PublishedTask> {
        self.table().and_then(TaskTable::as_known).and_then(Task::published)
    }

    fn table(&self) -> Option<&TaskTable> {
        self.task.as_ref().map(|TaskParam(table)| table)
    }

    fn check_task(&self) -> Result<(), ParamError> {
        let Some(table) = self.table() else { return Ok(()) };
        check_task(table).map_err(|error| error.within("task"))
    }

    /// Whether the task makes rows of records.
    fn makes_rows(&self) -> bool {
        self.table().is_some_and(|table| table.doc_to_text.is_some())
    }

    fn check_separator(&self) -> Result<(), ParamError> {
        let Some(separator) = &self.separator else { return Ok(()) };
        let wrong = |message: String| Err(ParamError::new("separator", message));
        match separator.as_bytes() {
            [b'"' | b'\r' | b'\n'] => wrong("a quote or a line end cannot separate the fields of a line".to_owned()),
            [_] if matches!(self.format, FileFormat::Auto | FileFormat::Csv) => Ok(()),
            [_] => wrong("`separator` is for CSV only: leave it out, or set `format = \"csv\"`".to_owned()),
            _ => wrong(format!("`{separator}` must be one character of ASCII: `,`, `\\t`, `;`, `|`")),
        }
    }

    fn separator_byte(&self) -> Option<u8> {
        self.separator.as_ref().and_then(|separator| separator.bytes().next())
    }
}

impl Stage for Import {
    /// Of the task, what rows are made with.
    fn params(&self) -> Value {
        let mut params = json!(self);
        let task = self.table().map(|table| match self.published() {
            Some(_) => json!(table.name),
            None => Some(table.rows())
                .filter(|rows| *rows != TaskTable::default())
                .map_or(Value::Null, |rows| json!(rows)),
        });
        if let Some(params) = params.as_object_mut() {
            params.insert("task".to_owned(), task.unwrap_or(Value::Null));
        }
        params
    }

    fn carry(&mut self, _: &Carried<'_>) -> Result<Option<Value>, ParamError> {
        self.check_fields()?;
        Ok(self.table().cloned().and_then(|table| CarriedTasks::of(table).into_value()))
    }

    fn unkeyed_params(&self) -> serde_json::Map<String, Value> {
        serde_json::Map::from_iter([(SOURCE.to_owned(), json!(self.source))])
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.source)
    }

    fn outputs(&self) -> Option<Vec<Output>> {
        Some(vec![match self.what {
            What::Dataset => Output::of("data", PortType::Dataset),
            What::Model => Output::of("model", PortType::Model),
            What::File => Output::of(files::OUTPUT, PortType::File),
        }])
    }

    fn draws(&self) -> bool {
        false
    }

    fn asks_with(&self, base: Option<&Value>) -> Result<Option<Value>, StageError> {
        if self.what != What::Model {
            return Ok(None);
        }
        // Adapters have no template of their own.
        if let Some(base) = base {
            return Ok(Some(base.clone()));
        }
        let place = self.source.path.as_deref().filter(|_| self.chat);
        let chat = place.map(model::chat_of).transpose().map_err(failed)?;
        Ok(Some(json!(ModelPrompt {
            prompt: Prompt::text(Prompt::PLAIN),
            chat: chat.flatten(),
        })))
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let files = context.source_files(&self.source, &[])?;
        match self.what {
            What::Model => self.model(&files, context)?,
            What::Dataset => self.rows(&files, context)?,
            What::File => files::copy(&self.source, &files, context)?,
        }
        context.check_source(&self.source, &files)
    }
}

impl Import {
    fn model(&self, files: &SourceFiles, context: &StageContext<'_>) -> Result<(), StageError> {
        let (place, out) = (files.place(), context.outputs.join("model"));
        let import = |source: &Path| match context.list(BASE).first() {
            None => model::import(source, self.chat, &out),
            Some(base) => model::import_adapter(source, base, &out),
        };
        if !place.is_dir() {
            return import(place).map_err(failed);
        }
        // The folder may hold files that the source does not list. They are not part of the key, so the import must not see them.
        let shown = context.scratch.join("source");
        let imported = show(files, &shown).map(|()| import(&shown));
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

    fn rows(&self, files: &SourceFiles, context: &StageContext<'_>) -> Result<(), StageError> {
        let chosen = self.chosen(files);
        let files = files.files();
        if chosen.is_empty() {
            let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
            let pattern = self.file.as_deref().unwrap_or("*");
            return Err(failed(format!(
                "source `{}` has no file `{pattern}` (known: {})",
                self.source.name,
                names.join(", ")
            )));
        }
        let mut rows = ImportedRows::create(self, &context.outputs.join("data"))?;
        for path in chosen {
            let read = foreign::records(path, self.layout(), &mut |record, _| Ok(rows.take(&record, context)?));
            if rows.stopped() {
                return Err(StageError::Stopped);
            }
            read.map_err(failed)?;
        }
        if rows.count() == 0 {
            return Err(failed(format!("source `{}` has no records", self.source.name)));
        }
        context.tell(rows.count(), rows.count(), "rows", []);
        rows.taken().iter().for_each(|line| (context.note)(line));
        rows.finish().map_err(failed)
    }

    fn layout(&self) -> FileLayout {
        FileLayout {
            format: self.format,
            separator: self.separator_byte(),
            bare_numbers: false,
        }
    }

    /// The files of the source that are read.
    fn chosen<'f>(&self, files: &'f SourceFiles) -> Vec<&'f Path> {
        let wanted = |name: &str| {
            let last = name.rsplit('/').next().unwrap_or(name);
            let pattern = self.file.as_deref().unwrap_or("*");
            // `wildmatch` has a second wildcard, for one character: NUL, which no name has.
            let pattern = WildMatchPattern::<'*', '\0'>::new(pattern);
            pattern.matches(name) || pattern.matches(last)
        };
        let files = files.files().iter();
        files.filter(|(name, _)| wanted(name)).map(|(_, path)| path.as_path()).collect()
    }
}

/// Creates the folder `shown`, which holds only links to the files of the source.
fn show(files: &SourceFiles, shown: &Path) -> std::io::Result<()> {
    if shown.exists() {
        std::fs::remove_dir_all(shown)?;
    }
    std::fs::create_dir_all(shown)?;
    for (name, path) in files.files() {
        let link = shown.join(name);
        std::fs::create_dir_all(link.parent().unwrap_or(shown))?;
        std::os::unix::fs::symlink(std::path::absolute(path)?, link)?;
    }
    Ok(())
}
