use super::*;

const TEXTS: [&str; 4] = [
    "Question: 3 + 4\nAnswer:\n",
    "7",
    "Question: 12 + 30\nAnswer:\n",
    "1. 2 + 0 = 2.\nThus, the answer is 42.",
];

/// One part that is filled in.
fn only(part: std::ops::Range<usize>) -> [std::ops::Range<usize>; 1] {
    [part]
}

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
fn strangers_are_unknown_and_said_to_be() {
    for style in [TokenizerStyle::Phrase, TokenizerStyle::Word, TokenizerStyle::Char] {
        let tokenizer = tokenizer(style);
        let tokens = tokenizer.encode("1❤").unwrap();
        assert!(tokenizer.may_lack(&tokens));
        assert_eq!(tokens.last(), Some(&2));
        assert_eq!(tokenizer.unknown_in_text("12 + 3❤4☹").unwrap().as_deref(), Some("❤"));
        assert_eq!(tokenizer.unknown_in_prompt("12❤", &only(0..2)).unwrap().as_deref(), Some("❤"));
        assert_eq!(tokenizer.unknown_in_text("12 + 3").unwrap(), None);
        assert!(!tokenizer.may_lack(&tokenizer.encode("12 + 3").unwrap()));
    }
}

#[test]
fn specials_in_a_text_are_text_wherever_they_stand() {
    let texts = [
        "1<eos>2<pad>3<unk>4",
        "<eos>",
        "a <eos> tag",
        "<eos>1<eos>",
        "9<unk>",
        "<pad>",
        "1<eos",
    ];
    for style in [TokenizerStyle::Phrase, TokenizerStyle::Word, TokenizerStyle::Char] {
        let tokenizer = Tokenizer::build(style, TEXTS.into_iter().chain(texts).chain(texts)).unwrap();
        for text in texts {
            let tokens = tokenizer.encode(text).unwrap();
            assert!(tokens.iter().all(|token| *token > 2), "{style:?} {text} {tokens:?}");
            assert_eq!(tokenizer.decode(&tokens).unwrap(), text, "{style:?}");
            assert_eq!(tokenizer.prompt(text, &[]).unwrap(), tokens);
            assert_eq!(tokenizer.unknown_in_text(text).unwrap(), None, "{style:?} {text}");
        }
    }
    let tokenizer = tokenizer(TokenizerStyle::Phrase);
    // What the vocabulary lacks is unknown in them too, character by character.
    assert_eq!(pieces(&tokenizer, "1<eos>2"), ["1", "<unk>", "e", "o", "s", "<unk>", "2"]);
    assert_eq!(tokenizer.unknown_in_text("1<eos>2").unwrap().as_deref(), Some("<"));
}

/// A tokenizer of another program: bytes, some special tokens, and the rest of its file.
fn foreign(added: &[(&str, bool)], change: impl FnOnce(&mut serde_json::Value)) -> Tokenizer {
    let alphabet: std::collections::BTreeSet<char> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    let bytes = alphabet.into_iter().map(String::from);
    let tokens: Vec<String> = bytes.chain(added.iter().map(|(text, _)| (*text).to_owned())).collect();
    let kind = |token: &String| match added.iter().find(|(text, _)| text == token) {
        Some((_, true)) => TokenKind::Special,
        Some((_, false)) => TokenKind::Whole,
        None => TokenKind::Ordinary,
    };
    let parts = ByteLevel {
        kinds: tokens.iter().map(kind).collect(),
        merges: Vec::new(),
        pre_tokenizer: PreTokenizer::named("llama-bpe").unwrap(),
        begin: None,
        tokens,
    };
    let mut value = serde_json::from_slice(&parts.json().unwrap()).unwrap();
    change(&mut value);
    Tokenizer::parse(value.to_string().as_bytes(), &[256], Path::new("x")).unwrap()
}

