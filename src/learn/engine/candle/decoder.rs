//! Decoding with a cache.

use candle_core::{Device, Tensor};

use super::cache::{CachePosition, KeyValueCache};
use super::layers::rotate;
use super::network::{Network, TokenInput};
use super::{pool, tensors};
use crate::engine::{DecodingEngine, EngineError, Feed, check};
use crate::model::{ModelShape, WeightSource};

/// All products have exactly this many rows (padded if there are fewer): the order of a product's sums depends on its size, and a row's
/// result must not depend on the number of other rows.
const PRODUCT_ROWS: usize = 64;

/// The fastest number of sequences to decode at once: as many as a product has rows.
pub const RECOMMENDED_SLOTS: usize = PRODUCT_ROWS;

/// Decodes on a candle device.
pub struct CandleDecoder {
    device: Device,
    pool: rayon::ThreadPool,
    network: Network,
    slots: usize,
    /// One cache per layer.
    caches: Vec<KeyValueCache>,
    /// [feeds, vocabulary]
    logits: Vec<f32>,
}

/// One token to feed.
struct FeedToken {
    place: CachePosition,
    token: u32,
    line: u32,
    column: u32,
}

impl CandleDecoder {
    /// A decoder of `shape` with `weights` and an empty cache of `slots` slots.
    ///
    /// # Errors
    /// When a weight is missing or has the wrong shape, or the device fails.
    pub fn new(shape: &ModelShape, weights: impl WeightSource, slots: usize, device: &Device, threads: usize) -> Result<Self, EngineError> {
        let tensors = tensors(shape, weights, device)?;
        let network = Network::new(shape, device, |name| {
            tensors.get(name).cloned().ok_or_else(|| EngineError::Missing(name.to_owned()))
        })?;
        let caches = (0..shape.layers).map(|_| KeyValueCache::new(shape, slots, device));
        Ok(Self {
            device: device.clone(),
            pool: pool(threads)?,
            slots,
            caches: caches.collect::<Result<_, _>>()?,
            logits: Vec::new(),
            network,
        })
    }

    /// The tokens of `feeds`, one after the other.
    fn rows(&self, feeds: &[Feed<'_>]) -> Result<Vec<FeedToken>, EngineError> {
        let shape = &self.network.shape;
        let mut rows = Vec::new();
        for feed in feeds {
            // The cache does not count the tokens of its slots, so `start` is taken as correct.
            check::feed(shape, self.slots, feed, feed.start)?;
            let at = |places: &[u32], i: usize| places.get(i).copied().unwrap_or(0);
            rows.extend(feed.tokens.iter().enumerate().map(|(i, &token)| FeedToken {
                place: CachePosition {
                    slot: feed.slot,
                    position: feed.start + i,
                },
                token,
                line: at(feed.lines, i),
                column: at(feed.columns, i),
            }));
        }
        Ok(rows)
    }

    /// The stream after the last layer. rows: at most [`PRODUCT_ROWS`] → [rows, width]
    fn stream(&self, rows: &[FeedToken]) -> Result<Tensor, EngineError> {
        let shape = &self.network.shape;
        let places: Vec<CachePosition> = rows.iter().map(|row| row.place).collect();
        let padded = |part: fn(&FeedToken) -> u32| {
            let mut values: Vec<u32> = rows.iter().map(part).collect();
            values.resize(PRODUCT_ROWS, 0);
            Tensor::new(values.as_slice(), &self.device)
        };
        let mut x = self.network.embed(&TokenInput {
            tokens: padded(|row| row.token)?,
            lines: padded(|row| row.line)?,
            columns: padded(|row| row.column)?,
        })?; // [PRODUCT_ROWS, width]
        let positions = padded(|row| row.place.position as u32)?;
        let cosine = self.network.cosine.index_select(&positions, 0)?.unsqueeze(1)?; // [PRODUCT_ROWS, 1, head/2]
        let sine = self.network.sine.index_select(&positions, 0)?.unsqueeze(1)?;
        for (layer, cache) in self.network.layers.iter().zip(&self.caches) {
            let (q, k, v) = layer.project(&x)?;
            let q = q.reshape((PRODUCT_ROWS, shape.heads, shape.head_dim))?;
            let k = k.reshape((PRODUCT_ROWS, shape.kv_heads, shape.head_dim))?;
            let (q, k) = layer.norm_heads(q, k)?;
            let (q, k) = (rotate(&q, &cosine, &sine)?, rotate(&k, &cosine, &sine)?);
            let real = |t: &Tensor| t.narrow(0, 0, rows.len());
            cache.store(&places, &real(&k.flatten_from(1)?)?, &real(&v)?)?;
            let attended = cache.attend(&places, &real(&q)?)?;
            x = layer.finish(&x, &attended.pad_with_zeros(0, 0, PRODUCT_ROWS - rows.len())?)?;
        }
        Ok(x.narrow(0, 0, rows.len())?)
    }

    /// The logits of the last token of each of `lengths` tokens in `rows`. → [feeds, vocabulary]
    fn last_logits(&self, rows: &[FeedToken], lengths: &[usize]) -> Result<Vec<f32>, EngineError> {
        let streams = rows
            .chunks(PRODUCT_ROWS)
            .map(|rows| self.stream(rows))
            .collect::<Result<Vec<_>, _>>()?;
        let mut end = 0;
        let ends: Vec<u32> = lengths
            .iter()
            .map(|length| {
                end += length;
                end as u32 - 1
            })
            .collect();
        let last = Tensor::cat(&streams, 0)?.index_select(&Tensor::new(ends.as_slice(), &self.device)?, 0)?;
        let mut logits = Vec::with_capacity(lengths.len() * self.network.shape.vocabulary);
        for start in (0..lengths.len()).step_by(PRODUCT_ROWS) {
            let count = PRODUCT_ROWS.min(lengths.len() - start);
            let x = last.narrow(0, start, count)?.pad_with_zeros(0, 0, PRODUCT_ROWS - count)?;
            logits.extend(self.network.logits(&x)?.narrow(0, 0, count)?.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(logits)
    }
}

impl DecodingEngine for CandleDecoder {
    fn feed(&mut self, feeds: &[Feed<'_>]) -> Result<&[f32], EngineError> {
        let rows = self.rows(feeds)?;
        let lengths: Vec<usize> = feeds.iter().map(|feed| feed.tokens.len()).collect();
        self.logits = if feeds.is_empty() {
            Vec::new()
        } else {
            self.pool.install(|| self.last_logits(&rows, &lengths))?
        };
        Ok(&self.logits)
    }

    fn copy(&mut self, from: usize, to: usize, count: usize) -> Result<(), EngineError> {
        // As in `feed`, the number of cached tokens is not checked.
        check::copy(self.slots, from, to, count, self.network.shape.context)?;
        if from != to && count > 0 {
            self.caches.iter().try_for_each(|cache| cache.copy(from, to, count))?;
        }
        Ok(())
    }
}
