//! Requests to a model on an OpenAI-compatible server, for `sample` with an `endpoint`.
//!
//! Every completion is written to the stage's scratch folder when it arrives, so that a stage that was killed repeats no request. Requests
//! run in threads that nobody waits for when the stage is to stop: a server may take minutes for an answer.
//!
//! | file | part |
//! |---|---|
//! | `address` | the address of a server |
//! | `body` | a response, as it came |
//! | `completion` | what the model wrote for one request, and how likely it finds the prompt |
//! | `fuzzing` | what is said of a response, for the fuzzer |
//! | `gather` | what arrives from the threads: answers are kept, failures are told |
//! | `models` | waits for the server to have loaded its model |
//! | `reply` | what a response means: an answer, a refusal, a failure that passes or one that does not |

mod address;
mod body;
mod completion;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gather;
mod models;
mod reply;

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant, SystemTime};

use reqwest::blocking::{Client, Response};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{StatusCode, Url};
use serde_json::{Map, Value, json};

use crate::asked::{Question, QuestionText};
use lab::event::FailureCause;
use lab::http::{self, Retries};
use lab::stage::failed;
use lab::stage::{StageContext, StageError};
use learn::chat::{ChatError, Message};
use learn::dataset::Prompt;

pub(super) use address::check_address;
use body::ReplyBody;
use gather::{Gathered, News};
use reply::Reply;

/// How long one request may take: the server may have many others to answer first.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);
/// After a request that was given up, the share of the patience with the next one.
const SHORT_PATIENCE: u32 = 10;
/// How often a request is sent whose answer came whole and cannot be read.
const MAX_UNREADABLE: u32 = 2;
/// The last part of the address of requests for completions.
const COMPLETIONS: &str = "completions";
/// That of requests in chats, of which the server writes the text with its own chat template.
const CHAT_COMPLETIONS: &str = "chat/completions";
/// What is said of a server that does not score prompts.
const NO_SCORES: &str = "gives no log-probabilities of prompts (`echo` with `logprobs`), from which choices and texts are scored; vLLM and \
                         SGLang do, or give the model as `model`";
/// A longer body is no answer of a model.
const LONGEST_BODY: u64 = 64 << 20;

/// A server, and the part that all requests share.
pub(super) struct Endpoint {
    /// `http://localhost:8080/v1`
    pub address: String,
    /// The name under which the model is served.
    pub served: String,
    /// For servers that require one.
    pub key: Option<ApiKey>,
    /// Requests in flight at once.
    pub concurrency: usize,
    /// `max_tokens`, `temperature` and similar fields of the request.
    pub common: Map<String, Value>,
    /// How long a request that fails is sent again.
    pub patience: Duration,
}

/// The key that identifies the user to the server. It is sent to the server and never printed.
pub(super) struct ApiKey {
    /// The environment variable that holds it.
    pub variable: String,
    pub key: String,
}

/// One request: the prompt, and the seed of its random numbers.
pub(super) struct CompletionRequest {
    pub prompt: Asked,
    pub seed: u64,
}

/// What a server is given.
pub(super) enum Asked {
    /// A text to go on with.
    Text(String),
    /// A conversation to answer.
    Chat(Vec<Message>),
}

impl From<String> for Asked {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<Message>> for Asked {
    fn from(messages: Vec<Message>) -> Self {
        Self::Chat(messages)
    }
}

/// As a person reads it: a text as it is, a conversation as JSON.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Chat(messages) => write!(f, "{:#}", json!(messages)),
        }
    }
}

impl Asked {
    /// The prompt for a question. In a chat, the server writes the text with its model's own template.
    ///
    /// # Errors
    /// When the row's record has no conversation where the prompt names one.
    pub(super) fn of(prompt: &Prompt, question: &Question<'_>) -> Result<Self, ChatError> {
        let QuestionText { text, prefix } = question.asked;
        match prompt.chat {
            None => Ok(Self::Text(prompt.render(text, question.steps()) + prefix)),
            Some(_) => prompt.conversation(question.row, text, question.steps()).map(Self::Chat),
        }
    }

