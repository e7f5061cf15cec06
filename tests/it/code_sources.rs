//! Folders of code as sources of programs: which files are in the key and in the folder of the program.

use ::lab::source::{FIGURE_MARK, PAGE_MARK};
use serde_json::Value;

use super::lab::{Lab, count};

/// A program that lists the folder in which it runs, which is a copy of the source.
fn lister(source: &str) -> String {
    format!(
        "[settings]\nsandbox = 'off'\n[sources.code]\n{source}\n[stages.list]\nkind = 'command'\n\
         run = ['sh', '-c', 'find . -type f | LC_ALL=C sort > $RUNNER_OUTPUT_X']\nsource = 'code'\noutputs = {{ x = 'file' }}\n"
    )
}

fn write(lab: &Lab, files: &[(&str, &str)]) {
    for (name, text) in files {
        std::fs::create_dir_all(lab.path().join(name).parent().unwrap()).unwrap();
        lab.write(name, text);
    }
}

/// What the program saw, after a run.
fn listed(lab: &Lab) -> String {
    lab.summary("run x.toml", 0);
    let path = lab.stdout("get x.toml list", 0);
    std::fs::read_to_string(path.trim())
        .unwrap()
        .replace("./", "")
        .trim()
        .replace('\n', " ")
}

#[test]
fn a_project_s_folder_is_a_source_as_people_write_it() {
    let lab = Lab::new(&lister("path = '.'"));
    write(
        &lab,
        &[
            ("train.py", "1"),
            ("lib/model.py", "1"),
            ("lib/__pycache__/model.pyc", "1"),
            ("pyproject.toml", "[project]\nname = 'x'\n"),
            ("other.toml", "extends = 'x.toml'\n"),
            ("runner.toml", "[settings]\njobs = 1\n"),
            (".git/HEAD", "1"),
            (".env", "KEY=1"),
            (".gitignore", "/out/\n*.log\n"),
            ("out/model.bin", "1"),
            ("lib/a.log", "1"),
            ("torch/pyvenv.cfg", ""),
            ("torch/bin/python", "1"),
            ("node_modules/x/index.js", "1"),
        ],
    );
    assert_eq!(listed(&lab), "lib/model.py pyproject.toml train.py");
    write(
        &lab,
        &[
            ("out/more.bin", "1"),
            ("runner.toml", "[settings]\njobs = 2\n"),
            ("lib/__pycache__/train.pyc", "1"),
            ("b.log", "1"),
            ("another.toml", "[stages.a]\nkind = 'mix'\n"),
            ("page.html", &format!("<!doctype html>\n{PAGE_MARK}\n")),
            ("figures/curve.svg", &format!("{FIGURE_MARK}\n<svg></svg>\n")),
        ],
    );
    lab.stdout("bundle x.toml --out x.tar", 0);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0, "none of these is code");
    assert_eq!(count(&lab.summary("run x.toml --store elsewhere", 0), "ran"), 1);
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0, "nor is another store");
    lab.write("lib/model.py", "2");
    let reason = lab.plan("x.toml")["list {}"]["reason"].clone();
    assert!(reason.as_str().unwrap().starts_with("`lib/model.py` changed: "), "{reason}");
}

#[test]
fn a_source_is_named_and_not_written_in_its_stage() {
    let lab = Lab::new(&lister("path = '.'").replace("source = 'code'", "source = { path = '.' }"));
    let refused = lab.output("plan x.toml");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(2) && said.contains("is the name of a source, not a table") && said.contains("[sources.code]"),
        "{said}"
    );
}

#[test]
fn what_an_experiment_extends_is_no_code() {
    let lab = Lab::new(&format!("extends = 'parts/base.toml'\n{}", lister("path = '.'")));
    write(&lab, &[("parts/base.toml", "[params]\nn = 1\n"), ("parts/a.py", "")]);
    assert_eq!(listed(&lab), "parts/a.py");
}

