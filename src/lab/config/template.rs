//! `{name}`, `{k-1}`, `{iterations+1}` in texts, and the same expressions bare, as an index. `{input.data}` is a placeholder: it stays, for
//! the worker.

use std::ops::Range;

use super::ConfigValue;
use super::filled_text::FilledText;
use super::limits::{MAX_NAME, MAX_VALUE_BYTES};
use super::nearest::{known, nearest};

/// The placeholder of one name; it is the configuration's where a param or an axis has the name.
const SCRATCH: &str = "scratch";

/// The first parts of placeholders.
const PLACEHOLDER_ROOTS: [&str; 3] = ["input", "output", "stage"];

/// The names that a template may use: params, the variant's coordinates, the stage's index.
pub trait TemplateNames {
    /// The value of `name`.
    fn get(&self, name: &str) -> Option<ConfigValue>;

    /// All names, for messages.
    fn all(&self) -> Vec<&str>;
}

/// Why a template is wrong, and which bytes of its text are.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{problem}")]
pub struct TemplateError {
    pub problem: TemplateProblem,
    /// Bytes of the text.
    pub span: Range<usize>,
}

/// Why a template is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TemplateProblem {
    #[error("`{{` is not closed (a brace itself is written `{{{{`)")]
    Open,
    #[error("`}}` without `{{` (a brace itself is written `}}}}`)")]
    Close,
    #[error("cannot work out `{0}`: write a name, `k-1` or `iterations+1`")]
    Syntax(String),
    #[error("no name `{name}` here ({known})")]
    Unknown {
        name: String,
        known: String,
        nearest: Option<String>,
    },
    #[error("`{name}` is {found}: only whole numbers can be added and subtracted")]
    Term { name: String, found: String },
    #[error("`{name}` is {found}: it cannot be part of a text, only all of a value")]
    Part { name: String, found: String },
    #[error("an index is a whole number, and `{expression}` is {found}")]
    Index { expression: String, found: String },
    #[error("`{0}` is beyond 64 bits")]
    Overflow(String),
    #[error("with its templates filled in, this text takes more than {} MiB", MAX_VALUE_BYTES >> 20)]
    Long,
}

impl TemplateProblem {
    fn within(self, span: Range<usize>) -> TemplateError {
        TemplateError { problem: self, span }
    }
}

/// Fills in the templates of `source`. A text that is one template and nothing else becomes the value itself, with its type. A text with
/// placeholders becomes a [`super::ValueData::Template`].
///
/// # Errors
/// When a brace is unmatched, an expression is not one, or a name is unknown.
pub fn fill(source: &str, names: &impl TemplateNames) -> Result<ConfigValue, TemplateError> {
    if !source.contains(['{', '}']) {
        return Ok(source.into());
    }
    let mut filled = FilledText::default();
    let mut rest = 0;
    while let Some(found) = source[rest..].find(['{', '}']) {
        let open = rest + found;
        filled.push(&source[rest..open]);
        let brace = &source[open..=open];
        if source[open + 1..].starts_with(brace) {
            filled.push(brace);
            rest = open + 2;
            continue;
        }
        if brace == "}" {
            return Err(TemplateProblem::Close.within(open..open + 1));
        }
        let close = source[open..].find('}').map(|length| open + length);
        let close = close.ok_or_else(|| TemplateProblem::Open.within(open..open + 1))?;
        if let Some(placeholder) = placeholder(&source[open + 1..close], names) {
            filled.push_placeholder(placeholder);
        } else {
            let value = evaluate(source, open + 1..close, names)?;
            if open == 0 && close + 1 == source.len() {
                return Ok(value);
            }
            let span = open..close + 1;
            if !filled.push_value(&value) {
                let (name, found) = (source[span.clone()].to_owned(), value.describe());
                return Err(TemplateProblem::Part { name, found }.within(span));
            }
        }
        if filled.len() > MAX_VALUE_BYTES.max(source.len()) {
            return Err(TemplateProblem::Long.within(open..close + 1));
        }
        rest = close + 1;
    }
    filled.push(&source[rest..]);
    Ok(filled.into_value())
}

