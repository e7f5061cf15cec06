//! The integration tests: one binary, so that it links once. Every file in this folder is a module here.

mod ablations;
mod accepting;
mod adapters;
mod after_a_run;
mod architecture;
mod beginning;
mod browser;
mod bundles;
mod chats;
mod circles;
mod code_sources;
mod command_line;
mod commands;
mod config;
mod configs;
mod dag;
mod endpoint;
mod faults;
mod forecasts;
mod held_out;
mod housekeeping;
mod imports;
mod keys;
mod kinds;
mod lab;
mod looking;
mod losses;
mod model;
mod own_tasks;
mod page;
mod places;
mod pretrained;
mod program_metrics;
mod programs;
mod provenance;
mod readme;
mod reference;
mod remotes;
mod report;
mod reports;
mod require;
mod rerunning;
mod resources;
mod runs;
mod served;
mod served_likelihoods;
mod server;
mod servers;
mod serving;
mod shared_workers;
mod sources;
mod sweep_page;
mod table;
mod taking_out;
mod tasks;
mod terminal;
mod trust;

#[test]
fn no_file_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let main = std::fs::read_to_string(format!("{folder}/main.rs")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        // Snapshots and fixtures are not modules.
        let is_module = path.extension().is_some_and(|end| end == "rs") || path.join("mod.rs").exists();
        if is_module && name != "main" {
            assert!(
                main.contains(&format!("\nmod {name};\n")),
                "tests/it/{name} has no `mod` line in main.rs, so its tests never run"
            );
        }
    }
}
