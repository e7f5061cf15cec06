//! Manifests: their texts, and what is refused.

use super::*;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// The problem of a text that is no manifest of a folder.
fn refusal(text: &str) -> String {
    Manifest::parse(text.as_bytes(), true).unwrap_err().to_string()
}

#[test]
fn a_manifest_leads_nowhere_outside() {
    let digest = digest("1");
    let line = |path: &str| format!("{digest} 1 {path}\n");
    let read = Manifest::parse((line("a/b c") + &line("d")).as_bytes(), true).unwrap();
    let paths: Vec<&str> = read.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["a/b c", "d"]);
    read.check_total(2).unwrap();
    assert_eq!(read.check_total(3).unwrap_err().to_string(), "its files have 2 bytes instead of 3");
    let paths = [
        "../x",
        "/etc/x",
        "a/../x",
        "a//b",
        "./a",
        "a/",
        "",
        ".",
        "a\\b",
        "a\0",
        "a\tb",
        "\u{9b}31m",
    ];
    for path in paths {
        for text in [
            line(path),
            format!("manifest 2\nexecutable {}", line(path)),
            format!("manifest 2\nfolder {path}\n"),
        ] {
            let message = refusal(&text);
            assert!(
                ["a file has the path", "a line of its list"]
                    .iter()
                    .any(|start| message.starts_with(start)),
                "{text}: {message}"
            );
        }
    }
    assert_eq!(refusal(&(line("a") + &line("a"))), "it lists `a` twice");
    assert!(Manifest::parse(b"\xff", true).is_err());
    for text in ["x 1 a\n", "<html>", "", "manifest 3\n"] {
        assert!(Manifest::parse(text.as_bytes(), true).is_err(), "{text}");
    }
}

#[test]
fn a_folder_has_one_manifest() {
    let one = digest("1");
    let valid = format!("manifest 2\nexecutable {one} 1 a b/tool\nfolder a/logs\nfile {one} 1 a/x\nfile {one} 1 a.b\n");
    let ordered = format!("manifest 2\nfolder a/logs\nfile {one} 1 a/x\nexecutable {one} 1 a b/tool\nfile {one} 1 a.b\n");
    let read = Manifest::parse(ordered.as_bytes(), true).unwrap();
    assert_eq!(read.text(), ordered);
    assert_eq!(read.artifact().digest, digest(&ordered));
    assert_eq!((read.artifact().bytes, read.artifact().manifest), (3, 2));
    assert_eq!(refusal(&valid), "its list is not sorted: `a/logs` is in the wrong place");
    let form = "its list is not written as the runner writes it";
    // Version 1 can say it; it is not written as usual; a folder that is not empty.
    assert_eq!(refusal(&format!("manifest 2\nfile {one} 1 a\n")), form);
    assert_eq!(refusal(&format!("{} 1 a\n", one.to_string().to_uppercase())), form);
    assert_eq!(refusal(&format!("{one} +1 a\n")), form);
    assert_eq!(refusal(&format!("{one} 1 a")), form);
    // A line ends with a line feed alone.
    assert_eq!(refusal(&format!("{one} 1 a\r\n")), form);
    assert_eq!(
        refusal(&format!("manifest 2\nfolder a\nfile {one} 1 a/b\n")),
        "its list is not sorted: `a/b` is in the wrong place"
    );
    let huge = format!("{one} {} a\n{one} 2 b\n", u64::MAX);
    let huge = Manifest::parse(huge.as_bytes(), true).unwrap();
    assert_eq!(huge.check_total(1), Err(ManifestError::TooLarge));
}

#[test]
fn the_manifest_of_a_file_has_one_line_without_a_path() {
    let one = digest("1");
    for word in ["executable", "file"] {
        let text = format!("manifest 2\n{word} {one} 1\n");
        let read = Manifest::parse(text.as_bytes(), false).unwrap();
        assert_eq!(read.text(), text);
        assert_eq!(read.single_file(), Some((one, word == "executable")));
        for wrong in [
            format!("{text}{word} {one} 1\n"),
            format!("manifest 2\n{word} {one} 1 a\n"),
            format!("{one} 1\n"),
        ] {
            assert!(Manifest::parse(wrong.as_bytes(), false).is_err(), "{wrong}");
        }
    }
    for wrong in ["manifest 2\n", "manifest 2\nfolder a\n", "manifest 2\nfolder \n", ""] {
        assert!(Manifest::parse(wrong.as_bytes(), false).is_err(), "{wrong}");
    }
}

#[test]
fn names_are_shown_without_control_characters() {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"a\n\x1b[31m\xff\xc3\xa4\\");
    assert_eq!(shown(Path::new(name)), "a\\n\\u{1b}[31m\\xff\u{e4}\\\\");
}
