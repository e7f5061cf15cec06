//! `config.json` is read as Transformers reads it: what it understands is understood, and what no engine computes is refused by name.

use std::fs;
use std::path::Path;

use learn::model::{self, Architecture, ModelShape, RopeScaling, Yarn};
use serde_json::{Map, Value, json};

use super::model::{edit, message, model, small};

/// A folder with a plain Llama, and its shape.
fn llama() -> (tempfile::TempDir, ModelShape) {
    let folder = tempfile::tempdir().unwrap();
    let model = model(&Architecture {
        lines: 0,
        columns: 0,
        ..small()
    });
    model.save(folder.path()).unwrap();
    (folder, model.shape)
}

fn config(folder: &Path) -> Map<String, Value> {
    serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap()
}

/// Removes fields of `config.json`.
fn remove(folder: &Path, names: &[&str]) {
    let mut config = config(folder);
    names.iter().for_each(|name| drop(config.remove(*name).unwrap()));
    fs::write(folder.join("config.json"), Value::Object(config).to_string()).unwrap();
}

/// The shape after some changes of `config.json`.
fn changed(changes: &Value) -> ModelShape {
    let (folder, _) = llama();
    edit(folder.path(), changes);
    model::load(folder.path()).unwrap().shape
}

#[test]
fn what_does_not_matter_is_ignored() {
    for changes in [
        json!({"pad_token_id": -1, "bos_token_id": -1}),
        json!({"pad_token_id": null, "bos_token_id": [0, 1]}),
        json!({"pad_token_id": "none"}),
        json!({"torch_dtype": "bfloat16", "dtype": "float32"}),
        json!({"torch_dtype": null, "dtype": {"text": "auto"}}),
        json!({"eos_token_id": [1, 2]}),
        json!({"eos_token_id": 1.0}),
        json!({"head_dim": null, "num_key_value_heads": null, "hidden_act": "swish"}),
        json!({"attention_bias": null, "mlp_bias": null, "architectures": null}),
        json!({"architectures": ["LlamaForCausalLM"], "model_type": null}),
        json!({"rope_scaling": {}, "rope_parameters": {"rope_type": "default", "rope_theta": 10000}}),
        json!({"rope_scaling": {"type": "default", "rope_type": null}}),
        json!({"quantization_config": null, "partial_rotary_factor": 1, "logit_scale": 1.0, "final_logit_softcapping": null}),
        json!({"is_causal": true}),
        json!({"max_position_embeddings": 1024.0, "num_experts": 0, "something_else": {"a": [1, null]}}),
    ] {
        let (folder, shape) = llama();
        edit(folder.path(), &changes);
        assert_eq!(model::load(folder.path()).unwrap().shape, shape, "{changes}");
    }
    let (folder, shape) = llama();
    remove(
        folder.path(),
        &[
            "pad_token_id",
            "bos_token_id",
            "torch_dtype",
            "hidden_act",
            "runner_format",
            "rope_theta",
        ],
    );
    assert_eq!(model::load(folder.path()).unwrap().shape, shape);
    // As some programs write it: a byte order mark, a key twice (the last counts), and numbers that only Python reads.
    let text = fs::read_to_string(folder.path().join("config.json")).unwrap();
    let inside = text.strip_prefix('{').unwrap();
    let odd = format!("\u{feff}{{\"hidden_size\": 9, \"router_jitter\": NaN, \"limits\": [-Infinity, Infinity],{inside}");
    fs::write(folder.path().join("config.json"), odd).unwrap();
    assert_eq!(model::load(folder.path()).unwrap().shape, shape);
}

#[test]
fn a_scaling_may_be_named_twice() {
    let scaling = json!({
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
        "rope_type": "llama3", "type": "llama3",
    });
    let found = changed(&json!({"rope_scaling": scaling})).rope_scaling;
    assert_eq!(found.unwrap().to_string(), "8 (1 to 4 in 64)");
    let (folder, _) = llama();
    edit(
        folder.path(),
        &json!({"rope_scaling": {"rope_type": "linear", "type": "dynamic", "factor": 2.0}}),
    );
    insta::assert_snapshot!(message(folder.path()), @"config.json: `rope_scaling.rope_type` names another scaling than `type`, and versions of Transformers differ in which of them counts");
}

