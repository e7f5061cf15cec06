//! Adapters in PEFT's format, as the base of more: merged into the model that they adapt, or refused by name.

use std::fs;
use std::path::{Path, PathBuf};

use learn::model::{self, Architecture, Array, Lora, Model, Weights};
use learn::seed::Stream;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use super::model::{model, small};

/// A model, adapters of it, and their folders.
struct Case {
    folder: tempfile::TempDir,
    model: Model,
    lora: Lora,
    adapters: Weights,
}

/// The bytes of numbers in a type.
fn bytes(dtype: Dtype, data: &[f32]) -> Vec<u8> {
    match dtype {
        Dtype::F16 => data.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect(),
        Dtype::BF16 => data.iter().flat_map(|x| half::bf16::from_f32(*x).to_le_bytes()).collect(),
        _ => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn write(weights: &Weights, dtype: Dtype, path: &Path) {
    let all: Vec<(&String, &Array, Vec<u8>)> = weights
        .iter()
        .map(|(name, array)| (name, array, bytes(dtype, &array.data)))
        .collect();
    let views = all
        .iter()
        .map(|(name, array, bytes)| (name.as_str(), TensorView::new(dtype, array.shape.clone(), bytes).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

impl Case {
    fn new() -> Self {
        let model = model(&Architecture {
            lines: 0,
            columns: 0,
            layers: 2,
            ..small()
        });
        let lora = Lora {
            rank: 2,
            alpha: 3.0,
            targets: ["q_proj", "v_proj", "down_proj"].map(str::to_owned).to_vec(),
            dropout: 0.0,
        };
        let (mut adapters, mut stream) = (lora.initialise(&model.shape, 1), Stream::new(1, "adapters"));
        for array in adapters.values_mut() {
            array.data.iter_mut().for_each(|x| *x = stream.normal() as f32);
        }
        let case = Self {
            folder: tempfile::tempdir().unwrap(),
            model,
            lora,
            adapters,
        };
        case.model.save(&case.base()).unwrap();
        fs::create_dir(case.source()).unwrap();
        case.settings(&json!({}));
        write(&case.adapters, Dtype::F32, &case.source().join("adapter_model.safetensors"));
        case
    }

    fn base(&self) -> PathBuf {
        self.folder.path().join("base")
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("adapter")
    }

    /// Writes the settings as PEFT does, with some changes.
    fn settings(&self, changes: &Value) {
        let mut settings = json!({
            "alpha_pattern": {}, "auto_mapping": null, "base_model_name_or_path": "someone/model", "bias": "none", "corda_config": null,
            "eva_config": null, "exclude_modules": null, "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true,
            "layer_replication": null, "layers_pattern": null, "layers_to_transform": null, "loftq_config": {}, "lora_alpha": 3,
            "lora_bias": false, "lora_dropout": 0.05, "megatron_config": null, "modules_to_save": null, "peft_type": "LORA", "r": 2,
            "rank_pattern": {}, "revision": null, "target_modules": ["v_proj", "q_proj", "mlp.down_proj"], "task_type": "CAUSAL_LM",
            "trainable_token_indices": null, "use_dora": false, "use_rslora": false,
        });
        for (name, value) in changes.as_object().unwrap() {
            settings[name] = value.clone();
        }
        fs::write(self.source().join("adapter_config.json"), settings.to_string()).unwrap();
    }

    fn merged(&self) -> Model {
        let out = self.folder.path().join("out");
        model::import_adapter(&self.source(), &self.base(), &out).unwrap();
        model::load(&out).unwrap()
    }

    fn message(&self) -> String {
        let out = self.folder.path().join("out");
        let error = model::import_adapter(&self.source(), &self.base(), &out).err().unwrap().to_string();
        error.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// The product in f64, rounded to the type at the end.
#[test]
fn adapters_are_merged_into_their_base() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let case = Case::new();
        write(&case.model.weights, dtype, &case.base().join("model.safetensors"));
        write(&case.adapters, Dtype::F32, &case.source().join("adapter_model.safetensors"));
        let stored = model::load(&case.base()).unwrap();
        for (changes, scale) in [
            (json!({}), 1.5),
            (json!({"use_rslora": true}), 3.0 / 2.0_f64.sqrt()),
            (json!({"target_modules": "all-linear"}), 1.5),
        ] {
            case.settings(&changes);
            let merged = case.merged();
            assert_eq!((&merged.shape, &merged.prompt), (&stored.shape, &stored.prompt));
            let adapted = case.lora.adapted(&stored.shape);
            for (name, array) in &stored.weights {
                let Some((out, inner)) = adapted.get(name) else {
                    assert_eq!(array, &merged.weights[name], "{name}");
                    continue;
                };
                let (a, b) = model::lora::adapter_names(name);
                let (a, b) = (&case.adapters[&a].data, &case.adapters[&b].data);
                for index in 0..out * inner {
                    let (row, column) = (index / inner, index % inner);
                    let product = (0..2).map(|rank| f64::from(b[row * 2 + rank]) * f64::from(a[rank * inner + column]));
                    let expected = f64::from(array.data[index]) + scale * product.sum::<f64>();
                    let found = f64::from(merged.weights[name].data[index]);
                    let step = match dtype {
                        Dtype::F32 => 1e-6,
                        Dtype::F16 => 1.0 / 2048.0,
                        _ => 1.0 / 256.0,
                    };
                    assert!(
                        (found - expected).abs() <= expected.abs().max(1.0) * step,
                        "{dtype:?} {name} {index}: {found}, not {expected}"
                    );
                }
            }
            let file = model::TensorFile::open(&case.folder.path().join("out/model.safetensors")).unwrap();
            assert_eq!(file.info("model.norm.weight").unwrap().dtype, dtype);
        }
    }
}

#[test]
fn our_own_adapters_merge_to_the_model_beside_them() {
    let case = Case::new();
    let adapters = model::Adapters {
        lora: case.lora.clone(),
        weights: case.adapters.clone(),
    };
    adapters.save(&case.source()).unwrap();
    let mut expected = case.model.weights.clone();
    case.lora.merge(&mut expected, &case.adapters);
    assert_eq!(case.merged().weights, expected);
    // Names as they are before PEFT shortens them.
    let longer = |name: &String| name.replace(".weight", ".default.weight");
    let renamed = case.adapters.iter().map(|(name, array)| (longer(name), array.clone())).collect();
    write(&renamed, Dtype::F32, &case.source().join("adapter_model.safetensors"));
    assert_eq!(case.merged().weights, expected);
}

#[test]
fn adapters_of_joined_matrices_are_split_as_the_matrices_are() {
    let case = Case::new();
    let name = |layer: usize, part: &str| format!("base_model.model.model.layers.{layer}.{part}.weight");
    let (mut joined, mut parts) = (Weights::new(), Weights::new());
    let array = |rows: usize, columns: usize, start: usize| Array {
        shape: vec![rows, columns],
        data: (0..rows * columns).map(|index| ((start + index) % 17) as f32 / 8.0 - 1.0).collect(),
    };
    for layer in 0..2 {
        let (a, b) = (array(2, 8, layer), array(24, 2, layer + 5));
        for (place, part) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
            let rows = b.data[place * 16..(place + 1) * 16].to_vec();
            parts.insert(name(layer, &format!("self_attn.{part}.lora_A")), a.clone());
            let rows = Array {
                shape: vec![8, 2],
                data: rows,
            };
            parts.insert(name(layer, &format!("self_attn.{part}.lora_B")), rows);
        }
        joined.insert(name(layer, "self_attn.qkv_proj.lora_A"), a);
        joined.insert(name(layer, "self_attn.qkv_proj.lora_B"), b);
    }
    let path = case.source().join("adapter_model.safetensors");
    case.settings(&json!({"target_modules": ["qkv_proj"]}));
    write(&joined, Dtype::F32, &path);
    let found = case.merged().weights;
    case.settings(&json!({"target_modules": ["q_proj", "k_proj", "v_proj"]}));
    write(&parts, Dtype::F32, &path);
    assert!(found == case.merged().weights && found != case.model.weights);
}

#[test]
fn what_cannot_be_merged_is_named() {
    let case = Case::new();
    let mut messages = Vec::new();
    for changes in [
        json!({"peft_type": "PREFIX_TUNING"}),
        json!({"use_dora": true}),
        json!({"fan_in_fan_out": true}),
        json!({"bias": "all"}),
        json!({"modules_to_save": ["lm_head"]}),
        json!({"rank_pattern": {"q_proj": 4}}),
        json!({"init_lora_weights": "pissa"}),
        json!({"r": 0}),
        json!({"r": 4}),
        json!({"r": "many"}),
        json!({"target_modules": ["q_proj", "v_proj"]}),
        json!({"target_modules": ["q_proj", "k_proj", "v_proj", "down_proj"]}),
    ] {
        case.settings(&changes);
        messages.push(case.message());
    }
    case.settings(&json!({}));
    let path = case.source().join("adapter_model.safetensors");
    let with = |change: fn(&mut Weights)| {
        let mut adapters = case.adapters.clone();
        change(&mut adapters);
        write(&adapters, Dtype::F32, &path);
        case.message()
    };
    messages.push(with(|adapters| {
        let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";
        adapters.remove(name).unwrap();
    }));
    messages.push(with(|adapters| {
        let array = adapters.values().next().unwrap().clone();
        adapters.insert(
            "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector".to_owned(),
            array,
        );
    }));
    messages.push(with(|adapters| adapters.values_mut().next().unwrap().data[0] = f32::NAN));
    messages.push(with(|adapters| adapters.values_mut().for_each(|array| array.data.fill(1e30))));
    fs::remove_file(&path).unwrap();
    messages.push(case.message());
    fs::write(case.source().join("adapter_model.bin"), b"PK").unwrap();
    messages.push(case.message());
    // Adapters alone are no model, and beside a model it is not clear what is meant.
    let import = || {
        let error = model::import(&case.source(), true, &case.folder.path().join("out"))
            .err()
            .unwrap()
            .to_string();
        error.replace(&format!("{}/", case.folder.path().display()), "")
    };
    messages.push(import());
    fs::copy(case.base().join("config.json"), case.source().join("config.json")).unwrap();
    messages.push(import());
    fs::remove_file(case.source().join("adapter_config.json")).unwrap();
    messages.push(case.message());
    insta::assert_snapshot!(messages.join("\n"), @r#"
    adapter/adapter_config.json: peft_type is "PREFIX_TUNING", but only "LORA" is supported
    adapter/adapter_config.json: use_dora is true, but only nothing is supported
    adapter/adapter_config.json: fan_in_fan_out is true, but only nothing is supported
    adapter/adapter_config.json: bias is "all", but only "none" is supported
    adapter/adapter_config.json: modules_to_save is ["lm_head"], but only nothing is supported
    adapter/adapter_config.json: rank_pattern is {"q_proj":4}, but only nothing is supported
    adapter/adapter_config.json: init_lora_weights is "pissa", but only true, false, "gaussian", "orthogonal" or "eva" is supported
    adapter/adapter_config.json: `r` is 0, but must be from 1 to 65536
    adapter/adapter_model.safetensors: tensor `base_model.model.model.layers.0.mlp.down_proj.lora_B.weight` has shape [8, 2], but the model needs [8, 4]
    adapter/adapter_config.json: `r` is "many", but must be a whole number from 0
    adapter/adapter_model.safetensors: tensor `base_model.model.model.layers.0.mlp.down_proj.lora_A.weight` is there, but `target_modules` in adapter_config.json does not name its module
    adapter/adapter_model.safetensors: tensor `base_model.model.model.layers.0.self_attn.k_proj.lora_B.weight` is missing
    adapter/adapter_model.safetensors: tensor `base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight` is missing
    adapter/adapter_model.safetensors: the model has no tensor `base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector`
    adapter/adapter_model.safetensors: number 0 of tensor `base_model.model.model.layers.0.mlp.down_proj.lora_A.weight` is NaN, but weights must be finite
    base/model.safetensors: tensor `model.layers.0.mlp.down_proj.weight` is no longer finite when its adapters are merged
    cannot read adapter/adapter_model.safetensors: No such file or directory (os error 2)
    adapter is not a model: its adapters are in PyTorch's format, which is not read; save them as `adapter_model.safetensors`
    adapter is not a model: it holds adapters of "someone/model"; import that model as well, and give its stage as `base`
    adapter is not a model: it holds adapters of "someone/model" beside a model; name the files that are meant in `files` of the source
    adapter is not a model: with a `base`, a source must be a folder with adapters, and it has no `adapter_config.json`
    "#);
}

#[test]
fn no_damage_is_more_than_an_error() {
    let case = Case::new();
    let mut stream = Stream::new(1, "damage");
    let mut merged = 0;
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        let path = case.source().join(name);
        let whole = fs::read(&path).unwrap();
        let header = whole.len().min(2000) as u64;
        for round in 0..150 {
            let mut bytes = whole.clone();
            if round % 4 == 0 {
                bytes.truncate(stream.below(bytes.len() as u64) as usize);
            } else {
                for _ in 0..=stream.below(3) {
                    bytes[stream.below(header) as usize] = stream.below(256) as u8;
                }
            }
            fs::write(&path, &bytes).unwrap();
            match model::import_adapter(&case.source(), &case.base(), &case.folder.path().join("out")) {
                Ok(()) => merged += 1,
                Err(error) => assert!(error.to_string().contains("adapter"), "{error}"),
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(merged > 0);
}
