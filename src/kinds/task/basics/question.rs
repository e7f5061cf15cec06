//! The questions, their one-step solutions, and the answers.

use std::fmt::{self, Display};

use crate::task::algebra::symbols::{EQUALS, LETTERS, MINUS, PLUS, ZERO};
use crate::task::direction::walk::{self, Action, Facing};

/// A question that is answered in one step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum BasicsQuestion {
    /// `Add: 4 + 8`
    Add(Vec<u64>),
    /// `Turn: North, Left`
    Turn(Facing, Action),
    /// `Drop: Left, Right, Around`: all but the first.
    Drop(Vec<Action>),
    /// `Copy: ❤ ✾ ♋ ↔ ♙`
    Copy(String),
    /// `Move ♋: ♙ ✰ ♋ ↔ ♏`: to the end of the other side.
    Move(Move),
}

/// A letter of the left side, and two sides of letters that are added and subtracted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Move {
    pub place: usize,
    pub left: Vec<SignedLetter>,
    pub right: Vec<SignedLetter>,
}

/// A letter and its sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SignedLetter {
    pub negative: bool,
    pub letter: char,
}

impl BasicsQuestion {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(": ")?;
        match word {
            "Add" => {
                let numbers = rest.split(" + ").map(number).collect::<Option<Vec<_>>>()?;
                numbers.iter().try_fold(0u64, |sum, number| sum.checked_add(*number))?;
                Some(Self::Add(numbers))
            }
            "Turn" => {
                let (facing, action) = rest.split_once(", ")?;
                Some(Self::Turn(Facing::parse(facing)?, Action::parse(action)?))
            }
            "Drop" => walk::parse_list(rest).map(Self::Drop),
            "Copy" => (!rest.contains('\n') && !rest.trim().is_empty()).then(|| Self::Copy(rest.to_owned())),
            _ => {
                let letter = word.strip_prefix("Move ")?;
                let (left, right) = rest.split_once(&format!(" {EQUALS} "))?;
                let (left, right) = (parse_side(left)?, parse_side(right)?);
                let place = left.iter().position(|term| letter.chars().eq([term.letter]))?;
                Some(Self::Move(Move { place, left, right }))
            }
        }
    }

    pub(super) fn answer(&self) -> String {
        match self {
            Self::Add(numbers) => numbers.iter().sum::<u64>().to_string(),
            Self::Turn(facing, action) => facing.after(&[*action]).to_string(),
            Self::Drop(actions) => walk::list(actions.get(1..).unwrap_or_default()),
            Self::Copy(text) => text.clone(),
            Self::Move(asked) => asked.moved(),
        }
    }

    /// The one line before the answer.
    pub(super) fn work(&self) -> String {
        match self {
            Self::Add(_) => format!("{} = {}.", self.told(), self.answer()),
            Self::Turn(..) => format!("{}.", self.answer()),
            Self::Drop(_) | Self::Copy(_) | Self::Move(_) => self.answer(),
        }
    }

    /// The question without its first word.
    fn told(&self) -> String {
        match self {
            Self::Add(numbers) => numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" + "),
            Self::Turn(facing, action) => format!("{facing}, {}", walk::list(&[*action])),
            Self::Drop(actions) => walk::list(actions),
            Self::Copy(text) => text.clone(),
            Self::Move(asked) => format!("{} {EQUALS} {}", side(&asked.left), side(&asked.right)),
        }
    }
}

impl Display for BasicsQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(_) => f.write_str("Add")?,
            Self::Turn(..) => f.write_str("Turn")?,
            Self::Drop(_) => f.write_str("Drop")?,
            Self::Copy(_) => f.write_str("Copy")?,
            Self::Move(asked) => write!(f, "Move {}", asked.left.get(asked.place).map_or(ZERO, |term| term.letter))?,
        }
        write!(f, ": {}", self.told())
    }
}

impl Move {
    /// The equation after the move.
    fn moved(&self) -> String {
        let (mut left, mut right) = (self.left.clone(), self.right.clone());
        let SignedLetter { negative, letter } = left.remove(self.place);
        right.push(SignedLetter {
            negative: !negative,
            letter,
        });
        format!("{} {EQUALS} {}", side(&left), side(&right))
    }
}

/// A number without leading zeros.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// `❀ ♋ ✰ ♙`, or ◯ for no terms.
fn side(terms: &[SignedLetter]) -> String {
    let mut words = Vec::new();
    for (place, term) in terms.iter().enumerate() {
        match (place, term.negative) {
            (_, true) => words.push(MINUS),
            (0, false) => {}
            (_, false) => words.push(PLUS),
        }
        words.push(term.letter);
    }
    if words.is_empty() {
        words.push(ZERO);
    }
    words.iter().map(char::to_string).collect::<Vec<_>>().join(" ")
}

/// Reads a side of at least one letter.
fn parse_side(text: &str) -> Option<Vec<SignedLetter>> {
    let mut terms = Vec::new();
    let mut negative = None;
    for word in text.split(' ') {
        let mut characters = word.chars();
        let (Some(symbol), None) = (characters.next(), characters.next()) else {
            return None;
        };
        match symbol {
            MINUS if negative.is_none() => negative = Some(true),
            PLUS if negative.is_none() && !terms.is_empty() => negative = Some(false),
            letter if LETTERS.contains(&letter) && (negative.is_some() || terms.is_empty()) => {
                let negative = negative.take().unwrap_or(false);
                terms.push(SignedLetter { negative, letter });
            }
            _ => return None,
        }
    }
    (negative.is_none() && !terms.is_empty()).then_some(terms)
}
