//! Errors of remotes, with messages that tell the user what to do.

use std::error::Error;

use object_store::client::{HttpError, HttpErrorKind};
use reqwest::StatusCode;

use super::limits::RESPONSE_TIMEOUT;
use crate::hash::Digest;
use crate::http;

/// A remote failed. That a remote does not have a record or an object is not an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    #[error("no such bucket or folder: create it, or correct the address")]
    NoSuchPlace,
    #[error("it refuses access ({0}): check the credentials in the environment or the provider's files, and their permissions")]
    Denied(String),
    #[error(
        "it has no credentials: set them in the environment (docs/store.md lists the variables), or in the provider's files; \
         `AWS_SKIP_SIGNATURE=true` reads a public bucket without credentials"
    )]
    NoCredentials,
    #[error("it cannot be reached ({0}): check the address and the network")]
    Unreachable(String),
    #[error("no answer within {0} s")]
    Slow(u64),
    #[error("it sent other bytes for {what} ({why}); they are refused")]
    OtherBytes { what: String, why: String },
    #[error("it answers: {0}")]
    Answer(String),
    /// A problem on this side: the disk is full, or an object is damaged.
    #[error("{0}")]
    Here(String),
}

impl RemoteError {
    /// Whether the rest of the run must do without this remote.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self, Self::OtherBytes { .. } | Self::Here(_))
    }

    /// Something failed on this side.
    pub(super) fn here(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Here(format!("cannot {what}: {error}"))
    }

    /// An object of this store does not match its digest.
    pub(super) fn damaged(digest: &Digest) -> Self {
        Self::Here(format!("the object {} is damaged here, and was not sent", digest.short()))
    }

    /// The error of a plain server's status; `None` if it is a success.
    pub(super) fn from_status(status: StatusCode) -> Option<Self> {
        match status {
            _ if status.is_success() => None,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(Self::Denied(status.to_string())),
            StatusCode::NOT_FOUND => Some(Self::NoSuchPlace),
            _ => Some(Self::Answer(status.to_string())),
        }
    }
}

/// Converts the error of a bucket's client; `None` if the object does not exist.
pub(super) fn from_object_store(error: &object_store::Error) -> Option<RemoteError> {
    let raw = cause_line(error);
    let text = xml_error(&raw).unwrap_or_else(|| raw.clone());
    let text: String = text.chars().filter(|letter| !letter.is_control()).take(200).collect();
    match error {
        // Some clients do not return `NotFound` for it.
        _ if text.contains("NoSuchBucket") => Some(RemoteError::NoSuchPlace),
        _ if is_metadata_service(error) => Some(RemoteError::NoCredentials),
        object_store::Error::NotFound { .. } => None,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => Some(RemoteError::Denied(text)),
        _ => Some(match find_cause(error).map(HttpError::kind) {
            _ if raw.starts_with("401 ") || raw.starts_with("403 ") => RemoteError::Denied(text),
            Some(HttpErrorKind::Connect) => RemoteError::Unreachable(text),
            Some(HttpErrorKind::Timeout) => RemoteError::Slow(RESPONSE_TIMEOUT.as_secs()),
            _ => RemoteError::Answer(text),
        }),
    }
}

/// Whether the service failed that gives credentials to a cloud's own machines. It is the last resort of the clients, and outside the
/// cloud it does not exist.
fn is_metadata_service(error: &(dyn Error + 'static)) -> bool {
    let services = ["169.254.169.254", "metadata.google.internal"];
    http::causes(error)
        .map(ToString::to_string)
        .any(|text| services.iter().any(|service| text.contains(service)))
}

/// The first cause that is a `T`.
pub(super) fn find_cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    http::causes(error).find_map(<dyn Error>::downcast_ref)
}

/// The innermost cause in one line. The outer errors repeat addresses and headers.
pub(super) fn cause_line(error: &(dyn Error + 'static)) -> String {
    let text = http::cause(error);
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    text.trim_start_matches("Server returned non-2xx status code: ").to_owned()
}

/// `code: message` of an XML error of S3, Google or Azure. Some servers leave out the message.
fn xml_error(text: &str) -> Option<String> {
    let between = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once(&format!("</{tag}>"))?.0.trim())
    };
    let (code, message) = (between("Code")?, between("Message"));
    Some(message.map_or_else(|| code.to_owned(), |message| format!("{code}: {message}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Option<RemoteError> {
        let source = std::io::Error::other(text.to_owned()).into();
        from_object_store(&object_store::Error::Generic { store: "S3", source })
    }

    #[test]
    fn a_server_s_error_is_shown_without_its_xml() {
        let answer = |code: &str| {
            format!(
                "Server returned non-2xx status code: 404 Not Found: <?xml version=\"1.0\"?>\n<Error><Code>{code}</Code>\n<Message>Please\nslow down</Message></Error>"
            )
        };
        assert_eq!(generic(&answer("NoSuchBucket")), Some(RemoteError::NoSuchPlace));
        assert_eq!(
            generic(&answer("SlowDown")),
            Some(RemoteError::Answer("SlowDown: Please slow down".to_owned()))
        );
        assert_eq!(
            generic("Error performing PUT http://169.254.169.254/latest/api/token in 5 s"),
            Some(RemoteError::NoCredentials)
        );
        assert_eq!(generic("no <Code>x"), Some(RemoteError::Answer("no <Code>x".to_owned())));
        assert_eq!(
            generic("Server returned non-2xx status code: 403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code></Error>"),
            Some(RemoteError::Denied("SignatureDoesNotMatch".to_owned()))
        );
    }
}
