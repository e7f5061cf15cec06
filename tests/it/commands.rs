//! `command`: programs of one's own as stages.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use super::lab::{Lab, count};

const EXPERIMENT: &str = r#"
[params]
factor = 2

[sources.scripts]
path  = "scripts"
files = "double.sh"

[stages.problems]
kind = "generate"
task = "addition"
train = 3
development = 0
in_domain = 0
ood_easy = 0
ood_hard = 0

[stages.doubled]
kind    = "command"
run     = ["sh", "double.sh", "a b"]
source  = "scripts"
inputs  = { data = "problems.train" }
outputs = { data = "dataset", note = "file" }
params  = { factor = "{factor}" }
env     = { GREETING = "hello" }

[stages.counted]
kind    = "command"
run     = ["sh", "-c", "cat $RUNNER_INPUT_BOTH | wc -l > $RUNNER_OUTPUT_LINES"]
inputs  = { both = ["doubled.data", "problems.train"] }
outputs = { lines = "file" }

[stages.mixed]
kind = "mix"
full = "doubled.data"
"#;

const SCRIPT: &str = r#"set -e
cat "$RUNNER_INPUT_DATA" > "$RUNNER_OUTPUT_DATA"
echo '{"done": 1, "total": 2, "readings": {"loss": 0.5}}' >> "$RUNNER_PROGRESS"
{ echo "$GREETING $1 $RUNNER_SEED"; ls; cat "$RUNNER_PARAMS"; echo; env | cut -d= -f1 | grep -vE '^(PWD|OLDPWD|SHLVL|_)$' | sort | tr '\n' ' '; } > "$RUNNER_OUTPUT_NOTE"
echo said to the log
sleep 0.3
"#;

fn lab() -> Lab {
    let lab = Lab::new(EXPERIMENT);
    std::fs::create_dir(lab.path().join("scripts")).unwrap();
    lab.write("scripts/double.sh", SCRIPT);
    lab.write("scripts/other.sh", "");
    lab
}

/// The file that a stage put out.
fn output(lab: &Lab, stage: &str, port: &str) -> String {
    for entry in walkdir::WalkDir::new(lab.path().join("cache/v1/records")) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let record: serde_json::Value = serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap();
            if record["stage"] == stage {
                let digest = record["outputs"][port]["digest"].as_str().unwrap();
                return std::fs::read_to_string(lab.object("cache", digest)).unwrap();
            }
        }
    }
    panic!("no record of {stage}")
}

