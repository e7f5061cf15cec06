//! Models of other programs: what is imported is what they hold, and damage is named.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use learn::dataset::Prompt;
use learn::model::{self, Architecture, Array, Llama3Scaling, LongRope, Model, ModelShape, RopeScaling, Weights, Yarn, initialise};
use learn::seed::Stream;
use learn::tokenizer::{Tokenizer, TokenizerStyle};
use serde_json::json;

#[path = "../../fuzz/src/small.rs"]
mod small;

use small::{theirs, tokens};

fn architecture() -> Architecture {
    Architecture {
        width: 64,
        heads: 2,
        kv_heads: 1,
        layers: 1,
        feed_forward: 32,
        lines: 0,
        columns: 0,
        context: 128,
        ..Architecture::default()
    }
}

fn shape() -> ModelShape {
    architecture().shape(tokens().len()).unwrap()
}

/// The rows of each head with their pairs side by side, as llama.cpp has them.
fn paired(data: &[f32], columns: usize, head: usize) -> Vec<f32> {
    let rows: Vec<&[f32]> = data.chunks(columns).collect();
    let heads = rows.chunks(head);
    let rows = heads.flat_map(|rows| (0..head).map(|row| rows[row % 2 * head / 2 + row / 2]));
    rows.flatten().copied().collect()
}

/// The fields of a GGUF file.
type Fields = Vec<(&'static str, Value)>;

/// Writes a GGUF file of the weights, its fields changed by `edit`.
fn gguf(path: &Path, weights: &Weights, dtype: GgmlDType, edit: impl FnOnce(&mut Vec<(&'static str, Value)>)) {
    let texts = |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::String).collect());
    let tokens = tokens();
    let kinds = tokens.iter().map(|token| Value::I32(if token.starts_with("<|") { 3 } else { 1 }));
    let mut fields = vec![
        ("general.architecture", Value::String("llama".to_owned())),
        ("llama.embedding_length", Value::U32(64)),
        ("llama.block_count", Value::U32(1)),
        ("llama.attention.head_count", Value::U32(2)),
        ("llama.attention.head_count_kv", Value::U32(1)),
        ("llama.feed_forward_length", Value::U32(32)),
        ("llama.context_length", Value::U32(128)),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("tokenizer.ggml.model", Value::String("gpt2".to_owned())),
        ("tokenizer.ggml.pre", Value::String("smollm".to_owned())),
        ("tokenizer.ggml.token_type", Value::Array(kinds.collect())),
        ("tokenizer.ggml.merges", texts(&["o n".to_owned(), "on e".to_owned()])),
        ("tokenizer.ggml.eos_token_id", Value::U32(tokens.len() as u32 - 1)),
        ("tokenizer.ggml.bos_token_id", Value::U32(tokens.len() as u32 - 2)),
        ("tokenizer.ggml.tokens", texts(&tokens)),
    ];
    edit(&mut fields);
    let llama = fields[0].1.to_string().is_ok_and(|family| family == "llama");
    let head = weights
        .get("model.layers.0.self_attn.k_proj.weight")
        .map_or(0, |keys| keys.shape[0]);
    let tensors: Vec<(String, QTensor)> = weights
        .iter()
        .map(|(name, array)| {
            let data = if llama && (name.contains("q_proj") || name.contains("k_proj")) {
                paired(&array.data, array.shape[1], head)
            } else {
                array.data.clone()
            };
            let tensor = Tensor::from_vec(data, array.shape.clone(), &Device::Cpu).unwrap();
            let dtype = if array.shape.len() == 1 { GgmlDType::F32 } else { dtype };
            (theirs(name), QTensor::quantize(&tensor, dtype).unwrap())
        })
        .collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value)).collect();
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut fs::File::create(path).unwrap(), &fields, &tensors).unwrap();
}

/// A folder, and a good GGUF file in it.
fn good() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    gguf(&path, &initialise(&shape(), 1), GgmlDType::F32, |_| {});
    (folder, path)
}

