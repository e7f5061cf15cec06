//! Reads equations in any order, with any brackets and spacing, of any length and depth.

use super::symbols::{CLOSE, EQUALS, LETTERS, MINUS, OPEN, OVER, PLUS, TIMES, UNKNOWN, ZERO};

/// Two expressions with ↔ between them.
pub(super) struct ParsedEquation {
    pub left: Postfix,
    pub right: Postfix,
    /// Whether the left side is ❤ alone, without brackets.
    is_bare: bool,
}

/// An expression with its operators behind their operands: evaluated from left to right, without recursion.
pub(super) struct Postfix(pub Vec<PostfixItem>);

/// A part of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PostfixItem {
    Zero,
    Unknown,
    /// By its place in [`LETTERS`].
    Letter(usize),
    Operator(Operator),
}

/// An operator on one operand or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Operator {
    Plus,
    Minus,
    Times,
    Over,
    /// A sign.
    Negative,
}

/// A token that waits for its right operand or its closing bracket.
enum PendingToken {
    Bracket,
    Operator(Operator),
}

impl ParsedEquation {
    /// Reads an equation; `None` if the text is not one. Precedence is as usual; any operand may have a sign, as in Python.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (left, right) = text.split_once(EQUALS)?;
        Some(Self {
            left: Postfix::parse(left)?,
            right: Postfix::parse(right)?,
            is_bare: left.trim().chars().eq([UNKNOWN]),
        })
    }

    /// How often ❤ occurs.
    pub(super) fn unknowns(&self) -> usize {
        self.left.unknowns() + self.right.unknowns()
    }

    /// Whether ❤ is isolated: alone on the left, and not on the right.
    pub(super) fn isolates(&self) -> bool {
        self.is_bare && self.right.unknowns() == 0
    }
}

impl Operator {
    /// Which of two operators is done first.
    fn strength(self) -> u8 {
        match self {
            Self::Plus | Self::Minus => 1,
            Self::Times | Self::Over => 2,
            Self::Negative => 3,
        }
    }
}

impl Postfix {
    fn unknowns(&self) -> usize {
        self.0.iter().filter(|item| **item == PostfixItem::Unknown).count()
    }

    /// Dijkstra's shunting yard.
    fn parse(text: &str) -> Option<Self> {
        let mut items = Vec::new();
        let mut waiting = Vec::new();
        // Whether an operand must come next, rather than an operator.
        let mut opens = true;
        for symbol in text.chars().filter(|symbol| !symbol.is_whitespace()) {
            match (symbol, opens) {
                (PLUS, true) => {}
                (MINUS, true) => waiting.push(PendingToken::Operator(Operator::Negative)),
                (OPEN, true) => waiting.push(PendingToken::Bracket),
                (symbol, true) => {
                    items.push(operand(symbol)?);
                    opens = false;
                }
                (CLOSE, false) => close(&mut waiting, &mut items)?,
                (symbol, false) => {
                    let operator = operator(symbol)?;
                    release(&mut waiting, &mut items, operator.strength());
                    waiting.push(PendingToken::Operator(operator));
                    opens = true;
                }
            }
        }
        release(&mut waiting, &mut items, 0);
        (!opens && waiting.is_empty()).then_some(Self(items))
    }
}

fn operand(symbol: char) -> Option<PostfixItem> {
    match symbol {
        ZERO => Some(PostfixItem::Zero),
        UNKNOWN => Some(PostfixItem::Unknown),
        letter => LETTERS.iter().position(|other| *other == letter).map(PostfixItem::Letter),
    }
}

fn operator(symbol: char) -> Option<Operator> {
    match symbol {
        PLUS => Some(Operator::Plus),
        MINUS => Some(Operator::Minus),
        TIMES => Some(Operator::Times),
        OVER => Some(Operator::Over),
        _ => None,
    }
}

/// Moves the operators at the top whose strength is at least `strength` to the output.
fn release(waiting: &mut Vec<PendingToken>, items: &mut Vec<PostfixItem>, strength: u8) {
    while let Some(PendingToken::Operator(operator)) = waiting.last() {
        if operator.strength() < strength {
            break;
        }
        items.push(PostfixItem::Operator(*operator));
        waiting.pop();
    }
}

/// Ends a bracket; `None` if none is open.
fn close(waiting: &mut Vec<PendingToken>, items: &mut Vec<PostfixItem>) -> Option<()> {
    release(waiting, items, 0);
    // All operators are gone from the top.
    waiting.pop().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_equation_is_not_read() {
        for text in [
            "",
            "↔",
            "❤",
            "❤ ↔",
            "❤ ↔ ♋ ↔ ♙",
            "❤ = ♋",
            "❤ ↔ ♋ ♙",
            "❤ ↔ ♋ ✰",
            "❤ ↔ ✾ ♋",
            "❤ ↔ ❲ ♋",
            "❤ ↔ ♋ ❳",
            "❤ ↔ ❲ ❳",
            "❤ ↔ ♋ ❲ ♙ ❳",
            "❤ ↔ ❲ ♋ ❳ ♙",
            "❤ ↔ ♋.",
            "❤ ↔ A",
            "❤ ↔ ❲ ♋ ✰ ❳ ♙",
        ] {
            assert!(ParsedEquation::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn depth_and_length_do_not_matter() {
        let deep = format!("❤↔{}♋{}", "❲❀".repeat(200_000), "❳".repeat(200_000));
        assert!(ParsedEquation::parse(&deep).unwrap().isolates());
        let unbalanced = format!("❤↔{}♋{}", "❲".repeat(200_000), "❳".repeat(199_999));
        assert!(ParsedEquation::parse(&unbalanced).is_none());
        let long = format!("❤↔♋{}", "✾♋✰♙♪♏".repeat(100_000));
        assert_eq!(ParsedEquation::parse(&long).unwrap().right.0.len(), 600_001);
    }
}
