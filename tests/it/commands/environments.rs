//! Environments that are named, keyed and held to; what a program gets of the caller.

use std::process::Output;

use insta::assert_snapshot;
use serde_json::json;

use super::output;
use crate::lab::{Lab, count};

/// A lock with this version of numpy.
fn lock(numpy: &str) -> String {
    format!(
        "version = 1\n[[package]]\nname = 'numpy'\nversion = '{numpy}'\nsource = {{ registry = 'x' }}\n[[package]]\nname = 'scipy'\nversion = '1.0'\n"
    )
}

/// A Python that says that this version of numpy is installed, and reads scripts as a shell does.
fn python(lab: &Lab, place: &str, version: &str, numpy: &str) {
    let folder = lab.path().join(place).display().to_string();
    let answer = format!(
        r#"{{"executable":"{folder}/python","version":"{version}","prefix":"{folder}","base_prefix":"{folder}","packages":{{"NumPy":"{numpy}","other":"1"}}}}"#
    );
    let text = format!(
        "#!/bin/sh\nif [ \"$2\" = -S ]; then echo {version}; exit; fi\n\
         if [ \"$1\" = -I ]; then echo noise; echo 'runner-environment:{answer}'; exit; fi\nexec sh \"$@\"\n"
    );
    lab.write_program(&format!("{place}/python"), &text);
}

const NAMED: &str = r#"
[environments.torch]
run  = ".venv/bin/python"
lock = "uv.lock"

[stages.x]
kind        = "command"
run         = ["python", "go.sh"]
environment = "torch"
outputs     = { note = "file" }
"#;

fn named() -> Lab {
    let lab = Lab::new(NAMED);
    python(&lab, ".venv/bin", "3.12.1", "2.1.0");
    lab.write("uv.lock", &lock("2.1.0"));
    lab.write("go.sh", "echo hello > $RUNNER_OUTPUT_NOTE\n");
    lab
}

/// Why the stage `x` has to run.
fn reason(lab: &Lab, words: &str) -> String {
    let stage = lab.plan(words)["x {}"].clone();
    stage["reason"].as_str().unwrap_or("hit").to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn what_decides_an_environment_is_in_the_key_and_its_place_is_not() {
    let lab = named();
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 1);
    std::fs::rename(lab.path().join(".venv"), lab.path().join("moved")).unwrap();
    lab.write("x.toml", &NAMED.replace(".venv/bin/python", "moved/bin/python -u"));
    assert_eq!(reason(&lab, "x.toml"), "hit");
    lab.write("x.toml", &NAMED.replace("torch", "jax").replace(".venv", "moved"));
    assert_eq!(reason(&lab, "x.toml"), "hit", "nor is its name");
    lab.write("x.toml", &NAMED.replace("lock = ", "versions = { numpy = '2.*' }\nlock = "));
    assert_eq!(
        reason(&lab, "x.toml"),
        "param `environment.versions` changed: none → {\"numpy\":\"2.*\"}"
    );
    lab.write("x.toml", NAMED);
    lab.write("uv.lock", &lock("2.1.1"));
    let changed = reason(&lab, "x.toml");
    assert!(changed.starts_with("`uv.lock` of the environment changed: "), "{changed}");
    lab.write("x.toml", &NAMED.replace("environment = \"torch\"", ""));
    let changed = reason(&lab, "x.toml");
    assert!(changed.contains("param `environment` changed: {} → none"), "{changed}");
}

#[test]
fn the_lock_is_not_put_beside_the_program_s_own_files() {
    let lab = named();
    std::fs::create_dir(lab.path().join("src")).unwrap();
    lab.write("src/uv.lock", "mine\n");
    lab.write("src/go.sh", "ls > $RUNNER_OUTPUT_NOTE\ncat uv.lock >> $RUNNER_OUTPUT_NOTE\n");
    let text = NAMED.replace("outputs ", "source = 's'\noutputs ");
    lab.write("x.toml", &format!("[sources.s]\npath = 'src'\n{text}"));
    lab.summary("run x.toml", 0);
    assert_eq!(output(&lab, "x", "note"), "go.sh\nuv.lock\nmine\n");
    // Each of the two is in the key.
    lab.write("src/uv.lock", "other\n");
    assert!(reason(&lab, "x.toml").starts_with("`uv.lock` changed: "));
    lab.write("src/uv.lock", "mine\n");
    lab.write("uv.lock", &lock("2.1.1"));
    assert!(reason(&lab, "x.toml").starts_with("`uv.lock` of the environment changed: "));
}

