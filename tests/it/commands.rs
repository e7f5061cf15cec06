//! `command`: programs of one's own as stages.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use super::lab::{Lab, count};

mod environments;
mod held;

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
    let mut command = lab.command("run x.toml --json");
    command.env_clear().env("PATH", "/usr/bin:/bin").env("SECRET", "no");
    let out = command.output().unwrap();
    let events = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{events}");
    assert!(events.contains(r#""readings":{"loss":0.5}"#), "{events}");
    assert_snapshot!(output(&lab, "doubled", "note"), @r#"
    hello a b 0
    double.sh
    {
      "factor": 2
    }
    GREETING HOME PATH PYTHONUNBUFFERED RUNNER_DEVICE RUNNER_INPUT_DATA RUNNER_LIST_DATA RUNNER_OUTPUT_DATA RUNNER_OUTPUT_NOTE RUNNER_PARAMS RUNNER_PROGRESS RUNNER_SCRATCH RUNNER_SEED RUNNER_THREADS TMPDIR
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
        let write = |lab: &Lab, end: &str| lab.write_program(script, &format!("#!/bin/sh\necho $0 $(ls) > $RUNNER_OUTPUT_NOTE\n{end}"));
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
    lab.copy_program("/bin/sh", "bin/shell");
    lab.summary("run x.toml", 0);
    assert!(output(&lab, "x", "note").starts_with(&lab.path().join("bin/shell").display().to_string()));
    lab.copy_program("/bin/ls", "bin/shell");
    let reason = lab.plan("x.toml")["x {}"]["reason"].clone();
    assert!(reason.as_str().unwrap().starts_with("`shell` changed: "), "{reason}");
}

#[test]
fn what_a_script_needs_beside_it_is_not_there_unless_it_is_declared() {
    let lab = Lab::new(&starts("['sh', 'scripts/go.sh']"));
    lab.write_program("scripts/go.sh", "set -e\n. ./other.sh\necho $OTHER > $RUNNER_OUTPUT_NOTE\n");
    lab.write_program("scripts/other.sh", "OTHER=1\n");
    lab.stdout("run x.toml", 1);
    let declared = "[sources.scripts]\npath = 'scripts'\n".to_owned() + &starts("['sh', 'go.sh']\nsource = 'scripts'");
    lab.write("x.toml", &declared);
    lab.summary("run x.toml", 0);
    // From the record alone it cannot be run again: it has no scripts.
    let checked = lab.output("cache verify --rerun 5");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(said.contains("no stage can be run again"), "{said}");
    lab.write_program("scripts/other.sh", "OTHER=2\n");
    let reason = lab.plan("x.toml")["x {}"]["reason"].clone();
    assert!(reason.as_str().unwrap().starts_with("`other.sh` changed: "), "{reason}");
}

#[test]
fn a_script_that_is_edited_while_the_run_goes_on_is_no_hit_later() {
    let lab = Lab::new(&format!(
        "{}\n[stages.y]\nkind = 'command'\nrun = ['sh', 'go.sh']\ninputs = {{ note = 'x' }}\noutputs = {{ note = 'file' }}\n",
        starts("['sh', '-c', 'sleep 2; echo > $RUNNER_OUTPUT_NOTE']")
    ));
    lab.write_program("go.sh", "echo 1 > $RUNNER_OUTPUT_NOTE\n");
    let run = lab.start("run x.toml");
    std::thread::sleep(Duration::from_secs(1));
    lab.write_program("go.sh", "echo 2 > $RUNNER_OUTPUT_NOTE\n");
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
    ];
    assert_snapshot!(all.join("\n"), @"
    × no file `./go.sh`
    × no file `./folder`
    × `./script` is no program
    × no file `../conf.toml`
    × two files are called `a.sh`, and the program finds both in one folder
    × a word of a command line is a text, not a table
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
        said("['true']"),
        said("['sh', '-c', 'echo {{}} > $RUNNER_OUTPUT_DATA']"),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    `sh -c echo why; exit 3` failed: exit status: 3 ["why"]
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
        said(&stage("run = ['echo', \"a\\u0000b\"]\noutputs = { data = 'file' }")),
        said(&stage("run = ['true']\noutputs = { data = 'file' }\nenv = { A = \"a\\u0000b\" }")),
        said(&(stage("run = ['true']\noutputs = { data = 'file' }") + "[stages.y]\nkind = 'mix'\nfull = 'x.data'\n")),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    × stage `x` (command) needs a field `run`
    × the list is empty; its first item is the program
    × a stage needs an output: `outputs = { data = "dataset" }`
    × no outputs.data `table` (known: dataset, model, answers, metrics, figure, text, file)
    × `Data` cannot name an output: a name has lower-case letters, digits and `_` only, and is not `source`
    × no stage `nothing` (known: x)
    × `source` cannot name an input: small letters, digits and `_` only, and not `source`
    × `inputs` must be a table of references, not the text "x"
    × `RUNNER_SEED` cannot be set: a name has no `=`, and names that begin with `RUNNER_` are reserved
    × a word has a NUL in it (`\u0000`), which no program can be given
    × `A` has a NUL in it (`\u0000`), which no variable can hold
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
    // In the group of the program, in a session of its own, without a parent, with signals ignored, without its environment.
    for detached in [
        "sh -c 'sleep 2; echo LATE' >> $OUT &",
        "setsid sh -c 'sleep 2; echo LATE' >> $OUT &",
        "(setsid sh -c 'sleep 2; echo LATE' >> $OUT &)",
        "nohup setsid sh -c \"trap '' TERM HUP; sleep 2; echo LATE\" >> $OUT 2>/dev/null &",
        "setsid env -i /bin/sh -c '(sleep 2; echo LATE) & sleep 2' >> $OUT &",
    ] {
        let lab = Lab::new(&starts("['sh', 'go.sh']"));
        lab.write(
            "go.sh",
            &format!("OUT=$RUNNER_OUTPUT_NOTE\necho start > $OUT\n{detached}\nsleep 0.2\n"),
        );
        lab.summary("run x.toml", 0);
        assert_eq!(output(&lab, "x", "note"), "start\n", "{detached}");
        std::thread::sleep(Duration::from_millis(2500));
        assert_eq!(output(&lab, "x", "note"), "start\n", "{detached}");
        lab.stdout("cache verify", 0);
    }
}

#[test]
fn a_program_whose_worker_is_killed_does_not_run_beside_the_next_attempt() {
    // The second one is started by the program, in a session of its own: nothing but its environment tells whose it is.
    let write = "for i in 1 2 3 4 5 6 7 8; do echo $$ >> $RUNNER_SCRATCH/ckpt; sleep 0.3; done";
    for script in [
        write.to_owned(),
        format!("setsid -w sh -c '{write}'"),
        format!("setsid -w sh -c '{write}'\ntrue"),
    ] {
        let lab = Lab::new(&starts("['sh', 'go.sh']"));
        lab.write("go.sh", &format!("{script}\ncat $RUNNER_SCRATCH/ckpt > $RUNNER_OUTPUT_NOTE\n"));
        let mut run = lab.start("run x.toml");
        assert!(in_time(|| scratch(&lab, "ckpt").is_some()));
        kill_with_workers(&mut run);
        lab.summary("run x.toml", 0);
        let text = output(&lab, "x", "note");
        let lines: Vec<&str> = text.lines().collect();
        let (first, last) = (lines[0], lines[lines.len() - 1]);
        // What the first one wrote before it was killed is its checkpoint; it wrote nothing after the other began.
        let begun = lines.iter().position(|line| *line == last).unwrap();
        assert!(lines[begun..].iter().all(|line| *line == last), "{script}: {text}");
        assert!(lines[..begun].iter().all(|line| *line == first), "{script}: {text}");
        assert_eq!(lines.len() - begun, 8, "{script}: {text}");
        assert!(!runs(first), "{script}");
    }
}

/// Kills a runner and its workers, so that none of them can end what they have started.
fn kill_with_workers(run: &mut Child) {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", run.id())).unwrap();
    let workers: Vec<&str> = children.split_whitespace().collect();
    assert!(!workers.is_empty());
    run.kill().unwrap();
    for worker in workers {
        std::process::Command::new("kill").args(["-KILL", worker]).status().unwrap();
    }
    run.wait().unwrap();
}

#[test]
fn what_a_killed_worker_leaves_running_is_ended_by_its_runner() {
    let lab = Lab::new(&starts("['sh', 'go.sh']"));
    lab.write("go.sh", "setsid -w sh -c 'echo $$ > $RUNNER_SCRATCH/pid; exec sleep 60'\ntrue\n");
    let mut run = lab.start("run x.toml");
    let mut pid = String::new();
    assert!(in_time(|| {
        pid = scratch(&lab, "pid").map_or_else(String::new, |path| std::fs::read_to_string(path).unwrap_or_default());
        pid.ends_with('\n')
    }));
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", run.id())).unwrap();
    for worker in children.split_whitespace() {
        std::process::Command::new("kill").args(["-KILL", worker]).status().unwrap();
    }
    assert_eq!(run.wait().unwrap().code(), Some(1));
    assert!(!runs(pid.trim()));
}

#[test]
fn an_unknown_holder_s_checkpoints_are_not_used() {
    for (change, expected) in [("", "resumed\n"), ("here", "resumed\n"), ("elsewhere", "begun\n")] {
        let lab = Lab::new(&starts("['sh', 'go.sh']"));
        let script =
            "if [ -e $RUNNER_SCRATCH/ckpt ]; then echo resumed; else echo begun; fi > $RUNNER_OUTPUT_NOTE\necho > $RUNNER_SCRATCH/ckpt\n";
        lab.write("go.sh", &format!("{script}test -e {}/pass\n", lab.path().display()));
        lab.summary("run x.toml", 1);
        lab.write("pass", "");
        let path = scratch(&lab, "holder.json").unwrap();
        let mut holder: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(holder["ended"], true, "it has failed, and ended");
        if !change.is_empty() {
            holder["ended"] = false.into();
            // A number that no process has.
            holder["process"] = (i32::MAX - 1).into();
        }
        if change == "elsewhere" {
            (holder["boot"], holder["machine"]) = ("other".into(), "other".into());
        }
        std::fs::write(&path, holder.to_string()).unwrap();
        lab.summary("run x.toml", 0);
        assert_eq!(output(&lab, "x", "note"), expected, "{change}");
    }
}

/// A stage `a` that gives a file, one that does `run` with it as the input `d`, and one that copies it.
fn with_input(run: &str) -> Lab {
    let lab = Lab::new(
        "[stages.a]\nkind = 'command'\nrun = ['sh', '-c', 'echo orig > $RUNNER_OUTPUT_NOTE']\noutputs = { note = 'file' }\n\
         [stages.x]\nkind = 'command'\nrun = ['sh', 'go.sh']\ninputs = { d = 'a' }\noutputs = { note = 'file' }\n\
         [stages.c]\nkind = 'command'\nrun = ['sh', '-c', 'cat $RUNNER_INPUT_D > $RUNNER_OUTPUT_NOTE']\ninputs = { d = 'a' }\noutputs = { note = 'file' }\n",
    );
    lab.write("go.sh", run);
    lab
}

/// The permissions of all that a store has.
fn modes(lab: &Lab) -> Vec<(PathBuf, u32)> {
    let entries = walkdir::WalkDir::new(lab.path().join("cache/v1/objects"))
        .sort_by_file_name()
        .into_iter();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            (entry.into_path(), mode)
        })
        .collect()
}

