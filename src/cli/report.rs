//! `runner report`: the scores of an experiment, as tables, figures and a page.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::environment::path_argument;
use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::selection::SelectionArgs;
use super::session::{Resolved, StoreUse};
use super::warning::warn;
use super::{CliError, Exit, Session};
use lab::plan::{Dag, Plan};
use lab::store::Store;
use lab::text::Paint;
use report::ExperimentReport;
use report::files::{write_figures, write_page};
use report::gather;
use report::layout::{BestRows, LayoutOptions, MetricChoice, ReportLayout, RowOrder};
use report::page::question_in_comment;
use report::part_name::PartName;
use report::request::{PrintedContent, ReportRequest};
use report::scores::Baseline;
use report::table::ReportTable;

/// Print the scores of the evaluations that are in the store
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// The format of the output
    #[arg(long, value_enum, default_value_t)]
    pub format: ReportFormat,

    /// Short for `--format json`
    #[arg(long, conflicts_with_all = ["csv", "format"])]
    pub json: bool,

    /// Short for `--format csv`
    #[arg(long, conflicts_with = "format")]
    pub csv: bool,

    /// Compare with this evaluation, answer by answer: `score[0]`, `score[0] (start=cold)` in another variant, or `(start=cold)` for the same
    /// stage in another variant. The default in an experiment with `[ablate]` is its baseline
    #[arg(long, value_name = "STAGE")]
    pub baseline: Option<Baseline>,

    /// Print this table, or the numbers of this figure; may be repeated. The default is what the experiment `shows`, or else the usual tables
    #[arg(long = "table", value_parser = part_parser(), value_name = "TABLE")]
    pub tables: Vec<PartName>,

    #[command(flatten)]
    pub layout: LayoutArgs,

    /// Write a page with tables, figures, stages and samples
    #[arg(long, value_name = "FILE", value_parser = path_argument())]
    pub html: Option<PathBuf>,

    /// Write the figures as SVG; a build with the cargo feature `png` writes PNG too
    #[arg(long, value_name = "DIR", value_parser = path_argument())]
    pub plots: Option<PathBuf>,
}

/// What the table of metrics shows; each option goes before the field of `[report]` of the same name.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Options of the table of metrics, before those of `[report]`")]
pub struct LayoutArgs {
    /// Show this metric; `*` stands for any text, `loss:lower` says that less is better; may be repeated
    #[arg(long = "metric", value_name = "NAME")]
    pub metrics: Vec<MetricChoice>,

    /// Separate rows by these axes, `stage` or `data`, with commas between; means are over all others
    #[arg(long, value_name = "AXES", value_delimiter = ',')]
    pub rows: Option<Vec<String>>,

    /// Have a column for each value of these axes
    #[arg(long, value_name = "AXES", value_delimiter = ',')]
    pub columns: Option<Vec<String>>,

    /// Sort the rows by an axis or a metric, with `-` before it from high to low
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub order: Option<String>,

    /// Show the best N rows, by the first metric or by another one
    #[arg(long, value_name = "N[:METRIC]")]
    pub best: Option<BestRows>,

    /// Show so many decimals
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=15))]
    pub digits: Option<u8>,

    /// Show 95 % intervals of the means (Student's t) in place of deviations
    #[arg(long)]
    pub interval: bool,
}

impl LayoutArgs {
    fn options(&self) -> LayoutOptions {
        LayoutOptions {
            metrics: self.metrics.clone(),
            rows: self.rows.clone(),
            columns: self.columns.clone(),
            order: self.order.as_deref().map(RowOrder::named),
            best: self.best.clone(),
            digits: self.digits.map(usize::from),
            interval: self.interval,
        }
    }
}

/// Parses the name of a table or figure; the help lists them.
fn part_parser() -> impl TypedValueParser<Value = PartName> {
    let values = PartName::ALL.map(|part| PossibleValue::new(part.as_str()).help(part.description()));
    PossibleValuesParser::new(values).try_map(|name| {
        let named = PartName::ALL.into_iter().find(|part| part.as_str() == name);
        named.ok_or("no such table or figure")
    })
}

/// The format of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// Aligned columns
    #[default]
    Text,
    /// Tables for a README or an issue
    Markdown,
    /// One line per variant, evaluation and data set
    Csv,
    /// The same with all metrics, and the differences to the baseline
    Json,
    /// Tables for a paper, with the package booktabs
    Latex,
}

impl ReportArgs {
    fn format(&self) -> ReportFormat {
        match (self.json, self.csv) {
            (true, _) => ReportFormat::Json,
            (_, true) => ReportFormat::Csv,
            _ => self.format,
        }
    }

