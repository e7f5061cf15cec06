//! Bad experiment files, whole messages; and the layers.

use std::num::NonZeroUsize;
use std::path::Path;

use lab::config::{self, LoadOptions};
use lab::stage::Kind;
use runner::cli::config as config_command;
use runner::cli::schema::schema;

use super::lab::Lab;
use crate::table::{build, draw, kinds, options, write};

/// Every file of `tests/bad` is refused, with the message beside it in `tests/it/snapshots`. The first line may name profiles and
/// values to set: `# --profile smoke --set seed=x`.
#[test]
fn bad_files_are_refused_with_a_message_that_helps() {
    let mut files: Vec<_> = std::fs::read_dir("tests/bad").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    assert!(files.len() >= 20, "{} files", files.len());
    for file in files {
        let mut options = options(&file);
        let text = std::fs::read_to_string(&file).unwrap();
        let first = text.lines().next().unwrap_or_default().trim_start_matches('#');
        let words: Vec<&str> = first.split_whitespace().collect();
        for pair in words.windows(2) {
            match pair[0] {
                "--profile" => options.profiles.push(pair[1].to_owned()),
                "--set" => options.set.push(pair[1].to_owned()),
                _ => {}
            }
        }
        let rejected = build(&options).err().unwrap_or_else(|| panic!("{} is accepted", file.display()));
        assert!(
            rejected
                .diagnostics
                .iter()
                .all(|problem| problem.at.is_some() || problem.help.is_some())
        );
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("bad-{}", file.file_stem().unwrap().to_str().unwrap()), draw(&rejected));
        });
    }
}

/// A folder with these files, by path.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

const EVERY_LAYER: [(&str, &str); 5] = [
    ("home/config.toml", "[settings]\njobs = 1\nthreads = 1\nstore = \"user\"\n"),
    ("runner.toml", "[settings]\nthreads = 2\nstore = \"cache\"\n"),
    (
        "experiments/base.toml",
        r#"
name = "base"
[params]
a = "base"
b = "base"
c = "base"
d = "base"
e = "base"
f = "base"
[stages.problems]
kind = "generate"
task = "base"
[profile.small.params]
c = "small in base"
d = "small in base"
"#,
    ),
    (
        "experiments/x.toml",
        r#"
extends = "base.toml"
[params]
b = "x"
c = "x"
d = "x"
e = "x"
[profile.small.params]
d = "small"
[profile.large]
params.e = "large"
stages.problems.train = 10
[stages.last]
kind = "train"
data = "problems.train"
"#,
    ),
    ("experiments/user.toml", "extends = [\"x.toml\", \"base.toml\"]\n"),
];

fn every_layer(folder: &Path) -> LoadOptions {
    let owned = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    LoadOptions {
        file: folder.join("experiments/x.toml"),
        profiles: vec!["small".to_owned(), "large".to_owned()],
        set: vec!["f=set".to_owned(), "stages.problems.task = \"set\"".to_owned()],
        settings: owned(&[("device", "cuda:0")]),
        environment: owned(&[("RUNNER_PARAMS__E", "environment"), ("RUNNER_JOBS", "4"), ("RUNNER_TEMP", "1")]),
        user_file: Some(folder.join("home/config.toml")),
    }
}

#[test]
fn later_layers_win() {
    let folder = folder(&EVERY_LAYER);
    let experiment = config::load(&every_layer(folder.path())).unwrap();
    assert_eq!(experiment.name, "x", "a name is not taken over");
    let value = |name: &str| experiment.variants[0].scope.get(name).unwrap().plain_text();
    let values: Vec<String> = ["a", "b", "c", "d", "e", "f"].iter().map(|name| value(name)).collect();
    assert_eq!(values, ["base", "x", "small in base", "small", "environment", "set"]);
    let settings = &experiment.settings;
    assert_eq!((settings.jobs, settings.threads), (NonZeroUsize::new(4), NonZeroUsize::new(2)));
    assert_eq!(settings.device.as_deref(), Some("cuda:0"));
    assert_eq!(
        settings.store.as_deref(),
        Some(&*folder.path().join("cache")),
        "from the project file's folder"
    );
    let stages: Vec<&str> = experiment.variants[0].stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(stages, ["problems", "last"], "in the order in which the files name them");
}

