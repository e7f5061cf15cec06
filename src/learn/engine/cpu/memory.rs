//! Estimates of the memory of a training or a decoder, computed in advance as the sum of the sizes of the engine's buffers.

use super::adapter;
use super::attention;
use super::cache::CacheSlot;
use super::decode_pass::SCORED_ROWS;
use super::decoder::are_cached;
use super::kernel::element::Element;
use super::kernel::panels::size;
use super::kernel::rope::RotaryTable;
use super::layout::{LayerLayout, Layout, Matrix};
use super::micro_batch::{MicroBatchRange, block_size, cut_batch};
use super::output_layer::{chunk, logits_stride};
use super::trainable::Trainable;
use crate::engine::{MemoryEstimate, Sequence, Training};
use crate::model::ModelShape;

const FLOAT_BYTES: usize = size_of::<f32>();

/// An upper bound on the memory of training on `batches` with `threads` threads.
pub fn training<'a, T: Element>(
    shape: &ModelShape,
    training: &Training,
    threads: usize,
    batches: impl Iterator<Item = &'a [Sequence]>,
) -> MemoryEstimate {
    let layout = Layout::new(shape, training.lora.as_ref());
    let trained = Trainable::new(&layout, &|name| training.trains(name));
    MemoryEstimate {
        weights: weights::<T>(&layout, &trained) + rotary_bytes(shape),
        activations: activations::<T>(shape, &layout, &trained, training, threads.max(1), batches),
    }
}

/// An upper bound on the memory of decoding with `slots` slots and prompts of at most `prompt` tokens: all slots are full, and all have read
/// their prompts at once.
pub fn decoding<T: Element>(shape: &ModelShape, slots: usize, prompt: usize, threads: usize) -> MemoryEstimate {
    // The logits of all passes, and their copy in the decoder.
    let calls = DecodingCalls {
        tokens: slots * prompt,
        logits: 2 * slots,
        rows: slots,
    };
    decoder::<T>(shape, slots, calls, threads)
}

/// An upper bound on the memory of scoring with `slots` slots and at most `tokens` tokens in a call.
pub fn scoring<T: Element>(shape: &ModelShape, slots: usize, tokens: usize, threads: usize) -> MemoryEstimate {
    // Each pass of a thread of its own may get the longest feed once.
    let passes = if are_cached::<T>(shape) {
        threads.clamp(1, slots.max(1))
    } else {
        1
    };
    let rows = SCORED_ROWS.min(tokens);
    let calls = DecodingCalls {
        tokens: passes * tokens,
        logits: passes * rows,
        rows,
    };
    decoder::<T>(shape, slots, calls, threads)
}

/// The largest sizes of a decoder's calls.
#[derive(Clone, Copy)]
struct DecodingCalls {
    /// Tokens, summed over the largest calls of each pass.
    tokens: usize,
    /// Rows of logits that are held.
    logits: usize,
    /// Rows of logits that are computed at a time.
    rows: usize,
}

fn decoder<T: Element>(shape: &ModelShape, slots: usize, calls: DecodingCalls, threads: usize) -> MemoryEstimate {
    let layout = Layout::new(shape, None);
    let trained = Trainable::new(&layout, &|_| false);
    let matrices = layout.layers.iter().flat_map(LayerLayout::matrices);
    // A layer's matrix is packed from floats into which its tensors are read one by one. The output layer is packed before the layers, from
    // floats as they are read, or if tied after them, from the embeddings.
    let largest = 2 * matrices.clone().map(|matrix| matrix.range().len()).max().unwrap_or(0) * FLOAT_BYTES;
    let forward = |matrix| packed::<T>(matrix, false);
    let packing = if shape.tied {
        largest.saturating_sub(forward(layout.head))
    } else {
        largest.max((layout.head.range().len() * FLOAT_BYTES).saturating_sub(matrices.map(forward).sum()))
    };
    let (tokens, width, hidden) = (calls.tokens, shape.width, shape.feed_forward);
    let (qkv, attended) = ((shape.heads + 2 * shape.kv_heads) * shape.head_dim, shape.heads * shape.head_dim);
    let rows = tokens * (2 * width + 1 + qkv + attended + 3 * hidden + normed_heads(shape));
    let logits = calls.logits * shape.vocabulary;
    // If threads share the columns of a product, each has its part of the result.
    let parts = if threads > 1 && !are_cached::<T>(shape) {
        (tokens * qkv.max(2 * hidden)).max(calls.rows * shape.vocabulary)
    } else {
        0
    };
    let converted = if T::STEPS > 1 {
        tokens * (qkv.div_ceil(T::STEPS) + hidden.max(width).max(attended).div_ceil(T::STEPS)) * size_of::<T>()
    } else {
        0
    };
    let scores = threads.max(1) * CacheSlot::<T>::scores(shape);
    let work = (rows + logits + parts + scores) * FLOAT_BYTES + converted;
    MemoryEstimate {
        weights: weights::<T>(&layout, &trained) + rotary_bytes(shape),
        activations: (slots * CacheSlot::<T>::bytes(shape) + work).max(packing),
    }
}

