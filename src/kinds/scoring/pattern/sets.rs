//! Sets of characters by their names, and the flags that change them.

/// What `\w` is in Python: letters, numbers of any kind, and `_`.
const WORD: &str = r"\p{L}\p{N}_";
/// What `\s` is in Python.
const SPACE: &str = r"\s\x1c-\x1f";

/// The flags that are on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub ignore_case: bool,
    pub multiline: bool,
    pub dot_all: bool,
    pub verbose: bool,
    pub ascii: bool,
}

impl Flags {
    /// Switches a flag; `None` if there is none of this letter.
    pub(super) fn set(&mut self, letter: char, on: bool) -> Option<()> {
        let flag = match letter {
            'i' => &mut self.ignore_case,
            'm' => &mut self.multiline,
            's' => &mut self.dot_all,
            'x' => &mut self.verbose,
            'a' => &mut self.ascii,
            // The default.
            'u' if on => return Some(()),
            _ => return None,
        };
        *flag = on;
        Some(())
    }
}

/// `\d` and the like as a set.
pub(super) fn named_set(letter: char, flags: Flags) -> String {
    let members = match (letter.to_ascii_lowercase(), flags.ascii) {
        ('d', false) => r"\p{Nd}",
        ('d', true) => "0-9",
        ('w', false) => WORD,
        ('w', true) => "a-zA-Z0-9_",
        (_, false) => SPACE,
        (_, true) => r" \t\n\r\x0b\x0c",
    };
    format!("[{}{members}]", if letter.is_ascii_uppercase() { "^" } else { "" })
}

/// The border of a word, or all that is not one.
pub(super) fn boundary(flags: Flags, not: bool) -> String {
    let word = named_set('w', flags);
    match not {
        false => format!("(?:(?<={word})(?!{word})|(?<!{word})(?={word}))"),
        true => format!("(?:(?<={word})(?={word})|(?<!{word})(?!{word}))"),
    }
}