    /// The last part of the address of the request.
    fn path(&self) -> &'static str {
        match self {
            Self::Text(_) => COMPLETIONS,
            Self::Chat(_) => CHAT_COMPLETIONS,
        }
    }

    /// The field of the request, and its value.
    fn field(&self) -> (&'static str, Value) {
        match self {
            Self::Text(text) => ("prompt", json!(text)),
            Self::Chat(messages) => ("messages", json!(messages)),
        }
    }
}

/// The text that the model generated for one request, or why the server does not answer this request.
pub(super) type Written = Result<Completion, Refusal>;

/// Why a server does not answer a request, in its words.
#[derive(Clone, Debug)]
pub(super) struct Refusal(pub String);

pub(super) use completion::{Completion, PromptScores};
pub(super) use gather::KEPT;

/// What the threads share.
struct Work {
    server: Arc<Endpoint>,
    client: Client,
    /// The server's own name for the model.
    id: String,
    requests: Vec<CompletionRequest>,
    /// The numbers of the requests that have no answer yet.
    open: Vec<usize>,
    /// The place in `open` of the next request.
    next: AtomicUsize,
    stop: AtomicBool,
    /// Whether the last request of all was given up: the server may answer none.
    is_suspected: AtomicBool,
}

impl Endpoint {
    /// What the server writes for all requests, in their order. Requests that the server refuses do not stop the others.
    pub(super) fn complete(self, requests: Vec<CompletionRequest>, context: &StageContext<'_>) -> Result<Vec<Written>, StageError> {
        let client = self.client()?;
        let mut gathered = Gathered::resume(context, requests.len())?;
        let open = gathered.open();
        if open.is_empty() {
            return Ok(gathered.finish());
        }
        let server = Arc::new(self);
        let id = server.wait_for_model(&client, context)?;
        let threads = server.concurrency.min(open.len());
        let work = Arc::new(Work {
            server,
            client,
            id,
            requests,
            open,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            is_suspected: AtomicBool::new(false),
        });
        let (sender, arriving) = mpsc::channel();
        for _ in 0..threads {
            let (work, sender) = (Arc::clone(&work), sender.clone());
            std::thread::spawn(move || work.go_through(&sender));
        }
        drop(sender);
        let ended = gathered.receive(&arriving);
        work.stop.store(true, Ordering::Relaxed);
        gathered.receive_last(&arriving, &ended)?;
        ended.map(|()| gathered.finish())
    }

    fn client(&self) -> Result<Client, StageError> {
        let mut headers = HeaderMap::new();
        if let Some(ApiKey { variable, key }) = &self.key {
            let header = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut header = header.map_err(|_| {
                failed(format!(
                    "`{variable}` does not hold a key: it contains line breaks, or characters that no header may contain"
                ))
            })?;
            header.set_sensitive(true);
            headers.insert(AUTHORIZATION, header);
        }
        let client = http::client(REQUEST_TIMEOUT).default_headers(headers);
        client.redirect(Policy::custom(redirected)).build().map_err(failed)
    }

    fn address(&self, of: &str) -> String {
        format!("{}/{of}", self.address.trim_end_matches('/'))
    }

    /// Reads a response to its end, if it has one.
    fn read(&self, response: Response) -> ReplyBody {
        let status = response.status();
        let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let (content_type, encoding) = (header(CONTENT_TYPE), header(CONTENT_ENCODING));
        let (content_type, encoding) = (content_type.unwrap_or_default().to_owned(), encoding.unwrap_or_default().to_owned());
        let location = header(LOCATION).map(|to| response.url().join(to).map_or_else(|_| to.to_owned(), String::from));
        let named = http::retry_after(response.headers(), SystemTime::now());
        let is_framed = http::is_framed(&response) || status == StatusCode::NO_CONTENT;
        let mut body = Vec::new();
        let read = response.take(LONGEST_BODY).read_to_end(&mut body);
        ReplyBody {
            status,
            content_type,
            encoding,
            location,
            named,
            body,
            is_framed,
            cut: read.err().map(|error| http::cause(&error)),
            secret: self.key.as_ref().map(|key| key.key.clone()),
        }
    }

