//! A model of somebody else's that has a chat template: imported, trained on, asked, and its prompts shown before anything ran.

use serde_json::Value;

use super::lab::{Lab, count};

const ROWS: &str = "{\"prompt\": \"1 + 1\", \"completion\": \"2\", \"answer\": \"2\"}\n{\"prompt\": \"2 + 2\", \"completion\": \"4\", \"answer\": \"4\"}\n";

/// What a first model learns, so that it has tokens for the template.
const BASE: &str = r#"
[sources.rows]
path = "base.jsonl"

[stages.rows]
kind = "import"
source = "rows"

[stages.base]
kind = "train"
data = "rows"
steps = 2
batch = 1
model = { width = 16, layers = 1, heads = 1 }
"#;

const TEMPLATE: &str = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}\
                        {% if add_generation_prompt %}[assistant]{% endif %}";

const EXPERIMENT: &str = r#"
[tasks.sums]
doc_to_text = "What is {{prompt}}?"
doc_to_target = "{{answer}}"
generation_kwargs = { max_gen_toks = 8 }
metric_list = [{ metric = "exact_match" }]

[sources.rows]
path = "rows.jsonl"

[sources.theirs]
path = "theirs"

[stages.rows]
kind = "import"
source = "rows"
task = "sums"

[stages.base]
kind = "import"
type = "model"
source = "theirs"

[stages.model]
kind = "train"
data = "rows"
base = "base"
steps = 120
batch = 2
learning_rate = 0.01
prompt = { chat = { system = "be brief" } }

[stages.score]
kind = "eval"
model = "model"
data = "rows"

[stages.shown]
kind = "eval"
model = "model"
data = "rows"
task = { name = "sums", num_fewshot = 1, fewshot_config = { sampler = "first_n", samples = [{ prompt = "3 + 3", answer = "6" }] } }
prompt = "plain"
"#;

/// A lab with a model in `theirs` that has a chat template.
fn lab() -> Lab {
    let lab = Lab::new(EXPERIMENT);
    lab.write("rows.jsonl", ROWS);
    let base = "{\"prompt\": \"[abcdefghijklmnopqrstuvwxyz]\", \"completion\": \"What is 0123456789 + ? Question: Answer: n\\n\", \"answer\": \"1\"}\n";
    lab.write("base.jsonl", base);
    lab.write("base.toml", BASE);
    lab.stdout("run base.toml --store made", 0);
    lab.stdout("get base.toml base --store made --to out", 0);
    let made = walkdir::WalkDir::new(lab.path().join("out")).into_iter().map_while(Result::ok);
    let made = made
        .map(walkdir::DirEntry::into_path)
        .find(|path| path.join("config.json").is_file());
    let theirs = lab.path().join("theirs");
    std::fs::rename(made.unwrap(), &theirs).unwrap();
    std::fs::write(theirs.join("chat_template.jinja"), TEMPLATE).unwrap();
    lab
}

#[test]
fn a_model_learns_and_answers_in_its_own_chat() {
    let lab = lab();
    // Its template is read where the model lies, before anything but the data is there.
    let early = lab.output("show x.toml model --prompt");
    assert_eq!(early.status.code(), Some(4));
    let said = String::from_utf8(early.stderr).unwrap();
    assert!(said.contains("`runner run x.toml rows` makes them"), "{said}");
    lab.stdout("run x.toml rows", 0);
    let trained = lab.stdout("show x.toml model --prompt", 0);
    assert_eq!(trained, "[system]be brief[user]What is 1 + 1?[assistant]\n");
    let asked = lab.stdout("show x.toml score --prompt", 0);
    assert_eq!(asked, trained);
    let shown: Value = serde_json::from_str(&lab.stdout("show x.toml shown --prompt --json", 0)).unwrap();
    assert_eq!(shown["prompt"], "What is 3 + 3? 6\n\nWhat is 1 + 1?\nAnswer:\n");
    assert_eq!((&shown["row"], &shown["stage"]), (&"1".into(), &"shown.rows".into()));
    let none = lab.output("show x.toml rows --prompt");
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8(none.stderr).unwrap().contains("gives no prompt to a model"));
    // What was shown is what the model learns and is asked: it answers right.
    let summary = lab.summary("run x.toml model score", 0);
    assert_eq!(count(&summary, "failed"), 0);
    assert_eq!(lab.stdout("show x.toml score --prompt", 0), asked);
    // The trained model keeps the template, which nobody gave it.
    let kept = lab.stdout("get x.toml model", 0);
    assert_eq!(
        std::fs::read_to_string(format!("{}/chat_template.jinja", kept.trim())).unwrap(),
        TEMPLATE
    );
}

#[test]
fn a_chat_without_a_template_is_refused() {
    let lab = lab();
    std::fs::remove_file(lab.path().join("theirs/chat_template.jinja")).unwrap();
    let said = lab.stdout("run x.toml model --json", 1);
    assert!(said.contains("chat template"), "{said}");
}
