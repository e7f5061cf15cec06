//! Removes what a plan of gc names.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use super::{Burial, GcPlan, GcSummary, GcVictim};
use crate::hash::Digest;
use crate::store::{Store, StoreError, atomic};

/// The list of what runs need is read again after this time.
const ROOTS_REFRESH_INTERVAL: Duration = Duration::from_millis(500);

/// Artifacts whose tombstones are written together, with one sync.
const BURIALS_AT_ONCE: usize = 256;

/// The artifacts that living runs need and that are protected, read again every now and then.
struct LiveRoots<'a> {
    store: &'a Store,
    roots: HashSet<Digest>,
    read: Instant,
}

impl<'a> LiveRoots<'a> {
    fn new(store: &'a Store) -> Result<Self, StoreError> {
        let (mut roots, read) = (store.run_roots(), Instant::now());
        for protection in store.protections()? {
            roots.extend(protection.objects);
        }
        Ok(Self { store, roots, read })
    }

    fn current(&mut self) -> Result<&HashSet<Digest>, StoreError> {
        if self.read.elapsed() > ROOTS_REFRESH_INTERVAL {
            *self = Self::new(self.store)?;
        }
        Ok(&self.roots)
    }
}

impl Store {
    /// Removes what a plan names, unless it is needed by now. Returns what was removed.
    ///
    /// # Errors
    /// If something cannot be removed. Whatever was removed before that is gone.
    pub fn run_gc(&self, plan: &GcPlan) -> Result<GcSummary, StoreError> {
        let mut roots = LiveRoots::new(self)?;
        let mut summary = GcSummary::default();
        let mut spared: HashSet<Digest> = HashSet::new();
        if plan.forget {
            for victim in &plan.victims {
                if self.remove_record(victim, plan.grace, roots.current()?, &mut spared)? {
                    summary.records += 1;
                }
            }
            plan.tombstones
                .iter()
                .filter(|digest| !spared.contains(digest))
                .for_each(|digest| self.unbury(digest));
        }
        for (digest, size) in &plan.objects {
            let is_needed = plan.burials.contains_key(digest) || roots.current()?.contains(digest) || spared.contains(digest);
            if !is_needed && self.remove_object(digest, plan.grace)? {
                summary.object_bytes += size;
                self.unbury(digest);
            }
        }
        for victims in plan.victims.chunks(BURIALS_AT_ONCE) {
            self.remove_outputs(plan, victims, &mut roots, &mut summary)?;
        }
        for leftover in &plan.leftovers {
            if self.remove_leftover(leftover, plan.leftover_age)? {
                summary.other_bytes += leftover.bytes;
            }
        }
        Ok(summary)
    }

    /// Removes the outputs of these records that the plan names, after their tombstones are written.
    fn remove_outputs(
        &self,
        plan: &GcPlan,
        victims: &[GcVictim],
        roots: &mut LiveRoots<'_>,
        summary: &mut GcSummary,
    ) -> Result<(), StoreError> {
        let mut burials: Vec<Burial> = Vec::new();
        for victim in victims {
            // A record that was written again since the plan has been computed again, so somebody needed it.
            if self.age(&victim.path)? >= plan.grace {
                let outputs = victim.outputs.iter().filter_map(|output| plan.burials.get(&output.digest));
                burials.extend(outputs.cloned());
            }
        }
        let needed = roots.current()?;
        burials.retain(|burial| !needed.contains(&burial.artifact.digest));
        let now = self.now()?.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        self.bury(&burials, plan.kept_files, now)?;
        let mut removed: HashSet<Digest> = HashSet::new();
        for Burial { artifact, .. } in &burials {
            let digest = artifact.digest;
            if roots.current()?.contains(&digest) {
                self.unbury(&digest);
            } else if self.remove_object(&digest, plan.grace)? {
                summary.object_bytes += plan.objects.get(&digest).copied().unwrap_or(0);
                removed.insert(digest);
            } else if self.object(&digest).exists() {
                self.unbury(&digest);
            }
        }
        let is_removed = |victim: &&GcVictim| victim.outputs.iter().any(|output| removed.contains(&output.digest));
        summary.records += victims.iter().filter(is_removed).count();
        Ok(())
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
