//! Answers as collections of words or items: `f1` and `set`.

use std::collections::BTreeMap;

use crate::scoring::python;
use crate::task::Amount;

/// The harmonic mean of precision and recall of the words of an answer, as in SQuAD's evaluation: without capitals, the punctuation of
/// ASCII and articles.
pub(super) fn f1(answer: &str, right: &str) -> f64 {
    let (answer, right) = (words(answer), words(right));
    if answer.is_empty() || right.is_empty() {
        return f64::from(u8::from(answer == right));
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for word in &right {
        *left.entry(word).or_default() += 1;
    }
    let mut shared = 0_usize;
    for word in &answer {
        if let Some(count) = left.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    2.0 * shared as f64 / (answer.len() + right.len()) as f64
}

fn words(text: &str) -> Vec<String> {
    let plain = python::without_punctuation(&text.to_lowercase());
    let words = plain
        .split(python::is_space)
        .filter(|word| !matches!(*word, "" | "a" | "an" | "the"));
    words.map(str::to_owned).collect()
}

/// Whether two lists have the same items, in any order and however often. Numbers are compared as numbers, texts without capitals.
pub(super) fn is_same_set(answer: &str, right: &str) -> bool {
    let (answer, right) = (items(answer), items(right));
    let within = |some: &[String], others: &[String]| some.iter().all(|item| others.iter().any(|other| is_same(item, other)));
    // What is longer than this is no answer that people write.
    let is_short = answer.len() <= MAX_ITEMS && right.len() <= MAX_ITEMS;
    is_short && within(&answer, &right) && within(&right, &answer)
}

const MAX_ITEMS: usize = 1_000;

fn is_same(item: &str, other: &str) -> bool {
    item == other || Amount::parse(item).is_some_and(|amount| Amount::parse(other) == Some(amount))
}

/// The items between commas, semicolons, lines and "and", without brackets, bullets and marks around them.
fn items(text: &str) -> Vec<String> {
    if let Some(items) = python::list(text.trim()) {
        return items.iter().map(|item| item.trim().to_lowercase()).collect();
    }
    let text = text.trim().trim_end_matches('.').replace("\\{", "{").replace("\\}", "}");
    let inner = [('[', ']'), ('{', '}'), ('(', ')')].into_iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(open)?.strip_suffix(close)?;
        Some(inner).filter(|inner| !inner.contains([open, close]))
    });
    let lower = inner.unwrap_or(&text).to_lowercase();
    let separators: &[char] = match lower.contains([';', '\n']) {
        true => &[';', '\n'],
        false => &[','],
    };
    let parts = lower.split(separators).flat_map(|part| part.split(" and "));
    let marks = |c: char| c.is_whitespace() || "*•\"'`".contains(c);
    let parts = parts.map(|part| part.trim().trim_start_matches("- ").trim_matches(marks));
    let parts = parts.map(|part| part.strip_prefix("and ").unwrap_or(part).trim_end_matches('.'));
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
