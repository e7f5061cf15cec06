//! Asking a model that an OpenAI-compatible server serves: what `sample` does with an `endpoint`.
//!
//! Every answer is kept in the stage's scratch folder as it comes, so that a stage that was killed asks for nothing twice.

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

use lab::stage::failed;
use lab::stage::{StageContext, StageError};

/// A request may take so long: a server may have many before it.
const PATIENCE: Duration = Duration::from_secs(600);
/// So often one request is tried.
const TRIES: u32 = 6;
/// The pause before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// A server may load its model for so long.
const LOADING: Duration = Duration::from_secs(900);
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A server, and what all requests have in common.
pub(super) struct Endpoint<'a> {
    /// `http://localhost:8080/v1`
    pub address: &'a str,
    /// The name under which the model is served.
    pub served: &'a str,
    /// For servers that want one.
    pub key: Option<Key<'a>>,
    /// Requests at once.
    pub concurrency: usize,
    /// `max_tokens`, `temperature` and the like.
    pub common: serde_json::Map<String, Value>,
}

/// What a server knows its users by. It is said to the server and to nobody else.
pub(super) struct Key<'a> {
    /// The environment variable that holds it.
    pub variable: &'a str,
    pub key: &'a str,
}

/// One request: the prompt, and the seed of its random numbers.
pub(super) struct Question {
    pub prompt: String,
    pub seed: u64,
}

/// What the model wrote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Written {
    /// Which request.
    at: usize,
    pub text: String,
    pub tokens: u32,
}

