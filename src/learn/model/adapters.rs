//! Trained adapters in PEFT's format: `adapter_config.json` and `adapter_model.safetensors`.

use std::path::Path;

use serde_json::json;

use super::json_file::write_json;
use super::{Lora, ModelError, Weights, weights_file};

pub(super) const ADAPTER_CONFIG_FILE: &str = "adapter_config.json";
pub(super) const ADAPTER_WEIGHTS_FILE: &str = "adapter_model.safetensors";

/// The adapters of a model, with PEFT's names.
#[derive(Clone, Debug)]
pub struct Adapters {
    pub lora: Lora,
    pub weights: Weights,
}

impl Adapters {
    /// Writes the folder `folder`, so that `PeftModel.from_pretrained` can load it for the adapted base.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        std::fs::create_dir_all(folder).map_err(|error| ModelError::Write {
            path: folder.to_owned(),
            error,
        })?;
        let config = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": null,
            "r": self.lora.rank,
            "lora_alpha": self.lora.alpha,
            "lora_dropout": self.lora.dropout,
            "target_modules": self.lora.targets,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "modules_to_save": null,
            "use_rslora": false,
            "use_dora": false,
        });
        write_json(&config, &folder.join(ADAPTER_CONFIG_FILE))?;
        weights_file::write(&self.weights, &folder.join(ADAPTER_WEIGHTS_FILE))
    }
}
