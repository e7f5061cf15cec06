//! `runner init`: a small experiment that runs as it is, to begin one's own with.

use std::path::{Path, PathBuf};

use super::environment::path_argument;
use super::experiment::shell_word;
use super::{CliError, Exit, print};

/// Write a small experiment that runs as it is
#[derive(Clone, Debug, clap::Args)]
pub struct InitArgs {
    /// The folder for it; made if it is not there
    #[arg(value_name = "DIR", default_value = ".", value_parser = path_argument())]
    pub folder: PathBuf,

    /// What the experiment is about
    #[arg(long, value_enum, default_value_t)]
    pub template: Template,
}

/// What an experiment is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Template {
    /// A training script of one's own, here in Python: two settings, three seeds
    #[default]
    Program,
    /// A pretrained model, tuned on one's own questions
    Finetune,
    /// The paper's method on addition: a model that learns to skip steps
    Paper,
}

/// The path and the content of each file of a template; the experiment comes first.
type TemplateFiles = &'static [(&'static str, &'static str)];

const PROGRAM: TemplateFiles = &[
    ("experiment.toml", include_str!("program/experiment.toml")),
    ("train.py", include_str!("program/train.py")),
    ("points.csv", include_str!("program/points.csv")),
    (".gitignore", GITIGNORE),
];

const FINETUNE: TemplateFiles = &[
    ("experiment.toml", include_str!("finetune/experiment.toml")),
    ("problems/train.jsonl", include_str!("finetune/problems/train.jsonl")),
    ("problems/test.jsonl", include_str!("finetune/problems/test.jsonl")),
    (".gitignore", GITIGNORE),
];

const PAPER: TemplateFiles = &[
    ("addition.toml", include_str!("../../../experiments/addition.toml")),
    ("parts/loop.toml", include_str!("../../../experiments/parts/loop.toml")),
    ("parts/recipe.toml", include_str!("../../../experiments/parts/recipe.toml")),
    ("parts/addition.toml", include_str!("../../../experiments/parts/addition.toml")),
    ("schema.json", include_str!("../../../experiments/schema.json")),
    (".gitignore", GITIGNORE),
];

/// The store, and what a report writes.
const GITIGNORE: &str = "/cache/\n/report.html\n";

impl Template {
    fn files(self) -> TemplateFiles {
        match self {
            Self::Program => PROGRAM,
            Self::Finetune => FINETUNE,
            Self::Paper => PAPER,
        }
    }
}

/// Writes the files of a template. Where one is there already, nothing is written; a `.gitignore` that is there is left alone.
///
/// # Errors
/// When one of the files is there already, or cannot be written.
pub fn init(args: &InitArgs) -> Result<Exit, CliError> {
    if !args.folder.is_dir() && args.folder.symlink_metadata().is_ok() {
        let folder = args.folder.display();
        return Err(CliError::Usage(format!(
            "{folder} is no folder; name another one: `runner init DIR`"
        )));
    }
    let is_there = |name: &str| args.folder.join(name).symlink_metadata().is_ok();
    let mut files = args.template.files().to_vec();
    files.retain(|(name, _)| *name != ".gitignore" || !is_there(name));
    if let Some((name, _)) = files.iter().find(|(name, _)| is_there(name)) {
        let path = args.folder.join(name);
        let advice = "name another folder: `runner init DIR`";
        return Err(CliError::Usage(format!("{} is there already; {advice}", path.display())));
    }
    for (name, content) in &files {
        write(&args.folder.join(name), content)?;
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let experiment = files.first().map_or("", |(name, _)| name);
    let enter = match args.folder.to_string_lossy().as_ref() {
        "." => String::new(),
        folder => format!("  cd {}\n", shell_word(folder)),
    };
    print(&format!(
        "wrote {}\n\nnow:\n{enter}  runner run {experiment}\n  runner report {experiment} --html report.html\n",
        names.join(", ")
    ))
}

fn write(path: &Path, content: &str) -> Result<(), CliError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, content));
    written.map_err(|error| CliError::Write(path.to_owned(), error))
}
