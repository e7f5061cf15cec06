use std::fs;

use super::*;
use crate::question::template::{ChoiceTemplates, Gold, Rendered, TaskTemplate, TemplateFields, TemplateLanguage};
use learn::dataset::ExactValue;
use serde_json::Value;

/// Imports the first of some files.
fn import_files(files: &[(&str, &str)]) -> Result<ImportedTasks, TaskFileError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    import(&folder.path().join(files[0].0))
}

fn table(imported: &ImportedTasks, name: &str) -> ::toml::Table {
    assert!(imported.refused.is_empty(), "{:?}", imported.refused);
    let table: ::toml::Table = imported.toml.parse().unwrap();
    table["tasks"][name].as_table().unwrap().clone()
}

fn import_one(text: &str) -> ImportedTasks {
    import_files(&[("a.yaml", text)]).unwrap()
}

/// The reasons for which a task does not come over.
fn refused(text: &str) -> Vec<String> {
    let refused = import_one(text).refused;
    refused
        .into_iter()
        .flat_map(|(_, remarks)| remarks)
        .map(|remark| remark.text)
        .collect()
}

const TASK: &str = "task: t\ndataset_path: o/d\ntest_split: test\ndoc_to_text: \"{{q}}\"\ndoc_to_target: answer\n";

#[test]
fn defaults_of_the_harness_are_written_out() {
    let imported = import_one(TASK);
    assert_eq!(
        imported.toml,
        r##"# `t`, from lm-evaluation-harness.

# The data, as a suggestion:
# The hub keeps a copy of each data set in Parquet at this revision; a large split has more files (0001.parquet, …).
# [sources.t]
# hub = "o/d"
# revision = "refs/convert/parquet"
# files = ["default/test/0000.parquet"]

# [stages.t]
# kind = "import"
# source = "t"
# file = "default/test/0000.parquet"
# task = "t"

[tasks.t]
output_type = "generate_until"
doc_to_text = "{{q}}"
doc_to_target = "{{answer}}"
generation_kwargs = { until = ["\n\n"], do_sample = false, temperature = 0.0, max_gen_toks = 256 }
filter_list = [
  { name = "none", filter = [{ function = "take_first" }] },
]
metric_list = [
  { metric = "exact_match" },
]
# with num_fewshot: fewshot_split = "t.data"
"##
    );
    assert!(imported.left_out.is_empty() && imported.tasks == ["t"]);
}

#[test]
fn includes_are_taken_in_from_where_they_stand() {
    let imported = import_files(&[
        (
            "a/b/t.yaml",
            "include: [../base.yaml, more_yaml]\ntask: t\ndoc_to_text: \"{{x}}\"\n",
        ),
        (
            "a/base.yaml",
            "include: deep/base.yaml\ndataset_path: o/d\ndoc_to_text: lost\nrepeats: 3\n",
        ),
        ("a/deep/base.yaml", "test_split: test\ndoc_to_target: lost\nrepeats: 2\n"),
        ("a/b/more_yaml", "doc_to_target: \"{{y}}\"\n"),
    ]);
    let task = table(&imported.unwrap(), "t");
    assert_eq!(
        (task["doc_to_text"].as_str(), task["doc_to_target"].as_str()),
        (Some("{{x}}"), Some("{{y}}"))
    );
    assert_eq!(task["repeats"].as_integer(), Some(3));
    let circle = import_files(&[("a.yaml", "task: t\n\ninclude: b.yaml\n"), ("b.yaml", "include: a.yaml\n")]);
    let message = circle.unwrap_err().to_string();
    assert!(
        message.ends_with("b.yaml:1: `include` of `a.yaml`: this file is being read already: files include one another in a circle"),
        "{message}"
    );
    let missing = import_files(&[("a.yaml", "task: t\n\ninclude: b.yaml\n")]).unwrap_err().to_string();
    assert!(
        missing.contains("a.yaml:3: `include` of `b.yaml`: ") && missing.contains("No such file"),
        "{missing}"
    );
}

