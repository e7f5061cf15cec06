//! The GPUs of this machine: those of the setting `gpus`, of `CUDA_VISIBLE_DEVICES`, or of `nvidia-smi`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::CliError;
use lab::config::Settings;
use lab::exec::{Gpu, GpuPool, GpuRequest};
use lab::plan::Plan;

/// The variable that names the GPUs of a process.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// The folder of the locks, among those for temporary files, where the setting does not name one.
const LOCKS: &str = "runner-gpus";

/// The GPUs that the stages of a plan share; none are looked for where no stage asks for one.
///
/// # Errors
/// When the setting or the variable names a device twice, or one that is not there.
pub(super) fn of_plan(plan: &Plan, settings: &Settings) -> Result<Vec<Gpu>, CliError> {
    let asks = plan
        .to_run()
        .any(|(_, node, _)| GpuRequest::of(&node.resources) != GpuRequest::default());
    if !asks {
        return Ok(Vec::new());
    }
    let variables = super::environment::variables();
    let visible = variables.iter().find(|(name, _)| name == VISIBLE).map(|(_, value)| value.as_str());
    let listed = nvidia_smi();
    match (&settings.gpus, visible) {
        (Some(tokens), _) => chosen(tokens.iter().map(String::as_str), &listed, "the setting `gpus`"),
        (None, Some(tokens)) => chosen(visible_tokens(tokens), &listed, VISIBLE),
        (None, None) => Ok(listed),
    }
}

/// The folder of their locks.
pub(super) fn locks(settings: &Settings) -> PathBuf {
    settings.gpu_locks.clone().unwrap_or_else(|| std::env::temp_dir().join(LOCKS))
}

/// A message for each stage to run that can never be given what it asks for.
pub(super) fn refusals(plan: &Plan, gpus: &[Gpu], threads: usize, memory: Option<u64>) -> Vec<String> {
    let pool = GpuPool::new(gpus.to_vec());
    let mut messages = Vec::new();
    for (_, node, _) in plan.to_run() {
        let resources = &node.resources;
        let cores = resources.cores.map(usize::from).filter(|cores| *cores > threads);
        let cores = cores.map(|cores| format!("asks for {cores} cores, and a run may use {threads} (see the setting `threads`)"));
        let asked = resources.memory.filter(|asked| memory.is_some_and(|memory| asked.0 > memory));
        let asked = asked.map(|asked| {
            let all = lab::text::bytes(memory.unwrap_or_default());
            format!("asks for {asked} of memory, and a run may use {all} (see the setting `memory`)")
        });
        let refused = [cores, asked, pool.refusal(GpuRequest::of(resources))];
        let refused = refused.into_iter().flatten();
        messages.extend(refused.map(|why| format!("stage `{}` {why}", node.name)));
    }
    messages
}

/// The devices in a text like `0,2`: those after `-1` do not count, as in CUDA.
fn visible_tokens(text: &str) -> impl Iterator<Item = &str> {
    let tokens = text.split(',').map(str::trim);
    tokens.filter(|token| !token.is_empty()).take_while(|token| *token != "-1")
}

/// The devices of these names. Where `nvidia-smi` lists none, the names are taken as they are.
fn chosen<'t>(tokens: impl Iterator<Item = &'t str>, listed: &[Gpu], from: &str) -> Result<Vec<Gpu>, CliError> {
    let mut gpus: Vec<Gpu> = Vec::new();
    for token in tokens {
        let is_named = |gpu: &&Gpu| gpu.token == token || token.len() > 4 && gpu.id.starts_with(token);
        let found = match listed.iter().find(is_named) {
            Some(gpu) => Gpu {
                token: token.to_owned(),
                ..gpu.clone()
            },
            None if listed.is_empty() => Gpu {
                token: token.to_owned(),
                id: token.to_owned(),
                memory: None,
            },
            None => {
                let known: Vec<&str> = listed.iter().map(|gpu| gpu.token.as_str()).collect();
                let known = known.join(", ");
                return Err(CliError::Usage(format!(
                    "{from} names the GPU `{token}`, which `nvidia-smi` does not list (known: {known})"
                )));
            }
        };
        if gpus.iter().any(|gpu| gpu.id == found.id) {
            return Err(CliError::Usage(format!("{from} names the GPU `{token}` twice")));
        }
        gpus.push(found);
    }
    Ok(gpus)
}

