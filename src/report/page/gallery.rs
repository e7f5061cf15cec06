//! The gallery: pictures and texts, those of one output together, each under the coordinates of its variant.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::data::{PageData, PagePicture, PictureContent, PictureSize};
use super::markdown::markdown_as_html;
use crate::escape;
use crate::stage_details::StageDetails;
use lab::text::{bytes, clean_file_name};

/// An output with more pictures begins folded, and so do all outputs after the first ones.
const OPEN_PICTURES: usize = 6;
const OPEN_OUTPUTS: usize = 3;

/// The pictures of one output of the stages of one name: `fit.plot`.
struct GalleryGroup<'a> {
    name: String,
    pictures: Vec<(&'a PagePicture, &'a StageDetails)>,
}

/// The section with all pictures and texts, all folded on a dense page; empty without any.
pub(super) fn gallery(data: &PageData, is_dense: bool) -> String {
    let groups = groups(data);
    if groups.is_empty() {
        return String::new();
    }
    let mut html = "<section id=\"gallery\">\n<h2>Pictures and texts</h2>\n".to_owned();
    for (i, group) in groups.iter().enumerate() {
        let count = group.pictures.len();
        let open = if !is_dense && count <= OPEN_PICTURES && i < OPEN_OUTPUTS {
            " open"
        } else {
            ""
        };
        html += &format!(
            "<details{open}>\n<summary>{} ({count})</summary>\n<div class=\"gallery\">\n",
            escape::html(&group.name)
        );
        html.extend(group.pictures.iter().map(|(picture, stage)| shot(group, picture, stage)));
        html += "</div>\n</details>\n";
    }
    if data.pictures.more > 0 {
        html += &format!("<p class=\"quiet\">{} more are not on the page.</p>\n", data.pictures.more);
    }
    html + "</section>\n"
}

fn groups(data: &PageData) -> Vec<GalleryGroup<'_>> {
    let stages: BTreeMap<usize, &StageDetails> = data.stages.iter().map(|stage| (stage.id, stage)).collect();
    let mut groups: Vec<GalleryGroup<'_>> = Vec::new();
    for picture in &data.pictures.pictures {
        let Some(stage) = stages.get(&picture.stage) else { continue };
        let name = format!("{}.{}", stage.name, picture.output);
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.pictures.push((picture, stage)),
            None => groups.push(GalleryGroup {
                name,
                pictures: vec![(picture, stage)],
            }),
        }
    }
    groups.sort_by_key(GalleryGroup::rank);
    groups
}

impl GalleryGroup<'_> {
    /// Pictures stand before texts, and what is only a link comes last: the first ones are unfolded.
    fn rank(&self) -> u8 {
        let ranks = self.pictures.iter().map(|(picture, _)| match picture.content {
            PictureContent::Png { .. } | PictureContent::Svg { .. } => 0,
            PictureContent::Text { .. } => 1,
            _ => 2,
        });
        ranks.min().unwrap_or(2)
    }
}

/// One picture or text under its title, which opens the stage.
fn shot(group: &GalleryGroup<'_>, picture: &PagePicture, stage: &StageDetails) -> String {
    let mut title: Vec<String> = stage.variant.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    if title.is_empty() {
        title.push(group.name.clone());
    }
    let title = title.join(", ");
    let file = picture
        .file
        .as_deref()
        .map_or_else(String::new, |file| format!(" <span>{}</span>", escape::html(file)));
    format!(
        "<div class=\"shot\" data-of=\"{0}\"><p><button type=\"button\" data-stages=\"{0}\">{1}</button>{file}</p>{2}</div>\n",
        stage.id,
        escape::html(&title),
        content(group, picture, stage, &title)
    )
}

fn content(group: &GalleryGroup<'_>, picture: &PagePicture, stage: &StageDetails, title: &str) -> String {
    let image = |kind: &str, content: &[u8], size: Option<PictureSize>| {
        let size = size.map_or_else(String::new, |size| format!(" width=\"{}\" height=\"{}\"", size.width, size.height));
        format!(
            "<img loading=\"lazy\" decoding=\"async\" alt=\"{}\"{size} src=\"data:image/{kind};base64,{}\">",
            escape::html(&format!("{}, {title}", group.name)),
            STANDARD.encode(content)
        )
    };
    match &picture.content {
        PictureContent::Png { content, size } => image("png", content, *size),
        // As an image an SVG runs no scripts and loads nothing.
        PictureContent::Svg { content, size } => image("svg+xml", content, *size),
        PictureContent::Pdf(content) => format!(
            "<p><a download=\"{}.pdf\" href=\"data:application/pdf;base64,{}\">PDF, {}</a></p>",
            escape::html(&clean_file_name(&format!("{} {title}", group.name), "-_.=, ", 100)),
            STANDARD.encode(content),
            bytes(content.len() as u64)
        ),
        PictureContent::Text { text, is_markdown, cut_of } => {
            let body = if *is_markdown {
                format!("<div class=\"text\">{}</div>", markdown_as_html(text))
            } else {
                format!("<pre class=\"text\">{}</pre>", escape::html(text))
            };
            let note = |size: u64| format!("the first lines of {}", bytes(size));
            let note = cut_of.map_or_else(String::new, |size| {
                format!("<p class=\"quiet\">{}: {}</p>", note(size), get(group, stage))
            });
            body + &note
        }
        PictureContent::LeftOut { why, path } => format!(
            "<p class=\"quiet\">Not here: {}. {} copies it from <code>{}</code>.</p>",
            escape::html(why),
            get(group, stage),
            escape::html(&path.to_string_lossy())
        ),
    }
}

