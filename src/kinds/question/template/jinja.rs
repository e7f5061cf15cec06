//! Jinja as lm-evaluation-harness has it: what is not defined is an error, the last line end stays, methods of Python's texts and lists work,
//! and there is one more filter, `regex_replace` (`apply_template` in `lm_eval/utils.py`).

use std::fmt::Write;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use learn::dataset::ExactValue;
use learn::python::float_text;

use super::error::TemplateError;
use super::record::TemplateFields;

/// How much one template may do: about as many steps, or 64 bytes of text for each.
const FUEL: u64 = 500_000;
/// Expressions and blocks nested deeper than this are refused.
const MAX_DEPTH: usize = 100;
const NAME: &str = "template";

/// A text in Jinja.
#[derive(Debug)]
pub(super) struct JinjaText {
    environment: Environment<'static>,
    /// The variables that the template names and does not set, as far as they are found, sorted.
    names: Vec<String>,
}

impl JinjaText {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(MAX_DEPTH);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(format);
        environment.set_unknown_method_callback(python_method);
        environment.add_filter("regex_replace", regex_replace);
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| problem(&error))?);
        let added = environment.add_template_owned(NAME, text.to_owned());
        added.map_err(|error| problem(&error))?;
        let template = environment.get_template(NAME).map_err(|error| problem(&error))?;
        let mut names: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        names.sort();
        Ok(Self { environment, names })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    pub(super) fn render(&self, fields: &TemplateFields<'_>) -> Result<String, TemplateError> {
        // All fields: the names that a template needs are not known for sure before it runs.
        let context = Value::from_pairs(fields.iter().map(|(name, field)| (name, value(field))).collect::<Vec<_>>());
        let template = self.environment.get_template(NAME).map_err(|error| problem(&error))?;
        template.render(context).map_err(|error| self.failure(&error, fields))
    }

    /// Why the template could not be filled in; a field that is missing is named.
    fn failure(&self, error: &Error, fields: &TemplateFields<'_>) -> TemplateError {
        if matches!(error.kind(), ErrorKind::UndefinedError | ErrorKind::UnknownMethod) {
            let missing = self.names.iter().find(|name| fields.get(name).is_none());
            if let Some(name) = missing.filter(|name| self.environment.globals().all(|(other, _)| other != name.as_str())) {
                return fields.no_field(name);
            }
        }
        problem(error)
    }
}

fn problem(error: &Error) -> TemplateError {
    if matches!(error.kind(), ErrorKind::OutOfFuel) {
        return TemplateError::TooMuch;
    }
    let problem = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    let line = error.line().unwrap_or(1);
    TemplateError::Jinja { line, problem }
}

/// A value of a record as Jinja has it.
fn value(exact: &ExactValue) -> Value {
    match exact {
        ExactValue::Null => Value::from(()),
        ExactValue::Bool(value) => Value::from(*value),
        ExactValue::Number(number) => {
            let text = number.as_str();
            match (text.parse::<i64>(), text.parse::<i128>()) {
                (Ok(whole), _) => Value::from(whole),
                (_, Ok(whole)) => Value::from(whole),
                _ => text.parse::<f64>().map_or_else(|_| Value::from(text), Value::from),
            }
        }
        ExactValue::Text(text) => Value::from(text.as_str()),
        ExactValue::List(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        ExactValue::Object(fields) => {
            Value::from_pairs(fields.iter().map(|(name, field)| (name.as_str(), value(field))).collect::<Vec<_>>())
        }
    }
}

/// What Python writes for a value: `True`, `None`, `0.1`, `['a', 'b']`.
pub(super) fn python_text(exact: &ExactValue) -> String {
    let value = value(exact);
    float(&value).map_or_else(|| value.to_string(), float_text)
}

/// Writes a value as Python does.
fn format(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let written = match float(value) {
        Some(number) => out.write_str(&float_text(number)),
        None => write!(out, "{value}"),
    };
    written.map_err(|_| Error::new(ErrorKind::WriteFailure, "the text cannot be written"))
}

/// The number that a value is, if it is a floating-point number.
fn float(value: &Value) -> Option<f64> {
    if !value.is_number() || value.is_integer() {
        return None;
    }
    f64::try_from(value.clone()).ok()
}

/// Methods of Python's values: those that the crate for them has, and `index`.
fn python_method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if method != "index" {
        return minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args);
    }
    let (wanted,): (&Value,) = from_args(args)?;
    let missing = || Error::new(ErrorKind::InvalidOperation, format!("{wanted:?} is not in {value:?}"));
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            for (place, item) in value.try_iter()?.checked().enumerate() {
                if item? == *wanted {
                    return Ok(Value::from(place));
                }
            }
            Err(missing())
        }
        ValueKind::String => {
            let (text, part) = (value.as_str().unwrap_or_default(), wanted.as_str().ok_or_else(missing)?);
            let bytes = text.find(part).ok_or_else(missing)?;
            Ok(Value::from(text.get(..bytes).unwrap_or_default().chars().count()))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// `re.sub` as a filter; backreferences of the replacement are Python's (`\1`, `\g<name>`).
fn regex_replace(state: &State, text: &str, pattern: &str, replacement: &str, count: Option<usize>) -> Result<String, Error> {
    let wrong = |error: regex::Error| Error::new(ErrorKind::InvalidOperation, format!("the regular expression is not read: {error}"));
    let expression = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build().map_err(wrong)?;
    let mut out = String::new();
    let mut end = 0;
    for found in expression
        .captures_iter(text)
        .take(count.filter(|count| *count > 0).unwrap_or(usize::MAX))
    {
        let Some(whole) = found.get(0) else { continue };
        out += text.get(end..whole.start()).unwrap_or_default();
        let before = out.len();
        found.expand(&python_replacement(replacement), &mut out);
        state.consume_fuel(((out.len() - before) / 64) as u64)?;
        end = whole.end();
    }
    out += text.get(end..).unwrap_or_default();
    Ok(out)
}

/// A replacement of `re.sub` in the words of the crate `regex`.
fn python_replacement(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '$' => out += "$$",
            '\\' => match rest.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('g') if rest.next_if_eq(&'<').is_some() => {
                    let name: String = std::iter::from_fn(|| rest.next_if(|c| *c != '>')).collect();
                    rest.next();
                    let _ = write!(out, "${{{name}}}");
                }
                Some(digit) if digit.is_ascii_digit() => {
                    let more = rest.next_if(char::is_ascii_digit);
                    let _ = write!(out, "${{{digit}{}}}", more.map_or_else(String::new, String::from));
                }
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}
