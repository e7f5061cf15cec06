//! YAML as PyYAML reads it, with the place of everything: version 1.1, in which `no` is false, with anchors, `<<` and the tag `!function`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::error::TaskFileError;
use super::scalar::{self, Scalar};

/// Lists and maps nested deeper than this are refused.
const MAX_DEPTH: usize = 64;
/// More values than this in a file, those of aliases counted each time, are refused.
const MAX_VALUES: usize = 200_000;
/// More bytes than this in the texts of a file, those of aliases counted each time, are refused.
const MAX_BYTES: usize = 64 << 20;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    file: Arc<str>,
    /// From 1.
    line: usize,
}

impl Place {
    pub(super) fn new(file: &Arc<str>, line: usize) -> Self {
        Self {
            file: Arc::clone(file),
            line,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Yaml {
    pub place: Place,
    pub data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Whole(i64),
    /// A number with its digits, as TOML writes it.
    Float(String),
    Text(String),
    /// `!function utils.process_docs`: a function in Python.
    Function(String),
    List(Vec<Yaml>),
    Map(Map),
}

/// The entries of a map in their order; no name stands twice.
pub(super) type Map = Vec<(String, Yaml)>;

impl Yaml {
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_map(&self) -> Option<&Map> {
        match &self.data {
            Data::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.data == Data::Null
    }

    /// What the value is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Whole(_) | Data::Float(_) => "a number",
            Data::Text(_) => "a text",
            Data::Function(_) => "a function in Python",
            Data::List(_) => "a list",
            Data::Map(_) => "a table",
        }
    }

    /// The functions in Python within the value, with the path to each, which begins with `at`.
    pub(super) fn functions<'y>(&'y self, at: &str, found: &mut Vec<(String, &'y Place, &'y str)>) {
        match &self.data {
            Data::Function(name) => found.push((at.to_owned(), &self.place, name)),
            Data::List(items) => items.iter().for_each(|item| item.functions(at, found)),
            Data::Map(map) => map.iter().for_each(|(name, value)| value.functions(&format!("{at}.{name}"), found)),
            _ => {}
        }
    }
}

/// The value of a name in a map; `null` counts as missing.
pub(super) fn get<'m>(map: &'m Map, name: &str) -> Option<&'m Yaml> {
    map.iter()
        .find(|(other, _)| other == name)
        .map(|(_, value)| value)
        .filter(|value| !value.is_null())
}

/// Sets a name of a map; a value that it has is replaced.
pub(super) fn set(map: &mut Map, name: &str, value: Yaml) {
    match map.iter_mut().find(|(other, _)| other == name) {
        Some((_, old)) => *old = value,
        None => map.push((name.to_owned(), value)),
    }
}