#[test]
fn what_is_installed_is_held_to_the_lock_and_recorded() {
    let lab = named();
    lab.summary("run x.toml", 0);
    let (key, _) = lab.digests("cache").pop_first().unwrap();
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(lab.record("cache", &key)).unwrap()).unwrap();
    let place = lab.path().join(".venv/bin/python");
    let expected = json!({"environment": "torch", "packages": {"numpy": "2.1.0"}, "path": place, "python": "3.12.1"});
    assert_eq!(record["provenance"]["program"], expected);
    let shown = lab.stdout("show x.toml x", 0);
    assert!(
        shown.contains("python, Python 3.12.1, in the environment `torch`") && shown.contains("numpy 2.1.0"),
        "{shown}"
    );
    // The lock as it was, and another version: the stage is a hit until it has to run.
    python(&lab, ".venv/bin", "3.12.1", "1.26.4");
    assert_eq!(reason(&lab, "x.toml"), "hit");
    lab.write("go.sh", "echo again > $RUNNER_OUTPUT_NOTE\n");
    let failed = lab.stdout("run x.toml --json", 1);
    assert!(
        failed.contains("environment `torch`: numpy is 1.26.4, and `uv.lock` has 2.1.0: run `uv sync --frozen`"),
        "{failed}"
    );
    assert_eq!(lab.digests("cache").len(), 1);
}

#[test]
fn constraints_are_held_to_without_a_lock() {
    let lab = named();
    let with = |versions: &str| {
        lab.write("x.toml", &NAMED.replace("lock = \"uv.lock\"", &format!("versions = {versions}")));
        lab.output("run x.toml")
    };
    assert_eq!(with("{ numpy = '2.*', python = '>=3.11' }").status.code(), Some(0));
    let failed = said(&with("{ numpy = '<2', torch = '2.*', python = '>=3.13' }"));
    let expected = "environment `torch`: numpy is 2.1.0, and `versions` wants <2; python is 3.12.1, and `versions` wants >=3.13; torch is not \
                    installed, and `versions` wants 2.*";
    assert!(failed.contains(expected), "{failed}");
    // What cannot be asked cannot be held to anything.
    lab.write_program(".venv/bin/python", "#!/bin/sh\nexec sh \"$@\"\n");
    let failed = said(&with("{ numpy = '2.*', extra = '1' }"));
    assert!(
        failed.contains("environment `torch`: what is installed there cannot be asked: "),
        "{failed}"
    );
}

#[test]
fn a_launcher_without_python_is_not_asked() {
    let lab = named();
    lab.write_program("bin/launch", "#!/bin/sh\nshift\nexec \"$@\"\n");
    lab.write("image.sif", "an image");
    lab.write(
        "x.toml",
        "[environments.r]\nrun = 'bin/launch image.sif'\nimage = 'image.sif'\n\
         [stages.x]\nkind = 'command'\nrun = ['sh', 'go.sh']\nenvironment = 'r'\noutputs = { note = 'file' }\n",
    );
    lab.summary("run x.toml", 0);
    assert_eq!(output(&lab, "x", "note"), "hello\n");
    lab.write("image.sif", "another");
    assert!(reason(&lab, "x.toml").starts_with("`image.sif` of the environment changed: "));
}

