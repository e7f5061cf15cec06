//! The words of a command line, some of which are files, and some of which a worker fills in.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use super::template::{TEMPLATE, Template};
use crate::source::Source;

/// A word of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    Text(String),
    /// A text with placeholders, which the worker fills in. It enters the key unfilled.
    Template(Template),
    /// A file of this machine, which the program finds in its folder under the file's own name.
    File {
        /// The text before the name: `./`, `--config=./`.
        before: String,
        /// Where it is.
        path: PathBuf,
    },
}

impl Argument {
    /// The file that a word names, called `name` by the program.
    pub fn source(&self) -> Option<Source> {
        let Self::File { path, .. } = self else { return None };
        Some(Source {
            name: name(path),
            path: Some(path.clone()),
            ..Source::default()
        })
    }

    /// The argument as a param that is read as the same argument again: with the path, which is not in the key.
    pub fn param(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Template(template) => template.param(),
            Self::File { before, path } => json!({"before": before, "path": path.to_string_lossy()}),
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl fmt::Display for Argument {
    /// The word that the program is given; its placeholders are not filled in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Template(template) => template.fmt(f),
            Self::File { before, path } => write!(f, "{before}{}", name(path)),
        }
    }
}

impl Serialize for Argument {
    /// As the program is given it, or as a template: this enters the key.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Template(template) => template.serialize(serializer),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Argument;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Argument, E> {
                Ok(Argument::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Argument, A::Error> {
                let (mut before, mut path, mut template) = (None, None, None);
                while let Some((name, text)) = fields.next_entry::<String, String>()? {
                    match name.as_str() {
                        "before" => before = Some(text),
                        "path" => path = Some(text.into()),
                        TEMPLATE => template = Some(Template::new(text)),
                        _ => return Err(A::Error::unknown_field(&name, &["before", "path", TEMPLATE])),
                    }
                }
                match template {
                    Some(template) => Ok(Argument::Template(template)),
                    None => Ok(Argument::File {
                        before: before.unwrap_or_default(),
                        path: path.ok_or_else(|| A::Error::missing_field("path"))?,
                    }),
                }
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_as_itself() {
        let words = [
            Argument::Text("{input.data}".to_owned()),
            Argument::Template(Template::new("{input.data}")),
            Argument::File {
                before: "./".to_owned(),
                path: "/lab/train.py".into(),
            },
        ];
        for word in &words {
            let read: Argument = serde_json::from_value(word.param()).unwrap();
            assert_eq!(read, *word);
        }
        assert_eq!(json!(words), json!(["{input.data}", {"template": "{input.data}"}, "./train.py"]));
    }
}