    /// Whether the arguments fit together.
    fn validate(&self) -> Result<(), CliError> {
        let wrong = |message: &str| Err(CliError::Usage(message.to_owned()));
        match self.format() {
            ReportFormat::Csv if self.baseline.is_some() => wrong("differences do not fit into CSV's rows; use `--format json`"),
            ReportFormat::Csv | ReportFormat::Json if !self.tables.is_empty() => {
                wrong("`--table` is for text, Markdown and LaTeX: CSV and JSON have no tables")
            }
            ReportFormat::Csv if self.layout.options().is_any() => {
                wrong("CSV has all metrics of every run; use `--format json` for their means")
            }
            _ => Ok(()),
        }
    }

    fn request(&self, layout: ReportLayout) -> ReportRequest {
        let request = ReportRequest {
            selection: self.selection.selection(),
            printed: match self.format() {
                ReportFormat::Text | ReportFormat::Markdown | ReportFormat::Latex => PrintedContent::Tables,
                ReportFormat::Json => PrintedContent::Json,
                ReportFormat::Csv => PrintedContent::Csv,
            },
            tables: self.tables.clone(),
            layout,
            baseline: self.baseline.clone(),
            page: self.html.is_some(),
            plots: self.plots.is_some(),
        };
        request.with_relevant_shows()
    }
}

/// Prints the report, and writes the requested page and figures.
///
/// # Errors
/// When the experiment is wrong, the store is damaged, or a file cannot be written.
pub fn report(args: &ReportArgs, paint: Paint) -> Result<Exit, CliError> {
    args.validate()?;
    let session = Session::open(&args.experiment, &ExecutionArgs::default(), StoreUse::Look)?;
    let layout = session.layout.clone();
    let layout = layout.with_options(args.layout.options(), &axes(&session.dag));
    let request = args.request(layout.map_err(|error| CliError::Usage(error.to_string()))?);
    let Resolved { plan, store, .. } = session.plan_with(&request.selection, |node, output| request.reads(node, output))?;
    let report = ExperimentReport::gather(&request, &plan, &store)?;
    report.warnings().into_iter().for_each(warn);
    let written = write_files(args, &request, &report, &plan, &store)?;
    let text = match args.format() {
        ReportFormat::Json => return super::print_json(&report.json()?),
        ReportFormat::Csv => return super::print_data(&report.data.scores.csv().map_err(CliError::Output)?),
        ReportFormat::Markdown => report.tables(ReportTable::markdown),
        ReportFormat::Latex => report.tables(ReportTable::latex),
        ReportFormat::Text => {
            let mut text = report.text(terminal_width(), paint) + &report.notes(&args.experiment.command("run"));
            if !written.is_empty() {
                text += &format!("\nwrote {}\n", written.join(", "));
            }
            text
        }
    };
    super::print(&text)
}

/// The axes of all variants.
fn axes(dag: &Dag) -> Vec<String> {
    let members = dag.graph.node_weights().flat_map(|node| &node.members);
    let axes: BTreeSet<&String> = members.flat_map(|member| member.variant.keys()).collect();
    axes.into_iter().cloned().collect()
}

/// Writes the requested page and figures, and returns a list of them.
fn write_files(
    args: &ReportArgs,
    request: &ReportRequest,
    report: &ExperimentReport,
    plan: &Plan,
    store: &Store,
) -> Result<Vec<String>, CliError> {
    let (mut written, figures) = (Vec::new(), &report.data.figures);
    if let Some(path) = &args.html {
        let question = question(&args.experiment)?;
        let mut data = gather::page_data(plan, store, &request.selection, report.data.scores.clone(), question)?;
        data.warnings = report.doubts();
        written.push(write_page(path, &data, &report.results(), figures)?);
    }
    if let Some(folder) = &args.plots {
        written.push(write_figures(folder, figures)?);
    }
    Ok(written)
}

/// The question that the experiment asks: its description, or the comment at the top of its file.
pub(super) fn question(experiment: &ExperimentArgs) -> Result<String, CliError> {
    let document = experiment.document(&ExecutionArgs::default())?;
    if let Some(description) = document.tree.get("description").and_then(lab::config::ConfigValue::as_str) {
        return Ok(description.to_owned());
    }
    // The file was just read. If it is gone by now, the page has no question.
    Ok(question_in_comment(&std::fs::read_to_string(&experiment.file).unwrap_or_default()))
}

/// The width of the terminal. A pipe has no limit.
fn terminal_width() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(usize::MAX, |(width, _)| usize::from(width.0))
}
