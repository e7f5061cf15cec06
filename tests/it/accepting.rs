//! `runner accept`: the outputs of an earlier stage stand for a new key, where a person says so.

use crate::lab::{Lab, count};

const EXPERIMENT: &str = "
[stages.fit]
kind    = 'command'
run     = ['sh', 'fit.sh']
params  = { rate = 0.1 }
outputs = { model = 'file' }

[stages.use]
kind    = 'command'
run     = ['sh', 'use.sh']
inputs  = { model = 'fit' }
outputs = { out = 'file' }
";

fn lab() -> Lab {
    let lab = Lab::new(EXPERIMENT);
    lab.write("fit.sh", "date +%N > $RUNNER_OUTPUT_MODEL\n");
    lab.write("use.sh", "cat $RUNNER_INPUT_MODEL > $RUNNER_OUTPUT_OUT\n");
    lab.stdout("run x.toml", 0);
    lab
}

fn output(lab: &Lab) -> String {
    let path = lab.stdout("get x.toml use", 0);
    std::fs::read_to_string(path.trim()).unwrap()
}

#[test]
fn a_comment_runs_nothing_and_undone_it_runs() {
    let lab = lab();
    let before = output(&lab);
    lab.write("fit.sh", "# now with a comment\ndate +%N > $RUNNER_OUTPUT_MODEL\n");
    assert!(lab.stdout("plan x.toml", 0).contains("`fit.sh` changed"));
    let mut command = lab.command("accept x.toml fit --why");
    let accepted = command.arg("only a comment").output().unwrap();
    let said = String::from_utf8(accepted.stdout).unwrap();
    assert!(
        said.contains("fit: `fit.sh` changed") && said.contains("accepted 1 stage; `"),
        "{said}"
    );
    let run = lab.summary("run x.toml", 0);
    assert_eq!((count(&run, "cached"), count(&run, "ran")), (2, 0));
    assert_eq!(output(&lab), before);
    assert!(lab.stdout("plan x.toml", 0).contains("accepted by hand"));
    let why = lab.stdout("why x.toml use", 0);
    assert!(why.contains("only a comment"), "{why}");
    assert!(lab.stdout("show x.toml fit", 0).contains("only a comment"));
    assert_eq!(
        lab.stdout("accept x.toml fit --why again", 0),
        "nothing to accept: the selected stages are in the store\n"
    );
    let undone = lab.stdout("accept x.toml fit --undo", 0);
    assert!(undone.contains("took back 1 stage"), "{undone}");
    let run = lab.summary("run x.toml", 0);
    assert_eq!((count(&run, "cached"), count(&run, "ran")), (0, 2));
    assert_ne!(output(&lab), before);
    // What has run is not taken back.
    assert!(lab.stdout("accept x.toml fit --undo", 0).starts_with("nothing to take back"));
    assert_eq!(count(&lab.summary("run x.toml", 0), "cached"), 2);
}

#[test]
fn stages_after_one_another_are_accepted_together_and_all_or_none() {
    let lab = lab();
    lab.write("fit.sh", "# a comment\ndate +%N > $RUNNER_OUTPUT_MODEL\n");
    lab.write("use.sh", "# a comment\ncat $RUNNER_INPUT_MODEL > $RUNNER_OUTPUT_OUT\n");
    let refused = lab.output("accept x.toml use --why comments");
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("`use` uses the output of `fit`, which has to run first, or to be accepted, too"),
        "{said}"
    );
    assert!(lab.stdout("accept x.toml fit use --why comments", 0).contains("accepted 2 stages"));
    assert_eq!(count(&lab.summary("run x.toml", 0), "cached"), 2);
    lab.stdout("accept x.toml fit use --undo", 0);
    // One of them cannot be accepted: then none is.
    lab.write("x.toml", &EXPERIMENT.replace("inputs  =", "env = { A = 'b' }\ninputs  ="));
    let refused = String::from_utf8(lab.output("accept x.toml fit use --why comments").stderr).unwrap();
    assert!(
        refused.contains("`use` cannot be accepted: it computes something else (param `env.A` changed"),
        "{refused}"
    );
    assert!(!lab.stdout("plan x.toml", 0).contains("accepted by hand"));
}

