//! `runner pin`: writes the digests of an experiment's sources into its file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicUsize;

use toml_edit::{DocumentMut, Item, TableLike, value};

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::run::{count_interrupts, reporter};
use super::sources::{self, Access};
use super::{CliError, Exit, Session};
use lab::source::{Pin, Source};
use lab::text::Paint;

/// Fetch the sources that have no digest yet, and write their digests into the experiment's file
#[derive(Clone, Debug, clap::Args)]
pub struct PinArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

/// A pin, and the commit of the revision, for a source that is fetched.
struct Found {
    pin: Pin,
    commit: Option<String>,
}

/// Pins them.
///
/// # Errors
/// When the experiment is wrong, a source cannot be fetched, or the file cannot be written.
pub fn pin(args: &PinArgs, paint: Paint) -> Result<Exit, CliError> {
    let interrupts = count_interrupts();
    let session = Session::open(&args.experiment, &ExecutionArgs::default())?;
    let found = fetch(&session, &interrupts, paint)?;
    if found.is_empty() {
        return super::print("every source has a digest or a path\n");
    }
    let path = &args.experiment.file;
    let failed = |error: io::Error| CliError::Write(path.clone(), error);
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let mut document: DocumentMut = text.parse().map_err(|error| failed(io::Error::other(error)))?;
    let mut said = String::new();
    for (name, found) in &found {
        let Found { pin, commit } = found;
        said += &match write(&mut document, name, found) {
            true => format!("{name}: {pin}\n"),
            false => format!(
                "{name}: {pin}\n  `{}` has no table `[sources.{name}]`: write it where it stands\n",
                path.display()
            ),
        };
        if let Some(commit) = commit {
            said += &format!("  commit {commit}\n");
        }
    }
    replace(path, &document.to_string()).map_err(failed)?;
    super::print(&said)
}

fn fetch(session: &Session, interrupts: &AtomicUsize, paint: Paint) -> Result<BTreeMap<String, Found>, CliError> {
    let access = Access::new(&session.settings);
    let supplier = access.supplier(&session.store);
    let sources = session.dag.graph.node_weights().filter_map(|node| node.stage.source());
    let open: Vec<&Source> = sources.filter(|source| source.pin().is_none() && source.path.is_none()).collect();
    let mut reporter = reporter(false, paint);
    let mut found = BTreeMap::new();
    for source in open {
        if found.contains_key(&source.name) {
            continue;
        }
        let content = sources::bring_one(source, &supplier, interrupts, reporter.as_mut())?;
        let pin = supplier.pin(source, &content).map_err(|error| CliError::Sources(vec![error]))?;
        let commit = supplier.commit(source);
        found.insert(source.name.clone(), Found { pin, commit });
    }
    Ok(found)
}

/// Writes a pin into the source's table; whether the file has one.
fn write(document: &mut DocumentMut, name: &str, found: &Found) -> bool {
    let table = document.get_mut("sources").and_then(Item::as_table_like_mut);
    let Some(source) = table.and_then(|table| table.get_mut(name)).and_then(Item::as_table_like_mut) else {
        return false;
    };
    if let (Some(commit), false) = (&found.commit, source.contains_key("revision")) {
        set(source, "revision", commit);
    }
    set(source, "sha256", &found.pin.digest);
    true
}

fn set(table: &mut dyn TableLike, key: &str, text: &str) {
    table.insert(key, value(text));
}

/// Puts the file's new text in place of the old one, whole.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    let rights = std::fs::metadata(path)?.permissions();
    file.as_file().set_permissions(rights)?;
    file.persist(path).map(drop).map_err(|failure| failure.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::source::Algorithm;

    #[test]
    fn a_pin_is_written_where_the_source_is_and_nothing_else_changes() {
        let text = "# why\n[sources.data]   # ours\nhub = 'a/b'\n\n[sources]\nmodel = { hub = 'a/c', revision = 'v1' }\n\n[stages.x]\nkind = 'import'\n";
        let mut document: DocumentMut = text.parse().unwrap();
        let found = Found {
            pin: Pin {
                algorithm: Algorithm::Sha256,
                digest: "ab".repeat(32),
            },
            commit: Some("12cd".to_owned()),
        };
        assert!(write(&mut document, "data", &found) && write(&mut document, "model", &found));
        assert!(!write(&mut document, "other", &found));
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
