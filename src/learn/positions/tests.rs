use super::*;
use crate::model::{Architecture, TokenPositions};
use crate::seed::Stream;
use crate::tokenizer::{TokenText, TokenizerStyle};

const NINE: Places = Places {
    rows: 18,
    top: 11,
    wide: 0,
};

fn shape(positions: TokenPositions, lines: usize, columns: usize) -> ModelShape {
    let architecture = Architecture {
        positions,
        lines,
        columns,
        ..Architecture::default()
    };
    architecture.shape(50).unwrap()
}

fn knowing(places: Places) -> ModelShape {
    shape(TokenPositions::Places(places), 0, 0)
}

/// A tokenizer that knows all phrases of `text`.
fn tokenizer(style: TokenizerStyle, text: &str) -> Tokenizer {
    Tokenizer::build(style, [text, text]).unwrap()
}

fn indices(placed: &[PlacedToken]) -> Vec<u32> {
    placed.iter().map(|placed| placed.index).collect()
}

/// Prompt, completion, `wide`, and the indices of the tokens of both.
type SketchCase<'a> = (&'a str, &'a str, usize, &'a [u32], &'a [u32]);

/// The indices of both (with the end) are those by `Cursor` in the sketch that the rule is from
/// (`learning/longer/lm.py` of the prototypes), for the solutions that its `tasks.addition_solution` words.
#[test]
fn places_are_those_of_the_sketch() {
    let cases: [SketchCase<'_>; 4] = [
        (
            "Question: 381 + 2\nAnswer:\n",
            "1. 1 + 2 (plus carry 0) = 3 (write down 3, no carry over).\n2. 8 + 0 (plus carry 0) = 8 (write down 8, no carry over).\n3. 3 + 0 (plus carry 0) = 3 (write down 3, no carry over).\nThus, the answer is 383.",
            0,
            &[0, 3, 2, 1, 0, 1, 1],
            &[
                1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 3, 2, 4, 4,
            ],
        ),
        (
            "Question: 386 + 975\nAnswer:\n",
            "1. 6 + 5 (plus carry 0) = 11 (write down 1, carry over 1).\n2. 8 + 7 (plus carry 1) = 16 (write down 6, carry over 1).\n3. 3 + 9 (plus carry 1) = 13 (write down 3, carry over 1).\n4. Carry the final carry over 1 to the next place.\nThus, the answer is 1361.",
            2,
            &[0, 3, 2, 1, 0, 3, 2, 1, 1],
            &[
                1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 3,
                3, 3, 3, 4, 4, 4, 4, 5, 5, 4, 3, 2, 5, 5,
            ],
        ),
        (
            "Question: 40908 + 5212\nAnswer:\n",
            "3. 08 + 12 (plus carry 0) = 20 (write down 20, no carry over).\n4. 9 + 2 (plus carry 0) = 11 (write down 1, carry over 1).\n5. 0 + 5 (plus carry 1) = 6 (write down 6, no carry over).\n6. 4 + 0 (plus carry 0) = 4 (write down 4, no carry over).\nThus, the answer is 46120.",
            2,
            &[0, 5, 4, 3, 2, 1, 0, 4, 3, 2, 1, 1],
            &[
                1, 1, 1, 1, 2, 2, 1, 2, 2, 2, 2, 1, 2, 2, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4,
                4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 5, 4, 3, 2, 6, 6,
            ],
        ),
        (
            "Question: 40908 + 5212\nAnswer:\n",
            "08 + 12 (plus carry 0) = 20 (write down 20, no carry over).\n09 + 52 (plus carry 0) = 61 (write down 61, no carry over).\n4 + 0 (plus carry 0) = 4 (write down 4, no carry over).\nThus, the answer is 46120.",
            1,
            &[0, 5, 4, 3, 2, 1, 0, 4, 3, 2, 1, 1],
            &[
                1, 1, 2, 2, 1, 2, 2, 2, 2, 1, 2, 2, 1, 3, 3, 3, 4, 4, 3, 4, 4, 4, 4, 3, 4, 4, 3, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6, 5, 4,
                3, 2, 6, 6,
            ],
        ),
    ];
    for (prompt, completion, wide, of_prompt, of_completion) in cases {
        let tokenizer = tokenizer(TokenizerStyle::Phrase, &format!("{prompt}7{completion}"));
        let shape = knowing(Places { wide, ..NINE });
        let mut tokens = tokenizer.encode(prompt).unwrap();
        let start = tokens.len();
        tokens.extend(tokenizer.encode(completion).unwrap());
        tokens.push(tokenizer.end());
        let placed = placed(&shape, &tokenizer, &tokens, start);
        assert_eq!(indices(&placed[..start]), of_prompt, "{prompt}");
        assert_eq!(indices(&placed[start..]), of_completion, "{completion}");
        // Token by token, as a model writes them.
        let mut cursor = Cursor::at_end(&shape, &tokenizer, &placed[..start]);
        for expected in &placed[start..] {
            assert_eq!(cursor.advance(&tokenizer, expected.token), *expected);
        }
    }
}

