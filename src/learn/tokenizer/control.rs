//! Control tokens: which tokens the text of a row never becomes, and where an author's text asks for them.

use std::ops::Range;

use tokenizers::AddedToken;

/// What a token stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TokenRole {
    /// A part of a text.
    #[default]
    Text,
    /// A mark such as `<think>`, which a model writes as a part of its answer; in a question it is text.
    Mark,
    /// The end of a completion, the start of a message, an unknown character: never a part of a text.
    Control,
}

impl TokenRole {
    /// The role of a token that a tokenizer adds to those of its model.
    pub(super) fn of(token: &AddedToken) -> Self {
        match token {
            AddedToken { special: true, .. } => Self::Control,
            AddedToken { content, .. } if is_mark(content) => Self::Mark,
            // Such as runs of spaces, and words of a special field.
            _ => Self::Text,
        }
    }
}

/// Whether a text has brackets around it, as `<tool_call>` and `[INST]` have.
fn is_mark(text: &str) -> bool {
    let within = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    let inner: Option<&str> = within('<', '>').or_else(|| within('[', ']'));
    inner.is_some_and(|inner| inner.contains(char::is_alphanumeric))
}

/// A control token or a mark, and how it is found in a text.
#[derive(Clone, Debug)]
pub(super) struct ControlText {
    pub(super) token: u32,
    added: AddedToken,
}

impl ControlText {
    /// The white space before and after it, in bytes, that belongs to it.
    pub(super) fn space(&self, before: &str, after: &str) -> (usize, usize) {
        let (before, after) = (before.len() - before.trim_end().len(), after.len() - after.trim_start().len());
        (
            if self.added.lstrip { before } else { 0 },
            if self.added.rstrip { after } else { 0 },
        )
    }

    fn stands_in(&self, text: &str, place: &Range<usize>) -> bool {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let before = text.get(..place.start).and_then(|before| before.chars().next_back());
        let after = text.get(place.end..).and_then(|after| after.chars().next());
        !self.added.single_word || ![before, after].into_iter().flatten().any(is_word)
    }
}

/// The control tokens and marks of a tokenizer.
#[derive(Clone, Debug)]
pub(super) struct ControlTexts {
    /// By the first byte of their texts, the longest first. [256]
    by_first: Vec<Vec<ControlText>>,
}

/// Where an author's text asks for control tokens.
#[derive(Default)]
pub(super) struct FoundControls<'c> {
    pub(super) places: Vec<(Range<usize>, &'c ControlText)>,
    /// Whether there would be more of them, or others, if what is filled in were the author's too.
    pub(super) has_strays: bool,
}

impl ControlTexts {
    pub(super) fn new(added: impl IntoIterator<Item = (u32, AddedToken)>) -> Self {
        let mut by_first = vec![Vec::new(); 256];
        for (token, added) in added {
            let first = added.content.bytes().next().map(usize::from);
            if let Some(list) = first.and_then(|first| by_first.get_mut(first)) {
                list.push(ControlText { token, added });
            }
        }
        for list in &mut by_first {
            list.sort_by(|a, b| {
                let length = b.added.content.len().cmp(&a.added.content.len());
                length.then_with(|| a.token.cmp(&b.token))
            });
        }
        Self { by_first }
    }

    /// Finds them in `text` where it is the author's: outside of the ranges `filled`.
    pub(super) fn find(&self, text: &str, filled: &[Range<usize>]) -> FoundControls<'_> {
        let (mut places, mut has_strays, mut at) = (Vec::new(), false, 0);
        while let Some((first, rest)) = text.as_bytes().get(at..).and_then(|rest| Some((*rest.first()?, rest))) {
            let list = self.by_first.get(usize::from(first)).map(Vec::as_slice).unwrap_or_default();
            let mut found = list
                .iter()
                .filter(|control| rest.starts_with(control.added.content.as_bytes()))
                .map(|control| (at..at + control.added.content.len(), control))
                .filter(|(place, control)| control.stands_in(text, place));
            let authors = found.find(|(place, _)| {
                let is_authors = !overlaps(place, filled);
                has_strays |= !is_authors;
                is_authors
            });
            at = authors.as_ref().map_or(at + 1, |(place, _)| place.end);
            places.extend(authors);
        }
        FoundControls { places, has_strays }
    }
}

/// Whether a part of a text has something in common with others.
pub(super) fn overlaps(part: &Range<usize>, others: &[Range<usize>]) -> bool {
    others.iter().any(|other| part.start < other.end && other.start < part.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controls(texts: &[&str]) -> ControlTexts {
        let added = texts.iter().zip(0..).map(|(text, token)| (token, AddedToken::from(*text, true)));
        ControlTexts::new(added)
    }

    /// The tokens found in `text`, whose parts in `{}` are filled in.
    fn found(controls: &ControlTexts, text: &str) -> (Vec<u32>, bool) {
        let (mut plain, mut filled) = (String::new(), Vec::new());
        for part in text.split_inclusive(['{', '}']) {
            let start = plain.len();
            plain += part.trim_end_matches(['{', '}']);
            if part.ends_with('}') {
                filled.push(start..plain.len());
            }
        }
        let found = controls.find(&plain, &filled);
        (
            found.places.into_iter().map(|(_, control)| control.token).collect(),
            found.has_strays,
        )
    }

    #[test]
    fn control_tokens_are_found_in_the_authors_text_alone() {
        let controls = controls(&["<a>", "<ab>", "<a>b", "ß"]);
        let cases: [(&str, &[u32], bool); 9] = [
            ("<a>x<ab>", &[0, 1], false),
            ("<a>b<a", &[2], false),
            ("xß<ß", &[3, 3], false),
            ("<a>{<a>}<a>", &[0, 0], true),
            ("{<a>}", &[], true),
            // Neither across the border, nor around an empty question.
            ("<a{>}", &[], true),
            ("<{}a>", &[], true),
            // What is the author's alone counts, though more would match.
            ("<a>{b}", &[0], true),
            ("{<a}<ab>{}", &[1], false),
        ];
        for (text, tokens, has_strays) in cases {
            assert_eq!(found(&controls, text), (tokens.to_vec(), has_strays), "{text}");
        }
    }

    #[test]
    fn marks_are_in_brackets() {
        let role = |text: &str| TokenRole::of(&AddedToken::from(text, false));
        for text in ["<think>", "</tool_call>", "<|im_end|>", "[INST]", "<｜User｜>"] {
            assert_eq!(role(text), TokenRole::Mark, "{text}");
        }
        for text in ["  ", "<", "<>", "[]", "COVID", "<-", "a > b"] {
            assert_eq!(role(text), TokenRole::Text, "{text}");
        }
        assert_eq!(TokenRole::of(&AddedToken::from("a", true)), TokenRole::Control);
    }
}
