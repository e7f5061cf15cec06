//! Words written backwards: `c a b` is `b a c`.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::drawn::{DrawnParams, SplitParams, TaskParams};
use super::pool::{NamedProblem, Pool, PoolError, ProblemGroup, SplitSizes, check_range};
use super::{Problems, Task};
use lab::config::{ConfigValue, ParamError};
use learn::dataset::{Doc, Row};
use learn::seed::Stream;

/// The task `reversal`.
pub(super) struct Reversal;

/// What stands before the word in the question.
const OPENING: &str = "Write backwards: ";
/// What words are made of.
const ALPHABET: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

impl Task for Reversal {
    fn name(&self) -> &'static str {
        "reversal"
    }

    fn is_problem(&self, row: &Row) -> bool {
        Word::asked(row).is_some()
    }

    fn is_right(&self, row: &Row, answer: &str) -> bool {
        row.answer.as_str() == Some(answer)
    }

    /// A step puts one or more of the next letters before those that are there.
    fn follows(&self, row: &Row, steps: &[&str]) -> Vec<bool> {
        let Some(Word(word)) = Word::asked(row) else {
            return vec![false; steps.len()];
        };
        let mut before: Vec<&str> = Vec::new();
        let mut follows = Vec::new();
        for step in steps {
            let now = Word::read(step).map_or_else(Vec::new, |Word(letters)| letters);
            let new = now.strip_suffix(before.as_slice()).unwrap_or_default();
            let next = word.iter().skip(before.len()).take(new.len());
            follows.push(!new.is_empty() && now.len() <= word.len() && new.iter().rev().eq(next));
            // What cannot be read is passed over.
            if !now.is_empty() {
                before = now;
            }
        }
        follows
    }

    fn read(&self, params: &ConfigValue) -> Result<Box<dyn Problems>, ParamError> {
        Ok(Box::new(DrawnParams::<ReversalParams>::read(params)?))
    }

    fn schema(&self) -> Schema {
        DrawnParams::<ReversalParams>::schema()
    }
}

/// Some letters of the alphabet.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Word<'a>(Vec<&'a str>);

impl<'a> Word<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let letters: Vec<&str> = text.split(' ').collect();
        letters.iter().all(|letter| ALPHABET.contains(letter)).then_some(Self(letters))
    }

    fn asked(row: &'a Row) -> Option<Self> {
        Self::read(row.prompt.strip_prefix(OPENING)?)
    }

    /// The first `count` letters backwards: what is written when so many are done.
    fn written(&self, count: usize) -> String {
        let letters: Vec<&str> = self.0.iter().take(count).rev().copied().collect();
        letters.join(" ")
    }

    /// The row, its solution without the step at `left_out`.
    fn row(&self, id: String, left_out: Option<usize>) -> Row {
        let counts = 1..=self.0.len();
        let steps: Vec<String> = counts
            .filter(|count| left_out != Some(*count))
            .map(|count| self.written(count))
            .collect();
        let answer = self.written(self.0.len());
        Row {
            id,
            prompt: format!("{OPENING}{}", self.0.join(" ")),
            completion: format!("{}\nThus, the answer is {answer}.", steps.join("\n")),
            step_num: steps.len() as u32,
            answer: answer.into(),
            doc: Doc::default(),
        }
    }
}

/// Which words to draw.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ReversalParams {
    /// Least and most letters of `train`, `development` and `in_domain`.
    letters: WordLengths,
    /// Least and most letters of `ood_easy`.
    letters_easy: WordLengths,
    /// Least and most letters of `ood_hard`.
    letters_hard: WordLengths,
}

/// Least and most letters.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
struct WordLengths(u32, u32);

impl Default for ReversalParams {
    fn default() -> Self {
        Self {
            letters: WordLengths(3, 6),
            letters_easy: WordLengths(7, 8),
            letters_hard: WordLengths(9, 12),
        }
    }
}

impl TaskParams for ReversalParams {
    const TASK: &'static str = "reversal";
    type Pool = WordLengths;

    fn splits() -> SplitParams {
        SplitParams::cold(SplitSizes {
            train: 2_000,
            development: 500,
            in_domain: 500,
            ood_easy: 500,
            ood_hard: 500,
        })
    }

    fn pools(&self) -> [(&'static str, WordLengths); 3] {
        [
            ("letters", self.letters),
            ("letters_easy", self.letters_easy),
            ("letters_hard", self.letters_hard),
        ]
    }

    fn full(&self, NamedProblem { id, problem }: &NamedProblem<Word<'static>>) -> Row {
        problem.row(id.clone(), None)
    }

    /// Any step but the last may be left out.
    fn skipped(&self, NamedProblem { id, problem }: &NamedProblem<Word<'static>>, stream: &mut Stream) -> Option<Row> {
        let others = (problem.0.len() as u64).checked_sub(1).filter(|others| *others > 0)?;
        Some(problem.row(format!("{id}/skip"), Some(1 + stream.below(others) as usize)))
    }
}

impl Pool for WordLengths {
    type Group = Length;

    const MORE: &'static str = "letters";

    fn check(&self) -> Result<(), PoolError> {
        check_range(None, [self.0, self.1], "letters", [1, 40])
    }

    fn groups(&self) -> Vec<Length> {
        (self.0..=self.1).map(Length).collect()
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.0 <= other.1 && other.0 <= self.1
    }
}

/// All words of so many letters.
struct Length(u32);

impl ProblemGroup for Length {
    type Problem = Word<'static>;
    type Identity = Word<'static>;

    fn prefix(&self) -> String {
        format!("letters{}_", self.0)
    }

    fn capacity(&self) -> u128 {
        (ALPHABET.len() as u128).pow(self.0)
    }

    fn draw(&self, stream: &mut Stream) -> Word<'static> {
        let letter = |_| ALPHABET.get(stream.below(ALPHABET.len() as u64) as usize).copied();
        Word((0..self.0).filter_map(letter).collect())
    }

    fn identity(problem: &Word<'static>) -> Word<'static> {
        problem.clone()
    }
}
