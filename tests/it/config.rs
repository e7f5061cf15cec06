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

/// A stage whose params are handed on as they are.
const HANDED_ON: &str = "[stages.a]\nkind = 'command'\nrun = ['true']\noutputs = { x = 'file' }\nparams = { lr = '{lr}', n = '{n}', flag = '{flag}', \
                         name = '{name}', version = '{version}' }\n";

/// What the program says of an experiment with these arguments and variables, without the drawing: the messages, and the help.
fn said(lab: &Lab, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = lab.command("plan x.toml --json");
    let output = command.args(arguments).envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let starts = ["  × ", "  ╰", "   ·", "  help:", "warning:"];
    let lines = text
        .lines()
        .filter(|line| starts.iter().any(|start| line.starts_with(start)) || line.contains("─["));
    let lines: Vec<&str> = lines
        .filter(|line| line.contains(|c: char| c.is_alphabetic()))
        .map(str::trim)
        .collect();
    format!("{} {}", output.status.code().unwrap_or(-1), lines.join("\n"))
}

#[test]
fn numbers_that_json_cannot_hold_are_refused_with_their_place() {
    for (number, message) in [
        ("inf", "`inf` is no value: no params, and no JSON, can hold it"),
        ("-inf", "`-inf` is no value: no params, and no JSON, can hold it"),
        ("nan", "`nan` is no value: no params, and no JSON, can hold it"),
        ("1e999", "this number is beyond 64 bits"),
        ("-1e400", "this number is beyond 64 bits"),
        ("1e-400", "this number is too small for 64 bits"),
        ("9223372036854775808", "this number is beyond 64 bits"),
        ("0x8000000000000000", "this number is beyond 64 bits"),
    ] {
        for text in [
            format!("[params]\nx = {number}\n"),
            format!("[matrix]\nx = [1, {number}]\n"),
            format!("[stages.a]\nseed = {number}\n"),
            format!("[stages.a.params.deep]\nlist = [[{number}]]\n"),
            format!("[profile.p.params]\nx = {number}\n"),
        ] {
            let (_folder, file) = write(&text);
            let rejected = build(&options(&file)).err().unwrap().diagnostics;
            assert_eq!(rejected[0].message, message, "{text}");
            assert_eq!(rejected[0].at.as_ref().unwrap().text(), number, "{text}");
        }
    }
}

#[test]
fn digits_are_kept_on_the_way_to_a_program() {
    let lab = Lab::new(
        "[params]\nn = 9007199254740993\nlr = 1e-5\n[stages.a]\nkind = 'command'\nrun = ['sh', '-c', 'cp $RUNNER_PARAMS $RUNNER_OUTPUT_X']\n\
         outputs = { x = 'file' }\nparams = { n = '{n}', least = -9223372036854775808, lr = '{lr}', one = 1.0, day = 2024-01-31 07:30:00, \
         list = [0x10, 1_000] }\n",
    );
    lab.summary("run x.toml", 0);
    let path = lab.stdout("get x.toml a", 0);
    let params = std::fs::read_to_string(lab.path().join(path.trim())).unwrap();
    let params: String = params.split_whitespace().collect();
    assert_eq!(
        params,
        r#"{"day":"2024-01-3107:30:00","least":-9223372036854775808,"list":[16,1000],"lr":0.00001,"n":9007199254740993,"one":1.0}"#
    );
}

#[test]
fn line_ends_and_a_byte_order_mark_change_nothing() {
    let text = "# a comment\n[params]\nname = '''\nA\n  B\n'''\n[stages.a]\nkind = 'command'\nrun = ['sh', '-c', \"\"\"\necho {name} \\\n  > \
                $RUNNER_OUTPUT_X\n\"\"\"]\noutputs = { x = 'file' }\n";
    let lab = Lab::new(text);
    let keys = |text: &str| {
        lab.write("x.toml", text);
        lab.plan("x.toml").values().map(|stage| stage["key"].clone()).collect::<Vec<_>>()
    };
    let first = keys(text);
    assert!(first[0].is_string());
    assert_eq!(keys(&text.replace('\n', "\r\n")), first);
    assert_eq!(keys(&format!("\u{feff}{text}")), first);
    assert_eq!(keys(&text.replacen('\n', "\r\n", 3)), first, "mixed");
    for wrong in [
        text.replace('\n', "\r"),
        text.replace('\n', "\r\r\n"),
        text.replace("A\n", "A\rB\n"),
    ] {
        lab.write("x.toml", &wrong);
        let said = said(&lab, &[], &[]);
        assert!(
            said.starts_with("2 × there is a carriage return here that no line feed follows"),
            "{said}"
        );
    }
    let escaped = text.replace("echo", "echo '\\r'");
    assert_ne!(keys(&escaped), first, "what is written as an escape is meant");
}

