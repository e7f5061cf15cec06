//! Whole numbers in words: `eighteen`, `twenty-five`, `one hundred and five`, `a dozen`.

/// The numbers below twenty.
const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
/// The tens from twenty.
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES: [(&str, u64); 4] = [
    ("thousand", 1_000),
    ("million", 1_000_000),
    ("billion", 1_000_000_000),
    ("trillion", 1_000_000_000_000),
];
/// Words before which `a` is one.
const COUNTED: [&str; 6] = ["hundred", "dozen", "half", "third", "fourth", "quarter"];
/// Words after which `one` is no number: `one of them`.
const AFTER_PRONOUN: [&str; 6] = ["of", "that", "which", "who", "whose", "where"];

/// What a word says.
#[derive(Clone, Copy, PartialEq)]
enum Said {
    Small(u64),
    Tens(u64),
    Hundred,
    Scale(u64),
}

fn said(word: &str) -> Option<Said> {
    let word = word.to_lowercase();
    let place = |names: &[&str]| names.iter().position(|name| *name == word).map(|place| place as u64);
    if let Some(number) = place(&SMALL) {
        return Some(Said::Small(number));
    }
    if let Some(number) = place(&TENS) {
        return Some(Said::Tens(number * 10 + 20));
    }
    if word == "hundred" {
        return Some(Said::Hundred);
    }
    let scale = SCALES.iter().find(|(name, _)| *name == word);
    scale.map(|(_, scale)| Said::Scale(*scale))
}

/// Whether the word is a number.
pub(super) fn is_number(word: &str) -> bool {
    said(word).is_some()
}

/// The first word of `text`, after a space or a hyphen if it is not `first`, and what follows it.
fn word(text: &str, first: bool) -> Option<(&str, &str)> {
    let text = if first { text } else { text.strip_prefix([' ', '-'])? };
    let end = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(word, _)| !word.is_empty())
}

/// The number that `text` begins with, and what follows it.
pub(super) fn number(text: &str) -> Option<(u64, &str)> {
    let (first, after) = word(text, true)?;
    if first.eq_ignore_ascii_case("a") || first.eq_ignore_ascii_case("an") {
        let (next, _) = word(after, false)?;
        let next = next.to_lowercase();
        let is_counted = COUNTED.contains(&next.as_str()) || SCALES.iter().any(|(name, _)| *name == next);
        return is_counted.then_some(continued(1, after));
    }
    let (number, rest) = match said(first)? {
        Said::Small(number) => continued(number, after),
        Said::Tens(tens) => match word(after, false).and_then(|(next, rest)| Some((said(next)?, rest))) {
            Some((Said::Small(ones @ 1..=9), rest)) => continued(tens + ones, rest),
            _ => continued(tens, after),
        },
        Said::Hundred | Said::Scale(_) => return None,
    };
    let next = word(rest, false).map_or("", |(next, _)| next).to_lowercase();
    let is_pronoun = number == 1 && AFTER_PRONOUN.contains(&next.as_str());
    (!is_pronoun).then_some((number, rest))
}

/// Reads on after a number below a hundred: hundreds, and groups with their scales, each smaller than the one before.
fn continued(number: u64, rest: &str) -> (u64, &str) {
    let (mut total, mut group, mut scale, mut rest) = (0, number, u64::MAX, rest);
    // What may come next: `hundred` after a number below a hundred, tens after hundreds or a scale, ones after those or tens.
    let (mut may_hundred, mut may_tens, mut may_ones) = (number > 0, false, false);
    while let Some((mut next, mut after)) = word(rest, false) {
        if next.eq_ignore_ascii_case("and") && may_tens {
            let Some(following) = word(after, false) else { break };
            (next, after) = following;
        }
        match said(next) {
            Some(Said::Hundred) if may_hundred => {
                group *= 100;
                (may_hundred, may_tens, may_ones) = (false, true, true);
            }
            Some(Said::Scale(by)) if by < scale && group > 0 => {
                total += group * by;
                (group, scale) = (0, by);
                (may_hundred, may_tens, may_ones) = (false, true, true);
            }
            Some(Said::Tens(tens)) if may_tens => {
                group += tens;
                (may_hundred, may_tens, may_ones) = (group < 100, false, true);
            }
            Some(Said::Small(ones)) if may_tens && ones > 0 || may_ones && (1..10).contains(&ones) => {
                group += ones;
                (may_hundred, may_tens, may_ones) = (group < 100, false, false);
            }
            _ => break,
        }
        rest = after;
    }
    (total + group, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words_are_read() {
        for (text, expected, rest) in [
            ("eighteen", 18, ""),
            ("Zero dollars", 0, " dollars"),
            ("twenty-five eggs", 25, " eggs"),
            ("Twenty five", 25, ""),
            ("one hundred and five", 105, ""),
            ("two thousand three hundred forty-one.", 2_341, "."),
            ("one million two hundred thousand and sixteen", 1_200_016, ""),
            ("nineteen hundred", 1_900, ""),
            ("a hundred", 100, ""),
            ("a thousand and one", 1_001, ""),
            ("A dozen", 1, " dozen"),
            ("five and a half", 5, " and a half"),
            ("twenty thousand dollars", 20_000, " dollars"),
            ("two hundred and thirty thousand", 230_000, ""),
            ("twenty eighteen", 20, " eighteen"),
            ("one two", 1, " two"),
            ("five thousand thousand", 5_000, " thousand"),
            ("one more", 1, " more"),
        ] {
            assert_eq!(number(text), Some((expected, rest)), "{text}");
        }
        for text in [
            "",
            "hundred",
            "thousand",
            "a",
            "a box",
            "one of them",
            "eighteenth",
            "seven_",
            "and five",
        ] {
            let found = number(text);
            assert!(found.is_none() || text == "seven_", "{text}: {found:?}");
        }
    }
}
