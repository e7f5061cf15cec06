//! Figures: pictures that a program drew, as PNG, SVG or PDF.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::ArtifactError;

/// The beginning of a file that is looked at: the root of an SVG comes after a declaration and perhaps comments.
const HEAD_LENGTH: u64 = 64 << 10;

/// The format of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureFormat {
    Png,
    Svg,
    Pdf,
}

impl FigureFormat {
    /// The format of a figure that begins so; `None` for what is none.
    pub fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if head.starts_with(b"%PDF-") {
            Some(Self::Pdf)
        } else {
            svg_root(&String::from_utf8_lossy(head)).map(|_| Self::Svg)
        }
    }

    /// How the names of such files end: `svg`.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Svg => "svg",
            Self::Pdf => "pdf",
        }
    }
}

/// The format of a figure, by its content.
///
/// # Errors
/// When it cannot be read, or is no figure.
pub fn format(path: &Path) -> Result<FigureFormat, ArtifactError> {
    let wrong = ArtifactError::io("read", path);
    let head = head(path).map_err(wrong)?;
    FigureFormat::of(&head).ok_or_else(|| ArtifactError::NoFigure { path: path.to_owned() })
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD_LENGTH).read_to_end(&mut head)?;
    Ok(head)
}

/// An XML text from its root on, if that is `svg`.
pub fn svg_root(text: &str) -> Option<&str> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while let Some(after) = after_prolog(rest) {
        rest = after.trim_start();
    }
    let after = rest.strip_prefix("<svg:svg").or_else(|| rest.strip_prefix("<svg"))?;
    after
        .starts_with(|c: char| c.is_whitespace() || c == '>' || c == '/')
        .then_some(rest)
}

/// What follows a declaration, a comment or a document type; `None` where the root begins.
fn after_prolog(text: &str) -> Option<&str> {
    let end = if text.starts_with("<?") {
        "?>"
    } else if text.starts_with("<!--") {
        "-->"
    } else if text.starts_with("<!DOCTYPE") {
        // Its declarations, if it has any, are in brackets.
        let declares = text
            .find('[')
            .is_some_and(|bracket| text.find('>').is_none_or(|close| bracket < close));
        if declares { "]>" } else { ">" }
    } else {
        return None;
    };
    text.split_once(end).map(|(_, after)| after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_tells_the_format() {
        use FigureFormat::{Pdf, Png, Svg};
        let doctype =
            b"<?xml version=\"1.0\"?>\n<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\"\n \"svg11.dtd\">\n<!-- made by > -->\n<svg\n>";
        for (head, found) in [
            (b"\x89PNG\r\n\x1a\n\0\0" as &[u8], Some(Png)),
            (b"%PDF-1.7\n", Some(Pdf)),
            (b"\xef\xbb\xbf <svg xmlns=\"x\"/>", Some(Svg)),
            (doctype, Some(Svg)),
            (b"<!DOCTYPE svg [ <!ENTITY a \"b\"> ]><svg:svg>", Some(Svg)),
            (b"<html><svg></svg></html>", None),
            (b"<svgs>", None),
            (b"<!-- <svg> ", None),
            (b"GIF89a", None),
            (b"", None),
        ] {
            assert_eq!(FigureFormat::of(head), found, "{}", String::from_utf8_lossy(head));
        }
    }
}
