//! What a program may read and write, and how the system holds it to that (Landlock, on Linux).
//!
//! A domain of Landlock belongs to a thread and to the processes that it starts, so a thread of its own restricts itself and starts the
//! program. The worker stays as it is.

mod places;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lab::config::SandboxMode;
use lab::stage::Sandbox as Setting;

pub(super) use places::make_caches;
use places::{caches, installation, interpreters, is_below, open_parts, real, version_manager};

/// The folders for temporary files of all programs. Programs should use `TMPDIR`; some do not.
const SHARED_FOLDERS: [&str; 2] = ["/tmp", "/var/tmp"];

/// The system's folders, which every program may read.
const SYSTEM_FOLDERS: [&str; 18] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/bin",
    "/sbin",
    "/etc",
    "/opt",
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/nix",
    "/gnu",
    "/snap",
    "/var/lib",
    "/var/cache",
];

/// The system cannot hold the program to its files, though it has said that it can.
#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Rules(#[from] landlock::RulesetError),
    #[cfg(target_os = "linux")]
    #[error("the system enforces only a part of the rules")]
    Partial,
}

/// What a program may use.
#[derive(Debug)]
pub(super) struct Sandbox {
    mode: SandboxMode,
    /// Its own folders, which it may read and write.
    own: Vec<PathBuf>,
    /// What it may read and write beside.
    shared: Vec<PathBuf>,
    /// What it may read.
    readable: Vec<PathBuf>,
    /// The folder with its inputs, which it may read.
    inputs: PathBuf,
    /// How far the system can hold it to that.
    strength: Strength,
}

/// How far a system can hold a program to its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has Landlock"))]
enum Strength {
    /// Not at all.
    None,
    /// But for `truncate`, which can still cut any file of the user (Linux 5.19).
    Most,
    /// In all (Linux 6.2).
    Full,
}

/// The folders of a stage, from which the rules for its program are made.
pub(super) struct StageFolders<'a> {
    /// The program's own folders.
    pub(super) own: Vec<PathBuf>,
    /// The folder with its inputs.
    pub(super) inputs: &'a Path,
    /// What a program must not write to: the store, the experiment.
    pub(super) guarded: Vec<PathBuf>,
    /// The store, in which nothing is shared.
    pub(super) store: &'a Path,
    /// The programs that it starts with, with their interpreters.
    pub(super) programs: Vec<PathBuf>,
    /// The folders in which programs are searched.
    pub(super) search: Vec<PathBuf>,
    /// What else it may read: the folders of its environment.
    pub(super) readable: Vec<PathBuf>,
    /// Whether the program mounts folders, as those of containers do: the system lets none do so that is held to its files.
    pub(super) mounts: bool,
}

impl Sandbox {
    pub(super) fn new(setting: &Setting, env: &BTreeMap<String, String>, folders: StageFolders<'_>) -> Self {
        let StageFolders {
            own,
            inputs,
            guarded,
            store,
            programs,
            search,
            readable: others,
            mounts,
        } = folders;
        let store = real(store);
        let guarded: Vec<PathBuf> = guarded.iter().map(|path| real(path)).chain([store.clone()]).collect();
        let is_apart = |folder: &PathBuf| !guarded.iter().any(|path| path.starts_with(folder));
        let mut shared: Vec<PathBuf> = SHARED_FOLDERS.map(PathBuf::from).into_iter().filter(is_apart).collect();
        let parts = ["/dev", "/proc"].map(PathBuf::from).into_iter().chain(caches(env));
        shared.extend(parts.flat_map(|folder| open_parts(&folder, &guarded, &store)));
        shared.extend(setting.writes.iter().cloned());
        let mut readable: Vec<PathBuf> = SYSTEM_FOLDERS.iter().map(PathBuf::from).collect();
        readable.push(inputs.to_owned());
        readable.extend(others);
        let inputs = inputs.to_owned();
        for program in programs {
            readable.extend(installation(&program));
            readable.extend(installation(&real(&program)));
            readable.push(program);
        }
        for folder in search {
            readable.extend(installation(&folder.join("program")));
            readable.extend(interpreters(&folder));
            readable.extend(version_manager(&folder));
            readable.push(folder);
        }
        Self {
            mode: setting.mode,
            own,
            shared,
            readable,
            inputs,
            strength: if mounts || setting.mode == SandboxMode::Off {
                Strength::None
            } else {
                system::strength()
            },
        }
    }

