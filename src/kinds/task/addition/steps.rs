//! Which steps of a sum's solution are valid.
//!
//! A step adds one or more neighbouring digit positions, as many as the digits that it writes down, from where the step before it ended.
//! It is valid if the operand digits, the carry, the sum, the written digits and the carry over are correct. The last position of a step
//! may be the one beyond both operands, if there is a carry into it: then the step includes the final carry.

/// The state after a step.
struct SumProgress {
    /// Number of added digit positions.
    done: usize,
    /// Carried into the next position.
    carry: u128,
}

/// A parsed step.
enum WorkedStep<'a> {
    Add(DigitAddition<'a>),
    /// `Carry the final carry over 1 to the next place.`
    Carry(u128),
}

/// `8 + 7 (plus carry 1) = 16 (write down 6, carry over 1).`
struct DigitAddition<'a> {
    a: u128,
    b: u128,
    carry: u128,
    sum: u128,
    /// With leading zeros: one digit per position.
    written: &'a str,
    over: u128,
}

/// Which of `steps` follow, for the sum of two numbers. With `leading_zeros`, the first operand of a step may have as many digits as the step
/// writes down.
pub(super) fn follow(a: &str, b: &str, leading_zeros: bool, steps: &[&str]) -> Vec<bool> {
    let mut state = SumProgress { done: 0, carry: 0 };
    let positions = a.len().max(b.len());
    let held = |step: &&str| {
        let Some(step) = read(step, leading_zeros) else { return false };
        let (follows, next) = match step {
            WorkedStep::Carry(carry) => (
                state.done == positions && carry == state.carry && carry > 0,
                SumProgress {
                    done: positions + 1,
                    carry: 0,
                },
            ),
            WorkedStep::Add(step) => (
                step.follows(a, b, &state),
                SumProgress {
                    done: state.done.saturating_add(step.written.len()),
                    carry: step.over,
                },
            ),
        };
        state = next;
        follows
    };
    steps.iter().map(held).collect()
}

impl DigitAddition<'_> {
    fn follows(&self, a: &str, b: &str, state: &SumProgress) -> bool {
        let (width, positions) = (self.written.len(), a.len().max(b.len()));
        let end = state.done.saturating_add(width);
        let is_inside = end <= positions || (end == positions + 1 && !self.written.starts_with('0'));
        let sum = self.a.checked_add(self.b).and_then(|sum| sum.checked_add(self.carry));
        let base = u32::try_from(width).ok().and_then(|width| 10u128.checked_pow(width));
        let Some(base) = base.filter(|_| is_inside && sum == Some(self.sum)) else {
            return false;
        };
        digits(a, state.done, width) == Some(self.a)
            && digits(b, state.done, width) == Some(self.b)
            && self.carry == state.carry
            && self.written.parse() == Ok(self.sum % base)
            && self.over == self.sum / base
    }
}

/// The number that `width` digits of `number` make, `done` positions from its end; there are zeros before its first digit.
fn digits(number: &str, done: usize, width: usize) -> Option<u128> {
    let end = number.len().saturating_sub(done);
    let digits = number.get(end.saturating_sub(width)..end)?;
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

fn read(step: &str, leading_zeros: bool) -> Option<WorkedStep<'_>> {
    let (place, rest) = step.trim().split_once(". ")?;
    number(place)?;
    if let Some(rest) = rest.strip_prefix("Carry the final carry over ") {
        return Some(WorkedStep::Carry(number(rest.strip_suffix(" to the next place.")?)?));
    }
    let (a, rest) = rest.split_once(" + ")?;
    let (b, rest) = rest.split_once(" (plus carry ")?;
    let (carry, rest) = rest.split_once(") = ")?;
    let (sum, rest) = rest.split_once(" (write down ")?;
    let (written, rest) = rest.split_once(", ")?;
    let over = match rest.strip_suffix(").")? {
        "no carry over" => 0,
        rest => number(rest.strip_prefix("carry over ")?).filter(|over| *over > 0)?,
    };
    let a = if leading_zeros { padded(a, written.len()) } else { number(a) };
    is_digits(written).then_some(WorkedStep::Add(DigitAddition {
        a: a?,
        b: number(b)?,
        carry: number(carry)?,
        sum: number(sum)?,
        written,
        over,
    }))
}

/// A number without leading zeros, or one of at most `width` digits.
fn padded(text: &str, width: usize) -> Option<u128> {
    let fits = is_digits(text) && text.len() <= width;
    number(text).or_else(|| text.parse().ok().filter(|_| fits))
}

