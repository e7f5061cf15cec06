//! From text to the DAG.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use lab::plan::Dag;

use crate::table::{build, options, write};

/// A line for each node: name, kind, seed, params, inputs, and in how many variants it is.
fn describe(dag: &Dag) -> String {
    let mut out = String::new();
    for node in dag.graph.node_weights() {
        let _ = write!(out, "{}: {}", node.name, node.kind.name);
        node.seed.iter().for_each(|seed| {
            let _ = write!(out, " seed={seed}");
        });
        let _ = write!(out, " {}", node.stage.params());
        for (port, links) in &node.inputs {
            let from: Vec<String> = links
                .iter()
                .map(|link| format!("{}.{}", dag.graph[link.from].name.name, link.port))
                .collect();
            let _ = write!(out, " {port}=[{}]", from.join(", "));
        }
        let _ = writeln!(out, " x{}", node.members.len());
    }
    out
}

fn dag(text: &str) -> Dag {
    let (_folder, file) = write(text);
    build(&options(&file)).map_err(|rejected| crate::table::draw(&rejected)).unwrap().1
}

#[test]
fn the_loop_becomes_a_dag_in_which_seeds_share_problems() {
    let (experiment, dag) = build(&options(Path::new("tests/it/experiments/addition.toml"))).unwrap();
    assert_eq!(experiment.variants.len(), 3);
    // 1 generate; of each seed 3 mix, 6 train, 2 sample, 2 filter, 3 eval. `sample` does not draw, but its model differs.
    assert_eq!(dag.graph.node_count(), 1 + 3 * 16);
    insta::assert_snapshot!(describe(&dag).lines().take(17).collect::<Vec<_>>().join("\n"));
}

