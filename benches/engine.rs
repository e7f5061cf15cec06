//! Tokens per second of CPU time and of wall time: training and greedy decoding of three shapes, and the share of the machine's
//! measured f32 peak. `cargo bench --bench engine -- [threads] [Q|S|M] [f32|bf16] [train|decode]`

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark is a program of its own and prints what it measured"
)]

use std::time::Instant;

use runner::engine::{Batch, Dtype, Feed, Optimizer, cpu};
use runner::model::{Array, Shape, Weights};
use runner::seed::Stream;

const OPTIMIZER: Optimizer = Optimizer {
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-8,
    weight_decay: 0.1,
    clip: 1.0,
};

/// Rounds of a measurement, besides a first one that grows the buffers.
const ROUNDS: usize = 15;

/// A shape and how it is trained and decoded.
struct Case {
    name: &'static str,
    shape: Shape,
    sequences: usize,
    /// Lengths are drawn evenly from here.
    lengths: std::ops::RangeInclusive<u64>,
    /// The share of a sequence, from its start, that is not trained on.
    ignored: f64,
    steps: usize,
}

fn cases() -> [Case; 3] {
    let shape = Shape {
        vocabulary: 60,
        width: 64,
        layers: 2,
        heads: 4,
        kv_heads: 4,
        feed_forward: 176,
        rope_theta: 10_000.0,
        norm_epsilon: 1e-5,
        tied: true,
        lines: 64,
        columns: 64,
        context: 256,
    };
    let plain = Shape {
        lines: 0,
        columns: 0,
        ..shape.clone()
    };
    let small = Shape {
        vocabulary: 128,
        width: 128,
        layers: 4,
        feed_forward: 384,
        ..plain.clone()
    };
    let medium = Shape {
        vocabulary: 2048,
        width: 384,
        layers: 6,
        heads: 6,
        kv_heads: 6,
        feed_forward: 1024,
        ..plain
    };
    [
        Case {
            name: "Q",
            shape,
            sequences: 32,
            lengths: 30..=64,
            ignored: 0.18,
            steps: 20,
        },
        Case {
            name: "S",
            shape: small,
            sequences: 32,
            lengths: 160..=160,
            ignored: 0.0,
            steps: 2,
        },
        Case {
            name: "M",
            shape: medium,
            sequences: 8,
            lengths: 256..=256,
            ignored: 0.0,
            steps: 1,
        },
    ]
}

fn weights(shape: &Shape, stream: &mut Stream) -> Weights {
    let width = shape.width;
    let mut shapes = vec![
        ("model.embed_tokens".to_owned(), vec![shape.vocabulary, width]),
        ("model.norm".to_owned(), vec![width]),
    ];
    if shape.lines > 0 {
        shapes.push(("model.embed_lines".to_owned(), vec![shape.lines, width]));
        shapes.push(("model.embed_columns".to_owned(), vec![shape.columns, width]));
    }
    for layer in 0..shape.layers {
        let keys = shape.kv_heads * shape.head();
        for (part, shape) in [
            ("input_layernorm", vec![width]),
            ("post_attention_layernorm", vec![width]),
            ("self_attn.q_proj", vec![width, width]),
            ("self_attn.k_proj", vec![keys, width]),
            ("self_attn.v_proj", vec![keys, width]),
            ("self_attn.o_proj", vec![width, width]),
            ("mlp.gate_proj", vec![shape.feed_forward, width]),
            ("mlp.up_proj", vec![shape.feed_forward, width]),
            ("mlp.down_proj", vec![width, shape.feed_forward]),
        ] {
            shapes.push((format!("model.layers.{layer}.{part}"), shape));
        }
    }
    let array = |(name, shape): (String, Vec<usize>)| {
        let one = shape.len() == 1;
        let data = (0..shape.iter().product())
            .map(|_| if one { 1.0 } else { 0.02 * stream.normal() as f32 })
            .collect();
        (format!("{name}.weight"), Array { shape, data })
    };
    shapes.into_iter().map(array).collect()
}

