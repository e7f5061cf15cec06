//! Adapters in PEFT's format, merged into the model that they adapt: `W + scale · B·A`, computed in f32 and rounded to the type of `W`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::hub::{fused, tensors};
use super::shards::WeightFiles;
use super::tensor::{LowRank, SourceTensor};
use crate::model::adapters::{ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE};
use crate::model::config_file::Fields;
use crate::model::files::Described;
use crate::model::json_file::read_json;
use crate::model::lora::adapter_names;
use crate::model::{ModelError, TensorFile, files};

/// Adapters in PyTorch's own format.
const PYTORCH_FILE: &str = "adapter_model.bin";

/// Settings that change the result in ways that are not computed here; they must be null, false or empty.
const UNSUPPORTED_FIELDS: [&str; 12] = [
    "fan_in_fan_out",
    "use_dora",
    "use_qalora",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "arrow_config",
];

/// Ways to initialise adapters that leave the base as it is. Others subtract the first adapters from it.
const PLAIN_STARTS: [&str; 4] = ["gaussian", "orthogonal", "eva", "default"];

/// Whether the folder has adapters.
pub(super) fn is_adapter(folder: &Path) -> bool {
    folder.join(ADAPTER_CONFIG_FILE).is_file()
}

/// The error for a folder with adapters that is to be a whole model.
pub(super) fn lone(folder: &Path) -> ModelError {
    let read = || {
        let path = folder.join(ADAPTER_CONFIG_FILE);
        let object: Map<String, Value> = read_json(&path)?;
        let base = Fields::new(&path, &object).text("base_model_name_or_path")?;
        Ok::<_, ModelError>(base.map(|base| format!(" of {base:?}")).unwrap_or_default())
    };
    let of = match read() {
        Ok(of) => of,
        Err(error) => return error,
    };
    let problem = if folder.join("config.json").is_file() {
        format!("it holds adapters{of} beside a model; name the files that are meant in `files` of the source")
    } else {
        format!("it holds adapters{of}; import that model as well, and give its stage as `base`")
    };
    ModelError::NoModel {
        path: folder.to_owned(),
        problem,
    }
}

/// Writes the model in the folder `base`, with the adapters in the folder `source` merged, to the folder `out`.
pub(super) fn import(source: &Path, base: &Path, out: &Path) -> Result<(), ModelError> {
    if !is_adapter(source) {
        return Err(ModelError::NoModel {
            path: source.to_owned(),
            problem: format!("with a `base`, a source must be a folder with adapters, and it has no `{ADAPTER_CONFIG_FILE}`"),
        });
    }
    let settings = AdapterSettings::read(&source.join(ADAPTER_CONFIG_FILE))?;
    let path = source.join(ADAPTER_WEIGHTS_FILE);
    if !path.exists() && source.join(PYTORCH_FILE).is_file() {
        return Err(ModelError::NoModel {
            path: source.to_owned(),
            problem: "its adapters are in PyTorch's format, which is not read; save them as `adapter_model.safetensors`".to_owned(),
        });
    }
    let file = TensorFile::open(&path)?;
    let model = files::open(base)?;
    let weights = WeightFiles::open(base)?;
    let mut merged = tensors(&model.shape, &weights)?;
    let mut adapters = AdapterFile {
        unused: file.names().into_iter().collect(),
        file,
        path,
        settings,
    };
    for tensor in &mut merged {
        let whole = fused(&model.shape, &tensor.name).unwrap_or_else(|| (tensor.name.clone(), 0, 0));
        let rows = tensor.shape.first().copied().unwrap_or_default();
        tensor.added = match adapters.of(tensor, &tensor.name, 0, rows)? {
            None if whole.2 > 0 => adapters.of(tensor, &whole.0, whole.1, whole.2)?,
            found => found,
        };
    }
    if let Some(name) = adapters.unused.into_iter().next() {
        return Err(ModelError::Stranger { path: adapters.path, name });
    }
    let described = Described {
        shape: &model.shape,
        tokenizer: &model.tokenizer,
        prompt: &model.prompt,
        chat: model.chat.as_ref(),
        dtype: super::tensor::common_type(&merged),
    };
    described.write(out)?;
    super::tensor::write(&merged, &files::weights(out))
}

/// The settings of adapters.
struct AdapterSettings {
    rank: usize,
    scale: f32,
    /// The adapted modules by the ends of their names; `None` if a pattern says which they are.
    targets: Option<Vec<String>>,
    /// Whether only some layers are adapted.
    some_layers: bool,
}