#[test]
fn an_input_cannot_be_changed() {
    let attempts = [
        "sed -i s/orig/EVIL/ $RUNNER_INPUT_D",
        "chmod 666 $RUNNER_INPUT_D; echo EVIL >> $RUNNER_INPUT_D",
        "chmod 777 $(dirname $RUNNER_INPUT_D); echo EVIL > x; mv -f x $RUNNER_INPUT_D",
        "rm -f $RUNNER_INPUT_D",
        "chmod 666 $RUNNER_INPUT_D; truncate -s 0 $RUNNER_INPUT_D",
        "ln $RUNNER_INPUT_D y && echo EVIL > y",
        "chmod +x $RUNNER_INPUT_D",
        "chmod 600 $RUNNER_INPUT_D",
        "touch -d 2001-01-01 $RUNNER_INPUT_D",
    ];
    for attempt in attempts {
        let lab = with_input(&format!("({attempt})\ncat $RUNNER_INPUT_D > $RUNNER_OUTPUT_NOTE\n"));
        lab.summary("run x.toml a", 0);
        let before = modes(&lab);
        let ended = lab.output("run x.toml x");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(
            ended.status.code() == Some(0) || said.contains("was changed while the program ran"),
            "{attempt}: {said}"
        );
        let after = modes(&lab);
        assert!(before.iter().all(|one| after.contains(one)), "{attempt}: {before:?} {after:?}");
        lab.summary("run x.toml", ended.status.code().unwrap());
        assert_eq!(output(&lab, "a", "note"), "orig\n", "{attempt}");
        assert_eq!(output(&lab, "c", "note"), "orig\n", "{attempt}");
        lab.stdout("cache verify", 0);
        assert!(scratch(&lab, "inputs").is_none(), "{attempt}");
    }
}

