use std::cell::Cell;

use super::*;
use crate::dataset::Prompt;
use crate::model::{Architecture, initialise};
use crate::tokenizer::{Style, Tokenizer};

/// An untrained model whose responses still differ from prompt to prompt.
fn model(context: usize) -> Model {
    let tokenizer = Tokenizer::build(Style::Char, ["Question: 12 + 3\nAnswer:\n", "Thus, the answer is 15."]).unwrap();
    let architecture = Architecture {
        width: 32,
        heads: 2,
        context,
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
        prompt: Prompt {
            template: Prompt::PLAIN.to_owned(),
        },
    }
}

fn requests(count: usize) -> Vec<Request> {
    (0..count)
        .map(|i| Request {
            prompt: format!("Question: {} + {}\nAnswer:\n", i * i * 37, i),
            stream: format!("{i}"),
        })
        .collect()
}

const RUN: Run<'_> = Run {
    threads: 1,
    device: "cpu",
    progress: &|_| (),
    stop: &|| false,
};

fn drawn() -> Sampling {
    Sampling {
        temperature: 1.0,
        max_tokens: 40,
        ..Sampling::default()
    }
}

#[test]
fn responses_do_not_depend_on_the_slots_the_others_or_the_threads() {
    let (model, requests) = (model(64), requests(20));
    let cases = [(Engine::Cpu, 1.0), (Engine::Cpu, 0.0), (Engine::Candle, 1.0), (Engine::Candle, 0.0)];
    for (engine, temperature) in cases {
        let sampling = Sampling {
            engine,
            temperature,
            ..drawn()
        };
        let one = answer(&model, &requests, &sampling, &RUN, 1).unwrap();
        let distinct: std::collections::BTreeSet<_> = one.iter().map(|response| &response.text).collect();
        assert!(distinct.len() > 10, "{distinct:?}");
        for slots in [7, 64] {
            let run = Run { threads: 2, ..RUN };
            assert_eq!(answer(&model, &requests, &sampling, &run, slots).unwrap(), one);
        }
        let mut reversed = requests.clone();
        reversed.reverse();
        let mut answers = sample(&model, &reversed, &sampling, &RUN).unwrap();
        answers.reverse();
        assert_eq!(answers, one);
        assert_eq!(sample(&model, &requests[4..5], &sampling, &RUN).unwrap(), one[4..5]);
    }
}

#[test]
fn responses_end_at_the_end_token_the_limit_or_the_context() {
    let sampling = drawn();
    let responses = sample(&model(32), &requests(40), &sampling, &RUN).unwrap();
    let (finished, cut): (Vec<_>, Vec<_>) = responses.iter().partition(|response| response.finished);
    assert!(!finished.is_empty() && !cut.is_empty());
    assert!(finished.iter().all(|response| !response.text.contains("<eos>")));
    // The shortest prompt, `Question: 0 + 0\nAnswer:\n`, has 24 tokens: the context takes 8 more, and the last needs no room.
    assert!(cut.iter().all(|response| response.tokens <= 9));
    let short = Sampling { max_tokens: 3, ..sampling };
    let responses = sample(&model(64), &requests(9), &short, &RUN).unwrap();
    assert!(responses.iter().all(|response| response.finished || response.tokens == 3));
}

#[test]
fn progress_counts_responses_and_stopping_stops() {
    let last = Cell::new((0, 0));
    let run = Run {
        progress: &|reading| last.set((reading.done, reading.total)),
        ..RUN
    };
    sample(&model(64), &requests(9), &drawn(), &run).unwrap();
    assert_eq!(last.get(), (9, 9));
    let run = Run { stop: &|| true, ..RUN };
    assert!(matches!(
        sample(&model(64), &requests(9), &drawn(), &run),
        Err(SampleError::Stopped)
    ));
    assert_eq!(sample(&model(64), &[], &drawn(), &RUN).unwrap(), []);
}

#[test]
fn prompts_without_room_are_refused_by_name() {
    let error = sample(&model(16), &requests(2), &drawn(), &RUN).unwrap_err();
    insta::assert_snapshot!(error, @"the prompt of `0` has 24 tokens and leaves no room in the model's context of 16");
    let empty = Request {
        prompt: String::new(),
        stream: "2_2/1".to_owned(),
    };
    insta::assert_snapshot!(sample(&model(16), &[empty], &drawn(), &RUN).unwrap_err(), @"the prompt of `2_2/1` is empty");
}
