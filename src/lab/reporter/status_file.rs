//! Tells other processes how the run is: `status.json` in the run's folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::Clock;
use super::run_view::{environment_name, source_name, subject};
use crate::event::{Event, Progress, Queue, Reporter, StageName, StageProgress};
use crate::runs::{RunEnd, RunOrder, RunStatus, RunningStage};
use crate::store::{RunFile, RunHolder, Store};

/// The shortest time between two writes when a stage has begun or ended: thousands of tiny stages must not be held up.
const CHANGE_INTERVAL: Duration = Duration::from_millis(100);

/// The shortest time between two writes when only the progress is another one.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// The time after which the file is written although nothing has changed: the heartbeat of a run, for other hosts.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// The run takes at least this many times as long as writing the file: a file server may be slow.
const WORK_PER_WRITE: u32 = 50;

/// Writes `runs/<run>/status.json` from the first thing on that is more than a hit: a run of hits alone leaves no file behind.
pub struct StatusFile<C: Clock> {
    store: Store,
    clock: C,
    status: RunStatus,
    live: BTreeMap<StageName, LiveStage>,
    /// The stages that ran here.
    ran: BTreeSet<StageName>,
    /// The file, from the first write on; `None` in it when it cannot be written, which is no reason to lose the run.
    file: Option<Option<RunFile>>,
    /// Whether there is something to tell but hits.
    is_of_interest: bool,
    changed: Change,
    /// When the file may be written again after a change, and after progress.
    next: [Duration; 2],
}

/// How much has changed since the last write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Nothing,
    Progress,
    Stages,
}

/// A stage or source that is under way.
struct LiveStage {
    kind: String,
    log: PathBuf,
    progress: StageProgress,
}

impl<C: Clock> StatusFile<C> {
    /// For the run named `run`.
    pub fn new(store: Store, run: String, order: RunOrder, clock: C) -> Self {
        let begun = clock.now().as_secs_f64();
        Self {
            store,
            clock,
            status: RunStatus {
                run,
                order,
                holder: RunHolder::this_process(),
                begun,
                ..RunStatus::default()
            },
            live: BTreeMap::new(),
            ran: BTreeSet::new(),
            file: None,
            is_of_interest: false,
            changed: Change::Nothing,
            next: [Duration::ZERO; 2],
        }
    }

    fn change(&mut self, change: Change) {
        self.changed = self.changed.max(change);
    }

    fn begin(&mut self, name: StageName, kind: &str, log: PathBuf) {
        let stage = LiveStage {
            kind: kind.to_owned(),
            log,
            progress: StageProgress::new(self.clock.now()),
        };
        self.live.insert(name, stage);
        self.is_of_interest = true;
        self.change(Change::Stages);
    }

    fn end(&mut self, name: &StageName) {
        self.live.remove(name);
        self.change(Change::Stages);
    }

    /// An event about the run as a whole.
    fn run_event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { stages, jobs, threads, .. } => {
                self.status.counts.stages = *stages;
                (self.status.jobs, self.status.threads) = (*jobs, *threads);
            }
            Event::Interrupted => {
                self.status.interrupted = true;
                self.change(Change::Stages);
            }
            Event::Summary {
                failed,
                cancelled,
                interrupted,
                ..
            } => {
                self.live.clear();
                self.status.waiting = Queue::default();
                self.over(match (interrupted, failed + cancelled) {
                    (true, _) => RunEnd::Interrupted,
                    (false, 0) => RunEnd::Done,
                    (false, _) => RunEnd::Failed,
                });
            }
            Event::Fetching { source, progress, .. } => {
                let name = source_name(source);
                if !self.live.contains_key(&name) {
                    self.begin(name.clone(), "", PathBuf::new());
                }
                self.progressed(&name, progress);
            }
            Event::Fetched { source, .. } => self.end(&source_name(source)),
            Event::Preparing { environment, log, .. } => self.begin(environment_name(environment), "", log.clone()),
            Event::Prepared { environment, .. } => self.end(&environment_name(environment)),
            _ => {}
        }
    }

    fn progressed(&mut self, name: &StageName, progress: &Progress) {
        let now = self.clock.now();
        if let Some(live) = self.live.get_mut(name) {
            live.progress.progressed(now, progress);
            self.change(Change::Progress);
        }
    }

    /// Writes the end of the run, if there was anything to write.
    fn over(&mut self, end: RunEnd) {
        self.status.ended = Some(end);
        if self.is_of_interest {
            self.write();
        }
    }

    fn write(&mut self) {
        let now = self.clock.now();
        self.changed = Change::Nothing;
        self.status.time = now.as_secs_f64();
        self.status.running = self.live.iter().map(|(name, live)| live.told(name, now)).collect();
        let open = || self.store.run_file(&self.status.run).ok();
        let file = self.file.get_or_insert_with(open);
        if let (Some(file), Ok(bytes)) = (file, serde_json::to_vec(&self.status)) {
            // The next write makes up for a failed one.
            let _ = file.write(&bytes);
        }
        let least = (self.clock.now().saturating_sub(now)) * WORK_PER_WRITE;
        self.next = [CHANGE_INTERVAL, PROGRESS_INTERVAL].map(|interval| now + interval.max(least));
    }
}