/// A param with cases takes the value of the variant's; a layer above adds a case, or replaces them all by one value.
#[test]
fn params_have_cases() {
    let folder = folder(&[
        (
            "base.toml",
            r#"
[params]
steps = { by = "task", else = 100 }
rate = { by = "steps", 300 = "{slow}", else = 0.1 }
slow = 0.01

[profile.smoke.params]
steps = 5

[stages."problems"]
kind = "generate"
task = "{task}"
"#,
        ),
        (
            "x.toml",
            "extends = \"base.toml\"\nparams.steps.algebra = 300\nmatrix.task = [\"addition\", \"algebra\"]\n",
        ),
    ]);
    let read = |change: &dyn Fn(&mut LoadOptions)| {
        let mut options = options(&folder.path().join("x.toml"));
        change(&mut options);
        let experiment = config::load(&options).unwrap();
        let text = |scope: &config::Scope| ["steps", "rate"].map(|name| scope.get(name).unwrap().plain_text()).join(" ");
        experiment.variants.iter().map(|variant| text(&variant.scope)).collect::<Vec<_>>()
    };
    assert_eq!(read(&|_| {}), ["100 0.1", "300 0.01"]);
    assert_eq!(read(&|options| options.profiles.push("smoke".to_owned())), ["5 0.1", "5 0.1"]);
    assert_eq!(read(&|options| options.set.push("steps=300".to_owned())), ["300 0.01", "300 0.01"]);
    assert_eq!(
        read(&|options| options.set.push("params.steps.else=7".to_owned())),
        ["7 0.1", "300 0.01"]
    );
    validate_with(&folder.path().join("base.toml"), kinds::kinds()).unwrap();
}

/// A stage takes the fields that it leaves out from the defaults of its kind, with its own index in their templates.
#[test]
fn kinds_have_defaults() {
    let (_folder, file) = write(
        r#"
[defaults.train]
data = "problems.train"
steps = "{k}"
learning_rate = 0.5

[stages.problems]
kind = "generate"
task = "addition"

[stages."model[k]"]
for.k = [3, 5]
kind = "train"

[stages.other]
kind = "train"
steps = 7
"#,
    );
    let (_, dag) = build(&options(&file)).unwrap();
    let mut read: Vec<_> = dag.graph.node_weights().filter(|node| node.name.name != "problems").collect();
    read.sort_by(|a, b| a.name.name.cmp(&b.name.name));
    let steps = |node: &&lab::plan::Node| format!("{} {} {}", node.name.name, node.canonical["steps"], node.canonical["learning_rate"]);
    assert_eq!(
        read.iter().map(steps).collect::<Vec<_>>(),
        ["model[3] 3 0.5", "model[5] 5 0.5", "other 7 0.5"]
    );
    validate_with(&file, kinds()).unwrap();
    let options = LoadOptions {
        set: vec!["defaults.train.learning_rate=9.0".to_owned()],
        ..options(&file)
    };
    let (_, dag) = build(&options).unwrap();
    assert!(dag.graph.node_weights().any(|node| node.canonical["learning_rate"] == 9.0));
}

#[test]
fn a_file_extended_twice_counts_once() {
    let folder = folder(&EVERY_LAYER);
    let experiment = config::load(&options(&folder.path().join("experiments/user.toml"))).unwrap();
    assert_eq!(experiment.name, "user");
    assert_eq!(experiment.variants[0].scope.get("b"), Some(&"x".into()));
}

#[test]
fn settings_files_hold_settings_alone() {
    let folder = folder(&[
        ("runner.toml", "[params]\na = 1\n"),
        ("x.toml", "[stages.problems]\nkind = \"generate\"\ntask = \"addition\"\n"),
    ]);
    let rejected = build(&options(&folder.path().join("x.toml"))).err().unwrap();
    assert_eq!(
        rejected.diagnostics[0].message,
        "no key `params` in a user or project file (known: settings)"
    );
}

/// Runs `runner config` on every layer, with the folder's name taken out, and with it the room that its length takes.
fn printed(json: bool) -> String {
    let folder = folder(&EVERY_LAYER);
    let given = every_layer(folder.path());
    let document = config::layer(&given).unwrap();
    let mut out = Vec::new();
    let rejected = config_command::print(&document, &given.file, json, kinds(), &mut out).unwrap();
    assert!(rejected.is_ok());
    let out = String::from_utf8(out).unwrap().replace(folder.path().to_str().unwrap(), "");
    let narrow = |line: &str| match line.split_once("  #") {
        Some((value, origin)) if !json => format!("{}  #{origin}\n", value.trim_end()),
        _ => format!("{line}\n"),
    };
    out.lines().map(narrow).collect()
}

#[test]
fn effective_values_are_printed_with_their_origins() {
    insta::assert_snapshot!(printed(false));
    let json: serde_json::Value = serde_json::from_str(&printed(true)).unwrap();
    let values = json["values"].as_array().unwrap();
    let train = values
        .iter()
        .find(|value| value["key"] == serde_json::json!(["stages", "problems", "train"]))
        .unwrap();
    assert_eq!(
        train.to_string(),
        r#"{"key":["stages","problems","train"],"origin":"/experiments/x.toml:12","value":10}"#
    );
}

