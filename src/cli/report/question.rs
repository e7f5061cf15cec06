//! What an experiment asks: its description, or the comment that its file begins with.

use crate::cli::CliError;
use crate::cli::experiment::{ExecutionArgs, ExperimentArgs};

pub(super) fn of(experiment: &ExperimentArgs) -> Result<String, CliError> {
    let document = experiment.document(&ExecutionArgs::default())?;
    if let Some(description) = document.tree.get("description").and_then(figment::value::Value::as_str) {
        return Ok(description.to_owned());
    }
    // It was just read: what is gone since has no question.
    Ok(comment(&std::fs::read_to_string(&experiment.file).unwrap_or_default()))
}

/// The comment lines before anything else, without their marks and without directives (`#:schema`).
fn comment(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.trim().is_empty() || line.starts_with("#:"));
    let comment = lines.map_while(|line| line.strip_prefix('#'));
    let lines: Vec<&str> = comment.map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_at_the_top_is_the_question() {
        let text = "#:schema ./schema.json\n# Can it?\n#\n# cost    1 minute\n#         or 2\nname = \"x\"\n# Not this.\n";
        assert_eq!(comment(text), "Can it?\n\ncost    1 minute\n        or 2");
        assert_eq!(comment("name = \"x\"\n# late"), "");
    }
}
