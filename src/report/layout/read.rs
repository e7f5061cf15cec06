//! Reads `[report]`, with the place of everything that is wrong.

use lab::config::{ConfigTable, ConfigValue, Diagnostic, Experiment, known, nearest};
use lab::plan;

use super::{BestRows, Better, Dimension, MetricChoice, ReportLayout, RowOrder};
use crate::part_name::PartName;
use crate::scores::Baseline;

/// The fields of `[report]`.
const FIELDS: [&str; 10] = [
    "shows", "metrics", "stages", "rows", "columns", "order", "best", "baseline", "digits", "interval",
];
/// The fields of a metric.
const METRIC_FIELDS: [&str; 5] = ["name", "better", "digits", "title", "percent"];
/// More decimals than a number has.
const MAX_DIGITS: i64 = 15;

impl ReportLayout {
    /// What the experiment's `[report]` says; the default without one.
    ///
    /// # Errors
    /// All that is wrong in the table.
    pub fn read(experiment: &Experiment) -> Result<Self, Vec<Diagnostic>> {
        let Some(table) = experiment.report.as_ref().and_then(ConfigValue::as_table) else {
            return Ok(Self::default());
        };
        let mut reader = LayoutReader::new(experiment);
        let layout = reader.layout(table);
        if reader.wrong.is_empty() { Ok(layout) } else { Err(reader.wrong) }
    }
}

struct LayoutReader {
    /// The axes of the variants.
    axes: Vec<String>,
    stages: Vec<String>,
    /// Axes and their values.
    coordinates: Vec<(String, String)>,
    wrong: Vec<Diagnostic>,
}

impl LayoutReader {
    fn new(experiment: &Experiment) -> Self {
        let variants = || experiment.variants.iter();
        let mut axes: Vec<String> = variants().flat_map(|variant| variant.coordinates.keys().cloned()).collect();
        let mut stages: Vec<String> = variants()
            .flat_map(|variant| &variant.stages)
            .map(|stage| stage.name.clone())
            .collect();
        let mut coordinates: Vec<(String, String)> = variants()
            .flat_map(|variant| &variant.coordinates)
            .map(|(axis, value)| (axis.clone(), value.plain_text()))
            .collect();
        coordinates.sort_unstable();
        coordinates.dedup();
        for names in [&mut axes, &mut stages] {
            names.sort_unstable();
            names.dedup();
        }
        Self {
            axes,
            stages,
            coordinates,
            wrong: Vec::new(),
        }
    }

    fn layout(&mut self, table: &ConfigTable) -> ReportLayout {
        self.check_fields(table, "`[report]`", &FIELDS);
        let mut layout = ReportLayout::default();
        for (field, value) in table {
            match field.as_str() {
                "shows" => layout.shows = self.shows(value),
                "metrics" => layout.metrics = value.items().iter().filter_map(|item| self.metric(item)).collect(),
                "stages" => layout.stages = self.stages(value),
                "rows" => layout.rows = Some(self.dimensions("rows", value)),
                "columns" => layout.columns = self.dimensions("columns", value),
                "order" => layout.order = self.text("order", "an axis or a metric", value).map(RowOrder::named),
                "best" => layout.best = self.best(value),
                "baseline" => layout.baseline = self.baseline(value),
                "digits" => layout.digits = self.digits(value),
                "interval" => layout.interval = self.flag("interval", value),
                _ => {}
            }
        }
        let twice = layout.rows.iter().flatten().find(|dimension| layout.columns.contains(dimension));
        if let (Some(twice), Some(columns)) = (twice, table.get("columns")) {
            self.problem(columns, format!("`{}` is in `rows` and in `columns`", twice.name()));
        }
        layout
    }

    fn problem(&mut self, value: &ConfigValue, message: String) {
        self.wrong.push(Diagnostic::new(message).at(value.at()));
    }

