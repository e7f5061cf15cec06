//! One line about a stage, and one about the whole run, for terminals of any width: what matters most stays on narrow ones.

use crate::event::Queue;
use crate::text::{duration, shortened};

/// The most characters of a stage's name, so that there is room for its progress.
const MAX_NAME: usize = 48;

/// The fewest characters of a name, however narrow the terminal.
const MIN_NAME: usize = 8;

/// A bar is drawn on terminals of this many columns.
const MIN_COLUMNS_OF_BAR: usize = 60;

/// The time left is called so on terminals of this many columns; on narrower ones the place says it.
const MIN_COLUMNS_OF_LEFT: usize = 32;

/// The columns of a bar.
const BAR: usize = 12;

/// A stage that runs or waits.
#[derive(Clone, Debug, Default)]
pub struct StageLine {
    pub name: String,
    /// The share done, from 0 to 1.
    pub share: Option<f64>,
    /// The seconds that it has run.
    pub ran: f64,
    /// The seconds that it may still take.
    pub left: Option<f64>,
    /// What else there is to say, the most important first.
    pub more: Vec<String>,
}

impl StageLine {
    /// `━━━╸──────── numbered[0] (seed=1)  28 %  9.0s left  1100/4000 steps, 31.0s, loss 0.0312`, in so many columns: of what does not fit,
    /// the bar goes first, then the words at the end, then the middle of the name.
    pub fn text(&self, columns: usize, is_ascii: bool) -> String {
        let (bar, gap) = if columns >= MIN_COLUMNS_OF_BAR {
            (format!("{} ", self.bar(is_ascii)), "  ")
        } else {
            (String::new(), " ")
        };
        let share = self
            .share
            .map_or_else(String::new, |share| format!("{gap}{:.0} %", (share * 100.0).floor()));
        let time = match self.left {
            Some(left) if columns < MIN_COLUMNS_OF_LEFT => format!("{gap}{}", duration(left)),
            Some(left) => format!("{gap}{} left", duration(left)),
            None => format!("{gap}{}", duration(self.ran)),
        };
        let fixed = [&bar, &share, &time].map(|part| part.chars().count()).iter().sum::<usize>();
        let room = columns.saturating_sub(fixed).clamp(MIN_NAME, MAX_NAME);
        let name = shortened(&self.name, room);
        let mut text = format!("{bar}{name}{share}{time}");
        let elapsed = self.left.map(|_| duration(self.ran));
        // Of the first of them the place is fixed, so that lines below one another can be compared.
        let more = self
            .more
            .iter()
            .take(1)
            .cloned()
            .chain(elapsed)
            .chain(self.more.iter().skip(1).cloned());
        let mut gap = "  ";
        for part in more {
            let part = format!("{gap}{part}");
            if text.chars().count() + part.chars().count() > columns {
                break;
            }
            text += &part;
            gap = ", ";
        }
        text
    }

    fn bar(&self, is_ascii: bool) -> String {
        let [full, head, rest] = if is_ascii { ['#', '>', '-'] } else { ['━', '╸', '─'] };
        let share = self.share.unwrap_or(0.0).clamp(0.0, 1.0);
        let halves = (share * (2 * BAR) as f64).floor() as usize;
        let (whole, has_head) = (halves / 2, halves % 2 == 1);
        let bar = std::iter::repeat_n(full, whole).chain(has_head.then_some(head));
        bar.chain(std::iter::repeat(rest)).take(BAR).collect()
    }
}

/// The whole run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunTotal {
    pub stages: usize,
    /// Those that have ended.
    pub done: usize,
    pub running: usize,
    pub waiting: usize,
    pub failed: usize,
    /// The seconds that the rest may take.
    pub left: Option<f64>,
    /// Whether there are stages to come of which nobody knows how long they take.
    pub is_least: bool,
    /// The seconds that the run has taken so far.
    pub ran: f64,
}

