//! BLAKE3 digests of bytes, files, folders and values.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The number of hexadecimal digits of a digest that people are shown.
pub const SHORT_DIGITS: usize = 12;

/// A BLAKE3 digest: the name of an artifact's content, or a stage key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The first [`SHORT_DIGITS`] hexadecimal digits, for display.
    pub fn short(&self) -> String {
        self.to_string()[..SHORT_DIGITS].to_owned()
    }

    /// The 32 bytes themselves.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a digest (64 hexadecimal digits)")]
pub struct NotADigest(String);

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| NotADigest(text.to_owned()))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Files of at least this size are mapped into memory and hashed by several threads.
const MMAP_MIN_BYTES: u64 = 1 << 20;

/// The digest of a file's content.
///
/// # Errors
/// If the file cannot be opened or read, or is none: a pipe or a device may have no end.
pub fn file(path: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    if about.len() >= MMAP_MIN_BYTES {
        hasher.update_mmap_rayon(path)?;
    } else {
        hasher.update(&std::fs::read(path)?);
    }
    Ok(Digest(*hasher.finalize().as_bytes()))
}

/// The digest of memory-mapped content, computed by several threads.
pub fn large(content: &[u8]) -> Digest {
    Digest(*blake3::Hasher::new().update_rayon(content).finalize().as_bytes())
}

/// The digest of a value's canonical encoding.
pub fn value(value: &Value) -> Digest {
    let mut encoder = Encoder::default();
    encoder.value(value);
    encoder.digest()
}

/// Builds the canonical encoding of a struct field by field, without building a tree of values first.
pub struct Encoder(Vec<u8>);

impl Default for Encoder {
    /// With room for the key of most stages: a run of hits encodes several keys for each stage, and would grow the buffer byte by byte.
    fn default() -> Self {
        Self(Vec::with_capacity(1024))
    }
}

impl Encoder {
    /// Appends a value.
    pub fn value(&mut self, value: &Value) {
        encode(value, &mut self.0);
    }

    /// Begins an object with n fields. Each field follows as its name ([`Self::text`]) and its value, sorted by name.
    pub fn object(&mut self, fields: usize) {
        self.0.push(b'o');
        self.0.extend((fields as u64).to_le_bytes());
    }

    /// Begins an array with n items.
    pub fn array(&mut self, items: usize) {
        self.0.push(b'a');
        self.0.extend((items as u64).to_le_bytes());
    }

    /// Appends a text or the name of a field.
    pub fn text(&mut self, text: &str) {
        encode_text(text, &mut self.0);
    }

    /// The digest of the encoding so far.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

/// Appends the canonical encoding of `value`: a tag byte, then the content. Keys are sorted, lengths come before content, and numbers
/// are encoded by their bits, never as text: two values have equal bytes if and only if they are equal.
fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(flag) => out.extend([b'b', u8::from(*flag)]),
        Value::Number(number) => {
            if let Some(integer) = number.as_i64() {
                out.push(b'i');
                out.extend(integer.to_le_bytes());
            } else if let Some(integer) = number.as_u64() {
                out.push(b'u');
                out.extend(integer.to_le_bytes());
            } else {
                out.push(b'f');
                out.extend(number.as_f64().unwrap_or(f64::NAN).to_bits().to_le_bytes());
            }
        }
        Value::String(text) => encode_text(text, out),
        Value::Array(items) => {
            out.push(b'a');
            out.extend((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Object(fields) => {
            out.push(b'o');
            out.extend((fields.len() as u64).to_le_bytes());
            let mut field = |(key, item): (&String, &Value)| {
                encode_text(key, out);
                encode(item, out);
            };
            // They are sorted already, unless a feature of `serde_json` keeps the order in which they were written.
            if fields.keys().is_sorted() {
                fields.iter().for_each(field);
            } else {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(key, _)| *key);
                fields.into_iter().for_each(&mut field);
            }
        }
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    out.push(b's');
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_digest_is_what_b3sum_prints() {
        // printf '' | b3sum
        assert_eq!(
            Digest::of(b"").to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn large_files_hash_like_small_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let bytes: Vec<u8> = (0..3 << 20).map(|i: u32| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(file(&path).unwrap(), Digest::of(&bytes));
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        assert_eq!(file(Path::new("/dev/zero")).unwrap_err().to_string(), "it is not a file");
        assert!(file(&std::env::temp_dir()).is_err());
    }

    #[test]
    fn key_order_does_not_matter_and_everything_else_does() {
        let a: Value = serde_json::from_str(r#"{"x": 1, "y": [1, 2]}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"y": [1, 2], "x": 1}"#).unwrap();
        assert_eq!(value(&a), value(&b));
        for other in [
            json!({"x": 1, "y": [2, 1]}),
            json!({"x": 1.0, "y": [1, 2]}),
            json!({"x": "1", "y": [1, 2]}),
            json!({"x": 1, "y": [[1], 2]}),
        ] {
            assert_ne!(value(&a), value(&other), "{other}");
        }
    }
}
