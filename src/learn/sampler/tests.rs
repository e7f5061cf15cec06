use std::cell::Cell;

use super::*;
use crate::dataset::Prompt;
use crate::model::{Architecture, Places, TokenPositions, initialise};
use crate::tokenizer::{Tokenizer, TokenizerStyle};

/// An untrained model whose responses still differ from prompt to prompt.
fn model(context: usize) -> Model {
    model_with(context, TokenPositions::Lines)
}

/// One that knows places, up to 9.
fn knowing_places() -> Model {
    let places = Places { rows: 13, top: 9, wide: 0 };
    model_with(64, TokenPositions::Places(places))
}

fn model_with(context: usize, positions: TokenPositions) -> Model {
    let tokenizer = Tokenizer::build(TokenizerStyle::Char, ["Question: 12 + 3\nAnswer:\n", "Thus, the answer is 15."]).unwrap();
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

fn requests(count: usize) -> Vec<Request> {
    (0..count)
        .map(|i| Request {
            prompt: FilledPrompt::written(format!("Question: {} + {}\nAnswer:\n", i * i * 37, i)),
            stream: format!("{i}"),
            max_tokens: 40,
        })
        .collect()
}

const RUN: SamplingRun<'_> = SamplingRun {
    threads: 1,
    device: "cpu",
    memory: None,
    answered: &|_, _| (),
    progress: &|_| (),
    stop: &|| false,
};

fn drawn() -> Sampling {
    Sampling {
        temperature: 1.0,
        ..Sampling::default()
    }
}

#[test]
fn responses_do_not_depend_on_the_slots_the_others_or_the_threads() {
    responses_are_the_same(&model(64), 11);
    // The prompts begin alike, with numbers of different lengths: so the same tokens have other places.
    responses_are_the_same(&knowing_places(), 6);
}

/// At least `least` responses differ.
fn responses_are_the_same(model: &Model, least: usize) {
    // Three samples of every other prompt, so that prompts share all tokens except the last one, a prefix, or almost nothing.
    let several = |(index, request): (usize, Request)| {
        let samples = 0..if index % 2 == 0 { 3 } else { 1 };
        samples.map(move |sample| Request {
            stream: format!("{} {sample}", request.stream),
            ..request.clone()
        })
    };
    let requests: Vec<Request> = requests(20).into_iter().enumerate().flat_map(several).collect();
    let greedy = Sampling {
        temperature: 0.0,
        ..drawn()
    };
    let narrow = Sampling {
        top_k: Some(9),
        top_p: Some(0.9),
        stop: vec!["12".to_owned(), "s".to_owned()],
        ..drawn()
    };
    let cases = [
        (Engine::Cpu, drawn()),
        (Engine::Cpu, greedy),
        (Engine::Cpu, narrow),
        (Engine::Candle, drawn()),
    ];
    for (engine, sampling) in cases {
        let sampling = Sampling { engine, ..sampling };
        let one = answer(model, &requests, &sampling, &RUN, 1).unwrap();
        let distinct: std::collections::BTreeSet<_> = one.iter().map(|response| &response.text).collect();
        assert!(distinct.len() >= least, "{distinct:?}");
        for slots in [7, 64] {
            let run = SamplingRun { threads: 2, ..RUN };
            assert_eq!(answer(model, &requests, &sampling, &run, slots).unwrap(), one);
        }
        let mut reversed = requests.clone();
        reversed.reverse();
        let mut answers = sample(model, &reversed, &sampling, &RUN).unwrap();
        answers.reverse();
        assert_eq!(answers, one);
        assert_eq!(sample(model, &requests[4..5], &sampling, &RUN).unwrap(), one[4..5]);
    }
}

