//! What a text without quotes means in YAML 1.1, by the rules of PyYAML (`yaml/resolver.py`).

/// The value of a text without quotes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Whole(i64),
    /// A number with its digits, as TOML writes it.
    Float(String),
    Text(String),
}

/// The value of a text without quotes.
pub(super) fn plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Scalar::Bool(false),
        _ => {}
    }
    let starts = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.');
    if !text.starts_with(starts) {
        return Scalar::Text(text.to_owned());
    }
    whole(text)
        .map(Scalar::Whole)
        .or_else(|| float(text).map(Scalar::Float))
        .unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

/// A whole number: decimal, `0b…`, `0x…`, octal with a zero before it, or in parts of sixty (`1:30`).
fn whole(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let bare = digits.replace('_', "");
    let only = |allowed: fn(&u8) -> bool, text: &str| !text.is_empty() && text.bytes().all(|byte| allowed(&byte) || byte == b'_');
    let number = if let Some(binary) = digits.strip_prefix("0b") {
        only(|byte| matches!(byte, b'0' | b'1'), binary).then(|| i64::from_str_radix(bare.get(2..)?, 2).ok())?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        only(u8::is_ascii_hexdigit, hex).then(|| i64::from_str_radix(bare.get(2..)?, 16).ok())?
    } else if digits.contains(':') {
        sixties(digits)
    } else if !only(u8::is_ascii_digit, digits) || digits.starts_with('_') {
        None
    } else if digits.len() > 1 && digits.starts_with('0') {
        // A zero first means octal; with an 8 or a 9 it is no number.
        i64::from_str_radix(&bare, 8).ok()
    } else {
        bare.parse().ok()
    }?;
    Some(if negative { -number } else { number })
}

/// `1:30` is ninety.
fn sixties(digits: &str) -> Option<i64> {
    let mut parts = digits.split(':');
    let first = parts.next()?;
    if !first.starts_with(|c: char| ('1'..='9').contains(&c)) {
        return None;
    }
    let mut number: i64 = first.replace('_', "").parse().ok()?;
    for part in parts {
        let in_sixty = part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let value: i64 = part.parse().ok().filter(|value| in_sixty && *value < 60)?;
        number = number.checked_mul(60)?.checked_add(value)?;
    }
    Some(number)
}

/// A number with a point, as TOML writes it. An exponent needs its sign, and the number a point: `1e5` is a text to PyYAML.
fn float(text: &str) -> Option<String> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", text.get(1..)?),
        b'+' => ("", text.get(1..)?),
        _ => ("", text),
    };
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(format!("{sign}inf")),
        ".nan" | ".NaN" | ".NAN" if sign.is_empty() && !text.starts_with('+') => return Some("nan".to_owned()),
        _ => {}
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (digits.get(..at)?, digits.get(at + 1..)?),
        None => (digits, "+0"),
    };
    let (before, after) = mantissa.split_once('.')?;
    let numeral = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let exponent_digits = exponent.strip_prefix(['-', '+'])?;
    let exponent_is_one = !exponent_digits.is_empty() && exponent_digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits =
        before.starts_with(|c: char| c.is_ascii_digit()) || (before.is_empty() && after.starts_with(|c: char| c.is_ascii_digit()));
    if !(numeral(before) && numeral(after) && exponent_is_one && has_digits) {
        return None;
    }
    let number: f64 = format!("{sign}{}", digits.replace('_', "")).parse().ok()?;
    Some(format!("{number:?}"))
}
