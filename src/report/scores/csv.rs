//! Scores as comma-separated values.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Score, Scores};

impl Scores {
    /// A heading and a line for each finished score, one column for each axis and each metric that is a single value.
    pub fn csv(&self) -> String {
        let axes = self.axes();
        let finished = || self.scores.iter().filter(|score| score.is_finished());
        let metrics: BTreeSet<&str> = finished()
            .flat_map(|score| score.metrics.iter().flatten())
            .filter(|(_, value)| !value.is_array() && !value.is_object())
            .map(|(name, _)| name.as_str())
            .collect();
        let mut text = line(
            ["stage", "iteration"]
                .iter()
                .chain(&axes)
                .chain(&["data"])
                .chain(&metrics)
                .map(|title| (*title).to_owned()),
        );
        for score in finished() {
            text += &line(fields(score, &axes, &metrics));
        }
        text
    }
}

fn fields<'a>(score: &'a Score, axes: &'a [&str], metrics: &'a BTreeSet<&str>) -> impl Iterator<Item = String> + 'a {
    let head = [
        score.place.stage.clone(),
        score.place.iteration.map_or_else(String::new, |k| k.to_string()),
    ];
    let coordinates = axes.iter().map(|axis| score.place.variant.get(*axis).cloned().unwrap_or_default());
    let values = metrics
        .iter()
        .map(|name| match score.metrics.as_ref().and_then(|metrics| metrics.get(*name)) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        });
    head.into_iter().chain(coordinates).chain([score.data.clone()]).chain(values)
}

/// One line of RFC 4180, but ended as the lines of other texts are.
fn line(fields: impl Iterator<Item = String>) -> String {
    let quoted = |field: String| {
        let plain = !field.contains([',', '"', '\n', '\r']);
        if plain {
            field
        } else {
            format!("\"{}\"", field.replace('"', "\"\""))
        }
    };
    fields.map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_every_finished_score() {
        let csv = super::super::tests::example().csv();
        assert_eq!(csv.lines().count(), 1 + 22);
        insta::assert_snapshot!(csv.lines().take(3).collect::<Vec<_>>().join("\n"), @r"
        stage,iteration,seed,start,data,accuracy,average_full_steps,average_steps
        score[0],0,1,cold,in_domain,0.98,2.61,2.6
        score[0],0,1,cold,ood_easy,0.1,2.61,2.6
        ");
    }

    #[test]
    fn fields_with_commas_and_quotes_are_quoted() {
        assert_eq!(line(["a".into(), "1,\"2\"".into()].into_iter()), "a,\"1,\"\"2\"\"\"\n");
    }
}
