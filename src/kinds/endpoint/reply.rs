//! What a response to a request for a completion means.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use lab::http::{self, clean, what_it_says};

/// A response, read as far as it came.
pub(super) struct ReplyBody {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    /// The pause that the server asks for.
    pub(super) named: Option<Duration>,
    pub(super) body: Vec<u8>,
    /// Why the body ended before its end.
    pub(super) cut: Option<String>,
    /// The user's key, which some servers repeat.
    pub(super) secret: Option<String>,
}

impl ReplyBody {
    /// What the server says of a failure, without the key.
    pub(super) fn words(&self) -> String {
        match &self.secret {
            Some(secret) => what_it_says(String::from_utf8_lossy(&self.body).replace(secret, "…").as_bytes()),
            None => what_it_says(&self.body),
        }
    }
}

/// The meaning of a response.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    Completion {
        /// The model that the response names.
        model: Option<String>,
        text: String,
        tokens: u32,
    },
    /// The server does not answer this request, and may answer others: a prompt that is too long, a content filter.
    Refused(String),
    /// The server does not let the user in.
    Denied(StatusCode),
    /// It may answer the same request later.
    Passing { cause: String, named: Option<Duration> },
    /// It is no server of this kind, or has no such model: it would answer no other request either.
    Wrong(String),
    /// There is no such server.
    Unreachable(String),
}

/// The meaning of an error in place of a response.
pub(super) fn no_response(error: &reqwest::Error) -> Reply {
    let cause = clean(&http::cause(error));
    if http::is_temporary_error(error) {
        Reply::Passing { cause, named: None }
    } else {
        Reply::Unreachable(cause)
    }
}

/// The meaning of a response.
pub(super) fn read(reply: &ReplyBody) -> Reply {
    let ReplyBody { status, named, .. } = *reply;
    if !status.is_success() {
        return error(status, &reply.words(), named);
    }
    let passing = |cause: String| Reply::Passing { cause, named };
    if let Some(cut) = &reply.cut {
        return passing(format!("the answer is incomplete: {}", clean(cut)));
    }
    let Ok(answer) = serde_json::from_slice::<Value>(&reply.body) else {
        let said = reply.words();
        if http::is_page(&reply.content_type, &reply.body) {
            return Reply::Wrong(format!("{status} with a web page in place of a completion: {said}"));
        }
        return passing(format!("the answer is no JSON, or incomplete: {said}"));
    };
    completion(&answer).unwrap_or_else(|| no_completion(reply, &answer))
}

/// The completion in an answer, if there is one.
fn completion(answer: &Value) -> Option<Reply> {
    let text = answer.pointer("/choices/0/text")?.as_str()?.to_owned();
    let Some(tokens) = answer.pointer("/usage/completion_tokens").and_then(Value::as_u64) else {
        return Some(Reply::Wrong(
            "without `usage.completion_tokens`, which a completion must have".to_owned(),
        ));
    };
    Some(Reply::Completion {
        model: answer.get("model").and_then(Value::as_str).map(str::to_owned),
        text,
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
    })
}

/// The meaning of a success that is no completion: some servers send their errors so.
fn no_completion(reply: &ReplyBody, answer: &Value) -> Reply {
    let ReplyBody { status, named, .. } = *reply;
    let said = reply.words();
    let reason = answer.pointer("/choices/0/finish_reason").and_then(Value::as_str);
    if let Some(reason) = reason {
        return Reply::Refused(format!("{status} without a text: the answer ended with `{}`", clean(reason)));
    }
    let code = ["/error/code", "/error/status", "/code", "/status"].iter().find_map(|place| {
        let code = answer.pointer(place)?;
        let code = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
        let status = StatusCode::from_u16(u16::try_from(code).ok()?).ok()?;
        (status.is_client_error() || status.is_server_error()).then_some(status)
    });
    if let Some(code) = code {
        return error(code, &said, named);
    }
    let kind = ["/error/type", "/error/code", "/type"];
    let kind = kind.iter().find_map(|place| answer.pointer(place)?.as_str()).unwrap_or_default();
    let passes = ["rate_limit", "overloaded", "server_error", "unavailable", "timeout"];
    if passes.iter().any(|word| kind.to_lowercase().contains(word)) {
        return Reply::Passing { cause: said, named };
    }
    Reply::Refused(format!("{status} without a completion: {said}"))
}

