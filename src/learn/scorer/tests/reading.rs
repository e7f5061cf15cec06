//! The plan of reading, and that it is kept, with a decoder that has lists of tokens instead of numbers.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;

use super::{RUN, model};
use crate::engine::{DecodingEngine, EngineError, Feed, ScoredFeed, TokenScore};
use crate::positions::placed;
use crate::scorer::encode::ScoredSequence;
use crate::scorer::plan::{ReadingUnit, plan};
use crate::scorer::slots::{UnitReader, shares};
use crate::scorer::{Loglikelihood, ScoringInput, TOKENS_PER_CALL};

/// What was read, in all calls.
#[derive(Debug, Default)]
struct Log {
    calls: usize,
    tokens: usize,
}

/// A decoder whose scores name the tokens before a target and the target.
struct Lists {
    slots: Vec<Vec<u32>>,
    log: Rc<RefCell<Log>>,
}

/// A number for `token` after `before`.
fn score(before: &[u32], token: u32) -> TokenScore {
    let mut sum = 1u64;
    for next in before.iter().chain([&token]) {
        sum = (sum * 31 + u64::from(*next) + 1) % 1_000_003;
    }
    TokenScore {
        log_probability: -(sum as f64),
        is_likeliest: !sum.is_multiple_of(3),
    }
}

