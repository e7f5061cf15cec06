//! The parts of a text with placeholders: `--data={input.data}`.

/// A part of a text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePiece<'a> {
    /// Text, a brace in it no longer doubled.
    Text(&'a str),
    /// What stands in braces: `input.data`.
    Placeholder(&'a str),
}

/// The parts of the text of a [`super::ValueData::Template`], in order.
pub fn pieces(template: &str) -> Vec<TemplatePiece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let brace = &rest[at..=at];
        if rest[at + 1..].starts_with(brace) {
            pieces.push(TemplatePiece::Text(&rest[..=at]));
            rest = &rest[at + 2..];
            continue;
        }
        // Only a work order that was tampered with has a brace alone: it is text.
        let close = rest[at..].find('}').filter(|_| brace == "{").map(|length| at + length);
        let Some(close) = close else {
            pieces.push(TemplatePiece::Text(&rest[..=at]));
            rest = &rest[at + 1..];
            continue;
        };
        pieces.extend([
            TemplatePiece::Text(&rest[..at]),
            TemplatePiece::Placeholder(rest[at + 1..close].trim()),
        ]);
        rest = &rest[close + 1..];
    }
    pieces.push(TemplatePiece::Text(rest));
    pieces.retain(|piece| *piece != TemplatePiece::Text(""));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_pieces() {
        use TemplatePiece::{Placeholder, Text};
        assert_eq!(
            pieces("a{{b}}{input.data}{{{scratch}"),
            [Text("a{"), Text("b}"), Placeholder("input.data"), Text("{"), Placeholder("scratch")]
        );
        assert_eq!(pieces("}{"), [Text("}"), Text("{")]);
    }
}
