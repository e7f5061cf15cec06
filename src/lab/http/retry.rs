//! The policy of retries: a request that fails for a moment is sent again, until a limit of time.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::causes;

/// The pause after the first failure; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause that grows so.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The shortest pause after many failures, whatever the server names.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// No patience is longer than a month.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A server that names a later time is not waited for.
const LONGEST_NAMED_PAUSE: Duration = Duration::from_secs(3600);

/// The failures of one request in a row.
///
/// The request is given up when it has failed for as long as the patience is, counted from its first failure. A server that names a later
/// time (`Retry-After`, at most an hour) is asked once more at that time.
#[derive(Debug)]
pub struct Retries {
    patience: Duration,
    longest_pause: Duration,
    /// Makes the pauses of requests differ that failed together.
    salt: u64,
    failures: u32,
    /// The time of the first failure, and the one at which the request is given up.
    failing: Option<(Instant, Instant)>,
}

/// A request was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// How often it was sent.
    pub attempts: u32,
    /// From its first failure to the last.
    pub after: Duration,
    /// The pause that the server asks for, if that is why.
    pub named: Option<Duration>,
}

impl GivenUp {
    /// `failed 5 times in 32 s, the last time with: 429 Too Many Requests`.
    pub fn words(&self, cause: &str) -> String {
        match self.attempts {
            1 => format!("failed {self}: {cause}"),
            _ => format!("failed {self}, the last time with: {cause}"),
        }
    }
}

impl fmt::Display for GivenUp {
    /// `5 times in 32 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempts {
            1 => f.write_str("once")?,
            attempts => write!(f, "{attempts} times in {} s", self.after.as_secs())?,
        }
        match self.named {
            Some(named) => write!(f, " and asks to be left alone for {} s", named.as_secs()),
            None => Ok(()),
        }
    }
}

impl Retries {
    /// For one request. `salt` differs among the requests that are sent at once.
    pub fn new(patience: Duration, salt: u64) -> Self {
        Self {
            patience: patience.min(LONGEST_PATIENCE),
            longest_pause: LONGEST_PAUSE,
            salt,
            failures: 0,
            failing: None,
        }
    }

    /// With pauses of at most this length, unless the server names a longer one.
    pub fn at_least_every(self, longest_pause: Duration) -> Self {
        Self { longest_pause, ..self }
    }

    /// Counts a failure at the time `now`, and returns the pause before the next attempt. `named` is the pause that the server asks for
    /// ([`retry_after`]).
    ///
    /// # Errors
    /// When the request is given up.
    pub fn failed(&mut self, now: Instant, named: Option<Duration>) -> Result<Duration, GivenUp> {
        self.failures = self.failures.saturating_add(1);
        let (since, deadline) = *self.failing.get_or_insert((now, now + self.patience));
        let too_long = named.filter(|named| *named > LONGEST_NAMED_PAUSE);
        if now >= deadline || too_long.is_some() {
            return Err(GivenUp {
                attempts: self.failures,
                after: now - since,
                named: too_long,
            });
        }
        let growing = FIRST_PAUSE
            .saturating_mul(2u32.saturating_pow(self.failures - 1))
            .min(self.longest_pause);
        let Some(named) = named else {
            // The last attempt is made when the time is over.
            return Ok(growing.mul_f64(0.75 + 0.5 * self.jitter()).min(deadline - now));
        };
        // Requests that are told the same time do not all come at it; one that is told "at once" does not come a thousand times.
        let named = named.max(growing.min(SHORTEST_PAUSE)) + SHORTEST_PAUSE.mul_f64(self.jitter() / 4.0);
        self.failing = Some((since, deadline.max(now + named)));
        Ok(named)
    }

    /// Forgets the failures: the request has brought something.
    pub fn progressed(&mut self) {
        self.failures = 0;
        self.failing = None;
    }

    /// How long it has been failing.
    pub fn failing_for(&self, now: Instant) -> Duration {
        self.failing.map_or(Duration::ZERO, |(since, _)| now - since)
    }

