//! The reason why a stage has to run, as a value that can be printed and tested.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::{Fingerprint, of_environment};
use crate::hash::Digest;
use crate::json_path;

/// The longest list, in bytes, of which a reason has all items.
const LONGEST_LIST: usize = 40;

/// Why a stage has to run.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// No similar stage has ever run.
    NeverRun,
    /// A similar stage has run, with these differences.
    Changed(Vec<FingerprintChange>),
    /// It has a record, but an output is missing.
    OutputMissing { port: String, digest: Digest },
    /// It has a record, but an output that is needed was deleted by gc.
    OutputDeleted { port: String, digest: Digest },
    /// It has a record, which is ignored for this reason.
    Distrusted(String),
}

/// One difference between a stage and the most similar earlier one.
#[derive(Clone, Debug, PartialEq)]
pub enum FingerprintChange {
    Version {
        kind: String,
        before: u32,
        now: u32,
    },
    /// `name` is the path inside the params: `learning_rate`, `model.width`.
    Param {
        name: String,
        before: Value,
        now: Value,
    },
    Seed {
        before: Option<u64>,
        now: Option<u64>,
    },
    Input {
        port: String,
        before: Vec<Digest>,
        now: Vec<Digest>,
    },
    /// A file that a program is started with.
    File {
        name: String,
        before: Option<Digest>,
        now: Option<Digest>,
    },
    Numerics {
        before: Option<String>,
        now: Option<String>,
    },
}

impl FingerprintChange {
    /// All differences between an earlier fingerprint of the same kind and the current one.
    pub fn between(before: &Fingerprint, now: &Fingerprint) -> Vec<Self> {
        let mut changes = Vec::new();
        if before.version != now.version {
            changes.push(Self::Version {
                kind: now.kind.clone(),
                before: before.version,
                now: now.version,
            });
        }
        json_path::differences(&before.params, &now.params, &mut |path, before, now| {
            changes.push(Self::Param {
                name: path.to_owned(),
                before: before.clone(),
                now: now.clone(),
            });
        });
        if before.seed != now.seed {
            changes.push(Self::Seed {
                before: before.seed,
                now: now.seed,
            });
        }
        let inputs = changed(&before.inputs, &now.inputs).map(|(port, before, now)| {
            let [before, now] = [before, now].map(|digests| digests.cloned().unwrap_or_default());
            (port.clone(), before, now)
        });
        // A port without inputs is the same as no port.
        let inputs = inputs.filter(|(_, before, now)| before != now);
        changes.extend(inputs.map(|(port, before, now)| Self::Input { port, before, now }));
        changes.extend(changed(&before.files, &now.files).map(|(name, before, now)| Self::File {
            name: name.clone(),
            before: before.copied(),
            now: now.copied(),
        }));
        for (old, new) in [(&before.numerics, &now.numerics), (&before.instruction_set, &now.instruction_set)] {
            if old != new {
                changes.push(Self::Numerics {
                    before: old.clone(),
                    now: new.clone(),
                });
            }
        }
        changes
    }
}

/// The names whose values differ: first those of `before`, then the new ones.
fn changed<'a, T: PartialEq>(
    before: &'a BTreeMap<String, T>,
    now: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = (&'a String, Option<&'a T>, Option<&'a T>)> {
    let added = now.keys().filter(|name| !before.contains_key(*name));
    let names = before.keys().chain(added);
    names
        .map(|name| (name, before.get(name), now.get(name)))
        .filter(|(_, before, now)| before != now)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverRun => f.write_str("never run"),
            Self::Changed(changes) => {
                let texts: Vec<String> = changes.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(", "))
            }
            Self::OutputDeleted { port, digest } => write!(f, "output `{port}` ({}) was deleted by gc and is needed", digest.short()),
            Self::OutputMissing { port, digest } => write!(f, "output `{port}` ({}) is missing from the store, or damaged", digest.short()),
            Self::Distrusted(why) => write!(f, "its record is ignored: {why}"),
        }
    }
}

impl fmt::Display for FingerprintChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { kind, before, now } => write!(f, "version of kind `{kind}` changed: {before} → {now}"),
            Self::Param { name, before, now } => {
                let (before, now) = param_texts(before, now);
                write!(f, "param `{name}` changed: {before} → {now}")
            }
            Self::Seed { before, now } => write!(f, "seed changed: {} → {}", optional(before.as_ref()), optional(now.as_ref())),
            Self::Input { port, before, now } => write!(f, "input `{port}` changed: {} → {}", digests(before), digests(now)),
            Self::File { name, before, now } => {
                let [before, now] = [before, now].map(|digest| digest.map(|digest| digest.short()));
                let (before, now) = (optional(before.as_ref()), optional(now.as_ref()));
                match name.strip_prefix(&of_environment("")) {
                    Some(name) => write!(f, "`{name}` of the environment changed: {before} → {now}"),
                    None => write!(f, "`{name}` changed: {before} → {now}"),
                }
            }
            Self::Numerics { before, now } => {
                write!(
                    f,
                    "numeric class changed: {} → {}",
                    optional(before.as_ref()),
                    optional(now.as_ref())
                )
            }
        }
    }
}

