//! The page that goes on: the same page with a part about the run, which a server keeps up to date.

use sha2::{Digest, Sha256};

use super::{PageData, PageParts, SCRIPT, fill, parts, policy};
use crate::figure::Figure;
use crate::parts::ReportPart;

const PART: &str = include_str!("live.html");
const STYLE: &str = include_str!("live.css");
const LIVE_SCRIPT: &str = include_str!("live.js");

/// What the colours of running stages mean, for the legend of the graph.
const KEY: &str = "<li><span class=\"key running\"></span>running</li>\n<li><span class=\"key done\"></span>done in this run</li>\n\
                   <li><span class=\"key failed\"></span>failed</li>\n<li><span class=\"key waiting\"></span>waits</li>\n";

/// A page for a server.
#[derive(Clone, Debug)]
pub struct LivePage {
    pub html: String,
    /// Tells this content from any other.
    pub revision: String,
    /// The `Content-Security-Policy`.
    pub policy: String,
}

/// The page of an experiment with a part about its run.
pub fn live_page(data: &PageData, results: &[&ReportPart], figures: &[Figure]) -> LivePage {
    let mut parts: PageParts = parts(data, results, figures);
    let revision = revision(&parts);
    let policy = policy(&[SCRIPT, LIVE_SCRIPT], "connect-src 'self'; ");
    for (name, text) in &mut parts {
        if *name == "style" {
            text.push_str(STYLE);
        }
    }
    parts.extend([
        ("policy", policy.clone()),
        ("revision", format!(" data-revision=\"{revision}\"")),
        ("live", PART.to_owned()),
        ("live_key", KEY.to_owned()),
        ("live_script", format!("<script>\n{LIVE_SCRIPT}</script>\n")),
    ]);
    LivePage {
        html: fill(&parts),
        revision,
        policy,
    }
}

/// The beginning of a digest of all parts.
fn revision(parts: &PageParts) -> String {
    let mut digest = Sha256::new();
    for (name, text) in parts {
        digest.update(name);
        digest.update(text);
        digest.update([0]);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn the_live_page_may_run_its_scripts_and_ask_its_server_alone() {
        let page = live_page(&PageData::default(), &[], &[]);
        assert!(!page.html.contains("{{") && page.html.contains(&format!("data-revision=\"{}\"", page.revision)));
        let scripts: Vec<&str> = page
            .html
            .split("<script>")
            .skip(1)
            .map(|rest| rest.split("</script>").next().unwrap())
            .collect();
        assert_eq!(scripts.len(), 2);
        for script in scripts {
            assert!(
                page.policy
                    .contains(&format!("'sha256-{}'", STANDARD.encode(Sha256::digest(script))))
            );
        }
        assert!(page.policy.contains("default-src 'none'") && page.policy.contains("connect-src 'self'"));
    }

    #[test]
    fn another_content_is_another_revision() {
        let page = |question: &str| {
            let data = PageData {
                question: question.to_owned(),
                ..PageData::default()
            };
            live_page(&data, &[], &[]).revision
        };
        assert!(page("a") == page("a") && page("a") != page("b"));
    }
}
