//! Which metrics are shown, and under which headings.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::layout::{Better, MetricChoice, ReportLayout};
use crate::scores::{Score, distinct};

/// The metrics of a report that chooses none.
const MAX_DEFAULT: usize = 8;

/// Whether the metrics of several stages or data sets stand in one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Joins {
    pub stages: bool,
    pub data: bool,
}

/// A metric that is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MetricColumn {
    /// Its full name in the scores.
    pub name: String,
    /// The stage that it is from, where those of several stand in one row.
    pub stage: Option<String>,
    /// The data set, likewise.
    pub data: Option<String>,
    pub title: String,
    /// Which numbers are the better ones; `None` where neither the experiment nor the name says it.
    pub better: Option<Better>,
    /// The decimals that are asked for.
    pub digits: Option<usize>,
    pub is_percent: bool,
}

impl MetricColumn {
    /// Whether the metric is that of this score's stage and data set.
    pub fn is_of(&self, score: &Score) -> bool {
        let fits = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        fits(&self.stage, &score.place.stage) && fits(&self.data, &score.data)
    }

    /// The number of a score; it may be NaN or infinite.
    pub fn number(&self, score: &Score) -> Option<f64> {
        score.metrics.as_ref()?.number(&self.name)
    }

    /// What numbers are multiplied with to be shown.
    pub fn scale(&self) -> f64 {
        if self.is_percent { 100.0 } else { 1.0 }
    }

    /// `f1`, `accuracy %`.
    pub fn heading(&self) -> String {
        if self.is_percent {
            format!("{} %", self.title)
        } else {
            self.title.clone()
        }
    }
}

/// The metrics that are shown, and those that are not.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChosenColumns {
    pub columns: Vec<MetricColumn>,
    /// The names of those that a report without a choice leaves out.
    pub hidden: Vec<String>,
    /// Patterns that fit nothing, with their places.
    pub warnings: Vec<String>,
}

/// All metrics of some scores.
pub(super) struct KnownMetrics<'a>(Vec<KnownMetric<'a>>);

/// A metric, and where it is from.
struct KnownMetric<'a> {
    name: String,
    /// The stage and data set, as far as they tell metrics of one row apart.
    stage: Option<&'a str>,
    data: Option<&'a str>,
    stages: BTreeSet<&'a str>,
    sets: BTreeSet<&'a str>,
}

impl<'a> KnownMetrics<'a> {
    /// The metrics of the finished scores, in the order of their first appearance.
    pub fn of(scores: &[&'a Score], joins: Joins) -> Self {
        let mut known: Vec<KnownMetric<'a>> = Vec::new();
        let mut places: HashMap<(String, Option<&str>, Option<&str>), usize> = HashMap::new();
        for score in scores {
            let stage = joins.stages.then_some(score.place.stage.as_str());
            let data = joins.data.then_some(score.data.as_str());
            for (name, _) in score.metrics.iter().flat_map(kinds::metrics::MetricMap::numbers) {
                let at = *places.entry((name.clone(), stage, data)).or_insert_with(|| {
                    known.push(KnownMetric {
                        name,
                        stage,
                        data,
                        stages: BTreeSet::new(),
                        sets: BTreeSet::new(),
                    });
                    known.len() - 1
                });
                known[at].stages.insert(&score.place.stage);
                known[at].sets.insert(&score.data);
            }
        }
        Self(known)
    }

    /// The metrics that the layout chooses, or the first ones.
    pub fn choose(&self, layout: &ReportLayout) -> ChosenColumns {
        let mut chosen = ChosenColumns::default();
        if layout.metrics.is_empty() {
            let all = || self.0.iter().map(|metric| metric.column(&MetricChoice::default(), layout.digits));
            let (shown, hidden): (Vec<_>, Vec<_>) = all().zip(self.are_default()).partition(|(_, is_default)| *is_default);
            chosen.columns = shown.into_iter().map(|(column, _)| column).collect();
            chosen.hidden = hidden.into_iter().map(|(column, _)| column.title).collect();
        }
        if self.0.is_empty() {
            // Nothing has run: names are headings, patterns are none yet.
            let named = layout.metrics.iter().filter(|choice| !choice.pattern.contains('*'));
            chosen.columns = named.map(|choice| unmeasured(choice, layout.digits)).collect();
            return chosen;
        }
        for choice in &layout.metrics {
            let found = self.fitting(choice);
            if found.is_empty() {
                let place = if choice.place.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", choice.place)
                };
                chosen
                    .warnings
                    .push(format!("no metric `{}`{place}: {}", choice.pattern, self.names()));
            }
            let is_alone = found.len() == 1;
            for metric in found {
                let mut column = metric.column(choice, layout.digits);
                if !chosen.columns.iter().any(|other| other.is_same(&column)) {
                    column.title = choice.title.clone().filter(|_| is_alone).unwrap_or(column.title);
                    chosen.columns.push(column);
                }
            }
        }
        tell_apart(&mut chosen.columns);
        chosen
    }

