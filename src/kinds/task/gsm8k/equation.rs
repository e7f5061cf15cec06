//! The equations within a sentence: `She earns 12/60 = $0.20 a minute.`
//!
//! Numbers, operators and brackets between words are read as arithmetic; words are ignored. If both sides of an `=` can be read and one of
//! them has an operator, they must agree. A side that goes on beyond a word, as the first of `10 apples - 3 = 7`, cannot be read.

/// Limit for nested brackets.
const MAX_BRACKET_DEPTH: usize = 32;

/// A piece of a sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Number(WrittenNumber),
    /// `+`, `-`, `*`, `/`
    Operator(char),
    Open,
    Close,
    Equals,
    /// A variable: a side with it cannot be read.
    Unknown,
    /// A word, or a character that may stand for something: arithmetic may go on behind it.
    Break,
    /// A mark between sentences or their parts.
    Stop,
}

/// A number, with its notation.
#[derive(Clone, Copy, Debug, PartialEq)]
struct WrittenNumber {
    value: f64,
    decimals: i32,
    percent: bool,
}

/// Whether every readable equation in the step holds.
pub(super) fn all_hold(step: &str) -> bool {
    let tokens = tokens(step);
    tokens.split(|token| *token == Token::Stop).all(|part| {
        let runs: Vec<&[Token]> = part.split(|token| *token == Token::Break).collect();
        runs.iter().enumerate().all(|(place, run)| {
            let is_after_word = place > 0 && matches!(run.first(), Some(Token::Operator(_)));
            let next = runs.get(place + 1).copied().unwrap_or_default();
            let goes_on = matches!(next, [Token::Operator(_), Token::Number(_) | Token::Open, ..]);
            holds(run, is_after_word, goes_on)
        })
    })
}

/// Whether all sides of the equations in a run agree, each with the next. The first side begins before the run if `is_after_word`, and the
/// last one ends after it if it `goes_on`: such a side is unknown.
fn holds(run: &[Token], is_after_word: bool, goes_on: bool) -> bool {
    let mut sides: Vec<&[Token]> = run.split(|token| *token == Token::Equals).collect();
    if sides.len() > 1 && goes_on {
        sides.pop();
    }
    let sides = sides.get(usize::from(is_after_word)..).unwrap_or_default();
    sides.windows(2).all(|pair| match pair {
        [left, right] => agree(left, right),
        _ => true,
    })
}

/// Whether two sides agree, or cannot be compared.
fn agree(left: &[Token], right: &[Token]) -> bool {
    let calculates = |side: &[Token]| side.iter().any(|token| matches!(token, Token::Operator(_)));
    if !calculates(left) && !calculates(right) {
        return true;
    }
    let (lefts, rights) = (values(left), values(right));
    let exact = exactness(right);
    lefts.is_empty() || rights.is_empty() || lefts.iter().any(|l| rights.iter().any(|r| are_near(*l, *r, exact)))
}

/// The possible values of a side: with per cents as parts of 100 or as a unit, and with a leading dash as a sign or as punctuation.
fn values(side: &[Token]) -> Vec<f64> {
    let without_dash = match side {
        [Token::Operator('-'), rest @ ..] => Some(rest),
        _ => None,
    };
    let sides = [Some(side), without_dash].into_iter().flatten();
    sides
        .flat_map(|side| {
            [0.01, 1.0].map(|percent| {
                ArithmeticParser {
                    tokens: side,
                    at: 0,
                    percent,
                }
                .whole()
            })
        })
        .flatten()
        .filter(|value| value.is_finite())
        .collect()
}

/// The decimals of a side that is one number.
fn exactness(side: &[Token]) -> i32 {
    let number = side.iter().find_map(|token| match token {
        Token::Number(number) => Some(number.decimals),
        _ => None,
    });
    number.unwrap_or(0)
}

/// Whether a result that was written with `decimals` decimals, rounded or truncated, is `value`.
fn are_near(value: f64, written: f64, decimals: i32) -> bool {
    let unit = 10f64.powi(-decimals);
    let is_exact = (value / unit - (value / unit).round()).abs() < 1e-6;
    let tolerance = if is_exact { 0.0 } else { unit };
    (value - written).abs() <= tolerance + 1e-6 * value.abs().max(1.0)
}