/// The bytes of the tables of rotary positions.
fn rotary_bytes(shape: &ModelShape) -> usize {
    let positions = if shape.is_rotary() { shape.context } else { 0 };
    RotaryTable::size(shape.head_dim, positions) * FLOAT_BYTES
}

/// The bytes of a matrix that is packed for the forward pass, and if `backward` for the backward pass too.
fn packed<T: Element>(Matrix { rows, columns, .. }: Matrix, backward: bool) -> usize {
    let back = if backward { size::<T>(rows, columns) } else { 0 };
    (size::<T>(columns, rows) + back) * size_of::<T>()
}

/// The bytes of the weights, flat and packed, their gradient and their moments.
fn weights<T: Element>(layout: &Layout, trained: &Trainable) -> usize {
    let layers = layout.layers.iter().enumerate().map(|(index, layer)| {
        let matrices = layer.matrices().into_iter().zip(trained.backward_matrices(index));
        matrices.map(|(matrix, back)| packed::<T>(matrix, back)).sum::<usize>()
    });
    let head = packed::<T>(layout.head, trained.below_output_layer());
    let adapters = layout.layers.iter().flat_map(|layer| layer.adapters.iter().flatten());
    let layers = layers.chain(adapters.map(adapter::packed_memory::<T>));
    let alone: usize = trained.packed_only(layout).iter().map(ExactSizeIterator::len).sum();
    (layout.length - alone + 3 * trained.length) * FLOAT_BYTES + layers.sum::<usize>() + head
}

/// The largest sizes of one of the micro-batches in work at a time, since its buffers do not shrink.
#[derive(Clone, Copy, Default)]
struct LargestMicroBatch {
    tokens: usize,
    /// Tokens that are trained on.
    kept: usize,
    /// Tokens of the longest sequence.
    longest: usize,
    /// The largest number of rows that the output layer processed at once.
    scored: usize,
}

fn activations<'a, T: Element>(
    shape: &ModelShape,
    layout: &Layout,
    trained: &Trainable,
    training: &Training,
    threads: usize,
    batches: impl Iterator<Item = &'a [Sequence]>,
) -> usize {
    let mut largest: Vec<LargestMicroBatch> = Vec::new();
    // The largest number of rows of each chunk of a longer micro-batch.
    let mut chunks = vec![0; threads];
    let (mut ranges, mut longest_batch) = (Vec::new(), 0);
    for batch in batches {
        let lengths: Vec<usize> = batch.iter().map(|sequence| sequence.tokens).collect();
        longest_batch = lengths.iter().sum::<usize>().max(longest_batch);
        cut_batch(&lengths, &mut ranges);
        let block = block_size(lengths.iter().sum(), ranges.len(), threads);
        let count = largest.len().max(block.min(ranges.len()));
        largest.resize(count, LargestMicroBatch::default());
        for (index, MicroBatchRange { sequences, .. }) in ranges.iter().enumerate() {
            let (sequences, micro_batch) = (&batch[sequences.clone()], &mut largest[index % block]);
            let kept = sequences.iter().map(|sequence| sequence.trained).sum::<usize>();
            let longest = sequences.iter().map(|sequence| sequence.tokens).max();
            micro_batch.tokens = micro_batch.tokens.max(sequences.iter().map(|sequence| sequence.tokens).sum());
            micro_batch.kept = micro_batch.kept.max(kept);
            micro_batch.longest = micro_batch.longest.max(longest.unwrap_or(0));
            if kept <= chunk::<T>() {
                micro_batch.scored = micro_batch.scored.max(kept);
            } else {
                for (most, first) in chunks.iter_mut().zip((0..kept).step_by(chunk::<T>())) {
                    *most = chunk::<T>().min(kept - first).max(*most);
                }
            }
        }
    }
    let micro_batches = largest.into_iter().map(|largest| {
        micro_batch_memory::<T>(shape, trained, training.recompute, largest)
            + adapter_memory::<T>(layout, training, largest.tokens)
            + output_layer_memory::<T>(shape, trained, largest.scored)
    });
    let micro_batches = micro_batches.sum::<usize>();
    let chunks = chunks.into_iter().map(|rows| output_layer_memory::<T>(shape, trained, rows));
    let embedded = if trained.embeddings {
        longest_batch * shape.width * FLOAT_BYTES
    } else {
        0
    };
    micro_batches + chunks.sum::<usize>() + embedded
}

