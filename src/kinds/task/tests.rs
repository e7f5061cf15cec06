mod extending;

use super::*;
use lab::config::{ConfigValue, ParamError};
use learn::dataset::Doc;

/// The rows of a task for params in TOML.
pub(super) fn generate(task: &dyn Task, toml: &str, seed: u64) -> Splits {
    read(task, toml).unwrap().generate(seed)
}

/// The message about wrong params, after the name of the param.
pub(super) fn refusal(task: &dyn Task, toml: &str) -> String {
    let error = read(task, toml).err().unwrap();
    format!("{}: {}", error.path.join("."), error.problem)
}

fn read(task: &dyn Task, toml: &str) -> Result<Box<dyn Problems>, ParamError> {
    let table: toml::Table = toml::from_str(toml).unwrap();
    task.read(&ConfigValue::from(serde_json::json!(table)))
}

fn row(prompt: &str) -> Row {
    Row {
        id: String::new(),
        prompt: prompt.to_owned(),
        completion: String::new(),
        step_num: 1,
        answer: 3.into(),
        doc: Doc::default(),
    }
}

#[test]
fn a_task_knows_its_problems() {
    let facing = "Assuming an initial orientation facing";
    let actions = "determine the final direction after executing the following actions:";
    for (prompt, task) in [
        ("Question: 1 + 2".to_owned(), Some("addition")),
        ("Question: 1 - 2".to_owned(), None),
        ("Question: ❀ ❤ ✰ ♋ ↔ ♙".to_owned(), Some("algebra")),
        ("Isolate ❤.\nQuestion: ❀ ❤ ✰ ♋ ↔ ♙".to_owned(), Some("algebra")),
        ("Question: ♏ ✰ ♋ ↔ ♙".to_owned(), None),
        (format!("{facing} East, {actions} Left, Around"), Some("direction")),
        ("Add: 1 + 2".to_owned(), Some("basics")),
        (format!("{facing} Up, {actions} Left, Around"), None),
        (format!("{facing} East, {actions} "), None),
        ("Write backwards: c a b".to_owned(), Some("reversal")),
        ("Write backwards: c a x".to_owned(), None),
        (String::new(), None),
    ] {
        let row = row(&prompt);
        // A question in words could be any.
        let known = tasks().iter().filter(|task| task.name() != "gsm8k");
        let mut found = known.filter(|task| task.is_problem(&row)).map(|task| task.name());
        assert_eq!((found.next(), found.next()), (task, None), "{prompt}");
    }
    assert!(names().is_sorted());
}

#[test]
fn a_question_of_another_task_has_no_steps_that_follow() {
    for task in tasks().iter().filter(|task| task.name() != "gsm8k") {
        assert_eq!(task.follows(&row("How many?"), &["North.", ""]), [false, false]);
    }
}

#[test]
fn a_share_draws_so_many_skips_and_a_cold_start_none() {
    // The basics have one step each, and none to skip.
    for task in tasks().iter().filter(|task| task.name() != "basics" && task.published().is_none()) {
        let skips = |toml: &str| {
            let sizes = "train = 1000\ndevelopment = 0\nin_domain = 0\nood_easy = 0\nood_hard = 0";
            generate(*task, &format!("{sizes}\n{toml}"), 3).skipped.len()
        };
        let all = skips("start = 'warm'");
        let half = skips("start = 'warm'\nskip_share = 0.5");
        assert!(all > 800 && half.abs_diff(all / 2) < 60, "{}: {all} {half}", task.name());
        assert_eq!(skips("start = 'cold'"), 0);
    }
}
