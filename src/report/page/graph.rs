//! The graph of the stages: a line for each index, a column for each base name, and a box for all stages of one name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::escape;
use crate::stage_details::{StageDetails, StageStatus};

/// The size of a box in pixels, where its name has room on one line.
const BOX_WIDTH: f64 = 128.0;
const BOX_HEIGHT: f64 = 40.0;
/// The width of the widest box, of a character, and the height of a further line of the name.
const MAX_WIDTH: f64 = 240.0;
const CHARACTER: f64 = 6.6;
const LINE: f64 = 15.0;
/// The gaps between boxes.
const COLUMN_GAP: f64 = 44.0;
const ROW_GAP: f64 = 18.0;
/// The gap between lines of different indices.
const INDEX_GAP: f64 = 26.0;
const MARGIN: f64 = 10.0;

/// The size of all boxes, which have room for the longest name.
#[derive(Clone, Copy)]
struct BoxSize {
    width: f64,
    height: f64,
}

impl BoxSize {
    fn of(boxes: &[GraphBox<'_>]) -> Self {
        let longest = boxes
            .iter()
            .map(|node| node.name.chars().count().max(node.kind_text().chars().count()));
        let needed = 20.0 + CHARACTER * longest.max().unwrap_or(0) as f64;
        let mut size = Self {
            width: needed.clamp(BOX_WIDTH, MAX_WIDTH),
            height: BOX_HEIGHT,
        };
        let lines = boxes.iter().map(|node| size.lines(node.name).len()).max().unwrap_or(1);
        size.height += LINE * lines.saturating_sub(1) as f64;
        size
    }

    /// A name in lines that fit into a box.
    fn lines(self, name: &str) -> Vec<String> {
        let room = ((self.width - 20.0) / CHARACTER + 1e-6).floor().max(1.0) as usize;
        let characters: Vec<char> = name.chars().collect();
        characters.chunks(room).map(|line| line.iter().collect()).collect()
    }
}

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
    let size = BoxSize::of(&boxes);
    let (width, height) = set_positions(&mut boxes, size);
    let mut text = format!(
        "<svg class=\"graph\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"group\" aria-label=\"The stages and what they read\">\n"
    );
    for (from, to) in &edges {
        if let (Some(source), Some(target)) = (boxes.get(*from), boxes.get(*to)) {
            let _ = writeln!(
                text,
                "<path class=\"edge\" data-from=\"{from}\" data-to=\"{to}\" d=\"{}\"/>",
                curve(source, target, size)
            );
        }
    }
    for (i, node) in boxes.iter().enumerate() {
        text += &node.html(i, size);
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
fn set_positions(boxes: &mut [GraphBox<'_>], size: BoxSize) -> (f64, f64) {
    let indices: BTreeSet<Option<i64>> = boxes.iter().map(|node| node.index).collect();
    let (mut top, mut right) = (MARGIN, 0.0f64);
    for index in indices {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for node in boxes.iter_mut().filter(|node| node.index == index) {
            let count = counts.entry(node.column).or_default();
            node.x = MARGIN + node.column as f64 * (size.width + COLUMN_GAP);
            node.y = top + *count as f64 * (size.height + ROW_GAP);
            right = right.max(node.x + size.width);
            *count += 1;
        }
        let deepest = counts.values().copied().max().unwrap_or(0);
        top += deepest as f64 * (size.height + ROW_GAP) - ROW_GAP + INDEX_GAP;
    }
    (right + MARGIN, (top - INDEX_GAP + MARGIN).max(2.0 * MARGIN))
}

/// An edge from the right side of one box to the left side of the other if it goes forwards, else from the bottom to the top. It passes other
/// boxes between their lines.
fn curve(from: &GraphBox<'_>, to: &GraphBox<'_>, size: BoxSize) -> String {
    if to.column > from.column + 1 {
        let (x0, y0, x1, y1) = (from.x + size.width, from.y + size.height / 2.0, to.x, to.y + size.height / 2.0);
        let gap = if to.y < from.y {
            to.y + size.height + ROW_GAP / 2.0
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
        let (x, y0, y1) = (from.x, from.y + size.height / 2.0, to.y + size.height / 2.0);
        let beside = x - 0.6 * MARGIN;
        format!("M{x:.0} {y0:.0}H{beside:.0}V{y1:.0}H{x:.0}")
    } else if to.x > from.x {
        let (x0, y0, x1, y1) = (from.x + size.width, from.y + size.height / 2.0, to.x, to.y + size.height / 2.0);
        let bend = (x1 - x0) / 2.0;
        format!("M{x0:.0} {y0:.0}C{:.0} {y0:.0} {:.0} {y1:.0} {x1:.0} {y1:.0}", x0 + bend, x1 - bend)
    } else {
        let (x0, x1) = (from.x + size.width / 2.0, to.x + size.width / 2.0);
        let (y0, y1) = if to.y > from.y {
            (from.y + size.height, to.y)
        } else {
            (from.y, to.y + size.height)
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

    fn html(&self, number: usize, size: BoxSize) -> String {
        let (class, status) = match self.state() {
            StageStatus::Ran => ("ran", "from the latest run"),
            StageStatus::Cached => ("cached", "from an earlier run"),
            StageStatus::Run => ("open", "to run"),
            StageStatus::Unknown => ("open", "to run after others"),
        };
        let ids: Vec<String> = self.stages.iter().map(|stage| stage.id.to_string()).collect();
        let (x, y, name, about) = (self.x, self.y, escape::html(self.name), escape::html(&self.kind_text()));
        let lines = size.lines(self.name);
        let line = |(i, line): (usize, &String)| {
            let y = 17.0 + LINE * i as f64;
            format!("<text x=\"10\" y=\"{y}\">{}</text>", escape::html(line))
        };
        let drawn: String = lines.iter().enumerate().map(line).collect();
        format!(
            "<g class=\"node {class}\" tabindex=\"0\" role=\"button\" data-node=\"{number}\" data-stages=\"{}\" \
             transform=\"translate({x:.0} {y:.0})\" aria-label=\"{name}, {about}, {status}\"><title>{name}: {status}</title>\
             <rect width=\"{}\" height=\"{}\" rx=\"5\"/>{drawn}\
             <text class=\"sub\" x=\"10\" y=\"{}\">{about}</text></g>\n",
            ids.join(" "),
            size.width,
            size.height,
            17.0 + LINE * lines.len() as f64
        )
    }

    /// `command × 81, 27 there`
    fn kind_text(&self) -> String {
        let kind = self.stages.first().map_or("", |stage| stage.kind);
        let is_there = |stage: &&&StageDetails| matches!(stage.state, StageStatus::Ran | StageStatus::Cached);
        match (self.stages.iter().filter(is_there).count(), self.stages.len()) {
            (_, 1) => kind.to_owned(),
            (there, all) if there == 0 || there == all => format!("{kind} × {all}"),
            (there, all) => format!("{kind} × {all}, {there} there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn stage(id: usize, name: &str, state: StageStatus) -> StageDetails {
        StageDetails {
            state,
            ..example::stage_details(id, name)
        }
    }

    #[test]
    fn a_sweep_has_a_box_for_each_name_with_a_count() {
        let mut stages: Vec<StageDetails> = (0..81).map(|id| stage(id, "fit", StageStatus::Ran)).collect();
        stages.extend((81..84).map(|id| stage(id, "test", if id == 81 { StageStatus::Ran } else { StageStatus::Run })));
        let svg = graph_svg(&stages);
        assert_eq!(svg.matches("class=\"node").count(), 2);
        assert!(svg.contains(">command × 81<") && svg.contains(">command × 3, 1 there<"), "{svg}");
    }

    #[test]
    fn names_are_there_in_full() {
        let name = "evaluate_the_finetuned_model_on_all_held_out_languages";
        let svg = graph_svg(&[stage(0, name, StageStatus::Ran)]);
        assert!(!svg.contains('…'), "{svg}");
        let lines: Vec<&str> = svg
            .split("<text x=\"10\"")
            .skip(1)
            .map(|text| text.split_once('>').unwrap().1.split_once('<').unwrap().0)
            .collect();
        assert_eq!((lines.len(), lines.concat()), (2, name.to_owned()));
    }
}