fn batch(case: &Case, stream: &mut Stream) -> Batch {
    let mut batch = Batch::default();
    let span = case.lengths.end() - case.lengths.start() + 1;
    for _ in 0..case.sequences {
        let length = (case.lengths.start() + stream.below(span)) as usize;
        batch.lengths.push(length);
        for index in 0..length {
            let mut draw = |bound: usize| stream.below(bound as u64) as u32;
            batch.tokens.push(draw(case.shape.vocabulary));
            let ignored = (index as f64) < case.ignored * length as f64;
            batch.targets.push(if ignored {
                runner::engine::IGNORED
            } else {
                draw(case.shape.vocabulary)
            });
            if case.shape.lines > 0 {
                batch.lines.push(draw(case.shape.lines));
                batch.columns.push(draw(case.shape.columns));
            }
        }
    }
    batch
}

/// Seconds of processor time of this process.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of our own.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Kibibytes: the most memory the process has held.
fn peak_memory() -> i64 {
    // SAFETY: all-zero is a valid rusage, and the pointer is to one of our own.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage.ru_maxrss
    }
}

/// Floating-point operations per second of one core: independent fused multiply-adds in registers.
#[cfg(target_arch = "x86_64")]
fn peak() -> f64 {
    use std::arch::x86_64::*;
    #[target_feature(enable = "avx2,fma")]
    fn avx2(rounds: u64) -> (f32, f64) {
        let (a, mut sums) = (_mm256_set1_ps(0.999_9), [_mm256_set1_ps(1.0); 12]);
        for _ in 0..rounds {
            sums.iter_mut().for_each(|sum| *sum = _mm256_fmadd_ps(*sum, a, a));
        }
        let sum = sums.into_iter().fold(_mm256_setzero_ps(), |total, sum| _mm256_add_ps(total, sum));
        (_mm256_cvtss_f32(sum), rounds as f64 * 12.0 * 16.0)
    }
    #[target_feature(enable = "avx512f")]
    fn avx512(rounds: u64) -> (f32, f64) {
        let (a, mut sums) = (_mm512_set1_ps(0.999_9), [_mm512_set1_ps(1.0); 12]);
        for _ in 0..rounds {
            sums.iter_mut().for_each(|sum| *sum = _mm512_fmadd_ps(*sum, a, a));
        }
        let sum = sums.into_iter().fold(_mm512_setzero_ps(), |total, sum| _mm512_add_ps(total, sum));
        (_mm512_cvtss_f32(sum), rounds as f64 * 12.0 * 32.0)
    }
    let run = || {
        let start = cpu_seconds();
        let rounds = 20_000_000;
        // SAFETY: each only where the processor has the instructions.
        let (sum, operations) = unsafe {
            if is_x86_feature_detected!("avx512f") {
                avx512(rounds)
            } else if is_x86_feature_detected!("fma") {
                avx2(rounds)
            } else {
                (0.0, f64::NAN)
            }
        };
        std::hint::black_box(sum);
        operations / (cpu_seconds() - start)
    };
    (0..3).map(|_| run()).fold(0.0, f64::max)
}

#[cfg(not(target_arch = "x86_64"))]
fn peak() -> f64 {
    f64::NAN
}

