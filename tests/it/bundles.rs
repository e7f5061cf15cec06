//! Bundles: packed on one machine, checked and continued on another; nothing planted gets through.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::lab::{LOOP, Lab, count};

/// A lab with an experiment that extends another, has run, and is packed.
fn packed() -> Lab {
    let lab = Lab::new(&LOOP.replace("steps = 30", "steps = 3"));
    std::fs::create_dir(lab.path().join("mine")).unwrap();
    lab.write("mine/y.toml", "extends = \"../x.toml\"\n[params]\nsteps = 4\n");
    lab.stdout("run mine/y.toml", 0);
    let said = lab.stdout("bundle mine/y.toml --out b.tar", 0);
    assert!(said.contains("packed 2 files, 14 records"), "{said}");
    lab
}

#[test]
fn another_machine_goes_on_where_the_first_was() {
    let lab = packed();
    lab.stdout("unbundle b.tar there --store other", 0);
    let summary = lab.summary("run there/mine/y.toml --store other", 0);
    assert_eq!((count(&summary, "cached"), count(&summary, "ran")), (14, 0));
    assert_eq!(lab.digests("other"), lab.digests("cache"));
    lab.stdout("cache verify --store other", 0);
    lab.stdout("bundle mine/y.toml --out again.tar", 0);
    let same = std::fs::read(lab.path().join("b.tar")).unwrap() == std::fs::read(lab.path().join("again.tar")).unwrap();
    assert!(same, "the same content is the same archive");
    // With some artifacts alone, the rest is made again.
    lab.stdout("bundle mine/y.toml --with problems --with mixed --out few.tar", 0);
    lab.stdout("unbundle few.tar few --store third", 0);
    let summary = lab.summary("run few/mine/y.toml --store third", 0);
    assert!(count(&summary, "cached") >= 3 && count(&summary, "ran") > 0, "{summary}");
    assert_eq!(lab.digests("third"), lab.digests("cache"));
    let output = lab.output("bundle mine/y.toml --with nothing.model");
    assert_eq!(output.status.code(), Some(4));
}

/// An entry of an archive that may break every rule.
struct Entry {
    name: String,
    kind: u8,
    content: Vec<u8>,
}

fn read(path: &Path) -> Vec<Entry> {
    let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        Entry { name, kind: b'0', content }
    });
    entries.collect()
}

/// Writes the archive byte by byte: the crate refuses to write what is tested here.
fn write(path: &Path, entries: &[Entry]) {
    let mut file = std::fs::File::create(path).unwrap();
    for Entry { name, kind, content } in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(if *kind == b'0' { content.len() as u64 } else { 0 });
        header.set_entry_type(tar::EntryType::new(*kind));
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        if *kind != b'0' {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        file.write_all(header.as_bytes()).unwrap();
        if *kind == b'0' {
            file.write_all(content).unwrap();
            file.write_all(&vec![0; (512 - content.len() % 512) % 512]).unwrap();
        }
    }
    file.write_all(&[0; 1024]).unwrap();
}

