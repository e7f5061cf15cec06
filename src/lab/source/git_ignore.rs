//! What a project's `.gitignore` files leave out.
//!
//! They count whether git is there or not, so that a copy of the project has the same files. The user's own rules (`~/.config/git/ignore`,
//! `.git/info/exclude`) do not: another user has others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

const FILE: &str = ".gitignore";

/// The rules for a folder and what is in it.
pub(super) struct GitIgnore {
    /// Those of the folders that the folder is in, from the root of the repository down.
    above: Vec<Gitignore>,
    /// Those of the folder (depth 0) and of the folders that lead to the one that is being looked at.
    within: Vec<Gitignore>,
}

impl GitIgnore {
    /// The rules for `place`. Those of the folders above count up to the root of the repository; where there is none, up to the
    /// experiment's folder. Where they leave out `place` itself, it was named all the same, so they do not count. Both paths are real ones.
    ///
    /// # Errors
    /// When a file of rules cannot be read.
    pub(super) fn new(place: &Path, experiment: Option<&Path>) -> io::Result<Self> {
        Ok(Self {
            above: above(place, experiment)?,
            within: vec![rules(place)?],
        })
    }

    /// Whether a file or folder that is `depth` folders deep is left out. The folder that it is in has been entered.
    pub(super) fn ignores(&self, path: &Path, is_dir: bool, depth: usize) -> bool {
        let within = self.within.get(..depth).unwrap_or(&self.within);
        decide(self.above.iter().chain(within), path, is_dir)
    }

    /// Reads the rules of a folder that is `depth` folders deep, before what is in it is looked at.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn enter(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        self.within.truncate(depth);
        self.within.push(rules(folder)?);
        Ok(())
    }
}

/// The rules of the folders above `place`, outermost first; none where they leave it out.
fn above(place: &Path, experiment: Option<&Path>) -> io::Result<Vec<Gitignore>> {
    let mut ancestors = place.ancestors();
    let repository = ancestors.find(|folder| folder.join(".git").symlink_metadata().is_ok());
    let Some(root) = repository.or(experiment.filter(|folder| place.starts_with(folder))) else {
        return Ok(Vec::new());
    };
    // From the root down to `place`.
    let folders = place.ancestors().take_while(|folder| folder.starts_with(root));
    let mut folders: Vec<PathBuf> = folders.map(Path::to_owned).collect();
    folders.reverse();
    let mut found = Vec::new();
    for pair in folders.windows(2) {
        let [folder, next] = pair else { continue };
        found.push(rules(folder)?);
        if decide(found.iter(), next, true) {
            return Ok(Vec::new());
        }
    }
    Ok(found)
}

/// Whether a path is left out by rules, of which the last that say anything decide.
fn decide<'a>(rules: impl DoubleEndedIterator<Item = &'a Gitignore>, path: &Path, is_dir: bool) -> bool {
    let decided = rules.rev().map(|rules| rules.matched(path, is_dir)).find(|found| !found.is_none());
    matches!(decided, Some(Match::Ignore(_)))
}

/// The rules of one folder. Lines that are no rules are passed over, as git does.
fn rules(folder: &Path) -> io::Result<Gitignore> {
    let path = folder.join(FILE);
    let is_file = fs::metadata(&path).is_ok_and(|about| about.is_file());
    if !is_file {
        return Ok(Gitignore::empty());
    }
    let text = fs::read(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let text = String::from_utf8_lossy(&text);
    let mut builder = GitignoreBuilder::new(folder);
    for line in text.strip_prefix('\u{feff}').unwrap_or(&text).lines() {
        let _ = builder.add_line(None, line);
    }
    builder.build().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let real = folder.path().canonicalize().unwrap();
        (folder, real)
    }

    #[test]
    fn the_rules_of_inner_folders_win() {
        let (_kept, root) = folder(&[(".gitignore", "*.log\n/out/\n# a comment\n[\n"), ("in/.gitignore", "!keep.log\r\n")]);
        let mut rules = GitIgnore::new(&root, None).unwrap();
        assert!(rules.ignores(&root.join("a.log"), false, 1));
        assert!(rules.ignores(&root.join("out"), true, 1));
        assert!(!rules.ignores(&root.join("out"), false, 1), "a file");
        rules.enter(&root.join("in"), 1).unwrap();
        assert!(rules.ignores(&root.join("in/a.log"), false, 2));
        assert!(!rules.ignores(&root.join("in/keep.log"), false, 2));
        assert!(!rules.ignores(&root.join("in/out"), true, 2), "anchored");
        rules.enter(&root.join("other"), 1).unwrap();
        assert!(rules.ignores(&root.join("other/keep.log"), false, 2), "another folder");
    }

    #[test]
    fn those_above_count_up_to_the_repository_or_the_experiment() {
        let (_kept, root) = folder(&[(".gitignore", "a"), ("lab/.gitignore", "b"), ("lab/src/.gitignore", "c")]);
        let (lab, src) = (root.join("lab"), root.join("lab/src"));
        let said = |experiment: Option<&Path>| {
            let rules = GitIgnore::new(&src, experiment).unwrap();
            let names = ["a", "b", "c"].into_iter();
            names.filter(|name| rules.ignores(&src.join(name), false, 1)).collect::<String>()
        };
        assert_eq!(said(None), "c");
        assert_eq!(said(Some(&lab)), "bc");
        assert_eq!(said(Some(&root.join("elsewhere"))), "c");
        fs::create_dir(root.join(".git")).unwrap();
        assert_eq!(said(Some(&lab)), "abc");
        fs::create_dir(lab.join(".git")).unwrap();
        assert_eq!(said(None), "bc");
        fs::create_dir(src.join(".git")).unwrap();
        assert_eq!(said(None), "c");
    }

    #[test]
    fn a_folder_that_is_ignored_itself_was_named_all_the_same() {
        let (_kept, root) = folder(&[(".git/HEAD", ""), (".gitignore", "/data\n*.csv\n"), ("data/raw/.gitignore", "tmp")]);
        let place = root.join("data/raw");
        let rules = GitIgnore::new(&place, None).unwrap();
        assert!(!rules.ignores(&place.join("a.csv"), false, 1));
        assert!(rules.ignores(&place.join("tmp"), false, 1), "its own count");
    }
}
