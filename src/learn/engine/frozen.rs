//! Patterns of weights that are not trained.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EngineError;
use crate::model::ModelShape;
use wildmatch::WildMatchPattern;

/// Names of weights that are not trained; `*` matches any text, including none. Empty: all weights are trained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Frozen(Vec<String>);

impl Frozen {
    /// Freezes the weights whose names match one of `patterns`.
    pub fn new(patterns: impl IntoIterator<Item = String>) -> Self {
        Self(patterns.into_iter().collect())
    }

    /// Whether all weights are trained.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the weight `name` is frozen.
    pub fn holds(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, name))
    }

    /// Checks that each pattern matches a weight of `shape`, and that some weight is left to train.
    ///
    /// # Errors
    /// When not.
    pub fn check(&self, shape: &ModelShape) -> Result<(), EngineError> {
        let names: Vec<String> = shape.parameters().into_keys().collect();
        if let Some(pattern) = self.0.iter().find(|pattern| !names.iter().any(|name| matches(pattern, name))) {
            return Err(EngineError::UnknownWeight {
                pattern: pattern.clone(),
                known: known(&names),
            });
        }
        if names.iter().all(|name| self.holds(name)) {
            return Err(EngineError::AllFrozen);
        }
        Ok(())
    }
}

/// The weights' names, with one entry for all layers.
fn known(names: &[String]) -> String {
    let names = names.iter().filter_map(|name| match name.strip_prefix("model.layers.") {
        None => Some(name.clone()),
        Some(rest) => rest.strip_prefix("0.").map(|part| format!("model.layers.N.{part}")),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Whether `pattern`, in which `*` matches any text, matches all of `name`.
fn matches(pattern: &str, name: &str) -> bool {
    // The wildcard for a single character is set to one that no name contains.
    WildMatchPattern::<'*', '\0'>::new(pattern).matches(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Architecture;

    #[test]
    fn what_is_not_there_cannot_be_frozen_and_something_is_trained() {
        let shape = Architecture::default().shape(5).unwrap();
        let error = |patterns: &[&str]| {
            let frozen = Frozen::new(patterns.iter().map(ToString::to_string));
            frozen.check(&shape).unwrap_err().to_string()
        };
        insta::assert_snapshot!(error(&["model.layers.*", "head"]), @"`frozen` has the pattern `head`, which matches no weight (known: model.embed_columns.weight, model.embed_lines.weight, model.embed_tokens.weight, model.layers.N.input_layernorm.weight, model.layers.N.mlp.down_proj.weight, model.layers.N.mlp.gate_proj.weight, model.layers.N.mlp.up_proj.weight, model.layers.N.post_attention_layernorm.weight, model.layers.N.self_attn.k_proj.weight, model.layers.N.self_attn.o_proj.weight, model.layers.N.self_attn.q_proj.weight, model.layers.N.self_attn.v_proj.weight, model.norm.weight)");
        insta::assert_snapshot!(error(&["model.*"]), @"`frozen` matches all weights; nothing would be trained");
        assert!(Frozen::default().check(&shape).is_ok());
        assert!(Frozen::new(["model.layers.1.*".to_owned()]).check(&shape).is_ok());
    }
}
