//! References: `stage`, `stage.port`, `stage[k-1].port`, and `stage[1..=k]` for a stage with each of these indices.

use std::ops::Range;

use super::{DraftReader, Edge, OutputPorts};
use crate::config::{self, ConfigValue, Diagnostic, Location, StageDeclaration, ValueData, ValueOrigin, known, nearest};
use crate::stage::{Input, Kind, Output, PortType};

/// Indices named in a message before it ends in `…`.
const LISTED_INDICES: usize = 16;

/// The parts of a reference, in bytes of its text.
#[derive(Debug, PartialEq)]
struct ReferenceParts {
    base: Range<usize>,
    index: Option<Range<usize>>,
    port: Option<Range<usize>>,
}

impl ReferenceParts {
    fn of(text: &str) -> Option<Self> {
        let end = text.find(['[', '.']).unwrap_or(text.len());
        let (index, rest) = if text[end..].starts_with('[') {
            let close = end + text[end..].find(']')?;
            (Some(end + 1..close), close + 1)
        } else {
            (None, end)
        };
        let port = match &text[rest..] {
            "" => None,
            port => (port.starts_with('.') && port.len() > 1 && !port[1..].contains(['.', '[', ']'])).then_some(rest + 1..text.len()),
        };
        let whole = port.is_some() || rest == text.len();
        let named = end > 0 && !text[..end].contains(']');
        (whole && named && !text.contains(char::is_whitespace) | index.is_some()).then_some(Self { base: 0..end, index, port })
    }
}

/// A reference as it is written.
struct WrittenReference<'v> {
    text: &'v str,
    parts: ReferenceParts,
    origin: &'v ValueOrigin,
}

impl WrittenReference<'_> {
    fn base(&self) -> &str {
        &self.text[self.parts.base.clone()]
    }
}

/// The ends of a range `1..=k` or `1..k`, in bytes of the text, and whether the last belongs to it; `None` for a single index.
fn bounds(text: &str, span: Range<usize>) -> Option<(Range<usize>, Range<usize>, bool)> {
    let dots = span.start + text[span.clone()].find("..")?;
    let included = text[dots + 2..span.end].starts_with('=');
    Some((span.start..dots, dots + 2 + usize::from(included)..span.end, included))
}

/// The type of an input, in words.
pub(super) fn takes(input: &Input<'_>) -> String {
    let what = noun(input.port);
    if input.many {
        format!("{what} or a list of them")
    } else {
        what.to_owned()
    }
}

fn noun(port: PortType) -> &'static str {
    match port {
        PortType::Dataset => "a data set",
        PortType::Model => "a model",
        PortType::Answers => "answers",
        PortType::Metrics => "metrics",
        PortType::Figure => "a figure",
        PortType::Text => "a text",
        PortType::File => "a file or folder",
    }
}