#[test]
fn a_word_in_the_place_of_a_number_is_refused_and_a_quoted_text_is_not() {
    let lab = Lab::new(&format!(
        "[params]\nlr = 0.1\nn = 1\nflag = true\nname = 'v'\nversion = '1.9'\n{HANDED_ON}"
    ));
    let set = |value: &str| said(&lab, &["--set", value], &[]).trim().to_owned();
    insta::assert_snapshot!([".5", "5.", "1,5", "high", "True", "1e999", ""].map(|value| set(&format!("lr={value}"))).join("\n"), @r#"
    2 × `.5` looks like a number, and is none in TOML
    ╭─[--set:1:4]
    ·     ╰── did you mean `0.5`?
    help: as a text, write `--set 'lr=".5"'`
    2 × `5.` looks like a number, and is none in TOML
    ╭─[--set:1:4]
    ·     ╰── did you mean `5.0`?
    help: as a text, write `--set 'lr="5."'`
    2 × `1,5` looks like a number, and is none in TOML
    ╭─[--set:1:4]
    ·     ╰── did you mean `1.5`?
    help: as a text, write `--set 'lr="1,5"'`
    2 × `lr` is a number in the experiment, 0.1 (x.toml:2), and `high` is not
    ╭─[--set:1:4]
    help: as a text, write `--set 'lr="high"'`
    2 × `True` looks like true or false, and is none in TOML
    ╭─[--set:1:4]
    ·      ╰── did you mean `true`?
    help: as a text, write `--set 'lr="True"'`
    2 × this number is beyond 64 bits
    ╭─[--set:1:4]
    help: as a text, write `--set 'lr="1e999"'`
    2 × `lr` is a number in the experiment, 0.1 (x.toml:2), and `` is not
    ╭─[--set:1:4]
    help: as a text, write `--set 'lr=""'`
    "#);
    insta::assert_snapshot!(["flag=yes", "flag=1", "n=1.0", "n=true", "name=3", "name=True", "version=1.10", "n=9223372036854775808"].map(set).join("\n"), @r#"
    2 × `flag` is true or false in the experiment, true (x.toml:4), and `yes` is not
    ╭─[--set:1:6]
    ·       ╰── did you mean `true`?
    help: as a text, write `--set 'flag="yes"'`
    0 warning: `flag` is true in the experiment (x.toml:4), and 1 is of another type (--set)
    0 warning: `n` is 1 in the experiment (x.toml:3), and 1.0 is of another type (--set)
    0 warning: `n` is 1 in the experiment (x.toml:3), and true is of another type (--set)
    0 warning: `name` is the text "v" in the experiment (x.toml:5), and 3 is of another type (--set)
    2 × `True` looks like true or false, and is none in TOML
    ╭─[--set:1:6]
    ·        ╰── did you mean `true`?
    help: as a text, write `--set 'name="True"'`
    2 × `version` is a text in the experiment, "1.9" (x.toml:6), and 1.1 is none
    ╭─[--set:1:9]
    help: as a text, write `--set 'version="1.10"'`
    2 × this number is beyond 64 bits
    ╭─[--set:1:3]
    help: as a text, write `--set 'n="9223372036854775808"'`
    "#);
    for fine in [
        "lr=0.5",
        "lr= 1e-4 ",
        "lr=1",
        "n=+5",
        "n=0x10",
        "n=1_000",
        "lr=\"high\"",
        "lr={n}",
        "name=w",
        "flag=false",
        "version=\"1.10\"",
    ] {
        assert_eq!(set(fine), "0", "{fine}");
    }
    insta::assert_snapshot!(said(&lab, &[], &[("RUNNER_PARAMS__LR", ".5"), ("RUNNER_JOBS", "four")]), @r#"
    2 × `.5` looks like a number, and is none in TOML
    ╭─[RUNNER_PARAMS__LR:1:1]
    ·  ╰── did you mean `0.5`?
    help: as a text, write `RUNNER_PARAMS__LR='".5"'`
    "#);
    insta::assert_snapshot!(said(&lab, &[], &[("RUNNER_PARAMS__LR", "0.5"), ("RUNNER_PARAMS__Lr", "0.6")]), @r"
    2 × `RUNNER_PARAMS__LR` and `RUNNER_PARAMS__Lr` give one value differently
    ╭─[RUNNER_PARAMS__Lr:1:1]
    ");
    let key = |value: &str| lab.command("plan x.toml --json").args(["--set", value]).output().unwrap().stdout;
    assert_eq!(key("lr= 1e-4 "), key("lr=0.0001"));
}

#[test]
fn what_fits_nothing_is_said() {
    let lab = Lab::new(
        "[params]\nsteps = { by = 'task', addition = 1, algebr = 2, else = 3 }\nrate = { by = 'mode', new = 1, cnot = 2, old = 3, else = 4 }\nmode = 'cont'\n\
         [matrix]\ntask = ['addition', 'algebra']\nseed = [1, 2]\n\
         exclude = [{ task = 'addition', seed = '1' }, { seed = 2, task = 'algebra' }, { task = 'algebra', seed = 2 }, { task = 'x' }]\n\
         include = [{ task = 'addition', seed = 1 }]\n\
         [defaults.train]\nsteps = 3\n\
         [stages.p]\nkind = 'generate'\ntask = 'addition'\ntrain = '{steps}'\n[stages.q]\nkind = 'generate'\ntask = 'addition'\ntrain = '{rate}'\n\
         [stages.r]\nkind = 'generate'\ntask = '{task}'\nseed = '{seed}'\n\
         [profile.small]\nparams.stepz = 1\nmatrix.sead = [1]\nstages.pp.train = 3\nstages.q.train = 3\nstages.new.kind = 'generate'\nstages.new.task = 'addition'\n",
    );
    insta::assert_snapshot!(said(&lab, &[], &[]), @r#"
    0 warning: profile `small` changes the stage `pp`, which there is not (x.toml:27); did you mean `p`?
    warning: profile `small` gives the param `stepz`, which nothing uses (x.toml:25); did you mean `steps`?
    warning: profile `small` gives the axis `sead`, which nothing uses (x.toml:26); did you mean `seed`?
    warning: `exclude` leaves nothing out: axis `seed` has no "1" (known: 1, 2) (x.toml:8)
    warning: `exclude` leaves nothing out: axis `task` has no "x" (known: "addition", "algebra") (x.toml:8)
    warning: an entry of `include` is a combination that the matrix has already (x.toml:9)
    warning: `steps` has a case for `task` = algebr, a value that `task` never has (known: addition, algebra) (x.toml:2); did you mean `algebra`?
    warning: `rate` has a case for `mode` = cnot, a value that `mode` never has (known: cont) (x.toml:3); did you mean `cont`?
    warning: `[defaults.train]` is for no stage: none is of this kind (known: generate) (x.toml:10)
    "#);
    // What the command line leaves out is not there by mistake.
    let without = said(&lab, &["--set", "matrix.task=[\"addition\"]"], &[]);
    assert!(
        !without.contains("\"algebra\"") && without.contains("axis `task` has no \"x\""),
        "{without}"
    );
    lab.write("x.toml", "[matrix]\nseed = [1]\nexclude = [{ seed = 1 }]\ninclude = [{ seed = '2' }, { seed = 2 }]\n[stages.p]\nkind = 'generate'\ntask = 'addition'\n");
    insta::assert_snapshot!(said(&lab, &[], &[]), @r#"
    2 × `seed` is 2 here and the text "2" elsewhere: variants are named by it
    ╭─[x.toml:4:37]
    "#);
    lab.write(
        "x.toml",
        "[matrix]\nx = [1, '1', true, 'true', 1.0]\n[stages.p]\nkind = 'generate'\ntask = 'addition'\ntrain = '{x}'\n",
    );
    insta::assert_snapshot!(said(&lab, &[], &[]), @r#"
    2 × axis `x` has 1 twice, as 1 and as the text "1": variants are named by it
    ╭─[x.toml:2:9]
    × axis `x` has true twice, as true and as the text "true": variants are named by it
    ╭─[x.toml:2:20]
    × `train` must be a whole number from 0, not the text "1"
    ╭─[x.toml:6:9]
    × `train` must be a whole number from 0, not true
    ╭─[x.toml:6:9]
    × `train` must be a whole number from 0, not the text "true"
    ╭─[x.toml:6:9]
    × `train` must be a whole number from 0, not 1.0
    ╭─[x.toml:6:9]
    "#);
}

#[test]
fn products_have_limits_that_are_said_before_memory_is_taken() {
    let lab = Lab::new("");
    let begun = std::time::Instant::now();
    let mut reports = Vec::new();
    let stage = |more: &str| format!("[stages.a]\nkind = 'command'\nrun = ['true']\noutputs = {{ x = 'file' }}\n{more}");
    let many = "for.k = '0..1000'\nkind = 'command'\nrun = ['true']\noutputs = { x = 'file' }\nparams = { k = '{k} {a} {b}' }\n";
    let axis = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
    let doubled = |last: &str, next: &dyn Fn(usize) -> String| {
        let params: String = (0..40).map(|level| format!("p{level} = {}\n", next(level + 1))).collect();
        format!("[params]\n{params}p40 = {last}\n{}", stage("params = { x = '{p0}' }\n"))
    };
    let numbers = |range: std::ops::Range<u32>| range.map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    let entries = |range: std::ops::Range<u32>| range.map(|number| format!("{{ a = {number} }}")).collect::<Vec<_>>().join(", ");
    let wide: String = (0..3_000).map(|axis| format!("a{axis} = [1]\n")).collect();
    let chain: String = (0..5_000).map(|level| format!("p{level} = '{{p{}}}'\n", level + 1)).collect();
    for text in [
        format!("[matrix]\na = {axis}\nb = {axis}\n[stages.\"s[k]\"]\n{many}"),
        format!("[matrix]\na = {axis}\nb = {axis}\nc = {axis}\nd = {axis}\ne = {axis}\n[stages.\"s[k]\"]\n{many}"),
        format!(
            "[matrix]\na = {axis}\nb = {axis}\n[stages.\"s[k]\"]\n{}",
            many.replace("0..1000", "0..{a}000").replace("{b}", "")
        ),
        format!(
            "[params]\na = 1\nb = 2\n[stages.\"s[k]\"]\n{}[stages.\"t[k]\"]\n{}",
            many.replace("1000", "30000"),
            many.replace("1000", "30_000").replace("'0..", "'0..=3").replace("30_000", "0000")
        ),
        format!(
            "[stages.\"s[k]\"]\n{}[stages.\"t[k]\"]\n{}inputs.all = 's[0..5000]'\n",
            many.replace("1000", "5000").replace("{k} {a} {b}", "{k}"),
            many.replace("1000", "5000").replace("{k} {a} {b}", "{k}")
        ),
        doubled("'x'", &|next| format!("'{{p{next}}}{{p{next}}}'")),
        doubled("['x']", &|next| format!("['{{p{next}}}', '{{p{next}}}']")),
        format!("[params]\n{chain}p5000 = 1\n{}", stage("params = { x = '{p0}' }\n")),
        stage(&format!("params.x = {}1{}\n", "[".repeat(90), "]".repeat(90))),
        stage(&format!("params.x = {}1{}\n", "[".repeat(20_000), "]".repeat(20_000))),
        stage(&format!("params.x = {}1{}\n", "{ a = ".repeat(20_000), " }".repeat(20_000))),
        stage(&format!("params.{} = 1\n", vec!["a"; 20_000].join("."))),
        format!("[{}]\nx = 1\n", vec!["params"; 20_000].join(".")),
        stage("").replace("stages.a", &format!("stages.{}", "a".repeat(10_000))),
        format!(
            "[params]\nlong = '{}'\na = 1\nb = 1\n[stages.\"s[k]\"]\n{}",
            "x".repeat(900_000),
            many.replace("{k}", "{k} {long}")
        ),
        format!(
            "[matrix]\ntext = ['{}']\nseed = [{}]\n{}",
            "x".repeat(500_000),
            numbers(1..10_000),
            stage("")
        ),
        format!("[matrix]\n{wide}seed = [{}]\n{}", numbers(0..9_000), stage("")),
        format!("[matrix]\na = [1, 2]\ninclude = [{}]\n{}", entries(3..20_000), stage("")),
        format!(
            "[params]\nlong = 'y'\n[ablate]\nlong = [{}]\n[matrix]\ntext = ['{}']\n{}",
            numbers(1..9_999),
            "x".repeat(500_000),
            stage("params = { x = '{long}' }\n")
        ),
    ] {
        lab.write("x.toml", &text);
        let said = said(&lab, &[], &[]);
        let first: Vec<&str> = said.lines().filter(|line| !line.contains("─[")).collect();
        reports.push(first.join("\n").replace(&"a".repeat(10_000), "aaa…"));
    }
    insta::assert_snapshot!(reports.join("\n"), @r"
    2 × this experiment has 100000 stages: 100 variants (10 of `a` × 10 of `b`) with 1000 stages each (1000 of `s[k]`); at
    help: shorten a range or an axis, or make several experiments of it
    2 × the matrix has 100000 combinations (10 of `a` × 10 of `b` × 10 of `c` × 10 of `d` × 10 of `e`); at most 10000 are
    help: shorten an axis, or let `sample = { n = 20 }` choose some of the combinations
    2 × this experiment has 450010 stages: 100 variants (10 of `a` × 10 of `b`) with up to 9000 stages each (9000 of
    help: shorten a range or an axis, or make several experiments of it
    2 × this experiment has 60001 stages (30001 of `t[k]`, 30000 of `s[k]`); at most 50000 are allowed
    help: shorten a range or an axis, or make several experiments of it
    2 × the stages of this experiment have more than 1000000 references to one another
    help: a range in the reference of each stage of a range is the product of both
    2 × with its templates filled in, this text takes more than 1 MiB
    2 × with its templates filled in, this takes more than 1 MiB
    2 × params use each other here more than 200 deep
    2 × not valid TOML: cannot recurse further; max recursion depth met
    2 × not valid TOML: cannot recurse further; max recursion depth met
    2 × not valid TOML: cannot recurse further; max recursion depth met
    2 × not valid TOML: recursion limit
    2 × not valid TOML: recursion limit
    2 × the name of a stage has at most 200 characters, and this one has 10000
    2 × the values of all variants together take more than 512 MiB
    help: put what is large into a file, which a source names
    2 × the values of all variants together take more than 512 MiB
    help: put what is large into a file, which a source names
    2 × the values of all variants together take more than 512 MiB
    help: put what is large into a file, which a source names
    2 × the matrix has 19999 combinations (2 of `a`, and 19997 of `include`); at most 10000 are allowed
    help: shorten an axis, or let `sample = { n = 20 }` choose some of the combinations
    2 × the values of all variants together take more than 512 MiB
    help: put what is large into a file, which a source names
    ");
    let deep = said(&lab, &["--set", &format!("params.{}=1", vec!["a"; 20_000].join("."))], &[]);
    assert!(deep.contains("a key has at most 32 parts"), "{deep}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
}

/// What is wrong with a range is said once, and nothing else of its axis.
#[test]
fn a_range_that_is_wrong_is_one_error() {
    let stage = "[stages.a]\nkind = 'command'\nrun = ['echo', '{lr}']\noutputs.a = { type = 'text', path = 'a.txt' }\n";
    for (matrix, expected) in [
        ("lr = { log = [0, 1], n = 3 }", "an end of `log` must be above 0, and 0 is not"),
        (
            "lr = { linear = [0, 1] }",
            "axis `lr` does not say how many values it has: `n` is missing",
        ),
        ("lr = '5..=1'", "the range `5..=1` is empty"),
        ("lr = 3", "axis `lr` must be a list of values or a range, not 3"),
        (
            "lr = [1]\nsample = 5",
            "`sample` must be a table such as `{ n = 20, seed = 0 }`, not 5",
        ),
    ] {
        let lab = Lab::new(&format!("[matrix]\n{matrix}\n{stage}"));
        let said = String::from_utf8(lab.output("plan x.toml").stderr).unwrap();
        assert!(said.contains(expected) && said.contains("1 error in"), "{matrix}: {said}");
    }
}

#[test]
fn a_tilde_is_the_home_folder_in_every_path() {
    let lab = Lab::new("extends = '~/base.toml'\n[settings]\nstore = '~/store'\n[stages.a]\nkind = 'import'\nsource = 's'\n");
    std::fs::create_dir_all(lab.path().join("home/data")).unwrap();
    lab.write("home/base.toml", "[sources]\ns = '~/data/rows.jsonl'\n");
    lab.write(
        "home/data/rows.jsonl",
        "{\"prompt\": \"1\", \"completion\": \"2\", \"answer\": \"2\"}\n",
    );
    let home = lab.path().join("home").display().to_string();
    assert_eq!(said(&lab, &[], &[("HOME", &home)]), "0 ");
    let set = ["--set", "sources.s=~/data/rows.jsonl", "--store=~/other"];
    assert_eq!(said(&lab, &set, &[("HOME", &home)]), "0 ");
    insta::assert_snapshot!(said(&lab, &[], &[("HOME", "")]), @r"
    2 × `~/base.toml` is meant from the home folder, and `HOME` is not set
    ╭─[x.toml:1:11]
    help: write the whole path, or `./~` for a folder that is called so
    ");
    assert!(!lab.path().join("~").exists());
}

#[test]
fn an_experiment_is_a_file_or_what_the_shell_makes() {
    let lab = Lab::new("extends = 'pipe'\n");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        lab.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let text = |words: &str| String::from_utf8(lab.output(words).stderr).unwrap();
    assert!(text("plan x.toml").contains("cannot read `pipe`: it is a pipe, a socket or a device"));
    assert!(text("plan /dev/zero").contains("cannot read `/dev/zero`: it is a pipe, a socket or a device"));
    assert!(text("plan .").contains("cannot read `.`: it is a folder"));
    let made = std::process::Command::new("bash")
        .args([
            "-c",
            "\"$0\" plan <(printf '[stages.a]\\nkind = \"generate\"\\ntask = \"addition\"\\n')",
            env!("CARGO_BIN_EXE_runner"),
        ])
        .current_dir(lab.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn the_schema_takes_what_leaves_an_input_out() {
    let folder = folder(&[(
        "x.toml",
        "[params]\nbase = []\n[ablate]\nbase = [[]]\n[stages.p]\nkind = 'generate'\ntask = 'addition'\n\
         [stages.m]\nkind = 'train'\ndata = 'p.train'\nbase = []\nvocabulary = []\n",
    )]);
    validate_with(&folder.path().join("x.toml"), kinds::kinds()).unwrap();
    let wrong = std::fs::read_to_string(folder.path().join("x.toml"))
        .unwrap()
        .replace("\nbase = []\nvoc", "\nbase = ['m', 'm']\nvoc");
    std::fs::write(folder.path().join("x.toml"), wrong).unwrap();
    assert!(validate_with(&folder.path().join("x.toml"), kinds::kinds()).is_err());
}

/// What a file and these arguments give: the params of the stage `a`, or what is said.
fn params_of(lab: &Lab, arguments: &[&str]) -> String {
    let mut options = options(&lab.path().join("x.toml"));
    options.set = arguments.iter().map(|&text| text.to_owned()).collect();
    match config::load(&options) {
        Ok(experiment) if experiment.warnings.is_empty() => experiment.variants[0].stages[0].fields["params"].toml(),
        Ok(experiment) => experiment
            .warnings
            .iter()
            .map(|warning| warning.message.clone())
            .collect::<Vec<_>>()
            .join("\n"),
        Err(problems) => {
            let problem = &problems[0];
            [Some(problem.message.clone()), problem.help.clone()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("; ")
        }
    }
}

#[test]
fn a_case_is_a_number_however_it_is_written() {
    let lab = Lab::new(
        "[params]\nlr = 1e-3\nf = { by = 'lr', 1e-3 = 5, 1e-4 = 6, 2 = 7, else = 1 }\n\
         [stages.a]\nkind = 'command'\nrun = ['true']\noutputs = { x = 'file' }\nparams = { f = '{f}' }\n",
    );
    assert_eq!(params_of(&lab, &[]), "{ f = 5 }");
    assert_eq!(params_of(&lab, &["lr=1e-4"]), "{ f = 6 }");
    assert_eq!(params_of(&lab, &["lr=2.0"]), "{ f = 7 }");
    assert_eq!(params_of(&lab, &["lr=3e-4"]), "{ f = 1 }");
    let text = "[params]\nf = { by = 'lr', 1e-3 = 5, 1e-4 = 6 }\n[matrix]\nlr = [1e-3, 1e-4]\n\
                [stages.a]\nkind = 'command'\nrun = ['true']\noutputs = { x = 'file' }\nparams = { f = '{f}' }\n";
    lab.write("x.toml", text);
    assert_eq!(params_of(&lab, &[]), "{ f = 5 }", "and no warning");
    assert_eq!(said(&lab, &["--variant", "lr=1e-3"], &[]), "0 ");
}

#[test]
fn the_types_of_lists_tables_cases_and_templates_are_held_too() {
    let lab = Lab::new(
        "[params]\nvers = ['1.9']\ncase = { by = 'm', u = '1.9', else = '2.0' }\nm = 'u'\nother = '1.9'\nref = '{other}'\nlist = ['a']\nname = 'v'\n\
         [matrix]\nver = ['1.9']\nlr = [0.1]\n[stages.a]\nkind = 'command'\nrun = ['true']\noutputs = { x = 'file' }\n\
         params = { all = '{case} {ref} {ver} {lr} {name}', vers = '{vers}', list = '{list}', dt = { a = '1.9' } }\n",
    );
    let refused = [
        "vers=[1.10]",
        "vers=1.10",
        "matrix.ver=[1.10]",
        "case=1.10",
        "params.case.u=1.10",
        "params.case.w=1.10",
        "case.u=1.10",
        "ref=1.10",
        "stages.a.params.dt={a=1.10}",
        "matrix.lr=[\"high\"]",
        "list=a,b",
        "list=5",
        "name=1e5",
        "name=0x10",
    ];
    insta::assert_snapshot!(refused.map(|set| params_of(&lab, &[set])).join("\n").replace(&lab.path().display().to_string(), ""), @r#"
    `vers` is a text in the experiment, "1.9" (/x.toml:2), and 1.1 is none; a text is quoted: `"1.10"`
    `vers` is a text in the experiment, "1.9" (/x.toml:2), and 1.1 is none; as a text, write `--set 'vers="1.10"'`
    `ver` is a text in the experiment, "1.9" (/x.toml:10), and 1.1 is none; a text is quoted: `"1.10"`
    `case` is a text in the experiment, "2.0" (/x.toml:3), and 1.1 is none; as a text, write `--set 'case="1.10"'`
    `case.u` is a text in the experiment, "1.9" (/x.toml:3), and 1.1 is none; as a text, write `--set 'params.case.u="1.10"'`
    `case.w` is a text in the experiment, "2.0" (/x.toml:3), and 1.1 is none; as a text, write `--set 'params.case.w="1.10"'`
    no table `case` to set a value in (known: params, matrix, ablate, defaults, stages, models, prompts, sources, environments, tasks, resources, settings); a part of the param `case` is set with `params.case.u=…`
    `ref` is a text in the experiment, "1.9" (/x.toml:5), and 1.1 is none; as a text, write `--set 'ref="1.10"'`
    `a.params.dt.a` is a text in the experiment, "1.9" (/x.toml:16), and 1.1 is none; a text is quoted: `"1.10"`
    `lr` is 0.1 in the experiment (/x.toml:11), and the text "high" is of another type
    `list` is a list in the experiment (/x.toml:7), and `a,b` is none; as a list, write `--set 'list=["a", "b"]'`
    `list` is a list in the experiment (/x.toml:7), and 5 is none
    `name` is a text in the experiment, "v" (/x.toml:8), and 100000.0 is none; as a text, write `--set 'name="1e5"'`
    `name` is a text in the experiment, "v" (/x.toml:8), and 16 is none; as a text, write `--set 'name="0x10"'`
    "#);
    for fine in [
        "vers=[\"1.10\"]",
        "case=\"1.10\"",
        "matrix.lr=[1, 0.5]",
        "ref={name}",
        "list={vers}",
        "list=[\"b\", \"c\"]",
    ] {
        assert!(params_of(&lab, &[fine]).starts_with("{ all"), "{fine}");
    }
}

#[test]
fn what_the_command_line_gives_and_nothing_uses_is_said() {
    let lab = Lab::new("[params]\nuu = 1\n[matrix]\nseed = [1]\n[stages.a]\nkind = 'command'\nrun = ['true']\noutputs = { x = 'file' }\n");
    let set = ["--set", "uu=3", "--set", "matrix.sede=[1]", "--set", "defaults.eval.ask=[0]"];
    insta::assert_snapshot!(said(&lab, &set, &[]), @r"
    0 warning: nothing uses the param `uu` (--set)
    warning: nothing uses the axis `sede` (--set)
    warning: `[defaults.eval]` is for no stage: none is of this kind (known: command) (--set)
    ");
    insta::assert_snapshot!(said(&lab, &[], &[("RUNNER_MATRIX__SEDE", "[1]")]), @r"
    0 warning: nothing uses the param `uu` (x.toml:2)
    warning: nothing uses the axis `sede` (RUNNER_MATRIX__SEDE)
    ");
}

#[test]
fn the_braces_of_prompts_are_looked_at() {
    let lab = Lab::new("");
    let with = |prompt: &str| {
        let stage = "[stages.p]\nkind = 'generate'\ntask = 'addition'\n";
        lab.write("x.toml", &format!("[prompts]\nown = '{prompt}'\n{stage}"));
        let experiment = config::load(&options(&lab.path().join("x.toml"))).unwrap();
        let built = build(&options(&lab.path().join("x.toml"))).err();
        let refused = built.map(|rejected| rejected.diagnostics[0].message.clone());
        refused.unwrap_or_else(|| {
            experiment
                .warnings
                .first()
                .map(|warning| warning.message.clone())
                .unwrap_or_default()
        })
    };
    let prompts = [
        "Zed {{question}}:",
        "Q: {questoin}",
        "Q",
        "{question} in {k} steps",
        "{question} as {{x: 1}}",
        "{question}, {n}",
        "{question}: ",
    ];
    insta::assert_snapshot!(prompts.map(with).join("\n"), @r"
    prompt `own` has doubled braces, which the model would read: in `[prompts]`, write `{question}`
    prompt `own` has no `{question}`
    prompt `own` has no `{question}`
    prompt `own` has `{k}`, which the model reads as it is: `{question}` and `{n}` alone are filled in
    prompt `own` has doubled braces, which the model reads: in `[prompts]`, one is enough

    prompt `own` ends in a blank: most models write the blank before a word themselves, and answer worse after one; leave it out
    ");
}

#[test]
fn characters_that_nobody_sees_are_refused_in_values() {
    let lab = Lab::new("[stages.p]\nkind = 'generate'\ntask = 'addition'\n");
    for (name, value) in [("RUNNER_STORE", "s\r"), ("RUNNER_DEVICE", "cpu\r")] {
        let said = said(&lab, &[], &[(name, value)]);
        assert!(said.starts_with("2 × there is a carriage return in this value"), "{said}");
    }
    let said = said(&lab, &["--set", "settings.store=s\u{7}"], &[]);
    assert!(
        said.starts_with("2 × there is the control character U+0007 in this value"),
        "{said}"
    );
}

#[test]
fn files_of_a_source_that_name_nothing_are_refused() {
    let (_folder, file) = write("[sources]\ns = { path = 'data', files = [] }\n[stages.p]\nkind = 'generate'\ntask = 'addition'\n");
    let rejected = build(&options(&file)).err().unwrap().diagnostics;
    assert_eq!(rejected[0].message, "`files` of the source `s` is empty, which names nothing");
}

#[test]
fn values_of_an_axis_that_look_alike_are_refused() {
    let lab = Lab::new("[matrix]\nx = ['x', 'x ']\n[stages.p]\nkind = 'generate'\ntask = '{x}'\n");
    let said = said(&lab, &[], &[]);
    assert!(
        said.contains("axis `x` has \"x\" and \"x \", which look alike: variants are named by them"),
        "{said}"
    );
}
