//! Where commands write: what the user names for a result is written into, and a store is made only where something is to be kept.

use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::lab::Lab;
use crate::server::{Reply, Server};

const EXPERIMENT: &str =
    "[stages.note]\nkind = 'command'\nrun = ['sh', '-c', 'echo hi > $RUNNER_OUTPUT_NOTE']\noutputs = { note = 'file' }\n";

#[test]
fn an_archive_goes_into_links_pipes_and_standard_output() {
    let lab = Lab::new(EXPERIMENT);
    lab.stdout("run x.toml", 0);
    lab.stdout("bundle x.toml", 0);
    let archive = std::fs::read(lab.path().join("x.tar")).unwrap();
    std::fs::write(lab.path().join("made"), "").unwrap();
    let mode = |name: &str| std::fs::metadata(lab.path().join(name)).unwrap().mode() & 0o777;
    assert_eq!(mode("x.tar"), mode("made"), "as the umask has it");

    lab.write("real.tar", "old");
    symlink("real.tar", lab.path().join("link.tar")).unwrap();
    lab.stdout("bundle x.toml --out link.tar", 0);
    assert!(lab.path().join("link.tar").is_symlink());
    assert!(std::fs::read(lab.path().join("real.tar")).unwrap() == archive);

    let output = lab.output("bundle x.toml --out -");
    assert!(output.stdout == archive && output.status.success() && !lab.path().join("-").exists());
    assert!(String::from_utf8_lossy(&output.stderr).contains("packed 1 files, 1 records"));

    let said = lab.stdout("bundle x.toml --out /dev/null", 0);
    assert!(said.ends_with("/dev/null\n"), "{said}");
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());

    let pipe = lab.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let bundle = lab.command("bundle x.toml --out pipe").stdout(Stdio::null()).spawn();
    let mut read = Vec::new();
    std::fs::File::open(&pipe).unwrap().read_to_end(&mut read).unwrap();
    assert!(bundle.unwrap().wait().unwrap().success() && read == archive);
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
}

#[test]
fn pin_writes_through_a_link_and_leaves_line_ends_and_the_mark() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/api/datasets/lab/nuts/revision/main" => Reply::of(200, r#"{"sha": "12ab"}"#),
        _ => Reply::file(request, b"one\n", "\"v1\""),
    });
    let text =
        "\u{feff}[sources.nuts]\nhub = 'lab/nuts'\nfiles = 'a.jsonl'\n\n[stages.data]\nkind = 'import'\nsource = 'nuts'\ntask = 'gsm8k'\n";
    let lab = Lab::new("");
    std::fs::write(lab.path().join("real.toml"), text.replace('\n', "\r\n")).unwrap();
    symlink("real.toml", lab.path().join("link.toml")).unwrap();
    let mut pin = lab.command("pin link.toml");
    let pin = pin.env("HF_ENDPOINT", &server.address).env("HF_HOME", lab.path().join("hf"));
    let output = pin.env_remove("HF_TOKEN").env_remove("HF_HUB_OFFLINE").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(lab.path().join("link.toml").is_symlink());
    let sha256: String = Sha256::digest("one\n").iter().map(|byte| format!("{byte:02x}")).collect();
    let added = format!("files = 'a.jsonl'\nrevision = \"12ab\"\nsha256 = \"{sha256}\"\n");
    let pinned = text.replace("files = 'a.jsonl'\n", &added).replace('\n', "\r\n");
    assert_eq!(std::fs::read_to_string(lab.path().join("real.toml")).unwrap(), pinned);
}

