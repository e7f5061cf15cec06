//! Errors in an experiment, each with its place.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// A text that values come from: a file, or what stands in for one (`--set`, the environment).
#[derive(Debug, PartialEq, Eq)]
pub struct SourceText {
    /// As people know it: the path as given, `--set`, `RUNNER_STORE`.
    pub name: String,
    pub text: String,
}

/// A place in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    pub source: Arc<SourceText>,
    /// Bytes.
    pub span: Range<usize>,
}

impl Location {
    /// The line on which it begins, from 1.
    pub fn line(&self) -> usize {
        let before = self.source.text.as_bytes().iter().take(self.span.start);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    /// The text it covers.
    pub fn text(&self) -> &str {
        self.source.text.get(self.span.clone()).unwrap_or_default()
    }
}

impl std::fmt::Display for Location {
    /// `experiments/x.toml:12`, or the name alone where there is but one line (`--set`, a variable).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source.name)?;
        if self.source.text.contains('\n') {
            write!(f, ":{}", self.line())?;
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// A lowercase fragment: ``no kind `trian` (known: eval, filter, …)``.
    pub message: String,
    pub at: Option<Location>,
    /// Written below the caret.
    pub label: Option<String>,
    /// How to fix it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A message alone.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            at: None,
            label: None,
            help: None,
        }
    }

    /// With the place it is about.
    #[must_use]
    pub fn at(self, at: Option<Location>) -> Self {
        Self { at, ..self }
    }

    /// With a text below the caret.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self {
            label: Some(label.into()),
            ..self
        }
    }

    /// With the way to fix it.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// With the name that was probably meant: below the caret, or as help where there is none.
    #[must_use]
    pub fn suggest(self, nearest: Option<&str>) -> Self {
        match nearest.map(|name| format!("did you mean `{name}`?")) {
            Some(question) if self.at.is_some() => self.label(question),
            Some(question) => self.help(question),
            None => self,
        }
    }
}

/// All that is wrong, in the order found. A stage stands for many (one an index, one a variant): of messages about one place that
/// differ in numbers alone, the first is kept.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
    seen: HashSet<(String, Option<usize>, String)>,
}

impl Diagnostics {
    /// Adds one, unless an equal one is there.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let message = diagnostic.message.replace(|c: char| c.is_ascii_digit(), "");
        let place = diagnostic.at.as_ref();
        let source = place.map(|at| at.source.name.clone()).unwrap_or_default();
        if self.seen.insert((source, place.map(|at| at.span.start), message)) {
            self.found.push(diagnostic);
        }
    }

    /// Adds several.
    pub fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        diagnostics.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The diagnostics themselves: file by file, each from top to bottom.
    pub fn into_vec(mut self) -> Vec<Diagnostic> {
        let files: Vec<String> = self.found.iter().map(file).collect();
        let rank = |diagnostic: &Diagnostic| files.iter().position(|name| *name == file(diagnostic));
        self.found
            .sort_by_cached_key(|diagnostic| (rank(diagnostic), diagnostic.at.as_ref().map(|at| at.span.start)));
        self.found
    }
}

fn file(diagnostic: &Diagnostic) -> String {
    diagnostic.at.as_ref().map(|at| at.source.name.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, start: usize) -> Option<Location> {
        let (name, text) = (name.to_owned(), "a\nb\n".to_owned());
        Some(Location {
            source: Arc::new(SourceText { name, text }),
            span: start..start + 1,
        })
    }

    #[test]
    fn a_place_is_named_once_for_all_indices() {
        let mut problems = Diagnostics::default();
        problems.push(Diagnostic::new("no stage `a[1]`").at(at("x", 2)));
        problems.push(Diagnostic::new("no stage `a[2]`").at(at("x", 2)));
        problems.push(Diagnostic::new("no stage `b[2]`").at(at("x", 2)));
        problems.push(Diagnostic::new("no stage `a[1]`").at(at("x", 0)));
        let messages: Vec<_> = problems.into_vec().into_iter().map(|problem| problem.message).collect();
        assert_eq!(messages, ["no stage `a[1]`", "no stage `a[1]`", "no stage `b[2]`"]);
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!(at("x", 0).unwrap().to_string(), "x:1");
        assert_eq!(at("x", 2).unwrap().to_string(), "x:2");
    }
}
