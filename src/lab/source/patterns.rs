//! The `files` of a source: names of files, and patterns that choose files or take them out.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::hidden;

/// What begins a pattern that takes files out.
const TAKES_OUT: char = '!';

/// Whether an entry of `files` is a pattern rather than a name.
pub(super) fn is_pattern(entry: &str) -> bool {
    entry.starts_with(TAKES_OUT) || entry.contains(['*', '?', '['])
}

/// The path that a pattern describes.
pub(super) fn described(entry: &str) -> &str {
    entry.strip_prefix(TAKES_OUT).unwrap_or(entry)
}

/// What is wrong with a pattern, if anything is.
pub(super) fn problem(entry: &str) -> Option<String> {
    Pattern::new(described(entry)).err()
}

/// The entries of `files`, told apart.
pub(super) struct FilePatterns {
    /// Files that are taken whatever they are.
    pub(super) names: Vec<String>,
    /// Patterns of the files to take; none where all are.
    chosen: Vec<Pattern>,
    taken_out: Vec<Pattern>,
}

struct Pattern {
    text: String,
    glob: GlobMatcher,
    /// Whether it names something hidden.
    is_hidden: bool,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(false).build();
        let glob = glob.map_err(|error| format!("`{text}` is no pattern: {}", error.kind()))?;
        Ok(Self {
            text: text.to_owned(),
            glob: glob.compile_matcher(),
            is_hidden: Path::new(text).iter().any(hidden::is_hidden),
        })
    }

    /// As in a shell, `*` stands for nothing hidden.
    fn matches(&self, name: &Path) -> bool {
        self.glob.is_match(name) && (self.is_hidden || !name.iter().any(hidden::is_hidden))
    }
}

impl FilePatterns {
    /// The entries of `files` for the folder `place`, in which the name of a file is a name even if it looks like a pattern.
    ///
    /// # Errors
    /// When a pattern is wrong: what is.
    pub(super) fn of(files: &[String], place: &Path) -> Result<Self, String> {
        let (mut names, mut chosen, mut taken_out) = (Vec::new(), Vec::new(), Vec::new());
        for entry in files {
            if !is_pattern(entry) || place.join(entry).is_file() {
                names.push(entry.clone());
            } else if let Some(text) = entry.strip_prefix(TAKES_OUT) {
                taken_out.push(Pattern::new(text)?);
            } else {
                chosen.push(Pattern::new(entry)?);
            }
        }
        Ok(Self { names, chosen, taken_out })
    }

    /// Whether files of the folder are chosen beside those that are named.
    pub(super) fn chooses(&self) -> bool {
        self.names.is_empty() || !self.chosen.is_empty()
    }

    /// Whether hidden files may be chosen.
    pub(super) fn sees_hidden(&self) -> bool {
        self.chosen.iter().any(|pattern| pattern.is_hidden)
    }

    /// Whether the file is chosen.
    pub(super) fn choose(&self, name: &Path) -> bool {
        let is_chosen = self.chosen.is_empty() || self.chosen.iter().any(|pattern| pattern.matches(name));
        is_chosen && !self.taken_out.iter().any(|pattern| pattern.glob.is_match(name))
    }

    /// A pattern that chooses none of these files, which have their names first: probably a slip.
    pub(super) fn idle(&self, files: &[(String, PathBuf)]) -> Option<&str> {
        let is_idle = |pattern: &&Pattern| !files.iter().any(|(name, _)| pattern.matches(Path::new(name)));
        self.chosen.iter().find(is_idle).map(|pattern| pattern.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 8] = [
        "train.py",
        "lib/model.py",
        "lib/deep/layer.py",
        "conf/base.yaml",
        "conf/more/big.yaml",
        "conf/local.yaml",
        ".hidden.py",
        "lib/.cache/x.py",
    ];

    fn chosen(files: &[&str]) -> String {
        let files: Vec<String> = files.iter().map(|&entry| entry.to_owned()).collect();
        match FilePatterns::of(&files, Path::new("nowhere")) {
            Ok(patterns) => NAMES
                .into_iter()
                .filter(|name| patterns.chooses() && patterns.choose(Path::new(name)))
                .collect::<Vec<_>>()
                .join(" "),
            Err(problem) => problem,
        }
    }

    #[test]
    fn a_star_stays_in_its_folder_and_two_do_not() {
        assert_eq!(chosen(&["*.py"]), "train.py");
        assert_eq!(chosen(&["**/*.py"]), "train.py lib/model.py lib/deep/layer.py");
        assert_eq!(
            chosen(&["*.py", "conf/**/*.yaml", "!conf/local.yaml"]),
            "train.py conf/base.yaml conf/more/big.yaml"
        );
        assert_eq!(chosen(&["lib/**"]), "lib/model.py lib/deep/layer.py");
        assert_eq!(chosen(&["l?b/[m-n]*"]), "lib/model.py");
        assert_eq!(chosen(&["train.py"]), "", "names are no patterns");
        assert_eq!(chosen(&["[a"]), "`[a` is no pattern: unclosed character class; missing ']'");
    }

    #[test]
    fn what_is_hidden_must_be_named_as_such() {
        assert_eq!(chosen(&["*"]), "train.py");
        assert_eq!(chosen(&[".*"]), ".hidden.py");
        assert_eq!(chosen(&["lib/.cache/*"]), "lib/.cache/x.py");
    }

    #[test]
    fn a_pattern_without_a_file_is_found() {
        let files = ["*.py", "*.yml"].map(str::to_owned);
        let patterns = FilePatterns::of(&files, Path::new("nowhere")).unwrap();
        let found = NAMES.map(|name| (name.to_owned(), PathBuf::new()));
        assert_eq!(patterns.idle(&found), Some("*.yml"));
    }
}
