//! Which environment variables a program gets. This is the one place that decides it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;

use serde::{Serialize, Serializer};

use super::container::binds;
use super::{CommandStage, Environment};
use crate::command::program::DEFAULT_PATH;
use crate::command::work_folder::WorkFolder;
use lab::config::ParamError;
use lab::stage::{Caller, ProgramText, StageContext, StageError, failed};

/// Variables that say which environment is active in the caller's shell: for programs without one that says how they are started.
const ACTIVE: [&str; 3] = ["VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"];

/// Variables that say which devices a program may use. In `env` they do not enter the key: which device it was changes no result that
/// counts.
const DEVICES: [&str; 9] = [
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ZE_AFFINITY_MASK",
    "ONEAPI_DEVICE_SELECTOR",
    "ASCEND_RT_VISIBLE_DEVICES",
];

/// Variables that say where this machine has its libraries, its way into the network, and its language.
const MACHINE: [&str; 27] = [
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "CUDA_HOME",
    "CUDA_PATH",
    "ROCM_PATH",
    "HIP_PATH",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
];

/// Variables that say where this machine and user have environments, interpreters and images: what starts programs looks there, and what
/// prepares an environment does.
const INSTALLATIONS: [&str; 22] = [
    "APPTAINER_BIND",
    "APPTAINER_BINDPATH",
    "APPTAINER_CACHEDIR",
    "CONDARC",
    "CONDA_ENVS_DIRS",
    "CONDA_ENVS_PATH",
    "CONDA_PKGS_DIRS",
    "MAMBA_ROOT_PREFIX",
    "PIXI_HOME",
    "POETRY_CACHE_DIR",
    "POETRY_CONFIG_DIR",
    "POETRY_VIRTUALENVS_IN_PROJECT",
    "POETRY_VIRTUALENVS_PATH",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "SINGULARITY_BIND",
    "SINGULARITY_BINDPATH",
    "SINGULARITY_CACHEDIR",
    "UV_CACHE_DIR",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_PYTHON_INSTALL_DIR",
];

/// Where compilers and hubs keep what they make or download, and the folder of each in that of the caller.
const CACHES: [(&str, &str); 8] = [
    ("CUDA_CACHE_PATH", "cuda"),
    ("HF_HOME", "huggingface"),
    ("MPLCONFIGDIR", "matplotlib"),
    ("NUMBA_CACHE_DIR", "numba"),
    ("TORCHINDUCTOR_CACHE_DIR", "inductor"),
    ("TORCH_HOME", "torch"),
    ("TRITON_CACHE_DIR", "triton"),
    ("VLLM_CACHE_ROOT", "vllm"),
];

/// What keeps programs in a named environment from fetching packages: the head has prepared it.
const NO_FETCHING: [(&str, &str); 4] = [
    ("PIP_NO_INDEX", "1"),
    ("UV_NO_SYNC", "1"),
    ("UV_OFFLINE", "1"),
    ("UV_PYTHON_DOWNLOADS", "never"),
];

/// Whether a variable says which devices a program may use.
pub(super) fn is_device(name: &str) -> bool {
    DEVICES.contains(&name)
}

/// The variables of a stage's `env` that enter the key.
pub(in crate::command) fn keyed_env<S: Serializer>(env: &BTreeMap<String, ProgramText>, serializer: S) -> Result<S::Ok, S::Error> {
    let keyed: BTreeMap<_, _> = env.iter().filter(|(name, _)| !is_device(name)).collect();
    keyed.serialize(serializer)
}

/// Refuses names that are none, and a variable that is said in two ways.
pub(super) fn problem(env: &BTreeMap<String, impl Display>, pass: &[String], secrets: &[String]) -> Result<(), ParamError> {
    let named = env.keys().map(|name| ("env", name));
    let passed = pass.iter().map(|name| ("pass", name));
    let secret = secrets.iter().map(|name| ("secrets", name));
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (field, name) in named.chain(passed).chain(secret) {
        if name.is_empty() || name.contains(['=', '\0']) || name.starts_with("RUNNER_") {
            let message = format!("`{name}` cannot be set: a name has no `=`, and names that begin with `RUNNER_` are reserved");
            return Err(ParamError::new(field, message));
        }
        if let Some(other) = seen.insert(name, field).filter(|other| *other != field) {
            let message = format!("`{name}` is in `{other}` too: say once where its value comes from");
            return Err(ParamError::new(field, message));
        }
    }
    match env.iter().find(|(_, value)| value.to_string().contains('\0')) {
        Some((name, _)) => Err(ParamError::new(
            "env",
            format!("`{name}` has a NUL in it (`\\u0000`), which no variable can hold"),
        )),
        None => Ok(()),
    }
}

/// Where programs are searched, as far as it is known before the stage runs: `None` where `PATH` has a placeholder.
pub(in crate::command) fn search_path(stage: &CommandStage, caller: &Caller<'_>) -> Option<String> {
    let said = match stage.env.get("PATH") {
        Some(path) => Some(path.as_text()?.to_owned()),
        None => None,
    };
    Some(path_of(stage, said, caller))
}

/// Where programs are searched: in the environment, then where `env` says, or else where the caller does.
fn path_of(stage: &CommandStage, said: Option<String>, caller: &Caller<'_>) -> String {
    let environment = stage.environment.as_ref();
    let said = said.or_else(|| environment?.env.get("PATH").cloned());
    let path = said.or_else(|| caller.given("PATH")).unwrap_or_else(|| DEFAULT_PATH.to_owned());
    match environment.and_then(Environment::programs) {
        Some(folder) => format!("{}:{path}", folder.display()),
        None => path,
    }
}

