//! The server's list of models, which is waited for while the server loads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::blocking::Client;
use serde_json::Value;

use super::body::ReplyBody;
use super::reply;
use super::{Endpoint, not_reached};
use lab::http::{self, Retries, WaitNotice};
use lab::stage::failed;
use lab::stage::{StageContext, StageError};

/// The longest pause between two looks at whether the server has loaded its model.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// A model in the list of a server.
struct ServedModel<'a> {
    /// Its name, then other ones from servers that support them (llama.cpp).
    names: Vec<&'a str>,
}

/// The models that a server lists, in a table as OpenAI does or as a bare list; `None` if it is no list of models.
fn models(list: &Value) -> Option<Vec<ServedModel<'_>>> {
    let models = match list.get("data") {
        // No model yet.
        Some(Value::Null) => return Some(Vec::new()),
        Some(models) => models.as_array()?,
        None => list.as_array()?,
    };
    let model = |model| {
        let id = Value::get(model, "id").and_then(Value::as_str);
        let aliases = model.get("aliases").and_then(Value::as_array);
        let aliases = aliases.into_iter().flatten().filter_map(Value::as_str);
        ServedModel {
            names: id.into_iter().chain(aliases).collect(),
        }
    };
    Some(models.iter().map(model).collect())
}

impl Endpoint {
    /// The name under which the server lists the model. Waits while the server loads it, half as long again as a request: until it has
    /// read the weights, a server may refuse connections (vLLM) or answer with an error (llama.cpp).
    pub(super) fn wait_for_model(self: &Arc<Self>, client: &Client, context: &StageContext<'_>) -> Result<String, StageError> {
        let address = self.address("models");
        let mut retries = Retries::new(self.patience.mul_f64(1.5), u64::from(std::process::id())).at_least_every(POLL_INTERVAL);
        let mut notice = WaitNotice::default();
        loop {
            let (client, server, asked) = (client.clone(), Arc::clone(self), address.clone());
            let attempt = move || {
                let response = client.get(asked).send().map_err(|error| reply::no_response(&error))?;
                let url = response.url().to_string();
                Ok((server.read(response), url))
            };
            let response = http::unless_stopped(attempt, &mut || (context.stop)()).ok_or(StageError::Stopped)?;
            let (cause, named) = match response {
                Ok((list, _)) if http::is_temporary(list.status) => (said(&list), list.named),
                Ok((ReplyBody { cut: Some(cut), .. }, _)) => (self.shown(&cut), None),
                Ok((list, url)) => match self.find_model(&address, &list, &url)? {
                    Some(id) => return Ok(id),
                    None => ("it lists no models".to_owned(), None),
                },
                Err(reply::Reply::Passing { cause, named }) => (cause, named),
                Err(reply::Reply::Unreachable(cause)) => return Err(not_reached(format!("cannot reach {address}: {cause}"))),
                Err(other) => return Err(failed(format!("cannot reach {address}: {other:?}"))),
            };
            let now = Instant::now();
            let pause = retries
                .failed(now, named)
                .map_err(|given_up| not_reached(format!("{address} {}", given_up.words(&cause))))?;
            let words = notice.words(&format!("{address} ({cause})"), retries.failing_for(now), pause);
            words.into_iter().for_each(|words| (context.warn)(&words));
            if !http::pause(pause, &mut || (context.stop)()) {
                return Err(StageError::Stopped);
            }
        }
    }

    /// The model's id in the list that the server sent; `None` if there are no models in it, as there may be none while the server loads.
    pub(super) fn find_model(&self, address: &str, list: &ReplyBody, url: &str) -> Result<Option<String>, StageError> {
        let status = list.status;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let refused = self.access_refused(&list.words());
            return Err(failed(format!("{address} answers {status}: {refused}")));
        }
        let json = list.json();
        let Some(models) = json.as_ref().and_then(models) else {
            let redirected = if url == address {
                String::new()
            } else {
                format!(" (redirected to {})", self.shown(url))
            };
            let said = said(list);
            return Err(failed(format!("{address}{redirected} answers without a list of models: {said}")));
        };
        if models.is_empty() {
            return Ok(None);
        }
        if let Some(model) = models.iter().find(|model| model.names.contains(&self.served.as_str())) {
            return Ok(model.names.first().map(|&id| id.to_owned()));
        }
        let names: Vec<&str> = models.iter().filter_map(|model| model.names.first().copied()).collect();
        Err(failed(format!(
            "{address} has no model `{}` (it serves: {})",
            self.served,
            self.shown(&names.join(", "))
        )))
    }
}

/// `502 Bad Gateway: the server is starting`.
pub(super) fn said(list: &ReplyBody) -> String {
    let said = list.words();
    if said.is_empty() {
        list.status.to_string()
    } else {
        format!("{}: {said}", list.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_all_servers_are_read() {
        let read = |list: &str| {
            let list: Value = serde_json::from_str(list).unwrap();
            let models = models(&list)?;
            Some(models.iter().map(|model| model.names.join("|")).collect::<Vec<_>>().join(" "))
        };
        let lists = [
            r#"{"data": [{"id": "a", "aliases": ["b", "c"]}, {"id": "d"}]}"#,
            r#"{"data": [{"id": "a", "aliases": null}, {"id": null, "aliases": ["b"]}, {"object": "model"}]}"#,
            r#"[{"id": "a"}]"#,
            r#"{"data": []}"#,
            r#"{"data": null}"#,
            r#"{"error": "loading"}"#,
            r#"{"data": "a"}"#,
        ];
        insta::assert_snapshot!(lists.map(|list| format!("{:?}", read(list))).join("\n"), @r#"
        Some("a|b|c d")
        Some("a b ")
        Some("a")
        Some("")
        Some("")
        None
        None
        "#);
    }
}