impl LiveStage {
    fn told(&self, name: &StageName, now: Duration) -> RunningStage {
        RunningStage {
            stage: name.clone(),
            kind: self.kind.clone(),
            since: self.progress.since.as_secs_f64(),
            log: self.log.clone(),
            progress: self.progress.last().cloned(),
            left: self.progress.left(now),
        }
    }
}

impl<C: Clock> Reporter for StatusFile<C> {
    fn event(&mut self, event: &Event) {
        let counts = &mut self.status.counts;
        match event {
            Event::Progressed { stage, progress } => return self.progressed(stage, progress),
            Event::Started { stage, kind, log, .. } => return self.begin(stage.clone(), kind, log.clone()),
            Event::Waiting { .. } => {
                self.is_of_interest = true;
                return self.change(Change::Stages);
            }
            Event::Cached { .. } => counts.cached += 1,
            Event::Finished { stage, .. } => {
                counts.ran += 1;
                self.ran.insert(stage.clone());
            }
            Event::Retrying { stage, .. } => return self.end(stage),
            Event::Failed { .. } => counts.failed += 1,
            Event::Cancelled { .. } => counts.cancelled += 1,
            Event::Skipped { .. } => counts.skipped += 1,
            Event::Lost { stage, .. } => {
                let count = if self.ran.remove(stage) {
                    &mut counts.ran
                } else {
                    &mut counts.cached
                };
                *count = count.saturating_sub(1);
            }
            of_the_run => return self.run_event(of_the_run),
        }
        counts.done = counts.cached + counts.ran + counts.failed + counts.cancelled + counts.skipped;
        self.change(Change::Stages);
        if let Some(stage) = subject(event) {
            self.live.remove(stage.as_ref());
        }
    }

    fn look(&mut self, queue: &Queue) {
        self.status.waiting = queue.clone();
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        let [after_change, after_progress] = self.next;
        let is_due = match self.changed {
            Change::Stages => now >= after_change,
            Change::Progress => now >= after_progress,
            Change::Nothing => now.as_secs_f64() - self.status.time >= HEARTBEAT_INTERVAL.as_secs_f64(),
        };
        if self.is_of_interest && is_due {
            self.write();
        }
    }
}

