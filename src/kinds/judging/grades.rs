//! Verdicts that come from elsewhere: those of a program, and the grades that a model gave.

use std::collections::HashMap;
use std::path::Path;

use learn::dataset::{Answer, DatasetError, Doc, ExactValue, Row};
use serde::Deserialize;

use super::{Judge, JudgeError};
use crate::metrics::Verdict;
use crate::scoring::{FilterSpec, NamedFilterSpec};
use crate::task_table::TaskTable;

/// The pattern of a grade, as Inspect has it: correct, partially correct, incorrect, no answer.
const GRADE_PATTERN: &str = r"(?i)GRADE:\s*([CPIN])\b";

/// What somebody else says of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grade {
    pub verdict: Verdict,
    /// From 0 to 1; `None` for what could not be read.
    pub score: Option<f64>,
}

/// The grades of answers, by their names ([`name_of`]).
#[derive(Debug, Default)]
pub struct Grades(HashMap<String, Grade>);

/// A line that a program wrote about an answer.
#[derive(Debug, Deserialize)]
struct ProgramVerdict {
    /// The id of the row.
    id: ExactValue,
    /// The index of the sample.
    #[serde(default)]
    sample: u32,
    /// The number of steps that was asked for.
    #[serde(default)]
    requested: Option<u32>,
    #[serde(default)]
    verdict: Option<Verdict>,
    /// `true`, `false`, or a number from 0 to 1.
    #[serde(default)]
    score: Option<ExactValue>,
}

/// Why grades cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GradeError {
    #[error(transparent)]
    File(#[from] DatasetError),
    #[error(
        "the verdict on `{0}` has neither a `verdict` nor a `score`: write `{{\"id\": \"{0}\", \"score\": 1}}`, or `\"verdict\": \"right\"`"
    )]
    Nothing(String),
    #[error("the score of `{0}` is {1}, and must be true, false, or a number from 0 to 1")]
    Score(String, ExactValue),
    #[error(transparent)]
    Judge(#[from] JudgeError),
}

impl Grade {
    /// What a person says of an answer, in the words that judges use; `None` for what is none of these.
    pub fn of_label(label: &ExactValue) -> Option<Self> {
        match label {
            ExactValue::Bool(flag) => grade(if *flag { "true" } else { "false" }),
            other => grade(other.text_or_number()?),
        }
    }
}

impl Grades {
    /// Those that a program wrote: JSON Lines with `id`, perhaps `sample` and `requested`, and `verdict` or `score`.
    ///
    /// # Errors
    /// When the file cannot be read, or a line says nothing.
    pub fn of_program(path: &Path) -> Result<Self, GradeError> {
        let mut grades = HashMap::new();
        for line in learn::dataset::open::<ProgramVerdict>(path)? {
            let line = line?;
            let id = line.id.plain_text();
            let score = line.score.as_ref().map(|score| number(&id, score)).transpose()?;
            let verdict = match (line.verdict, score) {
                (Some(verdict), _) => verdict,
                (None, Some(score)) if score >= 1.0 => Verdict::Right,
                (None, Some(_)) => Verdict::Wrong,
                (None, None) => return Err(GradeError::Nothing(id)),
            };
            grades.insert(
                name(&id, line.requested, line.sample),
                Grade {
                    verdict,
                    score: score.or(value(verdict)),
                },
            );
        }
        Ok(Self(grades))
    }

    /// Those that a model gave as its answers to [`question_about`] answers; its task says how they are read.
    ///
    /// # Errors
    /// When the task is wrong.
    pub fn of_model(answers: &[Answer], task: &TaskTable) -> Result<Self, GradeError> {
        let mut task = task.clone();
        task.name = None;
        if task.filter_list.is_empty() {
            task.filter_list = vec![NamedFilterSpec {
                name: "grade".to_owned(),
                filter: vec![FilterSpec::regex(GRADE_PATTERN, -1)],
            }];
        }
        let read = Judge::new(&task).map_err(JudgeError::from)?.judge(answers)?;
        let graded = answers.iter().zip(read).map(|(answer, judgement)| {
            let grade = judgement.answer.as_deref().and_then(grade).filter(|_| answer.failed.is_none());
            let unread = Grade {
                verdict: Verdict::Unscored,
                score: None,
            };
            (answer.problem.id.clone(), grade.unwrap_or(unread))
        });
        Ok(Self(graded.collect()))
    }

    /// The grade of an answer; unscored where nobody gave one.
    pub fn get(&self, answer: &Answer) -> Grade {
        let unread = Grade {
            verdict: Verdict::Unscored,
            score: None,
        };
        self.0.get(&name_of(answer)).copied().unwrap_or(unread)
    }

