//! Data that a store accepts from elsewhere: records, manifests, bundles.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use lab::fingerprint::Fingerprint;
use lab::hash::Digest;
use lab::store::{Artifact, Outputs, Record, Store, remote};
use serde_json::json;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use crate::change::changed;

const ROWS: &[u8] = b"rows";

/// A folder with a store, and a file beside it that must not change.
static LAB: LazyLock<TempDir> = LazyLock::new(|| {
    let lab = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(lab.path().join("outside"), "as it was").expect("a file can be written");
    lab
});

static STORE: LazyLock<Store> = LazyLock::new(|| Store::open(&LAB.path().join("store")).expect("a store can be made"));

static RECORD: LazyLock<Record> = LazyLock::new(|| {
    let artifact = Artifact::file(Digest::of(ROWS), ROWS.len() as u64);
    let fingerprint = Fingerprint::new("mix", 1, json!({"mode": "new", "rate": 0.5, "names": ["a", "b"]}));
    Record::new(fingerprint, Outputs::from([("data".to_owned(), artifact)]))
});

/// A valid record has the requested key, and is still valid when it is written again.
pub fn record(data: &[u8]) {
    let (store, key) = (&*STORE, RECORD.fingerprint.key());
    let whole = serde_json::to_vec(&*RECORD).expect("a record is plain");
    let bytes = changed(&whole, data);
    if let Ok(record) = store.validate_record(&key, &bytes) {
        assert_eq!(record.fingerprint.key(), key);
        assert!(record.outputs.keys().all(|port| !port.contains(['/', '.', '\0'])));
        let again = serde_json::to_vec(&record).expect("a record is plain");
        assert_eq!(store.validate_record(&key, &again).as_ref(), Ok(&record));
    }
    // As a damaged file of a store.
    let name = key.to_string();
    let folder = store.folder().join("v1/records").join(&name[..2]);
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    std::fs::write(folder.join(format!("{}.json", &name[2..])), &bytes).expect("a file can be written");
    let _ = store.outputs(&key);
    store.records().into_iter().for_each(drop);
}

/// The paths of a manifest lead only downwards.
pub fn manifest(data: &[u8]) {
    let digest = Digest::of(ROWS);
    let [version, data @ ..] = data else { return };
    let whole = if version % 2 == 0 {
        format!("{digest} 4 a/b\n{digest} 4 a/c d\n{digest} 4 e\n")
    } else {
        format!("manifest 2\nexecutable {digest} 4 a/b\nfolder a/c d\nfile {digest} 4 e\nfile {digest} 4 f\n")
    };
    if let Some(files) = remote::manifest_paths(&changed(whole.as_bytes(), data), 12) {
        for file in files {
            assert!(
                file.components().all(|part| matches!(part, std::path::Component::Normal(_))),
                "{file:?}"
            );
        }
    }
}

/// An entry of an archive.
#[derive(Clone)]
struct ArchiveEntry {
    name: String,
    kind: EntryType,
    content: Vec<u8>,
}

/// Names that no entry of a bundle may have.
const NAMES: &[&str] = &[
    "../outside",
    "files/../../outside",
    "/outside",
    "files/x.toml/y",
    "files/",
    "objects/..",
    "records/x.json",
    "link",
    "link/x",
];

const KINDS: &[EntryType] = &[
    EntryType::Regular,
    EntryType::Symlink,
    EntryType::Link,
    EntryType::Directory,
    EntryType::Char,
    EntryType::Fifo,
    EntryType::GNULongName,
    EntryType::GNULongLink,
    EntryType::GNUSparse,
    EntryType::XHeader,
    EntryType::XGlobalHeader,
];

/// A bundle with a file, an artifact and its record.
fn bundle() -> Vec<ArchiveEntry> {
    let (digest, key) = (Digest::of(ROWS), RECORD.fingerprint.key());
    let record = serde_json::to_vec(&*RECORD).expect("a record is plain");
    let experiment = b"name = \"x\"\n";
    let contents = json!({
        "format": 1, "experiment": "x.toml", "files": {"x.toml": experiment.len()},
        "objects": {digest.to_string(): {"bytes": ROWS.len(), "folder": false}}, "records": {key.to_string(): record.len()},
    });
    let entry = |name: String, content: &[u8]| ArchiveEntry {
        name,
        kind: EntryType::Regular,
        content: content.to_vec(),
    };
    vec![
        entry("bundle.json".to_owned(), contents.to_string().as_bytes()),
        entry("files/x.toml".to_owned(), experiment),
        entry(format!("objects/{digest}"), ROWS),
        entry(format!("records/{key}.json"), &record),
    ]
}

fn archive_of(entries: &[ArchiveEntry]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for ArchiveEntry { name, kind, content } in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        // By hand: the library refuses to write a name that leads upwards.
        let bytes = &mut header.as_old_mut().name;
        let length = name.len().min(bytes.len());
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.as_old_mut().linkname[..3].copy_from_slice(b"../");
        }
        header.set_cksum();
        archive.append(&header, content.as_slice()).expect("memory takes everything");
    }
    archive.into_inner().expect("memory takes everything")
}

/// Whatever a bundle contains, nothing outside the two folders changes, and the artifacts in the store are complete.
pub fn archive(data: &[u8]) {
    let [first, rest @ ..] = data else { return };
    let bytes = if first % 3 == 0 {
        changed(&archive_of(&bundle()), rest)
    } else {
        let mut entries = bundle();
        for change in rest.chunks_exact(4) {
            let at = usize::from(change[0]) % entries.len();
            let number = usize::from(change[2]);
            match change[1] % 6 {
                0 => entries[at].name = NAMES[number % NAMES.len()].to_owned(),
                1 => entries[at].kind = KINDS[number % KINDS.len()],
                2 => entries[at].content = changed(&entries[at].content, &rest[..rest.len().min(number)]),
                3 => entries.push(entries[at].clone()),
                4 => entries.swap(0, at),
                _ => {
                    let mut other = entries[at].clone();
                    other.name = NAMES[number % NAMES.len()].to_owned();
                    other.kind = KINDS[usize::from(change[3]) % KINDS.len()];
                    entries.insert(at, other);
                }
            }
        }
        archive_of(&entries)
    };
    let folder = LAB.path().join("folder");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let unpacked = STORE.unbundle(bytes.as_slice(), &folder);
    let beside: Vec<PathBuf> = names(LAB.path());
    assert_eq!(beside, ["folder", "outside", "store"].map(PathBuf::from));
    assert_eq!(std::fs::read(LAB.path().join("outside")).expect("it is there"), b"as it was");
    if unpacked.is_ok() {
        if let Ok(Some(outputs)) = STORE.outputs(&RECORD.fingerprint.key()) {
            assert!(outputs.values().all(|artifact| STORE.has(artifact).unwrap_or(false)));
        }
    } else {
        assert!(names(&folder).is_empty(), "a refused bundle leaves no file");
    }
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("it is there");
    let mut names: Vec<PathBuf> = entries
        .map(|entry| PathBuf::from(entry.expect("it can be read").file_name()))
        .collect();
    names.sort();
    names
}
