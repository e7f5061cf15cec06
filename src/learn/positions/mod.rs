//! The positions of tokens: where each token of a sequence stands, and which rows of a model's tables that is.
//!
//! Where a token stands depends on the tokens before it, and for the places of a prompt's digits on those after it as well. So beginnings of
//! two sequences are alike only if their tokens stand at the same places too.

mod lines;
mod map;
mod places;

use crate::engine::Feed;
use crate::model::{ModelShape, Places};
use crate::tokenizer::Tokenizer;
use lines::LineCursor;
pub use map::PlaceMap;
use places::PlaceCursor;

/// A token and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlacedToken {
    pub token: u32,
    /// The number of earlier tokens with a line break or a colon; 0 for a model that knows places.
    line: u32,
    /// The number of tokens since the last of them; 0 for a model that knows places.
    column: u32,
    /// The index of its place or line; 0 for a model that does not know places.
    index: u32,
}

impl PlacedToken {
    /// A token at the start of a sequence.
    pub fn first(token: u32) -> Self {
        Self { token, ..Self::default() }
    }

    /// The index of its place or line; 0 for a model that knows no places.
    pub fn index(&self) -> u32 {
        self.index
    }
}

/// Goes along a sequence.
#[derive(Clone, Copy, Debug)]
pub struct Cursor(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Lines(LineCursor),
    Places(PlaceCursor),
}

impl Cursor {
    /// A cursor at the start of a sequence that has no prompt.
    fn new(shape: &ModelShape) -> Self {
        Self(match shape.places {
            None => Kind::Lines(LineCursor::default()),
            Some(Places { wide, .. }) => Kind::Places(PlaceCursor::new(wide)),
        })
    }

    /// A cursor at the end of a prompt.
    pub fn at_end(shape: &ModelShape, tokenizer: &Tokenizer, prompt: &[PlacedToken]) -> Self {
        let mut cursor = Self::new(shape);
        // The places of a completion begin with it.
        let read = if shape.places.is_some() { &[] } else { prompt };
        for placed in read {
            cursor.advance(tokenizer, placed.token);
        }
        cursor
    }

    /// Where the next token stands, which is moved past.
    pub fn advance(&mut self, tokenizer: &Tokenizer, token: u32) -> PlacedToken {
        let (line, column, index) = match &mut self.0 {
            Kind::Lines(cursor) => {
                let (line, column) = cursor.advance(tokenizer, token);
                (line, column, 0)
            }
            Kind::Places(cursor) => (0, 0, cursor.advance(tokenizer, token)),
        };
        PlacedToken {
            token,
            line,
            column,
            index,
        }
    }
}

/// All tokens of a sequence, of which the first `prompt` are its prompt.
pub fn placed(shape: &ModelShape, tokenizer: &Tokenizer, tokens: &[u32], prompt: usize) -> Vec<PlacedToken> {
    let mut cursor = Cursor::new(shape);
    if shape.places.is_none() {
        return tokens.iter().map(|token| cursor.advance(tokenizer, *token)).collect();
    }
    let (prompt, rest) = tokens.split_at(prompt.min(tokens.len()));
    let indices = places::prompt(tokenizer, prompt);
    let placed = prompt.iter().zip(indices).map(|(&token, index)| PlacedToken {
        token,
        index,
        ..PlacedToken::default()
    });
    placed.chain(rest.iter().map(|token| cursor.advance(tokenizer, *token))).collect()
}

/// The highest index of some tokens.
pub fn top(tokens: &[PlacedToken]) -> usize {
    tokens.iter().map(|token| token.index as usize).max().unwrap_or(0)
}

/// Whether a model has rows for all of these tokens.
pub fn reaches(shape: &ModelShape, tokens: &[PlacedToken]) -> bool {
    shape.places.is_none_or(|places| top(tokens) <= places.top)
}

/// The length of the beginning that two sequences have in common.
pub fn common(a: &[PlacedToken], b: &[PlacedToken]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Tokens with the rows of the tables of positions, as an engine reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRows {
    pub tokens: Vec<u32>,
    /// As in [`crate::engine::Batch`], like the others.
    pub lines: Vec<u32>,
    pub columns: Vec<u32>,
    pub places: Vec<u32>,
}

impl TokenRows {
    /// The rows of `tokens` in the tables of a model of `shape`: lines and columns beyond the end of a table share its last row. `map` has the
    /// rows of places, if the model knows them.
    pub fn new(shape: &ModelShape, map: Option<&PlaceMap>, tokens: &[PlacedToken]) -> Self {
        let mut rows = Self::default();
        rows.extend(shape, map, tokens);
        rows
    }

    /// The rows of a sequence whose first `prompt` tokens are its prompt, as a model is used.
    pub fn of_use(shape: &ModelShape, tokenizer: &Tokenizer, tokens: &[u32], prompt: usize) -> Self {
        let map = shape.places.map(PlaceMap::middle);
        Self::new(shape, map.as_ref(), &placed(shape, tokenizer, tokens, prompt))
    }

    /// Adds the rows of further tokens.
    pub fn extend(&mut self, shape: &ModelShape, map: Option<&PlaceMap>, tokens: &[PlacedToken]) {
        let within = |rows: usize, part: fn(&PlacedToken) -> u32, list: &mut Vec<u32>| {
            if let Some(last) = rows.checked_sub(1) {
                let last = u32::try_from(last).unwrap_or(u32::MAX);
                list.extend(tokens.iter().map(|token| part(token).min(last)));
            }
        };
        self.tokens.extend(tokens.iter().map(|token| token.token));
        within(shape.lines, |token| token.line, &mut self.lines);
        within(shape.columns, |token| token.column, &mut self.columns);
        if let Some(map) = map {
            self.places.extend(tokens.iter().flat_map(|token| map.rows(token.index)));
        }
    }

    /// Removes all tokens.
    pub fn clear(&mut self) {
        let Self {
            tokens,
            lines,
            columns,
            places,
        } = self;
        [tokens, lines, columns, places].into_iter().for_each(Vec::clear);
    }

    /// The tokens as a feed of `slot`, which holds `start` tokens before them.
    pub fn feed(&self, slot: usize, start: usize) -> Feed<'_> {
        Feed {
            slot,
            start,
            tokens: &self.tokens,
            lines: &self.lines,
            columns: &self.columns,
            places: &self.places,
        }
    }
}

#[cfg(test)]
mod tests;
