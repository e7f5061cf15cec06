//! Decoding with a cache.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::cache::{CachePosition, KeyValueCache};
use super::layers::rotate;
use super::network::{Network, TokenInput};
use super::{pool, tensors};
use crate::engine::{DecodingEngine, EngineError, Feed, ScoredFeed, Target, TokenScore, check};
use crate::model::{ModelShape, Places, WeightSource};

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
    places: [u32; Places::TABLES],
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
    fn rows<'a>(&self, feeds: impl Iterator<Item = &'a Feed<'a>>) -> Result<Vec<FeedToken>, EngineError> {
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
                places: std::array::from_fn(|table| at(feed.places, Places::TABLES * i + table)),
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
        let mut place_rows: Vec<u32> = rows.iter().flat_map(|row| row.places).collect();
        place_rows.resize(PRODUCT_ROWS * Places::TABLES, 0);
        let mut x = self.network.embed(&TokenInput {
            tokens: padded(|row| row.token)?,
            lines: padded(|row| row.line)?,
            columns: padded(|row| row.column)?,
            places: Tensor::from_vec(place_rows, (PRODUCT_ROWS, Places::TABLES), &self.device)?,
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

    /// The stream after the last layer, of the tokens at the places `kept`. → [kept, width]
    fn kept(&self, rows: &[FeedToken], kept: &[u32]) -> Result<Tensor, EngineError> {
        let streams = rows
            .chunks(PRODUCT_ROWS)
            .map(|rows| self.stream(rows))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::cat(&streams, 0)?.index_select(&Tensor::new(kept, &self.device)?, 0)?)
    }

    /// The logits of some rows of the stream, at most [`PRODUCT_ROWS`]. → [rows, vocabulary]
    fn logits(&self, stream: &Tensor, start: usize, count: usize) -> Result<Vec<f32>, EngineError> {
        let x = stream.narrow(0, start, count)?.pad_with_zeros(0, 0, PRODUCT_ROWS - count)?;
        Ok(self.network.logits(&x)?.narrow(0, 0, count)?.flatten_all()?.to_vec1::<f32>()?)
    }

    /// The logits of the last token of each of `lengths` tokens in `rows`. → [feeds, vocabulary]
    fn last_logits(&self, rows: &[FeedToken], lengths: &[usize]) -> Result<Vec<f32>, EngineError> {
        let mut end = 0;
        let ends: Vec<u32> = lengths
            .iter()
            .map(|length| {
                end += length;
                end as u32 - 1
            })
            .collect();
        let last = self.kept(rows, &ends)?;
        let mut logits = Vec::with_capacity(lengths.len() * self.network.shape.vocabulary);
        for start in (0..lengths.len()).step_by(PRODUCT_ROWS) {
            logits.extend(self.logits(&last, start, PRODUCT_ROWS.min(lengths.len() - start))?);
        }
        Ok(logits)
    }

    /// The scores of targets, whose places are counted over all `rows`.
    fn scores(&self, rows: &[FeedToken], targets: &[Target]) -> Result<Vec<TokenScore>, EngineError> {
        if targets.is_empty() {
            rows.chunks(PRODUCT_ROWS).try_for_each(|rows| self.stream(rows).map(drop))?;
            return Ok(Vec::new());
        }
        let targets: Vec<&[Target]> = targets.chunk_by(|a, b| a.after == b.after).collect();
        let places = targets.iter().filter_map(|alike| Some(alike.first()?.after as u32));
        let stream = self.kept(rows, &places.collect::<Vec<u32>>())?;
        let (mut scores, vocabulary) = (Vec::new(), self.network.shape.vocabulary);
        for (block, start) in targets.chunks(PRODUCT_ROWS).zip((0..).step_by(PRODUCT_ROWS)) {
            let logits = self.logits(&stream, start, block.len())?;
            let rows: Vec<_> = logits.chunks(vocabulary).zip(block).collect();
            scores.par_extend(rows.par_iter().flat_map_iter(|(logits, targets)| score(logits, targets)));
        }
        Ok(scores)
    }
}

/// The scores of tokens by their row of logits.
fn score(logits: &[f32], targets: &[Target]) -> Vec<TokenScore> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // A product of 0 with a number that is not finite is NaN.
    let weights = logits
        .iter()
        .map(|logit| libm::exp(f64::from(*logit) - f64::from(largest)) + f64::from(*logit) * 0.0);
    let log_sum = libm::log(weights.sum());
    let targets = targets.iter();
    targets
        .map(|target| TokenScore::new(logits, target.token, largest, log_sum))
        .collect()
}

impl DecodingEngine for CandleDecoder {
    fn feed(&mut self, feeds: &[Feed<'_>]) -> Result<&[f32], EngineError> {
        let rows = self.rows(feeds.iter())?;
        let lengths: Vec<usize> = feeds.iter().map(|feed| feed.tokens.len()).collect();
        self.logits = if feeds.is_empty() {
            Vec::new()
        } else {
            self.pool.install(|| self.last_logits(&rows, &lengths))?
        };
        Ok(&self.logits)
    }

    fn score(&mut self, feeds: &[ScoredFeed<'_>]) -> Result<Vec<TokenScore>, EngineError> {
        let rows = self.rows(feeds.iter().map(|scored| &scored.feed))?;
        let (mut targets, mut first) = (Vec::new(), 0);
        for scored in feeds {
            check::targets(&self.network.shape, scored)?;
            targets.extend(scored.targets.iter().map(|target| Target {
                after: first + target.after,
                ..*target
            }));
            first += scored.feed.tokens.len();
        }
        if feeds.is_empty() {
            return Ok(Vec::new());
        }
        self.pool.install(|| self.scores(&rows, &targets))
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
