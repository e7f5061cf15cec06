//! The templates of tasks (`doc_to_text`, `doc_to_target`, `doc_to_choice`), filled in from the fields of a record.
//!
//! There are two languages. In our own, `{{field}}` is all there is. In the one of lm-evaluation-harness a text that is the name of a field
//! stands for the field, and every other text is Jinja; what comes of it is read as the harness reads it (`doc_to_text`, `doc_to_target` and
//! `doc_to_choice` in `lm_eval/api/task.py`, version 0.4.13).

mod error;
mod fields;
mod jinja;
mod python_literal;
mod record;

#[cfg(test)]
mod tests;

use learn::dataset::ExactValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use error::TemplateError;
use fields::FieldTexts;
pub use fields::is_plain;
use jinja::JinjaText;
pub use python_literal::{Literal, python_literal};
pub use record::TemplateFields;

/// In which language a template is written: `template` of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TemplateLanguage {
    /// `{{field}}`, `{{meta.id}}`, `{{choices[0]}}`.
    #[default]
    Fields,
    /// The name of a field, or Jinja: for tasks that come from lm-evaluation-harness.
    Jinja,
}

/// A template that is ready to be filled in.
#[derive(Debug)]
pub struct TaskTemplate {
    text: String,
    parsed: Parsed,
}

#[derive(Debug)]
enum Parsed {
    Fields(FieldTexts),
    Jinja(Box<JinjaText>),
}

/// What a template gives where more than a text can be meant.
#[derive(Clone, Debug, PartialEq)]
pub enum Rendered {
    Text(String),
    /// The number of a choice, from 0. As a question: the choices are the questions, and the target is what follows each.
    Number(i64),
    /// Several right answers.
    Many(Vec<Rendered>),
}

/// Which of the choices are right, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gold {
    /// None of them: whatever a model takes is wrong.
    Nothing,
    One(usize),
    Any(Vec<usize>),
}

/// `doc_to_choice`: one template that gives a list, or a list of texts.
#[derive(Debug)]
pub enum ChoiceTemplates {
    One(Box<TaskTemplate>),
    /// In our own language these are templates too.
    List(Vec<TaskTemplate>),
    /// In the harness's language they stand as they are.
    Fixed(Vec<String>),
}

