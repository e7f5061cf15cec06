//! `command`: programs as they are. Placeholders, inputs where a program expects them, outputs from where it writes them.

use insta::assert_snapshot;
use lab::config::{self, LoadOptions};
use lab::plan::{self, Dag};
use serde_json::{Value, json};

use super::lab::{Lab, count};

/// The record of a stage.
fn record(lab: &Lab, stage: &str) -> Value {
    let files = walkdir::WalkDir::new(lab.path().join("cache/v1/records")).into_iter();
    let files = files.map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let mut records = files.map(|entry| serde_json::from_slice::<Value>(&std::fs::read(entry.path()).unwrap()).unwrap());
    records.find(|record| record["stage"] == stage).unwrap()
}

/// The files of an artifact, each with its content; one that is a file has no name.
fn artifact(lab: &Lab, stage: &str, port: &str) -> Vec<(String, String)> {
    let record = record(lab, stage);
    let object = lab.object("cache", record["outputs"][port]["digest"].as_str().unwrap());
    let entries = walkdir::WalkDir::new(&object).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    let read = |entry: walkdir::DirEntry| {
        let name = entry.path().strip_prefix(&object).unwrap().display().to_string();
        (name, std::fs::read_to_string(entry.path()).unwrap())
    };
    files.map(read).collect()
}

fn text(lab: &Lab, stage: &str, port: &str) -> String {
    artifact(lab, stage, port).remove(0).1
}

