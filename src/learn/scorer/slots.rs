//! Reading units in the slots of a decoder, many at once.

use std::time::Instant;

use super::plan::ReadingUnit;
use super::{Loglikelihood, ScoreError, ScoringInput, ScoringProgress, ScoringRun, TOKENS_PER_CALL};
use crate::engine::{DecodingEngine, ScoredFeed, Target};
use crate::positions::{PlaceMap, TokenRows, common};

/// A slot of the decoder.
#[derive(Clone, Debug, Default)]
struct ReadingSlot {
    /// The unit that it reads, or has read.
    unit: Option<usize>,
    /// The number of its tokens that are in the cache.
    held: usize,
    is_busy: bool,
    /// The number of waiting units that begin with the tokens of a unit that was read here.
    wanted: usize,
    /// The unit's tokens as the engine reads them.
    rows: TokenRows,
}

/// What a slot reads in a call.
struct Piece {
    slot: usize,
    unit: usize,
    start: usize,
    end: usize,
    targets: Vec<Target>,
    /// The requests of the targets.
    requests: Vec<usize>,
}

/// Reads units with the slots of one decoder.
pub(super) struct UnitReader<'a> {
    asked: ScoringInput<'a>,
    /// The rows of places, if the model knows them.
    map: Option<PlaceMap>,
    decoder: Box<dyn DecodingEngine>,
    units: Vec<ReadingUnit>,
    /// The units that have not begun, in order.
    waiting: Vec<usize>,
    slots: Vec<ReadingSlot>,
    /// The slot of each unit that has begun. Its tokens stay there as long as waiting units begin with them. [units]
    places: Vec<usize>,
    /// [units]
    is_read: Vec<bool>,
    /// The number of tokens of each request that are still to be scored. [requests]
    left: Vec<usize>,
    /// The sums of the scores so far, in units of 1 / [`UNITS`]: whole numbers, so that the order in which tokens are read does not matter.
    /// [requests]
    sums: Vec<i128>,
    /// [requests]
    scores: Vec<Loglikelihood>,
}

/// The parts of a nat in which sums are counted: more than the bits of a score near 1 can tell apart.
const UNITS: f64 = (1_u64 << 60) as f64;

impl<'a> UnitReader<'a> {
    /// A reader for a decoder with n `slots`, at least one.
    pub(super) fn new(asked: ScoringInput<'a>, decoder: Box<dyn DecodingEngine>, units: Vec<ReadingUnit>, slots: usize) -> Self {
        let mut left = vec![0; asked.streams.len()];
        for target in units.iter().flat_map(|unit| &unit.targets) {
            if let Some(left) = left.get_mut(target.request) {
                *left += 1;
            }
        }
        let scores = left.iter().map(|count| Loglikelihood {
            tokens: *count as u32,
            ..Loglikelihood::default()
        });
        Self {
            asked,
            map: asked.shape.places.map(PlaceMap::middle),
            decoder,
            waiting: (0..units.len()).collect(),
            slots: vec![ReadingSlot::default(); slots],
            places: vec![0; units.len()],
            is_read: vec![false; units.len()],
            scores: scores.collect(),
            sums: vec![0; left.len()],
            left,
            units,
        }
    }

    /// The log-likelihoods of all requests.
    pub(super) fn read(mut self, run: &ScoringRun<'_>) -> Result<Vec<Loglikelihood>, ScoreError> {
        let (begun, total) = (Instant::now(), self.left.len());
        let (mut done, mut tokens) = (self.done(), 0);
        while !self.waiting.is_empty() || self.slots.iter().any(|slot| slot.is_busy) {
            if (run.stop)() {
                return Err(ScoreError::Stopped);
            }
            self.begin()?;
            tokens += self.step()?;
            let before = std::mem::replace(&mut done, self.done());
            if done > before {
                (run.progress)(ScoringProgress {
                    done,
                    total,
                    tokens_per_second: tokens as f64 / begun.elapsed().as_secs_f64().max(1e-9),
                });
            }
        }
        for (score, sum) in self.scores.iter_mut().zip(&self.sums) {
            score.sum = *sum as f64 / UNITS;
        }
        Ok(self.scores)
    }

    /// The number of requests of which nothing is left.
    fn done(&self) -> usize {
        self.left.iter().filter(|left| **left == 0).count()
    }

    /// Begins the waiting units that can.
    fn begin(&mut self) -> Result<(), ScoreError> {
        let waiting = std::mem::take(&mut self.waiting);
        for unit in waiting {
            if !self.try_begin(unit)? {
                self.waiting.push(unit);
            }
        }
        Ok(())
    }

