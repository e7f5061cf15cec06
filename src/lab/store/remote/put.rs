//! Large files to a plain server, each in one PUT request. A file is read once and hashed while it is sent. The last bytes are sent only
//! if the digest is right, so that a server never has a complete damaged file, and discards the incomplete one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::path::Path;
use url::Url;

use super::error::{self, RemoteError};
use super::limits::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT, transfer_timeout};
use crate::hash::Digest;

/// The bytes passed to the connection at once: few enough to stay in the processor's caches between hashing and sending.
const CHUNK_SIZE: usize = 256 << 10;

/// How often the progress of the transfer is checked.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// The body of a request that hashes the content while it is sent.
struct HashedBody {
    left: Bytes,
    hasher: blake3::Hasher,
    digest: Digest,
    /// Bytes that the connection has accepted.
    taken: Arc<AtomicU64>,
}

/// The content does not have the expected digest, so the body ends early.
#[derive(Debug, thiserror::Error)]
#[error("other bytes than those of the digest")]
struct WrongContent;

impl Body for HashedBody {
    type Data = Bytes;
    type Error = WrongContent;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WrongContent>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.left.len().min(CHUNK_SIZE);
        let slice = self.left.split_to(length);
        self.hasher.update(&slice);
        if self.left.is_empty() && self.hasher.finalize() != *self.digest.as_bytes() {
            return Poll::Ready(Some(Err(WrongContent)));
        }
        self.taken.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

/// Uploads `content` to the path `to` below `url`. `sent` is called with the number of bytes that the connection has accepted since the
/// last call.
///
/// # Errors
/// If the server fails, or the content has another digest; then `to` is unchanged. The request is not retried: the next push does that.
pub(super) async fn put(url: &Url, to: &Path, digest: &Digest, content: Bytes, sent: &(dyn Fn(u64) + Sync)) -> Result<(), RemoteError> {
    crate::http::choose_cryptography();
    let client = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).build();
    let client = client.map_err(|error| RemoteError::Here(error.to_string()))?;
    let bytes = content.len() as u64;
    let taken = Arc::default();
    let body = HashedBody {
        left: content,
        hasher: blake3::Hasher::new(),
        digest: *digest,
        taken: Arc::clone(&taken),
    };
    let address = format!("{}/{to}", url.as_str().trim_end_matches('/'));
    let mut answer = std::pin::pin!(client.put(address).body(reqwest::Body::wrap(body)).send());
    let (mut reported, mut silence) = (0, Duration::ZERO);
    loop {
        let ended = tokio::time::timeout(PROGRESS_INTERVAL, answer.as_mut()).await;
        let more = taken.load(Ordering::Relaxed) - reported;
        reported += more;
        sent(more);
        match ended {
            Ok(Ok(answer)) => return RemoteError::from_status(answer.status()).map_or(Ok(()), Err),
            Ok(Err(error)) if error::find_cause::<WrongContent>(&error).is_some() => return Err(RemoteError::damaged(digest)),
            Ok(Err(error)) if error.is_connect() => return Err(RemoteError::Unreachable(error::cause_line(&error))),
            Ok(Err(error)) => return Err(RemoteError::Answer(error::cause_line(&error))),
            Err(_) => silence = if more > 0 { Duration::ZERO } else { silence + PROGRESS_INTERVAL },
        }
        // A server that has received everything may have to copy it to another disk before it answers.
        let allowed = if reported == bytes {
            transfer_timeout(bytes)
        } else {
            RESPONSE_TIMEOUT
        };
        if silence >= allowed {
            return Err(RemoteError::Slow(allowed.as_secs()));
        }
    }
}