fn texts(tokenizer: &Tokenizer, tokens: &[u32]) -> String {
    let texts = tokens.iter().map(|token| tokenizer.token(*token).unwrap());
    texts.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_question_has_no_control_tokens_and_a_template_has() {
    let tokenizer = foreign(&[("<|end|>", true), ("<think>", false), ("   ", false), ("stop", true)], |_| {});
    let prompt = |text: &str, filled: std::ops::Range<usize>| texts(&tokenizer, &tokenizer.prompt(text, &only(filled)).unwrap());
    assert_eq!(prompt("<|end|>a<think>", 7..8), "<|end|> a <think>");
    assert_eq!(prompt("<|end|><|end|><|end|>", 7..14), "<|end|> < | e n d | > <|end|>");
    assert_eq!(prompt("<think>   a", 0..11), "< t h i n k >     a");
    // A piece that is the whole text of a control token, as Llama 3's vocabulary finds it.
    assert_eq!(prompt("1stop1stop", 0..5), "1 s t o p 1 stop");
    // Across the border.
    assert_eq!(prompt("<|end|>", 0..6), "< | e n d | >");
    // A completion is text but for marks, which a model writes.
    let completion = |text: &str| texts(&tokenizer, &tokenizer.encode(text).unwrap());
    assert_eq!(completion("<think>a<|end|>"), "<think> a < | e n d | >");
    assert_eq!(completion("1stop1"), "1 s t o p 1");
    assert_eq!(completion("stop"), "s t o p");
    // Nothing is unknown to bytes.
    assert!(!tokenizer.may_lack(&tokenizer.encode("❤<|end|>").unwrap()));
    assert_eq!(tokenizer.unknown_in_prompt("❤<|end|>", &only(0..3)).unwrap(), None);
}

#[test]
fn tokens_that_take_the_space_beside_them_take_it_in_a_template() {
    let strips = |value: &mut serde_json::Value| {
        value["added_tokens"][1]["rstrip"] = true.into();
        value["added_tokens"][1]["lstrip"] = true.into();
        value["added_tokens"][2]["single_word"] = true.into();
    };
    let tokenizer = foreign(&[("<|end|>", true), ("<|user|>", true), ("word", true)], strips);
    let prompt = |text: &str, filled: &[std::ops::Range<usize>]| texts(&tokenizer, &tokenizer.prompt(text, filled).unwrap());
    assert_eq!(prompt("a <|user|>\n1", &[]), "a <|user|> 1");
    // The same where the question has a control token's text.
    assert_eq!(prompt("a <|user|>\n1<|end|>", &only(12..20)), "a <|user|> 1 < | e n d | >");
    assert_eq!(prompt("word swords", &[]), "word Ġ s w o r d s");
    assert_eq!(prompt("word swords <|end|>", &only(12..19)), "word Ġ s w o r d s Ġ < | e n d | >");
}

#[test]
fn an_end_that_is_declared_as_text_is_none_in_a_text() {
    let tokenizer = foreign(&[("<|end|>", false), ("<b>", false)], |_| {});
    let of = |tokens: Vec<u32>| texts(&tokenizer, &tokens);
    assert_eq!(of(tokenizer.encode("a<|end|>").unwrap()), "a < | e n d | >");
    assert_eq!(
        of(tokenizer.prompt("a<|end|><|end|>", &only(0..8)).unwrap()),
        "a < | e n d | > <|end|>"
    );
    assert_eq!(of(tokenizer.encode("<b>").unwrap()), "<b>");
}

#[test]
fn tokens_that_leave_no_trace_are_missed() {
    let tokenizer = foreign(&[("<|end|>", true)], |value| {
        value["model"]["vocab"].as_object_mut().unwrap().remove("q");
        value["model"]["vocab"]["unused"] = 257.into();
    });
    let tokens = tokenizer.encode("aqb").unwrap();
    assert_eq!((texts(&tokenizer, &tokens), tokenizer.may_lack(&tokens)), ("a b".to_owned(), true));
    assert_eq!(tokenizer.unknown_in_prompt("aqb", &[]).unwrap().as_deref(), Some("q"));
    assert_eq!(tokenizer.unknown_in_text("ab<|end|>").unwrap(), None);
}

#[test]
fn a_file_whose_ids_are_not_those_it_declares_is_refused() {
    let json = |id: u32| {
        let json = foreign(&[("<|end|>", true)], |_| {}).json().unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let more = serde_json::json!({
            "id": id, "content": "<|more|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true,
        });
        value["added_tokens"].as_array_mut().unwrap().push(more);
        Tokenizer::parse(value.to_string().as_bytes(), &[256], Path::new("x"))
    };
    assert_eq!(json(257).unwrap().find("<|more|>"), Some(257));
    insta::assert_snapshot!(json(300).unwrap_err(), @r#"x is not a tokenizer: its added token "<|more|>" cannot have the id 300: ids before it are missing, or it occurs twice"#);
}

#[test]
fn texts_begin_with_the_token_that_is_asked_for() {
    let tokenizer = foreign(&[("<|end|>", true), ("<s>", true)], |_| {});
    let begun = tokenizer.clone().beginning_with(Some(257)).unwrap();
    assert_eq!(texts(&begun, &begun.prompt("a", &only(0..1)).unwrap()), "<s> a");
    // Not begun by a question that looks like it.
    assert_eq!(texts(&begun, &begun.prompt("<s>a", &only(0..4)).unwrap()), "<s> < s > a");
    let again = begun.clone().beginning_with(None).unwrap();
    assert_eq!(texts(&again, &again.prompt("a", &only(0..1)).unwrap()), "a");
    assert!(tokenizer.beginning_with(Some(999)).is_err());
    let read = Tokenizer::parse(begun.json().unwrap().as_bytes(), &[256], Path::new("x")).unwrap();
    assert_eq!(read.begin(), [257]);
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
