//! `runner pin`: writes the digests of an experiment's sources into its file.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;

use toml_edit::{DocumentMut, Item, TableLike, value};

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::out_file::OutFile;
use super::run::reporter;
use super::session::StoreUse;
use super::signals::count_interrupts;
use super::sources::{self, SourceAccess};
use super::{CliError, Exit, Session};
use lab::event::Reporter;
use lab::source::{Source, SourcePin};
use lab::text::Paint;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The most lines that a pin puts into a table.
const MOST_LINES: usize = 2;

/// Download the sources that have no digest yet, and write their digests into the experiment's file
#[derive(Clone, Debug, clap::Args)]
pub struct PinArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

/// The pin of a downloaded source, and the commit of its revision.
struct NewPin {
    pin: SourcePin,
    commit: Option<String>,
}

/// Pins the sources of an experiment.
///
/// # Errors
/// When the experiment is wrong, a source cannot be downloaded, or the file cannot be written.
pub fn pin(args: &PinArgs, paint: Paint) -> Result<Exit, CliError> {
    let interrupts = count_interrupts();
    let session = Session::load(&args.experiment, &ExecutionArgs::default())?;
    if unpinned(&session).next().is_none() {
        return super::print("nothing to pin: every source has a digest or a path\n");
    }
    let session = session.with_store(StoreUse::Write)?;
    let mut reporter = reporter(paint, Rc::new(args.experiment.clone()));
    let new_pins = download(&session, &interrupts, reporter.as_mut())?;
    let path = &args.experiment.file;
    let cannot_write = |error: io::Error| CliError::Write(path.clone(), error);
    let text = std::fs::read_to_string(path).map_err(cannot_write)?;
    let mut document: DocumentMut = plain(&text).parse().map_err(|error| cannot_write(io::Error::other(error)))?;
    let mut report = String::new();
    for (name, new_pin) in &new_pins {
        let NewPin { pin, commit } = new_pin;
        report += &match write_pin(&mut document, name, new_pin) {
            true => format!("{name}: {pin}\n"),
            false => format!(
                "{name}: {pin}\n  `{}` has no table `[sources.{name}]`; add the digest to the file that declares the source\n",
                path.display()
            ),
        };
        if let Some(commit) = commit {
            report += &format!("  commit {commit}\n");
        }
    }
    let text = with_marks_of(&text, &document.to_string());
    let mut file = OutFile::create(path).map_err(cannot_write)?;
    file.write_all(text.as_bytes()).map_err(cannot_write)?;
    file.finish().map_err(cannot_write)?;
    super::print(&report)
}

/// The sources that have neither a digest nor a path.
fn unpinned(session: &Session) -> impl Iterator<Item = &Source> {
    let sources = session.dag.graph.node_weights().filter_map(|node| node.stage.source());
    sources.filter(|source| source.pin().is_none() && source.path.is_none())
}

fn download(session: &Session, interrupts: &AtomicUsize, reporter: &mut dyn Reporter) -> Result<BTreeMap<String, NewPin>, CliError> {
    let access = SourceAccess::new(&session.settings);
    let supplier = access.supplier(&session.store);
    let mut pins = BTreeMap::new();
    for source in unpinned(session) {
        if pins.contains_key(&source.name) {
            continue;
        }
        let content = sources::download_one(source, &supplier, interrupts, reporter)?;
        let pin = supplier.pin(source, &content).map_err(|error| CliError::Sources(vec![error]))?;
        let commit = supplier.commit(source);
        pins.insert(source.name.clone(), NewPin { pin, commit });
    }
    Ok(pins)
}

/// Writes a pin into the table of the source. Returns false if the file has no such table.
fn write_pin(document: &mut DocumentMut, name: &str, new_pin: &NewPin) -> bool {
    let table = document.get_mut("sources").and_then(Item::as_table_like_mut);
    let Some(source) = table.and_then(|table| table.get_mut(name)).and_then(Item::as_table_like_mut) else {
        return false;
    };
    if let (Some(commit), false) = (&new_pin.commit, source.contains_key("revision")) {
        set(source, "revision", commit);
    }
    set(source, "sha256", &new_pin.pin.digest);
    true
}

