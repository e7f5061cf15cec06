//! The holder of a scratch folder: one stage's program at a time uses it.
//!
//! Where worker and runner were killed, the program may live on. The next holder ends it on this machine. Where it cannot know that the
//! last holder has ended (on another machine, or in another container), it begins a folder of its own, without checkpoints.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use tempfile::TempPath;

use super::{inputs, log};
use lab::processes::{Process, end_users_of};
use lab::stage::{StageContext, StageError, failed};

/// The file that says who holds the folder.
const HOLDER_FILE: &str = "holder.json";

/// The time that a worker whose runner has ended gets to stop its program and to end itself.
const WORKER_TIMEOUT: Duration = Duration::from_secs(30);

/// The time that killed processes get to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// The namespace of process numbers outside of containers, on every machine.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// The interval at which is looked again whether they have.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Where the short name of a folder for temporary files is: in the store it would be too long for a socket, whose path may have 107 bytes.
const SHORT_FOLDER: &str = "/tmp";

/// The folders of a program, in its scratch folder.
pub(super) const WORK: &str = "work";
pub(super) const PRIVATE: &str = "private";
pub(super) const KEPT: &str = "kept";
pub(super) const INPUTS: &str = "inputs";

/// A scratch folder that no other program uses.
pub(super) struct Scratch {
    /// The folder of the stage's key.
    root: PathBuf,
    /// The folder to use: `root`, or a folder in it where another holder may still use that.
    pub(super) folder: PathBuf,
    /// A short link to the folder for temporary files, where one can be made. Removed when dropped.
    pub(super) short: Option<TempPath>,
    holder: Holder,
}

/// Who holds a scratch folder, and on which machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Holder {
    host: String,
    /// The identity of the installed system.
    machine: String,
    /// The identity of the time since the machine was started.
    boot: String,
    /// The namespace of process numbers: each container has its own.
    namespace: String,
    /// The worker.
    process: i32,
    /// When it began.
    began: u64,
    /// The folder that it uses, within that of the key.
    folder: PathBuf,
    /// The short link to its folder for temporary files.
    short: PathBuf,
    /// Whether it has ended with all that it started.
    ended: bool,
}

/// What is known of the last holder.
#[derive(Debug, PartialEq)]
enum Last {
    /// It ran where its processes can be looked for.
    Here,
    /// It has ended: by its own word, or because the machine has been started again since.
    Ended,
    Unknown,
}

impl Scratch {
    /// Takes the scratch folder of the stage, and ends what an earlier holder has left running.
    pub(super) fn take(context: &StageContext<'_>) -> Result<Self, StageError> {
        fs::create_dir_all(context.scratch).map_err(failed)?;
        // As the kernel names it for open files.
        let root = context.scratch.canonicalize().map_err(failed)?;
        let mut holder = Holder::this();
        if let Some(last) = read(&root) {
            let known = last.known_to(&holder);
            let is_free = match known {
                Last::Ended => true,
                Last::Here => end_processes_of(&last, &root, context)?,
                Last::Unknown => false,
            };
            holder.folder = if known == Last::Ended {
                last.folder.clone()
            } else {
                PathBuf::from(format!("fresh-{}-{}-{}", holder.process, holder.began, holder.boot))
            };
            if is_free {
                remove_short(&last.short, &root);
            }
            if is_free && known == Last::Here {
                // A process that was not found knows the checkpoints by a path that leads nowhere now.
                move_kept(&root.join(&last.folder), &root.join(&holder.folder), &root)?;
            } else if !is_free {
                log(&format!(
                    "begins without the checkpoints of process {} on {}, which may still write to them",
                    last.process, last.host
                ));
            }
        }
        let folder = root.join(&holder.folder);
        let short = short_link(&folder.join(PRIVATE));
        holder.short = short.as_ref().map_or_else(PathBuf::new, |link| link.to_path_buf());
        let scratch = Self {
            folder,
            short,
            root,
            holder,
        };
        fs::create_dir_all(&scratch.folder).map_err(failed)?;
        scratch.write(false)?;
        Ok(scratch)
    }

    /// The holder and all that it has started have ended: the next one, wherever it is, may use the folder.
    pub(super) fn release(&self) {
        // If this fails, the next holder looks for processes.
        let _ = self.write(true);
    }

    fn write(&self, ended: bool) -> Result<(), StageError> {
        let holder = Holder {
            ended,
            ..self.holder.clone()
        };
        let (path, new) = (self.root.join(HOLDER_FILE), self.root.join("holder.json.new"));
        let text = serde_json::to_string(&holder).map_err(failed)?;
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| failed(format!("cannot write {}: {error}", path.display())))
    }
}

/// The last holder; `None` where there was none. One that cannot be read is unknown.
fn read(root: &Path) -> Option<Holder> {
    let text = fs::read(root.join(HOLDER_FILE)).ok()?;
    Some(serde_json::from_slice(&text).unwrap_or_default())
}