/// Operations of a step: six for each weight of a matrix and token that passes through it, and the attention's.
fn operations(case: &Case, batch: &Batch) -> f64 {
    let shape = &case.shape;
    let (width, keys) = (shape.width as f64, (shape.kv_heads * shape.head()) as f64);
    let (projections, rest) = (
        width * (width + 2.0 * keys),
        width * width + 3.0 * width * shape.feed_forward as f64,
    );
    let trained = batch.targets.iter().filter(|target| **target != runner::engine::IGNORED).count() as f64;
    let (tokens, layers) = (batch.tokens.len() as f64, shape.layers as f64);
    let products = tokens * (layers * projections + (layers - 1.0) * rest) + trained * (rest + width * shape.vocabulary as f64);
    let pairs: f64 = batch.lengths.iter().map(|length| (length * (length + 1)) as f64 / 2.0).sum();
    6.0 * products + 14.0 * pairs * width * layers
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn train(case: &Case, dtype: Dtype, threads: usize, peak: f64) {
    let mut stream = Stream::new(0, case.name);
    let weights = weights(&case.shape, &mut stream);
    let batch = batch(case, &mut stream);
    let mut trainer = cpu::trainer(&case.shape, &weights, OPTIMIZER, dtype, threads).expect("the weights have the shape");
    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    for _ in 0..=ROUNDS {
        let (cpu_start, wall_start) = (cpu_seconds(), Instant::now());
        for _ in 0..case.steps {
            trainer.step(std::slice::from_ref(&batch), 1e-4).expect("the batch fits the shape");
        }
        cpu.push((cpu_seconds() - cpu_start) / case.steps as f64);
        wall.push(wall_start.elapsed().as_secs_f64() / case.steps as f64);
    }
    let (cpu, wall) = (cpu.split_off(1), wall.split_off(1));
    let best = cpu.iter().copied().fold(f64::INFINITY, f64::min);
    let (cpu, wall) = (median(cpu), median(wall));
    let tokens = batch.tokens.len() as f64;
    println!(
        "train  {} {dtype:?} {threads} threads: {:7.0} tokens/s of CPU time (best {:7.0}), {:7.0} of wall time; {:.2} ms a step; {:.0} % of the peak (best {:.0} %); {} MB",
        case.name,
        tokens / cpu,
        tokens / best,
        tokens / wall,
        wall * 1e3,
        100.0 * operations(case, &batch) / cpu / peak,
        100.0 * operations(case, &batch) / best / peak,
        peak_memory() / 1024,
    );
}

fn decode(case: &Case, dtype: Dtype, threads: usize) {
    let (slots, prompt, new) = (64, 10, 150);
    let mut stream = Stream::new(0, case.name);
    let weights = weights(&case.shape, &mut stream);
    let mut decoder = cpu::decoder(&case.shape, &weights, slots, dtype, threads).expect("the weights have the shape");
    let mut rates = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let (cpu_start, wall_start) = (cpu_seconds(), Instant::now());
        let mut tokens = vec![vec![1; prompt]; slots];
        let mut held = 0;
        let zeros = vec![0; prompt];
        for _ in 0..new {
            let feed = |(slot, tokens): (usize, &'_ Vec<u32>)| -> (usize, Vec<u32>) { (slot, tokens[held..].to_vec()) };
            let parts: Vec<_> = tokens.iter().enumerate().map(feed).collect();
            let feeds: Vec<_> = parts
                .iter()
                .map(|(slot, tokens)| Feed {
                    slot: *slot,
                    start: held,
                    tokens,
                    lines: if case.shape.lines > 0 { &zeros[..tokens.len()] } else { &[] },
                    columns: if case.shape.columns > 0 { &zeros[..tokens.len()] } else { &[] },
                })
                .collect();
            let logits = decoder.feed(&feeds).expect("the feeds fit the slots");
            held = tokens[0].len();
            for (tokens, row) in tokens.iter_mut().zip(logits.chunks(case.shape.vocabulary)) {
                let best = row
                    .iter()
                    .enumerate()
                    .max_by(|a, b| a.1.total_cmp(b.1))
                    .map_or(0, |(index, _)| index);
                tokens.push(best as u32);
            }
        }
        rates.0.push((slots * new) as f64 / (cpu_seconds() - cpu_start));
        rates.1.push((slots * new) as f64 / wall_start.elapsed().as_secs_f64());
    }
    let (cpu, wall) = (median(rates.0), median(rates.1));
    println!(
        "decode {} {dtype:?} {threads} threads: {cpu:7.0} tokens/s of CPU time, {wall:7.0} of wall time",
        case.name
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let chosen = |name: &str, names: &[&str]| {
        let mut given = arguments.iter().filter(|argument| names.contains(&argument.as_str())).peekable();
        given.peek().is_none() || given.any(|argument| argument == name)
    };
    let threads = arguments.iter().find_map(|argument| argument.parse().ok());
    let peak = peak();
    println!(
        "{}; one core: {:.1} GFLOP/s of fused multiply-adds in registers",
        runner::engine::cpu::instructions(),
        peak / 1e9
    );
    for case in cases().iter().filter(|case| chosen(case.name, &["Q", "S", "M"])) {
        for threads in threads.map_or(vec![1, 2], |threads| vec![threads]) {
            for (name, dtype) in [("f32", Dtype::F32), ("bf16", Dtype::Bf16)] {
                if chosen(name, &["f32", "bf16"]) && chosen("train", &["train", "decode"]) {
                    train(case, dtype, threads, peak);
                }
                if chosen(name, &["f32", "bf16"]) && chosen("decode", &["train", "decode"]) {
                    decode(case, dtype, threads);
                }
            }
        }
    }
}