#[test]
fn responses_end_at_the_end_token_the_limit_or_the_context() {
    let sampling = drawn();
    let responses = sample(&model(32), &requests(40), &sampling, &RUN).unwrap();
    let (finished, cut): (Vec<_>, Vec<_>) = responses.iter().partition(|response| response.finished);
    assert!(!finished.is_empty() && !cut.is_empty());
    assert!(finished.iter().all(|response| !response.text.contains("<eos>")));
    // The shortest prompt, `Question: 0 + 0\nAnswer:\n`, has 24 tokens. The context has space for 8 more, and the last token needs none.
    assert!(cut.iter().all(|response| response.tokens <= 9));
    // Each request has a limit of its own, and the others do not change its response.
    let model = model(64);
    let whole = sample(&model, &requests(9), &sampling, &RUN).unwrap();
    let limited = |(limit, request): (usize, Request)| Request {
        max_tokens: limit + 1,
        ..request
    };
    let short: Vec<Request> = requests(9).into_iter().enumerate().map(limited).collect();
    for (limit, (short, whole)) in sample(&model, &short, &sampling, &RUN).unwrap().iter().zip(&whole).enumerate() {
        assert!(whole.text.starts_with(&short.text), "{short:?} {whole:?}");
        assert_eq!(short.tokens, whole.tokens.min(limit as u32 + 1));
    }
}