    /// Which metrics a report shows that chooses none: the first ones, in turn of each stage and data set that has others, so that no row of
    /// theirs is empty.
    fn are_default(&self) -> Vec<bool> {
        let mut counts: BTreeMap<(Option<&&str>, Option<&&str>), usize> = BTreeMap::new();
        let mut turns: Vec<(usize, usize)> = Vec::new();
        for (at, metric) in self.0.iter().enumerate() {
            let count = counts.entry((metric.stages.first(), metric.sets.first())).or_default();
            turns.push((*count, at));
            *count += 1;
        }
        turns.sort_unstable();
        let shown: BTreeSet<usize> = turns.into_iter().take(MAX_DEFAULT).map(|(_, at)| at).collect();
        (0..self.0.len()).map(|at| shown.contains(&at)).collect()
    }

    /// The first metric that a pattern fits; its direction is that of the layout's choice.
    pub fn find(&self, pattern: &str, layout: &ReportLayout) -> Option<MetricColumn> {
        let metric = *self.fitting(&MetricChoice::of(pattern)).first()?;
        let choice = layout.metrics.iter().find(|choice| metric.has_name(choice));
        Some(metric.column(choice.unwrap_or(&MetricChoice::default()), layout.digits))
    }

    /// The metrics of this name; where there is none, those whose name after that of their stage or data set it is.
    fn fitting(&self, choice: &MetricChoice) -> Vec<&KnownMetric<'a>> {
        let plain: Vec<&KnownMetric<'a>> = self.0.iter().filter(|metric| choice.fits(&metric.name)).collect();
        if !plain.is_empty() {
            return plain;
        }
        self.0.iter().filter(|metric| metric.has_name(choice)).collect()
    }

    /// Whether no stage has metrics yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `known: loss, accuracy, …`
    pub fn names(&self) -> String {
        lab::config::known(distinct(self.0.iter().map(|metric| metric.name.as_str())))
    }
}

impl KnownMetric<'_> {
    /// Whether a choice means this metric, by its name or by one that begins with its stage or data set.
    fn has_name(&self, choice: &MetricChoice) -> bool {
        let only = |names: &BTreeSet<&str>| names.first().filter(|_| names.len() == 1).map(|name| (*name).to_owned());
        let (stage, data) = (only(&self.stages), only(&self.sets).filter(|data| !data.is_empty()));
        let base = stage.as_deref().map(|stage| lab::config::base_name(stage).to_owned());
        let both = stage.iter().zip(&data).map(|(stage, data)| format!("{stage}.{data}"));
        let before: Vec<String> = both.chain(stage.clone()).chain(base).chain(data.clone()).collect();
        choice.fits(&self.name) || before.iter().any(|before| choice.fits(&format!("{before}.{}", self.name)))
    }

    fn column(&self, choice: &MetricChoice, digits: Option<usize>) -> MetricColumn {
        MetricColumn {
            name: self.name.clone(),
            stage: self.stage.map(str::to_owned),
            data: self.data.map(str::to_owned),
            title: self.name.clone(),
            better: choice.better.or_else(|| Better::guess(&self.name)),
            digits: choice.digits.or(digits),
            is_percent: choice.percent,
        }
    }
}

impl MetricColumn {
    fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.stage, &self.data) == (&other.name, &other.stage, &other.data)
    }
}

/// The column of a metric that no stage has measured yet.
fn unmeasured(choice: &MetricChoice, digits: Option<usize>) -> MetricColumn {
    MetricColumn {
        name: choice.pattern.clone(),
        stage: None,
        data: None,
        title: choice.title.clone().unwrap_or_else(|| choice.pattern.clone()),
        better: choice.better.or_else(|| Better::guess(&choice.pattern)),
        digits: choice.digits.or(digits),
        is_percent: choice.percent,
    }
}

/// Puts the stage, the data set or both before titles that several columns have.
fn tell_apart(columns: &mut [MetricColumn]) {
    let mut by_title: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, column) in columns.iter().enumerate() {
        by_title.entry(column.title.clone()).or_default().push(at);
    }
    for places in by_title.into_values().filter(|places| places.len() > 1) {
        let count = |part: fn(&MetricColumn) -> &Option<String>| {
            let parts: BTreeSet<&Option<String>> = places.iter().map(|at| part(&columns[*at])).collect();
            parts.len()
        };
        let (stages, sets) = (count(|column| &column.stage), count(|column| &column.data));
        for at in places {
            let column = &mut columns[at];
            let data = column.data.clone().filter(|data| sets > 1 && !data.is_empty());
            let stage = column.stage.clone().filter(|_| stages > 1);
            for before in [data, stage].into_iter().flatten() {
                column.title.insert_str(0, &format!("{before}."));
            }
        }
    }
}