impl DecodingEngine for Lists {
    fn feed(&mut self, _: &[Feed<'_>]) -> Result<&[f32], EngineError> {
        unreachable!("scores need no logits")
    }

    fn score(&mut self, feeds: &[ScoredFeed<'_>]) -> Result<Vec<TokenScore>, EngineError> {
        let (mut scores, mut tokens) = (Vec::new(), 0);
        let mut slots: Vec<usize> = feeds.iter().map(|scored| scored.feed.slot).collect();
        slots.dedup();
        assert!(!feeds.is_empty() && slots.len() == feeds.len(), "nothing, or a slot twice");
        for ScoredFeed { feed, targets } in feeds {
            let slot = &mut self.slots[feed.slot];
            assert!(feed.start <= slot.len() && !feed.tokens.is_empty());
            slot.truncate(feed.start);
            slot.extend(feed.tokens);
            for target in *targets {
                scores.push(score(&slot[..feed.start + target.after + 1], target.token));
            }
            tokens += feed.tokens.len();
        }
        assert!(tokens <= TOKENS_PER_CALL);
        let mut log = self.log.borrow_mut();
        log.calls += 1;
        log.tokens += tokens;
        Ok(scores)
    }

    fn copy(&mut self, from: usize, to: usize, count: usize) -> Result<(), EngineError> {
        assert!(from != to);
        self.slots[to] = self.slots[from][..count].to_vec();
        Ok(())
    }
}

/// Reads the sequences with n slots; compares the scores, and returns what was read.
fn run(sequences: &[ScoredSequence], slots: usize) -> Log {
    let model = model(4096);
    let streams = vec![""; sequences.len()];
    let asked = ScoringInput {
        shape: &model.shape,
        streams: &streams,
    };
    let log = Rc::new(RefCell::new(Log::default()));
    let decoder = Lists {
        slots: vec![Vec::new(); slots],
        log: log.clone(),
    };
    let placed = sequences.iter().map(|sequence| {
        let tokens = placed(&model.shape, &model.tokenizer, sequence.input(), 0);
        (tokens, sequence.clone())
    });
    let units = plan(placed.collect());
    check_plan(&units);
    let planned: usize = units.iter().map(|unit| unit.tokens.len() - unit.shared).sum();
    let found = UnitReader::new(asked, Box::new(decoder), units, slots).read(&RUN).unwrap();
    for (found, sequence) in found.iter().zip(sequences) {
        let mut expected = Loglikelihood::default();
        for place in sequence.tokens.len() - sequence.scored..sequence.tokens.len() {
            let score = score(&sequence.tokens[..place], sequence.tokens[place]);
            expected.sum += score.log_probability;
            expected.greedy &= score.is_likeliest;
            expected.tokens += 1;
        }
        assert_eq!(*found, expected, "{sequence:?}");
    }
    let log = log.take();
    assert_eq!(log.tokens, planned, "tokens were read again");
    log
}

fn check_plan(units: &[ReadingUnit]) {
    let mut children = vec![0; units.len()];
    for (number, unit) in units.iter().enumerate() {
        assert!(!unit.targets.is_empty(), "{unit:?}");
        assert!(
            unit.targets
                .iter()
                .all(|target| (unit.shared..unit.tokens.len()).contains(&target.after))
        );
        match unit.parent {
            None => assert_eq!(unit.shared, 0),
            Some(parent) => {
                assert!(parent < number && unit.shared > 0);
                assert_eq!(units[parent].tokens[..unit.shared], unit.tokens[..unit.shared]);
                children[parent] += 1;
            }
        }
    }
    assert!(units.iter().zip(children).all(|(unit, children)| unit.children == children));
}

fn sequence(request: usize, tokens: Vec<u32>, scored: usize) -> ScoredSequence {
    ScoredSequence { request, tokens, scored }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_target_is_scored_after_its_tokens_and_nothing_is_read_twice(
        sequences in prop::collection::vec((prop::collection::vec(0..3u32, 2..14), 1..14usize), 1..60), slots in 1..9usize,
    ) {
        let sequences = sequences.into_iter().enumerate();
        let sequences: Vec<_> = sequences.map(|(request, (tokens, scored))| {
            let scored = scored.min(tokens.len() - 1);
            sequence(request, tokens, scored)
        }).collect();
        run(&sequences, slots);
    }

    #[test]
    fn shares_use_all_that_there_is(lengths in prop::collection::vec(1..300usize, 1..20), most in 1..2000usize) {
        let counts = shares(&lengths, most);
        prop_assert!(counts.iter().zip(&lengths).all(|(count, length)| count <= length));
        prop_assert_eq!(counts.iter().sum::<usize>(), most.min(lengths.iter().sum()));
    }
}

/// 20 questions with four choices each after the same examples.
fn questions(examples: usize, question: usize, choice: usize) -> Vec<ScoredSequence> {
    let mut sequences = Vec::new();
    for number in 0..20u32 {
        for letter in 0..4u32 {
            let mut tokens = vec![1; examples];
            tokens.extend(vec![100 + number; question]);
            tokens.extend(vec![10 + letter; choice]);
            sequences.push(sequence(sequences.len(), tokens, choice));
        }
    }
    sequences
}

#[test]
fn what_questions_share_is_read_once() {
    for slots in [1, 2, 16, 64] {
        // The examples, the questions, and of each choice all tokens but the last.
        assert_eq!(run(&questions(500, 30, 4), slots).tokens, 500 + 20 * (30 + 4 * 3), "{slots}");
        // Choices of one token are read off the question.
        assert_eq!(run(&questions(500, 30, 1), slots).tokens, 500 + 20 * 30, "{slots}");
    }
    // The examples, then all questions with their first choices, then the others: three calls, and as many as the tokens need.
    let log = run(&questions(500, 30, 4), 64);
    assert!(log.calls <= 6, "{log:?}");
}

#[test]
fn sequences_that_share_little_do_not_wait() {
    let sequences: Vec<_> = (0..60)
        .map(|number| sequence(number as usize, [vec![1, 2], vec![100 + number; 16]].concat(), 5))
        .collect();
    let log = run(&sequences, 64);
    assert_eq!((log.calls, log.tokens), (1, 60 * 17));
}

#[test]
fn long_sequences_are_read_in_pieces() {
    let sequences: Vec<_> = (0..3)
        .map(|number| sequence(number, (0..3000).map(|place| place * 7 % 11 + number as u32).collect(), 2990))
        .collect();
    let log = run(&sequences, 2);
    assert_eq!(log.tokens, 3 * 2999);
    assert!(log.calls <= 10, "{log:?}");
}
