//! Reads the pictures and texts of the stages, within the bounds of a page.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Gatherer;
use crate::page::{PagePicture, PagePictures, PictureContent, PictureSize};
use kinds::artifact::figure::{FigureFormat, svg_root};
use lab::plan::{Plan, StageState};
use lab::stage::PortType;
use lab::store::StoreError;
use lab::text::bytes;

/// The size of the largest picture on a page, and of all together, in bytes.
const PICTURE_BYTES: u64 = 2_000_000;
const ALL_BYTES: u64 = 30_000_000;

/// The bytes and lines of a text that are on a page, and the bytes of all texts.
const TEXT_BYTES: u64 = 100_000;
const TEXT_LINES: usize = 200;
const ALL_TEXT_BYTES: u64 = 3_000_000;

/// The most pictures and texts on a page, and the most of one output that is a folder.
const MAX_PICTURES: usize = 1000;
const MAX_FILES: usize = 50;

/// The numbers of pictures and texts among the outputs in the store; a folder counts once.
pub fn count_pictures(plan: &Plan) -> (usize, usize) {
    let hits = plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit);
    let ports = hits.flat_map(|(_, node, entry)| {
        let there = node
            .outputs
            .iter()
            .filter(|output| entry.outputs.contains_key(output.name.as_ref()));
        there.map(|output| output.port).collect::<Vec<_>>()
    });
    ports.fold((0, 0), |(pictures, texts), port| match port {
        PortType::Figure => (pictures + 1, texts),
        PortType::Text => (pictures, texts + 1),
        _ => (pictures, texts),
    })
}

/// The room that is left on the page.
struct Room {
    pictures: u64,
    texts: u64,
}

impl Gatherer<'_> {
    /// The pictures and texts of all stages in the store.
    pub(super) fn pictures(&self) -> Result<PagePictures, StoreError> {
        let mut room = Room {
            pictures: ALL_BYTES,
            texts: ALL_TEXT_BYTES,
        };
        let mut found = PagePictures::default();
        for (index, node, entry) in self.plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit) {
            let ports = node
                .outputs
                .iter()
                .filter(|output| matches!(output.port, PortType::Figure | PortType::Text));
            for output in ports {
                let Some(path) = self.path(entry, &output.name) else {
                    if let Some(artifact) = entry.outputs.get(output.name.as_ref()) {
                        found.pictures.push(PagePicture {
                            stage: index.index(),
                            output: output.name.to_string(),
                            file: None,
                            content: PictureContent::LeftOut {
                                why: "deleted by gc".to_owned(),
                                path: self.store.object(&artifact.digest),
                            },
                        });
                    }
                    continue;
                };
                for (file, path) in files(&path)? {
                    if found.pictures.len() == MAX_PICTURES {
                        found.more += 1;
                        continue;
                    }
                    let name = file
                        .as_deref()
                        .or_else(|| node.stage.declared_path(&output.name))
                        .unwrap_or_default();
                    let content = match output.port {
                        PortType::Text => read_text(&path, name, &mut room)?,
                        _ => read_picture(&path, &mut room)?,
                    };
                    found.pictures.push(PagePicture {
                        stage: index.index(),
                        output: output.name.to_string(),
                        file,
                        content,
                    });
                }
            }
        }
        Ok(found)
    }
}

/// The file, or those of a folder by name, each with its path.
fn files(path: &Path) -> Result<Vec<(Option<String>, PathBuf)>, StoreError> {
    if !path.is_dir() {
        return Ok(vec![(None, path.to_owned())]);
    }
    let (mut found, mut folders) = (Vec::new(), vec![path.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| damaged(&folder, &error))? {
            let inner = entry.map_err(|error| damaged(&folder, &error))?.path();
            if inner.is_dir() {
                folders.push(inner);
            } else {
                let name = inner.strip_prefix(path).unwrap_or(&inner).to_string_lossy().into_owned();
                found.push((Some(name), inner));
            }
        }
    }
    found.sort();
    found.truncate(MAX_FILES);
    Ok(found)
}

fn damaged(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        problem: format!("cannot be read: {error}"),
    }
}

/// The first `most` bytes of a file, and how many it has.
fn beginning(path: &Path, most: u64) -> Result<(Vec<u8>, u64), StoreError> {
    let read = || {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut content = Vec::new();
        file.take(most).read_to_end(&mut content)?;
        Ok((content, size))
    };
    read().map_err(|error: std::io::Error| damaged(path, &error))
}

