//! One file over HTTP: resumed where it was cut, tried again where that may help.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::http;
use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE, RETRY_AFTER};

/// A server that says nothing for so long has forgotten us.
const SILENCE: Duration = Duration::from_secs(20);
/// A host that does not answer for so long is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// So often in a row a download may come no further.
const TRIES: u32 = 5;
/// The pause before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("cannot reach {address}: {cause}")]
    Unreachable { address: String, cause: String },
    #[error("{address} is not for everybody ({status})")]
    Denied { address: String, status: StatusCode },
    #[error("{address} is not there (404)")]
    NotFound { address: String },
    #[error("{address} answers {status}")]
    Status { address: String, status: StatusCode },
    #[error("{address} broke off {TRIES} times: {cause}")]
    Cut { address: String, cause: String },
    #[error("cannot write {}: {cause}", path.display())]
    Write { path: PathBuf, cause: std::io::Error },
    #[error("stopped")]
    Stopped,
}

/// Fetches files.
pub(super) struct Downloader {
    client: Client,
}

/// How one try ended without an error that ends all.
enum Tried {
    Done,
    /// After so many new bytes.
    Cut {
        came: u64,
        cause: String,
        wait: Option<Duration>,
    },
}

impl Downloader {
    pub(super) fn new() -> Result<Self, DownloadError> {
        http::choose_cryptography();
        let client = Client::builder()
            .timeout(SILENCE)
            .connect_timeout(CONNECT)
            .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.map_err(|error| DownloadError::Unreachable {
            address: "the network".to_owned(),
            cause: cause(&error),
        })?;
        Ok(Self { client })
    }

    /// Whether the address answers, asked without fetching anything.
    pub(super) fn probe(&self, address: &str, token: Option<&str>) -> Result<(), DownloadError> {
        let response = authorised(self.client.head(address), token)
            .send()
            .map_err(|error| unreachable(address, &error))?;
        match response.status() {
            // Some servers know no HEAD, and some are ill for a moment: the download will tell.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => refused(address, response.status()),
            _ => Ok(()),
        }
    }

    /// A short text, such as what a hub says of a repository.
    pub(super) fn text(&self, address: &str, token: Option<&str>) -> Result<String, DownloadError> {
        let response = authorised(self.client.get(address), token)
            .send()
            .map_err(|error| unreachable(address, &error))?;
        if !response.status().is_success() {
            refused(address, response.status())?;
        }
        let mut text = String::new();
        let read = response.take(1 << 20).read_to_string(&mut text);
        read.map(|_| text).map_err(|error| DownloadError::Cut {
            address: address.to_owned(),
            cause: error.to_string(),
        })
    }

    /// Fetches `address` to `path`, which appears when it is whole; `progress` is told how many bytes there are and will be, and says
    /// whether to go on.
    pub(super) fn file(
        &self,
        address: &str,
        token: Option<&str>,
        path: &Path,
        progress: &mut dyn FnMut(u64, Option<u64>) -> bool,
    ) -> Result<(), DownloadError> {
        let part = beside(path, "part");
        let mut failures = 0;
        loop {
            let (came, cause, wait) = match self.once(address, token, path, progress)? {
                Tried::Done => break,
                Tried::Cut { came, cause, wait } => (came, cause, wait),
            };
            failures = if came > 0 { 1 } else { failures + 1 };
            if failures >= TRIES {
                let address = address.to_owned();
                return Err(DownloadError::Cut { address, cause });
            }
            if !progress(length(&part), None) {
                return Err(DownloadError::Stopped);
            }
            let pause = wait.unwrap_or(PAUSE * 2u32.pow(failures - 1));
            std::thread::sleep(pause.min(LONGEST_PAUSE));
        }
        let written = |cause| DownloadError::Write {
            path: path.to_owned(),
            cause,
        };
        std::fs::rename(&part, path).map_err(written)?;
        // It says what the part was of.
        let _ = std::fs::remove_file(beside(path, "etag"));
        Ok(())
    }

