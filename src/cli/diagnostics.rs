//! Errors in an experiment, drawn with miette: the line, a caret below it, and help.

use std::fmt::{self, Display, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, NamedSource, SourceCode, SourceSpan, SpanContents, ThemeCharacters,
    ThemeStyles,
};

use lab::config::{Diagnostic, Location, SourceText};
use lab::text::{in_ascii, is_hidden, printable, printable_lines};

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
            let shown = printable_diagnostic(diagnostic);
            let _ = handler.render_report(&mut out, &MietteDiagnostic::new(&shown));
            out.push('\n');
        }
        let file = self.file.to_string_lossy();
        let (count, file) = (self.diagnostics.len(), printable(&file));
        if count > MAX_DRAWN {
            let _ = writeln!(out, "… and {} more\n", count - MAX_DRAWN);
        }
        let _ = writeln!(out, "{count} error{} in {file}", if count == 1 { "" } else { "s" });
        if style.unicode { out } else { in_ascii(&out) }
    }
}

/// The diagnostic without control characters: files come from elsewhere, and miette draws what they contain. In the text of the file each
/// such character is replaced by one with as many bytes, so that places stay.
fn printable_diagnostic(diagnostic: &Diagnostic) -> Diagnostic {
    let lines = |text: &String| printable_lines(text).into_owned();
    let at = diagnostic.at.as_ref().map(|at| {
        let text = same_places(&at.source.text);
        let name = printable(&at.source.name).into_owned();
        Location {
            source: Arc::new(SourceText { name, text }),
            span: at.span.clone(),
        }
    });
    Diagnostic {
        message: lines(&diagnostic.message),
        at,
        label: diagnostic.label.as_ref().map(lines),
        help: diagnostic.help.as_ref().map(lines),
    }
}

/// The text with a visible character for each hidden one, byte by byte in the same place.
fn same_places(text: &str) -> String {
    let stays = |c: char| !is_hidden(c) || matches!(c, '\n' | '\r' | '\t');
    if text.chars().all(stays) && !text.replace("\r\n", "").contains('\r') {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() != Some(&'\n') => shown.push('?'),
            c if stays(c) => shown.push(c),
            c if c.len_utf8() == 2 => shown.push('¿'),
            c if c.len_utf8() == 3 => shown.push(char::REPLACEMENT_CHARACTER),
            c => shown.extend(std::iter::repeat_n('?', c.len_utf8())),
        }
    }
    shown
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_from_elsewhere_draws_nothing_of_its_own() {
        let text = "name = 'a\x1b[31m\u{9b}2J\u{202e}\u{e0041}'\rtrian = 1\r\n";
        let start = text.find("trian").unwrap();
        let diagnostic = Diagnostic::new("no kind `\x1b[31mtrian\x07`\nsecond line").at(Some(Location {
            source: Arc::new(SourceText {
                name: "x\x1b]0;title\x07.toml".to_owned(),
                text: text.to_owned(),
            }),
            span: start..start + 5,
        }));
        let rejected = Rejected {
            file: PathBuf::from("x\x1b[2J.toml"),
            diagnostics: vec![diagnostic],
        };
        let style = DiagnosticStyle {
            color: false,
            unicode: true,
            width: 100,
        };
        let drawn = rejected.render(style);
        assert!(!drawn.chars().any(|c| is_hidden(c) && c != '\n' && c != '\r'), "{drawn:?}");
        assert_eq!(drawn.matches('\r').count(), drawn.matches("\r\n").count(), "{drawn:?}");
        assert!(drawn.contains("no kind `trian`") && drawn.contains("x.toml:1:"), "{drawn}");
        assert_eq!(same_places(text).len(), text.len());
        assert!(drawn.ends_with("1 error in x.toml\n"), "{drawn}");
    }
}
