//! The texts of a question. Where all of them name fields alone, they are written in our own language; else all stay as they are, in
//! Jinja.

use super::super::task::Task;
use super::super::toml::Toml;
use super::super::yaml::{Data, Map, Yaml, get};
use super::{OutputType, text_of, toml_of};
use crate::question::template::{Literal, TaskTemplate, TemplateLanguage, is_plain, python_literal};

/// A text of the task.
struct Text<'m> {
    field: &'static str,
    value: &'m Yaml,
    text: String,
    meaning: Meaning,
}

/// What a text means to the harness, as far as it can be told without a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The same in both languages.
    AsItIs,
    /// The name of a field.
    Column,
    /// What only the harness's own language says.
    Jinja,
}

/// The choices of a task.
enum Choices<'m> {
    Absent,
    Fixed(Vec<String>),
    Template(Text<'m>),
}

const TEXTS: [&str; 4] = ["description", "doc_to_text", "doc_to_target", "gen_prefix"];

/// Writes the texts of the question.
pub(super) fn write(config: &Map, output_type: OutputType, task: &mut Task) {
    let choices = choices(config, task);
    let texts: Vec<Text<'_>> = TEXTS.into_iter().filter_map(|field| text(config, field, task)).collect();
    for field in ["doc_to_text", "doc_to_target"] {
        if get(config, field).is_none() {
            let missing = format!("the file has no `{field}`");
            let place = config.first().map(|(_, value)| value.place.clone());
            if let Some(place) = place {
                task.refuse(&place, missing);
            }
        }
    }
    if output_type == OutputType::MultipleChoice
        && get(config, "doc_to_choice").is_none()
        && let Some(value) = get(config, "output_type")
    {
        task.refuse(
            &value.place,
            "`multiple_choice` needs `doc_to_choice`, which the file does not have",
        );
    }
    let language = language(&texts, &choices);
    for text in &texts {
        check(text, language, task);
    }
    let written = |field: &str| texts.iter().find(|text| text.field == field).map(|text| text.written(language));
    for field in ["description", "doc_to_text"] {
        if let Some(written) = written(field) {
            task.set(field, Toml::Text(written));
        }
    }
    match &choices {
        Choices::Absent => {}
        Choices::Fixed(texts) => task.set("doc_to_choice", Toml::texts(texts.clone())),
        Choices::Template(text) => {
            check(text, language, task);
            task.set("doc_to_choice", Toml::Text(text.written(language)));
        }
    }
    if let Some(written) = written("doc_to_target") {
        task.set("doc_to_target", Toml::Text(written));
    }
    delimiter(config, "target_delimiter", " ", task);
    if let Some(written) = written("gen_prefix") {
        task.set("gen_prefix", Toml::Text(written));
    }
    if language == TemplateLanguage::Jinja {
        task.set("template", Toml::text("jinja"));
    }
}

/// Writes a delimiter that is not the usual one.
pub(super) fn delimiter(config: &Map, field: &str, usual: &str, task: &mut Task) {
    match get(config, field).and_then(toml_of) {
        Some(Toml::Text(text)) if text != usual => task.set(field, Toml::Text(text)),
        _ => {}
    }
}