#[test]
fn what_is_python_is_named_with_its_place() {
    let text = format!("{TASK}process_docs: !function utils.clean\nmetric_list:\n  - metric: !function utils.score\n");
    let python = import_one(&text).refused;
    let remarks: Vec<String> = python[0].1.iter().map(ToString::to_string).collect();
    assert!(remarks[0].ends_with("a.yaml:6: `process_docs` is Python (`utils.clean`): it changes the records before anything is asked"));
    assert!(remarks[1].ends_with("a.yaml:8: a metric is Python (`utils.score`)"), "{remarks:?}");
    for (more, reason) in [
        (
            "class: !function task.Squad",
            "`class` is Python (`task.Squad`): the whole task is a class",
        ),
        (
            "use_prompt: promptsource:a",
            "`use_prompt`: its prompts are in the Python package `promptsource`",
        ),
        (
            "unsafe_code: true",
            "`unsafe_code`: answers are run as programs. Judge them with a `program` of your own",
        ),
        ("doc_to_image: [image]", "`doc_to_image`: models here read text alone"),
        (
            "output_type: multiple_choice",
            "`multiple_choice` needs `doc_to_choice`, which the file does not have",
        ),
        (
            "doc_to_choice: [no, yes]",
            "a choice must be a text, and this is true or false: YAML reads `no` and `yes` without quotes so",
        ),
        (
            "metric_list: [{metric: bleu}]",
            "the metric `bleu` is not known here for `generate_until`",
        ),
        (
            "filter_list: [{name: x, filter: [{function: custom, filter_fn: !function a.b}]}]",
            "the filter `x` is Python (`a.b`)",
        ),
        (
            "num_fewshot: 2\nfewshot_config: {samples: !function a.b}",
            "`fewshot_config.samples` is Python (`a.b`): it makes the examples",
        ),
        (
            "gen_prefix: \"{{ a b }}\"",
            "`gen_prefix` cannot be read: Jinja, line 1: syntax error: unexpected identifier, expected end of variable block",
        ),
    ] {
        assert!(
            refused(&format!("{TASK}{more}\n")).contains(&reason.to_owned()),
            "{more}: {:?}",
            refused(&format!("{TASK}{more}\n"))
        );
    }
    // Without examples, and beside others that are known, they are left out.
    let text = format!(
        "{TASK}fewshot_config: {{samples: !function a.b}}\nmetric_list: [{{metric: exact_match}}, {{metric: bleu}}]\n\
         filter_list: [{{name: x, filter: [{{function: custom}}]}}, {{name: y, filter: [{{function: take_first}}]}}]\n"
    );
    let imported = import_one(&text);
    assert_eq!(imported.left_out[0].1.len(), 3, "{imported:?}");
    assert_eq!(table(&imported, "t")["filter_list"].as_array().unwrap().len(), 1);
}

