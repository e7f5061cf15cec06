//! The key of a stage, and why a stage has to run.
//!
//! A stage's key is the BLAKE3 digest of its [`Fingerprint`], the struct of all that decides its output. What is not in it must not
//! matter for the output; what matters is in it:
//!
//! | value | in the key | because |
//! |---|---|---|
//! | kind | yes | it is what is computed |
//! | the kind's `VERSION` | yes | raised when the same params may give other bytes |
//! | params, after defaults | yes | writing a default out changes nothing |
//! | seed | only of kinds that draw random numbers | a greedy evaluation is the same for all seeds |
//! | inputs | by port and content digest, in order | a stage redone with the same result disturbs nothing (early cutoff) |
//! | files that a program is started with | by name and content digest, of `command` | a script that was edited does something else |
//! | numeric class (engine, dtype) | yes, of kinds that compute | other rounding is another result |
//! | instruction set | only with `strict_numerics` | changes the last bits only; a lab's machines share artifacts |
//! | stage name, experiment name, variant | never | names are for people |
//! | comments, key order, layout of the file | never | they are not read |
//! | paths, times, threads, jobs, device index, where it ran | never | results do not depend on them |
//! | store, remotes and other settings | never | they say how to run, not what to compute |
//!
//! One test per row is in `tests/it/keys.rs`, that of files in `tests/it/commands.rs`.

mod reason;

pub use reason::{Change, Reason};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hash::{Digest, Encoder};

/// The version of the key's format: raised when keys are computed in another way, which makes every stage new.
const FORMAT: u32 = 1;

/// All that decides a stage's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    format: u32,
    /// `train`
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// After defaults.
    pub params: Value,
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
    /// A fingerprint of the current format; inputs and the optional parts are filled in by the caller.
    pub fn new(kind: &str, version: u32, params: Value) -> Self {
        Self {
            format: FORMAT,
            kind: kind.to_owned(),
            version,
            params,
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
        // By name, as for every object; a test holds this against the encoding of the struct as serde writes it.
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