/// The message for a source that cannot be imported, without its folder.
fn message(source: &Path) -> String {
    let out = tempfile::tempdir().unwrap();
    let error = model::import(source, true, out.path()).err().unwrap().to_string();
    let folder = if source.is_dir() { source } else { source.parent().unwrap() };
    error
        .replace(&format!("{}/", folder.display()), "")
        .replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn a_gguf_files_weights_and_tokens_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, path) = (initialise(&shape(), 1), folder.path().join("model.gguf"));
    for (dtype, off) in [
        (GgmlDType::F32, 0.0),
        (GgmlDType::F16, 1e-4),
        (GgmlDType::Q8_0, 1e-3),
        (GgmlDType::Q4_1, 2e-2),
    ] {
        gguf(&path, &weights, dtype, |_| {});
        let out = folder.path().join("out");
        model::import(folder.path(), true, &out).unwrap();
        let model = model::load(&out).unwrap();
        assert_eq!(model.shape, shape());
        for (name, array) in &weights {
            let worst = array.data.iter().zip(&model.weights[name].data).map(|(a, b)| (a - b).abs());
            assert!(worst.fold(0.0, f32::max) <= off, "{dtype:?} {name}");
        }
        fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn a_gguf_file_of_qwen2_has_biases_and_its_rows_in_order() {
    let architecture = Architecture {
        qkv_bias: true,
        ..architecture()
    };
    let shape = architecture.shape(tokens().len()).unwrap();
    let mut weights = initialise(&shape, 1);
    let mut stream = Stream::new(1, "biases");
    for (_, array) in weights.iter_mut().filter(|(name, _)| name.ends_with(".bias")) {
        array.data.iter_mut().for_each(|bias| *bias = stream.normal() as f32);
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("model.gguf"), folder.path().join("out"));
    gguf(&path, &weights, GgmlDType::F32, |fields| {
        fields[0].1 = Value::String("qwen2".to_owned());
        for (name, _) in &mut *fields {
            *name = match *name {
                "llama.embedding_length" => "qwen2.embedding_length",
                "llama.block_count" => "qwen2.block_count",
                "llama.attention.head_count" => "qwen2.attention.head_count",
                "llama.attention.head_count_kv" => "qwen2.attention.head_count_kv",
                "llama.feed_forward_length" => "qwen2.feed_forward_length",
                "llama.context_length" => "qwen2.context_length",
                "llama.rope.freq_base" => "qwen2.rope.freq_base",
                "llama.attention.layer_norm_rms_epsilon" => "qwen2.attention.layer_norm_rms_epsilon",
                other => other,
            };
        }
    });
    model::import(&path, true, &out).unwrap();
    let model = model::load(&out).unwrap();
    assert_eq!((&model.shape, &model.weights), (&shape, &weights));
}

#[test]
fn a_gguf_file_of_llama_3_has_wide_heads_and_scaled_positions() {
    let scaling = Llama3Scaling {
        factor: 32.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 8192,
    };
    let architecture = Architecture {
        head_dim: 48,
        rope_theta: 500_000.0,
        rope_scaling: Some(scaling),
        ..architecture()
    };
    let shape = architecture.shape(tokens().len()).unwrap();
    let mut weights = initialise(&shape, 1);
    let plain = ModelShape {
        rope_scaling: None,
        ..shape.clone()
    };
    let factors: Vec<f32> = plain.frequencies().iter().map(|pair| scaling.slowdown(*pair) as f32).collect();
    assert!(factors.iter().any(|factor| *factor > 1.0 && *factor < 32.0));
    let mut with = |data: Vec<f32>| weights.insert("rope_freqs.weight".to_owned(), Array { shape: vec![24], data });
    let edit = |fields: &mut Vec<(&'static str, Value)>| {
        fields[7].1 = Value::F32(500_000.0);
        let lengths = [
            "llama.attention.key_length",
            "llama.attention.value_length",
            "llama.rope.dimension_count",
        ];
        fields.extend(lengths.map(|name| (name, Value::U32(48))));
    };
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("model.gguf"), folder.path().join("out"));
    with(factors.clone());
    gguf(&path, &weights, GgmlDType::F32, edit);
    model::import(&path, true, &out).unwrap();
    let model = model::load(&out).unwrap();
    weights.remove("rope_freqs.weight");
    assert_eq!((&model.shape, &model.weights), (&shape, &weights));
    let mut with = |data: Vec<f32>| {
        weights.insert(
            "rope_freqs.weight".to_owned(),
            Array {
                shape: vec![data.len()],
                data,
            },
        );
        gguf(&path, &weights, GgmlDType::F32, edit);
    };
    with(vec![1.0; 24]);
    model::import(&path, true, &out).unwrap();
    assert_eq!(model::load(&out).unwrap().shape, plain);
    with(factors.iter().map(|factor| factor + 0.5).collect());
    let mut messages = vec![message(&path)];
    with(vec![1.0; 7]);
    messages.push(message(&path));
    insta::assert_snapshot!(messages.join("\n"), @r"
    model.gguf: tensor `rope_freqs.weight` does not contain the divisors of Llama 3 (32.5 (1 to 4 in 8192)), and others are not supported
    model.gguf: tensor `rope_freqs.weight` has shape [7], but the model needs [24]
    ");
}

/// The scaling of positions that a GGUF file with these fields has, or the message.
fn scaling(more: &[(&'static str, Value)]) -> Result<Option<RopeScaling>, String> {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("model.gguf"), folder.path().join("out"));
    gguf(&path, &initialise(&shape(), 1), GgmlDType::F32, |fields| {
        fields.extend_from_slice(more);
    });
    match model::import(&path, true, &out) {
        Ok(()) => Ok(model::load(&out).unwrap().shape.rope_scaling),
        Err(_) => Err(message(&path)),
    }
}

#[test]
fn scaled_positions_of_a_gguf_file_are_computed_or_refused() {
    let kind = |name: &str| ("llama.rope.scaling.type", Value::String(name.to_owned()));
    let factor = |number| ("llama.rope.scaling.factor", Value::F32(number));
    let old = |number| ("llama.rope.scale_linear", Value::F32(number));
    let first = ("llama.rope.scaling.original_context_length", Value::U32(32));
    let linear = |number| Ok(Some(RopeScaling::Linear(number)));
    assert_eq!(scaling(&[kind("linear"), factor(4.0)]), linear(4.0));
    // As llama.cpp reads them: a factor alone is linear, its old name counts where the new one is missing, and 0 is none.
    assert_eq!(scaling(&[factor(2.5)]), linear(2.5));
    assert_eq!(scaling(&[old(4.0)]), linear(4.0));
    assert_eq!(scaling(&[factor(2.0), old(4.0)]), linear(2.0));
    assert_eq!(scaling(&[factor(0.0), old(4.0)]), linear(4.0));
    for plain in [
        &[kind("linear"), factor(1.0)][..],
        &[old(1.0)],
        &[old(0.0)],
        &[kind("none"), factor(4.0)],
        &[kind("linear")],
    ] {
        assert_eq!(scaling(plain), Ok(None));
    }
    let yarn = |found: Result<Option<RopeScaling>, String>, magnitude: f64| {
        let Ok(Some(RopeScaling::Yarn(found))) = found else {
            panic!("{found:?}")
        };
        let expected = Yarn {
            factor: 4.0,
            fast: 32.0,
            slow: 1.0,
            original_context: 32,
            whole_pairs: true,
            magnitude: found.magnitude,
        };
        assert!(found == expected && (found.magnitude - magnitude).abs() < 1e-12, "{found:?}");
    };
    let usual = 1.138_629_436_111_989;
    yarn(scaling(&[kind("yarn"), factor(4.0), first.clone()]), usual);
    let more = ("llama.rope.scaling.attn_factor", Value::F32(0.5));
    yarn(scaling(&[kind("yarn"), factor(4.0), first, more.clone()]), 0.5 * usual);
    let messages = [
        scaling(&[kind("longrope"), factor(4.0)]),
        scaling(&[kind("yarn")]),
        scaling(&[kind("linear"), factor(-2.0)]),
        scaling(&[kind("linear"), factor(f32::NAN)]),
        scaling(&[kind("linear"), more]),
        scaling(&[("llama.rope.scale_linear", Value::String("4".to_owned()))]),
        scaling(&[("llama.attention.scale", Value::F32(0.5))]),
        scaling(&[("llama.final_logit_softcapping", Value::F32(30.0))]),
        scaling(&[("llama.expert_count", Value::U32(8))]),
        scaling(&[("llama.attention.causal", Value::Bool(false))]),
        scaling(&[("split.count", Value::U16(3))]),
        scaling(&[("general.type", Value::String("adapter".to_owned()))]),
    ];
    insta::assert_snapshot!(messages.map(Result::unwrap_err).join("\n"), @r#"
    model.gguf: `llama.rope.scaling.type` is `longrope` (known: none, linear, yarn)
    model.gguf: `llama.rope.scaling.factor` is missing, or has no effect
    model.gguf: `rope_scaling.factor` = -2 must be a positive number
    model.gguf: `rope_scaling.factor` = NaN must be a positive number
    model.gguf: `llama.rope.scaling.attn_factor` is 0.5, but only 1 is supported
    model.gguf: `llama.rope.scale_linear` is Text("4"), but must be a floating-point number
    model.gguf: `llama.attention.scale` is 0.5, but only 0 is supported
    model.gguf: `llama.final_logit_softcapping` is 30, but only 0 is supported
    model.gguf: `llama.expert_count` is 8, but only 0 is supported
    model.gguf: `llama.attention.causal` is false, but only true is supported
    model.gguf: `split.count` is 3: the model is split over that many files; join them with `llama-gguf-split --merge`
    model.gguf: `general.type` is `adapter` (known: model)
    "#);
}

#[test]
fn a_gguf_file_of_qwen3_has_norms_of_queries_and_keys() {
    let shape = ModelShape {
        qk_norm: true,
        head_dim: 48,
        ..shape()
    };
    let mut weights = initialise(&shape, 1);
    let mut stream = Stream::new(1, "norms");
    for (_, array) in weights.iter_mut().filter(|(name, _)| name.contains("_norm.weight")) {
        array.data.iter_mut().for_each(|norm| *norm += stream.normal() as f32);
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("model.gguf"), folder.path().join("out"));
    gguf(&path, &weights, GgmlDType::F32, |fields| {
        fields[0].1 = Value::String("qwen3".to_owned());
        for (name, _) in &mut *fields {
            if let Some(field) = name.strip_prefix("llama.") {
                *name = format!("qwen3.{field}").leak();
            }
        }
        let lengths = ["qwen3.attention.key_length", "qwen3.attention.value_length"];
        fields.extend(lengths.map(|name| (name, Value::U32(48))));
    });
    model::import(&path, true, &out).unwrap();
    let model = model::load(&out).unwrap();
    assert_eq!((&model.shape, &model.weights), (&shape, &weights));
    // The folder is one that Hugging Face's programs read, and so do we.
    let again = folder.path().join("again");
    model::import(&out, true, &again).unwrap();
    assert_eq!(model::load(&again).unwrap().weights, weights);
}

#[test]
fn a_gguf_file_of_phi_3_has_joined_matrices_a_window_and_long_positions() {
    let shape = shape();
    let mut weights = initialise(&shape, 1);
    let plain = weights.clone();
    for (joined, parts) in [
        (
            "self_attn.qkv_proj",
            &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"][..],
        ),
        ("mlp.up_proj", &["mlp.gate_proj", "mlp.up_proj"]),
    ] {
        let parts = parts
            .iter()
            .map(|part| weights.remove(&format!("model.layers.0.{part}.weight")).unwrap());
        let data: Vec<f32> = parts.flat_map(|array| array.data).collect();
        let shape = vec![data.len() / 64, 64];
        weights.insert(format!("model.layers.0.{joined}.weight"), Array { shape, data });
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("model.gguf"), folder.path().join("out"));
    let write = |weights: &Weights, dtype, more: &[(&'static str, Value)]| {
        gguf(&path, weights, dtype, |fields| {
            fields[0].1 = Value::String("phi3".to_owned());
            fields.extend_from_slice(more);
            for (name, _) in &mut *fields {
                if let Some(field) = name.strip_prefix("llama.") {
                    *name = format!("phi3.{field}").leak();
                }
            }
        });
    };
    for (dtype, off) in [(GgmlDType::F32, 0.0), (GgmlDType::Q8_0, 1e-3)] {
        write(&weights, dtype, &[("llama.attention.sliding_window", Value::U32(63))]);
        model::import(&path, true, &out).unwrap();
        let model = model::load(&out).unwrap();
        assert_eq!(
            model.shape,
            ModelShape {
                context: 63,
                ..shape.clone()
            }
        );
        for (name, array) in &plain {
            let worst = array.data.iter().zip(&model.weights[name].data).map(|(a, b)| (a - b).abs());
            assert!(worst.fold(0.0, f32::max) <= off, "{dtype:?} {name}");
        }
    }
    let factors = |start: f32| Array {
        shape: vec![16],
        data: (0..16).map(|pair| start + pair as f32 / 4.0).collect(),
    };
    weights.insert("rope_factors_long.weight".to_owned(), factors(4.0));
    let first = ("llama.rope.scaling.original_context_length", Value::U32(32));
    write(&weights, GgmlDType::F32, std::slice::from_ref(&first));
    let mut messages = vec![message(&path)];
    weights.insert("rope_factors_short.weight".to_owned(), factors(1.0));
    write(&weights, GgmlDType::F32, &[]);
    messages.push(message(&path));
    write(
        &weights,
        GgmlDType::F32,
        &[first.clone(), ("llama.rope.scaling.type", Value::String("yarn".to_owned()))],
    );
    messages.push(message(&path));
    insta::assert_snapshot!(messages.join("\n"), @r"
    model.gguf: tensor `rope_factors_short.weight` is missing
    model.gguf: `phi3.rope.scaling.original_context_length` is missing
    model.gguf: `phi3.rope.scaling.type` is `yarn`, but the tensor `rope_factors_short.weight` is that of longrope
    ");
    write(
        &weights,
        GgmlDType::F32,
        &[first, ("llama.rope.scaling.attn_factor", Value::F32(1.25))],
    );
    model::import(&path, true, &out).unwrap();
    let long = LongRope {
        divisors: (0..16).map(|pair| 1.0 + f64::from(pair) / 4.0).collect(),
        magnitude: 1.25,
    };
    let expected = ModelShape {
        context: 32,
        rope_scaling: Some(RopeScaling::LongRope(long)),
        ..shape
    };
    assert_eq!(model::load(&out).unwrap().shape, expected);
}

#[test]
fn a_rebuilt_tokenizer_merges_and_ends() {
    let (folder, path) = good();
    let out = folder.path().join("out");
    model::import(&path, true, &out).unwrap();
    let tokenizer = model::load(&out).unwrap().tokenizer;
    let pieces = |tokens: Vec<u32>| -> Vec<String> { tokens.into_iter().map(|token| tokenizer.token(token).unwrap()).collect() };
    assert_eq!(pieces(tokenizer.encode("one 12\n").unwrap()), ["one", "Ġ", "1", "2", "Ċ"]);
    assert_eq!(tokenizer.decode(&tokenizer.encode("one 12\n").unwrap()).unwrap(), "one 12\n");
    // A special token is one in a prompt, and text elsewhere.
    assert_eq!(pieces(tokenizer.prompt("<|start|>on", &[]).unwrap()), ["<|start|>", "on"]);
    assert_eq!(tokenizer.encode("<|start|>").unwrap().len(), 9);
    assert_eq!(tokenizer.ends(), [tokenizer.vocabulary() as u32 - 1]);
    // Where the file asks for it, every prompt begins with a token, once.
    gguf(&path, &initialise(&shape(), 1), GgmlDType::F32, |fields| {
        fields.push(("tokenizer.ggml.add_bos_token", Value::Bool(true)));
    });
    model::import(&path, true, &out).unwrap();
    let tokenizer = model::load(&out).unwrap().tokenizer;
    for prompt in ["on", "<|start|>on"] {
        assert_eq!(pieces(tokenizer.prompt(prompt, &[]).unwrap()), ["<|start|>", "on"]);
    }
}

/// One part that is filled in.
fn only(part: std::ops::Range<usize>) -> [std::ops::Range<usize>; 1] {
    [part]
}

/// Makes the tokenizer of a file one of SentencePiece: `pieces` with their kinds, and scores in their order.
fn sentence_piece(fields: &mut Fields, pieces: &[(&str, i32)]) {
    let kept = |name: &str| !name.starts_with("tokenizer.");
    fields.retain(|(name, _)| kept(name));
    let list = |values: &dyn Fn(usize) -> Value| Value::Array((0..pieces.len()).map(values).collect());
    fields.extend([
        ("tokenizer.ggml.model", Value::String("llama".to_owned())),
        ("tokenizer.ggml.tokens", list(&|token| Value::String(pieces[token].0.to_owned()))),
        ("tokenizer.ggml.token_type", list(&|token| Value::I32(pieces[token].1))),
        ("tokenizer.ggml.scores", list(&|token| Value::F32(-(token as f32)))),
    ]);
}

/// As many pieces as the model has tokens: those of Llama 2 that come first, some words, and bytes.
fn pieces() -> Vec<(String, i32)> {
    let own = [
        ("<unk>", 2),
        ("<s>", 3),
        ("</s>", 3),
        ("<|end|>", 3),
        ("[a]", 4),
        ("▁on", 1),
        ("▁one", 1),
        ("on", 1),
    ];
    let own = own.map(|(text, kind)| (text.to_owned(), kind)).into_iter();
    let characters = "▁one12<s>/|dx".chars().map(|character| (character.to_string(), 1));
    let bytes = (0..=255_u8).map(|byte| (format!("<0x{byte:02X}>"), 6));
    let pieces = own.chain(characters).chain(bytes.skip(10));
    pieces.take(tokens().len()).collect()
}

#[test]
fn a_sentence_piece_tokenizer_is_read_from_a_gguf_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("model.gguf"), folder.path().join("out"));
    let all = pieces();
    let pieces: Vec<(&str, i32)> = all.iter().map(|(text, kind)| (text.as_str(), *kind)).collect();
    let read = |edit: &dyn Fn(&mut Fields)| {
        gguf(&path, &initialise(&shape(), 1), GgmlDType::F32, |fields| {
            sentence_piece(fields, &pieces);
            edit(fields);
        });
        model::import(&path, true, &out).map(|()| model::load(&out).unwrap().tokenizer)
    };
    let texts = |tokenizer: &Tokenizer, tokens: Vec<u32>| {
        let texts = tokens.into_iter().map(|token| tokenizer.token(token).unwrap());
        texts.collect::<Vec<_>>().join(" ")
    };
    // As llama.cpp reads a file that says no more: `<s>` first, and a space before each part of a text.
    let tokenizer = read(&|_| {}).unwrap();
    assert_eq!(
        texts(&tokenizer, tokenizer.prompt("one on2\n</s>on", &[]).unwrap()),
        "<s> ▁one ▁on 2 <0x0A> </s> ▁on"
    );
    assert_eq!(tokenizer.decode(&tokenizer.encode("one  on2\n").unwrap()).unwrap(), "one  on2\n");
    // The end of a message ends a completion as well.
    assert_eq!(tokenizer.ends(), [2, 3]);
    // Control tokens in a question are text, and so are bytes.
    assert_eq!(
        texts(&tokenizer, tokenizer.prompt("</s>on", &only(0..4)).unwrap()),
        "<s> ▁ < / s > on"
    );
    assert_eq!(
        texts(&tokenizer, tokenizer.encode("<0x0A>").unwrap()),
        "▁ < <0x30> x <0x30> <0x41> >"
    );
    // What neither pieces nor bytes have is unknown.
    assert_eq!(tokenizer.unknown_in_text("one ❤").unwrap().as_deref(), Some("❤"));
    let tokenizer = read(&|fields| {
        fields.push(("tokenizer.ggml.add_bos_token", Value::Bool(false)));
        fields.push(("tokenizer.ggml.add_space_prefix", Value::Bool(false)));
        fields.push(("tokenizer.ggml.eos_token_id", Value::U32(3)));
    });
    let tokenizer = tokenizer.unwrap();
    assert_eq!(texts(&tokenizer, tokenizer.prompt("one on", &[]).unwrap()), "on e ▁on");
    // It still is the token before texts without a context.
    assert_eq!(tokenizer.first(), Some(1));
    assert_eq!(
        (tokenizer.ends(), tokenizer.decode(&tokenizer.encode(" on").unwrap()).unwrap()),
        (&[3][..], " on".to_owned())
    );
    let mut messages = Vec::new();
    let mut wrong = |edit: &dyn Fn(&mut Fields)| {
        read(edit).err().unwrap();
        messages.push(message(&path));
    };
    wrong(&|fields| fields.retain(|(name, _)| !name.ends_with("scores")));
    wrong(&|fields| fields.last_mut().unwrap().1 = Value::Array(vec![Value::F32(0.0)]));
    wrong(&|fields| fields.last_mut().unwrap().1 = Value::Array(vec![Value::I32(0); pieces.len()]));
    wrong(&|fields| fields.last_mut().unwrap().1 = Value::Array(vec![Value::F32(f32::NAN); pieces.len()]));
    wrong(&|fields| fields.push(("tokenizer.ggml.bos_token_id", Value::U32(4_000))));
    wrong(&|fields| fields.iter_mut().find(|(name, _)| name.ends_with("model")).unwrap().1 = Value::String("bert".to_owned()));
    insta::assert_snapshot!(messages.join("\n"), @r"
    model.gguf: `tokenizer.ggml.scores` is missing
    model.gguf: `tokenizer.ggml.scores` has 1 entries for 100 tokens
    model.gguf: `tokenizer.ggml.scores` is not a list of floating-point numbers
    model.gguf: `tokenizer.ggml.scores` has the score NaN, but scores must be finite
    model.gguf: `tokenizer.ggml.bos_token_id` is 4000, but there are 100 tokens
    model.gguf: `tokenizer.ggml.model` is `bert` (known: gpt2, which is byte-level BPE, and llama, which is SentencePiece)
    ");
}

#[test]
fn pre_tokenizers_cut_as_their_models_do() {
    let (folder, path) = good();
    let out = folder.path().join("out");
    let cut = |pre: &str| {
        gguf(&path, &initialise(&shape(), 1), GgmlDType::F32, |fields| {
            fields[10].1 = Value::String(pre.to_owned());
            // Merged wherever they are not cut.
            let merges = ["1 2", "12 3", "o n", "n 1", "o A", "A b"].map(|merge| Value::String(merge.to_owned()));
            let mut texts: Vec<Value> = tokens().into_iter().map(Value::String).collect();
            for (token, text) in (1..).zip(["12", "123", "n1", "oA", "Ab"]) {
                texts[token] = Value::String(text.to_owned());
            }
            fields[12].1 = Value::Array(merges.into());
            fields[15].1 = Value::Array(texts);
        });
        model::import(&path, true, &out).map(|()| {
            let tokenizer = model::load(&out).unwrap().tokenizer;
            let tokens = tokenizer.encode("123 on1 -oAb").unwrap();
            let begin = tokenizer.begin().len();
            let texts: Vec<String> = tokens.into_iter().map(|token| tokenizer.token(token).unwrap()).collect();
            format!("{} {begin}", texts.join("|"))
        })
    };
    for pre in ["gpt-2", "default", "phi-2"] {
        assert_eq!(cut(pre).unwrap(), "123|Ġ|on|1|Ġ|-|oA|b 0", "{pre}");
    }
    for pre in ["llama-bpe", "llama3", "llama-v3", "falcon3"] {
        assert_eq!(cut(pre).unwrap(), "123|Ġ|on|1|Ġ|-|oA|b 1", "{pre}");
    }
    for pre in ["qwen2", "deepseek-r1-qwen", "megrez", "smollm", "starcoder", "refact"] {
        assert_eq!(cut(pre).unwrap(), "1|2|3|Ġ|on|1|Ġ|-|oA|b 0", "{pre}");
    }
    assert_eq!(cut("tekken").unwrap(), "1|2|3|Ġ|on|1|Ġ|-|o|Ab 1");
    assert_eq!(cut("deepseek-v3").unwrap(), "123|Ġ|on|1|Ġ|-|oA|b 0");
    assert_eq!(cut("deepseek-coder").unwrap(), "1|2|3|Ġ|on|1|Ġ|-|oA|b 0");
    assert!(cut("klingon").unwrap_err().to_string().contains("is `klingon` (known: gpt-2, "));
}

/// A `tokenizer.model` of `pieces`, as the trainer writes it.
fn tokenizer_model(pieces: &[(String, i32)], training: &[u8], normalizer: &[u8]) -> Vec<u8> {
    let message = |field: u8, bytes: &[u8]| [&[field << 3 | 2, bytes.len() as u8], bytes].concat();
    let piece = |(token, (text, kind)): (usize, &(String, i32))| {
        let score = [&[2 << 3 | 5][..], &(-(token as f32)).to_le_bytes()].concat();
        message(1, &[message(1, text.as_bytes()), score, vec![3 << 3, *kind as u8]].concat())
    };
    let mut bytes: Vec<u8> = pieces.iter().enumerate().flat_map(piece).collect();
    bytes.extend(message(2, training));
    bytes.extend(message(3, normalizer));
    bytes
}

/// BPE.
const TRAINING: [u8; 2] = [3 << 3, 2];
/// Keeps white space.
const NORMALIZER: [u8; 2] = [4 << 3, 0];

#[test]
fn a_folder_with_a_sentence_piece_file_alone_is_read() {
    let (folder, path) = good();
    let source = folder.path().join("source");
    model::import(&path, true, &source).unwrap();
    let json = source.join("tokenizer.json");
    fs::remove_file(&json).unwrap();
    fs::remove_file(source.join("tokenizer_config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(source.join("config.json")).unwrap()).unwrap();
    config["eos_token_id"] = json!(2);
    fs::write(source.join("config.json"), config.to_string()).unwrap();
    let pieces = pieces();
    let file = source.join("tokenizer.model");
    fs::write(&file, tokenizer_model(&pieces, &TRAINING, &NORMALIZER)).unwrap();
    let texts = || {
        let out = folder.path().join("out");
        model::import(&source, true, &out).unwrap();
        let tokenizer = model::load(&out).unwrap().tokenizer;
        let tokens = tokenizer.prompt("one on2</s>on", &[]).unwrap();
        let texts = tokens.into_iter().map(|token| tokenizer.token(token).unwrap());
        (texts.collect::<Vec<_>>().join(" "), tokenizer.ends().to_vec())
    };
    assert_eq!(texts(), ("<s> ▁one ▁on 2 </s> ▁on".to_owned(), vec![2]));
    let settings = source.join("tokenizer_config.json");
    fs::write(&settings, r#"{"legacy": false, "add_bos_token": false}"#).unwrap();
    assert_eq!(texts().0, "▁one ▁on 2 </s> on");
    let mut messages = Vec::new();
    let mut wrong = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        messages.push(message(&source));
    };
    wrong(&tokenizer_model(&pieces, &[3 << 3, 1], &NORMALIZER));
    wrong(&tokenizer_model(&pieces, &TRAINING, &[]));
    wrong(&tokenizer_model(&pieces, &TRAINING, &[4 << 3, 0, 2 << 3 | 2, 1, b'x']));
    wrong(&tokenizer_model(&vec![("x".to_owned(), 1); 101], &TRAINING, &NORMALIZER));
    // Llama 3's file of this name is a list of texts.
    wrong(b"IQ== 0\nIg== 1\n");
    wrong(b"");
    let whole = tokenizer_model(&pieces, &TRAINING, &NORMALIZER);
    wrong(&whole[..whole.len() - 3]);
    fs::write(source.join("added_tokens.json"), r#"{"<|im_end|>": 100}"#).unwrap();
    wrong(&whole);
    insta::assert_snapshot!(messages.join("\n"), @r"
    tokenizer.model is not a tokenizer: its `model_type` is not BPE, which is not supported; add the model's `tokenizer.json`
    tokenizer.model is not a tokenizer: its `remove_extra_whitespaces` is true, which is not supported; add the model's `tokenizer.json`
    tokenizer.model is not a tokenizer: its `precompiled_charsmap` replaces characters, which is not supported; add the model's `tokenizer.json`
    tokenizer.model has no token 2, which is the model's `eos_token_id`
    tokenizer.model is not a tokenizer: it is damaged, or no file of SentencePiece; add the model's `tokenizer.json`
    tokenizer.model is not a tokenizer: it is damaged, or no file of SentencePiece; add the model's `tokenizer.json`
    tokenizer.model is not a tokenizer: it is damaged, or no file of SentencePiece; add the model's `tokenizer.json`
    tokenizer.model is not a tokenizer: the model has tokens beside it (`added_tokens.json`); add the model's `tokenizer.json`
    ");
    // Whatever the bytes, the outcome is an error or a tokenizer.
    fs::remove_file(source.join("added_tokens.json")).unwrap();
    let mut stream = Stream::new(1, "damage");
    for _ in 0..200 {
        let mut bytes = whole.clone();
        for _ in 0..=stream.below(4) {
            let place = stream.below(bytes.len() as u64) as usize;
            bytes[place] = stream.below(256) as u8;
        }
        fs::write(&file, &bytes).unwrap();
        if let Err(error) = model::import(&source, true, &folder.path().join("damaged")) {
            assert!(error.to_string().contains("tokenizer.model"), "{error}");
        }
    }
}

#[test]
fn texts_begin_as_the_settings_of_the_tokenizer_say() {
    let (folder, path) = good();
    let (source, out) = (folder.path().join("source"), folder.path().join("out"));
    model::import(&path, true, &source).unwrap();
    let begin = |settings: &str| {
        fs::write(source.join("tokenizer_config.json"), settings).unwrap();
        model::import(&source, true, &out).unwrap();
        let tokenizer = model::load(&out).unwrap().tokenizer;
        let texts = |tokens: &[u32]| tokens.iter().map(|token| tokenizer.token(*token).unwrap()).collect::<String>();
        (texts(tokenizer.begin()), texts(tokenizer.first().as_slice()))
    };
    let [both, named, none] =
        [("<|start|>", "<|start|>"), ("", "<|start|>"), ("", "")].map(|(begin, first)| (begin.to_owned(), first.to_owned()));
    // As the distilled models of DeepSeek-R1 have it.
    let llama = r#"{"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": true, "bos_token": {"content": "<|start|>"}}"#;
    assert_eq!(begin(llama), both);
    assert_eq!(begin(&llama.replace("\"add_bos_token\": true, ", "")), both);
    assert_eq!(begin(&llama.replace("true", "false")), named);
    assert_eq!(begin(&llama.replace("LlamaTokenizerFast", "PreTrainedTokenizerFast")), named);
    assert_eq!(begin("{}"), none);
    fs::write(source.join("tokenizer_config.json"), llama.replace("start", "begin")).unwrap();
    insta::assert_snapshot!(message(&source), @r#"tokenizer_config.json: `bos_token` is "<|begin|>", which is no token of `tokenizer.json`"#);
}

#[test]
fn a_hugging_face_folder_is_read_whole_or_in_shards() {
    let (folder, path) = good();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    model::import(&path, true, &first).unwrap();
    model::import(&first, true, &second).unwrap();
    for entry in fs::read_dir(&first).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(
            fs::read(first.join(&name)).unwrap() == fs::read(second.join(&name)).unwrap(),
            "{name:?}"
        );
    }
    let model = model::load(&first).unwrap();
    let mut map = serde_json::Map::new();
    for (index, (name, array)) in model.weights.iter().enumerate() {
        let shard = format!("shard-{}.safetensors", index % 3);
        map.insert(name.clone(), json!(shard));
        let _ = array;
    }
    for shard in 0..3 {
        let part = model.weights.iter().enumerate().filter(|(index, _)| index % 3 == shard);
        let views = part.map(|(_, (name, array))| {
            let bytes: &[u8] = bytemuck::cast_slice(&array.data);
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, array.shape.clone(), bytes);
            (name, view.unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        fs::write(first.join(format!("shard-{shard}.safetensors")), bytes).unwrap();
    }
    fs::remove_file(first.join("model.safetensors")).unwrap();
    let index = first.join("model.safetensors.index.json");
    fs::write(&index, json!({ "weight_map": map }).to_string()).unwrap();
    let third = folder.path().join("third");
    model::import(&first, true, &third).unwrap();
    assert_eq!(model::load(&third).unwrap().weights, model.weights);
    fs::write(&index, json!({ "weight_map": { "a": "../elsewhere" } }).to_string()).unwrap();
    insta::assert_snapshot!(message(&first), @r#"model.safetensors.index.json: `weight_map` names "../elsewhere", which is not a file in this folder"#);
    // The index decides: the same tensor elsewhere does not count, whatever it is, and neither does a file that is not in the index.
    let path = |shard: usize| first.join(format!("shard-{shard}.safetensors"));
    let views = |data: &'static [u8]| {
        let view = |shape| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, data).unwrap();
        safetensors::serialize([("model.norm.weight", view(vec![2])), ("unknown", view(vec![2]))], None).unwrap()
    };
    let all = [path(0), path(1), path(2)].map(|path| fs::read(path).unwrap());
    fs::write(path(3), views(&[0; 8])).unwrap();
    let mut with_more = map.clone();
    fs::write(&index, json!({ "metadata": { "total_size": 1 }, "weight_map": map }).to_string()).unwrap();
    let fourth = folder.path().join("fourth");
    model::import(&first, true, &fourth).unwrap();
    assert_eq!(model::load(&fourth).unwrap().weights, model.weights);
    // Another way to write a file's name.
    let mut dotted = map.clone();
    dotted
        .values_mut()
        .for_each(|shard| *shard = json!(format!("./{}", shard.as_str().unwrap())));
    fs::write(&index, json!({ "weight_map": dotted }).to_string()).unwrap();
    let fifth = folder.path().join("fifth");
    model::import(&first, true, &fifth).unwrap();
    assert_eq!(model::load(&fifth).unwrap().weights, model.weights);
    // Transformers would take the single file.
    let single = first.join("model.safetensors");
    fs::write(&single, b"of another model").unwrap();
    insta::assert_snapshot!(message(&first), @"FOLDER has both `model.safetensors` and `model.safetensors.index.json`, which names other files: remove one");
    fs::copy(second.join("model.safetensors"), &single).unwrap();
    let whole: serde_json::Map<_, _> = map.keys().map(|name| (name.clone(), json!("model.safetensors"))).collect();
    fs::write(&index, json!({ "weight_map": whole }).to_string()).unwrap();
    let sixth = folder.path().join("sixth");
    model::import(&first, true, &sixth).unwrap();
    assert_eq!(model::load(&sixth).unwrap().weights, model.weights);
    fs::remove_file(&single).unwrap();
    with_more.insert("model.norm.weight".to_owned(), json!("shard-3.safetensors"));
    fs::write(&index, json!({ "weight_map": with_more }).to_string()).unwrap();
    let mut messages = vec![message(&first)];
    let name = map.keys().next().unwrap().clone();
    let (mut elsewhere, mut less, mut more) = (map.clone(), map.clone(), map.clone());
    elsewhere.insert(name.clone(), json!("shard-2.safetensors"));
    less.remove(&name);
    more.insert("unknown".to_owned(), json!("shard-3.safetensors"));
    for map in [elsewhere, less, more] {
        fs::write(&index, json!({ "weight_map": map }).to_string()).unwrap();
        messages.push(message(&first));
    }
    fs::write(&index, json!({ "weight_map": map }).to_string()).unwrap();
    fs::remove_file(path(1)).unwrap();
    messages.push(message(&first));
    fs::write(path(1), &all[1][..all[1].len() - 4]).unwrap();
    messages.push(message(&first));
    fs::write(&index, "{}").unwrap();
    messages.push(message(&first));
    fs::remove_file(&index).unwrap();
    fs::write(first.join("pytorch_model.bin"), b"PK").unwrap();
    messages.push(message(&first));
    insta::assert_snapshot!(messages.join("\n"), @r"
    shard-3.safetensors: tensor `model.norm.weight` has shape [2], but the model needs [64]
    shard-2.safetensors: tensor `model.embed_tokens.weight` is missing
    model.safetensors.index.json: tensor `model.embed_tokens.weight` is missing
    model.safetensors.index.json: the model has no tensor `unknown`
    cannot read shard-1.safetensors: No such file or directory (os error 2)
    shard-1.safetensors is damaged or incomplete: incomplete metadata, file not fully covered
    model.safetensors.index.json is not valid: missing field `weight_map` at line 1 column 2
    FOLDER is not a model: its weights are in PyTorch's format, which is not read; save them as `model.safetensors`
    ");
}

#[test]
fn a_tied_models_own_output_layer_must_be_the_embedding() {
    let (folder, path) = good();
    let out = folder.path().join("out");
    model::import(&path, true, &out).unwrap();
    let weights = model::load(&out).unwrap().weights;
    let with_head = |change: fn(&mut Vec<f32>)| {
        let mut head = weights["model.embed_tokens.weight"].clone();
        change(&mut head.data);
        let tensors = weights
            .iter()
            .map(|(name, array)| (name.as_str(), array))
            .chain([("lm_head.weight", &head)]);
        let views = tensors.map(|(name, array)| {
            let bytes: &[u8] = bytemuck::cast_slice(&array.data);
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, array.shape.clone(), bytes);
            (name, view.unwrap())
        });
        fs::write(out.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    };
    with_head(|_| {});
    let again = folder.path().join("again");
    model::import(&out, true, &again).unwrap();
    assert_eq!(model::load(&again).unwrap().weights, weights);
    with_head(|data| data[70] += 1.0);
    insta::assert_snapshot!(message(&out), @"model.safetensors: tensor `lm_head.weight` differs from `model.embed_tokens.weight`, but `tie_word_embeddings` in config.json is true");
}

#[test]
fn the_end_of_a_completion_is_transformers() {
    let (folder, path) = good();
    let out = folder.path().join("out");
    model::import(&path, true, &out).unwrap();
    let config = out.join("config.json");
    let whole: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    let ends = |changes: &[(&str, Option<serde_json::Value>)], generation: &str| {
        let mut value = whole.clone();
        for (name, change) in changes {
            match change {
                Some(change) => drop(value.insert((*name).to_owned(), change.clone())),
                None => drop(value.remove(*name)),
            }
        }
        fs::write(&config, serde_json::Value::Object(value).to_string()).unwrap();
        fs::write(out.join("generation_config.json"), generation).unwrap();
        let again = folder.path().join("again");
        match model::import(&out, true, &again) {
            Ok(()) => Ok(model::load(&again).unwrap().tokenizer.ends().to_vec()),
            Err(_) => Err(message(&out)),
        }
    };
    let list = |tokens| [("eos_token_id", Some(tokens))];
    assert_eq!(ends(&list(json!([5, 7])), "{}"), Ok(vec![5, 7]));
    assert_eq!(
        ends(&list(json!(5)), r#"{"eos_token_id": [7, 5], "temperature": NaN}"#),
        Ok(vec![5, 7])
    );
    assert_eq!(ends(&list(json!(-1)), r#"{"eos_token_id": 7}"#), Ok(vec![7]));
    // A Llama's is 2 unless the file says otherwise.
    assert_eq!(ends(&[("eos_token_id", None)], "{}"), Ok(vec![2]));
    assert_eq!(ends(&[("eos_token_id", None)], r#"{"eos_token_id": 7}"#), Ok(vec![7]));
    let none = ends(&list(serde_json::Value::Null), "{}").unwrap_err();
    insta::assert_snapshot!(none, @"tokenizer.json has no token `<eos>` to end a completion with");
}

#[test]
fn mistral_and_phi_are_llamas_within_their_window() {
    let (folder, path) = good();
    let out = folder.path().join("llama");
    model::import(&path, true, &out).unwrap();
    let llama = model::load(&out).unwrap();
    let weights_of = |parts: &[&str]| -> Vec<f32> {
        let name = |part: &&str| format!("model.layers.0.{part}.weight");
        parts.iter().flat_map(|part| llama.weights[&name(part)].data.clone()).collect()
    };
    let mut tensors: std::collections::BTreeMap<String, (Vec<usize>, Vec<f32>)> = llama
        .weights
        .iter()
        .map(|(name, array)| (name.clone(), (array.shape.clone(), array.data.clone())))
        .collect();
    for (fused, parts) in [
        (
            "self_attn.qkv_proj",
            vec!["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        ),
        ("mlp.gate_up_proj", vec!["mlp.gate_proj", "mlp.up_proj"]),
    ] {
        let data = weights_of(&parts);
        parts
            .iter()
            .for_each(|part| drop(tensors.remove(&format!("model.layers.0.{part}.weight"))));
        tensors.insert(format!("model.layers.0.{fused}.weight"), (vec![data.len() / 64, 64], data));
    }
    let views = tensors.iter().map(|(name, (shape, data))| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytemuck::cast_slice(data));
        (name, view.unwrap())
    });
    let config = out.join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    let set = |changes: serde_json::Value| {
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        fs::write(&config, value.to_string()).unwrap();
    };
    set(json!({ "architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 32 }));
    let mistral = folder.path().join("mistral");
    model::import(&out, true, &mistral).unwrap();
    let mistral = model::load(&mistral).unwrap();
    assert_eq!((mistral.shape.context, &mistral.weights), (32, &llama.weights));
    fs::write(out.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    set(json!({ "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "sliding_window": 2047 }));
    let phi = folder.path().join("phi");
    model::import(&out, true, &phi).unwrap();
    let phi = model::load(&phi).unwrap();
    assert_eq!((phi.shape.context, &phi.weights), (128, &llama.weights));
    set(json!({ "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "intermediate_size": 48 }));
    insta::assert_snapshot!(message(&out), @"model.safetensors: tensor `model.layers.0.mlp.down_proj.weight` has shape [64, 32], but the model needs [64, 48]");
    set(json!({ "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "partial_rotary_factor": 0.5 }));
    insta::assert_snapshot!(message(&out), @"config.json: partial_rotary_factor is 0.5, but only 1 is supported");
    set(json!({ "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "rope_scaling": { "type": "yarn" } }));
    insta::assert_snapshot!(message(&out), @"config.json: `rope_scaling.short_factor` is missing");
    set(json!({ "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2" }));
    insta::assert_snapshot!(message(&out), @"model.safetensors: tensor `model.layers.0.self_attn.k_proj.bias` is missing");
}

#[test]
fn what_is_wrong_with_a_gguf_file_is_named() {
    let (folder, path) = good();
    let bytes = fs::read(&path).unwrap();
    let mut messages = Vec::new();
    let mut changed = |at: usize, with: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        fs::write(&path, bytes).unwrap();
        messages.push(message(&path));
    };
    changed(0, b"GGML");
    changed(4, &9_u32.to_le_bytes());
    changed(8, &u64::MAX.to_le_bytes());
    changed(16, &(1_u64 << 40).to_le_bytes());
    // The first field's name, and the kind of its value.
    changed(24, &u64::MAX.to_le_bytes());
    changed(24 + 8 + 20, &77_u32.to_le_bytes());
    changed(bytes.len() - 64, &f32::NAN.to_le_bytes());
    let mut other = |edit: fn(&mut Vec<(&'static str, Value)>)| {
        gguf(&path, &initialise(&shape(), 1), GgmlDType::F32, edit);
        messages.push(message(&path));
    };
    other(|fields| fields[0].1 = Value::String("gpt2".to_owned()));
    other(|fields| drop(fields.remove(1)));
    other(|fields| fields[2].1 = Value::U32(1 << 20));
    other(|fields| fields[2].1 = Value::U32(2));
    other(|fields| fields[3].1 = Value::U32(0));
    other(|fields| fields[6].1 = Value::String("long".to_owned()));
    other(|fields| fields[10].1 = Value::String("klingon".to_owned()));
    other(|fields| fields[12].1 = Value::Array(vec![Value::String("oops".to_owned())]));
    other(|fields| fields[13].1 = Value::U32(5_000));
    gguf(&path, &initialise(&shape(), 1), GgmlDType::F32, |_| {});
    fs::write(&path, &bytes[..bytes.len() - 1000]).unwrap();
    messages.push(message(&path));
    fs::copy(&path, folder.path().join("second.gguf")).unwrap();
    messages.push(message(folder.path()));
    messages.push(message(tempfile::tempdir().unwrap().path()));
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn no_damage_is_more_than_an_error() {
    let (folder, path) = good();
    let (bytes, out) = (fs::read(&path).unwrap(), folder.path().join("out"));
    let mut stream = Stream::new(1, "damage");
    let header = bytes.len() - initialise(&shape(), 1).values().map(|array| 4 * array.data.len()).sum::<usize>();
    for round in 0..300 {
        let mut bytes = bytes.clone();
        if round % 4 == 0 {
            bytes.truncate(stream.below(bytes.len() as u64) as usize);
        } else {
            for _ in 0..=stream.below(4) {
                let place = stream.below(header as u64) as usize;
                bytes[place] = stream.below(256) as u8;
            }
        }
        fs::write(&path, &bytes).unwrap();
        // Some damage is only another name: then the model may be read.
        if let Err(error) = model::import(&path, true, &out) {
            assert!(error.to_string().contains("model.gguf"), "{error}");
        }
    }
}

#[test]
fn ours_is_as_it_was() {
    let tokenizer = Tokenizer::build(TokenizerStyle::Phrase, ["1 + 2", "3"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let shape = architecture().shape(tokenizer.vocabulary()).unwrap();
    let prompt = Prompt::text("{question}");
    let model = Model {
        weights: initialise(&shape, 1),
        shape,
        tokenizer,
        prompt,
        chat: None,
    };
    model.save(folder.path()).unwrap();
    assert!(!folder.path().join("tokenizer_config.json").exists());
    let tokenizer = model::load(folder.path()).unwrap().tokenizer;
    assert!(tokenizer.is_ours() && tokenizer.begin().is_empty());
    assert_eq!(tokenizer.prompt("1 + <eos>", &[]).unwrap(), tokenizer.encode("1 + <eos>").unwrap());
}
