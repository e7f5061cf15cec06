//! What people write before and after the digits of a number.

use super::digits;
use super::spoken;

/// The longest numerator and denominator of a fraction, in digits.
const MAX_FRACTION_DIGITS: usize = 9;

/// What a word does to the number before it.
pub(super) enum Scale {
    /// `thousand`: so many zeros more.
    Zeros(i64),
    /// `dozen`
    Times(u64),
}

/// Marks around a number: emphasis, quotes, brackets, mathematics.
const MARKS: &[char] = &[
    '*', '_', '`', '"', '\'', '“', '”', '‘', '’', '«', '»', '(', ')', '[', ']', '{', '}', '$',
];
/// What can stand before a number beside marks.
const OPENINGS: [&str; 5] = ["\\boxed", "\\text", "\\(", "\\[", "\\"];
/// Currencies in letters, which stand before a number.
const CURRENCIES: [&str; 16] = [
    "US$", "NZ$", "HK$", "A$", "C$", "S$", "USD", "EUR", "GBP", "INR", "CAD", "AUD", "JPY", "CNY", "Rs.", "Rs",
];
const SIGNS: [(&str, bool); 6] = [
    ("-", true),
    ("−", true),
    ("–", true),
    ("+", false),
    ("minus ", true),
    ("negative ", true),
];
/// Names of parts, from halves on.
const PARTS: [(&str, &str, u64); 11] = [
    ("half", "halves", 2),
    ("third", "thirds", 3),
    ("fourth", "fourths", 4),
    ("fifth", "fifths", 5),
    ("sixth", "sixths", 6),
    ("seventh", "sevenths", 7),
    ("eighth", "eighths", 8),
    ("ninth", "ninths", 9),
    ("tenth", "tenths", 10),
    ("hundredth", "hundredths", 100),
    ("thousandth", "thousandths", 1000),
];
/// Letters that are units where they stand alone right after a number: metres, grams, … Others, as in `18x`, are variables.
const UNIT_LETTERS: &str = "mglhdcptwkLKFCVWAJNMT";
/// Endings that make another word of a number: `18th`, `the 18s`.
const ENDINGS: [&str; 5] = ["st", "nd", "rd", "th", "s"];
/// What the names of fractions in LaTeX begin with; the backslash before them is passed over with other openings.
const LATEX_FRACTIONS: [&str; 4] = ["frac", "dfrac", "tfrac", "cfrac"];

fn is_currency(c: char) -> bool {
    matches!(
        c,
        '$' | '¢' | '£' | '¤' | '¥' | '৳' | '฿' | '﷼' | '＄' | '￠' | '￡' | '￥' | '\u{20a0}'..='\u{20cf}'
    )
}

/// The word that `text` begins with, which may be empty, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Reads marks, a sign and a currency before a number: whether the sign is a minus, whether there is a currency, and what follows.
pub(super) fn start(text: &str) -> (bool, bool, &str) {
    let (mut sign, mut currency, mut rest) = (None, false, text);
    loop {
        let before = rest;
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || (MARKS.contains(&c) && !is_currency(c)));
        if sign.is_none()
            && let Some((found, negative)) = SIGNS.iter().find(|(sign, _)| starts_with_ignoring_case(rest, sign))
        {
            sign = Some(*negative);
            rest = rest.get(found.len()..).unwrap_or_default();
        }
        if let Some(after) = rest.strip_prefix(is_currency) {
            (currency, rest) = (true, after);
        }
        if let Some(after) = CURRENCIES.iter().find_map(|code| rest.strip_prefix(code))
            && !after.starts_with(char::is_alphabetic)
        {
            (currency, rest) = (true, after);
        }
        if let Some(after) = OPENINGS.iter().find_map(|opening| rest.strip_prefix(opening)) {
            rest = after;
        }
        if rest.len() == before.len() {
            return (sign == Some(true), currency, rest);
        }
    }
}

fn starts_with_ignoring_case(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(start))
}

/// The word that multiplies the number before `rest`, and what follows it.
pub(super) fn scale(rest: &str, with_currency: bool) -> Option<(Scale, &str)> {
    let spaced = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '-' || MARKS.contains(&c));
    let (name, after) = word(spaced);
    let zeros = match name {
        "k" | "K" => 3,
        "M" | "mn" | "Mn" => 6,
        "m" if with_currency => 6,
        "bn" | "Bn" => 9,
        "b" | "B" => 9,
        "T" if with_currency => 12,
        _ => match name.to_lowercase().as_str() {
            "hundred" | "hundreds" => 2,
            "thousand" | "thousands" | "grand" => 3,
            "lakh" | "lakhs" => 5,
            "million" | "millions" => 6,
            "crore" | "crores" => 7,
            "billion" | "billions" => 9,
            "trillion" | "trillions" => 12,
            "dozen" | "dozens" => return Some((Scale::Times(12), after)),
            _ => return None,
        },
    };
    Some((Scale::Zeros(zeros), after))
}