impl TaskTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// When it is not one of the language; the message says where.
    pub fn parse(text: &str, language: TemplateLanguage) -> Result<Self, TemplateError> {
        let parsed = match language {
            TemplateLanguage::Fields => Parsed::Fields(FieldTexts::parse(text)?),
            TemplateLanguage::Jinja => Parsed::Jinja(Box::new(JinjaText::parse(text)?)),
        };
        Ok(Self {
            text: text.to_owned(),
            parsed,
        })
    }

    /// The text of the template itself.
    pub fn source(&self) -> &str {
        &self.text
    }

    /// The fields that it names, sorted: the first names of paths. In Jinja these are a
    /// help and no more: some are not found, and others need not be there (`{% if x is defined %}`).
    pub fn names(&self) -> Vec<String> {
        match &self.parsed {
            Parsed::Fields(texts) => texts.names(),
            Parsed::Jinja(text) => text.names(),
        }
    }

    /// The text that comes of the template.
    ///
    /// # Errors
    /// When a field is missing, or the template takes too long or gives too much text.
    pub fn render(&self, fields: &TemplateFields<'_>) -> Result<String, TemplateError> {
        match (&self.parsed, self.column(fields)) {
            (_, Some(ExactValue::Text(text))) => Ok(text.clone()),
            (Parsed::Jinja(_), Some(value)) => Ok(jinja::python_text(value)),
            (Parsed::Fields(texts), _) => texts.render(fields),
            (Parsed::Jinja(text), None) => text.render(fields),
        }
    }

    /// `doc_to_text`: a text, or with choices perhaps the number of one.
    ///
    /// # Errors
    /// Those of [`TaskTemplate::render`].
    pub fn question(&self, fields: &TemplateFields<'_>, has_choices: bool) -> Result<Rendered, TemplateError> {
        match self.whole_value(fields)? {
            Some(value) if has_choices => {
                if let Some(number) = whole_number(value) {
                    return Ok(Rendered::Number(number));
                }
            }
            Some(_) => {}
            None if has_choices && self.is_jinja() => return Ok(number_or_text(self.render(fields)?)),
            None => {}
        }
        self.render(fields).map(Rendered::Text)
    }

    /// `doc_to_target`: a text, with choices perhaps the number of one, or a list of several right answers.
    ///
    /// # Errors
    /// Those of [`TaskTemplate::render`].
    pub fn target(&self, fields: &TemplateFields<'_>, has_choices: bool) -> Result<Rendered, TemplateError> {
        if let Some(value) = self.whole_value(fields)? {
            let text = |value: &ExactValue| self.text_of(value);
            return Ok(value_target(value, has_choices, &text));
        }
        let text = self.render(fields)?;
        if !self.is_jinja() {
            return Ok(Rendered::Text(text));
        }
        if has_choices && is_digits(&text) {
            return Ok(number_or_text(text));
        }
        if text.len() >= 2 && text.starts_with('[') && text.ends_with(']') {
            return Ok(match python_literal(&text) {
                Some(Literal::List(items)) => Rendered::Many(items.into_iter().map(Literal::into_rendered).collect()),
                _ => Rendered::Text(text),
            });
        }
        Ok(Rendered::Text(text))
    }

    /// `doc_to_choice` where it is one template: a list of texts.
    ///
    /// # Errors
    /// Those of [`TaskTemplate::render`]; when no list comes of it.
    pub fn list(&self, fields: &TemplateFields<'_>) -> Result<Vec<String>, TemplateError> {
        if let Some(value) = self.whole_value(fields)? {
            let ExactValue::List(items) = value else {
                return Err(self.no_list(&value.to_string()));
            };
            return Ok(items.iter().map(|item| self.text_of(item)).collect());
        }
        let text = self.render(fields)?;
        match python_literal(&text) {
            Some(Literal::List(items)) => Ok(items.into_iter().map(Literal::into_text).collect()),
            _ => Err(self.no_list(&text)),
        }
    }

    /// Which of the choices the target means: by its number, or by its text.
    ///
    /// # Errors
    /// Those of [`TaskTemplate::render`].
    pub fn gold(&self, fields: &TemplateFields<'_>, choices: &[String]) -> Result<Gold, TemplateError> {
        Ok(match self.target(fields, true)? {
            Rendered::Many(items) => {
                let mut places: Vec<usize> = items.iter().filter_map(|item| self.place(item, choices)).collect();
                places.sort_unstable();
                places.dedup();
                if places.is_empty() { Gold::Nothing } else { Gold::Any(places) }
            }
            one => self.place(&one, choices).map_or(Gold::Nothing, Gold::One),
        })
    }

    /// The choice that a target means. In our own language a text that is no choice may be the number of one: fields of CSV are texts.
    fn place(&self, target: &Rendered, choices: &[String]) -> Option<usize> {
        let place = match target {
            // As a list's index in Python: from -1 backwards.
            Rendered::Number(number) if *number < 0 => choices.len().checked_sub(usize::try_from(number.unsigned_abs()).ok()?)?,
            Rendered::Number(number) => usize::try_from(*number).ok()?,
            Rendered::Text(text) => match choices.iter().position(|choice| choice == text) {
                Some(place) => place,
                None if !self.is_jinja() && is_digits(text) => text.parse().ok()?,
                None => return None,
            },
            Rendered::Many(_) => return None,
        };
        (place < choices.len()).then_some(place)
    }

    fn is_jinja(&self) -> bool {
        matches!(self.parsed, Parsed::Jinja(_))
    }

    /// The field that the template is the name of, in the harness's language.
    fn column<'f>(&self, fields: &'f TemplateFields<'_>) -> Option<&'f ExactValue> {
        self.is_jinja().then(|| fields.get(&self.text)).flatten()
    }

    /// The value of a template that is one field and nothing else.
    fn whole_value<'f>(&self, fields: &'f TemplateFields<'_>) -> Result<Option<&'f ExactValue>, TemplateError> {
        match &self.parsed {
            Parsed::Fields(texts) => texts.whole(fields),
            Parsed::Jinja(_) => Ok(self.column(fields)),
        }
    }

    /// The text that a value is written as.
    fn text_of(&self, value: &ExactValue) -> String {
        match &self.parsed {
            Parsed::Fields(_) => fields::text(value),
            Parsed::Jinja(_) => jinja::python_text(value),
        }
    }

    fn no_list(&self, found: &str) -> TemplateError {
        TemplateError::NoList {
            template: self.text.clone(),
            found: error::shortened(found),
        }
    }
}

impl ChoiceTemplates {
    /// Reads a list of choices.
    ///
    /// # Errors
    /// When one of them is not a template of the language.
    pub fn list(texts: &[String], language: TemplateLanguage) -> Result<Self, TemplateError> {
        match language {
            TemplateLanguage::Jinja => Ok(Self::Fixed(texts.to_vec())),
            TemplateLanguage::Fields => {
                let templates = texts.iter().map(|text| TaskTemplate::parse(text, language));
                Ok(Self::List(templates.collect::<Result<_, _>>()?))
            }
        }
    }

    /// The choices of a record.
    ///
    /// # Errors
    /// Those of [`TaskTemplate::list`].
    pub fn render(&self, fields: &TemplateFields<'_>) -> Result<Vec<String>, TemplateError> {
        match self {
            Self::One(template) => template.list(fields),
            Self::List(templates) => templates.iter().map(|template| template.render(fields)).collect(),
            Self::Fixed(texts) => Ok(texts.clone()),
        }
    }
}

fn value_target(value: &ExactValue, has_choices: bool, text: &dyn Fn(&ExactValue) -> String) -> Rendered {
    match value {
        ExactValue::List(items) => Rendered::Many(items.iter().map(|item| value_target(item, has_choices, text)).collect()),
        value if has_choices => match whole_number(value) {
            Some(number) => Rendered::Number(number),
            None => Rendered::Text(text(value)),
        },
        value => Rendered::Text(text(value)),
    }
}

/// The whole number that a value is; to Python `true` is 1.
fn whole_number(value: &ExactValue) -> Option<i64> {
    match value {
        ExactValue::Number(number) => number.as_str().parse().ok(),
        ExactValue::Bool(value) => Some(i64::from(*value)),
        _ => None,
    }
}

fn number_or_text(text: String) -> Rendered {
    match text.parse() {
        Ok(number) if is_digits(&text) => Rendered::Number(number),
        _ => Rendered::Text(text),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
