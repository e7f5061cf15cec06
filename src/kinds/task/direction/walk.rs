//! Walks: a facing, and actions that turn it.

use std::fmt::{self, Display};

const FACINGS: [&str; 4] = ["North", "East", "South", "West"];

/// The direction that somebody faces: the number of quarter turns to the right from north.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::task) struct Facing(u8);

/// A turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::task) enum Action {
    Left,
    Right,
    Around,
}

/// A walk: the first facing and the actions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::task) struct Walk {
    pub facing: Facing,
    pub actions: Vec<Action>,
}

impl Facing {
    pub(in crate::task) const COUNT: u64 = FACINGS.len() as u64;

    /// The facing of a number below [`Self::COUNT`].
    pub(in crate::task) fn from_index(number: u64) -> Self {
        Self((number % Self::COUNT) as u8)
    }

    pub(in crate::task) fn parse(text: &str) -> Option<Self> {
        let number = FACINGS.iter().position(|name| *name == text)?;
        Some(Self::from_index(number as u64))
    }

    /// The facing after all `actions`.
    pub(in crate::task) fn after(self, actions: &[Action]) -> Self {
        actions.iter().fold(self, |facing, action| Self((facing.0 + action.quarters()) % 4))
    }
}

impl Display for Facing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FACINGS.get(usize::from(self.0)).copied().unwrap_or_default())
    }
}

impl Action {
    pub(in crate::task) const ALL: [Self; 3] = [Self::Left, Self::Right, Self::Around];

    fn name(self) -> &'static str {
        match self {
            Self::Left => "Left",
            Self::Right => "Right",
            Self::Around => "Around",
        }
    }

    pub(in crate::task) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == text)
    }

    /// Quarter turns to the right.
    fn quarters(self) -> u8 {
        match self {
            Self::Right => 1,
            Self::Around => 2,
            Self::Left => 3,
        }
    }

    /// Whether the two together leave the facing as it is.
    pub(in crate::task) fn cancels(self, other: Self) -> bool {
        (self.quarters() + other.quarters()).is_multiple_of(4)
    }
}

/// `Left, Right`
pub(in crate::task) fn list(actions: &[Action]) -> String {
    actions.iter().map(|action| action.name()).collect::<Vec<_>>().join(", ")
}

/// Reads a list of at least one action.
pub(in crate::task) fn parse_list(text: &str) -> Option<Vec<Action>> {
    text.split(',').map(|action| Action::parse(action.trim())).collect()
}
