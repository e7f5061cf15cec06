//! The places of inputs in the folder of a program: links to the read-only folder of its inputs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::inputs::InputFolder;
use super::pattern::{inner_path, overlap};
use super::start::way;
use lab::config::ParamError;
use lab::stage::{INPUT_PATHS, StageError, failed};

/// Checks the places of inputs, by name.
///
/// # Errors
/// When one leads out of the program's folder, or two lie in each other's place.
pub(super) fn check(places: &BTreeMap<String, String>) -> Result<(), ParamError> {
    let wrong = |name: &str, message: String| Err(ParamError::new(name, message).within(INPUT_PATHS));
    let mut others: Vec<(&String, PathBuf)> = Vec::new();
    for (name, text) in places {
        let place = match inner_path(text) {
            Ok(place) => place,
            Err(message) => return wrong(name, message),
        };
        if let Some((other, _)) = others.iter().find(|(_, other)| overlap(other, &place)) {
            return wrong(name, format!("`{text}` is in the place of the input `{other}`"));
        }
        others.push((name, place));
    }
    Ok(())
}

/// Lays the inputs into the folder of the program: one as a link, several as a folder of links.
///
/// # Errors
/// When something is in the place of one.
pub(super) fn lay(places: &BTreeMap<String, String>, folder: &Path, inputs: &InputFolder) -> Result<(), StageError> {
    for port in &inputs.ports {
        let Some(text) = places.get(&port.name) else { continue };
        let laid = inner_path(text)
            .map_err(io::Error::other)
            .and_then(|place| lay_one(&folder.join(place), &port.paths));
        laid.map_err(|error| failed(format!("cannot lay the input `{}` at `{text}`: {error}", port.name)))?;
    }
    Ok(())
}

fn lay_one(at: &Path, paths: &[PathBuf]) -> io::Result<()> {
    let parent = at.parent().unwrap_or(at);
    fs::create_dir_all(parent)?;
    if let [path] = paths {
        return link(parent, path, at);
    }
    fs::create_dir(at)?;
    paths.iter().try_for_each(|path| match path.file_name() {
        Some(number) => link(at, path, &at.join(number)),
        None => Ok(()),
    })
}

/// Links `at`, which is in `folder`, to `path`, by the way from there.
fn link(folder: &Path, path: &Path, at: &Path) -> io::Result<()> {
    symlink(way(folder, path).unwrap_or_else(|| path.to_owned()), at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_folder_and_apart() {
        let said = |places: &[(&str, &str)]| {
            let places = places.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned()));
            check(&places.collect()).map_or_else(|error| format!("{}: {error}", error.path.join(".")), |()| "good".to_owned())
        };
        let all = [
            said(&[("a", "in/a"), ("b", "./in/b")]),
            said(&[("a", "in"), ("b", "./in/b")]),
            said(&[("a", "../in")]),
            said(&[("a", "/in")]),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        good
        input_paths.b: `./in/b` is in the place of the input `a`
        input_paths.a: `../in` leads out of the folder of the program: write a path from that folder, without `..`
        input_paths.a: `/in` leads out of the folder of the program: write a path from that folder, without `..`
        ");
    }

    #[test]
    fn links_lead_the_short_way() {
        let folder = tempfile::tempdir().unwrap();
        let (work, inputs) = (folder.path().join("work"), folder.path().join("inputs"));
        fs::create_dir_all(&work).unwrap();
        fs::create_dir_all(inputs.join("many")).unwrap();
        for file in ["one", "many/0", "many/1"] {
            fs::write(inputs.join(file), file).unwrap();
        }
        lay_one(&work.join("deep/one"), &[inputs.join("one")]).unwrap();
        lay_one(&work.join("many"), &[inputs.join("many/0"), inputs.join("many/1")]).unwrap();
        assert_eq!(fs::read_link(work.join("deep/one")).unwrap(), Path::new("../../inputs/one"));
        assert_eq!(fs::read_to_string(work.join("many/1")).unwrap(), "many/1");
        assert!(lay_one(&work.join("many"), &[inputs.join("one")]).is_err(), "something is there");
    }
}
