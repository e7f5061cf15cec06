//! HTTP: the client and the retry policy of downloads and model servers, and what remotes share with them.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client, ClientBuilder};
use reqwest::header::{HeaderMap, RETRY_AFTER};

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
        .user_agent(concat!("runner/", env!("CARGO_PKG_VERSION")))
}

/// How often a request is sent, and how long the pauses between the attempts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most attempts, the first one included.
    pub max_attempts: u32,
    /// The pause after the first failure; each further pause is twice as long.
    pub first_pause: Duration,
    /// The longest pause, even if the server asks for a longer one.
    pub longest_pause: Duration,
}

impl RetryPolicy {
    /// A policy with the usual pauses: from 250 ms, at most 30 s.
    pub const fn new(max_attempts: u32) -> Self {
        Self {
            max_attempts,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(30),
        }
    }

    /// The pause after this many failures in a row, or `None` if that was the last attempt. `retry_after` is the pause that the
    /// server asks for ([`retry_after`]).
    pub fn pause(&self, failures: u32, retry_after: Option<Duration>) -> Option<Duration> {
        let growing = || self.first_pause.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)));
        (failures < self.max_attempts).then(|| retry_after.unwrap_or_else(growing).min(self.longest_pause))
    }
}

/// Whether the same request may succeed later: the server has a problem (5xx), or too many requests (429).
pub fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// The pause that the server asks for in `Retry-After`, if it is a number of seconds. A date is ignored.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
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

    const POLICY: RetryPolicy = RetryPolicy::new(10);

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, reqwest::header::HeaderValue::from_static(value))])
    }

    #[test]
    fn each_pause_is_twice_as_long_up_to_the_longest() {
        let pauses: Vec<u128> = (1..10)
            .filter_map(|failures| Some(POLICY.pause(failures, None)?.as_millis()))
            .collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    }

    #[test]
    fn no_attempt_follows_the_last_one() {
        assert_eq!(RetryPolicy::new(5).pause(4, None), Some(Duration::from_secs(2)));
        assert_eq!(RetryPolicy::new(5).pause(5, None), None);
        assert_eq!(RetryPolicy::new(5).pause(5, Some(Duration::from_secs(1))), None);
        let endless = RetryPolicy::new(u32::MAX);
        assert_eq!(endless.pause(u32::MAX - 1, None), Some(endless.longest_pause));
    }

    #[test]
    fn the_server_may_ask_for_a_pause_but_not_for_a_long_one() {
        let asked = |value| POLICY.pause(1, retry_after(&headers(value)));
        assert_eq!(asked("0"), Some(Duration::ZERO));
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("86400"), Some(POLICY.longest_pause));
        assert_eq!(asked("18446744073709551615"), Some(POLICY.longest_pause));
        for ignored in ["Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-1", "1.5", ""] {
            assert_eq!(asked(ignored), Some(POLICY.first_pause), "{ignored}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn requests_are_sent_again_only_if_the_failure_may_pass() {
        let temporary: Vec<u16> = (100..600)
            .filter(|&code| StatusCode::from_u16(code).is_ok_and(is_temporary))
            .collect();
        assert_eq!(temporary, std::iter::once(429).chain(500..600).collect::<Vec<u16>>());
    }

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