    /// Adds those of others.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// The question about an answer, for a model that grades it: a row whose record has the `question`, the `response`, the right answer as
/// `target`, and the fields of the answer's own record.
pub fn question_about(answer: &Answer) -> Row {
    let problem = &answer.problem;
    let own = [
        ("question", problem.prompt.as_str().into()),
        ("response", answer.response.as_str().into()),
        ("target", problem.answer.clone()),
    ];
    let own = own.map(|(name, value): (&str, ExactValue)| (name.to_owned(), value));
    let others = problem.doc.fields().filter(|(name, _)| !own.iter().any(|(other, _)| other == name));
    let others: Vec<(String, ExactValue)> = others.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    Row {
        id: name_of(answer),
        prompt: problem.prompt.clone(),
        completion: answer.response.clone(),
        step_num: problem.step_num,
        answer: problem.answer.clone(),
        doc: own.into_iter().chain(others).collect::<Doc>(),
    }
}

/// The name of an answer: the id of its row, and what tells it from the other answers to it.
pub(super) fn name_of(answer: &Answer) -> String {
    name(&answer.problem.id, answer.requested, answer.sample)
}

pub(super) fn name(id: &str, requested: Option<u32>, sample: u32) -> String {
    match requested {
        Some(steps) => format!("{id} in {steps} steps #{sample}"),
        None => format!("{id} #{sample}"),
    }
}

/// What a letter or a word means.
fn grade(text: &str) -> Option<Grade> {
    let (verdict, score) = match text.trim().to_lowercase().as_str() {
        "c" | "correct" | "right" | "yes" | "true" | "1" | "1.0" => (Verdict::Right, Some(1.0)),
        "p" | "partial" | "partially correct" => (Verdict::Wrong, Some(0.5)),
        "i" | "incorrect" | "wrong" | "no" | "false" | "0" | "0.0" => (Verdict::Wrong, Some(0.0)),
        "n" | "no answer" | "no_answer" => (Verdict::NoAnswer, Some(0.0)),
        other => {
            let score = other.parse::<f64>().ok().filter(|score| (0.0..=1.0).contains(score))?;
            (if score >= 1.0 { Verdict::Right } else { Verdict::Wrong }, Some(score))
        }
    };
    Some(Grade { verdict, score })
}

fn value(verdict: Verdict) -> Option<f64> {
    match verdict {
        Verdict::Right => Some(1.0),
        Verdict::Wrong | Verdict::NoAnswer => Some(0.0),
        Verdict::Unscored => None,
    }
}

fn number(id: &str, score: &ExactValue) -> Result<f64, GradeError> {
    let found = match score {
        ExactValue::Bool(flag) => Some(if *flag { 1.0 } else { 0.0 }),
        ExactValue::Number(number) => number.as_str().parse::<f64>().ok().filter(|score| (0.0..=1.0).contains(score)),
        _ => None,
    };
    found.ok_or_else(|| GradeError::Score(id.to_owned(), score.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &str, sample: u32, response: &str) -> Answer {
        Answer {
            problem: Row {
                id: id.to_owned(),
                prompt: "Q".to_owned(),
                completion: String::new(),
                step_num: 0,
                answer: "A".into(),
                doc: [("topic".to_owned(), "x".into())].into_iter().collect(),
            },
            requested: None,
            sample,
            response: response.to_owned(),
            tokens: 1,
            failed: None,
            cut: false,
            choices: None,
        }
    }

    #[test]
    fn a_program_gives_verdicts_or_scores() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("verdicts");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Grades::of_program(&path)
        };
        let grades = read(
            "{\"id\": \"a\", \"score\": true}\n{\"id\": \"a\", \"sample\": 1, \"score\": 0.5}\n{\"id\": 7, \"verdict\": \"no_answer\"}\n",
        )
        .unwrap();
        let of = |id, sample| {
            let grade = grades.get(&answer(id, sample, ""));
            (grade.verdict, grade.score)
        };
        assert_eq!(of("a", 0), (Verdict::Right, Some(1.0)));
        assert_eq!(of("a", 1), (Verdict::Wrong, Some(0.5)));
        assert_eq!(of("7", 0), (Verdict::NoAnswer, Some(0.0)));
        assert_eq!(of("b", 0), (Verdict::Unscored, None));
        let wrong = ["{\"id\": \"a\"}", "{\"id\": \"a\", \"score\": 3}", "{\"score\": 1}"].map(|text| read(text).unwrap_err().to_string());
        insta::assert_snapshot!(wrong.join("\n").replace(&folder.path().display().to_string(), ""), @r#"
        the verdict on `a` has neither a `verdict` nor a `score`: write `{"id": "a", "score": 1}`, or `"verdict": "right"`
        the score of `a` is 3, and must be true, false, or a number from 0 to 1
        /verdicts:1: missing field `id`
        "#);
    }

    #[test]
    fn people_write_labels_as_they_like() {
        let read = |label: &str| Grade::of_label(&serde_json::from_str(label).unwrap()).map(|grade| (grade.verdict, grade.score));
        for right in ["true", "1", "1.0", "\"C\"", "\" Correct\"", "\"yes\"", "\"1\""] {
            assert_eq!(read(right), Some((Verdict::Right, Some(1.0))), "{right}");
        }
        for wrong in ["false", "0", "0.0", "\"I\"", "\"wrong\"", "\"No\""] {
            assert_eq!(read(wrong), Some((Verdict::Wrong, Some(0.0))), "{wrong}");
        }
        assert_eq!(read("0.5"), Some((Verdict::Wrong, Some(0.5))));
        for none in ["null", "7", "\"perhaps\"", "[true]", "\"\""] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn a_model_gives_grades_and_what_cannot_be_read_is_unscored() {
        let asked = answer("a", 2, "It is B.");
        let row = question_about(&asked);
        assert_eq!(row.id, "a #2");
        assert_eq!(row.field("response").unwrap().as_str(), Some("It is B."));
        assert_eq!(row.field("topic").unwrap().as_str(), Some("x"));
        for (said, verdict, score) in [
            ("Reason.\nGRADE: C", Verdict::Right, Some(1.0)),
            ("GRADE: C? No.\nGrade: I", Verdict::Wrong, Some(0.0)),
            ("GRADE: P", Verdict::Wrong, Some(0.5)),
            ("GRADE: N", Verdict::NoAnswer, Some(0.0)),
            // A word that begins like a grade is none.
            ("GRADE: CI", Verdict::Unscored, None),
            ("I cannot say.", Verdict::Unscored, None),
        ] {
            let judged = Answer {
                problem: row.clone(),
                ..answer("", 0, said)
            };
            let grade = Grades::of_model(&[judged], &TaskTable::default()).unwrap().get(&asked);
            assert_eq!((grade.verdict, grade.score), (verdict, score), "{said}");
        }
    }
}
