//! Where the data of a task is, as a suggestion of `[sources]` and `[stages]`.

use std::fmt::Write;

use super::toml::{self, Toml, comment};

/// Where the data of a task is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DataPlace {
    /// A repository of the hub, or one of the readers of `datasets` (`json`, `csv`), which takes files.
    pub repository: String,
    /// The configuration of the data set; `default` if the task names none.
    pub configuration: Option<String>,
    /// The split that is asked.
    pub asked: Option<String>,
    /// The split that few-shot examples are taken from.
    pub examples: Option<String>,
    /// Files that the task names itself, by split.
    pub files: Vec<(String, Vec<String>)>,
}

/// Readers of `datasets` that read files by their format.
const READERS: [&str; 6] = ["json", "csv", "parquet", "text", "arrow", "pandas"];

impl DataPlace {
    /// The name of the stage with the examples.
    pub(super) fn examples_stage(name: &str, split: &str) -> String {
        format!("{name}-{}", toml::table_name(split))
    }

    /// Comments that can become tables.
    pub(super) fn write(&self, name: &str) -> String {
        let mut lines = String::from("\n# The data, as a suggestion:\n");
        let splits = self.splits();
        if READERS.contains(&self.repository.as_str()) || !self.files.is_empty() {
            self.write_files(name, &splits, &mut lines);
        } else {
            self.write_hub(name, &splits, &mut lines);
        }
        let mut text = String::new();
        for line in lines.lines() {
            let is_written = line.is_empty() || line.starts_with('#');
            // Writing to a string does not fail.
            let _ = if is_written {
                writeln!(text, "{line}")
            } else {
                writeln!(text, "# {line}")
            };
        }
        text
    }

    /// The splits that are read, with the stage of each.
    fn splits(&self) -> Vec<(String, bool)> {
        let asked = self.asked.clone().map(|split| (split, true));
        let examples = self.examples.clone().filter(|split| self.asked.as_ref() != Some(split));
        asked.into_iter().chain(examples.map(|split| (split, false))).collect()
    }

    fn write_hub(&self, name: &str, splits: &[(String, bool)], lines: &mut String) {
        let configuration = self.configuration.as_deref().unwrap_or("default");
        let file = |split: &str| format!("{configuration}/{split}/0000.parquet");
        let files = Toml::texts(splits.iter().map(|(split, _)| file(split)));
        let _ = writeln!(
            lines,
            "# The hub keeps a copy of each data set in Parquet at this revision; a large split has more files (0001.parquet, …)."
        );
        let _ = writeln!(lines, "[sources.{}]", toml::key(name));
        *lines += &toml::fields(&[
            ("hub".to_owned(), Toml::text(comment(&self.repository))),
            ("revision".to_owned(), Toml::text("refs/convert/parquet")),
            ("files".to_owned(), files),
        ]);
        Self::write_stages(name, splits, &file, lines);
    }

    fn write_files(&self, name: &str, splits: &[(String, bool)], lines: &mut String) {
        let all: Vec<String> = self.files.iter().flat_map(|(_, files)| files.clone()).collect();
        let _ = writeln!(lines, "[sources.{}]", toml::key(name));
        let _ = writeln!(lines, "path = \".\"  # the folder of the files");
        *lines += &toml::fields(&[("files".to_owned(), Toml::texts(all))]);
        let file = |split: &str| {
            let files = self.files.iter().find(|(other, _)| other == split);
            let files = files.or_else(|| self.files.first());
            files.and_then(|(_, files)| files.first().cloned()).unwrap_or_default()
        };
        Self::write_stages(name, splits, &file, lines);
    }

    fn write_stages(name: &str, splits: &[(String, bool)], file: &dyn Fn(&str) -> String, lines: &mut String) {
        for (split, is_asked) in splits {
            let stage = if *is_asked {
                name.to_owned()
            } else {
                Self::examples_stage(name, split)
            };
            let _ = writeln!(lines, "\n[stages.{}]", toml::key(&stage));
            *lines += &toml::fields(&[
                ("kind".to_owned(), Toml::text("import")),
                ("source".to_owned(), Toml::text(name)),
                ("file".to_owned(), Toml::text(comment(&file(split)))),
                ("task".to_owned(), Toml::text(name)),
            ]);
        }
    }
}
