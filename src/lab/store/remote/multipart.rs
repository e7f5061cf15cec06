//! Large files to a bucket, in parts. A list in the store says which upload was begun and which parts have arrived, so that after an
//! interruption no process sends these parts again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::error::RemoteError;
use super::limits::{PART_SIZE, PARTS_AT_ONCE, transfer_timeout};
use super::request::within;

/// Providers allow at most 10,000 parts.
const MAX_PARTS: u64 = 9_000;

/// The upload of one file to a bucket.
pub(super) struct MultipartUpload<'a> {
    pub bucket: &'a dyn MultipartStore,
    pub to: &'a Path,
    pub file: &'a File,
    pub bytes: u64,
    /// The file that lists the begun upload and its parts. `None` if the store cannot be written: an interrupted upload then starts again.
    pub list: Option<&'a std::path::Path>,
    /// Called with the size of each part that arrived.
    pub sent: &'a (dyn Fn(u64) + Sync),
}

/// An upload that was begun: the first line of its list. One line follows for each part that has arrived, with its number and the name
/// that the bucket gave it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct BegunUpload {
    id: String,
    /// The size of every part except the last.
    part: u64,
}

impl MultipartUpload<'_> {
    /// Sends the missing parts and completes the object.
    ///
    /// # Errors
    /// If a part or the completion fails. The parts that arrived are kept for another attempt.
    pub async fn run(&self) -> Result<(), RemoteError> {
        let part = PART_SIZE.max(self.bytes.div_ceil(MAX_PARTS));
        if let Some((begun, done)) = self.list.and_then(|list| read_list(list, part)) {
            match self.finish(&begun, done).await {
                // Buckets remove unfinished uploads after a while.
                Err(None | Some(RemoteError::Answer(_))) => self.abort(&begun).await,
                ended => return ended.map_err(|error| error.unwrap_or(RemoteError::NoSuchPlace)),
            }
        }
        let id = within(transfer_timeout(0), self.bucket.create_multipart(self.to)).await;
        let id = id.map_err(|error| error.unwrap_or(RemoteError::NoSuchPlace))?;
        let begun = BegunUpload { id, part };
        self.note(&begun, true);
        let ended = self.finish(&begun, BTreeMap::new()).await;
        if ended.is_err() && self.list.is_none() {
            self.abort(&begun).await;
        }
        ended.map_err(|error| error.unwrap_or(RemoteError::NoSuchPlace))
    }

    /// `Err(None)` means that the bucket knows no such upload.
    async fn finish(&self, begun: &BegunUpload, mut done: BTreeMap<u64, String>) -> Result<(), Option<RemoteError>> {
        let parts = self.bytes.div_ceil(begun.part);
        let missing: Vec<u64> = (0..parts).filter(|number| !done.contains_key(number)).collect();
        let sending = missing.into_iter().map(|number| async move {
            let range = number * begun.part..self.bytes.min((number + 1) * begun.part);
            let length = range.end - range.start;
            // A part is in memory only while it is being sent.
            let payload = read_range(self.file, range)?;
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            let sent = self.bucket.put_part(self.to, &begun.id, index, payload.into());
            let sent = within(transfer_timeout(length), sent).await?;
            self.note(&(number, &sent.content_id), false);
            (self.sent)(length);
            Ok::<_, Option<RemoteError>>((number, sent.content_id))
        });
        let mut sending = stream::iter(sending).buffer_unordered(PARTS_AT_ONCE);
        // The first failure ends the upload: the other parts in transfer are dropped, and sent again by another attempt.
        while let Some(sent) = sending.next().await {
            let (number, name) = sent?;
            done.insert(number, name);
        }
        let named = done.into_values().map(|content_id| PartId { content_id }).collect();
        // The bucket puts the parts together before it answers.
        let whole = self.bucket.complete_multipart(self.to, &begun.id, named);
        within(transfer_timeout(self.bytes), whole).await?;
        self.forget();
        Ok(())
    }

    /// Aborts an upload. If that fails, its parts cost space until the bucket's own rules remove them.
    async fn abort(&self, begun: &BegunUpload) {
        let _ = within(transfer_timeout(0), self.bucket.abort_multipart(self.to, &begun.id)).await;
        self.forget();
    }

    /// Appends a line to the list. If it cannot be written, the part is sent again after an interruption.
    fn note(&self, line: &impl Serialize, is_first: bool) {
        let write = |list: &std::path::Path| -> io::Result<()> {
            let line = serde_json::to_string(line)? + "\n";
            let mut options = File::options();
            options.create(is_first).write(true).truncate(is_first).append(!is_first);
            options.open(list)?.write_all(line.as_bytes())
        };
        let _ = self.list.map(write);
    }

    fn forget(&self) {
        let _ = self.list.map(std::fs::remove_file);
    }
}