impl Holder {
    fn this() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let process = Process::this();
        Self {
            host: lab::store::host(),
            machine: text("/etc/machine-id"),
            boot: text("/proc/sys/kernel/random/boot_id"),
            namespace: namespace.to_string_lossy().into_owned(),
            process: std::process::id().cast_signed(),
            began: process.map_or(0, |process| process.began),
            folder: PathBuf::new(),
            short: PathBuf::new(),
            ended: false,
        }
    }

    /// What the holder `this` can know of this one.
    fn known_to(&self, this: &Self) -> Last {
        let same = |mine: &String, theirs: &String| !mine.is_empty() && mine == theirs;
        if self.ended {
            Last::Ended
        } else if same(&self.boot, &this.boot) && self.namespace == this.namespace {
            Last::Here
        } else if self.boot.is_empty() && same(&self.host, &this.host) && this.boot.is_empty() {
            // A system without `/proc`.
            Last::Here
        } else if !self.boot.is_empty() && self.boot != this.boot && same(&self.machine, &this.machine) && self.is_bare() && this.is_bare()
        {
            Last::Ended
        } else {
            Last::Unknown
        }
    }

    /// Whether it runs in no container: many containers share the identity of the system in their image.
    fn is_bare(&self) -> bool {
        self.namespace == FIRST_NAMESPACE
    }

    fn worker(&self) -> Option<Process> {
        Process::of(self.process).filter(|process| process.began == self.began && process.runs())
    }
}

/// A short link to the folder of the program's temporary files.
fn short_link(private: &Path) -> Option<TempPath> {
    let link = tempfile::Builder::new()
        .prefix("runner-")
        .make_in(SHORT_FOLDER, |path| std::os::unix::fs::symlink(private, path));
    link.ok().map(tempfile::NamedTempFile::into_temp_path)
}

/// Removes the short link of an earlier holder, if it still leads into its folder.
fn remove_short(link: &Path, root: &Path) {
    if fs::read_link(link).is_ok_and(|to| to.starts_with(root)) {
        let _ = fs::remove_file(link);
    }
}

/// Moves the checkpoints of an earlier holder to a new folder, and removes what else the holder has left.
fn move_kept(from: &Path, to: &Path, root: &Path) -> Result<(), StageError> {
    fs::create_dir_all(to).map_err(failed)?;
    let (old, new) = (from.join(KEPT), to.join(KEPT));
    // Without such a folder there are no checkpoints.
    if let Err(error) = fs::rename(&old, &new)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(failed(format!("cannot move {} to {}: {error}", old.display(), new.display())));
    }
    for part in [WORK, PRIVATE, INPUTS] {
        inputs::remove(&from.join(part));
    }
    if from.strip_prefix(root).is_ok_and(|inside| inside.components().next().is_some()) {
        inputs::remove(from);
    }
    Ok(())
}

/// Ends what the last holder has left running on this machine. Returns whether all has ended.
fn end_processes_of(last: &Holder, root: &Path, context: &StageContext<'_>) -> Result<bool, StageError> {
    let begun = Instant::now();
    // A worker that lives notices that its runner has ended, and stops its program, which may save its state.
    while last.worker().is_some() && begun.elapsed() < WORKER_TIMEOUT {
        if (context.stop)() {
            return Err(StageError::Stopped);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    let told = |process: &Process| {
        log(&format!(
            "ends process {}, which an earlier attempt at this stage has left running",
            process.id
        ));
    };
    if let Some(worker) = last.worker() {
        told(&worker);
        worker.kill();
    }
    Ok(end_users_of(root, KILL_TIMEOUT, told) && last.worker().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_move_to_where_no_earlier_process_looks() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for made in ["kept", "work", "private", "fresh-1"] {
            fs::create_dir(root.join(made)).unwrap();
        }
        fs::write(root.join("kept/ckpt"), "1").unwrap();
        move_kept(&root.join(""), &root.join("fresh-2"), root).unwrap();
        assert_eq!(fs::read_to_string(root.join("fresh-2/kept/ckpt")).unwrap(), "1");
        assert!(!root.join("kept").exists() && !root.join("work").exists() && root.join("fresh-1").exists());
        move_kept(&root.join("fresh-2"), &root.join("fresh-3"), root).unwrap();
        assert_eq!(fs::read_to_string(root.join("fresh-3/kept/ckpt")).unwrap(), "1");
        assert!(!root.join("fresh-2").exists());
        // One that has made none.
        move_kept(&root.join("fresh-1"), &root.join("fresh-4"), root).unwrap();
    }

    #[test]
    fn the_short_link_of_an_earlier_holder_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("key");
        let link = short_link(&root.join(PRIVATE)).unwrap();
        // So that the longest name of a socket in it is taken.
        assert!(link.as_os_str().len() < 30, "{}", link.display());
        remove_short(&link, &folder.path().join("other"));
        assert!(fs::symlink_metadata(&link).is_ok());
        remove_short(&link, &root);
        assert!(fs::symlink_metadata(&link).is_err());
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        remove_short(&file, folder.path());
        remove_short(Path::new(""), folder.path());
        assert!(file.exists());
    }

    #[test]
    fn a_holder_is_known_by_its_machine() {
        let this = Holder {
            host: "node3".into(),
            machine: "m1".into(),
            boot: "b1".into(),
            namespace: "pid:[4026531836]".into(),
            ..Holder::default()
        };
        let known = |change: fn(&mut Holder)| {
            let mut last = this.clone();
            change(&mut last);
            last.known_to(&this)
        };
        assert_eq!(known(|_| {}), Last::Here);
        assert_eq!(
            known(|last| last.namespace = "pid:[4026532000]".into()),
            Last::Unknown,
            "a container"
        );
        assert_eq!(known(|last| last.boot = "b0".into()), Last::Ended, "started again since");
        assert_eq!(
            known(|last| (last.boot, last.machine) = ("b0".into(), "m2".into())),
            Last::Unknown,
            "another machine of the same name"
        );
        assert_eq!(
            known(|last| (last.boot, last.namespace) = ("b0".into(), "pid:[4026532000]".into())),
            Last::Unknown
        );
        assert_eq!(known(|last| (last.boot, last.ended) = ("b0".into(), true)), Last::Ended);
        assert_eq!(Holder::default().known_to(&this), Last::Unknown, "a file that cannot be read");
    }
}