/// The bytes of a micro-batch's buffers, as `MicroBatch::load` sizes them.
fn micro_batch_memory<T: Element>(shape: &ModelShape, trained: &Trainable, recompute: bool, largest: LargestMicroBatch) -> usize {
    let LargestMicroBatch { tokens, kept, longest, .. } = largest;
    let (width, hidden, head) = (shape.width, shape.feed_forward, shape.head_dim);
    let (qkv, attended) = ((shape.heads + 2 * shape.kv_heads) * head, shape.heads * head);
    let inputs = trained.reached().max(1);
    let layers = if recompute { 1 } else { inputs };
    // The last layer has rows only for tokens that are trained on, unless it shares its buffers.
    let rows = (layers - 1) * tokens + if layers < shape.layers { tokens } else { kept };
    let normed = normed_heads(shape);
    let floats = inputs * tokens * width
        + layers * tokens * (1 + qkv + shape.heads + attended + normed * (head + 1))
        + normed * head
        + rows * (width + 1 + 2 * hidden)
        + kept * (width + 1)
        + tokens * (4 * width + qkv + attended + hidden)
        + (2 * shape.layers + 1) * width
        + if shape.qkv_bias { shape.layers * qkv } else { 0 }
        + if shape.qk_norm { 2 * shape.layers * head } else { 0 };
    let panels = 2 * size::<T>(tokens, width) + size::<T>(tokens, attended) + size::<T>(tokens, hidden);
    let converted = if T::STEPS > 1 {
        let columns = tokens.div_ceil(T::STEPS) * (2 * width + 2 * hidden + qkv);
        columns + tokens * [width, attended, 2 * hidden, qkv].into_iter().max().unwrap_or(0).div_ceil(T::STEPS)
    } else {
        0
    };
    floats * FLOAT_BYTES + (panels + converted) * size_of::<T>() + attention::memory::<T>(longest, head)
}

/// The number of heads of a token that have norms of their own.
fn normed_heads(shape: &ModelShape) -> usize {
    if shape.qk_norm { shape.heads + shape.kv_heads } else { 0 }
}

/// The bytes of the adapters' buffers, which the layers share.
fn adapter_memory<T: Element>(layout: &Layout, training: &Training, rows: usize) -> usize {
    let dropout = training.lora.as_ref().map_or(0.0, |lora| lora.dropout);
    let adapters = layout.layers.iter().take(1).flat_map(|layer| layer.adapters.iter().flatten());
    adapters.map(|adapter| adapter::memory::<T>(adapter, dropout, rows)).sum()
}

/// The bytes of the output layer's buffers for n rows.
fn output_layer_memory<T: Element>(shape: &ModelShape, trained: &Trainable, rows: usize) -> usize {
    let vocabulary = shape.vocabulary;
    let panels = if trained.head { size::<T>(rows, shape.width) } else { 0 };
    let converted = match T::STEPS {
        1 => 0,
        steps => rows * vocabulary.div_ceil(steps) + if trained.head { rows.div_ceil(steps) * vocabulary } else { 0 },
    };
    rows * logits_stride(vocabulary) * FLOAT_BYTES + (panels + converted) * size_of::<T>()
}
