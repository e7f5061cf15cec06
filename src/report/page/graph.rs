//! The graph of the stages: a line for each index, a column for each base name, and a box for all stages of one name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::escape;
use crate::stage_details::{StageDetails, StageStatus};

/// The size of a box in pixels.
const BOX_WIDTH: f64 = 128.0;
const BOX_HEIGHT: f64 = 40.0;
/// The gaps between boxes.
const COLUMN_GAP: f64 = 44.0;
const ROW_GAP: f64 = 18.0;
/// The gap between lines of different indices.
const INDEX_GAP: f64 = 26.0;
const MARGIN: f64 = 10.0;

/// The stages with one name.
struct GraphBox<'a> {
    name: &'a str,
    index: Option<i64>,
    stages: Vec<&'a StageDetails>,
    column: usize,
    x: f64,
    y: f64,
}

pub(super) fn graph_svg(stages: &[StageDetails]) -> String {
    let mut boxes = boxes(stages);
    let edges = edges(stages, &boxes);
    set_columns(&mut boxes, &edges);
    let (width, height) = set_positions(&mut boxes);
    let mut text = format!(
        "<svg class=\"graph\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"group\" aria-label=\"The stages and what they read\">\n"
    );
    for (from, to) in &edges {
        if let (Some(source), Some(target)) = (boxes.get(*from), boxes.get(*to)) {
            let _ = writeln!(
                text,
                "<path class=\"edge\" data-from=\"{from}\" data-to=\"{to}\" d=\"{}\"/>",
                curve(source, target)
            );
        }
    }
    for (i, node) in boxes.iter().enumerate() {
        text += &node.html(i);
    }
    text + "</svg>\n"
}

fn boxes(stages: &[StageDetails]) -> Vec<GraphBox<'_>> {
    let mut boxes: Vec<GraphBox<'_>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for stage in stages {
        let place = *places.entry(&stage.name).or_insert_with(|| {
            boxes.push(GraphBox {
                name: &stage.name,
                index: stage.index,
                stages: Vec::new(),
                column: 0,
                x: 0.0,
                y: 0.0,
            });
            boxes.len() - 1
        });
        if let Some(node) = boxes.get_mut(place) {
            node.stages.push(stage);
        }
    }
    boxes
}