/// The defaults of Transformers, family by family.
#[test]
fn what_is_left_out_has_the_familys_default() {
    let without = |names: &[&str], changes: &Value| {
        let (folder, _) = llama();
        edit(folder.path(), changes);
        remove(folder.path(), names);
        model::load(folder.path()).unwrap().shape
    };
    let named = |architecture: &str, model_type: &str| json!({"architectures": [architecture], "model_type": model_type});
    let (llama, mistral) = (json!({}), named("MistralForCausalLM", "mistral"));
    let phi = named("Phi3ForCausalLM", "phi3");
    let shape = without(
        &["rms_norm_eps", "max_position_embeddings", "num_key_value_heads", "head_dim"],
        &llama,
    );
    assert_eq!(
        (shape.norm_epsilon, shape.context, shape.kv_heads, shape.head_dim),
        (1e-6, 2048, 2, 4)
    );
    let shape = without(&["rms_norm_eps", "max_position_embeddings"], &mistral);
    // The default window is 4,096 tokens; `null` means no window.
    assert_eq!((shape.norm_epsilon, shape.context), (1e-6, 4096));
    let mut open = mistral;
    open["sliding_window"] = Value::Null;
    assert_eq!(without(&["max_position_embeddings"], &open).context, 131_072);
    let shape = without(&["rms_norm_eps", "max_position_embeddings"], &phi);
    assert_eq!((shape.norm_epsilon, shape.context), (1e-5, 4096));
    let message = |names: &[&str], changes: &Value| {
        let (folder, _) = self::llama();
        edit(folder.path(), changes);
        remove(folder.path(), names);
        message(folder.path())
    };
    let messages = [
        message(&["tie_word_embeddings"], &llama),
        message(&["vocab_size"], &phi),
        message(&["num_key_value_heads"], &open),
        message(&["head_dim"], &named("Qwen3ForCausalLM", "qwen3")),
        message(&["architectures", "model_type"], &llama),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r"
    model.safetensors: tensor `lm_head.weight` is missing
    model.safetensors: tensor `model.embed_tokens.weight` has shape [33, 8], but the model needs [32064, 8]
    config.json: `kv_heads` = 8 must divide `heads` = 2
    model.safetensors: tensor `model.layers.0.self_attn.k_norm.weight` is missing
    config.json: `architectures` is missing, and so is `model_type`
    ");
}

#[test]
fn a_window_that_no_layer_uses_does_not_count() {
    let context = |changes: Value| changed(&changes).context;
    let qwen = |more: Value| {
        let (folder, _) = llama();
        let model = model(&Architecture {
            lines: 0,
            columns: 0,
            qkv_bias: true,
            ..small()
        });
        model.save(folder.path()).unwrap();
        edit(folder.path(), &json!({"sliding_window": 16}));
        edit(folder.path(), &more);
        model::load(folder.path()).unwrap().shape.context
    };
    assert_eq!(qwen(json!({})), 1024);
    assert_eq!(
        qwen(json!({"use_sliding_window": true})),
        1024,
        "there are fewer layers than `max_window_layers`"
    );
    assert_eq!(qwen(json!({"use_sliding_window": true, "max_window_layers": 0})), 16);
    assert_eq!(qwen(json!({"use_sliding_window": true, "layer_types": ["sliding_attention"]})), 16);
    assert_eq!(
        qwen(json!({"use_sliding_window": true, "layer_types": ["full_attention"], "max_window_layers": 0})),
        1024
    );
    // Mistral has no such switch.
    let mistral =
        json!({"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 16, "use_sliding_window": false});
    assert_eq!(context(mistral), 16);
}

#[test]
fn linear_dynamic_and_yarn_positions_are_read() {
    let yarn = Yarn {
        factor: 4.0,
        fast: 32.0,
        slow: 1.0,
        original_context: 256,
        whole_pairs: true,
        magnitude: 0.1 * 4.0_f64.ln() + 1.0,
    };
    let scaling = |fields: &Value| changed(&json!({"rope_scaling": fields})).rope_scaling;
    assert_eq!(scaling(&json!({"type": "linear", "factor": 2})), Some(RopeScaling::Linear(2.0)));
    assert_eq!(scaling(&json!({"rope_type": "linear", "factor": 1.0})), None);
    // Within the context, dynamic positions are plain ones.
    assert_eq!(changed(&json!({"rope_scaling": {"type": "dynamic", "factor": 8.0}})), llama().1);
    let close = |found: Option<RopeScaling>, expected: Yarn| {
        let Some(RopeScaling::Yarn(found)) = found else {
            panic!("{found:?}")
        };
        assert!((found.magnitude - expected.magnitude).abs() < 1e-12, "{found:?}");
        let magnitude = expected.magnitude;
        assert_eq!(Yarn { magnitude, ..found }, expected);
    };
    let fields = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256});
    close(scaling(&fields), yarn);
    close(
        scaling(&json!({"rope_type": "yarn", "factor": 4.0})),
        Yarn {
            original_context: 1024,
            ..yarn
        },
    );
    close(
        scaling(&json!({
            "rope_type": "yarn", "factor": 40, "original_max_position_embeddings": 256, "beta_fast": 16, "beta_slow": 2, "truncate": false,
            "mscale": 0.707, "mscale_all_dim": 1.0,
        })),
        Yarn {
            factor: 40.0,
            fast: 16.0,
            slow: 2.0,
            whole_pairs: false,
            magnitude: 0.921_042_355_316_339_9,
            ..yarn
        },
    );
    close(
        scaling(&json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256, "attention_factor": 1.5})),
        Yarn { magnitude: 1.5, ..yarn },
    );
    // All about positions in one place, as Transformers 5 writes it.
    let (folder, _) = llama();
    let theta = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256, "rope_theta": 5e5});
    edit(
        folder.path(),
        &json!({"rope_theta": null, "rope_scaling": null, "rope_parameters": theta}),
    );
    let loaded = model::load(folder.path()).unwrap();
    assert_eq!(loaded.shape.rope_theta, 5e5);
    close(loaded.shape.rope_scaling.clone(), yarn);
    // What is read is written, and read back.
    for scaling in [
        RopeScaling::Linear(2.5),
        RopeScaling::Yarn(yarn),
        RopeScaling::Yarn(Yarn {
            whole_pairs: false,
            ..yarn
        }),
    ] {
        let mut model = loaded.clone();
        model.shape.rope_scaling = Some(scaling);
        model.save(folder.path()).unwrap();
        assert_eq!(model::load(folder.path()).unwrap().shape, model.shape);
    }
    insta::assert_snapshot!(Value::from(config(folder.path()))["rope_scaling"], @r#"{"attention_factor":1.138629436111989,"beta_fast":32.0,"beta_slow":1.0,"factor":4.0,"original_max_position_embeddings":256,"rope_type":"yarn","truncate":false}"#);
}

