//! `runner pin`: writes the digests of an experiment's sources into its file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;

use toml_edit::{DocumentMut, Item, TableLike, value};

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::run::reporter;
use super::session::StoreUse;
use super::signals::count_interrupts;
use super::sources::{self, SourceAccess};
use super::{CliError, Exit, Session};
use lab::event::Reporter;
use lab::source::{Source, SourcePin};
use lab::text::Paint;

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
    let session = Session::open(&args.experiment, &ExecutionArgs::default(), StoreUse::Write)?;
    let mut reporter = reporter(paint, Rc::new(args.experiment.clone()));
    let new_pins = download(&session, &interrupts, reporter.as_mut())?;
    if new_pins.is_empty() {
        return super::print("nothing to pin: every source has a digest or a path\n");
    }
    let path = &args.experiment.file;
    let cannot_write = |error: io::Error| CliError::Write(path.clone(), error);
    let text = std::fs::read_to_string(path).map_err(cannot_write)?;
    let mut document: DocumentMut = text.parse().map_err(|error| cannot_write(io::Error::other(error)))?;
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
    replace_file(path, &document.to_string()).map_err(cannot_write)?;
    super::print(&report)
}

fn download(session: &Session, interrupts: &AtomicUsize, reporter: &mut dyn Reporter) -> Result<BTreeMap<String, NewPin>, CliError> {
    let access = SourceAccess::new(&session.settings);
    let supplier = access.supplier(&session.store);
    let sources = session.dag.graph.node_weights().filter_map(|node| node.stage.source());
    let unpinned: Vec<&Source> = sources.filter(|source| source.pin().is_none() && source.path.is_none()).collect();
    let mut pins = BTreeMap::new();
    for source in unpinned {
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

/// Replaces the content of a file atomically, and keeps its permissions.
fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    let permissions = std::fs::metadata(path)?.permissions();
    file.as_file().set_permissions(permissions)?;
    file.persist(path).map(drop).map_err(|failure| failure.error)
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
}
