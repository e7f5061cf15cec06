//! The loss of one packed batch.

use candle_core::{Device, Tensor};

use super::attention::CausalAttention;
use super::network::{Network, TokenInput};
use crate::engine::{Batch, EngineError, IGNORED, check};
use crate::model::Places;

/// The summed cross-entropy over the trained tokens of `batch`, a scalar that carries gradients; `None` if no token is trained on.
pub(super) fn summed(network: &Network, batch: &Batch, device: &Device) -> Result<Option<Tensor>, EngineError> {
    let padded = PaddedBatch::new(network, batch)?;
    if padded.targets.is_empty() {
        return Ok(None);
    }
    let mut x = network.embed(&padded.input(device)?)?; // [sequences · length, width]
    let causal = CausalAttention::new(network, batch.lengths.len(), padded.length, device)?;
    for layer in &network.layers {
        x = causal.layer(network, layer, &x)?;
    }
    let trained = Tensor::new(padded.rows.as_slice(), device)?;
    let logits = network.logits(&x.index_select(&trained, 0)?)?; // [trained, vocabulary]
    let targets = Tensor::new(padded.targets.as_slice(), device)?.unsqueeze(1)?;
    let likelihoods = candle_nn::ops::log_softmax(&logits, 1)?.gather(&targets, 1)?;
    Ok(Some(likelihoods.sum_all()?.neg()?))
}

/// A batch with its sequences padded to the longest, and the positions of the trained tokens.
struct PaddedBatch {
    length: usize,
    /// [sequences · length]
    tokens: Vec<u32>,
    lines: Vec<u32>,
    columns: Vec<u32>,
    /// [sequences · length, 3]
    places: Vec<u32>,
    /// Indices of the rows that are trained on, and their targets. [trained]
    rows: Vec<u32>,
    targets: Vec<u32>,
}

impl PaddedBatch {
    fn new(network: &Network, batch: &Batch) -> Result<Self, EngineError> {
        let (shape, length) = (&network.shape, batch.lengths.iter().copied().max().unwrap_or(0));
        check::batch(shape, batch)?;
        let pad = |packed: &[u32], filler| pad_all(packed, &batch.lengths, 1, length, filler);
        let targets = (0..).zip(pad(&batch.targets, IGNORED));
        let (rows, targets) = targets.filter(|(_, target)| *target != IGNORED).unzip();
        Ok(Self {
            length,
            tokens: pad(&batch.tokens, 0),
            lines: pad(&batch.lines, 0),
            columns: pad(&batch.columns, 0),
            places: pad_all(&batch.places, &batch.lengths, Places::TABLES, length, 0),
            rows,
            targets,
        })
    }

    fn input(&self, device: &Device) -> Result<TokenInput, EngineError> {
        Ok(TokenInput {
            tokens: Tensor::new(self.tokens.as_slice(), device)?,
            lines: Tensor::new(self.lines.as_slice(), device)?,
            columns: Tensor::new(self.columns.as_slice(), device)?,
            places: Tensor::new(self.places.as_slice(), device)?.reshape(((), Places::TABLES))?,
        })
    }
}

/// Pads `packed` sequences of `lengths` tokens, each with `each` numbers, with `filler`, each sequence up to `length` tokens. An empty list
/// stays empty.
fn pad_all(packed: &[u32], lengths: &[usize], each: usize, length: usize, filler: u32) -> Vec<u32> {
    let mut padded = Vec::with_capacity(lengths.len() * length * each);
    let mut rest = packed.iter().copied();
    if !packed.is_empty() {
        for (sequence, tokens) in (1..).zip(lengths) {
            padded.extend(rest.by_ref().take(*tokens * each));
            padded.resize(sequence * length * each, filler);
        }
    }
    padded
}
