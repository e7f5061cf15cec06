//! Words on the command line and in variables that look like a number or a boolean and are none in TOML: `.5`, `1,5`, `True`. Taken for
//! text, as other words are, they would give a program a text where it expects a number.

/// Spaces that people write between the digits of a large number: usual, no-break, thin, narrow.
const SPACES: [char; 4] = [' ', '\u{a0}', '\u{2009}', '\u{202f}'];
/// Other ways to write a minus.
const MINUSES: [char; 3] = ['\u{2212}', '\u{2013}', '\u{ff0d}'];

/// A word that looks like a number or a boolean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slip {
    /// `a number`, `true or false`.
    pub looks_like: &'static str,
    /// How TOML writes what was probably meant, where that is not in doubt.
    pub meant: Option<String>,
}

/// What is wrong with a word that is no TOML; `None` for a usual word.
pub(super) fn slip(word: &str) -> Option<Slip> {
    let lower = word.to_lowercase();
    if lower == "true" || lower == "false" {
        let (looks_like, meant) = ("true or false", Some(lower));
        return Some(Slip { looks_like, meant });
    }
    let looks_like = "a number";
    let plain: String = lower.chars().map(plain_sign).filter(|c| !SPACES.contains(c)).collect();
    if is_word_of_floats(&plain) || is_prefixed(&plain) {
        return Some(Slip { looks_like, meant: None });
    }
    let digits: String = plain.chars().filter(|c| !matches!(c, '_' | ',' | '\'')).collect();
    let is_number = digits.contains(|c: char| c.is_ascii_digit()) && digits.parse::<f64>().is_ok();
    is_number.then(|| {
        let is_grouped = digits.len() < plain.len() || plain.len() < word.trim().chars().count();
        let meant = if is_grouped { decimal_comma(&plain) } else { in_toml(&digits) };
        Slip { looks_like, meant }
    })
}

/// ASCII signs and digits for others of the same meaning.
fn plain_sign(c: char) -> char {
    match c {
        c if MINUSES.contains(&c) => '-',
        '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(c) - 0xff10, 10).unwrap_or(c),
        c => c,
    }
}

/// `NaN`, `-Infinity`; TOML knows them in small letters.
fn is_word_of_floats(word: &str) -> bool {
    ["nan", "inf", "infinity"].contains(&word.trim_start_matches(['+', '-']))
}

/// `0X1F`, `-0x10`.
fn is_prefixed(word: &str) -> bool {
    let digits = |prefix: &str, radix: u32| {
        let rest = word.trim_start_matches(['+', '-']).strip_prefix(prefix).unwrap_or_default();
        rest.contains(|c: char| c.is_digit(radix)) && rest.chars().all(|c| c.is_digit(radix) || c == '_')
    };
    digits("0x", 16) || digits("0o", 8) || digits("0b", 2)
}

/// `1,5` as `1.5`; a comma before three digits may as well stand between thousands.
fn decimal_comma(word: &str) -> Option<String> {
    let (whole, part) = word.split_once(',')?;
    let is_part = !part.is_empty() && part.len() != 3 && part.chars().all(|c| c.is_ascii_digit());
    let is_whole = whole.trim_start_matches(['+', '-']).chars().all(|c| c.is_ascii_digit());
    (is_part && is_whole).then(|| in_toml(&format!("{whole}.{part}"))).flatten()
}

/// A number that Rust reads, as TOML writes it.
fn in_toml(digits: &str) -> Option<String> {
    match digits.parse::<i64>() {
        Ok(whole) => Some(whole.to_string()),
        Err(_) if !digits.contains(['.', 'e']) => None,
        Err(_) => {
            let number: f64 = digits.parse().ok()?;
            number.is_finite().then(|| toml::Value::from(number).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_number_is_told_from_words() {
        let said = |word: &str| match slip(word) {
            Some(Slip { looks_like, meant }) => format!("{word}: {looks_like}, {}", meant.unwrap_or_default()),
            None => format!("{word}: a word"),
        };
        let words = [
            ".5",
            "5.",
            "-.5e3",
            "1,5",
            "1,500",
            "1,2,3",
            "007",
            "1 000",
            "1__0",
            "\u{2212}3",
            "\u{ff11}",
            "0X1F",
            "-0x10",
            "NaN",
            "-Infinity",
            "True",
            "FALSE",
        ];
        insta::assert_snapshot!(words.map(said).join("\n"), @r"
        .5: a number, 0.5
        5.: a number, 5.0
        -.5e3: a number, -500.0
        1,5: a number, 1.5
        1,500: a number, 
        1,2,3: a number, 
        007: a number, 7
        1 000: a number, 
        1__0: a number, 
        −3: a number, -3
        １: a number, 1
        0X1F: a number, 
        -0x10: a number, 
        NaN: a number, 
        -Infinity: a number, 
        True: true or false, true
        FALSE: true or false, false
        ");
        for word in [
            "warm", "1.2.3", "10k", "5%", "1/2", "v1", "yes", "none", "e5", "", "-", "a,b", "1e", "0b12", "nano", "{k}", "a.b",
        ] {
            assert_eq!(slip(word), None, "{word}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_word_makes_it_panic(word in ".{0,12}") {
            let _ = slip(&word);
        }

        #[test]
        fn what_was_meant_is_toml(word in "[0-9.,_+e -]{1,8}") {
            if let Some(Slip { meant: Some(meant), .. }) = slip(&word) {
                proptest::prop_assert!(toml::from_str::<toml::Table>(&format!("a = {meant}")).is_ok(), "{word}: {meant}");
            }
        }
    }
}