/// Fills in the templates of a text of a task, in which doubled braces stand for fields of a record and other braces are its own: those of
/// regular expressions, of LaTeX, of Jinja. Filled in is what stands alone, and within a text, names that are known.
///
/// # Errors
/// As those of [`fill`]; and for a name within a text that is nearly a known one.
pub fn fill_task(source: &str, names: &impl TemplateNames) -> Result<ConfigValue, TemplateError> {
    let whole = source.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    if whole.is_some_and(is_sum_of_names) {
        return evaluate(source, 1..source.len() - 1, names);
    }
    let (mut filled, mut rest) = (String::new(), 0);
    while let Some(found) = source[rest..].find('{') {
        let open = rest + found;
        filled.push_str(&source[rest..open]);
        let own = ["{{", "{%", "{#"].into_iter().zip(["}}", "%}", "#}"]);
        let own = own.filter(|(start, _)| source[open..].starts_with(start));
        let end = |close: &str| {
            source[open..]
                .find(close)
                .map_or(source.len(), |length| open + length + close.len())
        };
        if let Some(end) = own.map(|(_, close)| end(close)).next() {
            filled.push_str(&source[open..end]);
            rest = end;
            continue;
        }
        let close = source[open..].find('}').map(|length| open + length);
        rest = close.map_or(open + 1, |close| close + 1);
        let span = open + 1..close.unwrap_or(open + 1);
        match fill_part(source, span, names)? {
            Some(value) => filled.push_str(&value),
            // Only the brace: there may be a template behind it.
            None => {
                rest = open + 1;
                filled.push('{');
            }
        }
        if filled.len() > MAX_VALUE_BYTES.max(source.len()) {
            return Err(TemplateProblem::Long.within(open..rest));
        }
    }
    filled.push_str(&source[rest..]);
    Ok(filled.into())
}

/// The text for what stands in braces within a text of a task; `None` if the braces are the text's own.
fn fill_part(source: &str, span: Range<usize>, names: &impl TemplateNames) -> Result<Option<String>, TemplateError> {
    if !is_sum_of_names(&source[span.clone()]) {
        return Ok(None);
    }
    let value = match evaluate(source, span.clone(), names) {
        Ok(value) => value,
        Err(TemplateError {
            problem: TemplateProblem::Unknown { nearest: None, .. },
            ..
        }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let span = span.start - 1..span.end + 1;
    match &value.data {
        super::ValueData::List(_) | super::ValueData::Table(_) | super::ValueData::Template(_) => {
            let (name, found) = (source[span.clone()].to_owned(), value.describe());
            Err(TemplateProblem::Part { name, found }.within(span))
        }
        _ => Ok(Some(value.plain_text())),
    }
}

/// Whether it is an expression with a name in it: `k`, `iterations-1`.
fn is_sum_of_names(inner: &str) -> bool {
    let mut terms = inner.split(['+', '-']).map(str::trim);
    let is_term = |term: &str| is_name(term) || (!term.is_empty() && term.bytes().all(|byte| byte.is_ascii_digit()));
    terms.clone().all(is_term) && terms.any(is_name)
}

/// The first placeholder in a text that is not filled in, as the values of an axis are not: `{input.data}`.
pub(super) fn unfilled_placeholder(text: &str) -> Option<&str> {
    let mut opened = text.match_indices('{').map(|(at, _)| at);
    opened.find_map(|open| {
        let is_doubled = text[..open].ends_with('{');
        let close = open + text[open..].find('}')?;
        let (root, name) = text[open + 1..close].trim().split_once('.')?;
        (!is_doubled && PLACEHOLDER_ROOTS.contains(&root) && is_name(name)).then(|| &text[open..=close])
    })
}

/// The placeholder that `inner`, which stands in braces, is: two names joined by a point, or `scratch`.
fn placeholder<'a>(inner: &'a str, names: &impl TemplateNames) -> Option<&'a str> {
    let inner = inner.trim();
    let is_joined = inner.split_once('.').is_some_and(|(root, name)| is_name(root) && is_name(name));
    (is_joined || inner == SCRATCH && names.get(SCRATCH).is_none()).then_some(inner)
}

/// The whole number that the expression `source[span]` gives: an index (`3`, `k`, `k-1`).
///
/// # Errors
/// When it is no expression, a name in it is unknown, or it gives something else.
pub fn index(source: &str, span: Range<usize>, names: &impl TemplateNames) -> Result<i64, TemplateError> {
    let value = evaluate(source, span.clone(), names)?;
    value.as_integer().ok_or_else(|| {
        let (expression, found) = (source[span.clone()].trim().to_owned(), value.describe());
        TemplateProblem::Index { expression, found }.within(span)
    })
}

/// Whether `name` may name a param, an axis or an index.
pub fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    name.len() <= MAX_NAME
        && chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `term (('+' | '-') term)*`, where a term is a name or a whole number; a lone name may have any type.
