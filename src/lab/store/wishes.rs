//! What experiments wish to keep, in `wishes/`: one file for each experiment, written by its runs.
//!
//! The first line says whose file it is, as JSON. Each further line is about one stage: its key, when a run of the experiment last had it
//! (in seconds since 1970, rounded down to the hour), `open`, `part` or `done`, and its [`StageKeep`]s. A stage is open as long as a stage
//! of the experiment that uses its outputs has not run. It is `part` where only a part of the experiment was run, without such a stage:
//! then it counts as open until any stage in the store has read the output. A file is replaced as a whole, by its own experiment alone, so no wish is lost where
//! several experiments or hosts use one store; what an artifact's experiments wish is put together when gc asks.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::keep::{self, Hold, StageKeep, read_keep};
use super::{Store, StoreError, atomic};
use crate::hash::Digest;

/// The newest version of the format. gc does not run beside a later one: it could miss a wish.
const WISHES_FORMAT: u32 = 1;

/// Times are rounded down to this, so that most runs find their file as they would write it.
const HOUR: u64 = 3600;

/// An experiment that has not been run for so long does not hold what its unfinished stages need. And what it does not have any more, and
/// wished nothing special for, it forgets after this time.
const OPEN_FOR: Duration = Duration::from_secs(30 * 86400);

/// Whose wishes these are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wisher {
    /// The experiment's name.
    pub experiment: String,
    /// The absolute path of its file.
    pub file: String,
    /// The user who runs it.
    pub user: String,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    #[serde(flatten)]
    wisher: Wisher,
}

/// What an experiment wishes for one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageWish {
    pub key: Digest,
    /// Whether a stage that uses its outputs has not run; `None` if the run did not look at all of these.
    pub open: Option<bool>,
    /// What [`super::keep_text`] gives.
    pub keep: String,
}

/// Whether the stages have run that use a stage's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Users {
    Open,
    Part,
    Done,
}

/// One line of a file.
#[derive(Clone, Debug)]
struct Wish {
    wisher: usize,
    used: u64,
    users: Users,
    keep: Vec<StageKeep>,
}

/// The wishes of all experiments, by stage.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    wishers: Vec<Wisher>,
    by_key: HashMap<Digest, Vec<Wish>>,
    /// In seconds since 1970.
    now: u64,
}

/// What gc knows of an output beside its name.
pub(super) struct OutputFacts<'a> {
    pub(super) key: &'a Digest,
    pub(super) port: &'a str,
    pub(super) is_result: bool,
    /// Whether a record in the store has it as an input.
    pub(super) is_read: bool,
    /// The age of the record.
    pub(super) age: Duration,
    /// What the run wished that made it.
    pub(super) own: &'a str,
    /// Whose run that was.
    pub(super) experiment: &'a str,
    pub(super) user: &'a str,
}

impl Wishes {
    /// Whether an output may go, if all wishes for it are heard.
    pub(super) fn hold(&self, output: &OutputFacts<'_>, forget: bool) -> Hold {
        let wishes = self.by_key.get(output.key).map(Vec::as_slice).unwrap_or_default();
        let of = |keep: &[StageKeep], unused: Duration| {
            let each = keep.iter().map(|keep| keep.of(output.port, output.is_result));
            each.map(|keep| keep::hold(keep, unused, output.is_result, forget)).min()
        };
        let mut held = Hold::Free;
        for wish in wishes {
            let unused = Duration::from_secs(self.now.saturating_sub(wish.used));
            let is_open = wish.users == Users::Open || wish.users == Users::Part && !output.is_read;
            let is_waited_for = is_open && unused < OPEN_FOR;
            held = held.min(if is_waited_for { Hold::Held } else { Hold::Free });
            held = held.min(of(&wish.keep, unused).unwrap_or(Hold::Held));
        }
        let is_told = |wish: &Wish| {
            let wisher = self.wishers.get(wish.wisher);
            wisher.is_some_and(|wisher| wisher.experiment == output.experiment && wisher.user == output.user)
        };
        // A record has the `keep_outputs` of the run that made it. A later run may have another.
        if wishes.is_empty() || !output.own.is_empty() && !wishes.iter().any(is_told) {
            let own = read_keep(output.own).unwrap_or_default();
            held = held.min(of(&own, output.age).unwrap_or(Hold::Held));
        }
        held
    }
}

