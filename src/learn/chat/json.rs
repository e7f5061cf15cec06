//! The filter `tojson`, as Transformers has it: Python's `json.dumps` with `ensure_ascii=False`.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use crate::python::float_text;

/// How far values may be within each other.
const DEEPEST: usize = 100;

/// `tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`
#[expect(clippy::needless_pass_by_value, reason = "filters are given their values so")]
pub(super) fn tojson(state: &State<'_, '_>, value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<Value> = options.get("indent")?;
    let indent = match indent.filter(|indent| !indent.is_none()) {
        None => None,
        Some(indent) => Some(match (indent.as_usize(), indent.as_str()) {
            (Some(spaces), _) => " ".repeat(spaces.min(DEEPEST)),
            (None, Some(text)) => text.to_owned(),
            _ => return Err(wrong("`indent` of `tojson` must be a number or a text")),
        }),
    };
    let separators: Option<Value> = options.get("separators")?;
    let (between, after_key) = match separators.filter(|pair| !pair.is_none()) {
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
        Some(pair) => (text(&pair, 0)?, text(&pair, 1)?),
    };
    let mut writer = Writer {
        state,
        out: String::new(),
        is_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        is_sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        indent,
        between,
        after_key,
    };
    options.assert_all_used()?;
    writer.value(value, 0)?;
    Ok(Value::from(writer.out))
}

fn text(pair: &Value, at: usize) -> Result<String, Error> {
    let part = pair.get_item_by_index(at)?;
    part.as_str()
        .map(str::to_owned)
        .ok_or_else(|| wrong("`separators` of `tojson` must be two texts"))
}

fn wrong(problem: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

struct Writer<'s> {
    state: &'s State<'s, 's>,
    out: String,
    is_ascii: bool,
    is_sorted: bool,
    indent: Option<String>,
    between: String,
    after_key: String,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(wrong("a value for `tojson` is too deep"));
        }
        match value.kind() {
            ValueKind::None => self.out += "null",
            ValueKind::Bool => self.out += if value.is_true() { "true" } else { "false" },
            ValueKind::Number => self.number(value),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = self.items(value)?;
                self.list('[', ']', items.len(), depth, |writer, at| match items.get(at) {
                    Some(item) => writer.value(item, depth + 1),
                    None => Ok(()),
                })?;
            }
            ValueKind::Map => self.map(value, depth)?,
            _ => return Err(wrong("`tojson` cannot write such a value")),
        }
        Ok(())
    }

    /// The items of a list, or the keys of a map. Each is paid for: a list may be a short one, repeated any number of times.
    fn items(&self, value: &Value) -> Result<Vec<Value>, Error> {
        let mut items = Vec::new();
        for item in value.try_iter()? {
            self.state.consume_fuel(1)?;
            items.push(item);
        }
        Ok(items)
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let keys = self.items(value)?.into_iter();
        let pairs = keys.map(|key| Ok((key_text(&key)?, value.get_item(&key)?)));
        let mut pairs = pairs.collect::<Result<Vec<(String, Value)>, Error>>()?;
        if self.is_sorted {
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
        }
        self.list('{', '}', pairs.len(), depth, |writer, at| {
            let Some((key, value)) = pairs.get(at) else { return Ok(()) };
            writer.string(key);
            writer.out += &writer.after_key.clone();
            writer.value(value, depth + 1)
        })
    }

    fn list(
        &mut self,
        open: char,
        close: char,
        count: usize,
        depth: usize,
        mut write: impl FnMut(&mut Self, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        for at in 0..count {
            if at > 0 {
                self.out += &self.between.clone();
            }
            self.line(depth + 1);
            write(self, at)?;
        }
        if count > 0 {
            self.line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            self.out += &indent.repeat(depth);
        }
    }

    fn number(&mut self, value: &Value) {
        let float = f64::try_from(value.clone()).ok().filter(|_| !value.is_integer());
        self.out += &float.map_or_else(|| value.to_string(), pythons_float);
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out += "\\\"",
                '\\' => self.out += "\\\\",
                '\n' => self.out += "\\n",
                '\r' => self.out += "\\r",
                '\t' => self.out += "\\t",
                '\u{8}' => self.out += "\\b",
                '\u{c}' => self.out += "\\f",
                control if control < ' ' => self.out += &format!("\\u{:04x}", u32::from(control)),
                other if self.is_ascii && !other.is_ascii() => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        self.out += &format!("\\u{unit:04x}");
                    }
                }
                other => self.out.push(other),
            }
        }
        self.out.push('"');
    }
}

/// A key as a text, as Python writes it.
fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number => Ok(key.to_string()),
        _ => Err(wrong("a key for `tojson` must be a text or a number")),
    }
}

/// A number as Python writes it: `1.0`, `1e+16`, `1e-05`.
fn pythons_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    float_text(number)
}
