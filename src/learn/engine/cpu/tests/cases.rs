//! Random shapes, weights and batches.

use crate::engine::cpu::layout::Layout;
use crate::engine::{Batch, IGNORED, Optimizer};
use crate::model::{Array, Llama3Scaling, LongRope, ModelShape, Places, RopeScaling, Weights, Yarn};
use crate::seed::Stream;

pub const OPTIMIZER: Optimizer = Optimizer {
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-8,
    weight_decay: 0.1,
    clip: 1.0,
};

fn between(stream: &mut Stream, low: usize, high: usize) -> usize {
    low + stream.below((high - low + 1) as u64) as usize
}

/// A small shape: widths that are no multiples of a vector, grouped heads, tied or not, with and without learned positions, biases, norms
/// of queries and keys, a separate width of heads, scaled positions, and places in the place of all other positions.
pub fn shape(stream: &mut Stream) -> ModelShape {
    let kv_heads = between(stream, 1, 2);
    let heads = kv_heads * between(stream, 1, 3);
    let head = 2 * between(stream, 1, 5);
    let (vocabulary, layers, feed_forward) = (between(stream, 5, 40), between(stream, 1, 3), between(stream, 3, 40));
    let tied = stream.below(2) == 0;
    let (lines, columns) = (between(stream, 0, 1) * 5, between(stream, 0, 1) * 7);
    // From a separate stream, so that they do not change the rest of a shape.
    let mut more = Stream::new((64 * vocabulary + feed_forward) as u64, "features");
    let width = heads * head + between(&mut more, 0, 1) * 3;
    let qkv_bias = more.below(2) == 0;
    let qk_norm = more.below(2) == 0;
    let rope_scaling = match more.below(6) {
        0 => Some(RopeScaling::Llama3(Llama3Scaling {
            factor: 4.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 64,
        })),
        1 => Some(RopeScaling::Linear(3.0)),
        2 => Some(RopeScaling::Yarn(Yarn {
            factor: 4.0,
            fast: 8.0,
            slow: 0.5,
            original_context: 64,
            whole_pairs: more.below(2) == 0,
            magnitude: 1.2,
        })),
        3 => Some(RopeScaling::LongRope(LongRope {
            divisors: (0..head / 2).map(|pair| 1.1 + pair as f64 / 4.0).collect(),
            magnitude: 1.2,
        })),
        _ => None,
    };
    let places = (more.below(3) == 0).then_some(Places { rows: 7, top: 3, wide: 0 });
    let unless_places = |rows| if places.is_some() { 0 } else { rows };
    ModelShape {
        vocabulary,
        width,
        layers,
        heads,
        kv_heads,
        head_dim: head,
        feed_forward,
        qkv_bias,
        qk_norm,
        rope_theta: 10_000.0,
        rope_scaling,
        norm_epsilon: 1e-5,
        tied,
        lines: unless_places(lines),
        columns: unless_places(columns),
        places,
        context: 100,
    }
}

/// Weights large enough that every part of the decoder matters.
pub fn weights(stream: &mut Stream, shape: &ModelShape) -> Weights {
    let layout = Layout::new(shape, None);
    let flat: Vec<f32> = (0..layout.length)
        .map(|index| {
            if index < layout.decayed {
                0.4 * stream.normal() as f32
            } else {
                1.0 + 0.3 * stream.normal() as f32
            }
        })
        .collect();
    // Biases as small as matrices: attention would be sharp if all keys had a large one.
    let mut flat = flat;
    for (_, _, range) in layout.tensors().filter(|(name, ..)| name.ends_with(".bias")) {
        flat[range].iter_mut().for_each(|bias| *bias -= 1.0);
    }
    let array = |(name, shape, range): (&str, &[usize], std::ops::Range<usize>)| {
        let (shape, data) = (shape.to_vec(), flat[range].to_vec());
        (name.to_owned(), Array { shape, data })
    };
    layout.tensors().map(array).collect()
}

/// A batch of ragged sequences, some of one token and some without a trained one.
pub fn batch(stream: &mut Stream, shape: &ModelShape, sequences: usize, longest: usize) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..sequences {
        let length = between(stream, 1, longest);
        let ignored = between(stream, 0, length);
        batch.lengths.push(length);
        for index in 0..length {
            let mut draw = |bound: usize| stream.below(bound as u64) as u32;
            batch.tokens.push(draw(shape.vocabulary));
            batch.targets.push(if index < ignored { IGNORED } else { draw(shape.vocabulary) });
            if shape.lines > 0 {
                batch.lines.push(draw(shape.lines));
            }
            if shape.columns > 0 {
                batch.columns.push(draw(shape.columns));
            }
            if shape.places.is_some() {
                batch.places.extend((0..Places::TABLES).map(|_| draw(shape.place_rows())));
            }
        }
    }
    // At least one token is trained on.
    batch.targets[0] = 0;
    batch
}
