//! The page: one HTML file that needs no network.

mod comment_markup;
mod data;
mod fold;
mod gallery;
mod graph;
mod live;
mod markdown;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

pub use comment_markup::question_in_comment;
pub use data::{PageData, PagePicture, PagePictures, PageSamples, PictureContent, PictureSize, SampleAnswer, SampleExample, SampleProblem};
pub use live::{LivePage, live_page};

use crate::escape;
use crate::figure::{Figure, SHAPES};
use crate::parts::ReportPart;
use crate::sizes::data_sets_table;
use crate::stage_details::StageStatus;
use comment_markup::comment_as_html;
use fold::Fold;
use lab::text;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A page with more stages has boxes that scroll instead of long lists, and samples that begin folded.
const DENSE_STAGES: usize = 60;

/// The parts of the page, by the names of their places in the frame.
type PageParts = Vec<(&'static str, String)>;

/// The page of an experiment: the results, then the figures that are not among them.
pub fn page(data: &PageData, results: &[&ReportPart], figures: &[Figure]) -> String {
    let mut parts = parts(data, results, figures);
    parts.push(("policy", policy(&[SCRIPT], "")));
    fill(&parts)
}

/// What the page and the live page have in common.
fn parts(data: &PageData, results: &[&ReportPart], figures: &[Figure]) -> PageParts {
    let content = json!({"stages": data.stages, "samples": data.samples});
    let among: Vec<&Figure> = results
        .iter()
        .filter_map(|part| match part {
            ReportPart::Figure(figure) => Some(figure),
            ReportPart::Table(_) => None,
        })
        .collect();
    let is_among = |figure: &&Figure| among.iter().any(|other| other.name == figure.name);
    let others: Vec<&Figure> = figures.iter().filter(|figure| !is_among(figure)).collect();
    let fold = Fold::of(among.iter().chain(&others).copied());
    let result = |part: &&ReportPart| match part {
        ReportPart::Table(table) => table.html(),
        ReportPart::Figure(figure) => fold.html(figure),
    };
    let drawn = match (others.is_empty(), figures.is_empty()) {
        (true, true) => NO_FIGURES.to_owned(),
        (true, false) => ALL_FIGURES_ABOVE.to_owned(),
        _ => others.iter().map(|figure| fold.html(figure)).collect(),
    };
    let has_samples = data.samples.of > 0;
    let is_dense = data.stages.len() > DENSE_STAGES;
    let gallery = gallery::gallery(data, is_dense);
    let when = |is_so: bool, text: &str| if is_so { text.to_owned() } else { String::new() };
    vec![
        ("style", format!("{STYLE}{SHAPES}")),
        ("dense", when(is_dense, " class=\"dense\"")),
        ("title", escape::html(&data.scores.experiment)),
        ("question", comment_as_html(&data.question)),
        ("summary", escape::html(&summary(data))),
        ("warnings", data.warnings.iter().map(|text| warning(text)).collect()),
        ("results", results.iter().map(result).collect()),
        ("figures", drawn),
        (
            "to_gallery",
            when(!gallery.is_empty(), "<a href=\"#gallery\">Pictures and texts</a>\n"),
        ),
        ("gallery", gallery),
        ("graph", graph::graph_svg(&data.stages)),
        (
            "data",
            data_sets_table(&data.stages).map_or_else(|| NO_DATA_SETS.to_owned(), |table| table.html()),
        ),
        ("to_samples", when(has_samples, "<a href=\"#samples\">Samples</a>\n")),
        ("no_samples", when(!has_samples, " hidden")),
        ("fold_samples", when(is_dense, "<details>\n<summary>Show them</summary>\n")),
        ("end_fold", when(is_dense, "</details>\n")),
        ("shown", escape::html(&count_of_samples(data))),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("content", escape::json_in_script(&content)),
        ("script", SCRIPT.to_owned()),
    ]
}

fn warning(text: &str) -> String {
    format!("<p class=\"warning\"><strong>Warning:</strong> {}.</p>\n", escape::html(text))
}

/// What the page may do: run these scripts alone, show the pictures that it holds, load and send nothing but what `more` allows.
fn policy(scripts: &[&str], more: &str) -> String {
    // The frame has a script on lines of its own.
    let digest = |script: &&str| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(format!("\n{script}"))));
    let scripts: String = scripts.iter().map(digest).collect();
    format!("default-src 'none'; style-src 'unsafe-inline'; script-src{scripts}; img-src data:; {more}base-uri 'none'; form-action 'none'")
}

