//! What is read in which order, so that nothing is read twice: sequences as a tree of their beginnings.

use super::encode::ScoredSequence;
use crate::positions::{PlacedToken, common};

/// A beginning is shared if it is at least this part of a sequence. Whatever shares less is not worth waiting for.
const SMALLEST_SHARE: usize = 8;

/// A sequence to read, and the tokens to score by its results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReadingUnit {
    /// Tokens at other places are other tokens, since their keys and values differ.
    pub(super) tokens: Vec<PlacedToken>,
    /// An earlier unit with the same beginning.
    pub(super) parent: Option<usize>,
    /// The length of that beginning, in tokens; 0 without a parent. No target of this unit comes after one of these tokens but the last.
    pub(super) shared: usize,
    /// The number of units whose parent it is.
    pub(super) children: usize,
    /// In the order of their places.
    pub(super) targets: Vec<UnitTarget>,
}

/// A token to score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnitTarget {
    /// The place of the unit's token that it comes after.
    pub(super) after: usize,
    /// The number of its request.
    pub(super) request: usize,
    pub(super) token: u32,
}

/// A unit on the way from the root of the tree to the current sequence.
#[derive(Clone, Copy)]
struct Ancestor {
    unit: usize,
    /// The number of tokens that it shares with the units above.
    shared: usize,
}

/// The units of `sequences`, each with what it reads. Sequences that read the same tokens are one unit, and a target belongs to the first unit that reads the tokens
/// before it. Parents come first.
pub(super) fn plan(mut sequences: Vec<(Vec<PlacedToken>, ScoredSequence)>) -> Vec<ReadingUnit> {
    sequences.sort_by(|(a, left), (b, right)| (a, left.request).cmp(&(b, right.request)));
    let mut units: Vec<ReadingUnit> = Vec::new();
    let mut path: Vec<Ancestor> = Vec::new();
    for (input, sequence) in sequences {
        let is_new = units.last().is_none_or(|unit| unit.tokens != input);
        if is_new {
            let shared = units.last().map_or(0, |before| common(&before.tokens, &input));
            let shared = if shared * SMALLEST_SHARE < input.len() { 0 } else { shared };
            // Those that share no more with this sequence than the units above them.
            while path.last().is_some_and(|ancestor| ancestor.shared >= shared) {
                path.pop();
            }
            let parent = path.last().map(|ancestor| ancestor.unit);
            path.push(Ancestor { unit: units.len(), shared });
            if let Some(parent) = parent.and_then(|parent| units.get_mut(parent)) {
                parent.children += 1;
            }
            units.push(ReadingUnit {
                tokens: input,
                parent,
                shared,
                children: 0,
                targets: Vec::new(),
            });
        }
        let mut ancestors = path.iter().rev();
        let mut reader = ancestors.next();
        for (after, token) in sequence.targets().rev() {
            while reader.is_some_and(|ancestor| after < ancestor.shared) {
                reader = ancestors.next();
            }
            let request = sequence.request;
            if let Some(unit) = reader.and_then(|ancestor| units.get_mut(ancestor.unit)) {
                unit.targets.push(UnitTarget { after, request, token });
            }
        }
    }
    units.iter_mut().for_each(|unit| unit.targets.sort());
    units
}
