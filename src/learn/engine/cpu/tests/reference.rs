//! The decoder in f64, written to be read. The engine's numbers are compared with its results.

use std::collections::BTreeMap;

use crate::engine::{Batch, IGNORED};
use crate::model::{Llama3Scaling, ModelShape, RopeScaling, Weights, Yarn};

/// The weights in f64 by name.
pub type Exact = BTreeMap<String, Vec<f64>>;

pub fn exact(weights: &Weights) -> Exact {
    weights
        .iter()
        .map(|(name, array)| (name.clone(), array.data.iter().map(|value| f64::from(*value)).collect()))
        .collect()
}

/// The mean loss over all trained tokens of `batches`.
pub fn loss(shape: &ModelShape, weights: &Exact, batches: &[Batch]) -> f64 {
    let (mut total, mut trained) = (0.0, 0.0);
    for batch in batches {
        for (logits, target) in logits(shape, weights, batch).iter().zip(&batch.targets) {
            if *target != IGNORED {
                total += logits.iter().map(|logit| logit.exp()).sum::<f64>().ln() - logits[*target as usize];
                trained += 1.0;
            }
        }
    }
    total / trained
}

/// The logits of every token. [tokens][vocabulary]
pub fn logits(shape: &ModelShape, weights: &Exact, batch: &Batch) -> Vec<Vec<f64>> {
    let mut rows = Vec::new();
    let mut start = 0;
    for length in &batch.lengths {
        let mut stream: Vec<Vec<f64>> = (start..start + length).map(|token| embed(shape, weights, batch, token)).collect();
        for layer in 0..shape.layers {
            self::layer(shape, weights, layer, &mut stream);
        }
        let head = &weights[if shape.tied {
            "model.embed_tokens.weight"
        } else {
            "lm_head.weight"
        }];
        rows.extend(
            stream
                .iter()
                .map(|row| apply(head, &norm(shape, row, &weights["model.norm.weight"]))),
        );
        start += length;
    }
    rows
}

fn embed(shape: &ModelShape, weights: &Exact, batch: &Batch, token: usize) -> Vec<f64> {
    let row = |name: &str, index: u32| weights[name][index as usize * shape.width..][..shape.width].to_vec();
    let mut sum = row("model.embed_tokens.weight", batch.tokens[token]);
    if shape.lines > 0 {
        add(&mut sum, &row("model.embed_lines.weight", batch.lines[token]));
    }
    if shape.columns > 0 {
        add(&mut sum, &row("model.embed_columns.weight", batch.columns[token]));
    }
    if shape.places.is_some() {
        for index in &batch.places[3 * token..3 * token + 3] {
            add(&mut sum, &row("model.embed_places.weight", *index));
        }
    }
    sum
}

