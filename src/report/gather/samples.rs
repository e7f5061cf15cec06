//! Which answers stand on the page: some of each kind, so that it stays small.

use std::collections::{BTreeMap, HashMap};

use crate::findings::{Problem, Sample, Samples};
use kinds::metrics::Outcome;
use lab::hash::Digest;
use learn::dataset::{Answer, Row};

use super::answers;

/// Answers on the page, at most.
const MOST: usize = 1500;

/// From one stage and data set at most, and at least.
const EACH: (usize, usize) = (6, 120);

/// Characters of all texts together, at most.
const ROOM: usize = 2_000_000;

/// Chooses answers, one data set of one stage after the other.
pub(super) struct Chooser {
    each: usize,
    room: usize,
    places: HashMap<Digest, usize>,
    samples: Samples,
}

/// Answers that are alike: right or wrong, with valid steps or without, complete or not, fewer or more steps.
type Kind = (bool, bool, bool, std::cmp::Ordering);

/// The answers of one data set that may be chosen.
pub(super) struct Candidates {
    most: usize,
    kinds: BTreeMap<Kind, Vec<(Answer, Outcome)>>,
    count: u64,
}

impl Chooser {
    /// For answers of `sets` pairs of stage and data set.
    pub fn new(sets: usize) -> Self {
        Self {
            each: (MOST / sets.max(1)).clamp(EACH.0, EACH.1),
            room: ROOM,
            places: HashMap::new(),
            samples: Samples::default(),
        }
    }

    pub fn candidates(&self) -> Candidates {
        Candidates {
            most: self.each,
            kinds: BTreeMap::new(),
            count: 0,
        }
    }

    /// Takes answers of each kind in turn, the first ones of each: the same problems, mostly, from every stage.
    pub fn choose(&mut self, candidates: Candidates, stage: usize, data: &str) {
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
        let known = answers::problem(&answer.problem);
        let problem = &answer.problem;
        let new = if self.places.contains_key(&known) {
            0
        } else {
            problem.prompt.len() + problem.completion.len()
        };
        let Some(room) = self.room.checked_sub(new + answer.response.len()) else {
            return;
        };
        self.room = room;
        let place = *self.places.entry(known).or_insert_with(|| {
            self.samples.problems.push(written(problem));
            self.samples.problems.len() - 1
        });
        self.samples.answers.push(Sample {
            problem: place,
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

    pub fn samples(self) -> Samples {
        self.samples
    }
}

impl Candidates {
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

fn written(row: &Row) -> Problem {
    Problem {
        id: row.id.clone(),
        question: row.prompt.clone(),
        solution: row.completion.clone(),
        steps: row.step_num,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(candidates: &mut Candidates, id: usize, right: bool, response: &str) {
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
        };
        candidates.add(&answer, outcome);
    }

    #[test]
    fn a_few_wrong_ones_among_many_right_ones_are_there() {
        let mut chooser = Chooser::new(MOST / 10);
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
        let mut chooser = Chooser::new(1);
        let mut candidates = chooser.candidates();
        let long = "x".repeat(ROOM / 2);
        (0..10).for_each(|id| add(&mut candidates, id, true, if id == 5 { "2" } else { &long }));
        chooser.choose(candidates, 0, "in_domain");
        assert_eq!(chooser.samples().answers.len(), 2, "one long one, and the short one");
    }
}