#[test]
fn our_own_language_is_taken_where_it_says_the_same() {
    let choice = "output_type: multiple_choice\n";
    for (more, is_ours) in [
        ("", true),
        ("doc_to_choice: [a, b]\n", true),
        ("doc_to_choice: '[\"a\", \"b\"]'\n", true),
        ("doc_to_choice: choices\n", true),
        ("doc_to_choice: '{{choices}}'\n", true),
        ("doc_to_choice: '{{[a, b]}}'\n", false),
        ("doc_to_choice: '{{choices}}'\ndoc_to_target: '{{n}}'\n", false),
        ("doc_to_choice: ['1', '2']\ndoc_to_target: '{{n}}'\n", false),
        ("doc_to_choice: ['a', 'b']\ndoc_to_target: '{{n}}'\n", true),
        ("doc_to_choice: ['{{a}}', 'b']\n", false),
        ("description: \"About {{subject}}.\\n\"\n", true),
        ("description: subject\n", false),
        ("doc_to_text: '{{q.strip()}}'\n", false),
        ("doc_to_text: Answer it.\n", false),
    ] {
        let kind = if more.contains("doc_to_choice") { choice } else { "" };
        let task = table(&import_one(&format!("{TASK}{kind}{more}")), "t");
        assert_eq!(task.get("template").is_none(), is_ours, "{more}");
        let target = if is_ours && !more.contains("doc_to_target") {
            "{{answer}}"
        } else {
            "answer"
        };
        if !more.contains("doc_to_target") {
            assert_eq!(task["doc_to_target"].as_str(), Some(target), "{more}");
        }
    }
    // Choices in a text are filled in, those in a list are not.
    let list = |choices: &str| table(&import_one(&format!("{TASK}{choice}doc_to_choice: {choices}\n")), "t")["doc_to_choice"].clone();
    assert_eq!(list("\"['{{a}}', 'b']\"").as_str(), Some("['{{a}}', 'b']"));
    assert_eq!(list("['{{a}}', 'b']").as_array().map(Vec::len), Some(2));
    // Texts that an experiment would fill in are guarded.
    let task = table(
        &import_one(&format!("{TASK}description: 'a {{x}} {{{{q}}}} {{2}} {{k - 1}}'\n")),
        "t",
    );
    assert_eq!(task["description"].as_str(), Some("a {{ '{' }}x} {{q}} {2} {{ '{' }}k - 1}"));
    assert_eq!(task["template"].as_str(), Some("jinja"));
}

#[test]
fn generation_is_as_the_harness_normalises_it() {
    // `lm_eval.models.utils.normalize_gen_kwargs` after `TaskConfig`.
    for (given, expected) in [
        (
            "",
            r#"{ until = ["\n\n"], do_sample = false, temperature = 0.0, max_gen_toks = 256 }"#,
        ),
        (
            "until: a",
            r#"{ until = ["a"], do_sample = false, temperature = 0.0, max_gen_toks = 256 }"#,
        ),
        (
            "temperature: 0.5, top_p: 0.9",
            r#"{ until = ["\n\n"], do_sample = true, temperature = 0.5, top_p = 0.9, max_gen_toks = 256 }"#,
        ),
        (
            "do_sample: false, temperature: 0.7",
            r#"{ until = ["\n\n"], do_sample = false, temperature = 0.0, max_gen_toks = 256 }"#,
        ),
        (
            "do_sample: true, max_new_tokens: 9",
            r#"{ until = ["\n\n"], do_sample = true, temperature = 1.0, max_gen_toks = 9 }"#,
        ),
        (
            "max_tokens: 5, max_gen_toks: 4, until: []",
            r"{ until = [], do_sample = false, temperature = 0.0, max_gen_toks = 4 }",
        ),
    ] {
        let imported = import_one(&format!("{TASK}generation_kwargs: {{{given}}}\n"));
        assert!(
            imported.toml.contains(&format!("generation_kwargs = {expected}\n")),
            "{given}: {}",
            imported.toml
        );
    }
    assert_eq!(
        import_one(&format!("{TASK}generation_kwargs: {{num_beams: 4}}\n")).left_out.len(),
        1
    );
}

