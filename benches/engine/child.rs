//! A contestant's process: one engine runs one case, controlled by lines on its standard input.
//!
//! Each line starts a round: a number of steps (of training, or of decoding all answers). The process prints a line of JSON when it is
//! ready, and one after each round.

use std::time::Instant;

use learn::engine::{DecodingEngine, Dtype, Engine, Feed, Training, TrainingEngine, numeric_class};
use learn::model::ModelShape;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Serialize};

use crate::case::{Case, LEARNING_RATE, NEW, OPTIMIZER, PROMPT, SLOTS};
use crate::machine::{cpu_seconds, peak_memory};

/// The first line.
#[derive(Serialize, Deserialize)]
pub struct Ready {
    pub program: String,
    /// Memory of the program before the first round, in kibibytes.
    pub imported: i64,
}

/// The line after a round.
#[derive(Serialize, Deserialize)]
pub struct Round {
    pub tokens: usize,
    /// The loss of each step.
    pub losses: Vec<f64>,
    /// The last round's answers. [slots][new]
    pub answers: Vec<Vec<u32>>,
    /// Seconds of processor time.
    pub cpu: f64,
    pub wall: f64,
    /// Peak memory of the process, in kibibytes.
    pub memory: i64,
}

/// The results of a round.
#[derive(Default)]
struct Done {
    tokens: usize,
    losses: Vec<f64>,
    answers: Vec<Vec<u32>>,
}

type Work = Box<dyn FnMut(usize) -> Done>;

/// Engines and dtypes that can be measured, ours first.
pub fn known() -> Vec<(&'static str, &'static str)> {
    let ours = ["f32", "bf16"].into_iter().filter(|dtype| read::<Dtype>(dtype).is_ok());
    ours.map(|dtype| ("cpu", dtype)).chain([("candle", "f32")]).collect()
}

/// Runs rounds until the standard input ends.
pub fn serve(task: &str, case: &str, engine: &str, dtype: &str, threads: &str) -> Result<(), String> {
    let imported = peak_memory();
    let case = Case::named(case)?;
    let setup = Setup {
        engine: read(engine).map_err(|error| error.to_string())?,
        dtype: read(dtype).map_err(|error| error.to_string())?,
        threads: threads.parse().map_err(|_| format!("`{threads}` is no number of threads"))?,
    };
    let mut work = match task {
        "train" => train(&case, &setup),
        "decode" => decode(&case, &setup),
        other => return Err(format!("no task `{other}` (known: train, decode)")),
    };
    let program = format!(
        "{} {}",
        numeric_class(setup.engine, setup.dtype),
        learn::engine::cpu::instructions()
    );
    say(&Ready { program, imported });
    for line in std::io::stdin().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let steps = line.trim().parse().map_err(|_| format!("`{line}` is no number of steps"))?;
        let (cpu, wall) = (cpu_seconds(), Instant::now());
        let Done { tokens, losses, answers } = work(steps);
        let (cpu, wall) = (cpu_seconds() - cpu, wall.elapsed().as_secs_f64());
        let memory = peak_memory();
        say(&Round {
            tokens,
            losses,
            answers,
            cpu,
            wall,
            memory,
        });
    }
    Ok(())
}

fn read<T: DeserializeOwned>(word: &str) -> Result<T, Error> {
    let word: StrDeserializer<'_, Error> = word.into_deserializer();
    T::deserialize(word)
}

fn say(line: &impl Serialize) {
    println!("{}", serde_json::to_string(line).expect("the line is JSON"));
}

/// The engine and its settings.
struct Setup {
    engine: Engine,
    dtype: Dtype,
    threads: usize,
}

impl Setup {
    fn trainer(&self, case: &Case) -> Box<dyn TrainingEngine> {
        let training = Training {
            recompute: case.again,
            ..OPTIMIZER.into()
        };
        let trainer = learn::engine::trainer(self.engine, self.dtype, "cpu", &case.shape, case.weights(), training, self.threads);
        trainer.expect("the weights have the shape")
    }

    /// A decoder, and the number of sequences that it decodes at once, as in the sampler.
    fn decoder(&self, case: &Case) -> (Box<dyn DecodingEngine>, usize) {
        let context = PROMPT + NEW;
        let shape = ModelShape {
            context,
            ..case.shape.clone()
        };
        let slots = learn::engine::recommended_slots(self.engine, self.dtype, &shape).min(SLOTS);
        let decoder = learn::engine::decoder(self.engine, self.dtype, "cpu", &shape, &case.weights(), slots, self.threads);
        (decoder.expect("the weights have the shape"), slots)
    }
}

fn train(case: &Case, setup: &Setup) -> Work {
    let batches = [case.batch()];
    let mut trainer = setup.trainer(case);
    Box::new(move |steps| {
        let step = |_| trainer.step(&batches, LEARNING_RATE).expect("the batch fits the shape").loss;
        Done {
            losses: (0..steps).map(step).collect(),
            tokens: steps * batches[0].tokens.len(),
            ..Done::default()
        }
    })
}

fn decode(case: &Case, setup: &Setup) -> Work {
    let (prompts, vocabulary, placed) = (case.prompts(), case.shape.vocabulary, case.shape.lines > 0);
    let (mut decoder, slots) = setup.decoder(case);
    Box::new(move |steps| {
        let mut answers = Vec::new();
        for _ in 0..steps {
            let parts = prompts.chunks(slots);
            answers = parts
                .flat_map(|prompts| greedy(decoder.as_mut(), prompts, vocabulary, placed))
                .collect();
        }
        Done {
            tokens: steps * SLOTS * NEW,
            answers,
            ..Done::default()
        }
    })
}

/// The likeliest [`NEW`] tokens after each of `prompts`; lines and columns are 0 where the shape has them (`placed`).
fn greedy(decoder: &mut dyn DecodingEngine, prompts: &[Vec<u32>], vocabulary: usize, placed: bool) -> Vec<Vec<u32>> {
    let zeros = [0; PROMPT];
    let mut tokens = prompts.to_vec();
    let mut held = 0;
    for _ in 0..NEW {
        let feed = |(slot, tokens): (usize, &'_ Vec<u32>)| (slot, tokens[held..].to_vec());
        let parts: Vec<_> = tokens.iter().enumerate().map(feed).collect();
        let feeds: Vec<_> = parts
            .iter()
            .map(|(slot, tokens)| Feed {
                slot: *slot,
                start: held,
                tokens,
                lines: if placed { &zeros[..tokens.len()] } else { &[] },
                columns: if placed { &zeros[..tokens.len()] } else { &[] },
                places: &[],
            })
            .collect();
        let logits = decoder.feed(&feeds).expect("the feeds fit the slots");
        held = tokens[0].len();
        for (tokens, row) in tokens.iter_mut().zip(logits.chunks(vocabulary)) {
            tokens.push(likeliest(row));
        }
    }
    tokens.iter().map(|tokens| tokens[PROMPT..].to_vec()).collect()
}

/// The first of the largest.
fn likeliest(logits: &[f32]) -> u32 {
    let first = |best: usize, index: usize| if logits[index] > logits[best] { index } else { best };
    (0..logits.len()).fold(0, first) as u32
}
