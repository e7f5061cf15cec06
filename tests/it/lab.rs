//! A temporary folder with an experiment and a store, and the real program to run in it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The whole loop of the method, small enough to run in seconds; what it learns does not matter.
pub const LOOP: &str = r#"
name = "loop"

[params]
iterations = 1
steps = 30
rate = 3e-3

[matrix]
seed = [1]

[models.dot]
width = 16
layers = 1
heads = 2

# The problems are shared by all seeds.
[stages.problems]
kind = "generate"
task = "addition"
start = "warm"
train = 40
development = 0
in_domain = 6
ood_easy = 4
ood_hard = 0

[stages."mixed[0]"]
kind = "mix"
full = "problems.train"
skips = "problems.skipped"

[stages."mixed[k]"]
for.k = "1..={iterations}"
kind = "mix"
full = "problems.train"
skips = "skips[k]"

[stages."numbered[k]"]
for.k = "0..{iterations}"
kind = "train"
data = "mixed[k]"
prompt = "numbered"
model = "dot"
steps = "{steps}"
batch = 8

[stages."answers[k]"]
for.k = "1..={iterations}"
kind = "sample"
model = "numbered[{k-1}]"
data = "problems.train"
ask = [-1]
max_tokens = 12

[stages."skips[k]"]
for.k = "1..={iterations}"
kind = "filter"
answers = "answers[k]"

[stages."standard[k]"]
for.k = "0..={iterations}"
kind = "train"
data = "mixed[k]"
model = "dot"
steps = "{steps}"
batch = 8
learning_rate = "{rate}"

[stages."score[k]"]
for.k = "0..={iterations}"
kind = "eval"
model = "standard[k]"
data = ["problems.in_domain", "problems.ood_easy"]
max_tokens = 12
"#;

/// The folder; removed when dropped.
pub struct Lab(tempfile::TempDir);

impl Lab {
    /// With `experiment` as `x.toml`.
    pub fn new(experiment: &str) -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        lab.write("x.toml", experiment);
        lab
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Writes a program that can be run, as [`Lab::copy_program`] does.
    pub fn write_program(&self, name: &str, text: &str) {
        let text_name = format!("{name}.text");
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        self.write(&text_name, text);
        self.copy_program(self.path().join(&text_name), name);
        std::fs::remove_file(self.path().join(text_name)).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Copies a program into the folder, by another process: what this one has open for writing, a process that a test beside it is about to
    /// start holds open for a moment too, and then it cannot be run ("Text file busy").
    pub fn copy_program(&self, from: impl AsRef<Path>, name: &str) -> PathBuf {
        let to = self.path().join(name);
        let copied = Command::new("cp").arg("--").arg(from.as_ref()).arg(&to).status().unwrap();
        assert!(copied.success(), "{}", to.display());
        to
    }

    /// The program with `words` as arguments, in the folder.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command
            .current_dir(self.path())
            .args(words.split_whitespace())
            .env("XDG_CONFIG_HOME", self.path())
            // The caches of programs are kept from one test to the next, apart from the user's.
            .env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/caches"));
        for setting in ["STORE", "JOBS", "THREADS", "DEVICE"] {
            command.env_remove(format!("RUNNER_{setting}"));
        }
        command
    }

    pub fn output(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// What it prints, when it ends with `code`.
    pub fn stdout(&self, words: &str, code: i32) -> String {
        let output = self.output(words);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{words}\n{out}\n{err}");
        out.into_owned()
    }

    /// The last event of a run that ends with `code`.
    pub fn summary(&self, words: &str, code: i32) -> Value {
        let out = self.stdout(&format!("{words} --json"), code);
        serde_json::from_str(out.lines().last().unwrap()).unwrap()
    }

    /// Starts a run whose events can be read.
    pub fn start(&self, words: &str) -> Child {
        let mut command = self.command(words);
        // SAFETY: a system call alone, which may be made between fork and exec. The tests may run where Ctrl-C is ignored, in the background.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGINT, libc::SIG_DFL);
                Ok(())
            });
        }
        command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// What `plan` says of each stage: by name and variant.
    pub fn plan(&self, words: &str) -> BTreeMap<String, Value> {
        let plan: Value = serde_json::from_str(&self.stdout(&format!("plan {words} --json"), 0)).unwrap();
        let stages = plan["stages"].as_array().unwrap();
        stages
            .iter()
            .map(|stage| (format!("{} {}", stage["name"].as_str().unwrap(), stage["variant"]), stage.clone()))
            .collect()
    }

    /// The keys of all stages; they must all be hits.
    pub fn keys(&self, words: &str) -> BTreeMap<String, Value> {
        let hit = |(name, stage): (String, Value)| {
            assert_eq!(stage["state"], "hit", "{name}: {}", stage["reason"]);
            (name, stage["key"].clone())
        };
        self.plan(words).into_iter().map(hit).collect()
    }

    /// Where a store keeps the object of this digest.
    pub fn object(&self, store: &str, digest: &str) -> PathBuf {
        self.path().join(store).join("v1/objects").join(&digest[..2]).join(&digest[2..])
    }

    /// Where a store keeps a record: its key as [`Self::digests`] has it, `.json` included.
    pub fn record(&self, store: &str, key: &str) -> PathBuf {
        self.path().join(store).join("v1/records").join(&key[..2]).join(&key[2..])
    }

    /// The digests of every stage's outputs, by key, as the records have them.
    pub fn digests(&self, store: &str) -> BTreeMap<String, Value> {
        let mut digests = BTreeMap::new();
        for entry in walkdir::WalkDir::new(self.path().join(store).join("v1/records")) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let record: Value = serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap();
                let folder = entry.path().parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
                digests.insert(folder + &entry.file_name().to_string_lossy(), record["outputs"].clone());
            }
        }
        digests
    }
}

/// What a run warns of.
pub fn warnings(events: &str) -> Vec<String> {
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let warned = events.filter(|event| event["event"] == "warned");
    warned.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

/// The number of a summary's field.
pub fn count(summary: &Value, field: &str) -> u64 {
    summary[field].as_u64().unwrap_or_else(|| panic!("no `{field}` in {summary}"))
}
