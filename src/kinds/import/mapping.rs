//! What the fields of a row are in the records: columns, paths within them, or templates of several.

use learn::dataset::ExactValue;

use super::Fields;
use super::error::ImportRecordError;
use crate::foreign::ForeignRecord;
use crate::question::template::{TaskTemplate, TemplateFields, TemplateLanguage};
use lab::config::ParamError;

/// What begins a field of a template.
const OPEN: &str = "{{";

/// What one field of a row is in the records.
#[derive(Debug)]
pub(super) enum FieldSource {
    /// A column, or a path within one.
    Name(String),
    /// `{{instruction}}\n{{input}}`
    Template(TaskTemplate),
}

/// `fields` of an import, read. A field that is not given has its usual name.
#[derive(Debug, Default)]
pub(super) struct Mapping {
    pub id: Option<FieldSource>,
    pub prompt: Option<FieldSource>,
    pub completion: Option<FieldSource>,
    pub step_num: Option<FieldSource>,
    pub answer: Option<FieldSource>,
}

impl FieldSource {
    /// A text with a field in double braces is a template, any other a name. A template that is one field alone is its name, too.
    fn read(text: &str) -> Result<Self, String> {
        if !text.contains(OPEN) {
            return Ok(Self::Name(text.to_owned()));
        }
        let template = TaskTemplate::parse(text, TemplateLanguage::Fields).map_err(|error| error.to_string())?;
        let lone = text.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix("}}"));
        Ok(match lone.filter(|name| !name.contains(OPEN)) {
            Some(name) => Self::Name(name.trim().to_owned()),
            None => Self::Template(template),
        })
    }

    /// The columns that it names.
    pub(super) fn columns(&self) -> Vec<String> {
        match self {
            Self::Name(name) => vec![name.clone()],
            Self::Template(template) => template.names(),
        }
    }

    /// The template in the words of the experiment.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Name(name) => shown(name),
            Self::Template(template) => format!("{:?}", template.source()),
        }
    }
}

/// A column in the words of a template: `"{{question}}"`.
pub(super) fn shown(column: &str) -> String {
    format!("{:?}", format!("{OPEN}{column}}}}}"))
}

impl Mapping {
    /// Reads the params.
    ///
    /// # Errors
    /// When a template is none; the error has the field.
    pub(super) fn read(fields: &Fields) -> Result<Self, ParamError> {
        let source = |name: &str, text: &Option<String>| {
            let read = |text: &String| FieldSource::read(text).map_err(|problem| ParamError::new(name, problem));
            text.as_ref().map(read).transpose()
        };
        Ok(Self {
            id: source("id", &fields.id)?,
            prompt: source("prompt", &fields.prompt)?,
            completion: source("completion", &fields.completion)?,
            step_num: source("step_num", &fields.step_num)?,
            answer: source("answer", &fields.answer)?,
        })
    }

    /// The fields that are given, with their names.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, &FieldSource)> {
        let all = [
            ("id", &self.id),
            ("prompt", &self.prompt),
            ("completion", &self.completion),
            ("step_num", &self.step_num),
            ("answer", &self.answer),
        ];
        all.into_iter().filter_map(|(name, source)| Some((name, source.as_ref()?)))
    }

    pub(super) fn has_templates(&self) -> bool {
        self.given().any(|(_, source)| matches!(source, FieldSource::Template(_)))
    }

    /// Whether a column is one of those that are given by their names. Then it is what `fields` says, and not also what its name says.
    pub(super) fn names(&self, column: &str) -> bool {
        self.given()
            .any(|(_, source)| matches!(source, FieldSource::Name(name) if name == column))
    }
}

/// The text that comes of a template.
///
/// # Errors
/// When a field is missing or null.
pub(super) fn fill(field: &'static str, template: &TaskTemplate, record: &[(String, ExactValue)]) -> Result<String, ImportRecordError> {
    let is_null = |name: &&String| record.iter().any(|(other, value)| other == *name && *value == ExactValue::Null);
    if let Some(name) = template.names().iter().find(is_null) {
        return Err(ImportRecordError::Empty {
            name: name.clone(),
            what: "null",
        });
    }
    let fields: TemplateFields<'_> = record.iter().map(|(name, value)| (name.as_str(), value)).collect();
    template
        .render(&fields)
        .map_err(|problem| ImportRecordError::Template { field, problem })
}

/// The first column of a mapping that a record lacks: the field of the row, what names it, and the column.
pub(super) fn missing<'m>(
    mapping: &'m Mapping,
    record: &ForeignRecord,
    is_read: impl Fn(&str) -> bool,
) -> Option<(&'static str, &'m FieldSource, String)> {
    let lacks = |column: &String| matches!(record.get(column), Ok(None));
    let given = mapping.given().filter(|(field, _)| is_read(field));
    given
        .flat_map(|(field, source)| source.columns().into_iter().map(move |column| (field, source, column)))
        .find(|(_, _, column)| lacks(column))
}
