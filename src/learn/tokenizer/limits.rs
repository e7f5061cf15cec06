//! Limits on a `tokenizer.json` of another program, in which a few bytes could require all memory.

use serde::Deserialize;
use serde_json::Value;

/// All replacements together may make a text at most this many times as long. Real files replace a space by a character, or a ligature
/// by letters.
const MAX_GROWTH: usize = 1 << 12;

/// The tokenizer could take more memory than its size explains.
#[derive(Debug, thiserror::Error)]
pub(super) enum LimitError {
    #[error("its {part} makes texts more than {MAX_GROWTH} times as long")]
    Growth { part: &'static str },
    #[error("its {part} declares a table of {declared} bytes in a text of {length}")]
    Table {
        part: &'static str,
        declared: usize,
        length: usize,
    },
}

/// The parts whose memory does not follow from the file's size.
#[derive(Deserialize)]
struct TokenizerParts {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    added_tokens: Vec<DeclaredToken>,
}

/// A token that is added to those of the model. Reading gives it the next free id, whatever the file says.
#[derive(Deserialize)]
pub(super) struct DeclaredToken {
    pub(super) id: u32,
    pub(super) content: String,
}

/// Checks that the memory of the tokenizer follows from its size and that of the texts it is given. Returns the added tokens.
pub(super) fn check(json: &[u8]) -> Result<Vec<DeclaredToken>, LimitError> {
    // Invalid JSON is left to the reader, which reports it.
    let Ok(parts) = serde_json::from_slice::<TokenizerParts>(json) else {
        return Ok(Vec::new());
    };
    for (name, part) in [("normalizer", &parts.normalizer), ("decoder", &parts.decoder)] {
        if growth(name, part)? > MAX_GROWTH {
            return Err(LimitError::Growth { part: name });
        }
    }
    Ok(parts.added_tokens)
}

/// How many times as many characters a text may have afterwards.
fn growth(name: &'static str, part: &Value) -> Result<usize, LimitError> {
    let text = |field: &str| part.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("type") == "Precompiled" {
        check_table(name, text("precompiled_charsmap"))?;
    }
    let own = match text("type") {
        // An empty pattern matches beside every character, which stays.
        "Replace" => text("content").chars().count().max(1) + usize::from(matches_empty(part)),
        // Unicode decompositions have up to 18 characters, and those of a table a few more.
        "NFKD" | "NFKC" | "Nmt" | "Precompiled" => 4,
        _ => 1,
    };
    let parts = ["normalizers", "decoders"]
        .into_iter()
        .filter_map(|list| part.get(list)?.as_array());
    parts
        .flatten()
        .try_fold(own, |product, part| Ok(product.saturating_mul(growth(name, part)?)))
}

/// Whether the pattern of a replacement may match the empty text. For a regular expression this is always assumed.
fn matches_empty(part: &Value) -> bool {
    part.pointer("/pattern/String").and_then(Value::as_str).is_none_or(str::is_empty)
}

/// Checks that the table of characters, in base64, is as long as its first four bytes declare.
fn check_table(part: &'static str, text: &str) -> Result<(), LimitError> {
    let mut size = 0_u64;
    for (place, byte) in text.bytes().take(6).enumerate() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        size |= u64::from(digit) << (42 - 6 * place);
    }
    let bytes = size.to_be_bytes();
    let declared = u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]) as usize;
    if declared > text.len() {
        let length = text.len();
        return Err(LimitError::Table { part, declared, length });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(normalizer: &Value) -> String {
        let json = json!({ "normalizer": normalizer }).to_string();
        check(json.as_bytes()).err().map_or(String::new(), |error| error.to_string())
    }

    #[test]
    fn replacements_of_replacements_are_refused() {
        let replace = |content: &str| json!({ "type": "Replace", "pattern": { "String": "a" }, "content": content });
        let sequence = |parts: Vec<Value>| json!({ "type": "Sequence", "normalizers": parts });
        assert_eq!(message(&sequence(vec![replace("▁"); 100])), "");
        assert_eq!(message(&sequence(vec![replace("aaaa"); 6])), "");
        insta::assert_snapshot!(message(&sequence(vec![sequence(vec![replace("aa"); 40])])), @"its normalizer makes texts more than 4096 times as long");
    }

    #[test]
    fn a_table_is_no_longer_than_its_text() {
        // Four bytes that declare the length of a table, and a table of four bytes.
        assert_eq!(
            message(&json!({ "type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAA=" })),
            ""
        );
        insta::assert_snapshot!(message(&json!({ "type": "Precompiled", "precompiled_charsmap": "////fwAAAAA=" })), @"its normalizer declares a table of 2147483647 bytes in a text of 12");
    }
}
