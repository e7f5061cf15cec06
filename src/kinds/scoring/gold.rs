//! What is right: `doc_to_target`, by the rules of lm-evaluation-harness (`lm_eval/api/task.py`, `doc_to_target`, `process_results`).

use super::python;

/// A target as `doc_to_target` gives it, before it is looked up among the choices.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A field that is a whole number.
    Number(i64),
    /// A text: of a template, or of a field.
    Text(String),
    /// A field that is a list: any of them is right.
    List(Vec<Target>),
}

/// The right answers to one question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gold {
    /// Any of them is right.
    pub texts: Vec<String>,
    /// The places of the right choices, from 0, where the question has choices.
    pub indices: Vec<usize>,
    /// The choices of the question.
    pub choices: Vec<String>,
}

/// Why a target is not one of the question's choices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("the target `{target}` is none of the {count} choices: it must be the number of one, from 0, or its text")]
    NoChoice { target: String, count: usize },
    #[error("the target is an empty list, so that no answer can be right")]
    Empty,
}

impl Target {
    /// The target that a template gave. With choices, digits are the number of a choice; `["a", "b"]` is a list, in any task.
    pub fn of_template(text: &str, has_choices: bool) -> Self {
        let is_digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        if has_choices
            && is_digits
            && let Ok(number) = text.parse()
        {
            return Self::Number(number);
        }
        match python::list(text) {
            Some(items) => Self::List(items.into_iter().map(|item| Self::of_item(item, has_choices)).collect()),
            None => Self::Text(text.to_owned()),
        }
    }

    fn of_item(item: String, has_choices: bool) -> Self {
        match item.parse() {
            Ok(number) if has_choices => Self::Number(number),
            _ => Self::Text(item),
        }
    }

    fn written(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(items) => items.iter().map(Self::written).collect::<Vec<_>>().join(", "),
        }
    }

    /// The place of the choice that is meant. A text that is a choice is that choice, and a number its place.
    fn index(&self, choices: &[String]) -> Result<usize, TargetError> {
        let index = match self {
            Self::Number(number) => usize::try_from(*number).ok().filter(|index| *index < choices.len()),
            Self::Text(text) => choices.iter().position(|choice| choice == text),
            Self::List(_) => None,
        };
        index.ok_or_else(|| TargetError::NoChoice {
            target: self.written(),
            count: choices.len(),
        })
    }
}

impl Gold {
    /// The right answers that a target names.
    ///
    /// # Errors
    /// When there are choices and the target is none of them, or the target is an empty list.
    pub fn new(target: &Target, choices: Vec<String>) -> Result<Self, TargetError> {
        let targets = match target {
            Target::List(targets) => targets.as_slice(),
            one => std::slice::from_ref(one),
        };
        if targets.is_empty() {
            return Err(TargetError::Empty);
        }
        if choices.is_empty() {
            let texts = targets.iter().map(Target::written).collect();
            return Ok(Self { texts, ..Self::default() });
        }
        let indices = targets.iter().map(|target| target.index(&choices));
        let indices = indices.collect::<Result<Vec<usize>, _>>()?;
        let texts = indices.iter().filter_map(|index| choices.get(*index).cloned()).collect();
        Ok(Self { texts, indices, choices })
    }

    /// One right answer, without choices.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            texts: vec![text.into()],
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gold(text: &str, choices: &[&str]) -> Result<(Vec<String>, Vec<usize>), String> {
        let target = Target::of_template(text, !choices.is_empty());
        let gold = Gold::new(&target, choices.iter().map(|&choice| choice.to_owned()).collect());
        gold.map(|gold| (gold.texts, gold.indices)).map_err(|error| error.to_string())
    }

    #[test]
    fn targets_are_read_by_the_rules_of_the_harness() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        for (text, choices, expected) in [
            ("18", &[][..], (texts(&["18"]), vec![])),
            ("['a', \"b\", 3]", &[], (texts(&["a", "b", "3"]), vec![])),
            ("[a]", &[], (texts(&["[a]"]), vec![])),
            ("", &[], (texts(&[""]), vec![])),
            ("1", &["x", "y"], (texts(&["y"]), vec![1])),
            ("y", &["x", "y"], (texts(&["y"]), vec![1])),
            ("[0, 1]", &["x", "y"], (texts(&["x", "y"]), vec![0, 1])),
            // A number is a place, also among choices that are numbers.
            ("0", &["1", "0"], (texts(&["1"]), vec![0])),
        ] {
            assert_eq!(gold(text, choices), Ok(expected), "{text}");
        }
        let wrong = [gold("2", &["x", "y"]), gold("z", &["x"]), gold("-1", &["x"]), gold("[]", &[])];
        insta::assert_snapshot!(wrong.map(Result::unwrap_err).join("\n"), @r"
        the target `2` is none of the 2 choices: it must be the number of one, from 0, or its text
        the target `z` is none of the 1 choices: it must be the number of one, from 0, or its text
        the target `-1` is none of the 1 choices: it must be the number of one, from 0, or its text
        the target is an empty list, so that no answer can be right
        ");
    }
}
