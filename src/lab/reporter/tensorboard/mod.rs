//! A run for TensorBoard: training curves and scores as event files.
//!
//! ```text
//! DIR/numbered[0] seed=1/events.out.tfevents.…    loss, learning_rate, … by optimizer step, as the training goes on
//! DIR/score seed=1/events.out.tfevents.…          accuracy/in_domain, average_steps/in_domain, … by the stage's index
//! ```
//!
//! A stage that the store has is shown as well: its curve from the model, its scores from the metrics. Of a program, these are the series and
//! the numbers in its metrics: `f1/scores` for the output `scores`. Beside scores, the coordinates of the variant are its hyperparameters.

mod record;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Clock;
use crate::event::{Event, Reporter, StageName};
use crate::hash::Digest;
use crate::store::Store;
use crate::text::clean_file_name;

/// The prefix of the names of event files, by which TensorBoard finds them.
const EVENT_FILE_PREFIX: &str = "events.out.tfevents";

/// The axis over which means are taken.
const SEED: &str = "seed";

/// The longest name of a folder.
const FOLDER_NAME_LENGTH: usize = 120;

/// Writes event files below a folder; a file that cannot be written is no reason to lose the run.
pub struct TensorBoard<C> {
    folder: PathBuf,
    store: Store,
    reader: ArtifactReader,
    /// The data sets that a stage's metrics are about.
    sets: BTreeMap<StageName, Vec<String>>,
    clock: C,
    files: BTreeMap<PathBuf, File>,
}

/// Readings by name at an optimizer step.
pub type CurvePoint = (u64, NamedValues);

/// Numbers by name.
pub type NamedValues = Vec<(String, f64)>;

/// Reads artifacts for TensorBoard. Handed in, since the lab knows no format of an artifact; each gets the artifact's path, and
/// returns an empty list for an artifact of another kind.
#[derive(Clone, Copy)]
pub struct ArtifactReader {
    /// A model's training curve, or the series of metrics.
    pub curve: fn(&Path) -> Vec<CurvePoint>,
    /// The scores of each data set, in the order of the evaluation's inputs; of a program, all in one.
    pub scores: fn(&Path) -> Vec<NamedValues>,
}

