//! Panels as SVG: axes, lines, marks and bars.

use std::fmt::Write;

use super::axis::{Axis, Scale};
use super::drawing::{Drawing, TextClass, cross, header, marked, text_lines};
use super::style::shape;
use super::value::{number, value_text};
use super::words::{width, wrapped};
use super::{FigurePoint, Panel, Series, SeriesForm, SeriesStyle};
use crate::escape;

/// The height in pixels, where titles have one line.
const HEIGHT: f64 = 236.0;
/// The edges of the axes within a panel.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 328.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 194.0;

impl Panel {
    /// The panel below its title. A title of the y axis that is longer than the axis stands above it.
    pub(super) fn drawn(&self) -> Drawing {
        let aside = width(&self.y.title, TextClass::Tick.size()) <= BOTTOM - TOP;
        let above = if aside { "" } else { self.y.title.as_str() };
        let (head, extra) = header(&[(TextClass::Head, &self.title), (TextClass::Tick, above)], LEFT);
        let (below, lines) = self.x_title();
        let mut text = self.axes() + &below;
        if aside {
            text += &format!(
                "<text class=\"tick mid\" transform=\"translate(10 {}) rotate(-90)\">{}</text>",
                f64::midpoint(TOP, BOTTOM),
                escape::html(&self.y.title)
            );
        }
        text += &self.all_series();
        Drawing {
            title: self.title.clone(),
            height: HEIGHT + extra + TextClass::Tick.line() * lines.saturating_sub(1) as f64,
            content: head + &Drawing::moved_down(&text, extra),
        }
    }

    /// The title below the x axis, and the number of its lines.
    fn x_title(&self) -> (String, usize) {
        let lines = wrapped(&self.x.title, TextClass::Tick.size(), RIGHT - LEFT);
        let text = text_lines(
            "tick mid",
            &lines,
            f64::midpoint(LEFT, RIGHT),
            BOTTOM + 34.0,
            TextClass::Tick.line(),
        );
        (text, lines.len())
    }

    fn all_series(&self) -> String {
        let mut text = String::new();
        let bars = self.series.iter().filter(|series| series.form == SeriesForm::Bars).count();
        // References lie below the other series.
        for (i, series) in self.series.iter().enumerate() {
            if series.style.is_grey() {
                text += &self.series(series, i, bars);
            }
        }
        for (i, series) in self.series.iter().enumerate() {
            if !series.style.is_grey() {
                text += &self.series(series, i, bars);
            }
        }
        text
    }

    fn axes(&self) -> String {
        let mut text = String::new();
        for tick in self.y.ticks() {
            let y = down(&self.y, tick.at);
            let _ = write!(
                text,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/><text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT - 6.0,
                y + 3.5,
                escape::html(&tick.label)
            );
        }
        let mut taken = f64::NEG_INFINITY;
        for tick in self.x.ticks() {
            let x = across(&self.x, tick.at);
            let _ = write!(text, "<path class=\"axis\" d=\"M{x:.1} {BOTTOM}v4\"/>");
            // Labels of values that lie close together would cover each other.
            let half = width(&tick.label, TextClass::Tick.size()) / 2.0;
            if x - half > taken {
                taken = x + half + 4.0;
                let _ = write!(
                    text,
                    "<text class=\"tick mid\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                    BOTTOM + 16.0,
                    escape::html(&tick.label)
                );
            }
        }
        let _ = write!(text, "<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>");
        text
    }

    fn series(&self, series: &Series, place: usize, bars: usize) -> String {
        let is_drawn = |point: &&FigurePoint| point.x.is_finite() && point.y.is_finite();
        let points: Vec<&FigurePoint> = series.points.iter().filter(is_drawn).collect();
        let parts: Vec<Vec<&FigurePoint>> = series
            .points
            .split(|point| !is_drawn(&point))
            .map(|part| part.iter().collect())
            .collect();
        let lines = || parts.iter().map(|part| self.line(part)).collect::<String>();
        let bands = || parts.iter().map(|part| self.band(part)).collect::<String>();
        let mut text = format!("<g class=\"{}\">", series.style.class());
        match series.form {
            SeriesForm::Bars => points.iter().for_each(|point| text += &self.bar(series, point, place, bars)),
            SeriesForm::Line | SeriesForm::Dashed => {
                text += &bands();
                let lines = || match series.form {
                    SeriesForm::Dashed => format!("<g class=\"dashed\">{}</g>", lines()),
                    _ => lines(),
                };
                // The line opens the stages of its points. Those of a training that ended early are not in the last ones.
                let opens = points.iter().max_by_key(|point| point.nodes.len());
                let opens = opens.filter(|point| !point.nodes.is_empty());
                text += &opens.map_or_else(lines, |point| marked(point, &series.name, &lines()));
            }
            SeriesForm::Faint => text += &format!("<g class=\"faint\">{}</g>", lines()),
            SeriesForm::Marked | SeriesForm::Dots => {
                if series.form == SeriesForm::Marked {
                    text += &(bands() + &lines());
                }
                for point in &points {
                    text += &self.mark(series, point);
                }
            }
        }
        for point in &series.points {
            text += &self.divergence(series, point);
        }
        text + "</g>"
    }