#[test]
fn a_stage_that_changes_its_inputs_fails_where_no_sandbox_holds() {
    let lab = with_input(
        "chmod 777 $(dirname $RUNNER_INPUT_D); chmod 666 $RUNNER_INPUT_D; echo EVIL >> $RUNNER_INPUT_D; cp $RUNNER_INPUT_D $RUNNER_OUTPUT_NOTE\n",
    );
    lab.write("runner.toml", "[settings]\nsandbox = 'off'\nkeep_going = true\n");
    let out = lab.stdout("run x.toml --json", 1);
    assert!(out.contains("input `d` was changed while the program ran"), "{out}");
    assert_eq!(lab.digests("cache").len(), 2, "nothing is recorded of the stage that failed");
    assert_eq!(output(&lab, "c", "note"), "orig\n");
    lab.stdout("cache verify", 0);
}

#[test]
fn a_program_writes_only_to_its_own_folders() {
    let lab = Lab::new(&starts("['sh', 'go.sh']"));
    let other = lab.path().join("out");
    std::fs::create_dir(&other).unwrap();
    lab.write(
        "go.sh",
        &format!(
            "set -e\nfor f in here $TMPDIR/x $RUNNER_SCRATCH/x $RUNNER_OUTPUT_NOTE /dev/null /dev/shm/runner-test-$$; do echo 1 > $f; done\n\
             rm /dev/shm/runner-test-$$\nmv here $RUNNER_OUTPUT_NOTE\necho said > /dev/stderr\necho 2 > {}/x\n",
            other.display()
        ),
    );
    let said = |words: &str, code| {
        let out = lab.stdout(&format!("run x.toml --json {words}"), code);
        let failed = out.lines().find(|line| line.contains("\"failed\"")).map(str::to_owned);
        failed
            .unwrap_or_default()
            .replace(&lab.path().canonicalize().unwrap().display().to_string(), "LAB")
    };
    let failed = said("", 1);
    assert!(failed.contains("it may not write to LAB/out/x; write to an output"), "{failed}");
    assert!(!other.join("x").exists());
    assert!(lab.digests("cache").is_empty());
    // The setting is meant from its file, and is in no key.
    lab.write("runner.toml", "[settings]\nwrites = ['out']\n");
    said("", 0);
    assert!(other.join("x").exists());
    let sandbox = |lab: &Lab| {
        let (key, _) = lab.digests("cache").pop_first().unwrap();
        let record: serde_json::Value = serde_json::from_slice(&std::fs::read(lab.record("cache", &key)).unwrap()).unwrap();
        record["provenance"]["sandbox"].clone()
    };
    assert_eq!(sandbox(&lab), "writes");
    lab.write("runner.toml", "[settings]\nsandbox = 'off'\n");
    assert_eq!(lab.plan("x.toml")["x {}"]["state"], "hit");
}