/// Our own language, if every text means the same in it.
fn language(texts: &[Text<'_>], choices: &Choices<'_>) -> TemplateLanguage {
    let mut meanings: Vec<Meaning> = texts.iter().map(|text| text.meaning).collect();
    if let Choices::Template(text) = choices {
        meanings.push(text.meaning);
    }
    let is_template = |text: &str| text.contains("{{");
    let fixed_templates = matches!(choices, Choices::Fixed(fixed) if fixed.iter().any(|text| is_template(text)));
    if meanings.contains(&Meaning::Jinja) || fixed_templates || names_by_number(texts, choices) {
        return TemplateLanguage::Jinja;
    }
    TemplateLanguage::Fields
}

/// Whether the target is a template whose digits might also be the text of a choice: to the harness they are its number, whatever the choices
/// are.
fn names_by_number(texts: &[Text<'_>], choices: &Choices<'_>) -> bool {
    let is_template = texts
        .iter()
        .any(|text| text.field == "doc_to_target" && text.meaning == Meaning::AsItIs && text.text.contains("{{"));
    let digits = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match choices {
        Choices::Absent => false,
        Choices::Fixed(fixed) => is_template && fixed.iter().any(digits),
        Choices::Template(_) => is_template,
    }
}

fn text<'m>(config: &'m Map, field: &'static str, task: &mut Task) -> Option<Text<'m>> {
    let value = get(config, field)?;
    let is_target = field == "doc_to_target";
    let (text, meaning) = match &value.data {
        Data::Function(_) => return None,
        Data::List(items) if is_target => (list_source(items)?, Meaning::Jinja),
        Data::Whole(number) => (number.to_string(), Meaning::AsItIs),
        _ => match text_of(value) {
            Some(text) => {
                let meaning = meaning(field, &text);
                (text, meaning)
            }
            None => {
                task.refuse(&value.place, format!("`{field}` must be a text, and is {}", value.kind()));
                return None;
            }
        },
    };
    Some(Text {
        field,
        value,
        text,
        meaning,
    })
}

/// A list of texts as Python writes it.
fn list_source(items: &[Yaml]) -> Option<String> {
    let items: Option<Vec<String>> = items.iter().map(|item| serde_json::to_string(&text_of(item)?).ok()).collect();
    items.map(|items| format!("[{}]", items.join(", ")))
}

fn meaning(field: &str, text: &str) -> Meaning {
    let is_constant = matches!(field, "description" | "gen_prefix");
    let is_template = has_template(text);
    let is_word = {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if !placeholders(text).is_empty() {
        return Meaning::Jinja;
    }
    match (is_template, is_word) {
        (true, _) if is_plain(text) && (field != "doc_to_choice" || is_one_field(text)) => Meaning::AsItIs,
        (true, _) => Meaning::Jinja,
        // A description of one word might be the name of a field, and mostly is not.
        (false, true) if is_constant => Meaning::Jinja,
        (false, true) => Meaning::Column,
        (false, false) if is_constant || text.is_empty() => Meaning::AsItIs,
        (false, false) if field == "doc_to_target" && text.bytes().all(|byte| byte.is_ascii_digit()) => Meaning::AsItIs,
        (false, false) => Meaning::Jinja,
    }
}

/// Whether Jinja would fill something in.
fn has_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|start| text.contains(start))
}

fn is_one_field(text: &str) -> bool {
    text.starts_with("{{") && text.ends_with("}}") && text.matches("{{").count() == 1
}

fn choices<'m>(config: &'m Map, task: &mut Task) -> Choices<'m> {
    let Some(value) = get(config, "doc_to_choice") else {
        return Choices::Absent;
    };
    let items: Vec<&Yaml> = match &value.data {
        Data::List(items) => items.iter().collect(),
        Data::Map(map) => map.iter().map(|(_, item)| item).collect(),
        Data::Function(_) => return Choices::Absent,
        Data::Text(text) => {
            if !has_template(text)
                && let Some(Literal::List(items)) = python_literal(text)
            {
                return Choices::Fixed(items.into_iter().map(Literal::into_text).collect());
            }
            return Choices::Template(Text {
                field: "doc_to_choice",
                value,
                text: text.clone(),
                meaning: meaning("doc_to_choice", text),
            });
        }
        _ => {
            task.refuse(
                &value.place,
                format!("`doc_to_choice` must be a list or a text, and is {}", value.kind()),
            );
            return Choices::Absent;
        }
    };
    let mut fixed = Vec::new();
    for item in items {
        match &item.data {
            Data::Text(_) | Data::Whole(_) | Data::Float(_) => fixed.extend(text_of(item)),
            _ => task.refuse(
                &item.place,
                format!(
                    "a choice must be a text, and this is {}: YAML reads `no` and `yes` without quotes so",
                    item.kind()
                ),
            ),
        }
    }
    Choices::Fixed(fixed)
}

/// Refuses a template that cannot be read here.
fn check(text: &Text<'_>, language: TemplateLanguage, task: &mut Task) {
    if let Err(error) = TaskTemplate::parse(&text.written(language), language) {
        task.refuse(&text.value.place, format!("`{}` cannot be read: {error}", text.field));
    }
}

impl Text<'_> {
    /// The text in a language.
    fn written(&self, language: TemplateLanguage) -> String {
        match (language, self.meaning) {
            (TemplateLanguage::Fields, Meaning::Column) => format!("{{{{{}}}}}", self.text),
            (TemplateLanguage::Fields, _) => self.text.clone(),
            (TemplateLanguage::Jinja, _) => guarded(&self.text),
        }
    }
}

/// The places of texts such as `{name}`, which an experiment would fill in itself: of their opening braces, outside of Jinja's own.
fn placeholders(text: &str) -> Vec<usize> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(open) = text.get(at..).and_then(|rest| rest.find('{')).map(|open| at + open) {
        let rest = text.get(open..).unwrap_or_default();
        let close = ["{{", "{%", "{#"]
            .iter()
            .zip(["}}", "%}", "#}"])
            .find(|(start, _)| rest.starts_with(**start));
        if let Some((_, close)) = close {
            at = rest.find(close).map_or(text.len(), |end| open + end + 2);
            continue;
        }
        at = open + 1;
        let name: &str = rest.get(1..).unwrap_or_default().split('}').next().unwrap_or_default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '+' | '-');
        if rest.len() > name.len() + 1 && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_name) {
            found.push(open);
        }
    }
    found
}

/// The template with such braces written as expressions, which an experiment lets stand.
fn guarded(text: &str) -> String {
    let (mut out, mut end) = (String::new(), 0);
    for place in placeholders(text) {
        out += text.get(end..place).unwrap_or_default();
        out += "{{ '{' }}";
        end = place + 1;
    }
    out += text.get(end..).unwrap_or_default();
    out
}
