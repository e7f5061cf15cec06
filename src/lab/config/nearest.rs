//! Lists of known names, and what was meant by one that is not among them.

use std::borrow::Cow;

use crate::text::printable;

/// Names listed in a message before it ends in `…`.
const LISTED_NAMES: usize = 16;

/// The known name nearest to `name`, if near enough to have been meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit && *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `known: a, b, c`, or `there is none`.
pub fn known<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    // They come from files: a line break in one must not begin a line of the message.
    let mut listed: Vec<Cow<'_, str>> = names.by_ref().take(LISTED_NAMES).map(printable).collect();
    if names.next().is_some() {
        listed.push("…".into());
    }
    if listed.is_empty() {
        "there is none".to_owned()
    } else {
        format!("known: {}", listed.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_seen_and_another_word_is_not() {
        let kinds = ["eval", "filter", "generate", "mix", "sample", "train"];
        assert_eq!(nearest("trian", kinds), Some("train"));
        assert_eq!(nearest("Sample", kinds), Some("sample"));
        assert_eq!(nearest("evaluate", kinds), None);
        assert_eq!(nearest("k", ["n"]), None, "nothing is left of it");
    }

    #[test]
    fn long_lists_end_in_dots() {
        let names: Vec<String> = (0..20).map(|i| i.to_string()).collect();
        assert!(known(names.iter().map(String::as_str)).ends_with("15, …"));
        assert_eq!(known([]), "there is none");
    }
}
