//! Containers: what starts them mounts folders, which no program in a sandbox may do.

use std::path::Path;

use crate::command::CommandStage;
use crate::command::work_folder::WorkFolder;
use lab::config::SandboxMode;
use lab::stage::{Argument, StageContext};

/// Programs that mount the folders of a container themselves. `docker` is none: it asks a service.
const CONTAINERS: [&str; 6] = ["apptainer", "bwrap", "ch-run", "enroot", "podman", "singularity"];

/// Variables that name folders of the machine which are seen in a container too, separated by commas.
const BINDS: [&str; 2] = ["APPTAINER_BIND", "SINGULARITY_BIND"];

/// What cannot be a part of such a folder's path: it separates paths.
const SEPARATORS: [char; 2] = [',', ':'];

/// The name of the program that starts a container for the stage, if one does: its environment's, or its own.
pub(in crate::command) fn container(stage: &CommandStage) -> Option<&str> {
    let of_environment = stage.environment.as_ref().and_then(|environment| environment.launcher());
    let own = || match stage.run.first() {
        Some(Argument::Text(word)) => Some(word.as_str()),
        _ => None,
    };
    let name = Path::new(of_environment.or_else(own)?).file_name()?.to_str()?;
    CONTAINERS.contains(&name).then_some(name)
}

/// Why `sandbox = "reads"` cannot be kept for the stage; `None` where it can, or is not asked for.
pub(in crate::command) fn unheld(stage: &CommandStage, sandbox: SandboxMode) -> Option<String> {
    let name = container(stage).filter(|_| sandbox == SandboxMode::Reads)?;
    Some(format!(
        "`{name}` starts a container, whose reads cannot be limited: set `sandbox = \"writes\"`, with which it runs without a sandbox"
    ))
}

/// The variables that bring the program's folders into its container, beside what `said` has for them.
pub(super) fn binds(
    stage: &CommandStage,
    place: &WorkFolder,
    context: &StageContext<'_>,
    said: impl Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    if container(stage).is_none() {
        return Vec::new();
    }
    let folders = [place.folder.parent(), Some(context.outputs)].into_iter().flatten();
    let texts = folders.map(|folder| folder.to_string_lossy().into_owned());
    let own: Vec<String> = texts.filter(|text| !text.contains(SEPARATORS)).collect();
    let bind = |name: &str| {
        let said = said(name).filter(|said| !said.is_empty());
        let all: Vec<String> = said.into_iter().chain(own.iter().cloned()).collect();
        (name.to_owned(), all.join(","))
    };
    BINDS.map(bind).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(run: &str, environment: Option<&str>) -> CommandStage {
        let mut params = serde_json::json!({"run": [run, "x"], "outputs": {"o": "file"}});
        if let Some(run) = environment {
            let words: Vec<&str> = run.split(' ').collect();
            params["environment"] = serde_json::json!({"run": words});
        }
        serde_json::from_value(params).unwrap()
    }

    #[test]
    fn containers_are_known_by_what_starts_them() {
        let is = |run: &str, environment: Option<&str>| container(&stage(run, environment)).map(str::to_owned);
        assert_eq!(is("python3", Some("apptainer exec x.sif")).as_deref(), Some("apptainer"));
        assert_eq!(
            is("python3", Some("/opt/bin/singularity exec x.sif python")).as_deref(),
            Some("singularity")
        );
        assert_eq!(is("podman", None).as_deref(), Some("podman"));
        assert_eq!(is("apptainer", Some("uv run")), None);
        assert_eq!(is("python3", Some(".venv/bin/python")), None);
        assert_eq!(is("docker", None), None);
        assert!(unheld(&stage("podman", None), SandboxMode::Reads).is_some_and(|problem| problem.contains("`podman`")));
        assert_eq!(unheld(&stage("podman", None), SandboxMode::Writes), None);
        assert_eq!(unheld(&stage("python3", None), SandboxMode::Reads), None);
    }
}