/// Two values of a param. Of long lists, such as command lines, what both begin and end with is left out.
fn param_texts(before: &Value, now: &Value) -> (String, String) {
    let whole = (param_text(before), param_text(now));
    if whole.0 == whole.1 {
        // A text and a template of the same letters.
        return (before.to_string(), now.to_string());
    }
    let (Value::Array(old), Value::Array(new)) = (before, now) else {
        return whole;
    };
    if whole.0.len().max(whole.1.len()) <= LONGEST_LIST {
        return whole;
    }
    let first = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let ends = old.iter().skip(first).rev().zip(new.iter().skip(first).rev());
    let last = ends.take_while(|(old, new)| old == new).count();
    (middle(old, first, last), middle(new, first, last))
}

/// A list without its first and last items: `[…, "--lr=0.1", …]`.
fn middle(items: &[Value], first: usize, last: usize) -> String {
    let shown = items.get(first..items.len() - last).unwrap_or_default();
    let shown = shown.iter().map(param_text);
    let (before, after) = ((first > 0).then(|| "…".to_owned()), (last > 0).then(|| "…".to_owned()));
    let all: Vec<String> = before.into_iter().chain(shown).chain(after).collect();
    format!("[{}]", all.join(", "))
}

/// A param as in TOML: `1e-3` rather than `0.001`, and `none` rather than `null`.
fn param_text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float != 0.0 && float.abs() < 0.01 => format!("{float:e}"),
            _ => number.to_string(),
        },
        other => json_path::readable(other),
    }
}

fn optional<T: fmt::Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}

fn digests(digests: &[Digest]) -> String {
    match digests {
        [] => "none".to_owned(),
        [one] => one.short(),
        many => format!("[{}]", many.iter().map(Digest::short).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fingerprint() -> Fingerprint {
        let mut fingerprint = Fingerprint::new("train", 1, json!({"learning_rate": 1e-3, "model": {"width": 64}}));
        fingerprint.seed = Some(1);
        fingerprint.inputs.insert("data".to_owned(), vec![Digest::of(b"a")]);
        fingerprint
    }

    #[test]
    fn every_difference_is_listed() {
        let mut now = fingerprint();
        now.version = 2;
        now.params = json!({"learning_rate": 2e-3, "model": {"width": 128}, "steps": 10}).into();
        now.seed = None;
        now.inputs.insert("data".to_owned(), vec![Digest::of(b"b")]);
        now.files.insert("train.py".to_owned(), Digest::of(b"c"));
        now.files.insert(of_environment("uv.lock"), Digest::of(b"c"));
        now.numerics = Some("cpu f32".to_owned());
        let reason = Reason::Changed(FingerprintChange::between(&fingerprint(), &now));
        insta::assert_snapshot!(reason.to_string().replace(", ", ",\n"), @r"
        version of kind `train` changed: 1 → 2,
        param `learning_rate` changed: 1e-3 → 2e-3,
        param `model.width` changed: 64 → 128,
        param `steps` changed: none → 10,
        seed changed: 1 → none,
        input `data` changed: 17762fddd969 → 10e5cf3d3c8a,
        `uv.lock` of the environment changed: none → ea7aa1fc9efd,
        `train.py` changed: none → ea7aa1fc9efd,
        numeric class changed: none → cpu f32
        ");
    }

    #[test]
    fn of_a_command_line_only_the_words_that_differ_are_listed() {
        let said = |before: Value, now: Value| {
            let change = FingerprintChange::Param {
                name: "run".to_owned(),
                before,
                now,
            };
            change.to_string().replace("param `run` changed: ", "")
        };
        let seed = json!({"template": "--seed={stage.seed}"});
        let run = |rate: &str| json!(["python", "train.py", "--epochs=20", rate, seed]);
        assert_eq!(
            said(run("--lr=0.1"), run("--lr=0.2")),
            "[…, \"--lr=0.1\", …] → […, \"--lr=0.2\", …]"
        );
        let longer = json!(["python", "train.py", "--epochs=20", "--lr=0.1", seed, "-v"]);
        assert_eq!(said(run("--lr=0.1"), longer.clone()), "[…] → […, \"-v\"]");
        assert_eq!(said(longer, json!(["sh"])).split(" → ").last(), Some("[\"sh\"]"));
        let template = |text: &str| json!(["python", "train.py", "--epochs=20", {"template": text}]);
        assert_eq!(
            said(template("{stage.seed}"), template("{stage.threads}")),
            "[…, \"{stage.seed}\"] → […, \"{stage.threads}\"]"
        );
        assert_eq!(said(json!([1, 2]), json!([1, 3])), "[1,2] → [1,3]");
        assert_eq!(said(json!([1, 2]), Value::Null), "[1,2] → none");
        assert_eq!(
            said(json!(["{a.b}"]), json!([{"template": "{a.b}"}])),
            "[\"{a.b}\"] → [{\"template\":\"{a.b}\"}]"
        );
    }

    #[test]
    fn equal_fingerprints_have_no_differences_and_one_key() {
        assert_eq!(FingerprintChange::between(&fingerprint(), &fingerprint()), []);
        assert_eq!(fingerprint().key(), fingerprint().key());
    }
}
