//! Python's literals (`ast.literal_eval`), as far as choices and answers are written with them: texts, numbers, `True`, `None`, lists.

use super::Rendered;

/// Lists nested deeper than this are not read.
const MAX_DEPTH: usize = 32;

/// A value that Python's source can write.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Text(String),
    /// A number, `True`, `False` or `None`, as it is written.
    Plain(String),
    /// A list or a tuple.
    List(Vec<Literal>),
}

impl Literal {
    /// What Python writes for the value.
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Plain(text) => text,
            Self::List(items) => {
                let items: Vec<String> = items.into_iter().map(Self::into_text).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }

    pub(super) fn into_rendered(self) -> Rendered {
        match self {
            Self::Text(text) => Rendered::Text(text),
            Self::Plain(text) => match text.as_str() {
                "True" => Rendered::Number(1),
                "False" => Rendered::Number(0),
                number => number.parse().map_or_else(|_| Rendered::Text(number.to_owned()), Rendered::Number),
            },
            Self::List(items) => Rendered::Many(items.into_iter().map(Self::into_rendered).collect()),
        }
    }
}

/// The value that a text writes; `None` if it is no literal that is read here.
pub fn python_literal(text: &str) -> Option<Literal> {
    let mut reader = Reader {
        rest: text.trim_start_matches([' ', '\t']),
    };
    let value = reader.value(0)?;
    reader.blanks();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn value(&mut self, depth: usize) -> Option<Literal> {
        self.blanks();
        match self.rest.chars().next()? {
            '[' if depth < MAX_DEPTH => self.list(']', depth),
            '(' if depth < MAX_DEPTH => self.parentheses(depth),
            '\'' | '"' | 'r' | 'R' | 'u' | 'U' => self.texts(),
            _ => self.plain(),
        }
    }

    /// `(a, b)` is a list too, and `(a)` is `a` itself.
    fn parentheses(&mut self, depth: usize) -> Option<Literal> {
        let written = self.rest;
        let list = self.list(')', depth)?;
        let inner = written.get(..written.len() - self.rest.len())?.trim_end_matches(')').trim_end();
        match list {
            Literal::List(mut items) if items.len() == 1 && !inner.ends_with(',') => items.pop(),
            list => Some(list),
        }
    }

    fn list(&mut self, close: char, depth: usize) -> Option<Literal> {
        self.rest = self.rest.get(1..)?;
        let mut items = Vec::new();
        loop {
            self.blanks();
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                return Some(Literal::List(items));
            }
            items.push(self.value(depth + 1)?);
            self.blanks();
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None if self.rest.starts_with(close) => {}
                None => return None,
            }
        }
    }

    /// One text, or several that stand side by side and are one.
    fn texts(&mut self) -> Option<Literal> {
        let mut text = self.text()?;
        loop {
            self.blanks();
            if !self.rest.starts_with(['\'', '"']) {
                return Some(Literal::Text(text));
            }
            text += &self.text()?;
        }
    }

    fn text(&mut self) -> Option<String> {
        let raw = self.rest.starts_with(['r', 'R']);
        let body = self.rest.trim_start_matches(['r', 'R', 'u', 'U']);
        if self.rest.len() - body.len() > 1 {
            return None;
        }
        let quote = body.get(..1).filter(|quote| matches!(*quote, "'" | "\""))?;
        let triple = quote.repeat(3);
        let end = if body.starts_with(&triple) { triple.as_str() } else { quote };
        let mut rest = body.get(end.len()..)?;
        let mut out = String::new();
        loop {
            if let Some(after) = rest.strip_prefix(end) {
                self.rest = after;
                return Some(out);
            }
            let character = rest.chars().next()?;
            rest = rest.get(character.len_utf8()..)?;
            match character {
                '\\' if raw => {
                    let next = rest.chars().next()?;
                    out.extend([character, next]);
                    rest = rest.get(next.len_utf8()..)?;
                }
                '\\' => rest = escape(rest, &mut out)?,
                '\n' if end.len() == 1 => return None,
                other => out.push(other),
            }
        }
    }

    fn plain(&mut self) -> Option<Literal> {
        let end = self.rest.find([',', ']', ')', ' ', '\n', '\t']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        let number = word.strip_prefix(['-', '+']).unwrap_or(word);
        let is_number = number.starts_with(|c: char| c.is_ascii_digit() || c == '.') && number.parse::<f64>().is_ok();
        if !is_number && !matches!(word, "True" | "False" | "None") {
            return None;
        }
        // `01` is no number to Python.
        if number.len() > 1 && number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        self.rest = rest;
        Some(Literal::Plain(word.strip_prefix('+').unwrap_or(word).to_owned()))
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }
}

/// Reads what stands after a backslash; what is left comes back.
fn escape<'t>(rest: &'t str, out: &mut String) -> Option<&'t str> {
    let character = rest.chars().next()?;
    let after = rest.get(character.len_utf8()..)?;
    let hex = |digits: usize| {
        let number = u32::from_str_radix(after.get(..digits)?, 16).ok()?;
        Some((char::from_u32(number)?, after.get(digits..)?))
    };
    let (meant, after) = match character {
        '\n' => return Some(after),
        '\\' | '\'' | '"' => (character, after),
        'n' => ('\n', after),
        't' => ('\t', after),
        'r' => ('\r', after),
        'a' => ('\x07', after),
        'b' => ('\x08', after),
        'f' => ('\x0c', after),
        'v' => ('\x0b', after),
        'x' => hex(2)?,
        'u' => hex(4)?,
        'U' => hex(8)?,
        '0'..='7' => {
            let digits = rest.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            let number = u32::from_str_radix(rest.get(..digits)?, 8).ok()?;
            (char::from_u32(number)?, rest.get(digits..)?)
        }
        // An escape that Python does not know stays as it is.
        other => {
            out.push('\\');
            (other, after)
        }
    };
    out.push(meant);
    Some(after)
}
