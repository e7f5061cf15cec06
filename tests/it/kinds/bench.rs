//! Runs one stage in a temporary folder.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::config::{ConfigValue, ParamError};
use lab::event::Progress;
use lab::stage::{Caller, Carried, CarriedFrom, Kind, Sandbox, Stage, StageContext, StageError};
use learn::dataset::{self, Doc, Row};
use learn::model::{self, Architecture, Model};
use learn::tokenizer::{Tokenizer, TokenizerStyle};
use tempfile::TempDir;

/// A kind by name.
pub fn kind(name: &str) -> &'static Kind {
    ::kinds::kinds().iter().find(|kind| kind.name == name).unwrap()
}

/// A stage from the TOML of its params, with nothing at its inputs.
pub fn parse(name: &str, params: &str) -> Result<Box<dyn Stage>, ParamError> {
    let given: &[&str] = if ["sample", "eval"].contains(&name) { &["model"] } else { &[] };
    parse_given(name, params, given)
}

/// A stage from the TOML of its params, with something at these inputs.
pub fn parse_given(name: &str, params: &str, given: &[&str]) -> Result<Box<dyn Stage>, ParamError> {
    let table: toml::Table = toml::from_str(params).unwrap();
    (kind(name).parse)(&ConfigValue::from(serde_json::json!(table)), given)
}

/// One stage with its inputs, to be run any number of times.
pub struct Bench {
    folder: TempDir,
    kind: String,
    params: String,
    inputs: BTreeMap<String, Vec<PathBuf>>,
    /// The task of what is at the inputs.
    task: String,
    pub seed: u64,
    pub threads: usize,
    /// What the stage's source was when its key was computed.
    pub content: Option<String>,
    /// How often the stage may ask whether to stop before it is told to.
    pub patience: Option<u64>,
    /// What the stage told of its progress.
    pub told: RefCell<Vec<Progress>>,
    /// What the stage warned of.
    pub warned: RefCell<Vec<String>>,
    /// What it noted for the log and the record.
    pub noted: RefCell<Vec<String>>,
}

