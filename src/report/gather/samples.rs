//! Chooses the answers and the examples on the page: a limited number of each kind.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use crate::page::{PageSamples, SampleAnswer, SampleExample, SampleProblem};
use kinds::artifact::metrics::Example;
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

    pub fn example_candidates(&self) -> ExampleCandidates {
        ExampleCandidates {
            most: self.each,
            kinds: BTreeMap::new(),
            count: 0,
        }
    }

    /// Takes the first answers of each kind in turn, so that the stages mostly have the same problems.
    pub fn choose(&mut self, candidates: SampleCandidates, stage: usize, data: &str) {
        self.samples.of += candidates.count;
        for (answer, outcome) in in_turn(candidates.kinds.into_values(), self.each) {
            self.take(answer, outcome, stage, data);
        }
    }

    /// Takes the first examples of each kind in turn.
    pub fn choose_examples(&mut self, candidates: ExampleCandidates, stage: usize, data: &str) {
        self.samples.of += candidates.count;
        for example in in_turn(candidates.kinds.into_values(), self.each) {
            let fields: Vec<(String, String)> = example.fields.into_iter().map(|(name, value)| (name, field_text(value))).collect();
            let length: usize = fields.iter().map(|(name, text)| name.len() + text.len()).sum();
            let Some(room) = self.room.checked_sub(example.id.len() + length) else {
                continue;
            };
            self.room = room;
            self.samples.examples.push(SampleExample {
                id: example.id,
                stage,
                data: data.to_owned(),
                fields,
            });
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
            right: outcome.right(),
            valid: outcome.valid == Some(true),
            complete: outcome.complete,
        });
    }

    pub fn samples(self) -> PageSamples {
        self.samples
    }
}

/// Takes the first of each kind in turn, `most` together.
fn in_turn<T>(kinds: impl Iterator<Item = Vec<T>>, most: usize) -> Vec<T> {
    let mut kinds: Vec<_> = kinds.map(Vec::into_iter).collect();
    let mut chosen = Vec::new();
    while chosen.len() < most {
        let before = chosen.len();
        chosen.extend(kinds.iter_mut().filter_map(Iterator::next));
        if chosen.len() == before {
            break;
        }
    }
    chosen.truncate(most);
    chosen
}

/// The examples of one stage and data set that may be chosen, by their first number that is 1 or 0: the verdict, if there is one.
pub(super) struct ExampleCandidates {
    most: usize,
    kinds: BTreeMap<Option<bool>, Vec<Example>>,
    count: u64,
}

impl ExampleCandidates {
    pub fn add(&mut self, example: Example) {
        self.count += 1;
        let verdict = example.numbers.iter().find_map(|(_, number)| match *number {
            0.0 => Some(false),
            1.0 => Some(true),
            _ => None,
        });
        let alike = self.kinds.entry(verdict).or_default();
        if alike.len() < self.most {
            alike.push(example);
        }
    }
}

/// A text as it is, and another value as JSON.
fn field_text(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

impl SampleCandidates {
    pub fn add(&mut self, answer: &Answer, outcome: Outcome) {
        self.count += 1;
        let kind = (
            outcome.right(),
            outcome.valid == Some(true),
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
    use kinds::metrics::Verdict;
    use learn::dataset::Doc;

    fn add(candidates: &mut SampleCandidates, id: usize, right: bool, response: &str) {
        let problem = Row {
            id: id.to_string(),
            prompt: "Question: 1 + 1".to_owned(),
            completion: "1. 2\nThus, the answer is 2.".to_owned(),
            step_num: 1,
            answer: 2.into(),
            doc: Doc::default(),
        };
        let outcome = Outcome {
            steps: 1,
            full_steps: 1,
            requested: None,
            verdict: if right { Verdict::Right } else { Verdict::Wrong },
            valid: Some(true),
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
            cut: false,
            choices: None,
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
    fn examples_of_every_verdict_are_there() {
        let mut chooser = SampleChooser::new(MAX_ANSWERS / 10);
        let mut candidates = chooser.example_candidates();
        for id in 0..1000 {
            let fields = serde_json::json!({"right": id % 300 != 299, "text": "<b>", "tokens": [1, 2]});
            candidates.add(Example {
                id: id.to_string(),
                numbers: vec![
                    ("length".to_owned(), 7.0),
                    ("right".to_owned(), f64::from(u8::from(id % 300 != 299))),
                ],
                fields: fields.as_object().unwrap().clone(),
            });
        }
        chooser.choose_examples(candidates, 3, "");
        let samples = chooser.samples();
        assert_eq!((samples.examples.len(), samples.of), (10, 1000));
        let right = |example: &&SampleExample| example.fields.contains(&("right".to_owned(), "true".to_owned()));
        assert_eq!(samples.examples.iter().filter(right).count(), 7);
        assert!(samples.examples[0].fields.contains(&("tokens".to_owned(), "[1,2]".to_owned())));
        assert!(samples.examples[0].fields.contains(&("text".to_owned(), "<b>".to_owned())));
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