#[test]
fn a_container_mounts_folders_and_sees_those_of_the_stage() {
    let lab = named();
    lab.write_program(
        "bin/apptainer",
        "#!/bin/sh\nshift 2\necho $PWD > ../../../../../seen\nexec \"$@\"\n",
    );
    lab.write("image.sif", "an image");
    lab.write("go.sh", "echo $APPTAINER_BIND > $RUNNER_OUTPUT_NOTE\n");
    lab.write(
        "x.toml",
        "[environments.r]\nrun = 'bin/apptainer exec image.sif'\nimage = 'image.sif'\n\
         [stages.x]\nkind = 'command'\nrun = ['sh', 'go.sh']\nenvironment = 'r'\noutputs = { note = 'file' }\n",
    );
    let ran = lab.command("run x.toml").env("APPTAINER_BIND", "/data").output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    // The sandbox would have kept it from writing beside the experiment.
    assert!(lab.path().join("seen").exists());
    let (key, _) = lab.digests("cache").pop_first().unwrap();
    let binds = output(&lab, "x", "note");
    let scratch = format!("/scratch/{},", key.trim_end_matches(".json"));
    assert!(binds.starts_with("/data,/") && binds.contains(&scratch), "{binds}");
    assert!(lab.stdout("show x.toml x", 0).contains("sandbox     none"));
    // One that a script starts itself is in the sandbox.
    lab.write(
        "y.toml",
        "[stages.y]\nkind = 'command'\nrun = ['sh', 'box.sh']\noutputs = { note = 'file' }\n",
    );
    lab.write(
        "box.sh",
        "echo 'bwrap: Failed to make / slave: Operation not permitted' >&2; exit 1\n",
    );
    let failed = lab.output("run y.toml");
    assert!(
        said(&failed).contains("no program in the sandbox may mount folders, as containers do"),
        "{}",
        said(&failed)
    );
    // What it reads cannot be limited.
    lab.write("go.sh", "echo again > $RUNNER_OUTPUT_NOTE\n");
    lab.write("runner.toml", "[settings]\nsandbox = 'reads'\n");
    let refused = lab.output("run x.toml");
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said(&refused).contains("`apptainer` starts a container, whose reads cannot be limited"),
        "{}",
        said(&refused)
    );
}

#[test]
fn the_head_prepares_with_the_variables_of_the_environment() {
    let lab = named();
    lab.write_program(
        "bin/uv",
        "#!/bin/sh\nif [ \"$3\" = sync ]; then echo $* $PLACE >> times; exit; fi\nshift 4\nexec \"$@\"\n",
    );
    lab.write(
        "x.toml",
        &NAMED.replace(".venv/bin/python\"", "uv run --frozen\"\nenv = { PLACE = 'there', PATH = '/none' }"),
    );
    let path = format!("{0}/bin:{0}/.venv/bin:/usr/bin:/bin", lab.path().display());
    let text = std::fs::read_to_string(lab.path().join("x.toml")).unwrap();
    lab.write("x.toml", &text.replace("/none", &path));
    lab.summary("run x.toml", 0);
    lab.write("go.sh", "echo again > $RUNNER_OUTPUT_NOTE\n");
    lab.summary("run x.toml --offline", 0);
    let times = std::fs::read_to_string(lab.path().join("times")).unwrap();
    let times: Vec<&str> = times.lines().map(|line| line.split_once(" sync ").unwrap().1).collect();
    assert_eq!(times, ["--frozen there", "--frozen --offline there"]);
}

