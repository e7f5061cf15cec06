//! The environment of this process: its variables and the user's folder of configuration.

use std::ffi::OsString;
use std::path::PathBuf;

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

#[cfg(test)]
mod tests {
    use super::*;

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
