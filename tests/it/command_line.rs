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
    assert!(page("runner-cache-gc").contains("cheapest to recompute"));
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
    let copy = json("get x.toml note.note --to out --json");
    assert_eq!(copy["digest"], got["digest"]);
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
        assert_eq!(output.status.code(), Some(2), "{words}: {text}");
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
