//! Escapes for text within other languages, one function for each language. The crate `csv` does its own quoting.

use lab::text::{is_hidden, printable, printable_lines};

/// Escapes text for an element or a quoted attribute of HTML or SVG.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // XML allows no control characters, not even as references; a sign of direction would turn round what stands beside it.
            c if is_hidden(c) && !matches!(c, '\n' | '\t') => {}
            c => out.push(c),
        }
    }
    out
}

/// Escapes text for LaTeX. A `-` where a number begins becomes a minus sign.
pub(crate) fn latex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let text = printable(text);
    let mut characters = text.chars().peekable();
    let mut before = ' ';
    while let Some(character) = characters.next() {
        let begins = std::mem::replace(&mut before, character);
        match character {
            '-' if " [(=,".contains(begins) && characters.peek().is_some_and(char::is_ascii_digit) => out += "$-$",
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', character]),
            '\\' => out += "\\textbackslash{}",
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '<' => out += "\\textless{}",
            '>' => out += "\\textgreater{}",
            '±' => out += "$\\pm$",
            '×' => out += "$\\times$",
            '÷' => out += "$\\div$",
            'Δ' => out += "$\\Delta$",
            '†' => out += "$\\dagger$",
            '–' => out += "--",
            other => out.push(other),
        }
    }
    out
}

/// Escapes text for a cell of a Markdown table.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '|' | '\\' | '*' | '_' | '`' | '[' | ']' | '<' | '>' => out.extend(['\\', character]),
            other => out.push(other),
        }
    }
    out
}

/// A quoted string of Graphviz; line feeds become `\n`.
pub fn dot(text: &str) -> String {
    let text = printable_lines(text);
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Escapes text for a quoted label of Mermaid.
pub fn mermaid(text: &str) -> String {
    // A `#` begins a character by its name or number.
    let text = printable(text).replace('#', "#35;");
    text.replace('&', "#amp;").replace('"', "#quot;").replace('<', "#lt;")
}

/// Writes JSON for a `<script type="application/json">`: nothing in it can end the element or begin a comment.
pub(crate) fn json_in_script(json: &serde_json::Value) -> String {
    let text = json.to_string();
    // `<` and `>` occur in strings only; U+2028 and U+2029 end lines of scripts.
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn no_text_is_markup() {
        assert_eq!(html("<b a=\"'\">&\u{1}\n"), "&lt;b a=&quot;&#39;&quot;&gt;&amp;\n");
    }

    #[test]
    fn no_text_draws_or_turns_round_what_stands_beside_it() {
        let text = "a\x1b[31mb\u{202e}c\r\nd\u{9b}1me";
        assert_eq!(html(text), "a[31mbc\nd1me");
        for escape in [latex, markdown, mermaid] {
            assert_eq!(escape(text), "abc de");
        }
        assert_eq!(dot(text), r#""abc\nde""#);
    }

    #[test]
    fn no_json_ends_its_script() {
        let value = json!({"a": "</script><!-- \u{2028}\u{2029} & \""});
        let text = json_in_script(&value);
        assert!(!text.contains(['<', '>', '\u{2028}', '\u{2029}']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
