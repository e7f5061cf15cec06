//! The order in which requests start, their slots, and the tokens that they copy from other slots instead of reading them.
//!
//! A slot keeps the tokens of a finished response until another request starts in it. A request starts from the longest prefix of its
//! prompt that any slot holds. If a prompt that starts in the same step will hold a longer prefix, the request waits for one step. So a
//! prefix that many prompts share (an instruction, or a question with several samples) is read once, as long as a slot holds it.

use crate::positions::{self, PlacedToken};

/// The number of waiting requests that are searched for one that can start now.
const QUEUE_WINDOW: usize = 64;

/// A request waits for a step if that saves at least this many tokens. Waiting costs its slot one step.
const MIN_TOKENS_SAVED: usize = 2;

/// A tokenised request that waits for a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueuedRequest {
    /// Its number among the requests.
    pub(super) number: usize,
    /// The prompt. Tokens at other places are other tokens, since their keys and values differ.
    pub(super) tokens: Vec<PlacedToken>,
}

/// A request that starts in `slot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotStart {
    pub(super) slot: usize,
    pub(super) request: QueuedRequest,
    /// The slot that holds the first `shared` tokens of the prompt; it may be `slot` itself.
    pub(super) from: usize,
    /// Less than the whole prompt, since the last token's logits are needed.
    pub(super) shared: usize,
}

/// The waiting requests, and the contents of the slots.
pub(super) struct Queue {
    /// In reverse order: the next request is the last element.
    waiting: Vec<QueuedRequest>,
    slots: Vec<QueueSlot>,
}

#[derive(Clone, Default)]
struct QueueSlot {
    busy: bool,
    /// The tokens in the slot's cache.
    held: Vec<PlacedToken>,
}

impl Queue {
    pub(super) fn new(mut waiting: Vec<QueuedRequest>, slots: usize) -> Self {
        // The longest first, so that the last ones to run are short; similar prompts side by side.
        waiting.sort_by(|a, b| (a.tokens.len(), &a.tokens, b.number).cmp(&(b.tokens.len(), &b.tokens, a.number)));
        Self {
            waiting,
            slots: vec![QueueSlot::default(); slots],
        }
    }

    /// The requests that start now, in free slots. The caller copies shared tokens in this order, before it reads any prompt.
    pub(super) fn admit(&mut self) -> Vec<SlotStart> {
        let mut starts: Vec<SlotStart> = Vec::new();
        for slot in 0..self.slots.len() {
            if self.slots.get(slot).is_none_or(|slot| slot.busy) {
                continue;
            }
            let Some((place, from, shared)) = self.next(slot, &starts) else {
                break;
            };
            let request = self.waiting.remove(place);
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.busy = true;
                slot.held = request.tokens.get(..shared).unwrap_or_default().to_vec();
            }
            starts.push(SlotStart {
                slot,
                request,
                from,
                shared,
            });
        }
        starts
    }

    /// The waiting request that starts in `slot`: its index, the slot that holds its longest prefix, and the length of the prefix.
    fn next(&self, slot: usize, starts: &[SlotStart]) -> Option<(usize, usize, usize)> {
        let places = (0..self.waiting.len()).rev().take(QUEUE_WINDOW);
        places
            .filter_map(|place| Some((place, &self.waiting.get(place)?.tokens)))
            .find_map(|(place, tokens)| {
                let (from, shared) = self.holder(slot, tokens);
                let soon = starts.iter().map(|start| common(&start.request.tokens, tokens)).max();
                (soon.unwrap_or(0) < shared + MIN_TOKENS_SAVED).then_some((place, from, shared))
            })
    }

    /// The slot that holds the longest prefix of `tokens`, and its length; `slot` itself if it is among the longest.
    fn holder(&self, slot: usize, tokens: &[PlacedToken]) -> (usize, usize) {
        let held = |slot: usize| self.slots.get(slot).map_or(0, |slot| common(&slot.held, tokens));
        let mut best = (slot, held(slot));
        for other in 0..self.slots.len() {
            let shared = held(other);
            if shared > best.1 {
                best = (other, shared);
            }
        }
        best
    }

    /// Records that `slot` has read `tokens`.
    pub(super) fn read(&mut self, slot: usize, tokens: &[PlacedToken]) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.held.extend_from_slice(tokens);
        }
    }

    /// Records that the response in `slot` is finished.
    pub(super) fn free(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.busy = false;
        }
    }
}

