//! The log of a stage, as server-sent events: its end, and what is added to it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use hyper::body::Frame;
use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::board::{LoggedStage, Logs};
use super::events::{HEARTBEAT, StreamFrame, event};
use crate::cli::look::follow::LogLines;
use lab::event::StageName;
use lab::runs::{FoundLog, found_log};

/// The time between two looks at a log, and between two looks for one.
const INTERVAL: Duration = Duration::from_millis(300);
const FIND_INTERVAL: Duration = Duration::from_secs(2);

/// Of a long log, so many bytes at its end are shown, and so many are read at once.
const TAIL: u64 = 1 << 16;

/// The log of one stage for one client.
struct Tail {
    logs: Arc<Logs>,
    stage: StageName,
    found: Option<FoundLog>,
    looked: Option<Instant>,
    file: Option<File>,
    lines: LogLines,
    /// Whether the first line that is read is only the end of one.
    is_cut: bool,
    told: Instant,
}

/// The log of a stage; `None` if the experiment has no such stage.
pub(super) fn tail(logs: &Arc<Logs>, stage: StageName) -> Option<impl Stream<Item = StreamFrame> + Send + use<>> {
    let hidden = logs.stages.get(&stage)?.hidden.clone();
    let tail = Tail {
        logs: Arc::clone(logs),
        stage,
        found: None,
        looked: None,
        file: None,
        lines: LogLines::new(hidden),
        is_cut: false,
        told: Instant::now(),
    };
    Some(unfold(tail, |tail| async move {
        let (text, tail) = next(tail).await?;
        Some((Ok(Frame::data(Bytes::from(text))), tail))
    }))
}

/// The next events, as soon as there are any.
async fn next(mut tail: Tail) -> Option<(String, Tail)> {
    loop {
        // Files may be slow: others are not to wait for them.
        let (text, same) = spawn_blocking(move || (tail.news(), tail)).await.ok()?;
        tail = same;
        if !text.is_empty() {
            tail.told = Instant::now();
            return Some((text, tail));
        }
        if tail.told.elapsed() >= HEARTBEAT {
            tail.told = Instant::now();
            return Some((":\n\n".to_owned(), tail));
        }
        sleep(INTERVAL).await;
    }
}

impl Tail {
    fn news(&mut self) -> String {
        let mut events = String::new();
        if self.looked.is_none_or(|looked| looked.elapsed() >= FIND_INTERVAL) {
            self.looked = Some(Instant::now());
            let found = self.find();
            let path = |found: &Option<FoundLog>| found.as_ref().map(|found| found.path.clone());
            if path(&found) != path(&self.found)
                && let Some(found) = &found
            {
                self.open(found.path.clone());
                events = event("begin", &Value::from(found.run.as_str()).to_string());
            }
            self.found = found.or(self.found.take());
        }
        let text = self.read();
        if !text.is_empty() {
            events += &event("text", &Value::from(text).to_string());
        }
        events
    }

    fn find(&self) -> Option<FoundLog> {
        let Logs {
            store, file, experiment, ..
        } = self.logs.as_ref();
        let LoggedStage { record, .. } = self.logs.stages.get(&self.stage)?;
        found_log(store, file, experiment, &self.stage, None, None).or_else(|| {
            let (key, run) = record.as_ref()?;
            found_log(store, file, experiment, &self.stage, Some(run), Some(key))
        })
    }

    /// Begins near the end of a log.
    fn open(&mut self, path: PathBuf) {
        self.lines.rest();
        self.file = File::open(path).ok();
        let Some(file) = &mut self.file else { return };
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        self.is_cut = size > TAIL && file.seek(SeekFrom::Start(size - TAIL)).is_ok();
    }

    /// The lines that have come since.
    fn read(&mut self) -> String {
        let Some(file) = &mut self.file else { return String::new() };
        let mut bytes = Vec::new();
        if file.take(TAIL).read_to_end(&mut bytes).is_err() {
            return String::new();
        }
        let is_running = self.found.as_ref().is_some_and(|found| found.is_running);
        if bytes.is_empty() {
            return if is_running { self.lines.bar() } else { self.lines.rest() };
        }
        let text = self.lines.add(&bytes);
        if std::mem::take(&mut self.is_cut) {
            return text.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned());
        }
        text
    }
}
