//! A task as it comes over: the fields of its table, where its data is, and what was left behind.

use std::fmt::{self, Write};

use super::data::DataPlace;
use super::toml::{self, Toml};
use super::yaml::Place;

/// Something that does not come over, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// `FILE:LINE`.
    pub place: String,
    pub text: String,
}

impl Remark {
    pub(super) fn new(place: &Place, text: impl Into<String>) -> Self {
        Self {
            place: place.to_string(),
            text: text.into(),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// A task of a file.
#[derive(Debug, Default)]
pub(super) struct Task {
    /// As the file has it.
    pub name: String,
    /// The fields of `[tasks.NAME]`.
    pub fields: Vec<(String, Toml)>,
    /// The tables below it: `[tasks.NAME.fewshot_config]`.
    pub tables: Vec<(String, Vec<(String, Toml)>)>,
    pub data: Option<DataPlace>,
    /// What the file says of itself: a version.
    pub about: Option<String>,
    /// Lines below the fields, as comments: what could be added.
    pub hints: Vec<String>,
    /// What was left out, although the task comes over.
    pub left_out: Vec<Remark>,
    /// Why the task cannot come over.
    pub refused: Vec<Remark>,
}

impl Task {
    pub(super) fn set(&mut self, name: &str, value: Toml) {
        self.fields.push((name.to_owned(), value));
    }

    pub(super) fn leave_out(&mut self, place: &Place, text: impl Into<String>) {
        self.left_out.push(Remark::new(place, text));
    }

    pub(super) fn refuse(&mut self, place: &Place, text: impl Into<String>) {
        self.refused.push(Remark::new(place, text));
    }

    /// The table, and in comments what goes with it.
    pub(super) fn write(&self, origin: &str) -> String {
        let name = toml::table_name(&self.name);
        let mut text = format!("# `{}`, from {}", toml::comment(&self.name), toml::comment(origin));
        // Writing to a string does not fail.
        let _ = match &self.about {
            Some(about) => writeln!(text, "; {}.", toml::comment(about)),
            None => writeln!(text, "."),
        };
        for remark in &self.left_out {
            let _ = writeln!(text, "# Left out: {}", toml::comment(&remark.text));
        }
        if let Some(data) = &self.data {
            text += &data.write(&name);
        }
        let _ = writeln!(text, "\n[tasks.{}]", toml::key(&name));
        text += &toml::fields(&self.fields);
        for hint in &self.hints {
            let _ = writeln!(text, "# {}", toml::comment(hint));
        }
        for (table, fields) in &self.tables {
            let _ = writeln!(text, "\n[tasks.{}.{table}]", toml::key(&name));
            text += &toml::fields(fields);
        }
        text
    }
}