/// A number without leading zeros.
fn number(text: &str) -> Option<u128> {
    let is_plain = is_digits(text) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

/// Whether a text consists of digits only.
pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::addition::solution::{self, Wording};
    use proptest::prelude::*;

    fn held(a: u64, b: u64, text: &str) -> Vec<bool> {
        let steps: Vec<&str> = text.lines().take_while(|line| !line.starts_with("Thus")).collect();
        follow(&a.to_string(), &b.to_string(), false, &steps)
    }

    #[test]
    fn leading_zeros_are_valid_where_rows_have_them() {
        let held = |step: &str, leading_zeros| follow("908", "12", leading_zeros, &[step]);
        for (step, as_published, with_zeros) in [
            ("1. 8 + 12 (plus carry 0) = 20 (write down 20, no carry over).", true, true),
            ("1. 08 + 12 (plus carry 0) = 20 (write down 20, no carry over).", false, true),
            ("1. 008 + 12 (plus carry 0) = 20 (write down 20, no carry over).", false, false),
            ("1. 08 + 2 (plus carry 0) = 10 (write down 0, carry over 1).", false, false),
            ("1. 08 + 012 (plus carry 0) = 20 (write down 20, no carry over).", false, false),
            ("1. 07 + 12 (plus carry 0) = 19 (write down 19, no carry over).", false, false),
            ("1. + + 12 (plus carry 0) = 20 (write down 20, no carry over).", false, false),
        ] {
            assert_eq!(held(step, false), [as_published], "{step}");
            assert_eq!(held(step, true), [with_zeros], "{step}");
        }
    }

    #[test]
    fn each_part_of_a_step_is_checked() {
        for (step, follows) in [
            ("1. 6 + 5 (plus carry 0) = 11 (write down 1, carry over 1).", true),
            ("7. 6 + 5 (plus carry 0) = 11 (write down 1, carry over 1).", true),
            ("1. 86 + 75 (plus carry 0) = 161 (write down 61, carry over 1).", true),
            // The final carry in the same step.
            ("1. 86 + 75 (plus carry 0) = 161 (write down 161, no carry over).", true),
            ("1. 86 + 75 (plus carry 0) = 161 (write down 0161, no carry over).", false),
            ("1. 5 + 6 (plus carry 0) = 11 (write down 1, carry over 1).", false),
            ("1. 6 + 5 (plus carry 1) = 12 (write down 2, carry over 1).", false),
            ("1. 6 + 5 (plus carry 0) = 12 (write down 2, carry over 1).", false),
            ("1. 6 + 5 (plus carry 0) = 11 (write down 11, no carry over).", false),
            ("1. 6 + 5 (plus carry 0) = 11 (write down 1, no carry over).", false),
            ("1. 6 + 5 (plus carry 0) = 11 (write down 2, carry over 1).", false),
            ("1. 6 + 5 (plus carry 0) = 11 (write down 1, carry over 0).", false),
            ("1. 06 + 5 (plus carry 0) = 11 (write down 1, carry over 1).", false),
            ("6 + 5 (plus carry 0) = 11 (write down 1, carry over 1).", false),
            ("1. Carry the final carry over 1 to the next place.", false),
            ("1. 6 + 5 = 11", false),
            ("so", false),
        ] {
            assert_eq!(held(86, 75, step), [follows], "{step}");
        }
    }

    #[test]
    fn a_step_is_held_against_the_one_before_right_or_wrong() {
        let wrong = "1. 6 + 5 (plus carry 0) = 12 (write down 2, carry over 1).
2. 8 + 7 (plus carry 1) = 16 (write down 6, carry over 1).
3. Carry the final carry over 1 to the next place.";
        assert_eq!(held(86, 75, wrong), [false, true, true]);
        let unread = "1. 6 + 5 (plus carry 0) = 11 (write down 1, carry over 1).
2. well
3. 8 + 7 (plus carry 1) = 16 (write down 6, carry over 1).
4. 0 + 0 (plus carry 1) = 1 (write down 1, no carry over).
5. Carry the final carry over 1 to the next place.";
        assert_eq!(held(86, 75, unread), [true, false, true, true, false]);
        let again = "1. 6 + 5 (plus carry 0) = 11 (write down 1, carry over 1).
1. 6 + 5 (plus carry 0) = 11 (write down 1, carry over 1).";
        assert_eq!(held(86, 75, again), [true, false]);
        let twice = "1. 6 + 5 (plus carry 0) = 11 (write down 1, carry over 1).
2. 8 + 7 (plus carry 1) = 16 (write down 6, carry over 1).
3. Carry the final carry over 1 to the next place.
4. Carry the final carry over 1 to the next place.";
        assert_eq!(held(86, 75, twice), [true, true, true, false]);
    }

    proptest! {
        #[test]
        fn every_step_of_our_solutions_follows(a in 1u64..10_000_000, b in 1u64..10_000_000, pair in 0u32..6) {
            let full = Wording::PUBLISHED.full(a, b);
            prop_assert_eq!(held(a, b, &full.text), vec![true; full.steps as usize]);
            let positions = solution::positions(a, b);
            if pair + 1 < positions {
                let skipped = Wording::PUBLISHED.merged(a, b, pair);
                prop_assert_eq!(held(a, b, &skipped.text), vec![true; skipped.steps as usize]);
            }
        }

        #[test]
        fn any_text_is_held(steps in prop::collection::vec(any::<String>(), 0..4), digits in "[0-9]{0,60}") {
            let mut steps: Vec<&str> = steps.iter().map(String::as_str).collect();
            let long = format!("1. {digits} + {digits} (plus carry {digits}) = {digits} (write down {digits}, carry over {digits}).");
            steps.push(&long);
            prop_assert_eq!(follow(&digits, "7", false, &steps).len(), steps.len());
            prop_assert_eq!(follow(&digits, "7", true, &steps).len(), steps.len());
        }
    }
}
