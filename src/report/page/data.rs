//! The data of the page.

use std::path::PathBuf;

use serde::Serialize;

use crate::scores::Scores;
use crate::stage_details::StageDetails;

/// The scores of an experiment, the stages that they come from, and some of the answers behind them.
#[derive(Clone, Debug, Default)]
pub struct PageData {
    /// The experiment's description, or the comment at the top of its file.
    pub question: String,
    /// What makes scores say too much.
    pub warnings: Vec<String>,
    pub scores: Scores,
    /// In the order of the plan.
    pub stages: Vec<StageDetails>,
    pub samples: PageSamples,
    pub pictures: PagePictures,
}

/// The pictures and texts that stages wrote for people.
#[derive(Clone, Debug, Default)]
pub struct PagePictures {
    /// In the order of the plan.
    pub pictures: Vec<PagePicture>,
    /// The number of those that there was no room for.
    pub more: usize,
}

/// One picture or text.
#[derive(Clone, Debug)]
pub struct PagePicture {
    /// The number of the stage that wrote it.
    pub stage: usize,
    /// `plot`
    pub output: String,
    /// Its name, if the output is a folder.
    pub file: Option<String>,
    pub content: PictureContent,
}

/// What a picture or text is.
#[derive(Clone, Debug)]
pub enum PictureContent {
    Png {
        content: Vec<u8>,
        size: Option<PictureSize>,
    },
    Svg {
        content: Vec<u8>,
        size: Option<PictureSize>,
    },
    Pdf(Vec<u8>),
    Text {
        text: String,
        is_markdown: bool,
        /// The size of the whole text in bytes, if this is its beginning.
        cut_of: Option<u64>,
    },
    /// It is not on the page.
    LeftOut {
        why: String,
        path: PathBuf,
    },
}

/// The size of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureSize {
    pub width: u32,
    pub height: u32,
}

impl PictureSize {
    /// The greatest size that is believed.
    const MOST: f64 = 20_000.0;

    /// A size of at least one pixel; `None` for numbers that are none.
    pub fn new(width: f64, height: f64) -> Option<Self> {
        let pixels = |length: f64| (0.5..=Self::MOST).contains(&length).then(|| length.round() as u32);
        Some(Self {
            width: pixels(width)?,
            height: pixels(height)?,
        })
    }
}

/// A selection of answers, and the problems that they answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PageSamples {
    pub problems: Vec<SampleProblem>,
    pub answers: Vec<SampleAnswer>,
    /// Examples that programs wrote.
    pub examples: Vec<SampleExample>,
    /// The number of answers and examples in the store.
    pub of: u64,
}

/// An example that a program wrote.
#[derive(Clone, Debug, Serialize)]
pub struct SampleExample {
    pub id: String,
    /// The number of the stage that wrote it.
    pub stage: usize,
    /// The name of the output or of the data set; empty where there is one.
    pub data: String,
    /// The names and the texts of its fields.
    pub fields: Vec<(String, String)>,
}

/// A problem with its full solution.
#[derive(Clone, Debug, Serialize)]
pub struct SampleProblem {
    pub id: String,
    pub question: String,
    pub solution: String,
    pub steps: u32,
}

/// One answer to a problem.
#[derive(Clone, Debug, Serialize)]
pub struct SampleAnswer {
    /// Its index in `problems`.
    pub problem: usize,
    /// The number of the stage that sampled it.
    pub stage: usize,
    /// `in_domain`
    pub data: String,
    pub response: String,
    pub steps: u32,
    pub requested: Option<u32>,
    pub right: bool,
    /// Whether every step follows from the one before it.
    pub valid: bool,
    pub complete: bool,
}
