//! The page: one HTML file with everything in it, which asks nothing of a network.

mod graph;
mod question;

use serde_json::json;

use super::figure::{Figure, SHAPES};
use super::findings::{Findings, State};
use super::sizes::sizes;
use super::{Shown, escaped, json_in_script};
use lab::text;

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page of an experiment: what its results show, then the figures that are not among these.
pub fn page(findings: &Findings, results: &[&Shown], figures: &[Figure]) -> String {
    let content = json!({"stages": findings.stages, "samples": findings.samples});
    let among = |figure: &Figure| {
        results
            .iter()
            .any(|shown| matches!(shown, Shown::Figure(other) if other.name == figure.name))
    };
    let mut drawn: String = figures.iter().filter(|figure| !among(figure)).map(Figure::html).collect();
    if drawn.is_empty() {
        drawn = if figures.is_empty() { NOTHING } else { ALL_ABOVE }.to_owned();
    }
    let parts = [
        ("style", format!("{STYLE}{SHAPES}")),
        ("title", escaped(&findings.scores.experiment)),
        ("question", question::html(&findings.question)),
        ("summary", escaped(&summary(findings))),
        ("results", results.iter().map(|shown| shown.html()).collect()),
        ("figures", drawn),
        ("graph", graph::html(&findings.stages)),
        (
            "data",
            sizes(&findings.stages).map_or_else(|| NOTHING_YET.to_owned(), |sizes| sizes.html()),
        ),
        ("shown", escaped(&shown(findings))),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("content", json_in_script(&content)),
        ("script", SCRIPT.to_owned()),
    ];
    fill(&parts)
}

const NOTHING: &str = "<p class=\"quiet\">Nothing to draw yet.</p>";

const ALL_ABOVE: &str = "<p class=\"quiet\">All are among the results.</p>";

const NOTHING_YET: &str = "<p class=\"quiet\">No data sets yet.</p>";

/// The frame with its parts put in, in one pass: what a part says is never taken for a place.
fn fill(parts: &[(&str, String)]) -> String {
    let mut page = String::new();
    let mut rest = FRAME;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page += before;
        let part = parts.iter().find(|(part, _)| *part == name);
        page += part.map_or("", |(_, text)| text);
        rest = after;
    }
    page + rest
}

/// `14 stages: 9 in the store, 5 of them since the latest run; 2 to run`
fn summary(findings: &Findings) -> String {
    let count = |state: State| findings.stages.iter().filter(|stage| stage.state == state).count();
    let (ran, cached) = (count(State::Ran), count(State::Cached));
    let open = count(State::Run) + count(State::Unknown);
    let mut text = format!("{}: {} in the store", text::stages(findings.stages.len()), ran + cached);
    if ran > 0 && cached > 0 {
        text += &format!(" ({ran} from the latest run, {cached} from earlier ones)");
    }
    if open > 0 {
        text += &format!(", {open} to run");
    }
    text + "."
}

/// `300 of 9,000 answers are on this page`
fn shown(findings: &Findings) -> String {
    let samples = &findings.samples;
    let count = samples.answers.len() as u64;
    match (count, samples.of) {
        (0, 0) => "There are no answers in the store yet.".to_owned(),
        (count, of) if count == of => format!("All {of} answers are on this page."),
        (count, of) => format!("{count} of {of} answers are on this page: some of each kind from every data set and stage."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_the_frame_has_a_part() {
        let page = page(&Findings::default(), &[], &[]);
        assert!(!page.contains("{{") && !page.contains("}}"), "{page}");
        for name in [
            "style", "title", "question", "summary", "results", "figures", "graph", "data", "shown", "content", "script",
        ] {
            assert!(FRAME.contains(&format!("{{{{{name}}}}}")), "{name}");
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        let page = page(&Findings::default(), &[], &[]);
        for word in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn an_experiment_s_words_are_text() {
        let mut findings = Findings {
            question: "Is <b>x</b> & {{script}} it?".to_owned(),
            ..Findings::default()
        };
        findings.scores.experiment = "</title><script>alert(1)</script>".to_owned();
        let page = page(&findings, &[], &[]);
        assert!(page.contains("Is &lt;b&gt;x&lt;/b&gt; &amp; {{script}} it?") && !page.contains("<script>alert"));
    }
}