/// The graph of an experiment, or what is wrong with it: place, message, help.
fn graph(lab: &Lab) -> Result<Dag, String> {
    let file = lab.path().join("x.toml");
    let options = LoadOptions {
        file,
        ..LoadOptions::default()
    };
    let dag = config::load(&options).and_then(|experiment| plan::build(&experiment, kinds::kinds()));
    dag.map_err(|problems| {
        let lines = problems.iter().map(|problem| {
            let line = problem.at.as_ref().map_or_else(String::new, ToString::to_string);
            let line = line.rsplit(':').next().unwrap_or_default().to_owned();
            let help = problem.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
            format!("{line}: {}{help}", problem.message)
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// What is wrong with a stage `x` of these fields, after a stage `made` with two outputs.
fn refusal(fields: &str) -> String {
    let lab = Lab::new(&format!(
        "[stages.made]\nkind = 'command'\nrun = ['true']\noutputs = {{ one = 'file', two = 'file' }}\n\
         [stages.x]\nkind = 'command'\n{fields}\n"
    ));
    lab.write("train.sh", "");
    graph(&lab).err().unwrap_or_else(|| format!("{fields} is accepted"))
}

/// The params in the key of the stage `x` of these fields.
fn key(fields: &str) -> Value {
    let lab = Lab::new(&format!(
        "[stages.made]\nkind = 'command'\nrun = ['true']\noutputs = {{ one = 'file', two = 'file' }}\n\
         [stages.x]\nkind = 'command'\n{fields}\n"
    ));
    let dag = graph(&lab).unwrap();
    let node = dag.graph.node_weights().find(|node| node.base == "x").unwrap();
    (*node.canonical).clone()
}

const MADE: &str = r#"
[stages.made]
kind    = "command"
run     = ["sh", "-c", "echo one > $1; echo two > $2", "sh", "{output.one}", "{output.two}"]
outputs = { one = "file", two = "file" }
"#;

const FILLED: &str = r#"
[params]
to = "--to={output.note}"

[stages.x]
kind    = "command"
run     = ["sh", "say.sh", "--data={ input.data }", "{to}", "{stage.seed}", "{{input.data}}", "{scratch}", "{stage.params}"]
seed    = 7
inputs  = { data = ["made.one", "made.two"] }
outputs = { note = "file" }
env     = { LIST = "{input.data}", PLAIN = "{{x}}" }
params  = { rate = 0.5 }
"#;

const SAY: &str = r#"
{
  for word; do echo "$word" | sed 's|/.*/||'; done
  echo "$LIST" | sed 's|/.*/||'
  echo "$PLAIN"
  cat "${1#--data=}" "$7"
} > "${3#--to=}"
"#;

#[test]
fn placeholders_are_filled_in_and_the_key_has_them_unfilled() {
    let lab = Lab::new(&format!("{FILLED}{MADE}"));
    lab.write("say.sh", SAY);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 2);
    assert_snapshot!(text(&lab, "x", "note"), @r#"
    --data=0
    --data=1
    --to=note
    7
    {input.data}
    kept
    params.json
    0
    1
    {x}
    one
    {
      "rate": 0.5
    }
    "#);
    let params = record(&lab, "x")["fingerprint"]["params"].clone();
    assert_eq!(
        params["run"],
        json!([
            "sh",
            "say.sh",
            {"template": "--data={input.data}"},
            {"template": "--to={output.note}"},
            {"template": "{stage.seed}"},
            "{input.data}",
            {"template": "{scratch}"},
            {"template": "{stage.params}"},
        ])
    );
    assert_eq!(params["env"], json!({"LIST": {"template": "{input.data}"}, "PLAIN": "{x}"}));
    assert_eq!(count(&lab.summary("run x.toml", 0), "cached"), 2);
}

const PLACED: &str = r#"
[settings]
sandbox = "reads"

[stages.x]
kind         = "command"
run          = ["sh", "train.sh"]
inputs.data  = { from = "made.one", path = "in/data.txt" }
inputs.many  = { from = ["made.one", "made.two"], path = "./many" }
outputs.copy  = { type = "file", path = "out/copy*" }
outputs.parts = { type = "file", path = "parts/**" }
outputs.plot  = { type = "figure", path = "plot.svg" }
outputs.note  = { type = "text", path = "*.md" }
"#;

const TRAIN: &str = "set -e
mkdir -p out parts/deep
cat in/data.txt > out/copy-1
cat many/0 > parts/a.txt
cat many/1 > parts/deep/b.txt
echo '<?xml version=\"1.0\"?><svg/>' > plot.svg
ls in many > note.md
";

#[test]
fn a_program_finds_its_inputs_and_leaves_its_outputs_where_it_likes() {
    let lab = Lab::new(&format!("{PLACED}{MADE}"));
    lab.write("train.sh", TRAIN);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 2);
    assert_eq!(artifact(&lab, "x", "copy"), [(String::new(), "one\n".to_owned())]);
    assert_eq!(
        artifact(&lab, "x", "parts"),
        [
            ("a.txt".to_owned(), "one\n".to_owned()),
            ("deep/b.txt".to_owned(), "two\n".to_owned())
        ]
    );
    assert_eq!(text(&lab, "x", "note"), "in:\ndata.txt\n\nmany:\n0\n1\n");
    let params = record(&lab, "x")["fingerprint"]["params"].clone();
    assert_eq!(params["input_paths"], json!({"data": "in/data.txt", "many": "./many"}));
    assert_eq!(params["outputs"]["copy"], json!({"type": "file", "path": "out/copy*"}));
    let plan = lab.plan("x.toml");
    assert_eq!(plan["x {}"]["inputs"].as_array().unwrap().len(), 3);
    // Another place is another stage, and says so.
    let moved = PLACED.replace("in/data.txt", "in/other.txt");
    lab.write("x.toml", &format!("{moved}{MADE}"));
    assert_eq!(
        lab.plan("x.toml")["x {}"]["reason"],
        "param `input_paths.data` changed: \"in/data.txt\" → \"in/other.txt\""
    );
    // What is printed is an experiment again.
    let printed = lab.stdout("config x.toml", 0);
    assert!(!printed.contains("input_paths"), "{printed}");
}

#[test]
fn numbers_that_a_program_wrote_are_metrics() {
    let lab = Lab::new(
        "[stages.x]\nkind = 'command'\nrun = ['sh', '-c', 'echo \"$1\" > $RUNNER_OUTPUT_GIVEN; echo \"$1\" > scores.json', 'sh', '{{\"accuracy\": 0.81}}']\n\
         outputs = { given = 'metrics', found = { type = 'metrics', path = '*.json', select = ['acc*'] } }\n",
    );
    lab.summary("run x.toml", 0);
    for port in ["given", "found"] {
        let files = artifact(&lab, "x", port);
        let (name, content) = &files[0];
        assert_eq!(name, "metrics.json", "{port}");
        assert!(content.contains("0.81"), "{port}: {content}");
    }
}

#[test]
fn outputs_that_are_not_as_declared_are_said() {
    let said = |script: &str, output: &str| {
        let lab = Lab::new(&format!(
            "[stages.x]\nkind = 'command'\nrun = ['sh', '-c', '{script}']\noutputs = {{ x = {output} }}\n"
        ));
        let out = lab.stdout("run x.toml --json", 1);
        let failed = out.lines().find(|line| line.contains("\"failed\"")).unwrap();
        let event: Value = serde_json::from_str(failed).unwrap();
        let error = event["error"].as_str().unwrap().to_owned();
        match error.split_once(": /") {
            Some((before, path)) => format!("{before}: …/{}", path.rsplit("/x").next().unwrap()),
            None => error,
        }
    };
    let all = [
        said("echo > a; mkdir out; echo > out/b", "{ type = 'file', path = 'model*' }"),
        said("true", "{ type = 'file', path = 'model' }"),
        said("echo > a.png; echo > b.png", "{ type = 'figure', path = '*.png' }"),
        said("echo no > a.png", "{ type = 'figure', path = 'a.png' }"),
        said("ln -s /etc/hostname model", "{ type = 'file', path = 'model' }"),
        said("mkdir note", "{ type = 'text', path = 'note' }"),
    ];
    assert_snapshot!(all.join("\n"), @r"
    output `x`: the program wrote nothing that fits `model*` in its folder; it wrote `a`, `out/b`
    output `x`: the program wrote no `model` in its folder; it wrote no files there
    output `x`: `*.png` fits 2 paths, and this type of output is one: `a.png`, `b.png`
    output `x`: …/: a figure is a PNG, SVG or PDF file, and this is none; write others as the type `file`
    output `x`: `model` is a link, and an artifact must be complete in itself: have the program copy what it leads to
    output `x`: …/ is a folder: an output of this type is one file
    ");
}

#[test]
fn placeholders_that_nothing_fills_in_are_refused() {
    let all = [
        "run = ['cat', '{input.dat}']\ninputs.data = 'made.one'\noutputs.o = 'file'",
        "run = ['cat', '{foo.bar}']\noutputs.o = 'file'",
        "run = ['cat', '{output.o}']\noutputs.o = { type = 'file', path = 'o*' }",
        "run = ['cat']\nenv.A = '{stage.sed}'\noutputs.o = 'file'",
        "run = ['sh', '-c', 'wc -l {input.data}']\ninputs.data = 'made.one'\noutputs.o = 'file'",
        "run = ['{input.data}']\ninputs.data = ['made.one', 'made.two']\noutputs.o = 'file'",
        "run = ['cat', '{input.a}{input.b}']\ninputs.a = ['made.one', 'made.two']\ninputs.b = ['made.one', 'made.two']\noutputs.o = 'file'",
        "run = ['cat']\nparams.a = '{input.data}'\noutputs.o = 'file'",
        "run = ['cat']\nseed = '{stage.seed}'\noutputs.o = 'file'",
        "run = ['cat']\ninputs.a = 'made.{stage.seed}'\noutputs.o = 'file'",
        "run = ['cat']\noutputs.o = '{output.o}'",
        "run = ['cat']\nenv.A = { template = 'x' }\noutputs.o = 'file'",
        "run = ['cat', { template = 'x' }]\noutputs.o = 'file'",
        "run = ['cat', '{a}']\noutputs.o = 'file'\n[matrix]\na = ['{input.data}']",
    ]
    .map(refusal);
    assert_snapshot!(all.join("\n"), @r#"
    7: nothing fills in `{input.dat}` (known: input.data, output.o, stage.seed, stage.threads, stage.device, stage.params, scratch); did you mean `{input.data}`?
    7: nothing fills in `{foo.bar}` (known: output.o, stage.seed, stage.threads, stage.device, stage.params, scratch); braces that are the text's own are doubled: `{{foo.bar}}`
    7: `{output.o}` has no path before the program has run, since its `path` is a pattern: write the path as the program needs it
    8: nothing fills in `{stage.sed}` (known: output.o, stage.seed, stage.threads, stage.device, stage.params, scratch); did you mean `{stage.seed}`?
    7: `{input.data}` in the text of a shell could be read as code: pass it as a word of its own, which the shell calls `$1`: `["sh", "-c", "wc -l \"$1\"", "sh", "{input.data}"]`
    7: the program is one file, and the input `data` has 2
    7: a word becomes one for each artifact of an input, and here are two: `a` with 2 and `b` with 2
    8: `{input.data}` is filled in when the stage runs, which only `run` and `env` of a `command` can take
    8: `{stage.seed}` is filled in when the stage runs, which only `run` and `env` of a `command` can take
    8: `{stage.seed}` is filled in when the stage runs, which only `run` and `env` of a `command` can take
    8: `{output.o}` is filled in when the stage runs, which only `run` and `env` of a `command` can take
    8: the variable `A` must be a text, not a table
    7: a word of a command line is a text, not a table
    10: `{input.data}` is filled in when a stage runs, and a value here names variants: write it into `run` of the stage, or into a param
    "#);
}

#[test]
fn places_that_cannot_be_are_refused() {
    let all = [
        "run = ['cat']\ninputs.a = { from = 'made.one', path = '../a' }\noutputs.o = 'file'",
        "run = ['cat']\ninputs.a = { from = 'made.one', path = 'a' }\ninputs.b = { from = 'made.two', path = 'a/b' }\noutputs.o = 'file'",
        "run = ['sh', 'train.sh']\ninputs.a = { from = 'made.one', path = './train.sh' }\noutputs.o = 'file'",
        "run = ['cat']\ninputs.a = { form = 'made.one' }\noutputs.o = 'file'",
        "run = ['cat']\ninputs.a = { path = 'a' }\noutputs.o = 'file'",
        "run = ['cat']\ninputs.a = { from = 'made.one', path = 3 }\noutputs.o = 'file'",
        "run = ['cat']\ninputs.a = 'made.one'\ninput_paths.a = 'a'\noutputs.o = 'file'",
        "run = ['cat']\ninputs.a = { from = 'made.one', path = 'a' }\noutputs.o = { type = 'file', path = 'a/x' }",
        "run = ['cat']\noutputs.o = { type = 'file', path = '/tmp/x' }",
        "run = ['cat']\noutputs.o = { type = 'text', select = ['a'] }",
    ]
    .map(refusal);
    assert_snapshot!(all.join("\n"), @r#"
    8: `../a` leads out of the folder of the program: write a path from that folder, without `..`
    9: `a/b` is in the place of the input `a`
    8: the input `a` would lie in the place of `train.sh`, a file of `run`
    8: no field `form` in the input `a` (known: from, path)
    8: the input `a` needs a field `from`: a reference, or a list of them
    8: `path` of the input `a` must be a text, not 3
    9: no field `input_paths` in stage `x` (command) (the place of an input is written with it: `inputs.data = { from = "…", path = "…" }`)
    9: `a/x` is in the place of the input `a` (`a`)
    8: `/tmp/x` leads out of the folder of the program: write a path from that folder, without `..`
    8: only an output of the type `metrics` has `select`
    "#);
}

/// What is in the key, and what is not.
#[test]
fn a_placeholder_and_doubled_braces_have_different_keys() {
    let plain = "run = ['cat']\ninputs.data = 'made.one'\noutputs.o = 'metrics'";
    let with = |run: &str| key(&plain.replace("['cat']", run));
    assert_ne!(with("['cat', '{input.data}']"), with("['cat', '{{input.data}}']"));
    assert_eq!(with("['cat', '{input.data}']"), with("['cat', '{ input.data }']"));
    assert_eq!(
        key(plain),
        json!({"env": {}, "outputs": {"o": "metrics"}, "params": {}, "run": ["cat"]}),
        "as before there were placeholders and places"
    );
    assert_eq!(key(plain), key(&plain.replace("'made.one'", "{ from = 'made.one' }")));
    assert_ne!(key(plain), key(&plain.replace("'made.one'", "{ from = 'made.one', path = 'd' }")));
    let output = |output: &str| key(&plain.replace("'metrics'", output));
    assert_eq!(key(plain), output("{ type = 'metrics' }"));
    assert_eq!(key(plain), output("{ type = 'metrics', select = ['a.*'] }"));
    assert_ne!(key(plain), output("{ type = 'metrics', path = 'm.json' }"));
    assert_ne!(
        output("{ type = 'metrics', path = 'm.json' }"),
        output("{ type = 'metrics', path = 'm.json', series = 's.csv' }")
    );
}

#[test]
fn a_selection_is_read_by_reports_and_by_workers() {
    let lab = Lab::new(
        "[stages.x]\nkind = 'command'\nrun = ['true']\noutputs = { s = { type = 'metrics', path = 'm.json', select = ['a.*', 'b'] } }\n",
    );
    let dag = graph(&lab).unwrap();
    let stage = &dag.graph.node_weights().next().unwrap().stage;
    assert_eq!(stage.selected_metrics("s"), ["a.*", "b"]);
    assert_eq!(stage.selected_metrics("t"), [""; 0]);
    let mut params = stage.params();
    params.as_object_mut().unwrap().extend(stage.unkeyed_params());
    assert_eq!(params["outputs"]["s"]["select"], json!(["a.*", "b"]));
    let kind = kinds::kinds().iter().find(|kind| kind.name == "command").unwrap();
    let read = (kind.parse)(&params.into(), &[]).unwrap();
    assert_eq!(read.selected_metrics("s"), ["a.*", "b"]);
    assert_eq!(read.params(), stage.params());
}
