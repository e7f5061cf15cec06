//! What the answers to one question agree on.

use std::collections::HashMap;

use super::shares::groups;
use learn::dataset::Row;

/// A response, for the votes on its question.
#[derive(Clone, Copy, Debug)]
pub struct Vote<'a> {
    /// The problem.
    pub row: &'a Row,
    /// The answer that it gives, as it was read; `None` if it gives none.
    pub given: Option<&'a str>,
    pub right: bool,
}

/// What is known of each answer from the others to its question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoteCount {
    /// The number of the question, from 0.
    pub question: usize,
    /// Whether it gives the answer that most answers to its question give; of equally many, the one that was given first.
    pub is_majority: bool,
    /// The share of the answers to its question that give the same answer; 0 if it gives none.
    pub agreement: f64,
    /// The share of the answers to its question that are right.
    pub accuracy: f64,
}

/// Counts, for each answer, what the answers to its question give. Answers that give none count for the shares, and for no majority.
pub fn count(votes: &[Vote<'_>]) -> Vec<VoteCount> {
    let questions = groups(votes.iter().map(|vote| (&vote.row.id, &vote.row.prompt)));
    let mut counted: Vec<Question<'_>> = Vec::new();
    counted.resize_with(questions.iter().max().map_or(0, |last| last + 1), Question::default);
    for (place, (vote, question)) in votes.iter().zip(&questions).enumerate() {
        counted[*question].add(place, vote);
    }
    let majorities: Vec<Option<&str>> = counted.iter().map(Question::majority).collect();
    let count = |(vote, question): (&Vote<'_>, &usize)| {
        let (given, counted) = (vote.given, &counted[*question]);
        let same = given.and_then(|given| counted.by_answer.get(given)).map_or(0, |(count, _)| *count);
        VoteCount {
            question: *question,
            is_majority: given.is_some() && given == majorities[*question],
            agreement: same as f64 / counted.all as f64,
            accuracy: counted.right as f64 / counted.all as f64,
        }
    };
    votes.iter().zip(&questions).map(count).collect()
}

/// The answers to one question.
#[derive(Default)]
struct Question<'a> {
    all: usize,
    right: usize,
    /// By the answer that is given: how often, and by which one first.
    by_answer: HashMap<&'a str, (usize, usize)>,
}

impl<'a> Question<'a> {
    fn add(&mut self, place: usize, vote: &Vote<'a>) {
        self.all += 1;
        self.right += usize::from(vote.right);
        if let Some(given) = vote.given {
            self.by_answer.entry(given).or_insert((0, place)).0 += 1;
        }
    }

    fn majority(&self) -> Option<&'a str> {
        let most = self
            .by_answer
            .iter()
            .max_by_key(|(_, (count, first))| (*count, std::cmp::Reverse(*first)));
        most.map(|(given, _)| *given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(question: &str) -> Row {
        Row {
            id: question.to_owned(),
            prompt: "Q".to_owned(),
            completion: String::new(),
            step_num: 1,
            answer: 1.into(),
            doc: learn::dataset::Doc::default(),
        }
    }

    fn counted(answers: &[(&str, &str)]) -> Vec<(usize, bool, f64, f64)> {
        let rows: Vec<Row> = answers.iter().map(|(question, _)| row(question)).collect();
        let votes = rows.iter().zip(answers).map(|(row, (_, given))| Vote {
            row,
            given: Some(*given).filter(|given| !given.is_empty()),
            right: *given == "1",
        });
        let counts = count(&votes.collect::<Vec<_>>()).into_iter();
        counts.map(|c| (c.question, c.is_majority, c.agreement, c.accuracy)).collect()
    }

    #[test]
    fn the_majority_is_of_those_that_answer() {
        let counts = counted(&[("a", "2"), ("a", "1"), ("b", "1"), ("a", "2"), ("a", "")]);
        let expected = [
            (0, true, 0.5, 0.25),
            (0, false, 0.25, 0.25),
            (1, true, 1.0, 1.0),
            (0, true, 0.5, 0.25),
            (0, false, 0.0, 0.25),
        ];
        assert_eq!(counts, expected);
        // Three without an answer are no majority.
        assert!(counted(&[("a", ""), ("a", ""), ("a", ""), ("a", "7")])[3].1);
        assert!(counted(&[("a", "")]).iter().all(|count| !count.1));
    }

    #[test]
    fn of_equally_many_the_first_is_the_majority() {
        for _ in 0..20 {
            let counts = counted(&[("a", "3"), ("a", "1"), ("a", "2"), ("a", "1"), ("a", "3"), ("a", "2")]);
            assert_eq!(
                counts.iter().map(|count| count.1).collect::<Vec<_>>(),
                [true, false, false, false, true, false]
            );
        }
    }
}