#[test]
fn what_is_printed_is_an_experiment_again() {
    let (_folder, file) = write(&printed(false));
    let (experiment, dag) = build(&options(&file)).unwrap();
    assert_eq!(experiment.settings.jobs, NonZeroUsize::new(4));
    assert_eq!(dag.graph.node_count(), 2);
}

/// What a validator says of a file under the schema of the kinds in `table.rs`.
fn validate(file: &Path) -> Result<(), String> {
    validate_with(file, kinds())
}

fn validate_with(file: &Path, kinds: &[&'static Kind]) -> Result<(), String> {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("schema.json", schema(kinds)).unwrap();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let value: serde_json::Value = toml::from_str(&text).unwrap();
    schemas.validate(&value, index).map_err(|error| error.to_string())
}

#[test]
fn the_schema_takes_good_files() {
    validate(Path::new("tests/it/experiments/addition.toml")).unwrap();
    let folder = folder(&EVERY_LAYER);
    for file in ["base.toml", "x.toml", "user.toml"] {
        validate(&folder.path().join("experiments").join(file)).unwrap();
    }
}

#[test]
fn the_schema_refuses_what_it_can_see() {
    for file in [
        "unknown-key",
        "unknown-kind",
        "unknown-field",
        "type-error",
        "bad-matrix",
        "bad-range",
        "list-of-references",
        "several-errors",
    ] {
        assert!(validate(Path::new(&format!("tests/bad/{file}.toml"))).is_err(), "{file}");
    }
}

#[test]
fn the_schema_of_a_kind_says_what_its_fields_are() {
    let schema = schema(kinds());
    insta::assert_snapshot!(serde_json::to_string_pretty(&schema["$defs"]["train"]).unwrap());
}

/// Every shipped experiment fits the schema of the real kinds, and can be planned with each of its profiles.
#[test]
fn shipped_experiments_are_right() {
    for entry in std::fs::read_dir("experiments").unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|end| end != "toml") {
            continue;
        }
        let kinds = kinds::kinds();
        validate_with(&file, kinds).unwrap();
        let text: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        let profiles = text.get("profile").and_then(toml::Value::as_table).into_iter().flatten();
        for profiles in profiles.map(|(name, _)| vec![name.clone()]).chain([Vec::new()]) {
            let experiment = config::load(&LoadOptions {
                profiles,
                ..options(&file)
            })
            .unwrap();
            assert!(lab::plan::build(&experiment, kinds).unwrap().graph.node_count() > 0);
        }
    }
}

#[test]
fn the_program_ends_with_2_and_says_how_many_errors_there_are() {
    let mut program = assert_cmd::Command::cargo_bin("runner").unwrap();
    let result = program.args(["config", "tests/bad/unknown-kind.toml"]).assert().code(2);
    let error = String::from_utf8(result.get_output().stderr.clone()).unwrap();
    assert!(
        error.contains("no kind `trian`") && error.ends_with("1 error in tests/bad/unknown-kind.toml\n"),
        "{error}"
    );
}

#[test]
fn the_program_prints_the_schema_of_its_kinds() {
    let mut program = assert_cmd::Command::cargo_bin("runner").unwrap();
    let result = program.arg("schema").assert().success();
    let printed: serde_json::Value = serde_json::from_slice(&result.get_output().stdout).unwrap();
    assert_eq!(printed, schema(kinds::kinds()));
}

#[test]
fn what_nothing_uses_is_probably_a_slip() {
    let lab = Lab::new(
        "extends = 'parts.toml'\n\
         [params]\niteration = 5\nfew = 3\nby_task = { by = 'which', x = 1, else = 2 }\nmore = '{by_task}'\n\
         [matrix]\nseed = [1, 2]\nwhich = ['x', 'y']\nstarts = ['cold', 'warm']\n\
         [stages.p]\nkind = 'generate'\ntask = 'addition'\ntrain = '{few}'\n",
    );
    lab.write(
        "parts.toml",
        "[params]\nelsewhere = 1\niterations = 3\n[stages.q]\nkind = 'generate'\ntask = 'addition'\ntrain = '{iterations}'\n",
    );
    let said = String::from_utf8(lab.output("plan x.toml").stderr).unwrap();
    insta::assert_snapshot!(said, @r"
    warning: nothing uses the param `iteration` (x.toml:3); did you mean `iterations`?
    warning: nothing uses the param `more` (x.toml:6)
    warning: nothing uses the axis `starts` (x.toml:10)
    ");
}
