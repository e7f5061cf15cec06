//! Fetching and checking inputs, in one thread beside the run.
//!
//! Inputs that only a remote has are fetched before their stage starts. The inputs of a failed stage are hashed again, since it may have
//! read damaged bytes. The thread takes one request after the other, in the order in which stages became ready: the most urgent first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use crate::event::{FailureCause, Progress};
use crate::store::remote::{FetchSummary, Remotes};
use crate::store::{Artifact, Store, StoreError};

/// A request to the thread, for one stage.
enum InputRequest {
    Fetch(Vec<Artifact>),
    Check(Vec<Artifact>),
}

/// A message from the thread.
enum InputReply {
    Progressed(Progress),
    Fetched {
        fetched: Result<FetchSummary, StoreError>,
        seconds: f64,
    },
    /// Damaged inputs have been removed from the store.
    Checked,
}

/// The failure of a stage, kept until its inputs are checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StageFailure {
    pub(super) error: String,
    pub(super) seconds: f64,
    pub(super) cause: FailureCause,
}

/// An event for the run.
pub(super) enum InputNews {
    Progressed(Progress),
    /// The fetch of a stage's inputs has ended.
    Fetched {
        fetched: Result<FetchSummary, StoreError>,
        seconds: f64,
    },
    /// The check of a failed stage's inputs has ended.
    Checked(StageFailure),
}

/// Fetches and checks inputs.
pub(super) struct InputWorker {
    remotes: Remotes,
    store: Store,
    /// Started by the first request.
    thread: Option<InputThread>,
    fetching: BTreeSet<usize>,
    failures: BTreeMap<usize, StageFailure>,
    /// The stages whose inputs have been fetched as far as a remote had them, and which have not started since.
    fetched: BTreeSet<usize>,
}

/// The two ends of the channels to the thread, which ends when they are dropped.
struct InputThread {
    requests: Sender<(usize, InputRequest)>,
    replies: Receiver<(usize, InputReply)>,
}

impl InputWorker {
    pub(super) fn new(remotes: Remotes, store: Store) -> Self {
        Self {
            remotes,
            store,
            thread: None,
            fetching: BTreeSet::new(),
            failures: BTreeMap::new(),
            fetched: BTreeSet::new(),
        }
    }

    /// Whether a stage waits for the thread.
    pub(super) fn is_busy(&self) -> bool {
        !(self.fetching.is_empty() && self.failures.is_empty())
    }

    /// Whether the inputs of the stage are being fetched.
    pub(super) fn is_fetching(&self, index: usize) -> bool {
        self.fetching.contains(&index)
    }

    /// Whether the inputs of the stage may have to be fetched: only once for each start of the stage, and only from a remote.
    pub(super) fn may_fetch(&mut self, index: usize) -> bool {
        !self.fetched.remove(&index) && !self.remotes.is_empty()
    }

    /// Fetches the inputs of a stage.
    pub(super) fn fetch(&mut self, index: usize, artifacts: Vec<Artifact>) {
        self.fetching.insert(index);
        self.request(index, InputRequest::Fetch(artifacts));
    }

    /// The stage can start with the inputs that were fetched.
    pub(super) fn mark_fetched(&mut self, index: usize) {
        self.fetched.insert(index);
    }

    /// Hashes the inputs of a failed stage again.
    pub(super) fn check(&mut self, index: usize, artifacts: Vec<Artifact>, failure: StageFailure) {
        self.failures.insert(index, failure);
        self.request(index, InputRequest::Check(artifacts));
    }

    /// The next news, if there is any.
    pub(super) fn next(&mut self) -> Option<(usize, InputNews)> {
        loop {
            let (index, reply) = self.thread.as_ref()?.replies.try_recv().ok()?;
            let news = match reply {
                InputReply::Progressed(progress) => InputNews::Progressed(progress),
                InputReply::Fetched { fetched, seconds } => {
                    self.fetching.remove(&index);
                    InputNews::Fetched { fetched, seconds }
                }
                InputReply::Checked => match self.failures.remove(&index) {
                    Some(failure) => InputNews::Checked(failure),
                    None => continue,
                },
            };
            return Some((index, news));
        }
    }

    fn request(&mut self, index: usize, request: InputRequest) {
        let start = || InputThread::start(self.remotes.clone(), self.store.clone());
        // The thread lives as long as this sender.
        let _ = self.thread.get_or_insert_with(start).requests.send((index, request));
    }
}

impl InputThread {
    fn start(remotes: Remotes, store: Store) -> Self {
        let (requests, incoming) = channel();
        let (outgoing, replies) = channel();
        std::thread::spawn(move || {
            for (index, request) in incoming {
                // Sending fails only when the run has ended; then nobody needs the reply.
                let send = |reply| drop(outgoing.send((index, reply)));
                send(answer(&remotes, &store, request, &send));
            }
        });
        Self { requests, replies }
    }
}

fn answer(remotes: &Remotes, store: &Store, request: InputRequest, send: &dyn Fn(InputReply)) -> InputReply {
    match request {
        InputRequest::Fetch(artifacts) => {
            let begun = Instant::now();
            let total = artifacts.iter().map(|artifact| artifact.bytes).sum();
            let progress = |done| Progress {
                done,
                total,
                unit: "bytes".to_owned(),
                readings: BTreeMap::new(),
            };
            let fetched = remotes.fetch(store, &artifacts, &mut |done| send(InputReply::Progressed(progress(done))));
            let seconds = begun.elapsed().as_secs_f64();
            InputReply::Fetched { fetched, seconds }
        }
        InputRequest::Check(artifacts) => {
            for artifact in &artifacts {
                // A damaged artifact that cannot be removed stays, and the stage has failed.
                let _ = store.discard_damaged(artifact);
            }
            InputReply::Checked
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Waits for the next news.
    fn wait(worker: &mut InputWorker) -> (usize, InputNews) {
        for _ in 0..10_000 {
            if let Some(news) = worker.next() {
                return news;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("no news");
    }

    #[test]
    fn a_damaged_input_is_removed_and_a_sound_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let put = |text: &str| {
            let workspace = store.workspace().unwrap();
            let path = workspace.path().join("data");
            std::fs::write(&path, text).unwrap();
            store.take(&path).unwrap()
        };
        let (sound, damaged) = (put("sound"), put("about to be damaged"));
        let path = store.object(&damaged.digest);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "x".repeat("about to be damaged".len())).unwrap();
        assert!(store.has(&damaged).unwrap(), "only the digest shows the damage");
        let failure = StageFailure {
            error: "no luck".to_owned(),
            seconds: 1.0,
            cause: FailureCause::Failed,
        };
        let mut worker = InputWorker::new(Remotes::none(), store.clone());
        assert!(worker.next().is_none() && !worker.is_busy());
        worker.check(3, vec![sound, damaged], failure.clone());
        assert!(worker.is_busy());
        let (index, news) = wait(&mut worker);
        assert!(index == 3 && matches!(news, InputNews::Checked(found) if found == failure));
        assert!(!worker.is_busy());
        assert!(store.has(&sound).unwrap() && !store.has(&damaged).unwrap());
    }

    #[test]
    fn without_remotes_there_is_nothing_to_fetch() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert!(!InputWorker::new(Remotes::none(), store).may_fetch(0));
    }
}
