//! `runner accept`: a person says that the outputs of an earlier stage stand for its new key.

use std::collections::BTreeSet;

use petgraph::graph::NodeIndex;
use serde_json::json;

use super::experiment::{ExecutionArgs, ExperimentArgs, shell_word};
use super::session::StoreUse;
use super::sources::SourceAccess;
use super::{CliError, Exit, Session, signing_key, user};
use lab::fingerprint::FingerprintChange;
use lab::hash::Digest;
use lab::plan::{AcceptableRecord, Plan, Resolver, Selection, StageState};
use lab::text::stages;

/// Keep the outputs of stages whose program changed without changing what it does: a comment, another name for a variable
///
/// Files, the environment and the version of the kind may differ from those of the run that made the outputs; params, seeds and inputs may
/// not. The claim stays in this store: it is never sent to a remote. Reports mark the numbers that rest on it.
#[derive(Clone, Debug, clap::Args)]
pub struct AcceptArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// The stages: `fit`, `standard[2]`, `score*`
    #[arg(value_name = "STAGE", required = true)]
    pub stages: Vec<String>,

    /// Only variants with this value of the axis; may be repeated
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = super::selection::coordinate)]
    pub variants: Vec<(String, String)>,

    /// Why the change does not matter
    #[arg(long, value_name = "TEXT", required_unless_present = "undo", conflicts_with = "undo")]
    pub why: Option<String>,

    /// Take it back: the stages run again
    #[arg(long)]
    pub undo: bool,

    /// Print JSON: a list of `{"stage", "variant", "key", "ran", "changes"}`
    #[arg(long)]
    pub json: bool,
}

/// A stage whose outputs were accepted, or are no longer.
struct ChangedStage {
    name: lab::event::StageName,
    key: Digest,
    /// The key of the stage that ran.
    ran: Option<Digest>,
    changes: Vec<FingerprintChange>,
}

/// Accepts the outputs of earlier stages, or takes that back.
///
/// # Errors
/// When the experiment is wrong, a stage cannot be accepted, or the store cannot be written.
pub fn accept(args: &AcceptArgs) -> Result<Exit, CliError> {
    let session = Session::open(&args.experiment, &ExecutionArgs::default(), StoreUse::Existing)?;
    let selection = Selection {
        stages: args.stages.clone(),
        variants: args.variants.clone(),
    };
    let targets = selection.targets(&session.dag)?;
    let acceptor = Acceptor::new(args, session, targets)?;
    let changed = if args.undo { acceptor.undo()? } else { acceptor.accept()? };
    if args.json {
        return super::print_json(&changed.iter().map(as_json).collect());
    }
    let mut text = String::new();
    for stage in &changed {
        text += &format!("{}: {}\n", stage.name, listed(&stage.changes));
    }
    let again = again(args);
    text += &match (args.undo, changed.len()) {
        (true, 0) => "nothing to take back: no selected stage has accepted outputs\n".to_owned(),
        (true, count) => format!("took back {}; they run again\n", stages(count)),
        (false, 0) => "nothing to accept: the selected stages are in the store\n".to_owned(),
        (false, count) => format!("accepted {}; `{again} --undo` takes it back\n", stages(count)),
    };
    super::print(&text)
}

/// The same command for the same stages, without what it does with them.
fn again(args: &AcceptArgs) -> String {
    let mut words = vec![args.experiment.command("accept")];
    words.extend(args.stages.iter().map(|stage| shell_word(stage)));
    let variants = args.variants.iter();
    words.extend(variants.map(|(axis, value)| format!("--variant {}", shell_word(&format!("{axis}={value}")))));
    words.join(" ")
}