#[test]
fn what_was_planted_is_refused_and_nothing_is_written_outside() {
    let lab = packed();
    let path = lab.path().join("b.tar");
    let entry = |name: &str| Entry {
        name: name.to_owned(),
        kind: b'0',
        content: b"planted".to_vec(),
    };
    let table = |entries: &mut Vec<Entry>, change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&entries[0].content).unwrap();
        change(&mut value);
        entries[0].content = value.to_string().into_bytes();
    };
    let place = |entries: &[Entry], start: &str| entries.iter().position(|entry| entry.name.starts_with(start)).unwrap();
    type Change<'a> = Box<dyn Fn(&mut Vec<Entry>) + 'a>;
    let plant = |name: &'static str| -> Change<'_> { Box::new(move |entries| entries.push(entry(name))) };
    let cases: Vec<(&str, Change<'_>)> = vec![
        ("not a path that may be unpacked", plant("files/../../outside")),
        ("not a path that may be unpacked", plant("/tmp/outside")),
        ("not a path that may be unpacked", plant("objects/./x")),
        ("not in the table of contents", plant("files/other.toml")),
        ("not in the table of contents", plant("leases/x")),
        ("occurs twice", plant("files/x.toml")),
        (
            "is not a path",
            Box::new(|entries| table(entries, &|table| table["files"]["../../outside"] = 7.into())),
        ),
        (
            "is not a path",
            Box::new(|entries| table(entries, &|table| table["experiment"] = "/etc/x.toml".into())),
        ),
        (
            "is not in it",
            Box::new(|entries| table(entries, &|table| table["experiment"] = "other.toml".into())),
        ),
        (
            "is a link",
            Box::new(|entries| {
                entries.push(Entry {
                    kind: b'2',
                    ..entry("files/x.toml")
                });
            }),
        ),
        (
            "is a link",
            Box::new(|entries| {
                entries.push(Entry {
                    kind: b'1',
                    ..entry("files/x.toml")
                });
            }),
        ),
        (
            "larger than",
            Box::new(|entries| {
                let at = place(entries, "files/x.toml");
                entries[at].content.extend(b"more");
            }),
        ),
        (
            "other content than its name",
            Box::new(|entries| {
                let at = place(entries, "objects/");
                entries[at].content[0] ^= 1;
            }),
        ),
        (
            "is refused",
            Box::new(|entries| {
                let at = place(entries, "objects/");
                entries.remove(at);
            }),
        ),
        (
            "is missing",
            Box::new(|entries| {
                let at = place(entries, "records/");
                entries.remove(at);
            }),
        ),
        (
            "not a bundle",
            Box::new(|entries| {
                entries.remove(0);
            }),
        ),
        (
            "the record of another stage",
            Box::new(|entries| {
                let at = place(entries, "records/");
                let text = String::from_utf8(entries[at].content.clone()).unwrap();
                entries[at].content = text.replacen("\"version\":", "\"version\":1", 1).into_bytes();
                let (name, length) = (entries[at].name.clone(), entries[at].content.len());
                let key = name.strip_prefix("records/").unwrap().strip_suffix(".json").unwrap().to_owned();
                table(entries, &|table| table["records"][&key] = length.into());
            }),
        ),
        ("format 3", Box::new(|entries| table(entries, &|table| table["format"] = 3.into()))),
        (
            "is a link, a device or a folder",
            Box::new(|entries| {
                entries.push(Entry {
                    kind: b'5',
                    ..entry("files/folder")
                });
            }),
        ),
        (
            "is a folder, not a file",
            Box::new(|entries| {
                table(entries, &|table| table["format"] = 2.into());
                entries.push(Entry {
                    kind: b'5',
                    ..entry("files/folder")
                });
            }),
        ),
        (
            "not a path that may be unpacked",
            Box::new(|entries| {
                table(entries, &|table| table["format"] = 2.into());
                entries.push(Entry {
                    kind: b'5',
                    ..entry("objects/../../outside")
                });
            }),
        ),
    ];
    let before = std::fs::read_dir(lab.path()).unwrap().count();
    for (number, (expected, change)) in cases.iter().enumerate() {
        let mut entries = read(&path);
        change(&mut entries);
        write(&lab.path().join("bad.tar"), &entries);
        let output = lab.output("unbundle bad.tar there --store other");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{number}, {expected}: {said}");
        assert!(said.contains(expected), "{number}, {expected}: {said}");
        assert_eq!(lab.digests("other").len(), 0, "{number}, {expected}: a record was taken in");
        assert!(!lab.path().join("there").exists(), "{number}, {expected}");
    }
    // bad.tar and the other store are new, and nothing else.
    assert_eq!(std::fs::read_dir(lab.path()).unwrap().count(), before + 2);
    let cut = std::fs::read(&path).unwrap();
    std::fs::write(lab.path().join("bad.tar"), &cut[..cut.len() / 2]).unwrap();
    assert_eq!(lab.output("unbundle bad.tar there --store other").status.code(), Some(2));
    lab.write("there-x", "");
    std::fs::create_dir(lab.path().join("there")).unwrap();
    lab.write("there/x.toml", "mine");
    let output = lab.output("unbundle b.tar there --store other");
    assert!(String::from_utf8_lossy(&output.stderr).contains("exists already with other content"));
    std::fs::remove_file(lab.path().join("there/x.toml")).unwrap();
    std::os::unix::fs::symlink("/tmp", lab.path().join("there/mine")).unwrap();
    let output = lab.output("unbundle b.tar there --store other");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is a link"));
}

/// Programs whose files are beside the experiment, and outputs of every sort.
const PROGRAMS: &str = r#"
[sources.words]
path = "../data"

[sources.elsewhere]
path = "ELSEWHERE"

[stages.made]
kind    = "command"
run     = ["./make.sh"]
outputs = { tools = "file", nothing = "file", program = "file", empty = "file" }

[stages.read]
kind    = "command"
run     = ["sh", "../scripts/read.sh"]
source  = "words"
inputs  = { tools = "made.tools" }
outputs = { text = "file" }

[stages.far]
kind    = "command"
run     = ["sh", "-c", "cat far.txt > $RUNNER_OUTPUT_TEXT"]
source  = "elsewhere"
outputs = { text = "file" }
"#;

