//! The params of the kinds: defaults, what is refused, the schema.

use insta::{assert_json_snapshot, assert_snapshot};
use runner::stage;
use serde_json::{Value, json};

use super::bench::{kind, parse};

fn refusal(kind: &str, params: &str) -> String {
    let error = parse(kind, params).err().unwrap();
    format!("{}: {}", error.path.join("."), error.kind)
}

#[test]
fn defaults_enter_the_key() {
    for (kind, params) in [("mix", ""), ("filter", ""), ("eval", ""), ("sample", ""), ("train", "")] {
        let explicit = parse(kind, params).unwrap().params();
        assert!(explicit.is_object(), "{kind}");
    }
    assert_json_snapshot!(parse("sample", "").unwrap().params(), @"");
    assert_json_snapshot!(parse("eval", "").unwrap().params(), @"");
    assert_json_snapshot!(parse("mix", "").unwrap().params(), @"");
    assert_json_snapshot!(parse("generate", "task = 'addition'").unwrap().params(), @"");
}

#[test]
fn a_default_that_is_written_out_changes_nothing() {
    for (kind, params) in [
        ("sample", "ask = [-1, -2]\ntemperature = 0"),
        ("eval", "ask = [0]"),
        ("mix", "mode = 'new'"),
        ("generate", "task = 'addition'\ntrain = 2855"),
        ("train", "prompt = 'plain'"),
    ] {
        let short = if kind == "generate" { "task = 'addition'" } else { "" };
        assert_eq!(
            parse(kind, params).unwrap().params(),
            parse(kind, short).unwrap().params(),
            "{kind}"
        );
    }
}

#[test]
fn only_what_draws_has_a_seed() {
    let draws = |kind, params| parse(kind, params).unwrap().draws();
    assert!(draws("generate", "task = 'addition'") && draws("mix", "") && draws("train", ""));
    assert!(!draws("filter", "") && !draws("eval", "") && !draws("sample", ""));
    assert!(draws("sample", "temperature = 0.7"));
}

#[test]
fn wrong_params_are_refused() {
    assert_snapshot!(refusal("generate", ""), @"");
    assert_snapshot!(refusal("generate", "task = 'aditon'"), @"");
    assert_snapshot!(refusal("generate", "task = 'addition'\ntrain = 9\ndigits = { a = [1, 1], b = [1, 1] }"), @"");
    assert_snapshot!(refusal("generate", "task = 'addition'\ntrian = 9"), @"");
    assert_snapshot!(refusal("mix", "mode = 'old'"), @"");
    assert_snapshot!(refusal("filter", "steps = 1"), @"");
    assert_snapshot!(refusal("sample", "ask = [-1, -1]"), @"");
    assert_snapshot!(refusal("sample", "samples = 0"), @"");
    assert_snapshot!(refusal("sample", "samples = 4"), @"");
    assert_snapshot!(refusal("sample", "temperature = -0.5"), @"");
    assert_snapshot!(refusal("sample", "temperature = 1\ntop_p = 0"), @"");
    assert_snapshot!(refusal("sample", "temperature = 1\ntop_k = 0"), @"");
    assert_snapshot!(refusal("eval", "ask = []"), @"");
    assert_snapshot!(refusal("eval", "ask = 'less'"), @"");
    assert_snapshot!(refusal("train", "learning_rat = 1e-3"), @"");
}

#[test]
fn the_table_is_in_order_and_its_schemas_describe_every_param() {
    let names: Vec<&str> = stage::kinds().iter().map(|kind| kind.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    for kind in stage::kinds() {
        let schema = json!((kind.schema)());
        let params = match kind.name {
            "generate" => parse("generate", "task = 'addition'"),
            name => parse(name, ""),
        };
        let Value::Object(params) = params.unwrap().params() else {
            panic!("{}", kind.name)
        };
        for name in params.keys() {
            assert!(schema["properties"][name].is_object(), "{}.{name} has no schema", kind.name);
        }
        assert_eq!(schema["additionalProperties"], json!(false), "{}", kind.name);
    }
    assert_json_snapshot!((kind("mix").schema)(), @"");
}
