//! HTTP: the client and the one policy of retries of downloads and model servers, and what remotes share with them.
//!
//! | file | part |
//! |---|---|
//! | `retry` | which failures may pass, and how long and how often a request is sent again |
//! | `stop` | waits that end when they are asked to, and that the user is told of |
//! | `words` | what a server says of a failure, as a message shows it |

mod retry;
mod stop;
mod words;

use std::error::Error;
use std::time::Duration;

use reqwest::Version;
use reqwest::blocking::{Client, ClientBuilder, Response};
use reqwest::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

pub use retry::{GivenUp, Retries, is_temporary, is_temporary_error, retry_after};
pub use stop::{WaitNotice, pause, unless_stopped};
pub use words::{clean, clean_without, is_page, what_it_says, what_it_says_without};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes `ring` the cryptography of TLS. Call it before building a client. It does nothing if the process has chosen already.
pub fn choose_cryptography() {
    // An error means that the choice was made before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Starts to build a client that waits at most `timeout` for a response, and for each further piece of its body.
pub fn client(timeout: Duration) -> ClientBuilder {
    choose_cryptography();
    Client::builder()
        .timeout(timeout)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
}

/// Whether the response says where its body ends. Where it does not, the body ends with the connection, which may be cut.
pub fn is_framed(response: &Response) -> bool {
    let headers = response.headers();
    let encoding = headers.get(TRANSFER_ENCODING).and_then(|encoding| encoding.to_str().ok());
    let is_chunked = encoding.is_some_and(|encoding| encoding.to_ascii_lowercase().contains("chunked"));
    response.version() >= Version::HTTP_2 || headers.contains_key(CONTENT_LENGTH) || is_chunked
}

/// The innermost cause of an error: the one that a user can do something about.
pub fn cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

/// An error and its causes, from the outside in.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_cause_is_the_one_that_is_reported() {
        let inner = std::io::Error::other("connection refused");
        assert_eq!(cause(&inner), "connection refused");
        #[derive(Debug, thiserror::Error)]
        #[error("cannot send the request")]
        struct Outer(#[source] std::io::Error);
        assert_eq!(cause(&Outer(inner)), "connection refused");
    }
}
