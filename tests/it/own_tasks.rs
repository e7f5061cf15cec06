//! Tasks of `[tasks]`: what enters which key, and what is done again.

use std::collections::BTreeMap;

use serde_json::Value;

use super::lab::{Lab, count, warnings};

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
        (
            "column of an import",
            refused(&[(
                "task   = \"capitals\"\n",
                "fields = { prompt = \"contry\", completion = \"capital\" }\n",
            )]),
        ),
        (
            "template of an import",
            refused(&[(
                "task   = \"capitals\"\n",
                "fields = { prompt = \"In {{continent}}: {{contry}}\", completion = \"capital\" }\n",
            )]),
        ),
        ("unknown task", refused(&[("task   = \"capitals\"", "task   = \"capital\"")])),
        ("few", refused(&[("description   = \"\"", "num_fewshot = 2")])),
        (
            "split that comes with data",
            refused(&[("description   = \"\"", "num_fewshot = 2\nfewshot_split = \"cases.train\"")]),
        ),
        (
            "split of a task that is named",
            refused(&[
                ("description   = \"\"", "num_fewshot = 2\nfewshot_split = \"cases.train\""),
                ("kind  = \"eval\"", "kind = \"eval\"\ntask = \"capitals\""),
            ]),
        ),
        (
            "split of no stage",
            refused(&[
                ("description   = \"\"", "num_fewshot = 2\nfewshot_split = \"solved\""),
                ("kind  = \"eval\"", "kind = \"eval\"\ntask = \"capitals\""),
            ]),
        ),
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

