//! The texts of `[prompts]`: `{question}` and `{n}` are filled in, and all other braces are the text's own. An entry is a text, or a table
//! with one as its `template`.

use super::nearest::nearest;
use super::{ConfigValue, Diagnostic, Document};

/// What a prompt may have in braces; the first it must have.
const NAMES: [&str; 2] = ["question", "n"];

/// The field of a table with its text; a table without it is left to the kinds that read it.
const TEMPLATE: &str = "template";

/// What is wrong with a prompt, if anything.
pub(super) fn problem(name: &str, value: &ConfigValue) -> Option<Diagnostic> {
    if let Some(fields) = value.as_table() {
        return fields.get(TEMPLATE).and_then(|template| problem(name, template));
    }
    let Some(text) = value.as_str() else {
        let message = format!("prompt `{name}` must be a text with `{{question}}`, not {}", value.describe());
        return Some(Diagnostic::new(message).at(value.at()));
    };
    let doubled = NAMES.iter().find(|name| text.contains(&format!("{{{{{name}}}}}")));
    if let Some(doubled) = doubled {
        let message = format!("prompt `{name}` has doubled braces, which the model would read: in `[prompts]`, write `{{{doubled}}}`");
        return Some(Diagnostic::new(message).at(value.at()));
    }
    if text.contains("{question}") {
        return None;
    }
    let meant = in_braces(text).find_map(|inner| nearest(inner, ["question"]));
    let help = "`{question}` stands where the question goes, and `{n}` where the number of steps does";
    let problem = Diagnostic::new(format!("prompt `{name}` has no `{{question}}`")).at(value.at());
    Some(problem.suggest(meant.map(|_| "{question}")).help(help))
}

/// Warnings about braces that nothing fills in. One for each prompt.
pub(super) fn warnings(document: &Document) -> Vec<Diagnostic> {
    let warning = |(name, value): (&str, &ConfigValue)| {
        let text = value
            .get(TEMPLATE)
            .unwrap_or(value)
            .as_str()
            .filter(|_| problem(name, value).is_none())?;
        let mut own = text.to_owned();
        NAMES.iter().for_each(|name| own = own.replace(&format!("{{{name}}}"), ""));
        let message = if own.contains("{{") || own.contains("}}") {
            format!("prompt `{name}` has doubled braces, which the model reads: in `[prompts]`, one is enough")
        } else if let Some(inner) = in_braces(&own).next() {
            format!("prompt `{name}` has `{{{inner}}}`, which the model reads as it is: `{{question}}` and `{{n}}` alone are filled in")
        } else if value.as_str().is_some_and(ends_in_blank) {
            format!("prompt `{name}` ends in a blank{BLANK}")
        } else {
            return None;
        };
        Some(Diagnostic::new(message).at(value.at()))
    };
    let of_task = |(name, value): (&str, &ConfigValue)| {
        let question = value.get(QUESTION)?;
        let message = format!("`{QUESTION}` of task `{name}` ends in a blank{BLANK}");
        question
            .as_str()
            .is_some_and(ends_in_blank)
            .then(|| Diagnostic::new(message).at(question.at()))
    };
    let prompts = document.entries("prompts").into_iter().filter_map(warning);
    prompts.chain(document.entries("tasks").into_iter().filter_map(of_task)).collect()
}

/// The field of a task with what is asked.
const QUESTION: &str = "doc_to_text";
/// Why a text before an answer is to end in none.
const BLANK: &str = ": most models write the blank before a word themselves, and answer worse after one; leave it out";

/// Whether what stands before an answer ends in a blank.
fn ends_in_blank(text: &str) -> bool {
    text.ends_with([' ', '\t'])
}

/// What stands in braces, where it is short enough to be a name.
fn in_braces(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    inner.map(|(inner, _)| inner).filter(|inner| inner.chars().count() <= 40)
}