impl<C: Clock> TensorBoard<C> {
    /// Writes below `folder`, which is created if necessary. `sets` names the data sets of the stages that give metrics.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn new(folder: &Path, store: Store, reader: ArtifactReader, sets: BTreeMap<StageName, Vec<String>>, clock: C) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            store,
            reader,
            sets,
            clock,
            files: BTreeMap::new(),
        })
    }

    fn time(&self) -> f64 {
        self.clock.now().as_secs_f64()
    }

    /// Appends values to a file. The first call in a run replaces an older file.
    fn add<'a>(&mut self, path: &Path, step: u64, values: impl Iterator<Item = (&'a str, f64)>) {
        self.write(path, &record::scalars(self.time(), step, values));
    }

    fn write(&mut self, path: &Path, record: &[u8]) {
        let time = self.time();
        if !self.files.contains_key(path) {
            let begun = || {
                std::fs::create_dir_all(path.parent()?).ok()?;
                let mut file = File::create(path).ok()?;
                file.write_all(&record::opening(time)).ok()?;
                Some(file)
            };
            let Some(file) = begun() else { return };
            self.files.insert(path.to_owned(), file);
        }
        if let Some(file) = self.files.get_mut(path) {
            let _ = file.write_all(record);
        }
    }

    /// The file for the progress of a running stage.
    fn live_file(&self, stage: &StageName) -> PathBuf {
        let name = format!("{EVENT_FILE_PREFIX}.{:010}.runner.{}", self.time() as u64, std::process::id());
        let folder = self.folder.join(folder_name(&stage.name, stage));
        let known = self.files.keys().find(|path| path.parent() == Some(&folder));
        known.cloned().unwrap_or_else(|| folder.join(name))
    }

    /// Adds the outputs of a stage that has ended.
    fn add_outputs(&mut self, stage: &StageName, outputs: &BTreeMap<String, Digest>) {
        // Where the folder is there, the run wrote the curve while the model was trained.
        let folder = self.folder.join(folder_name(&stage.name, stage));
        if !folder.exists() {
            let file = folder.join(format!("{EVENT_FILE_PREFIX}.0.runner.curve"));
            outputs
                .values()
                .for_each(|digest| self.add_curve(&file, &self.store.readable(digest)));
            self.files.remove(&file);
        }
        for (port, digest) in outputs {
            self.add_scores(stage, port, &self.store.readable(digest));
        }
    }

    /// Adds the whole curve of a model, or the series of metrics.
    fn add_curve(&mut self, file: &Path, artifact: &Path) {
        for (step, readings) in (self.reader.curve)(artifact) {
            self.add(file, step, readings.iter().map(|(name, value)| (name.as_str(), *value)));
        }
    }

    /// Adds the scores in the artifact of an output. Where the names of the data sets are not known, the output's name tells what they are.
    fn add_scores(&mut self, stage: &StageName, port: &str, artifact: &Path) {
        let (base, index) = stage.name.split_once('[').unwrap_or((&stage.name, ""));
        let step = index.trim_end_matches(']').parse().unwrap_or(0);
        let file = self
            .folder
            .join(folder_name(base, stage))
            .join(format!("{EVENT_FILE_PREFIX}.0.runner.scores"));
        let names = self.sets.get(stage).cloned().unwrap_or_default();
        let sets = (self.reader.scores)(artifact);
        let is_one = sets.len() == 1;
        if !sets.is_empty() && !self.files.contains_key(&file) {
            self.add_hyperparameters(&file, base, stage);
        }
        for (place, scores) in sets.into_iter().enumerate() {
            let of_port = || if is_one { port.to_owned() } else { format!("{port}.{place}") };
            let name = names.get(place).cloned().unwrap_or_else(of_port);
            let scores: Vec<(String, f64)> = scores
                .into_iter()
                .map(|(metric, value)| (format!("{metric}/{name}"), value))
                .collect();
            self.add(&file, step, scores.iter().map(|(tag, value)| (tag.as_str(), *value)));
        }
    }
}

impl<C: Clock> TensorBoard<C> {
    /// Adds the coordinates of the stage's variant. Variants that differ in their seeds alone are runs of one group.
    fn add_hyperparameters(&mut self, file: &Path, base: &str, stage: &StageName) {
        let axes = || stage.variant.iter().filter(|(axis, _)| *axis != SEED);
        let group = axes().fold(base.to_owned(), |group, (axis, value)| format!("{group} {axis}={value}"));
        if axes().next().is_some() {
            let values = axes().map(|(axis, value)| (axis.as_str(), value.as_str()));
            self.write(file, &record::hyperparameters(self.time(), &group, values));
        }
    }
}

impl<C: Clock> Reporter for TensorBoard<C> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Progressed { stage, progress } if progress.readings.contains_key("loss") => {
                let file = self.live_file(stage);
                let values = progress.readings.iter().map(|(name, value)| (name.as_str(), *value));
                self.add(&file, progress.done, values);
            }
            Event::Cached { stage, key } => {
                let outputs = self.store.outputs(key).ok().flatten().unwrap_or_default();
                let digests = outputs.into_iter().map(|(port, artifact)| (port, artifact.digest)).collect();
                self.add_outputs(stage, &digests);
            }
            Event::Finished { stage, outputs, .. } => self.add_outputs(stage, outputs),
            _ => {}
        }
    }
}

/// `score seed=1 start=warm`, without characters that are special to file systems.
fn folder_name(name: &str, stage: &StageName) -> String {
    let coordinates = stage.variant.iter().map(|(axis, value)| format!(" {axis}={value}"));
    clean_file_name(
        &(name.to_owned() + &coordinates.collect::<String>()),
        "-_.=[], ",
        FOLDER_NAME_LENGTH,
    )
}

#[cfg(test)]
mod tests;
