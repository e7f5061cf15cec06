//! What a response to a request for a completion means.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::body::ReplyBody;
use super::completion::{Completion, PromptScores};
use lab::http::{self, clean};

/// The meaning of a response.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    Completion {
        /// The model that the response names.
        model: Option<String>,
        /// Without the number of its request.
        written: Box<Completion>,
    },
    /// The server does not answer this request, and may answer others: a prompt that is too long, a content filter.
    Refused(String),
    /// The server does not let the user in.
    Denied { status: StatusCode, said: String },
    /// It may answer the same request later.
    Passing { cause: String, named: Option<Duration> },
    /// All of it came, and it cannot be read: the same request would hardly bring another answer.
    Unreadable(String),
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
        if let Some(location) = reply.location.as_ref().filter(|_| status.is_redirection()) {
            // Followed, it would become a request to read.
            return Reply::Wrong(format!("{status}: it sends the request on to {}", reply.shown(location)));
        }
        return error(status, &reply.words(), named);
    }
    let passing = |cause: String| Reply::Passing { cause, named };
    if let Some(cut) = &reply.cut {
        return passing(format!("the answer is incomplete: {}", reply.shown(cut)));
    }
    let Some(answer) = reply.json() else {
        if http::is_page(&reply.content_type, &reply.body) {
            return Reply::Wrong(format!("{status} with a web page in place of a completion: {}", reply.words()));
        }
        let why = reply.unreadable();
        return if reply.is_framed { Reply::Unreadable(why) } else { passing(why) };
    };
    completion(&answer).unwrap_or_else(|| no_completion(reply, &answer))
}

/// Whether an answer has an error in it: a text beside it is what was written until then, and no completion.
fn has_error(answer: &Value) -> bool {
    let mut errors = ["/error", "/choices/0/error"].iter().filter_map(|place| answer.pointer(place));
    errors.any(|error| !error.is_null())
}

/// Why the completion ended, in the words of the server: `stop`, `length`, …
fn finish_reason(answer: &Value) -> Option<&str> {
    answer.pointer("/choices/0/finish_reason")?.as_str()
}

/// The completion in an answer, if there is one.
fn completion(answer: &Value) -> Option<Reply> {
    if has_error(answer) || matches!(finish_reason(answer), Some("error" | "content_filter")) {
        return None;
    }
    let text = text(answer)?.to_owned();
    let Some(tokens) = answer.pointer("/usage/completion_tokens").and_then(Value::as_u64) else {
        return Some(Reply::Wrong(
            "without `usage.completion_tokens`, which a completion must have".to_owned(),
        ));
    };
    let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
    Some(Reply::Completion {
        model: answer.get("model").and_then(Value::as_str).map(str::to_owned),
        written: Box::new(Completion {
            text,
            tokens,
            cut: finish_reason(answer) == Some("length"),
            prompt: PromptScores::read(answer, tokens),
            ..Completion::default()
        }),
    })
}

/// The text in an answer: of a completion, or of the message in a chat. What servers call reasoning is none of it; where a limit cut the
/// answer within it, the text is empty.
fn text(answer: &Value) -> Option<&str> {
    if let Some(text) = answer.pointer("/choices/0/text").and_then(Value::as_str) {
        return Some(text);
    }
    let message = answer.pointer("/choices/0/message")?;
    let content = message.get("content").and_then(Value::as_str);
    let reasons = ["reasoning_content", "reasoning"]
        .iter()
        .any(|field| message.get(field).is_some_and(Value::is_string));
    content.or_else(|| reasons.then_some(""))
}

