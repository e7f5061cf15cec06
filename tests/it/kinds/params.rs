//! The params of the kinds: defaults, what is refused, the schema.

use insta::{allow_duplicates, assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};

use super::bench::{kind, parse, parse_given};

/// The params as they enter the key.
fn key_params(name: &str, params: &str) -> Value {
    kind(name).key_params(parse(name, params).unwrap().as_ref())
}

fn refusal(kind: &str, params: &str) -> String {
    let error = parse(kind, params).err().unwrap();
    format!("{}: {}", error.path.join("."), error.problem)
}

#[test]
fn defaults_enter_the_key() {
    for (kind, params) in [
        ("mix", ""),
        ("filter", ""),
        ("eval", ""),
        ("measure", ""),
        ("sample", ""),
        ("train", ""),
    ] {
        let explicit = parse(kind, params).unwrap().params();
        assert!(explicit.is_object(), "{kind}");
    }
    assert_json_snapshot!(key_params("sample", ""), @r#"
    {
      "ask": [
        -1,
        -2
      ],
      "dtype": "f32",
      "engine": "cpu",
      "max_tokens": 0,
      "samples": 1,
      "stop": [],
      "temperature": 0.0,
      "top_k": null,
      "top_p": null
    }
    "#);
    assert_json_snapshot!(key_params("mix", ""), @r#"
    {
      "mode": "new"
    }
    "#);
    assert_json_snapshot!(parse("generate", "task = 'addition'").unwrap().params(), @r#"
    {
      "development": 1000,
      "digits": {
        "a": [
          1,
          3
        ],
        "b": [
          1,
          3
        ],
        "longer_first": true
      },
      "digits_easy": {
        "a": [
          4,
          7
        ],
        "b": [
          1,
          3
        ],
        "longer_first": true
      },
      "digits_hard": {
        "a": [
          4,
          7
        ],
        "b": [
          4,
          7
        ],
        "longer_first": false
      },
      "in_domain": 1000,
      "merge": "any",
      "ood_easy": 1200,
      "ood_hard": 1600,
      "skip_share": 1.0,
      "start": "cold",
      "swapped": false,
      "task": "addition",
      "train": 2855
    }
    "#);
}

#[test]
fn a_default_that_is_written_out_changes_nothing() {
    for (kind, params) in [
        ("sample", "ask = [-1, -2]\ntemperature = 0\nstop = []"),
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
    assert_snapshot!(refusal("generate", ""), @": a field `task` is missing");
    assert_snapshot!(refusal("generate", "task = 'aditon'"), @"task: no `aditon` (known: addition, algebra, basics, direction)");
    assert_snapshot!(refusal("generate", "task = 'addition'\ntrain = 9\ndigits = { a = [1, 1], b = [1, 1] }"), @"train: `train`, `development` and `in_domain` ask together for 2009 problems, and `digits` allows 45 different ones (a + b and b + a are one); ask for fewer, or allow more digits");
    assert_snapshot!(refusal("generate", "task = 'addition'\ntrian = 9"), @"trian: no field `trian` (known: start, train, development, in_domain, ood_easy, ood_hard, skip_share, digits, digits_easy, digits_hard, swapped, merge, random_start, leading_zeros)");
    assert_snapshot!(refusal("mix", "mode = 'old'"), @"mode: no `old` (known: new, cont, only-skip)");
    assert_snapshot!(refusal("filter", "steps = 'sound'"), @"steps: no `sound` (known: any, valid)");
    assert_snapshot!(refusal("sample", "ask = [-1, -1]"), @"ask: -1 appears twice");
    assert_snapshot!(refusal("sample", "samples = 0"), @"samples: 0 is too small, it must be at least 1");
    assert_snapshot!(refusal("sample", "samples = 4"), @"samples: 4 samples of a request are all equal at temperature 0; set `temperature`");
    assert_snapshot!(refusal("sample", "temperature = -0.5"), @"temperature: -0.5 is out of range, it must be a number from 0 on");
    assert_snapshot!(refusal("sample", "temperature = 1\ntop_p = 0"), @"top_p: 0 is out of range, it must be above 0 and at most 1");
    assert_snapshot!(refusal("sample", "temperature = 1\ntop_k = 0"), @"top_k: 0 is too small, it must be at least 1");
    for kind in ["sample", "eval"] {
        allow_duplicates! {
            assert_snapshot!(refusal(kind, "stop = ['a', '']"), @"stop: an empty text would end every response before it starts");
        }
    }
    assert_snapshot!(refusal("eval", "ask = []"), @"ask: the list is empty; `[0]` asks for the full number of steps");
    assert_snapshot!(refusal("eval", "ask = 'less'"), @r#"ask: must be a list, not the text "less""#);
    assert_snapshot!(refusal("train", "learning_rat = 1e-3"), @"learning_rat: no field `learning_rat` (known: model, tokenizer, prompt, steps, epochs, batch, accumulate, curriculum, learning_rate, warmup, schedule, beta1, beta2, epsilon, weight_decay, clip, …)");
}

#[test]
fn what_is_frozen_is_checked_against_the_model_and_left_out_where_it_is_nothing() {
    assert_snapshot!(refusal("train", "frozen = ['model.layers.2.*']").split(" (known").next().unwrap(), @"frozen: `frozen` has the pattern `model.layers.2.*`, which matches no weight");
    assert_snapshot!(refusal("train", "frozen = ['*']"), @"frozen: `frozen` matches all weights; nothing would be trained");
    assert_snapshot!(refusal("train", "frozen = ['model.norm.weight']\nengine = 'candle'"), @r#"frozen: the engine `candle` cannot freeze weights; set `engine = "cpu"` to use `frozen`"#);
    let params = |params| key_params("train", params);
    assert_eq!(params("frozen = []"), params(""));
    assert_eq!(params("").get("frozen"), None);
    assert_ne!(params("frozen = ['model.norm.weight']"), params(""));
}

#[test]
fn params_of_the_held_out_loss_need_a_validation_set() {
    for (params, message) in [
        (
            "validate_every = 5",
            "validate_every: `validate_every` is about the held-out loss; name the data set that it is computed on as `validation`, or leave it out",
        ),
        (
            "patience = 5",
            "patience: `patience` is about the held-out loss; name the data set that it is computed on as `validation`, or leave it out",
        ),
        (
            "keep = 'best'",
            "keep: `keep` is about the held-out loss; name the data set that it is computed on as `validation`, or leave it out",
        ),
    ] {
        let error = parse_given("train", params, &["data"]).err().unwrap();
        assert_eq!(format!("{}: {}", error.path.join("."), error.problem), message);
        assert!(parse_given("train", params, &["data", "validation"]).is_ok(), "{params}");
    }
    assert_snapshot!(refusal("train", "patience = 0"), @"patience: 0 is too small, it must be at least 1");
    assert_snapshot!(refusal("train", "validate_every = 0"), @"validate_every: 0 is too small, it must be at least 1");
    assert_snapshot!(refusal("train", "keep = 'first'"), @r#"keep: no `first` (known: last, best)"#);
    // What says nothing else than before is no part of the key.
    let params = |params: &str| kind("train").key_params(parse_given("train", params, &["data", "validation"]).unwrap().as_ref());
    assert_eq!(params("keep = 'last'"), key_params("train", ""));
    assert_eq!(params("patience = 2")["patience"], json!(2));
}

#[test]
fn a_base_brings_its_tokenizer_and_its_shape() {
    let wrong = |params, given: &[&str]| {
        let error = parse_given("train", params, given).err().unwrap();
        format!("{}: {}", error.path.join("."), error.problem)
    };
    assert_snapshot!(wrong("tokenizer = 'word'", &["data", "base"]), @r#"tokenizer: with a `base` the tokenizer is the base's; leave it out, or write "auto""#);
    assert_snapshot!(wrong("", &["base", "data", "vocabulary"]), @"vocabulary: with a `base` the tokenizer is the base's; give `vocabulary` to the base's training");
    // Without a base the default is written out, so that it may be left out; with one, nothing is said of the shape.
    let params = |params, given: &[&str]| kind("train").key_params(parse_given("train", params, given).unwrap().as_ref());
    assert_eq!(params("", &["data"]), params("model = 'tiny'", &["data", "vocabulary"]));
    assert_eq!(params("", &["data", "base"]).get("model"), None);
    let small = parse("train", "model = 'small'").unwrap();
    let takes = |params| {
        let stage = parse_given("train", params, &["data", "base"]).unwrap();
        let found = stage.accepts("base", small.as_ref());
        found
            .err()
            .map_or("yes".to_owned(), |error| format!("{}: {}", error.path.join("."), error.problem))
    };
    assert_eq!(takes(""), "yes");
    assert_eq!(takes("model = { width = 128, layers = 3, kv_heads = 4 }"), "yes");
    assert_snapshot!(takes("model = 'tiny'"), @"model: `model` has width 64, but the base has 128; leave `model` out to use the base's, or train a base of that shape");
}

#[test]
fn the_table_is_in_order_and_its_schemas_describe_every_param() {
    let names: Vec<&str> = ::kinds::kinds().iter().map(|kind| kind.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    for kind in ::kinds::kinds() {
        let schema = json!((kind.schema)());
        let tasks = kinds::task::drawn_names().iter().map(|task| format!("task = '{task}'"));
        let params: Vec<String> = match kind.name {
            "generate" => tasks.collect(),
            "command" => vec!["run = ['true']\noutputs = { data = 'file' }".to_owned()],
            "import" => vec!["source = { path = 'x' }".to_owned()],
            _ => vec![String::new()],
        };
        for params in params {
            let Value::Object(params) = parse(kind.name, &params).unwrap().params() else {
                panic!("{}", kind.name)
            };
            for name in params.keys() {
                assert!(schema["properties"][name].is_object(), "{}.{name} has no schema", kind.name);
            }
        }
        assert_eq!(schema["additionalProperties"], json!(false), "{}", kind.name);
    }
    assert_json_snapshot!((kind("mix").schema)(), @r##"
    {
      "$schema": "https://json-schema.org/draft/2020-12/schema",
      "title": "Mix",
      "description": "How full-step rows and skips are put together, or any data sets in proportions.",
      "type": "object",
      "properties": {
        "mode": {
          "description": "Which rows of `full` and `skips` are taken.",
          "$ref": "#/$defs/Mode",
          "default": "new"
        },
        "order": {
          "description": "The order of the rows.",
          "$ref": "#/$defs/RowOrder",
          "default": "shuffle"
        },
        "repetitions": {
          "description": "How often each row of the data sets of `data` is in the mixture, in their order; of a fraction, as many rows by chance.",
          "type": [
            "array",
            "null"
          ],
          "default": null,
          "items": {
            "type": "number",
            "format": "double"
          }
        },
        "size": {
          "description": "The number of rows of a mixture of `data`. Left out, with `weights`: as many as there can be without repeating one.",
          "type": [
            "integer",
            "null"
          ],
          "format": "uint",
          "default": null,
          "minimum": 0
        },
        "weights": {
          "description": "The shares of the data sets of `data` in the mixture, as weights in their order.",
          "type": [
            "array",
            "null"
          ],
          "default": null,
          "items": {
            "type": "number",
            "format": "double"
          }
        }
      },
      "additionalProperties": false,
      "$defs": {
        "Mode": {
          "description": "Which rows are taken.",
          "oneOf": [
            {
              "description": "All full-step rows and all skips.",
              "type": "string",
              "const": "new"
            },
            {
              "description": "All skips, and as many full-step rows, chosen at random.",
              "type": "string",
              "const": "cont"
            },
            {
              "description": "All skips.",
              "type": "string",
              "const": "only-skip"
            }
          ]
        },
        "RowOrder": {
          "description": "The order of rows. Rows that are equal in it stay as they come.",
          "oneOf": [
            {
              "description": "As the rows come.",
              "type": "string",
              "const": "as_is"
            },
            {
              "description": "At random, by the seed.",
              "type": "string",
              "const": "shuffle"
            },
            {
              "description": "By the number of steps, the smallest first.",
              "type": "string",
              "const": "fewest_steps"
            },
            {
              "description": "By the number of steps, the largest first.",
              "type": "string",
              "const": "most_steps"
            },
            {
              "description": "By the number of tokens that the model wrote, the smallest first; of answers alone.",
              "type": "string",
              "const": "fewest_tokens"
            },
            {
              "description": "By the number of tokens that the model wrote, the largest first; of answers alone.",
              "type": "string",
              "const": "most_tokens"
            },
            {
              "description": "By the number of characters of the solution, the smallest first.",
              "type": "string",
              "const": "fewest_characters"
            },
            {
              "description": "By the number of characters of the solution, the largest first.",
              "type": "string",
              "const": "most_characters"
            },
            {
              "description": "By a field, the lowest first: `{ lowest = \"difficulty\" }`. Numbers come before texts, and null last.",
              "type": "object",
              "properties": {
                "lowest": {
                  "type": "string"
                }
              },
              "additionalProperties": false,
              "required": [
                "lowest"
              ]
            },
            {
              "description": "By a field, the highest first: `{ highest = \"score\" }`. Numbers come before texts, and null last.",
              "type": "object",
              "properties": {
                "highest": {
                  "type": "string"
                }
              },
              "additionalProperties": false,
              "required": [
                "highest"
              ]
            }
          ]
        }
      }
    }
    "##);
}
