//! Which files of a folder a source has.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::git_ignore::GitIgnore;
use super::hidden::{is_hidden, is_hidden_in};
use super::patterns::FilePatterns;
use super::unfit::{UnfitFile, require_file, text, unreadable};
use super::{Source, left_out};

/// More files than this are no code: hashing them takes minutes.
pub(super) const MOST_CODE_FILES: usize = 100_000;

/// Decides on files and folders, each after the folder that it is in.
pub(super) struct FileChoice<'a> {
    place: &'a Path,
    /// The same without links in it.
    real: PathBuf,
    patterns: &'a FilePatterns,
    /// The files of the experiment, without links.
    experiment: BTreeSet<PathBuf>,
    /// Of code alone: data is often ignored on purpose, since it is too large for git.
    ignored: Option<GitIgnore>,
}

impl<'a> FileChoice<'a> {
    /// For the folder `place` of a source.
    ///
    /// # Errors
    /// When the folder, or a `.gitignore`, cannot be read.
    pub(super) fn new(source: &Source, place: &'a Path, patterns: &'a FilePatterns) -> io::Result<Self> {
        let real = place.canonicalize()?;
        let files = source.experiment.iter().filter_map(|file| file.canonicalize().ok());
        let own: Vec<PathBuf> = files.collect();
        // The last is the experiment's own; the others are those that it extends.
        let folder = own.last().and_then(|file| file.parent());
        let ignored = if source.is_code {
            Some(GitIgnore::new(&real, folder)?)
        } else {
            None
        };
        Ok(Self {
            place,
            ignored,
            experiment: own.iter().cloned().collect(),
            real,
            patterns,
        })
    }

    /// Whether the source has this file, or may have files of this folder; `name` begins in the source's folder.
    ///
    /// # Errors
    /// When a `.gitignore` cannot be read.
    pub(super) fn takes(&mut self, name: &Path, is_dir: bool) -> io::Result<bool> {
        let is_hidden = name.file_name().is_some_and(is_hidden);
        if is_hidden && !self.patterns.sees_hidden() || !is_dir && !self.patterns.choose(name) {
            return Ok(false);
        }
        let (path, depth) = (self.place.join(name), name.iter().count());
        let real = self.real.join(name);
        if self.ignored.as_ref().is_some_and(|ignored| ignored.ignores(&real, is_dir, depth)) {
            return Ok(false);
        }
        if is_dir {
            if left_out::folder(&path) {
                return Ok(false);
            }
            if let Some(ignored) = &mut self.ignored {
                ignored.enter(&real, depth)?;
            }
            return Ok(true);
        }
        let is_experiment = || path.canonicalize().is_ok_and(|path| self.experiment.contains(&path));
        let is_own = self.experiment.contains(&real) || path.is_symlink() && is_experiment();
        Ok(!is_own && !left_out::file(&path))
    }
}

/// The files of the folder `place` that a source has beside those that it names: their names and paths. At most `most` where it is code.
///
/// # Errors
/// When a folder cannot be read, a file cannot be part of a source, a pattern chooses no file, or there are too many.
pub(super) fn chosen(source: &Source, place: &Path, patterns: &FilePatterns, most: usize) -> io::Result<Vec<(String, PathBuf)>> {
    let mut choice = FileChoice::new(source, place, patterns)?;
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    let mut walk = WalkDir::new(place).follow_links(true).into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_left_out(&mut choice, &error)? => continue,
            Err(error) => return Err(unreadable(error)),
        };
        if entry.depth() == 0 {
            continue;
        }
        let (path, is_dir) = (entry.path(), entry.file_type().is_dir());
        let name = path.strip_prefix(place).unwrap_or(path);
        let takes = choice.takes(name, is_dir)?;
        if is_dir {
            if !takes {
                walk.skip_current_dir();
            }
            continue;
        }
        if takes {
            require_file(path)?;
            files.push((text(name, path)?, path.to_owned()));
        }
        if source.is_code && files.len() > most {
            return Err(too_many(place, &files, most).into());
        }
    }
    match patterns.idle(&files) {
        Some(pattern) => Err(UnfitFile::NoMatch(pattern.to_owned()).into()),
        None => Ok(files),
    }
}

/// Whether what cannot be read would not be part of the source: editors keep their locks as hidden links to nothing.
fn is_left_out(choice: &mut FileChoice<'_>, error: &walkdir::Error) -> io::Result<bool> {
    let Some(path) = error.path() else { return Ok(false) };
    if is_hidden_in(path, choice.place) && !choice.patterns.sees_hidden() {
        return Ok(true);
    }
    let Ok(name) = path.strip_prefix(choice.place) else {
        return Ok(false);
    };
    if name.as_os_str().is_empty() {
        return Ok(false);
    }
    let is_circle = error.loop_ancestor().is_some();
    let is_dangling = path.is_symlink() && !path.exists();
    // Else it may be either.
    let (may_be_file, may_be_folder) = (!is_circle, is_circle || !is_dangling);
    Ok(!(may_be_file && choice.takes(name, false)? || may_be_folder && choice.takes(name, true)?))
}

/// The error for code of too many files, with the folder that has most of them.
fn too_many(place: &Path, files: &[(String, PathBuf)], most: usize) -> UnfitFile {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in files {
        if let Some((folder, _)) = name.split_once('/') {
            *counts.entry(folder).or_default() += 1;
        }
    }
    let largest = counts.into_iter().max_by_key(|(_, count)| *count);
    UnfitFile::TooMany {
        folder: place.to_owned(),
        most,
        within: largest.map_or_else(String::new, |(folder, count)| format!(", {count} of them in `{folder}`")),
    }
}