fn layer(shape: &ModelShape, weights: &Exact, layer: usize, stream: &mut [Vec<f64>]) {
    let weight = |part: &str| &weights[&format!("model.layers.{layer}.{part}.weight")];
    let normed: Vec<_> = stream.iter().map(|row| norm(shape, row, weight("input_layernorm"))).collect();
    let project = |part| {
        let project = |row: &Vec<f64>| {
            let mut row = apply(weight(part), row);
            if shape.qkv_bias {
                add(&mut row, &weights[&format!("model.layers.{layer}.{part}.bias")]);
            }
            row
        };
        normed.iter().map(project).collect::<Vec<_>>()
    };
    let (mut queries, mut keys, values) = (
        project("self_attn.q_proj"),
        project("self_attn.k_proj"),
        project("self_attn.v_proj"),
    );
    for (rows, name) in [(&mut queries, "self_attn.q_norm"), (&mut keys, "self_attn.k_norm")] {
        if shape.qk_norm {
            for row in rows.iter_mut() {
                *row = row
                    .chunks(shape.head_dim)
                    .flat_map(|head| norm(shape, head, weight(name)))
                    .collect();
            }
        }
        if shape.places.is_none() {
            rows.iter_mut().enumerate().for_each(|(position, row)| turn(shape, position, row));
        }
    }
    for token in 0..stream.len() {
        let attended = attend(shape, &queries[token], &keys[..=token], &values[..=token]);
        add(&mut stream[token], &apply(weight("self_attn.o_proj"), &attended));
        let normed = norm(shape, &stream[token], weight("post_attention_layernorm"));
        let (gate, up) = (apply(weight("mlp.gate_proj"), &normed), apply(weight("mlp.up_proj"), &normed));
        let hidden: Vec<f64> = gate.iter().zip(&up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
        add(&mut stream[token], &apply(weight("mlp.down_proj"), &hidden));
    }
}

fn attend(shape: &ModelShape, query: &[f64], keys: &[Vec<f64>], values: &[Vec<f64>]) -> Vec<f64> {
    let (head, group) = (shape.head_dim, shape.heads / shape.kv_heads);
    let mut out = Vec::new();
    for (index, query) in query.chunks(head).enumerate() {
        let part = index / group * head..(index / group + 1) * head;
        let score = |key: &Vec<f64>| (dot(query, &key[part.clone()]) / (head as f64).sqrt()).exp();
        let scores: Vec<f64> = keys.iter().map(score).collect();
        let sum: f64 = scores.iter().sum();
        out.extend(part.map(|column| scores.iter().zip(values).map(|(score, value)| score * value[column]).sum::<f64>() / sum));
    }
    out
}

fn turn(shape: &ModelShape, position: usize, row: &mut [f64]) {
    let (head, half) = (shape.head_dim, shape.head_dim / 2);
    for row in row.chunks_mut(head) {
        for pair in 0..half {
            let mut angle = position as f64 * shape.rope_theta.powf(-2.0 * pair as f64 / head as f64);
            let wavelength = shape.rope_theta.powf(2.0 * pair as f64 / head as f64) * std::f64::consts::TAU;
            let mut longer = 1.0;
            match &shape.rope_scaling {
                None => {}
                Some(RopeScaling::Linear(factor)) => angle /= factor,
                Some(RopeScaling::Yarn(yarn)) => {
                    let share = interpolated(yarn, shape.rope_theta, head, pair);
                    angle = angle / yarn.factor * share + angle * (1.0 - share);
                    longer = yarn.magnitude;
                }
                Some(RopeScaling::Llama3(scaling)) => angle /= slowdown(scaling, wavelength),
                Some(RopeScaling::LongRope(scaling)) => {
                    angle /= scaling.divisors[pair];
                    longer = scaling.magnitude;
                }
            }
            let (a, b) = (row[pair], row[pair + half]);
            row[pair] = longer * (a * angle.cos() - b * angle.sin());
            row[pair + half] = longer * (b * angle.cos() + a * angle.sin());
        }
    }
}

/// How much YaRN interpolates a pair, from 0 to 1, as Transformers has it (`find_correction_range`, `linear_ramp_factor`).
fn interpolated(yarn: &Yarn, theta: f64, head: usize, pair: usize) -> f64 {
    let dimension = |turns: f64| {
        let context = yarn.original_context as f64;
        head as f64 * (context / (turns * 2.0 * std::f64::consts::PI)).ln() / (2.0 * theta.ln())
    };
    let (mut low, mut high) = (dimension(yarn.fast), dimension(yarn.slow));
    if yarn.whole_pairs {
        (low, high) = (low.floor(), high.ceil());
    }
    (low, high) = (low.max(0.0), high.min(head as f64 - 1.0));
    if low == high {
        high += 0.001;
    }
    ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0)
}

/// The factor by which Llama 3 slows down a pair that takes `wavelength` positions for a full turn.
fn slowdown(scaling: &Llama3Scaling, wavelength: f64) -> f64 {
    let context = scaling.original_context as f64;
    if wavelength < context / scaling.high_freq_factor {
        1.0
    } else if wavelength > context / scaling.low_freq_factor {
        scaling.factor
    } else {
        let smooth = (context / wavelength - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
        1.0 / ((1.0 - smooth) / scaling.factor + smooth)
    }
}

fn norm(shape: &ModelShape, row: &[f64], weight: &[f64]) -> Vec<f64> {
    let scale = 1.0 / (dot(row, row) / row.len() as f64 + shape.norm_epsilon).sqrt();
    row.iter().zip(weight).map(|(value, weight)| value * scale * weight).collect()
}

/// `W · x`, `W` [out, in].
fn apply(matrix: &[f64], x: &[f64]) -> Vec<f64> {
    matrix.chunks(x.len()).map(|row| dot(row, x)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(sum: &mut [f64], part: &[f64]) {
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
}
