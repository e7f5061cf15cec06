//! The tags `{% generation %}` and `{% endgeneration %}`, which mark the text of the assistant in a template.
//!
//! Jinja has no such tags; Transformers adds them. Here they are replaced by others before a template is parsed: a filter, and a scope of
//! their own, as Transformers' have.

use std::ops::Range;

/// The filter that marks the text of the assistant.
pub(super) const FILTER: &str = "what_the_assistant_says";

/// The template with its tags replaced, and whether it has any.
pub(super) fn replaced(template: &str) -> (String, bool) {
    let (mut out, mut copied, mut is_tagged) = (String::with_capacity(template.len()), 0, false);
    let tags = Tags { template, at: 0 };
    for (tag, kind) in tags {
        if kind != TAG {
            continue;
        }
        let Some(inner) = template.get(tag.start + OPEN..tag.end - OPEN) else {
            continue;
        };
        let (before, rest) = sign(inner.as_bytes().first());
        let inner = inner.get(rest..).unwrap_or_default();
        let (after, rest) = sign(inner.as_bytes().last());
        let name = inner.get(..inner.len() - rest).unwrap_or_default().trim();
        let others = match name {
            "generation" => format!("{{%{before} filter {FILTER} %}}{{% with {after}%}}"),
            "endgeneration" => format!("{{%{before} endwith %}}{{% endfilter {after}%}}"),
            _ => continue,
        };
        is_tagged |= name == "generation";
        out += template.get(copied..tag.start).unwrap_or_default();
        out += &others;
        copied = tag.end;
    }
    out += template.get(copied..).unwrap_or_default();
    (out, is_tagged)
}

/// Whether the template multiplies. A list can be made as long as one likes so, at no cost until it is written, and no known template does.
pub(super) fn multiplies(template: &str) -> bool {
    let mut parts = Tags { template, at: 0 };
    parts.any(|(part, _)| {
        template
            .get(part)
            .is_some_and(|part| unquoted(part, |byte| byte == b'*').next().is_some())
    })
}

/// The length of `{%`, and of what closes it.
const OPEN: usize = 2;
/// The second character of `{%`.
const TAG: u8 = b'%';

/// The sign of a tag that trims the white space beside it (`-`) or keeps it (`+`), and its length; empty without one.
fn sign(byte: Option<&u8>) -> (&'static str, usize) {
    match byte {
        Some(b'-') => ("-", 1),
        Some(b'+') => ("+", 1),
        _ => ("", 0),
    }
}

/// The tags `{% … %}` and expressions `{{ … }}` of a template, each with its brackets, and the second of them.
struct Tags<'t> {
    template: &'t str,
    at: usize,
}

impl Iterator for Tags<'_> {
    type Item = (Range<usize>, u8);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.template.get(self.at..)?;
            let (place, kind) = first_open(rest)?;
            let start = self.at + place;
            let inside = self.template.get(start + OPEN..)?;
            let end = match kind {
                b'#' => inside.find("#}")? + OPEN,
                b'{' => closing(inside, "}}")?,
                _ => closing(inside, "%}")?,
            };
            self.at = start + OPEN + end;
            if kind == b'#' {
                continue;
            }
            if kind == TAG && is_raw(inside.get(..end - OPEN)?) {
                self.at += after_raw(self.template.get(self.at..)?)?;
                continue;
            }
            return Some((start..self.at, kind));
        }
    }
}

/// Where the first bracket opens, and its second character.
fn first_open(text: &str) -> Option<(usize, u8)> {
    let pairs = text.as_bytes().windows(OPEN).enumerate();
    let mut opens = pairs.filter_map(|(at, pair)| match pair {
        [b'{', kind @ (b'#' | b'{' | b'%')] => Some((at, *kind)),
        _ => None,
    });
    opens.next()
}

/// Where the bracket `close` ends that is in no text within quotes, and closes no bracket of a dictionary.
fn closing(text: &str, close: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for at in unquoted(text, |byte| matches!(byte, b'{' | b'}' | b'%')) {
        match text.as_bytes().get(at) {
            Some(b'{') => depth += 1,
            Some(b'}') if depth > 0 => depth -= 1,
            _ if text.get(at..).is_some_and(|rest| rest.starts_with(close)) => return Some(at + close.len()),
            _ => {}
        }
    }
    None
}

/// The places of the bytes that are in no text within quotes.
fn unquoted(text: &str, is_wanted: impl Fn(u8) -> bool) -> impl Iterator<Item = usize> {
    let (mut quote, mut is_escaped) = (None, false);
    let found = text.bytes().enumerate().filter(move |(_, byte)| match quote {
        Some(_) if is_escaped => {
            is_escaped = false;
            false
        }
        Some(open) => {
            is_escaped = *byte == b'\\';
            quote = Some(open).filter(|open| open != byte);
            false
        }
        None => {
            quote = Some(*byte).filter(|byte| matches!(byte, b'"' | b'\''));
            is_wanted(*byte)
        }
    });
    found.map(|(at, _)| at)
}

fn is_raw(tag: &str) -> bool {
    tag.trim_matches(['-', '+']).trim() == "raw"
}

/// Where the tag ends that ends a raw part.
fn after_raw(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let start = at + text.get(at..)?.find("{%")? + OPEN;
        let end = start + text.get(start..)?.find("%}")?;
        if text.get(start..end)?.trim_matches(['-', '+']).trim() == "endraw" {
            return Some(end + OPEN);
        }
        at = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_found_outside_of_texts() {
        for text in [
            "{{ [0] * 9 }}",
            "{% set a = {'a': {}} %}{{ {'a': {'b': 1}} ~ 2 ** 3 }}",
            "{% if '*' ~ 2*3 %}",
        ] {
            assert!(multiplies(text), "{text}");
        }
        for text in ["*{{ '*' }}*{# * #}", "{% raw %}{{ 2 * 3 }}{% endraw %}", "{{ \"\\\"*\" }}"] {
            assert!(!multiplies(text), "{text}");
        }
    }

    #[test]
    fn the_tags_are_replaced_where_they_are_tags() {
        let (text, is_tagged) = replaced("a{%- generation -%}b{% endgeneration +%}c");
        assert_eq!(
            text,
            "a{%- filter what_the_assistant_says %}{% with -%}b{% endwith %}{% endfilter +%}c"
        );
        assert!(is_tagged);
        for same in [
            "{# {% generation %} #}",
            "{{ '{% generation %}' }}",
            "{% set a = \"\\\"{% generation %}\" %}",
            "{% raw %}{% generation %}{%- endraw %}",
            "{% if generation %}",
            "{% generation",
            "{% generation %",
            "{{ '",
            "{%%}{%-%}{%+-%}",
            "{% raw %}{% generation %}",
            "ä{",
        ] {
            assert_eq!(replaced(same), (same.to_owned(), false), "{same}");
        }
    }
}
