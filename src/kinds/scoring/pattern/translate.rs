//! Writes a pattern of Python in the language of `fancy-regex`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::reader::{Done, PatternError, Reader};
use super::sets::{Flags, boundary, named_set};

/// The longest pattern, in characters.
const MAX_LENGTH: usize = 20_000;
/// The deepest nesting of groups.
const MAX_DEPTH: usize = 25;
/// The highest number of repetitions that is read.
const MAX_REPEAT: u32 = 10_000;

/// A text as a pattern that matches it alone: Python's `re.escape`.
pub fn escape(text: &str) -> String {
    let is_special = |c: char| "()[]{}?*+-|^$\\.&~# \t\n\r\x0b\x0c".contains(c);
    let escaped = text.chars().flat_map(|c| [is_special(c).then_some('\\'), Some(c)]);
    escaped.flatten().collect()
}

/// The pattern in the language of `fancy-regex`.
///
/// # Errors
/// When it is no pattern in Python, or has something that is not known here.
pub(super) fn translate(pattern: &str, ignore_case: bool) -> Result<String, PatternError> {
    let chars: Vec<char> = pattern.chars().take(MAX_LENGTH + 1).collect();
    if chars.len() > MAX_LENGTH {
        return Err(PatternError::new(format!("it has more than {MAX_LENGTH} characters"), MAX_LENGTH));
    }
    let mut reader = Reader {
        chars,
        at: 0,
        written: String::with_capacity(pattern.len() * 2),
        names: BTreeMap::new(),
        groups: 0,
    };
    let mut flags = Flags {
        ignore_case,
        ..Flags::default()
    };
    reader.global_flags(&mut flags)?;
    if flags.ignore_case {
        reader.written.push_str("(?i)");
    }
    reader.alternatives(flags, 0)?;
    match reader.peek() {
        None => Ok(reader.written),
        Some(_) => Err(reader.error("a bracket is closed that was not opened")),
    }
}

impl Reader {
    /// `(?i)` and the like, which Python has at the beginning alone.
    fn global_flags(&mut self, flags: &mut Flags) -> Done {
        loop {
            let before = self.at;
            if !self.skip("(?") {
                return Ok(());
            }
            let mut read = *flags;
            while let Some(letter) = self.peek().filter(char::is_ascii_alphabetic) {
                if read.set(letter, true).is_none() {
                    break;
                }
                self.at += 1;
            }
            if self.at == before + 2 || !self.skip(")") {
                self.at = before;
                return Ok(());
            }
            *flags = read;
        }
    }

