//! The DAG as a drawing: a line for each index, a column for each base, stages of all variants with one name as one box.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::escaped;
use crate::findings::{Stage, State};

/// Of a box, and between boxes.
const WIDTH: f64 = 128.0;
const HEIGHT: f64 = 40.0;
const ACROSS: f64 = 44.0;
const DOWN: f64 = 18.0;
/// Between lines of different indices.
const BETWEEN: f64 = 26.0;
const MARGIN: f64 = 10.0;

/// The stages with one name.
struct Box<'a> {
    name: &'a str,
    index: Option<i64>,
    stages: Vec<&'a Stage>,
    column: usize,
    x: f64,
    y: f64,
}

pub(super) fn html(stages: &[Stage]) -> String {
    let mut boxes = boxes(stages);
    let edges = edges(stages, &boxes);
    columns(&mut boxes, &edges);
    let (width, height) = place(&mut boxes);
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

fn boxes(stages: &[Stage]) -> Vec<Box<'_>> {
    let mut boxes: Vec<Box<'_>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for stage in stages {
        let place = *places.entry(&stage.name).or_insert_with(|| {
            boxes.push(Box {
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
fn edges(stages: &[Stage], boxes: &[Box<'_>]) -> BTreeSet<(usize, usize)> {
    let names: BTreeMap<usize, &str> = stages.iter().map(|stage| (stage.id, stage.name.as_str())).collect();
    let places: BTreeMap<&str, usize> = boxes.iter().enumerate().map(|(i, node)| (node.name, i)).collect();
    let from = |id: &usize| places.get(names.get(id)?).copied();
    let of = |stage: &Stage| {
        let to = places.get(stage.name.as_str()).copied();
        let sources: Vec<usize> = stage.inputs.iter().filter_map(|input| from(&input.stage)).collect();
        sources.into_iter().filter_map(move |source| Some((source, to?)))
    };
    stages.iter().flat_map(of).collect()
}

/// Puts each base into a column after those that it reads from at the same index.
fn columns(boxes: &mut [Box<'_>], edges: &BTreeSet<(usize, usize)>) {
    let base = |node: &Box<'_>| node.stages.first().map_or_else(String::new, |stage| stage.base.clone());
    let within = edges.iter().filter_map(|(from, to)| {
        let (source, target) = (boxes.get(*from)?, boxes.get(*to)?);
        (source.index == target.index).then(|| (base(source), base(target)))
    });
    let within: BTreeSet<(String, String)> = within.collect();
    let mut ranks: BTreeMap<String, usize> = boxes.iter().map(|node| (base(node), 0)).collect();
    // As many rounds as the longest way can have; bases that read from each other at different indices end there too.
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

/// Gives each box its place, and returns the size of the drawing.
fn place(boxes: &mut [Box<'_>]) -> (f64, f64) {
    let indices: BTreeSet<Option<i64>> = boxes.iter().map(|node| node.index).collect();
    let (mut top, mut right) = (MARGIN, 0.0f64);
    for index in indices {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for node in boxes.iter_mut().filter(|node| node.index == index) {
            let count = counts.entry(node.column).or_default();
            node.x = MARGIN + node.column as f64 * (WIDTH + ACROSS);
            node.y = top + *count as f64 * (HEIGHT + DOWN);
            right = right.max(node.x + WIDTH);
            *count += 1;
        }
        let deepest = counts.values().copied().max().unwrap_or(0);
        top += deepest as f64 * (HEIGHT + DOWN) - DOWN + BETWEEN;
    }
    (right + MARGIN, (top - BETWEEN + MARGIN).max(2.0 * MARGIN))
}

/// From the right side to the left where that is forwards, else from below to above. On its way past other boxes it goes between their lines.
fn curve(from: &Box<'_>, to: &Box<'_>) -> String {
    if to.column > from.column + 1 {
        let (x0, y0, x1, y1) = (from.x + WIDTH, from.y + HEIGHT / 2.0, to.x, to.y + HEIGHT / 2.0);
        let gap = if to.y < from.y {
            to.y + HEIGHT + DOWN / 2.0
        } else {
            to.y - DOWN / 2.0
        };
        let (first, last, bend) = (x0 + ACROSS, x1 - ACROSS, ACROSS / 2.0);
        format!(
            "M{x0:.0} {y0:.0}C{:.0} {y0:.0} {:.0} {gap:.0} {first:.0} {gap:.0}H{last:.0}C{:.0} {gap:.0} {:.0} {y1:.0} {x1:.0} {y1:.0}",
            x0 + bend,
            first - bend,
            last + bend,
            x1 - bend
        )
    } else if to.column == from.column && from.column == 0 {
        // Beside the boxes between.
        let (x, y0, y1) = (from.x, from.y + HEIGHT / 2.0, to.y + HEIGHT / 2.0);
        let beside = x - 0.6 * MARGIN;
        format!("M{x:.0} {y0:.0}H{beside:.0}V{y1:.0}H{x:.0}")
    } else if to.x > from.x {
        let (x0, y0, x1, y1) = (from.x + WIDTH, from.y + HEIGHT / 2.0, to.x, to.y + HEIGHT / 2.0);
        let bend = (x1 - x0) / 2.0;
        format!("M{x0:.0} {y0:.0}C{:.0} {y0:.0} {:.0} {y1:.0} {x1:.0} {y1:.0}", x0 + bend, x1 - bend)
    } else {
        let (x0, x1) = (from.x + WIDTH / 2.0, to.x + WIDTH / 2.0);
        let (y0, y1) = if to.y > from.y {
            (from.y + HEIGHT, to.y)
        } else {
            (from.y, to.y + HEIGHT)
        };
        let bend = (y1 - y0) / 2.0;
        format!("M{x0:.0} {y0:.0}C{x0:.0} {:.0} {x1:.0} {:.0} {x1:.0} {y1:.0}", y0 + bend, y1 - bend)
    }
}

impl Box<'_> {
    /// What is furthest from being there decides.
    fn state(&self) -> State {
        let order = [State::Run, State::Unknown, State::Ran];
        let has = |state: &State| self.stages.iter().any(|stage| stage.state == *state);
        order.into_iter().find(has).unwrap_or(State::Cached)
    }

    fn html(&self, number: usize) -> String {
        let (class, said) = match self.state() {
            State::Ran => ("ran", "from the latest run"),
            State::Cached => ("cached", "from an earlier run"),
            State::Run => ("open", "to run"),
            State::Unknown => ("open", "to run after others"),
        };
        let kind = self.stages.first().map_or("", |stage| stage.kind);
        let is_there = |stage: &&&Stage| matches!(stage.state, State::Ran | State::Cached);
        let many = match (self.stages.iter().filter(is_there).count(), self.stages.len()) {
            (_, 1) => String::new(),
            (there, all) if there == 0 || there == all => format!(" × {all}"),
            (there, all) => format!(" × {all}, {there} there"),
        };
        let ids: Vec<String> = self.stages.iter().map(|stage| stage.id.to_string()).collect();
        let (x, y, name, short) = (self.x, self.y, escaped(self.name), escaped(&shortened(self.name)));
        format!(
            "<g class=\"node {class}\" tabindex=\"0\" role=\"button\" data-node=\"{number}\" data-stages=\"{}\" \
             transform=\"translate({x:.0} {y:.0})\" aria-label=\"{name}, {kind}{many}, {said}\"><title>{name}: {said}</title>\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"5\"/><text x=\"10\" y=\"17\">{short}</text>\
             <text class=\"sub\" x=\"10\" y=\"32\">{kind}{many}</text></g>\n",
            ids.join(" ")
        )
    }
}

/// As much of a name as a box has room for.
fn shortened(name: &str) -> String {
    match name.char_indices().nth(17) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
