//! Arithmetic on numbers of any length, as texts of digits. Each function takes time proportional to the length.

/// The longest exponent of 10, in digits.
const MAX_EXPONENT_DIGITS: usize = 9;
/// Signs of a multiplication.
const TIMES: [&str; 5] = ["×", "x", "*", "·", "\\times"];

/// `number` · `factor` + `more`; the factor has at most ten digits.
pub(super) fn times_plus(number: &str, factor: u64, more: u64) -> String {
    let mut carry = u128::from(more);
    let mut digits = Vec::with_capacity(number.len() + 10);
    for digit in number.bytes().rev() {
        carry += u128::from(digit.wrapping_sub(b'0')) * u128::from(factor);
        digits.push(b'0' + (carry % 10) as u8);
        carry /= 10;
    }
    while carry > 0 {
        digits.push(b'0' + (carry % 10) as u8);
        carry /= 10;
    }
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

/// The whole part of `number` / `divisor`.
pub(super) fn quotient(number: &str, divisor: u64) -> String {
    if divisor <= 1 {
        return number.to_owned();
    }
    let mut left = 0_u128;
    let digit = |digit: u8| {
        left = left * 10 + u128::from(digit.wrapping_sub(b'0'));
        let quotient = left / u128::from(divisor);
        left %= u128::from(divisor);
        char::from(b'0' + quotient as u8)
    };
    number.bytes().map(digit).collect()
}

/// What is left of `number` when it is divided by `divisor`.
pub(super) fn remainder(number: &str, divisor: u64) -> u64 {
    let divisor = u128::from(divisor.max(1));
    let left = number
        .bytes()
        .fold(0_u128, |left, digit| (left * 10 + u128::from(digit.wrapping_sub(b'0'))) % divisor);
    left as u64
}

pub(super) fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// Whether the digits have no commas, or one before each group of three, or, as in India, before the last three and each two before them.
pub(super) fn is_grouped(digits: &str) -> bool {
    if !digits.contains(',') {
        return true;
    }
    let groups: Vec<usize> = digits.split(',').map(str::len).collect();
    let [first, middle @ .., last] = groups.as_slice() else {
        return false;
    };
    let by = |size: usize| (1..=size).contains(first) && middle.iter().all(|group| *group == size);
    *last == 3 && (by(3) || by(2))
}

/// The exponent of 10 that `text` begins with (`e7`, ` × 10^7`), and what follows it.
pub(super) fn exponent(text: &str) -> Option<(i64, &str)> {
    let power = match text.strip_prefix(['e', 'E']) {
        Some(power) => power,
        None => {
            let factor = TIMES.iter().find_map(|sign| text.trim_start().strip_prefix(sign))?;
            factor.trim_start().strip_prefix("10^")?
        }
    };
    let braced = power.strip_prefix('{');
    let power = braced.unwrap_or(power);
    let (sign, power) = match power.strip_prefix(['-', '−']) {
        Some(power) => (-1, power),
        None => (1, power.strip_prefix('+').unwrap_or(power)),
    };
    let end = power.find(|c: char| !c.is_ascii_digit()).unwrap_or(power.len());
    let (digits, rest) = power.split_at_checked(end)?;
    let rest = if braced.is_some() { rest.strip_prefix('}')? } else { rest };
    let number = Some(digits)
        .filter(|digits| digits.len() <= MAX_EXPONENT_DIGITS)?
        .parse::<i64>()
        .ok()?;
    Some((sign * number, rest))
}

/// A number that is grouped by spaces (`70 000`), without them, and what follows it in `text`.
pub(super) fn spaced(text: &str) -> Option<(String, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (first, mut rest) = text.split_at_checked(end)?;
    if !(1..=3).contains(&first.len()) || first.starts_with('0') {
        return None;
    }
    let mut number = first.to_owned();
    while let Some(after) = rest.strip_prefix([' ', '\u{a0}', '\u{2009}', '\u{202f}']) {
        let Some((group, follows)) = after.split_at_checked(3) else { break };
        let ends = !follows.starts_with(|c: char| c.is_ascii_digit() || "/⁄-".contains(c));
        if !ends || !group.bytes().all(|byte| byte.is_ascii_digit()) {
            break;
        }
        number.push_str(group);
        rest = follows;
    }
    (number.len() > first.len()).then_some((number, rest))
}
