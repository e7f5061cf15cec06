//! Room on the disk: a run that is allowed to deletes what gc may take, before its stages fill the disk.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::store::{GcRules, IsResult, Store, StoreError};
use crate::text::bytes;

/// How often the free space is looked at.
const INTERVAL: Duration = Duration::from_secs(10);

/// After a cleanup that deleted nothing, none is tried for so long.
const PAUSE: Duration = Duration::from_secs(600);

/// What is younger stays, as in `runner cache gc`.
const GRACE: Duration = Duration::from_secs(3600);

/// How a run makes room.
#[derive(Clone, Copy, Debug)]
pub struct MakeRoom {
    /// The bytes that are to stay free.
    pub free: u64,
    /// As in [`GcRules`].
    pub is_result: IsResult,
    /// As in [`GcRules`].
    pub kept_files: &'static [&'static str],
}

/// Looks at the free space every now and then.
pub(super) struct RoomKeeper<'a> {
    store: &'a Store,
    rule: Option<MakeRoom>,
    next: Instant,
}

impl<'a> RoomKeeper<'a> {
    pub(super) fn new(store: &'a Store, rule: Option<MakeRoom>) -> Self {
        Self {
            store,
            rule,
            next: Instant::now(),
        }
    }

    /// Whether it is time to look: the run must have said what it needs before.
    pub(super) fn is_due(&self) -> bool {
        self.rule.is_some() && self.next <= Instant::now()
    }

    /// Deletes artifacts if too little space is free. Returns what to say of it.
    pub(super) fn make_room(&mut self) -> Option<String> {
        let rule = self.rule?;
        self.next = Instant::now() + INTERVAL;
        let lacking = rule.free.saturating_sub(self.store.free_space()?);
        if lacking == 0 {
            return None;
        }
        let removed = self.delete(rule, lacking);
        if !matches!(removed, Ok(1..)) {
            self.next = Instant::now() + PAUSE;
        }
        Some(match removed {
            Ok(0) => format!(
                "the disk is nearly full ({} short of `make_room`), and nothing may be deleted",
                bytes(lacking)
            ),
            Ok(removed) => format!(
                "the disk was nearly full: deleted {} of artifacts, which can be computed again",
                bytes(removed)
            ),
            Err(error) => format!("the disk is nearly full, and could not be cleaned up: {error}"),
        })
    }

    fn delete(&self, rule: MakeRoom, lacking: u64) -> Result<u64, StoreError> {
        let plan = self.store.plan_gc(&GcRules {
            keys: HashSet::new(),
            objects: HashSet::new(),
            older_than: None,
            max_bytes: None,
            room: Some(lacking),
            all: false,
            forget: false,
            grace: GRACE,
            is_result: rule.is_result,
            kept_files: rule.kept_files,
        })?;
        Ok(self.store.run_gc(&plan)?.object_bytes)
    }
}
