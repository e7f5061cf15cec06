//! The engine's memory, counted at the allocator: a step allocates nothing, and the estimate before a training or decoding is correct.
//!
//! This is a separate program with one test, since other allocations would be counted too.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use learn::engine::{
    Batch, Dtype, Engine, Feed, Frozen, IGNORED, Optimizer, Sequence, Training, decoder, decoding_memory, trainer, training_memory,
};
use learn::model::{Lora, ModelShape, initialise};
use learn::seed::Stream;

/// The system's allocator with counters.
struct Counted;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls are passed on to the system's allocator.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        MOST.fetch_max(HELD.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        MOST.fetch_max(HELD.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: what the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: what the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// A shape, the lengths of the sequences of a step's batches, and the share of each sequence that is not trained on.
struct Case {
    shape: ModelShape,
    lengths: Vec<Vec<usize>>,
    ignored: f64,
}

impl Case {
    fn new(shape: (usize, usize, usize, usize), lengths: Vec<Vec<usize>>, ignored: f64) -> Self {
        let (vocabulary, width, layers, feed_forward) = shape;
        let heads = width / 32;
        let shape = ModelShape {
            places: None,
            vocabulary,
            width,
            layers,
            heads,
            kv_heads: heads,
            head_dim: 32,
            feed_forward,
            qkv_bias: false,
            qk_norm: false,
            rope_theta: 1e4,
            rope_scaling: None,
            norm_epsilon: 1e-5,
            tied: true,
            lines: 8,
            columns: 0,
            context: 4096,
        };
        Self { shape, lengths, ignored }
    }

    /// The same with an output layer of its own.
    fn untied(mut self) -> Self {
        self.shape.tied = false;
        self
    }

    fn first(&self, length: usize) -> usize {
        (self.ignored * length as f64) as usize
    }

    fn batch(&self, lengths: &[usize]) -> Batch {
        let mut stream = Stream::new(0, "memory");
        let mut batch = Batch::default();
        for &length in lengths {
            for index in 0..length {
                let mut draw = || stream.below(self.shape.vocabulary as u64) as u32;
                batch.tokens.push(draw());
                batch.targets.push(if index < self.first(length) { IGNORED } else { draw() });
                batch.lines.push(0);
            }
            batch.lengths.push(length);
        }
        batch
    }

    fn sequences(&self, lengths: &[usize]) -> Vec<Sequence> {
        let sequence = |&tokens: &usize| Sequence {
            tokens,
            trained: tokens - self.first(tokens),
        };
        lengths.iter().map(sequence).collect()
    }

    /// Compares the estimate with the counted memory, and checks that a step allocates nothing.
    fn check(&self, training: &Training, dtype: Dtype, threads: usize) {
        let batches: Vec<Batch> = self.lengths.iter().map(|lengths| self.batch(lengths)).collect();
        let sequences: Vec<Vec<Sequence>> = self.lengths.iter().map(|lengths| self.sequences(lengths)).collect();
        let sequences = sequences.iter().map(Vec::as_slice);
        let estimate = training_memory(Engine::Cpu, dtype, &self.shape, training, threads, sequences)
            .unwrap()
            .total();
        // The engine frees the initial weights as it reads them, so they do not count besides its own.
        let before = HELD.load(Relaxed);
        let mut weights = initialise(&self.shape, 0);
        if let Some(lora) = &training.lora {
            weights.append(&mut lora.initialise(&self.shape, 0));
        }
        MOST.store(HELD.load(Relaxed), Relaxed);
        let mut engine = trainer(Engine::Cpu, dtype, "cpu", &self.shape, weights, training.clone(), threads).unwrap();
        let what = format!("{:?} {dtype:?} {threads} {training:?}", self.shape);
        engine.step(&batches, 1e-3).unwrap();
        let mut takes_nothing = || {
            let calls = CALLS.load(Relaxed);
            engine.step(&batches, 1e-3).unwrap();
            CALLS.load(Relaxed) == calls
        };
        // The thread pool allocates a block every few dozen steps.
        assert!((0..3).any(|_| takes_nothing()), "{what}");
        let taken = MOST.load(Relaxed) - before;
        let ratio = estimate as f64 / taken as f64;
        assert!((0.98..1.02).contains(&ratio), "{what}: {estimate}, not {taken}");
    }

