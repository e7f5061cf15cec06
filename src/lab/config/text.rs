//! TOML text → values, each with its origin.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigTable, ConfigValue, Diagnostic, Location, OriginCounter, SourceText, ValueData};

/// Reads a whole document.
///
/// # Errors
/// When it is not TOML; the first mistake.
pub(super) fn document(source: &Arc<SourceText>, origins: &mut OriginCounter) -> Result<ConfigTable, Diagnostic> {
    let table = DeTable::parse(&source.text).map_err(|error| syntax(&error, source, 0))?;
    TomlReader { source, origins, shift: 0 }.table(table.get_ref())
}

/// Reads the value that begins at byte `start` of `source`: TOML if it is that, else text (`--set start=warm`).
pub(super) fn value(source: &Arc<SourceText>, start: usize, origins: &mut OriginCounter) -> ConfigValue {
    let text = source.text.get(start..).unwrap_or_default();
    if let Ok(parsed) = DeValue::parse(text) {
        let mut reader = TomlReader {
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
pub(super) fn plain(source: &Arc<SourceText>, start: usize, origins: &mut OriginCounter) -> ConfigValue {
    let origin = origins.origin(source, None, start..source.text.len());
    ConfigValue::text(source.text.get(start..).unwrap_or_default(), origin)
}

fn syntax(error: &toml::de::Error, source: &Arc<SourceText>, shift: usize) -> Diagnostic {
    let at = error.span().map(|span| Location {
        source: Arc::clone(source),
        span: span.start + shift..span.end + shift,
    });
    Diagnostic::new(format!("not valid TOML: {}", error.message())).at(at)
}

struct TomlReader<'a> {
    source: &'a Arc<SourceText>,
    origins: &'a mut OriginCounter,
    /// Where the parsed text begins in the source, in bytes.
    shift: usize,
}

impl TomlReader<'_> {
    fn span(&self, span: Range<usize>) -> Range<usize> {
        span.start + self.shift..span.end + self.shift
    }

    /// The entries in the order of the file.
    fn table(&mut self, table: &DeTable<'_>) -> Result<ConfigTable, Diagnostic> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| Ok((key.get_ref().to_string(), self.value(Some(key.span()), value)?)))
            .collect()
    }

    fn value(&mut self, key: Option<Range<usize>>, value: &Spanned<DeValue<'_>>) -> Result<ConfigValue, Diagnostic> {
        let span = self.span(value.span());
        let origin = self.origins.origin(self.source, key.map(|key| self.span(key)), span.clone());
        let beyond = || {
            let source = Arc::clone(self.source);
            Diagnostic::new("this number is beyond 64 bits").at(Some(Location { source, span }))
        };
        let data = match value.get_ref() {
            DeValue::String(text) => ValueData::Text(text.to_string()),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| beyond())?;
                ValueData::Integer(number.into())
            }
            DeValue::Float(number) => {
                let number: f64 = number.as_str().parse().map_err(|_| beyond())?;
                ValueData::Float(number)
            }
            DeValue::Boolean(flag) => ValueData::Bool(*flag),
            DeValue::Datetime(time) => ValueData::Text(time.to_string()),
            DeValue::Array(items) => {
                let items: Result<_, _> = items.iter().map(|item| self.value(None, item)).collect();
                ValueData::List(items?)
            }
            DeValue::Table(table) => ValueData::Table(self.table(table)?),
        };
        Ok(ConfigValue::new(data, origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<SourceText> {
        let (name, text) = ("x.toml".to_owned(), text.to_owned());
        Arc::new(SourceText { name, text })
    }

    #[test]
    fn every_value_leads_to_its_bytes() {
        let source = source("[stages.\"mixed[k]\"]\nfor.k = \"0..3\"\nask = [-1, 0x10]\nrate = 3e-3\n");
        let mut origins = OriginCounter::default();
        let tree = document(&source, &mut origins).unwrap();
        let stage = tree["stages"].get("mixed[k]").unwrap();
        assert_eq!(stage.key_at().unwrap().text(), "\"mixed[k]\"");
        let text = |path: &str| {
            let value = path.split('.').fold(stage, |value, field| value.get(field).unwrap());
            let (key, value) = (value.key_at().unwrap(), value.at().unwrap());
            format!("{} {}", key.text(), value.text())
        };
        assert_eq!(text("for.k"), "k \"0..3\"");
        assert_eq!(text("rate"), "rate 3e-3");
        let items = stage.get("ask").unwrap().as_list().unwrap();
        assert_eq!(items[1].as_integer(), Some(16));
        assert_eq!(items[1].at().unwrap().text(), "0x10");
    }

    #[test]
    fn a_lone_value_is_toml_or_text() {
        let mut origins = OriginCounter::default();
        let mut read = |text: &str| value(&source(text), 2, &mut origins);
        assert_eq!(read("a=3"), ConfigValue::from(3i64));
        assert_eq!(read("a=[1, 2]"), ConfigValue::from(vec![1i64, 2]));
        assert_eq!(read("a=warm"), ConfigValue::from("warm"));
        assert_eq!(read("a=\"3\""), ConfigValue::from("3"));
        assert_eq!(read("a="), ConfigValue::from(""));
        assert_eq!(read("a=99999999999999999999"), ConfigValue::from("99999999999999999999"));
    }
}
