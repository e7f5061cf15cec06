//! Large files to a plain server, which takes each as one. They are read once: hashed on their way, and the last bytes are kept back until the digest is
//! known to be right. So a server never has a damaged file whole, and throws away what it has of it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::path::Path;
use url::Url;

use super::cloud::{CONNECT, PATIENCE, patience};
use super::trouble::{self, Trouble};
use crate::hash::Digest;

/// What is handed to the connection at once: little enough to stay in the processor's caches between hashing and sending.
const SLICE: usize = 256 << 10;

/// How often it is looked whether bytes still go.
const TICK: Duration = Duration::from_millis(500);

/// A file's content on its way.
struct Content {
    left: Bytes,
    hasher: blake3::Hasher,
    digest: Digest,
    /// Bytes that the connection took.
    taken: Arc<AtomicU64>,
}

/// Why a content ends early.
#[derive(Debug, thiserror::Error)]
#[error("other bytes than those of the digest")]
struct Damaged;

impl Body for Content {
    type Data = Bytes;
    type Error = Damaged;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Damaged>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.left.len().min(SLICE);
        let slice = self.left.split_to(length);
        self.hasher.update(&slice);
        if self.left.is_empty() && self.hasher.finalize() != *self.digest.as_bytes() {
            return Poll::Ready(Some(Err(Damaged)));
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

/// Puts `content` at `to` below `url`; `sent` is told the bytes that the connection took.
///
/// # Errors
/// What went wrong, with the server or because the content has another digest; then nothing is at `to` that was not there before. It is not
/// tried again: that is for the next push.
pub(super) async fn put(url: &Url, to: &Path, digest: &Digest, content: Bytes, sent: &(dyn Fn(u64) + Sync)) -> Result<(), Trouble> {
    crate::http::choose_cryptography();
    let client = reqwest::Client::builder().connect_timeout(CONNECT).build();
    let client = client.map_err(|error| Trouble::Here(error.to_string()))?;
    let bytes = content.len() as u64;
    let taken = Arc::default();
    let content = Content {
        left: content,
        hasher: blake3::Hasher::new(),
        digest: *digest,
        taken: Arc::clone(&taken),
    };
    let address = format!("{}/{to}", url.as_str().trim_end_matches('/'));
    let mut answer = std::pin::pin!(client.put(address).body(reqwest::Body::wrap(content)).send());
    let (mut told, mut silence) = (0, Duration::ZERO);
    loop {
        let ended = tokio::time::timeout(TICK, answer.as_mut()).await;
        let more = taken.load(Ordering::Relaxed) - told;
        told += more;
        sent(more);
        match ended {
            Ok(Ok(answer)) => return Trouble::of_status(answer.status()).map_or(Ok(()), Err),
            Ok(Err(error)) if trouble::cause::<Damaged>(&error).is_some() => return Err(Trouble::damaged(digest)),
            Ok(Err(error)) if error.is_connect() => return Err(Trouble::Unreachable(trouble::innermost(&error))),
            Ok(Err(error)) => return Err(Trouble::Answer(trouble::innermost(&error))),
            Err(_) => silence = if more > 0 { Duration::ZERO } else { silence + TICK },
        }
        // A server that has all may have to bring it to another disk before it answers.
        let allowed = if told == bytes { patience(bytes) } else { PATIENCE };
        if silence >= allowed {
            return Err(Trouble::Slow(allowed.as_secs()));
        }
    }
}
