//! The arguments that select stages.

use lab::plan::Selection;

/// Stages, by name and variant.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SelectionArgs {
    /// Only these stages and what they need: `standard[2]`, `standard` (all its indices), `score*`
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,

    /// Only variants with this value of the axis; may be repeated
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = coordinate)]
    pub variants: Vec<(String, String)>,
}

impl SelectionArgs {
    /// The selection that these arguments describe.
    pub fn selection(&self) -> Selection {
        Selection {
            stages: self.stages.clone(),
            variants: self.variants.clone(),
        }
    }
}

/// Parses `AXIS=VALUE`.
pub(super) fn coordinate(text: &str) -> Result<(String, String), String> {
    let pair = text
        .split_once('=')
        .map(|(axis, value)| (axis.trim().to_owned(), value.trim().to_owned()));
    pair.ok_or_else(|| "expected AXIS=VALUE, such as `seed=1`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::CliError;
    use report::example;

    fn result_of(stages: &[&str], variants: &[(&str, &str)]) -> String {
        let selection = Selection {
            stages: stages.iter().map(|&stage| stage.to_owned()).collect(),
            variants: variants.iter().map(|&(axis, value)| (axis.to_owned(), value.to_owned())).collect(),
        };
        match selection.targets(&example::plan().dag) {
            Ok(targets) => targets.len().to_string(),
            Err(nothing) => CliError::from(nothing).render(false).trim_end().to_owned(),
        }
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        insta::assert_snapshot!([
            result_of(&["standrad"], &[]),
            result_of(&["problems", "scores"], &[]),
            result_of(&["score[7]"], &[]),
            result_of(&["nothing*"], &[]),
            result_of(&[], &[("sed", "1")]),
            result_of(&["score"], &[("seed", "3")]),
        ].join("\n"), @r"
        error: no stage `standrad` (known: problems, standard, score, extra): did you mean `standard`?
        error: no stage `scores` (known: problems, standard, score, extra): did you mean `score`?
        error: no stage `score[7]` (known: score[0])
        error: no stage `nothing*` (known: problems, standard, score, extra)
        error: no axis `sed` in the matrix (known: seed): did you mean `seed`?
        error: no variant has seed = 3 (known: 1, 2)
        ");
        assert_eq!(result_of(&["score[0]", "problems"], &[("seed", "1")]), "2");
    }
}
