//! Properties of the store that always hold.

use std::path::Path;

use serde_json::json;

use super::process::namespace;
use super::*;
use crate::fingerprint::Fingerprint;
use crate::hash;

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cache")).unwrap();
    (folder, store)
}

/// Puts a file with `text` into the store.
fn put(store: &Store, text: &str) -> Artifact {
    let workspace = store.workspace().unwrap();
    let path = workspace.path().join("data");
    std::fs::write(&path, text).unwrap();
    store.take(&path).unwrap()
}

/// The record of a stage with one output.
pub(super) fn record(params: serde_json::Value) -> Record {
    let artifact = Artifact::file(Digest::of(b"rows"), 4);
    Record::new(Fingerprint::new("mix", 1, params), Outputs::from([("data".to_owned(), artifact)]))
}

fn fingerprint() -> Fingerprint {
    Fingerprint::new("mix", 1, json!({"mode": "new"}))
}

#[test]
fn a_file_is_named_by_its_digest_and_read_only() {
    let (_folder, store) = store();
    let artifact = put(&store, "rows\n");
    let path = store.object(&artifact.digest);
    assert_eq!(artifact.digest, Digest::of(b"rows\n"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "rows\n");
    assert!(std::fs::metadata(&path).unwrap().permissions().readonly());
    assert_eq!(put(&store, "rows\n"), artifact, "the same content once more is the same object");
}

#[test]
fn a_folder_is_named_by_its_manifest() {
    let (_folder, store) = store();
    let digest = |names: &[(&str, &str)]| {
        let workspace = store.workspace().unwrap();
        for (name, text) in names {
            let path = workspace.path().join("model").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        store.take(&workspace.path().join("model")).unwrap().digest
    };
    let one = digest(&[("config.json", "{}"), ("b/weights", "1")]);
    assert_eq!(one, digest(&[("b/weights", "1"), ("config.json", "{}")]));
    assert_ne!(one, digest(&[("b/weights", "2"), ("config.json", "{}")]));
    assert_ne!(one, digest(&[("b/weight", "1"), ("config.json", "{}")]));
    let manifest = format!("{} 1 b/weights\n{} 2 config.json\n", Digest::of(b"1"), Digest::of(b"{}"));
    assert_eq!(one, Digest::of(manifest.as_bytes()));
    assert_eq!(std::fs::read_to_string(store.object(&one).join("b/weights")).unwrap(), "1");
}

#[test]
fn a_record_is_found_by_its_key_only() {
    let (_folder, store) = store();
    let outputs = Outputs::from([("data".to_owned(), put(&store, "rows"))]);
    let record = Record::new(fingerprint(), outputs.clone());
    assert_eq!(store.outputs(&fingerprint().key()).unwrap(), None);
    store.write_record(&record).unwrap();
    assert_eq!(store.outputs(&fingerprint().key()).unwrap(), Some(outputs));
    assert_eq!(store.outputs(&Digest::of(b"other")).unwrap(), None);
    assert_eq!(store.records().collect::<Vec<_>>(), [record]);
}

#[test]
fn a_record_is_found_by_its_fingerprint_however_it_is_written() {
    let (_folder, store) = store();
    let outputs = Outputs::from([("data".to_owned(), put(&store, "rows"))]);
    let (stage, other) = (fingerprint(), Fingerprint::new("mix", 2, json!({"mode": "new"})));
    let found = |fingerprint: &Fingerprint| {
        store
            .recorded_of(fingerprint, &fingerprint.key())
            .unwrap()
            .map(|recorded| recorded.outputs)
    };
    assert_eq!(found(&stage), None);
    let record = Record::new(stage.clone(), outputs.clone());
    store.write_record(&record).unwrap();
    assert_eq!(found(&stage), Some(outputs.clone()));
    // A text in it may have the name of a field.
    let mut of_experiment = record.clone();
    of_experiment.experiment = "\"accepted\":1".to_owned();
    store.write_record(&of_experiment).unwrap();
    assert_eq!(found(&stage), Some(outputs.clone()));
    let written = serde_json::to_vec(&record).unwrap();
    for cut in 0..written.len() {
        store.write_record_bytes(&stage.key(), &written[..cut]).unwrap();
        assert_eq!(found(&stage), None, "{cut}");
    }
    let accepted = Acceptance {
        why: "a comment".to_owned(),
        by: "ada".to_owned(),
        at: 1,
        ran: other.clone(),
    };
    let accepted = Record {
        accepted: Some(accepted),
        ..record.clone()
    };
    store.write_record(&accepted).unwrap();
    assert!(store.recorded_of(&stage, &stage.key()).unwrap().unwrap().is_accepted);
    let pretty = serde_json::to_vec_pretty(&record).unwrap();
    store.write_record_bytes(&stage.key(), &pretty).unwrap();
    assert_eq!(found(&stage), Some(outputs), "in other words, it is hashed again");
    store.write_record_bytes(&other.key(), &pretty).unwrap();
    assert_eq!(found(&other), None);
    assert!(store.ignored()[&other.key()].to_string().contains("another stage"));
}

#[test]
fn damage_is_named_and_a_newer_format_is_refused() {
    let (_folder, store) = store();
    let artifact = put(&store, "rows");
    store
        .write_record(&Record::new(fingerprint(), Outputs::from([("data".to_owned(), artifact)])))
        .unwrap();
    let path = store.sharded("records", &fingerprint().key(), ".json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert_eq!(store.outputs(&fingerprint().key()).unwrap(), None);
    let why = store.ignored()[&fingerprint().key()].to_string();
    assert!(why.contains("it is damaged"), "{why}");
    std::fs::write(&path, r#"{"format": 3, "outputs": 3}"#).unwrap();
    let message = store.outputs(&fingerprint().key()).unwrap_err().to_string();
    assert!(message.contains("format 3") && message.contains("newer runner"), "{message}");
    replace(&store.object(&artifact.digest), "row");
    assert!(!store.has(&artifact).unwrap(), "what is damaged counts as lost");
    assert!(
        put(&store, "rows") == artifact && store.has(&artifact).unwrap(),
        "and is put in its place again"
    );
    replace(&store.object(&artifact.digest), "sowr");
    assert!(store.has(&artifact).unwrap(), "a glance does not tell");
    assert!(store.discard_damaged(&artifact).unwrap() && !store.has(&artifact).unwrap());
    assert!(!store.discard_damaged(&put(&store, "rows")).unwrap());
}

#[test]
fn the_record_of_another_stage_is_no_hit() {
    let (_folder, store) = store();
    let artifact = put(&store, "rows");
    let outputs = Outputs::from([("data".to_owned(), artifact)]);
    let mut other = fingerprint();
    other.version += 1;
    store.write_record(&Record::new(other.clone(), outputs.clone())).unwrap();
    let (mine, its) = [fingerprint(), other]
        .map(|stage| store.sharded("records", &stage.key(), ".json"))
        .into();
    std::fs::create_dir_all(mine.parent().unwrap()).unwrap();
    std::fs::copy(its, mine).unwrap();
    assert_eq!(store.outputs(&fingerprint().key()).unwrap(), None);
    assert!(store.ignored()[&fingerprint().key()].to_string().contains("another stage"));
    store.write_record(&Record::new(fingerprint(), outputs.clone())).unwrap();
    assert_eq!(store.outputs(&fingerprint().key()).unwrap(), Some(outputs));
}

#[test]
fn heartbeats_have_the_time_of_the_file_server() {
    let folder = tempfile::tempdir().unwrap();
    let (path, beside) = (folder.path().join("lease"), folder.path().join("beside"));
    let file = std::fs::File::create(&path).unwrap();
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    file.set_modified(hour_ago).unwrap();
    atomic::touch(&file).unwrap();
    std::fs::write(&beside, "").unwrap();
    let time = |path: &Path| std::fs::metadata(path).unwrap().modified().unwrap();
    // The kernel's clock of files stands still between ticks; a host's own does not.
    let apart = time(&beside).duration_since(time(&path)).unwrap();
    assert!(apart < std::time::Duration::from_secs(5), "{apart:?}");
}

fn replace(path: &Path, text: &str) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_lease_has_one_holder_and_is_given_back() {
    let (_folder, store) = store();
    let key = Digest::of(b"stage");
    let Acquired::Mine(lease) = store.lease(&key, 1).unwrap() else {
        panic!("nobody else has it")
    };
    assert!(store.is_held(&key));
    let Acquired::Held(holder) = store.lease(&key, 2).unwrap() else {
        panic!("it is held")
    };
    assert_eq!(holder, format!("process {} on {}", std::process::id(), host()));
    lease.heartbeat();
    drop(lease);
    assert!(!store.is_held(&key));
    assert!(matches!(store.lease(&key, 2).unwrap(), Acquired::Mine(_)));
}

#[test]
fn a_dead_holders_lease_is_taken_over_and_a_reused_number_does_not_keep_it() {
    let (_folder, store) = store();
    let key = Digest::of(b"stage");
    let path = store.root.join("leases").join(format!("{key}.json"));
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    for (process, began) in [(child.id(), 5), (std::process::id(), 1)] {
        std::fs::write(
            &path,
            json!({"host": host(), "namespace": namespace(), "process": process, "began": began, "number": 0}).to_string(),
        )
        .unwrap();
        assert!(matches!(store.lease(&key, 1).unwrap(), Acquired::Mine(_)));
    }
}

#[test]
fn a_silent_holder_that_cannot_be_asked_loses_its_lease() {
    let (_folder, store) = store();
    let key = Digest::of(b"stage");
    let path = store.root.join("leases").join(format!("{key}.json"));
    let elsewhere = json!({"host": "elsewhere", "process": 1, "began": 1, "number": 0});
    // Another container's process of a number that nobody has here.
    let container = json!({"host": host(), "namespace": 1, "process": u32::MAX, "began": 1, "number": 0});
    // A power failure may leave an empty file.
    for text in [elsewhere.to_string(), container.to_string(), String::new()] {
        std::fs::write(&path, &text).unwrap();
        assert!(store.is_held(&key));
        assert!(matches!(store.lease(&key, 1).unwrap(), Acquired::Held(_)));
        store.clear_dead_leases();
        assert!(path.exists());
        let silent = || {
            let long_ago = std::time::SystemTime::now() - 2 * lease::LEASE_EXPIRY;
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(long_ago).unwrap();
        };
        silent();
        assert!(!store.is_held(&key));
        assert!(matches!(store.lease(&key, 1).unwrap(), Acquired::Mine(_)), "{text}");
        std::fs::write(&path, &text).unwrap();
        silent();
        store.clear_dead_leases();
        assert!(!path.exists(), "{text}");
    }
}

#[test]
fn an_unchanged_file_is_not_hashed_again_and_a_changed_one_is() {
    let (folder, store) = store();
    let path = folder.path().join("large");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(90);
    let write = |byte: u8| {
        std::fs::write(&path, vec![byte; 1 << 17]).unwrap();
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
    };
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
    write(1);
    let one = store.file_digest(&path).unwrap();
    assert_eq!(one, hash::file(&path).unwrap());
    // As old as it says it is, it was written just now, and may be again at once.
    assert_eq!(std::fs::read_dir(store.root.join("files")).unwrap().count(), 0);
    assert_eq!(store.file_digest_at(&path, later).unwrap(), one);
    assert_eq!(std::fs::read_dir(store.root.join("files")).unwrap().count(), 1);
    // Made to lie, the cache is believed: so it was asked.
    let entry = std::fs::read_dir(store.root.join("files")).unwrap().next().unwrap().unwrap().path();
    let lie = std::fs::read_to_string(&entry)
        .unwrap()
        .replace(&one.to_string(), &Digest::of(b"lie").to_string());
    std::fs::write(&entry, lie).unwrap();
    assert_eq!(store.file_digest(&path).unwrap(), Digest::of(b"lie"));
    write(2);
    assert_eq!(store.file_digest(&path).unwrap(), hash::file(&path).unwrap());
}

#[test]
fn the_size_counts_objects_and_records() {
    let (_folder, store) = store();
    put(&store, "rows");
    store.write_record(&Record::new(fingerprint(), Outputs::new())).unwrap();
    let size = store.size().unwrap();
    assert_eq!((size.objects, size.object_bytes, size.records), (1, 4, 1));
}
