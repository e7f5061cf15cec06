//! Text from elsewhere, made safe to print on a terminal.

/// A line without control characters and escape sequences, so that it cannot move the cursor or colour the text after it. A tab becomes
/// a space.
pub fn printable(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            // A CSI sequence extends to its final byte, `@` to `~`.
            '\x1b' => {
                if characters.next() == Some('[') {
                    characters.by_ref().find(|c| ('@'..='~').contains(c));
                }
            }
            '\t' => text.push(' '),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_draw_on_the_terminal() {
        assert_eq!(printable("\x1b[31mred\x1b[0m\r\x07 a\tb \x1b]"), "red a b ");
    }
}
