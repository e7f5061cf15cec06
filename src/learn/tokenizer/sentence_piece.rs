//! SentencePiece tokenizers of the sort BPE (Llama 2, Mistral, Phi-3), built from their pieces as stored in GGUF files and `tokenizer.model`.
//!
//! SentencePiece joins the two neighbours whose joined text is the piece with the highest score, the first ones of several, until no joined
//! text is a piece. `tokenizer.json` has pairs in the order of merging instead: all pairs that make a piece, ordered by its score.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::byte_level::begin_with;

/// The character that stands for a space.
const SPACE: &str = "\u{2581}";
/// The longest piece, in characters. SentencePiece makes none of more than 16 by default.
const MAX_PIECE: usize = 128;
/// The allowed number of pairs per piece. Llama 2 has 61,249 for 32,000 pieces.
const PAIRS_PER_PIECE: usize = 16;
const MIN_PAIRS: usize = 1 << 16;

/// The kind of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    Ordinary,
    /// Stands for characters without a token.
    Unknown,
    /// Without text, such as the end of a completion.
    Control,
    /// A text that is always a token of its own.
    Whole,
    /// One byte of a character without a token: `<0x0A>`.
    Byte,
}

impl PieceKind {
    /// The kind with this number in SentencePiece and in llama.cpp.
    pub fn of(number: i64) -> Self {
        match number {
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::Whole,
            6 => Self::Byte,
            _ => Self::Ordinary,
        }
    }
}

/// Where a space is put before a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpacePrefix {
    Never,
    /// Before the first part of a text.
    First,
    /// Before each part between control tokens, as llama.cpp does it, and Transformers with `legacy`.
    Each,
}

/// A piece, whose number is its token.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub text: String,
    pub score: f64,
    pub kind: PieceKind,
}

/// The parts of a SentencePiece tokenizer.
#[derive(Clone, Debug)]
pub struct SentencePiece {
    pub pieces: Vec<Piece>,
    pub prefix: SpacePrefix,
    /// Whether control tokens take the white space after them, as in Phi-3.
    pub strips_after: bool,
    /// The token with which a text begins.
    pub begin: Option<u32>,
}

/// A tokenizer that cannot be built from its pieces.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    #[error("has the piece {token} of {length} characters, but at most {MAX_PIECE} are supported")]
    TooLong { token: usize, length: usize },
    #[error("has more than {most} pairs of pieces that make a piece")]
    TooMany { most: usize },
}

