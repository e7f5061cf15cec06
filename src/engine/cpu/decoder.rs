//! Decoding: the forward pass over new tokens alone, with the earlier ones' keys and values in a cache.

use rayon::prelude::*;

use super::kernel::number::Number;
use super::lane::Lane;
use super::parameters::Parameters;
use super::pool;
use crate::engine::{Decode, EngineError, Feed, check};
use crate::model::{Shape, Weights};

/// Decodes on the processor, in the numbers `T`. A row of logits is the same bits whatever else is in the call, whatever the number of
/// threads, and however its sequence was cut into calls.
pub struct Decoder<T> {
    pool: rayon::ThreadPool,
    parameters: Parameters<T>,
    /// One to a thread; each has the slots `index * slots ..`.
    lanes: Vec<Lane<T>>,
    slots: usize,
    /// [feeds, vocabulary]
    logits: Vec<f32>,
}

impl<T: Number> Decoder<T> {
    /// A decoder with empty slots.
    ///
    /// # Errors
    /// When a weight is missing or has another shape, or the threads cannot be started.
    pub fn new(shape: &Shape, weights: &Weights, slots: usize, threads: usize) -> Result<Self, EngineError> {
        let pool = pool(threads)?;
        let parameters = Parameters::new(shape, weights, false)?;
        let lanes = pool.current_num_threads().min(slots.max(1));
        let per_lane = slots.div_ceil(lanes);
        let lane = |index| Lane::new(&parameters, per_lane.min(slots.saturating_sub(index * per_lane)));
        Ok(Self {
            pool,
            lanes: (0..lanes).map(lane).collect(),
            slots,
            parameters,
            logits: Vec::new(),
        })
    }

    /// Which lane has a slot, and where in it.
    fn place(&self, slot: usize) -> (usize, usize) {
        let per_lane = self.slots.div_ceil(self.lanes.len());
        (slot / per_lane, slot % per_lane)
    }

    fn check(&self, feeds: &[Feed<'_>]) -> Result<(), EngineError> {
        for feed in feeds {
            let (lane, slot) = self.place(feed.slot);
            let held = self.lanes.get(lane).map_or(0, |lane| lane.held(slot));
            check::feed(&self.parameters.shape, self.slots, feed, held)?;
        }
        Ok(())
    }
}

impl<T: Number> Decode for Decoder<T> {
    fn feed(&mut self, feeds: &[Feed<'_>]) -> Result<&[f32], EngineError> {
        self.check(feeds)?;
        self.lanes.iter_mut().for_each(Lane::clear);
        for (row, feed) in feeds.iter().enumerate() {
            let (lane, slot) = self.place(feed.slot);
            self.lanes[lane].add(row, slot, feed);
        }
        let Self {
            pool,
            parameters,
            lanes,
            logits,
            ..
        } = self;
        pool.install(|| lanes.par_iter_mut().with_max_len(1).for_each(|lane| lane.run(parameters)));
        let vocabulary = parameters.shape.vocabulary;
        logits.resize(feeds.len() * vocabulary, 0.0);
        for lane in &*lanes {
            for (row, values) in lane.logits(vocabulary) {
                logits[row * vocabulary..(row + 1) * vocabulary].copy_from_slice(values);
            }
        }
        Ok(logits)
    }
}
