//! Responses of a model server.

use http::{HeaderValue, Response};
use kinds::server;

use crate::change::changed;
use crate::memory::within;

/// The user's key. Most responses repeat it, as some servers do.
const KEY: &str = "hush-hush/sesame";

/// The memory limit for reading a response, in bytes. The responses have only a few KB.
const BOUND: usize = 4 << 20;

const BODIES: [&str; 9] = [
    r#"{"model": "m", "choices": [{"text": "one", "finish_reason": "length"}], "usage": {"completion_tokens": 7}}"#,
    r#"{"model": "hush-hush/sesame", "choices": [{"text": "o\ud83d", "error": null}], "usage": {"completion_tokens": 7}}"#,
    r#"{"choices": [{"text": null, "finish_reason": "hush-hush/sesame", "error": null}]}"#,
    r#"{"error": {"message": "no user hush-hush\/sesame", "type": "rate_limit", "code": 429}}"#,
    r#"{"object": "list", "data": [{"id": "hush-hush/sesame", "aliases": ["n"]}, {"id": null}]}"#,
    r#"[{"id": "m-2024-07-18"}, {"id": "n"}]"#,
    "\u{feff}<!doctype html><title>hush-hush/sesame</title><body>Please <b>log in</b>",
    "data: {\"choices\": []}\n\ndata: hush-hush/sesame\n",
    r#"{"detail": [{"msg": "hush-hush\u002fsesame \u001b[31m\u202e"}]}"#,
];

const STATUSES: [u16; 16] = [200, 200, 200, 204, 299, 302, 308, 400, 401, 402, 403, 404, 408, 422, 429, 503];

const HEADERS: [(&str, &str); 8] = [
    ("content-type", "text/event-stream; x=hush-hush/sesame"),
    ("content-type", "text/html"),
    ("content-encoding", "hush-hush/sesame"),
    ("location", "../login?key=hush-hush/sesame"),
    ("retry-after", "7"),
    ("retry-after", "Wed, 21 Oct 2026 07:28:16 GMT"),
    ("date", "Wed, 21 Oct 2026 06:58:00 GMT"),
    ("content-length", "7"),
];

/// Whatever a server sends, no message has the user's key, or a character that moves the cursor or changes the direction of the text.
/// The first bytes choose the status, the body, the headers (a bit for each) and the circumstances, and tell how many bytes of changes
/// are for the headers; the rest is for the body.
pub fn reply(data: &[u8]) {
    let Some(([status, body, headers, how, length], rest)) = data.split_first_chunk::<5>() else {
        return;
    };
    let (for_headers, for_body) = rest.split_at(usize::from(*length).min(rest.len()));
    let mut response = Response::builder().status(STATUSES[usize::from(*status) % STATUSES.len()]);
    for (place, (name, value)) in HEADERS.into_iter().enumerate() {
        let value = changed(value.as_bytes(), &[&[1], for_headers].concat());
        if let (1, Ok(value)) = (headers >> place & 1, HeaderValue::from_bytes(&value)) {
            response = response.header(name, value);
        }
    }
    let body = changed(BODIES[usize::from(*body) % BODIES.len()].as_bytes(), for_body);
    let response = response.body(body).expect("its parts are valid");
    let key = (how & 1 == 0).then_some(KEY);
    let cut = (how & 2 == 2).then_some("cut: hush-hush/sesame\u{1b}[31m");
    let messages = within(BOUND, || server::messages(response.into(), key, cut));
    for message in messages {
        assert!(key.is_none_or(|key| !message.contains(key)), "{message}");
        assert!(!message.contains(is_harmful), "{message:?}");
    }
}

/// Whether a character moves the cursor or changes the direction of the text.
fn is_harmful(character: char) -> bool {
    character.is_control() || matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
