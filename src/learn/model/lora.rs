//! LoRA (Hu et al. 2021): a matrix `W` becomes `W + α/r · B·A`, and only `A` [r, in] and `B` [out, r] are trained.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Array, ModelShape, Weights};
use crate::seed::Stream;

/// The matrices of a layer that can be adapted, by their short names.
pub const TARGETS: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// The prefix of adapters' names in PEFT.
const ADAPTER_PREFIX: &str = "base_model.model.";

/// The adapters of a base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lora {
    /// Rank of the adapters.
    #[schemars(range(min = 1))]
    pub rank: usize,
    /// The adapters' products are multiplied by `alpha` / `rank`.
    #[schemars(range(min = 0.0))]
    pub alpha: f64,
    /// The matrices of each layer that are adapted: `q_proj`, `k_proj`, `v_proj`, `o_proj`, `gate_proj`, `up_proj`, `down_proj`.
    #[schemars(length(min = 1))]
    pub targets: Vec<String>,
    /// Share of an adapter's inputs that are set to 0 in training. Only for the engine `cpu`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
}

impl Default for Lora {
    /// All matrices at rank 8.
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            targets: TARGETS.map(str::to_owned).to_vec(),
            dropout: 0.0,
        }
    }
}

/// The settings of adapters are not valid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoraError {
    #[error("`rank` = {0} is out of range, it must be from 1 to 1024")]
    Rank(usize),
    #[error("`alpha` = {0} is out of range, it must be a positive number")]
    Alpha(f64),
    #[error("`dropout` = {0} is out of range, it must be at least 0 and less than 1")]
    Dropout(f64),
    #[error("`targets` is empty: nothing would be trained (known: {known})", known = TARGETS.join(", "))]
    NoTargets,
    #[error("no target `{0}` (known: {known})", known = TARGETS.join(", "))]
    UnknownTarget(String),
    #[error("target `{0}` occurs twice")]
    Twice(String),
}

