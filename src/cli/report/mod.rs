//! `runner report`: the scores of an experiment, as tables, figures and a page.

mod question;
mod write;

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::selection::SelectionArgs;
use super::session::Resolved;
use super::{CliError, Exit, Session};
use lab::config::ablate::{AXIS, BASELINE};
use lab::event::StageName;
use lab::plan::{Dag, Node};
use lab::stage::{Output, PortType};
use lab::text::Paint;
use report::Shown;
use report::exhibits::{Exhibit, Exhibits, Material};
use report::figure::figures;
use report::findings::Kept;
use report::gather::{self, collect, stages};
use report::scores::{Baseline, Scores};
use report::sheet::Sheet;

/// Print the scores of the evaluations that are in the store
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// How the scores are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,

    /// Short for `--format json`
    #[arg(long, conflicts_with_all = ["csv", "format"])]
    pub json: bool,

    /// Short for `--format csv`
    #[arg(long, conflicts_with = "format")]
    pub csv: bool,

    /// Compare with this evaluation, answer by answer: `score[0]`, `score[0] (start=cold)` for one of another variant, `(start=cold)` for
    /// the row's own there. Left out, an experiment with `[ablate]` is compared with its baseline
    #[arg(long, value_name = "STAGE")]
    pub baseline: Option<Baseline>,

    /// Print this table, or the numbers of this figure; may be given several times, in the order wanted. Left out, what the experiment
    /// `shows`, else the usual tables
    #[arg(long = "table", value_parser = exhibit_parser(), value_name = "TABLE")]
    pub tables: Vec<Exhibit>,

    /// Write a page with tables, figures, stages and samples
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Write the figures as SVG and PNG
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
}

/// Reads the name of a table or figure; help lists them.
fn exhibit_parser() -> impl TypedValueParser<Value = Exhibit> {
    let values = Exhibit::ALL.map(|exhibit| PossibleValue::new(exhibit.name()).help(exhibit.about()));
    PossibleValuesParser::new(values).try_map(|name| {
        let named = Exhibit::ALL.into_iter().find(|exhibit| exhibit.name() == name);
        named.ok_or("no such table or figure")
    })
}

/// Formats of the scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns
    #[default]
    Text,
    /// Tables for a README or an issue
    Markdown,
    /// A line for each variant, evaluation and data set
    Csv,
    /// The same with all metrics, and the differences to the baseline
    Json,
    /// Tables for a paper, with the package booktabs
    Latex,
}

impl ReportArgs {
    fn format(&self) -> Format {
        match (self.json, self.csv) {
            (true, _) => Format::Json,
            (_, true) => Format::Csv,
            _ => self.format,
        }
    }

    /// Whether a page or figures are asked for.
    fn writes_files(&self) -> bool {
        self.html.is_some() || self.plots.is_some()
    }

    /// Whether what the experiment shows is wanted: tables of its own choice are for people.
    fn shows(&self) -> bool {
        self.html.is_some() || (self.tables.is_empty() && !matches!(self.format(), Format::Csv | Format::Json))
    }

    /// What is printed: what is asked for; left out, what the experiment shows, with the differences where there is a baseline; where it does
    /// not say, the usual tables.
    fn printed(&self, shows: &[Exhibit], usual: &[Exhibit], differs: bool) -> Vec<Exhibit> {
        match (self.tables.as_slice(), shows) {
            ([], []) => usual.to_vec(),
            ([], shows) => {
                let differences = [Exhibit::Differences]
                    .into_iter()
                    .filter(|exhibit| differs && !shows.contains(exhibit));
                shows.iter().copied().chain(differences).collect()
            }
            (tables, _) => tables.to_vec(),
        }
    }

    /// Whether an output of a stage is read for what is asked for (the sizes of the `data` sets among it): then it must be here. Curves are
    /// drawn of the models that are here.
    fn reads(&self, data: bool, node: &Node, output: &Output) -> bool {
        let scores_alone = self.format() == Format::Csv && !self.writes_files();
        match output.port {
            PortType::Metrics => true,
            PortType::Answers => !scores_alone,
            PortType::Dataset => !scores_alone && (node.kind.name == "filter" || self.writes_files() || data),
            PortType::Model | PortType::File => false,
        }
    }

