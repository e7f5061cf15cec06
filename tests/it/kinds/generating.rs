//! `generate`.

use std::fs;

use insta::assert_snapshot;

use super::bench::Bench;

const SMALL: &str = "task = 'addition'\ntrain = 2\ndevelopment = 1\nin_domain = 1\nood_easy = 1\nood_hard = 0";

#[test]
fn every_port_is_a_file_in_the_published_form() {
    let bench = Bench::new("generate", &format!("{SMALL}\nstart = 'warm'"));
    let outputs = bench.run().unwrap();
    let mut names: Vec<_> = fs::read_dir(&outputs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["development", "in_domain", "ood_easy", "ood_hard", "skipped", "train"]);
    assert_snapshot!(fs::read_to_string(outputs.join("skipped")).unwrap(), @r#"
    {"id": "3_1/0_skip", "prompt": "Question: 885 + 7", "completion": "1. 5 + 7 (plus carry 0) = 12 (write down 2, carry over 1).\n2. 88 + 0 (plus carry 1) = 89 (write down 89, no carry over).\nThus, the answer is 892.", "step_num": 2, "answer": 892}
    {"id": "2_2/0_skip", "prompt": "Question: 40 + 16", "completion": "1. 40 + 16 (plus carry 0) = 56 (write down 56, no carry over).\nThus, the answer is 56.", "step_num": 1, "answer": 56}
    "#);
    assert_eq!(fs::read_to_string(outputs.join("ood_hard")).unwrap(), "");
}

#[test]
fn a_cold_start_differs_in_the_skips_alone() {
    let run = |start| Bench::new("generate", &format!("{SMALL}\nstart = '{start}'"));
    let (cold, warm) = (run("cold"), run("warm"));
    for port in ["train", "development", "in_domain", "ood_easy", "ood_hard"] {
        assert_eq!(cold.output(port), warm.output(port), "{port}");
    }
    assert!(cold.output("skipped").is_empty() && !warm.output("skipped").is_empty());
}
