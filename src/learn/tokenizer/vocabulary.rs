//! The vocabulary of a style, collected from the training texts.

use std::collections::{BTreeMap, BTreeSet};

use super::SPECIAL_TOKENS;
use super::pre_tokenizer::StylePreTokenizer;

/// A phrase or word must occur this many times to be a token, since a model cannot learn a token from one occurrence.
const MIN_OCCURRENCES: usize = 2;

/// The special tokens, then, sorted: the ten digits, the characters of `texts` and (except for [`super::TokenizerStyle::Char`]) their
/// repeated pieces.
pub(super) fn collect(cut: &StylePreTokenizer, texts: &[&str]) -> Result<Vec<String>, tokenizers::Error> {
    let mut characters: BTreeSet<char> = ('0'..='9').collect();
    let mut pieces: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        characters.extend(text.chars());
        for piece in cut.pieces(text)? {
            characters.extend(piece.chars());
            *pieces.entry(piece).or_default() += 1;
        }
    }
    let repeated = pieces.into_iter().filter(|(_, count)| *count >= MIN_OCCURRENCES);
    let mut tokens: BTreeSet<String> = repeated.map(|(piece, _)| piece).collect();
    tokens.extend(characters.iter().map(char::to_string));
    let specials = SPECIAL_TOKENS.iter().map(ToString::to_string);
    let ordinary = tokens.into_iter().filter(|token| !SPECIAL_TOKENS.contains(&token.as_str()));
    Ok(specials.chain(ordinary).collect())
}