#[test]
fn params_and_seeds_cannot_be_accepted() {
    let lab = lab();
    let refused = |words: &str| {
        let output = lab.output(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        String::from_utf8(output.stderr).unwrap()
    };
    lab.write("x.toml", &EXPERIMENT.replace("0.1", "0.2"));
    let said = refused("accept x.toml fit --why same");
    assert!(
        said.contains("it computes something else (param `params.rate` changed: 0.1 → 0.2)"),
        "{said}"
    );
    let other = "\n[stages.other]\nkind = 'command'\nrun = ['true']\noutputs = { out = 'file' }\n";
    lab.write("x.toml", &(EXPERIMENT.to_owned() + other));
    assert!(refused("accept x.toml other --why same").contains("it has not run before in this store"));
    assert!(refused("accept x.toml other").contains("--why"));
}

#[test]
fn what_was_accepted_stays_in_this_store() {
    let lab = lab();
    std::fs::create_dir(lab.path().join("shared")).unwrap();
    let url = format!("file://{}", lab.path().join("shared").display());
    lab.write("fit.sh", "# a comment\ndate +%N > $RUNNER_OUTPUT_MODEL\n");
    lab.stdout("accept x.toml fit --why comment", 0);
    lab.write(
        "runner.toml",
        &format!("[settings]\nremotes = [{{ url = \"{url}\", access = \"read-write\" }}]\n"),
    );
    let pushed = lab.stdout("cache push x.toml", 0);
    assert!(
        pushed.contains("the remotes have 1 of 2 stages") && pushed.contains("1 stage with accepted outputs stay"),
        "{pushed}"
    );
    let plan = lab.stdout("plan x.toml --store other", 0);
    assert_eq!(plan.matches("in a remote").count(), 0, "{plan}");
    // A record that claims so elsewhere is refused.
    let accepted = lab.stdout("plan x.toml --json", 0);
    let plan: serde_json::Value = serde_json::from_str(&accepted).unwrap();
    let key = plan["stages"][0]["key"].as_str().unwrap().to_owned();
    let record = format!("records/{}/{}.json", &key[..2], &key[2..]);
    let (own, theirs) = (
        lab.path().join("cache/v1").join(&record),
        lab.path().join("shared/v1").join(&record),
    );
    assert!(own.exists(), "{}", own.display());
    std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    std::fs::copy(own, theirs).unwrap();
    let plan = lab.stdout("plan x.toml --store third", 0);
    assert_eq!(plan.matches("in a remote").count(), 0, "{plan}");
}

#[test]
fn accepted_outputs_are_not_damaged() {
    let lab = lab();
    lab.write("fit.sh", "# a comment\ndate +%N > $RUNNER_OUTPUT_MODEL\n");
    let mut command = lab.command("accept x.toml fit --why");
    let accepted = command.arg("a \u{1b}[31mcomment\nof two lines").output().unwrap();
    assert!(accepted.status.success());
    let verified = lab.stdout("cache verify", 0);
    assert!(verified.contains("all are intact"), "{verified}");
    lab.stdout("cache repair", 0);
    assert_eq!(count(&lab.summary("run x.toml", 0), "cached"), 2);
    // Nothing of the reason but its words is printed, on one line.
    let shown = lab.stdout("show x.toml fit", 0);
    assert!(shown.contains("comment of two lines (key ") && !shown.contains('\u{1b}'), "{shown}");
    assert!(
        !shown.contains("accepted  accepted") && !shown.contains("accepted    accepted"),
        "{shown}"
    );
    // What it does is said, and not that the stages are missing.
    let bundled = lab.stdout("bundle x.toml --out x.tar", 0);
    assert!(
        bundled.contains("other machine: 1 stage with accepted outputs") && !bundled.contains("not in the store"),
        "{bundled}"
    );
    let rerun = lab.output("cache verify --rerun 9 --experiment x.toml");
    let said = String::from_utf8(rerun.stderr).unwrap();
    assert!(said.contains("passed over 1 stage with accepted outputs"), "{said}");
}

#[test]
fn taking_back_is_offered_for_what_was_accepted() {
    let lab = Lab::new(
        "
[matrix]
rate = [0.1, 0.2]

[stages.fit]
kind    = 'command'
run     = ['sh', 'fit.sh', '{rate}']
outputs = { model = 'file' }
",
    );
    lab.write("fit.sh", "echo $1 > $RUNNER_OUTPUT_MODEL\n");
    lab.stdout("run x.toml", 0);
    lab.write("fit.sh", "# a comment\necho $1 > $RUNNER_OUTPUT_MODEL\n");
    let said = lab.stdout("accept x.toml fit --variant rate=0.1 --why comment", 0);
    assert!(
        said.contains("accepted 1 stage; `runner accept x.toml fit --variant 'rate=0.1' --undo` takes it back"),
        "{said}"
    );
}
