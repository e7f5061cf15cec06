//! Downloads one file over HTTP. An interrupted download resumes where it stopped, and failures that may pass are retried.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{IF_NONE_MATCH, IF_RANGE, RANGE};

use super::answer::{self, Bytes};
use super::disguise;
use super::error::DownloadError;
use super::part::{self, PartialFile, Received};
use crate::hash;
use crate::http::{self, GivenUp, Retries, WaitNotice, cause, clean};

/// How long to wait for the next bytes from a server.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// The most of an error's body that is read.
const LONGEST_ERROR: u64 = 1 << 16;
/// How often a file is fetched whose end nobody can tell, until it came twice with the same bytes.
const MAX_UNFRAMED: u32 = 6;

/// Where a download is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DownloadState<'a> {
    /// Bytes so far.
    pub(super) done: u64,
    /// Bytes in all, if the server tells.
    pub(super) total: Option<u64>,
    /// What the user is to be told: that a server is waited for.
    pub(super) notice: Option<&'a str>,
}

/// Receives the state of a download a few times a second, and returns whether to continue.
pub(super) type Progress<'a> = dyn FnMut(DownloadState<'_>) -> bool + 'a;

/// One file to download.
pub(super) struct Order<'a> {
    pub(super) address: &'a str,
    pub(super) token: Option<&'a str>,
    /// Where it appears when it is complete.
    pub(super) path: &'a Path,
    /// Whether its content is known, so that a web page may be what is wanted.
    pub(super) is_pinned: bool,
}

/// Downloads files.
pub(super) struct Downloader {
    client: Client,
    patience: Duration,
}

/// The end of one attempt.
enum Attempt {
    Complete {
        content_type: String,
    },
    /// The body ended, and nothing says that this is the end of the file.
    Unframed {
        content_type: String,
    },
    /// The server still has the file that is there.
    Unchanged,
    /// It failed, and another attempt may succeed.
    Interrupted {
        /// Bytes of the file that were there at the end.
        reached: u64,
        cause: String,
        /// The pause that the server asks for.
        named: Option<Duration>,
    },
}

impl Downloader {
    /// `patience` is how long a request that fails is sent again.
    pub(super) fn new(patience: Duration) -> Result<Self, DownloadError> {
        let client = http::client(READ_TIMEOUT).build();
        let client = client.map_err(|error| unreachable("the network", &error))?;
        Ok(Self { client, patience })
    }

    /// Checks that the address answers, without downloading anything.
    pub(super) fn probe(&self, address: &str, token: Option<&str>, stop: &mut dyn FnMut() -> bool) -> Result<(), DownloadError> {
        let response = match send(authorised(self.client.head(address), token), stop)? {
            Ok(response) => response,
            // The download waits for it.
            Err(error) if http::is_temporary_error(&error) => return Ok(()),
            Err(error) => return Err(unreachable(address, &error)),
        };
        match response.status() {
            // Some servers do not support HEAD, and some failures pass: the download will tell.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Err(refusal(address, response, stop)),
            _ => Ok(()),
        }
    }

    /// Downloads a short text, such as the hub's description of a repository.
    pub(super) fn get_text(&self, address: &str, token: Option<&str>, progress: &mut Progress<'_>) -> Result<String, DownloadError> {
        let (mut retries, mut notice, state) = (self.retries(), WaitNotice::default(), DownloadState::default());
        loop {
            let stop = &mut || !progress(state);
            let (cause, named) = match send(authorised(self.client.get(address), token), stop)? {
                Ok(response) if response.status().is_success() => match http::unless_stopped(|| text(response), stop) {
                    None => return Err(DownloadError::Stopped),
                    Some(Ok(text)) => return Ok(text),
                    Some(Err(error)) => (cause(&error), None),
                },
                Ok(response) if !http::is_temporary(response.status()) => return Err(refusal(address, response, stop)),
                Ok(response) => {
                    let named = http::retry_after(response.headers(), SystemTime::now());
                    (format!("it answers {}", said(response, stop)?), named)
                }
                Err(error) if !http::is_temporary_error(&error) => return Err(unreachable(address, &error)),
                Err(error) => (cause(&error), None),
            };
            let now = Instant::now();
            let pause = retries.failed(now, named).map_err(given_up(address, &cause))?;
            let words = notice.words(&format!("{address} ({cause})"), retries.failing_for(now), pause);
            if words.is_some_and(|words| !tell(&words, state, progress)) || !http::pause(pause, &mut || !progress(state)) {
                return Err(DownloadError::Stopped);
            }
        }
    }

