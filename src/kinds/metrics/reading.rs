//! Counting the steps of a solution and reading its answer.

/// The beginning of the line after the last step.
const CLOSING: &str = "Thus, the";

/// The words before the answer.
const LEAD: &str = "the answer is";

/// The steps and the answer of a solution, as far as it can be read; any text has a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SolutionReading<'a> {
    /// Number of steps (see [`steps`]).
    pub steps: u32,
    /// The text after the last `the answer is`, without a trailing full stop; `None` if it is missing or blank.
    pub answer: Option<&'a str>,
    /// Whether the solution contains `Thus, the answer is`.
    pub complete: bool,
}

/// The steps of a solution: the lines before `Thus, the` that are not blank, trimmed; all lines if it is missing.
pub fn steps(solution: &str) -> impl Iterator<Item = &str> {
    before_closing(solution).lines().map(str::trim).filter(|line| !line.is_empty())
}

/// The part of a solution before `Thus, the`; all of it if that is missing.
pub fn before_closing(solution: &str) -> &str {
    solution.split(CLOSING).next().unwrap_or_default()
}

/// Counts the steps of a solution and reads its answer.
pub fn read_solution(solution: &str) -> SolutionReading<'_> {
    SolutionReading {
        steps: steps(solution).count() as u32,
        answer: answer(solution),
        complete: solution.contains(&format!("Thus, {LEAD}")),
    }
}

fn answer(solution: &str) -> Option<&str> {
    let (_, rest) = solution.rsplit_once(LEAD)?;
    let rest = rest.trim();
    let answer = rest.strip_suffix('.').unwrap_or(rest).trim_end();
    (!answer.is_empty()).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn solutions_are_read() {
        for (solution, steps, answer, complete) in [
            ("1. a\n2. b\nThus, the answer is 161.", 2, Some("161"), true),
            (
                " \n1. a\r\n\n  2. b  \n\nThus, the answer is  $1,000.0 . ",
                2,
                Some("$1,000.0"),
                true,
            ),
            ("Thus, the answer is North", 0, Some("North"), true),
            ("1. a Thus, the answer is 1.\nThus, the answer is 2.", 1, Some("2"), true),
            ("1. a\n2. b", 2, None, false),
            ("1. a\nThus, the result is 3.", 1, None, false),
            ("1. a\nSo the answer is 3.", 2, Some("3"), false),
            ("1. a\nThus, the answer is .", 1, None, true),
            ("1. a\nThus, the answer is", 1, None, true),
            ("1. a\nThus, the answer is 3.\n2. b", 1, Some("3.\n2. b"), true),
            ("", 0, None, false),
        ] {
            let expected = SolutionReading { steps, answer, complete };
            assert_eq!(read_solution(solution), expected, "{solution:?}");
        }
    }

    #[test]
    fn steps_are_trimmed_lines() {
        let found: Vec<&str> = steps(" \n1. a\r\n\n  2. b  \nThus, the answer is 3.\n4").collect();
        assert_eq!(found, ["1. a", "2. b"]);
    }

    proptest! {
        #[test]
        fn any_text_has_a_reading(text in any::<String>(), lead in "(Thus, |)the answer is ?") {
            read_solution(&text);
            read_solution(&format!("{text}{lead}{text}"));
        }
    }
}
