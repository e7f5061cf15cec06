//! The words of a text, for comparing texts: without case, punctuation and spacing.
//!
//! `The answer: 1,000 + 2.5!` has the words `the`, `answer`, `1000`, `+`, `2.5`. Signs of arithmetic and other symbols are words, since
//! questions may differ in nothing else; `-`, `*` and `/` are, where a number stands beside them. Scripts without blanks between words
//! (Chinese, Japanese) have a word for each character.

/// The words.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    each_word(text, &mut |word| words.push(word.to_owned()));
    words
}

/// The hash of each word.
pub fn word_hashes(text: &str) -> Vec<u64> {
    let mut hashes = Vec::new();
    each_word(text, &mut |word| hashes.push(hash(word.as_bytes())));
    hashes
}

/// The hash of words that stand one after the other.
pub fn sequence_hash(words: &[u64]) -> u64 {
    words.iter().fold(words.len() as u64, |so_far, word| mix(so_far ^ *word))
}

/// The hash of each sequence of `n` words, sorted and each once; of a shorter text, of all its words. Nothing for a text without words.
/// 64 bits: among 10 million sequences, two different ones have the same hash with a probability of 3e-6.
pub fn ngrams(words: &[u64], n: usize) -> Vec<u64> {
    if words.is_empty() {
        return Vec::new();
    }
    let mut ngrams: Vec<u64> = words.windows(n.clamp(1, words.len())).map(sequence_hash).collect();
    ngrams.sort_unstable();
    ngrams.dedup();
    ngrams
}

/// Spreads the bits of a number over all of its bits (the finaliser of SplitMix64 by Steele, Lea and Flood).
pub fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// FNV-1a, mixed.
fn hash(bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let hash = bytes
        .iter()
        .fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    mix(hash)
}

fn each_word(text: &str, take: &mut impl FnMut(&str)) {
    let mut word = String::new();
    // The last character that is no blank.
    let mut before = ' ';
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let rest = characters.as_str();
        match part(character, &word, before, rest) {
            Part::Letter if character.is_ascii() => word.push(character.to_ascii_lowercase()),
            Part::Letter => word.extend(character.to_lowercase()),
            Part::Nothing => {}
            Part::Alone(sign) => {
                end(&mut word, take);
                take(sign.encode_utf8(&mut [0; 4]));
            }
            Part::Border => end(&mut word, take),
        }
        if !character.is_whitespace() {
            before = character;
        }
    }
    end(&mut word, take);
}

fn end(word: &mut String, take: &mut impl FnMut(&str)) {
    if !word.is_empty() {
        take(word);
        word.clear();
    }
}

/// What a character is in its text.
enum Part {
    /// A part of a word.
    Letter,
    /// A word of its own.
    Alone(char),
    /// What stands between words.
    Border,
    /// What may be left out within a word.
    Nothing,
}

fn part(character: char, word: &str, before: char, rest: &str) -> Part {
    let after_digit = word.ends_with(|last: char| last.is_ascii_digit());
    let next_is_digit = rest.starts_with(|next: char| next.is_ascii_digit());
    match character {
        _ if has_no_blanks(character) => Part::Alone(character),
        _ if character.is_alphanumeric() => Part::Letter,
        '.' if after_digit && next_is_digit => Part::Letter,
        ',' if after_digit && is_thousand(rest) => Part::Nothing,
        '\'' | '’' if !word.is_empty() && rest.starts_with(char::is_alphabetic) => Part::Nothing,
        '+' | '=' | '<' | '>' | '^' | '±' | '√' | '%' => Part::Alone(character),
        '−' => Part::Alone('-'),
        '×' => Part::Alone('*'),
        '÷' => Part::Alone('/'),
        '-' | '*' | '/' if before.is_numeric() || rest.trim_start().starts_with(char::is_numeric) => Part::Alone(character),
        _ if is_punctuation(character) => Part::Border,
        _ => Part::Alone(character),
    }
}

/// Whether the character, which is neither letter nor digit nor a sign of arithmetic, separates words: blanks, punctuation, and marks that
/// change how another character looks. Symbols do not: `☕`, `→`, `∑`.
fn is_punctuation(character: char) -> bool {
    character.is_ascii()
        || character.is_whitespace()
        || character.is_control()
        || matches!(character,
            // Latin, Greek, Hebrew, Arabic and Devanagari punctuation.
            '\u{a0}'..='\u{bf}' | '\u{37e}' | '\u{387}' | '\u{5be}' | '\u{60c}' | '\u{61b}' | '\u{61f}' | '\u{6d4}' | '\u{964}' | '\u{965}'
            // General, supplementary and Chinese punctuation, and its wide and small forms.
            | '\u{2000}'..='\u{206f}' | '\u{2e00}'..='\u{2e7f}' | '\u{3000}'..='\u{303f}' | '\u{fe10}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff65}'
            // Combining marks and variants.
            | '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Whether three digits follow, and no more.
fn is_thousand(rest: &str) -> bool {
    rest.bytes().take(4).take_while(u8::is_ascii_digit).count() == 3
}

/// Whether the character is of a script without blanks between words: Han, Hiragana, Katakana.
fn has_no_blanks(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_have_words() {
        for (text, expected) in [
            ("The answer: 1,000 + 2.5!", "the answer 1000 + 2.5"),
            ("Don't — don’t “STOP”…", "dont dont stop"),
            ("86 + 75", "86 + 75"),
            ("86+75=161", "86 + 75 = 161"),
            ("86 - 75, x-ray, a/b, 3/4, **bold**", "86 - 75 x ray a b 3 / 4 bold"),
            ("2 × 3 ÷ 4 − 1", "2 * 3 / 4 - 1"),
            ("1,2,3 and 1,0000 and 12.", "1 2 3 and 1 0000 and 12"),
            ("ÄRGER Straße", "ärger straße"),
            ("你好 world", "你 好 world"),
            ("a_b\tc\n\nd", "a b c d"),
            ("5%", "5 %"),
            ("⛭ ♪❤ ↔ ◯", "⛭ ♪ ❤ ↔ ◯"),
            ("❤\u{fe0f}「好」、¿qué? a→b $5 & #1", "❤ 好 qué a → b 5 1"),
            ("?!", ""),
            ("", ""),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn sequences_of_words_are_counted_once() {
        let count = |text: &str, n| ngrams(&word_hashes(text), n).len();
        assert_eq!(
            (count("a b c d", 2), count("a b a b a", 2), count("a b", 5), count("", 5)),
            (3, 2, 1, 0)
        );
        let (one, other) = (word_hashes("a b"), word_hashes("b a"));
        assert_ne!(sequence_hash(&one), sequence_hash(&other));
        assert_ne!(sequence_hash(&one), sequence_hash(&word_hashes("ab")));
        assert_eq!(ngrams(&one, 0), ngrams(&one, 1), "a text has no sequences of nothing");
    }

    proptest! {
        #[test]
        fn any_text_has_words(text in any::<String>(), numbers in "[0-9.,'+*/ -]*") {
            for text in [text, numbers] {
                let words = words(&text);
                prop_assert_eq!(words.len(), word_hashes(&text).len());
                prop_assert!(words.iter().all(|word| !word.is_empty() && !word.contains(char::is_whitespace)));
            }
        }
    }
}
