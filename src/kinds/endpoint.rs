//! Requests to a model on an OpenAI-compatible server, for `sample` with an `endpoint`.
//!
//! Every completion is written to the stage's scratch folder when it arrives, so that a stage that was killed repeats no request.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use lab::http::{self, RetryPolicy};
use lab::stage::failed;
use lab::stage::{StageContext, StageError};

/// How long one request may take: the server may have many others to answer first.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);
/// How long the server may take to load its model.
const MODEL_LOAD_TIMEOUT: Duration = Duration::from_secs(900);
/// The pause between two checks: whether the model is loaded, or the stage is to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The most attempts of one request.
const MAX_ATTEMPTS: u32 = 6;
const RETRY_POLICY: RetryPolicy = RetryPolicy::new(MAX_ATTEMPTS);

/// A server, and the part that all requests share.
pub(super) struct Endpoint<'a> {
    /// `http://localhost:8080/v1`
    pub address: &'a str,
    /// The name under which the model is served.
    pub served: &'a str,
    /// For servers that require one.
    pub key: Option<ApiKey<'a>>,
    /// Requests in flight at once.
    pub concurrency: usize,
    /// `max_tokens`, `temperature` and similar fields of the request.
    pub common: serde_json::Map<String, Value>,
}

/// The key that identifies the user to the server. It is sent to the server and never printed.
pub(super) struct ApiKey<'a> {
    /// The environment variable that holds it.
    pub variable: &'a str,
    pub key: &'a str,
}

/// One request: the prompt, and the seed of its random numbers.
pub(super) struct CompletionRequest {
    pub prompt: String,
    pub seed: u64,
}

/// The text that the model generated for one request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Completion {
    /// The index of the request.
    at: usize,
    pub text: String,
    pub tokens: u32,
}