/// The rule is about digits and lines, not about what stands between them in a token.
#[test]
fn places_of_characters_and_of_words_are_those_of_phrases() {
    let text = "Question: 40908 + 5212\nAnswer:\n08 + 12 = 20.\n9 + 2 = 11.\nThus, the answer is 46120.";
    let start = text.find("08 + 12").unwrap();
    let digits = |style| {
        let tokenizer = tokenizer(style, text);
        let [prompt, completion] = [&text[..start], &text[start..]].map(|text| tokenizer.encode(text).unwrap());
        let placed = placed(
            &knowing(Places { wide: 1, ..NINE }),
            &tokenizer,
            &[&prompt[..], &completion].concat(),
            prompt.len(),
        );
        let digits = placed
            .into_iter()
            .filter(|placed| tokenizer.text_of(placed.token) == TokenText::Digit);
        digits.map(|placed| placed.index).collect::<Vec<_>>()
    };
    let expected = [5, 4, 3, 2, 1, 4, 3, 2, 1, 1, 1, 2, 1, 2, 1, 3, 3, 3, 2, 4, 3, 2, 1, 0];
    for style in [TokenizerStyle::Phrase, TokenizerStyle::Char, TokenizerStyle::Word] {
        assert_eq!(digits(style), expected, "{style:?}");
    }
}

#[test]
fn indices_stay_within_their_numbers() {
    let tokenizer = tokenizer(TokenizerStyle::Char, "1\n");
    let shape = knowing(Places { wide: 1, ..NINE });
    assert_eq!(placed(&shape, &tokenizer, &[], 0), []);
    let many = vec![tokenizer.find("1").unwrap(); 30];
    // A number of a prompt counts from its end, whose last digit opens the completion; one of a completion goes on with the line.
    let placed = placed(&shape, &tokenizer, &many, 10);
    assert_eq!(indices(&placed), [&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1][..], &[1; 20]].concat());
    assert_eq!(top(&placed), 10);
    assert!(reaches(&shape, &placed) && !reaches(&knowing(Places { top: 9, ..NINE }), &placed));
}

/// The beginnings of two prompts are not the same if their numbers go on differently.
#[test]
fn what_comes_later_is_part_of_a_place() {
    let tokenizer = tokenizer(TokenizerStyle::Char, "12 + 3=");
    let tokens = |text: &str| tokenizer.encode(text).unwrap();
    let [short, long] = [tokens("12 + 3="), tokens("123 + 3=")];
    let place = |shape: &ModelShape, tokens: &[u32]| placed(shape, &tokenizer, tokens, tokens.len());
    let lines = shape(TokenPositions::Lines, 64, 64);
    assert_eq!(common(&place(&lines, &short), &place(&lines, &long)), 2);
    let places = knowing(NINE);
    assert_eq!(common(&place(&places, &short), &place(&places, &long)), 0);
}

