//! Uploads during a run: a thread uploads the stages that have ended, and the run waits for it only at its own end.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Remotes;
use crate::hash::Digest;
use crate::store::Store;

/// Stages that may wait. `runner cache push` can upload the others later.
const QUEUE_LENGTH: usize = 4096;

/// How often the end of a run checks for an interrupt.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The result of a run's uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadSummary {
    /// Stages that ran.
    pub of: usize,
    /// Those that all remotes have now.
    pub stages: usize,
    pub bytes: u64,
    /// The reasons why the others are missing, each once.
    pub failed: Vec<String>,
}

/// The uploads of one run.
pub struct Uploads {
    queue: SyncSender<Digest>,
    ended: Receiver<UploadSummary>,
    thread: JoinHandle<()>,
    of: usize,
}

impl Uploads {
    /// Starts the thread.
    pub fn start(remotes: Remotes, store: Store) -> Self {
        let (queue, waiting) = sync_channel(QUEUE_LENGTH);
        let (end, ended) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let mut all = UploadSummary::default();
            while let Ok(first) = waiting.recv() {
                let keys: Vec<Digest> = std::iter::once(first).chain(waiting.try_iter().take(31)).collect();
                let pushed = remotes.push(&store, &keys, &mut |_| ());
                all.stages += pushed.stages;
                all.bytes += pushed.bytes;
                for why in pushed.failed {
                    if !all.failed.contains(&why) {
                        all.failed.push(why);
                    }
                }
            }
            // Nobody listens after an interrupt.
            let _ = end.send(all);
        });
        Self {
            queue,
            ended,
            thread,
            of: 0,
        }
    }

    /// Queues the stage `key`, whose record is in the store, for upload.
    pub fn add(&mut self, key: Digest) {
        self.of += 1;
        // If the queue is full, the stage is left to `runner cache push`: the count shows that it is missing.
        let _ = self.queue.try_send(key);
    }

    /// Waits for the uploads, until `stop` returns true.
    pub fn finish(self, stop: impl Fn() -> bool, mut tick: impl FnMut()) -> UploadSummary {
        drop(self.queue);
        let mut all = loop {
            match self.ended.recv_timeout(STOP_CHECK_INTERVAL) {
                Ok(all) => {
                    // The thread sends the summary last.
                    let _ = self.thread.join();
                    break all;
                }
                Err(RecvTimeoutError::Timeout) if !stop() => tick(),
                Err(_) => {
                    break UploadSummary {
                        failed: vec!["the run ended before".to_owned()],
                        ..UploadSummary::default()
                    };
                }
            }
        };
        all.of = self.of;
        if all.stages < all.of && all.failed.is_empty() {
            all.failed.push("too many stages ended at once".to_owned());
        }
        all
    }
}
