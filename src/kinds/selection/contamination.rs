//! Questions of test sets in training data.
//!
//! A test question is in a row if `n` words in a row are in both; `n` is 13, as usual (Brown et al., 2020, appendix C). A question of fewer
//! words is there if it is the row's question as a whole. Two things keep data that are made from templates from being all alike: a
//! sequence of words that many test questions have is the wording of the test set, and tells nothing; and a question that has no other
//! sequences is compared as a whole.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use super::words::{ngrams, sequence_hash, word_hashes, words};
use learn::dataset::Row;

/// The usual number of words.
pub const USUAL_WORDS: usize = 13;

/// A sequence that more test questions have than this, or than a tenth of them, is the wording of the test set.
const MAX_SHARED: usize = 10;

/// The questions of test sets.
pub struct TestQuestions {
    n: usize,
    /// The hashes of the words of each question, and the number of the row that it was first in.
    questions: Vec<(Vec<u64>, usize)>,
    known: HashSet<u64>,
    /// The number of rows that were added.
    rows: usize,
}

/// Finds the questions of test sets in rows.
pub struct ContaminationIndex {
    n: usize,
    /// The test row of each sequence of `n` words that few questions have.
    sequences: HashMap<u64, usize>,
    /// The test row of each question that is compared as a whole.
    whole: HashMap<u64, usize>,
}

/// A test question is in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The number of the test row, from 0, in the order in which they were added.
    pub question: usize,
    /// The words that both have.
    pub words: String,
}

impl TestQuestions {
    /// No questions yet; `n` words in a row, at least 1, make an overlap.
    pub fn new(n: usize) -> Self {
        Self {
            n: n.max(1),
            questions: Vec::new(),
            known: HashSet::new(),
            rows: 0,
        }
    }

    /// Adds the question of a test row. One that is there already, word for word, is passed over.
    pub fn add(&mut self, row: &Row) {
        let (words, number) = (word_hashes(&row.prompt), self.rows);
        self.rows += 1;
        if !words.is_empty() && self.known.insert(sequence_hash(&words)) {
            self.questions.push((words, number));
        }
    }

    /// The index over all questions.
    pub fn index(self) -> ContaminationIndex {
        let limit = (self.questions.len() / 10).clamp(1, MAX_SHARED);
        let long = |words: &[u64]| words.len() >= self.n;
        // How many questions have each sequence, and the first of them.
        let mut shared: HashMap<u64, (usize, usize)> = HashMap::new();
        for (words, number) in self.questions.iter().filter(|(words, _)| long(words)) {
            for sequence in ngrams(words, self.n) {
                shared.entry(sequence).or_insert((0, *number)).0 += 1;
            }
        }
        shared.retain(|_, (count, _)| *count <= limit);
        let is_own = |words: &[u64]| long(words) && words.windows(self.n).any(|part| shared.contains_key(&sequence_hash(part)));
        let whole = self.questions.iter().filter(|(words, _)| !is_own(words));
        let whole = whole.map(|(words, number)| (sequence_hash(words), *number)).collect();
        ContaminationIndex {
            n: self.n,
            sequences: shared.into_iter().map(|(sequence, (_, number))| (sequence, number)).collect(),
            whole,
        }
    }
}

impl ContaminationIndex {
    /// The first test question that is in the row: in its question, or in its solution.
    pub fn overlap(&self, row: &Row) -> Option<Overlap> {
        let prompt = word_hashes(&row.prompt);
        if let Some(question) = self.whole.get(&sequence_hash(&prompt)) {
            let words = words(&row.prompt).join(" ");
            return Some(Overlap {
                question: *question,
                words,
            });
        }
        let in_text = |text: &str, hashes: &[u64]| {
            let mut sequences = hashes.windows(self.n).enumerate();
            let found = sequences.find_map(|(at, part)| Some((at, *self.sequences.get(&sequence_hash(part))?)));
            found.map(|(at, question)| Overlap {
                question,
                words: words(text).get(at..at + self.n).unwrap_or_default().join(" "),
            })
        };
        in_text(&row.prompt, &prompt).or_else(|| in_text(&row.completion, &word_hashes(&row.completion)))
    }
}