impl Bench {
    pub fn new(kind: &str, params: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            kind: kind.to_owned(),
            params: params.to_owned(),
            inputs: BTreeMap::new(),
            task: "addition".to_owned(),
            seed: 1,
            threads: 1,
            content: None,
            patience: None,
            told: RefCell::default(),
            warned: RefCell::default(),
            noted: RefCell::default(),
        }
    }

    pub fn task(mut self, task: &str) -> Self {
        task.clone_into(&mut self.task);
        self
    }

    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    pub fn patience(mut self, patience: u64) -> Self {
        self.patience = Some(patience);
        self
    }

    pub fn content(mut self, content: &str) -> Self {
        self.content = Some(content.to_owned());
        self
    }

    /// Where the first artifact at an input port is.
    pub fn input(&self, port: &str) -> &Path {
        &self.inputs[port][0]
    }

    /// Adds an artifact at an input port: a file of this text.
    pub fn text(mut self, port: &str, text: &str) -> Self {
        let paths = self.inputs.entry(port.to_owned()).or_default();
        let path = self.folder.path().join(format!("{port}-{}.jsonl", paths.len()));
        fs::write(&path, text).unwrap();
        paths.push(path);
        self
    }

    /// Adds a data set at an input port.
    pub fn rows(mut self, port: &str, rows: &[Row]) -> Self {
        self = self.text(port, "");
        dataset::write(self.inputs[port].last().unwrap(), rows).unwrap();
        self
    }

    /// Adds a model at an input port.
    pub fn model(mut self, port: &str, model: &Model) -> Self {
        let path = self.folder.path().join(port);
        model.save(&path).unwrap();
        self.inputs.entry(port.to_owned()).or_default().push(path);
        self
    }

    /// Adds an artifact of another stage at an input port.
    pub fn artifact(mut self, port: &str, path: &Path) -> Self {
        self.inputs.entry(port.to_owned()).or_default().push(path.to_owned());
        self
    }

    /// Runs the stage, or those that it stands for, with an empty folder for outputs, and returns that folder.
    pub fn run(&self) -> Result<PathBuf, String> {
        let outputs = self.folder.path().join("outputs");
        let _ = fs::remove_dir_all(&outputs);
        fs::create_dir_all(&outputs).unwrap();
        let given: Vec<&str> = self.inputs.keys().map(String::as_str).collect();
        let mut stage = parse_given(&self.kind, &self.params, &given).unwrap();
        let task = serde_json::json!([{"name": self.task}]);
        let from = CarriedFrom {
            stage: "before",
            value: Some(&task),
        };
        let carried = self.inputs.iter().map(|(port, paths)| (port.as_str(), vec![from; paths.len()]));
        stage
            .carry(&Carried::new(carried.collect()))
            .map_err(|error| error.problem.to_string())?;
        let Some(parts) = stage.parts() else {
            return self.run_stage(stage.as_ref(), &self.inputs, &outputs).map(|()| outputs);
        };
        let mut answers = Vec::new();
        for (place, (part, path)) in parts.each.iter().zip(&self.inputs[parts.over]).enumerate() {
            let mut inputs = self.inputs.clone();
            inputs.insert(parts.over.to_owned(), vec![path.clone()]);
            let part = (part.kind.parse)(&ConfigValue::from(part.params.clone()), &given).unwrap();
            let folder = self.folder.path().join(format!("part-{place}"));
            fs::create_dir_all(&folder).unwrap();
            self.run_stage(part.as_ref(), &inputs, &folder)?;
            answers.push(folder.join(parts.output));
        }
        let last = (parts.last.kind.parse)(&ConfigValue::from(parts.last.params), &[parts.at]).unwrap();
        let inputs = BTreeMap::from([(parts.at.to_owned(), answers)]);
        self.run_stage(last.as_ref(), &inputs, &outputs).map(|()| outputs)
    }

    fn run_stage(&self, stage: &dyn Stage, inputs: &BTreeMap<String, Vec<PathBuf>>, outputs: &Path) -> Result<(), String> {
        let asked = Cell::new(0);
        let job = StageContext {
            earlier: &[],
            inputs,
            outputs,
            scratch: &self.folder.path().join("scratch"),
            files: &BTreeMap::new(),
            environment_files: &BTreeMap::new(),
            content: self.content.as_deref(),
            caller: Caller::NOBODY,
            seed: self.seed,
            threads: self.threads,
            device: "cpu",
            memory: None,
            digests: &BTreeMap::new(),
            sandbox: &Sandbox::default(),
            held_by: &|_| {},
            found: &|_| {},
            alone: false,
            progress: &|progress| self.told.borrow_mut().push(progress),
            warn: &|message| self.warned.borrow_mut().push(message.to_owned()),
            note: &|text| self.noted.borrow_mut().push(text.to_owned()),
            patience: Duration::ZERO,
            grace: Duration::ZERO,
            stop: &|| {
                asked.set(asked.get() + 1);
                self.patience.is_some_and(|patience| asked.get() > patience)
            },
        };
        stage.run(&job).map_err(|error: StageError| {
            let folder = self.folder.path().display().to_string();
            error.to_string().replace(&folder, "")
        })
    }

    /// The rows of an output, after running the stage.
    pub fn output(&self, port: &str) -> Vec<Row> {
        dataset::read(&self.run().unwrap().join(port)).unwrap()
    }
}

/// A row of `a + b` with its full solution, or one with the lowest two digits done in one step.
pub fn row(id: &str, (a, b): (u64, u64), solution: &str, step_num: u32) -> Row {
    Row {
        id: id.to_owned(),
        prompt: format!("Question: {a} + {b}"),
        completion: format!("{solution}\nThus, the answer is {}.", a + b),
        step_num,
        answer: (a + b).into(),
        doc: Doc::default(),
    }
}

/// Rows of two problems, in a wording short enough for the smallest models.
pub fn two_rows() -> Vec<Row> {
    vec![
        row("2_1/0", (12, 3), "1. 2 + 3 = 5\n2. 1 + 0 = 1", 2),
        row("2_2/0", (40, 17), "1. 0 + 7 = 7\n2. 4 + 1 = 5", 2),
    ]
}

/// A small model with random weights, whose answers are gibberish, and the same on every machine.
pub fn gibberish(prompt: &str) -> Model {
    let template = prompt.to_owned();
    let prompt = dataset::Prompt::text(template);
    let rows = two_rows();
    let prompts: Vec<String> = rows.iter().map(|row| prompt.render(&row.prompt, row.step_num)).collect();
    let completions = rows.iter().map(|row| row.completion.as_str());
    let tokenizer = Tokenizer::build(TokenizerStyle::Phrase, prompts.iter().map(String::as_str).chain(completions)).unwrap();
    let architecture = Architecture {
        width: 16,
        layers: 1,
        heads: 2,
        ..Architecture::default()
    };
    let shape = architecture.shape(tokenizer.vocabulary()).unwrap();
    Model {
        weights: model::initialise(&shape, 5),
        prompt,
        chat: None,
        shape,
        tokenizer,
    }
}