/// The `runner get` command for an output, as HTML.
fn get(group: &GalleryGroup<'_>, stage: &StageDetails) -> String {
    let quoted = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
    let mut command = format!("runner get FILE {}", quoted(&group.name));
    for (axis, value) in &stage.variant {
        command += &format!(" --variant {}", quoted(&format!("{axis}={value}")));
    }
    format!("<code>{}</code>", escape::html(&(command + " --to DIR")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::page::PagePictures;

    fn stage(id: usize, width: &str) -> StageDetails {
        StageDetails {
            variant: [("width".to_owned(), width.to_owned())].into(),
            ..example::stage_details(id, "fit")
        }
    }

    fn data(pictures: Vec<(usize, &str, PictureContent)>) -> PageData {
        let picture = |(stage, output, content): (usize, &str, PictureContent)| PagePicture {
            stage,
            output: output.to_owned(),
            file: None,
            content,
        };
        PageData {
            stages: vec![stage(3, "1"), stage(4, "16")],
            pictures: PagePictures {
                pictures: pictures.into_iter().map(picture).collect(),
                more: 2,
            },
            ..PageData::default()
        }
    }

    fn svg(content: &str) -> PictureContent {
        PictureContent::Svg {
            content: content.as_bytes().to_vec(),
            size: PictureSize::new(30.0, 20.0),
        }
    }

    #[test]
    fn pictures_stand_under_their_coordinates() {
        let html = gallery(
            &data(vec![
                (3, "plot", svg("<svg/>")),
                (4, "plot", svg("<svg onload=\"x\"/>")),
                (4, "notes", text(true)),
            ]),
            false,
        );
        for part in [
            "<summary>fit.plot (2)</summary>",
            "<div class=\"shot\" data-of=\"3\"><p><button type=\"button\" data-stages=\"3\">width=1</button>",
            "<button type=\"button\" data-stages=\"4\">width=16</button>",
            "alt=\"fit.plot, width=16\" width=\"30\" height=\"20\" src=\"data:image/svg+xml;base64,PHN2Zy",
            "<summary>fit.notes (1)</summary>",
            "<div class=\"text\"><p>a &lt;b&gt;</p>\n</div>",
            "<p class=\"quiet\">2 more are not on the page.</p>",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
        assert!(!html.contains("onload"), "{html}");
    }

    fn text(is_markdown: bool) -> PictureContent {
        PictureContent::Text {
            text: "a <b>".to_owned(),
            is_markdown,
            cut_of: Some(4000),
        }
    }

    #[test]
    fn what_is_not_here_says_how_to_get_it() {
        let left_out = PictureContent::LeftOut {
            why: "too large for the page (3.0 MB)".to_owned(),
            path: "/store/<x>".into(),
        };
        let html = gallery(
            &data(vec![
                (3, "plot", left_out),
                (3, "log", text(false)),
                (3, "pdf", PictureContent::Pdf(b"%PDF-".to_vec())),
            ]),
            false,
        );
        for part in [
            "Not here: too large for the page (3.0 MB). <code>runner get FILE &#39;fit.plot&#39; --variant &#39;width=1&#39; --to DIR</code>",
            "<code>/store/&lt;x&gt;</code>",
            "<pre class=\"text\">a &lt;b&gt;</pre><p class=\"quiet\">the first lines of 4.0 kB: <code>runner get FILE &#39;fit.log&#39;",
            "<a download=\"fit.pdf width=1.pdf\" href=\"data:application/pdf;base64,JVBERi0=\">PDF, 5 B</a>",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
    }

    #[test]
    fn pictures_stand_before_texts_and_links() {
        let pdf = PictureContent::Pdf(b"%PDF-".to_vec());
        let html = gallery(
            &data(vec![
                (3, "a", pdf),
                (3, "b", text(true)),
                (3, "c", svg("<svg/>")),
                (3, "d", text(false)),
            ]),
            false,
        );
        let opened: Vec<&str> = html
            .split("<details open>\n<summary>")
            .skip(1)
            .filter_map(|rest| rest.split(' ').next())
            .collect();
        assert_eq!(opened, ["fit.c", "fit.b", "fit.d"]);
        assert!(html.contains("<details>\n<summary>fit.a (1)"), "{html}");
    }

    #[test]
    fn many_pictures_begin_folded_and_none_have_no_section() {
        let many = (0..7).map(|_| (3, "plot", svg("<svg/>"))).collect();
        assert!(gallery(&data(many), false).contains("<details>\n<summary>fit.plot (7)"));
        let one = data(vec![(3, "plot", svg("<svg/>"))]);
        assert!(gallery(&one, false).contains("<details open>") && !gallery(&one, true).contains("<details open>"));
        assert_eq!(gallery(&PageData::default(), false), "");
    }
}