/// Expected values: `yaml.load(text, yaml.CSafeLoader)` of PyYAML 6.0.4.
#[test]
fn texts_without_quotes_are_those_of_yaml_1_1() {
    let read = |text: &str| scalar::plain(text);
    for (text, number) in [
        ("12", 12),
        ("-7", -7),
        ("+1_000", 1000),
        ("0b11", 3),
        ("010", 8),
        ("0x1F", 31),
        ("1:30", 90),
        ("0", 0),
    ] {
        assert_eq!(read(text), scalar::Scalar::Whole(number), "{text}");
    }
    for (text, digits) in [
        ("1.5", "1.5"),
        ("1.", "1.0"),
        (".5", "0.5"),
        ("1.0e+3", "1000.0"),
        ("-.inf", "-inf"),
        (".nan", "nan"),
        ("1_0.5", "10.5"),
    ] {
        assert_eq!(read(text), scalar::Scalar::Float(digits.to_owned()), "{text}");
    }
    for text in [
        "1e5", "1.0e5", "08", "1.2.3", "y", "n", "0o7", "1:99", "a", "yEs", "+.nan", "1,000", "0x", "_1",
    ] {
        assert_eq!(read(text), scalar::Scalar::Text(text.to_owned()), "{text}");
    }
    for (text, value) in [("yes", true), ("No", false), ("on", true), ("OFF", false), ("True", true)] {
        assert_eq!(read(text), scalar::Scalar::Bool(value), "{text}");
    }
    assert!(["", "~", "null", "NULL"].into_iter().all(|text| read(text) == scalar::Scalar::Null));
}

#[test]
fn anchors_merge_and_what_is_too_large_is_refused() {
    let text = format!("{TASK}x: &x {{until: [a], temperature: 0.0}}\ngeneration_kwargs:\n  <<: *x\n  until: [b]\n");
    let imported = import_one(&text);
    assert!(imported.toml.contains(r#"until = ["b"]"#), "{}", imported.toml);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", "));
    }
    let message = import_files(&[("a.yaml", &bomb)]).unwrap_err().to_string();
    assert!(message.contains("more than 200000 values"), "{message}");
    for (text, problem) in [
        ("", "the file is empty"),
        ("a: [", "a.yaml:"),
        ("task: t\n---\ntask: u\n", "a second document begins here"),
        ("task: !other x\n", "a.yaml:1: the tag `!other` is not known"),
        ("a: &a [*a]\n", "an alias stands within the value that it names"),
        ("- a\n", "no task file"),
        ("doc_to_text: a\n", "no task file"),
    ] {
        let message = import_files(&[("a.yaml", text)]).unwrap_err().to_string();
        assert!(message.contains(problem), "{text}: {message}");
    }
    let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    assert!(
        import_files(&[("a.yaml", &deep)])
            .unwrap_err()
            .to_string()
            .contains("more than 64 deep")
    );
    let very_deep = "[".repeat(100_000);
    assert!(import_files(&[("a.yaml", &very_deep)]).is_err());
}

#[test]
fn a_group_brings_its_tasks() {
    let imported = import_files(&[
        ("g.yaml", "group: g\ntask:\n  - t\n  - task: u\n    num_fewshot: 0\n    repeats: 4\n  - tagged\n  - lost\n  - {task: own, dataset_path: o/d, doc_to_text: '', doc_to_target: a}\n"),
        ("sub/t.yaml", TASK),
        ("sub/u.yaml", "include: t.yaml\ntask: u\n"),
        ("v.yaml", "include: sub/t.yaml\ntask: v\ntag: [tagged]\n"),
    ])
    .unwrap();
    assert_eq!(imported.tasks, ["t", "u", "v", "g-own"]);
    let tables: ::toml::Table = imported.toml.parse().unwrap();
    assert_eq!(tables["tasks"]["u"]["repeats"].as_integer(), Some(4));
    assert!(tables["tasks"]["t"].get("repeats").is_none());
    assert_eq!(imported.refused[0].0, "lost");
}

#[test]
fn an_eval_yaml_of_a_data_set() {
    let imported = import_one(
        "tasks:\n  - id: main\n    config: main\n    split: test\n    epochs: 4\n    field_spec: {input: question, target: answer}\n    \
         solvers: [{name: prompt_template, args: {template: 'Solve: {prompt}'}}, {name: generate}]\n    \
         scorers: [{name: answer, args: {pattern: line}}]\n  - id: choice\n    field_spec: {input: q, target: a, choices: c}\n    \
         solvers: [{name: multiple_choice}]\n    scorers: [{name: choice}]\n  - id: judged\n    field_spec: {input: q, target: a}\n    \
         solvers: [{name: generate}]\n    scorers: [{name: model_graded_qa}]\n",
    );
    let tables: ::toml::Table = imported.toml.parse().unwrap();
    let main = &tables["tasks"]["main"];
    assert_eq!(
        (main["doc_to_text"].as_str(), main["repeats"].as_integer()),
        (Some("Solve: {{question}}"), Some(4))
    );
    assert!(main.get("template").is_none());
    let choice = &tables["tasks"]["choice"];
    let record = [
        ("q".to_owned(), ExactValue::from("Which?")),
        ("a".to_owned(), ExactValue::from(1)),
        ("c".to_owned(), ExactValue::List(vec!["x".into(), "y".into()])),
    ];
    let fields: TemplateFields<'_> = record.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let render = |field: &str| {
        TaskTemplate::parse(choice[field].as_str().unwrap(), TemplateLanguage::Jinja)
            .unwrap()
            .render(&fields)
            .unwrap()
    };
    // `inspect_ai.solver._multiple_choice.prompt` of inspect_ai 0.3.
    let expected = "Answer the following multiple choice question. The entire content of your response should be of the following format: \
                    'ANSWER: $LETTER' (without quotes) where LETTER is one of A,B.\n\nWhich?\n\nA) x\nB) y";
    assert_eq!((render("doc_to_text").as_str(), render("doc_to_target").as_str()), (expected, "B"));
    assert_eq!(imported.refused[0].0, "judged");
}

