//! The marks that a run leaves in the store for other processes: leases on the stages that it computes, and the list of artifacts that
//! gc must keep.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::hash::Digest;
use crate::store::{Acquired, Lease, Outputs, RunRoots, Store, StoreError};

/// The time between two heartbeats of a lease.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// A stage that is being computed here.
#[derive(Debug)]
pub(super) struct RunningStage {
    pub(super) key: Digest,
    /// Released when dropped.
    pub(super) lease: Lease,
    pub(super) log: PathBuf,
}

/// The result of trying to claim a stage.
#[derive(Debug)]
pub(super) enum Claim {
    Ours(Lease),
    /// Another process computes it, or an equal stage of this run. `news` is the holder when it is not the same as last time.
    Elsewhere {
        news: Option<String>,
    },
}

/// The leases of a run, and the artifacts that it protects.
pub(super) struct Claims<'a> {
    store: &'a Store,
    run: &'a str,
    running: BTreeMap<usize, RunningStage>,
    /// The process that computes each stage that is waited for, as last reported.
    holders: BTreeMap<usize, String>,
    /// From the first start on: a run of hits leaves no file behind.
    needed: Option<RunRoots>,
    last_heartbeat: Instant,
}

impl<'a> Claims<'a> {
    pub(super) fn new(store: &'a Store, run: &'a str) -> Self {
        Self {
            store,
            run,
            running: BTreeMap::new(),
            holders: BTreeMap::new(),
            needed: None,
            last_heartbeat: Instant::now(),
        }
    }

    /// Tries to get the lease of a stage.
    pub(super) fn claim(&mut self, index: usize, key: &Digest) -> Result<Claim, StoreError> {
        let holder = match self.store.lease(key, index as u64)? {
            Acquired::Mine(lease) => return Ok(Claim::Ours(lease)),
            Acquired::Held(holder) => holder,
        };
        if self.holders.get(&index) == Some(&holder) {
            return Ok(Claim::Elsewhere { news: None });
        }
        self.holders.insert(index, holder.clone());
        let is_ours = self.running.values().any(|running| running.key == *key);
        let news = Some(if is_ours { "an equal stage of this run".to_owned() } else { holder });
        Ok(Claim::Elsewhere { news })
    }

    /// The stage is running here.
    pub(super) fn begin(&mut self, index: usize, stage: RunningStage) {
        self.holders.remove(&index);
        self.running.insert(index, stage);
    }

    /// The stage is no longer running here. Its lease is released when the result is dropped.
    pub(super) fn end(&mut self, index: usize) -> Option<RunningStage> {
        self.running.remove(&index)
    }

    /// The key of a stage that is running here.
    pub(super) fn key(&self, index: usize) -> Option<Digest> {
        self.running.get(&index).map(|running| running.key)
    }

    /// The stages that are running here.
    pub(super) fn running(&self) -> impl Iterator<Item = usize> {
        self.running.keys().copied()
    }

    /// The process that computes a stage which is waited for.
    pub(super) fn holder(&self, index: usize) -> Option<&str> {
        self.holders.get(&index).map(String::as_str)
    }

    /// Whether the stage is being computed, by this run or by another process.
    pub(super) fn is_held(&self, key: &Digest) -> bool {
        self.store.is_held(key)
    }

    /// Protects the artifacts that the run has found so far from gc until the run ends. `known` is called once in a run.
    pub(super) fn protect_known(&mut self, known: impl FnOnce() -> Vec<Digest>) -> Result<(), StoreError> {
        if self.needed.is_none() {
            self.needed = Some(self.store.protect_for_run(self.run, &known())?);
        }
        Ok(())
    }

    /// Protects further artifacts.
    pub(super) fn protect(&mut self, outputs: &Outputs) {
        let digests: Vec<Digest> = outputs.values().map(|artifact| artifact.digest).collect();
        self.needed.iter_mut().for_each(|needed| needed.add(&digests));
    }

    /// Shows other processes that this one is alive, when it is time.
    pub(super) fn heartbeat(&mut self) {
        if self.last_heartbeat.elapsed() >= HEARTBEAT_INTERVAL {
            self.last_heartbeat = Instant::now();
            self.running.values().for_each(|running| running.lease.heartbeat());
            self.needed.iter().for_each(RunRoots::heartbeat);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = Digest::of(b"key");
        let (mut ours, mut theirs) = (Claims::new(&store, "one"), Claims::new(&store, "two"));
        let Claim::Ours(lease) = theirs.claim(7, &key).unwrap() else {
            panic!("nobody has it");
        };
        let news = |claim| match claim {
            Claim::Ours(_) => panic!("it is taken"),
            Claim::Elsewhere { news } => news,
        };
        assert!(news(ours.claim(0, &key).unwrap()).unwrap().contains("process"));
        assert_eq!(news(ours.claim(0, &key).unwrap()), None);
        assert!(ours.is_held(&key));
        drop(lease);
        assert!(!ours.is_held(&key));
    }

    #[test]
    fn an_equal_stage_of_the_same_run_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = Digest::of(b"key");
        let mut claims = Claims::new(&store, "one");
        let Claim::Ours(lease) = claims.claim(0, &key).unwrap() else {
            panic!("nobody has it");
        };
        let log = PathBuf::new();
        claims.begin(0, RunningStage { key, lease, log });
        let Claim::Elsewhere { news } = claims.claim(1, &key).unwrap() else {
            panic!("it is taken");
        };
        assert_eq!(news.as_deref(), Some("an equal stage of this run"));
        drop(claims.end(0));
        assert!(matches!(claims.claim(1, &key), Ok(Claim::Ours(_))));
    }
}
