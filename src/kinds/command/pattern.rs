//! Paths in the folder of a program, and patterns of them.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

/// What tells a pattern from a path.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// A path in the folder of a program, or a pattern of paths: `*` and `?` stand for anything but `/`, `**` for any folders, `[ab]` for one
/// of these characters. What begins with a point is found only by a pattern that names the point.
#[derive(Debug)]
pub(super) enum OutputPath {
    Path(PathBuf),
    Pattern {
        /// The folders before the first wildcard.
        fixed: PathBuf,
        /// The pattern from there.
        rest: GlobMatcher,
        finds_hidden: bool,
    },
}

/// A path in the folder of a program, without the `.` in it.
///
/// # Errors
/// When it leads out of the folder, or to the folder itself: a message.
pub(super) fn inner_path(text: &str) -> Result<PathBuf, String> {
    if text.contains('\0') {
        return Err("a path has no NUL in it (`\\u0000`)".to_owned());
    }
    let mut path = PathBuf::new();
    for part in Path::new(text).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => {
                return Err(format!(
                    "`{text}` leads out of the folder of the program: write a path from that folder, without `..`"
                ));
            }
        }
    }
    if path.as_os_str().is_empty() {
        return Err(format!("`{text}` is the folder of the program itself: name a file or folder in it"));
    }
    Ok(path)
}

/// Whether one of two paths is, or lies in, the other.
pub(super) fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// The first part of a path in `folder` that is a link, if any.
pub(super) fn link_in(folder: &Path, path: &Path) -> Option<PathBuf> {
    let mut at = PathBuf::new();
    path.components().find_map(|part| {
        at.push(part);
        let about = fs::symlink_metadata(folder.join(&at)).ok()?;
        about.is_symlink().then(|| at.clone())
    })
}

impl OutputPath {
    /// # Errors
    /// When it is no path or pattern in the folder: a message.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let whole = inner_path(text)?;
        if !text.contains(WILDCARDS) {
            return Ok(Self::Path(whole));
        }
        if text.contains(['{', '}', '\\']) {
            return Err(format!(
                "`{text}`: a pattern has `*`, `?`, `**` and `[ab]`, and no braces or backslashes"
            ));
        }
        let parts: Vec<&str> = whole.to_str().unwrap_or_default().split('/').collect();
        let wild = parts.iter().position(|part| part.contains(WILDCARDS)).unwrap_or_default();
        let (fixed, rest) = parts.split_at(wild);
        let glob = GlobBuilder::new(&rest.join("/")).literal_separator(true).build();
        let glob = glob.map_err(|error| format!("`{text}` is no pattern: {}", error.kind()))?;
        Ok(Self::Pattern {
            fixed: fixed.iter().collect(),
            rest: glob.compile_matcher(),
            finds_hidden: rest.iter().any(|part| part.starts_with('.')),
        })
    }

    /// The path, if it is no pattern.
    pub(super) fn plain(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Pattern { .. } => None,
        }
    }

    /// The part without wildcards: a path is its own.
    pub(super) fn fixed(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::Pattern { fixed, .. } => fixed,
        }
    }

    /// What there is in `folder`, as paths from there, sorted; of a folder that fits, not also what is in it. What is there but is `old`
    /// is found only by its path.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub(super) fn find(&self, folder: &Path, is_old: impl Fn(&Path) -> bool) -> io::Result<Vec<PathBuf>> {
        let (fixed, rest, finds_hidden) = match self {
            Self::Path(path) => {
                let is_there = fs::symlink_metadata(folder.join(path)).is_ok();
                return Ok(if is_there { vec![path.clone()] } else { Vec::new() });
            }
            Self::Pattern { fixed, rest, finds_hidden } => (fixed, rest, *finds_hidden),
        };
        let root = folder.join(fixed);
        if link_in(folder, fixed).is_some() || !root.is_dir() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let mut entries = WalkDir::new(&root).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let inside = entry.path().strip_prefix(&root).unwrap_or(entry.path());
            let path = fixed.join(inside);
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            let fits = rest.is_match(inside) && !is_old(&path);
            if is_hidden && !finds_hidden || fits {
                if entry.file_type().is_dir() {
                    entries.skip_current_dir();
                }
                if is_hidden && !finds_hidden {
                    continue;
                }
                found.push(path);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, folder: &Path) -> String {
        match OutputPath::parse(pattern) {
            Ok(path) => {
                let found = path.find(folder, |path| path == Path::new("out/old.json")).unwrap();
                let found: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
                format!("{pattern} → {}", found.join(" "))
            }
            Err(message) => message,
        }
    }

    #[test]
    fn patterns_find_what_a_program_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        fs::create_dir_all(place.join("out/deep/er")).unwrap();
        fs::create_dir_all(place.join("out/.cache")).unwrap();
        for file in [
            "a.json",
            "out/b.json",
            "out/old.json",
            "out/[c].txt",
            "out/deep/er/d.json",
            "out/.cache/e.json",
        ] {
            fs::write(place.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("out", place.join("linked")).unwrap();
        let said = [
            "a.json",
            "./out/b.json",
            "none",
            "*.json",
            "out/*.json",
            "out/*",
            "out/**",
            "out/**/*.json",
            "**/*.json",
            "out/.c*/*.json",
            "out/[ab].json",
            "out/[[]c].txt",
            "out/?.json",
            "linked/*.json",
            "link*",
        ]
        .map(|pattern| found(pattern, place));
        insta::assert_snapshot!(said.join("\n"), @r"
        a.json → a.json
        ./out/b.json → out/b.json
        none → 
        *.json → a.json
        out/*.json → out/b.json
        out/* → out/[c].txt out/b.json out/deep
        out/** → out/[c].txt out/b.json out/deep
        out/**/*.json → out/b.json out/deep/er/d.json
        **/*.json → a.json out/b.json out/deep/er/d.json
        out/.c*/*.json → out/.cache/e.json
        out/[ab].json → out/b.json
        out/[[]c].txt → out/[c].txt
        out/?.json → out/b.json
        linked/*.json → 
        link* → linked
        ");
    }

    #[test]
    fn what_leads_out_of_the_folder_is_refused() {
        let folder = Path::new("");
        let said = ["/etc/x", "../x", "a/../../x", "", ".", "a\0", "{a,b}*", "out/[a", "*/../x"].map(|pattern| found(pattern, folder));
        insta::assert_snapshot!(said.join("\n"), @r"
        `/etc/x` leads out of the folder of the program: write a path from that folder, without `..`
        `../x` leads out of the folder of the program: write a path from that folder, without `..`
        `a/../../x` leads out of the folder of the program: write a path from that folder, without `..`
        `` is the folder of the program itself: name a file or folder in it
        `.` is the folder of the program itself: name a file or folder in it
        a path has no NUL in it (`\u0000`)
        `{a,b}*`: a pattern has `*`, `?`, `**` and `[ab]`, and no braces or backslashes
        `out/[a` is no pattern: unclosed character class; missing ']'
        `*/../x` leads out of the folder of the program: write a path from that folder, without `..`
        ");
    }
}