    /// Downloads a file. A file that is there already is replaced, unless the server says that it is the same.
    pub(super) fn download(&self, order: &Order<'_>, progress: &mut Progress<'_>) -> Result<(), DownloadError> {
        let part = PartialFile::of(order.path);
        let (mut retries, mut notice, mut furthest, mut unframed) = (self.retries(), WaitNotice::default(), 0, Unframed::default());
        loop {
            let (reached, cause, named) = match self.attempt(order, &part, progress)? {
                Attempt::Unchanged => return Ok(()),
                Attempt::Complete { content_type } => return finish(order, &part, &content_type),
                Attempt::Unframed { content_type } => {
                    let digest = hash::file(part.path()).map_err(part::cannot_write(part.path()))?;
                    if unframed.is_same(digest) {
                        let words = "its server does not tell how long the file is; it came twice with the same bytes, and may yet be cut";
                        let done = part.length();
                        tell(
                            words,
                            DownloadState {
                                done,
                                ..DownloadState::default()
                            },
                            progress,
                        );
                        return finish(order, &part, &content_type);
                    }
                    if unframed.count < MAX_UNFRAMED {
                        continue;
                    }
                    let why = "it says nowhere how long the file is, and sends another one each time".to_owned();
                    let address = order.address.to_owned();
                    return Err(DownloadError::NotTheFile { address, why });
                }
                Attempt::Interrupted { reached, cause, named } => (reached, cause, named),
            };
            if reached > furthest {
                furthest = reached;
                retries.progressed();
            }
            let now = Instant::now();
            let pause = retries.failed(now, named).map_err(given_up(order.address, &cause))?;
            let words = notice.words(&format!("{} ({cause})", order.address), retries.failing_for(now), pause);
            let state = DownloadState {
                done: part.length(),
                ..DownloadState::default()
            };
            if words.is_some_and(|words| !tell(&words, state, progress)) || !http::pause(pause, &mut || !progress(state)) {
                return Err(DownloadError::Stopped);
            }
        }
    }

