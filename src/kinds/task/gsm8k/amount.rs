//! Numbers in everyday notation: `$1,080.00`, `18 eggs`, `-3.5%`.

/// An exact number: two notations of the same number are equal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Amount {
    negative: bool,
    /// Without leading zeros.
    whole: String,
    /// Without trailing zeros.
    decimals: String,
}

impl Amount {
    /// Reads a number with an optional sign, currency before it and unit after it; `None` if the text has a second number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let currency = |c: char| "$€£¥".contains(c) || c.is_whitespace();
        let (negative, text) = sign(text.trim_start_matches(currency));
        let (again, text) = sign(text.trim_start_matches(currency));
        let end = text.find(|c: char| !(c.is_ascii_digit() || ",.".contains(c))).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end)?;
        if unit.chars().any(|c| c.is_ascii_digit()) {
            return None;
        }
        let number = number.trim_end_matches(['.', ',']);
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        if decimals.contains(['.', ',']) || !is_grouped(whole) || (whole.is_empty() && decimals.is_empty()) {
            return None;
        }
        let whole: String = whole.chars().filter(char::is_ascii_digit).collect();
        let whole = whole.trim_start_matches('0').to_owned();
        let decimals = decimals.trim_end_matches('0').to_owned();
        let is_zero = whole.is_empty() && decimals.is_empty();
        Some(Self {
            negative: (negative || again) && !is_zero,
            whole,
            decimals,
        })
    }
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix(['-', '−']) {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

/// Whether the digits have no commas, or one before each group of three.
fn is_grouped(digits: &str) -> bool {
    let mut groups = digits.split(',');
    let first = groups.next().unwrap_or_default();
    !digits.contains(',') || ((1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3))
}
