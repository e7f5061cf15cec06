//! Long texts on one line.

use super::escape::printable;

/// `text` on one line, printable, and with at most `limit` characters: the middle of a longer one is left out, since names differ at their
/// ends.
pub fn shortened(text: &str, limit: usize) -> String {
    let text = printable(text);
    let count = text.chars().count();
    if count <= limit {
        return text.into_owned();
    }
    let kept = limit.saturating_sub(1);
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let first: String = text.chars().take(head).collect();
    let last: String = text.chars().skip(count - tail).collect();
    format!("{first}…{last}")
}

/// `text`, of a longer one its first `limit` characters.
pub fn beginning(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// `text` on one line, printable: of a longer one its two ends with `limit` characters together, and how many it has.
pub fn cut_line(text: &str, limit: usize) -> String {
    let text = printable(text);
    let count = text.chars().count();
    if count <= limit {
        text.into_owned()
    } else {
        cut_ends(&text, &text, count, limit)
    }
}

/// The beginning of `head` and the end of `tail`, with `limit` characters together, of a line that has `count` of them.
pub fn cut_ends(head: &str, tail: &str, count: usize, limit: usize) -> String {
    let last = limit / 2;
    let first: String = head.chars().take(limit - last).collect();
    let skipped = tail.chars().count().saturating_sub(last);
    let last: String = tail.chars().skip(skipped).collect();
    format!("{first}… ({count} characters) …{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_long_name_stay() {
        assert_eq!(shortened("score[0] (seed=1)", 17), "score[0] (seed=1)");
        assert_eq!(shortened(&format!("score{}=1)", "x".repeat(1000)), 9), "scor…x=1)");
        assert_eq!(shortened("a\x1b[31mb", 2), "ab");
    }

    #[test]
    fn the_beginning_of_a_long_text_stays() {
        assert_eq!([beginning("åb", 2), beginning("åbc", 2)], ["åb", "åb…"]);
    }

    #[test]
    fn a_long_line_loses_its_middle() {
        assert_eq!(cut_line("error", 5), "error");
        assert_eq!(cut_line("an error\x1b[0m", 4), "an… (8 characters) …or");
    }
}
