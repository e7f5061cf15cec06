//! How each style splits texts, using the `tokenizers` crate.

use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::strip::Strip;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{NormalizerWrapper, Prepend, Replace};
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};

use super::TokenizerStyle;

/// The pre-tokens of `phrase` and `char`: each ASCII digit, and each maximal run of anything else.
const PHRASE_PATTERN: &str = "[0-9]|[^0-9]+";

/// The pre-tokens of `word`: each digit, each word and each other symbol with the space before it, each other white space.
const WORD_PATTERN: &str = r" ?\p{L}+|[0-9]| ?[^\s\p{L}0-9]|\s";

/// A line break before a line that is not empty.
const LINE_START_PATTERN: &str = r"\n(?=.)";

/// Splits texts into pre-tokens, and joins them again.
pub(super) struct StylePreTokenizer {
    style: TokenizerStyle,
    pub normalizer: Option<NormalizerWrapper>,
    pub pre_tokenizer: Split,
    pub decoder: DecoderWrapper,
}

impl StylePreTokenizer {
    pub(super) fn new(style: TokenizerStyle) -> Result<Self, tokenizers::Error> {
        let by = |pattern: &str| Split::new(SplitPattern::Regex(pattern.to_owned()), SplitDelimiterBehavior::Isolated, false);
        let fuse = DecoderWrapper::Fuse(Fuse::new());
        if style != TokenizerStyle::Word {
            return Ok(Self {
                style,
                normalizer: None,
                pre_tokenizer: by(PHRASE_PATTERN)?,
                decoder: fuse,
            });
        }
        let spaced = Replace::new(ReplacePattern::Regex(LINE_START_PATTERN.to_owned()), "\n ")?;
        let normalizers = vec![spaced.into(), Prepend::new(" ".to_owned()).into()];
        let unspaced = vec![fuse, Replace::new("\n ", "\n")?.into(), Strip::new(' ', 1, 0).into()];
        Ok(Self {
            style,
            normalizer: Some(tokenizers::normalizers::Sequence::new(normalizers).into()),
            pre_tokenizer: by(WORD_PATTERN)?,
            decoder: tokenizers::decoders::sequence::Sequence::new(unspaced).into(),
        })
    }

    /// The pieces of a text that become tokens if they occur often enough.
    pub(super) fn pieces(&self, text: &str) -> Result<Vec<String>, tokenizers::Error> {
        if self.style == TokenizerStyle::Char {
            return Ok(Vec::new());
        }
        let mut text = text.into();
        if let Some(normalizer) = &self.normalizer {
            normalizer.normalize(&mut text)?;
        }
        let mut text = PreTokenizedString::from(text);
        self.pre_tokenizer.pre_tokenize(&mut text)?;
        let splits = text.get_splits(OffsetReferential::Normalized, OffsetType::None);
        Ok(splits.into_iter().map(|(piece, ..)| piece.to_owned()).collect())
    }
}