    /// Compares the estimate for decoding with the counted memory, with all slots full.
    fn check_decoder(&self, dtype: Dtype, slots: usize, threads: usize) {
        let weights = initialise(&self.shape, 0);
        let (prompt, context) = (40, 64);
        let shape = ModelShape {
            context,
            ..self.shape.clone()
        };
        let estimate = decoding_memory(Engine::Cpu, dtype, &shape, slots, prompt, threads).unwrap().total();
        let before = HELD.load(Relaxed);
        MOST.store(before, Relaxed);
        let mut engine = decoder(Engine::Cpu, dtype, "cpu", &shape, &weights, slots, threads).unwrap();
        for start in [0, prompt] {
            let tokens = vec![1; if start == 0 { prompt } else { context - prompt }];
            let lines = vec![0; tokens.len()];
            let feed = |slot| Feed {
                slot,
                start,
                tokens: &tokens,
                lines: &lines,
                columns: &[],
                places: &[],
            };
            engine.feed(&(0..slots).map(feed).collect::<Vec<_>>()).unwrap();
        }
        let taken = MOST.load(Relaxed) - before;
        let ratio = estimate as f64 / taken as f64;
        let what = format!("{shape:?} {dtype:?} {slots} {threads}");
        assert!((0.98..1.1).contains(&ratio), "{what}: {estimate}, not {taken}");
    }
}

#[test]
fn decoding_and_training_take_what_was_said_and_a_step_nothing_anew() {
    let large = Case::new((4096, 256, 4, 1024), Vec::new(), 0.0);
    let small = Case::new((512, 128, 3, 384), Vec::new(), 0.0);
    // The output layer is most of the weights.
    let wordy = Case::new((8192, 128, 2, 384), Vec::new(), 0.0).untied();
    for dtype in [Dtype::F32, Dtype::Bf16] {
        large.check_decoder(dtype, 8, 2);
        large.check_decoder(dtype, 1, 1);
        small.check_decoder(dtype, 32, 1);
        small.check_decoder(dtype, 32, 2);
        wordy.check_decoder(dtype, 8, 1);
        wordy.check_decoder(dtype, 1, 2);
    }
    training_takes_what_was_said_and_a_step_nothing_anew();
}

fn training_takes_what_was_said_and_a_step_nothing_anew() {
    let training = Training::from(Optimizer {
        beta1: 0.9,
        beta2: 0.98,
        epsilon: 1e-8,
        weight_decay: 0.1,
        clip: 1.0,
    });
    let again = Training {
        recompute: true,
        ..training.clone()
    };
    let frozen = Training {
        frozen: Frozen::new(["model.layers.0.*", "model.layers.1.*", "model.embed*"].map(str::to_owned)),
        ..training.clone()
    };
    let small = Case::new((64, 64, 3, 192), vec![vec![50; 12]], 0.0);
    let medium = Case::new((512, 128, 3, 384), vec![vec![200; 2]], 0.3);
    let long = Case::new((512, 64, 4, 192), vec![vec![600]], 0.1);
    let growing = (0..20).map(|index| 30 + index).collect();
    let ragged = Case::new((60, 64, 2, 176), vec![growing, vec![70; 3]], 0.2);
    for dtype in [Dtype::F32, Dtype::Bf16] {
        small.check(&training, dtype, 1);
        medium.check(&training, dtype, 2);
        long.check(&training, dtype, 1);
        long.check(&again, dtype, 2);
        ragged.check(&training, dtype, 2);
    }
    small.check(&frozen, Dtype::F32, 1);
    let adapted = |dropout| Training {
        lora: Some(Lora {
            dropout,
            ..Lora::default()
        }),
        ..training.clone()
    };
    medium.check(&adapted(0.0), Dtype::Bf16, 1);
    Case::new((2048, 128, 3, 384), vec![vec![200; 2]], 0.3)
        .untied()
        .check(&adapted(0.0), Dtype::Bf16, 1);
    ragged.check(&adapted(0.1), Dtype::F32, 2);
    medium.check(&again, Dtype::F32, 1);
}