fn evaluate(source: &str, span: Range<usize>, names: &impl TemplateNames) -> Result<ConfigValue, TemplateError> {
    let parts = terms(source, span.clone());
    let mut sum: i64 = 0;
    for (plus, part) in &parts {
        let name = source[part.clone()].to_owned();
        let value = term(&name, part.start, names)?;
        let value = value.ok_or_else(|| TemplateProblem::Syntax(source[span.clone()].to_owned()).within(span.clone()))?;
        if parts.len() == 1 && *plus {
            return Ok(value);
        }
        let number = value.as_integer().ok_or_else(|| {
            let found = value.describe();
            TemplateProblem::Term { name, found }.within(part.clone())
        })?;
        let next = if *plus { sum.checked_add(number) } else { sum.checked_sub(number) };
        sum = next.ok_or_else(|| TemplateProblem::Overflow(source[span.clone()].trim().to_owned()).within(span.clone()))?;
    }
    Ok(ConfigValue::from(sum))
}

/// The terms of an expression without the spaces around them, each with whether it is added.
fn terms(source: &str, span: Range<usize>) -> Vec<(bool, Range<usize>)> {
    let mut terms = Vec::new();
    let (mut plus, mut start) = (true, span.start);
    for (offset, c) in source[span.clone()].char_indices().filter(|(_, c)| matches!(c, '+' | '-')) {
        let end = span.start + offset;
        // A minus before the first term is its sign.
        if !(start == span.start && c == '-' && source[start..end].trim().is_empty()) {
            terms.push((plus, trimmed(source, start..end)));
        }
        (plus, start) = (c == '+', end + 1);
    }
    terms.push((plus, trimmed(source, start..span.end)));
    terms
}

fn trimmed(source: &str, span: Range<usize>) -> Range<usize> {
    let inner = &source[span.clone()];
    let start = span.start + (inner.len() - inner.trim_start().len());
    start..start + inner.trim().len()
}

