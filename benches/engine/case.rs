//! The measured shapes, with their batches and prompts.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;

use learn::engine::{Batch, IGNORED, Optimizer};
use learn::model::{ModelShape, Weights, initialise};
use learn::seed::Stream;
use safetensors::tensor::{Dtype, TensorView};

pub const OPTIMIZER: Optimizer = Optimizer {
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-8,
    weight_decay: 0.1,
    clip: 1.0,
};
pub const LEARNING_RATE: f64 = 3e-4;

/// Answers that are decoded at the same time, tokens of each prompt, new tokens of each answer.
pub const SLOTS: usize = 64;
pub const PROMPT: usize = 10;
pub const NEW: usize = 150;

pub const NAMES: [&str; 6] = ["Q", "S", "M", "SmolLM2", "long", "again"];

/// The measured operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Train,
    Decode,
}

impl Task {
    pub const ALL: [Self; 2] = [Self::Train, Self::Decode];

    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Decode => "decode",
        }
    }
}

/// A shape and how it is trained.
pub struct Case {
    pub name: &'static str,
    pub shape: ModelShape,
    sequences: usize,
    /// Lengths are drawn evenly from here.
    lengths: RangeInclusive<u64>,
    /// The first part of a sequence, as a share, that is not trained on.
    ignored: f64,
    /// Whether the backward pass recomputes activations.
    pub again: bool,
}

/// The quick profile's shape with line and column embeddings, two of growing size, that of SmolLM2-135M, and one long sequence of M's
/// shape, with activations kept and recomputed.
pub fn all() -> [Case; 6] {
    let quick = ModelShape {
        vocabulary: 60,
        width: 64,
        layers: 2,
        heads: 4,
        kv_heads: 4,
        head_dim: 16,
        feed_forward: 176,
        qkv_bias: false,
        qk_norm: false,
        rope_theta: 10_000.0,
        rope_scaling: None,
        norm_epsilon: 1e-5,
        tied: true,
        lines: 64,
        columns: 64,
        places: None,
        context: 256,
    };
    let small = ModelShape {
        vocabulary: 128,
        width: 128,
        layers: 4,
        head_dim: 32,
        feed_forward: 384,
        lines: 0,
        columns: 0,
        ..quick.clone()
    };
    let medium = ModelShape {
        vocabulary: 2048,
        width: 384,
        layers: 6,
        heads: 6,
        kv_heads: 6,
        head_dim: 64,
        feed_forward: 1024,
        ..small.clone()
    };
    let smol = ModelShape {
        vocabulary: 49_152,
        width: 576,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        feed_forward: 1536,
        ..small.clone()
    };
    let case = |name, shape, sequences, lengths, ignored| Case {
        name,
        shape,
        sequences,
        lengths,
        ignored,
        again: false,
    };
    let long = ModelShape {
        context: 2048,
        ..medium.clone()
    };
    let [q, s, m, l, kept, again] = NAMES;
    let kept = case(kept, long.clone(), 1, 2048..=2048, 0.0);
    let again = Case {
        again: true,
        ..case(again, long, 1, 2048..=2048, 0.0)
    };
    [
        case(q, quick, 32, 30..=64, 0.18),
        case(s, small, 32, 160..=160, 0.0),
        case(m, medium, 8, 256..=256, 0.0),
        case(l, smol, 4, 256..=256, 0.0),
        kept,
        again,
    ]
}

impl Case {
    pub fn named(name: &str) -> Result<Self, String> {
        let found = all().into_iter().find(|case| case.name == name);
        found.ok_or_else(|| format!("no case `{name}` (known: {})", NAMES.join(", ")))
    }

    /// Whether `task` is measured. The case of one long sequence only measures training.
    pub fn has(&self, task: Task) -> bool {
        task == Task::Train || self.sequences > 1
    }

    pub fn weights(&self) -> Weights {
        initialise(&self.shape, 0)
    }