#[test]
fn a_sandbox_of_reads_refuses_what_is_not_declared() {
    let lab = Lab::new(&starts("['sh', 'go.sh']"));
    lab.write("data.csv", "1,2\n");
    lab.write("go.sh", &format!("cat {}/data.csv > $RUNNER_OUTPUT_NOTE\n", lab.path().display()));
    lab.write("runner.toml", "[settings]\nsandbox = 'reads'\n");
    let out = lab.stdout("run x.toml --json", 1);
    assert!(out.contains("data.csv, which the stage does not declare"), "{out}");
    assert!(lab.digests("cache").is_empty());
    // Declared, it can be read; and so can the interpreter and its libraries.
    lab.write("x.toml", &starts("['sh', 'go.sh', 'data.csv']"));
    lab.write("go.sh", "cat $1 > $RUNNER_OUTPUT_NOTE\nls -l / | tail -n 1 > /dev/null\n");
    lab.summary("run x.toml", 0);
    assert_eq!(output(&lab, "x", "note"), "1,2\n");
}

#[test]
fn an_input_may_have_any_number_of_artifacts() {
    for count in [1_400, 9_000] {
        let lab = Lab::new(&format!(
            "[stages.a]\nkind = 'command'\nrun = ['sh', '-c', 'echo 1 > $RUNNER_OUTPUT_O']\noutputs = {{ o = 'file' }}\n\
             [stages.x]\nkind = 'command'\nrun = ['sh', 'go.sh']\ninputs = {{ d = [{}] }}\noutputs = {{ note = 'file' }}\n",
            vec!["'a.o'"; count].join(", ")
        ));
        lab.write(
            "go.sh",
            "set -e\nif [ -d $RUNNER_INPUT_D ]; then set -- $RUNNER_INPUT_D/*; else set -- $RUNNER_INPUT_D; fi\n\
             echo $# $(cat $1) $(wc -l < $RUNNER_LIST_D) $(cat $(tail -n 1 $RUNNER_LIST_D)) > $RUNNER_OUTPUT_NOTE\n",
        );
        lab.summary("run x.toml", 0);
        assert_eq!(output(&lab, "x", "note"), format!("{count} 1 {count} 1\n"));
    }
}