/// Reads the one document of a file.
pub(super) fn parse(text: &str, file: &Arc<str>) -> Result<Yaml, TaskFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        file,
        anchors: BTreeMap::new(),
        values: 0,
        bytes: 0,
    };
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd | Event::DocumentEnd => return Err(reader.wrong(&span, "the file is empty")),
            event => {
                let value = reader.value(event, &span, 0)?;
                return reader.end().map(|()| value);
            }
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    file: &'t Arc<str>,
    /// The values with an anchor, by its number.
    anchors: BTreeMap<usize, Yaml>,
    values: usize,
    bytes: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), TaskFileError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(TaskFileError::Yaml {
                place: Place::new(self.file, error.marker().line()).to_string(),
                problem: explained(error.info()),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// Whether nothing follows the document.
    fn end(&mut self) -> Result<(), TaskFileError> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(_), span) => return Err(self.wrong(&span, "a second document begins here, and a task file has one")),
                _ => {}
            }
        }
    }

    fn value(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Yaml, TaskFileError> {
        if depth > MAX_DEPTH {
            return Err(self.wrong(span, &format!("lists and tables are nested more than {MAX_DEPTH} deep")));
        }
        self.count(1, 0, span)?;
        let place = Place::new(self.file, span.start.line());
        let (anchor, data) = match event {
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned();
                let value = value.ok_or_else(|| self.wrong(span, "an alias stands within the value that it names"))?;
                let (values, bytes) = size(&value);
                self.count(values, bytes, span)?;
                return Ok(value);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(0, text.len(), span)?;
                (anchor, self.scalar(&text, style, tag.as_deref(), span)?)
            }
            Event::SequenceStart(anchor, _) => (anchor, Data::List(self.list(depth)?)),
            Event::MappingStart(anchor, _) => (anchor, Data::Map(self.map(depth)?)),
            _ => return Err(self.wrong(span, "a value is missing here")),
        };
        let value = Yaml { place, data };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Yaml>, TaskFileError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.value(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Map, TaskFileError> {
        let (mut map, mut merged) = (Map::new(), Map::new());
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let name = self.value(event, &span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.value(event, &span, depth + 1)?;
            if is_merge {
                self.merge(&mut merged, value, &span)?;
            } else {
                let name = key(&name.data).ok_or_else(|| self.wrong(&span, "the name of an entry must be a text"))?;
                set(&mut map, &name, value);
            }
        }
        for (name, value) in map {
            set(&mut merged, &name, value);
        }
        Ok(merged)
    }

    /// Takes in what `<<` names: a map, or a list of maps of which the first counts most.
    fn merge(&self, merged: &mut Map, value: Yaml, span: &Span) -> Result<(), TaskFileError> {
        let maps = match value.data {
            Data::Map(map) => vec![map],
            Data::List(items) => items
                .into_iter()
                .rev()
                .map(|item| match item.data {
                    Data::Map(map) => Ok(map),
                    _ => Err(self.wrong(span, "`<<` takes a table, or a list of tables")),
                })
                .collect::<Result<_, _>>()?,
            _ => return Err(self.wrong(span, "`<<` takes a table, or a list of tables")),
        };
        for (name, value) in maps.into_iter().flatten() {
            set(merged, &name, value);
        }
        Ok(())
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Result<Data, TaskFileError> {
        match tag {
            None if style == ScalarStyle::Plain => Ok(plain(text)),
            None => Ok(Data::Text(text.to_owned())),
            Some(tag) if tag.handle == "!" && tag.suffix == "function" => Ok(Data::Function(text.to_owned())),
            Some(tag) if tag.handle == "!" && tag.suffix.is_empty() => Ok(Data::Text(text.to_owned())),
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(Data::Text(text.to_owned())),
            Some(tag) if tag.is_yaml_core_schema() => Ok(plain(text)),
            Some(tag) => Err(self.wrong(span, &format!("the tag `{tag}` is not known (known: `!function`)"))),
        }
    }

    fn count(&mut self, values: usize, bytes: usize, span: &Span) -> Result<(), TaskFileError> {
        self.values = self.values.saturating_add(values);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.values > MAX_VALUES || self.bytes > MAX_BYTES {
            let message = format!("the file has more than {MAX_VALUES} values or {} MiB of text", MAX_BYTES >> 20);
            return Err(self.wrong(span, &message));
        }
        Ok(())
    }

    fn wrong(&self, span: &Span, problem: &str) -> TaskFileError {
        TaskFileError::Yaml {
            place: Place::new(self.file, span.start.line().max(1)).to_string(),
            problem: problem.to_owned(),
        }
    }
}

/// The name that an entry of a map has in Python, as a text.
fn key(data: &Data) -> Option<String> {
    Some(match data {
        Data::Text(text) | Data::Float(text) => text.clone(),
        Data::Whole(number) => number.to_string(),
        Data::Bool(true) => "True".to_owned(),
        Data::Bool(false) => "False".to_owned(),
        Data::Null => "None".to_owned(),
        Data::Function(_) | Data::List(_) | Data::Map(_) => return None,
    })
}

/// The value of a text without quotes.
fn plain(text: &str) -> Data {
    match scalar::plain(text) {
        Scalar::Null => Data::Null,
        Scalar::Bool(value) => Data::Bool(value),
        Scalar::Whole(number) => Data::Whole(number),
        Scalar::Float(digits) => Data::Float(digits),
        Scalar::Text(text) => Data::Text(text),
    }
}

/// What to do is said where other readers are less strict.
fn explained(problem: &str) -> String {
    if problem.contains("indentation") {
        return format!("{problem}: indent the lines of a text more than the name before it");
    }
    problem.to_owned()
}

/// How many values there are, and how many bytes of text.
fn size(value: &Yaml) -> (usize, usize) {
    let sum = |sizes: &mut dyn Iterator<Item = (usize, usize)>| sizes.fold((1, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
    match &value.data {
        Data::Text(text) | Data::Float(text) | Data::Function(text) => (1, text.len()),
        Data::List(items) => sum(&mut items.iter().map(size)),
        Data::Map(map) => sum(&mut map.iter().map(|(_, value)| size(value))),
        _ => (1, 0),
    }
}
