//! Who imports whom: the tables in `docs/architecture.md`, held against the manifests and the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A module of a wing.
type Module = (String, String);

/// The rows of the table of the document that has these columns, cell by cell.
fn rows(columns: &str) -> Vec<Vec<String>> {
    let document = std::fs::read_to_string(format!("{ROOT}/docs/architecture.md")).unwrap();
    let lines = document.lines().skip_while(|line| *line != columns).skip(2);
    let rows: Vec<Vec<String>> = lines
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "no table {columns}");
    rows
}

/// The names in a cell.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Which modules of its wing each module may import.
fn table() -> BTreeMap<Module, BTreeSet<String>> {
    let rows = rows("| wing | module | may import |").into_iter();
    rows.map(|cells| ((cells[0].clone(), cells[1].clone()), names(&cells[2]))).collect()
}

/// All Rust files under `folder`.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// The modules at the top of a wing.
fn modules(wing: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(format!("{ROOT}/src/{wing}"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let modules = entries.filter(|path| path.is_dir() || path.extension().is_some_and(|end| end == "rs"));
    let names = modules.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| name != "lib").collect()
}

/// The module at the top of its wing that a file belongs to.
fn module_of(wing: &str, path: &Path) -> String {
    let inside = path.strip_prefix(format!("{ROOT}/src/{wing}")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Tests may use whatever helps: they are no part of what a module depends on.
pub fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// The text up to the tests at its end.
pub fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {")
        .and_then(|end| text.get(..end))
        .unwrap_or(text)
}

/// The modules that a text names: in `crate::store::Store`, and in `crate::{event, store::Store}`.
fn named(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let mut modules = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let after = &code[at + "crate::".len()..];
        match after.strip_prefix('{') {
            Some(list) => modules.extend(heads(list)),
            None => modules.extend(identifier(after)),
        }
    }
    modules
}

/// The first names in the parts of `a, b::{c, d}}…`, up to the closing brace.
fn heads(list: &str) -> Vec<String> {
    let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                heads.extend(identifier(list[start..at].trim()));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// What each module with a row imports from its wing; modules without a row are `*`.
fn imports(table: &BTreeMap<Module, BTreeSet<String>>) -> BTreeMap<Module, BTreeMap<String, PathBuf>> {
    let mut found: BTreeMap<Module, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for wing in table.keys().map(|(wing, _)| wing.clone()).collect::<BTreeSet<_>>() {
        let modules = modules(&wing);
        let row = |module: String| {
            let own = (wing.clone(), module);
            if table.contains_key(&own) {
                own
            } else {
                (wing.clone(), "*".to_owned())
            }
        };
        for path in sources(Path::new(&format!("{ROOT}/src/{wing}"))) {
            let module = module_of(&wing, &path);
            if module == "lib" || is_test(&path) {
                continue;
            }
            let from = row(module);
            let imports = found.entry(from.clone()).or_default();
            for import in named(without_tests(&std::fs::read_to_string(&path).unwrap())) {
                // Any other name is an item of the wing's root.
                let to = row(import.clone());
                if modules.contains(&import) && to != from {
                    imports.insert(to.1, path.clone());
                }
            }
        }
    }
    found
}

#[test]
fn wings_use_only_the_wings_that_the_document_allows() {
    let rows = rows("| wing | uses |");
    let wings: BTreeSet<&str> = rows.iter().map(|cells| cells[0].as_str()).filter(|wing| *wing != "cli").collect();
    for cells in &rows {
        let manifest = match cells[0].as_str() {
            "cli" => format!("{ROOT}/Cargo.toml"),
            wing => format!("{ROOT}/src/{wing}/Cargo.toml"),
        };
        let text = std::fs::read_to_string(manifest).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap().keys();
        let used: BTreeSet<String> = dependencies.filter(|name| wings.contains(name.as_str())).cloned().collect();
        assert_eq!(used, names(&cells[1]), "the wings that `{}` uses", cells[0]);
    }
}

#[test]
fn modules_import_what_the_document_allows_and_nothing_is_allowed_in_vain() {
    let table = table();
    let mut problems = Vec::new();
    let found = imports(&table);
    for (module, imports) in &found {
        let Some(allowed) = table.get(module) else {
            let (wing, _) = module;
            problems.push(format!("a module in src/{wing} has no row"));
            continue;
        };
        for (import, path) in imports.iter().filter(|(import, _)| !allowed.contains(*import)) {
            problems.push(format!("{} imports `{import}`", path.strip_prefix(ROOT).unwrap().display()));
        }
    }
    for ((wing, module), allowed) in &table {
        let used = found.get(&(wing.clone(), module.clone())).cloned().unwrap_or_default();
        for import in allowed.iter().filter(|import| !used.contains_key(*import)) {
            problems.push(format!("{wing}/{module} may import `{import}`, and does not"));
        }
    }
    assert!(
        problems.is_empty(),
        "against the table in docs/architecture.md:\n{}",
        problems.join("\n")
    );
}

#[test]
fn the_table_has_no_module_that_is_gone_and_no_cycle() {
    let table = table();
    for (wing, module) in table.keys().filter(|(_, module)| module != "*") {
        assert!(modules(wing).contains(module), "src/{wing}/{module} is gone");
    }
    // A module whose imports are all placed can be placed; a cycle can never be.
    let mut placed = BTreeSet::new();
    while let Some(next) = table.keys().find(|name| !placed.contains(*name) && is_free(name, &table, &placed)) {
        placed.insert(next.clone());
    }
    let rest: Vec<_> = table.keys().filter(|name| !placed.contains(*name)).collect();
    assert!(rest.is_empty(), "these import each other in a circle: {rest:?}");
}

/// Whether everything that a module may import is placed.
fn is_free(module: &Module, table: &BTreeMap<Module, BTreeSet<String>>, placed: &BTreeSet<Module>) -> bool {
    let (wing, _) = module;
    table[module].iter().all(|name| placed.contains(&(wing.clone(), name.clone())))
}

#[test]
fn imports_are_found_in_every_form() {
    let text =
        "use crate::store::Store;\nuse crate::{event, plan::{Plan, State}, hash::Digest};\n// crate::cli\nlet x = crate::seed::stream();";
    let found: Vec<_> = named(text).into_iter().collect();
    assert_eq!(found, ["event", "hash", "plan", "seed", "store"]);
}
