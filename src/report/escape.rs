//! Text within HTML and SVG.

/// Text in which a browser sees nothing but text, in an element or a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // XML has no place for control characters, not even as references.
            c if c.is_control() && !matches!(c, '\n' | '\t') => {}
            c => out.push(c),
        }
    }
    out
}

/// JSON for a `<script type="application/json">`: nothing in it can end the element or begin a comment.
pub(super) fn json_in_script(json: &serde_json::Value) -> String {
    let text = json.to_string();
    // `<` and `>` stand in strings only; U+2028 and U+2029 end lines of scripts.
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
        assert_eq!(escaped("<b a=\"'\">&\u{1}\n"), "&lt;b a=&quot;&#39;&quot;&gt;&amp;\n");
    }

    #[test]
    fn no_json_ends_its_script() {
        let value = json!({"a": "</script><!-- \u{2028}\u{2029} & \""});
        let text = json_in_script(&value);
        assert!(!text.contains(['<', '>', '\u{2028}', '\u{2029}']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
