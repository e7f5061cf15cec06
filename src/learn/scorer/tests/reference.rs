//! What the project makes of a pretrained model, for `tests/reference/loglikelihoods.py` to hold against lm-evaluation-harness.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{RUN, request};
use crate::dataset::FilledPrompt;
use crate::engine::{Dtype, Engine, Feed, ScoredFeed, Target, decoder};
use crate::model::{self, Model};
use crate::scorer::encode::EncodedPair;
use crate::scorer::{Loglikelihood, ScoreRequest, Scoring, ScoringRun, TextRequest, loglikelihoods, prefix, rolling};

/// What the script asks for.
#[derive(Deserialize)]
struct Asked {
    source: PathBuf,
    dtype: Dtype,
    /// The context, in tokens.
    context: usize,
    pairs: Vec<(String, String)>,
    texts: Vec<String>,
}

/// What it is given.
#[derive(Serialize)]
struct Given {
    pairs: Vec<Score>,
    texts: Vec<Score>,
    /// Seconds for all pairs at once.
    seconds: f64,
    /// Seconds for one pair after the other.
    naive: f64,
}

#[derive(Serialize)]
struct Score {
    sum: f64,
    greedy: bool,
    tokens: u32,
    cut: u32,
}

impl From<Loglikelihood> for Score {
    fn from(score: Loglikelihood) -> Self {
        let Loglikelihood { sum, greedy, tokens, cut } = score;
        Self { sum, greedy, tokens, cut }
    }
}

#[test]
#[ignore = "needs a pretrained model and Python: tests/reference/loglikelihoods.py"]
fn what_the_reference_asks_for() {
    #[expect(clippy::disallowed_methods, reason = "the script says where its question is")]
    let folder = std::env::var_os("RUNNER_REFERENCE").expect("run by tests/reference/loglikelihoods.py");
    let folder = Path::new(&folder);
    let asked: Asked = serde_json::from_slice(&std::fs::read(folder.join("asked.json")).unwrap()).unwrap();
    let imported = folder.join("model");
    model::import(&asked.source, true, &imported).unwrap();
    let mut model = model::load(&imported).unwrap();
    model.shape.context = asked.context;
    let scoring = Scoring {
        dtype: asked.dtype,
        ..Scoring::default()
    };
    let run = ScoringRun { threads: 2, ..RUN };
    let requests: Vec<_> = asked
        .pairs
        .iter()
        .map(|(context, continuation)| request(context, continuation))
        .collect();
    let begun = Instant::now();
    let pairs = loglikelihoods(&model, &requests, scoring, &run).unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    let naive = one_by_one(&model, &requests, scoring, &pairs);
    let texts = asked.texts.into_iter().map(|text| TextRequest {
        stream: text.clone(),
        text: FilledPrompt::written(text),
    });
    let texts = rolling(&model, &texts.collect::<Vec<_>>(), scoring, &run).unwrap();
    let given = Given {
        pairs: pairs.into_iter().map(Score::from).collect(),
        texts: texts.into_iter().map(Score::from).collect(),
        seconds,
        naive,
    };
    std::fs::write(folder.join("given.json"), serde_json::to_vec(&given).unwrap()).unwrap();
}

/// The seconds that one pair after the other takes, each read as a whole. The results are the same but for the rounding of sums, which are counted in whole parts.
fn one_by_one(model: &Model, requests: &[ScoreRequest], scoring: Scoring, expected: &[Loglikelihood]) -> f64 {
    let begun = Instant::now();
    let mut decoder = decoder(Engine::Cpu, scoring.dtype, "cpu", &model.shape, &model.weights, 1, 2).unwrap();
    for (request, expected) in requests.iter().zip(expected) {
        let pair = EncodedPair::new(&model.tokenizer, request, prefix(&model.tokenizer, scoring)).unwrap();
        let (sequence, _) = pair.sequence(0, model.shape.context);
        let targets: Vec<Target> = sequence.targets().map(|(after, token)| Target { after, token }).collect();
        let feed = Feed {
            slot: 0,
            start: 0,
            tokens: sequence.input(),
            lines: &[],
            columns: &[],
            places: &[],
        };
        let scores = decoder.score(&[ScoredFeed { feed, targets: &targets }]).unwrap();
        let sum: f64 = scores.iter().map(|score| score.log_probability).sum();
        assert!((sum - expected.sum).abs() < 1e-6, "{sum}, {}", expected.sum);
    }
    begun.elapsed().as_secs_f64()
}
