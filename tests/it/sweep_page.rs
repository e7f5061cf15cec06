//! The page of a sweep: 27 variants on three seeds, in a browser.

use std::path::Path;
use std::rc::Rc;

use kinds::artifact::metrics::Series;
use kinds::metrics::MetricMap;
use report::figure::metric_figures;
use report::page::{PageData, PagePicture, PagePictures, PictureContent, PictureSize, page};
use report::part_name::PartName;
use report::parts::{ReportData, ReportParts};
use report::scores::{Score, Scores, StagePlace};
use report::stage_details::StageDetails;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::require::require;

const AXES: [(&str, [&str; 3]); 4] = [
    ("depth", ["1", "2", "16"]),
    ("lr", ["0.001", "0.01", "0.1"]),
    ("width", ["1", "16", "64"]),
    ("seed", ["1", "2", "3"]),
];

/// All combinations of the axes' values.
fn variants() -> Vec<Vec<(String, String)>> {
    AXES.iter().fold(vec![Vec::new()], |variants, (axis, values)| {
        let with = |variant: &Vec<(String, String)>, value: &str| {
            let mut variant = variant.clone();
            variant.push(((*axis).to_owned(), value.to_owned()));
            variant
        };
        let longer = variants
            .iter()
            .flat_map(|variant| values.iter().map(move |value| with(variant, value)));
        longer.collect()
    })
}

fn stage(id: usize, name: &str, variant: &[(String, String)]) -> StageDetails {
    StageDetails {
        variant: variant.iter().cloned().collect(),
        key: Some(lab::hash::Digest::of(name.as_bytes())),
        params: json!({"run": ["python", "train.py", "--epochs=3"]}),
        seed: Some(1),
        ..report::example::stage_details(id, name)
    }
}

/// The score of a variant, with two curves; one of the runs diverged.
fn score(node: usize, variant: &[(String, String)]) -> Score {
    let index = node as f64;
    let mut metrics = MetricMap::default();
    for (name, value) in [
        ("test.accuracy", 0.5 + index / 1000.0),
        ("test.f1", 0.4 + index / 900.0),
        ("test.loss", 90.0 / (1.0 + index)),
    ] {
        metrics.insert(name, if node == 200 { f64::NAN } else { value });
    }
    let points: Vec<(f64, f64)> = (0..10_000)
        .map(|step| (f64::from(step), 3.0 / (1.0 + f64::from(step) / 100.0)))
        .collect();
    let series = |name: &str| Series {
        name: name.to_owned(),
        unit: "step".to_owned(),
        points: points.clone(),
    };
    Score {
        place: StagePlace {
            stage: "test".to_owned(),
            variant: variant.iter().cloned().collect(),
            iteration: None,
            phase: "test".to_owned(),
            node,
        },
        data: String::new(),
        metrics: Some(metrics),
        answers: Rc::default(),
        examples: Rc::default(),
        series: vec![series("train.loss"), series("validation.loss")].into(),
    }
}

fn picture(stage: usize) -> PagePicture {
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"300\" height=\"200\"><script>top.document.title = 'owned'</script><rect width=\"300\" height=\"200\"/></svg>";
    PagePicture {
        stage,
        output: "plot".to_owned(),
        file: None,
        content: PictureContent::Svg {
            content: svg.as_bytes().to_vec(),
            size: PictureSize::new(300.0, 200.0),
        },
    }
}

/// Writes the page of the sweep.
fn write_sweep(path: &Path) {
    let variants = variants();
    assert_eq!(variants.len(), 81);
    let (mut stages, mut scores, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
    for variant in &variants {
        for name in ["prepare_the_data_of_this_variant", "fit", "test"] {
            let id = stages.len();
            stages.push(stage(id, name, variant));
            match name {
                "fit" => pictures.push(picture(id)),
                "test" => scores.push(score(id, variant)),
                _ => {}
            }
        }
    }
    let mut data = ReportData {
        programs: scores.iter().map(|score| score.place.node).collect(),
        scores: Scores {
            experiment: "sweep".to_owned(),
            scores,
            axes: AXES.map(|(axis, _)| axis.to_owned()).to_vec(),
        },
        ..ReportData::default()
    };
    let (scores, chosen) = data.metric_figures();
    data.figures = metric_figures(&scores, &chosen);
    let names = [PartName::Metrics];
    let parts = ReportParts::make(names, &data).unwrap();
    let page_data = PageData {
        question: "Which width is best?".to_owned(),
        scores: data.scores.clone(),
        stages,
        pictures: PagePictures { pictures, more: 0 },
        ..PageData::default()
    };
    std::fs::write(path, page(&page_data, &parts.select(&names), &data.figures)).unwrap();
}

#[test]
fn the_page_of_a_sweep_fits_three_screens() {
    let mut browser = require!(Browser::start(), "Chromium");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sweep.html");
    write_sweep(&file);
    let size = std::fs::metadata(&file).unwrap().len();
    assert!(size < 3_000_000, "{size} bytes");
    for (width, height) in [(1400, 900), (380, 800)] {
        browser.open(&file, width, height);
        let wide = browser.evaluate("document.documentElement.scrollWidth").as_f64().unwrap();
        assert!(wide <= f64::from(width), "{wide} of {width} pixels");
        let high = browser.evaluate("document.documentElement.scrollHeight").as_f64().unwrap();
        assert!(width < 1400 || high <= 3.0 * f64::from(height), "{high} of {height} pixels");
        assert_eq!(browser.evaluate("document.querySelectorAll('#stages .node').length"), 3);
        opens_the_stage_of_a_picture(&mut browser);
    }
    assert_eq!(browser.evaluate("document.title"), "sweep", "nothing in a picture runs");
    assert_eq!(browser.complaints, [Value::Null; 0]);
}

/// The title of a picture names its variant in full, and opens the stage of this variant and no other.
fn opens_the_stage_of_a_picture(browser: &mut Browser) {
    browser.evaluate("document.querySelector('#gallery details').open = true");
    let titles = browser.evaluate("[...document.querySelectorAll('#gallery .shot button')].map((button) => button.textContent)");
    let titles: Vec<&str> = titles.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(titles.len(), 81);
    let wanted = "depth=1, lr=0.001, seed=1, width=1";
    let at = titles.iter().position(|title| *title == wanted).unwrap();
    browser.evaluate(&format!("document.querySelectorAll('#gallery .shot button')[{at}].click()"));
    assert_eq!(
        browser.evaluate("document.querySelector('#panel-content summary').textContent"),
        format!("fit ({wanted})")
    );
    assert_eq!(browser.evaluate("document.querySelectorAll('#panel-content img').length"), 1);
    browser.evaluate("document.getElementById('close').click()");
    browser.evaluate("document.querySelector('#gallery details').open = false");
}
