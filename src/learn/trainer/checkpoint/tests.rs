use super::*;
use crate::dataset::{Doc, Row};
use crate::engine::{Batch, NamedTensor, ReadTensor, StepResult};

/// An engine of one weight, whose moments are its tenth and its hundredth.
struct One([f32; 2]);

impl TrainingEngine for One {
    fn step(&mut self, _: &[Batch], _: f64) -> Result<StepResult, EngineError> {
        Err(EngineError::AllFrozen)
    }

    fn loss(&mut self, _: &mut dyn Iterator<Item = Batch>) -> Result<f64, EngineError> {
        Err(EngineError::AllFrozen)
    }

    fn steps(&self) -> u64 {
        1
    }

    fn trained(&self) -> usize {
        self.0.len()
    }

    fn tensors(&self, part: TensorGroup) -> Result<Vec<NamedTensor<'_>>, EngineError> {
        let factor = match part {
            TensorGroup::Weights => return Ok(vec![NamedTensor::borrowed("a.b", &[2, 1], &self.0)]),
            TensorGroup::First => 0.1,
            TensorGroup::Second => 0.01,
        };
        Ok(vec![NamedTensor {
            data: self.0.iter().map(|x| x * factor).collect(),
            ..NamedTensor::borrowed("a.b", &[2, 1], &[])
        }])
    }

    fn finish(self: Box<Self>) -> Result<Weights, EngineError> {
        self.weights()
    }

    fn restore(&mut self, _: u64, _: &mut ReadTensor<'_>) -> Result<(), EngineError> {
        Err(EngineError::AllFrozen)
    }
}

const HISTORY: [StepMetrics; 1] = [StepMetrics {
    loss: 0.1 + 0.2,
    gradient_norm: 1e-300,
    tokens: 77.0,
}];

const HELD_OUT: [HeldOutLoss; 2] = [HeldOutLoss { step: 1, loss: 0.3 }, HeldOutLoss { step: 7, loss: 1e-300 }];

fn best() -> Weights {
    let array = Array {
        shape: vec![1, 2],
        data: vec![-2.5, 1e-30],
    };
    [("a.b".to_owned(), array)].into()
}

fn write_one(folder: &Path) {
    let best = best();
    let done = Progress {
        history: &HISTORY,
        held_out: &HELD_OUT,
        best: Some(&best),
    };
    write(&One([1.5, -1e-30]), done, folder, "mine").unwrap();
}

#[test]
fn what_is_read_is_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    write_one(folder.path());
    let checkpoint = Checkpoint::open(folder.path(), "mine").unwrap();
    assert_eq!(
        (checkpoint.history.as_slice(), checkpoint.held_out.as_slice()),
        (&HISTORY[..], &HELD_OUT[..])
    );
    assert_eq!(checkpoint.best().unwrap(), Some(best()));
    let engine = One([1.5, -1e-30]);
    for part in [TensorGroup::Weights, TensorGroup::First, TensorGroup::Second] {
        let array = checkpoint.tensor(part, "a.b").unwrap();
        let tensors = engine.tensors(part).unwrap();
        assert_eq!(
            (array.shape.as_slice(), array.data.as_slice()),
            (&*tensors[0].shape, &*tensors[0].data)
        );
    }
    insta::assert_snapshot!(checkpoint.tensor(TensorGroup::First, "c").unwrap_err(), @"tensor `c` is missing");
}

#[test]
fn what_was_begun_and_not_finished_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    write_one(folder.path());
    std::fs::create_dir(folder.path().join("checkpoint.unfinished1")).unwrap();
    std::fs::write(folder.path().join("checkpoint.unfinished"), "").unwrap();
    clear_unfinished(folder.path());
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, [CHECKPOINT_FILE]);
}

#[test]
fn foreign_damaged_and_missing_ones_are_none() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Checkpoint::open(folder.path(), "mine").is_none());
    write_one(folder.path());
    assert!(Checkpoint::open(folder.path(), "mine").is_some());
    assert!(Checkpoint::open(folder.path(), "yours").is_none());
    let path = folder.path().join(CHECKPOINT_FILE);
    let bytes = std::fs::read(&path).unwrap();
    for length in [bytes.len() - 1, 100, 9, 8, 3, 0] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(Checkpoint::open(folder.path(), "mine").is_none(), "{length}");
    }
    // Of full length, but its end never reached the disk.
    let mut torn = bytes.clone();
    torn[bytes.len() - 4..].fill(0);
    std::fs::write(&path, torn).unwrap();
    assert!(Checkpoint::open(folder.path(), "mine").is_none());
    std::fs::write(&path, &bytes).unwrap();
    assert!(Checkpoint::open(folder.path(), "mine").is_some());
    std::fs::write(&path, [u8::MAX; 100]).unwrap();
    assert!(Checkpoint::open(folder.path(), "mine").is_none());
}

#[test]
fn recipe_rows_start_and_seed_name_a_training() {
    let recipe = Recipe::default();
    let longer = Recipe {
        steps: 2001,
        ..Recipe::default()
    };
    let row = Row {
        id: "1".to_owned(),
        prompt: String::new(),
        completion: String::new(),
        step_num: 1,
        answer: 1.into(),
        doc: Doc::default(),
    };
    let rows = [row];
    let data = TrainingData {
        rows: &rows,
        vocabulary: &[],
        validation: None,
        base: None,
    };
    let (none, held_out) = (
        TrainingData { rows: &[], ..data },
        TrainingData {
            validation: Some(&rows),
            ..data
        },
    );
    let start = || TrainingStart::new(&recipe, &data, 1, None).unwrap();
    let named = |recipe: &Recipe, data: &TrainingData<'_>, start: &TrainingStart, seed| identity(recipe, data, start, seed).unwrap();
    let mine = named(&recipe, &data, &start(), 1);
    assert_eq!(mine, named(&recipe, &data, &start(), 1));
    let mut elsewhere = start();
    elsewhere.weights.values_mut().next().unwrap().data[0] += 1.0;
    for other in [
        named(&longer, &data, &start(), 1),
        named(&recipe, &none, &start(), 1),
        named(&recipe, &held_out, &start(), 1),
        named(&recipe, &data, &start(), 2),
        named(&recipe, &data, &elsewhere, 1),
    ] {
        assert_ne!(mine, other);
    }
}