    /// What is compared with: the baseline asked for, which is one of the ablation's baseline where there is an ablation; left out there,
    /// each row's own.
    fn baseline(&self, dag: &Dag) -> Option<Baseline> {
        let ablates = |member: &StageName| member.variant.get(AXIS).is_some_and(|change| change != BASELINE);
        let ablates = dag.graph.node_weights().flat_map(|node| &node.members).any(ablates);
        match &self.baseline {
            Some(baseline) if ablates => Some(baseline.clone().within(AXIS, BASELINE)),
            Some(baseline) => Some(baseline.clone()),
            None if ablates && self.format() != Format::Csv => Some(Baseline::like(AXIS, BASELINE)),
            None => None,
        }
    }
}

/// Prints the scores, and writes the page and the figures where they are asked for.
///
/// # Errors
/// When the experiment is wrong, the store is damaged, or a file cannot be written.
pub fn report(args: &ReportArgs, paint: Paint) -> Result<Exit, CliError> {
    check(args)?;
    let session = Session::open(&args.experiment, &ExecutionArgs::default())?;
    let shows = if args.shows() { session.shows.clone() } else { Vec::new() };
    let wanted = |exhibit| args.tables.contains(&exhibit) || shows.contains(&exhibit);
    let Resolved { plan, store, .. } = session.plan_with(&args.selection.selection(), |node, output| {
        args.reads(wanted(Exhibit::Data), node, output)
    })?;
    let baseline = args.baseline(&plan.dag);
    let with_answers = baseline.is_some() || args.writes_files() || wanted(Exhibit::Steps);
    let scores = collect::scores(&plan, &store, &args.selection.selection(), with_answers)?;
    // One that nobody asked for may not be selected.
    let baseline = baseline.filter(|baseline| args.baseline.is_some() || scores.has(baseline));
    // CSV has the scores alone: then no filter's answers need be read and judged.
    let kept = if args.format() == Format::Csv && !args.writes_files() {
        Vec::new()
    } else {
        gather::kept(&plan, &store, &args.selection.selection())?
    };
    let stages = if scores.scores.is_empty() || wanted(Exhibit::Data) {
        stages::stages(&plan, &store)?
    } else {
        Vec::new()
    };
    let curves = if args.writes_files() || wanted(Exhibit::Training) {
        gather::curves(&plan, &store, &args.selection.selection())?
    } else {
        Vec::new()
    };
    let figures = if args.writes_files() || args.tables.iter().chain(&shows).any(|exhibit| exhibit.is_figure()) {
        figures(&scores, &kept, &curves)
    } else {
        Vec::new()
    };
    let material = Material {
        scores: &scores,
        baseline: baseline.as_ref(),
        kept: &kept,
        stages: &stages,
        figures: &figures,
    };
    let usual = material.usual();
    let exhibits = Exhibits::of(args.tables.iter().chain(&shows).chain(usual).copied(), &material).map_err(CliError::Usage)?;
    let others = usual.iter().filter(|exhibit| !shows.contains(exhibit));
    let results: Vec<Exhibit> = shows.iter().chain(others).copied().collect();
    if exhibits.among(&results).is_empty() {
        return Err(CliError::Usage(format!(
            "no stage of `{}` that is selected gives metrics (kinds `eval` and `measure`), and no data set is there yet",
            plan.dag.experiment
        )));
    }
    if let Some(nothing) = args.tables.iter().find(|exhibit| exhibits.get(**exhibit).is_none()) {
        return Err(CliError::Usage(nothing.missing().to_owned()));
    }
    let mut printed = args.printed(&shows, usual, baseline.is_some());
    if exhibits.among(&printed).is_empty() {
        printed.extend(usual);
    }
    let written = if args.writes_files() {
        let question = question::of(&args.experiment)?;
        let findings = gather::findings(&plan, &store, &args.selection.selection(), scores.clone(), question)?;
        write::files(args, &findings, &exhibits.among(&results), &figures)?
    } else {
        Vec::new()
    };
    let sheets = |format: fn(&Sheet) -> String| {
        let shown = exhibits.among(&printed).into_iter();
        shown.map(|shown| format(&shown.sheet())).collect::<Vec<_>>().join("\n")
    };
    let text = match args.format() {
        Format::Json => format!("{}\n", json(&scores, &kept, baseline.as_ref())?),
        Format::Csv => scores.csv(),
        Format::Markdown => sheets(Sheet::markdown),
        Format::Latex => sheets(Sheet::latex),
        Format::Text => {
            let tables = tables(&exhibits.among(&printed), width(), paint);
            let others = if args.tables.is_empty() { results } else { Vec::new() };
            tables + &notes(args, &scores, &exhibits, (&printed, &others), &written)
        }
    };
    super::print(&text)
}

