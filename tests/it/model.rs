//! A model's folder: what is written is read back, other programs' files are understood, and damage is named.

use std::path::Path;

use learn::dataset::Prompt;
use learn::model::{self, Architecture, Llama3Scaling, LongRope, Model, Places, RopeScaling, TokenPositions, initialise};
use learn::tokenizer::{Tokenizer, TokenizerStyle};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

pub(super) fn model(architecture: &Architecture) -> Model {
    let tokenizer = Tokenizer::build(TokenizerStyle::Phrase, ["Question: 1 + 2\nAnswer:\n", "Thus, the answer is 3."]).unwrap();
    let shape = architecture.shape(tokenizer.vocabulary()).unwrap();
    Model {
        weights: initialise(&shape, 1),
        shape,
        tokenizer,
        prompt: Prompt::text(Prompt::NUMBERED),
        chat: None,
    }
}

pub(super) fn small() -> Architecture {
    Architecture {
        width: 8,
        heads: 2,
        layers: 1,
        ..Architecture::default()
    }
}

/// A folder with the model of [`small`].
fn saved() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    model(&small()).save(folder.path()).unwrap();
    folder
}

/// Changes fields of `config.json`.
pub(super) fn edit(folder: &Path, changes: &Value) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (field, value) in changes.as_object().unwrap() {
        config[field] = value.clone();
    }
    std::fs::write(&path, config.to_string()).unwrap();
}