    fn alternatives(&mut self, flags: Flags, depth: usize) -> Done {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("groups are nested more than {MAX_DEPTH} deep")));
        }
        loop {
            self.sequence(flags, depth)?;
            if self.peek() != Some('|') {
                return Ok(());
            }
            self.at += 1;
            self.written.push('|');
        }
    }

    fn sequence(&mut self, flags: Flags, depth: usize) -> Done {
        while let Some(c) = self.peek().filter(|c| !matches!(c, '|' | ')')) {
            if flags.verbose && (c.is_whitespace() || c == '#') {
                self.comment(c);
                continue;
            }
            let repeats = self.atom(flags, depth)?;
            self.quantifier(flags, repeats)?;
        }
        Ok(())
    }

    fn comment(&mut self, first: char) {
        self.at += 1;
        while first == '#' && self.next().is_some_and(|c| c != '\n') {}
    }

    /// Reads what a quantifier may follow; whether one may.
    fn atom(&mut self, flags: Flags, depth: usize) -> Result<bool, PatternError> {
        let Some(c) = self.next() else { return Ok(false) };
        match c {
            '.' => self.written.push_str(if flags.dot_all { "(?s:.)" } else { r"[^\n]" }),
            '^' => self.written.push_str(if flags.multiline { "(?m:^)" } else { r"\A" }),
            '$' => self.written.push_str(if flags.multiline { "(?m:$)" } else { r"(?=\n?\z)" }),
            '[' => self.class(flags)?,
            '(' => return self.group(flags, depth),
            '\\' => return self.escaped(flags),
            '*' | '+' | '?' => {
                self.at -= 1;
                return Err(self.error(format!("`{c}` has nothing to repeat")));
            }
            c => self.literal(c),
        }
        Ok(!matches!(c, '^' | '$'))
    }

    fn quantifier(&mut self, flags: Flags, repeats: bool) -> Done {
        while flags.verbose
            && let Some(c) = self.peek().filter(|c| c.is_whitespace() || *c == '#')
        {
            self.comment(c);
        }
        let start = self.at;
        let written = match self.peek() {
            Some(c @ ('*' | '+' | '?')) => {
                self.at += 1;
                c.to_string()
            }
            Some('{') => match self.counts()? {
                Some(counts) => counts,
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        if !repeats {
            self.at = start;
            return Err(self.error("a quantifier has nothing to repeat"));
        }
        self.written.push_str(&written);
        if written.starts_with('{') && self.peek() == Some('+') {
            return Err(self.error("`+` after counts is not known"));
        }
        if let Some(c @ ('?' | '+')) = self.peek() {
            self.at += 1;
            self.written.push(c);
        }
        match self.peek() {
            Some('*' | '+' | '?') => Err(self.error("a quantifier follows a quantifier")),
            _ => Ok(()),
        }
    }

    /// `{2}`, `{2,}`, `{,3}`, `{2,3}`; `None` where the brace is a text.
    fn counts(&mut self) -> Result<Option<String>, PatternError> {
        let start = self.at;
        self.at += 1;
        let low = self.digits();
        let (has_comma, mut high) = (self.skip(","), low.clone());
        if has_comma {
            high = self.digits();
        }
        if !self.skip("}") || (low.is_empty() && !has_comma) {
            self.at = start;
            return Ok(None);
        }
        let count = |digits: &str, empty: u32| match digits {
            "" => Ok(empty),
            digits => digits.parse().ok().filter(|count| *count <= MAX_REPEAT).ok_or(()),
        };
        let too_many = |()| PatternError::new(format!("a count is above {MAX_REPEAT}"), start);
        let low = count(&low, 0).map_err(too_many)?;
        if high.is_empty() {
            return Ok(Some(format!("{{{low},}}")));
        }
        let high = count(&high, 0).map_err(too_many)?;
        if high < low {
            return Err(PatternError::new("the first count is above the second", start));
        }
        Ok(Some(format!("{{{low},{high}}}")))
    }

    /// Reads a group after its bracket; whether a quantifier may follow.
    fn group(&mut self, flags: Flags, depth: usize) -> Result<bool, PatternError> {
        let mut inner = flags;
        if !self.skip("?") {
            self.groups += 1;
            self.written.push('(');
        } else if self.skip("#") {
            self.until(')')?;
            // Python sees through a comment to what stands before it; there a quantifier is rare enough to be refused.
            return Ok(false);
        } else if self.skip("P<") {
            let name = self.until('>')?;
            self.groups += 1;
            if !is_name(&name) || self.names.insert(name.clone(), self.groups).is_some() {
                return Err(self.error(format!("`{name}` is no name of a group, or of two")));
            }
            self.written.push('(');
        } else if self.skip("P=") {
            let name = self.until(')')?;
            let number = self.named(&name)?;
            let _ = write!(self.written, r"(?:\{number})");
            return Ok(true);
        } else if self.skip("(") {
            let name = self.until(')')?;
            let number = match name.parse::<usize>() {
                Ok(number) if (1..=self.groups).contains(&number) => number,
                Ok(_) => return Err(self.error(format!("there is no group {name}"))),
                Err(_) => self.named(&name)?,
            };
            let _ = write!(self.written, "(?({number})");
        } else if let Some(opening) = [":", "=", "!", "<=", "<!", ">"].into_iter().find(|opening| self.skip(opening)) {
            self.written.push_str("(?");
            self.written.push_str(opening);
        } else {
            self.scoped_flags(&mut inner)?;
        }
        self.alternatives(inner, depth + 1)?;
        if !self.skip(")") {
            return Err(self.error("a bracket is not closed"));
        }
        self.written.push(')');
        Ok(true)
    }

    fn named(&self, name: &str) -> Result<usize, PatternError> {
        let number = self.names.get(name).copied();
        number.ok_or_else(|| self.error(format!("there is no group `{name}`")))
    }

    /// `i-s:`
    fn scoped_flags(&mut self, flags: &mut Flags) -> Done {
        let mut on = true;
        loop {
            let c = self.next();
            match c {
                Some(':') => break,
                Some('-') if on => on = false,
                Some(letter) if flags.set(letter, on).is_some() => {}
                Some(')') => return Err(self.error("flags for the whole pattern stand at its beginning")),
                _ => {
                    self.at = self.at.saturating_sub(1);
                    return Err(self.error("what follows `(?` is not known"));
                }
            }
        }
        self.written.push_str(if flags.ignore_case { "(?i:" } else { "(?-i:" });
        Ok(())
    }

    /// Reads what follows a backslash outside of brackets; whether a quantifier may follow.
    fn escaped(&mut self, flags: Flags) -> Result<bool, PatternError> {
        let Some(c) = self.peek() else {
            return Err(self.error("a backslash ends the pattern"));
        };
        match c {
            'A' => self.written.push_str(r"\A"),
            'Z' => self.written.push_str(r"\z"),
            'b' | 'B' => self.written.push_str(&boundary(flags, c == 'B')),
            '1'..='9' => {
                return self.reference().map(|()| true);
            }
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => {
                let set = named_set(c, flags);
                self.written.push_str(&set);
            }
            _ => {
                let c = self.character()?;
                self.literal(c);
                return Ok(true);
            }
        }
        self.at += 1;
        Ok(!matches!(c, 'A' | 'Z' | 'b' | 'B'))
    }

    /// `\1`, or three octal digits.
    fn reference(&mut self) -> Done {
        let octal: String = self.chars.iter().skip(self.at).take(3).take_while(|c| c.is_digit(8)).collect();
        if octal.len() == 3 {
            let c = self.character()?;
            self.literal(c);
            return Ok(());
        }
        let digits: String = self.chars.iter().skip(self.at).take(2).take_while(|c| c.is_ascii_digit()).collect();
        match digits.parse::<usize>() {
            Ok(number) if (1..=self.groups).contains(&number) => {
                self.at += digits.len();
                let _ = write!(self.written, r"(?:\{number})");
                Ok(())
            }
            _ => Err(self.error(format!("there is no group {digits}"))),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}
