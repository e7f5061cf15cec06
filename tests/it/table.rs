//! A small table of kinds with the ports of the real ones, and experiments from text.

use std::path::Path;

use lab::config::{self, Experiment, LoadOptions};
use lab::config::{ConfigValue, ParamError};
use lab::plan::{self, Dag};
use lab::stage::{Effort, Input, Kind, Output, PortType, Stage, StageContext, StageError};
use runner::cli::diagnostics::{DiagnosticStyle, Rejected};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A decoder's shape.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Architecture {
    /// Width of the residual stream.
    pub width: usize,
    /// Number of layers.
    pub layers: usize,
}

impl Default for Architecture {
    fn default() -> Self {
        Self { width: 64, layers: 2 }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    Cold,
    Warm,
}

/// What `generate` may be given.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// The task.
    pub task: String,
    /// Whether there are hand-made skips.
    #[serde(default = "cold")]
    pub start: Start,
    /// Number of training problems.
    #[serde(default)]
    pub train: usize,
}

fn cold() -> Start {
    Start::Cold
}

/// What `train` may be given.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// The decoder.
    pub model: Architecture,
    /// The prompt.
    pub prompt: String,
    /// Optimizer steps.
    pub steps: u64,
    /// The highest learning rate.
    pub learning_rate: f64,
}

impl Default for Train {
    fn default() -> Self {
        let (model, prompt) = (Architecture::default(), "plain".to_owned());
        Self {
            model,
            prompt,
            steps: 100,
            learning_rate: 3e-3,
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// Steps asked for, relative to the full solution's.
    pub ask: Vec<i64>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Nothing {}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    New,
    Cont,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// How skips and full rows are mixed.
    pub mode: Mode,
}

struct Fake {
    params: serde_json::Value,
    draws: bool,
}

impl Stage for Fake {
    fn params(&self) -> serde_json::Value {
        self.params.clone()
    }

    fn draws(&self) -> bool {
        self.draws
    }

    fn run(&self, _: &StageContext<'_>) -> Result<(), StageError> {
        Ok(())
    }
}

fn parse<P: Serialize + serde::de::DeserializeOwned, const DRAWS: bool>(
    value: &ConfigValue,
    _given: &[&str],
) -> Result<Box<dyn Stage>, ParamError> {
    let params: P = value.read()?;
    let params = serde_json::to_value(params).unwrap();
    Ok(Box::new(Fake { params, draws: DRAWS }))
}

const fn input(name: &'static str, port: PortType) -> Input<'static> {
    Input {
        name,
        port,
        optional: false,
        many: false,
    }
}

const fn output(name: &'static str, port: PortType) -> Output {
    Output {
        name: std::borrow::Cow::Borrowed(name),
        port,
    }
}

const fn kind<P: Serialize + serde::de::DeserializeOwned + JsonSchema, const DRAWS: bool>(
    name: &'static str,
    inputs: &'static [Input<'static>],
    outputs: &'static [Output],
) -> Kind {
    Kind {
        name,
        version: 1,
        inputs,
        free: false,
        outputs,
        named: &[],
        command_line: None,
        gpus: None,
        implied: &[],
        parse: parse::<P, DRAWS>,
        schema: || schemars::schema_for!(P),
        follows_seed: true,
        effort: Effort::of_inputs,
        shares_worker: false,
    }
}

use PortType::{Answers, Dataset, Metrics, Model};

static GENERATE: Kind = Kind {
    follows_seed: false,
    effort: Effort::of_inputs,
    ..kind::<Generate, true>(
        "generate",
        &[],
        const {
            &[
                output("train", Dataset),
                output("skipped", Dataset),
                output("in_domain", Dataset),
                output("ood_easy", Dataset),
                output("ood_hard", Dataset),
            ]
        },
    )
};
static MIX: Kind = kind::<Mix, true>(
    "mix",
    &[
        input("full", Dataset),
        Input {
            optional: true,
            ..input("skips", Dataset)
        },
    ],
    const { &[output("data", Dataset)] },
);
static TRAIN: Kind = Kind {
    named: &[("model", "models"), ("prompt", "prompts")],
    ..kind::<Train, true>("train", &[input("data", Dataset)], const { &[output("model", Model)] })
};
static SAMPLE: Kind = kind::<Sample, false>(
    "sample",
    &[input("model", Model), input("data", Dataset)],
    const { &[output("answers", Answers)] },
);
static FILTER: Kind = kind::<Nothing, false>("filter", &[input("answers", Answers)], const { &[output("data", Dataset)] });
static EVAL: Kind = kind::<Nothing, false>(
    "eval",
    &[
        input("model", Model),
        Input {
            many: true,
            ..input("data", Dataset)
        },
    ],
    const { &[output("metrics", Metrics)] },
);

static KINDS: [&Kind; 6] = [&EVAL, &FILTER, &GENERATE, &MIX, &SAMPLE, &TRAIN];

/// The table.
pub fn kinds() -> &'static [&'static Kind] {
    &KINDS
}

/// Options that load `file` and nothing else.
pub fn options(file: &Path) -> LoadOptions {
    LoadOptions {
        file: file.to_owned(),
        ..LoadOptions::default()
    }
}

/// Loads and builds.
pub fn build(options: &LoadOptions) -> Result<(Experiment, Dag), Rejected> {
    let rejected = |diagnostics| Rejected {
        file: options.file.clone(),
        diagnostics,
    };
    let experiment = config::load(options).map_err(rejected)?;
    let dag = plan::build(&experiment, kinds()).map_err(rejected)?;
    Ok((experiment, dag))
}

/// As drawn without colours, 100 columns wide.
pub fn draw(rejected: &Rejected) -> String {
    rejected.render(DiagnosticStyle {
        color: false,
        unicode: true,
        width: 100,
    })
}

/// Writes an experiment into a folder of its own, and gives both.
pub fn write(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}
