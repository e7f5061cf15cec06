//! TOML text → figment values, each with a tag of its own (see [`super::origin`]).

use std::ops::Range;
use std::sync::Arc;

use figment::value::{Dict, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Diagnostic, Location, Origins, Source};

/// Reads a whole document.
///
/// # Errors
/// When it is not TOML; the first mistake.
pub(super) fn document(source: &Arc<Source>, origins: &mut Origins) -> Result<Dict, Diagnostic> {
    let table = DeTable::parse(&source.text).map_err(|error| syntax(&error, source, 0))?;
    Reader { source, origins, shift: 0 }.table(table.get_ref())
}

/// Reads the value that begins at byte `start` of `source`: TOML if it is that, else text (`--set start=warm`).
pub(super) fn value(source: &Arc<Source>, start: usize, origins: &mut Origins) -> Value {
    let text = source.text.get(start..).unwrap_or_default();
    if let Ok(parsed) = DeValue::parse(text) {
        let mut reader = Reader {
            source,
            origins,
            shift: start,
        };
        if let Ok(value) = reader.value(None, &parsed) {
            return value;
        }
    }
    plain(source, start, origins)
}

/// Takes what begins at byte `start` of `source` as text, whatever it looks like.
pub(super) fn plain(source: &Arc<Source>, start: usize, origins: &mut Origins) -> Value {
    let tag = origins.tag(source, None, start..source.text.len());
    Value::String(tag, source.text.get(start..).unwrap_or_default().to_owned())
}

fn syntax(error: &toml::de::Error, source: &Arc<Source>, shift: usize) -> Diagnostic {
    let at = error.span().map(|span| Location {
        source: Arc::clone(source),
        span: span.start + shift..span.end + shift,
    });
    Diagnostic::new(format!("not valid TOML: {}", error.message())).at(at)
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    origins: &'a mut Origins,
    /// Where the parsed text begins in the source, in bytes.
    shift: usize,
}

impl Reader<'_> {
    fn span(&self, span: Range<usize>) -> Range<usize> {
        span.start + self.shift..span.end + self.shift
    }

    /// The entries in the order of the file, so that tags are numbered in it.
    fn table(&mut self, table: &DeTable<'_>) -> Result<Dict, Diagnostic> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| Ok((key.get_ref().to_string(), self.value(Some(key.span()), value)?)))
            .collect()
    }

    fn value(&mut self, key: Option<Range<usize>>, value: &Spanned<DeValue<'_>>) -> Result<Value, Diagnostic> {
        let span = self.span(value.span());
        let tag = self.origins.tag(self.source, key.map(|key| self.span(key)), span.clone());
        let beyond = || {
            let source = Arc::clone(self.source);
            Diagnostic::new("this number is beyond 64 bits").at(Some(Location { source, span }))
        };
        Ok(match value.get_ref() {
            DeValue::String(text) => Value::String(tag, text.to_string()),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| beyond())?;
                Value::Num(tag, number.into())
            }
            DeValue::Float(number) => {
                let number: f64 = number.as_str().parse().map_err(|_| beyond())?;
                Value::Num(tag, number.into())
            }
            DeValue::Boolean(flag) => Value::Bool(tag, *flag),
            DeValue::Datetime(time) => Value::String(tag, time.to_string()),
            DeValue::Array(items) => {
                let items: Result<_, _> = items.iter().map(|item| self.value(None, item)).collect();
                Value::Array(tag, items?)
            }
            DeValue::Table(table) => Value::Dict(tag, self.table(table)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        let (name, text) = ("x.toml".to_owned(), text.to_owned());
        Arc::new(Source { name, text })
    }

    #[test]
    fn every_value_leads_to_its_bytes() {
        let source = source("[stages.\"mixed[k]\"]\nfor.k = \"0..3\"\nask = [-1, 0x10]\nrate = 3e-3\n");
        let mut origins = Origins::default();
        let tree = document(&source, &mut origins).unwrap();
        let stage = tree["stages"].as_dict().unwrap()["mixed[k]"].clone();
        assert_eq!(origins.key(stage.tag()).unwrap().text(), "\"mixed[k]\"");
        let text = |path: &str| {
            let value = stage.find_ref(path).unwrap();
            let (key, value) = (origins.key(value.tag()).unwrap(), origins.value(value.tag()).unwrap());
            format!("{} {}", key.text(), value.text())
        };
        assert_eq!(text("for.k"), "k \"0..3\"");
        assert_eq!(text("rate"), "rate 3e-3");
        let items = stage.find_ref("ask").unwrap().as_array().unwrap();
        assert_eq!(items[1].to_i128(), Some(16));
        assert_eq!(origins.value(items[1].tag()).unwrap().text(), "0x10");
    }

    #[test]
    fn a_lone_value_is_toml_or_text() {
        let mut origins = Origins::default();
        let mut read = |text: &str| value(&source(text), 2, &mut origins);
        assert_eq!(read("a=3"), Value::from(3i64));
        assert_eq!(read("a=[1, 2]"), Value::from(vec![1i64, 2]));
        assert_eq!(read("a=warm"), Value::from("warm"));
        assert_eq!(read("a=\"3\""), Value::from("3"));
        assert_eq!(read("a="), Value::from(""));
        assert_eq!(read("a=99999999999999999999"), Value::from("99999999999999999999"));
    }
}
