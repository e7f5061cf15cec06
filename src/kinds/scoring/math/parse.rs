//! Reads an expression in LaTeX or as it is typed: `\frac{3}{4}x^2`, `2*sqrt(3) - 1`, `3/4 x^2`.

use super::value::Value;
use crate::scoring::ratio::Ratio;

/// The longest expression, in characters, and the deepest nesting.
const MAX_LENGTH: usize = 4_000;
const MAX_DEPTH: usize = 40;
/// The largest factorial that is multiplied out.
const MAX_FACTORIAL: i128 = 25;

/// Functions by their names, with or without a backslash.
const FUNCTIONS: [&str; 24] = [
    "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "abs", "lfloor",
    "floor", "ceil", "max", "min", "gcd", "lcm", "det",
];

/// A part of an expression.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(String),
    /// A variable or a constant.
    Name(String),
    Function(String),
    /// `\frac`
    Fraction,
    /// `\sqrt`
    Root,
    /// `+ - * / ^ _ ! | ,` and brackets.
    Sign(char),
}

/// The value of an expression; `None` if the text is none, divides by zero, or is too long.
pub(super) fn value(text: &str) -> Option<Value> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens, at: 0, depth: 0 };
    let value = reader.sum()?;
    (reader.at == reader.tokens.len()).then_some(value)
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let chars: Vec<char> = text.chars().take(MAX_LENGTH + 1).collect();
    if chars.len() > MAX_LENGTH {
        return None;
    }
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(c) = chars.get(at).copied() {
        let run = |holds: fn(&char) -> bool| chars.iter().skip(at).take_while(|c| holds(c)).collect::<String>();
        match c {
            c if c.is_whitespace() => at += 1,
            '0'..='9' | '.' => {
                let number = run(|c| c.is_ascii_digit() || matches!(c, '.' | ','));
                let number = number.trim_end_matches([',', '.']);
                tokens.push(Token::Number(plain_number(number)?));
                at += number.len();
            }
            '\\' => {
                at += 1;
                let name: String = chars.iter().skip(at).take_while(|c| c.is_ascii_alphabetic()).collect();
                at += name.len();
                tokens.push(command(&name)?);
            }
            c if c.is_ascii_alphabetic() => {
                let word = run(char::is_ascii_alphabetic);
                at += word.len();
                words(&word, &mut tokens)?;
            }
            _ => {
                tokens.push(sign(c)?);
                at += 1;
            }
        }
    }
    Some(tokens)
}

/// The digits of a number without commas before groups of three.
fn plain_number(number: &str) -> Option<String> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let is_grouped = groups.all(|group| group.len() == 3) && (first.len() <= 3 || !whole.contains(','));
    let is_number = is_grouped && !decimals.contains(['.', ',']) && !(first.is_empty() && decimals.is_empty());
    is_number.then(|| number.replace(',', ""))
}

fn command(name: &str) -> Option<Token> {
    Some(match name {
        "frac" | "dfrac" | "tfrac" | "cfrac" => Token::Fraction,
        "sqrt" => Token::Root,
        "cdot" | "times" | "ast" => Token::Sign('*'),
        "div" => Token::Sign('/'),
        "vert" | "lvert" | "rvert" | "mid" => Token::Sign('|'),
        "infty" => Token::Name("infinity".to_owned()),
        "lbrace" => Token::Sign('{'),
        "rbrace" => Token::Sign('}'),
        name if FUNCTIONS.contains(&name) => Token::Function(name.to_owned()),
        // Greek letters. What arranges, compares or relates is no part of an expression.
        "alpha" | "beta" | "gamma" | "delta" | "epsilon" | "theta" | "lambda" | "mu" | "pi" | "rho" | "sigma" | "tau" | "phi"
        | "varphi" | "omega" | "Delta" | "Omega" => Token::Name(name.to_owned()),
        _ => return None,
    })
}

