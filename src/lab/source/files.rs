//! The files of a source on this machine: which there are, and their digests.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::choose::{self, FileChoice, MOST_CODE_FILES};
use super::patterns::FilePatterns;
use super::unfit::{UnfitFile, require_file, text};
use super::{DigestAlgorithm, Source, SourcePin};
use crate::hash::{self, Digest, hex};

/// The files of a source, as they were when they were listed.
#[derive(Debug)]
pub struct SourceFiles {
    place: PathBuf,
    files: Vec<(String, PathBuf)>,
    stats: Vec<FileStat>,
}

/// What changes when a file is written or replaced.
type FileStat = (u64, u64, u64, i64, i64);

impl SourceFiles {
    /// The name and the path of each, by name.
    pub fn files(&self) -> &[(String, PathBuf)] {
        &self.files
    }

    /// Where the source is.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The first file that was written or replaced since they were listed, or is gone.
    pub fn changed(&self) -> Option<&str> {
        let mut listed = self.files.iter().zip(&self.stats);
        let differs =
            |((_, path), stat): &(&(String, PathBuf), &FileStat)| !std::fs::metadata(path).is_ok_and(|now| file_stat(&now) == **stat);
        listed.find(differs).map(|((name, _), _)| name.as_str())
    }
}

fn file_stat(about: &Metadata) -> FileStat {
    (about.dev(), about.ino(), about.len(), about.mtime(), about.mtime_nsec())
}

impl Source {
    /// The files of the source, which is at `place`, by name: the file that it is, or of a folder those that `files` names or chooses. Links
    /// are followed.
    ///
    /// # Errors
    /// When a file is missing, a folder cannot be read, something is neither file nor folder, or there are too many files.
    pub fn list(&self, place: &Path) -> io::Result<Vec<(String, PathBuf)>> {
        self.list_at_most(place, MOST_CODE_FILES)
    }

    fn list_at_most(&self, place: &Path, most: usize) -> io::Result<Vec<(String, PathBuf)>> {
        if !std::fs::metadata(place)?.is_dir() {
            require_file(place)?;
            let name = place.file_name().map(|name| text(Path::new(name), place)).transpose()?;
            return Ok(vec![(name.unwrap_or_default(), place.to_owned())]);
        }
        let patterns = self.patterns(place)?;
        let mut files = Vec::new();
        if patterns.chooses() {
            files = choose::chosen(self, place, &patterns, most)?;
        }
        for name in &patterns.names {
            let path = place.join(name);
            require_file(&path).map_err(|error| match UnfitFile::in_error(&error) {
                Some(_) => error,
                None => io::Error::new(error.kind(), format!("{name}: {error}")),
            })?;
            files.push((name.clone(), path));
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Whether [`Self::list`] finds a file of this name at `place`. Looks at no other file.
    pub fn has(&self, place: &Path, name: &str) -> bool {
        if place.is_file() {
            return place.file_name().is_some_and(|file| file == name);
        }
        let is_plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || name.is_empty() || !place.join(name).is_file() {
            return false;
        }
        let is_chosen = || -> io::Result<bool> {
            let patterns = self.patterns(place)?;
            if patterns.names.iter().any(|named| named == name) {
                return Ok(true);
            }
            if !patterns.chooses() {
                return Ok(false);
            }
            let mut choice = FileChoice::new(self, place, &patterns)?;
            let mut ways: Vec<&Path> = Path::new(name).ancestors().filter(|way| !way.as_os_str().is_empty()).collect();
            ways.reverse();
            for way in ways {
                if !choice.takes(way, way != Path::new(name))? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        is_chosen().unwrap_or(false)
    }

    /// The entries of `files` for a folder.
    fn patterns(&self, place: &Path) -> io::Result<FilePatterns> {
        FilePatterns::of(&self.files, place).map_err(|problem| io::Error::new(io::ErrorKind::InvalidInput, problem))
    }

    /// Whether the source at `place` is one file, whose name does not count.
    pub fn is_one_file(&self, place: &Path) -> bool {
        !place.is_dir() || self.files.len() == 1 && self.patterns(place).is_ok_and(|patterns| !patterns.names.is_empty())
    }

    /// The files as [`Self::list`] finds them, with what tells later whether one of them was written since.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn listed(&self, place: &Path) -> io::Result<SourceFiles> {
        let files = self.list(place)?;
        let stats = files.iter().map(|(_, path)| Ok(file_stat(&std::fs::metadata(path)?)));
        Ok(SourceFiles {
            place: place.to_owned(),
            stats: stats.collect::<io::Result<_>>()?,
            files,
        })
    }

    /// The digest of what is at `place`, read now.
    ///
    /// # Errors
    /// When a file is missing or cannot be read.
    pub fn digest(&self, place: &Path, algorithm: DigestAlgorithm) -> io::Result<SourcePin> {
        self.digest_of(place, algorithm, &self.list(place)?)
    }

    /// The digest of the source at `place` if these are its files, read now.
    ///
    /// # Errors
    /// When a file is missing or cannot be read.
    pub fn digest_of(&self, place: &Path, algorithm: DigestAlgorithm, files: &[(String, PathBuf)]) -> io::Result<SourcePin> {
        let digest = |path: &Path| match algorithm {
            DigestAlgorithm::Sha256 => sha256(path),
            DigestAlgorithm::Blake3 => hash::file(path).map(|digest| digest.to_string()),
        };
        let digests = files.iter().map(|(name, path)| Ok((name.clone(), digest(path)?)));
        Ok(self.together(place, algorithm, &digests.collect::<io::Result<_>>()?))
    }

    /// The digest of the source at `place` whose files have these, by name: that of the file, or where it is several that of what
    /// `sha256sum` or `b3sum` prints for them.
    pub fn together<D: fmt::Display>(&self, place: &Path, algorithm: DigestAlgorithm, digests: &BTreeMap<String, D>) -> SourcePin {
        let digest = match digests.first_key_value() {
            Some((_, digest)) if digests.len() == 1 && self.is_one_file(place) => digest.to_string(),
            _ => {
                let lines: String = digests.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
                match algorithm {
                    DigestAlgorithm::Sha256 => hex(&Sha256::digest(lines.as_bytes())),
                    DigestAlgorithm::Blake3 => Digest::of(lines.as_bytes()).to_string(),
                }
            }
        };
        SourcePin { algorithm, digest }
    }
}

fn sha256(path: &Path) -> io::Result<String> {
    require_file(path)?;
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests;
