//! Decoding: the forward pass over new tokens alone, with the earlier ones' keys and values in a cache.

use super::cache::CacheSlot;
use super::column_parallel::for_each_parallel;
use super::decode_pass::DecodePass;
use super::kernel::element::Element;
use super::parameters::Parameters;
use super::pool;
use crate::engine::{DecodingEngine, EngineError, Feed, check};
use crate::model::{ModelShape, WeightSource};

/// The most sequences worth decoding at once.
const MAX_SLOTS: usize = 64;

/// The fewest: with fewer rows, reading the weights takes too large a part of the time.
const MIN_SLOTS: usize = 16;

/// Bytes of keys and values that stay in a processor's last cache from step to step, beside the weights. A step reads them all once:
/// from memory, attention takes several times as long.
const LAST_CACHE_BYTES: usize = 10 << 20;

/// The most bytes of keys and values, but for one slot.
const MAX_SLOT_MEMORY: usize = 2 << 30;

/// How many sequences of a whole context to decode at once in the numbers `T`. No result depends on it.
pub fn slots<T: Element>(shape: &ModelShape) -> usize {
    let slot = CacheSlot::<T>::bytes(shape).max(1);
    // Weights that come from memory at each step are shared by as many sequences as possible.
    let wanted = if are_cached::<T>(shape) {
        (LAST_CACHE_BYTES / slot).clamp(MIN_SLOTS, MAX_SLOTS)
    } else {
        MAX_SLOTS
    };
    wanted.min(MAX_SLOT_MEMORY / slot).max(1)
}

/// Whether the weights stay in the cache from step to step.
pub fn are_cached<T: Element>(shape: &ModelShape) -> bool {
    shape.size() / T::STEPS * size_of::<T>() <= LAST_CACHE_BYTES
}

/// Decodes on the processor, in the numbers `T`. A row of logits is the same bits whatever else is in the call, whatever the number of
/// threads, and however its sequence was cut into calls.
pub struct CpuDecoder<T> {
    pool: rayon::ThreadPool,
    parameters: Parameters<T>,
    /// A slot that is being fed lies in a lane.
    slots: Vec<CacheSlot<T>>,
    /// One to a thread, where each has its weights in the cache; else one for all threads.
    lanes: Vec<DecodePass<T>>,
    /// [feeds, vocabulary]
    logits: Vec<f32>,
}

impl<T: Element> CpuDecoder<T> {
    /// A decoder with empty slots.
    ///
    /// # Errors
    /// When a weight is missing or has another shape, or the threads cannot be started.
    pub fn new(shape: &ModelShape, weights: impl WeightSource, slots: usize, threads: usize) -> Result<Self, EngineError> {
        Self::dealing(shape, weights, slots, threads, are_cached::<T>(shape))
    }

    /// [`CpuDecoder::new`]: threads have feeds of their own where `apart`, and else work on all together.
    ///
    /// # Errors
    /// As [`CpuDecoder::new`].
    pub fn dealing(shape: &ModelShape, weights: impl WeightSource, slots: usize, threads: usize, apart: bool) -> Result<Self, EngineError> {
        let pool = pool(threads)?;
        let parameters = pool.install(|| Parameters::new(shape, weights, false))?;
        let threads = pool.current_num_threads();
        let (lanes, team) = if apart { (threads.min(slots.max(1)), 1) } else { (1, threads) };
        Ok(Self {
            pool,
            slots: (0..slots).map(|_| CacheSlot::new(shape)).collect(),
            lanes: (0..lanes).map(|_| DecodePass::new(&parameters, team)).collect(),
            parameters,
            logits: Vec::new(),
        })
    }

    fn held(&self, slot: usize) -> usize {
        self.slots.get(slot).map_or(0, |slot| slot.held)
    }

    fn check(&self, feeds: &[Feed<'_>]) -> Result<(), EngineError> {
        let mut fed = vec![0; self.slots.len()];
        for feed in feeds {
            check::feed(&self.parameters.shape, self.slots.len(), feed, self.held(feed.slot))?;
            fed[feed.slot] += 1;
        }
        match fed.into_iter().find(|times| *times > 1) {
            None => Ok(()),
            Some(found) => Err(EngineError::Count {
                what: "feeds of one slot in a call",
                expected: 1,
                found,
            }),
        }
    }

    /// Deals the feeds to the lanes, in order and about equally many tokens to each.
    fn deal(&mut self, feeds: &[Feed<'_>]) {
        let total: usize = feeds.iter().map(|feed| feed.tokens.len()).sum();
        let share = total.div_ceil(self.lanes.len());
        let mut lane = 0;
        for feed in feeds {
            // A lane that is full, or would be more overfull with the feed than it is short without it.
            let after = self.lanes[lane].tokens() + feed.tokens.len();
            let is_full = after > share && after - share > share.saturating_sub(self.lanes[lane].tokens());
            if is_full && self.lanes[lane].tokens() > 0 && lane + 1 < self.lanes.len() {
                lane += 1;
            }
            let slot = std::mem::take(&mut self.slots[feed.slot]);
            self.lanes[lane].add(slot, feed);
        }
    }

    /// Runs every lane.
    fn run(&mut self) {
        let (parameters, pool) = (&self.parameters, &self.pool);
        for_each_parallel(pool, &mut self.lanes, &|_, lane| lane.run(parameters, pool));
    }
}

impl<T: Element> DecodingEngine for CpuDecoder<T> {
    fn feed(&mut self, feeds: &[Feed<'_>]) -> Result<&[f32], EngineError> {
        self.check(feeds)?;
        self.deal(feeds);
        self.run();
        self.logits.clear();
        let mut fed = feeds.iter();
        for lane in &mut self.lanes {
            self.logits.extend_from_slice(lane.logits());
            for (slot, feed) in lane.take_back().zip(&mut fed) {
                self.slots[feed.slot] = slot;
            }
        }
        Ok(&self.logits)
    }

    fn copy(&mut self, from: usize, to: usize, count: usize) -> Result<(), EngineError> {
        check::copy(self.slots.len(), from, to, count, self.held(from))?;
        let mut slot = std::mem::take(&mut self.slots[to]);
        if from == to {
            slot.held = count;
        } else {
            slot.copy(&self.parameters.shape, &self.slots[from], count);
        }
        self.slots[to] = slot;
        Ok(())
    }
}
