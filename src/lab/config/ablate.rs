//! `[ablate]`: the experiment as it is, and one change at a time.

use super::axis::Coordinates;
use super::matrix::placeholder_problem;
use super::nearest::{known, nearest};
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, Document, ValueData, limits};

/// The coordinate that names the change of a variant.
pub const AXIS: &str = "ablate";
/// Its value where nothing is changed.
pub const BASELINE: &str = "baseline";

/// More variants than this are taken for a mistake.
const MAX_VARIANTS: usize = 10_000;

/// Params that have other values than `[params]` gives them.
#[derive(Clone, Debug)]
pub(super) struct AblationChange {
    /// `mode=cont`; `None` without an `[ablate]` table.
    name: Option<String>,
    pub params: ConfigTable,
}

/// Each change, the baseline first, at each point of the matrix.
pub(super) fn variants(document: &Document, points: Vec<Coordinates>, problems: &mut Diagnostics) -> Vec<(Coordinates, AblationChange)> {
    let changes = AblationReader { document, problems }.changes();
    if changes.len().saturating_mul(points.len()) > MAX_VARIANTS {
        let at = document.tree.get(AXIS).and_then(ConfigValue::key_at);
        let message = format!(
            "`[{AXIS}]` and the matrix have {} combinations ({} changes, the baseline among them, × {}); at most {MAX_VARIANTS} are allowed",
            changes.len().saturating_mul(points.len()),
            changes.len(),
            points.len()
        );
        problems.push(Diagnostic::new(message).at(at));
        return Vec::new();
    }
    let sum = |bytes: &mut dyn Iterator<Item = &ConfigTable>| bytes.map(limits::table_bytes).fold(0, usize::saturating_add);
    let of_points = sum(&mut points.iter()).saturating_mul(changes.len());
    let of_changes = sum(&mut changes.iter().map(|change| &change.params)).saturating_mul(points.len());
    if !limits::has_room_for_variants(of_points.saturating_add(of_changes), problems) {
        return Vec::new();
    }
    let place = |change: &AblationChange, mut point: Coordinates| {
        point.extend(change.name.clone().map(|name| (AXIS.to_owned(), ConfigValue::from(name))));
        (point, change.clone())
    };
    // The last change takes the points themselves: most experiments have no other.
    let points = std::iter::repeat_n(points, changes.len());
    let with_points = changes.iter().zip(points);
    with_points
        .flat_map(|(change, points)| points.into_iter().map(|point| place(change, point)))
        .collect()
}

struct AblationReader<'a> {
    document: &'a Document,
    problems: &'a mut Diagnostics,
}

impl AblationReader<'_> {
    fn changes(mut self) -> Vec<AblationChange> {
        if !self.document.tree.contains_key(AXIS) {
            let params = ConfigTable::new();
            return vec![AblationChange { name: None, params }];
        }
        self.check_names();
        let mut changes = vec![AblationChange {
            name: Some(BASELINE.to_owned()),
            params: ConfigTable::new(),
        }];
        for (name, value) in self.document.entries(AXIS) {
            match &value.data {
                ValueData::List(values) => {
                    for value in values {
                        if !self.changes_something(name, value) {
                            continue;
                        }
                        let params = ConfigTable::from([(name.to_owned(), value.clone())]);
                        self.add(&mut changes, format!("{name}={}", value.plain_text()), params, value);
                    }
                }
                ValueData::Table(params) if self.is_change(name, params, value) => {
                    self.add(&mut changes, name.to_owned(), params.clone(), value);
                }
                ValueData::Table(_) => {}
                _ => {
                    let message = format!(
                        "`{AXIS}.{name}` must be a list of values, or a table of params, not {}",
                        value.describe()
                    );
                    self.problem(value, message);
                }
            }
        }
        changes
    }

    fn add(&mut self, changes: &mut Vec<AblationChange>, name: String, params: ConfigTable, value: &ConfigValue) {
        if name == BASELINE {
            self.problem(
                value,
                format!("`{BASELINE}` is the variant without changes; give this one another name"),
            );
        } else if changes.len() <= MAX_VARIANTS && changes.iter().any(|change| change.name.as_ref() == Some(&name)) {
            self.problem(value, format!("`{name}` stands in `[{AXIS}]` twice"));
        }
        changes.push(AblationChange { name: Some(name), params });
    }

    /// Whether a table of params, which is one change, is valid.
    fn is_change(&mut self, name: &str, params: &ConfigTable, table: &ConfigValue) -> bool {
        if self.param(name).is_some() {
            let message = format!("`{name}` is a param, and its changes are a list of values, not a table");
            self.problem(table, message);
            return false;
        }
        // All of them, so that each is reported.
        let can_be = params.iter().filter(|(param, value)| self.can_be(param, value)).count() == params.len();
        if can_be && params.iter().all(|(param, value)| self.param(param) == Some(value)) {
            self.problem(table, format!("`{AXIS}.{name}` changes nothing"));
        }
        can_be
    }

    /// Whether `value` is another one for a param that there is.
    fn changes_something(&mut self, param: &str, value: &ConfigValue) -> bool {
        if !self.can_be(param, value) {
            return false;
        }
        let differs = self.param(param) != Some(value);
        if !differs {
            self.problem(value, format!("`{param}` is {} in the baseline already", value.plain_text()));
        }
        differs
    }

    /// Whether `value` can be that of a param that there is.
    fn can_be(&mut self, param: &str, value: &ConfigValue) -> bool {
        let params = || self.document.entries("params").into_iter().map(|(name, _)| name);
        if self.param(param).is_none() {
            let diagnostic = if self.document.entries("matrix").iter().any(|(axis, _)| *axis == param) {
                Diagnostic::new(format!(
                    "`{param}` is an axis of the matrix: all its values are combined with every change"
                ))
                .help("to change it alone, give it one value in `[params]` and take it out of the matrix")
            } else {
                Diagnostic::new(format!("no param `{param}` to change ({})", known(params()))).suggest(nearest(param, params()))
            };
            let at = self.key(param, value);
            self.problems.push(diagnostic.at(at));
            return false;
        }
        if value.as_table().is_some() {
            self.problem(value, format!("a value of `{param}` must be a scalar or a list, not a table"));
            return false;
        }
        if let Some(message) = placeholder_problem(value) {
            self.problem(value, message);
            return false;
        }
        true
    }

    /// Where a param is named: an item of a list has no key of its own, but the list has.
    fn key(&self, param: &str, value: &ConfigValue) -> Option<super::Location> {
        let table = self.document.tree.get(AXIS).and_then(ConfigValue::as_table);
        let list = table.and_then(|table| table.get(param)).filter(|list| list.as_list().is_some());
        list.unwrap_or(value).key_at()
    }

    fn param(&self, name: &str) -> Option<&ConfigValue> {
        self.document.tree.get("params")?.as_table()?.get(name)
    }

    /// Refuses params and axes of the coordinate's name.
    fn check_names(&mut self) {
        for table in ["params", "matrix"] {
            for (_, value) in self.document.entries(table).iter().filter(|(name, _)| *name == AXIS) {
                let at = value.key_at();
                let message = format!("`{AXIS}` is what the variants of `[{AXIS}]` are named by; give this another name");
                self.problems.push(Diagnostic::new(message).at(at));
            }
        }
    }

    fn problem(&mut self, value: &ConfigValue, message: String) {
        let at = value.at();
        self.problems.push(Diagnostic::new(message).at(at));
    }
}
