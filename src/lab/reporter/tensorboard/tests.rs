use super::*;
use crate::event::Progress;
use crate::reporter::clock::FakeClock;

fn stage(name: &str) -> StageName {
    StageName {
        name: name.to_owned(),
        variant: [("seed".to_owned(), "1".to_owned())].into(),
    }
}

/// The files below a folder, each with its size.
fn files(folder: &Path) -> String {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    let line = |entry: walkdir::DirEntry| {
        let name = entry.path().strip_prefix(folder).unwrap().display().to_string();
        let name = name.replace(&std::process::id().to_string(), "PID");
        format!("{name} {}\n", entry.metadata().unwrap().len())
    };
    files.map(line).collect()
}

#[test]
fn curves_and_scores_get_files_that_tensorboard_finds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let clock = FakeClock::default();
    clock.advance(1.7e9);
    let sets = BTreeMap::from([(stage("score[2]"), vec!["in_domain".to_owned()])]);
    let board = folder.path().join("board");
    let reader = ArtifactReader {
        curve: |artifact| {
            let names = ["loss", "learning_rate"].map(str::to_owned);
            let readings = |values: &[f64]| names.iter().cloned().zip(values.iter().copied()).collect();
            let has_curve = artifact.join("training.jsonl").exists();
            if has_curve {
                vec![(1, readings(&[2.0])), (2, readings(&[1.0, 0.1]))]
            } else {
                Vec::new()
            }
        },
        scores: |artifact| {
            let scores = ["accuracy", "valid_right", "average_steps", "average_tokens"];
            let has_scores = artifact.join("metrics.json").exists();
            if has_scores {
                vec![scores.map(|name| (name.to_owned(), 1.0)).into()]
            } else {
                Vec::new()
            }
        },
    };
    let mut reporter = TensorBoard::new(&board, store.clone(), reader, sets, clock).unwrap();
    for done in [10, 20] {
        let readings = BTreeMap::from([("loss".to_owned(), 0.5), ("learning_rate".to_owned(), 0.1)]);
        let progress = Progress {
            done,
            total: 20,
            unit: "steps".to_owned(),
            readings,
        };
        let stage = stage("standard[0]");
        reporter.event(&Event::Progressed { stage, progress });
    }
    let put = |name: &str, file: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join(file), text).unwrap();
        store.take(&path).unwrap().digest
    };
    let finished = |name: &str, port: &str, digest| Event::Finished {
        stage: stage(name),
        key: Digest::of(b"key"),
        seconds: 1.0,
        outputs: BTreeMap::from([(port.to_owned(), digest)]),
    };
    let model = put("model", "training.jsonl", "");
    reporter.event(&finished("standard[0]", "model", model));
    reporter.event(&finished("numbered[0]", "model", model));
    reporter.event(&finished("score[2]", "metrics", put("metrics", "metrics.json", "")));
    insta::assert_snapshot!(files(&board), @r"
    numbered[0] seed=1/events.out.tfevents.0.runner.curve 148
    score seed=1/events.out.tfevents.0.runner.scores 193
    standard[0] seed=1/events.out.tfevents.1700000000.runner.PID 170
    ");
}
