//! Bad experiment files, whole messages; and the layers.

use std::fmt::Write as _;
use std::path::Path;

use runner::cli::{self, config::ConfigArgs, experiment::ExperimentArgs};
use runner::config::{self, LoadOptions};

use crate::table::{build, draw, kinds, options, write};

/// Every file of `tests/bad` is refused, with the message beside it in `tests/it/snapshots`. The first line may name profiles and
/// values to set: `# --profile smoke --set seed=x`.
#[test]
fn bad_files_are_refused_with_a_message_that_helps() {
    let mut files: Vec<_> = std::fs::read_dir("tests/bad").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    assert!(files.len() >= 20, "{} files", files.len());
    for file in files {
        let mut options = options(&file);
        let text = std::fs::read_to_string(&file).unwrap();
        let first = text.lines().next().unwrap_or_default().trim_start_matches('#');
        let words: Vec<&str> = first.split_whitespace().collect();
        for pair in words.windows(2) {
            match pair[0] {
                "--profile" => options.profiles.push(pair[1].to_owned()),
                "--set" => options.set.push(pair[1].to_owned()),
                _ => {}
            }
        }
        let rejected = build(&options).err().unwrap_or_else(|| panic!("{} is accepted", file.display()));
        assert!(
            rejected
                .diagnostics
                .iter()
                .all(|diagnostic| diagnostic.at.is_some() || options.profiles.len() == 1 || text.is_empty())
        );
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("bad-{}", file.file_stem().unwrap().to_str().unwrap()), draw(&rejected));
        });
    }
}