fn read_picture(path: &Path, room: &mut Room) -> Result<PictureContent, StoreError> {
    let left_out = |why: String| PictureContent::LeftOut {
        why,
        path: path.to_owned(),
    };
    let (content, size) = beginning(path, PICTURE_BYTES)?;
    if size > PICTURE_BYTES {
        return Ok(left_out(format!("too large for the page ({})", bytes(size))));
    }
    let Some(picture) = picture(content) else {
        return Ok(left_out("neither PNG, SVG nor PDF".to_owned()));
    };
    let Some(rest) = room.pictures.checked_sub(size) else {
        return Ok(left_out(format!("the page has {} of pictures already", bytes(ALL_BYTES))));
    };
    room.pictures = rest;
    Ok(picture)
}

/// A picture, told by its content.
fn picture(content: Vec<u8>) -> Option<PictureContent> {
    Some(match FigureFormat::of(&content)? {
        FigureFormat::Png => PictureContent::Png {
            size: png_size(&content),
            content,
        },
        FigureFormat::Pdf => PictureContent::Pdf(content),
        FigureFormat::Svg => PictureContent::Svg {
            size: svg_size(svg_tag(std::str::from_utf8(&content).ok()?)?),
            content,
        },
    })
}

/// Width and height stand big-endian in the first chunk.
fn png_size(content: &[u8]) -> Option<PictureSize> {
    let number = |at: usize| Some(u32::from_be_bytes(content.get(at..at + 4)?.try_into().ok()?));
    PictureSize::new(f64::from(number(16)?), f64::from(number(20)?))
}

/// The first tag of an SVG, after what XML may have before it.
fn svg_tag(text: &str) -> Option<&str> {
    let rest = svg_root(text)?;
    let mut quoted = None;
    let end = rest.find(|c: char| {
        match (quoted, c) {
            (None, '"' | '\'') => quoted = Some(c),
            (Some(open), c) if open == c => quoted = None,
            _ => {}
        }
        quoted.is_none() && c == '>'
    })?;
    Some(&rest[..end])
}

/// The size that an SVG's first tag says, else that of its view box.
fn svg_size(tag: &str) -> Option<PictureSize> {
    let size = PictureSize::new(pixels(attribute(tag, "width")), pixels(attribute(tag, "height")));
    size.or_else(|| {
        let numbers = attribute(tag, "viewBox")?.split([' ', ',']).filter(|number| !number.is_empty());
        let numbers: Vec<f64> = numbers.filter_map(|number| number.parse().ok()).collect();
        PictureSize::new(*numbers.get(2)?, *numbers.get(3)?)
    })
}

/// The value of an attribute of a tag.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let places = tag.match_indices(name).filter(|(at, _)| tag[..*at].ends_with(char::is_whitespace));
    let value = |(at, _): (usize, &str)| {
        let rest = tag[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest[1..].split(quote).next()
    };
    places.into_iter().find_map(value)
}

/// A length in pixels: `460.8pt`. NaN for one that depends on its surroundings, or is missing.
fn pixels(length: Option<&str>) -> f64 {
    let length = length.unwrap_or_default().trim();
    let number = length.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    let factor = match &length[number.len()..] {
        "" | "px" => 1.0,
        "pt" => 4.0 / 3.0,
        "pc" => 16.0,
        "in" => 96.0,
        "cm" => 96.0 / 2.54,
        "mm" => 96.0 / 25.4,
        _ => f64::NAN,
    };
    number.parse().map_or(f64::NAN, |number: f64| number * factor)
}