    /// Why the server refuses access, with what to do. What it `said` is left out where a key is set: some servers repeat a part of it.
    fn access_refused(&self, said: &str) -> String {
        let hint = "it requires a key: name the environment variable that holds it, `api_key_env = \"…\"`";
        match &self.key {
            Some(ApiKey { variable, .. }) => format!("it refuses the key in `{variable}`"),
            None if said.contains(char::is_alphanumeric) => format!("{said} (if {hint})"),
            None => hint.to_owned(),
        }
    }

    /// The server does not let the user in, or refuses this request so: a 403 may be either.
    fn denied(&self, at: usize, address: &str, status: StatusCode, said: &str) -> News {
        let error = failed(format!("{address} answers {status}: {}", self.access_refused(said)));
        if status != StatusCode::FORBIDDEN {
            return News::Failed(error);
        }
        let why = if said.is_empty() {
            status.to_string()
        } else {
            format!("{status}: {said}")
        };
        News::Forbidden { at, why, error }
    }

    fn other_model(&self, address: &str, model: &str) -> StageError {
        let (model, served) = (self.shown(model), &self.served);
        failed(format!(
            "{address} answers as the model `{model}` instead of `{served}`: it serves another one now"
        ))
    }

    /// A text of the server's as a message shows it, without the key.
    fn shown(&self, text: &str) -> String {
        http::clean_without(text, self.key.as_ref().map(|key| key.key.as_str()))
    }

    /// Whether the requests ask how likely the model finds their prompts.
    fn asks_for_scores(&self) -> bool {
        self.common.contains_key("logprobs")
    }

    fn request_body(&self, request: &CompletionRequest) -> String {
        let mut body = self.common.clone();
        body.insert("model".to_owned(), self.served.as_str().into());
        let (field, asked) = request.prompt.field();
        body.insert(field.to_owned(), asked);
        body.insert("seed".to_owned(), request.seed.into());
        json!(body).to_string()
    }
}

impl Work {
    /// Makes one open request after the other.
    fn go_through(&self, news: &Sender<News>) {
        while let Some(at) = self.open.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let Some(request) = self.requests.get(*at) else { return };
            let Some(last) = self.request(*at, request, news) else { return };
            let is_over = matches!(last, News::Failed(_));
            if news.send(last).is_err() || is_over {
                return;
            }
        }
    }

    /// Sends one request, again after a failure that may pass. `None` when it is to stop.
    fn request(&self, at: usize, request: &CompletionRequest, news: &Sender<News>) -> Option<News> {
        let address = self.server.address(request.prompt.path());
        let body = self.server.request_body(request);
        let patience = match self.is_suspected.load(Ordering::Relaxed) {
            true => self.server.patience / SHORT_PATIENCE,
            false => self.server.patience,
        };
        let mut retries = Retries::new(patience, u64::from(std::process::id()) << 32 | at as u64);
        let mut unreadable = 0;
        loop {
            let mut stop = || self.stop.load(Ordering::Relaxed);
            if stop() {
                return None;
            }
            let (cause, named) = match self.attempt(&address, &body) {
                Reply::Completion { model, written } => {
                    self.is_suspected.store(false, Ordering::Relaxed);
                    return Some(match model.filter(|model| !self.is_served(model)) {
                        Some(model) => News::Failed(self.server.other_model(&address, &model)),
                        // It is not kept: another server under the same name may do better.
                        None if self.server.asks_for_scores() && written.prompt.is_none() => {
                            News::Failed(failed(format!("{address} {NO_SCORES}")))
                        }
                        None => News::Answered(Completion { at, ..*written }),
                    });
                }
                Reply::Refused(why) => return Some(News::Refused { at, why }),
                Reply::Denied { status, said } => return Some(self.server.denied(at, &address, status, &said)),
                Reply::Wrong(why) => return Some(News::Failed(failed(format!("{address} answers {why}")))),
                Reply::Unreachable(why) => return Some(News::Failed(not_reached(format!("cannot reach {address}: {why}")))),
                Reply::Passing { cause, named } => (cause, named),
                Reply::Unreadable(cause) => {
                    unreadable += 1;
                    if unreadable >= MAX_UNREADABLE {
                        return Some(News::GivenUp {
                            failing: retries.failing_for(Instant::now()),
                            why: format!("{address} failed {MAX_UNREADABLE} times: {cause}"),
                        });
                    }
                    (cause, None)
                }
            };
            let now = Instant::now();
            let pause = match retries.failed(now, named) {
                Ok(pause) => pause,
                Err(given_up) => {
                    self.is_suspected.store(true, Ordering::Relaxed);
                    return Some(News::GivenUp {
                        failing: retries.failing_for(now),
                        why: format!("{address} {}", given_up.words(&cause)),
                    });
                }
            };
            let failing = News::Failing {
                what: format!("{address} ({cause})"),
                failing: retries.failing_for(now),
                pause,
            };
            if news.send(failing).is_err() || !http::pause(pause, &mut stop) {
                return None;
            }
        }
    }

    fn attempt(&self, address: &str, body: &str) -> Reply {
        let request = self
            .client
            .post(address)
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_owned());
        let response = match request.send() {
            Ok(response) => response,
            Err(error) => return reply::no_response(&error),
        };
        let url = response.url().to_string();
        match reply::read(&self.server.read(response)) {
            // A redirect makes a request to read of one to write.
            Reply::Wrong(why) if url != address => Reply::Wrong(format!("{why} (redirected to {})", self.server.shown(&url))),
            reply => reply,
        }
    }

    /// Whether a response is of the model that was asked for: some servers answer with the model that they serve, whichever it is, and
    /// some add the date of its version.
    fn is_served(&self, model: &str) -> bool {
        model == self.id
            || model
                .strip_prefix(&self.server.served)
                .is_some_and(|rest| rest.is_empty() || is_date(rest))
    }
}

