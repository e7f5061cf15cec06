//! `import`.

use insta::assert_snapshot;
use learn::dataset::{Prompt, Row};
use learn::model::{self, Adapters, Lora};

use super::bench::{Bench, gibberish, parse, parse_given};

fn bench(params: &str, text: &str) -> Bench {
    Bench::new(
        "import",
        &format!("source = {{ name = 'data', path = 'x' }}\ndoc = false\n{params}"),
    )
    .text("source", text)
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
fn columns_within_columns_and_chats_are_read() {
    let rows = |params: &str, text: &str| shown(&bench(params, text).output("data"));
    let chat =
        r#"{"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "Thus, the answer is 1."}], "n": {"id": 7}}"#;
    let expected = r#"{"id":"7","prompt":"Q","completion":"Thus, the answer is 1.","step_num":0,"answer":"1"}"#;
    assert_eq!(rows("fields = { id = 'n.id' }", chat), expected);
    let paths = "fields = { id = 'n.id', prompt = 'messages[0].content', completion = 'messages[-1].content' }";
    assert_eq!(rows(paths, chat), expected);
    // Fields of a row's own are preferred to a chat, and names to paths.
    let both = r#"{"prompt": "P", "completion": "Thus, the answer is 2.", "messages": [], "a.b": "x"}"#;
    assert_snapshot!(rows("fields = { id = 'a.b' }", both), @r#"{"id":"x","prompt":"P","completion":"Thus, the answer is 2.","step_num":0,"answer":"2"}"#);
}

#[test]
fn templates_join_columns() {
    let record = r#"{"instruction": "Add.", "meta": {"input": "1 + 1"}, "n": 7, "why": "1 + 1 = 2", "answer": 2, "x": null}"#;
    let fields = |more: &str| format!("fields = {{ prompt = '{{{{instruction}}}} {{{{meta.input}}}}', completion = '{{{{why}}}}'{more} }}");
    let imported = bench(&fields(", id = 'q-{{ n }}', step_num = '{{n}}'"), record);
    assert_snapshot!(shown(&imported.output("data")), @r#"{"id":"q-7","prompt":"Add. 1 + 1","completion":"1 + 1 = 2","step_num":7,"answer":2}"#);
    assert_snapshot!(imported.noted.borrow().join("\n"), @r#"1 row: prompt = "{{instruction}} {{meta.input}}", completion = "{{why}}", answer = "{{answer}}", id = "q-{{ n }}""#);
    // A template that is one column alone is that column: its name says nothing more.
    let alone = "fields = { prompt = '{{instruction}}', completion = '{{answer}}' }";
    let said = bench(alone, &record.replace("\"answer\": 2", "\"answer\": \"Thus, the answer is 3.\""));
    assert_snapshot!(shown(&said.output("data")), @r#"{"id":"1","prompt":"Add.","completion":"Thus, the answer is 3.","step_num":0,"answer":"3"}"#);
    let refused = |fields: &str| bench(&format!("fields = {{ {fields} }}"), record).run().unwrap_err();
    assert_snapshot!([
        refused("prompt = '{{instruction}}{{output}}', completion = 'why'"),
        refused("prompt = '{{meta.question}}?', completion = 'why'"),
        refused("prompt = 'x: {{x}}', completion = 'why'"),
    ].join("\n"), @r"
    /source-0.jsonl:1: `fields.prompt`: no field `output` (known: answer, instruction, meta, n, why, x)
    /source-0.jsonl:1: `fields.prompt`: `meta` has no field `question` (known: input)
    /source-0.jsonl:1: field `x` is null
    ");
    let error = parse("import", "source = { path = 'x' }\nfields = { prompt = 'Q: {{question' }")
        .err()
        .unwrap();
    assert_snapshot!(format!("{}: {}", error.path.join("."), error.problem), @"fields.prompt: `{{` is not closed: a field is written `{{question}}`");
}

/// The shapes that data sets usually have need no `fields`, and what was taken for what is noted.
#[test]
fn usual_shapes_are_known() {
    let said = |text: &str| {
        let bench = bench("", text);
        let rows = shown(&bench.output("data"));
        format!("{rows}\n  {}", bench.noted.borrow().join("\n  "))
    };
    assert_snapshot!([
        said(r#"{"id": "a", "prompt": "P", "completion": "1. x\nThus, the answer is 2."}"#),
        said("question,answer\nCapital of Peru?,Lima\n\"Of Italy?\",\"It is Rome.\nThus, the answer is Rome.\"\n"),
        said(r#"[{"instruction": "Add.", "input": "1 + 1", "output": "2"}, {"instruction": "Say a.", "input": "", "output": "a"}, {"instruction": "Say b.", "output": "b", "answer": "B"}]"#),
        said(r#"{"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}"#),
        said(r#"{"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}"#),
    ].join("\n"), @r#"
    {"id":"a","prompt":"P","completion":"1. x\nThus, the answer is 2.","step_num":1,"answer":"2"}
      1 row: prompt = "{{prompt}}", completion = "{{completion}}", answer = what the completion says last, id = "{{id}}"
    {"id":"1","prompt":"Capital of Peru?","completion":"Lima","step_num":1,"answer":"Lima"}
    {"id":"2","prompt":"Of Italy?","completion":"It is Rome.\nThus, the answer is Rome.","step_num":1,"answer":"Rome"}
      1 row: prompt = "{{question}}", completion = "{{answer}}", answer = what the completion says last, id = the number of the record
      1 row: prompt = "{{question}}", completion = "{{answer}}", answer = the whole completion, id = the number of the record
    {"id":"1","prompt":"Add.\n\n1 + 1","completion":"2","step_num":1,"answer":"2"}
    {"id":"2","prompt":"Say a.","completion":"a","step_num":1,"answer":"a"}
    {"id":"3","prompt":"Say b.","completion":"b","step_num":1,"answer":"B"}
      1 row: prompt = "{{instruction}}", completion = "{{output}}", answer = "{{answer}}", id = the number of the record
      2 rows: prompt = "{{instruction}}\n\n{{input}}", completion = "{{output}}", answer = the whole completion, id = the number of the record
    {"id":"1","prompt":"S\n\nQ","completion":"A","step_num":1,"answer":"A"}
      1 row: prompt = the user in `messages`, completion = the assistant in `messages`, answer = the whole completion, id = the number of the record
    {"id":"1","prompt":"Q","completion":"A","step_num":1,"answer":"A"}
      1 row: prompt = the user in `conversations`, completion = the assistant in `conversations`, answer = the whole completion, id = the number of the record
    "#);
    let task = Bench::new(
        "import",
        "source = { name = 'data', path = 'x' }\ntask = { label = 'capitals', doc_to_text = '{{q}}', doc_to_target = '{{a}}' }",
    );
    let task = task.text("source", "q,a\nPeru?,Lima\n");
    task.run().unwrap();
    assert_snapshot!(task.noted.borrow().join("\n"), @"1 row: prompt, completion and answer as the task makes them, id = the number of the record");
    let refused = |text: &str| bench("", text).run().unwrap_err();
    assert_snapshot!([
        refused(r#"{"question": "Q", "answer": null}"#),
        refused(r#"{"instruction": "Q", "output": " "}"#),
        refused(r#"{"question": "Q", "output": "A"}"#),
    ].join("\n"), @r"
    /source-0.jsonl:1: field `answer` is null
    /source-0.jsonl:1: field `output` is empty
    /source-0.jsonl:1: no field `prompt` (known: output, question); set its name in `fields`
    ");
}

/// What a row has of a record under the same name is not written twice; all else is kept, in its order and with its digits.
#[test]
fn rows_keep_the_fields_of_their_records() {
    let rows = |params: &str, text: &str| {
        let bench = Bench::new("import", &format!("source = {{ name = 'data', path = 'x' }}\n{params}")).text("source", text);
        shown(&bench.output("data"))
    };
    let record =
        r#"{"topic": "sums", "prompt": "1 + 1", "n": 0.10, "completion": "Thus, the answer is 2.", "more": {"b": [1, null], "a": true}}"#;
    assert_snapshot!(rows("", record), @r#"{"id":"1","prompt":"1 + 1","completion":"Thus, the answer is 2.","step_num":0,"answer":"2","doc":{"topic":"sums","n":0.10,"more":{"a":true,"b":[1,null]}}}"#);
    let fields = "fields = { prompt = 'question', completion = 'answer' }";
    let record = r#"{"question": "Q", "answer": "Thus, the answer is 3."}"#;
    assert_snapshot!(rows(fields, record), @r#"{"id":"1","prompt":"Q","completion":"Thus, the answer is 3.","step_num":0,"answer":"3","doc":{"question":"Q","answer":"Thus, the answer is 3."}}"#);
    let plain = r#"{"id": "a", "prompt": "p", "completion": "c", "step_num": 1, "answer": 2}"#;
    assert_snapshot!(rows("", plain), @r#"{"id":"a","prompt":"p","completion":"c","step_num":1,"answer":2}"#);
    let published = r#"{"question": "Q", "answer": "1 + 1 = 2\n#### 2"}"#;
    assert_snapshot!(rows("task = 'gsm8k'", published), @r#"{"id":"gsm8k/1","prompt":"Q","completion":"1 + 1 = 2\nThus, the answer is 2.","step_num":1,"answer":"2"}"#);
}

/// A task makes the question, the solution and the right answer of a record.
#[test]
fn a_task_makes_rows_of_records() {
    let rows = |task: &str, text: &str| {
        let bench = Bench::new("import", &format!("source = {{ name = 'data', path = 'x' }}\n{task}")).text("source", text);
        bench.run().map(|outputs| std::fs::read_to_string(outputs.join("data")).unwrap())
    };
    let task =
        "task = { doc_to_text = 'Capital of {{country}}?', doc_to_target = '{{capital}}', doc_to_solution = '{{why}}\\n#### {{capital}}' }";
    assert_snapshot!(rows(task, "country,capital,why\nPeru,Lima,It is\n").unwrap(), @r#"{"id": "1", "prompt": "Capital of Peru?", "completion": "It is\\n#### Lima", "step_num": 1, "answer": "Lima", "doc": {"country": "Peru", "capital": "Lima", "why": "It is"}}"#);
    let choices = "task = { output_type = 'multiple_choice', doc_to_text = '{{q}}', doc_to_choice = '{{c}}', doc_to_target = '{{gold}}' }";
    assert_snapshot!(rows(choices, r#"{"q": "2 + 2?", "c": ["3", "4"], "gold": 1}"#).unwrap(), @r#"{"id": "1", "prompt": "2 + 2?", "completion": "4", "step_num": 1, "answer": "4", "doc": {"q": "2 + 2?", "c": ["3", "4"], "gold": 1}}"#);
    assert_snapshot!(rows(task, "land,capital,why\nPeru,Lima,x\n").unwrap_err(), @"/source-0.jsonl:2: row `1`: `doc_to_text`: no field `country` (known: answer, capital, completion, id, land, prompt, step_num, why)");
}

#[test]
fn numbers_keep_their_digits_from_stage_to_stage() {
    for number in ["0.10", "1.0", "-0", "1e400", "12345678901234567890123"] {
        let text = format!(r#"{{"id": {number}, "prompt": "a", "completion": "b", "step_num": 1, "answer": {number}}}"#);
        let expected = format!("{{\"id\": \"{number}\", {}\n", &text[text.find("\"prompt").unwrap()..]);
        let source = bench("", &text);
        let imported = source.run().unwrap().join("data");
        assert_eq!(std::fs::read_to_string(&imported).unwrap(), expected);
        for (kind, port, output) in [("mix", "full", "data"), ("split", "training", "train")] {
            let next = Bench::new(kind, "").artifact(port, &imported);
            assert_eq!(
                std::fs::read_to_string(next.run().unwrap().join(output)).unwrap(),
                expected,
                "{kind}"
            );
        }
    }
    // A text is no number.
    let row = bench("", "id,prompt,completion,answer\n00012,a,b,1.0\n").output("data").remove(0);
    assert_eq!((row.id.as_str(), row.answer.as_str()), ("00012", Some("1.0")));
}

#[test]
fn an_answer_that_is_left_empty_is_read_from_the_solution() {
    let text = "id,prompt,completion,answer,step_num\n,a,\"Thus, the answer is 3.\",,\n";
    assert_snapshot!(shown(&bench("", text).output("data")), @r#"{"id":"1","prompt":"a","completion":"Thus, the answer is 3.","step_num":0,"answer":"3"}"#);
}

/// What `fields` calls the completion is not also the answer, because the column's name is `answer`.
#[test]
fn a_column_is_what_fields_says_and_not_what_its_name_says() {
    let text = r#"{"question": "Q", "answer": "Thus, the answer is 3.", "completion": "c", "prompt": "p", "step_num": 9, "id": "x"}"#;
    let rows = |fields: &str| shown(&bench(&format!("fields = {{ {fields} }}"), text).output("data"));
    assert_snapshot!(rows("prompt = 'question', completion = 'answer'"), @r#"{"id":"x","prompt":"Q","completion":"Thus, the answer is 3.","step_num":9,"answer":"3"}"#);
    assert_snapshot!(rows("prompt = 'id', completion = 'answer', answer = 'step_num'"), @r#"{"id":"1","prompt":"x","completion":"Thus, the answer is 3.","step_num":0,"answer":9}"#);
    assert_snapshot!(rows("answer = 'completion'"), @r#"{"id":"x","prompt":"p","completion":"c","step_num":9,"answer":"c"}"#);
    let refused = bench("fields = { completion = 'prompt' }", text).run().unwrap_err();
    assert_snapshot!(refused, @"/source-0.jsonl:1: `fields` gives the column `prompt` another name, so none is left for `prompt`: set `fields.prompt`");
}

#[test]
fn the_separator_is_told_or_given() {
    let text = "prompt;completion;answer\nQ, one;A;1\n";
    let expected = r#"{"id":"1","prompt":"Q, one","completion":"A","step_num":1,"answer":"1"}"#;
    assert_eq!(shown(&bench("", text).output("data")), expected);
    assert_eq!(shown(&bench("separator = ';'", text).output("data")), expected);
    let other = "prompt;a;b,completion,answer\nQ,A,1\n";
    let given = bench("separator = ','\nfields = { prompt = 'prompt;a;b' }", other);
    assert_eq!(given.output("data").len(), 1);
    let refusal = |params: &str| {
        let error = parse("import", &format!("source = {{ path = 'x' }}\n{params}")).err().unwrap();
        format!("{}: {}", error.path.join("."), error.problem)
    };
    assert_snapshot!([
        refusal("separator = ''"),
        refusal("separator = ';;'"),
        refusal("separator = 'é'"),
        refusal("separator = '\"'"),
        refusal("separator = ','\nformat = 'json'"),
        refusal("separator = ','\ntype = 'model'"),
    ].join("\n"), @r#"
    separator: `` must be one character of ASCII: `,`, `\t`, `;`, `|`
    separator: `;;` must be one character of ASCII: `,`, `\t`, `;`, `|`
    separator: `é` must be one character of ASCII: `,`, `\t`, `;`, `|`
    separator: a quote or a line end cannot separate the fields of a line
    separator: `separator` is for CSV only: leave it out, or set `format = "csv"`
    separator: `separator` is for data sets only, and `type` is `model`
    "#);
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
        refused("", r#"{"prompt": "a", "completion": null, "answer": 1}"#),
        refused("", r#"{"prompt": "a", "completion": ""}"#),
        refused("fields = { answer = 'n' }", r#"{"prompt": "a", "completion": "b", "n": null}"#),
        refused("fields = { answer = 'n' }", "prompt,completion,n\na,b,\n"),
        refused("", r#"{"prompt": "a", "completion": "b", "prompt": "c", "answer": 1}"#),
        refused("fields = { prompt = 'q' }", "q,completion,answer,q\na,b,1,c\n"),
        refused("fields = { prompt = 'm[0].x' }", r#"{"m": [{"content": "a"}], "completion": "b"}"#),
        refused("", r#"{"messages": [{"role": "user", "content": "a"}]}"#),
        refused("", r#"{"prompt": true, "completion": "b"}"#),
        refused("", &format!("{{\"prompt\": \"a\", {row}\n{{\"prompt\": \"b\", {row}")),
        refused("", "id,prompt,completion,answer\n2,a,b,1\n,a,b,1\n"),
        refused("", &format!("[{{\"prompt\": \"a\", \"step_num\": -1, {row}]")),
        refused("", "[{}]"),
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
    /source-0.jsonl:1: field `completion` is null
    /source-0.jsonl:1: field `completion` is empty
    /source-0.jsonl:1: field `n` is null
    /source-0.jsonl:2: field `n` is empty
    /source-0.jsonl:1: field `prompt` stands twice
    /source-0.jsonl:2: field `q` stands twice
    /source-0.jsonl:1: `m[0]` has no field `x` (known: content); `fields` has the path `m[0].x`
    /source-0.jsonl:1: field `messages` has no message of the user and one of the assistant after it
    /source-0.jsonl:1: field `prompt` is true or false, and must be a text or a number
    /source-0.jsonl:2: the id `1` appears twice
    /source-0.jsonl:3: the id `2` appears twice (the record has none, so it is its number)
    /source-0.jsonl:1: record 1 of the list: the number of steps is -1, and must be a whole number from 0
    /source-0.jsonl:1: record 1 of the list: no field `prompt`: the record is empty
    /source-0.jsonl:1: the solution has no line `#### …` with the answer
    source `data` has no file `test*` (known: source-0.jsonl)
    source `data` has no records
    /source-0.jsonl: not a Parquet file that can be read: EOF: Parquet file too small. Size is 2 but need 8
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
        refusal("source = { path = 'x' }\ntask = 'nosuch'"),
        refusal("source = { path = 'x' }\nformat = 'xml'"),
        refusal("source = { path = 'x' }\nfields = { question = 'q' }"),
        refusal("source = { path = 'x' }\ntype = 'image'"),
        refusal("source = { path = 'x' }\ntype = 'file'\nformat = 'csv'"),
    ];
    assert_snapshot!(said.join("\n"), @r"
    : a field `source` is missing
    source: no source `data`
    source: source `data` says no place: give `path`, `url` or `hub`
    source.sha256: `1` is no digest (64 hexadecimal digits)
    task.name: no `nosuch` (known: addition, algebra, basics, direction, gsm8k)
    format: no `xml` (known: auto, jsonl, json, csv, parquet)
    fields.question: no field `question` (known: id, prompt, completion, step_num, answer)
    type: no `image` (known: dataset, model, file)
    format: `format` is for data sets only, and `type` is `file`
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