    /// Begins a unit if what it shares is there, and there is a slot for it. Units come in order, so the deepest of those that wait for a
    /// slot's tokens comes first, and what it keeps of them is enough for the others.
    fn try_begin(&mut self, number: usize) -> Result<bool, ScoreError> {
        let Some(unit) = self.units.get(number) else { return Ok(false) };
        let free = |slot: &ReadingSlot| !slot.is_busy && slot.wanted == 0;
        let free = self.slots.iter().position(free);
        let Some(parent) = unit.parent else {
            let Some(slot) = free else { return Ok(false) };
            self.occupy(number, slot, 0);
            return Ok(true);
        };
        let from = self.places.get(parent).copied().unwrap_or_default();
        let (true, Some(holder)) = (self.is_read.get(parent) == Some(&true), self.slots.get(from)) else {
            return Ok(false);
        };
        let held = holder.unit.and_then(|held| self.units.get(held)).map(|unit| unit.tokens.as_slice());
        let held = held.and_then(|tokens| tokens.get(..holder.held)).unwrap_or_default();
        let shared = common(held, &unit.tokens).min(unit.shared);
        // The last one that wants the tokens takes their slot, and so does the next one where no other slot is free.
        let slot = match free {
            _ if !holder.is_busy && holder.wanted == 1 => from,
            Some(slot) => slot,
            None if !holder.is_busy => from,
            None => return Ok(false),
        };
        if slot != from && shared > 0 {
            self.decoder.copy(from, slot, shared)?;
        }
        if let Some(holder) = self.slots.get_mut(from) {
            holder.wanted = holder.wanted.saturating_sub(1);
        }
        self.occupy(number, slot, shared);
        Ok(true)
    }

    /// Gives a slot, which holds the first `held` tokens of the unit, to it.
    fn occupy(&mut self, number: usize, slot: usize, held: usize) {
        let (Some(unit), Some(place)) = (self.units.get(number), self.slots.get_mut(slot)) else {
            return;
        };
        *place = ReadingSlot {
            unit: Some(number),
            held,
            is_busy: true,
            wanted: place.wanted + unit.children,
            rows: TokenRows::new(self.asked.shape, self.map.as_ref(), &unit.tokens),
        };
        if let Some(place) = self.places.get_mut(number) {
            *place = slot;
        }
    }

    /// Reads some tokens of each unit that has begun. Returns their number.
    fn step(&mut self) -> Result<usize, ScoreError> {
        let pieces = self.pieces();
        let feeds: Vec<ScoredFeed<'_>> = pieces
            .iter()
            .filter_map(|piece| {
                let all = self.slots.get(piece.slot)?.rows.feed(piece.slot, 0);
                Some(ScoredFeed {
                    feed: all.piece(piece.start..piece.end),
                    targets: &piece.targets,
                })
            })
            .collect();
        let scores = self.decoder.score(&feeds)?;
        let requests = pieces.iter().flat_map(|piece| &piece.requests);
        for (request, score) in requests.zip(scores) {
            if !score.log_probability.is_finite() {
                let stream = self.asked.streams.get(*request).map_or(String::new(), ToString::to_string);
                return Err(ScoreError::NotANumber { stream });
            }
            if let Some(sum) = self.sums.get_mut(*request) {
                *sum += (score.log_probability * UNITS) as i128;
            }
            if let (Some(total), Some(left)) = (self.scores.get_mut(*request), self.left.get_mut(*request)) {
                total.greedy &= score.is_likeliest;
                *left = left.saturating_sub(1);
            }
        }
        for piece in &pieces {
            self.has_read(piece);
        }
        Ok(pieces.iter().map(|piece| piece.end - piece.start).sum())
    }

    fn has_read(&mut self, piece: &Piece) {
        let length = self.units.get(piece.unit).map_or(0, |unit| unit.tokens.len());
        if let (Some(slot), Some(is_read)) = (self.slots.get_mut(piece.slot), self.is_read.get_mut(piece.unit)) {
            slot.held = piece.end;
            *is_read = piece.end >= length;
            slot.is_busy = !*is_read;
        }
    }

    /// What the busy slots read next: at most [`TOKENS_PER_CALL`] tokens, about equally many each.
    fn pieces(&self) -> Vec<Piece> {
        let busy = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_busy);
        let rests = busy.filter_map(|(slot, place)| {
            let number = place.unit?;
            let rest = self.units.get(number)?.tokens.len().checked_sub(place.held)?;
            Some((slot, number, place.held, rest))
        });
        let rests: Vec<(usize, usize, usize, usize)> = rests.collect();
        let lengths: Vec<usize> = rests.iter().map(|(.., rest)| *rest).collect();
        let counts = shares(&lengths, TOKENS_PER_CALL);
        let pieces = rests.into_iter().zip(counts).filter(|(_, count)| *count > 0);
        pieces
            .map(|((slot, unit, start, _), count)| self.piece(slot, unit, start, start + count))
            .collect()
    }

    fn piece(&self, slot: usize, unit: usize, start: usize, end: usize) -> Piece {
        let all = self.units.get(unit).map_or(&[][..], |unit| &unit.targets);
        let place = |bound: usize| all.partition_point(|target| target.after < bound);
        let here = all.get(place(start)..place(end)).unwrap_or_default();
        Piece {
            slot,
            unit,
            start,
            end,
            targets: here
                .iter()
                .map(|target| Target {
                    after: target.after - start,
                    token: target.token,
                })
                .collect(),
            requests: here.iter().map(|target| target.request).collect(),
        }
    }
}

/// Distributes at most `most` tokens over sequences that have `lengths` to read: the same number to each, and the rest to the first ones.
pub(super) fn shares(lengths: &[usize], most: usize) -> Vec<usize> {
    let mut left = most;
    let share = most / lengths.len().max(1);
    let mut counts: Vec<usize> = lengths.iter().map(|length| (*length).min(share)).collect();
    left -= counts.iter().sum::<usize>();
    for (count, length) in counts.iter_mut().zip(lengths) {
        let more = left.min(length - *count);
        *count += more;
        left -= more;
    }
    counts
}