#[test]
fn a_response_ends_before_a_line_that_the_model_has_no_place_for() {
    let model = knowing_places();
    // A model that writes nothing but line breaks: its layers add nothing, and all rows of places are those of the line break.
    let (line, width) = (model.tokenizer.find("\n").unwrap() as usize, model.shape.width);
    let mut weights = model.weights.clone();
    let back = weights
        .iter_mut()
        .filter(|(name, _)| name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight"));
    back.for_each(|(_, array)| array.data.fill(0.0));
    let embedding = &mut weights.get_mut("model.embed_tokens.weight").unwrap().data;
    embedding.fill(0.0);
    embedding[line * width..(line + 1) * width].fill(1.0);
    weights.get_mut("model.embed_places.weight").unwrap().data.fill(1.0);
    let model = Model { weights, ..model };
    for engine in [Engine::Cpu, Engine::Candle] {
        let sampling = Sampling {
            engine,
            ..Sampling::default()
        };
        // The first break opens line 2, the eighth line 9. The ninth opens one that is too much: it is written, but not read.
        let responses = sample(&model, &requests(3), &sampling, &RUN).unwrap();
        for response in responses {
            assert_eq!(response.text, "\n".repeat(9));
            assert!(response.tokens == 9 && !response.finished);
        }
    }
}

#[test]
fn a_prompt_with_more_digits_than_places_cannot_be_read() {
    let model = knowing_places();
    let request = |number: &str| Request {
        prompt: FilledPrompt::written(format!("Question: {number} + 2\nAnswer:\n")),
        stream: number.to_owned(),
        max_tokens: 4,
    };
    let requests = [request("123123123"), request("1231231231")];
    let long = too_long(&model, &requests).unwrap();
    assert_eq!(long, BTreeMap::from([(1, TooLong::Digits { digits: 10, top: 9 })]));
    insta::assert_snapshot!(long[&1], @"its prompt has a number of 10 digits, and the model places for 9");
    let error = sample(&model, &requests, &drawn(), &RUN).unwrap_err();
    insta::assert_snapshot!(error, @"the prompt of `1231231231` has a number of 10 digits, and the model places for 9");
    sample(&model, &requests[..1], &drawn(), &RUN).unwrap();
    let short = Model {
        shape: ModelShape {
            context: 16,
            ..model.shape.clone()
        },
        ..model
    };
    insta::assert_snapshot!(too_long(&short, &requests).unwrap()[&0], @"its prompt has 32 tokens, and the model's context 16");
}

#[test]
fn responses_end_before_a_stop_string() {
    let (model, requests) = (model(64), requests(60));
    let whole = sample(&model, &requests, &drawn(), &RUN).unwrap();
    // In the style `char` the longer ones are several tokens.
    let stop = ["u", ": 1", "nswer", "\n"].map(str::to_owned).to_vec();
    let stopped = sample(
        &model,
        &requests,
        &Sampling {
            stop: stop.clone(),
            ..drawn()
        },
        &RUN,
    )
    .unwrap();
    let mut cut = 0;
    for (whole, stopped) in whole.iter().zip(&stopped) {
        match stop.iter().filter_map(|stop| whole.text.find(stop)).min() {
            None => assert_eq!(whole, stopped),
            Some(at) => {
                assert_eq!(stopped.text, whole.text[..at]);
                assert!(stopped.finished && stopped.tokens <= whole.tokens);
                cut += usize::from(stopped.tokens < whole.tokens);
            }
        }
    }
    assert!((20..60).contains(&cut), "{cut} of 60 responses are cut");
}

#[test]
fn a_stop_string_is_found_across_tokens_and_its_tokens_count() {
    let model = model(64);
    let tokens = model.tokenizer.encode("Answer: 12").unwrap();
    let reached = |stop: &[&str], count: usize| {
        let stop: Vec<String> = stop.iter().map(ToString::to_string).collect();
        stop::StopStrings(&stop).reached(&model.tokenizer, &tokens[..count]).unwrap()
    };
    assert!((0..=10).all(|count| !reached(&[], count) && !reached(&["x", "12 "], count)));
    let first = |stop: &[&str]| (0..=10).find(|count| reached(stop, *count));
    assert_eq!(
        (first(&["wer: 1"]), first(&["12", "w"]), first(&["Answer"])),
        (Some(9), Some(4), Some(6))
    );
}

#[test]
fn progress_counts_responses_and_stopping_stops() {
    let last = Cell::new((0, 0));
    let run = SamplingRun {
        answered: &|_, _| (),
        progress: &|reading| last.set((reading.done, reading.total)),
        ..RUN
    };
    sample(&model(64), &requests(9), &drawn(), &run).unwrap();
    assert_eq!(last.get(), (9, 9));
    let run = SamplingRun { stop: &|| true, ..RUN };
    assert!(matches!(
        sample(&model(64), &requests(9), &drawn(), &run),
        Err(SampleError::Stopped)
    ));
    assert_eq!(sample(&model(64), &[], &drawn(), &RUN).unwrap(), []);
}

#[test]
fn little_memory_means_fewer_slots_and_none_a_refusal() {
    let (model, requests) = (model(64), requests(20));
    let need = |slots| {
        engine::decoding_memory(Engine::Cpu, Dtype::F32, &model.shape, slots, 24, 1)
            .unwrap()
            .total()
            + engine::PROGRAM_MEMORY
    };
    let within = |bytes: usize| SamplingRun {
        memory: Some(bytes as u64),
        ..RUN
    };
    let fit = |run: &SamplingRun<'_>| memory::slots_that_fit(&drawn(), &model.shape, 20, 24, run);
    assert_eq!(fit(&RUN).unwrap(), 20);
    assert_eq!(fit(&within(need(20))).unwrap(), 20);
    assert_eq!(fit(&within(need(20) - 1)).unwrap(), 19);
    assert_eq!(
        sample(&model, &requests, &drawn(), &within(need(3))).unwrap(),
        sample(&model, &requests, &drawn(), &RUN).unwrap()
    );
    let error = sample(&model, &requests, &drawn(), &within(need(1) - 1)).unwrap_err();
    insta::assert_snapshot!(error, @r#"sampling needs 67 MB of memory (67 MB for the program and the weights, 0 MB for one sequence), but only 67 MB are available (with `dtype = "bf16"` 67 MB); shorten responses (`max_tokens`), use a smaller model, or free memory"#);
}

#[test]
fn a_model_in_its_file_answers_as_one_in_memory() {
    let (model, requests, folder) = (model(64), requests(9), tempfile::tempdir().unwrap());
    model.save(folder.path()).unwrap();
    let opened = crate::model::open(folder.path()).unwrap();
    for sampling in [
        drawn(),
        Sampling {
            engine: Engine::Candle,
            ..drawn()
        },
    ] {
        assert_eq!(
            sample(&opened, &requests, &sampling, &RUN).unwrap(),
            sample(&model, &requests, &sampling, &RUN).unwrap()
        );
    }
}

#[test]
fn prompts_without_room_are_refused_by_name() {
    let error = sample(&model(16), &requests(2), &drawn(), &RUN).unwrap_err();
    insta::assert_snapshot!(error, @"the prompt of `0` has 24 tokens and leaves no space in the model's context of 16");
    let empty = Request {
        prompt: FilledPrompt::default(),
        stream: "2_2/1".to_owned(),
        max_tokens: 40,
    };
    insta::assert_snapshot!(sample(&model(16), &[empty], &drawn(), &RUN).unwrap_err(), @"the prompt of `2_2/1` is empty");
}
