//! Files that import each other: none do, but where one is a special case of the other, or two types hold each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::architecture::{ROOT, is_test, sources, without_tests};

/// The names that lead to a module from the root of its wing.
type ModulePath = Vec<String>;

/// What may import each other.
const ALLOWED: [(&str, [&str; 2]); 2] = [
    // The product of matrices with the instructions of AMX.
    ("learn", ["engine/cpu/kernel/amx", "engine/cpu/kernel/product"]),
    // A map of values, of which one may be a map.
    ("kinds", ["metrics/map", "metrics/value"]),
];

/// The modules of a wing, each with the paths that its file imports or names, and the last name of each.
struct Wing(BTreeMap<ModulePath, Vec<(ModulePath, String)>>);

impl Wing {
    fn read(wing: &str) -> Self {
        let root = format!("{ROOT}/src/{wing}");
        let files = sources(Path::new(&root)).into_iter().filter(|path| !is_test(path));
        let module = |path: &Path| {
            let inside = path.strip_prefix(&root).unwrap().with_extension("");
            let mut names: ModulePath = inside.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
            names.pop_if(|last| last == "mod" || last == "lib");
            names
        };
        let modules = files.map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (module(&path), paths(without_tests(&text)))
        });
        Self(modules.collect())
    }

    /// The file in which what `path` names is written, as seen from `module`; `None` for what is of another package.
    fn resolve(&self, module: &ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            // The program is a package of its own, in which the wing `cli` is a module.
            "crate" => (Vec::new(), path[1..].strip_prefix(&["cli".to_owned()]).unwrap_or(&path[1..])),
            "super" => {
                let up = path.iter().take_while(|name| *name == "super").count();
                (module[..module.len().checked_sub(up)?].to_vec(), &path[up..])
            }
            "self" => (module.clone(), &path[1..]),
            name => (self.0.contains_key(&child(module, name)).then(|| module.clone())?, path),
        };
        while let Some((name, further)) = rest.split_first()
            && self.0.contains_key(&child(&at, name))
        {
            at.push(name.clone());
            rest = further;
        }
        let imports = self.0.get(&at)?;
        // What another file exports is written there.
        let exported = rest.first().filter(|_| depth < 6).and_then(|name| {
            let mut same = imports.iter().filter(|(_, last)| last == name);
            same.find_map(|(path, _)| self.resolve(&at, path, depth + 1))
        });
        Some(exported.unwrap_or(at))
    }

    /// The files that the file of a module imports, but for those that it is a part of and those that are parts of it.
    fn imports(&self, module: &ModulePath) -> BTreeSet<ModulePath> {
        let found = self.0[module].iter().filter_map(|(path, _)| self.resolve(module, path, 0));
        found
            .filter(|other| !other.starts_with(module) && !module.starts_with(other))
            .collect()
    }

    /// The groups of files in which each leads to each other by imports.
    fn circles(&self) -> BTreeSet<BTreeSet<String>> {
        let imports: BTreeMap<&ModulePath, BTreeSet<ModulePath>> = self.0.keys().map(|module| (module, self.imports(module))).collect();
        let reached = |from: &ModulePath| {
            let (mut reached, mut open) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(module) = open.pop() {
                open.extend(imports[&module].iter().filter(|next| reached.insert((*next).clone())).cloned());
            }
            reached
        };
        let reached: BTreeMap<&ModulePath, BTreeSet<ModulePath>> = self.0.keys().map(|module| (module, reached(module))).collect();
        let in_circles = self.0.keys().filter(|module| reached[module].contains(*module));
        let circle = |module: &ModulePath| {
            let others = reached[module].iter().filter(|other| reached[other].contains(module));
            others.map(|other| other.join("/")).collect()
        };
        in_circles.map(circle).collect()
    }
}

fn child(module: &ModulePath, name: &str) -> ModulePath {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// The paths in a text: those of its imports, one for each name, and those that begin with `crate` or `super` elsewhere.
fn paths(text: &str) -> Vec<(ModulePath, String)> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let (mut found, mut elsewhere) = (Vec::new(), String::new());
    let mut rest = code.as_str();
    while let Some(at) = rest.find("use ") {
        elsewhere += &rest[..at];
        let begins = at == 0 || rest[..at].ends_with(|c: char| c.is_whitespace());
        let end = if begins {
            rest[at..].find(';').unwrap_or(rest.len() - at)
        } else {
            3
        };
        if begins {
            let tree: String = rest[at + 4..at + end].split_whitespace().collect::<Vec<_>>().join(" ");
            found.extend(expanded(&tree));
        }
        rest = &rest[at + end..];
    }
    elsewhere += rest;
    for root in ["crate::", "super::"] {
        for (at, _) in elsewhere.match_indices(root) {
            let path = elsewhere[at..]
                .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .next();
            let names = split(path.unwrap_or_default());
            found.push((names, String::new()));
        }
    }
    found
}

/// The paths of `a::{b, c::{d as e}}`: `a::b` and `a::c::d`, which is called `e`.
fn expanded(tree: &str) -> Vec<(ModulePath, String)> {
    let Some((before, list)) = tree.trim().split_once('{') else {
        let (path, name) = tree
            .trim()
            .split_once(" as ")
            .unwrap_or((tree.trim(), tree.rsplit("::").next().unwrap_or_default()));
        return vec![(split(path), name.trim().to_owned())];
    };
    let list = list.trim_end().strip_suffix('}').unwrap_or(list);
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, character) in list.char_indices().chain([(list.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !list[start..at].trim().is_empty() {
                    found.extend(expanded(&format!("{before}{}", list[start..at].trim())));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn split(path: &str) -> ModulePath {
    path.split("::")
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn no_files_import_each_other() {
    let mut found = BTreeSet::new();
    for wing in ["lab", "learn", "kinds", "report", "cli"] {
        let circles = Wing::read(wing).circles();
        found.extend(circles.into_iter().map(|circle| (wing, circle)));
    }
    let allowed = ALLOWED.map(|(wing, files)| (wing, files.map(str::to_owned).into()));
    assert_eq!(found, BTreeSet::from(allowed));
}

#[test]
fn imports_are_expanded_and_followed_to_their_files() {
    let names = |text: &str| {
        let paths = paths(text).into_iter().map(|(path, name)| format!("{} {name}", path.join("::")));
        paths.collect::<Vec<_>>()
    };
    let text = "use super::{a::A, b::{self, C as D}};\n// use super::x;\nfn f() { super::c::g(); }";
    assert_eq!(
        names(text),
        ["super::a::A A", "super::b::self self", "super::b::C D", "super::c::g "]
    );
    let module = |name: &str, text: &str| (split(name), paths(text));
    let wing = Wing(BTreeMap::from([
        module("m", "pub use one::One;"),
        module("m::one", "use super::two::Two;"),
        module("m::two", "use super::One;"),
        module("m::three", "use crate::m::Two;"),
    ]));
    let circle = ["m/one", "m/two"].map(str::to_owned);
    assert_eq!(wing.circles(), BTreeSet::from([circle.into()]));
}