#[test]
fn a_program_is_a_stage_among_others() {
    let lab = lab();
    let out = lab.command("run x.toml --json").env("SECRET", "no").output().unwrap();
    let events = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{events}");
    assert!(events.contains(r#""readings":{"loss":0.5}"#), "{events}");
    assert_snapshot!(output(&lab, "doubled", "note"), @r#"
    hello a b 0
    double.sh
    {
      "factor": 2
    }
    GREETING HOME PATH RUNNER_DEVICE RUNNER_INPUT_DATA RUNNER_OUTPUT_DATA RUNNER_OUTPUT_NOTE RUNNER_PARAMS RUNNER_PROGRESS RUNNER_SCRATCH RUNNER_SEED RUNNER_THREADS TMPDIR
    "#);
    assert_eq!(output(&lab, "counted", "lines").trim(), "6");
    assert_eq!(count(&lab.summary("run x.toml", 0), "cached"), 4);
}

#[test]
fn scripts_params_and_environment_are_in_the_key_and_paths_are_not() {
    let lab = lab();
    lab.summary("run x.toml", 0);
    let reason = |words: &str| {
        let stage = lab.plan(words)["doubled {}"].clone();
        stage["reason"].as_str().unwrap_or("hit").to_owned()
    };
    std::fs::rename(lab.path().join("scripts"), lab.path().join("moved")).unwrap();
    assert_eq!(reason("x.toml --set sources.scripts.path=moved"), "hit");
    assert_eq!(
        reason("x.toml --set sources.scripts.path=moved --set factor=3"),
        "param `params.factor` changed: 2 → 3"
    );
    assert_eq!(
        reason("x.toml --set sources.scripts.path=moved --set stages.doubled.env.GREETING=hi"),
        "param `env.GREETING` changed: \"hello\" → \"hi\""
    );
    lab.write("moved/other.sh", "not ours");
    assert_eq!(reason("x.toml --set sources.scripts.path=moved"), "hit");
    lab.write("moved/double.sh", &format!("{SCRIPT}# another\n"));
    let changed = reason("x.toml --set sources.scripts.path=moved");
    assert!(changed.starts_with("`double.sh` changed: "), "{changed}");
    // What comes after is not disturbed by a script that does the same.
    assert_eq!(count(&lab.summary("run x.toml --set sources.scripts.path=moved", 0), "ran"), 1);
}

/// An experiment whose stage starts `run` and copies what it says into its output.
fn starts(run: &str) -> String {
    format!("[stages.x]\nkind = 'command'\nrun = {run}\noutputs = {{ note = 'file' }}\n")
}

fn program(lab: &Lab, name: &str, text: &str) {
    let path = lab.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn files_among_the_words_are_in_the_key_by_content() {
    for (run, script) in [
        ("['scripts/go.sh', 'a b']", "scripts/go.sh"),
        ("['sh', 'scripts/go.sh']", "scripts/go.sh"),
        ("['sh', 'go.sh']", "go.sh"),
        (
            "['sh', '-c', '. $(echo $1 | cut -d= -f2)', 'x', '--from=scripts/go.sh']",
            "scripts/go.sh",
        ),
    ] {
        let lab = Lab::new(&starts(run));
        let write = |lab: &Lab, end: &str| program(lab, script, &format!("#!/bin/sh\necho $0 $(ls) > $RUNNER_OUTPUT_NOTE\n{end}"));
        write(&lab, "");
        assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 1, "{run}");
        assert!(
            output(&lab, "x", "note").ends_with(" go.sh\n"),
            "{run}: {}",
            output(&lab, "x", "note")
        );
        assert_eq!(count(&lab.summary("run x.toml", 0), "cached"), 1, "{run}");
        // The same bytes beside the same experiment in another folder.
        let other = Lab::new(&starts(run));
        write(&other, "");
        let store = lab.path().join("cache").display().to_string();
        assert_eq!(
            count(&other.summary(&format!("run x.toml --store {store}"), 0), "cached"),
            1,
            "{run}"
        );
        // Written as a whole path, it is the same file; what the program is given is `./go.sh`.
        if run.contains("'scripts/go.sh'") {
            let path = other.path().join(script).display().to_string();
            other.write("x.toml", &starts(&run.replace("scripts/go.sh", &path)));
            assert_eq!(
                count(&other.summary(&format!("run x.toml --store {store}"), 0), "cached"),
                1,
                "{run}"
            );
        }
        write(&lab, "# edited\n");
        let why = lab.stdout("why x.toml x", 0);
        assert!(why.contains("not in the store (`go.sh` changed: "), "{run}: {why}");
        assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 1, "{run}");
        let why = lab.stdout("why x.toml x", 0);
        assert!(why.contains("go.sh "), "{run}: {why}");
        write(&lab, "");
        assert_eq!(count(&lab.summary("run x.toml", 0), "cached"), 1, "{run}: as it was before");
    }
}

#[test]
fn a_program_that_is_no_script_runs_where_it_is() {
    let lab = Lab::new(&starts("['bin/shell', '-c', 'echo $0 $(ls) > $RUNNER_OUTPUT_NOTE']"));
    std::fs::create_dir(lab.path().join("bin")).unwrap();
    std::fs::copy("/bin/sh", lab.path().join("bin/shell")).unwrap();
    lab.summary("run x.toml", 0);
    assert!(output(&lab, "x", "note").starts_with(&lab.path().join("bin/shell").display().to_string()));
    std::fs::copy("/bin/ls", lab.path().join("bin/shell")).unwrap();
    let reason = lab.plan("x.toml")["x {}"]["reason"].clone();
    assert!(reason.as_str().unwrap().starts_with("`shell` changed: "), "{reason}");
}

#[test]
fn what_a_script_needs_beside_it_is_not_there_unless_it_is_declared() {
    let lab = Lab::new(&starts("['sh', 'scripts/go.sh']"));
    program(&lab, "scripts/go.sh", "set -e\n. ./other.sh\necho $OTHER > $RUNNER_OUTPUT_NOTE\n");
    program(&lab, "scripts/other.sh", "OTHER=1\n");
    lab.stdout("run x.toml", 1);
    let declared = "[sources.scripts]\npath = 'scripts'\n".to_owned() + &starts("['sh', 'go.sh']\nsource = 'scripts'");
    lab.write("x.toml", &declared);
    lab.summary("run x.toml", 0);
    // From the record alone it cannot be run again: it has no scripts.
    let checked = lab.output("cache verify --rerun 5");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(said.contains("no stage can be run again"), "{said}");
    program(&lab, "scripts/other.sh", "OTHER=2\n");
    let reason = lab.plan("x.toml")["x {}"]["reason"].clone();
    assert!(reason.as_str().unwrap().starts_with("`other.sh` changed: "), "{reason}");
}

#[test]
fn a_script_that_is_edited_while_the_run_goes_on_is_no_hit_later() {
    let lab = Lab::new(&format!(
        "{}\n[stages.y]\nkind = 'command'\nrun = ['sh', 'go.sh']\ninputs = {{ note = 'x' }}\noutputs = {{ note = 'file' }}\n",
        starts("['sh', '-c', 'sleep 2; echo > $RUNNER_OUTPUT_NOTE']")
    ));
    program(&lab, "go.sh", "echo 1 > $RUNNER_OUTPUT_NOTE\n");
    let run = lab.start("run x.toml");
    std::thread::sleep(Duration::from_secs(1));
    program(&lab, "go.sh", "echo 2 > $RUNNER_OUTPUT_NOTE\n");
    let out = run.wait_with_output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("`go.sh` was changed after the run had begun"), "{said}");
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 1);
    assert_eq!(output(&lab, "y", "note"), "2\n");
}

