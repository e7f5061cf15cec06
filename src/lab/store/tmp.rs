//! Work in progress: the files and folders in `tmp/`. Each is named after the process that makes it, which shows whether a killed
//! process left it behind or it is still needed.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use tempfile::Builder;
use walkdir::WalkDir;

use super::{Store, process};

/// The work of another machine counts as abandoned if nothing in it has changed for this long: there is no way to ask whether its
/// process is alive, and a stage may write its outputs hours after it began.
const ABANDONED_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Ends the owner's part of a name.
const OWNER_END: char = '~';

/// The process that made a file or folder of `tmp/`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    process: u32,
    began: u64,
    namespace: u64,
    host: String,
}

/// Makes files and folders that are named after this process.
pub(super) fn builder() -> Builder<'static, 'static> {
    static PREFIX: OnceLock<String> = OnceLock::new();
    let prefix = PREFIX.get_or_init(|| Owner::this_process().prefix());
    let mut builder = Builder::new();
    builder.prefix(prefix.as_str());
    builder
}

impl Store {
    /// Removes the files of dead processes in `tmp/`, and downloads and uploads that nobody has continued for a week.
    pub fn clear_abandoned_work(&self) {
        let tmp = self.root.join("tmp");
        let left = std::fs::read_dir(&tmp).into_iter().flatten().filter_map(Result::ok);
        for entry in left {
            let owner = Owner::parse(&entry.file_name().to_string_lossy());
            let is_abandoned = match owner.filter(Owner::is_here) {
                Some(owner) => !process::is_alive(owner.process, owner.began),
                None => age(&tmp, &entry.path()).is_ok_and(|age| age > ABANDONED_AFTER),
            };
            if is_abandoned {
                // A file that stays only costs space; another process may be removing it, too.
                let _ = match entry.file_type() {
                    Ok(kind) if kind.is_dir() => remove_folder(&entry.path()),
                    _ => std::fs::remove_file(entry.path()),
                };
            }
        }
        let partial = std::fs::read_dir(self.root.join("partial"));
        for entry in partial.into_iter().flatten().filter_map(Result::ok) {
            if age(&tmp, &entry.path()).is_ok_and(|age| age > ABANDONED_AFTER) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Removes a folder, even where it has folders that may not be changed: a program's inputs are in such.
///
/// # Errors
/// If there is no such folder, or something in it cannot be removed.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    if std::fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    for entry in WalkDir::new(path).into_iter().map_while(Result::ok) {
        if entry.file_type().is_dir() {
            // What cannot be changed is told by the removal.
            let _ = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o755));
        }
    }
    std::fs::remove_dir_all(path)
}

/// The time since the last change at `path`, by the clock of the file server.
pub(super) fn age(tmp: &Path, path: &Path) -> io::Result<Duration> {
    let now = tempfile::tempfile_in(tmp)?.metadata()?.modified()?;
    let mut latest = SystemTime::UNIX_EPOCH;
    for entry in WalkDir::new(path) {
        latest = latest.max(entry?.metadata()?.modified()?);
    }
    Ok(now.duration_since(latest).unwrap_or_default())
}

impl Owner {
    fn this_process() -> Self {
        let process = std::process::id();
        Self {
            process,
            began: process::began(process).unwrap_or(0),
            namespace: process::namespace(),
            host: process::host(),
        }
    }

    /// `4711-88240-4026531836-node3~`
    fn prefix(&self) -> String {
        let Self {
            process,
            began,
            namespace,
            host,
        } = self;
        format!("{process}-{began}-{namespace}-{host}{OWNER_END}")
    }

    /// The owner in a name.
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.rsplit_once(OWNER_END)?.0.splitn(4, '-');
        Some(Self {
            process: parts.next()?.parse().ok()?,
            began: parts.next()?.parse().ok()?,
            namespace: parts.next()?.parse().ok()?,
            host: parts.next()?.to_owned(),
        })
    }

    /// Whether the process ran on this machine, where we can ask whether it is alive.
    fn is_here(&self) -> bool {
        self.host == process::host() && self.namespace == process::namespace()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(store: &Store) -> Vec<String> {
        let entries = std::fs::read_dir(store.root.join("tmp")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A folder as a process of that name leaves it when it is killed.
    fn leave(store: &Store, name: &str, days: u64) {
        let folder = store.root.join("tmp").join(name);
        std::fs::create_dir_all(folder.join("model")).unwrap();
        std::fs::write(folder.join("model/weights"), "half").unwrap();
        let then = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
        for path in [folder.join("model/weights"), folder.join("model"), folder] {
            std::fs::File::open(path).unwrap().set_modified(then).unwrap();
        }
    }

    #[test]
    fn only_the_work_of_dead_processes_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let this = Owner::this_process();
        let workspace = store.workspace().unwrap();
        let dead = Owner {
            process: child.id(),
            ..this.clone()
        };
        let reused = Owner {
            began: this.began + 1,
            ..this.clone()
        };
        let container = Owner {
            namespace: 1,
            ..dead.clone()
        };
        let elsewhere = Owner {
            host: "node-3".into(),
            ..dead.clone()
        };
        for (owner, name) in [(&dead, "a"), (&reused, "b"), (&container, "c"), (&elsewhere, "d")] {
            leave(&store, &(owner.prefix() + name), 6);
        }
        leave(&store, &(elsewhere.prefix() + "e"), 8);
        leave(&store, ".tmp123", 8);
        // A process that runs may take as long as it likes.
        leave(&store, &(this.prefix() + "f"), 8);
        std::fs::write(store.root.join("tmp").join(dead.prefix() + "g"), "a lease").unwrap();
        let partial = |days: u64| {
            let path = store.root.join("partial").join(format!("of {days} days"));
            let file = std::fs::File::create(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60))
                .unwrap();
            path
        };
        let (old, young) = (partial(8), partial(6));
        store.clear_abandoned_work();
        assert!(!old.exists() && young.exists());
        let own = workspace.path().file_name().unwrap().to_str().unwrap().to_owned();
        let mut kept = [own, container.prefix() + "c", elsewhere.prefix() + "d", this.prefix() + "f"];
        kept.sort();
        assert_eq!(names(&store), kept);
    }

    #[test]
    fn an_owner_is_read_from_its_name() {
        let owner = Owner {
            host: "node-3.lab~2".to_owned(),
            ..Owner::this_process()
        };
        assert_eq!(Owner::parse(&(owner.prefix() + "x7Gh")), Some(owner));
        assert_eq!(Owner::parse(".tmpx7Gh"), None);
    }
}