#[test]
fn the_head_prepares_an_environment_once_and_only_where_something_runs() {
    let lab = Lab::new(&format!(
        "{}\n[stages.y]\nkind = 'command'\nrun = ['python', 'go.sh', 'y']\nenvironment = 'torch'\noutputs = {{ note = 'file' }}\n",
        NAMED.replace("lock = ", "prepare = 'sh make.sh'\nlock = ")
    ));
    python(&lab, "made", "3.12.1", "2.1.0");
    lab.write("uv.lock", &lock("2.1.0"));
    lab.write("go.sh", "echo hello > $RUNNER_OUTPUT_NOTE\n");
    lab.write(
        "make.sh",
        "echo made >> times\nmkdir -p .venv/bin\ncp made/python .venv/bin/python\ntest ! -e broken || { echo no network; exit 3; }\n",
    );
    let times = || {
        std::fs::read_to_string(lab.path().join("times"))
            .unwrap_or_default()
            .lines()
            .count()
    };
    let events = lab.stdout("run x.toml --json", 0);
    assert_eq!(times(), 1);
    assert!(
        events.contains(r#""event":"preparing","environment":"torch","command":"sh make.sh""#),
        "{events}"
    );
    assert!(events.contains(r#""event":"prepared""#), "{events}");
    assert_eq!(count(&lab.summary("run x.toml", 0), "cached"), 2);
    assert_eq!(times(), 1, "all are hits");
    lab.write("go.sh", "echo again > $RUNNER_OUTPUT_NOTE\n");
    let offline = lab.output("run x.toml --offline");
    assert!(
        said(&offline).contains("environment `torch` is not prepared (`offline`)"),
        "{}",
        said(&offline)
    );
    assert_eq!((offline.status.code(), times()), (Some(0), 1));
    lab.write("broken", "");
    lab.write("go.sh", "echo once more > $RUNNER_OUTPUT_NOTE\n");
    let failed = lab.output("run x.toml");
    assert_eq!(failed.status.code(), Some(1));
    let failed = said(&failed);
    assert!(
        failed.contains("environment `torch`: `sh make.sh` failed (exit status: 3)") && failed.contains("| no network"),
        "{failed}"
    );
}

#[test]
fn secrets_and_devices_are_in_no_key() {
    let lab = Lab::new(
        "[stages.x]\nkind = 'command'\nrun = ['sh', 'go.sh']\noutputs = { note = 'file' }\npass = ['MODE']\nsecrets = ['TOKEN']\n\
         env = { CUDA_VISIBLE_DEVICES = '3', A = '1' }\n",
    );
    lab.write(
        "go.sh",
        "test ${#TOKEN} = 9 && echo $MODE $CUDA_VISIBLE_DEVICES $A > $RUNNER_OUTPUT_NOTE\n",
    );
    let lacks = lab.output("run x.toml");
    assert_eq!(lacks.status.code(), Some(2));
    assert!(
        said(&lacks).contains("stage `x` needs the environment variable `TOKEN` (`secrets`), which is not set"),
        "{}",
        said(&lacks)
    );
    let ran = lab
        .command("run x.toml")
        .env("TOKEN", "hush-hush")
        .env("MODE", "offline")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    assert_eq!(output(&lab, "x", "note"), "offline 3 1\n");
    assert_eq!(reason(&lab, "x.toml --set stages.x.env.CUDA_VISIBLE_DEVICES=\"5\""), "hit");
    assert_eq!(
        reason(&lab, "x.toml --set stages.x.env.A=\"2\""),
        "param `env.A` changed: \"1\" → \"2\""
    );
    lab.write(
        "x.toml",
        &std::fs::read_to_string(lab.path().join("x.toml"))
            .unwrap()
            .replace("pass = ['MODE']\n", ""),
    );
    assert_eq!(reason(&lab, "x.toml"), "hit");
    for entry in walkdir::WalkDir::new(lab.path().join("cache")) {
        let entry = entry.unwrap();
        let text = std::fs::read(entry.path()).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&text).contains("hush"), "{}", entry.path().display());
    }
    // A program that prints one: it stands in the log of the stage, and in no message.
    lab.write("go.sh", "echo \"the token $TOKEN is wrong\"; exit 1\n");
    let failed = lab.command("run x.toml").env("TOKEN", "hush-hush").output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        said(&failed).contains("the token ••• is wrong") && !said(&failed).contains("hush"),
        "{}",
        said(&failed)
    );
}