#[test]
fn files_that_are_missing_are_said_before_anything_runs() {
    let said = |run: &str| {
        let lab = Lab::new(&starts(run));
        lab.write("script", "");
        std::fs::create_dir(lab.path().join("folder")).unwrap();
        lab.write("folder/a.sh", "");
        let out = lab.output("run x.toml --color never");
        assert_eq!(out.status.code(), Some(2), "{run}");
        assert!(!lab.path().join("cache/v1/records").exists() || lab.digests("cache").is_empty());
        String::from_utf8(out.stderr).unwrap()
    };
    assert_snapshot!(said("['python3', 'scripts/train.py']"), @"
      × no file `scripts/train.py`
       ╭─[x.toml:3:19]
     3 │ run = ['python3', 'scripts/train.py']
       ·                   ─────────┬────────
       ·                            ╰── scripts/train.py is not there
       ╰────
      help: a path is meant from the file that says it; further files come with a `source`

    1 error in x.toml
    ");
    let first = |run: &str| said(run).lines().find(|line| line.contains('×')).unwrap().trim().to_owned();
    let all = [
        first("['./go.sh']"),
        first("['./folder']"),
        first("['./script']"),
        first("['cat', '../conf.toml']"),
        first("['sh', 'folder/a.sh', '/bin/../bin/sh', 'folder/../folder/a.sh', './folder/none.sh']"),
        first("['sh', {{ path = 'script' }}]".replace("{{", "{").replace("}}", "}").as_str()),
        first("['sh', 3]"),
    ];
    assert_snapshot!(all.join("\n"), @"
    × no file `./go.sh`
    × no file `./folder`
    × `./script` is no program
    × no file `../conf.toml`
    × two files are called `a.sh`, and the program finds both in one folder
    × a word of a command line is a text, not a table
    × `run.1` must be a text, not 3
    ");
}

#[test]
fn what_goes_wrong_is_said() {
    let said = |run: &str| {
        let lab = Lab::new(&format!(
            "[stages.x]\nkind = 'command'\nrun = {run}\noutputs = {{ data = 'dataset' }}\n"
        ));
        let out = lab.stdout("run x.toml --json", 1);
        let failed = out.lines().find(|line| line.contains("\"failed\"")).unwrap();
        let event: serde_json::Value = serde_json::from_str(failed).unwrap();
        let error = event["error"].as_str().unwrap().replace(&lab.path().display().to_string(), "LAB");
        format!("{} {}", error.split("/v1/tmp/").next().unwrap(), event["log_tail"])
    };
    let all = [
        said("['sh', '-c', 'echo why; exit 3']"),
        said("['no-such-program']"),
        said("['true']"),
        said("['sh', '-c', 'echo {{}} > $RUNNER_OUTPUT_DATA']"),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    `sh -c echo why; exit 3` failed: exit status: 3 ["why"]
    cannot start `no-such-program`: No such file or directory (os error 2) (searched in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin) []
    output `data`: the program wrote nothing to LAB/cache []
    output `data`: LAB/cache []
    "#);
}

#[test]
fn params_and_inputs_are_checked_before_anything_runs() {
    let said = |text: &str| {
        let lab = Lab::new(text);
        let out = lab.output("plan x.toml --color never");
        assert_eq!(out.status.code(), Some(2));
        let err = String::from_utf8(out.stderr).unwrap();
        err.lines()
            .filter(|line| line.contains('×'))
            .map(str::trim)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let stage = |fields: &str| format!("[stages.x]\nkind = 'command'\n{fields}\n");
    let all = [
        said(&stage("outputs = { data = 'dataset' }")),
        said(&stage("run = []\noutputs = { data = 'dataset' }")),
        said(&stage("run = ['true']\noutputs = {}")),
        said(&stage("run = ['true']\noutputs = { data = 'table' }")),
        said(&stage("run = ['true']\noutputs = { Data = 'file' }")),
        said(&stage("run = ['true']\noutputs = { data = 'file' }\ninputs = { a = 'nothing' }")),
        said(&stage("run = ['true']\noutputs = { data = 'file' }\ninputs = { source = 'x' }")),
        said(&stage("run = ['true']\noutputs = { data = 'file' }\ninputs = 'x'")),
        said(&stage("run = ['true']\noutputs = { data = 'file' }\nenv = { RUNNER_SEED = '1' }")),
        said(&(stage("run = ['true']\noutputs = { data = 'file' }") + "[stages.y]\nkind = 'mix'\nfull = 'x.data'\n")),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    × stage `x` (command) needs a field `run`
    × the list is empty; its first item is the program
    × a stage needs an output: `outputs = { data = "dataset" }`
    × no outputs.data `table` (known: dataset, model, answers, metrics, file)
    × `Data` cannot name an output: a name has lower-case letters, digits and `_` only, and is not `source`
    × no stage `nothing` (known: x)
    × `source` cannot name an input: small letters, digits and `_` only, and not `source`
    × `inputs` must be a table of references, not the text "x"
    × `RUNNER_SEED` cannot be set: a name has no `=`, and names that begin with `RUNNER_` are reserved
    × input `full` of mix takes a data set or a list of them; `x.data` is a file or folder
    "#);
}

#[test]
fn a_stopped_stage_ends_its_program_and_all_that_it_started() {
    for (trap, interrupts) in [("", 1), ("trap '' TERM; ", 2)] {
        let run = format!("{trap}sleep 60 & echo $! > $RUNNER_SCRATCH/pid; wait; wait");
        let lab = Lab::new(&format!(
            "[stages.x]\nkind = 'command'\nrun = ['sh', '-c', \"{run}\"]\noutputs = {{ data = 'file' }}\n"
        ));
        let mut run = lab.start("run x.toml");
        let pid = || {
            std::fs::read_to_string(scratch(&lab, "pid")?)
                .ok()
                .filter(|text| text.ends_with('\n'))
        };
        let mut read = None;
        assert!(in_time(|| {
            read = pid();
            read.is_some()
        }));
        let pid = read.unwrap().trim().to_owned();
        assert!(runs(&pid));
        for _ in 0..interrupts {
            interrupt(&run);
            // Two signals at once would be one.
            std::thread::sleep(Duration::from_millis(500));
        }
        assert_eq!(run.wait().unwrap().code(), Some(130));
        assert!(in_time(|| !runs(&pid)), "the program goes on");
    }
}

#[test]
fn what_a_stopped_program_has_started_may_finish_first() {
    let inner = "trap 'sleep 1; echo saved > $RUNNER_SCRATCH/saved; exit' TERM; echo > $RUNNER_SCRATCH/ready; while :; do sleep 0.1; done";
    let lab = Lab::new("[stages.x]\nkind = 'command'\nrun = ['sh', 'outer.sh']\noutputs = { data = 'file' }\n");
    // The outer shell ends at once.
    lab.write("outer.sh", &format!("sh -c \"{}\"\ntrue\n", inner.replace('$', "\\$")));
    let mut run = lab.start("run x.toml");
    let has = |name: &str| scratch(&lab, name).is_some();
    assert!(in_time(|| has("ready")));
    interrupt(&run);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(has("saved"));
}

/// A file of this name that a stage keeps in its scratch folder.
fn scratch(lab: &Lab, name: &str) -> Option<PathBuf> {
    let files = walkdir::WalkDir::new(lab.path().join("cache/v1/scratch")).into_iter();
    let mut files = files.map_while(Result::ok);
    Some(files.find(|entry| entry.file_name() == name)?.into_path())
}

fn interrupt(run: &Child) {
    let process = run.id().to_string();
    std::process::Command::new("kill").args(["-INT", &process]).status().unwrap();
}

/// Whether it is so within some seconds.
fn in_time(mut so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(15) {
        if so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Whether there is a process of this number that has not ended.
fn runs(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

#[test]
fn what_a_program_leaves_running_ends_with_it() {
    let lab = Lab::new(&starts("['sh', '-c', 'sleep 60 & echo $! > $RUNNER_OUTPUT_NOTE']"));
    lab.summary("run x.toml", 0);
    assert!(in_time(|| !runs(output(&lab, "x", "note").trim())));
}

#[test]
fn a_link_is_no_output() {
    let lab = Lab::new("");
    lab.write("kept.txt", "kept");
    let kept = lab.path().join("kept.txt");
    let mode = || std::fs::metadata(&kept).unwrap().permissions().mode();
    let before = mode();
    let link = format!("ln -s {} $RUNNER_OUTPUT_NOTE", kept.display());
    for run in [link.clone(), format!("mkdir $RUNNER_OUTPUT_NOTE; {link}/a")] {
        lab.write("x.toml", &starts(&format!("['sh', '-c', '{run}']")));
        let said = lab.output("run x.toml");
        let said = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        assert!(
            said.contains("is neither a file nor a folder: replace a link by a copy of its target"),
            "{said}"
        );
        assert_eq!(mode(), before);
    }
}