const MAKE: &str = r#"#!/bin/sh
set -e
mkdir -p "$RUNNER_OUTPUT_TOOLS/logs/old" "$RUNNER_OUTPUT_NOTHING"
printf '#!/bin/sh\necho hi\n' > "$RUNNER_OUTPUT_TOOLS/tool"
chmod 755 "$RUNNER_OUTPUT_TOOLS/tool"
cp "$RUNNER_OUTPUT_TOOLS/tool" "$RUNNER_OUTPUT_PROGRAM"
: > "$RUNNER_OUTPUT_EMPTY"
"#;

/// A lab whose experiment is in a folder of its own, with scripts and data in others, one of them under the name of a link.
fn programs() -> Lab {
    let lab = Lab::new("");
    for folder in ["mine", "scripts", "data/deep", "elsewhere"] {
        std::fs::create_dir_all(lab.path().join(folder)).unwrap();
    }
    let elsewhere = lab.path().join("elsewhere/far.txt");
    lab.write("mine/x.toml", &PROGRAMS.replace("ELSEWHERE", elsewhere.to_str().unwrap()));
    lab.write("elsewhere/far.txt", "far");
    lab.write_program("mine/make.sh", MAKE);
    lab.write(
        "scripts/real.sh",
        "cat words.txt deep/more.txt > $RUNNER_OUTPUT_TEXT; $RUNNER_INPUT_TOOLS/tool >> $RUNNER_OUTPUT_TEXT\n",
    );
    std::os::unix::fs::symlink("real.sh", lab.path().join("scripts/read.sh")).unwrap();
    lab.write("data/words.txt", "words\n");
    lab.write("data/deep/more.txt", "more\n");
    lab
}

#[test]
fn programs_find_their_scripts_and_sources_on_the_other_machine() {
    let lab = programs();
    lab.stdout("run mine/x.toml", 0);
    let output = lab.output("bundle mine/x.toml --out b.tar");
    let (said, warned) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("packed 5 files, 3 records and 6 artifacts"), "{said}{warned}");
    assert!(warned.contains("elsewhere/far.txt` is not in the bundle"), "{warned}");
    assert!(!warned.contains("words"), "{warned}");
    lab.stdout("unbundle b.tar there --store other", 0);
    let there = lab.path().join("there");
    assert_eq!(
        std::fs::read_to_string(there.join("scripts/read.sh")).unwrap(),
        std::fs::read_to_string(lab.path().join("scripts/real.sh")).unwrap()
    );
    for folder in ["mine", "scripts", "data"] {
        std::fs::rename(lab.path().join(folder), lab.path().join(format!("{folder}.away"))).unwrap();
    }
    let summary = lab.summary("run there/mine/x.toml --store other", 0);
    assert_eq!((count(&summary, "cached"), count(&summary, "ran")), (3, 0));
    assert_eq!(lab.digests("other"), lab.digests("cache"));
    lab.stdout("cache verify --store other", 0);
    // And everything can be computed there, too.
    let summary = lab.summary("run there/mine/x.toml --store third", 0);
    assert_eq!((count(&summary, "ran"), count(&summary, "failed")), (3, 0));
    assert_eq!(lab.digests("third"), lab.digests("cache"));
    let text = lab.stdout("get there/mine/x.toml read --store third", 0);
    assert_eq!(std::fs::read_to_string(text.trim()).unwrap(), "words\nmore\nhi\n");
    let tools = lab.stdout("get there/mine/x.toml made.tools --store other", 0);
    assert!(Path::new(tools.trim()).join("logs/old").is_dir());
    lab.stdout("get there/mine/x.toml made.nothing made.program --store other --to out", 0);
    assert_eq!(std::fs::read_dir(lab.path().join("out/nothing")).unwrap().count(), 0);
    let mode = std::fs::metadata(lab.path().join("out/program")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "{mode:o}");
}

#[test]
fn what_the_other_machine_would_refuse_is_not_packed() {
    let lab = programs();
    lab.stdout("run mine/x.toml", 0);
    lab.write("data/a\\b", "");
    let output = lab.output("bundle mine/x.toml --out b.tar");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("a\\\\b") && said.contains("rename the file"), "{said}");
    std::fs::remove_file(lab.path().join("data/a\\b")).unwrap();
    let path = lab.stdout("get mine/x.toml read", 0);
    let path = Path::new(path.trim());
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, "WORDS\nmore\nhi\n").unwrap();
    let output = lab.output("bundle mine/x.toml --out b.tar");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("is damaged: `runner cache repair`"), "{said}");
    assert!(!lab.path().join("b.tar").exists());
}