impl Store {
    /// Writes what an experiment wishes for its stages, beside what it wished for those that it has no more.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_wishes(&self, wisher: &Wisher, stages: &[StageWish]) -> Result<(), StoreError> {
        let path = self.wishes_path(wisher);
        let now = seconds(self.now()?);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let mut lines: BTreeMap<&str, String> = BTreeMap::new();
        for line in before.lines().skip(1) {
            let Some((key, rest)) = line.split_once(' ') else { continue };
            let mut words = rest.split(' ');
            let used: u64 = words.next().and_then(|used| used.parse().ok()).unwrap_or(0);
            let (_, is_special) = (words.next(), words.next().is_some_and(|keep| !keep.is_empty()));
            if is_special || now.saturating_sub(used) < OPEN_FOR.as_secs() {
                lines.insert(key, rest.to_owned());
            }
        }
        let keys: Vec<String> = stages.iter().map(|stage| stage.key.to_string()).collect();
        let used = now / HOUR * HOUR;
        for (key, stage) in keys.iter().zip(stages) {
            let was_done = || lines.get(key.as_str()).is_some_and(|line| line.split(' ').nth(1) == Some("done"));
            let state = match stage.open {
                Some(true) => "open",
                None if !was_done() => "part",
                Some(false) | None => "done",
            };
            lines.insert(key, format!("{used} {state} {}", stage.keep));
        }
        let head = Head {
            format: WISHES_FORMAT,
            wisher: wisher.clone(),
        };
        let mut text = serde_json::to_string(&head).unwrap_or_default() + "\n";
        for (key, line) in &lines {
            text.extend([key, " ", line, "\n"]);
        }
        if text == before {
            return Ok(());
        }
        atomic::write(&self.root.join("tmp"), &path, text.as_bytes()).map_err(StoreError::io("write", &path))
    }

    /// Forgets the wishes of all experiments in this file, of whatever user. Returns whether there were any.
    ///
    /// # Errors
    /// If they cannot be read or removed.
    pub fn forget_wishes(&self, file: &str) -> Result<bool, StoreError> {
        let mut found = false;
        for path in self.wish_files()? {
            let Some((head, _)) = read(&path)? else { continue };
            if head.wisher.file == file {
                std::fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
                found = true;
            }
        }
        Ok(found)
    }

    /// The wishes of all experiments.
    ///
    /// # Errors
    /// If a file cannot be read: gc must not run without it.
    pub(super) fn wishes(&self, now: SystemTime) -> Result<Wishes, StoreError> {
        let mut wishes = Wishes {
            now: seconds(now),
            ..Wishes::default()
        };
        for path in self.wish_files()? {
            let Some((head, text)) = read(&path)? else { continue };
            let wisher = wishes.wishers.len();
            wishes.wishers.push(head.wisher);
            for line in text.lines().skip(1) {
                let (key, wish) =
                    read_line(line, wisher).ok_or_else(|| damaged(&path, &format!("`{}` is no wish", line.escape_debug())))?;
                wishes.by_key.entry(key).or_default().push(wish);
            }
        }
        Ok(wishes)
    }

    fn wish_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.root.join("wishes");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read", &folder)(error)),
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(StoreError::io("read", &folder))?;
        paths.sort();
        Ok(paths)
    }

    fn wishes_path(&self, wisher: &Wisher) -> PathBuf {
        let Wisher { experiment, file, user } = wisher;
        let name = Digest::of(format!("{user}\n{file}\n{experiment}").as_bytes());
        self.root.join("wishes").join(name.to_string())
    }
}

/// A file of wishes; `None` if it has just been removed.
fn read(path: &Path) -> Result<Option<(Head, String)>, StoreError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let first = text.lines().next().unwrap_or_default();
    let found = serde_json::from_str(first).map(|super::record::FormatVersion { format }| format);
    match found {
        Ok(found) if found > WISHES_FORMAT => Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known: WISHES_FORMAT,
        }),
        _ => match serde_json::from_str(first) {
            Ok(head) => Ok(Some((head, text))),
            Err(error) => Err(damaged(path, &error.to_string())),
        },
    }
}

fn read_line(line: &str, wisher: usize) -> Option<(Digest, Wish)> {
    let mut words = line.splitn(4, ' ');
    let key = words.next()?.parse().ok()?;
    let used = words.next()?.parse().ok()?;
    let users = match words.next()? {
        "open" => Users::Open,
        "part" => Users::Part,
        "done" => Users::Done,
        _ => return None,
    };
    let keep = read_keep(words.next()?).ok()?;
    Some((key, Wish { wisher, used, users, keep }))
}

fn damaged(path: &Path, why: &str) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        problem: format!("does not say what an experiment wishes to keep ({why}): remove it, and run the experiment again"),
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests;
