//! Takes outputs from the folder of a program, where they have a `path`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::CommandStage;
use super::declared_output::OutputFields;
use super::files_before::FilesBefore;
use super::outputs::open_to_user;
use super::pattern::{OutputPath, link_in};
use crate::artifact::metrics::{self, MetricsFiles};
use lab::stage::{PortType, StageError, failed};

/// The files named in a message before it ends in `…`.
const LISTED_FILES: usize = 8;

/// Where one output is found.
struct FoundOutput<'a> {
    name: &'a str,
    fields: &'a OutputFields,
    found: FoundPaths,
}

/// What a path or a pattern has found in the folder of the program.
struct FoundPaths {
    /// The part of it without wildcards.
    fixed: PathBuf,
    /// Paths from the folder; at least one.
    paths: Vec<PathBuf>,
}

/// The folder of a program that has ended.
pub(super) struct EndedProgram<'a> {
    pub(super) folder: &'a Path,
    pub(super) before: &'a FilesBefore,
    /// The folder of the outputs: each is a file or a folder of its name in it.
    pub(super) outputs: &'a Path,
}

impl EndedProgram<'_> {
    /// Takes the outputs that have a path, and collects metrics that the program wrote as one file.
    ///
    /// # Errors
    /// When one is not there, is a link, or is not one artifact.
    pub(super) fn take(&self, stage: &CommandStage) -> Result<(), StageError> {
        let mut found = Vec::new();
        for (name, output) in &stage.outputs {
            match &output.0.path {
                Some(path) => found.push(self.find_output(name, &output.0, path)?),
                None if output.0.port == PortType::Metrics => self.complete(name)?,
                None => {}
            }
        }
        // Metrics are read, everything else is moved.
        let (of_metrics, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|output| output.fields.port == PortType::Metrics);
        for output in &of_metrics {
            self.collect(output)?;
        }
        self.bring(&others)
    }

    fn find_output<'o>(&self, name: &'o str, fields: &'o OutputFields, path: &str) -> Result<FoundOutput<'o>, StageError> {
        let found = self.find(name, path)?;
        let takes_several = matches!(fields.port, PortType::File | PortType::Metrics);
        if found.paths.len() > 1 && !takes_several {
            return Err(failed(format!(
                "output `{name}`: `{path}` fits {} paths, and this type of output is one: {}",
                found.paths.len(),
                listed(found.paths.iter().map(PathBuf::as_path))
            )));
        }
        Ok(FoundOutput { name, fields, found })
    }

    /// What a path or a pattern of an output finds: at least one path, and no link.
    fn find(&self, name: &str, text: &str) -> Result<FoundPaths, StageError> {
        let wrong = |what: String| failed(format!("output `{name}`: {what}"));
        let path = OutputPath::parse(text).map_err(&wrong)?;
        if let Some(link) = link_in(self.folder, path.fixed()) {
            return Err(wrong(is_a_link(&link)));
        }
        // What is not there is said below.
        let _ = open_to_user(&self.folder.join(path.fixed()));
        let is_old = |path: &Path| self.before.has(self.folder, path);
        let paths = path.find(self.folder, is_old);
        let paths = paths.map_err(|error| wrong(format!("cannot look for `{text}`: {error}")))?;
        if let Some(link) = paths.iter().find_map(|path| link_in(self.folder, path)) {
            return Err(wrong(is_a_link(&link)));
        }
        if paths.is_empty() {
            let what = if path.plain().is_some() {
                "wrote no"
            } else {
                "wrote nothing that fits"
            };
            return Err(wrong(format!("the program {what} `{text}` in its folder; {}", self.written())));
        }
        Ok(FoundPaths {
            fixed: path.fixed().to_owned(),
            paths,
        })
    }

    /// What the program wrote, for a message.
    fn written(&self) -> String {
        let entries = WalkDir::new(self.folder).min_depth(1).sort_by_file_name().into_iter();
        let is_seen = |entry: &walkdir::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
        let files = entries.filter_entry(is_seen).filter_map(Result::ok);
        let files = files.filter(|entry| !entry.file_type().is_dir());
        let paths = files.filter_map(|entry| entry.path().strip_prefix(self.folder).ok().map(Path::to_owned));
        let new: Vec<PathBuf> = paths.filter(|path| !self.before.has(self.folder, path)).collect();
        if new.is_empty() {
            "it wrote no files there".to_owned()
        } else {
            format!("it wrote {}", listed(new.iter().map(PathBuf::as_path)))
        }
    }

    /// Makes metrics of what the program wrote to the path that it was given: a folder, or a file.
    fn complete(&self, name: &str) -> Result<(), StageError> {
        let given = self.outputs.join(name);
        // What it may not read is said when it is read.
        let _ = open_to_user(&given);
        match fs::symlink_metadata(&given) {
            Ok(about) if about.is_file() || about.is_dir() => {
                metrics::complete(&given).map_err(|error| failed(format!("output `{name}`: {error}")))
            }
            // It is missing, or a link, which is said when it is checked.
            _ => Ok(()),
        }
    }

    fn collect(&self, output: &FoundOutput<'_>) -> Result<(), StageError> {
        let FoundOutput { name, fields, found } = output;
        let to = self.outputs.join(name);
        if let ([path], None, None) = (found.paths.as_slice(), &fields.examples, &fields.series)
            && self.folder.join(path).join("metrics.json").is_file()
        {
            // A folder of the artifact's own format.
            copy(&self.folder.join(path), &to).map_err(|error| cannot_take(name, path, &error))?;
            return self.complete(name);
        }
        let more = |text: &Option<String>| match text {
            Some(text) => self.named(name, &self.find(name, text)?),
            None => Ok(Vec::new()),
        };
        let files = MetricsFiles {
            metrics: self.named(name, found)?,
            examples: more(&fields.examples)?,
            series: more(&fields.series)?,
        };
        metrics::collect(&files, &to).map_err(|error| failed(format!("output `{name}`: {error}")))
    }

    /// The files that were found, each with its path from the fixed part; a file that is this part itself has its own name.
    fn named(&self, output: &str, found: &FoundPaths) -> Result<Vec<(String, PathBuf)>, StageError> {
        let named = found.paths.iter().map(|path| {
            let whole = self.folder.join(path);
            if !whole.is_file() {
                let shown = path.display();
                let message = format!("output `{output}`: `{shown}` is a folder: name the files in it, as in `{shown}/*.json`");
                return Err(failed(message));
            }
            Ok((inside(&found.fixed, path).to_string_lossy().into_owned(), whole))
        });
        named.collect()
    }

    /// Brings all that is no metrics to the folder of the outputs.
    fn bring(&self, found: &[FoundOutput<'_>]) -> Result<(), StageError> {
        let all = || found.iter().enumerate();
        let is_shared = |number: usize, path: &Path| {
            let mut others = all()
                .filter(|(other, _)| *other != number)
                .flat_map(|(_, other)| &other.found.paths);
            others.any(|other| path.starts_with(other))
        };
        // What is a part of another output, too, is copied, and before that is moved.
        for is_copied in [true, false] {
            for (number, output) in all() {
                let paths = output.found.paths.iter().filter(|path| is_shared(number, path) == is_copied);
                for path in paths {
                    let (from, to) = (self.folder.join(path), self.target(output, path));
                    let parent = to.parent().unwrap_or(self.outputs);
                    let brought = fs::create_dir_all(parent).and_then(|()| {
                        // What it may not read is said when it is copied or checked.
                        let _ = open_to_user(&from);
                        if is_copied { copy(&from, &to) } else { fs::rename(&from, &to) }
                    });
                    brought.map_err(|error| cannot_take(output.name, path, &error))?;
                }
            }
        }
        Ok(())
    }

    /// One path is the artifact; several are in a folder, under their paths from the first wildcard.
    fn target(&self, output: &FoundOutput<'_>, path: &Path) -> PathBuf {
        let artifact = self.outputs.join(output.name);
        match output.found.paths.as_slice() {
            [_] => artifact,
            _ => artifact.join(inside(&output.found.fixed, path)),
        }
    }
}

