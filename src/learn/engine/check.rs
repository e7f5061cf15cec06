//! Checks of an engine's inputs, so that the passes need none.

use super::{Batch, EngineError, Feed, IGNORED, ScoredFeed};
use crate::model::{Array, ModelShape, Places};

/// Checks that the tensor `name` has the shape that the decoder needs.
///
/// # Errors
/// When it has not.
pub fn tensor(name: &str, expected: &[usize], found: &Array) -> Result<(), EngineError> {
    if found.shape != expected {
        return Err(EngineError::Tensor {
            name: name.to_owned(),
            expected: expected.to_vec(),
            found: found.shape.clone(),
        });
    }
    count("numbers in a tensor", found.data.len(), expected.iter().product())
}

/// Checks that the parts of a batch have matching lengths and that all indices are in range.
///
/// # Errors
/// When one of them is not.
pub fn batch(shape: &ModelShape, batch: &Batch) -> Result<(), EngineError> {
    let tokens = batch.tokens.len();
    count("targets", batch.targets.len(), tokens)?;
    count("tokens in all its sequences", batch.lengths.iter().sum(), tokens)?;
    if let Some(tokens) = batch.lengths.iter().copied().find(|length| *length > shape.context) {
        return Err(EngineError::TooLong {
            tokens,
            context: shape.context,
        });
    }
    below(
        "target",
        batch.targets.iter().filter(|target| **target != IGNORED),
        shape.vocabulary,
    )?;
    indices(shape, &batch.tokens, &batch.lines, &batch.columns, &batch.places)
}

/// Checks that a feed fits the decoder and its cache of `slots` slots; the feed's slot holds `held` tokens.
///
/// # Errors
/// When it does not.
pub fn feed(shape: &ModelShape, slots: usize, feed: &Feed<'_>, held: usize) -> Result<(), EngineError> {
    slot(slots, feed.slot)?;
    if feed.tokens.is_empty() {
        return Err(EngineError::Count {
            what: "tokens",
            expected: 1,
            found: 0,
        });
    }
    if feed.start > held {
        return Err(EngineError::OutOfRange {
            what: "start",
            found: feed.start,
            bound: held + 1,
        });
    }
    let tokens = feed.start + feed.tokens.len();
    if tokens > shape.context {
        return Err(EngineError::TooLong {
            tokens,
            context: shape.context,
        });
    }
    indices(shape, feed.tokens, feed.lines, feed.columns, feed.places)
}

/// Checks that the targets of a feed are tokens after some of the feed's, in order.
///
/// # Errors
/// When they are not.
pub fn targets(shape: &ModelShape, scored: &ScoredFeed<'_>) -> Result<(), EngineError> {
    let out_of_range = |found, bound| EngineError::OutOfRange {
        what: "place of a target",
        found,
        bound,
    };
    let mut first = 0;
    for target in scored.targets {
        if target.after < first || target.after >= scored.feed.tokens.len() {
            return Err(out_of_range(target.after, scored.feed.tokens.len()));
        }
        first = target.after;
    }
    below("target", scored.targets.iter().map(|target| &target.token), shape.vocabulary)
}

/// Checks that the first `count` tokens of slot `from`, which holds `held`, can be copied to slot `to`, of `slots`.
///
/// # Errors
/// When they cannot.
pub fn copy(slots: usize, from: usize, to: usize, count: usize, held: usize) -> Result<(), EngineError> {
    slot(slots, from)?;
    slot(slots, to)?;
    if count > held {
        return Err(EngineError::OutOfRange {
            what: "number of copied tokens",
            found: count,
            bound: held + 1,
        });
    }
    Ok(())
}

fn slot(slots: usize, slot: usize) -> Result<(), EngineError> {
    if slot < slots {
        return Ok(());
    }
    Err(EngineError::OutOfRange {
        what: "slot",
        found: slot,
        bound: slots,
    })
}

fn indices(shape: &ModelShape, tokens: &[u32], lines: &[u32], columns: &[u32], places: &[u32]) -> Result<(), EngineError> {
    below("token", tokens.iter(), shape.vocabulary)?;
    if shape.lines > 0 {
        count("line numbers", lines.len(), tokens.len())?;
        below("line number", lines.iter(), shape.lines)?;
    }
    if shape.columns > 0 {
        count("column numbers", columns.len(), tokens.len())?;
        below("column number", columns.iter(), shape.columns)?;
    }
    if shape.places.is_some() {
        count("rows of places", places.len(), Places::TABLES * tokens.len())?;
        below("row of places", places.iter(), shape.place_rows())?;
    }
    Ok(())
}

fn count(what: &'static str, found: usize, expected: usize) -> Result<(), EngineError> {
    if found == expected {
        Ok(())
    } else {
        Err(EngineError::Count { what, expected, found })
    }
}

fn below<'a>(what: &'static str, mut values: impl Iterator<Item = &'a u32>, bound: usize) -> Result<(), EngineError> {
    match values.find(|value| **value as usize >= bound) {
        None => Ok(()),
        Some(found) => Err(EngineError::OutOfRange {
            what,
            found: *found as usize,
            bound,
        }),
    }
}
