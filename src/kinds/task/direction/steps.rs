//! Which steps of a walk's solution are valid.
//!
//! A step names a facing and the remaining actions. It is valid if one or more actions were removed from the front of the list, the
//! others are unchanged, and the facing is the one after the removed actions.

use super::walk::{Action, Facing, Walk, parse_list};

/// Which of `steps` follow.
pub(super) fn follow(walk: Walk, steps: &[&str]) -> Vec<bool> {
    let (mut facing, mut remaining) = (walk.facing, walk.actions);
    let held = |step: &&str| {
        let Some((new, rest)) = read(step) else { return false };
        let gone = remaining.strip_suffix(rest.as_slice());
        let follows = gone.is_some_and(|gone| !gone.is_empty() && facing.after(gone) == new);
        (facing, remaining) = (new, rest);
        follows
    };
    steps.iter().map(held).collect()
}

/// `West. Right`, or `North.` when nothing remains.
fn read(step: &str) -> Option<(Facing, Vec<Action>)> {
    let (facing, rest) = step.split_once('.')?;
    let rest = match rest.trim() {
        "" => Vec::new(),
        list => parse_list(list)?,
    };
    Some((Facing::parse(facing.trim())?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(steps: &[&str]) -> Vec<bool> {
        let walk = Walk {
            facing: Facing::parse("South").unwrap(),
            actions: parse_list("Around, Left, Right").unwrap(),
        };
        follow(walk, steps)
    }

    #[test]
    fn some_actions_are_done_and_the_rest_remain() {
        assert_eq!(held(&["North. Left, Right", "West. Right", "North."]), [true; 3]);
        assert_eq!(held(&["West. Right", "North."]), [true; 2]);
        assert_eq!(held(&["North. Left, Right", "North."]), [true; 2]);
        assert_eq!(held(&[" North .Left,Right ", "North. "]), [true; 2]);
        // The right answer by two mistakes.
        assert_eq!(held(&["North. Left, Right", "East. Right", "North."]), [true, false, false]);
        assert_eq!(held(&["West. Left, Right", "South. Right", "West."]), [false, true, true]);
        // Nothing done, an action too many, one too few, another one, nothing readable.
        for wrong in [
            "South. Around, Left, Right",
            "North. Around, Left, Right",
            "West. Right, Right",
            "North. Right",
            "North. Left, Left",
            "North, Left, Right",
            "north. Left, Right",
            "North. Left, Right.",
            "North. Left,, Right",
            "",
        ] {
            assert_eq!(held(&[wrong]), [false], "{wrong}");
        }
    }

    #[test]
    fn a_step_that_cannot_be_read_is_passed_over() {
        assert_eq!(
            held(&["North. Left, Right", "then", "West. Right", "North.", "North."]),
            [true, false, true, true, false]
        );
    }
}
