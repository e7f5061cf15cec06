//! The tokens of a style, collected from the training texts.

use std::collections::{BTreeMap, BTreeSet};

use super::{SPECIALS, Style};

/// How often a phrase must occur to be a token: one that occurs once cannot be learnt from.
const MINIMUM: usize = 2;

/// The special tokens, then the ten digits, the characters of `texts` and (for [`Style::Phrase`]) their repeated phrases, sorted.
pub(super) fn collect<'a>(style: Style, texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut characters: BTreeSet<char> = ('0'..='9').collect();
    let mut phrases: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts {
        characters.extend(text.chars());
        if style == Style::Phrase {
            let between_digits = text.split(|c: char| c.is_ascii_digit()).filter(|phrase| !phrase.is_empty());
            between_digits.for_each(|phrase| *phrases.entry(phrase).or_default() += 1);
        }
    }
    let repeated = phrases.into_iter().filter(|(_, count)| *count >= MINIMUM);
    let mut tokens: BTreeSet<String> = repeated.map(|(phrase, _)| phrase.to_owned()).collect();
    tokens.extend(characters.iter().map(char::to_string));
    let specials = SPECIALS.iter().map(ToString::to_string);
    let ordinary = tokens.into_iter().filter(|token| !SPECIALS.contains(&token.as_str()));
    specials.chain(ordinary).collect()
}
