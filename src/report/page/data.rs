//! The sizes of the data sets.

use std::collections::BTreeMap;

use crate::report::Align;
use crate::report::findings::Findings;
use crate::report::scores::{Mean, distinct};
use crate::report::sheet::{Cell, Row, Sheet, Span};

/// A row for each stage that puts out rows, and each of its ports; means over the variants.
pub(super) fn sizes(findings: &Findings) -> Sheet {
    let stages = &findings.stages;
    let ports = stages.iter().flat_map(|stage| {
        let outputs = stage.outputs.iter().filter(|output| output.rows.is_some());
        outputs.map(move |output| (stage.name.as_str(), output.port.as_str()))
    });
    let row = |(name, port): (&str, &str)| {
        let outputs = stages.iter().filter(|stage| stage.name == name).filter_map(|stage| {
            let output = stage.outputs.iter().find(|output| output.port == port)?;
            Some((stage.id, output.rows? as f64))
        });
        let rows: BTreeMap<usize, f64> = outputs.collect();
        let numbers: Vec<f64> = rows.values().copied().collect();
        let equal = numbers.windows(2).all(|pair| pair[0] == pair[1]);
        let text = Mean::of(&numbers).map_or_else(String::new, |mean| match equal {
            true => format!("{}", mean.mean),
            false => mean.text(1.0, 1),
        });
        Row {
            cells: vec![Cell::text(name), Cell::text(port), Cell::from(text, rows.into_keys())],
            begins: false,
        }
    };
    Sheet {
        title: "Rows of data sets and answers".to_owned(),
        spans: vec![
            Span::alone("stage", Align::Left),
            Span::alone("output", Align::Left),
            Span::alone("rows", Align::Right),
        ],
        rows: distinct(ports).into_iter().map(row).collect(),
    }
}
