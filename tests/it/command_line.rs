//! The command line itself: completions, man pages, help, old names, and JSON of commands that have no test elsewhere.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::lab::Lab;

const EXPERIMENT: &str =
    "[stages.note]\nkind = 'command'\nrun = ['sh', '-c', 'echo hi > $RUNNER_OUTPUT_NOTE']\noutputs = { note = 'file' }\n";

/// The commands in a help text.
fn commands(help: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn completions_know_the_commands_and_options() {
    let lab = Lab::new("");
    for (shell, expected) in [
        ("bash", "complete -F _runner"),
        ("zsh", "#compdef runner"),
        ("fish", "complete -c runner"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = lab.stdout(&format!("completions {shell}"), 0);
        for word in [expected, "signing-key", "unprotect", "keep-going"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    lab.stdout("completions csh", 2);
}

#[test]
fn there_is_a_man_page_for_each_command() {
    let lab = Lab::new("");
    lab.stdout("man pages/man1", 0);
    let page = |name: &str| std::fs::read_to_string(lab.path().join(format!("pages/man1/{name}.1"))).unwrap();
    assert!(page("runner").contains(".TH runner 1"));
    for (parent, help) in [
        ("runner", "--help"),
        ("runner-cache", "cache --help"),
        ("runner-signing-key", "signing-key --help"),
    ] {
        let names = commands(&lab.stdout(help, 0));
        assert!(names.len() > 2, "{names:?}");
        for name in names.iter().filter(|name| *name != "help") {
            assert!(page(&format!("{parent}-{name}")).contains("SYNOPSIS"), "{parent} {name}");
        }
    }
    assert!(!lab.path().join("pages/man1/runner-worker.1").exists(), "it is hidden");
    assert!(page("runner-cache-gc").contains("cheap to recompute"));
}

#[test]
fn the_documentation_lists_every_command() {
    let lab = Lab::new("");
    let page = std::fs::read_to_string(format!("{}/docs/cli.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for (parent, help) in [
        ("runner", "--help"),
        ("runner cache", "cache --help"),
        ("runner signing-key", "signing-key --help"),
    ] {
        for name in commands(&lab.stdout(help, 0)).iter().filter(|name| *name != "help") {
            let listed = page.contains(&format!("`{parent} {name} ")) || page.contains(&format!("`{parent} {name}`"));
            assert!(listed || ["cache", "signing-key"].contains(&name.as_str()), "{parent} {name}");
        }
    }
}

#[test]
fn old_names_are_answered_with_the_new_ones() {
    let lab = Lab::new(EXPERIMENT);
    for (words, expected) in [
        ("fetch x.toml note", "error: `runner fetch` is now `runner get`\n"),
        ("key show", "error: `runner key` is now `runner signing-key`\n"),
        ("cache pin x.toml", "error: `runner cache pin` is now `runner cache protect`\n"),
        (
            "cache pin x.toml --remove",
            "error: `runner cache pin --remove` is now `runner cache unprotect`\n",
        ),
        ("cache pins --json", "error: `runner cache pins` is now `runner cache protected`\n"),
    ] {
        let output = lab.output(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected, "{words}");
    }
}

#[test]
fn get_and_dir_print_json() {
    let lab = Lab::new(EXPERIMENT);
    let json = |words: &str| -> Value { serde_json::from_str(&lab.stdout(words, 0)).unwrap() };
    assert_eq!(json("cache dir --json"), serde_json::json!({"path": "cache"}));
    lab.stdout("get x.toml note", 4);
    lab.stdout("run x.toml", 0);
    let got = json("get x.toml note --json");
    assert_eq!(
        (&got["stage"], &got["port"], &got["bytes"]),
        (&"note".into(), &"note".into(), &3.into()),
        "{got}"
    );
    let copies = json("get x.toml note.note --to out --json");
    let copy = &copies["artifacts"][0];
    assert_eq!((&copy["digest"], &copy["path"]), (&got["digest"], &"out/note".into()));
    assert_eq!(
        std::fs::read_to_string(lab.path().join(copy["path"].as_str().unwrap())).unwrap(),
        "hi\n"
    );
}

#[test]
fn housekeeping_creates_no_store() {
    let lab = Lab::new("");
    for words in [
        "cache size",
        "cache gc",
        "cache verify",
        "cache repair",
        "cache protected",
        "show abcdef",
    ] {
        let output = lab.output(words);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{words}: {text}");
        assert!(text.contains("no store in cache"), "{words}: {text}");
    }
    assert!(!lab.path().join("cache").exists());
}

#[test]
fn sizes_and_durations_are_read_as_people_write_them() {
    let lab = Lab::new(EXPERIMENT);
    lab.stdout("run x.toml", 0);
    for size in ["0", "7B", "500MB", "1.5GB", "2tb", "10GiB"] {
        lab.stdout(&format!("cache gc --max-size {size}"), 0);
    }
    for size in ["GB", "1XB", "1.2.3kB", "nan"] {
        lab.stdout(&format!("cache gc --max-size {size}"), 2);
    }
    for time in ["0s", "45s", "30m", "1.5h", "30d", "2w"] {
        lab.stdout(&format!("cache gc --older-than {time}"), 0);
    }
    for time in ["5", "d", "1x", "nan"] {
        lab.stdout(&format!("cache gc --older-than {time}"), 2);
    }
}

#[test]
fn commands_that_read_make_no_store_and_say_when_there_is_none() {
    let lab = Lab::new(EXPERIMENT);
    lab.write("file", "no folder");
    std::fs::create_dir(lab.path().join("folder")).unwrap();
    // Nobody can make a folder in the last place, not even root.
    for store in ["typo", "deep/er/typo", "folder", "/proc/none"] {
        for (words, code) in [
            ("plan x.toml", 0),
            ("plan x.toml --json", 0),
            ("plan x.toml --check", 3),
            ("graph x.toml", 0),
            ("report x.toml", 2),
            ("diff x.toml x.toml", 0),
            ("diff x.toml run", 2),
            ("show x.toml note", 4),
            ("show abcdef", 4),
            ("why x.toml note", 4),
            ("get x.toml note", 4),
            ("get x.toml note --to out", 4),
            ("bundle x.toml", 4),
            ("cache verify", 4),
            ("cache verify --rerun 1", 4),
            ("cache repair", 4),
            ("cache size", 4),
            ("cache gc", 4),
            ("cache gc --delete --keep x.toml", 4),
            ("cache protected", 4),
            ("cache protect x.toml", 4),
            ("cache unprotect x.toml", 4),
            ("cache push", 2),
            ("cache dir", 0),
            ("config x.toml", 0),
        ] {
            let output = lab.output(&format!("{words} --store {store}"));
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{words} --store {store}: {error}");
            if !["plan", "graph", "report", "diff", "config", "cache dir", "cache push"]
                .iter()
                .any(|begin| words.starts_with(begin))
            {
                let said = format!("error: no store in {store}: ");
                assert!(error.starts_with(&said), "{words}: {error}");
            }
        }
    }
    for words in ["plan x.toml --store file", "cache verify --store file/below"] {
        let output = lab.output(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), error.contains("Not a directory")),
            (Some(5), true),
            "{error}"
        );
    }
    let mut left: Vec<String> = std::fs::read_dir(lab.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["file", "folder", "x.toml"]);
    assert_eq!(std::fs::read_dir(lab.path().join("folder")).unwrap().count(), 0);
}

#[test]
fn what_is_no_utf_8_is_refused_before_anything_is_done() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let lab = Lab::new(EXPERIMENT);
    let bad = OsStr::from_bytes(b"b\xffd");
    let folder = lab.path().join(bad);
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(lab.path().join("x.toml"), folder.join("x.toml")).unwrap();
    let place = folder.join("st").into_os_string();
    let refused = |command: &mut std::process::Command, what: &str| {
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{what}: {error}");
        assert!(error.contains(what) && error.contains("not UTF-8"), "{what}: {error}");
    };
    for words in ["run x.toml", "plan x.toml", "cache size", "run x.toml --json"] {
        refused(lab.command(words).current_dir(&folder), "the working folder");
        refused(lab.command(words).arg("--store").arg(&place), "the argument");
        for name in ["RUNNER_STORE", "HOME", "XDG_CONFIG_HOME", "TMPDIR"] {
            refused(lab.command(words).env(name, &place), name);
        }
    }
    refused(lab.command("run").arg(folder.join("x.toml")), "the argument");
    refused(lab.command("bundle x.toml --out").arg(&place), "the argument");
    refused(lab.command("report x.toml --html").arg(&place), "the argument");
    // A link leads to it.
    std::os::unix::fs::symlink(&folder, lab.path().join("link")).unwrap();
    refused(&mut lab.command("run x.toml --store link/st"), "the folder of the store");
    let left = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!(left(lab.path()), 3, "the experiment, the folder and the link");
    assert_eq!(left(&folder), 1, "the experiment");
    assert!(!lab.path().join("cache").exists());
}

#[test]
fn a_tilde_that_no_shell_replaced_is_the_home_folder() {
    let lab = Lab::new(EXPERIMENT);
    let home = lab.path().join("home");
    let run = |words: &str, variables: &[(&str, &str)]| {
        let mut command = lab.command(words);
        let output = command.env("HOME", &home).envs(variables.iter().copied()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run("run x.toml --store ~/a", &[]).0, 0);
    assert_eq!(run("run x.toml", &[("RUNNER_STORE", "~/b")]).0, 0);
    lab.write("y.toml", &format!("[settings]\nstore = '~/c'\n{EXPERIMENT}"));
    assert_eq!(run("run y.toml", &[]).0, 0);
    for store in ["a", "b", "c"] {
        assert!(home.join(store).join("v1").is_dir(), "{store}");
    }
    let (code, error) = run("run x.toml --store ~nobody/a", &[]);
    assert_eq!((code, error.contains("`./~nobody/a`")), (2, true), "{error}");
    assert!(!lab.path().join("~").exists());
}

#[test]
fn a_name_from_a_file_names_no_place_elsewhere() {
    let lab = Lab::new("");
    let inner = lab.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    for (name, archive) in [
        ("../../evil", "_._.._evil.tar"),
        ("/tmp/evil", "_tmp_evil.tar"),
        (".hidden", "_hidden.tar"),
        ("a\\u001b[31m b", "a__31m b.tar"),
        ("", "x.tar"),
        ("  ", "x.tar"),
        (&"n".repeat(400), &format!("{}.tar", "n".repeat(150))),
    ] {
        std::fs::write(inner.join("x.toml"), format!("name = \"{name}\"\n{EXPERIMENT}")).unwrap();
        let run = |words: &str| {
            let output = lab.command(words).current_dir(&inner).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        };
        run("run x.toml");
        run("bundle x.toml");
        assert!(inner.join(archive).is_file(), "{name}");
        std::fs::remove_file(inner.join(archive)).unwrap();
    }
    let names = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!((names(lab.path()), names(&lab.path().join("a")), names(&inner)), (2, 1, 2));
}