#[test]
fn the_folder_of_an_output_is_there_for_who_is_told_its_path() {
    let lab = Lab::new(
        "[stages.x]\nkind = 'command'\nrun = ['sh', 'go.sh', '--out={output.scores}']\n\
         outputs.scores = { type = 'file', path = 'out/deep/r.json' }\n\
         outputs.other = { type = 'file', path = 'made/o.json' }\n",
    );
    // What no placeholder names is made by the program, which may insist on it.
    lab.write(
        "go.sh",
        "mkdir made && echo 1 > ${1#--out=} && i=0 && while [ $i -lt 1000000 ]; do i=$((i+1)); done; echo 2 > made/o.json\n",
    );
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 1);
    assert_eq!(output(&lab, "x", "scores"), "1\n");
    let shown: serde_json::Value = serde_json::from_str(&lab.stdout("show x.toml x --json", 0)).unwrap();
    let cpu = shown["record"]["provenance"]["cpu_seconds"]
        .as_f64()
        .unwrap_or_else(|| panic!("{shown}"));
    // The worker itself takes a hundredth of a second.
    assert!(cpu >= 0.15, "{cpu}");
}

#[test]
fn a_program_gets_what_is_active_and_a_place_for_caches() {
    let lab = Lab::new("[stages.x]\nkind = 'command'\nrun = ['tool']\noutputs = { note = 'file' }\n");
    lab.write_program(
        "bin/tool",
        "#!/bin/sh\necho 1 > $TRITON_CACHE_DIR/x || exit 1\n\
         echo $VIRTUAL_ENV $http_proxy $CUDA_VISIBLE_DEVICES ${HF_HOME##*/} $PYTHONUNBUFFERED ${OTHER-none} > $RUNNER_OUTPUT_NOTE\n",
    );
    let caches = lab.path().join("caches");
    let run = |words: &str| {
        let mut command = lab.command(words);
        command
            .env("PATH", format!("{}:/usr/bin:/bin", lab.path().join("bin").display()))
            .env("XDG_CACHE_HOME", &caches)
            .env("VIRTUAL_ENV", "/venv")
            .env("http_proxy", "http://proxy")
            .env("CUDA_VISIBLE_DEVICES", "")
            .env("HF_HOME", lab.path().join("models"))
            .env("OTHER", "x");
        command.output().unwrap()
    };
    let ran = run("run x.toml");
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    assert_eq!(output(&lab, "x", "note"), "/venv http://proxy models 1 none\n");
    assert!(caches.join("runner/programs/triton/x").is_file());
    assert_eq!(lab.plan("x.toml")["x {}"]["state"], "hit", "whatever the caller has");
}