/// The GPUs that `nvidia-smi` lists, with the parts of those that are divided (MIG) in their place; none where there is no such program.
fn nvidia_smi() -> Vec<Gpu> {
    let run = |arguments: &[&str]| {
        let mut command = Command::new("nvidia-smi");
        let output = command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        let text = output.status.success().then_some(output.stdout)?;
        String::from_utf8(text).ok()
    };
    let query = [
        "--query-gpu=index,uuid,memory.total,mig.mode.current",
        "--format=csv,noheader,nounits",
    ];
    let Some(gpus) = run(&query) else { return Vec::new() };
    let divided = gpus.lines().any(|line| line.trim_end().ends_with("Enabled"));
    let parts = divided.then(|| run(&["-L"])).flatten().unwrap_or_default();
    listed(&gpus, &parts)
}

/// The devices in two texts as `nvidia-smi` prints them: `0, GPU-9c1f…, 81559, Disabled` for each GPU, and for those that are divided, from
/// `nvidia-smi -L`, `GPU 0: … (UUID: GPU-9c1f…)` with a line `MIG 1g.10gb Device 0: (UUID: MIG-…)` for each part.
fn listed(gpus: &str, parts: &str) -> Vec<Gpu> {
    let mut found = Vec::new();
    for line in gpus.lines() {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [index, id, mebibytes, mode] = fields.as_slice() else {
            continue;
        };
        if *mode == "Enabled" {
            found.extend(parts_of(id, parts));
        } else {
            found.push(Gpu {
                token: (*index).to_owned(),
                id: (*id).to_owned(),
                memory: mebibytes.parse::<u64>().ok().map(|mebibytes| mebibytes << 20),
            });
        }
    }
    found
}

/// The parts of the GPU with this id.
fn parts_of(id: &str, parts: &str) -> Vec<Gpu> {
    let lines = parts.lines().skip_while(|line| !(line.starts_with("GPU ") && line.contains(id)));
    let own = lines.skip(1).take_while(|line| !line.starts_with("GPU "));
    let part = |line: &str| {
        let id = line.split_once("(UUID: ")?.1.split(')').next()?;
        // `1g.10gb`
        let profile = line.trim().strip_prefix("MIG ")?.split_whitespace().next()?;
        let gigabytes = profile
            .split_once('.')
            .and_then(|(_, size)| size.split("gb").next()?.parse::<u64>().ok());
        Some(Gpu {
            token: id.to_owned(),
            id: id.to_owned(),
            memory: gigabytes.map(|gigabytes| gigabytes << 30),
        })
    };
    own.filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPUS: &str = "0, GPU-aaaa, 81559, Disabled\n1, GPU-bbbb, 81559, Enabled\n2, GPU-cccc, 24564, [N/A]\n";
    const PARTS: &str = "GPU 0: NVIDIA H100 (UUID: GPU-aaaa)\nGPU 1: NVIDIA H100 (UUID: GPU-bbbb)\n  MIG 1g.10gb     Device  0: (UUID: MIG-1111)\n  MIG 3g.40gb     Device  1: (UUID: MIG-2222)\nGPU 2: NVIDIA L4 (UUID: GPU-cccc)\n";

    #[test]
    fn a_divided_gpu_is_replaced_by_its_parts() {
        let found = listed(GPUS, PARTS);
        let short: Vec<(&str, u64)> = found.iter().map(|gpu| (gpu.token.as_str(), gpu.memory.unwrap() >> 20)).collect();
        assert_eq!(short, [("0", 81559), ("MIG-1111", 10240), ("MIG-2222", 40960), ("2", 24564)]);
        assert_eq!(found[0].id, "GPU-aaaa");
        assert!(listed("nonsense\n", "").is_empty());
    }

    #[test]
    fn devices_are_found_by_index_and_by_id_and_named_once() {
        let all = listed(GPUS, PARTS);
        let tokens = |text: &str, listed: &[Gpu]| {
            let gpus = chosen(visible_tokens(text), listed, VISIBLE).map_err(|error| error.render(false))?;
            Ok::<_, String>(gpus.into_iter().map(|gpu| (gpu.token, gpu.id)).collect::<Vec<_>>())
        };
        let pair = |token: &str, id: &str| (token.to_owned(), id.to_owned());
        assert_eq!(
            tokens("2,GPU-aaaa", &all).unwrap(),
            [pair("2", "GPU-cccc"), pair("GPU-aaaa", "GPU-aaaa")]
        );
        assert_eq!(tokens("", &all).unwrap(), []);
        assert_eq!(tokens("0,-1,2", &all).unwrap(), [pair("0", "GPU-aaaa")]);
        assert!(tokens("7", &all).unwrap_err().contains("does not list"));
        assert!(tokens("0,GPU-aaaa", &all).unwrap_err().contains("twice"));
        assert_eq!(
            tokens("5", &[]).unwrap(),
            [pair("5", "5")],
            "without nvidia-smi, names are taken as they are"
        );
    }
}