/// The fraction in one character that `text` begins with (`½`), and what follows it.
pub(super) fn fraction_sign(text: &str) -> Option<(u64, u64, &str)> {
    let sign = text.chars().next()?;
    let (numerator, denominator) = match sign {
        '½' => (1, 2),
        '⅓' => (1, 3),
        '⅔' => (2, 3),
        '¼' => (1, 4),
        '¾' => (3, 4),
        '⅕' => (1, 5),
        '⅖' => (2, 5),
        '⅗' => (3, 5),
        '⅘' => (4, 5),
        '⅙' => (1, 6),
        '⅚' => (5, 6),
        '⅐' => (1, 7),
        '⅛' => (1, 8),
        '⅜' => (3, 8),
        '⅝' => (5, 8),
        '⅞' => (7, 8),
        '⅑' => (1, 9),
        '⅒' => (1, 10),
        _ => return None,
    };
    Some((numerator, denominator, text.get(sign.len_utf8()..)?))
}

/// The fraction in LaTeX that `text` begins with after the backslash (`frac{1}{2}`, `dfrac12`), and what follows it.
pub(super) fn latex_fraction(text: &str) -> Option<(String, u64, &str)> {
    let (numerator, denominator, after) = latex_parts(text)?;
    let (numerator, denominator) = mixed("", numerator, denominator)?;
    Some((numerator, denominator, after))
}

fn latex_parts(text: &str) -> Option<(&str, &str, &str)> {
    let rest = LATEX_FRACTIONS.iter().find_map(|name| text.strip_prefix(name))?;
    let (numerator, rest) = latex_part(rest)?;
    let (denominator, rest) = latex_part(rest)?;
    Some((numerator, denominator, rest))
}

/// The digits in braces, or the one digit, that `text` begins with, and what follows.
fn latex_part(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    match text.strip_prefix('{') {
        Some(braced) => {
            let (part, after) = braced.split_once('}')?;
            digits(part.trim())
                .filter(|(_, more)| more.is_empty())
                .map(|(digits, _)| (digits, after))
        }
        None => text
            .split_at_checked(1)
            .filter(|(digit, _)| digit.starts_with(|c: char| c.is_ascii_digit())),
    }
}

/// What follows the word `quarters` after a number in words that is too small to count coins: `three quarters`.
pub(super) fn quarters(number: u64, rest: &str) -> Option<&str> {
    let (name, after) = word(rest.strip_prefix([' ', '-'])?);
    let name = name.to_lowercase();
    let is_part = number < 4 && (name == "quarters" || (name == "quarter" && number == 1));
    is_part.then_some(after)
}

/// Whether the character is a digit in the width of Chinese characters.
pub(super) fn is_full_width(c: char) -> bool {
    matches!(c, '０'..='９')
}

/// The text with all characters of ASCII in their usual width.
pub(super) fn half_width(text: &str) -> String {
    let narrow = |c: char| match c {
        '！'..='～' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        c => c,
    };
    text.chars().map(narrow).collect()
}

/// The fraction that the digits `whole` and the text after them are (`1` and `/2`, `5` and ` 1/2` or `-1/2`, `18` and `½`, `5` and
/// ` and a half`, `2` and ` thirds`), and what follows it.
pub(super) fn fraction<'t>(whole: &str, rest: &'t str) -> Option<(String, u64, &'t str)> {
    let found = |parts: Option<(String, u64)>, rest| parts.map(|(numerator, denominator)| (numerator, denominator, rest));
    if let Some((denominator, after)) = denominator(rest) {
        return found(mixed("", whole, denominator), after);
    }
    let spaced = rest.trim_start();
    let added = match word(spaced) {
        ("and", after) if spaced.len() < rest.len() => Some(after.trim_start()),
        _ => None,
    };
    if let Some((numerator, denominator, after)) = fraction_sign(added.unwrap_or(spaced)) {
        return found(mixed(whole, &numerator.to_string(), &denominator.to_string()), after);
    }
    if let Some((numerator, denominator, after)) = spaced.strip_prefix('\\').and_then(latex_parts) {
        return found(mixed(whole, numerator, denominator), after);
    }
    let hyphened = rest.strip_prefix('-');
    let numerator = added.or(hyphened).unwrap_or(spaced);
    if (spaced.len() < rest.len() || hyphened.is_some())
        && let Some((numerator, after)) = digits(numerator)
        && let Some((denominator, after)) = denominator(after)
    {
        return found(mixed(whole, numerator, denominator), after);
    }
    if let Some(added) = added {
        let (numerator, parts, after) = named_part(added)?;
        return found(mixed(whole, &numerator.to_string(), &parts.to_string()), after);
    }
    let (name, after) = word(rest.strip_prefix([' ', '-'])?);
    let name = name.to_lowercase();
    let is_part = |(one, more, _): &&(&str, &str, u64)| name == *more || (name == *one && whole == "1");
    let (_, _, parts) = PARTS.iter().find(is_part)?;
    found(mixed("", whole, &parts.to_string()), after)
}