/// The meaning of an error's status.
fn error(status: StatusCode, said: &str, named: Option<Duration>) -> Reply {
    let cause = if said.is_empty() {
        status.to_string()
    } else {
        format!("{status}: {said}")
    };
    match status.as_u16() {
        _ if http::is_temporary(status) => Reply::Passing { cause, named },
        401 | 403 => Reply::Denied(status),
        // Nothing to pay with, no such path or model, another method: it is the same for every request.
        402 | 404..=407 | 410 | 411 | 415 | 421 | 426 => Reply::Wrong(cause),
        _ if status.is_client_error() => Reply::Refused(cause),
        _ => Reply::Wrong(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, content_type: &str, body: &str) -> Reply {
        read(&ReplyBody {
            secret: None,
            status: StatusCode::from_u16(status).unwrap(),
            content_type: content_type.to_owned(),
            named: None,
            body: body.as_bytes().to_owned(),
            cut: None,
        })
    }

    #[test]
    fn a_completion_is_read() {
        let answer = r#"{"model": "m", "choices": [{"text": "one\ntwo"}], "usage": {"completion_tokens": 7}}"#;
        let completion = |model: Option<&str>, text: &str| Reply::Completion {
            model: model.map(str::to_owned),
            text: text.to_owned(),
            tokens: 7,
        };
        assert_eq!(reply(200, "application/json", answer), completion(Some("m"), "one\ntwo"));
        // Whatever type it is said to be, an empty text is one, and an error that is null is none.
        let answer = r#"{"error": null, "choices": [{"text": ""}], "usage": {"completion_tokens": 7}}"#;
        assert_eq!(reply(200, "text/html", answer), completion(None, ""));
    }

    #[test]
    fn what_is_no_completion_is_refused_wrong_or_passes() {
        let replies = [
            reply(400, "", r#"{"error": {"message": "maximum context length is 2048 tokens"}}"#),
            reply(413, "", ""),
            reply(422, "", "the content filter"),
            reply(200, "", r#"{"error": {"message": "flagged"}}"#),
            reply(200, "", r#"{"error": "flagged"}"#),
            reply(200, "", r#"{"choices": [{"finish_reason": "content_filter", "text": null}]}"#),
            reply(200, "", r#"{"choices": []}"#),
            reply(200, "", r#"{"error": {"code": 400, "message": "too long"}}"#),
            reply(200, "", r#"{"error": {"code": 502, "message": "no provider"}}"#),
            reply(200, "", r#"{"error": {"code": "429", "message": "slow down"}}"#),
            reply(200, "", r#"{"error": {"type": "overloaded_error", "message": "busy"}}"#),
            reply(200, "", r#"{"choices": [{"te"#),
            reply(200, "", ""),
            reply(408, "", ""),
            reply(409, "", "loading"),
            reply(425, "", ""),
            reply(429, "", r#"{"error": "slow down"}"#),
            reply(503, "text/html", "<html><title>Loading</title></html>"),
            reply(404, "", r#"{"error": {"message": "no such model"}}"#),
            reply(402, "", "pay first"),
            reply(304, "", ""),
            reply(200, "text/html", "<html><body>Please log in</body></html>"),
            reply(200, "", "<!DOCTYPE html><title>Login</title>"),
            reply(200, "", r#"{"choices": [{"text": "a"}]}"#),
            reply(401, "", "who are you?"),
        ];
        let lines: Vec<String> = replies
            .iter()
            .map(|reply| match reply {
                Reply::Passing { cause, .. } => format!("passing: {cause}"),
                other => format!("{other:?}"),
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        Refused("400 Bad Request: maximum context length is 2048 tokens")
        Refused("413 Payload Too Large")
        Refused("422 Unprocessable Entity: the content filter")
        Refused("200 OK without a completion: flagged")
        Refused("200 OK without a completion: flagged")
        Refused("200 OK without a text: the answer ended with `content_filter`")
        Refused("200 OK without a completion: {\"choices\":[]}")
        Refused("400 Bad Request: too long")
        passing: 502 Bad Gateway: no provider
        passing: 429 Too Many Requests: slow down
        passing: busy
        passing: the answer is no JSON, or incomplete: {"choices": [{"te
        passing: the answer is no JSON, or incomplete: 
        passing: 408 Request Timeout
        passing: 409 Conflict: loading
        passing: 425 Too Early
        passing: 429 Too Many Requests: slow down
        passing: 503 Service Unavailable: Loading
        Wrong("404 Not Found: no such model")
        Wrong("402 Payment Required: pay first")
        Wrong("304 Not Modified")
        Wrong("200 OK with a web page in place of a completion: Please log in")
        Wrong("200 OK with a web page in place of a completion: Login")
        Wrong("without `usage.completion_tokens`, which a completion must have")
        Denied(401)
        "#);
    }

    #[test]
    fn a_body_that_was_cut_passes_though_it_might_be_read() {
        let reply = read(&ReplyBody {
            secret: None,
            status: StatusCode::OK,
            content_type: String::new(),
            named: Some(Duration::from_secs(3)),
            body: br#"{"choices": [{"text": ""}], "usage": {"completion_tokens": 7}}"#.to_vec(),
            cut: Some("the connection ended".to_owned()),
        });
        let cause = "the answer is incomplete: the connection ended".to_owned();
        let named = Some(Duration::from_secs(3));
        assert_eq!(reply, Reply::Passing { cause, named });
    }
    #[test]
    fn the_key_is_hidden_even_where_the_words_are_cut() {
        let mut reply = ReplyBody {
            status: StatusCode::BAD_REQUEST,
            content_type: String::new(),
            named: None,
            body: format!("{}hush-hush", "x".repeat(296)).into_bytes(),
            cut: None,
            secret: None,
        };
        assert!(reply.words().ends_with("hush…"));
        reply.secret = Some("hush-hush".to_owned());
        assert_eq!(reply.words(), format!("{}…", "x".repeat(296)));
    }
}