#[test]
fn a_store_is_made_only_for_what_is_to_be_kept() {
    let lab = Lab::new(EXPERIMENT);
    std::fs::create_dir(lab.path().join("shared")).unwrap();
    let remote = format!(
        "[settings]\nremotes = [{{ url = 'file://{}' }}]\n",
        lab.path().join("shared").display()
    );
    lab.write("r.toml", &format!("{remote}{EXPERIMENT}"));
    for (words, code) in [
        ("pin x.toml", 0),
        ("cache pull x.toml", 2),
        ("cache pull r.toml nostage", 4),
        ("get r.toml nostage", 4),
        ("get r.toml note.noport", 4),
        ("run x.toml nostage", 4),
        ("run r.toml --variant no=1", 4),
        ("unbundle nope.tar", 2),
        ("unbundle x.toml", 2),
        ("unbundle shared", 2),
        ("bundle r.toml --out r.tar", 4),
    ] {
        lab.stdout(&format!("{words} --store nope"), code);
        assert!(!lab.path().join("nope").exists(), "{words}");
    }
    assert!(!lab.path().join("r.tar").exists());
}

#[test]
fn a_tilde_after_an_equals_sign_is_the_home_folder() {
    let lab = Lab::new(EXPERIMENT);
    let home = lab.path().join("home");
    std::fs::create_dir(&home).unwrap();
    for (words, made) in [
        ("run x.toml --tensorboard=~/board", "board"),
        ("get x.toml note --to=~/got", "got/note"),
        ("bundle x.toml --out=~/b.tar", "b.tar"),
        ("unbundle ~/b.tar ~/there", "there/x.toml"),
        ("man ~/man", "man/runner.1"),
    ] {
        let output = lab.command(words).env("HOME", &home).output().unwrap();
        assert!(home.join(made).exists(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!lab.path().join("~").exists());
    let output = lab.output("get x.toml note --to=~nobody/x");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), error.contains("`./~nobody/x`")), (Some(2), true), "{error}");
}

#[test]
fn a_source_without_files_is_said() {
    let lab = Lab::new(
        &EXPERIMENT
            .replace("outputs", "source = 'src'\noutputs")
            .replace("[stages", "[sources.src]\npath = 'src'\n[stages"),
    );
    std::fs::create_dir_all(lab.path().join("src/deep")).unwrap();
    lab.write("src/.hidden", "");
    let error = |words: &str| {
        let output = lab.output(words);
        assert_eq!(output.status.code(), Some(0), "{words}");
        String::from_utf8(output.stderr).unwrap()
    };
    let warning = "warning: source `src` has no files (hidden and ignored ones do not count)\n";
    assert_eq!(error("plan x.toml"), warning);
    assert!(error("run x.toml").starts_with(warning));
    lab.write("src/deep/a", "");
    assert_eq!(error("plan x.toml"), "");
}

#[test]
fn a_project_file_that_is_no_file_is_not_passed_over() {
    let lab = Lab::new(EXPERIMENT);
    let path = lab.path().join("runner.toml");
    let said = |what: &str| {
        for words in ["plan x.toml", "cache dir"] {
            let output = lab.output(words);
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{words}: {error}");
            assert!(
                error.contains("cannot read") && error.contains("runner.toml") && error.contains(what),
                "{error}"
            );
        }
    };
    std::fs::create_dir(&path).unwrap();
    said("it is a folder");
    std::fs::remove_dir(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    said("it is a pipe");
    std::fs::remove_file(&path).unwrap();
    symlink("nothing", &path).unwrap();
    said("not there");
    std::fs::remove_file(&path).unwrap();
    symlink("runner.toml", &path).unwrap();
    said("symbolic link");
}

#[test]
fn a_store_s_path_has_no_control_characters() {
    let lab = Lab::new(EXPERIMENT);
    let folder = lab.path().join("nl\nx");
    std::fs::create_dir(&folder).unwrap();
    for (command, said) in [
        (
            lab.command("run x.toml").env("RUNNER_STORE", "s\r"),
            "there is a carriage return in this value: the script that gives it has the line ends of Windows",
        ),
        (
            lab.command("run ../x.toml").current_dir(&folder),
            "error: the folder of the store has a control character",
        ),
    ] {
        let output = command.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    assert!(!lab.path().join("s\r").exists());
}