/// The path from `fixed`, or the last name of `fixed` itself.
fn inside<'p>(fixed: &Path, path: &'p Path) -> &'p Path {
    let inner = path.strip_prefix(fixed).unwrap_or(path);
    if inner.as_os_str().is_empty() {
        path.file_name().map_or(path, Path::new)
    } else {
        inner
    }
}

fn is_a_link(path: &Path) -> String {
    format!(
        "`{}` is a link, and an artifact must be complete in itself: have the program copy what it leads to",
        path.display()
    )
}

fn cannot_take(output: &str, path: &Path, error: &io::Error) -> StageError {
    failed(format!("output `{output}`: cannot take `{}`: {error}", path.display()))
}

/// The first paths, for a message.
fn listed<'p>(paths: impl Iterator<Item = &'p Path>) -> String {
    let mut paths = paths.map(|path| format!("`{}`", path.display()));
    let mut listed: Vec<String> = paths.by_ref().take(LISTED_FILES).collect();
    if paths.next().is_some() {
        listed.push("…".to_owned());
    }
    listed.join(", ")
}

/// Copies a file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry?;
        let inner = entry.path().strip_prefix(from).unwrap_or(entry.path());
        let target = if inner.as_os_str().is_empty() {
            to.to_owned()
        } else {
            to.join(inner)
        };
        if entry.file_type().is_dir() {
            fs::create_dir(&target)?;
        } else if entry.file_type().is_file() {
            fs::copy(entry.path(), &target)?;
        } else {
            let path = entry.path().display();
            return Err(io::Error::other(format!("{path} is neither a file nor a folder")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::declared_output::DeclaredOutput;
    use super::*;

    /// A program's folder with these files; `old` was there before.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new(files: &[&str]) -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            for folder in ["work", "outputs"] {
                fs::create_dir(place.0.path().join(folder)).unwrap();
            }
            for file in files {
                place.write(file);
            }
            place
        }

        fn write(&self, file: &str) {
            let path = self.0.path().join("work").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }

        /// Takes the outputs after `new` was written; what there is then, or the error.
        fn take(&self, outputs: &serde_json::Value, new: &[&str]) -> String {
            let [folder, to] = ["work", "outputs"].map(|name| self.0.path().join(name));
            let before = FilesBefore::of(&folder).unwrap();
            new.iter().for_each(|file| self.write(file));
            let outputs: BTreeMap<String, DeclaredOutput> = serde_json::from_value(outputs.clone()).unwrap();
            let found: Result<Vec<FoundOutput<'_>>, StageError> = {
                let ended = EndedProgram {
                    folder: &folder,
                    before: &before,
                    outputs: &to,
                };
                let all = outputs.iter().map(|(name, output)| {
                    let path = output.0.path.as_deref().unwrap_or_default();
                    ended.find_output(name, &output.0, path)
                });
                all.collect::<Result<Vec<_>, _>>()
                    .and_then(|found| ended.bring(&found).map(|()| found))
            };
            if let Err(error) = found {
                return error.to_string();
            }
            let entries = WalkDir::new(&to).min_depth(1).sort_by_file_name().into_iter().map(Result::unwrap);
            let files = entries.filter(|entry| entry.file_type().is_file());
            let shown = files.map(|entry| {
                let name = entry.path().strip_prefix(&to).unwrap().display().to_string();
                format!("{name}={}", fs::read_to_string(entry.path()).unwrap())
            });
            shown.collect::<Vec<_>>().join(" ")
        }
    }

    #[test]
    fn outputs_are_taken_from_where_the_program_writes_them() {
        let take = |outputs: serde_json::Value, new: &[&str]| Place::new(&["train.py", "out/old.txt"]).take(&outputs, new);
        let file = |path: &str| serde_json::json!({"x": {"type": "file", "path": path}});
        let said = [
            take(file("out/model"), &["out/model"]),
            take(file("out/m*"), &["out/model"]),
            take(file("out/m*"), &["out/m1", "out/m2/deep"]),
            take(file("out/*.txt"), &["out/new.txt"]),
            take(file("**/*.pt"), &["a.pt", "b/c.pt", ".cache/d.pt"]),
            take(file("out"), &["out/new.txt"]),
            take(file("none"), &["b", "a/c", ".hidden"]),
            take(file("*.none"), &[]),
            take(serde_json::json!({"x": {"type": "figure", "path": "*.png"}}), &["a.png", "b.png"]),
            take(
                serde_json::json!({"all": {"type": "file", "path": "out"}, "one": {"type": "file", "path": "out/b"}}),
                &["out/a", "out/b"],
            ),
            take(
                serde_json::json!({"p": {"type": "file", "path": "a"}, "q": {"type": "file", "path": "a"}}),
                &["a"],
            ),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        x=out/model
        x=out/model
        x/m1=out/m1 x/m2/deep=out/m2/deep
        x=out/new.txt
        x/a.pt=a.pt x/b/c.pt=b/c.pt
        x/new.txt=out/new.txt x/old.txt=out/old.txt
        output `x`: the program wrote no `none` in its folder; it wrote `a/c`, `b`
        output `x`: the program wrote nothing that fits `*.none` in its folder; it wrote no files there
        output `x`: `*.png` fits 2 paths, and this type of output is one: `a.png`, `b.png`
        all/a=out/a all/b=out/b all/old.txt=out/old.txt one=out/b
        p=a q=a
        ");
    }

    #[test]
    fn links_are_no_outputs() {
        let place = Place::new(&[]);
        std::os::unix::fs::symlink("/etc/hostname", place.0.path().join("work/link")).unwrap();
        let file = |path: &str| serde_json::json!({"x": {"type": "file", "path": path}});
        let link = "output `x`: `link` is a link, and an artifact must be complete in itself: have the program copy what it leads to";
        assert_eq!(place.take(&file("link"), &[]), link);
        // It was there before, as the links to inputs are: no pattern finds it.
        assert!(place.take(&file("l*"), &[]).contains("nothing that fits"));
        std::os::unix::fs::symlink("/etc", place.0.path().join("work/folder")).unwrap();
        assert!(place.take(&file("folder/hostname"), &[]).contains("`folder` is a link"));
        assert!(place.take(&file("folder/*"), &[]).contains("`folder` is a link"));
    }
}