#[test]
fn a_program_that_cannot_be_started_is_said_before_anything_runs() {
    let lab = Lab::new("");
    lab.write_program("crlf.sh", "#!/bin/sh\r\necho hi > $RUNNER_OUTPUT_NOTE\r\n");
    lab.write_program("noshebang.sh", "echo hi > $RUNNER_OUTPUT_NOTE\n");
    let said = |run: &str, more: &str| {
        lab.write(
            "x.toml",
            &format!(
                "[stages.long]\nkind = 'command'\nrun = ['sh', '-c', 'echo 1 > $RUNNER_OUTPUT_NOTE']\noutputs = {{ note = 'file' }}\n{}inputs = {{ d = 'long' }}\n{more}",
                starts(run)
            ),
        );
        let output = |words: &str| lab.command(words).env("PATH", "/usr/bin:/bin").output().unwrap();
        let planned = output("plan x.toml");
        let warned = String::from_utf8(planned.stderr).unwrap();
        assert_eq!(planned.status.code(), Some(0), "{warned}");
        let ran = output("run x.toml");
        let failed = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{failed}");
        assert!(
            !lab.path().join("cache/v1/records").exists() || lab.digests("cache").is_empty(),
            "nothing ran"
        );
        let message = warned.trim().strip_prefix("warning: ").unwrap().to_owned();
        assert!(failed.contains(&message), "{failed}");
        message.replace(&lab.path().display().to_string(), "LAB")
    };
    let all = [
        said("['torchrunn', '--nproc', '2']", ""),
        said("['tool']", "env = { PATH = '~/bin:/bin' }\n"),
        said("['./crlf.sh']", ""),
        said("['./noshebang.sh']", ""),
    ];
    assert_snapshot!(all.join("\n"), @r#"
    stage `x`: no program `torchrunn` in PATH (/usr/bin:/bin): where it is elsewhere, say so in the stage (`env = { PATH = "…" }`)
    stage `x`: no program `tool` in PATH (~/bin:/bin): `~` stands for nothing there, so write the whole path
    stage `x`: the first line of `crlf.sh` ends in a carriage return, as on Windows, and so asks for the interpreter `/bin/sh\r`, which is not there: `sed -i 's/\r$//' crlf.sh` mends it
    stage `x`: `noshebang.sh` has no first line that says what reads it (`#!/bin/sh`): write one, or name the reader first, as in `run = ["sh", "noshebang.sh"]`
    "#);
}

#[test]
fn a_source_s_files_are_those_of_the_key() {
    for (change, expected) in [
        ("echo two > src/b.txt", "`b.txt` was added to source `s`"),
        ("rm src/a.txt", "`a.txt` was removed from source `s`"),
        ("echo three > src/a.txt", "`a.txt` was changed"),
    ] {
        let lab = Lab::new("");
        let wait = format!(
            "echo > $RUNNER_SCRATCH/ready; while [ ! -e {}/go ]; do sleep 0.05; done; echo 1 > $RUNNER_OUTPUT_NOTE",
            lab.path().display()
        );
        lab.write(
            "x.toml",
            &format!(
                "[sources.s]\npath = 'src'\n[stages.long]\nkind = 'command'\nrun = ['sh', '-c', '{wait}']\noutputs = {{ note = 'file' }}\n{}source = 's'\ninputs = {{ d = 'long' }}\n",
                starts("['sh', '-c', 'cat *.txt > $RUNNER_OUTPUT_NOTE']")
            ),
        );
        std::fs::create_dir(lab.path().join("src")).unwrap();
        lab.write("src/a.txt", "one\n");
        lab.write("src/0.txt", "zero\n");
        let run = lab.start("run x.toml");
        assert!(in_time(|| scratch(&lab, "ready").is_some()));
        std::process::Command::new("sh")
            .args(["-c", change])
            .current_dir(lab.path())
            .status()
            .unwrap();
        lab.write("go", "");
        let out = run.wait_with_output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
        assert_eq!(lab.digests("cache").len(), 1, "nothing is recorded under the key");
    }
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
