//! The inputs of stages, beside the run: those that only a remote has are fetched before their stage starts, and those of a stage that
//! failed are hashed again, as it may have read damaged bytes. One thread does it, the most urgent first, so that nothing else waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use super::{Failure, Run};
use crate::event::{Event, Progress};
use crate::store::remote::{FetchSummary, Remotes};
use crate::store::{Artifact, Store, StoreError};

/// Something to do for a stage.
enum Work {
    Fetch(Vec<Artifact>),
    Check(Vec<Artifact>),
}

/// What comes of it.
enum News {
    /// So many bytes of so many.
    Progressed(u64, u64),
    /// After so many seconds.
    Fetched(Result<FetchSummary, StoreError>, f64),
    /// What is damaged has been thrown out.
    Checked,
}

/// The thread, and what it has been asked.
pub(super) struct Inputs {
    work: Sender<(usize, Work)>,
    news: Receiver<(usize, News)>,
    /// The stages that wait for their inputs, and those that failed, with the error and the seconds that they took.
    fetching: BTreeSet<usize>,
    failed: BTreeMap<usize, (String, f64)>,
    /// The stages whose inputs have come, as far as a remote had them, and which have not been started since.
    fetched: BTreeSet<usize>,
}

impl Inputs {
    /// Starts the thread; it ends with this.
    fn start(remotes: Remotes, store: Store) -> Self {
        let (work, waiting) = channel();
        let (say, news) = channel();
        std::thread::spawn(move || {
            for (index, work) in waiting {
                // Nobody listens where the run has ended.
                let _ = say.send((index, done(&remotes, &store, work, &|news| drop(say.send((index, news))))));
            }
        });
        Self {
            work,
            news,
            fetching: BTreeSet::new(),
            failed: BTreeMap::new(),
            fetched: BTreeSet::new(),
        }
    }

    fn ask(&self, index: usize, work: Work) {
        // The thread lives as long as this does.
        let _ = self.work.send((index, work));
    }

    pub fn is_busy(&self) -> bool {
        !(self.fetching.is_empty() && self.failed.is_empty())
    }

    /// Whether the stage waits for its inputs.
    pub fn fetches(&self, index: usize) -> bool {
        self.fetching.contains(&index)
    }
}

fn done(remotes: &Remotes, store: &Store, work: Work, say: &dyn Fn(News)) -> News {
    match work {
        Work::Fetch(artifacts) => {
            let begun = Instant::now();
            let total = artifacts.iter().map(|artifact| artifact.bytes).sum();
            let fetched = remotes.fetch(store, &artifacts, &mut |done| say(News::Progressed(done, total)));
            News::Fetched(fetched, begun.elapsed().as_secs_f64())
        }
        Work::Check(artifacts) => {
            for artifact in &artifacts {
                // What cannot be removed stays, and the stage has failed.
                let _ = store.discard_damaged(artifact);
            }
            News::Checked
        }
    }
}

impl Run<'_> {
    fn inputs(&mut self) -> &mut Inputs {
        let start = || Inputs::start(self.options.remotes.clone(), self.store.clone());
        self.inputs.get_or_insert_with(start)
    }

    /// What the stage reads, as far as it is known.
    fn read_by(&self, index: usize) -> Vec<Artifact> {
        let links = self.node(index).inputs.values().flatten();
        let read = links.filter_map(|link| self.outputs[self.places[&link.from]].as_ref()?.get(link.port.as_ref()).copied());
        read.collect()
    }

    /// Has the inputs brought that only a remote has, once for each start of the stage. Returns whether the stage waits for them. What
    /// no remote has is lost, as if it had gone from the store.
    pub(super) fn fetch_inputs(&mut self, index: usize) -> bool {
        let has_come = self.inputs.as_mut().is_some_and(|inputs| inputs.fetched.remove(&index));
        if self.options.remotes.is_empty() || has_come {
            return false;
        }
        let mut absent = self.read_by(index);
        absent.retain(|artifact| !self.store.has(artifact).unwrap_or(false));
        if absent.is_empty() {
            return false;
        }
        let inputs = self.inputs();
        inputs.fetching.insert(index);
        inputs.ask(index, Work::Fetch(absent));
        self.scheduler.held(index);
        true
    }

    /// Has the inputs of a failed stage hashed. Returns whether the word about it has to wait for that.
    pub(super) fn check_inputs(&mut self, index: usize, error: &str, seconds: f64) -> bool {
        let read = self.read_by(index);
        if read.is_empty() {
            return false;
        }
        let inputs = self.inputs();
        inputs.failed.insert(index, (error.to_owned(), seconds));
        inputs.ask(index, Work::Check(read));
        true
    }

    /// Goes on with the stages whose inputs have come or been hashed.
    pub(super) fn hear_of_inputs(&mut self) -> Result<(), Failure> {
        while let Some((index, news)) = self.inputs.as_ref().and_then(|inputs| inputs.news.try_recv().ok()) {
            match news {
                News::Progressed(done, total) => {
                    let (unit, readings) = ("bytes".to_owned(), BTreeMap::new());
                    let progress = Progress {
                        done,
                        total,
                        unit,
                        readings,
                    };
                    let stage = self.name(index);
                    self.reporter.event(&Event::Progressed { stage, progress });
                }
                News::Fetched(fetched, seconds) => {
                    let fetched = fetched?;
                    if fetched.artifacts > 0 {
                        let stage = self.name(index);
                        self.reporter.event(&Event::Brought {
                            stage,
                            artifacts: fetched.artifacts,
                            bytes: fetched.bytes,
                            seconds,
                        });
                    }
                    let inputs = self.inputs();
                    inputs.fetching.remove(&index);
                    // Where another stage has noticed a loss in the meantime, this one waits for what is made again.
                    if self.scheduler.is_held(index) {
                        self.inputs().fetched.insert(index);
                        self.scheduler.must_run(index);
                    }
                }
                News::Checked => {
                    if let Some((error, seconds)) = self.inputs().failed.remove(&index) {
                        self.failed(index, error, seconds);
                    }
                }
            }
        }
        Ok(())
    }

    /// The stages whose outputs this one needs and which have gone from the store since they were looked up; none of them where they
    /// are being made again already. Nothing where all inputs are there.
    pub(super) fn lost_inputs(&self, index: usize) -> Result<Option<Vec<usize>>, StoreError> {
        let (mut lost, mut waits) = (Vec::new(), false);
        for link in self.node(index).inputs.values().flatten() {
            let from = self.places[&link.from];
            let Some(artifact) = self.outputs[from].as_ref().and_then(|outputs| outputs.get(link.port.as_ref())) else {
                waits = true;
                continue;
            };
            if !lost.contains(&from) && !self.store.has(artifact)? {
                lost.push(from);
            }
        }
        Ok((waits || !lost.is_empty()).then_some(lost))
    }

    /// An artifact lost from the store is a miss, however late it is noticed: the stages that made it run again before the one that
    /// needs it.
    pub(super) fn take_back(&mut self, index: usize, lost: &[usize]) {
        for &stage in lost {
            self.outputs[stage] = None;
            self.lost.insert(stage);
            let counted = if self.made.remove(&stage) {
                &mut self.summary.ran
            } else {
                &mut self.summary.cached
            };
            *counted -= 1;
            let (stage, needed_by) = (self.name(stage), self.name(index));
            self.reporter.event(&Event::Lost { stage, needed_by });
        }
        self.scheduler.lost(lost, index);
    }
}