/// The begun upload in the list, if its parts have this size, and the names of the parts that have arrived.
fn read_list(list: &std::path::Path, part: u64) -> Option<(BegunUpload, BTreeMap<u64, String>)> {
    let text = std::fs::read_to_string(list).ok()?;
    // The last line may be incomplete; a line without its end does not count.
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let begun: BegunUpload = serde_json::from_str(lines.next()?).ok()?;
    let done = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
    (begun.part == part).then_some((begun, done))
}

fn read_range(file: &File, range: Range<u64>) -> Result<Bytes, RemoteError> {
    let length = usize::try_from(range.end - range.start).map_err(|error| RemoteError::here("read an object", error))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)
        .map_err(|error| RemoteError::here("read an object", error))?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use object_store::memory::InMemory;
    use object_store::{MultipartId, ObjectStoreExt, PutPayload, PutResult, Result};

    use super::*;

    /// A bucket that accepts `room` parts, then fails; it lists the requests that it gets.
    struct LimitedBucket {
        inner: InMemory,
        room: Mutex<usize>,
        asked: Mutex<Vec<String>>,
    }

    impl LimitedBucket {
        fn note(&self, asked: impl Into<String>) {
            self.asked.lock().unwrap().push(asked.into());
        }

        /// The requests since the last call, sorted, because parts are sent in parallel.
        fn asked(&self) -> Vec<String> {
            let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
            asked.sort();
            asked
        }
    }

    #[async_trait::async_trait]
    impl MultipartStore for LimitedBucket {
        async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
            self.note("create");
            self.inner.create_multipart(path).await
        }

        async fn put_part(&self, path: &Path, id: &MultipartId, number: usize, data: PutPayload) -> Result<PartId> {
            self.note(format!("part {number}"));
            {
                let mut room = self.room.lock().unwrap();
                *room = room.checked_sub(1).ok_or(object_store::Error::NotImplemented {
                    operation: "more".to_owned(),
                    implementer: "test".to_owned(),
                })?;
            }
            self.inner.put_part(path, id, number, data).await
        }

        async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
            self.note("whole");
            self.inner.complete_multipart(path, id, parts).await
        }

        async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
            self.note("abort");
            self.inner.abort_multipart(path, id).await
        }
    }

    #[test]
    fn parts_that_arrived_are_not_sent_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..3 * PART_SIZE + 7).map(|byte| (byte % 251) as u8).collect();
        let path = folder.path().join("object");
        std::fs::write(&path, &content).unwrap();
        let (file, list, to) = (File::open(&path).unwrap(), folder.path().join("list"), Path::from("object"));
        let bucket = LimitedBucket {
            inner: InMemory::new(),
            room: Mutex::new(2),
            asked: Mutex::default(),
        };
        let arrived = Mutex::new(0);
        let sent = |bytes| *arrived.lock().unwrap() += bytes;
        let upload = MultipartUpload {
            bucket: &bucket,
            to: &to,
            file: &file,
            bytes: content.len() as u64,
            list: Some(&list),
            sent: &sent,
        };
        let go = || runtime.block_on(upload.run());
        assert!(matches!(go(), Err(RemoteError::Answer(_))));
        let there = read_list(&list, PART_SIZE).unwrap().1;
        assert_eq!(there.keys().copied().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(bucket.asked(), ["create", "part 0", "part 1", "part 2"]);
        // An incomplete line does not count.
        File::options().append(true).open(&list).unwrap().write_all(b"[2,\"").unwrap();
        *bucket.room.lock().unwrap() = 9;
        go().unwrap();
        assert_eq!(bucket.asked(), ["part 2", "part 3", "whole"]);
        assert_eq!(*arrived.lock().unwrap(), content.len() as u64);
        let read = || {
            let read = async { bucket.inner.get(&to).await.unwrap().bytes().await.unwrap() };
            runtime.block_on(read)
        };
        assert!(read() == content && !list.exists());
        // An upload that the bucket does not know any more begins again.
        let lines = format!("{{\"id\":\"gone\",\"part\":{PART_SIZE}}}\n[0,\"x\"]\n");
        std::fs::write(&list, lines).unwrap();
        go().unwrap();
        let mut asked = bucket.asked();
        asked.dedup();
        assert_eq!(asked, ["abort", "create", "part 0", "part 1", "part 2", "part 3", "whole"]);
        assert!(read() == content && !list.exists());
    }
}
