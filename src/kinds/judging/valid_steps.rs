//! What a program says of the steps of answers.

use std::collections::HashMap;
use std::path::Path;

use learn::dataset::{Answer, DatasetError, ExactValue};
use serde::Deserialize;

use super::grades::{name, name_of};

/// Whether the steps of answers are valid, by the names of the answers.
#[derive(Debug, Default)]
pub struct ValidSteps(HashMap<String, bool>);

/// A line that a program wrote about an answer.
#[derive(Debug, Deserialize)]
struct StepsLine {
    /// The id of the row.
    id: ExactValue,
    /// The index of the sample.
    #[serde(default)]
    sample: u32,
    /// The number of steps that was asked for.
    #[serde(default)]
    requested: Option<u32>,
    valid: Validity,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Validity {
    /// Of all steps together.
    All(bool),
    /// Of each step.
    Each(Vec<bool>),
}

impl ValidSteps {
    /// Reads JSON Lines with `id`, perhaps `sample` and `requested`, and `valid`: true or false, or a list with one of these for each step.
    /// No step at all is not valid.
    ///
    /// # Errors
    /// When the file cannot be read, or a line says something else.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let mut all = HashMap::new();
        for line in learn::dataset::open::<StepsLine>(path)? {
            let line = line?;
            let id = line.id.plain_text();
            let valid = match line.valid {
                Validity::All(valid) => valid,
                Validity::Each(steps) => !steps.is_empty() && steps.iter().all(|valid| *valid),
            };
            all.insert(name(&id, line.requested, line.sample), valid);
        }
        Ok(Self(all))
    }

    /// Whether the steps of an answer are valid; `None` where nobody says it.
    pub fn get(&self, answer: &Answer) -> Option<bool> {
        self.0.get(&name_of(answer)).copied()
    }

    /// Adds those of others.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use learn::dataset::{Doc, Row};

    fn answer(id: &str, sample: u32) -> Answer {
        let problem = Row {
            id: id.to_owned(),
            prompt: String::new(),
            completion: String::new(),
            step_num: 0,
            answer: ExactValue::Null,
            doc: Doc::default(),
        };
        Answer {
            problem,
            requested: None,
            sample,
            response: String::new(),
            tokens: 0,
            failed: None,
            cut: false,
            choices: None,
        }
    }

    #[test]
    fn a_program_says_it_of_all_steps_or_of_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps");
        let lines = [
            r#"{"id": "a", "valid": true}"#,
            r#"{"id": "a", "sample": 1, "valid": [true, false]}"#,
            r#"{"id": 7, "valid": [true, true]}"#,
            r#"{"id": "c", "valid": []}"#,
        ];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let steps = ValidSteps::read(&path).unwrap();
        let found = [("a", 0), ("a", 1), ("7", 0), ("c", 0), ("d", 0)].map(|(id, sample)| steps.get(&answer(id, sample)));
        assert_eq!(found, [Some(true), Some(false), Some(true), Some(false), None]);
        std::fs::write(&path, r#"{"id": "a", "valid": "yes"}"#).unwrap();
        assert!(ValidSteps::read(&path).unwrap_err().to_string().contains("steps:1"));
    }
}