/// What lm-evaluation-harness 0.4.13 makes of made records with its own task files; `tests/reference/harness_tasks.py` wrote it.
const HARNESS: &str = include_str!("../../../tests/reference/harness_tasks.json");

/// The texts of one imported task.
struct Imported {
    description: String,
    question: TaskTemplate,
    target: TaskTemplate,
    choices: Option<ChoiceTemplates>,
    target_delimiter: String,
    fewshot_delimiter: String,
}

impl Imported {
    fn of(task: &::toml::Table) -> Self {
        let language = match task.get("template").and_then(|template| template.as_str()) {
            Some("jinja") => TemplateLanguage::Jinja,
            _ => TemplateLanguage::Fields,
        };
        let text = |field: &str, usual: &str| task.get(field).map_or(usual, |text| text.as_str().unwrap()).to_owned();
        let template = |text: &str| TaskTemplate::parse(text, language).unwrap();
        let choices = task.get("doc_to_choice").map(|choices| match choices.as_array() {
            Some(items) => {
                let items: Vec<String> = items.iter().map(|item| item.as_str().unwrap().to_owned()).collect();
                ChoiceTemplates::list(&items, language).unwrap()
            }
            None => ChoiceTemplates::One(Box::new(template(choices.as_str().unwrap()))),
        });
        Self {
            description: text("description", ""),
            question: template(&text("doc_to_text", "")),
            target: template(&text("doc_to_target", "")),
            choices,
            target_delimiter: text("target_delimiter", " "),
            fewshot_delimiter: text("fewshot_delimiter", "\n\n"),
        }
    }

