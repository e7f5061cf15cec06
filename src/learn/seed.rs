//! Random streams, each identified by a seed and a label.
//!
//! Streams with different seeds or labels are independent. A stream does not depend on other streams, on threads or on the platform: the
//! generator is ChaCha, and all draws are computed here, with `libm` for functions whose last bit differs between C libraries.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A reproducible stream of random numbers.
pub struct Stream(ChaCha12Rng);

impl Stream {
    /// The stream of `(seed, label)`.
    pub fn new(seed: u64, label: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("runner 2026 random stream v1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(label.as_bytes());
        Self(ChaCha12Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform integer in `0..bound`.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an empty range has no random number");
        // Draws at or above the largest multiple of `bound` would favour small numbers, so they are repeated.
        let unfair = u64::MAX - (u64::MAX % bound + 1) % bound;
        loop {
            let bits = self.bits();
            if bits <= unfair {
                return bits % bound;
            }
        }
    }

    /// A number in `[0, 1)` with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A draw from the standard normal distribution (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// Shuffles `items` (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_pinned() {
        let mut stream = Stream::new(1, "test");
        let drawn = [
            stream.bits(),
            stream.below(10),
            (stream.uniform() * 1e9) as u64,
            (stream.normal() * 1e9) as i64 as u64,
        ];
        assert_eq!(drawn, [11_732_283_172_046_616_961, 6, 683_870_605, 278_615_595]);
        assert_ne!(drawn[0], Stream::new(2, "test").bits());
        assert_ne!(drawn[0], Stream::new(1, "tes").bits());
    }

    #[test]
    fn below_is_even_and_normal_has_unit_variance() {
        let mut stream = Stream::new(3, "moments");
        let mut counts = [0; 7];
        (0..70_000).for_each(|_| counts[stream.below(7) as usize] += 1);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        let draws: Vec<f64> = (0..100_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|draw| draw * draw).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        Stream::new(0, "shuffle").shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