/// The length of the common prefix of `held` and a prompt, without the prompt's last token.
fn common(held: &[PlacedToken], prompt: &[PlacedToken]) -> usize {
    positions::common(held, prompt).min(prompt.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tokens without places.
    fn bare(tokens: &[u32]) -> Vec<PlacedToken> {
        tokens.iter().map(|token| PlacedToken::first(*token)).collect()
    }

    /// Runs a queue over caches that are lists of tokens. A response is `lengths[number]` tokens 9. Returns the number of steps, and of prompt
    /// tokens read.
    fn run(prompts: &[Vec<u32>], lengths: &[usize], slots: usize) -> (usize, usize) {
        let prompts: Vec<_> = prompts.iter().map(|prompt| bare(prompt)).collect();
        let waiting = prompts.iter().cloned().enumerate();
        let waiting = waiting.map(|(number, tokens)| QueuedRequest { number, tokens }).collect();
        let (mut queue, mut caches) = (Queue::new(waiting, slots), vec![Vec::new(); slots]);
        let mut active: Vec<Option<(usize, usize)>> = vec![None; slots];
        let (mut answered, mut steps, mut read) = (vec![0; prompts.len()], 0, 0);
        while answered.contains(&0) {
            let starts = queue.admit();
            for start in &starts {
                assert!(active[start.slot].is_none() && start.shared < start.request.tokens.len());
                caches[start.slot] = caches[start.from][..start.shared].to_vec();
            }
            for start in starts {
                let QueuedRequest { number, tokens } = start.request;
                assert_eq!(prompts[number], tokens);
                caches[start.slot].extend(&tokens[start.shared..]);
                // The copied tokens are those that would have been read.
                assert_eq!(caches[start.slot], tokens);
                queue.read(start.slot, &tokens[start.shared..]);
                read += tokens.len() - start.shared;
                active[start.slot] = Some((number, 0));
            }
            assert!(active.iter().any(Option::is_some), "nothing runs and {answered:?} is not all");
            for slot in 0..slots {
                let Some((number, written)) = &mut active[slot] else { continue };
                if *written == lengths[*number] {
                    answered[*number] += 1;
                    active[slot] = None;
                    queue.free(slot);
                } else {
                    *written += 1;
                    caches[slot].extend(bare(&[9]));
                    queue.read(slot, &bare(&[9]));
                }
            }
            steps += 1;
        }
        assert!(answered.iter().all(|times| *times == 1), "{answered:?}");
        assert!(queue.admit().is_empty());
        (steps, read)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_request_runs_once_and_finds_what_it_is_told_of(
            requests in prop::collection::vec((prop::collection::vec(0..3u32, 1..12), 0..6usize), 1..80), slots in 1..20usize,
        ) {
            let (prompts, lengths): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
            let (steps, read) = run(&prompts, &lengths, slots);
            let tokens: usize = prompts.iter().map(Vec::len).sum();
            prop_assert!(read <= tokens);
            // Never slower than one request after the other.
            prop_assert!(steps <= lengths.iter().map(|length| length + 1).sum());
        }
    }

    #[test]
    fn what_prompts_share_is_read_once() {
        let prompts = |count: u32, samples: usize| -> Vec<Vec<u32>> {
            let prompt = |number: u32| [vec![1; 50], vec![100 + number; 10], vec![2; 3]].concat();
            (0..count).flat_map(|number| vec![prompt(number); samples]).collect()
        };
        for slots in [1, 2, 64] {
            // One whole prompt, what is different in the two others, and the last token of each further sample.
            let (_, read) = run(&prompts(3, 8), &[4; 24], slots);
            assert_eq!(read, 63 + 2 * 13 + 3 * 7, "{slots} slots");
        }
        // Where slots are few, a question's may be taken before its last samples start.
        let (_, read) = run(&prompts(3, 8), &[4; 24], 7);
        assert!((110..=110 + 2 * 12).contains(&read), "{read}");
        // One step for the instruction, one for the rest of the questions, and then all other samples start.
        let (steps, _) = run(&prompts(3, 8), &[4; 24], 64);
        assert_eq!(steps, 3 + 4);
    }

    #[test]
    fn prompts_that_share_little_do_not_wait() {
        let prompts: Vec<Vec<u32>> = (0..10).map(|number| vec![1, 10 + number, 2]).collect();
        assert_eq!(run(&prompts, &[4; 10], 64), (5, 30));
        // The longest start first.
        let mut queue = Queue::new(
            vec![
                QueuedRequest {
                    number: 0,
                    tokens: bare(&[1]),
                },
                QueuedRequest {
                    number: 1,
                    tokens: bare(&[2, 3]),
                },
            ],
            1,
        );
        assert_eq!(queue.admit()[0].request.number, 1);
    }
}
