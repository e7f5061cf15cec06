//! Questions of test sets that a model was trained on, as wholes and word for word. Parts of questions do not count: problems that are drawn
//! have many words in a row in common, and are no copies.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use learn::dataset::{self, DatasetError};
use serde::{Deserialize, Serialize};

use super::words::{sequence_hash, word_hashes};

/// The part of a row that is read.
#[derive(Deserialize)]
struct QuestionRow {
    id: String,
    prompt: String,
}

/// The questions of a test set.
#[derive(Debug, Default)]
pub struct TestSet {
    /// By the hash of its words, the number of each.
    questions: HashMap<u64, usize>,
    /// The ids of the rows that they were first in.
    ids: Vec<String>,
}

/// The questions of a test set that are in training data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KnownQuestions {
    /// How many of the test questions are in the training data, each once, and how many there are.
    pub questions: u64,
    pub of_questions: u64,
    /// How many of the training rows have one, and how many there are.
    pub rows: u64,
    pub of_rows: u64,
    /// The first of them.
    pub example: Option<KnownQuestion>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KnownQuestion {
    pub question: String,
    /// The ids of the training row and of the test row.
    pub training_row: String,
    pub test_row: String,
}

impl TestSet {
    /// Reads the questions of a data set.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let mut set = Self::default();
        for row in dataset::open::<QuestionRow>(path)? {
            let QuestionRow { id, prompt } = row?;
            let number = set.ids.len();
            // Data without a question have nothing to be known by.
            let Some(hash) = question_hash(&prompt) else { continue };
            if let std::collections::hash_map::Entry::Vacant(entry) = set.questions.entry(hash) {
                entry.insert(number);
                set.ids.push(id);
            }
        }
        Ok(set)
    }
}

/// The questions of a test set that are in one file of training data.
#[derive(Clone, Debug, Default)]
pub struct Overlap {
    /// The numbers of the questions.
    seen: HashSet<usize>,
    /// How many rows have one, and how many there are.
    rows: u64,
    of_rows: u64,
    example: Option<KnownQuestion>,
}

/// Looks for the questions of each test set in a file of training data, which is read once.
///
/// # Errors
/// When the file cannot be read.
pub fn overlaps(training: &Path, tests: &[&TestSet]) -> Result<Vec<Overlap>, DatasetError> {
    let mut found = vec![Overlap::default(); tests.len()];
    for row in dataset::open::<QuestionRow>(training)? {
        let QuestionRow { id, prompt } = row?;
        let hash = question_hash(&prompt);
        for (overlap, test) in found.iter_mut().zip(tests) {
            overlap.of_rows += 1;
            let Some(number) = hash.and_then(|hash| test.questions.get(&hash)) else {
                continue;
            };
            overlap.rows += 1;
            overlap.seen.insert(*number);
            if overlap.example.is_none() {
                overlap.example = Some(KnownQuestion {
                    question: prompt.clone(),
                    training_row: id.clone(),
                    test_row: test.ids.get(*number).cloned().unwrap_or_default(),
                });
            }
        }
    }
    Ok(found)
}

impl KnownQuestions {
    /// Those of a test set in all files of a training, in their order.
    pub fn of(test: &TestSet, files: &[&Overlap]) -> Self {
        let seen: HashSet<usize> = files.iter().flat_map(|overlap| overlap.seen.iter().copied()).collect();
        Self {
            questions: seen.len() as u64,
            of_questions: test.ids.len() as u64,
            rows: files.iter().map(|overlap| overlap.rows).sum(),
            of_rows: files.iter().map(|overlap| overlap.of_rows).sum(),
            example: files.iter().find_map(|overlap| overlap.example.clone()),
        }
    }
}

/// The hash of the words of a question, whatever their case and the punctuation between them; `None` without any.
fn question_hash(prompt: &str) -> Option<u64> {
    let words = word_hashes(prompt);
    (!words.is_empty()).then(|| sequence_hash(&words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, rows: &[(&str, &str)]) -> std::path::PathBuf {
        let path = folder.join(name);
        let line = |(id, prompt): &(&str, &str)| serde_json::json!({"id": id, "prompt": prompt, "completion": "c"}).to_string() + "\n";
        std::fs::write(&path, rows.iter().map(line).collect::<String>()).unwrap();
        path
    }

    #[test]
    fn whole_questions_are_found_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, rows: &[(&str, &str)]| write(folder.path(), name, rows);
        let test = TestSet::read(&write(
            "test",
            &[
                ("t1", "Question: 1 + 1"),
                ("t2", "Question: 2 + 2"),
                ("t3", "question 1 + 1"),
                ("t4", "..."),
            ],
        ));
        let other = TestSet::read(&write("other", &[("o", "Question: 3 + 3 + 3")])).unwrap();
        let training = [
            write("a", &[("a", "Question: 3 + 3"), ("b", "Question: 2+2")]),
            write("b", &[("c", "question: 2 + 2"), ("d", "Question: 1 + 1 + 1"), ("e", "")]),
        ];
        let sets = [&test.unwrap(), &other];
        let files: Vec<Vec<Overlap>> = training.iter().map(|path| overlaps(path, &sets).unwrap()).collect();
        let of = |(at, set): (usize, &&TestSet)| KnownQuestions::of(set, &files.iter().map(|file| &file[at]).collect::<Vec<_>>());
        let found: Vec<KnownQuestions> = sets.iter().enumerate().map(of).collect();
        insta::assert_json_snapshot!(found, @r#"
        [
          {
            "questions": 1,
            "of_questions": 2,
            "rows": 2,
            "of_rows": 5,
            "example": {
              "question": "Question: 2+2",
              "training_row": "b",
              "test_row": "t2"
            }
          },
          {
            "questions": 0,
            "of_questions": 1,
            "rows": 0,
            "of_rows": 5,
            "example": null
          }
        ]
        "#);
    }
}