impl DraftReader<'_, '_> {
    /// The references written at an input: one, or a list where the input takes many.
    pub(super) fn references<'v>(
        stage: &StageDeclaration,
        kind: &Kind,
        input: &Input<'_>,
        value: &'v ConfigValue,
    ) -> Result<&'v [ConfigValue], Diagnostic> {
        let wrong = |message: String| Err(Diagnostic::new(message).at(value.at()));
        let name = input.name;
        match &value.data {
            ValueData::Text(_) => Ok(std::slice::from_ref(value)),
            ValueData::List(items) if !(input.many || input.optional && items.is_empty()) => wrong(format!(
                "input `{name}` of {} takes one reference, not a list of {}",
                kind.name,
                items.len()
            )),
            ValueData::List(items) if items.is_empty() && !input.optional => {
                wrong(format!("stage `{}` needs the input `{name}`: {}", stage.name, takes(input)))
            }
            ValueData::List(items) => Ok(items),
            _ => wrong(value.unfilled().unwrap_or_else(|| {
                format!(
                    "input `{name}` of {} takes a reference such as `\"stage.port\"`, not {}",
                    kind.name,
                    value.describe()
                )
            })),
        }
    }

    /// Resolves one reference: to one edge, or to one for each index of a range; to none where what it refers to has been reported as
    /// wrong itself.
    pub(super) fn resolve(
        &self,
        stage: &StageDeclaration,
        kind: &Kind,
        input: &Input<'_>,
        value: &ConfigValue,
        sources: &[Option<OutputPorts>],
    ) -> Result<Vec<Edge>, Diagnostic> {
        let parts = value.as_str().and_then(|text| Some((text, ReferenceParts::of(text)?)));
        let Some((text, parts)) = parts else {
            if let Some(message) = value.unfilled() {
                return Err(Diagnostic::new(message).at(value.at()));
            }
            let message = format!("{} is no reference", value.describe());
            let help = "write `stage`, `stage.port` or `stage[k-1].port`";
            return Err(Diagnostic::new(message).at(value.at()).help(help));
        };
        let written = WrittenReference {
            text,
            parts,
            origin: &value.origin,
        };
        if self.variant.unread.contains(written.base()) {
            return Ok(Vec::new());
        }
        let mut edges = Vec::new();
        for index in self.indices(stage, kind, input, &written)? {
            edges.extend(self.edge(kind, input, &written, index, sources)?);
        }
        Ok(edges)
    }

    /// The indices that a reference names: one, or none for a stage without, or all of a range.
    fn indices(
        &self,
        stage: &StageDeclaration,
        kind: &Kind,
        input: &Input<'_>,
        written: &WrittenReference<'_>,
    ) -> Result<Vec<Option<i64>>, Diagnostic> {
        let Some(span) = written.parts.index.clone() else {
            return Ok(vec![None]);
        };
        let names = self.variant.scope.indexed(stage.variable.as_deref(), stage.index);
        let index = |span| config::index(written.text, span, written.origin, &names);
        let Some((first, last, included)) = bounds(written.text, span.clone()) else {
            return Ok(vec![Some(index(span)?)]);
        };
        let wrong = |message: String| Diagnostic::new(message).at(Self::place(written, span.clone()));
        let inner = &written.text[span.clone()];
        if !input.many {
            let message = format!(
                "input `{}` of {} takes one reference, not the range `{inner}` of them",
                input.name, kind.name
            );
            return Err(wrong(message));
        }
        if [&first, &last].iter().any(|end| written.text[(*end).clone()].trim().is_empty()) {
            return Err(wrong(format!("`{inner}` is no range: it has two ends, as in `1..=k`")));
        }
        let (first, last) = (index(first)?, index(last)?);
        let range = if included {
            format!("{first}..={last}")
        } else {
            format!("{first}..{last}")
        };
        let values = config::span(&range).map_err(|error| wrong(error.to_string()))?;
        Ok(values.into_iter().map(Some).collect())
    }

    /// The edge to the stage of that index; `None` when an error in its kind or its outputs has been reported.
    fn edge(
        &self,
        kind: &Kind,
        input: &Input<'_>,
        written: &WrittenReference<'_>,
        index: Option<i64>,
        sources: &[Option<OutputPorts>],
    ) -> Result<Option<Edge>, Diagnostic> {
        let at = |part: Range<usize>| Self::place(written, part);
        let WrittenReference { text, parts, origin } = written;
        let base = written.base();
        let Some(position) = self.position(base, index) else {
            let name = 0..parts.port.as_ref().map_or(text.len(), |port| port.start - 1);
            return Err(self.unknown(base, index, at(name)));
        };
        let Some(source) = sources.get(position).and_then(Option::as_ref) else {
            return Ok(None);
        };
        let name = self.variant.stages.get(position).map_or(base, |stage| stage.name.as_str());
        let port = match &parts.port {
            Some(span) => port(source, name, &text[span.clone()], at(span.clone()))?,
            None => only_port(source, name, at(0..text.len()))?,
        };
        if !input.port.takes(port.port) {
            let (gives, takes) = (noun(port.port), takes(input));
            let message = format!(
                "input `{}` of {} takes {takes}; `{name}.{}` is {gives}",
                input.name, kind.name, port.name
            );
            return Err(Diagnostic::new(message).at(at(0..text.len())));
        }
        Ok(Some(Edge {
            to: position,
            port: port.name.clone(),
            origin: (*origin).clone(),
        }))
    }

    /// Where a part of a reference stands.
    fn place(written: &WrittenReference<'_>, part: Range<usize>) -> Option<Location> {
        written.origin.part(written.text, part)
    }

    fn position(&self, base: &str, index: Option<i64>) -> Option<usize> {
        self.positions.get(&(base, index)).copied()
    }

    /// The message for a reference to no stage.
    fn unknown(&self, base: &str, index: Option<i64>, at: Option<Location>) -> Diagnostic {
        let indices = self.indices.get(base).map(Vec::as_slice).unwrap_or_default();
        match (index, indices) {
            (_, []) if self.position(base, None).is_some() => {
                let message = format!("stage `{base}` has no index");
                Diagnostic::new(message).at(at).help(format!("write `{base}`"))
            }
            (_, []) => {
                let message = format!("no stage `{base}` ({})", known(self.bases()));
                Diagnostic::new(message).at(at).suggest(nearest(base, self.bases()))
            }
            (Some(index), _) => Diagnostic::new(format!("no stage `{base}[{index}]` (`{base}` has {})", listed(indices))).at(at),
            (None, [first, ..]) => {
                let message = format!("stage `{base}` has an index ({})", listed(indices));
                Diagnostic::new(message)
                    .at(at)
                    .help(format!("write `{base}[{first}]` or `{base}[k]`"))
            }
        }
    }
}

