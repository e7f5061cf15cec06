//! The options of `runner report` that have a field in `[report]`. An option overrides its field.

use std::str::FromStr;

use lab::config::{known, nearest};

use super::{BestRows, Better, Dimension, MetricChoice, ReportLayout, RowOrder};

/// An option that does not fit the experiment: a message with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LayoutError(String);

/// The options as given; those left out leave `[report]` as it is.
#[derive(Clone, Debug, Default)]
pub struct LayoutOptions {
    pub metrics: Vec<MetricChoice>,
    pub rows: Option<Vec<String>>,
    pub columns: Option<Vec<String>>,
    pub order: Option<RowOrder>,
    pub best: Option<BestRows>,
    pub digits: Option<usize>,
    pub interval: bool,
}

impl LayoutOptions {
    /// Whether any option is given.
    pub fn is_any(&self) -> bool {
        let names = self.rows.is_some() || self.columns.is_some() || self.order.is_some() || self.best.is_some();
        names || !self.metrics.is_empty() || self.digits.is_some() || self.interval
    }
}

impl ReportLayout {
    /// The layout with these options before it; `axes` are those of the experiment.
    ///
    /// # Errors
    /// When a row or column is no axis, or is both.
    pub fn with_options(mut self, options: LayoutOptions, axes: &[String]) -> Result<Self, LayoutError> {
        self.is_asked |= options.is_any();
        if !options.metrics.is_empty() {
            self.metrics = options.metrics;
        }
        let rows = options.rows.map(|names| dimensions("--rows", &names, axes)).transpose()?;
        let columns = options.columns.map(|names| dimensions("--columns", &names, axes)).transpose()?;
        match (&rows, &columns) {
            (Some(rows), Some(columns)) => {
                if let Some(twice) = rows.iter().find(|row| columns.contains(row)) {
                    return Err(LayoutError(format!("`{}` is in `--rows` and in `--columns`", twice.name())));
                }
            }
            // What an option makes rows is no column of the file, and the other way round.
            (Some(rows), None) => self.columns.retain(|column| !rows.contains(column)),
            (None, Some(columns)) => self.rows.iter_mut().for_each(|rows| rows.retain(|row| !columns.contains(row))),
            (None, None) => {}
        }
        self.rows = rows.or(self.rows);
        self.columns = columns.unwrap_or(self.columns);
        self.order = options.order.or(self.order);
        self.best = options.best.or(self.best);
        self.digits = options.digits.or(self.digits);
        self.interval |= options.interval;
        Ok(self)
    }
}

fn dimensions(option: &str, names: &[String], axes: &[String]) -> Result<Vec<Dimension>, LayoutError> {
    let mut found = Vec::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        let Some(dimension) = Dimension::named(name, axes) else {
            let all = Dimension::names(axes);
            let names = || all.iter().map(String::as_str);
            let meant = nearest(name, names()).map_or_else(String::new, |name| format!(": did you mean `{name}`?"));
            return Err(LayoutError(format!("{option}: no axis `{name}` ({}){meant}", known(names()))));
        };
        if !found.contains(&dimension) {
            found.push(dimension);
        }
    }
    Ok(found)
}

impl FromStr for MetricChoice {
    type Err = LayoutError;

    /// `test.f1`, `loss:lower`.
    fn from_str(text: &str) -> Result<Self, LayoutError> {
        let split = text
            .rsplit_once(':')
            .and_then(|(name, better)| Some((name, Better::named(better)?)));
        let (pattern, better) = split.map_or((text, None), |(name, better)| (name, Some(better)));
        if pattern.trim().is_empty() {
            return Err(LayoutError("write the name of a metric, `loss`, or `loss:lower`".to_owned()));
        }
        Ok(Self {
            better,
            place: "--metric".to_owned(),
            ..Self::of(pattern)
        })
    }
}

impl FromStr for BestRows {
    type Err = LayoutError;

    /// `5`, `5:dev.accuracy`.
    fn from_str(text: &str) -> Result<Self, LayoutError> {
        let (count, by) = text.split_once(':').map_or((text, None), |(count, by)| (count, Some(by)));
        match count.parse() {
            Ok(count) if count > 0 && by != Some("") => Ok(Self {
                count,
                by: by.map(str::to_owned),
            }),
            _ => Err(LayoutError(
                "write a number of rows, `5`, or with a metric, `5:dev.accuracy`".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_go_before_the_file() {
        let axes = ["lr", "width"].map(str::to_owned);
        let axis = |name: &str| Dimension::Axis(name.to_owned());
        let file = ReportLayout {
            rows: Some(vec![axis("lr"), axis("width")]),
            order: Some(RowOrder::named("-loss")),
            ..ReportLayout::default()
        };
        let options = LayoutOptions {
            metrics: vec!["a:b:lower".parse().unwrap()],
            columns: Some(vec!["lr".to_owned()]),
            best: Some("5:dev.accuracy".parse().unwrap()),
            ..LayoutOptions::default()
        };
        let layout = file.clone().with_options(options, &axes).unwrap();
        assert_eq!(
            (layout.metrics[0].pattern.as_str(), layout.metrics[0].better),
            ("a:b", Some(Better::Lower))
        );
        assert_eq!((layout.rows, layout.columns), (Some(vec![axis("width")]), vec![axis("lr")]));
        assert_eq!(layout.order, file.order);
        assert_eq!(
            layout.best,
            Some(BestRows {
                count: 5,
                by: Some("dev.accuracy".to_owned())
            })
        );
        let wrong = LayoutOptions {
            rows: Some(vec!["widths".to_owned()]),
            ..LayoutOptions::default()
        };
        assert_eq!(
            file.with_options(wrong, &axes).unwrap_err().to_string(),
            "--rows: no axis `widths` (known: lr, width, stage, data): did you mean `width`?"
        );
        assert!("0".parse::<BestRows>().is_err() && "5:".parse::<BestRows>().is_err() && ":lower".parse::<MetricChoice>().is_err());
    }
}
