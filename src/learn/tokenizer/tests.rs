use super::*;

const TEXTS: [&str; 4] = [
    "Question: 3 + 4\nAnswer:\n",
    "7",
    "Question: 12 + 30\nAnswer:\n",
    "1. 2 + 0 = 2.\nThus, the answer is 42.",
];

fn tokenizer(style: TokenizerStyle) -> Tokenizer {
    Tokenizer::build(style, TEXTS).unwrap()
}

fn pieces(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
    let tokens = tokenizer.encode(text).unwrap();
    tokens.iter().map(|&token| tokenizer.decode(&[token]).unwrap()).collect()
}

#[test]
fn phrases_that_repeat_are_tokens_and_digits_always() {
    let tokenizer = tokenizer(TokenizerStyle::Phrase);
    assert_eq!(
        pieces(&tokenizer, "Question: 95 + 8\nAnswer:\n"),
        ["Question: ", "9", "5", " + ", "8", "\nAnswer:\n"]
    );
    // Seen once, so split into characters.
    assert_eq!(pieces(&tokenizer, " = 1"), [" ", "=", " ", "1"]);
}

#[test]
fn char_spells_everything() {
    assert_eq!(pieces(&tokenizer(TokenizerStyle::Char), "3 + 4\n"), ["3", " ", "+", " ", "4", "\n"]);
}

#[test]
fn words_and_symbols_are_tokens_wherever_they_stand() {
    let walk = "facing South: Left, Around\nAnswer:\n";
    let texts = [walk, "North. Around\nSouth.\nThus, the answer is South.", "❤ ✰ ♋ ↔ ◯ ♋"];
    let tokenizer = Tokenizer::build(TokenizerStyle::Word, texts.into_iter().chain(texts)).unwrap();
    let text = |tokens: &[u32]| {
        tokens
            .iter()
            .map(|&token| tokenizer.inner.id_to_token(token).unwrap())
            .collect::<Vec<_>>()
    };
    let cut = |of: &str| text(&tokenizer.encode(of).unwrap());
    assert_eq!(
        cut(walk),
        [" facing", " South", ":", " Left", ",", " Around", "\n", " Answer", ":", "\n"]
    );
    assert_eq!(cut("North. Around\nSouth."), [" North", ".", " Around", "\n", " South", "."]);
    assert_eq!(cut("❤ ✰ ♋ ↔ ◯"), [" ❤", " ✰", " ♋", " ↔", " ◯"]);
    assert_eq!(cut("♋ 12"), [" ♋", " ", "1", "2"]);
    // Not in the vocabulary as a word, so split into characters.
    assert_eq!(cut("Ref"), [" ", UNKNOWN_TOKEN, "e", "f"]);
    let tokens = tokenizer.encode("North. Around\nSouth.").unwrap();
    let (lines, columns) = Cursor::default().positions(&tokenizer, &tokens, 64, 64);
    assert_eq!((lines, columns), (vec![0, 0, 0, 0, 1, 1], vec![0, 1, 2, 3, 0, 1]));
}

#[test]
fn auto_cuts_phrases_only_where_digits_part_them() {
    let json = |style, texts: &[&str]| {
        let built = Tokenizer::build(style, texts.iter().copied()).unwrap();
        built.inner.to_string(false).unwrap()
    };
    assert_eq!(json(TokenizerStyle::Auto, &TEXTS), json(TokenizerStyle::Phrase, &TEXTS));
    let walks = ["facing South\nLet's solve it in 2 steps.", "North. Around\nSouth."];
    assert_eq!(json(TokenizerStyle::Auto, &walks), json(TokenizerStyle::Word, &walks));
    assert_ne!(json(TokenizerStyle::Phrase, &walks), json(TokenizerStyle::Word, &walks));
}

#[test]
fn text_survives_the_round_trip() {
    let odd = ["", " ", "\n", "\n\n", " a\n b", "\n \n  x\n", "a\r\n\tb ", "❤ ↔  ♋"];
    for style in [TokenizerStyle::Phrase, TokenizerStyle::Word, TokenizerStyle::Char] {
        let built = Tokenizer::build(style, TEXTS.into_iter().chain(odd)).unwrap();
        for text in TEXTS.into_iter().chain(odd) {
            let tokens = built.encode(text).unwrap();
            assert_eq!(built.decode(&tokens).unwrap(), text, "{style:?}");
        }
    }
}

#[test]
fn strangers_are_unknown_and_specials_in_a_text_are_text() {
    let tokenizer = tokenizer(TokenizerStyle::Phrase);
    assert_eq!(pieces(&tokenizer, "❤"), [UNKNOWN_TOKEN]);
    let tokens = tokenizer.encode("an <eos> tag").unwrap();
    assert!(!tokens.contains(&tokenizer.end()), "{tokens:?}");
}

#[test]
fn the_vocabulary_does_not_depend_on_the_order_of_the_texts() {
    let mut reversed = TEXTS;
    reversed.reverse();
    let text = |tokenizer: &Tokenizer| tokenizer.inner.to_string(false).unwrap();
    let built = tokenizer(TokenizerStyle::Phrase);
    assert_eq!(text(&built), text(&Tokenizer::build(TokenizerStyle::Phrase, reversed).unwrap()));
    let specials: Vec<_> = (0..3).map(|token| built.inner.id_to_token(token).unwrap()).collect();
    assert_eq!(specials, SPECIAL_TOKENS);
}

#[test]
fn files_are_read_back_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.json"), folder.path().join("b.json"));
    for style in [TokenizerStyle::Phrase, TokenizerStyle::Word] {
        let built = tokenizer(style);
        built.save(&first).unwrap();
        let loaded = Tokenizer::load(&first, &[]).unwrap();
        loaded.save(&second).unwrap();
        assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
        for text in TEXTS {
            let tokens = built.encode(text).unwrap();
            assert_eq!(tokens, loaded.encode(text).unwrap());
            assert_eq!(loaded.decode(&tokens).unwrap(), text);
        }
        assert_eq!((loaded.end(), loaded.vocabulary()), (built.end(), built.vocabulary()));
    }
}

#[test]
fn positions_count_lines_and_columns() {
    let tokenizer = tokenizer(TokenizerStyle::Phrase);
    let mut tokens = tokenizer.encode(TEXTS[0]).unwrap();
    tokens.extend(tokenizer.encode("7").unwrap());
    tokens.push(tokenizer.end());
    let (lines, columns) = Cursor::default().positions(&tokenizer, &tokens, 64, 64);
    assert_eq!(lines, [0, 1, 1, 1, 1, 2, 2]);
    assert_eq!(columns, [0, 0, 1, 2, 3, 0, 1]);
}

#[test]
fn positions_stay_within_their_tables_and_go_on_where_they_stopped() {
    let tokenizer = tokenizer(TokenizerStyle::Char);
    let tokens = tokenizer.encode("12\n34\n567").unwrap();
    let whole = Cursor::default().positions(&tokenizer, &tokens, 2, 2);
    assert_eq!(whole, (vec![0, 0, 0, 1, 1, 1, 1, 1, 1], vec![0, 1, 1, 0, 1, 1, 0, 1, 1]));
    let mut cursor = Cursor::default();
    let (head, tail) = tokens.split_at(4);
    let mut lines = cursor.positions(&tokenizer, head, 2, 0).0;
    let (rest, none) = cursor.positions(&tokenizer, tail, 2, 0);
    lines.extend(rest);
    assert_eq!((lines, none), (whole.0, vec![]));
}
