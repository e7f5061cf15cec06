//! Removes what a plan of gc names.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use super::{GcPlan, GcSummary, GcVictim};
use crate::hash::Digest;
use crate::store::{Store, StoreError, atomic};

/// The list of what runs need is read again after this time.
const ROOTS_REFRESH_INTERVAL: Duration = Duration::from_millis(500);

/// The artifacts that living runs need, read again every now and then.
struct LiveRoots<'a> {
    store: &'a Store,
    roots: HashSet<Digest>,
    read: Instant,
}

impl<'a> LiveRoots<'a> {
    fn new(store: &'a Store) -> Self {
        let (roots, read) = (store.run_roots(), Instant::now());
        Self { store, roots, read }
    }

    fn current(&mut self) -> &HashSet<Digest> {
        if self.read.elapsed() > ROOTS_REFRESH_INTERVAL {
            *self = Self::new(self.store);
        }
        &self.roots
    }
}

impl Store {
    /// Removes what a plan names, unless it is needed by now. Returns what was removed.
    ///
    /// # Errors
    /// If something cannot be removed. Whatever was removed before that is gone.
    pub fn run_gc(&self, plan: &GcPlan) -> Result<GcSummary, StoreError> {
        let mut roots = LiveRoots::new(self);
        let mut summary = GcSummary::default();
        let mut spared: HashSet<Digest> = HashSet::new();
        for victim in &plan.victims {
            if self.remove_record(victim, plan.grace, roots.current(), &mut spared)? {
                summary.records += 1;
            }
        }
        for (digest, size) in &plan.objects {
            let is_needed = roots.current().contains(digest) || spared.contains(digest);
            if !is_needed && self.remove_object(digest, plan.grace)? {
                summary.object_bytes += size;
            }
        }
        for leftover in &plan.leftovers {
            if self.remove_leftover(leftover, plan.leftover_age)? {
                summary.other_bytes += leftover.bytes;
            }
        }
        Ok(summary)
    }

    /// Removes a record, unless a run needs its outputs or it was written again since the plan: then they are `spared`.
    fn remove_record(
        &self,
        victim: &GcVictim,
        grace: Duration,
        roots: &HashSet<Digest>,
        spared: &mut HashSet<Digest>,
    ) -> Result<bool, StoreError> {
        let outputs = self.outputs(&victim.key).ok().flatten().unwrap_or_default();
        let is_young = self.age(&victim.path)? < grace;
        if is_young || outputs.values().any(|artifact| roots.contains(&artifact.digest)) {
            spared.extend(outputs.values().map(|artifact| artifact.digest));
            return Ok(false);
        }
        match std::fs::remove_file(&victim.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(StoreError::io("remove", &victim.path))?,
        }
        Ok(true)
    }

    /// Removes an object, unless it has just become the output of another stage.
    fn remove_object(&self, digest: &Digest, grace: Duration) -> Result<bool, StoreError> {
        let path = self.object(digest);
        let workspace = self.workspace()?;
        let aside = workspace.path().join("removed");
        match atomic::rename(&path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            moved => moved.map_err(StoreError::io("remove", &path))?,
        }
        if self.age(&aside)? < grace {
            atomic::rename(&aside, &path).map_err(StoreError::io("put back", &path))?;
            return Ok(false);
        }
        Ok(true)
    }
}