/// The value of one term; `None` when it is neither a name nor a whole number.
fn term(term: &str, start: usize, names: &impl TemplateNames) -> Result<Option<ConfigValue>, TemplateError> {
    if is_name(term) {
        return match names.get(term) {
            Some(value) => Ok(Some(value)),
            None => {
                let all = names.all();
                let nearest = nearest(term, all.iter().copied()).map(str::to_owned);
                let (name, known) = (term.to_owned(), known(all));
                Err(TemplateProblem::Unknown { name, known, nearest }.within(start..start + term.len()))
            }
        };
    }
    Ok(term.parse::<i64>().ok().map(ConfigValue::from))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::ValueData;
    use super::*;

    impl TemplateNames for BTreeMap<&str, ConfigValue> {
        fn get(&self, name: &str) -> Option<ConfigValue> {
            BTreeMap::get(self, name).cloned()
        }

        fn all(&self) -> Vec<&str> {
            self.keys().copied().collect()
        }
    }

    fn names() -> BTreeMap<&'static str, ConfigValue> {
        BTreeMap::from([
            ("k", ConfigValue::from(3i64)),
            ("iterations", ConfigValue::from(5i64)),
            ("start", ConfigValue::from("warm")),
            ("rate", ConfigValue::from(0.001)),
            ("sizes", ConfigValue::from(vec![-1i64, -2])),
            ("huge", ConfigValue::from(i64::MAX)),
        ])
    }

    fn filled(source: &str) -> Result<ConfigValue, String> {
        fill(source, &names()).map_err(|error| format!("{error} @ {}", &source[error.span.clone()]))
    }

    #[test]
    fn a_lone_template_keeps_its_type() {
        assert_eq!(filled("{sizes}"), Ok(ConfigValue::from(vec![-1i64, -2])));
        assert_eq!(filled("{ rate }"), Ok(ConfigValue::from(0.001)));
        assert_eq!(filled("{k-1}"), Ok(ConfigValue::from(2i64)));
        assert_eq!(filled("{k - 1 + iterations}"), Ok(ConfigValue::from(7i64)));
        assert_eq!(filled("{-1+k}"), Ok(ConfigValue::from(2i64)));
        assert_eq!(filled("{-1}"), Ok(ConfigValue::from(-1i64)));
    }

    #[test]
    fn templates_within_a_text_give_text() {
        assert_eq!(filled("numbered[{k-1}]"), Ok(ConfigValue::from("numbered[2]")));
        assert_eq!(filled("1..={iterations}"), Ok(ConfigValue::from("1..=5")));
        assert_eq!(filled("{start}-{rate}"), Ok(ConfigValue::from("warm-0.001")));
        assert_eq!(filled("{{k}} {k}"), Ok(ConfigValue::from("{k} 3")));
        assert_eq!(filled("plain"), Ok(ConfigValue::from("plain")));
    }

    #[test]
    fn placeholders_stay_and_are_told_from_doubled_braces() {
        let template = |text: &str| Ok(ConfigValue::from(ValueData::Template(text.to_owned())));
        assert_eq!(filled("{input.data}"), template("{input.data}"));
        assert_eq!(filled("{{input.data}}"), Ok(ConfigValue::from("{input.data}")));
        assert_eq!(filled("{k}{{}}-{ stage.seed }-{{{k}}}"), template("3{{}}-{stage.seed}-{{3}}"));
        assert_eq!(filled("{scratch}/a"), template("{scratch}/a"));
        let mut names = names();
        names.insert("scratch", ConfigValue::from("mine"));
        names.insert("log", ConfigValue::from(ValueData::Template("{{{output.log}".to_owned())));
        assert_eq!(fill("{scratch}/a", &names).unwrap(), ConfigValue::from("mine/a"));
        let within = fill("} {log}", &names);
        assert!(matches!(within.unwrap_err().problem, TemplateProblem::Close));
        assert_eq!(Ok(fill("}} {log}", &names).unwrap()), template("}} {{{output.log}"));
        assert_eq!(Ok(fill("{log}", &names).unwrap()), template("{{{output.log}"));
    }

    #[test]
    fn in_a_task_other_braces_are_the_texts_own() {
        let task = |source: &str| fill_task(source, &names()).map_err(|error| error.to_string());
        assert_eq!(task("{k}"), Ok(ConfigValue::from(3i64)));
        assert_eq!(task("{sizes}"), Ok(ConfigValue::from(vec![-1i64, -2])));
        assert_eq!(task("{ k - 1 }"), Ok(ConfigValue::from(2i64)));
        for own in [
            "Q: {{question}} {{ a.b[0] }}",
            r"(-?[$0-9.,]{2,})|(-?[0-9]+)",
            r"\boxed{answer} \frac{1}{2} {}",
            "{% for k in x %}{{k}}{% endfor %}{# {k} #}",
            "{{k}",
            "{",
            "}",
            "a } {",
            "{1}",
            r#"{"a": 1}"#,
        ] {
            assert_eq!(task(own), Ok(ConfigValue::from(own)), "{own}");
        }
        assert_eq!(task("{start} {{k}} {k-1}{"), Ok(ConfigValue::from("warm {{k}} 2{")));
        assert_eq!(task("{{{k}}}"), Ok(ConfigValue::from("{{{k}}}")));
        assert!(task("in {iteration} steps").unwrap_err().starts_with("no name `iteration` here"));
        assert!(task("{nothing}").unwrap_err().starts_with("no name `nothing` here"));
        assert!(task("a {sizes}").unwrap_err().starts_with("`{sizes}` is a list"));
    }

    #[test]
    fn placeholders_on_an_axis_are_seen() {
        assert_eq!(unfilled_placeholder("a {x} { input.data }"), Some("{ input.data }"));
        for none in ["{{input.data}}", "{a.b}", "{scratch}", "input.data", "{input.data", "{input.}"] {
            assert_eq!(unfilled_placeholder(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |source: &str| filled(source).unwrap_err();
        let report: Vec<String> = [
            "a {k",
            "a }",
            "{}",
            "{k*2}",
            "{k+}",
            "x{iteration}",
            "{start+1}",
            "a{sizes}",
            "{huge+1}",
            "{k 1}",
            "{é}",
        ]
        .map(wrong)
        .into();
        insta::assert_snapshot!(report.join("\n"));
    }

    #[test]
    fn an_index_is_a_whole_number() {
        let at = |source: &str| index(source, 0..source.len(), &names()).map_err(|error| error.to_string());
        assert_eq!(at("k-1"), Ok(2));
        assert_eq!(at("04"), Ok(4));
        assert_eq!(
            at("start").unwrap_err(),
            "an index is a whole number, and `start` is the text \"warm\""
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(source in "[{}a-k0-9+. é-]{0,12}") {
            let _ = (fill(&source, &names()), fill_task(&source, &names()), super::super::pieces(&source), unfilled_placeholder(&source));
            let _ = index(&source, 0..source.len(), &names());
        }

        #[test]
        fn escaped_braces_come_back(source in ".{0,20}") {
            let escaped = source.replace('{', "{{").replace('}', "}}");
            proptest::prop_assert_eq!(fill(&escaped, &names()).unwrap(), ConfigValue::from(source));
        }
    }
}
