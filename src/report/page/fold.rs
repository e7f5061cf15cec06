//! Which figures begin folded, so that a page of many metrics stays short.

use crate::figure::{Figure, FigureView};

/// The rows of drawings that the figures of any metric may have before most of them are folded.
const MAX_ROWS: usize = 4;

/// Whether the figures of any metric are too many to be seen at once. Those of the paper are always seen.
pub(super) struct Fold {
    /// The first figure of each part; `None` if all figures are seen.
    seen: Option<Vec<String>>,
}

impl Fold {
    /// For a page with these figures, in their order.
    pub(super) fn of<'a>(figures: impl Iterator<Item = &'a Figure>) -> Self {
        let (mut rows, mut parts, mut seen) = (0, Vec::new(), Vec::new());
        for figure in figures.filter(|figure| is_of_metrics(figure)) {
            rows += figure.count().div_ceil(Figure::BESIDE);
            if !parts.contains(&figure.part) {
                parts.push(figure.part);
                seen.push(figure.name.clone());
            }
        }
        Self {
            seen: (rows > MAX_ROWS).then_some(seen),
        }
    }

    pub(super) fn html(&self, figure: &Figure) -> String {
        figure.html(self.view(figure))
    }

    fn view(&self, figure: &Figure) -> FigureView {
        match &self.seen {
            Some(seen) if is_of_metrics(figure) && seen.contains(&figure.name) => FigureView::Beginning,
            Some(_) if is_of_metrics(figure) => FigureView::Folded,
            _ => FigureView::Whole,
        }
    }
}

fn is_of_metrics(figure: &Figure) -> bool {
    ["metric-figures", "curves"].contains(&figure.part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Drawings;

    fn figure(part: &'static str, name: &str) -> Figure {
        Figure {
            part,
            name: name.to_owned(),
            title: name.to_owned(),
            caption: String::new(),
            drawings: Drawings::Bars(Vec::new()),
        }
    }

    #[test]
    fn few_figures_are_seen_and_of_many_the_first_of_each_part() {
        let figures = [
            figure("metric-figures", "a"),
            figure("metric-figures", "b"),
            figure("curves", "curves"),
            figure("training", "training"),
        ];
        let views = |fold: &Fold| figures.iter().map(|figure| fold.view(figure)).collect::<Vec<_>>();
        let few = Fold::of(figures.iter());
        assert_eq!(views(&few), [FigureView::Whole; 4]);
        let many = Fold {
            seen: Some(vec!["a".to_owned(), "curves".to_owned()]),
        };
        assert_eq!(
            views(&many),
            [FigureView::Beginning, FigureView::Folded, FigureView::Beginning, FigureView::Whole]
        );
        assert!(
            figures[0]
                .html(FigureView::Folded)
                .starts_with("<details class=\"fold\"><summary>a</summary>")
        );
    }
}