/// `0 to 5`, `0, 2, 4`.
fn listed(indices: &[i64]) -> String {
    match indices {
        [first, .., last] if indices.windows(2).all(|pair| pair[1] == pair[0] + 1) => format!("{first} to {last}"),
        _ => {
            let more = if indices.len() > LISTED_INDICES { ", …" } else { "" };
            let first: Vec<String> = indices.iter().take(LISTED_INDICES).map(i64::to_string).collect();
            first.join(", ") + more
        }
    }
}

fn port<'p>(ports: &'p OutputPorts, stage: &str, name: &str, at: Option<Location>) -> Result<&'p Output, Diagnostic> {
    let names = || ports.outputs.iter().map(|output| output.name.as_ref());
    let found = ports.outputs.iter().find(|output| output.name == name);
    found.ok_or_else(|| {
        let message = format!("stage `{stage}` ({}) has no output `{name}` ({})", ports.kind.name, known(names()));
        Diagnostic::new(message).at(at).suggest(nearest(name, names()))
    })
}

fn only_port<'p>(ports: &'p OutputPorts, stage: &str, at: Option<Location>) -> Result<&'p Output, Diagnostic> {
    match ports.outputs.as_slice() {
        [output] => Ok(output),
        outputs => {
            let names: Vec<&str> = outputs.iter().map(|output| output.name.as_ref()).collect();
            let message = format!("stage `{stage}` ({}) has several outputs: {}", ports.kind.name, names.join(", "));
            let help = names.first().map(|first| format!("say which, as in `{stage}.{first}`"));
            Err(help.into_iter().fold(Diagnostic::new(message).at(at), Diagnostic::help))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_parts() {
        let parts = |text: &str| {
            ReferenceParts::of(text).map(|parts| {
                let cut = |part: Option<Range<usize>>| part.map(|part| text[part].to_owned());
                (text[parts.base].to_owned(), cut(parts.index), cut(parts.port))
            })
        };
        let some = |base: &str, index: Option<&str>, port: Option<&str>| {
            Some((base.to_owned(), index.map(str::to_owned), port.map(str::to_owned)))
        };
        assert_eq!(parts("a"), some("a", None, None));
        assert_eq!(parts("a.b"), some("a", None, Some("b")));
        assert_eq!(parts("a[k - 1]"), some("a", Some("k - 1"), None));
        assert_eq!(parts("a[0].b"), some("a", Some("0"), Some("b")));
        for wrong in ["", ".b", "a.", "a[0", "a[0]b", "a.b.c", "[0]", "a b", "a.b[0]", "a]"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_range_has_ends() {
        let ends = |text: &str| {
            bounds(text, 2..text.len() - 1).map(|(first, last, included)| (text[first].to_owned(), text[last].to_owned(), included))
        };
        let some = |first: &str, last: &str, included| Some((first.to_owned(), last.to_owned(), included));
        assert_eq!(ends("a[1..=k]"), some("1", "k", true));
        assert_eq!(ends("a[k-2 .. k]"), some("k-2 ", " k", false));
        assert_eq!(ends("a[..]"), some("", "", false));
        assert_eq!(ends("a[k-1]"), None);
    }

    #[test]
    fn indices_are_listed_shortly() {
        assert_eq!(listed(&[0, 1, 2]), "0 to 2");
        assert_eq!(listed(&[0, 2]), "0, 2");
        assert_eq!(listed(&[3]), "3");
    }
}