    pub fn batch(&self) -> Batch {
        let mut stream = Stream::new(0, self.name);
        let mut batch = Batch::default();
        let span = self.lengths.end() - self.lengths.start() + 1;
        for _ in 0..self.sequences {
            let length = (self.lengths.start() + stream.below(span)) as usize;
            batch.lengths.push(length);
            for index in 0..length {
                let mut draw = |bound: usize| stream.below(bound as u64) as u32;
                batch.tokens.push(draw(self.shape.vocabulary));
                let ignored = (index as f64) < self.ignored * length as f64;
                batch.targets.push(if ignored { IGNORED } else { draw(self.shape.vocabulary) });
                if self.shape.lines > 0 {
                    batch.lines.push(draw(self.shape.lines));
                    batch.columns.push(draw(self.shape.columns));
                }
            }
        }
        batch
    }

    /// [slots][prompt]
    pub fn prompts(&self) -> Vec<Vec<u32>> {
        let mut stream = Stream::new(0, &format!("{}/prompts", self.name));
        let mut draw = || stream.below(self.shape.vocabulary as u64) as u32;
        (0..SLOTS).map(|_| (0..PROMPT).map(|_| draw()).collect()).collect()
    }

    /// Writes all of this to one safetensors file, for programs that do the same work: weights by name, `tokens` and `targets`
    /// [sequences, length], `prompts` [slots, prompt], and the rest as JSON in the metadata's `case`.
    pub fn export(&self, file: &Path) {
        let length = *self.lengths.end() as usize;
        assert_eq!(self.lengths.start(), self.lengths.end(), "only cases of one length are exported");
        let batch = self.batch();
        let rows = |rows: &[u32]| rows.iter().flat_map(|token| token.to_le_bytes()).collect::<Vec<u8>>();
        let batched = vec![self.sequences, length];
        let mut tensors = vec![
            ("tokens".to_owned(), Dtype::U32, batched.clone(), rows(&batch.tokens)),
            ("targets".to_owned(), Dtype::U32, batched, rows(&batch.targets)),
            (
                "prompts".to_owned(),
                Dtype::U32,
                vec![SLOTS, PROMPT],
                rows(&self.prompts().concat()),
            ),
        ];
        for (name, array) in self.weights() {
            let bytes = array.data.iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.push((name, Dtype::F32, array.shape, bytes));
        }
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).expect("as many bytes as the shape has");
            (name, view)
        });
        let metadata = HashMap::from([("case".to_owned(), self.description().to_string())]);
        safetensors::serialize_to_file(views, Some(metadata), file).expect("the file is written");
    }

    fn description(&self) -> serde_json::Value {
        let shape = &self.shape;
        serde_json::json!({
            "vocabulary": shape.vocabulary,
            "width": shape.width,
            "layers": shape.layers,
            "heads": shape.heads,
            "kv_heads": shape.kv_heads,
            "feed_forward": shape.feed_forward,
            "rope_theta": shape.rope_theta,
            "norm_epsilon": shape.norm_epsilon,
            "context": shape.context,
            "new": NEW,
            "optimizer": {
                "beta1": OPTIMIZER.beta1,
                "beta2": OPTIMIZER.beta2,
                "epsilon": OPTIMIZER.epsilon,
                "weight_decay": OPTIMIZER.weight_decay,
                "clip": OPTIMIZER.clip,
                "learning_rate": LEARNING_RATE,
            },
        })
    }

    /// Floating-point operations of a training step: six for each weight of a matrix and token that passes through it, and the
    /// attention's.
    pub fn operations(&self) -> f64 {
        let (shape, batch) = (&self.shape, self.batch());
        let (width, keys) = (shape.width as f64, (shape.kv_heads * shape.head_dim) as f64);
        let (projections, rest) = (
            width * (width + 2.0 * keys),
            width * width + 3.0 * width * shape.feed_forward as f64,
        );
        let trained = batch.targets.iter().filter(|target| **target != IGNORED).count() as f64;
        let (tokens, layers) = (batch.tokens.len() as f64, shape.layers as f64);
        let products = tokens * (layers * projections + (layers - 1.0) * rest) + trained * (rest + width * shape.vocabulary as f64);
        let pairs: f64 = batch.lengths.iter().map(|length| (length * (length + 1)) as f64 / 2.0).sum();
        6.0 * products + 14.0 * pairs * width * layers
    }
}
