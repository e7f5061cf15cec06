//! TOML text → values, each with its origin.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::slip::{Slip, slip};
use super::{ConfigTable, ConfigValue, Diagnostic, Location, OriginCounter, SourceText, ValueData};

/// Values within one another; each level of them takes some of the stack, many times over.
const MAX_DEPTH: usize = 64;

/// The message about a value that ends in a carriage return.
pub(super) const CARRIAGE_RETURN: &str = "there is a carriage return in this value: the script that gives it has the line ends of Windows";

/// Reads a whole document.
///
/// # Errors
/// When it is not TOML: the first mistake; or has numbers that are no values: all of them.
pub(super) fn document(source: &Arc<SourceText>, origins: &mut OriginCounter) -> Result<ConfigTable, Vec<Diagnostic>> {
    let table = DeTable::parse(&source.text).map_err(|error| vec![explained(syntax(&error, source, 0))])?;
    let mut reader = TomlReader::new(source, origins, 0);
    let read = reader.table(table.get_ref(), 0);
    if reader.problems.is_empty() {
        Ok(read)
    } else {
        Err(reader.problems)
    }
}

/// Reads the value that begins at byte `start` of `source`: TOML if it is that, else text (`--set start=warm`). `key` is what precedes
/// the value where it is given, for messages: `--set 'start=`.
///
/// # Errors
/// When it looks like a number, a boolean, a list or a quoted text, and is none in TOML.
pub(super) fn value(source: &Arc<SourceText>, start: usize, key: &str, origins: &mut OriginCounter) -> Result<ConfigValue, Diagnostic> {
    let whole = source.text.get(start..).unwrap_or_default();
    let word = whole.trim();
    let shift = start + (whole.len() - whole.trim_start().len());
    let at = || {
        Some(Location {
            source: Arc::clone(source),
            span: shift..shift + word.len(),
        })
    };
    let quoted = || match ConfigValue::from(word).toml() {
        // Within the quotes of a shell it would end them.
        toml if toml.contains('\'') => "a text is quoted, once for the shell and once for TOML".to_owned(),
        toml => format!("as a text, write `{key}{toml}'`"),
    };
    let parsed = match DeValue::parse(word) {
        Ok(parsed) => {
            let mut reader = TomlReader::new(source, origins, shift);
            let read = reader.value(None, &parsed, 0);
            let Some(problem) = reader.problems.into_iter().next() else {
                return Ok(read);
            };
            // Of a single number, there is a way to hand it on all the same.
            let is_list = matches!(parsed.get_ref(), DeValue::Array(_) | DeValue::Table(_));
            return Err(if is_list { problem } else { problem.help(quoted()) });
        }
        Err(error) => error,
    };
    if let Some(slip) = slip(word) {
        return Err(slipped(word, slip).at(at()).help(quoted()));
    }
    // Within braces without `=` is a template.
    if word.starts_with(['[', '"', '\'']) || (word.starts_with('{') && word.contains('=')) {
        return Err(syntax(&parsed, source, shift).help(quoted()));
    }
    if whole.contains('\r') {
        return Err(Diagnostic::new(CARRIAGE_RETURN).at(at()));
    }
    Ok(plain(source, start, origins))
}

/// Whether a text would be a number or a boolean, were it not quoted.
pub(super) fn is_simple(text: &str) -> bool {
    let simple = |value: &DeValue<'_>| matches!(value, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_));
    DeValue::parse(text.trim()).is_ok_and(|value| simple(value.get_ref()))
}

/// The number that a text is in TOML, where it is one.
pub(super) fn number(text: &str) -> Option<ValueData> {
    let parsed = DeValue::parse(text.trim()).ok()?;
    match parsed.get_ref() {
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(ValueData::Integer(number.into()))
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse::<f64>().ok()?;
            number.is_finite().then_some(ValueData::Float(number))
        }
        _ => None,
    }
}

/// A number written with an exponent, with `_`, with a sign or in another base, as it is printed: `0.001` for `1e-3`.
pub fn printed_number(text: &str) -> Option<String> {
    let is_plain = text.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '.');
    let number = if is_plain { None } else { number(text) };
    number.map(|number| ConfigValue::from(number).toml())
}

