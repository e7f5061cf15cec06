//! What waits in a run, and why, for those who look on.

use super::claims::Claims;
use super::inputs::InputWorker;
use super::stages::RunStages;
use super::time_left::TimeLeft;
use crate::event::{Queue, WaitReason, WaitingStage};
use crate::exec::scheduler::{OpenState, Scheduler};

/// The most stages that are named: a run may have thousands that wait.
const NAMED: usize = 30;

/// The parts of a run that know what waits.
pub(super) struct Waiting<'r, 'a> {
    pub(super) scheduler: &'r Scheduler,
    pub(super) stages: &'r RunStages<'a>,
    pub(super) claims: &'r Claims<'a>,
    pub(super) inputs: &'r InputWorker,
}

impl Waiting<'_, '_> {
    /// What waits now. Takes about a millisecond for 10,000 stages.
    pub(super) fn queue(&self, time_left: &TimeLeft) -> Queue {
        let (left, unknown) = time_left.rest(self.stages, self.scheduler);
        let mut queue = Queue {
            left: left.map(|left| left.likely),
            range: left.map(|left| (left.low, left.high)),
            unknown,
            ..Queue::default()
        };
        let mut blocked = Vec::new();
        let mut held = Vec::new();
        for index in 0..self.stages.count() {
            match self.scheduler.state(index) {
                OpenState::Turn => queue.turn += 1,
                OpenState::Held if self.inputs.is_fetching(index) => {
                    queue.fetching += 1;
                    held.push(index);
                }
                OpenState::Held => {
                    queue.elsewhere += 1;
                    held.push(index);
                }
                OpenState::Blocked => {
                    queue.inputs += 1;
                    if blocked.len() < NAMED {
                        blocked.push(index);
                    }
                }
                OpenState::Running | OpenState::Ended => {}
            }
        }
        let indices = self.scheduler.ready().chain(held).chain(blocked).take(NAMED);
        queue.first = indices.map(|index| self.stage(index)).collect();
        queue
    }

    fn stage(&self, index: usize) -> WaitingStage {
        let (why, awaited) = match self.scheduler.state(index) {
            OpenState::Held if self.inputs.is_fetching(index) => (WaitReason::Fetching, "its inputs, which are being fetched".to_owned()),
            OpenState::Held => {
                let holder = self.claims.holder(index).unwrap_or("another process");
                (WaitReason::Elsewhere, holder.to_owned())
            }
            OpenState::Blocked => (WaitReason::Inputs, self.open_needs(index)),
            _ => (WaitReason::Turn, self.scheduler.waits_for(index).to_owned()),
        };
        WaitingStage {
            stage: self.stages.name(index),
            why,
            awaited,
        }
    }

    /// `standard[1] (seed=1)`, `standard[1] (seed=1) and 3 more`.
    fn open_needs(&self, index: usize) -> String {
        let (_, mut open) = self.scheduler.needs(index);
        let first = open.next().map_or_else(String::new, |need| self.stages.name(need).to_string());
        match open.count() {
            0 => first,
            more => format!("{first} and {more} more"),
        }
    }
}
