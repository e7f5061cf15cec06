//! SVG files as PNG, with a font that is part of the program: the picture is the same on every machine.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// Pixels of the picture for each of the SVG.
const SCALE: f32 = 2.0;

/// Why a figure could not become a picture.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    #[error("the figure is no SVG that can be drawn: {0}")]
    Svg(#[from] resvg::usvg::Error),
    #[error("the figure is too large to be drawn ({0} × {1} pixels)")]
    Size(u32, u32),
    #[error("the picture cannot be encoded: {0}")]
    Encode(String),
}

/// Draws a figure's SVG at twice its size.
///
/// # Errors
/// When it is too large, or is not one of ours.
pub fn png(svg: &str) -> Result<Vec<u8>, PngError> {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    fonts.set_sans_serif_family("Ubuntu");
    options.font_family = "Ubuntu".to_owned();
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let (width, height) = size.map_or((0, 0), |size| (size.width(), size.height()));
    let mut picture = Pixmap::new(width, height).ok_or(PngError::Size(width, height))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut picture.as_mut());
    picture.encode_png().map_err(|error| PngError::Encode(error.to_string()))
}
