//! `runner init`: what it writes runs as it is.

use crate::lab::{Lab, count};

#[test]
fn a_script_of_one_s_own_has_a_report() {
    let lab = Lab::new("");
    let said = lab.stdout("init moons", 0);
    assert!(
        said.contains("wrote experiment.toml, train.py, points.csv, .gitignore") && said.contains("  cd moons\n"),
        "{said}"
    );
    let run = lab.summary("run moons/experiment.toml", 0);
    assert_eq!((count(&run, "ran"), count(&run, "failed")), (6, 0));
    assert_eq!(count(&lab.summary("run moons/experiment.toml", 0), "cached"), 6);
    let report = lab.stdout("report moons/experiment.toml", 0);
    assert!(
        report.contains("Metrics: mean ± standard deviation, 3 seeds") && report.contains("Differences to (hidden=2)"),
        "{report}"
    );
    // Nothing is written over what is there; a `.gitignore` is left alone.
    let refused = lab.output("init moons");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(2) && said.contains("moons/experiment.toml is there already"),
        "{said}"
    );
    std::fs::create_dir(lab.path().join("own")).unwrap();
    lab.write("own/.gitignore", "mine\n");
    lab.stdout("init own --template paper", 0);
    assert_eq!(std::fs::read_to_string(lab.path().join("own/.gitignore")).unwrap(), "mine\n");
}

#[test]
fn the_other_beginnings_can_be_planned() {
    let lab = Lab::new("");
    lab.stdout("init paper --template paper", 0);
    let plan = lab.stdout("plan paper/addition.toml --profile smoke", 0);
    assert!(plan.contains("standard[1]"), "{plan}");
    lab.stdout("init tuned --template finetune", 0);
    let plan = lab.stdout("plan tuned/experiment.toml", 0);
    assert!(
        plan.contains("rank=16 seed=2") && plan.contains("15 stages: 0 hit, 2 run, 13 unknown"),
        "{plan}"
    );
    assert!(plan.contains("the source `model` is downloaded first"), "{plan}");
}

#[test]
fn a_file_is_no_folder_to_begin_in() {
    let lab = Lab::new("");
    let refused = lab.output("init x.toml");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && said.contains("x.toml is no folder"), "{said}");
}