#[test]
fn stages_that_are_equal_are_one_node_whatever_their_names() {
    let dag = dag(r#"
        [matrix]
        start = ["cold", "warm"]
        steps = [1, 2]
        [stages.problems]
        kind = "generate"
        task = "addition"
        start = "{start}"
        [stages.a]
        kind = "train"
        data = "problems.train"
        steps = "{steps}"
        [stages.b]
        kind = "train"
        data = "problems.train"
        steps = 1
        learning_rate = 3e-3
        "#);
    insta::assert_snapshot!(describe(&dag));
}

#[test]
fn the_seed_is_the_stages_own_or_the_variants_or_none() {
    let dag = dag(r#"
        [params]
        seed = 7
        [stages.problems]
        kind = "generate"
        task = "addition"
        [stages.others]
        kind = "generate"
        task = "addition"
        seed = "{seed}"
        [stages.a]
        kind = "train"
        data = "problems.train"
        [stages.b]
        kind = "train"
        data = "problems.train"
        seed = "{seed+1}"
        "#);
    let seeds: Vec<_> = dag.graph.node_weights().map(|node| (node.name.name.as_str(), node.seed)).collect();
    assert_eq!(seeds, [("problems", Some(0)), ("others", Some(7)), ("a", Some(7)), ("b", Some(8))]);
}

#[test]
fn exclude_and_include_change_the_matrix() {
    let (_folder, file) = write(
        r#"
        [matrix]
        seed = [1, 2]
        ask = [[-1], [-1, -2]]
        exclude = [{ seed = 2, ask = [-1] }]
        include = [{ seed = 5, ask = [-3] }, { seed = 1, ask = [-1] }]
        [stages.problems]
        kind = "generate"
        task = "t{seed}"
        "#,
    );
    let (experiment, _) = build(&options(&file)).unwrap();
    let points: Vec<String> = experiment
        .variants
        .iter()
        .map(|variant| {
            let coordinates = variant
                .coordinates
                .iter()
                .map(|(axis, value)| format!("{axis}={}", value.plain_text()));
            coordinates.collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(
        points,
        ["ask=[-1] seed=1", "ask=[-1, -2] seed=1", "ask=[-1, -2] seed=2", "ask=[-3] seed=5"]
    );
}

const ABLATION: &str = r#"
    [params]
    mode = "new"
    steps = 100
    rate = 0.1
    [matrix]
    seed = [1, 2]
    [ablate]
    mode = ["cont"]
    steps = [50, 200]
    slow = { rate = 0.01, steps = 400 }
    [stages.problems]
    kind = "generate"
    task = "addition"
    [stages.mixed]
    kind = "mix"
    full = "problems.train"
    mode = "{mode}"
    [stages.model]
    kind = "train"
    data = "mixed"
    steps = "{steps}"
    learning_rate = "{rate}"
"#;

/// The changes with the steps, rate and mode of each, and how many variants share its model.
fn changes(options: &lab::config::LoadOptions) -> Vec<String> {
    let (_, dag) = build(options).map_err(|rejected| crate::table::draw(&rejected)).unwrap();
    let models = dag.graph.node_weights().filter(|node| node.base == "model" && node.seed == Some(1));
    let change = |node: &lab::plan::Node| {
        let (params, mixed) = (&node.canonical, &dag.graph[node.inputs["data"][0].from].canonical);
        let (steps, rate, mode) = (&params["steps"], &params["learning_rate"], &mixed["mode"]);
        format!("{} {steps} {rate} {mode} x{}", node.name.variant["ablate"], node.members.len())
    };
    models.map(change).collect()
}

#[test]
fn an_ablation_is_the_baseline_and_one_change_at_a_time() {
    let (_folder, file) = write(ABLATION);
    let dag = dag(ABLATION);
    let count = |base: &str| dag.graph.node_weights().filter(|node| node.base == base).count();
    // Two seeds of each; only one change mixes otherwise.
    assert_eq!((count("problems"), count("mixed"), count("model")), (1, 2 * 2, 2 * 5));
    let mut options = options(&file);
    let all = [
        "baseline 100 0.1 \"new\" x1",
        "mode=cont 100 0.1 \"cont\" x1",
        "steps=50 50 0.1 \"new\" x1",
        "steps=200 200 0.1 \"new\" x1",
        "slow 400 0.01 \"new\" x1",
    ];
    assert_eq!(changes(&options), all);
    // The baseline may be set, and so may the changes; an empty list takes some back.
    options.set = ["steps=300", "ablate.steps=[]", "ablate.mode=[]"].map(str::to_owned).into();
    assert_eq!(changes(&options), ["baseline 300 0.1 \"new\" x1", "slow 400 0.01 \"new\" x1"]);
}

#[test]
fn an_extended_file_a_profile_and_a_later_file_change_an_ablation() {
    let (folder, file) = write(ABLATION);
    let more = "extends = 'x.toml'\n[profile.short]\nablate.steps = [50]\n[ablate]\nmode = ['new']\n[params]\nmode = 'cont'\n";
    std::fs::write(folder.path().join("more.toml"), more).unwrap();
    let mut options = options(&file.with_file_name("more.toml"));
    options.profiles = vec!["short".to_owned()];
    let expected = [
        "baseline 100 0.1 \"cont\" x1",
        "mode=new 100 0.1 \"new\" x1",
        "steps=50 50 0.1 \"cont\" x1",
        "slow 400 0.01 \"cont\" x1",
    ];
    assert_eq!(changes(&options), expected);
}

#[test]
fn a_range_in_a_reference_is_a_list_of_references() {
    let inputs = |data: &str| {
        let dag = dag(&format!(
            r#"
            [params]
            last = 2
            [stages.problems]
            kind = "generate"
            task = "addition"
            [stages."part[k]"]
            for.k = "0..=3"
            kind = "train"
            data = "problems.train"
            steps = "{{k}}"
            [stages."sample[k]"]
            for.k = "1..=3"
            kind = "sample"
            model = "part[k]"
            data = "problems.train"
            ask = ["{{k}}"]
            [stages."kept[k]"]
            for.k = "1..=3"
            kind = "filter"
            answers = "sample[k]"
            [stages."score[k]"]
            for.k = "3..=3"
            kind = "eval"
            model = "part[0]"
            data = {data}
            "#
        ));
        let score = dag.graph.node_weights().find(|node| node.base == "score").unwrap();
        let names = score.inputs["data"].iter().map(|link| dag.graph[link.from].name.name.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(inputs(r#""kept[1..=k].data""#), ["kept[1]", "kept[2]", "kept[3]"]);
    assert_eq!(inputs(r#"["problems.train", "kept[k-2..k]"]"#), ["problems", "kept[1]", "kept[2]"]);
    assert_eq!(inputs(r#""kept[ 1 ..= {last} ]""#), ["kept[1]", "kept[2]"]);
}

#[test]
fn an_empty_list_is_an_input_left_out() {
    let mixed = |skips: &str| {
        let dag = dag(&format!(
            "[stages.p]\nkind = 'generate'\ntask = 'addition'\n[stages.mixed]\nkind = 'mix'\nfull = 'p.train'\n{skips}"
        ));
        let mixed = dag.graph.node_weights().find(|node| node.base == "mixed").unwrap();
        mixed.inputs.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(mixed("skips = []"), mixed(""));
    assert_eq!(mixed("skips = 'p.skipped'"), ["full", "skips"]);
}

#[test]
fn a_model_is_a_table_of_the_file_with_the_variants_values() {
    let dag = dag(r#"
        [params]
        half = 16
        [matrix]
        width = [32, 64]
        [models.own]
        width = "{width}"
        layers = 3
        [prompts]
        short = "{question}?"
        [stages.problems]
        kind = "generate"
        task = "addition"
        [stages.a]
        kind = "train"
        data = "problems.train"
        model = "own"
        prompt = "short"
        "#);
    let models: Vec<_> = dag
        .graph
        .node_weights()
        .filter(|node| node.base == "a")
        .map(|node| node.stage.params())
        .collect();
    assert_eq!(models[0]["model"], serde_json::json!({"width": 32, "layers": 3}));
    assert_eq!(models[1]["model"]["width"], 64);
    assert_eq!(models[0]["prompt"], "{question}?");
}

/// An experiment of `count` chained `mix` stages, as one table with a range or as a table each.
fn chain(count: usize, literal: bool) -> String {
    let mut text = "[stages.problems]\nkind = \"generate\"\ntask = \"addition\"\n".to_owned();
    let stage = |header: &str, full: &str| format!("[stages.\"{header}\"]\nkind = \"mix\"\nfull = \"{full}\"\nmode = \"new\"\n");
    text += &stage("m[0]", "problems.train");
    if literal {
        (1..count).for_each(|k| text += &stage(&format!("m[{k}]"), &format!("m[{}]", k - 1)));
    } else {
        text += &stage("m[k]", "m[k-1]");
        text += &format!("for.k = \"1..{count}\"\n");
    }
    text
}

#[test]
fn ten_thousand_stages_in_a_chain_are_built() {
    for literal in [false, true] {
        let dag = dag(&chain(10_000, literal));
        assert_eq!(dag.graph.node_count(), 10_001);
        assert_eq!(dag.graph.edge_count(), 10_000);
    }
}

/// `cargo test --release --test it -- --ignored --nocapture how_long`
#[test]
#[ignore = "a measurement"]
fn how_long_ten_thousand_stages_take() {
    for literal in [false, true] {
        let (_folder, file) = write(&chain(10_000, literal));
        for _ in 0..3 {
            let start = Instant::now();
            let experiment = lab::config::load(&options(&file)).unwrap();
            let loaded = start.elapsed();
            let dag = lab::plan::build(&experiment, crate::table::kinds()).unwrap();
            let report = format!(
                "literal={literal} {} stages: load {loaded:?}, build {:?}",
                dag.graph.node_count(),
                start.elapsed() - loaded
            );
            std::io::Write::write_all(&mut std::io::stderr(), format!("{report}\n").as_bytes()).unwrap();
        }
    }
}

/// The reason why a stage runs is about this stage, not about another that is like it.
#[test]
fn a_stage_that_never_ran_is_not_explained_by_another_one() {
    use crate::lab::Lab;
    let stage = |name: &str, run: &str| {
        format!("[stages.{name}]\nkind = 'command'\nrun = ['sh', '-c', '{run} > $RUNNER_OUTPUT_X']\noutputs = {{ x = 'file' }}\n")
    };
    let lab = Lab::new(&stage("a", "echo 1"));
    lab.write("other.toml", &stage("a", "echo other"));
    let reason = |file: &str, name: &str| {
        let plan = lab.plan(file);
        let stage = plan
            .iter()
            .find(|(found, _)| *found == name)
            .unwrap_or_else(|| panic!("no {name}"))
            .1;
        stage["reason"].as_str().unwrap_or("hit").to_owned()
    };
    lab.summary("run x.toml", 0);
    // Beside the one that ran, and in another experiment.
    lab.write("x.toml", &(stage("a", "echo 1") + &stage("b", "echo 2")));
    assert_eq!(reason("x.toml", "a {}"), "hit");
    assert_eq!(reason("x.toml", "b {}"), "never run");
    assert_eq!(reason("other.toml", "a {}"), "never run");
    // Changed, and renamed with an addition.
    lab.write("x.toml", &stage("a", "echo 3"));
    assert!(reason("x.toml", "a {}").starts_with("param `run` changed: "));
    lab.write("x.toml", &(stage("c", "echo 1") + "env = { A = 'b' }\n"));
    assert_eq!(reason("x.toml", "c {}"), "param `env.A` changed: none → \"b\"");
    // A variant more is not another's change, and one in the place of another is.
    let seeds = |seeds: &str| format!("matrix.seed = {seeds}\n{}", stage("s", "echo $RUNNER_SEED"));
    lab.write("x.toml", &seeds("[1]"));
    lab.summary("run x.toml", 0);
    lab.write("x.toml", &seeds("[1, 2]"));
    assert_eq!(reason("x.toml", "s {\"seed\":\"1\"}"), "hit");
    assert_eq!(reason("x.toml", "s {\"seed\":\"2\"}"), "never run");
    lab.write("x.toml", &seeds("[2]"));
    assert_eq!(reason("x.toml", "s {\"seed\":\"2\"}"), "seed changed: 1 → 2");
}

#[test]
fn every_stage_that_is_asked_for_is_in_a_variant_that_is() {
    let lab = crate::lab::Lab::new(
        "matrix.n = [1, 3]\n[stages.\"s[k]\"]\nfor.k = '0..{n}'\nkind = 'generate'\ntask = 'addition'\ntrain = '{k}'\nstart = 'cold'\n",
    );
    let said = |words: &str| String::from_utf8(lab.output(words).stderr).unwrap();
    assert_eq!(said("plan x.toml s[0] s[2] --variant n=3"), "");
    assert_eq!(said("plan x.toml s[0] s[2]"), "");
    assert_eq!(
        said("plan x.toml s[0] s[2] --variant n=1"),
        "error: no stage `s[2]` in the variants that are asked for\n"
    );
}

#[test]
fn axes_are_ranges_and_a_larger_sample_keeps_the_smaller_one() {
    let text = |n: u32| {
        format!(
            "[matrix]\nrate = {{ log = [1e-4, 1e-2], n = 5 }}\nwidth = {{ linear = [16, 64], n = 4 }}\nseed = '1..=2'\nsample = {{ n = {n} }}\n\
             [stages.s]\nkind = 'train'\ndata = 'p.train'\nlearning_rate = '{{rate}}'\nmodel = {{ width = '{{width}}' }}\nsteps = 1\n\
             [stages.p]\nkind = 'generate'\ntask = 'addition'\ntrain = 3\nstart = 'cold'\n"
        )
    };
    let members = |n: u32| {
        let dag = dag(&text(n));
        assert_eq!(dag.axes, ["rate", "width", "seed"]);
        let trained = dag.graph.node_weights().filter(|node| node.kind.name == "train");
        let names = trained.map(|node| node.name.to_string());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let (few, more) = (members(3), members(7));
    assert_eq!((few.len(), more.len()), (6, 14));
    assert!(few.is_subset(&more), "{few:?} {more:?}");
    assert!(members(20).contains("s (rate=0.00316, seed=2, width=48)"), "{:?}", members(20));
}

#[test]
fn what_is_wrong_with_a_range_or_a_sample_is_said_at_its_place() {
    let lab = crate::lab::Lab::new(
        "[matrix]\nrate = { log = [0, 1], n = 5 }\nsample = { n = 0 }\n[stages.s]\nkind = 'generate'\ntask = 'addition'\ntrain = 3\nstart = 'cold'\n",
    );
    let said = String::from_utf8(lab.output("plan x.toml").stderr).unwrap();
    assert!(
        said.contains("an end of `log` must be above 0, and 0 is not") && said.contains("x.toml:2:"),
        "{said}"
    );
    assert!(said.contains("`n` of `sample` must be a whole number from 1, not 0"), "{said}");
}
