//! Inspect's scorers, as filters and metrics.

use super::super::task::Task;
use super::super::toml::Toml;
use super::super::yaml::{Data, Map, Yaml, get};
use super::Fields;

/// The patterns of the scorers `answer` and `choice` (`inspect_ai/_util/pattern.py`), of which the last match counts.
const LETTER: &str = r"(?i)ANSWER\s*:\s*([A-Za-z])(?:[^\w]|\n|$)";
const WORD: &str = r"(?i)ANSWER\s*:\s*(\S+?)[.,;:!?]?\s*(?:\n|$)";
const LINE: &str = r"(?i)ANSWER\s*:\s*([^\n]+)";

/// How one scorer is written: a pattern that finds the answer, if it needs one, and a metric.
struct Judging {
    pattern: Option<String>,
    metric: &'static str,
    flags: Vec<(&'static str, Toml)>,
}

/// Writes `filter_list` and `metric_list` of the first scorer that comes over.
pub(super) fn write(map: &Map, fields: &Fields, task: &mut Task) {
    let scorers = match get(map, "scorers").map(|value| &value.data) {
        Some(Data::List(scorers)) => scorers.as_slice(),
        _ => &[],
    };
    let (mut found, mut lost) = (None, Vec::new());
    for scorer in scorers {
        match judging(scorer, fields) {
            Ok(judging) if found.is_none() => found = Some((scorer, judging)),
            Ok(_) => lost.push((scorer, "a second scorer: add its metric by hand".to_owned())),
            Err(problem) => lost.push((scorer, problem)),
        }
    }
    for (scorer, problem) in lost {
        if found.is_some() {
            task.leave_out(&scorer.place, problem);
        } else {
            task.refuse(&scorer.place, problem);
        }
    }
    let Some((_, judging)) = found else { return };
    let mut functions = Vec::new();
    if let Some(pattern) = judging.pattern {
        functions.push(table(vec![
            ("function", Toml::text("regex")),
            ("regex_pattern", Toml::Text(pattern)),
            ("group_select", Toml::Whole(-1)),
        ]));
    }
    functions.push(table(vec![("function", Toml::text("take_first"))]));
    let filter = table(vec![("name", Toml::text("none")), ("filter", Toml::List(functions))]);
    task.set("filter_list", Toml::List(vec![filter]));
    let mut metric = vec![("metric", Toml::text(judging.metric))];
    metric.extend(judging.flags);
    task.set("metric_list", Toml::List(vec![table(metric)]));
}

fn table(fields: Vec<(&str, Toml)>) -> Toml {
    Toml::Table(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// One scorer; why it cannot come over.
fn judging(scorer: &Yaml, fields: &Fields) -> Result<Judging, String> {
    let empty = Map::new();
    let map = scorer.as_map().unwrap_or(&empty);
    let args = get(map, "args").and_then(Yaml::as_map).unwrap_or(&empty);
    let text = |name: &str| get(args, name).and_then(Yaml::as_text);
    let is = |name: &str, usual: bool| get(args, name).map_or(usual, |value| value.data == Data::Bool(true));
    let plain = |pattern: Option<String>, metric, flags| Judging { pattern, metric, flags };
    let cases = || vec![("ignore_case", Toml::Bool(is("ignore_case", true)))];
    Ok(match get(map, "name").and_then(Yaml::as_text).unwrap_or_default() {
        "includes" => plain(None, "includes", cases()),
        "exact" => plain(
            None,
            "exact_match",
            vec![("ignore_case", Toml::Bool(true)), ("ignore_punctuation", Toml::Bool(true))],
        ),
        "f1" => plain(None, "f1", Vec::new()),
        "math" => plain(None, "math", Vec::new()),
        "match" if is("numeric", false) => plain(None, "number", Vec::new()),
        "match" if text("location") == Some("exact") => plain(None, "exact_match", cases()),
        "match" => return Err("the scorer `match` at a `location` of a text does not come over: use `includes` or `pattern`".to_owned()),
        "pattern" => {
            let pattern = text("pattern").ok_or("the scorer `pattern` has no `pattern`")?;
            let mut flags = vec![("pattern", Toml::text(pattern))];
            flags.extend(cases());
            if is("match_all", false) {
                flags.push(("match_all", Toml::Bool(true)));
            }
            plain(None, "pattern", flags)
        }
        "answer" => {
            let pattern = match text("pattern") {
                Some("letter") => LETTER,
                Some("word") => WORD,
                Some("line") => LINE,
                _ => return Err("the scorer `answer` needs `pattern`: letter, word or line".to_owned()),
            };
            plain(Some(pattern.to_owned()), "exact_match", vec![("ignore_case", Toml::Bool(true))])
        }
        "choice" if fields.choices.is_some() => plain(Some(LETTER.to_owned()), "exact_match", vec![("ignore_case", Toml::Bool(true))]),
        "choice" => return Err("the scorer `choice` needs `choices` in `field_spec`".to_owned()),
        other @ ("model_graded_qa" | "model_graded_fact") => {
            return Err(format!(
                "the scorer `{other}` asks a model: write a `judge` by hand, with a model of your own"
            ));
        }
        other => return Err(format!("the scorer `{other}` is not known here")),
    })
}
