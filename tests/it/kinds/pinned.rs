//! Keys hold from one release to the next.

use lab::fingerprint::Fingerprint;
use lab::hash::Digest;
use serde_json::{Value, json};

use super::bench::{kind, parse_given};

/// By kind: its params in TOML, the inputs that are given, and the start of the stage's key.
const KEYS: [(&str, &str, &[&str], &str); 27] = [
    (
        "command",
        "run = ['sh', '-c', 'true']\noutputs = { x = 'file' }",
        &[],
        "9398d3986e65",
    ),
    (
        "command",
        "run = ['sh', '-c', 'true']\noutputs = { x = 'file' }\nparams = { a = 1, b = [1.5, 'x'] }\nenv = { A = 'b' }\nthreaded = true",
        &["data"],
        "3480466a0b83",
    ),
    ("filter", "", &["answers"], "3993d2cd6779"),
    ("filter", "steps = 'valid'", &["answers"], "066618d6804d"),
    ("generate", "task = 'addition'", &[], "d6fb0947a353"),
    (
        "generate",
        "task = 'addition'\nrandom_start = 0.0\nleading_zeros = false",
        &[],
        "d6fb0947a353",
    ),
    ("generate", "task = 'algebra'", &[], "73cdc3ca48af"),
    ("generate", "task = 'direction'", &[], "89049bde7367"),
    ("generate", "task = 'basics'", &[], "31307d896fdb"),
    ("import", "source = { path = 'x' }\ntask = 'gsm8k'", &[], "66c87bbd51f4"),
    (
        "import",
        "source = { path = 'x' }\nfields = { prompt = 'question', completion = 'a.b[0]' }\ndoc = false",
        &[],
        "1555ee1364db",
    ),
    ("measure", "", &["answers"], "2c8533bbfa5d"),
    ("mix", "", &["full"], "eeca35f867db"),
    ("sample", "", &["model", "data"], "493cf0338aed"),
    (
        "sample",
        "endpoint = 'http://127.0.0.1:1/v1'\nserved = 'x'\nprompt = 'numbered'\nmax_tokens = 9\ntemperature = 0.7\ntop_p = 0.9\nsamples = 2",
        &["data"],
        "ddf0b407d5cf",
    ),
    ("select", "", &["data"], "3b73a1499452"),
    (
        "select",
        "where = [{ field = 'level', min = 2 }]\nduplicates = 'near'\nselect_num = 10\norder = 'shuffle'\nstratify = 'level'",
        &["data"],
        "bd3e39f4da92",
    ),
    (
        "select",
        "decontaminate_n = 8\ntopk = 2\nper = 'answer'",
        &["data", "decontaminate"],
        "cb264ac5f519",
    ),
    ("mix", "weights = [3, 1]\nsize = 100", &["data"], "447fd2ab841e"),
    (
        "split",
        "steps = 1\ntrain = 1\ndevelopment = 1",
        &["training", "testing"],
        "8a799def5a72",
    ),
    ("train", "", &["data"], "84ca8e86264a"),
    (
        "train",
        "lora = { rank = 4 }\nepochs = 2\naccumulate = 2",
        &["data", "base"],
        "c3cdc61c6f04",
    ),
    (
        "train",
        "frozen = ['model.embed_tokens.weight']\nprompt = 'numbered'",
        &["data"],
        "02eec411cb5d",
    ),
    (
        "train",
        "model = { width = 32, heads = 2, head_dim = 8, qkv_bias = true }\nsteps = 7",
        &["data"],
        "003b6f77cec4",
    ),
    ("train", "model = { positions = 'lines' }", &["data"], "84ca8e86264a"),
    ("train", "", &["data", "validation"], "6548d6694067"),
    (
        "train",
        "validate_every = 10\npatience = 3\nkeep = 'best'",
        &["data", "validation"],
        "16695fe7a41d",
    ),
];

fn key(name: &str, params: &str, given: &[&str]) -> Digest {
    let kind = kind(name);
    let stage = parse_given(name, params, given).unwrap();
    let mut fingerprint = Fingerprint::new(name, kind.version, kind.key_params(stage.as_ref()));
    fingerprint.seed = stage.draws().then_some(1);
    fingerprint.numerics = stage.numerics();
    let input = |port: &&str| ((*port).to_owned(), vec![Digest::of(port.as_bytes())]);
    fingerprint.inputs = given.iter().map(input).collect();
    fingerprint.key()
}

#[test]
fn keys_are_what_they_were() {
    let mut changed = Vec::new();
    for (kind, params, given, pinned) in KEYS {
        let found = key(kind, params, given).short();
        if found != pinned {
            changed.push(format!("{kind}, {params:?}: {pinned:?} is now {found:?}"));
        }
    }
    assert!(
        changed.is_empty(),
        "stages in every store get other keys and run again. A param that was added needs the value that was implied before it existed, in \
         the `implied` of its kind. Where the outputs of a kind change, raise its `version` and put the new keys into `KEYS`:\n{}",
        changed.join("\n")
    );
}

/// What a worker, or `cache verify --rerun`, reads from a key is the stage that the key was made for.
#[test]
fn implied_values_are_read_back_from_a_key() {
    for (name, params, given, _) in KEYS {
        let (kind, stage) = (kind(name), parse_given(name, params, given).unwrap());
        let written = kind.with_implied(kind.key_params(stage.as_ref()));
        assert_eq!(written, stage.params(), "{name}, {params:?}");
    }
}

/// An implied value counts for the key alone: other values of the param are in it.
#[test]
fn a_param_at_its_implied_value_is_no_part_of_the_key() {
    let params = |toml: &str| kind("train").key_params(parse_given("train", toml, &["data"]).unwrap().as_ref());
    let bare = params("");
    assert_eq!(params("frozen = []\nmodel = { head_dim = 0, positions = 'lines' }"), bare);
    assert_eq!(bare["frozen"], Value::Null);
    assert_eq!(params("frozen = ['model.norm.weight']")["frozen"], json!(["model.norm.weight"]));
    assert_eq!(params("model = { head_dim = 8 }")["model"]["head_dim"], json!(8));
    let places = json!({"kind": "places", "rows": 20, "top": 11, "wide": 0});
    assert_eq!(
        params("model = { positions = { kind = 'places', rows = 20 } }")["model"]["positions"],
        places
    );
}
