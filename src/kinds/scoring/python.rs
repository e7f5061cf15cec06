//! What Python does with texts, where verdicts must be the same.

pub(super) use learn::python::is_space;

/// Python's `str.strip`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// The text without the punctuation of ASCII: without the characters of Python's `string.punctuation`.
pub(super) fn without_punctuation(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_punctuation()).collect()
}

/// The items of a list as Python or JSON writes it (`["a", 'b', 3]`), as texts; `None` if the text is no list of texts and numbers.
pub(super) fn list(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?.trim_matches(is_space);
    let mut items = Vec::new();
    while !rest.is_empty() {
        let (item, after) = item(rest)?;
        items.push(item);
        rest = after.trim_start_matches(is_space);
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start_matches(is_space),
            None if rest.is_empty() => break,
            None => return None,
        }
    }
    Some(items)
}

/// The item that `text` begins with, and what follows it.
fn item(text: &str) -> Option<(String, &str)> {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return quoted(text.get(1..)?, quote);
    }
    let end = text.find(|c: char| c == ',' || is_space(c)).unwrap_or(text.len());
    let (item, after) = text.split_at_checked(end)?;
    let is_number = item.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && item.parse::<f64>().is_ok();
    let is_name = matches!(item, "True" | "False" | "None" | "true" | "false" | "null");
    (is_number || is_name).then(|| (item.to_owned(), after))
}

/// The text up to `quote`, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let (mut read, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next()?.1 {
                'n' => read.push('\n'),
                't' => read.push('\t'),
                'r' => read.push('\r'),
                'x' => read.push(code(&mut chars, 2)?),
                'u' => read.push(code(&mut chars, 4)?),
                'U' => read.push(code(&mut chars, 8)?),
                c @ ('\\' | '\'' | '"' | '/') => read.push(c),
                // Left as it stands, as in Python.
                c => read.extend(['\\', c]),
            },
            c if c == quote => return Some((read, text.get(at + 1..)?)),
            c => read.push(c),
        }
    }
    None
}

fn code(chars: &mut std::str::CharIndices<'_>, length: usize) -> Option<char> {
    let digits: String = chars.by_ref().take(length).map(|(_, c)| c).collect();
    let is_whole = digits.len() == length;
    char::from_u32(u32::from_str_radix(&digits, 16).ok()?).filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_python_reads_them() {
        for (text, items) in [
            ("[]", vec![]),
            ("['a']", vec!["a"]),
            (r#"["a", 'b"c', 3, -0.5,]"#, vec!["a", "b\"c", "3", "-0.5"]),
            (r"['it\'s', '\u00e9\n', '\d']", vec!["it's", "é\n", r"\d"]),
            ("[True, None]", vec!["True", "None"]),
        ] {
            assert_eq!(list(text).unwrap(), items, "{text}");
        }
        for text in [
            "",
            "[",
            "[a]",
            "['a' 'b']",
            "['a",
            "[1, 2)",
            "[[1], 2]",
            "['a']b",
            r"['\x4']",
            "[,]",
        ] {
            assert_eq!(list(text), None, "{text}");
        }
        assert_eq!(
            (strip("\u{1f}\u{a0} a\n"), without_punctuation("a.b-c'«")),
            ("a", "abc«".to_owned())
        );
    }
}