/// Whether the digits of a float, without its exponent, are those of a number other than 0.
fn is_above_zero(written: &str) -> bool {
    let digits = written.split(['e', 'E']).next().unwrap_or_default();
    digits.contains(|c: char| ('1'..='9').contains(&c))
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

/// The message about a word that looks like a number or a boolean.
fn slipped(word: &str, slip: Slip) -> Diagnostic {
    let problem = Diagnostic::new(format!("`{word}` looks like {}, and is none in TOML", slip.looks_like));
    let meant = slip.meant.map(|meant| format!("did you mean `{meant}`?"));
    meant.into_iter().fold(problem, Diagnostic::label)
}

/// A mistake in a file, in the words of people where it is a number or a boolean of another language.
fn explained(problem: Diagnostic) -> Diagnostic {
    let Some(at) = problem.at.clone() else { return problem };
    let word = |delimiters: &[char]| {
        let is_part = |c: char| !c.is_whitespace() && !"=[]{}#\"'".contains(c) && !delimiters.contains(&c);
        let (before, after) = at.source.text.split_at_checked(at.span.start)?;
        let start = before
            .rfind(|c| !is_part(c))
            .map_or(0, |last| last + before[last..].chars().next().map_or(1, char::len_utf8));
        let end = at.span.start + after.find(|c| !is_part(c)).unwrap_or(after.len());
        Some((start..end, at.source.text.get(start..end)?))
    };
    for (span, word) in [word(&[',']), word(&[])].into_iter().flatten() {
        let source = Arc::clone(&at.source);
        if let Some(slip) = slip(word).filter(|_| !is_simple(word)) {
            let help = format!("a text is quoted: `{}`", ConfigValue::from(word).toml());
            return slipped(word, slip).at(Some(Location { source, span })).help(help);
        }
        if ["none", "null", "nil"].contains(&word.to_lowercase().as_str()) {
            let help = "TOML has no value for nothing: leave the key out; a text is quoted";
            return Diagnostic::new(format!("`{word}` is no value"))
                .at(Some(Location { source, span }))
                .help(help);
        }
    }
    problem
}

struct TomlReader<'a> {
    source: &'a Arc<SourceText>,
    origins: &'a mut OriginCounter,
    /// Where the parsed text begins in the source, in bytes.
    shift: usize,
    /// What TOML has and an experiment must not.
    problems: Vec<Diagnostic>,
}

impl<'a> TomlReader<'a> {
    fn new(source: &'a Arc<SourceText>, origins: &'a mut OriginCounter, shift: usize) -> Self {
        let problems = Vec::new();
        Self {
            source,
            origins,
            shift,
            problems,
        }
    }

    fn span(&self, span: Range<usize>) -> Range<usize> {
        span.start + self.shift..span.end + self.shift
    }

    /// The entries in the order of the file.
    fn table(&mut self, table: &DeTable<'_>, depth: usize) -> ConfigTable {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| (key.get_ref().to_string(), self.value(Some(key.span()), value, depth + 1)))
            .collect()
    }

