//! The comment at the top of an experiment's file, as HTML.

use crate::escape;

/// Blank lines separate paragraphs; the lines of a paragraph are joined. A line that begins with a word and at least two spaces
/// (`cost    6 minutes`) begins an entry of a list.
pub(super) fn comment_as_html(comment: &str) -> String {
    let mut text = String::new();
    for paragraph in comment.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let mut parts: Vec<(Option<&str>, String)> = Vec::new();
        for line in paragraph.lines() {
            match (list_entry(line), parts.last_mut()) {
                (Some((name, rest)), _) => parts.push((Some(name), rest.to_owned())),
                (None, Some((_, text))) => {
                    text.push(' ');
                    text.push_str(line.trim());
                }
                (None, None) => parts.push((None, line.trim().to_owned())),
            }
        }
        text += &paragraph_html(&parts);
    }
    text
}

fn paragraph_html(parts: &[(Option<&str>, String)]) -> String {
    let mut text = String::new();
    for (name, words) in parts {
        text += &match name {
            Some(name) => format!("<dl><dt>{}</dt><dd>{}</dd></dl>\n", escape::html(name), escape::html(words)),
            None => format!("<p>{}</p>\n", escape::html(words)),
        };
    }
    text.replace("</dl>\n<dl>", "\n")
}

fn list_entry(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once("  ")?;
    let is_word = !name.is_empty() && name.chars().all(char::is_alphanumeric);
    is_word.then(|| (name, rest.trim()))
}

/// The comment at the top of an experiment's file, without `#` and without directives (`#:schema`).
pub fn question_in_comment(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.trim().is_empty() || line.starts_with("#:"));
    let comment = lines.map_while(|line| line.strip_prefix('#'));
    let lines: Vec<&str> = comment.map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_and_entries() {
        let comment = "Can it?\nOr <not>?\n\ncost    6 minutes,\n        then more\nexpect  99 %\n\nLast.";
        assert_eq!(
            comment_as_html(comment),
            "<p>Can it? Or &lt;not&gt;?</p>\n<dl><dt>cost</dt><dd>6 minutes, then more</dd>\n<dt>expect</dt><dd>99 %</dd></dl>\n<p>Last.</p>\n"
        );
        assert_eq!(comment_as_html(""), "");
    }

    #[test]
    fn the_comment_at_the_top_is_the_question() {
        let text = "#:schema ./schema.json\n# Can it?\n#\n# cost    1 minute\n#         or 2\nname = \"x\"\n# Not this.\n";
        assert_eq!(question_in_comment(text), "Can it?\n\ncost    1 minute\n        or 2");
        assert_eq!(question_in_comment("name = \"x\"\n# late"), "");
    }
}
