//! Uploads beside a run: a thread takes the stages that ended, and the run never waits for it before its own end.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Remotes;
use crate::hash::Digest;
use crate::store::Store;

/// Stages that may wait; more are left for `runner cache push`.
const QUEUE: usize = 4096;

/// How often the end of a run looks whether it was interrupted.
const LOOK: Duration = Duration::from_millis(100);

/// What came of a run's uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uploaded {
    /// Stages that ran.
    pub of: usize,
    /// Those that all remotes have.
    pub stages: usize,
    pub bytes: u64,
    /// Why the others are missing, each reason once.
    pub failed: Vec<String>,
}

/// The uploads of one run.
pub struct Uploads {
    queue: SyncSender<Digest>,
    ended: Receiver<Uploaded>,
    thread: JoinHandle<()>,
    of: usize,
}

impl Uploads {
    /// Starts the thread.
    pub fn start(remotes: Remotes, store: Store) -> Self {
        let (queue, waiting) = sync_channel(QUEUE);
        let (end, ended) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let mut all = Uploaded::default();
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

    /// Uploads the stage `key`, whose record is in the store, sometime.
    pub fn add(&mut self, key: Digest) {
        self.of += 1;
        // A full queue leaves the stage to `runner cache push`: the count says that it is missing.
        let _ = self.queue.try_send(key);
    }

    /// Waits for what is under way, unless `stop` says that there is no time.
    pub fn finish(self, stop: impl Fn() -> bool, mut tick: impl FnMut()) -> Uploaded {
        drop(self.queue);
        let mut all = loop {
            match self.ended.recv_timeout(LOOK) {
                Ok(all) => {
                    // It has said its last word.
                    let _ = self.thread.join();
                    break all;
                }
                Err(RecvTimeoutError::Timeout) if !stop() => tick(),
                Err(_) => {
                    break Uploaded {
                        failed: vec!["the run ended before".to_owned()],
                        ..Uploaded::default()
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
