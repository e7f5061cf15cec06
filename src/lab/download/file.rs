//! Downloads one file over HTTP. An interrupted download resumes where it stopped, and failures that may pass are retried.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};

use crate::http::{self, RetryPolicy, cause};

/// How long to wait for the next bytes from a server.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The most attempts in a row that bring no new bytes.
const MAX_ATTEMPTS: u32 = 5;
const RETRY_POLICY: RetryPolicy = RetryPolicy::new(MAX_ATTEMPTS);

/// A file could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("cannot reach {address}: {cause}")]
    Unreachable { address: String, cause: String },
    #[error("{address} refuses access ({status})")]
    Denied { address: String, status: StatusCode },
    #[error("{address} does not exist (404)")]
    NotFound { address: String },
    #[error("{address} answers {status}")]
    Status { address: String, status: StatusCode },
    #[error("{address} failed {MAX_ATTEMPTS} times: {cause}")]
    Interrupted { address: String, cause: String },
    #[error("cannot write {}: {cause}", path.display())]
    Write { path: PathBuf, cause: std::io::Error },
    #[error("stopped")]
    Stopped,
}

/// Downloads files.
pub(super) struct Downloader {
    client: Client,
}

/// The end of one attempt.
enum Attempt {
    Complete,
    /// It failed, and another attempt may succeed.
    Interrupted {
        new_bytes: u64,
        cause: String,
        /// The pause that the server asks for.
        retry_after: Option<Duration>,
    },
}

impl Downloader {
    pub(super) fn new() -> Result<Self, DownloadError> {
        let client = http::client(READ_TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build();
        let client = client.map_err(|error| DownloadError::Unreachable {
            address: "the network".to_owned(),
            cause: cause(&error),
        })?;
        Ok(Self { client })
    }

    /// Checks that the address answers, without downloading anything.
    pub(super) fn probe(&self, address: &str, token: Option<&str>) -> Result<(), DownloadError> {
        let response = authorised(self.client.head(address), token)
            .send()
            .map_err(|error| unreachable(address, &error))?;
        match response.status() {
            // Some servers do not support HEAD, and some failures pass: the download will tell.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => refusal(address, response.status()),
            _ => Ok(()),
        }
    }

    /// Downloads a short text, such as the hub's description of a repository.
    pub(super) fn get_text(&self, address: &str, token: Option<&str>) -> Result<String, DownloadError> {
        let response = authorised(self.client.get(address), token)
            .send()
            .map_err(|error| unreachable(address, &error))?;
        if !response.status().is_success() {
            refusal(address, response.status())?;
        }
        let mut text = String::new();
        let read = response.take(1 << 20).read_to_string(&mut text);
        read.map(|_| text).map_err(|error| DownloadError::Interrupted {
            address: address.to_owned(),
            cause: error.to_string(),
        })
    }

    /// Downloads `address` to `path`, which appears when it is complete. `progress` gets the bytes so far and, if known, in total, and
    /// returns whether to continue.
    pub(super) fn download(
        &self,
        address: &str,
        token: Option<&str>,
        path: &Path,
        progress: &mut dyn FnMut(u64, Option<u64>) -> bool,
    ) -> Result<(), DownloadError> {
        let part = beside(path, "part");
        let mut failures = 0;
        loop {
            let (new_bytes, cause, retry_after) = match self.attempt(address, token, path, progress)? {
                Attempt::Complete => break,
                Attempt::Interrupted {
                    new_bytes,
                    cause,
                    retry_after,
                } => (new_bytes, cause, retry_after),
            };
            failures = if new_bytes > 0 { 1 } else { failures + 1 };
            let Some(pause) = RETRY_POLICY.pause(failures, retry_after) else {
                let address = address.to_owned();
                return Err(DownloadError::Interrupted { address, cause });
            };
            if !progress(length(&part), None) {
                return Err(DownloadError::Stopped);
            }
            std::thread::sleep(pause);
        }
        let written = |cause| DownloadError::Write {
            path: path.to_owned(),
            cause,
        };
        std::fs::rename(&part, path).map_err(written)?;
        // It belongs to the part.
        let _ = std::fs::remove_file(beside(path, "etag"));
        Ok(())
    }

    /// One request, for the missing bytes.
    fn attempt(
        &self,
        address: &str,
        token: Option<&str>,
        path: &Path,
        progress: &mut dyn FnMut(u64, Option<u64>) -> bool,
    ) -> Result<Attempt, DownloadError> {
        let (part, tag) = (beside(path, "part"), beside(path, "etag"));
        let known = std::fs::read_to_string(&tag).ok();
        let have = if known.is_some() { length(&part) } else { 0 };
        let mut request = authorised(self.client.get(address), token);
        if let Some(etag) = known.filter(|_| have > 0) {
            // If the file has changed, the server sends it from its start.
            request = request.header(RANGE, format!("bytes={have}-")).header(IF_RANGE, etag);
        }
        let response = match request.send() {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(unreachable(address, &error)),
            Err(error) => return Ok(interrupted(0, cause(&error), None)),
        };
        let status = response.status();
        if http::is_temporary(status) {
            return Ok(interrupted(
                0,
                format!("it answers {status}"),
                http::retry_after(response.headers()),
            ));
        }
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            // The part on disk does not belong to this file.
            let _ = std::fs::remove_file(&tag);
            return Ok(interrupted(0, format!("it answers {status}"), None));
        }
        if !status.is_success() {
            refusal(address, status)?;
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

/// Writes the body to the file `part`, from `start` on.
fn receive(
    mut response: Response,
    part: &Path,
    start: u64,
    total: Option<u64>,
    progress: &mut dyn FnMut(u64, Option<u64>) -> bool,
) -> Result<Attempt, DownloadError> {
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
            Err(error) => return Ok(interrupted(have - start, error.to_string(), None)),
        };
        if read == 0 {
            break;
        }
        file.write_all(buffer.get(..read).unwrap_or_default()).map_err(failed)?;
        have += read as u64;
    }
    if total.is_some_and(|total| total != have) {
        return Ok(interrupted(
            have - start,
            format!("it sent {have} of {} bytes", total.unwrap_or(0)),
            None,
        ));
    }
    file.sync_all().map_err(failed)?;
    Ok(Attempt::Complete)
}

fn open(part: &Path, start: u64) -> std::io::Result<File> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(part)?;
    file.set_len(start)?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(start))?;
    Ok(file)
}

fn interrupted(new_bytes: u64, cause: String, retry_after: Option<Duration>) -> Attempt {
    Attempt::Interrupted {
        new_bytes,
        cause,
        retry_after,
    }
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

fn refusal(address: &str, status: StatusCode) -> Result<(), DownloadError> {
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