impl AdapterSettings {
    fn read(path: &Path) -> Result<Self, ModelError> {
        let object: Map<String, Value> = read_json(path)?;
        let fields = Fields::new(path, &object);
        if fields.text("peft_type")? != Some("LORA") {
            return Err(fields.unsupported("peft_type", "\"LORA\""));
        }
        for field in UNSUPPORTED_FIELDS {
            let is_empty = match fields.value(field) {
                None | Some(Value::Bool(false)) => true,
                Some(Value::Array(items)) => items.is_empty(),
                Some(Value::Object(items)) => items.is_empty(),
                Some(_) => false,
            };
            if !is_empty {
                return Err(fields.unsupported(field, "nothing"));
            }
        }
        if fields.text("bias")?.unwrap_or("none") != "none" {
            return Err(fields.unsupported("bias", "\"none\""));
        }
        let start = fields.value("init_lora_weights").and_then(Value::as_str);
        if start.is_some_and(|start| !PLAIN_STARTS.contains(&start)) {
            return Err(fields.unsupported("init_lora_weights", "true, false, \"gaussian\", \"orthogonal\" or \"eva\""));
        }
        let rank = fields.integer("r")?.unwrap_or(8);
        if !(1..=MAX_RANK).contains(&rank) {
            return Err(fields.wrong("r", format!("is {rank}, but must be from 1 to {MAX_RANK}")));
        }
        let alpha = fields.number("lora_alpha")?.unwrap_or(8.0);
        let divisor = if fields.flag("use_rslora")?.unwrap_or(false) {
            (rank as f64).sqrt()
        } else {
            rank as f64
        };
        let targets = match fields.value("target_modules") {
            Some(Value::Array(_)) => fields.texts("target_modules")?,
            _ => None,
        };
        Ok(Self {
            rank,
            scale: (alpha / divisor) as f32,
            targets: targets.map(|targets| targets.into_iter().map(str::to_owned).collect()),
            some_layers: fields.value("layers_to_transform").is_some(),
        })
    }

    /// Whether the module of this weight is adapted; `None` if the settings do not tell.
    fn targets(&self, weight: &str) -> Option<bool> {
        let module = weight.strip_suffix(".weight").unwrap_or(weight);
        let targets = self.targets.as_ref()?;
        let ends = |target: &String| {
            module
                .strip_suffix(target.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        Some(targets.iter().any(ends))
    }
}

/// A larger rank is assumed to be damage.
const MAX_RANK: usize = 1 << 16;

/// The file of the adapters.
struct AdapterFile {
    file: TensorFile,
    path: PathBuf,
    settings: AdapterSettings,
    /// Tensors that nothing has read.
    unused: BTreeSet<String>,
}

impl AdapterFile {
    /// What is added to `tensor`, from the adapters of the weight `name` of `rows` rows, whose row `first` is the tensor's first.
    fn of(&mut self, tensor: &SourceTensor<'_>, name: &str, first: usize, rows: usize) -> Result<Option<Arc<LowRank>>, ModelError> {
        let [own_rows, columns] = tensor.shape[..] else { return Ok(None) };
        let (a, b) = adapter_names(name);
        let (a, b) = (self.stored(a), self.stored(b));
        let (has_a, has_b) = (self.file.info(&a).is_some(), self.file.info(&b).is_some());
        let targeted = self.settings.targets(name);
        if !has_a && !has_b && (targeted != Some(true) || self.settings.some_layers) {
            return Ok(None);
        }
        if targeted == Some(false) {
            let problem = "is there, but `target_modules` in adapter_config.json does not name its module".to_owned();
            let (path, name) = (self.path.clone(), if has_a { a } else { b });
            return Err(ModelError::Place { path, name, problem });
        }
        let rank = self.settings.rank;
        let numbers = self.file.numbers(&b, &[rows, rank])?;
        let low_rank = LowRank {
            a: self.file.numbers(&a, &[rank, columns])?,
            b: numbers.into_iter().skip(first * rank).take(own_rows * rank).collect(),
            rank,
            scale: self.settings.scale,
        };
        self.unused.remove(&a);
        self.unused.remove(&b);
        Ok(Some(Arc::new(low_rank)))
    }

    /// The name that a tensor has in the file: programs put the adapters' name, `default`, before `weight`.
    fn stored(&self, name: String) -> String {
        let longer = name.strip_suffix(".weight").map(|stem| format!("{stem}.default.weight"));
        match longer {
            Some(longer) if self.file.info(&longer).is_some() => longer,
            _ => name,
        }
    }
}