/// Whether the arguments go together.
fn check(args: &ReportArgs) -> Result<(), CliError> {
    let wrong = |message: &str| Err(CliError::Usage(message.to_owned()));
    match args.format() {
        Format::Csv if args.baseline.is_some() => wrong("differences do not fit into CSV's rows; take `--format json`"),
        Format::Csv | Format::Json if !args.tables.is_empty() => {
            wrong("`--table` is for text, Markdown and LaTeX: CSV and JSON have no tables")
        }
        _ => Ok(()),
    }
}

fn json(scores: &Scores, kept: &[Kept], baseline: Option<&Baseline>) -> Result<serde_json::Value, CliError> {
    let mut json = scores.json();
    json["skips"] = kept.iter().map(Kept::json).collect();
    if let Some(baseline) = baseline {
        json["baseline"] = scores.compared_json(baseline).map_err(CliError::Usage)?;
    }
    Ok(json)
}

/// The tables with their titles, but for a table at the top: its columns say what it is. What is wider than the terminal stands in parts.
fn tables(shown: &[&Shown], width: usize, paint: Paint) -> String {
    let mut text = String::new();
    for (i, shown) in shown.iter().enumerate() {
        let sheet = shown.sheet();
        if i > 0 {
            text.push('\n');
        }
        match shown {
            Shown::Figure(figure) => text += &format!("{}\n{}\n\n", sheet.title, figure.caption),
            Shown::Table(_) if i > 0 => text += &format!("{}\n", sheet.title),
            Shown::Table(_) => {}
        }
        text += &sheet
            .parts(width)
            .iter()
            .map(|part| part.text(paint))
            .collect::<Vec<_>>()
            .join("\n");
    }
    text
}

/// Of the terminal; a pipe is as wide as it takes.
fn width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(usize::MAX, |(width, _)| usize::from(width.0))
}

/// What is not there yet, what else there is, what is still to run, and what was written.
fn notes(
    args: &ReportArgs,
    scores: &Scores,
    exhibits: &Exhibits,
    (printed, others): (&[Exhibit], &[Exhibit]),
    written: &[String],
) -> String {
    let there = |exhibit: Exhibit| exhibits.get(exhibit).is_some();
    let mut text = String::new();
    let mut say = |what: &str, exhibits: &[Exhibit], which: &dyn Fn(Exhibit) -> bool| {
        let names: Vec<&str> = exhibits
            .iter()
            .filter(|exhibit| which(**exhibit))
            .map(|exhibit| exhibit.name())
            .collect();
        if !names.is_empty() {
            text += &format!("\n{what}: {}\n", names.join(", "));
        }
    };
    say("more with --table", others, &|exhibit| {
        !printed.contains(&exhibit) && there(exhibit)
    });
    say("nothing to show yet", printed, &|exhibit| exhibit.is_figure() && !there(exhibit));
    if let Some(note) = scores.note() {
        text += &format!("\n{note}: {}\n", args.experiment.command("run"));
    }
    if !written.is_empty() {
        text += &format!("\nwrote {}\n", written.join(", "));
    }
    text
}