/// The digits that `text` begins with, and what follows them.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())
}

/// The number after a slash, and what follows it.
fn denominator(text: &str) -> Option<(&str, &str)> {
    digits(text.trim_start().strip_prefix(['/', '⁄'])?.trim_start())
}

/// A fraction in words (`a half`, `three quarters`), and what follows it.
fn named_part(text: &str) -> Option<(u64, u64, &str)> {
    if let Some(after) = half(text) {
        return Some((1, 2, after));
    }
    let (numerator, after) = match word(text) {
        (article, after) if article.eq_ignore_ascii_case("a") => (1, after),
        _ => spoken::number(text)?,
    };
    let (name, after) = word(after.strip_prefix([' ', '-'])?);
    let name = name.to_lowercase();
    let parts = match name.as_str() {
        "quarter" | "quarters" => 4,
        name => PARTS.iter().find(|(one, more, _)| name == *one || name == *more)?.2,
    };
    Some((numerator, parts, after))
}

/// What follows the word `half` at the beginning of `text`.
pub(super) fn half(text: &str) -> Option<&str> {
    let (first, after) = word(text);
    first.eq_ignore_ascii_case("half").then_some(after)
}

/// The text in the brackets that `rest` begins with (`18 (eighteen)`), and what follows them.
pub(super) fn bracketed(rest: &str) -> Option<(&str, &str)> {
    rest.trim_start().strip_prefix('(')?.split_once(')')
}

/// Whether `rest`, after a number, has a `*` that is no mark around something; `before` is what stands before the number.
pub(super) fn has_stray_mark(before: &str, rest: &str) -> bool {
    // Two together may close what was opened before the answer.
    let lone = rest.split(|c: char| c != '*').filter(|stars| stars.len() == 1).count();
    let stands_apart = |part: &str| !part.is_empty() && part.chars().all(|c| c == '*');
    let is_open = before.contains('*');
    !is_open && (lone % 2 == 1 || rest.split(char::is_whitespace).skip(1).any(stands_apart))
}

/// Whether what is attached to a number is nothing or a unit, rather than a variable, an ending or a power.
pub(super) fn is_end(rest: &str) -> bool {
    let attached = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (attached, after) = rest.split_at_checked(attached).unwrap_or((rest, ""));
    let is_power = attached.is_empty() && after.starts_with(['^', '²', '³']);
    !is_power && (attached.is_empty() || is_unit(attached))
}

/// Whether what follows a number leaves it as it is: a unit, or words without a second number and without arithmetic.
pub(super) fn is_unit(rest: &str) -> bool {
    let (attached, after) = word(rest);
    let is_variable = attached.chars().count() == 1 && !UNIT_LETTERS.contains(attached);
    let is_power = after.starts_with(['^', '²', '³']) && attached.is_empty();
    let first = word(rest.trim_start_matches(|c: char| !c.is_alphabetic())).0;
    let ending = word(rest.strip_prefix('-').unwrap_or(rest)).0.to_lowercase();
    let is_calculated = matches!(first.to_lowercase().as_str(), "squared" | "cubed" | "factorial");
    if is_variable || is_power || is_calculated || ENDINGS.contains(&ending.as_str()) {
        return false;
    }
    let mut before = ' ';
    for c in rest.chars() {
        let is_exponent = matches!(c, '²' | '³') && before.is_alphabetic();
        if (c.is_numeric() && !is_exponent) || matches!(c, '+' | '×' | '÷' | '√' | '=' | '^' | '‰' | '‱') {
            return false;
        }
        before = c;
    }
    rest.split(|c: char| !c.is_alphabetic()).all(|word| !calculates(word))
}

/// Whether the word is a number, a variable or an operator.
fn calculates(word: &str) -> bool {
    let word = word.to_lowercase();
    let is_number = |word: &str| word == "half" || (word != "one" && spoken::is_number(word));
    let is_numbers = word.strip_suffix('s').is_some_and(|one| one.len() >= 3 && is_number(one));
    is_number(&word) || is_numbers || matches!(word.as_str(), "x" | "y" | "z" | "π" | "pi" | "plus" | "minus")
}

/// The numerator of `whole` and `numerator`/`denominator`, if these can be one number.
pub(super) fn mixed(whole: &str, numerator: &str, denominator: &str) -> Option<(String, u64)> {
    let is_short = |number: &str| (1..=MAX_FRACTION_DIGITS).contains(&number.len());
    if !is_short(numerator) || !is_short(denominator) {
        return None;
    }
    let (numerator, denominator): (u64, u64) = (numerator.parse().ok()?, denominator.parse().ok()?);
    let is_proper = whole.is_empty() || numerator < denominator;
    (denominator > 0 && is_proper).then(|| (digits::times_plus(whole, denominator, numerator), denominator))
}
