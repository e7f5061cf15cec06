//! The time that stages which need each other take together.

use super::Range;

/// Sums up the times of stages, each added after those that it needs.
pub struct StageTimes {
    /// The time of all of them, one after the other.
    work: Range,
    /// The time of each stage with those before it that it waits for longest, by its number.
    chains: Vec<Range>,
    /// The longest of these.
    longest: Range,
}

impl StageTimes {
    /// For stages with numbers below `count`. One that is not added takes no time, and nothing waits for it.
    pub fn new(count: usize) -> Self {
        Self {
            work: Range::default(),
            chains: vec![Range::default(); count],
            longest: Range::default(),
        }
    }

    /// Adds a stage that needs these others.
    pub fn add(&mut self, stage: usize, needs: impl Iterator<Item = usize>, seconds: Range) {
        let before = needs.filter_map(|need| self.chains.get(need));
        let chain = before
            .fold(Range::default(), |chain, before| chain.with(*before, f64::max))
            .and(seconds);
        self.work = self.work.and(seconds);
        self.longest = self.longest.with(chain, f64::max);
        if let Some(place) = self.chains.get_mut(stage) {
            *place = chain;
        }
    }

    /// The time on the clock where so many run at once: that of the work they share, or of the longest chain if that is more.
    pub fn on_the_clock(&self, at_once: usize) -> Range {
        let shared = self.work.map(|seconds| seconds / at_once.max(1) as f64);
        shared.with(self.longest, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_shows_the_shared_work_or_the_longest_chain() {
        let mut times = StageTimes::new(4);
        // 0 → 1, beside 2 and 3.
        for (stage, needs, seconds) in [(0, vec![], 2.0), (1, vec![0], 4.0), (2, vec![], 3.0), (3, vec![], 3.0)] {
            times.add(stage, needs.into_iter(), Range::known(seconds));
        }
        let likely = [1, 2, 3].map(|at_once| times.on_the_clock(at_once).likely);
        assert_eq!(likely, [12.0, 6.0, 6.0], "work, both, the chain");
    }
}