    fn value(&mut self, key: Option<Range<usize>>, value: &Spanned<DeValue<'_>>, depth: usize) -> ConfigValue {
        let span = self.span(value.span());
        let origin = self.origins.origin(self.source, key.map(|key| self.span(key)), span.clone());
        let written = self.source.text.get(span.clone()).unwrap_or_default();
        let data = if depth > MAX_DEPTH {
            self.wrong(span, format!("tables and lists are nested deeper than {MAX_DEPTH} levels here"))
        } else {
            match value.get_ref() {
                DeValue::String(text) => ValueData::Text(text.to_string()),
                DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => ValueData::Integer(number.into()),
                    Err(_) => self.wrong(span, "this number is beyond 64 bits"),
                },
                DeValue::Float(number) => match number.as_str().parse::<f64>() {
                    Ok(0.0) if is_above_zero(number.as_str()) => self.wrong(span, "this number is too small for 64 bits"),
                    Ok(number) if number.is_finite() => ValueData::Float(number),
                    _ if written.ends_with(|c: char| c.is_ascii_alphabetic()) => {
                        self.wrong(span, format!("`{written}` is no value: no params, and no JSON, can hold it"))
                    }
                    _ => self.wrong(span, "this number is beyond 64 bits"),
                },
                DeValue::Boolean(flag) => ValueData::Bool(*flag),
                // As it is written: TOML has several ways for one time.
                DeValue::Datetime(_) => ValueData::Text(written.to_owned()),
                DeValue::Array(items) => ValueData::List(items.iter().map(|item| self.value(None, item, depth + 1)).collect()),
                DeValue::Table(table) => ValueData::Table(self.table(table, depth)),
            }
        };
        ConfigValue::new(data, origin)
    }

    /// Reports a value, whose place nothing takes.
    fn wrong(&mut self, span: Range<usize>, message: impl Into<String>) -> ValueData {
        let source = Arc::clone(self.source);
        self.problems.push(Diagnostic::new(message).at(Some(Location { source, span })));
        ValueData::Null
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
        let mut read = |text: &str| value(&source(text), 2, "--set 'a=", &mut origins).unwrap();
        assert_eq!(read("a=3"), ConfigValue::from(3i64));
        assert_eq!(read("a= 1e-4 "), ConfigValue::from(1e-4));
        assert_eq!(read("a=1_000"), ConfigValue::from(1000i64));
        assert_eq!(read("a=[1, 2]"), ConfigValue::from(vec![1i64, 2]));
        assert_eq!(read("a=warm"), ConfigValue::from("warm"));
        assert_eq!(read("a= warm "), ConfigValue::from(" warm "), "a text keeps its blanks");
        assert_eq!(read("a=\"3\""), ConfigValue::from("3"));
        assert_eq!(read("a="), ConfigValue::from(""));
        assert_eq!(read("a={k - 1}"), ConfigValue::from("{k - 1}"));
        assert_eq!(
            read("a=2024-01-31 07:30"),
            ConfigValue::from("2024-01-31 07:30"),
            "as it is written"
        );
        assert_eq!(read("a=0.0e-400"), ConfigValue::from(0.0));
        assert_eq!(read("a=  7").at().unwrap().text(), "7");
    }

    #[test]
    fn a_mistake_in_a_file_is_explained() {
        let wrong = |line: &str| {
            let problems = document(&source(&format!("[params]\nx = {line}\n")), &mut OriginCounter::default()).unwrap_err();
            let said = problems.into_iter().map(|problem| {
                let label = problem.label.map_or_else(String::new, |label| format!(" ({label})"));
                format!(
                    "{}{label} @ {}",
                    problem.message,
                    problem.at.map_or_else(String::new, |at| at.text().to_owned())
                )
            });
            said.collect::<Vec<_>>().join("; ")
        };
        let lines = [
            ".5",
            "5.",
            "[1, .5]",
            "1,5",
            "True",
            "007",
            "[1, FALSE]",
            "None",
            "+0x5",
            "[inf, 1, nan, 1e999]",
            "yes",
            "1 2",
        ];
        insta::assert_snapshot!(lines.map(wrong).join("\n"), @"
        `.5` looks like a number, and is none in TOML (did you mean `0.5`?) @ .5
        `5.` looks like a number, and is none in TOML (did you mean `5.0`?) @ 5.
        `.5` looks like a number, and is none in TOML (did you mean `0.5`?) @ .5
        `1,5` looks like a number, and is none in TOML (did you mean `1.5`?) @ 1,5
        `True` looks like true or false, and is none in TOML (did you mean `true`?) @ True
        `007` looks like a number, and is none in TOML (did you mean `7`?) @ 007
        `FALSE` looks like true or false, and is none in TOML (did you mean `false`?) @ FALSE
        `None` is no value @ None
        `+0x5` looks like a number, and is none in TOML @ +0x5
        `inf` is no value: no params, and no JSON, can hold it @ inf; `nan` is no value: no params, and no JSON, can hold it @ nan; this number is beyond 64 bits @ 1e999
        not valid TOML: string values must be quoted, expected literal string @ yes
        not valid TOML: string values must be quoted, expected literal string @ 1 2
        ");
    }

    #[test]
    fn what_looks_like_toml_and_is_none_is_refused() {
        let mut origins = OriginCounter::default();
        let mut wrong = |text: &str| {
            let problem = value(&source(text), 2, "--set 'a=", &mut origins).unwrap_err();
            let label = problem.label.map_or_else(String::new, |label| format!(" ({label})"));
            let place = problem.at.map_or_else(String::new, |at| at.text().to_owned());
            format!("{}{label} @ {place}; {}", problem.message, problem.help.unwrap_or_default())
        };
        let given = [
            "a=.5",
            "a= 1,5 ",
            "a=True",
            "a=inf",
            "a=-nan",
            "a=1e999",
            "a=-1e-400",
            "a=9223372036854775808",
            "a=[1, inf]",
            "a=\"b",
            "a={b = 1",
            "a=warm\r",
        ];
        insta::assert_snapshot!(given.map(&mut wrong).join("\n"), @r#"
        `.5` looks like a number, and is none in TOML (did you mean `0.5`?) @ .5; as a text, write `--set 'a=".5"'`
        `1,5` looks like a number, and is none in TOML (did you mean `1.5`?) @ 1,5; as a text, write `--set 'a="1,5"'`
        `True` looks like true or false, and is none in TOML (did you mean `true`?) @ True; as a text, write `--set 'a="True"'`
        `inf` is no value: no params, and no JSON, can hold it @ inf; as a text, write `--set 'a="inf"'`
        `-nan` is no value: no params, and no JSON, can hold it @ -nan; as a text, write `--set 'a="-nan"'`
        this number is beyond 64 bits @ 1e999; as a text, write `--set 'a="1e999"'`
        this number is too small for 64 bits @ -1e-400; as a text, write `--set 'a="-1e-400"'`
        this number is beyond 64 bits @ 9223372036854775808; as a text, write `--set 'a="9223372036854775808"'`
        `inf` is no value: no params, and no JSON, can hold it @ inf; 
        not valid TOML: invalid basic string, expected `"` @ ; a text is quoted, once for the shell and once for TOML
        not valid TOML: unclosed inline table, expected `}` @ ; as a text, write `--set 'a="{b = 1"'`
        there is a carriage return in this value: the script that gives it has the line ends of Windows @ warm; 
        "#);
    }
}