impl Endpoint<'_> {
    /// The completions of all requests, in their order.
    pub(super) fn complete(&self, requests: &[CompletionRequest], context: &StageContext<'_>) -> Result<Vec<Completion>, StageError> {
        let client = self.client()?;
        let path = context.scratch.join("answers.jsonl");
        let (mut completions, mut file) = resume(&path, requests.len())?;
        let open: Vec<usize> = (0..requests.len()).filter(|at| !completions.contains_key(at)).collect();
        let id = if open.is_empty() {
            String::new()
        } else {
            self.wait_for_model(&client, context)?
        };
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, arriving) = mpsc::channel();
        let total = requests.len() as u64;
        std::thread::scope(|scope| {
            for _ in 0..self.concurrency.min(open.len()) {
                let (sender, open, next, stop, server) = (sender.clone(), &open, &next, &stop, (&client, id.as_str()));
                scope.spawn(move || {
                    while let Some(at) = open
                        .get(next.fetch_add(1, Ordering::Relaxed))
                        .filter(|_| !stop.load(Ordering::Relaxed))
                    {
                        let completion = requests.get(*at).map(|request| self.request(server, *at, request, stop));
                        // The receiver lives until the last thread has ended.
                        completion.into_iter().for_each(|completion| drop(sender.send(completion)));
                    }
                });
            }
            drop(sender);
            let mut keep = |completion: Completion| -> Result<(), StageError> {
                let mut line = serde_json::to_vec(&completion).map_err(failed)?;
                line.push(b'\n');
                file.write_all(&line).map_err(failed)?;
                completions.insert(completion.at, completion);
                context.tell(completions.len() as u64, total, "requests", []);
                Ok(())
            };
            let ended = (|| {
                loop {
                    if (context.stop)() {
                        return Err(StageError::Stopped);
                    }
                    match arriving.recv_timeout(POLL_INTERVAL) {
                        Ok(completion) => keep(completion?)?,
                        Err(mpsc::RecvTimeoutError::Timeout) => {}
                        Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
                    }
                }
            })();
            stop.store(true, Ordering::Relaxed);
            // Wait for the requests in flight, so that they are not repeated.
            arriving.into_iter().flatten().try_for_each(keep)?;
            ended
        })?;
        Ok(completions.into_values().collect())
    }

    fn client(&self) -> Result<Client, StageError> {
        let mut headers = HeaderMap::new();
        if let Some(ApiKey { variable, key }) = self.key {
            let header = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut header = header.map_err(|_| {
                failed(format!(
                    "`{variable}` does not hold a key: it contains line breaks, or characters that no header may contain"
                ))
            })?;
            header.set_sensitive(true);
            headers.insert(AUTHORIZATION, header);
        }
        http::client(REQUEST_TIMEOUT).default_headers(headers).build().map_err(failed)
    }

    /// The name under which the server lists the model. Waits while the server loads it.
    fn wait_for_model(&self, client: &Client, context: &StageContext<'_>) -> Result<String, StageError> {
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
        let address = format!("{}/models", self.address.trim_end_matches('/'));
        let begun = Instant::now();
        let response = loop {
            let response = client.get(&address).send();
            let response = response.map_err(|error| failed(format!("cannot reach {address}: {}", http::cause(&error))))?;
            if response.status() != StatusCode::SERVICE_UNAVAILABLE || begun.elapsed() > MODEL_LOAD_TIMEOUT {
                break response;
            }
            if (context.stop)() {
                return Err(StageError::Stopped);
            }
            std::thread::sleep(POLL_INTERVAL);
        };
        let status = response.status();
        self.check_access(&address, status)?;
        let read = || serde_json::from_str::<ModelList>(&read_body(response));
        let models = read().map_err(|_| failed(format!("{address} answers {status} without a list of models")))?;
        let is_served = |model: &&ServedModel| model.id == self.served || model.aliases.iter().any(|alias| alias == self.served);
        if let Some(model) = models.data.iter().find(is_served) {
            return Ok(model.id.clone());
        }
        let names: Vec<&str> = models.data.iter().map(|model| model.id.as_str()).collect();
        Err(failed(format!(
            "{address} has no model `{}` (it serves: {})",
            self.served,
            names.join(", ")
        )))
    }

    /// Fails if the server refuses access, with a message that tells what to do.
    fn check_access(&self, address: &str, status: StatusCode) -> Result<(), StageError> {
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(());
        }
        // Without the body of the answer: some servers repeat the key, or a part of it.
        let why = match self.key {
            Some(ApiKey { variable, .. }) => format!("it refuses the key in `{variable}`"),
            None => "it requires a key: name the environment variable that holds it, `api_key_env = \"…\"`".to_owned(),
        };
        Err(failed(format!("{address} answers {status}: {why}")))
    }

    /// The beginning of a server's error message, without the key.
    fn error_text(&self, response: Response) -> String {
        let mut text = read_body(response);
        if let Some(ApiKey { key, .. }) = self.key {
            text = text.replace(key, "…");
        }
        text.trim().chars().take(200).collect()
    }

    fn request_body(&self, request: &CompletionRequest) -> String {
        let mut body = self.common.clone();
        body.insert("model".to_owned(), self.served.into());
        body.insert("prompt".to_owned(), request.prompt.as_str().into());
        body.insert("seed".to_owned(), request.seed.into());
        json!(body).to_string()
    }

    /// Sends one request, again after a failure that may pass. `id` is the server's name for the model.
    fn request(
        &self,
        (client, id): (&Client, &str),
        at: usize,
        request: &CompletionRequest,
        stop: &AtomicBool,
    ) -> Result<Completion, StageError> {
        let address = format!("{}/completions", self.address.trim_end_matches('/'));
        let body = self.request_body(request);
        let mut failures = 0;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(StageError::Stopped);
            }
            let request = client.post(&address).header("content-type", "application/json").body(body.clone());
            let (cause, retry_after) = match request.send() {
                Ok(response) if response.status().is_success() => match parse(at, &read_body(response)) {
                    // Some servers answer with the model that they serve, whichever one is requested.
                    Some((Some(model), _)) if !(model.starts_with(self.served) || model == id) => {
                        let message = format!("the model `{model}` instead of `{}`: it serves another one now", self.served);
                        return Err(failed(format!("{address} answers as {message}")));
                    }
                    Some((_, completion)) => return Ok(completion),
                    None => (
                        "the answer is incomplete, or is no completion with `usage.completion_tokens`".to_owned(),
                        None,
                    ),
                },
                Ok(response) => {
                    let status = response.status();
                    let retry_after = http::retry_after(response.headers());
                    self.check_access(&address, status)?;
                    let cause = format!("{status}: {}", self.error_text(response));
                    if !http::is_temporary(status) {
                        return Err(failed(format!("{address} answers {cause}")));
                    }
                    (cause, retry_after)
                }
                Err(error) => (http::cause(&error), None),
            };
            failures += 1;
            let Some(pause) = RETRY_POLICY.pause(failures, retry_after) else {
                return Err(failed(format!(
                    "{address} failed {MAX_ATTEMPTS} times, the last time with: {cause}"
                )));
            };
            std::thread::sleep(pause);
        }
    }
}

/// The completions that an earlier attempt of the stage has written, and the file to append to. Incomplete lines are ignored.
fn resume(path: &Path, requests: usize) -> Result<(BTreeMap<usize, Completion>, File), StageError> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Completion>(line).ok());
    let completions: BTreeMap<usize, Completion> = lines
        .filter(|completion| completion.at < requests)
        .map(|completion| (completion.at, completion))
        .collect();
    let open = File::options().create(true).append(true).open(path);
    let mut file = open.map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
    if !text.is_empty() && !text.ends_with('\n') {
        file.write_all(b"\n").map_err(failed)?;
    }
    Ok((completions, file))
}

/// The model that a response names, if it names one, and its completion.
fn parse(at: usize, text: &str) -> Option<(Option<String>, Completion)> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let tokens = answer.pointer("/usage/completion_tokens").and_then(Value::as_u64)?;
    let completion = Completion {
        at,
        text: answer.pointer("/choices/0/text")?.as_str()?.to_owned(),
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
    };
    let model = answer.get("model").and_then(Value::as_str).map(str::to_owned);
    Some((model, completion))
}

/// The body of a response, as far as it arrived.
fn read_body(response: Response) -> String {
    response.text().unwrap_or_default()
}
