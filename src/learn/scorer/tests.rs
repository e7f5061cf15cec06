mod encoding;
mod reading;
mod reference;

use std::cell::Cell;

use super::*;
use crate::dataset::Prompt;
use crate::model::{Architecture, Places, TokenPositions, initialise};
use crate::positions::TokenRows;
use crate::seed::Stream;
use crate::tokenizer::TokenizerStyle;

const ALPHABET: &str = "abcdefgh 12:\n";

/// An untrained model with learned positions, whose tokens are far from equally likely.
fn model(context: usize) -> Model {
    model_with(context, TokenPositions::Lines)
}

/// One that knows places.
fn knowing_places(top: usize) -> Model {
    let places = Places {
        rows: top + 4,
        top,
        wide: 0,
    };
    model_with(64, TokenPositions::Places(places))
}

fn model_with(context: usize, positions: TokenPositions) -> Model {
    let tokenizer = Tokenizer::build(TokenizerStyle::Char, [ALPHABET, ALPHABET]).unwrap();
    let architecture = Architecture {
        width: 32,
        heads: 2,
        context,
        positions,
        ..Architecture::default()
    };
    let shape = architecture.shape(tokenizer.vocabulary()).unwrap();
    let mut weights = initialise(&shape, 9);
    for array in weights.values_mut().filter(|array| array.shape.len() > 1) {
        array.data.iter_mut().for_each(|x| *x *= 8.0);
    }
    Model {
        shape,
        weights,
        tokenizer,
        prompt: Prompt::text(Prompt::PLAIN),
        chat: None,
    }
}

const RUN: ScoringRun<'_> = ScoringRun {
    threads: 1,
    device: "cpu",
    memory: None,
    progress: &|_| (),
    stop: &|| false,
};

const CANDLE: Scoring = Scoring {
    engine: Engine::Candle,
    dtype: Dtype::F32,
    prefix: None,
};

fn text(stream: &mut Stream, length: usize) -> String {
    let letters: Vec<char> = ALPHABET.chars().collect();
    (0..length).map(|_| letters[stream.below(letters.len() as u64) as usize]).collect()
}

fn request(context: &str, continuation: &str) -> ScoreRequest {
    ScoreRequest {
        context: FilledPrompt::written(context.to_owned()),
        continuation: continuation.to_owned(),
        stream: format!("{context}|{continuation}"),
    }
}

/// Questions with choices, most of them after the same examples; some contexts are empty.
fn requests(questions: usize) -> Vec<ScoreRequest> {
    let mut stream = Stream::new(3, "questions");
    let examples = text(&mut stream, 20);
    let mut requests = Vec::new();
    for number in 0..questions {
        let length = stream.below(20) as usize;
        let question = text(&mut stream, length);
        let context = match number % 4 {
            0 => question,
            _ => format!("{examples}{question}"),
        };
        for _ in 0..1 + number % 5 {
            let length = 1 + stream.below(6) as usize;
            requests.push(request(&context, &text(&mut stream, length)));
        }
    }
    requests
}

/// The log-likelihood of the last `scored` of `tokens`, token by token with candle's engine.
fn naive(model: &Model, tokens: &[u32], scored: usize) -> (f64, bool) {
    let mut decoder = engine::decoder(Engine::Candle, Dtype::F32, "cpu", &model.shape, &model.weights, 1, 1).unwrap();
    let (mut sum, mut greedy) = (0.0, true);
    let rows = TokenRows::of_use(&model.shape, &model.tokenizer, tokens, tokens.len() - scored);
    for (start, pair) in tokens.windows(2).enumerate() {
        let logits = decoder.feed(&[rows.feed(0, 0).piece(start..start + 1)]).unwrap();
        if start + 1 >= tokens.len() - scored {
            let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
            let logit = logits[pair[1] as usize];
            sum += f64::from(logit) - total.ln();
            greedy &= logits.iter().all(|other| *other <= logit);
        }
    }
    (sum, greedy)
}

/// What `loglikelihoods` should give, by the rules for a tokenizer of characters without blanks at the border.
fn expected(model: &Model, request: &ScoreRequest) -> (f64, bool) {
    let kept = request.context.text.trim_end();
    let moved = &request.context.text[kept.len()..];
    let mut tokens = model.tokenizer.encode(kept).unwrap();
    if tokens.is_empty() {
        tokens.push(model.tokenizer.end());
    }
    let continuation = model.tokenizer.encode(&format!("{moved}{}", request.continuation)).unwrap();
    tokens.extend(&continuation);
    let first = tokens.len().saturating_sub(model.shape.context + 1);
    naive(model, &tokens[first..], continuation.len())
}

#[test]
fn sums_are_those_of_a_forward_pass_for_each_choice() {
    sums_are_those_of_a_forward_pass(&model(64));
    sums_are_those_of_a_forward_pass(&knowing_places(40));
}