/// Pairs of boxes, the second of which reads an output of the first.
fn edges(stages: &[StageDetails], boxes: &[GraphBox<'_>]) -> BTreeSet<(usize, usize)> {
    let names: BTreeMap<usize, &str> = stages.iter().map(|stage| (stage.id, stage.name.as_str())).collect();
    let places: BTreeMap<&str, usize> = boxes.iter().enumerate().map(|(i, node)| (node.name, i)).collect();
    let from = |id: &usize| places.get(names.get(id)?).copied();
    let of = |stage: &StageDetails| {
        let to = places.get(stage.name.as_str()).copied();
        let sources: Vec<usize> = stage.inputs.iter().filter_map(|input| from(&input.stage)).collect();
        sources.into_iter().filter_map(move |source| Some((source, to?)))
    };
    stages.iter().flat_map(of).collect()
}

/// Puts each base name into a column after those that it reads from at the same index.
fn set_columns(boxes: &mut [GraphBox<'_>], edges: &BTreeSet<(usize, usize)>) {
    let base = |node: &GraphBox<'_>| node.stages.first().map_or_else(String::new, |stage| stage.base.clone());
    let within = edges.iter().filter_map(|(from, to)| {
        let (source, target) = (boxes.get(*from)?, boxes.get(*to)?);
        (source.index == target.index).then(|| (base(source), base(target)))
    });
    let within: BTreeSet<(String, String)> = within.collect();
    let mut ranks: BTreeMap<String, usize> = boxes.iter().map(|node| (base(node), 0)).collect();
    // The longest path has at most this number of steps; the limit also ends cycles of base names across indices.
    for _ in 0..ranks.len() {
        for (from, to) in &within {
            let after = ranks.get(from).map_or(0, |rank| rank + 1);
            if let Some(rank) = ranks.get_mut(to) {
                *rank = (*rank).max(after);
            }
        }
    }
    for node in boxes {
        node.column = ranks.get(&base(node)).copied().unwrap_or_default();
    }
}

/// Sets the position of each box, and returns the size of the drawing.
fn set_positions(boxes: &mut [GraphBox<'_>]) -> (f64, f64) {
    let indices: BTreeSet<Option<i64>> = boxes.iter().map(|node| node.index).collect();
    let (mut top, mut right) = (MARGIN, 0.0f64);
    for index in indices {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for node in boxes.iter_mut().filter(|node| node.index == index) {
            let count = counts.entry(node.column).or_default();
            node.x = MARGIN + node.column as f64 * (BOX_WIDTH + COLUMN_GAP);
            node.y = top + *count as f64 * (BOX_HEIGHT + ROW_GAP);
            right = right.max(node.x + BOX_WIDTH);
            *count += 1;
        }
        let deepest = counts.values().copied().max().unwrap_or(0);
        top += deepest as f64 * (BOX_HEIGHT + ROW_GAP) - ROW_GAP + INDEX_GAP;
    }
    (right + MARGIN, (top - INDEX_GAP + MARGIN).max(2.0 * MARGIN))
}

/// An edge from the right side of one box to the left side of the other if it goes forwards, else from the bottom to the top. It passes other
/// boxes between their lines.
fn curve(from: &GraphBox<'_>, to: &GraphBox<'_>) -> String {
    if to.column > from.column + 1 {
        let (x0, y0, x1, y1) = (from.x + BOX_WIDTH, from.y + BOX_HEIGHT / 2.0, to.x, to.y + BOX_HEIGHT / 2.0);
        let gap = if to.y < from.y {
            to.y + BOX_HEIGHT + ROW_GAP / 2.0
        } else {
            to.y - ROW_GAP / 2.0
        };
        let (first, last, bend) = (x0 + COLUMN_GAP, x1 - COLUMN_GAP, COLUMN_GAP / 2.0);
        format!(
            "M{x0:.0} {y0:.0}C{:.0} {y0:.0} {:.0} {gap:.0} {first:.0} {gap:.0}H{last:.0}C{:.0} {gap:.0} {:.0} {y1:.0} {x1:.0} {y1:.0}",
            x0 + bend,
            first - bend,
            last + bend,
            x1 - bend
        )
    } else if to.column == from.column && from.column == 0 {
        // To the left of the boxes between them.
        let (x, y0, y1) = (from.x, from.y + BOX_HEIGHT / 2.0, to.y + BOX_HEIGHT / 2.0);
        let beside = x - 0.6 * MARGIN;
        format!("M{x:.0} {y0:.0}H{beside:.0}V{y1:.0}H{x:.0}")
    } else if to.x > from.x {
        let (x0, y0, x1, y1) = (from.x + BOX_WIDTH, from.y + BOX_HEIGHT / 2.0, to.x, to.y + BOX_HEIGHT / 2.0);
        let bend = (x1 - x0) / 2.0;
        format!("M{x0:.0} {y0:.0}C{:.0} {y0:.0} {:.0} {y1:.0} {x1:.0} {y1:.0}", x0 + bend, x1 - bend)
    } else {
        let (x0, x1) = (from.x + BOX_WIDTH / 2.0, to.x + BOX_WIDTH / 2.0);
        let (y0, y1) = if to.y > from.y {
            (from.y + BOX_HEIGHT, to.y)
        } else {
            (from.y, to.y + BOX_HEIGHT)
        };
        let bend = (y1 - y0) / 2.0;
        format!("M{x0:.0} {y0:.0}C{x0:.0} {:.0} {x1:.0} {:.0} {x1:.0} {y1:.0}", y0 + bend, y1 - bend)
    }
}

impl GraphBox<'_> {
    /// The status of the stage that is furthest from finished.
    fn state(&self) -> StageStatus {
        let order = [StageStatus::Run, StageStatus::Unknown, StageStatus::Ran];
        let has = |state: &StageStatus| self.stages.iter().any(|stage| stage.state == *state);
        order.into_iter().find(has).unwrap_or(StageStatus::Cached)
    }

    fn html(&self, number: usize) -> String {
        let (class, status) = match self.state() {
            StageStatus::Ran => ("ran", "from the latest run"),
            StageStatus::Cached => ("cached", "from an earlier run"),
            StageStatus::Run => ("open", "to run"),
            StageStatus::Unknown => ("open", "to run after others"),
        };
        let kind = self.stages.first().map_or("", |stage| stage.kind);
        let is_there = |stage: &&&StageDetails| matches!(stage.state, StageStatus::Ran | StageStatus::Cached);
        let many = match (self.stages.iter().filter(is_there).count(), self.stages.len()) {
            (_, 1) => String::new(),
            (there, all) if there == 0 || there == all => format!(" × {all}"),
            (there, all) => format!(" × {all}, {there} there"),
        };
        let ids: Vec<String> = self.stages.iter().map(|stage| stage.id.to_string()).collect();
        let (x, y, name, short) = (self.x, self.y, escape::html(self.name), escape::html(&shortened(self.name)));
        format!(
            "<g class=\"node {class}\" tabindex=\"0\" role=\"button\" data-node=\"{number}\" data-stages=\"{}\" \
             transform=\"translate({x:.0} {y:.0})\" aria-label=\"{name}, {kind}{many}, {status}\"><title>{name}: {status}</title>\
             <rect width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"5\"/><text x=\"10\" y=\"17\">{short}</text>\
             <text class=\"sub\" x=\"10\" y=\"32\">{kind}{many}</text></g>\n",
            ids.join(" ")
        )
    }
}

/// The name, shortened to fit into a box.
fn shortened(name: &str) -> String {
    match name.char_indices().nth(17) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
