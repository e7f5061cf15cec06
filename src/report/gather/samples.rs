//! Chooses the answers on the page: a limited number of each kind.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use crate::page::{PageSamples, SampleAnswer, SampleProblem};
use kinds::metrics::Outcome;
use lab::hash::Digest;
use learn::dataset::{Answer, Row};

use super::answers;

/// The maximum number of answers on the page.
const MAX_ANSWERS: usize = 1500;

/// The bounds of the number of answers from one stage and data set.
const ANSWERS_PER_SET: RangeInclusive<usize> = 6..=120;

/// The maximum size of all texts together, in bytes.
const MAX_TEXT_BYTES: usize = 2_000_000;

/// Chooses answers from one data set of one stage after the other.
pub(super) struct SampleChooser {
    each: usize,
    room: usize,
    indices: HashMap<Digest, usize>,
    samples: PageSamples,
}

/// Whether an answer is correct, valid and complete, and whether it has fewer or more steps than the full solution.
type AnswerTraits = (bool, bool, bool, std::cmp::Ordering);

/// The answers of one stage and data set that may be chosen.
pub(super) struct SampleCandidates {
    most: usize,
    kinds: BTreeMap<AnswerTraits, Vec<(Answer, Outcome)>>,
    count: u64,
}

impl SampleChooser {
    /// For `sets` pairs of stage and data set.
    pub fn new(sets: usize) -> Self {
        Self {
            each: (MAX_ANSWERS / sets.max(1)).clamp(*ANSWERS_PER_SET.start(), *ANSWERS_PER_SET.end()),
            room: MAX_TEXT_BYTES,
            indices: HashMap::new(),
            samples: PageSamples::default(),
        }
    }

    pub fn candidates(&self) -> SampleCandidates {
        SampleCandidates {
            most: self.each,
            kinds: BTreeMap::new(),
            count: 0,
        }
    }

    /// Takes the first answers of each kind in turn, so that the stages mostly have the same problems.
    pub fn choose(&mut self, candidates: SampleCandidates, stage: usize, data: &str) {
        self.samples.of += candidates.count;
        let mut kinds: Vec<_> = candidates.kinds.into_values().map(Vec::into_iter).collect();
        let mut chosen = Vec::new();
        while chosen.len() < self.each {
            let before = chosen.len();
            chosen.extend(kinds.iter_mut().filter_map(Iterator::next));
            if chosen.len() == before {
                break;
            }
        }
        chosen.truncate(self.each);
        for (answer, outcome) in chosen {
            self.take(answer, outcome, stage, data);
        }
    }

    fn take(&mut self, answer: Answer, outcome: Outcome, stage: usize, data: &str) {
        let known = answers::problem_digest(&answer.problem);
        let problem = &answer.problem;
        let new = if self.indices.contains_key(&known) {
            0
        } else {
            problem.prompt.len() + problem.completion.len()
        };
        let Some(room) = self.room.checked_sub(new + answer.response.len()) else {
            return;
        };
        self.room = room;
        let index = *self.indices.entry(known).or_insert_with(|| {
            self.samples.problems.push(sample_problem(problem));
            self.samples.problems.len() - 1
        });
        self.samples.answers.push(SampleAnswer {
            problem: index,
            stage,
            data: data.to_owned(),
            response: answer.response,
            steps: outcome.steps,
            requested: outcome.requested,
            right: outcome.right,
            valid: outcome.valid,
            complete: outcome.complete,
        });
    }

    pub fn samples(self) -> PageSamples {
        self.samples
    }
}

impl SampleCandidates {
    pub fn add(&mut self, answer: &Answer, outcome: Outcome) {
        self.count += 1;
        let kind = (
            outcome.right,
            outcome.valid,
            outcome.complete,
            outcome.steps.cmp(&outcome.full_steps),
        );
        let alike = self.kinds.entry(kind).or_default();
        if alike.len() < self.most {
            alike.push((answer.clone(), outcome));
        }
    }
}

fn sample_problem(row: &Row) -> SampleProblem {
    SampleProblem {
        id: row.id.clone(),
        question: row.prompt.clone(),
        solution: row.completion.clone(),
        steps: row.step_num,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(candidates: &mut SampleCandidates, id: usize, right: bool, response: &str) {
        let problem = Row {
            id: id.to_string(),
            prompt: "Question: 1 + 1".to_owned(),
            completion: "1. 2\nThus, the answer is 2.".to_owned(),
            step_num: 1,
            answer: 2.into(),
        };
        let outcome = Outcome {
            steps: 1,
            full_steps: 1,
            requested: None,
            right,
            valid: true,
            complete: true,
            tokens: 1,
        };
        let answer = Answer {
            problem,
            requested: None,
            sample: 0,
            response: response.to_owned(),
            tokens: 1,
            failed: None,
        };
        candidates.add(&answer, outcome);
    }

    #[test]
    fn a_few_wrong_ones_among_many_right_ones_are_there() {
        let mut chooser = SampleChooser::new(MAX_ANSWERS / 10);
        for stage in 0..2 {
            let mut candidates = chooser.candidates();
            (0..1000).for_each(|id| add(&mut candidates, id, id % 300 != 299, "2"));
            chooser.choose(candidates, stage, "in_domain");
        }
        let samples = chooser.samples();
        assert_eq!((samples.answers.len(), samples.of), (20, 2000));
        assert_eq!(samples.answers.iter().filter(|sample| !sample.right).count(), 6);
        assert_eq!(samples.problems.len(), 10, "both stages show the same problems");
    }

    #[test]
    fn a_page_has_only_so_much_room() {
        let mut chooser = SampleChooser::new(1);
        let mut candidates = chooser.candidates();
        let long = "x".repeat(MAX_TEXT_BYTES / 2);
        (0..10).for_each(|id| add(&mut candidates, id, true, if id == 5 { "2" } else { &long }));
        chooser.choose(candidates, 0, "in_domain");
        assert_eq!(chooser.samples().answers.len(), 2, "one long one, and the short one");
    }
}
