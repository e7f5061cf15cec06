//! What servers send in place of a file, with a status that says that all is well.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::http;

/// How much of a file is looked at.
const BEGINNING: u64 = 4096;
/// A Git LFS pointer is no longer than this (bytes).
const LONGEST_POINTER: u64 = 1024;

/// What is there in place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disguise {
    /// A web page, with its title or the beginning of its text.
    Page(String),
    /// The few lines that Git keeps of a file that Git LFS keeps elsewhere.
    LfsPointer,
}

impl fmt::Display for Disguise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(title) if title.is_empty() => f.write_str("a web page"),
            Self::Page(title) => write!(f, "a web page ({title})"),
            Self::LfsPointer => f.write_str("a Git LFS pointer"),
        }
    }
}

impl Disguise {
    /// What to do about it.
    pub(super) fn help(&self) -> &'static str {
        match self {
            Self::Page(_) => "open the address in a browser: it may want a login; if a page is what is wanted, pin it (`sha256`)",
            Self::LfsPointer => {
                "give the address of the file itself (at GitHub `https://media.githubusercontent.com/media/…`, at the hub `…/resolve/…`)"
            }
        }
    }
}

/// What the file at `path` is in place of a file called `name`, with the type that the server gave; `None` if it may be the file.
pub(super) fn of_file(path: &Path, name: &str, content_type: &str) -> Option<Disguise> {
    let mut beginning = Vec::new();
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.take(BEGINNING).read_to_end(&mut beginning).ok()?;
    if length <= LONGEST_POINTER && beginning.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Some(Disguise::LfsPointer);
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let is_wanted = matches!(ending.as_str(), "html" | "htm" | "xhtml" | "shtml");
    (!is_wanted && http::is_page(content_type, &beginning)).then(|| Disguise::Page(short(&http::what_it_says(&beginning))))
}

/// The name of the file at an address: its last part, without a query.
pub(super) fn name_of(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The beginning of a title.
fn short(title: &str) -> String {
    const LONGEST: usize = 60;
    if title.chars().count() <= LONGEST {
        return title.to_owned();
    }
    title.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_pointers_are_told_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let found = |text: &str, name: &str, content_type: &str| {
            std::fs::write(&path, text).unwrap();
            of_file(&path, name, content_type)
        };
        let page = |title: &str| Some(Disguise::Page(title.to_owned()));
        assert_eq!(found("<html>Please log in</html>", "a.jsonl", ""), page("Please log in"));
        assert_eq!(found("please log in", "a.jsonl", "text/html"), page("please log in"));
        assert_eq!(
            found("\n<!DOCTYPE html><title>Sign in</title>", "a.gz", "application/gzip"),
            page("Sign in")
        );
        assert_eq!(found("<html></html>", "a.html", "text/html"), None);
        assert_eq!(found("{\"prompt\": \"<html>\"}", "a.jsonl", "text/plain"), None);
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12345\n";
        assert_eq!(found(pointer, "a.parquet", "text/plain"), Some(Disguise::LfsPointer));
        assert_eq!(found(&(pointer.to_owned() + &"x".repeat(2000)), "a.txt", ""), None);
        assert_eq!(found("", "a", ""), None);
    }

    #[test]
    fn the_name_at_an_address_is_its_last_part() {
        for (address, name) in [
            ("http://a.org/x/b.html?c=d/e.txt", "b.html"),
            ("http://a.org/x/#b", ""),
            ("b.csv", "b.csv"),
        ] {
            assert_eq!(name_of(address), name);
        }
    }
}