impl Lora {
    /// Checks the settings.
    ///
    /// # Errors
    /// When a field is out of range. The message names the field.
    pub fn check(&self) -> Result<(), LoraError> {
        if !(1..=1024).contains(&self.rank) {
            return Err(LoraError::Rank(self.rank));
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return Err(LoraError::Alpha(self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(LoraError::Dropout(self.dropout));
        }
        for (place, target) in self.targets.iter().enumerate() {
            if !TARGETS.contains(&target.as_str()) {
                return Err(LoraError::UnknownTarget(target.clone()));
            }
            if self.targets.iter().take(place).any(|earlier| earlier == target) {
                return Err(LoraError::Twice(target.clone()));
            }
        }
        if self.targets.is_empty() {
            return Err(LoraError::NoTargets);
        }
        Ok(())
    }

    /// The factor on the adapters' products.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// Whether the matrix with this short name is adapted.
    pub fn adapts(&self, target: &str) -> bool {
        self.targets.iter().any(|name| name == target)
    }

    /// The names of the adapted matrices of `shape`, and their shapes. [out, in]
    pub fn adapted(&self, shape: &ModelShape) -> BTreeMap<String, (usize, usize)> {
        let matrices = shape.parameters().into_iter().filter_map(|(name, shape)| {
            let [out, inner] = shape.as_slice() else { return None };
            let target = name.strip_suffix(".weight")?.rsplit('.').next()?;
            self.adapts(target).then(|| (name.clone(), (*out, *inner)))
        });
        matrices.collect()
    }

    /// The initial adapters for `seed`. `A` is uniform within ±1/√in as in PEFT, with one random stream per matrix. `B` is zero, so that the
    /// first model equals the base.
    pub fn initialise(&self, shape: &ModelShape, seed: u64) -> Weights {
        let mut adapters = Weights::new();
        for (name, (out, inner)) in self.adapted(shape) {
            let (a, b) = adapter_names(&name);
            let (mut stream, bound) = (Stream::new(seed, &format!("initialise/{a}")), 1.0 / libm::sqrt(inner as f64));
            let data = (0..self.rank * inner).map(|_| ((2.0 * stream.uniform() - 1.0) * bound) as f32);
            let (data, shape) = (data.collect(), vec![self.rank, inner]);
            adapters.insert(a, Array { data, shape });
            let (data, shape) = (vec![0.0; out * self.rank], vec![out, self.rank]);
            adapters.insert(b, Array { data, shape });
        }
        adapters
    }

    /// Adds the products of `adapters` to the weights they adapt.
    pub fn merge(&self, weights: &mut Weights, adapters: &Weights) {
        for (name, array) in weights.iter_mut() {
            let (a, b) = adapter_names(name);
            let (Some(a), Some(b), [_, inner]) = (adapters.get(&a), adapters.get(&b), array.shape.as_slice()) else {
                continue;
            };
            let scale = self.scale() as f32;
            let mut product = vec![0.0_f32; *inner];
            for (row, b) in array.data.chunks_exact_mut(*inner).zip(b.data.chunks_exact(self.rank)) {
                product.fill(0.0);
                for (b, a) in b.iter().zip(a.data.chunks_exact(*inner)) {
                    product.iter_mut().zip(a).for_each(|(sum, a)| *sum += b * a);
                }
                row.iter_mut().zip(&product).for_each(|(weight, sum)| *weight += scale * sum);
            }
        }
    }
}

/// PEFT's names of the adapters `A` and `B` of a matrix.
pub fn adapter_names(matrix: &str) -> (String, String) {
    let stem = matrix.strip_suffix(".weight").unwrap_or(matrix);
    let part = |which: &str| format!("{ADAPTER_PREFIX}{stem}.lora_{which}.weight");
    (part("A"), part("B"))
}

/// Whether `name` is that of an adapter.
pub fn is_adapter(name: &str) -> bool {
    name.starts_with(ADAPTER_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Architecture, initialise};

    fn message(change: impl FnOnce(&mut Lora)) -> String {
        let mut lora = Lora::default();
        change(&mut lora);
        lora.check().unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_field() {
        insta::assert_snapshot!(message(|lora| lora.rank = 0), @"`rank` = 0 is out of range, it must be from 1 to 1024");
        insta::assert_snapshot!(message(|lora| lora.alpha = f64::NAN), @"`alpha` = NaN is out of range, it must be a positive number");
        insta::assert_snapshot!(message(|lora| lora.dropout = 1.0), @"`dropout` = 1 is out of range, it must be at least 0 and less than 1");
        insta::assert_snapshot!(message(|lora| lora.targets.clear()), @"`targets` is empty: nothing would be trained (known: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj)");
        insta::assert_snapshot!(message(|lora| lora.targets.push("head".to_owned())), @"no target `head` (known: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj)");
        insta::assert_snapshot!(message(|lora| lora.targets.push("q_proj".to_owned())), @"target `q_proj` occurs twice");
    }

    #[test]
    fn the_start_is_the_base_and_a_merge_adds_the_scaled_product() {
        let shape = Architecture::default().shape(20).unwrap();
        let lora = Lora {
            targets: vec!["v_proj".to_owned()],
            rank: 2,
            ..Lora::default()
        };
        let (base, mut adapters) = (initialise(&shape, 1), lora.initialise(&shape, 1));
        let mut merged = base.clone();
        lora.merge(&mut merged, &adapters);
        assert_eq!(merged, base);
        let name = "model.layers.1.self_attn.v_proj.weight";
        let (a, b) = adapter_names(name);
        adapters.get_mut(&b).unwrap().data[2 * 3 + 1] = 0.5;
        lora.merge(&mut merged, &adapters);
        for (index, (found, before)) in merged[name].data.iter().zip(&base[name].data).enumerate() {
            let added = if index / 64 == 3 {
                8.0 * 0.5 * adapters[&a].data[64 + index % 64]
            } else {
                0.0
            };
            assert!((found - before - added).abs() < 1e-7);
        }
        merged.remove(name);
        assert!(merged.iter().all(|(name, array)| base[name] == *array));
    }
}
