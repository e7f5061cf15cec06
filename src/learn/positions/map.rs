//! Which rows of the tables stand for which indices.

use crate::model::Places;
use crate::seed::Stream;

/// An increasing map from the indices of a sequence, and the two before 0, to rows of the tables of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceMap {
    /// Rows of one table.
    table: usize,
    /// The row of index -2, of -1, of 0, and so on.
    rows: Vec<usize>,
}

impl PlaceMap {
    /// The map of use, the same for all sequences: as many rows as the indices up to `places.top` need, one after the other, from the middle of
    /// the tables.
    pub fn middle(places: Places) -> Self {
        let needed = Places::needed(places.top);
        let first = places.rows.saturating_sub(needed) / 2;
        Self {
            table: places.rows,
            rows: (first..first + needed).collect(),
        }
    }

    /// A map for training: for the indices up to `top`, a random set of rows, all sets of so many rows equally likely.
    pub fn drawn(places: Places, top: usize, stream: &mut Stream) -> Self {
        let mut wanted = Places::needed(top).min(places.rows);
        // Knuth's algorithm S: each row is taken with the probability that makes all sets equally likely.
        let rows = (0..places.rows).filter(|row| {
            let left = (places.rows - row) as u64;
            let is_taken = wanted > 0 && stream.below(left) < wanted as u64;
            wanted -= usize::from(is_taken);
            is_taken
        });
        Self {
            table: places.rows,
            rows: rows.collect(),
        }
    }

    /// The rows of a token with this index: in the first table that of the index, in the second that of the index before, in the third that of
    /// the one before that. The tables lie one after the other, and rows count over all of them. An index above those that the map provides for
    /// has no rows: the numbers lie beyond the tables, and an engine refuses them.
    pub fn rows(&self, index: u32) -> [u32; Places::TABLES] {
        std::array::from_fn(|table| {
            let place = (index as usize).saturating_add(Places::BACK - table);
            let row = self.rows.get(place).map(|row| table * self.table + row);
            row.and_then(|row| u32::try_from(row).ok()).unwrap_or(u32::MAX)
        })
    }
}
