//! What the steps of a solution are.

use crate::metrics;
use crate::task_table::{StepRule, TaskTable};

/// The number of steps of a solution of a task.
pub fn count_steps(task: &TaskTable, solution: &str) -> u32 {
    let end = task.steps_end.as_deref().filter(|end| !end.is_empty());
    steps(task.steps, end, solution).len() as u32
}

/// The steps of a solution, trimmed and not blank. `end` is a text that ends them; without one, they end where the answer's line begins, or
/// with the solution.
pub(super) fn steps<'a>(rule: StepRule, end: Option<&str>, solution: &'a str) -> Vec<&'a str> {
    let Some(end) = end else {
        return split(rule, metrics::before_closing(solution));
    };
    split(rule, solution.split(end).next().unwrap_or_default())
}

fn split(rule: StepRule, text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match rule {
        StepRule::Lines => lines.collect(),
        StepRule::Numbered => lines.filter(|line| is_numbered(line)).collect(),
        // Nothing tells them apart, and a word stands for one.
        StepRule::None => text.split_whitespace().collect(),
    }
}

/// `1. …`, `2) …`, `- …`, `* …`, `Step 3: …`
fn is_numbered(line: &str) -> bool {
    let line = line.trim_start_matches("**");
    if let Some(rest) = line.strip_prefix(['-', '*', '•']) {
        return rest.starts_with(char::is_whitespace);
    }
    let line = line.strip_prefix("Step ").unwrap_or(line);
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < line.len() && rest.starts_with(['.', ')', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_lines_numbered_items_or_words() {
        let text = "First:\n1. a b\n\n 2) c\n- d\n* e\nStep 3: f\n3.\n2024 was a year\nThus, the answer is 4.";
        assert_eq!(steps(StepRule::Lines, None, text).len(), 8);
        assert_eq!(
            steps(StepRule::Numbered, None, text),
            ["1. a b", "2) c", "- d", "* e", "Step 3: f", "3."]
        );
        assert_eq!(steps(StepRule::None, None, "a b\nc\nThus, the answer is 4.").len(), 3);
        assert_eq!(steps(StepRule::Lines, Some("####"), "a\nb\n#### 4\nc"), ["a", "b"]);
        assert!(steps(StepRule::Lines, Some("####"), "#### 4").is_empty());
    }
}
