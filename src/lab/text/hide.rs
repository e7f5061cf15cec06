//! Secrets out of texts.

/// What stands in place of what is hidden.
const HIDDEN: &str = "•••";

/// Shorter texts are not hidden: they stand everywhere.
const SHORTEST_HIDDEN: usize = 4;

/// A text in which none of `hidden` can be read.
pub fn hide(hidden: &[String], text: &str) -> String {
    let long = hidden.iter().filter(|hidden| hidden.len() >= SHORTEST_HIDDEN);
    long.fold(text.to_owned(), |text, hidden| text.replace(hidden.as_str(), HIDDEN))
}
