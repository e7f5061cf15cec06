//! What becomes of an answer.

/// The four outcomes; each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Right,
    Wrong,
    /// No filter found an answer, or it is blank.
    NoAnswer,
    /// It could not be judged.
    Unscored,
}

/// An outcome, and how good the answer is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    pub outcome: Outcome,
    /// From 0 to 1; `None` for an answer that could not be judged.
    pub value: Option<f64>,
}

impl Score {
    pub const RIGHT: Self = Self::new(Outcome::Right, 1.0);
    pub const WRONG: Self = Self::new(Outcome::Wrong, 0.0);
    pub const NO_ANSWER: Self = Self::new(Outcome::NoAnswer, 0.0);
    pub const UNSCORED: Self = Self {
        outcome: Outcome::Unscored,
        value: None,
    };

    const fn new(outcome: Outcome, value: f64) -> Self {
        Self {
            outcome,
            value: Some(value),
        }
    }

    /// Right or wrong, with a value of its own; a value that is not from 0 to 1 is moved to the nearer end, and NaN to 0.
    pub fn graded(right: bool, value: f64) -> Self {
        let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        Self::new(if right { Outcome::Right } else { Outcome::Wrong }, value)
    }

    /// Right, wrong, or, where a wrong answer is blank, none.
    pub(super) fn of(right: bool, answer: &str) -> Self {
        match (right, answer.trim().is_empty()) {
            (true, _) => Self::RIGHT,
            (false, true) => Self::NO_ANSWER,
            (false, false) => Self::WRONG,
        }
    }
}