    /// The cross of a point at which seeds diverged.
    fn divergence(&self, series: &Series, point: &FigurePoint) -> String {
        let Some(diverged) = point.diverged else { return String::new() };
        let height = if diverged.at.is_finite() { diverged.at } else { self.y.high };
        let drawn = cross(across(&self.x, point.x), down(&self.y, height));
        marked(point, &self.point_name(series, point), &drawn)
    }

    fn at(&self, x: f64, y: f64) -> String {
        format!("{:.1} {:.1}", across(&self.x, x), down(&self.y, y))
    }

    fn line(&self, points: &[&FigurePoint]) -> String {
        let places: Vec<String> = points.iter().map(|point| self.at(point.x, point.y)).collect();
        if places.len() < 2 {
            String::new()
        } else {
            format!("<path class=\"line\" d=\"M{}\"/>", places.join("L"))
        }
    }

    /// One deviation above and below the means.
    fn band(&self, points: &[&FigurePoint]) -> String {
        let deviating: Vec<(f64, [f64; 2])> = points.iter().filter_map(|point| Some((point.x, point.ends()?))).collect();
        if deviating.len() < 2 {
            return String::new();
        }
        let above = deviating.iter().map(|(x, [_, high])| self.at(*x, *high));
        let below = deviating.iter().rev().map(|(x, [low, _])| self.at(*x, *low));
        format!(
            "<path class=\"band\" d=\"M{}Z\"/>",
            above.chain(below).collect::<Vec<_>>().join("L")
        )
    }

    /// The deviation as a line from end to end.
    fn whisker(&self, x: f64, point: &FigurePoint) -> String {
        let bar = |[low, high]: [f64; 2]| format!("<path class=\"whisker\" d=\"M{x:.1} {low:.1}V{high:.1}\"/>");
        let ends = point.ends().map(|ends| ends.map(|end| down(&self.y, end)));
        ends.map_or_else(String::new, bar)
    }

    fn mark(&self, series: &Series, point: &FigurePoint) -> String {
        let shape = match series.style {
            SeriesStyle::Colour(i) => shape(i),
            SeriesStyle::Reference | SeriesStyle::Full => shape(0),
        };
        let (x, y) = (across(&self.x, point.x), down(&self.y, point.y));
        let drawn = format!("<path class=\"mark\" transform=\"translate({x:.1} {y:.1})\" d=\"{shape}\"/>");
        let name = self.point_name(series, point);
        self.whisker(x, point)
            + &marked(
                point,
                &name,
                &format!("<circle class=\"hit\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"9\"/>{drawn}"),
            )
    }

    fn bar(&self, series: &Series, point: &FigurePoint, place: usize, bars: usize) -> String {
        let slot = (RIGHT - LEFT) / (self.x.high - self.x.low) * 0.8;
        let width = slot / bars.max(1) as f64;
        let left = across(&self.x, point.x) - slot / 2.0 + width * place as f64;
        let top = down(&self.y, point.y);
        let drawn = format!(
            "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            (width - 0.5).max(0.5),
            (BOTTOM - top).max(0.0)
        );
        marked(
            point,
            &self.point_name(series, point),
            &(drawn + &self.whisker(left + width / 2.0, point)),
        )
    }

    /// `warm start, iteration 2: 98.6 ± 0.1`
    fn point_name(&self, series: &Series, point: &FigurePoint) -> String {
        format!("{}, {} {}: {}", series.name, self.x.title, self.x_text(point.x), value_text(point))
    }

    /// A place on the x axis, as its tick has it if it has one.
    pub(super) fn x_text(&self, x: f64) -> String {
        self.x.given_label(x).map_or_else(|| number(x), str::to_owned)
    }
}

fn across(axis: &Axis, x: f64) -> f64 {
    // Marks at the ends need room; whole axes have half a step of it.
    let inset = if axis.scale == Scale::Whole { 0.0 } else { 4.0 };
    LEFT + inset + axis.position(x) * (RIGHT - LEFT - 2.0 * inset)
}

fn down(axis: &Axis, y: f64) -> f64 {
    BOTTOM - axis.position(y) * (BOTTOM - TOP)
}
