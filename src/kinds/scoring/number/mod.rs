//! The number that a free answer gives, read as people read it.
//!
//! What counts is what the answer says last of itself: after `####`, in `\boxed{}`, after words such as "the answer is"
//! ([`lead`]). Without any of these, it is the last number of the text, or the one in bold in its last line ([`closing`]). A number that
//! is a part of something else (`18x`, `20 minutes and thirty seconds`) is not taken for the whole.

mod clean;
mod closing;
mod lead;
mod phrase;
mod spot;
#[cfg(test)]
mod tests;

use crate::task::Amount;

/// The last number in digits; in a text without digits, the last one in words.
pub(super) fn last(text: &str) -> Option<Amount> {
    let text = clean::plain(text);
    spot::last(&text).map(|spotted| spotted.amount)
}

/// The number that the text gives as its answer; `None` if it gives none, or none that can be read.
pub(super) fn answer(text: &str) -> Option<Amount> {
    let text = clean::plain(clean::own_part(text));
    match lead::read(&text) {
        Some(read) => read,
        None => closing::read(&text),
    }
}

/// The number that a target is: the text as a whole, or the answer of a solution.
pub(super) fn of_target(target: &str) -> Option<Amount> {
    Amount::parse(target).or_else(|| answer(target))
}