#[test]
fn the_plan_marks_hits_of_another_interpreter() {
    let lab = Lab::new("[stages.x]\nkind = 'command'\nrun = ['python', 'go.sh']\noutputs = { note = 'file' }\n");
    lab.write("go.sh", "echo hello > $RUNNER_OUTPUT_NOTE\n");
    let run = |words: &str| {
        let path = format!("{}:/usr/bin:/bin", lab.path().join("bin").display());
        let ran = lab.command(words).env("PATH", path).output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
        String::from_utf8(ran.stdout).unwrap()
    };
    python(&lab, "bin", "3.11.7", "2.1.0");
    run("run x.toml");
    assert!(!run("plan x.toml").contains("made with"));
    python(&lab, "bin", "3.12.1", "2.1.0");
    assert_snapshot!(run("plan x.toml"), @r"
    state  time  stage  variant  why
    hit          x               made with Python 3.11.7

    1 stage: 1 hit, 0 run, 0 unknown
    1 hit was made with Python 3.11.7; here is 3.12.1
    ");
    let json: serde_json::Value = serde_json::from_str(&run("plan x.toml --json")).unwrap();
    assert_eq!(json["stages"][0]["made_with"], "Python 3.11.7");
}

#[test]
fn what_is_wrong_with_an_environment_is_said_before_anything_runs() {
    let first = |environment: &str| {
        let lab = named();
        lab.write("requirements.txt", "-r base.txt\n");
        std::fs::create_dir(lab.path().join("folder")).unwrap();
        let stage = NAMED.split_once("[stages.x]").unwrap().1;
        lab.write("x.toml", &format!("[environments.torch]\n{environment}\n[stages.x]{stage}"));
        let out = lab.output("run x.toml --color never");
        assert_eq!(out.status.code(), Some(2), "{environment}: {}", said(&out));
        let text = String::from_utf8(out.stderr)
            .unwrap()
            .replace(&lab.path().display().to_string(), "LAB");
        let line = text.lines().find(|line| line.contains('×') || line.contains("error:")).unwrap();
        line.trim().to_owned()
    };
    let all = [
        first("lock = 'none.lock'"),
        first("lock = 'folder'"),
        first("image = 'ghcr.io/lab/train:1.2'"),
        first("run = \"uv 'run\""),
        first("run = 3"),
        first("versions = { numpy = 'latest' }"),
        first("pass = ['A']\nsecrets = ['A']"),
        first("colour = 'red'"),
        first("run = '.venv/none/python'"),
        first("run = 'launcherr exec'").split(" (").next().unwrap().to_owned(),
        first("lock = 'requirements.txt'"),
    ];
    assert_snapshot!(all.join("\n"), @r"
    × no file `none.lock`
    × no file `folder`
    × the image `ghcr.io/lab/train:1.2` is no file, and its name has no digest
    × `run` has a quote that is not closed
    × `environment.run` must be a list, not 3
    × `latest` is no constraint of versions: write one as Python does (`2.*`, `>=2.1, <3`, `==2.1.0`)
    × `A` is in `pass` too: say once where its value comes from
    × no field `colour` in `environment` (known: env, folder, image, lock, name, pass, prepare, run, secrets, versions)
    error: stage `x`: environment `torch`: no interpreter LAB/.venv/none/python: make the environment first, or say in `prepare` how
    error: stage `x`: environment `torch`: no program `launcherr` in PATH
    error: stage `x`: environment `torch`: `requirements.txt` includes `base.txt`, whose content would be in no key: put all into one file (`pip-compile`, `uv pip compile`)
    ");
}

#[test]
fn an_environment_that_is_not_there_is_said() {
    let lab = named();
    lab.write("x.toml", &NAMED.replace("environment = \"torch\"", "environment = \"trch\""));
    let out = lab.output("plan x.toml --color never");
    assert_eq!(out.status.code(), Some(2));
    let text = said(&out);
    assert!(
        text.contains("no environment `trch`") && text.contains("did you mean `torch`?"),
        "{text}"
    );
}

#[test]
fn a_virtual_environment_works_active_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let venv = folder.path().canonicalize().unwrap().join("venv");
    let made = std::process::Command::new("python3")
        .args(["-m", "venv", "--without-pip"])
        .arg(&venv)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        // This machine has no Python that makes environments.
        return;
    }
    let venv = venv.display().to_string();
    let stage = "[stages.x]\nkind = 'command'\nrun = ['python', 'go.py']\noutputs = { note = 'file' }\n";
    let script = "import os, sys\nopen(os.environ['RUNNER_OUTPUT_NOTE'], 'w').write(sys.prefix)\n";
    let named = format!("[environments.e]\nrun = '{venv}/bin/python'\nversions = {{ python = '>=3' }}\n{stage}environment = 'e'\n");
    for (text, path, sandbox) in [
        (stage, format!("{venv}/bin:/usr/bin:/bin"), "writes"),
        (named.as_str(), "/usr/bin:/bin".to_owned(), "writes"),
        (named.as_str(), "/usr/bin:/bin".to_owned(), "reads"),
    ] {
        let lab = Lab::new(text);
        lab.write("go.py", script);
        lab.write("runner.toml", &format!("[settings]\nsandbox = '{sandbox}'\n"));
        let ran = lab.command("run x.toml").env("PATH", path).output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{sandbox}: {}", said(&ran));
        assert_eq!(output(&lab, "x", "note"), venv, "{sandbox}");
        let (key, _) = lab.digests("cache").pop_first().unwrap();
        let record: serde_json::Value = serde_json::from_slice(&std::fs::read(lab.record("cache", &key)).unwrap()).unwrap();
        let python = record["provenance"]["program"]["python"].as_str().unwrap().to_owned();
        assert!(python.starts_with("3."), "{python}");
    }
}