/// The message for a folder that cannot be loaded, without the folder's path.
pub(super) fn message(folder: &Path) -> String {
    let error = model::load(folder).err().unwrap().to_string();
    error.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn what_is_read_is_what_was_written() {
    let untied = Architecture {
        tied: false,
        lines: 0,
        kv_heads: 1,
        ..small()
    };
    for architecture in [small(), untied] {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let model = model(&architecture);
        model.save(first.path()).unwrap();
        let loaded = model::load(first.path()).unwrap();
        assert!(loaded.shape == model.shape && loaded.weights == model.weights && loaded.prompt == model.prompt);
        loaded.save(second.path()).unwrap();
        for name in ["config.json", "model.safetensors", "tokenizer.json", "prompt.json"] {
            let read = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
            assert!(read(first.path()) == read(second.path()), "{name}");
        }
    }
}

#[test]
fn the_config_is_hugging_faces() {
    let folder = saved();
    insta::assert_snapshot!(std::fs::read_to_string(folder.path().join("config.json")).unwrap(), @r#"
    {
      "architectures": [
        "RunnerForCausalLM"
      ],
      "model_type": "runner",
      "vocab_size": 33,
      "hidden_size": 8,
      "intermediate_size": 32,
      "num_hidden_layers": 1,
      "num_attention_heads": 2,
      "num_key_value_heads": 2,
      "head_dim": 4,
      "hidden_act": "silu",
      "max_position_embeddings": 1024,
      "rms_norm_eps": 0.00001,
      "rope_theta": 10000.0,
      "rope_scaling": null,
      "attention_bias": false,
      "mlp_bias": false,
      "tie_word_embeddings": true,
      "pad_token_id": 0,
      "bos_token_id": null,
      "eos_token_id": 1,
      "torch_dtype": "float32",
      "line_positions": 64,
      "column_positions": 64,
      "runner_format": 1
    }
    "#);
}

/// Other programs, and earlier versions of this one, must not take it for a model whose positions they know.
#[test]
fn a_model_that_knows_places_says_so() {
    let places = Places { rows: 6, top: 3, wide: 2 };
    let model = model(&Architecture {
        positions: TokenPositions::Places(places),
        ..small()
    });
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    model.save(first.path()).unwrap();
    let loaded = model::load(first.path()).unwrap();
    assert_eq!((&loaded.shape, &loaded.weights), (&model.shape, &model.weights));
    assert_eq!(loaded.weights["model.embed_places.weight"].shape, [18, 8]);
    loaded.save(second.path()).unwrap();
    for name in ["config.json", "model.safetensors"] {
        let read = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
        assert!(read(first.path()) == read(second.path()), "{name}");
    }
    let config: Value = serde_json::from_slice(&std::fs::read(first.path().join("config.json")).unwrap()).unwrap();
    insta::assert_snapshot!(
        ["architectures", "model_type", "rope_theta", "line_positions", "positions", "runner_format"].map(|field| config[field].to_string()).join(" "),
        @r#"["RunnerForCausalLM"] "runner" null null {"kind":"places","rows":6,"top":3,"wide":2} 2"#
    );
}

#[test]
fn biases_make_a_qwen2_and_scaled_positions_and_wide_heads_stay() {
    let architecture = Architecture {
        head_dim: 6,
        qkv_bias: true,
        rope_scaling: Some(Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192,
        }),
        lines: 0,
        columns: 0,
        ..small()
    };
    let model = model(&architecture);
    assert_eq!(model.weights["model.layers.0.self_attn.q_proj.bias"].data, [0.0; 12]);
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path()).unwrap();
    let loaded = model::load(folder.path()).unwrap();
    assert_eq!((&loaded.shape, &loaded.weights), (&model.shape, &model.weights));
    // As Transformers 5 writes it: all about positions in one place, and the window that is not used.
    edit(
        folder.path(),
        &json!({
            "rope_theta": null,
            "rope_scaling": null,
            "rope_parameters": {
                "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
            "sliding_window": 16,
        }),
    );
    assert_eq!(model::load(folder.path()).unwrap().shape, model.shape);
    model.save(folder.path()).unwrap();
    insta::assert_snapshot!(std::fs::read_to_string(folder.path().join("config.json")).unwrap(), @r#"
    {
      "architectures": [
        "Qwen2ForCausalLM"
      ],
      "model_type": "qwen2",
      "vocab_size": 33,
      "hidden_size": 8,
      "intermediate_size": 32,
      "num_hidden_layers": 1,
      "num_attention_heads": 2,
      "num_key_value_heads": 2,
      "head_dim": 6,
      "hidden_act": "silu",
      "max_position_embeddings": 1024,
      "rms_norm_eps": 0.00001,
      "rope_theta": 10000.0,
      "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192
      },
      "mlp_bias": false,
      "tie_word_embeddings": true,
      "pad_token_id": 0,
      "bos_token_id": null,
      "eos_token_id": 1,
      "torch_dtype": "float32",
      "runner_format": 1
    }
    "#);
}

/// Within the context of the first training, which is what is written.
#[test]
fn long_rope_is_that_of_the_first_context() {
    let model = model(&Architecture {
        lines: 0,
        columns: 0,
        ..small()
    });
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path()).unwrap();
    let read = |magnitude: f64| {
        let loaded = model::load(folder.path()).unwrap();
        let divisors = vec![1.05, 1.9];
        let scaling = Some(RopeScaling::LongRope(LongRope { divisors, magnitude }));
        assert_eq!((loaded.shape.context, &loaded.shape.rope_scaling), (64, &scaling));
        loaded
    };
    // As Phi-3 has it, and as Transformers 5 writes it; the magnitude by hand: √(1 + ln 16 / ln 64) = √(5/3).
    let lists = json!({"type": "longrope", "short_factor": [1.05, 1.9], "long_factor": [4.0, 30.0]});
    edit(
        folder.path(),
        &json!({"rope_scaling": lists, "max_position_embeddings": 1024, "original_max_position_embeddings": 64}),
    );
    let loaded = read((5.0f64 / 3.0).sqrt());
    let again = tempfile::tempdir().unwrap();
    loaded.save(again.path()).unwrap();
    assert_eq!(model::load(again.path()).unwrap().shape, loaded.shape);
    let config: Value = serde_json::from_slice(&std::fs::read(again.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(config["max_position_embeddings"], json!(64));
    assert_eq!(
        config["rope_scaling"],
        json!({
            "rope_type": "longrope", "short_factor": [1.05, 1.9], "long_factor": [1.05, 1.9], "attention_factor": (5.0f64 / 3.0).sqrt(),
            "original_max_position_embeddings": 64,
        })
    );
    edit(
        folder.path(),
        &json!({
            "rope_theta": null, "rope_scaling": null, "original_max_position_embeddings": null,
            "rope_parameters": {
                "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.05, 1.9], "long_factor": [4.0, 30.0],
                "attention_factor": 1.25, "original_max_position_embeddings": 64,
            },
        }),
    );
    read(1.25);
}

#[test]
fn only_without_learned_positions_is_a_model_a_llama_or_a_qwen2() {
    let name = |lines, columns, qkv_bias| {
        let architecture = Architecture {
            lines,
            columns,
            qkv_bias,
            ..small()
        };
        let (folder, model) = (tempfile::tempdir().unwrap(), model(&architecture));
        model.save(folder.path()).unwrap();
        assert_eq!(model::load(folder.path()).unwrap().shape, model.shape);
        let config: Value = serde_json::from_slice(&std::fs::read(folder.path().join("config.json")).unwrap()).unwrap();
        format!(
            "{} {}",
            config["architectures"][0].as_str().unwrap(),
            config["model_type"].as_str().unwrap()
        )
    };
    assert_eq!(name(0, 0, false), "LlamaForCausalLM llama");
    assert_eq!(name(0, 0, true), "Qwen2ForCausalLM qwen2");
    for (lines, columns, qkv_bias) in [(64, 0, false), (0, 64, false), (64, 64, true)] {
        assert_eq!(name(lines, columns, qkv_bias), "RunnerForCausalLM runner");
    }
    // As they were called before.
    let folder = saved();
    let shape = model::load(folder.path()).unwrap().shape;
    edit(
        folder.path(),
        &json!({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}),
    );
    assert_eq!(model::load(folder.path()).unwrap().shape, shape);
}

#[test]
fn half_precision_and_a_repeated_head_are_understood() {
    let folder = saved();
    let model = model::load(folder.path()).unwrap();
    let bytes: Vec<(String, Dtype, Vec<u8>, Vec<usize>)> = model
        .weights
        .iter()
        .chain([(&"lm_head.weight".to_owned(), &model.weights["model.embed_tokens.weight"])])
        .map(|(name, array)| {
            let (dtype, bytes) = if name.contains("mlp") {
                (
                    Dtype::F16,
                    array.data.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect(),
                )
            } else {
                (
                    Dtype::BF16,
                    array.data.iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect(),
                )
            };
            (name.clone(), dtype, bytes, array.shape.clone())
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, dtype, bytes, shape)| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    std::fs::write(
        folder.path().join("model.safetensors"),
        safetensors::serialize(views, None).unwrap(),
    )
    .unwrap();
    let widened = model::load(folder.path()).unwrap();
    for (name, array) in &model.weights {
        let pairs = array.data.iter().zip(&widened.weights[name].data);
        assert!(pairs.clone().all(|(a, b)| (a - b).abs() <= a.abs() / 128.0), "{name}");
        assert!(name.contains("norm") || pairs.clone().any(|(a, b)| a != b), "{name}");
    }
}

#[test]
fn what_the_config_asks_for_in_vain_is_named() {
    let cases = [
        json!({"architectures": ["GPT2LMHeadModel"]}),
        json!({"hidden_act": "gelu"}),
        json!({"rope_scaling": {"type": "linear"}}),
        json!({"rope_parameters": {"rope_type": "yarn"}}),
        json!({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}}),
        json!({"rope_scaling": {"type": "longrope"}}),
        json!({"rope_scaling": {"type": "longrope", "short_factor": [1, 2, 3]}}),
        json!({"rope_scaling": {"type": "longrope", "short_factor": [1, -2]}}),
        json!({"rope_scaling": {"type": "su", "short_factor": [1, 2]}}),
        json!({"rope_scaling": {"type": "longrope", "short_factor": [1, 2]}, "original_max_position_embeddings": 1}),
        json!({"rope_scaling": {"type": "longrope", "short_factor": [1, 2], "original_max_position_embeddings": 0}}),
        json!({"head_dim": 64}),
        json!({"head_dim": 3}),
        json!({"attention_bias": true}),
        json!({"architectures": ["Qwen2ForCausalLM"]}),
        json!({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}),
        json!({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}),
        json!({"num_attention_heads": 3, "head_dim": null}),
        json!({"hidden_size": 16, "head_dim": null}),
        json!({"runner_format": 3}),
        json!({"positions": {"kind": "places", "rows": 18, "top": 11}, "line_positions": 0, "column_positions": 0}),
        json!({"positions": {"kind": "angles"}}),
        json!({"positions": {"kind": "places", "rows": 18, "top": 11, "wide": 0}}),
        json!({"positions": {"kind": "places", "rows": 5, "top": 11, "wide": 0}, "line_positions": 0, "column_positions": 0}),
        json!({"positions": {"kind": "places", "rows": 18, "top": 11, "wide": 0}, "line_positions": 0, "column_positions": 0}),
        json!({"vocab_size": "many"}),
    ];
    let messages = cases.map(|changes| {
        let folder = saved();
        edit(folder.path(), &changes);
        message(folder.path())
    });
    insta::assert_snapshot!(messages.join("\n"), @r#"
    config.json: architectures is ["GPT2LMHeadModel"], but only that of a Llama, Mistral, Qwen2, Qwen3 or Phi-3 is supported
    config.json: hidden_act is "gelu", but only "silu" is supported
    config.json: `rope_scaling.factor` is missing
    config.json: `rope_parameters.factor` is missing
    config.json: `rope_scaling.original_max_position_embeddings` is missing
    config.json: `rope_scaling.short_factor` is missing
    config.json: `rope_scaling.short_factor` must be 2 positive numbers, one for each pair of a head
    config.json: `rope_scaling.short_factor` must be 2 positive numbers, one for each pair of a head
    config.json: `rope_scaling.original_max_position_embeddings` is missing
    config.json: `rope_scaling.attention_factor` is inf, but must be a positive number
    config.json: `context` must be at least 1
    model.safetensors: tensor `model.layers.0.self_attn.k_proj.weight` has shape [8, 8], but the model needs [128, 8]
    config.json: `head_dim` = 3 must be even, since rotary positions turn pairs
    config.json: attention_bias is true, but only false is supported
    config.json: `architectures` is ["Qwen2ForCausalLM"], but `model_type` is "runner": they must name the same kind of model
    model.safetensors: tensor `model.layers.0.self_attn.k_proj.bias` is missing
    model.safetensors: tensor `model.layers.0.self_attn.k_norm.weight` is missing
    config.json: `heads` = 3 must divide `width` = 8
    model.safetensors: tensor `model.embed_columns.weight` has shape [64, 8], but the model needs [64, 16]
    config.json has format 3, but the newest supported format is 2; use a newer `runner`
    config.json: `positions.wide` is missing
    config.json: positions.kind is "angles", but only "places" is supported
    config.json: `line_positions` must be 0 or left out, since `positions` takes its place
    config.json: `positions.rows` = 5 must be at least 14: `positions.top` = 11 needs a row for each index from two before 0 to the top
    model.safetensors: the model has no tensor `model.embed_columns.weight`
    config.json: `vocab_size` is "many", but must be a whole number from 0
    "#);
}

#[test]
fn damaged_weights_are_named() {
    let mut messages = Vec::new();
    let rewritten = |change: fn(&mut Model)| {
        let folder = saved();
        let mut other = model(&small());
        change(&mut other);
        let elsewhere = tempfile::tempdir().unwrap();
        other.save(elsewhere.path()).unwrap();
        let name = "model.safetensors";
        std::fs::copy(elsewhere.path().join(name), folder.path().join(name)).unwrap();
        message(folder.path())
    };
    messages.push(rewritten(|model| drop(model.weights.remove("model.norm.weight"))));
    messages.push(rewritten(|model| {
        let norm = model.weights["model.norm.weight"].clone();
        model.weights.insert("model.norm.bias".to_owned(), norm);
    }));
    messages.push(rewritten(|model| {
        let norm = model.weights.get_mut("model.norm.weight").unwrap();
        norm.shape = vec![2, 4];
    }));
    let folder = saved();
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    messages.push(message(folder.path()));
    let integers = TensorView::new(Dtype::I32, vec![64, 8], &[0; 64 * 8 * 4]).unwrap();
    let named = [("model.embed_columns.weight", integers)];
    std::fs::write(&path, safetensors::serialize(named, None).unwrap()).unwrap();
    messages.push(message(folder.path()));
    std::fs::remove_file(&path).unwrap();
    messages.push(message(folder.path()));
    insta::assert_snapshot!(messages.join("\n"), @r"
    model.safetensors: tensor `model.norm.weight` is missing
    model.safetensors: the model has no tensor `model.norm.bias`
    model.safetensors: tensor `model.norm.weight` has shape [2, 4], but the model needs [8]
    model.safetensors is damaged or incomplete: incomplete metadata, file not fully covered
    model.safetensors: tensor `model.embed_columns.weight` has type I32 (known: F32, F16, BF16)
    cannot read model.safetensors: No such file or directory (os error 2)
    ");
}

#[test]
fn a_tokenizer_that_does_not_fit_is_named() {
    let folder = saved();
    let path = folder.path().join("tokenizer.json");
    let texts = ["a larger one: abcdefghijklmnopqrstuvwxyz"];
    Tokenizer::build(TokenizerStyle::Char, texts).unwrap().save(&path).unwrap();
    insta::assert_snapshot!(message(folder.path()), @"tokenizer.json has 41 tokens, but the model has 33");
    std::fs::write(&path, "{}").unwrap();
    assert!(message(folder.path()).starts_with("tokenizer.json is not a tokenizer: "));
}