    /// How far the program is held to its own files, for the record.
    pub(super) fn held_by(&self) -> &'static str {
        match self.mode {
            SandboxMode::Off => "off",
            _ if self.strength == Strength::None => "none",
            SandboxMode::Writes => "writes",
            SandboxMode::Reads => "reads",
        }
    }

    /// Whether the program can in no way write to the files at `path`, whoever owns them.
    pub(super) fn guards(&self, path: &Path) -> bool {
        let path = real(path);
        self.strength == Strength::Full && !self.own.iter().chain(&self.shared).any(|folder| path.starts_with(real(folder)))
    }

    /// Whether the program may write to `path`.
    pub(super) fn may_write(&self, path: &Path) -> bool {
        self.strength == Strength::None || is_below(path, &self.own) || is_below(path, &self.shared)
    }

    /// Whether `path` is an input, or in one.
    pub(super) fn is_input(&self, path: &Path) -> bool {
        is_below(path, std::slice::from_ref(&self.inputs))
    }

    /// Whether the program may read `path`.
    pub(super) fn may_read(&self, path: &Path) -> bool {
        self.mode != SandboxMode::Reads || self.may_write(path) || is_below(path, &self.readable)
    }

    /// Holds this thread, and all that it starts, to the files that the program may use.
    pub(super) fn enter(&self) -> Result<(), SandboxError> {
        if self.strength == Strength::None {
            return Ok(());
        }
        let writable = self.own.iter().chain(&self.shared);
        let readable: &[PathBuf] = if self.mode == SandboxMode::Reads { &self.readable } else { &[] };
        system::enter(self.strength, self.mode == SandboxMode::Reads, writable, readable)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::path::PathBuf;

    use super::{SandboxError, Strength};
    use landlock::{
        ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr,
        RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
    };

    /// What this system can do. Before version 2 of Landlock, no file could be moved from one folder to another.
    pub(super) fn strength() -> Strength {
        let mut strengths = [Strength::Full, Strength::Most].into_iter();
        strengths.find(|strength| rules(*strength, true).is_ok()).unwrap_or(Strength::None)
    }

    fn version(strength: Strength) -> ABI {
        if strength == Strength::Full { ABI::V3 } else { ABI::V2 }
    }

    fn rules(strength: Strength, reads: bool) -> Result<RulesetCreated, RulesetError> {
        let version = version(strength);
        let handled = if reads {
            AccessFs::from_all(version)
        } else {
            AccessFs::from_write(version)
        };
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(handled)?
            .create()
    }

    pub(super) fn enter<'a>(
        strength: Strength,
        reads: bool,
        writable: impl Iterator<Item = &'a PathBuf>,
        readable: &[PathBuf],
    ) -> Result<(), SandboxError> {
        let mut rules = rules(strength, reads)?;
        let version = version(strength);
        let (read, write) = (AccessFs::from_read(version), AccessFs::from_write(version));
        let both = if reads { read | write } else { write };
        // The log, which is the program's output: `/dev/stderr` opens it by its name. A pipe in its place needs no rule, and takes none.
        let log = Some(PathBuf::from("/proc/self/fd/2")).filter(|log| log.is_file());
        let rule = |path: &PathBuf, access| (path.clone(), access);
        let all = writable.map(|path| rule(path, both)).chain(log.map(|log| (log, both)));
        for (path, access) in all.chain(readable.iter().map(|path| rule(path, read))) {
            // What is not there needs no rule.
            let Ok(file) = PathFd::new(&path) else { continue };
            let access: BitFlags<AccessFs> = if path.is_dir() {
                access
            } else {
                access & AccessFs::from_file(version)
            };
            if !access.is_empty() {
                rules = rules.add_rule(PathBeneath::new(file, access))?;
            }
        }
        let RestrictionStatus { ruleset, .. } = rules.restrict_self()?;
        match ruleset {
            RulesetStatus::FullyEnforced => Ok(()),
            _ => Err(SandboxError::Partial),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::path::PathBuf;

    use super::{SandboxError, Strength};

    pub(super) fn strength() -> Strength {
        Strength::None
    }

    pub(super) fn enter<'a>(
        _strength: Strength,
        _reads: bool,
        _writable: impl Iterator<Item = &'a PathBuf>,
        _readable: &[PathBuf],
    ) -> Result<(), SandboxError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_folders_are_shared_unless_something_guarded_is_in_them() {
        let sandbox = |guarded: &str| {
            let folders = StageFolders {
                own: vec!["/store/scratch/work".into()],
                inputs: Path::new("/store/scratch/inputs"),
                guarded: vec![guarded.into()],
                store: Path::new(guarded),
                programs: Vec::new(),
                search: Vec::new(),
                readable: Vec::new(),
                mounts: false,
            };
            let mut sandbox = Sandbox::new(&Setting::default(), &BTreeMap::new(), folders);
            sandbox.strength = Strength::Full;
            sandbox
        };
        let usual = sandbox("/store");
        assert!(usual.may_write(Path::new("/tmp/x")) && usual.may_write(Path::new("/store/scratch/work/x")));
        assert!(!usual.may_write(Path::new("/store/scratch/inputs/x")) && usual.guards(Path::new("/store/scratch/inputs/x")));
        assert!(!usual.may_write(Path::new("/tmpx")));
        let within = sandbox("/tmp/store");
        let mut weak = sandbox("/store");
        weak.strength = Strength::Most;
        assert!(!weak.guards(Path::new("/store/scratch/inputs/x")), "`truncate` can still cut it");
        assert!(!within.may_write(Path::new("/tmp/x")) && within.may_write(Path::new("/var/tmp/x")));
    }
}