impl RunTotal {
    /// The time left that is told by what waits, so many seconds ago.
    pub fn left(queue: &Queue, ago: f64) -> Option<f64> {
        queue.left.map(|left| (left - ago).max(0.0))
    }

    /// `12 of 40 stages, 2 running, 1 failed, 14m left, 3m10s`; in fewer columns `12/40, 1 failed, 14m left`.
    pub fn text(&self, columns: usize) -> String {
        let Self { stages, done, .. } = *self;
        let counted = |count: usize, word: &str| (count > 0).then(|| format!("{count} {word}"));
        let more = if self.is_least { "+" } else { "" };
        let left = self.left.map(|left| format!("{}{more} left", duration(left)));
        let (running, waiting) = (counted(self.running, "running"), counted(self.waiting, "waiting"));
        let failed = counted(self.failed, "failed");
        let (long, short) = (format!("{done} of {}", crate::text::stages(stages)), format!("{done}/{stages}"));
        let ran = Some(duration(self.ran));
        let forms: [Vec<Option<&String>>; 5] = [
            vec![
                Some(&long),
                running.as_ref(),
                waiting.as_ref(),
                failed.as_ref(),
                left.as_ref(),
                ran.as_ref(),
            ],
            vec![Some(&long), running.as_ref(), failed.as_ref(), left.as_ref()],
            vec![Some(&short), running.as_ref(), failed.as_ref(), left.as_ref()],
            vec![Some(&short), failed.as_ref(), left.as_ref()],
            vec![Some(&short), left.as_ref()],
        ];
        let texts = forms.map(|parts| parts.into_iter().flatten().cloned().collect::<Vec<String>>().join(", "));
        let fits = texts.iter().find(|text| text.chars().count() <= columns);
        fits.or(texts.last()).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_stays_on_narrow_terminals() {
        let line = StageLine {
            name: "standard[1] (seed=1, start=warm)".to_owned(),
            share: Some(0.3429),
            ran: 31.0,
            left: Some(130.0),
            more: vec!["1200/3500 steps".to_owned(), "loss 0.0312".to_owned(), "51.2k tokens/s".to_owned()],
        };
        insta::assert_snapshot!([120, 80, 60, 40, 24].map(|columns| line.text(columns, false)).join("\n"), @r"
        ━━━━──────── standard[1] (seed=1, start=warm)  34 %  2m10s left  1200/3500 steps, 31.0s, loss 0.0312, 51.2k tokens/s
        ━━━━──────── standard[1] (seed=1, start=warm)  34 %  2m10s left  1200/3500 steps
        ━━━━──────── standard[1] (s…1, start=warm)  34 %  2m10s left
        standard[1] …start=warm) 34 % 2m10s left
        standa…=warm) 34 % 2m10s
        ");
        assert!(
            [120, 80, 60, 40]
                .into_iter()
                .all(|columns| line.text(columns, true).chars().count() <= columns)
        );
        let unknown = StageLine {
            name: "fit".to_owned(),
            ran: 3.0,
            ..StageLine::default()
        };
        assert_eq!(unknown.text(80, true), "------------ fit  3.0s");
        assert_eq!(unknown.text(40, true), "fit 3.0s");
    }

    #[test]
    fn the_line_of_the_run_fits() {
        let total = RunTotal {
            stages: 40,
            done: 12,
            running: 2,
            waiting: 3,
            failed: 1,
            left: Some(840.0),
            is_least: true,
            ran: 190.0,
        };
        insta::assert_snapshot!([80, 60, 40, 30, 20].map(|columns| total.text(columns)).join("\n"), @r"
        12 of 40 stages, 2 running, 3 waiting, 1 failed, 14m00s+ left, 3m10s
        12 of 40 stages, 2 running, 1 failed, 14m00s+ left
        12/40, 2 running, 1 failed, 14m00s+ left
        12/40, 1 failed, 14m00s+ left
        12/40, 14m00s+ left
        ");
        assert_eq!(RunTotal::default().text(80), "0 of 0 stages, 0.0s");
    }
}