/// All variables of a program but its secrets and those that begin with `RUNNER_`. `env` is what the stage sets, filled in.
pub(in crate::command) fn of_program(
    stage: &CommandStage,
    env: BTreeMap<String, String>,
    context: &StageContext<'_>,
    place: &WorkFolder,
) -> BTreeMap<String, String> {
    let caller = &context.caller;
    let path = path_of(stage, env.get("PATH").cloned(), caller);
    let mut variables = from_caller(stage.environment.as_ref(), caller);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let own = [
        ("HOME", text(&place.folder)),
        ("TMPDIR", text(&place.tmp)),
        ("PYTHONUNBUFFERED", "1".to_owned()),
    ];
    variables.extend(own.map(|(name, value)| (name.to_owned(), value)));
    if let Some(environment) = &stage.environment {
        variables.extend(NO_FETCHING.map(|(name, value)| (name.to_owned(), value.to_owned())));
        variables.extend(
            environment
                .virtual_environment()
                .map(|folder| ("VIRTUAL_ENV".to_owned(), text(&folder))),
        );
        variables.extend(passed(&environment.pass, caller));
        variables.extend(environment.env.clone());
    }
    variables.extend(passed(&stage.pass, caller));
    variables.extend(env);
    variables.insert("PATH".to_owned(), path);
    let binds = binds(stage, place, context, |name| variables.get(name).cloned());
    variables.extend(binds);
    variables
}

/// What a program gets of the caller without being asked, and the folders for caches that the caller does not set.
fn from_caller(environment: Option<&Environment>, caller: &Caller<'_>) -> BTreeMap<String, String> {
    let is_active = environment.is_none_or(Environment::is_active);
    let active: &[&str] = if is_active { &ACTIVE } else { &[] };
    let names = MACHINE.iter().chain(&INSTALLATIONS).chain(&DEVICES).chain(active);
    // An empty list of devices means none.
    let mut variables: BTreeMap<String, String> = names
        .filter_map(|name| Some(((*name).to_owned(), (caller.variable)(name)?)))
        .collect();
    for (name, folder) in CACHES {
        let made = || {
            let folder = caller.caches?.join(folder);
            fs::create_dir_all(&folder).ok()?;
            Some(folder.to_string_lossy().into_owned())
        };
        variables.extend(caller.given(name).or_else(made).map(|value| (name.to_owned(), value)));
    }
    variables
}

fn passed(names: &[String], caller: &Caller<'_>) -> Vec<(String, String)> {
    names
        .iter()
        .filter_map(|name| Some((name.clone(), (caller.variable)(name)?)))
        .collect()
}

/// The secrets of a program, with their values.
///
/// # Errors
/// When one is not set.
pub(in crate::command) fn secrets(stage: &CommandStage, caller: &Caller<'_>) -> Result<Vec<(String, String)>, StageError> {
    let value = |name: &str| {
        let value = caller.given(name);
        value.ok_or_else(|| failed(format!("the environment variable `{name}` (`secrets`) is not set")))
    };
    let names = stage.named_secrets().into_iter();
    names
        .map(|secret| Ok((secret.variable.to_owned(), value(secret.variable)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_variable_is_said_once() {
        let said = |env: &[&str], pass: &[&str], secrets: &[&str]| {
            let env = env.iter().map(|&name| (name.to_owned(), String::new())).collect();
            problem(&env, &texts(pass), &texts(secrets)).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
        };
        assert_eq!(said(&["A"], &["B"], &["C"]), "fine");
        assert_eq!(said(&[], &["B", "B"], &[]), "fine");
        assert_eq!(
            said(&["A"], &["A"], &[]),
            "`A` is in `env` too: say once where its value comes from"
        );
        assert_eq!(
            said(&[], &["A"], &["A"]),
            "`A` is in `pass` too: say once where its value comes from"
        );
        assert!(said(&[], &["A=B"], &[]).starts_with("`A=B` cannot be set"));
        assert!(said(&[], &[], &["RUNNER_SEED"]).starts_with("`RUNNER_SEED` cannot be set"));
    }

    #[test]
    fn what_comes_from_the_caller_depends_on_whether_an_environment_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let value = |name: &str| match name {
            "VIRTUAL_ENV" | "LANG" | "UV_PROJECT_ENVIRONMENT" | "CUDA_VISIBLE_DEVICES" | "HF_HOME" | "SECRET" | "PYTHONPATH" => {
                Some(format!("/{name}"))
            }
            _ => None,
        };
        let caller = Caller {
            variable: &value,
            caches: Some(folder.path()),
        };
        let names = |environment: Option<&Environment>| {
            let found = from_caller(environment, &caller);
            let caches = CACHES.map(|(name, _)| name);
            let apart = found.keys().filter(|name| !caches.contains(&name.as_str()) || *name == "HF_HOME");
            apart.cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(None), "CUDA_VISIBLE_DEVICES HF_HOME LANG UV_PROJECT_ENVIRONMENT VIRTUAL_ENV");
        let named = |run: &[&str]| Environment {
            run: texts(run),
            ..Environment::default()
        };
        assert_eq!(
            names(Some(&named(&["uv", "run"]))),
            "CUDA_VISIBLE_DEVICES HF_HOME LANG UV_PROJECT_ENVIRONMENT"
        );
        assert_eq!(names(Some(&named(&["uv", "run", "--active"]))), names(None));
        assert_eq!(names(Some(&Environment::default())), names(None));
        let found = from_caller(None, &caller);
        assert_eq!(found["HF_HOME"], "/HF_HOME");
        assert_eq!(found["TRITON_CACHE_DIR"], folder.path().join("triton").display().to_string());
        assert!(folder.path().join("triton").is_dir() && !folder.path().join("huggingface").exists());
        assert!(from_caller(None, &Caller::NOBODY).is_empty());
    }
}
