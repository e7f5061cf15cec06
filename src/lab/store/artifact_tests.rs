//! What an artifact is: exactly what its stage wrote, whoever tries to change it afterwards.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use serde_json::json;

use super::*;
use crate::fingerprint::Fingerprint;

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cache")).unwrap();
    (folder, store)
}

/// Takes what `write` writes at the path of an output.
fn take(store: &Store, write: impl FnOnce(&Path)) -> Result<Artifact, StoreError> {
    let workspace = store.workspace().unwrap();
    let path = workspace.path().join("out");
    write(&path);
    store.take(&path)
}

fn folder(path: &Path, files: &[(&str, &str)]) {
    fs::create_dir_all(path).unwrap();
    for (name, text) in files {
        let file = path.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The digest of a manifest.
fn digest_of(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

#[test]
fn executables_and_empty_folders_are_part_of_a_folder() {
    let (_folder, store) = store();
    let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
    let plain = take(&store, |path| folder(path, &[("bin/tool", "1"), ("data", "2")])).unwrap();
    assert_eq!(plain.digest, digest_of(&format!("{one} 1 bin/tool\n{two} 1 data\n")), "as ever");
    let tool = take(&store, |path| {
        folder(path, &[("bin/tool", "1"), ("data", "2")]);
        set_mode(&path.join("bin/tool"), 0o711);
    })
    .unwrap();
    assert_eq!(
        tool.digest,
        digest_of(&format!("manifest 2\nexecutable {one} 1 bin/tool\nfile {two} 1 data\n"))
    );
    let object = store.object(&tool.digest);
    assert_eq!((mode(&object.join("bin/tool")), mode(&object.join("data"))), (0o555, 0o444));
    let logs = take(&store, |path| {
        folder(path, &[("data", "2")]);
        fs::create_dir_all(path.join("logs/old")).unwrap();
    })
    .unwrap();
    assert_eq!(logs.digest, digest_of(&format!("manifest 2\nfile {two} 1 data\nfolder logs/old\n")));
    assert!(store.object(&logs.digest).join("logs/old").is_dir());
    let verified = store.verify(None, &|_| ()).unwrap();
    assert_eq!((verified.objects, verified.damaged.len()), (3, 0), "{:?}", verified.damaged);
}

#[test]
fn an_executable_is_another_artifact_than_the_same_file_without_the_permission() {
    let (_folder, store) = store();
    let script = |executable: bool| {
        take(&store, |path| {
            fs::write(path, "#!/bin/sh\n").unwrap();
            set_mode(path, if executable { 0o700 } else { 0o600 });
        })
        .unwrap()
    };
    let (file, program) = (script(false), script(true));
    let content = Digest::of(b"#!/bin/sh\n");
    assert_eq!(file.digest, content);
    assert_eq!(program.digest, digest_of(&format!("manifest 2\nexecutable {content} 10\n")));
    assert_eq!(mode(&store.object(&file.digest)), 0o444);
    assert_eq!(mode(&store.object(&program.digest)), 0o555);
    assert_eq!((script(false), script(true)), (file, program));
    // Only what an earlier runner would not understand has a new format.
    let record = |artifact| {
        Record::new(
            Fingerprint::new("mix", 1, json!({})),
            Outputs::from([("data".to_owned(), artifact)]),
        )
    };
    assert_eq!((record(file).format, record(program).format), (1, 2));
    let bytes = serde_json::to_vec(&record(program)).unwrap();
    assert_eq!(
        store.validate_record(&record(program).fingerprint.key(), &bytes),
        Ok(record(program))
    );
    assert_eq!(
        serde_json::to_value(file).unwrap(),
        json!({"digest": content, "bytes": 10, "folder": false})
    );
}

#[test]
fn a_folder_and_a_file_never_have_one_digest() {
    let (_folder, store) = store();
    let write = |text: &str| take(&store, |path| fs::write(path, text).unwrap()).unwrap();
    let list = format!("{} 1 f\n", Digest::of(b"1"));
    let tool = format!("manifest 2\nexecutable {} 1 f\n", Digest::of(b"1"));
    let artifacts = [
        take(&store, |path| fs::create_dir(path).unwrap()).unwrap(),
        write(""),
        write("manifest 2\n"),
        take(&store, |path| folder(path, &[("f", "1")])).unwrap(),
        write(&list),
        write(&tool),
        take(&store, |path| {
            folder(path, &[("f", "1")]);
            set_mode(&path.join("f"), 0o755);
        })
        .unwrap(),
    ];
    for artifact in &artifacts {
        assert!(store.has(artifact).unwrap(), "{artifact:?}");
        assert_eq!(
            artifacts.iter().filter(|other| other.digest == artifact.digest).count(),
            1,
            "{artifact:?}"
        );
    }
    assert_eq!(artifacts[1].digest, Digest::of(b""));
    assert_eq!(artifacts[3].digest, digest_of(&list));
    assert_eq!(store.verify(None, &|_| ()).unwrap().damaged, []);
    // What only begins like a list has the digest of its content, as ever.
    let other = format!("{} one f\n", Digest::of(b"1"));
    assert_eq!(write(&other).digest, digest_of(&other));
}

#[test]
fn a_name_that_cannot_go_everywhere_is_refused_when_the_stage_ends() {
    let (_folder, store) = store();
    let names: [(&[u8], &str); 6] = [
        (b"a\xff", "the name `d/a\\xff` in it is not UTF-8"),
        (b"a\nb", "the name `d/a\\nb` in it has a line break or another control character"),
        (b"a\tb", "the name `d/a\\tb` in it has a line break"),
        (b"a\x1b[31m", "the name `d/a\\u{1b}[31m` in it has a line break"),
        (b"a\\b", "the name `d/a\\\\b` in it has a `\\`"),
        (b"\xc2\x85", "the name `d/\\u{85}` in it has a line break"),
    ];
    for (name, expected) in names {
        for is_folder in [false, true] {
            let refused = take(&store, |path| {
                fs::create_dir_all(path.join("d")).unwrap();
                let path = path.join("d").join(OsStr::from_bytes(name));
                if is_folder {
                    fs::create_dir(path).unwrap();
                } else {
                    fs::write(path, "1").unwrap();
                }
            });
            let message = refused.unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }
    let deep = ["x"; 1960].join("/");
    let refused = take(&store, |path| folder(path, &[(&deep, "1")]));
    assert!(refused.unwrap_err().to_string().contains("is too long"));
    for link in ["target", "/etc/passwd"] {
        let refused = take(&store, |path| {
            folder(path, &[("target", "1")]);
            symlink(link, path.join("a\nlink")).unwrap();
        });
        let message = refused.unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
    }
    assert_eq!(store.size().unwrap().objects, 0);
    // Spaces and all letters of the world are names.
    take(&store, |path| {
        folder(path, &[(" a b ", "1"), ("mänß/日本\u{301}", "2"), ("'\"$(x)", "3")]);
    })
    .unwrap();
}

#[test]
fn a_file_with_other_names_is_copied() {
    let (outside, store) = store();
    let mine = outside.path().join("mine");
    fs::write(&mine, "precious").unwrap();
    set_mode(&mine, 0o644);
    let file = take(&store, |path| fs::hard_link(&mine, path).unwrap()).unwrap();
    let whole = take(&store, |path| {
        folder(path, &[("own", "1")]);
        fs::hard_link(&mine, path.join("one")).unwrap();
        fs::hard_link(path.join("own"), path.join("two")).unwrap();
        // As `cp -r` of a read-only folder leaves it.
        set_mode(path, 0o555);
    })
    .unwrap();
    assert_eq!((mode(&mine), fs::metadata(&mine).unwrap().nlink()), (0o644, 1));
    fs::write(&mine, "changed!").unwrap();
    assert_eq!(fs::read_to_string(store.object(&file.digest)).unwrap(), "precious");
    let object = store.object(&whole.digest);
    for (name, text) in [("one", "precious"), ("own", "1"), ("two", "1")] {
        let about = fs::metadata(object.join(name)).unwrap();
        assert_eq!((about.nlink(), about.permissions().mode() & 0o777), (1, 0o444), "{name}");
        assert_eq!(fs::read_to_string(object.join(name)).unwrap(), text);
    }
    assert_eq!(fs::read_dir(&object).unwrap().count(), 3, "nothing is left of the copying");
    assert_eq!(store.verify(None, &|_| ()).unwrap().damaged, []);
}

#[test]
fn a_copy_is_out_of_reach_of_whoever_has_the_output_open() {
    let (_folder, store) = store();
    let workspace = store.workspace().unwrap();
    let path = workspace.path().join("out");
    folder(&path, &[("log", "start\n"), ("tool", "1")]);
    fs::create_dir(path.join("empty")).unwrap();
    set_mode(&path.join("tool"), 0o755);
    let mut open = File::options().append(true).open(path.join("log")).unwrap();
    let artifact = store.take_copy(&path).unwrap();
    open.write_all(b"LATE\n").unwrap();
    fs::write(path.join("new"), "LATE").unwrap();
    let object = store.object(&artifact.digest);
    assert_eq!(fs::read_to_string(object.join("log")).unwrap(), "start\n");
    assert!(object.join("empty").is_dir() && !object.join("new").exists());
    assert_eq!(mode(&object.join("tool")), 0o555);
    assert_eq!(store.verify(None, &|_| ()).unwrap().damaged, []);
    symlink("log", path.join("link")).unwrap();
    assert!(matches!(store.take_copy(&path), Err(StoreError::NoFile { .. })));
}

/// A folder with everything that can go missing.
fn model(path: &Path) {
    folder(path, &[("config", "{}"), ("deep/weights", "12345"), ("__init__", "")]);
    fs::create_dir(path.join("logs")).unwrap();
}

#[test]
fn a_folder_that_is_not_whole_is_no_hit() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 12] = [
        ("a file is gone", |path| fs::remove_file(path.join("config")).unwrap()),
        ("an empty file is gone", |path| fs::remove_file(path.join("__init__")).unwrap()),
        ("an empty folder is gone", |path| fs::remove_dir(path.join("logs")).unwrap()),
        ("a folder is gone", |path| fs::remove_dir_all(path.join("deep")).unwrap()),
        ("a file is shorter", |path| fs::write(path.join("deep/weights"), "1234").unwrap()),
        ("a file has another name", |path| {
            fs::rename(path.join("config"), path.join("config.json")).unwrap();
        }),
        ("a file is new", |path| fs::write(path.join("new"), "").unwrap()),
        ("a folder is new", |path| fs::create_dir(path.join("new")).unwrap()),
        ("a file is a link", |path| {
            fs::remove_file(path.join("config")).unwrap();
            symlink("/etc/hostname", path.join("config")).unwrap();
        }),
        ("a file is a folder", |path| {
            fs::remove_file(path.join("__init__")).unwrap();
            fs::create_dir(path.join("__init__")).unwrap();
        }),
        ("it is a file", |path| {
            fs::remove_dir_all(path).unwrap();
            fs::write(path, "1234567").unwrap();
        }),
        ("it is a link", |path| {
            let aside = path.with_extension("aside");
            fs::rename(path, &aside).unwrap();
            symlink(&aside, path).unwrap();
        }),
    ];
    let (_folder, store) = store();
    let artifact = take(&store, model).unwrap();
    for (what, change) in changes {
        let object = store.object(&artifact.digest);
        assert!(store.has(&artifact).unwrap(), "before: {what}");
        change(&object);
        assert!(!store.has(&artifact).unwrap(), "{what}");
        assert_eq!(take(&store, model).unwrap(), artifact, "{what}");
        assert!(store.has(&artifact).unwrap(), "{what}, and made again");
        let named = StoreEntry::Object(artifact.digest);
        assert_eq!(store.verify(Some(&[named]), &|_| ()).unwrap().damaged, [], "{what}");
    }
    // A record of an earlier version knows the size alone.
    let old: Artifact = serde_json::from_value(json!({"digest": artifact.digest, "bytes": 7, "folder": true})).unwrap();
    let object = store.object(&artifact.digest);
    fs::rename(object.join("config"), object.join("renamed")).unwrap();
    assert!(store.has(&old).unwrap());
    fs::remove_file(object.join("renamed")).unwrap();
    assert!(!store.has(&old).unwrap());
}

#[test]
fn a_file_that_is_a_link_is_no_hit() {
    let (_folder, store) = store();
    let artifact = take(&store, |path| fs::write(path, "rows").unwrap()).unwrap();
    let object = store.object(&artifact.digest);
    let aside = object.with_extension("aside");
    fs::rename(&object, &aside).unwrap();
    symlink(&aside, &object).unwrap();
    assert!(!store.has(&artifact).unwrap());
}

#[test]
fn what_was_changed_in_place_does_not_outlast_its_stage() {
    let (_folder, store) = store();
    let write = |path: &Path| fs::write(path, "orig").unwrap();
    let artifact = take(&store, write).unwrap();
    let object = store.object(&artifact.digest);
    fs::remove_file(&object).unwrap();
    fs::write(&object, "EVIL").unwrap();
    assert!(store.has(&artifact).unwrap(), "of the same size");
    assert_eq!(take(&store, write).unwrap(), artifact);
    assert_eq!(fs::read_to_string(&object).unwrap(), "orig");
}

#[test]
fn copies_for_people_keep_executables_and_empty_folders() {
    let (outside, store) = store();
    let tool = take(&store, |path| {
        folder(path, &[("tool", "1"), ("data", "2")]);
        set_mode(&path.join("tool"), 0o755);
        fs::create_dir(path.join("logs")).unwrap();
    })
    .unwrap();
    let program = take(&store, |path| {
        fs::write(path, "1").unwrap();
        set_mode(path, 0o755);
    })
    .unwrap();
    let is_program = |path: &Path| mode(path) & 0o100 != 0;
    let to = outside.path().join("copy");
    store.copy_out(&tool, &to).unwrap();
    assert!(to.join("logs").is_dir());
    assert!(is_program(&to.join("tool")) && !is_program(&to.join("data")));
    assert!(mode(&to.join("data")) & 0o200 != 0, "a copy may be written to");
    assert!(store.is_copy(&to, &tool).unwrap() && !store.is_copy(&to, &program).unwrap());
    fs::remove_dir(to.join("logs")).unwrap();
    assert!(!store.is_copy(&to, &tool).unwrap());
    let to = outside.path().join("program");
    store.copy_out(&program, &to).unwrap();
    assert!(is_program(&to) && store.is_copy(&to, &program).unwrap());
    fs::write(&to, "2").unwrap();
    assert!(!store.is_copy(&to, &program).unwrap());
}

/// The record of a stage that read `inputs` and made a file of `text`.
fn ran(store: &Store, name: &str, inputs: &[Artifact], text: &str) -> (Digest, Artifact) {
    let artifact = take(store, |path| fs::write(path, text).unwrap()).unwrap();
    let mut fingerprint = Fingerprint::new("mix", 1, json!({"name": name}));
    let digests = inputs.iter().map(|input| input.digest).collect();
    fingerprint.inputs.insert("data".to_owned(), digests);
    let key = fingerprint.key();
    let mut record = Record::new(fingerprint, Outputs::from([("data".to_owned(), artifact)]));
    record.stage = name.to_owned();
    store.write_record(&record).unwrap();
    (key, artifact)
}

/// The names of the stages that have a record.
fn recorded(store: &Store) -> Vec<String> {
    let mut names: Vec<String> = store.records().map(|record| record.stage).collect();
    names.sort();
    names
}

#[test]
fn what_was_made_from_a_damaged_artifact_is_found_and_goes_with_it() {
    let (_folder, store) = store();
    let (_, orig) = ran(&store, "a", &[], "orig");
    let (_, other) = ran(&store, "other", &[], "sound");
    let (_, copy) = ran(&store, "copy", &[orig], "EVIL");
    let (_, further) = ran(&store, "further", &[copy, other], "made from EVIL");
    // It gives the same as a stage that read nothing damaged.
    let (_, same) = ran(&store, "same", &[orig], "sound");
    ran(&store, "of sound", &[same], "made from sound");
    let object = store.object(&orig.digest);
    fs::remove_file(&object).unwrap();
    fs::write(&object, "EVIL").unwrap();
    let verified = store.verify(None, &|_| ()).unwrap();
    assert_eq!(verified.damaged.len(), 1);
    let mut derived: Vec<&str> = verified.derived.iter().map(|derived| derived.stage.as_str()).collect();
    derived.sort_unstable();
    assert_eq!(derived, ["copy", "further", "same"]);
    store.repair(&verified).unwrap();
    assert_eq!(recorded(&store), ["a", "of sound", "other"]);
    assert_eq!(
        [orig, copy, further, other].map(|artifact| store.has(&artifact).unwrap()),
        [false, false, false, true]
    );
    let verified = store.verify(None, &|_| ()).unwrap();
    assert_eq!((verified.damaged, verified.derived), (Vec::new(), Vec::new()));
}

#[test]
fn damage_that_a_stage_meets_takes_the_records_of_other_readers_with_it() {
    let (_folder, store) = store();
    let (_, orig) = ran(&store, "a", &[], "orig");
    let (key, copy) = ran(&store, "copy", &[orig], "EVIL");
    let remembered = fs::read(store.record_path(&key)).unwrap();
    store.remember_remote_record(&key, &remembered);
    let object = store.object(&orig.digest);
    fs::remove_file(&object).unwrap();
    fs::write(&object, "EVIL").unwrap();
    assert!(store.discard_damaged(&orig).unwrap());
    assert_eq!(recorded(&store), ["a"]);
    assert_eq!(store.remote_record(&key), None);
    assert!(store.has(&copy).unwrap(), "the run that asks may need it");
    assert!(!store.discard_damaged(&copy).unwrap());
}

#[test]
fn wrong_permissions_are_found_and_corrected() {
    let (_folder, store) = store();
    let (_, file) = ran(&store, "a", &[], "orig");
    ran(&store, "b", &[file], "made from it");
    let program = take(&store, |path| {
        fs::write(path, "1").unwrap();
        set_mode(path, 0o755);
    })
    .unwrap();
    set_mode(&store.object(&file.digest), 0o644);
    let verified = store.verify(None, &|_| ()).unwrap();
    let problems = |verified: &VerifySummary| -> Vec<String> { verified.damaged.iter().map(|damage| damage.problem.clone()).collect() };
    assert_eq!(problems(&verified), ["its permissions allow to write to it"]);
    assert_eq!(verified.derived, []);
    assert!(!store.discard_damaged(&file).unwrap(), "its content is right");
    store.repair(&verified).unwrap();
    assert_eq!(mode(&store.object(&file.digest)), 0o444);
    assert_eq!(recorded(&store), ["a", "b"]);
    set_mode(&store.object(&program.digest), 0o444);
    set_mode(&store.object(&file.digest), 0o555);
    let verified = store.verify(None, &|_| ()).unwrap();
    let mut found = problems(&verified);
    found.sort();
    assert_eq!(
        found,
        [
            "its permissions are not what they were: it was executable",
            "its permissions are not what they were: it was not executable"
        ]
    );
    store.repair(&verified).unwrap();
    assert_eq!(recorded(&store), ["a"], "a program that may not be started gives something else");
    assert_eq!(store.verify(None, &|_| ()).unwrap().damaged, []);
}
