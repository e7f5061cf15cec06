//! Texts as tokens, held against lm-evaluation-harness 0.4.13. `tests/reference/loglikelihoods.py borders` made the data.

use std::path::Path;

use serde::Deserialize;

use crate::dataset::FilledPrompt;
use crate::scorer::encode::{EncodedPair, ScoredSequence, windows_of};
use crate::scorer::{ScoreError, ScoreRequest, Scoring, prefix};
use crate::tokenizer::Tokenizer;

#[derive(Deserialize)]
struct Borders {
    tokenizers: Vec<Cuts>,
    windows: Vec<Windows>,
}

#[derive(Deserialize)]
struct Cuts {
    tokenizer: serde_json::Value,
    end: u32,
    prefix: u32,
    /// Context, continuation, and the tokens of both.
    cases: Vec<(String, String, Vec<u32>, Vec<u32>)>,
}

#[derive(Deserialize)]
struct Windows {
    tokens: u32,
    context: usize,
    /// The tokens before those that are scored, and these.
    windows: Vec<(Vec<u32>, Vec<u32>)>,
}

fn borders() -> Borders {
    serde_json::from_str(include_str!("borders.json")).unwrap()
}

#[test]
fn texts_are_cut_where_the_harness_cuts_them() {
    let mut without = 0;
    for cuts in borders().tokenizers {
        let tokenizer = Tokenizer::parse(
            &serde_json::to_vec(&cuts.tokenizer).unwrap(),
            &[cuts.end],
            Path::new("borders.json"),
        )
        .unwrap();
        assert_eq!(prefix(&tokenizer, Scoring::default()), cuts.prefix);
        for (context, continuation, mut before, after) in cuts.cases {
            let request = ScoreRequest {
                context: FilledPrompt::written(context.clone()),
                continuation: continuation.clone(),
                stream: String::new(),
            };
            // The harness fails on blanks alone.
            if before.is_empty() {
                before.push(cuts.prefix);
            }
            match EncodedPair::new(&tokenizer, &request, cuts.prefix) {
                Ok(found) => assert_eq!((found.context, found.continuation), (before, after), "{context:?} {continuation:?}"),
                // And here.
                Err(ScoreError::NoTokens { .. }) if after.is_empty() => without += 1,
                Err(error) => panic!("{context:?} {continuation:?}: {error}"),
            }
        }
    }
    assert!(without > 2, "{without}");
}

#[test]
fn windows_are_those_of_the_harness() {
    for case in borders().windows {
        let windows = windows_of(&(0..=case.tokens).collect::<Vec<u32>>(), 7, case.context);
        let cut = |window: &ScoredSequence| {
            let (before, scored) = window.tokens.split_at(window.tokens.len() - window.scored);
            (before.to_vec(), scored.to_vec())
        };
        assert_eq!(
            windows.iter().map(cut).collect::<Vec<_>>(),
            case.windows,
            "{} {}",
            case.tokens,
            case.context
        );
        assert!(windows.iter().all(|window| window.request == 7));
    }
}

/// A continuation asks for no control tokens, a context only where it is written by an author.
#[test]
fn texts_of_control_tokens_are_text_in_a_continuation() {
    let cuts = borders().tokenizers.remove(1);
    let tokenizer = Tokenizer::parse(
        &serde_json::to_vec(&cuts.tokenizer).unwrap(),
        &[cuts.end],
        Path::new("borders.json"),
    )
    .unwrap();
    let tokens = |context: FilledPrompt, continuation: &str| {
        let request = ScoreRequest {
            context,
            continuation: continuation.to_owned(),
            stream: String::new(),
        };
        let pair = EncodedPair::new(&tokenizer, &request, cuts.prefix).unwrap();
        (pair.context, pair.continuation)
    };
    let (context, continuation) = tokens(FilledPrompt::written("a</s>".to_owned()), "b</s>");
    assert!(context.contains(&cuts.end) && !continuation.contains(&cuts.end));
    let filled = FilledPrompt {
        text: "a</s> ".to_owned(),
        filled: std::iter::once(1..6).collect(),
        ..FilledPrompt::default()
    };
    assert!(!tokens(filled, "b").0.contains(&cuts.end));
}