/// Typed words: functions and constants by their names, or else letters that are multiplied. Longer words are no mathematics.
fn words(word: &str, tokens: &mut Vec<Token>) -> Option<()> {
    const LONGEST_PRODUCT: usize = 4;
    match word {
        "sqrt" => tokens.push(Token::Root),
        "pi" | "alpha" | "beta" | "theta" | "lambda" => tokens.push(Token::Name(word.to_owned())),
        "inf" | "infty" | "infinity" | "oo" => tokens.push(Token::Name("infinity".to_owned())),
        word if FUNCTIONS.contains(&word) => tokens.push(Token::Function(word.to_owned())),
        word if word.len() <= LONGEST_PRODUCT => tokens.extend(word.chars().map(|c| Token::Name(c.to_string()))),
        _ => return None,
    }
    Some(())
}

fn sign(c: char) -> Option<Token> {
    Some(match c {
        '−' | '–' => Token::Sign('-'),
        '×' | '·' | '⋅' => Token::Sign('*'),
        '÷' => Token::Sign('/'),
        'π' => Token::Name("pi".to_owned()),
        '∞' => Token::Name("infinity".to_owned()),
        '√' => Token::Root,
        '+' | '-' | '*' | '/' | '^' | '_' | '!' | '|' | '(' | ')' | '[' | ']' | '{' | '}' => Token::Sign(c),
        _ => return None,
    })
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn skip(&mut self, sign: char) -> bool {
        let comes = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(comes);
        comes
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        let value = if self.depth > MAX_DEPTH { None } else { read(self) };
        self.depth -= 1;
        value
    }

    fn sum(&mut self) -> Option<Value> {
        let mut total = self.product()?;
        loop {
            if self.skip('+') {
                total = total.plus(self.product()?);
            } else if self.skip('-') {
                total = total.plus(self.product()?.negative());
            } else {
                return Some(total);
            }
        }
    }

    fn product(&mut self) -> Option<Value> {
        let mut total = self.signed()?;
        loop {
            if self.skip('*') {
                // `**` is a power.
                total = if self.skip('*') {
                    total.power(self.signed()?)?
                } else {
                    total.times(self.signed()?)
                };
            } else if self.skip('/') {
                total = total.times(self.signed()?.inverse()?);
            } else if self.starts_factor() {
                total = total.times(self.power()?);
            } else {
                return Some(total);
            }
        }
    }

    /// Whether a factor follows without a sign of multiplication.
    fn starts_factor(&self) -> bool {
        match self.peek() {
            Some(Token::Sign(c)) => matches!(c, '(' | '{' | '['),
            // Two numbers side by side are no product.
            Some(Token::Number(_)) => !matches!(self.at.checked_sub(1).and_then(|at| self.tokens.get(at)), Some(Token::Number(_))),
            Some(_) => true,
            None => false,
        }
    }

    fn signed(&mut self) -> Option<Value> {
        let mut negative = false;
        loop {
            if self.skip('-') {
                negative = !negative;
            } else if !self.skip('+') {
                break;
            }
        }
        let value = self.power()?;
        Some(if negative { value.negative() } else { value })
    }

    fn power(&mut self) -> Option<Value> {
        let mut base = self.atom()?;
        while self.skip('!') {
            base = factorial(base);
        }
        if self.skip('^') {
            let exponent = self.deeper(Self::exponent)?;
            return base.power(exponent);
        }
        Some(base)
    }

    fn exponent(&mut self) -> Option<Value> {
        if self.skip('-') {
            return self.deeper(Self::exponent).map(Value::negative);
        }
        self.power()
    }

    fn atom(&mut self) -> Option<Value> {
        let token = self.peek()?.clone();
        self.at += 1;
        match token {
            Token::Number(digits) => self.number(&digits),
            Token::Name(name) if name == "i" => Some(Value::IMAGINARY),
            Token::Name(name) => {
                let index = if self.skip('_') { self.index()? } else { String::new() };
                Some(Value::letter(&format!("{name}{index}")))
            }
            Token::Fraction => {
                let over = self.argument()?;
                Some(over.times(self.argument()?.inverse()?))
            }
            Token::Root => self.root(),
            Token::Function(name) => self.function(&name),
            Token::Sign('|') => {
                let inner = self.deeper(Self::sum)?;
                self.skip('|').then(|| absolute(inner))
            }
            Token::Sign(open) => {
                let close = closing(open)?;
                let inner = self.deeper(Self::sum)?;
                self.skip(close).then_some(inner)
            }
        }
    }

    /// A number, or a mixed one: `2\frac{3}{4}`.
    fn number(&mut self, digits: &str) -> Option<Value> {
        let whole = Value::decimal(digits)?;
        if self.peek() != Some(&Token::Fraction) || digits.contains('.') {
            return Some(whole);
        }
        let at = self.at;
        let part = self.atom()?;
        let is_proper = part.exact().is_some_and(|part| part.over() > 0 && part.over() < part.under());
        if is_proper {
            return Some(whole.plus(part));
        }
        self.at = at;
        Some(whole)
    }

    /// What stands in braces, or the one sign after a command: `\frac12`.
    fn argument(&mut self) -> Option<Value> {
        if let Some(Token::Number(digits)) = self.peek().cloned()
            && digits.len() > 1
            && !digits.contains('.')
        {
            let (first, rest) = digits.split_at_checked(1)?;
            *self.tokens.get_mut(self.at)? = Token::Number(rest.to_owned());
            return Value::decimal(first);
        }
        self.deeper(Self::atom)
    }

    fn root(&mut self) -> Option<Value> {
        if !self.skip('[') {
            return self.argument()?.root();
        }
        let degree = self.deeper(Self::sum)?;
        if !self.skip(']') {
            return None;
        }
        let inner = self.argument()?;
        inner.power(degree.inverse()?)
    }

    /// A function of what follows, in brackets or not: `\log_2 8`, `\sin^2 x`, `\ln(x)`.
    fn function(&mut self, name: &str) -> Option<Value> {
        let base = if self.skip('_') { Some(self.argument()?) } else { None };
        let exponent = if self.skip('^') { Some(self.argument()?) } else { None };
        let argument = self.deeper(Self::power)?;
        let value = match (name, base) {
            ("abs", None) => absolute(argument),
            ("exp", None) => Value::letter("e").power(argument)?,
            (name, None) => Value::function(name, &[argument]),
            (name, Some(base)) => Value::function(name, &[base, argument]),
        };
        match exponent {
            Some(exponent) => value.power(exponent),
            None => Some(value),
        }
    }

    /// The index of a variable, as a text.
    fn index(&mut self) -> Option<String> {
        let mut index = String::new();
        let braced = self.skip('{');
        while let Some(Token::Number(part) | Token::Name(part)) = self.peek().cloned() {
            index = format!("{index}_{part}");
            self.at += 1;
            if !braced {
                break;
            }
        }
        (!index.is_empty() && (!braced || self.skip('}'))).then_some(index)
    }
}

fn closing(open: char) -> Option<char> {
    match open {
        '(' => Some(')'),
        '[' => Some(']'),
        '{' => Some('}'),
        _ => None,
    }
}

fn absolute(value: Value) -> Value {
    match value.exact() {
        Some(ratio) if ratio.over() < 0 => value.negative(),
        Some(_) => value,
        None => Value::function("abs", &[value]),
    }
}

fn factorial(value: Value) -> Value {
    match value.exact().and_then(Ratio::whole) {
        Some(number @ 0..=MAX_FACTORIAL) => {
            (2..=number as u64).fold(Value::integer(1), |total, factor| total.times(Value::integer(factor)))
        }
        _ => Value::function("factorial", &[value]),
    }
}
