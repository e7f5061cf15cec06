//! Markdown by programs, as HTML that can do nothing: no HTML of its own, no pictures from elsewhere, links to the web alone.

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd};

use lab::text::is_hidden;

/// The addresses that a link may have.
const SCHEMES: [&str; 3] = ["http://", "https://", "mailto:"];

/// Markdown as HTML.
pub(super) fn markdown_as_html(text: &str) -> String {
    let text: String = text.chars().filter(|c| !is_hidden(*c) || matches!(c, '\n' | '\t')).collect();
    let mut filter = Filter::default();
    let events = Parser::new_ext(&text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH);
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events.filter_map(|event| filter.harmless(event)));
    html
}

/// Replaces what could do something.
#[derive(Default)]
struct Filter {
    /// For each link that is open whether it is one in the result.
    links: Vec<bool>,
}

impl Filter {
    fn harmless<'a>(&mut self, event: Event<'a>) -> Option<Event<'a>> {
        Some(match event {
            Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
            Event::Start(Tag::Image { .. }) => Event::Text(CowStr::Borrowed("[picture: ")),
            Event::End(TagEnd::Image) => Event::Text(CowStr::Borrowed("]")),
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }) => {
                let is_kept = link_type == LinkType::Email || is_allowed(&dest_url);
                self.links.push(is_kept);
                let link = Tag::Link {
                    link_type,
                    dest_url,
                    title,
                    id,
                };
                return is_kept.then_some(Event::Start(link));
            }
            Event::End(TagEnd::Link) => return self.links.pop().unwrap_or(false).then_some(Event::End(TagEnd::Link)),
            Event::Start(Tag::Heading { level, .. }) => Event::Start(Tag::Heading {
                level: below(level),
                id: None,
                classes: Vec::new(),
                attrs: Vec::new(),
            }),
            Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below(level))),
            Event::Start(Tag::CodeBlock(_)) => Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)),
            other => other,
        })
    }
}

fn is_allowed(address: &str) -> bool {
    let begins = |scheme: &str| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    SCHEMES.into_iter().any(begins)
}

/// The level of a heading below those of the page.
fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H4,
        HeadingLevel::H2 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_shown() {
        assert_eq!(
            markdown_as_html("# Notes\n\n*good* and `a < b`\n\n| a |\n|---|\n| 1 |\n"),
            "<h4>Notes</h4>\n<p><em>good</em> and <code>a &lt; b</code></p>\n\
             <table><thead><tr><th>a</th></tr></thead><tbody>\n<tr><td>1</td></tr>\n</tbody></table>\n"
        );
    }

    #[test]
    fn html_is_text() {
        for text in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div onclick=\"x\">\n\n*a*\n\n</div>",
            "`</code><script>`",
            "```\"><script>\n<script>\n```",
            "<!-- <script> -->",
        ] {
            let html = markdown_as_html(text);
            for tag in ["<script", "<img", "<div", "<!--"] {
                assert!(!html.contains(tag), "{text}: {html}");
            }
        }
    }

    #[test]
    fn links_lead_to_the_web_alone() {
        assert_eq!(
            markdown_as_html("[a](HTTPS://example.org/x \"t\") <a@example.org>"),
            "<p><a href=\"HTTPS://example.org/x\" title=\"t\">a</a> <a href=\"mailto:a@example.org\">a@example.org</a></p>\n"
        );
        for address in [
            "javascript:alert(1)",
            "JaVaScRiPt:x",
            "data:text/html,x",
            "file:///etc/passwd",
            "//host/x",
            "../x",
            "vbscript:x",
        ] {
            let html = markdown_as_html(&format!("[a]({address}) <{address}>"));
            assert!(!html.contains("<a"), "{address}: {html}");
        }
        let nested = markdown_as_html("[![in](https://a.example/x.png)](javascript:x) [after](https://b.example)");
        assert_eq!(nested, "<p>[picture: in] <a href=\"https://b.example\">after</a></p>\n");
    }

    #[test]
    fn pictures_are_not_loaded() {
        let html = markdown_as_html("![a curve](https://example.org/x.png) ![b][ref]\n\n[ref]: data:image/png;base64,AA");
        assert_eq!(html, "<p>[picture: a curve] [picture: b]</p>\n");
    }

    #[test]
    fn hidden_signs_are_gone() {
        assert_eq!(markdown_as_html("a\u{202e}b\u{1}"), "<p>ab</p>\n");
    }
}
