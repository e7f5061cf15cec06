//! Programs that reach beyond their stage: the store, the stages beside it, the next attempt.

use crate::lab::Lab;

use super::{in_time, kill_with_workers, output, scratch, starts, with_input};

#[test]
fn the_mode_of_an_input_does_not_reach_the_store() {
    let lab = with_input("");
    lab.write(
        "go.sh",
        &format!(
            "chmod 755 $RUNNER_INPUT_D\nfind {}/cache/v1/objects -type f -perm /111 | wc -l > $RUNNER_OUTPUT_NOTE\n",
            lab.path().display()
        ),
    );
    lab.summary("run x.toml", 0);
    // Counted while the program ran: what it does then, the stages beside it would see.
    assert_eq!(output(&lab, "x", "note"), "0\n");
    assert_eq!(output(&lab, "c", "note"), "orig\n");
}

#[test]
fn sockets_can_be_made_in_the_folder_for_temporary_files() {
    let lab = Lab::new(&starts("['sh', 'go.sh']"));
    lab.write(
        "go.sh",
        "set -e\necho 1 > $TMPDIR/x\ntest $(cat $TMPDIR/x) = 1\nmkdir $TMPDIR/pymp-12345678\n\
         if command -v python3 > /dev/null; then\n\
         python3 -c 'import socket, os; socket.socket(socket.AF_UNIX).bind(os.environ[\"TMPDIR\"] + \"/pymp-12345678/listener-12345678\")'\n\
         fi\ntest ${#TMPDIR} -lt 60\necho $TMPDIR > $RUNNER_OUTPUT_NOTE\n",
    );
    lab.summary("run x.toml", 0);
    let place = output(&lab, "x", "note");
    assert!(
        std::fs::symlink_metadata(place.trim()).is_err(),
        "{place} is removed with the stage"
    );
}

#[test]
fn what_has_nothing_but_its_folder_does_not_run_beside_the_next_attempt() {
    let lab = Lab::new(&starts("['sh', 'go.sh']"));
    lab.write(
        "go.sh",
        "cd $RUNNER_SCRATCH\n\
         if [ -e ckpt ]; then\nbefore=$(wc -l < ckpt)\nsleep 1\n\
         if [ $before = $(wc -l < ckpt) ]; then echo alone; else echo beside another; fi > $RUNNER_OUTPUT_NOTE\nexit\nfi\n\
         env -i setsid sh -c 'while :; do echo $$ >> ckpt; sleep 0.1; done' &\nsleep 60\n",
    );
    let mut run = lab.start("run x.toml");
    assert!(in_time(|| scratch(&lab, "ckpt").is_some()));
    kill_with_workers(&mut run);
    lab.summary("run x.toml", 0);
    assert_eq!(output(&lab, "x", "note"), "alone\n");
}

#[test]
fn a_stage_that_damages_its_input_and_fails_does_not_run_without_end() {
    let lab = with_input("");
    lab.write(
        "go.sh",
        &format!(
            "for file in $(find {}/cache/v1/objects -type f); do chmod 600 $file; echo EVIL > $file; done\nexit 1\n",
            lab.path().display()
        ),
    );
    lab.write("runner.toml", "[settings]\nsandbox = 'off'\n");
    let out = lab.stdout("run x.toml x --json", 1);
    let events: Vec<serde_json::Value> = out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let failed = events.iter().find(|event| event["event"] == "failed").unwrap();
    let error = failed["error"].as_str().unwrap();
    assert!(
        error.ends_with("failed: exit status: 1; its input was damaged twice while it ran"),
        "{error}"
    );
    let started = |stage: &str| {
        let is_one = |event: &&serde_json::Value| event["event"] == "started" && event["stage"] == stage;
        events.iter().filter(is_one).count()
    };
    assert_eq!((started("a"), started("x")), (2, 2), "{out}");
}

#[test]
fn a_module_that_may_not_be_read_is_told_from_one_that_is_not_there() {
    let lab = Lab::new(&starts("['sh', 'go.sh']"));
    lab.write("go.sh", "echo \"ModuleNotFoundError: No module named 'numpy'\" >&2\nexit 1\n");
    let said = |sandbox: &str| {
        lab.write("runner.toml", &format!("[settings]\nsandbox = '{sandbox}'\n"));
        lab.stdout("run x.toml --json", 1)
    };
    let advice = "if the module is installed, its folder is not one that the program may read";
    assert!(said("reads").contains(advice));
    assert!(!said("writes").contains(advice));
}

#[test]
fn settings_of_the_sandbox_that_mean_nothing_are_said_with_their_place() {
    let lab = Lab::new(&starts("['true']"));
    let said = |setting: &str| {
        lab.write("runner.toml", &format!("[settings]\n{setting}\n"));
        let out = lab.output("run x.toml --color never");
        assert_eq!(out.status.code(), Some(2), "{setting}");
        String::from_utf8(out.stderr).unwrap()
    };
    let empty = said("writes = ['out', '']");
    assert!(empty.contains("× an empty text in `writes` is no path"), "{empty}");
    assert!(empty.contains("runner.toml:2:"), "{empty}");
    let flag = said("sandbox = true");
    assert!(
        flag.contains("× `sandbox` must be \"writes\", \"reads\" or \"off\", not true"),
        "{flag}"
    );
    assert!(flag.contains("runner.toml:2:11"), "{flag}");
}
