//! The number that a sentence gives as an answer, after words such as "the answer is".

use std::sync::LazyLock;

use super::spot;
use crate::scoring::pattern::Pattern;
use crate::task::Amount;

/// What a phrase says.
#[derive(Debug, PartialEq)]
pub(super) enum Reading {
    Number(Amount),
    /// There are numbers, but none of them is the answer.
    Unreadable,
    /// There is no number.
    Nothing,
}

/// Abbreviations whose point ends no sentence.
const ABBREVIATIONS: [&str; 10] = ["rs", "approx", "vs", "no", "mr", "mrs", "ms", "dr", "e.g", "i.e"];

/// The longest sentence, in characters; what is beyond is not read.
const MAX_SENTENCE: usize = 1_000;

fn is_abbreviation(text: &str) -> bool {
    ABBREVIATIONS.iter().any(|word| {
        let (before, end) = text.split_at_checked(text.len().saturating_sub(word.len())).unwrap_or((text, ""));
        end.eq_ignore_ascii_case(word) && !before.ends_with(char::is_alphanumeric)
    })
}

/// The first sentence of a text: up to a point before a space, or the end of the line.
pub(super) fn sentence(text: &str) -> &str {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if at > MAX_SENTENCE {
            return text.get(..at).unwrap_or(text);
        }
        let after = text.get(at + c.len_utf8()..).unwrap_or_default();
        let ends = match c {
            '\n' => true,
            '!' | '?' => true,
            '.' => {
                let before_point = text.get(..at).unwrap_or_default();
                let is_short = is_abbreviation(before_point);
                let is_open = after.chars().next().is_none_or(|c| !c.is_alphanumeric());
                let is_glued = before.is_numeric() && after.starts_with(char::is_alphabetic);
                !is_short && (is_open || is_glued)
            }
            _ => false,
        };
        if ends {
            return text.get(..at).unwrap_or(text);
        }
        before = c;
    }
    text
}

/// Reads the first sentence of a text.
pub(super) fn read(text: &str) -> Reading {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || "*_`:=>\"'“”".contains(c));
    let sentence = sentence(text).trim();
    if spot::all(sentence).is_empty() && spot::spoken(sentence).is_empty() && !sentence.contains(|c: char| c.is_ascii_digit()) {
        return Reading::Nothing;
    }
    let read = whole(sentence)
        .or_else(|| without_reason(sentence).and_then(clause))
        .or_else(|| clause(sentence));
    read.map_or(Reading::Unreadable, Reading::Number)
}

/// A number and nothing that changes it.
fn whole(text: &str) -> Option<Amount> {
    Amount::parse(text.trim_end_matches(|c: char| c.is_whitespace() || ".,;:".contains(c)))
}

fn pattern(pattern: &str) -> Option<Pattern> {
    Pattern::new(pattern, true).ok()
}

/// What stands before a reason: `18, since 9 * 2 = 18`, `18 (9 eggs at $2 each)`, `18, not 20`.
fn without_reason(sentence: &str) -> Option<&str> {
    static REASONS: LazyLock<Option<Pattern>> = LazyLock::new(|| {
        pattern(concat!(
            r"[,;:\s(—–-]\s*(?:since|because|as|so|which|where|who|due to|given|calculated|assuming|considering|based on|i\.e\.|",
            r"that is|not|rather than|instead of|and not|leaving|meaning|making|when|if|after|before|while)\b|\s\("
        ))
    });
    let found = REASONS.as_ref()?.find_all(sentence);
    let cuts = found.iter().filter_map(|found| {
        let (before, after) = sentence.split_at_checked(found.start())?;
        let is_bracket = found.whole.trim_start() == "(";
        let inner = after.trim_start().trim_start_matches('(');
        // `18 (19)` and `18 (in thousands)` are no reasons.
        let is_other =
            is_bracket && (inner.to_lowercase().starts_with("in ") || Amount::parse(inner.trim_end_matches([')', '.'])).is_some());
        (!is_other && !spot::all(before).is_empty()).then_some(before)
    });
    cuts.min_by_key(|before| before.len())
}

/// The number of a clause without reasons.
fn clause(text: &str) -> Option<Amount> {
    if let Some(amount) = whole(text) {
        return Some(amount);
    }
    if let Some(corrected) = corrected(text) {
        return clause(corrected);
    }
    if let Some((before, after)) = text.rsplit_once(['=', '≈']) {
        return stated(after).or_else(|| whole(before.rsplit(['=', '≈']).next().unwrap_or(before)));
    }
    stated(text)
}

/// `not 20 but 18`
fn corrected(text: &str) -> Option<&str> {
    static CORRECTION: LazyLock<Option<Pattern>> = LazyLock::new(|| pattern(r"\bnot\b.*?\bbut\b"));
    let found = CORRECTION.as_ref()?.find(text)?;
    text.get(found.end()..)
}

/// The number of a statement: `about 18`, `that Janet makes $18 every day from 9 eggs`.
fn stated(text: &str) -> Option<Amount> {
    static DETAILS: LazyLock<Option<Pattern>> = LazyLock::new(|| {
        pattern(concat!(
            r"\s(?:(?:from|for|on|at|after|with|per|every|each|out of|before|during|until|of|across|among|when|if|left)\b|",
            r"in (?!(?:hundreds|thousands|millions|billions)\b)|by \w+ing\b)"
        ))
    });
    let first = spot::all(text)
        .into_iter()
        .next()
        .or_else(|| spot::spoken(text).into_iter().next())?;
    let before = text.get(..first.start)?;
    // What comes before the number in words must be words.
    if before.contains(['+', '×', '÷', '/', '^']) {
        return None;
    }
    let tail = text.get(first.start..)?;
    whole(tail).or_else(|| {
        let cut = DETAILS.as_ref()?.find(tail)?.start();
        whole(tail.get(..cut)?)
    })
}
