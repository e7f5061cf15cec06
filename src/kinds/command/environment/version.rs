//! Versions of Python packages and constraints on them (PEP 440), and the names of packages (PEP 503).

use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};

/// What begins a constraint that says how to compare.
const OPERATORS: [char; 5] = ['=', '<', '>', '!', '~'];

/// A constraint on the version of a package.
#[derive(Debug)]
pub(super) struct Constraint(VersionSpecifiers);

impl Constraint {
    /// Reads `>=2.1, <3` or, as a shorter way to write `==`, a version alone: `2.*`, `2.1.0`.
    ///
    /// # Errors
    /// When it is neither: a message.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let whole = if text.starts_with(OPERATORS) {
            text.to_owned()
        } else {
            format!("=={text}")
        };
        match VersionSpecifiers::from_str(&whole) {
            Ok(specifiers) if !text.is_empty() => Ok(Self(specifiers)),
            _ => Err(format!(
                "`{text}` is no constraint of versions: write one as Python does (`2.*`, `>=2.1, <3`, `==2.1.0`)"
            )),
        }
    }

    /// Whether a version fits; one that cannot be read does not.
    pub(super) fn allows(&self, version: &str) -> bool {
        Version::from_str(version).is_ok_and(|version| self.0.contains(&version))
    }
}

/// Whether two texts are one version: `2.0` and `2.0.0` are.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    match (Version::from_str(one), Version::from_str(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// The name of a package, as all ways to write it: `Ruamel.yaml` and `ruamel-yaml` are one.
pub(super) fn normalized(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_those_of_python() {
        let allows = |constraint: &str, version: &str| Constraint::read(constraint).unwrap().allows(version);
        assert!(allows("2.*", "2.4.1") && !allows("2.*", "3.0"));
        assert!(allows("2.1", "2.1.0") && !allows("2.1", "2.1.1"));
        assert!(allows(">=2.1, <3", "2.9") && !allows(">=2.1,<3", "3.0"));
        assert!(allows("~=1.4.2", "1.4.9") && !allows("~=1.4.2", "1.5"));
        assert!(allows("==2.4.0", "2.4.0+cu121"), "a build of the same version");
        assert!(!allows("2.*", "unknown"));
        for wrong in ["", "latest", "=2", "2.x", ">="] {
            assert!(Constraint::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn versions_and_names_have_several_spellings() {
        assert!(is_same("2.0", "2.0.0") && is_same("1.0rc1", "1.0.rc1") && !is_same("2.4.0", "2.4.0+cu121"));
        assert!(is_same("abc", "abc") && !is_same("abc", "abd"));
        assert_eq!(normalized("Ruamel.YAML__clib"), "ruamel-yaml-clib");
    }
}