impl SentencePiece {
    /// The content of `tokenizer.json`.
    ///
    /// # Errors
    /// When pieces are longer, or can be made in more ways, than those of any real tokenizer.
    pub fn json(&self) -> Result<Vec<u8>, PieceError> {
        let vocabulary: serde_json::Map<String, Value> = self.texts().zip((0..).map(Value::from)).collect();
        let unknown = self.pieces.iter().find(|piece| piece.kind == PieceKind::Unknown);
        let begin = self
            .begin
            .and_then(|begin| Some((begin, self.pieces.get(begin as usize)?.text.as_str())));
        let value = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": self.added(),
            "normalizer": self.normalizer(),
            "pre_tokenizer": (self.prefix == SpacePrefix::First).then(|| json!({
                "type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": false,
            })),
            "post_processor": begin.map(|(token, text)| begin_with(token, text)),
            "decoder": self.decoder(),
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": unknown.map(|piece| &piece.text),
                "continuing_subword_prefix": null,
                "end_of_word_suffix": null,
                "fuse_unk": true,
                "byte_fallback": self.pieces.iter().any(|piece| piece.kind == PieceKind::Byte),
                "ignore_merges": false,
                "vocab": vocabulary,
                "merges": self.pairs()?,
            },
        });
        Ok(value.to_string().into_bytes())
    }

    fn texts(&self) -> impl Iterator<Item = String> {
        self.pieces.iter().map(|piece| piece.text.clone())
    }

    /// All pairs of pieces that make a piece, in the order of merging. Control tokens and bytes are not made of texts.
    fn pairs(&self) -> Result<Vec<(&str, &str)>, PieceError> {
        let ordinary = self
            .pieces
            .iter()
            .enumerate()
            .filter(|(_, piece)| piece.kind == PieceKind::Ordinary);
        let known: HashMap<&str, usize> = ordinary.clone().map(|(token, piece)| (piece.text.as_str(), token)).collect();
        let most = self.pieces.len().saturating_mul(PAIRS_PER_PIECE).max(MIN_PAIRS);
        let mut pairs = Vec::new();
        for (token, piece) in ordinary {
            let length = piece.text.chars().count();
            if length > MAX_PIECE {
                return Err(PieceError::TooLong { token, length });
            }
            let parts = piece
                .text
                .char_indices()
                .skip(1)
                .filter_map(|(at, _)| piece.text.split_at_checked(at));
            let parts = parts.filter(|(left, right)| known.contains_key(left) && known.contains_key(right));
            pairs.extend(parts.map(|(left, right)| (piece.score, left, right)));
            if pairs.len() > most {
                return Err(PieceError::TooMany { most });
            }
        }
        // As Transformers orders them; pairs that make the same piece never compete for the same place in another order.
        let lengths = |left: &str, right: &str| (left.chars().count(), right.chars().count());
        pairs.sort_by(|(score, left, right), (other, others_left, others_right)| {
            let by_score = other.total_cmp(score);
            by_score.then_with(|| lengths(others_left, others_right).cmp(&lengths(left, right)))
        });
        Ok(pairs.into_iter().map(|(_, left, right)| (left, right)).collect())
    }

    fn added(&self) -> Vec<Value> {
        let is_added = |kind| matches!(kind, PieceKind::Unknown | PieceKind::Control | PieceKind::Whole);
        let added = self
            .pieces
            .iter()
            .enumerate()
            .filter(|(_, piece)| is_added(piece.kind) && !piece.text.is_empty());
        let added = added.map(|(token, piece)| {
            // Phi-3's own control tokens, not those that it has from Llama.
            let strips = self.strips_after && !["<unk>", "<s>", "<|endoftext|>"].contains(&piece.text.as_str());
            json!({
                "id": token,
                "content": piece.text,
                "single_word": false,
                "lstrip": false,
                "rstrip": strips,
                "normalized": false,
                "special": piece.kind != PieceKind::Whole,
            })
        });
        added.collect()
    }

    fn normalizer(&self) -> Option<Value> {
        let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
        match self.prefix {
            SpacePrefix::Never => Some(replace),
            SpacePrefix::First => None,
            SpacePrefix::Each => Some(json!({
                "type": "Sequence",
                "normalizers": [{ "type": "Prepend", "prepend": SPACE }, replace],
            })),
        }
    }

    fn decoder(&self) -> Value {
        let mut decoders = vec![
            json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
            json!({ "type": "ByteFallback" }),
            json!({ "type": "Fuse" }),
        ];
        if self.prefix != SpacePrefix::Never {
            decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
        }
        json!({ "type": "Sequence", "decoders": decoders })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::tokenizer::Tokenizer;

    fn piece(text: &str, score: f64, kind: PieceKind) -> Piece {
        let text = text.to_owned();
        Piece { text, score, kind }
    }

    /// Control tokens, all bytes, the characters, and `words` in the order of their scores.
    fn sentence_piece(words: &[&str], characters: &str, prefix: SpacePrefix) -> SentencePiece {
        let mut pieces = vec![
            piece("<unk>", 0.0, PieceKind::Unknown),
            piece("<s>", 0.0, PieceKind::Control),
            piece("</s>", 0.0, PieceKind::Control),
        ];
        pieces.extend((0..=255_u8).map(|byte| piece(&format!("<0x{byte:02X}>"), 0.0, PieceKind::Byte)));
        let characters = characters.chars().map(String::from);
        let ordinary = words.iter().map(ToString::to_string).chain(characters);
        pieces.extend(
            ordinary
                .enumerate()
                .map(|(place, text)| piece(&text, -(place as f64), PieceKind::Ordinary)),
        );
        SentencePiece {
            pieces,
            prefix,
            strips_after: false,
            begin: Some(1),
        }
    }

    /// One part that is filled in.
    fn only(part: std::ops::Range<usize>) -> [std::ops::Range<usize>; 1] {
        [part]
    }

    fn tokenizer(parts: &SentencePiece) -> Tokenizer {
        Tokenizer::parse(&parts.json().unwrap(), &[2], Path::new("x")).unwrap()
    }

    /// What SentencePiece does, directly: joins the best neighbours, then spells what is no piece in bytes.
    fn direct(parts: &SentencePiece, text: &str) -> Vec<u32> {
        let find = |text: &str, kind| {
            let mut pieces = parts.pieces.iter();
            pieces.position(|piece| piece.text == text && piece.kind == kind)
        };
        let text = format!("{SPACE}{}", text.replace(' ', SPACE));
        let mut symbols: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let joined = symbols.windows(2).enumerate().filter_map(|(place, pair)| {
                let token = find(&pair.concat(), PieceKind::Ordinary)?;
                Some((parts.pieces[token].score, place))
            });
            let best = joined.reduce(|best, other| if other.0 > best.0 { other } else { best });
            let Some((_, place)) = best else { break };
            let right = symbols.remove(place + 1);
            symbols[place] += &right;
        }
        let spelled = symbols.iter().flat_map(|symbol| match find(symbol, PieceKind::Ordinary) {
            Some(token) => vec![token],
            None => symbol
                .bytes()
                .map(|byte| find(&format!("<0x{byte:02X}>"), PieceKind::Byte).unwrap())
                .collect(),
        });
        spelled.map(|token| token as u32).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn pairs_in_order_give_the_tokens_that_scores_give(
            words in prop::collection::btree_set("[ab▁]{2,5}", 1..16),
            seed in any::<u64>(),
            texts in prop::collection::vec("[ab ❤<]{0,24}", 8),
        ) {
            let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
            let length = words.len();
            words.rotate_left(seed as usize % length);
            if seed % 2 == 0 {
                words.sort_by_key(|word| word.len());
            }
            let parts = sentence_piece(&words, "ab▁", SpacePrefix::Each);
            let tokenizer = tokenizer(&parts);
            for text in texts.iter().filter(|text| !text.is_empty()) {
                let tokens = tokenizer.encode(text).unwrap();
                prop_assert_eq!(&tokens, &direct(&parts, text), "{:?} {:?}", &words, text);
                prop_assert_eq!(&tokenizer.decode(&tokens).unwrap(), text);
                prop_assert_eq!(tokenizer.unknown_in_text(text).unwrap(), None);
            }
        }
    }

    #[test]
    fn control_tokens_are_made_of_no_text_and_prompts_begin_with_one() {
        let parts = sentence_piece(&["</s", "s>", "</"], "</>s▁ax", SpacePrefix::Each);
        let tokenizer = tokenizer(&parts);
        let pieces = |tokens: &[u32]| -> Vec<String> { tokens.iter().map(|token| tokenizer.token(*token).unwrap()).collect() };
        assert_eq!(pieces(&tokenizer.encode("</s><0x0A>").unwrap())[..3], ["▁", "</", "s>"]);
        assert!(!tokenizer.encode("</s><0x0A><unk>").unwrap().contains(&13));
        assert_eq!(
            pieces(&tokenizer.prompt("a</s>x", &[]).unwrap()),
            ["<s>", "▁", "a", "</s>", "▁", "x"]
        );
        // The same text in a question.
        let question = 1..5;
        let asked = tokenizer.prompt("a</s>x</s>", &only(question)).unwrap();
        assert_eq!(pieces(&asked), ["<s>", "▁", "a", "</", "s>", "x", "</s>"]);
        assert_eq!(tokenizer.prompt("<s>a", &[]).unwrap(), tokenizer.prompt("a", &[]).unwrap());
        assert_ne!(tokenizer.prompt("<s>a", &only(0..3)).unwrap(), tokenizer.prompt("a", &[]).unwrap());
    }

    #[test]
    fn spaces_are_put_where_the_tokenizer_asks_for_them() {
        let tokens = |prefix: SpacePrefix, text: &str| {
            let tokenizer = tokenizer(&sentence_piece(&["▁a"], "a▁", prefix));
            let tokens = tokenizer.prompt(text, &[]).unwrap();
            assert_eq!(tokenizer.decode(&tokenizer.encode("a  a ").unwrap()).unwrap(), "a  a ");
            let texts = tokens.iter().map(|token| tokenizer.token(*token).unwrap());
            texts.skip(1).collect::<Vec<_>>().join("|")
        };
        assert_eq!(tokens(SpacePrefix::Each, "a a</s>a"), "▁a|▁a|</s>|▁a");
        assert_eq!(tokens(SpacePrefix::First, "a a</s>a"), "▁a|▁a|</s>|a");
        assert_eq!(tokens(SpacePrefix::Never, "a a</s>a"), "a|▁a|</s>|a");
        // A question with the text of a control token is cut as if it were another text.
        let first = tokenizer(&sentence_piece(&["▁a"], "a▁</s>", SpacePrefix::First));
        let question = 8..12;
        let asked = first.prompt("a a</s>a</s>", &only(question)).unwrap();
        let texts: Vec<String> = asked.iter().map(|token| first.token(*token).unwrap()).collect();
        assert_eq!(texts.join("|"), "<s>|▁a|▁a|</s>|a|<|/|s|>");
    }

    #[test]
    fn characters_without_bytes_are_unknown_or_said_to_be_missing() {
        let mut parts = sentence_piece(&[], "ab▁", SpacePrefix::Each);
        parts.pieces.retain(|piece| piece.kind != PieceKind::Byte);
        let with_unknown = tokenizer(&parts);
        assert_eq!(with_unknown.encode("aé").unwrap().last(), Some(&0));
        assert_eq!(with_unknown.unknown_in_text("aéb").unwrap().as_deref(), Some("é"));
        parts.pieces.remove(0);
        parts.begin = Some(0);
        let without = Tokenizer::parse(&parts.json().unwrap(), &[1], Path::new("x")).unwrap();
        let tokens = without.encode("aéb").unwrap();
        assert!(without.may_lack(&tokens));
        assert_eq!(without.unknown_in_text("aéb").unwrap().as_deref(), Some("é"));
        assert_eq!(without.unknown_in_prompt("aéb", &[]).unwrap().as_deref(), Some("é"));
        assert_eq!(without.unknown_in_text("a b").unwrap(), None);
    }

    #[test]
    fn pieces_beyond_all_measure_are_refused() {
        let long = "a".repeat(200);
        let error = sentence_piece(&[&long], "a", SpacePrefix::Each).json().unwrap_err();
        insta::assert_snapshot!(error, @"has the piece 259 of 200 characters, but at most 128 are supported");
    }
}