    fn check_fields(&mut self, table: &ConfigTable, whole: &str, fields: &[&'static str]) {
        for (field, value) in table {
            if !fields.contains(&field.as_str()) {
                let message = format!("no field `{field}` in {whole} ({})", known(fields.iter().copied()));
                let meant = nearest(field, fields.iter().copied());
                self.wrong.push(Diagnostic::new(message).at(value.key_at()).suggest(meant));
            }
        }
    }

    /// The problem of a name that is not among those known.
    fn unknown(&mut self, value: &ConfigValue, message: &str, names: &[String]) {
        let names = || names.iter().map(String::as_str);
        let name = value.as_str().unwrap_or_default();
        let diagnostic = Diagnostic::new(format!("{message} ({})", known(names()))).suggest(nearest(name, names()));
        self.wrong.push(diagnostic.at(value.at()));
    }

    fn text<'a>(&mut self, field: &str, what: &str, value: &'a ConfigValue) -> Option<&'a str> {
        let text = value.as_str().filter(|text| !text.trim().is_empty());
        if text.is_none() {
            self.problem(value, format!("`{field}` names {what}, not {}", value.describe()));
        }
        text
    }

    fn flag(&mut self, field: &str, value: &ConfigValue) -> bool {
        value.read().unwrap_or_else(|_| {
            self.problem(value, format!("`{field}` must be true or false, not {}", value.describe()));
            false
        })
    }

    fn digits(&mut self, value: &ConfigValue) -> Option<usize> {
        let digits = value.as_integer().filter(|digits| (0..=MAX_DIGITS).contains(digits));
        if digits.is_none() {
            let message = format!("`digits` must be a whole number from 0 to {MAX_DIGITS}, not {}", value.describe());
            self.problem(value, message);
        }
        digits.and_then(|digits| usize::try_from(digits).ok())
    }

    fn shows(&mut self, value: &ConfigValue) -> Vec<PartName> {
        PartName::read_list(value).unwrap_or_else(|wrong| {
            self.wrong.extend(wrong);
            Vec::new()
        })
    }

    fn stages(&mut self, value: &ConfigValue) -> Vec<String> {
        let mut patterns = Vec::new();
        for item in value.items() {
            let Some(pattern) = self.text("stages", "a stage or a list of stages", item) else {
                continue;
            };
            if self.stages.iter().any(|stage| plan::matches(pattern, stage)) {
                patterns.push(pattern.to_owned());
            } else {
                let names = self.stages.clone();
                self.unknown(item, &format!("no stage `{pattern}`"), &names);
            }
        }
        patterns
    }

    fn dimensions(&mut self, field: &str, value: &ConfigValue) -> Vec<Dimension> {
        let mut found: Vec<Dimension> = Vec::new();
        for item in value.items() {
            let Some(name) = self.text(field, "axes, `stage` or `data`", item) else {
                continue;
            };
            match Dimension::named(name, &self.axes) {
                Some(dimension) if found.contains(&dimension) => self.problem(item, format!("`{field}` has `{name}` twice")),
                Some(dimension) => found.push(dimension),
                None => {
                    let names = Dimension::names(&self.axes);
                    self.unknown(item, &format!("no axis `{name}` in the matrix"), &names);
                }
            }
        }
        found
    }

    fn baseline(&mut self, value: &ConfigValue) -> Option<Baseline> {
        let text = self.text("baseline", "a stage or a variant", value)?;
        let baseline: Baseline = match text.parse() {
            Ok(baseline) => baseline,
            Err(error) => {
                self.problem(value, format!("{error}"));
                return None;
            }
        };
        if let Some(stage) = baseline.stage.as_ref().filter(|stage| !self.stages.contains(stage)) {
            let names = self.stages.clone();
            self.unknown(value, &format!("no stage `{stage}`"), &names);
        }
        for (axis, wanted) in &baseline.variant {
            if !self.coordinates.contains(&(axis.clone(), wanted.clone())) {
                if !self.axes.contains(axis) {
                    let names = self.axes.clone();
                    self.unknown(value, &format!("no axis `{axis}` in the matrix"), &names);
                    continue;
                }
                let values = self.coordinates.iter().filter(|(known, _)| known == axis);
                let values: Vec<String> = values.map(|(_, value)| value.clone()).collect();
                self.unknown(value, &format!("no variant has {axis} = {wanted}"), &values);
            }
        }
        Some(baseline)
    }

    fn metric(&mut self, value: &ConfigValue) -> Option<MetricChoice> {
        let place = value.at().map_or_else(String::new, |at| at.to_string());
        let Some(table) = value.as_table() else {
            let what = "a metric, or is a table with its `name`";
            let pattern = self.text("metrics", what, value)?.to_owned();
            return Some(MetricChoice {
                place,
                ..MetricChoice::of(pattern)
            });
        };
        self.check_fields(table, "a metric of `[report]`", &METRIC_FIELDS);
        let Some(name) = table.get("name") else {
            self.problem(value, "a metric of `[report]` needs a field `name`".to_owned());
            return None;
        };
        let pattern = self.text("name", "a metric", name)?.to_owned();
        let better = table.get("better").and_then(|value| {
            let better = value.as_str().and_then(Better::named);
            if better.is_none() {
                self.problem(value, format!("`better` must be \"higher\" or \"lower\", not {}", value.describe()));
            }
            better
        });
        let title = table.get("title").and_then(|value| self.text("title", "a heading", value));
        Some(MetricChoice {
            pattern,
            better,
            digits: table.get("digits").and_then(|value| self.digits(value)),
            title: title.map(str::to_owned),
            percent: table.get("percent").is_some_and(|value| self.flag("percent", value)),
            place,
        })
    }

    fn best(&mut self, value: &ConfigValue) -> Option<BestRows> {
        let (count, by) = match value.as_table() {
            Some(table) => {
                self.check_fields(table, "`best`", &["n", "by"]);
                let by = table.get("by").and_then(|by| self.text("by", "a metric", by)).map(str::to_owned);
                (table.get("n").and_then(ConfigValue::as_integer), by)
            }
            None => (value.as_integer(), None),
        };
        let count = count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
        if count.is_none() {
            let message = "`best` is a number of rows, 1 or more, or a table: `best = { n = 5, by = \"accuracy\" }`";
            self.problem(value, message.to_owned());
        }
        count.map(|count| BestRows { count, by })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::config::{self, LoadOptions};

    /// The layout of an experiment with two axes and this text at its end.
    fn read(report: &str) -> Result<ReportLayout, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        let text =
            "[matrix]\nlr = [0.1, 0.01]\nwidth = [16]\n\n[stages.fit]\nkind = \"command\"\nrun = [\"fit\", \"{lr}\", \"{width}\"]\n\n";
        std::fs::write(&file, text.to_owned() + report).unwrap();
        let options = LoadOptions {
            file,
            ..LoadOptions::default()
        };
        let told = |diagnostic: Diagnostic| {
            let line = diagnostic.at.as_ref().map_or(0, config::Location::line);
            let more = diagnostic
                .label
                .or(diagnostic.help)
                .map_or_else(String::new, |more| format!("; {more}"));
            format!("{line}: {}{more}", diagnostic.message)
        };
        let wrong = |diagnostics: Vec<Diagnostic>| diagnostics.into_iter().map(told).collect();
        ReportLayout::read(&config::load(&options).map_err(wrong)?).map_err(wrong)
    }

    #[test]
    fn every_field_is_read() {
        let layout = read(
            "[report]\nshows = [\"metrics\", \"differences\"]\nstages = [\"f*\"]\nrows = [\"width\", \"stage\"]\ncolumns = \"lr\"\n\
             order = \"-test.f1\"\nbest = { n = 5, by = \"dev.accuracy\" }\nbaseline = \"(lr=0.1)\"\ninterval = true\ndigits = 2\n\
             metrics = [\"test.f1\", { name = \"loss\", better = \"lower\", digits = 3, title = \"Loss\", percent = true }]\n",
        );
        let layout = layout.unwrap();
        let axis = |name: &str| Dimension::Axis(name.to_owned());
        assert_eq!(layout.shows, [PartName::Metrics, PartName::Differences]);
        assert_eq!(
            (layout.rows, layout.columns),
            (Some(vec![axis("width"), Dimension::Stage]), vec![axis("lr")])
        );
        assert_eq!(
            (layout.order, layout.baseline),
            (Some(RowOrder::named("-test.f1")), "(lr=0.1)".parse().ok())
        );
        assert_eq!(
            (layout.stages.as_slice(), layout.digits, layout.interval),
            (["f*".to_owned()].as_slice(), Some(2), true)
        );
        let by = Some("dev.accuracy".to_owned());
        assert_eq!(layout.best, Some(BestRows { count: 5, by }));
        let [first, second] = layout.metrics.as_slice() else {
            panic!("{:?}", layout.metrics)
        };
        assert_eq!((first.pattern.as_str(), first.better), ("test.f1", None));
        assert!(first.place.ends_with("x.toml:19"), "{}", first.place);
        assert_eq!((second.better, second.digits, second.percent), (Some(Better::Lower), Some(3), true));
        assert_eq!(second.title.as_deref(), Some("Loss"));
        assert!(ReportLayout::default() == read("").unwrap());
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_line() {
        let wrong = read(
            "[report]\nshow = \"metrics\"\nrows = [\"widths\", \"lr\", 3]\ncolumns = [\"lr\"]\nbest = 0\nbaseline = \"(lr=1)\"\n\
             stages = [\"fits\"]\nmetrics = [{ name = \"loss\", better = \"low\" }, { title = \"x\" }, \"\"]\norder = 1\ndigits = 20\n\
             interval = \"yes\"\n",
        );
        let mut wrong = wrong.unwrap_err();
        wrong.sort_by_key(|told| told.split_once(':').and_then(|(line, _)| line.parse::<usize>().ok()));
        insta::assert_snapshot!(wrong.join("\n"), @r#"
        10: no field `show` in `[report]` (known: shows, metrics, stages, rows, columns, order, best, baseline, digits, interval); did you mean `shows`?
        11: no axis `widths` in the matrix (known: lr, width, stage, data); did you mean `width`?
        11: `rows` names axes, `stage` or `data`, not 3
        12: `lr` is in `rows` and in `columns`
        13: `best` is a number of rows, 1 or more, or a table: `best = { n = 5, by = "accuracy" }`
        14: no variant has lr = 1 (known: 0.01, 0.1)
        15: no stage `fits` (known: fit); did you mean `fit`?
        16: `better` must be "higher" or "lower", not the text "low"
        16: a metric of `[report]` needs a field `name`
        16: `metrics` names a metric, or is a table with its `name`, not the text ""
        17: `order` names an axis or a metric, not 1
        18: `digits` must be a whole number from 0 to 15, not 20
        19: `interval` must be true or false, not the text "yes"
        "#);
    }
}
