//! The environment of this process: its variables and the user's folder of configuration.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};

use super::CliError;

/// The environment variables that are valid Unicode, sorted by name.
pub(super) fn variables() -> Vec<(String, String)> {
    let variable = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    #[expect(clippy::disallowed_methods, reason = "this is where the CLI reads the environment")]
    let mut variables: Vec<_> = std::env::vars_os().filter_map(variable).collect();
    variables.sort();
    variables
}

/// The user's settings file, `config.toml` in the [`config_folder`].
pub(super) fn user_file(variables: &[(String, String)]) -> Option<PathBuf> {
    Some(config_folder(variables)?.join("config.toml"))
}

/// `$XDG_CONFIG_HOME/runner`, or `~/.config/runner`.
pub(super) fn config_folder(variables: &[(String, String)]) -> Option<PathBuf> {
    let variable = |name: &str| {
        variables
            .iter()
            .find(|(found, value)| found == name && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value))
    };
    let base = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))?;
    Some(base.join("runner"))
}

/// As [`with_home`], for settings.
///
/// # Errors
/// As there.
pub(super) fn without_tilde(path: &Path, variables: &[(String, String)]) -> Result<PathBuf, CliError> {
    with_home(path, variables).map_err(|error| CliError::Usage(error.to_string()))
}

/// Why a path that begins with `~` leads nowhere.
#[derive(Debug, thiserror::Error)]
enum TildeError {
    #[error("`{0}` begins with `~`: write the path in full, or `./{0}` for a folder of that name")]
    OtherUser(String),
    #[error("`{0}` begins with `~`, but HOME is not set: write the path in full")]
    NoHome(String),
}

/// A path whose first part is `~` is below the home folder, as in a shell; nobody means a folder of that name. Settings and variables
/// come here without a shell, and shells leave `--store=~/x` as it is.
///
/// # Errors
/// When there is no home, or the path begins with another user's (`~ada`): what to do.
fn with_home(path: &Path, variables: &[(String, String)]) -> Result<PathBuf, TildeError> {
    let mut parts = path.components();
    let first = parts.next().and_then(|part| part.as_os_str().to_str()).unwrap_or_default();
    if !first.starts_with('~') {
        return Ok(path.to_owned());
    }
    let shown = || path.display().to_string();
    if first != "~" {
        return Err(TildeError::OtherUser(shown()));
    }
    let home = variables.iter().find(|(name, value)| name == "HOME" && !value.is_empty());
    let (_, home) = home.ok_or_else(|| TildeError::NoHome(shown()))?;
    // Without the slash that `join` puts before nothing.
    Ok(Path::new(home).join(parts.as_path()).components().collect())
}

/// Parses an argument that is a path, as [`with_home`].
pub(super) fn path_argument() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|path| with_home(Path::new(&path), &variables()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_home_folder() {
        let said = |path: Result<PathBuf, CliError>| match path {
            Ok(path) => path.display().to_string(),
            Err(error) => error.render(false),
        };
        let home = [("HOME".to_owned(), "/home/ada".to_owned())];
        let path = |text: &str| said(without_tilde(Path::new(text), &home));
        assert_eq!(path("~/cache"), "/home/ada/cache");
        assert_eq!(path("~"), "/home/ada");
        for unchanged in ["cache", "/a/~/b", "a~", "./~/x"] {
            assert_eq!(path(unchanged), unchanged);
        }
        assert!(path("~bob/x").contains("`./~bob/x`"));
        assert!(said(without_tilde(Path::new("~/x"), &[])).contains("HOME is not set"));
    }

    #[test]
    fn the_config_folder_is_that_of_xdg_or_in_the_home() {
        let folder = |variables: &[(&str, &str)]| {
            let variables: Vec<(String, String)> = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
            config_folder(&variables)
        };
        assert_eq!(
            folder(&[("HOME", "/home/ada"), ("XDG_CONFIG_HOME", "/etc/ada")]),
            Some("/etc/ada/runner".into())
        );
        assert_eq!(
            folder(&[("HOME", "/home/ada"), ("XDG_CONFIG_HOME", "")]),
            Some("/home/ada/.config/runner".into())
        );
        assert_eq!(folder(&[]), None);
    }
}
