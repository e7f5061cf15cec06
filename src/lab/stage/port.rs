//! The inputs and outputs of a kind.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::SOURCE;

/// The param that has the place of each input which a program finds in its folder, by the input's name. No file can give it: it is made of
/// the `path`s in the table of a stage's own inputs.
pub const INPUT_PATHS: &str = "input_paths";

/// The type of an artifact at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PortType {
    /// A JSON Lines file of rows.
    Dataset,
    /// A folder: `config.json`, `model.safetensors`, `tokenizer.json`, `prompt.json`, `training.jsonl`.
    Model,
    /// A JSON Lines file of answers.
    Answers,
    /// A folder: `metrics.json`, and perhaps examples and series.
    Metrics,
    /// A picture: PNG, SVG or PDF.
    Figure,
    /// Text for people: Markdown or plain.
    Text,
    /// A file or a folder of any kind.
    File,
}

impl PortType {
    /// Whether an input of this type accepts the artifact of an output of type `given`.
    pub fn takes(self, given: Self) -> bool {
        self == Self::File || self == given
    }
}

/// An input port of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub name: &'a str,
    pub port: PortType,
    /// Whether a stage may leave it out.
    pub optional: bool,
    /// Whether it takes a list of references (one reference is a list of one).
    pub many: bool,
}

/// An output port of a kind.
#[derive(Clone, Debug)]
pub struct Output {
    pub name: Cow<'static, str>,
    pub port: PortType,
}

impl Input<'static> {
    /// One artifact, without which the stage cannot be.
    pub const fn one(name: &'static str, port: PortType) -> Self {
        Self {
            name,
            port,
            optional: false,
            many: false,
        }
    }

    /// One artifact, or none.
    pub const fn maybe(name: &'static str, port: PortType) -> Self {
        Self {
            name,
            port,
            optional: true,
            many: false,
        }
    }

    /// A list of artifacts.
    pub const fn list(name: &'static str, port: PortType, optional: bool) -> Self {
        Self {
            name,
            port,
            optional,
            many: true,
        }
    }
}

impl Output {
    pub const fn of(name: &'static str, port: PortType) -> Self {
        Self {
            name: Cow::Borrowed(name),
            port,
        }
    }
}

/// Whether a program's input or output may be called so.
pub fn is_port(name: &str) -> bool {
    name != SOURCE
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
