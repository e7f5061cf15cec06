//! Why a remote could not do as asked, in words that say what to do.

use std::error::Error;

use object_store::client::{HttpError, HttpErrorKind};
use reqwest::StatusCode;

use crate::hash::Digest;

/// What went wrong with a remote. Never a miss: that the remote has not what was asked for is no trouble.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("there is no such bucket or folder: make it, or correct the address")]
    NoSuchPlace,
    #[error("it refuses access ({0}): check the credentials in the environment or the provider's files, and what they allow")]
    Denied(String),
    #[error(
        "there are no credentials for it: set them in the environment (docs/store.md says which), or in the provider's files; \
         `AWS_SKIP_SIGNATURE=true` reads a public bucket without any"
    )]
    NoCredentials,
    #[error("it cannot be reached ({0}): check the address and the network")]
    Unreachable(String),
    #[error("it does not answer within {0} s")]
    Slow(u64),
    #[error("it gave other bytes for {what} ({why}); they are refused")]
    OtherBytes { what: String, why: String },
    #[error("it answers: {0}")]
    Answer(String),
    /// Not the remote's fault: the disk is full, or an object here is damaged.
    #[error("{0}")]
    Here(String),
}

impl Trouble {
    /// Whether it makes no sense to ask this remote again in this run.
    pub(super) fn ends(&self) -> bool {
        !matches!(self, Self::OtherBytes { .. } | Self::Here(_))
    }

    pub(super) fn here(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Here(format!("cannot {what}: {error}"))
    }

    /// An object of this store has not the bytes that it is named after.
    pub(super) fn damaged(digest: &Digest) -> Self {
        Self::Here(format!("the object {} is damaged here, and is not sent", digest.short()))
    }

    /// What a plain server's answer says, where it is no success.
    pub(super) fn of_status(status: StatusCode) -> Option<Self> {
        match status {
            _ if status.is_success() => None,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(Self::Denied(status.to_string())),
            StatusCode::NOT_FOUND => Some(Self::NoSuchPlace),
            _ => Some(Self::Answer(status.to_string())),
        }
    }
}

/// What an error says; nothing where it says that there is no such object.
pub(super) fn of(error: &object_store::Error) -> Option<Trouble> {
    let raw = innermost(error);
    let text = xml_error(&raw).unwrap_or_else(|| raw.clone());
    let text: String = text.chars().filter(|letter| !letter.is_control()).take(200).collect();
    match error {
        // Some clients' calls make another error of it than `NotFound`.
        _ if text.contains("NoSuchBucket") => Some(Trouble::NoSuchPlace),
        _ if is_of_the_machine(error) => Some(Trouble::NoCredentials),
        object_store::Error::NotFound { .. } => None,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => Some(Trouble::Denied(text)),
        _ => Some(match cause(error).map(HttpError::kind) {
            _ if raw.starts_with("401 ") || raw.starts_with("403 ") => Trouble::Denied(text),
            Some(HttpErrorKind::Connect) => Trouble::Unreachable(text),
            Some(HttpErrorKind::Timeout) => Trouble::Slow(super::cloud::PATIENCE.as_secs()),
            _ => Trouble::Answer(text),
        }),
    }
}

/// Whether it was the service that hands credentials to a cloud's own machines which failed. It is asked where no others are found, and
/// away from the cloud there is none.
fn is_of_the_machine(error: &(dyn Error + 'static)) -> bool {
    let services = ["169.254.169.254", "metadata.google.internal"];
    chain(error)
        .map(ToString::to_string)
        .any(|text| services.iter().any(|service| text.contains(service)))
}

/// An error and what led to it, from the outside in.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The first error of the chain that is a `T`.
pub(super) fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(<dyn Error>::downcast_ref)
}

/// The last error of the chain, which says most, in one line; addresses and headers stand further outside.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let text = chain(error).last().unwrap_or(error).to_string();
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    text.trim_start_matches("Server returned non-2xx status code: ").to_owned()
}

/// `code: message` of an error as S3, Google and Azure write it; some servers leave out the message.
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

    fn generic(text: &str) -> Option<Trouble> {
        let source = std::io::Error::other(text.to_owned()).into();
        of(&object_store::Error::Generic { store: "S3", source })
    }

    #[test]
    fn what_a_server_answers_is_said_without_its_xml() {
        let answer = |code: &str| {
            format!(
                "Server returned non-2xx status code: 404 Not Found: <?xml version=\"1.0\"?>\n<Error><Code>{code}</Code>\n<Message>Please\nslow down</Message></Error>"
            )
        };
        assert_eq!(generic(&answer("NoSuchBucket")), Some(Trouble::NoSuchPlace));
        assert_eq!(
            generic(&answer("SlowDown")),
            Some(Trouble::Answer("SlowDown: Please slow down".to_owned()))
        );
        assert_eq!(
            generic("Error performing PUT http://169.254.169.254/latest/api/token in 5 s"),
            Some(Trouble::NoCredentials)
        );
        assert_eq!(generic("no <Code>x"), Some(Trouble::Answer("no <Code>x".to_owned())));
        assert_eq!(
            generic("Server returned non-2xx status code: 403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code></Error>"),
            Some(Trouble::Denied("SignatureDoesNotMatch".to_owned()))
        );
    }
}
