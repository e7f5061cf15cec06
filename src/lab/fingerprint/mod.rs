//! The key of a stage, and the reason why a stage has to run.
//!
//! A stage's key is the BLAKE3 digest of its [`Fingerprint`], which has everything that decides the stage's output, and nothing else:
//!
//! | value | in the key | because |
//! |---|---|---|
//! | kind | yes | it is what is computed |
//! | the kind's `version` | yes | it is raised when the same params may give other bytes |
//! | params, after defaults | yes | spelling out a default changes nothing |
//! | seed | only for kinds that draw random numbers | a greedy evaluation is the same for all seeds |
//! | inputs | by port and content digest, in order | if a stage runs again with the same result, the stages after it are hits (early cutoff) |
//! | files that a program is started with | by name and content digest, for `command` | an edited script does something else |
//! | numeric class (engine, dtype) | yes, for kinds that compute | they decide how results are rounded |
//! | instruction set | only with `strict_numerics` | it changes only the last bits, and different machines share artifacts |
//! | stage name, experiment name, variant | never | names are only for display |
//! | comments, key order, layout of the file | never | they have no meaning |
//! | paths, times, threads, jobs, device index, where it ran | never | results do not depend on them |
//! | store, remotes and other settings | never | they decide how to run, not what to compute |
//!
//! There is a test for each row: for files in `tests/it/commands.rs`, for the others in `tests/it/keys.rs`.

mod reason;

pub use reason::{FingerprintChange, Reason};

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hash::{Digest, Encoder};

/// The version of the key's format. Raise it when keys are computed in another way; then no stage is a hit any more.
const FINGERPRINT_FORMAT: u32 = 1;

/// Everything that decides a stage's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    format: u32,
    /// `train`
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// After defaults. Shared with the stage's node in the graph.
    pub params: Arc<Value>,
    /// For kinds that draw random numbers.
    pub seed: Option<u64>,
    /// Content digests by input port, in the order of the references.
    pub inputs: BTreeMap<String, Vec<Digest>>,
    /// Content digests of the files that a program is started with, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Digest>,
    /// Engine and dtype, for kinds that compute.
    pub numerics: Option<String>,
    /// With `strict_numerics`, for kinds that compute.
    pub instruction_set: Option<String>,
}

impl Fingerprint {
    /// A fingerprint of the current format. The caller fills in the inputs and the optional parts.
    pub fn new(kind: &str, version: u32, params: impl Into<Arc<Value>>) -> Self {
        Self {
            format: FINGERPRINT_FORMAT,
            kind: kind.to_owned(),
            version,
            params: params.into(),
            seed: None,
            inputs: BTreeMap::new(),
            files: BTreeMap::new(),
            numerics: None,
            instruction_set: None,
        }
    }

    /// The stage key: the digest of the canonical encoding.
    pub fn key(&self) -> Digest {
        let Self {
            format,
            kind,
            version,
            params,
            seed,
            inputs,
            files,
            numerics,
            instruction_set,
        } = self;
        let mut encoder = Encoder::default();
        // By hand, because a run that has nothing to do still makes the keys of all its stages: `hash::value(&to_value(self))`, which
        // clones the params, took 2.7 times as long (50 instead of 18 µs per key). A test shows that both give the same digest.
        // Fields are sorted by name, as in every object.
        encoder.object(8 + usize::from(!files.is_empty()));
        if !files.is_empty() {
            encoder.text("files");
            encoder.object(files.len());
            for (name, digest) in files {
                encoder.text(name);
                encoder.text(&digest.to_string());
            }
        }
        field(&mut encoder, "format", &(*format).into());
        encoder.text("inputs");
        encoder.object(inputs.len());
        for (port, digests) in inputs {
            encoder.text(port);
            encoder.array(digests.len());
            digests.iter().for_each(|digest| encoder.text(&digest.to_string()));
        }
        field(&mut encoder, "instruction_set", &instruction_set.as_deref().into());
        field(&mut encoder, "kind", &kind.as_str().into());
        field(&mut encoder, "numerics", &numerics.as_deref().into());
        field(&mut encoder, "params", params);
        field(&mut encoder, "seed", &(*seed).into());
        field(&mut encoder, "version", &(*version).into());
        encoder.digest()
    }
}

fn field(encoder: &mut Encoder, name: &str, value: &Value) {
    encoder.text(name);
    encoder.value(value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::hash;

    #[test]
    fn the_key_is_the_digest_of_the_struct_as_serde_writes_it() {
        let bare = Fingerprint::new("mix", 1, json!({"mode": "new"}));
        let mut full = Fingerprint::new("eval", 3, json!({"rate": 1e-3, "model": {"width": 64}, "list": [1, null]}));
        full.seed = Some(u64::MAX);
        full.inputs.insert("model".to_owned(), vec![Digest::of(b"a")]);
        full.inputs.insert("data".to_owned(), vec![Digest::of(b"b"), Digest::of(b"c")]);
        full.inputs.insert("none".to_owned(), Vec::new());
        full.files.insert("train.py".to_owned(), Digest::of(b"d"));
        full.numerics = Some("cpu f32".to_owned());
        full.instruction_set = Some("avx2".to_owned());
        for fingerprint in [bare, full] {
            assert_eq!(fingerprint.key(), hash::value(&serde_json::to_value(&fingerprint).unwrap()));
        }
    }
}
