//! A response, as it came.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use lab::http::{clean_without, what_it_says_without};

/// A response, read as far as it came.
pub(super) struct ReplyBody {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    /// How the body is packed, if it is.
    pub(super) encoding: String,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    /// The pause that the server asks for.
    pub(super) named: Option<Duration>,
    pub(super) body: Vec<u8>,
    /// Why the body ended before its end.
    pub(super) cut: Option<String>,
    /// Whether the response said where its body ends, so that all of it is there.
    pub(super) is_framed: bool,
    /// The user's key, which some servers repeat.
    pub(super) secret: Option<String>,
}

impl ReplyBody {
    /// What the server says of a failure, without the key.
    pub(super) fn words(&self) -> String {
        what_it_says_without(&self.body, self.secret.as_deref())
    }

    /// A text of the server's as a message shows it, without the key.
    pub(super) fn shown(&self, text: &str) -> String {
        clean_without(text, self.secret.as_deref())
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Option<Value> {
        let body = self.body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.body);
        let json = serde_json::from_slice(body);
        json.or_else(|_| serde_json::from_slice(&with_whole_characters(body))).ok()
    }

    /// What keeps a body from being a completion that can be read.
    pub(super) fn unreadable(&self) -> String {
        let encoding = self.shown(&self.encoding);
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
            return format!("the answer is packed (`Content-Encoding: {encoding}`), which was not asked for");
        }
        if self.content_type.trim_start().to_ascii_lowercase().starts_with("text/event-stream") {
            return "the answer is a stream of events (`text/event-stream`), which was not asked for".to_owned();
        }
        let what = if self.is_framed { "no JSON" } else { "no JSON, or incomplete" };
        match self.words() {
            said if said.is_empty() => format!("the answer is {what}: it is empty"),
            said => format!("the answer is {what}: {said}"),
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// JSON in which half a character (a lone surrogate, `\ud83d`), which no text can hold, is U+FFFD: a text that a token limit has cut may
/// end so.
fn with_whole_characters(json: &[u8]) -> Vec<u8> {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut whole, mut at) = (Vec::with_capacity(json.len()), 0);
    while let Some(&byte) = json.get(at) {
        let length = match (byte, unit(at), unit(at + 6)) {
            (b'\\', Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (b'\\', Some(0xd800..=0xdfff), _) => {
                whole.extend_from_slice(b"\\ufffd");
                at += 6;
                continue;
            }
            (b'\\', ..) => 2,
            _ => 1,
        };
        whole.extend_from_slice(json.get(at..at + length).unwrap_or(&[byte]));
        at += length;
    }
    whole
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A response that came whole.
    pub(in super::super) fn whole(status: u16, content_type: &str, body: &str) -> ReplyBody {
        ReplyBody {
            secret: None,
            status: StatusCode::from_u16(status).unwrap(),
            content_type: content_type.to_owned(),
            encoding: String::new(),
            location: None,
            named: None,
            body: body.as_bytes().to_owned(),
            cut: None,
            is_framed: true,
        }
    }

    #[test]
    fn the_key_is_hidden_even_where_the_words_are_cut() {
        let mut reply = whole(400, "", &format!("{}hush-hush", "x".repeat(296)));
        assert!(reply.words().ends_with("hush…"));
        reply.secret = Some("hush-hush".to_owned());
        assert_eq!(reply.words(), format!("{}…", "x".repeat(296)));
    }
}