#[test]
fn what_no_engine_computes_is_refused_by_name() {
    let cases = [
        json!({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": true}}),
        json!({"mlp_bias": true}),
        json!({"partial_rotary_factor": 0.5}),
        json!({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.25}}),
        json!({"logit_scale": 0.0625}),
        json!({"final_logit_softcapping": 30.0}),
        json!({"attention_multiplier": 0.015}),
        json!({"num_local_experts": 8}),
        json!({"is_causal": false}),
        json!({"hidden_act": "gelu_pytorch_tanh"}),
        json!({"layer_types": ["chunked_attention"]}),
        json!({"model_type": "gemma"}),
        json!({"architectures": ["MistralForCausalLM"]}),
        json!({"rope_scaling": {"type": "mrope", "mrope_section": [1, 1]}}),
        json!({"rope_scaling": {"rope_type": "ntk", "factor": 2.0}}),
        json!({"rope_scaling": {"factor": 2.0}}),
        json!({"rope_scaling": {"type": "linear", "factor": 0}}),
        json!({"rope_scaling": {"type": "dynamic", "factor": -1}}),
        json!({"rope_scaling": {"type": "yarn", "factor": 2, "beta_fast": 0.5}}),
        json!({"rope_scaling": {"type": "yarn", "factor": 2}, "rope_theta": 1.0}),
        json!({"rope_scaling": "linear"}),
        json!({"rope_scaling": {"type": "linear", "factor": "2"}}),
        json!({"rope_scaling": {"type": "longrope", "short_factor": [1, 2], "short_mscale": 1.2, "original_max_position_embeddings": 64}}),
        json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}),
        json!({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
        json!({"rms_norm_eps": "NaN"}),
        json!({"hidden_size": -8}),
        json!({"num_key_value_heads": 0}),
        json!({"tie_word_embeddings": "yes"}),
        json!({"eos_token_id": [1, -2]}),
        json!({"architectures": "LlamaForCausalLM"}),
    ];
    let messages = cases.map(|changes| {
        let (folder, _) = llama();
        edit(folder.path(), &changes);
        message(folder.path())
    });
    insta::assert_snapshot!(messages.join("\n"), @r#"
    config.json: quantization_config is {"bits":4,"group_size":128,"quant_method":"awq","version":"g…, but only null is supported
    config.json: mlp_bias is true, but only false is supported
    config.json: partial_rotary_factor is 0.5, but only 1 is supported
    config.json: rope_parameters.partial_rotary_factor is 0.25, but only 1 is supported
    config.json: logit_scale is 0.0625, but only 1 is supported
    config.json: final_logit_softcapping is 30.0, but only null is supported
    config.json: attention_multiplier is 0.015, but only null is supported
    config.json: num_local_experts is 8, but only 0 is supported
    config.json: is_causal is false, but only true is supported
    config.json: hidden_act is "gelu_pytorch_tanh", but only "silu" is supported
    config.json: layer_types is ["chunked_attention"], but only "full_attention" or "sliding_attention" for each layer is supported
    config.json: model_type is "gemma", but only that of a Llama, Mistral, Qwen2, Qwen3 or Phi-3 is supported
    config.json: `architectures` is ["MistralForCausalLM"], but `model_type` is "llama": they must name the same kind of model
    config.json: rope_scaling.type is "mrope", but only "default", "linear", "dynamic", "yarn", "llama3" or "longrope" is supported
    config.json: rope_scaling.rope_type is "ntk", but only "default", "linear", "dynamic", "yarn", "llama3" or "longrope" is supported
    config.json: `rope_scaling.rope_type` is missing
    config.json: `rope_scaling.factor` = 0 must be a positive number
    config.json: `rope_scaling.factor` is -1, but must be a positive number
    config.json: `rope_scaling.beta_slow` = 1 must be at most `rope_scaling.beta_fast` = 0.5
    config.json: `rope_theta` = 1 must be more than 1, since the scaling of the positions divides by its logarithm
    config.json: `rope_scaling` is "linear", but must be an object
    config.json: `rope_scaling.factor` is "2", but must be a number
    config.json: rope_scaling.short_mscale is 1.2, but only null is supported
    config.json: rope_parameters.full_attention is {"rope_type":"default"}, but only one setting for all layers is supported
    config.json: `rope_theta` is 10000, but `rope_parameters.rope_theta` is 500000
    config.json: `rms_norm_eps` is "NaN", but must be a number
    config.json: `hidden_size` is -8, but must be a whole number from 0
    config.json: `num_key_value_heads` must be at least 1
    config.json: `tie_word_embeddings` is "yes", but must be true or false
    config.json: `eos_token_id` is [1,-2], but must be a token's number or a list of them
    config.json: `architectures` is "LlamaForCausalLM", but must be a list of texts
    "#);
}

#[test]
fn what_stands_for_a_file_is_told_from_a_damaged_one() {
    let (folder, _) = llama();
    fs::write(
        folder.path().join("model.safetensors"),
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n",
    )
    .unwrap();
    let mut messages = vec![message(folder.path())];
    fs::write(
        folder.path().join("config.json"),
        "\n<!DOCTYPE html><html><title>Sign in</title></html>",
    )
    .unwrap();
    messages.push(message(folder.path()));
    let gguf = folder.path().join("model.gguf");
    fs::write(&gguf, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n").unwrap();
    let error = model::import(&gguf, true, &folder.path().join("out")).unwrap_err().to_string();
    messages.push(error.replace(&format!("{}/", folder.path().display()), ""));
    insta::assert_snapshot!(messages.join("\n"), @r"
    model.safetensors is a pointer of Git LFS that stands for the file, not the file itself; download the file's content
    config.json is a web page that stands for the file, not the file itself; download the file's content
    model.gguf is a pointer of Git LFS that stands for the file, not the file itself; download the file's content
    ");
}

#[test]
fn norms_of_queries_and_keys_make_a_qwen3() {
    let (folder, shape) = llama();
    let mut model = model(&Architecture {
        lines: 0,
        columns: 0,
        head_dim: 6,
        ..small()
    });
    model.shape.qk_norm = true;
    assert_eq!(shape.parameters().len() + 2, model.shape.parameters().len());
    model.weights = model::initialise(&model.shape, 1);
    assert_eq!(model.weights["model.layers.0.self_attn.q_norm.weight"].data, [1.0; 6]);
    model.save(folder.path()).unwrap();
    let config = Value::from(config(folder.path()));
    assert_eq!(
        (
            &config["architectures"],
            &config["model_type"],
            &config["attention_bias"],
            &config["head_dim"]
        ),
        (&json!(["Qwen3ForCausalLM"]), &json!("qwen3"), &json!(false), &json!(6))
    );
    let loaded = model::load(folder.path()).unwrap();
    assert_eq!((&loaded.shape, &loaded.weights), (&model.shape, &model.weights));
    edit(folder.path(), &json!({"attention_bias": true}));
    insta::assert_snapshot!(message(folder.path()), @"config.json: attention_bias is true, but only false is supported");
}
