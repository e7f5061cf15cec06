//! JSON files of a model's folder, as Python's programs write them: some begin with a byte order mark, and numbers may be `NaN` or
//! `Infinity`.

use std::borrow::Cow;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ModelError, stand_in};

/// The longest file that is read: the index of a large model has a few MB.
const MAX_BYTES: u64 = 32 << 20;

/// Numbers that Python writes and JSON does not have. The longest come first.
const PYTHONS_NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let read = |error| ModelError::Read {
        path: path.to_owned(),
        error,
    };
    let found = std::fs::metadata(path).map_err(read)?.len();
    if found > MAX_BYTES {
        return Err(ModelError::TooLong {
            path: path.to_owned(),
            found,
            most: MAX_BYTES,
        });
    }
    let bytes = std::fs::read(path).map_err(read)?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(&with_quoted_numbers(text)).map_err(|error| {
        stand_in::check(path, &bytes).err().unwrap_or_else(|| ModelError::Json {
            path: path.to_owned(),
            error,
        })
    })
}

/// The text with Python's numbers as strings, so that they are refused where a number is read, and ignored elsewhere.
fn with_quoted_numbers(text: &[u8]) -> Cow<'_, [u8]> {
    let starts_number = |at: usize| PYTHONS_NUMBERS.into_iter().find(|number| text[at..].starts_with(number.as_bytes()));
    let (mut out, mut copied) = (Vec::new(), 0);
    let (mut at, mut in_string) = (0, false);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            b'-' | b'I' | b'N' if !in_string => {
                if let Some(number) = starts_number(at) {
                    out.extend_from_slice(&text[copied..at]);
                    out.extend_from_slice(format!("\"{number}\"").as_bytes());
                    at += number.len();
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[copied..]);
    Cow::Owned(out)
}

pub(super) fn write_json(value: &impl Serialize, path: &Path) -> Result<(), ModelError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| ModelError::Json {
        path: path.to_owned(),
        error,
    })?;
    text.push('\n');
    std::fs::write(path, text).map_err(|error| ModelError::Write {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_numbers_become_texts_outside_of_texts() {
        let changed = |text: &str| String::from_utf8(with_quoted_numbers(text.as_bytes()).into_owned()).unwrap();
        assert_eq!(
            changed(r#"{"a": NaN, "b": [-Infinity, Infinity]}"#),
            r#"{"a": "NaN", "b": ["-Infinity", "Infinity"]}"#
        );
        for same in [r#"{"NaN": "Infinity", "a\"NaN": -1, "b": "\\"}"#, "", "\"", "\"\\", "-1"] {
            assert_eq!(changed(same), same);
        }
    }
}