#[test]
fn lines_and_columns_are_counted() {
    let text = "Question: 3 + 4\nAnswer:\n";
    let tokenizer = tokenizer(TokenizerStyle::Phrase, text);
    let mut tokens = tokenizer.encode(text).unwrap();
    tokens.extend(tokenizer.encode("7").unwrap());
    tokens.push(tokenizer.end());
    let shape = shape(TokenPositions::Lines, 64, 64);
    let rows = TokenRows::of_use(&shape, &tokenizer, &tokens, 5);
    assert_eq!(rows.lines, [0, 1, 1, 1, 1, 2, 2]);
    assert_eq!(rows.columns, [0, 0, 1, 2, 3, 0, 1]);
    assert_eq!((&rows.tokens, rows.places.len()), (&tokens, 0));
    // Where the prompt ends is all the same to them.
    assert_eq!(TokenRows::of_use(&shape, &tokenizer, &tokens, 0), rows);
}

#[test]
fn lines_and_columns_stay_within_their_tables_and_go_on_where_they_stopped() {
    let tokenizer = tokenizer(TokenizerStyle::Char, "1234567\n");
    let tokens = tokenizer.encode("12\n34\n567").unwrap();
    let small = shape(TokenPositions::Lines, 2, 2);
    let rows = TokenRows::of_use(&small, &tokenizer, &tokens, 0);
    assert_eq!(rows.lines, [0, 0, 0, 1, 1, 1, 1, 1, 1]);
    assert_eq!(rows.columns, [0, 1, 1, 0, 1, 1, 0, 1, 1]);
    let placed = placed(&small, &tokenizer, &tokens, 0);
    let mut cursor = Cursor::at_end(&small, &tokenizer, &placed[..4]);
    for expected in &placed[4..] {
        assert_eq!(cursor.advance(&tokenizer, expected.token), *expected);
    }
    let none = TokenRows::of_use(&shape(TokenPositions::Lines, 2, 0), &tokenizer, &tokens, 0);
    assert_eq!((none.lines, none.columns.len()), (rows.lines, 0));
}

#[test]
fn a_map_of_use_is_the_middle_of_the_tables() {
    let map = PlaceMap::middle(NINE);
    // 14 of 18 rows, from the third on: index -2 has row 2.
    assert_eq!(map.rows(0), [4, 18 + 3, 36 + 2]);
    assert_eq!(map.rows(11), [15, 18 + 14, 36 + 13]);
    assert_eq!(map.rows(12)[0], u32::MAX);
    assert_eq!(PlaceMap::middle(Places { rows: 14, ..NINE }).rows(0), [2, 14 + 1, 28]);
}

#[test]
fn a_map_for_training_is_an_increasing_set_of_rows_all_equally_likely() {
    let places = Places { rows: 6, top: 2, wide: 0 };
    let mut stream = Stream::new(1, "maps");
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..6_000 {
        let map = PlaceMap::drawn(places, 1, &mut stream);
        // Four rows, for -2 to 1.
        let rows = [map.rows(0)[2], map.rows(0)[1], map.rows(0)[0], map.rows(1)[0]];
        let rows = [rows[0] - 12, rows[1] - 6, rows[2], rows[3]];
        assert!(rows.is_sorted_by(|a, b| a < b) && rows[3] < 6, "{rows:?}");
        assert_eq!(map.rows(2)[0], u32::MAX);
        *counts.entry(rows).or_insert(0) += 1;
    }
    // 15 sets of 4 of 6 rows.
    assert_eq!(counts.len(), 15);
    assert!(counts.values().all(|count| (330..470).contains(count)), "{counts:?}");
    assert_eq!(PlaceMap::drawn(places, 3, &mut stream), PlaceMap::drawn(places, 3, &mut stream));
}
