//! Sources, brought in by the program: from paths, and from a server with the paths of the Hugging Face Hub.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use learn::dataset::{self, Row};
use sha2::{Digest, Sha256};

use super::lab::{Lab, count};
use super::server::{Reply, Request, Server};

const LINES: &str = r#"{"question": "Tom has 3 bags of 4 nuts. How many nuts?", "answer": "He has 3*4 = <<3*4=12>>12 nuts.\n#### 12"}
{"question": "Ann had 10 cups and gave 4 away. How many are left?", "answer": "She gave 4 away.\nThere are 10-4 = <<10-4=6>>6 left.\n#### 6"}
"#;

fn experiment(source: &str) -> String {
    format!("[sources.nuts]\n{source}\n\n[stages.data]\nkind = 'import'\nsource = 'nuts'\ntask = 'gsm8k'\n")
}

fn hub(more: &str) -> String {
    experiment(&format!("hub = 'lab/nuts'\nfiles = 'main/train.jsonl'\n{more}"))
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs with the server as the hub; the exit code, and what is said.
fn run(lab: &Lab, server: &Server, words: &str) -> (i32, String) {
    let mut command = lab.command(words);
    command
        .env("HF_ENDPOINT", &server.address)
        .env("HF_HOME", lab.path().join("hf"))
        .env_remove("HF_TOKEN")
        .env_remove("HF_HUB_OFFLINE");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let text = text
        .replace(&server.address, "http://hub")
        .replace(&lab.path().display().to_string(), "LAB");
    (output.status.code().unwrap_or(-1), text)
}

/// The rows of the one import in the store.
fn rows(lab: &Lab) -> Vec<Row> {
    let digests = lab.digests("cache");
    let digest = digests.values().next().unwrap()["data"]["digest"].as_str().unwrap();
    let object = lab.object("cache", digest);
    dataset::read(&object).unwrap()
}

fn errors(text: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with("error"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_path_is_keyed_by_its_content_alone() {
    let lab = Lab::new(&experiment("path = 'nuts.jsonl'"));
    lab.write("nuts.jsonl", LINES);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 1);
    assert_eq!(
        rows(&lab)[1].completion,
        "She gave 4 away.\nThere are 10-4 = 6 left.\nThus, the answer is 6."
    );
    let keys = lab.keys("x.toml");
    lab.write("other.jsonl", LINES);
    assert_eq!(lab.keys("x.toml --set sources.nuts=other.jsonl"), keys, "another path");
    lab.write("other.jsonl", &LINES.replace("cups", "jugs"));
    let plan = lab.plan("x.toml --set sources.nuts=other.jsonl");
    let reason = plan["data {}"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("param `content` changed: "), "{reason}");
}

#[test]
fn what_is_missing_is_said_at_once_with_what_to_do() {
    let lab = Lab::new(&experiment("path = 'nuts.jsonl'"));
    let said = |words: &str| {
        let begun = Instant::now();
        let output = lab.output(words);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert_snapshot!(said("run x.toml"), @r"
    error: source `nuts`: no file or folder nuts.jsonl
      help: supply it: `--set sources.nuts=PATH`
    ");
    assert_eq!(said("plan x.toml"), said("run x.toml"));
    lab.write("x.toml", &hub(""));
    assert_snapshot!(said("run x.toml --offline"), @r"
    error: source `nuts` is not on this machine, and cannot be downloaded offline
      help: run without `--offline`, or supply it: `--set sources.nuts=PATH`
    ");
    let nobody = Server::absent();
    let begun = Instant::now();
    let (_, at_once) = run(&lab, &nobody, "run x.toml --set settings.patience=0");
    assert_snapshot!(errors(&at_once), @r"
    error: source `nuts`: http://hub/api/datasets/lab/nuts/revision/main failed once: Connection refused (os error 111)
      help: supply it: `--set sources.nuts=PATH`
    ");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    lab.write("x.toml", &experiment("path = 'a'").replace("source = 'nuts'", "source = 'nutz'"));
    assert_snapshot!(said("plan x.toml"), @r"
      × no source `nutz`
       ╭─[x.toml:6:10]
     6 │ source = 'nutz'
       ·          ───┬──
       ·             ╰── did you mean `nuts`?
       ╰────
      help: `[sources]` has nuts

    1 error in x.toml
    ");
}

#[test]
fn a_download_goes_on_where_it_was_cut_and_is_made_once() {
    let server = Server::start(|request, before| match request.method.as_str() {
        "HEAD" => Reply::of(200, LINES),
        _ if before < 3 => Reply::file(request, LINES.as_bytes(), "\"v1\"").cut(40),
        _ => Reply::file(request, LINES.as_bytes(), "\"v1\""),
    });
    let lab = Lab::new(&hub(&format!("sha256 = '{}'", sha256(LINES))));
    let (code, said) = run(&lab, &server, "run x.toml");
    assert_eq!((code, rows(&lab).len()), (0, 2), "{said}");
    let ranges: Vec<_> = server
        .asked()
        .iter()
        .map(|request| request.headers.get("range").cloned().unwrap_or_default())
        .collect();
    assert_eq!(ranges, ["", "", "bytes=40-", "bytes=80-"], "{:?}", server.log());
    assert_eq!(server.log()[1], "GET /datasets/lab/nuts/resolve/main/main/train.jsonl");
    // Read another way, it is not fetched again; nor where it is pinned otherwise.
    lab.write(
        "x.toml",
        &hub(&format!("sha256 = '{}'", sha256(LINES))).replace(
            "task = 'gsm8k'",
            "fields = { prompt = 'question', completion = 'answer', answer = 'answer' }",
        ),
    );
    assert_eq!(run(&lab, &server, "run x.toml --offline").0, 0);
    assert_eq!(server.log().len(), 4);
}

#[test]
fn another_file_by_now_is_fetched_from_its_start() {
    let server = Server::start(|request, before| match (request.method.as_str(), before) {
        ("HEAD", _) => Reply::of(200, LINES),
        (_, 1) => Reply::file(request, &LINES.as_bytes().to_ascii_uppercase(), "\"v1\"").cut(40),
        _ => Reply::file(request, LINES.as_bytes(), "\"v2\""),
    });
    let lab = Lab::new(&hub(&format!("sha256 = '{}'", sha256(LINES))));
    let (code, said) = run(&lab, &server, "run x.toml");
    assert_eq!((code, rows(&lab).len()), (0, 2), "{said}");
}

#[test]
fn without_a_pin_the_run_says_how_to_pin_it_and_pin_does() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/api/datasets/lab/nuts/revision/main" => Reply::of(200, r#"{"sha": "12ab"}"#),
        _ => Reply::file(request, LINES.as_bytes(), "\"v1\""),
    });
    let lab = Lab::new(&hub(""));
    let (code, said) = run(&lab, &server, "run x.toml");
    let line = said.lines().find(|line| line.starts_with("fetched")).unwrap().to_owned();
    assert_eq!(code, 0);
    assert!(line.starts_with(&format!("fetched source nuts: {} B in ", LINES.len())), "{line}");
    assert!(line.ends_with("; `runner pin FILE` pins it when a stage has read it"), "{line}");
    let before = rows(&lab);
    assert_eq!(run(&lab, &server, "pin x.toml").0, 0);
    let pinned = std::fs::read_to_string(lab.path().join("x.toml")).unwrap();
    assert_snapshot!(pinned.replace(&sha256(LINES), "SHA256"), @r#"
    [sources.nuts]
    hub = 'lab/nuts'
    files = 'main/train.jsonl'
    revision = "12ab"
    sha256 = "SHA256"


    [stages.data]
    kind = 'import'
    source = 'nuts'
    task = 'gsm8k'
    "#);
    assert_eq!(run(&lab, &server, "run x.toml").0, 0);
    assert!(
        server
            .log()
            .contains(&"GET /datasets/lab/nuts/resolve/12ab/main/train.jsonl".to_owned())
    );
    assert_eq!(lab.digests("cache").len(), 2);
    assert_eq!(rows(&lab), before, "what comes after is the same");
}

#[test]
fn all_files_are_of_one_commit_though_the_branch_moves() {
    let moved = AtomicBool::new(false);
    let server = Server::start(move |request, before| match request.path.as_str() {
        "/api/datasets/lab/nuts/revision/main" if moved.load(Ordering::Relaxed) => Reply::of(200, r#"{"sha": "bbbb"}"#),
        "/api/datasets/lab/nuts/revision/main" => Reply::of(200, r#"{"sha": "aaaa"}"#),
        // The first run ends between the files.
        path if path.ends_with("b.jsonl") && before < 4 => Reply::of(410, ""),
        _ => {
            moved.fetch_or(request.method == "GET", Ordering::Relaxed);
            Reply::file(request, LINES.as_bytes(), "\"v1\"")
        }
    });
    let text = experiment("hub = 'lab/nuts'\nfiles = ['a.jsonl', 'b.jsonl']");
    let lab = Lab::new(&text.replace("task", "file = 'a*'\ntask"));
    assert_eq!(run(&lab, &server, "run x.toml").0, 2);
    let (code, said) = run(&lab, &server, "run x.toml");
    assert_eq!(code, 0, "{said}");
    assert_eq!(run(&lab, &server, "pin x.toml").0, 0);
    let log = server.log();
    let read: Vec<&String> = log.iter().filter(|asked| asked.starts_with("GET")).collect();
    assert_eq!(
        read,
        [
            "GET /api/datasets/lab/nuts/revision/main",
            "GET /datasets/lab/nuts/resolve/aaaa/a.jsonl",
            "GET /datasets/lab/nuts/resolve/aaaa/b.jsonl",
            "GET /datasets/lab/nuts/resolve/aaaa/b.jsonl",
        ]
    );
    let pinned = std::fs::read_to_string(lab.path().join("x.toml")).unwrap();
    assert!(pinned.contains("revision = \"aaaa\""), "{pinned}");
}

#[test]
fn an_address_with_a_password_is_refused_and_not_shown() {
    let url = "url = 'https://user:hush@127.0.0.1:1/nuts.jsonl'";
    let in_a_line = format!("sources.nuts = {{ {url} }}\n[stages.data]\nkind = 'import'\nsource = 'nuts'\n");
    for text in [experiment(url), in_a_line] {
        let output = Lab::new(&text).output("plan x.toml --color never");
        let text = String::from_utf8(output.stderr).unwrap();
        // Its lines may be broken.
        let said = text.split_whitespace().filter(|&word| word != "│").collect::<Vec<_>>().join(" ");
        assert!(
            said.contains("must not hold a name or a password") && !said.contains("hush"),
            "{text}"
        );
    }
}

#[test]
fn servers_that_refuse_are_named_with_what_to_do() {
    let digest = sha256(LINES);
    let cases: [(u16, &str); 4] = [(401, ""), (403, ""), (404, ""), (418, "")];
    let mut said = String::new();
    for (status, body) in cases {
        let server = Server::start(move |_, _| Reply::of(status, body));
        let lab = Lab::new(&hub(&format!("sha256 = '{digest}'")));
        let (code, text) = run(&lab, &server, "run x.toml");
        said += &format!("{code} {}\n", errors(&text));
    }
    assert_snapshot!(said, @r"
    2 error: source `nuts`: http://hub/datasets/lab/nuts/resolve/main/main/train.jsonl refuses access (401 Unauthorized)
      help: set `HF_TOKEN` if access needs an account, or supply it: `--set sources.nuts=PATH`
    2 error: source `nuts`: http://hub/datasets/lab/nuts/resolve/main/main/train.jsonl refuses access (403 Forbidden)
      help: set `HF_TOKEN` if access needs an account, or supply it: `--set sources.nuts=PATH`
    2 error: source `nuts`: http://hub/datasets/lab/nuts/resolve/main/main/train.jsonl does not exist (404)
      help: correct the address or the revision, or supply it: `--set sources.nuts=PATH`
    2 error: source `nuts`: http://hub/datasets/lab/nuts/resolve/main/main/train.jsonl answers 418 I'm a teapot
      help: supply it: `--set sources.nuts=PATH`
    ");
}

#[test]
fn a_server_that_is_ill_is_asked_again_and_given_up_on() {
    let well = |request: &Request| Reply::file(request, LINES.as_bytes(), "\"v1\"");
    let server = Server::start(move |request, before| match before {
        1 | 2 => Reply {
            headers: vec![("retry-after", "0".to_owned())],
            ..Reply::of(503, "")
        },
        _ => well(request),
    });
    let lab = Lab::new(&hub(&format!("sha256 = '{}'", sha256(LINES))));
    let (code, text) = run(&lab, &server, "run x.toml");
    assert_eq!((code, server.log().len()), (0, 4), "{text}");
    let server = Server::start(|request, _| Reply {
        headers: vec![("retry-after", "0".to_owned())],
        ..Reply::of(if request.method == "HEAD" { 200 } else { 500 }, "")
    });
    let lab = Lab::new(&hub(""));
    let (code, text) = run(&lab, &server, "run x.toml --set settings.patience=2");
    let times = server.log().iter().filter(|asked| asked.starts_with("GET")).count();
    assert!(times > 2, "{times}");
    let said = format!("{code} {}", errors(&text));
    let (before, after) = said.split_once(&format!(" failed {times} times in ")).unwrap();
    let (_, after) = after.split_once(" s, ").unwrap();
    assert_snapshot!(format!("{before} … {after}"), @r"
    2 error: source `nuts`: http://hub/api/datasets/lab/nuts/revision/main … the last time with: it answers 500 Internal Server Error
      help: supply it: `--set sources.nuts=PATH`
    ");
}

#[test]
fn a_slow_server_and_redirects_are_followed_and_the_token_stays_with_the_hub() {
    let elsewhere = Server::start(|request, _| Reply {
        pause: Duration::from_millis(60),
        ..Reply::file(request, LINES.as_bytes(), "\"v1\"")
    });
    let target = elsewhere.address.replace("127.0.0.1", "localhost");
    let server = Server::start(move |_, _| Reply {
        headers: vec![("location", format!("{target}/blob"))],
        ..Reply::of(302, "")
    });
    let lab = Lab::new(&hub(&format!("sha256 = '{}'", sha256(LINES))));
    let mut command = lab.command("run x.toml --json");
    command
        .env("HF_ENDPOINT", &server.address)
        .env("HF_HOME", lab.path())
        .env("HF_TOKEN", "secret");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.lines().filter(|line| line.contains("\"fetching\"")).count() >= 2,
        "progress: {text}"
    );
    assert!(
        server
            .asked()
            .iter()
            .all(|request| request.headers.get("authorization").is_some_and(|token| token == "Bearer secret"))
    );
    assert!(!elsewhere.asked().is_empty());
    assert!(
        elsewhere
            .asked()
            .iter()
            .all(|request| !request.headers.contains_key("authorization"))
    );
}

#[test]
fn what_is_not_as_pinned_is_refused_and_set_aside() {
    let server = Server::start(|request, _| Reply::file(request, LINES.as_bytes(), "\"v1\""));
    let lab = Lab::new(&hub(&format!("sha256 = '{}'", "ab".repeat(32))));
    let (code, text) = run(&lab, &server, "run x.toml");
    let text = errors(&text).replace(&sha256(LINES), "SHA256").replace(&"ab".repeat(32), "PIN");
    let (text, aside) = text.rsplit_once("source is ").unwrap();
    assert_eq!(code, 2);
    assert_snapshot!(text, @r"
    error: source `nuts` has changed: its digest is sha256:SHA256, but the experiment pins sha256:PIN
      help: if the change is intended, write the new digest; the changed 
    ");
    assert!(aside.starts_with("LAB/cache/v1/sources/") && aside.ends_with(".wrong"), "{aside}");
    lab.write("x.toml", &hub(&format!("sha256 = '{}'", sha256(LINES))));
    assert_eq!(run(&lab, &server, "run x.toml").0, 0);
    assert!(lab.digests("cache").len() == 1);
}

#[test]
fn the_hub_s_own_cache_is_used_where_it_has_the_files() {
    let server = Server::start(|_, _| Reply::of(500, ""));
    let lab = Lab::new(&hub(""));
    let folder = lab.path().join("hf/hub/datasets--lab--nuts");
    std::fs::create_dir_all(folder.join("snapshots/12ab/main")).unwrap();
    std::fs::create_dir_all(folder.join("refs")).unwrap();
    std::fs::write(folder.join("refs/main"), "12ab").unwrap();
    std::fs::write(folder.join("snapshots/12ab/main/train.jsonl"), LINES).unwrap();
    let (code, said) = run(&lab, &server, "run x.toml");
    assert_eq!((code, rows(&lab).len()), (0, 2), "{said}");
    assert!(server.log().is_empty(), "{:?}", server.log());
}

#[test]
fn several_files_are_pinned_by_what_sha256sum_prints_of_them() {
    let lab = Lab::new("");
    std::fs::create_dir_all(lab.path().join("nuts")).unwrap();
    lab.write("nuts/train.jsonl", LINES);
    lab.write("nuts/test.jsonl", LINES);
    // sha256sum test.jsonl train.jsonl | sha256sum
    let one = sha256(LINES);
    let pin = sha256(&format!("{one}  test.jsonl\n{one}  train.jsonl\n"));
    lab.write(
        "x.toml",
        &experiment(&format!("path = 'nuts'\nfiles = ['train.jsonl', 'test.jsonl']\nsha256 = '{pin}'"))
            .replace("task", "file = 'train*'\ntask"),
    );
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 1);
    assert_eq!(rows(&lab).len(), 2);
}

/// A program that reads all of a folder, after a stage that takes a moment.
fn folder_reader(first: &str, more: &str) -> String {
    format!(
        "[settings]\nsandbox = 'off'\n[sources.s]\npath = 'src'\n{more}\n[stages.first]\nkind = 'command'\nrun = ['sh', '-c', '{first}; echo 1 > $RUNNER_OUTPUT_X']\n\
         outputs = {{ x = 'file' }}\n[stages.b]\nkind = 'command'\nrun = ['sh', '-c', 'cat *.txt > $RUNNER_OUTPUT_X']\ninputs = {{ d = 'first' }}\n\
         source = 's'\noutputs = {{ x = 'file' }}\n"
    )
}

/// The files of a source are those that its key was made of, whatever happens while earlier stages run.
#[test]
fn a_file_that_comes_goes_or_changes_during_a_run_fails_the_stage() {
    let pin = |names: &[(&str, &str)]| {
        let lines: String = names.iter().map(|(name, text)| format!("{}  {name}\n", sha256(text))).collect();
        format!("sha256 = '{}'", sha256(&lines))
    };
    let pinned = pin(&[("a.txt", "one\n"), ("c.txt", "three\n")]);
    for more in ["", &pinned] {
        for (change, message) in [
            (
                "echo two > LAB/src/b.txt",
                "`b.txt` was added to source `s` after the run had begun (src); run again",
            ),
            (
                "rm LAB/src/c.txt",
                "`c.txt` was removed from source `s` after the run had begun (src); run again",
            ),
            (
                "echo 3 > LAB/src/c.txt",
                "`c.txt` was changed after the run had begun (src/c.txt); run again",
            ),
            (
                "mkdir LAB/src/in; echo two > LAB/src/in/b.txt",
                "`in/b.txt` was added to source `s` after the run had begun (src); run again",
            ),
        ] {
            let lab = Lab::new("");
            std::fs::create_dir(lab.path().join("src")).unwrap();
            lab.write("src/a.txt", "one\n");
            lab.write("src/c.txt", "three\n");
            let change = change.replace("LAB", &lab.path().display().to_string());
            lab.write("x.toml", &folder_reader(&change, more));
            let output = lab.output("run x.toml");
            let text = String::from_utf8(output.stderr).unwrap();
            // A pin is of the whole: it does not tell which file.
            let message = if more.is_empty() {
                message
            } else {
                "source `s` was changed after the run had begun (src); run again"
            };
            assert!(output.status.code() == Some(1) && text.contains(message), "{change}: {text}");
        }
    }
}

#[test]
fn an_import_sees_the_files_of_its_key() {
    let lab = Lab::new("");
    std::fs::create_dir(lab.path().join("nuts")).unwrap();
    lab.write("nuts/a.jsonl", LINES);
    let text = "[settings]\nsandbox = 'off'\n[sources.nuts]\npath = 'nuts'\n[stages.first]\nkind = 'command'\nrun = ['sh', '-c', 'WAIT echo 1 > $RUNNER_OUTPUT_X']\n\
                outputs = { x = 'file' }\n[stages.data]\nkind = 'import'\nsource = 'nuts'\ntask = 'gsm8k'\n";
    let change = format!("cp {0}/a.jsonl {0}/b.jsonl;", lab.path().join("nuts").display());
    lab.write("x.toml", &text.replace("WAIT", &change));
    let output = lab.output("run x.toml --jobs 1");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("source `nuts` was changed after the run had begun (nuts); run again"),
        "{text}"
    );
}

#[test]
fn what_is_neither_file_nor_folder_is_no_source() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let lab = Lab::new(&experiment("path = 'pipe'"));
    mknodat(CWD, lab.path().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    std::fs::create_dir(lab.path().join("folder")).unwrap();
    mknodat(CWD, lab.path().join("folder/pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let said = |source: &str| {
        lab.write("x.toml", &experiment(source));
        let output = lab.output("plan x.toml");
        assert_eq!(output.status.code(), Some(2), "{source}");
        String::from_utf8(output.stderr).unwrap()
    };
    insta::assert_snapshot!(
        [
            said("path = 'pipe'"),
            said("path = '/dev/zero'"),
            said("path = 'folder'"),
            said("path = 'folder'\nfiles = 'pipe'"),
            said("path = '.'\nfiles = 'folder'"),
            said("path = ''"),
        ]
        .join("\n"),
        @r"
        error: source `nuts`: pipe is a pipe, neither a file nor a folder

        error: source `nuts`: /dev/zero is a device, neither a file nor a folder

        error: source `nuts`: folder/pipe is a pipe, neither a file nor a folder

        error: source `nuts`: folder/pipe is a pipe, neither a file nor a folder

        error: source `nuts`: ./folder is a folder, not a file; `NAME/**` takes the files in it

          × the path of source `nuts` is empty
           ╭─[x.toml:2:8]
         2 │ path = ''
           ·        ──
           ╰────

        1 error in x.toml
        "
    );
    let pinned = experiment(&format!("path = 'pipe'\nsha256 = '{}'", "ab".repeat(32)));
    lab.write("x.toml", &pinned);
    let text = String::from_utf8(lab.output("run x.toml").stderr).unwrap();
    assert!(text.contains("pipe is a pipe, neither a file nor a folder"), "{text}");
}

#[test]
fn the_store_and_the_experiment_are_no_part_of_a_folder() {
    let lab = Lab::new(&experiment("path = '.'").replace("task = 'gsm8k'", "file = 'nuts.jsonl'\ntask = 'gsm8k'"));
    lab.write("nuts.jsonl", LINES);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 1);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0, "the store has changed since");
    let more = std::fs::read_to_string(lab.path().join("x.toml")).unwrap() + "# a comment\n";
    lab.write("x.toml", &more);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0);
    lab.write(".gitignore", "*.jsonl\n");
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0, "data is often ignored on purpose");
    lab.write("more.jsonl", LINES);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 1);
}

#[test]
fn patterns_choose_the_files_of_a_data_set() {
    let lab = Lab::new(&experiment("path = 'nuts'\nfiles = ['train*.jsonl', '!train-3.jsonl']"));
    std::fs::create_dir(lab.path().join("nuts")).unwrap();
    for name in ["train-1.jsonl", "train-2.jsonl", "train-3.jsonl", "test.jsonl"] {
        lab.write(&format!("nuts/{name}"), LINES);
    }
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 1);
    assert_eq!(rows(&lab).len(), 4);
    std::fs::remove_file(lab.path().join("nuts/test.jsonl")).unwrap();
    std::fs::remove_file(lab.path().join("nuts/train-3.jsonl")).unwrap();
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0);
    lab.write("x.toml", &experiment("path = 'nuts'\nfiles = 'dev*'"));
    let output = lab.output("run x.toml");
    assert_eq!(output.status.code(), Some(2));
    assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r"
    error: source `nuts`: no file fits `dev*` in `files` (what is ignored, hidden or never taken does not count, and `**/` stands for any folders)
    ");
}

#[test]
fn a_source_that_no_stage_could_read_is_fetched_again_and_not_pinned() {
    let server = Server::start(|request, before| match request.method.as_str() {
        "HEAD" => Reply::of(200, ""),
        // It does not tell its commits.
        _ if request.path.starts_with("/api/") => Reply::of(404, ""),
        // An error that is said to be well, twice; then a login page, and then the file.
        _ if before < 8 => Reply::of(200, r#"{"error": "come back later"}"#),
        _ if before < 13 => Reply::of(200, "<html>Please log in</html>"),
        _ => Reply::file(request, LINES.as_bytes(), "\"v1\""),
    });
    let lab = Lab::new(&hub(""));
    let (code, text) = run(&lab, &server, "run x.toml");
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("source nuts has no pin and may not be what it should: the next run fetches it again"),
        "{text}"
    );
    let before = std::fs::read_to_string(lab.path().join("x.toml")).unwrap();
    // It is fetched again, and still the same.
    let (code, text) = run(&lab, &server, "pin x.toml");
    assert_snapshot!(format!("{code} {}", errors(&text)), @r"
    2 error: source `nuts` is not pinned: a stage could not read what was downloaded, and the address still has the same
      help: correct the stage or the address, and run the stage: what it has read can be pinned
    ");
    assert_eq!(run(&lab, &server, "run x.toml").0, 1);
    let [(code, said), pin] = ["run x.toml", "pin x.toml"].map(|words| run(&lab, &server, words));
    assert_eq!((code, errors(&said)), (2, errors(&pin.1)));
    assert_snapshot!(errors(&said), @r"
    error: source `nuts`: http://hub/datasets/lab/nuts/resolve/main/main/train.jsonl sends a web page (Please log in) in place of the file
      help: open the address in a browser: it may want a login; if a page is what is wanted, pin it (`sha256`); or supply it: `--set sources.nuts=PATH`
    ");
    assert_eq!(std::fs::read_to_string(lab.path().join("x.toml")).unwrap(), before);
    let (code, text) = run(&lab, &server, "run x.toml");
    assert_eq!((code, rows(&lab).len()), (0, 2), "{text}");
    let asked = server.asked().len();
    assert_eq!(run(&lab, &server, "pin x.toml").0, 0);
    assert_eq!(server.asked().len(), asked, "it is there");
    assert!(std::fs::read_to_string(lab.path().join("x.toml")).unwrap().contains(&sha256(LINES)));
}