fn sums_are_those_of_a_forward_pass(model: &Model) {
    let requests = requests(30);
    let expected: Vec<(f64, bool)> = requests.iter().map(|request| expected(model, request)).collect();
    assert!(expected.iter().any(|(_, greedy)| *greedy) && expected.iter().any(|(_, greedy)| !*greedy));
    for (scoring, tolerance) in [(Scoring::default(), 1e-3), (CANDLE, 1e-3)] {
        let scores = loglikelihoods(model, &requests, scoring, &RUN).unwrap();
        for ((score, (sum, greedy)), request) in scores.iter().zip(&expected).zip(&requests) {
            assert!(
                (score.sum - sum).abs() < tolerance,
                "{scoring:?} {}: {score:?}, not {sum}",
                request.stream
            );
            assert_eq!((score.greedy, score.cut), (*greedy, 0), "{scoring:?} {}", request.stream);
            let blanks = request.context.text.len() - request.context.text.trim_end().len();
            assert_eq!(score.tokens as usize, request.continuation.len() + blanks);
        }
    }
}

#[test]
fn texts_beyond_the_highest_index_are_named() {
    let error = loglikelihoods(&knowing_places(2), &[request("a:", "b\n1\n2")], Scoring::default(), &RUN).unwrap_err();
    insta::assert_snapshot!(error, @"the text of `a:|b
1
2` has a line or a digit beyond the highest index that the model has places for: 3, where `top` of its `positions` is 2; leave such rows out");
    loglikelihoods(&knowing_places(3), &[request("a:", "b\n1\n2")], Scoring::default(), &RUN).unwrap();
}

#[test]
fn bf16_is_near_f32() {
    let (model, requests) = (model(64), requests(30));
    let exact = loglikelihoods(&model, &requests, Scoring::default(), &RUN).unwrap();
    let half = Scoring {
        dtype: Dtype::Bf16,
        ..Scoring::default()
    };
    let near = loglikelihoods(&model, &requests, half, &RUN).unwrap();
    assert_ne!(exact, near);
    for (exact, near) in exact.iter().zip(&near) {
        let bound = 0.05 * exact.sum.abs() + 0.1 * f64::from(exact.tokens);
        assert!((exact.sum - near.sum).abs() < bound, "{near:?}, not {exact:?}");
    }
}

#[test]
fn scores_do_not_depend_on_the_slots_the_others_or_the_threads() {
    scores_are_the_same(&model(64));
    scores_are_the_same(&knowing_places(40));
}

fn scores_are_the_same(model: &Model) {
    let requests = requests(40);
    let half = Scoring {
        dtype: Dtype::Bf16,
        ..Scoring::default()
    };
    for scoring in [Scoring::default(), half, CANDLE] {
        let all = loglikelihoods(model, &requests, scoring, &RUN).unwrap();
        let sequences: Vec<ScoredSequence> = requests
            .iter()
            .enumerate()
            .map(|(number, request)| {
                let pair = EncodedPair::new(&model.tokenizer, request, model.tokenizer.end()).unwrap();
                pair.sequence(number, 64).0
            })
            .collect();
        let streams = vec![""; requests.len()];
        for slots in [1, 2, 5, 64] {
            let run = ScoringRun { threads: 2, ..RUN };
            assert_eq!(
                score(model, sequences.clone(), &streams, scoring, &run, slots).unwrap(),
                all,
                "{slots}"
            );
        }
        let mut reversed = requests.clone();
        reversed.reverse();
        let mut scores = loglikelihoods(model, &reversed, scoring, &RUN).unwrap();
        scores.reverse();
        assert_eq!(scores, all);
        for number in [0, 7, 33] {
            let alone = loglikelihoods(model, &requests[number..=number], scoring, &RUN).unwrap();
            assert_eq!(alone, all[number..=number]);
        }
    }
}

#[test]
fn greedy_is_what_the_sampler_gives() {
    use crate::sampler::{Request, Sampling, SamplingRun, sample};
    let model = model(64);
    let prompts: Vec<Request> = requests(30)
        .into_iter()
        .filter(|request| request.context.text == request.context.text.trim_end() && !request.context.text.is_empty())
        .map(|request| Request {
            prompt: request.context,
            stream: request.stream,
            max_tokens: 3,
        })
        .collect();
    let sampling = Sampling { ..Sampling::default() };
    let run = SamplingRun {
        answered: &|_, _| (),
        threads: 1,
        device: "cpu",
        memory: None,
        progress: &|_| (),
        stop: &|| false,
    };
    let responses = sample(&model, &prompts, &sampling, &run).unwrap();
    let written: Vec<_> = prompts
        .iter()
        .zip(&responses)
        .filter(|(_, response)| response.text.len() == 3)
        .collect();
    assert!(written.len() > 10);
    let ask = |change: fn(&str) -> String| {
        let requests = written.iter();
        let requests: Vec<ScoreRequest> = requests
            .map(|(prompt, response)| request(&prompt.prompt.text, &change(&response.text)))
            .collect();
        loglikelihoods(&model, &requests, Scoring::default(), &RUN).unwrap()
    };
    assert!(ask(str::to_owned).iter().all(|score| score.greedy && score.tokens == 3));
    let other = |text: &str| text[..2].to_owned() + if text.ends_with('a') { "b" } else { "a" };
    assert!(ask(other).iter().all(|score| !score.greedy));
}

#[test]
fn contexts_are_cut_from_the_left_and_continuations_are_not() {
    let model = model(16);
    let long = [
        request("abcdefgh12abcdefgh12", "cab"),
        request("abcdefgh12abc", "cab"),
        request("abcdefgh12abcd", "cab"),
        request("ab", "abcdefgh12abcdef"),
        request("", "abcdefgh12abcdef"),
    ];
    let scores = loglikelihoods(&model, &long, Scoring::default(), &RUN).unwrap();
    assert_eq!(scores.iter().map(|score| score.cut).collect::<Vec<_>>(), [6, 0, 0, 1, 0]);
    for (score, request) in scores.iter().zip(&long) {
        let (sum, greedy) = expected(&model, request);
        assert!(
            (score.sum - sum).abs() < 1e-3 && score.greedy == greedy,
            "{}: {score:?}, not {sum}",
            request.stream
        );
    }
    let longer = request("ab", "abcdefgh12abcdefg");
    insta::assert_snapshot!(loglikelihoods(&model, std::slice::from_ref(&longer), Scoring::default(), &RUN).unwrap_err(), @"the continuation of `ab|abcdefgh12abcdefg` has 17 tokens and does not fit into the model's context of 16; leave such rows out, or score their whole texts with `loglikelihood_rolling`");
    let all: Vec<ScoreRequest> = long.into_iter().chain([longer]).collect();
    assert_eq!(too_long(&model, &all).unwrap(), BTreeMap::from([(5, 17)]));
}

#[test]
fn whole_texts_are_scored_window_by_window() {
    let (model, mut stream) = (model(16), Stream::new(1, "texts"));
    let texts: Vec<TextRequest> = [0, 1, 15, 16, 17, 40, 100]
        .into_iter()
        .map(|length| TextRequest {
            text: FilledPrompt::written(text(&mut stream, length)),
            stream: length.to_string(),
        })
        .collect();
    for scoring in [Scoring::default(), CANDLE] {
        let scores = rolling(&model, &texts, scoring, &RUN).unwrap();
        for (score, text) in scores.iter().zip(&texts) {
            let mut tokens = vec![model.tokenizer.end()];
            tokens.extend(model.tokenizer.encode(&text.text.text).unwrap());
            let (mut sum, mut greedy) = (0.0, true);
            // A window of 16 tokens after each other; the last has all the context that fits.
            for start in (1..tokens.len()).step_by(16) {
                let end = tokens.len().min(start + 16);
                let (part, alike) = naive(&model, &tokens[end.saturating_sub(17)..end], end - start);
                sum += part;
                greedy &= alike;
            }
            assert!((score.sum - sum).abs() < 1e-3, "{}: {score:?}, not {sum}", text.stream);
            assert_eq!((score.tokens as usize, score.greedy, score.cut), (tokens.len() - 1, greedy, 0));
        }
        let mut reversed: Vec<TextRequest> = texts.iter().rev().cloned().collect();
        let run = ScoringRun { threads: 2, ..RUN };
        let mut again = rolling(&model, &reversed, scoring, &run).unwrap();
        again.reverse();
        assert_eq!(again, scores);
        reversed.truncate(1);
        assert_eq!(rolling(&model, &reversed, scoring, &RUN).unwrap(), scores[6..]);
    }
}

#[test]
fn the_prefix_may_be_chosen() {
    let model = model(16);
    let requests = [request("", "abc"), request("ab", "abc")];
    let other = model.tokenizer.encode("h").unwrap()[0];
    let scoring = Scoring {
        prefix: Some(other),
        ..Scoring::default()
    };
    let scores = loglikelihoods(&model, &requests, scoring, &RUN).unwrap();
    let usual = loglikelihoods(&model, &requests, Scoring::default(), &RUN).unwrap();
    let same = loglikelihoods(&model, &[request("h", "abc")], Scoring::default(), &RUN).unwrap();
    assert_eq!((scores[0], scores[1]), (same[0], usual[1]));
    assert_ne!(scores[0], usual[0]);
    // The model's files may name it, too.
    let tokenizer = model.tokenizer.clone().naming_first(Some(other));
    let named = Model { tokenizer, ..model };
    assert_eq!(loglikelihoods(&named, &requests, Scoring::default(), &RUN).unwrap(), scores);
    let model = named;
    let scoring = Scoring {
        prefix: Some(99),
        ..Scoring::default()
    };
    insta::assert_snapshot!(loglikelihoods(&model, &requests, scoring, &RUN).unwrap_err(), @"token 99 is out of range (known: 0 to 23)");
}

#[test]
fn texts_without_tokens_and_strange_characters_are_refused_by_name() {
    let model = model(16);
    let error = |request| loglikelihoods(&model, &[request], Scoring::default(), &RUN).unwrap_err();
    insta::assert_snapshot!(error(request("ab", "")), @r#"the continuation of `ab|` has no tokens of its own (""): it is empty, or becomes one token with the end of its context; change `target_delimiter` or the text"#);
    insta::assert_snapshot!(error(request("ab\nc", "aZ")).to_string().replace('\n', " "), @r#"the model has no token for "Z" (the text of `ab c|aZ`: "caZ"); leave such rows out, or train the model on rows that contain it, or pass such rows to its training as `vocabulary`"#);
    let text = TextRequest {
        text: FilledPrompt::written("aX".to_owned()),
        stream: "7".to_owned(),
    };
    insta::assert_snapshot!(rolling(&model, &[text], Scoring::default(), &RUN).unwrap_err(), @r#"the model has no token for "X" (the text of `7`: "aX"); leave such rows out, or train the model on rows that contain it, or pass such rows to its training as `vocabulary`"#);
}

#[test]
fn progress_counts_requests_and_stopping_stops() {
    let (model, requests) = (model(64), requests(9));
    let last = Cell::new((0, 0));
    let run = ScoringRun {
        progress: &|reading| last.set((reading.done, reading.total)),
        ..RUN
    };
    loglikelihoods(&model, &requests, Scoring::default(), &run).unwrap();
    assert_eq!(last.get(), (requests.len(), requests.len()));
    let run = ScoringRun { stop: &|| true, ..RUN };
    let stopped = loglikelihoods(&model, &requests, Scoring::default(), &run);
    assert!(matches!(stopped, Err(ScoreError::Stopped)));
    assert_eq!(loglikelihoods(&model, &[], Scoring::default(), &RUN).unwrap(), []);
    assert_eq!(rolling(&model, &[], Scoring::default(), &RUN).unwrap(), []);
}

#[test]
fn little_memory_means_fewer_slots_and_none_a_refusal() {
    let (model, requests) = (model(64), requests(20));
    let need = |slots| {
        engine::scoring_memory(Engine::Cpu, Dtype::F32, &model.shape, slots, TOKENS_PER_CALL, 1)
            .unwrap()
            .total()
            + engine::PROGRAM_MEMORY
    };
    let within = |bytes: usize| ScoringRun {
        memory: Some(bytes as u64),
        ..RUN
    };
    let fit = |run: &ScoringRun<'_>| memory::slots_that_fit(Scoring::default(), &model.shape, 20, run);
    assert_eq!(fit(&RUN).unwrap(), 20);
    assert_eq!(fit(&within(need(20))).unwrap(), 20);
    assert_eq!(fit(&within(need(20) - 1)).unwrap(), 19);
    assert_eq!(
        loglikelihoods(&model, &requests, Scoring::default(), &within(need(3))).unwrap(),
        loglikelihoods(&model, &requests, Scoring::default(), &RUN).unwrap()
    );
    let error = loglikelihoods(&model, &requests, Scoring::default(), &within(1 << 20)).unwrap_err();
    insta::assert_snapshot!(error, @"scoring needs 69 MB of memory (67 MB for the program and the weights, 2 MB for one sequence), but only 1 MB are available; score shorter texts, use a smaller model, or free memory");
}

#[test]
fn logits_that_are_no_numbers_are_an_error() {
    let mut model = model(16);
    model.weights.get_mut("model.norm.weight").unwrap().data[3] = f32::NAN;
    for scoring in [Scoring::default(), CANDLE] {
        let error = loglikelihoods(&model, &[request("ab", "c")], scoring, &RUN).unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"the model's logits for `ab|c` are not finite; its weights are damaged or its training diverged");
        }
    }
}

#[test]
fn a_model_in_its_file_scores_as_one_in_memory() {
    let (model, requests, folder) = (model(64), requests(9), tempfile::tempdir().unwrap());
    model.save(folder.path()).unwrap();
    let opened = crate::model::open(folder.path()).unwrap();
    for scoring in [Scoring::default(), CANDLE] {
        assert_eq!(
            loglikelihoods(&opened, &requests, scoring, &RUN).unwrap(),
            loglikelihoods(&model, &requests, scoring, &RUN).unwrap()
        );
    }
}