    /// One request, for the missing bytes.
    fn attempt(&self, order: &Order<'_>, part: &PartialFile, progress: &mut Progress<'_>) -> Result<Attempt, DownloadError> {
        let mut request = authorised(self.client.get(order.address), order.token);
        let known = part.resumable();
        let have = known.as_ref().map_or(0, |(have, _)| *have);
        if let Some((have, etag)) = &known {
            // If the file has changed, the server sends it from its start.
            request = request.header(RANGE, format!("bytes={have}-")).header(IF_RANGE, etag);
        } else if let Some(etag) = part.complete_tag() {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let state = |done, total| DownloadState { done, total, notice: None };
        let mut stop = || !progress(state(have, None));
        let response = match send(request, &mut stop)? {
            Ok(response) => response,
            Err(error) if http::is_temporary_error(&error) => return Ok(interrupted(have, cause(&error), None)),
            Err(error) => return Err(unreachable(order.address, &error)),
        };
        let status = response.status();
        let is_refused = status == StatusCode::RANGE_NOT_SATISFIABLE;
        if is_refused {
            // The part on disk does not belong to this file.
            part.forget();
        }
        if http::is_temporary(status) || is_refused {
            let named = http::retry_after(response.headers(), SystemTime::now());
            let said = said(response, &mut stop)?;
            return Ok(interrupted(have, format!("it answers {said}"), named));
        }
        if status == StatusCode::NOT_MODIFIED && known.is_none() && order.path.is_file() {
            return Ok(Attempt::Unchanged);
        }
        if !status.is_success() {
            return Err(refusal(order.address, response, &mut stop));
        }
        let etag = answer::strong_etag(response.headers());
        let asked = known.as_ref().map(|(have, etag)| (*have, etag.as_str()));
        let Bytes { start, total } = match answer::bytes(status, response.headers(), asked) {
            Ok(bytes) => bytes,
            Err(why) if asked.is_some() => {
                part.forget();
                return Ok(interrupted(0, why.to_string(), None));
            }
            Err(why) => {
                let address = order.address.to_owned();
                return Err(DownloadError::NotTheFile {
                    address,
                    why: why.to_string(),
                });
            }
        };
        part.begin(etag.as_deref())?;
        let (is_framed, content_type) = (http::is_framed(&response), answer::content_type(response.headers()));
        match part.receive(response, start, &mut |done| progress(state(done, total)))? {
            Received::Cut { have, cause } => Ok(interrupted(have, cause, None)),
            Received::ToTheEnd { have } => match total {
                Some(total) if total != have => {
                    if have > total {
                        part.forget();
                    }
                    Ok(interrupted(have.min(total), format!("it sent {have} of {total} bytes"), None))
                }
                None if !is_framed => Ok(Attempt::Unframed { content_type }),
                _ => Ok(Attempt::Complete { content_type }),
            },
        }
    }

    fn retries(&self) -> Retries {
        Retries::new(self.patience, u64::from(std::process::id()))
    }
}

/// Has the user told of something. Returns whether to continue.
fn tell(words: &str, state: DownloadState<'_>, progress: &mut Progress<'_>) -> bool {
    progress(DownloadState {
        notice: Some(words),
        ..state
    })
}

/// What came of a file whose end nobody can tell: where the connection ends, it may be cut.
#[derive(Default)]
struct Unframed {
    last: Option<hash::Digest>,
    count: u32,
}

impl Unframed {
    /// Whether the same came twice in a row.
    fn is_same(&mut self, digest: hash::Digest) -> bool {
        self.count += 1;
        self.last.replace(digest) == Some(digest)
    }
}

/// Moves a complete file to its place, unless it is something else in place of the file.
fn finish(order: &Order<'_>, part: &PartialFile, content_type: &str) -> Result<(), DownloadError> {
    let disguise = disguise::of_file(part.path(), &disguise::name_of(order.address), content_type);
    if let Some(disguise) = disguise.filter(|_| !order.is_pinned) {
        part.remove();
        let address = order.address.to_owned();
        return Err(DownloadError::Disguised { address, disguise });
    }
    part.complete(order.path)
}

fn interrupted(reached: u64, cause: String, named: Option<Duration>) -> Attempt {
    Attempt::Interrupted { reached, cause, named }
}

fn authorised(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// Sends a request, which nobody waits for when it is to stop.
fn send(request: RequestBuilder, stop: &mut dyn FnMut() -> bool) -> Result<reqwest::Result<Response>, DownloadError> {
    http::unless_stopped(|| request.send(), stop).ok_or(DownloadError::Stopped)
}

fn text(response: Response) -> std::io::Result<String> {
    let mut text = String::new();
    response.take(1 << 20).read_to_string(&mut text).map(|_| text)
}

/// `503 Service Unavailable: the server is starting`, as far as the server says more than the status.
fn said(response: Response, stop: &mut dyn FnMut() -> bool) -> Result<String, DownloadError> {
    let status = response.status();
    let read = || {
        let mut body = Vec::new();
        // What came until it was cut.
        let _ = response.take(LONGEST_ERROR).read_to_end(&mut body);
        body
    };
    let body = http::unless_stopped(read, stop).ok_or(DownloadError::Stopped)?;
    let said = http::what_it_says(&body);
    Ok(if said.is_empty() {
        status.to_string()
    } else {
        format!("{status}: {said}")
    })
}

fn refusal(address: &str, response: Response, stop: &mut dyn FnMut() -> bool) -> DownloadError {
    let (address, status) = (address.to_owned(), response.status());
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => DownloadError::Denied { address, status },
        StatusCode::NOT_FOUND => DownloadError::NotFound { address },
        _ => said(response, stop).map_or_else(|stopped| stopped, |said| DownloadError::Status { address, said }),
    }
}

fn unreachable(address: &str, error: &reqwest::Error) -> DownloadError {
    DownloadError::Unreachable {
        address: address.to_owned(),
        cause: clean(&cause(error)),
    }
}

fn given_up<'a>(address: &'a str, cause: &'a str) -> impl Fn(GivenUp) -> DownloadError + 'a {
    move |given_up| DownloadError::Interrupted {
        address: address.to_owned(),
        given_up,
        cause: cause.to_owned(),
    }
}
