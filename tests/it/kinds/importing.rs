//! `import`.

use insta::assert_snapshot;
use learn::dataset::{Prompt, Row};
use learn::model::{self, Adapters, Lora};

use super::bench::{Bench, gibberish, parse, parse_given};

fn bench(params: &str, text: &str) -> Bench {
    Bench::new("import", &format!("source = {{ name = 'data', path = 'x' }}\n{params}")).text("source", text)
}

fn shown(rows: &[Row]) -> String {
    let lines = rows.iter().map(|row| serde_json::to_string(row).unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn fields_are_mapped_to_those_of_a_row() {
    let rows = |params: &str, text: &str| shown(&bench(params, text).output("data"));
    let full = r#"{"id": "a", "prompt": "1 + 1", "completion": "1. x\nThus, the answer is 2.", "step_num": 7, "answer": 2}"#;
    assert_snapshot!(rows("", full), @r#"{"id":"a","prompt":"1 + 1","completion":"1. x\nThus, the answer is 2.","step_num":7,"answer":2}"#);
    let fields = "fields = { prompt = 'q', completion = 's', answer = 'n' }";
    assert_snapshot!(rows(fields, "q,s,n\n1 + 1,\"x\ny\",2\n"), @r#"{"id":"1","prompt":"1 + 1","completion":"x\ny","step_num":2,"answer":"2"}"#);
    assert_snapshot!(rows("", r#"[{"prompt": "1 + 1", "completion": "x\nThus, the answer is 2."}]"#), @r#"{"id":"1","prompt":"1 + 1","completion":"x\nThus, the answer is 2.","step_num":1,"answer":"2"}"#);
}

#[test]
fn what_no_row_can_be_made_of_is_named_with_its_place() {
    let refused = |params: &str, text: &str| bench(params, text).run().unwrap_err();
    let row = r#""completion": "Thus, the answer is 2.", "id": 1}"#;
    let said = [
        refused("", r#"{"question": "1 + 1"}"#),
        refused("fields = { prompt = 'q' }", "p,completion\na,b\n"),
        refused("", "prompt,completion\na,b\n"),
        refused("", r#"{"prompt": ["a"], "completion": ""}"#),
        refused("", &format!("{{\"prompt\": \"a\", {row}\n{{\"prompt\": \"b\", {row}")),
        refused("", &format!("[{{\"prompt\": \"a\", \"step_num\": -1, {row}]")),
        refused("task = 'gsm8k'", r#"{"question": "1 + 1", "answer": "2"}"#),
        refused("file = 'test*'", "{}"),
        refused("", ""),
        refused("format = 'parquet'", "{}"),
    ];
    assert_snapshot!(said.join("\n"), @r"
    /source-0.jsonl:1: no field `prompt` (known: question); set its name in `fields`
    /source-0.jsonl:2: no field `q` (known: completion, p); set its name in `fields`
    /source-0.jsonl:2: the solution has no `the answer is …`, and there is no field for the answer: set `fields.answer`
    /source-0.jsonl:1: field `prompt` is a list, and must be a text or a number
    /source-0.jsonl:2: the id `1` appears twice
    /source-0.jsonl:1: record 1 of the list: the number of steps is -1, and must be a whole number from 0
    /source-0.jsonl:1: the solution has no line `#### …` with the answer
    source `data` has no file `test*` (known: source-0.jsonl)
    source `data` has no records
    /source-0.jsonl:0: not a Parquet file that can be read: EOF: Parquet file too small. Size is 2 but need 8
    ");
}

#[test]
fn params_are_checked_before_anything_runs() {
    let refusal = |params: &str| {
        let error = parse("import", params).err().unwrap();
        format!("{}: {}", error.path.join("."), error.problem)
    };
    let said = [
        refusal(""),
        refusal("source = 'data'"),
        refusal("source = { name = 'data' }"),
        refusal("source = { path = 'x', sha256 = '1' }"),
        refusal("source = { path = 'x' }\ntask = 'addition'"),
        refusal("source = { path = 'x' }\nformat = 'xml'"),
        refusal("source = { path = 'x' }\nfields = { question = 'q' }"),
    ];
    assert_snapshot!(said.join("\n"), @r"
    : a field `source` is missing
    source: no source `data`
    source: source `data` says no place: give `path`, `url` or `hub`
    source.sha256: `1` is no digest (64 hexadecimal digits)
    task: no `addition` (known: gsm8k)
    format: no `xml` (known: auto, jsonl, json, csv, parquet)
    fields.question: no field `question` (known: id, prompt, completion, step_num, answer)
    ");
}

#[test]
fn the_place_is_not_in_the_params() {
    let params = |source: &str| parse("import", &format!("source = {source}")).unwrap().params();
    assert_eq!(params("{ path = 'x' }"), params("{ url = 'https://a.org/b' }"));
}

#[test]
fn what_changes_while_it_waits_is_not_stored_under_the_old_name() {
    let text = "{\"id\": \"1\", \"prompt\": \"a\", \"completion\": \"b\\nThus, the answer is 1.\"}\n";
    let pin = format!("blake3:{}", lab::hash::Digest::of(text.as_bytes()));
    assert_eq!(bench("", text).content(&pin).output("data").len(), 1);
    let error = bench("", &text.replace("\"a\"", "\"c\"")).content(&pin).run().unwrap_err();
    assert_snapshot!(error, @"source `data` was changed after the run had begun (/source-0.jsonl); run again");
}

#[test]
fn a_model_is_made_of_the_files_that_are_listed_and_no_others() {
    let files = "'config.json', 'model.safetensors', 'tokenizer.json'";
    let params = format!("type = 'model'\nsource = {{ path = 'x', files = [{files}] }}");
    let bench = Bench::new("import", &params).model("source", &gibberish(Prompt::PLAIN));
    let config = || std::fs::read_to_string(bench.run().unwrap().join("model/config.json")).unwrap();
    let before = config();
    let beside = bench.input("source").join("generation_config.json");
    std::fs::write(&beside, "{\"eos_token_id\": [1, 5]}").unwrap();
    assert_eq!(config(), before);
    let whole = Bench::new(
        "import",
        &params.replace("tokenizer.json'", "tokenizer.json', 'generation_config.json'"),
    );
    let whole = whole.model("source", &gibberish(Prompt::PLAIN));
    std::fs::copy(&beside, whole.input("source").join("generation_config.json")).unwrap();
    let with = std::fs::read_to_string(whole.run().unwrap().join("model/config.json")).unwrap();
    assert_ne!(with, before, "what is listed matters");
    std::fs::remove_file(bench.input("source").join("config.json")).unwrap();
    assert_snapshot!(bench.run().unwrap_err(), @"/source: config.json: No such file or directory (os error 2)");
}

#[test]
fn adapters_are_merged_into_the_model_of_another_stage() {
    let (model, folder) = (gibberish(Prompt::NUMBERED), tempfile::tempdir().unwrap());
    let lora = Lora {
        rank: 1,
        ..Lora::default()
    };
    let mut weights = lora.initialise(&model.shape, 1);
    weights.values_mut().for_each(|array| array.data.fill(0.5));
    let adapters = Adapters {
        lora: lora.clone(),
        weights: weights.clone(),
    };
    adapters.save(folder.path()).unwrap();
    let bench = || Bench::new("import", "type = 'model'\nsource = { path = 'x' }").artifact("source", folder.path());
    let merged = model::load(&bench().model("base", &model).run().unwrap().join("model")).unwrap();
    let mut expected = model.weights.clone();
    lora.merge(&mut expected, &weights);
    assert!(expected != model.weights && merged.weights == expected && merged.prompt == model.prompt);
    let error = bench().run().unwrap_err().replace(&folder.path().display().to_string(), "FOLDER");
    assert_snapshot!(error, @"FOLDER is not a model: it holds adapters; import that model as well, and give its stage as `base`");
    let error = parse_given("import", "source = { path = 'x' }", &["base"]).err().unwrap();
    assert_snapshot!(error.problem, @"`base` is for models only, and `type` is `dataset`");
}