const NO_FIGURES: &str = "<p class=\"quiet\">Nothing to draw yet.</p>";

const ALL_FIGURES_ABOVE: &str = "<p class=\"quiet\">All are among the results.</p>";

const NO_DATA_SETS: &str = "<p class=\"quiet\">No data sets yet.</p>";

/// What colours mean in the answers.
const MARKS: &str = " Marked: steps of the full solution that the answer does not have, and steps that only the answer has.";

/// Fills the frame in one pass, so that the text of a part is never taken for a placeholder.
fn fill(parts: &[(&str, String)]) -> String {
    let mut page = String::new();
    let mut rest = TEMPLATE;
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
fn summary(data: &PageData) -> String {
    let count = |state: StageStatus| data.stages.iter().filter(|stage| stage.state == state).count();
    let (ran, cached) = (count(StageStatus::Ran), count(StageStatus::Cached));
    let open = count(StageStatus::Run) + count(StageStatus::Unknown);
    let mut text = format!("{}: {} in the store", text::stages(data.stages.len()), ran + cached);
    if ran > 0 && cached > 0 {
        text += &format!(" ({ran} from the latest run, {cached} from earlier ones)");
    }
    if open > 0 {
        text += &format!(", {open} to run");
    }
    text + "."
}

/// `300 of 9,000 answers are on this page`
fn count_of_samples(data: &PageData) -> String {
    let samples = &data.samples;
    let count = (samples.answers.len() + samples.examples.len()) as u64;
    let what = match (samples.answers.is_empty(), samples.examples.is_empty()) {
        (_, true) => "answers",
        (true, false) => "examples",
        (false, false) => "answers and examples",
    };
    let marks = if samples.answers.is_empty() { "" } else { MARKS };
    match (count, samples.of) {
        (0, 0) => "There are no answers in the store yet.".to_owned(),
        (count, of) if count == of => format!("All {of} {what} are on this page.{marks}"),
        (count, of) => format!("{count} of {of} {what} are on this page: some of each kind from every data set and stage.{marks}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_the_frame_has_a_part() {
        let page = page(&PageData::default(), &[], &[]);
        assert!(!page.contains("{{") && !page.contains("}}"), "{page}");
        for name in [
            "style",
            "policy",
            "dense",
            "title",
            "question",
            "summary",
            "warnings",
            "results",
            "figures",
            "to_gallery",
            "gallery",
            "graph",
            "data",
            "to_samples",
            "no_samples",
            "fold_samples",
            "end_fold",
            "shown",
            "content",
            "script",
        ] {
            assert!(TEMPLATE.contains(&format!("{{{{{name}}}}}")), "{name}");
        }
    }

    #[test]
    fn the_first_lines_say_what_wrote_it() {
        let page = page(&PageData::default(), &[], &[]);
        assert!(page[..1000].contains(lab::source::PAGE_MARK), "{}", &page[..1000]);
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        let page = page(&PageData::default(), &[], &[]);
        for word in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn the_page_s_own_script_is_the_one_that_may_run() {
        let page = page(&PageData::default(), &[], &[]);
        let script = page.rsplit_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
        let digest = STANDARD.encode(Sha256::digest(script));
        assert!(page.contains(&format!("script-src 'sha256-{digest}'")), "{digest}");
        assert_eq!(page.matches("<script>").count(), 1);
    }

    #[test]
    fn sections_without_content_are_not_there() {
        let page = page(&PageData::default(), &[], &[]);
        assert!(page.contains("<section id=\"samples\" hidden>") && !page.contains("id=\"gallery\"") && page.contains("<body>"));
        let answered = PageData {
            samples: PageSamples {
                of: 1,
                ..PageSamples::default()
            },
            ..PageData::default()
        };
        assert!(super::page(&answered, &[], &[]).contains("<section id=\"samples\">"));
    }

    #[test]
    fn an_experiment_s_words_are_text() {
        let mut data = PageData {
            question: "Is <b>x</b> & {{script}} it?".to_owned(),
            ..PageData::default()
        };
        data.warnings = vec!["`<i>` is known".to_owned()];
        data.scores.experiment = "</title><script>alert(1)</script>".to_owned();
        let page = page(&data, &[], &[]);
        assert!(page.contains("Is &lt;b&gt;x&lt;/b&gt; &amp; {{script}} it?") && !page.contains("<script>alert"));
        assert!(page.contains("<p class=\"warning\"><strong>Warning:</strong> `&lt;i&gt;` is known.</p>"));
    }
}