impl Endpoint<'_> {
    /// The answers to all questions, in their order.
    pub(super) fn ask(&self, questions: &[Question], job: &StageContext<'_>) -> Result<Vec<Written>, StageError> {
        let client = self.client()?;
        let path = job.scratch.join("answers.jsonl");
        let (mut written, mut file) = kept(&path, questions.len())?;
        let open: Vec<usize> = (0..questions.len()).filter(|at| !written.contains_key(at)).collect();
        let id = if open.is_empty() {
            String::new()
        } else {
            self.check(&client, job)?
        };
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, answers) = mpsc::channel();
        let total = questions.len() as u64;
        std::thread::scope(|scope| {
            for _ in 0..self.concurrency.min(open.len()) {
                let (sender, open, next, stop, asker) = (sender.clone(), &open, &next, &stop, (&client, id.as_str()));
                scope.spawn(move || {
                    while let Some(at) = open
                        .get(next.fetch_add(1, Ordering::Relaxed))
                        .filter(|_| !stop.load(Ordering::Relaxed))
                    {
                        let answer = questions.get(*at).map(|question| self.one(asker, *at, question, stop));
                        // It is listened to until the last has ended.
                        answer.into_iter().for_each(|answer| drop(sender.send(answer)));
                    }
                });
            }
            drop(sender);
            let mut keep = |answer: Written| -> Result<(), StageError> {
                let mut line = serde_json::to_vec(&answer).map_err(failed)?;
                line.push(b'\n');
                file.write_all(&line).map_err(failed)?;
                written.insert(answer.at, answer);
                job.tell(written.len() as u64, total, "requests", []);
                Ok(())
            };
            let taken = (|| {
                loop {
                    if (job.stop)() {
                        return Err(StageError::Stopped);
                    }
                    match answers.recv_timeout(PAUSE) {
                        Ok(answer) => keep(answer?)?,
                        Err(mpsc::RecvTimeoutError::Timeout) => {}
                        Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
                    }
                }
            })();
            stop.store(true, Ordering::Relaxed);
            // What is being answered is waited for: it shall not be asked for again.
            answers.into_iter().flatten().try_for_each(keep)?;
            taken
        })?;
        Ok(written.into_values().collect())
    }

    fn client(&self) -> Result<Client, StageError> {
        let mut headers = HeaderMap::new();
        if let Some(Key { variable, key }) = self.key {
            let header = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut header =
                header.map_err(|_| failed(format!("what `{variable}` holds is no key: it has line breaks, or other signs")))?;
            header.set_sensitive(true);
            headers.insert(AUTHORIZATION, header);
        }
        lab::http::choose_cryptography();
        Client::builder().timeout(PATIENCE).default_headers(headers).build().map_err(failed)
    }

    /// The name that the server itself has for the model; waits for one that still loads it.
    fn check(&self, client: &Client, job: &StageContext<'_>) -> Result<String, StageError> {
        #[derive(Deserialize)]
        struct Models {
            data: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            id: String,
            /// Other names, where the server has some (llama.cpp).
            #[serde(default)]
            aliases: Vec<String>,
        }
        let address = format!("{}/models", self.address.trim_end_matches('/'));
        let begun = Instant::now();
        let response = loop {
            let response = client.get(&address).send();
            let response = response.map_err(|error| failed(format!("cannot reach {address}: {}", cause(&error))))?;
            if response.status() != StatusCode::SERVICE_UNAVAILABLE || begun.elapsed() > LOADING {
                break response;
            }
            if (job.stop)() {
                return Err(StageError::Stopped);
            }
            std::thread::sleep(PAUSE);
        };
        let status = response.status();
        self.check_access(&address, status)?;
        let read = || serde_json::from_str::<Models>(&text(response));
        let models = read().map_err(|_| failed(format!("{address} answers {status}, and no list of models")))?;
        let is_served = |model: &&Model| model.id == self.served || model.aliases.iter().any(|alias| alias == self.served);
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

    /// Says what to do about a server that refuses us.
    fn check_access(&self, address: &str, status: StatusCode) -> Result<(), StageError> {
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(());
        }
        // Without what the server says: some repeat the key, or a part of it.
        let why = match self.key {
            Some(Key { variable, .. }) => format!("it refuses the key in `{variable}`"),
            None => "it wants a key: say which environment variable holds it, `api_key_env = \"…\"`".to_owned(),
        };
        Err(failed(format!("{address} answers {status}: {why}")))
    }

    /// The beginning of what a server says of a failure, without the key.
    fn said(&self, response: Response) -> String {
        let mut text = text(response);
        if let Some(Key { key, .. }) = self.key {
            text = text.replace(key, "…");
        }
        text.trim().chars().take(200).collect()
    }

    /// Asks one question, again where that may help.
    fn one(&self, (client, id): (&Client, &str), at: usize, question: &Question, stop: &AtomicBool) -> Result<Written, StageError> {
        let address = format!("{}/completions", self.address.trim_end_matches('/'));
        let mut body = self.common.clone();
        body.insert("model".to_owned(), self.served.into());
        body.insert("prompt".to_owned(), question.prompt.as_str().into());
        body.insert("seed".to_owned(), question.seed.into());
        let body = json!(body).to_string();
        let mut last = String::new();
        for tried in 0..TRIES {
            if stop.load(Ordering::Relaxed) {
                return Err(StageError::Stopped);
            }
            let request = client.post(&address).header("content-type", "application/json").body(body.clone());
            let mut pause = PAUSE * 2u32.pow(tried);
            match request.send() {
                Ok(response) if response.status().is_success() => match read(at, &text(response)) {
                    // Some servers answer whatever they serve, whichever model is asked.
                    Some((Some(model), _)) if !(model.starts_with(self.served) || model == id) => {
                        let message = format!("the model `{model}`, and not as `{}`: another one is served there now", self.served);
                        return Err(failed(format!("{address} answers as {message}")));
                    }
                    Some((_, written)) => return Ok(written),
                    None => "the answer is cut, or no completion that says its `usage.completion_tokens`".clone_into(&mut last),
                },
                Ok(response) => {
                    let status = response.status();
                    let asked = response
                        .headers()
                        .get("retry-after")
                        .and_then(|seconds| seconds.to_str().ok()?.parse().ok());
                    pause = asked.map_or(pause, Duration::from_secs);
                    self.check_access(&address, status)?;
                    last = format!("{status}: {}", self.said(response));
                    if !(status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS) {
                        return Err(failed(format!("{address} answers {last}")));
                    }
                }
                Err(error) => last = cause(&error),
            }
            if tried + 1 < TRIES {
                std::thread::sleep(pause.min(LONGEST_PAUSE));
            }
        }
        Err(failed(format!("{address} failed {TRIES} times, at last with: {last}")))
    }
}

/// The answers that an earlier try has kept, and the file for those to come. What it did not write to its end is asked for again.
fn kept(path: &Path, questions: usize) -> Result<(BTreeMap<usize, Written>, File), StageError> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Written>(line).ok());
    let written: BTreeMap<usize, Written> = lines
        .filter(|answer| answer.at < questions)
        .map(|answer| (answer.at, answer))
        .collect();
    let open = File::options().create(true).append(true).open(path);
    let mut file = open.map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
    if !text.is_empty() && !text.ends_with('\n') {
        file.write_all(b"\n").map_err(failed)?;
    }
    Ok((written, file))
}

/// What a completion says: which model wrote, where it says so, and what.
fn read(at: usize, text: &str) -> Option<(Option<String>, Written)> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let tokens = answer.pointer("/usage/completion_tokens").and_then(Value::as_u64)?;
    let written = Written {
        at,
        text: answer.pointer("/choices/0/text")?.as_str()?.to_owned(),
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
    };
    let model = answer.get("model").and_then(Value::as_str).map(str::to_owned);
    Some((model, written))
}

/// The body of an answer, as far as it came.
fn text(response: Response) -> String {
    response.text().unwrap_or_default()
}

/// The innermost reason, which is what people can do something about.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