/// Reads arithmetic by recursive descent; products before sums.
struct ArithmeticParser<'a> {
    tokens: &'a [Token],
    at: usize,
    /// The value of one per cent.
    percent: f64,
}

impl ArithmeticParser<'_> {
    fn whole(mut self) -> Option<f64> {
        let value = self.sum(0)?;
        (self.at == self.tokens.len()).then_some(value)
    }

    fn peek(&self) -> Option<Token> {
        self.tokens.get(self.at).copied()
    }

    fn sum(&mut self, depth: usize) -> Option<f64> {
        let mut value = self.product(depth)?;
        while let Some(Token::Operator(operator @ ('+' | '-'))) = self.peek() {
            self.at += 1;
            let next = self.product(depth)?;
            value = if operator == '+' { value + next } else { value - next };
        }
        Some(value)
    }

    fn product(&mut self, depth: usize) -> Option<f64> {
        let mut value = self.factor(depth)?;
        while let Some(Token::Operator(operator @ ('*' | '/'))) = self.peek() {
            self.at += 1;
            let next = self.factor(depth)?;
            value = if operator == '*' { value * next } else { value / next };
        }
        Some(value)
    }

    fn factor(&mut self, depth: usize) -> Option<f64> {
        let token = self.peek()?;
        self.at += 1;
        match token {
            Token::Number(number) if number.percent => Some(number.value * self.percent),
            Token::Number(number) => Some(number.value),
            Token::Operator('-') if depth < MAX_BRACKET_DEPTH => Some(-self.factor(depth + 1)?),
            Token::Open if depth < MAX_BRACKET_DEPTH => {
                let value = self.sum(depth + 1)?;
                self.at += 1;
                (self.tokens.get(self.at - 1) == Some(&Token::Close)).then_some(value)
            }
            _ => None,
        }
    }
}

fn tokens(step: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = step;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            c if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) => number(rest),
            '+' => (Token::Operator('+'), 1),
            '-' | '−' | '–' => (Token::Operator('-'), first.len_utf8()),
            '*' | '×' | '·' => (Token::Operator('*'), first.len_utf8()),
            '/' | '÷' => (Token::Operator('/'), first.len_utf8()),
            '(' | '[' => (Token::Open, 1),
            ')' | ']' => (Token::Close, 1),
            '=' => (Token::Equals, 1),
            c if c.is_alphabetic() => {
                let length = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
                let token = match &rest[..length] {
                    "x" | "X" if begins_with_factor(&rest[length..]) => Token::Operator('*'),
                    "x" | "X" | "y" | "Y" | "z" | "Z" | "n" | "N" => Token::Unknown,
                    _ => Token::Break,
                };
                (token, length)
            }
            ',' | '.' | ':' | ';' | '!' | '?' => (Token::Stop, 1),
            c if is_blank(c) => {
                rest = &rest[c.len_utf8()..];
                continue;
            }
            other => (Token::Break, other.len_utf8()),
        };
        tokens.push(token);
        rest = &rest[length..];
    }
    tokens
}

/// Spaces and currencies stand for nothing.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || "$€£¥".contains(c)
}

/// Whether an `x` before this text multiplies, and is no variable, as it is in `2x - 3`.
fn begins_with_factor(text: &str) -> bool {
    let begins_factor = |c: char| c.is_ascii_digit() || ".([".contains(c);
    text.trim_start_matches(is_blank).starts_with(begins_factor)
}

/// The number that `text` begins with, and its length.
fn number(text: &str) -> (Token, usize) {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let (mut digits, mut decimals, mut end, mut is_decimal) = (String::new(), 0, 0, false);
    loop {
        match bytes.get(end) {
            Some(byte) if byte.is_ascii_digit() => {
                digits.push(char::from(*byte));
                decimals += i32::from(is_decimal);
            }
            Some(b'.') if !is_decimal && digit(end + 1) => {
                digits.push('.');
                is_decimal = true;
            }
            // A comma between thousands; one between numbers ends this one.
            Some(b',') if !is_decimal && (1..=3).all(|ahead| digit(end + ahead)) && !digit(end + 4) => {}
            _ => break,
        }
        end += 1;
    }
    let percent = bytes.get(end) == Some(&b'%');
    let number = WrittenNumber {
        value: digits.parse().unwrap_or(f64::NAN),
        decimals,
        percent,
    };
    (Token::Number(number), end + usize::from(percent))
}
