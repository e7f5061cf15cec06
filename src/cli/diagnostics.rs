//! Errors in an experiment, drawn with miette: the line, a caret below it, and help.

use std::fmt::{self, Display, Write as _};
use std::path::PathBuf;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, NamedSource, SourceCode, SourceSpan, SpanContents, ThemeCharacters,
    ThemeStyles,
};

use lab::config::Diagnostic;

/// The maximum number of diagnostics to draw; the rest is counted.
const MAX_DRAWN: usize = 30;

/// An experiment that cannot be run, with all its errors.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The path as given on the command line.
    pub file: PathBuf,
    pub diagnostics: Vec<Diagnostic>,
}

/// How diagnostics are drawn.
#[derive(Clone, Copy, Debug)]
pub struct DiagnosticStyle {
    pub color: bool,
    pub unicode: bool,
    /// In columns.
    pub width: usize,
}

impl DiagnosticStyle {
    /// The style for standard error: its width, and whether its terminal can show Unicode.
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
    /// Draws the diagnostics, with a last line that counts them.
    pub fn render(&self, style: DiagnosticStyle) -> String {
        let handler = GraphicalReportHandler::new_themed(style.theme())
            .with_width(style.width)
            .with_links(false);
        let mut out = String::new();
        for diagnostic in self.diagnostics.iter().take(MAX_DRAWN) {
            // Writing to a string does not fail.
            let _ = handler.render_report(&mut out, &MietteDiagnostic::new(diagnostic));
            out.push('\n');
        }
        let (count, file) = (self.diagnostics.len(), self.file.display());
        if count > MAX_DRAWN {
            let _ = writeln!(out, "… and {} more\n", count - MAX_DRAWN);
        }
        let _ = writeln!(out, "{count} error{} in {file}", if count == 1 { "" } else { "s" });
        out
    }
}

/// A diagnostic in the form that miette needs.
#[derive(Debug)]
struct MietteDiagnostic<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<WholeLines>,
}

impl<'a> MietteDiagnostic<'a> {
    fn new(diagnostic: &'a Diagnostic) -> Self {
        let at = diagnostic.at.as_ref();
        let source = at.map(|at| WholeLines(NamedSource::new(&at.source.name, at.source.text.clone())));
        Self { diagnostic, source }
    }
}

impl Display for MietteDiagnostic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for MietteDiagnostic<'_> {}

impl miette::Diagnostic for MietteDiagnostic<'_> {
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

/// A source that gives miette whole lines of a span, without lines around them.
#[derive(Debug)]
struct WholeLines(NamedSource<String>);

impl SourceCode for WholeLines {
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