    /// One request, for what is missing.
    fn once(
        &self,
        address: &str,
        token: Option<&str>,
        path: &Path,
        progress: &mut dyn FnMut(u64, Option<u64>) -> bool,
    ) -> Result<Tried, DownloadError> {
        let (part, tag) = (beside(path, "part"), beside(path, "etag"));
        let known = std::fs::read_to_string(&tag).ok();
        let have = if known.is_some() { length(&part) } else { 0 };
        let mut request = authorised(self.client.get(address), token);
        if let Some(etag) = known.filter(|_| have > 0) {
            // Another file by now is sent from its start.
            request = request.header(RANGE, format!("bytes={have}-")).header(IF_RANGE, etag);
        }
        let response = match request.send() {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(unreachable(address, &error)),
            Err(error) => return Ok(cut(0, cause(&error), None)),
        };
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Ok(cut(0, format!("it answers {status}"), seconds(&response)));
        }
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            // What is there is not a part of it.
            let _ = std::fs::remove_file(&tag);
            return Ok(cut(0, format!("it answers {status}"), None));
        }
        if !status.is_success() {
            refused(address, status)?;
        }
        let start = if begins_at(&response) == Some(have) && status == StatusCode::PARTIAL_CONTENT {
            have
        } else {
            0
        };
        let total = header(&response, CONTENT_LENGTH.as_str())
            .and_then(|length| length.parse::<u64>().ok())
            .map(|rest| start + rest);
        match header(&response, ETAG.as_str()).filter(|etag| !etag.starts_with("W/")) {
            Some(etag) => std::fs::write(&tag, etag).map_err(|cause| DownloadError::Write { path: tag, cause })?,
            None => drop(std::fs::remove_file(&tag)),
        }
        receive(response, &part, start, total, progress)
    }
}

/// Appends what comes to the file of the part, from `start` on.
fn receive(
    mut response: Response,
    part: &Path,
    start: u64,
    total: Option<u64>,
    progress: &mut dyn FnMut(u64, Option<u64>) -> bool,
) -> Result<Tried, DownloadError> {
    let failed = |cause| DownloadError::Write {
        path: part.to_owned(),
        cause,
    };
    let mut file = open(part, start).map_err(failed)?;
    let (mut have, mut buffer) = (start, vec![0; 1 << 16]);
    loop {
        if !progress(have, total) {
            return Err(DownloadError::Stopped);
        }
        let read = match response.read(&mut buffer) {
            Ok(read) => read,
            Err(error) => return Ok(cut(have - start, error.to_string(), None)),
        };
        if read == 0 {
            break;
        }
        file.write_all(buffer.get(..read).unwrap_or_default()).map_err(failed)?;
        have += read as u64;
    }
    if total.is_some_and(|total| total != have) {
        return Ok(cut(have - start, format!("it sent {have} of {} bytes", total.unwrap_or(0)), None));
    }
    file.sync_all().map_err(failed)?;
    Ok(Tried::Done)
}

fn open(part: &Path, start: u64) -> std::io::Result<File> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(part)?;
    file.set_len(start)?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(start))?;
    Ok(file)
}

fn cut(came: u64, cause: String, wait: Option<Duration>) -> Tried {
    Tried::Cut { came, cause, wait }
}

fn authorised(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// `bytes 100-199/200` begins at 100.
fn begins_at(response: &Response) -> Option<u64> {
    let range = header(response, CONTENT_RANGE.as_str())?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// How long the server asks to wait.
fn seconds(response: &Response) -> Option<Duration> {
    header(response, RETRY_AFTER.as_str())?.parse().ok().map(Duration::from_secs)
}

fn refused(address: &str, status: StatusCode) -> Result<(), DownloadError> {
    let address = address.to_owned();
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => DownloadError::Denied { address, status },
        StatusCode::NOT_FOUND => DownloadError::NotFound { address },
        _ => DownloadError::Status { address, status },
    })
}

fn unreachable(address: &str, error: &reqwest::Error) -> DownloadError {
    DownloadError::Unreachable {
        address: address.to_owned(),
        cause: cause(error),
    }
}

/// The innermost reason, which is what people can do something about.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |about| about.len())
}

/// `model.safetensors.part`
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
