//! Commands that have another name now.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The old and new names of commands.
const RENAMED: [(&str, &str); 5] = [
    ("fetch", "get"),
    ("key", "signing-key"),
    ("cache pin", "cache protect"),
    ("cache pin --remove", "cache unprotect"),
    ("cache pins", "cache protected"),
];

/// The message for a command line that was refused because it uses an old name; `None` if that is not the reason.
pub(super) fn message(error: &clap::Error, arguments: impl IntoIterator<Item = OsString>) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let at = arguments.iter().position(|argument| argument == word.as_str())?;
    let mut name = word.clone();
    if arguments[..at].iter().any(|argument| argument == "cache") {
        name.insert_str(0, "cache ");
    }
    if arguments[at..].iter().any(|argument| argument == "--remove") {
        name.push_str(" --remove");
    }
    let (old, new) = RENAMED.iter().find(|(old, _)| *old == name)?;
    Some(format!("`runner {old}` is now `runner {new}`"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn message_for(line: &str) -> Option<String> {
        let words = || line.split(' ').map(OsString::from);
        message(&Cli::try_parse_from(words()).err()?, words())
    }

    #[test]
    fn an_old_name_is_answered_with_the_new_one() {
        for (line, expected) in [
            ("runner fetch x.toml score", "`runner fetch` is now `runner get`"),
            ("runner key new", "`runner key` is now `runner signing-key`"),
            ("runner cache pin x.toml", "`runner cache pin` is now `runner cache protect`"),
            (
                "runner cache --color never pin x.toml --remove",
                "`runner cache pin --remove` is now `runner cache unprotect`",
            ),
            ("runner cache pins", "`runner cache pins` is now `runner cache protected`"),
        ] {
            assert_eq!(message_for(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn other_mistakes_are_left_to_clap() {
        for line in [
            "runner",
            "runner cache fetch",
            "runner cache key",
            "runner plna x.toml",
            "runner pin",
        ] {
            assert_eq!(message_for(line), None, "{line}");
        }
    }
}
