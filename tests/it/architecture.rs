//! Who imports whom: the table in `docs/architecture.md`, held against the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Which modules each module may import, as the document says; `all` allows everything.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let document = std::fs::read_to_string(format!("{ROOT}/docs/architecture.md")).unwrap();
    let lines = document.lines().skip_while(|line| *line != "| module | may import |").skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let imports = cells[2]
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty());
        (cells[1].to_owned(), imports.collect())
    })
    .collect()
}

/// All Rust files under `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// The top-level module that a file in `src/` belongs to.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(format!("{ROOT}/src")).unwrap();
    inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned()
}

/// Tests may use whatever helps: they are no part of what a module depends on.
fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// The text up to the tests at its end.
fn without_tests(text: &str) -> &str {
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

#[test]
fn modules_import_only_what_the_document_allows() {
    let table = table();
    let mut problems = Vec::new();
    for path in sources(&Path::new(ROOT).join("src")) {
        let module = module_of(&path);
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(allowed) = table.get(&module) else {
            problems.push(format!("src/{module} is not in the table"));
            continue;
        };
        if is_test(&path) {
            continue;
        }
        for import in named(without_tests(&std::fs::read_to_string(&path).unwrap())) {
            // What is not a module of the table is a macro or an item of the crate's root.
            let known = table.contains_key(&import);
            if known && import != module && !allowed.contains(&import) && !allowed.contains("all") {
                problems.push(format!("{} imports `{import}`", path.strip_prefix(ROOT).unwrap().display()));
            }
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
    for module in table.keys() {
        let file = format!("{ROOT}/src/{module}.rs");
        assert!(
            Path::new(&file).exists() || Path::new(&format!("{ROOT}/src/{module}/mod.rs")).exists(),
            "{module}"
        );
    }
    // Whatever imports only what was placed can be placed; a cycle can never be.
    let mut placed = BTreeSet::new();
    while let Some(next) = table
        .keys()
        .find(|name| !placed.contains(*name) && free(&table[*name], &placed, table.len()))
    {
        placed.insert(next.clone());
    }
    let rest: Vec<_> = table.keys().filter(|name| !placed.contains(*name)).collect();
    assert!(rest.is_empty(), "these import each other in a circle: {rest:?}");
}

/// Whether all of `imports` are placed; `all` comes last.
fn free(imports: &BTreeSet<String>, placed: &BTreeSet<String>, modules: usize) -> bool {
    imports
        .iter()
        .all(|name| placed.contains(name) || (name == "all" && placed.len() == modules - 1))
}

#[test]
fn imports_are_found_in_every_form() {
    let text =
        "use crate::store::Store;\nuse crate::{event, plan::{Plan, State}, hash::Digest};\n// crate::cli\nlet x = crate::seed::stream();";
    let found: Vec<_> = named(text).into_iter().collect();
    assert_eq!(found, ["event", "hash", "plan", "seed", "store"]);
}