fn read_text(path: &Path, name: &str, room: &mut Room) -> Result<PictureContent, StoreError> {
    let (content, size) = beginning(path, TEXT_BYTES)?;
    let left_out = |why: String| PictureContent::LeftOut {
        why,
        path: path.to_owned(),
    };
    if content.contains(&0) {
        return Ok(left_out("no text".to_owned()));
    }
    let Some(rest) = room.texts.checked_sub(content.len() as u64) else {
        return Ok(left_out(format!("the page has {} of texts already", bytes(ALL_TEXT_BYTES))));
    };
    room.texts = rest;
    let read = content.len() as u64;
    let text = String::from_utf8_lossy(&content);
    let lines: Vec<&str> = text.lines().collect();
    let is_cut = read < size || lines.len() > TEXT_LINES;
    let name = name.to_ascii_lowercase();
    Ok(PictureContent::Text {
        text: lines.iter().take(TEXT_LINES).copied().collect::<Vec<_>>().join("\n"),
        is_markdown: name.ends_with(".md") || name.ends_with(".markdown"),
        cut_of: is_cut.then_some(size),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Option<PictureSize> {
        Some(PictureSize { width, height })
    }

    #[test]
    fn pictures_are_told_by_their_content() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 2, 128, 0, 0, 1, 224]);
        assert!(matches!(picture(png), Some(PictureContent::Png { size: found, .. }) if found == size(640, 480)));
        assert!(matches!(picture(b"%PDF-1.7\n".to_vec()), Some(PictureContent::Pdf(_))));
        let svg = "\u{feff}<?xml version=\"1.0\"?>\n<!-- > -->\n<!DOCTYPE svg PUBLIC \"-//W3C\">\n<svg viewBox=\"0 0 12 8\"><g/></svg>";
        assert!(matches!(picture(svg.as_bytes().to_vec()), Some(PictureContent::Svg { size: found, .. }) if found == size(12, 8)));
        // What a stage accepts as a figure is one here, too.
        let svg = "<!DOCTYPE svg [ <!ENTITY a \"b\"> ]><svg:svg width='3' height='4'></svg:svg>";
        assert!(matches!(picture(svg.as_bytes().to_vec()), Some(PictureContent::Svg { size: found, .. }) if found == size(3, 4)));
        for other in [&b"GIF89a"[..], b"<html><svg>", b"<svgx>", b"<svg", b"", b"\xff\xd8\xff"] {
            assert!(picture(other.to_vec()).is_none(), "{other:?}");
        }
    }

    #[test]
    fn an_svg_says_its_size_in_several_ways() {
        for (tag, expected) in [
            ("<svg width=\"460.8pt\" height='345.6pt' viewBox=\"0 0 1 1\"", size(614, 461)),
            ("<svg\n  height = \"10mm\" width=\"1in\"", size(96, 38)),
            ("<svg width=\"100%\" height=\"100%\" viewBox=\"0,0, 300,150\"", size(300, 150)),
            ("<svg stroke-width=\"3\" width=\"20\" height=\"10px\"", size(20, 10)),
            ("<svg width=\"1e9\" height=\"4\"", None),
            ("<svg width=\"-3\" height=\"x\"", None),
            ("<svg viewBox=\"0 0\"", None),
            ("<svg", None),
        ] {
            assert_eq!(svg_size(tag), expected, "{tag}");
        }
        assert_eq!(svg_tag("<svg data-a=\"1>2\" width='3'><g/>"), Some("<svg data-a=\"1>2\" width='3'"));
    }

    #[test]
    fn what_is_too_large_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut room = Room { pictures: 10, texts: 10 };
        fs::write(&path, "<svg width='1' height='1'/>").unwrap();
        assert!(matches!(read_picture(&path, &mut room).unwrap(), PictureContent::LeftOut { why, .. } if why.contains("already")));
        fs::write(&path, vec![b' '; 2_000_001]).unwrap();
        assert!(matches!(read_picture(&path, &mut room).unwrap(), PictureContent::LeftOut { why, .. } if why.contains("2.0 MB")));
        assert_eq!(room.pictures, 10);
    }

    #[test]
    fn texts_are_cut_and_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut room = Room {
            pictures: 0,
            texts: ALL_TEXT_BYTES,
        };
        fs::write(&path, "line\n".repeat(300)).unwrap();
        let PictureContent::Text { text, is_markdown, cut_of } = read_text(&path, "out/Notes.MD", &mut room).unwrap() else {
            panic!("no text");
        };
        assert_eq!((text.lines().count(), is_markdown, cut_of), (200, true, Some(1500)));
        fs::write(&path, "a\nb\n").unwrap();
        let short = read_text(&path, "log.txt", &mut room).unwrap();
        assert!(
            matches!(
                short,
                PictureContent::Text {
                    is_markdown: false,
                    cut_of: None,
                    ..
                }
            ),
            "{short:?}"
        );
        fs::write(&path, b"a\0b").unwrap();
        assert!(matches!(read_text(&path, "", &mut room).unwrap(), PictureContent::LeftOut { .. }));
    }

    #[test]
    fn a_folder_has_its_files_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["c.svg", "a.svg", "b/x.svg"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<Option<String>> = files(folder.path()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a.svg", "b/x.svg", "c.svg"].map(|name| Some(name.to_owned())));
        assert_eq!(files(&folder.path().join("a.svg")).unwrap()[0].0, None);
    }
}
