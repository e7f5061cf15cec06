//! The server's list of models, which is waited for while the server loads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::blocking::Client;
use serde::Deserialize;

use super::Endpoint;
use super::reply::{self, ReplyBody};
use lab::http::{self, Retries, WaitNotice, clean};
use lab::stage::failed;
use lab::stage::{StageContext, StageError};

/// The longest pause between two looks at whether the server has loaded its model.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct ModelList {
    data: Vec<ServedModel>,
}

#[derive(Deserialize)]
struct ServedModel {
    id: String,
    /// Other names, from servers that support them (llama.cpp).
    #[serde(default)]
    aliases: Vec<String>,
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
                Ok((ReplyBody { cut: Some(cut), .. }, _)) => (clean(&cut), None),
                Ok((list, url)) => return self.find_model(&address, &list, &url),
                Err(reply::Reply::Passing { cause, named }) => (cause, named),
                Err(reply::Reply::Unreachable(cause)) => return Err(failed(format!("cannot reach {address}: {cause}"))),
                Err(other) => return Err(failed(format!("cannot reach {address}: {other:?}"))),
            };
            let now = Instant::now();
            let pause = retries
                .failed(now, named)
                .map_err(|given_up| failed(format!("{address} {}", given_up.words(&cause))))?;
            let words = notice.words(&format!("{address} ({cause})"), retries.failing_for(now), pause);
            words.into_iter().for_each(|words| (context.warn)(&words));
            if !http::pause(pause, &mut || (context.stop)()) {
                return Err(StageError::Stopped);
            }
        }
    }

    /// The model's id in the list that the server sent.
    fn find_model(&self, address: &str, list: &ReplyBody, url: &str) -> Result<String, StageError> {
        let status = list.status;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(failed(format!("{address} answers {status}: {}", self.access_refused())));
        }
        let models = serde_json::from_slice::<ModelList>(&list.body).map_err(|_| {
            let redirected = if url == address {
                String::new()
            } else {
                format!(" (redirected to {})", clean(url))
            };
            let said = said(list);
            failed(format!("{address}{redirected} answers without a list of models: {said}"))
        })?;
        let is_served = |model: &&ServedModel| model.id == self.served || model.aliases.contains(&self.served);
        if let Some(model) = models.data.iter().find(is_served) {
            return Ok(model.id.clone());
        }
        let names: Vec<&str> = models.data.iter().map(|model| model.id.as_str()).collect();
        Err(failed(format!(
            "{address} has no model `{}` (it serves: {})",
            self.served,
            clean(&names.join(", "))
        )))
    }
}

/// `502 Bad Gateway: the server is starting`.
fn said(list: &ReplyBody) -> String {
    let said = list.words();
    if said.is_empty() {
        list.status.to_string()
    } else {
        format!("{}: {said}", list.status)
    }
}