#[test]
fn patterns_and_names_choose_files() {
    let lab = Lab::new(&lister(
        "path = '.'\nfiles = ['*.py', 'conf/**/*.yaml', '!conf/local.yaml', 'secret.key']",
    ));
    write(
        &lab,
        &[
            (".gitignore", "secret.key\nold.py\n"),
            ("train.py", ""),
            ("old.py", ""),
            ("lib/a.py", ""),
            ("conf/base.yaml", ""),
            ("conf/deep/more.yaml", ""),
            ("conf/local.yaml", ""),
            ("secret.key", ""),
        ],
    );
    assert_eq!(listed(&lab), "conf/base.yaml conf/deep/more.yaml secret.key train.py");
}

#[test]
fn the_rules_of_folders_above_count() {
    let lab = Lab::new(&lister("path = 'src'"));
    write(&lab, &[(".gitignore", "*.log\n"), ("src/a.py", ""), ("src/a.log", "")]);
    assert_eq!(listed(&lab), "a.py");
    lab.write(".gitignore", "/src/\n");
    assert_eq!(listed(&lab), "a.log a.py", "the folder was named, so it is meant");
}

#[test]
fn words_of_the_command_line_are_files_of_the_source() {
    let lab = Lab::new(&lister("path = '.'").replace("['sh', '-c',", "['sh', 'lib/go.sh', '-c',"));
    write(&lab, &[("lib/go.sh", "ls lib > $RUNNER_OUTPUT_X\n"), ("lib/b.sh", "")]);
    assert_eq!(listed(&lab), "b.sh go.sh");
    lab.write(".gitignore", "go.sh\n");
    assert_eq!(listed(&lab), "b.sh", "a file of its own, beside the source");
}

#[test]
fn the_plan_says_how_many_files_are_in_the_key_and_which_are_large() {
    let lab = Lab::new(&lister("path = '.'"));
    write(&lab, &[("train.py", "1234")]);
    let large = std::fs::File::create(lab.path().join("weights.bin")).unwrap();
    large.set_len(20_000_000).unwrap();
    let text = lab.stdout("plan x.toml", 0);
    assert!(
        text.ends_with(
            "source `code`: 2 files in the key (20.0 MB); large: weights.bin (20.0 MB); `.gitignore`, or `files` of the source, leaves out \
             what is no code\n"
        ),
        "{text}"
    );
    let json: Value = serde_json::from_str(&lab.stdout("plan x.toml --json", 0)).unwrap();
    insta::assert_json_snapshot!(json["sources"], @r#"
    [
      {
        "bytes": 20000004,
        "files": 2,
        "large": [
          {
            "bytes": 20000000,
            "name": "weights.bin"
          }
        ],
        "name": "code"
      }
    ]
    "#);
}

#[test]
fn files_of_any_kind_are_imported_as_they_are() {
    let text = "[sources.images]\npath = 'SOURCE'\n[stages.images]\nkind = 'import'\ntype = 'file'\nsource = 'images'\n\
                [stages.see]\nkind = 'command'\ninputs = { i = 'images' }\noutputs = { x = 'file' }\n\
                run = ['sh', '-c', '(cd $RUNNER_INPUT_I 2> /dev/null && find . -type f | sort || cat $RUNNER_INPUT_I) > $RUNNER_OUTPUT_X']\n";
    let lab = Lab::new(&text.replace("SOURCE", "images"));
    write(
        &lab,
        &[
            ("images/a.png", "1"),
            ("images/in/b.png", "2"),
            ("images/.hidden", "3"),
            ("one.bin", "four"),
        ],
    );
    let seen = |lab: &Lab| {
        lab.summary("run x.toml", 0);
        let path = lab.stdout("get x.toml see", 0);
        std::fs::read_to_string(path.trim()).unwrap()
    };
    assert_eq!(seen(&lab), "./a.png\n./in/b.png\n");
    lab.write("x.toml", &text.replace("SOURCE", "one.bin"));
    assert_eq!(seen(&lab), "four");
    // The name of one file is not in the key, nor is its mode.
    std::fs::rename(lab.path().join("one.bin"), lab.path().join("two.bin")).unwrap();
    lab.write("x.toml", &text.replace("SOURCE", "two.bin"));
    assert_eq!(count(&lab.summary("run x.toml", 0), "ran"), 0);
    std::fs::rename(lab.path().join("images/a.png"), lab.path().join("images/c.png")).unwrap();
    lab.write("x.toml", &text.replace("SOURCE", "images"));
    assert_eq!(seen(&lab), "./c.png\n./in/b.png\n");
}
