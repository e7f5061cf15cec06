//! One request to a bucket or server, with a time limit.

use std::future::Future;
use std::time::Duration;

use super::error::{self, RemoteError};

/// Waits for an answer, at most for `timeout`. `Err(None)` means that the remote does not have the object.
pub(super) async fn within<T>(timeout: Duration, request: impl Future<Output = object_store::Result<T>>) -> Result<T, Option<RemoteError>> {
    match tokio::time::timeout(timeout, request).await {
        Err(_) => Err(Some(RemoteError::Slow(timeout.as_secs()))),
        Ok(answer) => answer.map_err(|error| error::from_object_store(&error)),
    }
}