    fn question(&self, fields: &TemplateFields<'_>) -> String {
        match self.question.question(fields, self.choices.is_some()).unwrap() {
            Rendered::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    fn choices(&self, fields: &TemplateFields<'_>) -> Option<Vec<String>> {
        self.choices.as_ref().map(|choices| choices.render(fields).unwrap())
    }

    /// The right answer as an example shows it.
    fn answer(&self, fields: &TemplateFields<'_>) -> String {
        if let Some(choices) = self.choices(fields) {
            let Gold::One(place) = self.target.gold(fields, &choices).unwrap() else {
                panic!("no right choice")
            };
            return choices[place].clone();
        }
        match self.target.target(fields, false).unwrap() {
            Rendered::Text(text) => text,
            Rendered::Many(items) => match &items[0] {
                Rendered::Text(text) => text.clone(),
                other => panic!("{other:?}"),
            },
            Rendered::Number(number) => panic!("{number}"),
        }
    }

    fn context(&self, example: &TemplateFields<'_>, asked: &TemplateFields<'_>) -> String {
        let (question, answer) = (self.question(example), self.answer(example));
        let (before, after) = (&self.target_delimiter, &self.fewshot_delimiter);
        format!("{}{question}{before}{answer}{after}{}", self.description, self.question(asked))
    }
}

/// The place of the right choice, or the right answers, as the harness gave them.
fn expected_target(target: &Value, choices: Option<&Vec<String>>) -> Value {
    match (target, choices) {
        (Value::String(text), Some(choices)) => choices.iter().position(|choice| choice == text).into(),
        (other, _) => other.clone(),
    }
}

#[test]
fn tasks_of_the_harness_ask_what_they_ask_there() {
    let tasks: Vec<Value> = serde_json::from_str(HARNESS).unwrap();
    assert!(tasks.len() >= 10);
    for task in &tasks {
        let (file, files) = (task["file"].as_str().unwrap(), task["files"].as_object().unwrap());
        let mut given = vec![(file, files[file].as_str().unwrap())];
        given.extend(files.iter().map(|(name, text)| (name.as_str(), text.as_str().unwrap())));
        let imported = import_files(&given).unwrap();
        let name = imported.tasks.first().unwrap_or_else(|| panic!("{file}: {:?}", imported.refused));
        let table = table(&imported, name);
        let texts = Imported::of(&table);
        let records = task["records"].as_array().unwrap().iter().map(|record| {
            let ExactValue::Object(fields) = serde_json::from_str(&record.to_string()).unwrap() else {
                panic!("{record}")
            };
            fields.into_iter().collect()
        });
        let records: Vec<Vec<(String, ExactValue)>> = records.collect();
        let fields = |place: usize| -> TemplateFields<'_> { records[place].iter().map(|(name, value)| (name.as_str(), value)).collect() };
        for (place, row) in task["rows"].as_array().unwrap().iter().enumerate() {
            let (asked, example) = (fields(place), fields(1 - place));
            assert_eq!(texts.question(&asked), row["question"].as_str().unwrap(), "{file}");
            let choices = texts.choices(&asked);
            assert_eq!(serde_json::json!(choices), row["choices"], "{file}");
            assert_eq!(texts.context(&example, &asked), row["context"].as_str().unwrap(), "{file}");
            let target: Value = match &choices {
                Some(choices) => match texts.target.gold(&asked, choices).unwrap() {
                    Gold::One(place) => place.into(),
                    other => panic!("{file}: {other:?}"),
                },
                None => match texts.target.target(&asked, false).unwrap() {
                    Rendered::Many(items) => items
                        .iter()
                        .map(|item| match item {
                            Rendered::Text(text) => Value::from(text.as_str()),
                            other => panic!("{file}: {other:?}"),
                        })
                        .collect(),
                    Rendered::Text(text) => text.into(),
                    other => panic!("{file}: {other:?}"),
                },
            };
            assert_eq!(target, expected_target(&row["target"], choices.as_ref()), "{file}");
        }
        let metrics: Vec<&str> = table["metric_list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|metric| metric["metric"].as_str().unwrap())
            .collect();
        let mut known: Vec<&str> = task["metrics"].as_object().unwrap().keys().map(String::as_str).collect();
        known.sort_by_key(|metric| metrics.iter().position(|other| other == metric));
        assert_eq!(metrics, known, "{file}");
        if let Some(kwargs) = task["generation_kwargs"].as_object() {
            let written = serde_json::to_value(&table["generation_kwargs"]).unwrap();
            for (name, value) in kwargs {
                assert_eq!(&written[name], value, "{file}");
            }
        }
    }
}