    /// A share that depends on the request and the number of its failures.
    fn jitter(&self) -> f64 {
        // SplitMix64.
        let mut bits = self.salt.wrapping_add(u64::from(self.failures).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Whether the same request may succeed later: the server has a problem (5xx), was too slow (408), is busy with something that the request
/// is in conflict with (409), does not want it this early (425), or has too many requests (429).
pub fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 425 | 429)
}

/// Whether a request that got no response may succeed later: nobody listens yet, the connection broke, or time ran out. A name that does
/// not exist, TLS that fails and an endless redirect stay as they are.
pub fn is_temporary_error(error: &reqwest::Error) -> bool {
    if error.is_builder() || error.is_redirect() {
        return false;
    }
    if error.is_timeout() {
        return true;
    }
    let causes = || causes(error as &(dyn Error + 'static));
    let kinds = || causes().filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    let is_other_protocol = || causes().any(|cause| cause.to_string().starts_with("invalid HTTP"));
    if kinds().any(|kind| matches!(kind, ErrorKind::InvalidData | ErrorKind::InvalidInput)) || is_other_protocol() {
        return false;
    }
    let passes = |kind| {
        matches!(
            kind,
            ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::NotConnected
                | ErrorKind::BrokenPipe
                | ErrorKind::TimedOut
                | ErrorKind::UnexpectedEof
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
        )
    };
    kinds().any(passes) || !error.is_connect()
}

/// The pause that the server asks for: in `Retry-After` as a number of seconds or a date, or in `retry-after-ms`. A date is held against
/// the server's own clock where it tells its time, else against `now`.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| *number >= 0.0 && number.is_finite());
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    if let Some(milliseconds) = text("retry-after-ms").and_then(number) {
        return Some(seconds(milliseconds / 1e3));
    }
    let named = text(RETRY_AFTER.as_str())?;
    if let Some(number) = number(named) {
        return Some(seconds(number));
    }
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let then = date(named)?;
    let now = text(DATE.as_str()).and_then(date).unwrap_or(now);
    // A time that is over is no reason to wait.
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        fields.iter().map(field).collect()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The pauses of a request that fails until it is given up, as a server names them.
    fn pauses(patience: Duration, named: impl Fn(usize) -> Option<Duration>) -> (Vec<Duration>, GivenUp) {
        let (mut retries, mut now, mut pauses) = (Retries::new(patience, 7), Instant::now(), Vec::new());
        loop {
            match retries.failed(now, named(pauses.len())) {
                Ok(pause) => pauses.push(pause),
                Err(given_up) => return (pauses, given_up),
            }
            now += *pauses.last().unwrap();
        }
    }

    #[test]
    fn pauses_grow_until_the_time_is_over_and_the_last_attempt_is_at_its_end() {
        let (pauses, given_up) = pauses(seconds(600), |_| None);
        for (pause, plain) in pauses.iter().zip([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]) {
            let share = pause.as_secs_f64() / plain;
            assert!((0.75..=1.25).contains(&share), "{pauses:?}");
        }
        assert!(pauses.len() > 20 && pauses.len() < 40, "{}", pauses.len());
        assert_eq!(pauses.iter().sum::<Duration>(), seconds(600));
        assert_eq!(given_up.to_string(), format!("{} times in 600 s", pauses.len() + 1));
    }

    #[test]
    fn requests_that_failed_together_do_not_come_back_together() {
        let pause = |salt| Retries::new(seconds(600), salt).failed(Instant::now(), None).unwrap();
        assert!(pause(1) != pause(2) && pause(1) == pause(1));
    }

    #[test]
    fn without_patience_nothing_is_tried_again() {
        let (none, given_up) = pauses(Duration::ZERO, |_| Some(seconds(1)));
        assert!(none.is_empty());
        assert_eq!(given_up.to_string(), "once");
    }

    #[test]
    fn a_server_s_time_counts_even_after_the_limit_and_then_once() {
        let (waited, _) = pauses(seconds(600), |_| Some(seconds(900)));
        assert_eq!(waited.len(), 1);
        assert!(waited[0] >= seconds(900) && waited[0] < seconds(902), "{waited:?}");
        // Within the limit, as often as it names one.
        let (waited, _) = pauses(seconds(600), |_| Some(seconds(60)));
        assert_eq!(waited.len(), 10);
        let (waited, given_up) = pauses(seconds(600), |_| Some(seconds(7200)));
        assert!(waited.is_empty());
        assert_eq!(given_up.to_string(), "once and asks to be left alone for 7200 s");
        // "At once" is not a thousand times a second.
        let (waited, _) = pauses(seconds(60), |_| Some(Duration::ZERO));
        assert!((48..=70).contains(&waited.len()), "{}", waited.len());
    }

    #[test]
    fn what_brings_something_begins_anew() {
        let (mut retries, now) = (Retries::new(seconds(10), 1), Instant::now());
        retries.failed(now, None).unwrap();
        assert_eq!(retries.failing_for(now + seconds(4)), seconds(4));
        retries.progressed();
        assert_eq!(retries.failing_for(now), Duration::ZERO);
        assert!(retries.failed(now + seconds(20), None).unwrap() < seconds(1));
        assert!(retries.failed(now + seconds(30), None).is_err());
    }

    #[test]
    fn a_pause_is_named_in_seconds_fractions_and_dates() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2026 07:28:00 GMT").unwrap();
        let asked = |fields: &[(&'static str, &'static str)]| retry_after(&headers(fields), now);
        for (value, expected) in [
            ("0", Duration::ZERO),
            ("7", seconds(7)),
            (" 7 ", seconds(7)),
            ("3.5", Duration::from_millis(3500)),
            ("86400", seconds(86400)),
            ("1e300", Duration::MAX),
            ("Wed, 21 Oct 2026 07:28:16 GMT", seconds(16)),
            ("Wednesday, 21-Oct-26 07:28:16 GMT", seconds(16)),
            ("Wed Oct 21 07:28:16 2026", seconds(16)),
            ("Wed, 21 Oct 2026 07:00:00 GMT", Duration::ZERO),
        ] {
            assert_eq!(asked(&[("retry-after", value)]), Some(expected), "{value}");
        }
        for ignored in ["soon", "-1", "", "inf", "nan", "21 Oct"] {
            assert_eq!(asked(&[("retry-after", ignored)]), None, "{ignored}");
        }
        assert_eq!(asked(&[]), None);
        assert_eq!(
            asked(&[("retry-after-ms", "250"), ("retry-after", "9")]),
            Some(Duration::from_millis(250))
        );
        // The clock of the server is half an hour late.
        let date = ("date", "Wed, 21 Oct 2026 06:58:00 GMT");
        assert_eq!(asked(&[("retry-after", "Wed, 21 Oct 2026 06:58:05 GMT"), date]), Some(seconds(5)));
    }

    #[test]
    fn requests_are_sent_again_only_if_the_failure_may_pass() {
        let temporary: Vec<u16> = (100..600)
            .filter(|&code| StatusCode::from_u16(code).is_ok_and(is_temporary))
            .collect();
        assert_eq!(temporary, [408, 409, 425, 429].into_iter().chain(500..600).collect::<Vec<u16>>());
    }

    #[test]
    fn a_refused_connection_passes_and_a_wrong_name_or_protocol_does_not() {
        let fails = |address: &str| crate::http::client(seconds(2)).build().unwrap().get(address).send().unwrap_err();
        assert!(is_temporary_error(&fails("http://127.0.0.1:1/")));
        assert!(!is_temporary_error(&fails("http://no-such-name.invalid/")));
        assert!(!is_temporary_error(&fails("http:///")));
        // What answers each connection, and whether that may pass.
        for (answer, passes) in [("", true), ("SSH-2.0-OpenSSH\r\n", false), ("HTTP/1.1 200 OK\r\ncontent-le", true)] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.unwrap();
                    let _ = io::Read::read(&mut stream, &mut [0; 4096]);
                    let _ = io::Write::write_all(&mut stream, answer.as_bytes());
                }
            });
            let error = fails(&format!("http://127.0.0.1:{port}/"));
            assert_eq!(is_temporary_error(&error), passes, "{answer}: {error:?}");
            if answer.starts_with("SSH") {
                let error = fails(&format!("https://127.0.0.1:{port}/"));
                assert!(!is_temporary_error(&error), "TLS: {error:?}");
            }
        }
    }
}
