//! Tests of the files of a source.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

/// What is listed of `place` by a source that names `files`, or why nothing is.
fn names(files: &[&str], place: &Path) -> String {
    let files = files.iter().map(|&name| name.to_owned()).collect();
    let source = Source {
        files,
        ..Source::default()
    };
    let listed = source.list(place);
    let names = listed.map(|files| files.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" "));
    names.unwrap_or_else(|error| error.to_string())
}

#[test]
fn files_are_listed_by_name_and_hidden_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b", "a/c", ".git/x", "a/.y"] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    assert_eq!(names(&[], folder.path()), "a/c b");
    assert_eq!(names(&["b", "a/c"], folder.path()), "a/c b");
    assert_eq!(names(&["a/c"], &folder.path().join("b")), "b", "a file in place of some");
    assert!(names(&["a/d"], folder.path()).starts_with("a/d: "));
    assert_eq!(names(&["a/*"], folder.path()), "a/c");
    assert_eq!(names(&["a/.*", "b"], folder.path()), "a/.y b");
    assert!(names(&["c/*"], folder.path()).starts_with("no file fits `c/*` in `files` "));
}

#[test]
fn links_are_followed_and_what_is_no_file_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x"), "").unwrap();
    let said = |make: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        make(folder.path());
        let place = folder.path().display().to_string();
        names(&[], folder.path()).replace(&place, "PLACE")
    };
    let link = |to: &Path, name: &'static str| {
        let to = to.to_owned();
        move |folder: &Path| symlink(&to, folder.join(name)).unwrap()
    };
    let reports = [
        said(&link(&outside.path().join("x"), "file")),
        said(&link(outside.path(), "in/folder")),
        said(&link(Path::new(".."), "in/circle")),
        said(&link(Path::new("nothing"), "in/dangling")),
        said(&link(Path::new("nothing"), "in/.#lock")),
        said(&link(Path::new(".."), "in/.circle")),
        said(&link(Path::new("/dev/null"), "in/device")),
        said(&|folder| drop(UnixListener::bind(folder.join("in/socket")).unwrap())),
        said(&|folder| std::fs::write(folder.join("a\nb"), "").unwrap()),
        said(&|folder| std::fs::write(folder.join("a\\b"), "").unwrap()),
        said(&|folder| std::fs::write(folder.join(OsStr::from_bytes(b"a\xff")), "").unwrap()),
    ];
    insta::assert_snapshot!(reports.join("\n"), @r#"
    file
    in/folder/x
    the link PLACE/in/circle leads back to PLACE, a folder that it is in
    the link PLACE/in/dangling leads to nothing


    PLACE/in/device is a device, neither a file nor a folder
    PLACE/in/socket is a socket, neither a file nor a folder
    the name "a\nb" has a control character or `\` in it; rename the file
    the name "a\\b" has a control character or `\` in it; rename the file
    the name of PLACE/a� is not UTF-8; rename it
    "#);
    assert_eq!(
        names(&[], Path::new("/dev/zero")),
        "/dev/zero is a device, neither a file nor a folder"
    );
    assert_eq!(
        names(&["dev"], Path::new("/")),
        "/dev is a folder, not a file; `NAME/**` takes the files in it"
    );
}

#[test]
fn one_file_is_looked_up_as_all_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a.py", "in/b.py", "in/c.log", "out/d.py", "venv/e.py", ".f.py"];
    for name in names {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    std::fs::write(folder.path().join(".gitignore"), "out/\n").unwrap();
    for files in [vec![], vec!["**/*.py"], vec!["in/c.log"], vec!["*.py", "out/d.py"]] {
        let source = Source {
            files: files.into_iter().map(str::to_owned).collect(),
            is_code: true,
            ..Source::default()
        };
        let listed = source.list(folder.path()).unwrap();
        let found: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
        let had: Vec<&str> = names.into_iter().filter(|name| source.has(folder.path(), name)).collect();
        assert_eq!(had, found, "{:?}", source.files);
    }
    let source = Source::default();
    assert!(source.has(&folder.path().join("a.py"), "a.py") && !source.has(folder.path(), "in/../a.py"));
}

#[test]
fn more_files_than_code_has_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    for name in ["a", "data/b", "data/c"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let data = Source::default();
    let code = Source {
        is_code: true,
        ..Source::default()
    };
    assert_eq!(data.list_at_most(folder.path(), 2).unwrap().len(), 3);
    assert_eq!(code.list_at_most(folder.path(), 3).unwrap().len(), 3);
    let error = code.list_at_most(folder.path(), 2).unwrap_err().to_string();
    assert!(
        error.contains(" has more than 2 files") && error.contains("leave out by `.gitignore`"),
        "{error}"
    );
}

#[test]
fn what_was_written_since_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "1").unwrap();
    let listed = Source::default().listed(folder.path()).unwrap();
    assert_eq!(listed.changed(), None);
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(folder.path().join("new"), "1").unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    assert_eq!(listed.changed(), Some("a"), "another file of the same size and time");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(listed.changed(), Some("a"));
}
