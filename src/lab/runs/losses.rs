//! The losses of a training that runs, by step.

use super::growing::GrowingFile;
use super::logs::in_store;
use super::status::RunningStage;
use crate::event::Progress;
use crate::store::Store;

/// A curve has fewer points; at so many, every other one goes.
const MAX_POINTS: usize = 1000;

/// A smaller loss has few digits in a log.
const ROUNDED: f64 = 1e-3;

/// The losses of a training that runs: those in its log, and those that its run has told since they are looked at.
#[derive(Debug)]
pub struct RunningLosses {
    log: GrowingFile,
    /// Optimizer steps and losses, by step.
    points: Vec<(u64, f64)>,
    /// Whether the run has told any of them.
    has_told: bool,
}

impl RunningLosses {
    /// Of a stage of the run `run`; nothing is read yet.
    pub fn new(store: &Store, run: &str, stage: &RunningStage) -> Self {
        Self {
            log: GrowingFile::new(&in_store(store, run, stage.log.clone())),
            points: Vec::new(),
            has_told: false,
        }
    }

    /// Adds what the log has by now, and this progress.
    pub fn update(&mut self, progress: Option<&Progress>) {
        let mut found = Vec::new();
        self.log
            .read(|line| found.extend(Progress::loss_in(&String::from_utf8_lossy(line))));
        // Beside what the run tells, a curve of rounded numbers would be jagged.
        found.retain(|(_, loss)| *loss >= ROUNDED || !self.has_told);
        let told = progress.and_then(|progress| Some((progress.done, *progress.readings.get("loss")?)));
        self.has_told |= told.is_some();
        found.extend(told);
        found
            .into_iter()
            .filter(|(_, loss)| loss.is_finite())
            .for_each(|point| self.add(point));
    }

    fn add(&mut self, (step, loss): (u64, f64)) {
        let place = self.points.partition_point(|(before, _)| *before < step);
        if self.points.get(place).is_some_and(|(there, _)| *there == step) {
            return;
        }
        self.points.insert(place, (step, loss));
        if self.points.len() >= MAX_POINTS {
            let mut number = 0;
            self.points.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
    }

    /// The points, by step.
    pub fn points(&self) -> &[(u64, f64)] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_curve_has_what_the_log_and_the_run_have_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let log = folder.path().join("log");
        std::fs::write(
            &log,
            "begins\n1/40 steps, 0.3s, loss 2.5000\n21/40 steps, 0.7s, 0.3s left, loss 1.5000, 51.2k tokens/s\n",
        )
        .unwrap();
        let stage = RunningStage {
            log,
            ..RunningStage::default()
        };
        let mut losses = RunningLosses::new(&store, "r", &stage);
        let at = |done, loss| Progress {
            done,
            total: 40,
            unit: "steps".to_owned(),
            readings: BTreeMap::from([("loss".to_owned(), loss)]),
        };
        losses.update(Some(&at(10, 2.0)));
        assert_eq!(losses.points(), [(1, 2.5), (10, 2.0), (21, 1.5)]);
        losses.update(Some(&at(30, 1.0)));
        assert_eq!(losses.points().len(), 4);
        losses.update(Some(&at(31, f64::NAN)));
        assert_eq!(losses.points().len(), 4, "no curve has a point for what is no number");
        (100..3000).for_each(|step| losses.update(Some(&at(step, 1.0))));
        assert!(losses.points().len() < MAX_POINTS && losses.points().is_sorted_by_key(|(step, _)| *step));
    }
}
