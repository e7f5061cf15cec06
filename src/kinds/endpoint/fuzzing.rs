//! What is said of a server's responses, for the fuzzer, which has no server to send them.

use std::time::{Duration, Instant};

use reqwest::blocking::Response;
use serde_json::Map;

use super::gather::News;
use super::reply::{self, Reply};
use super::{ApiKey, COMPLETIONS, Endpoint, models};
use lab::http::Retries;

/// All that is said of `response`, as an answer to a request for a completion and as a list of models. `key` is the user's, and `cut` tells
/// why the body ended before its end.
pub fn messages(response: Response, key: Option<&str>, cut: Option<&str>) -> Vec<String> {
    let server = Endpoint {
        address: "http://here/v1".to_owned(),
        served: "m".to_owned(),
        key: key.map(|key| ApiKey {
            variable: "KEY".to_owned(),
            key: key.to_owned(),
        }),
        concurrency: 1,
        common: Map::new(),
        patience: Duration::from_secs(600),
    };
    let url = response.url().to_string();
    let mut body = server.read(response);
    body.cut = body.cut.or(cut.map(str::to_owned));
    let listed = server.find_model(&server.address("models"), &body, &url);
    let mut messages = vec![meaning(&server, reply::read(&body)), models::said(&body)];
    messages.extend(listed.err().map(|error| error.to_string()));
    messages
}

/// What is said of a reply.
fn meaning(server: &Endpoint, reply: Reply) -> String {
    let address = server.address(COMPLETIONS);
    match reply {
        Reply::Completion { model, .. } => server.other_model(&address, &model.unwrap_or_default()).to_string(),
        Reply::Denied { status, said } => match server.denied(0, &address, status, &said) {
            News::Forbidden { why, error, .. } => format!("{why}; {error}"),
            News::Failed(error) => error.to_string(),
            _ => String::new(),
        },
        Reply::Passing { cause, named } => match Retries::new(server.patience, 0).failed(Instant::now(), named) {
            Ok(pause) => format!("{cause}; {pause:?}"),
            Err(given_up) => given_up.words(&cause),
        },
        Reply::Refused(why) | Reply::Unreadable(why) | Reply::Wrong(why) | Reply::Unreachable(why) => why,
    }
}
