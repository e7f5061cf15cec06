//! Drawing different questions, evenly over their forms and lengths.

use super::params::{BasicsParams, DIGIT, ItemRange, MOST_ITEMS, Skill};
use super::question::{BasicsQuestion, Move, SignedLetter};
use crate::task::algebra::symbols::{EQUALS, LETTERS, MINUS, OVER, PLUS, TIMES, UNKNOWN};
use crate::task::direction::walk::{Action, Facing};
use crate::task::pool::{Demand, NamedProblem, Pool, PoolError, ProblemGroup, SplitSizes, check_range};
use learn::seed::Stream;

/// Questions about some skills.
#[derive(Clone, Debug)]
pub(super) struct Questions {
    pub skills: Vec<Skill>,
    pub items: ItemRange,
    pub largest: u64,
}

impl BasicsParams {
    /// The splits and where they come from.
    pub(super) fn demand(&self) -> Demand<Questions> {
        let questions = |items: ItemRange, largest| Questions {
            skills: self.skills.clone(),
            items,
            largest,
        };
        Demand {
            sizes: SplitSizes {
                train: self.train,
                development: self.development,
                in_domain: self.in_domain,
                ood_easy: self.ood_easy,
                ood_hard: self.ood_hard,
            },
            pool: ("items", questions(self.items, self.largest)),
            easy: ("items_easy", questions(self.items_easy, DIGIT)),
            hard: ("items_hard", questions(self.items_hard, DIGIT)),
        }
    }
}

/// Questions of one form and length.
pub(super) enum QuestionForm {
    /// Sums of two numbers up to this, one of them at least above the digits: those are facts.
    Add(u64),
    /// Lists of this many turns.
    Drop(u32),
    /// Equations of this many symbols.
    Copy(u32),
    /// Equations of this many letters.
    Move(u32),
}

/// The problems that are always in `train`: all sums of two digits, with and without a carry, and all single turns.
pub(super) fn facts(skills: &[Skill]) -> Vec<NamedProblem<BasicsQuestion>> {
    let mut facts = Vec::new();
    if skills.contains(&Skill::Sums) {
        for (a, b) in (0..=DIGIT).flat_map(|a| (0..=DIGIT).map(move |b| (a, b))) {
            facts.extend([vec![a, b], vec![a, b, 1]].map(BasicsQuestion::Add));
        }
    }
    if skills.contains(&Skill::Turns) {
        for facing in (0..Facing::COUNT).map(Facing::from_index) {
            facts.extend(Action::ALL.map(|action| BasicsQuestion::Turn(facing, action)));
        }
    }
    let name = |(index, problem)| NamedProblem {
        id: format!("fact_{index}"),
        problem,
    };
    facts.into_iter().enumerate().map(name).collect()
}

impl Pool for Questions {
    type Group = QuestionForm;

    const MORE: &'static str = "items or skills";

    fn check(&self) -> Result<(), PoolError> {
        check_range(None, [self.items.0, self.items.1], "items", [2, MOST_ITEMS])
    }

    fn groups(&self) -> Vec<QuestionForm> {
        let lengths = || self.items.0..=self.items.1;
        let mut groups = Vec::new();
        for skill in &self.skills {
            match skill {
                Skill::Sums if self.largest > DIGIT => groups.push(QuestionForm::Add(self.largest)),
                Skill::Sums => {}
                Skill::Turns => groups.extend(lengths().map(QuestionForm::Drop)),
                Skill::Symbols => groups.extend(lengths().flat_map(|length| [QuestionForm::Copy(length), QuestionForm::Move(length)])),
            }
        }
        groups
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.items.0 <= other.items.1 && other.items.0 <= self.items.1
    }
}

impl ProblemGroup for QuestionForm {
    type Problem = BasicsQuestion;
    type Identity = String;

    fn prefix(&self) -> String {
        match self {
            Self::Add(largest) => format!("add{largest}_"),
            Self::Drop(length) => format!("drop{length}_"),
            Self::Copy(length) => format!("copy{length}_"),
            Self::Move(length) => format!("move{length}_"),
        }
    }

    fn capacity(&self) -> u128 {
        match *self {
            Self::Add(largest) => u128::from((largest + 1).pow(2) - (DIGIT + 1).pow(2)),
            Self::Drop(length) => 3u128.pow(length),
            // ❤ at one place, other letters at the others, one ↔ and four kinds of signs between them.
            Self::Copy(length) => u128::from(length) * orders(length - 1) * u128::from(length - 1) * 4u128.pow(length - 2),
            // A sign for each letter, and as many ways to choose one as the left side has letters.
            Self::Move(length) => orders(length) * 2u128.pow(length) * u128::from(length * (length - 1) / 2),
        }
    }

    fn draw(&self, stream: &mut Stream) -> BasicsQuestion {
        match *self {
            Self::Add(largest) => loop {
                let numbers = [stream.below(largest + 1), stream.below(largest + 1)];
                if numbers.iter().any(|number| *number > DIGIT) {
                    return BasicsQuestion::Add(numbers.to_vec());
                }
            },
            Self::Drop(length) => {
                let action = |_| Action::ALL.get(stream.below(3) as usize).copied();
                BasicsQuestion::Drop((0..length).filter_map(action).collect())
            }
            Self::Copy(length) => BasicsQuestion::Copy(equation(length as usize, stream)),
            Self::Move(length) => BasicsQuestion::Move(moving(length as usize, stream)),
        }
    }

    fn identity(problem: &BasicsQuestion) -> String {
        problem.to_string()
    }
}

/// The number of ordered choices of `count` letters.
fn orders(count: u32) -> u128 {
    let letters = LETTERS.len() as u128;
    (0..u128::from(count)).map(|taken| letters - taken).product()
}

/// `count` of the letters, in any order.
fn letters(count: usize, stream: &mut Stream) -> Vec<char> {
    let mut letters = LETTERS;
    stream.shuffle(&mut letters);
    letters.into_iter().take(count).collect()
}

/// An equation of ❤ and letters; it may be one that no sides can be swapped or moved in to any use: it is only copied.
fn equation(length: usize, stream: &mut Stream) -> String {
    let mut symbols = letters(length - 1, stream);
    symbols.insert(stream.below(length as u64) as usize, UNKNOWN);
    let equals = 1 + stream.below(length as u64 - 1) as usize;
    let mut words = Vec::new();
    for (place, symbol) in symbols.into_iter().enumerate() {
        if place == equals {
            words.push(EQUALS);
        } else if place > 0 {
            words.extend([PLUS, MINUS, TIMES, OVER].get(stream.below(4) as usize));
        }
        words.push(symbol);
    }
    words.iter().map(char::to_string).collect::<Vec<_>>().join(" ")
}

fn moving(length: usize, stream: &mut Stream) -> Move {
    let terms: Vec<SignedLetter> = letters(length, stream)
        .into_iter()
        .map(|letter| SignedLetter {
            negative: stream.below(2) == 1,
            letter,
        })
        .collect();
    let (left, right) = terms.split_at(1 + stream.below(length as u64 - 1) as usize);
    Move {
        place: stream.below(left.len() as u64) as usize,
        left: left.to_vec(),
        right: right.to_vec(),
    }
}