impl<C: Clock> Drop for StatusFile<C> {
    /// A run that ends without a last event could not go on.
    fn drop(&mut self) {
        if self.status.ended.is_none() {
            self.over(RunEnd::Error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::LostBecause;
    use crate::hash::Digest;
    use crate::reporter::clock::FakeClock;
    use crate::runs::{RunState, find_one};

    fn stage(name: &str) -> StageName {
        StageName {
            name: name.to_owned(),
            ..StageName::default()
        }
    }

    fn started(name: &str) -> Event {
        Event::Started {
            stage: stage(name),
            key: Digest::of(b"key"),
            kind: "train".to_owned(),
            reason: String::new(),
            log: PathBuf::from("log"),
        }
    }

    fn finished(name: &str) -> Event {
        Event::Finished {
            stage: stage(name),
            key: Digest::of(b"key"),
            seconds: 1.0,
            outputs: BTreeMap::new(),
        }
    }

    fn progressed(name: &str, done: u64) -> Event {
        let progress = Progress {
            done,
            total: 10,
            ..Progress::default()
        };
        Event::Progressed {
            stage: stage(name),
            progress,
        }
    }

    /// A store with a run that tells how it is.
    fn bench() -> (tempfile::TempDir, Store, StatusFile<FakeClock>, FakeClock) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let clock = FakeClock::default();
        clock.advance(1000.0);
        let mut file = StatusFile::new(store.clone(), "r".to_owned(), RunOrder::default(), clock.clone());
        file.event(&Event::RunStarted {
            run: "r".to_owned(),
            experiment: "x".to_owned(),
            stages: 5,
            jobs: 2,
            threads: 4,
        });
        (folder, store, file, clock)
    }

    #[test]
    fn hits_leave_no_file_and_changes_are_told_at_once_but_not_all() {
        let (_folder, store, mut file, clock) = bench();
        let cached = |name: &str| Event::Cached {
            stage: stage(name),
            key: Digest::of(b"key"),
        };
        file.event(&cached("a"));
        clock.advance(60.0);
        file.tick();
        assert!(find_one(&store, "r").is_none() && !store.run_path("r").exists());
        let told = || find_one(&store, "r").unwrap().status;
        let mut tick = |event: Option<Event>, seconds: f64| {
            clock.advance(seconds);
            event.iter().for_each(|event| file.event(event));
            file.tick();
            told()
        };
        let status = tick(Some(started("b")), 0.0);
        assert_eq!(
            (
                status.counts.stages,
                status.counts.cached,
                status.counts.done,
                status.jobs,
                status.threads
            ),
            (5, 1, 1, 2, 4)
        );
        assert_eq!((status.running.len(), status.running[0].since, status.begun), (1, 1060.0, 1000.0));
        // Thousands of tiny stages must not be held up: the second change waits.
        assert_eq!(tick(Some(started("c")), 0.05).running.len(), 1);
        assert_eq!(tick(None, 0.06).running.len(), 2);
        // Progress is told once a second.
        assert_eq!(tick(Some(progressed("b", 1)), 0.5).running[0].progress, None);
        assert_eq!(tick(Some(progressed("b", 2)), 0.6).running[0].progress.as_ref().unwrap().done, 2);
        let before = told().time;
        assert_eq!(tick(None, 5.0).time, before, "nothing has changed");
        assert_eq!(tick(None, 6.0).time, before + 11.0, "it lives");
        let status = tick(Some(finished("b")), 1.0);
        assert_eq!((status.counts.ran, status.running.len(), status.ended), (1, 1, None));
        let lost = Event::Lost {
            stage: stage("b"),
            needed_by: stage("c"),
            because: LostBecause::Missing,
        };
        let status = tick(Some(lost), 1.0);
        assert_eq!((status.counts.ran, status.counts.cached, status.running.len()), (0, 1, 0));
    }

    #[test]
    fn the_end_is_told() {
        let (_folder, store, mut file, _) = bench();
        file.event(&started("a"));
        file.event(&Event::Summary {
            stages: 1,
            cached: 0,
            ran: 0,
            failed: 0,
            skipped: 0,
            cancelled: 1,
            seconds: 1.0,
            interrupted: false,
            causes: BTreeMap::new(),
        });
        drop(file);
        let found = find_one(&store, "r").unwrap();
        assert_eq!((found.state, found.status.running.len()), (RunState::Ended(RunEnd::Failed), 0));
        let (_folder, store, mut file, _) = bench();
        file.event(&started("a"));
        file.tick();
        assert_eq!(find_one(&store, "r").unwrap().state, RunState::Alive);
        drop(file);
        assert_eq!(find_one(&store, "r").unwrap().state, RunState::Ended(RunEnd::Error));
    }
}