fn as_json(stage: &ChangedStage) -> serde_json::Value {
    json!({
        "stage": stage.name.name, "variant": stage.name.variant, "key": stage.key, "ran": stage.ran,
        "changes": stage.changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn listed(changes: &[FingerprintChange]) -> String {
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    changes.join(", ")
}

/// Accepts the stages of one experiment.
struct Acceptor<'a> {
    args: &'a AcceptArgs,
    session: Session,
    targets: BTreeSet<NodeIndex>,
    signing_key: Option<lab::store::SecretKey>,
}

impl<'a> Acceptor<'a> {
    fn new(args: &'a AcceptArgs, session: Session, targets: BTreeSet<NodeIndex>) -> Result<Self, CliError> {
        let signing_key = signing_key::own_key(&session.settings)?;
        Ok(Self {
            args,
            session,
            targets,
            signing_key,
        })
    }

    /// Accepts all selected stages that would have to run. A stage whose inputs were not known is looked at again when those before it
    /// are accepted. Nothing is written unless all can be.
    fn accept(self) -> Result<Vec<ChangedStage>, CliError> {
        let Session {
            store,
            settings,
            mut dag,
            strict,
            remotes,
            ..
        } = self.session;
        let (contents, _) = SourceAccess::new(&settings).look_up(&dag, &store);
        let at = jiff::Timestamp::now().as_second().cast_unsigned();
        let (by, why) = (user::user_name(), self.args.why.as_deref().unwrap_or_default());
        if why.trim().is_empty() {
            return Err(CliError::Usage("`--why` is empty: say why the change does not matter".to_owned()));
        }
        let (mut changed, mut written): (Vec<ChangedStage>, Vec<Digest>) = (Vec::new(), Vec::new());
        let undo = |written: &[Digest]| written.iter().for_each(|key| drop(store.undo_acceptance(key)));
        loop {
            let resolver = Resolver::new(&store, strict.clone()).knowing(contents.clone()).asking(&remotes);
            let plan = resolver.plan(dag, &self.targets)?;
            let open = plan.to_run().filter(|(index, _, _)| self.targets.contains(index));
            let (ready, waiting): (Vec<_>, Vec<_>) = open.partition(|(_, _, entry)| entry.state == StageState::Run);
            if ready.is_empty() {
                let Some((index, node, _)) = waiting.first() else {
                    return Ok(changed);
                };
                undo(&written);
                return Err(CliError::Usage(format!(
                    "`{}` uses the output of `{}`, which has to run first, or to be accepted, too",
                    node.name,
                    first_open(&plan, *index)
                )));
            }
            for (_, node, _) in ready {
                let known = |from: NodeIndex| Some(&plan.entries[from.index()].outputs);
                let Some(now) = resolver.fingerprint(node, known) else { continue };
                let (record, changes) = match resolver.acceptable(node, &now)? {
                    AcceptableRecord::Found(record, changes) => (record, changes),
                    refused => {
                        undo(&written);
                        return Err(CliError::Usage(refusal(&node.name.to_string(), &refused)));
                    }
                };
                let mut accepted = record.accepted_for(now, why, &by, at);
                if let Some(key) = &self.signing_key {
                    accepted.sign(key);
                }
                let key = accepted.fingerprint.key();
                store.write_record(&accepted)?;
                written.push(key);
                changed.push(ChangedStage {
                    name: node.name.clone(),
                    key,
                    ran: Some(record.fingerprint.key()),
                    changes,
                });
            }
            dag = plan.dag;
        }
    }

    /// Removes the accepted records of all selected stages.
    fn undo(self) -> Result<Vec<ChangedStage>, CliError> {
        let targets = self.targets;
        let resolved = self.session.resolve(&targets)?;
        let mut changed = Vec::new();
        for (_, node, entry) in resolved.plan.stages().filter(|(index, _, _)| targets.contains(index)) {
            let Some(key) = entry.key else { continue };
            let record = resolved.store.record(&key)?;
            if !resolved.store.undo_acceptance(&key)? {
                continue;
            }
            let ran = record.and_then(|record| Some((record.fingerprint, record.accepted?.ran)));
            changed.push(ChangedStage {
                name: node.name.clone(),
                key,
                ran: ran.as_ref().map(|(_, ran)| ran.key()),
                changes: ran.map(|(now, ran)| FingerprintChange::between(&ran, &now)).unwrap_or_default(),
            });
        }
        Ok(changed)
    }
}

/// The name of the first stage before this one that is not in the store.
fn first_open(plan: &Plan, index: NodeIndex) -> String {
    let mut links = plan.dag.graph[index].inputs.values().flatten();
    let open = links.find(|link| plan.entries[link.from.index()].state != StageState::Hit);
    open.map_or_else(String::new, |link| plan.dag.graph[link.from].name.to_string())
}

/// Why the outputs of an earlier stage cannot be accepted.
fn refusal(name: &str, refused: &AcceptableRecord<'_>) -> String {
    match refused {
        AcceptableRecord::OtherChanges(changes) => format!(
            "`{name}` cannot be accepted: it computes something else ({}); only files, the environment and the version of the kind may differ",
            listed(changes)
        ),
        AcceptableRecord::OutputsGone => format!("`{name}` cannot be accepted: its earlier outputs are not in the store any more"),
        AcceptableRecord::None | AcceptableRecord::Found(..) => {
            format!("`{name}` cannot be accepted: it has not run before in this store, so there are no outputs to keep")
        }
    }
}
