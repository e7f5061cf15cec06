//! Tasks of `[tasks]`: what enters which key, and what is done again.

use std::collections::BTreeMap;

use serde_json::Value;

use super::lab::{Lab, count};

const CAPITALS: &str = "country,capital,continent\nPeru,Lima,America\nCuba,Havana,America\nItaly,Rome,Europe\nSpain,Madrid,Europe\n";

const EXPERIMENT: &str = r#"
[sources.capitals]
path = "capitals.csv"

[tasks.capitals]
description   = ""
doc_to_text   = "The capital of {{country}}?"
doc_to_target = "{{capital}}"
filter_list   = [{ name = "whole", filter = [{ function = "remove_whitespace" }] }]
metric_list   = [{ metric = "exact_match" }]

[stages.cases]
kind   = "import"
source = "capitals"
task   = "capitals"

[stages.model]
kind  = "train"
data  = "cases"
steps = 150
batch = 4
model = { width = 32, layers = 1, heads = 2 }

[stages.score]
kind  = "eval"
model = "model"
data  = "cases"
"#;

fn lab() -> Lab {
    let lab = Lab::new(EXPERIMENT);
    lab.write("capitals.csv", CAPITALS);
    lab
}

/// The stages that would run, or may.
fn work(lab: &Lab, change: &[(&str, &str)]) -> Vec<String> {
    let changed = change.iter().fold(EXPERIMENT.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    lab.write("y.toml", &changed);
    let planned = lab.plan("y.toml");
    let open = planned.iter().filter(|(_, stage)| stage["state"] != "hit");
    open.map(|(name, _)| name.split(' ').next().unwrap().to_owned()).collect()
}

fn metrics(lab: &Lab, experiment: &str) -> Value {
    let why = lab.stdout(&format!("report {experiment} --format json"), 0);
    serde_json::from_str(&why).unwrap()
}

#[test]
fn a_table_of_ones_own_is_learned_and_judged() {
    let lab = lab();
    let summary = lab.summary("run x.toml", 0);
    assert_eq!(count(&summary, "ran"), 4);
    let report = metrics(&lab, "x.toml");
    let set = &report["rows"][0]["metrics"];
    assert_eq!(set["accuracy"], 1.0, "{report}");
    assert_eq!(set["whole"]["exact_match"], 1.0, "{set}");
    assert_eq!((&set["no_answer"], &set["unscored"]), (&0.0.into(), &0.0.into()));
}

/// docs/task-tables.md, "What enters which key".
#[test]
fn each_field_enters_the_key_that_it_belongs_to() {
    let lab = lab();
    lab.stdout("run x.toml", 0);
    assert_eq!(work(&lab, &[]), [""; 0]);
    let task = |more: &str| [("description   = \"\"", format!("description = \"\"\n{more}"))];
    let with = |more: &str| {
        let change = task(more);
        work(&lab, &[(change[0].0, &change[0].1)])
    };
    // The scoring: nothing is generated.
    for scoring in ["think_end = '</think>'", "groups = ['continent']"] {
        assert_eq!(with(scoring), ["score"], "{scoring}");
    }
    assert_eq!(work(&lab, &[("remove_whitespace", "lowercase")]), ["score"]);
    assert_eq!(work(&lab, &[("\"exact_match\"", "\"includes\"")]), ["score"]);
    assert_eq!(with("verdict = { filter = 'whole' }"), ["score"]);
    // The question: nothing is trained again, where the rows stay as they are.
    for question in ["gen_prefix = 'It is'", "num_fewshot = 1\nfewshot_split = 'cases'"] {
        let open = work(
            &lab,
            &[
                ("description   = \"\"", &format!("description = \"\"\n{question}")),
                ("kind  = \"eval\"", "kind = \"eval\"\ntask = \"capitals\""),
            ],
        );
        assert_eq!(open, ["score", "score.cases"], "{question}");
    }
    assert_eq!(
        work(&lab, &[("description   = \"\"", "description = \"Answer.\"")]),
        ["score", "score.cases"]
    );
    assert_eq!(
        work(&lab, &[("description   = \"\"", "generation_kwargs = { max_gen_toks = 9 }")]),
        ["score", "score.cases"]
    );
    // The rows: all is made of them.
    let all = ["cases", "model", "score", "score.cases"];
    assert_eq!(work(&lab, &[("The capital of", "Capital of")]), all);
    assert_eq!(work(&lab, &[("\"{{capital}}\"", "\"{{ capital }}\"")]), all);
    for steps in ["steps = 'numbered'", "steps_end = '####'"] {
        assert_eq!(
            with(steps),
            ["cases", "model", "score", "score.cases"],
            "{steps}: rows have their number of steps"
        );
    }
    // Nothing: a name, a comment, an example.
    assert_eq!(with("# a comment"), [""; 0]);
    assert_eq!(
        work(
            &lab,
            &[
                ("[tasks.capitals]", "[tasks.cities]"),
                ("task   = \"capitals\"", "task   = \"cities\"")
            ]
        ),
        [""; 0]
    );
    assert_eq!(with("examples = [{ response = 'Lima', target = 'Lima', correct = true }]"), [""; 0]);
}

#[test]
fn more_rows_and_more_samples_only_add() {
    let lab = lab();
    lab.stdout("run x.toml model", 0);
    let sample =
        "\n[stages.more]\nkind = \"sample\"\nmodel = \"model\"\ndata = \"cases\"\nask = []\ntemperature = 1.0\nsamples = COUNT\nseed = 3\n";
    let answers = |count: &str| {
        lab.write("y.toml", &(EXPERIMENT.to_owned() + &sample.replace("COUNT", count)));
        let out = lab.stdout("run y.toml more --json", 0);
        let events = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let first = events
            .into_iter()
            .find(|event| event["event"] == "progress" && event["stage"] == "more");
        lab.stdout("get y.toml more --to out", 0);
        let texts = std::fs::read_to_string(walk(&lab.path().join("out"), "answers")).unwrap();
        std::fs::remove_dir_all(lab.path().join("out")).unwrap();
        (first, texts)
    };
    let (_, two) = answers("2");
    let (progress, four) = answers("4");
    assert_eq!((two.lines().count(), four.lines().count()), (8, 16));
    // Those of the first two are the same, and nothing was done for them.
    assert!(two.lines().all(|line| four.contains(line)), "{two}\n{four}");
    let done = progress.map_or(8, |event| event["done"].as_u64().unwrap());
    assert!(done >= 8, "{done}");
    // And in a store that has never seen the others, the same bytes.
    lab.write("y.toml", &(EXPERIMENT.to_owned() + &sample.replace("COUNT", "4")));
    lab.stdout("run y.toml more --store fresh", 0);
    lab.stdout("get y.toml more --store fresh --to out", 0);
    assert_eq!(std::fs::read_to_string(walk(&lab.path().join("out"), "answers")).unwrap(), four);
}

/// The first file below `folder` with `name` in its path.
fn walk(folder: &std::path::Path, name: &str) -> std::path::PathBuf {
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    let mut files = files.filter(|entry| entry.path().is_file());
    files
        .find(|entry| entry.path().to_string_lossy().contains(name))
        .unwrap()
        .into_path()
}

#[test]
fn what_cannot_be_is_said_before_anything_runs() {
    let lab = lab();
    let refused = |change: &[(&str, &str)]| {
        let changed = change.iter().fold(EXPERIMENT.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        lab.write("y.toml", &changed);
        let output = lab.output("plan y.toml");
        assert_eq!(output.status.code(), Some(2), "{change:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said: BTreeMap<&str, String> = BTreeMap::from([
        ("field", refused(&[("doc_to_text", "doc_to_txt")])),
        ("metric", refused(&[("\"exact_match\"", "\"exactmatch\"")])),
        ("function", refused(&[("remove_whitespace", "remove_space")])),
        ("column", refused(&[("{{country}}", "{{contry}}")])),
        ("template", refused(&[("{{country}}?", "{{country?")])),
        (
            "no task",
            refused(&[(
                "task   = \"capitals\"\n",
                "fields = { prompt = \"country\", completion = \"capital\", answer = \"capital\" }\n",
            )]),
        ),
        ("unknown task", refused(&[("task   = \"capitals\"", "task   = \"capital\"")])),
        ("few", refused(&[("description   = \"\"", "num_fewshot = 2")])),
        (
            "example",
            refused(&[(
                "description   = \"\"",
                "examples = [{ response = \"Lima\", target = \"Rome\", correct = true }]",
            )]),
        ),
    ]);
    insta::assert_snapshot!(
        said.into_iter()
            .map(|(name, text)| format!("{name}:\n{text}"))
            .collect::<Vec<_>>()
            .join("\n")
    );
}
