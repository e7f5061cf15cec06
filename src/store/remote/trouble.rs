//! Why a remote could not do as asked, in words that say what to do.

use object_store::client::{HttpError, HttpErrorKind};

/// What went wrong with a remote. Never a miss: that the remote has not what was asked for is no trouble.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("there is no such bucket or folder: make it, or correct the address")]
    NoSuchPlace,
    #[error("it refuses access ({0}): check the credentials in the environment or the provider's files, and what they allow")]
    Denied(String),
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
}

/// What an error says; nothing where it says that there is no such object.
pub(super) fn of(error: &object_store::Error) -> Option<Trouble> {
    let text = innermost(error);
    match error {
        object_store::Error::NotFound { .. } if text.contains("NoSuchBucket") => Some(Trouble::NoSuchPlace),
        object_store::Error::NotFound { .. } => None,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => Some(Trouble::Denied(text)),
        _ => Some(match transport(error) {
            Some(HttpErrorKind::Connect) => Trouble::Unreachable(text),
            Some(HttpErrorKind::Timeout) => Trouble::Slow(super::cloud::PATIENCE.as_secs()),
            _ => Trouble::Answer(text),
        }),
    }
}

fn transport(error: &(dyn std::error::Error + 'static)) -> Option<HttpErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        next = error.source();
    }
    None
}

/// The last error of the chain, which says most, in one line of moderate length; addresses and headers stand further outside.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let text = last.to_string();
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    let text = text.trim_start_matches("Server returned non-2xx status code: ");
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}
