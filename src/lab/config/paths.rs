//! The paths of an experiment: those of a file are meant from its folder, and `~` is the user's home.

use std::path::{Path, PathBuf};

use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, ValueData};

/// What begins a path from the user's home.
const HOME_PREFIX: &str = "~/";

/// The user's home, by the environment.
pub(super) fn home(environment: &[(String, String)]) -> Option<PathBuf> {
    let found = environment.iter().find(|(name, value)| name == "HOME" && !value.is_empty());
    found.map(|(_, value)| PathBuf::from(value))
}

/// Whether a path begins at the user's home: the shell turns `~` into it only at the beginning of a word.
pub(crate) fn is_in_home(path: &str) -> bool {
    path == "~" || path.starts_with(HOME_PREFIX)
}

/// The path from `folder`, unless it begins at the root or at the user's home.
pub(crate) fn anchored(path: &str, folder: &Path, home: Option<&Path>) -> PathBuf {
    match home.filter(|_| is_in_home(path)) {
        Some(home) if path == "~" => home.to_owned(),
        Some(home) => home.join(path.trim_start_matches('~').trim_start_matches('/')),
        None => folder.join(path),
    }
}

/// The paths in a file's settings and sources, or in those of a profile, are meant from that file.
pub(super) fn anchor(tree: &mut ConfigTable, folder: &Path) {
    for path in paths(tree) {
        if let ValueData::Text(text) = &mut path.data
            && !text.is_empty()
            && !is_in_home(text)
        {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
    }
    for profile in fields(tree, "profile").into_iter().flat_map(ConfigTable::values_mut) {
        profile.as_table_mut().into_iter().for_each(|profile| anchor(profile, folder));
    }
}

/// Puts the user's home in the place of `~`, wherever the path was given.
pub(super) fn expand_home(tree: &mut ConfigTable, home: Option<&Path>, problems: &mut Diagnostics) {
    for path in paths(tree) {
        let at = path.at();
        let ValueData::Text(text) = &mut path.data else { continue };
        if !is_in_home(text) {
            continue;
        }
        match home {
            Some(_) => *text = anchored(text, Path::new(""), home).to_string_lossy().into_owned(),
            None => problems.push(no_home(text).at(at)),
        }
    }
}

/// An empty path among those that programs may write to names nothing.
pub(super) fn refuse_empty(tree: &mut ConfigTable, problems: &mut Diagnostics) {
    let Some(ValueData::List(folders)) = fields(tree, "settings").and_then(|fields| Some(&fields.get("writes")?.data)) else {
        return;
    };
    let is_empty = |value: &&ConfigValue| matches!(&value.data, ValueData::Text(text) if text.is_empty());
    for folder in folders.iter().filter(is_empty) {
        let help = "name a file or folder that programs may write to; `.` is the folder of the file that says it";
        problems.push(Diagnostic::new("an empty text in `writes` is no path").at(folder.at()).help(help));
    }
}

/// The message for a path from a home that is not known.
pub(super) fn no_home(path: &str) -> Diagnostic {
    let help = "write the whole path, or `./~` for a folder that is called so";
    Diagnostic::new(format!("`{path}` is meant from the home folder, and `HOME` is not set")).help(help)
}

/// The values that are paths.
fn paths(tree: &mut ConfigTable) -> Vec<&mut ConfigValue> {
    let mut paths = Vec::new();
    for (table, value) in tree.iter_mut() {
        let Some(fields) = value.as_table_mut() else { continue };
        match table.as_str() {
            "settings" => {
                for (setting, value) in fields.iter_mut() {
                    match (setting.as_str(), &value.data) {
                        ("writes", ValueData::List(_)) => {
                            if let ValueData::List(folders) = &mut value.data {
                                paths.extend(folders);
                            }
                        }
                        ("store" | "writes" | "gpu_locks", _) => paths.push(value),
                        _ => {}
                    }
                }
            }
            "sources" => {
                for source in fields.values_mut() {
                    match source.data {
                        ValueData::Table(_) => paths.extend(source.as_table_mut().and_then(|fields| fields.get_mut("path"))),
                        _ => paths.push(source),
                    }
                }
            }
            _ => {}
        }
    }
    paths
}

fn fields<'a>(tree: &'a mut ConfigTable, table: &str) -> Option<&'a mut ConfigTable> {
    tree.get_mut(table)?.as_table_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_meant_from_its_file_the_root_or_the_home() {
        let home = Path::new("/home/ada");
        let read = |path: &str, home| anchored(path, Path::new("lab"), home).display().to_string();
        let from_home = ["a/b", "/a", "~/a", "~", "~ada/a", "./~/a", "~a"].map(|path| read(path, Some(home)));
        assert_eq!(
            from_home,
            ["lab/a/b", "/a", "/home/ada/a", "/home/ada", "lab/~ada/a", "lab/./~/a", "lab/~a"]
        );
        assert_eq!(read("~/a", None), "lab/~/a");
    }
}