fn set(table: &mut dyn TableLike, key: &str, text: &str) {
    table.insert(key, value(text));
}

/// The text without a byte order mark, and with the line ends of Unix.
fn plain(text: &str) -> String {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).replace("\r\n", "\n")
}

/// The [`plain`] text `changed` with the mark and the line ends of the text that it was, line by line. A line that was put between others
/// ends as the one before it.
fn with_marks_of(before: &str, changed: &str) -> String {
    let mark = if before.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK } else { "" };
    let mut old = before[mark.len()..].split_inclusive('\n').peekable();
    let new: Vec<&str> = changed.split_inclusive('\n').collect();
    let mut text = mark.to_owned();
    let mut end = if before.find('\n').is_some_and(|at| before[..at].ends_with('\r')) {
        "\r\n"
    } else {
        "\n"
    };
    for (place, line) in new.iter().enumerate() {
        let content = without_end(line);
        let next = old.peek().copied();
        let comes_later = || {
            next.is_some_and(|next| {
                new.iter()
                    .skip(place + 1)
                    .take(MOST_LINES)
                    .any(|line| without_end(line) == without_end(next))
            })
        };
        let is_new = next.is_none_or(|next| without_end(next) != content) && comes_later();
        if let Some(next) = next.filter(|_| !is_new) {
            old.next();
            if next.ends_with('\n') {
                end = if next.ends_with("\r\n") { "\r\n" } else { "\n" };
            }
        }
        text += content;
        if line.ends_with('\n') {
            text += end;
        }
    }
    text
}

fn without_end(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::source::DigestAlgorithm;

    #[test]
    fn a_pin_is_written_where_the_source_is_and_nothing_else_changes() {
        let text = "# why\n[sources.data]   # ours\nhub = 'a/b'\n\n[sources]\nmodel = { hub = 'a/c', revision = 'v1' }\n\n[stages.x]\nkind = 'import'\n";
        let mut document: DocumentMut = text.parse().unwrap();
        let new_pin = NewPin {
            pin: SourcePin {
                algorithm: DigestAlgorithm::Sha256,
                digest: "ab".repeat(32),
            },
            commit: Some("12cd".to_owned()),
        };
        assert!(write_pin(&mut document, "data", &new_pin) && write_pin(&mut document, "model", &new_pin));
        assert!(!write_pin(&mut document, "other", &new_pin));
        insta::assert_snapshot!(document.to_string().replace(&"ab".repeat(32), "…"), @r#"
        # why
        [sources.data]   # ours
        hub = 'a/b'
        revision = "12cd"
        sha256 = "…"

        [sources]
        model = { hub = 'a/c', revision = 'v1' , sha256 = "…" }

        [stages.x]
        kind = 'import'
        "#);
    }

    #[test]
    fn line_ends_and_the_mark_stay_as_they_were() {
        let add = |before: &str| with_marks_of(before, &plain(before).replace("hub = 1\n", "hub = 1\nrevision = 2\nsha256 = 3\n"));
        assert_eq!(
            add("\u{feff}a = 1\r\nhub = 1\r\n\r\nb = 1\r\n"),
            "\u{feff}a = 1\r\nhub = 1\r\nrevision = 2\r\nsha256 = 3\r\n\r\nb = 1\r\n"
        );
        assert_eq!(
            add("a = 1\nhub = 1\r\nb = 1\nc = 1"),
            "a = 1\nhub = 1\r\nrevision = 2\r\nsha256 = 3\r\nb = 1\nc = 1"
        );
        let inline = with_marks_of("a = { }\r\nb = 1\n", "a = { sha256 = 3 }\nb = 1\n");
        assert_eq!(inline, "a = { sha256 = 3 }\r\nb = 1\n");
        // A table at the end of a file without a last line end.
        assert_eq!(
            with_marks_of("a = 1\r\nhub = 1", "a = 1\nhub = 1\nsha256 = 3\n"),
            "a = 1\r\nhub = 1\r\nsha256 = 3\r\n"
        );
    }
}
