//! What is wrong with an experiment, drawn with miette: the line, a caret below it, what to do.

use std::fmt::{self, Display, Write as _};
use std::path::PathBuf;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, NamedSource, SourceCode, SourceSpan, SpanContents, ThemeCharacters,
    ThemeStyles,
};

use lab::config::Diagnostic;

/// Diagnostics drawn before the rest is counted only.
const SHOWN: usize = 30;

/// An experiment that cannot be run, and all that is wrong with it.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// As given.
    pub file: PathBuf,
    pub diagnostics: Vec<Diagnostic>,
}

/// How diagnostics are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub color: bool,
    pub unicode: bool,
    /// In columns.
    pub width: usize,
}

impl Style {
    /// What suits standard error: its width, and whether its terminal shows more than ASCII.
    pub fn of_terminal(color: bool) -> Self {
        let width = terminal_size::terminal_size_of(std::io::stderr()).map_or(120, |(width, _)| usize::from(width.0));
        Self {
            color,
            unicode: supports_unicode::on(supports_unicode::Stream::Stderr),
            width: width.clamp(60, 160),
        }
    }

    fn theme(self) -> GraphicalTheme {
        GraphicalTheme {
            characters: if self.unicode {
                ThemeCharacters::unicode()
            } else {
                ThemeCharacters::ascii()
            },
            styles: if self.color { ThemeStyles::ansi() } else { ThemeStyles::none() },
        }
    }
}

impl Rejected {
    /// All diagnostics, and a last line that counts them.
    pub fn render(&self, style: Style) -> String {
        let handler = GraphicalReportHandler::new_themed(style.theme())
            .with_width(style.width)
            .with_links(false);
        let mut out = String::new();
        for diagnostic in self.diagnostics.iter().take(SHOWN) {
            // Writing to a string does not fail.
            let _ = handler.render_report(&mut out, &Drawn::new(diagnostic));
            out.push('\n');
        }
        let (count, file) = (self.diagnostics.len(), self.file.display());
        if count > SHOWN {
            let _ = writeln!(out, "… and {} more\n", count - SHOWN);
        }
        let _ = writeln!(out, "{count} error{} in {file}", if count == 1 { "" } else { "s" });
        out
    }
}

/// A diagnostic as miette takes it.
#[derive(Debug)]
struct Drawn<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<Lines>,
}

impl<'a> Drawn<'a> {
    fn new(diagnostic: &'a Diagnostic) -> Self {
        let at = diagnostic.at.as_ref();
        let source = at.map(|at| Lines(NamedSource::new(&at.source.name, at.source.text.clone())));
        Self { diagnostic, source }
    }
}

impl Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Drawn<'_> {}

impl miette::Diagnostic for Drawn<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let at = self.diagnostic.at.as_ref()?;
        let span = (at.span.start, at.span.len());
        let label = LabeledSpan::new_primary_with_span(self.diagnostic.label.clone(), span);
        Some(Box::new(std::iter::once(label)))
    }
}

/// A source of which miette shows the lines of a span, whole, and none around them.
#[derive(Debug)]
struct Lines(NamedSource<String>);

impl SourceCode for Lines {
    fn read_span<'a>(&'a self, span: &SourceSpan, before: usize, after: usize) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        if (before, after) == (0, 0) {
            return self.0.read_span(span, 0, 0);
        }
        let text = self.0.inner().as_str();
        let (start, end) = (span.offset().min(text.len()), (span.offset() + span.len()).min(text.len()));
        let first = text.get(..start).and_then(|head| head.rfind('\n')).map_or(0, |newline| newline + 1);
        let last = text
            .get(end..)
            .and_then(|tail| tail.find('\n'))
            .map_or(text.len(), |newline| end + newline);
        self.0.read_span(&SourceSpan::from((first, last - first)), 0, 0)
    }
}
