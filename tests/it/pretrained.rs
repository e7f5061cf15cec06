//! What the project makes of a pretrained model, for `tests/reference/pretrained.py` to hold against other programs.

use std::path::{Path, PathBuf};

use learn::dataset::FilledPrompt;
use learn::engine::{self, Dtype, Engine, Feed};
use learn::model::{self, Model};
use learn::sampler::{self, Request, Sampling, SamplingRun};
use serde::{Deserialize, Serialize};

/// What the script asks for.
#[derive(Deserialize)]
struct Asked {
    /// A model of another program, or one of ours.
    source: PathBuf,
    /// To be cut into tokens.
    lines: Vec<String>,
    /// To be gone on from.
    prompts: Vec<String>,
    /// New tokens to each.
    tokens: usize,
    dtype: Dtype,
}

/// What it is given.
#[derive(Serialize)]
struct Given {
    /// [lines][tokens]
    lines: Vec<Vec<u32>>,
    /// [prompts][tokens]
    prompts: Vec<Vec<u32>>,
    greedy: Vec<String>,
}

#[test]
#[ignore = "needs a pretrained model and Python: tests/reference/pretrained.py"]
fn what_the_reference_asks_for() {
    #[expect(clippy::disallowed_methods, reason = "the script says where its question is")]
    let folder = std::env::var_os("RUNNER_REFERENCE").expect("run by tests/reference/pretrained.py");
    let folder = Path::new(&folder);
    let asked: Asked = serde_json::from_slice(&std::fs::read(folder.join("asked.json")).unwrap()).unwrap();
    let imported = folder.join("model");
    if asked.source.join("prompt.json").exists() {
        std::fs::create_dir_all(&imported).unwrap();
        for entry in std::fs::read_dir(&asked.source).unwrap() {
            let path = entry.unwrap().path();
            // Not the adapters: they are merged.
            if path.is_file() {
                std::fs::copy(&path, imported.join(path.file_name().unwrap())).unwrap();
            }
        }
    } else {
        model::import(&asked.source, true, &imported).unwrap();
    }
    let model = model::load(&imported).unwrap();
    let prompts: Vec<Vec<u32>> = asked
        .prompts
        .iter()
        .map(|text| model.tokenizer.prompt(text, &[]).unwrap())
        .collect();
    let logits = logits(&model, &prompts, asked.dtype);
    std::fs::write(folder.join("logits.f32"), bytemuck::cast_slice(&logits)).unwrap();
    let given = Given {
        lines: asked.lines.iter().map(|line| model.tokenizer.encode(line).unwrap()).collect(),
        prompts,
        greedy: greedy(&model, &asked),
    };
    std::fs::write(folder.join("given.json"), serde_json::to_vec(&given).unwrap()).unwrap();
}

/// The logits after each token of each prompt, end to end.
fn logits(model: &Model, prompts: &[Vec<u32>], dtype: Dtype) -> Vec<f32> {
    let longest = prompts.iter().map(Vec::len).max().unwrap();
    let shape = model::ModelShape {
        context: longest,
        ..model.shape.clone()
    };
    let mut decoder = engine::decoder(Engine::Cpu, dtype, "cpu", &shape, &model.weights, 1, 2).unwrap();
    let mut all = Vec::new();
    for prompt in prompts {
        for (start, token) in prompt.iter().enumerate() {
            let feed = Feed {
                slot: 0,
                start,
                tokens: &[*token],
                lines: &[],
                columns: &[],
                places: &[],
            };
            all.extend_from_slice(decoder.feed(&[feed]).unwrap());
        }
    }
    all
}

fn greedy(model: &Model, asked: &Asked) -> Vec<String> {
    let requests: Vec<Request> = asked
        .prompts
        .iter()
        .map(|prompt| Request {
            prompt: FilledPrompt::written(prompt.clone()),
            stream: prompt.clone(),
            max_tokens: asked.tokens,
        })
        .collect();
    let sampling = Sampling {
        dtype: asked.dtype,
        ..Sampling::default()
    };
    let run = SamplingRun {
        threads: 2,
        device: "cpu",
        memory: None,
        answered: &|_, _| (),
        progress: &|_| {},
        stop: &|| false,
    };
    let responses = sampler::sample(model, &requests, &sampling, &run).unwrap();
    responses.into_iter().map(|response| response.text).collect()
}
