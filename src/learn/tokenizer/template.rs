//! The texts of templates, in which a tokenizer of another program has control tokens.

use std::collections::BTreeMap;
use std::ops::Range;

use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer};

use super::control::{ControlTexts, FoundControls, TokenRole};

/// Reads templates with the questions that are filled in.
#[derive(Clone, Debug)]
pub(super) struct TemplateReader {
    /// The tokenizer, which makes control tokens of all texts that look like them.
    pub(super) marked: Tokenizer,
    /// The tokenizer, which makes neither control tokens nor marks of a text; `None` if it makes none anyway.
    pub(super) plain: Option<Tokenizer>,
    /// Whether `tokenizer.json` calls a control token part of a text, such as one that ends a completion.
    pub(super) has_lax_controls: bool,
    controls: ControlTexts,
    /// How a part of a text is cut that is not its first, where that differs.
    pub(super) later: Option<PreTokenizerWrapper>,
}

/// A part of a prompt.
pub(super) enum PromptPart {
    /// A control token, and where its text begins.
    Control(usize, u32),
    /// Where a text stands that has no control tokens. It is not empty.
    Text(Range<usize>),
}

impl TemplateReader {
    /// For a tokenizer in which special tokens within a text are text, and whose tokens have the roles `roles`.
    pub(super) fn new(inner: &Tokenizer, roles: &[TokenRole]) -> tokenizers::Result<Self> {
        // In the order of their ids, so that equal files are read alike.
        let added: BTreeMap<u32, AddedToken> = inner.get_added_tokens_decoder().into_iter().collect();
        let is_text = |token: u32| roles.get(token as usize).is_none_or(|role| *role == TokenRole::Text);
        let controls: Vec<(u32, AddedToken)> = added.into_iter().filter(|(token, _)| !is_text(*token)).collect();
        // Found in a text as it is written, before anything is replaced in it.
        let written = controls.iter().map(|(_, token)| token.clone().normalized(false));
        let mut marked = inner.clone();
        marked.set_encode_special_tokens(false);
        marked.add_tokens(written.clone())?;
        let mut plain = None;
        if controls.iter().any(|(_, token)| !token.special) {
            let plain = plain.insert(inner.clone());
            plain.add_special_tokens(written.map(|token| token.special(true)))?;
        }
        let is_control = |token: u32| roles.get(token as usize) == Some(&TokenRole::Control);
        Ok(Self {
            marked,
            plain,
            has_lax_controls: controls.iter().any(|(token, added)| !added.special && is_control(*token)),
            controls: ControlTexts::new(controls),
            later: inner.get_pre_tokenizer().and_then(later),
        })
    }

    /// Where `text` asks for control tokens and marks, outside of the ranges `filled`.
    pub(super) fn controls(&self, text: &str, filled: &[Range<usize>]) -> FoundControls<'_> {
        self.controls.find(text, filled)
    }
}

impl FoundControls<'_> {
    /// The text in parts, each either a control token or without one.
    pub(super) fn parts(&self, text: &str) -> Vec<PromptPart> {
        let (mut parts, mut at) = (Vec::new(), 0);
        let add_text = |parts: &mut Vec<PromptPart>, range: Range<usize>| {
            if text.get(range.clone()).is_some_and(|part| !part.is_empty()) {
                parts.push(PromptPart::Text(range));
            }
        };
        for (place, control) in &self.places {
            let before = text.get(at..place.start).unwrap_or_default();
            let after = text.get(place.end..).unwrap_or_default();
            let (space_before, space_after) = control.space(before, after);
            add_text(&mut parts, at..place.start.saturating_sub(space_before));
            parts.push(PromptPart::Control(place.start, control.token));
            at = place.end + space_after;
        }
        add_text(&mut parts, at..text.len());
        parts
    }
}

/// How a part is cut that is not the first, if that differs: some tokenizers add a space before the first alone.
fn later(cut: &PreTokenizerWrapper) -> Option<PreTokenizerWrapper> {
    match cut {
        PreTokenizerWrapper::Metaspace(cut) if cut.prepend_scheme == PrependScheme::First => {
            let mut cut = cut.clone();
            cut.set_prepend_scheme(PrependScheme::Never);
            Some(cut.into())
        }
        PreTokenizerWrapper::Sequence(cuts) => {
            let cuts = cuts.as_ref();
            let changed: Vec<_> = cuts.iter().map(|cut| later(cut).unwrap_or_else(|| cut.clone())).collect();
            (changed != cuts).then(|| Sequence::new(changed).into())
        }
        _ => None,
    }
}
