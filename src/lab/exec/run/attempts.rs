//! The attempts at each stage of a run: how the earlier ones ended, and whether there is another one.

use std::collections::BTreeMap;

use super::inputs::StageFailure;
use crate::config::{Resources, RetryCause};
use crate::event::FailureCause;
use crate::exec::StageLimits;
use crate::store::FailedAttempt;

/// The factor by which the memory of a stage grows that needed more.
const MEMORY_GROWTH: u64 = 2;

/// The attempts of all stages that have failed at least once.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failed: BTreeMap<usize, StageAttempts>,
}

#[derive(Debug, Default)]
struct StageAttempts {
    failed: Vec<FailedAttempt>,
    /// The memory that the stage may use, where it has grown.
    memory: Option<u64>,
}

/// Another attempt at a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextAttempt {
    /// Counted from 1, without the first one.
    pub(super) number: u32,
    /// The most that there may be.
    pub(super) of: u32,
    /// The memory that it may use, in bytes, where it needed more.
    pub(super) memory: Option<u64>,
}

impl Attempts {
    /// The limits of a stage's next attempt.
    pub(super) fn limits(&self, index: usize, resources: &Resources) -> StageLimits {
        let limits = StageLimits::of(resources);
        let grown = self.failed.get(&index).and_then(|attempts| attempts.memory);
        StageLimits {
            memory: grown.or(limits.memory),
            ..limits
        }
    }

    /// How the attempts at a stage ended that failed.
    pub(super) fn failed(&self, index: usize) -> Vec<FailedAttempt> {
        self.failed.get(&index).map(|attempts| attempts.failed.clone()).unwrap_or_default()
    }

    /// A stage has failed: whether it is tried again. At most `most_memory` bytes can be given to a stage.
    pub(super) fn next(
        &mut self,
        index: usize,
        resources: &Resources,
        failure: &StageFailure,
        most_memory: Option<u64>,
    ) -> Option<NextAttempt> {
        let of = resources.retries.filter(|_| may_pass(resources, failure.cause))?;
        let memory = self.limits(index, resources).memory;
        let attempts = self.failed.entry(index).or_default();
        let number = u32::try_from(attempts.failed.len()).unwrap_or(u32::MAX).saturating_add(1);
        if number > of {
            return None;
        }
        let grown = match (failure.cause, memory, resources.max_memory) {
            (FailureCause::Memory, Some(memory), most) => {
                let most = most.map_or(memory, |most| most.0).min(most_memory.unwrap_or(u64::MAX));
                // With what it had, it would need more again.
                Some(memory.saturating_mul(MEMORY_GROWTH).min(most))
                    .filter(|grown| *grown > memory)?
                    .into()
            }
            _ => None,
        };
        attempts.memory = grown.or(attempts.memory);
        attempts.failed.push(FailedAttempt {
            cause: failure.cause,
            seconds: failure.seconds,
        });
        Some(NextAttempt { number, of, memory: grown })
    }
}

/// Whether a stage that ended so is tried again.
fn may_pass(resources: &Resources, cause: FailureCause) -> bool {
    let cause = match cause {
        FailureCause::Failed => return false,
        FailureCause::Time => RetryCause::Time,
        FailureCause::Silent => RetryCause::Silent,
        FailureCause::Memory => RetryCause::Memory,
        FailureCause::Refused => RetryCause::Refused,
        FailureCause::Signal(_) => RetryCause::Signal,
        FailureCause::Exit(code) => RetryCause::Exit(code),
    };
    resources.retries_on(cause)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(cause: FailureCause) -> StageFailure {
        StageFailure {
            error: String::new(),
            seconds: 1.0,
            cause,
        }
    }

    #[test]
    fn memory_doubles_up_to_its_most_and_then_nothing_helps() {
        let resources: Resources = serde_json::from_value(json!({"memory": "3 GiB", "max_memory": "10 GiB", "retries": 9})).unwrap();
        let mut attempts = Attempts::default();
        let mut next = |most| {
            let next = attempts.next(0, &resources, &failure(FailureCause::Memory), most)?;
            Some((next.number, next.memory? >> 30))
        };
        assert_eq!(next(None), Some((1, 6)));
        assert_eq!(next(None), Some((2, 10)));
        assert_eq!(next(None), None);
        assert_eq!(attempts.limits(0, &resources).memory, Some(10 << 30));
        assert_eq!(attempts.limits(1, &resources).memory, Some(3 << 30));
        assert_eq!(attempts.failed(0).len(), 2);
        let mut attempts = Attempts::default();
        let machine = Some(3 << 30);
        assert_eq!(
            attempts.next(0, &resources, &failure(FailureCause::Memory), machine),
            None,
            "the machine has no more"
        );
    }

    #[test]
    fn only_the_causes_that_are_named_are_tried_again() {
        let resources: Resources = serde_json::from_value(json!({"retries": 2, "retry_on": ["time", 75]})).unwrap();
        let tried = |cause| Attempts::default().next(0, &resources, &failure(cause), None).is_some();
        let causes = [FailureCause::Time, FailureCause::Exit(75)].map(tried);
        assert_eq!(causes, [true, true]);
        let causes = [
            FailureCause::Failed,
            FailureCause::Exit(1),
            FailureCause::Signal(9),
            FailureCause::Memory,
        ];
        assert_eq!(causes.map(tried), [false; 4]);
        assert_eq!(
            Attempts::default().next(0, &Resources::default(), &failure(FailureCause::Signal(9)), None),
            None
        );
    }
}
