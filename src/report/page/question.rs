//! The comment that an experiment begins with, as paragraphs.

use crate::escaped;

/// Blank lines part paragraphs, lines within are joined. Lines that begin with a word and at least two spaces (`cost    6 minutes`)
/// are an entry of a list, up to the next.
pub(super) fn html(comment: &str) -> String {
    let mut text = String::new();
    for paragraph in comment.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let mut parts: Vec<(Option<&str>, String)> = Vec::new();
        for line in paragraph.lines() {
            match (entry(line), parts.last_mut()) {
                (Some((name, rest)), _) => parts.push((Some(name), rest.to_owned())),
                (None, Some((_, text))) => {
                    text.push(' ');
                    text.push_str(line.trim());
                }
                (None, None) => parts.push((None, line.trim().to_owned())),
            }
        }
        text += &written(&parts);
    }
    text
}

fn written(parts: &[(Option<&str>, String)]) -> String {
    let mut text = String::new();
    for (name, words) in parts {
        text += &match name {
            Some(name) => format!("<dl><dt>{}</dt><dd>{}</dd></dl>\n", escaped(name), escaped(words)),
            None => format!("<p>{}</p>\n", escaped(words)),
        };
    }
    text.replace("</dl>\n<dl>", "\n")
}

fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once("  ")?;
    let is_word = !name.is_empty() && name.chars().all(char::is_alphanumeric);
    is_word.then(|| (name, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_and_entries() {
        let comment = "Can it?\nOr <not>?\n\ncost    6 minutes,\n        then more\nexpect  99 %\n\nLast.";
        assert_eq!(
            html(comment),
            "<p>Can it? Or &lt;not&gt;?</p>\n<dl><dt>cost</dt><dd>6 minutes, then more</dd>\n<dt>expect</dt><dd>99 %</dd></dl>\n<p>Last.</p>\n"
        );
        assert_eq!(html(""), "");
    }
}
