//! Decoding: the forward pass over new tokens, with the keys and values of earlier ones in a cache.

use super::cache::CacheSlot;
use super::column_parallel::for_each_parallel;
use super::decode_pass::DecodePass;
use super::kernel::element::Element;
use super::parameters::Parameters;
use super::pool;
use crate::engine::{DecodingEngine, EngineError, Feed, ScoredFeed, TokenScore, check};
use crate::model::{ModelShape, WeightSource};

/// The largest number of sequences worth decoding at once.
const MAX_SLOTS: usize = 64;

/// The smallest number: with fewer rows, reading the weights takes too large a part of the time.
const MIN_SLOTS: usize = 16;

/// Bytes of keys and values that stay in a processor's last-level cache from step to step, besides the weights. A step reads them all once.
/// If they come from memory, attention takes several times as long.
const LAST_CACHE_BYTES: usize = 10 << 20;

/// The largest number of bytes of keys and values. One slot may exceed it.
const MAX_SLOT_MEMORY: usize = 2 << 30;

/// The fastest number of sequences, each as long as the context, to decode at once in the numbers `T`. No result depends on it.
pub fn slots<T: Element>(shape: &ModelShape) -> usize {
    let slot = CacheSlot::<T>::bytes(shape).max(1);
    // Weights that are read from memory at each step should serve as many sequences as possible.
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

/// Decodes on the processor, in the numbers `T`. The bits of a row of logits do not depend on the other feeds of the call, on the number of
/// threads, or on how its sequence was cut into calls.
pub struct CpuDecoder<T> {
    pool: rayon::ThreadPool,
    parameters: Parameters<T>,
    /// While a slot is fed, it is moved to a pass.
    slots: Vec<CacheSlot<T>>,
    /// One per thread if the weights stay in the cache; else one for all threads.
    passes: Vec<DecodePass<T>>,
    /// [feeds, vocabulary]
    logits: Vec<f32>,
}

impl<T: Element> CpuDecoder<T> {
    /// A decoder with empty slots.
    ///
    /// # Errors
    /// When a weight is missing or has the wrong shape, or the threads cannot be started.
    pub fn new(shape: &ModelShape, weights: impl WeightSource, slots: usize, threads: usize) -> Result<Self, EngineError> {
        Self::with_sharing(shape, weights, slots, threads, are_cached::<T>(shape))
    }

    /// [`CpuDecoder::new`] with a choice of how work is shared: if `apart`, each thread has its own feeds; else all threads work on all feeds.
    ///
    /// # Errors
    /// As [`CpuDecoder::new`].
    pub fn with_sharing(
        shape: &ModelShape,
        weights: impl WeightSource,
        slots: usize,
        threads: usize,
        apart: bool,
    ) -> Result<Self, EngineError> {
        let pool = pool(threads)?;
        let parameters = pool.install(|| Parameters::new(shape, weights, false))?;
        let threads = pool.current_num_threads();
        let (passes, threads_per_pass) = if apart { (threads.min(slots.max(1)), 1) } else { (1, threads) };
        Ok(Self {
            pool,
            slots: (0..slots).map(|_| CacheSlot::new(shape)).collect(),
            passes: (0..passes).map(|_| DecodePass::new(&parameters, threads_per_pass)).collect(),
            parameters,
            logits: Vec::new(),
        })
    }

    fn held(&self, slot: usize) -> usize {
        self.slots.get(slot).map_or(0, |slot| slot.held)
    }

    fn check<'a>(&self, feeds: impl Iterator<Item = &'a Feed<'a>>) -> Result<(), EngineError> {
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

    /// Distributes the feeds to the passes, in order, with about the same number of tokens each: `add` moves the feed's slot to a pass.
    fn distribute<F>(&mut self, feeds: &[F], feed: impl Fn(&F) -> &Feed<'_>, add: impl Fn(&mut DecodePass<T>, CacheSlot<T>, &F)) {
        let total: usize = feeds.iter().map(|item| feed(item).tokens.len()).sum();
        let share = total.div_ceil(self.passes.len());
        let mut pass = 0;
        for item in feeds {
            let Feed { slot, tokens, .. } = feed(item);
            // The pass is full if adding the feed would exceed its share by more than it is short of it now.
            let after = self.passes[pass].tokens() + tokens.len();
            let is_full = after > share && after - share > share.saturating_sub(self.passes[pass].tokens());
            if is_full && self.passes[pass].tokens() > 0 && pass + 1 < self.passes.len() {
                pass += 1;
            }
            let slot = std::mem::take(&mut self.slots[*slot]);
            add(&mut self.passes[pass], slot, item);
        }
    }

    /// Runs all passes.
    fn run(&mut self, run: impl Fn(&mut DecodePass<T>, &Parameters<T>, &rayon::ThreadPool) + Sync) {
        let (parameters, pool) = (&self.parameters, &self.pool);
        for_each_parallel(pool, &mut self.passes, &|_, pass| run(pass, parameters, pool));
    }

    /// Takes the slots of the feeds back from the passes.
    fn take_back<'a>(&mut self, mut feeds: impl Iterator<Item = &'a Feed<'a>>) {
        for pass in &mut self.passes {
            for (slot, feed) in pass.take_back().zip(&mut feeds) {
                self.slots[feed.slot] = slot;
            }
        }
    }
}

impl<T: Element> DecodingEngine for CpuDecoder<T> {
    fn feed(&mut self, feeds: &[Feed<'_>]) -> Result<&[f32], EngineError> {
        self.check(feeds.iter())?;
        self.distribute(feeds, |feed| feed, DecodePass::add);
        self.run(DecodePass::run);
        self.take_back(feeds.iter());
        self.logits.clear();
        self.passes.iter().for_each(|pass| self.logits.extend_from_slice(pass.logits()));
        Ok(&self.logits)
    }

    fn score(&mut self, feeds: &[ScoredFeed<'_>]) -> Result<Vec<TokenScore>, EngineError> {
        self.check(feeds.iter().map(|scored| &scored.feed))?;
        feeds.iter().try_for_each(|scored| check::targets(&self.parameters.shape, scored))?;
        self.distribute(feeds, |scored| &scored.feed, DecodePass::add_scored);
        self.run(DecodePass::run_scored);
        self.take_back(feeds.iter().map(|scored| &scored.feed));
        Ok(self.passes.iter().flat_map(DecodePass::scores).copied().collect())
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