/// Whether this is the date of a version: `-2024-07-18`, `-20240718`, `-0718`.
fn is_date(ending: &str) -> bool {
    let shape: String = ending.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if !["-0000-00-00", "-00000000", "-0000"].contains(&shape.as_str()) {
        return false;
    }
    let digits: String = ending.chars().filter(char::is_ascii_digit).collect();
    let (month, day) = digits.split_at(digits.len() - 2);
    let month = month.get(month.len() - 2..).unwrap_or_default();
    let is_in = |number: &str, last: u8| number.parse().is_ok_and(|number| (1..=last).contains(&number));
    is_in(month, 12) && is_in(day, 31)
}

/// Follows a redirect, unless it would make a request for a completion one to read.
fn redirected(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let is_kept = matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let asked = attempt.previous().first().map(Url::path).unwrap_or_default();
    if !is_kept && asked.ends_with(&format!("/{COMPLETIONS}")) {
        return attempt.stop();
    }
    Policy::default().redirect(attempt)
}

/// The failure of a stage whose server cannot be reached, or does not answer any more: later it may.
fn not_reached(why: impl fmt::Display) -> StageError {
    StageError::Ended {
        cause: FailureCause::Refused,
        message: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_asked_for_elsewhere_and_as_messages() {
        let server = Endpoint {
            address: "http://here/v1/".to_owned(),
            served: "m".to_owned(),
            key: None,
            concurrency: 1,
            common: Map::new(),
            patience: Duration::ZERO,
        };
        let asked = |prompt: Asked| {
            let address = server.address(prompt.path());
            format!("{address} {}", server.request_body(&CompletionRequest { prompt, seed: 7 }))
        };
        let messages = vec![Message::system("Be brief."), Message::user("1 + 1?")];
        insta::assert_snapshot!([asked("1 + 1 =".to_owned().into()), asked(messages.into())].join("\n"), @r#"
        http://here/v1/completions {"model":"m","prompt":"1 + 1 =","seed":7}
        http://here/v1/chat/completions {"messages":[{"content":"Be brief.","role":"system"},{"content":"1 + 1?","role":"user"}],"model":"m","seed":7}
        "#);
    }

    #[test]
    fn dates_of_versions_are_known() {
        for ending in ["-2024-07-18", "-20240718", "-0718", "-1231"] {
            assert!(is_date(ending), "{ending}");
        }
        for ending in [
            "",
            "-",
            "istral-7b",
            "-7b",
            "-2024",
            "-0732",
            "-2024-7-18",
            "0718",
            "-0718-q4",
            "-071",
            "-１２３１",
        ] {
            assert!(!is_date(ending), "{ending}");
        }
    }
}
