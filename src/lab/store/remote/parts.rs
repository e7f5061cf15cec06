//! Large files to a bucket, in parts. What was begun is written down in the store, so that after a cut the parts that are there are not
//! sent again, whichever process goes on.

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

use super::cloud::{AT_ONCE, PART, patience, within};
use super::trouble::Trouble;

/// A provider takes at most 10,000 parts.
const PARTS: u64 = 9_000;

/// A file on its way to a bucket.
pub(super) struct Sending<'a> {
    pub bucket: &'a dyn MultipartStore,
    pub to: &'a Path,
    pub file: &'a File,
    pub bytes: u64,
    /// Where it is written down what was begun; nothing where the store cannot be written, and a cut means to start again.
    pub list: Option<&'a std::path::Path>,
    /// Is told the bytes of each part that arrived.
    pub sent: &'a (dyn Fn(u64) + Sync),
}

/// An upload that was begun: the first line of its list. A line for each part that is there follows, with its number and the name that the
/// bucket gave it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Begun {
    id: String,
    /// Bytes of a part, but for the last.
    part: u64,
}

impl Sending<'_> {
    /// Sends what is missing, and makes the object of all parts.
    ///
    /// # Errors
    /// What went wrong. What arrived is kept for another attempt.
    pub async fn go(&self) -> Result<(), Trouble> {
        let part = PART.max(self.bytes.div_ceil(PARTS));
        if let Some((begun, done)) = self.list.and_then(|list| resumed(list, part)) {
            match self.finish(&begun, done).await {
                // Buckets remove what stays unfinished.
                Err(None | Some(Trouble::Answer(_))) => self.abort(&begun).await,
                ended => return ended.map_err(|trouble| trouble.unwrap_or(Trouble::NoSuchPlace)),
            }
        }
        let id = within(patience(0), self.bucket.create_multipart(self.to)).await;
        let id = id.map_err(|trouble| trouble.unwrap_or(Trouble::NoSuchPlace))?;
        let begun = Begun { id, part };
        self.note(&begun, true);
        let ended = self.finish(&begun, BTreeMap::new()).await;
        if ended.is_err() && self.list.is_none() {
            self.abort(&begun).await;
        }
        ended.map_err(|trouble| trouble.unwrap_or(Trouble::NoSuchPlace))
    }

    /// `Err(None)` says that there is no such upload.
    async fn finish(&self, begun: &Begun, mut done: BTreeMap<u64, String>) -> Result<(), Option<Trouble>> {
        let parts = self.bytes.div_ceil(begun.part);
        let missing: Vec<u64> = (0..parts).filter(|number| !done.contains_key(number)).collect();
        let sending = missing.into_iter().map(|number| async move {
            let range = number * begun.part..self.bytes.min((number + 1) * begun.part);
            let length = range.end - range.start;
            // What is read is in memory only while its part is on the way.
            let payload = read(self.file, range)?;
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            let sent = self.bucket.put_part(self.to, &begun.id, index, payload.into());
            let sent = within(patience(length), sent).await?;
            self.note(&(number, &sent.content_id), false);
            (self.sent)(length);
            Ok::<_, Option<Trouble>>((number, sent.content_id))
        });
        let mut sending = stream::iter(sending).buffer_unordered(AT_ONCE);
        // The first failure ends it: the others on their way are dropped, and sent again some time.
        while let Some(sent) = sending.next().await {
            let (number, name) = sent?;
            done.insert(number, name);
        }
        let named = done.into_values().map(|content_id| PartId { content_id }).collect();
        // The bucket puts the parts together before it answers.
        let whole = self.bucket.complete_multipart(self.to, &begun.id, named);
        within(patience(self.bytes), whole).await?;
        self.forget();
        Ok(())
    }

    /// Gives up an upload. What may be left of it costs the bucket space until its rules remove it, and nothing else.
    async fn abort(&self, begun: &Begun) {
        let _ = within(patience(0), self.bucket.abort_multipart(self.to, &begun.id)).await;
        self.forget();
    }

    /// Writes a line down. What cannot be written down is sent again after a cut, and that is all.
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

/// What was begun with parts of so many bytes, and the names of the parts that are there.
fn resumed(list: &std::path::Path, part: u64) -> Option<(Begun, BTreeMap<u64, String>)> {
    let text = std::fs::read_to_string(list).ok()?;
    // The last line may be cut off; one without its end is none.
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let begun: Begun = serde_json::from_str(lines.next()?).ok()?;
    let done = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
    (begun.part == part).then_some((begun, done))
}

fn read(file: &File, range: Range<u64>) -> Result<Bytes, Trouble> {
    let length = usize::try_from(range.end - range.start).map_err(|error| Trouble::here("read an object", error))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)
        .map_err(|error| Trouble::here("read an object", error))?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use object_store::memory::InMemory;
    use object_store::{MultipartId, ObjectStoreExt, PutPayload, PutResult, Result};

    use super::*;

    /// A bucket that takes so many parts, then fails; it notes what it is asked.
    struct Bucket {
        inner: InMemory,
        room: Mutex<usize>,
        asked: Mutex<Vec<String>>,
    }

    impl Bucket {
        fn note(&self, asked: impl Into<String>) {
            self.asked.lock().unwrap().push(asked.into());
        }

        /// What it was asked since the last time, sorted: parts go at once.
        fn asked(&self) -> Vec<String> {
            let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
            asked.sort();
            asked
        }
    }

    #[async_trait::async_trait]
    impl MultipartStore for Bucket {
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
    fn what_arrived_is_not_sent_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..3 * PART + 7).map(|byte| (byte % 251) as u8).collect();
        let path = folder.path().join("object");
        std::fs::write(&path, &content).unwrap();
        let (file, list, to) = (File::open(&path).unwrap(), folder.path().join("list"), Path::from("object"));
        let bucket = Bucket {
            inner: InMemory::new(),
            room: Mutex::new(2),
            asked: Mutex::default(),
        };
        let arrived = Mutex::new(0);
        let sent = |bytes| *arrived.lock().unwrap() += bytes;
        let sending = Sending {
            bucket: &bucket,
            to: &to,
            file: &file,
            bytes: content.len() as u64,
            list: Some(&list),
            sent: &sent,
        };
        let go = || runtime.block_on(sending.go());
        assert!(matches!(go(), Err(Trouble::Answer(_))));
        let there = resumed(&list, PART).unwrap().1;
        assert_eq!(there.keys().copied().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(bucket.asked(), ["create", "part 0", "part 1", "part 2"]);
        // A line that was cut off is none.
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
        // What was begun and is not there any more begins anew.
        let lines = format!("{{\"id\":\"gone\",\"part\":{PART}}}\n[0,\"x\"]\n");
        std::fs::write(&list, lines).unwrap();
        go().unwrap();
        let mut asked = bucket.asked();
        asked.dedup();
        assert_eq!(asked, ["abort", "create", "part 0", "part 1", "part 2", "part 3", "whole"]);
        assert!(read() == content && !list.exists());
    }
}
