//! What a `tokenizer.json` of another program may not ask for: a few bytes of it could take all memory there is.

use serde::Deserialize;
use serde_json::Value;

/// How many times as long all replacements together may make a text. Real files replace a space by a character, or a ligature by letters.
const MAX_GROWTH: usize = 1 << 12;

/// The parts whose memory does not follow from the file's size.
#[derive(Deserialize)]
struct TokenizerParts {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    decoder: Value,
}

/// Whether the tokenizer of this text takes no more memory than its size and that of the texts it is given explain.
pub(super) fn check(json: &[u8]) -> Result<(), String> {
    // What is no JSON is left to the reader, which says so.
    let Ok(parts) = serde_json::from_slice::<TokenizerParts>(json) else {
        return Ok(());
    };
    for (name, part) in [("normalizer", &parts.normalizer), ("decoder", &parts.decoder)] {
        let growth = growth(part).map_err(|problem| format!("its {name} {problem}"))?;
        if growth > MAX_GROWTH {
            return Err(format!("its {name} makes texts more than {MAX_GROWTH} times as long"));
        }
    }
    Ok(())
}

/// How many times as many characters a text may have afterwards.
fn growth(part: &Value) -> Result<usize, String> {
    let text = |field: &str| part.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("type") == "Precompiled" {
        charsmap(text("precompiled_charsmap"))?;
    }
    let own = match text("type") {
        // An empty pattern is found beside every character, which stays.
        "Replace" => text("content").chars().count().max(1) + usize::from(matches_nothing(part)),
        // Unicode's decompositions are of up to 18 characters, and those of a table of few more.
        "NFKD" | "NFKC" | "Nmt" | "Precompiled" => 4,
        _ => 1,
    };
    let parts = ["normalizers", "decoders"]
        .into_iter()
        .filter_map(|list| part.get(list)?.as_array());
    parts
        .flatten()
        .try_fold(own, |product, part| Ok(product.saturating_mul(growth(part)?)))
}

/// Whether the pattern of a replacement may be found where there is no character: always, of a regular expression.
fn matches_nothing(part: &Value) -> bool {
    part.pointer("/pattern/String").and_then(Value::as_str).is_none_or(str::is_empty)
}

/// Whether the table of characters is as long as it says: four bytes, in base64, and then as many as they say.
fn charsmap(text: &str) -> Result<(), String> {
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
    let says = u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
    if says as usize > text.len() {
        return Err(format!("has a table of {says} bytes in a text of {}", text.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(normalizer: &Value) -> String {
        let json = json!({ "normalizer": normalizer }).to_string();
        check(json.as_bytes()).err().unwrap_or_default()
    }

    #[test]
    fn replacements_of_replacements_are_refused() {
        let replace = |content: &str| json!({ "type": "Replace", "pattern": { "String": "a" }, "content": content });
        let sequence = |parts: Vec<Value>| json!({ "type": "Sequence", "normalizers": parts });
        assert_eq!(said(&sequence(vec![replace("▁"); 100])), "");
        assert_eq!(said(&sequence(vec![replace("aaaa"); 6])), "");
        insta::assert_snapshot!(said(&sequence(vec![sequence(vec![replace("aa"); 40])])), @"its normalizer makes texts more than 4096 times as long");
    }

    #[test]
    fn a_table_is_no_longer_than_its_text() {
        // Four bytes of a table, and the four that say so.
        assert_eq!(said(&json!({ "type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAA=" })), "");
        insta::assert_snapshot!(said(&json!({ "type": "Precompiled", "precompiled_charsmap": "////fwAAAAA=" })), @"its normalizer has a table of 2147483647 bytes in a text of 12");
    }
}