/// A template joins several columns; `plan` checks it, and the record lists the columns that were used.
#[test]
fn an_import_joins_columns_and_says_what_it_took() {
    let lab = lab();
    let fields = "fields = { prompt = \"{{country}} in {{continent}}?\", completion = \"{{capital}}\", answer = \"capital\" }\n";
    lab.write(
        "y.toml",
        &EXPERIMENT
            .replace("task   = \"capitals\"\n", fields)
            .replace("kind  = \"eval\"", "kind = \"eval\"\ntask = \"capitals\""),
    );
    lab.stdout("run y.toml cases", 0);
    let shown = lab.stdout("show y.toml cases", 0);
    let noted = "noted       4 rows: prompt = \"{{country}} in {{continent}}?\", completion = \"{{capital}}\", answer = \"{{capital}}\", id = the number of the record\n";
    assert!(shown.contains(noted), "{shown}");
    let (_, table) = shown.split_once("\n\n").unwrap();
    insta::assert_snapshot!(table, @r"
    column      of the  is      rows  example
    id          row     text       4  1
    prompt      row     text       4  Peru in America?
    completion  row     text       4  Lima
    step_num    row     number     4  1
    answer      row     text       4  Lima
    country     record  text       4  Peru
    capital     record  text       4  Lima
    continent   record  text       4  America
    ");
    let record: Value = serde_json::from_str(&lab.stdout("show y.toml cases --json", 0)).unwrap();
    assert_eq!(record["content"]["data"]["rows"], 4);
    let digest = record["record"]["outputs"]["data"]["digest"].as_str().unwrap();
    let artifact: Value = serde_json::from_str(&lab.stdout(&format!("show {} --json", &digest[..12]), 0)).unwrap();
    let column = &artifact["content"]["columns"][6];
    assert_eq!(
        *column,
        serde_json::json!({"name": "capital", "of_record": true, "kinds": ["text"], "rows": 4, "example": "Lima"})
    );
    assert!(lab.stdout(&format!("show {}", &digest[..12]), 0).ends_with(table));
}

#[test]
fn test_questions_in_training_data_are_warned_of() {
    let lab = lab();
    // Two of the test questions are among the training rows; one of them twice, in other words of the same letters.
    lab.write(
        "more.csv",
        "country,capital,continent\nPeru,Lima,America\nCuba,Havana,America\nCUBA,Havana,America\nChad,N'Djamena,Africa\n",
    );
    // The characters of the test questions are known to the model, and the loss on them is computed; neither is a training on them.
    let vocabulary = "vocabulary = \"cases\"\nvalidation = \"cases\"\nsteps";
    let with_more = EXPERIMENT.replace("data  = \"cases\"\nsteps", &format!("data  = \"more\"\n{vocabulary}"))
        + "\n[sources.more]\npath = \"more.csv\"\n\n[stages.more]\nkind = \"import\"\nsource = \"more\"\ntask = \"capitals\"\n";
    lab.write("y.toml", &with_more);
    let said = warnings(&lab.stdout("run y.toml --json", 0));
    insta::assert_snapshot!(said.join("\n"), @r#"2 of the 4 questions of the test set `cases` are among the 4 rows that `model` was trained on, in 3 of them: scores on it say too much. The first is "The capital of Peru?", row `1` there and `1` in the test. A `select` with `decontaminate = "cases"` leaves such rows out"#);
    // Nothing was measured: nothing is looked for. The report has all of it.
    assert_eq!(warnings(&lab.stdout("run y.toml --json", 0)), [""; 0]);
    let report = lab.output("report y.toml --json --html page.html");
    assert!(String::from_utf8(report.stderr).unwrap().contains(&said[0]));
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    insta::assert_json_snapshot!(report["contamination"], @r#"
    [
      {
        "example": {
          "question": "The capital of Peru?",
          "test_row": "1",
          "training_row": "1"
        },
        "model": "model",
        "more_models": 0,
        "of_questions": 4,
        "of_rows": 4,
        "questions": 2,
        "rows": 3,
        "test": "cases"
      }
    ]
    "#);
    let page = std::fs::read_to_string(lab.path().join("page.html")).unwrap();
    assert!(page.contains("2 of the 4 questions of the test set `cases` are among"));
    // A base's data count, and those that `decontaminate` names; what was left out is no longer there.
    let cleaned = with_more.replace("data  = \"more\"\nvocabulary", "data  = \"clean.data\"\nvocabulary")
        + "\n[stages.clean]\nkind = \"select\"\ndata = \"more\"\ndecontaminate = \"cases\"\n";
    lab.write("z.toml", &cleaned);
    assert_eq!(warnings(&lab.stdout("run z.toml --json", 0)), [""; 0]);
    let tuned = cleaned
        .replace("\nmodel = \"model\"", "\nmodel = \"tuned\"")
        .replace("model = \"model\"\ndata", "model = \"tuned\"\ndata")
        + "\n[stages.first]\nkind = \"train\"\ndata = \"more\"\nvocabulary = \"cases\"\nsteps = 2\nbatch = 2\nmodel = { width = 32, layers = 1, heads = 2 }\n\
           \n[stages.tuned]\nkind = \"train\"\ndata = \"clean.data\"\nbase = \"first\"\nsteps = 2\nbatch = 2\n";
    lab.write("t.toml", &tuned);
    let said = warnings(&lab.stdout("run t.toml --json", 0));
    assert!(
        said.len() == 1 && said[0].contains("among the 5 rows that `tuned` was trained on, in 3 of them"),
        "{said:?}"
    );
}

/// A model that learns from its own answers is asked what it was trained on: that is no test.
#[test]
fn questions_for_ones_own_answers_are_no_test() {
    let lab = lab();
    let own = EXPERIMENT.replace("kind  = \"eval\"", "kind = \"sample\"\nask = []")
        + "\n[stages.kept]\nkind = \"filter\"\nkeep = \"right\"\nanswers = \"score\"\n\n[stages.measured]\nkind = \"measure\"\nanswers = \"score\"\n";
    lab.write("y.toml", &own);
    assert_eq!(warnings(&lab.stdout("run y.toml --json", 0)), [""; 0]);
    // Nor are filters that keep what is right about steps.
    let report = lab.stdout("report y.toml", 0);
    assert!(!report.contains("Skips"), "{report}");
    let output = lab.output("report y.toml --table skips");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no selected `filter` that compares steps has run"), "{said}");
}

/// A judge model's grades are compared with labels in the data, and the report has a table of it.
#[test]
fn a_judge_is_compared_with_people() {
    let lab = lab();
    lab.write(
        "capitals.csv",
        &CAPITALS
            .replace("continent", "human")
            .replace("America", "yes")
            .replace("Europe", "no"),
    );
    let judged = EXPERIMENT.replace("kind  = \"eval\"", "kind = \"sample\"\nask = []")
        + r#"
[tasks.grader]
doc_to_text = "{{question}} {{response}} ({{target}})"

[stages.judge]
kind    = "command"
run     = ["sh", "-c", "for i in 1 2 3; do echo '{{\"id\": \"'$i'\", \"score\": 1}}'; done > $RUNNER_OUTPUT_SAID"]
inputs  = { answers = "score" }
outputs = { said = "file" }

[stages.agreement]
kind     = "measure"
answers  = "score"
verdicts = "judge.said"
labels   = "human"
"#;
    lab.write("y.toml", &judged);
    lab.stdout("run y.toml", 0);
    insta::assert_snapshot!(lab.stdout("report y.toml --table agreement", 0), @r"
    stage      n  data   labels  agree %  kappa  right both  judge  label  neither  unscored
    agreement  1  cases       4     66.7   0.00           2      1      0        0         1
    ");
}

/// The loop of `experiments/parts` on a task of one's own: docs/own-questions.md.
#[test]
fn the_loop_runs_on_a_task_of_ones_own() {
    let parts = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/parts/loop.toml");
    let lab = Lab::new(&LOOP.replace("parts/loop.toml", parts));
    let line = |number: u32| {
        let digits: Vec<u32> = (0..2 + number % 3).map(|place| (number * 7 + place * place * 3 + 1) % 10).collect();
        let (mut sum, mut steps) = (digits[0], Vec::new());
        for digit in &digits[1..] {
            steps.push(format!("{sum} + {digit} = {}", sum + digit));
            sum += digit;
        }
        let digits: Vec<String> = digits.iter().map(u32::to_string).collect();
        serde_json::json!({"digits": digits.join(" "), "steps": steps.join("\n"), "sum": sum}).to_string() + "\n"
    };
    lab.write("sums.jsonl", &(0..30).map(line).collect::<String>());
    let summary = lab.summary("run x.toml --profile smoke", 0);
    assert_eq!(count(&summary, "failed"), 0, "{summary}");
    let report = metrics(&lab, "x.toml --profile smoke");
    let stages: Vec<&str> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["baseline", "score[0]", "score[1]"], "{report}");
    assert!(
        report["rows"].as_array().unwrap().iter().all(|row| row["data"] == "development"),
        "{report}"
    );
    // The filter compares steps, as the task counts them.
    assert_eq!(report["skips"][0]["following"]["requests"], 40, "{report}");
}

const LOOP: &str = r#"
extends = "parts/loop.toml"

[params]
task  = "sums"
test  = ["sums.development"]
model = "tiny"

[models.tiny]
width  = 16
layers = 1
heads  = 2

[sources]
data = "sums.jsonl"

[tasks.sums]
doc_to_text     = "{{digits}}"
doc_to_target   = "{{sum}}"
doc_to_solution = "{{steps}}\n#### {{sum}}"
steps_end       = '####'
filter_list     = [{ name = "strict-match", filter = [{ function = "regex", regex_pattern = '#### (\d+)' }] }]

[stages.all]
kind   = "import"
source = "data"
task   = "sums"

[stages.sums]                    # `sums.train` to learn from, `sums.development` to test on
kind        = "split"
training    = "all"
steps       = "any"
development = 10

[stages."mixed[0]"]
skips = []                       # no skips made by hand
"#;
