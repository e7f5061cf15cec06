//! The names that a fingerprint has for the files of an environment, apart from those of the files that a program is given.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::hash::Digest;

/// What begins these names. No file that a program is given has such a name: those are relative.
const PREFIX: &str = "/environment/";

/// The name in a fingerprint of a file that decides what is in an environment.
pub fn of_environment(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The files in a fingerprint by their own names: those that a program is given, and those that decide what is in its environment.
pub fn by_purpose(files: &BTreeMap<String, Digest>) -> (BTreeMap<String, Digest>, BTreeMap<String, Digest>) {
    let (mut given, mut deciding) = (BTreeMap::new(), BTreeMap::new());
    for (name, digest) in files {
        match name.strip_prefix(PREFIX) {
            Some(name) => deciding.insert(name.to_owned(), *digest),
            None => given.insert(name.clone(), *digest),
        };
    }
    (given, deciding)
}

/// The name of a file in a fingerprint, for people.
pub fn file_text(name: &str) -> Cow<'_, str> {
    match name.strip_prefix(PREFIX) {
        Some(name) => Cow::Owned(format!("{name} (environment)")),
        None => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_told_from_a_file_of_the_program() {
        assert_eq!(of_environment("uv.lock"), "/environment/uv.lock");
        assert_eq!(file_text(&of_environment("uv.lock")), "uv.lock (environment)");
        assert_eq!(file_text("uv.lock"), "uv.lock");
        let files = BTreeMap::from([
            (of_environment("uv.lock"), Digest::of(b"1")),
            ("uv.lock".to_owned(), Digest::of(b"2")),
        ]);
        let (given, deciding) = by_purpose(&files);
        assert_eq!((given["uv.lock"], deciding["uv.lock"]), (Digest::of(b"2"), Digest::of(b"1")));
    }
}
