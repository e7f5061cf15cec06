//! Text from elsewhere, made safe to print: names and values of files, messages of programs and servers, lines of logs. Only this
//! module decides which characters reach a terminal.

use std::borrow::Cow;

/// Text on one line without control characters and escape sequences, so that it cannot move the cursor, colour the text after it, name the
/// window, or turn round what stands beside it. A tab or the end of a line becomes a space.
pub fn printable(text: &str) -> Cow<'_, str> {
    clean(text, false)
}

/// The same for a text of several lines, which stay lines.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    clean(text, true)
}

/// Text that parses as before, but shows no control character and no sign of direction: for machines that read it, and for people who see
/// it pass. Only for JSON, in which such characters stand nowhere but in strings.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_hidden_in_json) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_hidden_in_json(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                text += &format!("\\u{unit:04x}");
            }
        } else {
            text.push(character);
        }
    }
    Cow::Owned(text)
}

/// The text as it is drawn where a terminal shows no Unicode: our own signs as plain characters. What is not ours stays as it is.
pub fn in_ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '✓' => plain.push('+'),
            '✗' => plain.push('x'),
            '–' | '−' => plain.push('-'),
            '…' => plain += "...",
            '→' => plain += "->",
            '←' => plain += "<-",
            '±' => plain += "+/-",
            '×' => plain.push('x'),
            '÷' => plain.push('/'),
            'Δ' => plain += "delta ",
            other => plain.push(other),
        }
    }
    plain
}

/// Whether a character must not be printed as it is. Line feeds and tabs are among them.
pub fn is_hidden(character: char) -> bool {
    match character {
        c if c.is_control() => true,
        // Signs that turn the direction of the text around them, ends of lines and paragraphs, and characters that nothing shows.
        '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => true,
        // A second alphabet that no font shows.
        '\u{e0000}'..='\u{e007f}' => true,
        _ => false,
    }
}

/// `serde_json` escapes the control characters below a space itself; the line feed at the end of the line is ours.
fn is_hidden_in_json(character: char) -> bool {
    character >= '\u{7f}' && is_hidden(character)
}

fn clean(text: &str, keep_lines: bool) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hidden(c) && !(keep_lines && c == '\n')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '\x1b' => rest = after_escape(rest),
            // The same sequences, with an introducer of one character.
            '\u{9b}' => rest = after_parameters(rest),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => rest = after_string(rest),
            '\n' if keep_lines => out.push('\n'),
            '\t' | '\n' | '\u{2028}' | '\u{2029}' => out.push(' '),
            c if is_hidden(c) => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The text after an escape sequence; `rest` begins after its ESC.
fn after_escape(rest: &str) -> &str {
    match rest.chars().next() {
        Some('[') => after_parameters(&rest[1..]),
        Some(']' | 'P' | 'X' | '^' | '_') => after_string(&rest[1..]),
        // Intermediate characters before a final one: the choice of a character set.
        Some(' '..='/') => {
            let end = rest.trim_start_matches(|c: char| (' '..='/').contains(&c));
            end.strip_prefix(|c: char| ('0'..='~').contains(&c)).unwrap_or(end)
        }
        Some('0'..='~') => &rest[1..],
        _ => rest,
    }
}

/// The text after `31m`: parameters, intermediate characters, and the final one. What does not belong to it ends the sequence.
fn after_parameters(rest: &str) -> &str {
    let rest = rest.trim_start_matches(|c: char| (' '..='?').contains(&c));
    rest.strip_prefix(|c: char| ('@'..='~').contains(&c)).unwrap_or(rest)
}

/// The text after `0;title`, which ends with BEL or with ESC `\`. Without an end within the line, only its introducer is left out, so that
/// nothing is lost of what may be a message.
fn after_string(rest: &str) -> &str {
    let line = rest.lines().next().unwrap_or_default();
    let ends = ["\x07", "\x1b\\", "\u{9c}"];
    let end = ends.iter().filter_map(|end| Some(line.find(end)? + end.len())).min();
    &rest[end.unwrap_or(0)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_draw_on_the_terminal() {
        for (text, shown) in [
            ("\x1b[31mred\x1b[0m\r\x07 a\tb \x1b]", "red a b "),
            ("red\x1b[31m\x1b]0;title\x07 x", "red x"),
            ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
            ("\u{9b}31mred \u{9d}0;title\u{9c}x", "red x"),
            ("an unended \x1b]0;title stays readable", "an unended 0;title stays readable"),
            ("\x1b[1;2é stays", "é stays"),
            ("\x1b(Bset\x1bcreset\x1b", "setreset"),
            ("admin\u{202e}txt.exe\u{2066}\u{200b}", "admintxt.exe"),
            ("one\ntwo\u{2028}three\r\n", "one two three "),
            ("plain → ± 数 👩\u{200d}🔬", "plain → ± 数 👩\u{200d}🔬"),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(printable_lines("one\x1b[2J\r\n\x1b]0;unended\ntwo\t3"), "one\n0;unended\ntwo 3");
    }

    #[test]
    fn json_means_the_same_and_shows_nothing_hidden() {
        let value = serde_json::json!({"name": "a\x1b[31m\u{9b}31m\u{202e}\u{e0041}数"});
        let text = format!("{value}\n");
        let shown = printable_json(&text);
        assert!(shown.ends_with("}\n") && !shown.trim_end().chars().any(is_hidden), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn our_signs_have_plain_forms() {
        assert_eq!(in_ascii("✓ 1e-3 → 2e-3, 98.6 ± 0.1, – …"), "+ 1e-3 -> 2e-3, 98.6 +/- 0.1, - ...");
    }
}
