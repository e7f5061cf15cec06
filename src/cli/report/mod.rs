//! `runner report`: the scores of an experiment, as tables, figures and a page.

mod answers;
pub(in crate::cli) mod collect;
mod exhibits;
mod gather;
mod phase;
mod question;
mod samples;
mod stages;
mod write;

pub use exhibits::Exhibit;

use std::path::PathBuf;

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::selection::Selection;
use super::session::Resolved;
use super::{Exit, Failed, Session};
use crate::config::ablate::{AXIS, BASELINE};
use crate::event::StageName;
use crate::plan::{Dag, Node};
use crate::report::Paint;
use crate::report::figure::figures;
use crate::report::findings::Kept;
use crate::report::page::Shown;
use crate::report::scores::{Baseline, Scores};
use crate::report::sheet::Sheet;
use crate::stage::{Output, PortType};
use exhibits::Exhibits;

/// Print the scores of the evaluations that are in the store
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    #[command(flatten)]
    pub selection: Selection,

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
    #[arg(long = "table", value_enum, value_name = "TABLE")]
    pub tables: Vec<Exhibit>,

    /// Write a page with tables, figures, stages and samples
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Write the figures as SVG and PNG
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
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

    /// Whether an output of a stage is read for what is asked for: then it must be here. Curves are drawn of the models that are here.
    fn reads(&self, wanted: &[Exhibit], node: &Node, output: &Output) -> bool {
        let scores_alone = self.format() == Format::Csv && !self.writes_files();
        match output.port {
            PortType::Metrics => true,
            PortType::Answers => !scores_alone,
            PortType::Dataset => !scores_alone && (node.kind.name == "filter" || self.writes_files() || wanted.contains(&Exhibit::Data)),
            PortType::Model | PortType::File => false,
        }
    }

    /// The tables to be printed, where these are not the usual ones: what is asked for, or what the experiment shows.
    fn wanted(&self, shows: &[Exhibit]) -> Vec<Exhibit> {
        if !self.tables.is_empty() || matches!(self.format(), Format::Csv | Format::Json) {
            return self.tables.clone();
        }
        let mut wanted = shows.to_vec();
        if !wanted.is_empty() && self.baseline.is_some() && !wanted.contains(&Exhibit::Differences) {
            wanted.push(Exhibit::Differences);
        }
        wanted
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
pub fn report(args: &ReportArgs, paint: Paint) -> Result<Exit, Failed> {
    check(args)?;
    let session = Session::open(&args.experiment, &ExecutionArgs::default())?;
    let shows = session.shows.clone();
    let wanted = args.wanted(&shows);
    let Resolved { plan, store, .. } = session.plan_with(&args.selection, |node, output| args.reads(&wanted, node, output))?;
    let baseline = args.baseline(&plan.dag);
    let with_answers = baseline.is_some() || args.writes_files() || wanted.contains(&Exhibit::Steps);
    let scores = collect::scores(&plan, &store, &args.selection, with_answers)?;
    // One that nobody asked for may not be selected.
    let baseline = baseline.filter(|baseline| args.baseline.is_some() || scores.has(baseline));
    // CSV has the scores alone: then no filter's answers need be read and judged.
    let kept = if args.format() == Format::Csv && !args.writes_files() {
        Vec::new()
    } else {
        gather::kept(&plan, &store, &args.selection)?
    };
    let stages = if scores.scores.is_empty() || wanted.contains(&Exhibit::Data) {
        stages::stages(&plan, &store)?
    } else {
        Vec::new()
    };
    let figures = if args.writes_files() || wanted.iter().any(|exhibit| exhibit.is_figure()) {
        figures(&scores, &kept, &gather::curves(&plan, &store, &args.selection)?)
    } else {
        Vec::new()
    };
    let exhibits = Exhibits {
        scores: &scores,
        baseline: baseline.as_ref(),
        kept: &kept,
        stages: &stages,
        figures: &figures,
    };
    // The page has the usual tables too.
    let others: Vec<Exhibit> = exhibits.usual().iter().copied().filter(|usual| !shows.contains(usual)).collect();
    let results = exhibits.there(&[shows, others.clone()].concat())?;
    if results.is_empty() {
        return Err(Failed::Usage(format!(
            "no stage of `{}` that is selected gives metrics (kinds `eval` and `measure`), and no data set is there yet",
            plan.dag.experiment
        )));
    }
    let mut printed = if args.tables.is_empty() {
        exhibits.there(&wanted)?
    } else {
        exhibits.chosen(&wanted)?
    };
    let more = args.tables.is_empty() && !printed.is_empty();
    if printed.is_empty() {
        printed = exhibits.there(exhibits.usual())?;
    }
    let written = if args.writes_files() {
        let question = question::of(&args.experiment)?;
        let findings = gather::findings(&plan, &store, &args.selection, scores.clone(), question)?;
        write::files(args, &findings, &results, &figures)?
    } else {
        Vec::new()
    };
    let text = match args.format() {
        Format::Json => format!("{}\n", json(&scores, &kept, baseline.as_ref())?),
        Format::Csv => scores.csv(),
        Format::Markdown => sheets(printed, Sheet::markdown),
        Format::Latex => sheets(printed, Sheet::latex),
        Format::Text => {
            let mut text = text(printed, width(), paint);
            if more {
                text += &format!("\nmore with --table: {}\n", exhibits.names(&others)?.join(", "));
            }
            text + &notes(args, &scores, &written)
        }
    };
    super::print(&text)
}

/// Whether the arguments go together.
fn check(args: &ReportArgs) -> Result<(), Failed> {
    let wrong = |message: &str| Err(Failed::Usage(message.to_owned()));
    match args.format() {
        Format::Csv if args.baseline.is_some() => wrong("differences do not fit into CSV's rows; take `--format json`"),
        Format::Csv | Format::Json if !args.tables.is_empty() => {
            wrong("`--table` is for text, Markdown and LaTeX: CSV and JSON have no tables")
        }
        _ => Ok(()),
    }
}

fn json(scores: &Scores, kept: &[Kept], baseline: Option<&Baseline>) -> Result<serde_json::Value, Failed> {
    let mut json = scores.json();
    json["skips"] = kept.iter().map(Kept::json).collect();
    if let Some(baseline) = baseline {
        json["baseline"] = scores.compared_json(baseline).map_err(Failed::Usage)?;
    }
    Ok(json)
}

/// The tables, one after the other, as `format` lays them out.
fn sheets(shown: Vec<Shown>, format: fn(&Sheet) -> String) -> String {
    let texts = shown.into_iter().map(|shown| format(&shown.into_sheet()));
    texts.collect::<Vec<_>>().join("\n")
}

/// The tables with their titles, but for a table at the top: its columns say what it is. What is wider than the terminal stands in parts.
fn text(shown: Vec<Shown>, width: Option<usize>, paint: Paint) -> String {
    let mut text = String::new();
    for (i, shown) in shown.into_iter().enumerate() {
        let titled = i > 0 || matches!(shown, Shown::Figure(_));
        let sheet = shown.into_sheet();
        if titled {
            text += &format!("{}{}\n", if i > 0 { "\n" } else { "" }, sheet.title);
        }
        let parts = match width {
            Some(width) => sheet.parts(width),
            None => vec![sheet],
        };
        let parts = parts.iter().map(|part| part.text(paint));
        text += &parts.collect::<Vec<_>>().join("\n");
    }
    text
}

/// Of the terminal, where there is one.
fn width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width.0))
}

/// What is still to run, and what was written.
fn notes(args: &ReportArgs, scores: &Scores, written: &[String]) -> String {
    let mut text = String::new();
    if let Some(note) = scores.note() {
        text += &format!("\n{note}: {}\n", args.experiment.command("run"));
    }
    if !written.is_empty() {
        text += &format!("\nwrote {}\n", written.join(", "));
    }
    text
}