/// The meaning of a success that is no completion: some servers send their errors so.
fn no_completion(reply: &ReplyBody, answer: &Value) -> Reply {
    let ReplyBody { status, named, .. } = *reply;
    let said = reply.words();
    let (reason, has_error) = (finish_reason(answer), has_error(answer));
    let ended = |reason: &str| format!("{status} without a text: the answer ended with `{}`", reply.shown(reason));
    if reason == Some("content_filter") {
        return Reply::Refused(ended("content_filter"));
    }
    let places = ["/error/code", "/error/status", "/choices/0/error/code", "/code", "/status"];
    let code = places.iter().find_map(|place| {
        let code = answer.pointer(place)?;
        let code = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
        let status = StatusCode::from_u16(u16::try_from(code).ok()?).ok()?;
        (status.is_client_error() || status.is_server_error()).then_some(status)
    });
    if let Some(code) = code {
        return error(code, &said, named);
    }
    let kind = [
        "/error/type",
        "/error/code",
        "/choices/0/error/type",
        "/choices/0/error/code",
        "/type",
    ];
    let kind = kind.iter().find_map(|place| answer.pointer(place)?.as_str()).unwrap_or_default();
    let passes = ["rate_limit", "overloaded", "server_error", "unavailable", "timeout"];
    if passes.iter().any(|word| kind.to_lowercase().contains(word)) {
        return Reply::Passing { cause: said, named };
    }
    match reason.filter(|_| !has_error) {
        // The server failed while it wrote.
        Some("error") => {
            return Reply::Passing {
                cause: ended("error"),
                named,
            };
        }
        Some(reason) => return Reply::Refused(ended(reason)),
        None => {}
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
        401 | 403 => Reply::Denied {
            status,
            said: said.to_owned(),
        },
        // Nothing to pay with, no such path or model, another method: it is the same for every request.
        402 | 404..=407 | 410 | 411 | 415 | 421 | 426 => Reply::Wrong(cause),
        _ if status.is_client_error() => Reply::Refused(cause),
        _ => Reply::Wrong(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::tests::whole;
    use super::*;

    fn reply(status: u16, content_type: &str, body: &str) -> Reply {
        read(&whole(status, content_type, body))
    }

    fn line(reply: &Reply) -> String {
        match reply {
            Reply::Passing { cause, .. } => format!("passing: {cause}"),
            Reply::Completion { model, written } => format!("{model:?}: {:?}{}", written.text, if written.cut { ", cut" } else { "" }),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_completion_is_read() {
        let answer = r#"{"model": "m", "choices": [{"text": "one\ntwo"}], "usage": {"completion_tokens": 7}}"#;
        let completion = |model: Option<&str>, text: &str| Reply::Completion {
            model: model.map(str::to_owned),
            written: Box::new(Completion {
                text: text.to_owned(),
                tokens: 7,
                ..Completion::default()
            }),
        };
        assert_eq!(reply(200, "application/json", answer), completion(Some("m"), "one\ntwo"));
        // Whatever type it is said to be, an empty text is one, and an error that is null is none.
        let answer = r#"{"error": null, "choices": [{"text": ""}], "usage": {"completion_tokens": 7}}"#;
        assert_eq!(reply(200, "text/html", answer), completion(None, ""));
    }

    #[test]
    fn the_message_of_a_chat_is_read_without_its_reasoning() {
        let replies = [
            r#""message": {"role": "assistant", "content": "5", "reasoning_content": "2 + 3"}, "finish_reason": "stop""#,
            r#""message": {"content": ""}"#,
            r#""message": {"content": null, "reasoning_content": "2 + "}, "finish_reason": "length""#,
            r#""message": {"content": null, "tool_calls": []}, "finish_reason": "tool_calls""#,
            r#""text": null, "message": {"content": "5"}"#,
        ]
        .map(|choice| {
            line(&reply(
                200,
                "",
                &format!(r#"{{"choices": [{{{choice}}}], "usage": {{"completion_tokens": 7}}}}"#),
            ))
        });
        insta::assert_snapshot!(replies.join("\n"), @r#"
        None: "5"
        None: ""
        None: "", cut
        Refused("200 OK without a text: the answer ended with `tool_calls`")
        None: "5"
        "#);
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
        insta::assert_snapshot!(replies.each_ref().map(line).join("\n"), @r#"
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
        Unreadable("the answer is no JSON: {\"choices\": [{\"te")
        Unreadable("the answer is no JSON: it is empty")
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
        Denied { status: 401, said: "who are you?" }
        "#);
    }

    #[test]
    fn a_text_beside_an_error_is_no_completion() {
        let usage = r#""usage": {"completion_tokens": 7}"#;
        let replies = [
            r#""error": {"code": 502, "message": "no provider"}, "choices": [{"text": ""}]"#,
            r#""choices": [{"text": "half an", "finish_reason": "error", "error": {"code": 502, "message": "gone"}}]"#,
            r#""choices": [{"text": "half an", "error": {"type": "overloaded_error", "message": "busy"}}]"#,
            r#""choices": [{"text": "half an", "finish_reason": "stop", "error": {"message": "flagged"}}]"#,
            r#""choices": [{"text": "half an", "finish_reason": "error"}]"#,
            r#""choices": [{"text": "", "finish_reason": "content_filter"}]"#,
            r#""error": null, "choices": [{"text": "all", "finish_reason": "stop", "error": null}]"#,
        ]
        .map(|fields| line(&reply(200, "", &format!("{{{fields}, {usage}}}"))));
        insta::assert_snapshot!(replies.join("\n"), @r#"
        passing: 502 Bad Gateway: no provider
        passing: 502 Bad Gateway: gone
        passing: busy
        Refused("200 OK without a completion: flagged")
        passing: 200 OK without a text: the answer ended with `error`
        Refused("200 OK without a text: the answer ended with `content_filter`")
        None: "all"
        "#);
    }

    #[test]
    fn what_came_whole_and_cannot_be_read_is_named() {
        let well = r#"{"choices": [{"text": "a"}], "usage": {"completion_tokens": 7}}"#;
        let replies = [
            reply(200, "", &format!("\u{feff}{well}")),
            reply(200, "", &well.replace("\"a\"", r#""a \ud83d \ud83d\ude00 \\ud83d \ude00""#)),
            reply(200, "text/event-stream; charset=utf-8", &format!("data: {well}")),
            read(&ReplyBody {
                encoding: "gzip".to_owned(),
                ..whole(200, "", "\u{1f}")
            }),
            read(&ReplyBody {
                is_framed: false,
                ..whole(200, "", "{")
            }),
            read(&ReplyBody {
                location: Some("http://other/login".to_owned()),
                ..whole(302, "", "")
            }),
        ];
        insta::assert_snapshot!(replies.each_ref().map(line).join("\n"), @r#"
        None: "a"
        None: "a � 😀 \\ud83d �"
        Unreadable("the answer is a stream of events (`text/event-stream`), which was not asked for")
        Unreadable("the answer is packed (`Content-Encoding: gzip`), which was not asked for")
        passing: the answer is no JSON, or incomplete: {
        Wrong("302 Found: it sends the request on to http://other/login")
        "#);
    }

    #[test]
    fn the_key_is_hidden_wherever_it_is_repeated() {
        let secret = || Some("hush/hush".to_owned());
        let replies = [
            (302, "", Some("http://other/login?key=hush/hush")),
            (200, r#"{"choices": [{"finish_reason": "hush/hush"}]}"#, None),
            (400, r#"{"error": {"message": "the key hush\/hush is too long"}}"#, None),
            (401, r#"{"error": "hush/hush"}"#, None),
            (200, "<html>hush/hush", None),
            (200, "hush/hush", None),
        ]
        .map(|(status, body, location)| {
            line(&read(&ReplyBody {
                secret: secret(),
                location: location.map(str::to_owned),
                ..whole(status, "", body)
            }))
        });
        let packed = read(&ReplyBody {
            secret: secret(),
            encoding: "hush/hush".to_owned(),
            ..whole(200, "", "?")
        });
        insta::assert_snapshot!(replies.join("\n") + "\n" + &line(&packed), @r#"
        Wrong("302 Found: it sends the request on to http://other/login?key=…")
        Refused("200 OK without a text: the answer ended with `…`")
        Refused("400 Bad Request: the key … is too long")
        Denied { status: 401, said: "…" }
        Wrong("200 OK with a web page in place of a completion: …")
        Unreadable("the answer is no JSON: …")
        Unreadable("the answer is packed (`Content-Encoding: …`), which was not asked for")
        "#);
    }

    #[test]
    fn a_body_that_was_cut_passes_though_it_might_be_read() {
        let reply = read(&ReplyBody {
            named: Some(Duration::from_secs(3)),
            cut: Some("the connection ended".to_owned()),
            ..whole(200, "", r#"{"choices": [{"text": ""}], "usage": {"completion_tokens": 7}}"#)
        });
        let cause = "the answer is incomplete: the connection ended".to_owned();
        let named = Some(Duration::from_secs(3));
        assert_eq!(reply, Reply::Passing { cause, named });
    }
}
